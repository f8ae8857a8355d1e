//! One action's program, from its start to its end: under a warden that ends it with its host, bounded in time and in
//! what it may print.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use convoke_runtime::journal::OUTPUT_LIMIT;
use convoke_runtime::warden::{Charge, SLOT_PREFIX, overrule};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdin, Command};
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
    fn not_started(what: &str, error: &io::Error) -> Self {
        let how = How::NotStarted(format!("it was not started: {what}: {error}"));
        Self { how, output: String::new(), errors: String::new() }
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
    let slot = match tempfile::Builder::new().prefix(SLOT_PREFIX).tempdir() {
        Ok(slot) => slot,
        Err(error) => return Ended::not_started("no folder for it", &error),
    };
    let input = match &program.input {
        None => PathBuf::from("/dev/null"),
        Some(text) => {
            let input = slot.path().join("input");
            if let Err(error) = std::fs::write(&input, text) {
                return Ended::not_started("its input can't be written", &error);
            }
            input
        }
    };
    if let Err(error) = std::fs::create_dir_all(&machinery.records) {
        return Ended::not_started(&machinery.records.display().to_string(), &error);
    }
    let mut record = slot.path().file_name().unwrap_or_default().to_owned();
    record.push(".json");
    let charge = Charge {
        record: machinery.records.join(record),
        slot: slot.path().to_owned(),
        memory_mib: MEMORY_MIB,
        cpu_s: program.timeout().as_secs().saturating_mul(PROCESSORS),
        input: Some(input),
        program: path.into(),
        arguments: program.arguments.iter().map(OsString::from).collect(),
    };
    let mut command = Command::new(&machinery.warden);
    command.args(charge.command_line()).env_clear().envs(environment.iter().cloned()).current_dir(folder);
    // Ctrl-C at the terminal is for the host, which decides.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ended::not_started(&machinery.warden.display().to_string(), &error),
    };
    // Closed, it tells the warden that the host has gone: and waiting for a child closes what is left in it.
    let input = child.stdin.take();
    let (output, errors) = (Tail::of(child.stdout.take()), Tail::of(child.stderr.take()));
    let cut_short = tokio::select! {
        biased;
        ended = child.wait() => Err(how(ended)),
        () = tokio::time::sleep(program.timeout()) => {
            Ok(format!("it was ended after {} s", program.timeout().as_secs()))
        }
        () = stop.cancelled() => Ok("it was ended because you stopped it".to_owned()),
    };
    let how = match cut_short {
        Err(how) => how,
        Ok(why) => {
            end(child, input, &charge.record).await;
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

/// Ends a program with all that it started.
async fn end(mut child: Child, input: Option<ChildStdin>, record: &Path) {
    // The warden hears that its input has ended, and ends the tree.
    drop(input);
    if timeout(ENDING, child.wait()).await.is_ok() {
        return;
    }
    overrule(child.id(), record);
    let _ = child.kill().await;
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
