//! The user's own `config.toml`.
//!
//! ```toml
//! version = 1
//! mode = "balanced"              # safe, balanced, performance
//! backend = "auto"               # auto, anthropic, claude-cli, offline
//! model = "a-model"
//! fail_on = "high"               # never, critical, high, medium, low, info
//! suppress_comments = true       # whether comments in files may suppress findings in them
//!
//! [limits]
//! instances = 8
//! items_per_instance = 5
//! question_timeout_s = 120
//! stall_timeout_s = 30
//! worker_timeout_s = 600
//! plugin_memory_mib = 512
//! plugin_fuel = 100_000_000_000
//! read_mib = 16
//! nesting_depth = 3              # how deep items may add items
//! nesting_width = 32             # how many each
//!
//! [limits.operations]            # at once, over all workers and commands
//! list = 16
//! search = 24
//! read = 10
//! write = 3
//! fetch = 5
//! process = 3
//! cloud_write = 3
//! open_files = 100
//!
//! [process]                      # of each program that a plugin runs
//! timeout_s = 60
//! max_output_bytes = 8_388_608   # on standard output, and as many on stderr
//!
//! [budget]                       # for one run, at list price
//! usd = 2.0
//! usd_per_day = 10.0             # of all runs together, days and months are UTC
//! usd_per_month = 100.0
//! requests = 500
//! input_tokens = 2_000_000
//! output_tokens = 200_000
//!
//! [quotas.nights]                # what may be spent in a time: all there is to say in `quotas.rs` beside this file
//! output_tokens = 40_000
//! per_s = 3_600
//! model = "opus"
//!
//! [http]                         # of plugins that were granted a host
//! timeout_s = 30                 # of one fetch, with its redirects
//! max_response_bytes = 16_777_216
//!
//! [cache]                        # of answers, encrypted, on this machine
//! responses = true
//! max_mib = 256
//! max_age_days = 30
//!
//! [install]                      # of plugins
//! namespace = "oci://registry.example/me/plugins"   # where `name@^0.2` is looked for
//! max_component_bytes = 268_435_456
//! timeout_s = 600                # for getting one
//! private_hosts = ["registry.corp"]        # that may be at private addresses
//!
//! [install.namespaces]           # where `acme/name@^0.2` is looked for
//! acme = "oci://registry.corp/acme"
//!
//! [journal]                      # of runs and their results
//! keep_days = 90                 # those whose results were used of late stay longer
//! max_bytes = 1_073_741_824      # then the oldest go sooner
//!
//! [audit]                        # the log of what plugins did and convoke changed
//! max_file_mib = 64
//! keep_files = 16                # the newest
//! keep_days = 400
//!
//! [metrics]                      # of runs, for Prometheus
//! addr = "127.0.0.1:9464"        # where they are served while a command runs
//! file = "/var/lib/node/convoke.prom"      # where they are written at its end
//!
//! [alerts]                       # from where on something is not as it should be
//! enabled = true
//! errors = 0.05                  # the share of attempts that fail, of those of the window
//! response_s = 5                 # how long the first sign of an answer takes, the middle one of the window
//! cpu = 0.8                      # the share in use
//! memory = 0.75
//! budget = 0.8                   # the share that is spent
//! lasting_s = 10                 # how long before it counts, and how long until it is well again
//! window_s = 60
//! webhook = "https://alerts.example/convoke"         # gets each as JSON
//! program = ["notify-send", "convoke", "an alert"]   # is run for each, with the same JSON on standard input
//!
//! [traces]                       # by OTLP, where OTEL_EXPORTER_OTLP_ENDPOINT names a collector
//! content = false                # whether reasons are told, which can hold words of a plugin or a model
//!
//! [policy]
//! use = "night-shift"            # a name in policies/ beside this file, or a path; default: built-in
//! record = true                  # whether what it decides is kept for `convoke policy try`
//!
//! [actions]
//! allow = ["git commit", "gh pr create"]   # what --apply --yes runs without asking: a program, and what it begins with
//!
//! [tiers]
//! auto = "rule"                  # what a question without a tier gets: rule, speed, comprehensive
//!
//! [tiers.speed]
//! model = "a-small-model"
//! max_output_tokens = 4_096      # of a question that names no length
//!
//! [tiers.comprehensive]
//! backend = "claude-cli"         # default: the run's
//! model = "a-large-model"
//! fallback_models = ["another"]  # where the model has too much to do
//! instructions = "Show your evidence."
//! tools = ["Read", "Grep"]       # that you grant: a question gets no others
//! claude_md = "minimal"          # of the project's CLAUDE.md: none, minimal (its head), modular (all, with imports)
//! question_timeout_s = 600
//! stall_timeout_s = 60
//! # mcp_config = "mcp.json"      # MCP servers; relative to this file
//!
//! [prices."a-model"]             # dollars per million tokens, where the built-in list is wrong or lacks it
//! input = 3.0
//! output = 15.0
//! cache_write = 3.75             # none: 1.25 times the input price
//! cache_read = 0.3               # none: a tenth of it
//! ```

use std::path::Path;

use convoke_runtime::prices::ListPrice;
use serde::Deserialize;

use super::actions::{ActionsTable, Allow};
use super::alerts::{AlertSettings, AlertsTable};
use super::audit::{AuditKeep, AuditTable};
use super::cache::{Cache, CacheTable};
use super::document::Document;
use super::http::{AskedHttp, HttpTable};
use super::install::{Install, InstallTable};
use super::journal::{JournalKeep, JournalTable};
use super::limits::{AskedLimits, BudgetTable, LimitsTable};
use super::metrics::{MetricsSettings, MetricsTable};
use super::policy::{PolicyChoice, PolicyTable};
use super::prices::{self, PricesTable};
use super::process::{AskedProcess, ProcessTable};
use super::quotas::{self, AskedQuotas, QuotasTable};
use super::tiers::{Tiers, TiersTable};
use super::traces::{Traces, TracesTable};
use super::{Backend, Budget, ConfigError, FailOn, Mode};

/// What it says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct User {
    /// `mode`.
    pub mode: Option<Mode>,
    /// `backend`.
    pub backend: Option<Backend>,
    /// `model`.
    pub model: Option<String>,
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
    /// `[http]`.
    pub http: AskedHttp,
    /// `[cache]`.
    pub cache: Cache,
    /// `[install]`.
    pub install: Install,
    /// `[journal]`.
    pub journal: JournalKeep,
    /// `[audit]`.
    pub audit: AuditKeep,
    /// `[metrics]`.
    pub metrics: MetricsSettings,
    /// `[alerts]`.
    pub alerts: AlertSettings,
    /// `[traces]`.
    pub traces: Traces,
    /// `[policy]`.
    pub policy: PolicyChoice,
    /// `[actions]`.
    pub actions: Allow,
    /// `[tiers]`.
    pub tiers: Tiers,
    /// `[prices]`.
    pub prices: Vec<ListPrice>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "version")]
    _version: Option<u32>,
    mode: Option<Mode>,
    backend: Option<Backend>,
    model: Option<String>,
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
    http: HttpTable,
    #[serde(default)]
    cache: CacheTable,
    #[serde(default)]
    install: InstallTable,
    #[serde(default)]
    journal: JournalTable,
    #[serde(default)]
    audit: AuditTable,
    #[serde(default)]
    metrics: MetricsTable,
    #[serde(default)]
    alerts: AlertsTable,
    #[serde(default)]
    traces: TracesTable,
    #[serde(default)]
    policy: PolicyTable,
    #[serde(default)]
    actions: ActionsTable,
    #[serde(default)]
    tiers: TiersTable,
    #[serde(default)]
    prices: PricesTable,
}

/// Keys that only a project's file has.
const ELSEWHERE: [(&str, &str); 3] = [
    ("plugins", "versions belong to a project: write [plugins] into its convoke.toml, or `convoke install`"),
    ("severity", "severities belong to a project: write [severity] into its convoke.toml"),
    ("suppress", "suppressions belong to a project: write [[suppress]] into its convoke.toml"),
];

/// Reads the text of that file.
///
/// # Errors
///
/// See [`ConfigError`].
pub fn parse(path: &Path, text: &str) -> Result<User, ConfigError> {
    let document = Document { path, text };
    let file: File = document.parse(&ELSEWHERE)?;
    Ok(User {
        mode: file.mode,
        backend: file.backend,
        model: file.model.filter(|model| !model.trim().is_empty()),
        fail_on: file.fail_on,
        suppress_comments: file.suppress_comments,
        limits: file.limits.check(document)?,
        process: file.process.check(document)?,
        budget: file.budget.check(document)?,
        quotas: quotas::check(file.quotas, document)?,
        http: file.http.check(document)?,
        cache: file.cache.check(document)?,
        install: file.install.check(document)?,
        journal: file.journal.check(document)?,
        audit: file.audit.check(document)?,
        metrics: file.metrics.check(document)?,
        alerts: file.alerts.check(document)?,
        traces: file.traces.check(),
        policy: file.policy.check(document)?,
        actions: file.actions.check(document)?,
        tiers: file.tiers.check(document)?,
        prices: prices::check(file.prices, document)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::document::documented_example;
    use super::*;

    #[test]
    fn the_documented_example_is_read() {
        let user = parse(Path::new("config.toml"), &documented_example(include_str!("user.rs"))).unwrap();
        assert_eq!(
            (user.mode, user.backend, user.fail_on),
            (Some(Mode::Balanced), Some(Backend::Auto), Some(FailOn::High))
        );
        assert_eq!(user.budget.requests, Some(500));
        assert_eq!(user.budget.usd_per_month.map(|usd| usd.dollars()), Some(100.0));
        assert_eq!((user.prices.len(), user.prices[0].cache_write), (1, Some(3.75)));
        assert_ne!(user.limits, AskedLimits::default());
        assert_eq!(user.cache, Cache::default(), "the example shows the defaults");
        assert_eq!(user.actions.shown(), ["git commit", "gh pr create"]);
        assert_eq!(user.journal, JournalKeep::default());
        assert_eq!(user.audit, AuditKeep::default());
        let told = AlertSettings { webhook: user.alerts.webhook.clone(), ..AlertSettings::default() };
        assert_eq!(user.alerts, AlertSettings { program: user.alerts.program.clone(), ..told });
        assert_eq!(user.tiers.comprehensive.backend, Some(Backend::ClaudeCli));
        assert_eq!(user.tiers.comprehensive.tools, ["Read", "Grep"]);
        assert_eq!(user.tiers.speed.max_output_tokens, Some(4_096));
    }

    #[test]
    fn a_price_that_can_not_be_is_refused_with_its_place() {
        for (text, problem) in [
            ("[prices.\"m\"]\ninput = -1.0\noutput = 1.0\n", "config.toml:2:9: input is -1"),
            ("[prices.\"m\"]\ninput = 1.0\noutput = nan\n", "config.toml:3:10: output is NaN"),
            ("[prices.\"m\"]\ninput = 1.0\n", "missing field `output`"),
        ] {
            let error = parse(Path::new("config.toml"), text).unwrap_err().to_string();
            assert!(error.contains(problem), "{problem}: {error}");
        }
    }

    #[test]
    fn what_belongs_to_a_project_is_explained() {
        let error = parse(Path::new("config.toml"), "[severity]\nx = \"low\"\n").unwrap_err();
        let hint = miette::Diagnostic::help(&error).unwrap().to_string();
        assert!(hint.contains("convoke.toml"), "{hint}");
    }
}
