//! The description, by which Claude decides whether to call an agent.

use convoke_sdk::Finding;

use super::finding;
use crate::agent::Agent;

/// The most characters of a description. All descriptions stand in the context of every conversation.
const LONGEST: usize = 1_024;

pub(super) fn check(agent: &Agent, found: &mut Vec<Finding>) {
    let line = agent.front.line("description");
    let Some(description) = agent.front.text("description") else {
        // In broken YAML, text on several lines can't be read, so it may well be there.
        if agent.front.is_whole() {
            let message = "there is no description: Claude has nothing to choose this agent by";
            found.push(
                finding("description-missing", agent, line, message)
                    .help("add `description:` with what it does and when to use it"),
            );
        }
        return;
    };
    if !says_when(description) {
        let message = "the description doesn't say when to use this agent";
        found.push(
            finding("description-no-trigger", agent, line, message)
                .help("begin it with \"Use this agent when …\", and name the situation"),
        );
    }
    let length = description.chars().count();
    if length > LONGEST {
        let message = format!("the description has {length} characters, more than {LONGEST}");
        found.push(
            finding("description-too-long", agent, line, message)
                .help("every conversation carries it: move examples and details into the instructions"),
        );
    }
}

/// What says when, wherever it stands. Each begins at a word.
const SAYS_WHEN: &[&str] = &[
    "when ",
    "whenever",
    "proactively",
    "must be used",
    "invoke",
    "trigger",
    "delegate",
    "called for",
    "call this",
    "asks for",
    "asks to",
    "asks about",
    "asks how",
    "asked to",
    "asked for",
    "wants to",
    "needs to",
    "is needed",
    "for tasks",
    "for questions",
    "<example>",
    "if you ",
    "if the ",
    "if a ",
    "before you ",
    "after you ",
    "after each ",
    "after every ",
    "before each ",
    "before every ",
    "immediately after",
    "right after",
    "ideal for",
    "best for",
    "use this",
    "use it",
    "used for",
    "used to",
    "useful for",
    "suited for",
    "run after",
    "run before",
    "run this",
];

/// Whether it says when to use the agent: by one of these phrases, or a sentence that begins with "Use" ("Use for…",
/// "Use after…").
fn says_when(description: &str) -> bool {
    let text: String = description.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    let at_word = |at: usize| !text[..at].ends_with(|before: char| before.is_alphanumeric());
    let begins_with_use = || {
        let first = |sentence: &str| matches!(sentence.split_whitespace().next(), Some("use" | "employ" | "activate"));
        text.split(['.', '!', ';', '—', '\n', ':'])
            .any(|sentence| first(sentence.trim_start_matches([' ', '"', '*', '('])))
    };
    SAYS_WHEN.iter().any(|phrase| text.match_indices(phrase).any(|(at, _)| at_word(at))) || begins_with_use()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{clean, only, with};
    use super::*;

    const OLD: &str = "Explains code. Use this agent when somebody asks how a part of the system works.";

    #[test]
    fn a_missing_description_is_found() {
        only(&with(&format!("description: {OLD}\n"), ""), "description-missing", 1);
        only(&with(OLD, "''"), "description-missing", 3);
    }

    #[test]
    fn a_description_without_an_occasion_is_found() {
        only(
            &with(
                OLD,
                "Expert Terragrunt specialist mastering infrastructure orchestration, DRY configurations, and multi-environment deployments.",
            ),
            "description-no-trigger",
            3,
        );
        only(&with(OLD, "Whenceforth a seasoned user of tools"), "description-no-trigger", 3);
    }

    #[test]
    fn there_are_many_ways_to_say_when() {
        for text in [
            "Use for orchestrating IT operations across domains.",
            "\"Use to organize shared state.\"",
            "Reviews code. MUST BE USED before merging.",
            "Reviews code right after it was written",
            "Deploys. Invoke for rollbacks.",
            "Answers questions if the user asks about billing",
            "Database expert; use proactively.",
        ] {
            assert!(says_when(text), "{text}");
        }
    }

    #[test]
    fn a_description_of_more_than_1024_characters_is_found() {
        only(&with(OLD, &format!("Use when {}", "é".repeat(1_016))), "description-too-long", 3);
        clean(&with(OLD, &format!("Use when {}", "é".repeat(1_015))));
    }
}
