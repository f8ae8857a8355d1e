//! The JSON report: [`Report`] itself, as the published schema says.

use super::{Report, clean};

/// Renders it, indented, with a final newline. A terminal finds nothing to act on in it: see [`clean::json`].
///
/// # Errors
///
/// None that a report can cause; the type is that of the serialiser.
pub fn render(report: &Report) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(clean::json(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn it_is_the_report_and_safe_to_print() {
        let mut report = samples::full();
        report.findings[0].message = "a\u{1b}[31m\u{202e}b".to_owned();
        let text = render(&report).unwrap();
        assert!(!text.contains(['\u{1b}', '\u{202e}']));
        assert!(text.ends_with("}\n"));
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back, serde_json::to_value(&report).unwrap());
        assert_eq!(back["schema_version"], 1);
    }
}
