//! Names in a registry: a repository, with a tag or a digest; and the place where repositories stand.
//!
//! The grammar is that of the distribution specification of the Open Container Initiative.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

use super::{Digest, SourceError};

/// What begins the name of something in a registry.
pub(super) const SCHEME: &str = "oci://";
/// The longest name of a repository, in bytes: with its host it must fit 255, as registries have it.
const LONGEST: usize = 255;
/// The longest tag, in bytes.
const LONGEST_TAG: usize = 128;

/// `oci://host/repo`, with `:tag`, `@sha256:…`, both, or neither, which means the tag `latest`. Where both are there the
/// digest counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    host: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// `host` or `host:port`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The repository's name in its registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, as far as it has one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest, as far as it has one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What is asked for in the repository: a digest, or a tag.
    pub(super) fn selector(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// The same repository, with this tag and no digest.
    ///
    /// # Errors
    /// [`SourceError::Spec`] where that is no tag.
    pub fn with_tag(&self, tag: &str) -> Result<Self, SourceError> {
        let mut reference = Self { tag: None, digest: None, ..self.clone() };
        if !is_tag(tag) {
            return Err(wrong(&format!("{reference}:{tag}"), "the tag has characters that no tag has"));
        }
        reference.tag = Some(tag.to_owned());
        Ok(reference)
    }

    /// The same, always meaning the same.
    #[must_use]
    pub fn exactly(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// The same without tag and digest.
    #[must_use]
    pub fn bare(&self) -> Self {
        Self { tag: None, digest: None, ..self.clone() }
    }

    /// The registry's address: `https://host/`, and `http://` on this machine only.
    pub(super) fn base(&self) -> Result<Url, SourceError> {
        // What everybody calls docker.io answers at another name.
        let host = if self.host == "docker.io" { "registry-1.docker.io" } else { &self.host };
        base(host).ok_or_else(|| wrong(&self.to_string(), "its host is none"))
    }
}

/// `https://host/`, and `http://` on this machine.
fn base(host: &str) -> Option<Url> {
    let url = Url::parse(&format!("https://{host}/")).ok()?;
    let plain = url.username().is_empty() && url.password().is_none() && url.path() == "/" && url.query().is_none();
    if !plain || url.fragment().is_some() || host.contains(['/', '\\', '@', '?', '#']) {
        return None;
    }
    let local = super::address::names_loopback(&url);
    if local { Url::parse(&format!("http://{host}/")).ok() } else { Some(url) }
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{SCHEME}{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(out, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(out, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why: &str| wrong(text, why);
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong("it does not begin with oci://"))?;
        let (host, rest) = rest.split_once('/').ok_or_else(|| wrong("it names no repository"))?;
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(wrong)?)),
            None => (rest, None),
        };
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (rest, None),
        };
        if base(host).is_none() {
            return Err(wrong("its host is none"));
        }
        if !is_repository(repository) || host.len() + repository.len() > LONGEST {
            return Err(wrong("a repository's name has lower-case letters, digits, and . _ - / between them"));
        }
        if tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong("the tag has characters that no tag has"));
        }
        Ok(Self { host: host.to_ascii_lowercase(), repository: repository.to_owned(), tag, digest })
    }
}

/// Where the repositories of plugins stand, each by its plugin's name: `oci://host/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    host: String,
    path: Option<String>,
}

impl Namespace {
    /// `host` or `host:port`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The repository of a plugin.
    ///
    /// # Errors
    /// [`SourceError::Spec`] where the name can't be that of a repository.
    pub fn repository(&self, name: &str) -> Result<Reference, SourceError> {
        // A name with a slash would stand in another namespace.
        if name.contains(['/', ':', '@']) {
            return Err(wrong(name, "it is no plugin's name"));
        }
        format!("{self}/{name}").parse()
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{SCHEME}{}", self.host)?;
        self.path.as_ref().map_or(Ok(()), |path| write!(out, "/{path}"))
    }
}

impl FromStr for Namespace {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong(text, "it does not begin with oci://"))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, path) = match rest.split_once('/') {
            Some((host, path)) => (host, Some(path.to_owned())),
            None => (rest, None),
        };
        if base(host).is_none() {
            return Err(wrong(text, "its host is none"));
        }
        if path.as_deref().is_some_and(|path| !is_repository(path)) {
            return Err(wrong(text, "a path has lower-case letters, digits, and . _ - / between them"));
        }
        Ok(Self { host: host.to_ascii_lowercase(), path })
    }
}

fn wrong(text: &str, why: &str) -> SourceError {
    SourceError::Spec { spec: text.to_owned(), why: why.to_owned() }
}

/// Lower-case words with `.`, `_` or `-` inside, joined by slashes.
fn is_repository(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.split('/').all(|part| {
        let bytes = part.as_bytes();
        bytes.first().is_some_and(|byte| word(*byte))
            && bytes.last().is_some_and(|byte| word(*byte))
            && bytes.iter().all(|byte| word(*byte) || matches!(byte, b'.' | b'_' | b'-'))
            && !part.contains("..")
    })
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= LONGEST_TAG
        && tag.as_bytes().first().is_some_and(|byte| word(*byte))
        && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_reference_is_shown_as_it_is_typed() {
        let with_digest = format!("oci://registry.example/acme/deps@{DIGEST}");
        let with_both = format!("oci://localhost:5000/deps:1.2@{DIGEST}");
        let all = ["oci://registry.example/acme/deps", "oci://[::1]:5000/a/b_c:v1.2.0-rc.1", &with_digest, &with_both];
        for text in all {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
        let both: Reference = with_both.parse().unwrap();
        assert_eq!((both.tag(), both.selector().as_str()), (Some("1.2"), DIGEST), "the digest counts");
        assert_eq!("oci://h/r".parse::<Reference>().unwrap().selector(), "latest");
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in [
            "oci://",
            "oci://host",
            "oci://host/",
            "oci:///repo",
            "oci://host/Repo",
            "oci://host/../repo",
            "oci://host/a/../b",
            "oci://host/a..b",
            "oci://host/repo:",
            "oci://host/repo:a b",
            "oci://host/repo:1.2+3",
            "oci://host/repo@sha256:12",
            "oci://user:secret@host/repo",
            "oci://host:port/repo",
            "oci://host/repo?x=1",
            "oci://host/repo#x",
            "oci://host\\evil/repo",
            "oci://host/\u{1b}[31m",
            &format!("oci://host/{}", "a".repeat(300)),
            &format!("oci://host/repo:{}", "a".repeat(129)),
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_asked_without_encryption() {
        let base = |text: &str| text.parse::<Reference>().unwrap().base().unwrap().to_string();
        assert_eq!(base("oci://registry.example/a"), "https://registry.example/");
        assert_eq!(base("oci://localhost:5000/a"), "http://localhost:5000/");
        assert_eq!(base("oci://127.0.0.1:5000/a"), "http://127.0.0.1:5000/");
        assert_eq!(base("oci://[::1]:5000/a"), "http://[::1]:5000/");
        assert_eq!(base("oci://10.0.0.1:5000/a"), "https://10.0.0.1:5000/");
        assert_eq!(base("oci://localhost.example/a"), "https://localhost.example/");
        assert_eq!(base("oci://docker.io/user/a"), "https://registry-1.docker.io/");
    }

    #[test]
    fn a_namespace_has_a_repository_for_each_name() {
        let namespace: Namespace = "oci://registry.example/acme/plugins/".parse().unwrap();
        assert_eq!(namespace.to_string(), "oci://registry.example/acme/plugins");
        assert_eq!(namespace.repository("deps").unwrap().to_string(), "oci://registry.example/acme/plugins/deps");
        let bare: Namespace = "oci://localhost:5000".parse().unwrap();
        assert_eq!(bare.repository("deps").unwrap().to_string(), "oci://localhost:5000/deps");
        for name in ["../deps", "a/b", "a:1", "a@b", "", "A"] {
            assert!(namespace.repository(name).is_err(), "{name}");
        }
        for text in ["registry.example/acme", "oci://", "oci://h/A", "https://h/a"] {
            assert!(text.parse::<Namespace>().is_err(), "{text}");
        }
    }
}
