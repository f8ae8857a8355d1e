//! Where lines go. One that can't be written is no reason to end a run: it is remembered, and said at the end.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

use super::{LogError, unopened};

/// The log file of the process.
static KEPT: OnceLock<Arc<LogFile>> = OnceLock::new();

/// A file to which lines are added.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    path: PathBuf,
    trouble: Mutex<Option<String>>,
}

impl LogFile {
    /// Opens it, and makes it if it is not there: then only for its user.
    pub(super) fn open(path: &Path) -> Result<Self, LogError> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let file = options.open(path).map_err(|error| unopened(path, error))?;
        Ok(Self { file, path: path.to_owned(), trouble: Mutex::default() })
    }

    fn fails(&self, error: &io::Error) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.get_or_insert_with(|| format!("not all logs are in {}: {error}", self.path.display()));
    }
}

/// The process writes to this one from now on.
pub(super) fn keep(file: LogFile) -> Shared {
    Shared(KEPT.get_or_init(|| Arc::new(file)).clone())
}

/// What went wrong with it, once.
pub(super) fn trouble() -> Option<String> {
    KEPT.get()?.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The log file, for all threads.
#[derive(Clone, Debug)]
pub(super) struct Shared(pub(super) Arc<LogFile>);

impl<'a> MakeWriter<'a> for Shared {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

/// A line, which comes whole: those of several processes don't mix.
pub(super) struct Line<'a>(&'a LogFile);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(error) = (&self.0.file).write_all(line) {
            self.0.fails(&error);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard error. Nobody may be reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stderr;

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = io::Stderr;

    fn make_writer(&'a self) -> io::Stderr {
        io::stderr()
    }
}
