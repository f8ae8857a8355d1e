//! `convoke actions`: what was carried out outside the files of this project, and what the user has to settle.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, ArgMatches, Command};
use convoke_runtime::journal::{ActionRow, ActionState, Journal};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::command::in_runtime;
use super::error::CliError;
use super::prepare::project_folder;
use super::terminal::put;
use crate::actions::program::Program;
use crate::actions::{standing, turn};
use crate::audit::{Audit, Record, kind};
use crate::config::Paths;
use crate::report::{ExitCode, clean};

/// The fewest characters by which an action may be named whose key begins so.
const NAME: usize = 4;

pub(super) fn command() -> Command {
    let key = || Arg::new("key").value_name("KEY").required(true).help("Its key, or how that begins");
    Command::new("actions")
        .about("Shows what was carried out outside the files of this project, and settles what is unknown")
        .args_conflicts_with_subcommands(true)
        .arg(super::format_argument())
        .arg(folder())
        .subcommand(
            Command::new("show")
                .about("Shows all that is known of an action, with what its program printed")
                .arg(key())
                .arg(super::format_argument())
                .arg(folder()),
        )
        .subcommand(
            Command::new("settle")
                .about("Says how an action stands, after you have looked. A failed one may be carried out again")
                .arg(key())
                .arg(
                    Arg::new("state")
                        .value_name("STATE")
                        .required(true)
                        .value_parser(["done", "failed"])
                        .help("How it stands"),
                )
                .arg(folder()),
        )
        .subcommand(
            Command::new("forget")
                .about("Forgets an action that failed or was only proposed, so that its key can mean another one")
                .arg(key())
                .arg(folder()),
        )
}

fn folder() -> Arg {
    Arg::new("project")
        .long("project")
        .short('C')
        .value_name("FOLDER")
        .value_parser(clap::value_parser!(std::path::PathBuf))
        .help("The project's folder. Default: the nearest one above with convoke.toml or .git")
}

pub(super) fn actions(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let (name, matches) = matches.subcommand().unwrap_or(("list", matches));
    let paths = Paths::find(|name| std::env::var(name).ok())?;
    let project = project_folder(matches.get_one::<std::path::PathBuf>("project").map(|folder| folder.as_path()))?;
    let journal = Journal::open(&paths.journal())?;
    let key = matches.try_get_one::<String>("key").ok().flatten();
    let json = matches.try_get_one::<String>("format").ok().flatten().is_some_and(|format| format == "json");
    let text = in_runtime(async {
        let known = Known::read(&journal, &paths.locks(), &project).await?;
        let one = key.map(|key| known.find(key)).transpose()?;
        match (name, one) {
            ("show", Some(row)) if json => Ok(format!("{:#}\n", whole(row, known.under_way))),
            ("show", Some(row)) => Ok(described(row, known.under_way)),
            ("settle", Some(row)) => {
                let done = matches.get_one::<String>("state").is_some_and(|state| state == "done");
                let state = if done { ActionState::Done } else { ActionState::Failed };
                known.is_at_rest(row)?;
                audited(&paths, &known.project, row, state.name()).await?;
                journal.settle_action(&known.project, &row.action.key, state, Timestamp::now()).await?;
                let next = if done { "it is not run again" } else { "the next --apply may run it again" };
                Ok(format!("{} is {}: {next}.\n", clean::line(&row.action.key), state.name()))
            }
            ("forget", Some(row)) => {
                if !matches!(row.state, ActionState::Failed | ActionState::Proposed) {
                    let message = format!("{} is {}", row.action.key, standing(row));
                    return Err(CliError::usage(message).hint(Some("only what failed or was proposed is forgotten")));
                }
                audited(&paths, &known.project, row, "forgotten").await?;
                journal.forget_action(&known.project, &row.action.key).await?;
                Ok(format!("{} is forgotten.\n", clean::line(&row.action.key)))
            }
            _ if json => Ok(format!("{:#}\n", known.json())),
            _ => Ok(known.list()),
        }
    })?;
    put(&text, None)?;
    Ok(ExitCode::Success)
}

/// Writes down what the user says of an action, before it holds.
async fn audited(paths: &Paths, project: &str, row: &ActionRow, state: &str) -> Result<(), CliError> {
    let details = json!({"project": project, "from": row.state.name(), "to": state});
    let run = Some(row.action.run.to_string());
    let record = Record::new(kind::ACTION_SETTLED, row.action.key.clone(), details).of_run(run);
    let audited = Audit::of(paths).before(vec![record]).await;
    audited.map_err(|error| CliError::nothing(format!("nothing was settled: {error}")).hint(Some(error.hint())))
}

/// The actions of a project.
struct Known {
    project: String,
    rows: Vec<ActionRow>,
    /// Whether a host is at them now: what is begun may still end.
    under_way: bool,
}

impl Known {
    async fn read(journal: &Journal, locks: &Path, project: &Path) -> Result<Self, CliError> {
        let project_name = project.to_string_lossy().into_owned();
        let turn = turn::try_take(locks, project).map_err(|error| CliError::usage(error.to_string()))?;
        if turn.is_some() {
            journal.lose_actions(&project_name, Timestamp::now()).await?;
        }
        let rows = journal.actions(&project_name).await?;
        Ok(Self { rows, project: project_name, under_way: turn.is_none() })
    }

    /// The action of a key, or the only one whose key begins so.
    fn find(&self, name: &str) -> Result<&ActionRow, CliError> {
        if let Some(row) = self.rows.iter().find(|row| row.action.key == name) {
            return Ok(row);
        }
        let begins = |row: &&ActionRow| name.chars().count() >= NAME && row.action.key.starts_with(name);
        let mut found = self.rows.iter().filter(begins);
        match (found.next(), found.next()) {
            (Some(row), None) => Ok(row),
            (Some(_), Some(_)) => Err(CliError::usage(format!("several actions begin with {name}"))),
            (None, _) => Err(CliError::usage(format!("{} has no action {name}", self.project))
                .hint(Some("`convoke actions` shows those that there are"))),
        }
    }

    fn is_at_rest(&self, row: &ActionRow) -> Result<(), CliError> {
        if row.state != ActionState::Started {
            return Ok(());
        }
        let message = format!("{} is under way: {}", row.action.key, standing(row));
        Err(CliError::usage(message).hint(Some("wait for its end, or stop the convoke that runs it")))
    }

    fn list(&self) -> String {
        if self.rows.is_empty() {
            return "No action of this project was carried out or asked for.\n".to_owned();
        }
        let mut text = String::new();
        for row in &self.rows {
            let action = &row.action;
            let (key, title) = (clean::line(&action.key), clean::line(&clean::bounded(&action.title, 200)));
            let _ = writeln!(text, "{:9} {key}  {}: {title}", state(row, self.under_way), clean::line(&action.kind));
            let _ = writeln!(text, "          {}", clean::line(&clean::bounded(&standing(row), 400)));
        }
        if self.rows.iter().any(|row| row.state == ActionState::Unknown) {
            text +=
                "\nSee what is there, then say so: convoke actions settle KEY done, or failed to have it run again.\n";
        }
        text
    }

    fn json(&self) -> Value {
        let actions: Vec<Value> = self.rows.iter().map(|row| short(row, self.under_way)).collect();
        json!({ "schema_version": 1, "project": self.project, "actions": actions })
    }
}

/// Nobody says of what may still end that it is unknown.
fn state(row: &ActionRow, under_way: bool) -> &'static str {
    match row.state {
        ActionState::Started if under_way => "running",
        state => state.name(),
    }
}

fn short(row: &ActionRow, under_way: bool) -> Value {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    json!({
        "key": row.action.key,
        "state": state(row, under_way),
        "kind": row.action.kind,
        "title": row.action.title,
        "item": row.action.item,
        "run": row.action.run.to_string(),
        "proposed": row.action.at.to_string(),
        "started": time(row.started),
        "ended": time(row.ended),
        "settled": time(row.settled),
        "exit_code": row.exit_code,
        "reason": row.reason,
    })
}

fn whole(row: &ActionRow, under_way: bool) -> Value {
    let mut whole = short(row, under_way);
    let body: Value = serde_json::from_str(&row.action.body).unwrap_or_default();
    for (name, value) in [("body", body), ("output", json!(row.output)), ("errors", json!(row.errors))] {
        whole[name] = value;
    }
    whole
}

fn described(row: &ActionRow, under_way: bool) -> String {
    let action = &row.action;
    let mut text = String::new();
    let mut add = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:8} {}", clean::line(value));
    };
    add("Key", &action.key);
    add("State", state(row, under_way));
    add("What", &format!("{}: {}", action.kind, action.title));
    add("Item", &action.item);
    add("Run", &action.run.to_string());
    add("Stands", &standing(row));
    if let Some(code) = row.exit_code {
        add("Code", &code.to_string());
    }
    let program = Program::written(&action.body).map_or_else(|| clean::block(&action.body), |it| it.described());
    let parts = [("Program", program), ("Output", clean::block(&row.output)), ("Errors", clean::block(&row.errors))];
    for (name, part) in parts.iter().filter(|(_, part)| !part.trim().is_empty()) {
        let _ = writeln!(text, "\n{name}");
        for line in part.trim_end().lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}
