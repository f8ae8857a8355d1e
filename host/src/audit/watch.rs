//! What the one stream of events adds to the audit log, and what a report says of it.

use std::sync::Arc;

use convoke_runtime::event::{Event, Events, Fact, Subscription};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::writer::MOMENT;
use super::{Left, Trail, kind};
use crate::report::{AuditInfo, Report};

/// Hears what happens to a run, from now on to its end.
#[must_use = "its end brings the log to the disk"]
pub struct Watch {
    trail: Trail,
    over: CancellationToken,
    heard: Option<JoinHandle<()>>,
}

impl Watch {
    /// Of a run that leaves a trail.
    pub fn begin(trail: &Trail, events: &Events) -> Self {
        let over = CancellationToken::new();
        let heard = trail.run().map(|_| tokio::spawn(hear(trail.clone(), events.listen(), over.clone())));
        Self { trail: trail.clone(), over, heard }
    }

    /// The run has ended, and so has what came after it. All is on the disk then, and the report says where the log ends.
    /// One of which something could not be written is degraded.
    pub async fn end(mut self, report: &mut Report) {
        self.over.cancel();
        if let Some(heard) = self.heard.take() {
            // What it could not hear, nobody was told.
            let _ = heard.await;
        }
        let Some(Left { records, lost, head }) = self.trail.end().await else { return };
        match head {
            Ok(head) => {
                report.audit = Some(AuditInfo { records, lost, last_sequence: head.sequence, last_hash: head.hash });
                if lost > 0 {
                    report.degrade(format!(
                        "{lost} records of the audit log could not be written: what was done is not all there"
                    ));
                }
            }
            Err(error) => report.degrade(format!("what was done is not all in the audit log: {error}")),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

async fn hear(trail: Trail, mut heard: Subscription, over: CancellationToken) {
    let mut told = Vec::new();
    let mut goes_on = true;
    while goes_on {
        goes_on = heard.look(MOMENT, &over, &mut told).await;
        told.drain(..).for_each(|event| note(&trail, &event));
    }
}

fn note(trail: &Trail, event: &Arc<Event>) {
    match &event.fact {
        Fact::RunStarted(run) => trail.note(kind::RUN_STARTED, &run.command, || {
            json!({
                "subcommand": run.subcommand, "version": run.version, "project": run.project, "mode": run.mode,
                "backend": run.backend, "continued": run.continued,
            })
        }),
        Fact::Ended { census, status } => trail.note(kind::RUN_ENDED, status.name(), || json!({"census": census})),
        Fact::QuestionSent { question, item, model, backend, attempt } => trail.note(
            kind::CLAUDE_SENT,
            model,
            || json!({"question": question, "item": item, "backend": backend, "attempt": attempt}),
        ),
        Fact::SecretFound { question, item, kinds, places, became } => {
            trail.note(
                kind::SECRET_FOUND,
                &kinds.join(", "),
                || json!({"question": question, "item": item, "places": places, "became": became}),
            );
        }
        Fact::PolicyChanged { policy, generation, reason } => {
            trail.note(kind::POLICY_SWAPPED, policy, || json!({"generation": generation, "reason": reason}));
        }
        Fact::Paused { by, at_once } => {
            trail.note(kind::CONTROL, "pause", || json!({"by": by, "at_once": at_once}));
        }
        Fact::Resumed { by } => trail.note(kind::CONTROL, "resume", || json!({"by": by})),
        Fact::Controlled { by, what, became } => {
            trail.note(kind::CONTROL, what, || json!({"by": by, "became": became}));
        }
        _ => {}
    }
}
