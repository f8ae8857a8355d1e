//! What is done for a request.

use super::protocol::{Answer, Changed, Request, Wish};
use super::server::Served;
use super::status;
use crate::config::Mode;
use crate::config::limits::check_instances;
use crate::report::clean;
use crate::run::orders::{self, Called};
use crate::run::steer::{Change, Refused, Share};
use crate::run::together::shares;

/// The fewest digits by which a run is named.
const DIGITS: usize = 4;

/// The longest name that is shown in an error, in characters.
const LONGEST: usize = 100;

impl From<Refused> for Answer {
    fn from(refused: Refused) -> Self {
        Self::refused(refused.message, refused.hint)
    }
}

/// The runs that are meant.
///
/// # Errors
/// There is no such run in this process.
pub(super) fn meant<'a>(all: &'a [Served], name: Option<&str>) -> Result<Vec<&'a Served>, Answer> {
    let Some(name) = name else { return Ok(all.iter().collect()) };
    let is_meant = |served: &&Served| {
        let is_run = served
            .history
            .run()
            .is_some_and(|run| run == name || (name.len() >= DIGITS && run.ends_with(&name.to_ascii_lowercase())));
        is_run || served.name == name
    };
    let found: Vec<&Served> = all.iter().filter(is_meant).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let shown = clean::line(&clean::bounded(name, LONGEST));
    Err(Answer::refused(format!("this process has no run {shown}"), Some(named(all))))
}

/// Does it. `by`: who wishes it.
pub(super) async fn answer(all: &[Served], request: &Request, by: &str) -> Answer {
    let mut runs = match meant(all, request.run.as_deref()) {
        Ok(runs) => runs,
        Err(answer) => return answer,
    };
    if !matches!(request.wish, Wish::Status | Wish::Events { .. }) {
        // Nothing can be changed in those that have ended.
        runs.retain(|served| !served.steering.is_over());
        if runs.is_empty() {
            return Refused::over().into();
        }
    }
    let done = match &request.wish {
        // Events are a stream of answers: the server has them.
        Wish::Status | Wish::Events { .. } => Ok(Vec::new()),
        Wish::Pause { now } => each(&runs, &Steered::Pause(*now), by).await,
        Wish::Resume => each(&runs, &Steered::Resume, by).await,
        Wish::Limit { set } => match check_instances(*set) {
            Ok(()) => change(all, &runs, Change::Limit(*set), by).await,
            Err(error) => Err(Answer::refused(error, None)),
        },
        Wish::Mode { set } => match set.parse::<Mode>() {
            Ok(mode) => change(all, &runs, Change::Mode(mode), by).await,
            Err(error) => Err(Answer::refused(error.to_string(), None)),
        },
        Wish::Cancel { item } => wish(&runs, orders::Wish::Cancel, item, by).await,
        Wish::Requeue { item } => wish(&runs, orders::Wish::Requeue, item, by).await,
    };
    let changed = match done {
        Ok(changed) => changed,
        Err(answer) => return answer,
    };
    let runs = if request.wish == Wish::Status { runs.into_iter().map(status::of).collect() } else { Vec::new() };
    Answer { ok: true, pid: Some(std::process::id()), changed, runs, ..Answer::default() }
}

/// A change of each run.
async fn each(runs: &[&Served], wish: &Steered, by: &str) -> Result<Vec<Changed>, Answer> {
    let mut changed = Vec::new();
    for served in runs {
        let done = match wish {
            Steered::Pause(now) => served.steering.pause(by, *now).await,
            Steered::Resume => served.steering.resume(by).await,
        };
        changed.push((*served, done));
    }
    became_of(changed)
}

/// What became of each. One that has ended meanwhile is left out.
///
/// # Errors
/// Nothing could be done.
fn became_of(done: Vec<(&Served, Result<String, Refused>)>) -> Result<Vec<Changed>, Answer> {
    let (mut changed, mut refused) = (Vec::new(), None);
    for (served, done) in done {
        match done {
            Ok(done) => changed.push(became(served, done)),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match refused {
        Some(refused) if changed.is_empty() => Err(refused.into()),
        _ => Ok(changed),
    }
}

enum Steered {
    Pause(bool),
    Resume,
}

fn became(served: &Served, became: String) -> Changed {
    Changed { run: served.history.run(), name: served.name.clone(), became }
}

/// Questions in flight are counted together, workers by run: each gets its share.
async fn change(all: &[Served], runs: &[&Served], change: Change, by: &str) -> Result<Vec<Changed>, Answer> {
    if runs.iter().any(|served| served.steering.is_news(change)) {
        for served in runs {
            if served.steering.change_of_all(by, change).await {
                break;
            }
        }
    }
    let most = change.most() as usize;
    let wanted: Vec<usize> = runs.iter().map(|served| served.steering.open().max(1)).collect();
    // A run alone may use what comes later: items can add items.
    let shares = if runs.len() == 1 { vec![most] } else { shares(&wanted, most) };
    let is_alone = all.iter().filter(|served| !served.steering.is_over()).count() == 1;
    let mut done = Vec::new();
    for (served, share) in runs.iter().zip(shares) {
        let share = Share { workers: share.max(1), is_alone };
        done.push((*served, served.steering.change(by, change, share).await));
    }
    became_of(done)
}

/// An item is looked for in all runs.
async fn wish(runs: &[&Served], wish: orders::Wish, item: &Called, by: &str) -> Result<Vec<Changed>, Answer> {
    let having: Vec<&&Served> = runs.iter().filter(|served| served.steering.has(item)).collect();
    let served = match (having.as_slice(), runs) {
        ([served], _) => **served,
        ([], [only]) => *only,
        ([], _) => {
            let shown = clean::line(&clean::bounded(&item.to_string(), LONGEST));
            return Err(Answer::refused(format!("no run of this process has an item {shown}"), None));
        }
        (several, _) => {
            let names: Vec<&str> = several.iter().map(|served| served.name.as_str()).collect();
            let message = format!("several runs of this process have it: {}", names.join(", "));
            return Err(Answer::refused(message, Some("name the run with --run".to_owned())));
        }
    };
    Ok(vec![became(served, served.steering.wish(by, wish, item).await?)])
}

/// The runs of the process, for a hint.
fn named(all: &[Served]) -> String {
    let names: Vec<String> = all
        .iter()
        .map(|served| match served.history.run() {
            Some(run) => format!("{} ({run})", served.name),
            None => served.name.clone(),
        })
        .collect();
    format!("it has {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use convoke_runtime::broker::BrokerConfig;
    use convoke_runtime::event::Events;

    use super::*;
    use crate::config::Limits;
    use crate::control::history::History;
    use crate::run::steer::fixture::{Shared, begin, broker, shared};

    fn served(name: &str) -> Served {
        let events = Events::new();
        let history = Arc::new(History::of(&events));
        Served { name: name.to_owned(), events, steering: Arc::default(), history }
    }

    /// One with so many items that goes on, until what comes with it is dropped.
    async fn live(name: &str, items: usize) -> (Served, Arc<Shared>) {
        let served = served(name);
        let run = shared(items, &served.events, broker(&served.events, BrokerConfig::default()));
        begin(&served.steering, &run).await;
        (served, run)
    }

    async fn asked(all: &[Served], wish: Wish, run: Option<&str>) -> Answer {
        answer(all, &Request { wish, run: run.map(str::to_owned), client: None }, "ann").await
    }

    /// What became of which.
    fn changed(answer: &Answer) -> Vec<(&str, &str)> {
        assert!(answer.ok, "{answer:?}");
        answer.changed.iter().map(|changed| (changed.name.as_str(), changed.became.as_str())).collect()
    }

    #[tokio::test]
    async fn runs_that_have_ended_are_left_out_and_refused_where_they_are_named() {
        let ((one, gone), (other, _other)) = (live("one", 3).await, live("other", 3).await);
        let all = [one, other];
        drop(gone);
        let answer = asked(&all, Wish::Status, None).await;
        let phases: Vec<&str> = answer.runs.iter().map(|run| run.phase.as_str()).collect();
        assert_eq!(phases, ["over", ""]);
        let answer = asked(&all, Wish::Pause { now: false }, None).await;
        assert_eq!(changed(&answer), [("other", "paused; what is under way ends")]);
        for wish in [Wish::Resume, Wish::Limit { set: 4 }, Wish::Mode { set: "safe".to_owned() }] {
            let answer = asked(&all, wish, Some("one")).await;
            assert_eq!((answer.ok, answer.error.as_deref()), (false, Some("the run has ended")));
        }
    }

    #[tokio::test]
    async fn a_limit_is_dealt_among_those_that_go_on() {
        let ((one, gone), (other, left)) = (live("one", 3).await, live("other", 3).await);
        let (third, _third) = live("third", 10).await;
        let all = [one, other, third];
        let answer = asked(&all, Wish::Limit { set: 4 }, None).await;
        let said = |workers| format!("at most 4 questions in flight in all runs, and {workers} here");
        let (two, one) = (said("2 workers"), said("1 worker"));
        assert_eq!(changed(&answer), [("one", two.as_str()), ("other", one.as_str()), ("third", one.as_str())]);
        drop((gone, left));
        let answer = asked(&all, Wish::Limit { set: 4 }, None).await;
        assert_eq!(changed(&answer), [("third", "at most 4 questions in flight, and 4 workers")]);
    }

    #[tokio::test]
    async fn the_limit_of_one_of_several_is_that_of_all_their_questions() {
        let ((one, _one), (other, _other)) = (live("one", 3).await, live("other", 3).await);
        let answer = asked(&[one, other], Wish::Limit { set: 4 }, Some("one")).await;
        assert_eq!(changed(&answer), [("one", "at most 4 questions in flight in all runs, and 4 workers here")]);
    }

    #[tokio::test]
    async fn what_a_mode_gives_is_dealt_among_all_and_one_that_waits_gets_its_share() {
        let ((one, first), (other, _other)) = (live("one", 20).await, live("other", 20).await);
        let waits = served("waits");
        waits.steering.planned(&Limits::of(Mode::Balanced), Mode::Balanced, 20);
        let all = [one, other, waits];
        let answer = asked(&all, Wish::Mode { set: "performance".to_owned() }, None).await;
        let became = changed(&answer);
        let said = |workers| {
            format!("mode performance; at most 10 questions in flight in all runs, and {workers} workers here;")
        };
        assert!(became[0].1.starts_with(&said(4)) && became[1].1.starts_with(&said(3)), "{became:?}");
        assert!(became[0].1.contains("the policy has the numbers of the mode for all runs"), "{became:?}");
        assert_eq!((became[2], first.board().wants_more_workers()), (("waits", "it begins in mode performance"), 4));
        let late = shared(20, &all[2].events, broker(&all[2].events, BrokerConfig::default()));
        begin(&all[2].steering, &late).await;
        assert_eq!(late.board().wants_more_workers(), 3);
    }
}
