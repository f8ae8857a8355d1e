//! What the terminal shows while a run goes on. A consumer of events, like any other: it decides nothing.

mod live;
mod plain;
mod screen;
mod state;
mod streams;

use convoke_runtime::event::Events;
use tokio::task::JoinHandle;

pub(crate) use screen::alone;
pub use state::clock;

use streams::Streams;

/// How a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// Not at all; warnings still are.
    Quiet,
    /// A line when something ends: for logs and pipes.
    Plain,
    /// A line a worker that changes in place: for terminals.
    Live,
}

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Log lines of plugins too.
    pub logs: bool,
    /// Whether colours may be used.
    pub color: bool,
}

/// Shows a run until its stream ends or it is told that the run has ended. Await the handle before printing below it.
pub fn show(events: &Events, how: Show, detail: Detail) -> JoinHandle<()> {
    begin(Streams::one(events), how, detail)
}

/// Shows several runs that share their backends until all have ended, each with its name in front. `common`: where it is
/// told what happens to all of them; of their own streams that is left out.
pub fn show_together<'a>(
    common: &Events,
    runs: impl IntoIterator<Item = (&'a str, &'a Events)>,
    how: Show,
    detail: Detail,
) -> JoinHandle<()> {
    begin(Streams::several(common, runs), how, detail)
}

fn begin(streams: Streams, how: Show, detail: Detail) -> JoinHandle<()> {
    match how {
        Show::Live => tokio::spawn(live::show(streams, detail)),
        Show::Plain => tokio::spawn(plain::show(streams, detail, true)),
        Show::Quiet => tokio::spawn(plain::show(streams, detail, false)),
    }
}
