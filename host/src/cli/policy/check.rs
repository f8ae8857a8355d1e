//! `convoke policy check`: whether a policy loads, and what it decides on facts of each kind.

use convoke_runtime::policy::{Clock, Decision, Facts, Foreign, Mode, Profile, words};
use serde_json::json;

use super::{CliError, Desk, load};
use crate::cli::terminal::put;
use crate::policy::{Loaded, samples};
use crate::report::{ExitCode, clean};

/// What decides: numbers, or a program that is asked after them.
pub(super) struct Judge {
    pub(super) name: String,
    profile: Profile,
    foreign: Option<Box<dyn Foreign>>,
}

impl Judge {
    /// Loads it.
    pub(super) fn of(desk: &Desk, wish: &str) -> Result<Self, CliError> {
        let mode = desk.settings.mode.for_policies();
        let Some(path) = desk.find(wish)? else {
            return Ok(Self { name: wish.to_owned(), profile: Profile::of(mode), foreign: None });
        };
        let Loaded { name, profile, foreign } = load(&path, mode, &desk.policies.place)?;
        Ok(Self { name, profile: profile.unwrap_or_else(|| Profile::of(mode)), foreign })
    }

    /// Decides on facts, with what the built-in policy decides by its numbers among them.
    ///
    /// # Errors
    /// It gives no decision, or nonsense.
    pub(super) fn decide(&self, facts: &mut Facts) -> Result<Decision, String> {
        self.profile.decide(facts);
        let decision = match &self.foreign {
            Some(foreign) => foreign.decide(facts).map_err(|fault| fault.to_string())?,
            None => convoke_runtime::policy::Policy::decide(&convoke_runtime::policy::AsBuiltIn, facts),
        };
        if decision.kind() != facts.kind() {
            return Err(format!("it was asked for `{}` and decided `{}`", facts.kind().name(), decision.kind().name()));
        }
        decision.check().map_err(|nonsense| nonsense.to_string())?;
        Ok(decision)
    }
}

pub(super) fn check(desk: &Desk, wish: &str, is_json: bool) -> Result<ExitCode, CliError> {
    let judge = Judge::of(desk, wish)?;
    let mode: Mode = desk.settings.mode.for_policies();
    let mut decided = Vec::new();
    for mut facts in samples::facts(Clock::default().now(), mode) {
        let decision = judge.decide(&mut facts);
        decided.push((facts.kind().name(), decision));
    }
    let is_refused = decided.iter().any(|(_, decision)| decision.is_err());
    let text = if is_json {
        let list: Vec<_> = decided
            .iter()
            .map(|(kind, decision)| match decision {
                Ok(decision) => json!({"kind": kind, "decision": words(decision), "reason": decision.reason()}),
                Err(fault) => json!({"kind": kind, "fault": fault}),
            })
            .collect();
        let shown = json!({"schema_version": 1, "name": judge.name, "accepted": !is_refused, "decisions": list});
        format!("{}\n", clean::json(format!("{shown:#}")))
    } else {
        let mut text = format!("{} decides on sample facts:\n", judge.name);
        for (kind, decision) in &decided {
            let line = match decision {
                Ok(decision) if decision.reason().is_empty() => words(decision),
                Ok(decision) => format!("{} ({})", words(decision), decision.reason()),
                Err(fault) => format!("nothing that can be done: {fault}"),
            };
            text += &format!("  {kind:8} {}\n", clean::line(&clean::bounded(&line, 600)));
        }
        text
    };
    put(&text, None)?;
    if is_refused {
        return Err(CliError::usage(format!("the policy {} is refused: it fails on sample facts", judge.name)));
    }
    Ok(ExitCode::Success)
}
