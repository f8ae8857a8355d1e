//! Requirements files, as pip reads them. One in which everything is pinned is a lockfile too, and where a compiler wrote
//! down why each package is there (`# via`), it holds the graph.

use convoke_sdk::small::{Map, Set};

use super::lines::{FLAGS, Line, VALUED, logical_lines, options_at, split_option};
use super::normal_name;
use super::pep508::{self, Asked};
use super::via::{Comments, Reason};
use crate::format::reading::{Faults, MOST_EDGES, MOST_ENTRIES, Places, too_many, without_credentials};
use crate::format::registry::is_default;
use crate::model::{
    Bound, Ecosystem, File, Include, Lock, Manager, Manifest, Origin, Package, Requirement, Scope, Texts, beside,
};

/// Reads a requirements file.
pub fn parse(path: &str, text: &str, texts: &Texts) -> File {
    read_lines(path, text, File::new(path, Manager::Python, "requirements file"), |reader, file| {
        reader.file(file, texts)
    })
}

/// Reads a file of constraints (`-c`). It asks for nothing, and only bounds what others ask for; what is taken of it are the
/// files that it names, and what is wrong in it.
pub fn constraints(path: &str, text: &str, _: &Texts) -> File {
    read_lines(path, text, File::new(path, Manager::Python, "pip constraints"), |reader, file| {
        let manifest = Manifest { includes: reader.includes, ..Manifest::default() };
        reader.faults.into(File { manifest: Some(manifest), ..file })
    })
}

fn read_lines(path: &str, text: &str, file: File, whole: impl FnOnce(Reader<'_>, File) -> File) -> File {
    let mut reader = Reader { path, ..Reader::default() };
    for line in logical_lines(text) {
        if reader.entries.len() > MOST_ENTRIES || reader.reasons > MOST_EDGES {
            return too_many(file);
        }
        reader.line(&line);
    }
    whole(reader, file)
}

/// An entry of the file.
struct Entry {
    requirement: Requirement,
    /// The version, where the entry fixes one.
    version: Option<String>,
    reasons: Vec<Reason>,
}

#[derive(Default)]
struct Reader<'a> {
    path: &'a str,
    entries: Vec<Entry>,
    includes: Vec<Include>,
    index: Option<String>,
    comments: Comments,
    /// How many reasons there are in all.
    reasons: usize,
    faults: Faults,
}

impl Reader<'_> {
    fn line(&mut self, line: &Line) {
        let text = line.text.trim();
        if !text.is_empty() {
            self.comments = Comments::default();
            let before = self.entries.len();
            let at = text
                .split_whitespace()
                .next()
                .filter(|word| word.starts_with('-'))
                .map_or_else(|| options_at(text), |_| 0);
            let (asked, options) = text.split_at(at);
            let asked = asked.trim();
            if asked.is_empty() {
                self.options(options, line.number);
            } else {
                self.requirement(asked, options, line.number);
            }
            if self.entries.len() == before {
                // Comments below it are not those of the package above.
                return;
            }
        }
        let Some(entry) = self.entries.last_mut() else { return };
        for comment in &line.comments {
            let reasons = self.comments.read(comment);
            self.reasons += reasons.len();
            entry.reasons.extend(reasons);
        }
    }

    /// A requirement and what it says in options of its own: hashes.
    fn requirement(&mut self, asked: &str, options: &str, line: u32) {
        let mut hashed = false;
        let mut words = options.split_whitespace();
        while let Some(word) = words.next() {
            let (name, value) = split_option(word);
            match name {
                "--hash" => hashed = value.or_else(|| words.next()).is_some_and(|value| value.contains(':')),
                "--global-option" | "--install-option" | "--config-settings" | "--config-setting" | "-C" => {
                    value.or_else(|| words.next());
                }
                _ => self.faults.add(line, &format!("pip has no option {word} for a requirement")),
            }
        }
        self.entry(asked, hashed, line);
    }

    fn entry(&mut self, asked: &str, hashed: bool, line: u32) {
        match read(asked) {
            Ok((asked, version)) => {
                let requirement = Requirement { hashed, ..asked.requirement(Scope::Normal, line) };
                self.entries.push(Entry { requirement, version, reasons: Vec::new() });
            }
            Err(message) => self.faults.add(line, &message),
        }
    }

    /// A line of options. Those that only say how pip works change nothing here.
    fn options(&mut self, text: &str, line: u32) {
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            let (name, value) = split_option(word);
            if FLAGS.contains(&name) && value.is_none() {
                continue;
            }
            if !VALUED.contains(&name) {
                self.faults.add(line, &format!("pip has no option {word}"));
                return;
            }
            let Some(value) = value.or_else(|| words.next()) else {
                self.faults.add(line, &format!("{name} has no value"));
                return;
            };
            let value = value.trim_matches(['"', '\'']);
            match name {
                "-r" | "--requirement" => self.include(value, line, false),
                "-c" | "--constraint" => self.include(value, line, true),
                "-i" | "--index-url" | "--pypi-url" => {
                    self.index = (!is_default(Ecosystem::PyPI, value)).then(|| without_credentials(value));
                }
                "-e" | "--editable" => {
                    // The rest may hold blanks: `-e name @ git+https://… ; marker`.
                    let rest = words.clone().collect::<Vec<_>>().join(" ");
                    self.entry(&format!("{value} {rest}"), false, line);
                    return;
                }
                _ => {}
            }
        }
    }

    fn include(&mut self, named: &str, line: u32, constraint: bool) {
        if named.contains("://") || named.contains("${") {
            self.faults.add(line, &format!("{named} is not a file of the project, so it was not read"));
        } else if let Some(path) = beside(self.path, &named.replace('\\', "/")) {
            self.includes.push(Include { path, line, constraint });
        } else {
            self.faults.add(line, &format!("{named} lies outside of the project, so it was not read"));
        }
    }

    fn file(mut self, file: File, texts: &Texts) -> File {
        for entry in &mut self.entries {
            if entry.requirement.origin == Origin::Registry(None) {
                entry.requirement.origin = Origin::Registry(self.index.clone());
            }
        }
        // Files with the end `.in` are what a lockfile is made from.
        let lock = if self.path.ends_with(".in") { None } else { lock(&self.entries) };
        let bounds = constrained(&self.includes, texts);
        let mut requirements: Vec<Requirement> = self.entries.into_iter().map(|entry| entry.requirement).collect();
        for requirement in requirements.iter_mut().filter(|requirement| requirement.bound == Bound::Open) {
            if bounds.get(&requirement.name).is_some_and(|bound| *bound != Bound::Open) {
                requirement.bound = Bound::Inherited;
            }
        }
        let manifest = Manifest { requirements, includes: self.includes, ..Manifest::default() };
        self.faults.into(File { manifest: Some(manifest), lock, ..file })
    }
}

/// What a line asks for, and the version that it fixes: a requirement of PEP 508, an address, a repository or a path. What has
/// no name but its path keeps that for its name.
fn read(text: &str) -> Result<(Asked, Option<String>), String> {
    let (target, marker) = text.split_once(';').map_or((text, None), |(target, marker)| (target, Some(marker.trim())));
    let target = target.trim().trim_matches(['"', '\'']);
    let scheme =
        target.starts_with("file:") || target.split(['/', '@']).next().is_some_and(|start| start.ends_with(':'));
    if !scheme {
        match pep508::parse(text) {
            // `name-1.0.zip` alone has the form of a name, and is a file.
            Ok(asked) if asked.address.is_some() || !pep508::is_archive(target) => {
                let version = match &asked.address {
                    Some(address) => fixed_by(address),
                    None => asked.range.as_deref().and_then(pep508::pinned).map(str::to_owned),
                };
                return Ok((asked, version));
            }
            Err(message) if !(target.starts_with('.') || target.contains('/')) => return Err(message),
            Ok(_) | Err(_) => {}
        }
    }
    // `.[dev]`: the extras are no part of the path.
    let target = match target.rsplit_once('[') {
        Some((path, extras)) if extras.ends_with(']') && !scheme => path,
        _ => target,
    };
    let address = if scheme { target.to_owned() } else { format!("file:{target}") };
    let egg = target.split_once('#').and_then(|(_, fragment)| {
        let egg = fragment.split('&').find_map(|part| part.strip_prefix("egg="))?;
        pep508::parse(egg).ok().map(|asked| asked.name)
    });
    let name = egg.or_else(|| pep508::archive(target).map(|(name, _)| name));
    let name = name.unwrap_or_else(|| without_credentials(target));
    let version = fixed_by(&address);
    Ok((Asked { name, range: None, address: Some(address), marker: marker.map(str::to_owned) }, version))
}

/// What an address fixes: the version in an archive's name, a commit.
fn fixed_by(address: &str) -> Option<String> {
    match pep508::origin_of(address) {
        Origin::Git { commit, .. } => commit,
        _ => pep508::archive(address).map(|(_, version)| version),
    }
}

/// The file as a lockfile: everything fixes its version, or is a path of the project's own.
fn lock(entries: &[Entry]) -> Option<Lock> {
    let own = |entry: &&Entry| {
        matches!(entry.requirement.origin, Origin::Path(_) | Origin::Workspace) && entry.version.is_none()
    };
    let mut packages = Vec::new();
    let mut reasons: Vec<&[Reason]> = Vec::new();
    let mut seen: Set<(&str, &str)> = Set::new();
    for entry in entries.iter().filter(|entry| !own(entry)) {
        let version = entry.version.as_deref()?;
        let requirement = &entry.requirement;
        // The same package for two platforms stands there twice.
        if seen.insert((&requirement.name, version)) {
            let package = Package::new(requirement.name.clone(), version, requirement.line);
            packages.push(Package { origin: requirement.origin.clone(), hashed: requirement.hashed, ..package });
            reasons.push(&entry.reasons);
        }
    }
    if packages.is_empty() {
        return None;
    }
    let graph = reasons.iter().any(|reasons| !reasons.is_empty());
    let mut direct = Vec::new();
    if graph {
        let places = Places::of(&packages);
        let mut edges = Vec::new();
        for (place, reasons) in reasons.iter().enumerate() {
            // A reason that is not in the file is the project, or was left out: either way nothing here needs it.
            let mut asked = reasons.is_empty();
            for reason in *reasons {
                match reason {
                    Reason::Project => asked = true,
                    Reason::Package(name) => {
                        let by = places.named(&normal_name(name));
                        asked |= by.is_empty();
                        edges.extend(by.iter().map(|by| (*by, place)));
                        if edges.len() > MOST_EDGES {
                            return Some(Lock { packages, ..Lock::default() });
                        }
                    }
                }
            }
            if asked {
                direct.push(place);
            }
        }
        for (by, place) in edges {
            if let Some(package) = packages.get_mut(by) {
                package.needs.push(place);
            }
        }
    }
    Some(Lock { packages, direct, graph })
}

/// What the files of constraints allow, by name; of those that are among the texts.
fn constrained(includes: &[Include], texts: &Texts) -> Map<String, Bound> {
    let mut bounds = Map::new();
    for text in includes.iter().filter(|include| include.constraint).filter_map(|include| texts.get(&include.path)) {
        for line in logical_lines(text) {
            let code = line.text.trim();
            let code = code.get(..options_at(code)).unwrap_or(code);
            if let Ok(asked) = pep508::parse(code) {
                let constraint = asked.requirement(Scope::Normal, line.number);
                bounds.insert(constraint.name, constraint.bound);
            }
        }
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::registry::with_default;

    fn parsed(text: &str) -> File {
        parse("a/requirements.txt", text, &Texts::new())
    }

    fn requirements(text: &str) -> Vec<Requirement> {
        let file = parsed(text);
        assert_eq!(file.faults, [], "{text}");
        file.manifest.expect("a manifest").requirements
    }

    fn shown(lock: &Lock) -> Vec<String> {
        let name = |place: &usize| lock.packages[*place].name.as_str();
        let needs = |package: &Package| package.needs.iter().map(name).collect::<Vec<_>>().join(" ");
        lock.packages
            .iter()
            .map(|package| format!("{} {} > {}", package.name, package.version, needs(package)))
            .collect()
    }

    #[test]
    fn each_line_is_a_requirement_with_its_number() {
        let found = requirements(
            "# tools\n\nFlask==2.0  # the web\nrequests[socks] >=2,<3 ; python_version > '3.8'\nPillow\n--pre\n",
        );
        let shown: Vec<_> =
            found.iter().map(|found| (found.name.as_str(), found.range.as_deref(), found.line)).collect();
        assert_eq!(shown, [("flask", Some("==2.0"), 3), ("requests", Some(">=2,<3"), 4), ("pillow", None, 5)]);
        assert_eq!(found[1].condition.as_deref(), Some("python_version > '3.8'"));
        assert_eq!([found[0].bound, found[1].bound, found[2].bound], [Bound::Exact, Bound::Bounded, Bound::Open]);
    }

    #[test]
    fn hashes_stand_on_lines_that_go_on() {
        let text = "a==1 \\\n    --hash=sha256:00 \\\n    --hash sha256:01\nb==2\n";
        let found = requirements(&text.replace('\n', "\r\n"));
        assert_eq!(found.iter().map(|found| (found.line, found.hashed)).collect::<Vec<_>>(), [(1, true), (4, false)]);
    }

    #[test]
    fn a_comment_ends_what_went_on() {
        let found = requirements("a==1 \\\n# why\nb==2 \\");
        assert_eq!(found.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn where_everything_is_pinned_it_is_a_lockfile_with_the_graph_of_its_comments() {
        let text = "\u{feff}flask==2.0\n    # via -r requirements.in\njinja2==3.1\n    # via flask\nmarkupsafe==2.1\n    # via\n    #   \
                    jinja2\n    #   werkzeug\nwerkzeug==3.0  # via flask, shop (pyproject.toml)\n";
        let lock = parsed(text).lock.expect("a lock");
        assert_eq!(
            shown(&lock),
            [
                "flask 2.0 > jinja2 werkzeug",
                "jinja2 3.1 > markupsafe",
                "markupsafe 2.1 > ",
                "werkzeug 3.0 > markupsafe"
            ]
        );
        assert_eq!((lock.direct.as_slice(), lock.graph), ([0, 3].as_slice(), true));
    }

    #[test]
    fn a_reason_outside_of_the_file_is_the_project() {
        let lock = parsed("a==1\n    # via shop\nb==1\n    # via a\n").lock.expect("a lock");
        assert_eq!(lock.direct, [0]);
    }

    #[test]
    fn without_reasons_nothing_is_known_of_the_graph() {
        let lock = parsed("a==1\nb==2\n-e .\n").lock.expect("a lock");
        assert_eq!((lock.packages.len(), lock.direct.len(), lock.graph), (2, 0, false));
    }

    #[test]
    fn one_range_and_it_is_no_lockfile() {
        assert_eq!(parsed("a==1\nb>=2\n").lock, None);
        assert_eq!(parsed("a==1.*\n").lock, None);
        assert_eq!(parsed("# nothing\n").lock, None);
        assert_eq!(parse("requirements.in", "a==1\n", &Texts::new()).lock, None);
    }

    #[test]
    fn files_that_are_named_are_listed_even_the_file_itself() {
        let file = parsed(
            "-r requirements.txt\n-r../b.txt\n--constraint=c.txt\n-c /etc/d.txt\n-r https://files.example/e.txt\n",
        );
        let includes = file.manifest.expect("a manifest").includes;
        assert_eq!(
            includes.iter().map(|include| (include.path.as_str(), include.constraint)).collect::<Vec<_>>(),
            [("a/requirements.txt", false), ("b.txt", false), ("a/c.txt", true)]
        );
        let lines: Vec<_> = file.faults.iter().map(|fault| (fault.line, fault.whole)).collect();
        assert_eq!(lines, [(Some(4), false), (Some(5), false)]);
    }

    #[test]
    fn addresses_repositories_and_paths_have_names_where_they_say_one() {
        let commit = "c".repeat(40);
        let found = requirements(&format!(
            "git+https://git.example/x.git@{commit}#egg=My_X&subdirectory=y\nhttps://files.example/b-2.0-py3-none-any.whl\n\
             -e ../lib[x,y]\n./c-1.0.tar.gz\nd @ https://me:pass@files.example/d.zip ; os_name == 'nt'\n-e git+https://git.example/e#egg=e\n-e .[dev]\n"
        ));
        let shown: Vec<_> = found.iter().map(|found| (found.name.as_str(), &found.origin, found.bound)).collect();
        let git = |url: &str, commit: Option<&String>| Origin::Git { url: url.to_owned(), commit: commit.cloned() };
        assert_eq!(
            shown,
            [
                ("my-x", &git("https://git.example/x.git", Some(&commit)), Bound::Exact),
                ("b", &Origin::Url("https://files.example/b-2.0-py3-none-any.whl".to_owned()), Bound::Exact),
                ("../lib", &Origin::Path("../lib".to_owned()), Bound::Exact),
                ("c", &Origin::Path("./c-1.0.tar.gz".to_owned()), Bound::Exact),
                ("d", &Origin::Url("https://files.example/d.zip".to_owned()), Bound::Exact),
                ("e", &git("https://git.example/e", None), Bound::Open),
                (".", &Origin::Workspace, Bound::Exact),
            ]
        );
    }

    #[test]
    fn another_index_is_where_all_of_the_file_comes_from() {
        let found = requirements("--index-url https://me:pass@registry.example/simple\na==1\n");
        assert_eq!(found[0].origin, Origin::Registry(Some("https://registry.example/simple".to_owned())));
        assert_eq!(
            requirements(&with_default(Ecosystem::PyPI, "-i https://registry.default/x\na==1\n"))[0].origin,
            Origin::Registry(None)
        );
    }

    #[test]
    fn a_constraint_bounds_what_is_asked_without_a_range() {
        let texts = Texts::from([("a/c.txt".to_owned(), "X==1 --hash=sha256:0\ny>1\n".to_owned())]);
        let file = parse("a/requirements.txt", "-c c.txt\nx\ny\n", &texts);
        let bounds: Vec<_> = file.manifest.expect("a manifest").requirements.iter().map(|found| found.bound).collect();
        assert_eq!(bounds, [Bound::Inherited, Bound::Open]);
        let bounding = constraints("a/c.txt", "x==1\n", &texts);
        assert_eq!((bounding.manifest, bounding.lock), (Some(Manifest::default()), None));
    }

    #[test]
    fn what_is_not_understood_is_a_fault_with_its_line() {
        let file = parsed("a==1\n=> 2\n--colour red\n-r\nb==1 --shape=round\nc = 1\n\u{1b}[31mred\n");
        let lines: Vec<_> = file.faults.iter().filter_map(|fault| fault.line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6, 7]);
        assert!(file.faults.iter().all(|fault| !fault.message.contains('\u{1b}')), "{:?}", file.faults);
        assert_eq!(file.manifest.expect("a manifest").requirements.len(), 2);
    }

    #[test]
    fn no_text_makes_the_reader_panic() {
        let pieces = [
            "a",
            "==1",
            "[",
            "]",
            "(",
            ")",
            ";",
            "@",
            " ",
            "\n",
            "\\\n",
            "#",
            "# via ",
            "-r",
            "-e ",
            "--hash=",
            "git+https://",
            "/",
            ".",
            "é",
            "\u{feff}",
            "~=",
            ".whl",
            "-",
        ];
        crate::format::testing::pieces(&pieces, |text| drop(parsed(text)));
    }

    #[test]
    fn hostile_sizes_are_read_in_time() {
        let many = "a==1\n".repeat(MOST_ENTRIES + 2);
        let file = parsed(&many);
        assert!(file.manifest.is_none() && file.faults[0].whole);
        assert!(!parsed(&"x".repeat(4_000_000)).faults.iter().any(|fault| fault.message.len() > 2_000));
        let nested = format!("a{}", "[".repeat(1_000_000));
        assert_eq!(parsed(&nested).faults.len(), 1);
        let reasons = format!("a==1 # via {}\n", "b,".repeat(MOST_EDGES + 1));
        assert!(parsed(&format!("{reasons}b==1\n")).faults[0].whole);
        let versions: String = (0..2000).map(|at| format!("a=={at} # via b\n")).collect();
        let edges: String = (0..2000).map(|at| format!("b=={at} # via a\n")).collect();
        let lock = parsed(&(versions + &edges)).lock.expect("a lock");
        assert!(lock.packages.iter().map(|package| package.needs.len()).sum::<usize>() < 4000 * 65);
    }
}
