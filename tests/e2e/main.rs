//! End to end: the binary, the embedded plugins, a hostile one, and a stand-in for the Messages API. One file a topic.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod agent_audit;
mod backend;
mod cli;
mod hostile;
mod input;
mod interrupt;
mod money;
mod plans;
mod reports;
mod resume;
mod support;
