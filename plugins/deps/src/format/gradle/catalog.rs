//! Version catalogs: `gradle/libs.versions.toml`.
//!
//! <https://docs.gradle.org/current/userguide/version_catalogs.html>

use convoke_sdk::small::Map;

use crate::format::gradle::bound_of;
use crate::format::toml;
use crate::format::tree::{Broken, Node, Value, bounded, table_of, unfit};
use crate::model::{Bound, Fault, File, Manager, Manifest, Origin, Requirement, Scope, Texts};

/// Reads a catalog. What stands in it is asked for where a script names it; each is a requirement here, where its version stands.
pub(super) fn parse(path: &str, text: &str, _: &Texts) -> File {
    let mut file = File::new(path, Manager::Gradle, "version catalog");
    let catalog = match Catalog::read(text) {
        Ok(catalog) => catalog,
        Err(broken) => return broken.of(file),
    };
    let requirement = |entry: &Named, scope| Requirement {
        name: entry.name.clone(),
        range: entry.range.clone(),
        bound: entry.bound,
        origin: Origin::Registry(None),
        scope,
        line: entry.line,
        condition: None,
        hashed: false,
    };
    let libraries = catalog.libraries.iter().map(|entry| requirement(entry, Scope::Normal));
    let plugins = catalog.plugins.iter().map(|entry| requirement(entry, Scope::Build));
    file.manifest = Some(Manifest { requirements: libraries.chain(plugins).collect(), ..Manifest::default() });
    file.faults = catalog.faults;
    file
}

/// A library or plugin of a catalog.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) range: Option<String>,
    pub(super) bound: Bound,
    pub(super) line: u32,
}

/// What a catalog says. Names by which scripts use it have a `.` for each `-` and `_`.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    pub(super) versions: Map<String, String>,
    pub(super) libraries: Vec<Named>,
    /// Places in `libraries`.
    by_alias: Map<String, usize>,
    bundles: Map<String, Vec<usize>>,
    pub(super) plugins: Vec<Named>,
    by_plugin: Map<String, usize>,
    pub(super) faults: Vec<Fault>,
}

impl Catalog {
    /// Reads a catalog.
    ///
    /// # Errors
    /// It is no TOML.
    pub(super) fn read(text: &str) -> Result<Self, Broken> {
        let document = toml::read(text)?;
        let mut catalog = Self { faults: document.faults, ..Self::default() };
        let root = document.root;
        let mut faults = Vec::new();
        for entry in table_of(&root, "versions", &mut faults) {
            match rich(&entry.value) {
                Some(version) => {
                    catalog.versions.insert(accessor(&entry.key), version);
                }
                None => faults.push(unfit(
                    &format!("the version `{}`", entry.key),
                    "text or a table of ranges",
                    &entry.value,
                )),
            }
        }
        for entry in table_of(&root, "libraries", &mut faults) {
            let module = entry.value.text_of("module").map(str::to_owned);
            let parts = || Some(format!("{}:{}", entry.value.text_of("group")?, entry.value.text_of("name")?));
            let Some((name, range)) = (match entry.value.text() {
                Some(text) => text.rmatch_indices(':').next().and_then(|(at, _)| split(text, at)),
                None => module.or_else(parts).map(|name| (name, None)),
            }) else {
                let message = format!("the library `{}` names no module, so it is left out", entry.key);
                faults.push(Fault::new(Some(entry.line), &message, false));
                continue;
            };
            let named = catalog.named(name, range, &entry.value, entry.line, &mut faults);
            catalog.by_alias.insert(accessor(&entry.key), catalog.libraries.len());
            catalog.libraries.push(named);
        }
        for entry in table_of(&root, "bundles", &mut faults) {
            let aliases = entry.value.list().iter().filter_map(Node::text);
            let places = aliases.filter_map(|alias| catalog.by_alias.get(&accessor(alias)).copied()).collect();
            catalog.bundles.insert(accessor(&entry.key), places);
        }
        for entry in table_of(&root, "plugins", &mut faults) {
            let (id, range) = match entry.value.text() {
                Some(text) => text.split_once(':').map_or((text, None), |(id, range)| (id, Some(range.to_owned()))),
                None => (entry.value.text_of("id").unwrap_or_default(), None),
            };
            if id.is_empty() {
                let message = format!("the plugin `{}` has no id, so it is left out", entry.key);
                faults.push(Fault::new(Some(entry.line), &message, false));
                continue;
            }
            let named = catalog.named(marker(id), range, &entry.value, entry.line, &mut faults);
            catalog.by_plugin.insert(accessor(&entry.key), catalog.plugins.len());
            catalog.plugins.push(named);
        }
        catalog.faults.append(&mut faults);
        bounded(&mut catalog.faults);
        Ok(catalog)
    }

    /// A library or plugin, with its version looked up.
    fn named(&self, name: String, range: Option<String>, node: &Node<'_>, line: u32, faults: &mut Vec<Fault>) -> Named {
        let version = node.get("version");
        let by_name = version.and_then(|version| version.text_of("ref"));
        let range = match by_name {
            Some(by_name) => {
                let found = self.versions.get(&accessor(by_name)).cloned();
                if found.is_none() {
                    let message = format!("{name} has the version `{by_name}`, which the catalog doesn't have");
                    faults.push(Fault::new(Some(line), &message, false));
                }
                found
            }
            None => range.or_else(|| version.and_then(rich)),
        };
        // Without a version a platform decides it, which the catalog doesn't tell.
        let bound = range.as_deref().map_or(Bound::Unknown, bound_of);
        Named { name, range, bound, line }
    }

    /// The libraries that a script names: `libs.` and so on, without that. Empty: there is none of that name.
    pub(super) fn libraries(&self, named: &str) -> Vec<&Named> {
        let one = || self.by_alias.get(named).map(std::slice::from_ref);
        let places =
            named.strip_prefix("bundles.").and_then(|name| self.bundles.get(name).map(Vec::as_slice)).or_else(one);
        places.into_iter().flatten().filter_map(|place| self.libraries.get(*place)).collect()
    }

    /// The plugin that a script names: `libs.plugins.` and so on, without that.
    pub(super) fn plugin(&self, named: &str) -> Option<&Named> {
        self.by_plugin.get(named).and_then(|place| self.plugins.get(*place))
    }
}

/// `group:artifact` and the version, of a text in three parts.
fn split(text: &str, at: usize) -> Option<(String, Option<String>)> {
    let (name, version) = (text.get(..at)?, text.get(at + 1..)?);
    match name.contains(':') {
        true => Some((name.to_owned(), Some(version.to_owned()))),
        // `group:artifact`, without a version.
        false => Some((text.to_owned(), None)),
    }
}

/// A version, or of a rich one the part that counts most.
fn rich(node: &Node<'_>) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.to_string()),
        Value::Table(_) => {
            ["strictly", "require", "prefer"].into_iter().find_map(|key| node.text_of(key)).map(str::to_owned)
        }
        _ => None,
    }
}

/// How scripts write an alias.
fn accessor(alias: &str) -> String {
    alias.replace(['-', '_'], ".")
}

/// The package by which a plugin is found.
pub(super) fn marker(id: &str) -> String {
    format!("{id}:{id}.gradle.plugin")
}
