//! Reads a TOML file of a user or a stranger: bounded, its version first, errors with their place.

use std::collections::BTreeMap;
use std::io;
use std::ops::{Range, RangeInclusive};
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ConfigError, VERSION, files, nearest};

/// The largest configuration that is read, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// The text of a file, or none where there is no file.
pub(crate) fn read(path: &Path) -> Result<Option<String>, ConfigError> {
    match files::read_text(path, LARGEST) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(ConfigError::Io { path: path.to_owned(), source }),
    }
}

/// A text with the file that it stands in, so that errors have a place.
#[derive(Clone, Copy)]
pub(crate) struct Document<'a> {
    pub(crate) path: &'a Path,
    pub(crate) text: &'a str,
}

impl Document<'_> {
    /// Parses it. `elsewhere` names keys that are known, but not in this file, with what to say of them.
    pub(crate) fn parse<T: DeserializeOwned>(&self, elsewhere: &[(&str, &str)]) -> Result<T, ConfigError> {
        self.check_version()?;
        toml::from_str(self.text).map_err(|error| self.wrong(&error, elsewhere))
    }

    /// A value that is wrong.
    pub(crate) fn at(&self, span: Range<usize>, message: &str, hint: impl Into<String>) -> ConfigError {
        ConfigError::at(self.path, self.text, span, message, Some(hint.into()))
    }

    /// The value, if it is in the range.
    pub(crate) fn within<T>(
        &self,
        key: &str,
        value: Option<Spanned<T>>,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, ConfigError>
    where
        T: PartialOrd + std::fmt::Display,
    {
        let Some(value) = value else { return Ok(None) };
        if range.contains(value.get_ref()) {
            return Ok(Some(value.into_inner()));
        }
        let message = format!("{key} is {}", value.get_ref());
        Err(self.at(value.span(), &message, format!("it can be {} to {}", range.start(), range.end())))
    }

    /// The line of a place, counted from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    /// A newer file may have keys that are unknown here, so its version is looked at before anything else.
    pub(crate) fn check_version(&self) -> Result<(), ConfigError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: Option<Spanned<i64>>,
        }
        let Versioned { version } = toml::from_str(self.text).map_err(|error| self.wrong(&error, &[]))?;
        let Some(version) = version else { return Ok(()) };
        match u64::try_from(*version.get_ref()) {
            Ok(newer) if newer > u64::from(VERSION) => {
                Err(ConfigError::Newer { path: self.path.to_owned(), version: newer })
            }
            Ok(1..) => Ok(()),
            _ => Err(self.at(version.span(), "there is no such version", format!("write version = {VERSION}"))),
        }
    }

    pub(crate) fn wrong(&self, error: &toml::de::Error, elsewhere: &[(&str, &str)]) -> ConfigError {
        let message = error.message();
        ConfigError::at(self.path, self.text, error.span().unwrap_or(0..0), message, hint(message, elsewhere))
    }
}

/// Where each value of a text stands, by its key with those of its tables before it: lines, counted from 1. A text that
/// can't be read has none.
pub(crate) fn lines(text: &str) -> BTreeMap<String, usize> {
    fn collect(table: &DeTable<'_>, key: &str, text: &str, lines: &mut BTreeMap<String, usize>) {
        for (name, value) in table {
            let key = if key.is_empty() { name.get_ref().to_string() } else { format!("{key}.{}", name.get_ref()) };
            match value.get_ref() {
                DeValue::Table(inner) => collect(inner, &key, text, lines),
                _ => {
                    let before = text.bytes().take(name.span().start);
                    lines.insert(key, before.filter(|byte| *byte == b'\n').count() + 1);
                }
            }
        }
    }
    let mut lines = BTreeMap::new();
    if let Ok(tree) = DeTable::parse(text) {
        collect(tree.get_ref(), "", text, &mut lines);
    }
    lines
}

/// What to do about an error of serde's, whose words for unknown names are always
/// ``unknown field `wrong`, expected one of `one`, `other` ``.
fn hint(message: &str, elsewhere: &[(&str, &str)]) -> Option<String> {
    let is_field = message.starts_with("unknown field ");
    if !is_field && !message.starts_with("unknown variant ") {
        return None;
    }
    let (wrong, known) = message.split_once(", expected ").or_else(|| message.split_once(", there are "))?;
    let wrong = wrong.split_once('`')?.1.trim_end_matches('`');
    if let Some((_, what)) = elsewhere.iter().find(|(key, _)| is_field && *key == wrong) {
        return Some((*what).to_owned());
    }
    nearest(wrong, known.split('`').skip(1).step_by(2)).map(|near| format!("did you mean `{near}`?"))
}

/// The example in a module's own documentation, so that it is tested.
#[cfg(test)]
pub(crate) fn documented_example(source: &str) -> String {
    source
        .lines()
        .skip_while(|line| *line != "//! ```toml")
        .skip(1)
        .take_while(|line| *line != "//! ```")
        .map(|line| format!("{}\n", line.trim_start_matches("//!")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[allow(dead_code, reason = "every file may have it")]
        version: Option<u32>,
        instances: Option<Spanned<u32>>,
        #[allow(dead_code, reason = "only its key counts")]
        mode: Option<super::super::Mode>,
    }

    fn wrong(text: &str) -> String {
        let document = Document { path: Path::new("convoke.toml"), text };
        let error = match document.parse::<File>(&[("model", "it belongs into config.toml")]) {
            Ok(file) => document.within("instances", file.instances, 1..=100).unwrap_err(),
            Err(error) => error,
        };
        let mut shown = String::new();
        let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::none()).with_width(120);
        handler.render_report(&mut shown, &error).unwrap();
        shown
    }

    #[test]
    fn an_unknown_key_has_a_place_and_a_suggestion() {
        let shown = wrong("version = 1\ninstanecs = 3\n");
        assert!(shown.contains("convoke.toml:2:1: unknown field `instanecs`"), "{shown}");
        assert!(shown.contains("did you mean `instances`?"), "{shown}");
        assert!(wrong("mode = \"saef\"").contains("did you mean `safe`?"));
    }

    #[test]
    fn a_key_of_another_file_is_explained() {
        assert!(wrong("model = \"x\"").contains("it belongs into config.toml"));
    }

    #[test]
    fn a_value_out_of_range_has_a_place_and_the_range() {
        let shown = wrong("\ninstances = 0\n");
        assert!(shown.contains("convoke.toml:2:13: instances is 0") && shown.contains("1 to 100"), "{shown}");
    }

    #[test]
    fn broken_toml_and_wrong_types_have_a_place() {
        assert!(wrong("a = \n").contains("convoke.toml:1:5"), "{}", wrong("a = \n"));
        assert!(wrong("\ninstances = \"three\"\n").contains("convoke.toml:2:13"));
        assert!(wrong("[[[[").contains("convoke.toml:1:"));
        assert!(wrong(&"a = ".repeat(3)).contains("convoke.toml:1:"));
    }

    #[test]
    fn a_newer_file_is_refused_whatever_it_holds() {
        let shown = wrong("version = 2\n[shape.unknown]\n");
        assert!(shown.contains("has version 2") && shown.contains("update convoke"), "{shown}");
        assert!(wrong("version = 0\n").contains("no such version"));
        assert!(wrong("version = -1\n").contains("no such version"));
    }

    #[test]
    fn a_strangers_text_does_nothing_to_the_terminal() {
        let shown = wrong("instances = \"\u{1b}[2J\u{202e}\"\n");
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
        assert!(!wrong("\"\u{202e}\u{9b}\" = 1\n").contains(['\u{9b}', '\u{202e}']));
    }
}
