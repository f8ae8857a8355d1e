//! A local stand-in for the Messages API, for tests and benchmarks.
//!
//! It speaks what a client of `POST /v1/messages` can see: the order of the events of a stream, usage, prompt caching,
//! rate limits with their headers, errors by kind; and it fails on order ([`Fault`]). Everything that would be chance
//! (latency, answers, faults by probability) is drawn from a seed and from the content of the request, so that a
//! question gets the same answer after the same time, in whatever order the questions come.
//!
//! It listens on the loopback address only, keeps no credential, and answers nothing worth believing.
//!
//! ```
//! # async fn example() -> std::io::Result<()> {
//! use convoke_standin::{Config, Fault, FaultRule, Standin, When};
//!
//! let standin = Standin::start(Config::default()).await?;
//! standin.set_faults(vec![FaultRule { when: When::nth(3), fault: Fault::Overloaded }]);
//! // ... point a client at standin.url() ...
//! assert_eq!(standin.stats().requests, 0);
//! standin.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod answer;
mod config;
mod events;
mod fault;
mod log;
mod quota;
pub mod registry;
mod request;
mod serve;
mod structured;
mod tls;
mod tokens;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use answer::{Answers, Scripted};
pub use config::{Config, Latency};
pub use fault::{Fault, FaultRule, RetryAfter, When};
pub use log::{Outcome, Received, Stats, TokenCount};
pub use quota::{Bucket, Quota, Quotas};
pub use tls::TlsFront;

/// A running stand-in. Dropping it ends it, and every answer under way with it.
#[derive(Debug)]
pub struct Standin {
    address: SocketAddr,
    shared: Arc<serve::Shared>,
    closing: watch::Sender<bool>,
    server: Option<JoinHandle<()>>,
}

impl Standin {
    /// Starts listening on the loopback address. It serves from then on.
    ///
    /// # Errors
    ///
    /// The port is taken.
    pub async fn start(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port)).await?;
        let address = listener.local_addr()?;
        let (closing, closed) = watch::channel(false);
        let shared = Arc::new(serve::Shared::new(config, closed.clone()));
        let app = serve::router(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            let served = axum::serve(listener, app).with_graceful_shutdown(serve::closed(closed)).await;
            // Only accepting can fail here, and axum goes on after that.
            drop(served);
        });
        Ok(Self { address, shared, closing, server: Some(server) })
    }

    /// The base URL: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked and answered so far.
    pub fn stats(&self) -> Stats {
        locked(&self.shared.log).stats()
    }

    /// The requests received so far, oldest first, without credentials.
    pub fn requests(&self) -> Vec<Received> {
        locked(&self.shared.log).received()
    }

    /// Replaces the faults from now on. Numbers of requests go on counting from the start.
    pub fn set_faults(&self, faults: Vec<FaultRule>) {
        locked(&self.shared.faults).replace(faults);
    }

    /// Replaces the quotas from now on; every bucket starts full.
    pub fn set_quotas(&self, quotas: Quotas) {
        locked(&self.shared.quotas).replace(quotas, tokio::time::Instant::now());
    }

    /// From now on answers a request whose messages contain `contains` with `text`. Earlier entries go first.
    pub fn answer(&self, contains: impl Into<String>, text: impl Into<String>) {
        let entry = Scripted { contains: contains.into(), text: text.into() };
        locked(&self.shared.answers).scripted.push(entry);
    }

    /// Ends the answers under way, closes the connections and returns when all is down.
    pub async fn shutdown(mut self) {
        self.closing.send_replace(true);
        if let Some(server) = self.server.take() {
            // The task ends by itself; a panic in it has been printed already.
            drop(server.await);
        }
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        self.closing.send_replace(true);
    }
}

/// A lock whose holder panicked still guards counters that are good enough for a test's last words.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
