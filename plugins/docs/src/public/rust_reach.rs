//! Which items of a library of Rust its users can reach: what the root makes public, and what it exports again from modules of
//! its own.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Public;
use super::rust::by_path;
use super::rust_scan::{Item, Kind, Module, Use};

/// A module in its place.
#[derive(Debug)]
pub(super) struct Node {
    /// Its path from the root.
    pub(super) path: Vec<String>,
    pub(super) file: String,
    pub(super) module: Module,
}

/// So many steps from one `use` to the next are followed.
const MOST_STEPS: usize = 16;

/// The public items by file.
pub(super) fn reached(nodes: &[Node]) -> BTreeMap<String, Vec<Public>> {
    let index = by_path(nodes);
    let mut reach = Reach { nodes, index, whole: HashSet::new(), open: Vec::new(), items: HashMap::new() };
    if let Some(root) = reach.index.get([].as_slice()) {
        reach.open.push(*root);
    }
    reach.follow();
    reach.found()
}

struct Reach<'a> {
    nodes: &'a [Node],
    index: HashMap<&'a [String], usize>,
    /// Modules of which everything public is reached.
    whole: HashSet<usize>,
    open: Vec<usize>,
    /// Items by module and number: whether what exports them again documents them.
    items: HashMap<(usize, usize), bool>,
}

impl<'a> Reach<'a> {
    fn follow(&mut self) {
        while let Some(at) = self.open.pop() {
            if !self.whole.insert(at) {
                continue;
            }
            let Some(node) = self.nodes.get(at) else { continue };
            for (number, item) in node.module.items.iter().enumerate().filter(|(_, item)| item.public) {
                self.mark(at, number, item, false);
            }
            for used in &node.module.uses {
                self.used(at, used, used.documented, MOST_STEPS);
            }
        }
        for (at, node) in self.nodes.iter().enumerate() {
            for (number, item) in node.module.items.iter().enumerate() {
                if item.public && item.kind == Kind::Macro {
                    self.items.entry((at, number)).or_default();
                }
            }
        }
    }

    fn mark(&mut self, at: usize, number: usize, item: &'a Item, documented: bool) {
        *self.items.entry((at, number)).or_default() |= documented;
        if let Kind::Module { .. } = item.kind
            && let Some(child) = self.child(at, &item.name)
        {
            self.open.push(child);
        }
    }

    fn child(&self, at: usize, name: &str) -> Option<usize> {
        let mut path = self.nodes.get(at)?.path.clone();
        path.push(name.to_owned());
        self.index.get(path.as_slice()).copied()
    }

    /// The module that the path of a `use` leads to. None: it is no module of this library.
    fn module(&self, at: usize, path: &[String]) -> Option<usize> {
        let mut place = self.nodes.get(at)?.path.clone();
        for (step, part) in path.iter().enumerate() {
            match part.as_str() {
                "crate" if step == 0 => place.clear(),
                "self" if step == 0 => {}
                "super" => {
                    place.pop()?;
                }
                part => place.push(part.to_owned()),
            }
        }
        self.index.get(place.as_slice()).copied()
    }

    fn used(&mut self, at: usize, used: &'a Use, documented: bool, steps: usize) {
        // A bare name is one of another library.
        if steps == 0 || used.path.is_empty() {
            return;
        }
        let Some(module) = self.module(at, &used.path) else { return };
        if used.name == "*" {
            self.open.push(module);
        } else {
            self.named(module, &used.name, documented, steps - 1);
        }
    }

    fn named(&mut self, at: usize, name: &str, documented: bool, steps: usize) {
        let nodes = self.nodes;
        let Some(node) = nodes.get(at) else { return };
        let mut is_there = false;
        for (number, item) in node.module.items.iter().enumerate().filter(|(_, item)| item.name == name) {
            self.mark(at, number, item, documented);
            is_there = true;
        }
        if is_there || steps == 0 {
            return;
        }
        if let Some(used) = node.module.uses.iter().find(|used| used.alias == name) {
            self.used(at, used, documented || used.documented, steps);
            return;
        }
        for used in node.module.uses.iter().filter(|used| used.name == "*") {
            if let Some(module) = self.module(at, &used.path) {
                self.named(module, name, documented, steps / 2);
            }
        }
    }

    fn found(&self) -> BTreeMap<String, Vec<Public>> {
        let mut found: BTreeMap<String, Vec<Public>> = BTreeMap::new();
        // Types by their names: where several have the same, an implementation is that of its own module.
        let mut types: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, node) in self.nodes.iter().enumerate() {
            for item in &node.module.items {
                if matches!(item.kind, Kind::Type | Kind::Trait(_)) {
                    types.entry(item.name.as_str()).or_default().push(at);
                }
            }
        }
        let mut public_types: HashSet<(usize, &str)> = HashSet::new();
        for ((at, number), documented) in &self.items {
            let Some((node, item)) = self.nodes.get(*at).and_then(|node| Some((node, node.module.items.get(*number)?)))
            else {
                continue;
            };
            let in_file = found.entry(node.file.clone()).or_default();
            let by_child = matches!(item.kind, Kind::Module { .. })
                && self
                    .child(*at, &item.name)
                    .and_then(|child| self.nodes.get(child))
                    .is_some_and(|child| child.module.documented);
            let documented = item.documented || *documented || by_child;
            in_file.push(Public { name: item.name.clone(), line: item.line, documented });
            if let Kind::Trait(items) = &item.kind {
                in_file.extend(items.iter().map(|inner| member(&item.name, inner)));
            }
            if matches!(item.kind, Kind::Type | Kind::Trait(_)) {
                public_types.insert((*at, item.name.as_str()));
            }
        }
        for (at, node) in self.nodes.iter().enumerate() {
            for (of, items) in &node.module.impls {
                let is_public = match types.get(of.as_str()).map(Vec::as_slice) {
                    Some([one]) => public_types.contains(&(*one, of.as_str())),
                    _ => public_types.contains(&(at, of.as_str())),
                };
                if is_public {
                    let in_file = found.entry(node.file.clone()).or_default();
                    in_file.extend(items.iter().map(|item| member(of, item)));
                }
            }
        }
        found
    }
}

fn member(of: &str, item: &Item) -> Public {
    Public { name: format!("{of}::{}", item.name), line: item.line, documented: item.documented }
}

#[cfg(test)]
mod tests {
    use crate::public::testing::items;

    const MANIFEST: (&str, &str) = ("Cargo.toml", "[package]\nname = 'a'\n");

    fn of(files: &[(&str, &str)]) -> Vec<String> {
        items(&[&[MANIFEST], files].concat())
    }

    #[test]
    fn what_the_root_makes_public_is_reached() {
        let root = "//! Root\npub mod a;\nmod b;\n/// C\npub mod c { pub fn d() {} }\npub(crate) fn e() {}\n";
        let files = [
            ("src/lib.rs", root),
            ("src/a.rs", "//! A\npub struct S; impl S { pub fn m() {} fn n() {} }"),
            ("src/b.rs", "pub fn no() {}"),
        ];
        assert_eq!(of(&files), ["src/a.rs:2 S, S::m", "src/lib.rs:5 d", "3 of 5"]);
    }

    #[test]
    fn what_is_exported_again_is_reached() {
        let root = "mod a;\nmod b;\nmod c;\npub use a::{One, deep::Three};\npub use b::*;\n/// Said here.\npub use crate::c::Five;\npub use other::Six;\n";
        let files = [
            ("src/lib.rs", root),
            ("src/a.rs", "pub struct One; pub struct Two; pub(crate) mod deep;"),
            ("src/a/deep.rs", "pub use super::super::c::Four as Three;"),
            ("src/b.rs", "pub fn b() {}"),
            ("src/c/mod.rs", "pub trait Four { /// Said.\n fn x(); fn y(); } pub struct Five; pub struct Seven;"),
        ];
        assert_eq!(of(&files), ["src/a.rs:1 One", "src/b.rs:1 b", "src/c/mod.rs:1 Four, Four::y", "4 of 6"]);
    }

    #[test]
    fn circles_of_exports_end() {
        let files = [
            ("src/lib.rs", "pub mod a;\npub use a::*;\npub use a::X;"),
            ("src/a.rs", "//! A\npub use crate::*;\npub use crate::X;\npub use super::a::*;"),
        ];
        assert_eq!(of(&files), ["0 of 1"]);
    }

    #[test]
    fn binaries_tests_and_what_is_not_published_are_no_libraries() {
        assert_eq!(of(&[("src/main.rs", "pub fn a() {}")]), [""; 0]);
        assert_eq!(
            items(&[("Cargo.toml", "[package]\nname='a'\npublish=false"), ("src/lib.rs", "pub fn a() {}")]),
            [""; 0]
        );
        let other = "[package]\nname='a'\n[lib]\ncrate-type=['cdylib']";
        assert_eq!(items(&[("Cargo.toml", other), ("src/lib.rs", "pub fn a() {}")]), [""; 0]);
        assert_eq!(
            items(&[("tests/x/Cargo.toml", "[package]\nname='a'"), ("tests/x/src/lib.rs", "pub fn a() {}")]),
            [""; 0]
        );
    }

    #[test]
    fn the_same_name_twice_is_told_apart_by_its_module() {
        let files = [(
            "src/lib.rs",
            "/// S\npub struct S;\nmod p { pub struct S; impl S { pub fn no() {} } }\nimpl S { pub fn m() {} }",
        )];
        assert_eq!(of(&files), ["src/lib.rs:4 S::m", "1 of 2"]);
    }
}
