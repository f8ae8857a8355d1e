use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;

/// A folder, and the time that all in it agree on, in seconds.
struct Machine {
    folder: tempfile::TempDir,
    seconds: Arc<AtomicU64>,
}

impl Machine {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), seconds: Arc::new(AtomicU64::new(3_600)) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("claims")
    }

    fn host(&self) -> Claims {
        self.host_booted("this")
    }

    fn host_booted(&self, boot: &str) -> Claims {
        let seconds = self.seconds.clone();
        let clock = Clock::new(move || Duration::from_secs(seconds.load(Ordering::Relaxed)));
        Claims::open(&self.path(), clock, boot.to_owned()).unwrap()
    }

    fn pass(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }
}

fn key(number: u8) -> ItemKey {
    ItemKey(Digest::of(&[number]))
}

const ALONE: Claimed = Claimed::Mine { company: false };
const BESIDE: Claimed = Claimed::Mine { company: true };

/// As `kill -9` ends it: nothing is written, and its lock is gone.
fn kill(host: Claims) {
    drop(host.lock().seat.take());
}

#[test]
fn what_one_host_does_the_other_leaves_until_it_has_ended() {
    let machine = Machine::new();
    let one = machine.host();
    assert_eq!((one.claim(&key(1)), one.claim(&key(1))), (ALONE, ALONE), "its own stays its own");
    let other = machine.host();
    assert_eq!(other.claim(&key(2)), Claimed::Elsewhere, "who was alone has not seen it yet, and may be at it");
    one.notice();
    assert_eq!((other.claim(&key(1)), other.claim(&key(2))), (Claimed::Elsewhere, BESIDE));
    assert_eq!((one.claim(&key(2)), one.claim(&key(3))), (Claimed::Elsewhere, BESIDE));
    assert_eq!(other.elsewhere(&[key(1), key(2), key(3), key(4)]), [true, false, true, false]);
    one.release(&key(1));
    assert_eq!(other.claim(&key(1)), BESIDE);
    one.release_all();
    assert_eq!(other.elsewhere(&[key(3)]), [false]);
}

#[test]
fn who_is_alone_writes_nothing_and_who_comes_is_seen_with_the_next_item() {
    let machine = Machine::new();
    let one = machine.host();
    let file = machine.path().join(super::super::file::NAME);
    let before = fs::read(&file).unwrap();
    assert_eq!((one.claim(&key(1)), one.claim(&key(2))), (ALONE, ALONE));
    one.release(&key(2));
    one.notice();
    assert_eq!(fs::read(&file).unwrap(), before);
    let other = machine.host();
    assert_eq!(other.elsewhere(&[key(2)]), [true]);
    assert_eq!(one.claim(&key(3)), BESIDE);
    assert_eq!(other.elsewhere(&[key(1), key(2), key(3)]), [true, false, true]);
    kill(one);
    machine.pass(1);
    assert_eq!(other.claim(&key(1)), BESIDE);
    kill(other);
    machine.pass(1);
    let alone = machine.host();
    assert_eq!(alone.claim(&key(1)), ALONE, "whom it finds dead is no company");
}

#[test]
fn one_that_came_and_went_was_company_too() {
    let machine = Machine::new();
    let one = machine.host();
    assert_eq!(one.claim(&key(1)), ALONE);
    drop(machine.host());
    assert_eq!(one.claim(&key(2)), BESIDE, "it may have done the item");
    assert_eq!(machine.host().claim(&key(3)), BESIDE);
    drop(one);
    assert_eq!(machine.host().claim(&key(3)), ALONE, "its results were there when this one began");
}

#[test]
fn what_a_killed_host_held_is_free_at_once() {
    let machine = Machine::new();
    let (one, other) = (machine.host(), machine.host());
    assert_eq!(one.claim(&key(1)), BESIDE);
    assert_eq!(other.claim(&key(1)), Claimed::Elsewhere);
    kill(one);
    machine.pass(1);
    assert_eq!(other.claim(&key(1)), BESIDE);
    assert_eq!(fs::read_dir(machine.path()).unwrap().count(), 2, "the state, and the presence of who is left");
}

#[test]
fn one_that_is_stopped_loses_what_it_held_after_thirty_seconds_and_takes_nothing_back() {
    let machine = Machine::new();
    let (stopped, other) = (machine.host(), machine.host());
    assert_eq!((stopped.claim(&key(1)), stopped.claim(&key(2))), (BESIDE, BESIDE));
    machine.pass(30);
    other.renew();
    assert_eq!(other.claim(&key(1)), Claimed::Elsewhere);
    machine.pass(1);
    assert_eq!(other.claim(&key(1)), BESIDE);
    // It goes on.
    stopped.renew();
    assert_eq!(other.elsewhere(&[key(1), key(2)]), [false, true], "what nobody took is its own again");
    assert_eq!(stopped.claim(&key(1)), Claimed::Elsewhere);
}

#[test]
fn one_that_renews_its_claims_keeps_them() {
    let machine = Machine::new();
    let (one, other) = (machine.host(), machine.host());
    assert_eq!(one.claim(&key(1)), BESIDE);
    for _ in 0..20 {
        machine.pass(RENEWED.as_secs());
        one.renew();
        assert_eq!(other.claim(&key(1)), Claimed::Elsewhere);
    }
}

#[test]
fn claims_of_before_a_boot_or_a_torn_file_count_for_nothing_and_those_who_live_claim_again() {
    let machine = Machine::new();
    let one = machine.host();
    assert_eq!(one.claim(&key(1)), ALONE);
    std::mem::forget(one);
    let after = machine.host_booted("the next");
    assert_eq!(after.claim(&key(1)), ALONE);
    fs::write(machine.path().join(super::super::file::NAME), b"torn").unwrap();
    let other = machine.host_booted("the next");
    assert!(matches!(after.claim(&key(2)), Claimed::Mine { .. }));
    assert_eq!(other.claim(&key(1)), Claimed::Elsewhere);
    assert!(after.warnings().is_empty() && other.warnings().is_empty());
}

#[test]
fn where_the_folder_can_not_be_had_it_says_so_and_where_the_file_is_newer_it_is_left_alone() {
    let machine = Machine::new();
    drop(machine.host());
    let state = machine.path().join(super::super::file::NAME);
    let text =
        fs::read_to_string(&state).unwrap().replacen(&format!("claims {} ", crate::shared::VERSION), "claims 9 ", 1);
    fs::write(&state, &text).unwrap();
    let error = Claims::open(&machine.path(), Clock::system(), "this".to_owned()).unwrap_err();
    assert!(matches!(error, SharedError::Newer { version: 9, .. }), "{error}");
    assert!(warning(&error).contains("update convoke"));
    assert_eq!(fs::read_to_string(&state).unwrap(), text);
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn where_the_file_fails_in_the_middle_it_goes_on_alone_and_says_so_once() {
    let machine = Machine::new();
    let (one, other) = (machine.host(), machine.host());
    one.notice();
    assert_eq!(other.claim(&key(1)), BESIDE);
    // A folder in its place: as any error of the system.
    let path = machine.path().join(super::super::file::NAME);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(one.claim(&key(1)), Claimed::Mine { .. }));
    assert!(matches!(one.claim(&key(2)), Claimed::Mine { .. }));
    assert_eq!(one.warnings().len(), 1);
    assert!(one.warnings().is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Take(usize, u8),
    End(usize, u8),
    Kill(usize),
    Pass(u64),
    Renew(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (which, item) = (0usize..3, 0u8..5);
    prop_oneof![
        6 => (which.clone(), item.clone()).prop_map(|(which, item)| Step::Take(which, item)),
        3 => (which.clone(), item).prop_map(|(which, item)| Step::End(which, item)),
        1 => which.clone().prop_map(Step::Kill),
        2 => (1u64..20).prop_map(Step::Pass),
        3 => which.prop_map(Step::Renew),
    ]
}

/// What a host holds, if it has said so in the last thirty seconds.
fn held(host: &Claims, now: u64) -> BTreeSet<Name> {
    let inner = host.lock();
    let seen = inner.state.holders.get(&inner.id).map_or(0, |holder| holder.seen / 1_000_000_000);
    if now - seen <= 30 { inner.mine.clone() } else { BTreeSet::new() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever hosts do, killed and stopped ones included: no item is in the hands of two that have not been silent
    /// for thirty seconds, and what nobody holds can be had.
    #[test]
    fn never_are_there_two_holders(steps in prop::collection::vec(step(), 1..60)) {
        let machine = Machine::new();
        let mut hosts: Vec<Claims> = (0..3).map(|_| machine.host()).collect();
        for step in steps {
            match step {
                Step::Take(which, item) => {
                    hosts[which].claim(&key(item));
                }
                Step::End(which, item) => hosts[which].release(&key(item)),
                Step::Kill(which) => {
                    kill(std::mem::replace(&mut hosts[which], machine.host()));
                    machine.pass(1);
                }
                Step::Pass(seconds) => machine.pass(seconds),
                Step::Renew(which) => hosts[which].renew(),
            }
            let now = machine.seconds.load(Ordering::Relaxed);
            let mut all = BTreeSet::new();
            for name in hosts.iter().flat_map(|host| held(host, now)) {
                prop_assert!(all.insert(name), "{name} has two holders");
            }
        }
        machine.pass(31);
        for item in 0..5 {
            prop_assert!(matches!(hosts[0].claim(&key(item)), Claimed::Mine { .. }), "{item} is held by nobody");
        }
    }
}
