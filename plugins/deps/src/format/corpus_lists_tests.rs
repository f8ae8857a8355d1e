//! Files of Python, Go and Ruby that people wrote, against counts that do without these readers.

use convoke_sdk::small::{Map, Set};
use std::path::{Path, PathBuf};

use super::format_of;
use crate::model::{File, Texts};

/// The folder of real input, where `CONVOKE_CORPUS` names it.
fn corpus() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("CONVOKE_CORPUS").filter(|folder| !folder.is_empty()) else {
        // Past the harness, which keeps to itself what a passing test prints.
        let said = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"SKIPPED: set CONVOKE_CORPUS to the folder of real input to read manifests and lockfiles in it\n",
        );
        said.expect("stderr");
        return None;
    };
    Some(Path::new(&folder).join("polyglot-otel-demo"))
}

/// Paths and texts of the files below a folder that have one of these names.
fn texts(folder: &Path, names: &[&str]) -> Texts {
    fn walk(root: &Path, folder: &Path, names: &[&str], found: &mut Texts) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(root, &path, names, found);
            } else if names.iter().any(|name| path.file_name().is_some_and(|found| found == *name)) {
                let inside = path.strip_prefix(root).expect("below").to_str().expect("UTF-8").to_owned();
                found.insert(inside, std::fs::read_to_string(&path).expect("text"));
            }
        }
    }
    let mut found = Texts::new();
    walk(folder, folder, names, &mut found);
    found
}

fn read(texts: &Texts, name: &str) -> Map<String, File> {
    let named = texts.iter().filter(|(path, _)| path.ends_with(name));
    named.map(|(path, text)| (path.clone(), (format_of(path).expect("a format").parse)(path, text, texts))).collect()
}

/// Each requirement, as a line that begins with a name; `pip`'s own parser counts the same.
#[test]
fn requirements_files_have_as_many_requirements_as_lines_that_begin_with_a_name() {
    let Some(folder) = corpus() else { return };
    let texts = texts(&folder, &["requirements.txt", "requirements.in"]);
    let mut counts = Vec::new();
    for (path, text) in &texts {
        let file = (format_of(path).expect("a format").parse)(path, text, &texts);
        assert_eq!(file.faults, [], "{path}");
        let expected = text.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_alphabetic())).count();
        let manifest = file.manifest.expect("a manifest");
        assert_eq!(manifest.requirements.len(), expected, "{path}");
        counts.push(expected);
        let Some(lock) = file.lock else { continue };
        assert!(path.ends_with(".txt"), "{path}");
        assert_eq!(lock.packages.len(), expected, "{path}");
        assert!(lock.graph && lock.packages.iter().all(|package| package.hashed), "{path}");
        // What is asked for is what the file beside it asks for.
        let beside = texts.get(&path.replace(".txt", ".in")).expect("an input");
        let names = |text: &str| {
            text.lines()
                .filter_map(|line| line.split(['=', ' ']).next())
                .map(super::python::normal_name)
                .collect::<Set<_>>()
        };
        let direct: Set<_> = lock.direct.iter().map(|place| lock.packages[*place].name.clone()).collect();
        assert_eq!(
            direct,
            names(beside).into_iter().filter(|name| !name.is_empty() && !name.starts_with('#')).collect(),
            "{path}"
        );
        // And everything came by some path.
        let mut reached: Set<usize> = lock.direct.iter().copied().collect();
        let mut next: Vec<usize> = lock.direct.clone();
        while let Some(place) = next.pop() {
            next.extend(lock.packages[place].needs.iter().filter(|need| reached.insert(**need)));
        }
        assert_eq!(reached.len(), lock.packages.len(), "{path}");
    }
    counts.sort_unstable();
    assert_eq!(counts, [2, 2, 2, 5, 8, 10, 12, 14, 21, 28, 29, 70, 158, 170]);
}

/// Each requirement, as a line that begins with a tab.
#[test]
fn a_go_mod_has_as_many_modules_as_indented_lines_with_a_version() {
    let Some(folder) = corpus() else { return };
    let texts = texts(&folder, &["go.mod", "go.sum"]);
    let files = read(&texts, "go.mod");
    for (path, file) in &files {
        let text = &texts[path];
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with('\t') && line.contains(" v")).collect();
        let lock = file.lock.as_ref().expect("a lock");
        assert_eq!(lock.packages.len(), lines.len(), "{path}");
        assert_eq!(lock.direct.len(), lines.iter().filter(|line| !line.ends_with("// indirect")).count(), "{path}");
        assert!(lock.packages.iter().all(|package| package.hashed), "{path}");
        // One of them says `go 1.12`, so not all that is built is in it.
        assert_eq!(file.faults.len(), usize::from(text.contains("\ngo 1.12\n")), "{path}");
    }
    let counts: Set<_> = files.values().map(|file| file.lock.as_ref().expect("a lock").packages.len()).collect();
    assert_eq!((files.len(), counts), (4, Set::from([2, 45, 69])));
    assert!(read(&texts, "go.sum").values().all(|file| file.faults.is_empty()));
}

/// Each gem, as a line indented by four, without its platform.
#[test]
fn a_lockfile_of_bundler_has_as_many_gems_as_names_with_a_version() {
    let Some(folder) = corpus() else { return };
    let texts = texts(&folder, &["Gemfile", "Gemfile.lock"]);
    let mut counts = Vec::new();
    for (path, file) in read(&texts, "Gemfile.lock") {
        assert_eq!(file.faults, [], "{path}");
        let gem = |line: &str| {
            let (name, version) = line.trim().split_once(" (")?;
            Some((name.to_owned(), version.split(['-', ')']).next()?.to_owned()))
        };
        let lines = texts[&path].lines().filter(|line| line.starts_with("    ") && !line.starts_with("     "));
        let expected: Set<_> = lines.filter_map(gem).collect();
        let lock = file.lock.expect("a lock");
        assert_eq!(lock.packages.len(), expected.len(), "{path}");
        let asked =
            texts[&path].split("DEPENDENCIES\n").nth(1).expect("a section").split("\n\n").next().expect("its end");
        assert_eq!(lock.direct.len(), asked.lines().count(), "{path}");
        counts.push(expected.len());
    }
    counts.sort_unstable();
    assert_eq!(counts, [44, 89]);
    for (path, file) in read(&texts, "Gemfile") {
        assert_eq!(file.faults, [], "{path}");
        let lines = texts[&path].lines().filter(|line| line.starts_with("gem ")).count();
        assert_eq!(file.manifest.expect("a manifest").requirements.len(), lines, "{path}");
    }
}
