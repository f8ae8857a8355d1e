//! How an item may stand, and the only ways from one state to the next.
//!
//! Every item of a run has one [`Standing`], the conclusion too. It ends once, and only with an [`Ending`]; once more only
//! where somebody has reopened it. One that says
//! `done`, `cached`, `fallback` or `skipped` is made of what the journal returns when it has written that end
//! ([`Written`]), and of nothing else: so nothing counts as done that could still be lost. Without the journal an item can
//! only fail.

use std::fmt;

use crate::journal::Written;
use crate::work::Outcome;

/// In which state an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nobody has it; it waits for its turn, or was given back.
    Queued,
    /// A worker has it.
    InHands,
    /// It failed in a way that passes, and waits until the others are done.
    Aside,
    /// Another host is at it.
    Elsewhere,
    /// It has its outcome.
    Ended,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Queued, Self::InHands, Self::Aside, Self::Elsewhere, Self::Ended];

    /// The table: the state after a step; none where there is no such step.
    pub const fn after(self, step: Step) -> Option<Self> {
        match (self, step) {
            (Self::Queued, Step::Take) => Some(Self::InHands),
            (Self::InHands, Step::GiveBack) | (Self::Aside, Step::Again) | (Self::Elsewhere, Step::ComeBack) => {
                Some(Self::Queued)
            }
            (Self::Ended, Step::Reopen) => Some(Self::Queued),
            (Self::InHands, Step::SetAside) => Some(Self::Aside),
            (Self::InHands, Step::LeaveToOther) => Some(Self::Elsewhere),
            (Self::Queued | Self::InHands | Self::Aside | Self::Elsewhere, Step::End) => Some(Self::Ended),
            _ => None,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "queued",
            Self::InHands => "in a worker's hands",
            Self::Aside => "set aside",
            Self::Elsewhere => "with another host",
            Self::Ended => "ended",
        })
    }
}

/// What can happen to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A worker takes it.
    Take,
    /// Its worker is gone.
    GiveBack,
    /// It failed in a way that passes.
    SetAside,
    /// One that was set aside may be taken again.
    Again,
    /// Another host is at it.
    LeaveToOther,
    /// The other host has not done it.
    ComeBack,
    /// It ends.
    End,
    /// Somebody wants it to be done again, though it had ended.
    Reopen,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Take,
        Self::GiveBack,
        Self::SetAside,
        Self::Again,
        Self::LeaveToOther,
        Self::ComeBack,
        Self::End,
        Self::Reopen,
    ];
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Take => "be taken",
            Self::GiveBack => "be given back",
            Self::SetAside => "be set aside",
            Self::Again => "be done again",
            Self::LeaveToOther => "be left to another host",
            Self::ComeBack => "come back",
            Self::End => "end",
            Self::Reopen => "be reopened",
        })
    }
}

/// A step that the table doesn't have. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is {state} can't {step}")]
pub struct Misstep {
    /// In which state the item is.
    pub state: State,
    /// What should have happened to it.
    pub step: Step,
}

/// How an item ends.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the item has not ended"]
pub struct Ending {
    outcome: Outcome,
    /// The item of which the journal says so; none: nobody has written it down.
    item: Option<String>,
}

impl Ending {
    /// It has failed. This alone needs no word of the journal: nothing is claimed.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed(reason.into()), item: None }
    }

    /// How it ends.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Whether it may be the end of the item with this id.
    pub fn is_of(&self, item: &str) -> bool {
        self.item.as_deref().is_none_or(|written| written == item)
    }
}

impl From<Written> for Ending {
    fn from(written: Written) -> Self {
        let (item, outcome) = written.into_parts();
        Self { outcome, item: Some(item) }
    }
}

/// For tests of what has no journal.
#[cfg(test)]
impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, item: None }
    }
}

/// How one item stands.
#[derive(Debug)]
pub struct Standing {
    state: State,
    outcome: Outcome,
}

impl Default for Standing {
    fn default() -> Self {
        Self { state: State::Queued, outcome: Outcome::Pending }
    }
}

impl Standing {
    /// In which state it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// Its outcome: `pending` until it has ended.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// A worker takes it.
    ///
    /// # Errors
    /// It isn't queued.
    pub fn take(&mut self) -> Result<(), Misstep> {
        self.step(Step::Take)
    }

    /// Its worker is gone: it is queued again.
    ///
    /// # Errors
    /// No worker has it.
    pub fn give_back(&mut self) -> Result<(), Misstep> {
        self.step(Step::GiveBack)
    }

    /// It failed in a way that passes, and is to be done again when the others are done.
    ///
    /// # Errors
    /// No worker has it.
    pub fn set_aside(&mut self) -> Result<(), Misstep> {
        self.step(Step::SetAside)
    }

    /// It is queued again after it was set aside.
    ///
    /// # Errors
    /// It was not set aside.
    pub fn again(&mut self) -> Result<(), Misstep> {
        self.step(Step::Again)
    }

    /// Another host is at it: it is left alone.
    ///
    /// # Errors
    /// No worker has it.
    pub fn leave_to_other(&mut self) -> Result<(), Misstep> {
        self.step(Step::LeaveToOther)
    }

    /// The other host has not done it: it is queued again.
    ///
    /// # Errors
    /// No other host was at it.
    pub fn come_back(&mut self) -> Result<(), Misstep> {
        self.step(Step::ComeBack)
    }

    /// It ends.
    ///
    /// # Errors
    /// It has ended.
    pub fn end(&mut self, ending: Ending) -> Result<(), Misstep> {
        self.step(Step::End)?;
        self.outcome = ending.outcome;
        Ok(())
    }

    /// It is queued again though it had ended, and pending; how it had ended.
    ///
    /// # Errors
    /// It has not ended.
    pub fn reopen(&mut self) -> Result<Outcome, Misstep> {
        self.step(Step::Reopen)?;
        Ok(std::mem::replace(&mut self.outcome, Outcome::Pending))
    }

    fn step(&mut self, step: Step) -> Result<(), Misstep> {
        self.state = self.state.after(step).ok_or(Misstep { state: self.state, step })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn do_step(standing: &mut Standing, step: Step, outcome: Outcome) -> Result<(), Misstep> {
        match step {
            Step::Take => standing.take(),
            Step::GiveBack => standing.give_back(),
            Step::SetAside => standing.set_aside(),
            Step::Again => standing.again(),
            Step::LeaveToOther => standing.leave_to_other(),
            Step::ComeBack => standing.come_back(),
            Step::End => standing.end(outcome.into()),
            Step::Reopen => standing.reopen().map(drop),
        }
    }

    #[test]
    fn the_table_has_these_steps_and_no_others() {
        let mut rows = Vec::new();
        for state in State::ALL {
            for step in Step::ALL {
                rows.extend(state.after(step).map(|next| format!("{state}: {step}: {next}")));
            }
        }
        assert_eq!(
            rows,
            [
                "queued: be taken: in a worker's hands",
                "queued: end: ended",
                "in a worker's hands: be given back: queued",
                "in a worker's hands: be set aside: set aside",
                "in a worker's hands: be left to another host: with another host",
                "in a worker's hands: end: ended",
                "set aside: be done again: queued",
                "set aside: end: ended",
                "with another host: come back: queued",
                "with another host: end: ended",
                "ended: be reopened: queued",
            ]
        );
    }

    #[test]
    fn without_the_journal_an_item_can_only_fail() {
        let ending = Ending::failed("the disk is full");
        assert_eq!(ending.outcome(), &Outcome::Failed("the disk is full".to_owned()));
        assert!(ending.is_of("any"));
    }

    #[test]
    fn a_misstep_says_what_can_not_be() {
        let mut standing = Standing::default();
        let error = standing.set_aside().unwrap_err();
        assert_eq!(error.to_string(), "what is queued can't be set aside");
        assert_eq!(standing.state(), State::Queued);
    }

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop::sample::select(vec![
            Outcome::Done,
            Outcome::Cached,
            Outcome::Fallback(String::new()),
            Outcome::Failed(String::new()),
            Outcome::Skipped(String::new()),
        ])
    }

    proptest! {
        #[test]
        fn whatever_happens_an_item_ends_at_most_once_and_stays_so_until_it_is_reopened(
            steps in prop::collection::vec((prop::sample::select(Step::ALL.to_vec()), outcome()), 0..60)
        ) {
            let (mut standing, mut ends) = (Standing::default(), Vec::new());
            for (step, outcome) in steps {
                let before = (standing.state(), standing.outcome().clone());
                let done = do_step(&mut standing, step, outcome.clone());
                if done.is_err() {
                    prop_assert_eq!(&before, &(standing.state(), standing.outcome().clone()), "a misstep changes nothing");
                } else if step == Step::End {
                    ends.push(outcome);
                } else if step == Step::Reopen {
                    prop_assert_eq!(ends.pop(), Some(before.1), "it had ended");
                }
                prop_assert!(ends.len() <= 1);
                prop_assert_eq!(standing.has_ended(), !ends.is_empty());
                prop_assert_eq!(standing.outcome(), ends.first().unwrap_or(&Outcome::Pending));
            }
        }
    }
}
