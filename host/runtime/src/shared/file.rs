//! The file: one lock, one line of header, and the state as JSON.
//!
//! The header has the version, a generation, the length and a checksum of what follows. Who has read or written a
//! generation need not read it again. All is written by one call, in place: nobody reads without the lock, and a writer
//! that is killed has written all or, where the system was in the middle of it, what its checksum gives away.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::SharedError;

/// What the file is called.
pub(super) const NAME: &str = "state";

/// What it begins with, where it holds limits.
pub(super) const LIMITS: &str = "convoke-limits";

/// The length of the header: fixed, so that it is read by itself.
const HEADER: usize = 80;

/// The largest state that is read, in bytes.
const LARGEST: usize = 4 << 20;

/// How long one waits for others at most: their turns take some ten microseconds.
pub(super) const PATIENCE: Duration = Duration::from_millis(10);

/// How long one tries again without a pause.
const SPIN: Duration = Duration::from_micros(100);

/// The file, open.
pub(super) struct StateFile {
    path: PathBuf,
    file: File,
    /// What it begins with, by what it holds.
    magic: &'static str,
    buffer: Vec<u8>,
}

/// What was read.
pub(super) enum Content<S> {
    /// Nothing yet.
    Empty,
    /// It is what was read or written last.
    Unchanged,
    /// This.
    State(Box<S>, u64),
}

impl StateFile {
    /// Opens it, made if it is not there.
    pub(super) fn open(folder: &Path, magic: &'static str) -> Result<Self, SharedError> {
        let path = folder.join(NAME);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|source| SharedError::Io { path: path.clone(), source })?;
        Ok(Self { path, file, magic, buffer: Vec::new() })
    }

    /// Opens that of limits for reading only; none: it is not there.
    pub(super) fn look(folder: &Path) -> Result<Option<Self>, SharedError> {
        let path = folder.join(NAME);
        match File::open(&path) {
            Ok(file) => Ok(Some(Self { path, file, magic: LIMITS, buffer: Vec::new() })),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(source) => Err(SharedError::Io { path, source }),
        }
    }

    /// Takes the lock, and waits for it no longer than that.
    pub(super) fn lock(&mut self, patience: Duration) -> Result<(), SharedError> {
        let lock = |file: &File| file.try_lock();
        self.locked(patience, lock)?;
        // Somebody may have removed it meanwhile: then the others have a new one.
        if self.file.metadata().map_err(|source| self.io(source))?.nlink() == 0 {
            let folder = self.path.parent().unwrap_or(Path::new("/")).to_owned();
            make_folder(&folder)?;
            *self = Self { buffer: std::mem::take(&mut self.buffer), ..Self::open(&folder, self.magic)? };
            self.locked(patience, lock)?;
        }
        Ok(())
    }

    /// Takes a lock that others who only read have too.
    pub(super) fn lock_shared(&mut self, patience: Duration) -> Result<(), SharedError> {
        self.locked(patience, |file| file.try_lock_shared())
    }

    fn locked(&self, patience: Duration, lock: impl Fn(&File) -> Result<(), TryLockError>) -> Result<(), SharedError> {
        let began = Instant::now();
        loop {
            match lock(&self.file) {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) if began.elapsed() >= patience => {
                    return Err(SharedError::Busy { path: self.path.clone() });
                }
                // A turn is shorter than the shortest sleep.
                Err(TryLockError::WouldBlock) if began.elapsed() < SPIN => std::thread::yield_now(),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_micros(50)),
                Err(TryLockError::Error(source)) => return Err(self.io(source)),
            }
        }
    }

    /// Lets go of the lock.
    pub(super) fn unlock(&self) {
        // One that can't be let go of is when the process ends.
        let _ = self.file.unlock();
    }

    /// Reads it, unless it is the generation that is known.
    pub(super) fn read<S: DeserializeOwned>(&mut self, known: Option<u64>) -> Result<Content<S>, SharedError> {
        let mut header = [0; HEADER];
        let length = read_up_to(&self.file, &mut header, 0).map_err(|source| self.io(source))?;
        if length == 0 {
            return Ok(Content::Empty);
        }
        let Header { generation, length, checksum } = self.header(&header[..length])?;
        if known == Some(generation) {
            return Ok(Content::Unchanged);
        }
        self.buffer.resize(length, 0);
        let read = read_up_to(&self.file, &mut self.buffer, HEADER as u64);
        if read.map_err(|source| SharedError::Io { path: self.path.clone(), source })? < length {
            return Err(self.broken("it is cut off"));
        }
        if checksum_of(&self.buffer) != checksum {
            return Err(self.broken("its checksum is wrong"));
        }
        let state = serde_json::from_slice(&self.buffer).map_err(|_| self.broken("it is no state"))?;
        Ok(Content::State(Box::new(state), generation))
    }

    fn header(&self, bytes: &[u8]) -> Result<Header, SharedError> {
        let text = std::str::from_utf8(bytes).map_err(|_| self.broken("it has no header"))?;
        let mut words = text.split_ascii_whitespace();
        let (magic, version) = (words.next(), words.next().and_then(|word| word.parse::<u64>().ok()));
        let (Some(magic), Some(version)) = (magic, version) else { return Err(self.broken("it has no header")) };
        if magic != self.magic {
            return Err(self.broken("it has another header"));
        }
        if version > super::VERSION {
            return Err(SharedError::Newer { path: self.path.clone(), version });
        }
        let parsed = (|| {
            let generation = u64::from_str_radix(words.next()?, 16).ok()?;
            let length = usize::from_str_radix(words.next()?, 16).ok()?;
            let checksum = u64::from_str_radix(words.next()?, 16).ok()?;
            Some(Header { generation, length, checksum })
        })();
        match parsed {
            Some(header) if version == super::VERSION && bytes.len() == HEADER && header.length <= LARGEST => {
                Ok(header)
            }
            _ => Err(self.broken("its header is wrong")),
        }
    }

    /// Writes it.
    pub(super) fn write(&mut self, state: &impl Serialize, generation: u64) -> Result<(), SharedError> {
        self.buffer.clear();
        self.buffer.resize(HEADER, b' ');
        serde_json::to_writer(&mut self.buffer, state).map_err(|error| self.io(error.into()))?;
        let (length, checksum) = (self.buffer.len() - HEADER, checksum_of(&self.buffer[HEADER..]));
        if length > LARGEST {
            return Err(self.io(io::Error::other("there is too much to write down")));
        }
        let (magic, version) = (self.magic, super::VERSION);
        let header = format!("{magic} {version} {generation:016x} {length:08x} {checksum:016x}");
        self.buffer[..header.len()].copy_from_slice(header.as_bytes());
        self.buffer[HEADER - 1] = b'\n';
        self.file.write_all_at(&self.buffer, 0).map_err(|source| self.io(source))
    }

    /// Writes the generation after the one that is known, which it becomes. While it fails none is known.
    pub(super) fn write_next(&mut self, state: &impl Serialize, known: &mut Option<u64>) -> Result<(), SharedError> {
        // The first one differs from any that was before the file was begun anew.
        let generation = known.take().map_or_else(|| rand::rng().random::<u64>(), |known| known.wrapping_add(1));
        self.write(state, generation)?;
        *known = Some(generation);
        Ok(())
    }

    /// Keeps a copy of what can't be understood, beside it, for who wants to know what happened.
    pub(super) fn set_aside(&self) {
        let mut bytes = vec![0; LARGEST];
        if let Ok(length) = read_up_to(&self.file, &mut bytes, 0) {
            // It is only of use to people.
            let _ = fs::write(self.path.with_extension("broken"), &bytes[..length]);
        }
        let _ = self.file.set_len(0);
    }

    fn io(&self, source: io::Error) -> SharedError {
        SharedError::Io { path: self.path.clone(), source }
    }

    fn broken(&self, why: &'static str) -> SharedError {
        SharedError::Broken { path: self.path.clone(), why }
    }
}

struct Header {
    generation: u64,
    length: usize,
    checksum: u64,
}

/// Makes the folder, for the user alone.
pub(super) fn make_folder(folder: &Path) -> Result<(), SharedError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| SharedError::Io { path: folder.to_owned(), source })
}

fn read_up_to(file: &File, buffer: &mut [u8], from: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], from + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Against what is torn, not against who forges.
fn checksum_of(bytes: &[u8]) -> u64 {
    u64::from(crc32fast::hash(bytes))
}
