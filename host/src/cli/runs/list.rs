//! `convoke runs`: the newest ones.

use clap::ArgMatches;
use convoke_runtime::journal::RunSummary;
use jiff::tz::TimeZone;
use serde_json::json;

use super::lines::{RunLine, VERSION};
use super::{command_line, cost, is_json, local_time, named_project, to_read, took_ms};
use crate::cli::error::CliError;
use crate::cli::prepare::project_folder;
use crate::cli::terminal::put;
use crate::config::Paths;
use crate::report::{ExitCode, clean, words};

/// A longer command line is cut, in characters.
const COMMAND: usize = 44;

pub(super) async fn list(paths: &Paths, matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let most = matches.get_one::<u32>("most").copied().unwrap_or_default() as usize;
    let project = match matches.get_flag("all") {
        true => None,
        false => Some(project_folder(named_project(matches))?.to_string_lossy().into_owned()),
    };
    let summaries = match to_read(paths)? {
        Some(journal) => journal.summaries(project.as_deref(), most).await?,
        None => Vec::new(),
    };
    if is_json(matches) {
        let runs: Vec<RunLine> = summaries.iter().map(RunLine::from).collect();
        put(&clean::json(format!("{:#}\n", json!({ "schema_version": VERSION, "runs": runs }))), None)?;
    } else {
        put(&table(&summaries, project.as_deref(), &TimeZone::system()), None)?;
    }
    Ok(ExitCode::Success)
}

fn table(summaries: &[RunSummary], project: Option<&str>, zone: &TimeZone) -> String {
    if summaries.is_empty() {
        return match project {
            Some(project) => {
                format!("Nothing was run in {}. `convoke runs --all` shows all projects.\n", clean::line(project))
            }
            None => "Nothing was run yet.\n".to_owned(),
        };
    }
    let mut head = vec!["Run", "Began", "Command", "Status", "Items", "Took", "Cost"];
    if project.is_none() {
        head.push("Project");
    }
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    rows.extend(summaries.iter().map(|summary| {
        let mut row = vec![
            summary.row.run.id.short(),
            local_time(summary.row.run.started, zone),
            clean::bounded(&command_line(&summary.row.run), COMMAND).into_owned(),
            summary.standing.name().to_owned(),
            words::census(&summary.census),
            took_ms(summary).map_or_else(|| "-".to_owned(), words::duration),
            cost(summary),
        ];
        if project.is_none() {
            row.push(clean::line(&summary.row.run.project));
        }
        row
    }));
    super::columns(&rows)
}

#[cfg(test)]
pub(super) mod tests {
    use convoke_runtime::journal::{RunEnd, RunId, RunRecord, RunRow, Standing, Typed};
    use convoke_runtime::money::Usd;
    use convoke_runtime::question::Usage;
    use convoke_runtime::work::{Census, Status};
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    pub(in crate::cli::runs) fn summary(standing: Standing) -> RunSummary {
        let started = Timestamp::from_second(1_800_000_000).unwrap();
        let census = Census { items: 3, done: 2, failed: 1, ..Census::default() };
        let end = |status| RunEnd { status, census, ended: started + SignedDuration::from_millis(1_240) };
        RunSummary {
            row: RunRow {
                run: RunRecord {
                    id: "0198a3c2-7d1e-7b52-9c3f-8f3a9c01d2e4".parse::<RunId>().unwrap(),
                    command: "agent-audit".to_owned(),
                    subcommand: Some("deep".to_owned()),
                    plugin_name: "agent-audit".to_owned(),
                    plugin_version: "0.1.0".to_owned(),
                    plugin_digest: "00".to_owned(),
                    arguments: json!({}),
                    project: "/home/user/\u{1b}[2Jproject".to_owned(),
                    mode: "balanced".to_owned(),
                    backend: "anthropic".to_owned(),
                    started,
                    typed: None,
                },
                end: match standing {
                    Standing::Ended(status) => Some(end(status)),
                    Standing::Running | Standing::Gone => None,
                },
                continued: 0,
            },
            standing,
            census,
            usage: Usage { requests: 3, usd: Usd::from_dollars(0.5), ..Usage::default() },
            uncertain: Usd::ZERO,
        }
    }

    #[test]
    fn each_run_has_a_line_with_what_is_true_of_it() {
        let mut killed = summary(Standing::Gone);
        killed.uncertain = Usd::from_dollars(0.25);
        let words = ["agent-audit", "my agents"].map(str::to_owned).to_vec();
        killed.row.run.typed = Some(Typed { words, folder: "/".to_owned() });
        let all = [summary(Standing::Running), summary(Standing::Ended(Status::Degraded)), killed];
        let expected = "\
Run           Began                Command                  Status       Items                      Took    Cost
8f3a9c01d2e4  2027-01-15 08:00:00  agent-audit deep         running      3 items: 2 done, 1 failed  -       $0.5000
8f3a9c01d2e4  2027-01-15 08:00:00  agent-audit deep         degraded     3 items: 2 done, 1 failed  1.24 s  $0.5000
8f3a9c01d2e4  2027-01-15 08:00:00  agent-audit 'my agents'  interrupted  3 items: 2 done, 1 failed  -       $0.5000, at most $0.7500
";
        assert_eq!(table(&all, Some("/home"), &TimeZone::UTC), expected);
        let wide = table(&all, None, &TimeZone::UTC);
        assert!(wide.contains("/home/user/project") && !wide.contains('\u{1b}'), "{wide:?}");
    }
}
