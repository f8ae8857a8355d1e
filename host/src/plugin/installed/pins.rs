//! What a project's pins mean here: from `convoke.toml` and `convoke.lock` to components.

use std::path::{Path, PathBuf};

use semver::{Version, VersionReq};

use super::InstallError;
use super::index::Index;
use super::lockfile::{Locked, Lockfile};
use super::spec::Spec;
use super::supply::{Captured, EMBEDDED_SOURCE, Supply, SupplyError, embedded};
use super::transaction::Looked;
use crate::config::paths::PROJECT_FILE;
use crate::config::{ConfigError, Pin, Pins, document, plugins};
use crate::plugin::embedded::{EMBEDDED, Embedded};
use crate::plugin::inspect::read_manifest;
use crate::plugin::sha256_hex;

/// A project that pins commands.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// Its folder.
    pub folder: PathBuf,
    /// What it wants.
    pub pins: Pins,
    /// What that means, as far as it is written down.
    pub lockfile: Lockfile,
}

/// Where a pinned command stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// What is locked is there.
    There(Locked),
    /// It is locked, and its bytes are not there.
    Fetch(Locked),
    /// It is not locked, or what is locked doesn't fit what the project wants.
    Resolve,
}

impl Pinned {
    /// What the project in a folder pins; none where it pins nothing and has no lockfile.
    ///
    /// # Errors
    /// Its `convoke.toml` or `convoke.lock` is wrong.
    pub fn read(folder: &Path) -> Result<Option<Self>, ConfigError> {
        let path = folder.join(PROJECT_FILE);
        let Some(text) = document::read(&path)? else { return Ok(None) };
        let pins = plugins::only(&path, &text)?;
        if pins.is_empty() && !Lockfile::path(folder).exists() {
            return Ok(None);
        }
        let lockfile = Lockfile::read(folder)?.unwrap_or_default();
        Ok(Some(Self { folder: folder.to_owned(), pins, lockfile }))
    }

    /// Where a pin stands.
    pub fn due(&self, name: &str, pin: &Pin, index: &Index) -> Due {
        match self.locked(name, pin) {
            None => Due::Resolve,
            Some(locked) if is_there(name, locked, index) => Due::There(locked.clone()),
            Some(locked) => Due::Fetch(locked.clone()),
        }
    }

    /// What is locked for a pin, if it is what the project wants.
    fn locked(&self, name: &str, pin: &Pin) -> Option<&Locked> {
        let fits = |locked: &&Locked| {
            let any = pin.requirement == VersionReq::STAR;
            locked.pinned == pin.place && (any || pin.requirement.matches(&locked.version))
        };
        self.lockfile.plugins.get(name).filter(fits)
    }
}

/// Whether the bytes of a pin are here: kept, or inside of this binary.
fn is_there(name: &str, locked: &Locked, index: &Index) -> bool {
    index.component(&locked.digest).is_some() || embedded_of(name, &locked.digest).is_some()
}

/// The embedded command of that name, if it has that digest.
fn embedded_of(name: &str, digest: &str) -> Option<&'static Embedded> {
    EMBEDDED.iter().find(|one| one.name == name).filter(|one| sha256_hex(one.bytes) == digest)
}

/// What is written down of a pin whose component was looked at.
pub fn lock(pin: &Pin, looked: &Looked) -> Locked {
    // A path means the same for all who have the project, an absolute one for nobody else.
    let source = match &pin.place {
        Some(place) if place.starts_with("./") => place.clone(),
        _ => looked.captured.resolved.clone(),
    };
    Locked {
        version: looked.change.version.clone(),
        source,
        pinned: pin.place.clone(),
        digest: looked.change.digest.clone(),
    }
}

/// What is captured again for a pin that is locked: the very bytes.
///
/// # Errors
/// They can't be had.
pub async fn capture_locked(name: &str, locked: &Locked, supply: &impl Supply) -> Result<Captured, InstallError> {
    if locked.source == EMBEDDED_SOURCE {
        let message = match embedded_version(name) {
            Some(version) => format!(
                "convoke.lock names {name} {} as it came with another convoke; this one comes with {version}",
                locked.version
            ),
            None => format!(
                "convoke.lock names {name} {} as it came with a convoke, and it does not come with this one",
                locked.version
            ),
        };
        let hint = format!("`convoke update {name}` takes what there is, and changes convoke.lock");
        return Err(SupplyError::usage(message).hint(hint).into());
    }
    Ok(supply.fetch(&locked.source).await?)
}

/// Gets what a pin means now.
///
/// # Errors
/// It can't be had.
pub async fn capture_pin(name: &str, pin: &Pin, supply: &impl Supply) -> Result<Captured, InstallError> {
    let spec = match &pin.place {
        Some(place) => Spec::Place(place.clone()),
        None => Spec::Named { namespace: None, name: name.to_owned(), requirement: pin.requirement.clone() },
    };
    capture(&spec, supply).await
}

/// Gets what was typed: what comes with convoke if it fits, else the newest that fits. What an update asks again is what was
/// typed.
///
/// # Errors
/// It can't be had.
pub async fn capture(spec: &Spec, supply: &impl Supply) -> Result<Captured, InstallError> {
    let (namespace, name, requirement) = match spec {
        Spec::Place(place) => return Ok(supply.fetch(place).await?),
        Spec::Named { namespace, name, requirement } => (namespace.as_deref(), name, requirement),
    };
    let own = embedded_version(name).filter(|_| namespace.is_none());
    let fits = |version: &Version| *requirement == VersionReq::STAR || requirement.matches(version);
    if own.as_ref().is_some_and(fits)
        && let Some(captured) = embedded(name)
    {
        return Ok(captured);
    }
    let wanted = || requirement.to_string();
    let Some(mut there) = supply.versions(namespace, name).await? else {
        return Err(match own {
            Some(own) => InstallError::NoVersion { name: name.clone(), wanted: wanted(), there: vec![own] },
            None => unknown(name).into(),
        });
    };
    there.sort_by(|one, other| other.0.cmp(&one.0));
    match there.iter().find(|(version, _)| requirement.matches(version)) {
        Some((_, place)) => Ok(Captured { source: spec.to_string(), ..supply.fetch(place).await? }),
        None => {
            let there = there.into_iter().map(|(version, _)| version).collect();
            Err(InstallError::NoVersion { name: name.clone(), wanted: wanted(), there })
        }
    }
}

/// The version of an embedded command.
fn embedded_version(name: &str) -> Option<Version> {
    let plugin = EMBEDDED.iter().find(|plugin| plugin.name == name)?;
    read_manifest(plugin.bytes).ok()?.version.parse().ok()
}

fn unknown(name: &str) -> SupplyError {
    let near = convoke_runtime::near::nearest(name, EMBEDDED.iter().map(|plugin| plugin.name));
    SupplyError::usage(format!("no command `{name}` comes with convoke, and there is no registry to look in"))
        .hint(match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            "name a file (./x.wasm) or a reference, or say in your config.toml where commands are: [install] namespace"
                .to_owned()
        }
    })
}
