//! From files to work items: what each agent's audit needs to know of the others.

use std::collections::{BTreeMap, BTreeSet};

use convoke_sdk::prelude::*;

use crate::agent::{Agent, stem};
use crate::find::{self, Around, Candidate, PATTERNS};
use crate::rules::named_agents;
use crate::{category, near, question};
use convoke_sdk::Project;
use convoke_sdk::text::shown;

/// The largest file that is audited, in bytes.
const LARGEST: u64 = 1 << 20;
/// The most paths that a fact names.
const MOST_NAMED: usize = 8;
/// Agents that Claude Code brings along.
const BUILT_IN: &[&str] = &["general-purpose", "statusline-setup", "output-style-setup", "claude-code-guide"];

/// What an item needs and can't see in its own file. It holds only what makes a finding, so that a change of one agent
/// leaves the results of the others valid.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde")]
pub struct Facts {
    /// The group.
    pub category: String,
    /// Other files whose agent has the same name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same_name: Vec<String>,
    /// The agents that this one is nearly a copy of, nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<Near>,
    /// The agents that it names and that are nowhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_agents: Vec<String>,
    /// The file's size, when it is too large to be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub too_large: Option<u64>,
}

/// Another agent, and how near it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde")]
pub struct Near {
    /// Its file.
    pub path: String,
    /// The share of five-word stretches in common.
    pub percent: u8,
}

/// Plans the audit.
///
/// # Errors
/// When a typed path is not there, or no agents are found.
pub async fn plan(project: &impl Project, paths: &[String], with_near: bool) -> Result<Work> {
    let candidates = find::candidates(project, paths).await?;
    let mut files = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let bytes = if candidate.size > LARGEST { None } else { project.read(&candidate.path).await.ok() };
        // A link is listed without the size of what it leads to.
        let size = bytes.as_ref().map_or(candidate.size, |bytes| bytes.len() as u64);
        // What can't be read or is no text has no agent here; its item will say why.
        let text = bytes.filter(|_| size <= LARGEST).and_then(|bytes| String::from_utf8(bytes).ok());
        files.push((Candidate { size, ..candidate }, text));
    }
    let mut left_out = Vec::new();
    let agents: Vec<(Candidate, Option<Agent>)> = files
        .iter()
        .filter_map(|(candidate, text)| {
            let agent = text.as_deref().map(|text| Agent::new(&candidate.path, text));
            if agent.as_ref().is_some_and(|agent| !find::is_agent(candidate, agent)) {
                left_out.push(candidate.path.as_str());
                return None;
            }
            Some((candidate.clone(), agent))
        })
        .collect();
    if agents.is_empty() {
        return Err(nothing_found(paths, &left_out));
    }

    let around = names_around(project, &agents).await;
    let facts = facts(&agents, &around, with_near);
    let mut work =
        Work::new(agents.iter().zip(facts).map(|((candidate, agent), facts)| item(candidate, agent.as_ref(), &facts)))
            .distribute(Distribution::ByGroup)
            .aggregate(Aggregation::Merge);
    if !left_out.is_empty() {
        work = work.note(format!("left out, as they have no agent's front matter: {}", listed(&left_out)));
    }
    Ok(work)
}

fn nothing_found(paths: &[String], left_out: &[&str]) -> Error {
    let place = if paths.is_empty() {
        "the project".to_owned()
    } else {
        listed(&paths.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let mut message = format!("no agents found in {place}");
    if !left_out.is_empty() {
        message.push_str(&format!("; without an agent's front matter: {}", listed(left_out)));
    }
    Error::new(message).hint(format!("looked for {}; name a folder of agents or an agent's file", PATTERNS.join(", ")))
}

fn listed(paths: &[&str]) -> String {
    let mut text = paths.iter().take(MOST_NAMED).map(|path| shown(path, 200)).collect::<Vec<_>>().join(", ");
    if paths.len() > MOST_NAMED {
        text.push_str(&format!(" and {} more", paths.len() - MOST_NAMED));
    }
    text
}

/// The names of agents around those that are audited, so that naming them is no mistake. None: they can't be seen.
type NamesAround = BTreeMap<Around, Option<BTreeSet<String>>>;

async fn names_around(project: &impl Project, agents: &[(Candidate, Option<Agent<'_>>)]) -> NamesAround {
    let mut names = NamesAround::new();
    for around in agents.iter().filter_map(|(candidate, _)| candidate.around.as_ref()) {
        if !names.contains_key(around) {
            let found = project.list(&around.query()).await.ok();
            let stems = found.map(|found| found.iter().map(|entry| stem(&entry.path).to_owned()).collect());
            names.insert(around.clone(), stems);
        }
    }
    names
}

fn facts(agents: &[(Candidate, Option<Agent>)], around: &NamesAround, with_near: bool) -> Vec<Facts> {
    let elsewhere = around.values().flatten().flatten().map(String::as_str);
    let mut known: BTreeSet<&str> = elsewhere.chain(BUILT_IN.iter().copied()).collect();
    let mut named: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (candidate, agent) in agents {
        known.insert(stem(&candidate.path));
        if let Some(agent) = agent {
            known.insert(agent.name());
            if agent.front.text("name").is_some() {
                named.entry((&candidate.place.scope, agent.name())).or_default().push(&candidate.path);
            }
        }
    }
    let bodies: Vec<&str> = agents.iter().map(|(_, agent)| agent.as_ref().map_or("", |agent| agent.body)).collect();
    let mut near = if with_near { near::nearest(&bodies) } else { Vec::new() };
    near.resize(agents.len(), Vec::new());

    agents
        .iter()
        .zip(near)
        .map(|((candidate, agent), near)| {
            let mut facts = Facts {
                category: group(candidate, agent.as_ref()),
                too_large: (candidate.size > LARGEST).then_some(candidate.size),
                ..Facts::default()
            };
            let Some(agent) = agent else { return facts };
            let same_name = named.get(&(candidate.place.scope.as_str(), agent.name())).into_iter().flatten();
            facts.same_name = same_name
                .filter(|path| **path != candidate.path)
                .take(MOST_NAMED)
                .map(|&path| path.to_owned())
                .collect();
            let path = |at: usize| agents.get(at).map(|(other, _)| other.path.clone());
            facts.near = near.into_iter().filter_map(|(at, percent)| Some(Near { path: path(at)?, percent })).collect();
            let sees_all = candidate.around.as_ref().is_none_or(|place| around.get(place).is_some_and(Option::is_some));
            if sees_all {
                let named = named_agents(agent).into_iter().map(|(_, name)| name);
                facts.missing_agents = named.filter(|name| !known.contains(name.as_str())).collect();
            }
            facts
        })
        .collect()
}

fn group(candidate: &Candidate, agent: Option<&Agent>) -> String {
    let by_folder = candidate.place.group.clone();
    by_folder.unwrap_or_else(|| match agent {
        Some(agent) => category::stated(agent).unwrap_or_else(|| category::by_content(agent).to_owned()),
        None => "development".to_owned(),
    })
}

fn item(candidate: &Candidate, agent: Option<&Agent>, facts: &Facts) -> Item {
    let item = Item::new(&candidate.path)
        .label(shown(stem(&candidate.path), 64))
        .group(&facts.category)
        .weight(candidate.size.max(1))
        .input(facts);
    match agent {
        Some(agent) if question::is_worth_asking(agent) => {
            item.estimate(1, question::tokens(agent), question::ANSWER_TOKENS)
        }
        _ => item.estimate(0, 0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::agent;
    use convoke_sdk::testing::{Map, now};

    fn planned(files: &[(&str, &str)]) -> Vec<(String, Facts)> {
        let work = now(plan(&Map::with(files), &[], true)).expect("a plan");
        work.items.into_iter().map(|item| (item.id, serde_json::from_str(&item.input).expect("facts"))).collect()
    }

    #[test]
    fn an_item_is_named_grouped_and_weighed_by_its_file() {
        let text = agent("a", "Body");
        let work = now(plan(&Map::with(&[(".claude/agents/ops/a.md", &text)]), &[], true)).expect("a plan");
        let item = &work.items[0];
        assert_eq!(
            (item.id.as_str(), item.label.as_str(), item.group.as_deref()),
            (".claude/agents/ops/a.md", "a", Some("ops"))
        );
        assert_eq!(item.weight, text.len() as u64);
        assert_eq!(item.input, "{\"category\":\"ops\"}");
        assert_eq!(item.estimate.map(|estimate| estimate.questions), Some(1));
    }

    #[test]
    fn the_same_name_in_one_scope_is_known_to_both() {
        let text = agent("a", "Body");
        let files = [("agents/a.md", text.as_str()), ("agents/b.md", &text), ("plugins/x/agents/a.md", &text)];
        let names: Vec<Vec<String>> = planned(&files).into_iter().map(|(_, facts)| facts.same_name).collect();
        assert_eq!(names, [vec!["agents/b.md".to_owned()], vec!["agents/a.md".to_owned()], vec![]]);
    }

    /// What one agent says must not invalidate the results of others.
    #[test]
    fn changing_one_agent_changes_only_its_own_item() {
        let body: String = (0..100).map(|at| format!("word{at} ")).collect();
        let list = "\nIntegration with other agents:\n- Ask b-expert\n- Ask x-expert\n";
        let (a, b, changed) =
            (agent("a", &format!("{body}{list}")), agent("b-expert", &body), agent("b-expert", "Other words"));
        let inputs =
            |b: &str| planned(&[("agents/a.md", &a), ("agents/b-expert.md", b), ("agents/c.md", &agent("c", "Short"))]);
        let (before, after) = (inputs(&b), inputs(&changed));
        assert_eq!(before[0].1.missing_agents, ["x-expert"]);
        assert_eq!(before[0].1.near, [Near { path: "agents/b-expert.md".to_owned(), percent: 91 }]);
        // The finding of `a` itself changed: it is no longer nearly a copy.
        assert_eq!(after[0].1.near, []);
        assert_eq!(before[2], after[2]);
    }

    fn missing(files: &[(&str, &str)], path: &str) -> Vec<String> {
        let work = now(plan(&Map::with(files), &[path.to_owned()], true)).expect("a plan");
        let facts: Facts = serde_json::from_str(&work.items[0].input).expect("facts");
        facts.missing_agents
    }

    #[test]
    fn agents_around_a_part_are_known() {
        let list = agent("a", "Integration with other agents:\n- Ask b-expert\n- Ask c-expert\n");
        assert_eq!(missing(&[("team/a.md", &list), ("team/b-expert.md", "x")], "team/a.md"), ["c-expert"]);
        let categories = [("../x/categories/one/a.md", list.as_str()), ("../x/categories/two/b-expert.md", "x")];
        assert_eq!(missing(&categories, "../x/categories/one"), ["c-expert"]);
        assert_eq!(
            missing(&[("plugins/p/agents/a.md", &list), (".claude/agents/b-expert.md", "x")], "plugins/p"),
            ["c-expert"]
        );
    }

    #[test]
    fn where_the_agents_around_can_not_be_seen_none_is_missed() {
        let list = agent("a", "Integration with other agents:\n- Ask b-expert\n");
        let project = Map { unseen: vec!["../x".to_owned()], ..Map::with(&[("../x/categories/one/a.md", &list)]) };
        let work = now(plan(&project, &["../x/categories/one".to_owned()], true)).expect("a plan");
        assert_eq!(work.items[0].input, "{\"category\":\"one\"}");
    }

    #[test]
    fn what_is_no_agent_is_left_out_and_said() {
        let files = [
            ("agents/a.md", agent("a", "Body")),
            ("agents/notes.md", "# Notes".to_owned()),
            (".claude/agents/b.md", "# B".to_owned()),
        ];
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let work = now(plan(&Map::with(&files), &[], true)).expect("a plan");
        assert_eq!(
            work.items.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(),
            [".claude/agents/b.md", "agents/a.md"]
        );
        assert_eq!(work.notes, ["left out, as they have no agent's front matter: agents/notes.md"]);
    }

    #[test]
    fn no_agents_is_an_error_that_says_where_was_looked() {
        let error = now(plan(&Map::of(&["src/main.rs"]), &[], true)).expect_err("an error");
        assert_eq!(error.message, "no agents found in the project");
        assert!(error.hint.is_some_and(|hint| PATTERNS.iter().all(|pattern| hint.contains(pattern))));
    }

    #[test]
    fn files_that_can_not_be_read_are_items_still() {
        let mut project = Map::with(&[("agents/a.md", &agent("a", "Body"))]);
        project.files.insert("agents/b.md".to_owned(), vec![0xff, 0xfe]);
        project.files.insert("agents/c.md".to_owned(), vec![b'x'; 2 << 20]);
        let work = now(plan(&project, &[], true)).expect("a plan");
        assert_eq!(work.items.len(), 3);
        assert!(work.items[2].input.contains("\"too_large\":2097152"));
    }
}
