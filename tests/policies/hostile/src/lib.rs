//! A native policy that does what no policy should. Which misdeed it is, the facts' `command` says.

use std::thread;
use std::time::Duration;

use convoke_policy::abi::{self, Answer, Table, status};
use convoke_policy::{AsBuiltIn, Description, decide_json};

extern "C" fn describe() -> Answer {
    abi::guard(|| Ok(Description::new("hostile", "0.1.0").to_json()))
}

extern "C" fn decide(facts: *const u8, length: usize) -> Answer {
    // SAFETY: the host gives the start and the length of a text that lives until this function returns.
    #[allow(unsafe_code)]
    let Ok(facts) = (unsafe { abi::text(facts, length) }) else {
        return Answer::new(status::FAILED, "no text".to_owned());
    };
    let wants = |misdeed: &str| facts.contains(&format!(r#""command":"{misdeed}""#));
    let says = |text: &str| Answer::new(status::OK, text.to_owned());
    match () {
        () if wants("panic") => abi::guard(|| panic!("I will not decide")),
        () if wants("hang") => loop {
            thread::sleep(Duration::from_secs(1));
        },
        () if wants("refuse") => Answer::new(status::FAILED, "I am \u{1b}[31mtired".to_owned()),
        () if wants("null") => Answer { status: status::OK, text: std::ptr::null_mut(), length: 7 },
        () if wants("huge") => Answer { status: status::OK, text: std::ptr::dangling_mut(), length: usize::MAX },
        () if wants("long") => says(&"x".repeat(100_000)),
        () if wants("nothing") => Answer { status: status::OK, text: std::ptr::null_mut(), length: 0 },
        () if wants("status") => Answer::new(99, "{}".to_owned()),
        () if wants("bytes") => {
            let text = Box::into_raw(vec![0xff_u8, 0xfe, 0xfd].into_boxed_slice());
            Answer { status: status::OK, text: text.cast(), length: 3 }
        }
        () if wants("no-json") => says("at once, please"),
        () if wants("nan") => says(r#"{"kind":"size","decision":{"instances":NaN}}"#),
        () if wants("billion") => says(r#"{"kind":"size","decision":{"instances":1000000000}}"#),
        () if wants("too-many") => says(r#"{"kind":"size","decision":{"instances":99999999999}}"#),
        () if wants("other-kind") => says(r#"{"kind":"watch","decision":{"then":"go-on"}}"#),
        () => abi::guard(|| decide_json(&AsBuiltIn, facts)),
    }
}

static TABLE: Table = Table::new(describe, decide);

// SAFETY: no other function has this name.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
extern "C" fn convoke_policy_v1() -> *const Table {
    abi::keep_panics_quiet();
    &TABLE
}
