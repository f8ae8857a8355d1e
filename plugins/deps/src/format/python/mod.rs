//! Python: requirements files, `pyproject.toml`, `Pipfile`, `setup.cfg`, and the lockfiles of poetry, uv, pipenv and pdm.

mod lines;
mod pdm;
pub mod pep508;
mod pipenv;
mod poetry;
mod pyproject;
pub mod requirements;
mod setup;
mod uv;
mod via;

use super::Format;
use super::tree::Node;
use crate::model::{Manager, folder, name_of};

/// The format of a file, by its path: the folder counts too, `requirements/dev.txt` is a requirements file.
pub fn format_of(path: &str) -> Option<Format> {
    let name = name_of(path);
    let (lock, parse): (bool, super::Parse) = match name {
        "pyproject.toml" => (false, pyproject::parse),
        "poetry.lock" => (true, poetry::lock),
        "uv.lock" => (true, uv::parse),
        "pdm.lock" => (true, pdm::pdm),
        "Pipfile" => (false, pipenv::pipfile),
        "Pipfile.lock" => (true, pipenv::lock),
        "setup.cfg" => (false, setup::config),
        "setup.py" => (false, setup::program),
        _ if is_pylock(name) => (true, pdm::pylock),
        _ if is_text(name, "constraints") => (false, requirements::constraints),
        _ if is_text(name, "requirements") || is_in_requirements(path) || is_pinned(name) => {
            (false, requirements::parse)
        }
        _ => return None,
    };
    Some(Format { manager: Manager::Python, lock, parse })
}

/// How a file for pip is called that is named with `-c` and whose own name says nothing.
pub const CONSTRAINTS: &str = "constraints.txt";

/// The stem of a file for pip, which may have any name.
fn stem(name: &str) -> Option<&str> {
    name.strip_suffix(".txt").or_else(|| name.strip_suffix(".in"))
}

/// `requirements.txt`, `requirements-dev.in`, `dev-requirements.txt`, and the same for constraints.
fn is_text(name: &str, word: &str) -> bool {
    stem(name).is_some_and(|stem| stem.starts_with(word) || stem.ends_with(word))
}

/// `requirements/dev.txt`
fn is_in_requirements(path: &str) -> bool {
    stem(name_of(path)).is_some() && name_of(folder(path)) == "requirements"
}

/// `requirements.lock`, as rye has it.
fn is_pinned(name: &str) -> bool {
    name.strip_suffix(".lock").is_some_and(|stem| stem.starts_with("requirements"))
}

/// `pylock.toml`, or `pylock.name.toml` (PEP 751).
fn is_pylock(name: &str) -> bool {
    let middle = name.strip_prefix("pylock").and_then(|rest| rest.strip_suffix(".toml"));
    middle.is_some_and(|middle| middle.is_empty() || (middle.starts_with('.') && middle.len() > 1))
}

/// Where a package of a lockfile stands: at its name.
fn line_of(package: &Node<'_>) -> u32 {
    package.entry("name").map_or(package.line, |entry| entry.line)
}

/// A name as the index compares it: lower case, and each run of `-`, `_` and `.` is one `-` (PEP 503).
pub fn normal_name(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for char in name.chars() {
        if matches!(char, '-' | '_' | '.') {
            if !normal.ends_with('-') {
                normal.push('-');
            }
        } else {
            normal.push(char.to_ascii_lowercase());
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_by_pep_503() {
        for name in ["Friendly-Bard", "FRIENDLY_BARD", "friendly.bard", "friendly-._bard"] {
            assert_eq!(normal_name(name), "friendly-bard");
        }
    }

    #[test]
    fn constraints_ask_for_nothing() {
        for name in [CONSTRAINTS, "constraints-dev.txt", "requirements/constraints.txt", "upper-constraints.txt"] {
            let file = (format_of(name).expect("a format").parse)(name, "a==1\n", &crate::model::Texts::new());
            assert_eq!(
                (file.manifest.map(|manifest| manifest.requirements.len()), file.lock),
                (Some(0), None),
                "{name}"
            );
        }
    }

    #[test]
    fn lockfiles_are_known_by_their_names() {
        for name in ["poetry.lock", "uv.lock", "pdm.lock", "Pipfile.lock", "a/pylock.toml", "pylock.dev.toml"] {
            assert!(format_of(name).is_some_and(|format| format.lock), "{name}");
        }
        assert!(format_of("pylocks.toml").is_none());
    }

    #[test]
    fn requirements_files_have_many_names() {
        for name in [
            "requirements.txt",
            "a/requirements-dev.in",
            "dev-requirements.txt",
            "requirements/base.txt",
            "requirements_test.txt",
            "constraints.txt",
            "requirements-dev.lock",
        ] {
            assert!(format_of(name).is_some_and(|format| !format.lock), "{name}");
        }
        for name in ["robots.txt", "notes/base.txt", "requirements.md", "MANIFEST.in", "build.lock"] {
            assert!(format_of(name).is_none(), "{name}");
        }
    }
}
