//! The manifest of an artifact: what the registry has under a name.
//!
//! Written as the CNCF's guidance for WASM artifacts has it, and as `wkg` and `oras` do, so that each reads what the
//! other has pushed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plugin::printable;
use crate::plugin::source::Digest;

/// The media type of a manifest.
pub(in crate::plugin::source) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// That of a component's configuration.
pub(in crate::plugin::source) const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// That of a component.
pub(in crate::plugin::source) const LAYER: &str = "application/wasm";
/// The same, as older tools have it.
const OLD_LAYER: &str = "application/vnd.wasm.content.layer.v1+wasm";

/// What is asked for. The others are no components, but it can be said what they are.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, \
     application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json";

/// The annotation that names the version.
pub(in crate::plugin::source) const VERSION: &str = "org.opencontainers.image.version";

/// What is known of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::plugin::source) struct Manifest {
    pub(in crate::plugin::source) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::plugin::source) media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::plugin::source) config: Option<Descriptor>,
    #[serde(default)]
    pub(in crate::plugin::source) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_nothing")]
    pub(in crate::plugin::source) annotations: BTreeMap<String, String>,
}

/// A blob, by its kind, name and size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::plugin::source) struct Descriptor {
    pub(in crate::plugin::source) media_type: String,
    pub(in crate::plugin::source) digest: String,
    pub(in crate::plugin::source) size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_nothing")]
    pub(in crate::plugin::source) annotations: BTreeMap<String, String>,
}

/// Where a component's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::plugin::source) struct Layer {
    pub(in crate::plugin::source) digest: Digest,
    pub(in crate::plugin::source) size: u64,
}

/// Some tools write `null` for an empty one.
fn or_nothing<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Manifest {
    /// Reads one. `kind` is the media type that it came with.
    pub(super) fn parse(bytes: &[u8], kind: Option<&str>) -> Result<Self, String> {
        let mut manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| printable(&format!("it is no manifest: {error}"), 200))?;
        if manifest.schema_version != 2 {
            return Err(format!("its manifest has the version {}, and 2 is known", manifest.schema_version));
        }
        if manifest.media_type.is_none() {
            manifest.media_type = kind.map(|kind| kind.split(';').next().unwrap_or(kind).trim().to_owned());
        }
        Ok(manifest)
    }

    /// The layer that is a component.
    pub(in crate::plugin::source) fn component(&self) -> Result<Layer, String> {
        let kind = self.media_type.as_deref().unwrap_or(MANIFEST);
        if kind != MANIFEST {
            let what = if kind.contains("index") || kind.contains("manifest.list") {
                "it is a list of artifacts, one for each platform"
            } else {
                "it is a container's image, or something else"
            };
            return Err(format!("{what} (`{}`)", printable(kind, 80)));
        }
        let mut components = self.layers.iter().filter(|layer| matches!(layer.media_type.as_str(), LAYER | OLD_LAYER));
        match (components.next(), components.next()) {
            (Some(layer), None) => {
                let digest = layer.digest.parse().map_err(|why: &str| format!("{why}, and its layer has another"))?;
                Ok(Layer { digest, size: layer.size })
            }
            (Some(_), Some(_)) => Err("it has several layers of WebAssembly, and nobody says which counts".to_owned()),
            (None, _) => {
                let kinds: Vec<_> = self.layers.iter().take(3).map(|layer| printable(&layer.media_type, 80)).collect();
                let kinds = if kinds.is_empty() { "none".to_owned() } else { format!("`{}`", kinds.join("`, `")) };
                Err(format!("it has no layer of the kind `{LAYER}`; its layers are {kinds}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn layer(kind: &str) -> serde_json::Value {
        json!({ "mediaType": kind, "digest": Digest::of(b"x").to_string(), "size": 1 })
    }

    fn component(manifest: &serde_json::Value) -> Result<Layer, String> {
        Manifest::parse(manifest.to_string().as_bytes(), None).and_then(|manifest| manifest.component())
    }

    #[test]
    fn what_others_have_pushed_is_understood() {
        let expected = Layer { digest: Digest::of(b"x"), size: 1 };
        for kind in [LAYER, OLD_LAYER] {
            let manifest = json!({
                "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.wasm.config.v0+json",
                "config": layer(CONFIG), "layers": [layer("text/markdown"), layer(kind)], "annotations": null
            });
            assert_eq!(component(&manifest), Ok(expected.clone()), "{kind}");
        }
    }

    #[test]
    fn what_is_something_else_is_named() {
        let image = json!({ "schemaVersion": 2, "layers": [layer("application/vnd.oci.image.layer.v1.tar+gzip")] });
        assert!(component(&image).unwrap_err().contains("application/vnd.oci.image.layer.v1.tar+gzip"));
        let index =
            json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [] });
        assert!(component(&index).unwrap_err().contains("one for each platform"));
        let two = json!({ "schemaVersion": 2, "layers": [layer(LAYER), layer(OLD_LAYER)] });
        assert!(component(&two).unwrap_err().contains("several layers"));
        let none = json!({ "schemaVersion": 2, "layers": [] });
        assert!(component(&none).unwrap_err().ends_with("its layers are none"));
        let other = json!({ "schemaVersion": 2, "layers": [{ "mediaType": LAYER, "digest": "md5:1", "size": 1 }] });
        assert!(component(&other).is_err());
        assert!(component(&json!({ "schemaVersion": 1 })).unwrap_err().contains("version 1"));
        assert!(Manifest::parse(b"<html>", None).unwrap_err().contains("no manifest"));
    }

    #[test]
    fn a_kind_of_the_header_counts_where_the_manifest_has_none() {
        let docker = "application/vnd.docker.distribution.manifest.list.v2+json; charset=utf-8";
        let manifest = Manifest::parse(br#"{"schemaVersion":2}"#, Some(docker)).unwrap();
        assert!(manifest.component().unwrap_err().contains("manifest.list"));
    }
}
