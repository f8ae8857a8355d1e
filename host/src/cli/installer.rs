//! What `install`, `update` and their like have in common: the user's folders, the compiler, who is asked, and how a change
//! is shown.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::carry_out::{Answer, ask, can_ask};
use super::command::in_runtime;
use super::delivery::typed;
use super::error::CliError;
use super::prepare::project_folder;
use super::terminal::{Terminal, say};
use crate::audit::Audit;
use crate::config::paths::PROJECT_FILE;
use crate::config::{Choices, Install, Paths, Settings};
use crate::plugin::engine::Engine;
use crate::plugin::grants::{Grants, GrantsError, decide};
use crate::plugin::installed::pins::{Pinned, capture};
use crate::plugin::installed::spec::Spec;
use crate::plugin::installed::supply::{Captured, Sources};
use crate::plugin::installed::transaction::{Agree, Became, Compiler, Looked, Purpose, Wanted, install, look};
use crate::plugin::installed::{Change, Index, InstallError, Plugins, Undisturbed};
use crate::plugin::source::Access;
use crate::report::clean;

use super::options::Color;

/// What those commands share.
pub(super) struct Installer {
    /// The user's folders.
    pub(super) paths: Paths,
    /// What is installed.
    pub(super) plugins: Plugins,
    /// The project's folder, without a link in it.
    pub(super) project: PathBuf,
    /// What decides about a downgrade, and so on.
    pub(super) how: How,
    pub(super) terminal: Terminal,
    /// Where names are looked for, and what fetching may take.
    install: Install,
    engine: OnceCell<Engine>,
    memory: u64,
}

/// How it is to be done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct How {
    /// Nobody is asked.
    pub(super) yes: bool,
    /// The lockfile must not change.
    pub(super) locked: bool,
    /// Nothing is fetched from the network.
    pub(super) offline: bool,
    /// One that comes with convoke may be covered.
    pub(super) shadow: bool,
    /// An older version may come.
    pub(super) downgrade: bool,
    /// Only shown.
    pub(super) dry_run: bool,
}

/// The options of all of them.
pub(super) fn options() -> [Arg; 3] {
    [
        Arg::new("offline").long("offline").action(ArgAction::SetTrue).help("Use nothing from the network"),
        Arg::new("project")
            .long("project")
            .short('C')
            .value_name("FOLDER")
            .value_parser(value_parser!(PathBuf))
            .help("The project's folder. Default: the nearest one above with convoke.toml or .git"),
        Arg::new("color")
            .long("color")
            .value_name("WHEN")
            .value_parser(clap::builder::EnumValueParser::<Color>::new())
            .default_value("auto")
            .help("Colours"),
    ]
}

/// The options of those that install.
pub(super) fn installing_options() -> [Arg; 4] {
    [
        Arg::new("yes").long("yes").short('y').action(ArgAction::SetTrue).help("Agree to what is asked for, unasked"),
        Arg::new("locked").long("locked").action(ArgAction::SetTrue).help("convoke.lock must not change"),
        Arg::new("downgrade")
            .long("allow-downgrade")
            .action(ArgAction::SetTrue)
            .help("An older version may take the place of a newer one"),
        Arg::new("dry-run").long("dry-run").action(ArgAction::SetTrue).help("Only show what would change"),
    ]
}

impl Installer {
    /// As it was typed.
    pub(super) fn new(matches: &ArgMatches) -> Result<Self, CliError> {
        let flag = |name: &str| matches.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or_default();
        let how = How {
            yes: flag("yes"),
            locked: flag("locked"),
            offline: flag("offline"),
            shadow: flag("shadow"),
            downgrade: flag("downgrade"),
            dry_run: flag("dry-run"),
        };
        let project = project_folder(matches.get_one::<PathBuf>("project").map(PathBuf::as_path))?;
        Self::of(project, how, matches.get_one::<Color>("color").copied().unwrap_or_default())
    }

    /// Puts it together. Of settings only the user's own have a say.
    pub(super) fn of(project: PathBuf, how: How, color: Color) -> Result<Self, CliError> {
        let env = |name: &str| std::env::var(name).ok();
        let paths = Paths::find(env)?;
        let none = paths.config.join("no-project").join(PROJECT_FILE);
        let settings = Settings::load(&paths.user_file(), &none, env, Choices::default())?;
        Ok(Self {
            plugins: Plugins::of(&paths),
            project,
            how,
            terminal: Terminal::find(color),
            install: settings.install,
            engine: OnceCell::new(),
            memory: settings.limits.plugin_memory,
            paths,
        })
    }

    /// What the project pins.
    pub(super) fn pinned(&self) -> Result<Option<Pinned>, CliError> {
        Ok(Pinned::read(&self.project)?)
    }

    /// From where paths go that were typed.
    pub(super) fn typed(&self) -> Result<Sources, CliError> {
        let here = std::env::current_dir();
        let folder = here.map_err(|error| CliError::usage(format!("there is no working folder: {error}")))?;
        Ok(Sources { folder, access: self.access(), install: self.install.clone(), offline: self.how.offline })
    }

    /// From where paths go that the project's file names. That may be anybody's: nothing on this machine is asked for it.
    pub(super) fn of_project(&self) -> Sources {
        let access = self.access().named_by_project();
        Sources { folder: self.project.clone(), access, install: self.install.clone(), offline: self.how.offline }
    }

    fn access(&self) -> Access {
        Access::of(&self.install, |name: &str| std::env::var(name).ok(), &self.project)
    }

    /// Gets what was typed.
    pub(super) fn capture(&self, spec: &Spec) -> Result<Captured, CliError> {
        let sources = self.typed()?;
        in_runtime(async { Ok(capture(spec, &sources).await?) })
    }

    /// Gets it and looks at it, beside what the user has installed under its name.
    pub(super) fn look(&self, spec: &Spec, captured: Captured, index: &Index) -> Result<Looked, InstallError> {
        let wanted = match spec {
            Spec::Named { name, requirement, .. } => {
                Wanted { name: Some(name), requirement: Some(requirement), digest: None }
            }
            Spec::Place(_) => Wanted::default(),
        };
        let before = |name: &str| index.command(name).map(|now| (now.digest, now.held));
        look(captured, wanted, before, &Undisturbed)
    }

    /// Installs what was looked at, all or none.
    pub(super) fn install(&self, looked: &[Looked], purpose: &Purpose) -> Result<Became, CliError> {
        let cache = self.paths.components();
        let engine = match self.engine.get() {
            Some(engine) => engine,
            None => {
                let engine = Engine::new(usize::try_from(self.memory).unwrap_or(usize::MAX))?;
                self.engine.get_or_init(|| engine)
            }
        };
        let told = |line: String| say(&clean::line(&line));
        let compiler = Compiler { engine, cache: &cache };
        Ok(install(&self.plugins, looked, purpose, self, compiler, told, &Undisturbed)?)
    }

    /// A change, as people read it.
    pub(super) fn shown(&self, looked: &Looked) -> String {
        shown(&looked.change, &looked.captured.resolved, if self.terminal.unicode { "→" } else { "->" })
    }
}

impl Agree for Installer {
    /// What was granted already was agreed to. All else is asked, unless --yes agrees to what is shown. A yes is a grant.
    fn agree(&self, looked: &Looked) -> Result<(), InstallError> {
        let not_agreed = |error: GrantsError| match error {
            GrantsError::Audit(error) => InstallError::Audit(error),
            error => InstallError::NotAgreed(error.to_string(), error.hint()),
        };
        let mut grants = Grants::load(&self.paths.grants()).map_err(not_agreed)?.audited(&Audit::of(&self.paths));
        let (name, inspected) = (&looked.change.name, &looked.inspected);
        let same = grants.of(&inspected.digest).cloned();
        // What of it was left out by its user stays left out.
        if same.as_ref().is_some_and(|same| same.trust) {
            return Ok(());
        }
        if !self.how.yes && !can_ask() {
            let message = format!("you are asked before `{name}` is installed, and here is no terminal to ask on");
            let hint = format!("`{} --yes` agrees to all that is shown above", typed(std::env::args()));
            return Err(InstallError::NotAgreed(message, Some(hint)));
        }
        // What it asks for was shown with the change.
        let mut agreed = |_: &str| {
            let question = format!("Install {name} {}?", looked.change.version);
            self.how.yes || matches!(in_runtime(async { Ok(ask(&question).await) }), Ok(Answer::Yes))
        };
        let declined =
            || InstallError::NotAgreed(format!("`{name}` is not installed: you were asked, and said no"), None);
        let grant = decide(name, inspected, same.as_ref(), Some(&mut agreed)).map_err(|_| {
            grants.refused(Some(&inspected.digest), &inspected.manifest.name, "the user was asked, and said no");
            declined()
        })?;
        grants.allow(grant).map_err(not_agreed)
    }
}

/// A change, as people read it.
fn shown(change: &Change, from: &str, arrow: &str) -> String {
    let kilobytes = |bytes: u64| format!("{} kB", bytes.div_ceil(1_000));
    let head = match &change.before {
        Some(before) if change.is_none() => format!("{} {} ({})", change.name, before.version, kilobytes(change.size)),
        Some(before) => format!(
            "{} {} {arrow} {} ({} {arrow} {})",
            change.name,
            before.version,
            change.version,
            kilobytes(before.size),
            kilobytes(change.size)
        ),
        None => format!("{} {} ({})", change.name, change.version, kilobytes(change.size)),
    };
    let mut lines = vec![(0, head), (2, format!("from {from}")), (2, format!("sha-256 {}", change.digest))];
    let is_new = change.before.is_none();
    let mut list = |title: &str, mark: char, asks: &[String]| {
        if !asks.is_empty() {
            lines.push((2, title.to_owned()));
            lines.extend(asks.iter().map(|ask| (4, format!("{mark} {ask}"))));
        }
    };
    if is_new {
        list("it asks to", '-', &change.added);
    } else {
        list("it asks for more:", '+', &change.added);
        list("it asks no more to", '-', &change.removed);
    }
    if lines.len() == 3 && !change.is_none() {
        lines.push((2, if is_new { "it asks for nothing" } else { "it asks for no more than before" }.to_owned()));
    }
    lines.iter().fold(String::new(), |text, (indent, line)| text + &" ".repeat(*indent) + &clean::line(line) + "\n")
}

/// The project, as messages name it.
pub(super) fn project_shown(project: &Path) -> String {
    clean::line(&project.display().to_string())
}

#[cfg(test)]
mod tests {
    use semver::Version;

    use super::*;

    #[test]
    fn what_is_asked_for_beyond_what_was_is_marked() {
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect();
        let mut change = Change {
            name: "deps".to_owned(),
            before: None,
            version: Version::new(0, 2, 0),
            digest: "d".repeat(64),
            size: 340_001,
            added: words(&["run `git diff` in the project"]),
            removed: Vec::new(),
            kept: words(&["ask Claude"]),
        };
        change.added = words(&["ask Claude"]);
        let text = shown(&change, "./x\u{1b}[2J.wasm", "->");
        assert!(text.starts_with("deps 0.2.0 (341 kB)\n  from ./x"), "{text}");
        assert!(text.contains("  it asks to\n    - ask Claude\n") && !text.contains('\u{1b}'), "{text}");
    }
}
