//! `convoke doctor`, and the backends that can't be used.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use convoke_standin::Config;
use serde_json::Value;

use crate::support::{Call, Done, KEY, World, quick, standin};

/// A user whose programs are only those of a test.
struct Machine {
    world: World,
}

impl Machine {
    fn new() -> Self {
        let world = World::with_agents(1);
        fs::create_dir(world.path("bin")).expect("a folder");
        Self { world }
    }

    /// A `claude` that tells this version, and leaves a mark beside itself when it is run.
    fn claude(&self, path: &str, version: &str) -> PathBuf {
        let path = fs::canonicalize(self.world.path("")).expect("the world").join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let script = format!("#!/bin/sh\n: > \"$0.ran\"\necho \"{version} (Claude Code)\"\n");
        fs::write(&path, script).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
        path
    }

    fn log_in(&self) {
        fs::create_dir(self.world.path("home/.claude")).expect("a folder");
        fs::write(
            self.world.path("home/.claude/.credentials.json"),
            "{\"claudeAiOauth\":{\"accessToken\":\"secret\"}}",
        )
        .expect("a file");
    }

    fn call(&self, arguments: &[&str]) -> Call {
        let path = format!("relative:{}", self.world.path("bin").display());
        self.world.convoke(arguments.iter().copied()).env("PATH", path)
    }

    async fn doctor(&self, arguments: &[&str]) -> Done {
        self.call(&[&["doctor"], arguments].concat()).run().await
    }
}

fn backend<'a>(diagnosis: &'a Value, name: &str) -> &'a Value {
    let all = diagnosis["backends"].as_array().expect("backends");
    all.iter().find(|backend| backend["name"] == name).expect("it is among them")
}

#[tokio::test]
async fn with_a_key_it_tries_the_key_and_takes_it() {
    let (machine, standin) = (Machine::new(), quick().await);
    let done = machine.call(&["doctor", "--online"]).asking(&standin).run().await.exits(0);
    for words in ["anthropic   ✓ ok", "127.0.0.1 lists 3 models", "auto takes anthropic", "Questions can be asked."] {
        assert!(done.stdout.contains(words), "{words}:\n{}", done.stdout);
    }
    assert!(!done.stdout.contains(KEY) && done.stderr.is_empty());
    assert_eq!(standin.stats().requests, 0, "looking costs nothing");
    let json = machine.call(&["doctor", "--json", "--online"]).asking(&standin).run().await.exits(0).json();
    assert_eq!((json["works"].as_bool(), json["choice"]["takes"].as_str()), (Some(true), Some("anthropic")));
    assert_eq!(json["tiers"][1]["model"], "claude-opus-5-5");
}

#[tokio::test]
async fn nobody_outside_is_asked_unless_it_is_wanted() {
    let machine = Machine::new();
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", nobody.local_addr().expect("an address"));
    let call = machine.call(&["doctor", "--json"]).env("ANTHROPIC_API_KEY", KEY).env("ANTHROPIC_BASE_URL", url);
    let json = call.run().await.exits(0).json();
    let found = backend(&json, "anthropic");
    assert_eq!((&found["state"], &found["level"]), (&"unsure".into(), &"warn".into()));
    assert!(found["hint"].as_str().is_some_and(|hint| hint.contains("--online")), "{found}");
    let knocked = tokio::time::timeout(std::time::Duration::from_millis(50), nobody.accept()).await;
    assert!(knocked.is_err(), "somebody was asked");
}

#[tokio::test]
async fn a_probe_asks_one_question_and_its_price_is_written_down() {
    let (machine, standin) = (Machine::new(), quick().await);
    let done = machine.call(&["doctor", "--probe"]).asking(&standin).run().await.exits(0);
    assert!(done.stdout.contains("answered by claude-haiku-5-5 (anthropic) in"), "{}", done.stdout);
    let request = standin.requests().pop().expect("a request");
    assert_eq!((standin.stats().requests, request.body["max_tokens"].as_u64()), (1, Some(16)));
    let json = machine.call(&["doctor", "--probe", "--format", "json"]).asking(&standin).run().await.exits(0).json();
    assert_eq!(json["probe"]["answered"], true);
    assert!(machine.world.path("data/journal.db").exists());
}

#[tokio::test]
async fn with_nothing_it_says_what_is_missing_and_that_rules_work() {
    let machine = Machine::new();
    let done = machine.doctor(&[]).await.exits(0);
    for words in [
        "anthropic   – absent",
        "no `claude` is in PATH",
        "known to work: 2.1.197 and 2.1.329",
        "auto takes offline: no key is set",
        "by rules alone",
    ] {
        let text = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&words.split_whitespace().collect::<Vec<_>>().join(" ")), "{words}:\n{}", done.stdout);
    }
    assert!(!machine.world.path("data/journal.db").exists(), "looking leaves nothing");
    let probed = machine.doctor(&["--probe"]).await.exits(0);
    assert!(probed.stdout.contains("nothing was sent: offline"), "{}", probed.stdout);
    let longest = done.stdout.lines().filter(|line| !line.contains('/')).map(|line| line.chars().count()).max();
    assert!(longest.is_some_and(|longest| longest <= 80), "{}", done.stdout);
}

#[tokio::test]
async fn a_login_is_found_and_taken() {
    let machine = Machine::new();
    let program = machine.claude("bin/claude", "2.1.329");
    let out = machine.doctor(&["--format", "json"]).await.exits(0).json();
    let found = backend(&out, "claude-cli");
    assert_eq!((found["state"].as_str(), out["choice"]["takes"].as_str()), (Some("absent"), Some("offline")));
    assert!(found["hint"].as_str().is_some_and(|hint| hint.contains("log in")), "{found}");
    machine.log_in();
    let done = machine.doctor(&["--format", "json"]).await.exits(0);
    let json = done.json();
    assert_eq!(json["choice"]["takes"], "claude-cli", "{json}");
    assert_eq!(json["choice"]["asked"], "auto");
    let found = backend(&json, "claude-cli");
    assert_eq!(found["state"], "ok");
    for words in [program.to_str().expect("UTF-8"), "2.1.329", ".credentials.json"] {
        assert!(found["found"].as_str().is_some_and(|found| found.contains(words)), "{words}: {found}");
    }
    assert!(!done.stdout.contains("secret"), "credentials are not read");
    let key = machine.call(&["doctor", "--format", "json"]).asking(&quick().await).run().await.exits(0).json();
    assert_eq!(key["choice"]["takes"], "anthropic", "a key goes first");
}

#[tokio::test]
async fn what_is_broken_is_told_with_what_to_do_and_exits_with_4() {
    let machine = Machine::new();
    let locked = standin(Config { key: Some("another key".to_owned()), ..Config::default() }).await;
    let rejected = machine.call(&["doctor", "--online"]).asking(&locked).run().await.exits(4);
    assert!(rejected.stdout.contains("✗ broken") && rejected.stdout.contains("the key was rejected"));
    assert!(rejected.stdout.contains("This does not work yet") && !rejected.stdout.contains(KEY));
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    for (url, words) in [
        (format!("http://{nobody}"), "is ANTHROPIC_BASE_URL right"),
        ("nonsense".to_owned(), "is not a URL"),
        ("http://example.com".to_owned(), "must be https"),
    ] {
        let call = machine.call(&["doctor", "--format", "json", "--online"]).env("ANTHROPIC_API_KEY", KEY);
        let json = call.env("ANTHROPIC_BASE_URL", &url).run().await.exits(4).json();
        let found = backend(&json, "anthropic");
        assert_eq!((found["state"].as_str(), json["works"].as_bool()), (Some("broken"), Some(false)), "{url}");
        assert!(format!("{found}").contains(words), "{url}: {found}");
    }
    let asked_for = machine.doctor(&["--backend", "anthropic"]).await.exits(4);
    assert!(asked_for.stdout.contains("it was asked for"), "{}", asked_for.stdout);
}

#[tokio::test]
async fn a_claude_that_can_not_be_used_is_a_clear_error() {
    let machine = Machine::new();
    let audit = async |machine: &Machine, words: &[&str]| {
        let done = machine.call(&["agent-audit", "--backend", "claude-cli"]).run().await.exits(2).reports_nothing();
        for word in words {
            assert!(done.stderr.contains(word), "{word}:\n{}", done.stderr);
        }
    };
    audit(&machine, &["no `claude` is in PATH", "CONVOKE_CLAUDE"]).await;
    machine.claude("bin/claude", "2.0.14");
    audit(&machine, &["has version 2.0.14, and 2.1.0 is needed", "2.1.329"]).await;
    machine.claude("bin/claude", "garbage");
    audit(&machine, &["it said: garbage"]).await;
    let broken = machine.doctor(&["--backend", "claude-cli"]).await.exits(4);
    assert!(broken.stdout.contains("✗ broken"), "{}", broken.stdout);
}

#[tokio::test]
async fn a_claude_that_the_project_brings_is_never_run() {
    let machine = Machine::new();
    let theirs = machine.claude("project/node_modules/.bin/claude", "2.1.329");
    machine.log_in();
    let bins = theirs.parent().expect("a folder");
    for (name, value) in [("PATH", bins), ("CONVOKE_CLAUDE", theirs.as_path())] {
        let call = machine.call(&["agent-audit", "--backend", "claude-cli"]).env(name, value);
        call.run().await.exits(2).reports_nothing().says("project").says("claude");
        machine.call(&["agent-audit"]).env(name, value).run().await.exits(0).says("No key was found");
        machine.call(&["doctor"]).env(name, value).run().await;
    }
    assert!(!bins.join("claude.ran").exists(), "it was run");
}

/// A check of a section.
fn check<'a>(diagnosis: &'a Value, section: &str, name: &str) -> &'a Value {
    let sections = diagnosis["health"].as_array().expect("sections").iter();
    let mut checks = sections.filter(|one| one["name"] == section).flat_map(|one| one["checks"].as_array()).flatten();
    checks.find(|check| check["name"] == name).unwrap_or_else(|| panic!("{section} {name}: {diagnosis:#}"))
}

fn hinted(check: &Value) -> &str {
    check["hint"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn all_that_a_run_needs_is_looked_at_after_a_run_too() {
    let (machine, standin) = (Machine::new(), quick().await);
    let json = machine.doctor(&["--json"]).await.exits(0).json();
    let names: Vec<_> = json["health"].as_array().into_iter().flatten().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["machine", "limits", "disk", "private", "journal", "service"]);
    machine.world.audit([]).asking(&standin).run().await.exits(0);
    let before = fs::read(machine.world.path("data/journal.db")).expect("a journal");
    let json = machine.doctor(&["--json"]).await.exits(0).json();
    for (section, name) in [
        ("journal", "integrity"),
        ("journal", "runs"),
        ("journal", "edits"),
        ("private", "journal"),
        ("limits", "sandboxes"),
    ] {
        assert_eq!(check(&json, section, name)["level"], "ok", "{json:#}");
    }
    assert!(
        check(&json, "service", "errors")["found"]
            .as_str()
            .is_some_and(|found| found.contains("0 of 1 request failed"))
    );
    assert!(check(&json, "service", "response")["found"].as_str().is_some_and(|found| found.contains("1 answer")));
    assert_eq!(fs::read(machine.world.path("data/journal.db")).expect("a journal"), before, "looking changes nothing");
}

#[tokio::test]
async fn a_damaged_journal_is_bad_and_stays_as_it_is() {
    let machine = Machine::new();
    machine.world.audit([]).run().await.exits(0);
    let path = machine.world.path("data/journal.db");
    let mut bytes = fs::read(&path).expect("a journal");
    let half = bytes.len() / 2;
    bytes[half..].fill(0x5a);
    fs::write(&path, &bytes).expect("a written file");
    let done = machine.doctor(&["--json"]).await.exits(4);
    let json = done.json();
    let journal = json["health"][4]["checks"].as_array().expect("checks");
    let bad = journal.iter().find(|check| check["level"] == "bad").expect("something bad");
    assert!(hinted(bad).contains("move ") && hinted(bad).contains("journal.db"), "{bad}");
    assert_eq!((&json["level"], &json["works"]), (&"bad".into(), &false.into()));
    assert_eq!(fs::read(&path).expect("a journal"), bytes);
    fs::write(&path, "no journal at all, but some text").expect("a written file");
    let page = machine.doctor(&[]).await.exits(4).stdout;
    assert!(page.contains("✗ broken") && page.contains("This does not work yet"), "{page}");
}

#[tokio::test]
async fn what_was_left_in_the_middle_and_what_others_can_change_is_told() {
    let machine = Machine::new();
    let slow = standin(Config { latency: convoke_standin::Latency::of(60_000, 0.0), ..Config::default() }).await;
    let running = machine.world.audit([]).asking(&slow).start().await;
    crate::support::until("a request", || slow.stats().requests >= 1).await;
    let json = machine.doctor(&["--json"]).await.exits(0).json();
    assert!(
        check(&json, "journal", "runs")["found"].as_str().is_some_and(|found| found.starts_with("1 under way")),
        "{json:#}"
    );
    running.kill();
    running.end().await;
    let json = machine.doctor(&["--json"]).await.exits(0).json();
    let runs = check(&json, "journal", "runs");
    assert_eq!((&runs["level"], &json["level"]), (&"warn".into(), &"warn".into()));
    assert!(hinted(runs).contains("convoke resume "), "{runs}");
    let data = machine.world.path("data");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).expect("permissions");
    let json = machine.doctor(&["--json"]).await.exits(4).json();
    assert!(hinted(check(&json, "private", "data")).contains("chmod go-w"), "{json:#}");
}

#[tokio::test]
async fn too_few_open_files_are_bad() {
    let machine = Machine::new();
    let path = std::env::var("PATH").unwrap_or_default();
    let limited = |files: &str, script: &str| {
        machine.call(&["doctor", "--json"]).env("PATH", &path).through(&format!("ulimit -n {files} && {script}"))
    };
    let json = limited("100", "exec \"$@\"").run().await.exits(4).json();
    let files = check(&json, "limits", "open files");
    assert_eq!(files["level"], "bad", "{files}");
    assert!(hinted(files).contains("nofile in /etc/security/limits.conf"), "{files}");
    let json = limited("200", "exec \"$@\"").run().await.exits(0).json();
    assert_eq!(check(&json, "limits", "open files")["level"], "warn");
}

#[tokio::test]
async fn a_disk_that_is_full_or_read_only_is_bad() {
    let machine = Machine::new();
    let data = machine.world.path("data");
    let name = data.to_str().expect("UTF-8");
    for (options, words) in [("size=1m", "the disk is full"), ("size=100m,ro", "mounted read-only")] {
        if !crate::journal::mount(&["-t", "tmpfs", "-o", options, "tmpfs", name]) {
            eprintln!("SKIPPED: no file system can be mounted here");
            return;
        }
        let done = machine.doctor(&["--json"]).await;
        crate::journal::unmount(&data);
        let json = done.exits(4).json();
        let disk = check(&json, "disk", "data");
        assert_eq!(disk["level"], "bad", "{options}: {disk}");
        assert!(hinted(disk).contains(words), "{options}: {disk}");
    }
}
