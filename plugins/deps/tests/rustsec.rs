//! What is found with RustSec's advisories is what RustSec's own library finds.

#![allow(clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use convoke_sdk::testing::{Map, now};
use convoke_sdk::{Outcome, Severity};
use deps::audit::Whom;
use deps::audit::findings::Judgement;
use deps::audit::subjects::subjects;
use deps::model::Ecosystem::CratesIo;
use deps::osv::{Book, Hole, Judged};
use deps::{Arguments, Input, Job};
use rustsec::database::{Database, Query};
use rustsec::{Lockfile, SourceId, Version};

/// Versions with published holes and warnings, and some without.
const KNOWN: [(&str, &str); 33] = [
    ("time", "0.1.42"),
    ("smallvec", "0.6.0"),
    ("smallvec", "1.6.0"),
    ("hyper", "0.12.0"),
    ("hyper", "0.14.9"),
    ("openssl", "0.10.30"),
    ("tokio", "1.8.0"),
    ("tokio", "0.1.22"),
    ("regex", "1.5.4"),
    ("chrono", "0.4.19"),
    ("rustls", "0.20.0"),
    ("webpki", "0.21.4"),
    ("h2", "0.3.16"),
    ("crossbeam-deque", "0.7.3"),
    ("memoffset", "0.5.1"),
    ("lock_api", "0.3.4"),
    ("generic-array", "0.12.3"),
    ("rand_core", "0.5.0"),
    ("net2", "0.2.33"),
    ("ansi_term", "0.12.1"),
    ("atty", "0.2.14"),
    ("yaml-rust", "0.4.5"),
    ("serde_yaml", "0.8.3"),
    ("rocket", "0.4.4"),
    ("actix-web", "3.0.0-alpha.1"),
    ("curve25519-dalek", "3.2.0"),
    ("ed25519-dalek", "1.0.1"),
    ("libgit2-sys", "0.13.4+1.4.2"),
    ("rsa", "0.9.0"),
    ("idna", "0.5.0"),
    ("ring", "0.16.20"),
    ("serde", "1.0.200"),
    ("no-crate-has-this-name", "1.0.0"),
];

fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("CONVOKE_CORPUS").filter(|folder| !folder.is_empty());
    if folder.is_none() {
        // Seen without `--nocapture`, too: what was skipped is never in silence.
        std::io::stderr()
            .write_all(b"SKIPPED: set CONVOKE_CORPUS to the folder of real input to compare with RustSec's library\n")
            .expect("stderr");
    }
    folder.map(PathBuf::from)
}

/// All files of the database, by our own reading.
fn book(root: &Path) -> Book {
    let mut book = Book::default();
    each_file(root, |path, text| assert!(book.read(path, &text) || !path.ends_with(".md")));
    assert_eq!(book.broken, [], "files that can't be read");
    book
}

fn each_file(root: &Path, mut read: impl FnMut(&str, String)) {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                let relative = path.strip_prefix(root).expect("inside").to_str().expect("UTF-8");
                read(relative, text);
            }
        }
    }
}

fn holes(book: &Book, name: &str, version: &str) -> Vec<Hole> {
    match book.judge(CratesIo, name, version) {
        Judged::Safe => Vec::new(),
        Judged::Affected(holes) => holes,
        Judged::Unknown(why) => panic!("{name} {version}: {why}"),
    }
}

/// Package → the advisories that affect it, as `ID kind`.
type Found = BTreeMap<(String, String), BTreeSet<String>>;

fn by_their_library(database: &Database, lock: &Lockfile) -> Found {
    let mut found = Found::new();
    for query in [Query::crate_scope(), Query::crate_scope().informational(true)] {
        for hole in database.query_vulnerabilities(lock, &query) {
            let kind = hole.advisory.informational.as_ref().map_or("hole", |kind| kind.as_str());
            let package = (hole.package.name.to_string(), hole.package.version.to_string());
            found.entry(package).or_default().insert(format!("{} {kind}", hole.advisory.id));
        }
    }
    found
}

fn by_us(book: &Book, database: &Database, lock: &Lockfile) -> Found {
    let mut found = Found::new();
    for package in
        lock.packages.iter().filter(|package| package.source.as_ref().is_some_and(SourceId::is_default_registry))
    {
        let (name, version) = (package.name.to_string(), package.version.to_string());
        for hole in holes(book, &name, &version) {
            let mut worst = None;
            for id in &hole.ids {
                let theirs = database.get(&id.parse().expect("an id")).expect("they know it too");
                let kind = theirs.metadata.informational.as_ref().map_or("hole", |kind| kind.as_str());
                found.entry((name.clone(), version.clone())).or_default().insert(format!("{id} {kind}"));
                worst = worst.max(theirs.severity());
                if hole.informational.is_some() {
                    assert_eq!(hole.informational.as_deref(), Some(kind), "{id}");
                }
            }
            if let Some(worst) = worst {
                assert_eq!(hole.severity.map(word), Some(worst.as_str()), "{:?}", hole.ids);
            }
            for fixed in &hole.fixed {
                let fixed = fixed.strip_prefix('>').unwrap_or(fixed);
                assert!(fixed.parse::<Version>().expect("a version") >= package.version, "{:?} {fixed}", hole.ids);
            }
        }
    }
    found
}

/// What the command finds in a project of this lock, from its plan to its findings, by the words that a user reads.
fn by_the_command(root: &Path, lock: &str) -> Found {
    let mut project = Map::with(&[("app/Cargo.lock", lock)]);
    each_file(root, |path, text| drop(project.files.insert(format!("db/{path}"), text.into_bytes())));
    let arguments = Arguments { advisories: Some("db".to_owned()), ..Arguments::default() };
    let work = now(deps::plan::plan(&project, Job::Audit, &arguments, &["app".to_owned()])).expect("a plan");
    let inputs = work.items.iter().map(|item| serde_json::from_str::<Input>(&item.input).expect("an input"));
    let mut found = Found::new();
    for input in inputs {
        let Input::Audit(input) = input else { continue };
        let Whom::Folder(named) = &input.whom else { panic!("the folder is asked") };
        let unit = now(input.unit.load(&project));
        let subjects = subjects(&unit);
        let judged = now(deps::audit::by_folder(&project, &unit, named, &subjects.asked));
        let partial = deps::audit::partial(&unit, &Judgement { subjects, judged });
        assert!(matches!(partial.outcome, Outcome::Done), "{:?}", partial.outcome);
        for finding in partial.findings {
            let kind = if finding.rule == "vulnerable" { "hole" } else { finding.rule.as_str() };
            let (package, what) = finding.message.split_once(": ").expect("a package");
            let (name, version) = package.split_once(' ').expect("a version");
            let of_package = found.entry((name.to_owned(), version.to_owned())).or_default();
            let ids = what.split(|char: char| !char.is_ascii_alphanumeric() && char != '-');
            of_package.extend(ids.filter(|word| word.starts_with("RUSTSEC-")).map(|id| format!("{id} {kind}")));
        }
    }
    found
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "none",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

#[test]
fn a_lock_with_known_holes_has_those_of_their_library() {
    let Some(corpus) = corpus() else { return };
    let root = corpus.join("rustsec-advisories");
    let mut text = "version = 4\n".to_owned();
    for (name, version) in KNOWN {
        let source = SourceId::default();
        text += &format!("\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"{source}\"\n");
    }
    let (database, lock) = (Database::open(&root).expect("their library reads it"), text.parse().expect("a lock"));
    let (ours, theirs) = (by_us(&book(&root), &database, &lock), by_their_library(&database, &lock));
    assert_eq!(ours, theirs);
    assert_eq!(by_the_command(&root, &text), theirs);
    let all: usize = theirs.values().map(BTreeSet::len).sum();
    assert!(theirs.len() > 25 && all > 40, "only {all} in {} packages", theirs.len());
    assert!(theirs.values().flatten().any(|found| found.ends_with("unmaintained")));
}

#[test]
fn the_lock_of_the_corpus_has_what_their_library_finds() {
    let Some(corpus) = corpus() else { return };
    let root = corpus.join("rustsec-advisories");
    let text = std::fs::read_to_string(corpus.join("polyglot-otel-demo/src/shipping/Cargo.lock")).expect("a lock");
    let lock: Lockfile = text.parse().expect("a lock");
    assert!(lock.packages.len() > 300);
    let database = Database::open(&root).expect("their library reads it");
    let theirs = by_their_library(&database, &lock);
    assert_eq!(by_us(&book(&root), &database, &lock), theirs);
    assert_eq!(by_the_command(&root, &text), theirs);
}

/// Versions at, below and above each end of each requirement of an advisory.
fn around(advisory: &rustsec::Advisory) -> BTreeSet<Version> {
    let mut versions = BTreeSet::from([Version::new(0, 0, 0), Version::new(999, 0, 0)]);
    for requirement in advisory.versions.patched().iter().chain(advisory.versions.unaffected()) {
        for end in &requirement.comparators {
            let (major, minor, patch) = (end.major, end.minor.unwrap_or(0), end.patch.unwrap_or(0));
            let plain = [
                (major, minor, patch),
                (major, minor, patch + 1),
                (major, minor, patch.saturating_sub(1)),
                (major, minor + 1, 0),
                (major, minor.saturating_sub(1), 99),
                (major + 1, 0, 0),
                (major.saturating_sub(1), 99, 99),
            ];
            for (major, minor, patch) in plain {
                for suffix in ["", "-0", "-alpha", "-alpha.1", "-rc.1", "+build", "-rc.1+build"] {
                    versions.insert(format!("{major}.{minor}.{patch}{suffix}").parse().expect("a version"));
                }
            }
            for suffix in [format!("-{}", end.pre), format!("-{}.0", end.pre)].iter().filter(|_| !end.pre.is_empty()) {
                versions.insert(format!("{major}.{minor}.{patch}{suffix}").parse().expect("a version"));
            }
        }
    }
    versions
}

#[test]
fn every_advisory_is_judged_as_they_do_around_each_of_its_ends() {
    let Some(corpus) = corpus() else { return };
    let root = corpus.join("rustsec-advisories");
    let (book, database) = (book(&root), Database::open(&root).expect("their library reads it"));
    assert_eq!(book.len(), database.iter().count());
    let mut judged = 0;
    for advisory in database.iter() {
        let name = advisory.metadata.package.as_str();
        for version in around(advisory) {
            let ours = holes(&book, name, &version.to_string())
                .iter()
                .any(|hole| hole.ids.contains(&advisory.id().to_string()));
            let theirs = !advisory.withdrawn() && advisory.versions.is_vulnerable(&version);
            assert_eq!(ours, theirs, "{} {name} {version}", advisory.id());
            judged += 1;
        }
    }
    assert!(judged > 30_000, "only {judged}");
}

#[test]
fn requirements_mean_what_they_mean_to_their_library() {
    for (patched, unaffected) in [
        (r#"[]"#, r#"[]"#),
        (r#"[">= 1.2.3"]"#, r#"[]"#),
        (r#"["> 1.2.3"]"#, r#"["< 0.3"]"#),
        (r#"["^1.2.3", ">= 2.0.1"]"#, r#"["<= 0.1.0-rc.1"]"#),
        (r#"["1.2", "~2.3.4", "~3"]"#, r#"["^0.0.3", "=0.2.0", "^0.5"]"#),
        (r#"[">= 1.2.0, < 1.3.0", ">= 1.4.0-alpha.2"]"#, r#"["> 0.1, <= 0.2"]"#),
        (r#"["^0", ">= 3"]"#, r#"[]"#),
        (r#"["*"]"#, r#"[]"#),
        (r#"[">= 1.2.3-beta.2"]"#, r#"["< 1.0.0-0"]"#),
    ] {
        let text = format!(
            "```toml\n[advisory]\nid = \"RUSTSEC-2099-0001\"\npackage = \"sample\"\ndate = \"2099-01-01\"\n\n[versions]\n\
             patched = {patched}\nunaffected = {unaffected}\n```\n\n# A sample\n\nText.\n"
        );
        let theirs: rustsec::Advisory = text.parse().expect("their library reads it");
        let mut book = Book::default();
        assert!(book.read("crates/sample/RUSTSEC-2099-0001.md", &text));
        for version in around(&theirs) {
            let ours = !holes(&book, "sample", &version.to_string()).is_empty();
            assert_eq!(ours, theirs.versions.is_vulnerable(&version), "{patched} {unaffected} {version}");
        }
    }
}
