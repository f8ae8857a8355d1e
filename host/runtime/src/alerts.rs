//! The alerts of a run: what was not as it should be, from when to when.

use std::borrow::Cow;
use std::time::Duration;

use crate::event::Fact;

/// How many are kept for the report. Hysteresis makes them few; a run of days that swings still stays bounded.
pub const MOST_ALERTS: usize = 1_000;

/// An alert that was raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Which: `errors`, `response`, `cpu`, `memory`…
    pub alert: String,
    /// What was seen then, and what the threshold is.
    pub reason: String,
    /// When, since the stream of events began.
    pub raised: Duration,
    /// When it was cleared, if it was.
    pub cleared: Option<Duration>,
}

/// Those of a run.
#[derive(Debug, Default)]
pub struct Alerts {
    all: Vec<Alert>,
    /// Of each that stands, its place among them.
    standing: Vec<(String, Option<usize>)>,
    ended: bool,
}

impl Alerts {
    /// One is raised: what is told. None: it stands already, or the run has ended.
    pub fn raise(&mut self, alert: &str, reason: &str, at: Duration) -> Option<Fact> {
        if self.ended || self.standing.iter().any(|(known, _)| known == alert) {
            return None;
        }
        let place = (self.all.len() < MOST_ALERTS).then_some(self.all.len());
        if place.is_some() {
            self.all.push(Alert { alert: alert.to_owned(), reason: reason.to_owned(), raised: at, cleared: None });
        }
        self.standing.push((alert.to_owned(), place));
        Some(Fact::AlertRaised { alert: Cow::Owned(alert.to_owned()), reason: reason.to_owned() })
    }

    /// One is cleared: what is told. None: it doesn't stand, or the run has ended.
    pub fn clear(&mut self, alert: &str, reason: &str, at: Duration) -> Option<Fact> {
        if self.ended {
            return None;
        }
        let place = self.standing.iter().position(|(known, _)| known == alert)?;
        if let (_, Some(kept)) = self.standing.swap_remove(place) {
            self.all[kept].cleared = Some(at);
        }
        Some(Fact::AlertCleared { alert: Cow::Owned(alert.to_owned()), reason: reason.to_owned() })
    }

    /// All of them. From now on none is raised or cleared.
    pub fn end(&mut self) -> Vec<Alert> {
        self.ended = true;
        self.all.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_stands_is_not_raised_again_and_what_does_not_is_not_cleared() {
        let mut alerts = Alerts::default();
        assert_eq!(alerts.clear("cpu", "well", SECOND), None);
        assert!(alerts.raise("cpu", "hot", SECOND).is_some());
        assert_eq!(alerts.raise("cpu", "hotter", 2 * SECOND), None);
        assert!(alerts.raise("errors", "many", 2 * SECOND).is_some());
        assert!(alerts.clear("cpu", "well", 3 * SECOND).is_some());
        assert!(alerts.raise("cpu", "again", 4 * SECOND).is_some());
        let all = alerts.end();
        let times: Vec<_> = all.iter().map(|one| (one.alert.as_str(), one.raised, one.cleared)).collect();
        assert_eq!(times, [("cpu", SECOND, Some(3 * SECOND)), ("errors", 2 * SECOND, None), ("cpu", 4 * SECOND, None)]);
    }

    #[test]
    fn a_run_that_has_ended_has_no_more_alerts_than_its_report() {
        let mut alerts = Alerts::default();
        assert!(alerts.raise("cpu", "hot", SECOND).is_some());
        assert_eq!(alerts.end().len(), 1);
        assert_eq!(alerts.clear("cpu", "well", SECOND), None);
        assert_eq!(alerts.raise("memory", "full", SECOND), None);
    }

    #[test]
    fn a_run_that_swings_for_days_keeps_so_many() {
        let mut alerts = Alerts::default();
        for _ in 0..MOST_ALERTS + 5 {
            assert!(alerts.raise("cpu", "hot", SECOND).is_some());
            assert!(alerts.clear("cpu", "well", SECOND).is_some());
        }
        assert_eq!(alerts.end().len(), MOST_ALERTS);
    }
}
