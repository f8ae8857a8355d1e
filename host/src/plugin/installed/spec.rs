//! What can be typed for a plugin to install.

use std::fmt;
use std::str::FromStr;

use semver::{Version, VersionReq};

use crate::plugin::manifest::is_name;
use crate::plugin::printable;

/// What was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec {
    /// `deps`, `deps@^0.2`, `acme/deps@1`: one that comes with convoke, else one of a registry.
    Named {
        /// The name of one of the user's registries; none: the first.
        namespace: Option<String>,
        /// The command.
        name: String,
        /// Which versions would do.
        requirement: VersionReq,
    },
    /// A path, a URL or a reference, as it was typed.
    Place(String),
}

/// A text that names no plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", printable(.text, 200))]
pub struct SpecError {
    text: String,
    why: String,
}

impl FromStr for Spec {
    type Err = SpecError;

    /// What has `://` in it is a URL or a reference; what begins with `.` or ends with `.wasm`, or has a `/` and no `@`, is a
    /// path; all else is a name. A whole version without an operator is exactly that one.
    fn from_str(text: &str) -> Result<Self, SpecError> {
        let wrong = |why: String| SpecError { text: text.to_owned(), why };
        let is_path = text.starts_with(['.', '/']) || text.ends_with(".wasm") || text.contains('\\');
        if text.contains("://") || is_path || (text.contains('/') && !text.contains('@')) {
            return Ok(Self::Place(text.to_owned()));
        }
        let (path, requirement) = match text.split_once('@') {
            Some((path, requirement)) => {
                let exact = Version::parse(requirement).map(|version| format!("={version}"));
                let parsed = exact.as_deref().unwrap_or(requirement).parse::<VersionReq>();
                (path, parsed.map_err(|error| wrong(format!("the versions can't be understood: {error}")))?)
            }
            None => (text, VersionReq::STAR),
        };
        let (namespace, name) = match path.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, path),
        };
        if !is_name(name) || !namespace.is_none_or(is_name) {
            let why = "this is no command's name, and no path either: a path begins with `./`, `../` or `/`";
            return Err(wrong(why.to_owned()));
        }
        Ok(Self::Named { namespace: namespace.map(str::to_owned), name: name.to_owned(), requirement })
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(place) => out.write_str(place),
            Self::Named { namespace, name, requirement } => {
                if let Some(namespace) = namespace {
                    write!(out, "{namespace}/")?;
                }
                out.write_str(name)?;
                if *requirement == VersionReq::STAR { Ok(()) } else { write!(out, "@{requirement}") }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_places_are_told_apart_without_a_look_at_the_disk() {
        for place in ["./x", "../x", "/x", "x.wasm", "a/x.wasm", "a/x", "https://h/x#sha256=0", "oci://h/x:1", "."] {
            assert_eq!(place.parse(), Ok(Spec::Place(place.to_owned())), "{place}");
        }
        let spec: Spec = "acme/deps@^0.2".parse().unwrap();
        assert_eq!(spec.to_string(), "acme/deps@^0.2");
        let Spec::Named { namespace, name, requirement } = spec else { panic!("a name") };
        assert_eq!((namespace.as_deref(), name.as_str()), (Some("acme"), "deps"));
        assert!(requirement.matches(&"0.2.7".parse().unwrap()) && !requirement.matches(&"0.3.0".parse().unwrap()));
        assert_eq!("deps".parse::<Spec>().unwrap().to_string(), "deps");
        assert_eq!("deps@1.2.0".parse::<Spec>().unwrap().to_string(), "deps@=1.2.0");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "Deps", "a/b/c@1", "de ps", "deps@", "deps@soon", "--x", "a\u{1b}[2J", "@1", "install"] {
            let error = text.parse::<Spec>().unwrap_err();
            assert!(!error.to_string().contains('\u{1b}'), "{text}");
        }
    }
}
