//! Where components come from, as an install sees it.

use std::future::Future;
use std::path::PathBuf;

use semver::Version;

use crate::config::Install;
use crate::plugin::embedded::EMBEDDED;
use crate::plugin::printable;
use crate::plugin::source::{self, Access, Source, SourceError};

/// What stands for a source inside of this binary.
pub const EMBEDDED_SOURCE: &str = "embedded";

/// A component as it came. Its source is not read again from here on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// The component.
    pub bytes: Vec<u8>,
    /// What an update asks again.
    pub source: String,
    /// Where the bytes came from, exactly.
    pub resolved: String,
}

/// Why a component could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SupplyError {
    /// What happened, to what.
    pub message: String,
    /// What to do now.
    pub hint: Option<String>,
    /// Whether something else must be typed; else a machine or the network was in the way.
    pub is_wrong_use: bool,
}

impl SupplyError {
    /// Something else must be typed.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, is_wrong_use: true }
    }

    /// What to do now.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Whoever gets components.
pub trait Supply {
    /// Gets what is at a place: a path, a URL, a reference.
    fn fetch(&self, place: &str) -> impl Future<Output = Result<Captured, SupplyError>>;

    /// The versions of a command in a registry of the user's, each with its place. None: there is no such registry.
    fn versions(
        &self,
        namespace: Option<&str>,
        name: &str,
    ) -> impl Future<Output = Result<Option<Vec<(Version, String)>>, SupplyError>>;
}

impl From<SourceError> for SupplyError {
    fn from(error: SourceError) -> Self {
        Self { message: error.to_string(), hint: error.hint(), is_wrong_use: error.is_usage() }
    }
}

/// All places that there are: this machine, addresses, and the user's registries.
#[derive(Clone, Debug)]
pub struct Sources {
    /// From where relative paths go.
    pub folder: PathBuf,
    /// What getting at a place may take, and with whose credentials.
    pub access: Access,
    /// Where names are looked for.
    pub install: Install,
    /// Whether nothing may be fetched from the network.
    pub offline: bool,
}

impl Sources {
    fn online(&self, what: &str) -> Result<(), SupplyError> {
        if !self.offline {
            return Ok(());
        }
        let message = format!("{}: that needs the network, and --offline was given", printable(what, 300));
        Err(SupplyError::usage(message)
            .hint("without --offline it is fetched; what is installed runs without a network"))
    }

    /// What stands in one of the user's own registries was named by the user, whoever asks for it.
    fn access_to(&self, place: &str) -> Access {
        let namespaces = self.install.namespace.iter().chain(self.install.namespaces.values());
        let is_own = namespaces.map(|namespace| format!("{namespace}/")).any(|own| place.starts_with(&own));
        let access = self.access.clone();
        Access { typed: access.typed || is_own, ..access }
    }

    /// A file, or a folder that is built if the user named it: to build runs what stands there, and a project may be
    /// anybody's.
    async fn local(&self, place: &str) -> Result<Captured, SupplyError> {
        let wrong = |why: &dyn std::fmt::Display| SupplyError::usage(format!("{}: {why}", printable(place, 300)));
        let path = std::fs::canonicalize(self.folder.join(place)).map_err(|error| wrong(&error))?;
        let Some(whole) = path.to_str().map(str::to_owned) else {
            return Err(wrong(&"its path is not UTF-8, and could not be written down"));
        };
        if !self.access.typed && path.is_dir() {
            let hint = format!("build it yourself, and name the file: `convoke build {}`", printable(place, 300));
            return Err(wrong(&"a project can't have a folder built, which would run what stands there").hint(hint));
        }
        let bytes = source::fetch(&Source::Path(path), &self.access).await?.bytes;
        Ok(Captured { bytes, source: whole.clone(), resolved: whole })
    }
}

impl Supply for Sources {
    async fn fetch(&self, place: &str) -> Result<Captured, SupplyError> {
        if !place.contains("://") {
            return self.local(place).await;
        }
        let source: Source = place.parse()?;
        self.online(place)?;
        let fetched = source::fetch(&source, &self.access_to(place)).await?;
        Ok(Captured { bytes: fetched.bytes, source: place.to_owned(), resolved: fetched.source_resolved.to_string() })
    }

    async fn versions(
        &self,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Vec<(Version, String)>>, SupplyError> {
        let Some(found) = self.install.namespace(namespace) else {
            let Some(namespace) = namespace else { return Ok(None) };
            let (namespace, name) = (Some(namespace.to_owned()), name.to_owned());
            return Err(SourceError::NoNamespace { namespace, name }.into());
        };
        let repository = found.repository(name)?;
        self.online(&repository.to_string())?;
        let versions = source::versions(found, name, &self.access_to(&repository.to_string())).await?;
        let place = |(version, tag): (Version, String)| -> Result<_, SupplyError> {
            Ok((version, repository.with_tag(&tag)?.to_string()))
        };
        versions.into_iter().map(place).collect::<Result<_, _>>().map(Some)
    }
}

/// The component of that name that comes with convoke.
pub fn embedded(name: &str) -> Option<Captured> {
    let plugin = EMBEDDED.iter().find(|plugin| plugin.name == name)?;
    Some(Captured {
        bytes: plugin.bytes.to_vec(),
        source: EMBEDDED_SOURCE.to_owned(),
        resolved: EMBEDDED_SOURCE.to_owned(),
    })
}
