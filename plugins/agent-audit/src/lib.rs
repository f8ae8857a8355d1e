//! `agent-audit`: finds what is wrong with definitions of Claude agents.
//!
//! `plan` finds the agents and what only a look at all of them can tell (names that stand twice, copies); `run` audits
//! one file by [rules](rules::RULES), then asks a reviewer for what rules can't see.

pub mod agent;
pub mod audit;
pub mod category;
pub mod find;
pub mod front_matter;
pub mod near;
pub mod plan;
pub mod question;
pub mod rules;
pub mod text;

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod testing;

use convoke_sdk::prelude::*;

use crate::audit::Audited;

/// The command.
pub struct AgentAudit;

/// What the user typed, beside the paths.
#[derive(Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde", rename_all = "kebab-case")]
struct Arguments {
    #[serde(default)]
    no_near: bool,
}

impl Command for AgentAudit {
    async fn plan(call: &Call) -> Result<Work> {
        let arguments: Arguments = call.arguments()?;
        plan::plan(call, call.paths(), !arguments.no_near).await
    }

    async fn run(_call: &Call, task: &Task) -> Result<Partial> {
        let file = match audit::audit(task, task.id(), &task.input()?).await {
            Audited::Read(file) => file,
            Audited::Ended(partial) => return Ok(*partial),
        };
        let agent = file.agent();
        let Some(question) = file.question(&agent) else { return Ok(file.partial(&agent, Vec::new())) };
        match task.ask(question).await {
            Ok(answer) => {
                let source = answer.source();
                Ok(file.partial(&agent, question::findings(&agent, answer.value, source)))
            }
            // Stopped: the item stays to be done.
            Err(failure) if matches!(failure.kind, FailureKind::Cancelled) => Err(failure.into()),
            // The rules' findings are true without the review, and the item is not done without it.
            Err(failure) => Ok(Partial {
                outcome: Outcome::Failed(format!(
                    "the review failed: {}",
                    convoke_sdk::text::shown(&failure.message, 400)
                )),
                ..file.partial(&agent, Vec::new())
            }),
        }
    }
}

convoke_sdk::export!(AgentAudit);
