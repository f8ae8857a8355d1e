//! What convoke adds to one question: the time through the whole broker when the model answers at once.
//!
//! A backend inside of this process answers without any latency. The broker has all that a run has: route, cache, scan,
//! queue, breaker, quota, budget, limit, policy, the limits of all processes in a file, a journal on disk, and somebody
//! who listens to its events. Questions are asked
//! one after the other, so that each time is that of one question; the backend alone is the peer, asked in turns.
//!
//! `cargo bench -p convoke-tests --bench added -- [--questions 2000]`
//!
//! Exits with 1 when the median of what is added is more than 0.2 ms.

mod ledger;
mod support;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use convoke_runtime::admission::AdmissionConfig;
use convoke_runtime::backend::{Answer, Backend, Instance, Listener, Profile, Request};
use convoke_runtime::broker::{Asker, Broker, BrokerConfig};
use convoke_runtime::budget::{Budget, BudgetConfig};
use convoke_runtime::event::Events;
use convoke_runtime::journal::{Journal, RunId};
use convoke_runtime::money::Usd;
use convoke_runtime::question::{Failure, Question, StreamEvent, Usage};
use convoke_runtime::quota::QuotaConfig;
use convoke_runtime::shared::clock::boot;
use convoke_runtime::shared::{Clock, Shared, SharedLimits};
use futures::future::BoxFuture;

use ledger::JournalLedger;
use support::{Failed, bounds_count, median};

/// So many milliseconds may be added in the median.
const ALLOWED: f64 = 0.2;

const MODEL: &str = "claude-haiku-5-5";

/// Answers at once.
#[derive(Clone, Copy)]
struct AtOnce;

impl Backend for AtOnce {
    fn name(&self) -> &'static str {
        "at-once"
    }

    fn account(&self) -> &str {
        "bench"
    }

    fn start<'a>(&'a self, _: &'a Profile) -> BoxFuture<'a, Result<Box<dyn Instance>, Failure>> {
        Box::pin(async { Ok(Box::new(*self) as Box<dyn Instance>) })
    }
}

impl Instance for AtOnce {
    fn ask<'a>(&'a mut self, _: &'a Request, listener: Listener<'a>) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async {
            listener(StreamEvent::Started);
            listener(StreamEvent::Text("It is good.".to_owned()));
            let usage = Usage { requests: 1, input_tokens: 300, output_tokens: 4, ..Usage::default() };
            let (text, model) = ("It is good.".to_owned(), MODEL.to_owned());
            Ok(Answer { text, model, usage, truncated: false, limits: None, edits: Vec::new() })
        })
    }
}

fn question(number: usize) -> Question {
    Question {
        role: "code-reviewer".to_owned(),
        system: Some("You review agent definitions. Be brief.".to_owned()),
        prompt: format!("Review agent {number}. {}", "It reads files and says what is wrong with them. ".repeat(20)),
        max_output_tokens: Some(1_000),
        repeatable: true,
        ..Question::default()
    }
}

/// A broker with every limit, none of which is reached.
fn config(folder: &Path) -> Result<BrokerConfig, Failed> {
    let quota = QuotaConfig {
        requests: Some(1_000_000_000),
        input_tokens: Some(1_000_000_000_000),
        output_tokens: Some(1_000_000_000_000),
    };
    let most = |dollars| Some(Usd::from_dollars(dollars));
    let budget = BudgetConfig { usd: most(1e6), usd_per_day: most(1e6), ..BudgetConfig::default() };
    let budget = Arc::new(Budget::new(budget, Usd::ZERO, Usd::ZERO, Arc::new(jiff::Timestamp::now)));
    let shared = Shared::open(&folder.join("limits"), SharedLimits::default(), Clock::system(), boot(), &budget)?;
    Ok(BrokerConfig {
        admission: AdmissionConfig { quota, ..AdmissionConfig::default() },
        budget,
        shared: Some(shared),
        ..BrokerConfig::default()
    })
}

/// The times of all questions, in milliseconds: of the backend alone, and through the broker.
async fn measure(questions: usize) -> Result<(Vec<f64>, Vec<f64>), Failed> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let (journal, run) = (Journal::open(&folder.path().join("journal.db"))?, RunId::new());
    let events = Events::new();
    let mut listener = events.listen();
    let listening = tokio::spawn(async move { while listener.recv().await.is_some() {} });
    let ledger = Arc::new(JournalLedger { journal: journal.clone(), run });
    let broker = Broker::new(vec![Arc::new(AtOnce)], ledger, events, config(folder.path())?);
    let (mut alone, mut through) = (Vec::new(), Vec::new());
    for number in 0..questions {
        let question = question(number);
        let request = BrokerConfig::default().route.request(&question);
        let began = Instant::now();
        let mut instance = AtOnce.start(&request.profile()).await?;
        instance.ask(&request, &mut |_| {}).await?;
        alone.push(began.elapsed().as_secs_f64() * 1e3);
        drop(instance);
        let item_id = format!("item-{number}").into();
        let asker = Asker { command: "bench".into(), item: number, item_id, again: false };
        let began = Instant::now();
        broker.ask(&asker, question, &mut |_| {}).await?;
        through.push(began.elapsed().as_secs_f64() * 1e3);
    }
    broker.close().await;
    drop(broker);
    journal.flush().await?;
    listening.await?;
    Ok((alone, through))
}

fn questions() -> Result<usize, Failed> {
    let mut words = std::env::args().skip_while(|word| word != "--questions").skip(1);
    match words.next() {
        Some(questions) => Ok(questions.parse()?),
        None if bounds_count() => Ok(2_000),
        None => Ok(20),
    }
}

/// The value that so large a share of the others do not exceed.
fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

fn main() -> Result<ExitCode, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let questions = questions()?;
    // The first round warms everything up.
    runtime.block_on(measure(questions / 10 + 1))?;
    let (alone, through) = runtime.block_on(measure(questions))?;
    let added: Vec<f64> = alone.iter().zip(&through).map(|(alone, through)| through - alone).collect();
    let (p50, p99) = (median(added.clone()), percentile(&added, 0.99));
    let mut out = std::io::stdout().lock();
    writeln!(out, "{questions} questions that are answered at once, one after the other")?;
    writeln!(out, "added to a question: p50 {p50:.3} ms, p99 {p99:.3} ms (allowed: p50 {ALLOWED} ms)")?;
    let is_slow = bounds_count() && p50 > ALLOWED;
    if is_slow {
        writeln!(out, "too slow")?;
    }
    Ok(if is_slow { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
