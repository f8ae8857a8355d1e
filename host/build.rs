//! Gathers what `convoke new` writes into a project, and what `convoke build` gives a command in Python: the SDKs, the
//! contract, and the examples that new projects begin as. A file that is added to them needs to be named nowhere.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The name of a set, what of `host/kept` is in it, and where in a project that goes. There lie links to where it is in the
/// repository: so that it is in the package of this crate too.
const SETS: [(&str, &[(&str, &str)]); 5] = [
    (
        "RUST_SDK",
        &[
            ("kept/sdk.toml", "rust/Cargo.toml"),
            ("kept/sdk-src", "rust/src"),
            ("wit/*.wit", "rust/wit"),
            ("kept/secrets.toml", "secrets/Cargo.toml"),
            ("kept/secrets-src", "secrets/src"),
        ],
    ),
    ("PYTHON_SDK", &[("kept/python-sdk", "convoke_sdk")]),
    ("CONTRACT", &[("wit/*.wit", "wit")]),
    (
        "RUST_EXAMPLE",
        &[
            ("kept/hello/plugin.toml", "plugin.toml"),
            ("kept/hello/src", "src"),
            ("kept/hello/tests", "tests"),
            ("kept/hello/fixtures", "fixtures"),
        ],
    ),
    (
        "PYTHON_EXAMPLE",
        &[
            ("kept/todo-scan/plugin.toml", "plugin.toml"),
            ("kept/todo-scan/pyproject.toml", "pyproject.toml"),
            ("kept/todo-scan/app.py", "app.py"),
            ("kept/todo-scan/tests", "tests"),
            ("kept/todo-scan/fixtures", "fixtures"),
        ],
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let mut watched = String::from("cargo::rerun-if-changed=build.rs\n");
    let mut code = String::new();
    for (name, parts) in SETS {
        let mut files = Vec::new();
        for (from, to) in parts {
            let (folder, suffix) = match from.rsplit_once("/*") {
                Some((folder, suffix)) => (folder, suffix),
                None => (*from, ""),
            };
            writeln!(watched, "cargo::rerun-if-changed={}", root.join(folder).canonicalize()?.display())?;
            // A suffix says that folders within are something else.
            gather(&root.join(folder), to, suffix, &mut files)?;
        }
        files.sort();
        writeln!(code, "const {name}: &[(&str, &str)] = &[")?;
        for (to, from) in files {
            writeln!(code, "    ({to:?}, include_str!({:?})),", from.to_str().ok_or("a path that is not UTF-8")?)?;
        }
        writeln!(code, "];")?;
    }
    fs::write(PathBuf::from(std::env::var("OUT_DIR")?).join("kept.rs"), code)?;
    std::io::stdout().write_all(watched.as_bytes())?;
    Ok(())
}

/// A file, or all files below a folder but for hidden ones and what Python leaves.
fn gather(from: &Path, to: &str, suffix: &str, files: &mut Vec<(String, PathBuf)>) -> Result<(), Box<dyn Error>> {
    if from.is_file() {
        files.push((to.to_owned(), from.to_owned()));
        return Ok(());
    }
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).ok_or("a name that is not UTF-8")?.to_owned();
        let is_left = name.starts_with(['.', '_']) && name != "__init__.py";
        if is_left || !name.ends_with(suffix) || (path.is_dir() && !suffix.is_empty()) {
            continue;
        }
        gather(&path, &format!("{to}/{name}"), suffix, files)?;
    }
    Ok(())
}
