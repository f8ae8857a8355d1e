//! `[tiers]` of the user's own `config.toml`: where the questions of each tier go, and with what.
//!
//! A project can set nothing here: it would choose who is asked, what that may do, and what it costs.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use convoke_runtime::question::Tier;
use convoke_runtime::route::AbTest;
use serde::Deserialize;
use toml::Spanned;

use super::document::Document;
use super::{Backend, ConfigError, UnknownName, files, named};

/// The largest `.mcp.json` that is read, in bytes.
const LARGEST_MCP: u64 = 256 * 1024;

/// The longest instructions of a tier, in bytes: they are sent with every question.
const LONGEST_INSTRUCTIONS: usize = 64 * 1024;

/// So many models, or tools, can stand in a list.
const LONGEST_LIST: usize = 64;

/// The most output tokens that a question can be given. No model answers more at once.
const MOST_OUTPUT_TOKENS: u32 = 128_000;

/// A tier by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TierName {
    /// [`Tier::Speed`].
    Speed,
    /// [`Tier::Comprehensive`].
    Comprehensive,
}

impl TierName {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Speed, Self::Comprehensive];

    /// The name in files and options.
    pub const fn name(self) -> &'static str {
        self.tier().name()
    }

    /// The tier.
    pub const fn tier(self) -> Tier {
        match self {
            Self::Speed => Tier::Speed,
            Self::Comprehensive => Tier::Comprehensive,
        }
    }
}

impl FromStr for TierName {
    type Err = UnknownName;
    fn from_str(name: &str) -> Result<Self, UnknownName> {
        named(name, &Self::ALL, Self::name)
    }
}

/// What `auto` means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auto {
    /// What the question needs: [`convoke_runtime::route::auto`].
    #[default]
    Rule,
    /// Always the tier `speed`.
    Speed,
    /// Always the tier `comprehensive`.
    Comprehensive,
}

impl Auto {
    /// As a [`Route`](convoke_runtime::route::Route) has it.
    pub const fn tier(self) -> Tier {
        match self {
            Self::Rule => Tier::Auto,
            Self::Speed => Tier::Speed,
            Self::Comprehensive => Tier::Comprehensive,
        }
    }
}

/// How much of the project's `CLAUDE.md` goes into a tier's instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaudeMd {
    /// Nothing.
    #[default]
    None,
    /// Its head.
    Minimal,
    /// All of it, with what it imports from inside the project.
    Modular,
}

/// `--ab`: two tiers, and the share of the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ab(pub AbTest);

/// Why `--ab` can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write it like speed,comprehensive=20%: the share is that of the second")]
pub struct WrongAb(String);

impl FromStr for Ab {
    type Err = WrongAb;

    fn from_str(text: &str) -> Result<Self, WrongAb> {
        let wrong = |message: &str| WrongAb(message.to_owned());
        let (tiers, share) = text.split_once('=').ok_or_else(|| wrong("the share is missing"))?;
        let (first, second) = tiers.split_once(',').ok_or_else(|| wrong("two tiers are needed"))?;
        let tier = |name: &str| name.trim().parse::<TierName>().map_err(|error| WrongAb(error.to_string()));
        let (first, second) = (tier(first)?, tier(second)?);
        if first == second {
            return Err(wrong("two tiers are needed, not the same twice"));
        }
        let percent = share.trim().strip_suffix('%').ok_or_else(|| wrong("the share has no %"))?;
        let percent: f64 = percent.trim().parse().map_err(|_| wrong("the share is no number"))?;
        let share = (percent * 100.0).round();
        // Both ends are inside of u32; what is no number is in no range.
        let share = if (1.0..10_000.0).contains(&share) { share as u32 } else { 0 };
        let test = AbTest::new(first.tier(), second.tier(), share);
        test.map(Self).ok_or_else(|| wrong("the share can be 0.01% to 99.99%"))
    }
}

/// `[tiers]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tiers {
    /// `auto`.
    pub auto: Auto,
    /// `[tiers.speed]`.
    pub speed: TierSettings,
    /// `[tiers.comprehensive]`.
    pub comprehensive: TierSettings,
}

impl Tiers {
    /// Each of the two, with its name.
    pub fn each(&self) -> [(TierName, &TierSettings); 2] {
        [(TierName::Speed, &self.speed), (TierName::Comprehensive, &self.comprehensive)]
    }

    pub(super) fn each_mut(&mut self) -> [&mut TierSettings; 2] {
        [&mut self.speed, &mut self.comprehensive]
    }
}

/// What the user sets for a tier. None: what holds for every question.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TierSettings {
    /// Who answers.
    pub backend: Option<Backend>,
    /// The model.
    pub model: Option<String>,
    /// The models to try after it.
    pub fallback_models: Vec<String>,
    /// What is added to every question's instructions.
    pub instructions: Option<String>,
    /// Claude's tools that the user grants.
    pub tools: Vec<String>,
    /// MCP servers: the text of the `.mcp.json` that `mcp_config` names.
    pub mcp: Option<String>,
    /// How much of the project's `CLAUDE.md` is added to the instructions.
    pub claude_md: ClaudeMd,
    /// The longest answer of a question that names none, in tokens.
    pub max_output_tokens: Option<u32>,
    /// From sending to the end of an answer.
    pub question_timeout: Option<Duration>,
    /// Without a sign on an answer that has begun.
    pub stall_timeout: Option<Duration>,
}

/// The `model` of `config.toml`: the one of every question where no tier names its own, else that of the tier that
/// doesn't.
pub(super) fn model_of_all(model: Option<String>, tiers: &mut Tiers) -> Option<String> {
    if tiers.each().iter().all(|(_, tier)| tier.model.is_none()) {
        return model;
    }
    for tier in tiers.each_mut() {
        tier.model = tier.model.take().or_else(|| model.clone());
    }
    None
}

/// `[tiers]` as it stands in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TiersTable {
    #[serde(default)]
    auto: Auto,
    #[serde(default)]
    speed: TierTable,
    #[serde(default)]
    comprehensive: TierTable,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TierTable {
    backend: Option<Backend>,
    model: Option<String>,
    #[serde(default)]
    fallback_models: Option<Spanned<Vec<String>>>,
    instructions: Option<Spanned<String>>,
    tools: Option<Spanned<Vec<String>>>,
    mcp_config: Option<Spanned<String>>,
    #[serde(default)]
    claude_md: ClaudeMd,
    max_output_tokens: Option<Spanned<u32>>,
    question_timeout_s: Option<Spanned<u64>>,
    stall_timeout_s: Option<Spanned<u64>>,
}

impl TiersTable {
    pub(super) fn check(self, document: Document<'_>) -> Result<Tiers, ConfigError> {
        Ok(Tiers {
            auto: self.auto,
            speed: self.speed.check(document, TierName::Speed)?,
            comprehensive: self.comprehensive.check(document, TierName::Comprehensive)?,
        })
    }
}

impl TierTable {
    fn check(self, document: Document<'_>, tier: TierName) -> Result<TierSettings, ConfigError> {
        let seconds = |key, value| Ok(document.within(key, value, 1..=3_600)?.map(Duration::from_secs));
        let mcp = match self.mcp_config {
            Some(path) if tier == TierName::Speed => {
                let hint = "write mcp_config into [tiers.comprehensive]";
                return Err(document.at(path.span(), "MCP servers are for the tier comprehensive", hint));
            }
            path => path.map(|path| mcp(document, &path)).transpose()?,
        };
        Ok(TierSettings {
            backend: self.backend,
            model: self.model.map(|model| model.trim().to_owned()).filter(|model| !model.is_empty()),
            fallback_models: list(document, "fallback_models", self.fallback_models)?,
            instructions: match self.instructions {
                Some(text) if text.get_ref().len() > LONGEST_INSTRUCTIONS => {
                    let hint = format!("they can have {LONGEST_INSTRUCTIONS} bytes");
                    return Err(document.at(text.span(), "the instructions are too long", hint));
                }
                text => text.map(Spanned::into_inner).filter(|text| !text.trim().is_empty()),
            },
            tools: list(document, "tools", self.tools)?,
            mcp,
            claude_md: self.claude_md,
            max_output_tokens: document.within("max_output_tokens", self.max_output_tokens, 1..=MOST_OUTPUT_TOKENS)?,
            question_timeout: seconds("question_timeout_s", self.question_timeout_s)?,
            stall_timeout: seconds("stall_timeout_s", self.stall_timeout_s)?,
        })
    }
}

fn list(document: Document<'_>, key: &str, list: Option<Spanned<Vec<String>>>) -> Result<Vec<String>, ConfigError> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let span = list.span();
    let names: Vec<String> = list.into_inner().into_iter().map(|name| name.trim().to_owned()).collect();
    let good = |name: &String| !name.is_empty() && name.len() <= 200 && !name.chars().any(char::is_control);
    if names.len() > LONGEST_LIST || !names.iter().all(good) {
        let hint = format!("at most {LONGEST_LIST} names, none of them empty or longer than 200 bytes");
        return Err(document.at(span, &format!("{key} can't be used"), hint));
    }
    Ok(names)
}

/// The text of an `.mcp.json`; its path is relative to the configuration's own folder.
fn mcp(document: Document<'_>, path: &Spanned<String>) -> Result<String, ConfigError> {
    let file = document.path.parent().unwrap_or(Path::new("")).join(PathBuf::from(path.get_ref()));
    let wrong = |message: String| document.at(path.span(), &format!("{}: {message}", file.display()), MCP_HINT);
    let text = files::read_text(&file, LARGEST_MCP).map_err(|error| wrong(error.to_string()))?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|error| wrong(format!("no JSON: {error}")))?;
    let servers = json.get("mcpServers").and_then(serde_json::Value::as_object);
    let servers = servers.ok_or_else(|| wrong("it has no object `mcpServers`".to_owned()))?;
    if let Some((name, _)) = servers.iter().find(|(_, server)| !server.is_object()) {
        return Err(wrong(format!("the server {name:?} is no object")));
    }
    Ok(json.to_string())
}

const MCP_HINT: &str = "name a file like {\"mcpServers\": {\"docs\": {\"command\": \"docs-server\"}}}";

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(folder: &Path, text: &str) -> Result<Tiers, ConfigError> {
        let path = folder.join("config.toml");
        let document = Document { path: &path, text };
        document.parse::<TiersTable>(&[])?.check(document)
    }

    fn wrong(text: &str) -> String {
        parsed(Path::new("/nowhere"), text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_written_is_as_it_is_for_every_question() {
        assert_eq!(parsed(Path::new("/nowhere"), "").unwrap(), Tiers::default());
    }

    #[test]
    fn mcp_servers_are_read_beside_the_configuration_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[comprehensive]\nmcp_config = \"servers.json\"\n";
        let write = |content: &str| std::fs::write(folder.path().join("servers.json"), content).unwrap();
        write("{\"mcpServers\": {\"docs\": {\"command\": \"x\"}}}");
        let tiers = parsed(folder.path(), text).unwrap();
        assert_eq!(tiers.comprehensive.mcp.as_deref(), Some(r#"{"mcpServers":{"docs":{"command":"x"}}}"#));
        for (content, problem) in [
            ("{", "no JSON"),
            ("{\"servers\": {}}", "no object `mcpServers`"),
            ("{\"mcpServers\": {\"docs\": 7}}", "\"docs\" is no object"),
        ] {
            write(content);
            let error = parsed(folder.path(), text).unwrap_err().to_string();
            assert!(error.contains("config.toml:2:14") && error.contains(problem), "{error}");
        }
        assert!(wrong("[comprehensive]\nmcp_config = \"none.json\"\n").contains("none.json"));
        assert!(wrong("[speed]\nmcp_config = \"x\"\n").contains("for the tier comprehensive"));
    }

    #[test]
    fn what_is_out_of_range_or_unknown_has_a_place() {
        for (text, problem) in [
            ("auto = \"fast\"\n", "unknown variant `fast`"),
            ("[speed]\nmodle = \"x\"\n", "unknown field `modle`"),
            ("[speed]\nmax_output_tokens = 0\n", "max_output_tokens is 0"),
            ("[speed]\nquestion_timeout_s = 4000\n", "question_timeout_s is 4000"),
            ("[speed]\nstall_timeout_s = 0\n", "stall_timeout_s is 0"),
            ("[speed]\ntools = [\"\"]\n", "tools can't be used"),
            ("[speed]\nfallback_models = [\"a\\u001b\"]\n", "fallback_models can't be used"),
            ("[speed]\nclaude_md = \"all\"\n", "unknown variant `all`"),
            ("[fast]\n", "unknown field `fast`"),
        ] {
            let error = wrong(text);
            assert!(error.contains(problem), "{problem}: {error}");
        }
        let long = format!("[speed]\ninstructions = \"{}\"\n", "x".repeat(LONGEST_INSTRUCTIONS + 1));
        assert!(wrong(&long).contains("too long"));
    }

    #[test]
    fn an_ab_test_is_two_tiers_and_a_share() {
        let ab: Ab = "speed,comprehensive=20%".parse().unwrap();
        assert_eq!((ab.0.arms(), ab.0.percent()), ([Tier::Speed, Tier::Comprehensive], [80.0, 20.0]));
        let ab: Ab = " comprehensive , speed = 0.5 %".parse().unwrap();
        assert_eq!((ab.0.arms(), ab.0.percent()), ([Tier::Comprehensive, Tier::Speed], [99.5, 0.5]));
        for (text, problem) in [
            ("speed", "share is missing"),
            ("speed=20%", "two tiers"),
            ("speed,speed=20%", "not the same twice"),
            ("speed,fast=20%", "fast is none of speed, comprehensive"),
            ("speed,comprehensive=20", "no %"),
            ("speed,comprehensive=x%", "no number"),
            ("speed,comprehensive=NaN%", "0.01%"),
            ("speed,comprehensive=0%", "0.01%"),
            ("speed,comprehensive=100%", "99.99%"),
            ("speed,comprehensive=-3%", "0.01%"),
        ] {
            let error = text.parse::<Ab>().unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
