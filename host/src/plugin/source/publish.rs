//! Publishing: a component becomes a version in a repository, for good, and the tags that follow versions move forward.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reqwest::Url;
use semver::Version;
use serde::Serialize;

use super::oci::manifest::{CONFIG, Descriptor, LAYER, MANIFEST, Manifest, VERSION};
use super::oci::{self, Registry, Scope, tags};
use super::{Access, Digest, Reference, SourceError, in_time};
use crate::plugin::inspect::Inspected;

/// What is to be published.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// The component.
    pub bytes: &'a [u8],
    /// What it is.
    pub inspected: &'a Inspected,
    /// Where its sources are.
    pub source: Option<&'a Url>,
    /// The time of the publication.
    pub now: Timestamp,
}

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The version, with its tag and, where it is there, the digest of its manifest.
    pub reference: Reference,
    /// Whether the version was not there before.
    pub is_new: bool,
    /// The tags that follow versions.
    pub tags: Vec<(String, Moved)>,
}

/// What became of a tag that follows versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It names this version now.
    Here,
    /// It did before.
    Already,
    /// It names a newer version, or will, and stays.
    Newer(Version),
}

/// Publishes a version, or with `dry_run` says what would be done. A version that is there with the same bytes is not
/// sent again, but its tags move where they have not: so what was cut short is completed by the same call.
///
/// Registries have no way to compare and set: of two that publish at once, the later one moves the tags.
///
/// # Errors
/// See [`SourceError`]; [`SourceError::VersionTaken`] where the version is there with other bytes.
pub async fn publish(
    to: &Reference,
    what: Publication<'_>,
    dry_run: bool,
    access: &Access,
) -> Result<Published, SourceError> {
    in_time(in_order(&to.bare(), what, dry_run, access), &format!("publishing to {}", to.bare()), access).await
}

async fn in_order(
    to: &Reference,
    what: Publication<'_>,
    dry_run: bool,
    access: &Access,
) -> Result<Published, SourceError> {
    let own = &what.inspected.manifest.version;
    let wrong = |error| SourceError::Spec { spec: own.clone(), why: format!("it is no version: {error}") };
    let version = Version::parse(own).map_err(wrong)?;
    let registry = Registry::new(to, access, if dry_run { Scope::Pull } else { Scope::Push })?;
    let there = tags::versions(registry.tags().await?.unwrap_or_default());
    let known = there.iter().find(|(one, _)| *one == version).map(|(_, tag)| tag.clone());
    let tag = known.unwrap_or_else(|| tags::tag(&version));
    let reference = to.with_tag(&tag)?;

    let before = registry.manifest(&tag).await?;
    let is_new = before.is_none();
    let (kind, manifest) = match before {
        Some(stored) => {
            let theirs = stored.manifest.component().map_err(|why| oci::not_a_component(&reference, why))?;
            let ours = Digest::of(what.bytes);
            if theirs.digest != ours {
                let (theirs, ours) = (theirs.digest.to_string(), ours.to_string());
                return Err(SourceError::VersionTaken { reference: reference.to_string(), theirs, ours });
            }
            (stored.manifest.media_type.unwrap_or_else(|| MANIFEST.to_owned()), stored.bytes)
        }
        None => {
            let (config, manifest) = artifact(&what)?;
            if !dry_run {
                registry.put_blob(what.bytes).await?;
                registry.put_blob(&config).await?;
                // Last, so that nobody finds a version whose bytes are not there.
                registry.put_manifest(&tag, MANIFEST, &manifest).await?;
            }
            (MANIFEST.to_owned(), manifest)
        }
    };
    let digest = Digest::of(&manifest);

    let mut moved = Vec::new();
    for (tag, newest) in following(&version, &there) {
        let is = match newest {
            Some(newer) => Moved::Newer(newer),
            None => match registry.manifest(&tag).await? {
                Some(stored) if stored.digest == digest => Moved::Already,
                stored => match stored.and_then(|stored| newer_than(&version, &stored.manifest)) {
                    Some(newer) => Moved::Newer(newer),
                    None => {
                        if !dry_run {
                            registry.put_manifest(&tag, &kind, &manifest).await?;
                        }
                        Moved::Here
                    }
                },
            },
        };
        moved.push((tag, is));
    }
    let published = !dry_run || !is_new;
    let reference = if published { reference.exactly(digest) } else { reference };
    Ok(Published { reference, is_new, tags: moved })
}

/// The tags that follow a version, each with the newer version that holds it, if one is there. None follows a prerelease.
fn following(version: &Version, there: &[(Version, String)]) -> Vec<(String, Option<Version>)> {
    if !version.pre.is_empty() {
        return Vec::new();
    }
    let newest = |within: &dyn Fn(&Version) -> bool| {
        let releases = there.iter().map(|(one, _)| one).filter(|one| one.pre.is_empty() && within(one));
        releases.max().filter(|one| *one > version).cloned()
    };
    let (major, minor) = (version.major, version.minor);
    vec![
        (format!("{major}.{minor}"), newest(&|one| (one.major, one.minor) == (major, minor))),
        (major.to_string(), newest(&|one| one.major == major)),
        ("latest".to_owned(), newest(&|_| true)),
    ]
}

/// The version that a manifest says, where it is a newer one: its own tag may be gone.
fn newer_than(version: &Version, manifest: &Manifest) -> Option<Version> {
    let said = Version::parse(manifest.annotations.get(VERSION)?).ok()?;
    (said.pre.is_empty() && said > *version).then_some(said)
}

/// A component's configuration, as the CNCF's guidance for WASM artifacts has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    created: String,
    architecture: &'a str,
    os: &'a str,
    layer_digests: [String; 1],
    component: Names<'a>,
}

#[derive(Serialize)]
struct Names<'a> {
    exports: &'a [String],
    imports: &'a [String],
}

/// The configuration and the manifest of a component.
fn artifact(what: &Publication<'_>) -> Result<(Vec<u8>, Vec<u8>), SourceError> {
    let about = &what.inspected.manifest;
    let json = |error: serde_json::Error| SourceError::Garbage { what: about.name.clone(), why: error.to_string() };
    let created = what.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let component = Digest::of(what.bytes).to_string();
    let config = Config {
        created: created.clone(),
        architecture: "wasm",
        os: "wasip2",
        layer_digests: [component.clone()],
        component: Names { exports: &what.inspected.exports, imports: &what.inspected.imports },
    };
    let config = serde_json::to_vec(&config).map_err(json)?;
    let title = |name: String| BTreeMap::from([("org.opencontainers.image.title".to_owned(), name)]);
    let mut annotations = title(about.name.clone());
    let said = [("description", &about.description), ("licenses", &about.license), ("created", &created)];
    annotations.extend(said.map(|(name, value)| (format!("org.opencontainers.image.{name}"), value.clone())));
    annotations.insert(VERSION.to_owned(), about.version.clone());
    if let Some(source) = what.source {
        annotations.insert("org.opencontainers.image.source".to_owned(), source.to_string());
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MANIFEST.to_owned()),
        config: Some(Descriptor {
            media_type: CONFIG.to_owned(),
            digest: Digest::of(&config).to_string(),
            size: config.len() as u64,
            annotations: BTreeMap::new(),
        }),
        layers: vec![Descriptor {
            media_type: LAYER.to_owned(),
            digest: component,
            size: what.bytes.len() as u64,
            // The file's name, for tools that fetch files.
            annotations: title(format!("{}.wasm", about.name)),
        }],
        annotations,
    };
    Ok((config, serde_json::to_vec(&manifest).map_err(json)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(versions: &[&str]) -> Vec<(Version, String)> {
        tags::versions(versions.iter().map(|version| (*version).to_owned()).collect())
    }

    fn moves(version: &str, versions: &[&str]) -> Vec<String> {
        let all = following(&version.parse().unwrap(), &there(versions));
        all.into_iter()
            .map(|(tag, newer)| newer.map_or(tag.clone(), |newer| format!("{tag} stays at {newer}")))
            .collect()
    }

    #[test]
    fn tags_move_forward_and_never_back() {
        assert_eq!(moves("1.2.0", &[]), ["1.2", "1", "latest"]);
        assert_eq!(moves("1.2.1", &["1.2.0", "1.1.9"]), ["1.2", "1", "latest"]);
        assert_eq!(moves("1.2.1", &["1.3.0"]), ["1.2", "1 stays at 1.3.0", "latest stays at 1.3.0"]);
        assert_eq!(
            moves("1.2.1", &["1.2.10", "2.0.0"]),
            ["1.2 stays at 1.2.10", "1 stays at 1.2.10", "latest stays at 2.0.0"]
        );
        assert_eq!(moves("1.2.1", &["2.0.0-rc.1", "1.2.1"]), ["1.2", "1", "latest"], "a prerelease holds nothing");
        assert!(moves("2.0.0-rc.1", &["1.2.1"]).is_empty(), "none follows a prerelease");
    }

    #[test]
    fn a_tag_whose_version_was_removed_stays_too() {
        let annotated = |version: &str| Manifest {
            schema_version: 2,
            media_type: None,
            config: None,
            layers: Vec::new(),
            annotations: BTreeMap::from([(VERSION.to_owned(), version.to_owned())]),
        };
        let own = Version::new(1, 2, 0);
        assert_eq!(newer_than(&own, &annotated("1.3.0")), Some(Version::new(1, 3, 0)));
        for other in ["1.2.0", "1.1.0", "2.0.0-rc.1", "new"] {
            assert_eq!(newer_than(&own, &annotated(other)), None, "{other}");
        }
    }
}
