//! The values that scripts give names to, as far as they are written as plain text.

use convoke_sdk::small::Map;

use crate::format::gradle::catalog::Catalog;
use crate::format::gradle::token::{Placed, Token};

/// Why a text is not known; for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lack(pub(super) String);

/// Words before a name that change nothing about it.
const OWNERS: [&str; 8] = ["project", "rootProject", "ext", "extra", "this", "gradle", "settings", "parent"];
/// The longest text that values are filled into, in bytes.
const LONGEST: usize = 4096;

/// The values of one file. None: it has several.
#[derive(Debug, Default)]
pub(super) struct Values(Map<String, Option<String>>);

impl Values {
    /// Those of a script: `def a = '1'`, `ext.a = '1'`, `val a by extra("1")`, `set("a", "1")`, `m = [a: '1']`, which is `m.a`.
    pub(super) fn of_script(tokens: &[Placed<'_>]) -> Self {
        let mut values = Self::default();
        let mut map: Option<&str> = None;
        let token = |at: usize| tokens.get(at).map(|placed| &placed.token);
        for at in 0..tokens.len() {
            match (token(at), token(at + 1), token(at + 2)) {
                (Some(Token::Word(name)), Some(Token::Sign('=')), Some(Token::Sign('['))) => map = Some(name),
                (Some(Token::Word(name)), Some(Token::Sign('=')), Some(Token::Word("mapOf"))) => map = Some(name),
                (Some(Token::Sign(']' | ')')), ..) => map = None,
                (Some(Token::Word(name)), Some(Token::Sign('=')), Some(Token::Text(value, false))) => {
                    let is_whole = matches!(token(at + 3), None | Some(Token::End | Token::Sign(';' | '}')));
                    if is_whole {
                        let owner = match (at.checked_sub(2).and_then(token), at.checked_sub(1).and_then(token)) {
                            (Some(Token::Word(owner)), Some(Token::Sign('.'))) if !OWNERS.contains(owner) => {
                                Some(*owner)
                            }
                            _ => None,
                        };
                        values.set(owner, name, value);
                    }
                }
                (Some(Token::Word(name)), Some(Token::Sign(':')), Some(Token::Text(value, false))) if map.is_some() => {
                    values.set(map, name, value);
                }
                (Some(Token::Text(name, false)), Some(Token::Word("to")), Some(Token::Text(value, false)))
                    if map.is_some() =>
                {
                    values.set(map, name, value);
                }
                (Some(Token::Text(name, false)), Some(Token::Sign(']')), Some(Token::Sign('='))) => {
                    if let Some(Token::Text(value, false)) = token(at + 3) {
                        values.set(None, name, value);
                    }
                }
                (Some(Token::Word("set")), Some(Token::Sign('(')), Some(Token::Text(name, false))) => {
                    if let (Some(Token::Sign(',')), Some(Token::Text(value, false))) = (token(at + 3), token(at + 4)) {
                        values.set(None, name, value);
                    }
                }
                (Some(Token::Word(name)), Some(Token::Word("by")), Some(Token::Word("extra"))) => {
                    if let (Some(Token::Sign('(')), Some(Token::Text(value, false))) = (token(at + 3), token(at + 4)) {
                        values.set(None, name, value);
                    }
                }
                _ => {}
            }
        }
        values
    }

    /// Those of a `gradle.properties`.
    pub(super) fn of_properties(text: &str) -> Self {
        let mut values = Self::default();
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', '!']));
        for (name, value) in lines.filter_map(|line| line.split_once(['=', ':'])) {
            values.set(None, name.trim(), value.trim());
        }
        values
    }

    fn set(&mut self, owner: Option<&str>, name: &str, value: &str) {
        let name = owner.map_or_else(|| name.to_owned(), |owner| format!("{owner}.{name}"));
        let known = self.0.entry(name).or_insert_with(|| Some(value.to_owned()));
        if known.as_deref() != Some(value) {
            *known = None;
        }
    }

    /// A value by its name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_deref()
    }
}

/// The values that a script sees: its own, then those of the files around it.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) values: Vec<Values>,
    pub(super) catalog: Option<Catalog>,
}

impl Seen {
    /// The value of an expression that is a name: `v`, `rootProject.ext.v`, `versions.v`, `property("v")`,
    /// `libs.versions.v.get()`.
    ///
    /// # Errors
    /// It is something else, or not known.
    pub(super) fn value(&self, expression: &str) -> Result<&str, Lack> {
        let expression = expression.trim();
        if let Some(named) = expression.strip_prefix("libs.versions.") {
            let named =
                ["get()", "asProvider()"].iter().fold(named, |named, end| named.strip_suffix(end).unwrap_or(named));
            let found = self.catalog.as_ref().and_then(|catalog| catalog.versions.get(named.trim_end_matches('.')));
            return found.map(String::as_str).ok_or_else(|| Lack(format!("the catalog has no version `{expression}`")));
        }
        let mut parts: Vec<&str> = expression.split('.').collect();
        while parts.len() > 1 && parts.first().is_some_and(|first| OWNERS.contains(first)) {
            parts.remove(0);
        }
        let name = parts.join(".");
        let inside = name.strip_prefix("property(").or_else(|| name.strip_prefix("findProperty("));
        let name = inside.map_or(name.as_str(), |inside| inside.trim_end_matches(')').trim_matches(['"', '\'']));
        if !name.chars().all(|char| char.is_alphanumeric() || matches!(char, '_' | '.' | '-')) {
            return Err(Lack(format!("`{expression}` is code")));
        }
        match self.values.iter().find_map(|values| values.0.get(name)) {
            None => Err(Lack(format!("nothing that was read sets `{name}`"))),
            Some(None) => Err(Lack(format!("`{name}` is set to several values"))),
            Some(Some(value)) => Ok(value),
        }
    }

    /// A text with the values that it names.
    ///
    /// # Errors
    /// One of them is not known.
    pub(super) fn filled(&self, text: &str, fills: bool) -> Result<String, Lack> {
        if !fills {
            return Ok(text.to_owned());
        }
        let (mut filled, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once('$') {
            let (expression, after) = match after.strip_prefix('{') {
                Some(inside) => inside.split_once('}').unwrap_or((inside, "")),
                None => {
                    let end = after.find(|char: char| !(char.is_alphanumeric() || char == '_'));
                    after.split_at_checked(end.unwrap_or(after.len())).unwrap_or((after, ""))
                }
            };
            filled.push_str(before);
            filled.push_str(self.value(expression)?);
            rest = after;
            if filled.len() > LONGEST {
                return Err(Lack("the text that is put together is too long".to_owned()));
            }
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

/// How often each lack came, and where first.
pub(super) type Lacks = Map<Lack, (u32, usize)>;
