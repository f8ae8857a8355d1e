use convoke_standin::registry::{Login, Wrong, digest};

use super::*;

#[tokio::test]
async fn a_blob_may_be_elsewhere() {
    let (registry, store) = (registry().await, registry().await);
    registry.put_component("deps", "1.0.0", BYTES);
    store.put_file("/store/blob", BYTES);
    registry.set_wrong("/blobs/", Wrong::SendOn(format!("http://{}/store/blob?signed=yes", store.host())));
    let fetched = get(&format!("oci://{}/deps:1.0.0", registry.host()), &access()).await.unwrap();
    assert_eq!(fetched.bytes, BYTES);
}

#[tokio::test]
async fn credentials_do_not_go_with_it() {
    let (registry, store) = (registry().await, registry().await);
    registry.put_component("deps", "1.0.0", BYTES);
    registry.set_login(Login::Basic("me".to_owned(), "secret".to_owned()));
    store.put_file("/store/blob", BYTES);
    registry.set_wrong("/blobs/", Wrong::SendOn(format!("http://{}/store/blob", store.host())));
    let (_folder, mine) = logged_in(&registry.host(), "me", "secret");
    get(&format!("oci://{}/deps:1.0.0", registry.host()), &mine).await.unwrap();
    assert!(registry.asked().iter().any(|asked| asked.path.contains("/blobs/") && asked.authorization.is_some()));
    let there = store.asked();
    assert!(there.len() == 1 && there[0].authorization.is_none(), "{there:?}");
}

#[tokio::test]
async fn a_registry_can_not_send_to_a_private_address() {
    let registry = registry().await;
    registry.put_component("deps", "1.0.0", BYTES);
    let source = format!("oci://{}/deps:1.0.0", registry.host());
    for (to, said) in [
        ("https://169.254.169.254/latest/meta-data", "169.254.169.254 is at 169.254.169.254"),
        ("https://10.0.0.1/", "10.0.0.1 is at 10.0.0.1"),
        ("https://192.168.1.1:8443/", "192.168.1.1 is at 192.168.1.1"),
        ("https://[::ffff:169.254.169.254]/", "which is no address of the internet"),
        ("https://[fd00:ec2::254]/", "which is no address of the internet"),
        ("https://0xa9fea9fe/", "169.254.169.254"),
        ("http://169.254.169.254/latest/meta-data", "is not https"),
        ("http://example.org/", "is not https"),
        ("https://user:key@example.org/", "it holds a user name or password"),
        ("file:///etc/passwd", "can't be asked for"),
    ] {
        for path in ["/manifests/", "/blobs/"] {
            registry.set_wrong(path, Wrong::SendOn(to.to_owned()));
            let error = refused(&source, &access()).await;
            assert!(error.contains("sends on to another address") && error.contains(said), "{to}: {error}");
            registry.heal();
        }
    }
}

#[tokio::test]
async fn this_machine_is_only_asked_where_the_user_typed_it() {
    let registry = registry().await;
    registry.put_component("deps", "1.0.0", BYTES);
    let source = format!("oci://{}/deps:1.0.0", registry.host());
    let by_project = access().named_by_project();
    assert!(refused(&source, &by_project).await.contains("127.0.0.1 is at 127.0.0.1"), "a project names it");
    assert!(registry.asked().is_empty());
    let listed = Access { private_hosts: vec!["127.0.0.1".to_owned()], ..by_project };
    assert_eq!(get(&source, &listed).await.unwrap().bytes, BYTES, "the user's own configuration names it");
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_not_this_machine() {
    // Resolved by every system, without asking anybody.
    let registry = registry().await;
    let port = registry.host().split(':').next_back().unwrap().to_owned();
    let url = format!("https://localhost:{port}/x.wasm#sha256={}", "0".repeat(64));
    let by_project = access().named_by_project();
    assert!(refused(&url, &by_project).await.contains("localhost is at 127.0.0.1"));
    assert!(registry.asked().is_empty());
}

#[tokio::test]
async fn who_sends_on_and_on_is_left() {
    let registry = registry().await;
    let host = registry.host();
    registry.set_wrong("/x.wasm", Wrong::SendOn(format!("http://{host}/x.wasm")));
    let said = refused(&format!("http://{host}/x.wasm#sha256={}", "0".repeat(64)), &access()).await;
    assert!(said.ends_with("sends on and on"), "{said}");
    assert_eq!(registry.asked().len(), 6, "the first time, and five more");
    registry.heal();
    registry.set_wrong("/x.wasm", Wrong::SendOn("http://[".to_owned()));
    let said = refused(&format!("http://{host}/x.wasm#sha256={}", digest(b"").replace("sha256:", "")), &access()).await;
    assert!(said.ends_with("sends on without saying where to"), "{said}");
}
