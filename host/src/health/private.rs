//! Whether others can read or change what is the user's own.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::geteuid;

use crate::backends::doctor::{Check, State};
use crate::config::Paths;

/// What others must not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    /// They may read.
    DoNotWrite,
    /// Nor that.
    DoNotRead,
}

/// Whose a file is, and who may do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owned {
    mode: u32,
    is_own: bool,
}

pub(super) fn look(paths: &Paths) -> Vec<Check> {
    let (journal, key, grants) = (paths.journal(), paths.responses_key(), paths.grants());
    let places = [
        ("settings", paths.config.as_path(), Others::DoNotWrite),
        ("grants", grants.as_path(), Others::DoNotWrite),
        ("data", paths.data.as_path(), Others::DoNotWrite),
        ("journal", journal.as_path(), Others::DoNotRead),
        ("key", key.as_path(), Others::DoNotRead),
        ("cache", paths.cache.as_path(), Others::DoNotWrite),
    ];
    let found = places.into_iter().filter_map(|(name, path, others)| match path.metadata() {
        // What is not there yet is made private.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        found => Some(judge(name, path, found.as_ref().map(owned), others)),
    });
    let found: Vec<Check> = found.collect();
    if found.is_empty() { vec![Check::new("files", State::Ok, "there are none yet")] } else { found }
}

fn owned(file: &Metadata) -> Owned {
    Owned { mode: file.mode() & 0o7777, is_own: file.uid() == geteuid().as_raw() }
}

fn judge(name: &'static str, path: &Path, found: Result<Owned, &io::Error>, others: Others) -> Check {
    let shown = path.display();
    let owned = match found {
        Ok(owned) => owned,
        Err(error) => {
            return Check::new(name, State::Broken, format!("{shown}: {error}"))
                .hint(Some("make it readable for yourself"));
        }
    };
    let said = format!("{shown}: mode {:04o}", owned.mode);
    if !owned.is_own {
        let hint = "it belongs to another user, who can change it: run convoke as one and the same user";
        return Check::new(name, State::Warn, said).hint(Some(hint));
    }
    if owned.mode & 0o022 != 0 {
        let hint = format!("others can change it, and so what convoke does: chmod go-w {shown}");
        return Check::new(name, State::Broken, said).hint(Some(hint));
    }
    if others == Others::DoNotRead && owned.mode & 0o044 != 0 {
        return Check::new(name, State::Warn, said).hint(Some(format!("others can read it: chmod go-rwx {shown}")));
    }
    Check::new(name, State::Ok, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_can_change_is_bad_and_what_they_can_read_a_warning() {
        let state = |mode, others| judge("x", Path::new("/x"), Ok(Owned { mode, is_own: true }), others).state;
        assert_eq!([0o700, 0o755].map(|mode| state(mode, Others::DoNotWrite)), [State::Ok, State::Ok]);
        assert_eq!([0o600, 0o644].map(|mode| state(mode, Others::DoNotRead)), [State::Ok, State::Warn]);
        assert_eq!([0o720, 0o777].map(|mode| state(mode, Others::DoNotWrite)), [State::Broken, State::Broken]);
        let foreign = judge("x", Path::new("/x"), Ok(Owned { mode: 0o700, is_own: false }), Others::DoNotWrite);
        assert_eq!((foreign.state, foreign.hint.is_some()), (State::Warn, true));
    }
}
