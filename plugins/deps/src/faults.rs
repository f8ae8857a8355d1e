//! What could not be understood, as findings: nothing is left out in silence.

use convoke_sdk::prelude::*;

use crate::unit::Unit;

/// The most findings of one file.
const MOST: usize = 20;

/// A finding for each part of the unit's files that was not understood.
pub fn findings(unit: &Unit) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &unit.files {
        for fault in file.faults.iter().take(MOST) {
            let (rule, severity, said) = if fault.harmless {
                ("entry-odd", Severity::Low, "This part of it is odd, and nothing is missing by it")
            } else if fault.whole {
                ("file-broken", Severity::High, "Nothing of it could be read, so its packages are not known")
            } else {
                ("entry-not-understood", Severity::Medium, "This part of it is not understood, and left out")
            };
            let message = format!("{said}: {}", fault.message);
            let finding = Finding::new(rule, severity, message).fingerprint(format!(
                "{rule}|{}|{}",
                file.path,
                if fault.whole { "" } else { &fault.message }
            ));
            findings.push(match fault.line {
                Some(line) => finding.at(&file.path, line),
                None => finding.in_file(&file.path),
            });
        }
        if let Some(more) = file.faults.len().checked_sub(MOST).filter(|more| *more > 0) {
            let message = format!("{more} more parts of it are not understood");
            findings.push(
                Finding::new("entry-not-understood", Severity::Medium, message)
                    .in_file(&file.path)
                    .fingerprint(format!("entry-not-understood|{}|more", file.path)),
            );
        }
    }
    findings
}

/// The same partial, with what was read counted.
pub fn counted(unit: &Unit, partial: Partial) -> Partial {
    let files = unit.files.len() as f64;
    let packages = unit.packages().count() as f64;
    let asked = unit.requirements().count() as f64;
    let partial = partial
        .metric(Metric::sum("files", files, "files"))
        .metric(Metric::sum("packages", packages, "packages"))
        .metric(Metric::sum("requirements", asked, "requirements"));
    match unit.files.iter().map(|file| file.faults.len()).sum::<usize>() {
        0 => partial,
        faults => partial.metric(Metric::sum("not understood", faults as f64, "entries")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fault, File, Manager};

    #[test]
    fn what_was_not_understood_is_a_finding_with_its_line() {
        let mut file = File::new("a/Cargo.lock", Manager::Cargo, "Cargo.lock");
        file.faults.push(Fault::new(Some(7), "no version", false));
        let unit = Unit::new(Manager::Cargo, "a", vec![file.broken(None, "not TOML")]);
        let found = findings(&unit);
        assert_eq!(
            found.iter().map(|found| found.rule.as_str()).collect::<Vec<_>>(),
            ["entry-not-understood", "file-broken"]
        );
        assert_eq!((found[0].line, found[1].line), (Some(7), None));
        assert!(counted(&unit, Partial::done()).metrics.iter().any(|metric| metric.name == "not understood"));
    }

    #[test]
    fn a_thousand_faults_are_twenty_and_a_count() {
        let mut file = File::new("a", Manager::Cargo, "a");
        file.faults = (1..=1_000).map(|line| Fault::new(Some(line), "bad", false)).collect();
        let found = findings(&Unit::new(Manager::Cargo, "", vec![file]));
        assert_eq!(found.len(), 21);
        assert!(found[20].message.starts_with("980 more"));
    }
}
