//! One run in which much goes wrong, and all that tells of it: each says the same.
//!
//! The terminal is a real one where `tmux` is there, and said to be skipped elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;

use convoke_standin::{Config, Fault, FaultRule, Latency, RetryAfter, When};
use rusqlite::Connection;
use serde_json::Value;

use crate::support::{World, flood, standin};
use crate::{metrics, traces};

/// What everybody says of a run.
#[derive(Clone, Debug, Default, PartialEq)]
struct Told {
    census: BTreeMap<&'static str, u64>,
    /// How often a question was sent.
    requests: u64,
    /// How often one was sent again.
    retries: u64,
    input_tokens: u64,
    output_tokens: u64,
    /// In millionths of a dollar's millionth.
    usd_pico: u64,
}

const OUTCOMES: [&str; 6] = ["done", "cached", "fallback", "failed", "skipped", "pending"];

fn census(of: impl Fn(&str) -> u64) -> BTreeMap<&'static str, u64> {
    OUTCOMES.into_iter().map(|outcome| (outcome, of(outcome))).filter(|(_, count)| *count > 0).collect()
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no count: {value}"))
}

fn pico(usd: f64) -> u64 {
    (usd * 1e12).round() as u64
}

fn of_the_report(report: &Value) -> Told {
    let usage = &report["usage"];
    // Each question of this plugin is sent at least once.
    let questions = count(&report["census"]["items"]);
    Told {
        census: census(|outcome| count(&report["census"][outcome])),
        requests: count(&usage["requests"]),
        retries: count(&usage["requests"]) - questions,
        input_tokens: count(&usage["input_tokens"]),
        output_tokens: count(&usage["output_tokens"]),
        usd_pico: pico(usage["usd"].as_f64().expect("dollars")),
    }
}

fn of_the_page(page: &str) -> Told {
    let data = page.split("id=\"data\">").nth(1).and_then(|rest| rest.split("</script>").next()).expect("its data");
    let data: Value = serde_json::from_str(data).expect("JSON");
    let (timeline, totals) = (&data["timeline"], &data["timeline"]["totals"]);
    assert_eq!(data["missing"], Value::Array(Vec::new()), "nothing is missing");
    assert_eq!(timeline["ended"]["census"], data["report"]["census"]);
    Told {
        census: census(|outcome| count(&timeline["census"][outcome])),
        requests: count(&totals["sent"]),
        retries: count(&totals["retries"]),
        input_tokens: count(&totals["usage"]["input_tokens"]),
        output_tokens: count(&totals["usage"]["output_tokens"]),
        usd_pico: pico(totals["usage"]["usd"].as_f64().expect("dollars")),
    }
}

fn of_prometheus(text: &str) -> Told {
    let series = metrics::series(text);
    let of = |name: &str, label: &str| metrics::sum(&series, name, &[label]) as u64;
    Told {
        census: census(|outcome| of("convoke_items", &format!("outcome=\"{outcome}\""))),
        requests: of("convoke_requests_total", ""),
        retries: of("convoke_question_retries_total", ""),
        input_tokens: of("convoke_tokens_total", "kind=\"input\""),
        output_tokens: of("convoke_tokens_total", "kind=\"output\""),
        usd_pico: pico(metrics::sum(&series, "convoke_cost_dollars_total", &[])),
    }
}

fn of_the_collector(collector: &traces::Collector) -> Told {
    let spans = collector.spans();
    let shape = traces::shape(&spans);
    let root = spans.iter().find(|span| span.name.starts_with("convoke ")).expect("a root");
    let told = |outcome: &str| traces::text(root, &format!("convoke.census.{outcome}"));
    let asked = traces::count(&shape, "question", "chat") as u64;
    let usd = spans.iter().filter_map(|span| traces::text(span, "convoke.cost.usd")?.parse::<f64>().ok()).sum();
    Told {
        census: census(|outcome| told(outcome).and_then(|count| count.parse().ok()).unwrap_or(0)),
        requests: asked,
        retries: asked - traces::count(&shape, "item", "question") as u64,
        input_tokens: traces::sum(&spans, "gen_ai.usage.input_tokens"),
        output_tokens: traces::sum(&spans, "gen_ai.usage.output_tokens"),
        usd_pico: pico(usd),
    }
}

fn of_the_journal(world: &World) -> Told {
    let journal = Connection::open(world.path("data/journal.db")).expect("a journal");
    let number = |sql: &str| {
        let number: i64 = journal.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"));
        number.unsigned_abs()
    };
    let of_census: String = journal.query_row("SELECT census_json FROM runs", [], |row| row.get(0)).expect("a census");
    let of_census: Value = serde_json::from_str(&of_census).expect("JSON");
    let ended = |outcome: &str| number(&format!("SELECT count(*) FROM ends WHERE outcome = '{outcome}'"));
    assert_eq!(census(|outcome| count(&of_census[outcome])), census(ended), "the count of what is written there");
    Told {
        census: census(ended),
        requests: number("SELECT sum(requests) FROM questions"),
        retries: number("SELECT sum(retries) FROM questions"),
        input_tokens: number("SELECT sum(input_tokens) FROM questions"),
        output_tokens: number("SELECT sum(output_tokens) FROM questions"),
        usd_pico: number("SELECT sum(usd_pico) FROM questions"),
    }
}

/// What stands on the screen, as far as it is said there; dollars as they are rounded.
fn is_shown(screen: &str, told: &Told) {
    let screen = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    let census: Vec<String> =
        OUTCOMES.iter().filter_map(|outcome| Some(format!("{} {outcome}", told.census.get(outcome)?))).collect();
    let items: u64 = told.census.values().sum();
    for text in [
        format!("{items} items: {}", census.join(", ")),
        format!("{} requests, {} input tokens, {} output tokens", told.requests, told.input_tokens, told.output_tokens),
    ] {
        assert!(screen.replace(',', "").contains(&text.replace(',', "")), "{text:?} is not in {screen}");
    }
    let cost = screen.split("Cost $").nth(1).and_then(|rest| rest.split(' ').next()).expect("the cost");
    let shown: f64 = cost.parse().expect("a number");
    let digits = cost.split('.').nth(1).map_or(0, str::len) as i32;
    let exact = told.usd_pico as f64 / 1e12;
    assert!((shown - exact).abs() <= 0.5 * 10_f64.powi(-digits) + 1e-12, "{cost} and {exact}");
}

#[tokio::test]
async fn terminal_report_page_prometheus_otlp_and_journal_say_the_same_of_a_run_in_which_much_goes_wrong() {
    let rule = |nth: std::ops::RangeInclusive<u64>, fault: Fault| FaultRule {
        when: When { nth: Some(nth), ..When::default() },
        fault,
    };
    let faults = vec![
        rule(2..=3, "529".parse().expect("a fault")),
        rule(5..=5, Fault::RateLimited { retry_after: RetryAfter::Seconds(0) }),
        rule(7..=7, "500".parse().expect("a fault")),
        rule(9..=10, "refusal".parse().expect("a fault")),
    ];
    let standin = standin(Config { latency: Latency::of(20, 0.5), faults, ..Config::default() }).await;
    let (world, collector) = (World::new(), traces::Collector::new().await);
    let (page, prometheus) = (world.path("home/run.html"), world.path("home/run.prom"));
    let timings = format!("--timings={}", page.display());
    let arguments =
        [flood(), "--items", "12", "--instances", "3", &timings, "--metrics-file", prometheus.to_str().expect("UTF-8")];
    let call = world.convoke(arguments).asking(&standin).env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url);
    let has_tmux = std::process::Command::new("tmux").arg("-V").output().is_ok_and(|output| output.status.success());
    let done = if has_tmux {
        let socket = world.path("home/tmux");
        let script = format!(
            "S='{}'; tmux -S \"$S\" -f /dev/null new-session -d -x 120 -y 100 sh -c '\"$@\"; \
             tmux -S \"$0\" wait-for -S over; read _' \"$S\" \"$@\" && tmux -S \"$S\" wait-for over && \
             tmux -S \"$S\" capture-pane -p && tmux -S \"$S\" kill-server",
            socket.display()
        );
        call.env("TERM", "xterm-256color").env("SHELL", "/bin/sh").through(&script).run().await.exits(0)
    } else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: there is no tmux: the report is read as it comes through a pipe");
        call.run().await.exits(3)
    };
    let report = world.convoke(["report", "last", "--format", "json"]).run().await.exits(0).json();

    let told = of_the_report(&report);
    assert_eq!(told.census, BTreeMap::from([("done", 10), ("failed", 2)]), "{report:#}");
    assert_eq!((told.requests, told.retries), (16, 4), "four went wrong in passing");
    assert_eq!(standin.stats().requests, 16);
    assert_eq!(of_the_page(&fs::read_to_string(&page).expect("a page")), told, "the page");
    assert_eq!(of_prometheus(&fs::read_to_string(&prometheus).expect("numbers")), told, "Prometheus");
    assert_eq!(of_the_collector(&collector), told, "OTLP");
    assert_eq!(of_the_journal(&world), told, "the journal");
    is_shown(&done.stdout, &told);
}
