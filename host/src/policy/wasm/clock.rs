//! Time for wasmtime's epochs: ticks while a policy is called, and rests otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::Engine;

/// From tick to tick.
const TICK: Duration = Duration::from_millis(10);

/// How many ticks end a call that may take so long. On a busy machine ticks come late, never early.
pub(super) fn ticks(longest: Duration) -> u64 {
    // One more: the first may come at once.
    u64::try_from(longest.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

/// Ticks for one engine.
pub(super) struct Clock {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    /// How many calls are under way.
    calls: AtomicU64,
    rests: AtomicBool,
}

impl Clock {
    pub(super) fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let ticking = shared.clone();
        let handle = thread::Builder::new().name("policy-clock".to_owned()).spawn(move || ticking.run(&engine))?;
        Ok(Self { shared, thread: handle.thread().clone() })
    }

    /// A call begins; it ends when this is dropped.
    pub(super) fn call(&self) -> Call<'_> {
        self.shared.calls.fetch_add(1, Ordering::SeqCst);
        if self.shared.rests.swap(false, Ordering::SeqCst) {
            self.thread.unpark();
        }
        Call(&self.shared)
    }
}

/// A call under way.
pub(super) struct Call<'a>(&'a Shared);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    fn run(&self, engine: &Engine) {
        let mut idle = 0;
        loop {
            thread::sleep(TICK);
            engine.increment_epoch();
            idle = if self.calls.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
            // A while after the last call, so that a busy policy does not wake this each time.
            if idle < 100 {
                continue;
            }
            self.rests.store(true, Ordering::SeqCst);
            // A call that began just before this saw no rest to end.
            while self.rests.load(Ordering::SeqCst) && self.calls.load(Ordering::SeqCst) == 0 {
                thread::park();
            }
            self.rests.store(false, Ordering::SeqCst);
            idle = 0;
        }
    }
}
