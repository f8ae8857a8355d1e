//! How long it takes until a plugin runs: from the compiled component on disk to the return of its first call.
//!
//! The call is `agent-audit`'s plan of an empty project. What counts is the sum of loading (which maps the native code
//! and links it) and the call with its store. Beside it stands what is done once a process or once a component: the
//! engine, reading the manifest, compiling from scratch, and the whole of `convoke --help`, which compiles nothing.
//!
//! `cargo bench -p convoke-tests --bench start -- [--rounds 50]`
//!
//! Exits with 1 when loading and first call take more than 5 ms in the median, or when `--help` compiles a component.

mod built;
mod rounds;
mod support;

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use convoke::plugin::embedded::{EMBEDDED, Embedded};
use convoke::plugin::engine::Engine;
use convoke::plugin::inspect::inspect;
use convoke::plugin::project::{Limits, Project};
use convoke::plugin::sandbox::{Caps, Died, Invocation, Sandbox};
use convoke_runtime::event::Events;

use built::program;
use rounds::rounds;
use support::{Failed, bounds_count, median};

/// So many milliseconds may it take from the compiled component to the return of the first call.
const ALLOWED: f64 = 5.0;

const CAPS: Caps = Caps { memory: 512 << 20, fuel: 100_000_000_000, own_time: Duration::from_secs(600) };

/// The times of one thing in milliseconds, and what it is called.
struct Times {
    name: &'static str,
    times: Vec<f64>,
}

impl Times {
    fn of(name: &'static str) -> Self {
        Self { name, times: Vec::new() }
    }

    fn take<T>(&mut self, does: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
        let began = Instant::now();
        let done = does();
        self.times.push(began.elapsed().as_secs_f64() * 1e3);
        done
    }

    /// Shows them; gives the median.
    fn show(&self, out: &mut impl Write) -> io::Result<f64> {
        let least = self.times.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.times.iter().copied().fold(0.0, f64::max);
        let median = median(self.times.clone());
        writeln!(out, "{:<28} {median:>9.3} {least:>9.3} {most:>9.3} {:>6}", self.name, self.times.len())?;
        Ok(median)
    }
}

/// Loads the compiled component and plans an empty project with it, as often as said. Gives the rows of the table, the
/// sum of both first.
fn starts(plugin: &Embedded, cache: &Path, empty: &Path, rounds: usize) -> Result<Vec<Times>, Failed> {
    let (mut sum, mut loading, mut first) =
        (Times::of("load and first call"), Times::of("  of that, load"), Times::of("  of that, first call"));
    let (mut again, mut engines, mut manifest) =
        (Times::of("another call"), Times::of("engine (once a process)"), Times::of("manifest and digest"));
    let runtime = tokio::runtime::Runtime::new()?;
    for _ in 0..rounds {
        let inspected = manifest.take(|| Ok(inspect(plugin.bytes)?))?;
        // An engine of its own: what one has loaded could make the next load faster.
        let engine = Arc::new(engines.take(|| Ok(Engine::new(CAPS.memory)?))?);
        let project = Project::open(empty, Vec::new(), Limits::default())?;
        let call = Invocation { arguments: "{}".to_owned(), today: "2026-11-20".to_owned(), ..Invocation::default() };
        let sandbox = sum.take(|| {
            let loaded =
                loading.take(|| Ok(engine.load(plugin.name, &inspected.digest, plugin.bytes, Some(cache))?))?;
            let sandbox = Sandbox {
                engine,
                plugin: loaded,
                project,
                outside: Arc::default(),
                call,
                caps: CAPS,
                events: Events::new(),
                fixed: None,
            };
            first.take(|| plan(&runtime, &sandbox))?;
            Ok(sandbox)
        })?;
        again.take(|| plan(&runtime, &sandbox))?;
    }
    Ok(vec![sum, loading, first, again, engines, manifest])
}

/// Planning nothing is an answer too, and so is that there is nothing to plan.
fn plan(runtime: &tokio::runtime::Runtime, sandbox: &Sandbox) -> Result<(), Failed> {
    match runtime.block_on(sandbox.plan(sandbox.log())) {
        Ok(_) | Err(Died::Refused { .. }) => Ok(()),
        Err(died) => Err(died.into()),
    }
}

/// The whole of `convoke --help`, and whether it compiled something.
fn help(home: &Path, rounds: usize) -> Result<(Times, bool), Failed> {
    let convoke = program("convoke")?;
    let mut times = Times::of("convoke --help, the process");
    for _ in 0..rounds {
        let mut command = Command::new(&convoke);
        command.arg("--help").stdout(Stdio::null()).current_dir(home);
        for folder in ["CONVOKE_CONFIG_DIR", "CONVOKE_DATA_DIR", "CONVOKE_CACHE_DIR"] {
            command.env(folder, home.join(folder));
        }
        let status = times.take(|| Ok(command.status()?))?;
        if !status.success() {
            return Err(format!("convoke --help ended with {status}").into());
        }
    }
    Ok((times, home.join("CONVOKE_CACHE_DIR").exists()))
}

fn measure(out: &mut impl Write) -> Result<bool, Failed> {
    let rounds = rounds(50)?;
    let plugin = EMBEDDED.first().ok_or("no plugin is embedded")?;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let (cache, empty, home) = (folder.path().join("cache"), folder.path().join("empty"), folder.path().join("home"));
    std::fs::create_dir(&empty)?;
    std::fs::create_dir(&home)?;

    let mut compiling = Times::of("compile (once a component)");
    let digest = inspect(plugin.bytes)?.digest;
    for _ in 0..rounds.min(5) {
        let engine = Engine::new(CAPS.memory)?;
        if cache.exists() {
            std::fs::remove_dir_all(&cache)?;
        }
        compiling.take(|| Ok(engine.load(plugin.name, &digest, plugin.bytes, Some(&cache))?))?;
    }
    if std::fs::read_dir(&cache)?.count() != 1 {
        return Err("the compiled component was not kept".into());
    }

    let kilobytes = plugin.bytes.len() / 1000;
    writeln!(out, "{} ({kilobytes} kB), pool: {}", plugin.name, Engine::new(CAPS.memory)?.is_pooled())?;
    writeln!(out, "{:<28} {:>9} {:>9} {:>9} {:>6}", "", "median ms", "least", "most", "rounds")?;
    let rows = starts(plugin, &cache, &empty, rounds)?;
    let (helping, compiled) = help(&home, rounds)?;
    let medians: Vec<f64> = rows.iter().map(|row| row.show(out)).collect::<io::Result<_>>()?;
    compiling.show(out)?;
    helping.show(out)?;

    let start = medians.first().copied().unwrap_or(f64::INFINITY);
    let within = start <= ALLOWED;
    let verdict = if within { "within" } else { "OVER" };
    writeln!(out, "load and first call: median {start:.3} ms, {verdict} {ALLOWED} ms")?;
    writeln!(
        out,
        "convoke --help: {}",
        if compiled { "it touched the cache of COMPILED components" } else { "compiles nothing" }
    )?;
    Ok((within || !bounds_count()) && !compiled)
}

fn main() -> ExitCode {
    match measure(&mut io::stdout()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // With stderr gone too, the exit code still tells.
            let _: io::Result<()> = writeln!(io::stderr(), "start: {error}");
            ExitCode::FAILURE
        }
    }
}
