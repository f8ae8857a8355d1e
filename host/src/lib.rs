//! The host of convoke: terminal, files and sandbox around [`convoke_runtime`].

pub mod actions;
pub mod alerts;
pub mod apply;
pub mod audit;
pub mod backends;
pub mod cli;
pub mod config;
pub mod control;
pub mod dashboard;
pub mod health;
pub mod history;
pub mod logs;
pub mod metrics;
pub mod observe;
pub mod page;
pub mod plugin;
pub mod policy;
pub mod progress;
pub mod recording;
pub mod report;
pub mod run;
pub mod steps;
pub mod testkit;
pub mod traces;
