//! A local OCI registry, in memory: what a client of the distribution API can see of one, logins and pages included, and
//! failures on order.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use futures::{StreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::locked;

/// A running registry. Dropping it ends it.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    state: Arc<Mutex<Kept>>,
    server: JoinHandle<()>,
}

/// Who may use it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// Anybody.
    #[default]
    Anybody,
    /// Who sends this name and password.
    Basic(String, String),
    /// Who has a token. It is given by `/token`, or by another realm.
    Token {
        /// To whom one is given; none: to anybody.
        to: Option<(String, String)>,
        /// Where one is given; none: here.
        realm: Option<String>,
    },
}

/// What goes wrong, at every request whose path contains a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The answer has this status, and an error as registries write it.
    Status(u16),
    /// The answer is this text, with the status 200.
    Text(String),
    /// The connection breaks in the middle of the right answer.
    Half,
    /// The right answer ends in the middle, as if that was all.
    Short,
    /// One byte of the right answer is another one.
    Changed,
    /// The answer never ends, and says no length.
    Endless,
    /// The client is sent on to this address.
    SendOn(String),
    /// No answer comes.
    Silent,
}

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `GET` and so on.
    pub method: String,
    /// With the query.
    pub path: String,
    /// Its header `authorization`.
    pub authorization: Option<String>,
}

#[derive(Debug, Default)]
struct Kept {
    login: Login,
    /// How many tags a page has; none: all.
    page: Option<usize>,
    wrong: Vec<(String, Wrong)>,
    asked: Vec<Asked>,
    blobs: BTreeMap<String, Bytes>,
    /// By repository and tag or digest.
    manifests: BTreeMap<(String, String), (String, Bytes)>,
    files: BTreeMap<String, Bytes>,
}

impl Registry {
    /// Starts one on the loopback address, empty, for anybody.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(Kept::default()));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let server = tokio::spawn(async move {
            // Only accepting can fail here, and axum goes on after that.
            drop(axum::serve(listener, app).await);
        });
        Ok(Self { address, state, server })
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Who may use it from now on.
    pub fn set_login(&self, login: Login) {
        locked(&self.state).login = login;
    }

    /// Lists so many tags a page from now on.
    pub fn set_page(&self, tags: usize) {
        locked(&self.state).page = Some(tags);
    }

    /// From now on this goes wrong where the path contains that text. The first that fits counts.
    pub fn set_wrong(&self, path: impl Into<String>, wrong: Wrong) {
        locked(&self.state).wrong.push((path.into(), wrong));
    }

    /// From now on nothing goes wrong.
    pub fn heal(&self) {
        locked(&self.state).wrong.clear();
    }

    /// The requests so far, oldest first.
    pub fn asked(&self) -> Vec<Asked> {
        locked(&self.state).asked.clone()
    }

    /// The tags of a repository.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        locked(&self.state).tags(repository).unwrap_or_default()
    }

    /// The manifest under a tag or digest.
    pub fn manifest(&self, repository: &str, name: &str) -> Option<Vec<u8>> {
        let found = locked(&self.state).manifests.get(&(repository.to_owned(), name.to_owned())).cloned();
        found.map(|(_, bytes)| bytes.to_vec())
    }

    /// Puts a manifest there, under a tag and its digest, which is given back.
    pub fn put_manifest(&self, repository: &str, tag: &str, kind: &str, bytes: impl Into<Vec<u8>>) -> String {
        locked(&self.state).put_manifest(repository, tag, kind, bytes.into().into())
    }

    /// Puts a blob there, and gives its digest.
    pub fn put_blob(&self, bytes: impl Into<Vec<u8>>) -> String {
        let bytes = Bytes::from(bytes.into());
        let digest = digest(&bytes);
        locked(&self.state).blobs.insert(digest.clone(), bytes);
        digest
    }

    /// Removes a tag.
    pub fn remove(&self, repository: &str, tag: &str) {
        locked(&self.state).manifests.remove(&(repository.to_owned(), tag.to_owned()));
    }

    /// Puts other bytes in a blob's place, under its old name.
    pub fn tamper(&self, digest: &str, bytes: impl Into<Vec<u8>>) {
        locked(&self.state).blobs.insert(digest.to_owned(), bytes.into().into());
    }

    /// Puts a component there as tools do: its blob, and a manifest under that tag, whose digest is given back.
    pub fn put_component(&self, repository: &str, tag: &str, bytes: impl Into<Vec<u8>>) -> String {
        let (bytes, config) = (bytes.into(), b"{}".to_vec());
        let (size, config_size) = (bytes.len(), config.len());
        let (layer, config) = (self.put_blob(bytes), self.put_blob(config));
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": { "mediaType": "application/vnd.wasm.config.v0+json", "digest": config, "size": config_size },
            "layers": [{ "mediaType": "application/wasm", "digest": layer, "size": size }],
        });
        self.put_manifest(repository, tag, MANIFEST, manifest.to_string())
    }

    /// Puts a file there, for who asks for that path.
    pub fn put_file(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        locked(&self.state).files.insert(path.to_owned(), bytes.into().into());
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

impl Kept {
    /// None: there is no such repository.
    fn tags(&self, repository: &str) -> Option<Vec<String>> {
        let mut names = self.manifests.keys().filter(|(of, _)| of == repository).peekable();
        names.peek()?;
        Some(names.map(|(_, name)| name.clone()).filter(|name| !name.contains(':')).collect())
    }

    fn put_manifest(&mut self, repository: &str, tag: &str, kind: &str, bytes: Bytes) -> String {
        let digest = digest(&bytes);
        for name in [tag, &digest] {
            self.manifests.insert((repository.to_owned(), name.to_owned()), (kind.to_owned(), bytes.clone()));
        }
        digest
    }

    /// The challenge for a request that lacks something; none: it may.
    fn challenge(&self, host: &str, authorization: Option<&str>, action: &str, repository: &str) -> Option<String> {
        match &self.login {
            Login::Anybody => None,
            Login::Basic(user, password) => {
                let may = authorization == Some(basic(user, password).as_str());
                (!may).then(|| r#"Basic realm="registry""#.to_owned())
            }
            Login::Token { realm, .. } => {
                let token = authorization.and_then(|value| value.strip_prefix("Bearer token:")).unwrap_or_default();
                let scope = token.strip_prefix(&format!("repository:{repository}:"));
                let may = scope.is_some_and(|actions| actions.split(',').any(|one| one == action));
                let own = format!("http://{host}/token");
                let realm = realm.as_deref().unwrap_or(&own);
                let scope = format!("repository:{repository}:{action}");
                (!may).then(|| format!(r#"Bearer realm="{realm}",service="registry",scope="{scope}""#))
            }
        }
    }
}

async fn answer(State(state): State<Arc<Mutex<Kept>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else { return refuse(400, "BLOB_UPLOAD_INVALID") };
    let of = |name: header::HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let authorization = of(header::AUTHORIZATION);
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let host = of(header::HOST).unwrap_or_default();
    let asked = Asked { method: head.method.to_string(), path: path.clone(), authorization: authorization.clone() };
    let wrong = {
        let mut kept = locked(&state);
        kept.asked.push(asked);
        kept.wrong.iter().find(|(part, _)| path.contains(part.as_str())).map(|(_, wrong)| wrong.clone())
    };
    match &wrong {
        Some(Wrong::Status(status)) => return refuse(*status, "ordered"),
        Some(Wrong::Text(text)) => return plain(StatusCode::OK, text.clone().into()),
        Some(Wrong::Endless) => {
            let chunks = stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(&[0; 16_384])));
            return Response::new(Body::from_stream(chunks));
        }
        Some(Wrong::SendOn(to)) => {
            let mut response = plain(StatusCode::TEMPORARY_REDIRECT, Bytes::new());
            if let Ok(to) = to.parse() {
                response.headers_mut().insert(header::LOCATION, to);
            }
            return response;
        }
        Some(Wrong::Silent) => return std::future::pending().await,
        Some(Wrong::Half | Wrong::Short | Wrong::Changed) | None => {}
    }
    let kind = of(header::CONTENT_TYPE).unwrap_or_default();
    let right = served(&mut locked(&state), &head.method, &path, &host, authorization.as_deref(), &kind, body);
    match wrong {
        Some(wrong) => spoiled(right, &wrong).await,
        None => right,
    }
}

fn served(
    kept: &mut Kept,
    method: &Method,
    path: &str,
    host: &str,
    authorization: Option<&str>,
    kind: &str,
    body: Bytes,
) -> Response {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    if path == "/token" {
        return token(kept, query, authorization);
    }
    if let Some(file) = kept.files.get(path) {
        return plain(StatusCode::OK, file.clone());
    }
    let kinds = ["/manifests/", "/blobs/", "/tags/"];
    let split = path.strip_prefix("/v2/").and_then(|rest| {
        let (at, kind) = kinds.iter().find_map(|kind| Some((rest.find(kind)?, *kind)))?;
        Some((rest[..at].to_owned(), kind, rest[at + kind.len()..].to_owned()))
    });
    let Some((repository, what, name)) = split else { return refuse(404, "NOT_FOUND") };
    let action = if matches!(*method, Method::GET | Method::HEAD) { "pull" } else { "push" };
    if let Some(challenge) = kept.challenge(host, authorization, action, &repository) {
        let mut response = refuse(401, "UNAUTHORIZED");
        if let Ok(challenge) = challenge.parse() {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        return response;
    }
    match (what, method.as_str()) {
        ("/tags/", "GET") => listed(kept, &repository, query),
        ("/manifests/", "GET" | "HEAD") => match kept.manifests.get(&(repository, name)) {
            Some((kind, bytes)) => with(
                plain(StatusCode::OK, bytes.clone()),
                &[("content-type", kind.clone()), ("docker-content-digest", digest(bytes))],
            ),
            None => refuse(404, "MANIFEST_UNKNOWN"),
        },
        ("/manifests/", "PUT") => {
            let digest = kept.put_manifest(&repository, &name, kind, body);
            with(plain(StatusCode::CREATED, Bytes::new()), &[("docker-content-digest", digest)])
        }
        ("/blobs/", "POST") => {
            let to = format!("/v2/{repository}/blobs/uploads/1?state=x");
            with(plain(StatusCode::ACCEPTED, Bytes::new()), &[("location", to)])
        }
        ("/blobs/", "PUT") => {
            let digest = digest(&body);
            if value(query, "digest").replace("%3A", ":") != digest {
                return refuse(400, "DIGEST_INVALID");
            }
            kept.blobs.insert(digest, body);
            plain(StatusCode::CREATED, Bytes::new())
        }
        ("/blobs/", "GET" | "HEAD") => match kept.blobs.get(&name) {
            Some(bytes) => plain(StatusCode::OK, bytes.clone()),
            None => refuse(404, "BLOB_UNKNOWN"),
        },
        _ => refuse(405, "UNSUPPORTED"),
    }
}

/// A page of tags, with a link to the next one.
fn listed(kept: &Kept, repository: &str, query: &str) -> Response {
    let Some(tags) = kept.tags(repository) else { return refuse(404, "NAME_UNKNOWN") };
    let last = value(query, "last");
    let rest: Vec<String> = tags.into_iter().filter(|tag| tag.as_str() > last).collect();
    let page: Vec<&String> = rest.iter().take(kept.page.unwrap_or(usize::MAX)).collect();
    let next = page.last().filter(|_| page.len() < rest.len());
    let link = next.map(|last| ("link", format!("</v2/{repository}/tags/list?last={last}&n=1>; rel=\"next\"")));
    let text = serde_json::json!({ "name": repository, "tags": page }).to_string();
    with(plain(StatusCode::OK, text.into()), link.as_slice())
}

fn token(kept: &Kept, query: &str, authorization: Option<&str>) -> Response {
    let Login::Token { to, .. } = &kept.login else { return refuse(404, "NOT_FOUND") };
    if let Some((user, password)) = to
        && authorization != Some(basic(user, password).as_str())
    {
        return refuse(401, "UNAUTHORIZED");
    }
    let scope = value(query, "scope").replace("%3A", ":").replace("%2C", ",").replace("%2F", "/");
    plain(StatusCode::OK, serde_json::json!({ "token": format!("token:{scope}") }).to_string().into())
}

/// The right answer, gone wrong.
async fn spoiled(right: Response, wrong: &Wrong) -> Response {
    let (head, body) = right.into_parts();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let half = whole.slice(..whole.len() / 2);
    match wrong {
        Wrong::Half => {
            let broken = stream::iter([Ok(half), Err(io::Error::other("ordered"))]);
            // Hyper sends what it has before it looks for more; else nothing at all would have come.
            let paced = broken.then(|part| async {
                tokio::task::yield_now().await;
                part
            });
            let mut response = Response::from_parts(head, Body::from_stream(paced));
            response.headers_mut().insert(header::CONTENT_LENGTH, whole.len().into());
            response
        }
        Wrong::Short => Response::from_parts(head, Body::from(half)),
        _ => {
            let mut bytes = whole.to_vec();
            if let Some(byte) = bytes.last_mut() {
                *byte ^= 1;
            }
            Response::from_parts(head, Body::from(bytes))
        }
    }
}

fn plain(status: StatusCode, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
}

fn with(mut response: Response, headers: &[(&'static str, String)]) -> Response {
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(*name, value);
        }
    }
    response
}

fn refuse(status: u16, code: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text = serde_json::json!({ "errors": [{ "code": code, "message": format!("{code}, says the registry") }] });
    plain(status, text.to_string().into())
}

/// A value of a query, as it stands there.
fn value<'a>(query: &'a str, name: &str) -> &'a str {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| value).next().unwrap_or_default()
}

/// The name of bytes.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// The header that a name and a password make.
pub fn basic(user: &str, password: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = format!("{user}:{password}");
    let groups = text.as_bytes().chunks(3).map(|group| {
        let bits = (0..3).fold(0_u32, |bits, at| bits << 8 | u32::from(group.get(at).copied().unwrap_or_default()));
        let letter = |at: usize| char::from(LETTERS[(bits >> (18 - 6 * at) & 63) as usize]);
        (0..4).map(|at| if at <= group.len() { letter(at) } else { '=' }).collect::<String>()
    });
    format!("Basic {}", groups.collect::<String>())
}
