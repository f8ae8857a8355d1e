//! For terminals: a line a worker, and one for the whole.

use std::collections::BTreeMap;
use std::time::Duration;

use convoke_runtime::event::{Event, Fact};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;

use super::Detail;
use super::plain::said;
use super::state::{Doing, Line, State, clock};
use crate::report::clean::line as clean;

/// How often waiting times move on when nothing else happens.
const TICK: Duration = Duration::from_millis(200);

pub(super) async fn show(mut facts: Receiver<Event>, detail: Detail) {
    let mut screen = Screen::new(detail);
    let mut state = State::default();
    let began = Instant::now();
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            event = facts.recv() => {
                let Some(event) = event else { break };
                let ended = matches!(event.fact, Fact::Ended { .. });
                state.hear(&event);
                if let Some(text) = said(&event.fact, detail) {
                    screen.say(&text);
                }
                if ended {
                    break;
                }
            }
            _ = tick.tick() => screen.draw(&state, began.elapsed()),
        }
    }
    screen.clear();
}

struct Screen {
    bars: MultiProgress,
    total: ProgressBar,
    workers: BTreeMap<usize, ProgressBar>,
    line: ProgressStyle,
}

impl Screen {
    fn new(detail: Detail) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let template = if detail.color {
            "{prefix:>12.cyan.bold} [{bar:28}] {pos}/{len} {percent:>3}% {msg}"
        } else {
            "{prefix:>12} [{bar:28}] {pos}/{len} {percent:>3}% {msg}"
        };
        let total = bars.add(ProgressBar::new(0));
        total.set_style(style(template).progress_chars("=> "));
        total.set_prefix("Running");
        Self { bars, total, workers: BTreeMap::new(), line: style("{prefix:>12} {wide_msg}") }
    }

    fn say(&self, text: &str) {
        // A terminal that can't be written to shows nothing; the report comes all the same.
        let _ = self.bars.println(text);
    }

    fn draw(&mut self, state: &State, now: Duration) {
        self.workers.retain(|worker, bar| {
            let stays = state.workers.contains_key(worker);
            if !stays {
                bar.finish_and_clear();
                self.bars.remove(bar);
            }
            stays
        });
        for (worker, line) in &state.workers {
            let bar = self.workers.entry(*worker).or_insert_with(|| {
                let bar = self.bars.insert_before(&self.total, ProgressBar::new_spinner());
                bar.set_style(self.line.clone());
                bar
            });
            bar.set_prefix(short(&clean(&line.segment), 12));
            bar.set_message(describe(line, now));
        }
        self.total.set_length(state.items as u64);
        self.total.set_position(state.ended as u64);
        self.total.set_message(summary(state, now));
    }

    fn clear(&self) {
        // As above.
        let _ = self.bars.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn describe(line: &Line, now: Duration) -> String {
    let Some((_, label)) = &line.item else { return "idle".to_owned() };
    let label = clean(label);
    let waited = clock(now.saturating_sub(line.since));
    match &line.doing {
        Doing::Idle => "idle".to_owned(),
        Doing::Working if line.note.is_empty() => label,
        Doing::Working => format!("{label}: {}", clean(&line.note)),
        Doing::Queued => format!("{label}: waiting for admission {waited}"),
        Doing::Asked => format!("{label}: asked {waited} ago"),
        Doing::Answering => format!("{label}: answering {waited}"),
        Doing::Retrying(at, reason) => {
            format!("{label}: retrying in {} ({})", clock(at.saturating_sub(now)), clean(reason))
        }
    }
}

fn summary(state: &State, now: Duration) -> String {
    let mut parts = vec![clock(now)];
    if let Some(eta) = state.eta(now) {
        parts.push(format!("about {} left", clock(eta)));
    }
    if state.failed > 0 {
        parts.push(format!("{} failed", state.failed));
    }
    if state.usage.requests > 0 {
        parts.push(state.usage.usd.to_string());
    }
    parts.join(" · ")
}

/// At most so many characters.
fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most - 1).chain(['…']).collect() }
}
