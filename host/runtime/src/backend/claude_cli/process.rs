//! One process under its warden: its start, its lines, its end.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::failure::clean;
use super::message::{Block, Message};
use super::scratch::Scratch;
use super::slot::Slot;
use super::{ClaudeConfig, writes};
use crate::backend::Profile;
use crate::question::{Failure, FailureKind};
use crate::warden::{Charge, Record, overrule, tree};

/// The longest line that is read. The program prints lines of 2 MB and more: whole tool results.
const LONGEST_LINE: u64 = 16 * 1024 * 1024;

/// How many lines may wait to be read; then the program waits.
const LINES: usize = 256;

/// How much of what it says on stderr is kept, in bytes.
const TAIL: usize = 4 * 1024;

/// How long a process that has closed its output may take to end: its exit code says more than that.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How long a warden may take to end its tree, before it is ended itself.
const ENDING: Duration = Duration::from_secs(3);

/// What comes from the program.
#[derive(Debug)]
pub(super) enum Line {
    /// A line of its protocol.
    Message(Message),
    /// A line that is none.
    Garbage(String),
    /// A line above [`LONGEST_LINE`].
    TooLong,
}

/// A process. Dropped, it is ended with all that it started, and its folders go.
#[derive(Debug)]
pub(super) struct Process {
    input: Option<ChildStdin>,
    lines: mpsc::Receiver<Line>,
    tail: Arc<Mutex<String>>,
    /// Cancelled when its output or itself has ended.
    ended: CancellationToken,
    /// How it ended, once it has.
    exit: watch::Receiver<Option<ExitStatus>>,
    /// The warden, by its process id.
    warden: Option<u32>,
    record: PathBuf,
    heartbeat: Duration,
    _kept: DropGuard,
}

fn failed(what: &str, error: std::io::Error) -> Failure {
    Failure::new(FailureKind::Died, format!("can't start claude: {what}: {error}"))
}

/// Its folders; with a copy of the project to work in where its tools write.
pub(super) async fn folders(config: &ClaudeConfig, profile: &Profile) -> Result<(Slot, Option<Arc<Scratch>>), Failure> {
    let slot = Slot::new().map_err(|error| failed("no folder for it", error))?;
    let (true, Some(project)) = (writes(profile), config.project.clone()) else { return Ok((slot, None)) };
    let work = slot.work();
    let copied = tokio::task::spawn_blocking(move || Scratch::copy(&project, &work)).await;
    match copied {
        Ok(Ok(scratch)) => Ok((slot, Some(Arc::new(scratch)))),
        Ok(Err(error)) => Err(Failure::new(FailureKind::Invalid, error.to_string())),
        Err(error) => Err(Failure::new(FailureKind::Died, format!("the project was not copied: {error}"))),
    }
}

impl Process {
    /// Starts it. It is not ready yet.
    pub(super) fn start(
        config: Arc<ClaudeConfig>,
        profile: &Profile,
        slot: Slot,
        ending: TaskTracker,
    ) -> Result<Self, Failure> {
        std::fs::create_dir_all(&config.records)
            .map_err(|error| failed(&format!("no record in {}", config.records.display()), error))?;
        let charge = Charge {
            record: slot.record(&config.records),
            slot: slot.path().to_owned(),
            memory_mib: config.memory_mib,
            cpu_s: config.cpu_s,
            input: None,
            program: config.program.clone().into(),
            arguments: slot.arguments(&config, profile).map_err(|error| failed("no folder for it", error))?,
        };
        let mut command = Command::new(&config.warden);
        command
            .args(charge.command_line())
            .env_clear()
            .envs(slot.environment(&config, profile))
            .current_dir(slot.work())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C at the terminal is for the host, which lets paid answers come.
            .process_group(0);
        let mut child = command.spawn().map_err(|error| failed(&config.warden.display().to_string(), error))?;
        let (sender, lines) = mpsc::channel(LINES);
        let tail = Arc::new(Mutex::new(String::new()));
        let (ended, (exited, exit)) = (CancellationToken::new(), watch::channel(None));
        if let Some(output) = child.stdout.take() {
            let ended = ended.clone().drop_guard();
            tokio::spawn(async move {
                read_lines(output, sender).await;
                drop(ended);
            });
        }
        if let Some(errors) = child.stderr.take() {
            tokio::spawn(keep_tail(errors, tail.clone()));
        }
        let (input, warden, record) = (child.stdin.take(), child.id(), slot.record(&config.records));
        let kept = CancellationToken::new();
        ending.spawn(keep(child, slot, record.clone(), exited, ended.clone(), kept.clone()));
        let heartbeat = config.heartbeat;
        Ok(Self { input, lines, tail, ended, exit, warden, record, heartbeat, _kept: kept.drop_guard() })
    }

    /// Writes a line.
    pub(super) async fn write(&mut self, line: &serde_json::Value) -> Result<(), Failure> {
        let mut bytes = line.to_string().into_bytes();
        bytes.push(b'\n');
        let written = match &mut self.input {
            Some(input) => match input.write_all(&bytes).await {
                Ok(()) => input.flush().await.is_ok(),
                Err(_) => false,
            },
            None => false,
        };
        if written { Ok(()) } else { Err(self.died().await) }
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Result<Message, Failure> {
        // One that was stopped by a signal has not ended, and would be waited for until the question's deadline.
        let mut stopped = 0;
        let line = loop {
            tokio::select! {
                line = self.lines.recv() => break line,
                () = sleep(self.heartbeat) => stopped = if self.is_stopped() { stopped + 1 } else { 0 },
            }
            // Twice: somebody may have meant a moment.
            if stopped > 1 {
                let message = "claude was stopped by a signal, and does not go on";
                return Err(Failure::new(FailureKind::Died, message));
            }
        };
        match line {
            Some(Line::Message(message)) => Ok(message),
            Some(Line::Garbage(text)) => {
                let message = format!("claude printed what is not its protocol: {}", clean(&text));
                Err(Failure::new(FailureKind::Malformed, message))
            }
            Some(Line::TooLong) => {
                let message = format!("claude printed a line of more than {} MiB", LONGEST_LINE >> 20);
                Err(Failure::new(FailureKind::Malformed, message))
            }
            None => Err(self.died().await),
        }
    }

    /// How it ended, in its own words.
    async fn died(&mut self) -> Failure {
        // The sender goes without a word only where the runtime does.
        let _ = timeout(LAST_WORDS, self.exit.wait_for(Option::is_some)).await;
        let status = *self.exit.borrow();
        let words = clean(&self.tail.lock().unwrap_or_else(PoisonError::into_inner));
        let how = match status.map(|status| status.code()) {
            Some(Some(code)) => format!("ended with code {code}"),
            Some(None) => "was ended by a signal".to_owned(),
            None => "closed its output".to_owned(),
        };
        let lower = words.to_ascii_lowercase();
        let (kind, hint) = if lower.contains("not logged in") || lower.contains("/login") {
            (FailureKind::Auth, ". Log in with `claude`, or set ANTHROPIC_API_KEY")
        } else {
            (FailureKind::Died, "")
        };
        let words = if words.is_empty() { String::new() } else { format!(": {words}") };
        Failure::new(kind, format!("claude {how}{words}{hint}"))
    }

    /// The resident memory of the program, in MiB; 0 where it is not known.
    pub(super) fn memory_mib(&self) -> u64 {
        Record::program(&self.record).map_or(0, tree::resident) >> 20
    }

    /// Whether it has ended by itself, or has closed its output.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Cancelled when it has.
    pub(super) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// Whether it or its warden was stopped by a signal.
    fn is_stopped(&self) -> bool {
        self.warden.into_iter().chain(Record::program(&self.record)).any(tree::is_stopped)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The warden hears that its input has ended, and ends the tree.
        self.input = None;
        // Nobody need watch it any more.
        self.ended.cancel();
    }
}

/// Keeps the child of a process until nobody needs that any more, and ends it then; its folders go after it.
async fn keep(
    mut child: Child,
    slot: Slot,
    record: PathBuf,
    exited: watch::Sender<Option<ExitStatus>>,
    ended: CancellationToken,
    kept: CancellationToken,
) {
    let status = tokio::select! {
        status = child.wait() => Some(status),
        () = kept.cancelled() => None,
    };
    match status {
        Some(status) => {
            exited.send_replace(status.ok());
            ended.cancel();
            // What its tools wrote may still be read.
            kept.cancelled().await;
        }
        None => end(child, &record).await,
    }
    drop(slot);
}

/// Waits for a warden; one that doesn't end is ended with its program.
async fn end(mut child: Child, record: &Path) {
    if timeout(ENDING, child.wait()).await.is_ok() {
        return;
    }
    overrule(child.id(), record);
    let _ = child.kill().await;
}

/// Reads lines until there are no more, or one can't be used.
async fn read_lines(output: impl AsyncRead + Unpin, sender: mpsc::Sender<Line>) {
    let mut reader = BufReader::with_capacity(64 * 1024, output);
    let mut block = Block::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await;
        if !matches!(read, Ok(count) if count > 0) {
            return;
        }
        let whole = line.last() == Some(&b'\n');
        let read = if !whole && line.len() as u64 >= LONGEST_LINE {
            Line::TooLong
        } else {
            match Message::parse(&line, &mut block) {
                Some(Message::Other) => continue,
                Some(message) => Line::Message(message),
                None if line.iter().all(u8::is_ascii_whitespace) => continue,
                None => Line::Garbage(String::from_utf8_lossy(&line[..line.len().min(TAIL)]).into_owned()),
            }
        };
        let is_last = !matches!(read, Line::Message(_));
        if sender.send(read).await.is_err() || is_last {
            return;
        }
    }
}

/// Keeps the end of what is said on stderr.
async fn keep_tail(mut errors: impl AsyncRead + Unpin, tail: Arc<Mutex<String>>) {
    let mut buffer = vec![0; TAIL];
    while let Ok(count) = errors.read(&mut buffer).await {
        if count == 0 {
            return;
        }
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.push_str(&String::from_utf8_lossy(&buffer[..count]));
        let mut surplus = tail.len().saturating_sub(TAIL);
        while !tail.is_char_boundary(surplus) {
            surplus += 1;
        }
        tail.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(text: &str) -> Vec<Line> {
        let (sender, mut receiver) = mpsc::channel(LINES);
        read_lines(text.as_bytes(), sender).await;
        let mut lines = Vec::new();
        while let Some(line) = receiver.recv().await {
            lines.push(line);
        }
        lines
    }

    #[tokio::test]
    async fn garbage_ends_the_reading_and_what_is_not_known_is_passed_over() {
        let read =
            lines("{\"type\":\"news\"}\n\n{\"type\":\"conversation_reset\"}\ngarbage\n{\"type\":\"result\"}\n").await;
        assert!(matches!(&read[..], [Line::Message(Message::Reset), Line::Garbage(text)] if text == "garbage\n"));
    }

    #[tokio::test]
    async fn a_line_of_five_megabytes_is_read_and_one_without_end_is_not() {
        let long = format!("{{\"type\":\"result\",\"result\":\"{}\"}}\n", "x".repeat(5 << 20));
        assert!(matches!(&lines(&long).await[..], [Line::Message(Message::Done(_))]));
        let endless = "x".repeat((LONGEST_LINE + 1) as usize);
        assert!(matches!(&lines(&endless).await[..], [Line::TooLong]));
    }

    #[tokio::test]
    async fn of_stderr_the_end_is_kept() {
        let tail = Arc::new(Mutex::new(String::new()));
        let text = format!("{}the end", "é".repeat(TAIL));
        keep_tail(text.as_bytes(), tail.clone()).await;
        let tail = tail.lock().unwrap();
        assert!(tail.len() <= TAIL && tail.ends_with("the end"));
    }
}
