//! Documents: what a run hands out as it is.

use serde_json::{Value, json};

use crate::support::{Call, Done, World, editing};

/// A project that tells `editing` to hand these out, an item each.
fn handing_out(documents: &[Value]) -> World {
    let world = World::new();
    let items: Vec<Value> = (1..)
        .zip(documents)
        .map(|(number, document)| json!({"id": format!("i{number}"), "documents": [document]}))
        .collect();
    world.write("items.json", json!({ "items": items }).to_string());
    world
}

fn plain(text: &str) -> Value {
    json!({"name": "list.txt", "media_type": "text/plain", "text": text})
}

fn call<'a>(world: &World, arguments: impl IntoIterator<Item = &'a str>) -> Call {
    world.convoke([editing()].into_iter().chain(arguments))
}

#[tokio::test]
async fn a_document_is_all_that_is_on_standard_output() {
    let world = handing_out(&[plain("a  1\nb  2")]);
    let done = call(&world, []).run().await.exits(0);
    assert_eq!(done.stdout, "a  1\nb  2\n");
    done.says("Completed 1 item: 1 done");
}

#[tokio::test]
async fn it_goes_to_the_file_that_is_named() {
    let world = handing_out(&[plain("a\n")]);
    let done = call(&world, ["--output", "list.txt"]).run().await.exits(0);
    assert_eq!(std::fs::read_to_string(world.project().join("list.txt")).expect("a file"), "a\n");
    assert_eq!(done.stdout, "");
    done.says("Completed 1 item");
}

#[tokio::test]
async fn the_json_report_has_all_of_them_in_the_order_of_the_items() {
    let world = handing_out(&[
        plain("a\u{1b}[2J"),
        plain("b"),
        json!({"name": "x.json", "media_type": "application/json", "text": "{}"}),
    ]);
    let report = call(&world, ["--format", "json"]).run().await.exits(0).report();
    let documents = report.list("documents");
    let texts: Vec<&str> = documents.iter().filter_map(|one| one["text"].as_str()).collect();
    assert_eq!(texts, ["a\u{1b}[2J", "b", "{}"]);
    assert_eq!(documents[2]["item"], "i3");
    assert_eq!(documents[2]["media_type"], "application/json");
}

#[tokio::test]
async fn markdown_shows_what_is_plain() {
    let world = handing_out(&[plain("a  1\n```")]);
    let done = call(&world, ["--format", "markdown"]).run().await.exits(0);
    assert!(done.stdout.contains("````\na  1\n```\n````"), "{}", done.stdout);
}

#[tokio::test]
async fn sarif_says_that_it_has_no_place_for_them() {
    let world = handing_out(&[plain("a")]);
    let done = call(&world, ["--format", "sarif"]).run().await.exits(0);
    assert_eq!(done.json()["version"], "2.1.0");
    done.says("SARIF has no place for the documents");
}

#[tokio::test]
async fn what_is_cached_is_handed_out_again() {
    let world = handing_out(&[plain("a")]);
    call(&world, []).run().await.exits(0);
    let done = call(&world, []).run().await.exits(0);
    assert_eq!(done.stdout, "a\n");
    done.says("1 cached");
}

#[tokio::test]
async fn a_run_that_goes_on_hands_out_what_was_done_before() {
    let world = World::new();
    let items = json!({"items": [{"id": "well", "documents": [plain("a")]}, {"id": "ill", "fail": "it was told to"}]});
    world.write("items.json", items.to_string());
    let done = call(&world, []).run().await.exits(3);
    assert_eq!(done.stdout, "a\n", "a loss elsewhere does not take it back");
    let done = world.convoke(["retry", "last", "--failed"]).run().await.exits(3);
    assert_eq!(done.stdout, "a\n");
}

#[tokio::test]
async fn an_item_that_hands_out_too_much_fails() {
    let large =
        json!({"name": "l.txt", "media_type": "text/plain", "text": "0123456789abcde\n", "times": (1 << 20) + 1});
    let world = handing_out(&[large, plain("small")]);
    let done = call(&world, []).run().await.exits(3);
    assert_eq!(done.stdout, "small\n");
    done.says("the documents of an item have more than 16 MiB");
}

#[tokio::test]
async fn a_run_that_hands_out_too_much_says_what_it_leaves_out() {
    let half =
        |name: &str| json!({"name": name, "media_type": "text/plain", "text": "0123456789abcde\n", "times": 600_000});
    let world = handing_out(&[half("one.txt"), half("two.txt")]);
    let done = call(&world, []).run().await.exits(3);
    assert_eq!(done.stdout.len(), 600_000 * 16);
    done.says("two.txt of i2 is left out");
}

#[tokio::test]
async fn what_is_no_document_fails_its_item() {
    for (name, media_type, why) in [("../x", "text/plain", "has the name"), ("x", "text", "media type")] {
        let world = handing_out(&[json!({"name": name, "media_type": media_type, "text": "a"})]);
        let done = call(&world, []).run().await.exits(4);
        assert!(!done.stdout.starts_with("a\n"), "{}", done.stdout);
        assert!(done.stdout.contains(why), "{}", done.stdout);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_terminal_gets_it_without_what_acts_on_one() {
    let world = handing_out(&[plain("before\u{1b}[2J\u{202e}after")]);
    let number = world.path("number");
    let done: Done = call(&world, []).on_a_terminal(&number).run().await.exits(0);
    assert!(done.stdout.contains("before<U+202E>after"), "{:?}", done.stdout);
    assert!(!done.stdout.contains('\u{202e}') && !done.stdout.contains("\u{1b}[2J"), "{:?}", done.stdout);
}

#[tokio::test]
async fn several_commands_hand_out_one_after_the_other() {
    let world = handing_out(&[plain("a")]);
    let other = json!({"items": [{"id": "other", "documents": [plain("b")]}]});
    world.write("other.json", other.to_string());
    let second = format!("{} other.json", editing());
    let done = world.convoke(["run", editing(), &second]).run().await.exits(0);
    assert_eq!(done.stdout, "a\nb\n");
}
