use convoke_standin::registry::{Wrong, digest};

use super::*;

#[tokio::test]
async fn a_component_comes_by_its_tag_and_by_its_digest() {
    let registry = registry().await;
    let manifest = registry.put_component("acme/deps", "1.2.0", BYTES);
    let host = registry.host();
    let fetched = get(&format!("oci://{host}/acme/deps:1.2.0"), &access()).await.unwrap();
    assert_eq!(fetched.bytes, BYTES);
    assert_eq!(format!("sha256:{}", fetched.digest), digest(BYTES));
    assert_eq!(fetched.source_resolved.to_string(), format!("oci://{host}/acme/deps:1.2.0@{manifest}"));
    // What it was resolved to is the same, also when the tag moves.
    registry.put_component("acme/deps", "1.2.0", b"another".to_vec());
    assert_eq!(get(&fetched.source_resolved.to_string(), &access()).await.unwrap(), fetched);
    let bare = get(&format!("oci://{host}/acme/deps@{manifest}"), &access()).await.unwrap();
    assert_eq!(bare.bytes, BYTES);
}

#[tokio::test]
async fn without_a_tag_it_is_latest() {
    let registry = registry().await;
    registry.put_component("deps", "latest", BYTES);
    assert_eq!(get(&format!("oci://{}/deps", registry.host()), &access()).await.unwrap().bytes, BYTES);
}

#[tokio::test]
async fn what_is_not_there_is_told() {
    let registry = registry().await;
    registry.put_component("deps", "1.0.0", BYTES);
    let host = registry.host();
    let said = refused(&format!("oci://{host}/deps:2.0.0"), &access()).await;
    assert_eq!(said, format!("oci://{host}/deps:2.0.0 is not there"));
    let said = refused(&format!("http://{host}/x.wasm#sha256={}", "0".repeat(64)), &access()).await;
    assert_eq!(said, format!("http://{host}/x.wasm is not there"));
    let namespace: Namespace = format!("oci://{host}").parse().unwrap();
    assert!(matches!(versions(&namespace, "other", &access()).await, Err(SourceError::NotFound { .. })));
}

#[tokio::test]
async fn whatever_a_registry_answers_it_is_an_error_that_says_what_happened() {
    let registry = registry().await;
    registry.put_component("deps", "1.0.0", BYTES);
    let source = format!("oci://{}/deps:1.0.0", registry.host());
    for (path, wrong, said) in [
        ("/manifests/", Wrong::Status(500), "the server answers 500: ordered, says the registry"),
        ("/manifests/", Wrong::Status(429), "the server answers 429"),
        ("/manifests/", Wrong::Status(403), "refuses"),
        ("/manifests/", Wrong::Status(401), "and you are not logged in there"),
        ("/manifests/", Wrong::Text("<html>".to_owned()), "the answer is not understood"),
        ("/manifests/", Wrong::Text("{}".to_owned()), "the answer is not understood"),
        ("/manifests/", Wrong::Text("\u{1b}[2J".to_owned()), "the answer is not understood"),
        ("/manifests/", Wrong::Half, "was cut short"),
        ("/manifests/", Wrong::Changed, "has the digest"),
        ("/manifests/", Wrong::Endless, "more than 4194304 bytes"),
        ("/blobs/", Wrong::Status(404), "is not there"),
        ("/blobs/", Wrong::Status(503), "the server answers 503"),
        ("/blobs/", Wrong::Half, "was cut short"),
        ("/blobs/", Wrong::Short, "was cut short: 26 bytes came of 53"),
        ("/blobs/", Wrong::Changed, "has the digest"),
        ("/blobs/", Wrong::Endless, "more than 53 bytes"),
    ] {
        registry.set_wrong(path, wrong.clone());
        let error = refused(&source, &access()).await;
        assert!(error.contains(said), "{path} {wrong:?}: {error}");
        assert!(!error.contains('\u{1b}'));
        registry.heal();
    }
    assert_eq!(get(&source, &access()).await.unwrap().bytes, BYTES);
}

#[tokio::test]
async fn more_bytes_than_the_limit_are_not_taken() {
    let registry = registry().await;
    registry.put_component("deps", "1.0.0", vec![0; 2_000]);
    registry.put_file("/x.wasm", vec![0; 2_000]);
    let small = Access { most_bytes: 1_999, ..access() };
    let said = refused(&format!("oci://{}/deps:1.0.0", registry.host()), &small).await;
    assert!(said.ends_with("has 2000 bytes, more than 1999 bytes"), "{said}");
    assert!(registry.asked().iter().all(|asked| !asked.path.contains("/blobs/")), "it was not even asked for");
    let url = format!("http://{}/x.wasm#sha256={}", registry.host(), "0".repeat(64));
    assert!(refused(&url, &small).await.ends_with("has 2000 bytes, more than 1999 bytes"));
    registry.set_wrong("/x.wasm", Wrong::Endless);
    assert!(refused(&url, &small).await.ends_with("has more than 1999 bytes"));
}

#[tokio::test]
async fn what_never_answers_is_given_up() {
    let registry = registry().await;
    registry.set_wrong("/", Wrong::Silent);
    let hasty = Access { time: Duration::from_millis(50), ..access() };
    let said = refused(&format!("oci://{}/deps:1.0.0", registry.host()), &hasty).await;
    assert!(said.contains("did not come within"), "{said}");
}

#[tokio::test]
async fn nobody_there_is_told_with_the_host() {
    let host = registry().await.host();
    let said = refused(&format!("oci://{host}/deps"), &access()).await;
    assert!(said.starts_with("can't connect to 127.0.0.1: "), "{said}");
}

#[tokio::test]
async fn a_blob_that_was_changed_is_refused() {
    let registry = registry().await;
    registry.put_component("deps", "1.0.0", BYTES);
    let mut changed = BYTES.to_vec();
    changed[7] ^= 1;
    registry.tamper(&digest(BYTES), changed);
    let error = get(&format!("oci://{}/deps:1.0.0", registry.host()), &access()).await.unwrap_err();
    assert!(matches!(error, SourceError::DigestMismatch { .. }), "{error}");
    assert!(error.to_string().contains(&digest(BYTES)) && error.hint().unwrap().contains("changed it"), "{error}");
}

#[tokio::test]
async fn a_digest_that_names_another_manifest_is_refused() {
    let registry = registry().await;
    let manifest = registry.put_component("deps", "1.0.0", BYTES);
    registry.put_component("deps", "2.0.0", b"other".to_vec());
    let other = registry.manifest("deps", "2.0.0").unwrap();
    let other = String::from_utf8(other).unwrap();
    registry.set_wrong(&manifest, Wrong::Text(other));
    let said = refused(&format!("oci://{}/deps@{manifest}", registry.host()), &access()).await;
    assert!(said.contains("has the digest"), "{said}");
}

#[tokio::test]
async fn what_is_no_component_is_named() {
    let registry = registry().await;
    let image = r#"{"schemaVersion":2,"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","digest":"sha256:1","size":1}]}"#;
    registry.put_manifest("deps", "1.0.0", "application/vnd.docker.distribution.manifest.v2+json", image);
    let said = refused(&format!("oci://{}/deps:1.0.0", registry.host()), &access()).await;
    assert!(said.contains("is no component: it is a container's image"), "{said}");
}

#[tokio::test]
async fn a_file_of_a_web_server_must_have_its_digest() {
    let registry = registry().await;
    registry.put_file("/x.wasm", BYTES);
    let url = |hex: &str| format!("http://{}/x.wasm#sha256={hex}", registry.host());
    let right = digest(BYTES).replace("sha256:", "");
    let fetched = get(&url(&right), &access()).await.unwrap();
    assert_eq!((fetched.bytes.as_slice(), fetched.source_resolved.to_string()), (BYTES, url(&right)));
    let said = refused(&url(&"0".repeat(64)), &access()).await;
    assert!(said.contains(&format!("has the digest {}", digest(BYTES))), "{said}");
}

#[tokio::test]
async fn versions_come_from_all_pages() {
    let registry = registry().await;
    for tag in ["1.0.0", "1.1.0", "1.1", "latest", "v2.0.0-rc.1", "sha-12"] {
        registry.put_component("acme/deps", tag, BYTES);
    }
    registry.set_page(2);
    let namespace: Namespace = format!("oci://{}/acme", registry.host()).parse().unwrap();
    let found = versions(&namespace, "deps", &access()).await.unwrap();
    let tags: Vec<&str> = found.iter().map(|(_, tag)| tag.as_str()).collect();
    assert_eq!(tags, ["v2.0.0-rc.1", "1.1.0", "1.0.0"]);
    let pages = registry.asked().iter().filter(|asked| asked.path.contains("tags/list")).count();
    assert_eq!(pages, 3);
    assert_eq!(newest(&found, &"^1".parse().unwrap()).unwrap().1, "1.1.0");
}

#[tokio::test]
async fn a_name_is_looked_for_in_the_users_namespaces() {
    let registry = registry().await;
    for tag in ["0.2.1", "0.2.3", "0.3.0", "0.2.4-rc.1"] {
        registry.put_component("acme/deps", tag, BYTES);
    }
    let text = format!("[install.namespaces]\nacme = \"oci://{}/acme\"\n", registry.host());
    let install = crate::config::user::parse(Path::new("config.toml"), &text).unwrap().install;
    let found = |spec: &'static str| {
        let install = install.clone();
        async move {
            let Ok(Spec::Named(named)) = spec.parse() else { panic!("{spec} is no name") };
            resolve(&named, &install, &access()).await
        }
    };
    let (version, reference) = found("acme/deps@^0.2").await.unwrap();
    assert_eq!((version.to_string(), reference.tag()), ("0.2.3".to_owned(), Some("0.2.3")));
    assert_eq!(get(&reference.to_string(), &access()).await.unwrap().bytes, BYTES);
    let said = found("acme/deps@^1").await.unwrap_err().to_string();
    assert!(said.ends_with("has no version ^1; it has 0.3.0, 0.2.4-rc.1, 0.2.3, 0.2.1"), "{said}");
    assert!(matches!(found("deps@^0.2").await, Err(SourceError::NoNamespace { namespace: None, .. })));
    let other = found("other/deps@^0.2").await.unwrap_err();
    assert!(other.to_string().starts_with("no namespace `other` is configured"), "{other}");
    assert!(matches!(found("acme/unknown@1").await, Err(SourceError::NotFound { .. })));
}

#[tokio::test]
async fn pages_without_end_or_sense_are_refused() {
    let registry = registry().await;
    registry.put_component("deps", "1.0.0", BYTES);
    let namespace: Namespace = format!("oci://{}", registry.host()).parse().unwrap();
    for (wrong, said) in [
        (Wrong::Text("[]".to_owned()), "it is no list of tags"),
        (Wrong::Endless, "more than 4194304 bytes"),
        (Wrong::Half, "was cut short"),
        (Wrong::Status(500), "the server answers 500"),
    ] {
        registry.set_wrong("/tags/", wrong);
        let error = versions(&namespace, "deps", &access()).await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        registry.heal();
    }
    registry.set_wrong("/tags/", Wrong::Text(r#"{"tags":null}"#.to_owned()));
    assert!(versions(&namespace, "deps", &access()).await.unwrap().is_empty());
}
