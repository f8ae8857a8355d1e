//! The time of a decision.

use serde::{Deserialize, Serialize};

/// The time at which something is decided, as the user's clock shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Now {
    /// Milliseconds since 1970 in UTC.
    pub unix_ms: u64,
    /// The hour in the user's time zone, 0 to 23.
    pub hour: u8,
    /// The minute, 0 to 59.
    pub minute: u8,
    /// The day of the week: 1 is Monday, 7 is Sunday.
    pub weekday: u8,
}

impl Now {
    /// A time. What is out of its range is not checked.
    pub fn new(unix_ms: u64, hour: u8, minute: u8, weekday: u8) -> Self {
        Self { unix_ms, hour, minute, weekday }
    }
}
