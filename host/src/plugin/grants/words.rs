//! Grants in plain words: what a plugin asks for, what that allows at worst, and what is said where it was refused.
//!
//! What a plugin calls itself, its programs, hosts and tools are a stranger's words: bounded, and made harmless.

use super::Wish;
use super::cover::{allows, methods};
use crate::plugin::capabilities::{Capabilities, Program};
use crate::plugin::printable;

/// The longest name of a host, program or tool that is shown, in characters. A host's name has at most 253.
const LONGEST: usize = 260;

/// What a plugin can keep of its own, as it is shown.
const NOTES: &str = "16 MiB";

/// What a wish is, after "it asks to": "run `git diff` and `git log` in the project".
pub fn plain(wish: &Wish) -> String {
    match wish {
        Wish::Spend(Some(usd)) => format!("ask Claude, up to {} a run", dollars(*usd)),
        Wish::Spend(None) => "ask Claude, as far as your budgets let it".to_owned(),
        Wish::Tool(tool) => format!("let Claude use its tool {}", name(tool)),
        Wish::Run(Program { program, subcommands, .. }) if subcommands.is_empty() => {
            format!("run `{}` in the project, with any arguments", name(program))
        }
        Wish::Run(Program { program, subcommands, .. }) => {
            let each = subcommands.iter().map(|words| format!("`{} {}`", name(program), name(words)));
            format!("run {} in the project", and(each.collect()))
        }
        Wish::Send(site) => {
            let methods: Vec<String> = methods(site).iter().map(|method| name(method)).collect();
            format!("send requests ({}) to {}", methods.join(", "), name(&site.host))
        }
        Wish::Store => format!("keep up to {NOTES} of its own notes"),
    }
}

/// What a wish allows at worst.
pub fn worst(wish: &Wish) -> String {
    match wish {
        Wish::Spend(usd) => {
            let most = match usd {
                Some(usd) => format!("each run spends {} of yours", dollars(*usd)),
                None => "each run spends all that your budgets leave".to_owned(),
            };
            format!("{most}, and what it has read of the project is sent to the model that you set")
        }
        Wish::Tool(tool) if tool.trim().starts_with("Bash") => {
            "Claude, told by the plugin, runs these commands as you would: they see your files and the network"
                .to_owned()
        }
        Wish::Tool(tool) if tool.trim().starts_with("Web") || tool.trim().starts_with("mcp__") => {
            "what Claude was told of the project goes to whom that tool talks to".to_owned()
        }
        Wish::Tool(_) => {
            "Claude, told by the plugin, sees or changes what that tool reaches; changes are made in a copy, and \
                          become edits that you are shown"
                .to_owned()
        }
        Wish::Run(_) => {
            "it runs as you: whatever its arguments can make that program do with your files and the network, the \
                         plugin can do"
                .to_owned()
        }
        Wish::Send(site) => format!("all that it reads in the project is sent to {}", name(&site.host)),
        Wish::Store => "what it read in one run stays on this disk, and it finds it again in later ones".to_owned(),
    }
}

/// What is said of a call that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was not done, and why.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// Why a call of a plugin is refused, that is called so by the user and asks for this in its manifest. For whoever
/// carries out the calls: they have looked that it is not granted.
pub fn refusal(plugin: &str, asked: &Capabilities, wish: &Wish) -> Refusal {
    let what = match wish {
        Wish::Run(Program { program, subcommands, .. }) => match subcommands.first() {
            Some(words) => format!("run `{} {}`", name(program), name(words)),
            None => format!("run `{}`", name(program)),
        },
        wish => plain(wish),
    };
    if allows(asked, wish) {
        Refusal {
            message: format!("it may not {what}: you have not granted that"),
            hint: format!("`{}` grants it", command(plugin, std::slice::from_ref(wish))),
        }
    } else {
        Refusal {
            message: format!("it may not {what}: its manifest does not ask for that"),
            hint: "only what stands in [capabilities] of its plugin.toml can be granted; its author can add it"
                .to_owned(),
        }
    }
}

/// What is said to a question that names a tool of Claude's which its plugin may not use.
pub fn no_tool(plugin: &str) -> String {
    let quoted = shlex::try_quote(plugin).map_or_else(|_| plugin.to_owned(), Into::into);
    printable(
        &format!(
            "its plugin does not ask for that tool in its manifest, or you have not granted it; `convoke grants explain {quoted}` tells"
        ),
        usize::MAX,
    )
}

/// The command that grants these to a plugin.
pub fn command(plugin: &str, wishes: &[Wish]) -> String {
    let mut words = vec!["convoke".to_owned(), "grants".to_owned(), "add".to_owned(), plugin.to_owned()];
    let mut option = |name: &str, value: String| words.extend([format!("--{name}"), value]);
    let mut flags = Vec::new();
    for wish in wishes {
        match wish {
            Wish::Spend(_) => flags.push("--trust"),
            Wish::Store => flags.push("--store"),
            Wish::Tool(tool) => option("tool", tool.clone()),
            Wish::Run(Program { program, subcommands, .. }) if subcommands.is_empty() => {
                option("process", program.clone())
            }
            Wish::Run(Program { program, subcommands, .. }) => {
                subcommands.iter().for_each(|words| option("process", format!("{program} {words}")));
            }
            Wish::Send(site) => option("http", format!("{}:{}", methods(site).join(","), site.host)),
        }
    }
    words.extend(flags.into_iter().map(str::to_owned));
    // What can't be quoted has a NUL in it, which no manifest's check lets pass.
    let line = shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "));
    printable(&line, usize::MAX)
}

/// Dollars as people write them.
pub fn dollars(usd: f64) -> String {
    if usd.fract() == 0.0 { format!("${usd:.0}") } else { format!("${usd:.2}") }
}

/// The beginning of a digest, enough to tell one from another.
pub fn short(digest: &str) -> String {
    printable(digest, 12).trim_end_matches('…').to_owned()
}

/// A stranger's name for something.
fn name(text: &str) -> String {
    printable(text, LONGEST)
}

/// `a`, `a and b`, `a, b and c`.
fn and(mut all: Vec<String>) -> String {
    match all.pop() {
        Some(last) if all.is_empty() => last,
        Some(last) => format!("{} and {last}", all.join(", ")),
        None => String::new(),
    }
}
