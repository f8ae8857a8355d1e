//! What can be changed while questions are asked: the pause, the mode, and what is done about secrets.

use std::sync::{PoisonError, RwLock};

use super::*;
use crate::pause::Pause;
use crate::policy::Mode;

/// What can be changed.
#[derive(Debug)]
pub(super) struct Live {
    pause: Pause,
    /// The user's mode, and what a secret leads to.
    mode: RwLock<(Mode, ScanMode)>,
}

impl Live {
    pub(super) fn of(config: &BrokerConfig) -> Self {
        Self { pause: Pause::default(), mode: RwLock::new((config.mode, config.scan)) }
    }
}

impl Broker {
    /// Whether the run may ask at this moment.
    pub fn pause(&self) -> &Pause {
        &self.live.pause
    }

    /// The user's mode, as it is now.
    pub fn mode(&self) -> Mode {
        self.live.mode.read().unwrap_or_else(PoisonError::into_inner).0
    }

    /// What a secret leads to, as it is now.
    pub fn scan_mode(&self) -> ScanMode {
        self.live.mode.read().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Another mode from the next decision on, for this run: that of the limits is [`Lanes::set_mode`]. What is done about secrets only becomes stricter: nobody who wrote a prompt
    /// was asked. Whether it has.
    pub fn set_mode(&self, mode: Mode, scan: ScanMode) -> bool {
        let mut live = self.live.mode.write().unwrap_or_else(PoisonError::into_inner);
        let stricter = strictness(scan) > strictness(live.1);
        *live = (mode, if stricter { scan } else { live.1 });
        drop(live);
        stricter
    }

    /// Says for what a question waits. It may be lost on who is far behind: nobody waits longer for it.
    pub(super) fn waits(&self, question: u64, item: usize, reason: &'static str, lasts: Option<Duration>) {
        self.books.events.mention(Fact::QuestionWaits { question, item, reason: reason.into(), lasts });
    }

    /// Returns when the run may ask.
    ///
    /// # Errors
    /// Dispatch stops meanwhile.
    pub(super) async fn until_it_goes_on(&self, life: &Life<'_>) -> Result<(), Failure> {
        if !self.pause().is_paused() {
            return Ok(());
        }
        self.waits(life.id, life.asker.item, "pause", None);
        tokio::select! {
            biased;
            failure = self.stopping() => Err(failure),
            () = self.pause().over() => Ok(()),
        }
    }

    /// What was in flight was broken off: what it took nobody knows, and so all that was reserved for it counts. It is no
    /// failure, and asked again when the run goes on.
    pub(super) async fn broken_off(&self, life: &mut Life<'_>, request: &Request) {
        life.draft.ended(&request.model, Usage { requests: 1, ..Usage::default() }, None, false, None);
        life.draft.paused();
        life.draft.beside_is_over();
        let (question, item) = (life.id, life.asker.item);
        self.books.tell(Fact::QuestionWaits { question, item, reason: "pause".into(), lasts: None }).await;
    }
}

fn strictness(scan: ScanMode) -> u8 {
    match scan {
        ScanMode::Basic => 0,
        ScanMode::Standard => 1,
        ScanMode::Strict => 2,
    }
}
