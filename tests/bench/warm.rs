//! What a warm process saves: a question through the pool against a fresh `claude -p`, in turns.
//!
//! Both ask the same of the same stand-in, which answers at once, with the same settings: without tools, settings of a
//! project or a session on disk. What is left is what the program itself takes.
//!
//! `CONVOKE_REAL_CLAUDE=.../claude cargo bench -p convoke-tests --bench warm -- [--rounds 15]`
//!
//! Exits with 1 when the pool's median is more than a quarter of the fresh one's.

mod built;
mod rounds;
mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Instant;

use convoke_runtime::backend::claude_cli::{ClaudeCli, ClaudeConfig};
use convoke_runtime::broker::{Asker, Broker, BrokerConfig, InMemory};
use convoke_runtime::event::Events;
use convoke_runtime::question::Question;
use convoke_standin::Standin;

use built::program;
use rounds::rounds;
use support::{Failed, bounds_count, median};

/// The pool's share of what a fresh process takes.
const ALLOWED: f64 = 0.25;

const MODEL: &str = "claude-haiku-5-5";

fn environment(home: &Path, url: &str) -> Vec<(String, String)> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    [
        ("PATH", "/usr/bin:/bin".to_owned()),
        ("HOME", text(home)),
        ("CLAUDE_CONFIG_DIR", text(&home.join("config"))),
        ("TMPDIR", text(&home.join("tmp"))),
        ("ANTHROPIC_BASE_URL", url.to_owned()),
        ("ANTHROPIC_API_KEY", "sk-dummy".to_owned()),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".to_owned()),
        ("DISABLE_TELEMETRY", "1".to_owned()),
        ("DISABLE_AUTOUPDATER", "1".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// One question of a process of its own.
fn fresh(claude: &Path, home: &Path, url: &str) -> Result<(), Failed> {
    let status = Command::new(claude)
        .args(["-p", "Is it good?", "--model", MODEL, "--system-prompt", "You are brief.", "--no-session-persistence"])
        .args(["--setting-sources", "", "--strict-mcp-config", "--permission-mode", "dontAsk", "--tools", ""])
        .env_clear()
        .envs(environment(home, url))
        .current_dir(home.join("work"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("claude -p ended with {status}").into()) }
}

async fn pooled(broker: &Broker) -> Result<(), Failed> {
    let asker = Asker { command: "bench".into(), item: 0, item_id: "item".into(), again: false };
    let question =
        Question { prompt: "Is it good?".to_owned(), system: Some("You are brief.".to_owned()), ..Question::default() };
    broker.ask(&asker, question, &mut |_| {}).await?;
    Ok(())
}

fn measure(claude: PathBuf) -> Result<ExitCode, Failed> {
    let home = tempfile::tempdir()?;
    for folder in ["config", "tmp", "work", "records"] {
        std::fs::create_dir(home.path().join(folder))?;
    }
    let rounds = rounds(15)?;
    let warden = program("convoke")?;
    let runtime = tokio::runtime::Runtime::new()?;
    let standin = runtime.block_on(Standin::start(convoke_standin::Config::default()))?;
    let url = standin.url();
    let mut config = ClaudeConfig::new(claude.clone(), warden, home.path().join("records"));
    config.env = environment(home.path(), &url).into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let backend = {
        let _inside = runtime.enter();
        ClaudeCli::new(config)
    };
    let broker =
        Broker::new(vec![Arc::new(backend)], Arc::new(InMemory::default()), Events::new(), BrokerConfig::default());
    // The first question starts the process: from then on it is warm.
    let began = Instant::now();
    runtime.block_on(pooled(&broker))?;
    let first = began.elapsed().as_secs_f64() * 1e3;
    let (mut warm, mut cold) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let began = Instant::now();
        runtime.block_on(pooled(&broker))?;
        warm.push(began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        fresh(&claude, home.path(), &url)?;
        cold.push(began.elapsed().as_secs_f64() * 1e3);
    }
    runtime.block_on(broker.close());
    let (warm, cold) = (median(warm), median(cold));
    let ratio = warm / cold;
    let mut out = std::io::stdout().lock();
    writeln!(out, "a question of a fresh `claude -p`      {cold:>8.1} ms, median of {rounds}")?;
    writeln!(
        out,
        "a question through the pool            {warm:>8.1} ms, median of {rounds}; the first {first:.1} ms"
    )?;
    writeln!(out, "ratio                                  {ratio:>8.3}, at most {ALLOWED}")?;
    Ok(if ratio > ALLOWED && bounds_count() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn main() -> Result<ExitCode, Failed> {
    match std::env::var_os("CONVOKE_REAL_CLAUDE").filter(|path| !path.is_empty()) {
        Some(claude) => measure(claude.into()),
        None => {
            let skipped = "SKIPPED: CONVOKE_REAL_CLAUDE does not name a `claude`, so warm and fresh are not compared";
            writeln!(std::io::stdout(), "{skipped}")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
