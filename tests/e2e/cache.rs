//! The answers of earlier runs: what is not paid for twice, and what never stands in the way.

use convoke_standin::{Fault, Standin, When};

use crate::support::{Report, World, faulty, holds, quick};

/// Audits with nothing left of what the journal held: only the kept answers are.
async fn anew(world: &World, standin: &Standin, arguments: &[&str]) -> Report {
    for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        let _ = std::fs::remove_file(world.path("data").join(name));
    }
    world.audit(arguments.iter().copied()).asking(standin).run().await.report()
}

#[tokio::test]
async fn the_same_questions_are_paid_for_once_unless_asked_otherwise() {
    let (world, standin) = (World::with_agents(6), quick().await);
    let sent = |expected: u64| assert_eq!(standin.stats().requests, expected);
    let first = anew(&world, &standin, &[]).await;
    sent(6);
    let again = anew(&world, &standin, &[]).await;
    sent(6);
    assert_eq!((again.status(), again.census().as_str()), ("completed", "done 6"));
    assert_eq!((&again.json["usage"]["requests"], &again.json["usage"]["usd"]), (&0.into(), &0.0.into()));
    assert_eq!(again.json["findings"], first.json["findings"]);
    assert_eq!(again.warnings(), "");
    anew(&world, &standin, &["--no-cache"]).await;
    sent(12);
    anew(&world, &standin, &["--refresh"]).await;
    sent(18);
    anew(&world, &standin, &["--fresh"]).await;
    sent(24);
    anew(&world, &standin, &[]).await;
    sent(24);
    anew(&world, &standin, &["--model", "claude-opus-5-5"]).await;
    sent(30);
    world.audit(["--no-cache", "--refresh"]).run().await.exits(2);
}

#[tokio::test]
async fn without_the_cache_nothing_is_kept() {
    let (world, standin) = (World::with_agents(3), quick().await);
    anew(&world, &standin, &["--no-cache"]).await;
    assert!(!world.path("cache/responses.db").exists() && !world.path("data/responses.key").exists());
    let world = world.config("[cache]\nresponses = false\n");
    anew(&world, &standin, &[]).await;
    assert!(!world.path("cache/responses.db").exists());
    assert_eq!(world.audit([]).run().await.report().census(), "done 3", "offline nothing is kept either");
    assert!(!world.path("cache/responses.db").exists());
    assert_eq!(standin.stats().requests, 6);
}

#[tokio::test]
async fn another_place_that_speaks_the_protocol_is_asked_itself() {
    let (world, one, other) = (World::with_agents(3), quick().await, quick().await);
    anew(&world, &one, &[]).await;
    anew(&world, &other, &[]).await;
    assert_eq!((one.stats().requests, other.stats().requests), (3, 3));
}

#[tokio::test]
async fn what_fell_back_is_asked_again() {
    let world = World::with_agents(3);
    let standin = faulty([(When::contains("agent-2"), Fault::Refusal)]).await;
    assert_eq!(anew(&world, &standin, &[]).await.census(), "done 2, fallback 1");
    standin.set_faults(Vec::new());
    assert_eq!(anew(&world, &standin, &[]).await.census(), "done 3");
    assert_eq!(standin.stats().requests, 4);
}

#[tokio::test]
async fn the_files_hold_neither_question_nor_answer_and_are_the_users_only() {
    use std::os::unix::fs::PermissionsExt;
    let (world, standin) = (World::with_agents(2), quick().await);
    standin.answer(
        "agent-1",
        r#"{"findings":[{"rule":"trigger-unclear","severity":"low","message":"answered-canary","line":3}]}"#,
    );
    let report = anew(&world, &standin, &[]).await;
    assert!(report.done.stdout.contains("answered-canary"), "the canary is really in an answer");
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(world.path("cache")).expect("a folder").map(|entry| entry.expect("an entry")) {
        if entry.file_name().to_string_lossy().starts_with("responses") {
            bytes.extend(std::fs::read(entry.path()).expect("readable"));
        }
    }
    assert!(bytes.len() > 1_000);
    for text in ["answered-canary", "trigger-unclear", "agent-1", "You do task", "claude-haiku"] {
        assert!(!holds(&bytes, text), "{text}");
    }
    for file in ["cache/responses.db", "data/responses.key"] {
        let mode = std::fs::metadata(world.path(file)).expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}");
    }
}

#[tokio::test]
async fn whatever_is_wrong_with_it_is_one_warning_and_all_is_asked() {
    use std::os::unix::fs::PermissionsExt;
    let (world, standin) = (World::with_agents(3), quick().await);
    let key = world.path("data/responses.key");
    let mut expected = 3;
    anew(&world, &standin, &[]).await;
    let mut broken = async |words: &str| {
        expected += 3;
        let report = anew(&world, &standin, &[]).await;
        assert_eq!((report.status(), report.census().as_str()), ("completed", "done 3"), "{words}");
        assert_eq!(standin.stats().requests, expected, "{words}");
        assert_eq!(report.list("warnings").len(), 1, "{}", report.warnings());
        assert!(report.warnings().contains(words), "{}", report.warnings());
    };
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("changed");
    broken("chmod 600").await;
    std::fs::remove_file(&key).expect("removed");
    broken("another key").await;
    std::fs::write(world.path("cache/responses.db"), "no database at all, whatever its name".repeat(99))
        .expect("written");
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(world.path(&format!("cache/responses.db{end}")));
    }
    broken("cache clear").await;
    world.convoke(["cache", "clear"]).run().await.exits(0);
    assert_eq!(anew(&world, &standin, &[]).await.warnings(), "");
    assert_eq!(anew(&world, &standin, &[]).await.json["usage"]["requests"], 0);
}

#[tokio::test]
async fn two_runs_may_use_it_at_once() {
    let (world, standin) = (World::with_agents(8), quick().await);
    let (one, other) = tokio::join!(anew(&world, &standin, &[]), anew(&world, &standin, &[]));
    assert_eq!((one.warnings() + &other.warnings()).as_str(), "");
    let before = standin.stats().requests;
    anew(&world, &standin, &[]).await;
    assert_eq!(standin.stats().requests, before);
}

#[tokio::test]
async fn it_can_be_looked_at_and_cleared() {
    let (world, standin) = (World::with_agents(4), quick().await);
    let info = async || world.convoke(["cache", "info", "--format", "json"]).run().await.exits(0).json();
    let none = info().await;
    assert_eq!((&none["answers"], &none["enabled"], &none["max_age_days"]), (&0.into(), &true.into(), &30.into()));
    anew(&world, &standin, &[]).await;
    let some = info().await;
    assert_eq!(some["answers"], 4);
    assert!(some["bytes"].as_u64().is_some_and(|bytes| bytes > 0) && some["oldest"].is_string(), "{some}");
    let text = world.convoke(["cache", "info"]).run().await.exits(0).stdout;
    assert!(text.contains("responses.db") && text.contains("Answers  4") && text.contains("256 MiB"), "{text}");
    world.convoke(["cache", "clear"]).run().await.exits(0);
    assert_eq!(info().await["answers"], 0);
    anew(&world, &standin, &[]).await;
    assert_eq!(standin.stats().requests, 8);
    world.convoke(["cache"]).run().await.exits(2);
}

#[tokio::test]
async fn a_project_has_no_say_in_what_is_kept() {
    let world = World::with_agents(1);
    world.write("convoke.toml", "[cache]\nresponses = true\n");
    world.audit([]).run().await.exits(2).says("config.toml");
}
