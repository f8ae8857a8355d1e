//! The command line: what was typed is parsed, one thing is called, and its text and exit code go out.

mod actions;
mod audit;
mod build;
mod cache;
mod carry_actions;
mod carry_out;
mod command;
mod config;
mod ctl;
mod dashboard;
mod delivery;
mod dev;
mod doctor;
mod error;
mod grants;
mod info;
mod install;
mod installer;
mod known;
mod limits;
mod list;
mod most;
mod new;
mod options;
mod plan;
mod policy;
mod prepare;
mod publish;
mod report;
mod resume;
mod rollback;
mod runs;
mod schema;
mod search;
mod settle;
mod shell;
mod signals;
mod stats;
mod taped;
mod terminal;
mod test;
mod together;
mod typed;
mod uninstall;
mod update;
mod watching;

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use convoke_runtime::journal::Typed;
use jiff::Timestamp;

use crate::observe::words::harmless;
use crate::plugin::embedded::EMBEDDED;
use crate::plugin::inspect::{InspectError, read_manifest};
use crate::plugin::installed::{InstallError, Plugins};
use crate::plugin::manifest::Manifest;
use crate::plugin::outside::store::Owner;
use crate::plugin::sha256_hex;
use crate::report::ExitCode;
use error::CliError;
use installer::{How, Installer};
use known::Known;
use options::{Color, Options};
use settle::{Renew, settle};
use terminal::Terminal;

/// The largest file that is read as a component, in bytes.
const LARGEST_COMPONENT: u64 = 256 << 20;

/// Where a command's component is.
#[derive(Clone, Debug)]
enum Component {
    Embedded(&'static [u8]),
    File(Vec<u8>),
    Kept(Box<Kept>),
}

/// A component that is installed, and not read yet.
#[derive(Clone, Debug)]
struct Kept {
    plugins: Plugins,
    digest: String,
    size: u64,
    installed: Timestamp,
    /// What an update asks again; none: the project pins it.
    source: Option<String>,
    /// Where its bytes came from.
    resolved: String,
}

impl Kept {
    /// The command that installs it again.
    fn again(&self) -> String {
        match self.source.as_deref().map(shlex::try_quote) {
            Some(Ok(source)) => format!("`convoke install {source}` installs it again"),
            Some(Err(_)) => "install it again".to_owned(),
            None => "`convoke install` installs it again".to_owned(),
        }
    }
}

impl Component {
    fn size(&self) -> u64 {
        match self {
            Self::Embedded(bytes) => bytes.len() as u64,
            Self::File(bytes) => bytes.len() as u64,
            Self::Kept(kept) => kept.size,
        }
    }

    /// The sha-256 of its bytes, in hex.
    fn digest(&self) -> String {
        match self {
            Self::Embedded(bytes) => sha256_hex(bytes),
            Self::File(bytes) => sha256_hex(bytes),
            Self::Kept(kept) => kept.digest.clone(),
        }
    }
}

/// A command that can be run.
#[derive(Clone, Debug)]
struct Runnable {
    /// As it is typed.
    name: String,
    manifest: Manifest,
    component: Component,
}

impl Runnable {
    /// Whether the user has installed it, or the project pins it.
    fn is_installed(&self) -> bool {
        matches!(self.component, Component::Kept(_))
    }

    /// Its component.
    ///
    /// # Errors
    /// It is installed, and its file is gone or damaged.
    fn bytes(&self) -> Result<Cow<'_, [u8]>, CliError> {
        Ok(match &self.component {
            Component::Embedded(bytes) => Cow::Borrowed(bytes),
            Component::File(bytes) => Cow::Borrowed(bytes),
            Component::Kept(kept) => {
                let read = kept.plugins.component(&self.name, &kept.digest);
                Cow::Owned(read.map_err(|error| match error {
                    InstallError::Damaged { .. } | InstallError::Gone { .. } => {
                        CliError::from(error).hint(Some(kept.again()))
                    }
                    error => error.into(),
                })?)
            }
        })
    }

    /// Whose store it has: its name alone could be anybody's.
    fn owner(&self) -> Owner {
        match &self.component {
            Component::Embedded(_) => Owner::embedded(&self.manifest.name),
            Component::File(_) => Owner::file(&self.manifest.name, Path::new(&self.name)),
            Component::Kept(kept) => Owner::installed(&self.manifest.name, &kept.resolved),
        }
    }
}

/// Runs the command line. Everything that the process does happens in here.
pub fn main(arguments: Vec<OsString>) -> std::process::ExitCode {
    signals::listen();
    let code = match start(arguments, true) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(target: "convoke::cli", code = error.code.code(), "{}", harmless(&error.message));
            error.show(Terminal::find(Color::Auto).err_color);
            error.code
        }
    };
    code.into()
}

/// The first use of a command that the project pins: its user is asked.
fn ask_for_the_project(arguments: &[OsString]) -> Result<(), CliError> {
    let folder = known::project(arguments);
    let how = How { locked: true, ..How::default() };
    settle(&Installer::of(prepare::project_folder(folder.as_deref())?, how, Color::Auto)?, &Renew::Nothing).map(drop)
}

fn start(arguments: Vec<OsString>, may_ask: bool) -> Result<ExitCode, CliError> {
    let mut known = Known::find(&arguments)?;
    let cli = command_line(&known.runnables);
    if let Some(answered) = shell::answer(&cli, &known, &arguments) {
        return answered;
    }
    let matches = match cli.clone().try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) => {
            if let Some(name) = Known::not_known(&error, &arguments) {
                if may_ask && known.waits_for_its_user(name) && carry_out::can_ask() {
                    ask_for_the_project(&arguments)?;
                    return start(arguments, false);
                }
                return Err(known.explained(name, &cli));
            }
            // Help and version go to standard output, and are no mistake.
            let code = if error.use_stderr() { ExitCode::Usage } else { ExitCode::Success };
            // Nobody may be reading.
            let _ = error.print();
            return Ok(code);
        }
    };
    match matches.subcommand() {
        Some(("doctor", matches)) => doctor::doctor(matches),
        Some(("list", matches)) => list::list(&mut known, matches),
        Some(("install", matches)) => install::install(matches),
        Some(("update", matches)) => update::update(matches),
        Some(("outdated", matches)) => update::outdated(matches),
        Some(("uninstall", matches)) => uninstall::uninstall(matches),
        Some(("info", matches)) => info::info(&mut known, matches),
        Some(("search", matches)) => search::search(&mut known, matches),
        Some(("new", matches)) => new::new(matches),
        Some(("build", matches)) => build::build(matches),
        Some(("dev", matches)) => dev::dev(matches),
        Some(("actions", matches)) => actions::actions(matches),
        Some(("audit", matches)) => audit::audit(matches),
        Some(("cache", matches)) => cache::cache(matches),
        Some(("grants", matches)) => {
            known.check()?;
            grants::grants(&known.runnables, matches)
        }
        Some(("run", matches)) => together::run(&mut known, matches),
        Some(("resume", matches)) => resume::resume(matches),
        Some(("retry", matches)) => resume::retry(matches),
        Some(("limits", matches)) => limits::limits(matches),
        Some(("policy", matches)) => policy::policy(matches),
        Some(("publish", matches)) => publish::publish(matches),
        Some(("runs", matches)) => runs::runs(matches),
        Some(("stats", matches)) => stats::stats(matches),
        Some(("report", matches)) => report::report(&mut known, matches),
        Some(("config", matches)) => config::config(matches),
        Some(("dashboard", matches)) => dashboard::dashboard(matches),
        Some(("ctl", matches)) => ctl::ctl(matches),
        Some(("rollback", matches)) => rollback::rollback(matches),
        Some(("schema", matches)) => schema::schema(matches),
        Some(("test", matches)) => test::test(matches),
        Some(("completions", matches)) => shell::completions(matches),
        Some(("man", matches)) => shell::man(cli, matches),
        Some((name, matches)) => run(&mut known, name, matches, typed::all(&arguments)),
        None => Err(CliError::usage("which command?")),
    }
}

fn run(known: &mut Known, name: &str, matches: &ArgMatches, typed: Option<Typed>) -> Result<ExitCode, CliError> {
    let runnable = known.runnable(name)?;
    let innermost = matches.subcommand().map_or(matches, |(_, inner)| inner);
    let options = Options::from_arg_matches(innermost).map_err(|error| CliError::usage(error.to_string()))?;
    command::run(runnable, matches, &options, typed)
}

fn embedded() -> Result<Vec<Runnable>, InspectError> {
    EMBEDDED
        .iter()
        .map(|plugin| {
            let manifest = read_manifest(plugin.bytes)?;
            Ok(Runnable { name: plugin.name.to_owned(), manifest, component: Component::Embedded(plugin.bytes) })
        })
        .collect()
}

/// `convoke ./todo.wasm …`: a component that is not installed is run by its path.
fn from_file(arguments: &[OsString]) -> Result<Option<Runnable>, CliError> {
    let words = arguments.iter().skip(1).filter_map(|argument| argument.to_str());
    let mut words = words.skip_while(|word| *word == "help" || word.starts_with('-'));
    let Some(path) = words.next().filter(|word| word.ends_with(".wasm")) else { return Ok(None) };
    load_file(path).map(Some)
}

/// The command that a component implements.
fn load_file(path: &str) -> Result<Runnable, CliError> {
    let of_file = |error: &dyn std::fmt::Display| CliError::usage(format!("{path}: {error}"));
    let bytes = read_component(Path::new(path)).map_err(|error| of_file(&error))?;
    let manifest = read_manifest(&bytes).map_err(|error| of_file(&error).hint(error.hint()))?;
    Ok(Runnable { name: path.to_owned(), manifest, component: Component::File(bytes) })
}

/// Reads a component's file, if it may be one.
fn read_component(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::{Error, ErrorKind};
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is not a file"));
    }
    if metadata.len() > LARGEST_COMPONENT {
        return Err(Error::new(
            ErrorKind::FileTooLarge,
            format!("it has {} bytes, more than a component may", metadata.len()),
        ));
    }
    fs::read(path)
}

fn command_line(runnables: &[Runnable]) -> Command {
    let mut cli = Command::new("convoke")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Runs Claude commands, each a sandboxed WASM component, in parallel")
        .after_help(format!("Exit codes: {}.", ExitCode::listed()))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand_help_heading("Commands")
        .subcommand(together::command())
        .subcommand(resume::resume_command())
        .subcommand(resume::retry_command())
        .subcommand(list::command())
        .subcommand(install::command())
        .subcommand(update::command())
        .subcommand(update::outdated_command())
        .subcommand(uninstall::command())
        .subcommand(info::command())
        .subcommand(search::command())
        .subcommand(doctor::command())
        .subcommand(new::command())
        .subcommand(build::command())
        .subcommand(dev::command())
        .subcommand(test::command())
        .subcommand(publish::command())
        .subcommand(actions::command())
        .subcommand(audit::command())
        .subcommand(cache::command())
        .subcommand(grants::command())
        .subcommand(runs::command())
        .subcommand(stats::command())
        .subcommand(report::command())
        .subcommand(dashboard::command())
        .subcommand(limits::command())
        .subcommand(policy::command())
        .subcommand(config::command())
        .subcommand(ctl::command())
        .subcommand(rollback::command())
        .subcommand(schema::command())
        .subcommand(shell::completions_command())
        .subcommand(shell::man_command());
    for runnable in runnables {
        cli = cli.subcommand(with_options(runnable.manifest.to_clap().name(runnable.name.clone())).display_order(0));
    }
    cli
}

/// Adds the options of the host, to the command or to each of its subcommands.
fn with_options(command: Command) -> Command {
    if command.has_subcommands() { command.mut_subcommands(add_options) } else { add_options(command) }
}

/// The plugin's own words stay the help's first ones.
fn add_options(command: Command) -> Command {
    let (about, long) = (command.get_about().cloned(), command.get_long_about().cloned());
    let command = Options::augment_args(command).about(about.unwrap_or_default());
    match long {
        Some(long) => command.long_about(long),
        None => command,
    }
}

/// A format for people or for programs.
fn format_argument() -> Arg {
    Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .value_parser(["human", "json"])
        .default_value("human")
        .help("The form of the list")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::manifest::{RESERVED_OPTIONS, RESERVED_SHORTS};

    #[test]
    fn the_command_line_is_well_formed_and_plugins_come_first() {
        let mut cli = command_line(&embedded().expect("embedded plugins have manifests"));
        let help = cli.render_help().to_string();
        assert!(help.find("agent-audit") < help.find("completions"), "{help}");
        assert!(help.contains("Audits Claude agent definitions"), "{help}");
        cli.debug_assert();
    }

    #[test]
    fn no_plugin_can_declare_an_option_of_the_host() {
        let options = Options::augment_args(Command::new("any"));
        for argument in options.get_arguments() {
            if let Some(long) = argument.get_long() {
                assert!(RESERVED_OPTIONS.contains(&long), "--{long} must be reserved");
            }
            if let Some(short) = argument.get_short() {
                assert!(RESERVED_SHORTS.contains(&short), "-{short} must be reserved");
            }
        }
    }

    #[test]
    fn our_own_subcommands_are_reserved() {
        for own in command_line(&[]).get_subcommands() {
            assert!(crate::plugin::manifest::RESERVED_NAMES.contains(&own.get_name()), "{}", own.get_name());
        }
    }
}
