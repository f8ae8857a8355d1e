//! `convoke grants`: what plugins may do, and the question before a run.

mod explain;
mod wanted;

use std::io::{self, BufRead as _, Write as _};

use clap::{Arg, ArgAction, ArgMatches, Command};
use convoke_runtime::money::Usd;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::carry_out::can_ask;
use super::error::CliError;
use super::terminal::put;
use super::{Component, Runnable, load_file};
use crate::audit::Audit;
use crate::config::{Budget, Paths, limits, nearest};
use crate::plugin::capabilities::Capabilities;
use crate::plugin::grants::words::{command as add_command, plain, short};
use crate::plugin::grants::{
    Ask, Case, Grant, GrantError, Grants, GrantsError, Origin, check, decide_as, is_digest, join, missing,
};
use crate::plugin::inspect::{Inspected, inspect};
use crate::plugin::printable;
use crate::report::{ExitCode, clean};

/// So many digits of a digest are enough to name a grant.
const SHORTEST_DIGEST: usize = 8;

/// The longest name that is shown, in characters.
const LONGEST: usize = 300;

pub(super) fn command() -> Command {
    let plugin = |help: &'static str| Arg::new("plugin").value_name("NAME|PATH|DIGEST").required(true).help(help);
    let several = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).action(ArgAction::Append).help(help)
    };
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let add = Command::new("add")
        .about("Grants a plugin what it asks for: all, or what is named. Without an option it asks")
        .long_about(
            "Grants a plugin what it asks for, to this component and no other: when it changes, it asks again. Only what it \
             asks for in its manifest can be granted; `convoke grants explain` shows that. Without an option you are shown \
             what is missing, and asked.\n\n    convoke grants add deps --all\n    convoke grants add ./x.wasm --process \
             'git diff' --http GET:api.osv.dev",
        )
        .arg(plugin("A command, the path of a component, or the sha-256 of one"))
        .arg(flag("all", "All that it asks for"))
        .arg(flag("trust", "To run, and to ask Claude, which spends money"))
        .arg(
            Arg::new("usd")
                .long("usd")
                .value_name("USD")
                .value_parser(limits::dollars)
                .help("To ask Claude for at most so many dollars a run, at list price"),
        )
        .arg(several("tool", "TOOL", "To let Claude use a tool of it: Read, 'Bash(git log:*)'"))
        .arg(several("process", "PROGRAM", "To run a program: git, or with a subcommand 'git diff'"))
        .arg(several("http", "HOST", "To send requests to a host: api.osv.dev, or with methods GET,POST:api.osv.dev"))
        .arg(flag("store", "To keep notes of its own between runs"));
    Command::new("grants")
        .about("Shows and changes what plugins may do")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("list").about("Shows what is granted").arg(super::format_argument()))
        .subcommand(add)
        .subcommand(
            Command::new("revoke")
                .about("Takes away what is granted: from the next run on")
                .arg(plugin("A name, for all components of it, the path of a component, or the begin of a sha-256")),
        )
        .subcommand(
            Command::new("explain")
                .about("Tells what a plugin asks for, what of it is granted, and what each allows at worst")
                .arg(plugin("A command, the path of a component, or the sha-256 of one"))
                .arg(super::format_argument()),
        )
}

pub(super) fn grants(runnables: &[Runnable], matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let paths = Paths::find(|name: &str| std::env::var(name).ok())?;
    let grants = Grants::load(&paths.grants())?.audited(&Audit::of(&paths));
    match matches.subcommand() {
        Some(("list", matches)) => list(&grants, is_json(matches)),
        Some(("add", matches)) => add(runnables, grants, matches),
        Some(("revoke", matches)) => revoke(runnables, grants, named(matches)),
        Some(("explain", matches)) => explain::explain(runnables, &grants, named(matches), is_json(matches)),
        _ => Err(CliError::usage("list, add, revoke or explain?")),
    }
}

fn is_json(matches: &ArgMatches) -> bool {
    matches.get_one::<String>("format").is_some_and(|format| format == "json")
}

fn named(matches: &ArgMatches) -> &str {
    matches.get_one::<String>("plugin").map_or("", String::as_str)
}

impl Runnable {
    /// Where it comes from.
    pub(super) fn origin(&self) -> Origin {
        match self.component {
            Component::Embedded(_) => Origin::Embedded,
            Component::File(_) => Origin::Typed,
            Component::Kept(_) => Origin::Installed,
        }
    }
}

/// What a plugin gets in a run. What was not decided yet is asked, where there is somebody to ask. `is_replay`: nothing is
/// spent, and nobody is asked.
pub(super) fn of_a_run(
    runnable: &Runnable,
    inspected: &Inspected,
    paths: &Paths,
    audit: &Audit,
    is_replay: bool,
) -> Result<Capabilities, CliError> {
    let mut grants = Grants::load(&paths.grants())?.audited(audit);
    let case = Case { plugin: &runnable.name, inspected, origin: runnable.origin() };
    if is_replay {
        return Ok(crate::plugin::grants::meet(case.asked(), &case.given(&grants).capabilities));
    }
    asking(|terminal| check(case, &mut grants, terminal))
}

/// A plugin that was granted so many dollars a run takes no more, whatever else allows it. What that changes is said.
pub(super) fn lower_budget(budget: &mut Budget, granted: Option<f64>) -> Option<String> {
    let granted = Usd::from_dollars(granted?);
    let before = budget.usd.replace(budget.usd.map_or(granted, |usd| usd.min(granted)))?;
    (granted < before).then(|| format!("the plugin was granted {granted} a run: that is its budget, and not {before}"))
}

/// Does something with the way to ask the user; none: here is no terminal.
pub(super) fn asking<T>(work: impl FnOnce(Option<&mut Ask<'_>>) -> T) -> T {
    let mut ask = on_the_terminal;
    work(can_ask().then_some(&mut ask as &mut Ask<'_>))
}

/// Asks on the terminal; the default is no. The text has nothing in it that a terminal would act on.
fn on_the_terminal(text: &str) -> bool {
    let shown = write!(io::stderr(), "{text}Grant this? [y/N] ").and_then(|()| io::stderr().flush());
    let mut line = String::new();
    // What was not shown is not agreed to.
    shown.is_ok()
        && io::stdin().lock().read_line(&mut line).is_ok()
        && matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// A plugin that somebody named.
struct Found {
    /// As it was named.
    plugin: String,
    digest: String,
    /// Where it comes from, and what it asks for; none: only its digest is known.
    known: Option<(Origin, Inspected)>,
}

impl Found {
    fn case(&self) -> Option<Case<'_>> {
        let (origin, inspected) = self.known.as_ref()?;
        Some(Case { plugin: &self.plugin, inspected, origin: *origin })
    }
}

/// The plugin of a name, a path or a digest.
fn find(runnables: &[Runnable], plugin: &str) -> Result<Found, CliError> {
    let shown = || printable(plugin, LONGEST);
    let of = |runnable: &Runnable| -> Result<Found, CliError> {
        let inspected = inspect(&runnable.bytes()?)
            .map_err(|error| CliError::usage(format!("{}: {error}", shown())).hint(error.hint()))?;
        Ok(Found {
            plugin: plugin.to_owned(),
            digest: inspected.digest.clone(),
            known: Some((runnable.origin(), inspected)),
        })
    };
    if plugin.ends_with(".wasm") {
        return of(&load_file(plugin)?);
    }
    if let Some(runnable) = runnables.iter().find(|runnable| runnable.name == plugin) {
        return of(runnable);
    }
    let digest = plugin.strip_prefix("sha256:").unwrap_or(plugin);
    if is_digest(digest) {
        let is_it = |runnable: &&Runnable| runnable.component.digest() == digest;
        return match runnables.iter().find(is_it) {
            Some(runnable) => of(runnable),
            None => Ok(Found { plugin: plugin.to_owned(), digest: digest.to_owned(), known: None }),
        };
    }
    let hint = match nearest(plugin, runnables.iter().map(|runnable| runnable.name.as_str())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "name a command of `convoke list`, the path of a component that ends in .wasm, or a whole sha-256"
            .to_owned(),
    };
    Err(CliError::usage(format!("there is no plugin {}", shown())).hint(Some(hint)))
}

fn add(runnables: &[Runnable], mut grants: Grants, matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let found = find(runnables, named(matches))?;
    let wanted = wanted::Wanted::of(matches)?;
    let same = grants.of(&found.digest).cloned();
    let grant = match (found.case(), wanted) {
        (Some(case), None) => {
            let is_missing = !missing(case.asked(), Some(&case.given(&grants))).is_empty();
            if !is_missing {
                put(&format!("`{}` has all that it asks for\n", printable(&found.plugin, LONGEST)), None)?;
                return Ok(ExitCode::Success);
            }
            let before = same.as_ref().or_else(|| grants.named(&case.inspected.manifest.name)).cloned();
            asking(|terminal| decide_as(case, before.as_ref(), terminal)).inspect_err(|error| {
                grants.refused(Some(&case.inspected.digest), &case.inspected.manifest.name, &error.to_string());
            })?
        }
        (Some(case), Some(wanted)) => {
            let (trust, capabilities) = wanted.of_what_is_asked(case)?;
            let manifest = &case.inspected.manifest;
            granted(
                same,
                &found.digest,
                (manifest.name.as_str(), manifest.version.as_str()),
                case.origin,
                trust,
                capabilities,
            )
        }
        (None, None) => {
            return Err(CliError::usage("which of what it asks for? Only its digest is known here").hint(Some(
                "name what is granted: --trust, --process, --http, --tool, --store; or give the path of the component",
            )));
        }
        (None, Some(wanted)) => {
            let (trust, capabilities) = wanted.unseen()?;
            granted(same, &found.digest, ("not-seen", "0.0.0"), Origin::Installed, trust, capabilities)
        }
    };
    let text = format!(
        "`{}` may now, as the component {}:\n{}",
        printable(&found.plugin, LONGEST),
        short(&grant.digest),
        lines(&grant)
    );
    grants.allow(grant)?;
    put(&text, None)?;
    Ok(ExitCode::Success)
}

/// A grant with what was there before.
fn granted(
    same: Option<Grant>,
    digest: &str,
    (name, version): (&str, &str),
    origin: Origin,
    trust: bool,
    mut capabilities: Capabilities,
) -> Grant {
    let was_trusted = same.as_ref().is_some_and(|same| same.trust);
    if let Some(same) = same {
        if !trust {
            capabilities.claude.usd = same.capabilities.claude.usd;
        }
        capabilities = join(&same.capabilities, &capabilities);
    }
    Grant {
        digest: digest.to_owned(),
        name: name.to_owned(),
        version: version.to_owned(),
        granted: Timestamp::now(),
        embedded: origin == Origin::Embedded,
        trust: trust || was_trusted,
        capabilities,
    }
}

fn revoke(runnables: &[Runnable], mut grants: Grants, plugin: &str) -> Result<ExitCode, CliError> {
    let digest = plugin.strip_prefix("sha256:").unwrap_or(plugin);
    let is_prefix = digest.len() >= SHORTEST_DIGEST && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut digests: Vec<String> =
        grants.all().iter().filter(|grant| grant.name == plugin).map(|grant| grant.digest.clone()).collect();
    if digests.is_empty() && is_prefix {
        let found = grants.all().iter().filter(|grant| grant.digest.starts_with(digest));
        digests = found.map(|grant| grant.digest.clone()).collect();
        if digests.len() > 1 {
            return Err(CliError::usage(format!("{digest} is the begin of several")).hint(Some("write more of it")));
        }
    }
    if digests.is_empty() && plugin.ends_with(".wasm") {
        digests.extend(grants.of(&find(runnables, plugin)?.digest).map(|grant| grant.digest.clone()));
    }
    if digests.is_empty() {
        let message = format!("nothing is granted to {}", printable(plugin, LONGEST));
        return Err(CliError::usage(message).hint(Some("`convoke grants list` shows what is")));
    }
    let mut text = String::new();
    for digest in digests {
        if let Some(revoked) = grants.revoke(&digest)? {
            text += &format!("{} is no longer granted:\n{}", title(&revoked), lines(&revoked));
        }
    }
    put(&text, None)?;
    Ok(ExitCode::Success)
}

fn list(grants: &Grants, is_json: bool) -> Result<ExitCode, CliError> {
    let text = if is_json {
        let all: Vec<Value> = grants.all().iter().map(as_json).collect();
        clean::json(format!("{:#}\n", json!({ "schema_version": 1, "grants": all })))
    } else if grants.all().is_empty() {
        "Nothing is granted yet.\n".to_owned()
    } else {
        grants.all().iter().map(|grant| format!("{}\n{}", title(grant), lines(grant))).collect()
    };
    put(&text, None)?;
    Ok(ExitCode::Success)
}

fn as_json(grant: &Grant) -> Value {
    json!({
        "name": grant.name,
        "version": grant.version,
        "sha256": grant.digest,
        "granted": grant.granted.to_string(),
        "embedded": grant.embedded,
        "trust": grant.trust,
        "capabilities": grant.capabilities,
        "plain": plain_lines(grant),
    })
}

fn title(grant: &Grant) -> String {
    format!(
        "{} {}, sha256 {}, since {}",
        printable(&grant.name, LONGEST),
        printable(&grant.version, LONGEST),
        short(&grant.digest),
        grant.granted.strftime("%Y-%m-%d"),
    )
}

/// What is granted, in plain words.
fn plain_lines(grant: &Grant) -> Vec<String> {
    let all = missing(&grant.capabilities, None);
    let all = all.iter().filter(|wish| grant.trust || !matches!(wish, crate::plugin::grants::Wish::Spend(_)));
    all.map(plain).collect()
}

fn lines(grant: &Grant) -> String {
    let lines = plain_lines(grant);
    if lines.is_empty() {
        return "  nothing\n".to_owned();
    }
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

impl From<GrantError> for CliError {
    fn from(error: GrantError) -> Self {
        let hint = error.hint();
        Self::usage(error.to_string()).hint(Some(hint))
    }
}

impl From<GrantsError> for CliError {
    fn from(error: GrantsError) -> Self {
        match error {
            GrantsError::Config(error) => error.into(),
            error => {
                let hint = error.hint();
                Self::usage(error.to_string()).hint(hint)
            }
        }
    }
}

/// The command that grants all that is missing; none: nothing is.
fn command_for(case: Case<'_>, given: &Grant) -> Option<String> {
    let wishes = missing(case.asked(), Some(given));
    (!wishes.is_empty()).then(|| add_command(case.plugin, &wishes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_takes_no_more_than_it_was_granted() {
        let lowered = |budget: Option<f64>, granted: Option<f64>| {
            let mut budget = Budget { usd: budget.map(Usd::from_dollars), ..Budget::default() };
            let said = lower_budget(&mut budget, granted).is_some();
            (budget.usd.map(Usd::dollars), said)
        };
        assert_eq!(lowered(None, None), (None, false));
        assert_eq!(lowered(Some(5.0), None), (Some(5.0), false));
        assert_eq!(lowered(None, Some(2.0)), (Some(2.0), false));
        assert_eq!(lowered(Some(1.0), Some(2.0)), (Some(1.0), false));
        assert_eq!(lowered(Some(5.0), Some(2.0)), (Some(2.0), true));
    }
}
