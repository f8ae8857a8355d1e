//! `--apply`: after a run, what it proposes is carried out. Edits first, all or none; then actions.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use convoke_runtime::work::Status;
use tokio::signal::unix::{SignalKind, signal};

use super::carry_actions;
use super::error::CliError;
use super::options::Options;
use super::terminal::{Terminal, say};
use crate::apply::{self, ApplyError, Place, Problem, Request, Undisturbed, What, Wish};
use crate::config::{Mode, Paths};
use crate::report::human::{self, Style, Verbosity};
use crate::report::{ApplyInfo, ApplyOutcome, EditState, Report, clean};
use crate::run::Session;

/// That what is proposed is to be carried out.
#[derive(Clone, Copy, Debug)]
pub(super) struct CarryOut {
    /// Nobody is asked.
    pub(super) yes: bool,
}

/// What somebody said who was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is to be done.
    Yes,
    /// Anything else.
    No,
    /// Ctrl-C, or that the process should end.
    Stopped,
}

impl CarryOut {
    /// As the options say.
    ///
    /// # Errors
    /// Somebody would have to be asked, and nobody can be: said before anything runs.
    pub(super) fn of(options: &Options) -> Result<Option<Self>, CliError> {
        if !options.apply {
            return Ok(None);
        }
        if !options.yes && !can_ask() {
            return Err(CliError::usage("--apply asks before it changes anything, and here is no terminal to ask on")
                .hint(Some("--apply --yes doesn't ask; without --apply the edits are only shown")));
        }
        Ok(Some(Self { yes: options.yes }))
    }

    /// Carries out what the report proposes, and writes into it what has become of it.
    pub(super) async fn after(self, session: &Session, paths: &Paths, report: &mut Report, terminal: &Terminal) {
        self.edits_first(session, paths, report, terminal).await;
        carry_actions::after(self.yes, session, paths, report).await;
        report.judge();
    }

    async fn edits_first(self, session: &Session, paths: &Paths, report: &mut Report, terminal: &Terminal) {
        if report.edits.is_empty() {
            return;
        }
        let place = Place::of(paths, &session.journal, &session.sandbox.outside.trail.audit());
        let info = match report.status {
            // Who stopped it did not see what it would have proposed.
            Status::Interrupted => none(ApplyOutcome::Declined, "the run was interrupted: nothing is carried out"),
            _ => self.edits(&place, session, report, terminal).await,
        };
        if matches!(info.outcome, ApplyOutcome::Hindered | ApplyOutcome::Failed) && report.status == Status::Completed {
            report.status = Status::Degraded;
        }
        report.apply = Some(info);
    }

    async fn edits(self, place: &Place, session: &Session, report: &mut Report, terminal: &Terminal) -> ApplyInfo {
        let request = match request(session, report) {
            Ok(request) => request,
            Err(error) => return none(ApplyOutcome::Failed, &error),
        };
        let clashing = report.edits.iter().any(|edit| edit.conflict.is_some());
        if let Err(error) = apply::look(place, &request) {
            return hindered(report, &error);
        }
        if clashing {
            return none(ApplyOutcome::Hindered, "edits are in conflict");
        }
        if !self.yes {
            preview(report, terminal);
            let proposals = report.edits.iter().map(|edit| edit.items.len()).sum::<usize>();
            let edits = if proposals == 1 { "1 edit".to_owned() } else { format!("{proposals} edits") };
            match ask(&format!("Apply {edits} to {}?", apply::files(report.edits.len()))).await {
                Answer::Yes => {}
                Answer::No => return none(ApplyOutcome::Declined, "you were asked, and said no"),
                Answer::Stopped => {
                    report.status = Status::Interrupted;
                    return none(ApplyOutcome::Declined, "you were asked, and stopped it");
                }
            }
        }
        match apply::carry_out(place, request, &Undisturbed).await {
            Ok(applied) => {
                report.edits.iter_mut().for_each(|edit| edit.state = EditState::Applied);
                report.warnings.extend(applied.notes);
                let rollback = (applied.files > 0).then(|| applied.id.short());
                ApplyInfo { outcome: ApplyOutcome::Applied, files: applied.files as u64, rollback, message: None }
            }
            Err(error) => hindered(report, &error),
        }
    }
}

/// That nothing was changed.
fn none(outcome: ApplyOutcome, why: &str) -> ApplyInfo {
    ApplyInfo { outcome, files: 0, rollback: None, message: Some(why.to_owned()) }
}

/// Writes down at each edit what is in its way.
fn hindered(report: &mut Report, error: &ApplyError) -> ApplyInfo {
    let mut at = |path: &str, problem: &Problem| {
        for edit in report.edits.iter_mut().filter(|edit| edit.path == path) {
            let why = Some(problem.text().to_owned());
            match problem {
                Problem::Refused(_) => (edit.state, edit.problem) = (EditState::Refused, why),
                Problem::Failed(_) => (edit.state, edit.problem) = (EditState::Failed, why),
                Problem::Conflict(_) | Problem::Changed(..) => {
                    edit.state = EditState::Conflict;
                    edit.conflict = edit.conflict.take().or(why);
                }
            }
        }
    };
    match error {
        ApplyError::Hindered(problems) => {
            problems.iter().for_each(|(path, problem)| at(path, problem));
            let mut paths: Vec<&str> = problems.iter().map(|(path, _)| path.as_str()).collect();
            paths.dedup();
            let shown = paths.iter().take(5).copied().collect::<Vec<_>>().join(", ");
            let more = if paths.len() > 5 { format!(" and {} more", paths.len() - 5) } else { String::new() };
            none(ApplyOutcome::Hindered, &format!("{shown}{more} can't be edited"))
        }
        error => {
            if let ApplyError::Undone { path, problem } = error {
                at(path, problem);
            }
            report.edits.iter_mut().filter(|edit| edit.state == EditState::Proposed).for_each(|edit| {
                edit.state = EditState::Failed;
            });
            none(ApplyOutcome::Failed, &error.to_string())
        }
    }
}

/// What the report proposes, as it is carried out.
fn request(session: &Session, report: &Report) -> Result<Request, String> {
    let run = report.run.id.parse().map_err(|error| format!("{error}"))?;
    let wish = |edit: &crate::report::Edit| Wish {
        path: edit.path.clone(),
        what: What::Edit { base: edit.base.clone(), change: edit.change.clone() },
    };
    // What clashes is known already, and about one file.
    let wishes = report.edits.iter().filter(|edit| edit.conflict.is_none()).map(wish).collect();
    let verify = session.settings.mode == Mode::Safe;
    let project = session.identity.project.clone().into();
    Ok(Request { run, undoes: None, project, wishes, verify })
}

/// Shows what would be done, on standard error: the report comes when it is known what became of it.
fn preview(report: &mut Report, terminal: &Terminal) {
    let style = Style {
        color: terminal.err_color,
        width: terminal.width,
        unicode: terminal.unicode,
        verbosity: Verbosity::Verbose,
    };
    // Nobody may be reading; then nobody answers either.
    let _ = io::stderr().write_all(human::edits(report, &style).as_bytes());
    report.previewed = true;
}

/// Whether there is somebody to ask.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks on the terminal. The default is no.
pub(super) async fn ask(question: &str) -> Answer {
    let _ = write!(io::stderr(), "\n{} [y/N] ", clean::line(question));
    let _ = io::stderr().flush();
    // A thread of its own: reading can't be called off, and must not hold up the end of the process.
    let (sender, answered) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        // Whoever asked may have been stopped.
        let _ = sender.send(read.is_ok_and(|_| matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")));
    });
    tokio::select! {
        answer = answered => if answer == Ok(true) { Answer::Yes } else { Answer::No },
        () = stopped() => {
            say("");
            Answer::Stopped
        }
    }
}

/// Comes back when the process is asked to end. While a run is under way its signals mean something else.
async fn stopped() {
    let heard = async |kind: SignalKind| match signal(kind) {
        Ok(mut signals) => {
            signals.recv().await;
        }
        // It ends the process then.
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = heard(SignalKind::interrupt()) => {}
        () = heard(SignalKind::terminate()) => {}
        () = heard(SignalKind::hangup()) => {}
    }
}
