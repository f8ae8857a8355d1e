//! When something that is closed now may be open.

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_latest_time_counts_and_a_change_outweighs_times() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        assert_eq!(all_open([Ok(()), Ok(())]), Ok(()));
        assert_eq!(all_open([Err(Wait::Until(later)), Ok(()), Err(Wait::Until(now))]), Err(Wait::Until(later)));
        assert_eq!(all_open([Err(Wait::Until(later)), Err(Wait::Change)]), Err(Wait::Change));
    }
}
