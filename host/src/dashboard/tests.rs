//! The whole server, asked over TCP: what it gives away to whom, and what it passes on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use convoke_runtime::event::{Event, Fact, RunFacts};
use convoke_runtime::journal::{Journal, RunId, RunRecord};
use convoke_runtime::work::{Census, Status};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixListener};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

const HOSTILE: &str = "</script><img src=x onerror=alert(1)>\"'\n\u{2028}\u{1b}[31m";

/// A dashboard that is served, over empty folders.
struct World {
    folder: TempDir,
    at: SocketAddr,
    token: String,
    until: CancellationToken,
    served: JoinHandle<io::Result<()>>,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let places = Places { sockets: folder.path().join("sockets"), journal: folder.path().join("journal.db") };
        std::fs::create_dir(&places.sockets).unwrap();
        let dashboard = Dashboard::listen(0, places).await.unwrap();
        let (at, token, until) = (dashboard.at, dashboard.guard.token().to_owned(), CancellationToken::new());
        assert_eq!(dashboard.url(), format!("http://127.0.0.1:{}/{token}/", at.port()));
        let served = tokio::spawn(dashboard.serve(until.clone()));
        Self { folder, at, token, until, served }
    }

    fn sockets(&self) -> PathBuf {
        self.folder.path().join("sockets")
    }

    /// Sends this, and gives the status and all that comes back.
    async fn send(&self, request: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.at).await.unwrap();
        // What is refused early is not read to its end.
        let _ = stream.write_all(request).await;
        let mut bytes = Vec::new();
        let _ = timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("in time");
        let text = String::from_utf8(bytes).unwrap();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        (status, text)
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.at).as_bytes()).await
    }

    async fn api(&self, path: &str) -> (u16, Value) {
        let (status, text) = self.get(&format!("/{}/api/{path}", self.token)).await;
        (status, body(&text))
    }

    /// Posts a control as the page does, but for these.
    async fn post(&self, path: &str, headers: &str, sent: &str) -> (u16, Value) {
        let length = sent.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {length}", self.at);
        let (status, text) = self.send(format!("{head}\r\n{headers}\r\n{sent}").as_bytes()).await;
        (status, body(&text))
    }

    async fn control(&self, sent: &Value) -> (u16, Value) {
        let headers = format!("content-type: application/json\r\norigin: http://{}\r\n", self.at);
        self.post(&format!("/{}/api/control", self.token), &headers, &sent.to_string()).await
    }
}

/// The JSON of an answer; null where it has none.
fn body(text: &str) -> Value {
    text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok()).unwrap_or_default()
}

fn facts(run: &RunId) -> RunFacts {
    RunFacts {
        run: run.to_string(),
        command: "agent-audit".to_owned(),
        subcommand: None,
        plugin: "agent-audit".to_owned(),
        version: "0.1.0".to_owned(),
        project: "/project".to_owned(),
        mode: "balanced".to_owned(),
        backend: "anthropic".to_owned(),
        instances: 3,
        budget: None,
        started: Timestamp::UNIX_EPOCH,
        continued: false,
        pid: 1,
    }
}

fn event(fact: Fact) -> Event {
    Event { at: Duration::from_millis(1), fact }
}

/// A process that tells of a run, and answers what it is asked with this. What it was asked comes out.
fn process(socket: &Path, events: Vec<Event>, answer: Value) -> (JoinHandle<()>, mpsc::UnboundedReceiver<Value>) {
    let listener = UnixListener::bind(socket).unwrap();
    let (asked, heard) = mpsc::unbounded_channel();
    let serving = tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            let request: Value = serde_json::from_str(&line).unwrap();
            let mut said = String::new();
            if request["do"] == "events" {
                said = json!({"ok": true, "runs": [{}], "next": 0}).to_string() + "\n";
                for (seq, event) in events.iter().enumerate() {
                    let mut line = serde_json::to_value(event).unwrap();
                    line["seq"] = json!(seq);
                    let run = events.iter().find_map(|event| match &event.fact {
                        Fact::RunStarted(facts) => Some(facts.run.clone()),
                        _ => None,
                    });
                    line["run"] = json!(run);
                    said += &(line.to_string() + "\n");
                }
            } else {
                said += &(answer.to_string() + "\n");
                asked.send(request).unwrap();
            }
            stream.write_all(said.as_bytes()).await.unwrap();
            open.push(stream);
        }
    });
    (serving, heard)
}

/// Asks until it is so.
async fn until(world: &World, holds: impl Fn(&Value) -> bool) -> Value {
    let asking = async {
        loop {
            let (_, state) = world.api("state").await;
            if holds(&state) {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, asking).await.expect("in time")
}

#[tokio::test]
async fn nothing_is_given_to_who_does_not_know_the_token() {
    let world = World::new().await;
    let token = &world.token;
    let wrong = "A".repeat(token.len());
    for path in ["/", "/api/state", "/assets/dashboard.js", &format!("/{wrong}/"), &format!("/{wrong}/api/state")] {
        let (status, text) = world.get(path).await;
        assert_eq!(status, 404, "{path}");
        assert!(!text.contains("convoke") && text.contains("content-security-policy: default-src 'none'"), "{text}");
    }
    let (status, text) = world.get(&format!("/{token}/")).await;
    assert!(status == 200 && text.contains("<!doctype html>"), "{text}");
    for header in ["x-content-type-options: nosniff", "referrer-policy: no-referrer", "cache-control: no-store"] {
        assert!(text.contains(header), "{text}");
    }
    assert!(!text.contains("access-control"), "{text}");
}

#[tokio::test]
async fn no_path_leads_out_of_the_page() {
    let world = World::new().await;
    let token = &world.token;
    for path in [
        "assets/../../../../etc/passwd",
        "assets/..%2f..%2f..%2fetc%2fpasswd",
        "assets/%2e%2e/index.html",
        "assets//etc/passwd",
        "assets/",
        "assets/mod.rs",
        "assets/dashboard.js%00.css",
        "api/runs/..%2f..%2fjournal.db",
        "api/runs/last",
        "../journal.db",
    ] {
        let (status, text) = world.get(&format!("/{token}/{path}")).await;
        assert_eq!(status, 404, "{path}: {text}");
    }
    for name in ["dashboard.js", "dashboard.css"] {
        let (status, text) = world.get(&format!("/{token}/assets/{name}")).await;
        assert!(status == 200 && text.contains("content-type: text/"), "{text}");
    }
}

#[tokio::test]
async fn a_control_that_is_not_the_pages_own_is_refused() {
    let world = World::new().await;
    let path = format!("/{}/api/control", world.token);
    let ours = format!("origin: http://{}\r\n", world.at);
    let json = "content-type: application/json\r\n";
    let pause = r#"{"run":"one","do":"pause"}"#;
    assert_eq!(world.post("/api/control", &format!("{ours}{json}"), pause).await.0, 404);
    assert_eq!(world.post(&path, json, pause).await.0, 403);
    assert_eq!(world.post(&path, &format!("{json}origin: http://evil.example\r\n"), pause).await.0, 403);
    assert_eq!(world.post(&path, &format!("{ours}content-type: text/plain\r\n"), pause).await.0, 415);
    assert_eq!(world.post(&path, &ours, pause).await.0, 415);
    assert_eq!(world.post(&path, &format!("{ours}{json}"), "{\"run\":").await.0, 400);
    assert_eq!(world.control(&json!({"run": "one", "do": "explode"})).await.0, 400);
    let (status, said) = world.control(&json!({"run": "one", "do": "pause"})).await;
    assert_eq!((status, &said["ok"]), (404, &json!(false)));
    assert_eq!(world.get(&path).await.0, 405);
    let host = "host: evil.example\r\n";
    let request = format!("POST {path} HTTP/1.1\r\n{host}{ours}{json}connection: close\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(world.send(request.as_bytes()).await.0, 421);
}

#[tokio::test]
async fn what_is_too_much_is_refused_and_garbage_does_no_harm() {
    let world = World::new().await;
    let item = "x".repeat(1 << 20);
    assert_eq!(world.control(&json!({"run": "one", "do": "cancel", "item": item})).await.0, 413);
    let headers = format!("GET /{}/ HTTP/1.1\r\nhost: {}\r\nx: {}\r\n\r\n", world.token, world.at, "y".repeat(1 << 20));
    assert_eq!(world.send(headers.as_bytes()).await.0, 431);
    for garbage in [&b"\0\xff\xfe\r\n\r\n"[..], b"GET\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = TcpStream::connect(world.at).await.unwrap();
        stream.write_all(garbage).await.unwrap();
    }
    assert_eq!(world.api("state").await, (200, json!({"runs": []})));
}

#[tokio::test]
async fn a_run_that_goes_on_is_shown_and_controlled_until_its_process_ends() {
    let world = World::new().await;
    let run = RunId::new();
    let told = vec![
        event(Fact::RunStarted(Box::new(facts(&run)))),
        event(Fact::PhaseStarted { phase: "execute".into() }),
        event(Fact::Warned { message: HOSTILE.to_owned() }),
    ];
    let answer = json!({"ok": true, "changed": [{"run": run, "name": "agent-audit", "became": "paused"}]});
    let (process, mut asked) = process(&world.sockets().join("1.sock"), told, answer.clone());
    let state = until(&world, |state| state["runs"][0]["state"] == "execute").await;
    assert_eq!((&state["runs"][0]["run"], &state["runs"][0]["heard"]), (&json!(run), &json!(true)));

    let pause = json!({"run": run, "do": "pause", "now": true});
    assert_eq!(world.control(&pause).await, (200, answer));
    assert_eq!(asked.recv().await, Some(json!({"run": run, "do": "pause", "now": true, "client": "dashboard"})));

    let mut live = BufReader::new(TcpStream::connect(world.at).await.unwrap());
    let request = format!("GET /{}/api/live?run={run} HTTP/1.1\r\nhost: {}\r\n\r\n", world.token, world.at);
    live.write_all(request.as_bytes()).await.unwrap();
    let piece: Value = loop {
        let mut line = String::new();
        timeout(DEADLINE, live.read_line(&mut line)).await.expect("in time").unwrap();
        if let Some(data) = line.strip_prefix("data: ") {
            break serde_json::from_str(data).unwrap();
        }
    };
    assert_eq!(piece["run"]["patch"]["tails"]["marks"][1][0]["text"], HOSTILE);

    std::fs::remove_file(world.sockets().join("1.sock")).unwrap();
    process.abort();
    until(&world, |state| state["runs"][0]["state"] == "lost").await;
    assert_eq!(world.control(&json!({"run": run, "do": "resume"})).await.0, 404);

    // Who watches does not keep the server from its end.
    world.until.cancel();
    timeout(GRACE * 5, world.served).await.expect("it ends").unwrap().unwrap();
}

#[tokio::test]
async fn what_a_run_refuses_is_said_as_it_says_it() {
    let world = World::new().await;
    let run = RunId::new();
    let answer = json!({"ok": false, "error": "no such item", "hint": "look at the list"});
    let told = vec![event(Fact::RunStarted(Box::new(facts(&run))))];
    let (_process, _asked) = process(&world.sockets().join("1.sock"), told, answer.clone());
    until(&world, |state| state["runs"][0]["heard"] == true).await;
    assert_eq!(world.control(&json!({"run": run, "do": "cancel", "item": HOSTILE})).await, (409, answer));
}

#[tokio::test]
async fn runs_of_the_journal_are_listed_and_opened() {
    let world = World::new().await;
    assert_eq!(world.api("runs").await, (200, json!({"runs": [], "more": false})), "there is no journal yet");
    let journal = Journal::open(&world.folder.path().join("journal.db")).unwrap();
    let run = RunId::new();
    let record = RunRecord {
        id: run,
        command: HOSTILE.to_owned(),
        subcommand: None,
        plugin_name: "agent-audit".to_owned(),
        plugin_version: "0.1.0".to_owned(),
        plugin_digest: String::new(),
        arguments: json!({}),
        project: "/project".to_owned(),
        mode: "safe".to_owned(),
        backend: "offline".to_owned(),
        started: Timestamp::UNIX_EPOCH,
        typed: None,
    };
    journal.begin_run(record).await.unwrap();
    let told = [std::sync::Arc::new(event(Fact::Warned { message: HOSTILE.to_owned() }))];
    journal.record_events(&run, Timestamp::UNIX_EPOCH, &told).await.unwrap();
    journal.keep_report(&run, json!({"status": "completed"}).to_string()).await.unwrap();
    journal.end_run(&run, Status::Completed, Census::default(), Timestamp::UNIX_EPOCH).await.unwrap();
    journal.flush().await.unwrap();

    let (status, list) = world.api("runs").await;
    assert_eq!(
        (status, &list["runs"][0]["command"], &list["runs"][0]["status"]),
        (200, &json!(HOSTILE), &json!("completed"))
    );
    let (status, text) = world.get(&format!("/{}/api/runs/{run}", world.token)).await;
    assert!(status == 200 && text.contains("content-type: application/json"), "{text}");
    let whole = body(&text);
    assert_eq!(
        (&whole["timeline"]["marks"][0]["text"], &whole["report"]["status"]),
        (&json!(HOSTILE), &json!("completed"))
    );
    assert_eq!(world.api(&format!("runs/{}", RunId::new())).await.0, 404);
    let (status, text) = world.get(&format!("/{}/api/runs/{run}/page", world.token)).await;
    assert!(status == 200 && text.contains(&format!("attachment; filename=\"convoke-{run}.html\"")), "{text}");
    assert!(text.contains("default-src 'none'; script-src 'self'") && !text.contains("<img src=x"), "{text}");
    assert_eq!(world.get(&format!("/{}/api/runs/x%22%0d%0aset-cookie:a=b/page", world.token)).await.0, 404);
}
