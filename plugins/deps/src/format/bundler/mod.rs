//! Bundler: `Gemfile` and `*.gemspec`, of which the part is read that says what it says without being run, and `Gemfile.lock`.

mod call;
mod gemfile;
mod gemspec;
mod lock;
mod ruby;

use super::Format;
use crate::model::{Bound, Manager};

/// The format of a file, by its name.
pub fn format_of(name: &str) -> Option<Format> {
    let (lock, parse): (bool, super::Parse) = match name {
        "Gemfile" | "gems.rb" => (false, gemfile::parse),
        "Gemfile.lock" | "gems.locked" => (true, lock::parse),
        _ if name.ends_with(".gemspec") => (false, gemspec::parse),
        _ => return None,
    };
    Some(Format { manager: Manager::Bundler, lock, parse })
}

/// What the parts of a requirement allow together, after `Gem::Requirement`: `~> 1.2`, `>= 1`, or a version alone.
fn bound<'a>(parts: impl IntoIterator<Item = &'a str>) -> Bound {
    let mut bound = Bound::Open;
    for part in parts.into_iter().flat_map(|part| part.split(',')).map(str::trim) {
        let operator = part.len() - part.trim_start_matches(['=', '!', '<', '>', '~']).len();
        let (operator, version) = part.split_at(operator);
        if !version.trim_start().starts_with(|char: char| char.is_ascii_digit()) {
            return Bound::Unknown;
        }
        match operator {
            "" | "=" => bound = Bound::Exact,
            "~>" | "<" | "<=" if bound == Bound::Open => bound = Bound::Bounded,
            "~>" | "<" | "<=" | ">" | ">=" | "!=" => {}
            _ => return Bound::Unknown,
        }
    }
    bound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_rubygems() {
        for (range, expected) in [
            ("1.0", Bound::Exact),
            ("= 1.0", Bound::Exact),
            ("~> 1.2", Bound::Bounded),
            (">= 1, < 2", Bound::Bounded),
            (">= 1", Bound::Open),
            ("!= 1.5", Bound::Open),
            ("=> 1", Bound::Unknown),
            ("latest", Bound::Unknown),
            ("", Bound::Unknown),
        ] {
            assert_eq!(bound([range]), expected, "{range}");
        }
        assert_eq!(bound([">= 1", "< 2"]), Bound::Bounded);
        assert_eq!(bound([]), Bound::Open);
    }

    #[test]
    fn both_pairs_of_names_are_known() {
        let lock = |name: &str| format_of(name).map(|format| format.lock);
        assert_eq!(["Gemfile", "gems.rb", "shop.gemspec"].map(lock), [Some(false); 3]);
        assert_eq!(["Gemfile.lock", "gems.locked"].map(lock), [Some(true); 2]);
        assert_eq!(lock("gemfile.txt"), None);
    }
}
