//! The model, and what it may do without asking.

use convoke_sdk::Finding;

use super::finding;
use crate::agent::Agent;
use convoke_sdk::text::shown;

/// Names that Claude Code takes for a model, beside full ids. Source: its documentation on sub-agents and on models.
const MODELS: &[&str] = &["inherit", "sonnet", "opus", "haiku", "default", "opusplan", "sonnet[1m]", "opus[1m]"];

/// What switches all questions off.
const SKIP: &str = "--dangerously-skip-permissions";

pub(super) fn check(agent: &Agent, found: &mut Vec<Finding>) {
    if let Some(model) = agent.front.text("model").filter(|model| !is_model(model)) {
        let mut unknown = finding(
            "model-unknown",
            agent,
            agent.front.line("model"),
            format!("`{}` is not a model that Claude Code knows", shown(model, 80)),
        );
        let lower = model.to_lowercase();
        let known = MODELS.iter().find(|known| lower.contains(**known)).copied().unwrap_or("inherit");
        unknown = unknown.help(format!("write `{known}`, or a full id that begins with `claude-`"));
        found.push(unknown);
    }

    if let Some(mode) = agent.front.text("permissionMode").filter(|mode| mode.eq_ignore_ascii_case("bypassPermissions"))
    {
        let message = format!("`permissionMode: {}`: the agent does everything without asking", shown(mode, 40));
        found.push(
            finding("permissions-bypassed", agent, agent.front.line("permissionMode"), message)
                .help("use `default`, `acceptEdits` or `plan`, and list the tools that it needs"),
        );
    }
    for (line, text) in (1..).zip(agent.text.lines()) {
        if text.contains(SKIP) && !warns(text) {
            let message = format!("`{SKIP}` starts Claude without any question being asked");
            found.push(finding("permissions-bypassed", agent, line, message));
        }
    }
}

fn is_model(model: &str) -> bool {
    // Bedrock and Vertex put a region and a provider before the id: `eu.anthropic.claude-…`.
    let id = model.rsplit_once("anthropic.").map_or(model, |(_, id)| id);
    let named = id.strip_prefix("claude-").is_some_and(|rest| rest.len() >= 3 && !rest.contains(char::is_whitespace));
    MODELS.contains(&model) || named || model.starts_with("arn:aws:bedrock:")
}

/// Whether a line speaks of it to warn.
fn warns(line: &str) -> bool {
    let line = line.to_lowercase();
    let before = line.split(SKIP).next().unwrap_or("");
    ["never", "not ", "n't", "avoid", "without", "refuse", "forbid", "prohibit", "instead of"]
        .iter()
        .any(|word| before.contains(word))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CLEAN, clean, only, with};

    #[test]
    fn an_unknown_model_is_found() {
        for model in ["gpt-4o", "Sonnet", "claude", "sonnet-4", "claude-"] {
            only(&with("model: sonnet", &format!("model: {model}")), "model-unknown", 5);
        }
    }

    #[test]
    fn aliases_and_full_ids_are_known() {
        for model in [
            "inherit",
            "opus",
            "haiku",
            "claude-sonnet-4-5-20250929",
            "claude-3-5-haiku@20241022",
            "eu.anthropic.claude-opus-4-1-v1:0",
        ] {
            clean(&with("model: sonnet", &format!("model: {model}")));
        }
        clean(&with("model: sonnet\n", ""));
    }

    #[test]
    fn bypassed_permissions_are_found() {
        only(&with("model: sonnet", "permissionMode: bypassPermissions"), "permissions-bypassed", 5);
        only(
            &format!("{CLEAN}\nThen run `claude --dangerously-skip-permissions -p fix`.\n"),
            "permissions-bypassed",
            10,
        );
    }

    #[test]
    fn other_modes_and_warnings_are_fine() {
        clean(&with("model: sonnet", "permissionMode: acceptEdits"));
        clean(&format!("{CLEAN}\nNever start it with --dangerously-skip-permissions.\n"));
    }
}
