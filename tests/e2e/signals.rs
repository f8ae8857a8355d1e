//! SIGTERM and SIGHUP, signals at odd moments, and reports that nobody gets.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use convoke_standin::{Config, Fault, Latency, When};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{World, faulty, hostile, standin, until};

/// Whether this process ignores SIGHUP, as under `nohup`: what it starts does so too, and convoke then leaves it so.
fn hang_ups_are_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[tokio::test]
async fn sigterm_and_sighup_let_what_is_under_way_end_and_say_how_to_go_on() {
    for is_term in [true, false] {
        if !is_term && hang_ups_are_ignored() {
            // Past the capture of this test's output: nobody should take it for one that ran whole.
            let said = "SKIPPED: these tests were started by something that ignores SIGHUP, as does what they start\n";
            std::io::stderr().write_all(said.as_bytes()).expect("standard error");
            continue;
        }
        let standin = standin(Config { latency: Latency::of(300, 0.0), ..Config::default() }).await;
        let world = World::with_agents(12);
        let running = world.audit(["--instances", "3"]).asking(&standin).start().await;
        until("a second round", || standin.stats().requests >= 5).await;
        if is_term {
            running.terminate()
        } else {
            running.hang_up()
        }
        let done = running.end().await.exits(130).says("Stopping: finishing ").says("at most 10 s");
        let last = done.stderr.trim_end().lines().last().expect("a last line").to_owned();
        let report = done.report();
        let id = report.json["run"]["id"].as_str().and_then(|id| id.rsplit('-').next()).expect("an id");
        let same = "so does the same again: convoke agent-audit --format json --instances 3";
        assert_eq!(last, format!("interrupted: `convoke resume {id}` goes on; {same}"));
        assert_eq!((report.status(), report.json["exit_code"].as_i64()), ("interrupted", Some(130)));
        assert_eq!((report.count("done"), standin.stats().abandoned), (standin.stats().answered, 0));
    }
}

#[tokio::test]
async fn before_anything_is_begun_any_signal_ends_it_at_once() {
    for send in [crate::support::Running::interrupt, crate::support::Running::terminate] {
        // Fuel for minutes.
        let world = World::new().config("version = 1\n[limits]\nplugin_fuel = 10_000_000_000_000\n");
        let running = world.convoke([hostile(), "fine", "--planning", "loop"]).start().await;
        until("the journal", || world.path("data/journal.db").exists()).await;
        send(&running);
        let done = running.end().await.exits(130).says("Interrupted.").reports_nothing();
        assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    }
}

#[tokio::test]
async fn a_conclusion_that_is_under_way_may_end_and_then_nothing_was_lost() {
    let standin = standin(Config { latency: Latency::of(400, 0.0), ..Config::default() }).await;
    let world = World::new();
    let arguments = [hostile(), "--format", "json", "fine", "--concluding", "ask"];
    let running = world.convoke(arguments).asking(&standin).start().await;
    until("the conclusion's question", || standin.stats().in_flight == 1).await;
    running.interrupt();
    let report = running.end().await.exits(0).says("Stopping: finishing 1 question, at most ").report();
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 2"));
}

#[tokio::test]
async fn a_conclusion_that_is_given_up_is_pending() {
    let standin = faulty([(When::default(), Fault::Silence { mid_stream: false })]).await;
    let world = World::new();
    let arguments = [hostile(), "--format", "json", "fine", "--concluding", "ask"];
    let running = world.convoke(arguments).asking(&standin).start().await;
    until("the conclusion's question", || standin.stats().in_flight == 1).await;
    running.interrupt();
    running.has_said("Stopping").await;
    running.interrupt();
    let report = running.end().await.exits(130).report();
    assert_eq!((report.status(), report.census().as_str()), ("interrupted", "done 1, pending 1"));
}

#[tokio::test]
async fn commands_side_by_side_are_all_stopped() {
    let standin = standin(Config { latency: Latency::of(300, 0.0), ..Config::default() }).await;
    let world = World::with_agents(8);
    let call = world.convoke(["run", "agent-audit", "agent-audit .claude/agents/team1", "--format", "json", "--fresh"]);
    let running = call.asking(&standin).start().await;
    until("questions", || standin.stats().requests >= 2).await;
    running.terminate();
    let done = running.end().await.exits(130).says("Stopping");
    assert_eq!(done.stderr.matches("Stopping").count(), 1, "{}", done.stderr);
    assert_eq!(done.json()["exit_code"], 130);
}

#[tokio::test]
async fn a_terminal_is_left_as_it_was() {
    let standin = standin(Config { latency: Latency::of(1_000, 0.0), ..Config::default() }).await;
    let world = World::with_agents(12);
    let number = world.path("number");
    let call = world.audit(["--instances", "2", "--output", "report.json"]).asking(&standin);
    let running = call.on_a_terminal(&number).start().await;
    until("a second round", || standin.stats().requests >= 4 && standin.stats().in_flight == 2).await;
    let number = fs::read_to_string(number).expect("a number").trim().parse().expect("a number");
    let convoke = Pid::from_raw(number).expect("a number");
    kill_process(convoke, Signal::TERM).expect("a signal");
    let done = running.end().await.exits(130);
    let screen = screen(&done.stdout);
    assert!(done.stdout.contains("finishing 2 questions"), "{}", done.stdout);
    assert!(!screen.contains("in flight") && !screen.contains("━"), "lines are left:\n{screen}");
    assert!(screen.trim_end().lines().last().is_some_and(|line| line.starts_with("interrupted:")), "{screen}");
    assert!(!done.stdout.contains("\u{1b}[?25l"), "the cursor was hidden");
    let report = fs::read_to_string(world.project().join("report.json")).expect("a report");
    assert!(report.contains("\"status\": \"interrupted\""), "{report}");
}

/// What is on the screen after all that was written.
fn screen(written: &str) -> String {
    let (mut lines, mut row, mut column) = (vec![Vec::new()], 0_usize, 0_usize);
    let mut rest = written.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '\r' => column = 0,
            '\n' => row += 1,
            '\u{1b}' => {
                let mut digits = String::new();
                if rest.next() != Some('[') {
                    continue;
                }
                for next in rest.by_ref() {
                    let count = digits.parse::<usize>().unwrap_or(1);
                    match next {
                        '0'..='9' | ';' | '?' => {
                            digits.push(next);
                            continue;
                        }
                        'A' => row = row.saturating_sub(count),
                        'B' => row += count,
                        'K' => lines[row].clear(),
                        'J' => lines.truncate(row + 1),
                        _ => {}
                    }
                    break;
                }
            }
            next => {
                let line: &mut Vec<char> = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = next;
                column += 1;
            }
        }
        while lines.len() <= row {
            lines.push(Vec::new());
        }
    }
    lines.into_iter().map(|line| line.into_iter().collect::<String>() + "\n").collect()
}

#[tokio::test]
async fn a_report_that_can_not_be_written_is_no_success_and_what_was_done_is_kept() {
    let world = World::with_agents(3);
    world.audit(["--output", "/dev/full"]).run().await.exits(2).says("/dev/full");
    assert_eq!(world.audit([]).run().await.exits(0).report().census(), "cached 3");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_convoke"))
        .args(["agent-audit", "--backend", "offline"])
        .current_dir(world.project())
        .env("CONVOKE_DATA_DIR", world.path("data"))
        .env("CONVOKE_CONFIG_DIR", world.path("config"))
        .env("CONVOKE_CACHE_DIR", world.path("cache"))
        .stdin(Stdio::null())
        .stdout(full)
        .output()
        .expect("convoke");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.code() == Some(3) && said.contains("can't write the report"), "{said}");
}
