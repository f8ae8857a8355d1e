//! Which paths are the same, for items that write.
//!
//! It is decided by the names alone, without looking at the disk: files that are to be written need not be there. A path
//! inside of another one counts as common with it: who writes a folder may write all that is in it. Names that differ
//! in case are different.

use std::collections::HashMap;

/// A path as its parts: `./a//b/` and `a/x/../b` are `a/b`. What leads out keeps its `..`, and an absolute path is none
/// below the project.
pub fn normalised(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Whether two paths, each [`normalised`], are the same, or one is inside of the other.
pub fn overlap(one: &str, other: &str) -> bool {
    let inside = |inner: &str, outer: &str| {
        outer.is_empty() || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    inside(one, other) || inside(other, one)
}

/// The paths of a board, as a tree of folders: who writes at each, and how many write below.
#[derive(Debug, Default)]
pub(super) struct Paths {
    nodes: Vec<Node>,
    numbers: HashMap<String, usize>,
}

#[derive(Debug)]
struct Node {
    parent: Option<usize>,
    writer: Option<usize>,
    /// How many of the paths below are being written.
    below: usize,
}

impl Paths {
    /// The numbers of an item's paths, each once.
    pub(super) fn numbers(&mut self, paths: &[String]) -> Vec<usize> {
        let mut numbers: Vec<usize> = paths.iter().map(|path| self.number(&normalised(path))).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    fn number(&mut self, path: &str) -> usize {
        if let Some(number) = self.numbers.get(path) {
            return *number;
        }
        let mut parent = (!path.is_empty()).then(|| self.number(""));
        for (end, _) in path.match_indices('/') {
            parent = Some(self.insert(&path[..end], parent));
        }
        self.insert(path, parent)
    }

    fn insert(&mut self, path: &str, parent: Option<usize>) -> usize {
        if let Some(number) = self.numbers.get(path) {
            return *number;
        }
        self.nodes.push(Node { parent, writer: None, below: 0 });
        self.numbers.insert(path.to_owned(), self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// Whether nobody writes there, in it, or a folder that it is in.
    pub(super) fn is_free(&self, path: usize) -> bool {
        self.nodes[path].below == 0 && self.upwards(path).all(|node| self.nodes[node].writer.is_none())
    }

    /// Whether the two are the same, or one is inside of the other.
    pub(super) fn overlap(&self, one: usize, other: usize) -> bool {
        self.upwards(one).any(|node| node == other) || self.upwards(other).any(|node| node == one)
    }

    /// This item writes there from now on. It must be free, or the item's own.
    pub(super) fn take(&mut self, path: usize, item: usize) {
        if self.nodes[path].writer.replace(item).is_none() {
            self.below(path, |below| below + 1);
        }
    }

    /// Nobody writes there any more.
    pub(super) fn give_back(&mut self, path: usize) {
        if self.nodes[path].writer.take().is_some() {
            self.below(path, |below| below.saturating_sub(1));
        }
    }

    fn below(&mut self, path: usize, change: impl Fn(usize) -> usize) {
        let mut next = self.nodes[path].parent;
        while let Some(node) = next {
            self.nodes[node].below = change(self.nodes[node].below);
            next = self.nodes[node].parent;
        }
    }

    /// It, and the folders that it is in.
    fn upwards(&self, path: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(path), |node| self.nodes[*node].parent)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_path_has_one_name() {
        for (path, name) in [
            ("a/b", "a/b"),
            ("./a//b/", "a/b"),
            ("a/x/../b", "a/b"),
            ("/a", "a"),
            (".", ""),
            ("../a", "../a"),
            ("../../a", "../../a"),
        ] {
            assert_eq!(normalised(path), name, "{path}");
        }
    }

    #[test]
    fn what_is_inside_is_common_and_what_only_begins_alike_is_not() {
        assert!(overlap("a", "a") && overlap("a/b", "a") && overlap("a", "a/b/c") && overlap("", "a"));
        assert!(!overlap("a", "ab") && !overlap("a/b", "a/c") && !overlap("a", "A"));
    }

    proptest! {
        #[test]
        fn the_tree_says_what_the_names_say(texts in prop::collection::vec("([ab]/){0,3}[ab]?", 1..8), taken in 0_usize..8) {
            let mut paths = Paths::default();
            let numbers: Vec<usize> = texts.iter().map(|text| paths.numbers(std::slice::from_ref(text))[0]).collect();
            let taken = taken % texts.len();
            paths.take(numbers[taken], 0);
            for (text, number) in texts.iter().zip(&numbers) {
                let common = overlap(&normalised(text), &normalised(&texts[taken]));
                prop_assert_eq!(paths.overlap(*number, numbers[taken]), common);
                prop_assert_eq!(paths.is_free(*number), !common);
            }
            paths.give_back(numbers[taken]);
            prop_assert!(numbers.iter().all(|number| paths.is_free(*number)));
        }
    }
}
