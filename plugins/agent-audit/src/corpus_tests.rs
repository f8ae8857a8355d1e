//! The audit of whole projects, with the rules alone.

use std::collections::BTreeMap;
use std::path::Path;

use convoke_sdk::prelude::*;

use crate::audit::{Audited, audit};
use crate::plan::{Facts, plan};
use convoke_sdk::testing::{Disk, now};

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
    assert_eq!(
        groups.into_iter().map(|(group, items)| format!("{group} {items}")).collect::<Vec<_>>(),
        ["billing 2", "dev 4", "development 1", "docs 2", "ops 3", "quality 4"]
    );
}

const SAMPLE: &str = "
    .claude/agents/dev/api-builder.md:2 name-duplicate
    .claude/agents/dev/helper.md:1 tools-inherited
    .claude/agents/dev/helper.md:7 body-short
    .claude/agents/dev/page-builder.md:2 name-duplicate
    .claude/agents/dev/page-builder.md:2 name-not-file-name
    .claude/agents/dev/query-tuner.md:3 description-no-trigger
    .claude/agents/dev/query-tuner.md:5 model-unknown
    .claude/agents/docs/glossary.md:2 name-not-kebab-case
    .claude/agents/ops/deployer.md:6 permissions-bypassed
    .claude/agents/ops/incident-scribe.md:11 link-broken
    .claude/agents/ops/incident-scribe.md:15 agent-unknown
    .claude/agents/ops/release-notes.md:3 front-matter-broken
    .claude/agents/quality/security-auditor.md:4 tools-writing-reader
    .claude/agents/quality/test-author.md:7 near-duplicate
    .claude/agents/quality/test-writer.md:7 near-duplicate
    .claude/agents/scratch.md:1 front-matter-missing
    plugins/billing/agents/invoice-checker.md:4 tool-unknown
";

/// 158 published agents: what is found in them was checked by hand.
#[test]
fn published_agents_have_these_findings() {
    let Some(corpus) = std::env::var_os("CONVOKE_CORPUS").filter(|folder| !folder.is_empty()) else {
        // Past the harness, which keeps to itself what a passing test prints.
        let said = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"SKIPPED: set CONVOKE_CORPUS to the folder of real input to audit the published agents in it\n",
        );
        said.expect("stderr");
        return;
    };
    let (found, groups) = audited(&Path::new(&corpus).join("agents-voltagent"));
    assert_eq!((groups.len(), groups.values().sum::<usize>()), (10, 158));
    assert_eq!(groups.get("01-core-development"), Some(&11));
    let expected: BTreeMap<&str, usize> = BTreeMap::from([
        ("agent-unknown", 46),
        ("description-no-trigger", 1),
        ("front-matter-broken", 8),
        ("name-not-kebab-case", 2),
        ("tool-unknown", 8),
        ("tools-writing-reader", 3),
    ]);
    assert_eq!(counts(&found), expected, "{found:#?}");
}
