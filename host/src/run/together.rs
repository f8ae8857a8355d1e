//! Several commands at once: what each gets of the workers, and which comes after which.
//!
//! All of them share one pool of instances, one quota, one budget and one journal. Each is a run of its own, with its own
//! board: so two that would write the same path run one after the other.

use convoke_runtime::board::{normalised, overlap};
use convoke_runtime::work::Item;
use tokio::sync::{Semaphore, watch};

use super::execute::Stop;

/// How many workers each of several commands gets of `instances`: what it wants, or where that is too much for all, evenly
/// as much as there is. Each that wants any gets one, also where there are more commands than instances: then the last
/// ones wait for others to end.
pub fn shares(wanted: &[usize], instances: usize) -> Vec<usize> {
    let mut shares: Vec<usize> = wanted.iter().map(|wanted| (*wanted).min(1)).collect();
    let mut left = instances.saturating_sub(shares.iter().sum());
    while left > 0 {
        let mut given = false;
        for (share, wanted) in shares.iter_mut().zip(wanted) {
            if *share < *wanted && left > 0 {
                (*share, left, given) = (*share + 1, left - 1, true);
            }
        }
        if !given {
            break;
        }
    }
    shares
}

/// Why a command waits for the end of an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// The place of the earlier one.
    pub earlier: usize,
    /// A path that both write, as the later one names it.
    pub path: String,
}

/// For each command, in the order in which they were typed, the earlier ones that write a path in common with it.
pub fn order<'a>(plans: impl IntoIterator<Item = &'a [Item]>) -> Vec<Vec<After>> {
    let paths = |items: &[Item]| -> Vec<String> {
        let mut paths: Vec<String> = items.iter().flat_map(|item| &item.writes).map(|path| normalised(path)).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    };
    let plans: Vec<Vec<String>> = plans.into_iter().map(paths).collect();
    let common = |earlier: &[String], later: &[String]| {
        later.iter().find(|path| earlier.iter().any(|other| overlap(path, other))).cloned()
    };
    let after = |later: usize| {
        let earlier = plans[..later].iter().enumerate();
        earlier.filter_map(|(earlier, other)| Some(After { earlier, path: common(other, &plans[later])? })).collect()
    };
    (0..plans.len()).map(after).collect()
}

/// Who may begin when: at most so many workers at once, and none before those that it comes after.
pub struct Turns {
    workers: Semaphore,
    ended: Vec<watch::Sender<bool>>,
    after: Vec<Vec<After>>,
    shares: Vec<usize>,
}

impl Turns {
    /// For commands with these shares of `instances` workers, in this order.
    pub fn new(instances: usize, shares: Vec<usize>, after: Vec<Vec<After>>) -> Self {
        let ended = shares.iter().map(|_| watch::Sender::new(false)).collect();
        Self { workers: Semaphore::new(instances.max(1)), ended, after, shares }
    }

    /// Waits for the turn of the command at that place, does its work, and lets others begin. Once the user has stopped
    /// it all nobody waits: each says then what it did not begin.
    pub async fn take<T>(&self, place: usize, stop: &Stop, work: impl Future<Output = T>) -> T {
        let turn = tokio::select! {
            () = stop.soft.cancelled() => None,
            turn = self.wait(place) => turn,
        };
        let done = work.await;
        drop(turn);
        self.ended[place].send_replace(true);
        done
    }

    async fn wait(&self, place: usize) -> Option<tokio::sync::SemaphorePermit<'_>> {
        // Only earlier ones are waited for, and holding nothing: so nobody waits for ever.
        for after in &self.after[place] {
            // It can't fail: the senders live as long as this.
            let _ = self.ended[after.earlier].subscribe().wait_for(|ended| *ended).await;
        }
        let workers = u32::try_from(self.shares[place]).unwrap_or(u32::MAX);
        self.workers.acquire_many(workers).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn writing(paths: &[&str]) -> Vec<Item> {
        vec![Item { writes: paths.iter().map(|path| (*path).to_owned()).collect(), ..Item::default() }]
    }

    #[test]
    fn three_commands_share_eight_workers_by_what_they_want() {
        assert_eq!(shares(&[8, 8, 1], 8), [4, 3, 1]);
        assert_eq!(shares(&[2, 0, 3], 8), [2, 0, 3]);
        assert_eq!(shares(&[5, 5, 5], 2), [1, 1, 1], "the third waits for one to end");
    }

    #[test]
    fn who_writes_the_same_or_inside_of_it_comes_after() {
        let plans = [writing(&["docs"]), writing(&["src/a"]), writing(&["./docs/a.md", "src/b"]), writing(&[])];
        let after = order(plans.iter().map(Vec::as_slice));
        assert_eq!(after[2], [After { earlier: 0, path: "docs/a.md".to_owned() }]);
        assert!(after[0].is_empty() && after[1].is_empty() && after[3].is_empty());
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_it_wants_and_all_together_no_more_than_there_are(
            wanted in prop::collection::vec(0_usize..20, 1..8), instances in 1_usize..20
        ) {
            let shares = shares(&wanted, instances);
            let working = wanted.iter().filter(|wanted| **wanted > 0).count();
            prop_assert!(shares.iter().sum::<usize>() <= instances.max(working));
            prop_assert!(shares.iter().zip(&wanted).all(|(share, wanted)| share <= wanted && (*wanted == 0 || *share > 0)));
            let all: usize = wanted.iter().sum();
            prop_assert!(shares.iter().sum::<usize>() >= all.min(instances).max(working.min(all)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_workers_than_instances_and_none_before_those_it_comes_after() {
        let after = vec![vec![], vec![], vec![After { earlier: 0, path: "a".to_owned() }]];
        let turns = Turns::new(2, vec![1, 1, 1], after);
        let (stop, log) = (Stop::default(), Mutex::new(Vec::new()));
        let run = |place: usize, seconds: u64| {
            let (turns, stop, log) = (&turns, &stop, &log);
            turns.take(place, stop, async move {
                log.lock().unwrap().push(format!("{place} begins"));
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                log.lock().unwrap().push(format!("{place} ends"));
            })
        };
        tokio::join!(run(0, 2), run(1, 1), run(2, 1));
        assert_eq!(*log.lock().unwrap(), ["0 begins", "1 begins", "1 ends", "0 ends", "2 begins", "2 ends"]);
    }

    #[tokio::test]
    async fn nobody_waits_once_it_is_stopped() {
        let turns = Turns::new(1, vec![1, 1], vec![vec![], vec![After { earlier: 0, path: "a".to_owned() }]]);
        let stop = Stop::default();
        stop.soft.cancel();
        assert_eq!(turns.take(1, &stop, async { 7 }).await, 7);
    }
}
