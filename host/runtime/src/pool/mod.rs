//! Instances: started on need, used again by questions of the same profile, never more than the bound.
//!
//! An instance goes back to the pool only after a success; what failed or was given up is thrown away, because what
//! one question said must never reach the next. Of equal ones the last used is used first, so that the others may
//! grow old; where there is no room for a new one, the one that was idle longest makes room.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::backend::{Instance, Profile};

/// The instances of one backend.
pub struct Pool {
    /// The longest idle first.
    idle: Vec<Idle>,
    leased: usize,
    bound: usize,
    /// How many were ever started: each has its number.
    started: u64,
}

/// An instance that nobody has.
struct Idle {
    number: u64,
    profile: Arc<Profile>,
    instance: Box<dyn Instance>,
    /// Whether it has answered a question.
    has_answered: bool,
}

/// A place in the pool, and the instance in it, if there is one already. It must be given back.
#[must_use = "a lease that is not given back is a lost instance"]
pub struct Lease {
    profile: Arc<Profile>,
    /// Of its instance; 0: it was not [told](Pool::began) yet.
    number: u64,
    /// None: it has to be started.
    pub instance: Option<Box<dyn Instance>>,
}

impl Lease {
    /// What its instance was or will be started with.
    pub fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }
}

/// An instance that is not needed any more. Drop it without holding a lock: ending one may take its time.
pub type Discarded = Option<Box<dyn Instance>>;

impl Pool {
    /// With room for so many instances, idle ones included; 0 counts as 1.
    pub fn new(bound: usize) -> Self {
        Self { idle: Vec::new(), leased: 0, bound: bound.max(1), started: 0 }
    }

    /// How many are leased.
    pub fn leased(&self) -> usize {
        self.leased
    }

    /// How many are idle.
    pub fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Changes the bound. Leased instances above it go on; idle ones are taken out, the longest idle first.
    pub fn set_bound(&mut self, bound: usize) -> Vec<Box<dyn Instance>> {
        self.bound = bound.max(1);
        let over = (self.leased + self.idle.len()).saturating_sub(self.bound).min(self.idle.len());
        self.idle.drain(..over).map(|idle| idle.instance).collect()
    }

    /// Whether there is room for one more lease.
    pub fn has_room(&self) -> bool {
        self.leased < self.bound
    }

    /// Leases an instance, and says which idle one had to make room. Only if there [`has_room`](Self::has_room).
    pub fn lease(&mut self, profile: &Arc<Profile>) -> (Lease, Discarded) {
        let same = |of: &Arc<Profile>| Arc::ptr_eq(of, profile) || of == profile;
        let found = self.idle.iter().rposition(|idle| same(&idle.profile)).map(|index| self.idle.remove(index));
        self.leased += 1;
        match found {
            Some(Idle { number, profile, instance, .. }) => (Lease { profile, number, instance: Some(instance) }, None),
            None => {
                let full = self.leased + self.idle.len() > self.bound && !self.idle.is_empty();
                let discarded = full.then(|| self.idle.remove(0).instance);
                (Lease { profile: profile.clone(), number: 0, instance: None }, discarded)
            }
        }
    }

    /// Takes a lease back; its instance is used again only if it is `reusable`.
    pub fn give_back(&mut self, lease: Lease, reusable: bool) -> Discarded {
        self.leased = self.leased.saturating_sub(1);
        let instance = lease.instance?;
        let has_ended = instance.ended().is_some_and(|ended| ended.is_cancelled());
        if !reusable || has_ended || self.leased + self.idle.len() >= self.bound {
            return Some(instance);
        }
        let Lease { profile, number, .. } = lease;
        self.idle.push(Idle { number, profile, instance, has_answered: true });
        None
    }

    /// An instance was started for a lease: its number, by which it is known from now on.
    pub fn began(&mut self, lease: &mut Lease) -> u64 {
        self.started += 1;
        lease.number = self.started;
        self.started
    }

    /// Takes the instance of that number out, if it is idle; its profile, and whether it has answered a question.
    pub fn remove(&mut self, number: u64) -> Option<(Arc<Profile>, Box<dyn Instance>, bool)> {
        let place = self.idle.iter().position(|idle| idle.number == number)?;
        let Idle { profile, instance, has_answered, .. } = self.idle.remove(place);
        Some((profile, instance, has_answered))
    }

    /// Puts a new instance among the idle ones, where there is room: its number, and what tells its end.
    ///
    /// # Errors
    /// There is no room: the instance comes back.
    pub fn put(
        &mut self,
        profile: &Arc<Profile>,
        instance: Box<dyn Instance>,
    ) -> Result<(u64, Option<CancellationToken>), Box<dyn Instance>> {
        if self.leased + self.idle.len() >= self.bound {
            return Err(instance);
        }
        self.started += 1;
        let (number, ended, profile) = (self.started, instance.ended(), profile.clone());
        self.idle.push(Idle { number, profile, instance, has_answered: false });
        Ok((number, ended))
    }

    /// How many idle ones a question of that profile could use.
    pub fn idle_of(&self, profile: &Profile) -> usize {
        self.idle.iter().filter(|idle| *idle.profile == *profile).count()
    }

    /// Takes the instance out that was idle longest.
    pub fn remove_oldest(&mut self) -> Discarded {
        (!self.idle.is_empty()).then(|| self.idle.remove(0).instance)
    }

    /// Empties the pool of idle instances.
    pub fn clear(&mut self) -> Vec<Box<dyn Instance>> {
        self.idle.drain(..).map(|idle| idle.instance).collect()
    }
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;

    use super::*;
    use crate::backend::{Answer, Listener, Request};
    use crate::question::Failure;

    /// An instance whose sign tells whether it still lives.
    struct Numbered {
        _sign: Arc<()>,
    }

    impl Instance for Numbered {
        fn ask<'a>(&'a mut self, _: &'a Request, _: Listener<'a>) -> BoxFuture<'a, Result<Answer, Failure>> {
            Box::pin(std::future::pending())
        }
    }

    fn profile(model: &str) -> Arc<Profile> {
        Arc::new(Profile { model: model.to_owned(), ..Profile::default() })
    }

    fn started(pool: &mut Pool, model: &str) -> (Lease, Arc<()>) {
        let (mut lease, _) = pool.lease(&profile(model));
        assert!(lease.instance.is_none(), "a new one is needed");
        let sign = Arc::new(());
        lease.instance = Some(Box::new(Numbered { _sign: sign.clone() }));
        (lease, sign)
    }

    fn lives(sign: &Arc<()>) -> bool {
        Arc::strong_count(sign) > 1
    }

    #[test]
    fn an_instance_is_used_again_by_the_same_profile_only() {
        let mut pool = Pool::new(4);
        let (lease, sign) = started(&mut pool, "a");
        assert!(pool.give_back(lease, true).is_none());
        let (other, _) = pool.lease(&profile("b"));
        assert!(other.instance.is_none());
        let (same, _) = pool.lease(&profile("a"));
        assert!(same.instance.is_some() && lives(&sign));
        assert_eq!((pool.leased(), pool.idle()), (2, 0));
    }

    #[test]
    fn what_failed_is_thrown_away() {
        let mut pool = Pool::new(4);
        let (lease, sign) = started(&mut pool, "a");
        drop(pool.give_back(lease, false));
        assert!(!lives(&sign));
        assert_eq!((pool.leased(), pool.idle()), (0, 0));
    }

    #[test]
    fn the_longest_idle_makes_room_for_another_profile() {
        let mut pool = Pool::new(2);
        let ((one, old), (two, young)) = (started(&mut pool, "a"), started(&mut pool, "b"));
        assert!(!pool.has_room());
        assert!(pool.give_back(one, true).is_none() && pool.give_back(two, true).is_none());
        let (lease, discarded) = pool.lease(&profile("c"));
        drop(discarded);
        assert!(!lives(&old) && lives(&young) && lease.instance.is_none());
        assert_eq!((pool.leased(), pool.idle()), (1, 1));
    }

    #[test]
    fn the_longest_idle_goes_when_memory_is_short() {
        let mut pool = Pool::new(3);
        let ((one, old), (two, young)) = (started(&mut pool, "a"), started(&mut pool, "b"));
        assert!(pool.give_back(one, true).is_none() && pool.give_back(two, true).is_none());
        drop(pool.remove_oldest());
        assert!(!lives(&old) && lives(&young));
        drop(pool.remove_oldest());
        assert!(pool.remove_oldest().is_none());
    }

    #[test]
    fn the_last_used_is_used_first() {
        let mut pool = Pool::new(2);
        let ((one, _first), (two, second)) = (started(&mut pool, "a"), started(&mut pool, "a"));
        assert!(pool.give_back(one, true).is_none() && pool.give_back(two, true).is_none());
        let (lease, _) = pool.lease(&profile("a"));
        drop(lease.instance);
        assert!(!lives(&second));
    }

    #[test]
    fn a_lowered_bound_lets_idle_ones_go_as_they_come_back() {
        let mut pool = Pool::new(3);
        let leases: Vec<_> = (0..3).map(|_| started(&mut pool, "a").0).collect();
        assert!(pool.set_bound(1).is_empty());
        let kept = leases.into_iter().filter_map(|lease| pool.give_back(lease, true)).count();
        assert_eq!((kept, pool.idle()), (2, 1));
    }

    #[test]
    fn a_lowered_bound_takes_out_those_that_were_idle_longest() {
        let mut pool = Pool::new(3);
        let ((one, old), (two, young)) = (started(&mut pool, "a"), started(&mut pool, "b"));
        assert!(pool.give_back(one, true).is_none() && pool.give_back(two, true).is_none());
        drop(pool.set_bound(1));
        assert!(!lives(&old) && lives(&young));
    }
}
