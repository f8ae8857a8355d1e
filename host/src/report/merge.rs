//! Partials become one whole, by the method that the command declares. Nothing is dropped by any of them.

use std::cmp::Reverse;
use std::collections::HashMap;

use convoke_runtime::work::{self, Aggregation, Partial, Reduction, Severity};

use super::{Action, ActionState, Finding, Metric, Note, Place, clean, fingerprint};

/// The longest message, help and path that a report carries, in characters; what is longer is cut and ends in `…`.
const LONGEST_TEXT: usize = 4_000;

/// The longest rule id, in characters.
const LONGEST_RULE: usize = 128;

/// The longest note of an item, in characters.
const LONGEST_NOTE: usize = 64_000;

/// What the partials of a run say together. Edits need the files too: see [`super::edits`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merged {
    /// The worst first, then by path and line.
    pub findings: Vec<Finding>,
    /// In the order of their first mention.
    pub metrics: Vec<Metric>,
    /// Once each, by their keys.
    pub actions: Vec<Action>,
    /// In the order of the items.
    pub notes: Vec<Note>,
    /// What could not be used.
    pub warnings: Vec<String>,
}

/// Puts partials together, given with the ids of their items in the order of the plan.
///
/// `merge` makes one report: a finding with the fingerprint of another is the same finding, and metrics are reduced.
/// `reduce` is for commands that count; should they also find something, it is merged. `collect` and `stream` keep
/// every finding and every metric of every item.
pub fn aggregate<'a>(method: Aggregation, partials: impl IntoIterator<Item = (&'a str, &'a Partial)>) -> Merged {
    let mut findings = Vec::new();
    let mut metrics = Vec::new();
    let mut actions: Vec<Action> = Vec::new();
    let mut notes = Vec::new();
    let mut warnings = Vec::new();
    for (item, partial) in partials {
        findings.extend(partial.findings.iter().map(|finding| of_item(item, finding)));
        for metric in &partial.metrics {
            if metric.value.is_finite() {
                metrics.push((item, metric));
            } else {
                let name = clean::line(clean::bounded(&metric.name, LONGEST_RULE).as_ref());
                warnings.push(format!("{item}: its metric {name} is not a number, and is left out"));
            }
        }
        for action in &partial.actions {
            collect_action(item, action, &mut actions, &mut warnings);
        }
        if let Some(text) = partial.notes.as_deref().filter(|text| !text.trim().is_empty()) {
            notes.push(Note {
                item: Some(item.to_owned()),
                text: clean::bounded(text, LONGEST_NOTE).into_owned(),
                concludes: false,
            });
        }
    }
    fingerprint::assign(&mut findings);
    let keeps_all = matches!(method, Aggregation::Collect | Aggregation::Stream);
    let mut findings = if keeps_all { findings } else { merge_findings(findings) };
    sort(&mut findings);
    let metrics = if keeps_all { metrics.into_iter().map(collect_metric).collect() } else { reduce_metrics(&metrics) };
    Merged { findings, metrics, actions, notes, warnings }
}

/// The worst first, then by path, line and rule, so that the same findings make the same report.
pub fn sort(findings: &mut [Finding]) {
    type Key<'a> = (Reverse<Severity>, bool, Option<&'a str>, Option<u32>, Option<u32>, &'a str, &'a str, &'a str);
    fn key(finding: &Finding) -> Key<'_> {
        let path = finding.path.as_deref();
        let place = (finding.line, finding.column);
        let (rule, message) = (finding.rule.as_str(), finding.message.as_str());
        (Reverse(finding.severity), path.is_none(), path, place.0, place.1, rule, message, &finding.item)
    }
    findings.sort_by(|one, other| key(one).cmp(&key(other)));
}

fn of_item(item: &str, finding: &work::Finding) -> Finding {
    let text = |text: &str| clean::bounded(text, LONGEST_TEXT).into_owned();
    Finding {
        rule: clean::bounded(&finding.rule, LONGEST_RULE).into_owned(),
        severity: finding.severity,
        message: text(&finding.message),
        path: finding.path.as_deref().map(|path| text(path.strip_prefix("./").unwrap_or(path))),
        line: finding.line,
        column: finding.column,
        item: item.to_owned(),
        source: finding.source,
        fingerprint: finding.fingerprint.clone(),
        help: finding.help.as_deref().map(text),
        also: Vec::new(),
        suppressed: None,
    }
}

/// Same fingerprint, same finding: the worst one stays, and remembers where else it was found.
fn merge_findings(findings: Vec<Finding>) -> Vec<Finding> {
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut merged: Vec<Finding> = Vec::new();
    for mut finding in findings {
        let number = *numbers.entry(finding.fingerprint.clone()).or_insert(merged.len());
        let Some(known) = merged.get_mut(number) else {
            merged.push(finding);
            continue;
        };
        if finding.severity > known.severity {
            std::mem::swap(known, &mut finding);
            known.also = std::mem::take(&mut finding.also);
        }
        let place = Place { path: finding.path, line: finding.line, item: finding.item };
        if place != (Place { path: known.path.clone(), line: known.line, item: known.item.clone() }) {
            known.also.push(place);
        }
    }
    for finding in &mut merged {
        finding.also.sort();
        finding.also.dedup();
    }
    merged
}

/// Values of the same name, unit and method become one.
fn reduce_metrics(metrics: &[(&str, &work::Metric)]) -> Vec<Metric> {
    let mut order = Vec::new();
    let mut values: HashMap<(&str, &str, &str), Vec<f64>> = HashMap::new();
    for (_, metric) in metrics {
        let key = (metric.name.as_str(), metric.unit.as_str(), name_of(metric.reduce));
        let values = values.entry(key).or_default();
        if values.is_empty() {
            order.push((key, metric.reduce));
        }
        values.push(metric.value);
    }
    order
        .into_iter()
        .map(|(key, method)| {
            let values = values.remove(&key).unwrap_or_default();
            Metric {
                name: clean::bounded(key.0, LONGEST_RULE).into_owned(),
                value: reduce(method, &values),
                unit: clean::bounded(key.1, LONGEST_RULE).into_owned(),
                reduce: method,
                values: values.len() as u64,
                item: None,
            }
        })
        .collect()
}

fn collect_metric((item, metric): (&str, &work::Metric)) -> Metric {
    Metric {
        name: clean::bounded(&metric.name, LONGEST_RULE).into_owned(),
        value: metric.value,
        unit: clean::bounded(&metric.unit, LONGEST_RULE).into_owned(),
        reduce: metric.reduce,
        values: 1,
        item: Some(item.to_owned()),
    }
}

/// The name of a reduction, for keys.
fn name_of(method: Reduction) -> &'static str {
    match method {
        Reduction::Sum => "sum",
        Reduction::Min => "min",
        Reduction::Max => "max",
        Reduction::Mean => "mean",
    }
}

fn reduce(method: Reduction, values: &[f64]) -> f64 {
    match method {
        Reduction::Sum => exact_sum(values),
        Reduction::Mean => mean(values),
        Reduction::Min => values.iter().copied().reduce(f64::min).unwrap_or_default(),
        Reduction::Max => values.iter().copied().reduce(f64::max).unwrap_or_default(),
    }
}

fn mean(values: &[f64]) -> f64 {
    let count = values.len().max(1) as f64;
    let sum = exact_sum(values);
    if sum.abs() < f64::MAX {
        return sum / count;
    }
    // A sum that is out of range still has a mean.
    exact_sum(&values.iter().map(|value| value / count).collect::<Vec<_>>())
}

/// The sum, rounded once, whatever the order: Shewchuk's algorithm, that of Python's `math.fsum`. A sum that is out of
/// range is the largest finite number of its sign, because JSON has no infinity.
fn exact_sum(values: &[f64]) -> f64 {
    /// 2⁶⁴: as many values can be added, divided by it, before they leave the range.
    const OUT_OF_RANGE: f64 = 18_446_744_073_709_551_616.0;
    let mut parts: Vec<f64> = Vec::new();
    for &value in values {
        let mut carried = value;
        let mut kept = 0;
        for index in 0..parts.len() {
            let (large, small) =
                if carried.abs() >= parts[index].abs() { (carried, parts[index]) } else { (parts[index], carried) };
            let sum = large + small;
            let error = small - (sum - large);
            if error != 0.0 {
                parts[kept] = error;
                kept += 1;
            }
            carried = sum;
        }
        parts.truncate(kept);
        parts.push(carried);
        if !carried.is_finite() {
            let smaller: Vec<f64> = values.iter().map(|value| value / OUT_OF_RANGE).collect();
            return (exact_sum(&smaller) * OUT_OF_RANGE).clamp(f64::MIN, f64::MAX);
        }
    }
    // The parts don't overlap, so adding them from the largest down rounds once, but for the half-way case.
    let mut parts = parts.into_iter().rev();
    let mut sum = parts.next().unwrap_or_default();
    while let Some(part) = parts.next() {
        let before = sum;
        sum = before + part;
        let error = part - (sum - before);
        if error != 0.0 {
            let rounded = sum + error * 2.0;
            let decides = parts.next().is_some_and(|next| next.signum() == error.signum());
            if decides && rounded - sum == error * 2.0 {
                sum = rounded;
            }
            break;
        }
    }
    sum
}

/// Two actions with the same key are the same action. Where they differ all the same, the first counts, and it is said.
fn collect_action(item: &str, action: &work::Action, actions: &mut Vec<Action>, warnings: &mut Vec<String>) {
    if let Some(known) = actions.iter().find(|known| known.key == action.key) {
        if known.kind != action.kind || known.body != action.body {
            let key = clean::line(&clean::bounded(&action.key, LONGEST_RULE));
            warnings.push(format!(
                "{item} and {} propose different actions with the key {key}: only that of {} is kept",
                known.item, known.item
            ));
        }
        return;
    }
    let problem = crate::actions::check(&action.key, &action.body).err().map(|error| error.to_string());
    actions.push(Action {
        kind: action.kind.clone(),
        title: clean::bounded(&action.title, LONGEST_TEXT).into_owned(),
        body: action.body.clone(),
        key: action.key.clone(),
        item: item.to_owned(),
        state: if problem.is_some() { ActionState::Refused } else { ActionState::Proposed },
        problem,
        exit_code: None,
        output: None,
        errors: None,
    });
}

#[cfg(test)]
mod tests {
    use convoke_runtime::work::Source;
    use serde_json::json;

    use super::*;

    fn finding(rule: &str, severity: Severity, path: &str, line: u32, fingerprint: &str) -> work::Finding {
        work::Finding {
            rule: rule.to_owned(),
            severity,
            message: "text".to_owned(),
            path: Some(path.to_owned()),
            line: Some(line),
            column: None,
            source: Source::Rule,
            fingerprint: fingerprint.to_owned(),
            help: None,
        }
    }

    fn metric(name: &str, value: f64, reduce: Reduction) -> work::Metric {
        work::Metric { name: name.to_owned(), value, unit: String::new(), reduce }
    }

    fn found(findings: Vec<work::Finding>) -> Partial {
        Partial { findings, ..Partial::default() }
    }

    fn counted(metrics: Vec<work::Metric>) -> Partial {
        Partial { metrics, ..Partial::default() }
    }

    #[test]
    fn same_fingerprint_same_finding_and_the_worst_stays() {
        let one = found(vec![finding("r", Severity::Low, "a.md", 1, "same")]);
        let two =
            found(vec![finding("r", Severity::High, "b.md", 2, "same"), finding("r", Severity::Low, "c.md", 3, "")]);
        let merged = aggregate(Aggregation::Merge, [("one", &one), ("two", &two)]);
        assert_eq!(merged.findings.len(), 2);
        assert_eq!(merged.findings[0].severity, Severity::High);
        assert_eq!(merged.findings[0].path.as_deref(), Some("b.md"));
        let elsewhere = Place { path: Some("a.md".to_owned()), line: Some(1), item: "one".to_owned() };
        assert_eq!(merged.findings[0].also, [elsewhere]);
    }

    #[test]
    fn collect_and_stream_keep_everything() {
        let one = found(vec![finding("r", Severity::Low, "a.md", 1, "same")]);
        let two = Partial { metrics: vec![metric("n", 1.0, Reduction::Sum)], ..one.clone() };
        for method in [Aggregation::Collect, Aggregation::Stream] {
            let all = aggregate(method, [("one", &one), ("two", &two)]);
            assert_eq!(all.findings.len(), 2);
            assert_eq!(all.metrics[0].item.as_deref(), Some("two"));
        }
    }

    #[test]
    fn the_order_of_the_partials_does_not_show_in_the_findings() {
        let one = found(vec![finding("r", Severity::Low, "a.md", 9, ""), finding("s", Severity::Low, "a.md", 2, "")]);
        let two = found(vec![finding("r", Severity::High, "b.md", 1, "")]);
        let forth = aggregate(Aggregation::Merge, [("one", &one), ("two", &two)]);
        let back = aggregate(Aggregation::Merge, [("two", &two), ("one", &one)]);
        assert_eq!(forth.findings, back.findings);
        let places: Vec<_> = forth.findings.iter().map(|finding| (finding.path.as_deref(), finding.line)).collect();
        assert_eq!(places, [(Some("b.md"), Some(1)), (Some("a.md"), Some(2)), (Some("a.md"), Some(9))]);
    }

    #[test]
    fn metrics_are_reduced_by_their_own_method() {
        let partials: Vec<Partial> = [3.0, 1.0, 2.0]
            .into_iter()
            .map(|value| {
                counted(vec![
                    metric("sum", value, Reduction::Sum),
                    metric("min", value, Reduction::Min),
                    metric("max", value, Reduction::Max),
                    metric("mean", value, Reduction::Mean),
                ])
            })
            .collect();
        let merged = aggregate(Aggregation::Reduce, partials.iter().map(|partial| ("item", partial)));
        let values: Vec<_> =
            merged.metrics.iter().map(|metric| (metric.name.as_str(), metric.value, metric.values)).collect();
        assert_eq!(values, [("sum", 6.0, 3), ("min", 1.0, 3), ("max", 3.0, 3), ("mean", 2.0, 3)]);
    }

    #[test]
    fn sums_are_exact_in_any_order() {
        assert_eq!(exact_sum(&[0.1; 10]), 1.0);
        assert_eq!(exact_sum(&[1e16, 1.0, -1e16, 1.0]), 2.0);
        assert_eq!(exact_sum(&[1e100, 1.0, -1e100]), 1.0);
        assert_eq!(exact_sum(&[]), 0.0);
        assert_eq!(exact_sum(&[1e308, 1e308]), f64::MAX);
        assert_eq!(exact_sum(&[1e308, 1e308, -1e308]), 1e308);
        assert_eq!(mean(&[1e308, 1e308]), 1e308);
    }

    #[test]
    fn what_is_no_number_is_left_out_and_said() {
        let partial = counted(vec![metric("bad", f64::NAN, Reduction::Sum), metric("good", 1.0, Reduction::Sum)]);
        let merged = aggregate(Aggregation::Merge, [("item", &partial)]);
        assert_eq!(merged.metrics.len(), 1);
        assert!(merged.warnings[0].contains("bad"), "{:?}", merged.warnings);
    }

    #[test]
    fn an_action_is_proposed_once_and_a_clash_is_said() {
        let action =
            |body| work::Action { kind: "comment".to_owned(), title: "t".to_owned(), body, key: "k".to_owned() };
        let proposing = |body| Partial { actions: vec![action(body)], ..Partial::default() };
        let (one, same, other) = (proposing(json!(1)), proposing(json!(1)), proposing(json!(2)));
        let merged = aggregate(Aggregation::Merge, [("one", &one), ("two", &same)]);
        assert_eq!((merged.actions.len(), merged.warnings.len()), (1, 0));
        let merged = aggregate(Aggregation::Merge, [("one", &one), ("two", &other)]);
        assert_eq!((merged.actions.len(), merged.warnings.len()), (1, 1));
    }

    #[test]
    fn huge_texts_are_cut() {
        let mut huge = finding(&"r".repeat(10_000), Severity::Low, "a.md", 1, "");
        huge.message = "x".repeat(1_000_000);
        let partial = Partial { notes: Some("n".repeat(1_000_000)), ..found(vec![huge]) };
        let merged = aggregate(Aggregation::Merge, [("item", &partial)]);
        assert_eq!(merged.findings[0].message.chars().count(), LONGEST_TEXT);
        assert_eq!(merged.findings[0].rule.chars().count(), LONGEST_RULE);
        assert_eq!(merged.notes[0].text.chars().count(), LONGEST_NOTE);
    }

    proptest::proptest! {
        #[test]
        fn a_sum_does_not_depend_on_the_order(mut values: Vec<i32>) {
            let floats: Vec<f64> = values.iter().map(|value| f64::from(*value) * 0.1).collect();
            let forth = exact_sum(&floats);
            values.reverse();
            let back: Vec<f64> = values.iter().map(|value| f64::from(*value) * 0.1).collect();
            proptest::prop_assert_eq!(forth, exact_sum(&back));
        }
    }
}
