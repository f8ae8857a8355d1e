//! SARIF 2.1.0, for code scanning services and editors.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use convoke_runtime::work::{Severity, Status};
use serde_json::{Value, json};

use super::{Finding, Place, Report, RuleInfo, SuppressedBy, clean};

/// Under which name the fingerprint stands; the number changes when the way to make it does.
const FINGERPRINT: &str = "convoke/v1";

/// Renders it, indented, with a final newline. `rules` are those of the command's manifest.
///
/// # Errors
///
/// None that a report can cause; the type is that of the serialiser.
pub fn render(report: &Report, rules: &[RuleInfo]) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(&log(report, rules))?;
    text.push('\n');
    Ok(clean::json(text))
}

/// Several commands in one log: each is a run of it.
///
/// # Errors
///
/// As [`render`].
pub fn render_all<'a>(reports: impl IntoIterator<Item = (&'a Report, &'a [RuleInfo])>) -> serde_json::Result<String> {
    let mut whole = Value::Null;
    for (report, rules) in reports {
        let mut next = log(report, rules);
        match whole["runs"].as_array_mut() {
            Some(runs) => runs.extend(next["runs"].as_array_mut().map(std::mem::take).unwrap_or_default()),
            None => whole = next,
        }
    }
    let mut text = serde_json::to_string_pretty(&whole)?;
    text.push('\n');
    Ok(clean::json(text))
}

fn log(report: &Report, rules: &[RuleInfo]) -> Value {
    let rules = all_rules(report, rules);
    let index: BTreeMap<&str, usize> = rules.iter().enumerate().map(|(index, (id, _))| (*id, index)).collect();
    let results: Vec<Value> = report.findings.iter().map(|finding| result(finding, &index)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": format!("convoke {}", clean::line(&report.run.command)),
                "version": clean::line(&report.run.plugin.version),
                "rules": rules.iter().map(|(id, info)| rule(id, *info)).collect::<Vec<_>>(),
            }},
            "automationDetails": {"id": format!("{}/", clean::line(&report.run.command))},
            "columnKind": "unicodeCodePoints",
            "invocations": [invocation(report)],
            "results": results,
            "properties": {"convoke": {
                "run": report.run.id,
                "status": report.status,
                "exit_code": report.exit_code,
                "census": report.census,
                "usage": report.usage,
            }},
        }],
    })
}

/// Those of the manifest, then those that only findings name.
fn all_rules<'a>(report: &'a Report, rules: &'a [RuleInfo]) -> Vec<(&'a str, Option<&'a RuleInfo>)> {
    let mut all: Vec<(&str, Option<&RuleInfo>)> = Vec::new();
    let mut known = std::collections::BTreeSet::new();
    for rule in rules {
        if known.insert(rule.id.as_str()) {
            all.push((&rule.id, Some(rule)));
        }
    }
    for finding in &report.findings {
        if known.insert(finding.rule.as_str()) {
            all.push((&finding.rule, None));
        }
    }
    all
}

fn rule(id: &str, info: Option<&RuleInfo>) -> Value {
    match info {
        None => json!({"id": clean::line(id)}),
        Some(info) => json!({
            "id": clean::line(id),
            "shortDescription": {"text": clean::sarif(&info.summary)},
            "defaultConfiguration": {"level": level(info.severity)},
            "properties": {"severity": info.severity},
        }),
    }
}

fn result(finding: &Finding, index: &BTreeMap<&str, usize>) -> Value {
    let mut result = json!({
        "ruleId": clean::line(&finding.rule),
        "level": level(finding.severity),
        "message": {"text": message(finding)},
        "partialFingerprints": {FINGERPRINT: finding.fingerprint},
        "properties": {"severity": finding.severity, "source": finding.source, "item": finding.item},
    });
    if let Some(index) = index.get(finding.rule.as_str()) {
        result["ruleIndex"] = json!(index);
    }
    if let Some(location) = location(finding.path.as_deref(), finding.line, finding.column) {
        result["locations"] = json!([location]);
    }
    let also: Vec<Value> =
        finding.also.iter().filter_map(|Place { path, line, .. }| location(path.as_deref(), *line, None)).collect();
    if !also.is_empty() {
        result["relatedLocations"] = also.into();
    }
    if let Some(suppressed) = &finding.suppressed {
        let kind = if suppressed.by == SuppressedBy::Comment { "inSource" } else { "external" };
        let justification = clean::line(&suppressed.reason);
        result["suppressions"] = json!([{"kind": kind, "status": "accepted", "justification": justification}]);
        if suppressed.by == SuppressedBy::Baseline {
            result["baselineState"] = json!("unchanged");
        }
    }
    result
}

fn message(finding: &Finding) -> String {
    let mut text = clean::sarif(&finding.message);
    if let Some(help) = &finding.help {
        let _ = write!(text, "\n{}", clean::sarif(help));
    }
    text
}

fn location(path: Option<&str>, line: Option<u32>, column: Option<u32>) -> Option<Value> {
    let mut physical = json!({"artifactLocation": artifact(path?)});
    if let Some(line) = line.filter(|line| *line > 0) {
        physical["region"] = json!({"startLine": line});
        if let Some(column) = column.filter(|column| *column > 0) {
            physical["region"]["startColumn"] = json!(column);
        }
    }
    Some(json!({"physicalLocation": physical}))
}

/// A path of the project is relative to its root; one that the user typed may lead anywhere, and is left as it is.
fn artifact(path: &str) -> Value {
    if path.starts_with('/') {
        json!({"uri": format!("file://{}", uri(path))})
    } else if path.split('/').any(|part| part == "..") {
        json!({"uri": uri(path)})
    } else {
        json!({"uri": uri(path), "uriBaseId": "%SRCROOT%"})
    }
}

/// Percent-encodes all but what a path may hold (RFC 3986). A colon is encoded, so that no path begins with a scheme.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    // Two slashes at the start would name a host.
    if out.starts_with("//") { format!("/.{out}") } else { out }
}

fn invocation(report: &Report) -> Value {
    let failures = report.failures.iter().map(|failure| {
        let text = format!("{}: {}", clean::sarif(&failure.item), clean::sarif(&failure.reason));
        json!({"level": "error", "message": {"text": text}})
    });
    let warnings =
        report.warnings.iter().map(|warning| json!({"level": "warning", "message": {"text": clean::sarif(warning)}}));
    json!({
        "executionSuccessful": report.status == Status::Completed,
        "exitCode": report.exit_code,
        "startTimeUtc": format!("{:.3}", report.run.started),
        "toolExecutionNotifications": failures.chain(warnings).collect::<Vec<_>>(),
    })
}

/// SARIF knows three levels; the severity itself stands in the properties.
fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Suppressed, samples};

    fn rendered(report: &Report) -> Value {
        serde_json::from_str(&render(report, &samples::rules()).unwrap()).unwrap()
    }

    #[test]
    fn what_the_standard_requires_is_there() {
        let report = samples::full();
        let log = rendered(&report);
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        assert!(run["tool"]["driver"]["name"].is_string());
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), report.findings.len());
        for result in results {
            assert!(result["message"]["text"].is_string());
            assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
            let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
            assert_eq!(rule["id"], result["ruleId"]);
            assert!(!result["partialFingerprints"][FINGERPRINT].as_str().unwrap().is_empty());
            for location in result["locations"].as_array().into_iter().flatten() {
                assert!(location["physicalLocation"]["artifactLocation"]["uri"].is_string());
                let line = &location["physicalLocation"]["region"]["startLine"];
                assert!(line.is_null() || line.as_u64().unwrap() > 0);
            }
        }
        let invocation = &run["invocations"][0];
        assert_eq!(invocation["executionSuccessful"], false, "an item failed");
        assert_eq!(invocation["startTimeUtc"], "2026-11-20T10:00:00.000Z");
        assert_eq!(rendered(&samples::offline())["runs"][0]["invocations"][0]["executionSuccessful"], true);
    }

    #[test]
    fn levels_follow_severities() {
        let levels: Vec<&str> = Severity::ALL.into_iter().map(level).collect();
        assert_eq!(levels, ["note", "note", "warning", "error", "error"]);
    }

    #[test]
    fn suppressed_results_say_so() {
        let mut report = samples::full();
        let by_comment = rendered(&report);
        let suppressions: Vec<&Value> = by_comment["runs"][0]["results"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|result| result.get("suppressions"))
            .collect();
        assert_eq!(suppressions.len(), 1);
        assert_eq!(suppressions[0][0]["kind"], "inSource");
        assert_eq!(suppressions[0][0]["justification"], "a made-up one");
        report.findings[0].suppressed = Some(Suppressed { by: SuppressedBy::Baseline, reason: "known".to_owned() });
        let by_baseline = &rendered(&report)["runs"][0]["results"][0];
        assert_eq!(by_baseline["suppressions"][0]["kind"], "external");
        assert_eq!(by_baseline["baselineState"], "unchanged");
    }

    #[test]
    fn paths_are_encoded_and_name_no_other_scheme() {
        assert_eq!(uri("a b/ü#?.md"), "a%20b/%C3%BC%23%3F.md");
        assert_eq!(uri("javascript:alert(1)"), "javascript%3Aalert(1)");
        assert_eq!(uri("//evil/x"), "/.//evil/x");
        assert_eq!(artifact("a.md")["uriBaseId"], "%SRCROOT%");
        assert_eq!(artifact("../a.md"), json!({"uri": "../a.md"}));
        assert_eq!(artifact("/tmp/a.md"), json!({"uri": "file:///tmp/a.md"}));
    }

    #[test]
    fn a_message_is_text_and_nothing_else() {
        let mut report = samples::full();
        report.findings[0].message = "see [here](http://evil) \u{1b}[31m".to_owned();
        let log = rendered(&report);
        let text = log["runs"][0]["results"][0]["message"]["text"].as_str().unwrap();
        assert!(text.starts_with("see \\[here\\](http://evil)"), "{text}");
    }

    #[test]
    fn the_whole_log_is_as_expected() {
        insta::assert_snapshot!(render(&samples::full(), &samples::rules()).unwrap());
    }
}
