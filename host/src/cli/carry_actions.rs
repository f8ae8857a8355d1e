//! `--apply`, after the edits: the actions of a report, with the user's yes to each, or by their own `config.toml`.

use std::io::{self, Write as _};
use std::sync::Arc;

use convoke_runtime::work::Status;
use futures::FutureExt as _;

use super::carry_out::{Answer, ask};
use super::signals;
use super::terminal::say;
use crate::actions::locate::Programs;
use crate::actions::process::Machinery;
use crate::actions::{Ask, Consent, Site, carry_out, decline, hindrance, hold_back};
use crate::backends::variable;
use crate::config::Paths;
use crate::report::{ApplyOutcome, EditState, Report, clean};
use crate::run::Session;
use crate::run::execute::Stop;

/// Carries the actions of a report out, if its edits were. `yes`: nobody is asked.
pub(super) async fn after(yes: bool, session: &Session, paths: &Paths, report: &mut Report) {
    if report.actions.is_empty() {
        return;
    }
    let declined = report.apply.as_ref().is_some_and(|apply| apply.outcome == ApplyOutcome::Declined);
    if report.status == Status::Interrupted {
        hold_back(&mut report.actions, "the run was interrupted");
    } else if declined {
        decline(&mut report.actions, "you said no to the edits before it");
    } else if report.edits.iter().any(|edit| edit.state != EditState::Applied) {
        hold_back(&mut report.actions, "the edits before it were not applied");
    } else if let Err(reason) = go(yes, session, paths, report).await {
        hold_back(&mut report.actions, &reason);
    }
    if let Some(hindrance) = hindrance(&report.actions) {
        report.degrade(hindrance);
    }
}

async fn go(yes: bool, session: &Session, paths: &Paths, report: &mut Report) -> Result<(), String> {
    let warden = std::env::current_exe().map_err(|error| format!("convoke itself can't be found: {error}"))?;
    let run = report.run.id.parse().map_err(|error| format!("the run {}: {error}", report.run.id))?;
    let project = std::path::Path::new(&session.identity.project);
    let locks = paths.locks();
    let site = Site {
        journal: &session.journal,
        project,
        run,
        locks: &locks,
        operations: &session.operations,
        programs: Programs::of(variable, project),
        machinery: Machinery { warden, records: paths.instances() },
        audit: session.sandbox.outside.trail.audit(),
    };
    let stop = Stop::default();
    let _under_way = signals::under_way(&stop, &session.events);
    let soft = stop.soft.clone();
    let watching = tokio::spawn(async move {
        soft.cancelled().await;
        say("Stopping: the action that runs may end for a moment; again ends it, and how it stands is not known then.");
    });
    let mut each = |what: String| async move { asked(&what).await }.boxed();
    let each: &mut Ask<'_> = &mut each;
    let consent = if yes { Consent::Listed(&session.settings.actions) } else { Consent::Asked(each) };
    let tell = Arc::new(|what: String| say(&clean::line(&what)));
    carry_out(&site, consent, &mut report.actions, &stop, &(tell as _)).await;
    watching.abort();
    if stop.soft.is_cancelled() {
        report.status = Status::Interrupted;
    }
    Ok(())
}

/// Asks on the terminal. What is shown has nothing in it that a terminal would act on: it is quoted already.
async fn asked(what: &str) -> bool {
    let lines = what.lines().fold(String::new(), |text, line| text + "  " + line + "\n");
    // What was not shown is not agreed to.
    let shown = io::stderr().write_all(format!("\n{}", lines.trim_end()).as_bytes()).is_ok();
    shown && ask("Run it?").await == Answer::Yes
}
