//! `convoke dashboard`: a page in the browser that shows the runs of this user, while they go on and afterwards, and
//! controls them.
//!
//! A process of its own, which learns of runs as everybody else does: of those that go on by the sockets that they listen
//! on ([`crate::control`]), of those that are over from the journal. It decides nothing and keeps nothing.
//!
//! What it shows comes from models, repositories and plugins, and what it can do is worth something: so it serves this
//! machine only, behind a token ([`guard`]); its page loads nothing but its own files ([`assets`]), and puts texts in as
//! texts; nothing that it is sent grows without bound ([`door`], [`stream`]).

mod assets;
mod door;
mod fleet;
mod follow;
mod guard;
mod past;
mod picture;
mod request;
mod routes;
mod stream;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use door::Door;
use fleet::Fleet;
use guard::Guard;
use past::Past;
use routes::App;

/// So long may what is under way take when the dashboard ends.
const GRACE: Duration = Duration::from_secs(2);

/// Where the dashboard finds what it shows.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder of the sockets of those that run.
    pub sockets: PathBuf,
    /// The journal of all runs. It need not exist.
    pub journal: PathBuf,
}

/// A dashboard that listens, and is served by nobody yet.
pub struct Dashboard {
    door: Door,
    at: SocketAddr,
    guard: Guard,
    places: Places,
}

impl Dashboard {
    /// Listens on this machine's own address, at this port; 0: at any that is free.
    ///
    /// # Errors
    /// The port is taken, or may not be used.
    pub async fn listen(port: u16, places: Places) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let at = listener.local_addr()?;
        Ok(Self { door: Door::new(listener), at, guard: Guard::new(at), places })
    }

    /// What the user opens. Who has it may do what the user may do with runs.
    pub fn url(&self) -> String {
        format!("http://{}/{}/", self.at, self.guard.token())
    }

    /// Serves until it is cancelled; what is under way then may end, for [`GRACE`].
    ///
    /// # Errors
    /// The listener is broken.
    pub async fn serve(self, until: CancellationToken) -> io::Result<()> {
        let fleet = Fleet::default();
        let watching = tokio::spawn(follow::watch(fleet.clone(), self.places.sockets.clone()));
        let app = App::new(self.guard, fleet, Past::new(self.places.journal), until.clone());
        let ended = until.clone().cancelled_owned();
        let serving = axum::serve(self.door, routes::router(app)).with_graceful_shutdown(ended);
        let served = tokio::select! {
            served = serving.into_future() => served,
            () = async { until.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
        };
        watching.abort();
        served
    }
}
