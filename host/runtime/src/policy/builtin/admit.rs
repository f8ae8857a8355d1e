//! When a question may line up.

use convoke_policy::{Admit, AdmitFacts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{During, Hours, Weekday, Wrong, within};

/// The highest rate, a minute: what is closer together than 10 ms is not told apart well.
const MOST_A_MINUTE: u32 = 6_000;

/// After so long it is looked again whether the hours have come, in milliseconds: clocks are set.
const LOOK_AGAIN_MS: u64 = 5 * 60_000;

/// A fixed rate, and hours. The defaults: neither.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdmitProfile {
    /// So many questions a minute at most, evenly spaced, 1 to 6000; none: as many as the limits allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<u32>,
    /// Only at these hours, in the user's time zone: `22:00-06:00`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// Only on these days; hours over midnight belong to the day on which they begin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<Weekday>,
    /// What becomes of a question at another time.
    pub outside: Outside,
}

/// What becomes of a question outside of the hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outside {
    /// It waits for them.
    #[default]
    Wait,
    /// It is not asked: it gets its own fallback, or fails.
    Refuse,
}

impl AdmitProfile {
    pub(super) fn check(&self) -> Result<(), Wrong> {
        within("admit.per_minute", self.per_minute, 1, MOST_A_MINUTE)
    }
}

/// Decides.
pub fn admit(profile: &AdmitProfile, facts: &AdmitFacts) -> Admit {
    let during = During { hours: profile.hours, weekdays: &profile.weekdays };
    if !during.holds(&facts.now) {
        let when = match (profile.hours, profile.weekdays.is_empty()) {
            (Some(hours), true) => format!("questions are asked at {hours}"),
            (Some(hours), false) => format!("questions are asked at {hours} on certain days"),
            (None, _) => "questions are asked on certain days".to_owned(),
        };
        let wait_ms = during.begins_in_ms(&facts.now).unwrap_or(LOOK_AGAIN_MS).clamp(1, LOOK_AGAIN_MS);
        return match profile.outside {
            Outside::Wait => Admit::Later { wait_ms, reason: when },
            Outside::Refuse => Admit::Never { reason: when },
        };
    }
    let (Some(rate), Some(since)) = (profile.per_minute, facts.since_last_ms) else { return Admit::Now };
    let apart = 60_000u64.div_ceil(u64::from(rate.max(1)));
    match apart.saturating_sub(since) {
        0 => Admit::Now,
        wait_ms => Admit::Later { wait_ms, reason: format!("{rate} a minute") },
    }
}

#[cfg(test)]
mod tests {
    use convoke_policy::Now;

    use super::*;

    #[test]
    fn a_fixed_rate_keeps_them_apart() {
        let profile = AdmitProfile { per_minute: Some(7), ..AdmitProfile::default() };
        let after = |since_last_ms| admit(&profile, &AdmitFacts { since_last_ms, ..AdmitFacts::default() });
        assert_eq!(after(None), Admit::Now);
        assert_eq!(after(Some(8_572)), Admit::Now);
        assert_eq!(after(Some(8_000)), Admit::Later { wait_ms: 572, reason: "7 a minute".to_owned() });
    }

    #[test]
    fn outside_of_its_hours_a_question_waits_or_is_refused() {
        let mut profile = AdmitProfile { hours: Some("22:00-06:00".parse().unwrap()), ..AdmitProfile::default() };
        let at = |profile: &AdmitProfile, hour, minute| {
            admit(profile, &AdmitFacts { now: Now::new(0, hour, minute, 3), ..AdmitFacts::default() })
        };
        assert_eq!(at(&profile, 23, 0), Admit::Now);
        assert!(matches!(at(&profile, 21, 59), Admit::Later { wait_ms: 60_000, .. }));
        assert!(matches!(at(&profile, 12, 0), Admit::Later { wait_ms: LOOK_AGAIN_MS, .. }));
        profile.outside = Outside::Refuse;
        assert!(matches!(at(&profile, 12, 0), Admit::Never { reason } if reason.contains("22:00-06:00")));
    }

    #[test]
    fn a_rate_of_nothing_or_of_more_than_can_be_told_apart_is_refused() {
        for wrong in [0, 6_001, u32::MAX] {
            let profile = AdmitProfile { per_minute: Some(wrong), ..AdmitProfile::default() };
            assert_eq!(profile.check().unwrap_err().key, "admit.per_minute");
        }
    }
}
