//! The way to the API: encryption, proxies, and addresses that lead nowhere.

use convoke_standin::TlsFront;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Call, KEY, Report, World, quick};

/// Audits one agent through this call.
async fn audited(call: Call) -> Report {
    call.env("ANTHROPIC_API_KEY", KEY).run().await.report()
}

#[tokio::test]
async fn over_an_encrypted_connection_it_works_as_without() {
    let (world, standin) = (World::with_agents(6), quick().await);
    let front = TlsFront::before(&standin).await.expect("a port");
    std::fs::write(world.path("home/authority.pem"), front.authority()).expect("written");
    let call = world.audit([]).env("ANTHROPIC_BASE_URL", front.url());
    let report = audited(call.env("SSL_CERT_FILE", world.path("home/authority.pem"))).await;
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 6"), "{}", report.warnings());
    assert_eq!(standin.stats().answered, 6);
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_told_at_once() {
    let (world, standin) = (World::with_agents(6), quick().await);
    let front = TlsFront::before(&standin).await.expect("a port");
    let report = audited(world.audit([]).env("ANTHROPIC_BASE_URL", front.url())).await;
    assert_eq!((report.status(), report.census().as_str()), ("degraded", "fallback 6"));
    assert!(report.warnings().contains("SSL_CERT_FILE"), "{}", report.warnings());
    assert!(!report.warnings().contains("asked 4 times"), "it would not have helped: {}", report.warnings());
    assert_eq!(standin.stats().requests, 0);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1_024];
            // What it asks for does not matter.
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let world = World::with_agents(1);
    let call = world.audit([]).env("ANTHROPIC_BASE_URL", "https://api.example.invalid");
    let report = audited(call.env("HTTPS_PROXY", &proxy)).await;
    assert_eq!((report.status(), report.census().as_str()), ("degraded", "fallback 1"));
    assert!(report.warnings().contains("HTTPS_PROXY"), "{}", report.warnings());
}

#[tokio::test]
async fn an_address_that_is_no_messages_api_is_named() {
    let (world, standin) = (World::with_agents(2), quick().await);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 1 << 20];
            let _ = stream.read(&mut bytes).await;
            let page = "HTTP/1.1 404 Not Found\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>";
            let _ = stream.write_all(page.as_bytes()).await;
            // Closing with unread bytes would take the answer back.
            while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
        }
    });
    for url in [url, format!("{}/wrong", standin.url())] {
        let report = audited(world.audit([]).env("ANTHROPIC_BASE_URL", &url)).await;
        assert_eq!(report.census(), "fallback 2");
        assert!(report.warnings().contains("404"), "{}", report.warnings());
    }
}
