//! The mechanism of convoke: what becomes of a question, what becomes of a work item, and what is written down.
//!
//! This crate knows no WebAssembly, no terminal and no home folder. Its modules in the order in which data flows:
//!
//! - [`work`]: work items, partials, outcomes and their census; [`outcome`]: the states of an item, and the ways between
//!   them; [`allocate`]: how many workers, and what each gets; [`board`]: who gets which next; [`ladder`]: what becomes of a run in which a part has failed;
//! - [`question`]: what is asked, what comes back, what it costs;
//! - [`broker`]: the life of one question, with its steps: [`route`] and [`prices`], [`cache`] and [`responses`], [`scan`] for
//!   [`credentials`],
//!   [`queue`], [`admission`] ([`breaker`], [`quota`], [`limiter`], [`pool`], each a [`gate`], and the [`budget`]; what
//!   of them all processes of a user have in common is [`shared`]),
//!   [`watch`], [`schema`], [`retry`];
//! - [`pause`]: whether a run may ask at this moment;
//! - [`policy`]: the decisions that can be swapped while it runs;
//! - [`backend`]: the kinds of instances that answer, the [`warden`] that ends what they started, and [`cassette`]: what
//!   a recorded run is answered from;
//! - [`journal`]: what a crash must not lose;
//! - [`forecast`] and [`robust`]: what is expected by what was;
//! - [`event`]: the one stream of committed facts that everything a user sees is made of; [`timeline`]: the picture of a
//!   run that they make.

pub mod admission;
pub mod alerts;
pub mod allocate;
pub mod backend;
pub mod board;
pub mod breaker;
pub mod broker;
pub mod budget;
pub mod cache;
pub mod cassette;
pub mod credentials;
pub mod event;
pub mod forecast;
pub mod gate;
pub mod journal;
pub mod ladder;
pub mod levels;
pub mod limiter;
pub mod machine;
pub mod money;
pub mod near;
pub mod outcome;
pub mod pause;
pub mod policy;
pub mod pool;
pub mod prices;
pub mod question;
pub mod queue;
pub mod quota;
pub mod responses;
pub mod retry;
pub mod robust;
pub mod route;
pub mod scan;
pub mod schema;
pub mod shared;
pub mod timeline;
#[cfg(unix)]
pub mod warden;
pub mod watch;
pub mod work;
