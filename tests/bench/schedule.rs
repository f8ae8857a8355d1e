//! How near a run comes to the best that its workers could do: `agent-audit` over real agents, and `docs update` over made
//! documents, with a slow model.
//!
//! Each answer of the stand-in takes 400 ms ± 50 %. No schedule is faster than the sum of all answers divided by the
//! workers, or than the longest one: that is the lower bound, made of what the stand-in really took. The wall time is
//! that of the whole program. A run that asks again what was asked before would be found out by the count.
//!
//! `cargo bench -p convoke-tests --bench schedule -- [--latency 400] [--runs 3]`
//!
//! The agents are those of `$CONVOKE_CORPUS/agents-voltagent`, or 158 made ones in 10 groups where that is not set.
//! Exits with 1 when the median of the runs is over 1.10 times the lower bound.

mod built;
mod program;
mod support;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use convoke_standin::{Config, Latency, Outcome, Standin};

use program::Convoke;
use support::{Failed, bounds_count, median};

/// As much wall time may a run take, as a multiple of the lower bound.
const ALLOWED: f64 = 1.10;
/// How many workers the groups of agents get, and how many writers the kinds of documents.
const WORKERS: usize = 8;
const WRITERS: usize = 6;
/// The agents that are made, and their groups.
const AGENTS: usize = 158;
const GROUPS: usize = 10;
/// The documents that are made of each kind: a writer has more to do than another.
const DOCUMENTS: [(&str, usize); 6] = [
    ("README", 28),
    ("CLAUDE", 12),
    ("api/part", 20),
    ("adr/decision", 16),
    ("guide/page", 60),
    ("guide/more/page", 24),
];

/// The folder of the agents, and what to call it. Made ones live as long as the folder that is given back.
fn agents() -> Result<(PathBuf, &'static str, Option<tempfile::TempDir>), Failed> {
    let corpus = std::env::var_os("CONVOKE_CORPUS").filter(|folder| !folder.is_empty());
    if let Some(corpus) = corpus {
        return Ok((PathBuf::from(corpus).join("agents-voltagent"), "real agents", None));
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    make_agents(folder.path())?;
    Ok((folder.path().to_owned(), "made agents (CONVOKE_CORPUS is not set)", Some(folder)))
}

/// Writes agents of different lengths.
fn make_agents(folder: &Path) -> Result<(), Failed> {
    for number in 0..AGENTS {
        let group = folder.join(format!("categories/{:02}-group", number % GROUPS));
        std::fs::create_dir_all(&group)?;
        let name = format!("agent-{number}");
        let mut text = format!(
            "---\nname: {name}\ndescription: Use this agent when area {number} needs a second look.\ntools: Read, Grep\n\
             ---\n\nYou are a reviewer of area {number}.\n\n"
        );
        for step in 0..20 + number % 50 {
            writeln!(text, "- Step {step}: look at part {} of area {number} and say what is wrong with it.", step * 7)?;
        }
        std::fs::write(group.join(format!("{name}.md")), text)?;
    }
    Ok(())
}

/// Writes documents of different lengths and kinds, each of which names a file that it can be compared with.
fn make_documents(folder: &Path) -> Result<(), Failed> {
    // A library, whose documentation in code is the sixth kind: who has looked at it helps the others.
    std::fs::create_dir_all(folder.join("src"))?;
    std::fs::write(folder.join("Cargo.toml"), "[package]\nname = \"sample\"\nversion = \"1.0.0\"\n")?;
    std::fs::write(folder.join("src/lib.rs"), "//! A sample.\n")?;
    for (kind, count) in DOCUMENTS {
        for number in 0..count {
            // READMEs and instructions for agents have their names, so each stands in a folder of its own.
            let path = match kind {
                "README" | "CLAUDE" => folder.join(format!("{}-{number}/{kind}.md", kind.to_lowercase())),
                _ => folder.join(format!("{kind}-{number}.md")),
            };
            let parent = path.parent().ok_or("a document without a folder")?;
            std::fs::create_dir_all(parent)?;
            std::fs::write(parent.join("settings.ini"), "port = 9090\n")?;
            let mut text = format!("# Part {number}\n\nIts port stands in `settings.ini`.\n\n");
            for step in 0..10 + number % 40 {
                writeln!(text, "{step}. Of part {number} this is step {step}, which has a purpose of its own.")?;
            }
            std::fs::write(path, text)?;
        }
    }
    Ok(())
}

struct Options {
    latency: u64,
    runs: usize,
}

impl Options {
    /// What is not an option of this benchmark is cargo's, and left alone.
    fn read() -> Result<Self, Failed> {
        let mut options = match bounds_count() {
            true => Self { latency: 400, runs: 3 },
            false => Self { latency: 10, runs: 1 },
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--latency" => options.latency = value()?.parse()?,
                "--runs" => options.runs = value()?.parse()?,
                _ => {}
            }
        }
        if options.runs == 0 { Err("runs must be above 0".into()) } else { Ok(options) }
    }
}

/// What one run took, and what the stand-in took for it.
struct Ran {
    wall: Duration,
    inside: Duration,
    workers: usize,
    questions: usize,
    sum: Duration,
    longest: Duration,
}

impl Ran {
    /// No schedule for so many workers is faster.
    fn bound(&self, workers: usize) -> Duration {
        (self.sum / u32::try_from(workers).unwrap_or(1)).max(self.longest)
    }
}

/// One run against a stand-in of its own. The seed decides how long which answer takes.
async fn run(convoke: &Convoke, case: &Case<'_>, latency: u64, seed: u64) -> Result<Ran, Failed> {
    let config = Config { seed, latency: Latency::of(latency, 0.5), ..Config::default() };
    let standin = Standin::start(config).await?;
    let url = standin.url();
    let workers = case.workers.to_string();
    let folder = case.folder.to_str().ok_or("the folder is not UTF-8")?;
    let began = Instant::now();
    // The stand-in serves on the other threads meanwhile.
    let arguments: Vec<&str> = case.command.iter().copied().chain([folder, "--instances", &workers]).collect();
    let report = tokio::task::block_in_place(|| convoke.run(&url, &arguments, |_, _| ()))?;
    let wall = began.elapsed();
    let requests = standin.requests();
    standin.shutdown().await;
    if let Some(other) = requests.iter().find(|request| request.outcome != Outcome::Answered) {
        return Err(format!("request {} was not answered: {:?}", other.number, other.outcome).into());
    }
    let items = report["census"]["items"].as_u64();
    if items != Some((requests.len() + case.silent) as u64) {
        return Err(format!("{} questions for {items:?} items: some asked twice, or not at all", requests.len()).into());
    }
    Ok(Ran {
        wall,
        inside: Duration::from_millis(report["timing"]["wall_ms"].as_u64().ok_or("a report without its time")?),
        workers: report["workers"].as_array().map_or(0, Vec::len),
        questions: requests.len(),
        sum: requests.iter().map(|request| request.took).sum(),
        longest: requests.iter().map(|request| request.took).max().unwrap_or_default(),
    })
}

/// A command over a folder, and its workers.
struct Case<'a> {
    name: &'a str,
    command: &'a [&'a str],
    folder: &'a Path,
    workers: usize,
    /// Items that ask nothing.
    silent: usize,
}

async fn all(options: &Options, out: &mut impl Write) -> Result<bool, Failed> {
    let convoke = Convoke::new()?;
    let (agents, name, _made) = agents()?;
    let documents = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    make_documents(documents.path())?;
    let mut within = true;
    for case in [
        Case { name, command: &["agent-audit"], folder: &agents, workers: WORKERS, silent: 0 },
        Case {
            name: "documents",
            command: &["docs", "update", "--project"],
            folder: documents.path(),
            workers: WRITERS,
            silent: 1,
        },
    ] {
        within &= one(&convoke, &case, options, out).await?;
    }
    Ok(within || !bounds_count())
}

/// The runs of one command. Gives whether their median is within what is allowed.
async fn one(convoke: &Convoke, case: &Case<'_>, options: &Options, out: &mut impl Write) -> Result<bool, Failed> {
    // The first run compiles the plugin.
    run(convoke, case, 0, 0).await?;
    writeln!(out, "{}, {} ms ± 50 % an answer, {} workers", case.name, options.latency, case.workers)?;
    writeln!(out, " run   items   workers   bound s   wall s   ratio   without start s")?;
    let mut ratios = vec![];
    for number in 1..=options.runs {
        let ran = run(convoke, case, options.latency, number as u64).await?;
        let bound = ran.bound(case.workers).as_secs_f64();
        let ratio = ran.wall.as_secs_f64() / bound;
        writeln!(
            out,
            "{number:>4} {:>7} {:>9} {bound:>9.3} {:>8.3} {ratio:>7.3} {:>17.3}",
            ran.questions,
            ran.workers,
            ran.wall.as_secs_f64(),
            ran.inside.as_secs_f64()
        )?;
        ratios.push(ratio);
    }
    let ratio = median(ratios);
    let within = ratio <= ALLOWED;
    writeln!(out, "median ratio {ratio:.3}, {} {ALLOWED:.2}", if within { "within" } else { "OVER" })?;
    Ok(within)
}

fn main() -> ExitCode {
    let result = Options::read().and_then(|options| {
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(all(&options, &mut io::stdout()))
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // With stderr gone too, the exit code still tells.
            let _: io::Result<()> = writeln!(io::stderr(), "schedule: {error}");
            ExitCode::FAILURE
        }
    }
}
