//! One trouble is one alert: it must last before it is raised, and must be well for as long, and clearly, before it is
//! cleared.

use std::time::Duration;

/// Below this share of a threshold it is well again: what swings around the threshold is one trouble.
pub(super) const WELL: f64 = 0.9;

/// How something stands against its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Above it.
    Above,
    /// Between the threshold and what is well.
    Between,
    /// Well.
    Well,
    /// Nobody knows: nothing changes, and no time counts.
    Unknown,
}

impl Seen {
    /// A number against its threshold.
    pub(super) fn of(value: f64, threshold: f64) -> Self {
        match value {
            value if value > threshold => Self::Above,
            // A threshold of nothing has no value below it.
            value if value <= threshold * WELL => Self::Well,
            _ => Self::Between,
        }
    }
}

/// What becomes of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is raised.
    Raise,
    /// It is cleared.
    Clear,
}

/// One thing that may be wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trouble {
    stands: bool,
    /// Since when it is otherwise than it stands.
    since: Option<Duration>,
}

impl Trouble {
    /// Looks at it. `raise_after`, `clear_after`: how long it must last.
    pub(super) fn look(
        &mut self,
        at: Duration,
        seen: Seen,
        raise_after: Duration,
        clear_after: Duration,
    ) -> Option<Turn> {
        let (turns, after, turn) = match self.stands {
            false => (seen == Seen::Above, raise_after, Turn::Raise),
            true => (seen == Seen::Well, clear_after, Turn::Clear),
        };
        if !turns {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(at);
        if at.saturating_sub(since) < after {
            return None;
        }
        (self.stands, self.since) = (!self.stands, None);
        Some(turn)
    }

    pub(super) fn stands(&self) -> bool {
        self.stands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TEN: Duration = Duration::from_secs(10);

    /// What comes of these values, one a second, against 80, where it must last ten seconds.
    fn turns(values: impl IntoIterator<Item = f64>) -> Vec<(u64, Turn)> {
        let mut trouble = Trouble::default();
        let looks = values.into_iter().zip(0_u64..);
        looks
            .filter_map(|(value, second)| {
                let turn = trouble.look(second as u32 * SECOND, Seen::of(value, 80.0), TEN, TEN)?;
                Some((second, turn))
            })
            .collect()
    }

    #[test]
    fn one_trouble_is_one_alert() {
        let swings = (0..60).map(|second| if second % 2 == 0 { 81.0 } else { 79.0 });
        let values = std::iter::repeat_n(95.0, 30).chain(swings).chain(std::iter::repeat_n(50.0, 30));
        assert_eq!(turns(values), [(10, Turn::Raise), (100, Turn::Clear)]);
    }

    #[test]
    fn a_peak_is_no_trouble_and_a_dip_is_no_end_of_it() {
        assert_eq!(turns((0..60).map(|second| if second % 9 == 0 { 10.0 } else { 99.0 })), []);
        let dips = (0..60).map(|second| if second > 20 && second % 5 == 0 { 10.0 } else { 99.0 });
        assert_eq!(turns(dips), [(10, Turn::Raise)]);
    }

    #[test]
    fn between_the_threshold_and_what_is_well_nothing_changes() {
        assert_eq!(turns(std::iter::repeat_n(76.0, 60)), []);
        let values = std::iter::repeat_n(90.0, 20).chain(std::iter::repeat_n(73.0, 60));
        assert_eq!(turns(values), [(10, Turn::Raise)]);
    }

    #[test]
    fn what_nobody_knows_counts_for_nothing() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.look(SECOND, Seen::Above, TEN, TEN), None);
        assert_eq!(trouble.look(2 * SECOND, Seen::Unknown, TEN, TEN), None);
        assert_eq!(trouble.look(12 * SECOND, Seen::Above, TEN, TEN), None, "from the beginning");
        assert_eq!(Seen::of(0.0, 0.0), Seen::Well);
    }
}
