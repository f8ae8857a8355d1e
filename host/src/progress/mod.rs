//! What the terminal shows while a run goes on. A consumer of events, like any other: it decides nothing.

mod doing;
mod eta;
mod frame;
mod live;
mod plain;
mod screen;
mod state;
mod streams;

use convoke_runtime::event::Events;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

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
    /// Whether more than ASCII may be drawn. It does not concern the texts.
    pub unicode: bool,
}

/// What shows runs.
#[must_use = "it is ended before anything is printed below it"]
pub struct Shown {
    over: CancellationToken,
    task: JoinHandle<()>,
}

impl Shown {
    /// The runs have ended: what was told until now is shown, and the terminal is as it was before.
    pub async fn end(self) {
        self.over.cancel();
        // A painter that failed is not worth the report.
        let _ = self.task.await;
    }
}

/// Shows a run until it has ended.
pub fn show(events: &Events, how: Show, detail: Detail) -> Shown {
    begin(Streams::one(events), how, detail)
}

/// Shows several runs that share their backends until all have ended, each with its name in front, and with how many items
/// are planned: some wait for their turn. `common`: where it is told what happens to all of them; of their own streams that
/// is left out.
pub fn show_together<'a>(
    common: &Events,
    runs: impl IntoIterator<Item = (&'a str, usize, &'a Events)>,
    how: Show,
    detail: Detail,
) -> Shown {
    begin(Streams::several(common, runs), how, detail)
}

fn begin(streams: Streams, how: Show, detail: Detail) -> Shown {
    let over = CancellationToken::new();
    let task = match how {
        Show::Live => tokio::spawn(live::show(streams, detail, over.clone())),
        Show::Plain => tokio::spawn(plain::show(streams, detail, true, over.clone())),
        Show::Quiet => tokio::spawn(plain::show(streams, detail, false, over.clone())),
    };
    Shown { over, task }
}
