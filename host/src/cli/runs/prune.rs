//! `convoke runs delete` and `convoke runs prune`: how runs go.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use convoke_runtime::journal::{Journal, Keep, Leaver};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{columns, local_time, named, named_project, no_runs};
use crate::cli::error::CliError;
use crate::cli::terminal::put;
use crate::config::paths::PROJECT_FILE;
use crate::config::{Choices, Paths, Settings};
use crate::report::{ExitCode, clean, words};

const MIB: f64 = (1 << 20) as f64;

pub(super) fn command() -> Command {
    Command::new("prune")
        .about("Removes old runs: those of [journal] in config.toml, or what is said here")
        .arg(
            Arg::new("older")
                .long("older-than")
                .value_name("TIME")
                .value_parser(age)
                .help("Those that ended longer ago: 12h, 30d, 8w"),
        )
        .arg(
            Arg::new("keep")
                .long("keep")
                .value_name("N")
                .value_parser(value_parser!(u32))
                .help("Of each project all but the newest N"),
        )
        .arg(
            Arg::new("size")
                .long("max-size")
                .value_name("SIZE")
                .value_parser(size)
                .help("The oldest, until the journal takes no more: 500MB, 2GB"),
        )
        .arg(Arg::new("dry").long("dry-run").action(ArgAction::SetTrue).help("Only show what would go"))
}

/// `12h`, `30d`, `8w`.
pub(in crate::cli) fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a time like 12h, 30d or 8w");
    let (number, hours) = match text.char_indices().next_back().map(|(at, unit)| (&text[..at], unit)) {
        Some((number, 'h')) => (number, 1),
        Some((number, 'd')) => (number, 24),
        Some((number, 'w')) => (number, 24 * 7),
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    // A hundred years is longer than anything was kept.
    let hours = u64::from(number).saturating_mul(hours).min(100 * 366 * 24);
    Ok(Duration::from_secs(hours * 3_600))
}

/// `500MB`, `2GB`, `1GiB`, or bytes.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size like 500MB or 2GB");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match text[digits..].trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}

/// The journal, to write. None: nothing was ever run.
fn to_write(paths: &Paths) -> Result<Option<Journal>, CliError> {
    Ok(if Journal::open_to_read(&paths.journal())?.is_some() { Some(Journal::open(&paths.journal())?) } else { None })
}

pub(super) async fn delete(paths: &Paths, matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let Some(journal) = to_write(paths)? else { return Err(no_runs()) };
    // All of them are known before the first one goes.
    let mut runs = Vec::new();
    for name in matches.get_many::<String>("run").into_iter().flatten() {
        let run = named(&journal, name, named_project(matches)).await?;
        if journal.is_under_way(&run) {
            return Err(convoke_runtime::journal::JournalError::UnderWay { run }.into());
        }
        if !runs.contains(&run) {
            runs.push(run);
        }
    }
    for run in runs {
        let results = journal.newest_results(&run).await?;
        journal.remove_run(&run).await?;
        let lost = match results {
            0 => String::new(),
            count => format!("; {} will be done again", words::counted(count, "item", "items")),
        };
        put(&format!("Removed run {}{lost}.\n", run.short()), None)?;
    }
    Ok(ExitCode::Success)
}

pub(super) async fn prune(paths: &Paths, matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let now = Timestamp::now();
    let keep = match wanted(matches, now) {
        Some(keep) => keep,
        None => {
            // Of all files only the user's own has a say.
            let none = paths.config.join("no-project").join(PROJECT_FILE);
            let env = |name: &str| std::env::var(name).ok();
            Settings::load(&paths.user_file(), &none, env, Choices::default())?.journal.keep(now)
        }
    };
    let Some(journal) = to_write(paths)? else {
        put("Nothing was run yet.\n", None)?;
        return Ok(ExitCode::Success);
    };
    let before = journal.room().await?;
    let leavers = journal.leavers(&keep).await?;
    if matches.get_flag("dry") {
        put(&plan(&leavers, &TimeZone::system()), None)?;
        return Ok(ExitCode::Success);
    }
    let retained = journal.retain(&keep, None).await?;
    let after = journal.room().await?;
    let freed = (before.used + before.free).saturating_sub(after.used + after.free) as f64 / MIB;
    let runs = words::counted(retained.runs as u64, "run", "runs");
    let mut text = format!("Removed {runs}, {freed:.1} MiB; the journal has {:.1} MiB.\n", after.used as f64 / MIB);
    text += &of_use(&leavers);
    put(&text, None)?;
    Ok(ExitCode::Success)
}

/// How long a run may tidy up behind its report.
const TIDYING: Duration = Duration::from_millis(50);

/// What `[journal]` says need not be kept goes, at the end of a run: for a moment, and the next one goes on.
pub(in crate::cli) async fn tidy(journal: &Journal, settings: &Settings) {
    // The run is over and told of. What hinders this hinders the next run too, and is said there.
    let _ = journal.retain(&settings.journal.keep(Timestamp::now()), Some(TIDYING)).await;
}

/// What is said on the command line; none: nothing.
fn wanted(matches: &ArgMatches, now: Timestamp) -> Option<Keep> {
    let older = matches.get_one::<Duration>("older").copied();
    let newest = matches.get_one::<u32>("keep").copied();
    let most_bytes = matches.get_one::<u64>("size").copied();
    let is_said = older.is_some() || newest.is_some() || most_bytes.is_some();
    is_said.then(|| Keep {
        since: older.map(|older| before(now, older)),
        newest: newest.map(|newest| newest as usize),
        most_bytes,
        // Whoever says so means it.
        used_since: None,
        ledger_since: None,
    })
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
    now.checked_sub(age).unwrap_or(Timestamp::MIN)
}

fn plan(leavers: &[Leaver], zone: &TimeZone) -> String {
    let going: Vec<&Leaver> = leavers.iter().filter(|leaver| !leaver.stays).collect();
    if going.is_empty() {
        return format!("Nothing would go.\n{}", of_use(leavers));
    }
    let mut rows = vec![["Run", "Ended", "Command", "MiB", "Because of", "Project"].map(str::to_owned).to_vec()];
    rows.extend(going.iter().map(|leaver| {
        vec![
            leaver.run.short(),
            local_time(leaver.when, zone),
            clean::line(&clean::bounded(&leaver.command, 40)),
            format!("{:.1}", leaver.bytes as f64 / MIB),
            leaver.because.name().to_owned(),
            clean::line(&leaver.project),
        ]
    }));
    let bytes: u64 = going.iter().map(|leaver| leaver.bytes).sum();
    let runs = words::counted(going.len() as u64, "run", "runs");
    format!("{}{runs} would go, about {:.1} MiB.\n{}", columns(&rows), bytes as f64 / MIB, of_use(leavers))
}

/// What stays though it is old.
fn of_use(leavers: &[Leaver]) -> String {
    match leavers.iter().filter(|leaver| leaver.stays).count() {
        0 => String::new(),
        count => {
            let runs = words::counted(count as u64, "run stays", "runs stay");
            format!("{runs} all the same: their results were used of late, and would be paid for again.\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use convoke_runtime::journal::{Because, RunId};

    use super::*;

    #[test]
    fn times_and_sizes_are_read_and_nonsense_is_refused() {
        assert_eq!(age("30d").map(|age| age.as_secs()), Ok(30 * 86_400));
        assert_eq!((age("12h").is_ok(), age("8w").is_ok()), (true, true));
        for wrong in ["", "30", "d", "-1d", "3ü", "1.5d"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
        assert_eq!((size("500MB"), size("2GiB"), size("7")), (Ok(500_000_000), Ok(2 << 30), Ok(7)));
        for wrong in ["", "MB", "1XB", "99999999999GB", "-1MB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert!(before(Timestamp::now(), age("4294967295w").unwrap()) > Timestamp::MIN);
    }

    #[test]
    fn the_plan_says_what_goes_why_and_what_stays() {
        let leaver = |because, stays| Leaver {
            run: "0198a3c2-7d1e-7b52-9c3f-8f3a9c01d2e4".parse::<RunId>().unwrap(),
            command: "agent-audit".to_owned(),
            project: "/p".to_owned(),
            when: Timestamp::from_second(1_800_000_000).unwrap(),
            bytes: 3 << 20,
            because,
            stays,
        };
        let expected = "\
Run           Ended                Command      MiB  Because of  Project
8f3a9c01d2e4  2027-01-15 08:00:00  agent-audit  3.0  age         /p
1 run would go, about 3.0 MiB.
1 run stays all the same: their results were used of late, and would be paid for again.
";
        let text = plan(&[leaver(Because::Age, false), leaver(Because::Size, true)], &TimeZone::UTC);
        assert_eq!(text, expected);
        assert_eq!(plan(&[], &TimeZone::UTC), "Nothing would go.\n");
    }
}
