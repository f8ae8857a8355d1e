//! `deps`: what it finds in a project, whom it asks about it, and that what is unknown is never called safe.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use convoke::plugin::build::embed;
use convoke::plugin::capabilities::Site;
use convoke::plugin::inspect::read_manifest;
use convoke_standin::Standin;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Done, Report, World, quick, repository};

const LOCK: &str = r#"version = 4

[[package]]
name = "app"
version = "0.1.0"
dependencies = ["outer"]

[[package]]
name = "hole"
version = "1.0.0"
source = "registry+https://registry.example/index"
checksum = "0000000000000000000000000000000000000000000000000000000000000000"

[[package]]
name = "outer"
version = "2.0.0"
source = "registry+https://registry.example/index"
checksum = "0000000000000000000000000000000000000000000000000000000000000000"
dependencies = ["hole"]
"#;

const MANIFEST: &str = "[package]\nname = \"app\"\nversion = \"0.1.0\"\n\n[dependencies]\nouter = \"2\"\n";

/// A project of cargo in which `outer` brings `hole` in a version that has one.
fn project() -> World {
    let world = World::new();
    world.write("Cargo.toml", MANIFEST);
    world.write("Cargo.lock", LOCK);
    world
}

/// An advisory of OSV about a package of cargo.
fn advisory(id: &str, package: &str, severity: &str, fixed: &str) -> String {
    json!({
        "schema_version": "1.7.0",
        "id": id,
        "modified": "2026-01-01T00:00:00Z",
        "summary": format!("{package} leaks"),
        "severity": [{ "type": "CVSS_V3", "score": severity }],
        "affected": [{
            "package": { "ecosystem": "crates.io", "name": package },
            "ranges": [{ "type": "SEMVER", "events": [{ "introduced": "0" }, { "fixed": fixed }] }],
        }],
    })
    .to_string()
}

const HIGH: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N";

/// A folder of advisories beside the project, with one about `hole`.
fn advisories(world: &World) -> String {
    let folder = world.path("advisories");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("TEST-1.json"), advisory("TEST-1", "hole", HIGH, "1.2.0")).expect("a written file");
    folder.to_str().expect("UTF-8").to_owned()
}

async fn deps(world: &World, arguments: &[&str]) -> Done {
    world.convoke(["deps"].into_iter().chain(arguments.iter().copied()).chain(["--format", "json"])).run().await
}

/// `rule path:line` of all findings.
fn found(report: &Report) -> Vec<String> {
    let findings = report.list("findings").iter();
    findings
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().unwrap_or_default();
            format!("{} {}:{}", text("rule"), text("path"), finding["line"])
        })
        .collect()
}

/// The note of an item.
fn note<'a>(report: &'a Report, item: &str) -> &'a str {
    let mut notes = report.list("notes").iter();
    let found = notes.find_map(|note| note["text"].as_str().filter(|_| note["item"] == item));
    found.unwrap_or_else(|| panic!("{item} has no note: {:#}", report.json["notes"]))
}

#[tokio::test]
async fn without_data_and_network_all_is_unknown_and_the_run_degraded() {
    let world = project();
    let done = deps(&world, &["audit"]).await.exits(3);
    let report = done.report();
    assert_eq!(report.census(), "done 1, failed 1, skipped 1");
    assert_eq!(found(&report), ["not-asked Cargo.lock:9"]);
    let (why, _) = report.failure("cargo:.");
    assert!(why.starts_with("2 packages are unknown: ") && why.contains("convoke grants add deps --http"), "{why}");
    assert!(note(&report, "upgrade plan").contains("2 packages are unknown"));
    assert!(!world.path("config/grants.toml").exists(), "nobody was asked to grant anything");

    let explained = world.convoke(["grants", "explain", "deps"]).run().await.exits(0).stdout;
    assert!(explained.contains("send requests (GET) to api.osv.dev  [not granted, it does without]"), "{explained}");
    world.convoke(["grants", "add", "deps", "--http", "GET,POST:api.osv.dev"]).run().await.exits(0);
    let explained = world.convoke(["grants", "explain", "deps"]).run().await.exits(0).stdout;
    assert!(explained.contains("send requests (POST) to api.osv.dev  [granted: grants.toml]"), "{explained}");

    // What needs nobody works all the same.
    let checked = deps(&world, &["check"]).await.exits(0).report();
    assert_eq!((checked.status(), checked.census().as_str()), ("completed", "done 1"));
}

#[tokio::test]
async fn a_folder_of_advisories_gives_findings_and_a_plan() {
    let world = project();
    let folder = advisories(&world);
    let report = deps(&world, &["audit", "--advisories", &folder]).await.exits(0).report();
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 3"));
    assert_eq!(found(&report), ["vulnerable Cargo.lock:9"]);
    let finding = &report.list("findings")[0];
    assert_eq!(finding["severity"], "high");
    let message = finding["message"].as_str().expect("a message");
    assert!(message.contains("hole 1.0.0: hole leaks (TEST-1, CVSS 7.5); fixed in 1.2.0"), "{message}");
    assert!(message.contains("outer 2.0.0 > hole 1.0.0"), "{message}");
    let plan = note(&report, "upgrade plan");
    assert!(plan.contains("1 of 2 packages has known holes") && plan.contains("1. `outer` 2.0.0"), "{plan}");
    deps(&world, &["audit", "--advisories", &folder, "--fail-on", "high"]).await.exits(1);
    let shown = world.convoke(["deps", "audit", "--advisories", &folder]).run().await.exits(0).stdout;
    assert!(shown.contains("1. `outer` 2.0.0 in `cargo:.`"), "people are shown the plan: {shown}");
    let again = deps(&world, &["audit", "--advisories", &folder]).await.exits(0).report();
    assert_eq!(again.census(), "done 1, cached 2", "what an analyst saw of others is looked at again");

    // A new advisory makes it another result, one that can't be read makes it incomplete.
    let second = advisory("TEST-2", "outer", HIGH, "2.0.1");
    fs::write(world.path("advisories/TEST-2.json"), second).expect("a written file");
    let report = deps(&world, &["audit", "--advisories", &folder]).await.exits(0).report();
    assert_eq!(found(&report), ["vulnerable Cargo.lock:9", "vulnerable Cargo.lock:15"]);
    fs::write(world.path("advisories/TEST-3.json"), "{").expect("a written file");
    let report = deps(&world, &["audit", "--advisories", &folder]).await.exits(3).report();
    assert_eq!(report.count("failed"), 1);
    assert!(report.failure("advisories").0.contains("any package may be meant"), "{:?}", report.json["failures"]);
}

#[tokio::test]
async fn advisories_of_another_ecosystem_say_nothing() {
    let world = project();
    let folder = advisories(&world);
    world.write("api/requirements.txt", "hole==1.0.0\n");
    world.write("web/composer.lock", "{}");
    let report = deps(&world, &["audit", "--advisories", &folder]).await.exits(3).report();
    let (why, _) = report.failure("python:api");
    assert!(why.contains("holds no advisories for packages of python"), "{why}");
    assert!(found(&report).contains(&"not-understood web/composer.lock:null".to_owned()), "{:?}", found(&report));
    // Nothing in it is an answer.
    fs::create_dir(world.path("empty")).expect("a folder");
    let empty = world.path("empty");
    let done = deps(&world, &["audit", "--advisories", empty.to_str().expect("UTF-8")]).await;
    done.exits(2).says("there are no advisories in");
}

/// A project of cargo and npm, each with a hole, and the advisories.
fn two_managers() -> (World, String) {
    let world = project();
    let folder = advisories(&world);
    world.write("api/requirements.txt", "leaky==1.0.0\n");
    let python = json!({
        "id": "TEST-9", "modified": "2026-01-01T00:00:00Z", "summary": "leaky leaks",
        "affected": [{ "package": { "ecosystem": "PyPI", "name": "leaky" }, "versions": ["1.0.0"] }],
    });
    fs::write(world.path("advisories/TEST-9.json"), python.to_string()).expect("a written file");
    (world, folder)
}

async fn asked(world: &World, standin: &Standin, folder: &str) -> Report {
    let arguments = ["deps", "audit", "--advisories", folder, "--format", "json"];
    world.convoke(arguments).asking(standin).run().await.report()
}

#[tokio::test]
async fn an_analyst_is_asked_once_for_each_manager_with_its_findings_only() {
    let (world, folder) = two_managers();
    world.write("src/main.rs", "use hole::open;\nfn main() {}\n");
    let standin = quick().await;
    let judged = json!({ "findings": [
        { "id": "f1", "verdict": "matters", "why": "main opens it.", "breaks": "open takes two arguments." },
        { "id": "f7", "verdict": "matters", "why": "Nobody asked.", "breaks": null },
    ] });
    standin.answer("The package manager is cargo", judged.to_string());
    let clear =
        json!({ "findings": [{ "id": "f1", "verdict": "does-not-matter", "why": "Tests only.", "breaks": null }] });
    standin.answer("The package manager is python", clear.to_string());
    standin.answer("Write the plan", "1. First `hole`\u{1b}[2J.\n2. Then the rest.");
    let report = asked(&world, &standin, &folder).await;
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 5"));
    let questions: Vec<String> =
        standin.requests().iter().map(|request| request.body["messages"].to_string()).collect();
    assert_eq!(questions.len(), 3, "one a manager, and one for the plan");
    let cargo = questions.iter().find(|text| text.contains("manager is cargo")).expect("a question");
    assert!(cargo.contains("TEST-1") && cargo.contains("src/main.rs:1: use hole::open;"), "{cargo}");
    assert!(!cargo.contains("leaky"), "{cargo}");
    let by_model: Vec<String> = report
        .list("findings")
        .iter()
        .filter(|finding| finding["source"] == "model")
        .map(|finding| format!("{} {}", finding["rule"], finding["message"]))
        .collect();
    assert_eq!(by_model.len(), 2, "{by_model:?}");
    let words = "hole 1.0.0 matters here: main opens it. The upgrade: open takes two arguments.";
    assert!(by_model.iter().any(|said| said.contains(words)), "{by_model:?}");
    let plan = note(&report, "upgrade plan");
    assert!(plan.contains("2. Then the rest.") && plan.contains("### As computed"), "{plan}");
    // What an analyst saw of others is looked at again, and nothing is paid for twice.
    assert_eq!(asked(&world, &standin, &folder).await.census(), "done 2, cached 3");
    assert_eq!(standin.requests().len(), 3);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_none_and_leaves_the_findings() {
    let (world, folder) = two_managers();
    let standin = quick().await;
    standin.answer("The package manager is", "I would rather not.");
    standin.answer("Write the plan", "1. Do it.");
    let report = asked(&world, &standin, &folder).await;
    assert_eq!((report.status(), report.count("fallback")), ("degraded", 2));
    assert_eq!(found(&report).iter().filter(|found| found.starts_with("vulnerable")).count(), 2);
}

/// A server in place of OSV's API, and the paths and bodies that it got.
struct Osv {
    address: SocketAddr,
    got: Arc<Mutex<Vec<String>>>,
}

impl Osv {
    /// One that answers by the path; none: it says nothing.
    async fn start(answers: impl Fn(&str) -> Option<(u16, String)> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let got: Arc<Mutex<Vec<String>>> = Arc::default();
        let (requests, answers) = (got.clone(), Arc::new(answers));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (requests, answers) = (requests.clone(), answers.clone());
                tokio::spawn(async move {
                    let mut text = String::new();
                    let mut buffer = vec![0; 64 << 10];
                    while !is_whole(&text) {
                        let count = stream.read(&mut buffer).await.unwrap_or(0);
                        if count == 0 {
                            return;
                        }
                        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
                    }
                    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                    requests.lock().expect("nobody panicked").push(text);
                    let Some((status, body)) = answers(&path) else { return std::future::pending().await };
                    let answer = format!(
                        "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                        body.len()
                    );
                    // Who has heard enough goes away.
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { address, got }
    }

    /// One that knows of a hole in the first package that it is asked about, of two.
    async fn with_a_hole() -> Self {
        Self::start(|path| {
            let body = match path {
                "/v1/querybatch" => {
                    json!({ "results": [{ "vulns": [{ "id": "TEST-1", "modified": "2026" }] }, {}] }).to_string()
                }
                "/v1/vulns/TEST-1" => advisory("TEST-1", "hole", HIGH, "1.2.0"),
                _ => return Some((404, String::new())),
            };
            Some((200, body))
        })
        .await
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn got(&self) -> Vec<String> {
        self.got.lock().expect("nobody panicked").clone()
    }
}

/// Whether a request has arrived with all its body.
fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// The component, asking for this server, and granted it.
async fn granted(world: &World, osv: &Osv) -> String {
    let bytes = fs::read(repository().join("host/prebuilt/deps.wasm")).expect("it is built");
    let mut manifest = read_manifest(&bytes).expect("a manifest");
    let methods = vec!["GET".to_owned(), "POST".to_owned()];
    manifest.capabilities.http = vec![Site { host: osv.address.to_string(), methods, optional: true }];
    let path = world.path("home/deps.wasm");
    fs::write(&path, embed(&bytes, &manifest).expect("a component")).expect("a written file");
    let path = path.to_str().expect("UTF-8").to_owned();
    world.convoke(["grants", "add", &path, "--all"]).run().await.exits(0);
    path
}

async fn audited(world: &World, plugin: &str, osv: &Osv) -> Report {
    let url = osv.url();
    world.convoke([plugin, "audit", "--osv-url", &url, "--format", "json"]).run().await.report()
}

#[tokio::test]
async fn the_api_of_osv_is_asked_once_a_day() {
    let (world, osv) = (project(), Osv::with_a_hole().await);
    let plugin = granted(&world, &osv).await;
    let report = audited(&world, &plugin, &osv).await;
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 3"));
    assert_eq!(found(&report), ["vulnerable Cargo.lock:9"]);
    let got = osv.got();
    let batch = got.iter().find(|request| request.starts_with("POST /v1/querybatch ")).expect("a batch");
    let (_, body) = batch.split_once("\r\n\r\n").expect("a body");
    let expected = json!({ "queries": [
        { "package": { "name": "hole", "ecosystem": "crates.io" }, "version": "1.0.0" },
        { "package": { "name": "outer", "ecosystem": "crates.io" }, "version": "2.0.0" },
    ] });
    assert_eq!(serde_json::from_str::<serde_json::Value>(body).expect("JSON"), expected);
    assert_eq!(audited(&world, &plugin, &osv).await.census(), "done 1, cached 2");
    assert_eq!(osv.got().len(), 2);
    // Another lockfile is asked about again; the advisory itself is known.
    world.write("Cargo.lock", format!("{LOCK}\n"));
    assert_eq!(found(&audited(&world, &plugin, &osv).await), ["vulnerable Cargo.lock:9"]);
    assert_eq!(osv.got().len(), 3);
}

#[tokio::test]
async fn an_api_that_fails_makes_packages_unknown() {
    let answers: [(&str, Option<(u16, String)>); 4] = [
        ("answered 500", Some((500, "oh".to_owned()))),
        ("not what its API promises", Some((200, "<html>".to_owned()))),
        ("asked 2 questions and answered 1", Some((200, r#"{"results": [{}]}"#.to_owned()))),
        ("", None),
    ];
    for (words, answer) in answers {
        let world = project().config("version = 1\n[http]\ntimeout_s = 1\n");
        let osv = Osv::start(move |_| answer.clone()).await;
        let plugin = granted(&world, &osv).await;
        let report = audited(&world, &plugin, &osv).await;
        assert_eq!((report.status(), report.done.code), ("degraded", Some(3)), "{words}");
        let (why, _) = report.failure("cargo:.");
        assert!(why.starts_with("2 packages are unknown: ") && why.contains(words), "{words}: {why}");
    }
}

#[tokio::test]
async fn an_advisory_that_can_not_be_fetched_is_a_hole_of_which_no_more_is_known() {
    let world = project();
    let osv = Osv::start(|path| match path {
        "/v1/querybatch" => Some((200, r#"{"results": [{"vulns": [{"id": "TEST-1"}]}, {}]}"#.to_owned())),
        _ => Some((500, String::new())),
    })
    .await;
    let plugin = granted(&world, &osv).await;
    let report = audited(&world, &plugin, &osv).await;
    assert_eq!(report.done.code, Some(3));
    assert_eq!(found(&report), ["not-asked Cargo.lock:9", "vulnerable Cargo.lock:9"]);
}

#[tokio::test]
async fn what_is_too_large_broken_or_no_text_is_unknown() {
    let world = project();
    let folder = advisories(&world);
    fs::File::create(world.project().join("Cargo.lock")).expect("a file").set_len(100 << 20).expect("room");
    world.write("broken/Cargo.toml", MANIFEST);
    world.write("broken/Cargo.lock", "[[package]]\nname = \n");
    world.write("bytes/Cargo.toml", b"[package]\nname = \"\xff\"\n");
    let report = deps(&world, &["audit", "--advisories", &folder]).await.exits(3).report();
    assert_eq!(report.count("failed"), 3, "{:#}", report.json["failures"]);
    let places = found(&report);
    for expected in ["file-broken Cargo.lock:null", "file-broken bytes/Cargo.toml:null"] {
        assert!(places.contains(&expected.to_owned()), "{expected}: {places:?}");
    }
    let broken = places.iter().find(|place| place.starts_with("file-broken broken/Cargo.lock:")).expect("a finding");
    assert_ne!(broken, "file-broken broken/Cargo.lock:null", "it has its line");
    let big = report.list("findings").iter().find(|found| found["path"] == "Cargo.lock").expect("a finding");
    assert!(big["message"].as_str().expect("a message").contains("104857600 bytes"), "{big}");
}

/// The folder of real input, where this machine has it.
fn corpus(name: &str) -> Option<String> {
    let folder = std::env::var_os("CONVOKE_CORPUS").filter(|folder| !folder.is_empty());
    let Some(folder) = folder else {
        // Past the harness, which keeps to itself what a passing test prints.
        let said = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"SKIPPED: set CONVOKE_CORPUS to the folder of real input to look for all manifests in it\n",
        );
        said.expect("it is said");
        return None;
    };
    Some(std::path::Path::new(&folder).join(name).to_str().expect("UTF-8").to_owned())
}

#[tokio::test]
async fn every_manifest_and_lockfile_of_a_real_project_is_found() {
    let Some(demo) = corpus("polyglot-otel-demo") else { return };
    let world = World::new();
    let report = deps(&world, &["check", &demo]).await.report();
    let notes: Vec<&str> = report.list("notes").iter().filter_map(|note| note["text"].as_str()).collect();
    let counts = "manifests and lockfiles: cargo 2 files in 1 project, npm 8 files in 4 projects, python 14 files in 7 projects, \
                  go 8 files in 4 projects, nuget 3 files in 3 projects, bundler 4 files in 2 projects";
    assert!(notes.iter().any(|note| note.contains(counts)), "{notes:#?}");
    let foreign: Vec<String> = found(&report).into_iter().filter(|found| found.starts_with("not-understood")).collect();
    assert_eq!(foreign.len(), 2, "composer.json and mix.lock: {foreign:?}");
}
