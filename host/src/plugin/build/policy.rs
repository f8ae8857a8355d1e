//! From a policy's folder to its component.
//!
//! A policy has no `plugin.toml`: it depends on `convoke-policy`, and says itself what it is. It is compiled for a target
//! that has no system, not for WASI: even the words of a panic would be an import there, and a policy gets none.

use std::path::{Path, PathBuf};

use convoke_policy::Description;
use wit_component::ComponentEncoder;

use super::{BuildError, BuildOptions, cargo, destination, embed, put};
use crate::plugin::printable;
use crate::policy::wasm::WasmPolicy;

/// The target that policies are compiled for.
pub(super) const TARGET: &str = "wasm32-unknown-unknown";

/// A policy that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltPolicy {
    /// The component.
    pub path: PathBuf,
    /// What it says about itself.
    pub description: Description,
    /// Bytes.
    pub size: u64,
    /// Whether an equal file was already there.
    pub unchanged: bool,
}

/// Whether the package in a folder is a policy: it depends on `convoke-policy`, and has no manifest of a plugin.
pub fn is_policy(folder: &Path) -> bool {
    let text = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    let package: toml::Table = text.parse().unwrap_or_default();
    let depends = package.get("dependencies").and_then(|all| all.get("convoke-policy")).is_some();
    depends && !folder.join("plugin.toml").exists()
}

/// Builds the policy in a folder, and asks the component what it is. Blocks, for minutes where nothing is compiled yet.
///
/// # Errors
/// See [`BuildError`]. The file at the destination is whole: the old one or the new one.
pub fn build_policy(folder: &Path, options: &BuildOptions) -> Result<BuiltPolicy, BuildError> {
    let package = cargo::Package::find(folder, TARGET, options)?;
    let toolchain = cargo::Toolchain::find(folder, TARGET)?;
    let artifact = cargo::compile(&package, &toolchain, options)?;
    let module = std::fs::read(&artifact).map_err(|why| BuildError::Io { path: artifact, why })?;
    let component = embed::name(&encode(&module)?, &package.name, &package.version)?;
    let description = WasmPolicy::new(&component, &package.name, None, None)?.description().clone();
    let path = destination(folder, options, &package.name);
    let unchanged = put(&path, &component)?;
    Ok(BuiltPolicy { path, description, size: component.len() as u64, unchanged })
}

/// The component around a module.
fn encode(module: &[u8]) -> Result<Vec<u8>, BuildError> {
    let encoder = ComponentEncoder::default().validate(true).module(module);
    let component = encoder.and_then(|mut encoder| encoder.encode());
    component.map_err(|error| BuildError::Encode(printable(&format!("{error:#}"), 300)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_known_by_what_it_depends_on() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        assert!(!is_policy(folder.path()));
        write("Cargo.toml", "[dependencies]\nserde = \"1\"\n");
        assert!(!is_policy(folder.path()));
        write("Cargo.toml", "[dependencies]\nconvoke-policy.workspace = true\n");
        assert!(is_policy(folder.path()));
        write("plugin.toml", "");
        assert!(!is_policy(folder.path()), "a plugin may depend on it too");
    }

    #[test]
    fn what_is_no_module_of_a_policy_is_refused() {
        assert!(matches!(encode(b"nonsense"), Err(BuildError::Encode(_))));
    }
}
