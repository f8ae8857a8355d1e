//! The events of one run, or of several that share their backends, one after the other.

use std::future::poll_fn;
use std::task::Poll;

use std::sync::Arc;

use convoke_runtime::event::{Event, Events, Fact, Subscription};

/// Where events come from.
pub(super) struct Streams {
    runs: Vec<Stream>,
    /// What happens to all runs; none: there is only one, which tells it itself.
    common: Option<Subscription>,
    /// Whose turn it is to be asked first, so that a talkative one does not silence the others.
    turn: usize,
}

struct Stream {
    /// Empty: there is only this one.
    name: String,
    /// None: it has ended.
    facts: Option<Subscription>,
}

impl Streams {
    /// Those of one run.
    pub(super) fn one(events: &Events) -> Self {
        let run = Stream { name: String::new(), facts: Some(events.listen()) };
        Self { runs: vec![run], common: None, turn: 0 }
    }

    /// Those of several.
    pub(super) fn several<'a>(common: &Events, runs: impl IntoIterator<Item = (&'a str, &'a Events)>) -> Self {
        let stream = |(name, events): (&str, &Events)| Stream { name: name.to_owned(), facts: Some(events.listen()) };
        Self { runs: runs.into_iter().map(stream).collect(), common: Some(common.listen()), turn: 0 }
    }

    /// How many runs there are.
    pub(super) fn count(&self) -> usize {
        self.runs.len()
    }

    /// What stands in front of a run's lines: its name, or nothing where it is the only one.
    pub(super) fn name(&self, run: usize) -> &str {
        self.runs.get(run).map_or("", |stream| &stream.name)
    }

    /// The next event, and which run's; none: all's. None at all: every run has ended.
    pub(super) async fn next(&mut self) -> Option<(Option<usize>, Arc<Event>)> {
        loop {
            let (run, event) = self.any().await?;
            let Some(place) = run else { return Some((run, event)) };
            if matches!(event.fact, Fact::Ended { .. }) {
                self.runs[place].facts = None;
            }
            if self.common.is_none() || !is_common(&event.fact) {
                return Some((run, event));
            }
        }
    }

    async fn any(&mut self) -> Option<(Option<usize>, Arc<Event>)> {
        let Self { runs, common, turn } = self;
        *turn += 1;
        poll_fn(|context| {
            let mut left = false;
            for step in 0..runs.len() {
                let place = (*turn + step) % runs.len();
                let Some(facts) = &mut runs[place].facts else { continue };
                match facts.poll_recv(context) {
                    Poll::Ready(Some(event)) => return Poll::Ready(Some((Some(place), event))),
                    Poll::Ready(None) => runs[place].facts = None,
                    Poll::Pending => left = true,
                }
            }
            if let Some(facts) = common
                && let Poll::Ready(Some(event)) = facts.poll_recv(context)
            {
                return Poll::Ready(Some((None, event)));
            }
            if left { Poll::Pending } else { Poll::Ready(None) }
        })
        .await
    }
}

/// Whether a fact is one of all runs that share their backends: each of them is told it.
fn is_common(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::DispatchStopped { .. }
            | Fact::BreakerChanged { .. }
            | Fact::LimitChanged { .. }
            | Fact::PolicyChanged { .. }
            | Fact::AlertRaised { .. }
            | Fact::AlertCleared { .. }
    )
}

#[cfg(test)]
mod tests {
    use convoke_runtime::work::{Census, Status};

    use super::*;

    #[tokio::test]
    async fn what_happens_to_all_is_heard_once_and_the_end_is_that_of_the_last() {
        let (common, one, two) = (Events::new(), Events::new(), Events::new());
        let mut streams = Streams::several(&common, [("audit", &one), ("docs", &two)]);
        for events in [&common, &one, &two] {
            events.tell(Fact::DispatchStopped { reason: "spent".to_owned() }).await;
        }
        for (events, message) in [(&one, "1"), (&two, "2")] {
            events.tell(Fact::Warned { message: message.to_owned() }).await;
            events.tell(Fact::Ended { census: Census::default(), status: Status::Completed }).await;
        }
        let mut heard = Vec::new();
        while let Some((run, event)) = streams.next().await {
            match &event.fact {
                Fact::Warned { message } => heard.push(format!("{}{message}", streams.name(run.unwrap()))),
                Fact::DispatchStopped { .. } => heard.push(format!("stopped {run:?}")),
                _ => {}
            }
        }
        heard.sort();
        assert_eq!(heard, ["audit1", "docs2", "stopped None"]);
    }
}
