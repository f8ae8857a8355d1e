//! `convoke runs compare`: two runs side by side.

use clap::ArgMatches;
use convoke_runtime::journal::{Journal, RunId, RunSummary};
use jiff::tz::TimeZone;
use serde_json::json;

use super::lines::{RunLine, VERSION};
use super::{columns, command_line, cost, find, is_json, local_time, named, named_project, took_ms};
use crate::cli::error::CliError;
use crate::cli::terminal::put;
use crate::config::Paths;
use crate::history::compare::{Difference, Found, Side, Timed, compare as difference, of_partials, of_report};
use crate::report::{ExitCode, clean, words};

/// So many of each kind are listed; in JSON all are.
const LISTED: usize = 10;

/// The longest text of a cell, in characters.
const TEXT: usize = 44;

/// The longest message or reason, in characters.
const MESSAGE: usize = 160;

pub(super) async fn compare(paths: &Paths, matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let name = |which: &str| matches.get_one::<String>(which).map(String::as_str).unwrap_or_default();
    let (journal, a) = find(paths, matches, name("a")).await?;
    let b = named(&journal, name("b"), named_project(matches)).await?;
    let compared = Compared::of(&journal, a, b).await?;
    if is_json(matches) {
        put(&clean::json(format!("{:#}\n", compared.json())), None)?;
    } else {
        put(&compared.text(&TimeZone::system()), None)?;
    }
    Ok(ExitCode::Success)
}

/// Two runs, and what differs.
struct Compared {
    runs: [RunSummary; 2],
    findings: [usize; 2],
    /// Whether the findings are those of a report that was kept.
    from_report: [bool; 2],
    difference: Difference,
}

impl Compared {
    async fn of(journal: &Journal, a: RunId, b: RunId) -> Result<Self, CliError> {
        let ((one, a, a_kept), (other, b, b_kept)) = (side(journal, a).await?, side(journal, b).await?);
        Ok(Self {
            runs: [one, other],
            findings: [a.findings.len(), b.findings.len()],
            from_report: [a_kept, b_kept],
            difference: difference(&a, &b),
        })
    }

    fn json(&self) -> serde_json::Value {
        let from = |is_report: bool| if is_report { "report" } else { "partials" };
        let mut findings = json!(self.difference.findings);
        findings["from"] = json!({ "a": from(self.from_report[0]), "b": from(self.from_report[1]) });
        findings["count"] = json!({ "a": self.findings[0], "b": self.findings[1] });
        json!({
            "schema_version": VERSION,
            "a": RunLine::from(&self.runs[0]),
            "b": RunLine::from(&self.runs[1]),
            "items": self.difference.items,
            "findings": findings,
        })
    }

    fn text(&self, zone: &TimeZone) -> String {
        let mut text = self.sums(zone);
        let [a, b] = [&self.runs[0].row.run, &self.runs[1].row.run];
        if (&a.command, &a.subcommand) != (&b.command, &b.subcommand) {
            text += "\nThey are runs of different commands: what is in both has only the same name.\n";
        }
        let Difference { items, findings } = &self.difference;
        let changed = items.changed.iter().map(|one| {
            let why = one.reason.as_deref().map(|why| clean::line(&clean::bounded(why, MESSAGE))).unwrap_or_default();
            vec![name(&one.id), format!("{} -> {}", one.a, one.b), why]
        });
        listed(&mut text, "Ended otherwise", changed.collect());
        listed(&mut text, "Only in A", items.only_a.iter().map(|id| vec![name(id)]).collect());
        listed(&mut text, "Only in B", items.only_b.iter().map(|id| vec![name(id)]).collect());
        listed(&mut text, "Slower in B", items.slower.iter().map(timed).collect());
        listed(&mut text, "Faster in B", items.faster.iter().map(timed).collect());
        let mut found = |title: &str, all: &[Found]| listed(&mut text, title, all.iter().map(line).collect());
        found("New findings", &findings.new);
        found("Findings that are gone", &findings.gone);
        found("Findings of items that A did not finish", &findings.not_looked_at_in_a);
        found("Findings of items that B did not finish", &findings.not_looked_at_in_b);
        if self.from_report.contains(&false) {
            text += "\nWhere no report is kept, findings are those of the items: none of them is suppressed.\n";
        }
        text
    }

    /// What is known of both, line by line.
    fn sums(&self, zone: &TimeZone) -> String {
        let [a, b] = &self.runs;
        let both = |label: &str, value: &dyn Fn(&RunSummary) -> String| {
            let cell = |run| clean::line(&clean::bounded(&value(run), TEXT));
            vec![label.to_owned(), cell(a), cell(b)]
        };
        let number = |label: &str, value: &dyn Fn(&RunSummary) -> Option<u64>, words: &dyn Fn(u64) -> String| {
            let cell = |run| value(run).map_or_else(|| "-".to_owned(), words);
            let change = value(a).zip(value(b)).map(|(a, b)| change(a as f64, b as f64)).unwrap_or_default();
            vec![label.to_owned(), cell(a), cell(b), change]
        };
        let input = |run: &RunSummary| {
            let usage = &run.usage;
            Some(usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens)
        };
        let dollars = |run: &RunSummary| (run.usage.usd + run.uncertain).dollars();
        let mut money = both("Cost", &cost);
        money.push(change(dollars(a), dollars(b)));
        let findings = &self.difference.findings;
        let found = |count: usize| words::thousands(count as u64);
        let found = vec![
            "Findings".to_owned(),
            found(self.findings[0]),
            found(self.findings[1]),
            format!("{} new, {} gone, {} same", findings.new.len(), findings.gone.len(), findings.same),
        ];
        let rows = [
            vec![String::new(), "A".to_owned(), "B".to_owned(), "Change".to_owned()],
            both("Run", &|run| run.row.run.id.short()),
            both("Command", &|run| command_line(&run.row.run)),
            both("Plugin", &|run| format!("{} {}", run.row.run.plugin_name, run.row.run.plugin_version)),
            both("Began", &|run| local_time(run.row.run.started, zone)),
            both("Mode", &|run| format!("{}, asked: {}", run.row.run.mode, run.row.run.backend)),
            both("Status", &|run| run.standing.name().to_owned()),
            both("Items", &|run| words::census(&run.census)),
            number("Took", &took_ms, &words::duration),
            money,
            number("Requests", &|run| Some(run.usage.requests.into()), &words::thousands),
            number("Input tokens", &input, &words::thousands),
            number("Output tokens", &|run| Some(run.usage.output_tokens), &words::thousands),
            found,
        ];
        columns(&rows)
    }
}

async fn side(journal: &Journal, run: RunId) -> Result<(RunSummary, Side, bool), CliError> {
    let summary = journal.summary(journal.run_row(&run).await?).await?;
    let items = journal.item_times(&run).await?;
    let kept = journal.report(&run).await?.as_deref().and_then(of_report);
    let is_kept = kept.is_some();
    let findings = match kept {
        Some(findings) => findings,
        None => of_partials(&journal.run(&run).await?),
    };
    Ok((summary, Side { items, findings }, is_kept))
}

/// `+94 %`; nothing where nothing changed, or there was nothing to compare with.
fn change(a: f64, b: f64) -> String {
    let percent = (b / a - 1.0) * 100.0;
    if a <= 0.0 || percent.abs() < 0.5 { String::new() } else { format!("{percent:+.0} %") }
}

fn name(id: &str) -> String {
    clean::line(&clean::bounded(id, MESSAGE))
}

fn timed(one: &Timed) -> Vec<String> {
    let times = one.b_ms.max(one.a_ms) as f64 / one.b_ms.min(one.a_ms).max(1) as f64;
    vec![
        name(&one.id),
        format!("{} -> {}", words::duration(one.a_ms), words::duration(one.b_ms)),
        format!("{times:.1} times"),
    ]
}

fn line(found: &Found) -> Vec<String> {
    let place = match (&found.path, found.line) {
        (Some(path), Some(line)) => format!("{path}:{line}"),
        (Some(path), None) => path.clone(),
        (None, _) => found.item.clone(),
    };
    let suppressed = if found.suppressed { " (suppressed)" } else { "" };
    let message = clean::bounded(&found.message, MESSAGE);
    [found.severity.as_str(), &found.rule, &place, &format!("{message}{suppressed}")].map(clean::line).to_vec()
}

fn listed(text: &mut String, title: &str, rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let shown: Vec<Vec<String>> = rows.iter().take(LISTED).cloned().collect();
    *text += &format!("\n{title} ({})\n", words::thousands(rows.len() as u64));
    columns(&shown).lines().for_each(|line| *text += &format!("  {line}\n"));
    if rows.len() > LISTED {
        *text += &format!("  and {} more: --format json has all of them\n", rows.len() - LISTED);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use convoke_runtime::journal::{ItemTime, Standing};
    use convoke_runtime::money::Usd;
    use convoke_runtime::work::{Outcome, Status};

    use super::super::list::tests::summary;
    use super::*;

    fn item(id: &str, outcome: Outcome, millis: u64) -> ItemTime {
        ItemTime { id: id.to_owned(), outcome, took: Duration::from_millis(millis) }
    }

    fn found(fingerprint: &str) -> Found {
        Found {
            rule: "name-not-kebab".to_owned(),
            severity: "high".to_owned(),
            message: format!("{fingerprint}\u{1b}[2J"),
            path: Some("a.md".to_owned()),
            line: Some(3),
            item: "a.md".to_owned(),
            fingerprint: fingerprint.to_owned(),
            suppressed: fingerprint == "old",
        }
    }

    fn compared() -> Compared {
        let failed = Outcome::Failed("it\ntrapped".to_owned());
        let a = Side {
            items: vec![item("a.md", Outcome::Done, 900), item("b.md", failed, 9)],
            findings: vec![found("old")],
        };
        let b = Side {
            items: vec![item("a.md", Outcome::Done, 3_600), item("b.md", Outcome::Done, 9)],
            findings: vec![found("new")],
        };
        let mut dearer = summary(Standing::Ended(Status::Completed));
        dearer.usage.usd = Usd::from_dollars(0.75);
        Compared {
            runs: [summary(Standing::Ended(Status::Degraded)), dearer],
            findings: [1, 1],
            from_report: [true, false],
            difference: difference(&a, &b),
        }
    }

    #[test]
    fn both_stand_side_by_side_and_below_what_differs() {
        let text = compared().text(&TimeZone::UTC);
        assert!(!text.contains('\u{1b}'), "{text:?}");
        for part in [
            "\nStatus         degraded                    completed\n",
            "\nCost           $0.5000                     $0.7500                     +50 %\n",
            "\nFindings       1                           1                           1 new, 1 gone, 0 same\n",
            "\nEnded otherwise (1)\n  b.md  failed -> done  it trapped\n",
            "\nSlower in B (1)\n  a.md  900 ms -> 3.60 s  4.0 times\n",
            "\nNew findings (1)\n  high  name-not-kebab  a.md:3  new\n",
            "\nFindings that are gone (1)\n  high  name-not-kebab  a.md:3  old (suppressed)\n",
            "\nWhere no report is kept, ",
        ] {
            assert!(text.contains(part), "{part:?}\n{text}");
        }
        assert!(!text.contains("different commands"), "{text}");
    }

    #[test]
    fn programs_get_both_runs_and_where_findings_come_from() {
        let json = compared().json();
        assert_eq!((&json["a"]["status"], &json["b"]["status"]), (&json!("degraded"), &json!("completed")));
        assert_eq!(json["findings"]["from"], json!({ "a": "report", "b": "partials" }));
        assert_eq!((&json["items"]["slower"][0]["b_ms"], &json["findings"]["same"]), (&json!(3600), &json!(0)));
    }

    #[test]
    fn a_change_is_in_percent_and_nothing_has_none() {
        assert_eq!(
            [change(2.0, 3.0), change(4.0, 3.0), change(1.0, 1.0), change(0.0, 9.0)],
            ["+50 %", "-25 %", "", ""]
        );
    }
}
