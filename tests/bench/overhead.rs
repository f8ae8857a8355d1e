//! What convoke adds to a question: the same questions through bare `reqwest` and through each subject, in turns.
//!
//! 1,000 questions, 64 at once, answers that take 50 ms as a stream, from a stand-in in a process of its own. A pair is
//! one run of the peer and one of the subject, right after each other, so that what else the machine does hits both;
//! what counts is the median of the pairs' ratios. CPU time is that of this process and of the `convoke` it starts. Where
//! the machine is a virtual one, a pair in which its host gave the processors to others is said, and measured again.
//!
//! The subjects, each with all that the one before has: the backend; the broker, with somebody who listens to its events,
//! first without a journal, then with one on disk; the program, from its start to its end, with a plugin whose items ask
//! one question each; and the same with all that can watch it: metrics that are served and in a file, traces and logs that
//! go to a collector, a log file, and a page.
//!
//! `cargo bench -p convoke-tests --bench overhead -- [--questions 1000] [--at-once 64] [--latency 50] [--pairs 9]
//! [--only program]`
//!
//! Exits with 1 when a subject takes more than 1.15 times the peer's wall time.

mod built;
mod collector;
mod ledger;
mod program;
mod support;

use std::io::{self, BufRead, BufReader, Write};
use std::num::NonZero;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use convoke_runtime::admission::AdmissionConfig;
use convoke_runtime::backend::anthropic::Anthropic;
use convoke_runtime::backend::{Backend, Request};
use convoke_runtime::broker::{Asker, Broker, BrokerConfig, InMemory, Ledger};
use convoke_runtime::event::Events;
use convoke_runtime::journal::{Journal, RunId};
use convoke_runtime::question::Question;
use futures::StreamExt;
use futures::future::BoxFuture;
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use sse_stream::SseByteStream;

use collector::{Collector, become_one};
use ledger::JournalLedger;
use program::Convoke;
use support::{Failed, bounds_count, median};

/// What the peer and the subjects need.
#[derive(Clone)]
struct Setting {
    url: Arc<str>,
    questions: usize,
    at_once: usize,
    convoke: Arc<Convoke>,
    collector: Arc<Collector>,
}

/// What a run gave.
#[derive(Default)]
struct Gave {
    /// The bytes of all answers.
    bytes: usize,
    /// The wall time without start and end of the program.
    inside: Option<Duration>,
}

impl From<usize> for Gave {
    fn from(bytes: usize) -> Self {
        Self { bytes, inside: None }
    }
}

type Run = fn(&Setting) -> BoxFuture<'static, Result<Gave, Failed>>;

/// What is measured against the peer.
const SUBJECTS: [(&str, Run); 5] = [
    ("backend", |setting| Box::pin(backend(setting.url.clone(), setting.questions, setting.at_once))),
    ("unwritten", |setting| Box::pin(broker(setting.url.clone(), setting.questions, setting.at_once, false))),
    ("broker", |setting| Box::pin(broker(setting.url.clone(), setting.questions, setting.at_once, true))),
    ("program", |setting| Box::pin(whole(setting, false))),
    ("watched", |setting| Box::pin(whole(setting, true))),
];

/// As much wall time may a subject take, as a multiple of the peer's.
const ALLOWED: f64 = 1.15;

/// A pair says nothing when others had so much of the processors during one of its halves.
const STOLEN: f64 = 0.02;

/// So often a pair is measured again, for each one that is wanted.
const AGAIN: usize = 4;

const MODEL: &str = "claude-haiku-5-5";
const SYSTEM: &str = "You review agent definitions. Be brief.";

fn prompt(number: usize) -> String {
    format!("Review agent {number}. {}", "It reads files and says what is wrong with them. ".repeat(20))
}

/// Does `at_once` tasks that each take the next question until there are none.
async fn spread<F, T>(questions: usize, at_once: usize, worker: F) -> Result<Gave, Failed>
where
    F: Fn(Arc<AtomicUsize>) -> T,
    T: Future<Output = Result<usize, Failed>> + Send + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..at_once.min(questions)).map(|_| tokio::spawn(worker(Arc::clone(&next)))).collect();
    let mut bytes = 0;
    for worker in workers {
        bytes += worker.await??;
    }
    Ok(bytes.into())
}

/// The peer: `reqwest`, `sse-stream` and `serde_json`, and nothing around them.
async fn bare(url: Arc<str>, questions: usize, at_once: usize) -> Result<Gave, Failed> {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?;
    spread(questions, at_once, move |next| {
        let (client, url) = (client.clone(), Arc::clone(&url));
        async move {
            let mut bytes = 0;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= questions {
                    return Ok(bytes);
                }
                bytes += bare_question(&client, &url, number).await?.len();
            }
        }
    })
    .await
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    delta: Option<Delta>,
}

#[derive(Deserialize)]
struct Delta {
    text: Option<String>,
}

async fn bare_question(client: &reqwest::Client, url: &str, number: usize) -> Result<String, Failed> {
    let body = serde_json::json!({
        "model": MODEL, "max_tokens": 1_000, "stream": true, "system": [{"type": "text", "text": SYSTEM}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": prompt(number)}]}],
    });
    let response = client
        .post(format!("{url}/v1/messages"))
        .header("x-api-key", "bench")
        .header("anthropic-version", "2023-06-01")
        .header("content-type", "application/json")
        .body(serde_json::to_vec(&body)?)
        .send()
        .await?
        .error_for_status()?;
    let mut events = SseByteStream::new(response.bytes_stream());
    let (mut text, mut stopped) = (String::new(), false);
    while let Some(event) = events.next().await {
        let Some(data) = event?.data else { continue };
        let event: Event = serde_json::from_str(&data)?;
        stopped |= event.kind == "message_stop";
        text.extend(event.delta.and_then(|delta| delta.text));
    }
    if stopped { Ok(text) } else { Err("an answer without message_stop".into()) }
}

/// The backend `anthropic` for the stand-in.
fn anthropic(url: &str) -> Result<Anthropic, Failed> {
    let backend = Anthropic::from_environment(|name| match name {
        "ANTHROPIC_API_KEY" => Some("bench".to_owned()),
        "ANTHROPIC_BASE_URL" => Some(url.to_owned()),
        _ => None,
    });
    Ok(backend.ok_or("no key")??)
}

/// The backend `anthropic`, an instance for each at once.
async fn backend(url: Arc<str>, questions: usize, at_once: usize) -> Result<Gave, Failed> {
    let backend = Arc::new(anthropic(&url)?);
    spread(questions, at_once, move |next| {
        let backend = Arc::clone(&backend);
        async move {
            let mut request = Request {
                model: MODEL.into(),
                system: SYSTEM.into(),
                context: None,
                prompt: String::new(),
                schema: None,
                tools: vec![],
                mcp: None,
                max_output_tokens: 1_000,
                timeout: Duration::from_secs(120),
                stall: Duration::from_secs(30),
            };
            let mut instance = backend.start(&request.profile()).await?;
            let mut bytes = 0;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= questions {
                    return Ok(bytes);
                }
                request.prompt = prompt(number);
                bytes += instance.ask(&request, &mut |_| {}).await?.text.len();
            }
        }
    })
    .await
}

/// The broker and a listener, with a journal on disk or with a ledger that forgets.
async fn broker(url: Arc<str>, questions: usize, at_once: usize, written: bool) -> Result<Gave, Failed> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let journal = if written { Some(Journal::open(&folder.path().join("journal.db"))?) } else { None };
    let events = Events::new();
    let mut listener = events.listen();
    let listening = tokio::spawn(async move { while listener.recv().await.is_some() {} });
    let config = BrokerConfig {
        admission: AdmissionConfig { instances: at_once, ..AdmissionConfig::default() },
        ..BrokerConfig::default()
    };
    let ledger: Arc<dyn Ledger> = match &journal {
        Some(journal) => Arc::new(JournalLedger { journal: journal.clone(), run: RunId::new() }),
        None => Arc::new(InMemory::default()),
    };
    let broker = Arc::new(Broker::new(vec![Arc::new(anthropic(&url)?)], ledger, events, config));
    let gave = spread(questions, at_once, move |next| {
        let broker = broker.clone();
        async move {
            let mut bytes = 0;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= questions {
                    return Ok(bytes);
                }
                let item_id = Arc::from(format!("item-{number}"));
                let asker = Asker { command: Arc::from("bench"), item: number, item_id, again: false };
                let question = Question {
                    role: "code-reviewer".to_owned(),
                    system: Some(SYSTEM.to_owned()),
                    prompt: prompt(number),
                    max_output_tokens: Some(1_000),
                    repeatable: true,
                    ..Question::default()
                };
                bytes += broker.ask(&asker, question, &mut |_| {}).await?.text.len();
            }
        }
    })
    .await?;
    if let Some(journal) = journal {
        journal.flush().await?;
    }
    // It ends when the broker is gone, and the events with it.
    listening.await?;
    Ok(gave)
}

/// The program: the same questions, each asked by an item of a plugin, a worker for each at once.
///
/// `watched`: with all that can watch it.
fn whole(setting: &Setting, watched: bool) -> impl Future<Output = Result<Gave, Failed>> + use<> {
    let Setting { convoke, url, collector, questions, at_once } = setting.clone();
    async move {
        let report = tokio::task::spawn_blocking(move || {
            let (items, groups) = (questions.to_string(), at_once.to_string());
            let sized = ["--items", &items, "--groups", &groups, "--instances", &groups, "--mode", "performance"];
            let plugin = concat!(env!("CARGO_MANIFEST_DIR"), "/prebuilt/flood.wasm");
            convoke.run(&url, &[&[plugin][..], &sized].concat(), |command, folder| {
                if watched {
                    command.args(["--metrics-addr", "127.0.0.1:0", "--timings", "--log-format", "json"]);
                    command.arg("--metrics-file").arg(folder.join("metrics.prom"));
                    command.arg("--log-file").arg(folder.join("log.ndjson"));
                    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url).env("OTEL_LOGS_EXPORTER", "otlp");
                }
            })
        })
        .await??;
        let requests = report["usage"]["requests"].as_u64();
        if requests != Some(questions as u64) {
            return Err(format!("{requests:?} requests for {questions} questions").into());
        }
        let output = report["usage"]["output_tokens"].as_u64().and_then(|tokens| usize::try_from(tokens).ok());
        let inside = report["timing"]["wall_ms"].as_f64().map(|ms| Duration::from_secs_f64(ms / 1e3));
        Ok(Gave { bytes: output.unwrap_or(0), inside })
    }
}

/// A stand-in in a process of its own, ended when dropped.
struct Server {
    child: Child,
    /// Where it listens.
    url: Arc<str>,
}

impl Server {
    /// Starts one whose answers take so long, in milliseconds.
    fn start(latency: u64) -> Result<Self, Failed> {
        let mut child = Command::new(built::program("convoke-standin")?)
            .args(["--latency", &latency.to_string(), "--seed", "1"])
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or("no output")?;
        let mut server = Self { child, url: Arc::from("") };
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        server.url =
            line.trim().strip_prefix("listening on ").ok_or("the stand-in did not say where it listens")?.into();
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _: io::Result<()> = self.child.kill();
        let _: io::Result<_> = self.child.wait();
    }
}

/// The CPU time of this process and of its children that have ended, with all their threads.
///
/// That of the children is known on Linux only, in steps of 10 ms; elsewhere it is missing.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0)) + children().unwrap_or_default()
}

#[cfg(target_os = "linux")]
fn children() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may hold anything. `cutime` and `cstime` are the 16th and 17th field.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(13)?.parse::<u64>().ok()? + fields.get(14)?.parse::<u64>().ok()?;
    Some(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

#[cfg(not(target_os = "linux"))]
fn children() -> Option<Duration> {
    None
}

/// The time that the processors of all were kept from this virtual machine, since it began; none: it is not known.
#[cfg(target_os = "linux")]
fn stolen() -> Duration {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    // `cpu user nice system idle iowait irq softirq steal`
    let ticks = stat.lines().next().and_then(|line| line.split_whitespace().nth(8)?.parse::<u64>().ok());
    Duration::from_secs_f64(ticks.unwrap_or(0) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

#[cfg(not(target_os = "linux"))]
fn stolen() -> Duration {
    Duration::ZERO
}

struct Options {
    questions: usize,
    at_once: usize,
    latency: u64,
    pairs: usize,
    only: Option<String>,
}

impl Options {
    /// What is not an option of this benchmark is cargo's, and left alone.
    fn read() -> Result<Self, Failed> {
        let mut options = match bounds_count() {
            true => Self { questions: 1_000, at_once: 64, latency: 50, pairs: 9, only: None },
            false => Self { questions: 100, at_once: 16, latency: 5, pairs: 1, only: None },
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--questions" => options.questions = value()?.parse()?,
                "--at-once" => options.at_once = value()?.parse()?,
                "--latency" => options.latency = value()?.parse()?,
                "--pairs" => options.pairs = value()?.parse()?,
                "--only" => options.only = Some(value()?),
                _ => {}
            }
        }
        if options.questions == 0 || options.at_once == 0 || options.pairs == 0 {
            return Err("questions, at once and pairs must be above 0".into());
        }
        Ok(options)
    }
}

struct Measured {
    wall: f64,
    /// The share of the processors that others had meanwhile, where the machine is a virtual one.
    stolen: f64,
    /// CPU time a question, in microseconds.
    cpu: f64,
    inside: Option<f64>,
}

async fn measure(questions: usize, run: impl Future<Output = Result<Gave, Failed>>) -> Result<Measured, Failed> {
    let (wall, used, stolen) = (Instant::now(), cpu(), stolen());
    let gave = run.await?;
    let (wall, used, stolen) = (wall.elapsed(), cpu() - used, self::stolen().saturating_sub(stolen));
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    if gave.bytes == 0 {
        return Err("answers without text".into());
    }
    Ok(Measured {
        wall: wall.as_secs_f64(),
        stolen: stolen.as_secs_f64() / wall.as_secs_f64() / processors as f64,
        cpu: used.as_secs_f64() * 1e6 / questions as f64,
        inside: gave.inside.map(|inside| inside.as_secs_f64()),
    })
}

async fn compare(options: &Options, out: &mut impl Write) -> Result<bool, Failed> {
    let server = Server::start(options.latency)?;
    let Options { questions, at_once, latency, pairs, .. } = *options;
    let (convoke, collector) = (Arc::new(Convoke::new()?), Arc::new(Collector::start()?));
    let setting = Setting { url: server.url.clone(), questions, at_once, convoke, collector };
    let bound = questions.div_ceil(at_once) as f64 * latency as f64 / 1_000.0;
    writeln!(out, "{questions} questions, {at_once} at once, {latency} ms each: no less than {bound:.3} s")?;
    bare(setting.url.clone(), questions.min(at_once * 2), at_once).await?;
    let mut all_within = true;
    for (name, run) in SUBJECTS.iter().filter(|(name, _)| options.only.as_deref().is_none_or(|only| only == *name)) {
        // The first run of the program compiles the plugin.
        run(&Setting { questions: at_once, ..setting.clone() }).await?;
        writeln!(out, "\n{name}\n pair   bare s   subject s   ratio   bare CPU µs   subject CPU µs   without start s")?;
        let (mut ratios, mut inner, mut bare_cpu, mut subject_cpu) = (vec![], vec![], vec![], vec![]);
        let (mut pair, mut disturbed) = (0, 0);
        while ratios.len() < pairs {
            pair += 1;
            // Who goes first changes, so that neither always finds the machine warmer.
            let (peer, subject);
            if pair % 2 == 1 {
                peer = measure(questions, bare(setting.url.clone(), questions, at_once)).await?;
                subject = measure(questions, run(&setting)).await?;
            } else {
                subject = measure(questions, run(&setting)).await?;
                peer = measure(questions, bare(setting.url.clone(), questions, at_once)).await?;
            }
            let stolen = peer.stolen.max(subject.stolen);
            if stolen > STOLEN && disturbed < AGAIN * pairs {
                disturbed += 1;
                writeln!(out, "{pair:>5} again: others had {:.0} % of the processors", stolen * 100.0)?;
                continue;
            }
            let ratio = subject.wall / peer.wall;
            let inside = subject.inside.map_or_else(|| "-".to_owned(), |inside| format!("{inside:.3}"));
            writeln!(
                out,
                "{pair:>5} {:>8.3} {:>11.3} {ratio:>7.3} {:>13.0} {:>16.0} {inside:>17}",
                peer.wall, subject.wall, peer.cpu, subject.cpu
            )?;
            ratios.push(ratio);
            inner.extend(subject.inside.map(|inside| inside / peer.wall));
            bare_cpu.push(peer.cpu);
            subject_cpu.push(subject.cpu);
        }
        let ratio = median(ratios);
        let within = ratio <= ALLOWED;
        all_within &= within;
        let verdict = if within { "within" } else { "OVER" };
        let (own, peer) = (median(subject_cpu), median(bare_cpu));
        writeln!(
            out,
            "{name}: median ratio {ratio:.3}, {verdict} {ALLOWED}; CPU a question {own:.0} µs, bare {peer:.0} µs"
        )?;
        if disturbed == AGAIN * pairs {
            writeln!(
                out,
                "{name}: the machine was never its own for long; these numbers say more of it than of convoke"
            )?;
        }
        if !inner.is_empty() {
            writeln!(out, "{name}: median ratio {:.3} without its start and end", median(inner))?;
        }
    }
    Ok(all_within || !bounds_count())
}

fn main() -> ExitCode {
    // `reqwest` is built without a choice of its own.
    let _: Result<(), _> = rustls::crypto::ring::default_provider().install_default();
    if matches!(become_one(), Ok(true)) {
        return ExitCode::SUCCESS;
    }
    let result = Options::read().and_then(|options| {
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(compare(&options, &mut io::stdout()))
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // With stderr gone too, the exit code still tells.
            let _: io::Result<()> = writeln!(io::stderr(), "overhead: {error}");
            ExitCode::FAILURE
        }
    }
}
