//! Credentials that were left in an agent.

use convoke_sdk::{Finding, secrets};

use super::finding;
use crate::agent::Agent;
use convoke_sdk::text::line_at;

pub(super) fn check(agent: &Agent, found: &mut Vec<Finding>) {
    for (at, secret) in secrets::find(agent.text).into_iter().enumerate() {
        let line = line_at(agent.text, secret.range.start);
        let message = format!("the file holds a credential: {}", secret.kind.replace('-', " "));
        found.push(
            finding("secret-found", agent, line, message)
                // Two of a kind in one file are two findings.
                .fingerprint(format!("secret-found:{}:{}:{at}", agent.path, secret.kind))
                .help("revoke it: whoever has the repository has it. Then name an environment variable instead"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CLEAN, clean, rules};
    use super::*;
    use crate::plan::Facts;

    #[test]
    fn each_credential_is_found_and_not_repeated_in_the_report() {
        let token = format!("ghp_{}", "q7Rw2LmZ9xVt4KbN8sYc1HdJ6gPf3TaEuX5o");
        let text = format!("{CLEAN}\nexport GITHUB_TOKEN={token}\ncurl -u me:{token}\n");
        let lines = CLEAN.lines().count() as u32;
        let rule = "secret-found".to_owned();
        assert_eq!(rules(&text), [(rule.clone(), lines + 2), (rule, lines + 3)]);
        let found = super::super::check(&Agent::new("a.md", &text), &Facts::default());
        assert!(found.iter().all(|finding| !finding.message.contains(&token)));
    }

    #[test]
    fn a_placeholder_is_no_credential() {
        clean(&format!("{CLEAN}\nexport API_KEY=your-api-key\ntoken: \"${{TOKEN}}\"\n"));
    }
}
