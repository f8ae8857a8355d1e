//! Why there is no component.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use reqwest::Url;

use crate::plugin::build::BuildError;
use crate::plugin::printable;

/// Why a source gives nothing, or takes nothing. What strangers say in it is bounded, and can do nothing to a terminal.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// What was typed is no source.
    #[error("`{}` is no source: {why}", printable(spec, 200))]
    Spec {
        /// What was typed.
        spec: String,
        /// What is wrong with it.
        why: String,
    },
    /// A URL without the digest of what is there.
    #[error("`{}` says no digest of the component", printable(spec, 200))]
    NoDigest {
        /// What was typed.
        spec: String,
    },
    /// This binary has no such component.
    #[error("no command `{}` comes with convoke", printable(.0, 60))]
    NotEmbedded(String),
    /// A name, and no namespace to look for it.
    #[error("no namespace {}is configured, so `{}` can't be looked for", namespace_words(namespace.as_deref()), printable(name, 60))]
    NoNamespace {
        /// The namespace's name; none: the one without a name.
        namespace: Option<String>,
        /// The plugin.
        name: String,
    },
    /// None of the versions is the wanted one.
    #[error("{repository} has no version {wanted}; it has {there}")]
    NoVersion {
        /// The repository.
        repository: String,
        /// What was wanted.
        wanted: String,
        /// What is there.
        there: String,
    },
    /// A file could not be read.
    #[error("{}: {why}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        why: io::Error,
    },
    /// A folder could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// More bytes than are taken.
    #[error("{what} has {}more than {limit} bytes", size.map_or(String::new(), |size| format!("{size} bytes, ")))]
    TooLarge {
        /// Of what.
        what: String,
        /// How many, where it was said beforehand.
        size: Option<u64>,
        /// How many are taken.
        limit: u64,
    },
    /// A connection without encryption to another machine.
    #[error("{url} is not https, and not on this machine")]
    NotHttps {
        /// The address.
        url: String,
    },
    /// A URL that can't be asked for.
    #[error("{url} can't be asked for: {why}")]
    Url {
        /// The address.
        url: String,
        /// Why.
        why: &'static str,
    },
    /// The host is at an address that is not of the internet.
    #[error("{host} is at {address}, which is no address of the internet")]
    PrivateAddress {
        /// The host.
        host: String,
        /// Its address.
        address: IpAddr,
        /// Whether no setting allows it.
        never: bool,
    },
    /// A server sent on to where nothing is fetched from.
    #[error("{from} sends on to another address: {why}")]
    SentOn {
        /// The first address.
        from: String,
        /// What is wrong with the other.
        why: Box<SourceError>,
    },
    /// A server sent on too often, or without saying where.
    #[error("{url} {why}")]
    Redirects {
        /// The address.
        url: String,
        /// What it does.
        why: &'static str,
    },
    /// Nobody answers.
    #[error("can't connect to {host}: {why}")]
    Connect {
        /// Which host.
        host: String,
        /// Why.
        why: String,
    },
    /// The connection broke before there was an answer.
    #[error("the connection to {host} broke: {why}")]
    Broken {
        /// Which host.
        host: String,
        /// Why.
        why: String,
    },
    /// It took too long.
    #[error("{what} did not come within {seconds} s")]
    TimedOut {
        /// What.
        what: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The connection broke in the middle, or the sender ended too early.
    #[error("{what} was cut short: {got} bytes came{}", of.map_or(String::new(), |of| format!(" of {of}")))]
    CutShort {
        /// What.
        what: String,
        /// How many bytes came.
        got: u64,
        /// How many should have.
        of: Option<u64>,
    },
    /// The server does not have it.
    #[error("{what} is not there{}", words(said))]
    NotFound {
        /// What.
        what: String,
        /// The server's words.
        said: String,
    },
    /// The server does not give it to this user.
    #[error("{host} refuses {what} ({status}{}){}", if *known { "" } else { ", and you are not logged in there" }, words(said))]
    Denied {
        /// Which registry.
        host: String,
        /// What.
        what: String,
        /// 401 or 403.
        status: u16,
        /// Whether credentials were sent.
        known: bool,
        /// The server's words.
        said: String,
    },
    /// The server answers with an error.
    #[error("{what}: the server answers {status}{}", words(said))]
    Status {
        /// What was asked for.
        what: String,
        /// The status.
        status: u16,
        /// The server's words.
        said: String,
    },
    /// The server answers with something else than what a registry answers.
    #[error("{what}: the answer is not understood: {why}")]
    Garbage {
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The bytes are not those that were promised.
    #[error("{what} has the digest {got}, and should have {expected}")]
    DigestMismatch {
        /// What.
        what: String,
        /// What should have come.
        expected: String,
        /// What came.
        got: String,
    },
    /// What is in the registry is something else.
    #[error("{reference} is no component: {why}")]
    NotAComponent {
        /// What was asked for.
        reference: String,
        /// What it is.
        why: String,
    },
    /// The user's credentials can't be read.
    #[error("your credentials for {host} can't be read: {why}")]
    Credentials {
        /// The registry.
        host: String,
        /// What is wrong, and where.
        why: String,
    },
    /// A registry wants the user's credentials sent to somebody else.
    #[error("{host} wants your credentials for it to be sent to {realm}")]
    RealmElsewhere {
        /// The registry.
        host: String,
        /// Where to.
        realm: String,
    },
    /// A version can't be published twice.
    #[error("{reference} is already there, with other bytes: {theirs}, not {ours}")]
    VersionTaken {
        /// The version's tag.
        reference: String,
        /// The digest of the component that is there.
        theirs: String,
        /// The digest of the one that was to be published.
        ours: String,
    },
    /// The HTTP client can't be made: mostly, no certificate authority is installed.
    #[error("can't prepare an encrypted connection: {0}")]
    Client(String),
}

impl SourceError {
    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Spec { .. } => {
                "a source is a name (`deps`), a path (`./x.wasm`, `./folder`), `https://…#sha256=…`, \
                 `oci://host/repo:1.2`, or `name@^0.2`"
                    .to_owned()
            }
            Self::NoDigest { .. } => {
                "write `#sha256=` and the 64 digits of the component's sha-256 behind it: `sha256sum x.wasm` tells them"
                    .to_owned()
            }
            Self::NotEmbedded(name) => {
                let name = printable(name, 60);
                format!("`convoke list` shows what is there; to install one, `{name}@*`, ./{name}.wasm, or oci://…")
            }
            Self::NoNamespace { namespace: None, .. } => {
                "write `namespace = \"oci://host/path\"` into [install] of your config.toml, or give the whole address: \
                 oci://host/path/name:version"
                    .to_owned()
            }
            Self::NoNamespace { namespace: Some(name), .. } => {
                format!("write `{name} = \"oci://host/path\"` into [install.namespaces] of your config.toml")
            }
            Self::Build(error) => return error.hint().map(str::to_owned),
            Self::TooLarge { .. } => {
                "if it is meant to be that large, set max_component_bytes in [install] of your config.toml".to_owned()
            }
            Self::PrivateAddress { host, never: false, .. } => format!(
                "if that is a host of your own network, write `private_hosts = [\"{host}\"]` into [install] of your \
                 config.toml"
            ),
            Self::SentOn { why, .. } => return why.hint(),
            Self::Connect { why, .. } if why.contains("certificate") => {
                "add its certificate authority to the system's certificates, or name its file in SSL_CERT_FILE".to_owned()
            }
            Self::Connect { .. } => "is the address right, and this machine online?".to_owned(),
            Self::Broken { .. } | Self::CutShort { .. } => "try again".to_owned(),
            Self::TimedOut { .. } => "try again, or set timeout_s in [install] of your config.toml".to_owned(),
            Self::Denied { host, .. } => {
                format!("log in with `docker login {host}`, `oras login {host}` or their like: convoke uses what they keep")
            }
            Self::NotFound { .. } => "is the name right? A registry may also hide what you may not see".to_owned(),
            Self::Status { status: 429 | 500.., .. } => "try again later".to_owned(),
            Self::DigestMismatch { .. } => {
                "somebody has changed it, on the server or on the way: don't use it before you know who".to_owned()
            }
            Self::VersionTaken { .. } => "publish it under a new version: who has this one must not get another".to_owned(),
            Self::Client(_) => "are the system's CA certificates installed?".to_owned(),
            Self::NoVersion { .. }
            | Self::Io { .. }
            | Self::NotHttps { .. }
            | Self::Url { .. }
            | Self::PrivateAddress { never: true, .. }
            | Self::Redirects { .. }
            | Self::Status { .. }
            | Self::Garbage { .. }
            | Self::NotAComponent { .. }
            | Self::Credentials { .. }
            | Self::RealmElsewhere { .. } => return None,
        })
    }

    /// Whether what was typed or configured is wrong, and not what came of it.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Spec { .. }
                | Self::NoDigest { .. }
                | Self::NotEmbedded(_)
                | Self::NoNamespace { .. }
                | Self::NoVersion { .. }
                | Self::Io { .. }
                | Self::NotHttps { .. }
                | Self::Url { .. }
                | Self::VersionTaken { .. }
        )
    }
}

/// A URL for a message: without what may be a secret.
pub(super) fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    printable(&format!("{}://{host}{port}{}", url.scheme(), url.path()), 200)
}

/// A stranger's words behind a sentence.
fn words(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

fn namespace_words(name: Option<&str>) -> String {
    name.map_or(String::new(), |name| format!("`{}` ", printable(name, 60)))
}
