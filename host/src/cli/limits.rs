//! `convoke limits`: what all convoke processes of this user may still take, and who waits for it.

use std::time::Duration;

use clap::{ArgMatches, Command};
use convoke_runtime::money::Usd;
use convoke_runtime::quota::rate::Rate;
use convoke_runtime::shared::clock::boot;
use convoke_runtime::shared::look::{BucketView, Overview, WaitingView, look};
use convoke_runtime::shared::{Clock, SharedError, SharedLimits};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use textwrap::core::display_width;

use super::error::CliError;
use super::terminal::put;
use crate::config::paths::PROJECT_FILE;
use crate::config::{Choices, Paths, Settings};
use crate::report::{ExitCode, clean};

pub(super) fn command() -> Command {
    Command::new("limits")
        .about("Shows what may still be spent, by all convoke processes of this user together, and who waits for it")
        .arg(super::format_argument())
}

pub(super) fn limits(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let env = |name: &str| std::env::var(name).ok();
    let paths = Paths::find(env)?;
    // Of all files only the user's own has a say.
    let none = paths.config.join("no-project").join(PROJECT_FILE);
    let settings = Settings::load(&paths.user_file(), &none, env, Choices::default())?;
    let (shared, clock) = (SharedLimits::default(), Clock::system());
    let folder = paths.limits();
    let overview = look(&folder, &clock, &boot())?;
    let page = Page::new(overview, &settings, shared);
    if matches.get_one::<String>("format").is_some_and(|format| format == "json") {
        let mut json = page.json();
        json["file"] = json!(folder.join("state"));
        put(&clean::json(format!("{json:#}\n")), None)?;
    } else {
        put(&page.text(), None)?;
    }
    Ok(ExitCode::Success)
}

/// All that is shown.
struct Page {
    buckets: Vec<BucketView>,
    overview: Option<Overview>,
    most: SharedLimits,
    budgets: Vec<Budget>,
}

/// The budget of the day or the month.
struct Budget {
    key: &'static str,
    /// None: it is not limited.
    size: Option<Usd>,
    /// None: nobody has said since the machine booted, or since the day began.
    spent: Option<Usd>,
    reserved: Usd,
    /// Whether more may have been spent.
    at_least: bool,
}

impl Page {
    fn new(overview: Option<Overview>, settings: &Settings, most: SharedLimits) -> Self {
        let mut buckets = overview.as_ref().map(|overview| overview.buckets.clone()).unwrap_or_default();
        // Those that nobody has taken from are full.
        let mut full = |of: String, counts: &'static str, rate: Rate| {
            if !buckets.iter().any(|bucket| bucket.of == of && bucket.counts == counts) {
                buckets.push(BucketView::full(of, counts, &rate));
            }
        };
        for quota in &settings.quotas.scoped {
            for (counts, size) in quota.buckets() {
                full(format!("quota {}", quota.name), counts, Rate::full(size, 0));
            }
        }
        for quota in settings.quotas.named.all() {
            full(quota.name.to_string(), "requests", Rate::full(quota.size, 0));
        }
        full("spawns".to_owned(), "processes", Rate::full(most.spawns(), 0));
        buckets.sort_by(|one, other| one.of.cmp(&other.of));

        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        let spent = overview.as_ref().and_then(|overview| overview.spent);
        let of_day = spent.filter(|spent| spent.day == today);
        let of_month = spent.filter(|spent| spent.day.first_of_month() == today.first_of_month());
        let budget = |key, size, spent: Option<(Usd, bool, Usd)>| Budget {
            key,
            size,
            spent: spent.map(|(spent, ..)| spent),
            at_least: spent.is_some_and(|(_, whole, _)| !whole),
            reserved: spent.map(|(.., reserved)| reserved).unwrap_or_default(),
        };
        let budgets = vec![
            budget(
                "usd_per_day",
                settings.budget.usd_per_day,
                of_day.map(|spent| (spent.of_day, spent.whole, spent.reserved)),
            ),
            budget(
                "usd_per_month",
                settings.budget.usd_per_month,
                of_month.map(|spent| (spent.of_month, spent.whole, spent.reserved)),
            ),
        ];
        Self { buckets, overview, most, budgets }
    }

    fn instances(&self) -> u64 {
        self.overview.as_ref().map_or(0, |overview| overview.instances)
    }

    fn processes(&self) -> usize {
        self.overview.as_ref().map_or(0, |overview| overview.processes.len())
    }

    /// Those who wait, for whatever.
    fn waiting(&self) -> impl Iterator<Item = &WaitingView> {
        self.overview.iter().flat_map(|overview| &overview.processes).flat_map(|process| &process.waiting)
    }

    fn text(&self) -> String {
        let mut text = format!(
            "Processes  {}\nInstances  {} of {} in use\n",
            self.processes(),
            self.instances(),
            self.most.instances
        );
        for budget in &self.budgets {
            text += &format!("{:<9}  {}\n", budget.label(), budget.text());
        }
        let mut rows = vec![["Bucket", "Counts", "Left", "Size", "Held", "Full in"].map(str::to_owned)];
        rows.extend(self.buckets.iter().map(|bucket| {
            let amount = |amount: i128| amount_text(bucket, amount);
            [
                clean::line(&clean::bounded(&bucket.of, 60)),
                bucket.counts.to_owned(),
                amount(bucket.left),
                format!("{} in {}", amount(bucket.size.into()), time_text(bucket.per)),
                amount(bucket.held.into()),
                if bucket.full_in.is_zero() { "full".to_owned() } else { time_text(bucket.full_in) },
            ]
        }));
        let widths: Vec<usize> =
            (0..6).map(|at| rows.iter().map(|row| display_width(&row[at])).max().unwrap_or_default()).collect();
        text.push('\n');
        for row in &rows {
            let cells = row.iter().zip(&widths);
            let line: Vec<String> =
                cells.map(|(cell, width)| format!("{cell}{}", " ".repeat(width - display_width(cell)))).collect();
            text += &format!("{}\n", line.join("  ").trim_end());
        }
        let mut waiting = self.waiting().peekable();
        if waiting.peek().is_some() {
            text += "\nWaiting\n";
        }
        for one in waiting {
            let line = format!("{} (process {}) for {}, {}", one.command, one.pid, one.what, time_text(one.since));
            text += &format!("  {}\n", clean::line(&clean::bounded(&line, 200)));
        }
        text
    }

    fn json(&self) -> Value {
        let waiting = |one: &WaitingView| {
            json!({
                "command": one.command,
                "pid": one.pid,
                "for": one.what,
                "since_s": one.since.as_secs_f64(),
            })
        };
        let buckets = self.buckets.iter().map(|bucket| {
            json!({
                "name": bucket.of,
                "counts": bucket.counts,
                "size": amount_json(bucket, bucket.size.into()),
                "per_s": bucket.per.as_secs_f64(),
                "left": amount_json(bucket, bucket.left),
                "held": amount_json(bucket, bucket.held.into()),
                "full_in_s": bucket.full_in.as_secs_f64(),
                "waiting": bucket.waiting.iter().map(waiting).collect::<Vec<_>>(),
            })
        });
        let budgets = self.budgets.iter().map(|budget| {
            json!({
                "name": budget.key,
                "usd": budget.size.map(Usd::dollars),
                "spent_usd": budget.spent.map(Usd::dollars),
                "at_least": budget.at_least,
                "reserved_usd": budget.reserved.dollars(),
            })
        });
        json!({
            "schema_version": 1,
            "processes": self.processes(),
            "instances": { "in_use": self.instances(), "size": self.most.instances },
            "spawns_per_s": self.most.spawns_per_s,
            "budgets": budgets.collect::<Vec<_>>(),
            "buckets": buckets.collect::<Vec<_>>(),
            "waiting": self.waiting().map(waiting).collect::<Vec<_>>(),
        })
    }
}

impl Budget {
    fn label(&self) -> &'static str {
        if self.key == "usd_per_day" { "Day" } else { "Month" }
    }

    fn text(&self) -> String {
        let spent = match self.spent {
            None => "not known before a command has run".to_owned(),
            Some(spent) => format!("{}{spent}", if self.at_least { "at least " } else { "" }),
        };
        let of = self.size.map(|size| format!(" of {size}")).unwrap_or_default();
        let unlimited = if self.size.is_none() { ", not limited" } else { "" };
        let reserved = if self.reserved == Usd::ZERO { String::new() } else { format!(", {} reserved", self.reserved) };
        match self.spent {
            None => format!("{spent}{}", self.size.map(|size| format!("; the limit is {size}")).unwrap_or_default()),
            Some(_) => format!("{spent}{of} spent (UTC){reserved}{unlimited}"),
        }
    }
}

fn amount_text(bucket: &BucketView, amount: i128) -> String {
    if bucket.counts != "usd" {
        return amount.to_string();
    }
    let usd = Usd::from_pico(u64::try_from(amount.unsigned_abs()).unwrap_or(u64::MAX));
    if amount < 0 { format!("-{usd}") } else { usd.to_string() }
}

fn amount_json(bucket: &BucketView, amount: i128) -> Value {
    if bucket.counts == "usd" { json!(amount as f64 / 1e12) } else { json!(i64::try_from(amount).unwrap_or(i64::MAX)) }
}

/// `45 s`, `10 min`, `3 h`: rounded up.
fn time_text(time: Duration) -> String {
    let seconds = time.as_nanos().div_ceil(1_000_000_000);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3_600)),
    }
}

impl From<SharedError> for CliError {
    fn from(error: SharedError) -> Self {
        let hint = error.hint();
        Self::usage(error.to_string()).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use convoke_runtime::quota::rate::Size;
    use convoke_runtime::shared::look::ProcessView;

    use super::*;

    fn bucket(of: &str, counts: &'static str, amount: u64, used: u64) -> BucketView {
        let mut rate = Rate::full(Size { amount, per: Duration::from_secs(60) }, 0);
        rate.release(0, used);
        BucketView::full(of.to_owned(), counts, &rate)
    }

    fn page() -> Page {
        let waiting = WaitingView {
            command: "agent-audit\u{1b}[2J".to_owned(),
            pid: 7,
            what: "account a: requests".to_owned(),
            since: Duration::from_millis(2_500),
        };
        let process = ProcessView { pid: 7, instances: 3, reserved: Usd::from_dollars(0.5), waiting: vec![waiting] };
        let dollar = Usd::from_dollars(1.0).pico();
        let budget =
            |key, size, spent, at_least| Budget { key, size, spent, reserved: Usd::from_dollars(0.5), at_least };
        Page {
            buckets: vec![
                bucket("account anthropic", "requests", 60, 90),
                bucket("quota nights", "usd", dollar, 2 * dollar),
            ],
            overview: Some(Overview { buckets: Vec::new(), instances: 3, processes: vec![process], spent: None }),
            most: SharedLimits::default(),
            budgets: vec![
                budget("usd_per_day", Some(Usd::from_dollars(10.0)), Some(Usd::from_dollars(2.5)), false),
                budget("usd_per_month", None, Some(Usd::from_dollars(3.0)), true),
            ],
        }
    }

    #[test]
    fn the_page_says_what_is_left_and_who_waits() {
        let expected = "\
Processes  1
Instances  3 of 100 in use
Day        $2.50 of $10.00 spent (UTC), $0.5000 reserved
Month      at least $3.00 spent (UTC), $0.5000 reserved, not limited

Bucket             Counts    Left    Size           Held   Full in
account anthropic  requests  -30     60 in 60 s     0      90 s
quota nights       usd       -$1.00  $1.00 in 60 s  $0.00  2 min

Waiting
  agent-audit (process 7) for account a: requests, 3 s
";
        let text = page().text();
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert_eq!(text.replace("[2J", ""), expected);
    }

    #[test]
    fn programs_get_dollars_and_seconds() {
        let json = page().json();
        assert_eq!(
            (json["buckets"][1]["left"].as_f64(), json["buckets"][1]["full_in_s"].as_f64()),
            (Some(-1.0), Some(120.0))
        );
        assert_eq!(json["waiting"][0]["since_s"], 2.5);
        assert_eq!((&json["budgets"][1]["usd"], json["budgets"][1]["at_least"].as_bool()), (&Value::Null, Some(true)));
    }
}
