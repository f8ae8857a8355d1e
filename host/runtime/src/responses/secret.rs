//! The key of the answers: made once, read by its owner only.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key as CipherKey, XChaCha20Poly1305, XNonce};
use rand::RngExt;
use sha2::{Digest, Sha256};

use super::ResponsesError;
use super::store::Row;
use crate::cache::Key;

/// What a key file begins with: what it is, and the version of its format. 64 hexadecimal digits follow.
const HEAD: &str = "convoke-responses-key 1 ";

/// The bytes of a nonce. So many are drawn at random for each entry that none comes twice.
const NONCE: usize = 24;

/// The key.
pub(super) struct Secret([u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// The key in this file. Where there is none, one is made: whole, and by one of several processes.
    pub(super) fn load(path: &Path) -> Result<Self, ResponsesError> {
        let io = |source| ResponsesError::Unreachable { path: path.to_owned(), source };
        match read(path) {
            Err(ResponsesError::Unreachable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        make_private(folder).map_err(io)?;
        // It is readable by its owner only from the beginning.
        let mut file = tempfile::Builder::new().prefix(".responses-key").tempfile_in(folder).map_err(io)?;
        let hex: String = rand::rng().random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(file, "{HEAD}{hex}").and_then(|()| file.as_file().sync_all()).map_err(io)?;
        match file.persist_noclobber(path) {
            Ok(_) => {}
            // Another process was faster: its key is the one.
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io(error.error)),
        }
        read(path)
    }

    /// What tells this key from another, and nothing else of it.
    pub(super) fn check(&self) -> [u8; 32] {
        self.digest(b"check", &[0; 32])
    }

    /// The name of an entry: nobody without the key can tell which question it belongs to.
    pub(super) fn name(&self, key: &Key) -> [u8; 32] {
        self.digest(b"entry", key.as_bytes())
    }

    /// All parts have a fixed length.
    fn digest(&self, purpose: &[u8; 5], of: &[u8; 32]) -> [u8; 32] {
        Sha256::new().chain_update(self.0).chain_update(purpose).chain_update(of).finalize().into()
    }

    /// Encrypts an entry, bound to its name and its date. None: it is larger than the cipher takes.
    pub(super) fn seal(&self, name: &[u8; 32], created: i64, content: &[u8]) -> Option<([u8; NONCE], Vec<u8>)> {
        let nonce: [u8; NONCE] = rand::rng().random();
        let payload = Payload { msg: content, aad: &bound_to(name, created) };
        Some((nonce, self.cipher().encrypt(&XNonce::from(nonce), payload).ok()?))
    }

    /// Decrypts an entry. None: it is not as it was written.
    pub(super) fn open(&self, name: &[u8; 32], row: &Row) -> Option<Vec<u8>> {
        let payload = Payload { msg: &row.sealed, aad: &bound_to(name, row.created) };
        self.cipher().decrypt(&XNonce::from(row.nonce), payload).ok()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&CipherKey::from(self.0))
    }
}

/// What else must be as it was.
fn bound_to(name: &[u8; 32], created: i64) -> Vec<u8> {
    [&b"convoke response 1"[..], name, &created.to_le_bytes()].concat()
}

fn read(path: &Path) -> Result<Secret, ResponsesError> {
    let io = |source| ResponsesError::Unreachable { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    let not_ours = || ResponsesError::NotOurs { path: path.to_owned() };
    if !metadata.is_file() {
        return Err(not_ours());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(ResponsesError::KeyIsOpen { path: path.to_owned(), mode });
        }
    }
    let mut text = String::new();
    file.take(1_024).read_to_string(&mut text).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => not_ours(),
        _ => io(error),
    })?;
    let key = text.trim_end().strip_prefix(HEAD).and_then(from_hex).ok_or_else(not_ours)?;
    Ok(Secret(key))
}

fn from_hex(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// Makes a folder, where it is missing, that only this user can enter.
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder)
}
