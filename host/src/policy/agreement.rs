//! The examples decide the same in all their forms.

use std::path::Path;

use convoke_policy::{
    Adapt, AdaptFacts, Admit, AdmitFacts, Decision, Facts, Load, Now, Recover, RecoverFacts, RouteFacts, RouteTo, Size,
    SizeFacts, Tier, Watch, WatchFacts,
};
use convoke_runtime::policy::{Foreign, Mode, Profile};
use proptest::prelude::*;

use super::fixtures::{component, library};
use super::native::{NativePolicy, Switch};
use super::toml::PolicyFile;
use super::wasm::WasmPolicy;

static SWITCH: Switch = Switch::new();

fn load() -> impl Strategy<Value = Load> {
    let share = prop_oneof![Just(0.0), Just(0.01), Just(0.02), 0.0..0.05, 0.0..1.0];
    (share, 0..60_u64, 0..20_u32).prop_map(|(error_rate, ended, in_flight)| Load {
        error_rate,
        ended,
        in_flight,
        cpu_free: (in_flight % 2 == 0).then_some(error_rate),
        ..Load::default()
    })
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[ -~]{0,20}", "\\PC{0,8}"]
}

fn recover() -> impl Strategy<Value = Recover> {
    prop_oneof![
        (0..100_000_u64).prop_map(|wait_ms| Recover::Retry { wait_ms }),
        words().prop_map(|reason| Recover::NextModel { reason }),
        words().prop_map(|reason| Recover::GiveUp { reason }),
        words().prop_map(|reason| Recover::Stop { reason }),
    ]
}

fn admit() -> impl Strategy<Value = Admit> {
    prop_oneof![
        3 => Just(Admit::Now),
        1 => (1..10_000_u64, words()).prop_map(|(wait_ms, reason)| Admit::Later { wait_ms, reason }),
        1 => words().prop_map(|reason| Admit::Never { reason }),
    ]
}

fn tier() -> impl Strategy<Value = Tier> {
    prop_oneof![Just(Tier::Auto), Just(Tier::Speed), Just(Tier::Comprehensive)]
}

fn now() -> impl Strategy<Value = Now> {
    (0..24_u8, 0..60_u8, 1..8_u8, any::<u32>()).prop_map(|(hour, minute, weekday, unix)| Now {
        unix_ms: u64::from(unix) * 1_000,
        hour,
        minute,
        weekday,
    })
}

fn facts() -> impl Strategy<Value = Facts> {
    let adapt = (1..101_u32, 1..101_u32, any::<[bool; 2]>(), load(), now(), words());
    prop_oneof![
        (words(), 1..101_u32, now()).prop_map(|(command, instances, now)| {
            Facts::Size(SizeFacts { now, command, built_in: Size::of(instances, "x"), ..SizeFacts::default() })
        }),
        (now(), tier(), words()).prop_map(|(now, tier, role)| {
            Facts::Route(RouteFacts { now, role, built_in: RouteTo::tier(tier, "x"), ..RouteFacts::default() })
        }),
        (proptest::option::of(0..3_000_u64), admit(), load()).prop_map(|(since_last_ms, built_in, load)| {
            Facts::Admit(AdmitFacts { since_last_ms, built_in, load, ..AdmitFacts::default() })
        }),
        (load(), recover(), words(), 0.0..1.0).prop_map(|(load, built_in, message, random)| {
            Facts::Recover(RecoverFacts { load, built_in, message, random, ..RecoverFacts::default() })
        }),
        adapt.prop_map(|(limit, most, [safe, slow_start], load, now, reason)| {
            let built_in = Adapt { limit, safe, slow_start, reason, ..Adapt::default() };
            Facts::Adapt(AdaptFacts { now, least: 1, most, load, built_in, ..AdaptFacts::default() })
        }),
        (words(), 0..3_u32).prop_map(|(reason, kills)| {
            let built_in = if kills == 0 { Watch::Kill { reason } } else { Watch::GoOn };
            Facts::Watch(WatchFacts { built_in, ..WatchFacts::default() })
        }),
    ]
}

/// The same policy in its forms.
fn forms(package: &str) -> Vec<(&'static str, Box<dyn Foreign>)> {
    let cache = tempfile::tempdir().unwrap();
    let native = NativePolicy::new(&library(package), cache.path(), &SWITCH).unwrap();
    let wasm = WasmPolicy::new(component(package), package, None, None).unwrap();
    assert_eq!(wasm.description(), native.description());
    assert_eq!(wasm.description().name, package);
    vec![("component", Box::new(wasm)), ("library", Box::new(native))]
}

/// The numbers of an example's `.toml`.
fn numbers(package: &str) -> Profile {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/policies/{package}/{package}.toml"));
    let text = std::fs::read_to_string(&path).unwrap();
    PolicyFile::parse(&path, &text).unwrap().profile(Mode::Balanced).clone()
}

/// Where the numbers of a `.toml` say all of it: the built-in policy decides by them as the program does that is asked
/// after the built-in policy with its own.
fn toml_agrees(package: &str) {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let (forms, plain, numbers) = (forms(package), Profile::of(Mode::Balanced), numbers(package));
    assert_ne!(plain, numbers);
    let mut runner = TestRunner::deterministic();
    for _ in 0..500 {
        let mut facts = facts().new_tree(&mut runner).unwrap().current();
        if let Facts::Route(facts) = &mut facts {
            facts.otherwise = facts.built_in.clone();
        }
        plain.decide(&mut facts);
        let decided = forms[0].1.decide(&facts).unwrap();
        numbers.decide(&mut facts);
        assert_eq!(convoke_policy::Policy::decide(&convoke_policy::AsBuiltIn, &facts), decided, "on {facts:?}");
    }
}

fn all_agree(package: &str) -> Vec<Decision> {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let forms = forms(package);
    let mut runner = TestRunner::deterministic();
    let mut own = Vec::new();
    for _ in 0..500 {
        let facts = facts().new_tree(&mut runner).unwrap().current();
        let decisions: Vec<_> = forms.iter().map(|(form, policy)| (form, policy.decide(&facts))).collect();
        let (_, first) = &decisions[0];
        let first = first.as_ref().unwrap_or_else(|fault| panic!("{facts:?}: {fault}"));
        for (form, decision) in &decisions {
            assert_eq!(decision.as_ref(), Ok(first), "{package} as a {form}, on {facts:?}");
        }
        first.check().unwrap();
        let built_in = convoke_policy::Policy::decide(&convoke_policy::AsBuiltIn, &facts);
        if *first != built_in {
            own.push(first.clone());
        }
    }
    own
}

#[test]
fn night_shift_decides_the_same_in_all_its_forms() {
    toml_agrees("night-shift");
    let own = all_agree("night-shift");
    assert!(own.len() > 10 && own.iter().all(|decision| matches!(decision, Decision::Route(_))), "{own:?}");
}

#[test]
fn error_budget_decides_the_same_in_all_its_forms() {
    let own = all_agree("error-budget");
    assert!(own.iter().any(|decision| matches!(decision, Decision::Adapt(_))), "{own:?}");
    assert!(own.iter().any(|decision| matches!(decision, Decision::Recover(_))), "{own:?}");
}

#[test]
fn fixed_rate_decides_the_same_in_all_its_forms() {
    toml_agrees("fixed-rate");
    let own = all_agree("fixed-rate");
    assert!(own.len() > 10 && own.iter().all(|decision| matches!(decision, Decision::Admit(_))), "{own:?}");
}

/// Its numbers can't say all that its program does. They go the same way.
#[test]
fn the_numbers_of_error_budget_lower_the_limit_and_try_less_again_as_its_program_does() {
    let (plain, careful) = (Profile::of(Mode::Balanced), numbers("error-budget"));
    let load = Load { error_rate: 0.03, ended: 100, limit: 8, in_flight: 8, ..Load::default() };
    let adapt = AdaptFacts { least: 1, most: 8, load: load.clone(), ..AdaptFacts::default() };
    let recover = RecoverFacts {
        failure: "server".to_owned(),
        failures: 2,
        transient: true,
        repeatable: true,
        retries_left: 50,
        load,
        ..RecoverFacts::default()
    };
    let decided = |profile: &Profile| {
        let (mut adapt, mut recover) = (Facts::Adapt(adapt.clone()), Facts::Recover(recover.clone()));
        profile.decide(&mut adapt);
        profile.decide(&mut recover);
        match (adapt, recover) {
            (Facts::Adapt(adapt), Facts::Recover(recover)) => (adapt, recover),
            other => panic!("{other:?}"),
        }
    };
    let (of_plain, of_careful) = (decided(&plain), decided(&careful));
    assert_eq!((of_plain.0.built_in.limit, of_careful.0.built_in.limit), (8, 4));
    assert!(matches!(of_plain.1.built_in, Recover::Retry { .. }), "{:?}", of_plain.1.built_in);
    assert!(matches!(of_careful.1.built_in, Recover::GiveUp { .. }), "{:?}", of_careful.1.built_in);
    for (_, program) in forms("error-budget") {
        let Decision::Adapt(adapt) = program.decide(&Facts::Adapt(of_plain.0.clone())).unwrap() else { panic!() };
        assert_eq!(adapt.limit, 2);
        let decision = program.decide(&Facts::Recover(of_plain.1.clone())).unwrap();
        assert!(matches!(decision, Decision::Recover(Recover::GiveUp { .. })), "{decision:?}");
    }
}
