//! The four phases of a command: assess, allocate, execute, aggregate.

pub mod aggregate;
pub mod allocate;
pub mod answers;
pub mod arms;
pub mod assess;
pub mod beside;
mod ended;
pub mod execute;
mod explain;
pub(crate) mod fault;
mod hours;
pub(crate) mod ledger;
pub mod money;
pub mod orders;
pub mod resume;
mod sampling;
mod seat;
mod shared;
pub mod since;
pub mod size;
pub mod steer;
pub mod together;
pub(crate) mod tried;
mod verify;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoke_runtime::backend::Backend;
use convoke_runtime::board::{Board, BoardError, Nesting};
use convoke_runtime::broker::{Broker, BrokerConfig, Lanes};
use convoke_runtime::event::{Events, Fact, RunFacts};
use convoke_runtime::journal::{
    ItemKey, ItemRecord, Journal, JournalError, Reusable, RunId, RunRecord, Typed, Written,
};
use convoke_runtime::machine::Meter;
use convoke_runtime::money::Usd;
use convoke_runtime::shared::claims::Claims;
use convoke_runtime::work::{Census, Outcome, Status};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backends::tiers::names;
use crate::config::{Limits, Settings};
use crate::history::History;
use crate::history::anomalies::Took;
use crate::history::forecast::{Forecast, Now};
use crate::plugin::inspect::Inspected;
use crate::plugin::operations::Operations;
use crate::plugin::sandbox::Sandbox;
use crate::report::suppress::Filters;
use crate::report::{AlertInfo, Report};
use allocate::{Allocated, allocate};
use answers::{Answers, Asks, Prompt, Rehearsal};
use arms::Arms;
use assess::{AssessError, Assessed, Identity, assess};
use beside::{Beside, Looking};
pub use ended::rules_of;
use execute::{Stop, execute};
use hours::Hours;
use ledger::JournalLedger;
use orders::Orders;
use resume::{Kept, Resume};
use sampling::Sampling;
use shared::{End, Ended, Shared};
use since::Since;
use size::Sized;
use steer::Steering;
use tried::Tried;

/// One execution of one command: everything that it is made of.
pub struct Session {
    /// What the user typed: `agent-audit`.
    pub command: String,
    /// The plugin.
    pub plugin: Inspected,
    /// Where it runs.
    pub sandbox: Sandbox,
    /// What keys are made of.
    pub identity: Identity,
    /// What earlier runs did, and this one does.
    pub journal: Journal,
    /// What the user set.
    pub settings: Settings,
    /// Who answers, in the order in which the broker's route names them.
    pub backends: Vec<Arc<dyn Backend>>,
    /// How questions are asked.
    pub broker: BrokerConfig,
    /// Where everything is told.
    pub events: Events,
    /// What measures the machine.
    pub meter: Arc<Meter>,
    /// Only what has changed since.
    pub since: Option<Since>,
    /// Nothing that was done before counts.
    pub fresh: bool,
    /// What the user typed; none: it can't be continued.
    pub typed: Option<Typed>,
    /// Whether it is said of each item why it is done.
    pub explain: bool,
    /// The run that goes on; none: a new one begins.
    pub resume: Option<Resume>,
    /// Whether all of the project is looked at.
    pub whole_project: bool,
    /// What may be done at once.
    pub operations: Operations,
    /// What other hosts do in this project; none: it does not matter.
    pub claims: Option<Arc<Claims>>,
    /// What it shares with runs beside it, which ends with the last of them; none: it runs alone.
    pub lanes: Option<Arc<Lanes>>,
    /// Who is asked in place of the broker; none: nobody.
    pub asks: Option<Arc<dyn Asks>>,
    /// By which it can be changed while it goes on.
    pub steering: Arc<Steering>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no plan.
    #[error(transparent)]
    Assess(#[from] AssessError),
    /// The plan contradicts itself.
    #[error("the plan can't be carried out: {0}")]
    Plan(#[from] BoardError),
    /// A replay has no record of what its plan needs.
    #[error("the plan needs what was not recorded: {0}")]
    NotRecorded(String),
    /// It can't be written down what is done.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// A plan with its price, before anything is asked.
pub struct Planned {
    /// What is to be done.
    pub assessed: Assessed,
    /// Who does it.
    pub allocated: Allocated,
    /// How long it took to make the plan, and to deal its items.
    pub took: (Duration, Duration),
    /// The runs before it.
    pub history: History,
}

impl Planned {
    /// What it will probably take, by what the same took before. None: too little is known of that.
    pub fn forecast(&self, asks: bool) -> Option<Forecast> {
        self.history.forecast(self.now(asks)?)
    }

    /// How many items there are, the conclusion among them.
    pub fn items(&self) -> usize {
        let work = &self.assessed.work;
        work.items.len() + usize::from(work.conclusion.is_some())
    }

    /// What is about to run. None: there is nothing to do.
    fn now(&self, asks: bool) -> Option<Now> {
        let conclusion = usize::from(self.assessed.work.conclusion.is_some());
        let items = match self.assessed.to_do().count() {
            0 => return None,
            items => items + conclusion,
        };
        Some(Now { items, workers: self.allocated.segments.len(), asks })
    }
}

impl Session {
    /// The first two phases.
    ///
    /// # Errors
    /// When there is no plan.
    pub async fn plan(&self) -> Result<Planned, RunError> {
        let began = Instant::now();
        let mut assessed =
            assess(&self.command, &self.sandbox, &self.identity, &self.journal, self.since.as_ref(), self.fresh)
                .await?;
        let missed = self.sandbox.take_missed();
        if !missed.is_empty() {
            return Err(RunError::NotRecorded(missed.join(", ")));
        }
        if let Some(resume) = &self.resume {
            resume.look(&mut assessed, &self.sandbox.project).await.map_err(AssessError::from)?;
        }
        assessed.explained = self.explained(&assessed).await?;
        let made = Instant::now();
        let sized = size::size(self, &assessed).await;
        let planned = self.deal(assessed, sized)?;
        let took = (made - began, made.elapsed());
        self.steering.planned(&self.settings.limits, self.settings.mode, planned.assessed.to_do().count());
        let mode = self.settings.mode.name();
        let history = History::of(&self.journal, &self.command, &self.identity, mode).await;
        Ok(Planned { took, history, ..planned })
    }

    /// The second phase alone, for so many workers.
    ///
    /// # Errors
    /// When the plan contradicts itself.
    pub fn deal(&self, assessed: Assessed, sized: Sized) -> Result<Planned, RunError> {
        let route = self.has_model().then_some(&self.broker.route);
        let allocated = allocate(&assessed, sized, route, &self.broker.prices);
        // What the board would refuse is refused before anything is spent.
        self.board(&assessed, &allocated)?;
        let took = (Duration::ZERO, Duration::ZERO);
        Ok(Planned { assessed, allocated, took, history: History::default() })
    }

    /// The last two phases. The report is made whatever happens to the items.
    ///
    /// # Errors
    /// When the run can't be written down at all.
    pub async fn run(&self, planned: Planned, filters: &Filters, stop: &Stop) -> Result<Report, RunError> {
        let done = self.carry_out(planned, filters, stop).await;
        // Also one that could not begin.
        self.steering.detach();
        done
    }

    async fn carry_out(&self, planned: Planned, filters: &Filters, stop: &Stop) -> Result<Report, RunError> {
        let began = Instant::now();
        let (id, started) = match &self.resume {
            Some(resume) => (resume.detail.row.run.id, resume.detail.row.run.started),
            None => {
                let id = self.sandbox.outside.trail.run().unwrap_or_else(RunId::new);
                (id, to_the_microsecond(Timestamp::now()))
            }
        };
        let expected = planned.now(self.has_model()).and_then(|now| planned.history.expected(now));
        let items = planned.items();
        let Planned { assessed, allocated, took, history } = planned;
        let (unmetered, arms, tried) = (Arc::default(), Arc::default(), Arc::default());
        let broker = Box::new(self.broker(&id, &self.journal, &unmetered, &arms, &tried));
        let answers = match &self.asks {
            Some(asks) => Answers::Through(broker, asks.clone()),
            None => Answers::Broker(broker),
        };
        let shared =
            self.shared(id, started, &assessed, &allocated, self.journal.clone(), answers, &self.events, tried).await?;
        let cached = assessed.cached();
        let Assessed { work, reusable, kept, explained, .. } = assessed;
        let hours = Hours::begin(&self.events);
        self.tell_begin(&id, started).await;
        self.tell_plan(items, cached, &allocated, (took, expected)).await;
        let conclusion = work.conclusion.clone();
        let written = match &self.resume {
            Some(_) => self.journal.written(&id).await?,
            None => HashMap::new(),
        };
        self.steering.attach(&shared, self.settings.mode).await;
        let looking = Looking::begin(&shared);
        let sampling = Sampling::begin(&shared, self.meter.clone());
        let going = fault::guarded(async {
            keep(&shared, kept, written).await;
            use_again(&shared, reusable).await;
            self.events.tell(Fact::PhaseStarted { phase: "execute".into() }).await;
            let executed = execute(&shared, &self.sandbox, &allocated.segments, stop).await;
            shared.close_beside().await;
            self.events.tell(Fact::PhaseStarted { phase: "aggregate".into() }).await;
            self.aggregate(&shared, work, executed, &allocated, filters, (began, started), stop).await
        });
        let concluding = conclusion.as_ref().map(|item| item.id.clone());
        let mut report = match going.await {
            Ok(report) => report,
            Err(said) => self.wreck(&shared, conclusion, &allocated, filters, (began, started), said).await,
        };
        report.timing.tell(&report.workers, &hours.end().await);
        for note in report.notes.iter_mut().filter(|note| concluding.is_some() && note.item == concluding) {
            note.concludes = true;
        }
        let uncertain = shared.answers.broker().spending().uncertain;
        report.warnings.extend(money::unmetered_warning(unmetered.load(Ordering::Relaxed), uncertain));
        report.warnings.extend(arms.warnings());
        report.explain = Some(self.sums(explain::with_beside(explained, &shared.done_beside())));
        report.continuable = self.typed.is_some();
        if let Some(resume) = &self.resume {
            resume.add_to(&mut report, &self.backends);
        }
        report.comparison = self.broker.route.ab.map(|test| arms.compare(&test, &report.findings));
        self.compare(&mut report, &history).await;
        if self.lanes.is_none() {
            shared.answers.broker().close().await;
        }
        if let Err(error) = self.journal.end_run(&id, report.status, report.census, Timestamp::now()).await {
            // All that was done is in the journal; only that the run has ended is not.
            let lost = if error.is_storage() { ", nor what its last questions have cost" } else { "" };
            report.degrade(format!("the end of the run could not be written down{lost}: {error}"));
        }
        self.steering.detach();
        report.controls = self.steering.controls();
        looking.end().await;
        sampling.end();
        self.events.judged().await;
        report.alerts = self.events.end_alerts().iter().map(AlertInfo::of).collect();
        self.events.tell(report.ended()).await;
        Ok(report)
    }

    /// Says what the run took unusually much of, beside the last ones like it.
    async fn compare(&self, report: &mut Report, history: &History) {
        // One that did not go to its end in one go is like no other.
        if self.resume.is_some() || !matches!(report.status, Status::Completed | Status::Degraded) {
            return;
        }
        let usd = Usd::from_dollars(report.cost.usd + report.cost.uncertain_usd);
        let wall = Duration::from_millis(report.timing.wall_ms);
        let workers = report.workers.len() as u64;
        report.anomalies = history.anomalies(&Took { census: report.census, wall, usd, workers });
        for anomaly in &report.anomalies {
            self.events.tell(Fact::Warned { message: anomaly.message.clone() }).await;
            report.warnings.push(anomaly.message.clone());
        }
    }

    /// Writes down that a run stands worse than `before`, when it ended: [`Report::degrade`] was called since.
    pub async fn amend(&self, report: &mut Report, before: Status) {
        let Ok(id) = report.run.id.parse() else { return };
        if report.status == before {
            return;
        }
        if let Err(error) = self.journal.amend_end(&id, report.status).await {
            report.degrade(format!("that the run is {} could not be written down: {error}", report.status.name()));
        }
    }

    /// Runs the plugin without asking anybody, and without leaving a trace: what would be sent.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn rehearse(&self, planned: &Planned) -> Result<Vec<Prompt>, RunError> {
        let journal = Journal::in_memory()?;
        let (id, started, tried) = (RunId::new(), Timestamp::now(), Arc::default());
        let answers = Answers::Rehearsal(Box::new(Rehearsal::new(
            self.broker(&id, &journal, &Arc::default(), &Arc::default(), &tried),
            self.broker.route.clone(),
            self.broker.scan,
        )));
        let shared = self
            .shared(id, started, &planned.assessed, &planned.allocated, journal, answers, &Events::new(), tried)
            .await?;
        use_again(&shared, planned.assessed.reusable.clone()).await;
        execute(&shared, &self.sandbox, &planned.allocated.segments, &Stop::default()).await;
        match &shared.answers {
            Answers::Rehearsal(rehearsal) => Ok(rehearsal.prompts()),
            Answers::Broker(_) | Answers::Through(..) => Ok(Vec::new()),
        }
    }

    /// Whether any model can be asked.
    pub fn has_model(&self) -> bool {
        self.backends.iter().any(|backend| backend.has_model())
    }

    /// The backends' names, as reports show them.
    pub fn backend_names(&self) -> String {
        names(&self.backends)
    }

    fn broker(
        &self,
        id: &RunId,
        journal: &Journal,
        unmetered: &Arc<AtomicU64>,
        arms: &Arc<Arms>,
        tried: &Arc<Tried>,
    ) -> Broker {
        let (unmetered, arms, tried) = (unmetered.clone(), arms.clone(), tried.clone());
        let keeps_decisions = self.settings.policy.record;
        let ledger = JournalLedger { journal: journal.clone(), run: *id, unmetered, arms, tried, keeps_decisions };
        let config = BrokerConfig { run: Arc::from(id.to_string()), ..self.broker.clone() };
        let broker = match &self.lanes {
            Some(lanes) => Broker::sharing(lanes.clone(), Arc::new(ledger), self.events.clone(), config),
            None => Broker::new(self.backends.clone(), Arc::new(ledger), self.events.clone(), config),
        };
        let meter = self.meter.clone();
        broker.lanes().watch_machine(Arc::new(move || meter.in_a_run()));
        broker
    }

    /// Writes down that the run begins, and with which items.
    #[expect(clippy::too_many_arguments, reason = "a run and its rehearsal differ in each of them")]
    async fn shared(
        &self,
        id: RunId,
        started: Timestamp,
        assessed: &Assessed,
        allocated: &Allocated,
        journal: Journal,
        answers: Answers,
        events: &Events,
        tried: Arc<Tried>,
    ) -> Result<Arc<Shared>, RunError> {
        let mut board = self.board(assessed, allocated)?;
        board.set_partial_failure(answers.broker().lanes().policy().in_force().profile.recover.partial);
        let going_on = self.resume.as_ref().filter(|_| matches!(answers, Answers::Broker(_)));
        match going_on {
            Some(resume) => journal.reopen(resume.reopening(assessed)).await?,
            None => self.begin(&journal, id, started, assessed).await?,
        }
        Ok(Arc::new(Shared {
            board: Mutex::new(board),
            changed: Notify::new(),
            stirred: Notify::new(),
            ended: Mutex::default(),
            aside: Mutex::default(),
            conclusion: Mutex::default(),
            journal,
            run: id,
            command: Arc::from(self.command.as_str()),
            identity: self.identity.clone(),
            beside: matches!(answers, Answers::Broker(_)).then(|| self.beside()).flatten(),
            answers,
            events: events.clone(),
            tried,
            orders: Orders::default(),
        }))
    }

    /// Writes down that a run begins, and with which items.
    async fn begin(
        &self,
        journal: &Journal,
        id: RunId,
        started: Timestamp,
        assessed: &Assessed,
    ) -> Result<(), JournalError> {
        let run = RunRecord {
            id,
            command: self.command.clone(),
            subcommand: self.identity.subcommand.clone(),
            plugin_name: self.plugin.manifest.name.clone(),
            plugin_version: self.plugin.manifest.version.to_string(),
            plugin_digest: self.plugin.digest.clone(),
            arguments: self.identity.arguments.clone(),
            project: self.identity.project.clone(),
            mode: self.settings.mode.name().to_owned(),
            backend: self.backend_names(),
            started,
            typed: self.typed.clone(),
        };
        let items = assessed.work.items.iter().zip(&assessed.keys).enumerate();
        let records = items
            .map(|(ordinal, (item, key))| ItemRecord {
                id: item.id.clone(),
                label: item.label.clone(),
                key: *key,
                ordinal,
                parent: None,
            })
            .collect();
        // Written in this order, and mostly together: one wait for the disk.
        let (begun, routed, added) = tokio::join!(
            journal.begin_run(run),
            journal.record_route(&id, self.identity.route.clone()),
            journal.record_items(&id, records),
        );
        begun.and(routed).and(added)
    }

    fn beside(&self) -> Option<Beside> {
        let claims = self.claims.clone()?;
        Some(Beside {
            claims,
            project: self.sandbox.project.clone(),
            uses: !self.fresh,
            closed: tokio::sync::Mutex::default(),
            left: Notify::new(),
            done: Mutex::default(),
        })
    }

    fn board(&self, assessed: &Assessed, allocated: &Allocated) -> Result<Board, BoardError> {
        let Limits { depth, width, .. } = self.settings.limits;
        let board = Board::of(assessed.work.items.clone(), &allocated.segments)?;
        Ok(board.nesting(Nesting { depth: depth as usize, width: width as usize }))
    }

    async fn tell_begin(&self, id: &RunId, started: Timestamp) {
        let facts = RunFacts {
            run: id.to_string(),
            command: self.command.clone(),
            subcommand: self.identity.subcommand.clone(),
            plugin: self.plugin.manifest.name.clone(),
            version: self.plugin.manifest.version.to_string(),
            project: self.identity.project.clone(),
            mode: self.settings.mode.name().to_owned(),
            backend: self.backend_names(),
            instances: self.settings.limits.instances as usize,
            budget: self.broker.budget.config().usd,
            started,
            continued: self.resume.is_some(),
            pid: std::process::id(),
        };
        self.events.tell(Fact::RunStarted(Box::new(facts))).await;
    }

    async fn tell_plan(
        &self,
        items: usize,
        cached: usize,
        allocated: &Allocated,
        ((assessed_in, allocated_in), expected): ((Duration, Duration), Option<Duration>),
    ) {
        let workers = allocated.segments.len();
        self.events.tell(Fact::Planned { items, cached, workers, assessed_in, allocated_in, expected }).await;
        if let Some(decided) = &allocated.decided {
            self.events.tell(size::told(decided, allocated.segments.len())).await;
        }
    }

    /// A conclusion over the same whole that still stands.
    async fn concluded_before(&self, key: &ItemKey) -> Option<Reusable> {
        if self.fresh {
            return None;
        }
        // Without an answer of the journal it is concluded again.
        let found = self.journal.reusable(key, &self.identity.project).await.ok()?;
        for earlier in found {
            if earlier.is_fresh(Timestamp::now())
                && self.sandbox.project.still_holds(&earlier.reads).await.is_ok_and(|changes| changes.is_empty())
            {
                return Some(earlier);
            }
        }
        None
    }
}

/// As the journal keeps it, so that a run that goes on has begun when it began.
fn to_the_microsecond(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// What stands of a run that goes on: `written` has the journal's word for it, by the items' ids.
async fn keep(shared: &Shared, kept: Kept, mut written: HashMap<String, Written>) {
    for (number, end) in kept.ends {
        let Some(item) = shared.board().item(number).cloned() else { continue };
        let Some(word) = written.remove(&item.id) else { continue };
        let ended = Ended { partial: end.partial, reads: end.reads, log: end.log };
        let (outcome, attempts) = (word.outcome().clone(), end.attempts);
        // Nobody holds anything yet: it can't fail.
        if shared.board().keep(number, word.into(), attempts).is_ok() {
            let took = Duration::ZERO;
            shared.make_known(None, End { number, item, outcome, ended, took, attempts, reused: end.reused }).await;
        }
    }
}

/// Ends the items that earlier runs have done, all at once: the journal writes them together.
async fn use_again(shared: &Shared, reusable: HashMap<usize, Reusable>) {
    let ends = reusable.into_iter().map(|(number, earlier)| {
        let ended = Ended { partial: Some(earlier.partial), reads: earlier.reads, log: String::new() };
        shared.settle(number, Outcome::Cached, ended, Some(earlier.run))
    });
    futures::future::join_all(ends).await;
}

/// The count of a plan's items, before anything runs.
pub fn census(planned: &Planned) -> Census {
    let reusable = &planned.assessed.reusable;
    let outcomes: Vec<Outcome> = (0..planned.assessed.work.items.len())
        .map(|number| match planned.assessed.kept.ends.get(&number) {
            Some(end) => end.outcome.clone(),
            None if reusable.contains_key(&number) => Outcome::Cached,
            None => Outcome::Pending,
        })
        .collect();
    Census::of(&outcomes)
}
