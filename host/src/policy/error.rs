//! Why a policy is refused.

use std::path::PathBuf;

use crate::audit::AuditError;
use crate::plugin::inspect::{InspectError, listed};

/// Why a policy is refused. What was in force before stays in force.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Its file can't be read, or its copy can't be written.
    #[error("{}: {why}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        why: std::io::Error,
    },
    /// It can't be written to the audit log that it is loaded.
    #[error("it is not loaded: {0}")]
    Audit(#[from] AuditError),
    /// Larger than any policy.
    #[error("the policy {name} is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The policy.
        name: String,
        /// Bytes.
        limit: u64,
    },
    /// It is no component.
    #[error("the policy {name} is refused: {why}")]
    NotAComponent {
        /// The policy.
        name: String,
        /// What it is instead.
        why: InspectError,
    },
    /// A component, and not a policy.
    #[error("the component {name} is no policy: it exports {}", listed(.exports))]
    OtherWorld {
        /// The policy.
        name: String,
        /// What it exports.
        exports: Vec<String>,
    },
    /// It wants to do more than decide.
    #[error("the policy {name} is refused: it imports {}, and a policy gets nothing but `convoke:policy/log`", listed(.imports))]
    Imports {
        /// The policy.
        name: String,
        /// What it may not import.
        imports: Vec<String>,
    },
    /// It does not compile, or its types don't fit.
    #[error("the policy {name} does not fit this host: {why}")]
    Link {
        /// The policy.
        name: String,
        /// What the compiler or the linker said.
        why: String,
    },
    /// wasmtime can't run on this machine.
    #[error("the WebAssembly engine for policies does not start: {why}")]
    Engine {
        /// What it said.
        why: String,
    },
    /// It does not say what it is.
    #[error("the policy {name} does not say what it is: {why}")]
    Description {
        /// The policy.
        name: String,
        /// What went wrong.
        why: String,
    },
    /// It was made for other decisions.
    #[error("the policy {name} was built for version {policy} of the decisions, this convoke has {host}")]
    OtherVersion {
        /// The policy.
        name: String,
        /// The version that it was built for.
        policy: u32,
        /// This host's.
        host: u32,
    },
    /// Not a library at all, or one of another kind of system.
    #[error("{} is no library of this system: {what}", path.display())]
    NotALibrary {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: String,
    },
    /// A library for another processor.
    #[error("the library {} is built for {library}, this machine is {machine}", path.display())]
    OtherMachine {
        /// The file.
        path: PathBuf,
        /// Its architecture.
        library: String,
        /// Ours.
        machine: String,
    },
    /// The system does not load it.
    #[error("the library {} can't be loaded: {why}", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// It exports no policy.
    #[error("the library {} is no policy: it has no function `{symbol}`", path.display())]
    NoSymbol {
        /// The file.
        path: PathBuf,
        /// What it should export.
        symbol: &'static str,
    },
    /// Its table is not as agreed.
    #[error("the library {} does not fit this host: {why}", path.display())]
    OtherAbi {
        /// The file.
        path: PathBuf,
        /// What differs.
        why: String,
    },
    /// A native policy hung, and no other is loaded since.
    #[error("the library {} is not loaded: {why}; native policies are switched off until convoke is started again", path.display())]
    SwitchedOff {
        /// The file.
        path: PathBuf,
        /// Which policy did what.
        why: String,
    },
}

impl PolicyError {
    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<&str> {
        Some(match self {
            Self::NotAComponent { .. } | Self::OtherWorld { .. } => {
                "make the component with `convoke build` in the policy's folder"
            }
            Self::Imports { .. } => {
                "all that a policy decides on is among its facts; `convoke build` makes a component without WASI"
            }
            Self::OtherVersion { .. } => "build it again with the `convoke-policy` crate of this version",
            Self::NotALibrary { .. } | Self::OtherMachine { .. } => {
                "build it on this machine with `cargo build --release`, or use the component, which runs on every machine"
            }
            Self::NoSymbol { .. } => {
                "write `convoke_policy::export!(…)`, and `crate-type = [\"cdylib\"]` in Cargo.toml"
            }
            Self::OtherAbi { .. } => "build it again with the `convoke-policy` crate of this version",
            Self::SwitchedOff { .. } => {
                "mend or remove the policy that hung; the component of the same source can't hang"
            }
            Self::Audit(error) => error.hint(),
            Self::Io { .. }
            | Self::TooLarge { .. }
            | Self::Link { .. }
            | Self::Engine { .. }
            | Self::Description { .. }
            | Self::Load { .. } => return None,
        })
    }
}
