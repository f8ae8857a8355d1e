//! Reports for the tests of this module.

use std::time::Duration;

use convoke_runtime::levels::{Level, LevelChange};
use convoke_runtime::money::Usd;
use convoke_runtime::question::Usage;
use convoke_runtime::work::{
    self, Aggregation, Change, Edit, Metric, Outcome, Partial, Reduction, Replacement, Severity, Source,
};
use jiff::civil::date;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::attempts::{AttemptEnd, FailureCount, QuestionsInfo};
use super::build::{Facts, ItemFacts, WorkerFacts, build};
use super::cost::{BudgetInfo, Cost, CostEstimate, ModelCost};
use super::fingerprint::hex;
use super::suppress::Filters;
use super::{AttemptInfo, BottleneckInfo, Finding, PluginInfo, Report, RuleInfo, RunInfo, SlowestInfo, UsageInfo};

pub(crate) const TEXT: &str = "---\nname: Api\n---\nBuild things.\n";

pub(crate) fn finding(rule: &str, severity: Severity, path: &str, line: u32) -> Finding {
    Finding {
        rule: rule.to_owned(),
        severity,
        message: format!("{rule} in {path}"),
        path: Some(path.to_owned()),
        line: Some(line),
        column: None,
        item: path.to_owned(),
        source: Source::Rule,
        fingerprint: String::new(),
        help: None,
        also: Vec::new(),
        suppressed: None,
    }
}

pub(crate) fn found(rule: &str, severity: Severity, message: &str, path: &str, line: Option<u32>) -> work::Finding {
    work::Finding {
        rule: rule.to_owned(),
        severity,
        message: message.to_owned(),
        path: Some(path.to_owned()),
        line,
        column: None,
        source: Source::Rule,
        fingerprint: String::new(),
        help: None,
    }
}

pub(crate) fn item(id: &str, group: &str, outcome: Outcome, findings: Vec<work::Finding>) -> ItemFacts {
    ItemFacts {
        id: id.to_owned(),
        group: Some(group.to_owned()),
        outcome,
        partial: Some(Partial { findings, ..Partial::default() }),
        attempts: 1,
        tried: Vec::new(),
        questions: None,
        log: String::new(),
        reads: vec![id.to_owned()],
    }
}

/// A run with something of everything.
pub(crate) fn facts() -> Facts {
    let mut api = item(
        "core/api.md",
        "core",
        Outcome::Done,
        vec![
            work::Finding {
                help: Some("Write it in lower case, words joined by hyphens.".to_owned()),
                column: Some(7),
                ..found("name-not-kebab", Severity::High, "the name `Api` is not in kebab case", "core/api.md", Some(2))
            },
            found("body-short", Severity::Low, "the body has 2 words", "core/api.md", Some(4)),
        ],
    );
    if let Some(partial) = &mut api.partial {
        partial.edits = vec![Edit {
            path: "core/api.md".to_owned(),
            base: Some(hex(&Sha256::digest(TEXT.as_bytes()))),
            change: Change::Replace(vec![Replacement { start: 10, end: 13, text: "api".to_owned() }]),
            reason: "kebab case".to_owned(),
        }];
        partial.metrics =
            vec![Metric { name: "words".to_owned(), value: 2.0, unit: String::new(), reduce: Reduction::Sum }];
        partial.notes = Some("Read with *care*.".to_owned());
        partial.actions = vec![work::Action {
            kind: "comment".to_owned(),
            title: "Say so".to_owned(),
            body: json!({"program": "gh", "arguments": ["pr", "comment", "--body", "It is so."]}),
            key: "say-so".to_owned(),
        }];
    }
    let secret = found("secret", Severity::Critical, "a GitHub token", "ops/deploy.md", Some(12));
    let model = work::Finding {
        source: Source::Model,
        ..found("unclear-trigger", Severity::Medium, "when to use it stays open", "ops/deploy.md", None)
    };
    let mut broken =
        item("ops/broken.md", "ops", Outcome::Failed("the plugin trapped: unreachable".to_owned()), vec![]);
    broken.partial = None;
    broken.attempts = 2;
    broken.tried = vec![
        AttemptInfo {
            number: 1,
            worker: Some(1),
            became: AttemptEnd::Died,
            reason: "the plugin trapped: unreachable".to_owned(),
            took_ms: 1_200,
        },
        AttemptInfo {
            number: 2,
            worker: Some(0),
            became: AttemptEnd::Failed,
            reason: "the plugin trapped: unreachable".to_owned(),
            took_ms: 900,
        },
    ];
    let overloaded = FailureCount { kind: "overloaded".to_owned(), count: 3 };
    broken.questions = Some(QuestionsInfo { asked: 1, sent: 4, waited_ms: 2_500, failures: vec![overloaded] });
    broken.log = "thread panicked at src/lib.rs:3\nindex out of bounds".to_owned();
    Facts {
        run: RunInfo {
            id: "0193a5c2-7f1e-7cc3-b5f0-1c2d3e4f5a6b".to_owned(),
            command: "agent-audit".to_owned(),
            plugin: PluginInfo { name: "agent-audit".to_owned(), version: "0.1.0".to_owned(), digest: "ab".repeat(32) },
            mode: "balanced".to_owned(),
            backend: "anthropic".to_owned(),
            started: "2026-11-20T10:00:00Z".parse().unwrap(),
            continued: 0,
            arguments: json!({"path": "agents"}),
        },
        aggregate: Aggregation::Merge,
        items: vec![
            api,
            item("core/web.md", "core", Outcome::Cached, vec![]),
            item("ops/deploy.md", "ops", Outcome::Fallback("overloaded".to_owned()), vec![secret, model]),
            broken,
            item("ops/empty.md", "ops", Outcome::Skipped("the file is empty".to_owned()), vec![]),
        ],
        workers: vec![
            WorkerFacts { segment: "core".to_owned(), items: 1, work: Duration::from_millis(1_240), died: None },
            WorkerFacts {
                segment: "ops".to_owned(),
                items: 3,
                work: Duration::from_millis(2_310),
                died: Some("unreachable".to_owned()),
            },
        ],
        usage: Usage {
            requests: 4,
            input_tokens: 12_345,
            cache_read_tokens: 1_000,
            cache_write_tokens: 500,
            output_tokens: 678,
            usd: Usd::from_dollars(0.0421),
        },
        cost: cost(),
        wall: Duration::from_millis(2_400),
        interrupted: false,
        parked: None,
        whole_project: true,
        rules: rules(),
        notes: vec![],
        warnings: vec!["`README.md` is no agent".to_owned()],
        lost: vec![],
        fail_on: None,
        levels: vec![LevelChange {
            at: Duration::from_millis(1_300),
            from: Level::Full,
            to: Level::Sequential,
            reason: "1 of 1 workers died; all the rest is done one by one".to_owned(),
        }],
    }
}

fn cost() -> Cost {
    let model = |model: &str, requests, input_tokens, output_tokens, usd| ModelCost {
        model: model.to_owned(),
        backend: "anthropic".to_owned(),
        notional: false,
        usage: UsageInfo { requests, input_tokens, output_tokens, usd, ..UsageInfo::default() },
        uncertain_usd: 0.0,
    };
    let budget = |limit: &str, size, spent, left| BudgetInfo { limit: limit.to_owned(), size, spent, left };
    Cost {
        usd: 0.0421,
        uncertain_usd: 0.0021,
        notional_usd: 0.0,
        estimate: CostEstimate {
            questions: 4,
            input_tokens: 12_000,
            output_tokens: 900,
            usd: Some(0.0512),
            items_without_estimate: 1,
        },
        by_model: vec![model("claude-haiku-5-5", 3, 3_845, 478, 0.0121), model("claude-opus-5-5", 1, 8_500, 200, 0.03)],
        budgets: vec![budget("usd", 1.0, 0.0442, 0.9558), budget("requests", 1_000.0, 4.0, 996.0)],
        prices_as_of: "2026-11-20".to_owned(),
    }
}

pub(crate) fn rules() -> Vec<RuleInfo> {
    [
        ("name-not-kebab", Severity::High, "The name is not in kebab case"),
        ("body-short", Severity::Low, "The body is very short"),
        ("secret", Severity::Critical, "A credential stands in the file"),
        ("unclear-trigger", Severity::Medium, "It is unclear when to use the agent"),
    ]
    .map(|(id, severity, summary)| RuleInfo { id: id.to_owned(), severity, summary: summary.to_owned() })
    .into()
}

pub(crate) fn filters() -> Filters {
    Filters::new(date(2026, 11, 20))
}

pub(crate) fn read(path: &str) -> Option<Vec<u8>> {
    (path == "core/api.md").then(|| TEXT.into())
}

pub(crate) fn full() -> Report {
    let mut facts = facts();
    facts.items.push(item(
        "ops/later.md",
        "ops",
        Outcome::Done,
        vec![found("secret", Severity::Critical, "a GitHub token", "ops/later.md", Some(2))],
    ));
    let read = |path: &str| match path {
        "ops/later.md" => Some("x\nkey # convoke: allow(secret) reason=\"a made-up one\"\n".into()),
        path => read(path),
    };
    let mut report = build(facts, &filters(), read);
    report.timing.parallel_share = 0.48;
    report.timing.slowest = Some(SlowestInfo {
        worker: 1,
        segment: "ops".to_owned(),
        work_ms: 2_310,
        what: "quota".to_owned(),
        share: 0.61,
    });
    report.timing.bottleneck = Some(BottleneckInfo {
        what: "quota".to_owned(),
        segment: Some("ops".to_owned()),
        share: 0.44,
        reason: "questions waited 1.8 s in all for quota".to_owned(),
    });
    report
}

/// A run that had nothing to do.
pub(crate) fn empty() -> Report {
    let facts = Facts {
        items: Vec::new(),
        workers: Vec::new(),
        usage: Usage::default(),
        cost: Cost::default(),
        warnings: Vec::new(),
        levels: Vec::new(),
        wall: Duration::from_millis(3),
        ..facts()
    };
    build(facts, &filters(), read)
}

/// A run that asked nobody and found something.
pub(crate) fn offline() -> Report {
    let mut facts = facts();
    facts.run.backend = "offline".to_owned();
    facts.usage = Usage::default();
    facts.cost = Cost::default();
    facts.items.truncate(2);
    facts.workers.truncate(1);
    facts.warnings.clear();
    facts.levels.clear();
    build(facts, &filters(), read)
}
