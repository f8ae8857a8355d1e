//! `convoke stats`: what was run so far, how long it took, how well it went, and what it cost.

use clap::{Arg, ArgMatches, Command};
use convoke_runtime::journal::{StatsFilter, StatsRow};
use convoke_runtime::money::Usd;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::error::CliError;
use super::prepare::project_folder;
use super::runs::prune::age;
use super::runs::{aligned, all, is_json, named_project, project, to_read};
use super::terminal::put;
use crate::config::Paths;
use crate::history::stats::{CommandStats, QuestionStats, Spread, Stats, stats as added_up};
use crate::report::{ExitCode, UsageInfo, clean, words};

/// A longer name is cut, in characters.
const NAME: usize = 40;

pub(super) fn command() -> Command {
    Command::new("stats")
        .about("Shows what the runs of this project took: how often, how long, how well, and for how much")
        .arg(Arg::new("command").value_name("COMMAND").help("Only this command: deps"))
        .arg(Arg::new("subcommand").value_name("SUBCOMMAND").help("And of it only this: audit"))
        .arg(
            Arg::new("since")
                .long("since")
                .value_name("TIME")
                .value_parser(age)
                .help("Only runs that began within it: 12h, 30d, 8w; else all that are kept"),
        )
        .arg(all("The runs of all projects"))
        .arg(project())
        .arg(super::format_argument())
}

pub(super) fn stats(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let paths = Paths::find(|name: &str| std::env::var(name).ok())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::nothing(format!("no threads can be started: {error}")))?;
    runtime.block_on(show(&paths, matches))
}

async fn show(paths: &Paths, matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let project = match matches.get_flag("all") {
        true => None,
        false => Some(project_folder(named_project(matches))?.to_string_lossy().into_owned()),
    };
    let ago = matches.get_one::<std::time::Duration>("since");
    let since = ago.map(|ago| {
        let ago = SignedDuration::try_from(*ago).unwrap_or(SignedDuration::MAX);
        Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::MIN)
    });
    let word = |name: &str| matches.get_one::<String>(name).cloned();
    let filter =
        StatsFilter { project: project.clone(), command: word("command"), subcommand: word("subcommand"), since };
    let stats = match to_read(paths)? {
        Some(journal) => {
            let rows = journal.stats(filter).await?;
            added_up(&rows, project.as_deref(), |run| journal.is_under_way(&run.id))
        }
        None => added_up(&StatsRow::default(), project.as_deref(), |_| false),
    };
    if is_json(matches) {
        let json = serde_json::to_string_pretty(&stats);
        let json = json.map_err(|error| CliError::nothing(format!("it can't be written as JSON: {error}")))?;
        put(&clean::json(json + "\n"), None)?;
    } else {
        put(&text(&stats, &TimeZone::system()), None)?;
    }
    Ok(ExitCode::Success)
}

fn text(stats: &Stats, zone: &TimeZone) -> String {
    let place = stats.project.as_deref().map_or_else(|| "all projects".to_owned(), clean::line);
    let runs: u64 = stats.commands.iter().map(|command| command.runs).sum();
    let mut text = match stats.since.as_deref().and_then(|since| since.parse::<Timestamp>().ok()) {
        None => format!("No such runs of {place} are kept. `convoke runs --all` shows those that are.\n"),
        Some(since) => {
            let since = since.to_zoned(zone.clone()).strftime("%Y-%m-%d");
            format!("{} of {place} since {since}\n", words::counted(runs, "run", "runs"))
        }
    };
    if !stats.commands.is_empty() {
        text += &format!("\n{}", commands(&stats.commands));
        let otherwise = otherwise(&stats.commands);
        if !otherwise.is_empty() {
            text += &format!("\n{otherwise}");
        }
    }
    if !stats.questions.is_empty() {
        text += &format!("\n{}", questions(&stats.questions));
    }
    text
}

fn commands(commands: &[CommandStats]) -> String {
    let head =
        ["Command", "Runs", "Completed", "Median", "9 of 10", "Speed-up", "Items", "Cached", "Failed", "Cost", "A run"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(commands.iter().map(|one| {
        let usd = Usd::from_dollars(one.usage.usd + one.uncertain_usd);
        let each = Usd::from_pico(usd.pico() / one.runs.max(1));
        let speedup = one.speedup.median.map_or_else(dash, |median| format!("{median:.1}"));
        vec![
            named(Some(&one.command), one.subcommand.as_deref()),
            words::thousands(one.runs),
            one.completed_share.map_or_else(dash, percent),
            took(one.wall_ms, |spread| spread.median),
            took(one.wall_ms, |spread| spread.p90),
            speedup,
            words::thousands(one.items.items),
            one.cached_share.map_or_else(dash, percent),
            words::thousands(one.items.failed),
            usd.to_string(),
            each.to_string(),
        ]
    }));
    aligned(&rows, |column| column > 0)
}

/// The runs that are not completed.
fn otherwise(commands: &[CommandStats]) -> String {
    let line = |one: &CommandStats| {
        let statuses = one.statuses;
        let parts = [
            (statuses.degraded, "degraded"),
            (statuses.parked, "parked"),
            (statuses.failed, "failed"),
            (statuses.interrupted, "interrupted"),
            (statuses.running, "running"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{} {name}", words::thousands(*count)))
            .collect();
        let attempts = match one.attempts_in_vain {
            0 => None,
            count => Some(format!("{} at items came to nothing", words::counted(count, "attempt", "attempts"))),
        };
        let said: Vec<String> = (!parts.is_empty()).then(|| parts.join(", ")).into_iter().chain(attempts).collect();
        (!said.is_empty()).then(|| vec![named(Some(&one.command), one.subcommand.as_deref()), said.join("; ")])
    };
    let rows: Vec<_> = commands.iter().filter_map(line).collect();
    if rows.is_empty() { String::new() } else { format!("Not completed\n{}", indented(&aligned(&rows, |_| false))) }
}

fn questions(questions: &[QuestionStats]) -> String {
    let head = ["Command", "Model", "Questions", "Cached", "Fell back", "Failed", "Retries", "Input", "Output", "Cost"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(questions.iter().map(|one| {
        vec![
            named(one.command.as_deref(), one.subcommand.as_deref()),
            if one.model.is_empty() { dash() } else { clean::line(&clean::bounded(&one.model, NAME)) },
            words::thousands(one.questions),
            percent(one.cache_share),
            words::thousands(one.by_fallback),
            words::thousands(one.failed),
            words::thousands(one.retries),
            words::thousands(input(&one.usage)),
            words::thousands(one.usage.output_tokens),
            Usd::from_dollars(one.usage.usd + one.uncertain_usd).to_string(),
        ]
    }));
    let usd = questions.iter().map(|one| one.usage.usd + one.uncertain_usd).sum::<f64>();
    if questions.len() > 1 {
        let sum = |value: &dyn Fn(&QuestionStats) -> u64| words::thousands(questions.iter().map(value).sum());
        rows.push(vec![
            "all".to_owned(),
            String::new(),
            sum(&|one| one.questions),
            String::new(),
            sum(&|one| one.by_fallback),
            sum(&|one| one.failed),
            sum(&|one| one.retries),
            sum(&|one| input(&one.usage)),
            sum(&|one| one.usage.output_tokens),
            Usd::from_dollars(usd).to_string(),
        ]);
    }
    aligned(&rows, |column| column > 1)
}

/// All input tokens.
fn input(usage: &UsageInfo) -> u64 {
    usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
}

fn named(command: Option<&str>, subcommand: Option<&str>) -> String {
    let Some(command) = command else { return "(runs that are gone)".to_owned() };
    let name = subcommand.map_or_else(|| command.to_owned(), |sub| format!("{command} {sub}"));
    clean::line(&clean::bounded(&name, NAME))
}

fn took(spread: Spread, which: impl Fn(Spread) -> Option<f64>) -> String {
    which(spread).map_or_else(dash, |millis| words::duration(millis.round() as u64))
}

fn percent(share: f64) -> String {
    // All and none are said only where it is all and none.
    let rounded = (share * 100.0).round();
    let shown = if share < 1.0 { rounded.min(99.0) } else { rounded };
    format!("{:.0} %", if share > 0.0 { shown.max(1.0) } else { shown })
}

fn dash() -> String {
    "-".to_owned()
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::stats::tests::rows;

    #[test]
    fn the_page_is_aligned_and_says_what_did_not_go_well() {
        let mut rows = rows();
        rows.runs[0].command = "agent\u{1b}[2J-audit".to_owned();
        rows.runs[0].subcommand = None;
        let text = text(&added_up(&rows, None, |_| false), &TimeZone::UTC);
        let expected = "\
12 runs of all projects since 2027-01-15

Command      Runs  Completed  Median     9 of 10  Speed-up  Items  Cached  Failed   Cost    A run
agent-audit     1      100 %  1.00 s      1.00 s       3.0     10    20 %       1  $0.00    $0.00
deps audit     11       64 %  5.50 s  1 min 00 s       3.0    110    13 %      11  $1.50  $0.1364

Not completed
  deps audit  1 degraded, 1 parked, 2 interrupted; 4 attempts at items came to nothing

Command               Model         Questions  Cached  Fell back  Failed  Retries  Input  Output   Cost
deps audit            a-model             100    25 %          3       2        7  4,000     500  $1.50
(runs that are gone)  an-old-model        100    25 %          3       2        7  4,000     500  $1.50
all                                       200                  6       4       14  8,000   1,000  $3.00
";
        assert_eq!(text, expected, "\n{text}");
    }

    #[test]
    fn all_and_none_are_said_only_where_it_is_so() {
        assert_eq!([0.0, 0.001, 0.5, 0.999, 1.0].map(percent), ["0 %", "1 %", "50 %", "99 %", "100 %"]);
    }

    #[test]
    fn without_runs_it_says_so() {
        let none = added_up(&StatsRow::default(), Some("/p"), |_| false);
        assert!(text(&none, &TimeZone::UTC).starts_with("No such runs of /p are kept."));
    }
}
