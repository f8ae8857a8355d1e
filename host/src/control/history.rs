//! What a run has told so far, for those who come later.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use convoke_runtime::event::{Event, Events, Fact, Subscription};
use convoke_runtime::timeline::Timeline;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often it is looked for news: what is shown is at most so old.
const EVERY: Duration = Duration::from_millis(100);

/// So many events are kept of a run. What comes after that is told to those who listen, and soon forgotten.
const MOST: usize = 200_000;

/// So many are remembered of those that are not kept.
const RECENT: usize = 10_000;

/// What was told.
pub(super) struct History {
    heard: Mutex<Subscription>,
    inner: Mutex<Inner>,
    /// [`MOST`], and [`RECENT`].
    bounds: (usize, usize),
    /// How many were heard, and whether nothing more comes.
    news: watch::Sender<(u64, bool)>,
}

/// Events with their numbers.
#[derive(Debug, Default)]
struct Inner {
    kept: Vec<(u64, Arc<Event>)>,
    /// Those that say something only while they are new, and what is too much.
    recent: VecDeque<(u64, Arc<Event>)>,
    heard: u64,
    run: Option<String>,
    /// The number after the last one that said something also to those who come later, and is forgotten.
    forgotten: u64,
    /// What those before [`drawn`](Self::drawn) make, also those that are forgotten.
    picture: Timeline,
    /// The number of the first one that is not in the picture: nobody may ever look at it.
    drawn: u64,
}

impl Inner {
    /// Those that are remembered, from that number on, at most so many.
    fn from(&self, from: u64, most: usize) -> Vec<(u64, Arc<Event>)> {
        let mut kept = self.kept[self.kept.partition_point(|(number, _)| *number < from)..].iter().peekable();
        let mut recent = self.recent.range(self.recent.partition_point(|(number, _)| *number < from)..).peekable();
        let mut events: Vec<(u64, Arc<Event>)> = Vec::new();
        while events.len() < most {
            let is_kept = match (kept.peek(), recent.peek()) {
                (Some((one, _)), Some((other, _))) => one < other,
                (one, _) => one.is_some(),
            };
            let Some(next) = (if is_kept { kept.next() } else { recent.next() }) else { break };
            events.push(next.clone());
        }
        events
    }

    /// Adds to the picture what it does not have yet.
    fn draw(&mut self) {
        for (_, event) in self.from(self.drawn, usize::MAX) {
            self.picture.hear(&event);
        }
        self.drawn = self.heard;
    }
}

/// A part of what was told.
pub(super) struct Part {
    /// With their numbers.
    pub(super) events: Vec<(u64, Arc<Event>)>,
    /// The number after the last.
    pub(super) next: u64,
    /// Whether something of what was asked for is forgotten that would still say something.
    pub(super) is_missing: bool,
}

impl History {
    /// Hears a stream from now on.
    pub(super) fn of(events: &Events) -> Self {
        Self::bounded(events, (MOST, RECENT))
    }

    /// The same, with other bounds than [`MOST`] and [`RECENT`].
    pub(super) fn bounded(events: &Events, bounds: (usize, usize)) -> Self {
        let heard = Mutex::new(events.listen());
        Self { heard, inner: Mutex::default(), bounds, news: watch::Sender::new((0, false)) }
    }

    /// Takes in what was told, from time to time, until it is over.
    pub(super) async fn hear(self: Arc<Self>, over: CancellationToken) {
        loop {
            let is_over = tokio::select! {
                () = over.cancelled() => true,
                () = tokio::time::sleep(EVERY) => false,
            };
            if !self.catch_up(is_over) || is_over {
                return;
            }
        }
    }

    /// Takes in all that was told until now. False: nothing more comes.
    pub(super) fn catch_up(&self, is_over: bool) -> bool {
        // Held until it is in its place, so that nobody takes in later events before.
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = Vec::new();
        let goes_on = heard.drain(&mut told);
        self.add(&mut told, is_over || !goes_on);
        goes_on
    }

    fn add(&self, told: &mut Vec<Arc<Event>>, is_over: bool) {
        if told.is_empty() && !is_over {
            return;
        }
        let (most, recent) = self.bounds;
        let mut inner = self.inner();
        for event in told.drain(..) {
            let number = inner.heard;
            inner.heard += 1;
            if let Fact::RunStarted(facts) = &event.fact {
                inner.run = Some(facts.run.clone());
            }
            if says_something_later(&event.fact) && inner.kept.len() < most {
                inner.kept.push((number, event));
                continue;
            }
            inner.recent.push_back((number, event));
            if inner.recent.len() > recent
                && let Some((number, event)) = inner.recent.front()
            {
                if says_something_later(&event.fact) {
                    let number = *number;
                    inner.forgotten = number + 1;
                    if number >= inner.drawn {
                        inner.draw();
                    }
                }
                inner.recent.pop_front();
            }
        }
        let heard = inner.heard;
        drop(inner);
        self.news.send_modify(|(count, over)| (*count, *over) = (heard, *over || is_over));
    }

    /// The run's id, once it has begun.
    pub(super) fn run(&self) -> Option<String> {
        self.inner().run.clone()
    }

    /// Hears of news from now on.
    pub(super) fn news(&self) -> watch::Receiver<(u64, bool)> {
        self.news.subscribe()
    }

    /// The events from that number on, at most so many. What is forgotten is left out.
    pub(super) fn from(&self, from: u64, most: usize) -> Part {
        let inner = self.inner();
        let events = inner.from(from, most);
        let next = events.last().map_or(from, |(number, _)| number + 1);
        Part { events, next, is_missing: from < inner.forgotten }
    }

    /// Looks at the picture that all of it makes.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Timeline) -> T) -> T {
        let mut inner = self.inner();
        inner.draw();
        look(&inner.picture)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it says something also to those who come later.
fn says_something_later(fact: &Fact) -> bool {
    !matches!(fact, Fact::ItemProgress { .. } | Fact::QuestionProgress { .. } | Fact::Logged { .. })
}

#[cfg(test)]
mod tests {
    use convoke_runtime::event::Settled;
    use convoke_runtime::work::{Census, Status};

    use super::*;

    fn told(fact: Fact) -> Arc<Event> {
        Arc::new(Event { at: Duration::ZERO, fact })
    }

    fn event(number: u64) -> Arc<Event> {
        let fact = Fact::Warned { message: number.to_string() };
        Arc::new(Event { at: Duration::from_secs(number), fact })
    }

    fn history(most: usize, recent: usize, told: impl IntoIterator<Item = Arc<Event>>) -> History {
        let history = History::bounded(&Events::new(), (most, recent));
        history.add(&mut told.into_iter().collect(), false);
        history
    }

    fn numbers(history: &History, from: u64) -> Vec<u64> {
        history.from(from, 100).events.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn events_have_their_numbers_and_can_be_had_from_any_on() {
        let history = history(100, 100, (0..5).map(event));
        assert_eq!((numbers(&history, 0), numbers(&history, 3)), (vec![0, 1, 2, 3, 4], vec![3, 4]));
        assert_eq!(history.from(1, 2).next, 3);
        assert_eq!((numbers(&history, 9), history.from(9, 2).next), (vec![], 9));
    }

    #[test]
    fn what_is_too_much_or_says_nothing_later_is_told_and_forgotten() {
        let progress = || told(Fact::ItemProgress { item: 0, done: 0.5, note: String::new() });
        let history = history(3, 4, (0..2).map(event).chain([progress()]).chain((3..6).map(event)));
        assert_eq!((numbers(&history, 0), numbers(&history, 4)), (vec![0, 1, 2, 3, 4, 5], vec![4, 5]));
        history.add(&mut vec![event(6), event(7)], false);
        assert_eq!(numbers(&history, 0), [0, 1, 3, 4, 5, 6, 7]);
        assert!(!history.from(0, 9).is_missing, "that an item was half done says nothing any more");
        history.add(&mut vec![progress(), event(9)], false);
        assert_eq!(numbers(&history, 0), [0, 1, 3, 6, 7, 8, 9]);
        let missing = |from: u64| history.from(from, 1).is_missing;
        assert_eq!((missing(0), missing(5), missing(6)), (true, true, false), "4 and 5 are forgotten");
    }

    #[test]
    fn what_is_forgotten_is_in_the_picture_all_the_same() {
        let phase = |phase: &'static str| told(Fact::PhaseStarted { phase: phase.into() });
        let (model, backend) = ("model".to_owned(), "anthropic".into());
        let sent = Fact::QuestionSent { question: 1, item: 0, model, backend, attempt: 1 };
        let history = history(1, 1, [phase("execute"), told(sent), phase("aggregate")]);
        let seen = || history.look(|picture| (picture.phases.len(), picture.in_flight(), picture.ended.is_some()));
        assert_eq!((numbers(&history, 0), seen()), (vec![0, 2], (2, 1, false)));
        let settled = Fact::QuestionSettled(Box::new(Settled { question: 1, ..Settled::default() }));
        let ended = Fact::Ended { census: Census::default(), status: Status::Completed };
        history.add(&mut vec![told(settled), told(ended), event(9)], false);
        assert_eq!((numbers(&history, 0), seen()), (vec![0, 5], (2, 0, true)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_told_before_the_end_is_heard() {
        let (events, over) = (Events::new(), CancellationToken::new());
        let history = Arc::new(History::of(&events));
        let hearing = tokio::spawn(history.clone().hear(over.clone()));
        tokio::task::yield_now().await;
        events.tell(Fact::Resumed { by: String::new() }).await;
        over.cancel();
        hearing.await.unwrap();
        assert_eq!((numbers(&history, 0), *history.news().borrow()), (vec![0], (1, true)));
    }
}
