//! The audit of one file by the rules.

use convoke_sdk::prelude::*;

use crate::agent::Agent;
use crate::plan::Facts;
use crate::question;
use crate::rules;
use convoke_sdk::Project;
use convoke_sdk::text::shown;

/// How far an audit came without a model.
pub enum Audited {
    /// The rules have spoken.
    Read(File),
    /// The file is no text: there is nothing more to do.
    Ended(Box<Partial>),
}

/// A file that the rules have seen.
pub struct File {
    path: String,
    text: String,
    found: Vec<Finding>,
}

/// Reads one file, applies the rules, and looks up its links.
pub async fn audit(project: &impl Project, path: &str, facts: &Facts) -> Audited {
    if let Some(bytes) = facts.too_large {
        return ended(Partial::done().finding(rules::too_large(path, bytes)));
    }
    let bytes = match project.read(path).await {
        Ok(bytes) => bytes,
        Err(error) => {
            let why = shown(&error.message, 300);
            return ended(Partial::skipped(format!("it can't be read: {why}")).finding(rules::unreadable(path, &why)));
        }
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return ended(Partial::done().finding(rules::not_text(path, error.as_bytes()))),
    };
    let agent = Agent::new(path, &text);
    let mut found = rules::check(&agent, facts);
    for link in rules::links_of(&agent) {
        // A link that leads out of the project can't be followed, so nothing can be said about it.
        if matches!(project.exists(&link.path).await, Ok(None)) {
            found.push(rules::broken_link(&agent, &link));
        }
    }
    Audited::Read(File { path: path.to_owned(), found: rules::in_order(found), text })
}

fn ended(partial: Partial) -> Audited {
    let found = partial.findings.len() as f64;
    Audited::Ended(Box::new(partial.metric(Metric::sum("agents", 1.0, "agents")).metric(Metric::sum(
        "findings by rules",
        found,
        "findings",
    ))))
}

impl File {
    /// The agent in it.
    pub fn agent(&self) -> Agent<'_> {
        Agent::new(&self.path, &self.text)
    }

    /// What to ask about it, where it has instructions to speak of.
    pub fn question(&self, agent: &Agent) -> Option<Question> {
        question::is_worth_asking(agent).then(|| question::about(agent))
    }

    /// What is reported: the rules' findings, and those of the model.
    pub fn partial(&self, agent: &Agent, by_model: Vec<Finding>) -> Partial {
        let bytes = agent.body.len() as f64;
        let mut partial = Partial::done()
            .metric(Metric::sum("agents", 1.0, "agents"))
            .metric(Metric::sum("instructions", bytes, "bytes"))
            .metric(Metric::mean("instructions, mean", bytes, "bytes"))
            .metric(Metric::max("instructions, longest", bytes, "bytes"))
            .metric(Metric::sum("findings by rules", self.found.len() as f64, "findings"))
            .metric(Metric::sum("findings by the model", by_model.len() as f64, "findings"));
        partial.findings = self.found.iter().cloned().chain(by_model).collect();
        partial
    }
}
