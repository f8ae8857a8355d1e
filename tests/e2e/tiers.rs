//! Tiers: which one a question goes to, what it may do there, and two of them compared.

use convoke_standin::{Fault, Standin, When};
use serde_json::Value;

use crate::support::{Report, World, asking, faulty, hostile, quick};

async fn asked(world: &World, standin: &Standin, arguments: &[&str]) -> Report {
    world.audit(arguments.iter().copied()).asking(standin).run().await.report()
}

/// How often each model was asked.
fn models(standin: &Standin) -> (usize, usize) {
    let count = |name: &str| standin.requests().iter().filter(|request| request.body["model"] == name).count();
    (count("claude-haiku-5-5"), count("claude-opus-5-5"))
}

#[tokio::test]
async fn the_users_tier_goes_before_the_rule_and_is_another_result() {
    let (world, standin) = (World::with_agents(3), quick().await);
    assert_eq!(asked(&world, &standin, &[]).await.census(), "done 3");
    assert_eq!(models(&standin), (3, 0));
    assert_eq!(asked(&world, &standin, &["--tier", "comprehensive"]).await.census(), "done 3");
    assert_eq!(models(&standin), (3, 3));
    let by_env = world.audit([]).asking(&standin).env("CONVOKE_TIER", "comprehensive").run().await.report();
    assert_eq!(by_env.census(), "cached 3");
    world.audit(["--tier", "large"]).run().await.exits(2).says("speed, comprehensive");
}

#[tokio::test]
async fn a_tier_of_config_toml_has_its_model_instructions_and_length() {
    let config = "[tiers]\nauto = \"comprehensive\"\n[tiers.comprehensive]\nmodel = \"claude-sonnet-5-5\"\n\
                  instructions = \"Mind the gap.\"\nclaude_md = \"minimal\"\n";
    let (world, standin) = (World::with_agents(1).config(config), quick().await);
    world.write("CLAUDE.md", "Our house uses tabs.");
    assert_eq!(asked(&world, &standin, &[]).await.census(), "done 1");
    let request = standin.requests().pop().expect("a request");
    let system = request.body["system"].to_string();
    assert_eq!(request.body["model"], "claude-sonnet-5-5");
    assert!(system.contains("Mind the gap.") && system.contains("Our house uses tabs."), "{system}");
    world.write("CLAUDE.md", "Our house uses blanks.");
    assert_eq!(asked(&world, &standin, &[]).await.census(), "done 1", "told otherwise, it is another result");
}

#[tokio::test]
async fn a_project_can_not_set_tiers() {
    let (world, standin) = (World::with_agents(1), quick().await);
    world.write("convoke.toml", "[tiers.speed]\nmodel = \"claude-opus-5-5\"\ntools = [\"Bash\"]\n");
    let report = asked(&world, &standin, &[]).await;
    assert!(report.warnings().contains("a project can only tighten, so its [tiers] is not used"), "{report:?}");
    assert_eq!(models(&standin), (1, 0));
}

#[tokio::test]
async fn a_tool_that_nobody_granted_is_denied_with_a_hint() {
    let (world, standin) = (World::new(), quick().await);
    world.convoke(["grants", "add", asking(), "--all"]).run().await.exits(0);
    let call = world.convoke([asking(), "--format", "json", "tool:Read"]).asking(&standin);
    let report = call.run().await.report();
    let said = report.messages("1").join(" ");
    assert!(said.contains("`Read`") && said.contains("[tiers.comprehensive]"), "{said}");
    let call = world.convoke([hostile(), "--format", "json", "ask-tools:what is there?"]).asking(&standin);
    let report = call.run().await.report();
    let (reason, _) = report.failure("1-ask-tools");
    assert!(reason.contains("`Bash`") && reason.contains("does not ask for that tool in its manifest"), "{reason}");
    assert_eq!(standin.stats().requests, 0);
    let rehearsed = world.convoke([hostile(), "--dry-run", "--show-prompts", "ask-tools:what is there?"]);
    let rehearsed = rehearsed.run().await.exits(0);
    for words in ["[tier] comprehensive: it needs tools", "[denied] the question needs the tool `Bash`", "[tools] Bash"]
    {
        assert!(rehearsed.stdout.contains(words), "{words}: {}", rehearsed.stdout);
    }
}

#[tokio::test]
async fn a_rehearsal_shows_the_tier_and_its_reason() {
    let world = World::with_agents(1);
    let done = world.convoke(["agent-audit", "--dry-run", "--show-prompts"]).run().await.exits(0);
    assert!(done.stdout.contains("[tier] speed: it is simple"), "{}", done.stdout);
    let arguments = ["--dry-run", "--show-prompts", "--tier", "comprehensive"];
    let json = world.audit(arguments).run().await.exits(0).json();
    assert_eq!(json["prompts"][0]["tier"], "comprehensive");
    assert_eq!(json["prompts"][0]["tier_reason"], "chosen by the user");
}

#[tokio::test]
async fn an_ab_test_splits_by_content_and_shows_both_side_by_side() {
    let (world, standin) = (World::with_agents(40), quick().await);
    let report = asked(&world, &standin, &["--ab", "speed,comprehensive=30%"]).await;
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 40"));
    let (speed, large) = models(&standin);
    assert_eq!(speed + large, 40);
    assert!((4..=20).contains(&large), "{large}");
    let arms = report.json["comparison"]["arms"].as_array().expect("two arms");
    let row = |arm: &Value, name: &str| arm[name].as_u64().expect("a count");
    assert_eq!((arms[0]["tier"].as_str(), arms[1]["tier"].as_str()), (Some("speed"), Some("comprehensive")));
    assert_eq!((row(&arms[0], "done"), row(&arms[1], "done")), (speed as u64, large as u64));
    let found: u64 = arms.iter().map(|arm| row(arm, "findings")).sum();
    assert_eq!(found + row(&report.json["comparison"], "findings_of_neither"), report.list("findings").len() as u64);
    assert!(arms.iter().all(|arm| arm["usd"].as_f64() > Some(0.0) && arm["median_ms"].is_u64()), "{arms:?}");
    // The same again is cached; the same without what was done goes the same way.
    assert_eq!(asked(&world, &standin, &["--ab", "speed,comprehensive=30%"]).await.census(), "cached 40");
    let human = world.convoke(["agent-audit", "--ab", "speed,comprehensive=30%", "--fresh"]).asking(&standin);
    let human = human.run().await.exits(0);
    assert!(human.stdout.contains("Comparison\n") && human.stdout.contains("comprehensive 30%"), "{}", human.stdout);
    assert_eq!(models(&standin), (2 * speed, 2 * large));
    assert!(asked(&world, &standin, &[]).await.json["comparison"].is_null());
}

#[tokio::test]
async fn what_the_other_tier_answered_counts_for_the_arm_that_it_was_meant_for() {
    let standin = faulty([(When::nth(1), Fault::Overloaded), (When::nth(2), Fault::Overloaded)]).await;
    let world = World::with_agents(6);
    let report = asked(&world, &standin, &["--ab", "speed,comprehensive=99%", "--instances", "1"]).await;
    assert_eq!((report.census().as_str(), models(&standin)), ("done 6", (1, 7)));
    let large = &report.json["comparison"]["arms"][1];
    assert_eq!((large["done"].as_u64(), large["other_tier"].as_u64()), (Some(6), Some(1)), "{large}");
    let words = "1 question meant for the tier comprehensive went to another";
    assert!(report.warnings().contains(words), "{}", report.warnings());
}

#[tokio::test]
async fn an_ab_test_that_can_not_be_understood_is_told() {
    let world = World::with_agents(1);
    for (ab, words) in [
        ("speed,comprehensive", "share is missing"),
        ("speed,speed=20%", "not the same twice"),
        ("speed,large=20%", "large is none of speed, comprehensive"),
        ("speed,comprehensive=120%", "0.01% to 99.99%"),
    ] {
        world.audit(["--ab", ab]).run().await.exits(2).reports_nothing().says(words);
    }
    world.audit(["--ab", "speed,comprehensive=20%", "--model", "x"]).run().await.exits(2).says("--model");
    world.audit(["--ab", "speed,comprehensive=20%", "--tier", "speed"]).run().await.exits(2).says("--tier");
}
