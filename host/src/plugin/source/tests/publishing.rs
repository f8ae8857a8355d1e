use convoke_standin::registry::{Login, Registry, Wrong, digest};
use jiff::Timestamp;
use serde_json::Value;

use super::*;
use crate::plugin::inspect::inspect;

async fn put(registry: &Registry, bytes: &[u8], dry_run: bool, access: &Access) -> Result<Published, SourceError> {
    let inspected = inspect(bytes).unwrap();
    let url = Url::parse("https://example.org/deps").unwrap();
    let now = Timestamp::UNIX_EPOCH;
    let what = Publication { bytes, inspected: &inspected, source: Some(&url), now };
    publish(&format!("oci://{}/acme/deps", registry.host()).parse().unwrap(), what, dry_run, access).await
}

async fn published(registry: &Registry, version: &str) -> Published {
    put(registry, &component("deps", version), false, &access()).await.unwrap()
}

fn shown(published: &Published) -> Vec<String> {
    let of = |moved: &Moved| match moved {
        Moved::Here => "here".to_owned(),
        Moved::Already => "already".to_owned(),
        Moved::Newer(version) => format!("newer {version}"),
    };
    published.tags.iter().map(|(tag, moved)| format!("{tag} {}", of(moved))).collect()
}

fn json(bytes: Option<Vec<u8>>) -> Value {
    serde_json::from_slice(&bytes.unwrap()).unwrap()
}

#[tokio::test]
async fn what_was_published_is_fetched_by_each_of_its_names() {
    let registry = registry().await;
    let published = published(&registry, "1.2.0").await;
    assert!(published.is_new);
    assert_eq!(shown(&published), ["1.2 here", "1 here", "latest here"]);
    assert_eq!(registry.tags("acme/deps"), ["1", "1.2", "1.2.0", "latest"]);
    let bytes = component("deps", "1.2.0");
    for tag in ["1.2.0", "1.2", "1", "latest"] {
        let fetched = get(&format!("oci://{}/acme/deps:{tag}", registry.host()), &access()).await.unwrap();
        assert_eq!(fetched.bytes, bytes, "{tag}");
    }
    assert_eq!(get(&published.reference.to_string(), &access()).await.unwrap().bytes, bytes);
}

#[tokio::test]
async fn others_find_in_it_what_they_look_for() {
    let registry = registry().await;
    published(&registry, "1.2.0").await;
    let manifest = json(registry.manifest("acme/deps", "1.2.0"));
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    assert_eq!(manifest["layers"][0]["annotations"]["org.opencontainers.image.title"], "deps.wasm");
    for (name, value) in [
        ("title", "deps"),
        ("version", "1.2.0"),
        ("description", "d"),
        ("licenses", "MIT"),
        ("source", "https://example.org/deps"),
        ("created", "1970-01-01T00:00:00Z"),
    ] {
        assert_eq!(manifest["annotations"][format!("org.opencontainers.image.{name}")], value);
    }
}

#[tokio::test]
async fn the_same_bytes_again_are_nothing_to_do() {
    let registry = registry().await;
    let first = published(&registry, "1.2.0").await;
    let before = registry.asked().len();
    let again = published(&registry, "1.2.0").await;
    assert!(!again.is_new);
    assert_eq!(shown(&again), ["1.2 already", "1 already", "latest already"]);
    assert_eq!(again.reference, first.reference);
    assert!(registry.asked()[before..].iter().all(|asked| asked.method == "GET"), "nothing is sent");
}

#[tokio::test]
async fn a_version_is_never_published_again_with_other_bytes() {
    let registry = registry().await;
    published(&registry, "1.2.0").await;
    let mut other = component("deps", "1.2.0");
    // A custom section more: another component of the same name and version.
    other.extend([0, 2, 1, b'x']);
    for dry_run in [false, true] {
        let error = put(&registry, &other, dry_run, &access()).await.unwrap_err();
        assert!(matches!(&error, SourceError::VersionTaken { .. }), "{error}");
        assert!(error.to_string().contains(&digest(&other)) && error.is_usage(), "{error}");
    }
    let kept = get(&format!("oci://{}/acme/deps:1.2.0", registry.host()), &access()).await.unwrap();
    assert_eq!(kept.bytes, component("deps", "1.2.0"));
}

#[tokio::test]
async fn tags_are_never_moved_back() {
    let registry = registry().await;
    for version in ["1.2.0", "1.3.0", "2.0.0-rc.1"] {
        published(&registry, version).await;
    }
    let late = published(&registry, "1.2.1").await;
    assert_eq!(shown(&late), ["1.2 here", "1 newer 1.3.0", "latest newer 1.3.0"]);
    let latest = get(&format!("oci://{}/acme/deps:latest", registry.host()), &access()).await.unwrap();
    assert_eq!(latest.bytes, component("deps", "1.3.0"));
    // Also where the newer version itself was taken away.
    registry.remove("acme/deps", "1.3.0");
    assert_eq!(shown(&published(&registry, "1.2.2").await), ["1.2 here", "1 newer 1.3.0", "latest newer 1.3.0"]);
}

#[tokio::test]
async fn what_was_cut_short_is_completed_by_the_same_call() {
    let registry = registry().await;
    registry.set_wrong("/manifests/latest", Wrong::Status(500));
    let bytes = component("deps", "1.2.0");
    assert!(put(&registry, &bytes, false, &access()).await.unwrap_err().to_string().contains("500"));
    registry.heal();
    let again = put(&registry, &bytes, false, &access()).await.unwrap();
    assert_eq!(
        (again.is_new, shown(&again)),
        (false, vec!["1.2 already".into(), "1 already".into(), "latest here".into()])
    );
    // A version whose bytes did not get there is not there either.
    registry.set_wrong("/blobs/uploads", Wrong::Status(503));
    assert!(put(&registry, &component("deps", "1.3.0"), false, &access()).await.is_err());
    assert!(!registry.tags("acme/deps").contains(&"1.3.0".to_owned()));
}

#[tokio::test]
async fn a_dry_run_sends_nothing() {
    let registry = registry().await;
    let would = put(&registry, &component("deps", "1.2.0"), true, &access()).await.unwrap();
    assert!(would.is_new && would.reference.digest().is_none());
    assert_eq!(shown(&would), ["1.2 here", "1 here", "latest here"]);
    assert!(registry.tags("acme/deps").is_empty());
    assert!(registry.asked().iter().all(|asked| asked.method == "GET"));
}

#[tokio::test]
async fn who_may_only_read_can_not_publish_and_who_may_write_says_so_once() {
    let registry = registry().await;
    registry.set_login(Login::Token { to: Some(("me".to_owned(), "secret".to_owned())), realm: None });
    let bytes = component("deps", "1.2.0");
    let error = put(&registry, &bytes, false, &access()).await.unwrap_err();
    assert!(matches!(error, SourceError::Denied { .. }), "{error}");
    let (_folder, mine) = logged_in(&registry.host(), "me", "secret");
    put(&registry, &bytes, false, &mine).await.unwrap();
    let tokens =
        registry.asked().into_iter().filter(|asked| asked.path.starts_with("/token") && asked.authorization.is_some());
    let tokens: Vec<_> = tokens.map(|asked| asked.path).collect();
    assert_eq!(tokens, ["/token?service=registry&scope=repository%3Aacme%2Fdeps%3Apull%2Cpush"]);
}

#[tokio::test]
async fn an_upload_that_leads_elsewhere_goes_without_credentials_and_not_to_private_addresses() {
    let registry = registry().await;
    registry.set_wrong("/blobs/uploads/", Wrong::Status(202));
    let error = put(&registry, &component("deps", "1.2.0"), false, &access()).await.unwrap_err().to_string();
    assert!(error.contains("it says no place for it"), "{error}");
}
