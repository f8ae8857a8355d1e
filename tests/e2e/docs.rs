//! `docs` on whole projects: what it finds without a model, what writers propose, and what becomes of that.

use std::fs;

use convoke_standin::{Answers, Config, Scripted, Standin};
use serde_json::{Value, json};

use crate::support::{Call, Report, World, quick, standin};

/// A project with one of each fault, and beside each something that is well.
fn faulty_project() -> World {
    let world = World::new();
    for (path, text) in [
        (
            "README.md",
            "# Tool\n\n\
             ## Contents\n\n\
             - [Install](#install)\n- [Usage](#usage)\n- [Licence](#licence)\n\n\
             ## Install\n\nRun `make install`, never `make instal`.\n\n\
             See [the guide](docs/guide.md), [the other guide](docs/Guide.md), [setup](docs/guide.md#set-up),\n\
             [more](docs/guide.md#setting-up), [issues](../../issues), [a site](https://site.example/gone.md).\n\n\
             ## Usage\n\n\
             ![logo](assets/logo.png) ![old logo](logo.png) <img src=\"assets/gone.png\">\n\n\
             ```sh\nnpm run build\nnpm run biuld\ncargo build --example first\n```\n\n\
             [back](#install) [nowhere](#nowhere) [empty]() [named][guide] [unnamed][nothing]\n\n\
             ## Extra\n\n## Licence\n\nMIT. `src/main.rs` and `src/gone.rs`.\n\n\
             [guide]: docs/guide.md\n",
        ),
        (
            "docs/guide.md",
            "# Guide\n\n## Set up\n\n\
             ```json\n{\"a\": 1}\n```\n\n```json\n{\"a\": 1,}\n```\n\n```json\n{\"a\": ...}\n```\n\n\
             ```toml\na = 1\n```\n\n```toml\na = \n```\n\n```yaml\na: [1, 2]\n```\n\n```yaml\na: [1, 2\nb: }\n```\n\n\
             [up](../README.md#usage) [line](../src/main.rs#L2) [far](../src/main.rs#L90) [moved](first.rs)\n\
             <a href=\"../README.md\">x</a> <a href=\"../READ.md\">y</a>\n",
        ),
        ("CHANGELOG.md", "# 1.0\n\nRemoved `src/gone.rs` and `make instal`. [x](docs/guide.md) [y](docs/gone.md)\n"),
        ("CLAUDE.md", "@docs/guide.md\n\n@docs/missing.md\n\nUse @types/node.\n"),
        ("src/main.rs", "fn main() {}\n// two\n"),
        ("examples/first.rs", "fn main() {}\n"),
        ("assets/logo.png", ""),
        ("Makefile", "install:\n\techo\n"),
        ("package.json", "{\"scripts\": {\"build\": \"x\"}}"),
        ("Cargo.toml", "[package]\nname = \"tool\"\nversion = \"1.0.0\"\n"),
    ] {
        world.write(path, text);
    }
    world
}

const FAULTS: &str = "
    CHANGELOG.md:3 link-broken
    CLAUDE.md:3 import-missing
    README.md:11 script-missing
    README.md:13 link-broken
    README.md:14 anchor-broken
    README.md:18 image-broken
    README.md:18 image-broken
    README.md:22 script-missing
    README.md:26 anchor-broken
    README.md:26 link-empty
    README.md:26 reference-undefined
    README.md:32 path-missing
    README.md:5 contents-missing
    docs/guide.md:10 example-broken
    docs/guide.md:22 example-broken
    docs/guide.md:31 example-broken
    docs/guide.md:34 anchor-broken
    docs/guide.md:34 link-broken
    docs/guide.md:35 link-broken
";

fn check(world: &World, arguments: &[&'static str]) -> Call {
    world.convoke(["docs", "check", "--backend", "offline", "--format", "json"].iter().chain(arguments).copied())
}

fn update(world: &World, arguments: &[&'static str]) -> Call {
    world.convoke(["docs", "update", "--format", "json"].iter().chain(arguments).copied())
}

/// `path:line rule` of all findings, sorted.
fn places(report: &Report) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let place = |found: &Value| format!("{}:{} {}", text(&found["path"]), found["line"], text(&found["rule"]));
    let mut places: Vec<String> = report.list("findings").iter().map(place).collect();
    places.sort();
    places
}

fn read(world: &World, path: &str) -> String {
    fs::read_to_string(world.project().join(path)).expect("a file")
}

/// A stand-in that answers so about documents of these names; about others, that nothing is wrong.
async fn answering(answers: &[(&str, Value)]) -> Standin {
    let about = |path: &str| format!("The document is {path},");
    let script = |contains: String, drifts: Value| Scripted { contains, text: json!({ "drifts": drifts }).to_string() };
    let mut scripted: Vec<Scripted> =
        answers.iter().map(|(path, drifts)| script(about(path), drifts.clone())).collect();
    scripted.push(script("The document is ".to_owned(), json!([])));
    standin(Config { answers: Answers { scripted, ..Answers::default() }, ..Config::default() }).await
}

fn drift(quote: &str, replacement: &str, path: &str, proof: &str) -> Value {
    json!({ "quote": quote, "replacement": replacement, "reason": "The code says so.", "path": path, "line": 1, "proof": proof })
}

#[tokio::test]
async fn each_fault_is_found_and_nothing_else_is_taken_for_one() {
    let world = faulty_project();
    let report = check(&world, &[]).run().await.exits(1).report();
    let expected: Vec<&str> = FAULTS.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(places(&report), expected, "{:#}", report.json["findings"]);
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 4"));
    assert_eq!(report.json["usage"]["requests"], 0);
    // What the user says goes before what the command's author says.
    check(&world, &["--fail-on", "never"]).run().await.exits(0);
    check(&world, &["--fail-on", "high"]).run().await.exits(0);
    check(&world, &["CLAUDE.md", "--fail-on", "medium"]).run().await.exits(1);
    let again = check(&world, &[]).run().await.exits(1).report();
    assert_eq!((again.census().as_str(), places(&again).len()), ("cached 4", expected.len()));
}

#[tokio::test]
async fn what_can_be_mended_in_one_way_is_and_is_well_then() {
    let world = faulty_project();
    let before = read(&world, "README.md");
    let report = check(&world, &["--apply", "--yes"]).run().await.exits(1).report();
    let applied: Vec<&str> = report.list("edits").iter().filter_map(|edit| edit["path"].as_str()).collect();
    assert_eq!(applied, ["README.md", "docs/guide.md"]);
    let after = read(&world, "README.md");
    assert!(after.contains("[the other guide](docs/guide.md)") && after.contains("![old logo](assets/logo.png)"));
    assert!(read(&world, "docs/guide.md").contains("[moved](../examples/first.rs)"));
    let left = check(&world, &[]).run().await.exits(1).report();
    assert!(places(&left).len() < places(&report).len() && left.list("edits").is_empty(), "{:?}", places(&left));
    world.convoke(["rollback", "last", "--yes"]).run().await.exits(0);
    assert_eq!(read(&world, "README.md"), before);
}

#[tokio::test]
async fn well_kept_documents_are_no_findings() {
    let world = World::new();
    world.write("README.md", "# A\n\nSee [b](docs/b.md#c) and `docs/b.md`.\n");
    world.write("docs/b.md", "# B\n\n## C\n");
    let report = check(&world, &[]).run().await.exits(0).report();
    assert_eq!((report.census().as_str(), report.list("findings").len()), ("done 2", 0));
    world.convoke(["docs", "check", "nowhere"]).run().await.exits(2);
    world.convoke(["docs"]).run().await.exits(2);
}

#[tokio::test]
async fn only_a_document_whose_ground_has_changed_is_looked_at_again() {
    let world = World::new();
    world.write("README.md", "# A\n\nSee [b](docs/b.md).\n");
    world.write("docs/b.md", "# B\n");
    world.write("docs/c.md", "# C\n\n`src/x.rs`\n");
    world.write("src/x.rs", "");
    check(&world, &[]).run().await.exits(0);
    fs::rename(world.project().join("docs/b.md"), world.project().join("docs/d.md")).expect("renamed");
    let report = check(&world, &[]).run().await.exits(1).report();
    assert_eq!(
        (report.census().as_str(), places(&report)),
        ("done 2, cached 1", vec!["README.md:3 link-broken".into()])
    );
}

#[tokio::test]
async fn a_writer_proposes_an_edit_that_is_applied_and_taken_back() {
    let world = World::new();
    let text = "# Tool\n\nIt listens on port 8080: see `src/main.rs`.\n";
    world.write("README.md", text);
    world.write("src/main.rs", "const PORT: u16 = 9090;\n");
    let standin =
        answering(&[("README.md", json!([drift("port 8080", "port 9090", "src/main.rs", "PORT: u16 = 9090")]))]).await;
    let proposed = update(&world, &[]).asking(&standin).run().await.exits(0).report();
    assert_eq!((proposed.census().as_str(), places(&proposed)), ("done 1", vec!["README.md:3 drift".into()]));
    let edit = &proposed.list("edits")[0];
    assert_eq!(edit["state"], "proposed");
    assert!(edit["reasons"][0].as_str().is_some_and(|reason| reason.contains("src/main.rs:1")), "{edit}");
    assert_eq!(proposed.list("findings")[0]["source"], "model");
    assert_eq!(read(&world, "README.md"), text);
    update(&world, &["--apply", "--yes"]).asking(&standin).run().await.exits(0);
    assert_eq!(read(&world, "README.md"), text.replace("8080", "9090"));
    assert_eq!(standin.requests().len(), 1, "what is known is not asked again");
    world.convoke(["rollback", "last", "--yes"]).run().await.exits(0);
    assert_eq!(read(&world, "README.md"), text);
}

#[tokio::test]
async fn what_is_not_proved_or_lies_elsewhere_is_told_and_never_applied() {
    let world = World::new();
    let text = "# Tool\n\nOne. `a.txt` Two. Two.\n";
    world.write("README.md", text);
    world.write("a.txt", "the code\n");
    let standin = answering(&[(
        "README.md",
        json!([
            drift("One.", "1.", "../../etc/passwd", "root"),
            drift("One.", "1.", "a.txt", "another code"),
            drift("Two.", "2.", "a.txt", "the code"),
            drift("Three.", "3.", "a.txt", "the code"),
        ]),
    )])
    .await;
    let report = update(&world, &["--apply", "--yes"]).asking(&standin).run().await.exits(0).report();
    assert_eq!((report.list("edits").len(), report.list("findings").len()), (0, 4));
    assert!(places(&report).iter().all(|place| place.ends_with("proposal-unfit")));
    assert_eq!(read(&world, "README.md"), text);
}

#[tokio::test]
async fn of_two_writers_of_one_document_the_second_sees_what_the_first_proposed() {
    let world = World::new();
    let filler = "A line of words that fills the document, and says nothing.\n".repeat(600);
    let text = format!("# Tool\n\nThe port is 8080, in `a.txt`.\n\n{filler}\n# More\n\n`a.txt` {filler}");
    world.write("README.md", &text);
    world.write("a.txt", "port 9090\n");
    let first = drift("The port is 8080", "The port is 9090", "a.txt", "port 9090");
    // The second would change what the first has changed: whichever words it quotes, that is no edit.
    let stale = drift("port is 8080", "port is 7070", "a.txt", "port 9090");
    let same = drift("port is 9090", "port is 7070", "a.txt", "port 9090");
    let own = drift("# More", "# Further", "a.txt", "port 9090");
    let scripted =
        [("1| # Tool", json!([first])), ("| # More", json!([stale, same, own]))].map(|(contains, drifts)| Scripted {
            contains: contains.to_owned(),
            text: json!({ "drifts": drifts }).to_string(),
        });
    let answers = Answers { scripted: scripted.to_vec(), ..Answers::default() };
    let standin = standin(Config { answers, ..Config::default() }).await;
    let report = update(&world, &["--apply", "--yes"]).asking(&standin).run().await.exits(0).report();
    assert_eq!((report.census().as_str(), standin.requests().len()), ("done 2", 2));
    let after = read(&world, "README.md");
    assert!(after.contains("The port is 9090") && after.contains("# Further") && !after.contains("7070"));
    let unfit: Vec<&str> = report
        .list("findings")
        .iter()
        .filter(|found| found["rule"] == "proposal-unfit")
        .filter_map(|found| found["message"].as_str())
        .collect();
    let says = |words: &str| unfit.iter().any(|unfit| unfit.contains(words));
    assert!(unfit.len() == 2 && says("doesn't stand in the document") && says("another edit"), "{unfit:?}");
}

#[tokio::test]
async fn what_somebody_else_has_written_since_is_never_overwritten() {
    let world = World::new();
    world.write("README.md", "# Tool\n\nThe port is 8080: `a.txt`.\n");
    world.write("a.txt", "port 9090\n");
    // Between the look and the apply somebody else has written.
    let standin = answering(&[("README.md", json!([drift("8080", "9090", "a.txt", "port 9090")]))]).await;
    update(&world, &[]).asking(&standin).run().await.exits(0);
    world.write("README.md", "# Tool\n\nThe port is 8081: `a.txt`.\n");
    let report = update(&world, &["--apply", "--yes"]).asking(&standin).run().await.exits(0).report();
    assert!(report.list("edits").is_empty() && read(&world, "README.md").contains("8081"));
    assert_eq!(places(&report), ["README.md:null proposal-unfit"]);
}

#[tokio::test]
async fn offline_writers_say_nothing_and_the_rules_stand() {
    let world = faulty_project();
    let report = update(&world, &["--backend", "offline"]).run().await.exits(0).report();
    assert_eq!(report.status(), "completed");
    assert_eq!(places(&report).len(), FAULTS.lines().filter(|line| !line.trim().is_empty()).count());
    assert!(report.list("findings").iter().all(|found| found["source"] == "rule"));
}

#[tokio::test]
async fn a_writer_that_can_not_be_asked_leaves_what_the_rules_found() {
    let world = World::new();
    world.write("README.md", "# A\n\n[x](gone.md) `a.txt`\n");
    world.write("a.txt", "code\n");
    let fault = (convoke_standin::When::default(), convoke_standin::Fault::Status(400));
    let standin = crate::support::faulty([fault]).await;
    let report = update(&world, &[]).asking(&standin).run().await.report();
    assert_ne!(report.status(), "completed");
    assert_eq!(places(&report), ["README.md:3 link-broken"]);
}

#[tokio::test]
async fn each_kind_of_document_has_a_writer_of_its_own() {
    let world = World::new();
    for path in ["README.md", "CLAUDE.md", "API.md", "ARCHITECTURE.md", "docs/guide.md", "docs/more.md"] {
        world.write(path, "# A\n\n`a.txt`\n");
    }
    world.write("a.txt", "code\n");
    let standin = answering(&[]).await;
    let report = update(&world, &["--instances", "8"]).asking(&standin).run().await.exits(0).report();
    let mut groups: Vec<&str> = report.list("groups").iter().filter_map(|group| group["name"].as_str()).collect();
    groups.sort_unstable();
    assert_eq!(groups, ["agent instructions", "api", "architecture", "guides", "readme"]);
    assert_eq!((report.list("workers").len(), standin.requests().len()), (5, 6));
}

#[cfg(unix)]
#[tokio::test]
async fn hostile_documents_are_looked_at_or_said_to_be_left() {
    let world = World::new();
    world.write("README.md", "# A\n");
    world.write("docs/deep.md", format!("{}x\n\n{}y\n", "- ".repeat(10_000), "> ".repeat(10_000)));
    world.write("docs/broken.md", b"# A\n\xff\xfe\n");
    world.write("docs/readme.md", "# B\n");
    world.write("docs/README.md", "# C\n");
    std::os::unix::fs::symlink("README.md", world.project().join("AGENTS.md")).expect("a link");
    std::os::unix::fs::symlink("/etc/hostname", world.project().join("docs/out.md")).expect("a link");
    std::os::unix::fs::symlink("nowhere.md", world.project().join("docs/gone.md")).expect("a link");
    let report = check(&world, &[]).run().await.exits(1).report();
    assert_eq!(
        places(&report),
        [
            "docs/README.md:null document-case-clash",
            "docs/broken.md:2 document-not-utf8",
            "docs/readme.md:null document-case-clash",
        ]
    );
    assert_eq!(report.census(), "done 4, skipped 1");
    let warnings = report.warnings();
    assert!(warnings.contains("docs/out.md") && warnings.contains("docs/gone.md"), "{warnings}");
    assert!(
        report.list("notes").iter().any(|note| note["text"].as_str().is_some_and(|text| text.contains("AGENTS.md")))
    );
}

fn git(world: &World, day: &str, arguments: &[&str]) {
    let date = format!("{day}T12:00:00Z");
    let done = std::process::Command::new("git")
        .args(["-c", "user.name=T", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .current_dir(world.project())
        .env("GIT_COMMITTER_DATE", &date)
        .env("GIT_AUTHOR_DATE", &date)
        .env("GIT_CONFIG_GLOBAL", world.path("home/none"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .expect("git");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test]
async fn documents_older_than_their_code_are_told_where_git_is_granted() {
    let world = World::new();
    git(&world, "2026-01-01", &["init", "--quiet"]);
    for (day, content) in [("2026-01-02", "1"), ("2026-06-01", "2"), ("2026-07-01", "3"), ("2026-08-01", "4")] {
        world.write("README.md", "# A\n\nSee `src/server.rs`.\n");
        world.write("src/server.rs", content);
        git(&world, day, &["add", "--all"]);
        git(&world, day, &["commit", "--quiet", "--message", "next"]);
    }
    let report = check(&world, &[]).run().await.exits(0).report();
    let says = |report: &Report| {
        report.list("notes").iter().any(|note| note["text"].to_string().contains("was not looked at"))
    };
    assert!(says(&report) && report.list("findings").is_empty(), "{:#}", report.json["notes"]);
    world.convoke(["grants", "add", "docs", "--process", "git log"]).run().await.exits(0);
    let report = check(&world, &[]).run().await.exits(0).report();
    assert_eq!(places(&report), ["README.md:null document-older"]);
    assert!(!says(&report));
    let message = report.list("findings")[0]["message"].as_str().expect("a message");
    assert!(message.contains("2026-01-02") && message.contains("3 commits"), "{message}");
    assert_eq!(check(&world, &[]).run().await.exits(0).report().census(), "cached 1");
}

/// The project's own documents, by its own command.
#[tokio::test]
async fn our_own_documents_are_well() {
    let world = World::new();
    let repository = crate::support::repository().to_str().expect("UTF-8");
    let report = world.convoke(["docs", "check", "--backend", "offline", "--format", "json", "--project", repository]);
    let report = report.run().await.exits(0).report();
    assert!(report.count("done") > 20, "{}", report.census());
}

/// A repository of which only the documents and manifests are left: what they name is truly missing.
#[tokio::test]
async fn the_documents_of_a_real_repository_have_these_faults() {
    let Some(corpus) = std::env::var_os("CONVOKE_CORPUS").filter(|folder| !folder.is_empty()) else {
        let said = b"SKIPPED: set CONVOKE_CORPUS to the folder of real input to check the documents of a repository\n";
        // Past the harness, which keeps to itself what a passing test prints.
        std::io::Write::write_all(&mut std::io::stderr(), said).expect("stderr");
        return;
    };
    let (world, standin) = (World::new(), quick().await);
    let project = std::path::PathBuf::from(corpus).join("polyglot-otel-demo");
    let project = project.to_str().expect("UTF-8");
    let call = world.convoke(["docs", "check", "--format", "json", "--project", project]);
    let report = call.asking(&standin).run().await.exits(1).report();
    assert_eq!((report.census().as_str(), standin.requests().len()), ("done 34", 0));
    let links: Vec<String> = places(&report).into_iter().filter(|place| place.ends_with("link-broken")).collect();
    assert_eq!(
        links,
        [
            "CHANGELOG.md:593 link-broken",
            "src/flagd-ui/README.md:17 link-broken",
            "src/load-generator/README.md:20 link-broken",
            "src/load-generator/README.md:8 link-broken",
        ]
    );
}
