use super::*;

struct NightShift;

impl Policy for NightShift {
    fn route(&self, facts: &RouteFacts) -> RouteTo {
        match facts.now.hour {
            22.. | 0..6 => RouteTo::tier(Tier::Speed, "it is night"),
            _ => facts.built_in.clone(),
        }
    }
}

fn at(hour: u8) -> Facts {
    let built_in = RouteTo::tier(Tier::Comprehensive, "it needs tools");
    Facts::Route(RouteFacts { now: Now::new(0, hour, 0, 1), built_in, ..RouteFacts::default() })
}

#[test]
fn what_a_policy_does_not_decide_is_decided_as_built_in() {
    assert_eq!(NightShift.decide(&at(23)), Decision::Route(RouteTo::tier(Tier::Speed, "it is night")));
    assert_eq!(NightShift.decide(&at(12)), Decision::Route(RouteTo::tier(Tier::Comprehensive, "it needs tools")));
    let admit = AdmitFacts { built_in: Admit::Never { reason: "no".to_owned() }, ..AdmitFacts::default() };
    assert_eq!(AsBuiltIn.decide(&Facts::Admit(admit.clone())), Decision::Admit(admit.built_in));
}

#[test]
fn a_decision_goes_through_json_and_back() {
    let facts = serde_json::to_string(&at(3)).unwrap();
    let decision = decide_json(&NightShift, &facts).unwrap();
    assert_eq!(decision, r#"{"kind":"route","decision":{"tier":"speed","reason":"it is night"}}"#);
    assert!(decide_json(&NightShift, "{").unwrap_err().contains("facts"));
}

#[test]
fn facts_of_another_version_are_read_with_defaults_and_without_what_is_not_known() {
    let facts = r#"{"kind":"route","facts":{"now":{"hour":23,"moon":"full"},"colour":"blue"}}"#;
    assert!(decide_json(&NightShift, facts).unwrap().contains("it is night"));
}

#[test]
fn what_is_decided_as_built_in_goes_back_with_what_is_not_known_of_it() {
    let facts = r#"{"kind":"adapt","facts":{"built_in":{"limit":8,"wings":2}}}"#;
    let decision: serde_json::Value = serde_json::from_str(&decide_json(&NightShift, facts).unwrap()).unwrap();
    assert_eq!(decision, serde_json::json!({"kind": "adapt", "decision": {"limit": 8, "wings": 2}}));
    let facts = r#"{"kind":"route","facts":{"now":{"hour":12}}}"#;
    let decision = decide_json(&NightShift, facts).unwrap();
    assert!(serde_json::from_str::<Decision>(&decision).is_ok(), "without one there are the defaults: {decision}");
}

#[test]
fn every_kind_of_facts_leads_to_a_decision_of_its_kind() {
    let all = [
        Facts::Size(SizeFacts::default()),
        Facts::Route(RouteFacts::default()),
        Facts::Admit(AdmitFacts::default()),
        Facts::Recover(RecoverFacts::default()),
        Facts::Adapt(AdaptFacts::default()),
        Facts::Watch(WatchFacts::default()),
    ];
    for (facts, kind) in all.into_iter().zip(Kind::ALL) {
        let text = serde_json::to_string(&facts).unwrap();
        assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts);
        assert!(text.contains(&format!(r#""kind":"{}""#, kind.name())), "{text}");
        assert_eq!((facts.kind(), AsBuiltIn.decide(&facts).kind()), (kind, kind));
    }
}

#[test]
fn what_is_out_of_its_bounds_makes_no_sense() {
    let wait = |wait_ms| Decision::Admit(Admit::Later { wait_ms, reason: String::new() });
    let bad = [
        Decision::Size(Size::of(0, "")),
        Decision::Size(Size::of(1_000_000_000, "")),
        Decision::Adapt(Adapt { limit: 101, ..Adapt::default() }),
        Decision::Adapt(Adapt { limit: 1, pause_ms: u64::MAX, ..Adapt::default() }),
        wait(0),
        wait(u64::MAX),
        Decision::Recover(Recover::Retry { wait_ms: u64::MAX }),
        Decision::Watch(Watch::Kill { reason: "x".repeat(501) }),
    ];
    for decision in bad {
        let nonsense = decision.check().unwrap_err();
        assert_eq!(nonsense.kind, decision.kind());
        assert!(nonsense.to_string().contains(decision.kind().name()), "{nonsense}");
    }
    for decision in [Decision::Size(Size::of(100, "")), wait(1), Decision::Recover(Recover::Retry { wait_ms: 0 })] {
        assert_eq!(decision.check(), Ok(()));
    }
}
