//! What is broken, hostile or large.

use super::*;
use crate::format::testing::{mangled, pieces};
use crate::model::Ecosystem::{CratesIo, Npm, PyPI};

fn broken(text: &str) -> Broken {
    read(text).expect_err("it is broken")
}

/// A book of one advisory about the npm package `p`.
fn book(ranges: &str) -> Book {
    let mut book = Book::default();
    let text = format!(
        r#"{{"id": "TEST-1", "affected": [{{"package": {{"ecosystem": "npm", "name": "p"}}, "ranges": [{ranges}]}}]}}"#
    );
    assert!(book.read("one.json", &text));
    assert_eq!(book.broken, []);
    book
}

#[test]
fn broken_json_is_told_with_its_line() {
    let error = broken("{\n  \"id\": \"TEST-1\",\n  \"aliases\": [,]\n}");
    assert_eq!(error.line, Some(3));
    assert!(
        error.message.starts_with("not an advisory of OSV: ") && error.message.contains("`,` should not stand here"),
        "{error}"
    );
    assert_eq!(broken("{\n\"id\": 5}").line, Some(2));
    assert_eq!(broken("").to_string(), "line 1: not an advisory of OSV: it is empty");
    assert_eq!(broken("{}").to_string(), "line 1: not an advisory of OSV: it has no `id`");
    assert_eq!(broken(r#"{"id": " "}"#).to_string(), "line 1: not an advisory of OSV: it has no `id`");
    assert_eq!(broken(r#"{"id": null}"#).to_string(), "line 1: not an advisory of OSV: it has no `id`");
    broken(&"[".repeat(100_000));
    broken(&format!("{{\"id\": \"T\", \"database_specific\": {}", "{\"a\":".repeat(100_000)));
    broken(
        r#"{"id": "T", "affected": [{"package": {"purl": "pkg:npm/p"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": 0}]}]}]}"#,
    );
    let error = broken("{\"id\": \"T\",\n\"affected\": {\"package\": \"p\"}}");
    assert_eq!(error.to_string(), "line 2: not an advisory of OSV: `affected` should be a list and is a table");
}

#[test]
fn a_broken_file_is_kept_and_the_others_still_count() {
    let mut book = Book::default();
    assert!(book.read("a/broken.json", "{\"id\":\n"));
    assert!(book.read("a/several.json", r#"[{"id": "TEST-1"}, {"summary": "no id"}, {"id": "TEST-2"}]"#));
    assert!(book.read("a/answer.json", r#"{"vulns": [{"id": "TEST-3"}]}"#));
    assert!(!book.read("README.md", "# Advisories"));
    assert!(!book.read("data.csv", ""));
    assert_eq!(book.len(), 3);
    let paths: Vec<_> = book.broken.iter().map(|file| (file.path.as_str(), file.broken.line)).collect();
    assert_eq!(paths, [("a/broken.json", Some(2)), ("a/several.json", Some(1))]);
}

#[test]
fn what_an_advisory_says_can_not_act_on_a_terminal() {
    let text = r#"{"id": "TEST-1\u001b[2J", "summary": "", "details": "\n# a \u202e b\nmore", "aliases": ["CVE\u0007-1"],
        "references": [{"type": "ADVISORY", "url": "javascript:alert(1)"}, {"type": "WEB", "url": "https://a.example/\u001b[2J"},
            {"type": "FIX", "url": "https://b.example/fix"}]}"#;
    let advisory = read(text).unwrap();
    assert_eq!((advisory.id.as_str(), advisory.summary.as_str()), ("TEST-1[2J", "a b"));
    assert_eq!((advisory.aliases, advisory.url.as_deref()), (vec!["CVE-1".to_owned()], Some("https://b.example/fix")));
    let book = book(r#"{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "\u001b[31m"}]}"#);
    let Judged::Unknown(why) = book.judge(Npm, "p", "1.0.0") else { panic!("it can't be known") };
    assert_eq!(why, "TEST-1: `[31m` in a range can't be read");
    let Judged::Unknown(why) = book.judge(Npm, "p", "\u{1b}[0m") else { panic!("it can't be known") };
    assert_eq!(why, "TEST-1: `[0m` can't be read as a version");
}

#[test]
fn ten_thousand_events_are_judged_like_two() {
    let mut events = Vec::new();
    for minor in (0..5000).rev() {
        events.push(format!(r#"{{"introduced": "1.{minor}.0"}}, {{"fixed": "1.{minor}.5"}}"#));
    }
    let book = book(&format!(r#"{{"type": "SEMVER", "events": [{}]}}"#, events.join(",")));
    let judged = |version| match book.judge(Npm, "p", version) {
        Judged::Affected(holes) => holes[0].fixed.clone(),
        Judged::Safe => Vec::new(),
        Judged::Unknown(why) => panic!("{why}"),
    };
    assert_eq!(judged("1.4999.4"), ["1.4999.5"]);
    assert_eq!(judged("1.17.0"), ["1.17.5"]);
    assert_eq!(judged("1.17.5"), [""; 0]);
    assert_eq!(judged("0.9.0"), [""; 0]);
}

#[test]
fn ten_thousand_ranges_give_a_bounded_answer() {
    let ranges: Vec<_> = (1..=10_000)
        .map(|patch| format!(r#"{{"type": "SEMVER", "events": [{{"introduced": "0"}}, {{"fixed": "2.0.{patch}"}}]}}"#))
        .collect();
    let Judged::Affected(holes) = book(&ranges.join(",")).judge(Npm, "p", "1.0.0") else { panic!("it is affected") };
    assert_eq!(holes[0].fixed.len(), 20);
}

#[test]
fn a_long_chain_of_aliases_is_one_hole() {
    let mut book = Book::default();
    for at in (0..20_000).rev() {
        let (version, next) = (if at % 5000 == 0 { "1.0" } else { "2.0" }, at + 1);
        let text = format!(
            r#"{{"id": "T-{at:05}", "aliases": ["T-{next:05}"], "affected": [{{"package": {{"ecosystem": "PyPI", "name": "p{version}"}}, "versions": ["{version}"]}}]}}"#
        );
        book.read("one.json", &text);
    }
    let Judged::Affected(holes) = book.judge(PyPI, "p1.0", "1.0") else { panic!("it is affected") };
    assert_eq!((holes.len(), holes[0].ids.len()), (1, 4));
}

#[test]
fn an_affected_package_keeps_what_could_not_be_judged() {
    let mut book = Book::default();
    for (id, events) in [("TEST-1", r#"{"introduced": "0"}"#), ("TEST-2", r#"{"introduced": "??"}"#)] {
        let text = format!(
            r#"{{"id": "{id}", "affected": [{{"package": {{"ecosystem": "npm", "name": "p"}}, "ranges": [{{"type": "SEMVER", "events": [{events}]}}]}}]}}"#
        );
        book.read("one.json", &text);
    }
    let found = book.find(Npm, "p", "1.0.0");
    assert_eq!((found.holes.len(), found.doubts.len()), (1, 1));
    assert_eq!(found.doubts[0].id, "TEST-2");
    assert!(matches!(book.judge(Npm, "p", "1.0.0"), Judged::Affected(_)));
}

#[test]
fn a_broken_file_of_a_crate_leaves_that_crate_unknown() {
    let mut book = Book::default();
    assert!(book.read("db/crates/some_crate/RUSTSEC-2099-0001.md", "```toml\n[advisory]\nid = 5\n```\n"));
    assert_eq!(book.broken[0].broken.line, Some(3));
    let Judged::Unknown(why) = book.judge(CratesIo, "some-crate", "1.0.0") else { panic!("it can't be known") };
    assert!(why.contains("RUSTSEC-2099-0001.md") && why.contains("line 3"), "{why}");
    assert_eq!(book.judge(CratesIo, "another", "1.0.0"), Judged::Safe);
}

#[test]
fn an_entry_that_names_nothing_better_still_names_its_fix() {
    let mut book = Book::default();
    for (id, fixed) in [("TEST-1", r#", {"fixed": "1.2.0"}"#), ("TEST-2", "")] {
        let text = format!(
            r#"{{"id": "{id}", "aliases": ["CVE-1"], "affected": [{{"package": {{"ecosystem": "npm", "name": "p"}}, "ranges": [{{"type": "SEMVER", "events": [{{"introduced": "0"}}{fixed}]}}]}}]}}"#
        );
        book.read("one.json", &text);
    }
    let Judged::Affected(holes) = book.judge(Npm, "p", "1.0.0") else { panic!("it is affected") };
    assert_eq!((holes.len(), holes[0].fixed.as_slice()), (1, ["1.2.0".to_owned()].as_slice()));
}

#[test]
fn no_file_ends_the_component() {
    let sample = r#"{"id": "TEST-1", "aliases": ["CVE-1"], "severity": [{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L"}],
        "affected": [{"package": {"ecosystem": "npm", "name": "p", "purl": "pkg:npm/p"}, "versions": ["1.0.0"], "ranges": [
        {"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "1.0.0-a.1+b"}, {"limit": "*"}]}]}]}"#;
    let judge = |text: &str| {
        let mut book = Book::default();
        book.read("p.json", text);
        let _ = book.judge(Npm, "p", "1.0.0");
    };
    mangled(sample, judge);
    let of = [
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"id\": \"a\"",
        "\"affected\": [",
        "{\"package\": {\"ecosystem\": \"npm\", \"name\": \"p\"},",
        "\"ranges\": [{\"type\": \"SEMVER\", \"events\": [",
        "{\"introduced\": \"0\"}",
        "\"versions\": [",
        "null",
        "1",
        "é",
        "\0",
    ];
    pieces(&of, judge);
}
