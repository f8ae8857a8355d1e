//! The fourth phase: the partials become a report, and the plugin may conclude.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use convoke_runtime::journal::{ItemKey, ItemRecord, Read, ReadSet};
use convoke_runtime::outcome::Ending;
use convoke_runtime::question::{Failure, FailureKind};
use convoke_runtime::work::{Aggregation, Census, Finding, Item, Outcome, Partial};

use super::Session;
use super::execute::Stop;
use super::seat::Seat;
use super::shared::{By, End, Ended, Shared};
use crate::plugin::project::Project;
use crate::plugin::sha256_hex;
use crate::report::{ItemFacts, merge};

/// What became of all items, in the order of the plan.
pub fn items(shared: &Shared) -> Vec<ItemFacts> {
    let board = shared.board();
    let ended = shared.ended();
    let facts = board.outcomes().enumerate().filter_map(|(number, outcome)| {
        let item = board.item(number)?;
        let facts = of_item(item, outcome.clone(), board.attempts(number), ended.get(&number));
        Some(ItemFacts { tried: shared.tried.of(number), questions: shared.tried.questions(&item.id), ..facts })
    });
    facts.collect()
}

fn of_item(item: &Item, outcome: Outcome, attempts: u32, ended: Option<&Ended>) -> ItemFacts {
    let files = |reads: &ReadSet| {
        reads
            .iter()
            .filter_map(|read| match read {
                Read::File { path, .. } => Some(path.clone()),
                _ => None,
            })
            .collect()
    };
    ItemFacts {
        id: item.id.clone(),
        group: item.group.clone(),
        outcome,
        partial: ended.and_then(|ended| ended.partial.clone()),
        attempts,
        tried: Vec::new(),
        questions: None,
        log: ended.map(|ended| ended.log.clone()).unwrap_or_default(),
        reads: ended.map(|ended| files(&ended.reads)).unwrap_or_default(),
    }
}

/// How the conclusion stands.
fn of_conclusion(shared: &Shared, item: &Item, attempts: u32, ended: Option<&Ended>) -> ItemFacts {
    of_item(item, shared.conclusion().outcome().clone(), attempts, ended)
}

/// Lets the plugin conclude, in the name of an item of its own. It is cached when it was done over the same whole. When
/// the user stops the run, what it has asked may end; given up, it stays pending.
pub async fn conclude(
    session: &Session,
    shared: &Arc<Shared>,
    method: Aggregation,
    item: Item,
    stop: &Stop,
) -> ItemFacts {
    let so_far = items(shared);
    let census = Census::of(so_far.iter().map(|item| &item.outcome));
    let (whole, notes) = whole(method, &so_far);
    let key = key_of(session, &item, &census, &whole, &notes);
    let number = so_far.len();
    let mut end = End {
        number,
        item: item.clone(),
        outcome: Outcome::Pending,
        ended: Ended::default(),
        took: Duration::ZERO,
        attempts: 1,
        reused: None,
    };
    let record = ItemRecord { id: item.id.clone(), label: item.label.clone(), key, ordinal: number, parent: None };
    if let Some(kept) = session.resume.as_ref().and_then(|resume| resume.concluded(&item, &key))
        && let Some(written) = shared.journal.written(&shared.run).await.ok().and_then(|mut all| all.remove(&item.id))
    {
        let ended = Ended { partial: kept.partial.clone(), reads: kept.reads.clone(), log: kept.log.clone() };
        let end = End { outcome: written.outcome().clone(), ended: ended.clone(), attempts: kept.attempts, ..end };
        // It can end: nothing has happened to it.
        let _ = shared.conclusion().end(written.into());
        shared.make_known(None, end).await;
        return of_conclusion(shared, &item, kept.attempts, Some(&ended));
    }
    let planned = match &session.resume {
        Some(_) => shared.journal.plan_again(&shared.run, record, "the whole has changed".to_owned()).await,
        None => shared.journal.record_items(&shared.run, vec![record]).await,
    };
    if let Err(error) = planned {
        // It can end: nothing has happened to it.
        let _ = shared.conclusion().end(Ending::failed(format!("it could not be written down: {error}")));
        return of_conclusion(shared, &item, 1, None);
    }
    let mut before = session.concluded_before(&key).await;
    if before.is_none() {
        before = until_given_up(shared.begin_conclusion(&key), shared, stop).await.flatten();
    }
    if before.is_none() && stop.soft.is_cancelled() {
        // Stopped while it waited for another host: it is not begun.
        return of_conclusion(shared, &item, 0, None);
    }
    if let Some(earlier) = before {
        let ended = Ended { partial: Some(earlier.partial), reads: earlier.reads, log: String::new() };
        end = End { outcome: Outcome::Cached, ended, reused: Some(earlier.run), attempts: 0, ..end };
        return written(shared, end).await;
    }
    let log = session.sandbox.log();
    let seat = Seat::new(shared.clone(), None, log.clone());
    let task = seat.begin(number, item.clone());
    // It can be taken: nobody else concludes.
    let _ = shared.conclusion().take();
    let concluding =
        session.sandbox.conclude(Arc::new(seat.clone()), log.clone(), task.clone(), &census, &whole, &notes);
    let concluded = until_given_up(concluding, shared, stop).await;
    seat.settled().await;
    if let Some(ended) = shared.ended().get(&number) {
        return of_conclusion(shared, &item, 1, Some(ended));
    }
    let ended = Ended { log: log.tail(), ..Ended::default() };
    let outcome = match (&task.record().stopped, concluded) {
        (Some(_), _) | (None, None) => None,
        (None, Some(Err(died))) => Some(Outcome::Failed(died.to_string())),
        (None, Some(Ok(()))) => Some(Outcome::Failed("its plugin concluded without finishing it".to_owned())),
    };
    match outcome {
        Some(outcome) => written(shared, End { outcome, ended, ..end }).await,
        None => of_conclusion(shared, &item, 1, Some(&ended)),
    }
}

/// What comes of it; none: the user gave it up.
async fn until_given_up<T>(work: impl Future<Output = T>, shared: &Shared, stop: &Stop) -> Option<T> {
    tokio::pin!(work);
    let mut is_halted = false;
    loop {
        tokio::select! {
            biased;
            () = stop.hard.cancelled() => return None,
            done = &mut work => return Some(done),
            () = stop.soft.cancelled(), if !is_halted => {
                is_halted = true;
                shared.answers.broker().halt(Failure::new(FailureKind::Cancelled, "interrupted")).await;
            }
        }
    }
}

/// Writes the end of a conclusion, and makes it known.
async fn written(shared: &Shared, end: End) -> ItemFacts {
    let (item, ended, attempts) = (end.item.clone(), end.ended.clone(), end.attempts);
    // It can end: it is closed once. What could not be written has no partial.
    let is_written = shared.close(By::Conclusion, end).await.is_ok_and(|(_, written)| written.is_ok());
    let ended = if is_written { ended } else { Ended { partial: None, ..ended } };
    of_conclusion(shared, &item, attempts, Some(&ended))
}

/// A conclusion that was not begun, because the run stopped before.
pub fn not_concluded(item: &Item) -> ItemFacts {
    of_item(item, Outcome::Pending, 0, None)
}

/// A conclusion depends on the whole, and on nothing else that its input does not say.
fn key_of(session: &Session, item: &Item, census: &Census, whole: &Partial, notes: &[(String, String)]) -> ItemKey {
    // What was done by an earlier run is as good as done.
    let census = Census { done: census.done + census.cached, cached: 0, ..*census };
    // Numbers, texts and lists: they always serialise.
    let text = serde_json::to_string(&(census, whole, notes)).unwrap_or_default();
    let input = format!("{} {}", item.input, sha256_hex(text.as_bytes()));
    session.identity.key(&Item { input, ..item.clone() })
}

/// The partials as the conclusion sees them: findings and metrics put together as the report puts them together.
fn whole(method: Aggregation, items: &[ItemFacts]) -> (Partial, Vec<(String, String)>) {
    let partials = || items.iter().filter_map(|item| Some((item.id.as_str(), item.partial.as_ref()?)));
    let merged = merge::aggregate(method, partials());
    let findings = merged.findings.into_iter().map(|finding| Finding {
        rule: finding.rule,
        severity: finding.severity,
        message: finding.message,
        path: finding.path,
        line: finding.line,
        column: finding.column,
        source: finding.source,
        fingerprint: finding.fingerprint,
        help: finding.help,
    });
    let metrics = merged.metrics.into_iter().map(|metric| convoke_runtime::work::Metric {
        name: metric.name,
        value: metric.value,
        unit: metric.unit,
        reduce: metric.reduce,
    });
    let whole = Partial {
        findings: findings.collect(),
        metrics: metrics.collect(),
        edits: partials().flat_map(|(_, partial)| partial.edits.clone()).collect(),
        ..Partial::default()
    };
    let notes = merged.notes.into_iter().filter_map(|note| Some((note.item?, note.text))).collect();
    (whole, notes)
}

/// What the report needs of files: the text of those with findings, for comments that suppress, and all of those with
/// edits.
pub async fn texts(project: &Project, items: &[ItemFacts]) -> HashMap<String, Vec<u8>> {
    let partials = || items.iter().filter_map(|item| item.partial.as_ref());
    let paths: BTreeSet<&str> = partials()
        .flat_map(|partial| {
            let findings = partial.findings.iter().filter_map(|finding| finding.path.as_deref());
            findings.chain(partial.edits.iter().map(|edit| edit.path.as_str()))
        })
        .chain(items.iter().flat_map(|item| item.reads.iter().map(String::as_str)))
        .collect();
    let edited: HashSet<&str> =
        partials().flat_map(|partial| partial.edits.iter().map(|edit| edit.path.as_str())).collect();
    let mut texts = HashMap::new();
    for path in paths {
        // What can't be read has no comments and no diff.
        if let Ok(bytes) = project.read(None, path).await
            && (edited.contains(path) || std::str::from_utf8(&bytes).is_ok())
        {
            texts.insert(path.to_owned(), bytes.to_vec());
        }
    }
    texts
}
