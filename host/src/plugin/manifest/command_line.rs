//! A plugin's command line: made from its manifest, read into what it gets.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::{Map, Value};

use super::{DefaultValue, Manifest, Parameter, ParameterKind};

/// What was typed, as a plugin gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// The subcommand.
    pub subcommand: Option<String>,
    /// All arguments and options by their names, defaults filled in: flags are true or false, what is repeated is a
    /// list, what was not typed is null.
    pub json: Value,
    /// The paths among the arguments, in the order they were typed. Paths of options are not among them: those say how,
    /// not on what.
    pub paths: Vec<String>,
}

impl Manifest {
    /// The command line that it describes.
    pub fn to_clap(&self) -> Command {
        let command = described(&self.name, &self.description, self.usage.as_deref())
            .disable_version_flag(true)
            .args(self.arguments.iter().enumerate().map(|(index, one)| argument(one, index)));
        if self.subcommands.is_empty() {
            return command.args(self.options.iter().map(option));
        }
        let subcommands = self.subcommands.iter().map(|sub| {
            described(&sub.name, &sub.description, sub.usage.as_deref())
                .args(sub.arguments.iter().enumerate().map(|(index, one)| argument(one, index)))
                .args(sub.options.iter().chain(&self.options).map(option))
        });
        command.subcommand_required(true).arg_required_else_help(true).subcommands(subcommands)
    }

    /// Reads what [`to_clap`](Self::to_clap) parsed. `name_of` says by which name the plugin finds a path that was typed:
    /// [`resolve_typed_path`](crate::plugin::project::resolve_typed_path), and keeping the mount.
    ///
    /// # Errors
    /// What `name_of` gives.
    pub fn arguments<E>(
        &self,
        matches: &ArgMatches,
        mut name_of: impl FnMut(&str) -> Result<String, E>,
    ) -> Result<Arguments, E> {
        let (subcommand, matches) = match matches.subcommand() {
            Some((name, matches)) => (self.subcommands.iter().find(|sub| sub.name == name), matches),
            None => (None, matches),
        };
        let arguments = subcommand.map_or(&self.arguments, |sub| &sub.arguments);
        let options = subcommand.map_or(&[][..], |sub| &sub.options).iter().chain(&self.options);
        let mut values = Map::new();
        let mut paths = Vec::new();
        for one in arguments {
            let value = value(one, matches, &mut name_of)?;
            if one.kind == ParameterKind::Path {
                let list = value.as_array().map_or(std::slice::from_ref(&value), Vec::as_slice);
                paths.extend(list.iter().filter_map(|path| path.as_str().map(str::to_owned)));
            }
            values.insert(one.name.clone(), value);
        }
        for one in options {
            values.insert(one.name.clone(), value(one, matches, &mut name_of)?);
        }
        let subcommand = subcommand.map(|sub| sub.name.clone());
        Ok(Arguments { subcommand, json: Value::Object(values), paths })
    }
}

fn described(name: &str, description: &str, usage: Option<&str>) -> Command {
    let command = Command::new(name.to_owned()).about(description.to_owned());
    match usage {
        Some(usage) => command.long_about(format!("{description}\n\n{}", usage.trim_end())),
        None => command,
    }
}

fn argument(parameter: &Parameter, index: usize) -> Arg {
    common(parameter).index(index + 1).value_name(parameter.name.to_uppercase())
}

fn option(parameter: &Parameter) -> Arg {
    let option = common(parameter).long(parameter.name.clone());
    match parameter.short {
        Some(short) => option.short(short),
        None => option,
    }
}

fn common(parameter: &Parameter) -> Arg {
    let arg = Arg::new(parameter.name.clone()).help(parameter.help.clone()).required(parameter.required);
    let arg = match &parameter.default {
        Some(DefaultValue::Integer(number)) => arg.default_value(number.to_string()),
        Some(DefaultValue::Text(text)) => arg.default_value(text.clone()),
        None => arg,
    };
    let many = if parameter.repeated { ArgAction::Append } else { ArgAction::Set };
    match parameter.kind {
        ParameterKind::Flag => arg.action(ArgAction::SetTrue),
        ParameterKind::Integer => arg.action(many).value_parser(value_parser!(i64)).allow_negative_numbers(true),
        ParameterKind::Choice => arg.action(many).value_parser(PossibleValuesParser::new(parameter.choices.clone())),
        ParameterKind::Path => {
            arg.action(many).value_parser(value_parser!(String)).value_hint(clap::ValueHint::AnyPath)
        }
        ParameterKind::String => arg.action(many).value_parser(value_parser!(String)),
    }
}

fn value<E>(
    parameter: &Parameter,
    matches: &ArgMatches,
    name_of: &mut impl FnMut(&str) -> Result<String, E>,
) -> Result<Value, E> {
    let name = parameter.name.as_str();
    let typed: Vec<Value> = match parameter.kind {
        ParameterKind::Flag => return Ok(Value::Bool(matches.get_flag(name))),
        ParameterKind::Integer => all::<i64>(matches, name).map(|number| Value::from(*number)).collect(),
        ParameterKind::Path => {
            all::<String>(matches, name).map(|path| name_of(path).map(Value::from)).collect::<Result<_, E>>()?
        }
        ParameterKind::String | ParameterKind::Choice => {
            all::<String>(matches, name).map(|text| Value::from(text.as_str())).collect()
        }
    };
    Ok(if parameter.repeated { Value::Array(typed) } else { typed.into_iter().next().unwrap_or(Value::Null) })
}

fn all<'a, T: Clone + Send + Sync + 'static>(matches: &'a ArgMatches, name: &str) -> impl Iterator<Item = &'a T> {
    matches.get_many::<T>(name).into_iter().flatten()
}
