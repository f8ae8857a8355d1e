//! Actions: programs that a command proposes, run once each after the user agreed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Call, Done, KEY, Running, World, editing, until};

/// A user with programs of their own, and a command that proposes to run them.
struct User {
    world: World,
}

impl User {
    /// `allow`: what `--yes` may run.
    fn new(allow: &str) -> Self {
        let user = Self { world: World::new().config(&format!("[actions]\nallow = [{allow}]\n")) };
        fs::create_dir(user.world.path("bin")).expect("a folder");
        // Writes down that it ran, with its arguments as they are.
        user.program("record", "printf '%s\\0' \"$@\" >> \"$HOME/arguments\"; echo ran >> \"$HOME/ran\"");
        user
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.world.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a written file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it can be run");
    }

    /// What the command proposes: key and body of each.
    fn proposes(&self, actions: &[(&str, Value)]) {
        self.proposes_with(&[], actions);
    }

    fn proposes_with(&self, edits: &[Value], actions: &[(&str, Value)]) {
        let actions: Vec<Value> = actions
            .iter()
            .map(|(key, body)| json!({"kind": "program", "title": format!("Do {key}"), "key": key, "body": body}))
            .collect();
        let items = json!({"items": [{"id": "one", "edits": edits, "actions": actions}]});
        self.world.write("items.json", items.to_string());
    }

    fn call(&self, arguments: &[&'static str]) -> Call {
        let path = std::env::var("PATH").unwrap_or_default();
        let call = self.world.convoke(arguments.iter().copied());
        call.env("PATH", format!("{}:{path}", self.world.path("bin").display()))
    }

    fn apply(&self) -> Call {
        self.call(&[editing(), "--format", "json", "--apply", "--yes"])
    }

    /// Carries out what is proposed: the states of the actions, and all of the report.
    async fn applied(&self) -> (Vec<String>, Value) {
        let report = self.apply().run().await.report();
        (states(&report.json), report.json)
    }

    async fn listed(&self) -> Vec<(String, String)> {
        let json = self.call(&["actions", "--format", "json"]).run().await.exits(0).json();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let rows = json["actions"].as_array().expect("a list").iter();
        rows.map(|row| (text(&row["key"]), text(&row["state"]))).collect()
    }

    fn home(&self, name: &str) -> String {
        fs::read_to_string(self.world.path("home").join(name)).unwrap_or_default()
    }

    /// How often `record` ran.
    fn runs(&self) -> usize {
        self.home("ran").lines().count()
    }

    /// Starts the command, and returns when a program has begun.
    async fn under_way(&self) -> Running {
        let running = self.apply().start().await;
        until("the program begins", || !self.home("begun").is_empty()).await;
        running
    }
}

fn states(report: &Value) -> Vec<String> {
    let actions = report["actions"].as_array().expect("a list");
    actions.iter().map(|action| action["state"].as_str().expect("a state").to_owned()).collect()
}

fn problem(report: &Value, number: usize) -> &str {
    report["actions"][number]["problem"].as_str().unwrap_or_default()
}

fn record(arguments: &[&str]) -> Value {
    json!({"program": "record", "arguments": arguments})
}

fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test]
async fn what_is_proposed_runs_once_and_only_when_it_is_asked_for() {
    let user = User::new("\"record\"");
    user.proposes(&[("first", record(&["a"])), ("second", record(&["b"]))]);
    let report = user.call(&[editing(), "--format", "json"]).run().await.report();
    assert_eq!((states(&report.json), user.runs()), (vec!["proposed".to_owned(); 2], 0), "without --apply");
    let (states, report) = user.applied().await;
    assert_eq!(
        (states.as_slice(), user.home("arguments").as_str()),
        (["done", "done"].map(String::from).as_slice(), "a\0b\0")
    );
    assert_eq!(report["actions"][0]["exit_code"], 0);
    let (states, report) = user.applied().await;
    assert_eq!((states, user.runs()), (vec!["done-before".to_owned(); 2], 2));
    assert!(problem(&report, 0).starts_with("done already by run "), "{report:#}");
    assert_eq!(user.listed().await, [("second", "done"), ("first", "done")].map(|(a, b)| (a.into(), b.into())));
}

#[tokio::test]
async fn every_argument_and_the_input_arrive_as_they_are() {
    let user = User::new("\"record\", \"read\"");
    user.program("read", "cat > \"$HOME/input\"; pwd > \"$HOME/folder\"");
    fs::create_dir(user.world.project().join("docs")).expect("a folder");
    let arguments =
        ["a b", "it's", "\"x\"", "$(touch pwned)", "`id`", "; rm -rf x", "two\nlines", "", "*", "-n", "ü\u{1b}[2J"];
    let input = "one\n$HOME 'two'\n";
    let read = json!({"program": "read", "input": input, "folder": "docs"});
    user.proposes(&[("record", record(&arguments)), ("read", read)]);
    let (states, report) = user.applied().await;
    assert_eq!(states, ["done", "done"], "{report:#}");
    let arrived: Vec<String> = user.home("arguments").split_terminator('\0').map(str::to_owned).collect();
    assert_eq!(arrived, arguments);
    assert_eq!(user.home("input"), input);
    assert!(user.home("folder").trim().ends_with("project/docs"), "{}", user.home("folder"));
    assert!(!user.world.project().join("pwned").exists());
}

#[tokio::test]
async fn a_program_sees_no_key_and_reads_nothing_where_there_is_no_input() {
    let user = User::new("\"look\"");
    user.program("look", "env > \"$HOME/environment\"; cat > \"$HOME/input\"");
    user.proposes(&[("look", json!({"program": "look"}))]);
    let call = user.apply().env("ANTHROPIC_API_KEY", KEY).env("GH_TOKEN", KEY).env("AWS_SECRET_ACCESS_KEY", KEY);
    let report = call.env("LD_AUDIT", "").run().await.report();
    assert_eq!(states(&report.json), ["done"], "{:#}", report.json);
    let environment = user.home("environment");
    assert!(!environment.contains(KEY), "{environment}");
    let names: Vec<&str> = environment.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let known =
        ["PATH", "HOME", "LANG", "TERM", "GIT_TERMINAL_PROMPT", "GH_PROMPT_DISABLED", "PWD", "SHLVL", "_", "OLDPWD"];
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    assert!(environment.contains("TERM=dumb\n"));
    assert_eq!(user.home("input"), "");
}

#[tokio::test]
async fn what_is_not_allowed_or_not_understood_is_refused_and_holds_the_rest_back() {
    let user = User::new("\"record yes\"");
    let wrong = json!({"program": "record", "shell": true});
    user.proposes(&[("a", record(&["yes", "1"])), ("b", record(&["no"])), ("c", record(&["yes", "2"])), ("d", wrong)]);
    let report = user.apply().run().await.report();
    assert_eq!(states(&report.json), ["done", "refused", "proposed", "refused"], "{:#}", report.json);
    assert!(problem(&report.json, 1).contains("does not allow it without asking: record no"), "{:#}", report.json);
    assert!(problem(&report.json, 3).contains("unknown field `shell`"), "{:#}", report.json);
    assert_eq!((report.status(), report.done.code, user.runs()), ("degraded", Some(3), 1));
    assert!(report.warnings().contains("3 of 4 actions not carried out; the first, b:"), "{}", report.warnings());
}

#[tokio::test]
async fn a_program_of_the_project_is_not_run() {
    let user = User::new("\"mine\"");
    user.world.write("mine", "#!/bin/sh\ntouch \"$HOME/ran\"\n");
    fs::set_permissions(user.world.project().join("mine"), fs::Permissions::from_mode(0o755)).expect("it can be run");
    user.proposes(&[("a", json!({"program": "mine"}))]);
    let path = format!(".:{}:/usr/bin:/bin", user.world.project().display());
    let report = user.apply().env("PATH", path).run().await.report();
    assert_eq!(states(&report.json), ["refused"]);
    assert!(problem(&report.json, 0).contains("which the project brings and is not run"), "{:#}", report.json);
    assert!(!user.world.path("home/ran").exists());
}

#[tokio::test]
async fn the_first_that_fails_stops_the_rest_and_runs_again_with_the_next_apply() {
    let user = User::new("\"record\", \"once\"");
    user.program(
        "once",
        "echo so >&2; test -e \"$HOME/second\" && exit 0; touch \"$HOME/second\"; echo '\u{1b}[2Jbad'; exit 7",
    );
    user.proposes(&[("once", json!({"program": "once"})), ("then", record(&[]))]);
    let report = user.apply().run().await.report();
    let first = &report.json["actions"][0];
    assert_eq!(states(&report.json), ["failed", "proposed"]);
    assert_eq!((&first["exit_code"], &first["errors"]), (&json!(7), &json!("so")));
    assert_eq!((report.done.code, user.runs()), (Some(3), 0));
    assert_eq!(user.listed().await[1], ("once".to_owned(), "failed".to_owned()));
    let (states, report) = user.applied().await;
    assert_eq!((states.as_slice(), user.runs()), (["done", "done"].map(String::from).as_slice(), 1), "{report:#}");
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let user = User::new("\"record\"");
    user.proposes(&[("k", record(&["one"]))]);
    assert_eq!(user.applied().await.0, ["done"]);
    user.proposes(&[("k", record(&["two"]))]);
    let (states, report) = user.applied().await;
    assert_eq!(states, ["refused"]);
    assert!(problem(&report, 0).contains("record one") && problem(&report, 0).contains("record two"), "{report:#}");
    assert_eq!(user.home("arguments"), "one\0");
}

#[tokio::test]
async fn a_flood_is_bounded_and_its_end_is_kept() {
    let user = User::new("\"flood\"");
    user.program("flood", "yes 0123456789 | head -c 5000000; echo the end; yes x | head -c 3000000 >&2");
    user.proposes(&[("flood", json!({"program": "flood"}))]);
    let (states, report) = user.applied().await;
    assert_eq!(states, ["done"], "{report:#}");
    let output = report["actions"][0]["output"].as_str().expect("a text");
    assert!(output.len() <= 4096 && output.ends_with("the end"), "{}", output.len());
    let kept = user.call(&["actions", "show", "flood", "--format", "json"]).run().await.exits(0).json();
    let lengths = ["output", "errors"].map(|name| kept[name].as_str().expect("a text").len());
    assert!(lengths.iter().all(|length| (60_000..=65_536).contains(length)), "{lengths:?}");
}

#[tokio::test]
async fn what_takes_too_long_is_ended_with_all_that_it_started_and_is_unknown() {
    let user = User::new("\"slow\"");
    user.program("slow", "sleep 1000 & echo $! > \"$HOME/child\"; setsid sleep 1000 & echo $! > \"$HOME/stray\"; wait");
    user.proposes(&[("slow", json!({"program": "slow", "timeout_s": 1}))]);
    let (states, report) = user.applied().await;
    assert_eq!(states, ["unknown"]);
    assert!(problem(&report, 0).contains("ended after 1 s"), "{report:#}");
    for name in ["child", "stray"] {
        assert!(!user.home(name).is_empty() && !lives(&user.home(name)), "{name} is left");
    }
    assert_eq!(user.applied().await.0, ["unknown"], "it is not repeated");
}

#[tokio::test]
async fn after_a_kill_of_the_host_it_is_unknown_until_it_is_settled() {
    let user = User::new("\"slow\", \"record\"");
    user.program(
        "slow",
        "echo ran >> \"$HOME/ran\"; echo $$ > \"$HOME/begun\"; test -e \"$HOME/quick\" || exec sleep 1000",
    );
    user.proposes(&[("slow", json!({"program": "slow"})), ("then", record(&[]))]);
    let running = user.under_way().await;
    assert_eq!(user.listed().await[1], ("slow".to_owned(), "running".to_owned()));
    let busy = user.call(&["actions", "settle", "slow", "done"]).run().await.exits(2);
    busy.says("slow is under way");
    running.kill();
    assert_eq!(running.end().await.code, None);
    until("its program is ended with it", || !lives(&user.home("begun"))).await;
    assert_eq!(user.listed().await[1], ("slow".to_owned(), "unknown".to_owned()));
    fs::write(user.world.path("home/quick"), "").expect("a written file");
    for _ in 0..2 {
        let (states, report) = user.applied().await;
        assert_eq!(
            (states.as_slice(), user.runs()),
            (["unknown", "proposed"].map(String::from).as_slice(), 1),
            "{report:#}"
        );
        assert!(problem(&report, 0).contains("convoke actions settle slow"), "{report:#}");
    }
    let shown = user.call(&["actions", "show", "slow"]).run().await.exits(0).stdout;
    assert!(shown.contains("State    unknown") && shown.contains("not known"), "{shown}");
    user.call(&["actions", "settle", "slow", "failed"]).run().await.exits(0);
    assert_eq!((user.applied().await.0, user.runs()), (vec!["done".to_owned(); 2], 3));
}

#[tokio::test]
async fn what_the_user_settles_as_done_is_not_run() {
    let user = User::new("\"record\", \"bad\"");
    user.program("bad", "echo ran >> \"$HOME/ran\"; exit 1");
    user.proposes(&[("bad", json!({"program": "bad"})), ("then", record(&[]))]);
    assert_eq!(user.applied().await.0, ["failed", "proposed"]);
    user.call(&["actions", "settle", "bad", "done"]).run().await.exits(0);
    let (states, report) = user.applied().await;
    assert_eq!((states.as_slice(), user.runs()), (["done-before", "done"].map(String::from).as_slice(), 2));
    assert!(problem(&report, 0).starts_with("done as you said on "), "{report:#}");
}

#[tokio::test]
async fn of_two_hosts_one_runs_it_and_the_other_says_so() {
    let user = User::new("\"slow\"");
    user.program(
        "slow",
        "echo ran >> \"$HOME/ran\"; echo $$ > \"$HOME/begun\"; while test ! -e \"$HOME/go\"; do sleep 0.05; done",
    );
    user.proposes(&[("slow", json!({"program": "slow"}))]);
    let first = user.under_way().await;
    let second = user.apply().start().await;
    second.has_said("which uses the actions of this project").await;
    fs::write(user.world.path("home/go"), "").expect("a written file");
    let [first, second] = [first.end().await.report(), second.end().await.report()];
    assert_eq!((states(&first.json), states(&second.json)), (vec!["done".to_owned()], vec!["done-before".to_owned()]));
    assert_eq!(user.runs(), 1);
}

#[tokio::test]
async fn a_key_that_failed_can_be_forgotten_and_what_is_not_there_is_said() {
    let user = User::new("\"bad\"");
    user.program("bad", "exit 1");
    let none = user.call(&["actions"]).run().await.exits(0);
    assert!(none.stdout.contains("No action of this project"), "{}", none.stdout);
    user.proposes(&[("a-long-key", json!({"program": "bad"}))]);
    assert_eq!(user.applied().await.0, ["failed"]);
    let wrong = |done: Done| done.exits(2).says("has no action");
    wrong(user.call(&["actions", "show", "a-l"]).run().await);
    wrong(user.call(&["actions", "settle", "nothing", "done"]).run().await);
    user.call(&["actions", "forget", "a-lo"]).run().await.exits(0);
    assert_eq!(user.listed().await, []);
}

#[tokio::test]
async fn a_commit_follows_the_edits_and_a_rollback_names_it() {
    let user = User::new("\"git add\", \"git commit\"");
    let git = async |arguments: &'static str| {
        let mut command = tokio::process::Command::new("git");
        command.args(arguments.split(' ')).current_dir(user.world.project()).env("HOME", user.world.path("home"));
        command.env("GIT_CONFIG_SYSTEM", "/dev/null");
        let output = command.output().await.expect("git runs");
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    fs::write(user.world.path("home/.gitconfig"), "[user]\nname = A\nemail = a@example.org\n").expect("written");
    user.world.write("a.txt", "old\n");
    git("init --quiet").await;
    let edit = json!({"change": "replace", "path": "a.txt", "from": "old", "to": "new"});
    let add = json!({"program": "git", "arguments": ["add", "a.txt"]});
    let commit = json!({"program": "git", "arguments": ["commit", "-F", "-"], "input": "It's $(new)\n"});
    user.proposes_with(&[edit], &[("add-1", add), ("commit-1", commit)]);
    let (states, report) = user.applied().await;
    assert_eq!(states, ["done", "done"], "{report:#}");
    assert_eq!((git("log --format=%B").await.trim(), git("show HEAD:a.txt").await.as_str()), ("It's $(new)", "new\n"));
    let rolled = user.call(&["rollback", "last", "--yes"]).run().await.exits(0);
    assert!(rolled.stdout.contains("Its actions are not taken back: add-1, commit-1."), "{}", rolled.stdout);
    assert_eq!(git("show HEAD:a.txt").await, "new\n");
}

#[tokio::test]
async fn actions_come_after_the_edits_and_not_without_them() {
    let user = User::new("\"record\"");
    user.world.write("a.txt", "new");
    let clash = json!({"change": "splice", "path": "a.txt", "parts": [[0, 3, "old"]], "base": "00".repeat(32)});
    user.proposes_with(&[clash], &[("k", record(&[]))]);
    let report = user.apply().run().await.report();
    assert_eq!((states(&report.json), user.runs()), (vec!["proposed".to_owned()], 0), "{:#}", report.json);
    assert!(problem(&report.json, 0).contains("edits before it were not applied"), "{:#}", report.json);
    assert_eq!(report.done.code, Some(3));
}
