//! The rules over real projects: what they find there is true.

use super::*;

/// Everything that is found, a line each.
fn found(unit: &Unit) -> Vec<String> {
    let line = |finding: Finding| {
        let place = format!("{}:{}", finding.path.unwrap_or_default(), finding.line.unwrap_or_default());
        format!("{place} {:?} {} {}", finding.severity, finding.rule, finding.message)
    };
    check(unit).into_iter().map(line).collect()
}

#[test]
fn lockfiles_of_a_real_project_fit_their_manifests_and_no_cause_is_told_twice() {
    let Some(units) = crate::testing::corpus("polyglot-otel-demo") else { return };
    for unit in &units {
        let lines = found(unit);
        for line in &lines {
            eprintln!("{} {line}", unit.id);
        }
        // What its own tools have written fits.
        assert!(!lines.iter().any(|line| line.contains("lockfile-stale")), "{lines:?}");
        let causes: Set<(String, Option<String>, String)> = check(unit)
            .into_iter()
            .map(|finding| (finding.rule, finding.path, finding.fingerprint.unwrap_or_default()))
            .collect();
        assert_eq!(causes.len(), lines.len());
    }
}
