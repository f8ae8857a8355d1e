//! What is never touched.

use std::os::unix::fs::symlink;

use super::*;

#[tokio::test]
async fn nothing_goes_through_a_link() {
    let world = World::new().await;
    fs::create_dir(world.outside("elsewhere")).unwrap();
    fs::write(world.outside("elsewhere/a.md"), "one").unwrap();
    symlink(world.outside("elsewhere"), world.path("out")).unwrap();
    symlink(world.outside("elsewhere/a.md"), world.path("a.md")).unwrap();
    world.write("real/a.md", "one");
    symlink("real", world.path("inner")).unwrap();
    symlink("nowhere", world.path("broken")).unwrap();
    let link = |path: &str, name: &str| format!("{path}: {name} is a link, and edits go through none");
    assert_eq!(world.refused(vec![replace("out/a.md", "one", 0..3, "x")]).await, link("out/a.md", "out"));
    assert_eq!(world.refused(vec![create("out/new.md", "x")]).await, link("out/new.md", "out"));
    assert_eq!(world.refused(vec![create("broken/new.md", "x")]).await, link("broken/new.md", "broken"));
    assert_eq!(world.refused(vec![delete("inner/a.md", "one")]).await, link("inner/a.md", "inner"), "also not inside");
    for name in ["a.md", "broken"] {
        assert_eq!(world.refused(vec![create(name, "x")]).await, link(name, "it"));
        assert_eq!(world.refused(vec![delete(name, "one")]).await, link(name, "it"));
    }
    assert_eq!(fs::read_to_string(world.outside("elsewhere/a.md")).unwrap(), "one");
}

#[tokio::test]
async fn a_folder_that_is_swapped_for_a_link_at_any_step_is_not_followed() {
    for at in 0.. {
        let world = World::new().await;
        fs::create_dir(world.outside("elsewhere")).unwrap();
        fs::write(world.outside("elsewhere/a.md"), "one").unwrap();
        world.write("dir/a.md", "one");
        world.write("dir/b.md", "two");
        let (dir, away, elsewhere) = (world.path("dir"), world.path("away"), world.outside("elsewhere"));
        let steps = At::new(at, |_| {
            fs::rename(&dir, &away)?;
            symlink(&elsewhere, &dir)
        });
        let wishes = vec![replace("dir/a.md", "one", 0..3, "gotcha"), delete("dir/b.md", "two"), create("dir/c", "c")];
        let ended = carry_out(&world.place, world.request(wishes), &steps).await;
        let names: Vec<_> = fs::read_dir(&elsewhere).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a.md"], "step {at}: {ended:?}");
        assert_eq!(fs::read_to_string(elsewhere.join("a.md")).unwrap(), "one", "step {at}");
        if steps.count() <= at {
            break;
        }
    }
}

#[tokio::test]
async fn nothing_outside_of_the_project_is_touched() {
    let world = World::new().await;
    let absolute = world.outside("x.md").to_string_lossy().into_owned();
    for path in ["../x.md", "a/../../x.md", "..", absolute.as_str(), "", "a/", "a//b", "/", "."] {
        let said = world.refused(vec![create(path, "x")]).await;
        assert!(said.contains("not inside of the project") || said.contains("names no file"), "{path:?}: {said}");
    }
    assert!(!world.outside("x.md").exists());
}

#[tokio::test]
async fn nothing_of_gits_own_is_touched() {
    let world = World::new().await;
    world.write(".git/config", "[core]");
    world.write("tree/.git", "gitdir: elsewhere");
    for path in [
        ".git/hooks/pre-commit",
        ".GIT/config",
        ".Git",
        "sub/.git/config",
        "tree/.git",
        ".g\u{200c}it/config",
        "git~1/config",
        ".git./config",
        ".git::$INDEX_ALLOCATION/config",
    ] {
        assert_eq!(world.refused(vec![create(path, "x")]).await, format!("{path}: it belongs to git"));
    }
    assert!(world.refused(vec![delete(".git/config", "[core]")]).await.contains("git"));
    world.apply(vec![create(".gitignore", "x"), create(".github/a.yml", "x"), create("git/a", "x")]).await.unwrap();
}

#[tokio::test]
async fn nothing_in_convokes_own_folders_is_touched() {
    let mut world = World::new().await;
    world.write("home/convoke/config.toml", "safe");
    world.place.own.push(world.path("home/convoke"));
    let own = "it lies in a folder of convoke's own";
    for path in ["home/convoke/config.toml", "home/convoke/policies/new/p.toml", "home/convoke/grants.toml"] {
        assert_eq!(world.refused(vec![create(path, "x")]).await, format!("{path}: {own}"));
    }
}

#[tokio::test]
async fn only_plain_files_of_ones_own_are_touched() {
    let world = World::new().await;
    world.write("dir/a.md", "one");
    world.write("hard.md", "one");
    fs::hard_link(world.path("hard.md"), world.outside("other")).unwrap();
    world.write("locked.md", "one");
    world.set_mode("locked.md", 0o444);
    let pipe = std::process::Command::new("mkfifo").arg(world.path("pipe")).status().unwrap();
    assert!(pipe.success());
    let _socket = std::os::unix::net::UnixListener::bind(world.path("socket")).unwrap();
    for (path, why) in [
        ("dir", "it is a folder"),
        ("hard.md", "it has 2 names (hard links): the others would keep the old text"),
        ("locked.md", "it is read-only"),
        ("pipe", "it is neither a file nor a folder"),
        ("socket", "it is neither a file nor a folder"),
        ("dir/a.md/b.md", "a.md is not a folder"),
    ] {
        assert_eq!(world.refused(vec![create(path, "x")]).await, format!("{path}: {why}"));
        assert_eq!(world.refused(vec![delete(path, "one")]).await, format!("{path}: {why}"));
    }
}

#[tokio::test]
async fn names_that_could_deceive_are_refused_and_odd_ones_are_not() {
    let world = World::new().await;
    for path in ["a\nb.md", "a\0b", "a\rb", "\u{1b}[2J", "a\u{7f}"] {
        assert!(world.refused(vec![create(path, "x")]).await.contains("control character"), "{path:?}");
    }
    assert!(world.refused(vec![create(&"x/".repeat(3_000), "x")]).await.contains("4096"));
    assert!(world.refused(vec![create("A.md", "x"), create("a.MD", "y")]).await.contains("the same name"));
    assert!(world.refused(vec![create("a", "x"), create("a/b", "y")]).await.contains("for a file"));
    let odd = ["CON", "a:b", "nul.txt", "-rf", "ü ☃", "*", "trailing ", "~"];
    world.apply(odd.map(|path| create(path, "x")).to_vec()).await.unwrap();
    assert!(odd.iter().all(|path| world.read(path) == "x"));
}

#[tokio::test]
async fn a_name_that_is_too_long_for_the_system_fails_and_nothing_is_done() {
    let world = World::new().await;
    let long = "x".repeat(300);
    let said = world.refused(vec![create("a.md", "x"), create(&long, "x")]).await;
    assert!(said.contains("too long"), "{said}");
}
