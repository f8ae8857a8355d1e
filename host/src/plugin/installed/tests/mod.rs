//! What installs do to files, and to each other.

mod crash;
mod together;

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use semver::VersionReq;
use tempfile::TempDir;

use super::lockfile::{Locked, Lockfile};
use super::supply::Captured;
use super::transaction::{Agree, Became, Compiler, Looked, Purpose, Wanted, allowed, install, look, uninstall};
use super::{InstallError, Plugins, Step, Steps, Undisturbed};
use crate::plugin::build::embed;
use crate::plugin::engine::Engine;
use crate::plugin::inspect::read_manifest;

/// Compiling is slow where nothing is optimised, so all tests have one engine.
pub(super) static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(64 << 20).unwrap());

/// A real component, called so.
pub(super) fn component(name: &str, version: &str) -> Vec<u8> {
    let bytes = include_bytes!("../../../../../tests/prebuilt/flood.wasm");
    let mut manifest = read_manifest(bytes).unwrap();
    (manifest.name, manifest.version) = (name.to_owned(), version.to_owned());
    embed(bytes, &manifest).unwrap()
}

/// Agrees to all.
pub(super) struct Yes;

impl Agree for Yes {
    fn agree(&self, _: &Looked) -> Result<(), InstallError> {
        Ok(())
    }
}

/// Says no.
struct No;

impl Agree for No {
    fn agree(&self, looked: &Looked) -> Result<(), InstallError> {
        Err(InstallError::NotAgreed(format!("no {}", looked.change.name), None))
    }
}

/// A user's folders.
pub(super) struct World {
    folder: PathBuf,
    pub(super) plugins: Plugins,
    _folder: Option<TempDir>,
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("project")).unwrap();
        let path = folder.path().to_owned();
        Self { _folder: Some(folder), ..Self::at(&path) }
    }

    /// That of another process.
    pub(super) fn at(folder: &Path) -> Self {
        let plugins = Plugins::at(folder.join("plugins"), folder.join("locks/plugins.lock"));
        Self { folder: folder.to_owned(), plugins, _folder: None }
    }

    pub(super) fn project(&self) -> PathBuf {
        self.folder.join("project")
    }

    pub(super) fn look(&self, name: &str, version: &str, steps: &impl Steps<Step>) -> Result<Looked, InstallError> {
        let captured = Captured {
            bytes: component(name, version),
            source: format!("./{name}.wasm"),
            resolved: format!("/{name}-{version}.wasm"),
        };
        let index = self.plugins.read()?;
        look(captured, Wanted::default(), |name| index.command(name).map(|now| (now.digest, now.held)), steps)
    }

    pub(super) fn install_as(
        &self,
        looked: &[Looked],
        purpose: &Purpose,
        agree: &impl Agree,
        steps: &impl Steps<Step>,
    ) -> Result<Became, InstallError> {
        let cache = self.folder.join("cache");
        let compiler = Compiler { engine: &ENGINE, cache: &cache };
        install(&self.plugins, looked, purpose, agree, compiler, drop, steps)
    }

    pub(super) fn install(&self, name: &str, version: &str) -> Result<Became, InstallError> {
        self.install_as(&[self.look(name, version, &Undisturbed)?], &USER, &Yes, &Undisturbed)
    }

    /// What a name means: its version. Its component is there, and whole.
    pub(super) fn version(&self, name: &str) -> Option<String> {
        let index = self.plugins.read().unwrap();
        let now = index.command(name)?;
        let bytes = self.plugins.component(name, now.digest).unwrap();
        let manifest = read_manifest(&bytes).unwrap();
        assert_eq!(manifest, now.held.manifest().unwrap());
        Some(manifest.version)
    }

    /// The names of all files in the folder of plugins.
    pub(super) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.join("plugins")).into_iter().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub(super) const USER: Purpose = Purpose::User { shadow: false, downgrade: false, update: false };

/// Fails after so many steps.
struct FailsAt(Cell<usize>);

impl Steps<Step> for FailsAt {
    fn passed(&self, _: Step) -> io::Result<()> {
        match self.0.get().checked_sub(1) {
            Some(left) => {
                self.0.set(left);
                Ok(())
            }
            None => Err(io::Error::from(io::ErrorKind::StorageFull)),
        }
    }
}

#[test]
fn what_is_installed_lies_by_its_digest_and_can_only_be_read() {
    let world = World::new();
    assert_eq!(world.install("one", "0.1.0").unwrap(), Became::Installed);
    assert_eq!(world.install("one", "0.1.0").unwrap(), Became::Unchanged);
    assert_eq!(world.version("one").as_deref(), Some("0.1.0"));
    let index = world.plugins.read().unwrap();
    let file = world.plugins.file(index.command("one").unwrap().digest);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = file.parent().unwrap();
        assert_eq!((mode(&file), mode(&folder.join("index.json")), mode(folder)), (0o400, 0o600, 0o700));
    }
    // What is damaged is noticed, and mended by installing it again.
    fs::remove_file(&file).unwrap();
    fs::write(&file, "something else").unwrap();
    let digest = index.command("one").unwrap().digest.to_owned();
    assert!(matches!(world.plugins.component("one", &digest), Err(InstallError::Damaged { .. })));
    world.install("one", "0.1.0").unwrap();
    assert_eq!(world.version("one").as_deref(), Some("0.1.0"));
}

#[test]
fn an_older_version_comes_only_when_it_is_asked_for_and_an_embedded_one_is_not_covered_unasked() {
    let world = World::new();
    world.install("one", "0.2.0").unwrap();
    let error = world.install("one", "0.1.0").unwrap_err();
    assert!(matches!(&error, InstallError::Downgrade { from, .. } if from.to_string() == "0.2.0"), "{error}");
    let older = world.look("one", "0.1.0", &Undisturbed).unwrap();
    let back = Purpose::User { shadow: false, downgrade: true, update: false };
    world.install_as(&[older], &back, &Yes, &Undisturbed).unwrap();
    assert_eq!(world.version("one").as_deref(), Some("0.1.0"));
    assert_eq!(world.files().len(), 2, "the index, and one component: {:?}", world.files());

    let covers = world.look("agent-audit", "9.0.0", &Undisturbed).unwrap();
    assert!(matches!(allowed(&covers, &USER), Err(InstallError::Embedded { .. })));
    let shadow = Purpose::User { shadow: true, downgrade: false, update: false };
    allowed(&covers, &shadow).unwrap();
}

#[test]
fn what_is_not_the_wanted_one_is_refused_with_what_it_is() {
    let requirement: VersionReq = "^0.2".parse().unwrap();
    let zeros = "0".repeat(64);
    let name = Wanted { name: Some("two"), ..Wanted::default() };
    let version = Wanted { requirement: Some(&requirement), ..Wanted::default() };
    let digest = Wanted { digest: Some(&zeros), ..Wanted::default() };
    for (wanted, said) in [
        (name, "here is the command `one`, not `two`"),
        (version, "here is one 0.1.0, and ^0.2 is wanted"),
        (digest, "here is not what convoke.lock names"),
    ] {
        let bytes = component("one", "0.1.0");
        let captured = Captured { bytes, source: String::new(), resolved: "here".to_owned() };
        let error = look(captured, wanted, |_| None, &Undisturbed).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let captured = Captured { bytes: b"<html>".to_vec(), source: String::new(), resolved: "\u{1b}[2J".to_owned() };
    let error = look(captured, Wanted::default(), |_| None, &Undisturbed).unwrap_err();
    assert_eq!(error.to_string(), "\\u{1b}[2J: it is not WebAssembly");
}

#[test]
fn a_disk_that_is_full_at_any_step_leaves_the_old_or_the_new_and_the_next_install_mends_the_rest() {
    let world = World::new();
    world.install("one", "0.1.0").unwrap();
    world.install("two", "0.1.0").unwrap();
    let mut ends = Vec::new();
    for at in 0.. {
        let steps = FailsAt(Cell::new(at));
        let done =
            world.look("one", "0.2.0", &steps).and_then(|looked| world.install_as(&[looked], &USER, &Yes, &steps));
        let now = world.version("one").unwrap();
        assert_eq!(world.version("two").as_deref(), Some("0.1.0"));
        ends.push(now == "0.2.0");
        if done.is_ok() {
            break;
        }
        let error = done.unwrap_err();
        assert!(error.hint().unwrap().contains("the disk is full"), "{error}");
    }
    // Looked at, agreed, compiled, locked, placed; written, swept; and once without a failure.
    assert_eq!(ends, [false, false, false, false, false, true, true, true]);
    world.install("three", "0.1.0").unwrap();
    assert_eq!(world.files().len(), 4, "{:?}", world.files());
}

#[test]
fn who_says_no_changes_nothing() {
    let world = World::new();
    let looked = world.look("one", "0.1.0", &Undisturbed).unwrap();
    assert!(matches!(world.install_as(&[looked], &USER, &No, &Undisturbed), Err(InstallError::NotAgreed(..))));
    assert_eq!((world.version("one"), world.files().len()), (None, 0));
}

/// The project's lockfile with that version.
fn locked(name: &str, looked: &Looked) -> Lockfile {
    let locked = Locked {
        version: looked.change.version.clone(),
        source: "somewhere".to_owned(),
        pinned: None,
        digest: looked.change.digest.clone(),
    };
    Lockfile { plugins: [(name.to_owned(), locked)].into() }
}

#[test]
fn what_a_projects_lockfile_names_stays_and_goes_with_the_lockfile() {
    let world = World::new();
    world.install("one", "0.2.0").unwrap();
    let old = world.look("one", "0.1.0", &Undisturbed).unwrap();
    let (folder, digest) = (world.project(), old.change.digest.clone());
    let purpose = Purpose::Project { folder: folder.clone(), lockfile: locked("one", &old) };
    world.install_as(&[old], &purpose, &Yes, &Undisturbed).unwrap();
    assert_eq!(world.version("one").as_deref(), Some("0.2.0"), "the user's own is not touched");
    let is_kept = |digest: &str| world.plugins.component("one", digest).is_ok();
    assert!(is_kept(&digest) && Lockfile::read(&folder).unwrap().unwrap().names(&digest));

    // The user installs the same, removes it, and the project has it still.
    let same = world.look("one", "0.1.0", &Undisturbed).unwrap();
    let back = Purpose::User { shadow: false, downgrade: true, update: false };
    world.install_as(&[same], &back, &Yes, &Undisturbed).unwrap();
    assert!(uninstall(&world.plugins, "one", drop, &Undisturbed).unwrap().stays);
    assert!(is_kept(&digest) && world.version("one").is_none());

    // A lockfile that can't be read may name it.
    fs::write(Lockfile::path(&folder), "<<<<<<<").unwrap();
    world.install("two", "0.1.0").unwrap();
    assert!(is_kept(&digest));
    fs::remove_file(Lockfile::path(&folder)).unwrap();
    world.install("two", "0.1.1").unwrap();
    assert!(!is_kept(&digest), "no lockfile names it any more");
}

#[test]
fn what_is_not_installed_can_not_be_removed_and_a_near_name_is_said() {
    let world = World::new();
    world.install("one", "0.1.0").unwrap();
    let error = uninstall(&world.plugins, "onne", drop, &Undisturbed).unwrap_err();
    assert_eq!(error.hint().as_deref(), Some("did you mean `one`?"));
    assert!(!uninstall(&world.plugins, "one", drop, &Undisturbed).unwrap().stays);
    assert_eq!(world.files(), ["index.json"]);
}

#[test]
fn an_index_of_a_newer_convoke_is_never_written() {
    let world = World::new();
    world.install("one", "0.1.0").unwrap();
    let path = world.folder.join("plugins/index.json");
    fs::write(&path, r#"{"version":2}"#).unwrap();
    assert!(matches!(world.install("one", "0.2.0"), Err(InstallError::Newer { .. })));
    assert_eq!(fs::read_to_string(path).unwrap(), r#"{"version":2}"#);
    assert_eq!(world.files().len(), 2, "and what it may name is not removed");
}
