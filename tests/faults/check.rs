//! What must always hold.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::asked::Asked;
use crate::edits::{Standing, reported};
use crate::journal::{Journal, Ledger};
use crate::kind::Kind;
use crate::world::End;

/// What is known of a start that has ended.
pub(crate) struct Start<'a> {
    /// The faults that were ordered.
    pub(crate) faults: &'a [Kind],
    /// How many questions a host may have in flight.
    pub(crate) instances: usize,
    /// The hosts: how each ended, and what it said.
    pub(crate) hosts: &'a [Ended],
    /// What was asked.
    pub(crate) asked: &'a [Asked],
    /// The marks of the items whose `done` still stood when it began.
    pub(crate) done_before: &'a BTreeSet<String>,
    /// For those that were changed since: how many runs there were before.
    pub(crate) renewed: &'a BTreeMap<String, usize>,
    /// The journal after it.
    pub(crate) journal: &'a Journal,
    /// What the money ledger got in it.
    pub(crate) ledger: &'a Ledger,
    /// Whether the stand-in knows what was billed.
    pub(crate) is_billed: bool,
    /// Whether edits and actions are carried out.
    pub(crate) applies: bool,
}

impl Start<'_> {
    /// Whether an item is done, as it now is.
    fn is_done(&self, mark: &str) -> bool {
        stands(self.journal, self.renewed, mark)
    }
}

/// Whether an item is done in a journal, since it was last changed.
pub(crate) fn stands(journal: &Journal, renewed: &BTreeMap<String, usize>, mark: &str) -> bool {
    journal.done.get(mark).is_some_and(|place| *place >= renewed.get(mark).copied().unwrap_or_default())
}

/// A host that has ended.
pub(crate) struct Ended {
    pub(crate) end: End,
    /// The signals that it was sent while it ran.
    pub(crate) signals: Vec<Sent>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A signal that a host was sent.
pub(crate) struct Sent {
    pub(crate) signal: i32,
    /// Whether any host of this start had asked something by then.
    pub(crate) asked: bool,
}

impl Ended {
    /// Its report, if it gave one.
    pub(crate) fn report(&self) -> Option<Value> {
        serde_json::from_str(&self.stdout).ok()
    }
}

const OUTCOMES: [&str; 6] = ["done", "cached", "fallback", "failed", "skipped", "pending"];

/// Checks a start by all that holds of every one. Returns what does not.
pub(crate) fn start(start: &Start<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    wrong.extend(start.journal.wrong.iter().cloned());
    ended_runs(start.journal, &mut wrong);
    for host in start.hosts {
        one_end(start, host, &mut wrong);
    }
    asked_again(start, &mut wrong);
    money(start, &mut wrong);
    wrong
}

/// Each run that ended says what its items say.
fn ended_runs(journal: &Journal, wrong: &mut Vec<String>) {
    let mut ids = BTreeSet::new();
    for run in &journal.runs {
        if !ids.insert(&run.id) {
            wrong.push(format!("two runs have the id {}", run.id));
        }
        let (Some(status), Some(census)) = (&run.status, &run.census) else { continue };
        let said: BTreeMap<String, u64> = counted(census);
        if said != run.counted {
            wrong.push(format!("run {} says {said:?}, its items are {:?}", run.id, run.counted));
        }
        status_fits(status, census, true, &format!("run {} in the journal", run.id), wrong);
    }
}

/// What a census counts, without what is zero.
fn counted(census: &Value) -> BTreeMap<String, u64> {
    let count = |name: &&str| Some(((*name).to_owned(), census[*name].as_u64().filter(|count| *count > 0)?));
    OUTCOMES.iter().filter_map(count).collect()
}

fn status_fits(status: &str, census: &Value, may_be_lowered: bool, whose: &str, wrong: &mut Vec<String>) {
    let count = |name: &str| census[name].as_u64().unwrap_or_default();
    let lost = count("failed") + count("fallback") + count("pending");
    let fits = match status {
        "completed" => lost == 0,
        "degraded" => lost > 0 || may_be_lowered,
        "failed" => count("done") + count("cached") == 0,
        "parked" | "interrupted" => true,
        _ => false,
    };
    if !fits {
        wrong.push(format!("{whose} is {status} with {census}"));
    }
}

/// How one host ended: its exit code, its report and the journal say the same.
fn one_end(start: &Start<'_>, host: &Ended, wrong: &mut Vec<String>) {
    let faults = start.faults;
    let code = match host.end {
        End::Code(code) => code,
        End::Signal(signal) => {
            // Before a run has begun, a signal may end the process as it ends any other.
            let early = |sent: &Sent| !sent.asked && host.stdout.is_empty();
            if !host.signals.iter().any(|sent| sent.signal == signal && (signal == 9 || early(sent))) {
                wrong.push(format!("the host was ended by signal {signal}; it says: {}", tail(&host.stderr)));
            }
            return;
        }
    };
    let Some(report) = host.report() else {
        let may = faults.iter().any(|kind| kind.takes_the_disk()) && code == 2
            || !host.signals.is_empty() && code == 130 && host.stdout.is_empty();
        if !may {
            wrong.push(format!(
                "exit code {code} without a report: {:?}; it says: {}",
                tail(&host.stdout),
                tail(&host.stderr)
            ));
        }
        return;
    };
    let (status, census) = (report["status"].as_str().unwrap_or_default(), &report["census"]);
    let sum: u64 = OUTCOMES.iter().filter_map(|name| census[*name].as_u64()).sum();
    if census["items"].as_u64() != Some(sum) {
        wrong.push(format!("the report's census does not add up: {census}"));
    }
    let expected = match status {
        "completed" => 0,
        "degraded" => 3,
        "failed" => 4,
        "parked" => 5,
        _ => 130,
    };
    // What was proposed and could not be carried out is not in the census.
    let left = |list: &str, state: &str| report[list].as_array().into_iter().flatten().any(|one| one["state"] != state);
    let not_all = start.applies && (left("edits", "applied") || left("actions", "done"));
    status_fits(status, census, not_all || faults.iter().any(|kind| kind.takes_the_disk()), "the report", wrong);
    if code != expected && !(not_all && code == 3) {
        wrong.push(format!("the report is {status}, and the exit code {code}; it says: {}", tail(&host.stderr)));
    }
    let lossy = faults.iter().any(|kind| !matches!(kind, Kind::ClockJump | Kind::TwoHosts));
    let two_appliers = start.applies && start.hosts.len() > 1;
    if !lossy && !two_appliers && status != "completed" {
        let failures: Vec<&str> =
            report["failures"].as_array().into_iter().flatten().filter_map(|f| f["reason"].as_str()).collect();
        wrong.push(format!(
            "nothing went wrong, and the report is {status} with {census}: {failures:?} {}; it says: {}",
            report["warnings"],
            tail(&host.stderr)
        ));
    }
    if status == "interrupted" && host.signals.is_empty() {
        wrong.push("nobody interrupted it, and the report says so".to_owned());
    }
    unique(&report, wrong);
    journaled(start, &report, status, not_all, wrong);
}

/// Nothing is twice in the report.
fn unique(report: &Value, wrong: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for finding in report["findings"].as_array().into_iter().flatten() {
        if let Some(print) = finding["fingerprint"].as_str()
            && !seen.insert(print)
        {
            wrong.push(format!("a finding is twice in the report: {finding}"));
        }
    }
    let mut seen = BTreeSet::new();
    for failure in report["failures"].as_array().into_iter().flatten() {
        if let Some(item) = failure["item"].as_str()
            && !seen.insert(item)
        {
            wrong.push(format!("{item} is twice among the failures"));
        }
    }
}

/// The report says what the journal says, and never more.
fn journaled(start: &Start<'_>, report: &Value, status: &str, not_all: bool, wrong: &mut Vec<String>) {
    let id = report["run"]["id"].as_str().unwrap_or_default();
    let no_disk = start.faults.iter().any(|kind| kind.takes_the_disk());
    let Some(run) = start.journal.runs.iter().find(|run| run.id == id) else {
        if !no_disk || report["census"]["done"].as_u64() != Some(0) {
            wrong.push(format!("the reported run {id} is not in the journal: {}", report["census"]));
        }
        return;
    };
    for name in ["done", "fallback", "cached"] {
        let (said, is) =
            (report["census"][name].as_u64().unwrap_or_default(), run.counted.get(name).copied().unwrap_or_default());
        if said > is {
            wrong.push(format!("the report says {said} {name}, the journal has {is}"));
        }
    }
    if !no_disk {
        let (said, is) = (counted(&report["census"]), &run.counted);
        if said != *is {
            wrong.push(format!("the report says {said:?}, the journal has {is:?}"));
        }
        // The run has ended before its edits are made: what comes of them lowers the report alone.
        let lowered = not_all && status == "degraded" && run.status.as_deref() == Some("completed");
        if run.status.as_deref() != Some(status) && !lowered {
            wrong.push(format!("the report is {status}, the run in the journal {:?}", run.status));
        }
    }
}

/// What was done is not asked again, and what was answered is done, but for what was in flight.
fn asked_again(start: &Start<'_>, wrong: &mut Vec<String>) {
    let hosts = start.hosts.len();
    for asked in start.asked {
        match &asked.mark {
            // While one host changes the files, the items of the other become others.
            Some(_) if start.applies && hosts > 1 => {}
            Some(mark) if start.done_before.contains(mark) => {
                wrong.push(format!("{mark} was done, and is asked again"));
            }
            Some(_) => {}
            None => wrong.push("a question is for no item".to_owned()),
        }
    }
    let mut answers: BTreeMap<&str, usize> = BTreeMap::new();
    for asked in start.asked.iter().filter(|asked| asked.answered) {
        *answers.entry(asked.mark.as_deref().unwrap_or_default()).or_default() += 1;
    }
    for (mark, times) in &answers {
        if *times > hosts {
            wrong.push(format!("{mark} was answered {times} times by {hosts} hosts"));
        }
    }
    let lost: Vec<&str> = answers.keys().filter(|mark| !start.is_done(mark)).copied().collect();
    let costs = start.faults.iter().any(|kind| kind.costs_what_is_in_flight());
    let may = if costs { start.instances * hosts } else { 0 };
    if lost.len() > may {
        wrong.push(format!("{} answers came to nothing, {may} may: {lost:?}", lost.len()));
    }
}

/// Money is counted once.
fn money(start: &Start<'_>, wrong: &mut Vec<String>) {
    let Ledger { requests, pico, uncertain_pico, marks } = start.ledger;
    let killed = start.hosts.iter().any(|host| host.end == End::Signal(9));
    let no_disk = start.faults.iter().any(|kind| kind.takes_the_disk());
    // A process that is killed may not have read the question that it was sent, and who gives all up may just be sending.
    let given_up = start.faults.iter().any(|kind| kind.costs_what_is_in_flight());
    let killed_instances = start.faults.iter().filter(|kind| **kind == Kind::InstanceKilled).count();
    let unread = killed_instances + if given_up { start.instances * start.hosts.len() } else { 0 };
    if *requests > (start.asked.len() + unread) as u64 {
        wrong.push(format!("the ledger has {requests} requests, {} were sent", start.asked.len()));
    }
    let answered: u64 = start.asked.iter().filter(|asked| asked.answered).count() as u64;
    if !killed && !no_disk && *requests < answered {
        wrong.push(format!("the ledger has {requests} requests, {answered} were answered"));
    }
    for asked in start.asked.iter().filter(|asked| asked.answered) {
        if let Some(mark) = &asked.mark
            && start.is_done(mark)
            && !marks.contains(mark)
        {
            wrong.push(format!("{mark} was asked and is done, and the ledger doesn't know it"));
        }
    }
    if !start.is_billed {
        return;
    }
    let all: u64 = start.asked.iter().map(|asked| asked.pico).sum();
    let whole: u64 = start.asked.iter().filter(|asked| asked.answered).map(|asked| asked.pico).sum();
    let most: u64 = start.asked.iter().map(|asked| asked.most_pico).sum();
    if *pico > most {
        wrong.push(format!("the ledger has {pico} pico-dollars, {most} were billed"));
    }
    if !killed && !no_disk {
        // What was on its way when all was given up is only known at most.
        if *pico < whole && !given_up {
            wrong.push(format!("the ledger has {pico} pico-dollars, answers took {whole}"));
        }
        if pico + uncertain_pico < all {
            wrong.push(format!(
                "the ledger has {pico} and at most {uncertain_pico} pico-dollars more, {all} were billed"
            ));
        }
    }
}

/// What a start has changed of the files: all edits that there were, or none.
pub(crate) fn files(
    applies: bool,
    before: &Standing,
    after: &Standing,
    hosts: &[Ended],
    journal: &Journal,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let undone: Vec<_> = before.new.difference(&after.new).collect();
    if !undone.is_empty() {
        wrong.push(format!("what was applied is undone: {undone:?}"));
    }
    let changed: BTreeSet<String> = after.new.difference(&before.new).cloned().collect();
    if changed.is_empty() {
        return wrong;
    }
    if !applies {
        wrong.push(format!("nobody asked for it, and files were changed: {changed:?}"));
    }
    let (mut applied, mut others) = (BTreeSet::new(), BTreeSet::new());
    for report in hosts.iter().filter_map(Ended::report) {
        let (more, left) = reported(&report);
        if !more.is_empty() && !left.is_empty() {
            wrong.push(format!("of one apply {} edits were made and {} not", more.len(), left.len()));
        }
        applied.extend(more);
        others.extend(left);
    }
    let gone = hosts.iter().any(|host| host.report().is_none());
    if !gone && changed != applied {
        wrong.push(format!("{changed:?} were changed, the report says that {applied:?} are applied"));
    }
    if gone && hosts.len() == 1 {
        let run = journal.runs.last();
        let all: BTreeSet<String> =
            run.map(|run| run.marks.difference(&before.new).cloned().collect()).unwrap_or_default();
        if changed != all {
            wrong.push(format!("of {} edits of a run that was killed {} were made", all.len(), changed.len()));
        }
    }
    wrong
}

/// The last words of a text.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('[')).collect();
    let text = lines[lines.len().saturating_sub(6)..].join(" | ");
    text.chars().take(600).collect()
}
