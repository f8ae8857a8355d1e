//! For terminals: a line a worker, and one for the whole.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use console::Style;
use convoke_runtime::event::Fact;
use convoke_runtime::levels::Level;
use convoke_runtime::question::Usage;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::Detail;
use super::plain::{front, said, stopping};
use super::screen::Lines;
use super::state::{Doing, Line, State, clock};
use super::streams::Streams;
use crate::report::clean::line as clean;

/// How often waiting times move on when nothing else happens.
const TICK: Duration = Duration::from_millis(200);

/// Waits from here on are counted: below, a number would only flicker.
const WORTH_SAYING: Duration = Duration::from_secs(2);

pub(super) async fn show(mut streams: Streams, detail: Detail) {
    let mut screen = Screen::new(detail);
    let mut states: Vec<State> = (0..streams.count()).map(|_| State::default()).collect();
    let names: Vec<String> = (0..streams.count()).map(|run| streams.name(run).to_owned()).collect();
    let began = Instant::now();
    let mut tick = tokio::time::interval(TICK);
    // Until when what is under way may go on, once the user has stopped it.
    let mut until: Option<Instant> = None;
    loop {
        tokio::select! {
            event = streams.next() => {
                let Some((run, event)) = event else { break };
                if let Fact::Stopping { at_most } = event.fact {
                    screen.say(&stopping(&states, at_most));
                    until = Some(Instant::now() + at_most);
                }
                if let Some(run) = run {
                    states[run].hear(&event);
                }
                if let Some(text) = said(&event.fact, detail) {
                    screen.say(&format!("{}{text}", front(run.map_or("", |run| &names[run]))));
                }
            }
            _ = tick.tick() => {
                let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                screen.draw(&names, &states, began.elapsed(), left);
            }
        }
    }
}

struct Screen {
    lines: Lines,
    total: ProgressBar,
    /// By run and worker.
    workers: BTreeMap<(usize, usize), ProgressBar>,
    columns: Columns,
}

impl Screen {
    fn new(detail: Detail) -> Self {
        let lines = Lines::new(MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        let columns = Columns::of(console::Term::stderr().size().1.into(), detail.color);
        let total = lines.draw(|bars| bars.add(ProgressBar::new(0)));
        // As wide as the column of groups, with its brackets.
        let bar = columns.group.saturating_sub(2);
        let colour = if detail.color { ".cyan" } else { "" };
        total.set_style(style(&format!("  [{{bar:{bar}{colour}}}]  {{wide_msg}}")).progress_chars("=> "));
        Self { lines, total, workers: BTreeMap::new(), columns }
    }

    fn say(&self, text: &str) {
        // A terminal that can't be written to shows nothing; the report comes all the same.
        let _ = self.lines.draw(|bars| bars.println(text));
    }

    /// `left`: how long what is under way may go on, where the user has stopped it.
    fn draw(&mut self, names: &[String], states: &[State], now: Duration, left: Option<Duration>) {
        let Self { lines, total, workers, columns } = self;
        lines.draw(|bars| {
            workers.retain(|(run, worker), bar| {
                let stays = states[*run].workers.contains_key(worker);
                if !stays {
                    bar.finish_and_clear();
                    bars.remove(bar);
                }
                stays
            });
            for (run, (name, state)) in names.iter().zip(states).enumerate() {
                for (worker, line) in &state.workers {
                    let bar = workers.entry((run, *worker)).or_insert_with(|| {
                        let bar = bars.insert_before(total, ProgressBar::new_spinner());
                        bar.set_style(style("{wide_msg}"));
                        bar
                    });
                    bar.set_message(columns.worker(name, line, now));
                }
            }
            let sum = |count: fn(&State) -> usize| states.iter().map(count).sum::<usize>() as u64;
            total.set_length(sum(|state| state.items));
            total.set_position(sum(|state| state.ended));
            let summary = summary(states, now);
            // What is narrow is cut at its end: what counts now comes first.
            total.set_message(match left {
                Some(left) => format!("{}  {summary}", State::finishing(states, left)),
                None => summary,
            });
        });
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// How wide the parts of a worker's line are.
#[derive(Clone, Copy, Debug)]
struct Columns {
    width: usize,
    group: usize,
    label: usize,
    color: bool,
}

impl Columns {
    /// For a terminal of so many columns.
    fn of(width: usize, color: bool) -> Self {
        let group = (width / 4).clamp(10, 24);
        // Behind it comes, with its gap, `answering 0:12  ~83 tok/s Read`.
        Self { width, group, label: width.saturating_sub(2 + group + 2 + 32).clamp(12, 36), color }
    }

    /// The command, where there are several, and the group of the item, the item, what is going on with it: never wider
    /// than the terminal.
    fn worker(&self, command: &str, line: &Line, now: Duration) -> String {
        let group = format!("{}{}", front(command), clean(line.group.as_deref().unwrap_or(&line.segment)));
        let label = line.item.as_ref().map(|(_, label)| clean(label)).unwrap_or_default();
        let (doing, paint) = doing(line, now);
        let line = format!(
            "  {}  {}  {}",
            self.paint(Style::new().cyan(), &padded(&group, self.group)),
            padded(&label, self.label),
            self.paint(paint, &doing),
        );
        console::truncate_str(&line, self.width, "…").into_owned()
    }

    fn paint(&self, style: Style, text: &str) -> String {
        style.force_styling(self.color).apply_to(text).to_string()
    }
}

fn padded(text: &str, width: usize) -> Cow<'_, str> {
    console::pad_str(text, width, console::Alignment::Left, Some("…"))
}

/// What is going on, and for how long where that says something.
fn doing(line: &Line, now: Duration) -> (String, Style) {
    let waited = now.saturating_sub(line.since);
    let since = |word: &str| {
        let text = if waited < WORTH_SAYING { word.to_owned() } else { format!("{word} {}", clock(waited)) };
        (text, Style::new().dim())
    };
    match &line.doing {
        Doing::Idle => ("idle".to_owned(), Style::new().dim()),
        Doing::Working if line.note.is_empty() => ("working".to_owned(), Style::new().dim()),
        Doing::Working => (clean(&line.note), Style::new().dim()),
        Doing::Queued => since("queued"),
        Doing::Asked => since("asked"),
        Doing::Answering => (answering(line, since("answering").0), Style::new().green()),
        Doing::Retrying(at, reason) => {
            (format!("again in {}: {}", clock(at.saturating_sub(now)), clean(reason)), Style::new().yellow())
        }
    }
}

/// How long, how fast, with which tool. The end is what a narrow terminal cuts.
fn answering(line: &Line, since: String) -> String {
    let rate = line.pace.tokens_per_second.map(|rate| format!("  ~{rate} tok/s"));
    let tool = line.pace.tool.as_deref().map(|tool| format!(" {}", clean(tool)));
    [Some(since), rate, tool].into_iter().flatten().collect()
}

fn summary(states: &[State], now: Duration) -> String {
    let sum = |count: fn(&State) -> usize| states.iter().map(count).sum::<usize>();
    let (items, ended, failed) = (sum(|state| state.items), sum(|state| state.ended), sum(|state| state.failed));
    let share = (ended * 100).checked_div(items).unwrap_or(0);
    let mut parts = vec![format!("{ended}/{items}  {share} %"), clock(now)];
    // All have ended when the last one has.
    if let Some(eta) = states.iter().filter_map(|state| state.eta(now)).max() {
        parts.push(format!("~{} left", clock(eta)));
    }
    if failed > 0 {
        parts.push(format!("{failed} failed"));
    }
    if let Some(level) = states.iter().map(|state| state.level).max().filter(|level| *level != Level::Full) {
        parts.push(level.name().to_owned());
    }
    if let Some(at) = states.iter().filter_map(|state| state.tried_again).max().filter(|at| *at > now) {
        parts.push(format!("nobody asked, again in {}", clock(at.saturating_sub(now))));
    }
    let mut usage = Usage::default();
    states.iter().for_each(|state| usage += state.usage);
    if usage.requests > 0 {
        parts.push(usage.usd.to_string());
    }
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use super::super::state::Pace;
    use super::*;

    fn line(doing: Doing) -> Line {
        Line {
            segment: "dealt".to_owned(),
            group: Some("04-quality-security".to_owned()),
            item: Some((1, "a-very-long-name-of-an-agent-that-does-not-fit".to_owned())),
            doing,
            note: String::new(),
            since: Duration::from_secs(10),
            pace: Pace::default(),
        }
    }

    fn shown(width: usize, doing: Doing, at: u64) -> String {
        Columns::of(width, false).worker("", &line(doing), Duration::from_secs(at))
    }

    #[test]
    fn a_short_wait_is_not_counted_and_a_long_one_is() {
        assert!(shown(80, Doing::Asked, 11).ends_with("  asked"));
        assert!(shown(80, Doing::Asked, 73).ends_with("  asked 1:03"));
        let reason = "rate limited".to_owned();
        assert!(
            shown(80, Doing::Retrying(Duration::from_secs(60), reason), 15).ends_with("  again in 0:45: rate limited")
        );
    }

    #[test]
    fn an_item_is_shown_under_its_own_group_whatever_its_worker_was_dealt() {
        assert!(shown(80, Doing::Asked, 10).starts_with("  04-quality-security "));
        let idle = Line { group: None, item: None, ..line(Doing::Idle) };
        assert!(Columns::of(80, false).worker("", &idle, Duration::ZERO).starts_with("  dealt "));
    }

    #[test]
    fn an_answer_that_comes_shows_its_pace_and_its_last_tool_and_still_fits() {
        let mut line = line(Doing::Answering);
        line.pace = Pace { tokens_per_second: Some(83), tool: Some("Read".to_owned()) };
        let wide = Columns::of(80, false).worker("", &line, Duration::from_secs(11));
        assert!(wide.ends_with("  answering  ~83 tok/s Read"), "{wide}");
        line.pace.tool = Some("mcp__a-server-with-a-long-name__and\u{1b}[2Ja-tool".to_owned());
        for width in [80, 60, 40, 20] {
            let shown = Columns::of(width, false).worker("", &line, Duration::from_secs(700));
            assert!(console::measure_text_width(&shown) <= width, "{width}: {shown}");
            assert!(!shown.contains('\u{1b}'), "{shown}");
        }
    }

    #[test]
    fn among_others_a_command_stands_in_front() {
        let shown = Columns::of(80, false).worker("docs", &line(Doing::Asked), Duration::ZERO);
        assert!(shown.starts_with("  docs: 04-quality-se"), "{shown}");
    }

    #[test]
    fn a_line_fits_where_sixty_columns_are() {
        let text = shown(60, Doing::Answering, 99);
        assert!(console::measure_text_width(&text) <= 60, "{text}");
        assert!(text.contains('…'));
    }
}
