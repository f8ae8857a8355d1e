//! How long an answer under way is waited for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// Why no more bytes come.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("no complete answer in time")]
    TimedOut,
    #[error("nothing came for too long")]
    Stalled,
    #[error("an event is too large")]
    TooLarge,
    #[error("the connection broke")]
    Broken,
}

/// How long bytes are waited for.
pub(super) struct Patience {
    deadline: Instant,
    stall: Duration,
    last_byte: Option<Instant>,
}

impl Patience {
    /// Until the deadline; and once something has come, for `stall` at most.
    pub(super) fn new(deadline: Instant, stall: Duration) -> Self {
        Self { deadline, stall, last_byte: None }
    }

    /// Waits for the next bytes. Two things must not stop for too long once they have begun: the connection, of which
    /// each byte is a sign of life, and the answer, of which only its content is. So pings keep a connection, and no
    /// answer. Before the first content they may go on until the deadline: a long question takes its time.
    pub(super) async fn wait<T>(
        &mut self,
        last_content: Option<Instant>,
        next: impl Future<Output = reqwest::Result<Option<T>>>,
    ) -> Result<Option<T>, Ended> {
        let stalls =
            [self.last_byte, last_content].into_iter().flatten().filter_map(|last| last.checked_add(self.stall));
        let until = stalls.chain([self.deadline]).min().unwrap_or(self.deadline);
        match timeout_at(until, next).await {
            Err(_) if until < self.deadline => Err(Ended::Stalled),
            Err(_) => Err(Ended::TimedOut),
            Ok(Err(_)) => Err(Ended::Broken),
            Ok(Ok(bytes)) => {
                self.last_byte = Some(Instant::now());
                Ok(bytes)
            }
        }
    }
}

/// What the reader of events tells the reader of bytes.
#[derive(Clone, Default)]
pub(super) struct Signs(Arc<Mutex<(usize, Option<Instant>)>>);

impl Signs {
    /// Bytes have come; how many since the last whole event.
    pub(super) fn came(&self, bytes: usize) -> usize {
        self.with(|(unfinished, _)| {
            *unfinished += bytes;
            *unfinished
        })
    }

    /// An event is whole; `content`: the answer has gone on.
    pub(super) fn whole(&self, content: bool) {
        self.with(|(unfinished, last_content)| {
            *unfinished = 0;
            if content {
                *last_content = Some(Instant::now());
            }
        });
    }

    pub(super) fn last_content(&self) -> Option<Instant> {
        self.with(|(_, last_content)| *last_content)
    }

    fn with<T>(&self, work: impl FnOnce(&mut (usize, Option<Instant>)) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a stream ends whose bytes come after such waits, in seconds; then nothing comes any more.
    async fn waited(deadline: u64, stall: u64, waits: &[u64]) -> (Ended, u64) {
        waited_after(None, deadline, stall, waits).await
    }

    /// The same, where the last content came at once.
    async fn waited_after(content: Option<Instant>, deadline: u64, stall: u64, waits: &[u64]) -> (Ended, u64) {
        let begin = Instant::now();
        let deadline = begin + Duration::from_secs(deadline);
        let mut patience = Patience::new(deadline, Duration::from_secs(stall));
        for wait in waits.iter().copied().chain([u64::MAX >> 32]) {
            let next = async {
                tokio::time::sleep(Duration::from_secs(wait)).await;
                Ok(Some(()))
            };
            if let Err(ended) = patience.wait(content, next).await {
                return (ended, begin.elapsed().as_secs());
            }
        }
        panic!("the last wait is longer than any patience");
    }

    #[tokio::test(start_paused = true)]
    async fn before_the_first_byte_only_the_deadline_counts() {
        assert!(matches!(waited(120, 30, &[]).await, (Ended::TimedOut, 120)));
        assert!(matches!(waited(120, 30, &[100]).await, (Ended::TimedOut, 120)));
    }

    #[tokio::test(start_paused = true)]
    async fn thirty_seconds_after_the_last_byte_an_answer_is_stalled() {
        assert!(matches!(waited(120, 30, &[5, 29, 10]).await, (Ended::Stalled, 74)));
    }

    #[tokio::test(start_paused = true)]
    async fn pings_without_end_are_ended_by_the_deadline() {
        assert!(matches!(waited(120, 30, &[20; 50]).await, (Ended::TimedOut, 120)));
    }

    #[tokio::test(start_paused = true)]
    async fn pings_do_not_keep_an_answer_alive_that_has_begun() {
        let content = Some(Instant::now());
        assert!(matches!(waited_after(content, 120, 30, &[1; 500]).await, (Ended::Stalled, 30)));
    }
}
