//! Where each value of the configuration comes from.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use convoke_runtime::money::Usd;

use super::document::{self, lines};
use super::tiers::{Auto, ClaudeMd};
use super::{By, Choices, ConfigError, Mode, Settings, project, user};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it, and all modes have it so.
    Default,
    /// Nobody set it, and the mode has it so.
    Mode(Mode),
    /// The user's own file, at this line.
    User(usize),
    /// The project's file, at this line.
    Project(usize),
    /// An environment variable.
    Environment(&'static str),
    /// An option.
    Option(&'static str),
    /// Something else that is named.
    Other(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::Mode(mode) => write!(out, "default of {}", mode.name()),
            Self::User(line) => write!(out, "config.toml:{line}"),
            Self::Project(line) => write!(out, "convoke.toml:{line}"),
            Self::Environment(name) | Self::Option(name) => out.write_str(name),
            Self::Other(name) => out.write_str(name),
        }
    }
}

/// A value, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Its key, as files have it: `limits.instances`.
    pub key: String,
    /// The value, as files have it.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// What an environment variable or an option sets, by the key of the value.
const CHOICES: [(&str, &str, &str); 8] = [
    ("mode", "CONVOKE_MODE", "--mode"),
    ("backend", "CONVOKE_BACKEND", "--backend"),
    ("model", "CONVOKE_MODEL", "--model"),
    ("tier", "CONVOKE_TIER", "--tier"),
    ("limits.instances", "CONVOKE_INSTANCES", "--instances"),
    ("fail_on", "CONVOKE_FAIL_ON", "--fail-on"),
    ("budget.usd", "CONVOKE_BUDGET_USD", "--budget-usd"),
    ("policy.use", "CONVOKE_POLICY", "--policy"),
];

/// All values, in the order of the documented files, and where each comes from. The arguments are those of
/// [`Settings::load`].
///
/// # Errors
///
/// See [`ConfigError`].
pub fn explain(
    user_file: &Path,
    project_file: &Path,
    env: impl Fn(&str) -> Option<String>,
    flags: Choices,
) -> Result<Vec<Explained>, ConfigError> {
    let text = |path: &Path| document::read(path).map(Option::unwrap_or_default);
    let (user_text, project_text) = (text(user_file)?, text(project_file)?);
    let user = user::parse(user_file, &user_text)?;
    let project = project::parse(project_file, &project_text)?;
    let environment = Choices::from_environment(env)?;
    let chosen = flags.clone().or(environment.clone());
    let of = |user: &user::User, project: &project::Project, chosen: &Choices| {
        values(&Settings::put_together(user.clone(), project.clone(), chosen.clone()))
    };
    let all = Settings::put_together(user.clone(), project.clone(), chosen.clone());
    let (nobody, nothing) = (user::User::default(), project::Project::default());
    let in_mode = |mode| of(&nobody, &nothing, &Choices { mode: Some(mode), ..Choices::default() });
    let modes = Mode::ALL.map(in_mode);
    // What was chosen for the run, so that only the project makes the difference.
    let without_project = of(&user, &nothing, &chosen);
    let (user_lines, project_lines) = (lines(&user_text), lines(&project_text));
    let (by_flags, by_environment) = (set(&flags), set(&environment));

    let origin = |place: usize, key: &str, value: &str| {
        let choice = CHOICES.iter().find(|(known, ..)| *known == key);
        if let Some((_, variable, option)) = choice {
            if by_flags.contains(&key) {
                return Origin::Option(option);
            }
            if by_environment.contains(&key) {
                return Origin::Environment(variable);
            }
        }
        if let Some(line) = project_lines.get(key)
            && without_project[place].1 != value
        {
            return Origin::Project(*line);
        }
        // The model of all is the one of a tier that names none.
        let wide = if key.ends_with(".model") { "model" } else { key };
        if let Some(line) = user_lines.get(key).or_else(|| user_lines.get(wide).filter(|_| value != NONE)) {
            return Origin::User(*line);
        }
        let differs = modes.iter().any(|mode| mode[place].1 != modes[0][place].1);
        if differs { Origin::Mode(all.mode) } else { Origin::Default }
    };
    let shown = values(&all).into_iter().enumerate();
    Ok(shown.map(|(place, (key, value))| Explained { origin: origin(place, &key, &value), key, value }).collect())
}

/// The keys that choices set.
fn set(choices: &Choices) -> Vec<&'static str> {
    let set = [
        choices.mode.is_some(),
        choices.backend.is_some(),
        choices.model.is_some(),
        choices.tier.is_some(),
        choices.instances.is_some(),
        choices.fail_on.is_some(),
        choices.budget_usd.is_some(),
        choices.policy.is_some(),
    ];
    CHOICES.iter().zip(set).filter(|(_, set)| *set).map(|((key, ..), _)| *key).collect()
}

/// What is shown where there is no value.
const NONE: &str = "none";

/// All values by their keys; always the same keys in the same order.
fn values(settings: &Settings) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut add = |key: &str, value: String| all.push((key.to_owned(), value));
    let text = |value: &str| toml::Value::from(value).to_string();
    let some = |value: Option<String>| value.unwrap_or_else(|| NONE.to_owned());
    let list = |values: &[String]| toml::Value::from(values.to_vec()).to_string();
    let usd = |value: Option<Usd>| some(value.map(|usd| usd.to_string()));
    let count = |value: Option<u64>| some(value.map(|count| count.to_string()));
    let seconds = |value: Duration| value.as_secs_f64().to_string();

    add("mode", text(settings.mode.name()));
    add("backend", text(settings.backend.name()));
    add("model", some(settings.model.as_deref().map(text)));
    add("tier", some(settings.tier.map(|tier| text(tier.name()))));
    add("fail_on", text(settings.fail_on.name()));
    add("suppress_comments", settings.suppress_comments.to_string());

    let limits = &settings.limits;
    add("limits.instances", limits.instances.to_string());
    add("limits.items_per_instance", limits.items_per_instance.to_string());
    add("limits.question_timeout_s", seconds(limits.question_timeout));
    add("limits.stall_timeout_s", seconds(limits.stall_timeout));
    add("limits.worker_timeout_s", seconds(limits.worker_timeout));
    add("limits.plugin_memory_mib", (limits.plugin_memory >> 20).to_string());
    add("limits.plugin_fuel", limits.plugin_fuel.to_string());
    add("limits.read_mib", (limits.read_bytes >> 20).to_string());
    add("limits.question_usd", usd(limits.most_usd()));
    add("limits.nesting_depth", limits.depth.to_string());
    add("limits.nesting_width", limits.width.to_string());
    let mut operations = limits.operations;
    for (count, _, key) in super::operations::AskedOperations::default().each(&mut operations) {
        add(&format!("limits.{key}"), count.to_string());
    }

    add("process.timeout_s", seconds(settings.process.timeout));
    add("process.max_output_bytes", settings.process.max_output_bytes.to_string());

    let budget = settings.budget;
    add("budget.usd", usd(budget.usd));
    add("budget.usd_per_day", usd(budget.usd_per_day));
    add("budget.usd_per_month", usd(budget.usd_per_month));
    add("budget.requests", count(budget.requests));
    add("budget.input_tokens", count(budget.input_tokens));
    add("budget.output_tokens", count(budget.output_tokens));

    add("http.timeout_s", seconds(settings.http.timeout));
    add("http.max_response_bytes", settings.http.most_response_bytes.to_string());

    let cache = settings.cache;
    add("cache.responses", cache.responses.to_string());
    add("cache.max_mib", (cache.most_bytes >> 20).to_string());
    add("cache.max_age_days", (cache.max_age.as_secs() / 86_400).to_string());

    let install = &settings.install;
    add("install.namespace", some(install.namespace.as_ref().map(|namespace| text(&namespace.to_string()))));
    add("install.max_component_bytes", install.most_bytes.to_string());
    add("install.timeout_s", seconds(install.time));
    add("install.private_hosts", list(&install.listed_hosts));

    add("journal.keep_days", settings.journal.days.to_string());
    add("journal.max_bytes", settings.journal.most_bytes.to_string());

    add("audit.max_file_mib", (settings.audit.most_bytes >> 20).to_string());
    add("audit.keep_files", settings.audit.files.to_string());
    add("audit.keep_days", settings.audit.days.to_string());

    let metrics = &settings.metrics;
    add("metrics.addr", some(metrics.addr.map(|addr| text(&addr.to_string()))));
    add("metrics.file", some(metrics.file.as_ref().map(|file| text(&file.to_string_lossy()))));

    let alerts = &settings.alerts;
    add("alerts.enabled", alerts.enabled.to_string());
    add("alerts.errors", alerts.errors.to_string());
    add("alerts.response_s", seconds(alerts.response));
    add("alerts.cpu", alerts.cpu.to_string());
    add("alerts.memory", alerts.memory.to_string());
    add("alerts.budget", alerts.budget.to_string());
    add("alerts.lasting_s", seconds(alerts.lasting));
    add("alerts.window_s", seconds(alerts.window));
    // Who knows all of it may send there too.
    add("alerts.webhook", some(alerts.webhook.as_ref().map(|webhook| text(&webhook.to_string()))));
    add("alerts.program", some(alerts.program.as_deref().map(list)));

    add("traces.content", settings.traces.content.to_string());

    let policy = &settings.policy;
    let named = policy.chosen.as_ref().map(|(name, _)| name).or(policy.configured.as_ref());
    add("policy.use", some(named.map(|name| text(name))));
    add("policy.record", policy.record.to_string());

    add("actions.allow", list(&settings.actions.shown()));

    let auto = match settings.tiers.auto {
        Auto::Rule => "rule",
        Auto::Speed => "speed",
        Auto::Comprehensive => "comprehensive",
    };
    add("tiers.auto", text(auto));
    for (name, tier) in settings.tiers.each() {
        let mut of_tier = |key: &str, value: String| add(&format!("tiers.{}.{key}", name.name()), value);
        of_tier("backend", some(tier.backend.map(|backend| text(backend.name()))));
        of_tier("model", some(tier.model.as_deref().map(text)));
        of_tier("fallback_models", list(&tier.fallback_models));
        of_tier("instructions", some(tier.instructions.as_deref().map(text)));
        of_tier("tools", list(&tier.tools));
        of_tier("max_output_tokens", some(tier.max_output_tokens.map(|tokens| tokens.to_string())));
        let claude_md = match tier.claude_md {
            ClaudeMd::None => "none",
            ClaudeMd::Minimal => "minimal",
            ClaudeMd::Modular => "modular",
        };
        of_tier("claude_md", text(claude_md));
        of_tier("question_timeout_s", some(tier.question_timeout.map(seconds)));
        of_tier("stall_timeout_s", some(tier.stall_timeout.map(seconds)));
        // What it holds may be a credential.
        of_tier("mcp_config", if tier.mcp.is_some() { "set".to_owned() } else { NONE.to_owned() });
    }
    // What only the mode sets.
    let scan = match limits.scan {
        super::Scan::Strict => "strict",
        super::Scan::Standard => "standard",
        super::Scan::Basic => "basic",
    };
    add("mode.scan", text(scan));
    add("mode.tools", limits.tools.to_string());
    add("mode.tolerance", limits.tolerance.to_string());
    all
}

/// The same with what was chosen by `convoke policy use`, which stands over `config.toml`.
pub fn with_choice(all: &mut [Explained], used: Option<&str>) {
    let Some(value) = all.iter_mut().find(|value| value.key == "policy.use") else { return };
    if let (Some(used), false) = (used, matches!(value.origin, Origin::Option(_) | Origin::Environment(_))) {
        value.value = toml::Value::from(used).to_string();
        value.origin = Origin::Other(By::Use.name().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn origins(user: &str, project: &str, env: &[(&str, &str)], flags: Choices) -> BTreeMap<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let (user_file, project_file) = (folder.path().join("config.toml"), folder.path().join("convoke.toml"));
        std::fs::write(&user_file, user).unwrap();
        std::fs::write(&project_file, project).unwrap();
        let env = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let all = explain(&user_file, &project_file, env, flags).unwrap();
        all.into_iter().map(|one| (one.key, format!("{} {}", one.value, one.origin))).collect()
    }

    #[test]
    fn each_layer_is_named_with_its_line() {
        let user = "# mine\nmode = \"performance\"\nmodel = \"large\"\n\n[limits]\ninstances = 9\nread_mib = 16\n\
                    [policy]\nuse = \"night\"\n";
        let project = "[limits]\ninstances = 4\nread_mib = 32\n[budget]\nusd = 1.5\n";
        let flags = Choices { fail_on: Some(super::super::FailOn::High), ..Choices::default() };
        let all = origins(user, project, &[("CONVOKE_BUDGET_USD", "3")], flags);
        for (key, shown) in [
            ("mode", "\"performance\" config.toml:2"),
            ("model", "\"large\" config.toml:3"),
            ("limits.instances", "4 convoke.toml:2"),
            ("limits.read_mib", "16 config.toml:7"),
            ("limits.plugin_memory_mib", "512 default"),
            ("budget.usd", "$3.00 CONVOKE_BUDGET_USD"),
            ("budget.requests", "none default"),
            ("fail_on", "\"high\" --fail-on"),
            ("policy.use", "\"night\" config.toml:9"),
            ("mode.scan", "\"basic\" default of performance"),
        ] {
            assert_eq!(all[key], shown, "{key}");
        }
        let bare = origins("", "mode = \"safe\"\n", &[], Choices::default());
        assert_eq!(bare["limits.instances"], "3 default of safe");
        assert_eq!(bare["mode"], "\"safe\" convoke.toml:1");
        assert_eq!(bare["tiers.speed.model"], "none default");
    }

    #[test]
    fn what_was_chosen_for_all_stands_over_the_file() {
        let none = Path::new("/nowhere/at/all");
        let mut all = explain(none, none, |_| None, Choices::default()).unwrap();
        with_choice(&mut all, Some("night"));
        let used = all.iter().find(|one| one.key == "policy.use").unwrap();
        assert_eq!((used.value.as_str(), used.origin.to_string().as_str()), ("\"night\"", "convoke policy use"));
    }
}
