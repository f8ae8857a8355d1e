//! `run.json`: what was recorded.

use convoke_runtime::cassette::{Text, scrub};
use convoke_runtime::question::Tier;
use convoke_runtime::route::{AbTest, Route, TierRoute};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::plugin::manifest::Arguments;
use crate::run::since::Since;

/// The version of a recording that is written, and the only one that is read.
pub const VERSION: u32 = 1;

/// The word by which a recording is known.
pub(super) const FORMAT: &str = "convoke-recording";

/// What was recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// [`FORMAT`].
    pub(super) format: String,
    /// [`VERSION`].
    pub(super) version: u32,
    /// The command.
    pub command: String,
    /// Its plugin. Another version may be replayed with it: its questions tell whether it still fits.
    pub plugin: PluginVersion,
    /// The subcommand and the arguments as they were typed.
    pub typed: Value,
    /// The subcommand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subcommand: Option<String>,
    /// The arguments as the plugin got them.
    pub arguments: Value,
    /// The paths among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// What had changed, with `--since`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
    /// The mode.
    pub mode: String,
    /// At most so many workers.
    pub instances: u32,
    /// Who answered.
    pub backend: String,
    /// Whether it was a model.
    pub has_model: bool,
    /// Where questions went.
    pub route: RecordedRoute,
    /// The day as the plugin knew it.
    pub today: Date,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

/// A plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginVersion {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The digest of its component.
    pub digest: String,
}

/// Of a route, what questions are made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedRoute {
    auto: Tier,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tier: Option<Tier>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ab: Option<AbTest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    speed: RecordedTier,
    comprehensive: RecordedTier,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedTier {
    model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instructions: Option<Text>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tools: Vec<String>,
    max_output_tokens: u32,
    most_output_tokens: u32,
}

impl About {
    /// Of a call; credentials in its arguments are removed.
    #[expect(clippy::too_many_arguments, reason = "each is one member of the file")]
    pub fn new(
        command: &str,
        plugin: PluginVersion,
        typed: &Arguments,
        given: &Arguments,
        since: Option<Since>,
        (mode, instances): (&str, u32),
        (backend, has_model): (&str, bool),
        route: &Route,
        today: Date,
    ) -> Self {
        let mut arguments = given.json.clone();
        scrub(&mut arguments);
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            command: command.to_owned(),
            plugin,
            typed: typed_value(typed),
            subcommand: given.subcommand.clone(),
            arguments,
            paths: given.paths.iter().map(|path| convoke_runtime::cassette::scrubbed(path)).collect(),
            since,
            mode: mode.to_owned(),
            instances,
            backend: backend.to_owned(),
            has_model,
            route: RecordedRoute::of(route),
            today,
            recorded_at: Timestamp::now(),
        }
    }
}

/// What was typed, as it is compared: without credentials.
pub(crate) fn typed_value(typed: &Arguments) -> Value {
    let mut value = match &typed.subcommand {
        Some(subcommand) => json!({"subcommand": subcommand, "arguments": typed.json}),
        None => json!({"arguments": typed.json}),
    };
    scrub(&mut value);
    value
}

impl RecordedRoute {
    /// Of a route.
    pub fn of(route: &Route) -> Self {
        let tier = |tier: &TierRoute| RecordedTier {
            model: tier.model.clone(),
            instructions: tier.instructions.as_deref().map(Text::of),
            tools: tier.tools.clone(),
            max_output_tokens: tier.max_output_tokens,
            most_output_tokens: tier.most_output_tokens,
        };
        Self {
            auto: route.auto,
            tier: route.tier,
            ab: route.ab,
            model: route.model.clone(),
            speed: tier(&route.speed),
            comprehensive: tier(&route.comprehensive),
        }
    }

    /// The route that makes the same questions, with the limits of time of another.
    pub fn restored(&self, now: &Route) -> Route {
        let tier = |recorded: &RecordedTier, now: &TierRoute| TierRoute {
            backend: 0,
            model: recorded.model.clone(),
            fallback_models: Vec::new(),
            instructions: recorded.instructions.as_ref().map(Text::text),
            tools: recorded.tools.clone(),
            mcp: None,
            max_output_tokens: recorded.max_output_tokens,
            most_output_tokens: recorded.most_output_tokens,
            ..now.clone()
        };
        Route {
            speed: tier(&self.speed, &now.speed),
            comprehensive: tier(&self.comprehensive, &now.comprehensive),
            auto: self.auto,
            tier: self.tier,
            ab: self.ab,
            model: self.model.clone(),
            plugin_tools: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use convoke_runtime::question::Question;

    use super::*;

    #[test]
    fn a_restored_route_makes_the_same_questions_whatever_is_configured_now() {
        let mut then = Route { auto: Tier::Comprehensive, ..Route::default() };
        then.comprehensive.model = "claude-then".to_owned();
        then.comprehensive.instructions = Some("Be brief.\nBe kind.".to_owned());
        then.comprehensive.max_output_tokens = 77;
        let written = serde_json::to_string(&RecordedRoute::of(&then)).unwrap();
        let read: RecordedRoute = serde_json::from_str(&written).unwrap();
        let now = Route { model: Some("mine".to_owned()), ..Route::default() };
        let question = Question { prompt: "a".to_owned(), ..Question::default() };
        assert_eq!(read.restored(&now).request(&question), then.request(&question));
    }
}
