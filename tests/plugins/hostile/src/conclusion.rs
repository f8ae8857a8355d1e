//! Conclusions, good and bad.

use convoke_sdk::glue::RawTask;
use convoke_sdk::{Aggregate, Error, Finding, Metric, Partial, Severity};

use crate::{misdeed, question};

/// Concludes, unless `concluding` says otherwise.
pub(crate) async fn conclude(concluding: &str, task: RawTask, whole: &Aggregate) -> Result<(), Error> {
    let mut partial = Partial::done();
    match concluding {
        "unfinished" => return Ok(()),
        "refuse" => return Err(Error::new("no conclusion can be drawn")),
        "add" => task.add(vec![convoke_sdk::Item::new("afterthought")]).await?,
        "ask" => {
            let asked = question::plain("What of the whole?");
            let reply = task.ask(asked).await?;
            partial = partial.notes(reply.text);
        }
        other => misdeed::commit(other),
    }
    let census: String = whole.census.iter().map(|(name, count)| format!("{name}={count} ")).collect();
    let seen = Finding::new("concluded", Severity::Info, format!("{} findings, {census}", whole.findings.len()));
    task.finish(partial.finding(seen).metric(Metric::sum("concluded", 1.0, ""))).await
}
