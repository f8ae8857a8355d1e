//! Two tiers compared: each question goes to one of them.
//!
//! The draw is a digest of the question's content, so that the same question goes the same way in every run, and a
//! repeated run pays for nothing twice.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::question::{Question, Tier};

/// All questions, in hundredths of a percent.
const ALL: u32 = 10_000;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbTest {
    first: Tier,
    second: Tier,
    share: u32,
}

impl AbTest {
    /// The first tier gets the questions, and the second this share of them, in hundredths of a percent: 1 to 9,999.
    /// None where the share is another, or the tiers are not `speed` and `comprehensive` in either order.
    pub fn new(first: Tier, second: Tier, share: u32) -> Option<Self> {
        let two = first != second && first != Tier::Auto && second != Tier::Auto;
        (two && (1..ALL).contains(&share)).then_some(Self { first, second, share })
    }

    /// The two tiers, in the order in which they are shown.
    pub fn arms(&self) -> [Tier; 2] {
        [self.first, self.second]
    }

    /// The share of each of the [`arms`](Self::arms), in percent.
    pub fn percent(&self) -> [f64; 2] {
        [f64::from(ALL - self.share) / 100.0, f64::from(self.share) / 100.0]
    }

    /// The tier of a question.
    pub fn arm(&self, question: &Question) -> Tier {
        if draw(question) < self.share { self.second } else { self.first }
    }
}

/// 0 to 9,999, by all that shapes the answer.
fn draw(question: &Question) -> u32 {
    let mut digest = Sha256::new_with_prefix(b"convoke ab 1");
    let schema = question.schema.as_ref().map(ToString::to_string);
    let length = question.max_output_tokens.map(|tokens| tokens.to_string());
    let texts = [
        Some(question.role.as_str()),
        question.system.as_deref(),
        question.context.as_deref(),
        Some(question.prompt.as_str()),
        schema.as_deref(),
        length.as_deref(),
    ];
    for text in texts.into_iter().chain(question.tools.iter().map(|tool| Some(tool.as_str()))) {
        // No text has this length, so none and an empty one differ.
        digest.update(text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
        digest.update(text.unwrap_or_default());
    }
    let bytes: [u8; 32] = digest.finalize().into();
    let (number, _) = bytes.split_at(8);
    let number = number.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    u32::try_from(number % u64::from(ALL)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(number: usize) -> Question {
        Question { prompt: format!("Is number {number} good?"), ..Question::default() }
    }

    #[test]
    fn the_same_question_always_goes_the_same_way() {
        let ab = AbTest::new(Tier::Speed, Tier::Comprehensive, 2_000).unwrap();
        let other = Question { priority: 9, repeatable: true, fallback: Some("x".to_owned()), ..question(1) };
        assert_eq!(ab.arm(&question(1)), ab.arm(&other), "only what shapes the answer counts");
        let drawn: Vec<u32> = (0..4).map(|number| draw(&question(number))).collect();
        assert_eq!(drawn, [4_903, 7_017, 2_165, 3_529], "results of earlier runs must be found");
    }

    #[test]
    fn twenty_percent_are_about_a_fifth() {
        let ab = AbTest::new(Tier::Speed, Tier::Comprehensive, 2_000).unwrap();
        let second = (0..5_000).filter(|number| ab.arm(&question(*number)) == Tier::Comprehensive).count();
        assert!((900..1_100).contains(&second), "{second}");
        assert_eq!(ab.percent(), [80.0, 20.0]);
    }

    #[test]
    fn a_test_needs_two_tiers_and_a_share_of_both() {
        for (first, second, share) in [
            (Tier::Speed, Tier::Speed, 5_000),
            (Tier::Auto, Tier::Speed, 5_000),
            (Tier::Speed, Tier::Comprehensive, 0),
            (Tier::Speed, Tier::Comprehensive, 10_000),
        ] {
            assert_eq!(AbTest::new(first, second, share), None);
        }
        let turned = AbTest::new(Tier::Comprehensive, Tier::Speed, 1).unwrap();
        assert_eq!(turned.arms(), [Tier::Comprehensive, Tier::Speed]);
    }
}
