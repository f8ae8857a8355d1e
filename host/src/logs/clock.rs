//! The time of a line: that of the event that it tells, and not when it was written.

use std::cell::Cell;
use std::fmt;

use jiff::Timestamp;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

thread_local! {
    static AT: Cell<Option<Timestamp>> = const { Cell::new(None) };
}

/// Says what time it is.
pub(super) struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, to: &mut Writer<'_>) -> fmt::Result {
        write!(to, "{:.6}", AT.get().unwrap_or_else(Timestamp::now))
    }
}

/// What is logged in here has that time.
pub(super) fn at(time: Timestamp, log: impl FnOnce()) {
    AT.set(Some(time));
    log();
    AT.set(None);
}
