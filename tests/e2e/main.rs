//! End to end: the binary, the embedded plugins, a hostile one, and a stand-in for the Messages API. One file a topic.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on has failed")]

#[cfg(unix)]
mod actions;
mod again;
mod agent_audit;
#[cfg(unix)]
mod alerts;
mod apply;
#[cfg(unix)]
mod attack;
#[cfg(unix)]
mod audit;
mod author;
mod backend;
mod cache;
mod claims;
#[cfg(unix)]
mod claude_cli;
mod cli;
mod contract;
#[cfg(unix)]
mod control;
#[cfg(unix)]
mod dashboard;
#[cfg(unix)]
mod dashboard_browser;
mod deps;
mod docs;
#[cfg(unix)]
mod doctor;
mod documents;
mod explain;
mod go_on;
#[cfg(unix)]
mod grants;
mod guide;
mod history;
mod hostile;
mod http;
mod input;
#[cfg(unix)]
mod install;
mod interrupt;
#[cfg(unix)]
mod journal;
mod leader;
#[cfg(unix)]
mod locks;
#[cfg(unix)]
mod metrics;
mod money;
mod network;
mod page;
mod plans;
mod policy;
#[cfg(unix)]
mod process;
mod publish;
#[cfg(unix)]
mod real_claude;
mod real_registry;
mod recover;
mod replay;
mod reports;
mod resume;
mod runs;
mod same;
mod shared;
#[cfg(unix)]
mod signals;
mod support;
#[cfg(unix)]
mod terminal;
mod testkit;
mod tiers;
mod together;
mod traces;
