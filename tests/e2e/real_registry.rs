//! A real registry, the reference implementation: what it does on the wire, not what its specification says.
//!
//! These tests run where `CONVOKE_REAL_REGISTRY` names a `docker-registry`, and say aloud when they are skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use convoke::config::Install;
use convoke::plugin::source::{Access, Digest, Fetched, Namespace, SourceError, fetch, newest, versions};
use convoke_standin::registry::basic;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::install::{asking_more, component, is_asked_before_the_update};
use crate::support::{World, editing, repository};

/// Where it is; none: skipped, and said.
pub(crate) fn program() -> Option<PathBuf> {
    let found = std::env::var_os("CONVOKE_REAL_REGISTRY").filter(|path| !path.is_empty()).map(PathBuf::from);
    if found.is_none() {
        use std::io::Write;
        let line = "SKIPPED: CONVOKE_REAL_REGISTRY does not name a `docker-registry`, so no real registry is tested";
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    found
}

/// For the password `secret` of the user `me`.
const HTPASSWD: &str = "me:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n";

/// A registry on a free port of this machine. Dropping it ends it.
pub(crate) struct Real {
    folder: TempDir,
    /// `127.0.0.1:PORT`.
    pub(crate) host: String,
    _child: Child,
}

impl Real {
    /// Starts one; `login`: who uses it must be `me`.
    pub(crate) async fn start(program: &Path, login: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("htpasswd"), HTPASSWD).expect("written");
        let auth = format!("auth: {{ htpasswd: {{ realm: test, path: {:?} }} }}\n", at("htpasswd"));
        let config = format!(
            "version: 0.1\nlog: {{ level: info, accesslog: {{ disabled: true }} }}\n\
             storage: {{ filesystem: {{ rootdirectory: {:?} }} }}\nhttp: {{ addr: \"127.0.0.1:0\" }}\n{}",
            at("data"),
            if login { auth.as_str() } else { "" }
        );
        fs::write(at("config.yml"), config).expect("written");
        let mut child = Command::new(program)
            .arg("serve")
            .arg(at("config.yml"))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the registry starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await.expect("readable") {
                if let Some((_, rest)) = line.split_once("listening on ") {
                    let port: String =
                        rest.chars().take_while(|one| one.is_ascii_digit() || ".:".contains(*one)).collect();
                    return port;
                }
            }
            panic!("the registry ended without listening");
        };
        let host = timeout(Duration::from_secs(60), listening).await.expect("it listens in time");
        // What it says from now on is read, so that it never waits for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { folder, host, _child: child }
    }

    /// The file in which it keeps a blob.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.folder.path().join(format!("data/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]))
    }
}

/// What a user without configuration gets.
async fn get(source: &str, home: &Path) -> Result<Fetched, SourceError> {
    fetch(&source.parse()?, &access(home)).await
}

fn access(home: &Path) -> Access {
    let home = home.to_str().expect("UTF-8").to_owned();
    Access::of(&Install::default(), move |name| (name == "HOME").then(|| home.clone()), Path::new("/nowhere"))
}

#[tokio::test]
async fn what_is_published_there_comes_back_by_tag_and_digest() {
    let Some(program) = program() else { return };
    let (world, real) = (World::new(), Real::start(&program, false).await);
    let to = format!("oci://{}/acme/editing", real.host);
    let bytes = fs::read(editing()).expect("the component");
    let published = world.convoke(["publish", editing(), "--to", &to, "--format", "json"]).run().await.exits(0).json();
    assert_eq!(published["state"], "published");
    let home = world.path("home");
    for tag in ["0.1.0", "0.1", "0", "latest"] {
        let fetched = get(&format!("{to}:{tag}"), &home).await.expect("it is there");
        assert_eq!(fetched.bytes, bytes, "{tag}");
    }
    let exact = published["reference"].as_str().expect("a reference");
    let by_digest = get(&format!("{to}@{}", exact.split_once('@').expect("a digest").1), &home).await.expect("there");
    assert_eq!(by_digest.bytes, bytes);
    assert_eq!(get(exact, &home).await.expect("there").source_resolved.to_string(), exact);

    let namespace: Namespace = format!("oci://{}/acme", real.host).parse().expect("a namespace");
    let found = versions(&namespace, "editing", &access(&home)).await.expect("versions");
    assert_eq!(newest(&found, &"^0.1".parse().expect("a range")).expect("one").1, "0.1.0");
    let missing = versions(&namespace, "other", &access(&home)).await;
    assert!(matches!(missing, Err(SourceError::NotFound { .. })));
    let again = world.convoke(["publish", editing(), "--to", &to, "--format", "json"]).run().await.exits(0).json();
    assert_eq!(again["state"], "unchanged");
}

#[tokio::test]
async fn a_version_of_a_folder_is_built_and_one_with_other_bytes_is_refused() {
    let Some(program) = program() else { return };
    let (world, real) = (World::new(), Real::start(&program, false).await);
    let to = format!("oci://{}/hostile", real.host);
    let folder = repository().join("tests/plugins/hostile");
    let folder = folder.to_str().expect("UTF-8");
    // Where cargo, its toolchain and what it has built are.
    let own = ["HOME", "CARGO_HOME", "RUSTUP_HOME", "CARGO_TARGET_DIR"];
    let build = |what| {
        let call = world.convoke(["publish", what, "--to", &to]);
        own.iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)))
            .fold(call, |call, (name, value)| call.env(name, value))
    };
    build(folder).run().await.exits(0);
    let kept = get(&format!("{to}:latest"), &world.path("home")).await.expect("there").bytes;
    let mut other = kept.clone();
    // A custom section more.
    other.extend([0, 2, 1, b'x']);
    world.write("other.wasm", &other);
    build("other.wasm").run().await.exits(2).says("is already there, with other bytes");
    assert_eq!(get(&format!("{to}:latest"), &world.path("home")).await.expect("there").bytes, kept);
}

#[tokio::test]
async fn a_blob_whose_file_was_changed_is_refused() {
    let Some(program) = program() else { return };
    let (world, real) = (World::new(), Real::start(&program, false).await);
    let to = format!("oci://{}/editing", real.host);
    world.convoke(["publish", editing(), "--to", &to]).run().await.exits(0);
    let bytes = fs::read(editing()).expect("the component");
    let file = real.blob(&Digest::of(&bytes));
    let mut changed = fs::read(&file).expect("the registry's file");
    assert_eq!(changed, bytes);
    *changed.last_mut().expect("a byte") ^= 1;
    fs::write(&file, &changed).expect("written");
    let error = get(&format!("{to}:0.1.0"), &world.path("home")).await.expect_err("it was changed");
    assert!(matches!(error, SourceError::DigestMismatch { .. }), "{error}");
    fs::write(&file, &changed[..100]).expect("written");
    let error = get(&format!("{to}:0.1.0"), &world.path("home")).await.expect_err("it was cut");
    assert!(matches!(error, SourceError::CutShort { .. } | SourceError::DigestMismatch { .. }), "{error}");
    fs::remove_file(&file).expect("removed");
    let error = get(&format!("{to}:0.1.0"), &world.path("home")).await.expect_err("it is gone");
    assert!(matches!(error, SourceError::NotFound { .. } | SourceError::Status { .. }), "{error}");
}

#[tokio::test]
async fn what_is_installed_from_there_is_updated_and_asks_for_what_is_new() {
    let Some(program) = program() else { return };
    let real = Real::start(&program, false).await;
    let world = World::new().config(&format!("[install]\nnamespace = \"oci://{}/acme\"\n", real.host));
    let to = format!("oci://{}/acme/shower", real.host);
    let publish = async |bytes: Vec<u8>| {
        world.write("shower.wasm", bytes);
        world.convoke(["publish", "shower.wasm", "--to", &to]).run().await.exits(0);
    };
    publish(component("shower", "0.2.0")).await;
    world.convoke(["install", "shower@^0.2", "--yes"]).run().await.exits(0).says("installed shower 0.2.0");
    publish(asking_more("shower", "0.2.1")).await;
    is_asked_before_the_update(&world).await;
}

#[tokio::test]
async fn a_login_is_needed_where_the_registry_wants_one() {
    let Some(program) = program() else { return };
    let (world, real) = (World::new(), Real::start(&program, true).await);
    let to = format!("oci://{}/editing", real.host);
    world.convoke(["publish", editing(), "--to", &to]).run().await.exits(4).says("you are not logged in there");
    let auth = basic("me", "secret").replace("Basic ", "");
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, real.host);
    fs::create_dir_all(world.path("home/.docker")).expect("a folder");
    fs::write(world.path("home/.docker/config.json"), config).expect("written");
    world.convoke(["publish", editing(), "--to", &to]).run().await.exits(0);
    let fetched = get(&format!("{to}:0.1"), &world.path("home")).await.expect("logged in");
    assert_eq!(fetched.bytes, fs::read(editing()).expect("the component"));
    let stranger = tempfile::tempdir().expect("a folder");
    assert!(matches!(get(&format!("{to}:0.1"), stranger.path()).await, Err(SourceError::Denied { .. })));
}
