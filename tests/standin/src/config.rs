//! How a stand-in behaves.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::answer::Answers;
use crate::fault::FaultRule;
use crate::quota::Quotas;

/// What a stand-in is started with. The default answers at once, without quota and without faults.
#[derive(Clone, Debug)]
pub struct Config {
    /// The port; 0 takes a free one.
    pub port: u16,
    /// What everything random is drawn from.
    pub seed: u64,
    /// The only key (or bearer token) that is let in; none: any.
    pub key: Option<String>,
    /// How long answers take.
    pub latency: Latency,
    /// What may be used.
    pub quotas: Quotas,
    /// What is answered.
    pub answers: Answers,
    /// The shortest prefix, in tokens, that the prompt cache takes. Below it `cache_control` does nothing.
    pub cache_minimum: u64,
    /// What goes wrong.
    pub faults: Vec<FaultRule>,
    /// How many requests are kept for [`Standin::requests`](crate::Standin::requests); the oldest go first. With 0
    /// nothing is kept, which is fastest.
    pub keep_requests: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 0,
            seed: 0,
            key: None,
            latency: Latency::default(),
            quotas: Quotas::default(),
            answers: Answers::default(),
            cache_minimum: 1_024,
            faults: Vec::new(),
            keep_requests: 10_000,
        }
    }
}

/// How long an answer takes: `base`, give or take `spread` of it, uniformly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// From the request to the end of the answer.
    pub base: Duration,
    /// 0.5 for ± 50 %; between 0 and 1.
    pub spread: f64,
    /// The share of it that passes before the first token.
    pub first_token: f64,
    /// In how many pieces the text comes in the rest of it, evenly.
    pub pieces: u32,
    /// The time each token takes after the first; it then replaces the rest of `base`.
    pub pace: Option<Duration>,
}

impl Default for Latency {
    fn default() -> Self {
        Self { base: Duration::ZERO, spread: 0.0, first_token: 0.5, pieces: 4, pace: None }
    }
}

impl Latency {
    /// `base` milliseconds, give or take `spread` of it.
    pub fn of(base_ms: u64, spread: f64) -> Self {
        Self { base: Duration::from_millis(base_ms), spread, ..Self::default() }
    }

    /// The time before the first token and the time after it, drawn from `seed`.
    pub(crate) fn draw(&self, seed: u64) -> (Duration, Duration) {
        let spread = self.spread.clamp(0.0, 1.0);
        let swing: f64 = StdRng::seed_from_u64(seed ^ 0x1a7e_0c19).random_range(-1.0..=1.0);
        let whole = self.base.mul_f64(1.0 + spread * swing);
        let first = whole.mul_f64(self.first_token.clamp(0.0, 1.0));
        (first, whole.saturating_sub(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_hundred_ms_give_or_take_half_stay_between_200_and_600_and_use_that_range() {
        let latency = Latency::of(400, 0.5);
        let drawn: Vec<_> = (0..500)
            .map(|seed| {
                let (first, rest) = latency.draw(seed);
                (first + rest).as_millis()
            })
            .collect();
        assert!(drawn.iter().all(|ms| (199..=600).contains(ms)));
        assert!(drawn.iter().any(|ms| *ms < 240) && drawn.iter().any(|ms| *ms > 560));
        assert_eq!(latency.draw(7), latency.draw(7));
    }
}
