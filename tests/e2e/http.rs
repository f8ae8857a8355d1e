//! A plugin that sends requests and keeps things: what was granted works, and no attack does.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};

use convoke::plugin::build::embed;
use convoke::plugin::capabilities::Site;
use convoke::plugin::inspect::read_manifest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{KEY, Report, World, repository};

/// A server on this machine, and the requests that it got.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    got: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// One that answers by the path: `answers` gives the whole answer.
    pub(crate) async fn start(answers: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let got: Arc<Mutex<Vec<String>>> = Arc::default();
        let (requests, answers) = (got.clone(), Arc::new(answers));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (requests, answers) = (requests.clone(), answers.clone());
                tokio::spawn(async move {
                    let mut buffer = vec![0; 64 << 10];
                    let mut text = String::new();
                    while !text.contains("\r\n\r\n") {
                        let count = stream.read(&mut buffer).await.unwrap_or(0);
                        if count == 0 {
                            return;
                        }
                        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
                    }
                    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                    requests.lock().expect("nobody panicked").push(text);
                    // Who has heard enough goes away.
                    let _ = stream.write_all(answers(&path).as_bytes()).await;
                    if path == "/endless" {
                        while stream.write_all(&[b'x'; 8_192]).await.is_ok() {}
                    }
                    if path == "/slow" {
                        std::future::pending::<()>().await;
                    }
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { address, got }
    }

    /// One that says hello to all.
    pub(crate) async fn kind() -> Self {
        Self::start(|path| answer(&format!("hello {path}"))).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn got(&self) -> Vec<String> {
        self.got.lock().expect("nobody panicked").clone()
    }
}

fn answer(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

/// The component, asking for these hosts.
fn component(world: &World, name: &str, hosts: &[&Server]) -> String {
    let bytes = fs::read(repository().join("tests/prebuilt/outside-http.wasm")).expect("it is built");
    let mut manifest = read_manifest(&bytes).expect("a manifest");
    let site =
        |server: &&Server| Site { host: server.address.to_string(), methods: vec!["GET".to_owned()], optional: false };
    manifest.capabilities.http = hosts.iter().map(site).collect();
    let path = world.path(&format!("home/{name}.wasm"));
    fs::write(&path, embed(&bytes, &manifest).expect("a component")).expect("a written file");
    path.to_str().expect("UTF-8").to_owned()
}

/// The same, granted all that it asks for.
pub(crate) async fn granted(world: &World, name: &str, hosts: &[&Server]) -> String {
    let path = component(world, name, hosts);
    world.convoke(["grants", "add", &path, "--all"]).run().await.exits(0);
    path
}

async fn run(world: &World, plugin: &str, acts: &[&str]) -> Report {
    let arguments = [plugin, "--format", "json"].into_iter().chain(acts.iter().copied());
    world.convoke(arguments).run().await.report()
}

/// What came of an item.
fn said<'a>(report: &'a Report, item: &str) -> &'a str {
    let notes = report.list("notes").iter();
    let found = notes.filter(|note| note["item"] == item).find_map(|note| note["text"].as_str());
    found.unwrap_or_else(|| panic!("{item} said nothing: {:#}", report.json))
}

#[tokio::test]
async fn nothing_is_sent_or_kept_that_was_not_granted() {
    let (world, server) = (World::new(), Server::kind().await);
    let plugin = component(&world, "asking", &[&server]);
    // It runs where the user decides so, and gets nothing.
    world.convoke(["grants", "add", &plugin, "--trust"]).run().await.exits(0);
    let report = run(&world, &plugin, &[&format!("get:{}", server.url("/")), "put:a=b", "find:a"]).await;
    for item in ["1-get", "2-put", "3-find"] {
        assert!(said(&report, item).starts_with("refused: "), "{}", said(&report, item));
    }
    assert!(server.got().is_empty());
}

#[tokio::test]
async fn of_all_attacks_none_succeeds() {
    let world = World::new().config("version = 1\n[http]\ntimeout_s = 2\nmax_response_bytes = 100_000\n");
    let secret = Server::start(|_| answer("the secret")).await;
    let to = secret.url("/");
    let server = Server::start(move |path| match path {
        "/other" => redirect(&to),
        "/metadata" => redirect("http://169.254.169.254/latest/meta-data/"),
        "/file" => redirect("file:///etc/passwd"),
        "/endless" => "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
        "/slow" => "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_owned(),
        "/bomb" => "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nbomb".to_owned(),
        path => answer(&format!("hello {path}")),
    })
    .await;
    let plugin = granted(&world, "attack", &[&server]).await;
    let (port, own) = (secret.address.port(), server.address);
    let refused = [
        format!("get:{}", secret.url("/")),
        format!("get:http://localhost:{port}/"),
        format!("get:http://127.1:{port}/"),
        format!("get:http://2130706433:{port}/"),
        format!("get:http://0x7f000001:{port}/"),
        format!("get:http://[::ffff:127.0.0.1]:{port}/"),
        format!("get:http://[::1]:{port}/"),
        format!("get:http://0.0.0.0:{port}/"),
        format!("get:http://{own}@127.0.0.1:{port}/"),
        format!("get:http://granted:{}@127.0.0.1:{port}/", own.port()),
        "get:http://169.254.169.254/latest/meta-data/".to_owned(),
        "get:http://[fd00:ec2::254]/".to_owned(),
        "get:https://metadata.google.internal/".to_owned(),
        "get:https://api.example.org/".to_owned(),
        "get:file:///etc/passwd".to_owned(),
        format!("get:{}", server.url("/other")),
        format!("get:{}", server.url("/metadata")),
        format!("get:{}", server.url("/file")),
        format!("get:{}", server.url("/endless")),
        format!("get:{}", server.url("/slow")),
        format!("post:{}", server.url("/posted")),
        format!("smuggle:{}", server.url("/smuggled")),
        format!("disguise:{}", server.url("/disguised")),
    ];
    let allowed = [format!("get:{}", server.url("/bomb")), format!("auth:{}", server.url("/auth"))];
    let acts: Vec<&str> = refused.iter().chain(&allowed).map(String::as_str).collect();
    let arguments = [plugin.as_str(), "--format", "json"].into_iter().chain(acts);
    let call = world.convoke(arguments).env("GITHUB_TOKEN", "a-token-of-the-user").env("ANTHROPIC_API_KEY", KEY);
    let report = call.env("http_proxy", secret.url("/")).run().await.report();
    assert_eq!(report.census(), format!("done {}", refused.len() + allowed.len()));
    for (number, act) in (1..).zip(&refused) {
        let name = act.split_once(':').expect("an act").0;
        let said = said(&report, &format!("{number}-{name}"));
        assert!(said.starts_with("refused: "), "{act}: {said}");
    }
    let number = refused.len() + 1;
    assert_eq!(said(&report, &format!("{number}-get")), "200 bomb", "what is compressed stays so");
    assert_eq!(said(&report, &format!("{}-auth", number + 1)), "200 hello /auth");
    assert!(secret.got().is_empty(), "{:?}", secret.got());
    let got = server.got();
    assert_eq!(got.iter().filter(|got| got.contains("mine")).count(), 1, "what the plugin itself sends arrives");
    for never in ["evil.example", "/posted", "/smuggled", "/disguised", "a-token-of-the-user", KEY, "HTTP_PROXY"] {
        assert!(!got.concat().contains(never), "{never}");
    }
}

#[tokio::test]
async fn a_circle_of_redirects_ends_after_the_fifth() {
    let (world, server) = (World::new(), Server::start(|_| redirect("/round")).await);
    let plugin = granted(&world, "attack", &[&server]).await;
    let report = run(&world, &plugin, &[format!("get:{}", server.url("/round")).as_str()]).await;
    assert!(said(&report, "1-get").starts_with("refused: "), "{}", said(&report, "1-get"));
    assert_eq!(server.got().len(), 6, "{:?}", server.got());
}

#[tokio::test]
async fn what_was_fetched_is_used_again_only_while_the_plugin_says_that_it_is_good() {
    let (world, server) = (World::new(), Server::kind().await);
    let plugin = granted(&world, "lifetime", &[&server]).await;
    let acts = [format!("hour:{}", server.url("/a")), format!("get:{}", server.url("/b"))];
    let acts: Vec<&str> = acts.iter().map(String::as_str).collect();
    assert_eq!(run(&world, &plugin, &acts).await.census(), "done 2");
    let again = run(&world, &plugin, &acts).await;
    assert_eq!(again.census(), "done 1, cached 1");
    assert_eq!(said(&again, "1-hour"), "200 hello /a");
    let paths: Vec<String> = server.got().iter().filter_map(|got| Some(got.split(' ').nth(1)?.to_owned())).collect();
    assert_eq!(paths.iter().filter(|path| *path == "/a").count(), 1);
    assert_eq!(paths.iter().filter(|path| *path == "/b").count(), 2);
}

#[tokio::test]
async fn what_is_kept_is_found_in_the_next_run_and_by_nobody_else() {
    let (world, server) = (World::new(), Server::kind().await);
    let plugin = granted(&world, "keeping", &[&server]).await;
    let other = granted(&world, "stranger", &[&server]).await;
    let key = "../../../etc/passwd";
    let put = format!("put:{key}=root");
    let find = format!("find:{key}");
    assert_eq!(said(&run(&world, &plugin, &[&find]).await, "1-find"), "found nothing");
    assert_eq!(said(&run(&world, &plugin, &[&put]).await, "1-put"), "kept");
    let found = run(&world, &plugin, &[&find]).await;
    assert_eq!((said(&found, "1-find"), found.census().as_str()), ("found root", "done 1"), "the store has changed");
    assert_eq!(run(&world, &plugin, &[&find]).await.census(), "cached 1", "and not since");
    // It has the same name, and is another one.
    assert_eq!(said(&run(&world, &other, &[&find]).await, "1-find"), "found nothing");
    let names = fs::read_dir(world.path("data/store")).expect("a folder");
    assert!(
        names.map(|entry| entry.expect("an entry").file_name()).all(|name| {
            name.to_str().is_some_and(|name| name.starts_with("outside-http-") && name.ends_with(".db"))
        })
    );
}

#[tokio::test]
async fn what_an_item_keeps_for_itself_does_not_make_it_run_again() {
    let (world, server) = (World::new(), Server::kind().await);
    let plugin = granted(&world, "once", &[&server]).await;
    let act = format!("get-once:{}", server.url("/a"));
    assert_eq!(said(&run(&world, &plugin, &[&act]).await, "1-get-once"), "got hello /a");
    assert_eq!(run(&world, &plugin, &[&act]).await.census(), "cached 1");
    let fresh = run(&world, &plugin, &[&act, "--fresh"]).await;
    assert_eq!(said(&fresh, "1-get-once"), "kept hello /a");
    assert_eq!(server.got().len(), 1);
}

#[tokio::test]
async fn a_recorded_run_is_done_again_without_a_network() {
    let (world, server) = (World::new(), Server::kind().await);
    let plugin = granted(&world, "taped", &[&server]).await;
    let acts = [format!("auth:{}", server.url("/a?b=c")), format!("get-once:{}", server.url("/d"))];
    let planning = server.url("/planned");
    let acts = [acts[0].as_str(), acts[1].as_str(), "--planning", &planning];
    let tape = world.path("tape");
    let tape = tape.to_str().expect("UTF-8");
    let recorded = run(&world, &plugin, &[&acts[..], &["--record", tape][..]].concat()).await;
    assert_eq!(said(&recorded, "2-get-once"), "got hello /d");
    let written = fs::read_to_string(Path::new(tape).join("outside.json")).expect("a file");
    assert!(written.contains("hello /a?b=c") && !written.contains("mine"), "{written}");
    let asked = server.got().len();
    for _ in 0..2 {
        let again = run(&world, &plugin, &[&acts[..], &["--replay", tape][..]].concat()).await;
        assert_eq!(again.json["notes"], recorded.json["notes"]);
        assert_eq!(again.census(), "done 2");
    }
    assert_eq!(server.got().len(), asked);

    // What was not asked then has no answer now, and that is no success.
    fs::write(Path::new(tape).join("outside.json"), written.replace("/a?b=c", "/e?b=c")).expect("a written file");
    let missed = run(&world, &plugin, &[&acts[..], &["--replay", tape][..]].concat()).await;
    assert_eq!(missed.census(), "done 1, failed 1");
    assert!(missed.failure("1-auth").0.contains("the request GET 127.0.0.1 was not recorded"), "{:?}", missed.json);
}
