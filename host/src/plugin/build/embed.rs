//! Puts the manifest into a component, and takes out what is of no use.

use wasm_encoder::{Component, ComponentSection as _, ComponentSectionId, CustomSection, Encode as _, RawSection};
use wasmparser::{Encoding, Parser, Payload};

use crate::plugin::manifest::{self, Manifest, ManifestError};
use crate::plugin::printable;

/// Sections of the outermost level that say about the whole what the manifest says. Their names are those of OCI
/// annotations, as other tools read them.
const OWN: &[&str] = &[manifest::SECTION, "description", "licenses", "version"];

/// Why a component can't be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// It is not a component.
    #[error("it is not a component")]
    NotAComponent,
    /// It doesn't parse.
    #[error("{0}")]
    Wasm(String),
    /// The manifest doesn't serialise.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// The component with the manifest in it, with name, version, description and licence where other tools look for them,
/// and without the names of functions and debug sections. The same input gives the same bytes, and doing it again
/// changes nothing.
///
/// # Errors
/// When the bytes are not a component.
pub fn embed(component: &[u8], manifest: &Manifest) -> Result<Vec<u8>, EmbedError> {
    if !Parser::is_component(component) {
        return Err(EmbedError::NotAComponent);
    }
    let stripped = strip(component).map_err(|error| EmbedError::Wasm(printable(error.message(), 200)))?;
    let mut metadata = wasm_metadata::AddMetadata::default();
    metadata.name = wasm_metadata::AddMetadataField::Set(manifest.name.clone());
    let mut bytes =
        metadata.to_wasm(&stripped).map_err(|error| EmbedError::Wasm(printable(&error.to_string(), 200)))?;
    let json = manifest.to_json()?;
    let sections = [
        ("description", manifest.description.as_bytes()),
        ("licenses", manifest.license.as_bytes()),
        ("version", manifest.version.as_bytes()),
        (manifest::SECTION, &json),
    ];
    for (name, data) in sections {
        CustomSection { name: name.into(), data: data.into() }.append_to_component(&mut bytes);
    }
    Ok(bytes)
}

/// The component with name and version where tools look for them, and without the names of functions and debug
/// sections. The same input gives the same bytes.
pub(super) fn name(component: &[u8], name: &str, version: &str) -> Result<Vec<u8>, EmbedError> {
    let stripped = strip(component).map_err(|error| EmbedError::Wasm(printable(error.message(), 200)))?;
    let mut metadata = wasm_metadata::AddMetadata::default();
    metadata.name = wasm_metadata::AddMetadataField::Set(name.to_owned());
    let mut bytes =
        metadata.to_wasm(&stripped).map_err(|error| EmbedError::Wasm(printable(&error.to_string(), 200)))?;
    CustomSection { name: "version".into(), data: version.as_bytes().into() }.append_to_component(&mut bytes);
    Ok(bytes)
}

/// Copies a component without its names, its debug sections and what is put in anew.
fn strip(input: &[u8]) -> Result<Vec<u8>, wasmparser::BinaryReaderError> {
    let mut output = Vec::with_capacity(input.len());
    let mut outer: Vec<Vec<u8>> = Vec::new();
    for payload in Parser::new(0).parse_all(input) {
        let payload = payload?;
        match &payload {
            Payload::Version { encoding, .. } => output.extend_from_slice(match encoding {
                Encoding::Component => &Component::HEADER,
                Encoding::Module => &wasm_encoder::Module::HEADER,
            }),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                outer.push(std::mem::take(&mut output));
                continue;
            }
            Payload::End(_) => {
                let Some(mut parent) = outer.pop() else { break };
                let id = if output.starts_with(&Component::HEADER) {
                    ComponentSectionId::Component
                } else {
                    ComponentSectionId::CoreModule
                };
                parent.push(id as u8);
                output.encode(&mut parent);
                output = parent;
            }
            Payload::CustomSection(section) if is_useless(section.name(), outer.is_empty()) => continue,
            _ => {}
        }
        if let Some((id, range)) = payload.as_section() {
            wasm_encoder::Section::append_to(&RawSection { id, data: &input[range] }, &mut output);
        }
    }
    Ok(output)
}

fn is_useless(name: &str, is_outermost: bool) -> bool {
    name == "name" || name == "component-name" || name.starts_with(".debug_") || (is_outermost && OWN.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::inspect::{inspect, tests::component};

    fn manifest(version: &str) -> Manifest {
        let text = format!(
            "manifest_version = 1\nname = \"small\"\nversion = \"{version}\"\ndescription = \"What it is\"\nlicense = \"MIT\"\n"
        );
        Manifest::from_toml("plugin.toml", text.as_bytes()).unwrap()
    }

    fn plain() -> Vec<u8> {
        component(&["convoke:plugin/project@0.1.0"], &["convoke:plugin/handler@0.1.0"]).finish()
    }

    #[test]
    fn the_same_input_gives_the_same_bytes_and_again_changes_nothing() {
        let once = embed(&plain(), &manifest("0.1.0")).unwrap();
        assert_eq!(embed(&plain(), &manifest("0.1.0")).unwrap(), once);
        assert_eq!(embed(&once, &manifest("0.1.0")).unwrap(), once);
    }

    #[test]
    fn a_new_manifest_takes_the_place_of_the_old_one() {
        let first = embed(&plain(), &manifest("0.1.0")).unwrap();
        let second = embed(&first, &manifest("0.2.0")).unwrap();
        assert_eq!(second, embed(&plain(), &manifest("0.2.0")).unwrap());
        assert_eq!(inspect(&second).unwrap().manifest, manifest("0.2.0"));
    }

    #[test]
    fn names_go_and_what_other_tools_read_comes() {
        let bytes = embed(&plain(), &manifest("0.1.0")).unwrap();
        let mut sections = Vec::new();
        for payload in Parser::new(0).parse_all(&bytes) {
            if let Payload::CustomSection(section) = payload.unwrap() {
                sections.push((section.name().to_owned(), String::from_utf8_lossy(section.data()).into_owned()));
            }
        }
        let names: Vec<&str> = sections.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["component-name", "description", "licenses", "version", manifest::SECTION]);
        assert!(sections[0].1.contains("small"));
        assert_eq!(
            (sections[1].1.as_str(), sections[2].1.as_str(), sections[3].1.as_str()),
            ("What it is", "MIT", "0.1.0")
        );
    }

    #[test]
    fn what_is_no_component_is_refused() {
        for bytes in [&b""[..], b"\0asm\x01\0\0\0", b"nonsense"] {
            assert!(matches!(embed(bytes, &manifest("0.1.0")), Err(EmbedError::NotAComponent)));
        }
        let bytes = plain();
        assert!(matches!(embed(&bytes[..bytes.len() - 1], &manifest("0.1.0")), Err(EmbedError::Wasm(_))));
    }
}
