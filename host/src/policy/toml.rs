//! `policy.toml`: the numbers of the built-in policy.
//!
//! ```toml
//! version = 1
//! name = "night shift"
//! description = "Cheap at night, and slowly."
//!
//! [[route.rules]]                # the first that applies decides
//! tier = "speed"
//! hours = "22:00-06:00"
//! reason = "it is night"
//!
//! [admit]
//! per_minute = 120               # evenly spaced
//!
//! [watch]
//! longest_s = 300
//!
//! [safe.admit]                   # in the mode safe, over what stands above
//! per_minute = 30
//! ```

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use convoke_runtime::policy::builtin::Wrong;
use convoke_runtime::policy::{Mode, Profile};
use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::document::{self, Document};
use crate::config::{ConfigError, nearest};

/// The modes, as the tables of a file call them.
pub const MODES: [(&str, Mode); 3] =
    [("safe", Mode::Safe), ("balanced", Mode::Balanced), ("performance", Mode::Performance)];

/// What a file says beside numbers.
const ABOUT: [&str; 3] = ["version", "name", "description"];

/// The longest name, in characters.
const LONGEST_NAME: usize = 64;

/// A `policy.toml` whose numbers make sense in each mode.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    /// What it calls itself.
    pub name: Option<String>,
    /// What it says of itself.
    pub description: Option<String>,
    profiles: [Profile; 3],
    /// Where each number stands, by its key with the mode before it where it is of a mode; lines counted from 1.
    lines: BTreeMap<String, usize>,
}

impl PolicyFile {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let document = Document { path, text };
        document.check_version()?;
        let wrong = |error: toml::de::Error| document.wrong(&error, &[]);
        let tree = DeTable::parse(text).map_err(wrong)?;
        check_keys(tree.get_ref(), document)?;
        check_numbers(tree.get_ref(), document)?;
        let about = |key: &str, longest| about(tree.get_ref(), key, longest, document);
        let (name, description) = (about("name", LONGEST_NAME)?, about("description", 500)?);

        // First each table by itself, for errors with their place; then one over the other.
        let mut all = tree.clone();
        for key in ABOUT.iter().chain(MODES.iter().map(|(name, _)| name)) {
            all.get_mut().remove(*key);
        }
        Profile::deserialize(toml::de::Deserializer::from(all)).map_err(wrong)?;
        for (mode, _) in MODES {
            let Some(table) = tree.get_ref().get(mode) else { continue };
            let DeValue::Table(inner) = table.get_ref() else {
                return Err(document.at(table.span(), &format!("{mode} is no table"), format!("write [{mode}.admit]")));
            };
            let inner = Spanned::new(table.span(), inner.clone());
            Profile::deserialize(toml::de::Deserializer::from(inner)).map_err(wrong)?;
        }
        let plain: toml::Table = toml::from_str(text).map_err(wrong)?;
        let mut profiles = Vec::with_capacity(MODES.len());
        for (_, mode) in MODES {
            profiles.push(of_mode(mode, &plain, tree.get_ref(), document)?);
        }
        let profiles = profiles.try_into().unwrap_or_else(|_| MODES.map(|(_, mode)| Profile::of(mode)));
        Ok(Self { name, description, profiles, lines: document::lines(text) })
    }

    /// Its numbers in a mode.
    pub fn profile(&self, mode: Mode) -> &Profile {
        let place = MODES.iter().position(|(_, one)| *one == mode).unwrap_or(1);
        &self.profiles[place]
    }

    /// The line on which a number of a mode stands, by its key: `admit.per_minute`; none: it is the mode's own.
    pub fn line(&self, mode: Mode, key: &str) -> Option<usize> {
        let name = MODES.iter().find(|(_, one)| *one == mode).map_or("", |(name, _)| *name);
        self.lines.get(&format!("{name}.{key}")).or_else(|| self.lines.get(key)).copied()
    }
}

/// The numbers of a profile by their keys, sorted: `admit.per_minute`.
pub fn numbers(profile: &Profile) -> BTreeMap<String, Value> {
    fn walk(value: &Value, key: &str, all: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(members) if !members.is_empty() => {
                for (name, value) in members {
                    let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                    walk(value, &key, all);
                }
            }
            value => {
                all.insert(key.to_owned(), value.clone());
            }
        }
    }
    let mut all = BTreeMap::new();
    // A profile is plain data: it can be written.
    walk(&serde_json::to_value(profile).unwrap_or_default(), "", &mut all);
    all
}

/// The keys at the top: tables of the profile, modes, and what the file says of itself.
fn check_keys(tree: &DeTable<'_>, document: Document<'_>) -> Result<(), ConfigError> {
    let tables = serde_json::to_value(Profile::default()).unwrap_or_default();
    let tables = tables.as_object().into_iter().flat_map(|tables| tables.keys().map(String::as_str));
    let known: Vec<&str> = tables.chain(ABOUT).chain(MODES.iter().map(|(name, _)| *name)).collect();
    let Some(wrong) = tree.keys().find(|key| !known.contains(&key.get_ref().as_ref())) else { return Ok(()) };
    let near = nearest(wrong.get_ref(), known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
    let hint = near.unwrap_or_else(|| format!("it can have {}", known.join(", ")));
    Err(document.at(wrong.span(), &format!("unknown key `{}`", wrong.get_ref()), hint))
}

/// No number of a policy is negative, endless, or not a number.
fn check_numbers(table: &DeTable<'_>, document: Document<'_>) -> Result<(), ConfigError> {
    fn check(value: &Spanned<DeValue<'_>>, document: Document<'_>) -> Result<(), ConfigError> {
        let text = match value.get_ref() {
            DeValue::Integer(number) => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            DeValue::Array(all) => return all.iter().try_for_each(|value| check(value, document)),
            DeValue::Table(all) => return all.values().try_for_each(|value| check(value, document)),
            _ => return Ok(()),
        };
        let is_wrong = text.starts_with('-') || text.contains("nan") || text.contains("inf");
        if !is_wrong {
            return Ok(());
        }
        Err(document.at(value.span(), &format!("no number of a policy can be {text}"), "write a number from 0 on"))
    }
    table.values().try_for_each(|value| check(value, document))
}

fn about(tree: &DeTable<'_>, key: &str, longest: usize, document: Document<'_>) -> Result<Option<String>, ConfigError> {
    let Some(value) = tree.get(key) else { return Ok(None) };
    match value.get_ref() {
        DeValue::String(text) if text.chars().count() <= longest => Ok(Some(crate::report::clean::line(text))),
        _ => Err(document.at(value.span(), &format!("{key} is no short text"), format!("up to {longest} characters"))),
    }
}

/// The mode's own numbers, what the file says for all modes over them, and what it says for this one over that.
fn of_mode(mode: Mode, file: &toml::Table, tree: &DeTable<'_>, document: Document<'_>) -> Result<Profile, ConfigError> {
    let name = MODES.iter().find(|(_, one)| *one == mode).map_or("", |(name, _)| *name);
    let broken = |error: serde_json::Error| document.at(0..0, &format!("in the mode {name}: {error}"), "mend it");
    let mut numbers = serde_json::to_value(Profile::of(mode)).map_err(broken)?;
    let mut own = file.clone();
    let of_mode = own.remove(name);
    own.retain(|key, _| !ABOUT.contains(&key) && !MODES.iter().any(|(mode, _)| *mode == key));
    lay_over(&mut numbers, serde_json::to_value(own).map_err(broken)?);
    if let Some(of_mode) = of_mode {
        lay_over(&mut numbers, serde_json::to_value(of_mode).map_err(broken)?);
    }
    let profile: Profile = serde_json::from_value(numbers).map_err(broken)?;
    profile.check().map_err(|Wrong { key, why }| {
        let path: Vec<&str> = key.split('.').collect();
        let of_mode = tree.get(name).and_then(|table| table.get_ref().as_table());
        let places = [of_mode, Some(tree)].into_iter().flatten().map(|table| deepest(table, &path));
        let place = places.fold((0, 0..0), |best, one| if one.0 > best.0 { one } else { best }).1;
        document.at(place, &format!("{key}: in the mode {name}"), why)
    })?;
    Ok(profile)
}

/// One value over another: tables are joined, all else is replaced.
fn lay_over(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                match below.get_mut(&key) {
                    Some(below) => lay_over(below, value),
                    None => {
                        below.insert(key, value);
                    }
                }
            }
        }
        (below, above) => *below = above,
    }
}

/// How far a path leads into a table, and the place where it ends.
fn deepest(table: &DeTable<'_>, path: &[&str]) -> (usize, Range<usize>) {
    let Some((first, rest)) = path.split_first() else { return (0, 0..0) };
    let Some(value) = table.get(*first) else { return (0, 0..0) };
    let mut value = value;
    let mut depth = 1;
    for step in rest {
        let next = match value.get_ref() {
            DeValue::Table(inner) => inner.get(*step),
            DeValue::Array(inner) => step.parse::<usize>().ok().and_then(|place| inner.get(place)),
            _ => None,
        };
        let Some(next) = next else { break };
        (value, depth) = (next, depth + 1);
    }
    (depth, value.span())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::documented_example;

    fn parse(text: &str) -> Result<PolicyFile, ConfigError> {
        PolicyFile::parse(Path::new("night.toml"), text)
    }

    #[test]
    fn the_documented_example_is_read_and_a_mode_lies_over_it() {
        let file = parse(&documented_example(include_str!("toml.rs"))).unwrap();
        assert_eq!(file.name.as_deref(), Some("night shift"));
        let rate = |mode| file.profile(mode).admit.per_minute;
        assert_eq!((rate(Mode::Balanced), rate(Mode::Safe)), (Some(120), Some(30)));
        assert_eq!(file.profile(Mode::Safe).watch.longest_s, Some(300), "it is joined, not replaced");
        assert_eq!(file.profile(Mode::Performance).route.rules.len(), 1);
        assert_eq!(file.line(Mode::Balanced, "admit.per_minute"), Some(11));
        assert_eq!(file.line(Mode::Safe, "admit.per_minute"), Some(17));
        assert_eq!(file.line(Mode::Safe, "watch.usd"), None);
        assert_eq!(parse("").unwrap().profile(Mode::Safe), &Profile::of(Mode::Safe));
    }

    #[test]
    fn what_is_wrong_has_a_place_and_says_what_to_do() {
        for (text, problem, hint) in [
            ("[admt]\n", "night.toml:1:2: unknown key `admt`", "did you mean `admit`?"),
            ("version = 1\n[saef.admit]\n", "night.toml:2:2: unknown key `saef`", "did you mean `safe`?"),
            ("[admit]\nper_minuet = 3\n", "night.toml:2:1: unknown field `per_minuet`", "did you mean `per_minute`?"),
            ("[safe.admit]\nper_minuet = 3\n", "night.toml:2:1: unknown field", "did you mean `per_minute`?"),
            ("[admit]\nper_minute = 0\n", "night.toml:2:14: admit.per_minute", "1 to 6000"),
            ("[performance.admit]\nper_minute = 7000\n", "night.toml:2:14: admit.per_minute: in the mode", "1 to 6000"),
            ("[admit]\nper_minute = -1\n", "night.toml:2:14: no number of a policy can be -1", "from 0 on"),
            ("[watch]\nusd = nan\n", "night.toml:2:7: no number of a policy can be nan", "from 0 on"),
            ("[watch]\nusd = inf\n", "night.toml:2:7: no number", "from 0 on"),
            ("[watch]\nlongest_s = 0\n", "night.toml:2:13: watch.longest_s", "1 to 86400"),
            ("[size]\nbusy = 0\n", "night.toml:2:8: size.busy", "1 to 100"),
            ("[size]\nbusy = 7\n", "night.toml:2:8: size.busy", "more than `half_free`"),
            ("[adapt]\ncut = 1.0\n", "night.toml:2:7: adapt.cut", "0.1 to 0.99"),
            ("[adapt]\nstart = 1000000000\n", "night.toml:2:9: adapt.start", "1 to 100"),
            ("[adapt.machine]\nfree = 101\n", "night.toml:2:8: adapt.machine.free", "1 to 100"),
            ("[recover]\nbase_ms = 60000\n", "night.toml:2:11: recover.base_ms", "more than `cap_ms`"),
            ("[safe.recover]\nattempts = 0\n", "night.toml:2:12: recover.attempts", "1 to 20"),
            ("[recover.hedge]\nshare = 1.5\n", "night.toml:2:9: recover.hedge.share", "0 to 1"),
            ("name = 3\n", "night.toml:1:8: name is no short text", "64"),
            ("safe = 3\n", "night.toml:1:8: safe is no table", "[safe.admit]"),
        ] {
            let error = parse(text).unwrap_err();
            let help = miette::Diagnostic::help(&error).unwrap().to_string();
            assert!(error.to_string().contains(problem), "{problem}: {error}");
            assert!(help.contains(hint), "{hint}: {help}");
        }
        for text in [
            "[admit]\nper_minute = 99999999999999999999\n",
            "[admit]\nper_minute = 5000000000\n",
            "[admit]\nper_minute = \"many\"\n",
            "[[route.rules]]\ntier = \"cheap\"\n",
            "[[route.rules]]\nhours = \"22-6\"\ntier = \"speed\"\n",
            "[[route.rules]]\nhours = \"22:00-06:00\"\n",
            "route = 3\n",
            "[[[",
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with("night.toml:"), "{text}: {error}");
        }
        assert!(parse("version = 2\n[new]\n").unwrap_err().to_string().contains("has version 2"));
    }
}
