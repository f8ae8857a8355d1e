//! The journal's file, and what in it was not brought to its end.

use std::path::Path;

use convoke_runtime::journal::JournalError;
use convoke_runtime::journal::health::Health;

use super::bytes;
use crate::backends::doctor::{Check, State};
use crate::report::words::{counted, thousands};

/// A log of more bytes has not been taken into the file for long.
const LARGE_LOG: u64 = 256 << 20;

pub(super) fn judge(found: &Result<Option<Health>, JournalError>, path: &Path) -> Vec<Check> {
    let health = match found {
        Ok(Some(health)) => health,
        Ok(None) => return vec![Check::new("file", State::Ok, format!("{}: made by the first run", path.display()))],
        Err(error) => return vec![Check::new("file", State::Broken, error.to_string()).hint(hint(error, path))],
    };
    let since =
        health.oldest.map(|oldest| format!(", the oldest of {}", oldest.strftime("%Y-%m-%d"))).unwrap_or_default();
    let file = format!("{}, {}{since}", bytes(health.bytes + health.log_bytes), counted(health.runs, "run", "runs"));
    let file = match health.log_bytes > LARGE_LOG {
        true => Check::new("file", State::Warn, format!("{file}; {} of it in its log", bytes(health.log_bytes)))
            .hint(Some("a process has been reading for long: it shrinks when all of them have ended")),
        false => Check::new("file", State::Ok, file),
    };
    let format = match health.format < health.newest {
        true => format!("format {}: the next run brings it to {}", health.format, health.newest),
        false => format!("format {}", health.format),
    };
    vec![file, Check::new("format", State::Ok, format), integrity(health, path), runs(health), edits(health)]
}

/// What to do about one that can't be used.
fn hint(error: &JournalError, path: &Path) -> Option<String> {
    let shown = path.display();
    Some(match error {
        JournalError::Newer { .. } => "update convoke".to_owned(),
        JournalError::NotAJournal { .. } => format!("move {shown} away: the next run makes a new one"),
        JournalError::Corrupt { .. } => damaged(path),
        JournalError::Locked { .. } => "another process holds it: look again when that has ended".to_owned(),
        JournalError::ReadOnly { .. } | JournalError::Unreachable { .. } => {
            "make the folder and the file readable and writable for yourself".to_owned()
        }
        _ => return None,
    })
}

fn damaged(path: &Path) -> String {
    let shown = path.display();
    format!(
        "move {shown} with its -wal and -shm away and keep them: the next run makes a new journal, and does again what was \
         done; `sqlite3 {shown} .recover` may save what was in it"
    )
}

fn integrity(health: &Health, path: &Path) -> Check {
    match health.faults.as_deref() {
        Some([]) => Check::new("integrity", State::Ok, "nothing is wrong with it"),
        Some([first, rest @ ..]) => {
            let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
            Check::new("integrity", State::Broken, format!("it is damaged: {first}{more}")).hint(Some(damaged(path)))
        }
        None => Check::new("integrity", State::Unsure, "it is too large to be looked through in ten seconds")
            .hint(Some("`convoke runs prune` makes it smaller")),
    }
}

fn runs(health: &Health) -> Check {
    let running = format!("{} under way", thousands(health.running));
    match health.gone.first() {
        None => Check::new("runs", State::Ok, format!("{running}, and all others have ended")),
        Some(newest) => {
            let left = counted(health.gone.len() as u64, "was left without an end", "were left without an end");
            let hint = format!("`convoke resume {}` goes on with the newest of them", newest.short());
            Check::new("runs", State::Warn, format!("{running}; {left}: the process is gone")).hint(Some(hint))
        }
    }
}

fn edits(health: &Health) -> Check {
    match health.applies_under_way {
        0 => Check::new("edits", State::Ok, "none is half carried out"),
        count => {
            let found =
                counted(count, "set of edits was begun and has no end", "sets of edits were begun and have no end");
            Check::new("edits", State::Warn, found)
                .hint(Some("the next run of any command finishes them, before anything else"))
        }
    }
}

#[cfg(test)]
mod tests {
    use convoke_runtime::journal::RunId;

    use super::*;

    fn states(health: Health) -> Vec<(&'static str, State)> {
        let checks = judge(&Ok(Some(health)), Path::new("/data/journal.db"));
        assert!(checks.iter().all(|check| check.state == State::Ok || check.hint.is_some()), "{checks:?}");
        checks.iter().filter(|check| check.state != State::Ok).map(|check| (check.name, check.state)).collect()
    }

    fn good() -> Health {
        Health { format: 11, newest: 11, faults: Some(Vec::new()), bytes: 5 << 20, runs: 3, ..Health::default() }
    }

    #[test]
    fn what_was_left_in_the_middle_is_a_warning_and_damage_is_the_end() {
        assert_eq!(states(good()), []);
        assert_eq!(states(Health { gone: vec![RunId::new(), RunId::new()], ..good() }), [("runs", State::Warn)]);
        assert_eq!(states(Health { applies_under_way: 1, ..good() }), [("edits", State::Warn)]);
        assert_eq!(states(Health { faults: None, ..good() }), [("integrity", State::Unsure)]);
        assert_eq!(states(Health { log_bytes: 1 << 30, ..good() }), [("file", State::Warn)]);
        let damaged = Health { faults: Some(vec!["row 3 missing from index".to_owned()]), ..good() };
        assert_eq!(states(damaged), [("integrity", State::Broken)]);
        assert_eq!(states(Health { format: 9, ..good() }), [], "an older one is brought to the newest");
    }

    #[test]
    fn one_that_can_not_be_opened_says_what_to_do() {
        let path = Path::new("/data/journal.db").to_owned();
        let newer = JournalError::Newer { path: path.clone(), found: 99, known: 11 };
        let corrupt = JournalError::Corrupt { path: path.clone(), detail: "malformed".to_owned() };
        for (error, words) in [(newer, "update convoke"), (corrupt, ".recover")] {
            let [check] = &judge(&Err(error), &path)[..] else { panic!("one check") };
            assert!(
                check.state == State::Broken && check.hint.as_ref().is_some_and(|hint| hint.contains(words)),
                "{check:?}"
            );
        }
        assert_eq!(judge(&Ok(None), &path)[0].state, State::Ok, "none is needed before the first run");
    }
}
