//! A project's `convoke.lock`: which bytes its pins mean. Written by convoke, kept beside `convoke.toml`.
//!
//! ```toml
//! version = 1
//!
//! [[plugin]]
//! name = "deps"
//! version = "0.2.1"
//! source = "oci://registry.example/commands/deps:0.2.1"
//! digest = "0000000000000000000000000000000000000000000000000000000000000000"
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use semver::Version;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::InstallError;
use super::index::is_digest;
use crate::config::document::{self, Document};
use crate::config::files::write_atomic;
use crate::config::{ConfigError, VERSION};
use crate::plugin::manifest::is_name;

/// Its name.
pub const LOCKFILE: &str = "convoke.lock";

/// The first lines of each.
const HEAD: &str = "# Written by `convoke install` and `convoke update`. Keep it with the project.\n";

/// What a project's pins mean, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lockfile {
    /// By the command's name.
    pub plugins: BTreeMap<String, Locked>,
}

/// What a pin means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// The version that the component says it has.
    pub version: Version,
    /// Where its bytes come from, exactly.
    pub source: String,
    /// The place that `convoke.toml` named, where it named one. With another one there, this is not what is pinned.
    pub pinned: Option<String>,
    /// The sha-256 of its bytes, in lower-case hexadecimal.
    pub digest: String,
}

#[derive(Serialize)]
struct Out<'a> {
    version: u32,
    plugin: Vec<OutRow<'a>>,
}

#[derive(Serialize)]
struct OutRow<'a> {
    name: &'a str,
    version: String,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pinned: Option<&'a str>,
    digest: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct In {
    #[serde(rename = "version")]
    _version: Option<u32>,
    #[serde(default)]
    plugin: Vec<InRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InRow {
    name: Spanned<String>,
    version: Spanned<String>,
    source: String,
    pinned: Option<String>,
    digest: Spanned<String>,
}

impl Lockfile {
    /// The lockfile of a project.
    pub fn path(project: &Path) -> PathBuf {
        project.join(LOCKFILE)
    }

    /// Reads that of a project; none where there is none.
    ///
    /// # Errors
    /// It can't be read, is not what convoke writes, or a later convoke wrote it.
    pub fn read(project: &Path) -> Result<Option<Self>, ConfigError> {
        let path = Self::path(project);
        document::read(&path)?.map(|text| Self::parse(&path, &text)).transpose()
    }

    /// Reads the text of one. It is a stranger's.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let document = Document { path, text };
        let file: In = document.parse(&[])?;
        let mut plugins = BTreeMap::new();
        for row in file.plugin {
            let again = "bring it back from git, or remove it: `convoke install` writes it again";
            let at = |value: &Spanned<String>, message: &str| document.at(value.span(), message, again);
            if !is_name(row.name.get_ref()) {
                return Err(at(&row.name, "this is no command's name"));
            }
            if !is_digest(row.digest.get_ref()) {
                return Err(at(&row.digest, "this is no sha-256 in lower-case hexadecimal"));
            }
            let version = row.version.get_ref().parse().map_err(|_| at(&row.version, "this is no semantic version"))?;
            let locked = Locked { version, source: row.source, pinned: row.pinned, digest: row.digest.into_inner() };
            if plugins.insert(row.name.get_ref().clone(), locked).is_some() {
                return Err(at(&row.name, "this name is there twice"));
            }
        }
        Ok(Self { plugins })
    }

    /// Whether one of the pins means these bytes.
    pub fn names(&self, digest: &str) -> bool {
        self.plugins.values().any(|locked| locked.digest == digest)
    }

    /// Its text, always the same for the same content.
    ///
    /// # Errors
    /// None that text could give.
    pub fn text(&self) -> Result<String, toml::ser::Error> {
        let plugin = self.plugins.iter().map(|(name, locked)| OutRow {
            name,
            version: locked.version.to_string(),
            source: &locked.source,
            pinned: locked.pinned.as_deref(),
            digest: &locked.digest,
        });
        let plugin = plugin.collect();
        Ok(HEAD.to_owned() + &toml::to_string(&Out { version: VERSION, plugin })?)
    }

    /// Writes that of a project, unless it is there with the same content. Whether it was written.
    ///
    /// # Errors
    /// What is there is a link or no file (a project may be anybody's, and a link would lead anywhere), or it can't be
    /// written.
    pub fn write(&self, project: &Path) -> Result<bool, InstallError> {
        let path = Self::path(project);
        let failed = |error: io::Error| InstallError::io(&path, error);
        let text = self.text().map_err(|error| failed(io::Error::other(error.to_string())))?;
        match fs::symlink_metadata(&path) {
            Ok(metadata) if !metadata.is_file() => {
                return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is a link, or no file: remove it")));
            }
            Ok(_) if fs::read_to_string(&path).is_ok_and(|there| there == text) => return Ok(false),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.plugins.is_empty() => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        write_atomic(&path, text.as_bytes(), None).map_err(failed)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::documented_example;

    fn parsed(text: &str) -> Result<Lockfile, ConfigError> {
        Lockfile::parse(Path::new(LOCKFILE), text)
    }

    #[test]
    fn the_documented_example_is_read_and_written_as_it_is() {
        let example = documented_example(include_str!("lockfile.rs"));
        let lockfile = parsed(&example).unwrap();
        let locked = &lockfile.plugins["deps"];
        assert_eq!((locked.version.to_string().as_str(), locked.pinned.as_ref()), ("0.2.1", None));
        let text = lockfile.text().unwrap();
        assert!(text.ends_with(&example.replace("\n ", "\n").trim_start().to_owned()), "{text}\n---\n{example}");
        assert_eq!(parsed(&text).unwrap(), lockfile);
    }

    #[test]
    fn what_is_wrong_in_it_has_a_place() {
        let row = |name: &str, version: &str, digest: &str| {
            format!("[[plugin]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"s\"\ndigest = \"{digest}\"\n")
        };
        let zeros = "0".repeat(64);
        for (text, problem) in [
            (row("../x", "1.0.0", &zeros), "convoke.lock:2:8: this is no command's name"),
            (row("x", "one", &zeros), "convoke.lock:3:11: this is no semantic version"),
            (row("x", "1.0.0", "../../x"), "convoke.lock:5:10: this is no sha-256"),
            (row("x", "1.0.0", &zeros).repeat(2), "convoke.lock:7:8: this name is there twice"),
            ("version = 2\nnew = 1\n".to_owned(), "has version 2"),
            ("<<<<<<< HEAD\n".to_owned(), "convoke.lock:1:9"),
        ] {
            let error = parsed(&text).unwrap_err().to_string();
            assert!(error.contains(problem), "{problem}: {error}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn it_is_not_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("precious");
        fs::write(&target, "mine").unwrap();
        let project = folder.path().join("project");
        fs::create_dir(&project).unwrap();
        std::os::unix::fs::symlink(&target, project.join(LOCKFILE)).unwrap();
        let error = Lockfile::default().write(&project).unwrap_err().to_string();
        assert!(error.contains("it is a link"), "{error}");
        assert_eq!(fs::read_to_string(target).unwrap(), "mine");
    }
}
