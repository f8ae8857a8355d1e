use tempfile::TempDir;

use super::*;
use crate::config::document::documented_example;

/// A plugin's folder with a fixture.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("fixtures/small")).unwrap();
    fs::create_dir_all(folder.path().join("tests/run")).unwrap();
    folder
}

fn parsed(text: &str) -> Result<Case, String> {
    let folder = folder();
    parse(folder.path(), Path::new("tests/first.toml"), text).map_err(|error| {
        let mut shown = String::new();
        let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::none()).with_width(120);
        handler.render_report(&mut shown, &error).unwrap();
        shown
    })
}

/// A case, for the tests of others.
pub(crate) fn case(text: &str) -> Case {
    parsed(text).unwrap()
}

#[test]
fn the_documented_case_is_one() {
    let case = parsed(&documented_example(include_str!("case.rs"))).unwrap();
    assert_eq!((case.name.as_str(), case.instances, case.seed), ("first", 2, 7));
    assert_eq!(case.today(), date(2026, 1, 31));
    assert_eq!(case.rules.len(), 2);
    assert_eq!(case.rules[0].given, Given::Text(r#"{"unclear":[3]}"#.to_owned()));
    assert_eq!(case.rules[1].given, Given::Fault(Fault::Overloaded));
    assert_eq!((case.default, case.expect.census.done), (Given::Made, Some(2)));
    assert!(case.unchecked.contains_key(&Check::Order));
    let grants = case.grants.unwrap();
    assert_eq!(
        (grants.process[0].subcommands.as_slice(), grants.http[0].methods.as_slice()),
        (&["diff".to_owned()][..], &["GET".to_owned()][..])
    );
    assert_eq!(case.sites[0].given.as_ref().map(|found| found.status), Ok(200));
    assert_eq!(case.processes[0].given.as_ref().map(|ran| ran.stdout.as_slice()), Ok(&b"+ a line"[..]));
}

#[test]
fn the_cases_of_the_guide_are_some() {
    let guide = include_str!("../../../sdk/testing.md");
    let cases: Vec<&str> = guide.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(cases.len(), 2);
    for case in cases {
        parsed(case).unwrap();
    }
}

#[test]
fn an_empty_case_is_one_in_which_nothing_may_be_asked() {
    let case = parsed("").unwrap();
    assert_eq!((case.default, case.instances, case.fixture), (Given::Refuse, 4, None));
    assert_eq!(case.expect, Expect::default());
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_to_do() {
    for (text, place, words, hint) in [
        ("fixtur = \"x\"", "1:1", "unknown field `fixtur`", "did you mean `fixture`?"),
        ("\nfixture = \"../x\"", "2:11", "leads out of the plugin's folder", "below it"),
        ("fixture = \"/etc\"", "1:11", "leads out", "below it"),
        ("fixture = \".\"", "1:11", "leads out", "below it"),
        ("fixture = \"fixtures/none\"", "1:11", "fixtures/none", "from the plugin's folder"),
        ("today = \"yesterday\"", "1:9", "today is no day", "2026-01-31"),
        ("[limits]\ninstances = 0", "2:13", "instances is 0", "1 to 16"),
        ("[[answer]]\nrole = \"a\"", "1:", "an answer is one thing", "from-schema = true"),
        ("[[answer]]\ntext = \"a\"\nfault = \"cut\"", "1:", "an answer is one thing", "fallback = true"),
        ("[[answer]]\nfault = \"overladen\"", "2:9", "unknown variant `overladen`", "did you mean `overloaded`?"),
        ("[[answer]]\nitem = \"[\"\ntext = \"\"", "2:8", "item is no glob", "src/*.rs"),
        ("[unchecked]\norder = \" \"", "2:9", "without a reason", "say why"),
        ("[unchecked]\nordre = \"x\"", "2:1", "unknown variant `ordre`", "did you mean `order`?"),
        ("cassette = \"tests/run\"\n[[answer]]\ntext = \"a\"", "2:", "a cassette that has them", "one of the two"),
        ("[expect]\ncensus = { don = 1 }", "2:12", "unknown field `don`", "did you mean `done`?"),
        ("[grants]\nprocess = [\"./git\"]", "1:", "is not a program's name", "git diff"),
        ("[[http]]\nurl = \"x\"\nbody = \"\"\nfails = \"\"", "1:", "an answer is one thing", "fails ="),
        ("[[http]]\nurl = \"x\"\nstatus = 7", "3:10", "status is 7", "100 to 599"),
        ("version = 2", "", "has version 2", "update convoke"),
    ] {
        let shown = parsed(text).unwrap_err();
        let place = if place.is_empty() { String::new() } else { format!("tests/first.toml:{place}") };
        for part in [place.as_str(), words, hint] {
            assert!(shown.contains(part), "{part:?} is not in:\n{shown}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_link_does_not_lead_out_either() {
    let folder = folder();
    std::os::unix::fs::symlink("/", folder.path().join("fixtures/all")).unwrap();
    let path = Path::new("tests/first.toml");
    assert!(parse(folder.path(), path, "fixture = \"fixtures/all\"").is_err());
    assert!(parse(folder.path(), path, "fixture = \"fixtures/all/tmp\"").is_err());
}

#[test]
fn a_rule_is_for_what_fits_all_that_it_says() {
    let text = "[[answer]]\nrole = \"reviewer\"\nitem = \"src/*.rs\"\nprompt = \"TODO\"\ntext = \"\"";
    let case = parsed(text).unwrap();
    let rule = &case.rules[0];
    assert!(rule.fits("src/deep/a.rs", "reviewer", &["", "a TODO here"]));
    assert!(!rule.fits("src/deep/a.md", "reviewer", &["a TODO here"]));
    assert!(!rule.fits("src/deep/a.rs", "writer", &["a TODO here"]));
    assert!(!rule.fits("src/deep/a.rs", "reviewer", &["nothing"]));
    let all = parsed("[[answer]]\ntext = \"\"").unwrap();
    assert!(all.rules[0].fits("", "", &[]));
}

#[test]
fn cases_come_by_name_and_snapshots_without_one_are_stale() {
    let folder = folder();
    for name in ["b.toml", "a.toml", "a.snap.json", "old.snap.json", "notes.md"] {
        fs::write(folder.path().join("tests").join(name), "").unwrap();
    }
    let names = |paths: Vec<PathBuf>| paths.iter().map(|path| name_of(path)).collect::<Vec<_>>();
    assert_eq!(names(files(folder.path()).unwrap()), ["a", "b"]);
    assert_eq!(names(stale(folder.path()).unwrap()), ["old.snap"]);
    assert!(files(Path::new("/nowhere")).unwrap().is_empty());
}
