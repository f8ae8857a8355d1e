//! What the file says.

use convoke_sdk::prelude::*;
use serde_json::Value;

/// The file.
#[derive(Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde", deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) items: Vec<ItemSpec>,
}

/// An item, and what it does.
#[derive(Serialize, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde", deny_unknown_fields)]
pub(crate) struct ItemSpec {
    pub(crate) id: String,
    /// What it asks first.
    pub(crate) ask: Option<String>,
    /// What answers where nobody does.
    pub(crate) fallback: Option<String>,
    /// Why it fails then.
    pub(crate) fail: Option<String>,
    #[serde(default)]
    pub(crate) edits: Vec<EditSpec>,
    #[serde(default)]
    pub(crate) actions: Vec<ActionSpec>,
    #[serde(default)]
    pub(crate) documents: Vec<DocumentSpec>,
    /// What it says that it writes. None: the paths of its edits.
    pub(crate) writes: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) after: Vec<String>,
    pub(crate) group: Option<String>,
    #[serde(default)]
    pub(crate) weight: u64,
}

/// An edit. All but `splice` and `remove` read their file first.
#[derive(Serialize, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde", tag = "change", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum EditSpec {
    /// A new file.
    Create { path: String, text: String },
    /// The first place where a text stands gets another.
    Replace { path: String, from: String, to: String },
    /// A file gets another text.
    Rewrite { path: String, text: String },
    /// A file goes.
    Delete { path: String },
    /// As it stands: replacements of bytes (start, end, text), without looking at the file.
    Splice { path: String, base: Option<String>, parts: Vec<(u64, u64, String)> },
    /// A file goes, without looking at it.
    Remove { path: String, base: Option<String> },
}

impl EditSpec {
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Create { path, .. }
            | Self::Replace { path, .. }
            | Self::Rewrite { path, .. }
            | Self::Delete { path }
            | Self::Splice { path, .. }
            | Self::Remove { path, .. } => path,
        }
    }
}

/// An action, as it stands.
#[derive(Serialize, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde", deny_unknown_fields)]
pub(crate) struct ActionSpec {
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) body: Value,
}

/// A document whose text comes so many times.
#[derive(Serialize, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde", deny_unknown_fields)]
pub(crate) struct DocumentSpec {
    pub(crate) name: String,
    pub(crate) media_type: String,
    pub(crate) text: String,
    pub(crate) times: Option<usize>,
}
