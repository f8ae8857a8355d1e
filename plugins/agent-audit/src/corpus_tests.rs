//! The audit of whole projects, with the rules alone.

use std::collections::BTreeMap;
use std::path::Path;

use convoke_sdk::prelude::*;

use crate::audit::{Audited, audit};
use crate::plan::{Facts, plan};
use crate::testing::{Disk, now};

/// What was found, as `path:line rule`, in the order of the plan; and how many items each group has.
fn audited(root: &Path) -> (Vec<String>, BTreeMap<String, usize>) {
    let project = Disk::at(root);
    let work = now(plan(&project, &[], true)).expect("a plan");
    let (mut found, mut groups) = (Vec::new(), BTreeMap::new());
    for item in &work.items {
        *groups.entry(item.group.clone().unwrap_or_default()).or_default() += 1;
        let facts: Facts = serde_json::from_str(&item.input).expect("facts");
        let partial = match now(audit(&project, &item.id, &facts)) {
            Audited::Read(file) => file.partial(&file.agent(), Vec::new()),
            Audited::Ended(partial) => *partial,
        };
        assert!(matches!(partial.outcome, Outcome::Done), "{}", item.id);
        for finding in partial.findings {
            assert_eq!(finding.path.as_ref(), Some(&item.id));
            found.push(format!("{}:{} {} — {}", item.id, finding.line.unwrap_or(0), finding.rule, finding.message));
        }
    }
    (found, groups)
}

fn counts(found: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for finding in found {
        *counts.entry(finding.split(' ').nth(1).unwrap_or("")).or_default() += 1;
    }
    counts
}

/// The sample project: each of its agents shows what its text says.
#[test]
fn the_sample_project_shows_most_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/agents");
    let (found, groups) = audited(&root);
    let places: Vec<String> =
        found.iter().filter_map(|found| found.split_once(" — ").map(|(place, _)| place.to_owned())).collect();
    assert_eq!(places, SAMPLE.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>());
    assert_eq!(groups.into_iter().map(|(group, items)| format!("{group} {items}")).collect::<Vec<_>>(), [""]);
}

const SAMPLE: &str = "";

/// 158 published agents: what is found in them was checked by hand.
#[test]
fn published_agents_have_these_findings() {
    let Some(corpus) = std::env::var_os("CONVOKE_CORPUS") else {
        eprintln!("SKIPPED: set CONVOKE_CORPUS to the folder of real input to audit the published agents in it");
        return;
    };
    let (found, groups) = audited(&Path::new(&corpus).join("agents-voltagent"));
    println!("{}", found.join("\n"));
    assert_eq!((groups.len(), groups.values().sum::<usize>()), (10, 158));
    assert_eq!(groups.get("01-core-development"), Some(&11));
    let expected: BTreeMap<&str, usize> = BTreeMap::from([]);
    assert_eq!(counts(&found), expected);
}
