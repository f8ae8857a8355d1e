//! A component of a web server. Whoever names it says what its bytes are.

use reqwest::{StatusCode, Url};

use super::error::place;
use super::web::{Ask, Web, body};
use super::{Access, Digest, SourceError};

/// Gets it.
pub(super) async fn fetch(url: &Url, digest: &Digest, access: &Access) -> Result<Vec<u8>, SourceError> {
    let web = Web::new(url, access)?;
    let what = place(url);
    let response = web.send(Ask::get(url.clone())).await?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(SourceError::NotFound { what, said: String::new() }),
        status => return Err(SourceError::Status { what, status: status.as_u16(), said: String::new() }),
    }
    let bytes = body(response, &what, access.most_bytes).await?;
    check(what, digest, &bytes)?;
    Ok(bytes)
}

/// Compares bytes with what they should be.
pub(super) fn check(what: String, expected: &Digest, bytes: &[u8]) -> Result<(), SourceError> {
    let got = Digest::of(bytes);
    if got == *expected {
        return Ok(());
    }
    Err(SourceError::DigestMismatch { what, expected: expected.to_string(), got: got.to_string() })
}
