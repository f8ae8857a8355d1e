//! What it costs that all processes share their limits: admitting a question and settling it with the state in a file,
//! against the same in memory, and against two transactions of an SQLite database (WAL, `synchronous=off`) that read and
//! write the same things: three buckets, what the process holds, what the day has cost.
//!
//! Alone, and while a second process does the same without a pause. A round is measured in turns, so that what else the
//! machine does hits all of them.
//!
//! `cargo bench -p convoke-tests --bench reserve -- [--rounds 15]`
//!
//! Exits with 1 when the shared one takes longer than SQLite, alone or beside another process.

mod rounds;
mod support;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Instant;

use convoke_runtime::admission::{Admission, AdmissionConfig, Applicant, End, Spent};
use convoke_runtime::breaker::Signal;
use convoke_runtime::budget::{Amount, Budget};
use convoke_runtime::limiter::Seen;
use convoke_runtime::quota::{Cost, QuotaConfig};
use convoke_runtime::shared::clock::boot;
use convoke_runtime::shared::{Clock, Shared, SharedLimits};
use rusqlite::Connection;

use rounds::rounds;
use support::{Failed, bounds_count, median};

/// The shared one's share of what SQLite takes.
const ALLOWED: f64 = 1.0;

/// Reservations in a round.
const EACH: u32 = 200;

/// The second process is told so what it does.
const ROLE: &str = "CONVOKE_BENCH_RESERVE_BESIDE";

fn admission(shared: Arc<Shared>, budget: Arc<Budget>) -> Arc<Admission> {
    // More than is ever taken: what is measured is the work, not the wait.
    let quota = QuotaConfig {
        requests: Some(1_000_000_000),
        input_tokens: Some(1_000_000_000_000),
        output_tokens: Some(1_000_000_000_000),
    };
    Admission::sharing(AdmissionConfig { quota, ..AdmissionConfig::default() }, budget, shared, "bench account")
}

fn in_memory() -> Arc<Admission> {
    admission(Shared::local(SharedLimits::default()), Arc::new(Budget::unlimited()))
}

fn in_file(folder: &Path) -> Result<Arc<Admission>, Failed> {
    let budget = Arc::new(Budget::unlimited());
    let shared = Shared::open(&folder.join("limits"), SharedLimits::default(), Clock::system(), boot(), &budget)?;
    Ok(admission(shared, budget))
}

async fn reserve(admission: &Arc<Admission>) -> Result<(), Failed> {
    let cost = Cost { requests: 1, input_tokens: 1_000, output_tokens: 4_096 };
    let most = Amount { requests: 1, input_tokens: 1_000, output_tokens: 4_096, ..Amount::default() };
    let applicant = Applicant {
        command: "bench".into(),
        run: "".into(),
        share: 5_096,
        priority: 4,
        cost,
        most,
        last: true,
        quotas: Arc::default(),
        profile: Arc::default(),
    };
    let admitted = admission.admit(applicant).await?;
    admitted.settle(End {
        signal: Signal::Success,
        words: String::new(),
        seen: Seen::Answered,
        first_event: None,
        spent: Spent::Known(Cost { output_tokens: 400, ..cost }),
        bill: Some(Amount { output_tokens: 400, ..most }),
        told: None,
        pause: None,
        reusable: true,
    });
    Ok(())
}

fn database(folder: &Path) -> Result<Connection, Failed> {
    let database = Connection::open(folder.join("limits.db"))?;
    database.busy_timeout(std::time::Duration::from_secs(10))?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "OFF")?;
    database.execute_batch(
        "CREATE TABLE IF NOT EXISTS bucket (name TEXT PRIMARY KEY, level INTEGER, held INTEGER, at INTEGER) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS holder (id INTEGER PRIMARY KEY, instances INTEGER, usd INTEGER);
         CREATE TABLE IF NOT EXISTS spend (day INTEGER PRIMARY KEY, usd INTEGER);
         INSERT OR IGNORE INTO bucket VALUES ('requests', 1000000000000, 0, 0), ('input', 1000000000000, 0, 0),
             ('output', 1000000000000, 0, 0);
         INSERT OR IGNORE INTO spend VALUES (1, 0);",
    )?;
    database.execute("INSERT OR IGNORE INTO holder VALUES (?1, 0, 0)", [std::process::id()])?;
    Ok(database)
}

fn transact(database: &mut Connection) -> Result<(), Failed> {
    let me = std::process::id();
    for (spent, held, instances) in [([0, 0, 0], [1, 1_000, 4_096], 1), ([1, 1_000, 400], [-1, -1_000, -4_096], -1_i64)]
    {
        // Beside a process that never rests, a writer may starve longer than its patience.
        while matches!(
            database.execute_batch("BEGIN IMMEDIATE").map_err(|error| error.sqlite_error_code()),
            Err(Some(rusqlite::ErrorCode::DatabaseBusy))
        ) {}
        let transaction = &*database;
        for (at, name) in ["requests", "input", "output"].into_iter().enumerate() {
            let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
            let mut found = transaction.prepare_cached("SELECT level, held FROM bucket WHERE name = ?1")?;
            let (level, holds) = found.query_row([name], read)?;
            let mut change =
                transaction.prepare_cached("UPDATE bucket SET level = ?1, held = ?2, at = ?3 WHERE name = ?4")?;
            change.execute((level - spent[at], holds + held[at], level, name))?;
        }
        let in_use: i64 =
            transaction.prepare_cached("SELECT sum(instances) FROM holder")?.query_row([], |row| row.get(0))?;
        let mut change =
            transaction.prepare_cached("UPDATE holder SET instances = instances + ?1, usd = ?2 WHERE id = ?3")?;
        change.execute((instances, in_use, me))?;
        drop(change);
        transaction.prepare_cached("UPDATE spend SET usd = usd + ?1 WHERE day = 1")?.execute([spent[2]])?;
        transaction.execute_batch("COMMIT")?;
    }
    Ok(())
}

/// Microseconds for one, over a round.
fn timed(mut one: impl FnMut() -> Result<(), Failed>) -> Result<f64, Failed> {
    let began = Instant::now();
    for _ in 0..EACH {
        one()?;
    }
    Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(EACH))
}

/// Does the same as the one that is measured, until it is ended.
fn beside(role: &str, folder: &Path) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // It ends with who started it.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let ready = || writeln!(std::io::stdout(), "ready").and_then(|()| std::io::stdout().flush());
    if role == "database" {
        let mut database = database(folder)?;
        transact(&mut database)?;
        ready()?;
        loop {
            transact(&mut database)?;
        }
    }
    runtime.block_on(async {
        let admission = in_file(folder)?;
        reserve(&admission).await?;
        ready()?;
        loop {
            reserve(&admission).await?;
        }
    })
}

/// Another process, ended when it is dropped.
struct Beside(Child);

impl Beside {
    fn start(role: &str, folder: &Path) -> Result<Self, Failed> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(folder).env(ROLE, role).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut other = Self(command.spawn()?);
        // It says when it has begun.
        other.0.stdout.as_mut().ok_or("it says nothing")?.read_exact(&mut [0])?;
        Ok(other)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Medians of memory, file and database, in microseconds.
fn measure(folder: &Path, rounds: usize, contended: bool) -> Result<[f64; 3], Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    let (memory, file, mut database) = (in_memory(), in_file(folder)?, database(folder)?);
    let mut taken = [Vec::new(), Vec::new(), Vec::new()];
    // Once for nothing: what is first is slow.
    for round in 0..=rounds {
        let one = timed(|| runtime.block_on(reserve(&memory)))?;
        let other = contended.then(|| Beside::start("file", folder)).transpose()?;
        let two = timed(|| runtime.block_on(reserve(&file)))?;
        drop(other);
        let other = contended.then(|| Beside::start("database", folder)).transpose()?;
        let three = timed(|| transact(&mut database))?;
        drop(other);
        if round > 0 {
            taken.iter_mut().zip([one, two, three]).for_each(|(all, one)| all.push(one));
        }
    }
    Ok(taken.map(median))
}

fn main() -> Result<ExitCode, Failed> {
    if let Ok(role) = std::env::var(ROLE) {
        let folder = std::env::args_os().nth(1).ok_or("where?")?;
        beside(&role, Path::new(&folder))?;
        return Ok(ExitCode::SUCCESS);
    }
    let folder = tempfile::tempdir()?;
    let rounds = rounds(15)?;
    let mut out = std::io::stdout().lock();
    let mut worst = 0.0_f64;
    for (contended, how) in [(false, "alone"), (true, "beside another process")] {
        let [memory, file, database] = measure(folder.path(), rounds, contended)?;
        writeln!(out, "a reservation and its settling, {how}: medians of {rounds} rounds of {EACH}")?;
        writeln!(out, "  in memory                 {memory:>8.1} µs")?;
        writeln!(out, "  shared, in a file         {file:>8.1} µs, {:.1} × in memory", file / memory)?;
        let ratio = file / database;
        writeln!(
            out,
            "  two SQLite transactions   {database:>8.1} µs; shared takes {ratio:.2} × that, at most {ALLOWED}"
        )?;
        worst = worst.max(ratio);
    }
    Ok(if worst > ALLOWED && bounds_count() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
