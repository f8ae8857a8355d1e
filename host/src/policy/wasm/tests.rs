use std::fmt::Write as _;
use std::time::{Duration, Instant};

use convoke_policy::{Decision, RouteTo, Size, Tier};
use convoke_runtime::policy::Slot;

use super::super::fixtures::{admit, at_night, component, size};
use super::*;

const DESCRIPTION: &str = r#"{"name":"hostile","version":"0.1.0","policy":1}"#;

/// A policy by hand. `answer` stands at 2048 and is the text of `decide`, unless `decide`, its code, gives the address of
/// another result: at 1024 there is the one with that text.
struct Hostile<'a> {
    description: &'a str,
    answer: &'a str,
    /// Functions and globals of the module.
    module: &'a str,
    decide: &'a str,
}

impl Default for Hostile<'_> {
    fn default() -> Self {
        Self { description: DESCRIPTION, answer: "", module: "", decide: "i32.const 1024" }
    }
}

fn quoted(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "\\{byte:02x}").unwrap();
        text
    })
}

/// A result on the heap: the case, an address and a length.
fn words(numbers: &[usize]) -> String {
    quoted(&numbers.iter().flat_map(|number| u32::try_from(*number).unwrap().to_le_bytes()).collect::<Vec<_>>())
}

impl Hostile<'_> {
    fn module(&self) -> String {
        let (description, answer) = (quoted(self.description.as_bytes()), quoted(self.answer.as_bytes()));
        let (described, answered) = (words(&[512, self.description.len()]), words(&[0, 2048, self.answer.len()]));
        format!(
            r#"
            (core module $m
              (import "log" "log" (func $log (param i32 i32 i32)))
              (import "log" "memory" (memory 2))
              (data (i32.const 256) "{described}")
              (data (i32.const 512) "{description}")
              (data (i32.const 1024) "{answered}")
              (data (i32.const 2048) "{answer}")
              {}
              (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 65536)
              (func (export "describe") (result i32) i32.const 256)
              (func (export "decide") (param $facts i32) (param $length i32) (result i32) {}))"#,
            self.module, self.decide
        )
    }

    fn component(&self) -> Vec<u8> {
        let text = format!(
            r#"(component
            (type $levels (enum "debug" "info" "warn" "error"))
            (import "convoke:policy/log@0.1.0" (instance $log
              (export "level" (type $level (eq $levels)))
              (export "log" (func (param "level" $level) (param "message" string)))))
            (core module $memory (memory (export "memory") 2))
            (core instance $memory (instantiate $memory))
            (core func $log (canon lower (func $log "log") (memory $memory "memory")))
            {}
            (core instance $m (instantiate $m (with "log" (instance
              (export "log" (func $log)) (export "memory" (memory $memory "memory"))))))
            (func $describe (result string) (canon lift (core func $m "describe")
              (memory $memory "memory") (realloc (func $m "realloc"))))
            (func $decide (param "facts" string) (result (result string (error string)))
              (canon lift (core func $m "decide") (memory $memory "memory") (realloc (func $m "realloc"))))
            (instance $decisions (export "describe" (func $describe)) (export "decide" (func $decide)))
            (export "convoke:policy/decisions@0.1.0" (instance $decisions)))"#,
            self.module()
        );
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    fn load(&self) -> WasmPolicy {
        WasmPolicy::new(&self.component(), "hostile.wasm", None, None).unwrap()
    }

    /// Why it decides nothing.
    fn fault(&self) -> String {
        let Fault(why) = self.load().decide(&size("x")).unwrap_err();
        assert!(why.len() < 1_000, "{why}");
        why
    }
}

fn refused(bytes: &[u8]) -> PolicyError {
    WasmPolicy::new(bytes, "hostile.wasm", None, None).err().expect("it is refused")
}

#[test]
fn an_example_says_what_it_is_and_decides() {
    let policy = WasmPolicy::new(component("night-shift"), "night-shift.wasm", None, None).unwrap();
    assert_eq!(policy.description(), &Description::new("night-shift", env!("CARGO_PKG_VERSION")));
    let night = Decision::Route(RouteTo::tier(Tier::Speed, "it is night"));
    for _ in 0..100 {
        assert_eq!(policy.decide(&at_night()), Ok(night.clone()));
    }
    assert_eq!(policy.decide(&size("x")), Ok(Decision::Size(Size::of(3, "as built in"))));
}

#[test]
fn the_examples_import_nothing_but_the_log() {
    for package in ["night-shift", "error-budget", "fixed-rate"] {
        let names = inspect::names(component(package)).unwrap();
        assert_eq!(names.imports, ["convoke:policy/log@0.1.0"], "{package}");
        assert_eq!(names.exports, ["convoke:policy/decisions@0.1.0"], "{package}");
    }
}

#[test]
fn one_by_hand_decides_too() {
    let answer = r#"{"kind":"size","decision":{"instances":7}}"#;
    let policy = Hostile { answer, ..Hostile::default() }.load();
    assert_eq!(policy.decide(&size("x")), Ok(Decision::Size(Size::of(7, ""))));
}

#[test]
fn traps_loops_and_greed_end_as_faults_and_the_next_decision_is_made() {
    let grow = "(loop (drop (memory.grow (i32.const 16))) (br 0)) i32.const 1024";
    let table = [
        ("unreachable", "it panicked"),
        ("(loop (br 0)) i32.const 1024", "units of fuel"),
        ("(i32.load (i32.const -8))", "memory"),
        ("(i32.div_u (i32.const 1) (i32.const 0))", "divide by zero"),
        (grow, "memory"),
        ("i32.const 70000000", "pointer"),
    ];
    for (decide, said) in table {
        let begin = Instant::now();
        let why = Hostile { decide, ..Hostile::default() }.fault();
        assert!(why.contains(said), "{decide}: {why}");
        assert!(begin.elapsed() < Duration::from_secs(10), "{decide}");
    }
    // The address is the facts' length: 1024 only where they are so long.
    let answer = r#"{"kind":"size","decision":{"instances":7}}"#;
    let decide = "(if (i32.gt_u (local.get $length) (i32.const 2000)) (then unreachable)) i32.const 1024";
    let policy = Hostile { answer, decide, ..Hostile::default() }.load();
    assert!(policy.decide(&size(&"x".repeat(3_000))).is_err());
    assert_eq!(policy.decide(&size("x")), Ok(Decision::Size(Size::of(7, ""))), "a fresh instance decides");
}

#[test]
fn deep_recursion_is_a_fault() {
    let module = "(func $deep (param i64) (result i64) (i64.add (call $deep (local.get 0)) (i64.const 1)))";
    let decide = "(drop (call $deep (i64.const 1))) i32.const 1024";
    let why = Hostile { module, decide, ..Hostile::default() }.fault();
    assert!(why.contains("stack"), "{why}");
}

#[test]
fn memory_that_is_moved_at_once_is_paid_by_the_byte() {
    let decide = "(drop (memory.grow (i32.const 200)))
        (loop (memory.fill (i32.const 65536) (i32.const 7) (i32.const 1000000)) (br 0)) i32.const 1024";
    let begin = Instant::now();
    let why = Hostile { decide, ..Hostile::default() }.fault();
    assert!(why.contains("units of fuel"), "{why}");
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_was_compiled_is_kept_and_a_damaged_one_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("components");
    let answer = r#"{"kind":"size","decision":{"instances":7}}"#;
    let bytes = Hostile { answer, ..Hostile::default() }.component();
    let kept = || std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let decides = || {
        let policy = WasmPolicy::new(&bytes, "x", Some(&cache), None).unwrap();
        assert_eq!(policy.decide(&size("x")), Ok(Decision::Size(Size::of(7, ""))));
    };
    decides();
    let [file] = kept().try_into().unwrap();
    decides();
    // Not written over: its pages may be in use.
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "damaged").unwrap();
    decides();
    assert_ne!(std::fs::read(&file).unwrap(), b"damaged");
    assert_eq!(kept(), [file]);
}

#[test]
fn what_is_no_decision_is_a_fault() {
    let table = [
        ("at once, please", "no decision"),
        ("", "no decision"),
        ("{}", "no decision"),
        (r#"{"kind":"size","decision":{"instances":NaN}}"#, "no decision"),
        (r#"{"kind":"size","decision":{"instances":99999999999}}"#, "no decision"),
        (r#"{"kind":"size","decision":{"instances":-1}}"#, "no decision"),
        (r#"{"kind":"launch","decision":{}}"#, "no decision"),
    ];
    for (answer, said) in table {
        let why = Hostile { answer, ..Hostile::default() }.fault();
        assert!(why.contains(said), "{answer}: {why}");
    }
    let nested = "[".repeat(60_000);
    assert!(Hostile { answer: &nested, ..Hostile::default() }.fault().contains("no decision"));
    let escape = Hostile { answer: "\u{1b}[31mred", ..Hostile::default() }.fault();
    assert!(escape.contains("\\u{1b}[31mred"), "{escape}");
}

#[test]
fn an_answer_of_a_hundred_megabytes_is_never_read() {
    let far = words(&[0, 2048, 100_000_000]);
    let module = format!(r#"(data (i32.const 4096) "{far}")"#);
    let why = Hostile { module: &module, decide: "i32.const 4096", ..Hostile::default() }.fault();
    assert!(why.contains("out of bounds"), "{why}");
    let long = words(&[0, 2048, 100_000]);
    let module = format!(r#"(data (i32.const 4096) "{long}")"#);
    let why = Hostile { module: &module, decide: "i32.const 4096", ..Hostile::default() }.fault();
    assert!(why.contains("too much data"), "{why}");
}

#[test]
fn it_may_say_why_it_does_not_decide() {
    let why = words(&[1, 2048, 5]);
    let module = format!(r#"(data (i32.const 4096) "{why}")"#);
    let why = Hostile { module: &module, decide: "i32.const 4096", answer: "tired", ..Hostile::default() }.fault();
    assert_eq!(why, "it says: tired");
}

#[tokio::test]
async fn the_built_in_policy_goes_on_where_a_component_fails_or_decides_nonsense_and_it_is_said_once() {
    let billion = r#"{"kind":"size","decision":{"instances":1000000000}}"#;
    let other = r#"{"kind":"watch","decision":{"then":"go-on"}}"#;
    for (answer, decide) in [(billion, "i32.const 1024"), (other, "i32.const 1024"), ("", "unreachable")] {
        let events = Events::new();
        let slot = Slot::built_in(events.clone());
        let policy = Hostile { answer, decide, ..Hostile::default() }.load();
        slot.swap("hostile.wasm", None, Some(Box::new(policy)), "chosen").await;
        for _ in 0..3 {
            let decided = slot.decide(&slot.in_force(), &size("x"));
            assert_eq!((decided.decision, &*decided.by), (Decision::Size(Size::of(3, "as built in")), "built-in"));
        }
        let warned = events.warned();
        assert_eq!(warned.len(), 1, "{warned:?}");
        assert!(warned[0].contains("hostile.wasm"), "{warned:?}");
        assert_eq!(&*slot.decide(&slot.in_force(), &admit()).by, "built-in");
    }
}

#[test]
fn the_log_is_told_with_a_fault_and_can_not_be_flooded() {
    let shout = "(call $log (i32.const 2) (i32.const 2048) (i32.const 9))";
    let decide = format!("{shout} unreachable");
    let why = Hostile { answer: "it is hot", decide: &decide, ..Hostile::default() }.fault();
    assert_eq!(why, "it panicked; its last words: warn: it is hot");
    let decide = format!("(loop {shout} (br 0)) i32.const 1024");
    let events = Events::new();
    let mut lines = events.listen();
    let bytes = Hostile { answer: "it is hot", decide: &decide, ..Hostile::default() }.component();
    let policy = WasmPolicy::new(&bytes, "x", None, Some(events)).unwrap();
    assert!(policy.decide(&size("x")).unwrap_err().0.contains("units of fuel"));
    let mut count = 0;
    while lines.try_recv().is_some() {
        count += 1;
    }
    assert!((90..=101).contains(&count), "{count}");
}

#[test]
fn one_that_imports_more_than_the_log_is_refused_with_the_names() {
    let text = r#"(component
        (import "wasi:cli/environment@0.2.0" (instance))
        (import "convoke:plugin/worker@0.1.0" (instance))
        (component $c (instance $i) (export "x" (instance $i)))
        (instance $d)
        (export "convoke:policy/decisions@0.1.0" (instance $d)))"#;
    let error = refused(&wat::parse_str(text).unwrap());
    let PolicyError::Imports { imports, .. } = &error else { panic!("{error}") };
    assert_eq!(imports, &["wasi:cli/environment@0.2.0", "convoke:plugin/worker@0.1.0"]);
    assert!(error.to_string().contains("wasi:cli/environment"), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn what_is_no_policy_is_refused() {
    assert!(matches!(refused(b""), PolicyError::NotAComponent { .. }));
    assert!(matches!(refused(b"version = 1"), PolicyError::NotAComponent { .. }));
    assert!(matches!(refused(&wat::parse_str("(module)").unwrap()), PolicyError::NotAComponent { .. }));
    let agent_audit = include_bytes!("../../../prebuilt/agent-audit.wasm");
    assert!(matches!(refused(agent_audit), PolicyError::OtherWorld { .. }));
    let large = vec![0; usize::try_from(MOST_BYTES).unwrap() + 1];
    assert!(matches!(refused(&large), PolicyError::TooLarge { .. }));
    let whole = component("night-shift");
    assert!(matches!(refused(&whole[..whole.len() / 2]), PolicyError::NotAComponent { .. }));
    let empty = r#"(component (instance $d) (export "convoke:policy/decisions@0.1.0" (instance $d)))"#;
    assert!(matches!(refused(&wat::parse_str(empty).unwrap()), PolicyError::Link { .. }));
    let later = empty.replace("0.1.0", "0.2.0");
    let error = refused(&wat::parse_str(&later).unwrap());
    assert!(error.to_string().contains("of version 0.2.0, this convoke has 0.1.0"), "{error}");
}

#[test]
fn one_with_other_types_is_refused() {
    let bytes = Hostile::default().component();
    assert!(WasmPolicy::new(&bytes, "x", None, None).is_ok());
    let text = r#"(component
        (core module $m (func (export "f") (result i32) i32.const 1))
        (core instance $m (instantiate $m))
        (func $f (result u32) (canon lift (core func $m "f")))
        (instance $d (export "describe" (func $f)) (export "decide" (func $f)))
        (export "convoke:policy/decisions@0.1.0" (instance $d)))"#;
    let error = refused(&wat::parse_str(text).unwrap());
    assert!(matches!(error, PolicyError::Link { .. }), "{error}");
}

#[test]
fn one_that_does_not_say_what_it_is_or_is_of_another_version_is_refused() {
    for description in ["nonsense", "{}", r#"{"name":"x"}"#, ""] {
        let error = refused(&Hostile { description, ..Hostile::default() }.component());
        assert!(matches!(error, PolicyError::Description { .. }), "{description}: {error}");
    }
    let description = r#"{"name":"x","version":"9.0.0","policy":2}"#;
    let error = refused(&Hostile { description, ..Hostile::default() }.component());
    assert_eq!(
        error.to_string(),
        "the policy hostile.wasm was built for version 2 of the decisions, this convoke has 1"
    );
}

#[test]
fn one_that_hangs_while_it_starts_is_refused() {
    let module = "(func $start (loop (br 0))) (start $start)";
    let error = refused(&Hostile { module, ..Hostile::default() }.component());
    assert!(error.to_string().contains("units of fuel"), "{error}");
}

#[test]
fn any_byte_changed_is_an_answer_and_never_a_panic() {
    let bytes = Hostile { answer: r#"{"kind":"size","decision":{"instances":7}}"#, ..Hostile::default() }.component();
    for at in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[at] ^= 0xff;
        if let Ok(policy) = WasmPolicy::new(&changed, "changed.wasm", None, None) {
            let _ = policy.decide(&size("x"));
        }
    }
}

#[test]
fn the_version_is_that_of_the_contract() {
    let text = include_str!("../../../wit/policy/policy.wit");
    assert!(text.starts_with(&format!("package {PACKAGE}@{PACKAGE_VERSION};")));
    for interface in [LOG, DECISIONS] {
        assert!(text.contains(&format!("\ninterface {interface} {{")), "{interface}");
    }
}
