//! Bad input: of projects, of agents' files, of components.

use std::fs;

use wasm_encoder::{Component, CustomSection};

use crate::support::{Report, World, agent, agent_path, hostile, repository};

async fn audited(world: &World) -> Report {
    world.audit([]).run().await.report()
}

/// One good agent, and what a test adds.
fn project() -> World {
    World::with_agents(1)
}

fn found<'a>(report: &'a Report, rule: &str) -> Vec<&'a str> {
    let findings = report.list("findings").iter().filter(|finding| finding["rule"] == rule);
    findings.filter_map(|finding| finding["path"].as_str()).collect()
}

// Projects -------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn what_is_no_folder_is_no_project() {
    let world = project();
    world.write("a.txt", "text");
    world.convoke(["agent-audit", "-C", "a.txt"]).run().await.exits(2).reports_nothing().says("a.txt is not a folder");
    world.convoke(["agent-audit", "-C", "none"]).run().await.exits(2).reports_nothing().says("none");
}

#[tokio::test]
async fn a_path_that_is_not_there_or_no_agent_is_told() {
    let world = project();
    world.write("a.txt", "text");
    world.convoke(["agent-audit", "none"]).run().await.exits(2).reports_nothing().says("none");
    world.convoke(["agent-audit", "a.txt"]).run().await.exits(2).says("a.txt is not a Markdown file");
    world.convoke(["agent-audit", ""]).run().await.exits(2).reports_nothing();
}

#[tokio::test]
async fn where_no_agents_are_it_is_said_where_was_looked() {
    let world = World::new();
    let done = world.convoke(["agent-audit"]).run().await.exits(2).reports_nothing();
    done.says("no agents found in the project").says(".claude/agents/**/*.md");
}

#[tokio::test]
async fn a_configuration_that_can_not_be_read_has_a_place() {
    for (text, words) in [
        ("version = 1\nmodus = \"safe\"\n", "modus"),
        ("version = 99\n", "99"),
        ("version = 1\n[limits]\ninstances = 0\n", "instances is 0"),
        ("version = \n", "convoke.toml:1:11"),
        ("[[suppress]]\nrule = \"x\"\n", "reason"),
    ] {
        let world = project();
        world.write("convoke.toml", text);
        world.convoke(["agent-audit"]).run().await.exits(2).reports_nothing().says("convoke.toml").says(words);
    }
    let world = project().config("mode = \"fast\"\n");
    world.convoke(["agent-audit"]).run().await.exits(2).reports_nothing().says("config.toml").says("fast");
}

#[tokio::test]
async fn a_project_can_not_raise_a_limit_nor_name_a_model() {
    let world = project();
    world.write("convoke.toml", "backend = \"anthropic\"\nmode = \"performance\"\n[limits]\ninstances = 50\n");
    let report = audited(&world).await;
    assert_eq!((report.status(), report.json["run"]["mode"].as_str()), ("completed", Some("balanced")));
    for words in ["offline", "performance", "instances"] {
        assert!(report.warnings().contains(words), "{words}: {}", report.warnings());
    }
    world.write("convoke.toml", "model = \"claude-x\"\n");
    world.convoke(["agent-audit"]).run().await.exits(2).says("model");
}

// Files ----------------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_file_that_is_not_utf8_is_a_finding() {
    let world = project();
    world.write("agents/latin.md", b"---\nname: latin\ndescription: caf\xe9\n---\nBody");
    let report = audited(&world).await;
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 2"));
    assert_eq!(found(&report, "file-not-utf8"), ["agents/latin.md"]);
}

#[tokio::test]
async fn a_file_of_50_mb_is_a_finding_and_not_read() {
    let world = project();
    world.write("agents/huge.md", "");
    let file = fs::File::options().write(true).open(world.project().join("agents/huge.md")).expect("a file");
    file.set_len(50 << 20).expect("a size");
    let report = audited(&world).await;
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 2"));
    assert_eq!(found(&report, "file-too-large"), ["agents/huge.md"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_may_not_be_read_is_skipped_and_said() {
    use std::os::unix::fs::PermissionsExt;
    let world = project();
    world.write("agents/secret.md", "---\nname: secret\n---\nBody");
    fs::set_permissions(world.project().join("agents/secret.md"), fs::Permissions::from_mode(0o0))
        .expect("permissions");
    let report = audited(&world).await;
    if rustix::process::geteuid().is_root() {
        eprintln!("NOTE: root may read everything: only that the run ends well was tested");
        assert_eq!(report.census(), "done 2");
        return;
    }
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 1, skipped 1"));
    assert_eq!(found(&report, "file-unreadable"), ["agents/secret.md"]);
}

#[cfg(unix)]
#[tokio::test]
async fn links_in_a_circle_out_of_the_project_and_to_nowhere_do_no_harm() {
    let world = project();
    let link = |to: &str, from: &str| {
        std::os::unix::fs::symlink(to, world.project().join(from)).expect("a link");
    };
    fs::create_dir(world.project().join("agents")).expect("a folder");
    fs::write(world.path("outside.md"), agent(7)).expect("a file");
    link("..", "agents/up");
    link("loop-b", "agents/loop-a");
    link("loop-a", "agents/loop-b");
    link("self.md", "agents/self.md");
    link("nowhere.md", "agents/dangling.md");
    link("../../outside.md", "agents/outside.md");
    link(&format!("../{}", agent_path(1)), "agents/inside.md");
    let report = audited(&world).await;
    // What lies inside is an agent by this name too; what lies outside is not looked at; and what is left out is said.
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 2"));
    for name in ["self.md", "dangling.md", "outside.md"] {
        let words = format!("agents/{name} was left out: it is a link that leads nowhere or outside");
        assert!(report.warnings().contains(&words), "{name}: {}", report.warnings());
    }
    assert!(report.list("findings").iter().all(|finding| finding["path"] != "agents/outside.md"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_pipe_is_not_waited_for() {
    let world = project();
    fs::create_dir(world.project().join("agents")).expect("a folder");
    let made = std::process::Command::new("mkfifo").arg(world.project().join("agents/pipe.md")).status();
    assert!(made.expect("mkfifo").success());
    let report = audited(&world).await;
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 1"));
    let words = "agents/pipe.md was left out: it is neither a file nor a folder";
    assert!(report.warnings().contains(words), "{}", report.warnings());
}

#[tokio::test]
async fn a_yaml_bomb_is_a_finding() {
    let world = project();
    let levels: String = (1..10)
        .map(|level| {
            let aliases: Vec<String> = (0..10).map(|_| format!("*a{}", level - 1)).collect();
            format!("a{level}: &a{level} [{}]\n", aliases.join(","))
        })
        .collect();
    world.write(".claude/agents/bomb.md", format!("---\nname: bomb\na0: &a0 [x,x,x]\n{levels}---\nBody"));
    world.write(".claude/agents/deep.md", format!("---\nname: {}x\n---\nBody", "[".repeat(50_000)));
    world.write(".claude/agents/wide.md", format!("---\nname: [{}]\n---\nBody", "x,".repeat(200_000)));
    let report = audited(&world).await;
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 4"));
    assert_eq!(
        found(&report, "front-matter-broken"),
        [".claude/agents/bomb.md", ".claude/agents/deep.md", ".claude/agents/wide.md"]
    );
}

#[tokio::test]
async fn escapes_in_the_names_and_texts_of_files_are_not_sent_to_the_terminal() {
    let world = project();
    world.write("agents/e\u{1b}[31mvil.md", "---\nname: \"\\e[2Jx\"\ndescription: \u{1b}]0;owned\u{7}\n---\nBody");
    for format in ["human", "json", "markdown", "sarif"] {
        let done = world.convoke(["agent-audit", "-v", "--format", format]).run().await.exits(0);
        for text in [&done.stdout, &done.stderr] {
            assert!(!text.contains(['\u{1b}', '\u{7}']), "{format}: {text}");
        }
    }
}

// Components -----------------------------------------------------------------------------------------------------------

/// What is said about a file that is no component of this host.
async fn refused(bytes: &[u8], words: &str) {
    let world = World::new();
    world.write("it.wasm", bytes);
    for arguments in [vec!["it.wasm"], vec!["it.wasm", "--dry-run"]] {
        let done = world.convoke(arguments).run().await.exits(2).reports_nothing();
        done.says("it.wasm").says(words);
    }
}

#[tokio::test]
async fn what_is_no_component_is_told_apart() {
    let good = fs::read(hostile()).expect("the hostile plugin");
    refused(b"", "it is not WebAssembly").await;
    refused(b"#!/bin/sh\necho hello\n", "it is not WebAssembly").await;
    refused(b"\0asm\x01\0\0\0", "it is a core WebAssembly module, not a component").await;
    refused(b"\0asm\x0d\0\x01\0", "it has no manifest").await;
    refused(&good[..good.len() / 2], "it is truncated").await;
    refused(&good[..good.len() - 1], "it is truncated").await;
}

#[tokio::test]
async fn a_component_of_another_world_is_refused() {
    let manifest = br#"{"manifest_version":1,"name":"other","version":"1.0.0","description":"x","license":"MIT"}"#;
    let mut component = Component::new();
    component.section(&CustomSection { name: "convoke:manifest".into(), data: manifest.into() });
    refused(&component.finish(), "it is a component of another world").await;
}

#[tokio::test]
async fn a_manifest_of_a_newer_convoke_is_refused() {
    let manifest = br#"{"manifest_version":2,"name":"other"}"#;
    let mut component = Component::new();
    component.section(&CustomSection { name: "convoke:manifest".into(), data: manifest.into() });
    refused(&component.finish(), "version 2").await;
}

#[tokio::test]
async fn a_file_that_is_not_there_a_folder_or_too_large_is_told() {
    let world = World::new();
    world.convoke(["none.wasm"]).run().await.exits(2).says("none.wasm");
    fs::create_dir(world.project().join("folder.wasm")).expect("a folder");
    world.convoke(["folder.wasm"]).run().await.exits(2).says("it is not a file");
    let file = fs::File::create(world.project().join("huge.wasm")).expect("a file");
    file.set_len(1 << 33).expect("a size");
    world.convoke(["huge.wasm"]).run().await.exits(2).says("huge.wasm").says("bytes");
}

#[tokio::test]
async fn a_damaged_component_never_brings_the_host_down() {
    let good = fs::read(hostile()).expect("the hostile plugin");
    let world = World::new().config("version = 1\n[limits]\nplugin_fuel = 500_000_000\nworker_timeout_s = 3\n");
    // Spread over the whole file, the same in each run.
    for step in 1..=8 {
        let mut bytes = good.clone();
        let at = good.len() * step / 9;
        bytes[at] ^= 0x55;
        world.write("it.wasm", &bytes);
        let done = world.convoke(["it.wasm", "fine", "--format", "json"]).run().await;
        let code = done.code.expect("no signal");
        assert!([0, 2, 3, 4].contains(&code), "byte {at}: {code}: {}", done.stderr);
        assert!(!done.stderr.contains("panicked at host"), "{}", done.stderr);
    }
}

#[tokio::test]
async fn the_embedded_plugin_is_the_same_when_run_from_its_file() {
    let world = World::with_example();
    let path = repository().join("host/prebuilt/agent-audit.wasm");
    let path = path.to_str().expect("UTF-8");
    let from_file = world.convoke([path, "--format", "json"]).run().await.report();
    assert_eq!(from_file.findings(), audited(&world).await.findings());
}
