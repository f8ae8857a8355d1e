//! What it costs the run to tell a fact while everybody listens: the journal's recorder, metrics that are served, alerts,
//! traces and logs that go to a collector, a log file, the control socket, the terminal's lines, the audit log and the
//! hours of the report.
//!
//! The lives of questions are told, batch by batch, and a pause after each: as much as some thousand questions a minute
//! would tell. What counts is what `tell` takes of its caller's time: the median over the batches. Beside it stand the
//! same without anybody who listens, and the processor time of the whole process for each event, consumers included.
//!
//! `cargo bench -p convoke-tests --bench publish -- [--rounds 400]`
//!
//! Exits with 1 when telling takes more than a microsecond, or when a consumer has not heard all of it.

mod collector;
mod rounds;
mod support;

use std::fs::{self, File};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use convoke::audit::watch::Watch;
use convoke::audit::{Audit, Trail};
use convoke::config::project::Project;
use convoke::config::user::User;
use convoke::config::{Choices, Paths, Settings};
use convoke::logs::Wish;
use convoke::metrics;
use convoke::observe::{Observers, Run, Runs, Wanted};
use convoke::progress::{Detail, Show, show};
use convoke::run::steer::Steering;
use convoke_runtime::event::{AttemptEnd, Event, Events, Fact, RunFacts, Settled};
use convoke_runtime::journal::{Digest, Journal, RunId, RunRecord, Told};
use convoke_runtime::money::Usd;
use convoke_runtime::question::{Tier, Usage};
use convoke_runtime::timeline::timesheet::Timesheet;
use convoke_runtime::work::Outcome;
use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use collector::{Collector, become_one};
use rounds::rounds;
use support::{Failed, bounds_count, median};

/// Names the folder, in the process that measures.
const FOLDER: &str = "CONVOKE_BENCH_FOLDER";

/// So many questions a batch.
const QUESTIONS: usize = 50;

/// After each batch: consumers look from time to time.
const PAUSE: Duration = Duration::from_millis(20);

/// So long may telling a fact take, in microseconds.
const ALLOWED: f64 = 1.0;

/// The life of a question, and of the item that asks it.
fn life(number: usize) -> [Fact; 9] {
    let (item, question) = (number, number as u64);
    let model = || "claude-haiku-5-5".to_owned();
    let usage = Usage {
        requests: 1,
        input_tokens: 1_200,
        output_tokens: 400,
        usd: Usd::from_dollars(0.003_2),
        ..Usage::default()
    };
    let after = Duration::from_millis(800);
    [
        Fact::ItemStarted {
            worker: number % 8,
            item,
            id: format!("agents/{number}.md"),
            label: format!("agents/{number}.md"),
            group: Some("agents".to_owned()),
            attempt: 1,
        },
        Fact::QuestionQueued { question, item, role: "reviewer".to_owned(), tier: Tier::Speed },
        Fact::QuestionWaits { question, item, reason: "limit".into(), lasts: None },
        Fact::QuestionSent { question, item, model: model(), backend: "anthropic".into(), attempt: 1 },
        Fact::QuestionStarted { question, item, after },
        Fact::QuestionProgress { question, item, tokens_per_second: Some(80), tool: None },
        Fact::AttemptEnded(Box::new(AttemptEnd {
            question,
            item,
            attempt: 1,
            model: model(),
            usage,
            ..AttemptEnd::default()
        })),
        Fact::QuestionSettled(Box::new(Settled {
            question,
            item,
            by: "model".to_owned(),
            role: "reviewer".to_owned(),
            model: model(),
            backend: "anthropic".into(),
            attempts: 1,
            usage,
            queued: Duration::from_millis(40),
            took: Duration::from_secs(2),
            ..Settled::default()
        })),
        Fact::ItemEnded { worker: Some(number % 8), item, outcome: Outcome::Done, took: Duration::from_secs(2) },
    ]
}

fn begun(run: RunId) -> Fact {
    Fact::RunStarted(Box::new(RunFacts {
        run: run.to_string(),
        command: "bench".to_owned(),
        subcommand: None,
        plugin: "bench".to_owned(),
        version: "0.1.0".to_owned(),
        project: "/bench".to_owned(),
        mode: "balanced".to_owned(),
        backend: "anthropic".to_owned(),
        instances: 8,
        budget: None,
        started: Timestamp::now(),
        continued: false,
        pid: std::process::id(),
    }))
}

/// What a batch takes, in microseconds for each of its facts; told to these streams, one after the other.
async fn batch<const N: usize>(streams: [&Events; N], number: usize) -> [f64; N] {
    let mut took = [0.0; N];
    for (events, took) in streams.into_iter().zip(&mut took) {
        let facts: Vec<Fact> = (0..QUESTIONS).flat_map(|next| life(number * QUESTIONS + next)).collect();
        let (count, began) = (facts.len(), Instant::now());
        for fact in facts {
            events.tell(fact).await;
        }
        *took = began.elapsed().as_secs_f64() * 1e6 / count as f64;
    }
    took
}

fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// Has everybody listen in this process, and measures.
async fn measure(folder: &Path) -> Result<bool, Failed> {
    let rounds = rounds(400)?;
    let folder_of = |name: &str| folder.join(name);
    let paths = Paths { config: folder_of("config"), data: folder_of("data"), cache: folder_of("cache") };
    for path in [&paths.config, &paths.data, &paths.cache] {
        fs::create_dir_all(path)?;
    }
    let trail = Trail::begin(Audit::of(&paths), "bench");
    let run = trail.run().ok_or("there is no audit log")?;
    let journal = Journal::open(&folder_of("journal.db"))?;
    journal
        .begin_run(RunRecord {
            id: run,
            command: "bench".to_owned(),
            subcommand: None,
            plugin_name: "bench".to_owned(),
            plugin_version: "0.1.0".to_owned(),
            plugin_digest: Digest::of(b"bench").to_string(),
            arguments: serde_json::json!({}),
            project: "/bench".to_owned(),
            mode: "balanced".to_owned(),
            backend: "anthropic".to_owned(),
            started: Timestamp::now(),
            typed: None,
        })
        .await?;

    let (events, unheard) = (Events::new(), Events::new());
    let log = folder_of("log.ndjson");
    let format = Some(convoke::logs::Format::Json);
    Wish { format, file: Some(log.clone()), level: Some("info".to_owned()) }.begin(|_| None)?;
    let audited = Watch::begin(&trail, &events);
    let settings = Settings::put_together(User::default(), Project::default(), Choices::default());
    let steering = std::sync::Arc::<Steering>::default();
    let watched = Run {
        name: "bench",
        command: "bench",
        project: Path::new("/bench"),
        events: &events,
        journal: &journal,
        steering: &steering,
        settings: &settings,
    };
    let numbers = folder_of("metrics.prom");
    let metrics = metrics::Wanted::open(Some((Ipv4Addr::LOCALHOST, 0).into()), Some(numbers.clone()))?;
    let runs = Runs { runs: vec![watched], common: None, paths: Some(&paths) };
    let (mut observers, said) = Observers::begin(&runs, Wanted { metrics });
    let shown = show(&events, Show::Plain, Detail { logs: true, color: false, unicode: true });
    let mut hours = events.listen();
    let over = tokio_util::sync::CancellationToken::new();
    let until = over.clone();
    let sheet = tokio::spawn(async move {
        let (mut sheet, mut told) = (Timesheet::default(), Vec::<std::sync::Arc<Event>>::new());
        while hours.look(Duration::from_millis(250), &until, &mut told).await {
            told.drain(..).for_each(|event| sheet.hear(&event));
        }
    });
    events.tell(begun(run)).await;

    let (mut heard, mut alone) = (Vec::new(), Vec::new());
    let before = cpu();
    for number in 0..rounds {
        let [with, without] = batch([&events, &unheard], number).await;
        heard.push(with);
        alone.push(without);
        tokio::time::sleep(PAUSE).await;
    }
    let facts = (rounds * QUESTIONS * life(0).len()) as f64;
    let spent = (cpu() - before) / facts;

    shown.end().await;
    over.cancel();
    sheet.await?;
    let mut said: Vec<String> = said.into_iter().chain(observers.ended(&[]).await).collect();
    said.extend(observers.close().await);
    drop(audited);
    journal.flush().await?;
    let (told, _) = journal.told(&run).await?;
    check(&said, rounds * QUESTIONS, &told, &numbers, &log)?;

    let most = heard.iter().copied().fold(0.0, f64::max);
    let (heard, alone) = (median(heard), median(alone));
    let mut out = std::io::stdout().lock();
    writeln!(out, "telling a fact, medians of {rounds} batches of {}", QUESTIONS * life(0).len())?;
    writeln!(out, "  nobody listens        {alone:>7.3} µs")?;
    writeln!(out, "  everybody listens     {heard:>7.3} µs, at most {ALLOWED:.3} (slowest batch {most:.3})")?;
    writeln!(out, "  processor time        {spent:>7.3} µs a fact, of all who listen too")?;
    Ok(heard <= ALLOWED || !bounds_count())
}

/// Whether all have heard it to its end.
fn check(said: &[String], questions: usize, told: &[Told], numbers: &Path, log: &Path) -> Result<(), Failed> {
    if let Some(said) = said.first() {
        return Err(said.clone().into());
    }
    let numbers = fs::read_to_string(numbers)?;
    let settled = numbers.lines().filter(|line| line.starts_with("convoke_questions_settled_total{"));
    let settled: f64 = settled.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
    if settled != questions as f64 {
        return Err(format!("of {questions} questions the numbers have {settled}").into());
    }
    let ends = |event: &Event| matches!(event.fact, Fact::ItemEnded { .. });
    let kept = told.iter().flat_map(|told| &told.events).filter(|event| ends(event)).count();
    if kept != questions {
        return Err(format!("of {questions} items the journal has the end of {kept}").into());
    }
    let lines = fs::read_to_string(log)?.lines().count();
    if lines < questions {
        return Err(format!("the log of {questions} items has {lines} lines").into());
    }
    Ok(())
}

fn main() -> Result<ExitCode, Failed> {
    if become_one()? {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(folder) = std::env::var_os(FOLDER) {
        let within = tokio::runtime::Runtime::new()?.block_on(measure(Path::new(&folder)))?;
        return Ok(if within { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let collector = Collector::start()?;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let lines = folder.path().join("lines.txt");
    // In a process of its own: what the terminal would show goes to a file.
    let status = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(FOLDER, folder.path())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)
        .env("OTEL_LOGS_EXPORTER", "otlp")
        .stderr(Stdio::from(File::create(&lines)?))
        .status()?;
    if !status.success() {
        let said = fs::read_to_string(&lines)?;
        std::io::stderr().write_all(said.lines().last().unwrap_or_default().as_bytes())?;
    }
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
