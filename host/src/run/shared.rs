//! What the workers of a run have in common, and what it does for each of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use convoke_runtime::board::{Board, Take};
use convoke_runtime::broker::Asker;
use convoke_runtime::event::{Events, Fact};
use convoke_runtime::journal::{Digest, ItemEnd, ItemRecord, Journal, JournalError, Read, ReadSet, RunId};
use convoke_runtime::question::{Failure, Question, Reply, StreamEvent};
use convoke_runtime::work::{Item, Outcome, Partial};
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::answers::Answers;
use super::assess::Identity;
use crate::plugin::imports::{Services, Task};
use crate::plugin::{Ending, Log, Refused};

/// What became of an item, beside its outcome.
#[derive(Clone, Debug, Default)]
pub struct Result_ {
    /// What its plugin reported.
    pub partial: Option<Partial>,
    /// What it read.
    pub reads: ReadSet,
    /// How often it was tried in this run.
    pub attempts: u32,
    /// What its plugin wrote.
    pub log: String,
    /// How long it was in workers' hands.
    pub took: Duration,
}
