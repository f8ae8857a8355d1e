//! What an agent is for: the group its work goes with.

use crate::agent::Agent;
use crate::text::{kebab, words};

/// The words that speak for a category, as beginnings of words. The first category wins a tie.
const BY_CONTENT: &[(&str, &[&str])] = &[
    (
        "security",
        &[
            "secur",
            "vulnerab",
            "penetration",
            "threat",
            "exploit",
            "owasp",
            "encrypt",
            "complian",
            "privacy",
            "hardening",
            "auth",
        ],
    ),
    (
        "quality",
        &["test", "qa", "quality", "review", "lint", "bug", "debug", "coverage", "accessib", "refactor", "regression"],
    ),
    (
        "infrastructure",
        &[
            "infrastruct",
            "kubernetes",
            "docker",
            "terraform",
            "cloud",
            "deploy",
            "cluster",
            "network",
            "devops",
            "helm",
            "provision",
        ],
    ),
    ("architecture", &["architect", "microservice", "scalab", "pattern", "modul", "boundar", "tradeoff"]),
    (
        "analysis",
        &["analy", "research", "data", "metric", "insight", "statist", "trend", "report", "investigat", "explain"],
    ),
    ("design", &["ux", "ui", "visual", "wireframe", "figma", "typograph", "layout", "brand", "mockup"]),
    (
        "operations",
        &[
            "incident",
            "monitor",
            "oncall",
            "runbook",
            "release",
            "support",
            "workflow",
            "schedul",
            "migrat",
            "backup",
            "document",
            "changelog",
        ],
    ),
    (
        "development",
        &[
            "develop",
            "implement",
            "code",
            "coding",
            "frontend",
            "backend",
            "api",
            "library",
            "framework",
            "typescript",
            "python",
            "rust",
            "java",
        ],
    ),
];

/// The category that an agent names itself, as a group's name.
pub fn stated(agent: &Agent) -> Option<String> {
    Some(kebab(agent.front.text("category")?)).filter(|name| !name.is_empty())
}

/// The category that an agent's name and description speak for, without a description its instructions. The name counts
/// most.
pub fn by_content(agent: &Agent) -> &'static str {
    let score = |text: &str, weight: usize, beginnings: &[&str]| {
        words(text).filter(|word| beginnings.iter().any(|beginning| word.starts_with(beginning))).count() * weight
    };
    let description = agent.front.text("description").unwrap_or(agent.body);
    let mut best = ("development", 0);
    for (category, beginnings) in BY_CONTENT {
        let total = score(agent.name(), 4, beginnings) + score(description, 1, beginnings);
        if total > best.1 {
            best = (category, total);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn category(name: &str, description: &str) -> &'static str {
        let text = format!("---\nname: {name}\ndescription: {description}\n---\n");
        by_content(&Agent::new("a.md", &text))
    }

    #[test]
    fn the_content_speaks_for_a_category() {
        for (name, description, expected) in [
            ("security-auditor", "Use when auditing systems for vulnerabilities.", "security"),
            ("test-writer", "Use when a function has no tests.", "quality"),
            ("terraform-engineer", "Use when provisioning cloud resources.", "infrastructure"),
            ("system-architect", "Use when drawing module boundaries.", "architecture"),
            ("market-researcher", "Use when sizing a market.", "analysis"),
            ("ui-designer", "Use when a screen needs a layout.", "design"),
            ("incident-responder", "Use when an alarm rings.", "operations"),
            ("rust-pro", "Use when writing code.", "development"),
            ("helper", "Use at will.", "development"),
        ] {
            assert_eq!(category(name, description), expected, "{name}");
        }
    }

    #[test]
    fn a_stated_category_is_a_name_fit_to_be_shown() {
        let stated = |category: &str| stated(&Agent::new("a.md", &format!("---\ncategory: {category}\n---\n")));
        assert_eq!(stated("Data & AI"), Some("data-ai".to_owned()));
        assert_eq!(stated("\"\\e[31m\""), Some("31m".to_owned()));
        assert_eq!(stated("''"), None);
    }
}
