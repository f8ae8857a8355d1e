//! The guide for authors: each of its commands, as it stands there, in an empty folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::author::{componentize, has_target, say, with_toolchains};
use crate::real_registry::{self, Real};
use crate::support::{World, repository};

fn guide() -> String {
    fs::read_to_string(repository().join("sdk/README.md")).expect("the guide")
}

/// The blocks of commands below a heading of the guide, as one script.
fn script(heading: &str) -> String {
    let guide = guide();
    let (_, below) = guide.split_once(&format!("\n### {heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let part = below.split("\n## ").next().and_then(|part| part.split("\n### ").next()).expect("a part");
    let blocks: Vec<&str> =
        part.split("```sh\n").skip(1).map(|block| block.split("```").next().expect("a block")).collect();
    assert!(!blocks.is_empty(), "nothing to run below {heading}");
    format!("set -eu\n{}", blocks.concat())
}

/// Runs a script in the user's project, with `convoke` on its path.
async fn follow(world: &World, script: &str, before: Option<&Path>) {
    let programs = world.path("home/programs");
    fs::create_dir_all(&programs).expect("a folder");
    let convoke = programs.join("convoke");
    if !convoke.exists() {
        symlink(env!("CARGO_BIN_EXE_convoke"), &convoke).expect("a link");
    }
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let first = before.and_then(Path::parent).map(Path::to_owned);
    let path = std::env::join_paths(std::iter::once(programs).chain(first).chain(std::env::split_paths(&rest)));
    // `"$@"` would be convoke itself: it is not used.
    let call = with_toolchains(world.convoke(["--version"])).env("PATH", path.expect("a PATH")).through(script);
    let done = call.compile().await.exits(0);
    say(&done.stderr.lines().filter(|line| line.starts_with("built ")).collect::<Vec<_>>().join("\n"));
}

#[test]
fn no_command_of_the_guide_is_left_out() {
    let blocks: usize = ["Rust", "Python", "Publish"].iter().map(|part| script(part).matches("convoke ").count()).sum();
    let all: usize = guide()
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().expect("a block").matches("convoke ").count())
        .sum();
    assert_eq!(blocks, all, "a block of commands stands below another heading");
}

#[tokio::test]
async fn the_guide_leads_an_author_of_rust_to_a_tested_command() {
    if has_target() {
        follow(&World::new(), &script("Rust"), None).await;
    }
}

#[tokio::test]
async fn the_guide_leads_an_author_of_python_to_a_tested_command() {
    let Some(program) = componentize() else { return };
    follow(&World::new(), &script("Python"), Some(&program)).await;
}

#[tokio::test]
async fn the_guide_leads_to_a_command_that_is_published_and_installed() {
    let Some(program) = real_registry::program() else { return };
    if has_target() {
        let real = Real::start(&program, false).await;
        let all = format!("{}\n{}", script("Rust"), script("Publish"));
        follow(&World::new(), &all.replace("localhost:5000", &real.host), None).await;
    }
}
