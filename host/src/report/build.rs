//! Makes the report from what became of the items.

use std::collections::BTreeMap;
use std::time::Duration;

use convoke_runtime::levels::LevelChange;
use convoke_runtime::question::Usage;
use convoke_runtime::work::{Aggregation, Census, Outcome, Partial, Severity, Status};

use super::suppress::{Filters, Scope, apply};
use super::timing::two_decimals;
use super::verdict::{Grounds, status};
use super::words::counted;
use super::{
    AttemptInfo, Cost, Counts, ExitCode, FailureInfo, Group, Note, QuestionsInfo, Report, RuleInfo, RunInfo,
    SCHEMA_VERSION, SuppressedCounts, Timing, UsageInfo, Worker, attempts, clean, documents, edits, merge,
};

/// How much of a failed item's log is kept, in lines and characters: its end, where the cause is.
const LOG_LINES: usize = 40;
const LOG_CHARACTERS: usize = 8_000;

/// The longest reason, in characters.
pub(super) const LONGEST_REASON: usize = 4_000;

/// All that is known of a run at its end.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What ran.
    pub run: RunInfo,
    /// How its partials are put together.
    pub aggregate: Aggregation,
    /// Every item, the conclusion included, in the order of the plan.
    pub items: Vec<ItemFacts>,
    /// Every worker, by its number.
    pub workers: Vec<WorkerFacts>,
    /// What was used by all questions.
    pub usage: Usage,
    /// What that cost.
    pub cost: Cost,
    /// From start to end.
    pub wall: Duration,
    /// Whether the user stopped it.
    pub interrupted: bool,
    /// Whether a quota or budget was spent, and what is known of when it comes back.
    pub parked: Option<String>,
    /// Whether the command was asked to look at the whole project: no path, no `--since`.
    pub whole_project: bool,
    /// The rules in the command's manifest.
    pub rules: Vec<RuleInfo>,
    /// The plan's notes.
    pub notes: Vec<String>,
    /// What the user should know about the run itself.
    pub warnings: Vec<String>,
    /// What was lost that is no item: the run is degraded for each.
    pub lost: Vec<String>,
    /// From which severity on findings count for the exit code; none: they don't.
    pub fail_on: Option<Severity>,
    /// How its level has changed.
    pub levels: Vec<LevelChange>,
}

/// What became of an item.
#[derive(Clone, Debug)]
pub struct ItemFacts {
    /// Its id.
    pub id: String,
    /// Its group.
    pub group: Option<String>,
    /// How it stands.
    pub outcome: Outcome,
    /// What its plugin reported; also what an earlier run did, for one that is cached.
    pub partial: Option<Partial>,
    /// How often it was tried in this run.
    pub attempts: u32,
    /// The attempts at it that came to nothing.
    pub tried: Vec<AttemptInfo>,
    /// What its questions came to; none where it asked none.
    pub questions: Option<QuestionsInfo>,
    /// What its plugin wrote to its log and to stderr.
    pub log: String,
    /// The files that it read.
    pub reads: Vec<String>,
}

/// What a worker did.
#[derive(Clone, Debug)]
pub struct WorkerFacts {
    /// The group or groups that it was dealt.
    pub segment: String,
    /// How many items it finished.
    pub items: u64,
    /// How long it had an item in its hands.
    pub work: Duration,
    /// Why it died, if it did.
    pub died: Option<String>,
}

/// Makes the report. `read` gives the content of a project file as the items saw it, or none: comments that suppress are
/// read with it, and diffs are made against it.
pub fn build(facts: Facts, filters: &Filters, read: impl Fn(&str) -> Option<Vec<u8>>) -> Report {
    let census = Census::of(facts.items.iter().map(|item| &item.outcome));
    let partials = || facts.items.iter().filter_map(|item| Some((item.id.as_str(), item.partial.as_ref()?)));
    let documents = documents::collect(partials());
    let lost = !facts.lost.is_empty() || !documents.left_out.is_empty();
    let grounds = Grounds { interrupted: facts.interrupted, parked: facts.parked.is_some(), lost };
    let status = status(&census, grounds);

    let merged = merge::aggregate(facts.aggregate, partials());
    let mut findings = merged.findings;
    let scope = scope(&facts, status);
    let text = |path: &str| String::from_utf8(read(path)?).ok();
    let filtered = apply(&mut findings, filters, &scope, text);
    // Severities may have changed, and findings may have come.
    merge::sort(&mut findings);
    let edits =
        edits::propose(partials().flat_map(|(id, partial)| partial.edits.iter().map(move |edit| (id, edit))), read);

    let mut warnings = facts.warnings.clone();
    warnings.extend(merged.warnings);
    warnings.extend(losses(&facts, &census));
    warnings.extend(filtered.warnings);
    warnings.extend(documents.left_out);
    warnings.extend(facts.lost.iter().map(|lost| clean::bounded(lost, LONGEST_REASON).into_owned()));

    let mut report = Report {
        schema_version: SCHEMA_VERSION,
        status,
        exit_code: ExitCode::Nothing,
        fail_on: facts.fail_on,
        census,
        groups: groups(&facts.items, &findings),
        workers: workers(&facts.workers),
        suppressed: SuppressedCounts { baseline_gone: filtered.baseline_gone, ..SuppressedCounts::of(&findings) },
        findings,
        metrics: merged.metrics,
        edits,
        actions: merged.actions,
        notes: notes(&facts, merged.notes),
        documents: documents.documents,
        usage: UsageInfo::from(facts.usage),
        explain: None,
        comparison: None,
        apply: None,
        audit: None,
        previewed: false,
        cost: facts.cost,
        timing: timing(facts.wall, &facts.workers),
        failures: facts.items.iter().filter_map(failure).collect(),
        attempts: attempts::items(&facts.items),
        levels: facts.levels.iter().map(attempts::level).collect(),
        alerts: Vec::new(),
        anomalies: Vec::new(),
        controls: Vec::new(),
        warnings,
        group_of_item: facts.items.iter().filter_map(|item| Some((item.id.clone(), item.group.clone()?))).collect(),
        continuable: true,
        run: facts.run,
    };
    report.judge();
    report
}

fn scope(facts: &Facts, status: Status) -> Scope<'_> {
    let mut files = BTreeMap::new();
    for item in facts.items.iter().filter(|item| matches!(item.outcome, Outcome::Done | Outcome::Cached)) {
        for path in &item.reads {
            files.entry(path.as_str()).or_insert(item.id.as_str());
        }
    }
    Scope { rules: &facts.rules, files, whole: facts.whole_project && status == Status::Completed }
}

/// The groups in the order of the plan. None where no item has one.
fn groups(items: &[ItemFacts], findings: &[super::Finding]) -> Vec<Group> {
    if items.iter().all(|item| item.group.is_none()) {
        return Vec::new();
    }
    let group_of: BTreeMap<&str, Option<&str>> =
        items.iter().map(|item| (item.id.as_str(), item.group.as_deref())).collect();
    let mut names: Vec<Option<&str>> = Vec::new();
    let mut outcomes: BTreeMap<Option<&str>, Vec<&Outcome>> = BTreeMap::new();
    for item in items {
        let name = item.group.as_deref();
        let of_group = outcomes.entry(name).or_default();
        if of_group.is_empty() {
            names.push(name);
        }
        of_group.push(&item.outcome);
    }
    let mut found: BTreeMap<Option<&str>, Vec<&super::Finding>> = BTreeMap::new();
    for finding in findings {
        found.entry(group_of.get(finding.item.as_str()).copied().flatten()).or_default().push(finding);
    }
    names
        .into_iter()
        .map(|name| {
            let census = Census::of(outcomes.remove(&name).unwrap_or_default());
            Group {
                name: name.map(str::to_owned),
                items: census.items,
                findings: Counts::of(found.remove(&name).unwrap_or_default()),
                census,
            }
        })
        .collect()
}

fn workers(workers: &[WorkerFacts]) -> Vec<Worker> {
    (0..)
        .zip(workers)
        .map(|(id, worker)| Worker {
            id,
            segment: worker.segment.clone(),
            items: worker.items,
            work_ms: millis(worker.work),
            died: worker.died.as_deref().map(|reason| clean::bounded(reason, LONGEST_REASON).into_owned()),
        })
        .collect()
}

fn timing(wall: Duration, workers: &[WorkerFacts]) -> Timing {
    let work: Duration = workers.iter().map(|worker| worker.work).sum();
    let speedup = if wall.is_zero() { 0.0 } else { work.as_secs_f64() / wall.as_secs_f64() };
    Timing { wall_ms: millis(wall), work_ms: millis(work), speedup: two_decimals(speedup), ..Timing::default() }
}

/// What the plan and the items say, and why items were skipped.
fn notes(facts: &Facts, of_items: Vec<Note>) -> Vec<Note> {
    let of_plan = facts.notes.iter().map(|text| Note { item: None, text: text.clone(), concludes: false });
    let skipped = facts.items.iter().filter_map(|item| match &item.outcome {
        Outcome::Skipped(reason) => Some(Note {
            item: Some(item.id.clone()),
            text: clean::bounded(&format!("skipped: {reason}"), LONGEST_REASON).into_owned(),
            concludes: false,
        }),
        _ => None,
    });
    of_plan.chain(of_items).chain(skipped).collect()
}

/// What the run lost without failing: who fell back and why, what is still to be done.
fn losses(facts: &Facts, census: &Census) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for item in &facts.items {
        if let Outcome::Fallback(reason) = &item.outcome {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    for (reason, count) in reasons {
        let reason = clean::bounded(reason, LONGEST_REASON);
        warnings.push(format!("{} without a model's answer: {reason}", counted(count, "item", "items")));
    }
    if let Some(parked) = facts.parked.as_deref().filter(|_| census.pending > 0) {
        warnings.push(format!("{} left to do: {parked}", counted(census.pending, "item is", "items are")));
    }
    let died = facts.workers.iter().filter(|worker| worker.died.is_some()).count();
    if died > 0 {
        let workers = counted(died as u64, "worker", "workers");
        warnings.push(format!("{workers} died; unfinished items went to others"));
    }
    warnings
}

fn failure(item: &ItemFacts) -> Option<FailureInfo> {
    let Outcome::Failed(reason) = &item.outcome else { return None };
    Some(FailureInfo {
        item: item.id.clone(),
        reason: bounded_reason(reason),
        attempts: item.attempts,
        tried: attempts::tried(item),
        questions: item.questions.clone(),
        log: end_of(&item.log),
    })
}

/// A reason, not longer than is worth reading.
pub(super) fn bounded_reason(reason: &str) -> String {
    clean::bounded(reason, LONGEST_REASON).into_owned()
}

/// The last lines, not more than is worth reading.
pub(crate) fn end_of(log: &str) -> String {
    let log = log.trim_end();
    let start = log.rmatch_indices('\n').nth(LOG_LINES - 1).map_or(0, |(at, _)| at + 1);
    let end = &log[start..];
    let start = end.char_indices().rev().nth(LOG_CHARACTERS - 1).map_or(0, |(at, _)| at);
    end[start..].to_owned()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    fn built(change: impl FnOnce(&mut Facts)) -> Report {
        let mut facts = samples::facts();
        change(&mut facts);
        build(facts, &samples::filters(), samples::read)
    }

    #[test]
    fn the_census_adds_up_in_the_whole_and_by_group() {
        let report = built(|_| ());
        let sum = |census: &Census| {
            census.done + census.cached + census.fallback + census.failed + census.skipped + census.pending
        };
        assert_eq!(sum(&report.census), report.census.items);
        assert_eq!(report.groups.iter().map(|group| group.items).sum::<u64>(), report.census.items);
        assert!(report.groups.iter().all(|group| sum(&group.census) == group.items));
        let in_groups: u64 = report.groups.iter().map(|group| group.findings.total()).sum();
        assert_eq!(in_groups, Counts::of(&report.findings).total());
        assert_eq!(report.failures.len() as u64, report.census.failed);
    }

    #[test]
    fn what_came_after_all_was_done_does_not_change_the_status() {
        let all_done = |facts: &mut Facts| facts.items.iter_mut().for_each(|item| item.outcome = Outcome::Done);
        let stopped = built(|facts| {
            all_done(facts);
            facts.interrupted = true;
            facts.parked = Some("spent".to_owned());
        });
        assert_eq!(stopped.status, Status::Completed);
    }

    #[test]
    fn a_document_that_is_left_out_is_a_loss() {
        let with = |bytes: usize| {
            built(|facts| {
                facts.items.iter_mut().for_each(|item| item.outcome = Outcome::Done);
                let document = convoke_runtime::work::Document {
                    name: "list.txt".to_owned(),
                    media_type: "text/plain".to_owned(),
                    text: "x".repeat(bytes),
                };
                for item in facts.items.iter_mut().take(2) {
                    item.partial.get_or_insert_default().documents = vec![document.clone()];
                }
            })
        };
        let (fits, large) = (with(10), with(documents::MOST_BYTES / 2 + 1));
        assert_eq!((fits.status, fits.documents.len()), (Status::Completed, 2));
        assert_eq!((large.status, large.documents.len()), (Status::Degraded, 1));
        assert!(large.warnings.iter().any(|warning| warning.contains("is left out")), "{:?}", large.warnings);
    }

    #[test]
    fn what_is_pending_is_interrupted_or_parked() {
        let pending = |facts: &mut Facts| facts.items[0].outcome = Outcome::Pending;
        let interrupted = built(|facts| {
            pending(facts);
            facts.interrupted = true;
            facts.parked = Some("spent".to_owned());
        });
        assert_eq!(interrupted.status, Status::Interrupted);
        let parked = built(|facts| {
            pending(facts);
            facts.parked = Some("the weekly limit is reached until 18:00".to_owned());
        });
        assert_eq!(parked.status, Status::Parked);
        assert!(parked.warnings.iter().any(|warning| warning.contains("until 18:00")), "{:?}", parked.warnings);
    }

    #[test]
    fn a_failure_keeps_the_end_of_its_log() {
        let log: String = (0..1_000).map(|line| format!("line {line}\n")).collect();
        let kept = end_of(&log);
        assert_eq!(kept.lines().count(), LOG_LINES);
        assert!(kept.starts_with("line 960\n") && kept.ends_with("line 999"), "{kept}");
        assert_eq!(end_of(&"é".repeat(100_000)).chars().count(), LOG_CHARACTERS);
        assert_eq!(end_of(""), "");
    }

    #[test]
    fn speed_up_is_work_by_wall() {
        let report = built(|facts| {
            facts.wall = Duration::from_secs(2);
            facts.workers.iter_mut().for_each(|worker| worker.work = Duration::from_secs(3));
            facts.workers.truncate(2);
        });
        let timing = Timing { wall_ms: 2_000, work_ms: 6_000, speedup: 3.0, ..Timing::default() };
        assert_eq!(report.timing, timing);
        assert_eq!(built(|facts| facts.wall = Duration::ZERO).timing.speedup, 0.0);
    }

    #[test]
    fn without_groups_there_are_none() {
        assert!(built(|facts| facts.items.iter_mut().for_each(|item| item.group = None)).groups.is_empty());
    }
}
