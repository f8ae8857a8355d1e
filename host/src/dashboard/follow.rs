//! Finds the processes that run something, and hears what they tell.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use convoke_runtime::event::Event;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::fleet::{Fleet, MOST_RUNS};
use crate::control::client::sockets;
use crate::control::protocol::{Request, Wish};

/// How often it is looked for processes.
const EVERY: Duration = Duration::from_secs(1);

/// So long a process may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest line that is taken from a process, in bytes.
const LONGEST: usize = 16 << 20;

/// So many events are taken together, where so many are there.
const TOGETHER: usize = 1_000;

/// How the following of a process stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stand {
    Following,
    /// It was cut off, and is followed anew.
    CutOff,
    /// Its runs are over. It may still be there to show their reports.
    Over,
}

/// The processes that are known, by their sockets.
#[derive(Clone, Default)]
struct Known(Arc<Mutex<HashMap<PathBuf, Stand>>>);

impl Known {
    fn set(&self, socket: PathBuf, stand: Stand) {
        self.lock().insert(socket, stand);
    }

    /// Of these, those that are to be followed now; others that are gone are forgotten.
    fn new_of(&self, there: Vec<PathBuf>) -> Vec<PathBuf> {
        let mut known = self.lock();
        known.retain(|socket, stand| *stand == Stand::Following || there.contains(socket));
        there.into_iter().filter(|socket| known.get(socket).is_none_or(|stand| *stand == Stand::CutOff)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Stand>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks for processes in this folder and follows each, until it is aborted.
pub(super) async fn watch(fleet: Fleet, folder: PathBuf) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let known = Known::default();
    let mut following = JoinSet::new();
    loop {
        ticks.tick().await;
        while following.try_join_next().is_some() {}
        let room = MOST_RUNS.saturating_sub(following.len());
        for socket in
            known.new_of(sockets(&folder).into_iter().map(|(_, socket)| socket).collect()).into_iter().take(room)
        {
            known.set(socket.clone(), Stand::Following);
            let (fleet, known) = (fleet.clone(), known.clone());
            following.spawn(async move {
                let became = follow(&fleet, &socket).await;
                known.set(socket, became);
            });
        }
        fleet.tidy();
    }
}

/// Hears what a process tells, until it says no more.
async fn follow(fleet: &Fleet, socket: &Path) -> Stand {
    let mut told = Told::default();
    // What goes wrong is the end of it: the list says that nothing more is heard.
    let _ = hear(fleet, socket, &mut told).await;
    let over = told.runs.iter().filter(|run| fleet.end(run)).count();
    let is_over = !told.runs.is_empty() && over == told.runs.len() && told.refused.is_empty();
    if is_over { Stand::Over } else { Stand::CutOff }
}

async fn hear(fleet: &Fleet, socket: &Path, told: &mut Told) -> io::Result<()> {
    let request = Request { wish: Wish::Events { from: 0 }, run: None, client: None };
    let mut lines = timeout(PATIENCE, Line::ask(socket, &request)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let mut batch: Vec<(String, Event)> = Vec::new();
    'lines: while let Some(line) = lines.next().await? {
        for (run, event) in told.line(&line) {
            if told.refused.contains(&run) {
                // What has come of it is gone: where there is room now, it is told anew, from its beginning.
                if fleet.has_room() {
                    break 'lines;
                }
                continue;
            }
            if !told.runs.contains(&run) {
                if !fleet.begin(&run, socket.to_owned()) {
                    told.refused.push(run);
                    continue;
                }
                told.runs.push(run.clone());
            }
            match event {
                Some(event) => batch.push((run, event)),
                None => fleet.misses(&run),
            }
        }
        if !lines.has_more() || batch.len() >= TOGETHER {
            hand_over(fleet, &mut batch);
        }
    }
    hand_over(fleet, &mut batch);
    Ok(())
}

/// What a process has told so far.
#[derive(Default)]
struct Told {
    /// The runs that are followed.
    runs: Vec<String>,
    /// Those for which there was no room when they were first told of.
    refused: Vec<String>,
    /// Whether it has only one.
    is_alone: bool,
    /// What was told before a run had its id.
    early: Vec<Event>,
}

impl Told {
    /// What a line tells, and of which run; none: that something is missing. Nothing: it is no event, or one that this
    /// version does not know.
    fn line(&mut self, line: &[u8]) -> Vec<(String, Option<Event>)> {
        let Ok(value) = serde_json::from_slice::<Value>(line) else { return Vec::new() };
        if let Some(runs) = value.get("runs").and_then(Value::as_array) {
            self.is_alone = runs.len() == 1;
            return Vec::new();
        }
        let run = value.get("run").and_then(Value::as_str).map(str::to_owned);
        if value.get("missing").and_then(Value::as_bool) == Some(true) {
            return run.map(|run| (run, None)).into_iter().collect();
        }
        let Ok(event) = serde_json::from_value::<Event>(value) else { return Vec::new() };
        match run {
            Some(run) => self.early.drain(..).chain([event]).map(|event| (run.clone(), Some(event))).collect(),
            // Of several nobody can say whose it is.
            None if self.is_alone && self.early.len() < TOGETHER => {
                self.early.push(event);
                Vec::new()
            }
            None => Vec::new(),
        }
    }
}

fn hand_over(fleet: &Fleet, batch: &mut Vec<(String, Event)>) {
    while let Some((run, _)) = batch.first() {
        let run = run.clone();
        let other = batch.iter().position(|(of, _)| *of != run).unwrap_or(batch.len());
        let events: Vec<Event> = batch.drain(..other).map(|(_, event)| event).collect();
        fleet.hear(&run, &events);
    }
}

/// What a process answers, line by line.
pub(super) struct Line {
    stream: BufReader<UnixStream>,
}

impl Line {
    /// Asks the process that listens there.
    ///
    /// # Errors
    /// Nobody listens.
    pub(super) async fn ask(socket: &Path, request: &Request) -> io::Result<Self> {
        let mut stream = UnixStream::connect(socket).await?;
        let mut text = serde_json::to_vec(request)?;
        text.push(b'\n');
        stream.write_all(&text).await?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// The next line, without its end; none: that was all.
    ///
    /// # Errors
    /// The connection is broken, or a line is longer than [`LONGEST`].
    pub(super) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        loop {
            let buffer = self.stream.fill_buf().await?;
            if buffer.is_empty() {
                // What was begun and not ended is nothing.
                return Ok(None);
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = end.unwrap_or(buffer.len());
            if line.len() + part > LONGEST {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long"));
            }
            line.extend_from_slice(&buffer[..part]);
            self.stream.consume(end.map_or(part, |end| end + 1));
            if end.is_some() {
                return Ok(Some(line));
            }
        }
    }

    /// Whether another line is there already.
    fn has_more(&self) -> bool {
        self.stream.buffer().contains(&b'\n')
    }
}

#[cfg(test)]
mod tests {
    use convoke_runtime::event::Fact;
    use serde_json::json;
    use tempfile::TempDir;
    use tokio::net::UnixListener;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;

    fn warned(seq: u64) -> Value {
        let event = Event { at: Duration::from_millis(seq), fact: Fact::Warned { message: seq.to_string() } };
        let mut line = serde_json::to_value(event).unwrap();
        (line["seq"], line["run"]) = (json!(seq), json!("one"));
        line
    }

    /// A process that tells this to the first who asks, then more when that comes, and then hangs up.
    fn process(folder: &TempDir, lines: Vec<Value>, more: oneshot::Receiver<Vec<Value>>) -> (PathBuf, JoinHandle<()>) {
        let socket = folder.path().join("1.sock");
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let telling = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            stream.read_line(&mut String::new()).await.unwrap();
            let text = |lines: Vec<Value>| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            let first = [json!({"ok": true, "runs": [{}], "next": 0})].into_iter().chain(lines).collect();
            stream.write_all(text(first).as_bytes()).await.unwrap();
            stream.write_all(text(more.await.unwrap_or_default()).as_bytes()).await.unwrap();
        });
        (socket, telling)
    }

    /// Follows a process that tells this.
    async fn follow_told(fleet: &Fleet, folder: &TempDir, lines: Vec<Value>) {
        let (socket, telling) = process(folder, lines, oneshot::channel().1);
        follow(fleet, &socket).await;
        telling.await.unwrap();
    }

    #[tokio::test]
    async fn a_run_for_which_there_was_no_room_is_told_from_its_beginning_when_there_is() {
        let (fleet, folder) = (Fleet::default(), tempfile::tempdir().unwrap());
        (0..MOST_RUNS).for_each(|run| assert!(fleet.begin(&run.to_string(), PathBuf::new())));
        // It is told together with one that is known, by which is seen how much was heard.
        let mut beside = warned(0);
        beside["run"] = json!("7");
        let (more, told) = oneshot::channel();
        let (socket, telling) = process(&folder, vec![warned(0), beside], told);
        let following = tokio::spawn({
            let fleet = fleet.clone();
            async move { follow(&fleet, &socket).await == Stand::CutOff }
        });
        let mut changes = fleet.changes();
        while fleet.look("7", |run| run.picture.version()) == Some(0) {
            changes.changed().await.unwrap();
        }
        fleet.end("5");
        more.send(vec![warned(1)]).unwrap();
        assert!(following.await.unwrap(), "it is followed anew");
        telling.await.unwrap();
        assert_eq!(fleet.look("one", |_| ()), None);

        follow_told(&fleet, &folder, vec![warned(0), warned(1)]).await;
        assert_eq!(fleet.look("one", |run| run.picture.version()), Some(2));
    }

    fn brief(fleet: &Fleet, name: &str) -> Value {
        serde_json::to_value(fleet.briefs()).unwrap()[0][name].clone()
    }

    #[tokio::test]
    async fn a_run_of_which_a_part_was_not_told_is_shown_as_incomplete() {
        let (fleet, folder) = (Fleet::default(), tempfile::tempdir().unwrap());
        let missing = json!({"run": "one", "missing": true});
        for (lines, incomplete) in [(vec![missing, warned(0), warned(9)], true), (vec![warned(0), warned(1)], false)] {
            follow_told(&fleet, &folder, lines).await;
            assert_eq!(brief(&fleet, "incomplete"), json!(incomplete));
            assert_eq!(fleet.look("one", |run| run.picture.version()), Some(2));
        }
    }
}
