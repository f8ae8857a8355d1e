//! A report in the journal: the JSON report, and beside it what only renderers need.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::{Report, SCHEMA_VERSION};

/// The member that is no part of the published format.
const BESIDE: &str = "beside";

/// What only renderers need.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Beside {
    /// The groups of the items, by their ids.
    groups: BTreeMap<String, String>,
    /// The notes of the conclusion, by their places.
    concludes: Vec<usize>,
    /// Whether the run can be continued.
    continuable: bool,
}

/// Why a report that was kept can't be shown in every form.
#[derive(Debug, Error)]
pub enum KeptError {
    /// It is not JSON: the journal is damaged.
    #[error("the report that was kept is damaged: {0}")]
    Damaged(serde_json::Error),
    /// A newer convoke has written it.
    #[error("the report has version {0}, and this convoke knows {SCHEMA_VERSION}")]
    Newer(u64),
    /// It lacks what this version needs.
    #[error("another version of convoke has kept the report, and this one can't read all of it: {0}")]
    Other(serde_json::Error),
}

/// The text that is kept.
///
/// # Errors
/// None that a report can cause; the type is that of the serialiser.
pub fn written(report: &Report) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Kept<'a> {
        #[serde(flatten)]
        report: &'a Report,
        beside: Beside,
    }
    let groups = report.group_of_item.iter().map(|(item, group)| (item.clone(), group.clone())).collect();
    let concludes = report.notes.iter().enumerate().filter(|(_, note)| note.concludes).map(|(place, _)| place);
    let beside = Beside { groups, concludes: concludes.collect(), continuable: report.continuable };
    serde_json::to_string(&Kept { report, beside })
}

/// The JSON report, as it was published then.
///
/// # Errors
/// What was kept is damaged.
pub fn published(kept: &str) -> Result<Value, KeptError> {
    let mut value: Value = serde_json::from_str(kept).map_err(KeptError::Damaged)?;
    if let Value::Object(members) = &mut value {
        members.shift_remove(BESIDE);
    }
    Ok(value)
}

/// The report itself, for all renderers.
///
/// # Errors
/// What was kept is damaged, or another version has written it.
pub fn read(kept: &str) -> Result<Report, KeptError> {
    let mut value: Value = serde_json::from_str(kept).map_err(KeptError::Damaged)?;
    let version = value.get("schema_version").and_then(Value::as_u64).unwrap_or_default();
    if version > u64::from(SCHEMA_VERSION) {
        return Err(KeptError::Newer(version));
    }
    let beside = value.get_mut(BESIDE).map(Value::take).unwrap_or_default();
    // What was kept before there was anything beside it has nothing there.
    let beside: Beside = serde_json::from_value(beside).unwrap_or_default();
    let mut report: Report = serde_json::from_value(value).map_err(KeptError::Other)?;
    report.group_of_item = beside.groups.into_iter().collect::<HashMap<_, _>>();
    report.continuable = beside.continuable;
    for place in beside.concludes {
        if let Some(note) = report.notes.get_mut(place) {
            note.concludes = true;
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::human::{Style, Verbosity};
    use crate::report::{human, json, markdown, samples, sarif};

    #[test]
    fn every_form_of_a_kept_report_is_that_of_the_report() {
        let mut report = samples::full();
        report.notes.iter_mut().for_each(|note| note.concludes = true);
        let back = read(&written(&report).unwrap()).unwrap();
        let style = Style { color: true, width: 100, unicode: true, verbosity: Verbosity::Verbose };
        assert_eq!(human::render(&back, &style), human::render(&report, &style));
        assert_eq!(markdown::render(&back), markdown::render(&report));
        assert_eq!(json::render(&back).unwrap(), json::render(&report).unwrap());
        let rules = samples::rules();
        assert_eq!(sarif::render(&back, &rules).unwrap(), sarif::render(&report, &rules).unwrap());
    }

    #[test]
    fn what_is_published_of_it_is_the_json_report_and_nothing_else() {
        let report = samples::full();
        let kept = written(&report).unwrap();
        assert_eq!(published(&kept).unwrap(), serde_json::to_value(&report).unwrap());
    }

    #[test]
    fn a_newer_one_and_a_damaged_one_are_said() {
        assert!(matches!(read("{\"schema_version\":2}"), Err(KeptError::Newer(2))));
        assert!(matches!(read("{\"schema_version\":"), Err(KeptError::Damaged(_))));
        assert!(matches!(read("{\"schema_version\":1}"), Err(KeptError::Other(_))));
        let bare = serde_json::to_string(&samples::full()).unwrap();
        assert!(read(&bare).is_ok(), "one without anything beside it");
    }
}
