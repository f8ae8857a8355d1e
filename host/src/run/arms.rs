//! The tiers of a run, side by side: what `--ab` compares.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use convoke_runtime::broker::QuestionRecord;
use convoke_runtime::money::Usd;
use convoke_runtime::question::{Tier, Usage};
use convoke_runtime::route::AbTest;
use convoke_runtime::work::Source;

use crate::report::{Arm, Comparison, Finding};

/// What is known of the questions of a run, by the tier they were meant for.
#[derive(Debug, Default)]
pub struct Arms(Mutex<Tallies>);

#[derive(Debug, Default)]
struct Tallies {
    tiers: BTreeMap<&'static str, Tally>,
    /// The tier of an item's questions; none where they had several.
    items: BTreeMap<String, Option<&'static str>>,
}

#[derive(Debug, Default)]
struct Tally {
    questions: u64,
    done: u64,
    fallbacks: u64,
    other_tier: u64,
    usage: Usage,
    /// Of those that were sent.
    took_ms: Vec<u64>,
}

impl Arms {
    /// Counts a question that has ended.
    pub fn add(&self, record: &QuestionRecord) {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = record.tier.name();
        let tier = tallies.tiers.entry(name).or_default();
        tier.questions += 1;
        match record.outcome.as_str() {
            "model" | "cache" => tier.done += 1,
            "fallback" => tier.fallbacks += 1,
            _ => {}
        }
        tier.other_tier += u64::from(record.answered_tier.is_some_and(|answered| answered != record.tier));
        tier.usage += record.usage;
        if record.attempts > 0 {
            tier.took_ms.push(record.took_ms);
        }
        let of_item = tallies.items.entry(record.item.to_string()).or_insert(Some(name));
        *of_item = of_item.filter(|known| *known == name);
    }

    /// That questions were answered by another tier than the one they were meant for.
    pub fn warnings(&self) -> Vec<String> {
        let tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let moved = tallies.tiers.iter().filter(|(_, tally)| tally.other_tier > 0);
        let said = moved.map(|(tier, tally)| {
            let questions = if tally.other_tier == 1 { "question" } else { "questions" };
            format!("{} {questions} meant for the tier {tier} went to another, which answered", tally.other_tier)
        });
        said.collect()
    }

    /// The two arms of a test, with what models found for them. A finding belongs to an arm if all questions of its item
    /// did; others, and those of earlier runs, belong to none.
    pub fn compare(&self, test: &AbTest, findings: &[Finding]) -> Comparison {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let by_models = || findings.iter().filter(|finding| finding.source == Source::Model);
        let tier_of = |finding: &Finding| tallies.items.get(&finding.item).copied().flatten();
        let of_none = by_models().filter(|finding| tier_of(finding).is_none()).count() as u64;
        let found =
            test.arms().map(|tier| by_models().filter(|finding| tier_of(finding) == Some(tier.name())).count() as u64);
        let mut arm = |tier: Tier, percent: f64, findings: u64| {
            let tally = tallies.tiers.entry(tier.name()).or_default();
            tally.took_ms.sort_unstable();
            Arm {
                tier: tier.name().to_owned(),
                percent,
                questions: tally.questions,
                done: tally.done,
                failed: tally.questions - tally.done - tally.fallbacks,
                fallbacks: tally.fallbacks,
                other_tier: tally.other_tier,
                input_tokens: input(&tally.usage),
                output_tokens: tally.usage.output_tokens,
                usd: Usd::dollars(tally.usage.usd),
                median_ms: tally.took_ms.get(tally.took_ms.len().saturating_sub(1) / 2).copied(),
                findings,
            }
        };
        let [first, second] = test.arms();
        let [of_first, of_second] = test.percent();
        Comparison {
            arms: vec![arm(first, of_first, found[0]), arm(second, of_second, found[1])],
            findings_of_neither: of_none,
        }
    }
}

/// All input tokens, however they were paid for.
fn input(usage: &Usage) -> u64 {
    usage.input_tokens.saturating_add(usage.cache_read_tokens).saturating_add(usage.cache_write_tokens)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use convoke_runtime::work::Severity;

    use super::*;

    fn record(item: &str, tier: Tier, outcome: &str, took_ms: u64) -> QuestionRecord {
        QuestionRecord {
            id: 1,
            run: Arc::from("run"),
            item: Arc::from(item),
            role: "code-reviewer".to_owned(),
            tier,
            answered_tier: (outcome == "model").then_some(tier),
            model: "model".to_owned(),
            backend: "anthropic",
            attempts: 1,
            retries: 0,
            outcome: outcome.to_owned(),
            usage: Usage { requests: 1, input_tokens: 10, cache_read_tokens: 5, output_tokens: 2, ..Usage::default() },
            is_notional: false,
            uncertain: Usd::ZERO,
            shares: Vec::new(),
            unmetered: 0,
            failures: Vec::new(),
            backed_off_ms: 0,
            queued_ms: 0,
            first_token_ms: None,
            took_ms,
        }
    }

    fn finding(item: &str, source: Source) -> Finding {
        Finding {
            rule: "unclear".to_owned(),
            severity: Severity::Low,
            message: "it is unclear".to_owned(),
            path: None,
            line: None,
            column: None,
            item: item.to_owned(),
            source,
            fingerprint: item.to_owned(),
            help: None,
            also: Vec::new(),
            suppressed: None,
        }
    }

    #[test]
    fn both_arms_have_what_was_meant_for_them_whoever_answered() {
        let arms = Arms::default();
        for (item, took) in [("a", 30), ("b", 10), ("mixed", 20)] {
            arms.add(&record(item, Tier::Speed, "model", took));
        }
        arms.add(&QuestionRecord { answered_tier: Some(Tier::Speed), ..record("c", Tier::Comprehensive, "model", 7) });
        arms.add(&record("mixed", Tier::Comprehensive, "fallback", 9));
        arms.add(&record("d", Tier::Comprehensive, "overloaded", 8));
        arms.add(&QuestionRecord { attempts: 0, ..record("d", Tier::Comprehensive, "cache", 1_000) });
        let findings = [
            finding("a", Source::Model),
            finding("b", Source::Rule),
            finding("c", Source::Model),
            finding("mixed", Source::Model),
            finding("from an earlier run", Source::Model),
        ];
        let test = AbTest::new(Tier::Speed, Tier::Comprehensive, 2_000).unwrap();
        assert_eq!(arms.warnings(), ["1 question meant for the tier comprehensive went to another, which answered"]);
        let Comparison { arms, findings_of_neither } = arms.compare(&test, &findings);
        let [speed, large] = arms.try_into().unwrap();
        assert_eq!((speed.questions, speed.done, speed.failed, speed.fallbacks, speed.other_tier), (3, 3, 0, 0, 0));
        assert_eq!((speed.input_tokens, speed.output_tokens, speed.median_ms), (45, 6, Some(20)));
        assert_eq!((large.questions, large.done, large.failed, large.fallbacks, large.other_tier), (4, 2, 1, 1, 1));
        assert_eq!((large.median_ms, large.percent), (Some(8), 20.0));
        assert_eq!((speed.findings, large.findings, findings_of_neither), (1, 1, 2));
    }

    #[test]
    fn an_arm_that_nothing_went_to_is_shown_empty() {
        let test = AbTest::new(Tier::Comprehensive, Tier::Speed, 1).unwrap();
        let compared = Arms::default().compare(&test, &[]);
        assert_eq!((compared.arms[0].questions, compared.arms[0].median_ms), (0, None));
    }
}
