//! Where components come from, and go to: the host itself, a path, a URL with its digest, an OCI registry.
//!
//! A [`Source`] is what a user types, what a project's file may ask for, and what a lock file holds. [`fetch`] gives its
//! bytes, and looks at nothing in them: whoever fetched inspects. What a registry or a server says is a stranger's word:
//! it is bounded in size and time, compared with its digest, and can lead to no address that the user did not choose
//! ([`address`]). Credentials are the user's own for that registry ([`credentials`]).

pub mod address;
mod credentials;
mod digest;
mod error;
mod oci;
mod path;
mod publish;
mod reference;
mod spec;
mod url;
mod web;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;

pub use credentials::Credentials;
pub use digest::Digest;
pub use error::SourceError;
pub use oci::tags::newest;
pub use publish::{Moved, Publication, Published, publish};
pub use reference::{Namespace, Reference};
pub use spec::{Named, Spec};

use super::build::BuildOptions;
use super::embedded::EMBEDDED;
use super::sha256_hex;
use crate::config::Install;

/// Where a component is. Displayed as it is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In this binary: `agent-audit`.
    Embedded(String),
    /// A component's file, or the folder of a plugin, which is built: `./x.wasm`.
    Path(PathBuf),
    /// A file of a web server: `https://host/x.wasm#sha256=…`.
    Url {
        /// Without the digest.
        url: Url,
        /// The component's.
        digest: Digest,
    },
    /// An artifact of a registry: `oci://host/repo:1.2`.
    Oci(Reference),
}

/// What getting at a source may take, and with whose credentials.
#[derive(Clone, Debug)]
pub struct Access {
    /// The largest component, in bytes.
    pub most_bytes: u64,
    /// How long all of it may take.
    pub time: Duration,
    /// Whether the user typed the source, or it stands in a file of the user's own. What a project names is never
    /// looked for on this machine.
    pub typed: bool,
    /// Hosts that the user says may be at private addresses.
    pub private_hosts: Vec<String>,
    /// Who the user is, at which registry.
    pub credentials: Credentials,
    /// How a folder is built.
    pub build: BuildOptions,
}

impl Access {
    /// By the user's configuration and environment, for a source that the user typed. `project` is where no program is
    /// taken from.
    pub fn of(install: &Install, env: impl Fn(&str) -> Option<String>, project: &Path) -> Self {
        Self {
            most_bytes: install.most_bytes,
            time: install.time,
            typed: true,
            private_hosts: install.private_hosts(),
            credentials: Credentials::find(env, project),
            build: BuildOptions::default(),
        }
    }

    /// The same, for a source that a project's file names.
    #[must_use]
    pub fn named_by_project(self) -> Self {
        Self { typed: false, ..self }
    }
}

/// A component's bytes, and where they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The component, not looked at yet.
    pub bytes: Vec<u8>,
    /// The sha-256 of the bytes, in lower-case hexadecimal.
    pub digest: String,
    /// The same source, so exact that it always means these bytes: with the digest of the registry's manifest.
    pub source_resolved: Source,
}

impl Fetched {
    fn new(bytes: Vec<u8>, source_resolved: Source) -> Self {
        Self { digest: sha256_hex(&bytes), bytes, source_resolved }
    }
}

/// Gets a component's bytes.
///
/// # Errors
/// See [`SourceError`]. Nothing is written.
pub async fn fetch(source: &Source, access: &Access) -> Result<Fetched, SourceError> {
    match source {
        Source::Embedded(name) => {
            let found = EMBEDDED.iter().find(|embedded| embedded.name == name);
            let found = found.ok_or_else(|| SourceError::NotEmbedded(name.clone()))?;
            Ok(Fetched::new(found.bytes.to_vec(), source.clone()))
        }
        Source::Path(path) => {
            let bytes = path::read(path, access).await?;
            let whole = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            Ok(Fetched::new(bytes, Source::Path(whole)))
        }
        Source::Url { url, digest } => {
            let bytes = in_time(url::fetch(url, digest, access), &error::place(url), access).await?;
            Ok(Fetched::new(bytes, source.clone()))
        }
        Source::Oci(reference) => {
            let pulled = in_time(oci::pull(reference, access), &reference.to_string(), access).await?;
            Ok(Fetched::new(pulled.component, Source::Oci(reference.exactly(pulled.manifest_digest))))
        }
    }
}

/// The versions of a plugin in a namespace, with their tags, newest first. Tags that are no versions are not there.
///
/// # Errors
/// See [`SourceError`]; [`SourceError::NotFound`] where the registry has no such repository.
pub async fn versions(
    namespace: &Namespace,
    name: &str,
    access: &Access,
) -> Result<Vec<(semver::Version, String)>, SourceError> {
    versions_of(&namespace.repository(name)?, access).await
}

/// The same of a repository that is known.
///
/// # Errors
/// See [`versions`].
pub async fn versions_of(
    repository: &Reference,
    access: &Access,
) -> Result<Vec<(semver::Version, String)>, SourceError> {
    let tags = in_time(oci::tags(repository, access), &repository.to_string(), access).await?;
    Ok(oci::tags::versions(tags))
}

/// The newest version of a plugin that is wanted, and where it is.
///
/// # Errors
/// See [`SourceError`]; [`SourceError::NoNamespace`] where the user has named none, [`SourceError::NoVersion`] where no
/// version is the wanted one.
pub async fn resolve(
    named: &Named,
    install: &Install,
    access: &Access,
) -> Result<(semver::Version, Reference), SourceError> {
    let namespace = install
        .namespace(named.namespace.as_deref())
        .ok_or_else(|| SourceError::NoNamespace { namespace: named.namespace.clone(), name: named.name.clone() })?;
    let repository = namespace.repository(&named.name)?;
    let there = versions_of(&repository, access).await?;
    let Some((version, tag)) = newest(&there, &named.wanted) else {
        let shown: Vec<String> = there.iter().take(5).map(|(version, _)| version.to_string()).collect();
        let there = if shown.is_empty() { "none".to_owned() } else { shown.join(", ") };
        let (repository, wanted) = (repository.to_string(), named.wanted.to_string());
        return Err(SourceError::NoVersion { repository, wanted, there });
    };
    Ok((version.clone(), repository.with_tag(tag)?))
}

/// Ends what takes longer than it may.
async fn in_time<T>(
    work: impl Future<Output = Result<T, SourceError>>,
    what: &str,
    access: &Access,
) -> Result<T, SourceError> {
    let late = || SourceError::TimedOut { what: what.to_owned(), seconds: access.time.as_secs() };
    tokio::time::timeout(access.time, work).await.unwrap_or_else(|_| Err(late()))
}
