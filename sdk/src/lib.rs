//! Write a convoke command.
//!
//! A command is a WASM component that plans work items, runs them one by one, and asks Claude in between. It sees the
//! project only through the host, and the host decides how many instances it gets. What an author writes is a
//! [`Command`]:
//!
//! ```
//! use convoke_sdk::prelude::*;
//!
//! #[derive(Serialize, Deserialize, JsonSchema, Default)]
//! struct Verdict {
//!     /// What is unclear about the comment, in one sentence each.
//!     unclear: Vec<String>,
//! }
//!
//! struct TodoReview;
//!
//! impl Command for TodoReview {
//!     async fn plan(call: &Call) -> Result<Work> {
//!         let files = call.list(&Query::files(&["**/*.rs"])).await?;
//!         Ok(Work::new(files.into_iter().map(|file| Item::new(file.path).weight(file.size))))
//!     }
//!
//!     async fn run(_call: &Call, task: &Task) -> Result<Partial> {
//!         let path = task.id().to_owned();
//!         let text = task.read_text(&path).await?;
//!         let mut partial = Partial::done();
//!         for (line, todo) in (1..).zip(text.lines()).filter(|(_, line)| line.contains("TODO")) {
//!             let question = Question::new("code-reviewer", format!("Is this comment clear?\n\n{todo}"))
//!                 .fallback(&Verdict::default());
//!             let answer = task.ask::<Verdict>(question).await?;
//!             for message in &answer.value.unclear {
//!                 partial.findings.push(
//!                     Finding::new("todo-unclear", Severity::Low, message).at(&path, line).by(answer.source()),
//!                 );
//!             }
//!         }
//!         Ok(partial)
//!     }
//! }
//!
//! convoke_sdk::export!(TodoReview);
//! # fn main() {}
//! ```
//!
//! Beside it lies `plugin.toml`, the manifest: name, version, description, and the arguments that the command takes.
//! `convoke build` makes the component of both.

#[doc(hidden)]
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "everything",
        pub_export_macro: true,
        default_bindings_module: "convoke_sdk::bindings",
    });

    /// The optional export. A component that uses both macros exports both.
    pub mod concluding {
        wit_bindgen::generate!({
            inline: "package convoke:sdk; world concluding { export convoke:plugin/conclusion@0.1.0; }",
            path: "wit",
            world: "convoke:sdk/concluding",
            pub_export_macro: true,
            default_bindings_module: "convoke_sdk::bindings::concluding",
            with: {
                "convoke:plugin/types@0.1.0": crate::bindings::convoke::plugin::types,
                "convoke:plugin/worker@0.1.0": crate::bindings::convoke::plugin::worker,
            },
        });
    }
}

mod action;
mod answer;
mod call;
mod command;
mod document;
mod http;
mod process;
mod project;
mod records;
pub mod small;
mod store;
mod task;
#[cfg(not(target_family = "wasm"))]
#[allow(clippy::expect_used, clippy::unwrap_used)]
pub mod testing;
pub mod text;

pub use answer::{Answer, Question, schema_text};
pub use bindings::convoke::plugin::log::Level;
pub use bindings::convoke::plugin::process::Output;
pub use bindings::convoke::plugin::project::{Entry, Kind, Match, Pattern, Query};
pub use bindings::convoke::plugin::types::{
    Action, Aggregate, Aggregation, AnsweredBy, Change, Distribution, Edit, Error, Estimate, Failure, FailureKind,
    Finding, Item, Metric, Outcome, Partial, Reduction, Replacement, Severity, Source, Tier, Usage, Work,
};
pub use call::Call;
pub use command::{Command, Conclude, log};
pub use convoke_secrets as secrets;
pub use document::Document;
pub use http::{Fetch, Response};
pub use process::Process;
pub use project::Project;
pub use task::Task;

#[doc(hidden)]
pub use command::glue;

/// What a command's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// All that a command usually needs.
pub mod prelude {
    pub use crate::{
        Action, Aggregate, Aggregation, Answer, Call, Command, Conclude, Distribution, Edit, Error, Estimate, Failure,
        FailureKind, Fetch, Finding, Item, Metric, Outcome, Partial, Pattern, Process, Query, Question, Reduction,
        Result, Severity, Source, Task, Tier, Work,
    };
    pub use schemars::{self, JsonSchema};
    pub use serde::{self, Deserialize, Serialize};
}
