//! The user's policies by their names, and which of them is chosen.
//!
//! They lie in the user's own folder, `policies/`, as `<name>.toml`, `<name>.wasm` or a library. What `convoke policy
//! use` chose stands in a small file there; a running convoke sees it change.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use convoke_runtime::policy::BUILT_IN;
use serde::Deserialize;

use super::load::{Form, LoadError, Place};
use crate::config::document::Document;
use crate::config::files::write_atomic;
use crate::config::{By, ConfigError, PolicyChoice, nearest};

/// What holds the choice. No policy can be called so: a name does not begin with a dot.
const CHOICE: &str = ".chosen.toml";

/// The longest name, in bytes.
const LONGEST_NAME: usize = 64;

/// A policy in the user's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// How it comes.
    pub form: Form,
    /// Its file.
    pub path: PathBuf,
}

/// The policy that is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Who chose it.
    pub by: By,
    /// Its file; none: it is the built-in one.
    pub path: Option<PathBuf>,
}

/// The user's policies.
#[derive(Clone, Debug)]
pub struct Policies {
    /// Where policies may come from.
    pub place: Place,
    /// What relative paths of the command line and the environment are relative to.
    pub folder: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    #[serde(rename = "version")]
    _version: Option<u32>,
    r#use: String,
}

impl Policies {
    /// The file that holds the choice of `convoke policy use`.
    pub fn choice_file(&self) -> PathBuf {
        self.place.own.join(CHOICE)
    }

    /// All that have a name, by their names.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn all(&self) -> Result<Vec<Named>, LoadError> {
        let folder = &self.place.own;
        let failed = |source| LoadError::Io { path: folder.clone(), source };
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let name = path.file_stem().and_then(|name| name.to_str()).filter(|name| is_name(name));
            if let (Some(form), Some(name), true) = (Form::of(&path), name, path.is_file()) {
                all.push(Named { name: name.to_owned(), form, path: path.clone() });
            }
        }
        all.sort_by(|one, other| (&one.name, &one.path).cmp(&(&other.name, &other.path)));
        Ok(all)
    }

    /// The file of a name or a path, relative to a folder; none: the built-in policy.
    ///
    /// # Errors
    /// There is no such policy, or several.
    pub fn find(&self, wish: &str, folder: &Path) -> Result<Option<PathBuf>, LoadError> {
        if wish == BUILT_IN {
            return Ok(None);
        }
        if wish.contains(['/', '\\']) || Form::of(Path::new(wish)).is_some() {
            return Ok(Some(folder.join(wish)));
        }
        let shown = || crate::report::clean::line(&crate::report::clean::bounded(wish, LONGEST_NAME));
        if !is_name(wish) {
            return Err(LoadError::Name { name: shown() });
        }
        let all = self.all()?;
        let found: Vec<&Named> = all.iter().filter(|named| named.name == wish).collect();
        match found.as_slice() {
            [one] => Ok(Some(one.path.clone())),
            [] => Err(LoadError::Unknown {
                name: shown(),
                folder: self.place.own.clone(),
                near: nearest(wish, all.iter().map(|named| named.name.as_str()).chain([BUILT_IN])).map(str::to_owned),
            }),
            several => {
                let file = |named: &&Named| named.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                Err(LoadError::Ambiguous { name: shown(), files: several.iter().map(file).collect() })
            }
        }
    }

    /// What `convoke policy use` chose.
    ///
    /// # Errors
    /// The file can't be read, or is none of ours.
    pub fn chosen(&self) -> Result<Option<String>, LoadError> {
        let path = self.choice_file();
        let Some(text) = crate::config::document::read(&path)? else { return Ok(None) };
        let Choice { r#use, .. } = Document { path: &path, text: &text }.parse(&[])?;
        Ok(Some(r#use))
    }

    /// Chooses a policy for all that run from now on and now, by a name or a path; none: what `config.toml` says.
    /// Whether it can be loaded is for the caller to know.
    ///
    /// # Errors
    /// There is no such policy; the file can't be written, or a later convoke wrote it.
    pub fn choose(&self, wish: Option<&str>) -> Result<Option<PathBuf>, LoadError> {
        let path = self.choice_file();
        let failed = |source| LoadError::Io { path: path.clone(), source };
        // What a later convoke wrote is not overwritten.
        if let Err(LoadError::Numbers(newer @ ConfigError::Newer { .. })) = self.chosen() {
            return Err(newer.into());
        }
        let Some(wish) = wish else {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(None),
            };
        };
        let found = self.find(wish, &self.folder)?;
        let is_path = found.as_ref().is_some_and(|found| found.parent() != Some(&self.place.own)) || wish.contains('/');
        let written = match &found {
            Some(found) if is_path => {
                let whole = fs::canonicalize(found).map_err(|source| LoadError::Io { path: found.clone(), source })?;
                whole.to_str().map(str::to_owned).ok_or_else(|| LoadError::Name { name: name_shown(&whole) })?
            }
            _ => wish.to_owned(),
        };
        let text = format!(
            "# Written by `convoke policy use`.\nversion = {}\nuse = {}\n",
            crate::config::VERSION,
            toml::Value::String(written)
        );
        write_atomic(&path, text.as_bytes(), None).map_err(failed)?;
        Ok(found)
    }

    /// The policy that is chosen now.
    ///
    /// # Errors
    /// It is not there.
    pub fn select(&self, choice: &PolicyChoice) -> Result<Selected, LoadError> {
        if let Some((wish, by)) = &choice.chosen {
            return Ok(Selected { by: *by, path: self.find(wish, &self.folder)? });
        }
        if let Some(wish) = self.chosen()? {
            return Ok(Selected { by: By::Use, path: self.find(&wish, &self.place.own)? });
        }
        let Some(wish) = &choice.configured else { return Ok(Selected { by: By::Nobody, path: None }) };
        let beside = self.place.own.parent().unwrap_or(&self.place.own);
        Ok(Selected { by: By::Config, path: self.find(wish, beside)? })
    }
}

fn name_shown(path: &Path) -> String {
    crate::report::clean::line(&path.to_string_lossy())
}

fn is_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && !name.starts_with('.')
        && name != BUILT_IN
        && name.chars().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Audit;

    struct Home(tempfile::TempDir, Policies);

    fn home(files: &[&str]) -> Home {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("config/policies");
        fs::create_dir_all(&own).unwrap();
        for file in files {
            fs::write(own.join(file), "").unwrap();
        }
        let policies = Policies {
            place: Place { own, project: None, kept: folder.path().join("kept"), audit: Audit::off() },
            folder: folder.path().to_owned(),
        };
        Home(folder, policies)
    }

    #[test]
    fn policies_are_found_by_name_and_by_path() {
        let Home(folder, policies) = home(&["night.toml", "slow.wasm", "slow.so", "notes.txt", ".hidden.toml"]);
        let names: Vec<String> = policies.all().unwrap().into_iter().map(|named| named.name).collect();
        assert_eq!(names, ["night", "slow", "slow"]);
        let find = |wish| policies.find(wish, folder.path());
        assert_eq!(find("night").unwrap(), Some(policies.place.own.join("night.toml")));
        assert_eq!(find("built-in").unwrap(), None);
        assert_eq!(find("./x.toml").unwrap(), Some(folder.path().join("./x.toml")));
        assert_eq!(find("x.toml").unwrap(), Some(folder.path().join("x.toml")));
        assert!(matches!(find("slow"), Err(LoadError::Ambiguous { files, .. }) if files.len() == 2));
        assert!(matches!(find("nihgt"), Err(LoadError::Unknown { near: Some(near), .. }) if near == "night"));
        assert!(matches!(find(".hidden"), Err(LoadError::Name { .. })));
    }

    #[test]
    fn options_go_before_the_choice_and_the_choice_before_the_configuration() {
        let Home(_folder, policies) = home(&["night.toml", "day.toml"]);
        let file = |name: &str| Some(policies.place.own.join(name));
        let mut choice = PolicyChoice::default();
        let select = |choice: &PolicyChoice| policies.select(choice).unwrap();
        assert_eq!(select(&choice), Selected { by: By::Nobody, path: None });
        choice.configured = Some("night".to_owned());
        assert_eq!(select(&choice), Selected { by: By::Config, path: file("night.toml") });
        policies.choose(Some("day")).unwrap();
        assert_eq!(policies.chosen().unwrap().as_deref(), Some("day"));
        assert_eq!(select(&choice), Selected { by: By::Use, path: file("day.toml") });
        policies.choose(Some("built-in")).unwrap();
        assert_eq!(select(&choice), Selected { by: By::Use, path: None });
        choice.chosen = Some(("night".to_owned(), By::Option));
        assert_eq!(select(&choice), Selected { by: By::Option, path: file("night.toml") });
        choice.chosen = None;
        policies.choose(None).unwrap();
        assert_eq!(select(&choice).by, By::Config);
        assert!(matches!(policies.choose(Some("gone")), Err(LoadError::Unknown { .. })));
    }

    #[test]
    fn a_path_is_chosen_whole_and_a_newer_choice_is_not_overwritten() {
        let Home(folder, policies) = home(&[]);
        fs::write(folder.path().join("mine.toml"), "").unwrap();
        policies.choose(Some("./mine.toml")).unwrap();
        let chosen = policies.chosen().unwrap().unwrap();
        assert!(Path::new(&chosen).is_absolute(), "{chosen}");
        fs::write(policies.choice_file(), "version = 2\nuse = [\"night\"]\n").unwrap();
        assert!(policies.choose(Some("built-in")).is_err() && policies.choose(None).is_err());
        fs::write(policies.choice_file(), "use = 3\n").unwrap();
        assert!(policies.select(&PolicyChoice::default()).is_err());
        policies.choose(Some("built-in")).unwrap();
    }
}
