//! Where a program is that an action names, and what it sees of the user's environment.
//!
//! `PATH` says where. **A project must not bring its own**: what lies in the project's folder is not taken, nor are
//! entries of `PATH` that mean another place in every folder; and the program gets a `PATH` without them. The same holds
//! of a folder into which every user of the machine can put a program.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::backends::claude::is_program;

/// What passes from the user's environment: who and where they are, proxies and certificates. No keys.
const PASSED: [&str; 19] = [
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Nobody can be asked, and nothing is painted.
const SET: [(&str, &str); 3] = [("TERM", "dumb"), ("GIT_TERMINAL_PROMPT", "0"), ("GH_PROMPT_DISABLED", "1")];

#[cfg(windows)]
const SUFFIXES: &[&str] = &[".exe"];
#[cfg(not(windows))]
const SUFFIXES: &[&str] = &[""];

/// The programs of a user.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Those of `PATH` that are the same everywhere.
    folders: Vec<PathBuf>,
    project: PathBuf,
    /// Whether the project holds the user's home, and with it the user's own programs.
    holds_home: bool,
    environment: Vec<(OsString, OsString)>,
}

/// Why a program can't be had: a part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// It is in no folder of `PATH`.
    #[error("no program {0} is in PATH")]
    Nowhere(String),
    /// Only the project has one.
    #[error("the only program {name} is {}, which the project brings and is not run", .path.display())]
    InProject {
        /// Its name.
        name: String,
        /// Where.
        path: PathBuf,
    },
}

impl Programs {
    /// By the user's environment. `project` has no link in it.
    pub fn of(env: impl Fn(&str) -> Option<String>, project: &Path) -> Self {
        let home = env("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        let home = home.or_else(|| Some(directories::BaseDirs::new()?.home_dir().to_owned()));
        let home = home.and_then(|home| fs::canonicalize(home).ok());
        let mut programs = Self {
            folders: Vec::new(),
            project: project.to_owned(),
            holds_home: home.is_some_and(|home| home.starts_with(project)),
            environment: Vec::new(),
        };
        let entries = OsString::from(env("PATH").unwrap_or_default());
        programs.folders =
            std::env::split_paths(&entries).filter(|folder| folder.is_absolute() && !is_open_to_all(folder)).collect();
        let own = programs.folders.iter().filter(|folder| !programs.is_in_project(folder));
        // Each was an entry, so that together they are entries again.
        let path = std::env::join_paths(own).unwrap_or_default();
        let passed = PASSED.iter().filter_map(|name| Some((OsString::from(name), OsString::from(env(name)?))));
        let set = SET.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        programs.environment = [(OsString::from("PATH"), path)].into_iter().chain(passed).chain(set).collect();
        programs
    }

    /// The `PATH` that a program gets.
    pub(crate) fn path(&self) -> OsString {
        self.environment.first().map(|(_, path)| path.clone()).unwrap_or_default()
    }

    /// All that a program sees of the environment.
    pub fn environment(&self) -> &[(OsString, OsString)] {
        &self.environment
    }

    /// Finds a program by its name.
    ///
    /// # Errors
    /// See [`NotFound`].
    pub fn find(&self, name: &str) -> Result<PathBuf, NotFound> {
        let mut of_project = None;
        for folder in &self.folders {
            for suffix in SUFFIXES {
                let path = folder.join(format!("{name}{suffix}"));
                if !is_program(&path) || is_open_to_all(&path) {
                    continue;
                }
                if !self.is_in_project(&path) {
                    return Ok(path);
                }
                of_project.get_or_insert(path);
            }
        }
        let name = name.to_owned();
        Err(of_project.map_or(NotFound::Nowhere(name.clone()), |path| NotFound::InProject { name, path }))
    }

    fn is_in_project(&self, path: &Path) -> bool {
        let inside = |path: &Path| path.starts_with(&self.project);
        !self.holds_home && (inside(path) || fs::canonicalize(path).is_ok_and(|real| inside(&real)))
    }
}

/// Whether every user of the machine may change what is there.
#[cfg(unix)]
fn is_open_to_all(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o002 != 0)
}

#[cfg(not(unix))]
fn is_open_to_all(_: &Path) -> bool {
    false
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn program(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        for name in ["home", "project/bin", "bin"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        (folder, root)
    }

    fn programs(root: &Path, path: &str, more: &[(&str, &str)]) -> Programs {
        let env = |name: &str| match name {
            "PATH" => Some(path.to_owned()),
            "HOME" => Some(root.join("home").to_string_lossy().into_owned()),
            other => more.iter().find(|(name, _)| *name == other).map(|(_, value)| (*value).to_owned()),
        };
        Programs::of(env, &root.join("project"))
    }

    #[test]
    fn the_projects_own_programs_are_not_run_also_not_by_a_link() {
        let (_folder, root) = place();
        program(&root.join("project/bin/git"));
        std::os::unix::fs::symlink(root.join("project/bin/git"), root.join("bin/git")).unwrap();
        let path = format!("bin:.::{0}/project/bin:{0}/bin", root.display());
        let found = programs(&root, &path, &[]);
        assert!(matches!(found.find("git"), Err(NotFound::InProject { .. })));
        assert_eq!(found.find("gone"), Err(NotFound::Nowhere("gone".to_owned())));
        program(&root.join("own/git"));
        let found = programs(&root, &format!("{path}:{}/own", root.display()), &[]);
        assert_eq!(found.find("git"), Ok(root.join("own/git")));
        let (_, path) = &found.environment()[0];
        assert_eq!(path.to_str().unwrap(), format!("{0}/bin:{0}/own", root.display()));
    }

    #[test]
    fn what_every_user_can_change_is_not_run() {
        let (_folder, root) = place();
        program(&root.join("bin/git"));
        program(&root.join("shared/git"));
        let open = |path: &str, mode| fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
        open("shared", 0o1777);
        let both = format!("{0}/shared:{0}/bin", root.display());
        let found = programs(&root, &both, &[]);
        assert_eq!(found.find("git"), Ok(root.join("bin/git")));
        assert_eq!(found.path().to_str().unwrap(), root.join("bin").to_str().unwrap());
        open("bin/git", 0o777);
        assert_eq!(programs(&root, &both, &[]).find("git"), Err(NotFound::Nowhere("git".to_owned())));
    }

    #[test]
    fn no_key_is_in_the_environment() {
        let (_folder, root) = place();
        let secrets =
            [("ANTHROPIC_API_KEY", "sk"), ("GH_TOKEN", "x"), ("AWS_SECRET_ACCESS_KEY", "x"), ("LD_PRELOAD", "x")];
        let kept = [("LANG", "C.UTF-8"), ("TERM", "xterm")];
        let programs = programs(&root, "/usr/bin", &[secrets.as_slice(), &kept].concat());
        let names: Vec<&str> = programs.environment().iter().filter_map(|(name, _)| name.to_str()).collect();
        assert_eq!(names, ["PATH", "HOME", "LANG", "TERM", "GIT_TERMINAL_PROMPT", "GH_PROMPT_DISABLED"]);
        assert!(programs.environment().contains(&("TERM".into(), "dumb".into())));
    }
}
