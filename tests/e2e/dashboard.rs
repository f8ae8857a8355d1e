//! `convoke dashboard`: a run is seen and controlled over HTTP while it goes on, and seen when it is over.

use std::time::Duration;

use convoke_standin::{Config, Latency, Standin};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{KEY, Running, World, standin, until};

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(120);

/// A dashboard that is served.
pub(crate) struct Dashboard {
    running: Running,
    /// Where, with a slash at its end.
    pub(crate) url: String,
}

impl Dashboard {
    /// Starts one for the user of this world.
    pub(crate) async fn start(world: &World) -> Self {
        let running = world.convoke(["dashboard"]).start().await;
        until("its address", || running.stdout_so_far().ends_with('\n')).await;
        let url = running.stdout_so_far().trim().to_owned();
        Self { running, url }
    }

    /// `127.0.0.1:PORT`.
    fn host(&self) -> &str {
        self.url.split('/').nth(2).expect("an address")
    }

    fn path(&self) -> &str {
        let at = self.url.find(self.host()).expect("an address") + self.host().len();
        &self.url[at..]
    }

    async fn send(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.host()).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut bytes = Vec::new();
        timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("in time").expect("an answer");
        let text = String::from_utf8(bytes).expect("UTF-8");
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, text.split_once("\r\n\r\n").expect("a body").1.to_owned())
    }

    /// What is there.
    pub(crate) async fn get(&self, what: &str) -> (u16, String) {
        let (host, path) = (self.host(), self.path());
        self.send(&format!("GET {path}{what} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")).await
    }

    /// The JSON that is there.
    pub(crate) async fn json(&self, what: &str) -> Value {
        let (status, text) = self.get(what).await;
        assert_eq!(status, 200, "{what}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// As the page does it.
    async fn control(&self, change: &Value) -> (u16, Value) {
        let (host, path, sent) = (self.host(), self.path(), change.to_string());
        let head = format!("POST {path}api/control HTTP/1.1\r\nhost: {host}\r\norigin: http://{host}\r\n");
        let about = format!("content-type: application/json\r\nconnection: close\r\ncontent-length: {}", sent.len());
        let (status, text) = self.send(&format!("{head}{about}\r\n\r\n{sent}")).await;
        (status, serde_json::from_str(&text).expect("JSON"))
    }

    /// The run that goes on, as soon as it is so.
    pub(crate) async fn running(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let state = self.json("api/state").await;
            if holds(&state["runs"][0]) {
                return state["runs"][0].clone();
            }
            assert!(Instant::now() < deadline, "it never came to this: {what}: {state}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it as Ctrl-C does.
    pub(crate) async fn end(self) {
        self.running.interrupt();
        self.running.end().await.exits(0);
    }
}

/// One that takes so many milliseconds for an answer.
pub(crate) async fn slow(milliseconds: u64) -> Standin {
    standin(Config { latency: Latency::of(milliseconds, 0.0), ..Config::default() }).await
}

#[tokio::test]
async fn a_run_is_seen_paused_and_resumed_and_is_a_past_one_afterwards() {
    let (world, standin) = (World::with_agents(12), slow(400).await);
    let dashboard = Dashboard::start(&world).await;
    assert_eq!(dashboard.json("api/state").await, json!({"runs": []}));
    let call = world.audit(["--instances", "3", "--budget-usd", "2"]).asking(&standin);
    let run = call.start().await;
    let seen = dashboard.running("it is under way", |run| run["in_flight"].as_u64() > Some(0)).await;
    assert_eq!(
        (&seen["command"], &seen["state"], &seen["budget"]),
        (&json!("agent-audit"), &json!("execute"), &json!(2.0))
    );
    let id = seen["run"].as_str().expect("an id").to_owned();

    let (status, said) = dashboard.control(&json!({"run": id, "do": "pause", "now": false})).await;
    assert_eq!((status, &said["ok"]), (200, &json!(true)), "{said}");
    let rest = dashboard.running("it rests", |run| run["state"] == "paused" && run["in_flight"] == 0).await;
    let asked = standin.stats().requests;
    assert!(rest["census"]["pending"].as_u64() > Some(0), "{rest}");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(standin.stats().requests, asked, "nothing is asked while it is paused");

    let (status, said) = dashboard.control(&json!({"run": id, "do": "resume"})).await;
    assert_eq!((status, &said["ok"]), (200, &json!(true)), "{said}");
    let report = run.end().await.exits(0).report();
    assert_eq!(report.census(), "done 12");
    let ended = dashboard.running("it has ended", |run| run["state"] == "completed").await;
    assert_eq!(ended["census"], report.json["census"]);
    let cost = |value: &Value| value.as_f64().expect("dollars");
    assert!((cost(&ended["spent"]) - cost(&report.json["usage"]["usd"])).abs() < 1e-9);

    let past = dashboard.json("api/runs").await;
    assert_eq!((&past["runs"][0]["run"], &past["runs"][0]["status"]), (&json!(id), &json!("completed")));
    let whole = dashboard.json(&format!("api/runs/{id}")).await;
    assert_eq!(whole["timeline"]["census"], report.json["census"]);
    assert_eq!(whole["report"]["census"], report.json["census"]);
    let kinds: Vec<&str> =
        whole["timeline"]["marks"].as_array().expect("marks").iter().filter_map(|mark| mark["kind"].as_str()).collect();
    assert!(kinds.contains(&"paused") && kinds.contains(&"resumed"), "{kinds:?}");
    let gone = dashboard.control(&json!({"run": id, "do": "pause"})).await;
    assert_eq!(gone.0, 404, "{}", gone.1);
    dashboard.end().await;
}

#[tokio::test]
async fn neither_the_token_nor_a_key_is_written_anywhere() {
    let (world, standin) = (World::with_agents(2), slow(0).await);
    let dashboard = Dashboard::start(&world).await;
    world.audit([]).asking(&standin).run().await.exits(0);
    let token = dashboard.path().trim_matches('/').to_owned();
    assert!(token.len() >= 32, "{token}");
    let mut told = dashboard.get("").await.1;
    for what in ["api/state", "api/runs", "assets/dashboard.js"] {
        told += &dashboard.get(what).await.1;
    }
    let run = dashboard.json("api/runs").await["runs"][0]["run"].as_str().expect("an id").to_owned();
    told += &dashboard.get(&format!("api/runs/{run}")).await.1;
    assert!(!told.contains(KEY) && !told.contains(&token));
    assert!(!crate::support::holds(&world.kept(), &token));
    dashboard.end().await;
}

#[tokio::test]
async fn a_browser_is_opened_and_no_other_user_sees_where() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let bin = world.path("home/bin");
    std::fs::create_dir(&bin).expect("a folder");
    let opened = world.path("home/opened");
    let script = format!(
        "#!/bin/sh\nstat -c %a \"$1\" > '{0}.part'\ncat \"$1\" >> '{0}.part'\necho \"$1\" >> '{0}.part'\nmv '{0}.part' '{0}'\n",
        opened.display()
    );
    for program in ["xdg-open", "open"] {
        std::fs::write(bin.join(program), &script).expect("written");
        std::fs::set_permissions(bin.join(program), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("a path"));
    let running = world.convoke(["dashboard", "--open"]).env("PATH", path).start().await;
    until("a browser", || opened.exists()).await;
    let url = running.stdout_so_far().trim().to_owned();
    let seen = std::fs::read_to_string(&opened).expect("what the browser saw");
    assert!(seen.starts_with("600\n") && seen.contains(&format!("url={url}\"")), "{seen}");
    let file = seen.lines().last().expect("the argument").to_owned();
    assert!(file.ends_with(".html") && std::path::Path::new(&file).exists(), "{file}");
    running.interrupt();
    running.end().await.exits(0);
    assert!(!std::path::Path::new(&file).exists(), "it leads nowhere any more");
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_and_what_to_do() {
    let world = World::new();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let done = world.convoke(["dashboard", "--port", &port]).run().await;
    done.exits(2).reports_nothing().says(&port).says("without --port");
}

#[tokio::test]
async fn a_service_manager_ends_it_while_a_page_watches() {
    let world = World::new();
    let dashboard = Dashboard::start(&world).await;
    let mut page = TcpStream::connect(dashboard.host()).await.expect("a connection");
    let (host, path) = (dashboard.host(), dashboard.path());
    let request = format!("GET {path}api/live HTTP/1.1\r\nhost: {host}\r\n\r\n");
    page.write_all(request.as_bytes()).await.expect("a request");
    let mut bytes = [0; 12];
    page.read_exact(&mut bytes).await.expect("an answer");
    assert_eq!(&bytes, b"HTTP/1.1 200");
    dashboard.running.terminate();
    dashboard.running.end().await.exits(0);
}
