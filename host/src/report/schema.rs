//! The published shape of the JSON report.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;

use super::Report;
use super::together::Runs;

/// The JSON Schema (draft 2020-12) that every JSON report fits. `convoke schema report` prints it.
pub fn report() -> Value {
    of::<Report>()
}

/// The same for several commands at once. `convoke schema runs` prints it.
pub fn runs() -> Value {
    of::<Runs>()
}

pub(crate) fn of<T: JsonSchema>() -> Value {
    let schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>();
    let mut rest = match schema.to_value() {
        Value::Object(members) => members,
        other => return other,
    };
    // What it is comes first, for those who read it.
    let mut ordered = serde_json::Map::new();
    for name in ["$schema", "title", "description"] {
        if let Some(value) = rest.remove(name) {
            ordered.insert(name.to_owned(), value);
        }
    }
    ordered.append(&mut rest);
    Value::Object(ordered)
}

// The runtime's types don't know about schemas; these say how they look in JSON. A test holds the two together.

/// How bad a finding is.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Severity")]
#[allow(dead_code, reason = "only its schema is used")]
pub(super) enum SeverityName {
    /// Worth knowing.
    Info,
    /// A blemish.
    Low,
    /// Should be mended.
    Medium,
    /// Must be mended.
    High,
    /// Must be mended now.
    Critical,
}

/// Who found something.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Source")]
#[allow(dead_code, reason = "only its schema is used")]
pub(super) enum SourceName {
    /// A rule: the same input gives the same finding.
    Rule,
    /// A model: somebody should look.
    Model,
}

/// How a run stands at its end.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Status")]
#[allow(dead_code, reason = "only its schema is used")]
pub(super) enum StatusName {
    /// Every item is done, cached or skipped.
    Completed,
    /// Something failed, fell back unasked, or was left out.
    Degraded,
    /// A quota or budget is spent; the rest can be done later.
    Parked,
    /// Nothing could be done.
    Failed,
    /// The user stopped it.
    Interrupted,
}

/// How the values of a metric become one.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Reduction")]
#[allow(dead_code, reason = "only its schema is used")]
pub(super) enum ReductionName {
    /// Added up.
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The arithmetic mean.
    Mean,
}

/// How work items stand. The parts add up to `items`.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "Census")]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct CensusCounts {
    /// All of them.
    items: u64,
    /// Their plugin finished them, in this run.
    done: u64,
    /// An earlier run finished them, and nothing that they depend on has changed.
    cached: u64,
    /// Their plugin finished them, but a model should have answered and did not.
    fallback: u64,
    /// They could not be done.
    failed: u64,
    /// There was nothing to do for them.
    skipped: u64,
    /// They have not ended.
    pending: u64,
}

/// What is done to a file.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Change")]
#[allow(dead_code, reason = "only its schema is used")]
pub(super) enum ChangeShape {
    /// It is made, with this text.
    Create(String),
    /// Parts of it are replaced: ascending, not overlapping.
    Replace(Vec<ReplacementShape>),
    /// It is removed.
    Delete,
}

/// Replaces the bytes from `start` up to `end`.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "Replacement")]
#[allow(dead_code, reason = "only its schema is used")]
pub(super) struct ReplacementShape {
    /// The first byte.
    start: u64,
    /// The byte after the last.
    end: u64,
    /// What comes there.
    text: String,
}

#[cfg(test)]
mod tests {
    use convoke_runtime::work::{Change, Reduction, Replacement, Severity, Source, Status};
    use serde::Serialize;

    use super::*;
    use crate::report::{build, samples};

    fn validator() -> jsonschema::Validator {
        jsonschema::draft202012::new(&report()).unwrap()
    }

    fn assert_fits(validator: &jsonschema::Validator, report: &Value) {
        let problems: Vec<String> =
            validator.iter_errors(report).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(problems.is_empty(), "{problems:#?}\n{report:#}");
    }

    #[test]
    fn the_published_schema_changes_only_on_purpose() {
        insta::assert_json_snapshot!(report());
    }

    #[test]
    fn every_report_fits_the_schema() {
        let validator = validator();
        for report in [samples::full(), samples::empty(), samples::offline()] {
            assert_fits(&validator, &serde_json::to_value(&report).unwrap());
        }
    }

    #[test]
    fn the_schema_refuses_what_is_not_a_report() {
        let validator = validator();
        let good = serde_json::to_value(samples::full()).unwrap();
        for (pointer, wrong) in [
            ("/status", "done"),
            ("/findings/0/severity", "awful"),
            ("/findings/0/source", "oracle"),
            ("/census/items", "3"),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = Value::from(wrong);
            assert!(!validator.is_valid(&bad), "{pointer} = {wrong} was accepted");
        }
        for member in ["census", "run", "failures", "schema_version"] {
            let mut bad = good.clone();
            bad.as_object_mut().unwrap().remove(member);
            assert!(!validator.is_valid(&bad), "a report without {member} was accepted");
        }
    }

    #[test]
    fn every_name_of_the_runtime_stands_in_the_schema() {
        fn fits<T: Serialize>(definition: &str, values: &[T]) {
            let whole = report();
            let schema = serde_json::json!({"$ref": format!("#/$defs/{definition}"), "$defs": whole["$defs"]});
            let validator = jsonschema::draft202012::new(&schema).unwrap();
            for value in values {
                let value = serde_json::to_value(value).unwrap();
                assert!(validator.is_valid(&value), "{value} is no {definition}");
            }
        }
        fits("Severity", &Severity::ALL);
        fits("Source", &[Source::Rule, Source::Model]);
        fits("Reduction", &[Reduction::Sum, Reduction::Min, Reduction::Max, Reduction::Mean]);
        fits("Status", &[Status::Completed, Status::Degraded, Status::Parked, Status::Failed, Status::Interrupted]);
        fits("Census", &[convoke_runtime::work::Census::default()]);
        let replacement = Replacement { start: 0, end: 1, text: "x".to_owned() };
        fits("Change", &[Change::Create(String::new()), Change::Replace(vec![replacement]), Change::Delete]);
    }

    #[test]
    fn the_top_level_is_the_promised_one() {
        let report = serde_json::to_value(build::build(samples::facts(), &samples::filters(), samples::read)).unwrap();
        let members: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
        let mut promised = [
            "schema_version",
            "run",
            "status",
            "census",
            "groups",
            "workers",
            "findings",
            "suppressed",
            "metrics",
            "edits",
            "exit_code",
            "actions",
            "attempts",
            "levels",
            "notes",
            "usage",
            "cost",
            "timing",
            "failures",
            "warnings",
        ];
        let mut members = members;
        members.sort_unstable();
        promised.sort_unstable();
        assert_eq!(members, promised);
    }
}
