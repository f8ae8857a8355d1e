//! From a folder with Python to a component, by componentize-py.
//!
//! The author's module is imported while the component is made, and its memory is kept: so a start of the command runs no
//! imports. What exports it, and the contract, come from the SDK; which world it is made for, from the manifest.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{BuildError, BuildOptions};
use crate::plugin::manifest::Manifest;
use crate::plugin::{printable, template};

/// What makes components of Python, as pip calls it. Its bindings and its runtime change with its minor version.
pub(super) const REQUIREMENT: &str = "componentize-py==0.25.1";

/// The versions that are taken where they are there.
const FITTING: &str = "0.25.";

/// The module that a component is made of, unless `pyproject.toml` says otherwise.
const MODULE: &str = "app";

/// The module that exports the author's command. No module of an author is called so.
const ENTRY: &str = "convoke_entry";

/// The world that the component is made for.
const WORLD: &str = "convoke-python";

/// What is known of a folder with Python.
#[derive(Debug, PartialEq, Eq)]
struct Project {
    /// The version in `pyproject.toml`.
    version: Option<String>,
    /// The module that is imported.
    module: String,
}

/// Whether a folder holds a command in Python.
pub(super) fn is_python(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).is_file();
    !has("Cargo.toml") && (has("app.py") || has("pyproject.toml"))
}

/// Makes the component; its bytes.
pub(super) fn compile(folder: &Path, manifest: &Manifest, options: &BuildOptions) -> Result<Vec<u8>, BuildError> {
    let project = Project::read(folder)?;
    if let Some(version) = project.version.filter(|version| *version != manifest.version) {
        return Err(BuildError::VersionsDiffer { file: "pyproject.toml", version, manifest: manifest.version.clone() });
    }
    let folder = &folder.canonicalize().map_err(|why| BuildError::Io { path: folder.to_owned(), why })?;
    let tool = Tool::find(folder).map_or_else(|found| Tool::install(folder, found.as_deref(), options), Ok)?;
    let io = |path: &Path| {
        let path = path.to_owned();
        |why| BuildError::Io { path, why }
    };
    let temporary = tempfile::tempdir().map_err(io(&std::env::temp_dir()))?;
    let beside = temporary.path();
    template::write_python_sdk(beside).map_err(|(path, why)| BuildError::Io { path, why })?;
    let write = |name: &str, text: &str| {
        let path = beside.join(name);
        std::fs::write(&path, text).map_err(io(&path))
    };
    write("wit/python.wit", &world(manifest))?;
    write(&format!("{ENTRY}.py"), &entry(&project.module))?;
    let own_sdk = folder.join("sdk");
    let sdk = if own_sdk.join("convoke_sdk").is_dir() { own_sdk.as_path() } else { beside };
    let made = beside.join("made.wasm");
    let mut command = tool.command();
    command.args(["--quiet", "--wit-path"]).arg(beside.join("wit")).args(["--world", WORLD, "componentize"]);
    // The author's own modules go first, so that the error of a module that is called like ours is theirs to see.
    for path in [folder.as_path(), sdk, beside] {
        command.arg("--python-path").arg(path);
    }
    command.arg(ENTRY).arg("--output").arg(&made).current_dir(folder);
    command.env("VIRTUAL_ENV", packages(folder, beside).map_err(io(beside))?);
    command.env_remove("PYTHONPATH").env_remove("PYTHONHOME");
    run(command)?;
    std::fs::read(&made).map_err(io(&made))
}

impl Project {
    fn read(folder: &Path) -> Result<Self, BuildError> {
        let path = folder.join("pyproject.toml");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(why) => return Err(BuildError::Io { path, why }),
        };
        let project = Self::parse(&text).map_err(|why| BuildError::Pyproject { path, why })?;
        let file = project.module.replace('.', "/");
        if !folder.join(format!("{file}.py")).is_file() && !folder.join(&file).join("__init__.py").is_file() {
            return Err(BuildError::NoModule { folder: folder.to_owned(), module: project.module });
        }
        Ok(project)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| printable(error.message(), 200))?;
        let text_at = |keys: [&str; 2]| {
            let mut value = table.get(keys[0]);
            for key in keys[1].split('.') {
                value = value?.get(key);
            }
            value?.as_str().map(str::to_owned)
        };
        let module = text_at(["tool", "convoke.module"]).unwrap_or_else(|| MODULE.to_owned());
        let is_word = |word: &str| {
            word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
                && word.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        };
        if !module.split('.').all(is_word) || module.split('.').any(|word| word == ENTRY || word == "convoke_sdk") {
            return Err(format!("tool.convoke.module: `{}` is not the name of a module", printable(&module, 80)));
        }
        Ok(Self { version: text_at(["project", "version"]), module })
    }
}

/// The world of a command that has what its manifest asks for. A component of Python imports all of its world, whether it
/// is used or not, so nothing else is in it.
fn world(manifest: &Manifest) -> String {
    let mut text = format!("world {WORLD} {{\n    include command-with-conclusion;\n");
    let asked = &manifest.capabilities;
    let interfaces = [("process", !asked.process.is_empty()), ("http", !asked.http.is_empty()), ("store", asked.store)];
    for (interface, _) in interfaces.iter().filter(|(_, is_asked)| *is_asked) {
        text += &format!("    import {interface};\n");
    }
    text + "}\n"
}

fn entry(module: &str) -> String {
    // The author's module is imported first: what goes wrong in it is what is told.
    format!("import {module}  # noqa: F401\nfrom convoke_sdk.component import Conclusion, Handler  # noqa: F401\n")
}

/// The environment whose packages go with the author's: the project's own, else an empty one. Never that of whoever
/// builds, so that the same project gives the same component.
fn packages(folder: &Path, beside: &Path) -> std::io::Result<PathBuf> {
    let own = folder.join(".venv");
    if own.is_dir() {
        return Ok(own);
    }
    let empty = beside.join("empty");
    std::fs::create_dir_all(empty.join("lib/python3/site-packages"))?;
    Ok(empty)
}

/// componentize-py, as it is started.
#[derive(Debug)]
struct Tool {
    program: PathBuf,
    arguments: &'static [&'static str],
}

impl Tool {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(self.arguments);
        command
    }

    /// In the project's `.venv`, in `PATH`, as a module of `python3`. Else another version that is there, if one is.
    fn find(folder: &Path) -> Result<Self, Option<String>> {
        let candidates = [
            Self { program: own_program(folder, "componentize-py"), arguments: &[] },
            Self { program: "componentize-py".into(), arguments: &[] },
            Self { program: "python3".into(), arguments: &["-m", "componentize_py"] },
        ];
        let mut other = None;
        for tool in candidates {
            match tool.version() {
                Some(version) if version.starts_with(FITTING) => return Ok(tool),
                Some(version) => other = other.or(Some(version)),
                None => {}
            }
        }
        Err(other)
    }

    fn version(&self) -> Option<String> {
        let output = self.command().arg("--version").stdin(Stdio::null()).output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = said.trim().strip_prefix("componentize-py ")?;
        output.status.success().then(|| printable(version, 40))
    }

    /// Puts it into the project's `.venv`.
    fn install(folder: &Path, found: Option<&str>, options: &BuildOptions) -> Result<Self, BuildError> {
        let python = own_program(folder, "python");
        let commands = format!("python3 -m venv .venv && .venv/bin/python -m pip install {REQUIREMENT}");
        if options.offline {
            return Err(BuildError::NoComponentizer { found: found.map(str::to_owned), commands });
        }
        if !options.quiet {
            let why = match found {
                Some(version) => format!("version {version} does not fit"),
                None => "it makes components of Python, and is not here yet".to_owned(),
            };
            // As cargo's words: nobody may be reading.
            let _ = writeln!(std::io::stderr(), "{REQUIREMENT} goes into {}: {why}", folder.join(".venv").display());
        }
        let step = |mut command: Command| {
            command.current_dir(folder);
            run(command)
        };
        if !python.is_file() {
            let mut command = Command::new("python3");
            command.args(["-m", "venv", ".venv"]);
            step(command)?;
        }
        let mut command = Command::new(&python);
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", REQUIREMENT]);
        step(command)?;
        let tool = Self { program: own_program(folder, "componentize-py"), arguments: &[] };
        match tool.version() {
            Some(version) if version.starts_with(FITTING) => Ok(tool),
            version => Err(BuildError::NoComponentizer { found: version, commands }),
        }
    }
}

/// A program of the project's own environment.
fn own_program(folder: &Path, name: &str) -> PathBuf {
    match cfg!(windows) {
        true => folder.join(".venv").join("Scripts").join(format!("{name}.exe")),
        false => folder.join(".venv").join("bin").join(name),
    }
}

/// Runs a program to its end. Its last words, where it fails, are the author's mistake, with its place.
fn run(mut command: Command) -> Result<(), BuildError> {
    let program = shown(&command);
    let start = |why| BuildError::Start { program: program.clone(), why };
    let output = command.stdin(Stdio::null()).output().map_err(start)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(if output.stderr.is_empty() { &output.stdout } else { &output.stderr });
    let said: Vec<&str> = said.trim().lines().collect();
    let last = &said[said.len().saturating_sub(40)..];
    let stderr = last.iter().map(|line| printable(line, 300)).collect::<Vec<_>>().join("\n");
    Err(BuildError::Failed { program, stderr: format!("\n{stderr}") })
}

/// What is started, in a word or two: `python3 -m venv`.
fn shown(command: &Command) -> String {
    let mut words = vec![Path::new(command.get_program()).file_name().unwrap_or_default().to_owned()];
    let arguments: Vec<OsString> = command.get_args().take(2).map(OsString::from).collect();
    if arguments.first().is_some_and(|first| first == "-m") {
        words.extend(arguments);
    }
    words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_says_its_version_and_its_module() {
        let parsed = |text: &str| Project::parse(text);
        let project = |version: Option<&str>, module: &str| {
            Ok(Project { version: version.map(str::to_owned), module: module.to_owned() })
        };
        assert_eq!(parsed(""), project(None, "app"));
        assert_eq!(parsed("[project]\nversion = \"1.2.3\"\n"), project(Some("1.2.3"), "app"));
        assert_eq!(parsed("[tool.convoke]\nmodule = \"pkg.main\"\n"), project(None, "pkg.main"));
        for wrong in ["../x", "a-b", "", "a..b", "1a", "convoke_sdk", "a\\nimport os"] {
            assert!(parsed(&format!("[tool.convoke]\nmodule = \"{wrong}\"\n")).is_err(), "{wrong}");
        }
        assert!(parsed("[project").is_err());
    }

    #[test]
    fn a_world_has_what_the_manifest_asks_for_and_no_more() {
        let manifest = |more: &str| {
            let text = format!(
                "manifest_version = 1\nname = \"small\"\nversion = \"0.1.0\"\ndescription = \"d\"\nlicense = \"MIT\"\n{more}"
            );
            Manifest::from_toml("plugin.toml", text.as_bytes()).unwrap()
        };
        assert_eq!(world(&manifest("")), "world convoke-python {\n    include command-with-conclusion;\n}\n");
        let asked = "[capabilities]\nstore = true\n[[capabilities.process]]\nprogram = \"git\"\n";
        let world = world(&manifest(asked));
        assert!(world.contains("import process;\n    import store;\n") && !world.contains("http"), "{world}");
    }

    #[test]
    fn what_is_started_is_named_by_its_module() {
        let mut command = Command::new("/x/y/python3");
        command.args(["-m", "pip", "install"]);
        assert_eq!(shown(&command), "python3 -m pip");
        assert_eq!(shown(&Command::new("/x/componentize-py")), "componentize-py");
    }
}
