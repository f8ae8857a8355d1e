//! Semantic Versioning 2.0.0, for crates.io, npm and Go.

use semver::Version;

/// Reads a version. A `v` or `=` before it is passed over, as npm and Go write it, and parts that are missing are zero,
/// as in events of advisories that say `1.2`. Go's pseudo-versions and `+incompatible` are plain semantic versions.
pub(super) fn parse(text: &str) -> Option<Version> {
    let text = text.trim();
    let text = text.strip_prefix('=').unwrap_or(text).trim_start();
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    if let Ok(version) = Version::parse(text) {
        return Some(version);
    }
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    match numbers.matches('.').count() {
        0 => Version::parse(&format!("{numbers}.0.0{rest}")).ok(),
        1 => Version::parse(&format!("{numbers}.0{rest}")).ok(),
        _ => None,
    }
}
