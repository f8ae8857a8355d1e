//! The backend `claude-cli` over programs that behave in every way but well: shell scripts that speak its protocol,
//! under the warden of the real binary.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use convoke_runtime::admission::AdmissionConfig;
use convoke_runtime::backend::claude_cli::{ClaudeCli, ClaudeConfig};
use convoke_runtime::broker::{Asker, Broker, BrokerConfig, InMemory};
use convoke_runtime::event::Events;
use convoke_runtime::question::{Failure, FailureKind, Question, Reply, StreamEvent};
use convoke_runtime::retry::RetryConfig;
use convoke_runtime::route::{Route, TierRoute};
use convoke_runtime::warden::tree;
use tempfile::TempDir;

use crate::support::{Running, World, hostile, until};

/// One that answers and forgets, but for these cases of a shell's `case "$line" in`.
fn but(cases: &str) -> String {
    format!(
        r#"
start
while read -r line; do
    case "$line" in
        *'"/clear"'*) forget ;;
        {cases}
        *) answer "from $$" ;;
    esac
done
"#
    )
}

/// One that behaves well.
fn well() -> String {
    but("")
}

/// A program in place of `claude`, and a broker that asks it.
struct Fake {
    folder: TempDir,
    broker: Broker,
}

impl Fake {
    fn new(body: &str) -> Self {
        Self::with(body, |_| {}, |_| {})
    }

    fn with(body: &str, change: impl FnOnce(&mut ClaudeConfig), route: impl FnOnce(&mut TierRoute)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let script = program(folder.path(), body);
        let records = folder.path().join("instances");
        let mut config = ClaudeConfig::new(script, PathBuf::from(env!("CARGO_BIN_EXE_convoke")), records);
        config.env = std::env::vars_os().collect();
        change(&mut config);
        let mut speed = TierRoute::default();
        route(&mut speed);
        let broker = broker(
            config,
            BrokerConfig {
                route: Route { speed, comprehensive: granting(), ..Route::default() },
                retry: RetryConfig { attempts: 1, ..RetryConfig::default() },
                admission: AdmissionConfig { instances: 2, ..AdmissionConfig::default() },
                ..BrokerConfig::default()
            },
        );
        Self { folder, broker }
    }

    async fn ask(&self, prompt: &str) -> Result<Reply, Failure> {
        self.read(prompt, &mut |_| {}).await
    }

    async fn read(&self, prompt: &str, listener: &mut (dyn FnMut(StreamEvent) + Send)) -> Result<Reply, Failure> {
        let question = Question { role: "tester".to_owned(), prompt: prompt.to_owned(), ..Question::default() };
        self.broker.ask(&asker(), question, listener).await
    }

    async fn fails(&self, kind: FailureKind, words: &str) {
        let failure = self.ask("?").await.expect_err("it can't answer");
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.contains(words), "{failure}");
    }

    /// The processes that the program has written down.
    fn pids(&self) -> Vec<u32> {
        pids_in(self.folder.path())
    }

    /// Ends the broker; nothing may be left then.
    async fn leaves_nothing(self) {
        self.broker.close().await;
        assert!(!self.pids().is_empty(), "it was never started");
        for pid in self.pids() {
            assert_eq!(tree::started(pid), None, "{pid} is still there");
        }
        let records = fs::read_dir(self.folder.path().join("instances")).map_or(0, Iterator::count);
        assert_eq!(records, 0, "a record is left");
    }
}

/// Grants what these tests ask for: questions with tools go to the tier `comprehensive`.
fn granting() -> TierRoute {
    let tools = ["Read", "Write", "Bash"].map(str::to_owned).to_vec();
    TierRoute { tools, ..TierRoute::default() }
}

/// A broker that asks `claude-cli` and nobody else.
pub(crate) fn broker(config: ClaudeConfig, broker: BrokerConfig) -> Broker {
    let backend = ClaudeCli::new(config);
    Broker::new(vec![Arc::new(backend)], Arc::new(InMemory::default()), Events::new(), broker)
}

pub(crate) fn asker() -> Asker {
    Asker { command: "test".into(), item: 0, item_id: "item".into(), again: false }
}

/// Writes a program that behaves so.
fn program(folder: &Path, body: &str) -> PathBuf {
    let script = folder.join("claude");
    fs::write(&script, script_text(folder, body)).expect("written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("executable");
    script
}

/// The processes that a program has written down.
fn pids_in(folder: &Path) -> Vec<u32> {
    let text = fs::read_to_string(folder.join("pids")).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

fn script_text(folder: &Path, body: &str) -> String {
    let pids = folder.join("pids");
    format!(
        r#"#!/bin/sh
[ "$1" = --version ] && echo '2.1.329 (Claude Code)' && exit
echo $$ >> '{pids}'
say() {{ printf '%s\n' "$1"; }}
result() {{ say '{{"type":"result","subtype":"success","is_error":false,"result":"'"$1"'","num_turns":'"$2"',"usage":{{"input_tokens":10,"output_tokens":2}}}}'; }}
event() {{ say '{{"type":"stream_event","parent_tool_use_id":null,"event":'"$1"'}}'; }}
start() {{ read -r line; say '{{"type":"control_response","response":{{"subtype":"success","request_id":"initialize","response":{{}}}}}}'; }}
forget() {{ say '{{"type":"conversation_reset","trigger":"clear"}}'; result "" 0; }}
begin() {{
    say '{{"type":"system","subtype":"init","tools":['"$1"'],"mcp_servers":[],"permissionMode":"dontAsk"}}'
    event '{{"type":"message_start","message":{{"model":"claude-haiku-5-5","usage":{{"input_tokens":10,"output_tokens":1}}}}}}'
}}
answer() {{
    begin ""
    event '{{"type":"content_block_start","index":0,"content_block":{{"type":"text","text":""}}}}'
    event '{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"'"$1"'"}}}}'
    event '{{"type":"message_delta","delta":{{"stop_reason":"end_turn"}},"usage":{{"output_tokens":2}}}}'
    result "$1" 1
}}
{body}
"#,
        pids = pids.display()
    )
}

#[tokio::test]
async fn a_process_answers_one_question_after_the_other_and_ends_with_the_broker() {
    let fake = Fake::new(&well());
    let first = fake.ask("one").await.expect("an answer");
    let second = fake.ask("two").await.expect("an answer");
    assert_eq!(first.text, second.text, "the same process");
    assert_eq!((fake.pids().len(), first.usage.requests, first.usage.input_tokens), (1, 1, 10));
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn a_reader_hears_the_answer_while_it_comes() {
    let fake = Fake::new(&well());
    let mut heard = Vec::new();
    let reply = fake.read("one", &mut |event| heard.push(event)).await.expect("an answer");
    assert_eq!(heard, [StreamEvent::Started, StreamEvent::Text(reply.text)]);
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn one_that_does_not_show_that_it_forgot_is_not_used_again() {
    let silent = r#"forget() { result "" 0; }"#;
    let fake = Fake::new(&format!("{silent}\n{}", well()));
    let first = fake.ask("one").await.expect("an answer");
    let second = fake.ask("two").await.expect("an answer");
    assert_ne!(first.text, second.text, "what one question said could reach the next");
    assert_eq!(fake.pids().len(), 2);
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn one_that_was_asked_enough_is_replaced() {
    let fake = Fake::with(&well(), |config| config.questions = 2, |_| {});
    let mut texts = Vec::new();
    for prompt in ["one", "two", "three"] {
        texts.push(fake.ask(prompt).await.expect("an answer").text);
    }
    assert!(texts[0] == texts[1] && texts[1] != texts[2], "{texts:?}");
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn a_failed_request_is_told_by_its_first_retry_and_the_process_goes_on() {
    let limited = but(r#"
        *interrupt*) say '{"type":"result","subtype":"error_during_execution","is_error":true,"num_turns":1,"usage":{}}' ;;
        *limited*) say '{"type":"system","subtype":"api_retry","attempt":1,"retry_delay_ms":7511,"error_status":429,"error":"rate_limit"}' ;;
"#);
    let fake = Fake::new(&limited);
    let failure = fake.ask("limited").await.expect_err("it is limited");
    assert_eq!(failure.kind, FailureKind::RateLimited);
    assert_eq!(failure.retry_after, Some(Duration::from_millis(7_511)));
    assert_eq!(fake.broker.standing()[0].1.idle, 1, "it is fine");
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn one_that_dies_at_start_says_why() {
    let fake = Fake::new("echo 'no such model: sonnet-12' >&2; exit 3");
    fake.fails(FailureKind::Died, "claude ended with code 3: no such model: sonnet-12").await;
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn one_that_is_not_there_says_where_it_was_looked_for() {
    let fake = Fake::with(&well(), |config| config.program = "/nowhere/claude".into(), |_| {});
    fake.fails(FailureKind::Died, "can't start /nowhere/claude").await;
}

#[tokio::test]
async fn one_that_is_not_logged_in_stops_the_run_with_a_hint() {
    let fake = Fake::new("echo 'Not logged in · Please run /login' >&2; exit 1");
    fake.fails(FailureKind::Auth, "Log in with `claude`").await;
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn garbage_is_a_failure_of_the_question_and_ends_the_process() {
    let fake = Fake::new("start; read -r line; say 'Segmentation \x1b[31mfault'; sleep 1000");
    fake.fails(FailureKind::Malformed, "not its protocol: Segmentation").await;
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn a_line_of_five_megabytes_that_is_none_is_a_failure_of_the_question() {
    let fake = Fake::new("start; read -r line; head -c 5000000 /dev/zero | tr '\\0' x; echo; sleep 1000");
    fake.fails(FailureKind::Malformed, "not its protocol: xxx").await;
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn one_that_never_becomes_ready_is_given_up() {
    let fake = Fake::with("read -r line; sleep 1000", |config| config.start = Duration::from_millis(200), |_| {});
    fake.fails(FailureKind::TimedOut, "not ready within").await;
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn one_that_hangs_in_the_middle_is_given_up_and_ended() {
    let hangs = "start; read -r line; begin \"\"; sleep 1000";
    let fake = Fake::with(hangs, |_| {}, |tier| tier.stall = Duration::from_millis(300));
    fake.fails(FailureKind::Stalled, "stopped for").await;
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn one_that_dies_in_the_middle_costs_only_that_question() {
    let dies = but(r#"*fatal*) begin ""; echo 'out of memory' >&2; exit 137 ;;"#);
    let fake = Fake::new(&dies);
    let failure = fake.ask("fatal").await.expect_err("it died");
    assert_eq!(failure.kind, FailureKind::Died, "{failure}");
    assert!(failure.message.contains("code 137: out of memory"), "{failure}");
    fake.ask("next").await.expect("another process answers");
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn one_that_dies_before_it_says_anything_is_heard_at_once() {
    let fake = Fake::new("start; read -r line; exit 3");
    fake.fails(FailureKind::Died, "claude ended with code 3").await;
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn one_that_closes_its_output_and_lives_on_is_given_up_at_once() {
    let fake = Fake::new("start; read -r line; exec >&-; sleep 1000");
    let began = std::time::Instant::now();
    fake.fails(FailureKind::Died, "claude closed its output").await;
    assert!(began.elapsed() < Duration::from_secs(20), "not by a deadline: {:?}", began.elapsed());
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn one_that_was_stopped_is_found_by_the_heartbeat_and_ended() {
    for before in ["", "begin \"\";"] {
        let stops = format!("start; read -r line; {before} kill -STOP $$; sleep 1000");
        let fake = Fake::with(&stops, |config| config.heartbeat = Duration::from_millis(100), |_| {});
        fake.fails(FailureKind::Died, "claude was stopped by a signal").await;
        fake.leaves_nothing().await;
    }
}

#[tokio::test]
async fn a_flood_of_stderr_holds_nothing_up() {
    let floods = but("*flood*) head -c 20000000 /dev/zero | tr '\\0' x >&2; answer through ;;");
    let fake = Fake::new(&floods);
    assert_eq!(fake.ask("flood").await.expect("an answer").text, "through");
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn an_idle_one_that_dies_is_replaced_before_somebody_asks() {
    let fake = Fake::new(&well());
    let first = fake.ask("one").await.expect("an answer").text;
    tree::send(fake.pids()[0], rustix::process::Signal::KILL);
    until("another one", || fake.pids().len() == 2 && fake.broker.standing()[0].1.idle == 1).await;
    let second = fake.ask("two").await.expect("an answer");
    assert_eq!((second.text == first, second.usage.requests, fake.pids().len()), (false, 1, 2));
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn one_that_dies_while_it_forgets_costs_no_question() {
    let forgets = well().replace("forget ;;", "exit 1 ;;");
    let fake = Fake::new(&forgets);
    for prompt in ["one", "two"] {
        assert_eq!(fake.ask(prompt).await.expect("an answer").usage.requests, 1);
    }
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn a_tool_that_nobody_granted_stops_the_question() {
    let armed = but(r#"
        *interrupt*) say '{"type":"result","subtype":"error_during_execution","is_error":true,"usage":{}}' ;;
        *) begin '"Bash"' ;;
"#);
    let fake = Fake::new(&armed);
    fake.fails(FailureKind::Denied, "the tool Bash, which nobody granted").await;
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn what_left_its_session_is_ended_too() {
    // It ignores what it can, and its parent is gone at once.
    let strays = r#"
sh -c 'trap "" TERM HUP; echo $$ >> "$0"; exec sleep 1000' "$PIDS" &
setsid sh -c '(trap "" TERM HUP INT; sh -c "echo \$\$ >> $0; exec sleep 1000" "$0") & exit 0' "$PIDS"
"#;
    let folder = tempfile::tempdir().expect("a folder");
    let written = folder.path().join("strays");
    let body = format!("PIDS='{}'\n{strays}\n{}", written.display(), well());
    let fake = Fake::new(&body);
    fake.ask("one").await.expect("an answer");
    let strays = || -> Vec<u32> {
        let text = fs::read_to_string(&written).unwrap_or_default();
        text.lines().filter_map(|line| line.trim().parse().ok()).collect()
    };
    until("both strays", || strays().len() == 2).await;
    assert!(strays().iter().all(|pid| tree::started(*pid).is_some()));
    fake.leaves_nothing().await;
    for pid in strays() {
        assert_eq!(tree::started(pid), None, "{pid} is still there");
    }
}

#[tokio::test]
async fn one_that_takes_too_much_memory_is_ended() {
    let eats = "start; read -r line; begin \"\"; x=xxxxxxxx; while :; do x=$x$x; done";
    let fake = Fake::with(eats, |config| config.memory_mib = 64, |_| {});
    let failure = fake.ask("?").await.expect_err("it is ended");
    assert_eq!(failure.kind, FailureKind::Died, "{failure}");
    assert!(failure.message.contains("more than 64 MiB"), "{failure}");
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn an_asker_that_gives_up_leaves_no_process() {
    let fake = Fake::new("start; read -r line; begin \"\"; sleep 1000");
    let given_up = tokio::time::timeout(Duration::from_millis(500), fake.ask("?")).await;
    assert!(given_up.is_err(), "it hangs");
    fake.leaves_nothing().await;
}

/// Asks with tools, which a project is given for.
async fn with_tools(body: &str, tools: &[&str]) -> (Fake, TempDir, Result<Reply, Failure>) {
    let project = tempfile::tempdir().expect("a folder");
    fs::write(project.path().join("a.txt"), "one").expect("written");
    let fake = Fake::with(body, |config| config.project = Some(project.path().to_owned()), |_| {});
    let tools = tools.iter().map(|tool| (*tool).to_owned()).collect();
    let question = Question { prompt: "Change it.".to_owned(), tools, repeatable: true, ..Question::default() };
    let reply = fake.broker.ask(&asker(), question, &mut |_| {}).await;
    (fake, project, reply)
}

#[tokio::test]
async fn what_a_tool_writes_is_written_in_a_copy_and_becomes_edits() {
    let writes = "start; read -r line; printf two > a.txt; printf new > b.txt; answer changed; read -r line";
    let (fake, project, reply) = with_tools(writes, &["Read", "Write"]).await;
    let edits = reply.expect("an answer").edits;
    let paths: Vec<&str> = edits.iter().map(|edit| edit.path.as_str()).collect();
    assert_eq!(paths, ["a.txt", "b.txt"], "{edits:?}");
    assert_eq!(fs::read_to_string(project.path().join("a.txt")).expect("a file"), "one");
    assert!(!project.path().join("b.txt").exists());
    fake.leaves_nothing().await;
}

#[tokio::test]
async fn a_shell_is_not_offered() {
    let (_, _, reply) = with_tools(&well(), &["Bash"]).await;
    let failure = reply.expect_err("it is denied");
    assert_eq!(failure.kind, FailureKind::Denied);
    assert!(failure.message.contains("Bash runs programs"), "{failure}");
}

#[tokio::test]
async fn what_is_not_simply_allowed_is_denied() {
    // It answers with what the host decided.
    let asks = r#"
start
read -r line
begin '"Read"'
say '{"type":"control_request","request_id":"p1","request":{"subtype":"can_use_tool","tool_name":"Read","input":{"file_path":"/etc/passwd"}}}'
read -r decision
case "$decision" in *'"behavior":"deny"'*) answer denied ;; *) answer allowed ;; esac
read -r line
"#;
    let asks =
        asks.replace("answer ", "result ").replace("denied ;;", "denied 1 ;;").replace("allowed ;;", "allowed 1 ;;");
    let (fake, _project, reply) = with_tools(&asks, &["Read"]).await;
    assert_eq!(reply.expect("an answer").text, "denied");
    fake.leaves_nothing().await;
}

/// Audits with a program that never answers, until so many of its processes run.
async fn hanging(processes: usize) -> (World, TempDir, Running) {
    let folder = tempfile::tempdir().expect("a folder");
    let script = program(folder.path(), "start; read -r line; begin \"\"; sleep 1000");
    let world = World::with_agents(12);
    let running = world.audit(["--instances", "3", "--backend", "claude-cli"]).env("CONVOKE_CLAUDE", script).start();
    let running = running.await;
    until("its processes", || pids_in(folder.path()).len() >= processes).await;
    (world, folder, running)
}

fn all_gone(folder: &Path) -> bool {
    pids_in(folder).into_iter().all(|pid| tree::started(pid).is_none())
}

#[tokio::test]
async fn a_host_that_is_killed_leaves_no_process() {
    let (world, folder, running) = hanging(3).await;
    running.kill();
    until("their end", || all_gone(folder.path())).await;
    assert_eq!(running.end().await.code, None);
    until("no record", || fs::read_dir(world.path("data/instances")).expect("a folder").count() == 0).await;
}

#[tokio::test]
async fn a_host_that_is_killed_while_nobody_reads_its_question_leaves_no_process_either() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = program(folder.path(), "start; sleep 1000");
    // More than fits into the pipes between host, warden and program.
    let question = format!("ask:{}", "x".repeat(125_000));
    let world = World::new();
    let call = world.convoke([hostile(), &question, "--backend", "claude-cli", "-v"]);
    let running = call.env("CONVOKE_CLAUDE", script).start().await;
    until("its process", || !pids_in(folder.path()).is_empty()).await;
    running.has_said("1-ask").await;
    running.kill();
    until("its end", || all_gone(folder.path())).await;
    let _ = running.end().await;
}

#[tokio::test]
async fn what_a_killed_warden_leaves_the_next_host_ends() {
    let (world, folder, running) = hanging(1).await;
    let records = || fs::read_dir(world.path("data/instances")).expect("a folder").flatten();
    until("a record", || records().any(|record| record.path().extension().is_some_and(|kind| kind == "json"))).await;
    // The program ignores that its input ends, and then host and wardens are gone at once.
    let wardens: Vec<u32> = records()
        .filter_map(|record| serde_json::from_slice::<serde_json::Value>(&fs::read(record.path()).ok()?).ok())
        .filter_map(|record| record["warden"]["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()))
        .collect();
    running.kill();
    for warden in wardens {
        tree::send(warden, rustix::process::Signal::KILL);
    }
    let _ = running.end().await;
    let next = world.audit(["--backend", "claude-cli", "--dry-run"]);
    next.env("CONVOKE_CLAUDE", folder.path().join("claude")).run().await.exits(0);
    until("their end", || all_gone(folder.path())).await;
}

#[tokio::test]
async fn two_interrupts_leave_no_process() {
    let (_world, folder, running) = hanging(3).await;
    running.interrupt();
    running.has_said("Stopping").await;
    running.interrupt();
    let report = running.end().await.exits(130).report();
    assert_eq!((report.status(), report.count("pending")), ("interrupted", 12));
    assert!(all_gone(folder.path()));
}
