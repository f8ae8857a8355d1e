//! The time that all processes of a machine agree on, and that nobody can set.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::quota::kept::Moment;

/// Gives the time since the machine booted, its sleep included where the system counts that. A jump of the wall clock
/// changes nothing.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Duration + Send + Sync>);

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl Clock {
    /// One that is given.
    pub fn new(clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(clock))
    }

    /// The kernel's.
    pub fn system() -> Self {
        use rustix::time::{ClockId, clock_gettime};
        #[cfg(any(target_os = "linux", target_os = "android"))]
        const ID: ClockId = ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        const ID: ClockId = ClockId::Monotonic;
        Self::new(|| Duration::try_from(clock_gettime(ID)).unwrap_or_default())
    }

    /// The runtime's, which tests can stop. It means nothing to another process.
    pub fn of_runtime() -> Self {
        let began = Instant::now();
        Self::new(move || began.elapsed())
    }

    /// Now.
    pub(super) fn moment(&self) -> Moment {
        Moment { now: Instant::now(), nanos: self.nanos() }
    }

    /// The nanoseconds since the machine booted.
    pub(super) fn nanos(&self) -> u64 {
        u64::try_from((self.0)().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Names the kernel's present run: times since the boot mean nothing after it. Empty where the system has no such name:
/// then a time that is still to come tells it.
pub fn boot() -> String {
    let named = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    named.map(|name| name.trim().to_owned()).unwrap_or_default()
}
