//! How fast an answer comes, for those who watch.

use std::time::Duration;

use tokio::time::Instant;

use crate::question::StreamEvent;
use crate::route::BYTES_PER_TOKEN;
use crate::timeline::STALLED;

/// Nobody reads faster.
const EVERY: Duration = Duration::from_millis(200);

/// Before, a rate is chance.
const ENOUGH: Duration = Duration::from_millis(500);

/// The longest name of a tool that is told, in characters. A model may make one up.
const LONGEST_TOOL: usize = 40;

/// Follows one answer.
#[derive(Debug, Default)]
pub(super) struct Pace {
    first: Option<Instant>,
    told: Option<Instant>,
    bytes: u64,
    tool: Option<String>,
    heard: Option<Instant>,
}

impl Pace {
    /// Hears an event; what is to be told now, if it is time: tokens a second, estimated, and the last tool. Of a model that
    /// thinks there is neither, but it has not stalled.
    pub(super) fn hears(&mut self, event: &StreamEvent, now: Instant) -> Option<(Option<u32>, Option<String>)> {
        self.heard = Some(now);
        match event {
            StreamEvent::Text(text) if !text.is_empty() => {
                self.first.get_or_insert(now);
                self.bytes += text.len() as u64;
            }
            StreamEvent::Tool { name, .. } => self.tool = Some(name.chars().take(LONGEST_TOOL).collect()),
            StreamEvent::Restarted(_) => *self = Self { told: self.told, heard: self.heard, ..Self::default() },
            StreamEvent::Thinking => {}
            StreamEvent::Started | StreamEvent::Text(_) => return None,
        }
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < EVERY) {
            return None;
        }
        let rate = self.rate(now);
        if rate.is_none() && self.tool.is_none() && !matches!(event, StreamEvent::Thinking) {
            return None;
        }
        self.told = Some(now);
        Some((rate, self.tool.clone()))
    }

    /// How long nothing was heard before now, and the tool that was used before, if the answer has stalled.
    pub(super) fn silence(&self, now: Instant) -> Option<(Duration, Option<String>)> {
        let lasted = now.saturating_duration_since(self.heard?);
        (lasted >= STALLED).then(|| (lasted, self.tool.clone()))
    }

    fn rate(&self, now: Instant) -> Option<u32> {
        let took = now.saturating_duration_since(self.first?);
        if took < ENOUGH {
            return None;
        }
        let tokens = self.bytes.div_ceil(BYTES_PER_TOKEN) as f64;
        Some((tokens / took.as_secs_f64()).round() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: usize) -> StreamEvent {
        StreamEvent::Text("x".repeat(bytes))
    }

    #[test]
    fn four_hundred_bytes_in_a_second_are_a_hundred_tokens_a_second() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!(pace.hears(&text(200), start), None);
        assert_eq!(pace.hears(&text(200), start + Duration::from_secs(1)), Some((Some(100), None)));
    }

    #[test]
    fn five_seconds_without_a_sign_are_a_stall_and_thinking_is_a_sign() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(pace.silence(after(60)), None, "nothing has begun");
        pace.hears(&text(40), start);
        assert_eq!((pace.silence(after(4)), pace.silence(after(9))), (None, Some((Duration::from_secs(9), None))));
        pace.hears(&StreamEvent::Thinking, after(9));
        assert_eq!(pace.silence(after(12)), None);
    }

    #[test]
    fn it_is_told_at_most_five_times_a_second() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let told = (0..2_000).filter(|n| pace.hears(&text(4), start + Duration::from_millis(*n)).is_some()).count();
        assert!((5..=10).contains(&told), "{told} in two seconds");
    }

    #[test]
    fn the_last_tool_is_told_at_once_and_its_name_is_bounded() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let told = pace.hears(&StreamEvent::tool("x".repeat(500), "{}"), start);
        assert_eq!(told, Some((None, Some("x".repeat(LONGEST_TOOL)))));
    }

    #[test]
    fn a_model_that_thinks_is_told_to_be_alive() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let after = |millis| start + Duration::from_millis(millis);
        assert_eq!(pace.hears(&StreamEvent::Started, start), None);
        let told = [100, 200, 400, 9_000].map(|millis| pace.hears(&StreamEvent::Thinking, after(millis)));
        assert_eq!(told, [Some((None, None)), None, Some((None, None)), Some((None, None))]);
    }
}
