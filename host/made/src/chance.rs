//! Chance that repeats itself.

use std::ops::RangeInclusive;

/// Random numbers that are the same for the same seed, on every machine and in every version: what was once made from
/// them is compared with what is made later. SplitMix64, which is no secret to anybody.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// From this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From a text, and whatever else makes it different from others.
    pub fn of(text: &str, seed: u64) -> Self {
        // FNV-1a: short, and the same for ever.
        let hash = text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self(hash ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next number.
    pub const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound; 0 where the bound is.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u128;
        // The product is below the bound, shifted: it fits.
        usize::try_from((u128::from(self.number()) * bound) >> 64).unwrap_or(0)
    }

    /// A count of a range; its start where the range is empty.
    pub fn count(&mut self, range: &RangeInclusive<usize>) -> usize {
        let width = range.end().saturating_sub(*range.start()).saturating_add(1);
        range.start().saturating_add(self.below(width))
    }

    /// A whole number of a range; its start where the range is empty.
    pub fn integer(&mut self, range: &RangeInclusive<i64>) -> i64 {
        let width = (i128::from(*range.end()) - i128::from(*range.start()) + 1).max(1);
        let place = (u128::from(self.number()) * width.unsigned_abs()) >> 64;
        i64::try_from(i128::from(*range.start()) + place.cast_signed()).unwrap_or(*range.start())
    }

    /// From 0 up to, but not, 1.
    pub fn share(&mut self) -> f64 {
        // A double holds 53 bits exactly.
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Yes or no.
    pub const fn coin(&mut self) -> bool {
        self.number() >> 63 == 1
    }

    /// So many bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.number().to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_yesterday_is_made_today() {
        let mut chance = Chance::new(1);
        assert_eq!([chance.number(), chance.number()], [0x910a_2dec_8902_5cc1, 0xbeeb_8da1_658e_ec67]);
        assert_ne!(Chance::of("a", 1).number(), Chance::of("b", 1).number());
        assert_ne!(Chance::of("a", 1).number(), Chance::of("a", 2).number());
    }

    #[test]
    fn numbers_are_in_their_range_and_reach_its_ends() {
        let mut chance = Chance::new(7);
        let seen: std::collections::BTreeSet<i64> = (0..200).map(|_| chance.integer(&(-2..=2))).collect();
        assert_eq!(seen, (-2..=2).collect());
        let seen: std::collections::BTreeSet<usize> = (0..200).map(|_| chance.count(&(3..=5))).collect();
        assert_eq!(seen, (3..=5).collect());
        assert_eq!(chance.below(0), 0);
        assert!((0..1_000).map(|_| chance.share()).all(|share| (0.0..1.0).contains(&share)));
        chance.integer(&(i64::MIN..=i64::MAX));
    }
}
