//! How long an item's end takes to be on disk, with many at once: `finish_item` of the journal, against one SQLite
//! transaction for each end with the same settings (WAL, `synchronous=full`), and against the same journal where a sync
//! costs nothing, in memory that looks like a disk.
//!
//! Each of so many tasks ends so many items, one after the other. The transactions are so slow that each task ends a
//! tenth of them; what is compared is the time of one.
//!
//! `cargo bench -p convoke-tests --bench finish -- [--at-once 64] [--items 1000] [--rounds 3]`
//!
//! Exits with 1 when the median of `finish_item` is above that of a transaction for each.

mod support;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use convoke_runtime::journal::{Digest, ItemEnd, ItemKey, ItemRecord, Journal, Read, RunId, RunRecord};
use convoke_runtime::work::{Finding, Outcome, Partial, Severity, Source};
use jiff::Timestamp;
use rusqlite::{Connection, params};

use support::{Failed, bounds_count, median};

/// As long may the median of `finish_item` be, as a share of that of a transaction for each.
const ALLOWED: f64 = 1.0;

/// Where files are in memory.
const IN_MEMORY: &str = "/dev/shm";

struct Options {
    at_once: usize,
    items: usize,
    rounds: usize,
}

impl Options {
    /// What is not an option of this benchmark is cargo's, and left alone.
    fn read() -> Result<Self, Failed> {
        let mut options = match bounds_count() {
            true => Self { at_once: 64, items: 1_000, rounds: 3 },
            false => Self { at_once: 8, items: 20, rounds: 1 },
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--at-once" => options.at_once = value()?.parse()?,
                "--items" => options.items = value()?.parse()?,
                "--rounds" => options.rounds = value()?.parse()?,
                _ => {}
            }
        }
        if options.at_once == 0 || options.items == 0 || options.rounds == 0 {
            return Err("at once, items and rounds must be above 0".into());
        }
        Ok(options)
    }
}

/// What many ends took.
struct Took {
    /// Each, in microseconds, the shortest first.
    each: Vec<f64>,
    all: Duration,
}

impl Took {
    fn of(mut each: Vec<f64>, all: Duration) -> Self {
        each.sort_by(f64::total_cmp);
        Self { each, all }
    }

    fn percentile(&self, percent: usize) -> f64 {
        self.each[(self.each.len() * percent / 100).min(self.each.len() - 1)]
    }

    fn a_second(&self) -> f64 {
        self.each.len() as f64 / self.all.as_secs_f64()
    }
}

/// An end as agent-audit has it: some findings, what it read.
fn end(id: String) -> ItemEnd {
    let finding = |number: u32| Finding {
        rule: "trigger-unclear".to_owned(),
        severity: Severity::Medium,
        message: format!("The description does not say when the agent is to be used, in sentence {number} of it."),
        path: Some(format!(".claude/agents/{id}.md")),
        line: Some(number),
        column: Some(1),
        source: Source::Model,
        fingerprint: format!("{number:064}"),
        help: Some("Say when it is to be used, and when not.".to_owned()),
    };
    let partial = Partial { findings: (0..4).map(finding).collect(), ..Partial::default() };
    let reads = [Read::File { path: format!(".claude/agents/{id}.md"), sha256: Digest::of(id.as_bytes()) }];
    ItemEnd {
        item: id,
        outcome: Outcome::Done,
        partial: Some(partial),
        reads: reads.into_iter().collect(),
        reused: None,
        took: Duration::from_millis(900),
        attempts: 1,
        log: String::new(),
        ended: Timestamp::now(),
    }
}

fn name(task: usize, number: usize) -> String {
    // As digests are: in no order.
    Digest::of(format!("{task} {number}").as_bytes()).to_string()
}

/// The journal in this folder.
async fn journal(folder: &Path, at_once: usize, items: usize) -> Result<Took, Failed> {
    let journal = Journal::open(&folder.join("journal.db"))?;
    let run = RunId::new();
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
            backend: "offline".to_owned(),
            started: Timestamp::now(),
            typed: None,
        })
        .await?;
    let all = (0..at_once).flat_map(|task| (0..items).map(move |number| name(task, number)));
    let records = all.enumerate().map(|(ordinal, id)| ItemRecord {
        key: ItemKey(Digest::of(id.as_bytes())),
        label: id.clone(),
        id,
        ordinal,
        parent: None,
    });
    journal.record_items(&run, records.collect()).await?;
    let began = Instant::now();
    let tasks: Vec<_> = (0..at_once)
        .map(|task| {
            let journal = journal.clone();
            tokio::spawn(async move {
                let mut each = Vec::with_capacity(items);
                for number in 0..items {
                    let end = end(name(task, number));
                    let begin = Instant::now();
                    journal.finish_item(&run, end).await?;
                    each.push(begin.elapsed().as_secs_f64() * 1e6);
                }
                Ok::<_, Failed>(each)
            })
        })
        .collect();
    let mut each = Vec::new();
    for task in tasks {
        each.extend(task.await??);
    }
    Ok(Took::of(each, began.elapsed()))
}

/// One transaction for each end, on one connection that they take in turns.
fn transactions(folder: &Path, at_once: usize, items: usize) -> Result<Took, Failed> {
    let connection = Connection::open(folder.join("bare.db"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;
         CREATE TABLE ends (item TEXT PRIMARY KEY, partial_json TEXT NOT NULL, reads_json TEXT NOT NULL)",
    )?;
    let connection = Mutex::new(connection);
    let began = Instant::now();
    let each = std::thread::scope(|scope| {
        let tasks: Vec<_> = (0..at_once)
            .map(|task| {
                let connection = &connection;
                scope.spawn(move || {
                    let mut each = Vec::with_capacity(items);
                    for number in 0..items {
                        let end = end(name(task, number));
                        let begin = Instant::now();
                        let partial = serde_json::to_string(&end.partial)?;
                        let reads = serde_json::to_string(&end.reads)?;
                        let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                        let mut insert = connection.prepare_cached("INSERT INTO ends VALUES (?1, ?2, ?3)")?;
                        insert.execute(params![end.item, partial, reads])?;
                        each.push(begin.elapsed().as_secs_f64() * 1e6);
                    }
                    Ok::<_, Failed>(each)
                })
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.join().map_err(|_| "a task failed")??);
        }
        Ok::<_, Failed>(all)
    })?;
    Ok(Took::of(each, began.elapsed()))
}

async fn compare(options: &Options, out: &mut impl Write) -> Result<bool, Failed> {
    let Options { at_once, items, rounds } = *options;
    writeln!(out, "{at_once} at once, {items} items each; times in µs\n")?;
    writeln!(out, "round  what                            p50       p99   ends a second")?;
    let in_memory = Path::new(IN_MEMORY).is_dir();
    let (mut of_each, mut of_p99, mut of_sync) = (vec![], vec![], vec![]);
    for round in 1..=rounds {
        let mut row = |what: &str, took: &Took| {
            let (p50, p99) = (took.percentile(50), took.percentile(99));
            writeln!(out, "{round:>5}  {what:<25} {p50:>9.0} {p99:>9.0} {:>15.0}", took.a_second())
        };
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let grouped = journal(folder.path(), at_once, items).await?;
        row("finish_item", &grouped)?;
        let path = folder.path().to_owned();
        let few = items.div_ceil(10);
        let single = tokio::task::spawn_blocking(move || transactions(&path, at_once, few)).await??;
        row("a transaction for each", &single)?;
        of_each.push(grouped.percentile(50) / single.percentile(50));
        of_p99.push(grouped.percentile(99) / single.percentile(99));
        if in_memory {
            let folder = tempfile::tempdir_in(IN_MEMORY)?;
            let free = journal(folder.path(), at_once, items).await?;
            row("finish_item without sync", &free)?;
            of_sync.push(grouped.percentile(50) / free.percentile(50));
        }
    }
    let (ratio, slowest) = (median(of_each), median(of_p99));
    let within = ratio <= ALLOWED;
    let verdict = if within { "within" } else { "OVER" };
    writeln!(out, "\nto a transaction for each: p50 {ratio:.3}, {verdict} {ALLOWED}; p99 {slowest:.3}")?;
    match of_sync.is_empty() {
        true => writeln!(out, "there is no {IN_MEMORY} here: what the sync costs was not measured")?,
        false => writeln!(out, "to the same without sync: p50 {:.2}", median(of_sync))?,
    }
    Ok(within || !bounds_count())
}

fn main() -> ExitCode {
    let run = || {
        let options = Options::read()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(compare(&options, &mut std::io::stdout().lock()))
    };
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let error: Failed = error;
            // Nobody may be reading.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
