//! The thread that a library runs on, and how long it is waited for.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use convoke_policy::abi::Table;
use convoke_runtime::policy::Fault;

use super::table::{self, Called, Refused};

/// What a call may take, in milliseconds.
const CALL_MS: u32 = 10;

/// What loading may take, in milliseconds: it reads a file.
const LOADING_MS: u32 = 5_000;

/// How long a call may wait for its thread to begin, in milliseconds. That is the machine's slowness, not the library's.
const BEGIN_MS: u32 = 5_000;

/// Calls one library, on a thread of its own. What takes too long is left: a thread can't be ended from outside.
pub(super) struct Caller {
    shared: Arc<Shared>,
    /// One call at a time.
    turn: Mutex<()>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
enum State {
    /// Being loaded.
    #[default]
    Loading,
    Idle,
    /// Facts to decide on; none: what it is.
    Asked(Option<String>),
    /// A call is under way.
    Running,
    Answered(Called),
    /// Nobody waits any more.
    Left,
}

impl Caller {
    /// Loads a library. A fault: it took too long, and was left.
    pub(super) fn start(path: PathBuf) -> Result<(Self, Result<(), Refused>), Fault> {
        let shared = Arc::new(Shared::default());
        let (sender, opened) = std::sync::mpsc::sync_channel(1);
        let theirs = shared.clone();
        let thread = thread::Builder::new().name("policy-native".to_owned()).spawn(move || {
            let table = match table::open(&path) {
                Ok(table) => table,
                Err(refused) => {
                    let _ = sender.send(Err(refused));
                    return;
                }
            };
            theirs.set(State::Idle);
            // Nobody waits for a library that took too long to load.
            if sender.send(Ok(())).is_ok() {
                theirs.serve(table);
            }
        });
        if let Err(error) = thread {
            return Ok((Self { shared, turn: Mutex::default() }, Err(Refused::Load(error.to_string()))));
        }
        let within = Duration::from_millis(LOADING_MS.into());
        match opened.recv_timeout(within) {
            Ok(opened) => Ok((Self { shared, turn: Mutex::default() }, opened)),
            Err(_) => Err(Fault(format!("loading it took longer than {LOADING_MS} ms"))),
        }
    }

    /// Has it decide on facts; none: say what it is. A fault: it took too long, and was left.
    pub(super) fn call(&self, facts: Option<String>) -> Result<Called, Fault> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.shared.state();
        if matches!(*state, State::Left) {
            return Err(Fault("an earlier call took too long, and it was left".to_owned()));
        }
        *state = State::Asked(facts);
        self.shared.changed.notify_all();
        // Counted in short waits, not by a clock: while this process is stopped, or has no processor, no wait ends.
        let (mut begin, mut run) = (0, 0);
        loop {
            match &*state {
                State::Answered(_) => {
                    let State::Answered(called) = std::mem::replace(&mut *state, State::Idle) else { continue };
                    return Ok(called);
                }
                State::Running if run == CALL_MS => {
                    *state = State::Left;
                    return Err(Fault(format!("it took longer than {CALL_MS} ms, and was left")));
                }
                _ if begin == BEGIN_MS => {
                    *state = State::Left;
                    return Err(Fault(format!("its thread did not begin within {BEGIN_MS} ms")));
                }
                _ => {}
            }
            let waited = self.shared.changed.wait_timeout(state, Duration::from_millis(1));
            let (now, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = now;
            if timeout.timed_out() {
                *(if matches!(*state, State::Running) { &mut run } else { &mut begin }) += 1;
            }
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.shared.set(State::Left);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        *self.state() = state;
        self.changed.notify_all();
    }

    /// Answers until nobody waits.
    fn serve(&self, table: &Table) {
        loop {
            let mut state = self.state();
            let facts = loop {
                match &mut *state {
                    State::Asked(facts) => break facts.take(),
                    State::Left => return,
                    _ => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            };
            *state = State::Running;
            drop(state);
            let called = table::call(table, facts.as_deref());
            let mut state = self.state();
            if matches!(*state, State::Left) {
                return;
            }
            *state = State::Answered(called);
            drop(state);
            self.changed.notify_all();
        }
    }
}
