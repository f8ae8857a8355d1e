//! When an answer is ended.

use convoke_policy::{Watch, WatchFacts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Wrong, within};

/// What an answer may take at most, beside what the question and the limits allow. The defaults: no more than those.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WatchProfile {
    /// Seconds from sending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_s: Option<u64>,
    /// Tokens of the answer, estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Uses of a tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<u32>,
    /// Dollars at list price, estimated; what has no known price is not ended for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
}

impl WatchProfile {
    pub(super) fn check(&self) -> Result<(), Wrong> {
        within("watch.longest_s", self.longest_s, 1, 86_400)?;
        within("watch.output_tokens", self.output_tokens, 1, 1_000_000_000)?;
        within("watch.tool_calls", self.tool_calls, 1, 1_000_000)?;
        within("watch.usd", self.usd, 0.000_001, 1_000_000.0)
    }

    /// Whether it can end anything.
    pub fn is_set(&self) -> bool {
        *self != Self::default()
    }
}

/// Decides.
pub fn watch(profile: &WatchProfile, facts: &WatchFacts) -> Watch {
    let kill = |what: String| Watch::Kill { reason: what };
    match profile {
        WatchProfile { longest_s: Some(most), .. } if facts.elapsed_ms >= most.saturating_mul(1_000) => {
            kill(format!("it takes longer than {most} s"))
        }
        WatchProfile { output_tokens: Some(most), .. } if facts.output_tokens > *most => {
            kill(format!("it has more than {most} tokens"))
        }
        WatchProfile { tool_calls: Some(most), .. } if facts.tool_calls > *most => {
            kill(format!("it used tools more than {most} times"))
        }
        WatchProfile { usd: Some(most), .. } if facts.usd.is_some_and(|usd| usd > *most) => {
            kill(format!("it takes more than ${most}"))
        }
        _ => Watch::GoOn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_ends_an_answer_and_none_lets_it_go_on() {
        let facts = WatchFacts {
            elapsed_ms: 10_000,
            output_tokens: 500,
            tool_calls: 3,
            usd: Some(0.5),
            ..WatchFacts::default()
        };
        assert_eq!(watch(&WatchProfile::default(), &facts), Watch::GoOn);
        let none = WatchProfile::default;
        for (tight, loose) in [
            (WatchProfile { longest_s: Some(10), ..none() }, WatchProfile { longest_s: Some(11), ..none() }),
            (WatchProfile { output_tokens: Some(499), ..none() }, WatchProfile { output_tokens: Some(500), ..none() }),
            (WatchProfile { tool_calls: Some(2), ..none() }, WatchProfile { tool_calls: Some(3), ..none() }),
            (WatchProfile { usd: Some(0.49), ..none() }, WatchProfile { usd: Some(0.5), ..none() }),
        ] {
            assert!(matches!(watch(&tight, &facts), Watch::Kill { .. }), "{tight:?}");
            assert_eq!(watch(&loose, &facts), Watch::GoOn, "{loose:?}");
            assert!(tight.is_set() && tight.check().is_ok());
        }
    }

    #[test]
    fn zero_and_what_is_no_number_are_refused() {
        let none = WatchProfile::default;
        for (wrong, key) in [
            (WatchProfile { longest_s: Some(0), ..none() }, "watch.longest_s"),
            (WatchProfile { tool_calls: Some(0), ..none() }, "watch.tool_calls"),
            (WatchProfile { usd: Some(f64::NAN), ..none() }, "watch.usd"),
            (WatchProfile { usd: Some(-1.0), ..none() }, "watch.usd"),
            (WatchProfile { usd: Some(f64::INFINITY), ..none() }, "watch.usd"),
        ] {
            assert_eq!(wrong.check().unwrap_err().key, key);
        }
    }
}
