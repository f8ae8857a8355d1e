//! `convoke policy try`: what another policy would have decided in a recorded run.

use std::collections::BTreeMap;

use convoke_runtime::journal::{DecisionRow, Journal, RunId};
use convoke_runtime::policy::{Admit, Decision, Kind, Recover, Watch, words};
use serde_json::json;

use super::check::Judge;
use super::{CliError, Desk};
use crate::cli::terminal::put;
use crate::report::{ExitCode, clean};

/// So many differing decisions are shown.
const SHOWN: usize = 20;

/// So many of the newest runs are looked through for one with decisions.
const RUNS: usize = 50;

/// A decision that would be another one.
struct Otherwise<'a> {
    row: &'a DecisionRow,
    /// What it would be, or why there is none.
    now: Result<Decision, String>,
}

pub(super) fn attempt(desk: &Desk, wish: &str, run: Option<&str>, is_json: bool) -> Result<ExitCode, CliError> {
    let judge = Judge::of(desk, wish)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::nothing(format!("no threads can be started: {error}")))?;
    let (run, rows) = runtime.block_on(recorded(desk, run))?;
    let mut counts: BTreeMap<Kind, (usize, usize)> = BTreeMap::new();
    let mut otherwise = Vec::new();
    for row in &rows {
        let mut facts = row.facts.clone();
        let now = judge.decide(&mut facts);
        let is_other = now.as_ref().map_or(true, |now| !is_same(now, &row.decision));
        let count = counts.entry(row.facts.kind()).or_default();
        count.0 += 1;
        count.1 += usize::from(is_other);
        if is_other {
            otherwise.push(Otherwise { row, now });
        }
    }
    let text = if is_json {
        as_json(&judge.name, run, &counts, &otherwise)
    } else {
        as_text(&judge.name, run, &counts, &otherwise)
    };
    put(&text, None)?;
    Ok(ExitCode::Success)
}

/// The decisions of a run: the one that is named, or the last that has any.
async fn recorded(desk: &Desk, name: Option<&str>) -> Result<(RunId, Vec<DecisionRow>), CliError> {
    let journal = Journal::open(&desk.paths.journal())?;
    let hint = Some("[policy] record = true in config.toml keeps what is decided; the oldest go first");
    if let Some(name) = name {
        let run = journal.find_run(name).await?;
        let rows = journal.decisions(&run).await?;
        return match rows.is_empty() {
            true => Err(CliError::usage(format!("no decisions of run {} are kept", run.short())).hint(hint)),
            false => Ok((run, rows)),
        };
    }
    for row in journal.runs(RUNS).await? {
        let rows = journal.decisions(&row.run.id).await?;
        if !rows.is_empty() {
            return Ok((row.run.id, rows));
        }
    }
    Err(CliError::usage("no decisions of any run are kept").hint(hint))
}

/// Whether two decisions come to the same, whatever their reasons.
fn is_same(one: &Decision, other: &Decision) -> bool {
    fn bare(decision: &Decision) -> Decision {
        let mut bare = decision.clone();
        match &mut bare {
            Decision::Size(size) => size.reason.clear(),
            Decision::Route(to) => to.reason.clear(),
            Decision::Adapt(adapt) => adapt.reason.clear(),
            Decision::Admit(Admit::Later { reason, .. } | Admit::Never { reason })
            | Decision::Recover(
                Recover::NextModel { reason } | Recover::GiveUp { reason } | Recover::Stop { reason },
            )
            | Decision::Watch(Watch::Kill { reason }) => reason.clear(),
            Decision::Admit(Admit::Now) | Decision::Recover(Recover::Retry { .. }) | Decision::Watch(Watch::GoOn) => {}
        }
        bare
    }
    bare(one) == bare(other)
}

fn as_json(name: &str, run: RunId, counts: &BTreeMap<Kind, (usize, usize)>, otherwise: &[Otherwise<'_>]) -> String {
    let kinds: BTreeMap<&str, _> = counts
        .iter()
        .map(|(kind, (all, other))| (kind.name(), json!({"decisions": all, "otherwise": other})))
        .collect();
    let list: Vec<_> = otherwise
        .iter()
        .take(SHOWN)
        .map(|one| {
            let row = one.row;
            let mut shown = json!({
                "kind": row.facts.kind().name(), "question": row.question, "at": row.at.to_string(),
                "policy": &*row.policy, "decision": words(&row.decision),
            });
            match &one.now {
                Ok(now) => {
                    shown["otherwise"] = words(now).into();
                    shown["reason"] = now.reason().into();
                }
                Err(fault) => shown["fault"] = fault.as_str().into(),
            }
            shown
        })
        .collect();
    let shown = json!({
        "schema_version": 1, "policy": name, "run": run.to_string(), "kinds": kinds,
        "otherwise": otherwise.len(), "first": list,
    });
    format!("{}\n", clean::json(format!("{shown:#}")))
}

fn as_text(name: &str, run: RunId, counts: &BTreeMap<Kind, (usize, usize)>, otherwise: &[Otherwise<'_>]) -> String {
    let mut text = format!("Run {} with the policy {name}:\n", run.short());
    for (kind, (all, other)) in counts {
        text += &format!("  {:8} {other} of {all} otherwise\n", kind.name());
    }
    for one in otherwise.iter().take(SHOWN) {
        let row = one.row;
        let question = row.question.map_or_else(|| "the run".to_owned(), |question| format!("question {question}"));
        let now = match &one.now {
            Ok(now) if now.reason().is_empty() => words(now),
            Ok(now) => format!("{} ({})", words(now), now.reason()),
            Err(fault) => format!("nothing that can be done: {fault}"),
        };
        let line =
            format!("{} of {question}: {} by {}, now {now}", row.facts.kind().name(), words(&row.decision), row.policy);
        text += &format!("\n  {}", clean::line(&clean::bounded(&line, 600)));
    }
    match otherwise.len() {
        0 => text += "\n  It decides the same.\n",
        count if count > SHOWN => text += &format!("\n  … and {} more\n", count - SHOWN),
        _ => text += "\n",
    }
    text
}
