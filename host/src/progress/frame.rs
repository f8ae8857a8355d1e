//! The lines that are drawn: one a worker, and below them how the whole stands. A function of what is known and of the
//! terminal, and of nothing else.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use console::{Style, measure_text_width, pad_str, truncate_str};
use convoke_runtime::levels::Level;
use convoke_runtime::money::Usd;
use convoke_runtime::question::{Tier, Usage};

use super::doing::{Doing, Words};
use super::plain::front;
use super::state::{Line, State, clock};
use crate::report::clean::line as clean;

/// Narrower than this, only the item and what goes on with it are shown, in short words.
const NARROW: usize = 60;

/// From here on there is room for whole words.
const WIDE: usize = 100;

/// The longest name of who has done something, in characters.
const NAME: usize = 30;

/// What the terminal is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) width: usize,
    pub(super) rows: usize,
    pub(super) color: bool,
    /// Whether more than ASCII may be drawn. It does not concern the texts.
    pub(super) unicode: bool,
}

/// What is drawn.
pub(super) struct View<'a> {
    pub(super) names: &'a [String],
    pub(super) states: &'a [State],
    pub(super) now: Duration,
    /// How long what is under way may go on, where the user has stopped it.
    pub(super) stops_in: Option<Duration>,
    /// How long it will take, in words.
    pub(super) eta: Option<String>,
}

/// All lines, none of them wider than the terminal, and not more than it has room for.
pub(super) fn frame(look: &Look, view: &View<'_>) -> Vec<String> {
    let total = total(look, view);
    let lines = view.names.iter().zip(view.states).flat_map(|(name, state)| {
        state.workers.values().map(move |line| (name.as_str(), line, state.doing(line, view.now)))
    });
    let mut lines: Vec<_> = lines.collect();
    // What was said before stays in sight above.
    let room = (look.rows * 2 / 3).saturating_sub(total.len()).max(1);
    let hidden = if lines.len() > room {
        // Who has nothing to do says least.
        let (busy, idle): (Vec<_>, Vec<_>) = lines.into_iter().partition(|(_, line, _)| line.item.is_some());
        lines = busy.into_iter().chain(idle).collect();
        lines.split_off(room.saturating_sub(1))
    } else {
        Vec::new()
    };
    let columns = Columns::of(look, view);
    let mut drawn: Vec<String> =
        lines.iter().map(|(name, line, doing)| columns.worker(name, line, doing, view.now)).collect();
    if !hidden.is_empty() {
        drawn.push(look.cut(&look.paint(&Style::new().dim(), &more(&hidden))));
    }
    drawn.extend(total);
    drawn
}

/// `and 12 more: 10 answering, 2 idle`.
fn more(hidden: &[(&str, &Line, Doing)]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (.., doing) in hidden {
        *counts.entry(doing.word()).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let counts: Vec<String> = counts.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    format!("  and {} more: {}", hidden.len(), counts.join(", "))
}

impl Look {
    fn paint(&self, style: &Style, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        style.clone().force_styling(self.color).apply_to(text).to_string()
    }

    fn dots(&self) -> &'static str {
        if self.unicode { "…" } else { ".." }
    }

    fn cut(&self, text: &str) -> String {
        let dots = if self.width < 4 { "" } else { self.dots() };
        truncate_str(text, self.width, dots).into_owned()
    }

    fn padded<'a>(&self, text: &'a str, width: usize) -> Cow<'a, str> {
        pad_str(text, width, console::Alignment::Left, Some(self.dots()))
    }
}

/// How wide the parts of a worker's line are. Zero: it is left out.
#[derive(Clone, Copy, Debug)]
struct Columns<'a> {
    look: &'a Look,
    group: usize,
    label: usize,
    tier: usize,
}

impl<'a> Columns<'a> {
    /// As wide as what is in them, as far as the terminal has room.
    fn of(look: &'a Look, view: &View<'_>) -> Self {
        let front = view.names.iter().map(|name| measure_text_width(&front(name))).max().unwrap_or_default();
        let widest = |of: fn(&State) -> usize| view.states.iter().map(of).max().unwrap_or_default();
        let (group, label) = (front + widest(|state| state.widest.0), widest(|state| state.widest.1));
        let (group, label, tier) = match look.width {
            ..NARROW => (0, label.clamp(8, (look.width * 2 / 5).max(8)), 0),
            // At 80 columns there is room behind them for `retrying in 0:45 (rate limited)`.
            NARROW..WIDE => (group.clamp(6, look.width * 7 / 40), label.clamp(8, look.width * 9 / 40), 5),
            _ => (group.clamp(8, look.width / 5), label.clamp(12, look.width / 3), 13),
        };
        Self { look, group, label, tier }
    }

    /// The command, where there are several, and the group of the item, the item, where its question goes, and what is
    /// going on.
    fn worker(&self, command: &str, line: &Line, doing: &Doing, now: Duration) -> String {
        let look = self.look;
        let Words { sign, text, style } = doing.words(now, look.width < NARROW, look.unicode);
        let mut parts = vec![format!("  {}", look.paint(&style, sign))];
        let group = format!("{}{}", front(command), clean(line.group.as_deref().unwrap_or(&line.segment)));
        if self.group > 0 {
            parts.push(look.paint(&Style::new().cyan(), &look.padded(&group, self.group)));
        }
        let label = line.item.as_ref().map(|(_, label)| clean(label)).unwrap_or_default();
        parts.push(look.padded(&label, self.label).into_owned());
        if self.tier > 0 {
            let tier = doing.tier.map_or("", |tier| tier_name(tier, self.tier));
            parts.push(look.paint(&Style::new().dim(), &look.padded(tier, self.tier)));
        }
        parts.push(look.paint(&style, &text));
        let gap = if look.width < NARROW { " " } else { "  " };
        let first = parts.remove(0);
        look.cut(&format!("{first} {}", parts.join(gap)))
    }
}

fn tier_name(tier: Tier, width: usize) -> &'static str {
    match tier {
        Tier::Comprehensive if width < tier.name().len() => "compr",
        tier => tier.name(),
    }
}

/// How the whole stands: what is counted first, then the rest, on as few lines as it takes.
fn total(look: &Look, view: &View<'_>) -> Vec<String> {
    let indent = if look.width < NARROW { "" } else { "  " };
    let mut lines: Vec<String> = vec![String::new()];
    let most = if look.width < NARROW { 3 } else { 2 };
    let parts =
        [bar(look, view)].into_iter().flatten().chain(parts(view).into_iter().map(|part| look.paint(&part.1, &part.0)));
    for part in parts {
        let last = lines.len() - 1;
        let gap = if lines[last].is_empty() { indent } else { "  " };
        let fits = measure_text_width(&lines[last]) + gap.len() + measure_text_width(&part) <= look.width;
        if fits || lines[last].is_empty() || lines.len() == most {
            lines[last] += &format!("{gap}{part}");
        } else {
            lines.push(format!("{indent}{part}"));
        }
    }
    lines.iter().map(|line| look.cut(line)).collect()
}

/// What is done, what has failed, and what is left.
fn bar(look: &Look, view: &View<'_>) -> Option<String> {
    let width = match look.width {
        ..50 => return None,
        50..WIDE => 20,
        _ => 30,
    };
    let sum = |count: fn(&State) -> usize| view.states.iter().map(count).sum::<usize>();
    let (items, ended, failed) = (sum(|state| state.items), sum(|state| state.ended), sum(|state| state.failed));
    let cells = |count: usize| (count * width).checked_div(items).unwrap_or(0).min(width);
    let filled = cells(ended);
    // One that failed is seen, however many there are.
    let red = if failed > 0 { cells(failed).max(1).min(filled) } else { 0 };
    let [done, left] = if look.unicode { ["━", "─"] } else { ["=", " "] };
    let [good, bad, rest] = [done.repeat(filled - red), done.repeat(red), left.repeat(width - filled)];
    let bar = look.paint(&Style::new().cyan(), &good)
        + &look.paint(&Style::new().red(), &bad)
        + &look.paint(&Style::new().dim(), &rest);
    Some(if look.unicode { bar } else { format!("[{bar}]") })
}

/// What is said of the whole, the most important first.
pub(super) fn parts(view: &View<'_>) -> Vec<(String, Style)> {
    let View { states, now, .. } = view;
    let sum = |count: fn(&State) -> usize| states.iter().map(count).sum::<usize>();
    let (items, ended, failed) = (sum(|state| state.items), sum(|state| state.ended), sum(|state| state.failed));
    let (plain, warn, bad) = (Style::new(), Style::new().yellow(), Style::new().red());
    let mut parts = Vec::new();
    let mut add = |text: String, style: &Style| parts.push((text, style.clone()));
    if let Some(left) = view.stops_in {
        add(State::finishing(states, left), &warn);
    }
    add(format!("{ended}/{items}"), &Style::new().bold());
    add(format!("{} %", (ended * 100).checked_div(items).unwrap_or(0)), &plain);
    add(clock(*now), &plain);
    if let Some((by, since)) = states.iter().filter_map(|state| state.paused.as_ref()).next() {
        let by = clean(&crate::report::clean::bounded(by, NAME));
        add(format!("paused by {by} {}", clock(now.saturating_sub(*since))), &warn);
    }
    if let Some(eta) = view.eta.as_ref().filter(|_| view.stops_in.is_none()) {
        add(eta.clone(), &plain);
    }
    if failed > 0 {
        add(format!("{failed} failed"), &bad);
    }
    if let Some(spent) = spent(states) {
        add(spent, &plain);
    }
    let in_flight = sum(State::in_flight);
    let limit = limit(states);
    if let Some(limit) = limit {
        add(format!("{in_flight} of {limit} in flight"), &plain);
    }
    let cached = sum(|state| state.cached);
    if cached > 0 {
        add(format!("{cached} cached"), &plain);
    }
    if let Some(level) = states.iter().map(|state| state.level).max().filter(|level| *level != Level::Full) {
        add(level.name().to_owned(), &warn);
    }
    if let Some(at) = states.iter().filter_map(|state| state.tried_again).max().filter(|at| at > now) {
        add(format!("nobody asked, again in {}", clock(at.saturating_sub(*now))), &warn);
    }
    let mut alerts: Vec<String> = states
        .iter()
        .flat_map(|state| &state.alerts)
        .map(|alert| clean(&crate::report::clean::bounded(alert, NAME)))
        .collect();
    alerts.sort();
    alerts.dedup();
    if !alerts.is_empty() {
        let word = if alerts.len() == 1 { "alert" } else { "alerts" };
        add(format!("{word}: {}", alerts.join(", ")), &bad);
    }
    parts
}

/// `$0.42, $0.58 left`; with what requests that broke off may have cost beyond that, and what of it is not billed. More
/// than what is shown may be off the budget: what a run took before it was continued.
fn spent(states: &[State]) -> Option<String> {
    let (mut usage, mut uncertain, mut notional) = (Usage::default(), Usd::ZERO, Usd::ZERO);
    for state in states {
        usage += state.usage;
        uncertain += state.uncertain;
        notional += state.notional;
    }
    if usage.requests == 0 && uncertain == Usd::ZERO {
        return None;
    }
    let beyond = if uncertain == Usd::ZERO { String::new() } else { format!(" to {}", usage.usd + uncertain) };
    // All runs of the process share it: the least that one has heard of is the newest.
    let left = states.iter().filter_map(|state| state.left).min();
    let left = left.map_or_else(String::new, |left| format!(", {left} left"));
    let billed = match notional {
        Usd::ZERO => String::new(),
        all if all >= usage.usd => ", not billed".to_owned(),
        some => format!(", {some} of it not billed"),
    };
    Some(format!("{}{beyond}{billed}{left}", usage.usd))
}

/// How many may be in flight at the accounts that were asked; none before any was.
fn limit(states: &[State]) -> Option<usize> {
    let mut limits: BTreeMap<&str, usize> = BTreeMap::new();
    for state in states {
        for (account, limit) in state.limits.iter().filter(|(account, _)| state.accounts.contains(*account)) {
            limits.insert(account, *limit);
        }
    }
    (!limits.is_empty()).then(|| limits.values().sum())
}

#[cfg(test)]
mod tests;
