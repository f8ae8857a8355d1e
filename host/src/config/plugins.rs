//! `[plugins]` of a project: which versions of which commands it wants. It can only ask: a plugin runs in a project when
//! its user has installed the very bytes that `convoke.lock` names, and trusts them.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use semver::VersionReq;
use serde::Deserialize;
use toml::{Spanned, Value};

use super::ConfigError;
use super::document::Document;
use crate::plugin::manifest::is_name;

/// By the command's name.
pub type Pins = BTreeMap<String, Pin>;

/// What a project wants of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// A URL, a reference, or a path in the project; none: what comes with convoke, else the user's registry.
    pub place: Option<String>,
    /// Which versions would do.
    pub requirement: VersionReq,
}

/// The table as it is written.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(super) struct PluginsTable(BTreeMap<String, Spanned<Value>>);

impl PluginsTable {
    pub(super) fn check(self, document: Document<'_>) -> Result<Pins, ConfigError> {
        self.0.into_iter().map(|(name, value)| Ok((name.clone(), pin(&name, &value, document)?))).collect()
    }
}

fn pin(name: &str, value: &Spanned<Value>, document: Document<'_>) -> Result<Pin, ConfigError> {
    let at = |message: &str, hint: &str| document.at(value.span(), message, hint);
    if !is_name(name) {
        return Err(at(
            "this is no command's name",
            "write one like agent-audit; convoke's own commands have no versions",
        ));
    }
    let requirement = |text: &str| {
        let parsed = text.parse::<VersionReq>();
        parsed.map_err(|error| at(&format!("the versions can't be understood: {error}"), "write some like \"^0.2\""))
    };
    let table = match value.get_ref() {
        Value::String(text) => return Ok(Pin { place: None, requirement: requirement(text)? }),
        Value::Table(table) => table,
        _ => return Err(at("this is no version", "write \"^0.2\", or { source = \"oci://…\", version = \"^0.2\" }")),
    };
    let mut pin = Pin { place: None, requirement: VersionReq::STAR };
    for (key, value) in table {
        let (Some(text), "version" | "source" | "path") = (value.as_str(), key.as_str()) else {
            return Err(at(
                &format!("{key} is not understood here"),
                "known are version, source and path, all of them texts",
            ));
        };
        if key == "version" {
            pin.requirement = requirement(text)?;
            continue;
        }
        if pin.place.is_some() {
            return Err(at("source and path are two places", "write one of them"));
        }
        pin.place = Some(if key == "source" { source(text, at)? } else { path(text, at)? });
    }
    Ok(pin)
}

fn source(text: &str, at: impl Fn(&str, &str) -> ConfigError) -> Result<String, ConfigError> {
    if text.contains("://") {
        return Ok(text.to_owned());
    }
    Err(at("the source is no URL and no reference", "write one like \"oci://…\"; a file of the project is a path"))
}

/// In the project, so that it means the same for all who have it.
fn path(text: &str, at: impl Fn(&str, &str) -> ConfigError) -> Result<String, ConfigError> {
    let inside = Path::new(text).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside || text.is_empty() {
        return Err(at("the path leads out of the project", "write one like \"tools/x.wasm\""));
    }
    Ok(format!("./{}", text.strip_prefix("./").unwrap_or(text)))
}

/// Only that table of a `convoke.toml`, whatever else stands in it: what is wrong elsewhere is said by who reads that.
///
/// # Errors
/// It is no TOML, of a newer version, or the table is wrong.
pub fn only(path: &Path, text: &str) -> Result<Pins, ConfigError> {
    #[derive(Deserialize)]
    struct Only {
        #[serde(default)]
        plugins: PluginsTable,
    }
    // Read with every command, and most projects have none.
    if !text.contains("plugins") {
        return Ok(Pins::new());
    }
    let document = Document { path, text };
    document.parse::<Only>(&[])?.plugins.check(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pins(text: &str) -> Result<Pins, ConfigError> {
        only(Path::new("convoke.toml"), text)
    }

    #[test]
    fn a_pin_is_a_version_or_a_place() {
        let pins = pins(
            "mode = \"safe\"\n[plugins]\ndeps = \"^0.2\"\nlint = { path = \"tools/lint.wasm\" }\n\
             docs = { source = \"oci://registry.example/docs\", version = \"1\" }\n",
        );
        let pins = pins.unwrap();
        assert_eq!(pins["deps"], Pin { place: None, requirement: "^0.2".parse().unwrap() });
        assert_eq!(pins["lint"].place.as_deref(), Some("./tools/lint.wasm"));
        assert_eq!(pins["docs"].requirement.to_string(), "^1");
    }

    #[test]
    fn what_is_wrong_with_a_pin_has_a_place() {
        for (line, problem) in [
            ("install = \"1\"", "convoke.toml:2:11: this is no command's name"),
            ("Deps = \"1\"", "this is no command's name"),
            ("deps = \"soon\"", "convoke.toml:2:8: the versions can't be understood"),
            ("deps = 2", "this is no version"),
            ("deps = { version = 2 }", "version is not understood here"),
            ("deps = { git = \"x\" }", "git is not understood here"),
            ("deps = { path = \"../x.wasm\" }", "leads out of the project"),
            ("deps = { path = \"/x.wasm\" }", "leads out of the project"),
            ("deps = { source = \"x.wasm\" }", "no URL and no reference"),
            ("deps = { source = \"oci://h/x\", path = \"x\" }", "two places"),
        ] {
            let error = pins(&format!("[plugins]\n{line}\n")).unwrap_err().to_string();
            assert!(error.contains(problem), "{problem}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_elsewhere_is_said_by_who_reads_that() {
        assert!(pins("[plugins]\n[limits]\nnonsense = 1\n").unwrap().is_empty());
        assert!(pins("# plugins\nversion = 2\n").unwrap_err().to_string().contains("has version 2"));
    }
}
