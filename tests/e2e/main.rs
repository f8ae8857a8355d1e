//! End to end: the binary, the embedded plugins, a hostile one, and a stand-in for the Messages API. One file a topic.

mod agent_audit;
mod backend;
mod cli;
mod hostile;
mod input;
mod interrupt;
mod plans;
mod reports;
mod resume;
mod support;
