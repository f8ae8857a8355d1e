use std::cell::RefCell;

use convoke_sdk::testing::{Map, now};
use serde_json::{Value, json};

use super::*;
use crate::model::{Fault, File, Lock, Manager, Package, Scope};

const FOLDER: [(&str, &str); 2] = [
    (
        "db/TEST-1.json",
        r#"{"id": "TEST-1", "modified": "2026-01-01T00:00:00Z", "summary": "It leaks", "aliases": ["CVE-1"],
            "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
            "affected": [{"package": {"ecosystem": "npm", "name": "leaky"},
                          "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "1.5.0"}]}]}]}"#,
    ),
    (
        "db/TEST-2.json",
        r#"{"id": "TEST-2", "modified": "2026-01-01T00:00:00Z",
            "affected": [{"package": {"ecosystem": "npm", "name": "odd"},
                          "ranges": [{"type": "GIT", "repo": "x", "events": [{"introduced": "0"}]}]}]}"#,
    ),
];

/// `top` brings `leaky`, which is there twice; `odd` and `dev` are asked for.
fn unit() -> Unit {
    let package = |name: &str, version: &str, line, needs: &[usize]| Package {
        needs: needs.to_vec(),
        ..Package::new(name, version, line)
    };
    let packages = vec![
        package("top", "2.0.0", 3, &[1]),
        package("leaky", "1.2.0", 5, &[]),
        package("leaky", "1.2.0", 7, &[]),
        Package { scope: Scope::Dev, ..package("leaky", "1.3.0", 9, &[]) },
        package("odd", "1.0.0", 11, &[]),
    ];
    let lock = Lock { packages, direct: vec![0, 3, 4], graph: true };
    Unit::new(Manager::Npm, "web", vec![File { lock: Some(lock), ..File::new("web/lock", Manager::Npm, "lock") }])
}

fn by_advisories(files: &[&str], covered: bool) -> Partial {
    let (unit, project) = (unit(), Map::with(&FOLDER));
    let files = files.iter().map(|&file| file.to_owned()).collect();
    let named = folder::Named { files, covered, folder: "db".to_owned() };
    let subjects = subjects(&unit);
    let judged = now(by_folder(&project, &unit, &named, &subjects.asked));
    partial(&unit, &Judgement { subjects, judged })
}

fn metric(partial: &Partial, name: &str) -> f64 {
    partial.metrics.iter().find(|metric| metric.name == name).expect("a metric").value
}

#[test]
fn a_hole_is_a_finding_with_its_place_path_and_advice() {
    let partial = by_advisories(&["db/TEST-1.json"], true);
    assert!(matches!(partial.outcome, Outcome::Done));
    let [first, second] = partial.findings.as_slice() else { panic!("{:?}", partial.findings) };
    assert_eq!((first.rule.as_str(), first.severity, first.line), ("vulnerable", Severity::Critical, Some(5)));
    assert_eq!(
        first.message,
        "leaky 1.2.0: It leaks (TEST-1, CVE-1, CVSS 9.8); fixed in 1.5.0; by top 2.0.0 > leaky 1.2.0; it stands in 1 more place"
    );
    assert_eq!(first.fingerprint.as_deref(), Some("vulnerable|npm:web|leaky|TEST-1"));
    assert_eq!(first.help.as_deref(), Some("upgrade leaky 1.2.0 to 1.5.0 or later; what brings it: top 2.0.0"));
    assert_eq!((second.rule.as_str(), second.line), ("vulnerable-dev", Some(9)));
    assert_eq!((metric(&partial, "packages asked about"), metric(&partial, "packages with holes")), (4.0, 2.0));
}

#[test]
fn what_is_unknown_fails_the_item_and_says_why() {
    let said = |partial: &Partial| match &partial.outcome {
        Outcome::Failed(why) => why.clone(),
        other => panic!("{other:?}"),
    };
    // Nobody has advisories about npm.
    let uncovered = by_advisories(&[], false);
    assert_eq!(said(&uncovered), "4 packages are unknown: db holds no advisories for packages of npm");
    assert_eq!(metric(&uncovered, "packages unknown"), 4.0);
    assert_eq!(uncovered.findings[0].rule, "not-asked");
    // One of them can't be judged by its version.
    let doubtful = by_advisories(&["db/TEST-2.json"], true);
    assert!(said(&doubtful).starts_with("1 package is unknown: TEST-2: "), "{}", said(&doubtful));
    assert!(doubtful.findings[0].message.starts_with("Nothing is known about odd 1.0.0: "));
    // A file has gone.
    let gone = by_advisories(&["db/TEST-1.json", "db/gone.json"], true);
    assert!(said(&gone).contains("1 of 2 advisories can't be read; db/gone.json"), "{}", said(&gone));
    // A lockfile that can't be read has packages that nobody knows.
    let broken = Unit::new(Manager::Npm, "", vec![File::new("l", Manager::Npm, "l").broken(Some(1), "no JSON")]);
    assert_eq!(said(&partial(&broken, &Judgement::default())), "not all packages are known: l can't be read");
    // A part of one may be a package.
    let mut partly = File::new("l", Manager::Npm, "l");
    partly.faults.push(Fault::odd(1, "it is there twice"));
    let mut partly = Unit::new(Manager::Npm, "", vec![partly]);
    assert!(matches!(partial(&partly, &Judgement::default()).outcome, Outcome::Done), "nothing is missing");
    partly.files[0].faults.push(Fault::new(Some(2), "no version", false));
    let why = said(&partial(&partly, &Judgement::default()));
    assert_eq!(why, "not all packages are known: l is not understood in all its parts");
}

/// What OSV's API says: of each subject these ids.
struct Scripted(RefCell<Vec<Value>>);

impl Osv for Scripted {
    async fn batch(&self, _: Vec<u8>) -> Result<Vec<u8>> {
        Ok(json!({ "results": self.0.take() }).to_string().into_bytes())
    }

    async fn advisory(&self, id: &str, _: &str) -> Result<String> {
        match id {
            "GONE" => Err(Error::new("it answered 404")),
            "WITHDRAWN" => Ok(json!({ "id": id, "withdrawn": "2026-01-01T00:00:00Z", "affected": [] }).to_string()),
            _ => Ok(json!({ "id": id, "summary": "Elsewhere", "affected": [] }).to_string()),
        }
    }
}

#[test]
fn what_osv_says_holds_where_an_advisory_alone_does_not_tell() {
    let unit = unit();
    let subjects = subjects(&unit);
    let ids = |ids: &[&str]| json!({ "vulns": ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>() });
    let results = vec![json!({}), ids(&["OTHER"]), ids(&["WITHDRAWN"]), ids(&["GONE"])];
    let judged = now(by_api(&Scripted(RefCell::new(results)), &unit, &subjects.asked));
    let partial = partial(&unit, &Judgement { subjects, judged });
    let found: Vec<(&str, &str)> =
        partial.findings.iter().map(|one| (one.rule.as_str(), one.message.split(" (").next().unwrap())).collect();
    assert_eq!(found[0], ("vulnerable", "leaky 1.2.0: Elsewhere"));
    assert_eq!(found[1], ("vulnerable", "odd 1.0.0: a known hole"));
    assert_eq!(found[2], ("not-asked", "Nothing is known about odd 1.0.0: GONE: it answered 404"));
    assert_eq!(found.len(), 3);
    assert!(matches!(partial.outcome, Outcome::Failed(_)), "how bad it is is not known");
}
