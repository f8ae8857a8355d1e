//! Where files stand.

use std::path::{Path, PathBuf};

use directories::ProjectDirs;

use super::ConfigError;

/// The name of a project's configuration.
pub const PROJECT_FILE: &str = "convoke.toml";

/// The user's own folders. None of them need exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// What the user writes: `CONVOKE_CONFIG_DIR`, or the platform's folder for settings.
    pub config: PathBuf,
    /// What must not be lost: `CONVOKE_DATA_DIR`, or the platform's folder for data.
    pub data: PathBuf,
    /// What can be made again: `CONVOKE_CACHE_DIR`, or the platform's folder for caches.
    pub cache: PathBuf,
}

impl Paths {
    /// Finds them. `env` gives the value of an environment variable; an empty one counts as not set.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoHome`] where a folder is needed and the platform names none, and
    /// [`ConfigError::Environment`] where a variable holds no absolute path: what it means would depend on where
    /// convoke is started.
    pub fn find(env: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let platform = ProjectDirs::from("", "", "convoke");
        let folder = |name: &'static str, of_platform: fn(&ProjectDirs) -> &Path| {
            let Some(value) = env(name).filter(|value| !value.is_empty()) else {
                return platform.as_ref().map(|dirs| of_platform(dirs).to_owned()).ok_or(ConfigError::NoHome);
            };
            let path = PathBuf::from(value);
            let hint = || "it must be an absolute path".to_owned();
            if path.is_absolute() { Ok(path) } else { Err(ConfigError::Environment { name, hint: hint() }) }
        };
        Ok(Self {
            config: folder("CONVOKE_CONFIG_DIR", ProjectDirs::config_dir)?,
            data: folder("CONVOKE_DATA_DIR", ProjectDirs::data_dir)?,
            cache: folder("CONVOKE_CACHE_DIR", ProjectDirs::cache_dir)?,
        })
    }

    /// The user's configuration.
    pub fn user_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// What the user has granted to plugins.
    pub fn grants(&self) -> PathBuf {
        self.config.join("grants.toml")
    }

    /// The user's policies.
    pub fn policies(&self) -> PathBuf {
        self.config.join("policies")
    }

    /// The journal of all runs.
    pub fn journal(&self) -> PathBuf {
        self.data.join("journal.db")
    }

    /// The audit log.
    pub fn audit(&self) -> PathBuf {
        self.data.join("audit")
    }

    /// The answers of earlier runs.
    pub fn responses(&self) -> PathBuf {
        self.cache.join("responses.db")
    }

    /// The key that they are encrypted with. It can't be made again, so it is no part of a cache.
    pub fn responses_key(&self) -> PathBuf {
        self.data.join("responses.key")
    }

    /// The records of the processes that run.
    pub fn instances(&self) -> PathBuf {
        self.data.join("instances")
    }

    /// What all processes of the user have in common: quotas, instances, the day's spending.
    pub fn limits(&self) -> PathBuf {
        self.data.join("limits")
    }

    /// Who does which items, a folder a project.
    pub fn claims(&self) -> PathBuf {
        self.data.join("claims")
    }

    /// The locks by which processes do some things one at a time.
    pub fn locks(&self) -> PathBuf {
        self.data.join("locks")
    }

    /// The sockets on which processes that run something listen.
    pub fn control(&self) -> PathBuf {
        self.data.join("control")
    }

    /// The installed plugins.
    pub fn plugins(&self) -> PathBuf {
        self.data.join("plugins")
    }

    /// The stores of plugins.
    pub fn stores(&self) -> PathBuf {
        self.data.join("store")
    }

    /// The pages of runs that were wanted without a name: `--timings`.
    pub fn timings(&self) -> PathBuf {
        self.cache.join("timings")
    }

    /// The compiled components.
    pub fn components(&self) -> PathBuf {
        self.cache.join("components")
    }
}

/// The folder of the project that a folder belongs to: the nearest ancestor with a `convoke.toml` or a `.git`, else
/// the folder itself.
///
/// A `convoke.toml` above a repository does not reach into it: who cloned into a folder of many things did not mean
/// the folder.
pub fn project_root(folder: &Path) -> PathBuf {
    let is_root = |folder: &&Path| folder.join(PROJECT_FILE).is_file() || folder.join(".git").exists();
    folder.ancestors().find(is_root).unwrap_or(folder).to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn variables_win_over_the_platform() {
        let set = |name: &str| Some(format!("/tmp/{name}"));
        let paths = Paths::find(set).unwrap();
        assert_eq!(paths.user_file(), Path::new("/tmp/CONVOKE_CONFIG_DIR/config.toml"));
        assert_eq!(paths.journal(), Path::new("/tmp/CONVOKE_DATA_DIR/journal.db"));
        assert_eq!(paths.components(), Path::new("/tmp/CONVOKE_CACHE_DIR/components"));
    }

    #[test]
    fn a_relative_folder_is_refused() {
        let error = Paths::find(|_| Some("here".to_owned())).unwrap_err();
        assert!(matches!(error, ConfigError::Environment { name: "CONVOKE_CONFIG_DIR", .. }));
    }

    #[test]
    fn the_nearest_file_or_repository_is_the_project() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let deep = root.join("repository/inner/deep");
        fs::create_dir_all(&deep).unwrap();
        fs::create_dir(root.join("repository/.git")).unwrap();
        assert_eq!(project_root(&deep), root.join("repository"));
        fs::write(root.join(PROJECT_FILE), "").unwrap();
        assert_eq!(project_root(&deep), root.join("repository"), "what is above a repository does not reach into it");
        assert_eq!(project_root(root), root);
        fs::write(root.join("repository/inner").join(PROJECT_FILE), "").unwrap();
        assert_eq!(project_root(&deep), root.join("repository/inner"));
    }

    #[test]
    fn a_repositorys_worktree_has_a_git_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".git"), "gitdir: elsewhere").unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        assert_eq!(project_root(&inner), folder.path());
    }
}
