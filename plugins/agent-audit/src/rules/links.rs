//! Links to files, and names of other agents.

use convoke_sdk::Finding;

use super::finding;
use crate::agent::Agent;
use crate::plan::Facts;
use convoke_sdk::text::shown;

/// The most links of one file that are looked up.
const MOST_LINKS: usize = 200;

/// A link to a file of the project.
#[derive(Debug, PartialEq)]
pub struct Link {
    /// Line of the file, counted from 1.
    pub line: u32,
    /// As it is written.
    pub target: String,
    /// The path it leads to, as the project names it.
    pub path: String,
}

/// The Markdown links to files, without those to other sites, those in code and those that are only an example.
pub fn of(agent: &Agent) -> Vec<Link> {
    prose(agent)
        .flat_map(|(line, text)| targets(&text).into_iter().map(move |target| (line, target)))
        .filter_map(|(line, target)| Some(Link { line, path: resolve(agent.path, &target)?, target }))
        .take(MOST_LINKS)
        .collect()
}

/// The finding for a link that leads nowhere.
pub fn broken(agent: &Agent, link: &Link) -> Finding {
    let message = format!(
        "the link `{}` leads to a file that is not there: {}",
        shown(&link.target, 120),
        shown(&link.path, 200)
    );
    finding("link-broken", agent, link.line, message)
}

/// The lines of the body outside code blocks, without inline code.
fn prose<'a>(agent: &Agent<'a>) -> impl Iterator<Item = (u32, String)> + use<'a> {
    let mut fence: Option<char> = None;
    (agent.body_line..).zip(agent.body.lines()).filter_map(move |(line, text)| {
        let start = text.trim_start();
        let mark = ['`', '~'].into_iter().find(|mark| start.starts_with(&mark.to_string().repeat(3)));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => return Some((line, text.split('`').step_by(2).collect::<Vec<_>>().join("`"))),
            _ => {}
        }
        None
    })
}

/// The targets of `[text](target)` and `[label]: target` in a line.
fn targets(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find("](") {
        rest = &rest[at + 2..];
        let inside = match rest.strip_prefix('<') {
            Some(angled) => angled.split('>').next().unwrap_or(""),
            None => rest.split([')', ' ', '\t']).next().unwrap_or(""),
        };
        found.push(inside.to_owned());
    }
    let definition = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: "));
    if let Some((label, target)) = definition.filter(|(label, _)| !label.contains(']')) {
        let target = target.split_whitespace().next().unwrap_or("");
        // A footnote's text is not a link.
        if !label.starts_with('^') {
            found.push(target.trim_matches(['<', '>']).to_owned());
        }
    }
    found
}

/// The path that a link in a file leads to. None: it leads to no file of the project, or is only an example.
fn resolve(from: &str, target: &str) -> Option<String> {
    let file = target.split(['#', '?']).next().unwrap_or("");
    let scheme = file
        .find(':')
        .is_some_and(|at| at > 1 && file[..at].chars().all(|char| char.is_ascii_alphanumeric() || char == '+'));
    let looks_like_a_file =
        file.contains('/') || file.rsplit_once('.').is_some_and(|(_, ending)| (1..=5).contains(&ending.len()));
    let example = ["path/to", "example", "your-", "..."].iter().any(|part| file.to_lowercase().contains(part))
        || file.contains(['{', '}', '<', '>', '$', '*', '|', '\\', '"']);
    if scheme || !looks_like_a_file || example || file.starts_with(['/', '~']) || file.len() > 500 {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    let file = decoded(file);
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&last) if last != ".." && !last.is_empty() => {
                    parts.pop();
                }
                // Above the project: nobody can tell what is there.
                _ => return None,
            },
            part => parts.push(part),
        }
    }
    Some(parts.join("/")).filter(|path| !path.is_empty())
}

/// Text with `%20` and the like as the characters they stand for.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = (byte == b'%').then(|| after.get(..2)).flatten().and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(code) => {
                bytes.push(code);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// Last words of agents' names. Only what ends so is taken for an agent: "mobile-specific" is none.
const ROLES: &[&str] = &[
    "admin",
    "administrator",
    "advisor",
    "analyst",
    "architect",
    "auditor",
    "builder",
    "checker",
    "consultant",
    "coordinator",
    "copywriter",
    "debugger",
    "designer",
    "dev",
    "developer",
    "distributor",
    "documenter",
    "editor",
    "engineer",
    "expert",
    "fixer",
    "maintainer",
    "manager",
    "marketer",
    "master",
    "modernizer",
    "monitor",
    "officer",
    "operator",
    "optimizer",
    "orchestrator",
    "organizer",
    "planner",
    "pro",
    "researcher",
    "responder",
    "reviewer",
    "runner",
    "scientist",
    "specialist",
    "strategist",
    "tester",
    "trainer",
    "validator",
    "writer",
];

/// The agents that an agent names in its list of those it works with, each once, with its line.
///
/// Only lists below a line such as "Integration with other agents:" or "## Related agents" count, and in them only
/// names in kebab case that end like an agent's: there, in practice, nothing else stands.
pub fn named_agents(agent: &Agent) -> Vec<(u32, String)> {
    let mut named: Vec<(u32, String)> = Vec::new();
    let mut inside = false;
    let mut listed = false;
    for (line, text) in agent.body_lines() {
        let start = text.trim_start();
        let is_item = start.starts_with("- ") || start.starts_with("* ");
        if !is_item {
            let lower = start.to_lowercase();
            let leads = start.trim_end().trim_end_matches('*').ends_with(':') || start.starts_with('#');
            let of_agents =
                ["other agents", "related agents", "agent collaboration", "works with agents", "hands over to"]
                    .iter()
                    .any(|phrase| lower.contains(phrase));
            if leads && of_agents {
                (inside, listed) = (true, false);
            } else if !start.is_empty() || listed {
                // A blank line between the lead and its list is fine; after the list it ends it.
                inside = false;
            }
            continue;
        }
        if !inside {
            continue;
        }
        listed = true;
        for word in text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '-' || char == '.')) {
            let name = word.trim_matches(['-', '.']);
            let ends_like_one = name.rsplit_once('-').is_some_and(|(_, role)| ROLES.contains(&role));
            let kebab = name.chars().all(|char| !char.is_ascii_uppercase())
                && name.starts_with(|char: char| char.is_ascii_lowercase());
            if ends_like_one && kebab && name.len() <= 64 && !named.iter().any(|(_, known)| known == name) {
                named.push((line, name.to_owned()));
            }
        }
    }
    named
}

pub(super) fn check_agents(agent: &Agent, facts: &Facts, found: &mut Vec<Finding>) {
    if facts.missing_agents.is_empty() {
        return;
    }
    for (line, name) in named_agents(agent).into_iter().filter(|(_, name)| facts.missing_agents.contains(name)) {
        let message = format!("it works with `{name}`, and no agent here has that name");
        found.push(finding("agent-unknown", agent, line, message));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CLEAN, rules_at};
    use super::*;

    const LIST: &str = "Integration with other agents:\n- Help social-media-manager on distribution\n- Support **seo-specialist** on mobile-specific needs\n\nAsk the team-lead.\n";

    fn found(text: &str) -> Vec<(u32, String, String)> {
        of(&Agent::new("plugins/x/agents/a.md", text))
            .into_iter()
            .map(|link| (link.line, link.target, link.path))
            .collect()
    }

    #[test]
    fn names_in_the_list_of_other_agents_are_agents() {
        let text = format!("{CLEAN}\n{LIST}");
        let names: Vec<String> = named_agents(&Agent::new("a.md", &text)).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["social-media-manager", "seo-specialist"]);
        let headed = named_agents(&Agent::new(
            "a.md",
            "## Related agents\n\n* **it-ops-engineer** – routing\n\n- not-an-expert\n",
        ))
        .len();
        assert_eq!(headed, 1);
    }

    #[test]
    fn an_agent_that_is_not_there_is_found() {
        let text = format!("{CLEAN}\n{LIST}");
        let facts = Facts { missing_agents: vec!["social-media-manager".to_owned()], ..Facts::default() };
        assert_eq!(rules_at("agents/code-reader.md", &text, &facts), [("agent-unknown".to_owned(), 11)]);
        assert_eq!(rules_at("agents/code-reader.md", &text, &Facts::default()), []);
    }

    #[test]
    fn links_lead_from_the_files_folder() {
        let text = "See [a](../docs/guide.md#top) and ![p](img/p%201.png \"title\").\n\n[ref]: ./ref.md\n";
        let expected = [
            (1, "../docs/guide.md#top", "plugins/x/docs/guide.md"),
            (1, "img/p%201.png", "plugins/x/agents/img/p 1.png"),
            (3, "./ref.md", "plugins/x/agents/ref.md"),
        ];
        assert_eq!(found(text), expected.map(|(line, target, path)| (line, target.to_owned(), path.to_owned())));
        let agent = Agent::new("plugins/x/agents/a.md", text);
        assert_eq!(broken(&agent, &of(&agent)[0]).rule, "link-broken");
    }

    #[test]
    fn what_leads_to_no_file_of_the_project_is_left_alone() {
        for text in [
            "[site](https://docs.rs/a.md) [mail](mailto:a@b.c) [part](#part) [top](/etc/x.md) [home](~/a.md)",
            "```md\n[a](missing.md)\n```",
            "Write `[title](file.md)` in it.",
            "[x](path/to/file.md) [y](<name>.md) [z](${DIR}/a.md) [text](url) [a](...)",
            "[up](../../../../out.md)",
            "[^1]: see.it",
            "array[0](call)",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
