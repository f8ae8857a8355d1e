//! The manifest: what a plugin says about itself, without being run.
//!
//! An author writes `plugin.toml`; `convoke build` checks it and puts it into the component as canonical JSON, in the
//! custom section [`SECTION`]. Both forms are input from a stranger, and are checked by the same rules.

mod check;
mod command_line;
mod error;

use serde::{Deserialize, Serialize};

use super::capabilities::Capabilities;

pub use check::{RESERVED_NAMES, RESERVED_OPTIONS, RESERVED_SHORTS, check_name, is_name};
pub use command_line::Arguments;
pub use error::{Fault, ManifestError};

/// The custom section of a component that holds its manifest.
pub const SECTION: &str = "convoke:manifest";

/// The version of the format that this host writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// A larger manifest is refused. Bytes.
pub const MOST_BYTES: usize = 256 << 10;

/// What a plugin says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this format.
    pub manifest_version: u32,
    /// The command's name, in kebab case: what a user types.
    pub name: String,
    /// A semantic version.
    pub version: String,
    /// One line, for lists.
    pub description: String,
    /// An SPDX expression.
    pub license: String,
    /// The longer help text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// What the author knows about how many instances are good.
    #[serde(default, skip_serializing_if = "Sizing::is_empty")]
    pub sizing: Sizing,
    /// What stands after the command's name, in this order.
    #[serde(default, rename = "argument", skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<Parameter>,
    /// What is given by name. Where there are subcommands, each of them takes these too.
    #[serde(default, rename = "option", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Parameter>,
    /// Subcommands: `audit` in `convoke deps audit`. If there are some, one of them must be typed.
    #[serde(default, rename = "subcommand", skip_serializing_if = "Vec::is_empty")]
    pub subcommands: Vec<Subcommand>,
    /// What it can find.
    #[serde(default, rename = "rule", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// What it asks for beside the project's files, and to what each capability is narrowed.
    #[serde(default, skip_serializing_if = "Capabilities::is_empty")]
    pub capabilities: Capabilities,
}

/// Hints on sizing. The host's own limits stand above them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizing {
    /// More instances than this don't help. 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_instances: Option<u32>,
    /// How many items one instance should get. 1 to 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_per_instance: Option<u32>,
}

impl Sizing {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An argument (by place) or an option (by name).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// In kebab case. The plugin finds the value by it; an option is typed `--name`.
    pub name: String,
    /// For the help text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// What can be typed.
    #[serde(default)]
    pub kind: ParameterKind,
    /// One letter or digit, for options: `-n`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short: Option<char>,
    /// Whether it may be typed more than once. The plugin gets a list.
    #[serde(default, skip_serializing_if = "is_false")]
    pub repeated: bool,
    /// Whether it must be typed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub required: bool,
    /// What it is when not typed. Not for paths and flags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<DefaultValue>,
    /// What can be chosen from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What can be typed for a parameter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParameterKind {
    /// Any text.
    #[default]
    String,
    /// A file or folder; it is mounted where it lies outside the project.
    Path,
    /// A whole number of 64 bits.
    Integer,
    /// One of `choices`.
    Choice,
    /// Only for options: typed or not.
    Flag,
}

/// The value of what was not typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a default is a number or a text")]
pub enum DefaultValue {
    /// For `integer`.
    Integer(i64),
    /// For `string` and `choice`.
    Text(String),
}

/// A subcommand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subcommand {
    /// In kebab case.
    pub name: String,
    /// One line.
    pub description: String,
    /// The longer help text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// Findings from this severity on fail its run, where neither the user nor the project says from which. None: no finding
    /// does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_on: Option<RuleSeverity>,
    /// What stands after its name.
    #[serde(default, rename = "argument", skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<Parameter>,
    /// What is given by name.
    #[serde(default, rename = "option", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Parameter>,
}

/// Something that a plugin can find. For SARIF and for help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Stable, in kebab case.
    pub id: String,
    /// How bad it usually is.
    pub severity: RuleSeverity,
    /// One line.
    pub summary: String,
}

/// How bad something is, as in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleSeverity {
    /// Good to know.
    Info,
    /// A blemish.
    Low,
    /// It costs something.
    Medium,
    /// It breaks something.
    High,
    /// Act now.
    Critical,
}

impl Manifest {
    /// From which severity on findings fail a run, as its author says.
    pub fn fail_on(&self, subcommand: Option<&str>) -> Option<RuleSeverity> {
        self.subcommands.iter().find(|known| Some(known.name.as_str()) == subcommand)?.fail_on
    }

    /// Reads a `plugin.toml`. `file` is what messages call it.
    ///
    /// # Errors
    /// When it is too large, not UTF-8, not TOML, of a newer version, or breaks a rule; with the place.
    pub fn from_toml(file: &str, bytes: &[u8]) -> Result<Self, ManifestError> {
        let text = text(bytes).map_err(|fault| ManifestError::new(fault).in_file(file))?;
        Self::parse_toml(text).map_err(|error| error.in_source(file, text))
    }

    fn parse_toml(text: &str) -> Result<Self, ManifestError> {
        let table = toml::de::DeTable::parse(text).map_err(|error| ManifestError::from_toml(&error))?;
        let table = table.get_ref();
        let version = table.get("manifest_version");
        let number = version
            .and_then(|value| value.get_ref().as_integer())
            .and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok());
        match (version, number) {
            (None, _) => return Err(ManifestError::new(Fault::NoVersion)),
            (Some(value), None) => return Err(ManifestError::new(Fault::NoVersion).at_span(value.span())),
            (Some(value), Some(found)) if found != i64::from(VERSION) => {
                return Err(ManifestError::new(Fault::OtherVersion { found }).at_span(value.span()));
            }
            _ => {}
        }
        let manifest: Self = toml::from_str(text).map_err(|error| ManifestError::from_toml(&error))?;
        manifest.check().map_err(|error| {
            let span = error.span_in(table);
            error.at_span(span)
        })?;
        Ok(manifest)
    }

    /// Reads the JSON of a component's [`SECTION`].
    ///
    /// # Errors
    /// As [`from_toml`](Self::from_toml).
    pub fn from_json(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Version {
            manifest_version: i64,
        }
        let text = text(bytes).map_err(ManifestError::new)?;
        let broken = |error: serde_json::Error| ManifestError::from_json(&error);
        let Version { manifest_version: found } = serde_json::from_str(text).map_err(broken)?;
        if found != i64::from(VERSION) {
            return Err(ManifestError::new(Fault::OtherVersion { found }));
        }
        let manifest: Self = serde_json::from_str(text).map_err(broken)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The canonical JSON: the same manifest is always the same bytes.
    ///
    /// # Errors
    /// None that a checked manifest could give.
    pub fn to_json(&self) -> Result<Vec<u8>, ManifestError> {
        serde_json::to_vec(self).map_err(|error| ManifestError::from_json(&error))
    }
}

fn text(bytes: &[u8]) -> Result<&str, Fault> {
    if bytes.len() > MOST_BYTES {
        return Err(Fault::TooLarge { size: bytes.len(), limit: MOST_BYTES });
    }
    std::str::from_utf8(bytes).map_err(|error| Fault::NotUtf8 { offset: error.valid_up_to() })
}

#[cfg(test)]
mod tests;
