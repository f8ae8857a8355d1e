//! The user's own `claude` program: where it is, which version, and whether it is logged in.
//!
//! `CONVOKE_CLAUDE` names it, else `PATH` does. **A project must not bring its own**: what lies in the project's folder
//! is not taken, nor are entries of `PATH` that mean another place in every folder.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use semver::Version;

use super::{Surroundings, version};

/// The versions that convoke was tried with.
pub const KNOWN: [Version; 2] = [Version::new(2, 1, 197), Version::new(2, 1, 329)];

/// Older ones lack what convoke needs to forget a question before the next.
pub const OLDEST: Version = Version::new(2, 1, 0);

#[cfg(windows)]
const NAMES: &[&str] = &["claude.exe", "claude.cmd"];
#[cfg(not(windows))]
const NAMES: &[&str] = &["claude"];

/// A program that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claude {
    /// Its path, absolute.
    pub program: PathBuf,
    /// What it says it is.
    pub version: Version,
    /// Whether it is logged in.
    pub login: Login,
    /// What the user should know about it.
    pub notes: Vec<String>,
}

/// Whether, and how, `claude` is logged in. Shown after its name: `is logged in (…)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// By the token in `CLAUDE_CODE_OAUTH_TOKEN`.
    Token,
    /// By this file.
    File(PathBuf),
    /// Perhaps by the system's keychain: only asking it finds out.
    Keychain,
    /// It is not, or nobody knows how.
    None,
}

impl Login {
    /// Looks where `claude` keeps it. Credentials are not read.
    pub fn find(around: Surroundings<'_>) -> Self {
        if around.set("CLAUDE_CODE_OAUTH_TOKEN").is_some() {
            return Self::Token;
        }
        let folder = around.set("CLAUDE_CONFIG_DIR").map(PathBuf::from);
        let folder = folder.or_else(|| home(around).map(|home| home.join(".claude")));
        // A relative one would be another folder wherever the program is run.
        match folder.filter(|folder| folder.is_absolute()).map(|folder| folder.join(".credentials.json")) {
            Some(file) if std::fs::metadata(&file).is_ok_and(|file| file.is_file() && file.len() > 2) => {
                Self::File(file)
            }
            _ if cfg!(target_os = "macos") => Self::Keychain,
            _ => Self::None,
        }
    }

    /// Whether it may be.
    pub fn is_possible(&self) -> bool {
        *self != Self::None
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token => write!(f, "is logged in (CLAUDE_CODE_OAUTH_TOKEN)"),
            Self::File(path) => write!(f, "is logged in ({})", path.display()),
            Self::Keychain => write!(f, "may be logged in (keychain)"),
            Self::None => write!(f, "is not logged in"),
        }
    }
}

fn home(around: Surroundings<'_>) -> Option<PathBuf> {
    around.set("HOME").map(PathBuf::from).or_else(|| Some(directories::BaseDirs::new()?.home_dir().to_owned()))
}

/// Why there is no `claude` that can be used: a part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaudeError {
    /// It was found nowhere.
    #[error("no `claude` is in PATH{}", .in_project.as_deref().map(project_words).unwrap_or_default())]
    Nowhere {
        /// One that lies in the project, and is not taken.
        in_project: Option<PathBuf>,
    },
    /// `CONVOKE_CLAUDE` is wrong.
    #[error("CONVOKE_CLAUDE {}: {problem}", .path.display())]
    Named {
        /// What it says.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It could not be run.
    #[error("{} can't be run: {problem}", .path.display())]
    Broken {
        /// Which.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// It is too old.
    #[error("{} has version {version}, and {OLDEST} is needed at least", .path.display())]
    TooOld {
        /// Which.
        path: PathBuf,
        /// What it says.
        version: Version,
    },
    /// It is there, and nobody has logged in.
    #[error("{} is not logged in", .path.display())]
    NotLoggedIn {
        /// Which.
        path: PathBuf,
    },
}

fn project_words(path: &Path) -> String {
    format!(" but {}, which the project brings and is not run", path.display())
}

impl ClaudeError {
    /// What to do.
    pub fn hint(&self) -> Option<String> {
        let [older, newer] = &KNOWN;
        let known = format!("known to work: {older} and {newer}");
        Some(match self {
            Self::Nowhere { .. } => format!("install Claude Code ({known}), or set CONVOKE_CLAUDE to its path"),
            Self::Named { .. } => "set it to the absolute path of the program, or to nothing".to_owned(),
            Self::Broken { path, .. } => format!("try `{} --version` yourself; {known}", path.display()),
            Self::TooOld { .. } => format!("update it; {known}"),
            Self::NotLoggedIn { .. } => "run `claude` and log in, or set ANTHROPIC_API_KEY".to_owned(),
        })
    }
}

/// Finds the program and asks it for its version.
///
/// # Errors
///
/// See [`ClaudeError`]; a missing login is none: see [`Claude::login`].
pub fn find(around: Surroundings<'_>) -> Result<Claude, ClaudeError> {
    let program = locate(around)?;
    let version = version::of(&program, around.cache)?;
    if version < OLDEST {
        return Err(ClaudeError::TooOld { path: program, version });
    }
    let [older, newer] = &KNOWN;
    let notes = if version > *newer {
        vec![format!("claude {version} is newer than those that convoke was tried with: {older} and {newer}")]
    } else {
        Vec::new()
    };
    Ok(Claude { program, version, login: Login::find(around), notes })
}

/// As [`find`], for `auto`: nothing is run where nobody has logged in.
///
/// # Errors
///
/// See [`ClaudeError`].
pub fn ready(around: Surroundings<'_>) -> Result<Claude, ClaudeError> {
    if Login::find(around).is_possible() {
        return find(around);
    }
    Err(ClaudeError::NotLoggedIn { path: locate(around)? })
}

/// Where it is.
fn locate(around: Surroundings<'_>) -> Result<PathBuf, ClaudeError> {
    // Who works in their home folder, or in one above, has their own programs below it.
    let own = home(around).and_then(|home| std::fs::canonicalize(home).ok());
    let holds_home = own.is_some_and(|home| home.starts_with(around.project));
    let in_project = |path: &Path| {
        let real = std::fs::canonicalize(path);
        let inside = |path: &Path| path.starts_with(around.project);
        !holds_home && (inside(path) || real.is_ok_and(|real| inside(&real)))
    };
    if let Some(named) = around.set("CONVOKE_CLAUDE") {
        let path = PathBuf::from(named.trim());
        let problem = if !path.is_absolute() {
            "this is no absolute path"
        } else if !is_program(&path) {
            "there is no program"
        } else if in_project(&path) {
            "it lies in the project, and a project must not bring its own `claude`"
        } else {
            return Ok(path);
        };
        return Err(ClaudeError::Named { path, problem });
    }
    let entries = around.set("PATH").map(OsString::from).unwrap_or_default();
    let mut of_project = None;
    for folder in std::env::split_paths(&entries).filter(|folder| folder.is_absolute()) {
        for name in NAMES {
            let path = folder.join(name);
            if !is_program(&path) {
                continue;
            }
            if !in_project(&path) {
                return Ok(path);
            }
            of_project.get_or_insert(path);
        }
    }
    Err(ClaudeError::Nowhere { in_project: of_project })
}

#[cfg(unix)]
pub(crate) fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
pub(crate) fn is_program(path: &Path) -> bool {
    path.is_file()
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A machine with a home, a project, and folders for programs.
    struct Machine {
        folder: tempfile::TempDir,
    }

    impl Machine {
        fn new() -> Self {
            let machine = Self { folder: tempfile::tempdir().unwrap() };
            for folder in ["home", "project", "bin"] {
                fs::create_dir(machine.path(folder)).unwrap();
            }
            machine
        }

        fn path(&self, path: &str) -> PathBuf {
            fs::canonicalize(self.folder.path()).unwrap().join(path)
        }

        fn program(&self, path: &str, script: &str) -> PathBuf {
            let path = self.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        }

        fn with<T>(&self, variables: &[(&str, String)], act: impl FnOnce(Surroundings<'_>) -> T) -> T {
            let (project, home) = (self.path("project"), self.path("home"));
            let env = |name: &str| match variables.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => Some(value.clone()),
                None => (name == "HOME").then(|| home.display().to_string()),
            };
            act(Surroundings {
                env: &env,
                project: &project,
                cache: None,
                records: Path::new("/nowhere"),
                most_usd: None,
            })
        }

        fn in_path(&self, path: String) -> Result<Claude, ClaudeError> {
            self.with(&[("PATH", path)], find)
        }

        fn bin(&self) -> String {
            self.path("bin").display().to_string()
        }
    }

    #[test]
    fn the_first_in_path_is_taken_and_says_its_version() {
        let machine = Machine::new();
        let program = machine.program("bin/claude", "echo '2.1.329 (Claude Code)'");
        let claude = machine.in_path(format!("relative:{}", machine.bin())).unwrap();
        assert_eq!((claude.program, claude.version, claude.notes.len()), (program, Version::new(2, 1, 329), 0));
        machine.program("bin/claude", "echo 2.1.400");
        let newer = machine.in_path(machine.bin()).unwrap();
        assert!(newer.notes[0].contains("2.1.400 is newer") && newer.notes[0].contains("2.1.197"), "{:?}", newer.notes);
    }

    #[test]
    fn what_a_project_brings_is_not_run() {
        let machine = Machine::new();
        let theirs = machine.program("project/node_modules/.bin/claude", "touch \"$0.ran\"; echo 2.1.329");
        let bins = theirs.parent().unwrap().display().to_string();
        let error = machine.in_path(bins.clone()).unwrap_err();
        assert_eq!(error, ClaudeError::Nowhere { in_project: Some(theirs.clone()) });
        assert!(error.to_string().contains("which the project brings"), "{error}");
        std::os::unix::fs::symlink(&theirs, machine.path("bin/claude")).unwrap();
        assert!(machine.in_path(machine.bin()).is_err(), "a link that leads into the project");
        fs::remove_file(machine.path("bin/claude")).unwrap();
        let own = machine.program("bin/claude", "echo 2.1.329");
        assert_eq!(machine.in_path(format!("{bins}:{}", machine.bin())).unwrap().program, own);
        let named = machine.with(&[("CONVOKE_CLAUDE", theirs.display().to_string())], find).unwrap_err();
        assert!(named.to_string().contains("must not bring"), "{named}");
        assert!(
            !theirs.with_extension("ran").exists() && !machine.path("project/node_modules/.bin/claude.ran").exists()
        );
    }

    #[test]
    fn who_works_in_their_home_has_their_own_programs_there() {
        let machine = Machine::new();
        let own = machine.program("project/.local/bin/claude", "echo 2.1.329");
        let home = ("HOME", machine.path("project").display().to_string());
        let path = ("PATH", own.parent().unwrap().display().to_string());
        assert_eq!(machine.with(&[home, path], find).unwrap().program, own);
    }

    #[test]
    fn convoke_claude_goes_before_path_and_must_be_a_program() {
        let machine = Machine::new();
        machine.program("bin/claude", "echo 2.1.329");
        let other = machine.program("other", "echo 2.1.197");
        let named = |value: String| machine.with(&[("CONVOKE_CLAUDE", value), ("PATH", machine.bin())], find);
        assert_eq!(named(other.display().to_string()).unwrap().program, other);
        assert!(named("claude".to_owned()).unwrap_err().to_string().contains("no absolute path"));
        assert!(named("/nowhere/claude".to_owned()).unwrap_err().to_string().contains("no program"));
        assert!(named(machine.bin()).unwrap_err().to_string().contains("no program"));
        fs::set_permissions(&other, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(named(other.display().to_string()).is_err());
    }

    #[test]
    fn one_that_is_too_old_silent_or_talks_nonsense_is_refused() {
        let machine = Machine::new();
        for (script, words) in [
            ("echo 2.0.99", "has version 2.0.99, and 2.1.0 is needed"),
            ("echo 1.9.0", "has version 1.9.0"),
            ("exit 3", "it said nothing"),
            ("printf 'hello \\033[2J world'", "it said: hello world"),
            ("yes garbage", "it said: garbage"),
        ] {
            machine.program("bin/claude", script);
            let error = machine.in_path(machine.bin()).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert!(error.hint().unwrap().contains("2.1.329"), "{error:?}");
        }
        fs::write(machine.path("bin/claude"), [0x7f, b'E', b'L', b'F', 0]).unwrap();
        assert!(matches!(machine.in_path(machine.bin()), Err(ClaudeError::Broken { .. })));
    }

    #[test]
    fn a_login_is_a_token_or_a_file() {
        let machine = Machine::new();
        let login = |variables: &[(&str, String)]| machine.with(variables, Login::find);
        let nobody = if cfg!(target_os = "macos") { Login::Keychain } else { Login::None };
        assert_eq!(login(&[]), nobody);
        assert_eq!(login(&[("CLAUDE_CODE_OAUTH_TOKEN", "t".to_owned())]), Login::Token);
        let file = |folder: &str| {
            let folder = machine.path(folder);
            fs::create_dir_all(&folder).unwrap();
            let file = folder.join(".credentials.json");
            fs::write(&file, "{\"claudeAiOauth\":{}}").unwrap();
            (folder.display().to_string(), file)
        };
        let (_, in_home) = file("home/.claude");
        assert_eq!(login(&[]), Login::File(in_home.clone()));
        let (folder, elsewhere) = file("settings");
        assert_eq!(login(&[("CLAUDE_CONFIG_DIR", folder)]), Login::File(elsewhere));
        assert_eq!(login(&[("CLAUDE_CONFIG_DIR", ".".to_owned())]), nobody, "a place in the project");
        fs::write(in_home, "{}").unwrap();
        assert_eq!(login(&[]), nobody, "logged out");
    }

    #[cfg(not(target_os = "macos"))]
    #[test]
    fn auto_runs_nothing_where_nobody_has_logged_in() {
        let machine = Machine::new();
        let program = machine.program("bin/claude", "touch \"$0.ran\"; echo 2.1.329");
        let error = machine.with(&[("PATH", machine.bin())], ready).unwrap_err();
        assert_eq!(error, ClaudeError::NotLoggedIn { path: program });
        assert!(!machine.path("bin/claude.ran").exists());
    }
}
