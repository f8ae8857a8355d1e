//! Two tiers side by side: what `--ab` compares.

use std::fmt::Write as _;

use convoke_runtime::money::Usd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words::{duration, thousands};

/// Two tiers, and how the questions went that were meant for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// The two, as they were typed.
    pub arms: Vec<Arm>,
    /// Findings of models that belong to neither: their items asked both, or come from earlier runs.
    pub findings_of_neither: u64,
}

/// The questions that were meant for a tier, whoever answered them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Arm {
    /// `speed` or `comprehensive`.
    pub tier: String,
    /// The share that it was to get, in percent.
    pub percent: f64,
    /// How many were asked: `done`, `failed` and `fallbacks` add up to it.
    pub questions: u64,
    /// Answered by a model, or by an earlier answer to the same question.
    pub done: u64,
    /// Without an answer.
    pub failed: u64,
    /// Answered by the question's own fallback.
    pub fallbacks: u64,
    /// Of those done, answered by the other tier.
    pub other_tier: u64,
    /// Input tokens, those from and to the prompt cache included.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// US dollars at list price.
    pub usd: f64,
    /// The median time from asking to the end, in milliseconds; null where nothing was sent.
    pub median_ms: Option<u64>,
    /// Findings of models, suppressed ones included.
    pub findings: u64,
}

/// The rows of a table: a name and a value for each arm. The first row has the tiers.
pub(super) fn rows(comparison: &Comparison) -> Vec<Vec<String>> {
    type Cell = fn(&Arm) -> String;
    let cells: [(&str, Cell); 11] = [
        ("", |arm| format!("{} {}%", arm.tier, arm.percent)),
        ("questions", |arm| thousands(arm.questions)),
        ("done", |arm| thousands(arm.done)),
        ("by the other tier", |arm| thousands(arm.other_tier)),
        ("fallback", |arm| thousands(arm.fallbacks)),
        ("failed", |arm| thousands(arm.failed)),
        ("input tokens", |arm| thousands(arm.input_tokens)),
        ("output tokens", |arm| thousands(arm.output_tokens)),
        ("dollars", |arm| Usd::from_dollars(arm.usd).to_string()),
        ("median time", |arm| arm.median_ms.map_or_else(|| "-".to_owned(), duration)),
        ("findings by models", |arm| thousands(arm.findings)),
    ];
    let row =
        |(name, cell): (&str, Cell)| std::iter::once(name.to_owned()).chain(comparison.arms.iter().map(cell)).collect();
    cells.into_iter().map(row).collect()
}

/// What is not in the table.
pub(super) fn remark(comparison: &Comparison) -> Option<String> {
    let count = comparison.findings_of_neither;
    let findings = super::words::counted(count, "finding", "findings");
    (count > 0)
        .then(|| format!("{findings} of models belong to neither: from earlier runs, or from items that asked both"))
}

/// A table in Markdown.
pub(super) fn markdown(comparison: &Comparison) -> String {
    let mut text = String::new();
    for (number, row) in rows(comparison).iter().enumerate() {
        let _ = writeln!(text, "| {} |", row.join(" | "));
        if number == 0 {
            let _ = writeln!(text, "|---|{}", "---:|".repeat(row.len() - 1));
        }
    }
    if let Some(remark) = remark(comparison) {
        let _ = writeln!(text, "\n{remark}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{human, samples};
    use super::*;

    fn comparison() -> Comparison {
        let speed = Arm {
            tier: "speed".to_owned(),
            percent: 80.0,
            questions: 1_210,
            done: 1_200,
            failed: 1,
            fallbacks: 9,
            other_tier: 0,
            input_tokens: 1_234_567,
            output_tokens: 89_000,
            usd: 0.1679,
            median_ms: Some(1_240),
            findings: 31,
        };
        let large =
            Arm { tier: "comprehensive".to_owned(), percent: 20.0, other_tier: 3, median_ms: None, ..speed.clone() };
        Comparison { arms: vec![speed, large], findings_of_neither: 2 }
    }

    #[test]
    fn people_see_both_side_by_side() {
        let mut report = samples::full();
        report.comparison = Some(comparison());
        let text = human::render(&report, &human::Style { width: 80, ..human::Style::default() });
        let table: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("Comparison")).take(13).collect();
        assert_eq!(
            table,
            [
                "Comparison",
                "                      speed 80%  comprehensive 20%",
                "  questions               1,210              1,210",
                "  done                    1,200              1,200",
                "  by the other tier           0                  3",
                "  fallback                    9                  9",
                "  failed                      1                  1",
                "  input tokens        1,234,567          1,234,567",
                "  output tokens          89,000             89,000",
                "  dollars               $0.1679            $0.1679",
                "  median time            1.24 s                  -",
                "  findings by models         31                 31",
                "  2 findings of models belong to neither: from earlier runs, or from items that",
            ]
        );
    }

    #[test]
    fn markdown_has_a_table() {
        let text = markdown(&comparison());
        assert!(
            text.starts_with("|  | speed 80% | comprehensive 20% |\n|---|---:|---:|\n| questions | 1,210 |"),
            "{text}"
        );
        assert!(text.contains("| median time | 1.24 s | - |") && text.ends_with("asked both\n"), "{text}");
    }
}
