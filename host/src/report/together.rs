//! Several commands that ran together: their reports as one document.

use schemars::JsonSchema;
use serde::Serialize;

use super::{ExitCode, Report, SCHEMA_VERSION, clean};

/// The reports of several commands that ran together.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(title = "convoke reports of several commands")]
pub struct Runs {
    /// The version of this format. A reader refuses a newer one, and ignores members it doesn't know.
    pub schema_version: u32,
    /// The exit code of the whole: of those of all runs the first in the order 130, 2, 5, 4, 3, 1, 0.
    #[schemars(with = "u8")]
    pub exit_code: ExitCode,
    /// The report of each command, in the order in which they were typed.
    pub runs: Vec<Report>,
}

impl Runs {
    /// Puts them together.
    pub fn of(runs: Vec<Report>, code: ExitCode) -> Self {
        Self { schema_version: SCHEMA_VERSION, exit_code: code, runs }
    }
}

/// Renders it, indented, with a final newline, as [`json`](super::json) renders one report.
///
/// # Errors
///
/// None that a report can cause; the type is that of the serialiser.
pub fn render(runs: &Runs) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(runs)?;
    text.push('\n');
    Ok(clean::json(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{samples, schema};

    #[test]
    fn it_fits_its_schema() {
        let runs = Runs::of(vec![samples::full(), samples::empty()], ExitCode::Degraded);
        let value: serde_json::Value = serde_json::from_str(&render(&runs).unwrap()).unwrap();
        assert_eq!((value["exit_code"].as_u64(), value["runs"].as_array().unwrap().len()), (Some(3), 2));
        let validator = jsonschema::draft202012::new(&schema::runs()).unwrap();
        assert!(validator.is_valid(&value));
        let mut wrong = value;
        wrong["runs"][1]["census"]["items"] = "3".into();
        assert!(!validator.is_valid(&wrong));
    }
}
