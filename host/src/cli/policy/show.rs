//! `convoke policy show`: all numbers of a policy, and where each comes from.

use convoke_runtime::policy::{BUILT_IN, Profile};
use serde_json::{Value, json};

use super::{CliError, Desk, Form, LoadError, PolicyFile};
use crate::cli::terminal::put;
use crate::policy::load::name_of;
use crate::policy::toml::numbers;
use crate::report::ExitCode;

/// A number, and where it comes from.
pub(in crate::cli) struct Number {
    pub(in crate::cli) key: String,
    pub(in crate::cli) value: Value,
    pub(in crate::cli) origin: String,
}

pub(super) fn show(desk: &Desk, wish: Option<&str>, is_json: bool) -> Result<ExitCode, CliError> {
    let path = match wish {
        Some(wish) => desk.find(wish)?,
        None => desk.policies.select(&desk.settings.policy)?.path,
    };
    let mode = desk.settings.mode;
    let name = path.as_deref().map_or_else(|| BUILT_IN.to_owned(), name_of);
    let form = path.as_deref().and_then(Form::of);
    let (numbers, description) = of_policy(path.as_deref(), mode)?;
    let text = if is_json {
        let list: Vec<_> =
            numbers.iter().map(|one| json!({"key": one.key, "value": one.value, "origin": one.origin})).collect();
        let form = form.map_or(BUILT_IN, Form::name);
        let shown = json!({
            "schema_version": 1, "name": name, "form": form, "path": path, "mode": mode.name(),
            "description": description, "numbers": list,
        });
        format!("{shown:#}\n")
    } else {
        let mut text = format!("Policy  {name}\nMode    {}\n", mode.name());
        if let Some(path) = &path {
            text += &format!("File    {}\n", crate::report::clean::line(&path.to_string_lossy()));
        }
        if let Some(description) = description {
            text += &format!("About   {description}\n");
        }
        if form.is_some_and(|form| form != Form::Toml) {
            text += "\nIt decides by itself. What it leaves to the built-in policy goes by these numbers:\n";
        }
        text + "\n" + &table(&numbers)
    };
    put(&text, None)?;
    Ok(ExitCode::Success)
}

/// The numbers in force with a policy, and what its file says of it.
pub(in crate::cli) fn of_policy(
    path: Option<&std::path::Path>,
    mode: crate::config::Mode,
) -> Result<(Vec<Number>, Option<String>), CliError> {
    let file = match path {
        Some(path) if Form::of(path) == Some(Form::Toml) => {
            let text = crate::config::files::read_text(path, 1 << 20)
                .map_err(|source| LoadError::Io { path: path.to_owned(), source })?;
            Some(PolicyFile::parse(path, &text)?)
        }
        _ => None,
    };
    let of_mode = Profile::of(mode.for_policies());
    let profile = file.as_ref().map_or(&of_mode, |file| file.profile(mode.for_policies()));
    let origin = |key: &str| match (&file, path) {
        (Some(file), Some(path)) => file.line(mode.for_policies(), key).map(|line| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            format!("{}:{line}", crate::report::clean::line(&name))
        }),
        _ => None,
    };
    let all = numbers(profile).into_iter().map(|(key, value)| Number {
        origin: origin(&key).unwrap_or_else(|| format!("default of {}", mode.name())),
        key,
        value,
    });
    Ok((all.collect(), file.and_then(|file| file.description.or(file.name))))
}

/// Keys, values and origins in columns.
pub(in crate::cli) fn table(numbers: &[Number]) -> String {
    let shown: Vec<String> = numbers.iter().map(|one| crate::report::clean::line(&one.value.to_string())).collect();
    let width = |all: &mut dyn Iterator<Item = usize>| all.max().unwrap_or_default().min(60);
    let keys = width(&mut numbers.iter().map(|one| one.key.len()));
    let values = width(&mut shown.iter().map(|value| value.chars().count()));
    let lines = numbers.iter().zip(&shown);
    lines.fold(String::new(), |text, (one, value)| {
        text + &format!("{:keys$}  {value:values$}  {}\n", one.key, one.origin)
    })
}
