//! Workers, good and bad.

use convoke_sdk::Error;
use convoke_sdk::bindings::convoke::plugin::worker;

use crate::{item, misdeed};

/// Takes items and does them, unless `working` says otherwise.
pub(crate) async fn run(working: &str) -> Result<(), Error> {
    match working {
        "return" => return Ok(()),
        "refuse" => return Err(Error::new("I won't work")),
        other => misdeed::commit(other),
    }
    while let Some(task) = worker::next().await {
        if item::run(task).await? == item::Then::Return || working == "one" {
            return Ok(());
        }
    }
    Ok(())
}
