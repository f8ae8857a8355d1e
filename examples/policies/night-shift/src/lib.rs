//! Night shift: from ten at night to six in the morning every question goes to the fast and cheap tier.

use convoke_policy::{Policy, RouteFacts, RouteTo, Tier};

/// Cheap at night, as usual by day.
struct NightShift;

impl Policy for NightShift {
    fn route(&self, facts: &RouteFacts) -> RouteTo {
        match facts.now.hour {
            22.. | 0..6 => RouteTo::tier(Tier::Speed, "it is night"),
            _ => facts.built_in.clone(),
        }
    }
}

convoke_policy::export!(NightShift);

#[cfg(test)]
mod tests {
    use convoke_policy::Now;

    use super::*;

    #[test]
    fn it_is_night_from_ten_to_six() {
        let at = |hour| {
            let built_in = RouteTo::tier(Tier::Comprehensive, "as usual");
            NightShift.route(&RouteFacts { now: Now::new(0, hour, 59, 1), built_in, ..RouteFacts::default() }).tier
        };
        for hour in [22, 23, 0, 5] {
            assert_eq!(at(hour), Tier::Speed, "{hour}");
        }
        for hour in [6, 12, 21] {
            assert_eq!(at(hour), Tier::Comprehensive, "{hour}");
        }
    }
}
