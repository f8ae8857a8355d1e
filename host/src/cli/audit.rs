//! `convoke audit`: what plugins did, what was granted, and what convoke changed; and whether the log of it is whole.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use convoke_runtime::journal::Journal;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use serde_json::{Value, json};

use super::command::in_runtime;
use super::error::CliError;
use super::runs;
use super::terminal::put;
use crate::audit::read::Source;
use crate::audit::record::is_of;
use crate::audit::verify::{Anchor, Said, Verdict, verify};
use crate::audit::{AuditError, KINDS, Line};
use crate::config::{Paths, nearest};
use crate::report::{ExitCode, clean};

/// The fewest characters by which a run may be named whose id ends so.
const SHORTEST_RUN: usize = 4;

/// So many reports of the journal are asked for their hash, the newest.
const REPORTS: usize = 200;

/// So much of a line's details is shown, in characters.
const SHOWN: usize = 300;

/// What no log can prove of itself.
const NOT_PROVEN: &str = "What this can't show: whether somebody who can write these files added records at the end; or, where they can write the \
     head too, cut off or wrote anew all behind the last hash that is known from elsewhere, or removed the oldest files in \
     convoke's name. The journal is elsewhere only for those who can't write it. Keep the last hash yourself, and compare: \
     convoke audit verify --from-hash HASH";

pub(super) fn command() -> Command {
    let json = || Arg::new("json").long("json").action(ArgAction::SetTrue).help("As JSON");
    Command::new("audit")
        .about("Shows what plugins did and convoke changed, and checks that the log of it is whole")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("show")
                .about("Shows the records, the oldest first")
                .after_help(kinds())
                .arg(
                    Arg::new("run")
                        .long("run")
                        .value_name("RUN")
                        .help("Of one run: its id, or the id's last digits (at least 4), or last"),
                )
                .arg(
                    Arg::new("kind")
                        .long("kind")
                        .value_name("KIND")
                        .action(ArgAction::Append)
                        .help("Of a kind, or of a family: project.read, process"),
                )
                .arg(
                    Arg::new("since")
                        .long("since")
                        .value_name("TIME")
                        .value_parser(|text: &str| since(text, &Zoned::now()))
                        .help("Since a time: 2027-01-31, 2027-01-31T12:00:00Z, or so long ago: 90m, 2h, 7d"),
                )
                .arg(
                    Arg::new("most")
                        .short('n')
                        .long("most")
                        .value_name("N")
                        .value_parser(value_parser!(u32).range(1..=100_000))
                        .help("At most so many, the newest"),
                )
                .arg(json().help("The lines as they stand in the log")),
        )
        .subcommand(
            Command::new("verify")
                .about("Checks that no record was changed, taken out, moved or put in; exits with 1 if one was")
                .arg(
                    Arg::new("files")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .num_args(0..)
                        .help("Files of a log, the oldest first. Default: your own log, with its head and the journal"),
                )
                .arg(
                    Arg::new("from-hash")
                        .long("from-hash")
                        .value_name("HASH")
                        .value_parser(hash)
                        .action(ArgAction::Append)
                        .help("A hash that you have kept: what stands before its record is as it was then"),
                )
                .arg(json()),
        )
}

fn kinds() -> String {
    KINDS.iter().fold("Kinds:\n".to_owned(), |mut text, (name, about)| {
        let _ = writeln!(text, "  {name:16} {about}");
        text
    })
}

pub(super) fn audit(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let paths = Paths::find(|name: &str| std::env::var(name).ok())?;
    match matches.subcommand() {
        Some(("show", matches)) => show(&paths, matches),
        Some(("verify", matches)) => check(&paths, matches),
        _ => Err(CliError::usage("show or verify?")),
    }
}

/// A time: a moment, a day in this zone, or so long ago.
fn since(text: &str, now: &Zoned) -> Result<Timestamp, String> {
    let ago = |number: &str, seconds: i64| {
        let count: i64 = number.parse().ok().filter(|count| *count >= 0)?;
        now.timestamp().checked_sub(SignedDuration::from_secs(count.checked_mul(seconds)?)).ok()
    };
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400), ("w", 7 * 86_400)];
    for (unit, seconds) in units {
        if let Some(at) = text.strip_suffix(unit).and_then(|number| ago(number, seconds)) {
            return Ok(at);
        }
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let day = text.parse::<jiff::civil::Date>().ok();
    let at = day.and_then(|day| day.to_zoned(now.time_zone().clone()).ok()).map(|zoned| zoned.timestamp());
    at.ok_or_else(|| "it is neither a day like 2027-01-31, nor a time, nor so long ago as 90m, 2h or 7d".to_owned())
}

fn hash(text: &str) -> Result<String, String> {
    let is_one = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_one { Ok(text.to_ascii_lowercase()) } else { Err("a hash has 64 hexadecimal digits".to_owned()) }
}

impl From<AuditError> for CliError {
    fn from(error: AuditError) -> Self {
        let hint = match &error {
            AuditError::Io { .. } => None,
            error => Some(error.hint()),
        };
        Self::nothing(error.to_string()).hint(hint)
    }
}

// Show -----------------------------------------------------------------------------------------------------------------

struct Filter<'a> {
    run: Option<String>,
    kinds: Vec<&'a str>,
    since: Option<Timestamp>,
}

impl<'a> Filter<'a> {
    fn of(paths: &Paths, matches: &'a ArgMatches) -> Result<Self, CliError> {
        let run = match matches.get_one::<String>("run").map(String::as_str) {
            Some("last") => Some(last_run(paths)?),
            Some(run) if run.len() < SHORTEST_RUN => {
                return Err(CliError::usage(format!("a run is named by at least {SHORTEST_RUN} digits, or by last")));
            }
            run => run.map(str::to_owned),
        };
        let kinds: Vec<&str> = matches.get_many::<String>("kind").into_iter().flatten().map(String::as_str).collect();
        for kind in &kinds {
            if !KINDS.iter().any(|(known, _)| is_of(known, kind)) {
                let families = KINDS.iter().filter_map(|(known, _)| Some(known.split_once('.')?.0));
                let near = nearest(kind, families.chain(KINDS.iter().map(|(known, _)| *known)));
                let hint = near.map_or_else(
                    || "`convoke audit show --help` lists them".to_owned(),
                    |near| format!("did you mean {near}?"),
                );
                return Err(CliError::usage(format!("there is no kind {}", clean::line(kind))).hint(Some(hint)));
            }
        }
        Ok(Self { run, kinds, since: matches.get_one::<Timestamp>("since").copied() })
    }

    fn fits(&self, line: &Line) -> bool {
        let of_run = self.run.as_ref().is_none_or(|run| line.run.as_ref().is_some_and(|of| of.ends_with(run)));
        let of_kind = self.kinds.is_empty() || self.kinds.iter().any(|kind| is_of(&line.kind, kind));
        let is_since = |since: Timestamp| line.at.parse::<Timestamp>().is_ok_and(|at| at >= since);
        of_run && of_kind && self.since.is_none_or(is_since)
    }
}

/// The id of the newest run of this project. The log outlives runs, so others are not looked for in the journal.
fn last_run(paths: &Paths) -> Result<String, CliError> {
    let Some(journal) = Journal::open_to_read(&paths.journal())? else {
        return Err(CliError::usage("there are no runs yet"));
    };
    in_runtime(async { Ok(runs::named(&journal, "last", None).await?.to_string()) })
}

fn show(paths: &Paths, matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let filter = Filter::of(paths, matches)?;
    let source = Source::of_folder(&paths.audit())?;
    let most = matches.get_one::<u32>("most").map(|most| *most as usize);
    let is_json = matches.get_flag("json");
    let zone = TimeZone::system();
    let render = |line: &Line, bytes: &[u8]| match is_json {
        true => clean::json(format!("{}\n", String::from_utf8_lossy(bytes))),
        false => shown(line, &zone),
    };
    let mut kept = std::collections::VecDeque::new();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    let mut count = 0_u64;
    let none = source.each(|line, bytes| {
        if !filter.fits(line) {
            return true;
        }
        count += 1;
        match most {
            Some(most) => {
                if kept.len() == most {
                    kept.pop_front();
                }
                kept.push_back(render(line, bytes));
            }
            None => written = out.write_all(render(line, bytes).as_bytes()),
        }
        written.is_ok()
    })?;
    for line in kept {
        if written.is_ok() {
            written = out.write_all(line.as_bytes());
        }
    }
    match written.and_then(|()| out.flush()) {
        // Who reads a list to its tenth line has done what they wanted.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(CliError::degraded(format!("can't write the records: {error}")));
        }
        _ => {}
    }
    drop(out);
    if count == 0 && !is_json {
        put(if source.files.is_empty() { "The audit log is empty.\n" } else { "No record fits.\n" }, None)?;
    }
    if none > 0 {
        super::terminal::say(&format!("{none} lines are no records: `convoke audit verify` says more"));
    }
    Ok(ExitCode::Success)
}

/// A record in a line.
fn shown(line: &Line, zone: &TimeZone) -> String {
    let at =
        line.at.parse::<Timestamp>().map(|at| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string());
    let run = line.run.as_deref().map_or("-", |run| &run[run.floor_char_boundary(run.len().saturating_sub(8))..]);
    let is_empty = |value: &Value| value.is_null() || value.as_str().is_some_and(str::is_empty);
    let details = line.details.as_object().into_iter().flatten().filter(|(_, value)| !is_empty(value));
    let details: Vec<String> = details.map(|(name, value)| format!("{name}={}", plain(value))).collect();
    // Each by itself: it would take the columns for spaces too many.
    let text = format!(
        "{:>7}  {}  {:8}  {:15} {}  {}",
        line.seq,
        clean::line(at.as_deref().unwrap_or(&line.at)),
        clean::line(run),
        clean::line(&line.kind),
        clean::line(&line.subject),
        clean::line(&clean::bounded(&details.join(" "), SHOWN))
    );
    format!("{}\n", text.trim_end())
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

// Verify ---------------------------------------------------------------------------------------------------------------

fn check(paths: &Paths, matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let files: Vec<PathBuf> = matches.get_many::<PathBuf>("files").into_iter().flatten().cloned().collect();
    let given = matches.get_many::<String>("from-hash").into_iter().flatten();
    let mut anchors: Vec<Anchor> = given
        .map(|hash| Anchor { sequence: None, hash: hash.clone(), from: "what you have kept".to_owned() })
        .collect();
    let (source, reports) = if files.is_empty() {
        // The journal first: what it knows of is in the log then.
        let reports = of_the_journal(paths)?;
        (Source::of_folder(&paths.audit())?, reports)
    } else {
        (Source::of_files(files)?, Vec::new())
    };
    anchors.extend(reports);
    let verdict = verify(&source, &anchors)?;
    let text = if matches.get_flag("json") {
        clean::json(format!("{:#}\n", as_json(&verdict, anchors.len())))
    } else {
        said(&verdict, anchors.len() + usize::from(source.head.is_some()))
    };
    put(&text, None)?;
    Ok(if verdict.is_whole() { ExitCode::Success } else { ExitCode::Findings })
}

/// What reports say of the log: each had its last hash when its run had ended.
fn of_the_journal(paths: &Paths) -> Result<Vec<Anchor>, CliError> {
    let Some(journal) = Journal::open_to_read(&paths.journal())? else { return Ok(Vec::new()) };
    in_runtime(async {
        let mut anchors = Vec::new();
        for summary in journal.summaries(None, REPORTS).await? {
            let run = summary.row.run.id;
            let Some(report) = journal.report(&run).await? else { continue };
            let report: Value = serde_json::from_str(&report).unwrap_or_default();
            let audit = &report["audit"];
            if let (Some(sequence), Some(hash)) = (audit["last_sequence"].as_u64(), audit["last_hash"].as_str())
                && sequence > 0
            {
                let from = format!("the report of run {}", run.short());
                anchors.push(Anchor { sequence: Some(sequence), hash: hash.to_owned(), from });
            }
        }
        Ok(anchors)
    })
}

fn place(said: &Said) -> String {
    let file = clean::line(&said.file.to_string_lossy());
    said.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}"))
}

fn said(verdict: &Verdict, anchors: usize) -> String {
    let mut text = String::new();
    for problem in &verdict.problems {
        let _ = writeln!(text, "{}: {}", place(problem), clean::line(&problem.message));
    }
    if verdict.more > 0 {
        let _ = writeln!(text, "… and {} more", verdict.more);
    }
    for note in &verdict.notes {
        let _ = writeln!(text, "note: {}: {}", place(note), clean::line(&note.message));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let count = verdict.problems.len() as u64 + verdict.more;
    let files = if verdict.files == 1 { "1 file".to_owned() } else { format!("{} files", verdict.files) };
    let _ = match &verdict.last {
        None if count == 0 => writeln!(text, "The audit log is empty."),
        None => writeln!(text, "There is no record in {files}."),
        Some((last, hash)) => {
            let first = verdict.first.unwrap_or(1);
            let _ = writeln!(text, "Records    {first} to {last}, {} in {files}", verdict.records);
            let _ = writeln!(text, "Last hash  {hash}");
            writeln!(text, "Elsewhere  {} of {anchors} known hashes stand where they should", verdict.confirmed)
        }
    };
    let _ = match count {
        0 => writeln!(text, "Whole      every record is as its hash says, and follows from the one before"),
        1 => writeln!(text, "BROKEN     1 problem"),
        count => writeln!(text, "BROKEN     {count} problems"),
    };
    let _ = writeln!(text, "\n{NOT_PROVEN}");
    text
}

fn as_json(verdict: &Verdict, anchors: usize) -> Value {
    json!({
        "schema_version": 1,
        "whole": verdict.is_whole(),
        "files": verdict.files,
        "records": verdict.records,
        "first_sequence": verdict.first,
        "last_sequence": verdict.last.as_ref().map(|(sequence, _)| sequence),
        "last_hash": verdict.last.as_ref().map(|(_, hash)| hash),
        "problems": verdict.problems,
        "more_problems": verdict.more,
        "notes": verdict.notes,
        "known_hashes": anchors,
        "confirmed": verdict.confirmed,
        "not_proven": NOT_PROVEN,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_day_a_moment_or_so_long_ago() {
        let now: Zoned = "2027-01-31T12:00:00[UTC]".parse().unwrap();
        for (text, at) in [
            ("2027-01-30", "2027-01-30T00:00:00Z"),
            ("2027-01-30T01:02:03Z", "2027-01-30T01:02:03Z"),
            ("90m", "2027-01-31T10:30:00Z"),
            ("7d", "2027-01-24T12:00:00Z"),
        ] {
            assert_eq!(since(text, &now).unwrap().to_string(), at, "{text}");
        }
        for wrong in ["", "yesterday", "-1h", "h", "9999999999999999999d", "2027-13-01"] {
            assert!(since(wrong, &now).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_text_of_a_record_does_anything_to_a_terminal() {
        let line = Line {
            v: 1,
            seq: 1,
            at: "\u{1b}[2J".to_owned(),
            pid: 1,
            run: Some("a\u{7}ü".to_owned()),
            kind: "\u{1b}c".to_owned(),
            subject: "a\nb\u{202e}".to_owned(),
            details: json!({"x\u{1b}": "\u{9b}31m", "n": null}),
            prev: String::new(),
            hash: String::new(),
        };
        let text = shown(&line, &TimeZone::UTC);
        assert_eq!(text.matches('\n').count(), 1);
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']), "{text:?}");
    }
}
