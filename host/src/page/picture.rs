//! The picture of a run, made while it goes on.

use std::time::Duration;

use convoke_runtime::event::{Events, Subscription};
use convoke_runtime::timeline::Timeline;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::of_run::of_picture;
use crate::observe::is_kept;
use crate::report::Report;

/// How often it looks at what was told: seldom enough to cost the teller nothing.
const EVERY: Duration = Duration::from_millis(100);

/// Makes it until it is ended: what the journal has of the run must not be read again for its page.
pub(crate) struct Picture {
    over: DropGuard,
    task: JoinHandle<Timeline>,
}

impl Picture {
    /// From now on: before the run begins.
    pub(crate) fn begin(events: &Events) -> Self {
        let over = CancellationToken::new();
        // It listens from here on, whenever its task comes to run.
        let task = tokio::spawn(draw(events.listen(), over.clone()));
        Self { over: over.drop_guard(), task }
    }

    /// Of all that was told until now. None: it could not be made, and the journal has to tell.
    async fn end(self) -> Option<Timeline> {
        drop(self.over);
        self.task.await.ok()
    }

    /// The page of the run, which has ended with this report. None: as of a picture that could not be made.
    pub(crate) async fn page(self, report: &Report) -> Option<String> {
        let timeline = self.end().await?;
        let report = serde_json::to_value(report).ok()?;
        // Others write the rest of what they heard meanwhile.
        spawn_blocking(move || of_picture(&timeline, &report).ok()).await.ok()?
    }
}

async fn draw(mut heard: Subscription, over: CancellationToken) -> Timeline {
    let (mut timeline, mut told) = (Timeline::default(), Vec::new());
    let mut goes_on = true;
    while goes_on {
        goes_on = heard.look(EVERY, &over, &mut told).await;
        // As the journal has it, so that the same run has the same page later.
        told.drain(..).filter(|event| is_kept(&event.fact)).for_each(|event| timeline.hear(&event));
    }
    timeline
}

#[cfg(test)]
mod tests {
    use convoke_runtime::event::{Event, Fact};
    use convoke_runtime::journal::Told;
    use convoke_runtime::question::Tier;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_the_one_that_the_journal_would_give() {
        let events = Events::new();
        let (mut heard, mut told) = (events.listen(), Vec::new());
        let picture = Picture::begin(&events);
        let (question, item) = (1, 0);
        events.mention(Fact::WorkerStarted { worker: 0, segment: "a".to_owned() });
        let label = "a.md".to_owned();
        events.mention(Fact::ItemStarted { worker: 0, item, id: String::new(), label, group: None, attempt: 1 });
        events.mention(Fact::QuestionQueued { question, item, role: "r".to_owned(), tier: Tier::Speed });
        tokio::time::advance(Duration::from_millis(1_500)).await;
        let model = "m".to_owned();
        events.mention(Fact::QuestionSent { question, item, model, backend: "offline".into(), attempt: 1 });
        events.mention(Fact::QuestionProgress { question, item, tokens_per_second: Some(9), tool: None });
        events.mention(Fact::ItemProgress { item, done: 0.5, note: "half".to_owned() });
        let picture = picture.end().await.expect("a picture");

        heard.drain(&mut told);
        let written =
            told.iter().filter(|event| is_kept(&event.fact)).map(|event| serde_json::to_string(&**event).unwrap());
        let events = written.map(|line| serde_json::from_str::<Event>(&line).unwrap()).collect();
        let kept = Timeline::of(&[Told { began: jiff::Timestamp::UNIX_EPOCH, events }]);
        assert_eq!(picture.questions.len(), 1);
        assert_eq!(serde_json::to_value(&picture).unwrap(), serde_json::to_value(&kept).unwrap());
    }
}
