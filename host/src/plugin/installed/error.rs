//! Why nothing was installed.

use std::io;
use std::path::{Path, PathBuf};

use semver::Version;

use super::supply::SupplyError;
use crate::audit::AuditError;
use crate::config::ConfigError;
use crate::plugin::engine::EngineError;
use crate::plugin::inspect::InspectError;
use crate::plugin::operations::LockError;
use crate::plugin::printable;

/// Why an install, an update or a look at what is installed came to nothing. What was installed before still works.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A file of ours can't be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It can't be written to the audit log that it was agreed to.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The lock can't be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A later convoke wrote a file.
    #[error("{} has version {version}, and this convoke reads up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
        /// The newest version that is read.
        known: u32,
    },
    /// A file of ours is not what convoke writes.
    #[error("{} is damaged: {why}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The project's `convoke.toml` or `convoke.lock` is wrong.
    #[error(transparent)]
    Project(#[from] ConfigError),
    /// The file of a component doesn't hold what its name says.
    #[error("the installed component of `{name}` is damaged: {}", path.display())]
    Damaged {
        /// The command.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// The file of a component is not there.
    #[error("the installed component of `{name}` is not there any more: {}", path.display())]
    Gone {
        /// The command.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// It could not be had.
    #[error(transparent)]
    Supply(#[from] SupplyError),
    /// It is no component that this host can run.
    #[error("{}: {error}", printable(.from, 300))]
    Refused {
        /// Where it comes from.
        from: String,
        /// What is wrong with it.
        error: InspectError,
    },
    /// It doesn't compile, or doesn't fit the contract.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It is another command than the one that was named.
    #[error("{} is the command `{found}`, not `{wanted}`", printable(.from, 300))]
    OtherName {
        /// Where it comes from.
        from: String,
        /// The command that was named.
        wanted: String,
        /// The command that it is.
        found: String,
    },
    /// It is of a version that was not asked for.
    #[error("{} is {name} {found}, and {wanted} is wanted", printable(.from, 300))]
    OtherVersion {
        /// Where it comes from.
        from: String,
        /// The command.
        name: String,
        /// Which versions would do.
        wanted: String,
        /// The version that it is.
        found: Version,
    },
    /// It is not what the lockfile names.
    #[error("{} is not what convoke.lock names: its sha-256 is {found}, and {wanted} is locked", printable(.from, 300))]
    OtherDigest {
        /// Where it comes from.
        from: String,
        /// The digest that is locked.
        wanted: String,
        /// The digest that it has.
        found: String,
    },
    /// No version fits.
    #[error("there is no version of {name} that fits {wanted}{}", known(.there))]
    NoVersion {
        /// The command.
        name: String,
        /// Which versions would do.
        wanted: String,
        /// The versions that there are, the newest first.
        there: Vec<Version>,
    },
    /// A command of this name comes with convoke.
    #[error("`{name}` {version} comes with convoke, and the installed one would run in its place")]
    Embedded {
        /// The command.
        name: String,
        /// The version that is embedded.
        version: String,
    },
    /// It is older than what is installed.
    #[error("{name} {to} is older than {from}, which is installed")]
    Downgrade {
        /// The command.
        name: String,
        /// The version that is installed.
        from: Version,
        /// The version that would be.
        to: Version,
    },
    /// Another process was faster.
    #[error("another process has installed {name} {theirs} meanwhile, which is newer than {ours}: it stays")]
    Overtaken {
        /// The command.
        name: String,
        /// What is installed now.
        theirs: Version,
        /// What was not installed.
        ours: Version,
    },
    /// Another process has removed what was to be updated.
    #[error("another process has uninstalled {name} meanwhile: it is not updated")]
    Removed {
        /// The command.
        name: String,
    },
    /// There is no such command.
    #[error("`{name}` is not installed")]
    NotInstalled {
        /// What was named.
        name: String,
        /// What may have been meant.
        near: Option<String>,
    },
    /// The lockfile would have to change.
    #[error("convoke.lock would have to change, and --locked was given: {0}")]
    Locked(String),
    /// It was not agreed to what it asks for.
    #[error("{0}")]
    NotAgreed(String, Option<String>),
}

/// `; there are 0.2.1, 0.2.0`.
fn known(there: &[Version]) -> String {
    const SHOWN: usize = 5;
    if there.is_empty() {
        return String::new();
    }
    let shown: Vec<String> = there.iter().take(SHOWN).map(Version::to_string).collect();
    let more = if there.len() > SHOWN { format!(" and {} more", there.len() - SHOWN) } else { String::new() };
    format!("; there are {}{more}", shown.join(", "))
}

impl InstallError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "the disk is full; nothing was installed, and what was installed before still works".to_owned()
            }
            Self::Io { .. } | Self::Lock(_) | Self::Audit(_) => {
                "nothing was changed, and what was installed before still works".to_owned()
            }
            Self::Newer { .. } => "update convoke; the file was not changed".to_owned(),
            Self::Broken { .. } => "move the file away, and install again what you need".to_owned(),
            Self::Damaged { name, .. } | Self::Gone { name, .. } => format!("install `{name}` again"),
            Self::Supply(error) => return error.hint.clone(),
            Self::Refused { error, .. } => return error.hint().map(str::to_owned),
            Self::OtherName { found, .. } => format!("name it `{found}`"),
            Self::OtherDigest { .. } => {
                "somebody has changed what was published; `convoke update` takes it as it is now".to_owned()
            }
            Self::Embedded { .. } => {
                "--shadow installs it all the same; `convoke uninstall` brings back the other".to_owned()
            }
            Self::Downgrade { .. } => "--allow-downgrade installs it all the same".to_owned(),
            Self::NotInstalled { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::NotInstalled { .. } => "`convoke list` shows what is there".to_owned(),
            Self::Locked(_) => "without --locked `convoke install` writes what it must".to_owned(),
            Self::NotAgreed(_, hint) => return hint.clone(),
            Self::Project(_)
            | Self::Engine(_)
            | Self::OtherVersion { .. }
            | Self::NoVersion { .. }
            | Self::Overtaken { .. }
            | Self::Removed { .. } => return None,
        })
    }

    /// Whether something else must be typed or agreed to; else the machine, a file or the network was in the way.
    pub fn is_wrong_use(&self) -> bool {
        match self {
            Self::Io { .. } | Self::Audit(_) | Self::Lock(_) | Self::Engine(_) => false,
            Self::Overtaken { .. } | Self::Removed { .. } => false,
            Self::Supply(error) => error.is_wrong_use,
            _ => true,
        }
    }
}
