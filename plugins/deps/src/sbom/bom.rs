//! The parts of a CycloneDX 1.6 document that are written here, named as its schema names them.

use convoke_sdk::small::Set;

use serde::{Serialize, Serializer};

use crate::digest::Digest;

/// The document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bom {
    #[serde(rename = "$schema")]
    pub schema: &'static str,
    pub bom_format: &'static str,
    pub spec_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    pub version: u32,
    pub metadata: Metadata,
    pub components: Vec<Component>,
    pub dependencies: Vec<Dependency>,
    pub compositions: Vec<Composition>,
}

impl Default for Bom {
    fn default() -> Self {
        Self {
            schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
            bom_format: "CycloneDX",
            spec_version: "1.6",
            serial_number: None,
            version: 1,
            metadata: Metadata::default(),
            components: Vec::new(),
            dependencies: Vec::new(),
            compositions: Vec::new(),
        }
    }
}

/// What the document is about.
#[derive(Default, Serialize)]
pub(super) struct Metadata {
    pub timestamp: String,
    pub lifecycles: Vec<Lifecycle>,
    pub tools: Tools,
    pub component: Component,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
}

/// When in a product's life it was made.
#[derive(Serialize)]
pub(super) struct Lifecycle {
    pub phase: &'static str,
}

/// Who made it.
#[derive(Default, Serialize)]
pub(super) struct Tools {
    pub components: Vec<Component>,
}

impl Metadata {
    pub(super) fn new(timestamp: String, version: &str, component: Component) -> Self {
        let tool = Component {
            kind: Kind::Application,
            name: "convoke deps".to_owned(),
            version: Some(version.to_owned()),
            ..Component::default()
        };
        // It is made of manifests and lockfiles, before anything is built.
        let lifecycles = vec![Lifecycle { phase: "pre-build" }];
        Self { timestamp, lifecycles, tools: Tools { components: vec![tool] }, component, properties: Vec::new() }
    }

    /// The same, with what else is to be said of the whole.
    pub(super) fn with(self, properties: Vec<Property>) -> Self {
        Self { properties, ..self }
    }
}

/// What something is.
#[derive(Clone, Copy, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Application,
    #[default]
    Library,
}

/// Whether it is needed; the later the more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Needed {
    /// Not when the product runs: for tests, for example.
    Excluded,
    Optional,
    Required,
}

/// A package, or the project.
#[derive(Default, Serialize)]
pub(super) struct Component {
    #[serde(rename = "type")]
    pub kind: Kind,
    #[serde(rename = "bom-ref", skip_serializing_if = "String::is_empty")]
    pub reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Needed>,
    #[serde(skip_serializing_if = "Set::is_empty")]
    pub hashes: Set<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<Licensed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purl: Option<String>,
    #[serde(skip_serializing_if = "Evidence::is_empty")]
    pub evidence: Evidence,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<Property>,
}

/// Where it was found.
#[derive(Default, Serialize)]
pub(super) struct Evidence {
    pub occurrences: Set<Occurrence>,
}

impl Evidence {
    fn is_empty(&self) -> bool {
        self.occurrences.is_empty()
    }

    /// The places of both, each once.
    pub(super) fn add(&mut self, more: Self) {
        self.occurrences.extend(more.occurrences);
    }
}

/// A digest of the archive.
#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Hash {
    pub alg: &'static str,
    pub content: String,
}

impl Hash {
    pub(super) fn of(digest: &Digest) -> Self {
        Self { alg: digest.algorithm.name(), content: digest.hex.clone() }
    }
}

/// A place in a file.
#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Occurrence {
    pub location: String,
    pub line: u32,
}

/// A licence: an expression, or a name.
pub(super) enum Licensed {
    Expression(String),
    Name(String),
}

impl Licensed {
    pub(super) fn named(text: &str) -> Self {
        Self::Name(text.to_owned())
    }
}

impl Serialize for Licensed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Expression<'a> {
            expression: &'a str,
        }
        #[derive(Serialize)]
        struct Named<'a> {
            license: Name<'a>,
        }
        #[derive(Serialize)]
        struct Name<'a> {
            name: &'a str,
        }
        match self {
            Self::Expression(expression) => Expression { expression }.serialize(serializer),
            Self::Name(name) => Named { license: Name { name } }.serialize(serializer),
        }
    }
}

/// A value that the format has no member for.
#[derive(PartialEq, Eq, Serialize)]
pub(super) struct Property {
    pub name: String,
    pub value: String,
}

impl Property {
    /// Under this tool's own name.
    pub(super) fn new(name: &str, value: &str) -> Self {
        Self { name: format!("convoke:{name}"), value: value.to_owned() }
    }
}

/// What something needs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dependency {
    #[serde(rename = "ref")]
    pub reference: String,
    pub depends_on: Vec<String>,
}

/// How much is known.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Aggregate {
    Complete,
    Incomplete,
}

/// Of what how much is known.
#[derive(Serialize)]
pub(super) struct Composition {
    pub aggregate: Aggregate,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assemblies: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<String>,
}
