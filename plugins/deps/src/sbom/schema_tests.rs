//! What is written against the published schema, and over real projects. `.ci/full` gets the schema and names its folder.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;
use crate::model::{Fault, Manager, Package};
use crate::testing::{asked, locked, manifest, unit};

/// The folder of the schemas, or why there is nothing to compare with.
fn schemas() -> Option<PathBuf> {
    let folder = std::env::var_os("CONVOKE_CYCLONEDX").filter(|folder| !folder.is_empty());
    if folder.is_none() {
        eprintln!("skipped: CONVOKE_CYCLONEDX names no folder with bom-1.6.SNAPSHOT.schema.json");
    }
    folder.map(PathBuf::from)
}

/// What of the document does not fit the schema.
fn misfits(folder: &Path, bom: &Value) -> Vec<String> {
    let read = |name: &str| -> Value { serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap() };
    let mut registry = jsonschema::Registry::new();
    for name in ["spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json"] {
        registry = registry.add(format!("http://cyclonedx.org/schema/{name}"), read(name)).unwrap();
    }
    let registry = registry.prepare().unwrap();
    let validator =
        jsonschema::options().with_registry(&registry).build(&read("bom-1.6.SNAPSHOT.schema.json")).unwrap();
    validator.iter_errors(bom).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// A unit of everything that there can be in one.
fn everything() -> Vec<Unit> {
    let mut own = manifest("a/package.json", Manager::Npm, vec![asked("@x/y", "^1", 2), asked("gone", "*", 3)]);
    let said = own.manifest.as_mut().unwrap();
    (said.name, said.version, said.license) =
        (Some("a \u{1b}[2J \"".to_owned()), Some(String::new()), Some("MIT OR".to_owned()));
    own.faults.push(Fault::new(Some(1), "odd", false));
    let mut lock = locked("a/package-lock.json", Manager::Npm, &[("@x/y", "1.0.0", &[0, 1]), ("", "", &[])], &[0]);
    let packages = &mut lock.lock.as_mut().unwrap().packages;
    packages[0].license = Some("MIT".to_owned());
    packages[1].license = Some("whatever they say".to_owned());
    for (number, origin) in [
        Origin::Registry(Some("https://registry.example/".to_owned())),
        Origin::Git { url: "ssh://git@git.example/x".to_owned(), commit: None },
        Origin::Path("../../../elsewhere".to_owned()),
        Origin::Url("not an address".to_owned()),
        Origin::Workspace,
    ]
    .into_iter()
    .enumerate()
    {
        packages.push(Package { origin, ..Package::new(format!("o{number}"), "1 2@%/é", 9) });
    }
    for (number, scope) in [Scope::Build, Scope::Optional, Scope::Peer, Scope::Dev].into_iter().enumerate() {
        packages.push(Package { scope, ..Package::new(format!("s{number}"), "1", 10) });
    }
    let maven = manifest("pom.xml", Manager::Maven, vec![asked("org.x:y", "=1", 4), asked("nothing", "", 5)]);
    vec![unit(vec![own, lock]), unit(vec![maven])]
}

#[test]
fn everything_that_is_written_fits_the_published_schema() {
    let Some(folder) = schemas() else { return };
    for units in [everything(), Vec::new(), everything().split_off(1)] {
        let bom: Value = serde_json::from_str(&sbom(&units, &["mix.exs".to_owned()], "2026-11-20", "1")).unwrap();
        assert_eq!(misfits(&folder, &bom), Vec::<String>::new());
    }
}

#[test]
fn the_schema_is_one_that_refuses() {
    let Some(folder) = schemas() else { return };
    let mut bom: Value = serde_json::from_str(&sbom(&everything(), &[], "2026-11-20", "1")).unwrap();
    bom["components"][0]["scope"] = "sometimes".into();
    bom["serialNumber"] = "1".into();
    assert_eq!(misfits(&folder, &bom).len(), 2);
}

#[test]
fn the_bill_of_a_real_project_fits_and_holds_every_package() {
    let Some(units) = crate::testing::corpus("polyglot-otel-demo") else { return };
    let text = sbom(&units, &[], "2026-11-20", "1");
    assert_eq!(text, sbom(&units, &[], "2026-11-20", "1"));
    let bom: Value = serde_json::from_str(&text).unwrap();
    let written: Set<(String, String)> = bom["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let group = one["group"].as_str().map_or_else(String::new, |group| format!("{group}|"));
            let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            (format!("{group}{}", text("name")), text("version"))
        })
        .collect();
    for unit in &units {
        for package in unit.packages().filter(|package| package.origin != Origin::Workspace) {
            let (group, name) = purl::group_and_name(unit.manager.ecosystem(), &package.name);
            let name = group.map_or_else(String::new, |group| format!("{group}|")) + &name;
            assert!(written.contains(&(name.clone(), package.version.clone())), "{name} {}", package.version);
        }
    }
    if let Some(folder) = schemas() {
        assert_eq!(misfits(&folder, &bom), Vec::<String>::new());
    }
}
