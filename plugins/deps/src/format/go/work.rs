//! `go.work`: modules that are built together, and what is replaced for all of them.

use super::module::{Replacement, replacement};
use super::syntax::statements;
use crate::format::reading::{Faults, too_many};
use crate::model::{File, Manager, Manifest, Texts, beside, folder};

/// Reads a `go.work`: its members are the folders that it uses.
pub(super) fn parse(path: &str, text: &str, _: &Texts) -> File {
    let file = File::new(path, Manager::Go, "go.work");
    let mut faults = Faults::default();
    let Some(work) = read(text, &mut faults) else { return too_many(file) };
    faults.into(File { manifest: Some(Manifest { members: work.uses, ..Manifest::default() }), ..file })
}

/// What a `go.work` says.
#[derive(Default)]
pub(super) struct Work {
    /// Folders, relative to its own.
    pub(super) uses: Vec<String>,
    pub(super) replaced: Vec<Replacement>,
}

fn read(text: &str, faults: &mut Faults) -> Option<Work> {
    let mut work = Work::default();
    for statement in statements(text, faults)? {
        match (&*statement.verb, statement.words.as_slice()) {
            ("use", [folder]) => work.uses.push(folder.clone().into_owned()),
            ("replace", words) => match replacement(words) {
                Ok(replaced) => work.replaced.push(replaced),
                Err(message) => faults.add(statement.line, message),
            },
            ("go" | "toolchain" | "godebug", _) => {}
            ("use", _) => faults.add(statement.line, "use takes one folder"),
            (verb, _) => faults.add(statement.line, &format!("go.work has no directive {verb}")),
        }
    }
    Some(work)
}

/// The workspace that a module belongs to: the nearest `go.work` above it, where that uses it. With it, its path.
pub(super) fn of_module<'a>(module: &str, texts: &'a Texts) -> Option<(&'a str, Work)> {
    let mut above = folder(module);
    let found = loop {
        let path = if above.is_empty() { "go.work".to_owned() } else { format!("{above}/go.work") };
        if let Some((path, text)) = texts.get_key_value(&path) {
            break Some((path.as_str(), text));
        }
        if above.is_empty() {
            break None;
        }
        above = folder(above);
    };
    let (path, text) = found?;
    // What is wrong in it is told with the file itself.
    let work = read(text, &mut Faults::default())?;
    let own = folder(module);
    work.uses.iter().any(|used| beside(path, used).as_deref() == Some(own)).then_some((path, work))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_members_are_what_it_uses() {
        let text = "go 1.22\nuse ./a\nuse (\n\t./b\n\t.\n)\nreplace x v1.0.0 => ../x\nuse\nrequire y v1\n";
        let file = parse("go.work", text, &Texts::new());
        assert_eq!(file.manifest.expect("a manifest").members, ["./a", "./b", "."]);
        assert_eq!(file.faults.iter().filter_map(|fault| fault.line).collect::<Vec<_>>(), [8, 9]);
    }

    #[test]
    fn the_nearest_counts_where_it_uses_the_module() {
        let texts = Texts::from([("go.work".to_owned(), "use ./a/b\n".to_owned())]);
        assert_eq!(of_module("a/b/go.mod", &texts).map(|(path, _)| path), Some("go.work"));
        assert!(of_module("a/c/go.mod", &texts).is_none());
        assert!(of_module("go.mod", &Texts::new()).is_none());
    }
}
