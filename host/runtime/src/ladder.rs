//! What becomes of a run in which a part has failed.
//!
//! An item whose questions failed in a way that passes by itself is set aside and done again when the others are done. How
//! is one rule, [`partial_failure_recovery`]; an item that fails again in the [same words](same_words) is left alone.

use std::iter::Peekable;
use std::str::Chars;

use crate::policy::builtin::PartialProfile;

/// How much of a run has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Items that were tried.
    pub tried: usize,
    /// Of those, the ones that failed in a way that passes by itself.
    pub failed: usize,
    /// Workers that were started.
    pub workers: usize,
    /// Of those, the ones that died.
    pub died: usize,
}

/// How a run goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recovery {
    /// As before.
    #[default]
    GoOn,
    /// Those that failed are done again, one by one; the others as before.
    AgainOneByOne,
    /// All the rest is done one by one.
    Sequential,
}

/// How a run goes on after a partial failure. The design's rule:
///
/// | workers that died | items that failed | |
/// |---|---|---|
/// | more than 50 % | any | all the rest one by one |
/// | others | none | as before |
/// | others | under 30 % of those tried | those again, one by one |
/// | others | 30 % or more | all the rest one by one |
pub fn partial_failure_recovery(profile: &PartialProfile, tally: &Tally) -> Recovery {
    if tally.died as f64 > tally.workers as f64 * profile.workers {
        Recovery::Sequential
    } else if tally.failed == 0 {
        Recovery::GoOn
    } else if (tally.failed as f64) < tally.tried as f64 * profile.items {
        Recovery::AgainOneByOne
    } else {
        Recovery::Sequential
    }
}

/// The words of a failure without what differs from one time to the next: numbers, ids and times, the case of letters,
/// and how often it was asked. Two failures of equal words are the same failure.
pub fn same_words(words: &str) -> String {
    let own = [" (asked ", " (the retry budget is spent"].iter().filter_map(|end| words.find(end)).min();
    let mut rest = words[..own.unwrap_or(words.len())].chars().peekable();
    let mut same = String::new();
    while let Some(word) = next_word(&mut rest) {
        if !same.is_empty() {
            same.push(' ');
        }
        // A number, an id or a time has a digit in it. Words don't.
        same.push_str(if word.chars().any(|c| c.is_ascii_digit()) { "#" } else { &word });
    }
    same
}

/// The next run of letters, digits and what stands within ids and times, in lower case.
fn next_word(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let is_part = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
    while rest.next_if(|c| !is_part(c)).is_some() {}
    let mut word = String::new();
    while let Some(c) = rest.next_if(is_part) {
        word.extend(c.to_lowercase());
    }
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn recovery(tried: usize, failed: usize, workers: usize, died: usize) -> Recovery {
        partial_failure_recovery(&PartialProfile::default(), &Tally { tried, failed, workers, died })
    }

    #[test]
    fn under_thirty_in_a_hundred_are_done_again_and_from_thirty_on_all_the_rest_is_done_one_by_one() {
        assert_eq!(recovery(100, 0, 8, 0), Recovery::GoOn);
        assert_eq!(recovery(100, 1, 8, 0), Recovery::AgainOneByOne);
        assert_eq!(recovery(100, 29, 8, 0), Recovery::AgainOneByOne);
        assert_eq!(recovery(100, 30, 8, 0), Recovery::Sequential);
        assert_eq!(recovery(1, 1, 1, 0), Recovery::Sequential);
    }

    #[test]
    fn when_more_than_half_of_the_workers_died_all_the_rest_is_done_one_by_one() {
        assert_eq!(recovery(100, 0, 8, 4), Recovery::GoOn);
        assert_eq!(recovery(100, 0, 8, 5), Recovery::Sequential);
        assert_eq!(recovery(100, 1, 8, 5), Recovery::Sequential);
        assert_eq!(recovery(0, 0, 0, 0), Recovery::GoOn);
    }

    #[test]
    fn numbers_ids_and_times_make_no_other_failure() {
        let one = "529: the provider has too much to do (request req_011CX, at 2026-11-21T06:12:00Z) (asked 4 times)";
        let two = "529: The provider has too much to do (request req_9f8e7d, at 2026-11-21T07:00:59Z)";
        assert_eq!(same_words(one), same_words(two));
        assert_eq!(same_words(one), "# the provider has too much to do request # at #");
        assert_ne!(same_words(one), same_words("500: the provider failed"));
        assert_eq!(same_words("no answer within 120 s"), same_words("no answer within 5 s"));
    }

    proptest! {
        #[test]
        fn it_follows_its_table(tried in 0usize..500, failed in 0usize..500, workers in 0usize..100, died in 0usize..100) {
            let (failed, died) = (failed.min(tried), died.min(workers));
            // The same rule in whole numbers.
            let expected = match (2 * died > workers, failed) {
                (true, _) => Recovery::Sequential,
                (false, 0) => Recovery::GoOn,
                (false, failed) if 10 * failed < 3 * tried => Recovery::AgainOneByOne,
                _ => Recovery::Sequential,
            };
            prop_assert_eq!(recovery(tried, failed, workers, died), expected);
        }

        #[test]
        fn a_number_makes_no_other_failure_whatever_the_words(words in ".{0,200}", number: u64) {
            let with = |number: u64| same_words(&format!("request {number} failed: {words}"));
            prop_assert_eq!(with(number), with(7));
        }
    }
}
