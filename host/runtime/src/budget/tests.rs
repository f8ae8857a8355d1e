use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Clock {
    let now: Timestamp = text.parse().unwrap();
    Arc::new(move || now)
}

fn usd(dollars: f64) -> Usd {
    Usd::from_dollars(dollars)
}

fn taking(dollars: f64) -> Amount {
    Amount { usd: usd(dollars), requests: 1, input_tokens: 100, output_tokens: 10 }
}

fn budget(config: BudgetConfig) -> Budget {
    Budget::new(config, Usd::ZERO, Usd::ZERO, at("2026-11-21T12:00:00Z"))
}

fn of_a_dollar() -> Budget {
    budget(BudgetConfig { usd: Some(usd(1.0)), ..BudgetConfig::default() })
}

fn spent(blocked: Blocked) -> Spent {
    match blocked {
        Blocked::Spent(spent) => spent,
        Blocked::Wait => panic!("it waits"),
    }
}

#[test]
fn a_dollar_pays_four_questions_of_a_quarter_and_no_fifth() {
    let budget = of_a_dollar();
    for _ in 0..4 {
        let reserved = budget.reserve(taking(0.25), true).unwrap();
        budget.keep(reserved);
    }
    let spent = spent(budget.reserve(taking(0.25), true).unwrap_err());
    assert_eq!((spent.limit, spent.left()), (Limit::Run, 0));
    let text = spent.to_string();
    for part in ["this run", "$1.00 of $1.00", "up to $0.2500", "--budget-usd"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_others_hold_may_come_back_so_the_last_way_waits_and_another_does_not() {
    let budget = of_a_dollar();
    let other = budget.reserve(taking(0.9), true).unwrap();
    assert_eq!(budget.reserve(taking(0.2), true).unwrap_err(), Blocked::Wait);
    assert_eq!(budget.reserve(taking(0.2), false).unwrap_err(), Blocked::Wait);
    assert_eq!(budget.reserve(taking(1.1), true).unwrap_err(), Blocked::Wait, "until nobody is under way");
    assert_eq!(spent(budget.reserve(taking(1.1), false).unwrap_err()).limit, Limit::Run);
    budget.refund(other);
    assert_eq!(spent(budget.reserve(taking(1.1), true).unwrap_err()).spent, 0);
    budget.refund(budget.reserve(taking(1.0), true).unwrap());
}

#[test]
fn the_day_and_the_month_go_on_from_what_was_spent_before() {
    let config = BudgetConfig { usd_per_day: Some(usd(1.0)), usd_per_month: Some(usd(5.0)), ..BudgetConfig::default() };
    let day = Budget::new(config, usd(0.9), usd(0.9), at("2026-11-30T12:00:00Z"));
    let text = spent(day.reserve(taking(0.2), true).unwrap_err()).to_string();
    assert!(text.contains("for the day") && text.contains("2026-12-01 at 00:00 UTC"), "{text}");
    let month = Budget::new(config, usd(0.1), usd(4.9), at("2026-11-05T12:00:00Z"));
    let text = spent(month.reserve(taking(0.2), true).unwrap_err()).to_string();
    assert!(text.contains("for the month") && text.contains("2026-12-01 at 00:00 UTC"), "{text}");
}

#[test]
fn at_midnight_the_days_budget_is_new_and_the_months_is_not() {
    let now = Arc::new(Mutex::new("2026-11-21T23:59:59Z".parse::<Timestamp>().unwrap()));
    let clock = now.clone();
    let config = BudgetConfig { usd_per_day: Some(usd(1.0)), usd_per_month: Some(usd(1.5)), ..BudgetConfig::default() };
    let budget = Budget::new(config, usd(1.0), usd(1.0), Arc::new(move || *clock.lock().unwrap()));
    assert_eq!(spent(budget.reserve(taking(0.1), true).unwrap_err()).limit, Limit::Day);
    *now.lock().unwrap() = "2026-11-22T00:00:00Z".parse().unwrap();
    budget.keep(budget.reserve(taking(0.5), true).unwrap());
    assert_eq!(spent(budget.reserve(taking(0.1), true).unwrap_err()).limit, Limit::Month);
    *now.lock().unwrap() = "2026-11-21T00:00:00Z".parse().unwrap();
    assert!(budget.reserve(taking(0.1), true).is_err(), "a clock that is set back gives nothing back");
    *now.lock().unwrap() = "2026-12-01T00:00:00Z".parse().unwrap();
    budget.keep(budget.reserve(taking(1.0), true).unwrap());
}

#[test]
fn requests_and_tokens_are_limits_too() {
    for (config, limit, words) in [
        (BudgetConfig { requests: Some(1), ..BudgetConfig::default() }, Limit::Requests, "1 of 1 requests"),
        (BudgetConfig { input_tokens: Some(150), ..BudgetConfig::default() }, Limit::InputTokens, "100 of 150 input"),
        (BudgetConfig { output_tokens: Some(15), ..BudgetConfig::default() }, Limit::OutputTokens, "10 of 15 output"),
    ] {
        let budget = budget(config);
        budget.keep(budget.reserve(taking(0.1), true).unwrap());
        let spent = spent(budget.reserve(taking(0.1), true).unwrap_err());
        assert_eq!(spent.limit, limit);
        assert!(spent.to_string().contains(words) && spent.to_string().contains("[budget]"), "{spent}");
    }
}

#[test]
fn what_can_never_be_paid_is_known_beforehand() {
    let budget = of_a_dollar();
    let held = budget.reserve(taking(0.9), true).unwrap();
    assert!(budget.can_ever_pay(taking(1.0)).is_ok(), "what is held may come back");
    budget.settle(held, taking(0.3));
    assert!(budget.can_ever_pay(taking(0.7)).is_ok());
    assert_eq!(budget.can_ever_pay(taking(0.71)).unwrap_err().left(), usd(0.7).pico());
}

#[test]
fn days_and_months_begin_at_midnight_utc() {
    let (day, month) = beginnings("2026-11-21T23:59:59Z".parse().unwrap());
    assert_eq!(
        (day.to_string().as_str(), month.to_string().as_str()),
        ("2026-11-21T00:00:00Z", "2026-11-01T00:00:00Z")
    );
}

proptest! {
    /// Whatever is reserved, settled with no more than reserved, kept and refunded, in whatever order: nothing is ever
    /// exceeded, all is counted, and who waits has somebody to wait for.
    #[test]
    fn no_budget_is_ever_exceeded(
        size in 1u64..10_000,
        steps in prop::collection::vec((1u64..3_000, 0u8..4, 0u64..3_000, any::<bool>(), any::<prop::sample::Index>()), 1..200),
    ) {
        let config = BudgetConfig { usd: Some(Usd::from_pico(size)), requests: Some(60), ..BudgetConfig::default() };
        let budget = budget(config);
        let mut open: Vec<Reservation> = Vec::new();
        let (mut spent, mut requests) = (0, 0);
        for (amount, end, used, last, which) in steps {
            let most = Amount { usd: Usd::from_pico(amount), requests: 1, ..Amount::default() };
            let ever = budget.can_ever_pay(most).is_ok();
            match budget.reserve(most, last) {
                Ok(reserved) => {
                    prop_assert!(ever);
                    open.push(reserved);
                }
                Err(Blocked::Wait) => prop_assert!(!open.is_empty()),
                Err(Blocked::Spent(_)) => prop_assert!(!ever && (!last || open.is_empty())),
            }
            if end > 0 && !open.is_empty() {
                let reserved = open.swap_remove(which.index(open.len()));
                let most = reserved.amount();
                match end {
                    1 => budget.refund(reserved),
                    2 => {
                        spent += most.usd.pico();
                        requests += 1;
                        budget.keep(reserved);
                    }
                    _ => {
                        let used = used.min(most.usd.pico());
                        spent += used;
                        requests += 1;
                        budget.settle(reserved, Amount { usd: Usd::from_pico(used), ..most });
                    }
                }
            }
            let held: u64 = open.iter().map(|reserved| reserved.amount().usd.pico()).sum();
            prop_assert!(spent + held <= size);
            prop_assert!(requests + open.len() as u64 <= 60);
            prop_assert_eq!(budget.standing()[0].spent, spent);
            prop_assert_eq!(budget.standing()[1].spent, requests);
        }
    }
}
