//! What was built against an earlier contract still runs.

use std::fs;
use std::path::PathBuf;

use convoke::plugin::build::embed;
use convoke::plugin::inspect::read_manifest;
use convoke_standin::{Config, Standin};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::http::Server;
use crate::support::{World, repository, standin};

/// Built when the contract was 0.1.0, and never again: see `tests/contract/README.md`.
const FIXTURE: &str = "tests/prebuilt/contract-0.1.0.wasm";
/// The same for what needs a grant.
const OUTSIDE: &str = "tests/prebuilt/contract-0.1.0-outside.wasm";

fn fixture() -> PathBuf {
    repository().join(FIXTURE)
}

fn world() -> World {
    let world = World::new();
    world.write("a.txt", "a: TODO one\ntodo two\n");
    world.write("b.txt", "b\n");
    world.write("skip.txt", "TODO\n");
    world
}

async fn report(world: &World, asking: Option<&Standin>) -> Value {
    let path = fixture();
    let mut call = world.convoke([path.to_str().expect("UTF-8"), "--format", "json"]);
    call = match asking {
        Some(standin) => call.asking(standin),
        None => call.env("CONVOKE_BACKEND", "offline"),
    };
    // One of its items is meant to fail.
    call.run().await.exits(3).report().json
}

/// What an item noted.
fn note<'a>(report: &'a Value, item: &str) -> &'a str {
    let notes = report["notes"].as_array().expect("notes");
    let note = notes.iter().find(|note| note["item"] == item).unwrap_or_else(|| panic!("{item}: {report:#}"));
    note["text"].as_str().expect("text")
}

#[test]
fn the_plugins_of_contract_0_1_0_are_what_they_were() {
    for path in [fixture(), repository().join(OUTSIDE)] {
        let bytes = fs::read(&path).expect("it is kept for ever");
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let kept = fs::read_to_string(path.with_extension("sha256")).expect("its digest");
        assert_eq!(digest, kept.trim(), "{} must never be built again", path.display());
    }
}

#[tokio::test]
async fn the_plugin_of_contract_0_1_0_runs_programs_fetches_and_keeps() {
    let server = Server::start(|_| {
        let said = "HTTP/1.1 200 OK\r\nx-said: much\r\ncontent-length: 2\r\nconnection: close\r\n\r\n";
        format!("{said}so")
    })
    .await;
    let world = World::new();
    world.write("docs/b.txt", "two\n");
    let bytes = fs::read(repository().join(OUTSIDE)).expect("it is kept for ever");
    let mut manifest = read_manifest(&bytes).expect("a manifest");
    manifest.capabilities.http[0].host = server.address.to_string();
    let path = world.path("home/outside.wasm");
    fs::write(&path, embed(&bytes, &manifest).expect("a component")).expect("a written file");
    let plugin = path.to_str().expect("UTF-8");
    world.convoke(["grants", "add", plugin, "--all"]).run().await.exits(0);
    let url = server.url("/");
    let call = world.convoke([plugin, &url, "--format", "json"]).env("CONVOKE_BACKEND", "offline");
    let report = call.run().await.exits(0).report().json;
    assert_eq!(
        [note(&report, "run"), note(&report, "fetch"), note(&report, "keep")],
        ["0 \"two\\none\\n\" 0", "200 much so", "in the plan, in the item"]
    );
    let planned = report["plan"]["notes"].to_string() + &report["warnings"].to_string() + &report["notes"].to_string();
    assert!(planned.contains("0; 200 much so; None"), "{report:#}");
    let posted = server.got().into_iter().find(|request| request.starts_with("POST")).expect("it was sent");
    assert!(posted.contains("x-asks: so"), "{posted}");
}

#[tokio::test]
async fn the_plugin_of_contract_0_1_0_runs_on_this_host() {
    let report = report(&world(), None).await;
    let census = &report["census"];
    assert_eq!(
        [&census["items"], &census["done"], &census["failed"], &census["skipped"]].map(Value::as_u64),
        [Some(9), Some(7), Some(1), Some(1)],
        "{census}"
    );
    assert_eq!(note(&report, "ask"), "nobody, nobody");
    assert_eq!(note(&report, "add"), "it was added");
    assert_eq!(note(&report, "after"), "2 findings, 4 metrics, 3 edits, 1 actions");
    assert!(note(&report, "whole").contains("2 findings"), "{}", note(&report, "whole"));
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(2), "{report}");
    let finding = &report["findings"][0];
    assert_eq!(
        (&finding["rule"], &finding["line"], &finding["column"]),
        (&"contract-rule".into(), &1.into(), &2.into())
    );
    assert_eq!(report["edits"].as_array().map(Vec::len), Some(3), "{report}");
    assert_eq!(report["actions"].as_array().map(Vec::len), Some(1), "{report}");
}

#[tokio::test]
async fn the_plugin_of_contract_0_1_0_asks_a_model() {
    let standin = standin(Config::default()).await;
    let report = report(&world(), Some(&standin)).await;
    assert_eq!(report["census"]["failed"], 1, "{report}");
    assert_ne!(note(&report, "ask"), "nobody, nobody");
    assert_ne!(note(&report, "open"), "nobody");
    assert_eq!(standin.requests().len(), 4, "two asked at once, one streamed, one to conclude");
}
