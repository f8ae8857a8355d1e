//! Instances that end by themselves: seen by their exit, whoever has them, and replaced before somebody needs them.
//!
//! An instance that dies while it is idle is taken out of the pool at once, so that no question gets it, and another one
//! is started in its place. Where one dies with a question, that question goes to a spare one, and the spare one's place
//! is filled. Starts keep the rate of all processes of the user. What never answered is not replaced: a program that
//! ends as soon as it is left alone would be started for ever.

use std::sync::{Arc, OnceLock, Weak};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Admission;
use crate::backend::{Backend, Profile};
use crate::pool::Lease;

/// What watches over the instances of an account.
#[derive(Default)]
pub(super) struct Keeper {
    backend: OnceLock<Arc<dyn Backend>>,
    /// Cancelled when nothing is kept any more.
    closed: CancellationToken,
    tasks: TaskTracker,
}

impl Admission {
    /// From now on instances that end by themselves are replaced by this backend.
    pub fn keep(&self, backend: Arc<dyn Backend>) {
        // There is one backend to a door, and it is named once.
        let _ = self.keeper.backend.set(backend);
    }

    /// An instance was started for that lease: from now on its end is heard.
    pub fn began(self: &Arc<Self>, lease: &mut Lease) {
        let Some(ended) = lease.instance.as_ref().and_then(|instance| instance.ended()) else { return };
        let number = self.lock().pool.began(lease);
        self.hear(number, ended);
    }

    /// Ends all idle instances, and replaces none any more.
    pub async fn close(&self) {
        self.keeper.closed.cancel();
        self.close_idle();
        self.keeper.tasks.close();
        self.keeper.tasks.wait().await;
        self.close_idle();
    }

    /// Takes the instance of that number out of the pool as soon as it has ended, and has another one take its place.
    fn hear(self: &Arc<Self>, number: u64, ended: CancellationToken) {
        let (admission, closed) = (Arc::downgrade(self), self.keeper.closed.clone());
        let Ok(runtime) = Handle::try_current() else { return };
        let listening = async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = closed.cancelled() => return,
            }
            let Some(admission) = admission.upgrade() else { return };
            let removed = admission.lock().pool.remove(number);
            // None: a question has it, and hears itself that it has ended.
            if let Some((profile, instance, has_answered)) = removed {
                drop(instance);
                if has_answered {
                    admission.replace(profile);
                }
            }
        };
        self.keeper.tasks.spawn_on(listening, &runtime);
    }

    /// Starts another instance of that profile in its own time, and leaves it idle.
    pub(super) fn replace(self: &Arc<Self>, profile: Arc<Profile>) {
        let (Some(backend), Ok(runtime)) = (self.keeper.backend.get().cloned(), Handle::try_current()) else { return };
        let (admission, closed) = (Arc::downgrade(self), self.keeper.closed.clone());
        let starting = async move {
            tokio::select! {
                () = start(&admission, backend.as_ref(), profile) => {}
                () = closed.cancelled() => {}
            }
        };
        self.keeper.tasks.spawn_on(starting, &runtime);
    }
}

async fn start(admission: &Weak<Admission>, backend: &dyn Backend, profile: Arc<Profile>) {
    let Some(admission) = admission.upgrade() else { return };
    if admission.lock().stopped.is_some() || backend.is_short_of_memory() {
        return;
    }
    if backend.starts_processes() {
        admission.spawn().await;
    }
    // The next question that needs one tries again, and tells what is wrong.
    let Ok(instance) = backend.start(&profile).await else { return };
    let put = admission.lock().pool.put(&profile, instance);
    match put {
        Ok((number, Some(ended))) => admission.hear(number, ended),
        Ok((_, None)) => {}
        Err(surplus) => drop(surplus),
    }
}
