//! A report goes to whom it is for: in its form, with what stands beside it, and how to go on.

use convoke_runtime::work::Status;

use super::error::CliError;
use super::options::{Format, Options};
use super::terminal::{Terminal, deliver, say};
use super::{report, signals};
use crate::report::go_on::how_to_go_on;
use crate::report::human::{Style, Verbosity};
use crate::report::{ExitCode, Report, RuleInfo, clean, documents, human, json, markdown, sarif};
use crate::run::Session;

/// The longest command line that is shown, in characters.
const LONGEST_LINE: usize = 1_000;

pub(super) fn rendered(
    report: &Report,
    session: &Session,
    options: &Options,
    terminal: &Terminal,
) -> Result<String, CliError> {
    let (quiet, verbose, to_file) = (options.quiet, options.verbose, options.output.is_some());
    rendered_as(report, &session.rules(), Shown { format: options.format, quiet, verbose, to_file }, terminal)
}

/// How a report is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) format: Format,
    pub(super) quiet: bool,
    pub(super) verbose: u8,
    /// It does not go to the terminal.
    pub(super) to_file: bool,
}

/// A report in a form that is made of it alone.
pub(super) fn rendered_as(
    report: &Report,
    rules: &[RuleInfo],
    how: Shown,
    terminal: &Terminal,
) -> Result<String, CliError> {
    let broken = |error: serde_json::Error| CliError::nothing(format!("the report can't be written as JSON: {error}"));
    match how.format {
        Format::Json => json::render(report).map_err(broken),
        Format::Sarif => sarif::render(report, rules).map_err(broken),
        Format::Markdown => Ok(markdown::render(report)),
        Format::Html => Err(report::no_common_page()),
        Format::Human => {
            let verbosity = match (how.quiet, how.verbose) {
                (true, _) => Verbosity::Quiet,
                (false, 0) => Verbosity::Normal,
                (false, _) => Verbosity::Verbose,
            };
            let color = match (report.documents.is_empty(), !how.to_file) {
                (false, _) => terminal.err_color,
                (true, to_terminal) => terminal.out_color && to_terminal,
            };
            Ok(human::render(report, &Style { color, width: terminal.width, unicode: terminal.unicode, verbosity }))
        }
    }
}

/// The documents of the runs, where they take the place of the report: in the form for people. None: there are none, or
/// the report has them in it.
pub(super) fn handed_out<'a>(
    reports: impl IntoIterator<Item = &'a Report>,
    options: &Options,
    terminal: &Terminal,
) -> Option<String> {
    let is_terminal = terminal.out_is_terminal && options.output.is_none();
    let mut text = String::new();
    let mut has_some = false;
    for report in reports {
        has_some |= !report.documents.is_empty();
        if options.format == Format::Human {
            text += &documents::shown(&report.documents, is_terminal);
        }
    }
    if has_some && options.format == Format::Sarif && !options.quiet {
        say("SARIF has no place for the documents of this run: without `--format sarif` they are shown");
    }
    (has_some && options.format == Format::Human).then_some(text)
}

/// The report of a run whose documents have its place.
pub(super) fn beside(rendered: &str) {
    say(rendered.trim_end_matches('\n'));
}

/// Gives the report to whom it is for. One that could not be given is said, and is never a success; the run has ended in
/// the journal by then.
pub(super) fn delivered(text: &str, options: &Options, terminal: &Terminal, code: ExitCode) -> ExitCode {
    signals::delivering();
    match deliver(text, options.output.as_deref()) {
        Ok(()) => code,
        Err(error) => {
            error.show(terminal.err_color);
            ExitCode::strongest([code, error.code])
        }
    }
}

/// How to go on with a run that has lost something, as the last line. A report for people that goes to the terminal ends
/// with it itself.
pub(super) fn go_on(report: &Report, options: &Options) {
    let is_beside = !report.documents.is_empty();
    let is_said = options.format == Format::Human && (options.output.is_none() || is_beside);
    let lost = matches!(report.status, Status::Interrupted | Status::Parked | Status::Degraded | Status::Failed);
    if lost && !is_said && !options.quiet {
        let (status, same) = (report.status.name(), typed(std::env::args()));
        say(&match how_to_go_on(report) {
            Some(command) => format!("{status}: `{command}` goes on; so does the same again: {same}"),
            None => format!("{status}: the same again goes on: {same}"),
        });
    }
}

/// The command line, quoted as a shell reads it, on one line.
pub(super) fn typed(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.skip(1).collect();
    let quoted = shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "));
    clean::line(&clean::bounded(&format!("convoke {quoted}"), LONGEST_LINE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_can_be_typed_again() {
        let words = ["/usr/bin/convoke", "run", "agent-audit a b/", "-q"].map(str::to_owned);
        assert_eq!(typed(words.into_iter()), "convoke run 'agent-audit a b/' -q");
        assert!(!typed(["convoke", "a\u{1b}[2Jb"].map(str::to_owned).into_iter()).contains('\u{1b}'));
    }
}
