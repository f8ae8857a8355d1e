//! `licenses`: under which licences the packages are, and which of them are not wanted.

use convoke_sdk::small::{Map, Set};

use convoke_sdk::{Finding, Severity};

use crate::check::{Rule, counted, number};
use crate::licence::{Licence, allowed};
use crate::list::{cell, incomplete, table};
use crate::model::Origin;
use crate::unit::Unit;

/// The rules of `deps licenses`, by their ids.
pub const RULES: &[Rule] = &[
    Rule { id: "licence-denied", severity: Severity::High, summary: "A package is under a licence that is not wanted" },
    Rule {
        id: "licence-unknown",
        severity: Severity::Low,
        summary: "The licences of some packages are not known, so nobody can say whether they are wanted",
    },
];

/// So many packages are named for each licence.
const NAMED: usize = 6;

/// What stands for a licence that no file tells.
const UNKNOWN: &str = "unknown: the file doesn't say";

/// The table and the findings. `allow`: only these are fine, all where it is empty; `deny`: these are not. Both are ids of
/// SPDX.
pub fn licenses(units: &[Unit], foreign: &[String], allow: &[String], deny: &[String]) -> (String, Vec<Finding>) {
    let mut by_licence: Map<Option<&str>, Set<(&str, &str)>> = Map::new();
    let mut findings = Vec::new();
    let mut known = Set::new();
    let mut all = Set::new();
    for unit in units {
        let mut unknown: Map<&str, Vec<(u32, String)>> = Map::new();
        let mut denied: Map<(&str, &str), Denied> = Map::new();
        for locked in unit.locked() {
            let package = locked.package;
            if package.origin == Origin::Workspace {
                continue;
            }
            let licence = package.license.as_deref().map(str::trim).filter(|text| !text.is_empty());
            let one = (package.name.as_str(), package.version.as_str());
            by_licence.entry(licence).or_default().insert(one);
            all.insert((unit.manager.name(), one));
            if licence.is_some() {
                known.insert((unit.manager.name(), one));
            }
            match licence.map(|licence| allowed(licence, allow, deny)) {
                Some(Licence::Allowed) => {}
                Some(Licence::Denied(which)) => {
                    let key = (locked.file.path.as_str(), licence.unwrap_or_default());
                    let of_it = denied.entry(key).or_insert_with(|| Denied { which, places: Set::new() });
                    let name = format!("{} {}", cell(&package.name), cell(&package.version));
                    of_it.places.insert((package.line, name));
                }
                Some(Licence::Unknown(why)) => unknown
                    .entry(&locked.file.path)
                    .or_default()
                    .push((package.line, format!("{} ({})", cell(&package.name), cell(&why)))),
                None => unknown.entry(&locked.file.path).or_default().push((package.line, cell(&package.name))),
            }
        }
        findings.extend(denied.into_iter().map(|((path, licence), denied)| denied.finding(path, licence)));
        // Nobody asked whether any licence is wanted.
        if !(allow.is_empty() && deny.is_empty()) {
            let files =
                unit.files.iter().filter_map(|file| Some((file.path.as_str(), file.lock.as_ref()?.packages.len())));
            for (path, count) in files {
                findings.extend(unknown.remove(path).map(|places| unknown_finding(path, places, count)));
            }
            findings.extend(not_locked(unit));
        }
    }
    let mut rows: Vec<_> = by_licence.iter().collect();
    // Those of the most packages first; what is not known at the end.
    convoke_sdk::small::sort_by_key(&mut rows, |(licence, of_it)| {
        (licence.is_none(), std::cmp::Reverse(of_it.len()), **licence)
    });
    let rows = rows.into_iter().map(|(licence, of_it)| {
        let named = of_it.iter().take(NAMED).map(|(name, version)| format!("{} {}", cell(name), cell(version)));
        let mut names = named.collect::<Vec<_>>().join(", ");
        if of_it.len() > NAMED {
            names += &format!(" and {} more", number(of_it.len() - NAMED));
        }
        [licence.map_or_else(|| UNKNOWN.to_owned(), cell), number(of_it.len()), names]
    });
    let head = ["LICENCE", "PACKAGES", "WHICH"].map(str::to_owned);
    let mut text = table(std::iter::once(head).chain(rows));
    let mut sums = vec![format!("{} packages; the licences of {} are known", number(all.len()), number(known.len()))];
    let open = units.iter().filter(|unit| !unit.has_lock()).count();
    if open > 0 {
        sums.push(format!(
            "{} of {} no lockfile: the packages there are not known",
            number(open),
            counted(units.len(), "unit has", "units have")
        ));
    }
    sums.extend(incomplete(units, foreign));
    text += &format!("\n{}\n", sums.join("; "));
    (text, findings)
}

fn finding(id: &str, path: &str, line: u32, message: String) -> Finding {
    let severity = RULES.iter().find(|rule| rule.id == id).map_or(Severity::Medium, |rule| rule.severity);
    Finding::new(id, severity, message).at(path, line.max(1))
}

/// Packages of a file under a licence that is not wanted.
struct Denied {
    /// The part of the licence because of which it is not.
    which: String,
    places: Set<(u32, String)>,
}

impl Denied {
    fn finding(self, path: &str, licence: &str) -> Finding {
        let because = match self.which.as_str() {
            "" => String::new(),
            which if which == licence => String::new(),
            which => format!(" ({})", cell(which)),
        };
        let line = self.places.first().map_or(1, |(line, _)| *line);
        let (count, is) = (self.places.len(), if self.places.len() == 1 { "is" } else { "are" });
        let names = crate::check::some(self.places.into_iter().map(|(_, name)| name));
        let packages = if count == 1 { names } else { format!("{} packages ({names})", number(count)) };
        let message = format!("{packages} {is} under {}, which is not wanted{because}", cell(licence));
        finding("licence-denied", path, line, message)
            .help("`convoke deps why NAME` says who needs it.")
            .fingerprint(format!("licence-denied|{path}|{licence}"))
    }
}

fn unknown_finding(path: &str, mut places: Vec<(u32, String)>, all: usize) -> Finding {
    convoke_sdk::small::sort(&mut places);
    places.dedup();
    let line = places.first().map_or(1, |(line, _)| *line);
    let count = places.len();
    let names = crate::check::some(places.into_iter().map(|(_, name)| name));
    let message = format!("the licences of {} of {} packages are not known: {names}", number(count), number(all));
    finding("licence-unknown", path, line, message)
        .help("The lockfile doesn't tell them: look at the packages themselves.")
        .fingerprint(format!("licence-unknown|{path}"))
}

/// That the packages of a unit are not known at all.
fn not_locked(unit: &Unit) -> Option<Finding> {
    if unit.has_lock() {
        return None;
    }
    let (file, asked) = unit.requirements().find(|(_, asked)| asked.origin != Origin::Workspace)?;
    let count = unit.requirements().filter(|(_, asked)| asked.origin != Origin::Workspace).count();
    let asks = if count == 1 { "requirement stands" } else { "requirements stand" };
    let message = format!(
        "{} {asks} here without a lockfile: which packages come, and under which licences, is not known",
        number(count)
    );
    let finding = finding("licence-unknown", &file.path, asked.line, message);
    Some(finding.fingerprint(format!("licence-unknown|{}|not locked", file.path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{File, Manager};
    use crate::testing::{asked, locked, manifest, unit};

    fn lock() -> File {
        let mut file = locked(
            "package-lock.json",
            Manager::Npm,
            &[("a", "1", &[]), ("b", "1", &[]), ("c", "2", &[]), ("d", "1", &[])],
            &[0],
        );
        let packages = &mut file.lock.as_mut().unwrap().packages;
        packages[0].license = Some("MIT".to_owned());
        packages[1].license = Some("MIT".to_owned());
        packages[2].license = Some("GPL-3.0-only".to_owned());
        file
    }

    fn of(text: &str) -> Vec<String> {
        vec![text.to_owned()]
    }

    #[test]
    fn licences_are_counted_and_the_unknown_is_said() {
        let (text, findings) = licenses(&[unit(vec![lock()])], &[], &[], &[]);
        assert_eq!(
            text,
            "LICENCE                        PACKAGES  WHICH\n\
             MIT                            2         a 1, b 1\n\
             GPL-3.0-only                   1         c 2\n\
             unknown: the file doesn't say  1         d 1\n\
             \n\
             4 packages; the licences of 3 are known\n"
        );
        assert!(findings.is_empty(), "nobody asked");
    }

    #[test]
    fn what_is_denied_is_a_finding_and_so_is_what_nobody_knows() {
        let (_, findings) = licenses(&[unit(vec![lock()])], &[], &[], &of("GPL-3.0-only"));
        let found: Vec<_> = findings.iter().map(|finding| (finding.rule.as_str(), finding.line)).collect();
        assert_eq!(found, [("licence-denied", Some(3)), ("licence-unknown", Some(4))]);
        assert!(findings[0].message.starts_with("c 2 is under GPL-3.0-only"), "{}", findings[0].message);
    }

    #[test]
    fn what_is_not_allowed_is_denied() {
        let (_, findings) = licenses(&[unit(vec![lock()])], &[], &of("MIT"), &[]);
        assert_eq!(findings.iter().filter(|finding| finding.rule == "licence-denied").count(), 1);
    }

    #[test]
    fn without_a_lockfile_nothing_is_known() {
        let open = unit(vec![manifest("package.json", Manager::Npm, vec![asked("a", "^1", 7)])]);
        let (text, findings) = licenses(&[open], &[], &of("MIT"), &[]);
        assert!(text.contains("1 of 1 unit has no lockfile"), "{text}");
        assert_eq!((findings.len(), findings[0].line), (1, Some(7)));
    }
}
