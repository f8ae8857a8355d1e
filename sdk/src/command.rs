//! The trait that an author implements, and what exports it.

use std::future::Future;

use crate::bindings::convoke::plugin::log::{self as host_log, Level};
use crate::{Aggregate, Call, Partial, Result, Task, Work};

/// A command.
///
/// Its functions have no state in common: `plan` runs in one sandbox, `run` in as many as the host sees fit. What `run`
/// needs to know travels in the item's input.
pub trait Command {
    /// Finds out what is to be done. Reads, and asks nothing.
    fn plan(call: &Call) -> impl Future<Output = Result<Work>>;

    /// Does one item. An error is the item's failure: the others go on.
    fn run(call: &Call, task: &Task) -> impl Future<Output = Result<Partial>>;
}

/// A command that has something to say about the whole.
///
/// It is exported by `convoke_sdk::export!(MyCommand, with conclusion)`, and runs when the plan named a
/// [`conclusion`](crate::Work::conclusion).
pub trait Conclude: Command {
    /// Runs when all items have ended. `task` may ask like any other.
    fn conclude(call: &Call, task: &Task, whole: &Aggregate) -> impl Future<Output = Result<Partial>>;
}

/// Writes a line to the run's log. The terminal shows it with `-v`, and with the item's failure.
pub fn log(level: Level, message: &str) {
    host_log::log(level, message);
}

/// Makes a component of a [`Command`]: `export!(MyCommand)`, or `export!(MyCommand, with conclusion)` for one that is
/// also [`Conclude`].
#[macro_export]
macro_rules! export {
    ($command:ty) => {
        const _: () = {
            struct Exported;
            impl $crate::bindings::exports::convoke::plugin::handler::Guest for Exported {
                async fn plan(call: $crate::glue::Invocation) -> ::std::result::Result<$crate::Work, $crate::Error> {
                    $crate::glue::plan::<$command>(call).await
                }

                async fn run(call: $crate::glue::Invocation) -> ::std::result::Result<(), $crate::Error> {
                    $crate::glue::run::<$command>(call).await
                }
            }
            // Native linkers do not know the names that a component exports: tests of a command do without.
            #[cfg(target_family = "wasm")]
    $crate::bindings::export!(Exported with_types_in $crate::bindings);
            #[cfg(not(target_family = "wasm"))]
            const _: () = $crate::glue::used(&Exported);
        };
    };
    ($command:ty, with conclusion) => {
        $crate::export!($command);
        const _: () = {
            struct Concluding;
            impl $crate::bindings::concluding::exports::convoke::plugin::conclusion::Guest for Concluding {
                async fn conclude(
                    call: $crate::glue::Invocation,
                    task: $crate::glue::RawTask,
                    whole: $crate::Aggregate,
                ) -> ::std::result::Result<(), $crate::Error> {
                    $crate::glue::conclude::<$command>(call, task, whole).await
                }
            }
            #[cfg(target_family = "wasm")]
    $crate::bindings::concluding::export!(Concluding with_types_in $crate::bindings::concluding);
            #[cfg(not(target_family = "wasm"))]
            const _: () = $crate::glue::used(&Concluding);
        };
    };
}

/// What [`export!`] calls.
#[doc(hidden)]
pub mod glue {
    use super::*;
    use crate::Error;
    use crate::bindings::convoke::plugin::worker;

    pub use crate::bindings::convoke::plugin::types::Invocation;
    pub use crate::bindings::convoke::plugin::worker::Task as RawTask;

    /// Keeps the compiler from taking a command for dead code where it is not exported.
    pub const fn used<T>(_: &T) {}

    /// [`Command::plan`].
    pub async fn plan<C: Command>(call: Invocation) -> Result<Work, Error> {
        C::plan(&Call::new(call)).await
    }

    /// [`Command::run`], until there are no items left.
    pub async fn run<C: Command>(call: Invocation) -> Result<(), Error> {
        let call = Call::new(call);
        while let Some(raw) = worker::next().await {
            let task = Task::new(raw);
            let partial = C::run(&call, &task).await.unwrap_or_else(Partial::failed);
            task.finish(partial).await?;
        }
        Ok(())
    }

    /// [`Conclude::conclude`].
    pub async fn conclude<C: Conclude>(call: Invocation, raw: RawTask, whole: Aggregate) -> Result<(), Error> {
        let (call, task) = (Call::new(call), Task::new(raw));
        let partial = C::conclude(&call, &task, &whole).await.unwrap_or_else(Partial::failed);
        task.finish(partial).await
    }
}
