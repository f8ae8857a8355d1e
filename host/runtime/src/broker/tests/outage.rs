//! A backend that fails for a while: how much it is asked, and how much of a run comes through.

use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// A run of so many questions over a backend that half of the time does not answer, for a minute.
#[derive(Clone, Copy, Debug)]
struct Outage {
    questions: usize,
    workers: usize,
    /// What an answer takes.
    answer_ms: u64,
    /// When the minute begins.
    from: Duration,
    kind: fn() -> FailureKind,
    seed: u64,
}

/// What came of it.
#[derive(Debug)]
struct Came {
    sent: usize,
    lost: usize,
    took: Duration,
}

impl Outage {
    async fn run(self) -> Came {
        let (began, random) = (OnceLock::new(), Mutex::new(SmallRng::seed_from_u64(self.seed)));
        let is_bad = move || {
            let now = began.get_or_init(Instant::now).elapsed();
            let chance = random.lock().unwrap().random::<f64>();
            now >= self.from && now < self.from + seconds(60) && chance < 0.5
        };
        let admission = AdmissionConfig { instances: self.workers, ..AdmissionConfig::default() };
        let config = BrokerConfig { admission, seed: self.seed, ..BrokerConfig::default() };
        let bench = Bench::with(config, move |_, _| {
            let act = if is_bad() { Act::fail((self.kind)()) } else { Act::answer("yes") };
            act.after(Duration::from_millis(self.answer_ms))
        });
        let began = Instant::now();
        let (left, lost) = (Mutex::new((0..self.questions).collect::<VecDeque<_>>()), Mutex::new(Vec::new()));
        let worker = async || {
            loop {
                let Some(next) = left.lock().unwrap().pop_front() else { return };
                if bench.ask(with_fallback(&next.to_string())).await.unwrap().unasked_fallback {
                    lost.lock().unwrap().push(next);
                }
            }
        };
        futures::future::join_all((0..self.workers).map(|_| worker())).await;
        // What was lost is tried once more at the end, one by one.
        let mut lost_for_good = 0;
        for prompt in lost.into_inner().unwrap() {
            let asker = Asker { again: true, ..asker("audit") };
            let reply = bench.broker.ask(&asker, with_fallback(&prompt.to_string()), &mut |_| {}).await.unwrap();
            lost_for_good += usize::from(reply.unasked_fallback);
        }
        Came { sent: bench.backend.sent().len(), lost: lost_for_good, took: began.elapsed() }
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_fails_half_of_the_time_for_a_minute_is_asked_a_fifth_more_at_most_and_nothing_is_lost() {
    let runs = [(200, 3, 700), (200, 8, 700), (400, 8, 50), (400, 16, 700), (1_000, 10, 700), (1_000, 32, 2_000)];
    for (questions, workers, answer_ms) in runs {
        for from in [0, 5, 25] {
            for kind in [|| FailureKind::Server, || FailureKind::Overloaded] {
                for seed in 0..8 {
                    let outage = Outage { questions, workers, answer_ms, from: seconds(from), kind, seed };
                    let came = outage.run().await;
                    assert!(10 * came.sent <= 12 * questions, "{outage:?}: {came:?}");
                    assert_eq!(came.lost, 0, "{outage:?}: {came:?}");
                    let quiet = Duration::from_millis(answer_ms) * (questions.div_ceil(workers) as u32);
                    assert!(came.took < quiet + seconds(200), "{outage:?}: {came:?}");
                }
            }
        }
    }
}
