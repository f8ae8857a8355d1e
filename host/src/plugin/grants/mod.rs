//! What a plugin may do beside reading the project: what it asks for, what the user grants, and what that means.
//!
//! A plugin asks by its imports and its manifest; both are read without running it. The user's answer stands in
//! `grants.toml` ([`Grants`]), by the sha-256 of the component, so that a changed one asks again. A run gets what is
//! both asked for and granted ([`meet`]), and nothing else.
//!
//! How much of it is the user's word already depends on where the plugin comes from ([`Origin`]):
//!
//! | | may ask Claude | Claude's tools, notes of its own | programs, hosts |
//! |---|---|---|---|
//! | embedded in convoke | yes | yes | asked once |
//! | its file's path was typed | yes | asked once | asked once |
//! | installed, or named by a project | asked once | asked once | asked once |
//!
//! What was decided for a component is decided: what of it was not granted is refused where it is used, and named. A host or program
//! that the manifest calls `optional` is never asked about before a run: the plugin does without, and says so.

mod cover;
mod decide;
mod file;
pub mod words;

use jiff::Timestamp;

use super::capabilities::{Capabilities, Program, Site};

pub use cover::{join, lacking, meet};
pub use decide::{Ask, Case, GrantError, check, decide, decide_as, is_within};
pub(crate) use file::is_digest;
pub use file::{FILE, Grants, GrantsError};
pub use words::{Refusal, plain, refusal, worst};

/// Where a plugin comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is a part of convoke. It may do what its manifest says, but for what reaches beyond convoke: programs, hosts.
    Embedded,
    /// The user typed the path of its file: that it may ask Claude is said by this.
    Typed,
    /// It was installed, or a project names it: nothing is said by typing its name.
    Installed,
}

/// What a user has decided about a component.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The sha-256 of the component, in lower-case hexadecimal.
    pub digest: String,
    /// What it is called by itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// When it was decided.
    pub granted: Timestamp,
    /// Whether it was a part of convoke then. Its next version asks only for what is more.
    pub embedded: bool,
    /// Whether it may run and ask Claude, which spends money.
    pub trust: bool,
    /// What else it may do. Of `claude`, the dollars of a run hold for what [`trust`](Self::trust) allows.
    pub capabilities: Capabilities,
}

/// One thing that a plugin would like to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// Ask Claude; the dollars that a run may take, none: it names no limit.
    Spend(Option<f64>),
    /// Let Claude use a tool.
    Tool(String),
    /// Run a program, with these subcommands; none: with any arguments.
    Run(Program),
    /// Send requests to a host.
    Send(Site),
    /// Keep notes of its own between runs.
    Store,
}

impl Wish {
    /// To run a program with a subcommand; an empty one: none.
    pub fn run(program: &str, subcommand: &str) -> Self {
        let subcommands = Some(subcommand).filter(|words| !words.is_empty()).map(str::to_owned).into_iter().collect();
        Self::Run(Program { program: program.to_owned(), subcommands, optional: false })
    }

    /// The same in its smallest parts: each subcommand and each method by itself.
    pub fn parts(&self) -> Vec<Self> {
        match self {
            Self::Run(whole) if !whole.subcommands.is_empty() => {
                let part = |words: &String| Program { subcommands: vec![words.clone()], ..whole.clone() };
                whole.subcommands.iter().map(part).map(Self::Run).collect()
            }
            Self::Send(Site { host, methods, optional }) if !methods.is_empty() => {
                let part =
                    |method: &String| Site { host: host.clone(), methods: vec![method.clone()], optional: *optional };
                methods.iter().map(part).map(Self::Send).collect()
            }
            whole => vec![whole.clone()],
        }
    }

    /// To send a request with a method to a host, with its port where that is not the usual one.
    pub fn send(method: &str, host: &str) -> Self {
        Self::Send(Site { host: host.to_owned(), methods: vec![method.to_owned()], optional: false })
    }
}

impl Grant {
    /// What is said by where a plugin comes from.
    pub fn presumed(origin: Origin, asked: &Capabilities) -> Self {
        let mut capabilities = Capabilities::default();
        if origin == Origin::Embedded {
            capabilities.store = asked.store;
            capabilities.claude.tools.clone_from(&asked.claude.tools);
        }
        Self {
            digest: String::new(),
            name: String::new(),
            version: String::new(),
            granted: Timestamp::UNIX_EPOCH,
            embedded: origin == Origin::Embedded,
            trust: origin != Origin::Installed,
            capabilities,
        }
    }

    /// This and what is granted by another one, whose dollars hold.
    #[must_use]
    pub fn and(mut self, more: &Self) -> Self {
        self.trust |= more.trust;
        self.capabilities = join(&self.capabilities, &more.capabilities);
        self
    }
}

/// What is asked for and not granted, in the order in which it is shown. Running at all is asked for by every plugin, and
/// with it asking Claude.
pub fn missing(asked: &Capabilities, given: Option<&Grant>) -> Vec<Wish> {
    match given {
        Some(grant) if grant.trust => lacking(asked, &grant.capabilities),
        Some(grant) => {
            let rest = lacking(asked, &grant.capabilities).into_iter().filter(|wish| !matches!(wish, Wish::Spend(_)));
            std::iter::once(Wish::Spend(asked.claude.usd)).chain(rest).collect()
        }
        None => {
            std::iter::once(Wish::Spend(asked.claude.usd)).chain(lacking(asked, &Capabilities::default())).collect()
        }
    }
}

#[cfg(test)]
mod tests;
