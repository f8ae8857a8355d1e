//! `--apply`, after the edits: the actions of a report, with the user's yes to each, or by their own `config.toml`.

use std::io::{self, BufRead as _, Write as _};
use std::sync::Arc;

use convoke_runtime::work::Status;
use futures::FutureExt as _;

use super::command::watch_for_signals;
use super::terminal::say;
use crate::actions::locate::Programs;
use crate::actions::process::Machinery;
use crate::actions::{Ask, Consent, Site, carry_out, hindrance, hold_back};
use crate::backends::variable;
use crate::config::Paths;
use crate::report::{EditState, Report, clean};
use crate::run::Session;
use crate::run::execute::Stop;

/// Carries the actions of a report out, if its edits were. `yes`: nobody is asked.
pub(super) async fn after(yes: bool, session: &Session, paths: &Paths, report: &mut Report) {
    if report.actions.is_empty() {
        return;
    }
    if report.edits.iter().any(|edit| edit.state != EditState::Applied) {
        hold_back(&mut report.actions, "the edits before it were not applied");
    } else if let Err(reason) = go(yes, session, paths, report).await {
        hold_back(&mut report.actions, &reason);
    }
    if let Some(hindrance) = hindrance(&report.actions) {
        report.warnings.push(hindrance);
        if report.status == Status::Completed {
            report.status = Status::Degraded;
        }
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
    };
    let stop = Stop::default();
    let watching = tokio::spawn(watch_for_signals(stop.clone()));
    let soft = stop.soft.clone();
    let mut ask = move |what: String| {
        let soft = soft.clone();
        async move {
            tokio::select! {
                biased;
                () = soft.cancelled() => false,
                answer = tokio::task::spawn_blocking(move || asked(&what)) => answer.unwrap_or(false),
            }
        }
        .boxed()
    };
    let ask: &mut Ask<'_> = &mut ask;
    let consent = if yes { Consent::Listed(&session.settings.actions) } else { Consent::Asked(ask) };
    let tell = Arc::new(|what: String| say(&clean::line(&what)));
    carry_out(&site, consent, &mut report.actions, &stop, &(tell as _)).await;
    watching.abort();
    Ok(())
}

/// Asks on the terminal. What is shown has nothing in it that a terminal would act on: it is quoted already.
fn asked(what: &str) -> bool {
    let mut err = io::stderr().lock();
    let lines = what.lines().fold(String::new(), |text, line| text + "  " + line + "\n");
    let shown = write!(err, "\n{lines}Run it? [y/N] ").and_then(|()| err.flush());
    drop(err);
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    // What was not shown or not answered is not agreed to.
    shown.is_ok() && read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}
