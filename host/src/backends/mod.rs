//! Who answers: what is there on this machine, what `auto` takes of it, and what the tiers make of that.
//!
//! - [`claude`]: the user's own `claude` program and its login;
//! - [`tiers`]: backends and settings become a [`Route`](convoke_runtime::route::Route);
//! - [`claude_md`]: what of the project's `CLAUDE.md` a tier's instructions get;
//! - [`doctor`]: the checks behind `convoke doctor`.
//!
//! `auto` takes the first that is there: a key, a `claude` that is logged in, nobody. It never falls from one to the
//! next because it fails: a run that was meant to ask says so.

pub mod claude;
pub mod claude_md;
pub mod doctor;
pub mod tiers;
mod version;

use std::path::Path;
use std::sync::Arc;

use convoke_runtime::backend::Backend;
use convoke_runtime::backend::anthropic::{Anthropic, SetupError};
use convoke_runtime::backend::claude_cli::{ClaudeCli, ClaudeConfig};
use convoke_runtime::backend::offline::Offline;
use convoke_runtime::money::Usd;

use crate::config;
use claude::{Claude, ClaudeError};

/// Where it is looked.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The value of an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The project's folder, with no link in it: what lies inside is not the user's own.
    pub project: &'a Path,
    /// Where what a program said of itself is remembered; none: it is asked again.
    pub cache: Option<&'a Path>,
    /// Where it is written down which processes run, so that none is left behind.
    pub records: &'a Path,
    /// What one question may cost, for backends that count by themselves.
    pub most_usd: Option<Usd>,
}

impl Surroundings<'_> {
    /// A variable that is set to something.
    fn set(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.trim().is_empty())
    }

    /// The variable that holds the key or token of the Messages API.
    fn key(&self) -> Option<&'static str> {
        ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"].into_iter().find(|name| self.set(name).is_some())
    }
}

/// A variable of this process, for [`Surroundings`]. Of the folders in `PATH`, one that is not UTF-8 is only lost itself.
pub fn variable(name: &str) -> Option<String> {
    match name {
        "PATH" => std::env::var_os(name).map(|path| path.to_string_lossy().into_owned()),
        _ => std::env::var(name).ok(),
    }
}

/// Why a backend that was asked for can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// There is no key.
    #[error("the backend `anthropic` needs a key")]
    NoKey,
    /// There is a key, and it can't be used.
    #[error(transparent)]
    Anthropic(#[from] SetupError),
    /// There is no `claude` that could be used.
    #[error("the backend `claude-cli`: {0}")]
    Claude(#[from] ClaudeError),
    /// This program does not know where it is itself.
    #[error("the backend `claude-cli` starts convoke once more, and it can't be found: {0}")]
    Own(std::io::Error),
}

impl BackendError {
    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoKey => Some("set ANTHROPIC_API_KEY, or use --backend offline".to_owned()),
            Self::Anthropic(_) => None,
            Self::Claude(error) => error.hint(),
            Self::Own(_) => Some("start it by its whole path".to_owned()),
        }
    }
}

/// A backend that is taken.
pub struct Taken {
    /// Which; never `auto`.
    pub kind: config::Backend,
    /// It.
    pub backend: Arc<dyn Backend>,
    /// Which and why, in a line for the user; none where the user named it.
    pub said: Option<String>,
    /// What the user should know about it.
    pub notes: Vec<String>,
}

/// What `auto` takes, and why: a part of a sentence.
pub enum Auto {
    /// The Messages API, with the key in this variable.
    Anthropic(&'static str),
    /// The program.
    Claude(Box<Claude>),
    /// Nobody, and why no `claude`.
    Offline(ClaudeError),
}

impl Auto {
    /// The rule. A program is only run where a login was found.
    pub fn choose(around: Surroundings<'_>) -> Self {
        match around.key() {
            Some(name) => Self::Anthropic(name),
            None => match claude::ready(around) {
                Ok(claude) => Self::Claude(Box::new(claude)),
                Err(error) => Self::Offline(error),
            },
        }
    }

    /// Which backend that is.
    pub fn kind(&self) -> config::Backend {
        match self {
            Self::Anthropic(_) => config::Backend::Anthropic,
            Self::Claude(_) => config::Backend::ClaudeCli,
            Self::Offline(_) => config::Backend::Offline,
        }
    }

    /// Why.
    pub fn why(&self) -> String {
        match self {
            Self::Anthropic(name) => format!("{name} is set"),
            Self::Claude(claude) => {
                format!("no key is set, and {} {} {}", claude.program.display(), claude.version, claude.login)
            }
            Self::Offline(error) => format!("no key is set, and {error}"),
        }
    }

    /// The line for the user.
    fn said(&self) -> String {
        match self {
            Self::Offline(error) => format!(
                "No key was found, and {error}: no model is asked. Set ANTHROPIC_API_KEY, or log in with `claude`; \
                 `convoke doctor` tells more."
            ),
            _ => format!("Answers come from {}: {}.", self.kind().name(), self.why()),
        }
    }
}

/// Takes the backend that was asked for.
///
/// # Errors
///
/// See [`BackendError`].
pub fn take(choice: config::Backend, around: Surroundings<'_>) -> Result<Taken, BackendError> {
    let named = |kind, backend| Taken { kind, backend, said: None, notes: Vec::new() };
    match choice {
        config::Backend::Offline => Ok(named(choice, Arc::new(Offline))),
        config::Backend::Anthropic => Ok(named(choice, anthropic(around)?)),
        config::Backend::ClaudeCli => with_claude(&claude::find(around)?, around),
        config::Backend::Auto => {
            let auto = Auto::choose(around);
            let taken = match &auto {
                Auto::Anthropic(_) => named(auto.kind(), anthropic(around)?),
                Auto::Claude(claude) => with_claude(claude, around)?,
                Auto::Offline(_) => named(auto.kind(), Arc::new(Offline)),
            };
            Ok(Taken { said: Some(auto.said()), ..taken })
        }
    }
}

fn anthropic(around: Surroundings<'_>) -> Result<Arc<dyn Backend>, BackendError> {
    let found = Anthropic::from_environment(around.env).ok_or(BackendError::NoKey)?;
    Ok(Arc::new(found?))
}

fn with_claude(found: &Claude, around: Surroundings<'_>) -> Result<Taken, BackendError> {
    let warden = std::env::current_exe().map_err(BackendError::Own)?;
    let mut config = ClaudeConfig::new(found.program.clone(), warden, around.records.to_owned());
    config.env = std::env::vars_os().collect();
    config.project = Some(around.project.to_owned());
    config.most_usd = around.most_usd;
    let backend = Arc::new(ClaudeCli::new(config));
    let mut notes = found.notes.clone();
    if let Some(most) = around.most_usd {
        notes.push(format!(
            "claude counts its cost after each turn of the model: one question may exceed {most} by one turn"
        ));
    }
    Ok(Taken { kind: config::Backend::ClaudeCli, backend, said: None, notes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(variables: &[(&str, &str)]) -> Auto {
        let env = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Auto::choose(Surroundings {
            env: &env,
            project: Path::new("/nowhere"),
            cache: None,
            records: Path::new("/nowhere"),
            most_usd: None,
        })
    }

    #[test]
    fn a_key_goes_before_a_login_and_a_token_is_a_key() {
        let login = ("CLAUDE_CODE_OAUTH_TOKEN", "token");
        let key = chosen(&[("ANTHROPIC_API_KEY", "k"), ("ANTHROPIC_AUTH_TOKEN", "t"), login]);
        assert_eq!((key.kind(), key.why().as_str()), (config::Backend::Anthropic, "ANTHROPIC_API_KEY is set"));
        let token = chosen(&[("ANTHROPIC_API_KEY", " "), ("ANTHROPIC_AUTH_TOKEN", "t"), login]);
        assert_eq!(token.why(), "ANTHROPIC_AUTH_TOKEN is set");
    }

    #[test]
    fn without_anything_nobody_is_asked_and_it_is_said_why() {
        let nothing = chosen(&[("CLAUDE_CONFIG_DIR", "/nowhere/at/all")]);
        assert_eq!(nothing.kind(), config::Backend::Offline);
        assert!(nothing.said().starts_with("No key was found, and "), "{}", nothing.said());
    }

    #[test]
    fn what_is_asked_for_and_not_there_is_an_error_with_a_hint() {
        let env = |_: &str| None;
        let around = Surroundings {
            env: &env,
            project: Path::new("/nowhere"),
            cache: None,
            records: Path::new("/nowhere"),
            most_usd: None,
        };
        for choice in [config::Backend::Anthropic, config::Backend::ClaudeCli] {
            let error = take(choice, around).err().unwrap();
            assert!(error.to_string().contains(choice.name()) && error.hint().is_some(), "{error}");
        }
        assert!(take(config::Backend::Offline, around).is_ok_and(|taken| taken.said.is_none()));
    }
}
