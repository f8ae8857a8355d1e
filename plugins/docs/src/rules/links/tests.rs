use super::*;
use convoke_sdk::testing::{Map, now};

/// The findings in `docs/a.md`, as `line rule`, and the document with its repairs made.
fn checked_at(path: &str, text: &str, others: &[(&str, &str)]) -> (Vec<String>, String, Found) {
    let project = Map::with(&[others, &[(path, text)]].concat());
    let document = markdown::parse(text);
    let found = now(check(&project, path, text, &document));
    let findings = found.findings.iter().map(|found| format!("{} {}", found.line.unwrap_or(0), found.rule)).collect();
    let mut repairs = found.repairs.clone();
    repairs.sort_by_key(|repair| std::cmp::Reverse(repair.place.start));
    let mut mended = text.to_owned();
    for repair in repairs {
        mended.replace_range(repair.place.start..repair.place.end, &repair.text);
    }
    (findings, mended, found)
}

fn checked(text: &str) -> (Vec<String>, String) {
    let others = [
        ("README.md", "# Project\n\n## Use it\n"),
        ("docs/b.md", "# Set up\n\n<a id=\"old\"></a>\n\n## The `run` flag\n"),
        ("docs/deep/Only-Here.md", "# Only here\n"),
        ("docs/img/p.png", ""),
        ("src/main.rs", "fn main() {}\n\n"),
        ("docs/one/same.txt", ""),
        ("docs/two/same.txt", ""),
        ("a b.md", "# A b\n"),
        ("Makefile", "all:\n"),
    ];
    let (findings, mended, _) = checked_at("docs/a.md", text, &others);
    (findings, mended)
}

#[test]
fn what_is_there_is_no_finding() {
    for text in [
        "[x](b.md) [x](./b.md#set-up) [x](b.md#Set-Up) [x](b.md#old) [x](b.md#the-run-flag)",
        "[x](../README.md#use-it) [x](/README.md) [x](..) [x](/) [x](deep/) [x](deep)",
        "[x](../src/main.rs#L1) [x](../src/main.rs#L1-L2) [x](../a%20b.md) [x](<../a b.md>)",
        "![x](img/p.png?raw=1) <img src='img/p.png'> <a href=\"b.md#old\">x</a>",
        "[x](../../issues) [x](../../wiki/Page) [x](https://x.example/gone.md) [x](mailto:a@b.example)",
        "# Top\n\n[x](#top) [x](#) [x](#L2) [x](?tab=readme#x)",
        "[x]({{ url }}) [x](<your page>) [x](${HOME}/x.md)",
        "[x] [x][] in `[a](gone.md)`\n\n    [a](gone.md)\n\n[x]: b.md\n",
        "a[i][j], [--all][--none], [a-z][0-9], [Vec][std::vec::Vec], [x][mod.name], ![](img/p.png)",
        "[x](../#use-it) [x](../README.md?plain=1#L1) [x](b.md#user-content-old)",
        "# 日本語\n\n[x](#日本語) [x](#%E6%97%A5%E6%9C%AC%E8%AA%9E)",
    ] {
        let (findings, mended) = checked(text);
        assert!(findings.is_empty(), "{text}: {findings:?}");
        assert_eq!(mended, text);
    }
}

#[test]
fn what_leads_to_nothing_is_one_and_mended_where_one_thing_can_be_meant() {
    for (text, expected, mended) in [
        ("[x](gone.md)", vec!["1 link-broken"], "[x](gone.md)"),
        ("[x](Only-Here.md#only-here)", vec!["1 link-broken"], "[x](deep/Only-Here.md#only-here)"),
        ("[x](Only-Here.md#nowhere)", vec!["1 link-broken"], "[x](Only-Here.md#nowhere)"),
        ("[x](./B.md)", vec!["1 link-broken"], "[x](./b.md)"),
        ("[x](/Docs/b.md 'title')", vec!["1 link-broken"], "[x](/docs/b.md 'title')"),
        ("[x](Deep/)", vec!["1 link-broken"], "[x](deep)"),
        ("[x](b)", vec!["1 link-broken"], "[x](b.md)"),
        ("[x](same.txt)", vec!["1 link-broken"], "[x](same.txt)"),
        ("[x](deep/README.md)", vec!["1 link-broken"], "[x](deep/README.md)"),
        ("![x](p.png)", vec!["1 image-broken"], "![x](img/p.png)"),
        ("<img src=\"p.png\">", vec!["1 image-broken"], "<img src=\"img/p.png\">"),
        ("[x](deep/a%20b.md)", vec!["1 link-broken"], "[x](../a%20b.md)"),
        ("[x](b.md#setup)", vec!["1 anchor-broken"], "[x](b.md#set-up)"),
        ("[x](b.md#else)", vec!["1 anchor-broken"], "[x](b.md#else)"),
        ("# One\n[x](#on-e)", vec!["2 anchor-broken"], "# One\n[x](#one)"),
        ("# Install\n# Installs\n[x](#installx)", vec!["3 anchor-broken"], "# Install\n# Installs\n[x](#installx)"),
        ("[x](../src/main.rs#L9)", vec!["1 anchor-broken"], "[x](../src/main.rs#L9)"),
        ("[x](../#used-it)", vec!["1 anchor-broken"], "[x](../#use-it)"),
        ("[some text][nope]", vec!["1 reference-undefined"], "[some text][nope]"),
        ("[nope][]", vec!["1 reference-undefined"], "[nope][]"),
        ("[x][r]\n[y][r]\n\n[r]: B.md", vec!["1 link-broken"], "[x][r]\n[y][r]\n\n[r]: b.md"),
        ("[x]()", vec!["1 link-empty"], "[x]()"),
    ] {
        let (findings, changed) = checked(text);
        assert_eq!(
            (findings, changed),
            (expected.into_iter().map(String::from).collect(), mended.to_owned()),
            "{text}"
        );
    }
}

#[test]
fn the_same_target_is_one_finding_that_names_its_lines() {
    let (findings, _, found) = checked_at("a.md", "[x](gone.md)\n\n[y](gone.md) [z](other.md)\n", &[]);
    assert_eq!(findings, ["1 link-broken", "3 link-broken"]);
    assert_eq!(found.findings[0].help.as_deref(), Some("It stands in lines 3, too"));
    assert_eq!(found.judged, 3);
}

#[test]
fn what_a_generator_of_websites_knows_is_not_judged() {
    let text = "[x](./intro) [x](/guide/start) [x](page.html) [x](gone.md)";
    let (plain, ..) = checked_at("docs/a.md", text, &[]);
    assert_eq!(plain.len(), 4);
    let (of_a_site, _, found) = checked_at("docs/a.md", text, &[("mkdocs.yml", "")]);
    assert_eq!(of_a_site, ["1 link-broken"]);
    assert_eq!(found.not_judged["links of a website"], 3);
}

#[test]
fn templates_and_other_places_are_counted_and_not_judged() {
    let (findings, _, found) = checked_at(".github/ISSUE_TEMPLATE/bug.md", "[x](gone.md) [y](https://x.example)", &[]);
    assert!(findings.is_empty());
    assert_eq!(found.not_judged, BTreeMap::from([("templates", 1), ("other sites", 1)]));
}

#[test]
fn hostile_documents_end() {
    let text = format!("{}\n\n{}", "# a\n".repeat(5_000), "[x](#b) [x](gone.md) [x](../src) ".repeat(3_000));
    let (findings, ..) = checked(&text);
    assert_eq!(findings.len(), 2);
}
