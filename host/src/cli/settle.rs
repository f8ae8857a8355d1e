//! What a project pins is installed, and written down in its `convoke.lock`.

use std::collections::BTreeSet;

use super::command::in_runtime;
use super::error::CliError;
use super::installer::{Installer, project_shown};
use super::terminal::say;
use crate::plugin::installed::lockfile::{LOCKFILE, Locked, Lockfile};
use crate::plugin::installed::pins::{Due, Pinned, capture_locked, capture_pin, lock};
use crate::plugin::installed::supply::EMBEDDED_SOURCE;
use crate::plugin::installed::transaction::{Looked, Purpose, Wanted, look};
use crate::plugin::installed::{Index, InstallError, Undisturbed};
use crate::report::ExitCode;

/// Which pins are looked up again, although they are locked.
pub(super) enum Renew {
    /// None.
    Nothing,
    /// All.
    All,
    /// These.
    Named(BTreeSet<String>),
}

impl Renew {
    fn has(&self, name: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Named(names) => names.contains(name),
        }
    }
}

/// What would be written and installed.
pub(super) struct Settled {
    /// What the pins mean from now on.
    pub(super) lockfile: Lockfile,
    /// What must be installed for that.
    pub(super) looked: Vec<Looked>,
}

/// Installs what the project pins, and locks it.
pub(super) fn settle(installer: &Installer, renew: &Renew) -> Result<ExitCode, CliError> {
    let Some(pinned) = installer.pinned()? else {
        let message = format!("the project {} pins no commands", project_shown(&installer.project));
        return Err(CliError::usage(message)
            .hint(Some("name one to install it for yourself, or write [plugins] into the project's convoke.toml")));
    };
    let index = installer.plugins.read()?;
    let settled = in_runtime(async { Ok(find(installer, &pinned, &index, renew).await?) })?;
    let Settled { lockfile, looked } = settled;
    let is_same = lockfile == pinned.lockfile;
    if installer.how.locked && !is_same {
        return Err(InstallError::Locked(differences(&pinned.lockfile, &lockfile).join("; ")).into());
    }
    for one in &looked {
        say(installer.shown(one).trim_end());
    }
    differences(&pinned.lockfile, &lockfile).iter().for_each(|line| say(&format!("{LOCKFILE}: {line}")));
    if installer.how.dry_run {
        say("nothing was changed: --dry-run");
        return Ok(ExitCode::Success);
    }
    let digests = || lockfile.plugins.values().filter_map(|locked| index.component(&locked.digest));
    let is_marked = digests().all(|held| held.projects.contains(&pinned.folder));
    let count = lockfile.plugins.len();
    if !(is_same && is_marked && looked.is_empty()) {
        let purpose = Purpose::Project { folder: pinned.folder.clone(), lockfile };
        installer.install(&looked, &purpose)?;
    }
    let installed = looked.len();
    let commands = if count == 1 { "1 command".to_owned() } else { format!("{count} commands") };
    say(&format!("{commands} of this project as convoke.lock names them, {installed} of them installed now"));
    Ok(ExitCode::Success)
}

/// Finds what each pin means, and gets what is not there.
pub(super) async fn find(
    installer: &Installer,
    pinned: &Pinned,
    index: &Index,
    renew: &Renew,
) -> Result<Settled, InstallError> {
    let sources = installer.of_project();
    let mut settled = Settled { lockfile: Lockfile::default(), looked: Vec::new() };
    for (name, pin) in &pinned.pins {
        let before = pinned.lockfile.plugins.get(name);
        let held = before.and_then(|locked| Some((locked.digest.as_str(), index.component(&locked.digest)?)));
        let due = if renew.has(name) { Due::Resolve } else { pinned.due(name, pin, index) };
        let due = match due {
            // A file that is gone or damaged is fetched again.
            Due::There(locked) if index.component(&locked.digest).is_some() => {
                let is_whole = installer.plugins.component(name, &locked.digest).is_ok();
                if is_whole { Due::There(locked) } else { Due::Fetch(locked) }
            }
            due => due,
        };
        let locked = match due {
            Due::There(locked) => locked,
            Due::Fetch(locked) => {
                let captured = capture_locked(name, &locked, &sources).await?;
                let wanted = Wanted { name: Some(name), digest: Some(&locked.digest), requirement: None };
                settled.looked.push(look(captured, wanted, |_| None, &Undisturbed)?);
                locked
            }
            Due::Resolve if installer.how.locked && !renew.has(name) => return Err(not_locked(name, before)),
            Due::Resolve => {
                let captured = capture_pin(name, pin, &sources).await?;
                let is_embedded = captured.source == EMBEDDED_SOURCE;
                let wanted = Wanted { name: Some(name), requirement: Some(&pin.requirement), digest: None };
                let looked = look(captured, wanted, |_| held, &Undisturbed)?;
                let locked = lock(pin, &looked);
                let goes_back =
                    before.filter(|before| before.version > locked.version && pin.requirement.matches(&before.version));
                if let Some(before) = goes_back.filter(|_| !installer.how.downgrade) {
                    let (from, to) = (before.version.clone(), locked.version);
                    return Err(InstallError::Downgrade { name: name.clone(), from, to });
                }
                if !is_embedded && index.component(&locked.digest).is_none() {
                    settled.looked.push(looked);
                }
                locked
            }
        };
        settled.lockfile.plugins.insert(name.clone(), locked);
    }
    Ok(settled)
}

fn not_locked(name: &str, before: Option<&Locked>) -> InstallError {
    InstallError::Locked(match before {
        Some(before) => format!("it names {name} {}, which is not what convoke.toml asks for", before.version),
        None => format!("it does not name {name}"),
    })
}

/// What is different in the second one, a line each.
pub(super) fn differences(before: &Lockfile, now: &Lockfile) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, locked) in &now.plugins {
        match before.plugins.get(name) {
            None => lines.push(format!("{name} {} is new", locked.version)),
            Some(before) if before.version != locked.version => {
                lines.push(format!("{name} {} becomes {}", before.version, locked.version));
            }
            Some(before) if before.digest != locked.digest => {
                lines.push(format!("{name} {} becomes another component of that version", locked.version));
            }
            Some(before) if before != locked => lines.push(format!("{name} {} comes from elsewhere", locked.version)),
            Some(_) => {}
        }
    }
    let gone = before.plugins.iter().filter(|(name, _)| !now.plugins.contains_key(*name));
    lines.extend(gone.map(|(name, locked)| format!("{name} {} goes", locked.version)));
    lines
}
