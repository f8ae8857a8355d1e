//! `hostile`: does what no plugin should, so that tests can see what becomes of it.
//!
//! Each behaviour that is typed is an item; see [`item`] for them. [`plan`], [`worker`] and [`conclusion`] misbehave on
//! order too. It works on the bare bindings: the SDK would not let it do most of this.

mod conclusion;
mod item;
mod misdeed;
mod plan;
mod question;
mod worker;

use convoke_sdk::bindings::convoke::plugin::types::Invocation;
use convoke_sdk::{Aggregate, Error, Work, bindings, glue};
use serde::Deserialize;

/// What was typed.
#[derive(Deserialize)]
pub(crate) struct Arguments {
    behaviour: Vec<String>,
    planning: String,
    working: String,
    concluding: String,
    many: u32,
}

impl Arguments {
    fn of(call: &Invocation) -> Result<Self, Error> {
        Ok(serde_json::from_str(&call.arguments)?)
    }
}

struct Hostile;

impl bindings::exports::convoke::plugin::handler::Guest for Hostile {
    async fn plan(call: Invocation) -> Result<Work, Error> {
        plan::plan(Arguments::of(&call)?).await
    }

    async fn run(call: Invocation) -> Result<(), Error> {
        worker::run(&Arguments::of(&call)?.working).await
    }
}

impl bindings::concluding::exports::convoke::plugin::conclusion::Guest for Hostile {
    async fn conclude(call: Invocation, task: glue::RawTask, whole: Aggregate) -> Result<(), Error> {
        conclusion::conclude(&Arguments::of(&call)?.concluding, task, &whole).await
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(Hostile with_types_in convoke_sdk::bindings);
#[cfg(target_family = "wasm")]
bindings::concluding::export!(Hostile with_types_in convoke_sdk::bindings::concluding);
#[cfg(not(target_family = "wasm"))]
const _: () = glue::used(&Hostile);
