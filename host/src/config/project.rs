//! A project's `convoke.toml`. It can only ask and tighten.
//!
//! ```toml
//! version = 1
//! mode = "safe"                  # not looser than the user's own
//! backend = "offline"            # nothing else can be asked for
//! fail_on = "medium"             # not laxer than the user's own
//! suppress_comments = false      # comments in files suppress nothing
//!
//! [limits]                       # as in config.toml, only lower
//! instances = 3
//!
//! [budget]                       # as in config.toml, only lower
//! usd = 0.5
//! usd_per_day = 2.0
//!
//! [quotas.nights]                # as in config.toml, beside the user's own
//! requests = 100
//!
//! [plugins]                      # which commands it wants; `convoke install` asks you, and writes convoke.lock
//! deps = "^0.2"
//! lint = { path = "tools/lint.wasm" }
//! docs = { source = "oci://registry.example/docs", version = "^1" }
//! [http]                         # as in config.toml, only lower
//! timeout_s = 10
//!
//! [severity]                     # by rule: critical, high, medium, low, info, off
//! body-short = "low"
//! tools-inherited = "off"
//!
//! [[suppress]]
//! rule = "name-not-file"         # or "*"
//! path = "legacy/**"             # none: everywhere
//! reason = "they are renamed with the next release"
//! until = 2027-01-31             # the last day; none: for good
//!
//! [process]                      # as in config.toml, only lower
//! timeout_s = 20
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use convoke_runtime::work::Severity;
use globset::{GlobBuilder, GlobMatcher};
use jiff::civil::Date;
use serde::Deserialize;
use toml::Spanned;

use super::document::{Document, lines};
use super::http::{AskedHttp, HttpTable};
use super::limits::{AskedLimits, BudgetTable, LimitsTable};
use super::plugins::{Pins, PluginsTable};
use super::process::{AskedProcess, ProcessTable};
use super::quotas::{self, AskedQuotas, QuotasTable};
use super::{Backend, Budget, ConfigError, FailOn, Mode};
use crate::report::suppress::{Override, Suppression};

/// What it says.
#[derive(Clone, Debug, Default)]
pub struct Project {
    /// `mode`.
    pub mode: Option<Mode>,
    /// `backend`.
    pub backend: Option<Backend>,
    /// `fail_on`.
    pub fail_on: Option<FailOn>,
    /// `suppress_comments`.
    pub suppress_comments: Option<bool>,
    /// `[limits]`.
    pub limits: AskedLimits,
    /// `[process]`.
    pub process: AskedProcess,
    /// `[budget]`.
    pub budget: Budget,
    /// `[quotas]`.
    pub quotas: AskedQuotas,
    /// `[plugins]`.
    pub plugins: Pins,
    /// `[http]`.
    pub http: AskedHttp,
    /// `[severity]`.
    pub severity: BTreeMap<String, Override>,
    /// `[[suppress]]`.
    pub suppressions: Vec<Suppression>,
    /// Whether it has `[tiers]`, which it can't set.
    pub tiers: bool,
    /// Whether it has `[policy]`, which it can't set.
    pub policy: bool,
    /// The line of each value, by its key.
    pub lines: BTreeMap<String, usize>,
}

/// What a project asked for and does not get, in words, each with its line.
#[derive(Debug)]
pub(super) struct Refused<'a> {
    lines: &'a BTreeMap<String, usize>,
    /// They.
    pub(super) all: Vec<String>,
}

impl<'a> Refused<'a> {
    /// Nothing yet, of a file whose values stand at these lines.
    pub(super) fn new(lines: &'a BTreeMap<String, usize>) -> Self {
        Self { lines, all: Vec::new() }
    }

    /// What stands under a key, or in the table of that name, is not done.
    pub(super) fn push(&mut self, key: &str, what: &str) {
        let is_there =
            |known: &str| known.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let line = self.lines.iter().filter(|(known, _)| is_there(known)).map(|(_, line)| line).min();
        let place = line.map_or_else(String::new, |line| format!(":{line}"));
        self.all.push(format!("{}{place}: {what}", super::paths::PROJECT_FILE));
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "version")]
    _version: Option<u32>,
    mode: Option<Mode>,
    backend: Option<Backend>,
    fail_on: Option<FailOn>,
    suppress_comments: Option<bool>,
    #[serde(default)]
    limits: LimitsTable,
    #[serde(default)]
    process: ProcessTable,
    #[serde(default)]
    budget: BudgetTable,
    #[serde(default)]
    quotas: QuotasTable,
    #[serde(default)]
    plugins: PluginsTable,
    #[serde(default)]
    http: HttpTable,
    #[serde(default)]
    severity: BTreeMap<String, Level>,
    #[serde(default)]
    suppress: Vec<Suppress>,
    // Whatever stands there is not used.
    tiers: Option<toml::Value>,
    policy: Option<toml::Value>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Level {
    Critical,
    High,
    Medium,
    Low,
    Info,
    Off,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Suppress {
    rule: Spanned<String>,
    path: Option<Spanned<String>>,
    reason: Spanned<String>,
    until: Option<Spanned<toml::Value>>,
}

/// Keys that only the user's own file has.
const ELSEWHERE: &[(&str, &str)] = &[
    ("grants", GRANTS),
    ("grant", GRANTS),
    ("trust", GRANTS),
    ("capabilities", GRANTS),
    ("registry", SOURCES),
    ("registries", SOURCES),
    ("credentials", ADDRESS),
    ("alerts", "a project can't choose where alerts are sent: [alerts] stands in your own config.toml"),
    ("metrics", "a project can't choose where numbers are served: [metrics] stands in your own config.toml"),
    ("anthropic", ADDRESS),
    ("api_key", ADDRESS),
    ("base_url", ADDRESS),
    ("proxy", ADDRESS),
    ("env", "a project can't set the environment of anything that runs"),
    ("mcp", "a project can't name MCP servers: they stand in [tiers] of your own config.toml"),
    ("tools", "a project can't grant Claude's tools: they stand in [tiers] of your own config.toml"),
    ("actions", "a project can't say what runs without asking: write [actions] into your own config.toml"),
    ("model", "a project can't choose the model: write it into your own config.toml, or use --model"),
    ("cache", "a project can't choose what is kept: write [cache] into your own config.toml, or use --no-cache"),
    ("install", "a project can't choose where code comes from: write [install] into your own config.toml"),
    ("journal", "a project can't choose how long runs are kept: write [journal] into your own config.toml"),
    ("audit", "a project can't choose what is kept of the audit log: write [audit] into your own config.toml"),
    ("traces", "a project can't say what is told of runs: write [traces] into your own config.toml"),
    ("prices", "a project can't say what a model costs: write [prices] into your own config.toml"),
];

const GRANTS: &str = "a project can't grant anything: `convoke grants add` writes your own grants.toml";
const SOURCES: &str = "a project can't say where names are fetched from: write that into your own config.toml";
const ADDRESS: &str =
    "a project can't say where credentials are sent, and holds none: they come from your own environment and files";

/// Reads the text of that file.
///
/// # Errors
///
/// See [`ConfigError`].
pub fn parse(path: &Path, text: &str) -> Result<Project, ConfigError> {
    let document = Document { path, text };
    let file: File = document.parse(ELSEWHERE)?;
    Ok(Project {
        mode: file.mode,
        backend: file.backend,
        fail_on: file.fail_on,
        suppress_comments: file.suppress_comments,
        limits: file.limits.check(document)?,
        process: file.process.check(document)?,
        budget: file.budget.check(document)?,
        quotas: quotas::check(file.quotas, document)?.of_project(path),
        plugins: file.plugins.check(document)?,
        http: file.http.check(document)?,
        severity: file.severity.into_iter().map(|(rule, level)| (rule, level.into())).collect(),
        suppressions: file
            .suppress
            .into_iter()
            .map(|suppress| suppress.check(document))
            .collect::<Result<Vec<_>, _>>()?,
        tiers: file.tiers.is_some(),
        policy: file.policy.is_some(),
        lines: lines(text),
    })
}

impl From<Level> for Override {
    fn from(level: Level) -> Self {
        match level {
            Level::Critical => Self::To(Severity::Critical),
            Level::High => Self::To(Severity::High),
            Level::Medium => Self::To(Severity::Medium),
            Level::Low => Self::To(Severity::Low),
            Level::Info => Self::To(Severity::Info),
            Level::Off => Self::Off,
        }
    }
}

impl Suppress {
    fn check(self, document: Document<'_>) -> Result<Suppression, ConfigError> {
        if self.rule.get_ref().trim().is_empty() {
            return Err(document.at(self.rule.span(), "the rule is empty", "write a rule's id, or \"*\" for all"));
        }
        if self.reason.get_ref().trim().is_empty() {
            return Err(document.at(self.reason.span(), "the reason is empty", "say why its findings are right here"));
        }
        let line = document.line(self.rule.span().start);
        Ok(Suppression {
            path: self.path.map(|path| glob(&path, document)).transpose()?,
            until: self.until.map(|until| date(&until, document)).transpose()?,
            rule: self.rule.into_inner(),
            reason: self.reason.into_inner(),
            place: format!("{}:{line}", super::paths::PROJECT_FILE),
        })
    }
}

/// `*` stops at a folder's border, `**` does not.
fn glob(path: &Spanned<String>, document: Document<'_>) -> Result<GlobMatcher, ConfigError> {
    let pattern = path.get_ref().strip_prefix("./").unwrap_or(path.get_ref());
    let built = GlobBuilder::new(pattern).literal_separator(true).build();
    built.map(|glob| glob.compile_matcher()).map_err(|error| {
        let message = format!("the pattern can't be understood: {}", error.kind());
        document.at(path.span(), &message, "write a path like docs/*.md or legacy/**")
    })
}

/// A day, as TOML writes it or in quotes.
fn date(until: &Spanned<toml::Value>, document: Document<'_>) -> Result<Date, ConfigError> {
    let text = match until.get_ref() {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Datetime(day) if day.time.is_none() => Some(day.to_string()),
        _ => None,
    };
    let day = text.and_then(|text| text.parse().ok());
    day.ok_or_else(|| document.at(until.span(), "this is no day", "write a day like 2027-01-31"))
}

impl Project {
    /// A stricter mode is taken.
    pub(super) fn tighten_mode(&self, mode: &mut Mode, refused: &mut Refused<'_>) {
        match self.mode {
            Some(asked) if asked <= *mode => *mode = asked,
            Some(asked) => {
                refused.push("mode", &format!("mode {} is looser than {}, which stays", asked.name(), mode.name()));
            }
            None => {}
        }
    }

    /// A stricter limit is taken.
    pub(super) fn tighten_fail_on(&self, fail_on: &mut FailOn, refused: &mut Refused<'_>) {
        match self.fail_on {
            Some(asked) if asked >= *fail_on => *fail_on = asked,
            Some(asked) => {
                let what = format!("fail_on {} is laxer than {}, which stays", asked.name(), fail_on.name());
                refused.push("fail_on", &what);
            }
            None => {}
        }
    }

    /// A tier says who is asked, what that may do and what it costs.
    pub(super) fn refuse_tiers(&self, refused: &mut Refused<'_>) {
        if self.tiers {
            refused.push("tiers", "a project can only tighten, so its [tiers] is not used: tiers are your own");
        }
    }

    /// A policy decides what is spent, and may be a program.
    pub(super) fn refuse_policy(&self, refused: &mut Refused<'_>) {
        if self.policy {
            let message = "a project can't choose a policy or load a library, so its [policy] is not used: write it into \
                           your own config.toml, or use --policy";
            refused.push("policy", message);
        }
    }

    /// To ask nobody is stricter than anything; everything else spends the user's money.
    pub(super) fn tighten_backend(&self, backend: &mut Backend, refused: &mut Refused<'_>) {
        match self.backend {
            Some(Backend::Offline) => *backend = Backend::Offline,
            Some(asked) if asked != *backend => {
                let what = format!("a project can only choose the backend offline, not {}", asked.name());
                refused.push("backend", &what);
            }
            Some(_) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::documented_example;
    use super::*;

    fn parsed(text: &str) -> Result<Project, ConfigError> {
        parse(Path::new("convoke.toml"), text)
    }

    #[test]
    fn the_documented_example_is_read() {
        let project = parsed(&documented_example(include_str!("project.rs"))).unwrap();
        assert_eq!(project.severity["body-short"], Override::To(Severity::Low));
        assert_eq!(project.severity["tools-inherited"], Override::Off);
        let suppression = &project.suppressions[0];
        assert_eq!(suppression.until, Some(jiff::civil::date(2027, 1, 31)));
        assert_eq!(suppression.place, "convoke.toml:29");
        let path = suppression.path.as_ref().unwrap();
        assert!(path.is_match("legacy/deep/er.md") && !path.is_match("other/legacy/x.md"));
    }

    #[test]
    fn a_star_stops_at_a_folder() {
        let text = "[[suppress]]\nrule = \"r\"\nreason = \"x\"\npath = \"./docs/*.md\"\n";
        let path = parsed(text).unwrap().suppressions[0].path.clone().unwrap();
        assert!(path.is_match("docs/a.md") && !path.is_match("docs/deep/a.md"));
    }

    #[test]
    fn a_suppression_needs_a_rule_and_a_reason() {
        for (text, problem) in [
            ("[[suppress]]\nrule = \"r\"\n", "missing field `reason`"),
            ("[[suppress]]\nreason = \"x\"\n", "missing field `rule`"),
            ("[[suppress]]\nrule = \"r\"\nreason = \" \"\n", "convoke.toml:3:10: the reason is empty"),
            ("[[suppress]]\nrule = \"\"\nreason = \"x\"\n", "convoke.toml:2:8: the rule is empty"),
            ("[[suppress]]\nrule = \"r\"\nreason = \"x\"\npath = \"[\"\n", "convoke.toml:4:8: the pattern"),
            ("[[suppress]]\nrule = \"r\"\nreason = \"x\"\nuntil = \"soon\"\n", "convoke.toml:4:9: this is no day"),
            ("[[suppress]]\nrule = \"r\"\nreason = \"x\"\nuntil = 2027-01-31T00:00:00Z\n", "this is no day"),
            ("[[suppress]]\nrule = \"r\"\nreason = \"x\"\nuntill = 1\n", "unknown field `untill`"),
            ("[severity]\nr = \"of\"\n", "unknown variant `of`"),
        ] {
            let error = parsed(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{problem}: {error}");
        }
    }

    #[test]
    fn a_quoted_day_is_a_day_too() {
        let text = "[[suppress]]\nrule = \"r\"\nreason = \"x\"\nuntil = \"2027-01-31\"\n";
        assert_eq!(parsed(text).unwrap().suppressions[0].until, Some(jiff::civil::date(2027, 1, 31)));
    }

    #[test]
    fn what_grants_raises_or_loads_is_refused_with_its_line_and_says_whose_it_is() {
        for (text, whose) in [
            ("[[grants]]\nsha256 = \"0\"\n", "your own grants.toml"),
            ("[grant.deps]\ntrust = true\n", "your own grants.toml"),
            ("trust = true\n", "your own grants.toml"),
            ("[[capabilities.process]]\nprogram = \"git\"\n", "your own grants.toml"),
            ("[actions]\nallow = [\"rm\"]\n", "your own config.toml"),
            ("[install]\nnamespace = \"oci://evil.example/x\"\n", "your own config.toml"),
            ("[registries.evil]\nurl = \"https://evil.example\"\n", "your own config.toml"),
            ("[credentials]\nurl = \"https://evil.example\"\n", "where credentials are sent"),
            ("[anthropic]\nbase_url = \"https://evil.example\"\n", "where credentials are sent"),
            ("base_url = \"https://evil.example\"\n", "where credentials are sent"),
            ("[proxy]\nhttps = \"evil.example\"\n", "where credentials are sent"),
            ("[env]\nLD_PRELOAD = \"./evil.so\"\n", "environment"),
            ("tools = [\"Bash\"]\n", "Claude's tools"),
            ("[mcp]\ncommand = \"./evil\"\n", "MCP servers"),
            ("[cache]\nresponses = true\n", "your own config.toml"),
            ("[journal]\nkeep_days = 0\n", "your own config.toml"),
            ("[audit]\nkeep_files = 1\n", "your own config.toml"),
        ] {
            let error = parsed(&format!("version = 1\n{text}")).unwrap_err();
            let hint = miette::Diagnostic::help(&error).map(|hint| hint.to_string()).unwrap_or_default();
            assert!(error.to_string().contains("convoke.toml:2:"), "{text}: {error}");
            assert!(hint.contains(whose), "{text}: {hint}");
        }
        for text in ["[limits]\nunlimited = true\n", "[plugin]\nlibrary = \"x.so\"\n", "[native]\nallow = true\n"] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_used_is_said_with_its_line() {
        let text = "version = 1\n[tiers.speed]\nmodel = \"x\"\n[policy]\nuse = \"./evil.so\"\n[limits]\ninstances = 99\n\
                    [limits.operations]\nread = 90\n";
        let project = parsed(text).unwrap();
        let settings = super::super::Settings::put_together(Default::default(), project, Default::default());
        let said = settings.warnings.join("\n");
        for line in [
            "convoke.toml:3: a project can only tighten, so its [tiers]",
            "convoke.toml:5: a project can't choose a policy or load a library",
            "convoke.toml:7: a project can only lower instances",
            "convoke.toml:9: a project can only lower ",
        ] {
            assert!(said.contains(line), "{line}: {said}");
        }
    }

    #[test]
    fn a_project_cannot_choose_the_model_or_its_price() {
        for text in ["model = \"x\"\n", "[prices.\"x\"]\ninput = 0.0\noutput = 0.0\n"] {
            let error = parsed(text).unwrap_err();
            assert!(miette::Diagnostic::help(&error).unwrap().to_string().contains("config.toml"), "{text}");
        }
    }
}
