//! `Gemfile.lock`, after Bundler's `LockfileParser`.
//!
//! A gem that has builds for several platforms stands there once for each: `grpc (1.8.0-x86_64-linux)`. Bundler installs one
//! of them, so gems of one name and version are one package here, at the line of the first.

use convoke_sdk::small::{Map, Set};

use crate::format::reading::{Faults, MOST_ENTRIES, Named, is_commit, numbered, too_many, without_credentials};
use crate::format::registry::is_default;
use crate::model::{Ecosystem, File, Manager, Origin, Package, Texts};

/// Reads a lockfile.
pub(super) fn parse(path: &str, text: &str, _: &Texts) -> File {
    let mut file = File::new(path, Manager::Bundler, "Gemfile.lock");
    let mut reader = Reader::default();
    for (number, line) in numbered(text) {
        // Bundler refuses the whole file too.
        if ["<<<<<<<", "=======", ">>>>>>>", "|||||||"].iter().any(|mark| line.starts_with(mark)) {
            return file.broken(Some(number), "an unresolved merge conflict begins or ends here");
        }
        if reader.packages.len() > MOST_ENTRIES || reader.needs.len() > 8 * MOST_ENTRIES {
            return too_many(file);
        }
        reader.line(line.trim_end(), number);
    }
    if !reader.any {
        return file.broken(None, "it has none of the sections of a lockfile of Bundler");
    }
    if let Some(version) = reader.bundler {
        file.format = convoke_sdk::text::shown(&format!("Gemfile.lock, Bundler {version}"), 60);
    }
    reader.into(file)
}

/// What is being read.
#[derive(Clone, Copy, Default, PartialEq)]
enum Section {
    #[default]
    None,
    Gem,
    Git,
    Path,
    Plugin,
    Dependencies,
    Checksums,
    BundledWith,
    /// Platforms and the version of Ruby: nothing that is a package.
    Other,
}

/// A source as its options say.
#[derive(Default)]
struct Source {
    remotes: Vec<String>,
    revision: Option<String>,
}

#[derive(Default)]
struct Reader<'a> {
    section: Section,
    any: bool,
    bundler: Option<&'a str>,
    source: Source,
    packages: Vec<Package>,
    /// Where a name in a version stands.
    places: Map<(&'a str, &'a str), usize>,
    /// The name and version of each build, with its platform, and the package that it is of.
    builds: Vec<((&'a str, &'a str), usize)>,
    /// The gem whose needs follow.
    open: Option<usize>,
    needs: Vec<(usize, &'a str)>,
    asked: Set<&'a str>,
    /// Of which builds there is a digest.
    digests: Set<(&'a str, &'a str)>,
    faults: Faults,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str, number: u32) {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if text.is_empty() {
            return;
        }
        if indent == 0 {
            self.begin(text, number);
            return;
        }
        match (self.section, indent) {
            (Section::Gem | Section::Git | Section::Path | Section::Plugin, 2) => self.option(text, number),
            (Section::Gem | Section::Git | Section::Path | Section::Plugin, 4) => self.gem(text, number),
            (Section::Gem | Section::Git | Section::Path | Section::Plugin, 6) => match (entry(text), self.open) {
                (Some((name, _)), Some(place)) => self.needs.push((place, name)),
                _ => self.faults.add(number, "this is no need of a gem"),
            },
            (Section::Dependencies, 2) => match entry(text) {
                Some((name, _)) => {
                    self.asked.insert(name);
                }
                None => self.faults.add(number, "this is no gem that is asked for"),
            },
            (Section::Checksums, 2) => match entry(text) {
                Some((name, Some(version))) => {
                    if text.contains(") sha") {
                        self.digests.insert((name, version));
                    }
                }
                _ => self.faults.add(number, "this is no digest of a gem"),
            },
            (Section::BundledWith, _) => self.bundler = Some(text),
            (Section::Other, _) => {}
            // What belongs to a section that is not known is told with its beginning.
            (Section::None, _) if self.any => {}
            _ => self.faults.add(number, "this line belongs to no section, or stands at the wrong depth"),
        }
    }

    fn begin(&mut self, text: &str, number: u32) {
        self.source = Source::default();
        self.open = None;
        self.section = match text {
            "GEM" => Section::Gem,
            "GIT" => Section::Git,
            "PATH" => Section::Path,
            "PLUGIN SOURCE" => Section::Plugin,
            "DEPENDENCIES" => Section::Dependencies,
            "CHECKSUMS" => Section::Checksums,
            "BUNDLED WITH" => Section::BundledWith,
            "PLATFORMS" | "RUBY VERSION" => Section::Other,
            _ => {
                self.faults.add(number, &format!("Bundler has no section {text}"));
                Section::None
            }
        };
        self.any |= self.section != Section::None;
    }

    fn option(&mut self, text: &str, number: u32) {
        match text.split_once(':').map(|(key, value)| (key, value.trim())) {
            Some(("remote", value)) => self.source.remotes.push(without_credentials(value)),
            Some(("revision", value)) => self.source.revision = Some(value.to_owned()),
            Some(_) => {}
            None => self.faults.add(number, "this is no option of a source"),
        }
    }

    fn gem(&mut self, text: &'a str, number: u32) {
        let Some((name, Some(build))) = entry(text) else {
            self.open = None;
            self.faults.add(number, "this is no gem with its version");
            return;
        };
        // A version has no hyphen, so the first one begins the platform.
        let version = build.split('-').next().unwrap_or(build);
        let place = *self.places.entry((name, version)).or_insert(self.packages.len());
        if place == self.packages.len() {
            let origin = self.source.origin(self.section);
            self.packages.push(Package { origin, ..Package::new(name, version, number) });
        }
        self.builds.push(((name, build), place));
        self.open = Some(place);
    }

    fn into(mut self, file: File) -> File {
        for package in &mut self.packages {
            package.hashed = true;
        }
        for (build, place) in &self.builds {
            if let Some(package) = self.packages.get_mut(*place) {
                package.hashed &= self.digests.contains(build);
            }
        }
        let asked = (0..).zip(&self.packages).filter(|(_, package)| self.asked.contains(package.name.as_str()));
        let mut direct: Set<usize> = asked.map(|(place, _)| place).collect();
        // What is needed and not there is Bundler itself, or not for these platforms.
        let needs = self.needs.into_iter().map(|(place, name)| (place, name.to_owned(), None)).collect();
        let mut lock = Named { packages: self.packages, needs, direct: Vec::new() }.lock(true);
        // A gem of the project's own asks for what the project does.
        let own: Vec<usize> = (0..)
            .zip(&lock.packages)
            .filter(|(_, one)| one.origin == Origin::Workspace)
            .map(|(place, _)| place)
            .collect();
        for place in &own {
            direct.remove(place);
            direct.extend(lock.packages.get(*place).map(|one| one.needs.as_slice()).unwrap_or_default());
        }
        lock.direct = direct.into_iter().collect();
        self.faults.into(File { lock: Some(lock), ..file })
    }
}

impl Source {
    fn origin(&self, section: Section) -> Origin {
        let remote = self.remotes.first().cloned().unwrap_or_default();
        match section {
            Section::Git => {
                Origin::Git { url: remote, commit: self.revision.clone().filter(|revision| is_commit(revision)) }
            }
            Section::Path if remote == "." => Origin::Workspace,
            Section::Path => Origin::Path(remote),
            _ if self.remotes.is_empty()
                || self.remotes.iter().any(|remote| is_default(Ecosystem::RubyGems, remote)) =>
            {
                Origin::Registry(None)
            }
            _ => Origin::Registry(Some(remote)),
        }
    }
}

/// A name, and what stands in brackets after it. `!` after it says that a source is fixed.
fn entry(text: &str) -> Option<(&str, Option<&str>)> {
    let Some((name, rest)) = text.split_once(" (") else {
        let name = text.strip_suffix('!').unwrap_or(text);
        return (!name.is_empty() && !name.contains([' ', '(', ')'])).then_some((name, None));
    };
    let (inner, _) = rest.split_once(')')?;
    (!name.is_empty() && !name.contains(' ') && !inner.is_empty()).then_some((name, Some(inner)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::registry::with_default;

    const TEXT: &str = "\
GIT
  remote: https://me:pass@git.example/own.git
  revision: 0123456789012345678901234567890123456789
  branch: main
  specs:
    own (0.1.0)
      rack (>= 2)

PATH
  remote: ../lib
  specs:
    lib (1.0)

GEM
  remote: https://registry.default/
  specs:
    grpc (1.83.0-aarch64-linux-musl)
      google-protobuf (>= 3.25, < 5.0)
    grpc (1.83.0-x86_64-linux-musl)
      google-protobuf (>= 3.25, < 5.0)
    google-protobuf (4.35.1)
    rack (3.2.7)

GEM
  remote: https://gems.example/
  specs:
    rails (8.0.0)
      bundler (>= 1.15.0)
      rack

PLATFORMS
  ruby

DEPENDENCIES
  grpc
  lib!
  own!
  rails (~> 8.0)!
  tzinfo-data

CHECKSUMS
  grpc (1.83.0-aarch64-linux-musl) sha256=00
  grpc (1.83.0-x86_64-linux-musl) sha256=01
  google-protobuf (4.35.1)
  rack (3.2.7) sha256=02

RUBY VERSION
   ruby 3.4.1p0

BUNDLED WITH
   2.6.7
";

    fn parsed(text: &str) -> File {
        parse("Gemfile.lock", &with_default(Ecosystem::RubyGems, text), &Texts::new())
    }

    #[test]
    fn gems_have_sources_needs_and_digests() {
        let file = parsed(TEXT);
        assert_eq!(file.faults, []);
        assert_eq!(file.format, "Gemfile.lock, Bundler 2.6.7");
        let lock = file.lock.expect("a lock");
        let shown: Vec<_> = lock
            .packages
            .iter()
            .map(|package| {
                format!("{} {} {} {:?} {}", package.line, package.name, package.version, package.needs, package.hashed)
            })
            .collect();
        assert_eq!(
            shown,
            [
                "6 own 0.1.0 [4] false",
                "12 lib 1.0 [] false",
                "17 grpc 1.83.0 [3] true",
                "21 google-protobuf 4.35.1 [] false",
                "22 rack 3.2.7 [] true",
                "27 rails 8.0.0 [4] false",
            ]
        );
        assert_eq!((lock.direct.as_slice(), lock.graph), ([0, 1, 2, 5].as_slice(), true));
        let commit = Some("0123456789".repeat(4));
        assert_eq!(lock.packages[0].origin, Origin::Git { url: "https://git.example/own.git".to_owned(), commit });
        assert_eq!(lock.packages[1].origin, Origin::Path("../lib".to_owned()));
        assert_eq!(lock.packages[2].origin, Origin::Registry(None));
        assert_eq!(lock.packages[5].origin, Origin::Registry(Some("https://gems.example/".to_owned())));
    }

    #[test]
    fn ends_of_lines_and_a_mark_change_nothing() {
        assert_eq!(parsed(&format!("\u{feff}{}", TEXT.replace('\n', "\r\n"))), parsed(TEXT));
    }

    #[test]
    fn two_versions_for_two_platforms_are_two_packages() {
        let lock = parsed("GEM\n  specs:\n    a (1.0-java)\n    a (1.1)\n    b (1)\n      a\n").lock.expect("a lock");
        assert_eq!(lock.packages.len(), 3);
        assert_eq!(lock.packages[2].needs, [0, 1]);
    }

    #[test]
    fn what_a_gem_of_the_projects_own_needs_is_what_the_project_asks_for() {
        let lock = parsed("PATH\n  remote: .\n  specs:\n    shop (1)\n      a\nGEM\n  specs:\n    a (1)\n      b\n    b (1)\n    c (1)\nDEPENDENCIES\n  c\n  shop!\n")
            .lock
            .expect("a lock");
        assert_eq!((&lock.packages[0].origin, lock.direct.as_slice()), (&Origin::Workspace, [1, 3].as_slice()));
    }

    #[test]
    fn what_is_not_understood_is_a_fault_with_its_line() {
        let file = parsed(
            "GEM\n  remote\n  specs:\n      early\n    a\n    b (1.0\n    c (1)\n   odd\nOTHER\n  x\nDEPENDENCIES\n  a b\n",
        );
        let lines: Vec<_> = file.faults.iter().filter_map(|fault| fault.line).collect();
        assert_eq!(lines, [2, 4, 5, 6, 8, 9, 12]);
        assert_eq!(file.lock.expect("a lock").packages.len(), 1);
    }

    #[test]
    fn a_conflict_or_another_format_is_refused_whole() {
        let file = parsed("GEM\n  specs:\n    a (1)\n<<<<<<< HEAD\n    b (1)\n");
        assert_eq!((file.lock, file.faults[0].line, file.faults[0].whole), (None, Some(4), true));
        assert!(parsed("{\"a\": 1}").faults.last().is_some_and(|fault| fault.whole));
        assert!(parsed("").faults[0].whole);
    }

    #[test]
    fn hostile_sizes_are_read_in_time() {
        let gems: String = (0..200_000).map(|at| format!("    a{at} (1)\n")).collect();
        assert!(parsed(&format!("GEM\n{gems}")).faults[0].whole);
        let needs = "      b (>= 1)\n".repeat(1_000_000);
        assert!(parsed(&format!("GEM\n    a (1)\n{needs}")).faults[0].whole);
    }

    #[test]
    fn no_text_makes_the_reader_panic() {
        crate::format::testing::mangled(TEXT, |text| drop(parsed(text)));
    }
}
