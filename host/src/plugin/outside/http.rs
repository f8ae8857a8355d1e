//! Requests that a plugin sends.
//!
//! It sends to the hosts that were granted, with the methods that were granted, by https, and to no address that is not
//! public. Only a grant that names this machine itself leads there, by http too. Redirects are followed, and each is
//! checked as if the plugin had sent it. Nothing of the user goes with a request: no cookie, no credential, no header of
//! the host's own but its name. What comes back is bounded in size, number of headers and time, and is as it came: nothing
//! is decompressed. See [`fetcher`] for the way of a request, [`sites`] for what is granted, [`address`](super::address)
//! for what is public, [`proxy`] for what a proxy makes of that.

mod error;
mod fetcher;
pub mod proxy;
mod redirect;
mod request;
mod sites;
mod tape;
#[cfg(test)]
mod tests;

use reqwest::Url;
use serde_json::json;
use wasmtime::component::{Accessor, Resource};

use super::fakes::Fetched;
use super::{Call, Wish, wit, wit_http};
use crate::audit::kind;
use crate::plugin::imports::{Host, State, TaskHandle};
use crate::plugin::printable;

pub use error::HttpError;
pub use fetcher::Fetcher;
use fetcher::Hop;
pub use proxy::Proxy;
pub use request::{Request, Response};
use sites::Sites;

impl wit_http::Host for State {}

impl wit_http::HostWithStore<State> for Host {
    async fn fetch(
        accessor: &Accessor<State, Self>,
        task: Option<Resource<TaskHandle>>,
        request: wit_http::Request,
    ) -> wasmtime::Result<Result<wit_http::Response, wit::Error>> {
        let call = Call::of(accessor, task.as_ref())?;
        let _waiting = call.own_time.host_call();
        if let Err(error) = call.note("http") {
            return Ok(Err(error));
        }
        let wit_http::Request { method, url, headers, body, extra: _ } = request;
        let answer = fetch(&call, Request { method, url, headers, body }).await;
        Ok(answer.map(|Response { status, headers, body }| wit_http::Response {
            status,
            headers,
            body,
            extra: Vec::new(),
        }))
    }
}

async fn fetch(call: &Call, request: Request) -> Result<Response, wit::Error> {
    let outside = &call.outside;
    let sites = Sites::of(&outside.granted.http);
    let asked = tape::asked(&request, call.item());
    let told = |level, words| call.tell(level, words);
    let refused = |error: HttpError| wit::Error {
        message: format!("{}: {error}", outside.plugin),
        hint: match error.missing_grant() {
            // The command that grants it.
            Some((method, site)) => outside.refused(&Wish::send(method, site)).hint,
            None => error.hint().map(str::to_owned),
        },
    };
    if let Some(fakes) = &outside.fakes {
        let (method, url) = (request.method.clone(), request.url.clone());
        fetcher::check(&sites, request).map_err(refused)?;
        let Fetched { status, headers, body } = call.fetch_fake(&**fakes, &method, &url)?;
        return Ok(Response { status, headers, body });
    }
    let real = async {
        let (method, host) = (request.method.clone(), host_of(&request.url));
        call.leave_ahead(kind::HTTP_FETCH, &host, json!({"method": printable(&method, 20)})).await;
        let heard = |hop: Hop<'_>| {
            call.leave(kind::HTTP_SENT, hop.host, || json!({"method": hop.method, "became": hop.became}));
        };
        let answer = outside.http.fetch(&sites, request, &told, &heard).await;
        call.leave(kind::HTTP_ENDED, &host, || match &answer {
            Ok(answer) => json!({"status": answer.status, "bytes": answer.body.len()}),
            Err(error) => json!({"error": error.to_string()}),
        });
        answer.map_err(refused)
    };
    outside.tape.through(asked, call.recorder(), real).await
}

/// The host of a URL, with its port where that is not the usual one: nothing else of it, which may hold what is secret.
fn host_of(url: &str) -> String {
    let Ok(url) = Url::parse(url) else { return "no host".to_owned() };
    let host = printable(url.host_str().unwrap_or("no host"), 253);
    url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
}
