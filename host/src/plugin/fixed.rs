//! A sandbox in which no time passes and chance repeats itself: for tests of plugins.

use std::convert::Infallible;
use std::time::Duration;

use convoke_made::Chance;
use jiff::Timestamp;
use rand::TryRng;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder};

/// What each run of the plugin finds in place of the machine's clocks and random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// What time it is, from the beginning to the end. What waits for a time still waits for it.
    pub now: Timestamp,
    /// What random numbers are made from. Each sandbox begins with it anew.
    pub seed: u64,
}

impl Fixed {
    pub(super) fn put_into(self, wasi: &mut WasiCtxBuilder) {
        let since_epoch = Duration::try_from(self.now.as_duration()).unwrap_or_default();
        wasi.wall_clock(Still(since_epoch)).monotonic_clock(Still(since_epoch));
        wasi.secure_random(Drawn(Chance::of("secure", self.seed)));
        wasi.insecure_random(Drawn(Chance::of("insecure", self.seed)));
        let mut seed = Chance::of("seed", self.seed);
        wasi.insecure_random_seed(u128::from(seed.number()) << 64 | u128::from(seed.number()));
    }
}

/// A clock that stands still.
struct Still(Duration);

impl HostWallClock for Still {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

impl HostMonotonicClock for Still {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

struct Drawn(Chance);

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.0.number() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.number())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}
