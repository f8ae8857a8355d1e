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
}

impl History {
    /// Hears a stream from now on.
    pub(super) fn of(events: &Events) -> Self {
        let heard = Mutex::new(events.listen());
        Self { heard, inner: Mutex::default(), news: watch::Sender::new((0, false)) }
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
        self.add(&mut told, MOST, is_over || !goes_on);
        goes_on
    }

    fn add(&self, told: &mut Vec<Arc<Event>>, most: usize, is_over: bool) {
        if told.is_empty() && !is_over {
            return;
        }
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
            if inner.recent.len() > RECENT {
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

    /// The events from that number on, and the number after the last; at most so many. What is forgotten is left out.
    pub(super) fn from(&self, from: u64, most: usize) -> (Vec<(u64, Arc<Event>)>, u64) {
        let inner = self.inner();
        let mut kept = inner.kept[inner.kept.partition_point(|(number, _)| *number < from)..].iter().peekable();
        let mut recent = inner.recent.range(inner.recent.partition_point(|(number, _)| *number < from)..).peekable();
        let mut events: Vec<(u64, Arc<Event>)> = Vec::new();
        while events.len() < most {
            let is_kept = match (kept.peek(), recent.peek()) {
                (Some((one, _)), Some((other, _))) => one < other,
                (one, _) => one.is_some(),
            };
            let Some(next) = (if is_kept { kept.next() } else { recent.next() }) else { break };
            events.push(next.clone());
        }
        let next = events.last().map_or(from, |(number, _)| number + 1);
        (events, next)
    }

    /// The picture that it makes.
    pub(super) fn picture(&self) -> Timeline {
        let events = self.inner().kept.clone();
        let mut picture = Timeline::default();
        events.iter().for_each(|(_, event)| picture.hear(event));
        picture
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
    use super::*;

    fn event(number: u64) -> Arc<Event> {
        let fact = Fact::Warned { message: number.to_string() };
        Arc::new(Event { at: Duration::from_secs(number), fact })
    }

    fn numbers(history: &History, from: u64) -> Vec<u64> {
        history.from(from, 100).0.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn events_have_their_numbers_and_can_be_had_from_any_on() {
        let history = History::of(&Events::new());
        history.add(&mut (0..5).map(event).collect(), 100, false);
        assert_eq!((numbers(&history, 0), numbers(&history, 3)), (vec![0, 1, 2, 3, 4], vec![3, 4]));
        assert_eq!(history.from(1, 2).1, 3);
        assert_eq!((numbers(&history, 9), history.from(9, 2).1), (vec![], 9));
    }

    #[test]
    fn what_is_too_much_or_says_nothing_later_is_told_and_forgotten() {
        let history = History::of(&Events::new());
        history.add(&mut (0..4).map(event).collect(), 3, false);
        let progress = Fact::ItemProgress { item: 0, done: 0.5, note: String::new() };
        history.add(&mut vec![Arc::new(Event { at: Duration::from_secs(4), fact: progress }), event(5)], 9, false);
        assert_eq!((numbers(&history, 0), numbers(&history, 4)), (vec![0, 1, 2, 3, 4, 5], vec![4, 5]));
        assert_eq!(history.inner().kept.len(), 4);
        history.add(&mut (0..RECENT as u64).map(event).collect(), 0, false);
        assert_eq!(numbers(&history, 0)[..6], [0, 1, 2, 5, 6, 7]);
        assert_eq!(history.picture().marks.len(), 4);
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
