//! What a plugin can not do with a request, against servers on this machine that do what hosts should not.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoke_runtime::quota::named::{Match, NamedQuota, NamedQuotas};
use convoke_runtime::quota::rate::Size;
use futures::FutureExt;
use futures::future::BoxFuture;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::Certificate;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::config::Http;
use crate::plugin::capabilities::Site;
use crate::plugin::outside::address::{Lookup, Reach};
use crate::plugin::outside::quotas::Quotas;

/// What a server does with the requests that it gets, each by its first line.
type Answers = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

enum Answer {
    /// These bytes, and the end.
    Bytes(Vec<u8>),
    /// These bytes, and then these again and again.
    Endless(&'static str, Vec<u8>),
    /// These bytes, and then nothing.
    Silent(&'static str),
}

fn plain(body: &str) -> Answer {
    Answer::Bytes(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

fn redirect(status: u16, to: &str) -> Answer {
    let head = format!("HTTP/1.1 {status} Moved\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    Answer::Bytes(head.into_bytes())
}

/// A server on this machine.
struct Server {
    address: SocketAddr,
    /// The requests that it got, whole.
    got: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answers: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self::with(None, answers).await
    }

    async fn with(tls: Option<TlsAcceptor>, answers: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let got: Arc<Mutex<Vec<String>>> = Arc::default();
        let (requests, answers): (_, Answers) = (got.clone(), Arc::new(answers));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (requests, answers, tls) = (requests.clone(), answers.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &requests, &answers).await,
                            Err(_) => Ok(()),
                        },
                        None => serve(stream, &requests, &answers).await,
                    }
                });
            }
        });
        Self { address, got }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn site(&self, methods: &[&str]) -> Site {
        site(&self.address.to_string(), methods)
    }

    fn got(&self) -> Vec<String> {
        self.got.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    requests: &Mutex<Vec<String>>,
    answers: &Answers,
) -> io::Result<()> {
    let mut text = String::new();
    let mut buffer = [0; 4_096];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        if body.len() >= length {
            break;
        }
    }
    let first = text.lines().next().unwrap_or_default().to_owned();
    requests.lock().unwrap().push(text);
    match answers(&first) {
        Answer::Bytes(bytes) => stream.write_all(&bytes).await?,
        Answer::Silent(head) => {
            stream.write_all(head.as_bytes()).await?;
            std::future::pending::<()>().await;
        }
        Answer::Endless(head, bytes) => {
            stream.write_all(head.as_bytes()).await?;
            while stream.write_all(&bytes).await.is_ok() {}
        }
    }
    stream.shutdown().await
}

fn site(host: &str, methods: &[&str]) -> Site {
    Site {
        host: host.to_owned(),
        methods: methods.iter().map(|method| (*method).to_owned()).collect(),
        optional: false,
    }
}

fn get(url: &str) -> Request {
    Request { method: "GET".to_owned(), url: url.to_owned(), ..Request::default() }
}

async fn fetched(sites: &[Site], request: Request) -> Result<Response, String> {
    fetched_by(&Fetcher::default(), sites, request).await
}

async fn fetched_by(fetcher: &Fetcher, sites: &[Site], request: Request) -> Result<Response, String> {
    let answer = fetcher.fetch(&Sites::of(sites), request, &|_, _| {}, &|_| {}).await;
    answer.map_err(|error| error.to_string())
}

fn limited(timeout: Duration, most_response_bytes: u64) -> Fetcher {
    Fetcher::new(Http { timeout, most_response_bytes }, Default::default(), Quotas::default(), Ok(None))
}

// What works ----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_granted_host_of_this_machine_is_asked_and_any_status_is_an_answer() {
    let server = Server::start(|_| {
        Answer::Bytes(b"HTTP/1.1 404 Not Found\r\nX-Kind: none\r\ncontent-length: 4\r\n\r\ngone".to_vec())
    })
    .await;
    let mut request = Request { method: "post".to_owned(), body: b"what".to_vec(), ..get(&server.url("/a?b=c")) };
    request.headers.push(("Authorization".to_owned(), "Bearer mine".to_owned()));
    let answer = fetched(&[server.site(&["POST"])], request).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (404, &b"gone"[..]));
    assert!(answer.headers.contains(&("x-kind".to_owned(), "none".to_owned())), "{:?}", answer.headers);
    let got = server.got().concat();
    assert!(got.starts_with("POST /a?b=c HTTP/1.1\r\n") && got.ends_with("\r\n\r\nwhat"), "{got}");
    assert!(got.contains("authorization: Bearer mine") && got.contains("user-agent: convoke/"), "{got}");
    assert!(!got.contains("cookie") && !got.contains("accept-encoding") && !got.contains("referer"), "{got}");
}

#[tokio::test]
async fn each_request_is_told_without_what_may_be_secret() {
    let server = Server::start(|_| plain("hello")).await;
    let lines = Mutex::new(Vec::new());
    let told = |level, words: String| lines.lock().unwrap().push(format!("{level}: {words}"));
    let sites = Sites::of(&[server.site(&["GET"])]);
    Fetcher::default().fetch(&sites, get(&server.url("/private?token=mine")), &told, &|_| {}).await.unwrap();
    let lines = lines.into_inner().unwrap();
    assert!(lines[0].starts_with("info: GET 127.0.0.1: 200, 5 bytes ("), "{lines:?}");
    assert!(!lines[0].contains("private") && !lines[0].contains("mine"), "{lines:?}");
}

#[tokio::test]
async fn what_is_compressed_stays_so() {
    // Ten bytes that would become many.
    let bomb = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 10\r\n\r\n";
    let server = Server::start(move |_| Answer::Bytes([&head[..], &bomb[..]].concat())).await;
    let answer = fetched(&[server.site(&["GET"])], get(&server.url("/"))).await.unwrap();
    assert_eq!(answer.body, bomb);
}

// What does not -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn what_is_not_granted_is_not_sent() {
    let (granted, other) = (Server::start(|_| plain("x")).await, Server::start(|_| plain("secret")).await);
    let sites = [granted.site(&["GET"])];
    let port = other.address.port();
    for url in [
        other.url("/"),
        format!("http://localhost:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://{}@127.0.0.1:{port}/", granted.address),
        format!("http://127.0.0.1:{}@127.0.0.1:{port}/", granted.address.port()),
        format!("http://{}\\@127.0.0.1:{port}:{port}/", granted.address),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "https://metadata.google.internal/".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        let told = fetched(&sites, get(&url)).await.map(|answer| String::from_utf8(answer.body).unwrap());
        assert!(told.as_ref().is_err() || told == Ok("x".to_owned()), "{url}: {told:?}");
    }
    for method in ["POST", "DELETE", "OPTIONS"] {
        let request = Request { method: method.to_owned(), ..get(&granted.url("/")) };
        let told = fetched(&sites, request).await.unwrap_err();
        assert!(told.contains("is not granted: GET is"), "{told}");
    }
    assert!(other.got().is_empty(), "{:?}", other.got());
}

#[tokio::test]
async fn a_redirect_is_checked_like_any_request() {
    let secret = Server::start(|_| plain("secret")).await;
    let to = secret.url("/");
    let server = Server::start(move |first| match first.split(' ').nth(1) {
        Some("/other") => redirect(302, &to),
        Some("/metadata") => redirect(307, "http://169.254.169.254/"),
        Some("/scheme") => redirect(301, "file:///etc/passwd"),
        Some("/userinfo") => redirect(302, "//me:mine@127.0.0.1:1/"),
        Some("/here") => redirect(303, "/seen"),
        Some("/seen") => plain(first),
        _ => redirect(302, "/round"),
    })
    .await;
    let sites = [server.site(&["GET", "POST"])];
    for (path, reason) in [
        ("/other", "is not granted, and 127.0.0.1 redirects there: "),
        ("/metadata", "169.254.169.254:80 is not granted"),
        ("/scheme", "is not fetched"),
        ("/userinfo", "user name or password"),
        ("/round", "redirects once more after 5 redirects"),
    ] {
        let told = fetched(&sites, get(&server.url(path))).await.unwrap_err();
        assert!(told.contains(reason), "{path}: {told}");
    }
    assert_eq!(server.got().iter().filter(|got| got.contains(" /round ")).count(), 6);
    assert!(secret.got().is_empty());
    let posted = Request { method: "POST".to_owned(), body: b"x".to_vec(), ..get(&server.url("/here")) };
    let answer = fetched(&sites, posted.clone()).await.unwrap();
    assert_eq!(answer.body, b"GET /seen HTTP/1.1");
    let told = fetched(&[server.site(&["POST"])], posted).await.unwrap_err();
    assert!(
        told.starts_with("GET at 127.0.0.1:")
            && told.ends_with(" is not granted, and 127.0.0.1 redirects there: POST is"),
        "{told}"
    );
}

#[tokio::test]
async fn credentials_stay_at_their_host() {
    let other = Server::start(|_| plain("x")).await;
    let to = other.url("/");
    let server = Server::start(move |_| redirect(307, &to)).await;
    let mut request = Request { method: "POST".to_owned(), body: b"body".to_vec(), ..get(&server.url("/")) };
    for name in ["Authorization", "Cookie", "X-Api-Key", "Private-Token"] {
        request.headers.push((name.to_owned(), "mine".to_owned()));
    }
    fetched(&[server.site(&["POST"]), other.site(&["POST"])], request).await.unwrap();
    assert_eq!(server.got().concat().matches("mine").count(), 4);
    let got = other.got().concat();
    assert!(got.ends_with("body") && !got.contains("mine"), "{got}");
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let fetcher = limited(Duration::from_secs(30), 100_000);
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"] {
        let server = Server::start(move |_| Answer::Endless(head, vec![b'x'; 8_192])).await;
        let told = fetched_by(&fetcher, &[server.site(&["GET"])], get(&server.url("/"))).await.unwrap_err();
        assert_eq!(told, "the answer of 127.0.0.1 has more than 100000 bytes");
    }
    let whole = "x".repeat(100_000);
    let server = Server::start(move |_| plain(&whole)).await;
    let answer = fetched_by(&fetcher, &[server.site(&["GET"])], get(&server.url("/"))).await.unwrap();
    assert_eq!(answer.body.len(), 100_000);
}

#[tokio::test]
async fn endless_headers_are_cut_off() {
    for line in ["x: y\r\n".to_owned(), format!("x: {}\r\n", "y".repeat(9_000))] {
        let server = Server::start(move |_| Answer::Endless("HTTP/1.1 200 OK\r\n", line.clone().into_bytes())).await;
        fetched(&[server.site(&["GET"])], get(&server.url("/"))).await.unwrap_err();
    }
    let many =
        format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", format!("x: {}\r\n", "y".repeat(8_000)).repeat(9));
    let server = Server::start(move |_| Answer::Bytes(many.clone().into_bytes())).await;
    let told = fetched(&[server.site(&["GET"])], get(&server.url("/"))).await.unwrap_err();
    assert!(told.contains("the headers of the answer of 127.0.0.1 have more than 65536 bytes"), "{told}");
}

#[tokio::test]
async fn a_slow_answer_is_given_up() {
    for head in
        ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", "HTTP/1.1 100 Continue\r\n\r\n"]
    {
        let server = Server::start(move |_| Answer::Silent(head)).await;
        let fetcher = limited(Duration::from_millis(100), 1_000);
        let told = fetched_by(&fetcher, &[server.site(&["GET"])], get(&server.url("/"))).await.unwrap_err();
        assert_eq!(told, "127.0.0.1 gave no whole answer within 0.1 s");
    }
}

#[tokio::test]
async fn what_answers_with_nonsense_is_an_error_in_words() {
    for nonsense in ["SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "\u{1b}[2J"] {
        let server = Server::start(move |_| Answer::Bytes(nonsense.as_bytes().to_vec())).await;
        let told = fetched(&[server.site(&["GET"])], get(&server.url("/?token=mine"))).await.unwrap_err();
        assert!(told.starts_with("127.0.0.1: ") && !told.contains("mine") && !told.contains('\u{1b}'), "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_spent_quota_is_waited_for_and_that_is_told() {
    let server = Server::start(|_| plain("x")).await;
    let mut named = NamedQuotas::default();
    let mine = Match { host: Some("127.0.0.1".to_owned()), ..Match::default() };
    let size = Size { amount: 1, per: Duration::from_secs(20) };
    named.set(NamedQuota { name: "mine".into(), size, matches: vec![mine] });
    // The clock that is paused is no measure of a host.
    let http = Http { timeout: Duration::from_secs(86_400), ..Http::default() };
    let fetcher = Fetcher::new(http, Default::default(), Quotas::new(named), Ok(None));
    let lines = Mutex::new(Vec::new());
    let told = |level, words: String| lines.lock().unwrap().push(format!("{level}: {words}"));
    let sites = Sites::of(&[server.site(&["GET"])]);
    for _ in 0..2 {
        fetcher.fetch(&sites, get(&server.url("/")), &told, &|_| {}).await.unwrap();
    }
    let lines = lines.into_inner().unwrap();
    assert!(
        lines.iter().any(|line| line == "warn: the quota `mine` is used up: what needs it waits for room"),
        "{lines:?}"
    );
}

// By https, at names that lead where the test wants --------------------------------------------------------------------

/// Where each name leads, and where a public address is on this machine.
#[derive(Clone)]
struct Names {
    names: Vec<(&'static str, IpAddr)>,
    server: SocketAddr,
}

const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(93, 184, 216, 34));

impl Lookup for Names {
    fn addresses(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let found: Vec<IpAddr> = self.names.iter().filter(|(name, _)| *name == host).map(|(_, to)| *to).collect();
        async move { if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) } }.boxed()
    }

    fn target(&self, address: IpAddr) -> SocketAddr {
        if address == PUBLIC { self.server } else { SocketAddr::new(address, self.server.port()) }
    }
}

/// A certificate for names, and the authority that says so.
fn certified(names: &[&str]) -> (TlsAcceptor, Certificate) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let private = PrivatePkcs8KeyDer::from(key.serialize_der());
    let _: Result<(), _> = rustls::crypto::ring::default_provider().install_default();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], private.into()).unwrap();
    (TlsAcceptor::from(Arc::new(config)), Certificate::from_pem(pem.as_bytes()).unwrap())
}

fn by_names(names: Names, trusted: Option<Certificate>) -> Fetcher {
    let make = move |reach: Reach, _| reach.client_by(names.clone()).tls_certs_only(trusted.clone());
    Fetcher::made_by(Http::default(), Quotas::default(), make)
}

#[tokio::test]
async fn a_public_host_is_asked_by_https_and_a_redirect_inward_is_not_followed() {
    let (tls, authority) = certified(&["api.example.com", "www.example.com"]);
    let inside = Server::start(|_| plain("secret")).await;
    let inward = inside.url("/");
    let server = Server::with(Some(tls), move |first| match first.split(' ').nth(1) {
        Some("/inward") => redirect(302, &inward),
        Some("/plain") => redirect(302, "http://www.example.com/"),
        Some("/there") => redirect(302, "https://www.example.com/"),
        _ => plain("hello"),
    })
    .await;
    let names = vec![("api.example.com", PUBLIC), ("www.example.com", PUBLIC)];
    let fetcher = by_names(Names { names, server: server.address }, Some(authority));
    // Even where this machine is granted: what comes from outside has no say in it.
    let sites = [site("api.example.com", &[]), site("www.example.com", &[]), inside.site(&["GET"])];
    let fetch = |path: &str| fetched_by(&fetcher, &sites, get(&format!("https://api.example.com{path}")));
    assert_eq!(fetch("/").await.unwrap().body, b"hello");
    assert_eq!(fetch("/there").await.unwrap().body, b"hello");
    assert!(fetch("/inward").await.unwrap_err().contains("which is this machine: that is not followed"));
    assert!(fetch("/plain").await.unwrap_err().contains("is not granted"));
    assert!(inside.got().is_empty());
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_reached() {
    let (tls, authority) = certified(&["api.example.com"]);
    let server = Server::with(Some(tls), |_| plain("secret")).await;
    for address in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00:ec2::254", "0.0.0.0"] {
        let names = vec![("api.example.com", address.parse().unwrap())];
        let fetcher = by_names(Names { names, server: server.address }, Some(authority.clone()));
        let told = fetched_by(&fetcher, &[site("api.example.com", &[])], get("https://api.example.com/")).await;
        let told = told.unwrap_err();
        assert!(told.starts_with("api.example.com leads to ") && told.contains("public Internet"), "{told}");
    }
    assert!(server.got().is_empty());
}

#[tokio::test]
async fn who_can_not_show_who_he_is_gets_no_request() {
    let (tls, authority) = certified(&["other.example.com"]);
    let server = Server::with(Some(tls), |_| plain("secret")).await;
    let names = vec![("api.example.com", PUBLIC), ("other.example.com", PUBLIC)];
    let sites = [site("api.example.com", &[]), site("other.example.com", &[])];
    let names = Names { names, server: server.address };
    let of_another_name = by_names(names.clone(), Some(authority.clone()));
    fetched_by(&of_another_name, &sites, get("https://api.example.com/")).await.unwrap_err();
    let of_nobody_trusted = by_names(names.clone(), None);
    fetched_by(&of_nobody_trusted, &sites, get("https://other.example.com/")).await.unwrap_err();
    assert!(server.got().is_empty());
    let good = by_names(names, Some(authority));
    fetched_by(&good, &sites, get("https://other.example.com/")).await.unwrap();
}
