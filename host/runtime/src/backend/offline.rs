//! The backend without a model: questions get their own fallback.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Backend, Instance, Profile};
use crate::question::{Failure, FailureKind};

/// Asks nobody. The broker gives each question its fallback, and says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offline;

impl Backend for Offline {
    fn name(&self) -> &'static str {
        "offline"
    }

    fn has_model(&self) -> bool {
        false
    }

    fn account(&self) -> &str {
        "offline"
    }

    fn start<'a>(&'a self, _: &'a Profile) -> BoxFuture<'a, Result<Box<dyn Instance>, Failure>> {
        async { Err(Failure::new(FailureKind::NoModel, "there is no model offline")) }.boxed()
    }
}
