//! What projects of MSBuild take from the files around them: properties and central versions.
//!
//! MSBuild evaluates properties first and items after that, so an item sees what a property is set to last.

use convoke_sdk::small::{Map, Set};

use crate::format::nuget::sheet::{Act, Import, Item, Kind, Property, Sheet};
use crate::model::{Fault, Texts, beside, folder};

/// The most files that are taken in.
const MOST_FILES: usize = 64;
/// The longest value, in bytes.
const LONGEST: usize = 4096;

/// Why a value is not known; for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lack(pub(super) String);

/// Properties by their names in lower case, as they are in the end.
#[derive(Debug, Default)]
pub(super) struct Properties(Map<String, Result<String, Lack>>);

impl Properties {
    /// A value, where it is known.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(&name.to_ascii_lowercase())?.as_deref().ok()
    }

    fn set(&mut self, property: &Property) {
        let value = self.filled(&property.value);
        match &property.condition {
            None => {
                self.0.insert(property.name.clone(), value);
            }
            Some(condition) if is_default(condition, &property.name) => {
                if self.0.get(&property.name).is_none_or(|known| known.as_deref() == Ok("")) {
                    self.0.insert(property.name.clone(), value);
                }
            }
            Some(_) if self.0.get(&property.name) == Some(&value) => {}
            Some(condition) => {
                let message = format!("`{}` depends on the condition {condition}", property.name);
                self.0.insert(property.name.clone(), Err(Lack(message)));
            }
        }
    }

    /// A text with the values of the properties that it names.
    ///
    /// # Errors
    /// One of them is not known.
    pub(super) fn filled(&self, text: &str) -> Result<String, Lack> {
        let (mut filled, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("$(") {
            let (name, after) = after.split_once(')').unwrap_or((after, ""));
            let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
            if !is_name {
                return Err(Lack(format!("`$({name}` is computed while it is built")));
            }
            let value = match self.0.get(&name.to_ascii_lowercase()) {
                None => return Err(Lack(format!("nothing in the project sets `{name}`"))),
                Some(value) => value.as_deref().map_err(Clone::clone)?,
            };
            filled.push_str(before);
            filled.push_str(value);
            rest = after;
            if filled.len() > LONGEST {
                return Err(Lack(format!("`{name}` makes the value longer than {LONGEST} bytes")));
            }
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

/// Whether a condition says: where nobody has set it.
fn is_default(condition: &str, name: &str) -> bool {
    let plain: String = condition.chars().filter(|char| !char.is_whitespace() && *char != '"').collect();
    plain.to_ascii_lowercase().replace('\'', "") == format!("$({name})==")
}

/// What is known around a project.
#[derive(Debug, Default)]
pub(super) struct Around {
    pub(super) properties: Properties,
    /// By name in lower case.
    pub(super) central: Map<String, Vec<Item>>,
    /// Whether there is a file of central versions.
    pub(super) is_central: bool,
    /// The files that were taken in.
    pub(super) paths: Vec<String>,
    pub(super) faults: Vec<Fault>,
}

impl Around {
    /// What a file takes from others, and says itself.
    pub(super) fn of(path: &str, sheet: &Sheet, texts: &Texts) -> Self {
        let mut around = Self::default();
        let mut seen = Set::from([path.to_owned()]);
        for name in ["Directory.Build.props", "Directory.Packages.props"] {
            if let Some(found) = above(folder(path), name, texts) {
                around.is_central |= name == "Directory.Packages.props";
                around.file(&found, texts, &mut seen);
            }
        }
        around.sheet(path, sheet, texts, &mut seen);
        if let Some(found) = above(folder(path), "Directory.Build.targets", texts) {
            around.file(&found, texts, &mut seen);
        }
        around
    }

    fn file(&mut self, path: &str, texts: &Texts, seen: &mut Set<String>) {
        if seen.len() > MOST_FILES || !seen.insert(path.to_owned()) {
            return;
        }
        let Some(text) = texts.get(path) else { return };
        self.paths.push(path.to_owned());
        match Sheet::read(text) {
            Ok(sheet) => self.sheet(path, &sheet, texts, seen),
            Err(fault) => {
                let message = format!("{path}, from which it takes values, can't be read: {}", fault.message);
                self.faults.push(Fault::new(None, &message, false));
            }
        }
    }

    fn sheet(&mut self, path: &str, sheet: &Sheet, texts: &Texts, seen: &mut Set<String>) {
        // What is imported stands mostly at the top.
        for import in &sheet.imports {
            self.import(path, import, texts, seen);
        }
        sheet.properties.iter().for_each(|property| self.properties.set(property));
        for item in sheet.items.iter().filter(|item| item.kind == Kind::Central) {
            let key = item.name.to_ascii_lowercase();
            match (item.act, &item.condition) {
                (Act::Include, _) | (Act::Update, Some(_)) => self.central.entry(key).or_default().push(item.clone()),
                (Act::Update, None) => {
                    self.central.insert(key, vec![item.clone()]);
                }
                (Act::Remove, None) => {
                    self.central.remove(&key);
                }
                (Act::Remove, Some(_)) => {}
            }
        }
    }

    fn import(&mut self, path: &str, import: &Import, texts: &Texts, seen: &mut Set<String>) {
        let here = ["$(MSBuildThisFileDirectory)", "$(MSBuildProjectDirectory)/", "$(MSBuildProjectDirectory)"];
        let named = here.into_iter().find_map(|start| import.path.strip_prefix(start)).unwrap_or(&import.path);
        let found = if named.contains("GetPathOfFileAbove") {
            let names = ["Directory.Build.props", "Directory.Packages.props", "Directory.Build.targets"];
            let name = names.into_iter().find(|name| named.contains(name));
            name.zip(outside(folder(path))).and_then(|(name, from)| above(from, name, texts))
        } else {
            self.properties.filled(named).ok().and_then(|named| beside(path, &named))
        };
        if let Some(found) = found {
            if texts.contains_key(&found) {
                self.file(&found, texts, seen);
                return;
            }
            // Named all the same, so that it is looked for.
            self.paths.push(found);
        }
        // Those of MSBuild itself and of packages, and what is only taken in where it is there.
        let is_tool = named.starts_with("$(MSBuild") || named.starts_with("$(VSTools") || named.contains("/packages/");
        let is_optional = import.condition.as_deref().is_some_and(|condition| condition.contains("Exists"));
        if !is_tool && !is_optional && !named.contains("GetPathOfFileAbove") {
            let message = format!(
                "it imports {}, which is not known: packages and versions named there are missing",
                import.path
            );
            self.faults.push(Fault::new(Some(import.line), &message, false));
        }
    }
}

/// The folder around one. None: that is outside of the project.
fn outside(inner: &str) -> Option<&str> {
    (!inner.is_empty()).then(|| folder(inner))
}

/// The nearest file of that name in a folder or around it.
fn above(from: &str, name: &str, texts: &Texts) -> Option<String> {
    let mut at = Some(from);
    while let Some(here) = at {
        let path = if here.is_empty() { name.to_owned() } else { format!("{here}/{name}") };
        if texts.contains_key(&path) {
            return Some(path);
        }
        at = outside(here);
    }
    None
}
