//! Recordings: a run in a folder, to be done again without a model, a key, a network or the project.
//!
//! ```text
//! run.json               what was run, when, how, and where questions went
//! questions/             a file a question: what was sent, and what came back each time
//! contexts/              what several questions have in common, once
//! project/files/         a file for each file that was read
//! project/stats.json     what stood at paths; listings.json, searches.json: what was found
//! project/convoke.toml   the project's configuration
//! outside.json           what was asked of programs and hosts, and what came back each time
//! ```
//!
//! It is for people and for git: pretty JSON, a text as a list of its lines, names and order that stay. Credentials are
//! removed, always.

mod about;
mod error;
mod folder;

pub(crate) use about::typed_value;
pub use about::{About, PluginVersion, RecordedRoute, VERSION};
pub use error::RecordingError;
pub(crate) use folder::config_file;
pub use folder::{Content, check_place, read, write};
