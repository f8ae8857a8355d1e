//! What a report looks like in each form, and which findings are in it.

use serde_json::Value;

use crate::support::{World, agent, agent_path};

/// Two findings: a model that is not known, and every tool.
fn flawed() -> World {
    let world = World::with_agents(1);
    world.write(
        "agents/flawed.md",
        agent(9).replace("agent-9", "flawed").replace("tools: Read, Grep\nmodel: sonnet", "model: gpt"),
    );
    world
}

#[tokio::test]
async fn only_the_report_is_on_standard_output() {
    let world = World::with_example();
    for format in ["human", "json", "markdown", "sarif"] {
        let done = world.convoke(["agent-audit", "--format", format]).run().await.exits(0);
        assert!(!done.stdout.contains("No key was found"), "{format}");
        assert!(done.stderr.contains("No key was found"), "{format}: {}", done.stderr);
        assert!(!done.stdout.contains('\u{1b}') && !done.stderr.contains('\u{1b}'), "{format}");
    }
}

#[tokio::test]
async fn sarif_has_a_result_for_each_finding() {
    let world = World::with_example();
    let report = world.audit([]).run().await.report();
    let sarif = world.convoke(["agent-audit", "--format", "sarif"]).run().await.exits(0).json();
    assert_eq!(sarif["version"], "2.1.0");
    let results = sarif["runs"][0]["results"].as_array().expect("results");
    assert_eq!(results.len(), report.list("findings").len());
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().expect("rules");
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().expect("an index")).expect("an index");
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["region"]["startLine"].as_u64().is_some_and(|line| line > 0), "{result}");
        assert!(place["artifactLocation"]["uri"].is_string(), "{result}");
    }
}

#[tokio::test]
async fn markdown_names_each_finding_and_the_census() {
    let world = World::with_example();
    let report = world.audit([]).run().await.report();
    let text = world.convoke(["agent-audit", "--format", "markdown"]).run().await.exits(0).stdout;
    assert!(text.contains("16 items"), "{text}");
    for finding in report.list("findings") {
        let rule = finding["rule"].as_str().expect("a rule");
        assert!(text.contains(&format!("`{rule}`")), "{rule}: {text}");
    }
}

#[tokio::test]
async fn colours_are_for_terminals_and_for_those_who_want_them() {
    let world = World::with_example();
    let colored = |done: crate::support::Done| done.exits(0).stdout.contains("\u{1b}[");
    assert!(!colored(world.convoke(["agent-audit"]).run().await));
    assert!(colored(world.convoke(["agent-audit", "--color", "always"]).run().await));
    assert!(colored(world.convoke(["agent-audit"]).env("CLICOLOR_FORCE", "1").run().await));
    assert!(!colored(world.convoke(["agent-audit"]).env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1").run().await));
    assert!(colored(world.convoke(["agent-audit", "--color", "always"]).env("NO_COLOR", "1").run().await));
    assert!(!colored(world.convoke(["agent-audit", "--color", "always", "--format", "json"]).run().await));
}

#[tokio::test]
async fn a_terminal_without_unicode_gets_ascii() {
    let world = World::with_example();
    let done = world.convoke(["agent-audit"]).env("LANG", "C").env("LC_ALL", "C").run().await.exits(0);
    let other: String = done.stdout.chars().filter(|character| !character.is_ascii()).collect();
    assert_eq!(other, "", "{}", done.stdout);
}

#[tokio::test]
async fn a_report_can_be_written_to_a_file() {
    let world = World::with_example();
    let done = world.audit(["--output", "report.json"]).run().await.exits(0);
    assert_eq!(done.stdout, "");
    let text = std::fs::read_to_string(world.project().join("report.json")).expect("a report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["census"]["items"], 16);
    world.audit(["--output", "none/report.json"]).run().await.exits(2).says("none/report.json");
}

#[tokio::test]
async fn quiet_is_quiet() {
    let world = World::with_example();
    let done = world.convoke(["agent-audit", "-q"]).run().await.exits(0);
    assert_eq!(done.stderr, "");
    assert!(!done.stdout.is_empty());
    world.convoke(["agent-audit", "-q", "-v"]).run().await.exits(2);
}

#[tokio::test]
async fn findings_make_the_exit_code_only_where_asked() {
    let world = flawed();
    assert_eq!(
        world.audit([]).run().await.report().findings(),
        ["model-unknown agents/flawed.md", "tools-inherited agents/flawed.md"]
    );
    for (severity, code) in [("never", 0), ("critical", 0), ("info", 1), ("low", 1)] {
        world.audit(["--fail-on", severity]).run().await.exits(code).report();
    }
    let world = flawed().config("fail_on = \"info\"\n");
    world.audit([]).run().await.exits(1).report();
    world.convoke(["agent-audit", "--fail-on", "awful"]).run().await.exits(2).says("awful");
}

#[tokio::test]
async fn a_comment_suppresses_with_a_reason_and_until_a_day() {
    let world = flawed();
    let text = |comment: &str| {
        agent(9)
            .replace("agent-9", "flawed")
            .replace("tools: Read, Grep\nmodel: sonnet", &format!("{comment}\nmodel: gpt"))
    };
    world.write("agents/flawed.md", text("# convoke: allow(model-unknown) reason=\"it is new\""));
    let report = world.audit([]).run().await.report();
    assert_eq!(report.findings(), ["tools-inherited agents/flawed.md"]);
    assert_eq!(
        (report.json["suppressed"]["total"].as_u64(), report.json["suppressed"]["comment"].as_u64()),
        (Some(1), Some(1))
    );

    world.write("agents/flawed.md", text("# convoke: allow(model-unknown) reason=\"it is new\" until=2020-01-01"));
    let expired = world.audit([]).run().await.report();
    assert_eq!(expired.findings().iter().filter(|found| found.starts_with("model-unknown")).count(), 1);

    world.write("agents/flawed.md", text("# convoke: allow(model-unknown)"));
    let unreasoned = world.audit([]).run().await.report();
    assert_eq!(unreasoned.findings().iter().filter(|found| found.starts_with("model-unknown")).count(), 1);
    assert!(format!("{}{}", unreasoned.warnings(), unreasoned.json["findings"]).contains("reason"));

    // Who does not trust the files switches comments off.
    let strict = flawed().config("suppress_comments = false\n");
    strict.write("agents/flawed.md", text("# convoke: allow(model-unknown) reason=\"it is new\""));
    assert_eq!(strict.audit([]).run().await.report().json["suppressed"]["total"], 0);
}

#[tokio::test]
async fn the_projects_file_suppresses_and_overrides() {
    let world = flawed();
    world.write(
        "convoke.toml",
        "[severity]\ntools-inherited = \"off\"\nmodel-unknown = \"critical\"\n\n[[suppress]]\nrule = \"*\"\npath = \"legacy/**\"\nreason = \"they are old\"\n",
    );
    let report = world.audit([]).run().await.report();
    assert_eq!(report.findings(), ["model-unknown agents/flawed.md"]);
    assert_eq!(report.list("findings")[0]["severity"], "critical");
    assert_eq!(report.json["suppressed"]["severity"], 1);

    world.write(
        "convoke.toml",
        "[[suppress]]\nrule = \"*\"\npath = \"agents/**\"\nreason = \"they are old\"\nuntil = 2999-01-01\n",
    );
    let report = world.audit(["--fail-on", "info"]).run().await.exits(0).report();
    assert_eq!((report.findings().len(), report.json["suppressed"]["config"].as_u64()), (0, Some(2)));

    world.write("convoke.toml", "[[suppress]]\nrule = \"*\"\nreason = \"they are old\"\nuntil = 2020-01-01\n");
    let report = world.audit([]).run().await.report();
    assert_eq!(report.findings().iter().filter(|found| found.contains("flawed")).count(), 2);
}

#[tokio::test]
async fn a_baseline_leaves_what_is_new() {
    let world = flawed();
    world.audit(["--write-baseline", "known.json"]).run().await.exits(0).report();
    let known = world.audit(["--baseline", "known.json", "--fail-on", "info"]).run().await.exits(0).report();
    assert_eq!((known.findings().len(), known.json["suppressed"]["baseline"].as_u64()), (0, Some(2)));

    world.write("agents/newer.md", agent(10).replace("agent-10", "newer").replace("model: sonnet", "model: gpt"));
    // A line more above it does not make an old finding new.
    let moved =
        agent(9).replace("agent-9", "flawed").replace("tools: Read, Grep\nmodel: sonnet", "color: red\nmodel: gpt");
    world.write("agents/flawed.md", moved);
    let more = world.audit(["--baseline", "known.json", "--fail-on", "info"]).run().await.exits(1).report();
    assert_eq!(more.findings(), ["model-unknown agents/newer.md"]);

    std::fs::remove_file(world.project().join("agents/flawed.md")).expect("removed");
    let fewer = world.audit(["--baseline", "known.json"]).run().await.report();
    assert_eq!(fewer.json["suppressed"]["baseline_gone"], 2);
}

#[tokio::test]
async fn a_baseline_that_can_not_be_read_is_told() {
    let world = flawed();
    for (text, words) in
        [("{", "can't be read"), ("{\"version\":9,\"command\":\"agent-audit\",\"findings\":[]}", "version 9")]
    {
        world.write("known.json", text);
        world.audit(["--baseline", "known.json"]).run().await.exits(2).reports_nothing().says("known.json").says(words);
    }
    world.write("known.json", "{\"version\":1,\"command\":\"other\",\"findings\":[]}");
    world.audit(["--baseline", "known.json"]).run().await.exits(2).says("is of `other`");
    world.audit(["--baseline", "none.json"]).run().await.exits(2).says("none.json");
}

#[tokio::test]
async fn paths_are_the_same_from_wherever_it_is_started() {
    let world = flawed();
    std::fs::create_dir(world.project().join(".git")).expect("a folder");
    let above = world.audit([]).run().await.report();
    let inside = world.audit([]).within(world.project().join("agents")).run().await.report();
    assert_eq!(above.findings(), inside.findings());
    assert_eq!(inside.census(), "cached 2");
    let named = world.audit(["-C", world.project().to_str().expect("UTF-8")]).within("/").run().await.report();
    assert_eq!(named.census(), "cached 2");
    assert!(agent_path(1).starts_with(".claude"));
}
