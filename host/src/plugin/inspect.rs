//! What a component is and asks for, read without compiling or running it.

use std::ops::Range;

use wasmparser::{Chunk, Parser, Payload, Validator, WasmFeatures};

use super::capabilities::Capabilities;
use super::manifest::{self, Manifest, ManifestError};
use super::{printable, sha256_hex};

/// The largest component that is looked at, in bytes: the most that `[install] max_component_bytes` can say. What comes from
/// elsewhere is bounded by that setting before it is here.
pub const MOST_BYTES: u64 = 4_096 << 20;

/// The package of the contract.
const PACKAGE: &str = "convoke:plugin";
/// Its version that this host was made with. A test compares it with `wit/`.
const PACKAGE_VERSION: &str = "0.1.0";
/// What this host offers of it.
const OFFERED: &[&str] = &["types", "worker", "project", "log", "process", "http", "store"];
/// What every command exports.
const HANDLER: &str = "handler";
/// What a command with a conclusion exports too.
const CONCLUSION: &str = "conclusion";

/// What is offered of WASI. Behind it there is no file, no environment and no network: a component made from a
/// language's standard library imports more than it uses.
const WASI: &[&str] = &["cli", "clocks", "filesystem", "io", "random", "sockets"];
const WASI_VERSION: &str = "0.2.0";

/// A component that this host can run, as far as that is known without compiling it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// The sha-256 of all its bytes, in lower-case hexadecimal. Grants are keyed by it.
    pub digest: String,
    /// What it says about itself.
    pub manifest: Manifest,
    /// The names of its imports. Those of `convoke:` are its permission request.
    pub imports: Vec<String>,
    /// The names of its exports.
    pub exports: Vec<String>,
    /// Whether it has something to say about the whole.
    pub concludes: bool,
    /// Bytes.
    pub size: u64,
}

/// Why something is not a component that this host can run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// Not even the first bytes are those of WASM.
    #[error("it is not WebAssembly")]
    NotWasm,
    /// A module, not a component.
    #[error("it is a core WebAssembly module, not a component")]
    CoreModule,
    /// Larger than what is looked at.
    #[error("it has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Bytes.
        size: u64,
        /// Bytes.
        limit: u64,
    },
    /// It ends in the middle.
    #[error("it is truncated: a section that begins at byte {offset} is not complete")]
    Truncated {
        /// Counted from 0.
        offset: u64,
    },
    /// It breaks the rules of WebAssembly.
    #[error("it is damaged at byte {offset}: {why}")]
    Damaged {
        /// Counted from 0.
        offset: u64,
        /// The validator's words.
        why: String,
    },
    /// It doesn't export what a command exports.
    #[error("it is a component of another world: it exports {}, not `{PACKAGE}/{HANDLER}`", listed(.exports))]
    OtherWorld {
        /// What it exports.
        exports: Vec<String>,
    },
    /// It was made for another version of the contract.
    #[error("it wants {name} of version {component}, this convoke has {host}")]
    OtherVersion {
        /// The interface.
        name: String,
        /// The version that the component was made for; `none` where it doesn't say.
        component: String,
        /// The version that this host offers.
        host: String,
    },
    /// It imports what this host doesn't have.
    #[error("it imports {}, which this convoke does not offer", listed(.imports))]
    NotOffered {
        /// All such imports.
        imports: Vec<String>,
    },
    /// It has no manifest.
    #[error("it has no manifest: the custom section `{}` is missing", manifest::SECTION)]
    NoManifest,
    /// It has several manifests, and nobody can say which counts.
    #[error("it has more than one manifest")]
    TwoManifests,
    /// Its manifest is wrong.
    #[error("its manifest is wrong: {0}")]
    Manifest(#[from] ManifestError),
    /// Its manifest asks for what it doesn't import.
    #[error("its manifest asks for `{name}`, which the component does not import")]
    NotImported {
        /// The capability.
        name: &'static str,
    },
    /// It imports a capability, and its manifest says nothing of it.
    #[error("it imports `{name}`, and its manifest does not say {what}")]
    NotNarrowed {
        /// The capability.
        name: &'static str,
        /// What should be there.
        what: &'static str,
    },
}

impl InspectError {
    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<&str> {
        Some(match self {
            Self::NotWasm | Self::CoreModule | Self::NoManifest => {
                "make the component with `convoke build` in the plugin's folder"
            }
            Self::Truncated { .. } | Self::Damaged { .. } => "build it or fetch it again",
            Self::OtherWorld { .. } => "a command exports the world `convoke:plugin/command`",
            Self::OtherVersion { .. } => "build it with the SDK of this version, or use a convoke of the other one",
            Self::NotOffered { .. } => "a newer convoke may offer it",
            Self::Manifest(error) => return error.hint(),
            Self::NotImported { .. } => "take it out of `[capabilities]`: nobody should be asked for what is not used",
            Self::NotNarrowed { .. } => "say it in plugin.toml, below `[capabilities]`",
            Self::TooLarge { .. } | Self::TwoManifests => return None,
        })
    }
}

/// Looks at a component: its shape is validated, its imports and exports are compared with the contract, its manifest
/// is checked. Whether all types fit is only known when it is compiled.
///
/// # Errors
/// See [`InspectError`].
pub fn inspect(bytes: &[u8]) -> Result<Inspected, InspectError> {
    inspect_unless_compiled(bytes, |_| false)
}

/// As [`inspect`], for a component that is loaded next: its shape, the dear part, is not validated where `is_compiled` knows native
/// code by its digest, which whoever compiled it has validated.
///
/// # Errors
/// See [`InspectError`].
pub fn inspect_unless_compiled(
    bytes: &[u8],
    is_compiled: impl FnOnce(&str) -> bool,
) -> Result<Inspected, InspectError> {
    let outline = outline(bytes)?;
    let digest = sha256_hex(bytes);
    if !is_compiled(&digest) {
        Validator::new_with_features(WasmFeatures::all()).validate_all(bytes).map_err(|error| damaged(&error))?;
    }
    check_exports(&outline.exports)?;
    check_imports(&outline.imports)?;
    let manifest = outline.manifest(bytes)?;
    check_capabilities(&outline.imports, &manifest.capabilities)?;
    Ok(Inspected {
        digest,
        manifest,
        concludes: outline.exports.iter().any(|name| Name::parse(name).is(PACKAGE, CONCLUSION)),
        imports: outline.imports,
        exports: outline.exports,
        size: bytes.len() as u64,
    })
}

/// Only the manifest, without a look at the rest: for lists and help texts. Takes microseconds.
///
/// # Errors
/// When it is not a component, is truncated, or its manifest is missing or wrong.
pub fn read_manifest(bytes: &[u8]) -> Result<Manifest, InspectError> {
    outline(bytes)?.manifest(bytes)
}

/// What a component imports and exports, whatever its world is.
///
/// # Errors
/// When it is not a component, or is truncated.
pub(crate) fn names(bytes: &[u8]) -> Result<Outline, InspectError> {
    outline(bytes)
}

/// The outermost level of a component.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
    manifests: Vec<Range<usize>>,
}

impl Outline {
    fn manifest(&self, bytes: &[u8]) -> Result<Manifest, InspectError> {
        match self.manifests.as_slice() {
            [] => Err(InspectError::NoManifest),
            [range] => Ok(Manifest::from_json(bytes.get(range.clone()).unwrap_or_default())?),
            _ => Err(InspectError::TwoManifests),
        }
    }
}

fn outline(bytes: &[u8]) -> Result<Outline, InspectError> {
    let size = bytes.len() as u64;
    if size > MOST_BYTES {
        return Err(InspectError::TooLarge { size, limit: MOST_BYTES });
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(InspectError::NotWasm);
    }
    if Parser::is_core_wasm(bytes) {
        return Err(InspectError::CoreModule);
    }
    let mut outline = Outline::default();
    let mut parser = Parser::new(0);
    let mut offset = 0;
    while offset < bytes.len() {
        let truncated = InspectError::Truncated { offset: offset as u64 };
        // Not told that this is the end, the parser says where there should be more.
        let parsed = parser.parse(&bytes[offset..], false).map_err(|error| damaged(&error))?;
        let Chunk::Parsed { consumed, payload } = parsed else { return Err(truncated) };
        offset += consumed;
        match payload {
            Payload::ModuleSection { unchecked_range, .. } | Payload::ComponentSection { unchecked_range, .. } => {
                offset = unchecked_range.end;
                if offset > bytes.len() {
                    return Err(truncated);
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    outline.imports.push(import.map_err(|error| damaged(&error))?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    outline.exports.push(export.map_err(|error| damaged(&error))?.name.name.to_owned());
                }
            }
            Payload::CustomSection(section) if section.name() == manifest::SECTION => {
                let end = offset;
                outline.manifests.push(end - section.data().len()..end);
            }
            _ => {}
        }
    }
    Ok(outline)
}

fn damaged(error: &wasmparser::BinaryReaderError) -> InspectError {
    InspectError::Damaged { offset: error.offset() as u64, why: printable(error.message(), 200) }
}

/// `convoke:plugin/handler@0.1.0`, taken apart.
pub(crate) struct Name<'a> {
    package: &'a str,
    interface: &'a str,
    version: Option<&'a str>,
}

impl<'a> Name<'a> {
    pub(crate) fn parse(name: &'a str) -> Self {
        let (path, version) = match name.split_once('@') {
            Some((path, version)) => (path, Some(version)),
            None => (name, None),
        };
        let (package, interface) = path.split_once('/').unwrap_or(("", path));
        Self { package, interface, version }
    }

    pub(crate) fn is(&self, package: &str, interface: &str) -> bool {
        self.package == package && self.interface == interface
    }

    /// Whether a host with version `host` can be linked: the same minor version before 1.0, the same major after, and
    /// never a prerelease, as wasmtime does it.
    pub(crate) fn fits(&self, host: &str) -> bool {
        let (Some(version), Ok(host)) = (self.version, semver::Version::parse(host)) else { return false };
        let Ok(version) = semver::Version::parse(version) else { return false };
        version.pre.is_empty()
            && version.major == host.major
            && (version.major > 0 || version.minor == host.minor)
            && (version.major > 0 || version.minor > 0 || version.patch == host.patch)
    }

    pub(crate) fn other_version(&self, host: &str) -> InspectError {
        InspectError::OtherVersion {
            name: printable(&format!("{}/{}", self.package, self.interface), 100),
            component: printable(self.version.unwrap_or("none"), 40),
            host: host.to_owned(),
        }
    }
}

fn check_exports(exports: &[String]) -> Result<(), InspectError> {
    let handlers = || exports.iter().map(|name| Name::parse(name)).filter(|name| name.is(PACKAGE, HANDLER));
    if handlers().any(|name| name.fits(PACKAGE_VERSION)) {
        return Ok(());
    }
    match handlers().next() {
        Some(other) => Err(other.other_version(PACKAGE_VERSION)),
        None => Err(InspectError::OtherWorld { exports: exports.to_vec() }),
    }
}

fn check_imports(imports: &[String]) -> Result<(), InspectError> {
    let mut missing = Vec::new();
    for import in imports {
        let name = Name::parse(import);
        let (is_known, version) = match name.package.strip_prefix("wasi:") {
            Some(package) => (WASI.contains(&package), WASI_VERSION),
            None => (name.package == PACKAGE && OFFERED.contains(&name.interface), PACKAGE_VERSION),
        };
        if !is_known {
            missing.push(import.clone());
        } else if !name.fits(version) {
            return Err(name.other_version(version));
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(InspectError::NotOffered { imports: missing }) }
}

/// What is asked for is what is imported, and says to what it is narrowed.
fn check_capabilities(imports: &[String], asked: &Capabilities) -> Result<(), InspectError> {
    let asks = [
        ("process", !asked.process.is_empty(), "which programs, as `[[capabilities.process]]`"),
        ("http", !asked.http.is_empty(), "which hosts, as `[[capabilities.http]]`"),
        ("store", asked.store, "`store = true`"),
    ];
    for (name, is_asked, what) in asks {
        match (is_asked, imports.iter().any(|import| Name::parse(import).is(PACKAGE, name))) {
            (true, false) => return Err(InspectError::NotImported { name }),
            (false, true) => return Err(InspectError::NotNarrowed { name, what }),
            (true, true) | (false, false) => {}
        }
    }
    Ok(())
}

/// Names from a stranger, for a message.
pub(crate) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 5;
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let mut text =
        names.iter().take(SHOWN).map(|name| format!("`{}`", printable(name, 80))).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use wasm_encoder::{
        Component, ComponentExportKind, ComponentExportSection, ComponentImportSection, ComponentInstanceSection,
        ComponentTypeRef, ComponentTypeSection, CustomSection, InstanceType, Module, ModuleSection,
    };

    use super::*;

    const HANDLER_EXPORT: &str = "convoke:plugin/handler@0.1.0";

    /// A component with these imports and exports, each an interface with nothing in it, and a module with names.
    pub(in crate::plugin) fn component(imports: &[&str], exports: &[&str]) -> Component {
        let mut component = Component::new();
        let mut types = ComponentTypeSection::new();
        types.instance(&InstanceType::new());
        component.section(&types);
        let mut section = ComponentImportSection::new();
        for import in imports {
            section.import(*import, ComponentTypeRef::Instance(0));
        }
        component.section(&section);
        let mut module = Module::new();
        module.section(&CustomSection { name: "name".into(), data: b"\0\x02\x01m".as_slice().into() });
        component.section(&ModuleSection(&module));
        let mut instances = ComponentInstanceSection::new();
        let mut section = ComponentExportSection::new();
        for (index, export) in exports.iter().enumerate() {
            instances.export_items(Vec::<(&str, ComponentExportKind, u32)>::new());
            // An export makes an instance of its own, so the next one has a later index than its place here.
            section.export(*export, ComponentExportKind::Instance, (imports.len() + index) as u32, None);
        }
        component.section(&instances);
        component.section(&section);
        component
    }

    fn manifest() -> Vec<u8> {
        br#"{"manifest_version":1,"name":"x","version":"0.1.0","description":"d","license":"MIT"}"#.to_vec()
    }

    fn with_manifest(mut component: Component) -> Vec<u8> {
        component.section(&CustomSection { name: manifest::SECTION.into(), data: manifest().into() });
        component.finish()
    }

    fn refused(bytes: &[u8]) -> InspectError {
        inspect(bytes).expect_err("it is wrong")
    }

    #[test]
    fn a_command_is_recognised_with_what_it_asks_for() {
        let imports = ["convoke:plugin/project@0.1.0", "convoke:plugin/worker@0.1.7", "wasi:cli/stderr@0.2.9"];
        let bytes = with_manifest(component(&imports, &[HANDLER_EXPORT, "convoke:plugin/conclusion@0.1.0"]));
        let inspected = inspect(&bytes).unwrap();
        assert_eq!(inspected.imports, imports);
        assert_eq!(inspected.manifest.name, "x");
        assert!(inspected.concludes);
        assert_eq!(inspected.digest, sha256_hex(&bytes));
        assert_eq!(read_manifest(&bytes).unwrap(), inspected.manifest);
        assert!(!inspect(&with_manifest(component(&[], &[HANDLER_EXPORT]))).unwrap().concludes);
    }

    #[test]
    fn only_what_is_not_compiled_yet_is_validated() {
        let mut bytes = include_bytes!("../../prebuilt/agent-audit.wasm").to_vec();
        let digest = sha256_hex(&bytes);
        assert_eq!(inspect_unless_compiled(&bytes, |known| known == digest).unwrap(), inspect(&bytes).unwrap());
        let middle = bytes.len() / 2;
        bytes[middle..middle + 64].fill(0xff);
        assert!(matches!(inspect_unless_compiled(&bytes, |known| known == digest), Err(InspectError::Damaged { .. })));
        assert!(inspect_unless_compiled(&bytes, |_| true).is_ok());
    }

    #[test]
    fn what_is_no_component_is_told_apart() {
        assert_eq!(refused(b""), InspectError::NotWasm);
        assert_eq!(refused(b"(component)"), InspectError::NotWasm);
        assert_eq!(refused(&Module::new().finish()), InspectError::CoreModule);
    }

    #[test]
    fn a_component_cut_anywhere_is_an_error() {
        let bytes = with_manifest(component(&["convoke:plugin/project@0.1.0"], &[HANDLER_EXPORT]));
        let mut truncated = 0;
        for end in 0..bytes.len() {
            match refused(&bytes[..end]) {
                InspectError::Truncated { .. } => truncated += 1,
                // Cut between two sections, it is complete but for what is missing.
                InspectError::NotWasm | InspectError::OtherWorld { .. } | InspectError::NoManifest => {}
                other => panic!("cut at {end}: {other:?}"),
            }
        }
        assert!(truncated > bytes.len() * 3 / 4, "{truncated} of {}", bytes.len());
    }

    #[test]
    fn any_byte_changed_is_an_answer_and_never_a_panic() {
        let bytes = with_manifest(component(&["convoke:plugin/project@0.1.0"], &[HANDLER_EXPORT]));
        for at in 0..bytes.len() {
            for change in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                let _ = inspect(&changed);
                let _ = read_manifest(&changed);
            }
        }
    }

    #[test]
    fn another_world_says_what_it_exports() {
        let error = refused(&with_manifest(component(&[], &["convoke:policy/policy@0.1.0"])));
        assert_eq!(error, InspectError::OtherWorld { exports: vec!["convoke:policy/policy@0.1.0".to_owned()] });
        assert!(error.to_string().contains("`convoke:policy/policy@0.1.0`"));
        assert!(refused(&with_manifest(component(&[], &[]))).to_string().contains("exports nothing"));
    }

    #[test]
    fn another_version_says_which_on_which_side() {
        let other =
            |imports: &[&str], exports: &[&str]| refused(&with_manifest(component(imports, exports))).to_string();
        assert_eq!(
            other(&[], &["convoke:plugin/handler@0.2.0"]),
            "it wants convoke:plugin/handler of version 0.2.0, this convoke has 0.1.0"
        );
        assert_eq!(
            other(&["convoke:plugin/project@0.3.1"], &[HANDLER_EXPORT]),
            "it wants convoke:plugin/project of version 0.3.1, this convoke has 0.1.0"
        );
        assert!(other(&[], &["convoke:plugin/handler@0.1.0-rc.1"]).contains("0.1.0-rc.1"));
        assert!(other(&[], &["convoke:plugin/handler"]).contains("version none"));
        assert!(other(&["wasi:cli/stderr@0.3.0"], &[HANDLER_EXPORT]).contains("this convoke has 0.2.0"));
    }

    #[test]
    fn imports_that_are_not_offered_are_all_named() {
        let imports = ["convoke:plugin/clouds@0.1.0", "wasi:http/types@0.2.0", "other:thing/x@1.0.0", "plain"];
        let error = refused(&with_manifest(component(&imports, &[HANDLER_EXPORT])));
        assert_eq!(error, InspectError::NotOffered { imports: imports.map(str::to_owned).to_vec() });
    }

    #[test]
    fn what_is_asked_for_is_what_is_imported() {
        let with = |imports: &[&str], capabilities: &str| {
            let mut component = component(imports, &[HANDLER_EXPORT]);
            let manifest = String::from_utf8(manifest()).unwrap();
            let manifest = manifest.replace("}", &format!(r#","capabilities":{{{capabilities}}}}}"#));
            component.section(&CustomSection { name: manifest::SECTION.into(), data: manifest.into_bytes().into() });
            inspect(&component.finish())
        };
        let cases = [
            ("process", r#""process":[{"program":"git","subcommands":["diff"]}]"#),
            ("http", r#""http":[{"host":"a.org"}]"#),
            ("store", r#""store":true"#),
        ];
        for (name, asked) in cases {
            let import = format!("convoke:plugin/{name}@0.1.0");
            assert!(!with(&[&import], asked).unwrap().manifest.capabilities.is_empty());
            assert_eq!(with(&[], asked), Err(InspectError::NotImported { name }));
            let error = with(&[&import], "").expect_err(name);
            assert!(matches!(error, InspectError::NotNarrowed { name: found, .. } if found == name), "{error}");
        }
    }

    #[test]
    fn a_manifest_must_be_there_once_and_right() {
        let bytes = component(&[], &[HANDLER_EXPORT]).finish();
        assert_eq!(refused(&bytes), InspectError::NoManifest);
        let section = |data: &'static [u8]| CustomSection { name: manifest::SECTION.into(), data: data.into() };
        let mut twice = component(&[], &[HANDLER_EXPORT]);
        twice.section(&section(b"{}")).section(&section(b"{}"));
        assert_eq!(refused(&twice.finish()), InspectError::TwoManifests);
        let mut wrong = component(&[], &[HANDLER_EXPORT]);
        wrong.section(&section(b"{\"manifest_version\":9}"));
        assert!(matches!(refused(&wrong.finish()), InspectError::Manifest(_)));
    }

    #[test]
    fn the_version_is_that_of_the_contract() {
        let world = include_str!("../../wit/world.wit");
        assert!(world.starts_with(&format!("package {PACKAGE}@{PACKAGE_VERSION};")));
        for interface in OFFERED {
            let files = [world, include_str!("../../wit/types.wit"), include_str!("../../wit/capabilities.wit")];
            let is_there = files.iter().any(|text| text.contains(&format!("\ninterface {interface} {{")));
            assert!(is_there, "{interface}");
        }
    }
}
