//! Is it a copy?

use convoke_sdk::Finding;

use super::finding;
use crate::agent::Agent;
use crate::plan::Facts;
use convoke_sdk::text::shown;

pub(super) fn check(agent: &Agent, facts: &Facts, found: &mut Vec<Finding>) {
    let Some(nearest) = facts.near.first() else { return };
    let others: Vec<String> =
        facts.near.iter().map(|near| format!("{} ({} %)", shown(&near.path, 200), near.percent)).collect();
    let message = match nearest.percent {
        100 => format!("the instructions are the same as those of {}", others.join(", ")),
        _ => format!("the instructions are nearly the same as those of {}", others.join(", ")),
    };
    found.push(
        finding("near-duplicate", agent, agent.body_line, message)
            .fingerprint(format!("near-duplicate:{}:{}", agent.path, nearest.path))
            .help("Claude can't tell them apart: keep one, or say what each is for"),
    );
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CLEAN, rules_at};
    use super::*;
    use crate::plan::Near;

    #[test]
    fn the_other_agent_and_how_near_it_is_are_said() {
        let near = vec![Near { path: "agents/other.md".to_owned(), percent: 91 }];
        let facts = Facts { near, ..Facts::default() };
        assert_eq!(rules_at("agents/code-reader.md", CLEAN, &facts), [("near-duplicate".to_owned(), 7)]);
        let found = super::super::check(&Agent::new("agents/code-reader.md", CLEAN), &facts);
        assert!(found[0].message.contains("agents/other.md (91 %)"), "{}", found[0].message);
    }
}
