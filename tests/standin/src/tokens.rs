//! Counting tokens, and the prompt cache.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// The tokens of a text: one for each four bytes begun. No tokenizer, but the same each time, and near enough.
pub(crate) fn estimate(bytes: usize) -> u64 {
    bytes.div_ceil(4) as u64
}

/// A prefix of a request that ends in a block with `cache_control`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// What identifies its content, the model and the account.
    pub(crate) key: u64,
    /// Its tokens, from the start of the request.
    pub(crate) tokens: u64,
    /// How long it is kept after its last use.
    pub(crate) ttl: Duration,
}

/// How the input of a request is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Input {
    pub(crate) fresh: u64,
    pub(crate) read: u64,
    pub(crate) written: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    from: Instant,
    until: Instant,
}

/// Prefixes that were sent before. One can be read from when the answer that wrote it has begun; until then, and once
/// its time without use is over, the same prefix is written again.
#[derive(Debug, Default)]
pub(crate) struct PromptCache {
    entries: HashMap<u64, Entry>,
}

impl PromptCache {
    /// How the input would be counted now. Changes nothing: a request may still be turned away.
    pub(crate) fn look(&self, total: u64, prefixes: &[Prefix], minimum: u64, now: Instant) -> Input {
        let usable = || prefixes.iter().filter(|prefix| prefix.tokens >= minimum);
        let read = usable()
            .filter(|prefix| self.entries.get(&prefix.key).is_some_and(|entry| entry.from <= now && now < entry.until))
            .map(|prefix| prefix.tokens)
            .max()
            .unwrap_or(0);
        let longest = usable().map(|prefix| prefix.tokens).max().unwrap_or(0);
        let written = longest.saturating_sub(read);
        Input { fresh: total.saturating_sub(read + written), read, written }
    }

    /// Keeps the prefixes of a request whose answer begins at `first_token`.
    pub(crate) fn keep(&mut self, prefixes: &[Prefix], minimum: u64, now: Instant, first_token: Instant) {
        self.entries.retain(|_, entry| now < entry.until);
        for prefix in prefixes.iter().filter(|prefix| prefix.tokens >= minimum) {
            let until = first_token + prefix.ttl;
            let entry = self.entries.entry(prefix.key).or_insert(Entry { from: first_token, until });
            entry.from = entry.from.min(first_token);
            entry.until = entry.until.max(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE_MINUTES: Duration = Duration::from_secs(300);

    #[test]
    fn a_prefix_is_written_until_the_first_answer_has_begun_then_read_for_five_minutes() {
        let now = Instant::now();
        let begun = now + Duration::from_secs(2);
        let prefix = Prefix { key: 1, tokens: 1_000, ttl: FIVE_MINUTES };
        let mut cache = PromptCache::default();
        let written = Input { fresh: 50, read: 0, written: 1_000 };
        let read = Input { fresh: 50, read: 1_000, written: 0 };

        assert_eq!(cache.look(1_050, &[prefix], 500, now), written);
        cache.keep(&[prefix], 500, now, begun);
        assert_eq!(cache.look(1_050, &[prefix], 500, now + Duration::from_secs(1)), written);
        assert_eq!(cache.look(1_050, &[prefix], 500, begun), read);
        assert_eq!(cache.look(1_050, &[prefix], 500, begun + FIVE_MINUTES), written);
        cache.keep(&[prefix], 500, begun + Duration::from_secs(200), begun + Duration::from_secs(200));
        assert_eq!(cache.look(1_050, &[prefix], 500, begun + FIVE_MINUTES), read);
    }

    #[test]
    fn below_the_minimum_nothing_is_cached_and_a_longer_prefix_writes_only_the_difference() {
        let now = Instant::now();
        let short = Prefix { key: 1, tokens: 1_000, ttl: FIVE_MINUTES };
        let long = Prefix { key: 2, tokens: 1_400, ttl: FIVE_MINUTES };
        let mut cache = PromptCache::default();
        cache.keep(&[short], 1_024, now, now);
        assert_eq!(cache.look(1_500, &[short], 1_024, now), Input { fresh: 1_500, read: 0, written: 0 });
        cache.keep(&[short], 500, now, now);
        assert_eq!(cache.look(1_500, &[short, long], 500, now), Input { fresh: 100, read: 1_000, written: 400 });
    }
}
