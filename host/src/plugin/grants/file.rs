//! `grants.toml`: what the user has granted, in their own configuration folder.
//!
//! ```toml
//! version = 1
//!
//! [[grant]]
//! sha256 = "1b4f0e9851971998e732078544c96b36c3d01cedf7caa332359d6f1d83567014"
//! name = "deps"
//! version = "0.3.0"
//! granted = "2027-01-31T12:00:00Z"
//! trust = true                   # may run, and ask Claude
//!
//! [[grant.capabilities.process]]
//! program = "git"
//! subcommands = ["diff", "log"]
//!
//! [[grant.capabilities.http]]
//! host = "api.osv.dev"
//! methods = ["GET"]
//!
//! [grant.capabilities.claude]
//! usd = 2.0                      # a run
//! ```
//!
//! It is read as a whole or not at all: nothing counts as granted by a file that is broken, of a newer version, or that
//! others than the user can write.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use toml::Spanned;

use super::{Grant, lacking};
use crate::audit::{Audit, AuditError, Record, kind};
use crate::config::document::{self, Document};
use crate::config::files::write_atomic;
use crate::config::{ConfigError, VERSION};
use crate::plugin::capabilities::Capabilities;
use crate::plugin::operations::{Exclusive, LockError};

/// The name of the file.
pub const FILE: &str = "grants.toml";

/// The lock of those who change it, beside it. Only reading, deciding what stands in it, and writing happen under it.
const LOCK: &str = ".grants.lock";

/// What stands above all grants in the file.
const HEADER: &str = "# What you have granted to plugins, by the sha-256 of the component. `convoke grants` shows and changes it.\n\
                      # Comments are not kept.\n";

/// What is wrong with the file of grants.
#[derive(Debug, thiserror::Error)]
pub enum GrantsError {
    /// It can't be read, is broken, or is of a newer version.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Others could have written what stands in it.
    #[error("{} can be written by others than you, so nothing in it counts as granted", path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// It can't be written.
    #[error("can't write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It can't be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It can't be written to the audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// It can't be written as TOML.
    #[error("the grants can't be written down: {0}")]
    Unwritable(#[from] toml::ser::Error),
}

impl GrantsError {
    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Open { path } => Some(format!("look what stands in it, then: chmod 600 {}", path.display())),
            Self::Write { .. } | Self::Lock(_) => Some("nothing was granted or revoked".to_owned()),
            Self::Audit(error) => Some(format!("nothing was granted or revoked; {}", error.hint())),
            Self::Config(_) | Self::Unwritable(_) => None,
        }
    }
}

/// What the user has granted.
#[derive(Clone, Debug)]
pub struct Grants {
    path: PathBuf,
    audit: Audit,
    all: Vec<Grant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[serde(rename = "version")]
    _version: Option<u32>,
    #[serde(default)]
    grant: Vec<ReadGrant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadGrant {
    sha256: Spanned<String>,
    name: String,
    version: String,
    granted: Spanned<String>,
    #[serde(default)]
    embedded: bool,
    #[serde(default)]
    trust: bool,
    #[serde(default)]
    capabilities: Capabilities,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    grant: Vec<WrittenGrant<'a>>,
}

#[derive(Serialize)]
struct WrittenGrant<'a> {
    sha256: &'a str,
    name: &'a str,
    version: &'a str,
    granted: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    embedded: bool,
    trust: bool,
    capabilities: &'a Capabilities,
}

impl Grants {
    /// Reads the file; none is none granted.
    ///
    /// # Errors
    /// When it is there and can't be trusted: see [`GrantsError`].
    pub fn load(path: &Path) -> Result<Self, GrantsError> {
        let text = document::read(path)?;
        if text.is_some() && is_open(path) {
            return Err(GrantsError::Open { path: path.to_owned() });
        }
        let all = text.map_or(Ok(Vec::new()), |text| parse(path, &text))?;
        Ok(Self { path: path.to_owned(), audit: Audit::off(), all })
    }

    /// The same, whose changes are in the audit log before they are made.
    #[must_use]
    pub fn audited(self, audit: &Audit) -> Self {
        Self { audit: audit.clone(), ..self }
    }

    /// Leaves it in the audit log that something was not granted.
    pub fn refused(&self, digest: Option<&str>, name: &str, why: &str) {
        self.audit.note(Record::new(kind::GRANT_REFUSED, name, json!({"sha256": digest, "why": why})));
    }

    /// What is granted to a component.
    pub fn of(&self, digest: &str) -> Option<&Grant> {
        self.all.iter().find(|grant| grant.digest == digest)
    }

    /// What was granted last to a component of that name, whatever it was.
    pub fn named(&self, name: &str) -> Option<&Grant> {
        self.all.iter().filter(|grant| grant.name == name).max_by_key(|grant| grant.granted)
    }

    /// All of them, by name, the newest of a name first.
    pub fn all(&self) -> &[Grant] {
        &self.all
    }

    /// Grants, in place of what was granted to that component before. What other processes have granted since the file
    /// was read stays.
    ///
    /// # Errors
    /// When the file can't be written, or has become one that can't be trusted. Then nothing has changed.
    pub fn allow(&mut self, grant: Grant) -> Result<(), GrantsError> {
        self.change(|all| {
            let before = all.iter().position(|known| known.digest == grant.digest).map(|place| all.remove(place));
            let is_less = before.as_ref().is_some_and(|before| is_less(&grant, before));
            let kind = if is_less { kind::GRANT_LOWERED } else { kind::GRANT_GIVEN };
            let record = record(kind, &grant, before.as_ref());
            all.push(grant);
            Some(record)
        })
    }

    /// Takes away what is granted to a component; none: nothing was.
    ///
    /// # Errors
    /// As [`allow`](Self::allow).
    pub fn revoke(&mut self, digest: &str) -> Result<Option<Grant>, GrantsError> {
        let mut revoked = None;
        self.change(|all| {
            revoked = all.iter().position(|grant| grant.digest == digest).map(|place| all.remove(place));
            revoked.as_ref().map(|revoked| record(kind::GRANT_REVOKED, revoked, None))
        })?;
        Ok(revoked)
    }

    fn change(&mut self, change: impl FnOnce(&mut Vec<Grant>) -> Option<Record>) -> Result<(), GrantsError> {
        let lock = self.path.with_file_name(LOCK);
        let _lock = Exclusive::hold_file(&lock, "grants", |_| {})?;
        let mut all = Self::load(&self.path)?.all;
        let record = change(&mut all);
        sort(&mut all);
        let text = format!("{HEADER}{}", written(&all)?);
        let name = record.as_ref().map(|record| record.subject.clone()).unwrap_or_default();
        if let Some(record) = record {
            self.audit.before_blocking(vec![record])?;
        }
        write_atomic(&self.path, text.as_bytes(), Some(0o600))
            .map_err(|source| GrantsError::Write { path: self.path.clone(), source })
            .inspect_err(|error| self.refused(None, &name, &error.to_string()))?;
        self.all = all;
        Ok(())
    }
}

fn sort(all: &mut [Grant]) {
    all.sort_by(|one, other| (&one.name, other.granted, &one.digest).cmp(&(&other.name, one.granted, &other.digest)));
}

fn parse(path: &Path, text: &str) -> Result<Vec<Grant>, ConfigError> {
    let document = Document { path, text };
    let file: Read = document.parse(&[])?;
    let mut all: Vec<Grant> = Vec::new();
    for one in file.grant {
        let digest = one.sha256.get_ref();
        if !is_digest(digest) {
            let hint = "write the sha-256 of the component, 64 digits 0 to 9 and a to f";
            return Err(document.at(one.sha256.span(), "this is no digest", hint));
        }
        if all.iter().any(|known| known.digest == *digest) {
            let hint = "leave one of them: nobody can say which counts";
            return Err(document.at(one.sha256.span(), "this component is there twice", hint));
        }
        if let Err(wrong) = one.capabilities.check() {
            let message = format!("what is granted to this component can't be: {wrong}");
            return Err(document.at(one.sha256.span(), &message, "grant it again: `convoke grants add`"));
        }
        let granted: Timestamp = one.granted.get_ref().parse().map_err(|_| {
            document.at(one.granted.span(), "this is no time", "write a time like 2027-01-31T12:00:00Z")
        })?;
        all.push(Grant {
            digest: one.sha256.into_inner(),
            name: one.name,
            version: one.version,
            granted,
            embedded: one.embedded,
            trust: one.trust,
            capabilities: one.capabilities,
        });
    }
    sort(&mut all);
    Ok(all)
}

fn written(all: &[Grant]) -> Result<String, toml::ser::Error> {
    let grant = all.iter().map(|grant| WrittenGrant {
        sha256: &grant.digest,
        name: &grant.name,
        version: &grant.version,
        granted: grant.granted.to_string(),
        embedded: grant.embedded,
        trust: grant.trust,
        capabilities: &grant.capabilities,
    });
    toml::to_string(&Written { version: VERSION, grant: grant.collect() })
}

/// Whether a text is a sha-256 in lower-case hexadecimal.
pub(crate) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether others than the owner can write a file.
#[cfg(unix)]
fn is_open(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o022 != 0)
}

#[cfg(not(unix))]
fn is_open(_: &Path) -> bool {
    false
}

/// Whether it allows less than before, and nothing more.
fn is_less(grant: &Grant, before: &Grant) -> bool {
    let adds = lacking(&grant.capabilities, &before.capabilities);
    let takes = lacking(&before.capabilities, &grant.capabilities);
    (!takes.is_empty() || (before.trust && !grant.trust)) && adds.is_empty() && (before.trust || !grant.trust)
}

fn record(kind: &'static str, grant: &Grant, before: Option<&Grant>) -> Record {
    let about = |grant: &Grant| {
        let wishes = super::missing(&grant.capabilities, None);
        let wishes = wishes.iter().filter(|wish| grant.trust || !matches!(wish, super::Wish::Spend(_)));
        wishes.map(super::plain).collect::<Vec<_>>()
    };
    let details = json!({
        "sha256": grant.digest, "version": grant.version, "may": about(grant), "could": before.map(about),
    });
    Record::new(kind, grant.name.clone(), details)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::document::documented_example;
    use crate::plugin::capabilities::Program;

    fn grant(digest: char, name: &str) -> Grant {
        let mut capabilities = Capabilities::default();
        capabilities.process.push(Program {
            program: "git".to_owned(),
            subcommands: vec!["diff".to_owned()],
            optional: false,
        });
        capabilities.claude.usd = Some(2.0);
        Grant {
            digest: digest.to_string().repeat(64),
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            granted: "2027-01-31T12:00:00Z".parse().unwrap(),
            embedded: false,
            trust: true,
            capabilities,
        }
    }

    fn file() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config").join(FILE);
        (folder, path)
    }

    #[test]
    fn what_is_granted_is_read_again_and_what_is_revoked_is_gone() {
        let (_folder, path) = file();
        let mut grants = Grants::load(&path).unwrap();
        assert!(grants.all().is_empty() && !path.exists());
        grants.allow(grant('a', "deps")).unwrap();
        grants.allow(Grant { trust: false, ..grant('b', "docs") }).unwrap();
        let again = Grants::load(&path).unwrap();
        assert_eq!(again.of(&"a".repeat(64)), Some(&grant('a', "deps")));
        assert_eq!(again.named("docs").map(|grant| grant.trust), Some(false));
        assert_eq!(grants.revoke(&"a".repeat(64)).unwrap(), Some(grant('a', "deps")));
        assert_eq!(grants.revoke(&"a".repeat(64)).unwrap(), None);
        assert_eq!(Grants::load(&path).unwrap().all().len(), 1);
    }

    #[test]
    fn what_others_have_granted_meanwhile_stays() {
        let (_folder, path) = file();
        let (mut one, mut other) = (Grants::load(&path).unwrap(), Grants::load(&path).unwrap());
        one.allow(grant('a', "deps")).unwrap();
        other.allow(grant('b', "docs")).unwrap();
        one.revoke(&"a".repeat(64)).unwrap();
        let names: Vec<String> = Grants::load(&path).unwrap().all().iter().map(|grant| grant.name.clone()).collect();
        assert_eq!(names, ["docs"]);
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let (_folder, path) = file();
        std::thread::scope(|scope| {
            for digest in "0123456789abcdef".chars() {
                let path = &path;
                scope.spawn(move || Grants::load(path).unwrap().allow(grant(digest, "many")).unwrap());
            }
        });
        assert_eq!(Grants::load(&path).unwrap().all().len(), 16);
    }

    #[test]
    fn the_documented_example_is_read() {
        let all = parse(Path::new(FILE), &documented_example(include_str!("file.rs"))).unwrap();
        assert_eq!((all[0].name.as_str(), all[0].trust, all[0].capabilities.claude.usd), ("deps", true, Some(2.0)));
        assert_eq!(all[0].capabilities.process[0].subcommands, ["diff", "log"]);
    }

    #[test]
    fn a_broken_file_grants_nothing_and_has_a_place() {
        let (_folder, path) = file();
        let mut grants = Grants::load(&path).unwrap();
        grants.allow(grant('a', "deps")).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        for (bad, problem) in [
            (good.replace("trust", "trusted"), "unknown field `trusted`"),
            (good.replace("\"deps\"", "3"), "grants.toml:7:8: invalid type"),
            (good.replace("aaaa", "AAAA"), "grants.toml:6:10: this is no digest"),
            (good.replace("2027-01-31T", "soon"), "this is no time"),
            (format!("{good}{}", good.split_once("\n\n").map_or("", |(_, rest)| rest)), "there twice"),
            (format!("{good}]"), "grants.toml:"),
            ("version = 0\n".to_owned(), "no such version"),
            (good.replace("usd = 2.0", "usd = \"all\""), "grants.toml:"),
            (good.replace("usd = 2.0", "usd = -2.0"), "claude.usd: it is not a number of dollars"),
            (good.replace("\"git\"", "\"/bin/git\""), "process[0].program: "),
        ] {
            fs::write(&path, &bad).unwrap();
            let error = Grants::load(&path).map(|_| bad.clone()).unwrap_err().to_string();
            assert!(error.contains(problem), "{problem}: {error}");
            // Neither is it repaired by the way.
            assert!(grants.allow(grant('b', "docs")).is_err() && grants.revoke(&"a".repeat(64)).is_err());
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        }
    }

    #[test]
    fn a_newer_file_is_refused_and_never_rewritten() {
        let (_folder, path) = file();
        let text = "version = 2\n[shape.unknown]\n";
        write_atomic(&path, text.as_bytes(), Some(0o600)).unwrap();
        let error = Grants::load(&path).unwrap_err().to_string();
        assert!(error.contains("has version 2"), "{error}");
        let mut stale = Grants { path: path.clone(), audit: Audit::off(), all: Vec::new() };
        assert!(stale.allow(grant('a', "deps")).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    #[cfg(unix)]
    fn it_is_the_users_alone_and_one_that_others_can_write_grants_nothing() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_folder, path) = file();
        Grants::load(&path).unwrap().allow(grant('a', "deps")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for mode in [0o660, 0o602] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(Grants::load(&path), Err(GrantsError::Open { .. })), "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Grants::load(&path).is_ok(), "others may read it");
    }
}
