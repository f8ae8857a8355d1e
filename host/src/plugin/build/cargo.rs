//! What is asked of cargo and rustc.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::{BuildError, BuildOptions};
use crate::plugin::printable;

/// A profile that a workspace can have for its plugins. Without it they are built with `release`.
const PROFILE: &str = "plugin";

/// The package of a plugin, and what it is made of.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// What it is compiled for.
    target: &'static str,
    id: String,
    manifest_path: PathBuf,
    workspace_root: PathBuf,
    target_directory: PathBuf,
    /// The folders of all packages of its workspace and of all that they depend on, and what they are called in the
    /// component.
    sources: Vec<(PathBuf, String)>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<PackageData>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct PackageData {
    id: String,
    name: String,
    version: String,
    manifest_path: PathBuf,
    targets: Vec<TargetData>,
}

#[derive(Deserialize)]
struct TargetData {
    crate_types: Vec<String>,
}

impl Package {
    /// Asks cargo about the package in a folder. Fetches its dependencies.
    pub(super) fn find(folder: &Path, target: &'static str, options: &BuildOptions) -> Result<Self, BuildError> {
        let io = |why| BuildError::Io { path: folder.to_owned(), why };
        let folder = folder.canonicalize().map_err(io)?;
        let manifest_path = folder.join("Cargo.toml");
        let mut command = cargo(&folder);
        command.args(["metadata", "--format-version", "1", "--filter-platform", target, "--manifest-path"]);
        command.arg(&manifest_path);
        if options.locked {
            command.arg("--locked");
        }
        if options.offline {
            command.arg("--offline");
        }
        let output = run(command)?;
        let metadata: Metadata = serde_json::from_slice(&output).map_err(|why| BuildError::Output {
            program: "cargo metadata".to_owned(),
            why: printable(&why.to_string(), 200),
        })?;
        let package = metadata.packages.iter().find(|package| package.manifest_path == manifest_path);
        let Some(package) = package else { return Err(BuildError::NotAPackage { folder }) };
        if !package.targets.iter().any(|target| target.crate_types.iter().any(|kind| kind == "cdylib")) {
            return Err(BuildError::NotACdylib { package: printable(&package.name, 80) });
        }
        Ok(Self {
            name: package.name.clone(),
            version: package.version.clone(),
            target,
            id: package.id.clone(),
            sources: metadata.sources(),
            manifest_path,
            workspace_root: metadata.workspace_root,
            target_directory: metadata.target_directory,
        })
    }

    /// Whether the workspace has a profile for plugins.
    fn has_profile(&self) -> bool {
        let text = std::fs::read_to_string(self.workspace_root.join("Cargo.toml")).unwrap_or_default();
        let table: toml::Table = text.parse().unwrap_or_default();
        table.get("profile").and_then(|profiles| profiles.get(PROFILE)).is_some()
    }

    /// Where this build keeps its files: apart from other builds, whose flags differ.
    fn target_directory(&self) -> PathBuf {
        self.target_directory.join("convoke")
    }

    /// Flags that keep the machine's paths out of the component. The longest path that fits must come last: rustc takes
    /// the last one.
    fn flags(&self, toolchain: &Toolchain) -> OsString {
        let mut names: BTreeMap<&Path, Cow<'_, str>> = BTreeMap::new();
        let target = self.target_directory();
        if let Some(home) = &toolchain.cargo_home {
            names.insert(home, "/cargo".into());
        }
        names.insert(&self.workspace_root, "/src".into());
        names.insert(&target, "/target".into());
        names.insert(&toolchain.library, toolchain.library_name.as_str().into());
        for (folder, name) in &self.sources {
            let is_registrys = toolchain.cargo_home.as_ref().is_some_and(|home| folder.starts_with(home));
            match folder.parent() {
                // Hundreds of folders beside each other that are called so already.
                Some(registry) if is_registrys && folder.file_name() == Some(OsStr::new(name)) => {
                    names.insert(registry, "/src".into());
                }
                _ => {
                    names.insert(folder.as_path(), format!("/src/{name}").into());
                }
            }
        }
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_by_key(|(path, _)| path.as_os_str().len());
        let mut flags = OsString::new();
        for (path, name) in names {
            if !flags.is_empty() {
                // What separates flags in CARGO_ENCODED_RUSTFLAGS.
                flags.push("\u{1f}");
            }
            flags.push("--remap-path-prefix=");
            flags.push(path);
            flags.push("=");
            flags.push(name.as_ref());
        }
        flags
    }
}

impl Metadata {
    /// The folders of all packages of the workspace and of all that they depend on: the same for each plugin in it, so
    /// that their builds share what they depend on.
    fn sources(&self) -> Vec<(PathBuf, String)> {
        let named = |package: &PackageData| {
            Some((package.manifest_path.parent()?.to_owned(), format!("{}-{}", package.name, package.version)))
        };
        self.packages.iter().filter_map(named).collect()
    }
}

/// What compiles.
#[derive(Debug)]
pub(super) struct Toolchain {
    cargo_home: Option<PathBuf>,
    /// The source of the standard library, where it is installed.
    library: PathBuf,
    /// How it is called where it is not.
    library_name: String,
}

impl Toolchain {
    /// Asks the compiler that is used in a folder.
    pub(super) fn find(folder: &Path, target: &'static str) -> Result<Self, BuildError> {
        let ask = |arguments: &[&str]| {
            let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
            command.args(arguments).current_dir(folder);
            run(command).map(|output| String::from_utf8_lossy(&output).into_owned())
        };
        let library = ask(&["--print", "target-libdir", "--target", target])?;
        if !Path::new(library.trim()).is_dir() {
            return Err(BuildError::NoTarget(target));
        }
        let version = ask(&["-vV"])?;
        let commit = version.lines().find_map(|line| line.strip_prefix("commit-hash: ")).unwrap_or("unknown");
        let sysroot = ask(&["--print", "sysroot"])?;
        Ok(Self {
            cargo_home: cargo_home(),
            library: Path::new(sysroot.trim()).join("lib/rustlib/src/rust"),
            library_name: format!("/rustc/{commit}"),
        })
    }
}

fn cargo_home() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    home.or_else(|| Some(directories::BaseDirs::new()?.home_dir().join(".cargo")))
}

/// Lets cargo compile; the path of the component.
pub(super) fn compile(package: &Package, toolchain: &Toolchain, options: &BuildOptions) -> Result<PathBuf, BuildError> {
    let folder = package.manifest_path.parent().unwrap_or(Path::new("."));
    let profile = if package.has_profile() { PROFILE } else { "release" };
    let mut command = cargo(folder);
    command.args(["build", "--lib", "--target", package.target, "--profile", profile]);
    command.args(["--message-format", "json-render-diagnostics", "--manifest-path"]).arg(&package.manifest_path);
    command.arg("--target-dir").arg(package.target_directory());
    if options.locked {
        command.arg("--locked");
    }
    if options.offline {
        command.arg("--offline");
    }
    if options.quiet {
        command.arg("--quiet");
    }
    // These flags go before all others that a machine may have, in its environment or its configuration.
    command.env("CARGO_ENCODED_RUSTFLAGS", package.flags(toolchain)).env("CARGO_INCREMENTAL", "0");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PROFILE_")) {
            command.env_remove(name);
        }
    }
    let program = "cargo build".to_owned();
    let start = |why| BuildError::Start { program: "cargo".to_owned(), why };
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(start)?;
    let mut artifact = None;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(|why| BuildError::Output { program: program.clone(), why: why.to_string() })?;
            artifact = component_in(&line, &package.id).or(artifact);
        }
    }
    let status = child.wait().map_err(start)?;
    if !status.success() {
        return Err(BuildError::Failed { program, stderr: String::new() });
    }
    artifact.ok_or(BuildError::NoArtifact)
}

/// The component, where a message of cargo tells of it.
fn component_in(line: &str, id: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        reason: String,
        package_id: Option<String>,
        #[serde(default)]
        filenames: Vec<PathBuf>,
    }
    // Lines that are not messages come from build scripts of old.
    let message: Message = serde_json::from_str(line).ok()?;
    let is_ours = message.reason == "compiler-artifact" && message.package_id.as_deref() == Some(id);
    message.filenames.into_iter().find(|file| is_ours && file.extension() == Some(OsStr::new("wasm")))
}

fn cargo(folder: &Path) -> Command {
    // Not $CARGO: that is the cargo that runs convoke, the plugin's folder may want another toolchain.
    let mut command = Command::new("cargo");
    command.current_dir(folder);
    command
}

/// Runs a program to its end; what it wrote.
fn run(mut command: Command) -> Result<Vec<u8>, BuildError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().map_err(|why| BuildError::Start { program: program.clone(), why })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    // The last lines say why.
    let tail: Vec<&str> = stderr.trim().lines().rev().take(8).collect();
    let stderr = tail.into_iter().rev().map(|line| printable(line, 300)).collect::<Vec<_>>().join("\n");
    Err(BuildError::Failed { program, stderr })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(root: &str) -> Package {
        let root = PathBuf::from(root);
        Package {
            name: "x".to_owned(),
            version: "0.1.0".to_owned(),
            target: "wasm32-wasip2",
            id: "x".to_owned(),
            manifest_path: root.join("plugins/x/Cargo.toml"),
            target_directory: root.join("target"),
            sources: vec![
                (root.join("plugins/x"), "x-0.1.0".to_owned()),
                (root.clone(), "root-1.0.0".to_owned()),
                ("/h/.cargo/registry/src/index-1/syn-3.0.9".into(), "syn-3.0.9".to_owned()),
                ("/h/.cargo/registry/src/index-1/memchr-2.8.3".into(), "memchr-2.8.3".to_owned()),
                ("/h/.cargo/git/checkouts/y-0f/7a1".into(), "y-0.2.0".to_owned()),
            ],
            workspace_root: root,
        }
    }

    #[test]
    fn the_longest_path_comes_last_so_that_rustc_takes_it() {
        let toolchain = Toolchain {
            cargo_home: Some("/h/.cargo".into()),
            library: "/h/.rustup/toolchains/t/lib/rustlib/src/rust".into(),
            library_name: "/rustc/abc".to_owned(),
        };
        let flags = package("/w").flags(&toolchain).into_string().unwrap();
        let flags: Vec<&str> =
            flags.split('\u{1f}').map(|flag| flag.strip_prefix("--remap-path-prefix=").unwrap()).collect();
        assert_eq!(
            flags,
            [
                "/w=/src/root-1.0.0",
                "/h/.cargo=/cargo",
                "/w/plugins/x=/src/x-0.1.0",
                "/w/target/convoke=/target",
                "/h/.cargo/registry/src/index-1=/src",
                "/h/.cargo/git/checkouts/y-0f/7a1=/src/y-0.2.0",
                "/h/.rustup/toolchains/t/lib/rustlib/src/rust=/rustc/abc",
            ]
        );
    }

    #[test]
    fn only_the_plugins_own_component_counts() {
        let line = |reason: &str, id: &str, file: &str| {
            format!(r#"{{"reason":"{reason}","package_id":"{id}","filenames":["/t/lib.rlib","{file}"],"more":1}}"#)
        };
        assert_eq!(component_in(&line("compiler-artifact", "x", "/t/x.wasm"), "x"), Some("/t/x.wasm".into()));
        assert_eq!(component_in(&line("compiler-artifact", "y", "/t/y.wasm"), "x"), None);
        assert_eq!(component_in(&line("compiler-artifact", "x", "/t/x.so"), "x"), None);
        assert_eq!(component_in("not json", "x"), None);
        assert_eq!(component_in(r#"{"reason":"build-finished","success":true}"#, "x"), None);
    }
}
