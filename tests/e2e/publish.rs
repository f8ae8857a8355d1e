//! `convoke publish`, against a registry of the test's own.

use convoke_standin::registry::{Login, Registry, Wrong, basic, digest};

use crate::support::{World, editing};

/// A registry, and the repository to publish to.
async fn registry() -> (Registry, String) {
    let registry = Registry::start().await.expect("a free port");
    let to = format!("oci://{}/acme/editing", registry.host());
    (registry, to)
}

#[tokio::test]
async fn a_component_is_published_once_and_its_tags_follow() {
    let (world, (registry, to)) = (World::new(), registry().await);
    let done = world.convoke(["publish", editing(), "--to", &to]).run().await.exits(0);
    assert!(done.stdout.starts_with(&format!("published editing 0.1.0: {to}:0.1.0@sha256:")), "{}", done.stdout);
    assert!(done.stdout.contains("latest names it now"), "{}", done.stdout);
    assert_eq!(registry.tags("acme/editing"), ["0", "0.1", "0.1.0", "latest"]);
    let again = world.convoke(["publish", editing(), "--to", &to, "--format", "json"]).run().await.exits(0).json();
    assert_eq!((again["state"].as_str(), again["tags"][0]["state"].as_str()), (Some("unchanged"), Some("unchanged")));
    let bytes = std::fs::read(editing()).expect("the component");
    assert_eq!(format!("sha256:{}", again["digest"].as_str().expect("a digest")), digest(&bytes));
}

#[tokio::test]
async fn other_bytes_under_a_version_that_is_there_are_refused() {
    let (world, (registry, to)) = (World::new(), registry().await);
    registry.put_component("acme/editing", "0.1.0", b"somebody's".to_vec());
    let done = world.convoke(["publish", editing(), "--to", &to]).run().await.exits(2).reports_nothing();
    done.says("is already there, with other bytes").says("publish it under a new version");
}

#[tokio::test]
async fn a_dry_run_leaves_the_registry_as_it_is() {
    let (world, (registry, to)) = (World::new(), registry().await);
    let done = world.convoke(["publish", editing(), "--to", &to, "--dry-run"]).run().await.exits(0);
    assert!(done.stdout.contains("would publish editing 0.1.0") && done.stdout.contains("latest would name it"));
    assert!(registry.tags("acme/editing").is_empty());
}

#[tokio::test]
async fn what_can_not_be_published_says_why_and_what_to_do() {
    let (world, (registry, to)) = (World::new(), registry().await);
    world.write("x.wasm", "text");
    let publish = |what: &'static str, to: String| {
        let call = world.convoke(["publish", what, "--to", &to]);
        async move { call.run().await }
    };
    publish("x.wasm", to.clone()).await.exits(2).says("it is not WebAssembly").says("convoke build");
    publish("nothing.wasm", to.clone()).await.exits(2).says("No such file");
    publish(".", to.clone()).await.exits(4).says("has no Cargo.toml");
    publish(editing(), format!("{to}:1.0.0")).await.exits(2).says("the tag is the plugin's version");
    publish(editing(), "registry.example/acme/editing".to_owned())
        .await
        .exits(2)
        .says("is no source")
        .says("oci://host/repo");
    publish(editing(), "oci://10.0.0.1/editing".to_owned()).await.exits(4).says("10.0.0.1").says("private_hosts");
    publish(editing(), "oci://169.254.169.254/editing".to_owned()).await.exits(4).says("no address of the internet");
    registry.set_wrong("/", Wrong::Status(500));
    publish(editing(), to.clone()).await.exits(4).says("the server answers 500").says("try again later");
    assert!(registry.tags("acme/editing").is_empty());
}

#[tokio::test]
async fn the_users_docker_login_is_used_and_told_to_nobody() {
    let (world, (registry, to)) = (World::new(), registry().await);
    registry.set_login(Login::Basic("me".to_owned(), "secret-word".to_owned()));
    let refused = world.convoke(["publish", editing(), "--to", &to]).run().await.exits(4);
    refused.says("you are not logged in there").says("docker login");
    let auth = basic("me", "secret-word").replace("Basic ", "");
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.host());
    std::fs::create_dir_all(world.path("home/.docker")).expect("a folder");
    std::fs::write(world.path("home/.docker/config.json"), config).expect("written");
    let done = world.convoke(["publish", editing(), "--to", &to]).run().await.exits(0);
    assert!(!format!("{}{}", done.stdout, done.stderr).contains("secret-word"));
    assert_eq!(registry.tags("acme/editing").len(), 4);
}

#[tokio::test]
async fn a_projects_file_can_not_choose_where_code_comes_from() {
    let (world, (_registry, to)) = (World::new(), registry().await);
    world.write("convoke.toml", "[install]\nprivate_hosts = [\"169.254.169.254\"]\n");
    let done = world.convoke(["publish", editing(), "--to", &to]).run().await.exits(2);
    done.says("a project can't choose where code comes from");
}
