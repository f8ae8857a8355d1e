//! What two processes may not do at once, and how many of what a project may ask for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Call, World, hostile, until};

/// A `git` before the real one, that notes that it was called, and waits until it may go on.
fn slow_git(world: &World) {
    let folder = world.path("home/bin");
    fs::create_dir_all(&folder).expect("a folder");
    let real = std::env::var_os("PATH").unwrap_or_default();
    let script = format!(
        "#!/bin/sh\necho called >> '{0}/calls'\nwhile [ ! -e '{0}/go' ]; do sleep 0.02; done\nPATH='{1}' exec git \"$@\"\n",
        world.path("home").display(),
        real.to_string_lossy()
    );
    fs::write(folder.join("git"), script).expect("a script");
    fs::set_permissions(folder.join("git"), fs::Permissions::from_mode(0o755)).expect("permissions");
}

fn calls(world: &World) -> usize {
    fs::read_to_string(world.path("home/calls")).map_or(0, |text| text.lines().count())
}

fn since(world: &World) -> Call {
    let real = std::env::var_os("PATH").unwrap_or_default();
    let path = format!("{}:{}", world.path("home/bin").display(), real.to_string_lossy());
    world.audit(["--since", "HEAD", "--backend", "offline"]).env("PATH", path)
}

fn repository(folder: &Path) {
    for arguments in [&["init", "--quiet"][..], &["add", "--all"], &["commit", "--quiet", "--message", "first"]] {
        let done = std::process::Command::new("git")
            .args(["-c", "user.name=T", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .status()
            .expect("git");
        assert!(done.success());
    }
}

#[tokio::test]
async fn two_processes_use_git_one_after_the_other() {
    let world = World::with_agents(1);
    repository(&world.project());
    slow_git(&world);
    let first = since(&world).start().await;
    until("the first uses git", || calls(&world) == 1).await;
    let second = since(&world).start().await;
    second.has_said("which uses git: one at a time").await;
    assert_eq!(calls(&world), 1, "the second waits");
    fs::write(world.path("home/go"), "").expect("a file");
    first.end().await.exits(0);
    second.end().await.exits(0).says("waiting for process ");
    assert_eq!(calls(&world), 4, "each asks git twice");
}

#[tokio::test]
async fn the_lock_of_a_killed_process_is_free() {
    let world = World::with_agents(1);
    repository(&world.project());
    slow_git(&world);
    let first = since(&world).start().await;
    until("the first uses git", || calls(&world) == 1).await;
    first.kill();
    first.end().await;
    let second = since(&world).start().await;
    until("the second uses git", || calls(&world) == 2).await;
    fs::write(world.path("home/go"), "").expect("a file");
    second.end().await.exits(0);
}

#[tokio::test]
async fn a_project_can_make_items_add_fewer_items_and_not_more() {
    let run = async |user: &str, project: &str| {
        let world = World::new().config(&format!("version = 1\n{user}"));
        world.write("convoke.toml", format!("version = 1\n{project}"));
        world.hostile(["add:3"]).await
    };
    let report = run("", "[limits]\nnesting_width = 2\n").await;
    assert!(
        report.list("failures")[0]["reason"].as_str().is_some_and(|why| why.contains("the limit is 2")),
        "{report:?}"
    );
    let report = run("[limits]\nnesting_width = 3\n", "[limits]\nnesting_width = 40\n").await;
    assert_eq!(report.census(), "done 4");
    assert!(report.warnings().contains("a project can only lower nesting_width"), "{}", report.warnings());
    let report = run("", "[limits]\nnesting_depth = 0\n").await;
    assert!(report.list("failures")[0]["reason"].as_str().is_some_and(|why| why.contains("0 deep")), "{report:?}");
}

#[tokio::test]
async fn numbers_that_can_not_be_are_refused_with_their_place() {
    for (text, words) in [
        ("[limits.operations]\nread = 0\n", "it can be 1 to 1000"),
        ("[limits.operations]\ngit = 2\n", "unknown field `git`"),
        ("[limits]\nnesting_depth = 99\n", "it can be 0 to 10"),
    ] {
        let world = World::new().config(&format!("version = 1\n{text}"));
        world.convoke([hostile(), "fine"]).run().await.exits(2).says(words).says("config.toml");
    }
}
