//! What a run cost, beside what was thought before it, and what is left of its budgets.

use convoke_runtime::broker::Spending;
use convoke_runtime::budget::Standing;
use convoke_runtime::money::Usd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words::{counted, thousands};
use super::{Report, UsageInfo};

/// What a run cost. Dollars are US dollars at list price.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// As far as it is known: `usage.usd`.
    pub usd: f64,
    /// What requests that broke off may have cost beyond that, at most. It counts as spent.
    pub uncertain_usd: f64,
    /// The part of `usd` that a subscription pays: it is not billed.
    pub notional_usd: f64,
    /// What was thought before.
    pub estimate: CostEstimate,
    /// What each model took.
    pub by_model: Vec<ModelCost>,
    /// The budgets that are limited.
    pub budgets: Vec<BudgetInfo>,
    /// The day on which the built-in prices were looked up.
    pub prices_as_of: String,
}

/// What the plan thought that a run would take, as far as its plugin gave estimates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CostEstimate {
    /// Questions.
    pub questions: u64,
    /// Input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Dollars; null where the price is not known.
    pub usd: Option<f64>,
    /// Items of which the plugin did not say what they would ask.
    pub items_without_estimate: u64,
}

/// What a model took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelCost {
    /// The model.
    pub model: String,
    /// The backend that asked it.
    pub backend: String,
    /// Whether a subscription pays, so that the dollars are not billed.
    pub notional: bool,
    /// What it took, as far as it is known.
    pub usage: UsageInfo,
    /// What may have been spent beyond that, at most.
    pub uncertain_usd: f64,
}

/// How a budget stands: in dollars where its name begins with `usd`, else in requests or tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetInfo {
    /// Its key under `[budget]`: `usd`, `usd_per_day`, `usd_per_month`, `requests`, `input_tokens`, `output_tokens`.
    pub limit: String,
    /// What may be spent.
    pub size: f64,
    /// What is spent, with what is uncertain; of the day and the month by all runs.
    pub spent: f64,
    /// What is left.
    pub left: f64,
}

impl From<Standing> for BudgetInfo {
    fn from(standing: Standing) -> Self {
        let amount = |count: u64| {
            if standing.limit.is_dollars() { Usd::from_pico(count).dollars() } else { count as f64 }
        };
        Self {
            limit: standing.limit.name().to_owned(),
            size: amount(standing.size),
            spent: amount(standing.spent),
            left: amount(standing.left()),
        }
    }
}

impl Cost {
    /// From what the broker has counted.
    pub fn of(spending: Spending, budgets: Vec<Standing>, estimate: CostEstimate, prices_as_of: &str) -> Self {
        let notional = spending.by_model.iter().filter(|one| one.is_notional).map(|one| one.usage.usd).sum::<Usd>();
        let by_model = spending.by_model.into_iter().map(|one| ModelCost {
            model: one.model,
            backend: one.backend.to_owned(),
            notional: one.is_notional,
            usage: UsageInfo::from(one.usage),
            uncertain_usd: one.uncertain.dollars(),
        });
        Self {
            usd: spending.usage.usd.dollars(),
            uncertain_usd: spending.uncertain.dollars(),
            notional_usd: notional.dollars(),
            estimate,
            by_model: by_model.collect(),
            budgets: budgets.into_iter().map(BudgetInfo::from).collect(),
            prices_as_of: prices_as_of.to_owned(),
        }
    }
}

impl Cost {
    /// Adds what an earlier part of the run took.
    pub fn add(&mut self, earlier: ModelCost) {
        self.usd += earlier.usage.usd;
        self.uncertain_usd += earlier.uncertain_usd;
        self.notional_usd += if earlier.notional { earlier.usage.usd } else { 0.0 };
        let name = |one: &ModelCost| (one.model.clone(), one.backend.clone(), one.notional);
        match self.by_model.iter_mut().find(|one| name(one) == name(&earlier)) {
            Some(one) => {
                one.usage.add(earlier.usage);
                one.uncertain_usd += earlier.uncertain_usd;
            }
            None => self.by_model.push(earlier),
        }
    }
}

fn usd(dollars: f64) -> Usd {
    Usd::from_dollars(dollars)
}

/// `$0.0421 at list price; about $0.0512 was expected; up to $0.0021 more for what broke off`; none where nothing was
/// asked.
pub(super) fn cost(report: &Report) -> Option<String> {
    let cost = &report.cost;
    if report.usage.requests == 0 {
        return None;
    }
    let mut text = match cost.notional_usd {
        0.0 => format!("{} at list price", usd(cost.usd)),
        notional if notional >= cost.usd => format!("{} notional: list price, not billed", usd(cost.usd)),
        notional => format!("{} at list price, {} of it notional: not billed", usd(cost.usd), usd(notional)),
    };
    if let Some(expected) = cost.estimate.usd.filter(|_| cost.estimate.questions > 0) {
        text += &format!("; about {} was expected", usd(expected));
    }
    if cost.uncertain_usd > 0.0 {
        text += &format!("; up to {} more for requests that broke off", usd(cost.uncertain_usd));
    }
    Some(text)
}

/// `claude-haiku-5-5: 3 requests, 1,200 tokens in, 300 out, $0.000270`, for each model; none for a single one.
pub(super) fn models(report: &Report) -> Vec<String> {
    let models = &report.cost.by_model;
    if models.len() < 2 {
        return Vec::new();
    }
    let words = |one: &ModelCost| {
        let input = one.usage.input_tokens + one.usage.cache_read_tokens + one.usage.cache_write_tokens;
        let requests = counted(u64::from(one.usage.requests), "request", "requests");
        let notional = if one.notional { " notional" } else { "" };
        let (input, output) = (thousands(input), thousands(one.usage.output_tokens));
        format!("{}: {requests}, {input} tokens in, {output} out, {}{notional}", one.model, usd(one.usage.usd))
    };
    models.iter().map(words).collect()
}

/// `$0.4200 of $1.00 spent in this run, $0.5800 left`, for each limited budget.
pub(super) fn budgets(report: &Report) -> Vec<String> {
    let words = |budget: &BudgetInfo| {
        let (what, whose) = match budget.limit.as_str() {
            "usd" => ("", "in this run"),
            "usd_per_day" => ("", "today (UTC)"),
            "usd_per_month" => ("", "this month (UTC)"),
            "requests" => (" requests", "in this run"),
            "input_tokens" => (" input tokens", "in this run"),
            _ => (" output tokens", "in this run"),
        };
        let is_dollars = what.is_empty();
        let amount = |amount: f64| if is_dollars { usd(amount).to_string() } else { thousands(amount as u64) };
        let (spent, size, left) = (amount(budget.spent), amount(budget.size), amount(budget.left));
        format!("{spent} of {size}{what} spent {whose}, {left} left")
    };
    report.cost.budgets.iter().map(words).collect()
}

#[cfg(test)]
mod tests {
    use convoke_runtime::broker::ModelSpending;
    use convoke_runtime::question::Usage;

    use super::*;
    use crate::report::samples;

    #[test]
    fn a_cost_says_what_was_expected_what_is_uncertain_and_what_is_not_billed() {
        let mut report = samples::full();
        assert_eq!(
            cost(&report).as_deref(),
            Some("$0.0421 at list price; about $0.0512 was expected; up to $0.0021 more for requests that broke off")
        );
        report.cost.notional_usd = 0.02;
        assert!(cost(&report).is_some_and(|text| text.contains("$0.0200 of it notional")));
        report.cost.notional_usd = report.cost.usd;
        assert!(cost(&report).is_some_and(|text| text.contains("$0.0421 notional: list price, not billed")));
        assert_eq!(cost(&samples::offline()), None);
    }

    #[test]
    fn what_a_subscription_pays_is_told_apart_from_what_is_billed() {
        let taken = |backend, is_notional, dollars| ModelSpending {
            model: "claude-opus-5-5".to_owned(),
            backend,
            is_notional,
            usage: Usage { requests: 1, usd: usd(dollars), ..Usage::default() },
            uncertain: usd(0.25),
        };
        let by_model = vec![taken("anthropic", false, 0.5), taken("claude-cli", true, 1.5)];
        let usage = Usage { requests: 2, usd: usd(2.0), ..Usage::default() };
        let spending = Spending { usage, uncertain: usd(0.5), by_model };
        let cost = Cost::of(spending, Vec::new(), CostEstimate::default(), "2026-11-20");
        assert_eq!((cost.usd, cost.notional_usd, cost.uncertain_usd), (2.0, 1.5, 0.5));
        assert_eq!(cost.by_model.iter().map(|one| one.notional).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn what_an_earlier_part_took_is_added_as_it_was_paid_then() {
        let mut cost = Cost::of(Spending::default(), Vec::new(), CostEstimate::default(), "2026-11-20");
        let part = |notional, usd| ModelCost {
            model: "claude-opus-5-5".to_owned(),
            backend: "claude-cli".to_owned(),
            notional,
            usage: UsageInfo { requests: 1, usd, ..UsageInfo::default() },
            uncertain_usd: 0.0,
        };
        for (notional, usd) in [(false, 0.5), (true, 1.5), (false, 0.25)] {
            cost.add(part(notional, usd));
        }
        assert_eq!((cost.usd, cost.notional_usd), (2.25, 1.5));
        let parts: Vec<_> = cost.by_model.iter().map(|one| (one.notional, one.usage.usd, one.usage.requests)).collect();
        assert_eq!(parts, [(false, 0.75, 2), (true, 1.5, 1)]);
    }

    #[test]
    fn a_small_cost_is_not_nothing() {
        let mut report = samples::full();
        report.cost.usd = 0.000_021;
        assert!(cost(&report).is_some_and(|text| text.starts_with("$0.000021 ")), "{:?}", cost(&report));
    }

    #[test]
    fn models_are_told_apart_where_there_are_several() {
        let mut report = samples::full();
        let told = models(&report);
        assert_eq!(told.len(), 2);
        assert_eq!(told[0], "claude-haiku-5-5: 3 requests, 3,845 tokens in, 478 out, $0.0121");
        report.cost.by_model.truncate(1);
        assert_eq!(models(&report), Vec::<String>::new());
    }

    #[test]
    fn a_budget_says_what_is_left_in_its_unit() {
        let told = budgets(&samples::full());
        assert_eq!(told[0], "$0.0442 of $1.00 spent in this run, $0.9558 left");
        assert_eq!(told[1], "4 of 1,000 requests spent in this run, 996 left");
    }
}
