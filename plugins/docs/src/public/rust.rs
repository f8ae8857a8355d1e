//! Libraries of Rust: which there are, and their modules.

use std::collections::HashMap;

use convoke_sdk::{Entry, Project};
use toml::{Table, Value};

use super::rust_reach::{Node, reached};
use super::rust_scan::{Kind, scan};
use super::{Checked, Language, Package, below, folder_of, inside, is_aside, read};

/// The most files of one library.
const MOST_FILES: usize = 4_000;
/// The deepest module that is followed.
const DEEPEST: usize = 32;

/// The library that a manifest of Cargo describes, if it is meant for others.
pub(super) async fn library(project: &impl Project, manifest: &str, files: &[Entry]) -> Option<Package> {
    let folder = folder_of(manifest);
    if is_aside(manifest) {
        return None;
    }
    let text = read(project, manifest).await.ok()?;
    let table = text.parse::<Table>().ok()?;
    let package = table.get("package")?;
    if package.get("publish").and_then(Value::as_bool) == Some(false) {
        return None;
    }
    let library = table.get("lib");
    let of = |key: &str| library.and_then(|library| library.get(key));
    if let Some(kinds) = of("crate-type").and_then(Value::as_array) {
        // What is made for other languages has no interface of Rust.
        let of_rust = |kind: &Value| matches!(kind.as_str(), Some("lib" | "rlib" | "dylib" | "proc-macro"));
        if !kinds.iter().any(of_rust) {
            return None;
        }
    }
    let root = below(folder, of("path").and_then(Value::as_str).unwrap_or("src/lib.rs").trim_start_matches("./"));
    files.iter().find(|entry| entry.path == root)?;
    let source = folder_of(&root);
    let bytes = files.iter().filter(|entry| inside(source, &entry.path).is_some()).map(|entry| entry.size).sum();
    Some(Package { language: Language::Rust, folder: folder.to_owned(), root, bytes })
}

/// A module whose file is still to be read.
struct Open {
    path: Vec<String>,
    /// Where its text may be.
    files: Vec<String>,
}

pub(super) async fn check(project: &impl Project, package: &Package) -> Checked {
    let mut checked = Checked::default();
    let mut nodes: Vec<Node> = Vec::new();
    let mut open = vec![Open { path: Vec::new(), files: vec![package.root.clone()] }];
    while let Some(next) = open.pop() {
        let Some(file) = first(project, &next.files).await else {
            // A module that is made while building, or left out by a condition.
            continue;
        };
        if nodes.len() >= MOST_FILES {
            checked.unread(&file, "there are too many modules");
            continue;
        }
        match read(project, &file).await.and_then(|text| scan(&text)) {
            Ok(module) => {
                // Modules of `lib.rs` and `mod.rs` stand beside them, those of `x.rs` in `x/`.
                let name = super::name_of(&file);
                let stem = name.strip_suffix(".rs").unwrap_or(name);
                let beside = next.path.is_empty() || stem == "mod";
                let folder = folder_of(&file);
                let folder = if beside { folder.to_owned() } else { below(folder, stem) };
                place(Node { path: next.path, file, module }, &folder, &mut nodes, &mut open);
            }
            Err(why) => checked.unread(&file, &why),
        }
    }
    for (file, items) in reached(&nodes) {
        checked.add(&file, items);
    }
    checked
}

async fn first(project: &impl Project, files: &[String]) -> Option<String> {
    for file in files {
        if matches!(project.exists(file).await, Ok(Some(convoke_sdk::Kind::File))) {
            return Some(file.clone());
        }
    }
    None
}

/// Adds a module and those within its braces, and notes which files belong to it.
fn place(node: Node, folder: &str, nodes: &mut Vec<Node>, open: &mut Vec<Open>) {
    let mut inner = vec![(node, folder.to_owned())];
    while let Some((mut node, folder)) = inner.pop() {
        for item in &mut node.module.items {
            let Kind::Module { inner: braces, path } = &mut item.kind else { continue };
            let mut child = node.path.clone();
            child.push(item.name.clone());
            if child.len() > DEEPEST {
                continue;
            }
            let place = below(&folder, &item.name);
            match braces.take() {
                Some(module) => {
                    item.documented |= module.documented;
                    inner.push((Node { path: child, file: node.file.clone(), module }, place));
                }
                None => {
                    let files = match path {
                        Some(path) => crate::names::joined(folder_of(&node.file), path).into_iter().collect(),
                        None => vec![format!("{place}.rs"), format!("{place}/mod.rs")],
                    };
                    open.push(Open { path: child, files });
                }
            }
        }
        nodes.push(node);
    }
}

/// The modules by their paths.
pub(super) fn by_path(nodes: &[Node]) -> HashMap<&[String], usize> {
    nodes.iter().enumerate().map(|(at, node)| (node.path.as_slice(), at)).collect()
}
