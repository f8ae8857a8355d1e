use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::join_all;

use super::*;

fn owner(name: &str, origin: &str) -> Owner {
    Owner { name: name.to_owned(), origin: origin.to_owned() }
}

fn open(folder: &Path) -> Store {
    Store::of(folder, &Owner::embedded("deps"), "/project")
}

#[tokio::test]
async fn what_is_kept_is_found_by_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(open(folder.path()).get("a").await.unwrap(), None);
    open(folder.path()).put("a", b"one".to_vec(), 60).await.unwrap();
    let store = open(folder.path());
    assert_eq!(store.get("a").await.unwrap().as_deref(), Some(&b"one"[..]));
    store.put("a", b"two".to_vec(), 60).await.unwrap();
    assert_eq!(store.get("a").await.unwrap().as_deref(), Some(&b"two"[..]));
    store.put("a", Vec::new(), 0).await.unwrap();
    assert_eq!(open(folder.path()).get("a").await.unwrap(), None, "without a lifetime it is forgotten");
}

#[tokio::test]
async fn nobody_sees_the_store_of_another_plugin_or_project() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).put("a", b"mine".to_vec(), 60).await.unwrap();
    for (whose, project) in [
        (owner("deps", "file:/tmp/deps.wasm"), "/project"),
        (owner("deps", "oci://registry.example/evil/deps"), "/project"),
        (owner("other", "embedded"), "/project"),
        (Owner::embedded("deps"), "/project2"),
        // What would be the same, were name and origin only put together.
        (owner("s", "embedded\0dep"), "/project"),
    ] {
        let store = Store::of(folder.path(), &whose, project);
        assert_eq!(store.get("a").await.unwrap(), None, "{whose:?} {project}");
    }
    assert!(Store::in_memory().get("a").await.unwrap().is_none());
}

#[tokio::test]
async fn a_key_is_no_path() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::of(&folder.path().join("store"), &owner("../../x", "embedded"), "/project");
    for key in ["../../../etc/passwd", "/etc/passwd", "..", "a\0b", "a/../b", "'; DROP TABLE entry; --"] {
        store.put(key, key.as_bytes().to_vec(), 60).await.unwrap();
        assert_eq!(store.get(key).await.unwrap().as_deref(), Some(key.as_bytes()), "{key:?}");
    }
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["store"]);
    let inside = fs::read_dir(folder.path().join("store")).unwrap();
    assert!(inside.map(|entry| entry.unwrap().file_name()).all(|name| name.to_string_lossy().starts_with("------x-")));
}

#[tokio::test]
async fn keys_and_values_are_bounded() {
    let store = Store::in_memory();
    assert!(matches!(store.get("").await, Err(StoreError::Key { .. })));
    assert!(matches!(store.put(&"k".repeat(201), Vec::new(), 1).await, Err(StoreError::Key { .. })));
    store.put(&"k".repeat(200), vec![0; LARGEST_VALUE], 1).await.unwrap();
    assert!(matches!(store.put("k", vec![0; LARGEST_VALUE + 1], 1).await, Err(StoreError::Value { .. })));
}

#[tokio::test]
async fn where_it_is_full_the_oldest_go() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.db");
    let store = Store::with(Some(file.clone()), "/project", now, 10 << 10);
    for number in 0..100 {
        store.put(&format!("{number:03}"), vec![b'x'; 1_000], 60).await.unwrap();
    }
    let mut kept = Vec::new();
    for number in 0..100 {
        kept.extend(store.get(&format!("{number:03}")).await.unwrap().map(|_| number));
    }
    assert_eq!(kept, (91..100).collect::<Vec<_>>(), "nine of 1,067 bytes fit into 10 KiB");
    drop(store);
    assert!(fs::metadata(&file).unwrap().len() < 64 << 10, "the file shrinks too");
}

#[tokio::test]
async fn what_is_too_old_is_gone() {
    static TIME: AtomicU64 = AtomicU64::new(1_000);
    let store = Store::with(None, "/project", || TIME.load(Ordering::Relaxed), MOST_BYTES);
    store.put("short", b"x".to_vec(), 10).await.unwrap();
    store.put("long", b"x".to_vec(), u64::MAX).await.unwrap();
    TIME.store(1_009, Ordering::Relaxed);
    assert!(store.get("short").await.unwrap().is_some());
    TIME.store(1_010, Ordering::Relaxed);
    assert!(store.get("short").await.unwrap().is_none());
    assert!(store.get("long").await.unwrap().is_some());
    TIME.store(1_000 + LONGEST_LIFE, Ordering::Relaxed);
    assert!(store.get("long").await.unwrap().is_none(), "nothing is kept for longer than a year");
}

#[tokio::test]
async fn many_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // Each has a connection of its own, as processes have.
    let stores: Vec<Store> = (0..4).map(|_| open(folder.path())).collect();
    join_all((0..80).map(|number| {
        let store = stores[number % 4].clone();
        async move { store.put(&format!("{number}"), vec![b'x'; number], 60).await.unwrap() }
    }))
    .await;
    for number in 0..80 {
        let found = stores[(number + 1) % 4].get(&format!("{number}")).await.unwrap();
        assert_eq!(found.map(|value| value.len()), Some(number));
    }
}

#[tokio::test]
async fn a_file_that_is_no_store_or_of_another_version_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(Owner::embedded("deps").file_name());
    fs::write(&file, "not a database, and long enough to be looked at as one, page by page. ".repeat(20)).unwrap();
    let before = fs::read(&file).unwrap();
    let error = open(folder.path()).get("a").await.unwrap_err();
    assert!(matches!(&error, StoreError::File { path, .. } if *path == file), "{error}");
    assert_eq!(fs::read(&file).unwrap(), before);

    fs::remove_file(&file).unwrap();
    open(folder.path()).put("a", b"x".to_vec(), 60).await.unwrap();
    Connection::open(&file).unwrap().pragma_update(None, "user_version", 9).unwrap();
    let error = open(folder.path()).put("a", b"y".to_vec(), 60).await.unwrap_err();
    assert!(error.to_string().contains("has version 9, and this convoke reads version 1"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("newer")));
}

#[test]
fn an_installed_one_keeps_its_store_over_versions_and_shares_it_with_no_other_place() {
    let file = |resolved: &str| Owner::installed("deps", resolved).file_name();
    let first = file("oci://127.0.0.1:5000/team/deps:0.1.0");
    assert_eq!(first, file("oci://127.0.0.1:5000/team/deps:0.2.0"));
    assert_eq!(first, file("oci://127.0.0.1:5000/team/deps@sha256:0123"));
    assert_ne!(first, file("oci://127.0.0.1:5001/team/deps:0.1.0"));
    assert_ne!(first, Owner::embedded("deps").file_name());
    assert_eq!(file("https://a.example/deps.wasm#sha256=01"), file("https://a.example/deps.wasm#sha256=02"));
}
