//! How a run stands, made of its events and of what the run itself knows.

use convoke_runtime::admission::Standing as AccountStanding;
use convoke_runtime::event::AccountSample;
use convoke_runtime::money::Usd;
use convoke_runtime::pause::Standing;
use convoke_runtime::timeline::{Question, Timeline};

use super::protocol::{RunStatus, WorkerStatus};
use super::server::Served;

/// How it stands now.
pub(super) fn of(served: &Served) -> RunStatus {
    served.history.catch_up(false);
    let now = served.events.elapsed();
    let (mut status, has_ended) = served.history.look(|picture| {
        let until = picture.ended.as_ref().map_or(now, |ended| ended.at);
        let status = RunStatus {
            for_ms: picture.plan.as_ref().map_or(0, |plan| millis(until.saturating_sub(plan.at))),
            workers: workers(picture, now),
            ..of_picture(picture)
        };
        (status, picture.ended.is_some())
    });
    let seen = served.steering.seen();
    status.name.clone_from(&served.name);
    status.pid = std::process::id();
    let Some(seen) = seen else {
        let is_over = has_ended || served.steering.is_over();
        status.phase = if is_over { "over" } else { "waiting" }.to_owned();
        if let Some((by, at_once)) = served.steering.begins_paused() {
            (status.paused, status.at_once) = (Some(by), at_once);
        }
        return status;
    };
    status.census = seen.census;
    seen.mode.clone_into(&mut status.mode);
    status.stopping = seen.stopping;
    status.usd = seen.spending.usage.usd.dollars();
    status.uncertain_usd = seen.spending.uncertain.dollars();
    status.budget_usd = seen.budget.map(|budget| Usd::from_pico(budget.size).dollars());
    status.budget_left_usd = seen.budget.map(|budget| Usd::from_pico(budget.left()).dollars());
    status.accounts = seen.accounts.into_iter().map(account).collect();
    status.at_once = seen.pause == Standing::AtOnce;
    status.paused = seen.paused_by.filter(|_| seen.pause != Standing::GoesOn);
    for worker in &mut status.workers {
        worker.item = worker.item.take().and_then(|number| {
            let number: usize = number.parse().ok()?;
            seen.held.iter().find(|(held, _)| *held == number).map(|(_, id)| id.clone())
        });
    }
    status
}

fn of_picture(picture: &Timeline) -> RunStatus {
    let mut status = RunStatus {
        census: picture.census,
        in_flight: picture.in_flight(),
        waiting: picture.waiting(),
        phase: picture.phases.last().map(|phase| phase.phase.clone()).unwrap_or_default(),
        usd: picture.totals.usage.usd.dollars(),
        uncertain_usd: picture.totals.uncertain.dollars(),
        ..RunStatus::default()
    };
    if let Some(run) = &picture.run {
        status.run = Some(run.run.clone());
        status.command.clone_from(&run.command);
        status.subcommand.clone_from(&run.subcommand);
        status.project.clone_from(&run.project);
        status.mode.clone_from(&run.mode);
        status.backend.clone_from(&run.backend);
        status.started = Some(run.started);
        let left = |budget| picture.samples.last().and_then(|last| last.sample.usd_left(budget));
        status.budget_usd = run.budget.map(Usd::dollars);
        status.budget_left_usd = run.budget.and_then(left).map(Usd::dollars);
    }
    status
}

/// The workers that are there. Their items have their numbers for now.
fn workers(picture: &Timeline, now: std::time::Duration) -> Vec<WorkerStatus> {
    let there = picture.workers.iter().filter(|worker| worker.to.is_none());
    there
        .map(|worker| {
            let Some(hold) = worker.holds.last().filter(|hold| hold.to.is_none()) else {
                let since = worker.holds.last().and_then(|hold| hold.to).unwrap_or(worker.from);
                let for_ms = millis(now.saturating_sub(since));
                return WorkerStatus {
                    worker: worker.worker,
                    doing: "idle".to_owned(),
                    for_ms,
                    ..WorkerStatus::default()
                };
            };
            let is_its = |one: &&Question| one.to.is_none() && one.item.is_some() && one.item == hold.item;
            let question = picture.questions.iter().rev().find(is_its);
            let state = question.and_then(|question| Some((question.state()?, question.states.last()?.1)));
            let (doing, since) = state.map_or(("working", hold.from), |(state, since)| (state.name(), since));
            WorkerStatus {
                worker: worker.worker,
                item: hold.item.and_then(|place| picture.items.get(place)).map(|item| item.item.to_string()),
                label: Some(picture.label(hold.item)),
                doing: doing.to_owned(),
                for_ms: millis(now.saturating_sub(since)),
            }
        })
        .collect()
}

fn account((name, standing): (&'static str, AccountStanding)) -> AccountSample {
    AccountSample {
        account: name.into(),
        waiting: standing.waiting,
        in_flight: standing.in_flight,
        limit: standing.limit,
        idle: standing.idle,
        breaker: standing.breaker.into(),
        free: standing.free,
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use convoke_runtime::event::{BudgetSample, Event, Events, Fact, RunFacts, Sample};
    use convoke_runtime::question::Tier;
    use convoke_runtime::work::{Outcome, Status};
    use jiff::Timestamp;

    use super::*;
    use crate::control::history::History;

    fn facts() -> RunFacts {
        RunFacts {
            run: "run".to_owned(),
            command: "audit".to_owned(),
            subcommand: None,
            plugin: String::new(),
            version: String::new(),
            project: String::new(),
            mode: "balanced".to_owned(),
            backend: String::new(),
            instances: 8,
            budget: None,
            started: Timestamp::UNIX_EPOCH,
            continued: false,
            pid: 7,
        }
    }

    fn served() -> Served {
        let events = Events::new();
        let history = Arc::new(History::of(&events));
        Served { name: "audit".to_owned(), events, steering: Arc::default(), history }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_is_under_way_since_it_was_planned_and_until_its_end() {
        let (served, minute) = (served(), Duration::from_mins(1));
        // It waits for another one.
        tokio::time::advance(minute).await;
        assert_eq!(of(&served).for_ms, 0);
        served.events.tell(Fact::RunStarted(Box::new(facts()))).await;
        let (assessed_in, allocated_in) = (Duration::ZERO, Duration::ZERO);
        let planned = Fact::Planned { items: 2, cached: 0, workers: 1, assessed_in, allocated_in, expected: None };
        served.events.tell(planned).await;
        tokio::time::advance(2 * minute).await;
        assert_eq!(of(&served).for_ms, 120_000);
        let (census, status) = (Default::default(), Status::Completed);
        served.events.tell(Fact::Ended { census, status }).await;
        tokio::time::advance(minute).await;
        assert_eq!(of(&served).for_ms, 120_000);
    }

    #[tokio::test]
    async fn a_run_that_waits_says_that_it_begins_paused() {
        let served = served();
        served.steering.pause("ann", true).await.unwrap();
        let status = of(&served);
        assert_eq!((status.phase.as_str(), status.paused.as_deref(), status.at_once), ("waiting", Some("ann"), true));
        served.steering.resume("ann").await.unwrap();
        assert_eq!(of(&served).paused, None);
    }

    #[test]
    fn a_worker_is_told_by_what_its_question_is_in() {
        let mut picture = Timeline::default();
        let mut hear = |at, fact| picture.hear(&Event { at: Duration::from_secs(at), fact });
        let started = |worker, item: usize| Fact::ItemStarted {
            worker,
            item,
            id: String::new(),
            label: format!("item {item}"),
            group: None,
            attempt: 1,
        };
        (0..3).for_each(|worker| hear(0, Fact::WorkerStarted { worker, segment: "all".to_owned() }));
        hear(1, started(0, 7));
        hear(1, started(1, 8));
        let role = String::new();
        hear(2, Fact::QuestionQueued { question: 1, item: 7, role, tier: Tier::Speed });
        hear(4, Fact::QuestionWaits { question: 1, item: 7, reason: "quota".into(), lasts: None });
        let told: Vec<String> = workers(&picture, Duration::from_secs(10))
            .into_iter()
            .map(|one| format!("{} {} {}", one.item.unwrap_or_default(), one.doing, one.for_ms))
            .collect();
        assert_eq!(told, ["7 quota 6000", "8 working 9000", " idle 10000"]);
    }

    #[test]
    fn what_is_left_of_a_budget_is_what_was_told_last() {
        let mut picture = Timeline::default();
        let facts = RunFacts { budget: Some(Usd::from_dollars(10.0)), ..facts() };
        let spent = |spent| {
            let budgets = vec![BudgetSample { budget: "usd".into(), spent }];
            Fact::Sampled(Box::new(Sample { budgets, ..Sample::default() }))
        };
        for fact in [Fact::RunStarted(Box::new(facts)), spent(0.8), spent(0.85)] {
            picture.hear(&Event { at: Duration::ZERO, fact });
        }
        let status = of_picture(&picture);
        assert_eq!((status.budget_usd, status.budget_left_usd), (Some(10.0), Some(1.5)));
    }

    #[test]
    fn what_is_done_again_is_pending_and_what_was_broken_off_is_not_in_flight() {
        let mut picture = Timeline::default();
        let mut hear = |fact| picture.hear(&Event { at: Duration::from_secs(1), fact });
        let (assessed_in, allocated_in) = (Duration::ZERO, Duration::ZERO);
        hear(Fact::Planned { items: 2, cached: 0, workers: 1, assessed_in, allocated_in, expected: None });
        let was = Outcome::Failed("bad luck".to_owned());
        hear(Fact::ItemEnded { worker: None, item: 0, outcome: was.clone(), took: Duration::ZERO });
        hear(Fact::ItemReopened { item: 0, was, reason: "somebody wants it".to_owned() });
        let (model, backend) = ("m".to_owned(), "anthropic".into());
        hear(Fact::QuestionSent { question: 1, item: 0, model, backend, attempt: 1 });
        hear(Fact::QuestionWaits { question: 1, item: 0, reason: "pause".into(), lasts: None });
        let status = of_picture(&picture);
        assert_eq!((status.census.failed, status.census.pending), (0, 2));
        assert_eq!((status.in_flight, status.waiting), (0, 1));
    }
}
