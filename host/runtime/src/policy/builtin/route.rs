//! Which tier a question goes to.

use convoke_policy::{RouteFacts, RouteTo, Tier};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{During, Hours, Weekday, Wrong, is_among};

/// The most rules.
const RULES: usize = 100;

/// Rules over what the user, the question and the rule of the tiers say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RouteProfile {
    /// The first that applies decides; where none does, the question goes where it would go without.
    pub rules: Vec<RouteRule>,
}

/// A tier for some questions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteRule {
    /// The tier that they go to.
    pub tier: RuleTier,
    /// Only at these hours, in the user's time zone: `22:00-06:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// Only on these days; hours over midnight belong to the day on which they begin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<Weekday>,
    /// Only of these commands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Only in these roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Why, for the user.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A tier that a rule can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RuleTier {
    /// The fast and cheap one.
    Speed,
    /// The thorough and dear one.
    Comprehensive,
}

impl RuleTier {
    fn tier(self) -> Tier {
        match self {
            Self::Speed => Tier::Speed,
            Self::Comprehensive => Tier::Comprehensive,
        }
    }
}

impl RouteProfile {
    pub(super) fn check(&self) -> Result<(), Wrong> {
        if self.rules.len() > RULES {
            return Err(Wrong::new("route.rules", format!("there are {}; {RULES} can be", self.rules.len())));
        }
        let long = |rule: &RouteRule| rule.reason.len() > convoke_policy::LONGEST_REASON;
        match self.rules.iter().position(long) {
            Some(place) => Err(Wrong::new(format!("route.rules.{place}.reason"), "it is longer than 500 bytes")),
            None => Ok(()),
        }
    }
}

impl RouteRule {
    fn applies(&self, facts: &RouteFacts) -> bool {
        During { hours: self.hours, weekdays: &self.weekdays }.holds(&facts.now)
            && is_among(&facts.command, &self.commands)
            && is_among(&facts.role, &self.roles)
    }
}

/// Decides. `facts.otherwise` is where the question would go without rules.
pub fn route(profile: &RouteProfile, facts: &RouteFacts) -> RouteTo {
    let Some(rule) = profile.rules.iter().find(|rule| rule.applies(facts)) else { return facts.otherwise.clone() };
    let reason = match (rule.reason.as_str(), rule.hours) {
        ("", Some(hours)) => format!("a rule of the policy for {hours}"),
        ("", None) => "a rule of the policy".to_owned(),
        (reason, _) => reason.to_owned(),
    };
    RouteTo::tier(rule.tier.tier(), reason)
}

#[cfg(test)]
mod tests {
    use convoke_policy::Now;

    use super::*;

    fn night() -> RouteProfile {
        let rule = r#"{"rules": [
            {"tier": "comprehensive", "roles": ["security-auditor"]},
            {"tier": "speed", "hours": "22:00-06:00", "commands": ["audit"]}
        ]}"#;
        serde_json::from_str(rule).unwrap()
    }

    fn facts(hour: u8, command: &str, role: &str) -> RouteFacts {
        RouteFacts {
            now: Now::new(0, hour, 30, 2),
            command: command.to_owned(),
            role: role.to_owned(),
            otherwise: RouteTo::tier(Tier::Comprehensive, "as ever"),
            ..RouteFacts::default()
        }
    }

    #[test]
    fn at_night_the_cheap_tier_is_asked_and_the_first_rule_that_applies_decides() {
        let tier = |facts| route(&night(), &facts).tier;
        assert_eq!(tier(facts(23, "audit", "tester")), Tier::Speed);
        assert_eq!(tier(facts(23, "audit", "security-auditor")), Tier::Comprehensive);
        assert_eq!(route(&night(), &facts(12, "audit", "tester")).reason, "as ever");
        assert_eq!(route(&night(), &facts(23, "docs", "tester")).reason, "as ever");
        assert_eq!(route(&night(), &facts(23, "audit", "")).reason, "a rule of the policy for 22:00-06:00");
    }
}
