//! `agent-audit` on real folders: what it finds, and what it does not do twice.

use std::path::PathBuf;

use crate::support::{Report, World, agent, agent_path};

/// `path:line rule` of all findings that are not suppressed, in the order of the paths.
fn places(report: &Report) -> Vec<String> {
    let open = report.list("findings").iter().filter(|finding| finding["suppressed"].is_null());
    let mut places: Vec<String> = open
        .map(|finding| {
            let (path, rule) = (finding["path"].as_str().expect("a path"), finding["rule"].as_str().expect("a rule"));
            format!("{path}:{} {rule}", finding["line"])
        })
        .collect();
    places.sort();
    places
}

const EXAMPLE: &str = "
    .claude/agents/dev/api-builder.md:2 name-duplicate
    .claude/agents/dev/helper.md:1 tools-inherited
    .claude/agents/dev/helper.md:7 body-short
    .claude/agents/dev/page-builder.md:2 name-duplicate
    .claude/agents/dev/page-builder.md:2 name-not-file-name
    .claude/agents/dev/query-tuner.md:3 description-no-trigger
    .claude/agents/dev/query-tuner.md:5 model-unknown
    .claude/agents/docs/glossary.md:2 name-not-kebab-case
    .claude/agents/ops/deployer.md:6 permissions-bypassed
    .claude/agents/ops/incident-scribe.md:11 link-broken
    .claude/agents/ops/incident-scribe.md:15 agent-unknown
    .claude/agents/ops/release-notes.md:3 front-matter-broken
    .claude/agents/quality/security-auditor.md:4 tools-writing-reader
    .claude/agents/quality/test-author.md:7 near-duplicate
    .claude/agents/quality/test-writer.md:7 near-duplicate
    .claude/agents/scratch.md:1 front-matter-missing
    plugins/billing/agents/invoice-checker.md:4 tool-unknown
";

#[tokio::test]
async fn the_example_shows_what_its_readme_says() {
    let report = World::with_example().audit([]).run().await.exits(0).report();
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 16"));
    let expected: Vec<&str> = EXAMPLE.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(places(&report), expected);
    assert_eq!(report.json["run"]["backend"], "offline");
    assert_eq!(report.json["usage"]["requests"], 0);
}

#[tokio::test]
async fn only_what_is_typed_is_audited_and_what_is_around_is_known() {
    let world = World::with_example();
    let report = world.audit([".claude/agents/ops"]).run().await.report();
    assert_eq!(report.count("items"), 3);
    let one = world.audit([".claude/agents/ops/deployer.md"]).run().await.report();
    assert_eq!(places(&one), [".claude/agents/ops/deployer.md:6 permissions-bypassed"]);
    // From a folder inside, the project is the same, and paths are typed from there.
    std::fs::create_dir(world.project().join(".git")).expect("a folder");
    let inside = world.audit(["deployer.md"]).within(world.project().join(".claude/agents/ops")).run().await.report();
    assert_eq!(places(&inside), places(&one));
}

#[tokio::test]
async fn a_folder_outside_of_the_project_can_be_typed() {
    let world = World::with_agents(1);
    let other = World::with_example();
    let folder = other.project();
    let report = world.audit([folder.to_str().expect("UTF-8")]).run().await.report();
    assert_eq!((report.count("items"), report.count("done")), (16, 16));
}

/// 158 published agents, where this machine has them.
fn corpus() -> Option<String> {
    let folder = std::env::var_os("CONVOKE_CORPUS").filter(|folder| !folder.is_empty());
    let Some(folder) = folder else {
        // Past the harness, which keeps to itself what a passing test prints.
        let said = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"SKIPPED: set CONVOKE_CORPUS to the folder of real input to audit the published agents in it\n",
        );
        said.expect("stderr");
        return None;
    };
    let agents = PathBuf::from(folder).join("agents-voltagent");
    Some(agents.to_str().expect("UTF-8").to_owned())
}

#[tokio::test]
async fn published_agents_are_audited_by_eight_workers_and_then_not_again() {
    let Some(folder) = corpus() else { return };
    let world = World::new();
    let first = world.audit([folder.as_str()]).run().await.exits(0).report();
    assert_eq!((first.status(), first.census().as_str()), ("completed", "done 158"));
    assert_eq!((first.list("groups").len(), first.list("workers").len()), (10, 8));
    let again = world.audit([folder.as_str()]).run().await.exits(0).report();
    assert_eq!((again.census().as_str(), again.list("workers").len()), ("cached 158", 0));
    assert_eq!(again.json["findings"], first.json["findings"]);
    assert_eq!(again.json["metrics"], first.json["metrics"]);
}

#[tokio::test]
async fn what_is_done_is_not_done_again() {
    let world = World::with_example();
    let first = world.audit([]).run().await.report();
    let again = world.audit([]).run().await.report();
    assert_eq!((first.census().as_str(), again.census().as_str()), ("done 16", "cached 16"));
    for part in ["findings", "metrics", "edits", "notes"] {
        assert_eq!(again.json[part], first.json[part], "{part}");
    }
    let fresh = world.audit(["--fresh"]).run().await.report();
    assert_eq!(fresh.census(), "done 16");
}

#[tokio::test]
async fn a_changed_file_is_done_again_and_only_that() {
    let world = World::with_agents(12);
    assert_eq!(world.audit([]).run().await.report().census(), "done 12");
    world.write(&agent_path(5), agent(5).replace("You do task 5", "You carefully do task 5"));
    assert_eq!(world.audit([]).run().await.report().census(), "done 1, cached 11");
    // Back to what it was: that result still stands.
    world.write(&agent_path(5), agent(5));
    assert_eq!(world.audit([]).run().await.report().census(), "cached 12");
}

#[tokio::test]
async fn a_new_and_a_removed_file_change_only_themselves() {
    let world = World::with_agents(6);
    assert_eq!(world.audit([]).run().await.report().census(), "done 6");
    world.write(&agent_path(7), agent(7));
    assert_eq!(world.audit([]).run().await.report().census(), "done 1, cached 6");
    std::fs::remove_file(world.project().join(agent_path(2))).expect("removed");
    assert_eq!(world.audit([]).run().await.report().census(), "cached 6");
}

#[tokio::test]
async fn a_link_that_is_mended_is_looked_up_again() {
    let world = World::with_agents(2);
    world.write(
        "agents/linker.md",
        agent(9).replace("agent-9", "linker").replace("You do", "See [it](../docs/it.md). You do"),
    );
    assert_eq!(places(&world.audit([]).run().await.report()).len(), 1);
    world.write("docs/it.md", "# It");
    let mended = world.audit([]).run().await.report();
    assert_eq!((mended.census().as_str(), places(&mended).len()), ("done 1, cached 2", 0));
}

#[tokio::test]
async fn other_arguments_are_other_work() {
    let world = World::with_agents(3);
    assert_eq!(world.audit([]).run().await.report().census(), "done 3");
    assert_eq!(world.audit(["--no-near"]).run().await.report().census(), "done 3");
    assert_eq!(world.audit([]).run().await.report().census(), "cached 3");
}

#[tokio::test]
async fn another_project_has_its_own_results() {
    let (one, other) = (World::with_agents(3), World::with_agents(3));
    assert_eq!(one.audit([]).run().await.report().census(), "done 3");
    let shared = other.audit([]).env("CONVOKE_DATA_DIR", one.path("data")).run().await.report();
    assert_eq!(shared.census(), "done 3");
}

fn git(world: &World, arguments: &[&str]) {
    let done = std::process::Command::new("git")
        .args([
            "-c",
            "user.name=T",
            "-c",
            "user.email=t@localhost",
            "-c",
            "commit.gpgsign=false",
            "-c",
            "core.hooksPath=/dev/null",
        ])
        .args(arguments)
        .current_dir(world.project())
        .env("GIT_CONFIG_GLOBAL", world.path("home/none"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .expect("git");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test]
async fn since_a_revision_only_what_has_changed_is_audited() {
    let world = World::with_agents(8);
    git(&world, &["init", "--quiet"]);
    git(&world, &["add", "--all"]);
    git(&world, &["commit", "--quiet", "--message", "first"]);
    world.write(&agent_path(3), agent(3).replace("You do task 3", "Carefully do task 3"));
    world.write(&agent_path(9), agent(9));
    let report = world.audit(["--since", "HEAD"]).run().await.report();
    let mut audited: Vec<&str> = report.list("groups").iter().filter_map(|group| group["name"].as_str()).collect();
    audited.sort_unstable();
    assert_eq!((report.census().as_str(), audited), ("done 2", vec!["team1", "team3"]));
    assert!(report.list("notes").iter().any(|note| note["text"] == "2 of 9 items have changed since HEAD"));
    world.convoke(["agent-audit", "--since", "nonsense"]).run().await.exits(2).says("nonsense");
    world.convoke(["agent-audit", "--since=--output=x"]).run().await.exits(2).says("is not a revision");
}

#[tokio::test]
async fn without_a_repository_nothing_can_be_known_since() {
    let world = World::with_agents(1);
    world.convoke(["agent-audit", "--since", "HEAD"]).run().await.exits(2).reports_nothing().says("git can't tell");
}
