//! The tools an agent may use.

use convoke_sdk::Finding;

use super::finding;
use crate::agent::Agent;
use crate::text::words;
use convoke_sdk::text::shown;

/// The tools of Claude Code, present and former. Source: its tools reference.
const TOOLS: &[&str] = &[
    "Agent",
    "Artifact",
    "AskUserQuestion",
    "Bash",
    "BashOutput",
    "CronCreate",
    "CronDelete",
    "CronList",
    "Edit",
    "EnterPlanMode",
    "EnterWorktree",
    "ExitPlanMode",
    "ExitWorktree",
    "Glob",
    "Grep",
    "KillBash",
    "KillShell",
    "ListMcpResourcesTool",
    "LS",
    "LSP",
    "Monitor",
    "MultiEdit",
    "NotebookEdit",
    "NotebookRead",
    "PowerShell",
    "Read",
    "ReadMcpResourceTool",
    "RemoteTrigger",
    "SendMessage",
    "Skill",
    "SlashCommand",
    "Task",
    "TaskCreate",
    "TaskGet",
    "TaskList",
    "TaskOutput",
    "TaskStop",
    "TaskUpdate",
    "TeamCreate",
    "TeamDelete",
    "TodoRead",
    "TodoWrite",
    "ToolSearch",
    "WebFetch",
    "WebSearch",
    "Write",
];

/// The tools that change files.
const WRITING: &[&str] = &["Write", "Edit", "MultiEdit", "NotebookEdit"];

pub(super) fn check(agent: &Agent, found: &mut Vec<Finding>) {
    let tools = agent.tools();
    let all = tools.as_ref().and_then(|tools| tools.iter().find(|(_, tool)| tool == "*"));
    match &tools {
        Some(tools) => {
            for (line, tool) in tools.iter().filter(|(_, tool)| !is_known(tool)) {
                let unknown =
                    finding("tool-unknown", agent, *line, format!("`{tool}` is not a tool that Claude Code knows"));
                found.push(match meant(tool) {
                    Some(known) => unknown.help(format!("write `{known}`")),
                    None => unknown.help("a tool of an MCP server is written `mcp__server__tool`"),
                });
            }
            if let Some((line, _)) = all {
                found.push(inherited(agent, *line, "`*` gives the agent every tool there is"));
            }
        }
        // What is in broken YAML on several lines can't be read; without front matter there is nothing to say.
        None if agent.front.is_whole() => {
            let line = agent.front.line("tools");
            let message =
                "without `tools`, the agent gets every tool of the conversation, those that write, run and fetch too";
            if agent.front.get("disallowedTools").is_none() {
                found.push(inherited(agent, line, message));
            }
        }
        None => {}
    }
    if let Some(why) = only_reads(agent) {
        let writing: Vec<&(u32, String)> =
            tools.iter().flatten().filter(|(_, tool)| WRITING.contains(&base(tool))).collect();
        if let Some((line, _)) = writing.first() {
            let names: Vec<&str> = writing.iter().map(|(_, tool)| tool.as_str()).collect();
            let message = format!("{why}, and has {}", names.join(", "));
            found.push(
                finding("tools-writing-reader", agent, *line, message)
                    .help("leave it the tools that read: `Read, Grep, Glob`; what should change is its answer"),
            );
        }
    }
}

fn inherited(agent: &Agent, line: u32, message: &str) -> Finding {
    finding("tools-inherited", agent, line, message).help("list the tools that it needs: `tools: Read, Grep, Glob`")
}

/// A tool without what it is narrowed to: `Bash` of `Bash(git:*)`.
fn base(tool: &str) -> &str {
    tool.split_once('(').map_or(tool, |(name, _)| name).trim()
}

fn is_known(tool: &str) -> bool {
    let closed = !tool.contains('(') || tool.ends_with(')');
    let of_a_server = tool.strip_prefix("mcp__").is_some_and(|server| {
        !server.is_empty() && server.chars().all(|char| char.is_ascii_alphanumeric() || "_-.*:".contains(char))
    });
    tool == "*" || of_a_server || (closed && TOOLS.contains(&base(tool)))
}

/// The tool that was probably meant: the same name in other letters, or as other programs call it.
fn meant(tool: &str) -> Option<&'static str> {
    let plain = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let name = plain(base(tool));
    TOOLS.iter().find(|known| plain(known) == name).copied().or(match name.as_str() {
        "shell" | "terminal" | "exec" | "runcommand" | "execute" => Some("Bash"),
        "search" | "codesearch" => Some("Grep"),
        "fetch" | "browser" | "web" => Some("WebFetch"),
        "find" | "listfiles" => Some("Glob"),
        "view" | "readfile" | "cat" => Some("Read"),
        "writefile" | "create" | "createfile" => Some("Write"),
        "editfile" | "strreplace" => Some("Edit"),
        _ => None,
    })
}

/// How a description says that the agent only reads.
const SAYS_SO: &[&str] = &[
    "read-only",
    "read only",
    "without changing",
    "without modifying",
    "never edits",
    "never modifies",
    "never changes",
    "does not modify",
    "does not edit",
    "doesn't modify",
    "doesn't edit",
];
/// Roles whose work is an opinion.
const REVIEWS: &[&str] = &["reviewer", "auditor", "inspector", "critic", "verifier", "assessor", "review", "audit"];
/// Roles whose work is an answer, which some of them write down.
const ANALYSES: &[&str] = &["analyst", "analyzer", "researcher", "investigator", "explorer", "analysis", "research"];
/// What an agent that writes says it does: the verb, with the endings it takes. Nouns such as "implementation" don't
/// count, for reviewers speak of those.
const CHANGES: &[&str] = &[
    "create",
    "write",
    "rewrite",
    "generate",
    "produce",
    "build",
    "fix",
    "implement",
    "update",
    "modify",
    "modifie",
    "develop",
    "draft",
    "apply",
    "applie",
    "refactor",
    "document",
    "repair",
    "remediate",
    "resolve",
    "edit",
    "convert",
    "migrate",
    "reformat",
    "report",
    "prepare",
];

/// Why an agent should only read: by what it says, else by what it is called.
fn only_reads(agent: &Agent) -> Option<String> {
    let description = agent.front.text("description").unwrap_or("").to_lowercase();
    for phrase in SAYS_SO {
        let Some(at) = description.find(phrase) else { continue };
        // "read-only replicas" and "read-only mode" speak of something else, or of one mode among others.
        let next = words(&description[at + phrase.len()..]).next();
        if !phrase.starts_with("read")
            || next.is_none_or(|next| ["agent", "reviewer", "and", "it", "by", "never"].contains(&next.as_str()))
        {
            return Some(format!("the description says \"{phrase}\""));
        }
    }
    let role = agent.name().rsplit('-').next().unwrap_or("").to_lowercase();
    let changes = |text: &str| words(text).any(|word| CHANGES.iter().any(|verb| is_form_of(&word, verb)));
    let reads = if REVIEWS.contains(&role.as_str()) {
        !changes(&description)
    } else if ANALYSES.contains(&role.as_str()) {
        !changes(&description) && !changes(agent.body)
    } else {
        false
    };
    reads.then(|| format!("`{}` only reads, by its name and description", shown(agent.name(), 80)))
}

/// Whether a word is a verb or one of its forms: `creates`, `creating`, `created` of `create`.
fn is_form_of(word: &str, verb: &str) -> bool {
    let stem = verb.strip_suffix('e').unwrap_or(verb);
    match word.strip_prefix(stem) {
        Some(ending) => word == verb || matches!(ending, "s" | "es" | "ing" | "ed" | "d"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{CLEAN, clean, only, rules_at, with};
    use super::*;
    use crate::plan::Facts;

    #[test]
    fn an_unknown_tool_is_found_and_the_one_that_was_meant_is_named() {
        only(&with("Read, Grep, Glob", "Read, grep, Glob"), "tool-unknown", 4);
        only(&with("Read, Grep, Glob", "Read, chrome-mcp"), "tool-unknown", 4);
        only(&with("tools: Read, Grep, Glob", "tools:\n  - Read\n  - Bash(git:*"), "tool-unknown", 6);
        assert_eq!(
            (meant("read_file"), meant("web_search"), meant("chrome-mcp")),
            (Some("Read"), Some("WebSearch"), None)
        );
    }

    #[test]
    fn patterns_and_servers_are_known() {
        clean(&with(
            "Read, Grep, Glob",
            "Read, Bash(git diff:*, git log:*), Task(code-reader), mcp__github, mcp__github__get_issue, mcp__x__*",
        ));
    }

    #[test]
    fn an_agent_that_gets_every_tool_is_found() {
        only(&with("tools: Read, Grep, Glob\n", ""), "tools-inherited", 1);
        only(&with("Read, Grep, Glob", ""), "tools-inherited", 4);
        only(&with("Read, Grep, Glob", "\"*\""), "tools-inherited", 4);
        clean(&with("Read, Grep, Glob", "[]"));
        clean(&with("tools: Read, Grep, Glob", "disallowedTools: Write, Edit"));
    }

    fn called(name: &str, description: &str, tools: &str) -> Vec<String> {
        let text = CLEAN
            .replace("code-reader", name)
            .replace("Explains code. Use this agent when somebody asks how a part of the system works.", description)
            .replace("Read, Grep, Glob", tools);
        rules_at(&format!("agents/{name}.md"), &text, &Facts::default()).into_iter().map(|(rule, _)| rule).collect()
    }

    #[test]
    fn a_reviewer_that_may_write_is_found() {
        let reviews = "Use when you need to evaluate system design decisions.";
        assert_eq!(called("architect-reviewer", reviews, "Read, Write, Edit, Bash"), ["tools-writing-reader"]);
        assert_eq!(
            called("code-reviewer", "Use when assessing an implementation or its hardening.", "Edit"),
            ["tools-writing-reader"]
        );
        assert_eq!(called("market-analyst", "Use when sizing a market.", "Read, Write"), ["tools-writing-reader"]);
        assert_eq!(called("helper", "Use when lost. Read-only.", "Read, MultiEdit"), ["tools-writing-reader"]);
    }

    #[test]
    fn who_says_that_it_changes_things_may_write() {
        let none: [&str; 0] = [];
        assert_eq!(called("architect-reviewer", "Use when designs need a look.", "Read, Bash"), none);
        assert_eq!(
            called("writing-auditor", "Use when you need to audit content and rewrite it.", "Read, Write"),
            none
        );
        assert_eq!(called("data-analyst", "Use when you create dashboards.", "Read, Write"), none);
        assert_eq!(called("sql-tuner", "Use when routing to read-only replicas.", "Read, Write"), none);
        assert_eq!(called("code-reviewer", "Use when an implementation was documented.", "Read, Edit"), none);
        assert_eq!(called("backend-developer", "Use when building services.", "Read, Write"), none);
    }
}
