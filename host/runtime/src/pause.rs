//! Whether a run may ask at this moment.
//!
//! While it is paused no question of the run is sent. What waits holds nothing: its place in the queue is given up, and its
//! clocks begin when it is sent. What is in flight ends, or is broken off and asked again when the run goes on.

use tokio::sync::watch;

/// How a run stands with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It goes on.
    #[default]
    GoesOn,
    /// Nothing is begun; what is under way ends.
    Paused,
    /// The same, and what is under way is broken off.
    AtOnce,
}

impl Standing {
    fn may_become(self, at_once: bool) -> bool {
        match self {
            Self::GoesOn => true,
            Self::Paused => at_once,
            Self::AtOnce => false,
        }
    }
}

/// The switch of one run.
#[derive(Debug, Default)]
pub struct Pause(watch::Sender<Standing>);

impl Pause {
    /// Whether such a pause is another one than the one that it stands with.
    pub fn may_begin(&self, at_once: bool) -> bool {
        self.standing().may_become(at_once)
    }

    /// From now on nothing is begun. False: it was so before.
    pub fn pause(&self, at_once: bool) -> bool {
        let wanted = if at_once { Standing::AtOnce } else { Standing::Paused };
        self.0.send_if_modified(|standing| {
            let is_news = standing.may_become(at_once);
            if is_news {
                *standing = wanted;
            }
            is_news
        })
    }

    /// It goes on. False: it did before.
    pub fn resume(&self) -> bool {
        self.0.send_if_modified(|standing| std::mem::take(standing) != Standing::GoesOn)
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        *self.0.borrow()
    }

    /// Whether nothing may be begun.
    pub fn is_paused(&self) -> bool {
        self.standing() != Standing::GoesOn
    }

    /// Returns when something may be begun.
    pub async fn over(&self) {
        self.becomes(|standing| *standing == Standing::GoesOn).await;
    }

    /// Returns when nothing may be begun any more.
    pub async fn begins(&self) {
        self.becomes(|standing| *standing != Standing::GoesOn).await;
    }

    /// Returns when what is under way is to be broken off.
    pub async fn breaks_off(&self) {
        self.becomes(|standing| *standing == Standing::AtOnce).await;
    }

    async fn becomes(&self, wanted: impl FnMut(&Standing) -> bool) {
        // It can't be closed: the sender is here.
        let _ = self.0.subscribe().wait_for(wanted).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_can_become_one_at_once_and_not_the_other_way() {
        let pause = Pause::default();
        assert!(!pause.is_paused() && !pause.resume());
        assert!(pause.pause(false) && !pause.pause(false) && pause.pause(true) && !pause.pause(false));
        assert_eq!(pause.standing(), Standing::AtOnce);
        assert!(pause.resume() && !pause.is_paused());
    }

    #[tokio::test]
    async fn who_waits_for_its_end_is_woken() {
        let pause = std::sync::Arc::new(Pause::default());
        pause.pause(false);
        let waits = tokio::spawn({
            let pause = pause.clone();
            async move { pause.over().await }
        });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        pause.resume();
        waits.await.unwrap();
    }
}
