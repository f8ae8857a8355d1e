//! What a user types to say which plugin is meant.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use reqwest::Url;
use semver::{Version, VersionReq};

use super::reference::SCHEME;
use super::{Digest, Reference, Source, SourceError};
use crate::plugin::printable;

/// A source, or a name that is looked for in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec {
    /// All but the following.
    Source(Source),
    /// `name@^0.2`.
    Named(Named),
}

/// A plugin by its name and version, in one of the user's namespaces: `deps@^0.2`, `acme/deps@^0.2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Which namespace; none: the one that has no name.
    pub namespace: Option<String>,
    /// The plugin.
    pub name: String,
    /// Which versions. A whole version without an operator, as in `deps@1.2.0`, is exactly that one.
    pub wanted: VersionReq,
}

impl FromStr for Spec {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match named(text) {
            Some(named) => named.map(Self::Named),
            None => text.parse().map(Self::Source),
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(source) => source.fmt(out),
            Self::Named(Named { namespace, name, wanted }) => {
                if let Some(namespace) = namespace {
                    write!(out, "{namespace}/")?;
                }
                write!(out, "{name}@{wanted}")
            }
        }
    }
}

/// None: it has not that shape.
fn named(text: &str) -> Option<Result<Named, SourceError>> {
    let (name, wanted) = text.split_once('@')?;
    let (namespace, name) = match name.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, name),
    };
    if !is_name(name) || !namespace.is_none_or(is_name) {
        return None;
    }
    let wrong = |error: semver::Error| SourceError::Spec {
        spec: text.to_owned(),
        why: format!("`{}` says no version: {error}", printable(wanted, 40)),
    };
    let exact = Version::parse(wanted).map(|version| format!("={version}"));
    let wanted = VersionReq::parse(exact.as_deref().unwrap_or(wanted)).map_err(wrong);
    Some(wanted.map(|wanted| Named { namespace: namespace.map(str::to_owned), name: name.to_owned(), wanted }))
}

/// As a command's name is.
fn is_name(name: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.bytes().all(inside) && name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why: &str| SourceError::Spec { spec: text.to_owned(), why: why.to_owned() };
        if text.starts_with(SCHEME) {
            return text.parse::<Reference>().map(Self::Oci);
        }
        if let Some((scheme, _)) = text.split_once("://") {
            if !matches!(scheme, "https" | "http") {
                return Err(wrong("of addresses, https:// and oci:// are known"));
            }
            let mut url = Url::parse(text).map_err(|error| wrong(&format!("it is no address: {error}")))?;
            let digest = url.fragment().and_then(|fragment| Digest::from_hex(fragment.strip_prefix("sha256=")?));
            let digest = digest.ok_or_else(|| SourceError::NoDigest { spec: text.to_owned() })?;
            url.set_fragment(None);
            return Ok(Self::Url { url, digest });
        }
        if is_name(text) {
            return Ok(Self::Embedded(text.to_owned()));
        }
        if text.trim().is_empty() || text.contains('\0') {
            return Err(wrong("it names nothing"));
        }
        let is_path = text.contains(['/', '\\']) || text.starts_with('.') || text.ends_with(".wasm");
        if is_path { Ok(Self::Path(PathBuf::from(text))) } else { Err(wrong("it is neither a name nor a path")) }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(name) => out.write_str(name),
            Self::Path(path) => {
                let text = path.display().to_string();
                // So that it is no name.
                let bare = !text.contains(['/', '\\']) && !text.starts_with('.') && !text.ends_with(".wasm");
                if bare { write!(out, "./{text}") } else { out.write_str(&text) }
            }
            Self::Url { url, digest } => write!(out, "{url}#sha256={}", digest.hex()),
            Self::Oci(reference) => reference.fmt(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn each_source_is_shown_as_it_is_typed() {
        let url = format!("https://example.org/x.wasm?v=1#sha256={HEX}");
        for text in ["deps", "./x.wasm", "x.wasm", "../plugins/deps", "/a/b", "oci://h/r:1.2", &url] {
            let source: Source = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
            assert_eq!(source.to_string().parse::<Source>().unwrap(), source);
        }
        assert_eq!("deps".parse::<Source>().unwrap(), Source::Embedded("deps".to_owned()));
        assert_eq!(Source::Path("deps".into()).to_string(), "./deps");
        assert!(matches!(url.parse().unwrap(), Source::Url { url, .. } if url.fragment().is_none()));
    }

    #[test]
    fn a_url_without_its_digest_is_refused() {
        for text in ["https://example.org/x.wasm", "https://example.org/x.wasm#sha256=12", "http://h/x#md5=1"] {
            assert!(matches!(text.parse::<Source>(), Err(SourceError::NoDigest { .. })), "{text}");
        }
    }

    #[test]
    fn what_is_no_source_is_refused() {
        for text in ["", " ", "ftp://h/x.wasm", "file:///etc/passwd", "https://", "Deps", "a b", "a\0/b"] {
            assert!(matches!(text.parse::<Source>(), Err(SourceError::Spec { .. })), "{text}");
        }
    }

    #[test]
    fn a_name_with_versions_is_looked_for_in_a_namespace() {
        let named = |text: &str| match text.parse::<Spec>() {
            Ok(Spec::Named(named)) => (named.namespace, named.name, named.wanted.to_string()),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(named("deps@^0.2"), (None, "deps".to_owned(), "^0.2".to_owned()));
        assert_eq!(named("deps@1.2.0"), (None, "deps".to_owned(), "=1.2.0".to_owned()), "a whole one is exactly that");
        assert_eq!(named("acme/deps@1"), (Some("acme".to_owned()), "deps".to_owned(), "^1".to_owned()));
        assert_eq!("acme/deps@^0.2".parse::<Spec>().unwrap().to_string(), "acme/deps@^0.2");
        assert!(matches!("deps@new".parse::<Spec>(), Err(SourceError::Spec { .. })));
        assert!(matches!("./deps@1/x.wasm".parse::<Spec>().unwrap(), Spec::Source(Source::Path(_))));
        let pinned = format!("oci://h/r@sha256:{HEX}");
        assert!(matches!(pinned.parse::<Spec>().unwrap(), Spec::Source(Source::Oci(_))));
    }
}
