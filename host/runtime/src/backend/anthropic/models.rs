//! The list of models: the one question to the API that costs nothing, and shows that address and key are right.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, HeaderValue};
use serde::Deserialize;
use tokio::time::timeout;

use super::{Anthropic, Connection, error, headers};
use crate::question::{Failure, FailureKind};

/// As much of the list is read, in bytes.
const LONGEST: usize = 1024 * 1024;

#[derive(Deserialize)]
struct Page {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

impl Anthropic {
    /// The host that is asked, without port or path.
    pub fn host(&self) -> &str {
        &self.connection.host
    }

    /// The models of the first page that the API lists: `GET /v1/models`. It costs nothing.
    ///
    /// # Errors
    ///
    /// As a question fails: [`FailureKind::Auth`] for a key that is rejected, [`FailureKind::Network`] where nobody is
    /// there, [`FailureKind::Malformed`] where somebody else is.
    pub async fn models(&self, patience: Duration) -> Result<Vec<String>, Failure> {
        timeout(patience, self.connection.models()).await.unwrap_or_else(|_| {
            let message = format!("no answer from {} within {} s", self.connection.host, patience.as_secs());
            Err(Failure::new(FailureKind::TimedOut, message))
        })
    }
}

impl Connection {
    async fn models(&self) -> Result<Vec<String>, Failure> {
        let url = self.url.strip_suffix("messages").unwrap_or(&self.url);
        let mut head = self.headers.clone();
        head.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let sending = self.client.get(format!("{url}models")).headers(head).send();
        let mut response = sending.await.map_err(|error| self.not_sent(&error))?;
        let status = response.status();
        if status != StatusCode::OK {
            let body = error::body(&mut response).await;
            return Err(error::of_status(status.as_u16(), response.headers(), &body, &self.key, Timestamp::now()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.not_sent(&error))? {
            if body.len() + chunk.len() > LONGEST {
                return Err(self.not_the_api());
            }
            body.extend_from_slice(&chunk);
        }
        let page: Page = serde_json::from_slice(&body).map_err(|_| self.not_the_api())?;
        Ok(page.data.into_iter().map(|model| headers::clean(&model.id, &self.key, 100)).collect())
    }

    fn not_the_api(&self) -> Failure {
        let message = format!("{} answered, but not as the Messages API does: is ANTHROPIC_BASE_URL right?", self.host);
        Failure::new(FailureKind::Malformed, message)
    }
}
