//! The files of the log: who appends, and where one ends and the next begins.
//!
//! `000001.ndjson`, `000002.ndjson`…: only the last one grows, and no name ever changes. Beside them stands `head`: which
//! file that is, how long it is, the number and the hash of its last line. Whoever appends holds the lock of `head`, and
//! looks first whether file and head agree. Where they don't, a record says so: a line that the end of a process has cut
//! off is left as it is and told by the next one, and what is gone is told too.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::AuditError;
use super::lines::{Lines, Part};
use super::record::{Line, NOTHING_BEFORE, Record, VERSION, kind};
use crate::config::AuditKeep;
use crate::plugin::sha256_hex;

/// What tells where the log ends.
pub(super) const HEAD: &str = "head";

/// The length of that file: fixed, so that it is written in place, also on a full disk.
const HEAD_BYTES: usize = 256;

/// How long one waits for others at most: their turns take some ten microseconds, and a rotation some milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Where the log ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The version of the log.
    version: u32,
    /// The number of the last file.
    pub(super) file: u32,
    /// Its length, in bytes.
    pub(super) length: u64,
    /// The number of the last record; 0: there is none.
    pub sequence: u64,
    /// Its hash.
    pub hash: String,
}

impl Head {
    fn begin() -> Self {
        Self { version: VERSION, file: 1, length: 0, sequence: 0, hash: NOTHING_BEFORE.to_owned() }
    }
}

/// The name of a file of the log.
pub(super) fn name(number: u32) -> String {
    format!("{number:06}.ndjson")
}

/// The files of a log, by their numbers, the oldest first.
///
/// # Errors
/// The folder can't be read. One that is not there has none.
pub(super) fn files(folder: &Path) -> io::Result<Vec<u32>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let file_name = entry?.file_name();
        let number =
            file_name.to_str().and_then(|name| name.strip_suffix(".ndjson")).and_then(|name| name.parse().ok());
        numbers.extend(number.filter(|number| file_name.to_str() == Some(&name(*number))));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads the head; none: there is none, or none that can be read.
pub(super) fn read_head(file: &File) -> io::Result<Option<Head>> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES);
    let mut file = file;
    file.rewind()?;
    file.take(HEAD_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes).ok())
}

/// A log that is appended to.
#[derive(Debug)]
pub(super) struct Log {
    folder: PathBuf,
    keep: AuditKeep,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    head: File,
    number: u32,
    file: File,
}

/// A turn at the log. Dropped, the lock is free.
struct Turn<'a> {
    log: &'a Log,
    head_file: File,
    file: File,
    head: Head,
    /// What has to be said before anything else.
    said: Vec<Record>,
    /// Whether the file ends in the middle of a line.
    torn: bool,
    made: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // One that can't be let go of is when the process ends.
        let _ = self.head_file.unlock();
    }
}

impl Log {
    /// That of a folder, of which nothing need be there.
    pub(super) fn new(folder: PathBuf, keep: AuditKeep) -> Self {
        Self { folder, keep, open: None }
    }

    /// Appends records, in their order, and with `sync` brings them, and all before them, to the disk.
    ///
    /// # Errors
    /// None of them is written, or, where only the last step failed, it is not known to be on the disk.
    pub(super) fn append(&mut self, records: &[Record], sync: bool) -> Result<Head, AuditError> {
        let opened = self.open.take();
        let mut turn = self.turn(opened)?;
        let head = if records.is_empty() && turn.said.is_empty() { turn.head.clone() } else { turn.write(records)? };
        let made = turn.made;
        let open = Open {
            head: turn.head_file.try_clone().map_err(|source| self.io(HEAD, source))?,
            number: head.file,
            file: turn.file.try_clone().map_err(|source| self.io(&name(head.file), source))?,
        };
        drop(turn);
        if sync {
            open.file.sync_data().map_err(|source| self.io(&name(head.file), source))?;
            if made {
                File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(|source| self.io("", source))?;
            }
        }
        self.open = Some(open);
        Ok(head)
    }

    fn io(&self, name: &str, source: io::Error) -> AuditError {
        AuditError::io(if name.is_empty() { self.folder.clone() } else { self.folder.join(name) }, &source)
    }

    /// Takes the lock, and finds where the log ends.
    fn turn(&self, opened: Option<Open>) -> Result<Turn<'_>, AuditError> {
        let (known, head_file) = match opened {
            Some(Open { head, number, file }) => (Some((number, file)), head),
            None => (None, self.open_head()?),
        };
        let head_file = self.locked(head_file)?;
        let read = read_head(&head_file).map_err(|source| self.io(HEAD, source))?;
        let mut said = Vec::new();
        let head = match read {
            Some(head) if head.version > VERSION => return Err(AuditError::Newer { version: head.version }),
            Some(head) => head,
            None => self.searched(&mut said)?,
        };
        let mut made = false;
        let file = match known {
            // One that was removed meanwhile is not the one that has the name.
            Some((number, file)) if number == head.file && file.metadata().is_ok_and(|about| about.nlink() > 0) => file,
            _ => {
                made = true;
                self.open_file(head.file)?
            }
        };
        let length = file.metadata().map_err(|source| self.io(&name(head.file), source))?.len();
        let mut turn = Turn { log: self, head_file, file, head: head.clone(), said, torn: false, made };
        if length < head.length {
            turn.said.push(Record::new(
                kind::LOG_TRUNCATED,
                name(head.file),
                json!({
                    "had_sequence": head.sequence, "had_hash": head.hash,
                    "had_bytes": head.length, "has_bytes": length,
                }),
            ));
            // They were there, so what follows them says so: the gap stays to be seen.
            turn.head.length = length;
            turn.torn = !turn.ends_with_a_line(length)?;
        } else if length > turn.head.length {
            turn.follow(length)?;
        }
        // Whoever began a new file may have ended before the head said so.
        while self.folder.join(name(turn.head.file + 1)).exists() {
            turn.head.file += 1;
            turn.head.length = 0;
            turn.torn = false;
            turn.file = self.open_file(turn.head.file)?;
            let length = turn.file.metadata().map_err(|source| self.io(&name(turn.head.file), source))?.len();
            turn.follow(length)?;
        }
        Ok(turn)
    }

    fn open_head(&self) -> Result<File, AuditError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(|source| self.io("", source))?;
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.folder.join(HEAD));
        open.map_err(|source| self.io(HEAD, source))
    }

    fn locked(&self, mut file: File) -> Result<File, AuditError> {
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) if file.metadata().is_ok_and(|about| about.nlink() > 0) => return Ok(file),
                // Somebody has removed it meanwhile: the others have a new one.
                Ok(()) => file = self.open_head()?,
                Err(TryLockError::Error(source)) => return Err(self.io(HEAD, source)),
                Err(TryLockError::WouldBlock) if began.elapsed() >= PATIENCE => {
                    return Err(AuditError::Busy { path: self.folder.join(HEAD) });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_micros(100)),
            }
        }
    }

    fn open_file(&self, number: u32) -> Result<File, AuditError> {
        let open =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(self.folder.join(name(number)));
        open.map_err(|source| self.io(&name(number), source))
    }

    /// Where the log ends, where no head says so: by its files.
    fn searched(&self, said: &mut Vec<Record>) -> Result<Head, AuditError> {
        let numbers = files(&self.folder).map_err(|source| self.io("", source))?;
        let Some(&last) = numbers.last() else { return Ok(Head::begin()) };
        let mut head = Head { file: last, ..Head::begin() };
        if let Some((sequence, hash)) = self.end_before(last)? {
            (head.sequence, head.hash) = (sequence, hash);
        }
        said.push(Record::new(kind::LOG_HEAD_LOST, name(last), json!({})));
        Ok(head)
    }

    /// The last record of the files before that one.
    fn end_before(&self, number: u32) -> Result<Option<(u64, String)>, AuditError> {
        let numbers = files(&self.folder).map_err(|source| self.io("", source))?;
        for before in numbers.into_iter().rev().filter(|before| *before < number) {
            let file = File::open(self.folder.join(name(before))).map_err(|source| self.io(&name(before), source))?;
            let mut end = None;
            let mut lines = Lines::new(io::BufReader::new(file), u64::MAX);
            while let Some(part) = lines.next().map_err(|source| self.io(&name(before), source))? {
                if let Part::Whole(bytes) = part
                    && let Ok(line) = Line::read(bytes)
                {
                    end = Some((line.seq, line.hash));
                }
            }
            if end.is_some() {
                return Ok(end);
            }
        }
        Ok(None)
    }

    /// Removes what is older or more than is kept, and says so first.
    fn leavers(&self, current: u32) -> Vec<(PathBuf, Record)> {
        let Some((most_files, oldest)) = self.keep.bounds() else { return Vec::new() };
        // What can't be looked at stays: it is tried again with the next file.
        let Ok(numbers) = files(&self.folder) else { return Vec::new() };
        let old: Vec<u32> = numbers.into_iter().filter(|number| *number < current).collect();
        let too_many = (old.len() + 1).saturating_sub(most_files);
        let mut leaving = Vec::new();
        for (place, number) in old.iter().enumerate() {
            let path = self.folder.join(name(*number));
            let changed = fs::metadata(&path).and_then(|about| about.modified());
            let is_old =
                changed.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > DAY * oldest));
            if place >= too_many && !is_old {
                break;
            }
            let next = old.get(place + 1).copied().unwrap_or(current);
            let (Some(first), Some(after)) = (first_line(&path), first_line(&self.folder.join(name(next)))) else {
                break;
            };
            let details = json!({
                "first_sequence": first.seq, "last_sequence": after.seq.saturating_sub(1), "last_hash": after.prev,
            });
            leaving.push((path, Record::new(kind::LOG_PRUNED, name(*number), details)));
        }
        leaving
    }
}

fn first_line(path: &Path) -> Option<Line> {
    let mut lines = Lines::new(io::BufReader::new(File::open(path).ok()?), u64::MAX);
    match lines.next().ok()?? {
        Part::Whole(bytes) => Line::read(bytes).ok(),
        _ => None,
    }
}

impl Turn<'_> {
    fn io(&self, source: io::Error) -> AuditError {
        self.log.io(&name(self.head.file), source)
    }

    /// Goes on from the head to the end of the file, by lines that follow each other. What doesn't is said.
    fn follow(&mut self, length: u64) -> Result<(), AuditError> {
        let mut file = self.file.try_clone().map_err(|source| self.io(source))?;
        file.seek(SeekFrom::Start(self.head.length)).map_err(|source| self.io(source))?;
        let mut lines = Lines::new(io::BufReader::new(file), length - self.head.length);
        let mut wrong: Option<Record> = None;
        while let Some(part) = lines.next().map_err(|source| self.log.io(&name(self.head.file), source))? {
            match part {
                Part::Whole(bytes) => match Line::read(bytes) {
                    Ok(line) if line.is_whole(bytes) => (self.head.sequence, self.head.hash) = (line.seq, line.hash),
                    _ => {
                        let details = json!({"bytes": bytes.len(), "sha256": sha256_hex(bytes)});
                        wrong.get_or_insert_with(|| Record::new(kind::LOG_DAMAGED, name(self.head.file), details));
                    }
                },
                Part::Torn(bytes) => {
                    let details = json!({"bytes": bytes.len(), "sha256": sha256_hex(bytes)});
                    self.said.push(Record::new(kind::LOG_TORN, name(self.head.file), details));
                    self.torn = true;
                }
                Part::TooLong(bytes) => {
                    let details = json!({"bytes": bytes});
                    wrong.get_or_insert_with(|| Record::new(kind::LOG_DAMAGED, name(self.head.file), details));
                    self.torn = lines.is_torn();
                }
            }
        }
        self.head.length = length;
        self.said.extend(wrong);
        Ok(())
    }

    fn ends_with_a_line(&self, length: u64) -> Result<bool, AuditError> {
        let mut last = [b'\n'];
        if length > 0 {
            self.file.read_exact_at(&mut last, length - 1).map_err(|source| self.io(source))?;
        }
        Ok(last == [b'\n'])
    }

    /// Writes records, and before them what has to be said.
    fn write(&mut self, records: &[Record]) -> Result<Head, AuditError> {
        let said = std::mem::take(&mut self.said);
        let mut batch = Batch { text: Vec::new(), sequence: self.head.sequence, hash: self.head.hash.clone() };
        if std::mem::take(&mut self.torn) {
            batch.text.push(b'\n');
        }
        for record in said.iter().chain(records) {
            if self.head.length + batch.text.len() as u64 >= self.log.keep.most_bytes {
                self.put(&mut batch)?;
                self.rotate(&mut batch)?;
            }
            if self.head.length == 0 && batch.text.is_empty() {
                batch.add(&self.first());
            }
            batch.add(record);
        }
        self.put(&mut batch)?;
        Ok(self.head.clone())
    }

    /// The first record of a file.
    fn first(&self) -> Record {
        match self.head.sequence {
            0 => Record::new(kind::LOG_BEGUN, name(self.head.file), json!({"convoke": env!("CARGO_PKG_VERSION")})),
            sequence => {
                let details = json!({"last_sequence": sequence, "last_hash": self.head.hash});
                Record::new(kind::LOG_ROTATED, name(self.head.file.saturating_sub(1)), details)
            }
        }
    }

    /// Begins the next file, and removes those that are no longer kept. What tells of their going is on the disk before, and
    /// the head knows of it: what was only added to the log is no word of a rotation ([`verify`](super::verify)).
    fn rotate(&mut self, batch: &mut Batch) -> Result<(), AuditError> {
        self.file.sync_data().map_err(|source| self.io(source))?;
        self.file = self.log.open_file(self.head.file + 1)?;
        self.head.file += 1;
        self.head.length = 0;
        self.made = true;
        batch.add(&self.first());
        let leaving = self.log.leavers(self.head.file);
        leaving.iter().for_each(|(_, record)| batch.add(record));
        self.put(batch)?;
        if !leaving.is_empty() {
            self.file.sync_data().map_err(|source| self.io(source))?;
            let is_known = read_head(&self.head_file).is_ok_and(|head| head.as_ref() == Some(&self.head))
                && self.head_file.sync_data().is_ok();
            for (path, _) in leaving.into_iter().filter(|_| is_known) {
                // One that can't be removed now is named again with the next file.
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }

    /// Appends what was gathered, all or none of it, and moves the head.
    fn put(&mut self, batch: &mut Batch) -> Result<(), AuditError> {
        let text = std::mem::take(&mut batch.text);
        if text.is_empty() {
            return Ok(());
        }
        if let Err(source) = self.file.write_all(&text) {
            // A half of it would look like the end of a process. Where that stays too, the next one tells of it.
            let _ = self.file.set_len(self.head.length);
            return Err(self.io(source));
        }
        self.head.length += text.len() as u64;
        (self.head.sequence, self.head.hash) = (batch.sequence, batch.hash.clone());
        let mut bytes = serde_json::to_vec(&self.head).unwrap_or_default();
        bytes.resize(HEAD_BYTES - 1, b' ');
        bytes.push(b'\n');
        // The log is what counts: where the head stays behind, the next one follows the lines.
        let _ = self.head_file.write_all_at(&bytes, 0);
        Ok(())
    }
}

/// Lines that are to be appended.
struct Batch {
    text: Vec<u8>,
    sequence: u64,
    hash: String,
}

impl Batch {
    fn add(&mut self, record: &Record) {
        self.sequence += 1;
        let (line, hash) = record.line(self.sequence, &self.hash);
        self.hash = hash;
        self.text.extend_from_slice(line.as_bytes());
    }
}
