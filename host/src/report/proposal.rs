//! What a command proposes to do, in files and outside of them, and what has become of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::schema;

/// A proposed change of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Edit {
    /// The file, relative to the project's folder.
    pub path: String,
    /// The ids of the items that propose it.
    pub items: Vec<String>,
    /// Why.
    pub reasons: Vec<String>,
    /// The sha-256, in hex, of the content it is made against; null for a file that must not exist.
    pub base: Option<String>,
    /// What is done.
    #[schemars(with = "schema::ChangeShape")]
    pub change: convoke_runtime::work::Change,
    /// What it does, as a unified diff; null where it can't be shown.
    pub diff: Option<String>,
    /// Why it can't be carried out: it clashes with another edit, or the file is not what it was made against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<String>,
    /// What has become of it.
    pub state: EditState,
    /// Why it was refused, or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What came of carrying edits out. All of them are, or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplyInfo {
    /// What came of it.
    pub outcome: ApplyOutcome,
    /// How many files were changed.
    pub files: u64,
    /// What `convoke rollback` takes to undo it; null where there is nothing to undo.
    pub rollback: Option<String>,
    /// Why nothing was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What came of carrying edits out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ApplyOutcome {
    /// All are carried out.
    Applied,
    /// None is: the user did not want it.
    Declined,
    /// None is: something was in the way of at least one, and the edits say what.
    Hindered,
    /// None is: it failed in the middle, and was undone.
    Failed,
}

/// What has become of a proposed change of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EditState {
    /// It is only proposed: nobody asked to carry it out, or another one hindered.
    #[default]
    Proposed,
    /// It is carried out.
    Applied,
    /// It clashes with another one, or the file is not what it was made against.
    Conflict,
    /// What it wants is never done: to write through a link, to git's own files.
    Refused,
    /// It could not be carried out; the file is as it was.
    Failed,
}

/// A proposed change of the world outside the files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Action {
    /// `git-commit`, `pull-request`, `comment`.
    pub kind: String,
    /// What it is, in a line.
    pub title: String,
    /// What it does: a program with arguments. What has another shape is never carried out.
    pub body: Value,
    /// Two actions with the same key are the same action.
    pub key: String,
    /// The id of the item that proposes it.
    pub item: String,
    /// What has become of it.
    pub state: ActionState,
    /// Why it stands so, where there is something to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What its program ended with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The last that its program printed, at most 4 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The last that its program wrote to stderr, at most 4 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<String>,
}

/// What has become of a proposed change of the world outside the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ActionState {
    /// It is only proposed: nobody asked to carry it out, or what comes before it hindered.
    #[default]
    Proposed,
    /// It is carried out.
    Done,
    /// An earlier run, or the user, has done the same: it was not done again.
    DoneBefore,
    /// The user said no.
    Declined,
    /// It is none that can be carried out, or is not allowed, or its key is that of another one.
    Refused,
    /// Its program says that it failed, or could not be started.
    Failed,
    /// It was begun, and nobody knows how it ended: it is not repeated until the user settles it.
    Unknown,
}

impl ActionState {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Done => "done",
            Self::DoneBefore => "done-before",
            Self::Declined => "declined",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}
