//! Which commands there are: those that come with convoke, those that are installed, those that the project pins, and a
//! component that is named by its path.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Command;

use super::error::CliError;
use super::{Component, Kept, Runnable, embedded, from_file};
use crate::config::{Paths, nearest, project_root};
use crate::plugin::installed::pins::{Due, Pinned};
use crate::plugin::installed::{Held, Index, Plugins};
use crate::plugin::manifest::is_name;
use crate::report::clean;

/// The commands that can be run here, and what is known of those that can't.
#[derive(Debug)]
pub(super) struct Known {
    /// Those that can.
    pub(super) runnables: Vec<Runnable>,
    /// By name: what the project pins and is not there.
    missing: BTreeMap<String, Missing>,
    /// Why it is not known which commands are installed or pinned.
    unread: Option<CliError>,
}

/// Why a pinned command can't be run.
#[derive(Clone, Debug)]
enum Missing {
    /// Nothing says which bytes are meant.
    NotLocked { wanted: String },
    /// The bytes are not here.
    NotInstalled { version: String, digest: String },
}

impl Known {
    /// Finds them. `arguments` is all that was typed: they name a file, or another project.
    ///
    /// # Errors
    /// A component that is named by its path is none. What is wrong with the list of installed ones is kept, since most of
    /// what convoke does needs none of them.
    pub(super) fn find(arguments: &[OsString]) -> Result<Self, CliError> {
        let mut known = Self { runnables: embedded()?, missing: BTreeMap::new(), unread: None };
        known.unread = known.installed(arguments).err();
        known.runnables.extend(from_file(arguments)?);
        Ok(known)
    }

    fn installed(&mut self, arguments: &[OsString]) -> Result<(), CliError> {
        let plugins = Plugins::of(&Paths::find(|name: &str| std::env::var(name).ok())?);
        let index = plugins.read()?;
        for one in index.commands() {
            if let Some(runnable) = kept(&plugins, one.name, one.digest, one.held, Some(one.source)) {
                self.add(runnable);
            }
        }
        if let Some(pinned) = project(arguments).map(|folder| Pinned::read(&folder)).transpose()?.flatten() {
            self.pinned(&pinned, &plugins, &index)?;
        }
        Ok(())
    }

    /// In a project its pins stand before what the user has installed, and that before what comes with convoke.
    fn pinned(&mut self, pinned: &Pinned, plugins: &Plugins, index: &Index) -> Result<(), CliError> {
        for (name, pin) in &pinned.pins {
            let missing = match pinned.due(name, pin, index) {
                Due::There(locked) => {
                    let there = match index.component(&locked.digest) {
                        Some(held) => kept(plugins, name, &locked.digest, held, None),
                        None => embedded()?.into_iter().find(|one| one.name == *name),
                    };
                    there.into_iter().for_each(|runnable| self.add(runnable));
                    continue;
                }
                Due::Fetch(locked) => {
                    Missing::NotInstalled { version: locked.version.to_string(), digest: locked.digest }
                }
                Due::Resolve => Missing::NotLocked { wanted: pin.requirement.to_string() },
            };
            self.runnables.retain(|one| one.name != *name);
            self.missing.insert(name.clone(), missing);
        }
        Ok(())
    }

    /// What stands before another one of its name takes its place.
    fn add(&mut self, runnable: Runnable) {
        match self.runnables.iter_mut().find(|one| one.name == runnable.name) {
            Some(before) => *before = runnable,
            None => self.runnables.push(runnable),
        }
    }

    /// Whether the list of commands is whole.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn check(&mut self) -> Result<(), CliError> {
        self.unread.take().map_or(Ok(()), Err)
    }

    /// The command of a name, to be run. While it is not known what is installed it may be another one, so none is run by
    /// its name then.
    ///
    /// # Errors
    /// There is none, or it is not known.
    pub(super) fn runnable(&mut self, name: &str) -> Result<&Runnable, CliError> {
        let is_file = |one: &Runnable| one.name == name && matches!(one.component, Component::File(_));
        if !self.runnables.iter().any(is_file) {
            self.check()?;
        }
        self.runnables.iter().find(|one| one.name == name).ok_or_else(|| self.unknown(name, &[]))
    }

    /// What the project pins and can't be run, a line each.
    pub(super) fn lacking(&self) -> String {
        let line = |(name, missing): (&String, &Missing)| match missing {
            Missing::NotLocked { wanted } => {
                format!("{name}  {wanted}  not in convoke.lock: `convoke install` finds it\n")
            }
            Missing::NotInstalled { version, .. } => {
                format!("{name}  {version}  not installed: `convoke install` does it\n")
            }
        };
        self.missing.iter().map(line).collect()
    }

    /// What there is to say of a name that is no command. `own` are convoke's own commands, if one of them could be meant.
    pub(super) fn unknown(&self, name: &str, own: &[&str]) -> CliError {
        let shown = clean::line(&clean::bounded(name, 80));
        match self.missing.get(name) {
            Some(Missing::NotLocked { wanted }) => {
                let message =
                    format!("this project wants `{shown}` {wanted}, and convoke.lock does not say which one that is");
                return CliError::usage(message)
                    .hint(Some("`convoke install` finds it, and asks you before it can run"));
            }
            Some(Missing::NotInstalled { version, digest }) => {
                let digest = digest.get(..12).unwrap_or(digest);
                let message =
                    format!("this project pins `{shown}` {version} (sha-256 {digest}…), which is not installed");
                return CliError::usage(message)
                    .hint(Some("`convoke install` installs what this project pins, after it has asked you"));
            }
            None => {}
        }
        let known = self.runnables.iter().map(|one| one.name.as_str()).chain(own.iter().copied());
        let hint = match nearest(name, known.chain(self.missing.keys().map(String::as_str))) {
            Some(near) => format!("did you mean `{near}`?"),
            None if is_name(name) => format!(
                "`convoke list` shows the commands that can be run; `convoke install {name}` looks for it in your registry"
            ),
            None => "`convoke list` shows the commands that can be run".to_owned(),
        };
        CliError::usage(format!("there is no command {shown}")).hint(Some(hint))
    }

    /// What can be installed by its name alone: what the project pins and is not there.
    pub(super) fn installable(&self) -> impl Iterator<Item = &str> {
        self.missing.keys().map(String::as_str)
    }

    /// Whether a name is that of a command that the project has locked, and that only its user has not installed yet.
    pub(super) fn waits_for_its_user(&self, name: &str) -> bool {
        matches!(self.missing.get(name), Some(Missing::NotInstalled { .. }))
    }

    /// The command that was typed and is not known, if it was that which was not understood.
    pub(super) fn not_known<'a>(error: &'a clap::Error, typed: &[OsString]) -> Option<&'a str> {
        use clap::error::{ContextKind, ContextValue, ErrorKind};
        let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand) else { return None };
        let first = typed.iter().skip(1).filter_map(|word| word.to_str()).find(|word| !word.starts_with('-'));
        (error.kind() == ErrorKind::InvalidSubcommand && first == Some(name)).then_some(name)
    }

    /// What there is to say of a name that was typed and is none. `cli` has convoke's own.
    pub(super) fn explained(&mut self, name: &str, cli: &Command) -> CliError {
        // It may be one of those that could not be read.
        if let Some(unread) = self.unread.take() {
            return unread;
        }
        let own: Vec<&str> = cli.get_subcommands().map(Command::get_name).collect();
        self.unknown(name, &own)
    }
}

/// A command of a component that is kept. None: its manifest is one that this host can't read.
fn kept(plugins: &Plugins, name: &str, digest: &str, held: &Held, source: Option<&str>) -> Option<Runnable> {
    let kept = Kept {
        plugins: plugins.clone(),
        digest: digest.to_owned(),
        size: held.size,
        installed: held.installed,
        source: source.map(str::to_owned),
        resolved: held.resolved.clone(),
    };
    let manifest = held.manifest().ok()?;
    Some(Runnable { name: name.to_owned(), manifest, component: Component::Kept(Box::new(kept)) })
}

/// The folder of the project that the command is about: that of `-C`, else the nearest.
pub(super) fn project(arguments: &[OsString]) -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    Some(typed_project(arguments).map_or_else(|| project_root(&here), |typed| here.join(typed)))
}

/// What stands behind `-C` or `--project`. Looked for before the command line can be understood: which commands there are
/// depends on it.
fn typed_project(arguments: &[OsString]) -> Option<&Path> {
    let mut words = arguments.iter().skip(1).take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        if word == "-C" || word == "--project" {
            return words.next().map(Path::new);
        }
        let Some(text) = word.to_str() else { continue };
        let inside = text.strip_prefix("--project=").or_else(|| text.strip_prefix("-C"));
        if let Some(folder) = inside.filter(|folder| !folder.is_empty()) {
            return Some(Path::new(folder.strip_prefix('=').unwrap_or(folder)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_project_is_found_in_what_was_typed() {
        let typed = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            typed_project(&words).map(|folder| folder.display().to_string())
        };
        for line in
            ["convoke deps -C here", "convoke -Chere deps", "convoke deps --project=here x", "convoke --project here"]
        {
            assert_eq!(typed(line).as_deref(), Some("here"), "{line}");
        }
        for line in ["convoke deps", "convoke deps -- -C here", "convoke deps --color always", "convoke -C"] {
            assert_eq!(typed(line), None, "{line}");
        }
    }
}
