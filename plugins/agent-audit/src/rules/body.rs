//! The instructions.

use convoke_sdk::Finding;

use super::finding;
use crate::agent::Agent;
use crate::text::words;

/// Fewer words than this are no instructions. The shortest of 158 published agents has over 150.
const FEWEST_WORDS: usize = 30;
/// More bytes than this, about 6,000 tokens, are very long. The longest of 158 published agents has half of it.
const MOST_BYTES: usize = 24_000;

pub(super) fn check(agent: &Agent, found: &mut Vec<Finding>) {
    let line = agent.body_lines().find(|(_, line)| !line.trim().is_empty()).map_or(agent.body_line, |(line, _)| line);
    let count = words(agent.body).take(FEWEST_WORDS).count();
    if agent.body.trim().is_empty() {
        // The line may be one past the end of the file; the last one that is there is meant.
        let last = u32::try_from(agent.text.lines().count()).unwrap_or(u32::MAX);
        let message = "there are no instructions below the front matter";
        found.push(finding("body-empty", agent, agent.body_line.min(last), message));
    } else if count < FEWEST_WORDS {
        let message = format!("the instructions have only {count} {}", if count == 1 { "word" } else { "words" });
        found.push(
            finding("body-short", agent, line, message)
                .help("say what to look at, how to go about it, and what the answer should look like"),
        );
    } else if agent.body.len() > MOST_BYTES {
        let message = format!(
            "the instructions have {} bytes, about {} tokens: every start of the agent pays for them",
            agent.body.len(),
            agent.body.len() / 4
        );
        found.push(
            finding("body-long", agent, line, message)
                .help("move reference material into files that it reads when needed"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CLEAN, clean, only, rules};

    fn head() -> &'static str {
        &CLEAN[..CLEAN.find("\nYou explain").expect("a body")]
    }

    #[test]
    fn a_body_that_is_empty_or_short_is_found() {
        only(head(), "body-empty", 6);
        only(&format!("{}\n \n", head()), "body-empty", 7);
        only(&format!("{}\nYou are a helpful assistant.\n", head()), "body-short", 8);
        clean(&format!("{}\n{}\n", head(), "word ".repeat(30)));
    }

    #[test]
    fn a_very_long_body_is_found() {
        assert_eq!(
            rules(&format!("{}\n{}\n", head(), "some more words ".repeat(1_600))),
            [("body-long".to_owned(), 8)]
        );
        clean(&format!("{}\n{}\n", head(), "some more words ".repeat(1_400)));
    }
}
