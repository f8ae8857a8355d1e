//! What time it is for a policy.

use std::sync::Arc;

use convoke_policy::Now;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Gives the time as the user's clock shows it. Tests set it.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    zone: TimeZone,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(Timestamp::now, TimeZone::system())
    }
}

impl Clock {
    /// A clock of one's own, in that time zone.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static, zone: TimeZone) -> Self {
        Self { now: Arc::new(now), zone }
    }

    /// The time now.
    pub fn now(&self) -> Now {
        self.shows((self.now)())
    }

    /// A time, as this clock shows it.
    pub fn shows(&self, time: Timestamp) -> Now {
        let local = time.to_zoned(self.zone.clone());
        let unix_ms = u64::try_from(time.as_millisecond()).unwrap_or(0);
        // Hours, minutes and weekdays are small and not negative.
        let small = |number: i8| number.unsigned_abs();
        Now::new(unix_ms, small(local.hour()), small(local.minute()), small(local.weekday().to_monday_one_offset()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_is_the_users_and_the_milliseconds_are_everybodys() {
        let time: Timestamp = "2027-01-31T23:30:00.250Z".parse().unwrap();
        let east = TimeZone::fixed(jiff::tz::offset(2));
        let now = Clock::new(move || time, east).now();
        assert_eq!(now, Now::new(1_801_438_200_250, 1, 30, 1), "it is Monday there");
    }
}
