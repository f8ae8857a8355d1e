//! The rules that a manifest keeps.

use std::collections::HashSet;

use super::error::ManifestError;
use super::{DefaultValue, Manifest, Parameter, ParameterKind, Rule, Sizing, Subcommand};
use crate::plugin::capabilities::{Capabilities, Place};
use crate::plugin::{is_unsafe_to_show, printable};

/// Names that convoke keeps for its own subcommands, now or later.
pub const RESERVED_NAMES: &[&str] = &[
    "actions",
    "audit",
    "build",
    "cache",
    "clean",
    "completions",
    "config",
    "convoke",
    "ctl",
    "daemon",
    "dashboard",
    "dev",
    "doctor",
    "export",
    "fleet",
    "grant",
    "grants",
    "help",
    "import",
    "info",
    "init",
    "inspect",
    "install",
    "journal",
    "limits",
    "list",
    "man",
    "lock",
    "login",
    "logout",
    "new",
    "outdated",
    "policy",
    "publish",
    "remove",
    "replay",
    "report",
    "refresh",
    "resume",
    "retry",
    "rollback",
    "run",
    "runs",
    "schema",
    "search",
    "self",
    "serve",
    "stats",
    "status",
    "test",
    "trust",
    "uninstall",
    "update",
    "upgrade",
    "verify",
    "version",
    "watch",
];

/// Options that every command has, now or later. No parameter can be called like one.
pub const RESERVED_OPTIONS: &[&str] = &[
    "ab",
    "all",
    "apply",
    "backend",
    "baseline",
    "budget",
    "budget-usd",
    "color",
    "config",
    "dry-run",
    "explain",
    "fail-on",
    "format",
    "fresh",
    "help",
    "instances",
    "json",
    "locked",
    "log",
    "log-file",
    "log-format",
    "log-level",
    "max-usd",
    "metrics-addr",
    "metrics-file",
    "mode",
    "model",
    "no-cache",
    "offline",
    "output",
    "policy",
    "profile",
    "progress",
    "project",
    "quiet",
    "refresh",
    "record",
    "replay",
    "resume",
    "show-prompts",
    "since",
    "tier",
    "timeout",
    "timings",
    "trace",
    "verbose",
    "version",
    "write-baseline",
    "yes",
];

/// Letters that every command has.
pub const RESERVED_SHORTS: &[char] = &['C', 'h', 'o', 'q', 'v', 'V', 'y'];

const NAME_BYTES: usize = 64;
const LINE_CHARACTERS: usize = 200;
const TEXT_CHARACTERS: usize = 10_000;
const PARAMETERS: usize = 64;
const SUBCOMMANDS: usize = 64;
const CHOICES: usize = 64;
const RULES: usize = 1_000;

type Checked = Result<(), ManifestError>;

impl Manifest {
    /// All rules, in the order of the file.
    pub(super) fn check(&self) -> Checked {
        check_name(&self.name).map_err(|error| error.below("name"))?;
        version(&self.version).map_err(|error| error.below("version"))?;
        line(&self.description).map_err(|error| error.below("description"))?;
        license(&self.license).map_err(|error| error.below("license"))?;
        usage(self.usage.as_deref())?;
        sizing(self.sizing).map_err(|error| error.below("sizing"))?;
        parameters(&self.arguments, &self.options, &[])?;
        self.check_subcommands()?;
        each("rule", &self.rules, RULES, rule)?;
        unique("rule", "id", self.rules.iter().map(|rule| rule.id.as_str()))?;
        capabilities(&self.capabilities).map_err(|error| error.below("capabilities"))
    }

    fn check_subcommands(&self) -> Checked {
        if !self.subcommands.is_empty() && !self.arguments.is_empty() {
            let error = ManifestError::value("a command with subcommands takes no arguments of its own");
            return Err(error.with_hint("move them to the subcommands").below("argument"));
        }
        each("subcommand", &self.subcommands, SUBCOMMANDS, |sub| self.check_subcommand(sub))?;
        unique("subcommand", "name", self.subcommands.iter().map(|sub| sub.name.as_str()))
    }

    fn check_subcommand(&self, sub: &Subcommand) -> Checked {
        name(&sub.name).map_err(|error| error.below("name"))?;
        if sub.name == "help" {
            return Err(ManifestError::value("`help` is convoke's own").below("name"));
        }
        line(&sub.description).map_err(|error| error.below("description"))?;
        usage(sub.usage.as_deref())?;
        parameters(&sub.arguments, &sub.options, &self.options)
    }
}

fn each<T>(key: &str, list: &[T], most: usize, check: impl Fn(&T) -> Checked) -> Checked {
    if list.len() > most {
        return Err(ManifestError::value(format!("there are more than {most}")).below(key));
    }
    for (index, one) in list.iter().enumerate() {
        check(one).map_err(|error| error.below(index).below(key))?;
    }
    Ok(())
}

fn unique<'a>(list: &str, key: &str, names: impl Iterator<Item = &'a str>) -> Checked {
    let mut seen = HashSet::new();
    for (index, name) in names.enumerate() {
        if !seen.insert(name) {
            let error = ManifestError::value(format!("`{name}` is there twice"));
            return Err(error.below(key).below(index).below(list));
        }
    }
    Ok(())
}

/// Whether a command can be called so.
///
/// # Errors
/// It is not in kebab case, or is kept for convoke itself.
pub fn check_name(text: &str) -> Result<(), ManifestError> {
    name(text).and_then(|()| not_reserved(text))
}

/// `[a-z][a-z0-9]*(-[a-z0-9]+)*`, at most 64 characters.
fn name(name: &str) -> Checked {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if name.len() > NAME_BYTES {
        return Err(ManifestError::value(format!("it is longer than {NAME_BYTES} characters")));
    }
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.split('-').all(is_word) {
        let error = ManifestError::value(format!("`{}` is not in kebab case", printable(name, NAME_BYTES)));
        return Err(error.with_hint("lower-case letters and digits, words joined by `-`: `agent-audit`"));
    }
    Ok(())
}

/// Whether a text can be a command's name: kebab case, not too long, and none that convoke keeps for itself.
pub fn is_name(text: &str) -> bool {
    check_name(text).is_ok()
}

fn not_reserved(name: &str) -> Checked {
    if RESERVED_NAMES.contains(&name) {
        return Err(ManifestError::value(format!("`{name}` is convoke's own")).with_hint("choose another name"));
    }
    Ok(())
}

fn version(version: &str) -> Checked {
    if version.len() > NAME_BYTES {
        return Err(ManifestError::value(format!("it is longer than {NAME_BYTES} characters")));
    }
    semver::Version::parse(version).map(drop).map_err(|error| {
        let version = printable(version, NAME_BYTES);
        ManifestError::value(format!("`{version}` is not a semantic version: {error}")).with_hint("as in `1.2.3`")
    })
}

fn license(license: &str) -> Checked {
    line(license)?;
    spdx::Expression::parse(license).map(drop).map_err(|error| {
        let error = ManifestError::value(format!("`{license}` is not an SPDX expression: {}", error.reason));
        error.with_hint("as in `MIT OR Apache-2.0`")
    })
}

fn line(text: &str) -> Checked {
    if text.trim().is_empty() {
        return Err(ManifestError::value("it is empty"));
    }
    if text.chars().count() > LINE_CHARACTERS {
        return Err(ManifestError::value(format!("it is longer than {LINE_CHARACTERS} characters")));
    }
    shown(text, |_| false)
}

fn usage(text: Option<&str>) -> Checked {
    let Some(text) = text else { return Ok(()) };
    if text.chars().count() > TEXT_CHARACTERS {
        return Err(ManifestError::value(format!("it is longer than {TEXT_CHARACTERS} characters")).below("usage"));
    }
    shown(text, |character| character == '\n').map_err(|error| error.below("usage"))
}

/// It ends up in a terminal.
fn shown(text: &str, is_fine: impl Fn(char) -> bool) -> Checked {
    match text.chars().find(|character| is_unsafe_to_show(*character) && !is_fine(*character)) {
        Some(bad) => Err(ManifestError::value(format!("it contains the control character {}", bad.escape_unicode()))),
        None => Ok(()),
    }
}

fn sizing(sizing: Sizing) -> Checked {
    let within = |key: &str, value: Option<u32>, most: u32| match value {
        Some(value) if value == 0 || value > most => {
            Err(ManifestError::value(format!("{value} is not between 1 and {most}")).below(key))
        }
        _ => Ok(()),
    };
    within("max_instances", sizing.max_instances, 100)?;
    within("items_per_instance", sizing.items_per_instance, 1_000)
}

fn parameters(arguments: &[Parameter], options: &[Parameter], shared: &[Parameter]) -> Checked {
    each("argument", arguments, PARAMETERS, argument)?;
    each("option", options, PARAMETERS, option)?;
    unique("argument", "name", arguments.iter().map(|one| one.name.as_str()))?;
    let before = || arguments.iter().chain(shared);
    for (index, one) in options.iter().enumerate() {
        let earlier = || before().chain(&options[..index]);
        let error = if earlier().any(|other| other.name == one.name) {
            ManifestError::value(format!("`{}` is there twice", one.name)).below("name")
        } else if one.short.is_some() && earlier().any(|other| other.short == one.short) {
            ManifestError::value("another option has this letter").below("short")
        } else {
            continue;
        };
        return Err(error.below(index).below("option"));
    }
    for (index, one) in arguments.iter().enumerate() {
        let error = if shared.iter().any(|other| other.name == one.name) {
            ManifestError::value(format!("`{}` is there twice", one.name)).below("name")
        } else if one.repeated && index + 1 < arguments.len() {
            ManifestError::value("only the last argument can be repeated").below("repeated")
        } else if one.required && arguments[..index].iter().any(|earlier| !earlier.required) {
            ManifestError::value("an argument that must be typed can't come after one that need not").below("required")
        } else {
            continue;
        };
        return Err(error.below(index).below("argument"));
    }
    Ok(())
}

fn argument(argument: &Parameter) -> Checked {
    if argument.kind == ParameterKind::Flag {
        return Err(ManifestError::value("a flag is an option").with_hint("write it as `[[option]]`").below("kind"));
    }
    if argument.short.is_some() {
        return Err(ManifestError::value("an argument is not typed by a letter").below("short"));
    }
    parameter(argument)
}

fn option(option: &Parameter) -> Checked {
    match option.short {
        Some(short) if !short.is_ascii_alphanumeric() => {
            return Err(ManifestError::value("it is not a letter or digit of ASCII").below("short"));
        }
        Some(short) if RESERVED_SHORTS.contains(&short) => {
            return Err(ManifestError::value(format!("`-{short}` is convoke's own")).below("short"));
        }
        _ => {}
    }
    if option.kind == ParameterKind::Flag && (option.required || option.repeated) {
        let key = if option.required { "required" } else { "repeated" };
        return Err(ManifestError::value("a flag is typed or not").below(key));
    }
    parameter(option)
}

fn parameter(parameter: &Parameter) -> Checked {
    name(&parameter.name).map_err(|error| error.below("name"))?;
    if RESERVED_OPTIONS.contains(&parameter.name.as_str()) {
        return Err(ManifestError::value(format!("`{}` is convoke's own", parameter.name)).below("name"));
    }
    if !parameter.help.is_empty() {
        line(&parameter.help).map_err(|error| error.below("help"))?;
    }
    if (parameter.kind == ParameterKind::Choice) == parameter.choices.is_empty() {
        let error = ManifestError::value("`choices` and the kind `choice` belong together");
        return Err(error.below(if parameter.choices.is_empty() { "kind" } else { "choices" }));
    }
    each("choices", &parameter.choices, CHOICES, |choice| {
        line(choice)?;
        if choice.len() > NAME_BYTES || choice.starts_with('-') || choice.contains(char::is_whitespace) {
            return Err(ManifestError::value("a choice is one short word that doesn't begin with `-`"));
        }
        Ok(())
    })?;
    let mut seen = HashSet::new();
    if let Some(index) = parameter.choices.iter().position(|choice| !seen.insert(choice)) {
        return Err(ManifestError::value("it is there twice").below(index).below("choices"));
    }
    default(parameter).map_err(|error| error.below("default"))
}

fn default(parameter: &Parameter) -> Checked {
    let Some(default) = &parameter.default else { return Ok(()) };
    if parameter.required || parameter.repeated {
        return Err(ManifestError::value("what must be typed, or makes a list, has no default"));
    }
    match (parameter.kind, default) {
        (ParameterKind::Integer, DefaultValue::Integer(_)) => Ok(()),
        (ParameterKind::String, DefaultValue::Text(text)) if text.is_empty() => Ok(()),
        (ParameterKind::String, DefaultValue::Text(text)) => line(text),
        (ParameterKind::Choice, DefaultValue::Text(text)) if parameter.choices.contains(text) => Ok(()),
        (ParameterKind::Choice, _) => Err(ManifestError::value("it is none of the choices")),
        (ParameterKind::Path, _) => {
            Err(ManifestError::value("a path has no default").with_hint("take none for the whole project"))
        }
        (ParameterKind::Flag, _) => Err(ManifestError::value("a flag that is not typed is false")),
        _ => Err(ManifestError::value("it is not of the parameter's kind")),
    }
}

fn rule(rule: &Rule) -> Checked {
    name(&rule.id).map_err(|error| error.below("id"))?;
    line(&rule.summary).map_err(|error| error.below("summary"))
}

fn capabilities(asked: &Capabilities) -> Checked {
    asked.check().map_err(|wrong| {
        wrong.steps.iter().rev().fold(ManifestError::value(wrong.message), |error, place| match *place {
            Place::Key(key) => error.below(key),
            Place::Index(index) => error.below(index),
        })
    })
}
