//! Listens while runs go on.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use convoke_runtime::event::Events;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf, UCred};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::history::{History, Part};
use super::protocol::{Answer, LONGEST_REQUEST, Request, Wish};
use super::requests::{answer, meant};
use super::{folder, status};
use crate::observe::{Observer, Run, Runs};
use crate::report::{Report, clean};
use crate::run::steer::Steering;

/// So many may be connected at once. Others wait for a place.
const CONNECTIONS: usize = 32;

/// Who says nothing for so long is hung up on.
const SILENCE: Duration = Duration::from_secs(60);

/// Who takes nothing for so long is hung up on.
const DEAF: Duration = Duration::from_secs(10);

/// So long the end of the process waits for those who listen to have heard all of it.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// So many events are written together.
const TOGETHER: usize = 1_000;

/// The longest name of a client, in characters.
const LONGEST_CLIENT: usize = 32;

/// A run that can be looked at and changed.
pub(super) struct Served {
    /// Its name among those of the process.
    pub(super) name: String,
    pub(super) events: Events,
    pub(super) steering: Arc<Steering>,
    pub(super) history: Arc<History>,
}

/// Listens, until it is closed.
pub(crate) struct Control {
    over: CancellationToken,
    hearing: Vec<JoinHandle<()>>,
    listening: Option<JoinHandle<()>>,
    places: Arc<Semaphore>,
    socket: Option<Socket>,
    /// What went wrong, until it is said.
    trouble: Option<String>,
}

/// A socket in the folder, taken away when it is dropped.
struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        // Who looks finds that nobody listens.
        let _ = fs::remove_file(&self.0);
    }
}

impl Control {
    /// Listens in this folder from now on. Where that can't be, the runs go on without, and that is said at their end.
    pub(crate) fn begin(runs: &Runs<'_>, folder: &Path) -> Self {
        let over = CancellationToken::new();
        let served = |run: &Run<'_>| Served {
            name: run.name.to_owned(),
            events: run.events.clone(),
            steering: run.steering.clone(),
            history: Arc::new(History::of(run.events)),
        };
        let served: Arc<[Served]> = runs.runs.iter().map(served).collect();
        let hear = |served: &Served| tokio::spawn(served.history.clone().hear(over.clone()));
        let hearing = served.iter().map(hear).collect();
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        match listen(folder) {
            Ok((listener, socket)) => {
                let listening = Some(tokio::spawn(accept(listener, served, places.clone())));
                Self { over, hearing, listening, places, socket: Some(socket), trouble: None }
            }
            Err(error) => {
                let folder = folder.display();
                let trouble = Some(format!("`convoke ctl` could not reach this run: {folder}: {error}"));
                Self { over, hearing, listening: None, places, socket: None, trouble }
            }
        }
    }
}

impl Observer for Control {
    fn ended<'a>(&'a mut self, _: &'a [&'a Report]) -> BoxFuture<'a, Vec<String>> {
        async move {
            self.over.cancel();
            join_all(self.hearing.drain(..)).await;
            self.trouble.take().into_iter().collect()
        }
        .boxed()
    }

    fn close(mut self: Box<Self>) -> BoxFuture<'static, Vec<String>> {
        async move {
            drop(self.socket.take());
            if let Some(listening) = &self.listening {
                listening.abort();
            }
            // Those who listen hear all of it, if they are quick.
            let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
            let _ = timeout(LAST_WORDS, self.places.acquire_many(all)).await;
            Vec::new()
        }
        .boxed()
    }
}

fn listen(folder: &Path) -> io::Result<(UnixListener, Socket)> {
    folder::make(folder)?;
    folder::tidy(folder);
    let path = folder::socket_of(folder, std::process::id());
    let listener = UnixListener::bind(&path)?;
    let socket = Socket(path);
    fs::set_permissions(&socket.0, Permissions::from_mode(0o600))?;
    Ok((listener, socket))
}

async fn accept(listener: UnixListener, served: Arc<[Served]>, places: Arc<Semaphore>) {
    loop {
        // It is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files, say: it may pass.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let served = served.clone();
        tokio::spawn(async move {
            // Who hangs up in the middle has had what it wanted.
            let _ = serve(stream, &served).await;
            drop(place);
        });
    }
}

async fn serve(stream: UnixStream, served: &[Served]) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let (reader, mut writer) = stream.into_split();
    if peer.uid() != rustix::process::geteuid().as_raw() {
        return write(&mut writer, &Answer::refused("only the user who runs it may ask", None)).await;
    }
    let mut reader = BufReader::new(reader);
    loop {
        let line = match timeout(SILENCE, next_line(&mut reader)).await {
            Ok(Ok(Some(line))) => line,
            Ok(Ok(None)) | Err(_) => return Ok(()),
            Ok(Err(error)) => {
                let longest = format!("a request is at most {LONGEST_REQUEST} bytes");
                return write(&mut writer, &Answer::refused(format!("this is no request: {error}"), Some(longest)))
                    .await;
            }
        };
        let request: Request = match serde_json::from_slice(&line) {
            Ok(request) => request,
            Err(error) => {
                let hint = "a request is like {\"do\":\"status\"}".to_owned();
                write(&mut writer, &Answer::refused(format!("this is no request: {error}"), Some(hint))).await?;
                continue;
            }
        };
        if let Wish::Events { from } = request.wish {
            return tell(&mut reader, &mut writer, served, request.run.as_deref(), from).await;
        }
        let by = who(peer, request.client.as_deref());
        write(&mut writer, &answer(served, &request, &by).await).await?;
    }
}

/// The next line, without its end; none: there is no more.
async fn next_line(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    loop {
        let buffer = reader.fill_buf().await?;
        if buffer.is_empty() {
            // What was begun and not ended is nothing.
            return Ok(None);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = end.unwrap_or(buffer.len());
        if line.len() + part > LONGEST_REQUEST {
            return Err(io::Error::new(ErrorKind::InvalidData, "it is too long"));
        }
        line.extend_from_slice(&buffer[..part]);
        reader.consume(end.map_or(part, |end| end + 1));
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}

async fn write(writer: &mut OwnedWriteHalf, answer: &Answer) -> io::Result<()> {
    let mut text = serde_json::to_vec(answer)?;
    text.push(b'\n');
    send(writer, &text).await
}

async fn send(writer: &mut OwnedWriteHalf, bytes: &[u8]) -> io::Result<()> {
    timeout(DEAF, writer.write_all(bytes)).await.map_err(|_| ErrorKind::TimedOut)?
}

/// Tells what happens until the runs are over, or nobody listens any more.
async fn tell(
    reader: &mut BufReader<OwnedReadHalf>,
    writer: &mut OwnedWriteHalf,
    served: &[Served],
    run: Option<&str>,
    from: u64,
) -> io::Result<()> {
    let runs = match meant(served, run) {
        Ok(runs) => runs,
        Err(answer) => return write(writer, &answer).await,
    };
    let statuses = runs.iter().map(|served| status::of(served)).collect();
    let (pid, next) = (Some(std::process::id()), Some(from));
    write(writer, &Answer { ok: true, pid, runs: statuses, next, ..Answer::default() }).await?;
    let streams = runs.into_iter().map(|served| (served, served.history.news(), from, false));
    let mut streams: Vec<_> = streams.collect();
    loop {
        let mut is_over = true;
        for (served, news, next, is_missed) in &mut streams {
            is_over &= news.borrow_and_update().1;
            loop {
                let Part { events, next: after, is_missing } = served.history.from(*next, TOGETHER);
                *next = after;
                if events.is_empty() {
                    break;
                }
                let run = served.history.run();
                let mut text = Vec::new();
                if is_missing && !std::mem::replace(is_missed, true) {
                    serde_json::to_writer(&mut text, &json!({ "run": run, "missing": true }))?;
                    text.push(b'\n');
                }
                for (seq, event) in events {
                    let mut value = serde_json::to_value(&*event)?;
                    if let Some(object) = value.as_object_mut() {
                        object.insert("seq".to_owned(), seq.into());
                        object.insert("run".to_owned(), run.clone().into());
                    }
                    serde_json::to_writer(&mut text, &value)?;
                    text.push(b'\n');
                }
                send(writer, &text).await?;
            }
        }
        if is_over {
            return Ok(());
        }
        let mut waits: Vec<BoxFuture<'_, ()>> = Vec::new();
        for (_, news, ..) in &mut streams {
            waits.push(Box::pin(changed(news)));
        }
        let news = futures::future::select_all(waits);
        tokio::select! {
            _ = news => {}
            // Whatever it says now, it says to nobody.
            read = reader.fill_buf() => {
                let count = read?.len();
                if count == 0 {
                    return Ok(());
                }
                reader.consume(count);
            }
        }
    }
}

/// Returns when there is news of a run that is not over.
async fn changed(news: &mut tokio::sync::watch::Receiver<(u64, bool)>) {
    let is_over = news.borrow().1;
    if is_over || news.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Who asks, as the system knows it.
fn who(peer: UCred, client: Option<&str>) -> String {
    let client = clean::line(&clean::bounded(client.unwrap_or("socket"), LONGEST_CLIENT));
    let user = user_name(peer.uid()).unwrap_or_else(|| format!("user {}", peer.uid()));
    match peer.pid() {
        Some(pid) => format!("{user}, process {pid}, {client}"),
        None => format!("{user}, {client}"),
    }
}

/// The name of a user, where the machine has it in its list.
fn user_name(uid: u32) -> Option<String> {
    let list = fs::read_to_string("/etc/passwd").ok()?;
    let line = list.lines().find(|line| line.split(':').nth(2).and_then(|id| id.parse().ok()) == Some(uid))?;
    line.split(':')
        .next()
        .filter(|name| !name.is_empty())
        .map(|name| clean::line(&clean::bounded(name, LONGEST_CLIENT)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use convoke_runtime::event::Fact;
    use serde_json::Value;

    use super::*;

    /// A run that has not begun, and a socket for it.
    fn served(folder: &Path) -> (Arc<[Served]>, Socket, JoinHandle<()>, CancellationToken) {
        let events = Events::new();
        let history = Arc::new(History::bounded(&events, (3, 2)));
        let one = Served { name: "audit".to_owned(), events, steering: Arc::default(), history };
        let over = CancellationToken::new();
        tokio::spawn(one.history.clone().hear(over.clone()));
        let served: Arc<[Served]> = Arc::from([one]);
        let (listener, socket) = listen(folder).unwrap();
        let task = tokio::spawn(accept(listener, served.clone(), Arc::new(Semaphore::new(4))));
        (served, socket, task, over)
    }

    async fn asked(socket: &Path, text: &[u8], answers: usize) -> Vec<Value> {
        let mut stream = UnixStream::connect(socket).await.unwrap();
        // It may be hung up on before it has said all.
        let _ = stream.write_all(text).await;
        let mut lines = BufReader::new(stream).lines();
        let mut all = Vec::new();
        while all.len() < answers {
            let Ok(Some(line)) = lines.next_line().await else { break };
            all.push(serde_json::from_str(&line).unwrap());
        }
        all
    }

    #[tokio::test]
    async fn only_the_user_can_enter_the_folder_and_use_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("control");
        let (_, socket, _, _) = served(&inside);
        assert_eq!(fs::metadata(&inside).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(&socket.0).unwrap().mode() & 0o777, 0o600);
        let path = socket.0.clone();
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn garbage_is_answered_and_too_long_a_line_is_hung_up_on() {
        let folder = tempfile::tempdir().unwrap();
        let (_, socket, _, _) = served(folder.path());
        let answers = asked(&socket.0, b"\xff\xfe garbage\n{\"do\":\"explode\"}\n\n{\"do\":\"status\"}\n", 4).await;
        assert_eq!(answers.iter().map(|answer| answer["ok"] == true).collect::<Vec<_>>(), [false, false, false, true]);
        assert_eq!(answers[3]["runs"][0]["phase"], "waiting");
        let long = asked(&socket.0, &vec![b'x'; 4 * LONGEST_REQUEST], 2).await;
        assert!(long.len() <= 1 && long.iter().all(|answer| answer["ok"] == false), "{long:?}");
        assert_eq!(asked(&socket.0, b"{\"do\":\"status\"}\n", 1).await[0]["ok"], true, "others are served");
    }

    #[tokio::test]
    async fn what_is_wished_before_a_run_begins_holds_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let (all, socket, _, _) = served(folder.path());
        let said =
            asked(&socket.0, b"{\"do\":\"pause\",\"client\":\"ctl\"}\n{\"do\":\"cancel\",\"item\":\"a\"}\n", 2).await;
        assert_eq!(said[0]["changed"][0]["became"], "it begins paused");
        assert!(said[1]["error"].as_str().unwrap().contains("not under way"), "{}", said[1]);
        let [control] = all[0].steering.controls().try_into().unwrap();
        assert!(control.by.ends_with(&format!("process {}, ctl", std::process::id())), "{}", control.by);
    }

    #[tokio::test]
    async fn who_comes_late_hears_all_of_it_and_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let (all, socket, _, over) = served(folder.path());
        all[0].events.tell(Fact::Resumed { by: "one".to_owned() }).await;
        let late = tokio::spawn({
            let path = socket.0.clone();
            async move { asked(&path, b"{\"do\":\"events\"}\n", 9).await }
        });
        all[0].events.tell(Fact::Resumed { by: "two".to_owned() }).await;
        over.cancel();
        let heard = late.await.unwrap();
        let shown: Vec<Value> =
            heard[1..].iter().map(|event| json!([event["seq"], event["event"], event["by"]])).collect();
        assert_eq!(json!(shown), json!([[0, "resumed", "one"], [1, "resumed", "two"]]));
    }

    #[tokio::test]
    async fn what_is_no_longer_told_to_who_comes_late_is_said_to_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let (all, socket, _, over) = served(folder.path());
        for number in 0..7 {
            all[0].events.tell(Fact::Resumed { by: number.to_string() }).await;
        }
        all[0].history.catch_up(false);
        over.cancel();
        let from = async |from: u64| {
            let heard = asked(&socket.0, format!("{{\"do\":\"events\",\"from\":{from}}}\n").as_bytes(), 9).await;
            heard[1..].iter().map(|line| json!([line["seq"], line["missing"]])).collect::<Vec<_>>()
        };
        let told = |seq: u64| json!([seq, null]);
        let missing = json!([null, true]);
        assert_eq!(from(0).await, [missing.clone(), told(0), told(1), told(2), told(5), told(6)]);
        assert_eq!(from(4).await, [missing, told(5), told(6)]);
        assert_eq!(from(5).await, [told(5), told(6)]);
    }

    #[tokio::test]
    async fn a_run_that_is_not_there_is_said_with_those_that_are() {
        let folder = tempfile::tempdir().unwrap();
        let (_, socket, _, _) = served(folder.path());
        let said = asked(&socket.0, b"{\"do\":\"pause\",\"run\":\"other\"}\n{\"do\":\"limit\",\"set\":0}\n", 2).await;
        assert_eq!(
            (&said[0]["error"], &said[0]["hint"]),
            (&json!("this process has no run other"), &json!("it has audit"))
        );
        assert_eq!(said[1]["error"], "instances can be 1 to 100");
    }
}
