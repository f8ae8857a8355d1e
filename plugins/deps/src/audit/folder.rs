//! A folder of advisories: OSV's JSON files, RustSec's files, or both. It is found out by looking.
//!
//! The plan looks once at all of it, and gives each unit the advisories of its own packages: so an item reads what it needs,
//! and is done again when one of those changes, or another one comes.

use convoke_sdk::small::{Map, Set};

use convoke_sdk::prelude::*;
use convoke_sdk::text::shown;
use convoke_sdk::{Kind, Project};
use futures::{FutureExt, StreamExt};

use super::reading::in_order;
use crate::model::Ecosystem;
use crate::osv::name::key;
use crate::osv::{self, Advisory, Broken};
use crate::rustsec::{self, Place};

/// So many files are read at once.
const AT_ONCE: usize = 16;

/// Which advisories there are, by the packages that they are about.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// The folder, as the user typed it.
    folder: String,
    by_package: Map<(Ecosystem, String), Vec<String>>,
    covered: Set<Ecosystem>,
    /// How many advisories there are.
    pub advisories: usize,
    /// What could not be read, so that nobody knows which packages it is about: the file, and why.
    pub broken: Vec<(String, Broken)>,
}

/// The advisories of one unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde")]
pub struct Named {
    /// Their files.
    pub files: Vec<String>,
    /// Whether there are advisories for its packages' ecosystem at all: else nothing can be said about them.
    pub covered: bool,
    /// The folder, for messages.
    pub folder: String,
}

impl Index {
    /// Looks at a folder.
    ///
    /// # Errors
    /// When it is not there, or holds no advisory.
    pub async fn of(project: &impl Project, folder: &str) -> Result<Self> {
        let base = if folder == "." { "" } else { folder.trim_end_matches('/') };
        let said = shown(folder, 300);
        let entries = match project.stat(base).await {
            Ok(None) => {
                return Err(Error::new(format!("there is no folder {said}")).hint("name a folder of advisories"));
            }
            _ => project.list(&Query::files(&["*.json", "*.md", "*.toml"]).under(base).ignored()).await?,
        };
        let mut index = Self { folder: said.clone(), ..Self::default() };
        let mut osv = Vec::new();
        for entry in entries.into_iter().filter(|entry| matches!(entry.kind, Kind::File | Kind::Link)) {
            match rustsec::place(&entry.path) {
                Some(Place::Crate(name)) => {
                    let package = (Ecosystem::CratesIo, key(Ecosystem::CratesIo, name));
                    index.by_package.entry(package).or_default().push(entry.path);
                    index.covered.insert(Ecosystem::CratesIo);
                    index.advisories += 1;
                }
                // What comes with the compiler is in no lockfile.
                Some(Place::Rust) => {}
                None if entry.path.ends_with(".json") => osv.push(entry.path),
                None => {}
            }
        }
        let read = |path: String| {
            let text = async move { (project.read_text(&path).await, path) };
            text.boxed_local()
        };
        let mut read = in_order(Box::new(osv.into_iter().map(read)), AT_ONCE);
        while let Some((text, path)) = read.next().await {
            for advisory in advisories(text) {
                match advisory {
                    Ok(advisory) => index.add(&path, &advisory),
                    Err(broken) => index.broken.push((path.clone(), broken)),
                }
            }
        }
        if index.advisories == 0 {
            let error = match index.broken.first() {
                Some((path, broken)) => format!("no advisory in {said} can be read; {}: {broken}", shown(path, 300)),
                None => format!("there are no advisories in {said}"),
            };
            return Err(
                Error::new(error).hint("name a folder of OSV's JSON files, or one of RustSec with crates/ in it")
            );
        }
        Ok(index)
    }

    fn add(&mut self, path: &str, advisory: &Advisory) {
        self.advisories += 1;
        let packages: Set<(Ecosystem, String)> = advisory
            .affected
            .iter()
            .map(|affected| (affected.ecosystem, key(affected.ecosystem, &affected.name)))
            .collect();
        for package in packages {
            self.covered.insert(package.0);
            let files = self.by_package.entry(package).or_default();
            if files.last().is_none_or(|last| last != path) {
                files.push(path.to_owned());
            }
        }
    }

    /// What of it is about these packages.
    pub fn of_packages<'a>(&self, ecosystem: Ecosystem, names: impl Iterator<Item = &'a str>) -> Named {
        let named: Set<String> = names.map(|name| key(ecosystem, name)).collect();
        let files: Set<&String> =
            named.into_iter().filter_map(|name| self.by_package.get(&(ecosystem, name))).flatten().collect();
        let files = files.into_iter().cloned().collect();
        Named { files, covered: self.covered.contains(&ecosystem), folder: self.folder.clone() }
    }
}

/// The advisories of a JSON file, and what of it can't be read.
fn advisories(text: Result<String>) -> Vec<Result<Advisory, Broken>> {
    let text = text.map_err(|error| Broken::new(None, &error.message));
    text.and_then(|text| osv::read_all(&text)).unwrap_or_else(|broken| vec![Err(broken)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use convoke_sdk::testing::{Map, now};

    const OSV: &str = r#"{"id": "TEST-1", "modified": "2026-01-01T00:00:00Z", "affected": [
        {"package": {"ecosystem": "PyPI", "name": "Flask_Login"}, "ranges": []},
        {"package": {"ecosystem": "npm", "name": "left"}, "versions": ["1.0.0"]}]}"#;

    fn index(files: &[(&str, &str)]) -> Result<Index> {
        now(Index::of(&Map::with(files), "db"))
    }

    #[test]
    fn a_folder_of_osv_files_is_known_by_what_they_are_about() {
        let index = index(&[("db/a/TEST-1.json", OSV), ("db/b.json", "{"), ("db/README.md", "")]).unwrap();
        let of = |ecosystem, name: &str| index.of_packages(ecosystem, [name].into_iter());
        assert_eq!(of(Ecosystem::PyPI, "flask-login").files, ["db/a/TEST-1.json"]);
        assert_eq!(of(Ecosystem::Npm, "right"), Named { files: vec![], covered: true, folder: "db".to_owned() });
        assert!(!of(Ecosystem::Maven, "a:b").covered);
        assert_eq!((index.advisories, index.broken[0].0.as_str()), (1, "db/b.json"));
    }

    #[test]
    fn a_folder_of_rustsec_is_known_by_its_names_and_not_read() {
        let index = index(&[
            ("db/crates/time/RUSTSEC-2020-0071.md", "not read yet"),
            ("db/crates/time/notes.md", ""),
            ("db/rust/std/CVE-2020-1.md", ""),
        ])
        .unwrap();
        let found = index.of_packages(Ecosystem::CratesIo, ["time", "serde"].into_iter());
        assert_eq!((found.files, found.covered), (vec!["db/crates/time/RUSTSEC-2020-0071.md".to_owned()], true));
        assert!(!index.of_packages(Ecosystem::PyPI, ["time"].into_iter()).covered);
    }

    #[test]
    fn a_folder_without_advisories_is_an_error_and_not_an_empty_answer() {
        assert_eq!(index(&[("db/README.md", "")]).unwrap_err().message, "there are no advisories in db");
        assert_eq!(index(&[("x", "")]).unwrap_err().message, "there is no folder db");
        assert!(
            index(&[("db/b.json", "{")]).unwrap_err().message.starts_with("no advisory in db can be read; db/b.json")
        );
    }
}
