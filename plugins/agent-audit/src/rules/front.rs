//! Is there front matter, and does it parse?

use convoke_sdk::Finding;

use super::finding;
use crate::agent::Agent;
use crate::front_matter::Problem;

pub(super) fn check(agent: &Agent, found: &mut Vec<Finding>) {
    match &agent.front.problem {
        None => {}
        Some(Problem::Missing(why)) => {
            let message = match why {
                Some(why) => format!("there is no front matter: {why}"),
                None => "there is no front matter: Claude Code does not take this file for an agent".to_owned(),
            };
            found.push(
                finding("front-matter-missing", agent, 1, message)
                    .help("begin the file with `---`, `name: …`, `description: …`, `---`"),
            );
        }
        Some(Problem::Broken { line, what, help }) => {
            let broken =
                finding("front-matter-broken", agent, *line, format!("the front matter can't be used: {what}"));
            found.push(match help {
                Some(help) => broken.help(*help),
                None => broken,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CLEAN, clean, only, with};

    #[test]
    fn a_file_without_front_matter_is_one_finding() {
        let body = CLEAN.rsplit("---\n").next().expect("a body");
        only(body, "front-matter-missing", 1);
        only(&format!("\n{CLEAN}"), "front-matter-missing", 1);
    }

    #[test]
    fn broken_yaml_is_one_finding_with_its_line() {
        only(
            &with("description: Explains code.", "description: Explains code. Triggers on: 'how'."),
            "front-matter-broken",
            3,
        );
        only(&with("model: sonnet", "model: sonnet\nname: code-reader"), "front-matter-broken", 6);
        only(&with("model: sonnet", "model: &m sonnet"), "front-matter-broken", 5);
    }

    #[test]
    fn a_colon_in_quotes_is_fine() {
        clean(&with(
            "description: Explains code. Use this agent when somebody asks how a part of the system works.",
            "description: 'Use when: somebody asks \"how\"'",
        ));
    }
}
