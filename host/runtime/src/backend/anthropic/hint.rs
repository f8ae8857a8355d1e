//! Why there is no connection, and what to look at.

use std::error::Error;
use std::io;

/// How the server is reached, as far as somebody has chosen it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// `ANTHROPIC_BASE_URL` is set.
    pub(super) by_base_url: bool,
    /// The variable that names a proxy.
    pub(super) proxy: Option<&'static str>,
}

impl Way {
    /// What to look at when nothing answers there.
    pub(super) fn hint(&self) -> String {
        match (self.by_base_url, self.proxy) {
            (false, None) => "Is this machine online, and does it need a proxy (HTTPS_PROXY)?".to_owned(),
            (true, None) => "Is ANTHROPIC_BASE_URL right?".to_owned(),
            (false, Some(proxy)) => format!("Is {proxy} right?"),
            (true, Some(proxy)) => format!("Are ANTHROPIC_BASE_URL and {proxy} right?"),
        }
    }
}

/// What to do where encryption failed; none: it was something else. The same again fails the same.
pub(super) fn of_tls(error: &(dyn Error + 'static)) -> Option<&'static str> {
    match tls_error(error)? {
        rustls::Error::InvalidCertificate(_) => Some(
            "If a proxy of your company stands in between, add its certificate authority to the system's certificates, \
             or name its file in SSL_CERT_FILE",
        ),
        rustls::Error::InvalidMessage(_) => Some("It does not speak TLS there: is ANTHROPIC_BASE_URL right?"),
        _ => None,
    }
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // What an `io::Error` carries is not its source.
        let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(inner) = carried {
            let inner: &(dyn Error + 'static) = inner;
            if let Some(found) = tls_error(inner) {
                return Some(found);
            }
        }
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// The innermost reason; the outer ones only say that it happened while sending, and where to.
pub(super) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_is_what_may_be_wrong() {
        let hint = |by_base_url, proxy| Way { by_base_url, proxy }.hint();
        assert!(hint(false, None).contains("online"));
        assert_eq!(hint(true, None), "Is ANTHROPIC_BASE_URL right?");
        assert_eq!(hint(false, Some("HTTPS_PROXY")), "Is HTTPS_PROXY right?");
        assert_eq!(hint(true, Some("ALL_PROXY")), "Are ANTHROPIC_BASE_URL and ALL_PROXY right?");
    }

    #[test]
    fn an_error_of_encryption_is_found_however_deep_it_is() {
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let deep = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, unknown));
        assert!(of_tls(&deep).is_some_and(|hint| hint.contains("SSL_CERT_FILE")));
        assert_eq!(of_tls(&io::Error::other("refused")), None);
    }
}
