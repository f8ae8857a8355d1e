//! What is known of the terminal, and how text gets to it.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use super::error::CliError;
use super::options::Color;
use crate::config::files::write_atomic;
use crate::logs::To;

/// What is known of the terminal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terminal {
    /// Whether colours are used on standard output.
    pub out_color: bool,
    /// Whether colours are used on standard error.
    pub err_color: bool,
    /// Whether standard error is a terminal that can move its cursor.
    pub live: bool,
    /// Whether standard output is a terminal.
    pub out_is_terminal: bool,
    /// Columns of standard output.
    pub width: usize,
    /// Whether more than ASCII may be drawn.
    pub unicode: bool,
    /// Where logs go.
    pub logs: To,
}

impl Terminal {
    /// Looks at the standard streams and the environment. `NO_COLOR` wins over a terminal, `CLICOLOR_FORCE` over none,
    /// and what was typed over both.
    pub(super) fn find(color: Color) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colored = |is_terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => !set("NO_COLOR") && (set("CLICOLOR_FORCE") || (is_terminal && !dumb)),
        };
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let columns = console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
        let utf8 = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        Self {
            out_color: colored(out),
            err_color: colored(err),
            live: err && !dumb && !set("CI"),
            logs: To::Nowhere,
            out_is_terminal: out,
            width: columns.unwrap_or(100),
            unicode: utf8.is_none_or(|locale| {
                let locale = locale.to_ascii_lowercase();
                locale.contains("utf-8") || locale.contains("utf8")
            }),
        }
    }
}

impl Terminal {
    /// The same with logs that go there: a picture that changes in place is not drawn among lines.
    pub(super) fn beside(self, logs: To) -> Self {
        Self { live: self.live && !matches!(logs, To::Stderr(_)), logs, ..self }
    }
}

/// Writes a text to a file, or to standard output. A reader that went away is no error: a list that is read to its tenth
/// line has done what it should.
///
/// # Errors
/// When the file can't be written, or the stream is broken in another way.
pub(super) fn put(text: &str, file: Option<&Path>) -> Result<(), CliError> {
    match write(text, file) {
        Err(Unwritten::Gone) => Ok(()),
        Err(Unwritten::Other(error)) => Err(error),
        Ok(()) => Ok(()),
    }
}

/// The same for the report of a run, which is what was wanted: a reader that went away has not got it.
///
/// # Errors
/// When it can't be written, all of it.
pub(super) fn deliver(text: &str, file: Option<&Path>) -> Result<(), CliError> {
    write(text, file).map_err(|unwritten| match unwritten {
        Unwritten::Gone => CliError::degraded("the report was not read to its end: its reader went away"),
        Unwritten::Other(error) => error,
    })
}

/// Why a text is not where it should be.
enum Unwritten {
    /// Who read it has gone.
    Gone,
    /// Another error.
    Other(CliError),
}

fn write(text: &str, file: Option<&Path>) -> Result<(), Unwritten> {
    if let Some(file) = file {
        // A device or a pipe can't be replaced, only written to.
        let special = fs::metadata(file).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
        let written = if special { fs::write(file, text) } else { write_atomic(file, text.as_bytes(), None) };
        return written
            .map_err(|error| Unwritten::Other(CliError::usage(format!("can't write {}: {error}", file.display()))));
    }
    let written = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Unwritten::Gone,
        _ => Unwritten::Other(CliError::degraded(format!("can't write the report: {error}"))),
    })
}

/// A line for the user, beside the report.
pub(super) fn say(line: &str) {
    // Nobody may be reading.
    let _ = writeln!(io::stderr(), "{line}");
}
