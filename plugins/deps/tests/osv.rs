//! The folder `osv`: one made advisory for each ecosystem and rule of ranges, and what it says about versions.

#![allow(clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;

use convoke_sdk::Severity;
use deps::model::Ecosystem::{self, CratesIo, Go, Maven, Npm, NuGet, PyPI, RubyGems};
use deps::osv::{Book, Hole, Judged};

fn book() -> (Book, BTreeSet<String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/osv");
    let (mut book, mut names) = (Book::default(), BTreeSet::new());
    for entry in std::fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        assert!(book.read(&name, &std::fs::read_to_string(&path).expect("text")), "{name}");
        names.insert(name.trim_end_matches(".json").to_owned());
    }
    assert_eq!(book.broken, []);
    assert_eq!(book.len(), names.len());
    (book, names)
}

fn holes(book: &Book, ecosystem: Ecosystem, name: &str, version: &str) -> Vec<Hole> {
    match book.judge(ecosystem, name, version) {
        Judged::Affected(holes) => holes,
        other => panic!("{name} {version}: {other:?}"),
    }
}

/// `safe`, `unknown`, or `affected` and the fixed versions.
fn said(book: &Book, ecosystem: Ecosystem, name: &str, version: &str) -> String {
    match book.judge(ecosystem, name, version) {
        Judged::Safe => "safe".to_owned(),
        Judged::Unknown(_) => "unknown".to_owned(),
        Judged::Affected(holes) => {
            let fixed: Vec<_> = holes.iter().flat_map(|hole| &hole.fixed).map(String::as_str).collect();
            format!("affected {}", fixed.join(" ")).trim_end().to_owned()
        }
    }
}

/// The advisory's file, the package, and versions with what is to be said of them.
type Row = (&'static str, Ecosystem, &'static str, &'static [(&'static str, &'static str)]);

const TABLE: &[Row] = &[
    (
        "npm-fixed",
        Npm,
        "npm-fixed",
        &[
            ("0.0.1", "affected 1.2.3"),
            ("1.2.2", "affected 1.2.3"),
            ("v1.2.2", "affected 1.2.3"),
            ("1.2.3-rc.1", "affected 1.2.3"),
            ("1.2.3", "safe"),
            ("1.2.3+build", "safe"),
            ("5.0.0", "safe"),
            ("1.2", "affected 1.2.3"),
            ("next", "unknown"),
            ("", "unknown"),
            ("1.2.3.4", "unknown"),
        ],
    ),
    ("elsewhere", Npm, "npm-fixed", &[("5.0.0", "safe")]),
    ("npm-unfixed", Npm, "npm-unfixed", &[("0.0.0-0", "affected"), ("99.0.0", "affected")]),
    (
        "npm-two-pairs",
        Npm,
        "npm-two-pairs",
        &[
            ("0.9.0", "safe"),
            ("1.0.0", "affected 1.0.2"),
            ("1.0.1", "affected 1.0.2"),
            ("1.0.2", "safe"),
            ("2.9.9", "safe"),
            ("3.0.0-rc.1", "safe"),
            ("3.0.0", "affected 3.2.5"),
            ("3.2.5", "safe"),
        ],
    ),
    (
        "npm-any-order",
        Npm,
        "npm-any-order",
        &[("1.0.1", "affected 1.0.2"), ("1.0.2", "safe"), ("3.0.0", "affected 3.2.5"), ("3.2.5", "safe")],
    ),
    (
        "npm-fixed-and-broken-again",
        Npm,
        "npm-fixed-and-broken-again",
        &[("1.9.0", "affected 2.0.0"), ("2.0.0", "affected 2.5.0"), ("2.5.0", "safe")],
    ),
    (
        "npm-last-affected",
        Npm,
        "npm-last-affected",
        &[
            ("0.9.0", "safe"),
            ("1.0.0", "affected"),
            ("2.1.214", "affected"),
            ("2.1.215-0", "safe"),
            ("2.1.215", "safe"),
        ],
    ),
    ("npm-one-version", Npm, "npm-one-version", &[("1.4.9", "safe"), ("1.5.0", "affected"), ("1.5.1", "safe")]),
    (
        "npm-versions-only",
        Npm,
        "npm-versions-only",
        &[("1.0.0", "affected"), ("1.0.1", "safe"), ("1.1.0", "affected"), ("v1.1.0", "affected"), ("odd", "unknown")],
    ),
    (
        "npm-versions-beside-range",
        Npm,
        "npm-versions-beside-range",
        &[("0.1.0", "affected"), ("0.2.0", "safe"), ("1.1.0", "affected 1.2.0"), ("1.2.0", "safe")],
    ),
    ("npm-limit", Npm, "npm-limit", &[("0.9.0", "safe"), ("1.9.9", "affected"), ("2.0.0", "safe"), ("3.0.0", "safe")]),
    ("npm-limits", Npm, "npm-limits", &[("0.9.0", "safe"), ("1.9.9", "affected"), ("3.0.0", "affected")]),
    (
        "npm-pre-release",
        Npm,
        "npm-pre-release",
        &[
            ("1.9.9", "safe"),
            ("2.0.0-alpha.1", "safe"),
            ("2.0.0-alpha.2", "affected 2.0.0"),
            ("2.0.0-alpha.10", "affected 2.0.0"),
            ("2.0.0-rc.1", "affected 2.0.0"),
            ("2.0.0", "safe"),
        ],
    ),
    ("npm-by-purl", Npm, "@scope/thing", &[("0.9.0", "affected 1.0.0"), ("1.0.0", "safe")]),
    ("npm-case", Npm, "npmCase", &[("1.0.0", "affected")]),
    ("npm-case", Npm, "npmcase", &[("1.0.0", "safe")]),
    ("npm-withdrawn", Npm, "npm-withdrawn", &[("1.0.0", "safe")]),
    ("npm-git-only", Npm, "npm-git-only", &[("1.0.0", "unknown")]),
    (
        "npm-git-and-versions",
        Npm,
        "npm-git-and-versions",
        &[("1.0.0", "affected"), ("1.1.0", "safe"), ("odd", "unknown")],
    ),
    ("npm-git-and-range", Npm, "npm-git-and-range", &[("1.0.0", "affected 2.0.0"), ("2.0.0", "safe")]),
    ("npm-unknown-type", Npm, "npm-unknown-type", &[("1.0.0", "unknown"), ("3.0.0", "unknown")]),
    ("npm-unknown-event", Npm, "npm-unknown-event", &[("1.0.0", "unknown"), ("3.0.0", "unknown")]),
    ("npm-no-beginning", Npm, "npm-no-beginning", &[("1.0.0", "unknown"), ("3.0.0", "unknown")]),
    ("npm-nonsense-event", Npm, "npm-nonsense-event", &[("1.0.0", "unknown"), ("3.0.0", "unknown")]),
    ("npm-says-nothing", Npm, "npm-says-nothing", &[("1.0.0", "unknown")]),
    (
        "npm-two-ranges",
        Npm,
        "npm-two-ranges",
        &[("1.3.0", "affected 1.4.0"), ("1.4.0", "safe"), ("2.0.0", "affected 2.1.0"), ("2.1.0", "safe")],
    ),
    (
        "npm-overlapping-ranges",
        Npm,
        "npm-overlapping-ranges",
        &[("1.1.0", "affected 1.4.0"), ("1.3.0", "affected 1.6.0"), ("1.5.0", "affected 1.6.0"), ("1.6.0", "safe")],
    ),
    (
        "npm-two-entries",
        Npm,
        "npm-two-entries",
        &[("1.3.0", "affected 1.4.0"), ("2.0.0", "affected 2.1.0"), ("9.0.0", "safe")],
    ),
    ("npm-two-entries", Npm, "npm-another", &[("9.0.0", "affected"), ("1.3.0", "safe")]),
    ("npm-nulls", Npm, "npm-nulls", &[("0.9.0", "affected 1.0.0"), ("1.0.0", "safe")]),
    ("crates-names", CratesIo, "crates-names", &[("0.9.2", "affected 0.9.3"), ("0.9.3", "safe")]),
    ("crates-names", CratesIo, "crates_names", &[("0.9.3-alpha", "affected 0.9.3")]),
    ("crates-informational", CratesIo, "crates-informational", &[("0.1.0", "affected")]),
    (
        "pypi-range",
        PyPI,
        "pypi-range",
        &[
            ("1.0b9", "safe"),
            ("1.0rc1.dev3", "safe"),
            ("1.0rc1", "affected 1.2.post1"),
            ("1.0.0", "affected 1.2.post1"),
            ("1.2", "affected 1.2.post1"),
            ("1.2.post0", "affected 1.2.post1"),
            ("1.2-1", "safe"),
            ("1.10", "safe"),
            ("1.0-bulbasaur", "unknown"),
        ],
    ),
    (
        "pypi-epoch",
        PyPI,
        "pypi-epoch",
        &[
            ("2019.12", "safe"),
            ("2020.1", "affected 1!0.5"),
            ("2024.1", "affected 1!0.5"),
            ("1!0.4", "affected 1!0.5"),
            ("1!0.5", "safe"),
        ],
    ),
    ("pypi-name", PyPI, "pypi-name", &[("1.0", "affected 2.0"), ("2.0", "safe")]),
    ("pypi-name", PyPI, "PyPI.name", &[("1.0", "affected 2.0")]),
    (
        "pypi-local",
        PyPI,
        "pypi-local",
        &[
            ("1.13.0+cpu", "affected"),
            ("1.13.1+cpu", "safe"),
            ("2.0.1+cpu", "affected"),
            ("2.0.2+cpu", "safe"),
            ("2.0.0.dev1", "safe"),
        ],
    ),
    (
        "pypi-written-otherwise",
        PyPI,
        "pypi-written-otherwise",
        &[("1.0rc1", "affected"), ("2.0.0", "affected"), ("2.0.1", "safe"), ("not a version", "unknown")],
    ),
    (
        "pypi-semver",
        PyPI,
        "pypi-semver",
        &[("1.0.0-alpha.1", "affected 1.0.0"), ("1.0a1", "affected 1.0.0"), ("1.0", "safe"), ("0.9", "safe")],
    ),
    (
        "maven-qualifiers",
        Maven,
        "org.example:maven-qualifiers",
        &[
            ("1.0-alpha-3", "safe"),
            ("1.0-beta-1", "safe"),
            ("1.0b2", "affected 1.0.0-sp1"),
            ("1.0-SNAPSHOT", "affected 1.0.0-sp1"),
            ("1.0.Final", "affected 1.0.0-sp1"),
            ("1", "affected 1.0.0-sp1"),
            ("1.0-sp-1", "safe"),
            ("1.0-1", "safe"),
            ("1.0.1", "safe"),
            ("${revision}", "unknown"),
        ],
    ),
    ("maven-qualifiers", Maven, "org.example:Maven-Qualifiers", &[("1", "safe")]),
    (
        "maven-elsewhere",
        Maven,
        "org.example:maven-elsewhere",
        &[("2", "affected"), ("2.0.0", "affected"), ("2.0-rc1", "affected"), ("2.0.1", "safe")],
    ),
    (
        "go-pseudo",
        Go,
        "example.com/go/pseudo",
        &[
            ("v0.0.0-20210711020723-a769d52b0f97", "affected 0.0.0-20220314234659-1baeb1ce4c0b"),
            ("v0.0.0-20220314234659-1baeb1ce4c0b", "safe"),
            ("v0.0.0-20220411220226-7b82a4e95df4", "safe"),
            ("v0.1.0", "safe"),
        ],
    ),
    (
        "go-incompatible",
        Go,
        "example.com/go/incompatible",
        &[
            ("v0.9.0", "safe"),
            ("v2.0.9+incompatible", "affected 2.1.0+incompatible"),
            ("v2.1.0+incompatible", "safe"),
            ("v2.1.0", "safe"),
        ],
    ),
    ("go-incompatible", Go, "example.com/go/Incompatible", &[("v2.0.0", "safe")]),
    (
        "go-symbols",
        Go,
        "example.com/go/symbols",
        &[
            ("v1.4.0", "affected 1.5.0"),
            ("v1.5.0", "safe"),
            ("v1.6.1", "affected 1.6.2"),
            ("v1.6.2-0.20200101000000-abcdefabcdef", "affected 1.6.2"),
        ],
    ),
    (
        "nuget-four-parts",
        NuGet,
        "nuget.four.parts",
        &[
            ("0.9", "safe"),
            ("1.0", "affected 1.0.0.3"),
            ("1.0.0.2", "affected 1.0.0.3"),
            ("1.0.0.3", "safe"),
            ("1.0.1", "safe"),
            ("1.0.0.0.0", "unknown"),
        ],
    ),
    (
        "nuget-pre",
        NuGet,
        "NUGET.PRE",
        &[
            ("2.0.0-ALPHA", "safe"),
            ("2.0.0-beta", "affected 2.0.0-rc.2"),
            ("2.0.0-RC.1+5", "affected 2.0.0-rc.2"),
            ("2.0.0-rc.10", "safe"),
            ("2.0.0", "safe"),
        ],
    ),
    (
        "gem-lines",
        RubyGems,
        "gem-lines",
        &[
            ("5.2.8", "affected 5.2.8.1"),
            ("5.2.8.1", "safe"),
            ("6.0.0.rc2", "safe"),
            ("6.0.5", "affected 6.0.5.1"),
            ("6.0.5.1", "safe"),
            ("7.0", "safe"),
        ],
    ),
    (
        "gem-pre",
        RubyGems,
        "gem-pre",
        &[
            ("2.0.0.beta9", "safe"),
            ("2.0.0.rc1", "affected 2.0.0"),
            ("2.0.0.rc10", "affected 2.0.0"),
            ("2.0", "safe"),
            ("two", "unknown"),
        ],
    ),
    ("severity-worst", Npm, "severity-worst", &[("1.0.0", "affected")]),
    ("severity-of-package", Npm, "severity-of-package", &[("1.0.0", "affected")]),
    ("severity-word", Npm, "severity-word", &[("1.0.0", "affected")]),
    ("severity-none", Npm, "severity-none", &[("1.0.0", "affected")]),
    ("alias-one", PyPI, "alias", &[("1.3", "safe")]),
    ("alias-two", PyPI, "alias", &[("1.2", "affected 1.3")]),
    ("alias-three", PyPI, "alias", &[("1.2.9", "affected 1.3")]),
    ("alias-related", PyPI, "alias", &[("2.0", "safe")]),
    ("npm-fixed", PyPI, "npm-fixed", &[("1.0.0", "safe")]),
    ("npm-fixed", Npm, "of-this-nobody-wrote", &[("1.0.0", "safe"), ("odd", "safe")]),
];

#[test]
fn each_ecosystem_and_rule_is_judged_as_the_table_says() {
    let (book, names) = book();
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for (file, ecosystem, name, versions) in TABLE {
        seen.insert((*file).to_owned());
        for (version, expected) in *versions {
            let said = said(&book, *ecosystem, name, version);
            if said != *expected {
                wrong.push(format!("{file}: {name} `{version}` is {said}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen, names, "a file that nothing is said about, or a row without its file");
}

#[test]
fn the_worst_vector_counts_and_a_word_only_where_there_is_none() {
    let (book, _) = book();
    for (name, severity, score) in [
        ("severity-worst", Some(Severity::High), Some(7.5)),
        ("severity-of-package", Some(Severity::Critical), Some(10.0)),
        ("severity-of-another", Some(Severity::Low), Some(3.1)),
        ("severity-word", Some(Severity::Medium), None),
        ("severity-none", None, None),
    ] {
        let holes = holes(&book, Npm, name, "1.0.0");
        assert_eq!((holes[0].severity, holes[0].score), (severity, score), "{name}");
    }
}

#[test]
fn aliases_are_one_hole_and_what_is_related_is_another() {
    let (book, _) = book();
    let holes = holes(&book, PyPI, "alias", "1.0");
    assert_eq!(holes.len(), 2);
    let hole = &holes[0];
    assert_eq!(hole.ids, ["TEST-alias-one", "TEST-alias-three", "TEST-alias-two"]);
    assert_eq!(hole.aliases, ["CVE-2099-0001", "CVE-2099-0002"]);
    assert_eq!((hole.severity, hole.score), (Some(Severity::Critical), Some(10.0)));
    assert_eq!(hole.fixed, ["1.3"], "1.2 is what another entry still calls affected");
    assert_eq!((hole.summary.as_str(), hole.url.as_deref()), ("Reads too far", Some("https://two.example/advisory")));
    assert_eq!(
        (holes[1].ids.as_slice(), holes[1].severity),
        (["TEST-alias-related".to_owned()].as_slice(), Some(Severity::Low))
    );
}

#[test]
fn what_is_only_affected_is_kept() {
    let (book, _) = book();
    let hole = &holes(&book, CratesIo, "crates-informational", "1.0.0")[0];
    assert_eq!((hole.informational.as_deref(), hole.severity), (Some("unsound"), Some(Severity::Low)));
    assert_eq!(
        (hole.functions.as_slice(), hole.os.as_slice()),
        (["crates_informational::open".to_owned()].as_slice(), ["windows".to_owned()].as_slice())
    );
    assert!(hole.arch.is_empty());
    let hole = &holes(&book, Go, "example.com/go/symbols", "v1.0.0")[0];
    assert_eq!(
        hole.functions,
        ["example.com/go/symbols/all", "example.com/go/symbols/html.Parse", "example.com/go/symbols/html.Render"]
    );
}
