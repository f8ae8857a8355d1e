//! Why a request was not sent, or got no answer.

use std::time::Duration;

use convoke_runtime::quota::named::UsedUp;

use super::redirect::MOST_REDIRECTS;
use crate::plugin::outside::address::OutOfReach;
use crate::plugin::printable;

/// Why there is no response. A status of HTTP is none of these: it is an answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// It is not a URL.
    #[error("{} is not a URL: {why}", printable(.url, 200))]
    Url {
        /// What stood there.
        url: String,
        /// Why not.
        why: String,
    },
    /// It is not a URL of HTTP.
    #[error("{}: is not fetched: a URL begins with https://", printable(.scheme, 40))]
    Scheme {
        /// Its scheme.
        scheme: String,
    },
    /// It would be sent unencrypted.
    #[error("http://{host} is not fetched: only this machine is spoken to without encryption")]
    Plain {
        /// The host.
        host: String,
    },
    /// It holds a user name or a password.
    #[error("the URL holds a user name or password before {host}")]
    UserInfo {
        /// The host.
        host: String,
    },
    /// The host is not granted.
    #[error("{site} is not granted{}: {granted}", by_what_way(.redirected))]
    Host {
        /// The host, with the port if it is not 443.
        site: String,
        /// The method.
        method: String,
        /// The hosts that are granted, in words.
        granted: String,
        /// The host that redirected there.
        redirected: Option<String>,
    },
    /// The method is not granted at this host.
    #[error("{method} at {site} is not granted{}: {granted}", by_what_way(.redirected))]
    Method {
        /// The host, with the port if it is not 443.
        site: String,
        /// The method.
        method: String,
        /// What is granted there, in words.
        granted: String,
        /// The host that redirected there.
        redirected: Option<String>,
    },
    /// It is no method that can be sent.
    #[error("{} is not a method that a plugin can use", printable(.method, 40))]
    BadMethod {
        /// What stood there.
        method: String,
    },
    /// A header can't be sent.
    #[error("the header {} can't be sent: {why}", printable(.name, 80))]
    Header {
        /// Its name.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// The request is too large.
    #[error("the request is not sent: {what} than {limit}")]
    Large {
        /// What of it.
        what: &'static str,
        /// The most.
        limit: u64,
    },
    /// The host leads to an address that a plugin must not reach.
    #[error("{0}")]
    OutOfReach(OutOfReach),
    /// It is the proxy itself.
    #[error("{host} is the proxy that HTTPS_PROXY names, and not fetched from")]
    Proxy {
        /// The host.
        host: String,
    },
    /// A quota has no room for long.
    #[error("{0}")]
    Quota(#[from] UsedUp),
    /// It took too long.
    #[error("{host} gave no whole answer within {} s", .limit.as_secs_f64())]
    Slow {
        /// The host.
        host: String,
        /// The longest that a fetch may take.
        limit: Duration,
    },
    /// The answer is too large.
    #[error("the answer of {host} has more than {limit} bytes")]
    Endless {
        /// The host.
        host: String,
        /// The most bytes.
        limit: u64,
    },
    /// The headers of the answer are too large.
    #[error("the headers of the answer of {host} have more than {limit} bytes")]
    Headers {
        /// The host.
        host: String,
        /// The most bytes.
        limit: usize,
    },
    /// It is sent on and on.
    #[error("{host} redirects once more after {MOST_REDIRECTS} redirects")]
    Redirects {
        /// The last host.
        host: String,
    },
    /// It is sent from somewhere else to this machine.
    #[error("{from} redirects to {to}, which is this machine: that is not followed")]
    Inward {
        /// From where.
        from: String,
        /// Where to.
        to: String,
    },
    /// It is sent to something that is no URL.
    #[error("{host} redirects to what is not a URL")]
    BadRedirect {
        /// The host.
        host: String,
    },
    /// Nothing can be fetched from anywhere.
    #[error("nothing can be fetched: {0}")]
    Client(String),
    /// The host can't be reached, or broke off.
    #[error("{host}: {}", printable(.why, 300))]
    Failed {
        /// The host.
        host: String,
        /// Why.
        why: String,
    },
}

/// Of a refusal: that a host sent the plugin there.
fn by_what_way(redirected: &Option<String>) -> String {
    match redirected {
        Some(host) => format!(", and {host} redirects there"),
        None => String::new(),
    }
}

impl HttpError {
    /// The grant that is missing: a method, and a host with its port if that is not 443.
    pub fn missing_grant(&self) -> Option<(&str, &str)> {
        match self {
            Self::Host { site, method, .. } | Self::Method { site, method, .. } => Some((method, site)),
            _ => None,
        }
    }

    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Host { .. } | Self::Method { .. } => {
                Some("a plugin fetches only from the hosts that its manifest asks for and the user has granted")
            }
            Self::Scheme { .. } | Self::Plain { .. } => Some("use https"),
            Self::UserInfo { .. } => Some("put what the host needs to know into a header"),
            Self::BadMethod { .. } => Some("use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS"),
            Self::OutOfReach(_) => {
                Some("this machine is reached only by a grant that names it, as localhost:8080; its network never")
            }
            Self::Quota(_) => Some("the user can change quotas in config.toml: see [quotas]"),
            Self::Slow { .. } => Some("the user can raise timeout_s in [http] of config.toml"),
            Self::Endless { .. } => {
                Some("ask for less at once, or the user raises max_response_bytes in [http] of config.toml")
            }
            Self::Url { .. }
            | Self::Header { .. }
            | Self::Large { .. }
            | Self::Proxy { .. }
            | Self::Headers { .. }
            | Self::Redirects { .. }
            | Self::Inward { .. }
            | Self::BadRedirect { .. }
            | Self::Client(_)
            | Self::Failed { .. } => None,
        }
    }
}
