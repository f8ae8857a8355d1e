//! What runs told goes to the journal, and their reports with it: so that both can be shown later.

use std::time::Duration;

use convoke_runtime::event::{Fact, Subscription};
use convoke_runtime::journal::{Journal, JournalError, RunId};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Observer, Run, Runs};
use crate::report::{Report, kept};

/// How often it is written: what a kill takes is at most so old.
const EVERY: Duration = Duration::from_millis(250);

/// Writes down what runs tell.
pub(super) struct Recorder {
    journal: Option<Journal>,
    over: CancellationToken,
    tasks: Vec<JoinHandle<Option<String>>>,
    /// While the reports are shown, what was written is brought into the file.
    resting: Option<JoinHandle<Result<(), JournalError>>>,
}

impl Recorder {
    pub(super) fn begin(runs: &Runs<'_>) -> Self {
        let over = CancellationToken::new();
        let task = |run: &Run<'_>| {
            // It listens from here on, whenever its task comes to run.
            let heard = (run.events.listen(), run.events.started());
            tokio::spawn(record(heard, run.journal.clone(), over.clone()))
        };
        let tasks = runs.runs.iter().map(task).collect();
        Self { journal: runs.runs.first().map(|run| run.journal.clone()), over, tasks, resting: None }
    }
}

impl Observer for Recorder {
    fn ended<'a>(&'a mut self, reports: &'a [&'a Report]) -> BoxFuture<'a, Vec<String>> {
        async move {
            self.over.cancel();
            let mut said = Vec::new();
            for task in self.tasks.drain(..) {
                said.extend(task.await.ok().flatten());
            }
            for report in reports {
                let (Some(journal), Ok(run)) = (&self.journal, report.run.id.parse::<RunId>()) else { continue };
                let kept = match kept::written(report) {
                    Ok(text) => journal.keep_report(&run, text).await.map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                if let Err(error) = kept {
                    said.push(format!("the report is not kept, only shown: {error}"));
                }
            }
            if let Some(journal) = self.journal.clone() {
                self.resting = Some(tokio::spawn(async move { journal.rest().await }));
            }
            said.truncate(1);
            said
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Vec<String>> {
        async move {
            if let Some(resting) = self.resting {
                // Whoever writes next hears of what went wrong. The journal is closed after this.
                let _ = resting.await;
            }
            Vec::new()
        }
        .boxed()
    }
}

/// Writes down what is told until it is over. What it returns went wrong.
async fn record(
    (mut heard, began): (Subscription, Timestamp),
    journal: Journal,
    over: CancellationToken,
) -> Option<String> {
    let (mut run, mut trouble): (Option<RunId>, Option<String>) = (None, None);
    let mut told = Vec::new();
    let mut goes_on = true;
    while goes_on {
        goes_on = heard.look(EVERY, &over, &mut told).await;
        for event in &told {
            if let Fact::RunStarted(facts) = &event.fact {
                run = facts.run.parse().ok();
            }
        }
        told.retain(|event| is_kept(&event.fact));
        // Before it begins nothing is known of it.
        let Some(id) = &run else { continue };
        // What can't be written is lost for the pictures and for nothing else: the items have tables of their own.
        if trouble.is_none()
            && !told.is_empty()
            && let Err(error) = journal.record_events(id, began, &told).await
        {
            trouble = Some(format!("what the run told is not kept from here on: {error}"));
        }
        told.clear();
    }
    trouble
}

/// Whether it says something afterwards.
pub(crate) fn is_kept(fact: &Fact) -> bool {
    !matches!(fact, Fact::ItemProgress { .. } | Fact::QuestionProgress { .. } | Fact::Logged { .. })
}
