//! For terminals: lines that change in place.

use std::sync::Arc;
use std::time::Duration;

use convoke_runtime::event::{Event, Fact};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use textwrap::{Options, WordSplitter};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Detail;
use super::eta::{Eta, Left};
use super::frame::{Look, View, frame};
use super::plain::{front, said, stopping};
use super::screen::Lines;
use super::state::State;
use super::streams::Streams;

/// How often it is drawn, and heard what was told meanwhile: often enough to look alive, and nobody who tells has to wake
/// who draws.
const TICK: Duration = Duration::from_millis(100);

/// Narrower than this, a text is not wrapped to fit but breaks out.
const NARROWEST: usize = 20;

/// Shows them until they have ended, or until it is over.
pub(super) async fn show(mut streams: Streams, detail: Detail, over: CancellationToken) {
    let mut screen = Screen::new(detail);
    let mut scene =
        Scene { names: streams.names(), states: streams.states(), until: None, eta: Eta::default(), detail };
    let began = Instant::now();
    let mut goes_on = true;
    while goes_on {
        let mut heard = Vec::new();
        goes_on = streams.look(TICK, &over, &mut heard).await;
        let now = began.elapsed();
        for (run, event) in heard {
            if let Some(text) = scene.hear(run, &event, now) {
                screen.say(&text);
            }
        }
        screen.draw(scene.frame(&screen.look(), now));
    }
}

/// What is shown.
struct Scene {
    names: Vec<String>,
    states: Vec<State>,
    /// Until when what is under way may go on, once the user has stopped it.
    until: Option<Duration>,
    eta: Eta,
    detail: Detail,
}

impl Scene {
    /// Takes an event in; what is said of it above the lines.
    fn hear(&mut self, run: Option<usize>, event: &Arc<Event>, now: Duration) -> Option<String> {
        let stops = match event.fact {
            Fact::Stopping { at_most } => Some(at_most),
            _ => None,
        };
        let text = stops.map(|at_most| stopping(&self.states, at_most));
        if let Some(at_most) = stops {
            self.until = Some(now + at_most);
        }
        match run {
            Some(run) => self.states[run].hear(&event.fact, now),
            None => self.states.iter_mut().for_each(|state| state.hear(&event.fact, now)),
        }
        let front = front(run.map_or("", |run| &self.names[run]));
        text.or_else(|| said(&event.fact, self.detail).map(|text| format!("{front}{text}")))
    }

    fn frame(&mut self, look: &Look, now: Duration) -> Vec<String> {
        let eta = self.eta.next(Left::of_all(&self.states, now), now);
        let stops_in = self.until.map(|until| until.saturating_sub(now));
        frame(look, &View { names: &self.names, states: &self.states, now, stops_in, eta })
    }
}

struct Screen {
    lines: Lines,
    /// All lines in one, so that they are drawn at once.
    bar: ProgressBar,
    shown: Vec<String>,
    detail: Detail,
}

impl Screen {
    fn new(detail: Detail) -> Self {
        let lines = Lines::new(MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        let bar = lines.draw(|bars| bars.add(ProgressBar::new_spinner()));
        bar.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self { lines, bar, shown: Vec::new(), detail }
    }

    /// How the terminal is now: it may have become another one.
    fn look(&self) -> Look {
        let (rows, columns) = console::Term::stderr().size();
        let (width, rows) = (usize::from(columns).max(1), usize::from(rows).max(1));
        Look { width, rows, color: self.detail.color, unicode: self.detail.unicode }
    }

    fn say(&self, text: &str) {
        let text = wrapped(text, self.look().width);
        // A terminal that can't be written to shows nothing; the report comes all the same.
        let _ = self.lines.draw(|bars| bars.println(text));
    }

    fn draw(&mut self, frame: Vec<String>) {
        // What has not changed is not drawn again.
        if self.shown != frame {
            self.lines.draw(|_| self.bar.set_message(frame.join("\n")));
            self.shown = frame;
        }
    }
}

/// A text in lines that end between words, the further ones indented, so that the terminal does not cut it anywhere.
fn wrapped(text: &str, width: usize) -> String {
    let width = width.max(NARROWEST);
    let options = Options::new(width).word_splitter(WordSplitter::NoHyphenation).subsequent_indent("  ");
    textwrap::fill(text, options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_above_the_lines_is_cut_between_words() {
        let text = "\u{1b}[33mwarning\u{1b}[0m: anthropic goes on as in safe mode for now";
        let lines = wrapped(text, 30);
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines, ["\u{1b}[33mwarning\u{1b}[0m: anthropic goes on as", "  in safe mode for now"]);
        assert_eq!(wrapped("short", 30), "short");
    }
}
