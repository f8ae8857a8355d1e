//! When questions were admitted.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// What is told apart.
const GRAIN: Duration = Duration::from_millis(1);

/// The admissions of the last minute. At most one entry for each of its milliseconds.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// When, and how many then.
    minute: VecDeque<(Instant, u64)>,
    count: u64,
    last: Option<Instant>,
}

impl Recent {
    /// One is admitted now.
    pub(super) fn admitted(&mut self, now: Instant) {
        self.last = Some(now);
        self.count += 1;
        match self.minute.back_mut() {
            Some((at, count)) if now.saturating_duration_since(*at) < GRAIN => *count += 1,
            _ => self.minute.push_back((now, 1)),
        }
    }

    /// Since the last one.
    pub(super) fn since_last(&self, now: Instant) -> Option<Duration> {
        self.last.map(|last| now.saturating_duration_since(last))
    }

    /// How many there were within the last minute.
    pub(super) fn last_minute(&mut self, now: Instant) -> u64 {
        while let Some((at, count)) = self.minute.front() {
            if now.saturating_duration_since(*at) < MINUTE {
                break;
            }
            self.count -= count;
            self.minute.pop_front();
        }
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_minute_slides() {
        let (mut recent, start) = (Recent::default(), Instant::now());
        assert_eq!(recent.since_last(start), None);
        for second in 0..90 {
            recent.admitted(start + Duration::from_secs(second));
            recent.admitted(start + Duration::from_secs(second));
        }
        let now = start + Duration::from_secs(89);
        assert_eq!((recent.last_minute(now), recent.since_last(now)), (120, Some(Duration::ZERO)));
        assert_eq!(recent.last_minute(now + Duration::from_secs(59)), 2);
        assert_eq!(recent.last_minute(now + MINUTE), 0);
        assert!(recent.minute.is_empty());
    }
}
