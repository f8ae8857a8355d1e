//! RustSec's advisories: Markdown with TOML in a fence at its start (`crates/NAME/RUSTSEC-….md`), or TOML alone, as it was
//! before. The format is that of `EXAMPLE_ADVISORY.md` in the database.

use std::borrow::Cow;

use crate::cvss;
use crate::format::registry::is_default;
use crate::format::toml;
use crate::format::tree::Node;
use crate::model::Ecosystem;
use crate::osv::fields::{table, text, texts};
use crate::osv::{Advisory, Affected, Broken, Interval, Only, Range, address, kept};

/// Where a file of the database stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// `crates/NAME/`: about a package of crates.io.
    Crate(&'a str),
    /// `rust/NAME/`: about what comes with the compiler.
    Rust,
}

/// Where a file stands, by its path. None: it is none of the database's, a README for example.
pub fn place(path: &str) -> Option<Place<'_>> {
    let mut parts = path.rsplit('/');
    let (file, package, collection) = (parts.next()?, parts.next(), parts.next());
    let named = file.starts_with("RUSTSEC-") && (file.ends_with(".md") || file.ends_with(".toml"));
    match (named, collection, package) {
        (true, Some("rust"), _) => Some(Place::Rust),
        (true, _, Some(package)) => Some(Place::Crate(package)),
        // Alone in a folder that was named: the file says itself what it is about.
        (true, _, None) => Some(Place::Crate("")),
        _ => None,
    }
}

/// Reads one advisory.
///
/// # Errors
/// What has no fence of TOML and is none, what lacks an id, a package or `versions.patched`, and what has a field of another
/// type. A requirement that can't be read is no error: the package's versions are then unknown.
pub fn read(text: &str) -> Result<Advisory, Broken> {
    let text = text.trim_start_matches('\u{feff}');
    let (front, title) = match text.strip_prefix("```toml") {
        Some(after) => {
            let (front, rest) = after.split_once("\n```").ok_or_else(|| Broken::new(Some(1), "the TOML has no end"))?;
            (front.trim_end_matches('\r'), rest.lines().find_map(|line| line.strip_prefix("# ")))
        }
        None => (text, None),
    };
    // Newer files leave out the table that all begin with.
    let headless = !front.lines().any(|line| line.trim_start().starts_with("[advisory]"));
    let whole = if headless { Cow::Owned(format!("[advisory]\n{front}")) } else { Cow::Borrowed(front) };
    let advisory = match toml::read(&whole) {
        Ok(document) => advisory(&document.root, title),
        Err(broken) => Err(Broken { line: Some(broken.line), message: broken.message }),
    };
    advisory.map_err(|broken| {
        let line = broken.line.map(|line| line.saturating_sub(u32::from(headless)).max(1));
        Broken::new(line, &format!("not an advisory of RustSec: {}", broken.message))
    })
}

fn advisory(root: &Node<'_>, title: Option<&str>) -> Result<Advisory, Broken> {
    let missing = |what: &str| Broken::new(None, &format!("it has no `{what}`"));
    let head = root.get("advisory").ok_or_else(|| missing("advisory"))?;
    let id = text(head, "id")?.map(kept).filter(|id| !id.is_empty()).ok_or_else(|| missing("id"))?;
    let package = text(head, "package")?.map(str::trim).filter(|name| !name.is_empty());
    let package = package.ok_or_else(|| missing("package"))?;
    let versions = root.get("versions").filter(|versions| versions.get("patched").is_some());
    let versions = versions.ok_or_else(|| missing("versions.patched"))?;
    let rating = text(head, "cvss")?.and_then(cvss::rate);
    // Packages of the compiler and of other registries have the names of others here.
    let foreign = text(head, "collection")? == Some("rust")
        || text(head, "source")?.is_some_and(|source| !is_default(Ecosystem::CratesIo, source));
    let affected = Affected {
        ecosystem: Ecosystem::CratesIo,
        name: package.to_owned(),
        rating: None,
        informational: None,
        versions: Vec::new(),
        ranges: vec![range(&texts(versions, "patched")?, &texts(versions, "unaffected")?)],
        only: root.get("affected").map_or_else(|| Ok(Only::default()), only)?,
    };
    let title = title.or(text(head, "title")?).unwrap_or_default();
    let own = text(head, "url")?.and_then(address);
    Ok(Advisory {
        aliases: texts(head, "aliases")?.iter().map(|alias| kept(alias)).filter(|alias| *alias != id).collect(),
        summary: kept(title),
        severity: rating.map(|rating| rating.severity),
        score: rating.and_then(|rating| rating.score),
        withdrawn: head.get("withdrawn").is_some(),
        informational: text(head, "informational")?.map(kept),
        affected: if foreign { Vec::new() } else { vec![affected] },
        url: own.or_else(|| address(&format!("https://rustsec.org/advisories/{id}.html"))),
        id,
    })
}

fn range(patched: &[String], unaffected: &[String]) -> Range {
    let intervals = |requirements: &[String]| {
        let read = |text: &String| {
            Interval::read(text).map_err(|error| format!("`{}` is no requirement: {}", kept(text), kept(&error)))
        };
        requirements.iter().map(read).collect::<Result<Vec<_>, _>>()
    };
    match (intervals(patched), intervals(unaffected)) {
        (Ok(patched), Ok(unaffected)) => Range::Unless { patched, unaffected },
        (Err(why), _) | (_, Err(why)) => Range::Unreadable(why),
    }
}

fn only(part: &Node<'_>) -> Result<Only, Broken> {
    let names = |key: &str| Ok(texts(part, key)?.iter().map(|name| kept(name)).collect());
    let functions = table(part, "functions")?.iter().map(|function| {
        // A requirement of a function that can't be read narrows nothing.
        let versions = function.value.list().iter().map(|version| Interval::read(version.text().unwrap_or_default()));
        (kept(&function.key), versions.collect::<Result<Vec<_>, _>>().unwrap_or_default())
    });
    Ok(Only { functions: functions.collect(), arch: names("arch")?, os: names("os")? })
}

#[cfg(test)]
mod tests {
    use convoke_sdk::Severity;

    use super::*;
    use crate::osv::{Book, Hole, Judged};

    const SAMPLE: &str = r#"```toml
[advisory]
id = "RUSTSEC-2099-0001"
package = "some_crate"
date = "2099-01-01"
url = "https://some-crate.example/issues/1"
cvss = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"
aliases = ["CVE-2099-0001"]

[affected]
os = ["windows"]
functions = { "some_crate::open" = ["< 1.2.0"], "some_crate::close" = [">= 1.2.0"] }

[versions]
patched = ["^1.4.2", "> 2.0.0"]
unaffected = ["< 1.0.0"]
```

# It opens too much

More about it.
"#;

    fn hole(text: &str, version: &str) -> Option<Hole> {
        let mut book = Book::default();
        book.add(read(text).expect("an advisory"));
        match book.judge(Ecosystem::CratesIo, "some-crate", version) {
            Judged::Safe => None,
            Judged::Affected(mut holes) => holes.pop(),
            Judged::Unknown(why) => panic!("{why}"),
        }
    }

    #[test]
    fn an_advisory_says_what_is_patched_and_what_never_was_affected() {
        let found = hole(SAMPLE, "1.1.0").unwrap();
        assert_eq!(
            (found.ids, found.aliases),
            (vec!["RUSTSEC-2099-0001".to_owned()], vec!["CVE-2099-0001".to_owned()])
        );
        assert_eq!((found.severity, found.score), (Some(Severity::High), Some(7.5)));
        assert_eq!(found.fixed, ["1.4.2", ">2.0.0"]);
        assert_eq!((found.summary.as_str(), found.os), ("It opens too much", vec!["windows".to_owned()]));
        assert_eq!(found.url.as_deref(), Some("https://some-crate.example/issues/1"));
        assert_eq!(found.functions, ["some_crate::open"]);
        assert_eq!(hole(SAMPLE, "1.3.0").unwrap().functions, ["some_crate::close"]);
        for safe in ["0.9.9", "1.0.0-rc.1", "1.4.2", "1.99.0", "2.0.1"] {
            assert_eq!(hole(SAMPLE, safe), None, "{safe}");
        }
        for affected in ["1.0.0", "1.4.2-rc.1", "2.0.0-0", "2.0.0"] {
            assert!(hole(SAMPLE, affected).is_some(), "{affected}");
        }
    }

    #[test]
    fn what_is_informational_is_low_or_less() {
        let of = |kind: &str| {
            let vector = "cvss = \"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N\"";
            let found = hole(&SAMPLE.replace(vector, &format!("informational = \"{kind}\"")), "1.1.0").unwrap();
            assert_eq!(found.informational.as_deref(), Some(kind));
            found.severity
        };
        assert_eq!(of("unsound"), Some(Severity::Low));
        assert_eq!(of("unmaintained"), Some(Severity::Info));
        assert_eq!(of("notice"), Some(Severity::Info));
    }

    #[test]
    fn what_was_withdrawn_or_is_about_something_else_affects_nothing() {
        let with = |line: &str| SAMPLE.replace("date =", &format!("{line}\ndate ="));
        for line in [
            "withdrawn = \"2099-02-01\"",
            "withdrawn = 2099-02-01",
            "collection = \"rust\"",
            "source = \"registry+https://registry.example/\"",
        ] {
            assert_eq!(hole(&with(line), "1.1.0"), None, "{line}");
        }
        assert!(hole(&with("collection = \"crates\""), "1.1.0").is_some());
        let mut book = Book::default();
        assert!(book.read("rust/some_crate/RUSTSEC-2099-0001.md", SAMPLE));
        assert_eq!(book.judge(Ecosystem::CratesIo, "some_crate", "1.1.0"), Judged::Safe);
    }

    #[test]
    fn older_and_newer_forms_are_read_too() {
        let toml = SAMPLE.trim_start_matches("```toml\n").split("\n```").next().unwrap();
        assert_eq!(
            read(&toml.replace("date =", "title = \"It opens too much\"\ndate =")).unwrap().summary,
            "It opens too much"
        );
        assert_eq!(read(&SAMPLE.replace("[advisory]\n", "")).unwrap().id, "RUSTSEC-2099-0001");
        assert_eq!(read(&SAMPLE.replace('\n', "\r\n")).unwrap().summary, "It opens too much");
        assert_eq!(read(&format!("\u{feff}{SAMPLE}")).unwrap().id, "RUSTSEC-2099-0001");
    }

    #[test]
    fn what_is_broken_is_told_with_its_line() {
        let line = |text: &str| read(text).expect_err("it is broken").line;
        assert_eq!(line(&SAMPLE.replace("\"some_crate\"", "")), Some(4));
        assert_eq!(line(&SAMPLE.replace("[advisory]\n", "").replace("\"some_crate\"", "5")), Some(3));
        assert_eq!(line("```toml\n[advisory]\n"), Some(1));
        assert!(read(&SAMPLE.replace("[\"CVE-2099-0001\"]", &"[".repeat(100_000))).is_err());
        let error = read(&SAMPLE.replace("[\"CVE-2099-0001\"]", "[1]")).expect_err("it is no text");
        assert_eq!(
            error.to_string(),
            "line 8: not an advisory of RustSec: `aliases` should be a list of texts and is a number"
        );
        for broken in ["", "```toml\n```", "# Only text", "\u{1b}[2J"] {
            assert!(read(broken).is_err(), "{broken}");
        }
        assert!(read(&SAMPLE.replace("patched =", "other =")).is_err());
        assert!(read(&SAMPLE.replace("\"RUSTSEC-2099-0001\"", "\"\"")).is_err());
        let odd = read(&SAMPLE.replace("^1.4.2", "later")).unwrap();
        assert!(
            matches!(&odd.affected[0].ranges[0], Range::Unreadable(why) if why.contains("`later` is no requirement"))
        );
    }

    #[test]
    fn no_file_ends_the_component() {
        crate::format::testing::mangled(SAMPLE, |text| {
            let mut book = Book::default();
            book.read("crates/some_crate/RUSTSEC-2099-0001.md", text);
            let _ = book.judge(Ecosystem::CratesIo, "some_crate", "1.1.0");
        });
        for requirement in ["^18446744073709551615", "~0.18446744073709551615", "^0.0.18446744073709551615", "*", "1.*"]
        {
            assert!(Interval::read(requirement).is_ok(), "{requirement}");
        }
    }

    #[test]
    fn only_files_of_the_database_have_a_place() {
        assert_eq!(place("db/crates/time/RUSTSEC-2020-0071.md"), Some(Place::Crate("time")));
        assert_eq!(place("rust/std/RUSTSEC-2099-0001.md"), Some(Place::Rust));
        assert_eq!(place("RUSTSEC-2099-0001.md"), Some(Place::Crate("")));
        assert_eq!(place("crates/time/README.md"), None);
        assert_eq!(place("RUSTSEC-2099-0001.md.orig"), None);
    }
}
