//! The numbers as the text that Prometheus reads: format 0.0.4, base units, every name with its help and type.

use std::time::Duration;

use convoke_runtime::levels::Level;
use prometheus::core::{MetricVec, MetricVecBuilder};
use prometheus::{Counter, CounterVec, Gauge, GaugeVec, Opts, Registry, Result, TextEncoder};

use super::Watched;
use super::figures::{Asking, Figures, PHASES};

/// What stands before every name.
const NAMESPACE: &str = "convoke";

/// The type of the text.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A row: the values of its labels, and its number.
type Row<'a> = (Vec<&'a str>, f64);

/// A run, its name and how long ago its stream began.
type Run<'a> = (&'a str, &'a Figures, Duration);

/// All numbers.
///
/// # Errors
/// None that could be caused; the type is that of the library.
pub(super) fn text(watched: &Watched) -> Result<String> {
    let sheet = Sheet(Registry::new());
    let runs: Vec<Run<'_>> =
        watched.runs.iter().map(|run| (run.name.as_str(), &run.figures, run.events.elapsed())).collect();
    of_runs(&sheet, &runs)?;
    of_items(&sheet, &runs)?;
    of_questions(&sheet, &runs)?;
    of_spending(&sheet, &runs)?;
    of_the_process(&sheet, watched)?;
    watched.times.register(&sheet.0)?;
    TextEncoder::new().encode_to_string(&sheet.0.gather())
}

struct Sheet(Registry);

impl Sheet {
    /// Numbers that go up and down. No rows: it is left out.
    fn gauge<'a>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        rows: impl IntoIterator<Item = Row<'a>>,
    ) -> Result<()> {
        let gauge = GaugeVec::new(opts(name, help), labels)?;
        fill(&gauge, rows, Gauge::set)?;
        self.0.register(Box::new(gauge))
    }

    /// Numbers that only grow. Each is added once, so that it is exactly what was counted.
    fn counter<'a>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        rows: impl IntoIterator<Item = Row<'a>>,
    ) -> Result<()> {
        let counter = CounterVec::new(opts(name, help), labels)?;
        fill(&counter, rows, Counter::inc_by)?;
        self.0.register(Box::new(counter))
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(NAMESPACE)
}

/// Gives each row's number to the metric that its values name.
fn fill<'a, B: MetricVecBuilder>(
    metric: &MetricVec<B>,
    rows: impl IntoIterator<Item = Row<'a>>,
    give: impl Fn(&B::M, f64),
) -> Result<()> {
    for (values, number) in rows {
        give(&metric.get_metric_with_label_values(&values)?, number);
    }
    Ok(())
}

fn of_runs(sheet: &Sheet, runs: &[Run<'_>]) -> Result<()> {
    let each = |number: fn(&Figures, Duration) -> Option<f64>| {
        runs.iter().filter_map(move |(name, figures, now)| Some((vec![*name], number(figures, *now)?)))
    };
    let about = runs.iter().filter_map(|(name, figures, _)| {
        let about = figures.about.as_ref()?;
        Some((vec![*name, &about.plugin, &about.version, &about.mode, &about.backend], 1.0))
    });
    let labels = ["command", "plugin", "version", "mode", "backend"];
    sheet.gauge("run_info", "What runs: its labels say it, and its value is 1.", &labels, about)?;
    let status = runs.iter().map(|(name, figures, _)| {
        let status = match (&figures.about, figures.status) {
            (_, Some(status)) => status.name(),
            (Some(_), None) => "running",
            (None, None) => "waiting",
        };
        (vec![*name, status], 1.0)
    });
    sheet.gauge("run_status", "How a run stands: 1 for what it is.", &["command", "status"], status)?;
    let level = runs.iter().map(|(name, figures, _)| (vec![*name, figures.level.unwrap_or(Level::Full).name()], 1.0));
    sheet.gauge("run_level", "How a run goes on: 1 for what it is.", &["command", "level"], level)?;
    let one = ["command"];
    let help = "Whether a run is paused: 1 or 0.";
    sheet.gauge("run_paused", help, &one, each(|figures, _| Some(f64::from(u8::from(figures.paused)))))?;
    sheet.gauge(
        "run_start_time_seconds",
        "When a run began, since the Unix epoch.",
        &one,
        each(|figures, _| Some(figures.about.as_ref()?.started.as_millisecond() as f64 / 1_000.0)),
    )?;
    sheet.gauge(
        "run_duration_seconds",
        "From the beginning of a run to its end, or to now; its plan was made before.",
        &one,
        each(|figures, now| Some(figures.lasted(now)?.as_secs_f64())),
    )?;
    let phases = runs.iter().flat_map(|(name, figures, now)| {
        let took = PHASES.into_iter().zip(figures.phases(*now));
        took.filter_map(|(phase, took)| Some((vec![*name, phase], took?.as_secs_f64())))
    });
    sheet.gauge(
        "run_phase_duration_seconds",
        "How long a phase took, or takes so far: assess makes the plan, allocate deals its items to workers.",
        &["command", "phase"],
        phases,
    )?;
    let workers = runs.iter().flat_map(|(name, figures, _)| {
        let (busy, idle) = figures.workers();
        [(vec![*name, "busy"], busy as f64), (vec![*name, "idle"], idle as f64)]
    });
    sheet.gauge("workers", "The workers that run, by whether they have an item.", &["command", "state"], workers)?;
    sheet.counter(
        "workers_started_total",
        "Workers that were started.",
        &one,
        each(|figures, _| Some(figures.workers_started as f64)),
    )?;
    sheet.counter(
        "workers_died_total",
        "Workers that died; their items went to others.",
        &one,
        each(|figures, _| Some(figures.workers_died as f64)),
    )?;
    sheet.gauge(
        "worker_utilisation_ratio",
        "The share of the workers' time in which they had an item.",
        &one,
        each(Figures::utilisation),
    )?;
    sheet.counter(
        "worker_work_seconds_total",
        "How long workers had items in their hands, all together; items that are under way are left out.",
        &one,
        each(|figures, _| Some(figures.work().as_secs_f64())),
    )?;
    sheet.gauge(
        "parallel_share_ratio",
        "The share of the duration in which two workers or more had an item.",
        &one,
        each(Figures::parallel),
    )?;
    sheet.gauge(
        "speedup_ratio",
        "The work of all workers together, divided by the duration of the run.",
        &one,
        each(Figures::speedup),
    )
}

fn of_items(sheet: &Sheet, runs: &[Run<'_>]) -> Result<()> {
    let census = runs.iter().flat_map(|(name, figures, _)| {
        figures.census().into_iter().map(|(outcome, count)| (vec![*name, outcome], count as f64))
    });
    sheet.gauge(
        "items",
        "The work items of a run by how they stand. They add up to all of them.",
        &["command", "outcome"],
        census,
    )?;
    let count =
        |number: fn(&Figures) -> u64| runs.iter().map(move |(name, figures, _)| (vec![*name], number(figures) as f64));
    let one = ["command"];
    sheet.counter(
        "item_cache_hits_total",
        "Items that an earlier run has done.",
        &one,
        count(|figures| figures.census().iter().filter(|(name, _)| *name == "cached").map(|(_, count)| *count).sum()),
    )?;
    let help = "Items that were given back because their worker died or they failed in a way that passes.";
    sheet.counter("items_returned_total", help, &one, count(|figures| figures.returned))?;
    let help = "Items that failed twice in the same words, and are not tried again.";
    sheet.counter("items_quarantined_total", help, &one, count(|figures| figures.quarantined))
}

fn of_questions(sheet: &Sheet, runs: &[Run<'_>]) -> Result<()> {
    let now = runs.iter().flat_map(|(name, figures, _)| {
        let states = Asking::ALL.into_iter().zip(figures.questions());
        states.map(|((_, state), count)| (vec![*name, state], count as f64))
    });
    sheet.gauge(
        "questions",
        "The questions that are under way, by what goes on with them.",
        &["command", "state"],
        now,
    )?;
    let settled = || runs.iter().flat_map(|(name, figures, _)| figures.settled.iter().map(move |one| (*name, one)));
    sheet.counter(
        "questions_settled_total",
        "Questions that have ended: by model, cache or fallback, dropped, or the kind of failure.",
        &["command", "backend", "outcome"],
        settled().map(|(name, ((by, backend), count))| (vec![name, backend.as_str(), by.as_str()], *count as f64)),
    )?;
    let cached = runs.iter().map(|(name, figures, _)| {
        let hits = figures.settled.iter().filter(|((by, _), _)| by == "cache").map(|(_, count)| *count);
        (vec![*name], hits.sum::<u64>() as f64)
    });
    let help = "Questions that an earlier answer was given to.";
    sheet.counter("answer_cache_hits_total", help, &["command"], cached)?;
    let retries = runs.iter().flat_map(|(name, figures, _)| {
        figures.retries.iter().map(|(kind, count)| (vec![*name, kind.as_str()], *count as f64))
    });
    let help = "Attempts that failed and were followed by another one, by the kind of failure.";
    sheet.counter("question_retries_total", help, &["command", "kind"], retries)?;
    let hedges = runs.iter().map(|(name, figures, _)| (vec![*name], figures.hedges as f64));
    sheet.counter(
        "question_hedges_total",
        "Questions that were asked a second time beside the first.",
        &["command"],
        hedges,
    )
}

fn of_spending(sheet: &Sheet, runs: &[Run<'_>]) -> Result<()> {
    let spent = || {
        runs.iter().flat_map(|(name, figures, _)| figures.spent.iter().map(move |(asked, took)| (*name, asked, took)))
    };
    let asked = ["command", "backend", "model"];
    let requests = spent().map(|(name, asked, took)| {
        (vec![name, asked.backend.as_str(), asked.model.as_str()], f64::from(took.usage.requests))
    });
    sheet.counter("requests_total", "Requests that were sent, retries included.", &asked, requests)?;
    let tokens = spent().flat_map(|(name, asked, took)| {
        let usage = &took.usage;
        [
            ("input", usage.input_tokens),
            ("output", usage.output_tokens),
            ("cache_read", usage.cache_read_tokens),
            ("cache_write", usage.cache_write_tokens),
        ]
        .map(|(kind, count)| (vec![name, asked.backend.as_str(), asked.model.as_str(), kind], count as f64))
    });
    let help = "Tokens as the provider counted them; of the input those that the prompt cache had, or got, are apart.";
    sheet.counter("tokens_total", help, &["command", "backend", "model", "kind"], tokens)?;
    let billing = |notional| if notional { "notional" } else { "billed" };
    let labels = ["command", "backend", "model", "billing"];
    let dollars = |amount: fn(&super::figures::Took) -> f64| {
        spent().map(move |(name, asked, took)| {
            let values = vec![name, asked.backend.as_str(), asked.model.as_str(), billing(asked.notional)];
            (values, amount(took))
        })
    };
    let help = "US dollars at list price, as far as they are known; notional ones a subscription pays.";
    sheet.counter("cost_dollars_total", help, &labels, dollars(|took| took.usage.usd.dollars()))?;
    let help = "What requests that broke off may have cost beyond that, at most.";
    sheet.counter("cost_uncertain_dollars_total", help, &labels, dollars(|took| took.uncertain.dollars()))
}

fn of_the_process(sheet: &Sheet, watched: &Watched) -> Result<()> {
    let build = [(vec![env!("CARGO_PKG_VERSION")], 1.0)];
    sheet.gauge("build_info", "Which convoke this is: its label says it, and its value is 1.", &["version"], build)?;
    if let Some(sample) = &watched.sample {
        let each = |number: fn(&convoke_runtime::event::AccountSample) -> usize| {
            sample.accounts.iter().map(move |one| (vec![one.account.as_ref()], number(one) as f64))
        };
        let one = ["backend"];
        sheet.gauge("queue_length", "Questions that wait for admission.", &one, each(|account| account.waiting))?;
        sheet.gauge("permits_in_use", "Questions that are in flight.", &one, each(|account| account.in_flight))?;
        sheet.gauge("permits_limit", "How many may be in flight.", &one, each(|account| account.limit))?;
        sheet.gauge("instances_idle", "Instances that wait for a question.", &one, each(|account| account.idle))?;
        let breakers = sample.accounts.iter().flat_map(|account| {
            ["closed", "half-open", "open"]
                .map(|state| (vec![account.account.as_ref(), state], f64::from(u8::from(account.breaker == state))))
        });
        let help = "How the breaker of a backend stands: 1 for what it is.";
        sheet.gauge("breaker_state", help, &["backend", "state"], breakers)?;
        let quotas = sample.accounts.iter().flat_map(|account| {
            let kinds = ["requests", "input_tokens", "output_tokens"].into_iter().zip(account.free);
            kinds.filter_map(|(kind, free)| Some((vec![account.account.as_ref(), kind], free? as f64)))
        });
        let help = "What the account's quota a minute has left; below zero where more was used than was reserved.";
        sheet.gauge("quota_left", help, &["backend", "kind"], quotas)?;
        let budgets = sample.budgets.iter().map(|budget| (vec![budget.budget.as_ref()], budget.spent));
        sheet.gauge("budget_spent_ratio", "The share of a budget that is spent.", &["budget"], budgets)?;
        let retries = [(Vec::new(), f64::from(sample.retries_left))];
        sheet.gauge("retries_left", "How many retries all runs of the process have left together.", &[], retries)?;
        let machine = |share: Option<f64>| share.map(|share| (Vec::new(), share));
        sheet.gauge("machine_cpu_ratio", "The share of the processors in use.", &[], machine(sample.cpu))?;
        sheet.gauge("machine_memory_ratio", "The share of the memory in use.", &[], machine(sample.memory))?;
    }
    let opened = [(Vec::new(), watched.breaker_opened as f64)];
    sheet.counter("breaker_opened_total", "How often a breaker opened.", &[], opened)?;
    let stands = watched.alerts.iter().map(|(alert, seen)| (vec![alert.as_str()], f64::from(u8::from(seen.stands))));
    sheet.gauge("alert_active", "Whether an alert stands: 1 or 0.", &["alert"], stands)?;
    let raised = watched.alerts.iter().map(|(alert, seen)| (vec![alert.as_str()], seen.raised as f64));
    sheet.counter("alerts_total", "Alerts that were raised.", &["alert"], raised)?;
    let heard = [(Vec::new(), watched.heard as f64)];
    sheet.counter("events_total", "Events that these numbers are made of.", &[], heard)?;
    let lost = watched.runs.iter().map(|run| run.events.lost()).sum::<u64>();
    let help = "Events that nobody heard of, because a consumer was too far behind: only such as may be lost.";
    sheet.counter("events_lost_total", help, &[], [(Vec::new(), lost as f64)])?;
    let behind = [(Vec::new(), watched.behind as f64)];
    sheet.gauge(
        "events_behind",
        "Events that were told and not yet counted when these numbers were asked for.",
        &[],
        behind,
    )
}
