//! `convoke runs show`: one run, for people the sum first, then what failed and why.

use std::collections::BTreeMap;

use clap::ArgMatches;
use convoke_runtime::journal::{ActionRow, AttemptRow, ItemRow, QuestionRow, RunSummary};
use convoke_runtime::money::Usd;
use convoke_runtime::question::Usage;
use convoke_runtime::work::Outcome;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::json;

use super::lines::{ActionLine, ItemLine, QuestionLine, RunLine, VERSION, millis};
use super::{columns, command_line, cost, find, is_json, local_time, took_ms};
use crate::cli::error::CliError;
use crate::cli::terminal::put;
use crate::config::Paths;
use crate::report::{ExitCode, clean, words};

/// So many lines of a log are shown, the last ones, and of each so many characters.
const LOG_LINES: usize = 12;
const LOG_WIDTH: usize = 200;

/// So many items of one kind are listed.
const LISTED: usize = 50;

/// The longest reason, in characters.
const REASON: usize = 600;

pub(super) async fn show(paths: &Paths, matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let name = matches.get_one::<String>("run").map(String::as_str).unwrap_or_default();
    let (journal, run) = find(paths, matches, name).await?;
    let summary = journal.summary(journal.run_row(&run).await?).await?;
    let mut items = journal.items(&run, 0, usize::MAX).await?.rows;
    items.sort_by_key(|row| row.item.ordinal);
    let questions = journal.questions(&run, 0, usize::MAX).await?.rows;
    let (actions, decisions) = (journal.actions_of(&run).await?, journal.count_decisions(&run).await?);
    let shown = Shown { summary, items, questions, actions, decisions };
    if is_json(matches) {
        put(&clean::json(format!("{:#}\n", shown.json())), None)?;
    } else {
        put(&shown.text(matches.get_flag("verbose"), &TimeZone::system()), None)?;
    }
    Ok(ExitCode::Success)
}

/// All that is known of a run.
struct Shown {
    summary: RunSummary,
    items: Vec<ItemRow>,
    questions: Vec<QuestionRow>,
    actions: Vec<ActionRow>,
    decisions: u64,
}

/// What went to one model of one tier.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Sum {
    tier: String,
    model: String,
    backend: String,
    questions: u64,
    /// Of these by a model, in this run.
    by_model: u64,
    by_cache: u64,
    by_fallback: u64,
    failed: u64,
    requests: u64,
    input_tokens: u64,
    output_tokens: u64,
    usd: Usd,
    uncertain_usd: Usd,
    /// All of them together.
    waited_ms: u64,
    took_ms: u64,
}

impl Sum {
    fn takes(&mut self, usage: &Usage, uncertain: Usd) {
        self.requests += u64::from(usage.requests);
        self.input_tokens += usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens;
        self.output_tokens += usage.output_tokens;
        self.usd += usage.usd;
        self.uncertain_usd += uncertain;
    }
}

impl Shown {
    /// By tier, model and backend, in this order.
    fn sums(&self) -> Vec<Sum> {
        let mut sums: BTreeMap<(&str, &str, &str), Sum> = BTreeMap::new();
        for row in &self.questions {
            let tier = row.answered_tier.as_deref().unwrap_or(&row.tier);
            let sum = sums.entry((tier, &row.model, &row.backend)).or_default();
            sum.questions += 1;
            *match row.outcome.as_str() {
                "model" => &mut sum.by_model,
                "cache" => &mut sum.by_cache,
                "fallback" => &mut sum.by_fallback,
                _ => &mut sum.failed,
            } += 1;
            sum.waited_ms += millis(row.waited);
            sum.took_ms += millis(row.took);
            if row.shares.is_empty() {
                sum.takes(&row.usage, row.uncertain);
            }
            for share in &row.shares {
                let is_its = share.model == row.model && share.backend == row.backend;
                // Others were asked before, and failed.
                let tier = if is_its { tier } else { &row.tier };
                let sum = sums.entry((tier, &share.model, &share.backend)).or_default();
                sum.takes(&share.usage, share.uncertain);
            }
        }
        let named = sums.into_iter().map(|((tier, model, backend), sum)| Sum {
            tier: tier.to_owned(),
            model: model.to_owned(),
            backend: backend.to_owned(),
            ..sum
        });
        named.collect()
    }

    fn json(&self) -> serde_json::Value {
        let run = self.summary.row.run.id.to_string();
        json!({
            "schema_version": VERSION,
            "run": RunLine::from(&self.summary),
            "items": self.items.iter().map(|row| ItemLine::of(&run, row)).collect::<Vec<_>>(),
            "questions": self.questions.iter().map(QuestionLine::from).collect::<Vec<_>>(),
            "actions": self.actions.iter().map(ActionLine::from).collect::<Vec<_>>(),
            "sums": self.sums(),
            "decisions": self.decisions,
        })
    }

    fn text(&self, verbose: bool, zone: &TimeZone) -> String {
        let mut text = self.head(zone);
        let is = |wanted: fn(&Outcome) -> bool| {
            let rows = self.items.iter().filter(move |row| row.end.as_ref().is_some_and(|end| wanted(&end.outcome)));
            rows.collect::<Vec<_>>()
        };
        listed(&mut text, "Failed", &is(|outcome| matches!(outcome, Outcome::Failed(_))), verbose);
        listed(&mut text, "Fell back", &is(|outcome| matches!(outcome, Outcome::Fallback(_))), verbose);
        let pending: Vec<_> = self.items.iter().filter(|row| row.end.is_none()).collect();
        listed(&mut text, "Pending", &pending, verbose);
        let again: Vec<_> = is(|outcome| !matches!(outcome, Outcome::Failed(_) | Outcome::Fallback(_)))
            .into_iter()
            .filter(|row| verbose || !row.tried.is_empty())
            .collect();
        listed(
            &mut text,
            if verbose { "The others" } else { "Done after attempts that came to nothing" },
            &again,
            verbose,
        );
        text += &self.actions_text();
        text += &self.questions_text();
        if !verbose {
            let short = self.summary.row.run.id.short();
            text += &format!("\nEvery item, and whole logs: convoke runs show {short} -v\n");
        }
        text
    }

    fn head(&self, zone: &TimeZone) -> String {
        let (summary, run) = (&self.summary, &self.summary.row.run);
        let took = took_ms(summary).map(|took| format!(", took {}", words::duration(took)));
        let continued = match summary.row.continued {
            0 => String::new(),
            1 => ", continued once".to_owned(),
            times => format!(", continued {times} times"),
        };
        let rows = [
            ("Run", run.id.to_string()),
            ("Command", command_line(run)),
            ("Plugin", format!("{} {}", run.plugin_name, run.plugin_version)),
            ("Project", run.project.clone()),
            ("Status", format!("{}{continued}", summary.standing.name())),
            ("Items", words::census(&summary.census)),
            ("Began", format!("{}{}", local_time(run.started, zone), took.unwrap_or_default())),
            ("Mode", format!("{}, asked: {}", run.mode, run.backend)),
            ("Cost", format!("{}; {}", cost(summary), words::usage(&summary.usage.into()))),
        ];
        let rows: Vec<_> = rows.map(|(name, value)| vec![name.to_owned(), clean::line(&value)]).into();
        columns(&rows)
    }

    fn actions_text(&self) -> String {
        if self.actions.is_empty() {
            return String::new();
        }
        let line = |row: &ActionRow| {
            let text = format!("{}  {}: {}", row.state.name(), row.action.kind, clean::bounded(&row.action.title, 200));
            let why = if row.reason.is_empty() {
                String::new()
            } else {
                format!(": {}", clean::bounded(&row.reason, REASON))
            };
            format!("  {}\n", clean::line(&format!("{text}{why}")))
        };
        format!("\nActions\n{}", self.actions.iter().map(line).collect::<String>())
    }

    fn questions_text(&self) -> String {
        let sums = self.sums();
        if sums.is_empty() {
            return "\nNo questions were asked.\n".to_owned();
        }
        let head = ["Tier", "Model", "Questions", "Answered by", "Input", "Output", "Cost", "Waited", "Took"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(sums.iter().map(|sum| {
            let by = [
                (sum.by_model, "model"),
                (sum.by_cache, "cache"),
                (sum.by_fallback, "fallback"),
                (sum.failed, "failed"),
            ];
            let by: Vec<_> =
                by.iter().filter(|(count, _)| *count > 0).map(|(count, who)| format!("{count} {who}")).collect();
            let mean = |all: u64| words::duration(all / sum.questions.max(1));
            let name =
                |name: &str| if name.is_empty() { "-".to_owned() } else { clean::line(&clean::bounded(name, 60)) };
            vec![
                name(&sum.tier),
                name(&sum.model),
                words::thousands(sum.questions),
                by.join(", "),
                words::thousands(sum.input_tokens),
                words::thousands(sum.output_tokens),
                if sum.uncertain_usd == Usd::ZERO {
                    sum.usd.to_string()
                } else {
                    format!("{} to {}", sum.usd, sum.usd + sum.uncertain_usd)
                },
                mean(sum.waited_ms),
                mean(sum.took_ms),
            ]
        }));
        let decisions = match self.decisions {
            0 => String::new(),
            count => format!(
                "{} of policies are kept: see convoke policy try.\n",
                words::counted(count, "decision", "decisions")
            ),
        };
        format!("\nQuestions (waited and took: the mean)\n{}{decisions}", indented(&columns(&rows)))
    }
}

fn listed(text: &mut String, title: &str, rows: &[&ItemRow], verbose: bool) {
    if rows.is_empty() {
        return;
    }
    *text += &format!("\n{title}\n");
    let most = if verbose { usize::MAX } else { LISTED };
    for row in rows.iter().take(most) {
        *text += &item(row, verbose);
    }
    if rows.len() > most {
        *text += &format!("  and {} more\n", rows.len() - most);
    }
}

/// An item with the attempts at it.
fn item(row: &ItemRow, verbose: bool) -> String {
    let label = if row.item.label.is_empty() { &row.item.id } else { &row.item.label };
    let mut text = format!("  {}", clean::line(&clean::bounded(label, 200)));
    if let Some(end) = &row.end {
        text += &format!("  {}, {}", end.outcome.name(), words::duration(millis(end.took)));
        if let Some(run) = end.reused {
            text += &format!(", of run {}", run.short());
        }
        if end.attempts > 1 {
            text += &format!(", attempt {}", end.attempts);
        }
        if let Some(reason) = end.outcome.reason() {
            text += &format!("\n    {}", clean::line(&clean::bounded(reason, REASON)));
        }
    }
    text.push('\n');
    for tried in &row.tried {
        text += &attempt(tried, verbose);
    }
    let log = row.end.as_ref().map(|end| end.log.as_str()).unwrap_or_default();
    let is_bad = row.end.as_ref().is_some_and(|end| matches!(end.outcome, Outcome::Failed(_)));
    if verbose || is_bad {
        text += &log_text(log, "    ", verbose);
    }
    text
}

fn attempt(tried: &AttemptRow, verbose: bool) -> String {
    let worker = tried.worker.map(|worker| format!(" by worker {worker}")).unwrap_or_default();
    let became = match tried.became.name() {
        "died" => "its worker died",
        "aside" => "set aside",
        _ => "done again when the run was continued",
    };
    let reason = clean::line(&clean::bounded(&tried.reason, REASON));
    let took = words::duration(millis(tried.took));
    let line = format!("    attempt {}{worker}, {took}: {became}: {reason}\n", tried.number);
    line + &log_text(&tried.log, "      ", verbose)
}

/// The last lines of what a plugin wrote.
fn log_text(log: &str, indent: &str, whole: bool) -> String {
    let log = clean::block(log.trim_end());
    let lines: Vec<&str> = log.lines().collect();
    let from = if whole { 0 } else { lines.len().saturating_sub(LOG_LINES) };
    lines[from..]
        .iter()
        .fold(String::new(), |text, line| text + &format!("{indent}| {}\n", clean::bounded(line, LOG_WIDTH)))
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |all, line| all + "  " + line + "\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use convoke_runtime::journal::{
        ActionRecord, ActionState, Became, Digest, ItemEnd, ItemKey, ItemRecord, ModelRow, ReadSet, Standing,
    };
    use convoke_runtime::work::Status;
    use jiff::Timestamp;

    use super::super::list::tests::summary;
    use super::*;

    fn row(id: &str, outcome: Option<Outcome>) -> ItemRow {
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let end = outcome.map(|outcome| ItemEnd {
            item: id.to_owned(),
            outcome,
            partial: None,
            reads: ReadSet::default(),
            reused: None,
            took: Duration::from_millis(12),
            attempts: 2,
            log: "one\n\u{1b}[31mtwo".to_owned(),
            ended: at,
        });
        let tried = vec![AttemptRow {
            item: id.to_owned(),
            number: 1,
            worker: Some(3),
            became: Became::Died,
            reason: "trapped".to_owned(),
            log: String::new(),
            took: Duration::from_millis(7),
            ended: at,
        }];
        let item = ItemRecord {
            id: id.to_owned(),
            label: String::new(),
            key: ItemKey(Digest::of(b"key")),
            ordinal: 0,
            parent: None,
        };
        ItemRow { item, end, tried }
    }

    fn question(outcome: &str) -> QuestionRow {
        QuestionRow {
            run: summary(Standing::Running).row.run.id,
            item: "a".to_owned(),
            role: "r".to_owned(),
            tier: "speed".to_owned(),
            answered_tier: None,
            model: "a-model".to_owned(),
            backend: "anthropic".to_owned(),
            attempts: 1,
            retries: 0,
            outcome: outcome.to_owned(),
            usage: Usage {
                requests: 1,
                input_tokens: 1_000,
                output_tokens: 10,
                usd: Usd::from_dollars(0.5),
                ..Usage::default()
            },
            notional: Some(false),
            uncertain: Usd::ZERO,
            shares: Vec::new(),
            asked: Timestamp::from_second(1_800_000_000).unwrap(),
            waited: Duration::from_millis(10),
            first: None,
            took: Duration::from_millis(100),
        }
    }

    fn action() -> ActionRow {
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let action = ActionRecord {
            project: "/p".to_owned(),
            key: "k".to_owned(),
            run: summary(Standing::Running).row.run.id,
            item: "good.md".to_owned(),
            kind: "git-commit".to_owned(),
            title: "Mend\nit".to_owned(),
            body: "{}".to_owned(),
            at,
        };
        let (started, ended, settled) = (Some(at), None, None);
        let (reason, output, errors) = ("its host is gone".to_owned(), String::new(), String::new());
        ActionRow {
            action,
            state: ActionState::Unknown,
            started,
            ended,
            settled,
            exit_code: None,
            reason,
            output,
            errors,
        }
    }

    fn shown() -> Shown {
        Shown {
            summary: summary(Standing::Ended(Status::Degraded)),
            items: vec![
                row("bad.md", Some(Outcome::Failed("it trapped".to_owned()))),
                row("open.md", None),
                row("good.md", Some(Outcome::Done)),
            ],
            questions: vec![question("model"), question("rate-limited")],
            actions: vec![action()],
            decisions: 2,
        }
    }

    #[test]
    fn the_page_begins_with_the_sum_and_says_what_failed_with_its_attempts() {
        let text = shown().text(false, &TimeZone::UTC);
        assert!(!text.contains('\u{1b}'), "{text:?}");
        let expected = "
Failed
  bad.md  failed, 12 ms, attempt 2
    it trapped
    attempt 1 by worker 3, 7 ms: its worker died: trapped
    | one
    | two

Pending
  open.md
";
        assert!(text.contains(expected), "{text}");
        assert!(
            text.starts_with("Run      0198a3c2-7d1e-7b52-9c3f-8f3a9c01d2e4\nCommand  agent-audit deep\n"),
            "{text}"
        );
        assert!(text.contains("\nActions\n  unknown git-commit: Mend it: its host is gone\n"), "{text}");
        let sums = "speed  a-model  2          1 model, 1 failed  2,000  20      $1.00  10 ms   100 ms";
        assert!(text.contains(sums), "{text}");
        assert!(text.find("Status   degraded") < text.find("Failed"));
    }

    #[test]
    fn programs_get_every_item_and_question_and_the_sums() {
        let json = shown().json();
        let outcomes: Vec<_> = json["items"].as_array().unwrap().iter().map(|item| item["outcome"].clone()).collect();
        assert_eq!(outcomes, ["failed", "pending", "done"]);
        assert_eq!(json["items"][0]["tried"][0]["became"], "died");
        assert_eq!(
            (&json["run"]["status"], &json["questions"][1]["outcome"]),
            (&json!("degraded"), &json!("rate-limited"))
        );
        assert_eq!((json["sums"][0]["usd"].as_f64(), json["sums"][0]["failed"].as_u64()), (Some(1.0), Some(1)));
    }

    #[test]
    fn what_another_model_took_before_it_failed_is_its_own() {
        let mut shown = shown();
        let whole = &mut shown.questions[0];
        let part = |model: &str, usd| ModelRow {
            model: model.to_owned(),
            backend: "anthropic".to_owned(),
            notional: Some(false),
            usage: Usage { requests: 1, usd: Usd::from_dollars(usd), ..Usage::default() },
            uncertain: Usd::ZERO,
        };
        (whole.tier, whole.answered_tier) = ("comprehensive".to_owned(), Some("speed".to_owned()));
        whole.shares = vec![part("big", 0.4), part("a-model", 0.1)];
        let sums: Vec<_> =
            shown.sums().into_iter().map(|sum| (sum.tier, sum.model, sum.questions, sum.usd.dollars())).collect();
        let sum = |tier: &str, model: &str, questions, usd| (tier.to_owned(), model.to_owned(), questions, usd);
        assert_eq!(sums, [sum("comprehensive", "big", 0, 0.4), sum("speed", "a-model", 2, 0.6)]);
    }

    #[test]
    fn a_long_log_shows_its_end_unless_all_is_wanted() {
        let log: String = (0..30).map(|number| format!("line {number}\n")).collect();
        assert_eq!(log_text(&log, "", false).lines().count(), LOG_LINES);
        assert!(log_text(&log, "", false).ends_with("| line 29\n"));
        assert_eq!(log_text(&log, "", true).lines().count(), 30);
    }
}
