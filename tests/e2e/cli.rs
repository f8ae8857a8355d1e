//! What is typed.

use convoke_standin::{Config, Fault, When};

use crate::support::{World, faulty, hostile, repository, standin};

#[tokio::test]
async fn help_shows_the_commands_and_the_exit_codes() {
    let world = World::new();
    for arguments in [vec!["--help"], vec!["help"]] {
        let done = world.convoke(arguments).run().await.exits(0);
        for word in ["agent-audit", "list", "build", "schema", "completions", "130 interrupted"] {
            assert!(done.stdout.contains(word), "{word}: {}", done.stdout);
        }
    }
    let done = world.convoke(["help", "agent-audit"]).run().await.exits(0);
    for word in ["--no-near", "--dry-run", "--since", "--fail-on", "Audits Claude agent definitions", "[PATH]"] {
        assert!(done.stdout.contains(word), "{word}: {}", done.stdout);
    }
    world.convoke(["--version"]).run().await.exits(0);
    world.convoke([]).run().await.exits(2);
}

#[tokio::test]
async fn help_needs_neither_a_home_nor_a_compiler() {
    let world = World::new();
    let call = world
        .convoke(["--help"])
        .env("CONVOKE_DATA_DIR", "/nowhere/at/all")
        .env("CONVOKE_CACHE_DIR", "/nowhere/at/all");
    call.run().await.exits(0);
    let done = world.convoke(["help", hostile()]).run().await.exits(0);
    assert!(done.stdout.contains("Does what no plugin should"), "{}", done.stdout);
}

#[tokio::test]
async fn a_mistyped_command_option_or_value_gets_a_suggestion() {
    let world = World::with_agents(1);
    world.convoke(["agent-adit"]).run().await.exits(2).reports_nothing().says("agent-audit");
    world.convoke(["agent-audit", "--bakend", "offline"]).run().await.exits(2).says("--backend");
    world.convoke(["agent-audit", "--backend", "ofline"]).run().await.exits(2).says("offline");
    world.convoke(["agent-audit", "--format", "jsn"]).run().await.exits(2).says("json");
    world.convoke(["agent-audit", "--instances", "0"]).run().await.exits(2).says("1..=100");
    world.convoke(["nothing-like-it"]).run().await.exits(2).says("nothing-like-it");
}

#[tokio::test]
async fn list_tells_what_there_is() {
    let world = World::new();
    let list = world.convoke(["list", "--format", "json"]).run().await.exits(0).json();
    assert_eq!(list["commands"][0]["name"], "agent-audit");
    assert!(world.convoke(["list"]).run().await.exits(0).stdout.starts_with("agent-audit"));
}

#[tokio::test]
async fn the_schema_of_a_report_is_a_json_schema() {
    let schema = World::new().convoke(["schema", "report"]).run().await.exits(0).json();
    assert!(jsonschema::meta::is_valid(&schema), "{schema}");
}

#[tokio::test]
async fn completions_know_commands_and_options() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = world.convoke(["completions", shell]).run().await.exits(0).stdout;
        assert!(script.contains("CONVOKE_COMPLETE"), "{shell}: {script}");
        let asking = |line: &[&str]| {
            let index = (line.len() - 1).to_string();
            let call = world.convoke(["--", "convoke"].into_iter().chain(line[1..].iter().copied()));
            call.env("CONVOKE_COMPLETE", shell).env("_CLAP_COMPLETE_INDEX", &index).env("_CLAP_IFS", "\n")
        };
        let commands = asking(&["convoke", "agent"]).run().await.exits(0).stdout;
        assert!(commands.contains("agent-audit") && !commands.contains("doctor"), "{shell}: {commands}");
        let options = asking(&["convoke", "agent-audit", "--fail"]).run().await.exits(0).stdout;
        assert!(options.contains("--fail-on"), "{shell}: {options}");
    }
    world.convoke(["completions", "sh"]).run().await.exits(2);
    world.convoke(["list"]).env("CONVOKE_COMPLETE", "sh").run().await.exits(2).says("not the name of a shell");
}

#[tokio::test]
async fn a_real_shell_completes_what_is_typed() {
    let world = World::new();
    let script = r#"PROGRAM=$1 exec bash -c '
        convoke() { "$PROGRAM" "$@"; }
        source <(convoke completions bash)
        COMP_WORDS=(convoke agent-audit --fail) COMP_CWORD=2
        _clap_complete_convoke convoke --fail agent-audit
        printf "%s\n" "${COMPREPLY[@]}"'"#;
    let done = world.convoke([]).through(script).run().await.exits(0);
    assert_eq!(done.stdout.trim(), "--fail-on", "{}", done.stderr);
}

#[tokio::test]
async fn there_is_a_manual_page_of_each_command() {
    let world = World::new();
    let page = world.convoke(["man", "agent-audit"]).run().await.exits(0).stdout;
    assert!(page.contains(".TH") && page.contains("Claude agent definitions") && page.contains("fail\\-on"), "{page}");
    world.convoke(["man", "nothing"]).run().await.exits(2).says("there is no command nothing");
    world.convoke(["man", "--dir", "pages"]).run().await.exits(0);
    let pages: Vec<_> = std::fs::read_dir(world.project().join("pages")).expect("pages").flatten().collect();
    let has = |name: &str| pages.iter().any(|page| page.file_name().to_string_lossy() == name);
    assert!(has("convoke.1") && has("convoke-agent-audit.1") && has("convoke-runs-show.1"), "{pages:?}");
}

/// One call for each exit code.
#[tokio::test]
async fn each_exit_code_has_its_reason() {
    let world = World::with_agents(4);
    let standin = faulty([(When::contains("agent-2"), Fault::Status(400))]).await;
    let locked = standin_that_rejects().await;
    world.write("agents/flawed.md", "---\nname: flawed\n---\n");
    world.audit([]).run().await.exits(0);
    world.audit(["--fail-on", "low"]).run().await.exits(1);
    world.audit(["--since", "HEAD"]).run().await.exits(2);
    world.audit([]).asking(&standin).run().await.exits(3);
    world.convoke([hostile(), "panic"]).run().await.exits(4);
    world.audit([]).asking(&locked).run().await.exits(5);
    // 130 is tested where Ctrl-C is.
}

async fn standin_that_rejects() -> convoke_standin::Standin {
    standin(Config { key: Some("another key".to_owned()), ..Config::default() }).await
}

#[tokio::test]
async fn where_several_hold_the_stronger_wins() {
    let world = World::with_agents(4);
    world.write("agents/flawed.md", "---\nname: flawed\n---\n");
    let standin = faulty([(When::contains("agent-2"), Fault::Status(400))]).await;
    // Degraded is more than findings, parked is more than both.
    world.audit(["--fail-on", "low"]).asking(&standin).run().await.exits(3);
    world.audit(["--fail-on", "low", "--fresh"]).asking(&standin_that_rejects().await).run().await.exits(5);
}

#[tokio::test]
async fn a_report_whose_reader_goes_away_is_no_success_and_a_list_is() {
    for (call, code) in [("agent-audit -q --format json", 3), ("list --format json", 0)] {
        reader_goes_away(call, code);
    }
}

fn reader_goes_away(call: &str, code: i32) {
    let world = World::with_example();
    let script = format!("'{}' {call} | true; exit ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_convoke"));
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .current_dir(world.project())
        .env("CONVOKE_DATA_DIR", world.path("data"))
        .env("CONVOKE_CONFIG_DIR", world.path("config"))
        .env("CONVOKE_CACHE_DIR", world.path("cache"))
        .env_remove("ANTHROPIC_API_KEY")
        .env_remove("ANTHROPIC_AUTH_TOKEN")
        .output()
        .expect("bash");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test]
async fn folders_that_can_not_be_used_are_told() {
    let world = World::with_agents(1);
    world.write("file", "");
    let file = world.project().join("file");
    let data = world.audit([]).env("CONVOKE_DATA_DIR", &file).run().await.exits(2).reports_nothing();
    assert!(data.stderr.contains("file"), "{}", data.stderr);
    // Without a cache it only takes longer.
    world.audit([]).env("CONVOKE_CACHE_DIR", &file).run().await.exits(0).report();
    world.audit([]).env("CONVOKE_DATA_DIR", "relative").run().await.exits(2).says("CONVOKE_DATA_DIR");
}

#[tokio::test]
async fn a_folder_that_is_no_plugin_is_not_built() {
    let world = World::new();
    world.convoke(["build"]).run().await.exits(4).says("plugin.toml");
    world.write("plugin.toml", "manifest_version = 1\nname = \"X Y\"\n");
    world.write("Cargo.toml", "");
    world.convoke(["build", "-q"]).run().await.exits(2).says("plugin.toml");
}

#[tokio::test]
async fn every_test_file_is_part_of_the_tests() {
    let main = std::fs::read_to_string(repository().join("tests/e2e/main.rs")).expect("main.rs");
    for entry in std::fs::read_dir(repository().join("tests/e2e")).expect("the tests") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let module = name.trim_end_matches(".rs");
        assert!(module == "main" || main.contains(&format!("mod {module};")), "{name} is forgotten");
    }
}
