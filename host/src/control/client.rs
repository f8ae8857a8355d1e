//! Asks running convokes.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::protocol::{Answer, Request, Wish};

pub use super::folder::sockets;

/// So long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The longest answer that is read, in bytes.
const LONGEST: u64 = 64 << 20;

/// A process that says how its runs stand.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Where it listens.
    pub socket: PathBuf,
    /// How its runs stand.
    pub status: Answer,
}

/// A process that is there and does not say how its runs stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silent {
    /// Its number.
    pub pid: u32,
    /// What it does instead.
    pub why: String,
}

/// The processes that run something.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Those that say how their runs stand.
    pub answering: Vec<Process>,
    /// The others: nobody knows what they run.
    pub silent: Vec<Silent>,
}

/// All processes that run something. They are asked side by side: one that says nothing holds up no other.
pub fn processes(folder: &Path) -> Found {
    processes_within(folder, PATIENCE)
}

fn processes_within(folder: &Path, patience: Duration) -> Found {
    let request = Request { wish: Wish::Status, run: None, client: None };
    let sockets = sockets(folder);
    let answers: Vec<io::Result<Answer>> = thread::scope(|scope| {
        let ask = |(_, socket): &'_ (u32, PathBuf)| ask_within(socket, &request, patience);
        let asking: Vec<_> = sockets.iter().map(|one| scope.spawn(move || ask(one))).collect();
        let gone = || Err(io::Error::other("asking it has failed"));
        asking.into_iter().map(|one| one.join().unwrap_or_else(|_| gone())).collect()
    });
    let mut found = Found::default();
    for ((pid, socket), answer) in sockets.into_iter().zip(answers) {
        match answer {
            Ok(status) if status.ok => found.answering.push(Process { pid, socket, status }),
            Ok(refused) => {
                let why = refused.error.unwrap_or_else(|| "it refuses".to_owned());
                found.silent.push(Silent { pid, why });
            }
            Err(error) if is_gone(&socket, &error) => {}
            Err(error) => found.silent.push(Silent { pid, why: error.to_string() }),
        }
    }
    found
}

/// Whether nobody listens there: the process has ended, or did while it was asked.
fn is_gone(socket: &Path, error: &io::Error) -> bool {
    let says_so = |error: &io::Error| matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound);
    says_so(error) || UnixStream::connect(socket).is_err_and(|error| says_so(&error))
}

/// Asks one.
///
/// # Errors
/// It is gone, or says nothing for too long, or nothing that makes sense.
pub fn ask(socket: &Path, request: &Request) -> io::Result<Answer> {
    ask_within(socket, request, PATIENCE)
}

fn ask_within(socket: &Path, request: &Request, patience: Duration) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    // The system calls it that a resource is not there for the moment.
    let late = |error: io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            io::Error::new(ErrorKind::TimedOut, format!("it says nothing for {} s", patience.as_secs()))
        }
        _ => error,
    };
    stream.write_all(&text).map_err(late)?;
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST)).read_line(&mut line).map_err(late)?;
    if line.is_empty() {
        return Err(io::Error::new(ErrorKind::UnexpectedEof, "it hung up"));
    }
    serde_json::from_str(&line).map_err(|error| {
        io::Error::new(ErrorKind::InvalidData, format!("it says what this version does not understand ({error})"))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn who_is_there_and_says_nothing_that_makes_sense_is_not_gone() {
        let folder = tempfile::tempdir().unwrap();
        let bind = |pid: u32| UnixListener::bind(folder.path().join(format!("{pid}.sock"))).unwrap();
        // One has ended, one is stopped, one is of another version, one refuses, and one answers.
        drop(bind(1));
        let _stopped = bind(2);
        let answers = ["{\"ok\":\"yes\"}\n", "{\"ok\":false,\"error\":\"not you\"}\n", "{\"ok\":true,\"pid\":5}\n"];
        let answering = (3..).zip(answers).map(|(pid, answer)| (bind(pid), answer)).map(|(listener, answer)| {
            thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                BufReader::new(&stream).read_line(&mut String::new()).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                listener
            })
        });
        let answering: Vec<_> = answering.collect();
        // Those who answer do so at once; the one who does not is waited for no longer than this.
        let found = processes_within(folder.path(), Duration::from_secs(2));
        answering.into_iter().for_each(|one| drop(one.join().unwrap()));
        assert_eq!(found.answering.iter().map(|one| one.pid).collect::<Vec<_>>(), [5]);
        let silent: Vec<(u32, &str)> = found.silent.iter().map(|one| (one.pid, one.why.as_str())).collect();
        assert_eq!((silent[0], silent[2]), ((2, "it says nothing for 2 s"), (4, "not you")));
        assert!(silent[1].1.starts_with("it says what this version does not understand"), "{silent:?}");
    }
    #[test]
    fn all_are_asked_at_once() {
        let folder = tempfile::tempdir().unwrap();
        // Each answers when all were asked.
        let asked = Barrier::new(3);
        let listeners: Vec<_> =
            (1..=3).map(|pid| UnixListener::bind(folder.path().join(format!("{pid}.sock"))).unwrap()).collect();
        let found = thread::scope(|scope| {
            for (pid, listener) in (1..).zip(&listeners) {
                let asked = &asked;
                scope.spawn(move || {
                    let (mut stream, _) = listener.accept().unwrap();
                    BufReader::new(&stream).read_line(&mut String::new()).unwrap();
                    asked.wait();
                    stream.write_all(format!("{{\"ok\":true,\"pid\":{pid}}}\n").as_bytes()).unwrap();
                });
            }
            processes_within(folder.path(), Duration::from_secs(60))
        });
        assert_eq!(found.answering.iter().map(|one| one.pid).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
