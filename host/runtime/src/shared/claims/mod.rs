//! Who does which item: two hosts of a user that are at work on one project never do the same one at the same time.
//!
//! A host claims the key of an item when a worker takes it, and lets go of it when the item has ended or was put away.
//! What is claimed stands in one small file a project, kept as that of the limits is (see [`shared`](super)): read and
//! written whole under a lock, with a file a host that it holds locked while it lives. What a host held that is gone is
//! free for the next that looks. One that is stopped, and neither renews its claims nor dies, holds them for
//! [`EXPIRES`].
//!
//! A host that has seen no other one writes down that it is alone, once, and not what it does: to look whether the file is
//! still as it left it takes a microsecond, to write it twenty. Others take nothing until it has seen them, which is when it
//! next takes or ends an item, or within [`NOTICES`].
//!
//! A result is in the journal before its claim is let go of. So whoever gets a claim and has seen another host looks
//! into the journal first, and does nothing twice.
//!
//! Claims save work; nothing depends on them. Where the file fails the run goes on without, and says so.

mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngExt as _;

use super::clock::Clock;
use super::error::SharedError;
use super::file::{Content, PATIENCE, StateFile, make_folder};
use super::presence::{self, Presence};
use super::{AHEAD, BUSY_FOR, REAPED_FOR};
use crate::journal::{Digest, ItemKey};
use state::{Name, State};

/// How often a host renews its claims.
pub const RENEWED: Duration = Duration::from_secs(5);

/// How soon a host that is alone sees that it is not any more.
pub const NOTICES: Duration = Duration::from_millis(500);

/// How long claims stand that are not renewed.
pub const EXPIRES: Duration = Duration::from_secs(30);

/// How long it takes at least until one looks again for what others are at, and at most, in milliseconds.
const LOOKS: (u64, u64) = (50, 100);

/// What the file begins with.
const MAGIC: &str = "convoke-claims";

/// What became of a wish to do an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is this host's to do.
    Mine {
        /// Whether another host was seen since this one began: it may have done the item meanwhile.
        company: bool,
    },
    /// Another host is at it; or the file can't be had now, and it is not known.
    Elsewhere,
}

/// What the hosts of a user are doing in one project, as one of them sees it.
#[derive(Debug)]
pub struct Claims {
    inner: Mutex<Inner>,
    clock: Clock,
}

#[derive(Debug)]
struct Inner {
    id: String,
    /// None: it goes on alone.
    seat: Option<Seat>,
    state: State,
    /// What this host holds, whatever happens to the file.
    mine: BTreeSet<Name>,
    /// Whether the file does not say what this host holds.
    behind: bool,
    company: bool,
    warnings: Vec<String>,
}

/// A place among the hosts.
struct Seat {
    file: StateFile,
    folder: PathBuf,
    /// The generation that the state is.
    known: Option<u64>,
    reaped: u64,
    busy_since: Option<u64>,
    boot: String,
    presence: Presence,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// The name of the folder in which the claims of a project stand.
pub fn folder_of(project: &str) -> String {
    Digest::of(project.as_bytes()).to_string().chars().take(32).collect()
}

impl Claims {
    /// Joins the hosts that name this folder; it is made if it is not there. To be called before a plan looks into the
    /// journal: then whatever others do from there on is seen.
    ///
    /// # Errors
    /// See [`SharedError`]. A file that is torn is none: it is set aside and begun anew.
    pub fn open(folder: &Path, clock: Clock, boot: String) -> Result<Self, SharedError> {
        make_folder(folder)?;
        let id = format!("{:016x}{:x}", rand::rng().random::<u64>(), std::process::id());
        let mut file = StateFile::open(folder, MAGIC)?;
        file.lock(Duration::from_nanos(BUSY_FOR))?;
        let presence = Presence::new(folder, &id);
        let presence = presence.inspect_err(|_| file.unlock())?;
        let folder = folder.to_owned();
        let seat = Seat { file, folder, known: None, reaped: 0, busy_since: None, boot, presence };
        let mut inner = Inner {
            id,
            seat: Some(seat),
            state: State::default(),
            mine: BTreeSet::new(),
            behind: true,
            company: false,
            warnings: Vec::new(),
        };
        let now = clock.nanos();
        let joined = inner.load(now).and_then(|()| {
            inner.reap(now);
            inner.company |= inner.state.has_others(&inner.id);
            inner.store(now)
        });
        if let Some(seat) = &inner.seat {
            seat.file.unlock();
        }
        joined?;
        Ok(Self { inner: Mutex::new(inner), clock })
    }

    /// Claims an item, unless another host has. What this host has claimed already is its own.
    pub fn claim(&self, key: &ItemKey) -> Claimed {
        let mut inner = self.lock();
        let name = Name::of(key);
        if inner.is_still_alone() {
            inner.behind |= inner.mine.insert(name);
            return Claimed::Mine { company: inner.company };
        }
        let claimed = inner.turn(self.clock.nanos(), |inner| {
            let is_free = !inner.state.is_held_by_others(&inner.id, name);
            if is_free {
                inner.behind |= inner.mine.insert(name);
            }
            is_free
        });
        match claimed {
            Some(true) => Claimed::Mine { company: inner.company },
            Some(false) | None => Claimed::Elsewhere,
        }
    }

    /// Lets go of an item. Its result must be in the journal, if it has one.
    pub fn release(&self, key: &ItemKey) {
        let mut inner = self.lock();
        if !inner.mine.remove(&Name::of(key)) {
            return;
        }
        inner.behind = true;
        // Alone, nobody waits for it.
        if !inner.is_still_alone() {
            let _ = inner.turn(self.clock.nanos(), |_| ());
        }
    }

    /// Lets go of all that this host has claimed.
    pub fn release_all(&self) {
        let mut inner = self.lock();
        inner.behind |= !inner.mine.is_empty();
        inner.mine.clear();
        let _ = inner.turn(self.clock.nanos(), |_| ());
    }

    /// Says that this host is still at work. To be called every [`RENEWED`].
    pub fn renew(&self) {
        let mut inner = self.lock();
        inner.behind = true;
        let _ = inner.turn(self.clock.nanos(), |_| ());
    }

    /// Looks whether others have come. To be called every [`NOTICES`].
    pub fn notice(&self) {
        let mut inner = self.lock();
        if inner.state.says_alone(&inner.id) && !inner.is_still_alone() {
            let _ = inner.turn(self.clock.nanos(), |_| ());
        }
    }

    /// Which of these other hosts are doing. All of them, while the file can't be had.
    pub fn elsewhere(&self, keys: &[ItemKey]) -> Vec<bool> {
        let mut inner = self.lock();
        let held = inner.turn(self.clock.nanos(), |inner| {
            keys.iter().map(|key| inner.state.is_held_by_others(&inner.id, Name::of(key))).collect()
        });
        held.unwrap_or_else(|| vec![true; keys.len()])
    }

    /// How long to wait before one looks again for what others are at.
    pub fn pause(&self) -> Duration {
        Duration::from_millis(rand::rng().random_range(LOOKS.0..=LOOKS.1))
    }

    /// What the user should know, once each.
    pub fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().warnings)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        let now = self.clock.nanos();
        let inner = self.inner.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some(mut seat) = inner.seat.take() else { return };
        // Where this fails, its presence ends with it, and others find that out.
        if seat.file.lock(PATIENCE).is_ok() {
            if let Ok(Content::<State>::State(state, generation)) = seat.file.read(None) {
                inner.state = *state;
                inner.state.holders.remove(&inner.id);
                inner.state.at = now;
                let _ = seat.file.write(&inner.state, generation.wrapping_add(1));
            }
            seat.file.unlock();
        }
    }
}

/// What the user of a run is told where claims can't be used.
pub fn warning(error: &SharedError) -> String {
    let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("another convoke in this project may do the same items at the same time: {error}{hint}")
}

impl Inner {
    /// Does something with the state as it is now, and writes down what has changed. Where the file fails it goes on
    /// alone. None: the lock can't be had now.
    fn turn<T>(&mut self, now: u64, act: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let locked = match &mut self.seat {
            None => Ok(()),
            Some(seat) => seat.file.lock(PATIENCE),
        };
        match locked {
            Ok(()) => {}
            Err(error @ SharedError::Busy { .. }) => {
                let seat = self.seat.as_mut()?;
                let since = *seat.busy_since.get_or_insert(now);
                if now.saturating_sub(since) < BUSY_FOR {
                    return None;
                }
                self.go_alone(&error);
            }
            Err(error) => self.go_alone(&error),
        }
        if let Err(error) = self.load(now) {
            self.go_alone(&error);
        }
        self.reap(now);
        let done = act(self);
        if let Err(error) = self.store(now) {
            self.go_alone(&error);
        }
        if let Some(seat) = &mut self.seat {
            seat.busy_since = None;
            seat.file.unlock();
        }
        Some(done)
    }

    /// Whether it is written down that this host is alone, and nobody has been there since.
    fn is_still_alone(&mut self) -> bool {
        let says = self.state.says_alone(&self.id);
        says && self.seat.as_mut().is_some_and(|seat| {
            matches!(seat.known.map(|known| seat.file.read::<State>(Some(known))), Some(Ok(Content::Unchanged)))
        })
    }

    /// The state as others have left it.
    fn load(&mut self, now: u64) -> Result<(), SharedError> {
        let Some(seat) = &mut self.seat else { return Ok(()) };
        let anew = match seat.file.read::<State>(seat.known) {
            Ok(Content::Unchanged) => return Ok(()),
            Ok(Content::State(state, generation)) => {
                // Not what this host wrote last: another one was here.
                self.company |= seat.known.is_some();
                seat.known = Some(generation);
                let anew = state.boot != seat.boot || state.at > now.saturating_add(AHEAD);
                if !anew {
                    self.state = *state;
                }
                anew
            }
            Ok(Content::Empty) => true,
            Err(SharedError::Broken { .. }) => {
                // Nothing is lost with it: each host knows what it holds, and writes it again.
                seat.file.set_aside();
                self.company = true;
                true
            }
            Err(error) => return Err(error),
        };
        if anew {
            self.state = State { boot: seat.boot.clone(), ..State::default() };
            self.behind = true;
        }
        if !self.state.holders.contains_key(&self.id) {
            // It was thought to have stopped, or the file was begun anew: what others have taken since is theirs.
            let Self { state, id, mine, .. } = self;
            mine.retain(|name| !state.is_held_by_others(id, *name));
            self.behind = true;
        }
        Ok(())
    }

    fn store(&mut self, now: u64) -> Result<(), SharedError> {
        let Some(seat) = &mut self.seat else { return Ok(()) };
        let alone = !self.company && !self.state.has_others(&self.id);
        if !self.behind && self.state.says_alone(&self.id) == alone {
            return Ok(());
        }
        seat.presence.renew()?;
        self.state.at = now;
        let holder = self.state.holders.entry(self.id.clone()).or_default();
        (holder.pid, holder.seen) = (std::process::id(), now);
        holder.items.clone_from(&self.mine);
        holder.alone = alone;
        seat.file.write_next(&self.state, &mut seat.known)?;
        self.behind = false;
        Ok(())
    }

    /// Frees what those held that are gone, or have not renewed it.
    fn reap(&mut self, now: u64) {
        let Some(seat) = &mut self.seat else { return };
        if !self.state.has_others(&self.id) || (seat.reaped > 0 && now.saturating_sub(seat.reaped) < REAPED_FOR) {
            return;
        }
        seat.reaped = now.max(1);
        for id in self.state.others(&self.id) {
            let is_gone = !presence::lives(&seat.folder, &id);
            if is_gone {
                presence::remove(&seat.folder, &id);
            }
            if is_gone || self.state.is_expired(&id, now) {
                self.state.holders.remove(&id);
                self.behind = true;
            }
        }
    }

    fn go_alone(&mut self, error: &SharedError) {
        if let Some(seat) = self.seat.take() {
            seat.file.unlock();
            self.warnings.push(warning(error));
            self.state = State::default();
        }
    }
}
