//! One action's program, from its start to its end: under a warden that ends it with its host, bounded in time and in
//! what it may print.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use convoke_runtime::journal::OUTPUT_LIMIT;
use convoke_runtime::warden::{Charge, SLOT_PREFIX, overrule, trouble};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::program::Program;

/// The memory of a program and all that it starts, in MiB.
const MEMORY_MIB: u64 = 8 * 1024;

/// The CPU time of each of its processes, in seconds for each second that it may take: it may use several processors.
const PROCESSORS: u64 = 16;

/// How long a warden may take to end its tree, before it is ended itself.
const ENDING: Duration = Duration::from_secs(3);

/// How long is waited for the last that was printed, once all have ended that could print.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What starts programs.
#[derive(Clone, Debug)]
pub struct Machinery {
    /// Our own binary, which is the warden.
    pub warden: PathBuf,
    /// Where it is written down which processes run, so that none is left behind.
    pub records: PathBuf,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// By itself, with this code.
    Exited(i32),
    /// It was not started.
    NotStarted(String),
    /// It was ended, or its end was not seen: why.
    Lost(String),
}

/// How a program ended, and what it printed last: at most [`OUTPUT_LIMIT`] bytes of each stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub how: How,
    /// On its standard output.
    pub output: String,
    /// On stderr.
    pub errors: String,
}

impl Ended {
    fn not_started(why: &str) -> Self {
        let how = How::NotStarted(format!("it was not started: {why}"));
        Self { how, output: String::new(), errors: String::new() }
    }
}

/// A program with all that it is given.
pub(crate) struct Start<'a> {
    /// Where it is.
    pub(crate) path: &'a Path,
    /// As it gets them.
    pub(crate) arguments: &'a [String],
    /// What it reads; none: nothing.
    pub(crate) input: Option<&'a [u8]>,
    /// Where it is started.
    pub(crate) folder: &'a Path,
    /// All that it sees of the environment.
    pub(crate) environment: &'a [(OsString, OsString)],
    /// How long it may take: what is said to the kernel is the CPU time that comes of it.
    pub(crate) timeout: Duration,
    /// Whether it is kept away from the user's terminal.
    pub(crate) apart: bool,
}

/// A program under its warden. Dropped, it is ended with all that it started, a good second later.
pub(crate) struct Started {
    child: Child,
    /// Closed, it tells the warden that the host has gone: and waiting for a child closes what is left in it.
    input: Option<ChildStdin>,
    record: PathBuf,
    /// Goes with it.
    slot: TempDir,
}

impl Machinery {
    /// Starts a program under a warden.
    ///
    /// # Errors
    /// What could not be had, or why it was not started: a part of a sentence.
    pub(crate) fn start(&self, start: &Start<'_>) -> Result<Started, String> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |error: io::Error| format!("{what}: {error}")
        };
        let slot = tempfile::Builder::new().prefix(SLOT_PREFIX).tempdir().map_err(failed("no folder for it"))?;
        let input = match start.input {
            None => PathBuf::from("/dev/null"),
            Some(bytes) => {
                let input = slot.path().join("input");
                std::fs::write(&input, bytes).map_err(failed("its input can't be written"))?;
                input
            }
        };
        std::fs::create_dir_all(&self.records).map_err(failed(&self.records.display().to_string()))?;
        let mut record = slot.path().file_name().unwrap_or_default().to_owned();
        record.push(".json");
        let charge = Charge {
            record: self.records.join(record),
            slot: slot.path().to_owned(),
            memory_mib: MEMORY_MIB,
            cpu_s: start.timeout.as_secs().saturating_mul(PROCESSORS),
            input: Some(input),
            program: start.path.into(),
            arguments: start.arguments.iter().map(OsString::from).collect(),
        };
        let mut command = Command::new(&self.warden);
        command.args(charge.command_line()).env_clear().envs(start.environment.iter().cloned());
        command.current_dir(start.folder);
        // Ctrl-C at the terminal is for the host, which decides. The first of a group can't leave the terminal any more,
        // so a warden that is to do that is none.
        if !start.apart {
            command.process_group(0);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed(&self.warden.display().to_string()))?;
        let input = child.stdin.take();
        Ok(Started { child, input, record: charge.record, slot })
    }
}

impl Started {
    /// What it prints, and what it says of its troubles. Each is there once.
    pub(crate) fn streams(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// Waits until nothing of it is left. The code is the program's, or 128 and its signal.
    pub(crate) async fn wait(&mut self) -> io::Result<std::process::ExitStatus> {
        self.child.wait().await
    }

    /// What there is to know of its end that the exit code can't say; see [`trouble`].
    pub(crate) fn trouble(&self) -> Option<String> {
        trouble(self.slot.path())
    }

    /// Ends it with all that it started.
    pub(crate) async fn end(mut self) {
        // The warden hears that its input has ended, and ends the tree.
        drop(self.input.take());
        if timeout(ENDING, self.child.wait()).await.is_ok() {
            return;
        }
        overrule(self.child.id(), &self.record);
        let _ = self.child.kill().await;
    }
}

/// Runs a program in a folder, and returns when nothing of it is left. `stop` ends it.
pub async fn run(
    machinery: &Machinery,
    program: &Program,
    path: &Path,
    folder: &Path,
    environment: &[(OsString, OsString)],
    stop: &CancellationToken,
) -> Ended {
    let input = program.input.as_deref().map(str::as_bytes);
    let (arguments, timeout) = (program.arguments.as_slice(), program.timeout());
    let start = Start { path, arguments, input, folder, environment, timeout, apart: false };
    let mut started = match machinery.start(&start) {
        Ok(started) => started,
        Err(why) => return Ended::not_started(&why),
    };
    let (output, errors) = started.streams();
    let (output, errors) = (Tail::of(output), Tail::of(errors));
    let cut_short = tokio::select! {
        biased;
        ended = started.wait() => Err(how(ended)),
        () = tokio::time::sleep(timeout) => Ok(format!("it was ended after {} s", timeout.as_secs())),
        () = stop.cancelled() => Ok("it was ended because you stopped it".to_owned()),
    };
    let how = match cut_short {
        Err(how) => how,
        Ok(why) => {
            started.end().await;
            How::Lost(why)
        }
    };
    Ended { how, output: output.text().await, errors: errors.text().await }
}

/// What the warden says of it. It gives a signal as a shell does.
fn how(ended: io::Result<std::process::ExitStatus>) -> How {
    let lost = |why: &str| How::Lost(why.to_owned());
    match ended.map(|status| status.code()) {
        Ok(Some(code @ 129..)) => lost(&format!("it was ended by a signal, or says so: code {code}")),
        Ok(Some(code)) => How::Exited(code),
        Ok(None) => lost("what watched over it was killed"),
        Err(error) => lost(&format!("its end was not seen: {error}")),
    }
}

/// The end of what a stream brings.
struct Tail {
    kept: Arc<Mutex<Vec<u8>>>,
    reading: JoinHandle<()>,
}

impl Tail {
    fn of(stream: Option<impl AsyncRead + Unpin + Send + 'static>) -> Self {
        let kept: Arc<Mutex<Vec<u8>>> = Arc::default();
        let bytes = kept.clone();
        let reading = tokio::spawn(async move {
            let Some(mut stream) = stream else { return };
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                let mut kept = bytes.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&buffer[..count]);
                // Seldom, because all that is kept is moved.
                if kept.len() > 2 * OUTPUT_LIMIT {
                    let surplus = kept.len() - OUTPUT_LIMIT;
                    kept.drain(..surplus);
                }
            }
        });
        Self { kept, reading }
    }

    async fn text(mut self) -> String {
        if timeout(LAST_WORDS, &mut self.reading).await.is_err() {
            self.reading.abort();
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept[kept.len().saturating_sub(OUTPUT_LIMIT)..]);
        let start = text.ceil_char_boundary(text.len().saturating_sub(OUTPUT_LIMIT));
        text[start..].to_owned()
    }
}
