//! What a terminal shows while a run goes on: a real one of a known size, and what is on it at each moment.

use std::collections::BTreeSet;
use std::time::Duration;

use convoke_standin::{Config, Fault, FaultRule, Latency, RetryAfter, When};

use crate::support::{World, standin};

/// A terminal of so many rows and columns, with all that was ever on it.
struct Screen {
    rows: usize,
    columns: usize,
    /// Those that have left it at the top, then those on it.
    lines: Vec<Vec<char>>,
    /// The first line that is on it.
    top: usize,
    row: usize,
    column: usize,
    /// All lines that were on it, whenever something was about to be drawn anew.
    seen: BTreeSet<String>,
}

impl Screen {
    fn showing(written: &str, rows: usize, columns: usize) -> Self {
        let (lines, seen) = (vec![Vec::new()], BTreeSet::new());
        let mut screen = Self { rows, columns, lines, top: 0, row: 0, column: 0, seen };
        let mut rest = written.chars();
        while let Some(next) = rest.next() {
            match next {
                '\r' => screen.column = 0,
                '\n' => screen.down(1),
                '\u{1b}' => screen.obey(&mut rest),
                next => screen.put(next),
            }
        }
        screen.look();
        screen
    }

    fn obey(&mut self, rest: &mut std::str::Chars<'_>) {
        if rest.next() != Some('[') {
            return;
        }
        let digits: String = rest.clone().take_while(|next| !next.is_ascii_alphabetic()).collect();
        let count = digits.parse().unwrap_or(1);
        match rest.nth(digits.chars().count()) {
            Some('A') => {
                self.look();
                // What has left it at the top is out of reach.
                self.row = self.row.saturating_sub(count).max(self.top);
            }
            Some('B') => self.down(count),
            Some('C') => self.column += count,
            Some('D') => self.column = self.column.saturating_sub(count),
            Some('K') => self.lines[self.row].clear(),
            Some('J') => self.lines.truncate(self.row + 1),
            _ => {}
        }
    }

    fn down(&mut self, count: usize) {
        self.row += count;
        while self.lines.len() <= self.row {
            self.lines.push(Vec::new());
        }
        self.top = self.top.max((self.row + 1).saturating_sub(self.rows));
    }

    fn put(&mut self, next: char) {
        if self.column >= self.columns {
            self.column = 0;
            self.down(1);
        }
        let line = &mut self.lines[self.row];
        line.resize(line.len().max(self.column + 1), ' ');
        line[self.column] = next;
        self.column += 1;
    }

    fn look(&mut self) {
        self.seen
            .extend(self.lines[self.top..].iter().map(|line| line.iter().collect::<String>().trim_end().to_owned()));
    }

    fn saw(&self, holds: impl Fn(&str) -> bool) -> bool {
        self.seen.iter().any(|line| holds(line))
    }

    /// Each line of a worker begins where it should: none before it was too long.
    #[track_caller]
    fn has_whole_lines(&self) {
        let begins = |line: &str| {
            ["◌", "·", "▸", "○", "◐", "●", "↻", "!"].iter().any(|sign| line.starts_with(&format!("  {sign} ")))
        };
        let mut lines = self.seen.iter().filter(|line| line.contains("agent-"));
        assert!(lines.all(|line| begins(line)), "a line was too long:\n{:#?}", self.seen);
    }

    /// All that can be scrolled back to, and what is on it.
    fn text(&self) -> String {
        self.lines.iter().map(|line| line.iter().collect::<String>() + "\n").collect()
    }
}

/// Eight workers, slow answers, two questions that come too fast.
async fn shown(rows: usize, columns: usize) -> (Screen, String) {
    let too_fast = Fault::RateLimited { retry_after: RetryAfter::Seconds(2) };
    let when = When { nth: Some(3..=4), ..When::default() };
    let latency = Latency { base: Duration::from_millis(1_500), ..Latency::default() };
    let faults = vec![FaultRule { when, fault: too_fast }];
    let standin = standin(Config { latency, faults, ..Config::default() }).await;
    let world = World::with_agents(16);
    let options = ["--instances", "8", "--budget-usd", "1", "--output", "report.json"];
    let call = world.audit(options).asking(&standin).on_a_terminal_of(rows, columns);
    let done = call.start().await.end().await.exits(0);
    let report = std::fs::read_to_string(world.project().join("report.json")).expect("a report");
    (Screen::showing(&done.stdout, rows, columns), report)
}

#[tokio::test]
async fn eighty_columns_show_what_each_worker_is_at_and_how_the_whole_stands() {
    let (screen, report) = shown(24, 80).await;
    screen.has_whole_lines();
    let saw = |parts: &[&str]| {
        let found = screen.saw(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "no line has {parts:?}:\n{:#?}", screen.seen);
    };
    saw(&["team1", "agent-", "speed", "asked"]);
    saw(&["answering"]);
    saw(&["retrying in 0:0", "(rate limited)"]);
    saw(&["/16", "%"]);
    saw(&["in flight"]);
    saw(&["$0.", " left"]);
    saw(&["━"]);
    let text = screen.text();
    assert!(!text.contains("in flight") && !text.contains("asked"), "lines are left:\n{text}");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    let timing = &report["timing"];
    assert!(timing["parallel_share"].as_f64().is_some_and(|share| share > 0.5), "{timing}");
    assert!(timing["bottleneck"]["what"].is_string() && timing["slowest"]["share"].is_number(), "{timing}");
}

#[tokio::test]
async fn a_small_terminal_shows_less_and_never_scrolls() {
    let (screen, _) = shown(8, 40).await;
    screen.has_whole_lines();
    assert!(screen.saw(|line| line.starts_with("  and ") && line.contains(" more: ")), "{:#?}", screen.seen);
    let text = screen.text();
    assert!(!text.contains("more:") && !text.contains("asked"), "lines are left:\n{text}");
}
