//! What a component asks for, in words: its imports of the contract, narrowed by its manifest.

use crate::plugin::capabilities::{Capabilities, Claude};
use crate::plugin::manifest::Manifest;
use crate::plugin::printable;

/// The longest line, in characters.
const LONGEST: usize = 300;

/// What a component asks for beyond reading the project, a line each. None of it can move a terminal's cursor.
pub fn asks(imports: &[String], manifest: &Manifest) -> Vec<String> {
    let mut asks = Vec::new();
    let Capabilities { process, http, store, claude: Claude { usd, tools } } = &manifest.capabilities;
    if imports.iter().any(|import| import.starts_with("convoke:plugin/worker@")) {
        asks.push(match usd {
            Some(usd) => format!("ask Claude, up to ${usd} a run"),
            None => "ask Claude, as far as your budgets let it".to_owned(),
        });
    }
    asks.extend(tools.iter().map(|tool| format!("let Claude use its tool {tool}")));
    for asked in process {
        if asked.subcommands.is_empty() {
            asks.push(format!("run `{}` in the project, with any arguments", asked.program));
        }
        asks.extend(asked.subcommands.iter().map(|words| format!("run `{} {words}` in the project", asked.program)));
    }
    for site in http {
        let methods = if site.methods.is_empty() { "GET, HEAD".to_owned() } else { site.methods.join(", ") };
        asks.push(format!("send requests ({methods}) to {}", site.host));
    }
    if *store {
        asks.push("keep notes of its own".to_owned());
    }
    asks.iter().map(|line| printable(line, LONGEST)).collect()
}
