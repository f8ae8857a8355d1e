//! Numbers of any length: a date and a clock in one part of a version are longer than 64 bits.

use std::cmp::Ordering;

/// A whole number, by its decimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number(Box<str>);

impl Number {
    /// The number that these digits say. None: they are none, or something else stands between them.
    pub(super) fn new(digits: &str) -> Option<Self> {
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Self(digits.trim_start_matches('0').into()))
    }

    /// Zero.
    pub(super) fn zero() -> Self {
        Self("".into())
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_are_written() {
        let number = |digits| Number::new(digits).unwrap();
        assert!(number("9") < number("10"));
        assert!(number("99999999999999999999999999999") < number("100000000000000000000000000000"));
        assert_eq!(number("007"), number("7"));
        assert_eq!(number("000"), Number::zero());
        assert_eq!(Number::new(""), None);
        assert_eq!(Number::new("1a"), None);
        assert_eq!(Number::new("١"), None);
    }
}
