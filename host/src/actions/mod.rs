//! Actions: what a command proposes beside edits, carried out by the host once each, after the user agreed.
//!
//! An action is a [`program`] with arguments. [`carry_out`] takes those of a report in their order: what has another shape
//! is refused, what was done before is not done again, the rest needs the user's yes or their own configuration's; then it
//! is journaled as started, run ([`process`], found by [`locate`]), and journaled as ended. The first that does not end
//! well stops the rest, because what comes later may build on it.
//!
//! Of all hosts of a user one at a time is at the actions of a project ([`turn`]): the kernel holds that lock, so whoever
//! has it knows that an action which still is `started` was left by a host that is gone. That one is *unknown*: nobody
//! can say what its program did, so it is shown, and not repeated until the user has settled it.

pub mod locate;
pub mod process;
pub mod program;
pub mod quote;
pub mod turn;

use std::path::Path;
use std::sync::Arc;

use convoke_runtime::journal::{ActionEnd, ActionRecord, ActionRow, ActionState as Kept, Journal, JournalError, RunId};
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::audit::{Audit, AuditError, Record, kind};
use crate::config::Allow;
use crate::plugin::operations::{Kind, Operations};
use crate::report::{Action, ActionState};
use crate::run::execute::Stop;

use locate::Programs;
use process::{How, Machinery};
use program::{Program, check_key};

/// Where actions are carried out, and for whom.
#[derive(Debug)]
pub struct Site<'a> {
    /// What must not be lost.
    pub journal: &'a Journal,
    /// The project's folder, with no link in it.
    pub project: &'a Path,
    /// The run that proposes them.
    pub run: RunId,
    /// The folder of the locks that processes share.
    pub locks: &'a Path,
    /// What may be done at once.
    pub operations: &'a Operations,
    /// Where programs are, and what they see.
    pub programs: Programs,
    /// What starts them.
    pub machinery: Machinery,
    /// Where it is written what is carried out, before it is.
    pub audit: Audit,
}

/// Asks the user whether to run something that is described in lines.
pub type Ask<'a> = dyn FnMut(String) -> BoxFuture<'static, bool> + Send + 'a;

/// Tells the user, beside the report, what is waited for and what is run. What it gets is not cleaned.
pub type Tell = Arc<dyn Fn(String) + Send + Sync>;

/// Who agrees.
pub enum Consent<'a> {
    /// The user, to each.
    Asked(&'a mut Ask<'a>),
    /// The user's own configuration, beforehand.
    Listed(&'a Allow),
}

/// Checks that an action can be carried out at all, without doing anything.
///
/// # Errors
/// Why it never is.
pub fn check(key: &str, body: &serde_json::Value) -> Result<Program, program::Refused> {
    check_key(key)?;
    Program::of(body)
}

/// Carries actions out, one after the other, and writes into each what became of it. `tell` says what is waited for and
/// what is run.
pub async fn carry_out(site: &Site<'_>, mut consent: Consent<'_>, actions: &mut [Action], stop: &Stop, tell: &Tell) {
    let mut programs = Vec::with_capacity(actions.len());
    for action in &mut *actions {
        programs.push(admitted(site, &consent, action).map_err(|reason| refuse(action, reason)).ok());
    }
    if let Err(error) = propose(site, actions, &programs).await {
        hold_back(actions, &format!("nothing was begun: {error}"));
        return;
    }
    let count = actions.len();
    for number in 0..count {
        if stop.soft.is_cancelled() {
            return hold_back(&mut actions[number..], "you stopped it");
        }
        let (Some(action), Some(program)) = (actions.get_mut(number), programs.get(number)) else { return };
        let went_on = match program {
            None => false,
            Some(program) => {
                let heading = format!("Action {} of {count}, {}", number + 1, heading(action));
                let became = one(site, &mut consent, action, program, &heading, stop, tell).await;
                became.unwrap_or_else(|error| {
                    action.problem = Some(error.to_string());
                    false
                })
            }
        };
        if !went_on {
            let why = format!("{} before it did not come to a good end", actions[number].key);
            return hold_back(&mut actions[number + 1..], &why);
        }
    }
}

/// Whether actions that were to be carried out were not: a sentence for the report. What the user declined is none.
pub fn hindrance(actions: &[Action]) -> Option<String> {
    let hindered = |action: &&Action| match action.state {
        ActionState::Done | ActionState::DoneBefore | ActionState::Declined => false,
        ActionState::Proposed | ActionState::Failed | ActionState::Unknown | ActionState::Refused => true,
    };
    let left: Vec<&Action> = actions.iter().filter(hindered).collect();
    let first = left.first()?;
    let why = first.problem.as_deref().unwrap_or("it was not carried out");
    Some(format!("{} of {} actions not carried out; the first, {}: {why}", left.len(), actions.len(), first.key))
}

fn heading(action: &Action) -> String {
    use crate::report::clean::line;
    format!("{}: {} (of {}, key {})", line(&action.kind), line(&action.title), line(&action.item), line(&action.key))
}

fn refuse(action: &mut Action, reason: String) {
    action.state = ActionState::Refused;
    action.problem = Some(reason);
}

/// Says why actions were not begun that nothing is known against: they stay proposed.
pub fn hold_back(actions: &mut [Action], why: &str) {
    for action in actions.iter_mut().filter(|action| action.state == ActionState::Proposed) {
        action.problem = Some(format!("not begun: {why}"));
    }
}

/// Says that the user does not want actions that nothing is known against.
pub fn decline(actions: &mut [Action], why: &str) {
    for action in actions.iter_mut().filter(|action| action.state == ActionState::Proposed) {
        action.state = ActionState::Declined;
        action.problem = Some(why.to_owned());
    }
}

/// Whether an action may be carried out, as far as that is known beforehand.
fn admitted(site: &Site<'_>, consent: &Consent<'_>, action: &Action) -> Result<Program, String> {
    let program = check(&action.key, &action.body).map_err(|error| error.to_string())?;
    program.folder_in(site.project).map_err(|error| error.to_string())?;
    site.programs.find(&program.program).map_err(|error| error.to_string())?;
    match consent {
        Consent::Listed(allow) if !allow.allows(&program.program, &program.arguments) => {
            Err(format!("your config.toml does not allow it without asking: {}", program.quoted()))
        }
        _ => Ok(program),
    }
}

fn record(site: &Site<'_>, action: &Action, program: &Program) -> ActionRecord {
    ActionRecord {
        project: site.project.to_string_lossy().into_owned(),
        key: action.key.clone(),
        run: site.run,
        item: action.item.clone(),
        kind: action.kind.clone(),
        title: action.title.clone(),
        body: program.body(),
        at: Timestamp::now(),
    }
}

async fn propose(site: &Site<'_>, actions: &[Action], programs: &[Option<Program>]) -> Result<(), Hindered> {
    // Nobody need be asked about what a host that is gone has left.
    if let Some(_turn) = turn::try_take(site.locks, site.project)? {
        site.journal.lose_actions(&site.project.to_string_lossy(), Timestamp::now()).await?;
    }
    let all = actions.iter().zip(programs);
    let records = all.filter_map(|(action, program)| Some(record(site, action, program.as_ref()?)));
    Ok(site.journal.propose_actions(records.collect()).await?)
}

/// What hinders an action that nothing is wrong with.
#[derive(Debug, thiserror::Error)]
enum Hindered {
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Lock(#[from] crate::plugin::operations::LockError),
}

/// One action, from what is known of it to its end. Whether the next may come.
async fn one(
    site: &Site<'_>,
    consent: &mut Consent<'_>,
    action: &mut Action,
    program: &Program,
    heading: &str,
    stop: &Stop,
    tell: &Tell,
) -> Result<bool, Hindered> {
    if let Some(known) = row(site, action).await?.filter(|row| row.state != Kept::Started)
        && let Some(next) = stands(action, program, &known)
    {
        return Ok(next);
    }
    if let Consent::Asked(ask) = consent
        && !ask(format!("{heading}\n{}", program.described())).await
    {
        action.state = ActionState::Declined;
        action.problem = Some("you said no".to_owned());
        return Ok(true);
    }
    let _turn = turn::take(site.locks, site.project, tell).await?;
    // Now no other host is at one.
    site.journal.lose_actions(&site.project.to_string_lossy(), Timestamp::now()).await?;
    let (kind, telling) = (Kind::of_program(Path::new(&program.program)), tell.clone());
    let _operation = site.operations.begin(kind, move |what| telling(what)).await?;
    let (path, folder) = match (site.programs.find(&program.program), program.folder_in(site.project)) {
        (Ok(path), Ok(folder)) => (path, folder),
        (Err(error), _) => return Ok(refused(action, error.to_string())),
        (_, Err(error)) => return Ok(refused(action, error.to_string())),
    };
    let told = |kind, details| {
        let action = audited(site, action, kind, details);
        async move { site.audit.before(vec![action]).await }
    };
    let how = json!({"program": program.quoted(), "kind": action.kind, "title": action.title, "item": action.item});
    told(kind::ACTION_STARTED, how).await?;
    match site.journal.start_action(record(site, action, program)).await {
        Ok(()) => {}
        Err(JournalError::ActionHeld { .. }) => {
            let known = row(site, action).await?;
            return Ok(known.and_then(|known| stands(action, program, &known)).unwrap_or(false));
        }
        Err(error) => return Err(error.into()),
    }
    tell(format!("running {}", program.quoted()));
    let environment = site.programs.environment();
    let ended = process::run(&site.machinery, program, &path, &folder, environment, &stop.hard).await;
    let (state, exit_code, reason) = verdict(ended.how);
    let end = ActionEnd {
        project: site.project.to_string_lossy().into_owned(),
        key: action.key.clone(),
        state,
        exit_code,
        reason,
        output: ended.output,
        errors: ended.errors,
        at: Timestamp::now(),
    };
    let written = site.journal.end_action(end.clone()).await;
    let how = json!({"state": end.state.name(), "exit_code": end.exit_code, "reason": end.reason});
    let told = told(kind::ACTION_ENDED, how).await;
    show(action, end);
    if let Err(error) = written {
        let so_far = action.problem.take().unwrap_or_else(|| "it was carried out".to_owned());
        action.state = ActionState::Unknown;
        action.problem = Some(format!("{so_far}; but that could not be journaled, so it will be unknown: {error}"));
    }
    if let Err(error) = told {
        // What was done was done, and is in the journal.
        let so_far = action.problem.take().unwrap_or_else(|| "it was carried out".to_owned());
        action.problem = Some(format!("{so_far}; how it ended is not in the audit log: {error}"));
        return Ok(false);
    }
    Ok(action.state == ActionState::Done)
}

/// What the audit log has of an action.
fn audited(site: &Site<'_>, action: &Action, kind: &'static str, mut details: Value) -> Record {
    details["project"] = json!(site.project.to_string_lossy());
    Record::new(kind, action.key.clone(), details).of_run(Some(site.run.to_string()))
}

fn refused(action: &mut Action, reason: String) -> bool {
    refuse(action, reason);
    false
}

async fn row(site: &Site<'_>, action: &Action) -> Result<Option<ActionRow>, JournalError> {
    let rows = site.journal.actions(&site.project.to_string_lossy()).await?;
    Ok(rows.into_iter().find(|row| row.action.key == action.key))
}

/// What is known of it already decides. None: it may be run. Else whether the next may come.
fn stands(action: &mut Action, program: &Program, known: &ActionRow) -> Option<bool> {
    let how = standing(known);
    if known.state != Kept::Proposed && known.action.body != program.body() {
        let other = Program::written(&known.action.body).map_or_else(|| known.action.body.clone(), |it| it.quoted());
        let reason = format!("its key is that of another action, {how}: {other}. This one is: {}", program.quoted());
        return Some(refused(action, reason));
    }
    let (state, next) = match known.state {
        Kept::Proposed | Kept::Failed => return None,
        Kept::Done => (ActionState::DoneBefore, true),
        Kept::Started | Kept::Unknown => (ActionState::Unknown, false),
    };
    action.state = state;
    action.exit_code = known.exit_code;
    action.problem = Some(match known.state {
        Kept::Done => how,
        _ => {
            format!("{how}. See what is there, then say `convoke actions settle {} done` or `failed`", known.action.key)
        }
    });
    Some(next)
}

/// How a known action stands, as a part of a sentence.
pub fn standing(row: &ActionRow) -> String {
    let run = row.action.run.short();
    let on = |time: Option<Timestamp>| {
        time.map_or_else(String::new, |time| format!(" on {}", time.strftime("%Y-%m-%d %H:%M:%S UTC")))
    };
    if let (Some(settled), Kept::Done | Kept::Failed) = (row.settled, row.state) {
        return format!("{} as you said{}", row.state.name(), on(Some(settled)));
    }
    let why = if row.reason.is_empty() { String::new() } else { format!(": {}", row.reason) };
    match row.state {
        Kept::Proposed => format!("proposed by run {run}{}", on(Some(row.action.at))),
        Kept::Started => format!("begun by run {run}{}, and not ended", on(row.started)),
        Kept::Done => format!("done already by run {run}{}", on(row.ended)),
        Kept::Failed => format!("failed in run {run}{}{why}", on(row.ended)),
        Kept::Unknown => format!("begun by run {run}{}, and how it ended is not known{why}", on(row.started)),
    }
}

/// Only a program's own word says that it failed. Where it was ended it may have done what it was to do.
fn verdict(how: How) -> (Kept, Option<i32>, String) {
    match how {
        How::Exited(0) => (Kept::Done, Some(0), String::new()),
        How::Exited(code @ 126..) => {
            (Kept::Failed, Some(code), format!("it ended with code {code}: perhaps it could not be started"))
        }
        How::Exited(code) => (Kept::Failed, Some(code), format!("it ended with code {code}")),
        How::NotStarted(reason) => (Kept::Failed, None, reason),
        How::Lost(reason) => (Kept::Unknown, None, format!("{reason}: what it did until then is not known")),
    }
}

fn show(action: &mut Action, end: ActionEnd) {
    action.state = match end.state {
        Kept::Done => ActionState::Done,
        Kept::Failed => ActionState::Failed,
        Kept::Proposed | Kept::Started | Kept::Unknown => ActionState::Unknown,
    };
    action.exit_code = end.exit_code;
    action.problem = match action.state {
        ActionState::Done => None,
        ActionState::Unknown => {
            Some(format!("{}; `convoke actions settle {} done` or `failed` says what you find", end.reason, end.key))
        }
        _ => Some(end.reason),
    };
    action.output = tail(&end.output);
    action.errors = tail(&end.errors);
}

/// How much of what a program printed a report carries, in bytes: its end.
const SHOWN: usize = 4 * 1024;

fn tail(text: &str) -> Option<String> {
    let text = text.trim_end();
    let start = text.ceil_char_boundary(text.len().saturating_sub(SHOWN));
    Some(text[start..].to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
