//! What was not as it should be while a run went on.

use convoke_runtime::alerts::Alert;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::build::bounded_reason;

/// An alert that was raised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlertInfo {
    /// Which: `errors`, `response`, `cpu`, `memory`, `budget`, `breaker`, `stopped`.
    pub alert: String,
    /// What was seen then, and what the threshold is.
    pub reason: String,
    /// When it was raised, since the run began, in milliseconds.
    pub raised_ms: u64,
    /// When it was cleared; absent where it stood until the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleared_ms: Option<u64>,
}

impl AlertInfo {
    pub(crate) fn of(alert: &Alert) -> Self {
        let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            alert: alert.alert.clone(),
            reason: bounded_reason(&alert.reason),
            raised_ms: millis(alert.raised),
            cleared_ms: alert.cleared.map(millis),
        }
    }
}
