//! The index: which component each name means, and what is known of each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::InstallError;
use super::asks::asks;
use crate::plugin::inspect::Inspected;
use crate::plugin::manifest::{Manifest, ManifestError};
use crate::plugin::printable;

/// The version of the format that this host writes, and the newest that it reads. A newer file is never rewritten.
const VERSION: u32 = 1;

/// Which component each name means, and what is known of each. As it stands in `index.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    version: u32,
    /// By the command's name: what the user has installed under it.
    commands: BTreeMap<String, Chosen>,
    /// By digest: all components that are kept, also those that only projects pin.
    components: BTreeMap<String, Held>,
}

/// What the user has installed under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chosen {
    digest: String,
    source: String,
}

/// A command that the user has installed.
#[derive(Clone, Copy, Debug)]
pub struct Installed<'a> {
    /// Its name.
    pub name: &'a str,
    /// The digest of its component.
    pub digest: &'a str,
    /// What an update asks again: a path, a URL, a reference with a tag, or a name with the versions that would do.
    pub source: &'a str,
    /// What is known of its component.
    pub held: &'a Held,
}

/// What is known of a component that is kept, so that lists and help texts need not read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Where the bytes came from, exactly.
    pub resolved: String,
    /// Bytes.
    pub size: u64,
    /// When it was installed.
    pub installed: Timestamp,
    /// The version of convoke that installed it.
    pub by: String,
    /// The names of its imports.
    pub imports: Vec<String>,
    /// Its manifest, as its component has it. Read with [`manifest`](Self::manifest): a later host may write what this one
    /// can't read, and only that command is lost then.
    manifest: serde_json::Value,
    /// The projects for which it was installed. It is kept while the lockfile of one of them names it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub projects: BTreeSet<PathBuf>,
}

impl Held {
    /// What is known of a component that was inspected.
    ///
    /// # Errors
    /// None that an inspected manifest could give.
    pub(super) fn new(inspected: &Inspected, resolved: &str) -> Result<Self, ManifestError> {
        let manifest = serde_json::from_slice(&inspected.manifest.to_json()?).unwrap_or_default();
        Ok(Self {
            resolved: resolved.to_owned(),
            size: inspected.size,
            installed: Timestamp::now(),
            by: env!("CARGO_PKG_VERSION").to_owned(),
            imports: inspected.imports.clone(),
            manifest,
            projects: BTreeSet::new(),
        })
    }

    /// The manifest, checked by all its rules.
    ///
    /// # Errors
    /// As [`Manifest::from_json`].
    pub fn manifest(&self) -> Result<Manifest, ManifestError> {
        Manifest::from_json(self.manifest.to_string().as_bytes())
    }

    /// The version that its manifest has; 0.0.0 where that can't be read.
    pub fn version(&self) -> Version {
        let text = self.manifest.get("version").and_then(serde_json::Value::as_str);
        text.and_then(|text| text.parse().ok()).unwrap_or(Version::new(0, 0, 0))
    }

    /// What it asks for, in words. Nothing where its manifest can't be read: then it can't run either.
    pub fn asks(&self) -> Vec<String> {
        self.manifest().map(|manifest| asks(&manifest)).unwrap_or_default()
    }
}

impl Default for Index {
    fn default() -> Self {
        Self { version: VERSION, commands: BTreeMap::new(), components: BTreeMap::new() }
    }
}

impl Index {
    /// Reads the text of that file.
    ///
    /// # Errors
    /// [`InstallError::Newer`] and [`InstallError::Broken`].
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, InstallError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let broken = |why: String| InstallError::Broken { path: path.to_owned(), why: printable(&why, 200) };
        let Versioned { version } = serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
        if version > u64::from(VERSION) {
            return Err(InstallError::Newer { path: path.to_owned(), version, known: VERSION });
        }
        let index: Self = serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
        if let Some(digest) = index.components.keys().find(|digest| !is_digest(digest)) {
            return Err(broken(format!("{digest:?} is no digest")));
        }
        match index.commands.iter().find(|(_, chosen)| !index.components.contains_key(&chosen.digest)) {
            Some((name, _)) => Err(broken(format!("the component of {name:?} is missing"))),
            None => Ok(index),
        }
    }

    pub(super) fn text(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// What the user has installed, by name.
    pub fn commands(&self) -> impl Iterator<Item = Installed<'_>> {
        self.commands.iter().filter_map(|(name, chosen)| self.installed(name, chosen))
    }

    /// What a name means.
    pub fn command(&self, name: &str) -> Option<Installed<'_>> {
        let (name, chosen) = self.commands.get_key_value(name)?;
        self.installed(name, chosen)
    }

    fn installed<'a>(&'a self, name: &'a str, chosen: &'a Chosen) -> Option<Installed<'a>> {
        let held = self.components.get(&chosen.digest)?;
        Some(Installed { name, digest: &chosen.digest, source: &chosen.source, held })
    }

    /// A component that is kept, whatever it is for.
    pub fn component(&self, digest: &str) -> Option<&Held> {
        self.components.get(digest)
    }

    /// The digests of all components that are kept.
    pub fn digests(&self) -> impl Iterator<Item = &str> {
        self.components.keys().map(String::as_str)
    }

    /// Whether each name means the same in both.
    pub(super) fn same_commands(&self, other: &Self) -> bool {
        self.commands == other.commands
    }

    /// Keeps a component. One that is there already keeps its projects.
    pub(super) fn keep(&mut self, digest: &str, mut held: Held) {
        if let Some(before) = self.components.remove(digest) {
            held.projects.extend(before.projects);
        }
        self.components.insert(digest.to_owned(), held);
    }

    /// From now on a name means that component.
    pub(super) fn choose(&mut self, name: &str, digest: &str, source: &str) {
        self.commands.insert(name.to_owned(), Chosen { digest: digest.to_owned(), source: source.to_owned() });
    }

    /// A project uses a component.
    pub(super) fn mark(&mut self, digest: &str, project: &Path) {
        if let Some(held) = self.components.get_mut(digest) {
            held.projects.insert(project.to_owned());
        }
    }

    /// From now on a name means nothing.
    pub(super) fn forget(&mut self, name: &str) {
        self.commands.remove(name);
    }

    /// Takes out what is no command's and which no project uses any more; `uses` says whether one does.
    pub(super) fn drop_unused(&mut self, uses: impl Fn(&Path, &str) -> bool) {
        let chosen: BTreeSet<&String> = self.commands.values().map(|chosen| &chosen.digest).collect();
        self.components.retain(|digest, held| {
            held.projects.retain(|project| uses(project, digest));
            chosen.contains(digest) || !held.projects.is_empty()
        });
    }
}

/// Whether a text is a sha-256 in lower-case hexadecimal: it becomes a file's name.
pub(crate) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Index, InstallError> {
        Index::parse(Path::new("index.json"), text)
    }

    #[test]
    fn an_index_of_a_newer_convoke_is_refused_whatever_it_holds() {
        let error = parsed(r#"{"version":2,"shape":"unknown"}"#).unwrap_err();
        assert!(matches!(error, InstallError::Newer { version: 2, .. }), "{error}");
        assert!(error.hint().unwrap().contains("not changed"));
    }

    #[test]
    fn an_index_that_is_damaged_says_so() {
        let name_only = r#"{"version":1,"commands":{"x":{"digest":"00","source":"s"}},"components":{}}"#;
        for text in
            ["", "{", "[]", r#"{"version":1}"#, r#"{"version":1,"commands":{},"components":{},"x":1}"#, name_only]
        {
            assert!(matches!(parsed(text), Err(InstallError::Broken { .. })), "{text}");
        }
    }

    #[test]
    fn only_a_sha_256_becomes_a_files_name() {
        assert!(is_digest(&"0a".repeat(32)));
        for text in ["", "../x", &"0A".repeat(32), &"0".repeat(63), &"/".repeat(64)] {
            assert!(!is_digest(text), "{text}");
        }
    }
}
