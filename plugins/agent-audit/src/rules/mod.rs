//! The rules: pure functions from an agent, and what the plan knows of the others, to findings.

mod body;
mod description;
mod file;
mod front;
mod links;
mod name;
mod near;
mod permissions;
mod secrets;
mod tools;

use convoke_sdk::{Finding, Severity};

use crate::agent::Agent;
use crate::plan::Facts;

pub use file::{not_text, too_large, unreadable};
pub use links::named_agents;
pub use links::{Link, broken as broken_link, of as links_of};

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Its id: stable, in kebab case.
    pub id: &'static str,
    /// How bad what it finds is.
    pub severity: Severity,
    /// What it finds, in one line.
    pub summary: &'static str,
    /// Whether a model looks for it.
    pub by_model: bool,
}

const fn rule(id: &'static str, severity: Severity, summary: &'static str) -> Rule {
    Rule { id, severity, summary, by_model: false }
}

const fn model_rule(id: &'static str, severity: Severity, summary: &'static str) -> Rule {
    Rule { id, severity, summary, by_model: true }
}

/// All rules. RULES.md says more about each, and plugin.toml names them; tests hold the three together.
pub const RULES: &[Rule] = &[
    rule("agent-unknown", Severity::Low, "It hands over to an agent that is not there"),
    rule("body-empty", Severity::High, "There are no instructions"),
    rule("body-long", Severity::Low, "The instructions are very long: each start pays for them"),
    rule("body-short", Severity::Medium, "The instructions are too short to guide anyone"),
    rule("description-missing", Severity::High, "There is no description, so Claude can't choose the agent"),
    rule("description-no-trigger", Severity::Medium, "The description doesn't say when to use the agent"),
    rule("description-too-long", Severity::Low, "The description has more than 1,024 characters"),
    rule("file-not-utf8", Severity::High, "The file is not UTF-8 text"),
    rule("file-too-large", Severity::High, "The file is larger than 1 MiB"),
    rule("file-unreadable", Severity::High, "The file can't be read"),
    rule("front-matter-broken", Severity::High, "The front matter is not valid YAML"),
    rule("front-matter-missing", Severity::High, "The file has no front matter, so it is no agent to Claude"),
    rule("link-broken", Severity::Medium, "A link leads to a file that is not there"),
    rule("model-unknown", Severity::Medium, "The model is not one that Claude Code knows"),
    rule("name-duplicate", Severity::High, "Another agent has the same name: only one of them is used"),
    rule("name-missing", Severity::High, "The agent has no name"),
    rule("name-not-file-name", Severity::Low, "The name is not the file's name"),
    rule("name-not-kebab-case", Severity::Medium, "The name is not in lower case with hyphens"),
    rule("near-duplicate", Severity::Medium, "The instructions are nearly those of another agent"),
    rule("permissions-bypassed", Severity::Critical, "The agent runs without asking for permission"),
    rule("secret-found", Severity::Critical, "The file holds a credential"),
    rule("tool-unknown", Severity::Medium, "A tool is not one that Claude Code knows"),
    rule("tools-inherited", Severity::Low, "The agent gets every tool there is"),
    rule("tools-writing-reader", Severity::Medium, "An agent that only reads may write"),
    model_rule("instructions-contradict", Severity::Medium, "Instructions contradict each other"),
    model_rule("instructions-unsafe", Severity::High, "Instructions invite harm, such as destroying without asking"),
    model_rule("scope-too-broad", Severity::Low, "The agent is meant for too many things to be good at them"),
    model_rule("trigger-unclear", Severity::Medium, "It is unclear when this agent should be chosen and not another"),
];

/// The most findings of one rule in one file; more than that says nothing new.
const MOST: usize = 20;

/// Everything that the rules find in an agent, in the order of its lines. Links to files are apart: see [`links_of`].
pub fn check(agent: &Agent, facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    front::check(agent, &mut found);
    name::check(agent, facts, &mut found);
    description::check(agent, &mut found);
    tools::check(agent, &mut found);
    permissions::check(agent, &mut found);
    body::check(agent, &mut found);
    secrets::check(agent, &mut found);
    links::check_agents(agent, facts, &mut found);
    near::check(agent, facts, &mut found);
    in_order(found)
}

/// Findings by line, and of each rule not more than a reader takes in; the last of those says how many there are.
pub fn in_order(mut found: Vec<Finding>) -> Vec<Finding> {
    found.sort_by(|a, b| (a.line, &a.rule).cmp(&(b.line, &b.rule)));
    for rule in RULES {
        let of_it = found.iter().filter(|finding| finding.rule == rule.id).count();
        if of_it <= MOST {
            continue;
        }
        let mut seen = 0;
        found.retain_mut(|finding| {
            let is_it = finding.rule == rule.id;
            seen += usize::from(is_it);
            if is_it && seen == MOST {
                finding.message.push_str(&format!(" (and {} more like it in this file)", of_it - MOST));
            }
            !is_it || seen <= MOST
        });
    }
    found
}

/// A finding of a rule, with the rule's own severity.
fn finding(id: &'static str, agent: &Agent, line: u32, message: impl Into<String>) -> Finding {
    Finding::new(id, severity(id), message).at(agent.path, line.max(1))
}

/// The severity of a rule.
fn severity(id: &str) -> Severity {
    RULES.iter().find(|rule| rule.id == id).map_or(Severity::Medium, |rule| rule.severity)
}

/// What the tests of the rules have in common.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// An agent with which nothing is wrong.
    pub(crate) const CLEAN: &str = "---\nname: code-reader\ndescription: Explains code. Use this agent when somebody asks how a part of the system works.\ntools: Read, Grep, Glob\nmodel: sonnet\n---\n\nYou explain how a part of this system works to somebody who has never seen it. Read the entry point first, then follow the data through the modules, and name each file that you looked at. Say what you are unsure about. Keep the answer under one page, and end with the three files that a newcomer should read next.\n";

    /// The rules that find something in a text at a path, with their lines.
    pub(crate) fn rules_at(path: &str, text: &str, facts: &Facts) -> Vec<(String, u32)> {
        check(&Agent::new(path, text), facts)
            .into_iter()
            .map(|finding| (finding.rule, finding.line.unwrap_or(0)))
            .collect()
    }

    /// The same for the file `code-reader.md` that no other agent is near to.
    pub(crate) fn rules(text: &str) -> Vec<(String, u32)> {
        rules_at("agents/code-reader.md", text, &Facts::default())
    }

    /// The clean agent with a piece of it replaced.
    pub(crate) fn with(old: &str, new: &str) -> String {
        assert!(CLEAN.contains(old), "{old}");
        CLEAN.replace(old, new)
    }

    /// Whether exactly this rule finds exactly one thing, in that line.
    #[track_caller]
    pub(crate) fn only(text: &str, rule: &str, line: u32) {
        assert_eq!(rules(text), [(rule.to_owned(), line)], "{text}");
    }

    /// Whether nothing is found.
    #[track_caller]
    pub(crate) fn clean(text: &str) {
        assert_eq!(rules(text), [], "{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{CLEAN, clean, rules};
    use super::*;

    #[test]
    fn a_clean_agent_has_no_findings() {
        clean(CLEAN);
    }

    #[test]
    fn ids_are_kebab_case_and_each_stands_once() {
        for (at, rule) in RULES.iter().enumerate() {
            assert!(crate::text::is_kebab_case(rule.id), "{}", rule.id);
            assert!(RULES[..at].iter().all(|other| other.id != rule.id), "{}", rule.id);
        }
    }

    #[test]
    fn the_table_and_its_document_agree() {
        let document = include_str!("../../RULES.md");
        let mut documented: Vec<(String, String)> = Vec::new();
        let mut headings = document.lines().peekable();
        while let Some(line) = headings.next() {
            if let Some(id) = line.strip_prefix("## `").and_then(|id| id.strip_suffix('`')) {
                let severity = headings.by_ref().find(|line| !line.is_empty()).unwrap_or("");
                documented.push((id.to_owned(), severity.to_owned()));
            }
        }
        for rule in RULES {
            let severity = format!("{:?}", rule.severity).to_lowercase();
            let severity = severity.rsplit("::").next().unwrap_or("").to_owned();
            let by = if rule.by_model { " · found by the model" } else { "" };
            let line = format!("**{severity}**{by} · {}", rule.summary);
            assert!(
                documented.contains(&(rule.id.to_owned(), line.clone())),
                "RULES.md lacks:\n## `{}`\n\n{line}",
                rule.id
            );
        }
        assert_eq!(documented.len(), RULES.len(), "RULES.md has a rule that the table lacks");
    }

    #[test]
    fn the_table_and_the_manifest_agree() {
        let manifest = include_str!("../../plugin.toml");
        for rule in RULES {
            let severity = format!("{:?}", rule.severity).to_lowercase();
            let severity = severity.rsplit("::").next().unwrap_or("");
            let entry =
                format!("[[rule]]\nid = \"{}\"\nseverity = \"{severity}\"\nsummary = \"{}\"\n", rule.id, rule.summary);
            assert!(manifest.contains(&entry), "plugin.toml lacks:\n{entry}");
        }
        assert_eq!(manifest.matches("[[rule]]").count(), RULES.len());
    }

    #[test]
    fn each_rule_has_a_test() {
        let sources = [
            include_str!("body.rs"),
            include_str!("description.rs"),
            include_str!("file.rs"),
            include_str!("front.rs"),
            include_str!("links.rs"),
            include_str!("name.rs"),
            include_str!("near.rs"),
            include_str!("permissions.rs"),
            include_str!("secrets.rs"),
            include_str!("tools.rs"),
            include_str!("../question.rs"),
        ];
        for rule in RULES {
            let quoted = format!("\"{}\"", rule.id);
            let tested = sources
                .iter()
                .filter_map(|source| source.split_once("#[cfg(test)]"))
                .any(|(_, tests)| tests.contains(&quoted));
            assert!(tested, "no test names {}", rule.id);
        }
    }

    #[test]
    fn a_file_full_of_the_same_is_cut() {
        let lines = "claude --dangerously-skip-permissions\n".repeat(50);
        let found = rules(&format!("{CLEAN}\n{lines}"));
        assert_eq!(found.len(), MOST);
    }
}
