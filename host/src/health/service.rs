//! How the service goes: quotas and money as they were seen last, errors and times of the last day, and processes that
//! hosts have left.

use std::path::Path;
use std::time::Duration;

use convoke_runtime::journal::health::Lately;
use convoke_runtime::money::Usd;
use convoke_runtime::robust::{median, quantile};
use convoke_runtime::shared::SharedError;
use convoke_runtime::shared::look::{Overview, SpentView};
use convoke_runtime::warden::{self, Left};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::backends::doctor::{Check, State};
use crate::config::Settings;
use crate::report::words::{counted, duration, thousands};

/// More errors, of all requests, are too many; a longer median until an answer begins is too long: the design's alerts.
const ERRORS: f64 = 0.05;
const RESPONSE_MS: f64 = 5_000.0;

/// Fewer requests say nothing of a rate.
const FEWEST: u64 = 20;

pub(super) fn look(
    settings: &Settings,
    shared: Result<Option<Overview>, SharedError>,
    lately: &Result<Lately, String>,
    records: &Path,
) -> Vec<Check> {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let overview = shared.as_ref().ok().and_then(Option::as_ref);
    let spent = overview.and_then(|overview| overview.spent).filter(|spent| spent.day == today);
    vec![
        quotas(&shared),
        budget(settings.budget.usd_per_day, spent),
        errors(lately),
        response(lately),
        processes(warden::look(records)),
    ]
}

fn quotas(shared: &Result<Option<Overview>, SharedError>) -> Check {
    let overview = match shared {
        Ok(Some(overview)) => overview,
        Ok(None) => return Check::new("quotas", State::Ok, "nothing was taken from any since the machine booted"),
        Err(error) => {
            return Check::new("quotas", State::Warn, error.to_string())
                .hint(Some("runs go on, each with quotas of its own; `convoke limits` says more"));
        }
    };
    let empty: Vec<_> = overview.buckets.iter().filter(|bucket| bucket.left <= 0).collect();
    let found = format!(
        "{} known, {} in use by {}",
        counted(overview.buckets.len() as u64, "bucket", "buckets"),
        counted(overview.instances, "instance", "instances"),
        counted(overview.processes.len() as u64, "process", "processes"),
    );
    match empty.iter().max_by_key(|bucket| bucket.full_in) {
        None => Check::new("quotas", State::Ok, found),
        Some(last) => {
            let names: Vec<String> = empty.iter().map(|bucket| format!("{} ({})", bucket.of, bucket.counts)).collect();
            let full = duration(u64::try_from(last.full_in.as_millis()).unwrap_or(u64::MAX));
            Check::new("quotas", State::Warn, format!("{found}; empty: {}", names.join(", ")))
                .hint(Some(format!("questions wait for them; all are full in {full}; `convoke limits` shows them")))
        }
    }
}

fn budget(of_day: Option<Usd>, spent: Option<SpentView>) -> Check {
    let today = spent.map_or(Usd::ZERO, |spent| spent.of_day);
    let at_least = if spent.is_some_and(|spent| !spent.whole) { "at least " } else { "" };
    match of_day {
        None => Check::new("money", State::Ok, format!("{at_least}{today} spent today; the day is not limited")),
        Some(most) if today >= most => {
            Check::new("money", State::Warn, format!("{at_least}{today} of {most} spent today"))
                .hint(Some("runs park until midnight UTC, or until usd_per_day is raised"))
        }
        Some(most) => Check::new("money", State::Ok, format!("{at_least}{today} of {most} spent today")),
    }
}

/// What the journal can't tell is not known; why not.
fn unknown(name: &'static str, why: &str) -> Check {
    Check::new(name, State::Unsure, format!("not known for the last day: {why}"))
        .hint(Some("see the lines of the journal, and look again"))
}

fn errors(lately: &Result<Lately, String>) -> Check {
    let lately = match lately {
        Ok(lately) => lately,
        Err(why) => return unknown("errors", why),
    };
    if lately.requests == 0 {
        return Check::new("errors", State::Ok, "no model was asked in the last day");
    }
    let share = lately.failed as f64 / lately.requests as f64;
    let newest = lately.of_newest.map(|newest| format!(", of the newest {} questions", thousands(newest)));
    let found = format!(
        "{} of {} failed in the last day ({:.1} %{})",
        thousands(lately.failed),
        counted(lately.requests, "request", "requests"),
        share * 100.0,
        newest.unwrap_or_default(),
    );
    if share > ERRORS && lately.requests >= FEWEST {
        let hint = "`convoke runs` shows which runs; `convoke doctor --online` tries the service now";
        return Check::new("errors", State::Warn, found).hint(Some(hint));
    }
    Check::new("errors", State::Ok, found)
}

fn response(lately: &Result<Lately, String>) -> Check {
    let (first, took) = match lately {
        Ok(lately) => (lately.first_ms.as_slice(), lately.took_ms.as_slice()),
        Err(why) => return unknown("response", why),
    };
    let (Some(middle), Some(most)) = (median(took), quantile(took, 0.95)) else {
        return Check::new("response", State::Ok, "no model has answered in the last day");
    };
    let millis = |value: f64| duration(Duration::from_secs_f64(value.max(0.0) / 1e3).as_millis() as u64);
    let begins = median(first);
    let begun = begins
        .map(|begins| format!("an answer begins after {} and is there after ", millis(begins)))
        .unwrap_or_default();
    let found = format!(
        "{begun}{} (median of {}; 95 % within {})",
        millis(middle),
        counted(took.len() as u64, "answer", "answers"),
        millis(most)
    );
    match begins {
        Some(begins) if begins > RESPONSE_MS => Check::new("response", State::Warn, found)
            .hint(Some("the service is slow, or too much is asked at once: fewer --instances, or another time")),
        _ => Check::new("response", State::Ok, found),
    }
}

fn processes(left: Left) -> Check {
    let kept = counted(left.kept as u64, "program", "programs");
    match left {
        Left { gone: 0, .. } => {
            Check::new("processes", State::Ok, format!("{kept} at work; no host that is gone has left one"))
        }
        Left { processes: 0, gone, .. } => Check::new(
            "processes",
            State::Ok,
            format!(
                "{kept} at work; {} of hosts that are gone, without a process",
                counted(gone as u64, "record", "records")
            ),
        ),
        Left { processes, .. } => {
            let found = format!(
                "{} of a host that is gone {}",
                counted(processes as u64, "process", "processes"),
                if processes == 1 { "lives" } else { "live" }
            );
            Check::new("processes", State::Warn, found).hint(Some("the next run that asks `claude` ends them"))
        }
    }
}

#[cfg(test)]
mod tests {
    use convoke_runtime::shared::look::BucketView;

    use super::*;

    fn overview(left: i128) -> Result<Option<Overview>, SharedError> {
        let bucket = BucketView {
            of: "account anthropic".to_owned(),
            counts: "requests",
            size: 50,
            per: Duration::from_secs(60),
            left,
            held: 0,
            full_in: Duration::from_secs(42),
            waiting: Vec::new(),
        };
        Ok(Some(Overview { buckets: vec![bucket], instances: 2, processes: Vec::new(), spent: None }))
    }

    #[test]
    fn an_empty_quota_is_named_with_when_it_is_full() {
        assert_eq!(quotas(&overview(7)).state, State::Ok);
        assert_eq!(quotas(&Ok(None)).state, State::Ok);
        let empty = quotas(&overview(-3));
        assert_eq!(empty.state, State::Warn);
        assert!(empty.found.ends_with("empty: account anthropic (requests)"), "{}", empty.found);
        assert!(empty.hint.unwrap().contains("42.00 s"));
    }

    #[test]
    fn a_spent_day_is_a_warning() {
        let usd = |dollars| Some(Usd::from_dollars(dollars));
        let day = jiff::civil::date(2027, 1, 15);
        let spent = |dollars| {
            let of_day = Usd::from_dollars(dollars);
            Some(SpentView { day, of_day, of_month: of_day, reserved: Usd::ZERO, whole: false })
        };
        let states = [
            budget(None, spent(9.0)),
            budget(usd(5.0), spent(4.0)),
            budget(usd(5.0), spent(5.0)),
            budget(usd(5.0), None),
        ];
        assert_eq!(states.map(|check| check.state), [State::Ok, State::Ok, State::Warn, State::Ok]);
    }

    #[test]
    fn more_than_a_twentieth_of_errors_is_a_warning_where_enough_was_asked() {
        let of = |failed, requests| errors(&Ok(Lately { requests, failed, ..Lately::default() })).state;
        assert_eq!([of(5, 100), of(6, 100), of(2, 4), of(0, 0)], [State::Ok, State::Warn, State::Ok, State::Ok]);
        let some = Lately { requests: 30_000, failed: 30, of_newest: Some(20_000), ..Lately::default() };
        let words = "30 of 30,000 requests failed in the last day (0.1 %, of the newest 20,000 questions)";
        assert_eq!(errors(&Ok(some)).found, words);
    }

    #[test]
    fn what_the_journal_can_not_tell_is_not_known() {
        let why = Err("it is damaged".to_owned());
        for check in [errors(&why), response(&why)] {
            assert_eq!(
                (check.state, check.found.as_str()),
                (State::Unsure, "not known for the last day: it is damaged")
            );
            assert!(check.hint.is_some());
        }
    }

    #[test]
    fn a_slow_service_is_a_warning() {
        let of = |first: f64| Lately {
            first_ms: vec![first; 3],
            took_ms: vec![9_000.0, 10_000.0, 30_000.0],
            ..Lately::default()
        };
        let quick = response(&Ok(of(800.0)));
        let words =
            "an answer begins after 800 ms and is there after 10.00 s (median of 3 answers; 95 % within 30.00 s)";
        assert_eq!((quick.state, quick.found.as_str()), (State::Ok, words));
        assert_eq!(response(&Ok(of(5_100.0))).state, State::Warn);
        assert_eq!(response(&Ok(Lately::default())).state, State::Ok);
    }

    #[test]
    fn a_process_of_a_host_that_is_gone_is_a_warning() {
        let of = |kept, gone, processes| processes_of(Left { kept, gone, processes });
        assert_eq!([of(2, 0, 0), of(2, 1, 0), of(0, 1, 2)], [State::Ok, State::Ok, State::Warn]);
    }

    fn processes_of(left: Left) -> State {
        processes(left).state
    }
}
