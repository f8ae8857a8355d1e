//! The programs that are measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Failed;

/// Builds the programs that are measured, with the profile of this benchmark. Gives the path of one.
pub(crate) fn program(name: &str) -> Result<PathBuf, Failed> {
    let bench = std::env::current_exe()?;
    let profile = bench.parent().and_then(Path::parent).ok_or("the benchmark is in no target folder")?;
    let target = profile.parent().ok_or("the benchmark is in no target folder")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // Both at once: alone, each would have its dependencies with other features, and all would be compiled again.
    build.args(["build", "--quiet", "--package", "convoke", "--package", "convoke-standin", "--bins"]);
    build.arg("--target-dir").arg(target);
    if profile.ends_with("release") {
        build.arg("--release");
    }
    // What cargo says of this package would look changed to build scripts that ask for it, and be built again.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            build.env_remove(name);
        }
    }
    if !build.status()?.success() {
        return Err("convoke or the stand-in can't be built".into());
    }
    Ok(profile.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}
