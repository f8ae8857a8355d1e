//! Names that are one slip of the finger from those of well-known packages, as impostors take them.
//!
//! Precision counts more than completeness: who is told of twenty honest packages doesn't read the twenty-first. So names that only
//! their owner can give away (a scope of npm, a group of Maven, an organisation of a code host, a reserved prefix of NuGet) are not
//! near others of the same owner, numbers are versions and no slips, and honest neighbours that are known stand in a list, with a
//! reason each.

mod edit;

use convoke_sdk::small::Map;
use std::sync::OnceLock;

use crate::model::Ecosystem;
use edit::is_slip;

/// The fewest letters of a name that is judged, and of one that others are near to.
const FEWEST: usize = 4;
/// The longest name that is judged, in bytes: far over the limits of all registries.
const LONGEST: usize = 500;
/// Which packages are known to be honest.
const HONEST: &str = include_str!("honest.txt");
/// Prefixes that NuGet has reserved for their owners.
const RESERVED: [&str; 14] = [
    "aspire.",
    "awssdk.",
    "azure.",
    "dotnet.",
    "elastic.",
    "google.",
    "grpc.",
    "jetbrains.",
    "masstransit.",
    "microsoft.",
    "opentelemetry.",
    "runtime.",
    "serilog.",
    "system.",
];
/// Hosts on which anybody can have an organisation.
const HOSTS: [&str; 5] = ["github.com", "gitlab.com", "bitbucket.org", "codeberg.org", "gopkg.in"];

/// The well-known package whose name a name is near to, as it writes itself: one letter more, less or another, two that are
/// swapped, other or no separators, or letters that look alike. None: it is near to none, or well-known itself.
pub fn near(ecosystem: Ecosystem, name: &str) -> Option<&'static str> {
    if name.len() > LONGEST || name.chars().filter(|char| char.is_alphanumeric()).count() < FEWEST {
        return None;
    }
    let names = Names::of(ecosystem);
    let name = same(ecosystem, name);
    if names.known.contains_key(name.as_str()) {
        return None;
    }
    let honest = |known: &Known| names.honest.contains(&(name.as_str(), known.name));
    let found = by_look(names, &name).or_else(|| {
        names
            .known_by_length(name.chars().count())
            .find(|known| is_slip(&name, &known.same) && !is_owned(ecosystem, &name, &known.same))
    });
    found.filter(|known| !honest(known) && !is_owned(ecosystem, &name, &known.same)).map(|known| known.name)
}

/// A well-known package.
struct Known {
    /// As it writes itself.
    name: &'static str,
    /// As its ecosystem compares it.
    same: String,
    length: usize,
}

/// What is known of an ecosystem.
struct Names {
    /// By length, so that those of another one need not be looked at.
    all: Vec<Known>,
    /// By how they are compared: places in `all`.
    known: Map<String, usize>,
    /// By how they look. None: several look so.
    looks: Map<String, Option<usize>>,
    honest: Vec<(&'static str, &'static str)>,
}

impl Names {
    fn of(ecosystem: Ecosystem) -> &'static Self {
        static ALL: [OnceLock<Names>; 7] = [const { OnceLock::new() }; 7];
        let (at, id, text) = match ecosystem {
            Ecosystem::CratesIo => (0, "crates.io", include_str!("crates.txt")),
            Ecosystem::Npm => (1, "npm", include_str!("npm.txt")),
            Ecosystem::PyPI => (2, "PyPI", include_str!("pypi.txt")),
            Ecosystem::Go => (3, "Go", include_str!("go.txt")),
            Ecosystem::Maven => (4, "Maven", include_str!("maven.txt")),
            Ecosystem::NuGet => (5, "NuGet", include_str!("nuget.txt")),
            Ecosystem::RubyGems => (6, "RubyGems", include_str!("rubygems.txt")),
        };
        ALL[at].get_or_init(|| Self::read(ecosystem, id, text))
    }

    fn read(ecosystem: Ecosystem, id: &str, text: &'static str) -> Self {
        let mut all: Vec<Known> = text
            .lines()
            .map(|name| {
                let same = same(ecosystem, name);
                Known { name, length: same.chars().count(), same }
            })
            .collect();
        convoke_sdk::small::sort_by_key(&mut all, |known| known.length);
        let known = all.iter().enumerate().map(|(at, known)| (known.same.clone(), at)).collect();
        let mut looks: Map<String, Option<usize>> = Map::new();
        for (at, known) in all.iter().enumerate().filter(|(_, known)| known.length >= FEWEST) {
            looks.entry(look(&known.same)).and_modify(|several| *several = None).or_insert(Some(at));
        }
        let lines = HONEST.lines().filter_map(|line| line.strip_prefix(id)?.strip_prefix(' '));
        let honest = lines.filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?))
        });
        Self { all, known, looks, honest: honest.collect() }
    }

    /// Those that are at most one letter longer or shorter.
    fn known_by_length(&self, length: usize) -> impl Iterator<Item = &Known> {
        let from = self.all.partition_point(|known| known.length + 1 < length);
        self.all.iter().skip(from).take_while(move |known| known.length <= length + 1)
    }
}

/// A name as its ecosystem compares it.
fn same(ecosystem: Ecosystem, name: &str) -> String {
    match ecosystem {
        Ecosystem::PyPI => {
            let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
            parts.collect::<Vec<_>>().join("-").to_lowercase()
        }
        Ecosystem::CratesIo => name.to_lowercase().replace('_', "-"),
        Ecosystem::NuGet => name.to_lowercase(),
        Ecosystem::Go => {
            // A later major version of a module is another module of the same people.
            let is_major = |end: &str| {
                end.strip_prefix('v').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            };
            let name = name.rsplit_once('/').filter(|(_, end)| is_major(end)).map_or(name, |(name, _)| name);
            name.to_lowercase()
        }
        Ecosystem::Npm | Ecosystem::Maven | Ecosystem::RubyGems => name.to_owned(),
    }
}

/// How a name looks at a glance: without separators, and what looks alike is the same.
fn look(name: &str) -> String {
    let mut look = String::new();
    for char in name.chars().flat_map(char::to_lowercase) {
        look.push(match char {
            '-' | '_' | '.' => continue,
            '0' | 'о' | 'ο' | 'օ' => 'o',
            '1' | 'і' | 'ı' | 'ι' => 'l',
            '5' | 'ѕ' => 's',
            'а' | 'α' => 'a',
            'с' | 'ϲ' => 'c',
            'е' | 'є' => 'e',
            'һ' => 'h',
            'ј' => 'j',
            'к' | 'κ' => 'k',
            'м' => 'm',
            'п' => 'n',
            'р' | 'ρ' => 'p',
            'т' | 'τ' => 't',
            'υ' | 'ս' => 'u',
            'ν' | 'ѵ' => 'v',
            'х' | 'χ' => 'x',
            'у' | 'γ' => 'y',
            char => char,
        });
    }
    look.replace("rn", "m").replace("vv", "w").replace('i', "l")
}

/// The well-known package that looks the same.
fn by_look<'n>(names: &'n Names, name: &str) -> Option<&'n Known> {
    names.looks.get(&look(name)).copied().flatten().and_then(|at| names.all.get(at))
}

/// Whether only the owner of the other one could have taken the name.
fn is_owned(ecosystem: Ecosystem, name: &str, known: &str) -> bool {
    let owner = |name: &str| -> Option<String> {
        match ecosystem {
            Ecosystem::Npm => name.strip_prefix('@')?.split_once('/').map(|(scope, _)| scope.to_owned()),
            Ecosystem::Maven => name.split_once(':').map(|(group, _)| group.to_owned()),
            Ecosystem::NuGet => RESERVED.into_iter().find(|start| name.starts_with(start)).map(str::to_owned),
            Ecosystem::Go => {
                let mut parts = name.split('/');
                let host = parts.next()?;
                let organisation = if HOSTS.contains(&host) { parts.next()? } else { "" };
                Some(format!("{host}/{organisation}"))
            }
            Ecosystem::CratesIo | Ecosystem::PyPI | Ecosystem::RubyGems => None,
        }
    };
    match (owner(name), owner(known)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Ecosystem::{CratesIo, Go, Maven, Npm, NuGet, PyPI, RubyGems};

    #[test]
    fn a_slip_of_the_finger_is_near() {
        for (ecosystem, name, known) in [
            (Npm, "lodahs", "lodash"),
            (Npm, "loadash", "lodash"),
            (Npm, "expres", "express"),
            (Npm, "axois", "axios"),
            (Npm, "crossenv", "cross-env"),
            (Npm, "cross_env", "cross-env"),
            (Npm, "l0dash", "lodash"),
            (Npm, "reactdom", "react-dom"),
            (Npm, "lodаsh", "lodash"),
            (Npm, "electorn", "electron"),
            (Npm, "@bable/core", "@babel/core"),
            (Npm, "cross-spavvn", "cross-spawn"),
            (PyPI, "reqeusts", "requests"),
            (PyPI, "Python_DateUtill", "python-dateutil"),
            (PyPI, "djang0", "django"),
            (PyPI, "colourama", "colorama"),
            (CratesIo, "rustdecimal", "rust_decimal"),
            (CratesIo, "serde_jsom", "serde_json"),
            (RubyGems, "atlas-client", ""),
            (RubyGems, "nokogirl", "nokogiri"),
            (RubyGems, "rspec_core", "rspec-core"),
            (NuGet, "newtonsoft.jsn", "Newtonsoft.Json"),
            (NuGet, "Newtonsoft-Json", "Newtonsoft.Json"),
            (Maven, "com.fasterxml.jackson.cor:jackson-databind", "com.fasterxml.jackson.core:jackson-databind"),
            (Maven, "org.sfl4j:slf4j-api", "org.slf4j:slf4j-api"),
            (Go, "github.com/gin-gonlc/gin", "github.com/gin-gonic/gin"),
            (Go, "github.com/stretchrr/testify/v2", "github.com/stretchr/testify"),
        ] {
            assert_eq!(near(ecosystem, name).unwrap_or_default(), known, "{name}");
        }
    }

    #[test]
    fn what_is_known_or_owned_or_short_is_not_near() {
        for (ecosystem, name) in [
            (Npm, "react"),
            (Npm, "preact"),
            (Npm, "vuex"),
            (Npm, "koa"),
            (Npm, "co"),
            (Npm, "nats"),
            (Npm, "color"),
            (Npm, "@babel/cores"),
            (Npm, "@types/nodes"),
            (Npm, "lodash4"),
            (Npm, "react-18"),
            (Npm, "object.assign"),
            (Npm, "enquirer"),
            (PyPI, "boto"),
            (PyPI, "urllib4"),
            (PyPI, "Flask_SQLAlchemy"),
            (PyPI, "pyaml"),
            (CratesIo, "serde-json"),
            (CratesIo, "md5"),
            (CratesIo, "sha1"),
            (NuGet, "newtonsoft.json"),
            (NuGet, "Microsoft.Extensions.Http.Poly"),
            (Maven, "org.springframework:spring-oxm"),
            (Maven, "org.apache.commons:commons-lang2"),
            (Maven, "org.scalatest:scalatest_2.12"),
            (Go, "github.com/go-chi/chi/v5"),
            (Go, "github.com/Sirupsen/logrus"),
            (Go, "gopkg.in/yaml.v1"),
            (Go, "golang.org/x/tool"),
            (Go, "github.com/fork/cobra"),
        ] {
            assert_eq!(near(ecosystem, name), None, "{name}");
        }
    }

    #[test]
    fn the_lists_are_sorted_and_each_name_stands_once() {
        let lists = [
            (CratesIo, include_str!("crates.txt")),
            (Npm, include_str!("npm.txt")),
            (PyPI, include_str!("pypi.txt")),
            (Go, include_str!("go.txt")),
            (Maven, include_str!("maven.txt")),
            (NuGet, include_str!("nuget.txt")),
            (RubyGems, include_str!("rubygems.txt")),
        ];
        for (ecosystem, text) in lists {
            let names: Vec<&str> = text.lines().collect();
            assert!(names.is_sorted() && names.len() >= 150, "{ecosystem:?}");
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{ecosystem:?}");
            assert!(names.iter().all(|name| near(ecosystem, name).is_none()), "{ecosystem:?}");
            assert_eq!(Names::of(ecosystem).known.len(), names.len(), "{ecosystem:?}: two are the same to it");
        }
    }

    #[test]
    fn each_exception_has_a_reason_and_is_needed() {
        let mut left = HONEST.lines().filter(|line| !line.starts_with('#')).count();
        for (ecosystem, id) in [(CratesIo, "crates.io"), (Npm, "npm"), (PyPI, "PyPI")] {
            for line in HONEST.lines().filter_map(|line| line.strip_prefix(id)?.strip_prefix(' ')) {
                let [name, other, _, ..] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("no reason: {line}") };
                let (name, other) = (same(ecosystem, name), same(ecosystem, other));
                assert!(Names::of(ecosystem).known.contains_key(&other), "{line}");
                assert!(is_slip(&name, &other) || look(&name) == look(&other), "{line}");
                assert_eq!(near(ecosystem, &name), None, "{line}");
                left -= 1;
            }
        }
        assert_eq!(left, 0);
    }

    #[test]
    fn no_name_of_our_own_lockfile_is_near() {
        let lock = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
        let lock = std::fs::read_to_string(lock).expect("our lockfile");
        let names = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        let flagged: Vec<_> = names.filter_map(|name| Some((name, near(CratesIo, name)?))).collect();
        assert_eq!(flagged, []);
    }

    #[test]
    fn hostile_names_end_nothing() {
        for name in ["", "-", "@", "@/", "é", ":", "////", "\u{202e}lodash", &"a".repeat(100_000), "ⅼⅼⅼⅼⅼ", "v1v1v1/v2"]
        {
            for ecosystem in [CratesIo, Npm, PyPI, Go, Maven, NuGet, RubyGems] {
                near(ecosystem, name);
            }
        }
    }

    /// No name of the corpus is that of an impostor.
    #[test]
    fn no_name_of_the_corpus_is_near() {
        let Ok(corpus) = std::env::var("CONVOKE_CORPUS") else {
            eprintln!("skipped: CONVOKE_CORPUS does not name the corpus");
            return;
        };
        let (mut names, mut next) =
            (convoke_sdk::small::Set::new(), vec![std::path::Path::new(&corpus).join("polyglot-otel-demo")]);
        while let Some(path) = next.pop() {
            if path.is_dir() {
                next.extend(std::fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path()));
                continue;
            }
            let name = path.to_str().expect("UTF-8").to_owned();
            let Some(format) = crate::format::format_of(&name) else { continue };
            let file =
                (format.parse)(&name, &std::fs::read_to_string(&path).expect("text"), &crate::model::Texts::new());
            let asked =
                file.manifest.iter().flat_map(|manifest| &manifest.requirements).map(|asked| asked.name.clone());
            let chosen = file.lock.iter().flat_map(|lock| &lock.packages).map(|package| package.name.clone());
            names.extend(asked.chain(chosen).map(|name| (format.manager.ecosystem(), name)));
        }
        assert!(names.len() > 1500, "{}", names.len());
        let flagged: Vec<_> =
            names.iter().filter_map(|(ecosystem, name)| Some((name, near(*ecosystem, name)?))).collect();
        assert_eq!(flagged, []);
    }
}
