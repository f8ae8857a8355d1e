//! `convoke config`: what is set, and where it comes from.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::json;

use super::error::CliError;
use super::policy::show::{Number, of_policy, shown as shown_value};
use super::prepare::project_folder;
use super::terminal::put;
use crate::audit::Audit;
use crate::config::origin::{explain, with_choice};
use crate::config::paths::PROJECT_FILE;
use crate::config::{Backend, By, Choices, FailOn, Mode, Paths, Settings, TierName, limits};
use crate::policy::{Place, Policies};
use crate::report::{ExitCode, clean};

pub(super) fn command() -> Command {
    let option = |name: &'static str, value: &'static str| {
        Arg::new(name).long(name).value_name(value).help("Show what holds with this option")
    };
    let show = Command::new("show")
        .about("Shows all settings, those of the mode and of the policy included")
        .arg(
            Arg::new("origin")
                .long("origin")
                .action(ArgAction::SetTrue)
                .help("Say of each where it comes from: default, file and line, environment, option, policy"),
        )
        .arg(super::format_argument())
        .arg(option("mode", "MODE").value_parser(value_parser!(Mode)))
        .arg(option("backend", "BACKEND").value_parser(value_parser!(Backend)))
        .arg(option("model", "MODEL"))
        .arg(option("tier", "TIER").value_parser(value_parser!(TierName)))
        .arg(option("instances", "N").value_parser(value_parser!(u32).range(1..=100)))
        .arg(option("fail-on", "SEVERITY").value_parser(value_parser!(FailOn)))
        .arg(option("budget-usd", "USD").value_parser(limits::dollars))
        .arg(option("policy", "NAME|PATH"));
    Command::new("config")
        .about("Shows what is set, and where it comes from")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(show)
}

pub(super) fn config(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let Some(("show", matches)) = matches.subcommand() else { return Err(CliError::usage("show?")) };
    let env = |name: &str| std::env::var(name).ok();
    let (paths, project) = (Paths::find(env)?, project_folder(None)?);
    let (user_file, project_file) = (paths.user_file(), project.join(PROJECT_FILE));
    let flags = choices(matches);
    let settings = Settings::load(&user_file, &project_file, env, flags.clone())?;
    let mut all = explain(&user_file, &project_file, env, flags)?;

    let folder =
        std::env::current_dir().map_err(|error| CliError::usage(format!("there is no working folder: {error}")))?;
    // Nothing is loaded here.
    let (own, kept, audit) = (paths.policies(), paths.components(), Audit::off());
    let policies = Policies { place: Place { own, project: Some(project), kept, audit }, folder };
    with_choice(&mut all, policies.chosen()?.as_deref());
    let selected = policies.select(&settings.policy)?;
    let (numbers, _) = of_policy(selected.path.as_deref(), settings.mode)?;
    let rows: Vec<Row> = all
        .into_iter()
        .map(|one| Row { key: one.key, value: one.value, origin: one.origin.to_string() })
        .chain(numbers.into_iter().map(Row::of_policy))
        .collect();

    let text = if matches.get_one::<String>("format").is_some_and(|format| format == "json") {
        let list: Vec<_> =
            rows.iter().map(|row| json!({"key": row.key, "value": row.value, "origin": row.origin})).collect();
        let shown = json!({"schema_version": 1, "settings": list, "warnings": settings.warnings});
        format!("{}\n", clean::json(format!("{shown:#}")))
    } else {
        let warnings = settings.warnings.iter().map(|warning| format!("warning: {}\n", clean::line(warning)));
        shown(&rows, matches.get_flag("origin")) + &warnings.collect::<String>()
    };
    put(&text, None)?;
    Ok(ExitCode::Success)
}

struct Row {
    key: String,
    value: String,
    origin: String,
}

impl Row {
    fn of_policy(number: Number) -> Self {
        let Number { key, value, origin } = number;
        Self { key: format!("policy.{key}"), value: shown_value(&value), origin }
    }
}

/// `key = value`, and with origins `key = value  # origin`.
fn shown(rows: &[Row], origins: bool) -> String {
    let lines: Vec<String> =
        rows.iter().map(|row| clean::line(&clean::bounded(&format!("{} = {}", row.key, row.value), 200))).collect();
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default().min(60);
    rows.iter().zip(lines).fold(String::new(), |text, (row, line)| {
        let line = if origins { format!("{line:width$}  # {}", clean::line(&row.origin)) } else { line };
        text + &line + "\n"
    })
}

fn choices(matches: &ArgMatches) -> Choices {
    Choices {
        mode: matches.get_one("mode").copied(),
        backend: matches.get_one("backend").copied(),
        model: matches.get_one("model").cloned(),
        tier: matches.get_one("tier").copied(),
        ab: None,
        instances: matches.get_one("instances").copied(),
        fail_on: matches.get_one("fail-on").copied(),
        budget_usd: matches.get_one("budget-usd").copied(),
        policy: matches.get_one::<String>("policy").map(|policy| (policy.clone(), By::Option)),
    }
}
