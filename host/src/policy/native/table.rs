//! A library and its table: the only place that native code is called from.

#![allow(unsafe_code)]

use std::mem::offset_of;
use std::path::Path;
use std::slice;

use convoke_policy::VERSION;
use convoke_policy::abi::{ABI, Answer, MAGIC, SYMBOL, Table, arch, status};

/// The longest answer that is read, in bytes.
const ANSWER: usize = 64 << 10;

/// Why a library is not used.
#[derive(Debug)]
pub(super) enum Refused {
    /// The system's words.
    Load(String),
    /// It has no [`SYMBOL`].
    NoSymbol,
    /// What differs.
    Abi(String),
    /// It was built for this other version of the decisions.
    Version(u32),
}

/// What a call of a library gave. The words are a stranger's.
#[derive(Debug)]
pub(super) enum Called {
    /// What was asked for.
    Said(String),
    /// Why there is none.
    Failed(String),
    /// What a panic said.
    Panicked(String),
    /// It can't be read; why.
    Unreadable(String),
}

/// Loads a library, and gives its table if it fits this host. It is never unloaded: code of it may run on a thread that
/// was left, and what it registered with its thread would outlive it.
pub(super) fn open(path: &Path) -> Result<&'static Table, Refused> {
    // SAFETY: what a library does when it is loaded can't be known; the user has named it as his own code. Its first
    // bytes are those of a library for this machine.
    let library = unsafe { library(path) }.map_err(|error| Refused::Load(error.to_string()))?;
    // SAFETY: a symbol of this name is by its documentation such a function.
    let Ok(symbol) = (unsafe { library.get::<extern "C" fn() -> *const Table>(SYMBOL) }) else {
        return Err(Refused::NoSymbol);
    };
    let table = symbol();
    std::mem::forget(library);
    // SAFETY: the symbol's documentation promises a table that stays.
    unsafe { check(table) }
}

#[cfg(unix)]
unsafe fn library(path: &Path) -> Result<libloading::Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // What is missing is found now, not in the middle of a decision, where the system would end the process.
    // SAFETY: promised by the caller.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map(Into::into)
}

#[cfg(not(unix))]
unsafe fn library(path: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: promised by the caller.
    unsafe { libloading::Library::new(path) }
}

/// Compares what stands in front of a table, field by field: of another ABI, the next one may mean something else.
///
/// # Safety
/// It is null, or points to what stays for good and has at least the size that it says it has.
unsafe fn check(table: *const Table) -> Result<&'static Table, Refused> {
    let refuse = |why: String| Err(Refused::Abi(why));
    if table.is_null() || !table.is_aligned() {
        return refuse("it gives no table".to_owned());
    }
    // SAFETY: the first fields are the same in every version; they are read as bytes and one by one.
    let (magic, abi, size) = unsafe { ((*table).magic, (*table).abi, (*table).size) };
    if magic != MAGIC {
        return refuse("its table does not begin as one".to_owned());
    }
    if abi != ABI {
        return refuse(format!("it has version {abi} of the ABI, this convoke has {ABI}"));
    }
    if (size as usize) < size_of::<Table>() {
        return refuse(format!("its table has {size} bytes of {}", size_of::<Table>()));
    }
    // SAFETY: the size says that these are there.
    let (policy, width, built_for) = unsafe { ((*table).policy, (*table).pointer_width, (*table).arch) };
    if width != usize::BITS || built_for != arch() {
        return refuse(format!("it is built for {width} bits of {}", built_for.escape_ascii()));
    }
    if policy != VERSION {
        return Err(Refused::Version(policy));
    }
    // A function that is null would be undefined already as a reference, so this is looked at before there is one.
    for offset in [offset_of!(Table, describe), offset_of!(Table, decide), offset_of!(Table, free)] {
        // SAFETY: within the table, and as wide as a pointer.
        if unsafe { table.byte_add(offset).cast::<usize>().read() } == 0 {
            return refuse("one of its functions is null".to_owned());
        }
    }
    // SAFETY: it stays, its size is right, and its functions are there.
    Ok(unsafe { &*table })
}

/// Calls `decide` on facts, and without facts `describe`.
pub(super) fn call(table: &Table, facts: Option<&str>) -> Called {
    let answer = match facts {
        Some(facts) => (table.decide)(facts.as_ptr(), facts.len()),
        None => (table.describe)(),
    };
    if answer.length > ANSWER {
        // Not freed: the length may be as wrong as the rest of it.
        return Called::Unreadable(format!("its answer has {} bytes; {ANSWER} are allowed", answer.length));
    }
    if answer.text.is_null() && answer.length > 0 {
        return Called::Unreadable("its answer is a null pointer".to_owned());
    }
    let bytes = if answer.length == 0 {
        Vec::new()
    } else {
        // SAFETY: not null, of a length that can be; that so much is there is the library's promise.
        unsafe { slice::from_raw_parts(answer.text, answer.length) }.to_vec()
    };
    let Answer { status, .. } = answer;
    (table.free)(answer);
    let Ok(text) = String::from_utf8(bytes) else {
        return Called::Unreadable("its answer is not UTF-8".to_owned());
    };
    match status {
        status::OK => Called::Said(text),
        status::FAILED => Called::Failed(text),
        status::PANICKED => Called::Panicked(text),
        other => Called::Unreadable(format!("its answer has the status {other}, which is none")),
    }
}
