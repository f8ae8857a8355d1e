//! Money, exactly.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Sub};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// US dollars at list price, in whole picodollars (10⁻¹²), so that a price a token and sums of it are exact.
///
/// The largest amount is about 18 million dollars; sums stay there instead of wrapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(u64);

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    const PICO: f64 = 1e12;

    /// From picodollars.
    pub const fn from_pico(pico: u64) -> Self {
        Self(pico)
    }

    /// The picodollars.
    pub const fn pico(self) -> u64 {
        self.0
    }

    /// From dollars, rounded up to the next picodollar: an estimate must not be too low. Negative or NaN: nothing.
    pub fn from_dollars(dollars: f64) -> Self {
        Self((dollars * Self::PICO).ceil() as u64)
    }

    /// For people and JSON.
    pub fn dollars(self) -> f64 {
        self.0 as f64 / Self::PICO
    }

    /// As much as is left, or nothing.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Usd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Usd {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.saturating_sub(other)
    }
}

/// The price of so many tokens.
impl Mul<u64> for Usd {
    type Output = Self;
    fn mul(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// `$12.40` from a dollar on, `$0.0312` from a cent on, and below that the first two digits that are not zero:
/// `$0.000021`.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dollars = self.dollars();
        let digits = match self.0 {
            0 | DOLLAR.. => 2,
            CENT.. => 4,
            // A picodollar is the twelfth digit.
            below => (13 - below.ilog10() as usize).min(12),
        };
        write!(f, "${dollars:.digits$}")
    }
}

const DOLLAR: u64 = 1_000_000_000_000;
const CENT: u64 = DOLLAR / 100;

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.dollars())
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // To the nearest, and not up: what was written is read as it was.
        f64::deserialize(deserializer).map(|dollars| Self((dollars * Self::PICO).round() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_tokens_at_ten_cents_a_million_cost_ten_cents() {
        let a_token = Usd::from_pico(100_000);
        assert_eq!((a_token * 1_000_000).dollars(), 0.1);
        assert_eq!((a_token * 1_000_000).to_string(), "$0.1000");
    }

    #[test]
    fn what_was_written_is_read_as_it_was() {
        for pico in (0..200_000_u64).map(|number| number * 7_919 + number % 13) {
            let usd = Usd::from_pico(pico);
            let back: Usd = serde_json::from_str(&serde_json::to_string(&usd).unwrap()).unwrap();
            assert_eq!(back, usd);
        }
    }

    #[test]
    fn no_cost_is_shown_as_nothing() {
        let shown = |pico| Usd::from_pico(pico).to_string();
        assert_eq!([0, DOLLAR, 12_400_000_000_000].map(shown), ["$0.00", "$1.00", "$12.40"]);
        assert_eq!([312_000_000_000 / 10, CENT].map(shown), ["$0.0312", "$0.0100"]);
        assert_eq!([21_000_000, 4_200_000_000, 999_999_999].map(shown), ["$0.000021", "$0.0042", "$0.00100"]);
        assert_eq!([1, 10, 99].map(shown), ["$0.000000000001", "$0.000000000010", "$0.000000000099"]);
    }

    #[test]
    fn sums_neither_wrap_nor_go_below_nothing() {
        assert_eq!(Usd::from_pico(u64::MAX) + Usd::from_pico(1), Usd::from_pico(u64::MAX));
        assert_eq!(Usd::ZERO - Usd::from_pico(1), Usd::ZERO);
        assert_eq!(Usd::from_dollars(f64::NAN), Usd::ZERO);
        assert_eq!(Usd::from_dollars(-1.0), Usd::ZERO);
    }
}
