//! Commands are installed, updated and removed, for a user and for a project.

use std::fs;
use std::path::PathBuf;

use convoke::plugin::build::embed;
use convoke::plugin::inspect::read_manifest;
use convoke_standin::registry::{Registry, Wrong, digest};
use serde_json::Value;

use crate::support::{Done, World, asking, flood, hostile};

/// A component that asks many questions, called so.
pub(crate) fn component(name: &str, version: &str) -> Vec<u8> {
    called(flood(), name, version)
}

/// A component that asks for every capability, called so.
pub(crate) fn asking_more(name: &str, version: &str) -> Vec<u8> {
    called(asking(), name, version)
}

fn called(path: &str, name: &str, version: &str) -> Vec<u8> {
    let bytes = fs::read(path).expect("the component");
    let mut manifest = read_manifest(&bytes).expect("a manifest");
    (manifest.name, manifest.version) = (name.to_owned(), version.to_owned());
    embed(&bytes, &manifest).expect("a component")
}

/// Puts it where the user keeps it.
fn file(world: &World, name: &str, version: &str) -> PathBuf {
    let path = world.path(&format!("home/{name}.wasm"));
    fs::write(&path, component(name, version)).expect("a written file");
    path
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Installs it for the user.
async fn installed(world: &World, name: &str, version: &str) -> Done {
    let path = file(world, name, version);
    world.convoke(["install", text(&path), "--yes"]).run().await.exits(0)
}

/// The version that runs under a name, as a run of it says.
async fn runs(world: &World, name: &str) -> String {
    let done = world.convoke([name, "--items", "1", "--backend", "offline", "--format", "json"]).run().await;
    let report = done.report();
    report.json["run"]["plugin"]["version"].as_str().expect("a version").to_owned()
}

fn plugins(world: &World) -> Vec<String> {
    let Ok(entries) = fs::read_dir(world.path("data/plugins")) else { return Vec::new() };
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
}

#[tokio::test]
async fn what_is_installed_runs_by_its_name_until_it_is_removed() {
    let world = World::new();
    let done = installed(&world, "shower", "0.2.0").await;
    for said in ["shower 0.2.0 (", "it asks to", "ask Claude", "installed shower 0.2.0"] {
        assert!(done.stderr.contains(said), "{said}: {}", done.stderr);
    }
    assert_eq!(runs(&world, "shower").await, "0.2.0");
    let help = world.convoke(["--help"]).run().await.exits(0).stdout;
    assert!(help.contains("shower") && help.contains("agent-audit"), "{help}");

    let list = world.convoke(["list", "--format", "json"]).run().await.exits(0).json();
    let commands = list["commands"].as_array().expect("a list");
    let shower = commands.iter().find(|one| one["name"] == "shower").expect("it");
    assert_eq!((&shower["from"], &shower["version"]), (&Value::from("user"), &Value::from("0.2.0")));
    let info = world.convoke(["info", "shower", "--format", "json"]).run().await.exits(0).json();
    assert_eq!((&info["digest"], &info["installed"]), (&shower["digest"], &Value::from("user")));
    let shown = world.convoke(["info", "shower"]).run().await.exits(0).stdout;
    assert!(shown.contains("Asks to    ask Claude"), "{shown}");
    assert!(list.to_string().contains("agent-audit"));
    let found = world.convoke(["search", "SHOW"]).run().await.exits(0).stdout;
    assert!(!found.contains("agent-audit"), "{found}");

    world.convoke(["showr"]).run().await.exits(2).says("did you mean `shower`?");
    world.convoke(["uninstall", "shower"]).run().await.exits(0).says("uninstalled shower 0.2.0");
    world.convoke(["shower"]).run().await.exits(2).says("there is no command shower");
    assert_eq!(plugins(&world), ["index.json"]);
    world.convoke(["uninstall", "agent-audit"]).run().await.exits(2).says("comes with convoke");
    world.convoke(["install", "agent-audit"]).run().await.exits(0).says("there is nothing to install");
}

#[tokio::test]
async fn a_shell_is_told_what_is_installed_and_what_the_project_asks_for() {
    let world = World::new();
    installed(&world, "shower", "0.2.0").await;
    world.write("convoke.toml", "[plugins]\nshade = \"^1\"\n");
    let asked = async |line: &[&str]| {
        let words = ["--", "convoke"].into_iter().chain(line.iter().copied());
        world.convoke(words).env("CONVOKE_COMPLETE", "fish").run().await.exits(0).stdout
    };
    assert!(asked(&["sho"]).await.contains("shower"));
    assert!(asked(&["shower", "--ite"]).await.contains("--items"));
    assert!(asked(&["uninstall", "sh"]).await.contains("shower"));
    assert!(asked(&["grants", "explain", "ag"]).await.contains("agent-audit"));
    let installable = asked(&["install", "sh"]).await;
    assert!(installable.contains("shade") && !installable.contains("shower"), "{installable}");
}

#[tokio::test]
async fn without_a_terminal_nobody_agrees_and_nothing_is_installed() {
    let world = World::new();
    let path = file(&world, "shower", "0.1.0");
    let done = world.convoke(["install", text(&path)]).run().await.exits(2);
    assert!(done.stderr.contains("no terminal") && done.stderr.contains("ask Claude"), "{}", done.stderr);
    assert_eq!(plugins(&world), [""; 0]);
    world.convoke(["install", text(&path), "--dry-run"]).run().await.exits(0).says("nothing was changed");
    assert_eq!(plugins(&world), [""; 0]);
}

#[tokio::test]
async fn what_is_no_command_is_refused_and_what_was_there_still_works() {
    let world = World::new();
    installed(&world, "shower", "0.1.0").await;
    let whole = component("shower", "0.2.0");
    let put = |name: &str, bytes: &[u8]| {
        fs::write(world.path("home").join(name), bytes).expect("a written file");
        world.path("home").join(name)
    };
    let huge = world.path("home/huge.wasm");
    fs::File::create(&huge).expect("a file").set_len(2 << 30).expect("a hole");
    let missing = world.path("home/missing.wasm");
    for (path, said) in [
        (put("text.wasm", b"<html>404</html>"), "it is not WebAssembly"),
        (put("core.wasm", b"\0asm\x01\0\0\0"), "not a component"),
        (put("half.wasm", &whole[..whole.len() / 2]), "it is truncated"),
        (put("own.wasm", &component("install", "0.1.0")), "convoke's own"),
        (put("path.wasm", &component("../../evil", "0.1.0")), "kebab case"),
        (put("escape.wasm", &component("a\u{1b}[2J", "0.1.0")), "kebab case"),
        (put("audit.wasm", &component("agent-audit", "9.0.0")), "comes with convoke"),
        (put("old.wasm", &component("shower", "0.0.9")), "is older than 0.1.0"),
        (missing, "No such file"),
    ] {
        let done = world.convoke(["install", text(&path), "--yes"]).run().await;
        let done = done.exits(2).says(said);
        assert!(!done.stderr.contains('\u{1b}'), "{}", done.stderr);
    }
    world.convoke(["install", text(&huge), "--yes"]).run().await.exits(4).says("more than");
    let before = plugins(&world);
    world.convoke(["install", "./nothing-here"]).run().await.exits(2);
    world.convoke(["install", "-C", ".", "."]).run().await.exits(4).says("plugin.toml");
    world.convoke(["install", "Not-A-Name"]).run().await.exits(2).says("no command's name");
    world.convoke(["install", "unheard-of"]).run().await.exits(2).says("no registry");
    assert_eq!(plugins(&world), before);
    assert_eq!(runs(&world, "shower").await, "0.1.0");
    let audit = world.path("home/audit.wasm");
    world.convoke(["install", text(&audit), "--yes", "--shadow"]).run().await.exits(0);
    let list = world.convoke(["list"]).run().await.exits(0).stdout;
    assert!(list.contains("in place of the one that comes with convoke") && list.contains("9.0.0"), "{list}");
    world.convoke(["uninstall", "agent-audit"]).run().await.exits(0).says("comes with convoke again");
    // It is that one which looks for agents.
    world.convoke(["agent-audit"]).run().await.exits(2).says("no agents found");
}

#[tokio::test]
async fn where_the_disk_is_full_it_is_said_and_the_old_version_still_works() {
    let world = World::new();
    installed(&world, "shower", "0.1.0").await;
    let path = file(&world, "shower", "0.2.0");
    let call = || world.convoke(["install", text(&path), "--yes"]);
    let full = call().through("trap '' XFSZ; ulimit -f 64; exec \"$@\"").run().await.exits(4);
    assert!(full.stderr.contains("what was installed before still works"), "{}", full.stderr);
    assert_eq!(runs(&world, "shower").await, "0.1.0");
    call().run().await.exits(0);
    assert_eq!(runs(&world, "shower").await, "0.2.0");
    assert_eq!(plugins(&world).len(), 2, "{:?}", plugins(&world));
}

#[tokio::test]
async fn where_nothing_can_be_written_it_is_said_and_what_is_installed_runs() {
    let world = World::new();
    installed(&world, "shower", "0.1.0").await;
    let path = file(&world, "shower", "0.2.0");
    let data = world.path("data");
    // Root writes where modes forbid it, so there it is a mount that does.
    let script = if rustix::process::geteuid().is_root() {
        format!(
            "d='{0}'; export d; exec unshare --mount --propagation private sh -c \
             'mount --bind \"$d\" \"$d\" && mount -o remount,ro,bind \"$d\" && exec \"$@\"' sh \"$@\"",
            text(&data)
        )
    } else {
        format!("chmod -R a-w '{0}'; \"$@\"; code=$?; chmod -R u+w '{0}'; exit $code", text(&data))
    };
    let done = world.convoke(["install", text(&path), "--yes"]).through(&script).run().await.exits(4);
    assert!(done.stderr.contains("what was installed before still works"), "{}", done.stderr);
    assert_eq!(runs(&world, "shower").await, "0.1.0");
}

#[tokio::test]
async fn an_update_shows_what_changes_and_goes_back_only_when_told() {
    let world = World::new();
    installed(&world, "shower", "0.1.0").await;
    world.convoke(["update"]).run().await.exits(0).says("shower 0.1.0 is the newest that fits");
    file(&world, "shower", "0.2.0");
    let outdated = world.convoke(["outdated", "--format", "json"]).run().await.exits(0).json();
    assert_eq!(outdated["outdated"][0]["newest"], "0.2.0", "{outdated}");
    let shown = world.convoke(["update", "--dry-run"]).run().await.exits(0).says("nothing was changed");
    assert!(shown.stderr.contains("shower 0.1.0 → 0.2.0 ("), "{}", shown.stderr);
    assert_eq!(runs(&world, "shower").await, "0.1.0");
    world.convoke(["update"]).run().await.exits(2).says("no terminal");
    world.convoke(["update", "shower", "--yes"]).run().await.exits(0).says("updated shower to 0.2.0");
    assert_eq!(runs(&world, "shower").await, "0.2.0");

    file(&world, "shower", "0.1.5");
    world.convoke(["update", "--yes"]).run().await.exits(2).says("is older than 0.2.0").says("--allow-downgrade");
    assert_eq!(runs(&world, "shower").await, "0.2.0");
    world.convoke(["update", "--yes", "--allow-downgrade"]).run().await.exits(0);
    assert_eq!(runs(&world, "shower").await, "0.1.5");
    world.convoke(["update", "shwer"]).run().await.exits(2).says("did you mean `shower`?");
    fs::write(world.path("home/shower.wasm"), component("rain", "0.3.0")).expect("a written file");
    world.convoke(["update", "--yes"]).run().await.exits(2).says("another command, `rain`");
    assert_eq!(runs(&world, "shower").await, "0.1.5");
}

/// A project that pins what lies in it.
fn pinning(world: &World, version: &str) {
    world.write("tools/shower.wasm", component("shower", version));
    world.write("convoke.toml", "[plugins]\nshower = { path = \"tools/shower.wasm\", version = \"^0.1\" }\n");
}

#[tokio::test]
async fn a_project_can_only_ask_and_what_it_pins_runs_as_it_is_locked() {
    let world = World::new();
    pinning(&world, "0.1.0");
    world.convoke(["shower"]).run().await.exits(2).says("convoke.lock does not say").says("`convoke install`");
    world.convoke(["install", "--locked"]).run().await.exits(2).says("it does not name shower");
    world.convoke(["install"]).run().await.exits(2).says("no terminal").says("`convoke install --yes` agrees");
    assert!(!world.project().join("convoke.lock").exists());
    world.convoke(["install", "--yes"]).run().await.exits(0).says("shower 0.1.0 is new");
    let lock = fs::read_to_string(world.project().join("convoke.lock")).expect("a lockfile");
    assert!(lock.contains("source = \"./tools/shower.wasm\"") && lock.contains("version = \"0.1.0\""), "{lock}");
    assert_eq!(runs(&world, "shower").await, "0.1.0");

    // The user's own of that name runs elsewhere, and not here.
    installed(&world, "shower", "0.9.0").await;
    assert_eq!(runs(&world, "shower").await, "0.1.0");
    let elsewhere = world.convoke(["list", "--format", "json"]).within(world.path("home")).run().await.exits(0).json();
    assert!(elsewhere.to_string().contains("0.9.0"), "{elsewhere}");

    // What lies in the project has changed: what is locked runs, until an update.
    pinning(&world, "0.1.1");
    assert_eq!(runs(&world, "shower").await, "0.1.0");
    world.convoke(["install", "--locked", "--offline"]).run().await.exits(0);
    let outdated = world.convoke(["outdated"]).run().await.exits(0).stdout;
    assert!(outdated.contains("0.1.1"), "{outdated}");
    world.convoke(["update", "--locked"]).run().await.exits(2).says("--locked");
    world.convoke(["update", "--yes"]).run().await.exits(0).says("shower 0.1.0 becomes 0.1.1");
    assert_eq!(runs(&world, "shower").await, "0.1.1");
    assert_eq!(plugins(&world).len(), 3, "the old one is gone: {:?}", plugins(&world));

    // It wants another version: what is locked doesn't fit any more.
    world.write("convoke.toml", "[plugins]\nshower = { path = \"tools/shower.wasm\", version = \"^0.2\" }\n");
    world.convoke(["shower"]).run().await.exits(2).says("convoke.lock does not say");
    world.convoke(["install", "--yes"]).run().await.exits(2).says("is shower 0.1.1, and ^0.2 is wanted");
    world.write("convoke.toml", "");
    assert_eq!(runs(&world, "shower").await, "0.9.0", "it pins nothing any more");
    world.convoke(["install", "--locked"]).run().await.exits(2).says("shower 0.1.1 goes");
}

#[tokio::test]
async fn what_somebody_else_has_locked_is_asked_for_once_and_must_be_the_very_bytes() {
    let (first, second) = (World::new(), World::new());
    pinning(&first, "0.1.0");
    first.convoke(["install", "--yes"]).run().await.exits(0);
    let lock = fs::read_to_string(first.project().join("convoke.lock")).expect("a lockfile");

    pinning(&second, "0.1.0");
    second.write("convoke.lock", &lock);
    second.convoke(["shower"]).run().await.exits(2).says("which is not installed").says("`convoke install`");
    second.convoke(["run", "shower"]).run().await.exits(2).says("which is not installed");
    second.convoke(["install", "--locked"]).run().await.exits(2).says("no terminal");
    pinning(&second, "0.1.1");
    second.convoke(["install", "--locked", "--yes"]).run().await.exits(2).says("is not what convoke.lock names");
    assert_eq!(plugins(&second), [""; 0]);
    pinning(&second, "0.1.0");
    second.convoke(["install", "--locked", "--yes"]).run().await.exits(0);
    assert_eq!(runs(&second, "shower").await, "0.1.0");
    let now = fs::read_to_string(second.project().join("convoke.lock")).expect("a lockfile");
    assert_eq!(now, lock);
}

#[tokio::test]
async fn on_a_terminal_the_first_use_asks_and_a_yes_runs_it() {
    let (first, second) = (World::new(), World::new());
    for world in [&first, &second] {
        pinning(world, "0.1.0");
    }
    first.convoke(["install", "--yes"]).run().await.exits(0);
    second.write("convoke.lock", fs::read(first.project().join("convoke.lock")).expect("a lockfile"));
    let answered = |answer: &str| {
        let script = "script --quiet --flush --return --command \"$*\" /dev/null";
        let call = second.convoke(["shower", "--items", "1", "--backend", "offline"]).env("SHELL", "/bin/sh");
        call.through(&format!("printf '{answer}\\n' | {script}"))
    };
    let no = answered("n").run().await.exits(2);
    assert!(no.stdout.contains("Install shower 0.1.0? [y/N]") && no.stdout.contains("said no"), "{}", no.stdout);
    assert_eq!(plugins(&second), [""; 0]);
    let yes = answered("y").run().await;
    assert!(yes.stdout.contains("1 of them installed now") && yes.stdout.contains("item-0"), "{}", yes.stdout);
    assert_eq!(runs(&second, "shower").await, "0.1.0");
}

#[tokio::test]
async fn a_projects_files_can_do_no_harm() {
    let world = World::new();
    pinning(&world, "0.1.0");
    let precious = world.path("home/precious");
    fs::write(&precious, "mine").expect("a written file");
    let lock = world.project().join("convoke.lock");
    std::os::unix::fs::symlink(&precious, &lock).expect("a link");
    world.convoke(["install", "--yes"]).run().await.exits(2);
    fs::write(&precious, "").expect("a written file");
    world.convoke(["install", "--yes"]).run().await.exits(4).says("it is a link");
    assert_eq!(fs::read_to_string(&precious).expect("text"), "");
    fs::remove_file(&lock).expect("a link");

    for (toml, said) in [
        ("[plugins]\nshower = { path = \"../home/x.wasm\" }\n", "leads out of the project"),
        ("[plugins]\ninstall = \"1\"\n", "no command's name"),
        ("[plugins]\n\"a\\u001b[2J\" = \"1\"\n", "no command's name"),
        ("[install]\nnamespace = \"oci://evil.example/x\"\n", "a project can't choose where code comes from"),
    ] {
        world.write("convoke.toml", toml);
        let done = world.convoke(["agent-audit"]).run().await.exits(2).says(said);
        assert!(!done.stderr.contains('\u{1b}'), "{}", done.stderr);
        world.convoke(["--help"]).run().await.exits(0);
    }
    // What stands in a project is not run, also not to build it.
    world.write("tools/evil/build.rs", "fn main() { std::fs::write(\"/tmp/evil\", \"\").unwrap(); }");
    world.write("convoke.toml", "[plugins]\nshower = { path = \"tools/evil\" }\n");
    world.convoke(["install", "--yes"]).run().await.exits(2).says("can't have a folder built");

    world.write("convoke.toml", "[plugins]\nshower = \"1\"\n");
    for (lock, said) in [
        ("[[plugin]]\nname = \"shower\"\nversion = \"1.0.0\"\nsource = \"x\"\ndigest = \"../../x\"\n", "no sha-256"),
        ("version = 7\n", "has version 7"),
        ("<<<<<<< HEAD\n", "convoke.lock:1:9"),
    ] {
        world.write("convoke.lock", lock);
        world.convoke(["agent-audit"]).run().await.exits(2).says(said);
    }
}

#[tokio::test]
async fn a_list_of_a_newer_convoke_is_left_alone_and_what_needs_it_says_so() {
    let world = World::with_agents(1);
    installed(&world, "shower", "0.1.0").await;
    let index = world.path("data/plugins/index.json");
    fs::write(&index, r#"{"version":2,"new":true}"#).expect("a written file");
    let path = file(&world, "shower", "0.2.0");
    for call in
        [vec!["shower"], vec!["agent-audit"], vec!["list"], vec!["install", text(&path), "--yes"], vec!["update"]]
    {
        world.convoke(call).run().await.exits(2).says("has version 2").says("the file was not changed");
    }
    world.convoke(["--help"]).run().await.exits(0);
    world.convoke([hostile(), "--help"]).run().await.exits(0);
    assert_eq!(fs::read_to_string(&index).expect("text"), r#"{"version":2,"new":true}"#);
    assert_eq!(plugins(&world).len(), 2);
}

#[tokio::test]
async fn what_is_damaged_does_not_run_and_is_mended_by_installing_it_again() {
    let world = World::new();
    installed(&world, "shower", "0.1.0").await;
    let file = plugins(&world).into_iter().find(|name| name.ends_with(".wasm")).expect("a component");
    let path = world.path("data/plugins").join(file);
    fs::remove_file(&path).expect("a file");
    world.convoke(["shower"]).run().await.exits(2).says("is not there any more");
    fs::write(&path, component("shower", "6.6.6")).expect("a written file");
    world.convoke(["shower"]).run().await.exits(2).says("is damaged").says("`convoke install /");
    installed(&world, "shower", "0.1.0").await;
    assert_eq!(runs(&world, "shower").await, "0.1.0");
}

#[tokio::test]
async fn processes_that_install_at_once_all_have_installed() {
    let world = World::new();
    let mut calls = Vec::new();
    for name in ["rain", "snow", "hail"] {
        let path = file(&world, name, "0.1.0");
        for _ in 0..2 {
            calls.push(world.convoke(["install", text(&path), "--yes"]).start().await);
        }
    }
    for call in calls {
        call.end().await.exits(0);
    }
    for name in ["rain", "snow", "hail"] {
        assert_eq!(runs(&world, name).await, "0.1.0");
    }
    assert_eq!(plugins(&world).len(), 4, "{:?}", plugins(&world));
}

/// The steps have a test of their own, beside the code; here it is any moment.
#[tokio::test]
async fn whenever_it_is_killed_the_old_or_the_new_runs() {
    let world = World::new();
    installed(&world, "shower", "0.1.0").await;
    let mut now = "0.1.0".to_owned();
    for _ in 0..20 {
        let next = if now == "0.1.0" { "0.2.0" } else { "0.1.0" };
        let path = file(&world, "shower", next);
        let call = world.convoke(["install", text(&path), "--yes", "--allow-downgrade"]).start().await;
        // From here on it compiles, waits for the lock and writes.
        call.has_said("sha-256").await;
        call.kill();
        call.end().await;
        let then = runs(&world, "shower").await;
        assert!(then == now || then == next, "{then}");
        now = then;
    }
    installed(&world, "shower", "0.3.0").await;
    assert_eq!(plugins(&world).len(), 2, "{:?}", plugins(&world));
}

/// A user whose registry has these versions.
async fn registered(versions: &[&str]) -> (World, Registry) {
    let registry = Registry::start().await.expect("a free port");
    for version in versions {
        registry.put_component("acme/shower", version, component("shower", version));
    }
    let world = World::new().config(&format!("[install]\nnamespace = \"oci://{}/acme\"\n", registry.host()));
    (world, registry)
}

#[tokio::test]
async fn the_newest_version_that_fits_comes_from_the_registry() {
    let (world, registry) = registered(&["0.1.0", "0.2.0", "0.2.1", "0.3.0-rc.1"]).await;
    world.convoke(["shower"]).run().await.exits(2).says("`convoke install shower` looks for it");
    world.convoke(["install", "shower@^0.4", "--yes"]).run().await.exits(2).says("0.2.1, 0.2.0, 0.1.0");
    world.convoke(["install", "shower", "--yes", "--offline"]).run().await.exits(2).says("--offline");
    world.convoke(["install", "shower@^0.2", "--yes"]).run().await.exits(0).says("installed shower 0.2.1");
    world.convoke(["update"]).run().await.exits(0).says("shower 0.2.1 is the newest that fits");
    registry.put_component("acme/shower", "0.2.2", component("shower", "0.2.2"));
    registry.put_component("acme/shower", "0.3.0", component("shower", "0.3.0"));
    let outdated = world.convoke(["outdated", "--format", "json"]).run().await.exits(0).json();
    assert_eq!(outdated["outdated"][0]["newest"], "0.2.2", "{outdated}");
    world.convoke(["update", "--yes"]).run().await.exits(0).says("updated shower to 0.2.2");
    assert_eq!(runs(&world, "shower").await, "0.2.2");
    let info = world.convoke(["info", "shower"]).run().await.exits(0).stdout;
    assert!(info.contains("Updates    shower@^0.2") && info.contains("acme/shower:0.2.2@sha256:"), "{info}");
    let other = world.convoke(["info", "shower@0.3.0", "--format", "json"]).run().await.exits(0).json();
    assert_eq!((&other["version"], &other["installed"]), (&Value::from("0.3.0"), &Value::from("none")));
    world.convoke(["install", "shower@0.1.0", "--yes"]).run().await.exits(2).says("--allow-downgrade");
    world.convoke(["install", "else/shower@1", "--yes"]).run().await.exits(2).says("no namespace");
}

/// There is a newer version of the installed `shower` 0.2.0, which asks for more.
pub(crate) async fn is_asked_before_the_update(world: &World) {
    let done = world.convoke(["update"]).run().await.exits(2);
    for said in ["0.2.0", "0.2.1", "`git diff`", "api.osv.dev", "no terminal"] {
        assert!(done.stderr.contains(said), "{said}: {}", done.stderr);
    }
    assert_eq!(runs(world, "shower").await, "0.2.0");
    let granted = || async { world.convoke(["grants", "list"]).run().await.exits(0).stdout };
    assert!(!granted().await.contains("git diff"), "{}", granted().await);
    world.convoke(["update", "--yes"]).run().await.exits(0).says("updated shower to 0.2.1");
    assert!(granted().await.contains("git diff"), "{}", granted().await);
}

#[tokio::test]
async fn an_update_that_asks_for_more_shows_it_and_asks() {
    let (world, registry) = registered(&["0.2.0"]).await;
    world.convoke(["install", "shower@^0.2", "--yes"]).run().await.exits(0);
    registry.put_component("acme/shower", "0.2.1", asking_more("shower", "0.2.1"));
    is_asked_before_the_update(&world).await;
}

#[tokio::test]
async fn what_a_project_pins_of_a_registry_is_locked_to_its_bytes() {
    let (world, registry) = registered(&["0.2.0"]).await;
    world.write("convoke.toml", "[plugins]\nshower = \"^0.2\"\n");
    world.convoke(["install", "--yes"]).run().await.exits(0).says("shower 0.2.0 is new");
    let lock = fs::read_to_string(world.project().join("convoke.lock")).expect("a lockfile");
    assert!(lock.contains("acme/shower:0.2.0@sha256:"), "{lock}");
    registry.put_component("acme/shower", "0.2.1", component("shower", "0.2.1"));
    assert_eq!(runs(&world, "shower").await, "0.2.0");

    // Somebody else, with the same registry: the very bytes, although there is something newer.
    let config = fs::read_to_string(world.path("config/config.toml")).expect("text");
    let other = World::new().config(&config);
    other.write("convoke.toml", "[plugins]\nshower = \"^0.2\"\n");
    other.write("convoke.lock", &lock);
    other.convoke(["install", "--locked", "--yes", "--offline"]).run().await.exits(2).says("--offline");
    registry.tamper(&digest(&component("shower", "0.2.0")), component("shower", "6.6.6"));
    other.convoke(["install", "--locked", "--yes"]).run().await.exits(4).says("digest");
    assert_eq!(plugins(&other), [""; 0]);
    registry.tamper(&digest(&component("shower", "0.2.0")), component("shower", "0.2.0"));
    other.convoke(["install", "--locked", "--yes"]).run().await.exits(0);
    assert_eq!(runs(&other, "shower").await, "0.2.0");
    other.convoke(["update", "--yes"]).run().await.exits(0).says("shower 0.2.0 becomes 0.2.1");
    assert_eq!(runs(&other, "shower").await, "0.2.1");
}

#[tokio::test]
async fn while_a_registry_is_ill_nothing_changes() {
    let (world, registry) = registered(&["0.2.0"]).await;
    world.convoke(["install", "shower@^0.2", "--yes"]).run().await.exits(0);
    registry.put_component("acme/shower", "0.2.1", component("shower", "0.2.1"));
    let before = plugins(&world);
    for wrong in [Wrong::Status(500), Wrong::Text("<html>".to_owned()), Wrong::Half, Wrong::Short] {
        registry.set_wrong("/v2/acme/shower/", wrong);
        world.convoke(["update", "--yes"]).run().await.exits(4);
        world.convoke(["outdated"]).run().await.exits(4);
        registry.heal();
    }
    assert_eq!(plugins(&world), before);
    assert_eq!(runs(&world, "shower").await, "0.2.0");
}
