//! Rust's cargo: `Cargo.toml` and `Cargo.lock`.
//!
//! The rules are those of the Cargo Book ("The Manifest Format", "Specifying Dependencies", "Workspaces") and, for the
//! lockfile, of cargo's own encoding (`src/cargo/core/resolver/encode.rs`), because no text describes it.

mod lock;
pub mod manifest;

use super::Format;
use crate::model::{Bound, Manager};

/// The format of a file of that name.
pub fn format_of(name: &str) -> Option<Format> {
    let manager = Manager::Cargo;
    match name {
        "Cargo.toml" => Some(Format { manager, lock: false, parse: manifest::parse }),
        "Cargo.lock" => Some(Format { manager, lock: true, parse: lock::parse }),
        _ => None,
    }
}

/// What a range allows, by cargo's rules: `1.2` is a caret.
pub fn bound(range: &str) -> Bound {
    use semver::Op;
    let Ok(range) = semver::VersionReq::parse(range.trim()) else { return Bound::Unknown };
    let exact = range.comparators.iter().any(|part| part.op == Op::Exact && part.patch.is_some());
    let ends = range.comparators.iter().any(|part| !matches!(part.op, Op::Greater | Op::GreaterEq));
    match (exact, ends) {
        (true, _) => Bound::Exact,
        (false, true) => Bound::Bounded,
        (false, false) => Bound::Open,
    }
}

/// Whether it is a full commit. A shorter one may come to mean two.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_without_a_sign_is_a_caret_and_has_an_end() {
        for (range, allows) in [
            ("1", Bound::Bounded),
            ("0.2", Bound::Bounded),
            ("1.2.3", Bound::Bounded),
            ("^1.2", Bound::Bounded),
            ("~1", Bound::Bounded),
            ("1.*", Bound::Bounded),
            ("<2", Bound::Bounded),
            (">=1.2, <1.5", Bound::Bounded),
            ("=1.2", Bound::Bounded),
            ("=1.2.3", Bound::Exact),
            (" = 1.2.3-rc.1 ", Bound::Exact),
            ("*", Bound::Open),
            (">=1", Bound::Open),
            (">0.3, >=0.4", Bound::Open),
            ("", Bound::Unknown),
            ("latest", Bound::Unknown),
            ("1.2.3.4", Bound::Unknown),
        ] {
            assert_eq!(bound(range), allows, "{range}");
        }
    }
}
