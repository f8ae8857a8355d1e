//! A worker's own time: what passes while it waits for nobody.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Counts the time in which a sandbox has no call to the host under way. Waiting for quota, for an instance or for an
/// answer is not the plugin's fault; computing, and waiting for its own timers, is.
pub(super) struct OwnTime {
    state: Mutex<Clock>,
}

struct Clock {
    host_calls: u32,
    /// What had passed when the clock was last stopped.
    passed: Duration,
    /// Since when it runs.
    since: Option<Instant>,
}

impl Default for OwnTime {
    fn default() -> Self {
        Self { state: Mutex::new(Clock { host_calls: 0, passed: Duration::ZERO, since: Some(Instant::now()) }) }
    }
}

impl OwnTime {
    /// Stops the clock until the guard is dropped, and all others like it.
    pub(super) fn host_call(self: &Arc<Self>) -> HostCall {
        let mut clock = self.clock();
        clock.host_calls += 1;
        if let Some(since) = clock.since.take() {
            clock.passed += since.elapsed();
        }
        HostCall(self.clone())
    }

    /// Begins again from nothing.
    pub(super) fn restart(&self) {
        let mut clock = self.clock();
        clock.passed = Duration::ZERO;
        clock.since = clock.since.map(|_| Instant::now());
    }

    /// What has passed.
    pub(super) fn passed(&self) -> Duration {
        let clock = self.clock();
        clock.passed + clock.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Returns when so much own time has passed.
    pub(super) async fn exceeds(&self, limit: Duration) {
        loop {
            let passed = self.passed();
            if passed >= limit {
                return;
            }
            sleep_until(Instant::now() + (limit - passed)).await;
        }
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call to the host that is under way.
pub(super) struct HostCall(Arc<OwnTime>);

impl Drop for HostCall {
    fn drop(&mut self) {
        let mut clock = self.0.clock();
        clock.host_calls -= 1;
        if clock.host_calls == 0 {
            clock.since = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waiting_for_the_host_does_not_count() {
        let own_time = Arc::new(OwnTime::default());
        tokio::time::advance(Duration::from_secs(2)).await;
        let (one, two) = (own_time.host_call(), own_time.host_call());
        tokio::time::advance(Duration::from_secs(100)).await;
        drop(one);
        tokio::time::advance(Duration::from_secs(100)).await;
        drop(two);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(own_time.passed(), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_fires_after_so_much_own_time() {
        let own_time = Arc::new(OwnTime::default());
        let call = own_time.host_call();
        let began = Instant::now();
        let limit = tokio::spawn({
            let own_time = own_time.clone();
            async move { own_time.exceeds(Duration::from_secs(10)).await }
        });
        tokio::time::sleep(Duration::from_secs(35)).await;
        assert!(!limit.is_finished());
        drop(call);
        limit.await.expect("it ends");
        assert_eq!(began.elapsed(), Duration::from_secs(45));
    }

    #[tokio::test(start_paused = true)]
    async fn each_item_has_the_whole_time() {
        let own_time = Arc::new(OwnTime::default());
        tokio::time::advance(Duration::from_secs(9)).await;
        own_time.restart();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(own_time.passed(), Duration::from_secs(1));
    }
}
