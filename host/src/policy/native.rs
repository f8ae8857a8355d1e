//! A policy that is a native library: `convoke_policy::abi` says what it exports.
//!
//! Native code can do whatever the user can, and this is no sandbox: it can crash the host, and a wrong pointer or
//! length in an answer is read as it is. So a library comes only from the user's own configuration. What is done here is
//! against mistakes: a library for something else is refused before it is called, a panic ends at its border, one that
//! hangs is left alone, and its file can be replaced while it runs.

mod header;
mod table;
mod thread;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use convoke_policy::{Decision, Description, Facts, VERSION, abi};
use convoke_runtime::policy::{Fault, Foreign};
use serde_json::json;

use self::header::Wrong;
use self::table::{Called, Refused};
use self::thread::Caller;
use super::PolicyError;
use super::wasm::read_decision;
use crate::audit::{Audit, Record, kind};
use crate::config::files::write_atomic;
use crate::plugin::engine::{is_private, private_folder};
use crate::plugin::{printable, sha256_hex};

/// The largest library. Bytes.
pub const MOST_BYTES: u64 = 64 << 20;

/// Says, once a library hung, why no other one is loaded. A hung thread can't be ended, and a second one would take the
/// next processor.
#[derive(Debug, Default)]
pub struct Switch(OnceLock<String>);

impl Switch {
    /// One that is on.
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Why it is off; none: it is on.
    pub fn why_off(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    fn off(&self, why: String) {
        // The first reason stays.
        let _ = self.0.set(why);
    }
}

/// The process's own.
static SWITCH: Switch = Switch::new();

/// A library that decides. It is copied into `cache`, which is made readable for this user only, and never unloaded.
///
/// # Errors
/// See [`PolicyError`].
pub fn load(path: &Path, cache: &Path, audit: &Audit) -> Result<Box<dyn Foreign>, PolicyError> {
    Ok(Box::new(NativePolicy::audited(path, cache, &SWITCH, audit)?))
}

/// A library that decides.
pub struct NativePolicy {
    description: Description,
    name: String,
    caller: Caller,
    switch: &'static Switch,
}

impl NativePolicy {
    /// Copies a library, loads the copy and asks what it is. One that hangs switches `switch` off.
    ///
    /// # Errors
    /// See [`PolicyError`]: it can't be read, is no library for this machine, exports no policy, was built for another
    /// ABI or version, does not say what it is, or native policies are switched off.
    pub fn new(path: &Path, cache: &Path, switch: &'static Switch) -> Result<Self, PolicyError> {
        Self::audited(path, cache, switch, &Audit::off())
    }

    /// As [`new`](Self::new), of which the audit log has the file and its digest before any of its code runs.
    ///
    /// # Errors
    /// As [`new`](Self::new); it can't be audited.
    pub fn audited(path: &Path, cache: &Path, switch: &'static Switch, audit: &Audit) -> Result<Self, PolicyError> {
        if let Some(why) = switch.why_off() {
            return Err(PolicyError::SwitchedOff { path: path.to_owned(), why: why.to_owned() });
        }
        let bytes = read(path)?;
        check_header(path, &bytes)?;
        let copy = keep(&bytes, cache)?;
        let details = json!({"sha256": sha256_hex(&bytes), "bytes": bytes.len()});
        audit.before_blocking(vec![Record::new(kind::POLICY_NATIVE, path.to_string_lossy(), details)])?;
        let name = printable(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy(), 80);
        let hung = |Fault(why)| {
            let why = format!("{name} hung: {why}");
            switch.off(why.clone());
            PolicyError::Load { path: path.to_owned(), why }
        };
        let (caller, opened) = Caller::start(copy).map_err(hung)?;
        opened.map_err(|refused| refused.into_error(path))?;
        let failed = |Fault(why)| PolicyError::Description { name: name.clone(), why };
        let called = caller.call(None).map_err(hung)?;
        let text = words(called).map_err(failed)?;
        let description: Description = serde_json::from_str(&text)
            .map_err(|error| failed(Fault(printable(&format!("{error}, in {text}"), 300))))?;
        Ok(Self { description, name, caller, switch })
    }

    /// What it says about itself.
    pub fn description(&self) -> &Description {
        &self.description
    }
}

impl Foreign for NativePolicy {
    fn decide(&self, facts: &Facts) -> Result<Decision, Fault> {
        let facts =
            serde_json::to_string(facts).map_err(|error| Fault(format!("the facts can't be written: {error}")))?;
        let called = self.caller.call(Some(facts)).inspect_err(|Fault(why)| {
            self.switch.off(format!("the policy {} hung: {why}", self.name));
        })?;
        read_decision(match called {
            Called::Failed(why) => Err(why),
            other => Ok(words(other)?),
        })
    }
}

/// What a call gave, if that is a text.
fn words(called: Called) -> Result<String, Fault> {
    match called {
        Called::Said(text) => Ok(text),
        Called::Failed(why) => Err(Fault(format!("it says: {}", printable(&why, 300)))),
        Called::Panicked(said) => Err(Fault(format!("it panicked: {}", printable(&said, 300)))),
        Called::Unreadable(why) => Err(Fault(why)),
    }
}

impl Refused {
    fn into_error(self, path: &Path) -> PolicyError {
        let path = path.to_owned();
        match self {
            Self::Load(why) => PolicyError::Load { path, why: printable(&why, 300) },
            Self::NoSymbol => PolicyError::NoSymbol { path, symbol: abi::SYMBOL },
            Self::Abi(why) => PolicyError::OtherAbi { path, why },
            Self::Version(policy) => {
                PolicyError::OtherVersion { name: printable(&path.to_string_lossy(), 200), policy, host: VERSION }
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, PolicyError> {
    let io = |why| PolicyError::Io { path: path.to_owned(), why };
    let mut bytes = Vec::new();
    // One more than may be, so that too large is noticed.
    File::open(path).map_err(io)?.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(PolicyError::TooLarge { name: printable(&path.to_string_lossy(), 200), limit: MOST_BYTES });
    }
    Ok(bytes)
}

fn check_header(path: &Path, bytes: &[u8]) -> Result<(), PolicyError> {
    let machine = std::env::consts::ARCH;
    header::check(bytes, std::env::consts::OS, machine).map_err(|wrong| match wrong {
        Wrong::Kind(what) => PolicyError::NotALibrary { path: path.to_owned(), what },
        Wrong::Machine(library) => {
            PolicyError::OtherMachine { path: path.to_owned(), library, machine: machine.to_owned() }
        }
    })
}

/// Copies a library to a place named by its content. So the file that the user replaces is never the one that runs, and
/// a changed one is never taken for the one that is loaded already.
fn keep(bytes: &[u8], cache: &Path) -> Result<PathBuf, PolicyError> {
    let path = cache.join(format!("{}.{}", sha256_hex(bytes), std::env::consts::DLL_EXTENSION));
    let io = |why| PolicyError::Io { path: path.clone(), why };
    private_folder(cache).map_err(io)?;
    let is_kept = is_private(&path) && std::fs::read(&path).is_ok_and(|kept| kept == bytes);
    if !is_kept {
        write_atomic(&path, bytes, Some(0o600)).map_err(io)?;
    }
    path.canonicalize().map_err(io)
}

#[cfg(test)]
mod tests;
