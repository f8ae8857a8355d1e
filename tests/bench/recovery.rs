//! How soon work goes on when who did it has died: instances that are killed, and workers that trap.
//!
//! An instance is a shell script that speaks as `claude` does, under the warden of the real binary. Each question is asked
//! of one instance, which begins to answer and is killed; the question goes to the warm one beside it, and another one is
//! started in that place, no more than ten a second. The clock runs from the kill, so that what the kernel takes to tell
//! of it counts too.
//!
//! A worker is a sandbox whose plugin panics on every item, in a run of the real binary. The journal has when the first
//! worker of an item was gone, and when a second one had it: that one is a new worker, since each dies of its item.
//!
//! `cargo bench -p convoke-tests --bench recovery -- [--rounds 1000]`
//!
//! Exits with 1 when a p99 is over its bound: 100 ms until it can be dispatched again, 500 ms until it runs again.

mod built;
mod rounds;
mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use convoke_runtime::admission::AdmissionConfig;
use convoke_runtime::backend::claude_cli::{ClaudeCli, ClaudeConfig};
use convoke_runtime::breaker::BreakerConfig;
use convoke_runtime::broker::{Asker, Broker, BrokerConfig, InMemory};
use convoke_runtime::event::Events;
use convoke_runtime::journal::Journal;
use convoke_runtime::limiter::LimiterConfig;
use convoke_runtime::question::{Question, StreamEvent};
use convoke_runtime::retry::RetryConfig;
use convoke_runtime::warden::tree;

use built::program;
use rounds::rounds;
use support::{Failed, bounds_count, median};

/// Until it can be dispatched again, in milliseconds.
const DISPATCHABLE: f64 = 100.0;
/// Until it runs again.
const RUNNING: f64 = 500.0;

/// Answers a question that holds `die` once with a first sign and then with silence, and everything else at once.
const SCRIPT: &str = r#"#!/bin/sh
say() { printf '%s\n' "$1"; }
event() { say '{"type":"stream_event","parent_tool_use_id":null,"event":'"$1"'}'; }
result() { say '{"type":"result","subtype":"success","is_error":false,"result":"'"$1"'","num_turns":'"$2"',"usage":{"input_tokens":10,"output_tokens":2}}'; }
read -r line
say '{"type":"control_response","response":{"subtype":"success","request_id":"initialize","response":{}}}'
while read -r line; do
    case "$line" in
        *'"/clear"'*) say '{"type":"conversation_reset","trigger":"clear"}'; result "" 0; continue ;;
    esac
    dies=
    case "$line" in *die*) mkdir "FOLDER/died" 2>/dev/null && dies=1 && echo $$ > "FOLDER/pid" ;; esac
    say '{"type":"system","subtype":"init","tools":[],"mcp_servers":[],"permissionMode":"dontAsk"}'
    event '{"type":"message_start","message":{"model":"claude-haiku-5-5","usage":{"input_tokens":10,"output_tokens":1}}}'
    [ -n "$dies" ] && exec sleep 1000
    event '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'
    event '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"yes"}}'
    event '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}'
    result yes 1
done
"#;

/// Times in milliseconds, from the shortest to the longest.
struct Times(Vec<f64>);

impl Times {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    /// The value that so large a share of the others do not exceed.
    fn percentile(&self, share: f64) -> f64 {
        let place = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(place.clamp(1, self.0.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
    }

    /// A line of the table; whether it is within its bound.
    fn show(&self, what: &str, allowed: f64, out: &mut impl Write) -> Result<bool, Failed> {
        let (p50, [p99, most]) = (median(self.0.clone()), [0.99, 1.0].map(|share| self.percentile(share)));
        let count = self.0.len();
        writeln!(out, "{what:<46} {count:>5} {p50:>9.2} {p99:>9.2} {most:>9.2} {allowed:>9.0}")?;
        Ok(p99 <= allowed)
    }
}

/// A broker over fake instances, two of them at most.
fn broker(folder: &Path, warden: PathBuf) -> Result<Broker, Failed> {
    let script = folder.join("claude");
    fs::write(&script, SCRIPT.replace("FOLDER", folder.to_str().ok_or("the folder is not UTF-8")?))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let mut claude = ClaudeConfig::new(script, warden, folder.join("records"));
    claude.env = vec![
        ("PATH".into(), std::env::var_os("PATH").unwrap_or_default()),
        ("ANTHROPIC_API_KEY".into(), "bench".into()),
    ];
    // So many deaths would be a reason to ask less, and then to stop asking.
    let limiter = LimiterConfig { least: 2, ..LimiterConfig::default() };
    let breaker = BreakerConfig { trips: usize::MAX, enough: usize::MAX, ..BreakerConfig::default() };
    let config = BrokerConfig {
        retry: RetryConfig { budget: 1_000_000, reserve: 1_000_000, ..RetryConfig::default() },
        admission: AdmissionConfig { instances: 2, limiter, breaker, ..AdmissionConfig::default() },
        ..BrokerConfig::default()
    };
    let backend = ClaudeCli::new(claude);
    Ok(Broker::new(vec![Arc::new(backend)], Arc::new(InMemory::default()), Events::new(), config))
}

async fn ask(broker: &Broker, prompt: String, listener: &mut (dyn FnMut(StreamEvent) + Send)) -> Result<(), Failed> {
    let asker = Asker { command: "bench".into(), item: 0, item_id: "item".into(), again: false };
    let question = Question { prompt, repeatable: true, ..Question::default() };
    broker.ask(&asker, question, listener).await?;
    Ok(())
}

/// From each kill: until the question could be dispatched again, and until another instance had begun to answer it.
async fn kills(folder: &Path, warden: PathBuf, rounds: usize) -> Result<(Times, Times), Failed> {
    let broker = broker(folder, warden)?;
    let (mut dispatchable, mut running) = (Vec::new(), Vec::new());
    let idle = || broker.standing().first().map_or(0, |(_, standing)| standing.idle);
    let mut quiet = |_| {};
    let mut other = |_| {};
    tokio::try_join!(ask(&broker, "one".to_owned(), &mut quiet), ask(&broker, "two".to_owned(), &mut other))?;
    for round in 0..rounds {
        let began = Instant::now();
        while idle() < 2 {
            if began.elapsed() > Duration::from_secs(30) {
                return Err(format!("after {round} kills no other instance has come").into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // What was marked by the last one.
        if round > 0 {
            fs::remove_dir(folder.join("died"))?;
        }
        let marks: Mutex<[Option<Instant>; 3]> = Mutex::default();
        let mark = |place: usize| {
            marks.lock().unwrap_or_else(PoisonError::into_inner)[place].get_or_insert_with(Instant::now);
        };
        let killed = |place: usize| marks.lock().unwrap_or_else(PoisonError::into_inner)[place];
        let mut listener = |event| match event {
            StreamEvent::Restarted(_) => mark(1),
            StreamEvent::Started if killed(1).is_some() => mark(2),
            StreamEvent::Started => {
                let pid = fs::read_to_string(folder.join("pid")).ok().and_then(|text| text.trim().parse().ok());
                if let Some(pid) = pid {
                    mark(0);
                    tree::send(pid, rustix::process::Signal::KILL);
                }
            }
            _ => {}
        };
        ask(&broker, format!("die {round}"), &mut listener).await?;
        let [Some(dead), Some(again), Some(goes_on)] = *marks.lock().unwrap_or_else(PoisonError::into_inner) else {
            return Err(format!("the question of round {round} was not interrupted").into());
        };
        dispatchable.push((again - dead).as_secs_f64() * 1e3);
        running.push((goes_on - dead).as_secs_f64() * 1e3);
    }
    broker.close().await;
    Ok((Times::of(dispatchable), Times::of(running)))
}

/// Until an item was in another worker's hands, from the trap of the one that had it.
async fn traps(folder: &Path, convoke: &Path, rounds: usize) -> Result<Times, Failed> {
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).join("prebuilt/hostile.wasm");
    let sub = |name: &str| folder.join(name);
    fs::create_dir_all(sub("project"))?;
    let output = Command::new(convoke)
        .arg(plugin)
        .args(["--format", "json", "--backend", "offline"])
        .args(std::iter::repeat_n("panic", rounds))
        .current_dir(sub("project"))
        .env_clear()
        .env("HOME", folder)
        .env("CONVOKE_CONFIG_DIR", sub("user"))
        .env("CONVOKE_DATA_DIR", sub("data"))
        .env("CONVOKE_CACHE_DIR", sub("cache"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()?;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let run = report["run"]["id"].as_str().ok_or("a report without a run")?.parse()?;
    let journal = Journal::open(&sub("data").join("journal.db"))?;
    let mut times = Vec::new();
    for item in journal.run(&run).await?.items {
        let (Some(first), Some(end)) = (item.tried.first(), &item.end) else {
            return Err(format!("{} was not tried twice", item.item.id).into());
        };
        let taken = end.ended - jiff::SignedDuration::try_from(end.took)?;
        times.push(taken.duration_since(first.ended).as_secs_f64() * 1e3);
    }
    Ok(Times::of(times))
}

fn main() -> Result<ExitCode, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (rounds, convoke) = (rounds(1_000)?, program("convoke")?);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let (dispatchable, running) = runtime.block_on(kills(folder.path(), convoke.clone(), rounds))?;
    let taken = runtime.block_on(traps(folder.path(), &convoke, rounds))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:<46} {:>5} {:>9} {:>9} {:>9} {:>9}", "in ms", "", "p50", "p99", "most", "p99 at most")?;
    let within = [
        dispatchable.show("killed instance: question dispatchable again", DISPATCHABLE, &mut out)?,
        running.show("killed instance: running on a warm one", RUNNING, &mut out)?,
        taken.show("trapped worker: item in another one's hands", DISPATCHABLE, &mut out)?,
    ];
    let is_slow = bounds_count() && within.contains(&false);
    if is_slow {
        writeln!(out, "too slow")?;
    }
    Ok(if is_slow { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
