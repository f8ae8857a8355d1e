//! Who the user is, as registries ask for it: basic authentication, and tokens of the docker kind.

use http_auth::parse_challenges;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::{Registry, said};
use crate::plugin::source::SourceError;
use crate::plugin::source::address::literal;
use crate::plugin::source::credentials::{Credential, sensitive};
use crate::plugin::source::error::place;
use crate::plugin::source::web::{Ask, body};

/// The longest answer that holds a token. Bytes.
const LONGEST_TOKEN: u64 = 256 << 10;
const FORM: &str = "application/x-www-form-urlencoded";

/// What is to be done in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plugin::source) enum Scope {
    /// Read.
    Pull,
    /// Read and write.
    Push,
}

impl Scope {
    fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        }
    }
}

/// What a registry wants to see.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

impl Registry<'_> {
    /// What to answer to a challenge; none: there is nothing to answer.
    pub(super) async fn authorize(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, SourceError> {
        match challenge(headers) {
            None => Ok(None),
            Some(Challenge::Basic) => {
                let credential = self.access.credentials.of(self.reference).await?;
                Ok(credential.and_then(|credential| credential.basic()))
            }
            Some(Challenge::Bearer { realm, service }) => self.token(&realm, service.as_deref()).await,
        }
    }

    /// Asks the realm for a token: as the user, where there are credentials, else as anybody.
    async fn token(&self, realm: &str, service: Option<&str>) -> Result<Option<HeaderValue>, SourceError> {
        let host = self.reference.host();
        let wrong = |why: &str| SourceError::Garbage { what: format!("the login of {host}"), why: why.to_owned() };
        let mut url = Url::parse(realm).map_err(|_| wrong("its realm is no address"))?;
        self.web.check(&url).map_err(|why| SourceError::SentOn { from: place(&self.base), why: Box::new(why) })?;
        // Credentials that can't be read are told of where it comes to nothing without them.
        let credential = self.access.credentials.of(self.reference).await.unwrap_or_default();
        if credential.is_some() && !same_site(&self.base, &url) {
            return Err(SourceError::RealmElsewhere { host: host.to_owned(), realm: place(&url) });
        }
        let scope = format!("repository:{}:{}", self.reference.repository(), self.scope.name());
        let ask = match credential {
            Some(Credential::Identity(token)) => {
                let mut form = Url::parse("form:").map_err(|_| wrong("no form can be made"))?;
                form.query_pairs_mut()
                    .append_pair("grant_type", "refresh_token")
                    .append_pair("client_id", "convoke")
                    .append_pair("service", service.unwrap_or_default())
                    .append_pair("scope", &scope)
                    .append_pair("refresh_token", &token);
                let form = form.query().unwrap_or_default().as_bytes().to_vec();
                Ask { method: Method::POST, body: Some((FORM, form)), ..Ask::get(url) }
            }
            credential => {
                if let Some(service) = service {
                    url.query_pairs_mut().append_pair("service", service);
                }
                url.query_pairs_mut().append_pair("scope", &scope);
                Ask { credentials: credential.and_then(|credential| credential.basic()), ..Ask::get(url) }
            }
        };
        let known = ask.method == Method::POST || ask.credentials.is_some();
        let at = place(&ask.url);
        let response = self.web.send(ask).await?;
        match response.status() {
            StatusCode::OK => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                let what = self.reference.bare().to_string();
                // It may be for want of credentials that are there and can't be read.
                self.access.credentials.of(self.reference).await?;
                let said = said(response).await;
                return Err(SourceError::Denied { host: host.to_owned(), what, status: status.as_u16(), known, said });
            }
            status => {
                return Err(SourceError::Status { what: at, status: status.as_u16(), said: said(response).await });
            }
        }
        let bytes = body(response, &at, LONGEST_TOKEN).await?;
        let token =
            serde_json::from_slice(&bytes).ok().and_then(Token::text).ok_or_else(|| wrong("it gives no token"))?;
        let pass =
            sensitive(&format!("Bearer {token}")).ok_or_else(|| wrong("its token has characters that no token has"))?;
        Ok(Some(pass))
    }
}

/// An answer with a token, by its old or its new name.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Token {
    fn text(self) -> Option<String> {
        self.token.or(self.access_token).filter(|token| !token.is_empty())
    }
}

/// The challenge that is known; tokens before passwords.
fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let mut basic = None;
    for value in headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()) {
        // What is no challenge asks for nothing.
        for one in parse_challenges(value).unwrap_or_default() {
            let of = |name: &str| {
                let found = one.params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            if one.scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = of("realm")
            {
                return Some(Challenge::Bearer { realm, service: of("service") });
            }
            if one.scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Challenge::Basic);
            }
        }
    }
    basic
}

/// Whether two hosts belong together: the same one, or names under the same domain, as `registry.example.org` and
/// `auth.example.org`. A registry can do with its users' credentials what it wants; this keeps one that was only
/// mistaken from handing them to strangers.
fn same_site(registry: &Url, realm: &Url) -> bool {
    let (Some(one), Some(other)) = (registry.host_str(), realm.host_str()) else { return false };
    if one == other {
        return true;
    }
    let domain = |host: &str| {
        let mut labels = host.rsplit('.');
        let (top, second) = (labels.next()?.to_owned(), labels.next()?.to_owned());
        literal(host).is_none().then_some((top, second))
    };
    domain(one).is_some_and(|domain_of_one| domain(other) == Some(domain_of_one))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        challenge(&headers)
    }

    #[test]
    fn a_token_is_preferred_to_a_password() {
        let bearer = r#"Bearer realm="https://auth.example.org/token",service="registry",scope="repository:a:pull""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.example.org/token".to_owned(),
            service: Some("registry".to_owned()),
        };
        assert_eq!(of(&["Basic realm=\"x\"", bearer]).unwrap(), expected);
        assert_eq!(of(&[bearer, "Basic realm=\"x\""]).unwrap(), expected);
        assert_eq!(of(&["basic realm=\"x\""]), Some(Challenge::Basic));
    }

    #[test]
    fn what_is_not_known_is_no_challenge() {
        for value in ["", "Negotiate", "Bearer", "Bearer service=\"x\"", "\"", "= = =", "Digest realm=\"x\""] {
            assert_eq!(of(&[value]), None, "{value}");
        }
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn only_hosts_that_belong_together_get_credentials() {
        let same = |one: &str, other: &str| same_site(&Url::parse(one).unwrap(), &Url::parse(other).unwrap());
        assert!(same("https://registry-1.docker.io/", "https://auth.docker.io/token"));
        assert!(same("https://registry.gitlab.com/", "https://gitlab.com/jwt/auth"));
        assert!(same("http://127.0.0.1:5000/", "http://127.0.0.1:5001/token"));
        assert!(!same("https://registry.example/", "https://evil.org/token"));
        assert!(!same("https://registry.example/", "https://registry.example.evil.org/token"));
        assert!(!same("https://10.0.0.1/", "https://11.0.0.1/token"));
        assert!(!same("https://registry/", "https://auth/token"));
    }
}
