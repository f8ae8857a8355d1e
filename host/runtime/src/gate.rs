//! When something that is closed now may be open.

use std::time::Duration;

use tokio::time::Instant;

/// What has to happen before it is worth looking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// That time has to come.
    Until(Instant),
    /// Something that is held has to be given back. Time alone changes nothing.
    Change,
}

impl Wait {
    /// What has to happen for both.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Until(one), Self::Until(two)) => Self::Until(one.max(two)),
            _ => Self::Change,
        }
    }
}

/// All of them open, or what the closed ones wait for.
pub fn all_open(gates: impl IntoIterator<Item = Result<(), Wait>>) -> Result<(), Wait> {
    gates.into_iter().filter_map(Result::err).reduce(Wait::and).map_or(Ok(()), Err)
}

/// That long from then; ten years where the clock can't count so far. Waits come from servers and settings.
pub fn later(from: Instant, wait: Duration) -> Instant {
    from.checked_add(wait).unwrap_or_else(|| from + TEN_YEARS)
}

const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_time_counts_and_a_change_outweighs_times() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        assert_eq!(all_open([Ok(()), Ok(())]), Ok(()));
        assert_eq!(all_open([Err(Wait::Until(later)), Ok(()), Err(Wait::Until(now))]), Err(Wait::Until(later)));
        assert_eq!(all_open([Err(Wait::Until(later)), Err(Wait::Change)]), Err(Wait::Change));
    }

    #[test]
    fn no_wait_is_too_long_for_the_clock() {
        let now = Instant::now();
        assert_eq!(later(now, Duration::from_secs(171)), now + Duration::from_secs(171));
        assert_eq!(later(now, Duration::MAX), now + TEN_YEARS);
    }
}
