//! What a plugin writes: its log lines and its stderr. The last of it is kept, and shown with a failure.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use convoke_runtime::event::{Events, Fact};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

/// How much of the end is kept for a failure.
const KEPT: usize = 16 << 10;

/// The longest line; the rest of a longer one is cut.
const LINE: usize = 4 << 10;

/// What one sandbox writes. Clones write to the same place.
#[derive(Clone)]
pub struct Log {
    events: Option<Events>,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    item: Option<usize>,
    /// Of stderr: what has no line end yet.
    open: Vec<u8>,
    tail: VecDeque<String>,
    size: usize,
}

impl Log {
    /// A log whose lines are also told.
    pub fn new(events: Option<Events>) -> Self {
        Self { events, inner: Arc::default() }
    }

    /// From now on, lines belong to this item; what was kept of the one before is let go.
    pub fn set_item(&self, item: Option<usize>) {
        *self.inner() = Inner { item, ..Inner::default() };
    }

    /// Takes a line.
    pub fn line(&self, level: &'static str, message: &str) {
        let message = cut(message);
        let item = {
            let mut inner = self.inner();
            inner.keep(format!("{level}: {message}"));
            inner.item
        };
        if let Some(events) = &self.events {
            events.mention(Fact::Logged { level: level.into(), item, message });
        }
    }

    /// Warns the user, of what the same words warn once.
    pub fn warn(&self, message: String) {
        if let Some(events) = &self.events {
            events.mention(Fact::Warned { message });
        }
    }

    /// The last lines, for a failure.
    pub fn tail(&self) -> String {
        let mut inner = self.inner();
        // A panic's last line may lack its end.
        if !inner.open.is_empty() {
            let open = std::mem::take(&mut inner.open);
            let line = cut(&String::from_utf8_lossy(&open));
            inner.keep(format!("stderr: {line}"));
        }
        inner.tail.iter().fold(String::new(), |text, line| text + line + "\n")
    }

    fn stderr(&self, bytes: &[u8]) {
        let mut lines = Vec::new();
        {
            let mut inner = self.inner();
            for chunk in bytes.split_inclusive(|byte| *byte == b'\n') {
                let (text, ends) = chunk.strip_suffix(b"\n").map_or((chunk, false), |text| (text, true));
                let room = LINE.saturating_sub(inner.open.len());
                inner.open.extend_from_slice(&text[..text.len().min(room)]);
                if ends {
                    lines.push(String::from_utf8_lossy(&std::mem::take(&mut inner.open)).into_owned());
                }
            }
        }
        for line in lines {
            self.line("stderr", &line);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn keep(&mut self, line: String) {
        self.size += line.len();
        self.tail.push_back(line);
        while self.size > KEPT {
            let Some(oldest) = self.tail.pop_front() else { break };
            self.size -= oldest.len();
        }
    }
}

fn cut(message: &str) -> String {
    match message.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

impl IsTerminal for Log {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Log {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Stderr(self.clone()))
    }
}

struct Stderr(Log);

impl AsyncWrite for Stderr {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.stderr(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_stderr_are_put_together() {
        let log = Log::new(None);
        log.stderr(b"one\ntw");
        log.stderr(b"o\nthree");
        assert_eq!(log.tail(), "stderr: one\nstderr: two\nstderr: three\n");
    }

    #[test]
    fn endless_output_keeps_its_end() {
        let log = Log::new(None);
        for number in 0..100_000 {
            log.stderr(format!("line {number}\n").as_bytes());
        }
        log.stderr(&vec![b'x'; 10 << 20]);
        let tail = log.tail();
        assert!(tail.len() <= KEPT + LINE, "{}", tail.len());
        assert!(tail.contains("line 99999"));
    }
}
