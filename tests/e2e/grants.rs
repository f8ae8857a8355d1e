//! What plugins ask for, and what is granted: asked once, by digest, in plain words, and never by a project.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Done, Report, World, asking, flood, holds, quick};

/// All that `asking` asks for but asking Claude: its path was typed.
const ASKED: [&str; 4] = [
    "let Claude use its tool Read",
    "run `git diff` and `git log` in the project",
    "send requests (GET) to api.osv.dev",
    "keep up to 16 MiB of its own notes",
];

/// Runs `convoke grants`, which must do well, and gives what it says.
async fn grants<'a>(world: &World, arguments: impl IntoIterator<Item = &'a str>) -> String {
    world.convoke(["grants"].into_iter().chain(arguments)).run().await.exits(0).stdout
}

async fn grants_json<'a>(world: &World, arguments: impl IntoIterator<Item = &'a str>) -> Value {
    let text = grants(world, arguments.into_iter().chain(["--format", "json"])).await;
    serde_json::from_str(&text).expect("JSON")
}

/// Runs `asking` with these calls.
async fn asked<'a>(world: &World, calls: impl IntoIterator<Item = &'a str>) -> Done {
    world.convoke([asking(), "--format", "json"].into_iter().chain(calls)).run().await
}

/// What came of the only call.
fn came(report: &Report) -> String {
    report.messages("1").join(" ")
}

/// `asking` with another description of the same length: another component of the same name.
fn changed(world: &World) -> PathBuf {
    let bytes = fs::read(asking()).expect("a component");
    let (old, new) = (b"Asks for every capability", b"Asks for each capability.");
    let place = bytes.windows(old.len()).position(|window| window == old).expect("its description");
    let mut bytes = bytes;
    bytes[place..place + old.len()].copy_from_slice(new);
    let path = world.path("home/changed.wasm");
    fs::write(&path, bytes).expect("a written file");
    path
}

#[tokio::test]
async fn without_a_terminal_it_is_refused_with_the_command_that_grants_it() {
    let world = World::new();
    let done = asked(&world, ["ask"]).await.exits(2).reports_nothing();
    for wish in ASKED {
        assert!(done.stderr.contains(wish), "{wish}: {}", done.stderr);
    }
    // As somebody would copy it.
    let line = done.stderr.split("this grants it: ").nth(1).and_then(|rest| rest.lines().next()).expect("a command");
    assert!(line.ends_with("--store") && line.contains("--process 'git diff'"), "{line}");
    let copied = world.convoke([]).through(&format!("convoke() {{ \"$CONVOKE\" \"$@\"; }}; {line}"));
    copied.env("CONVOKE", env!("CARGO_BIN_EXE_convoke")).run().await.exits(0);
    let report = asked(&world, ["ask"]).await.report();
    assert_eq!(report.count("items"), 1);
    assert_eq!(
        fs::metadata(world.path("config/grants.toml")).expect("it is there").permissions().mode() & 0o777,
        0o600
    );
    let listed = grants_json(&world, ["list"]).await;
    assert_eq!(listed["grants"][0]["name"], "asking");
    assert_eq!(listed["grants"][0]["trust"], false, "its path is typed each time: {listed}");
    assert_eq!(listed["grants"][0]["capabilities"]["process"][0]["subcommands"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn what_is_embedded_or_typed_by_its_path_asks_claude_unasked() {
    let world = World::with_agents(1);
    world.audit([]).run().await.exits(0);
    world.convoke([flood(), "--dry-run"]).run().await.exits(0);
    assert!(!world.path("config/grants.toml").exists(), "nothing is written where nothing was decided");
    assert_eq!(grants(&world, ["list"]).await, "Nothing is granted yet.\n");
}

#[tokio::test]
async fn what_is_granted_is_explained_listed_and_revoked() {
    let world = World::new();
    let before = grants(&world, ["explain", asking()]).await;
    for wish in
        ["ask Claude, up to $2 a run  [granted: named by its path]", "run `git diff` in the project  [not granted]"]
    {
        assert!(before.contains(wish), "{wish}: {before}");
    }
    assert!(before.contains("at worst: it runs as you") && before.contains("convoke grants add "), "{before}");
    let said = grants(&world, ["add", asking(), "--process", "git", "--http", "api.osv.dev", "--trust"]).await;
    assert!(said.contains("  run `git diff` and `git log` in the project\n"), "only what it asks for: {said}");
    let after = grants_json(&world, ["explain", asking()]).await;
    let by = |wish: &str| {
        let asks = after["asks"].as_array().expect("a list");
        asks.iter().find(|ask| ask["wish"] == wish).map(|ask| ask["granted_by"].clone()).expect("a wish")
    };
    assert_eq!(by("run `git log` in the project"), "grants.toml");
    assert_eq!(by("keep up to 16 MiB of its own notes"), Value::Null);
    let listed = grants(&world, ["list"]).await;
    assert!(listed.starts_with("asking 0.1.0, sha256 ") && listed.contains("\n  send requests (GET) to api.osv.dev\n"));
    let digest = grants_json(&world, ["list"]).await["grants"][0]["sha256"].as_str().expect("a digest").to_owned();
    let revoked = grants(&world, ["revoke", &digest[..10]]).await;
    assert!(revoked.contains("is no longer granted"), "{revoked}");
    world.convoke(["grants", "revoke", "asking"]).run().await.exits(2).says("nothing is granted to asking");
    asked(&world, ["ask"]).await.exits(2);
}

#[tokio::test]
async fn a_grant_is_for_one_component_and_shows_what_changed() {
    let world = World::new();
    grants(&world, ["add", asking(), "--all"]).await;
    let other = changed(&world);
    let done = world.convoke([other.to_str().expect("UTF-8"), "ask"]).run().await.exits(2);
    assert!(done.stderr.contains("asks for what you have not granted to this version of it"), "{}", done.stderr);
}

/// Runs a call on a terminal where this is typed.
async fn typed_at(world: &World, answer: &str, arguments: &str) -> Done {
    let script = format!(
        "printf '{answer}\\n' | TERM=xterm SHELL=/bin/sh script --quiet --flush --return --command \"$CONVOKE {arguments}\" /dev/null"
    );
    world.convoke([]).through(&script).env("CONVOKE", env!("CARGO_BIN_EXE_convoke")).run().await
}

#[tokio::test]
async fn on_a_terminal_it_is_asked_once_and_only_a_yes_is_one() {
    let world = World::new();
    let call = format!("{} ask --format json --output report.json", asking());
    for no in ["", "n", "yep", "j"] {
        let done = typed_at(&world, no, &call).await.exits(2);
        assert!(done.stdout.contains("Grant this? [y/N]") && done.stdout.contains(ASKED[1]), "{}", done.stdout);
        assert!(done.stdout.contains("was not granted what it asks for"), "{}", done.stdout);
        assert!(!world.path("config/grants.toml").exists());
    }
    let done = typed_at(&world, "y", &call).await;
    assert_ne!(done.code, Some(2), "{}", done.stdout);
    let again = typed_at(&world, "n", &call).await;
    assert!(again.code != Some(2) && !again.stdout.contains("Grant this?"), "{}", again.stdout);
    let other = changed(&world);
    let done = typed_at(&world, "n", &format!("{} ask", other.display())).await.exits(2);
    assert!(done.stdout.contains("is another component than the one that you granted"), "{}", done.stdout);
    assert!(done.stdout.contains("As before it asks to"), "{}", done.stdout);
    let done = typed_at(&world, "y", &format!("grants add {}", other.display())).await.exits(0);
    assert!(done.stdout.contains("may now, as the component"), "{}", done.stdout);
}

#[tokio::test]
async fn a_refused_call_names_the_missing_grant() {
    let world = World::new();
    grants(&world, ["add", asking(), "--trust"]).await;
    for (call, words) in [
        ("run:git diff", "it may not run `git diff`: you have not granted that"),
        ("run:git push", "it may not run `git push`: its manifest does not ask for that"),
        ("run:uname -a", "its manifest does not ask for that"),
        // Nobody can grant that.
        ("run:sh -c true", "sh runs other programs"),
        ("note", "it may not keep up to 16 MiB of its own notes: you have not granted that"),
    ] {
        let report = asked(&world, [call]).await.report();
        assert!(came(&report).contains(words), "{call}: {}", came(&report));
    }
    let report = asked(&world, ["run:git diff"]).await.report();
    assert!(came(&report).contains("--process 'git diff'` grants it"), "{}", came(&report));
    let report = asked(&world, ["fetch:GET https://api.osv.dev/v1"]).await.report();
    assert!(came(&report).starts_with("refused: "), "{}", came(&report));
}

#[tokio::test]
async fn claude_gets_only_tools_that_are_asked_for_and_granted() {
    let tiers = "[tiers.comprehensive]\ntools = [\"Read\", \"Bash\"]\n";
    let (world, standin) = (World::new().config(tiers), quick().await);
    grants(&world, ["add", asking(), "--store"]).await;
    for tool in ["tool:Read", "tool:Bash"] {
        let call = world.convoke([asking(), "--format", "json", tool]).asking(&standin);
        let report = call.run().await.report();
        let said = came(&report);
        assert!(said.contains("needs the tool") && said.contains("convoke grants explain"), "{tool}: {said}");
    }
    assert_eq!(standin.stats().requests, 0);
}

#[tokio::test]
async fn a_plugin_spends_no_more_than_it_was_granted() {
    let (world, standin) = (World::new(), quick().await);
    grants(&world, ["add", asking(), "--all", "--usd", "0.000001"]).await;
    let call = || world.convoke([asking(), "--format", "json", "ask", "--budget-usd", "5"]).asking(&standin);
    let report = call().run().await.exits(5).report();
    assert_eq!(standin.stats().requests, 0);
    assert!(report.warnings().contains("the plugin was granted $"), "{}", report.warnings());
    grants(&world, ["add", asking(), "--usd", "1"]).await;
    assert_eq!(call().run().await.report().status(), "completed");
    assert_eq!(standin.stats().requests, 1);
}

#[tokio::test]
async fn only_what_is_asked_for_can_be_granted() {
    let world = World::new();
    for (option, value) in
        [("--process", "git push"), ("--process", "make"), ("--http", "POST:api.osv.dev"), ("--tool", "Bash")]
    {
        let done = world.convoke(["grants", "add", asking(), option, value]).run().await.exits(2);
        assert!(done.stderr.contains("does not ask to"), "{}", done.stderr);
    }
    let done = world.convoke(["grants", "add", "agent-audit", "--store"]).run().await.exits(2);
    assert!(done.stderr.contains("does not ask to keep"), "{}", done.stderr);
    world.convoke(["grants", "add", "nobody", "--all"]).run().await.exits(2).says("there is no plugin nobody");
    world.convoke(["grants", "add", asking()]).run().await.exits(2).says("grants add");
    let digest = "0".repeat(64);
    world.convoke(["grants", "add", &digest, "--all"]).run().await.exits(2).says("Only its digest is known");
    grants(&world, ["add", &digest, "--process", "git diff"]).await;
    assert!(holds(&world.kept(), &digest));
}

#[tokio::test]
async fn a_broken_or_newer_file_grants_nothing_and_stays_as_it_is() {
    let world = World::new();
    grants(&world, ["add", asking(), "--all"]).await;
    let file = world.path("config/grants.toml");
    let good = fs::read_to_string(&file).expect("a file");
    for (text, words) in [
        (good.replace("store = true", "store = maybe"), "grants.toml:"),
        (good.replace("version = 1\n", "version = 7\n"), "has version 7"),
        (good.replace("[[grant]]", "[[granted]]"), "grants.toml:"),
    ] {
        fs::write(&file, &text).expect("written");
        for arguments in [&[asking(), "ask"][..], &["grants", "list"], &["grants", "add", asking(), "--all"]] {
            world.convoke(arguments.iter().copied()).run().await.exits(2).says(words);
        }
        assert_eq!(fs::read_to_string(&file).expect("a file"), text);
    }
    fs::write(&file, &good).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("set");
    asked(&world, ["ask"]).await.exits(2).says("can be written by others");
}

#[tokio::test]
async fn a_project_grants_nothing() {
    let world = World::new();
    let digest = "a".repeat(64);
    for text in [
        format!("[[grant]]\nsha256 = \"{digest}\"\ntrust = true\n"),
        "[grants.asking]\ntrust = true\n".to_owned(),
        "[[capabilities.process]]\nprogram = \"git\"\n".to_owned(),
        "[actions]\nallow = [\"git push\"]\n".to_owned(),
        "[install]\nnamespace = \"oci://evil.example/x\"\n".to_owned(),
        "[anthropic]\nbase_url = \"http://127.0.0.1:9\"\n".to_owned(),
    ] {
        world.write("convoke.toml", &text);
        asked(&world, ["ask"]).await.exits(2).says("convoke.toml:1:").reports_nothing();
    }
    // Nor by a file of grants of its own.
    fs::remove_file(world.project().join("convoke.toml")).expect("removed");
    let granted = World::new();
    grants(&granted, ["add", asking(), "--all"]).await;
    let text = fs::read_to_string(granted.path("config/grants.toml")).expect("a file");
    for place in ["grants.toml", ".convoke/grants.toml", "config/grants.toml"] {
        world.write(place, &text);
    }
    asked(&world, ["ask"]).await.exits(2).says("convoke grants add");
}
