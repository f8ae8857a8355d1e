//! How many work at once, and the mode: what is changed of them in a run, and in what all runs of its process share.

use std::sync::Arc;

use convoke_runtime::broker::Lanes;
use convoke_runtime::policy::BUILT_IN;
use convoke_runtime::policy::builtin::Profile;
use convoke_runtime::scan::ScanMode;

use super::{Live, Now, Refused, Steering};
use crate::config::limits::check_instances;
use crate::config::{Limits, Mode, Scan};
use crate::report::words;
use crate::run::shared::Shared;

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// At most so many workers: more are started where there is work for them, those that are too many end after the item in
    /// their hands. And at most so many questions in flight.
    Limit(u32),
    /// Another mode, as far as a mode can change in the middle of a run.
    Mode(Mode),
}

/// What a run gets of what all runs of its process share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Its workers, at most.
    pub workers: usize,
    /// Whether no other run of the process goes on, or is to begin.
    pub is_alone: bool,
}

/// A change that holds from the beginning of a run.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) by: String,
    pub(super) change: Change,
    pub(super) share: Share,
}

impl Change {
    /// How many workers and questions there may be then.
    pub fn most(self) -> u32 {
        match self {
            Self::Limit(most) => most,
            Self::Mode(mode) => Limits::of(mode).instances,
        }
    }

    /// As the report names it.
    pub(super) fn name(self) -> String {
        match self {
            Self::Limit(most) => format!("limit {most}"),
            Self::Mode(mode) => format!("mode {}", mode.name()),
        }
    }

    /// Whether the other one has no say any more once this one has.
    pub(super) fn replaces(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }

    /// In what all runs of the process share: how many questions may be in flight, and the policy's numbers.
    pub(super) async fn of_all(self, lanes: &Lanes, by: &str, is_limit_named: bool) {
        match self {
            Self::Limit(most) => lanes.set_limit(most as usize, &format!("set by {by}")).await,
            Self::Mode(mode) => {
                lanes.set_mode(mode.for_policies());
                if is_builtin(lanes) {
                    let profile = Profile::of(mode.for_policies());
                    let why = format!("the mode is {}", mode.name());
                    lanes.policy().swap(BUILT_IN, Some(profile), None, &why).await;
                }
                if !is_limit_named {
                    let why = format!("mode {}, set by {by}", mode.name());
                    lanes.set_limit(self.most() as usize, &why).await;
                }
            }
        }
    }
}

impl Steering {
    /// A change of the run, or of how it begins. What all runs of the process share is changed by
    /// [`change_of_all`](Self::change_of_all), once for all of them, before.
    ///
    /// # Errors
    /// It is more than a user can have, or less than one; or the run has ended.
    pub async fn change(&self, by: &str, change: Change, share: Share) -> Result<String, Refused> {
        if let Change::Limit(most) = change {
            check_instances(most).map_err(Refused::because)?;
        }
        let now = {
            let mut inner = self.inner();
            let now = inner.now();
            if matches!(now, Now::Waits) && inner.is_news(change) {
                inner.keep(Kept { by: by.to_owned(), change, share });
            }
            now
        };
        let became = match (now, change) {
            (Now::Waits, Change::Limit(_)) => format!("it begins with at most {}", workers(share)),
            (Now::Waits, Change::Mode(mode)) => format!("it begins in mode {}", mode.name()),
            (Now::Live(live, shared), change) => self.carry_out(&live, &shared, change, share),
            (Now::Over, _) => return Err(Refused::over()),
        };
        self.control(by, &change.name(), &became).await?;
        Ok(became)
    }

    /// The part of a change that all runs of the process share. False: that can't be had here, since the run has not begun
    /// and is the only one, or has ended. One that has not begun does it when it begins.
    pub async fn change_of_all(&self, by: &str, change: Change) -> bool {
        let found = {
            let inner = self.inner();
            let lanes: Option<Arc<Lanes>> = match inner.now() {
                Now::Waits => inner.lanes.as_ref().and_then(std::sync::Weak::upgrade),
                Now::Live(_, shared) => Some(shared.answers.broker().lanes().clone()),
                Now::Over => None,
            };
            lanes.map(|lanes| (lanes, inner.is_limit_named))
        };
        let Some((lanes, is_limit_named)) = found else { return false };
        change.of_all(&lanes, by, is_limit_named).await;
        true
    }

    /// Whether a change would change anything.
    pub fn is_news(&self, change: Change) -> bool {
        self.inner().is_news(change)
    }

    /// The run's own part of a change. Gives what became of all of it.
    pub(super) fn carry_out(&self, live: &Live, shared: &Shared, change: Change, share: Share) -> String {
        let most = change.most();
        let at_once = match share.is_alone {
            true => format!("at most {most} questions in flight, and {}", workers(share)),
            false => format!("at most {most} questions in flight in all runs, and {} here", workers(share)),
        };
        let Change::Mode(mode) = change else {
            live.workers(shared, share.workers);
            return at_once;
        };
        if live.mode == mode {
            return format!("it was in mode {} already", mode.name());
        }
        self.inner().is_in(mode);
        let mut parts = vec![format!("mode {}", mode.name())];
        let is_stricter = shared.answers.broker().set_mode(mode.for_policies(), scan_of(mode));
        if !self.inner().is_limit_named {
            live.workers(shared, share.workers);
            parts.push(at_once);
        }
        parts.push(if is_stricter { "secrets are handled more strictly" } else { "secrets as before" }.to_owned());
        if !is_builtin(shared.answers.broker().lanes()) {
            parts.push("the policy in force keeps its numbers".to_owned());
        } else if !share.is_alone {
            parts.push("the policy has the numbers of the mode for all runs".to_owned());
        }
        parts.push("tolerance, operations at once and what is planned stay".to_owned());
        parts.join("; ")
    }
}

fn workers(share: Share) -> String {
    words::counted(share.workers as u64, "worker", "workers")
}

fn scan_of(mode: Mode) -> ScanMode {
    match Limits::of(mode).scan {
        Scan::Strict => ScanMode::Strict,
        Scan::Standard => ScanMode::Standard,
        Scan::Basic => ScanMode::Basic,
    }
}

/// Whether the policy in force is the built-in one, which gets the mode's numbers.
fn is_builtin(lanes: &Lanes) -> bool {
    &*lanes.policy().in_force().name == BUILT_IN
}
