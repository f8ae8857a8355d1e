//! Putting things into a registry. What is there is not sent again.

use reqwest::{Method, StatusCode};

use super::{Registry, text};
use crate::plugin::source::web::{Ask, location};
use crate::plugin::source::{Digest, SourceError, url};

const BYTES: &str = "application/octet-stream";

impl Registry<'_> {
    /// Puts a blob there, if it is not.
    pub(in crate::plugin::source) async fn put_blob(&self, bytes: &[u8]) -> Result<(), SourceError> {
        let digest = Digest::of(bytes);
        if self.has(&digest).await? {
            return Ok(());
        }
        let what = format!("an upload to {}", self.reference.bare());
        let begin = self.url("blobs/uploads/")?;
        let ask = Ask { method: Method::POST, body: Some((BYTES, Vec::new())), ..Ask::get(begin.clone()) };
        let response = self.send(ask).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(self.refused(response, &what).await);
        }
        let garbage = |why: &str| SourceError::Garbage { what: what.clone(), why: why.to_owned() };
        let mut to = location(response.headers(), &begin).ok_or_else(|| garbage("it says no place for it"))?;
        to.query_pairs_mut().append_pair("digest", &digest.to_string());
        let ask = Ask { method: Method::PUT, body: Some((BYTES, bytes.to_vec())), ..Ask::get(to) };
        let response = self.send(ask).await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT => Ok(()),
            _ => Err(self.refused(response, &what).await),
        }
    }

    /// Puts a manifest under a tag, over what is there. What it names must be there already.
    pub(in crate::plugin::source) async fn put_manifest(
        &self,
        tag: &str,
        kind: &str,
        bytes: &[u8],
    ) -> Result<(), SourceError> {
        let what = format!("{}:{tag}", self.reference.bare());
        let to = self.url(&format!("manifests/{tag}"))?;
        let ask = Ask { method: Method::PUT, body: Some((kind, bytes.to_vec())), ..Ask::get(to) };
        let response = self.send(ask).await?;
        if response.status() != StatusCode::CREATED {
            return Err(self.refused(response, &what).await);
        }
        match text(response.headers().get("docker-content-digest")).and_then(|digest| digest.parse::<Digest>().ok()) {
            Some(digest) => url::check(what, &digest, bytes),
            None => Ok(()),
        }
    }
}
