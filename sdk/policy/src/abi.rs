//! The policy as a native library: its C ABI, which is the same for every language.
//!
//! A library has one symbol, [`SYMBOL`]: a function without parameters that gives a pointer to a [`Table`], which stays
//! where it is for good. Before the host calls anything of the table it compares what stands in front: [`MAGIC`],
//! [`ABI`], the table's size, the version of the decisions, pointer width and architecture.
//!
//! Texts are UTF-8, a pointer and a length, without a zero at the end. Who made a buffer frees it: the host the facts,
//! the library its [`Answer`]s, through `free`. No function may unwind. All are called from one thread at a time, which
//! is not always the same one.

#![allow(unsafe_code)]

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Once;

use crate::VERSION;

/// The name of the one function that a library exports. Its number is that of the [`ABI`].
pub const SYMBOL: &str = "convoke_policy_v1";

/// How a table begins.
pub const MAGIC: [u8; 8] = *b"cnvkplcy";

/// The version of this ABI.
pub const ABI: u32 = 1;

/// What the function [`SYMBOL`] points to.
#[repr(C)]
#[derive(Debug)]
pub struct Table {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`ABI`].
    pub abi: u32,
    /// The size of this table, in bytes. A later one of the same ABI may be longer, and is never shorter.
    pub size: u32,
    /// The version of the decisions: [`VERSION`].
    pub policy: u32,
    /// The width of a pointer, in bits.
    pub pointer_width: u32,
    /// The architecture, as in `std::env::consts::ARCH`, filled up with zeros.
    pub arch: [u8; 16],
    /// Gives a [`Description`](crate::Description) as JSON.
    pub describe: extern "C" fn() -> Answer,
    /// Decides on facts, as JSON on both sides.
    pub decide: extern "C" fn(facts: *const u8, length: usize) -> Answer,
    /// Frees an answer. Called once for each, whatever its status.
    pub free: extern "C" fn(Answer),
}

impl Table {
    /// The table of a library that is built with this crate.
    pub const fn new(describe: extern "C" fn() -> Answer, decide: extern "C" fn(*const u8, usize) -> Answer) -> Self {
        Self {
            magic: MAGIC,
            abi: ABI,
            size: size_of::<Self>() as u32,
            policy: VERSION,
            pointer_width: usize::BITS,
            arch: arch(),
            describe,
            decide,
            free,
        }
    }
}

/// The architecture that this is built for, as it stands in a [`Table`].
pub const fn arch() -> [u8; 16] {
    let name = std::env::consts::ARCH.as_bytes();
    let mut arch = [0; 16];
    let mut at = 0;
    while at < name.len() && at < arch.len() {
        arch[at] = name[at];
        at += 1;
    }
    arch
}

/// What an [`Answer`] is.
pub mod status {
    /// What was asked for.
    pub const OK: u32 = 0;
    /// Words that say why there is nothing else.
    pub const FAILED: u32 = 1;
    /// What a panic said.
    pub const PANICKED: u32 = 2;
}

/// What a function of a library gives: a text that the library owns.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// One of [`status`].
    pub status: u32,
    /// The start of the text; may be null where `length` is 0.
    pub text: *mut u8,
    /// The length of the text, in bytes.
    pub length: usize,
}

impl Answer {
    /// Hands a text over.
    pub fn new(status: u32, text: String) -> Self {
        let length = text.len();
        let text = Box::into_raw(text.into_bytes().into_boxed_slice()).cast::<u8>();
        Self { status, text, length }
    }
}

/// Runs one function of a library: a panic ends here, and becomes an answer.
pub fn guard(call: impl FnOnce() -> Result<String, String>) -> Answer {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(text)) => Answer::new(status::OK, text),
        Ok(Err(why)) => Answer::new(status::FAILED, why),
        Err(payload) => {
            let said = said(&*payload);
            // Dropping what was thrown could panic once more.
            std::mem::forget(payload);
            Answer::new(status::PANICKED, said)
        }
    }
}

thread_local! {
    static LAST_PANIC: Cell<Option<String>> = const { Cell::new(None) };
}

/// What a panic said: with its place where the hook of [`keep_panics_quiet`] is set.
fn said(payload: &(dyn Any + Send)) -> String {
    let plain = || {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| payload.downcast_ref::<String>().cloned())
    };
    LAST_PANIC.take().or_else(plain).unwrap_or_else(|| "it panicked without a word".to_owned())
}

/// From now on, what a panic says is kept for the [`Answer`] and not written to the host's terminal. A library has a
/// standard library of its own, so this is not the host's hook.
pub fn keep_panics_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|panic| LAST_PANIC.set(Some(panic.to_string())))));
}

/// A text that the host has given.
///
/// # Safety
/// `start` points to `length` bytes that nobody changes while the text is used, or `length` is 0.
///
/// # Errors
/// It is not UTF-8.
pub unsafe fn text<'a>(start: *const u8, length: usize) -> Result<&'a str, String> {
    if length == 0 || start.is_null() {
        return Ok("");
    }
    // SAFETY: promised by the caller.
    let bytes = unsafe { std::slice::from_raw_parts(start, length) };
    std::str::from_utf8(bytes).map_err(|error| format!("the facts are not UTF-8: {error}"))
}

extern "C" fn free(answer: Answer) {
    if !answer.text.is_null() {
        // SAFETY: the text was made by `Answer::new` from a box of so many bytes, and is freed once.
        drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(answer.text, answer.length)) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an answer says, and frees it.
    fn read(answer: Answer) -> (u32, String) {
        // SAFETY: made by `Answer::new` a moment ago.
        let text = unsafe { text(answer.text, answer.length) }.unwrap().to_owned();
        free(answer);
        (answer.status, text)
    }

    #[test]
    fn a_text_a_failure_and_a_panic_all_come_back_as_answers() {
        assert_eq!(read(guard(|| Ok("{}".to_owned()))), (status::OK, "{}".to_owned()));
        assert_eq!(read(guard(|| Ok(String::new()))), (status::OK, String::new()));
        assert_eq!(read(guard(|| Err("no".to_owned()))), (status::FAILED, "no".to_owned()));
        let (status, said) = read(guard(|| panic!("it is {}", "late")));
        assert_eq!(status, status::PANICKED);
        assert!(said.contains("it is late"), "{said}");
        let (status, said) = read(guard(|| std::panic::panic_any(7)));
        assert_eq!(status, status::PANICKED);
        assert!(!said.is_empty());
    }

    #[test]
    fn the_table_says_what_it_was_built_for() {
        extern "C" fn describe() -> Answer {
            guard(|| Ok(String::new()))
        }
        extern "C" fn decide(_: *const u8, _: usize) -> Answer {
            describe()
        }
        let table = Table::new(describe, decide);
        assert_eq!((table.magic, table.abi, table.policy), (MAGIC, ABI, VERSION));
        assert_eq!(table.size as usize, size_of::<Table>());
        assert!(table.arch.starts_with(std::env::consts::ARCH.as_bytes()));
        assert!(SYMBOL.ends_with(&format!("_v{ABI}")));
    }

    #[test]
    fn facts_that_are_no_text_are_an_error() {
        // SAFETY: both are whole arrays.
        let (bad, none) = unsafe { (text([0xff_u8, 0xfe].as_ptr(), 2), text(ptr::null(), 0)) };
        assert!(bad.unwrap_err().contains("UTF-8"));
        assert_eq!(none, Ok(""));
    }
}
