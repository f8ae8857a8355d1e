//! The name by which an agent is called.

use convoke_sdk::Finding;

use super::finding;
use crate::agent::Agent;
use crate::front_matter::Value;
use crate::plan::Facts;
use crate::text::{is_kebab_case, kebab};
use convoke_sdk::text::shown;

pub(super) fn check(agent: &Agent, facts: &Facts, found: &mut Vec<Finding>) {
    let line = agent.front.line("name");
    if let Some(name) = agent.front.text("name") {
        let shown_name = shown(name, 80);
        if !is_kebab_case(name) {
            // A dot as in `dotnet-4.8-expert` works, and is still not what the documentation asks for.
            let mut bad = finding(
                "name-not-kebab-case",
                agent,
                line,
                format!("the name `{shown_name}` is not in lower case letters, digits and single hyphens"),
            );
            let better = kebab(name);
            if !better.is_empty() && is_kebab_case(&better) {
                bad = bad.help(format!("call it `{better}`"));
            }
            found.push(bad);
        }
        let stem = agent.stem();
        if name != stem && kebab(name) != kebab(stem) {
            let message = format!("the agent is called `{shown_name}`, its file `{}.md`", shown(stem, 80));
            found.push(finding("name-not-file-name", agent, line, message).help("give both the same name"));
        }
    } else if agent.front.is_whole() {
        let message = match agent.front.get("name").map(|field| &field.value) {
            Some(Value::List(_) | Value::Mapping) => "the name is not text",
            Some(_) => "the name is empty",
            None => "the front matter has no `name`",
        };
        let help = format!("add `name: {}`", shown(agent.stem(), 80));
        found.push(finding("name-missing", agent, line, message).help(help));
    }

    if let Some((first, rest)) = facts.same_name.split_first() {
        let others = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        let message = format!(
            "`{}` is also the name of {}{others}: only one of them is used",
            shown(agent.name(), 80),
            shown(first, 200)
        );
        found.push(finding("name-duplicate", agent, line, message));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CLEAN, clean, only, rules_at, with};
    use super::*;

    #[test]
    fn a_missing_name_is_found() {
        only(&with("name: code-reader\n", ""), "name-missing", 1);
        only(&with("name: code-reader", "name:"), "name-missing", 2);
        only(&with("name: code-reader", "name: [code-reader]"), "name-missing", 2);
    }

    #[test]
    fn a_name_in_other_letters_is_found() {
        only(&with("name: code-reader", "name: Code Reader"), "name-not-kebab-case", 2);
        only(&with("name: code-reader", "name: code_reader"), "name-not-kebab-case", 2);
        clean(&with("name: code-reader", "name: \"code-reader\""));
    }

    #[test]
    fn a_name_that_is_not_the_files_is_found() {
        only(&with("name: code-reader", "name: code-explainer"), "name-not-file-name", 2);
    }

    #[test]
    fn the_same_name_in_another_file_is_found() {
        let facts = Facts { same_name: vec!["agents/old/code-reader.md".to_owned()], ..Facts::default() };
        assert_eq!(rules_at("agents/code-reader.md", CLEAN, &facts), [("name-duplicate".to_owned(), 2)]);
    }
}
