//! Policies: chosen, shown, checked, refused, swapped in the middle of a run, and tried on what was recorded.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use convoke_runtime::journal::{DecisionRow, Journal};
use convoke_runtime::policy::{Admit, Decision, Facts};
use convoke_standin::{Config, Latency, Standin};
use serde_json::Value;

use crate::support::{World, flood, quick, repository, standin, until};

/// Writes a policy into the user's folder.
fn policy(world: &World, file: &str, text: &str) -> PathBuf {
    let path = world.path("config/policies").join(file);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(&path, text).expect("a written file");
    path
}

/// What was decided in the last run.
async fn decisions(world: &World) -> Vec<DecisionRow> {
    let journal = Journal::open(&world.path("data/journal.db")).expect("a journal");
    let run = journal.runs(1).await.expect("runs").remove(0).run.id;
    journal.decisions(&run).await.expect("decisions")
}

/// So many items that each ask a question.
fn items(count: &str) -> [&str; 7] {
    [flood(), "--items", count, "--groups=8", "--format", "json", "--instances=8"]
}

async fn unhurried() -> Standin {
    standin(Config { latency: Latency::of(20, 0.5), ..Config::default() }).await
}

fn says(reason: &str, tier: &str) -> String {
    format!("version = 1\n[[route.rules]]\ntier = \"{tier}\"\nreason = \"{reason}\"\n")
}

#[tokio::test]
async fn a_policy_is_swapped_in_the_middle_of_a_run_and_nothing_is_lost_by_it() {
    let (world, standin) = (World::new(), unhurried().await);
    policy(&world, "one.toml", &says("one", "speed"));
    let two = policy(&world, "two.toml", &says("two", "comprehensive"));
    world.convoke(["policy", "use", "one"]).run().await.exits(0);
    let running = world.convoke(items("400")).asking(&standin).start().await;
    let asked = |count| {
        let standin = &standin;
        move || standin.stats().requests >= count
    };
    until("a first part is done", asked(30)).await;
    world.convoke(["policy", "use", "two"]).run().await.exits(0);
    running.has_said("policy two: chosen by convoke policy use").await;
    until("a second part is done", asked(100)).await;
    fs::write(&two, "[route]\nrulez = 1\n").expect("a written file");
    running.has_said("the changed policy is refused, and two stays in force").await;
    until("a third part is done", asked(170)).await;
    fs::write(&two, says("three", "speed")).expect("a written file");
    running.has_said("has changed").await;
    let done = running.end().await.exits(0);
    let report = done.report();
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 400"));
    assert!(report.warnings().contains("unknown field `rulez`"), "{}", report.warnings());
    assert_eq!(standin.stats().requests, 400, "no item twice");

    let decided = decisions(&world).await;
    let expected = BTreeMap::from([(2, ("one", "one")), (3, ("two", "two")), (4, ("two", "three"))]);
    let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
    let mut routes = 0;
    for row in &decided {
        let (name, reason) = expected.get(&row.generation).unwrap_or_else(|| panic!("{row:?}"));
        assert_eq!(&*row.policy, *name);
        if let Decision::Route(to) = &row.decision {
            assert_eq!(to.reason, *reason, "each decision is by the policy in force");
            *seen.entry(row.generation).or_default() += 1;
            routes += 1;
        }
    }
    assert_eq!((routes, seen.len()), (400, 3), "{seen:?}");
    // What was decided is what was done.
    let dear = |model: &str| model.contains("opus");
    let sent = standin.requests().iter().filter(|one| dear(one.body["model"].as_str().expect("a model"))).count();
    assert_eq!(sent, seen[&3]);
}

#[tokio::test]
async fn a_fixed_rate_holds_over_all_instances() {
    let (world, standin) = (World::new(), quick().await);
    policy(&world, "slow.toml", "[admit]\nper_minute = 1200\n");
    let began = std::time::Instant::now();
    let report = world.convoke(items("40").into_iter().chain(["--policy=slow"])).asking(&standin).run().await.report();
    assert_eq!(report.census(), "done 40");
    assert!(began.elapsed().as_millis() >= 39 * 50, "{:?}", began.elapsed());
    let decided = decisions(&world).await;
    let mut admitted: Vec<&Facts> = Vec::new();
    for row in &decided {
        if row.decision == Decision::Admit(Admit::Now) {
            admitted.push(&row.facts);
        }
    }
    let apart = |facts: &&Facts| matches!(facts, Facts::Admit(facts) if facts.since_last_ms.is_none_or(|ms| ms >= 50));
    assert!(admitted.len() == 40 && admitted.iter().all(apart), "{admitted:#?}");
}

#[tokio::test]
async fn what_a_policy_never_lets_be_asked_degrades_the_run_or_fails_its_items() {
    let (world, standin) = (World::with_agents(3), quick().await);
    // An hour that is neither now nor soon.
    let hour = (jiff::Timestamp::now().as_second() / 3_600 + 12) % 24;
    let text = format!("[admit]\nhours = \"{hour:02}:00-{hour:02}:30\"\noutside = \"refuse\"\n");
    policy(&world, "never.toml", &text);
    let report = world.audit(["--policy", "never"]).env("TZ", "UTC").asking(&standin).run().await.report();
    assert_eq!((report.status(), standin.stats().requests), ("degraded", 0));
    assert_eq!(report.count("fallback"), 3, "{}", report.census());
    let decided = decisions(&world).await;
    assert!(decided.iter().any(|row| matches!(&row.decision, Decision::Admit(Admit::Never { .. }))));
}

#[tokio::test]
async fn a_policy_that_is_wrong_stops_a_run_before_anything_is_asked() {
    let (world, standin) = (World::with_agents(1), quick().await);
    policy(&world, "broken.toml", "[admit]\nper_minuet = 3\n");
    let done = world.audit(["--policy", "broken"]).asking(&standin).run().await.exits(2).reports_nothing();
    done.says("broken.toml:2:1: unknown field `per_minuet`").says("did you mean `per_minute`?");
    world.audit(["--policy", "brokn"]).run().await.exits(2).says("did you mean broken?");
    world.audit([]).env("CONVOKE_POLICY", "nothing-like-it").run().await.exits(2).says("there is no policy");
    world.audit(["--policy", "./x.py"]).run().await.exits(2).says(".toml, .wasm");
    world.convoke(["policy", "use", "broken"]).run().await.exits(2).says("per_minuet");
    world.write("evil.so", "\u{7f}ELF");
    world.audit(["--policy", "./evil.so"]).run().await.exits(2).says("it lies in the project");
    assert_eq!(standin.stats().requests, 0);
    // The built-in one needs no file.
    world.audit(["--policy", "built-in", "--backend", "offline"]).run().await.exits(0);
}

#[tokio::test]
async fn a_project_that_names_a_policy_is_not_heard_and_that_is_said() {
    let world = World::with_agents(1);
    world.write("convoke.toml", "[policy]\nuse = \"./evil.so\"\n[limits]\ninstances = 90\n");
    let report = world.audit(["--backend", "offline"]).run().await.report();
    for part in ["can't choose a policy or load a library", "a project can only lower instances"] {
        assert!(report.warnings().contains(part), "{}", report.warnings());
    }
}

#[tokio::test]
async fn policies_are_listed_shown_checked_and_chosen() {
    let world = World::new().config("[policy]\nuse = \"night\"\n[limits]\ninstances = 7\n");
    let night = "description = \"Cheap at night.\"\n[admit]\nper_minute = 120\n[safe.admit]\nper_minute = 30\n";
    policy(&world, "night.toml", night);
    policy(&world, "broken.toml", "[admit]\nper_minute = 0\n");
    let call = async |arguments: &[&str]| world.convoke(arguments.iter().copied()).run().await;

    let list = call(&["policy", "list", "--format", "json"]).await.exits(0).json();
    let shown = |list: &Value| -> Vec<String> {
        let all = list["policies"].as_array().expect("a list").iter();
        all.map(|one| format!("{} {} {}", one["name"], one["form"], one["in_force"]).replace('"', "")).collect()
    };
    assert_eq!(shown(&list), ["built-in built-in false", "broken toml false", "night toml true"]);
    assert_eq!(list["chosen_by"], "config.toml");
    let text = call(&["policy", "list"]).await.exits(0).stdout;
    assert!(text.contains("* night") && text.contains("Cheap at night. (chosen by config.toml)"), "{text}");
    assert!(text.contains("is refused"), "{text}");

    let show = call(&["policy", "show"]).await.exits(0).stdout;
    let number = |text: &str, key: &str| -> String {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{key}: {text}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(number(&show, "admit.per_minute"), "admit.per_minute 120 night.toml:3");
    assert_eq!(number(&show, "watch.longest_s"), "watch.longest_s none default of balanced");
    assert_eq!(number(&show, "route.rules"), "route.rules [] default of balanced");
    let built_in = call(&["policy", "show", "built-in", "--format", "json"]).await.exits(0).json();
    let origins = built_in["numbers"].as_array().expect("numbers").iter();
    assert!(origins.clone().count() > 0 && origins.clone().all(|one| one["origin"] == "default of balanced"));

    let check = call(&["policy", "check", "night", "--format", "json"]).await.exits(0).json();
    let kinds: Vec<&str> =
        check["decisions"].as_array().expect("decisions").iter().filter_map(|one| one["kind"].as_str()).collect();
    assert_eq!(kinds, ["size", "route", "admit", "recover", "adapt", "watch"]);
    call(&["policy", "check", "broken"]).await.exits(2).says("1 to 6000");

    call(&["policy", "use", "built-in"]).await.exits(0);
    let list = call(&["policy", "list", "--format", "json"]).await.exits(0).json();
    assert_eq!(list["chosen_by"], "convoke policy use");
    let origin = call(&["config", "show", "--origin"]).await.exits(0).stdout;
    assert!(number(&origin, "policy.use").ends_with("\"built-in\" # convoke policy use"), "{origin}");
    assert!(number(&origin, "limits.instances").ends_with("= 7 # config.toml:4"), "{origin}");
    call(&["policy", "use"]).await.exits(0);
    let origin = call(&["config", "show", "--origin", "--mode", "safe"]).await.exits(0).stdout;
    assert!(number(&origin, "policy.admit.per_minute").ends_with("= 30 # night.toml:5"), "{origin}");
    assert!(number(&origin, "mode =").ends_with("\"safe\" # --mode"), "{origin}");
    let plain = call(&["config", "show"]).await.exits(0).stdout;
    assert!(number(&plain, "limits.instances").ends_with("= 7"), "{plain}");
    let schema = call(&["schema", "policy"]).await.exits(0).json();
    assert!(jsonschema::meta::is_valid(&schema) && schema["properties"]["safe"].is_object());
}

#[tokio::test]
async fn a_recorded_run_is_decided_again_by_another_policy() {
    let (world, standin) = (World::new(), quick().await);
    policy(&world, "dear.toml", &says("only the best", "comprehensive"));
    world.convoke(["policy", "try", "dear"]).run().await.exits(2).says("no decisions of any run are kept");
    world.convoke(items("30")).asking(&standin).run().await.exits(0);
    let tried = world.convoke(["policy", "try", "dear", "--format", "json"]).run().await.exits(0).json();
    assert_eq!(tried["kinds"]["route"]["decisions"], 30);
    assert_eq!((&tried["kinds"]["route"]["otherwise"], &tried["kinds"]["admit"]["otherwise"]), (&30.into(), &0.into()));
    assert_eq!(tried["first"][0]["otherwise"], "comprehensive");
    let same = world.convoke(["policy", "try", "built-in"]).run().await.exits(0).stdout;
    assert!(same.contains("0 of 30 otherwise") && same.contains("It decides the same."), "{same}");
    let run = tried["run"].as_str().expect("a run");
    let named = world.convoke(["policy", "try", "dear", "--run", &run[run.len() - 12..]]).run().await.exits(0).stdout;
    assert!(named.contains("only the best") && named.contains("… and 10 more"), "{named}");

    let silent = World::new().config("[policy]\nrecord = false\n");
    silent.convoke(items("3")).asking(&standin).run().await.exits(0);
    assert!(decisions(&silent).await.is_empty());
}

/// A native library that this package's tests depend on: cargo builds it beside them.
pub(crate) fn library(package: &str) -> PathBuf {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    let test = std::env::current_exe().expect("a path");
    let path = test.parent().expect("a folder").join(format!("{DLL_PREFIX}{}{DLL_SUFFIX}", package.replace('-', "_")));
    assert!(path.is_file(), "{} is missing: is {package} a dev-dependency of this package?", path.display());
    path
}

#[tokio::test]
async fn a_run_goes_from_numbers_to_a_component_to_a_library_and_back_and_no_broken_one_stops_it() {
    // So slow that the run outlasts five changes, each of which is noticed within a second.
    let slow = standin(Config { latency: Latency::of(200, 0.2), ..Config::default() }).await;
    let (world, standin) = (World::new(), slow);
    policy(&world, "numbers.toml", &says("numbers", "speed"));
    let folder = world.path("config/policies");
    let component = repository().join("tests/prebuilt/policies/error-budget.wasm");
    fs::copy(component, folder.join("component.wasm")).expect("a copied file");
    let native = folder.join("native").with_extension(std::env::consts::DLL_EXTENSION);
    fs::copy(library("night-shift"), &native).expect("a copied file");
    world.convoke(["policy", "use", "numbers"]).run().await.exits(0);
    let running = world.convoke(items("300")).asking(&standin).start().await;
    let asked = |count| {
        let standin = &standin;
        move || standin.stats().requests >= count
    };
    until("a first part is done", asked(30)).await;
    world.convoke(["policy", "use", "component"]).run().await.exits(0);
    running.has_said("policy component: chosen by convoke policy use").await;
    until("a second part is done", asked(60)).await;
    world.convoke(["policy", "use", "native"]).run().await.exits(0);
    running.has_said("policy native: chosen by convoke policy use").await;
    until("a third part is done", asked(90)).await;
    fs::remove_file(&native).expect("a removed file");
    fs::write(&native, "no library at all").expect("a written file");
    running.has_said("the changed policy is refused, and native stays in force").await;
    until("a fourth part is done", asked(120)).await;
    world.convoke(["policy", "use", "numbers"]).run().await.exits(0);
    running.has_said("policy numbers: chosen by convoke policy use").await;
    let report = running.end().await.exits(0).report();
    assert_eq!((report.status(), report.census().as_str()), ("completed", "done 300"));
    assert!(report.warnings().contains("it is a text"), "{}", report.warnings());
    assert_eq!(standin.stats().requests, 300, "no item twice");
    let names: BTreeMap<u64, String> =
        decisions(&world).await.iter().map(|row| (row.generation, row.policy.to_string())).collect();
    let names: Vec<&str> = names.values().map(String::as_str).collect();
    assert_eq!(names, ["numbers", "component", "native", "numbers"]);
}

#[tokio::test]
async fn a_component_and_a_library_are_checked_by_name() {
    let world = World::new();
    let folder = world.path("config/policies");
    fs::create_dir_all(&folder).expect("a folder");
    fs::copy(repository().join("tests/prebuilt/policies/fixed-rate.wasm"), folder.join("rate.wasm")).expect("a file");
    let native = folder.join("night").with_extension(std::env::consts::DLL_EXTENSION);
    fs::copy(library("night-shift"), native).expect("a file");
    for name in ["rate", "night"] {
        let shown = world.convoke(["policy", "check", name]).run().await.exits(0).stdout;
        assert!(shown.contains(&format!("{name} decides on sample facts")), "{shown}");
    }
    fs::write(folder.join("other.wasm"), "(component)").expect("a file");
    world.convoke(["policy", "check", "other"]).run().await.exits(2).says("it is not WebAssembly");
}
