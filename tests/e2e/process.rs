//! The capability `process`: what a granted program gets, and what a hostile plugin tries with it in vain.

mod git;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{Call, KEY, Report, Running, World, holds, outside_process, until};

/// A user with programs of their own, who granted the plugin all that it asks for.
struct User {
    world: World,
}

impl User {
    fn new() -> Self {
        Self::with("")
    }

    /// With these lines in the user's own configuration.
    fn with(config: &str) -> Self {
        let user = Self { world: World::new().config(config) };
        fs::create_dir(user.world.path("bin")).expect("a folder");
        let component = fs::read(outside_process()).expect("a component");
        let digest: String = Sha256::digest(&component).iter().map(|byte| format!("{byte:02x}")).collect();
        let mut grants = format!(
            "version = 1\n[[grant]]\nsha256 = \"{digest}\"\nname = \"outside-process\"\nversion = \"0.1.0\"\n\
             granted = \"2027-01-31T12:00:00Z\"\ntrust = true\n"
        );
        for (program, subcommands) in [
            ("git", r#"["diff", "log", "show", "status", "stash list", "standup"]"#),
            ("peek", "[]"),
            ("narrow", r#"["at", "look after"]"#),
        ] {
            grants +=
                &format!("[[grant.capabilities.process]]\nprogram = \"{program}\"\nsubcommands = {subcommands}\n");
        }
        fs::write(user.world.path("config/grants.toml"), grants).expect("a written file");
        user
    }

    fn program(&self, name: &str, script: &str) {
        executable(&self.world.path("bin").join(name), script);
    }

    fn call(&self, arguments: &[&'static str]) -> Call {
        let call =
            self.world.convoke([outside_process(), "--format", "json"].into_iter().chain(arguments.iter().copied()));
        let path = std::env::var("PATH").unwrap_or_default();
        call.env("PATH", format!("{}:{path}", self.world.path("bin").display()))
    }

    /// One item that makes these calls.
    fn calls(&self, calls: &[Value]) {
        self.world.write("calls.json", json!({"items": [{"id": "one", "calls": calls}]}).to_string());
    }

    /// What comes of these calls of one item.
    async fn came_of(&self, calls: &[Value]) -> Vec<Value> {
        self.calls(calls);
        let report = self.call(&[]).run().await.report();
        assert_eq!(report.census(), "done 1", "{:#}", report.json);
        results(&report, "one")
    }

    /// What comes of a call of `peek`.
    async fn peeks(&self) -> Value {
        self.came_of(&[peek(&[])]).await.remove(0)
    }

    fn home(&self, name: &str) -> String {
        fs::read_to_string(self.world.path("home").join(name)).unwrap_or_default()
    }

    /// Starts the plugin, and returns when its program has begun.
    async fn under_way(&self) -> Running {
        let running = self.call(&[]).start().await;
        until("the program begins", || !self.home("begun").is_empty()).await;
        running
    }
}

fn executable(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("a written file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it can be run");
}

fn run(program: &str, arguments: &[&str]) -> Value {
    json!({"program": program, "arguments": arguments})
}

fn peek(arguments: &[&str]) -> Value {
    run("peek", arguments)
}

/// What came of the calls of an item, in their order.
fn results(report: &Report, item: &str) -> Vec<Value> {
    let read = |told: &str| serde_json::from_str::<Value>(told).expect("JSON");
    let mut all: Vec<Value> = report.messages(item).into_iter().map(read).collect();
    all.sort_by_key(|result| result["call"].as_str().map(str::len));
    all
}

#[track_caller]
fn refused<'a>(result: &'a Value, reason: &str) -> &'a str {
    let message = result["message"].as_str().unwrap_or_else(|| panic!("it ran: {result:#}"));
    assert!(message.contains(reason), "{message:?} does not say {reason:?}");
    message
}

#[track_caller]
fn stdout(result: &Value) -> &str {
    result["stdout"].as_str().unwrap_or_else(|| panic!("it did not run: {result:#}"))
}

fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test]
async fn a_granted_program_runs_and_its_arguments_are_plain_text() {
    let user = User::new();
    user.program("peek", "printf '<%s>' \"$@\"; cat; pwd; echo oh >&2; exit 3");
    fs::create_dir(user.world.project().join("docs")).expect("a folder");
    let words = ["$(touch pwned)", "`touch pwned`", "; touch pwned", "| touch pwned", "*", "a b", "", "-rf", "ü\n"];
    let call = json!({"program": "peek", "arguments": words, "folder": "docs", "input": "in\n"});
    let result = user.came_of(&[call]).await.remove(0);
    let expected: String = words.iter().map(|word| format!("<{word}>")).collect();
    let folder = fs::canonicalize(user.world.project().join("docs")).expect("a folder");
    assert_eq!(stdout(&result), format!("{expected}in\n{}\n", folder.display()));
    assert_eq!((&result["status"], &result["stderr"]), (&json!(3), &json!("oh\n")));
    assert!(!user.world.project().join("docs/pwned").exists() && !user.world.project().join("pwned").exists());
    let told = user.call(&["-v"]).run().await;
    assert!(told.stderr.contains("ran peek") && told.stderr.contains("exit code 3"), "{}", told.stderr);
}

#[tokio::test]
async fn what_was_not_granted_does_not_run() {
    let user = User::new();
    for name in ["sort", "narrow", "sh", "git"] {
        user.program(name, "echo ran >> \"$HOME/ran\"");
    }
    for (call, reason) in [
        (run("sort", &["at"]), "sort"),
        (run("sh", &["-c", "id"]), "runs other programs"),
        (run("env", &["peek"]), "runs other programs"),
        (run("narrow", &[]), "narrow"),
        (run("narrow", &["away"]), "narrow"),
        (run("narrow", &["look"]), "narrow"),
        (run("narrow", &["look after"]), "narrow"),
        (run("narrow", &["AT"]), "narrow"),
        (run("narrow", &["-x", "at"]), "looks like an option"),
        (run("narrow", &["look", "-x", "after"]), "looks like an option"),
        (run("git", &["push"]), "git"),
        (run("git", &["-c", "alias.diff=!id", "diff"]), "looks like an option"),
        (run("git", &["-C", "/", "diff"]), "looks like an option"),
        (run("git", &["--exec-path=.", "diff"]), "looks like an option"),
        (run("git", &["diff", "--output=x"]), "--output is not taken"),
        (run("git", &["diff", "--no-index", "/etc/passwd", "x"]), "--no-index is not taken"),
        (run("git", &["diff", "/etc/passwd", "/dev/null"]), "leads out"),
        (run("./narrow", &["at"]), "not the name of a program"),
        (run("/bin/narrow", &["at"]), "not the name of a program"),
        (run("narrow at", &[]), "not the name of a program"),
        (run("narrow\u{0}", &["at"]), "not the name of a program"),
        (run("", &["at"]), "not the name of a program"),
        (run("narrow", &["at", "a\u{0}b"]), "code 0"),
    ] {
        refused(&user.came_of(std::slice::from_ref(&call)).await[0], reason);
        assert_eq!(user.home("ran"), "", "{call}");
    }
    user.came_of(&[run("narrow", &["at"]), run("narrow", &["look", "after", "-x"])]).await;
    assert_eq!(user.home("ran"), "ran\nran\n");
}

#[tokio::test]
async fn what_was_not_granted_by_the_user_does_not_run_though_the_plugin_asks_for_it() {
    let user = User::new();
    user.program("peek", "echo ran >> \"$HOME/ran\"");
    fs::remove_file(user.world.path("config/grants.toml")).expect("it was there");
    user.calls(&[peek(&[])]);
    let _ = user.call(&[]).run().await;
    assert_eq!(user.home("ran"), "");
}

#[tokio::test]
async fn too_many_or_too_long_arguments_are_refused() {
    let user = User::new();
    user.program("peek", "echo $#; printf %s \"$*\" | wc -c");
    let many: Vec<String> = (0..1_024).map(|number| number.to_string()).collect();
    let results = user
        .came_of(&[
            json!({"program": "peek", "arguments": many}),
            json!({"program": "peek", "arguments": vec!["x"; 1_025]}),
            json!({"program": "peek", "arguments": ["x".repeat(120 << 10)]}),
            json!({"program": "peek", "arguments": ["x".repeat(5 << 20)]}),
        ])
        .await;
    assert!(stdout(&results[0]).starts_with("1024\n"), "{:#}", results[0]);
    refused(&results[1], "1025 arguments");
    assert!(stdout(&results[2]).ends_with("122880\n"), "{:#}", results[2]);
    refused(&results[3], "bytes: at most");
}

#[tokio::test]
async fn a_program_that_the_project_brings_is_not_run() {
    let user = User::new();
    let project = user.world.project();
    let planted = "echo planted >> \"$HOME/planted\"";
    for folder in ["", "bin", "sub"] {
        fs::create_dir_all(project.join(folder)).expect("a folder");
        executable(&project.join(folder).join("peek"), planted);
    }
    symlink(project.join("bin/peek"), user.world.path("bin/peek")).expect("a link");
    symlink(project.join("bin"), user.world.path("linked")).expect("a link");
    fs::create_dir(user.world.path("shared")).expect("a folder");
    executable(&user.world.path("shared/peek"), planted);
    fs::set_permissions(user.world.path("shared"), fs::Permissions::from_mode(0o777)).expect("a mode");
    let call = json!({"program": "peek", "folder": "sub"});
    user.calls(&[peek(&[]), call]);
    let (own, shared, linked) = (user.world.path("bin"), user.world.path("shared"), user.world.path("linked"));
    let path = format!(
        ".::bin:./bin:{}:{}:{}:{}:{}:/usr/bin:/bin",
        project.display(),
        project.join("bin").display(),
        linked.display(),
        own.display(),
        shared.display()
    );
    let report = user.call(&[]).env("PATH", &path).run().await.report();
    for result in results(&report, "one") {
        refused(&result, "which the project brings and is not run");
    }
    // One's own is found behind them, and finds no others itself.
    fs::create_dir(user.world.path("good")).expect("a folder");
    executable(&user.world.path("good/peek"), "echo own; echo \"$PATH\"");
    let path = format!("{path}:{}", user.world.path("good").display());
    let report = user.call(&[]).env("PATH", path).run().await.report();
    for result in results(&report, "one") {
        let said = stdout(&result);
        let (own, path) = said.split_once('\n').expect("two lines");
        assert_eq!(own, "own");
        let entries: Vec<&Path> = path.trim().split(':').map(Path::new).collect();
        assert!(entries.iter().all(|entry| entry.is_absolute() && !entry.starts_with(&project)), "{path}");
        assert!(!entries.contains(&shared.as_path()) && !entries.contains(&linked.as_path()), "{path}");
    }
    assert_eq!(user.home("planted"), "");
}

#[tokio::test]
async fn no_credential_is_in_the_environment() {
    let user = User::new();
    user.program("peek", "env; cat /proc/self/environ | tr '\\0' '\\n'");
    user.calls(&[peek(&[])]);
    let secrets = [
        "ANTHROPIC_API_KEY",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "GH_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "HTTPS_PROXY",
        "SSH_AUTH_SOCK",
        "GIT_DIR",
        "GIT_SSH_COMMAND",
        "XDG_CONFIG_HOME",
        "CONVOKE_ANYTHING",
    ];
    let call = secrets.iter().fold(user.call(&["--backend", "offline"]), |call, name| call.env(name, KEY));
    let report = call.env("LD_LIBRARY_PATH", "/tmp").run().await.report();
    let said = stdout(&results(&report, "one")[0]).to_owned();
    for name in secrets.iter().chain(&["LD_LIBRARY_PATH"]) {
        assert!(!said.lines().any(|line| line.starts_with(&format!("{name}="))), "{name}");
    }
    assert!(said.contains("TERM=dumb") && said.contains("NO_COLOR=1"), "{said}");
    assert!(!said.contains(KEY) && !holds(&user.world.kept(), KEY));
}

#[tokio::test]
async fn no_folder_leads_out_of_the_project() {
    let user = User::new();
    user.program("peek", "pwd");
    let project = user.world.project();
    fs::create_dir_all(project.join("in/side")).expect("a folder");
    fs::create_dir_all(project.join(".git/hooks")).expect("a folder");
    symlink("..", project.join("out")).expect("a link");
    symlink("/etc", project.join("in/etc")).expect("a link");
    symlink(".git", project.join("git")).expect("a link");
    symlink("in/side", project.join("short")).expect("a link");
    let within = |folder: &str| json!({"program": "peek", "folder": folder});
    for folder in ["..", "in/../..", "/etc", "out", "in/etc", ".git", ".GIT/hooks", "git/hooks", "a\u{0}b"] {
        let result = user.came_of(&[within(folder)]).await.remove(0);
        assert!(result["message"].is_string(), "{folder}: {result:#}");
    }
    let real = fs::canonicalize(&project).expect("it is there");
    let result = user.came_of(&[within("short")]).await.remove(0);
    assert_eq!(stdout(&result).trim(), real.join("in/side").display().to_string());
}

#[tokio::test]
async fn endless_output_is_cut_and_its_program_ended() {
    let user = User::with("[process]\nmax_output_bytes = 100_000\n");
    user.program("peek", "echo $$ > \"$HOME/pid\"; exec yes");
    let result = user.peeks().await;
    refused(&result, "it printed more than 100000 bytes on its standard output");
    assert!(result["hint"].as_str().is_some_and(|hint| hint.contains("max_output_bytes")), "{result:#}");
    assert!(!lives(&user.home("pid")));
    user.program("peek", "echo $$ > \"$HOME/pid\"; exec yes >&2");
    refused(&user.peeks().await, "on stderr");
    assert!(!lives(&user.home("pid")));
    user.program("peek", "head -c 100000 /dev/zero | tr '\\0' x");
    assert_eq!(user.peeks().await["bytes"], 100_000);
}

/// Leaves processes behind in every way that a script has, all of which would live long, and none of which listens.
const SPAWNS: &str = "trap '' TERM HUP INT
    sh -c 'trap \"\" TERM HUP; echo $$ >> \"$HOME/pids\"; while :; do sleep 1000; done' &
    setsid sh -c 'trap \"\" TERM HUP; echo $$ >> \"$HOME/pids\"; sleep 1000; sleep 1000' > /dev/null 2>&1 < /dev/null &
    (setsid sh -c '(echo $(exec sh -c \"echo \\$PPID\") >> \"$HOME/pids\"; exec sleep 1000) & exit' &)
    while test \"$(wc -l < \"$HOME/pids\")\" -lt 3; do sleep 0.01; done";

fn nobody_is_left(user: &User) {
    let pids = user.home("pids");
    assert_eq!(pids.lines().count(), 3, "{pids}");
    let left: Vec<&str> = pids.lines().filter(|pid| lives(pid)).collect();
    assert!(left.is_empty(), "{left:?} of {pids:?} live");
}

#[tokio::test]
async fn what_a_program_leaves_behind_is_ended_with_it() {
    let user = User::new();
    user.program("peek", &format!("touch \"$HOME/pids\"; {SPAWNS}; echo done"));
    assert_eq!(stdout(&user.peeks().await), "done\n");
    nobody_is_left(&user);
}

#[tokio::test]
async fn what_takes_too_long_is_ended_with_all_that_it_started() {
    let user = User::with("[process]\ntimeout_s = 2\n");
    user.program("peek", &format!("touch \"$HOME/pids\"; {SPAWNS}; while :; do sleep 1; done"));
    let result = user.peeks().await;
    refused(&result, "it was ended after 2 s");
    assert!(result["hint"].as_str().is_some_and(|hint| hint.contains("timeout_s")), "{result:#}");
    nobody_is_left(&user);
}

#[tokio::test]
async fn what_starts_the_next_and_ends_is_met_too() {
    let user = User::with("[process]\ntimeout_s = 1\n");
    user.program("peek", "echo x >> \"$HOME/hops\"; \"$0\" & test -n \"$1\" || exit; while :; do sleep 1; done");
    refused(&user.came_of(&[peek(&["first"])]).await[0], "it was ended after 1 s");
    assert!(user.home("hops").lines().count() > 10, "it does hop");
    let mark = user.world.path("bin/peek").display().to_string();
    let is_one = |entry: std::io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| fs::read_to_string(entry.path().join("cmdline")).is_ok_and(|line| line.contains(&mark)))
    };
    let left = || fs::read_dir("/proc").expect("a folder").any(is_one);
    // Several looks, because one may fall between two of them.
    assert!((0..5).all(|_| !left()), "some are left");
}

#[tokio::test]
async fn a_host_that_is_killed_leaves_nothing_of_a_program() {
    let user = User::new();
    user.program(
        "peek",
        &format!("touch \"$HOME/pids\"; {SPAWNS}; echo $$ > \"$HOME/begun\"; while :; do sleep 1; done"),
    );
    user.calls(&[peek(&[])]);
    let running = user.under_way().await;
    running.kill();
    assert_eq!(running.end().await.code, None);
    let alive = || user.home("pids").lines().chain([user.home("begun").trim()]).any(lives);
    until("all are gone", || !alive()).await;
}

#[tokio::test]
async fn who_breaks_off_ends_the_program() {
    let user = User::new();
    user.program("peek", "trap '' INT TERM; echo $$ > \"$HOME/begun\"; while :; do sleep 1; done");
    user.calls(&[peek(&[])]);
    let running = user.under_way().await;
    running.interrupt();
    running.has_said("Stopping").await;
    running.interrupt();
    let report = running.end().await.report();
    assert_eq!((report.status(), report.census().as_str()), ("interrupted", "pending 1"));
    until("it is gone", || !lives(&user.home("begun"))).await;
}

#[tokio::test]
async fn an_end_by_a_signal_or_no_beginning_is_an_error() {
    let user = User::new();
    user.program("peek", "kill -9 $$");
    refused(&user.peeks().await, "it was ended by signal 9");
    user.program("peek", "exit 137");
    assert_eq!(user.peeks().await["status"], 137);
    fs::write(user.world.path("bin/peek"), "#!/nowhere/sh\n").expect("a written file");
    refused(&user.peeks().await, "can't start");
    fs::remove_file(user.world.path("bin/peek")).expect("it was there");
    refused(&user.peeks().await, "no program peek is in PATH");
}

/// Says so when another one runs at the same time.
const ALONE: &str = "if mkdir \"$HOME/alone\"; then sleep 0.6; rmdir \"$HOME/alone\"; echo well; else echo two; fi";

#[tokio::test]
async fn programs_wait_for_each_other_and_that_is_not_the_workers_own_time() {
    let user = User::with("[limits]\nworker_timeout_s = 1\n[limits.operations]\nprocess = 1\n");
    user.program("peek", ALONE);
    let items: Vec<Value> =
        (0..3).map(|item| json!({"id": item.to_string(), "calls": [peek(&[]), peek(&[])]})).collect();
    user.world.write("calls.json", json!({"items": items}).to_string());
    let report = user.call(&["--instances", "3"]).run().await.report();
    assert_eq!(report.census(), "done 3", "{:#}", report.json["failures"]);
    for item in ["0", "1", "2"] {
        for result in results(&report, item) {
            assert_eq!(stdout(&result), "well\n");
        }
    }
}

#[tokio::test]
async fn a_program_takes_from_the_quota_that_names_it() {
    let user = User::with("[quotas.looks]\nprogram = \"peek\"\nrequests = 2\nper_s = 86_400\n");
    user.program("peek", "echo ran");
    let results = user.came_of(&[peek(&[]), peek(&[]), peek(&[])]).await;
    let ran = results.iter().filter(|result| result["stdout"] == "ran\n").count();
    assert_eq!(ran, 2, "{results:#?}");
    // It is counted for all processes of the user.
    refused(&user.peeks().await, "the quota `looks` is used up");
}

#[tokio::test]
async fn a_program_has_no_terminal() {
    let user = User::new();
    user.program("peek", "if echo pwned > /dev/tty; then echo reached; else echo away; fi");
    user.calls(&[peek(&[])]);
    let number = user.world.path("number");
    let output = user.world.path("report.json");
    let arguments = [outside_process(), "--format", "json", "--output", output.to_str().expect("UTF-8")];
    let path = format!("{}:{}", user.world.path("bin").display(), std::env::var("PATH").unwrap_or_default());
    let done = user.world.convoke(arguments).env("PATH", path).on_a_terminal(&number).run().await;
    assert!(!done.stdout.contains("pwned"), "{}", done.stdout);
    let report = fs::read_to_string(output).expect("a report");
    assert!(report.contains("away") && !report.contains("reached"), "{report}");
}

#[tokio::test]
async fn what_a_program_found_holds_as_long_as_the_plugin_says() {
    let user = User::new();
    user.program("peek", "echo ran >> \"$HOME/ran\"");
    let items = json!({"items": [
        {"id": "for-now", "calls": [peek(&[])]},
        {"id": "for-a-while", "calls": [{"program": "peek", "lifetime_s": 86_400}]},
        {"id": "not-all-of-it", "calls": [{"program": "peek", "lifetime_s": 86_400}, peek(&["again"])]},
    ]});
    user.world.write("calls.json", items.to_string());
    let first = user.call(&[]).run().await.report();
    assert_eq!((first.census().as_str(), user.home("ran").lines().count()), ("done 3", 4));
    let second = user.call(&[]).run().await.report();
    assert_eq!((second.census().as_str(), user.home("ran").lines().count()), ("done 2, cached 1", 7));
}

#[tokio::test]
async fn a_plan_may_look_too() {
    let user = User::new();
    user.program("peek", "echo \"$1\"");
    user.world.write("calls.json", json!({"plan": [peek(&["planned"])], "items": [{"id": "one"}]}).to_string());
    let report = user.call(&[]).run().await.report();
    assert_eq!(stdout(&results(&report, "one")[0]), "planned\n");
}

#[tokio::test]
async fn a_replay_shows_what_a_program_printed_and_runs_none() {
    let user = User::new();
    user.program("peek", "echo ran >> \"$HOME/ran\"; echo seen");
    user.calls(&[peek(&["x"])]);
    let recorded = user.call(&["--record", "../recording"]).run().await.report();
    assert_eq!(stdout(&results(&recorded, "one")[0]), "seen\n");
    let replayed = user.call(&["--replay", "../recording"]).run().await.report();
    assert_eq!(replayed.messages("one"), recorded.messages("one"));
    assert_eq!(user.home("ran"), "ran\n");
}
