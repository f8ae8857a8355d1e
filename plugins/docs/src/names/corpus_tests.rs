//! What is found in whole repositories.

use std::path::Path;

use convoke_sdk::testing::{Disk, now};

use super::{facts, query};
use crate::markdown::parse;
use crate::rules::names::found;

/// The findings of all documents, as `path:line rule message`, and how many names were judged and not.
fn all(root: &Path) -> (Vec<String>, u32, u32) {
    let project = Disk::at(root);
    now(async {
        let mut files = convoke_sdk::Project::list(&project, &query()).await.expect("a listing");
        files.retain(|file| !["target/", ".git/", "node_modules/"].iter().any(|made| file.path.starts_with(made)));
        let repository = facts(&project, &files).await;
        let (mut lines, mut judged, mut unjudged) = (Vec::new(), 0, 0);
        for file in files.iter().filter(|file| file.path.ends_with(".md")) {
            let Ok(text) = convoke_sdk::Project::read_text(&project, &file.path).await else { continue };
            let document = parse(&text);
            let found = found(&document, &file.path, &text, &repository.about(&document, &file.path));
            judged += found.judged;
            unjudged += found.not_judged.values().sum::<u32>();
            for finding in found.findings {
                let help = finding.help.map(|help| format!(" ({help})")).unwrap_or_default();
                lines.push(format!(
                    "{}:{} {} {}{help}",
                    file.path,
                    finding.line.unwrap_or(0),
                    finding.rule,
                    finding.message
                ));
            }
        }
        (lines, judged, unjudged)
    })
}

/// What our own documents name is there.
#[test]
fn our_own_documents_name_what_is_there() {
    let (lines, judged, _) = all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    assert_eq!(lines, [""; 0]);
    assert!(judged > 200, "{judged}");
}

/// A repository of which only documents and manifests are left: each of these was looked at by hand.
#[test]
fn a_repository_without_its_code_lacks_what_its_documents_name() {
    let Some(corpus) = std::env::var_os("CONVOKE_CORPUS").filter(|folder| !folder.is_empty()) else {
        let said = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"SKIPPED: set CONVOKE_CORPUS to the folder of real input to check the names in its documents\n",
        );
        said.expect("stderr");
        return;
    };
    let (lines, ..) = all(&Path::new(&corpus).join("polyglot-otel-demo"));
    let mut counts = std::collections::BTreeMap::new();
    for line in &lines {
        *counts.entry(line.split(' ').nth(1).unwrap_or("")).or_insert(0) += 1;
    }
    let counts: Vec<_> = counts.into_iter().collect();
    assert_eq!(counts, [("path-missing", 18), ("script-missing", 20), ("service-missing", 18)], "{lines:#?}");
}
