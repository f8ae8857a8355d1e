//! Names that the repository doesn't have.

use convoke_sdk::prelude::*;
use convoke_sdk::text::shown;

use crate::markdown::{Document, Place};
use crate::names::{Facts, Mention, What, Wrong, mentions};
use crate::rules::{Found, Repair};

/// The most findings of one rule in one document; more than that says nothing new.
const MOST: usize = 20;

/// The rule that finds a wrong name of a kind, and how bad that is.
pub fn rule(what: What) -> (&'static str, Severity) {
    match what {
        What::Path | What::Argument => ("path-missing", Severity::Medium),
        What::Import => ("import-missing", Severity::Medium),
        What::Script | What::Target | What::Recipe => ("script-missing", Severity::Medium),
        What::Bin | What::Example | What::Test | What::Bench | What::Feature | What::Package => {
            ("cargo-name-missing", Severity::Medium)
        }
        What::Service => ("service-missing", Severity::Medium),
        What::Module => ("module-missing", Severity::Medium),
        What::Variable => ("variable-unknown", Severity::Low),
        What::Flag => ("flag-unknown", Severity::Medium),
        What::Port => ("port-unknown", Severity::Low),
        What::Version => ("version-too-low", Severity::Medium),
    }
}

/// What is wrong with the names in a document; `text` is the document's.
pub fn found(document: &Document, path: &str, text: &str, facts: &Facts) -> Found {
    Found {
        findings: check(document, path, facts),
        repairs: repairs(document, path, text, facts),
        judged: facts.judged,
        not_judged: [(NOT_JUDGED, facts.unjudged)].into_iter().filter(|(_, count)| *count > 0).collect(),
    }
}

/// Why a name is not judged.
const NOT_JUDGED: &str = "names that may be anybody's";

/// The names in a document that are wrong, in the order of its lines.
pub fn check(document: &Document, path: &str, facts: &Facts) -> Vec<Finding> {
    let mut found: Vec<(Place, Finding)> = Vec::new();
    for (mention, wrong) in wrong(document, path, facts) {
        let (rule, severity) = rule(mention.name.what);
        if found.iter().filter(|(_, finding)| finding.rule == rule).count() >= MOST {
            continue;
        }
        let mut finding = Finding::new(rule, severity, message(wrong)).at(path, mention.place.line);
        if let Some(instead) = &wrong.instead {
            finding = finding.help(format!("write `{}`", shown(instead, 200)));
        }
        found.push((mention.place, finding));
    }
    found.sort_by_key(|(place, _)| (place.line, place.start));
    found.into_iter().map(|(_, finding)| finding).collect()
}

fn wrong<'a>(document: &Document, path: &str, facts: &'a Facts) -> Vec<(Mention, &'a Wrong)> {
    let all = if facts.wrong.is_empty() { Vec::new() } else { mentions(document, path).all };
    let wrong = |mention: Mention| {
        let wrong = facts.wrong.iter().find(|wrong| wrong.name == mention.name)?;
        Some((mention, wrong))
    };
    all.into_iter().filter_map(wrong).collect()
}

fn message(wrong: &Wrong) -> String {
    let name = shown(&wrong.name.text, 200);
    let why = &wrong.why;
    match wrong.name.what {
        What::Path | What::Argument => format!("`{name}` is not there: {why}"),
        What::Import => format!("`@{name}` leads nowhere: {why}"),
        What::Script => format!("`{name}` can't be run: {why}"),
        What::Target => format!("`make {name}` can't be run: {why}"),
        What::Recipe => format!("`just {name}` can't be run: {why}"),
        What::Bin | What::Example | What::Test | What::Bench => format!("Cargo has nothing to run as `{name}`: {why}"),
        What::Feature => format!("the feature `{name}` is not there: {why}"),
        What::Package => format!("the package `{name}` is not there: {why}"),
        What::Service => format!("the service `{name}` is not there: {why}"),
        What::Module => format!("`python -m {name}` can't be run: {why}"),
        What::Variable => format!("the variable `{name}` is not read: {why}"),
        What::Flag => format!("the flag `--{name}` is not there: {why}"),
        What::Port => format!("nothing is known to answer at port {name}: {why}"),
        What::Version => format!("{} {name} is too old: {why}", shown(&wrong.name.of, 40)),
    }
}

/// Repairs of the names for which exactly one other is meant and which stand in inline code: where, and what is written there.
/// `text` is the document's.
pub fn repairs(document: &Document, path: &str, text: &str, facts: &Facts) -> Vec<Repair> {
    let mut repairs: Vec<Repair> = Vec::new();
    for (mention, wrong) in wrong(document, path, facts) {
        let Some(instead) = &wrong.instead else { continue };
        // In a fence the place is that of all of it, and a name may stand there for more than one thing.
        let at = document.codes.partition_point(|code| code.place.start < mention.place.start);
        let is_inline = document.codes.get(at).is_some_and(|code| code.place == mention.place);
        let code = text.get(mention.place.start..mention.place.end);
        let Some(code) = code.filter(|_| is_inline) else { continue };
        let Some(start) = only(code, &wrong.name.text) else { continue };
        let start = mention.place.start + start;
        let end = start + wrong.name.text.len();
        if repairs.iter().all(|other| other.place.end <= start || end <= other.place.start) {
            let reason = format!("`{}` is `{}`", shown(&wrong.name.text, 120), shown(instead, 120));
            let place = Place { start, end, line: mention.place.line };
            repairs.push(Repair { place, text: instead.clone(), reason });
        }
    }
    repairs.sort_by_key(|repair| repair.place.start);
    repairs
}

/// Where a name stands in a code, whole, and once.
fn only(code: &str, name: &str) -> Option<usize> {
    let inside =
        |char: Option<char>| char.is_some_and(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '/'));
    let mut places = code.match_indices(name).map(|(at, _)| at).filter(|at| {
        let before = code.get(..*at).and_then(|before| before.chars().next_back());
        let after = code.get(at + name.len()..).and_then(|after| after.chars().next());
        !inside(before) && !inside(after)
    });
    places.next().filter(|_| places.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::markdown::parse;
    use crate::names::testing::repository;

    const FILES: &[(&str, &str)] = &[
        ("src/engine/store.rs", ""),
        ("Makefile", "lint:\n"),
        ("package.json", r#"{"scripts":{"dev":""},"engines":{"node":"20"}}"#),
        ("Cargo.toml", "[package]\nname='tool'\n"),
        ("src/main.rs", "clap env(\"TOOL_A\") env(\"TOOL_B\")"),
        ("compose.yml", "services:\n  web:\n"),
        ("py/__init__.py", ""),
    ];

    fn found(text: &str) -> Vec<String> {
        let document = parse(text);
        let facts = repository(FILES).about(&document, "CLAUDE.md");
        let findings = check(&document, "CLAUDE.md", &facts);
        findings.iter().map(|finding| format!("{} {}", finding.line.unwrap_or(0), finding.rule)).collect()
    }

    #[test]
    fn each_kind_of_name_has_its_rule() {
        for (text, rule) in [
            ("`src/engine/gone.rs`", "path-missing"),
            ("@docs/gone.md", "import-missing"),
            ("`make gone`", "script-missing"),
            ("`npm run gone`", "script-missing"),
            ("`cargo run --bin gone`", "cargo-name-missing"),
            ("`docker compose up gone`", "service-missing"),
            ("`python -m py.gone`", "module-missing"),
            ("`TOOL_GONE`", "variable-unknown"),
            ("`tool --gone-flag`", "flag-unknown"),
            ("<http://localhost:7124>", "port-unknown"),
            ("Requires Node 18.", "version-too-low"),
        ] {
            assert_eq!(found(text), [format!("1 {rule}")], "{text}");
        }
    }

    #[test]
    fn findings_stand_in_their_lines() {
        let text = "# A\n\n`make gone`\n\n- ```sh\n  cd src\n  npm run gone\n  ```\n\nAgain `make gone`.\n";
        assert_eq!(found(text), ["3 script-missing", "7 script-missing", "10 script-missing"]);
    }

    #[test]
    fn a_repair_writes_the_one_name_that_is_meant() {
        let repaired = |text: &str| {
            let document = parse(text);
            let facts = repository(FILES).about(&document, "README.md");
            let mut repaired = text.to_owned();
            for repair in repairs(&document, "README.md", text, &facts).iter().rev() {
                repaired.replace_range(repair.place.start..repair.place.end, &repair.text);
            }
            repaired
        };
        for (text, expected) in [
            ("See ``src/store.rs``, `make lin`.", "See ``src/engine/store.rs``, `make lint`."),
            ("`src/store.rs:3` é `former/store.rs`", "`src/engine/store.rs:3` é `src/engine/store.rs`"),
            ("`make lin lin` `make gone`", "`make lin lin` `make gone`"),
            ("```sh\nmake lin\n```", "```sh\nmake lin\n```"),
        ] {
            assert_eq!(repaired(text), expected);
        }
    }

    #[test]
    fn a_document_full_of_the_same_is_cut() {
        let text: String = (0..50).map(|at| format!("`src/engine/gone{at}.rs`\n")).collect();
        assert_eq!(found(&text).len(), MOST);
    }

    #[test]
    fn what_is_wrong_can_not_act_on_a_terminal() {
        let wrong = Wrong {
            name: crate::names::Name {
                what: What::Script,
                text: "a\u{1b}[31m".to_owned(),
                of: String::new(),
                cloned: String::new(),
            },
            why: "x".to_owned(),
            instead: None,
        };
        assert!(!message(&wrong).contains('\u{1b}'));
    }
}
