//! The way of one install: captured, looked at, agreed to, compiled, linked, and written down.
//!
//! Until the last step nothing is changed, and nothing is locked: fetching, asking and compiling take as long as they take,
//! and others install meanwhile. The last step holds the lock for as long as it takes to write two files.

use std::path::{Path, PathBuf};

use semver::{Version, VersionReq};

use super::index::{Held, Index};
use super::lockfile::Lockfile;
use super::supply::Captured;
use super::{Change, InstallError, Plugins, Step, Steps};
use crate::plugin::embedded::EMBEDDED;
use crate::plugin::engine::Engine;
use crate::plugin::inspect::{InspectError, Inspected, inspect, read_manifest};

/// What is wanted of a component, beside that it runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// The command that it must be.
    pub name: Option<&'a str>,
    /// The versions that would do.
    pub requirement: Option<&'a VersionReq>,
    /// The digest that it must have.
    pub digest: Option<&'a str>,
}

/// A component that was captured and looked at.
#[derive(Clone, Debug)]
pub struct Looked {
    /// It, and where it comes from.
    pub captured: Captured,
    /// What it is and asks for.
    pub inspected: Inspected,
    /// What it would change.
    pub change: Change,
}

/// For whom a component is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// For the user: from now on its name means it.
    User {
        /// Whether it may stand before one of the same name that comes with convoke.
        shadow: bool,
        /// Whether it may be older than what is there.
        downgrade: bool,
        /// Whether it replaces what is there, and is not to bring back what was removed.
        update: bool,
    },
    /// For a project: what its pins mean from now on. Components of it that are kept already need not come with it.
    Project {
        /// Its folder, without a link in it.
        folder: PathBuf,
        /// What is written there.
        lockfile: Lockfile,
    },
}

/// Whoever agrees to what a component asks for.
pub trait Agree {
    /// Asks, or looks up what was agreed to before. What was agreed to is written down before this returns.
    ///
    /// # Errors
    /// It is not agreed to, or nobody can be asked.
    fn agree(&self, looked: &Looked) -> Result<(), InstallError>;
}

/// Where compiled components go, and with what they are compiled.
#[derive(Clone, Copy)]
pub struct Compiler<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The folder of compiled components.
    pub cache: &'a Path,
}

/// What became of an install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// It is installed.
    Installed,
    /// It was already.
    Unchanged,
}

/// Looks at a component: whether it is one that this host can run, whether it is the wanted one, and what it would change.
/// `before` finds what it would replace, its digest first, by the name that it says it has.
///
/// # Errors
/// It can't be run, or is not the wanted one.
pub fn look<'a>(
    captured: Captured,
    wanted: Wanted<'_>,
    before: impl FnOnce(&str) -> Option<(&'a str, &'a Held)>,
    steps: &impl Steps<Step>,
) -> Result<Looked, InstallError> {
    let from = || captured.resolved.clone();
    let refused = |error: InspectError| InstallError::Refused { from: from(), error };
    let inspected = inspect(&captured.bytes).map_err(refused)?;
    let (name, digest) = (&inspected.manifest.name, &inspected.digest);
    if let Some(wanted) = wanted.name.filter(|wanted| wanted != name) {
        return Err(InstallError::OtherName { from: from(), wanted: wanted.to_owned(), found: name.clone() });
    }
    if let Some(wanted) = wanted.digest.filter(|wanted| wanted != digest) {
        return Err(InstallError::OtherDigest { from: from(), wanted: wanted.to_owned(), found: digest.clone() });
    }
    let version = version_of(&inspected);
    if let Some(wanted) = wanted.requirement.filter(|wanted| !fits(wanted, &version)) {
        let (name, wanted) = (name.clone(), wanted.to_string());
        return Err(InstallError::OtherVersion { from: from(), name, wanted, found: version });
    }
    let change = Change::between(before(name), &inspected, &version);
    passed(steps, Step::Looked, &captured)?;
    Ok(Looked { captured, inspected, change })
}

/// Whether a version would do. `*` means any, also a prerelease: what was named by its place is wanted as it is.
fn fits(wanted: &VersionReq, version: &Version) -> bool {
    *wanted == VersionReq::STAR || wanted.matches(version)
}

/// The version of a component. A manifest that was checked has one.
fn version_of(inspected: &Inspected) -> Version {
    inspected.manifest.version.parse().unwrap_or(Version::new(0, 0, 0))
}

/// Whether a component may stand where it is to stand. Known before anybody is asked.
///
/// # Errors
/// It is older than what is there, or of the name of one that comes with convoke, and neither was asked for.
pub fn allowed(looked: &Looked, purpose: &Purpose) -> Result<(), InstallError> {
    let Purpose::User { shadow, downgrade, .. } = purpose else { return Ok(()) };
    let change = &looked.change;
    // One that stands there already was agreed to.
    if let Some(embedded) = EMBEDDED.iter().find(|one| one.name == change.name && !shadow && change.before.is_none()) {
        let version = read_manifest(embedded.bytes).map(|manifest| manifest.version).unwrap_or_default();
        return Err(InstallError::Embedded { name: change.name.clone(), version });
    }
    match change.goes_back_from() {
        Some(from) if !downgrade => {
            Err(InstallError::Downgrade { name: change.name.clone(), from: from.clone(), to: change.version.clone() })
        }
        _ => Ok(()),
    }
}

/// Installs what was looked at, all or none: agreed to, compiled, linked, and written down. Whoever waits for the lock is
/// `told` for whom.
///
/// # Errors
/// See [`InstallError`]. Then nothing is changed.
pub fn install(
    plugins: &Plugins,
    looked: &[Looked],
    purpose: &Purpose,
    agree: &impl Agree,
    compiler: Compiler<'_>,
    told: impl FnOnce(String),
    steps: &impl Steps<Step>,
) -> Result<Became, InstallError> {
    for one in looked {
        allowed(one, purpose)?;
        agree.agree(one)?;
        passed(steps, Step::Agreed, &one.captured)?;
    }
    for Looked { captured, inspected, change } in looked {
        // Linking is part of it: what it imports is there.
        compiler.engine.load(&change.name, &inspected.digest, &captured.bytes, Some(compiler.cache))?;
        passed(steps, Step::Compiled, captured)?;
    }
    commit(plugins, looked, purpose, told, steps)
}

fn commit(
    plugins: &Plugins,
    looked: &[Looked],
    purpose: &Purpose,
    told: impl FnOnce(String),
    steps: &impl Steps<Step>,
) -> Result<Became, InstallError> {
    let mut changing = plugins.change(told)?;
    let before = changing.index.clone();
    for Looked { captured, inspected, change } in looked {
        passed(steps, Step::Locked, captured)?;
        if let Purpose::User { downgrade, update, .. } = purpose {
            may_stay(&changing.index, change, *downgrade, *update)?;
        }
        changing.place(&change.digest, &captured.bytes)?;
        passed(steps, Step::Placed, captured)?;
        let held = Held::new(inspected, &captured.resolved)
            .map_err(|error| InstallError::Refused { from: captured.resolved.clone(), error: error.into() })?;
        changing.index.keep(&change.digest, held);
        if let Purpose::User { .. } = purpose {
            changing.index.choose(&change.name, &change.digest, &captured.source);
        }
    }
    let is_there = |one: &Looked| before.component(&one.change.digest).is_some();
    let became = if changing.index.same_commands(&before) && looked.iter().all(is_there) {
        Became::Unchanged
    } else {
        Became::Installed
    };
    match purpose {
        Purpose::User { .. } => {
            changing.write(None, steps)?;
        }
        Purpose::Project { folder, lockfile } => {
            for locked in lockfile.plugins.values() {
                changing.index.mark(&locked.digest, folder);
            }
            changing.write(Some((folder.as_path(), lockfile)), steps)?;
        }
    }
    Ok(became)
}

/// When two install the same name at the same time, who comes later stays, as if it had begun later. So it may not go back
/// behind a newer version, unless that was asked for, and an update does not bring back what was removed meanwhile.
fn may_stay(index: &Index, change: &Change, downgrade: bool, update: bool) -> Result<(), InstallError> {
    let name = || change.name.clone();
    let Some(now) = index.command(&change.name) else {
        return if update { Err(InstallError::Removed { name: name() }) } else { Ok(()) };
    };
    let theirs = now.held.version();
    let came_meanwhile = change.before.as_ref().is_none_or(|before| before.digest != now.digest);
    if came_meanwhile && theirs > change.version && !downgrade {
        return Err(InstallError::Overtaken { name: name(), theirs, ours: change.version.clone() });
    }
    Ok(())
}

/// What was uninstalled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uninstalled {
    /// Its version.
    pub version: Version,
    /// Whether its component stays, because a project's lockfile names it.
    pub stays: bool,
}

/// Takes a name away. The component goes too, unless a project's lockfile names it.
///
/// # Errors
/// There is no such command, or the list of what is installed can't be written.
pub fn uninstall(
    plugins: &Plugins,
    name: &str,
    told: impl FnOnce(String),
    steps: &impl Steps<Step>,
) -> Result<Uninstalled, InstallError> {
    let mut changing = plugins.change(told)?;
    let Some((digest, version)) = changing.index.command(name).map(|now| (now.digest.to_owned(), now.held.version()))
    else {
        return Err(not_installed(&changing.index, name));
    };
    changing.index.forget(name);
    let stays = changing.write(None, steps)?.component(&digest).is_some();
    Ok(Uninstalled { version, stays })
}

/// That there is no such command, and which one may have been meant.
pub fn not_installed(index: &Index, name: &str) -> InstallError {
    let near = convoke_runtime::near::nearest(name, index.commands().map(|installed| installed.name));
    InstallError::NotInstalled { name: name.to_owned(), near: near.map(str::to_owned) }
}

fn passed(steps: &impl Steps<Step>, step: Step, captured: &Captured) -> Result<(), InstallError> {
    steps.passed(step).map_err(|error| InstallError::io(Path::new(&captured.resolved), error))
}
