//! Documents age when code moves. Here it is noticed: what they name must be there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The documents, from the repository's root.
const DOCUMENTS: [&str; 11] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "examples/README.md",
    "examples/agents/README.md",
    "examples/policies/README.md",
    "examples/todo/README.md",
    "sdk/README.md",
    "sdk/testing.md",
    "tests/README.md",
    "wit/README.md",
];

/// How a path in code marks begins, if it is one of the repository.
const FOLDERS: [&str; 7] = [".ci/", "examples/", "host/", "plugins/", "sdk/", "tests/", "wit/"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands in code marks, outside of blocks.
fn in_code_marks(text: &str) -> Vec<&str> {
    let mut block = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            block = !block;
        } else if !block {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

/// Where the links of a document lead, but for those to the network.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://"))
}

/// The anchor that a heading gets.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings =
        text.lines().filter_map(|line| line.strip_prefix('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

/// All Rust sources below a folder.
fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            sources(&entry, all);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(&entry).expect("text"));
        }
    }
}

#[test]
fn each_path_that_a_document_names_is_there() {
    let mut missing = Vec::new();
    for document in DOCUMENTS {
        for path in in_code_marks(&read(document)) {
            let is_path = FOLDERS.iter().any(|folder| path.starts_with(folder)) && !path.contains([' ', '*', '<']);
            if is_path && !root().join(path).exists() {
                missing.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn each_link_leads_somewhere() {
    let mut broken = Vec::new();
    for document in DOCUMENTS {
        let text = read(document);
        for target in links(&text) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = Path::new(document).parent().expect("a folder");
            let place = if path.is_empty() { root().join(document) } else { root().join(folder).join(path) };
            let there = place.exists()
                && (anchor.is_empty() || fs::read_to_string(place).is_ok_and(|text| anchors(&text).contains(anchor)));
            if !there {
                broken.push(format!("{document}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The table of rules: file and function in the second column, tests in the third.
#[test]
fn each_rule_of_the_architecture_has_its_function_and_its_test() {
    let mut code = String::new();
    for folder in ["host", "plugins", "sdk", "tests/e2e"] {
        sources(&root().join(folder), &mut code);
    }
    let text = read("ARCHITECTURE.md");
    let table = text.split("## Where each rule lives").nth(1).and_then(|rest| rest.split("\n## ").next());
    let rows: Vec<&str> = table.expect("the table").lines().filter(|line| line.contains(".rs`")).collect();
    assert!(rows.len() > 20, "{rows:#?}");
    let mut missing = Vec::new();
    for row in rows {
        for name in in_code_marks(row).into_iter().filter(|name| !name.contains(['/', ' '])) {
            let name = name.rsplit("::").next().unwrap_or(name);
            let is_defined = ["fn", "struct"].iter().any(|kind| {
                code.contains(&format!("{kind} {name}("))
                    || code.contains(&format!("{kind} {name}<"))
                    || code.contains(&format!("{kind} {name} "))
            });
            if !is_defined && name != "after" {
                missing.push(name.to_owned());
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The numbers of the README come from the code.
#[test]
fn the_example_is_as_short_as_is_said() {
    assert!(read("examples/todo/src/lib.rs").lines().count() < 60);
}
