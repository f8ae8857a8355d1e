//! What is sent of an alert.

use std::path::Path;

use convoke_runtime::event::RunFacts;
use jiff::Timestamp;
use serde::Serialize;

/// The version of the message. It grows by new members.
const SCHEMA_VERSION: u32 = 1;

/// What is sent to a webhook, or given to a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Message {
    schema_version: u32,
    /// Which: `errors`, `response`, `cpu`, `memory`, `budget`, `breaker`, `stopped`.
    alert: String,
    /// `raised`, `cleared`, or `ended`: the runs ended while it stood.
    state: &'static str,
    /// What is seen, and what the threshold is.
    reason: String,
    /// When.
    time: Timestamp,
    /// All of it in a line, as chats show it.
    text: String,
    /// The runs of the process.
    runs: Vec<About>,
}

/// Which run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct About {
    run: String,
    command: String,
    /// The name of the project's folder, without where it is.
    project: String,
}

impl About {
    pub(super) fn of(facts: &RunFacts) -> Self {
        let project = Path::new(&facts.project).file_name().unwrap_or_default();
        Self { run: facts.run.clone(), command: facts.command.clone(), project: project.to_string_lossy().into_owned() }
    }
}

impl Message {
    pub(super) fn new(alert: &str, state: &'static str, reason: &str, runs: &[About]) -> Self {
        let mut commands: Vec<&str> = runs.iter().map(|run| run.command.as_str()).collect();
        commands.dedup();
        let of = if commands.is_empty() { String::new() } else { format!(" of {}", commands.join(", ")) };
        Self {
            schema_version: SCHEMA_VERSION,
            alert: alert.to_owned(),
            state,
            reason: reason.to_owned(),
            time: Timestamp::now(),
            text: format!("convoke: alert {alert}{of} {state}: {reason}"),
            runs: runs.to_vec(),
        }
    }

    /// As JSON, in one line.
    pub(super) fn json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}
