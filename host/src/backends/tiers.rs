//! Backends and settings become a route: where the questions of each tier go, and what a result depends on.

use std::path::Path;
use std::sync::Arc;

use convoke_runtime::backend::Backend;
use convoke_runtime::route::{Route, TierRoute};
use serde_json::json;

use super::{BackendError, Surroundings, claude_md, take};
use crate::config::{self, Settings, TierName, TierSettings};

/// All backends that the tiers need, each once.
#[derive(Default)]
pub struct Lanes {
    /// They, in the order in which a [`Route`] names them.
    pub backends: Vec<Arc<dyn Backend>>,
    /// The place of the tier `speed`'s.
    pub speed: usize,
    /// The place of the tier `comprehensive`'s.
    pub comprehensive: usize,
    /// What `auto` took and why, in a line; none where nothing was left to it.
    pub said: Option<String>,
    /// What the user should know about them.
    pub notes: Vec<String>,
}

impl Lanes {
    /// Takes what the tiers name, or the run's.
    ///
    /// # Errors
    ///
    /// See [`BackendError`].
    pub fn take(settings: &Settings, around: Surroundings<'_>) -> Result<Self, BackendError> {
        let mut lanes = Self { backends: Vec::new(), speed: 0, comprehensive: 0, said: None, notes: Vec::new() };
        // What was asked for, and what was taken for it, by their places.
        let mut asked: Vec<(config::Backend, usize)> = Vec::new();
        let mut kinds: Vec<config::Backend> = Vec::new();
        for (name, tier) in settings.tiers.each() {
            let choice = tier.backend.unwrap_or(settings.backend);
            let place = match asked.iter().find(|(known, _)| *known == choice) {
                Some((_, place)) => *place,
                None => {
                    let taken = take(choice, around)?;
                    lanes.said = lanes.said.take().or(taken.said);
                    // `auto` may have taken what the other tier names.
                    let place = kinds.iter().position(|kind| *kind == taken.kind).unwrap_or_else(|| {
                        kinds.push(taken.kind);
                        lanes.backends.push(taken.backend);
                        lanes.notes.extend(taken.notes);
                        kinds.len() - 1
                    });
                    asked.push((choice, place));
                    place
                }
            };
            match name {
                TierName::Speed => lanes.speed = place,
                TierName::Comprehensive => lanes.comprehensive = place,
            }
        }
        Ok(lanes)
    }

    /// One backend for everything.
    pub fn only(backend: Arc<dyn Backend>) -> Self {
        Self { backends: vec![backend], speed: 0, comprehensive: 0, said: None, notes: Vec::new() }
    }

    /// The route over them. Instructions get what the tiers want of the project's `CLAUDE.md`; what can't be read of it
    /// is added to the notes.
    pub fn route(&mut self, settings: &Settings, project: &Path) -> Route {
        let Route { speed, comprehensive, .. } = Route::default();
        let speed = self.tier(settings, &settings.tiers.speed, TierRoute { backend: self.speed, ..speed }, project);
        let comprehensive = TierRoute { backend: self.comprehensive, ..comprehensive };
        let comprehensive = self.tier(settings, &settings.tiers.comprehensive, comprehensive, project);
        let route = Route {
            speed,
            comprehensive,
            auto: settings.tiers.auto.tier(),
            tier: settings.tier.map(TierName::tier),
            ab: settings.ab.map(|ab| ab.0),
            model: settings.model.clone(),
            plugin_tools: None,
        };
        if route.ab.is_some() && (route.model.is_some() || same(&route.speed, &route.comprehensive)) {
            self.notes.push("--ab compares two tiers with the same backend and model".to_owned());
        }
        route
    }

    fn tier(&mut self, settings: &Settings, of: &TierSettings, base: TierRoute, project: &Path) -> TierRoute {
        let project_text = claude_md::text(project, of.claude_md).unwrap_or_else(|error| {
            self.notes.push(format!("the project's CLAUDE.md could not be read: {error}"));
            None
        });
        let instructions: Vec<String> = of.instructions.iter().cloned().chain(project_text).collect();
        let max_output_tokens = of.max_output_tokens.unwrap_or(base.max_output_tokens);
        TierRoute {
            model: of.model.clone().unwrap_or(base.model),
            fallback_models: of.fallback_models.clone(),
            instructions: (!instructions.is_empty()).then(|| instructions.join("\n\n")),
            tools: of.tools.clone(),
            mcp: of.mcp.clone(),
            max_output_tokens,
            most_output_tokens: base.most_output_tokens.max(max_output_tokens),
            timeout: of.question_timeout.unwrap_or(settings.limits.question_timeout),
            stall: of.stall_timeout.unwrap_or(settings.limits.stall_timeout),
            backend: base.backend,
        }
    }
}

fn same(one: &TierRoute, other: &TierRoute) -> bool {
    one.backend == other.backend && one.model == other.model
}

/// The names of the backends as reports show them: `anthropic`, `claude-cli+anthropic`.
pub fn names(backends: &[Arc<dyn Backend>]) -> String {
    backends.iter().map(|backend| backend.name()).collect::<Vec<_>>().join("+")
}

/// What of the route a result depends on: all that decides who answers and what they are told. How long they may take
/// is not part of it.
pub fn route_name(backends: &[Arc<dyn Backend>], route: &Route) -> String {
    if !backends.iter().any(|backend| backend.has_model()) {
        return names(backends);
    }
    let tier = |tier: &TierRoute| {
        json!({
            "backend": backends.get(tier.backend).map(|backend| backend.name()),
            "model": route.model.as_ref().unwrap_or(&tier.model),
            "fallback_models": tier.fallback_models,
            "instructions": tier.instructions,
            "tools": tier.tools,
            "mcp": tier.mcp,
            "max_output_tokens": tier.max_output_tokens,
        })
    };
    json!({
        "speed": tier(&route.speed),
        "comprehensive": tier(&route.comprehensive),
        "auto": route.auto.name(),
        "tier": route.tier.map(convoke_runtime::question::Tier::name),
        "ab": route.ab.map(|ab| (ab.arms().map(convoke_runtime::question::Tier::name), ab.percent())),
        "own_model": route.model.is_some(),
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::user;

    fn settings(text: &str) -> Settings {
        let user = user::parse(Path::new("/nowhere/config.toml"), text).unwrap();
        Settings::put_together(user, config::project::Project::default(), config::Choices::default())
    }

    fn lanes(settings: &Settings) -> Lanes {
        let key = |name: &str| (name == "ANTHROPIC_API_KEY").then(|| "key".to_owned());
        Lanes::take(
            settings,
            Surroundings {
                env: &key,
                project: Path::new("/nowhere"),
                cache: None,
                records: Path::new("/nowhere"),
                most_usd: None,
            },
        )
        .unwrap()
    }

    #[test]
    fn each_backend_is_taken_once() {
        let places = |text: &str| {
            let lanes = lanes(&settings(text));
            (names(&lanes.backends), lanes.speed, lanes.comprehensive, lanes.said.is_some())
        };
        assert_eq!(places(""), ("anthropic".to_owned(), 0, 0, true));
        let speed = "[tiers.speed]\nbackend = \"anthropic\"\n";
        assert_eq!(places(speed), ("anthropic".to_owned(), 0, 0, true));
        let both = "backend = \"offline\"\n[tiers.comprehensive]\nbackend = \"anthropic\"\n";
        assert_eq!(places(both), ("offline+anthropic".to_owned(), 0, 1, false));
    }

    #[test]
    fn a_tiers_settings_go_into_its_route_and_only_there() {
        let project = tempfile::tempdir().unwrap();
        std::fs::write(project.path().join("CLAUDE.md"), "Use tabs.").unwrap();
        let settings = settings(
            "[limits]\nstall_timeout_s = 7\n[tiers]\nauto = \"comprehensive\"\n[tiers.comprehensive]\nmodel = \"large\"\n\
             instructions = \"Be brief.\"\ntools = [\"Read\"]\nclaude_md = \"minimal\"\nmax_output_tokens = 40000\n\
             question_timeout_s = 600\n",
        );
        let route = lanes(&settings).route(&settings, project.path());
        let large = &route.comprehensive;
        let instructions = large.instructions.as_deref().unwrap();
        assert!(instructions.starts_with("Be brief.\n\nWhat follows") && instructions.contains("Use tabs."));
        assert_eq!((large.model.as_str(), large.tools.len()), ("large", 1));
        assert_eq!((large.max_output_tokens, large.most_output_tokens), (40_000, 40_000));
        assert_eq!((large.timeout, large.stall), (Duration::from_secs(600), Duration::from_secs(7)));
        let speed = &route.speed;
        assert_eq!((speed.instructions.as_deref(), speed.timeout), (None, Duration::from_secs(120)));
        assert_eq!(route.auto, convoke_runtime::question::Tier::Comprehensive);
    }

    #[test]
    fn what_is_asked_otherwise_is_another_result() {
        let name = |text: &str| {
            let settings = settings(text);
            let mut lanes = lanes(&settings);
            let route = lanes.route(&settings, Path::new("/nowhere"));
            route_name(&lanes.backends, &route)
        };
        let texts = [
            "",
            "model = \"claude-opus-5-5\"",
            "[tiers]\nauto = \"speed\"",
            "[tiers.speed]\nmodel = \"x\"",
            "[tiers.speed]\ntools = [\"Read\"]",
            "[tiers.speed]\ninstructions = \"x\"",
            "[tiers.speed]\nmax_output_tokens = 5",
            "[tiers.comprehensive]\ninstructions = \"x\"",
            "[tiers.comprehensive]\nfallback_models = [\"x\"]",
            "[tiers.comprehensive]\nbackend = \"offline\"",
            "backend = \"offline\"",
        ];
        let names: std::collections::BTreeSet<String> = texts.iter().map(|text| name(text)).collect();
        assert_eq!(names.len(), texts.len());
        assert_eq!(name("[tiers.speed]\nquestion_timeout_s = 9"), name(""), "time shapes no answer");
    }
}
