//! The log as it stands there, for those who look.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::AuditError;
use super::lines::{Lines, Part};
use super::log::{HEAD, Head, files, name, read_head};
use super::record::Line;

/// So long is waited for who writes.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is looked at: files with the length that they had, and what tells where the log ends.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where they stand.
    pub folder: PathBuf,
    /// The files, the oldest first.
    pub files: Vec<(PathBuf, u64)>,
    /// Where the log ends, by the head beside them.
    pub head: Option<Head>,
    /// Whether these are all that there are.
    pub is_whole_log: bool,
}

impl Source {
    /// All of a log, as it stands at this moment. Nothing is written for a look.
    ///
    /// # Errors
    /// It can't be read.
    pub fn of_folder(folder: &Path) -> Result<Self, AuditError> {
        let failed = |path: &Path, error: io::Error| AuditError::io(path.to_owned(), &error);
        let path = folder.join(HEAD);
        let head_file = match File::open(&path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(&path, error)),
        };
        if let Some(file) = &head_file {
            let began = Instant::now();
            while let Err(error) = file.try_lock_shared() {
                match error {
                    TryLockError::Error(error) => return Err(failed(&path, error)),
                    TryLockError::WouldBlock if began.elapsed() > PATIENCE => return Err(AuditError::Busy { path }),
                    TryLockError::WouldBlock => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        }
        let head = head_file.as_ref().map(read_head).transpose().map_err(|error| failed(&path, error))?.flatten();
        let mut all = Vec::new();
        for number in files(folder).map_err(|error| failed(folder, error))? {
            let path = folder.join(name(number));
            let length = fs::metadata(&path).map_err(|error| failed(&path, error))?.len();
            all.push((path, length));
        }
        Ok(Self { folder: folder.to_owned(), files: all, head, is_whole_log: true })
    }

    /// Files that somebody named, in that order.
    ///
    /// # Errors
    /// One is not there, or is no file.
    pub fn of_files(paths: Vec<PathBuf>) -> Result<Self, AuditError> {
        let mut all = Vec::with_capacity(paths.len());
        for path in paths {
            let about = fs::metadata(&path).map_err(|error| AuditError::io(path.clone(), &error))?;
            if !about.is_file() {
                return Err(AuditError::Io { path, why: "it is not a file".to_owned() });
            }
            all.push((path, about.len()));
        }
        Ok(Self { folder: PathBuf::new(), files: all, head: None, is_whole_log: false })
    }

    /// Hands out each line that is a record, with its bytes, from the oldest on, as long as it is wanted. Gives the number
    /// of lines that are none.
    ///
    /// # Errors
    /// A file can't be read.
    pub fn each(&self, mut wanted: impl FnMut(&Line, &[u8]) -> bool) -> Result<u64, AuditError> {
        let mut none = 0;
        for (path, length) in &self.files {
            let failed = |error: io::Error| AuditError::io(path.clone(), &error);
            let file = match File::open(path) {
                Ok(file) => file,
                // It was the oldest one, and has just gone.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            let mut lines = Lines::new(BufReader::with_capacity(1 << 16, file), *length);
            while let Some(part) = lines.next().map_err(failed)? {
                match part {
                    Part::Whole(bytes) => match Line::read(bytes) {
                        Ok(line) if !wanted(&line, bytes) => return Ok(none),
                        Ok(_) => {}
                        Err(_) => none += 1,
                    },
                    Part::Torn(_) | Part::TooLong(_) => none += 1,
                }
            }
        }
        Ok(none)
    }
}
