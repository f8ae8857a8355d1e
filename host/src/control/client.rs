//! Asks running convokes.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::protocol::{Answer, Request};

pub use super::folder::sockets;

/// So long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The longest answer that is read, in bytes.
const LONGEST: u64 = 64 << 20;

/// A process that runs something.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Where it listens.
    pub socket: PathBuf,
    /// How its runs stand.
    pub status: Answer,
}

/// All processes that run something and answer.
pub fn processes(folder: &Path) -> Vec<Process> {
    let status = Request { wish: super::protocol::Wish::Status, run: None, client: None };
    let of = |(pid, socket): (u32, PathBuf)| {
        // One that is gone, or is just going, runs nothing.
        let status = ask(&socket, &status).ok().filter(|answer| answer.ok)?;
        Some(Process { pid, socket, status })
    };
    sockets(folder).into_iter().filter_map(of).collect()
}

/// Asks one.
///
/// # Errors
/// It is gone, or says nothing for too long, or nothing that makes sense.
pub fn ask(socket: &Path, request: &Request) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.write_all(&text)?;
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST)).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it hung up"));
    }
    Ok(serde_json::from_str(&line)?)
}
