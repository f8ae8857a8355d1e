//! `setup.cfg`, which is read, and `setup.py`, which is a program and is not.

use super::{normal_name, pep508};
use crate::format::reading::{Faults, MOST_ENTRIES, numbered, too_many};
use crate::model::{File, Include, Manager, Manifest, Scope, Texts, beside};

/// Says of a `setup.py` whether it may ask for packages: only running it would tell which.
pub(super) fn program(path: &str, text: &str, _: &Texts) -> File {
    let file = File::new(path, Manager::Python, "setup.py");
    // `install_requires`, `extras_require` and their kin; or arguments made elsewhere.
    let asks = numbered(text).find(|(_, line)| {
        let code = line.split('#').next().unwrap_or_default();
        code.contains("_require") || code.contains("**")
    });
    match asks {
        Some((line, _)) => file.broken(
            Some(line),
            "setup.py is a program, and what it asks for is only known when it runs; write it into pyproject.toml to have it read",
        ),
        None => file,
    }
}

/// A line of a file of settings: `[section]`, `key = value`, or more of the value before.
enum Line<'a> {
    Section(&'a str),
    Key(&'a str, &'a str),
    More(&'a str),
}

/// Reads a `setup.cfg`. One that only holds settings of tools is no manifest.
pub(super) fn config(path: &str, text: &str, _: &Texts) -> File {
    let file = File::new(path, Manager::Python, "setup.cfg");
    let mut reader = Reader { path, ..Reader::default() };
    for (number, text) in numbered(text) {
        let Some(line) = line(text) else { continue };
        if reader.manifest.requirements.len() > MOST_ENTRIES {
            return too_many(file);
        }
        reader.line(line, number);
    }
    let manifest = reader.is_manifest.then_some(reader.manifest);
    reader.faults.into(File { manifest, ..file })
}

fn line(text: &str) -> Option<Line<'_>> {
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
        return None;
    }
    if text.starts_with(char::is_whitespace) {
        return Some(Line::More(trimmed));
    }
    if let Some(section) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Some(Line::Section(section.trim()));
    }
    let (key, value) = trimmed.split_once(['=', ':']).unwrap_or((trimmed, ""));
    Some(Line::Key(key.trim(), value.trim()))
}

#[derive(Default)]
struct Reader<'a> {
    path: &'a str,
    section: String,
    key: String,
    manifest: Manifest,
    is_manifest: bool,
    faults: Faults,
}

impl Reader<'_> {
    fn line(&mut self, line: Line<'_>, number: u32) {
        match line {
            Line::Section(section) => {
                section.clone_into(&mut self.section);
                self.key.clear();
                self.is_manifest |= section == "metadata" || section.starts_with("options");
            }
            Line::Key(key, value) => {
                self.key = key.replace('-', "_");
                self.value(value, number);
            }
            Line::More(value) => self.value(value, number),
        }
    }

    fn value(&mut self, value: &str, line: u32) {
        if value.is_empty() {
            return;
        }
        let scope = match (self.section.as_str(), self.key.as_str()) {
            ("metadata", "name") => {
                self.manifest.name = Some(normal_name(value));
                return;
            }
            // `attr:` and `file:` name where it is made.
            ("metadata", "version") if !value.starts_with("attr:") && !value.starts_with("file:") => {
                self.manifest.version = Some(value.to_owned());
                return;
            }
            ("metadata", "license") => {
                self.manifest.license = Some(value.to_owned());
                return;
            }
            ("options", "install_requires") => Scope::Normal,
            ("options", "setup_requires") => Scope::Build,
            ("options", "tests_require") => Scope::Dev,
            ("options.extras_require", _) => Scope::Optional,
            _ => return,
        };
        if let Some(files) = value.strip_prefix("file:") {
            for named in files.split(',').map(str::trim).filter(|named| !named.is_empty()) {
                match beside(self.path, named) {
                    Some(path) => self.manifest.includes.push(Include { path, line, constraint: false }),
                    None => self.faults.add(line, &format!("{named} lies outside of the project, so it was not read")),
                }
            }
            return;
        }
        // What stands on one line is parted by `;`, unless that begins a marker.
        match pep508::parse(value) {
            Ok(asked) => self.manifest.requirements.push(asked.requirement(scope, line)),
            Err(message) => self.faults.add(line, &message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_setup_cfg_asks_for() {
        let text = "[metadata]\nname = My.Shop\nversion = attr: shop.version\nlicense = MIT\n[options]\npackages = find:\ninstall_requires =\n    \
                    requests>=2\n    # why\n\n    rich; os_name == 'nt'\n    a b\nsetup-requires = wheel\n[options.extras_require]\nweb =\n  flask==3\n\
                    all = file: all.txt\n[flake8]\nmax-line-length = 100\n";
        let file = config("a/setup.cfg", text, &Texts::new());
        assert_eq!(file.faults.iter().filter_map(|fault| fault.line).collect::<Vec<_>>(), [12]);
        let manifest = file.manifest.expect("a manifest");
        assert_eq!(
            (manifest.name.as_deref(), manifest.version, manifest.license.as_deref()),
            (Some("my-shop"), None, Some("MIT"))
        );
        let found: Vec<_> = manifest.requirements.iter().map(|one| (one.line, one.name.as_str(), one.scope)).collect();
        assert_eq!(
            found,
            [
                (8, "requests", Scope::Normal),
                (11, "rich", Scope::Normal),
                (13, "wheel", Scope::Build),
                (16, "flask", Scope::Optional)
            ]
        );
        assert_eq!(manifest.includes[0].path, "a/all.txt");
        assert_eq!(config("setup.cfg", "[flake8]\nignore = E1\n", &Texts::new()).manifest, None);
    }

    #[test]
    fn a_setup_py_that_may_ask_for_packages_can_not_be_read() {
        let file = program(
            "setup.py",
            "from setuptools import setup\nsetup(\n  name='x',\n  install_requires=['a'],\n)\n",
            &Texts::new(),
        );
        assert_eq!((file.faults[0].line, file.faults[0].whole), (Some(4), true));
        let plain =
            program("setup.py", "from setuptools import setup\nsetup()  # no install_requires\n", &Texts::new());
        assert_eq!((plain.faults.len(), plain.manifest), (0, None));
    }

    #[test]
    fn no_text_makes_the_reader_panic() {
        let pieces = ["[", "]", "options", "install_requires", "=", "\n", " ", "a", ">=1", "file:", "é", ";", ":", ","];
        crate::format::testing::pieces(&pieces, |text| drop(config("setup.cfg", text, &Texts::new())));
    }
}
