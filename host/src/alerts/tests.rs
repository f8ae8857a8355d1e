use std::net::Ipv4Addr;
use std::sync::Mutex;

use convoke_runtime::event::{AccountSample, BudgetSample, Sample, Settled};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::advance;

use super::*;
use crate::config::alerts::Webhook;

const SECOND: Duration = Duration::from_secs(1);

fn sampled(cpu: f64) -> Fact {
    Fact::Sampled(Box::new(Sample { cpu: Some(cpu), memory: Some(0.5), ..Sample::default() }))
}

fn settled(by: &str) -> Fact {
    Fact::QuestionSettled(Box::new(Settled { by: by.to_owned(), attempts: 1, ..Settled::default() }))
}

fn retried(kind: &'static str) -> Fact {
    Fact::QuestionRetried { question: 1, item: 1, kind: kind.into(), reason: "so".to_owned(), wait: SECOND }
}

fn account(breaker: &'static str) -> Fact {
    let account = AccountSample { account: "anthropic".into(), breaker: breaker.into(), ..AccountSample::default() };
    Fact::Sampled(Box::new(Sample { accounts: vec![account], ..Sample::default() }))
}

/// What comes of a fact in each second, as `second alert turn`.
fn turns(rules: &mut Rules, seconds: std::ops::Range<u32>, facts: impl Fn(u32) -> Vec<Fact>) -> Vec<String> {
    let mut turns = Vec::new();
    for second in seconds {
        for fact in facts(second) {
            for change in rules.hear(second * SECOND, &fact) {
                turns.push(format!("{second} {} {:?}", change.alert, change.turn));
            }
        }
    }
    turns
}

fn rules() -> Rules {
    Rules::new(AlertSettings::default())
}

#[test]
fn the_processors_over_eighty_percent_for_ten_seconds_are_an_alert() {
    let mut rules = rules();
    assert_eq!(turns(&mut rules, 0..60, |_| vec![sampled(0.79)]), [""; 0]);
    assert_eq!(turns(&mut rules, 60..90, |_| vec![sampled(0.81)]), ["70 cpu Raise"]);
    assert_eq!(rules.standing(), ["cpu"]);
    assert_eq!(turns(&mut rules, 90..120, |_| vec![sampled(0.4)]), ["100 cpu Clear"]);
    assert_eq!(rules.standing(), [""; 0]);
}

#[test]
fn several_processors_are_in_use() {
    let mut rules = rules();
    let raised = (0..=20_u32).flat_map(|second| rules.hear(second * SECOND, &sampled(1.0))).next();
    let reason = raised.map(|change| change.reason);
    assert_eq!(reason.as_deref(), Some("100 % of the processors are in use; the threshold is 80 %"));
}

#[test]
fn errors_over_five_percent_of_the_last_minute_are_one_alert_until_they_are_over() {
    let mut rules = rules();
    // Ten attempts a second, one of which fails from second 20 to 50.
    let facts = |second: u32| {
        let mut facts: Vec<Fact> = (0..9).map(|_| settled("model")).collect();
        facts.push(if (20..50).contains(&second) { retried("overloaded") } else { settled("model") });
        facts.push(sampled(0.1));
        facts
    };
    let turns = turns(&mut rules, 0..200, facts);
    assert_eq!(turns.len(), 2, "{turns:?}");
    assert!(turns[0].ends_with("errors Raise") && turns[1].ends_with("errors Clear"), "{turns:?}");
}

#[test]
fn a_rate_limit_is_waited_for_and_a_refusal_of_the_user_is_no_error() {
    let mut rules = rules();
    let facts =
        |_| vec![retried("rate-limited"), settled("cancelled"), settled("dropped"), settled("model"), sampled(0.1)];
    assert_eq!(turns(&mut rules, 0..100, facts), [""; 0]);
    // A question that was answered from the cache is no attempt.
    let cached = Fact::QuestionSettled(Box::new(Settled { by: "cache".to_owned(), ..Settled::default() }));
    rules.hear(101 * SECOND, &cached);
}

#[test]
fn few_attempts_say_nothing_and_none_is_no_good_sign_while_somebody_is_asked() {
    let mut rules = rules();
    let few = |second: u32| {
        if second.is_multiple_of(10) { vec![settled("server"), sampled(0.1)] } else { vec![sampled(0.1)] }
    };
    assert_eq!(turns(&mut rules, 0..90, few), [""; 0], "six a minute");
    let mut raised = turns(&mut rules, 90..130, |_| vec![settled("server"), sampled(0.1)]);
    assert_eq!(raised.len(), 1, "{raised:?}");
    let waiting = || {
        let account =
            AccountSample { account: "a".into(), in_flight: 3, breaker: "closed".into(), ..AccountSample::default() };
        Fact::Sampled(Box::new(Sample { accounts: vec![account], ..Sample::default() }))
    };
    raised = turns(&mut rules, 130..400, |_| vec![waiting()]);
    assert_eq!(raised, [""; 0], "all that was asked hangs");
    assert_eq!(turns(&mut rules, 400..450, |_| vec![sampled(0.1)]), ["410 errors Clear"]);
}

#[test]
fn answers_that_begin_late_are_an_alert() {
    let mut rules = rules();
    let began = |after| Fact::QuestionStarted { question: 1, item: 1, after };
    let late = |_| vec![began(6 * SECOND), began(SECOND), began(7 * SECOND), sampled(0.1)];
    let turns = turns(&mut rules, 0..40, late);
    assert_eq!(turns.len(), 1, "{turns:?}");
    assert!(turns[0].ends_with("response Raise"), "{turns:?}");
}

#[test]
fn an_open_breaker_is_said_at_once_and_over_when_it_stays_closed() {
    let mut rules = rules();
    let opened = Fact::BreakerChanged { state: "open".into(), reason: "5 failures".to_owned(), lasts: None };
    assert_eq!(turns(&mut rules, 0..1, |_| vec![account("closed"), opened.clone()]), ["0 breaker Raise"]);
    let flaps =
        |second: u32| vec![account(if second.is_multiple_of(7) { "half-open" } else { "closed" }), opened.clone()];
    assert_eq!(turns(&mut rules, 1..60, flaps), [""; 0]);
    assert_eq!(turns(&mut rules, 60..90, |_| vec![account("closed")]), ["70 breaker Clear"]);
}

#[test]
fn a_budget_that_is_nearly_spent_and_a_dispatch_that_has_stopped_are_said_at_once() {
    let mut rules = rules();
    let spent = |spent| {
        let budgets = vec![
            BudgetSample { budget: "usd_per_month".into(), spent: 0.1 },
            BudgetSample { budget: "usd".into(), spent },
        ];
        Fact::Sampled(Box::new(Sample { budgets, ..Sample::default() }))
    };
    assert!(rules.hear(SECOND, &spent(0.79)).is_empty());
    let changes = rules.hear(2 * SECOND, &spent(0.9));
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].alert, changes[0].turn), ("budget", Turn::Raise));
    assert_eq!(changes[0].reason, "90 % of usd is spent; the threshold is 80 %");
    assert!(rules.hear(3 * SECOND, &spent(0.95)).is_empty());
    let stopped = Fact::DispatchStopped { reason: "the budget is \u{1b}[2Jspent".to_owned() };
    let changes = rules.hear(4 * SECOND, &stopped);
    assert_eq!((changes[0].alert, changes[0].turn), ("stopped", Turn::Raise));
    assert!(!changes[0].reason.contains('\u{1b}'));
    assert!(rules.hear(5 * SECOND, &stopped).is_empty());
}

#[tokio::test(start_paused = true)]
async fn all_runs_of_the_process_hear_of_it_and_those_that_have_ended_do_not() {
    let (common, one, other) = (Events::new(), Events::new(), Events::new());
    let ended = Events::new();
    ended.end_alerts();
    let settings = AlertSettings::default();
    let streams = [one.clone(), other.clone(), ended.clone()];
    let mut watch = Watch::new(settings, streams, Some(common.clone()), None);
    let mut heard = [common.listen(), one.listen(), other.listen(), ended.listen()];
    for _ in 0..30 {
        // Each run is sampled.
        one.tell(sampled(0.95)).await;
        other.tell(sampled(0.95)).await;
        advance(SECOND).await;
        watch.look().await;
    }
    let raised = heard.each_mut().map(|heard| {
        let mut events = Vec::new();
        heard.drain(&mut events);
        events.iter().filter(|event| matches!(event.fact, Fact::AlertRaised { .. })).count()
    });
    assert_eq!(raised, [1, 1, 1, 0]);
    assert_eq!(one.end_alerts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_trouble_at_the_very_end_is_an_alert_of_its_report() {
    let (events, over) = (Events::new(), CancellationToken::new());
    let watch = Watch::new(AlertSettings::default(), [events.clone()], None, None);
    let going = tokio::spawn(watch.go(over.clone()));
    events.tell(Fact::DispatchStopped { reason: "the budget is spent".to_owned() }).await;
    events.judged().await;
    let alerts = events.end_alerts();
    assert_eq!(alerts.iter().map(|alert| alert.alert.as_str()).collect::<Vec<_>>(), ["stopped"]);
    over.cancel();
    assert!(going.await.unwrap().end().is_none());
    // Nobody judges any more, and nobody waits.
    events.judged().await;
}

/// A receiver on this machine that answers with these codes in turn, then with 200, and what it got.
async fn receiver(codes: &'static [u16]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/very-secret", listener.local_addr().unwrap());
    let got: Arc<Mutex<Vec<String>>> = Arc::default();
    let requests = got.clone();
    tokio::spawn(async move {
        let mut codes = codes.iter();
        while let Ok((mut stream, _)) = listener.accept().await {
            let (mut text, mut buffer) = (String::new(), [0; 8_192]);
            // What is sent ends with its line.
            while !text.ends_with("}\n") {
                match stream.read(&mut buffer).await {
                    Ok(count @ 1..) => text.push_str(&String::from_utf8_lossy(&buffer[..count])),
                    _ => break,
                }
            }
            requests.lock().unwrap().push(text);
            let code = codes.next().unwrap_or(&200);
            let answer = format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, got)
}

fn webhook(url: &str) -> Webhook {
    let text = format!("[alerts]\nwebhook = {url:?}\n");
    crate::config::user::parse(std::path::Path::new("config.toml"), &text).unwrap().alerts.webhook.unwrap()
}

fn hook(url: &str) -> Hook {
    Hook::begin(Receivers { webhook: Some(webhook(url)), program: None }).unwrap()
}

#[tokio::test]
async fn a_webhook_gets_each_once_in_order_as_json_and_nothing_of_the_user_with_it() {
    let (url, got) = receiver(&[]).await;
    let mut hook = hook(&url);
    hook.send(Message::new("errors", "raised", "12 % of 50 failed", &[]));
    hook.send(Message::new("errors", "cleared", "0 % of 50 failed", &[]));
    assert_eq!(hook.end().await, [""; 0]);
    let got = got.lock().unwrap();
    let states: Vec<String> = got
        .iter()
        .map(|request| {
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            let head = head.to_lowercase();
            assert!(
                head.starts_with("post /very-secret ") && head.contains("content-type: application/json"),
                "{head}"
            );
            assert!(!head.contains("authorization") && !head.contains("cookie"), "{head}");
            let json: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!((&json["schema_version"], &json["alert"]), (&1.into(), &"errors".into()));
            assert!(json["text"].as_str().unwrap().contains("% of 50 failed"), "{json}");
            json["state"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(states, ["raised", "cleared"]);
}

#[tokio::test]
async fn what_a_receiver_refuses_is_not_sent_again_and_said_without_its_address() {
    let (url, got) = receiver(&[404]).await;
    let mut hook = hook(&url);
    hook.send(Message::new("cpu", "raised", "hot", &[]));
    let said = hook.end().await;
    assert_eq!(got.lock().unwrap().len(), 1);
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("1 of 1 alerts") && said[0].contains("404"), "{said:?}");
    assert!(!said[0].contains("secret"), "{said:?}");
}

#[tokio::test]
async fn who_is_busy_is_asked_again() {
    let (url, got) = receiver(&[503]).await;
    let mut hook = hook(&url);
    hook.send(Message::new("cpu", "raised", "hot", &[]));
    assert_eq!(hook.end().await, [""; 0]);
    assert_eq!(got.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn nobody_is_told_where_nobody_is_named() {
    assert!(Hook::begin(Receivers { webhook: None, program: None }).is_none());
}
