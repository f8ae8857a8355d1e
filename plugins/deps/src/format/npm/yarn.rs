//! `yarn.lock` of yarn 1. What later ones write is YAML: see [`berry`](super::berry).

use convoke_sdk::small::Map;
use std::borrow::Cow;

use super::super::tree::{Broken, bounded, note, push};
use super::direct::{each_asked, mark, places};
use super::{berry, spec};
use crate::digest::Digest;
use crate::model::{Fault, File, Lock, Manager, Origin, Package, Texts};

/// The line that names the version.
const HEADER: &str = "# yarn lockfile v";

/// Reads a `yarn.lock` of any version.
pub(super) fn parse(path: &str, text: &str, texts: &Texts) -> File {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.lines().any(|line| line.starts_with("__metadata:")) {
        return berry::parse(path, text, texts);
    }
    let file = File::new(path, Manager::Npm, "yarn.lock v1");
    for (line, source) in (1..).zip(text.lines()) {
        if let Some(version) = source.strip_prefix(HEADER)
            && version.trim() != "1"
        {
            let message =
                format!("yarn.lock has the version `{version}`: version 1 and those with `__metadata` are known");
            return file.broken(Some(line), &message);
        }
    }
    let mut faults = Vec::new();
    let entries = match entries(text, &mut faults) {
        Ok(entries) => entries,
        Err(broken) => return broken.of(file),
    };
    if entries.is_empty() && faults.is_empty() && !text.contains(HEADER) {
        return file.broken(Some(1), "it is no yarn.lock: it has neither entries nor a line `# yarn lockfile v1`");
    }
    let lock = lock(path, &entries, texts, &mut faults);
    bounded(&mut faults);
    File { lock: Some(lock), faults, ..file }
}

/// One entry: what asks for it, and what was chosen.
#[derive(Default)]
struct Entry<'a> {
    line: u32,
    /// `NAME@RANGE`, each.
    patterns: Vec<Cow<'a, str>>,
    version: Option<Cow<'a, str>>,
    resolved: Option<Cow<'a, str>>,
    hashed: bool,
    digest: Option<Digest>,
    /// The line, name and range of each, and whether it may be missing.
    needs: Vec<(u32, Cow<'a, str>, Cow<'a, str>, bool)>,
}

/// Entries stand at the margin, their fields by two, and what they need by four spaces.
fn entries<'a>(text: &'a str, faults: &mut Vec<Fault>) -> Result<Vec<Entry<'a>>, Broken> {
    let mut entries: Vec<Entry<'a>> = Vec::new();
    let mut section = "";
    for (line, source) in (1..).zip(text.lines()) {
        let rest = source.trim_start_matches(' ');
        if rest.trim().is_empty() || rest.starts_with('#') {
            continue;
        }
        let broken = |what: &str| Broken::at(text, line, format!("it is not a valid yarn.lock: {what}"));
        match (source.len() - rest.len(), entries.last_mut()) {
            (0, _) => {
                let patterns = patterns(rest).ok_or_else(|| broken("an entry should begin here"))?;
                entries.push(Entry { line, patterns, ..Entry::default() });
                section = "";
            }
            (2, Some(entry)) => {
                let (key, after) = token(rest).ok_or_else(|| broken("a field should stand here"))?;
                section = "";
                match (&*key, after.trim()) {
                    ("dependencies", ":") => section = "dependencies",
                    ("optionalDependencies", ":") => section = "optionalDependencies",
                    // A table of another kind: what stands in it is not needed here.
                    (_, ":") => section = "other",
                    ("version" | "resolved" | "integrity", after) => {
                        let (value, _) = token(after).ok_or_else(|| broken("a value is missing"))?;
                        match &*key {
                            "version" => entry.version = Some(value),
                            "integrity" => {
                                entry.hashed = true;
                                entry.digest = Digest::of_integrity(&value);
                            }
                            _ => entry.resolved = Some(value),
                        }
                    }
                    _ => {}
                }
            }
            (4, Some(entry)) if section == "other" => _ = entry,
            (4, Some(entry)) if !section.is_empty() => {
                let needed = token(rest).and_then(|(name, after)| Some((name, token(after.trim_start())?.0)));
                let Some((name, range)) = needed else {
                    note(faults, line, "what is needed should be a name and a range");
                    continue;
                };
                entry.needs.push((line, name, range, section == "optionalDependencies"));
            }
            (more, Some(_)) if more > 4 && section == "other" => {}
            _ => return Err(broken("this line belongs to nothing")),
        }
    }
    Ok(entries)
}

/// `a@^1, "@s/b@1 || 2":`
fn patterns(line: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut patterns = Vec::new();
    let mut rest = line;
    loop {
        let (pattern, after) = token(rest)?;
        patterns.push(pattern);
        rest = match after.trim_end() {
            ":" => return Some(patterns),
            after => after.strip_prefix(',')?.trim_start(),
        };
    }
}

/// The first word of a line, or what stands in quotes; and what follows.
fn token(text: &str) -> Option<(Cow<'_, str>, &str)> {
    if !text.starts_with('"') {
        let end = text.find(|char: char| char.is_whitespace() || char == ',' || char == ':').unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        return (!word.is_empty()).then_some((Cow::Borrowed(word), rest));
    }
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => {
                let (quoted, rest) = text.split_at_checked(at + 1)?;
                let inner = quoted.get(1..at)?;
                let word = if inner.contains('\\') {
                    Cow::Owned(serde_json::from_str(quoted).ok()?)
                } else {
                    Cow::Borrowed(inner)
                };
                return Some((word, rest));
            }
            _ => {}
        }
    }
    None
}

fn lock(path: &str, entries: &[Entry<'_>], texts: &Texts, faults: &mut Vec<Fault>) -> Lock {
    let mut places_of: Map<&str, usize> = Map::new();
    let mut packages: Vec<Package> = Vec::new();
    let mut kept = Vec::new();
    for entry in entries {
        let Some(package) = package(entry) else {
            note(faults, entry.line, "an entry has no version");
            continue;
        };
        for pattern in &entry.patterns {
            if places_of.insert(pattern, packages.len()).is_some() {
                push(
                    faults,
                    Fault::new(Some(entry.line), &format!("`{pattern}` stands twice; the last one counts"), false),
                );
            }
        }
        packages.push(package);
        kept.push(entry);
    }
    let find = |name: &str, range: &str| places_of.get(&*format!("{name}@{range}")).copied();
    for (package, entry) in packages.iter_mut().zip(&kept) {
        for (line, name, range, optional) in &entry.needs {
            match find(name, range) {
                Some(at) => package.needs.push(at),
                None if *optional => {}
                None => {
                    let message = format!("`{name}@{range}` is needed by `{}` and is not in the file", package.name);
                    note(faults, *line, &message);
                }
            }
        }
        convoke_sdk::small::sort(&mut package.needs);
        package.needs.dedup();
    }
    let mut starts = Vec::new();
    each_asked(path, texts, |asked| starts.extend(find(asked.name, asked.spec).map(|at| (at, asked.scope))));
    mark(&mut packages, &starts);
    Lock { direct: places(&starts), packages, graph: true }
}

fn package(entry: &Entry<'_>) -> Option<Package> {
    let (called, wanted) = spec::split(entry.patterns.first()?);
    let wanted = spec::spec(wanted.unwrap_or(""));
    let name = wanted.name.as_deref().unwrap_or(called);
    let mut package = Package::new(name, &**entry.version.as_ref()?, entry.line);
    package.origin = match &entry.resolved {
        Some(address) => spec::resolved(name, address),
        None => wanted.origin,
    };
    // Before yarn 1.10 the digest stood only behind the address.
    let digest = entry.resolved.as_ref().and_then(|address| address.split_once('#')).map_or("", |(_, digest)| digest);
    let archive = !matches!(package.origin, Origin::Git { .. });
    package.hashed =
        entry.hashed || (archive && digest.len() >= 40 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    package.digest = entry.digest.clone();
    Some(package)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Scope;

    fn read(text: &str) -> File {
        parse("yarn.lock", text, &Texts::new())
    }

    const DIGEST: &str = "0123456789abcdef0123456789abcdef01234567";

    fn sample() -> String {
        format!(
            "# THIS IS AN AUTOGENERATED FILE.\r\n# yarn lockfile v1\r\n\r\n\r\n\"@s/a@^1.0.0\", \"@s/a@^1.1.0 || 2\":\r\n  version \"1.2.0\"\r\n  \
             resolved \"https://registry.example/@s/a/-/a-1.2.0.tgz#{DIGEST}\"\r\n  integrity sha512-abc==\r\n  dependencies:\r\n    b \"~2.0.0\"\r\n    \
             \"called\" \"npm:real@1\"\r\n  optionalDependencies:\r\n    gone \"1\"\r\n\r\nb@~2.0.0:\r\n  version \"2.0.1\"\r\n  \
             resolved \"https://registry.example/b/-/b-2.0.1.tgz#{DIGEST}\"\r\n\r\n\"called@npm:real@1\":\r\n  version \"1.0.0\"\r\n  \
             resolved \"git+ssh://git@git.example/real.git#{DIGEST}\"\r\n\r\n\"here@file:../here\":\r\n  version \"0.0.0\"\r\n"
        )
    }

    #[test]
    fn entries_know_what_asks_for_them_and_what_they_need() {
        let file = read(&sample());
        assert_eq!(file.faults, []);
        let lock = file.lock.expect("a lock");
        let found: Vec<_> = lock
            .packages
            .iter()
            .map(|one| (one.line, &*one.name, &*one.version, one.hashed, one.needs.clone()))
            .collect();
        assert_eq!(
            found,
            [
                (5, "@s/a", "1.2.0", true, vec![1, 2]),
                (15, "b", "2.0.1", true, vec![]),
                (19, "real", "1.0.0", false, vec![]),
                (23, "here", "0.0.0", false, vec![]),
            ]
        );
        assert_eq!(lock.packages[0].origin, Origin::Registry(Some("https://registry.example".into())));
        assert_eq!(lock.packages[3].origin, Origin::Path("../here".into()));
        assert!(matches!(&lock.packages[2].origin, Origin::Git { commit: Some(commit), .. } if commit == DIGEST));
        assert!(lock.graph && lock.direct.is_empty());
    }

    #[test]
    fn the_manifests_beside_it_say_what_the_project_asks_for() {
        let manifest = r#"{"workspaces": ["p/*"], "devDependencies": {"@s/a": "^1.0.0"}}"#;
        let member = r#"{"dependencies": {"b": "~2.0.0", "other": "1"}}"#;
        let texts: Texts =
            [("package.json", manifest), ("p/m/package.json", member)].map(|(a, b)| (a.into(), b.into())).into();
        let lock = parse("yarn.lock", &sample(), &texts).lock.expect("a lock");
        assert_eq!(lock.direct, [0, 1]);
        let scopes: Vec<Scope> = lock.packages.iter().map(|package| package.scope).collect();
        assert_eq!(scopes, [Scope::Dev, Scope::Normal, Scope::Dev, Scope::Normal]);
    }

    #[test]
    fn what_is_broken_says_its_line() {
        let says = |text: &str| read(text).faults.iter().map(|one| (one.line, one.whole)).collect::<Vec<_>>();
        assert_eq!(says("# yarn lockfile v1\na@1\n  version \"1\"\n"), [(Some(2), true)]);
        assert_eq!(says("# yarn lockfile v1\n\"a@1:\n  version \"1\"\n"), [(Some(2), true)]);
        assert_eq!(says("# yarn lockfile v1\n  version \"1\"\n"), [(Some(2), true)]);
        assert_eq!(says("# yarn lockfile v1\n\na@1:\n   version \"1\"\n"), [(Some(4), true)]);
        assert_eq!(says("# yarn lockfile v1\n\na@1:\n  resolved \"x\"\n"), [(Some(3), false)]);
        assert_eq!(
            says("# yarn lockfile v1\n\na@1:\n  version \"1\"\n  dependencies:\n    b \"1\"\n"),
            [(Some(6), false)]
        );
        assert_eq!(says("a@1:\n<<<<<<< HEAD\n  version \"1\"\n"), [(Some(2), true)]);
        assert_eq!(says("# yarn lockfile v2\n"), [(Some(1), true)]);
        assert_eq!(says("what ever"), [(Some(1), true)]);
        assert_eq!(says(""), [(Some(1), true)]);
        assert_eq!(says("# yarn lockfile v1\n\n\n"), []);
        assert_eq!(says("a@1:\n  version \"1\"\na@1:\n  version \"2\"\n"), [(Some(3), false)]);
    }

    #[test]
    fn a_table_of_another_kind_is_passed_over() {
        let file = read("# yarn lockfile v1\na@1:\n  version \"1.0.0\"\n  bin:\n    x \"y\"\n  uid \"\"\n");
        assert_eq!(file.faults, []);
        assert_eq!(file.lock.expect("a lock").packages.len(), 1);
    }

    #[test]
    fn nothing_that_stands_there_ends_the_reader() {
        let text = "# yarn lockfile v1\n\"@s/a@^1\", b@2:\n  version \"1\"\n  resolved \"x#y\"\n  dependencies:\n    b \"\\n\"\n";
        super::super::super::testing::mangled(text, |text| {
            read(text);
        });
    }
}
