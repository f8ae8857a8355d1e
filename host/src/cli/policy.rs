//! `convoke policy`: what decides, what else could, and what another policy would have decided.

mod attempt;
mod check;
pub(super) mod show;

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};
use convoke_runtime::policy::BUILT_IN;
use serde_json::json;

use super::error::CliError;
use super::prepare::project_folder;
use super::terminal::put;
use crate::audit::{Audit, Record, kind};
use crate::config::paths::PROJECT_FILE;
use crate::config::{Choices, Paths, Settings};
use crate::policy::toml::PolicyFile;
use crate::policy::{Form, LoadError, Place, Policies, Selected, load};
use crate::report::{ExitCode, clean};

pub(super) fn command() -> Command {
    let name =
        || Arg::new("policy").value_name("NAME|PATH").help("A name in your policies folder, a path, or built-in");
    Command::new("policy")
        .about("Shows, checks and chooses what decides: how many at once, which tier, when, what after a failure")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("list").about("Shows your policies, and which one is chosen").arg(super::format_argument()),
        )
        .subcommand(
            Command::new("show")
                .about("Shows the numbers of a policy, and where each comes from. Default: the one that is chosen")
                .arg(name())
                .arg(super::format_argument()),
        )
        .subcommand(
            Command::new("check")
                .about("Loads a policy and lets it decide on sample facts of each kind; exits with 2 if it is refused")
                .arg(name().required(true))
                .arg(super::format_argument()),
        )
        .subcommand(
            Command::new("use")
                .about("Chooses a policy, also for what runs now. Without a name: what config.toml says")
                .arg(name()),
        )
        .subcommand(
            Command::new("try")
                .about("Lets a policy decide on the facts of a recorded run, and shows where it decides otherwise")
                .arg(name().required(true))
                .arg(
                    Arg::new("run")
                        .long("run")
                        .value_name("ID")
                        .help("The run. Default: the last one that has decisions"),
                )
                .arg(super::format_argument()),
        )
}

pub(super) fn policy(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let desk = Desk::new()?;
    let (name, matches) = matches.subcommand().ok_or_else(|| CliError::usage("list, show, check, use or try?"))?;
    let wish = matches.try_get_one::<String>("policy").ok().flatten().map(String::as_str);
    let is_json = matches.try_get_one::<String>("format").ok().flatten().is_some_and(|format| format == "json");
    match (name, wish) {
        ("list", _) => desk.list(is_json),
        ("show", wish) => show::show(&desk, wish, is_json),
        ("check", Some(wish)) => check::check(&desk, wish, is_json),
        ("use", wish) => desk.choose(wish),
        ("try", Some(wish)) => {
            attempt::attempt(&desk, wish, matches.get_one::<String>("run").map(String::as_str), is_json)
        }
        _ => Err(CliError::usage("which policy?")),
    }
}

/// What all of these commands need.
struct Desk {
    paths: Paths,
    settings: Settings,
    policies: Policies,
}

impl Desk {
    fn new() -> Result<Self, CliError> {
        let env = |name: &str| std::env::var(name).ok();
        let paths = Paths::find(env)?;
        let project = project_folder(None)?;
        let settings = Settings::load(&paths.user_file(), &project.join(PROJECT_FILE), env, Choices::default())?;
        let folder =
            std::env::current_dir().map_err(|error| CliError::usage(format!("there is no working folder: {error}")))?;
        let (own, kept, audit) = (paths.policies(), paths.components(), Audit::of(&paths));
        let place = Place { own, project: Some(project), kept, audit };
        Ok(Self { paths, settings, policies: Policies { place, folder } })
    }

    /// The file of a policy that was typed; none: the built-in one.
    fn find(&self, wish: &str) -> Result<Option<PathBuf>, LoadError> {
        self.policies.find(wish, &self.policies.folder)
    }

    fn list(&self, is_json: bool) -> Result<ExitCode, CliError> {
        let selected = self.policies.select(&self.settings.policy);
        let all = self.policies.all()?;
        let mut rows = vec![Row {
            name: BUILT_IN.to_owned(),
            form: "",
            description: "the numbers of the mode".to_owned(),
            path: None,
        }];
        rows.extend(all.into_iter().map(|named| Row {
            description: describe(&named.path, named.form),
            name: named.name,
            form: named.form.name(),
            path: Some(named.path),
        }));
        // One that was chosen by its path has no name in the folder.
        if let Ok(Selected { path: Some(path), .. }) = &selected
            && !rows.iter().any(|row| row.path.as_ref() == Some(path))
        {
            let form = Form::of(path);
            rows.push(Row {
                name: clean::line(&path.to_string_lossy()),
                form: form.map_or("", Form::name),
                description: form.map_or_else(String::new, |form| describe(path, form)),
                path: Some(path.clone()),
            });
        }
        let in_force = |row: &Row| selected.as_ref().is_ok_and(|selected| selected.path == row.path);
        let by = selected.as_ref().map_or("", |selected| selected.by.name());
        let text = if is_json {
            let shown = |row: &Row| {
                json!({
                    "name": row.name,
                    "form": if row.form.is_empty() { BUILT_IN } else { row.form },
                    "path": row.path,
                    "description": row.description,
                    "in_force": in_force(row),
                })
            };
            let list: Vec<_> = rows.iter().map(shown).collect();
            format!("{:#}\n", json!({"schema_version": 1, "chosen_by": by, "policies": list}))
        } else {
            let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or_default();
            rows.iter().fold(String::new(), |text, row| {
                let mark = if in_force(row) { "*" } else { " " };
                let by = if in_force(row) { format!(" (chosen by {by})") } else { String::new() };
                let line = format!("{mark} {:width$}  {:6}  {}{by}", row.name, row.form, row.description);
                text + line.trim_end() + "\n"
            })
        };
        put(&text, None)?;
        // What is chosen and not there would stop every run.
        selected?;
        Ok(ExitCode::Success)
    }

    fn choose(&self, wish: Option<&str>) -> Result<ExitCode, CliError> {
        if let Some(wish) = wish
            && let Some(path) = self.find(wish)?
        {
            // What does not load is not chosen.
            load(&path, self.settings.mode.for_policies(), &self.policies.place)?;
        }
        let details = json!({"project": self.policies.place.project.as_ref().map(|path| path.to_string_lossy())});
        let record = Record::new(kind::POLICY_CHOSEN, wish.unwrap_or("what config.toml says"), details);
        let audited = self.policies.place.audit.before_blocking(vec![record]);
        audited.map_err(|error| CliError::usage(format!("nothing was chosen: {error}")).hint(Some(error.hint())))?;
        self.policies.choose(wish)?;
        let selected = self.policies.select(&self.settings.policy)?;
        let name = selected.path.as_deref().map_or_else(|| BUILT_IN.to_owned(), crate::policy::load::name_of);
        put(&format!("The policy is {name} (chosen by {}).\n", selected.by.name()), None)?;
        Ok(ExitCode::Success)
    }
}

struct Row {
    name: String,
    form: &'static str,
    description: String,
    path: Option<PathBuf>,
}

/// What a file says of itself; a program is not asked.
fn describe(path: &std::path::Path, form: Form) -> String {
    if form != Form::Toml {
        return String::new();
    }
    let text = match crate::config::files::read_text(path, 1 << 20) {
        Ok(text) => text,
        Err(error) => return format!("can't be read: {error}"),
    };
    match PolicyFile::parse(path, &text) {
        Ok(file) => file.description.or(file.name).unwrap_or_default(),
        Err(error) => format!("is refused: {}", clean::line(&error.to_string())),
    }
}
