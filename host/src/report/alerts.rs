//! What was not as it should be while a run went on.

use convoke_runtime::alerts::Alert;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::build::bounded_reason;
use super::words;

/// So many alerts are shown to people; the report in JSON has all.
pub(super) const SHOWN: usize = 10;

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

/// `errors after 2 min 05 s, for 40.00 s: 12 % of 50 requests failed; the threshold is 5 %`.
pub(super) fn line(alert: &AlertInfo) -> String {
    let AlertInfo { alert, reason, raised_ms, cleared_ms } = alert;
    let lasted = match cleared_ms {
        Some(cleared) => format!("for {}", words::duration(cleared.saturating_sub(*raised_ms))),
        None => "until the end".to_owned(),
    };
    format!("{alert} after {}, {lasted}: {reason}", words::duration(*raised_ms))
}

/// `and 3 more; the report in JSON has all`; none where all are shown.
pub(super) fn more(alerts: &[AlertInfo]) -> Option<String> {
    let more = alerts.len().saturating_sub(SHOWN);
    (more > 0).then(|| format!("and {} more; the report in JSON has all", words::thousands(more as u64)))
}
