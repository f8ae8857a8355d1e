//! Reading many texts, some at once.

use convoke_sdk::prelude::*;
use futures::future::LocalBoxFuture;
use futures::{Stream, StreamExt};

/// A text that is being read, and its name.
pub(super) type Reading<'a> = LocalBoxFuture<'a, (Result<String>, String)>;

/// The texts in the order of the readings, of which `at_once` are under way. Files and answers go through the same types: each
/// further one is the whole machinery once more in the component.
pub(super) fn in_order<'a>(
    readings: Box<dyn Iterator<Item = Reading<'a>> + 'a>,
    at_once: usize,
) -> impl Stream<Item = (Result<String>, String)> + Unpin {
    futures::stream::iter(readings).buffered(at_once)
}
