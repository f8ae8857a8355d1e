//! Where the time of a run goes, kept while it goes on, for its report.

use std::time::Duration;

use convoke_runtime::event::{Events, Subscription};
use convoke_runtime::timeline::timesheet::Timesheet;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often it looks at what was told: seldom enough to cost the teller nothing.
const EVERY: Duration = Duration::from_millis(100);

/// Keeps it until it is ended.
pub(super) struct Hours {
    over: DropGuard,
    task: JoinHandle<Timesheet>,
}

impl Hours {
    /// From now on: before the run begins.
    pub(super) fn begin(events: &Events) -> Self {
        let over = CancellationToken::new();
        // It listens from here on, whenever its task comes to run.
        let task = tokio::spawn(keep(events.listen(), events.clone(), over.clone()));
        Self { over: over.drop_guard(), task }
    }

    /// All that was told until now.
    pub(super) async fn end(self) -> Timesheet {
        drop(self.over);
        // One that failed has nothing to say; the run has its report all the same.
        self.task.await.unwrap_or_default()
    }
}

async fn keep(mut heard: Subscription, events: Events, over: CancellationToken) -> Timesheet {
    let (mut sheet, mut told) = (Timesheet::default(), Vec::new());
    let mut goes_on = true;
    while goes_on {
        goes_on = heard.look(EVERY, &over, &mut told).await;
        told.drain(..).for_each(|event| sheet.hear(&event));
    }
    sheet.until(events.elapsed());
    sheet
}

#[cfg(test)]
mod tests {
    use convoke_runtime::event::Fact;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_told_until_the_end_is_in_it() {
        let events = Events::new();
        let hours = Hours::begin(&events);
        events.tell(Fact::PhaseStarted { phase: "execute".into() }).await;
        for worker in 0..2 {
            events.tell(Fact::WorkerStarted { worker, segment: "core".to_owned() }).await;
            let label = "a".to_owned();
            events
                .tell(Fact::ItemStarted { worker, item: worker, id: String::new(), label, group: None, attempt: 1 })
                .await;
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        let sheet = hours.end().await;
        assert!((sheet.parallel_share() - 1.0).abs() < 1e-9);
        assert_eq!(sheet.bottleneck().map(|found| found.what.name()), Some("work"));
    }
}
