//! Writes the names of SPDX's licences and exceptions, one a line: all of the list that the component needs.

// It is how a build script speaks to cargo.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    let lines = |names: Vec<&str>| names.join("\n");
    let licences = spdx::identifiers::LICENSES.iter().map(|one| one.name);
    // That nobody said anything is no licence.
    let licences = licences.filter(|name| !matches!(*name, "NOASSERTION" | "NONE")).collect();
    let exceptions = spdx::identifiers::EXCEPTIONS.iter().map(|one| one.name).collect();
    fs::write(Path::new(&folder).join("licences.txt"), lines(licences))?;
    fs::write(Path::new(&folder).join("exceptions.txt"), lines(exceptions))
}
