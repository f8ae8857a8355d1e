//! How long things took, as histograms.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, Registry};

/// From a hundredth of a second, as a worker takes to start, to the ten minutes that it may run.
const BOUNDS: [f64; 16] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 600.0];

/// The histograms of a process, in seconds.
pub(super) struct Times {
    spawn: HistogramVec,
    item: HistogramVec,
    queued: HistogramVec,
    first: HistogramVec,
    answer: HistogramVec,
}

impl Times {
    /// Empty ones.
    ///
    /// # Errors
    /// None that could be caused; the type is that of the library.
    pub(super) fn new() -> prometheus::Result<Self> {
        let histogram = |name: &str, help: &str, labels: &[&str]| {
            HistogramVec::new(HistogramOpts::new(name, help).namespace("convoke").buckets(BOUNDS.to_vec()), labels)
        };
        Ok(Self {
            spawn: histogram(
                "worker_spawn_seconds",
                "From the start of a worker to its plugin's first call for an item.",
                &["command"],
            )?,
            item: histogram("item_seconds", "How long an item was in a worker's hands.", &["command", "outcome"])?,
            queued: histogram(
                "question_queued_seconds",
                "How long a question waited for admission, all its attempts together.",
                &["command"],
            )?,
            first: histogram(
                "question_first_token_seconds",
                "From sending a question to the first sign of its answer.",
                &["command", "backend"],
            )?,
            answer: histogram(
                "question_answer_seconds",
                "From sending a question for the last time to the end of its answer, of those that a model answered.",
                &["command", "backend"],
            )?,
        })
    }

    pub(super) fn spawned(&self, command: &str, took: Duration) {
        self.spawn.with_label_values(&[command]).observe(took.as_secs_f64());
    }

    pub(super) fn item(&self, command: &str, outcome: &str, took: Duration) {
        self.item.with_label_values(&[command, outcome]).observe(took.as_secs_f64());
    }

    pub(super) fn queued(&self, command: &str, waited: Duration) {
        self.queued.with_label_values(&[command]).observe(waited.as_secs_f64());
    }

    pub(super) fn began(&self, command: &str, backend: &str, after: Duration) {
        self.first.with_label_values(&[command, backend]).observe(after.as_secs_f64());
    }

    pub(super) fn answered(&self, command: &str, backend: &str, took: Duration) {
        self.answer.with_label_values(&[command, backend]).observe(took.as_secs_f64());
    }

    /// Puts them among others that are shown.
    ///
    /// # Errors
    /// Where one of the names is taken.
    pub(super) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        for one in [&self.spawn, &self.item, &self.queued, &self.first, &self.answer] {
            registry.register(Box::new(one.clone()))?;
        }
        Ok(())
    }
}
