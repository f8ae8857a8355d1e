//! What convoke adds to a question: the same questions through bare `reqwest` and through each subject, in turns.
//!
//! 1,000 questions, 64 at once, answers that take 50 ms as a stream, from a stand-in in a process of its own. A pair is
//! one run of the peer and one of the subject, right after each other, so that what else the machine does hits both;
//! what counts is the median of the pairs' ratios. CPU time is that of this process alone.
//!
//! `cargo bench -p convoke-tests --bench overhead -- [--questions 1000] [--at-once 64] [--latency 50] [--pairs 9]`
//!
//! Exits with 1 when a subject takes more than 1.15 times the peer's wall time.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use convoke_runtime::backend::anthropic::Anthropic;
use convoke_runtime::backend::{Backend, Request};
use futures::StreamExt;
use futures::future::BoxFuture;
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use sse_stream::SseByteStream;

type Failed = Box<dyn Error + Send + Sync>;
/// Asks so many questions of a URL, so many at once, and gives the bytes of all answers.
type Run = fn(url: Arc<str>, questions: usize, at_once: usize) -> BoxFuture<'static, Result<usize, Failed>>;

/// What is measured against the peer.
const SUBJECTS: [(&str, Run); 1] =
    [("anthropic backend", |url, questions, at_once| Box::pin(backend(url, questions, at_once)))];
/// As much wall time may a subject take, as a multiple of the peer's.
const ALLOWED: f64 = 1.15;

const MODEL: &str = "claude-haiku-5-5";
const SYSTEM: &str = "You review agent definitions. Be brief.";

fn prompt(number: usize) -> String {
    format!("Review agent {number}. {}", "It reads files and says what is wrong with them. ".repeat(20))
}

/// Does `at_once` tasks that each take the next question until there are none.
async fn spread<F, T>(questions: usize, at_once: usize, worker: F) -> Result<usize, Failed>
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
    Ok(bytes)
}

/// The peer: `reqwest`, `sse-stream` and `serde_json`, and nothing around them.
async fn bare(url: Arc<str>, questions: usize, at_once: usize) -> Result<usize, Failed> {
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

/// The backend `anthropic`, an instance for each at once.
async fn backend(url: Arc<str>, questions: usize, at_once: usize) -> Result<usize, Failed> {
    let backend = Anthropic::from_environment(|name| match name {
        "ANTHROPIC_API_KEY" => Some("bench".to_owned()),
        "ANTHROPIC_BASE_URL" => Some(url.to_string()),
        _ => None,
    });
    let backend = Arc::new(backend.ok_or("no key")??);
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

struct Options {
    questions: usize,
    at_once: usize,
    latency: u64,
    pairs: usize,
}

impl Options {
    /// What is not an option of this benchmark is cargo's, and left alone.
    fn read() -> Result<Self, Failed> {
        let mut options = Self { questions: 1_000, at_once: 64, latency: 50, pairs: 9 };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a number"));
            match word.as_str() {
                "--questions" => options.questions = value()?.parse()?,
                "--at-once" => options.at_once = value()?.parse()?,
                "--latency" => options.latency = value()?.parse()?,
                "--pairs" => options.pairs = value()?.parse()?,
                _ => {}
            }
        }
        if options.questions == 0 || options.at_once == 0 || options.pairs == 0 {
            return Err("questions, at once and pairs must be above 0".into());
        }
        Ok(options)
    }
}

/// A stand-in in a process of its own, ended when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _: io::Result<()> = self.0.kill();
        let _: io::Result<_> = self.0.wait();
    }
}

/// Builds the stand-in with the profile of this benchmark, and starts it.
fn server(latency: u64) -> Result<(Server, Arc<str>), Failed> {
    let bench = std::env::current_exe()?;
    let profile = bench.parent().and_then(Path::parent).ok_or("the benchmark is in no target folder")?;
    let target = profile.parent().ok_or("the benchmark is in no target folder")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--package", "convoke-standin", "--bin", "convoke-standin"]);
    build.arg("--target-dir").arg(target);
    if profile.ends_with("release") {
        build.arg("--release");
    }
    if !build.status()?.success() {
        return Err("the stand-in can't be built".into());
    }
    let mut child = Command::new(profile.join(format!("convoke-standin{}", std::env::consts::EXE_SUFFIX)))
        .args(["--latency", &latency.to_string(), "--seed", "1"])
        .stdout(Stdio::piped())
        .spawn()?;
    let out = child.stdout.take().ok_or("no output")?;
    let server = Server(child);
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    let url = line.trim().strip_prefix("listening on ").ok_or("the stand-in did not say where it listens")?;
    Ok((server, url.into()))
}

/// The CPU time of this process, of all its threads.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

struct Measured {
    wall: Duration,
    cpu: Duration,
    bytes: usize,
}

async fn measure(run: impl Future<Output = Result<usize, Failed>>) -> Result<Measured, Failed> {
    let (wall, used) = (Instant::now(), cpu());
    let bytes = run.await?;
    Ok(Measured { wall: wall.elapsed(), cpu: cpu() - used, bytes })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

async fn compare(options: &Options, out: &mut impl Write) -> Result<bool, Failed> {
    let (_server, url) = server(options.latency)?;
    let Options { questions, at_once, latency, pairs } = *options;
    let bound = questions.div_ceil(at_once) as f64 * latency as f64 / 1_000.0;
    writeln!(out, "{questions} questions, {at_once} at once, {latency} ms each: no less than {bound:.3} s")?;
    bare(Arc::clone(&url), questions.min(at_once * 2), at_once).await?;
    let mut all_within = true;
    for (name, run) in SUBJECTS {
        writeln!(out, "\n{name}\n pair   bare s   subject s   ratio   bare CPU µs   subject CPU µs")?;
        let (mut ratios, mut bare_cpu, mut subject_cpu) = (vec![], vec![], vec![]);
        for pair in 1..=pairs {
            // Who goes first changes, so that neither always finds the machine warmer.
            let (peer, subject);
            if pair % 2 == 1 {
                peer = measure(bare(Arc::clone(&url), questions, at_once)).await?;
                subject = measure(run(Arc::clone(&url), questions, at_once)).await?;
            } else {
                subject = measure(run(Arc::clone(&url), questions, at_once)).await?;
                peer = measure(bare(Arc::clone(&url), questions, at_once)).await?;
            }
            if peer.bytes == 0 || subject.bytes == 0 {
                return Err("answers without text".into());
            }
            let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / questions as f64;
            let ratio = subject.wall.as_secs_f64() / peer.wall.as_secs_f64();
            let (peer_cpu, own_cpu) = (each(peer.cpu), each(subject.cpu));
            let (peer_wall, own_wall) = (peer.wall.as_secs_f64(), subject.wall.as_secs_f64());
            writeln!(out, "{pair:>5} {peer_wall:>8.3} {own_wall:>11.3} {ratio:>7.3} {peer_cpu:>13.0} {own_cpu:>16.0}")?;
            ratios.push(ratio);
            bare_cpu.push(peer_cpu);
            subject_cpu.push(own_cpu);
        }
        let ratio = median(ratios);
        let within = ratio <= ALLOWED;
        all_within &= within;
        let verdict = if within { "within" } else { "OVER" };
        writeln!(
            out,
            "{name}: median ratio {ratio:.3}, {verdict} {ALLOWED}; CPU a question {:.0} µs, bare {:.0} µs",
            median(subject_cpu),
            median(bare_cpu)
        )?;
    }
    Ok(all_within)
}

fn main() -> ExitCode {
    // `reqwest` is built without a choice of its own.
    let _: Result<(), _> = rustls::crypto::ring::default_provider().install_default();
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
