//! What can be changed in a run while it goes on, and by whom it was.
//!
//! Each change is an event, and a line of the report. What is wished before the run has begun holds from its beginning on.

mod change;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use convoke_runtime::board::{Board, BoardError};
use convoke_runtime::broker::{Lanes, Spending};
use convoke_runtime::budget::{Limit, Standing as Budget};
use convoke_runtime::event::{Events, Fact};
use convoke_runtime::pause::Standing;
use convoke_runtime::work::Census;
use tokio::time::timeout;

use super::orders::{Called, PATIENCE, Wish};
use super::shared::Shared;
use crate::config::{Limits, Mode};
use crate::report::{ControlInfo, clean};
use change::Kept;
pub use change::{Change, Share};

/// So many changes are kept for the report.
const MOST: usize = 1_000;

/// The longest name of an item in a report, in characters.
const LONGEST: usize = 200;

/// What could not be done, and what to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What happened.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Refused {
    /// Without a hint.
    pub fn because(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// Nothing can be changed in it any more.
    pub fn over() -> Self {
        Self::because("the run has ended").hint("`convoke runs` shows what came of it")
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl From<BoardError> for Refused {
    fn from(error: BoardError) -> Self {
        let refused = Self::because(error.to_string());
        match error {
            BoardError::UnknownItem { .. } => refused.hint("`convoke ctl status` shows the items that are under way"),
            _ => refused,
        }
    }
}

/// What is known of a run while it goes on, beside its events.
#[derive(Clone, Debug)]
pub struct Seen {
    /// How its items stand.
    pub census: Census,
    /// How it stands with a pause.
    pub pause: Standing,
    /// Who paused it.
    pub paused_by: Option<String>,
    /// Its mode now.
    pub mode: &'static str,
    /// What its questions took.
    pub spending: Spending,
    /// How the budget of its dollars stands; none: it is not bounded.
    pub budget: Option<Budget>,
    /// Why nothing more is begun.
    pub stopping: Option<String>,
    /// How its backends stand.
    pub accounts: Vec<(&'static str, convoke_runtime::admission::Standing)>,
    /// The ids of the items that workers have, by their numbers.
    pub held: Vec<(usize, String)>,
}

/// The wheel of one run.
#[derive(Default)]
pub struct Steering(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    stage: Stage,
    /// Whether it is to begin paused.
    paused: Option<(String, bool)>,
    /// What else holds from its beginning on, in the order in which it was wished.
    kept: Vec<Kept>,
    /// How many items it has to do, as it was planned.
    items: usize,
    /// The mode that it begins in.
    begins_in: Option<Mode>,
    /// What it shares with the runs beside it; none: it is the only one of its process.
    lanes: Option<Weak<Lanes>>,
    /// Whether the user has named how many instances there may be.
    is_limit_named: bool,
    controls: Vec<ControlInfo>,
}

/// Where a run is.
#[derive(Default)]
enum Stage {
    /// It has not begun.
    #[default]
    Waits,
    /// It goes on.
    Live(Live),
    /// It has ended.
    Over,
}

/// The same, and what can be changed of it.
enum Now {
    Waits,
    Live(Live, Arc<Shared>),
    Over,
}

/// A run that goes on.
#[derive(Clone)]
struct Live {
    shared: Weak<Shared>,
    events: Events,
    mode: Mode,
}

impl Steering {
    /// What the user has set is known, and how many items there are to do.
    pub(crate) fn planned(&self, limits: &Limits, mode: Mode, items: usize) {
        let mut inner = self.inner();
        (inner.is_limit_named, inner.begins_in, inner.items) = (limits.named.instances, Some(mode), items);
    }

    /// There are other runs in its process, with which it shares these.
    pub(crate) fn share(&self, lanes: &Arc<Lanes>) {
        self.inner().lanes = Some(Arc::downgrade(lanes));
    }

    /// The run begins, in this mode.
    pub(super) async fn attach(&self, shared: &Arc<Shared>, mode: Mode) {
        let live = Live { shared: Arc::downgrade(shared), events: shared.events.clone(), mode };
        let (paused, kept, is_shared, is_limit_named) = {
            let mut inner = self.inner();
            inner.stage = Stage::Live(live.clone());
            (inner.paused.clone(), mem::take(&mut inner.kept), inner.lanes.is_some(), inner.is_limit_named)
        };
        if let Some((by, at_once)) = paused {
            live.pause(shared, &by, at_once).await;
        }
        for Kept { by, change, share } in kept {
            // What is shared is changed already, and may have been again since.
            if !is_shared {
                change.of_all(shared.answers.broker().lanes(), &by, is_limit_named).await;
            }
            let became = self.carry_out(&live, shared, change, share);
            live.events.tell(Fact::Controlled { by, what: change.name(), became }).await;
        }
    }

    /// The run has ended, or it could not go on: nothing can be changed in it any more.
    pub(super) fn detach(&self) {
        self.inner().stage = Stage::Over;
    }

    /// What was changed so far, for the report.
    pub fn controls(&self) -> Vec<ControlInfo> {
        self.inner().controls.clone()
    }

    /// Whether the run has ended.
    pub fn is_over(&self) -> bool {
        matches!(self.inner().now(), Now::Over)
    }

    /// Nothing is begun from now on; `at_once`: what is under way is broken off, and asked again later.
    ///
    /// # Errors
    /// The run has ended.
    pub async fn pause(&self, by: &str, at_once: bool) -> Result<String, Refused> {
        let now = {
            let mut inner = self.inner();
            let now = inner.now();
            let is_news = match &now {
                Now::Waits => true,
                Now::Live(_, shared) => shared.answers.broker().pause().may_begin(at_once),
                Now::Over => false,
            };
            if is_news {
                inner.paused = Some((by.to_owned(), at_once));
            }
            now
        };
        let became = match now {
            Now::Waits => "it begins paused",
            Now::Live(live, shared) => match (live.pause(&shared, by, at_once).await, at_once) {
                (true, true) => "paused; what was under way is broken off and asked again later",
                (true, false) => "paused; what is under way ends",
                (false, _) => "it was paused already",
            },
            Now::Over => return Err(Refused::over()),
        };
        self.note(by, if at_once { "pause --now" } else { "pause" }, became)?;
        Ok(became.to_owned())
    }

    /// It goes on.
    ///
    /// # Errors
    /// The run has ended.
    pub async fn resume(&self, by: &str) -> Result<String, Refused> {
        let (now, before) = {
            let mut inner = self.inner();
            (inner.now(), inner.paused.take())
        };
        let became = match now {
            Now::Waits if before.is_some() => "it begins at once",
            Now::Waits => "it was not paused",
            Now::Live(live, shared) => match live.resume(&shared, by).await {
                true => "it goes on",
                false => "it was not paused",
            },
            Now::Over => return Err(Refused::over()),
        };
        self.note(by, "resume", became)?;
        Ok(became.to_owned())
    }

    /// How many items have not ended; before the run begins, how many it has to do.
    pub fn open(&self) -> usize {
        let (now, items) = {
            let inner = self.inner();
            (inner.now(), inner.items)
        };
        match now {
            Now::Waits => items,
            Now::Live(_, shared) => shared.board().open(),
            Now::Over => 0,
        }
    }

    /// An item is not done, or done again.
    ///
    /// # Errors
    /// There is no such item, or it can't be now.
    pub async fn wish(&self, by: &str, wish: Wish, item: &Called) -> Result<String, Refused> {
        let shared = match self.inner().now() {
            Now::Live(_, shared) => shared,
            Now::Waits => return Err(Refused::because("the run is not under way: its items can't be changed")),
            Now::Over => return Err(Refused::over()),
        };
        let (number, id) = {
            let board = shared.board();
            let number = item.find(&board)?;
            (number, board.item(number).map(|item| item.id.clone()).unwrap_or_default())
        };
        let given = timeout(PATIENCE, shared.orders.give(wish, number, by)).await;
        let became = given.unwrap_or_else(|_| {
            let message = "nothing has come of it yet: its worker, or the journal, takes its time";
            Err(Refused::because(message).hint("`convoke ctl status` says how it stands"))
        });
        let what = match wish {
            Wish::Cancel => "cancel",
            Wish::Requeue => "requeue",
        };
        let what = format!("{what} {}", clean::line(&clean::bounded(&id, LONGEST)));
        match became {
            Ok(became) => {
                self.control(by, &what, &became).await?;
                Ok(became)
            }
            Err(refused) => Err(Refused { message: format!("{}: {}", clean::line(&id), refused.message), ..refused }),
        }
    }

    /// Whether the run has an item that is called so.
    pub fn has(&self, item: &Called) -> bool {
        self.live().is_some_and(|(_, shared)| item.find(&shared.board()).is_ok())
    }

    /// By whom it was paused before it has begun, and whether at once; none: it was not, or it has begun.
    pub fn begins_paused(&self) -> Option<(String, bool)> {
        let inner = self.inner();
        inner.paused.clone().filter(|_| matches!(inner.stage, Stage::Waits))
    }

    /// What is known of it; none: it is not under way.
    pub fn seen(&self) -> Option<Seen> {
        let (live, shared) = self.live()?;
        let broker = shared.answers.broker();
        let (census, stopping, held) = {
            let board = shared.board();
            (board.census(), board.draining().map(str::to_owned), held(&board))
        };
        Some(Seen {
            census,
            pause: broker.pause().standing(),
            paused_by: self.inner().paused.clone().map(|(by, _)| by),
            mode: live.mode.name(),
            spending: broker.spending(),
            budget: broker.budget().standing().into_iter().find(|standing| standing.limit == Limit::Run),
            stopping,
            accounts: broker.standing(),
            held,
        })
    }

    /// A change is told, and kept for the report.
    async fn control(&self, by: &str, what: &str, became: &str) -> Result<(), Refused> {
        if let Some(events) = self.note(by, what, became)? {
            let (by, what, became) = (by.to_owned(), what.to_owned(), became.to_owned());
            events.tell(Fact::Controlled { by, what, became }).await;
        }
        Ok(())
    }

    /// Keeps a change for the report. Gives where it is told, if the run goes on.
    ///
    /// # Errors
    /// It has ended meanwhile, and has its report.
    fn note(&self, by: &str, what: &str, became: &str) -> Result<Option<Events>, Refused> {
        let mut inner = self.inner();
        let (at, events) = match &inner.stage {
            Stage::Waits => (Duration::ZERO, None),
            Stage::Live(live) => (live.events.elapsed(), Some(live.events.clone())),
            Stage::Over => return Err(Refused::over()),
        };
        if inner.controls.len() < MOST {
            let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
            let (by, what, became) = (by.to_owned(), what.to_owned(), became.to_owned());
            inner.controls.push(ControlInfo { at_ms, by, what, became });
        }
        Ok(events)
    }

    fn live(&self) -> Option<(Live, Arc<Shared>)> {
        match self.inner().now() {
            Now::Live(live, shared) => Some((live, shared)),
            Now::Waits | Now::Over => None,
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// It has another mode from now on.
    fn is_in(&mut self, mode: Mode) {
        if let Stage::Live(live) = &mut self.stage {
            live.mode = mode;
        }
    }

    /// Whether a change would change anything.
    fn is_news(&self, change: Change) -> bool {
        match (&self.stage, change) {
            (Stage::Waits, Change::Mode(mode)) => self.begins_in != Some(mode),
            (Stage::Live(live), Change::Mode(mode)) => live.mode != mode,
            _ => true,
        }
    }

    /// A change holds from the beginning on.
    fn keep(&mut self, kept: Kept) {
        if let Change::Mode(mode) = kept.change {
            self.begins_in = Some(mode);
        }
        self.kept.retain(|before| !kept.change.replaces(before.change));
        self.kept.push(kept);
    }

    fn now(&self) -> Now {
        match &self.stage {
            Stage::Waits => Now::Waits,
            Stage::Live(live) => live.shared.upgrade().map_or(Now::Over, |shared| Now::Live(live.clone(), shared)),
            Stage::Over => Now::Over,
        }
    }
}

impl Live {
    async fn pause(&self, shared: &Shared, by: &str, at_once: bool) -> bool {
        // The switch first: from then on nothing is sent.
        let is_news = shared.answers.broker().pause().pause(at_once);
        shared.board().set_paused(true);
        if is_news {
            self.events.tell(Fact::Paused { by: by.to_owned(), at_once }).await;
        }
        is_news
    }

    async fn resume(&self, shared: &Shared, by: &str) -> bool {
        shared.board().set_paused(false);
        let is_news = shared.answers.broker().pause().resume();
        shared.changed.notify_waiters();
        shared.stirred.notify_one();
        if is_news {
            self.events.tell(Fact::Resumed { by: by.to_owned() }).await;
        }
        is_news
    }

    fn workers(&self, shared: &Shared, most: usize) {
        shared.board().set_workers(most);
        shared.changed.notify_waiters();
        shared.stirred.notify_one();
    }
}

fn held(board: &Board) -> Vec<(usize, String)> {
    let ids = (0..board.outcomes().len()).filter(|number| board.holder(*number).is_some());
    ids.filter_map(|number| Some((number, board.item(number)?.id.clone()))).collect()
}
