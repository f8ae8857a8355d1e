//! What to do about a hole, in words that can be read back: the conclusion makes its plan of them.

use std::fmt;

use convoke_sdk::text::shown;

/// The longest name or version, in characters.
const LONGEST: usize = 200;

/// Which package to upgrade, to what, and who brings it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The first version without the hole. None: there is none.
    pub to: Option<String>,
    /// What the project asks for that brings it, as `name version`; none: the project itself asks for it, or it is not known.
    pub root: Option<(String, String)>,
}

impl Advice {
    /// An advice in which nothing can break its words apart.
    pub fn new(name: &str, version: &str, to: Option<&str>, root: Option<(&str, &str)>) -> Self {
        Self {
            name: word(name),
            version: word(version),
            to: to.map(word),
            root: root.map(|(name, version)| (word(name), word(version))),
        }
    }

    /// What [`Display`](fmt::Display) wrote; none: it was something else.
    pub fn read(text: &str) -> Option<Self> {
        let (first, root) = match text.split_once("; what brings it: ") {
            Some((first, root)) => (first, Some(root.split_once(' ')?)),
            None => (text, None),
        };
        let words: Vec<&str> = first.split(' ').collect();
        let (name, version, to) = match words.as_slice() {
            ["upgrade", name, version, "to", to, "or", "later"] => (name, version, Some(*to)),
            ["replace", name, version, "which", "has", "no", "fixed", "version"] => (name, version, None),
            _ => return None,
        };
        Some(Self::new(name, version, to, root))
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, to, root } = self;
        match to {
            Some(to) => write!(out, "upgrade {name} {version} to {to} or later")?,
            None => write!(out, "replace {name} {version} which has no fixed version")?,
        }
        match root {
            Some((name, version)) => write!(out, "; what brings it: {name} {version}"),
            None => Ok(()),
        }
    }
}

/// One word: what stands in files is a stranger's.
fn word(text: &str) -> String {
    let word: String =
        shown(text, LONGEST).chars().map(|char| if matches!(char, ' ' | ';') { '_' } else { char }).collect();
    if word.is_empty() { "?".to_owned() } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for advice in [
            Advice::new("time", "0.1.42", Some("0.2.23"), Some(("chrono", "0.4.1"))),
            Advice::new("@a/b", "1", None, None),
            Advice::new("g:a", "1.0 to 9; what brings it: x", Some("2 or later"), Some(("a b", ""))),
        ] {
            assert_eq!(Advice::read(&advice.to_string()), Some(advice));
        }
        for other in ["", "upgrade a", "upgrade a 1 to 2", "upgrade a 1 to 2 or later; what brings it: b"] {
            assert_eq!(Advice::read(other), None, "{other}");
        }
    }
}
