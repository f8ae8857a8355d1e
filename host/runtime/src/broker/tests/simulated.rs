//! A provider with token buckets, in simulated time.
//!
//! It counts as the stand-in does, which states it: a request is let in when there is one of requests, all of its input,
//! and any output left; requests and input are taken when it comes, output as it is sent. It tells limit and what is
//! left with every answer and every 429. Answers take 0.4 s to their first token and then 100 tokens a second; their
//! lengths nobody knows before: 250 tokens in the middle of an exponential distribution that is cut at 1,500.

use std::sync::Mutex;

use convoke_standin::{Bucket, Quota as Rate};
use futures::FutureExt;
use futures::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{sleep, timeout};

use super::*;
use crate::backend::Instance;
use crate::limiter::LimiterConfig;
use crate::policy::{Mode, Profile as Numbers};
use crate::question::{ProviderLimit, ProviderLimits};

/// The longest answer.
const LONGEST: u32 = 1_500;

/// Requests, input tokens, output tokens.
type Rates = [Rate; 3];

#[derive(Clone)]
struct Provider(Arc<Mutex<Book>>);

struct Book {
    began: Instant,
    random: StdRng,
    buckets: [Bucket; 3],
    rates: Rates,
    /// What tokens are rounded to in headers.
    round_to: u64,
    used: [u64; 3],
    /// When each request came, and whether it was let in.
    came: Vec<(Duration, bool)>,
    /// When somebody saw a header first.
    told: Option<Duration>,
}

impl Provider {
    fn new(rates: Rates, round_to: u64, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Book {
            began: Instant::now(),
            random: StdRng::seed_from_u64(seed),
            buckets: rates.map(|rate| Bucket::full(rate, Duration::ZERO)),
            rates,
            round_to,
            used: [0; 3],
            came: Vec::new(),
            told: None,
        })))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Book) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    /// From now on there is half of everything, and what is left is cut to that.
    fn halve(&self) {
        self.with(|book| {
            let at = book.began.elapsed();
            for (bucket, rate) in book.buckets.iter_mut().zip(&mut book.rates) {
                *rate = Rate { per_minute: rate.per_minute / 2, burst: rate.burst / 2 };
                let left = bucket.level(at).min(rate.burst as f64);
                *bucket = Bucket::full(*rate, at);
                bucket.take((rate.burst as f64 - left).ceil() as u64, at);
            }
        });
    }
}

impl Book {
    fn take(&mut self, which: usize, amount: u64) {
        let at = self.began.elapsed();
        self.buckets[which].take(amount, at);
        self.used[which] += amount;
    }

    fn headers(&mut self) -> ProviderLimits {
        let at = self.began.elapsed();
        let mut limit = |which: usize, round_to: u64| {
            let level = self.buckets[which].level(at).max(0.0);
            let remaining = if round_to == 1 {
                // Sums of fractions are a hair off.
                (level + 1e-6).floor() as u64
            } else {
                (level / round_to as f64).round() as u64 * round_to
            };
            Some(ProviderLimit { limit: self.rates[which].per_minute, remaining, reset: None })
        };
        let (requests, input_tokens) = (limit(0, 1), limit(1, self.round_to));
        ProviderLimits { requests, input_tokens, output_tokens: limit(2, self.round_to) }
    }

    /// Lets a request in, or says when to come again.
    fn admit(&mut self, input: u64) -> Result<u64, Failure> {
        let at = self.began.elapsed();
        let least = [1.0, input as f64, 1.0];
        let levels: Vec<f64> = self.buckets.iter_mut().map(|bucket| bucket.level(at) + 1e-6).collect();
        let is_in = levels[0] >= least[0] && levels[1] >= least[1] && levels[2] > 1e-5;
        self.came.push((at, is_in));
        if !is_in {
            let waits = self.buckets.iter_mut().zip(least).map(|(bucket, least)| bucket.wait_for(least, at));
            let wait = waits.max().unwrap_or_default().as_secs_f64().ceil().max(1.0);
            let limits = Some(self.headers());
            self.told.get_or_insert(at);
            let failure = Failure::new(FailureKind::RateLimited, "too many requests");
            return Err(Failure { retry_after: Some(Duration::from_secs_f64(wait)), limits, ..failure });
        }
        self.take(0, 1);
        self.take(1, input);
        let drawn: f64 = self.random.random_range(1e-9..1.0);
        Ok(((-drawn.ln() * 360.0) as u64).clamp(1, u64::from(LONGEST)))
    }
}

impl Backend for Provider {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn account(&self) -> &str {
        "simulated"
    }

    fn start<'a>(&'a self, _: &'a Profile) -> BoxFuture<'a, Result<Box<dyn Instance>, Failure>> {
        async move { Ok(Box::new(self.clone()) as Box<dyn Instance>) }.boxed()
    }
}

impl Instance for Provider {
    fn ask<'a>(&'a mut self, request: &'a Request, listener: Listener<'a>) -> BoxFuture<'a, Result<Answer, Failure>> {
        async move {
            // The tokens are not known before: they are some less than estimated.
            let (input, output) = self.with(|book| {
                let share = book.random.random_range(0.85..1.0);
                let input = (estimated_input_tokens(request) as f64 * share) as u64;
                Ok::<_, Failure>((input, book.admit(input)?))
            })?;
            sleep(Duration::from_millis(400)).await;
            let limits = Some(self.with(Book::headers));
            listener(StreamEvent::Started);
            let mut left = output;
            while left > 0 {
                let piece = left.min(20);
                sleep(Duration::from_millis(10 * piece)).await;
                self.with(|book| book.take(2, piece));
                left -= piece;
            }
            self.with(|book| {
                let at = book.began.elapsed();
                book.told.get_or_insert(at);
            });
            let usage = Usage { requests: 1, input_tokens: input, output_tokens: output, ..Usage::default() };
            let (text, model) = ("yes".to_owned(), request.model.clone());
            Ok(Answer { text, model, usage, truncated: false, limits, edits: Vec::new() })
        }
        .boxed()
    }
}

fn asking(provider: &Provider, seed: u64) -> Bench {
    let limiter = LimiterConfig { mode: Mode::Performance, start: 32, explicit: true, ..LimiterConfig::default() };
    let admission = AdmissionConfig { instances: 100, limiter, ..AdmissionConfig::default() };
    let policy = Some(Arc::new(Slot::new(Numbers::of(Mode::Performance), Events::new())));
    let config = BrokerConfig { admission, policy, seed, ..BrokerConfig::default() };
    Bench::over(config, Scripted::new(|_, _| Act::answer("")), Arc::new(provider.clone()))
}

/// Asks for so long, with more questions than can be answered; all of a different length.
async fn plenty(bench: &Bench, seed: u64, time: Duration, meanwhile: impl Future<Output = ()>) {
    let asked = (0..300u64).map(|asker| async move {
        let mut random = StdRng::seed_from_u64(seed * 1_000 + asker);
        for number in 0.. {
            let words = "word ".repeat(random.random_range(40..1_200));
            let question =
                Question { max_output_tokens: Some(LONGEST), ..question(&format!("{asker} {number} {words}")) };
            // One that is lost is lost: the provider counts.
            drop(bench.ask(question).await);
        }
    });
    let all = async { futures::join!(futures::future::join_all(asked), meanwhile) };
    assert!(timeout(time, all).await.is_err(), "there were too few questions");
}

fn rate(per_minute: u64, burst: u64) -> Rate {
    Rate { per_minute, burst }
}

const MUCH: Rate = Rate { per_minute: 100_000_000, burst: 100_000_000 };

/// Three minutes at a provider; the share that was used of the bucket at that place, and the 429s after the first header.
async fn three_minutes(rates: Rates, which: usize, round_to: u64, seed: u64) -> (f64, usize) {
    let provider = Provider::new(rates, round_to, seed);
    let bench = asking(&provider, seed);
    plenty(&bench, seed, seconds(180), std::future::pending()).await;
    provider.with(|book| {
        let told = book.told.unwrap();
        let wasted = book.came.iter().filter(|(at, is_in)| !is_in && *at > told).count();
        let whole = rates[which].burst as f64 + 3.0 * rates[which].per_minute as f64;
        (book.used[which] as f64 / whole, wasted)
    })
}

async fn is_used_and_never_exceeded(which: usize, rates: &[Rate], round_to: u64) {
    for (seed, rate) in [1, 2].into_iter().flat_map(|seed| rates.iter().map(move |rate| (seed, rate))) {
        let mut all = [MUCH; 3];
        all[which] = *rate;
        let (share, wasted) = three_minutes(all, which, round_to, seed).await;
        assert!(share >= 0.98 && wasted == 0, "{rate:?}, seed {seed}: {share:.4} used, {wasted} times 429");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_used_to_98_percent_without_a_429() {
    let rates = [rate(600, 600), rate(600, 60), rate(300, 10), rate(120, 240), rate(240, 5)];
    is_used_and_never_exceeded(0, &rates, 1).await;
}

#[tokio::test(start_paused = true)]
async fn input_tokens_are_used_to_98_percent_without_a_429() {
    let rates = [rate(300_000, 300_000), rate(200_000, 50_000), rate(100_000, 200_000)];
    is_used_and_never_exceeded(1, &rates, 1).await;
    is_used_and_never_exceeded(1, &rates[..1], 1_000).await;
}

#[tokio::test(start_paused = true)]
async fn output_tokens_are_used_to_98_percent_without_a_429() {
    let rates = [rate(80_000, 80_000), rate(60_000, 20_000), rate(40_000, 80_000)];
    is_used_and_never_exceeded(2, &rates, 1).await;
    is_used_and_never_exceeded(2, &rates[..1], 1_000).await;
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_halves_unannounced_wastes_little_and_is_used_again_within_a_minute() {
    let binding = [
        (0, [rate(600, 600), MUCH, MUCH]),
        (1, [MUCH, rate(300_000, 300_000), MUCH]),
        (2, [MUCH, MUCH, rate(80_000, 80_000)]),
    ];
    for (which, rates) in binding {
        for seed in 1..3 {
            let provider = Provider::new(rates, 1, seed);
            let bench = asking(&provider, seed);
            let after = Mutex::new(None);
            let meanwhile = async {
                sleep(seconds(90)).await;
                provider.halve();
                // The minute in which it may find its feet again, and the one that is counted.
                sleep(seconds(60)).await;
                let before = provider.with(|book| book.used[which]);
                sleep(seconds(60)).await;
                *after.lock().unwrap() = Some(provider.with(|book| book.used[which]) - before);
                std::future::pending().await
            };
            plenty(&bench, seed, seconds(215), meanwhile).await;
            let (asked, wasted) = provider.with(|book| {
                let wasted = book.came.iter().filter(|(_, is_in)| !is_in).count();
                (book.came.len(), wasted)
            });
            let used = after.into_inner().unwrap().unwrap() as f64 / (rates[which].per_minute as f64 / 2.0);
            assert!(wasted * 50 <= asked, "{which}: {wasted} of {asked} in vain");
            assert!(used >= 0.9, "{which}: {used:.3} of the new quota");
        }
    }
}
