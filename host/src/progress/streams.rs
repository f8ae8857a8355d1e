//! The events of one run, or of several that share their backends.

use std::sync::Arc;
use std::time::Duration;

use convoke_runtime::event::{Event, Events, Fact, Subscription};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::state::State;

/// Where events come from.
pub(super) struct Streams {
    runs: Vec<Stream>,
    /// What happens to all runs; none: there is only one, which tells it itself.
    common: Option<Subscription>,
}

struct Stream {
    /// Empty: there is only this one.
    name: String,
    /// How many items are planned, as far as it is known before it begins.
    items: usize,
    /// None: it has ended.
    facts: Option<Subscription>,
}

impl Streams {
    /// Those of one run.
    pub(super) fn one(events: &Events) -> Self {
        let run = Stream { name: String::new(), items: 0, facts: Some(events.listen()) };
        Self { runs: vec![run], common: None }
    }

    /// Those of several, each with its name and how many items are planned.
    pub(super) fn several<'a>(common: &Events, runs: impl IntoIterator<Item = (&'a str, usize, &'a Events)>) -> Self {
        let stream = |(name, items, events): (&str, usize, &Events)| Stream {
            name: name.to_owned(),
            items,
            facts: Some(events.listen()),
        };
        Self { runs: runs.into_iter().map(stream).collect(), common: Some(common.listen()) }
    }

    /// Where each run stands before anything is heard of it.
    pub(super) fn states(&self) -> Vec<State> {
        self.runs.iter().map(|stream| State::planned(stream.items)).collect()
    }

    /// What stands in front of each run's lines: its name, or nothing where it is the only one.
    pub(super) fn names(&self) -> Vec<String> {
        self.runs.iter().map(|stream| stream.name.clone()).collect()
    }

    /// Adds all that was told meanwhile, and which run's it is; none: all's. False: every run has ended, and all of it
    /// was heard.
    pub(super) fn drain(&mut self, into: &mut Vec<(Option<usize>, Arc<Event>)>) -> bool {
        let mut heard = Vec::new();
        if let Some(common) = &mut self.common {
            common.drain(&mut heard);
            into.extend(heard.drain(..).map(|event| (None, event)));
        }
        let is_among_others = self.common.is_some();
        for (run, stream) in self.runs.iter_mut().enumerate() {
            let Some(facts) = &mut stream.facts else { continue };
            let goes_on = facts.drain(&mut heard);
            let has_ended = heard.iter().any(|event| matches!(event.fact, Fact::Ended { .. }));
            let own = heard.drain(..).filter(|event| !is_among_others || !is_common(&event.fact));
            into.extend(own.map(|event| (Some(run), event)));
            if !goes_on || has_ended {
                stream.facts = None;
            }
        }
        self.runs.iter().any(|stream| stream.facts.is_some())
    }

    /// [`drain`](Self::drain) after so long, or when it is over. False: it is over too.
    pub(super) async fn look(
        &mut self,
        after: Duration,
        over: &CancellationToken,
        into: &mut Vec<(Option<usize>, Arc<Event>)>,
    ) -> bool {
        let is_over = over.run_until_cancelled(sleep(after)).await.is_none();
        self.drain(into) && !is_over
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
            | Fact::Stopping { .. }
    )
}

#[cfg(test)]
mod tests {
    use convoke_runtime::work::{Census, Status};

    use super::*;

    #[tokio::test]
    async fn what_happens_to_all_is_heard_once_and_the_end_is_that_of_the_last() {
        let (common, one, two) = (Events::new(), Events::new(), Events::new());
        let mut streams = Streams::several(&common, [("audit", 40, &one), ("docs", 40, &two)]);
        for events in [&common, &one, &two] {
            events.tell(Fact::DispatchStopped { reason: "spent".to_owned() }).await;
            events.mention(Fact::Stopping { at_most: Duration::ZERO });
        }
        let ended = || Fact::Ended { census: Census::default(), status: Status::Completed };
        one.tell(Fact::Warned { message: "1".to_owned() }).await;
        one.tell(ended()).await;
        let mut heard = Vec::new();
        assert!(streams.drain(&mut heard), "the other one goes on");
        two.tell(Fact::Warned { message: "2".to_owned() }).await;
        two.tell(ended()).await;
        assert!(!streams.drain(&mut heard));
        let names = streams.names();
        let said = heard.iter().filter_map(|(run, event)| match &event.fact {
            Fact::Warned { message } => Some(format!("{}{message}", run.map_or("", |run| &names[run]))),
            Fact::DispatchStopped { .. } => Some(format!("stopped {run:?}")),
            Fact::Stopping { .. } => Some(format!("stopping {run:?}")),
            _ => None,
        });
        assert_eq!(said.collect::<Vec<_>>(), ["stopped None", "stopping None", "audit1", "docs2"]);
    }
    #[test]
    fn what_waits_for_its_turn_is_counted_from_the_beginning() {
        let (common, one, two) = (Events::new(), Events::new(), Events::new());
        let states = Streams::several(&common, [("audit", 40, &one), ("docs", 2, &two)]).states();
        assert_eq!(states.iter().map(|state| state.items).collect::<Vec<_>>(), [40, 2]);
    }
}
