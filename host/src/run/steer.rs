//! What can be changed in a run while it goes on, and by whom it was.
//!
//! Each change is an event, and a line of the report. What is wished before the run has begun holds from its beginning on.

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use convoke_runtime::board::{Board, BoardError};
use convoke_runtime::broker::{Broker, Spending};
use convoke_runtime::budget::{Limit, Standing as Budget};
use convoke_runtime::event::{Events, Fact};
use convoke_runtime::pause::Standing;
use convoke_runtime::policy::BUILT_IN;
use convoke_runtime::policy::builtin::Profile;
use convoke_runtime::scan::ScanMode;
use convoke_runtime::work::Census;
use tokio::time::timeout;

use super::orders::{Called, PATIENCE, Wish};
use super::shared::Shared;
use crate::config::limits::check_instances;
use crate::config::{Limits, Mode, Scan};
use crate::report::{ControlInfo, clean, words};

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

/// What a run gets of a limit that all runs of its process share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Its workers, at most.
    pub workers: usize,
    /// Whether no other run of the process goes on, or is to begin.
    pub is_alone: bool,
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
    /// How many workers it is to have at most.
    workers: Option<usize>,
    /// The mode that it is to have.
    mode: Option<Mode>,
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
    /// Whether the user has named how many instances there may be.
    is_limit_named: bool,
    mode: Mode,
}

impl Steering {
    /// The run begins.
    pub(super) async fn attach(&self, shared: &Arc<Shared>, limits: &Limits, mode: Mode) {
        let live = Live {
            shared: Arc::downgrade(shared),
            events: shared.events.clone(),
            is_limit_named: limits.named.instances,
            mode,
        };
        let (paused, workers, mode) = {
            let mut inner = self.inner();
            inner.stage = Stage::Live(live.clone());
            (inner.paused.clone(), inner.workers, inner.mode)
        };
        if let Some((by, at_once)) = paused {
            live.pause(shared, &by, at_once).await;
        }
        if let Some(workers) = workers {
            live.workers(shared, workers);
        }
        if let Some(mode) = mode {
            self.inner().stage = Stage::Live(Live { mode, ..live.clone() });
            set_mode(shared, mode).await;
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

    /// At most so many workers from now on: more are started where there is work for them, those that are too many end after
    /// the item in their hands. The limit of questions in flight is all runs': see [`limit_questions`](Self::limit_questions).
    ///
    /// # Errors
    /// It is more than a user can have, or less than one; or the run has ended.
    pub async fn limit(&self, by: &str, most: u32, share: Share) -> Result<String, Refused> {
        let Share { workers, is_alone } = share;
        check_instances(most).map_err(Refused::because)?;
        let now = {
            let mut inner = self.inner();
            inner.workers = Some(workers);
            inner.now()
        };
        let here = words::counted(workers as u64, "worker", "workers");
        let became = match now {
            Now::Waits => format!("it begins with at most {here}"),
            Now::Live(live, shared) => {
                live.workers(&shared, workers);
                match is_alone {
                    true => format!("at most {most} questions in flight, and {here}"),
                    false => format!("at most {most} questions in flight in all runs, and {here} here"),
                }
            }
            Now::Over => return Err(Refused::over()),
        };
        self.control(by, &format!("limit {most}"), &became).await?;
        Ok(became)
    }

    /// At most so many questions in flight, in all runs of the process. False: the run has not begun.
    pub async fn limit_questions(&self, by: &str, most: u32) -> bool {
        let Some((_, shared)) = self.live() else { return false };
        shared.answers.broker().lanes().set_limit(most as usize, &format!("set by {by}")).await;
        true
    }

    /// How many items have not ended; none: the run is not under way.
    pub fn open(&self) -> Option<usize> {
        self.live().map(|(_, shared)| shared.board().open())
    }

    /// Another mode from now on, as far as a mode can change in the middle of a run.
    ///
    /// # Errors
    /// The run has ended.
    pub async fn mode(&self, by: &str, mode: Mode) -> Result<String, Refused> {
        let now = {
            let mut inner = self.inner();
            inner.mode = Some(mode);
            let now = inner.now();
            if let Stage::Live(live) = &mut inner.stage {
                live.mode = mode;
            }
            now
        };
        let became = match now {
            Now::Waits => format!("it begins in mode {}", mode.name()),
            Now::Over => return Err(Refused::over()),
            Now::Live(live, _) if live.mode == mode => format!("it was in mode {} already", mode.name()),
            Now::Live(live, shared) => {
                let (is_stricter, is_builtin) = set_mode(&shared, mode).await;
                let mut parts = vec![format!("mode {}", mode.name())];
                if !live.is_limit_named {
                    let most = Limits::of(mode).instances;
                    live.workers(&shared, most as usize);
                    let lanes = shared.answers.broker().lanes();
                    lanes.set_limit(most as usize, &format!("mode {}, set by {by}", mode.name())).await;
                    parts.push(format!("at most {most} at once"));
                }
                parts.push(
                    if is_stricter { "secrets are handled more strictly" } else { "secrets as before" }.to_owned(),
                );
                if !is_builtin {
                    parts.push("the policy in force keeps its numbers".to_owned());
                }
                parts.push("tolerance, operations at once and what is planned stay".to_owned());
                parts.join("; ")
            }
        };
        self.control(by, &format!("mode {}", mode.name()), &became).await?;
        Ok(became)
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

/// What of a mode the broker has: whether secrets are handled more strictly than before, and whether the policy is the
/// built-in one, which gets the mode's numbers.
async fn set_mode(shared: &Shared, mode: Mode) -> (bool, bool) {
    let broker: &Broker = shared.answers.broker();
    let scan = match Limits::of(mode).scan {
        Scan::Strict => ScanMode::Strict,
        Scan::Standard => ScanMode::Standard,
        Scan::Basic => ScanMode::Basic,
    };
    let is_stricter = broker.set_mode(mode.for_policies(), scan);
    let slot = broker.lanes().policy();
    let is_builtin = &*slot.in_force().name == BUILT_IN;
    if is_builtin {
        let profile = Profile::of(mode.for_policies());
        slot.swap(BUILT_IN, Some(profile), None, &format!("the mode is {}", mode.name())).await;
    }
    (is_stricter, is_builtin)
}

fn held(board: &Board) -> Vec<(usize, String)> {
    let ids = (0..board.outcomes().len()).filter(|number| board.holder(*number).is_some());
    ids.filter_map(|number| Some((number, board.item(number)?.id.clone()))).collect()
}
