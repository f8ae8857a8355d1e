//! OCI registries, by their distribution API.
//!
//! Our own code on `reqwest`, because the clients that there are take answers of any size, follow where they are sent
//! on, and send credentials where a registry says.

mod auth;
pub(super) mod manifest;
mod push;
pub(super) mod tags;

use reqwest::header::HeaderValue;
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

pub(super) use self::auth::Scope;
use self::manifest::{ACCEPTED, Manifest};
use super::web::{Ask, Web, body};
use super::{Access, Digest, Reference, SourceError, url};
use crate::plugin::printable;

/// The largest manifest, and the largest page of tags. Bytes; the specification asks registries for 4 MiB.
const LARGEST_ANSWER: u64 = 4 << 20;
/// The longest error that is read. Bytes.
const LONGEST_ERROR: u64 = 64 << 10;

/// What was pulled.
#[derive(Debug)]
pub(super) struct Pulled {
    pub(super) component: Vec<u8>,
    pub(super) manifest_digest: Digest,
}

/// Gets an artifact's component.
pub(super) async fn pull(reference: &Reference, access: &Access) -> Result<Pulled, SourceError> {
    let registry = Registry::new(reference, access, Scope::Pull)?;
    let found = registry.manifest(&reference.selector()).await?;
    let Stored { manifest, digest, .. } = found.ok_or_else(|| not_found(reference, String::new()))?;
    let layer = manifest.component().map_err(|why| not_a_component(reference, why))?;
    if layer.size > access.most_bytes {
        let what = reference.to_string();
        return Err(SourceError::TooLarge { what, size: Some(layer.size), limit: access.most_bytes });
    }
    let component = registry.blob(&layer.digest, layer.size).await?;
    Ok(Pulled { component, manifest_digest: digest })
}

/// All tags of a repository.
pub(super) async fn tags(repository: &Reference, access: &Access) -> Result<Vec<String>, SourceError> {
    let found = Registry::new(repository, access, Scope::Pull)?.tags().await?;
    found.ok_or_else(|| not_found(&repository.bare(), String::new()))
}

fn not_found(reference: &Reference, said: String) -> SourceError {
    SourceError::NotFound { what: reference.to_string(), said }
}

pub(super) fn not_a_component(reference: &Reference, why: String) -> SourceError {
    SourceError::NotAComponent { reference: reference.to_string(), why }
}

/// A manifest that a registry has.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) manifest: Manifest,
    pub(super) digest: Digest,
    /// As it came: its digest is of these.
    pub(super) bytes: Vec<u8>,
}

/// One repository of a registry, and who the user is there.
pub(super) struct Registry<'a> {
    web: Web,
    base: Url,
    reference: &'a Reference,
    access: &'a Access,
    scope: Scope,
    /// What the registry wants to see with each request, once it has said so.
    pass: Mutex<Option<HeaderValue>>,
}

impl<'a> Registry<'a> {
    pub(super) fn new(reference: &'a Reference, access: &'a Access, scope: Scope) -> Result<Self, SourceError> {
        let base = reference.base()?;
        Ok(Self { web: Web::new(&base, access)?, base, reference, access, scope, pass: Mutex::new(None) })
    }

    /// A URL of this repository. The grammar of a reference has no character that would need to be escaped.
    fn url(&self, path: &str) -> Result<Url, SourceError> {
        let whole = format!("v2/{}/{path}", self.reference.repository());
        let joined = self.base.join(&whole);
        joined.map_err(|_| SourceError::Url { url: self.reference.to_string(), why: "it makes no address" })
    }

    /// Asks as the user. Where the registry wants to know who that is, it is told, once.
    async fn send(&self, mut ask: Ask<'_>) -> Result<Response, SourceError> {
        // At another host the pass means nothing, and is no one's business.
        let ours = ask.url.origin() == self.base.origin();
        if ours {
            ask.credentials = self.pass.lock().await.clone();
        }
        let response = self.web.send(ask.clone()).await?;
        // Who was sent on is refused by somebody else.
        if response.status() != StatusCode::UNAUTHORIZED || !ours || response.url().origin() != self.base.origin() {
            return Ok(response);
        }
        let Some(pass) = self.authorize(response.headers()).await? else { return Ok(response) };
        if ask.credentials.as_ref() == Some(&pass) {
            return Ok(response);
        }
        *self.pass.lock().await = Some(pass.clone());
        ask.credentials = Some(pass);
        self.web.send(ask).await
    }

    /// The error that a status is.
    async fn refused(&self, response: Response, what: &str) -> SourceError {
        let status = response.status();
        let said = said(response).await;
        let what = what.to_owned();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                // Had the user's credentials been readable, it might have been allowed.
                let known = match self.access.credentials.of(self.reference).await {
                    Err(error) => return error,
                    Ok(credential) => credential.is_some(),
                };
                let host = self.reference.host().to_owned();
                SourceError::Denied { host, what, status: status.as_u16(), known, said }
            }
            StatusCode::NOT_FOUND => SourceError::NotFound { what, said },
            _ => SourceError::Status { what, status: status.as_u16(), said },
        }
    }

    /// A manifest by its tag or digest; none: it is not there.
    pub(super) async fn manifest(&self, selector: &str) -> Result<Option<Stored>, SourceError> {
        let url = self.url(&format!("manifests/{selector}"))?;
        let separator = if selector.contains(':') { '@' } else { ':' };
        let what = format!("{}{separator}{selector}", self.reference.bare());
        let response = self.send(Ask { accept: Some(ACCEPTED), ..Ask::get(url) }).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(self.refused(response, &what).await),
        }
        let headers = response.headers();
        let kind = text(headers.get(reqwest::header::CONTENT_TYPE));
        let promised = text(headers.get("docker-content-digest"));
        let bytes = body(response, &what, LARGEST_ANSWER).await?;
        if let Ok(digest) = selector.parse::<Digest>() {
            url::check(what.clone(), &digest, &bytes)?;
        }
        if let Some(digest) = promised.and_then(|digest| digest.parse::<Digest>().ok()) {
            url::check(what.clone(), &digest, &bytes)?;
        }
        let manifest = Manifest::parse(&bytes, kind.as_deref());
        let manifest = manifest.map_err(|why| SourceError::Garbage { what, why })?;
        Ok(Some(Stored { manifest, digest: Digest::of(&bytes), bytes }))
    }

    /// A blob, of which the manifest says how large it is.
    pub(super) async fn blob(&self, digest: &Digest, size: u64) -> Result<Vec<u8>, SourceError> {
        let what = format!("{}@{digest}", self.reference.bare());
        let response = self.send(Ask::get(self.url(&format!("blobs/{digest}"))?)).await?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(response, &what).await);
        }
        let bytes = body(response, &what, size).await?;
        if (bytes.len() as u64) < size {
            return Err(SourceError::CutShort { what, got: bytes.len() as u64, of: Some(size) });
        }
        url::check(what, digest, &bytes)?;
        Ok(bytes)
    }

    /// Whether it has a blob.
    async fn has(&self, digest: &Digest) -> Result<bool, SourceError> {
        let url = self.url(&format!("blobs/{digest}"))?;
        let response = self.send(Ask { method: Method::HEAD, ..Ask::get(url) }).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused(response, &format!("{}@{digest}", self.reference.bare())).await),
        }
    }
}

fn text(value: Option<&HeaderValue>) -> Option<String> {
    value?.to_str().ok().map(str::to_owned)
}

/// What a registry says about its refusal.
async fn said(response: Response) -> String {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    // What can't be read says nothing.
    let bytes = body(response, "an error", LONGEST_ERROR).await.unwrap_or_default();
    let Ok(Errors { errors }) = serde_json::from_slice(&bytes) else { return String::new() };
    let first = errors.into_iter().next();
    first.map_or(String::new(), |One { code, message }| {
        printable(if message.is_empty() { &code } else { &message }, 200)
    })
}
