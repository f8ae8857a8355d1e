use serde_json::Value;

use super::*;
use crate::model::{Fault, Manager, Package};
use crate::testing::{asked, locked, manifest, unit};

fn of(units: &[Unit]) -> Value {
    serde_json::from_str(&sbom(units, &[], "2026-11-20", "0.1.0")).unwrap()
}

/// What the schema asks for, as far as it is known without it. `deps` over the whole of it: `.ci/full`.
fn assert_shape(bom: &Value) {
    assert_eq!((bom["bomFormat"].as_str(), bom["specVersion"].as_str()), (Some("CycloneDX"), Some("1.6")));
    let serial = bom["serialNumber"].as_str().unwrap();
    let uuid = serial.strip_prefix("urn:uuid:").unwrap();
    let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12], "{serial}");
    assert!(uuid.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase()));
    let mut references = Set::from(["project"]);
    for component in bom["components"].as_array().unwrap() {
        assert!(component["type"].is_string() && component["name"].is_string(), "{component}");
        assert!(references.insert(component["bom-ref"].as_str().unwrap()), "twice: {component}");
    }
    let mut told = Set::new();
    for dependency in bom["dependencies"].as_array().unwrap() {
        let reference = dependency["ref"].as_str().unwrap();
        assert!(references.contains(reference) && told.insert(reference), "{reference}");
        let mut needs = Set::new();
        for need in dependency["dependsOn"].as_array().unwrap() {
            let need = need.as_str().unwrap();
            assert!(references.contains(need) && needs.insert(need), "{need} of {reference}");
        }
    }
}

fn component<'a>(bom: &'a Value, name: &str) -> &'a Value {
    bom["components"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap_or(&Value::Null)
}

fn web() -> Unit {
    let mut own = manifest("web/package.json", Manager::Npm, vec![asked("@x/a", "^1", 3)]);
    let said = own.manifest.as_mut().unwrap();
    (said.name, said.version, said.license) =
        (Some("shop".to_owned()), Some("2.0.0".to_owned()), Some("MIT".to_owned()));
    let mut lock = locked(
        "web/package-lock.json",
        Manager::Npm,
        &[("@x/a", "1.0.0", &[1, 2]), ("b", "2.0.0", &[]), ("b", "2.0.0", &[0]), ("t", "1.0.0", &[])],
        &[0],
    );
    let packages = &mut lock.lock.as_mut().unwrap().packages;
    packages[1].license = Some("(MIT OR Apache-2.0)".to_owned());
    packages[3].license = Some("SEE LICENSE IN x".to_owned());
    packages[3].scope = Scope::Dev;
    packages[2].scope = Scope::Dev;
    unit(vec![own, lock])
}

#[test]
fn one_project_is_the_component_that_the_bill_is_about() {
    let bom = of(&[web()]);
    assert_shape(&bom);
    assert_eq!(bom["metadata"]["component"]["name"], "shop");
    assert_eq!(bom["metadata"]["timestamp"], "2026-11-20T00:00:00Z");
    assert_eq!(bom["components"].as_array().unwrap().len(), 3, "copies of one version are one");
    let a = component(&bom, "a");
    assert_eq!((a["group"].as_str(), a["purl"].as_str()), (Some("@x"), Some("pkg:npm/%40x/a@1.0.0")));
    let b = component(&bom, "b");
    assert_eq!(b["scope"], "required", "one of its copies is");
    assert_eq!(b["licenses"][0]["expression"], "(MIT OR Apache-2.0)");
    assert_eq!(b["evidence"]["occurrences"].as_array().unwrap().len(), 2);
    let t = component(&bom, "t");
    assert_eq!(
        (t["scope"].as_str(), t["licenses"][0]["license"]["name"].as_str()),
        (Some("excluded"), Some("SEE LICENSE IN x"))
    );
    let project = bom["dependencies"].as_array().unwrap().iter().find(|one| one["ref"] == "project").unwrap();
    assert_eq!(project["dependsOn"], serde_json::json!(["pkg:npm/%40x/a@1.0.0"]));
    assert_eq!(bom["compositions"][0]["aggregate"], "complete");
}

#[test]
fn several_projects_are_components_that_the_whole_needs() {
    let other = unit(vec![locked("Cargo.lock", Manager::Cargo, &[("serde", "1.0.0", &[])], &[0])]);
    let bom = of(&[web(), other]);
    assert_shape(&bom);
    assert_eq!(bom["metadata"]["component"]["name"], "project");
    let project = bom["dependencies"].as_array().unwrap().iter().find(|one| one["ref"] == "project").unwrap();
    assert_eq!(project["dependsOn"], serde_json::json!(["unit:cargo:.", "unit:npm:web"]));
    assert_eq!(component(&bom, "shop")["type"], "application");
}

#[test]
fn the_same_input_gives_the_same_bytes_and_another_another_serial() {
    let (one, same) = (sbom(&[web()], &[], "2026-11-20", "1"), sbom(&[web()], &[], "2026-11-20", "1"));
    assert_eq!(one, same);
    let other = of(&[unit(vec![locked("Cargo.lock", Manager::Cargo, &[], &[])])]);
    assert_ne!(of(&[web()])["serialNumber"], other["serialNumber"]);
}

#[test]
fn what_is_not_known_is_said() {
    let open = unit(vec![manifest("pom.xml", Manager::Maven, vec![asked("org.x:y", "=1.2", 9)])]);
    let mut broken = locked("l", Manager::Npm, &[("a", "1", &[])], &[0]);
    broken.faults.push(Fault::new(Some(3), "odd", false));
    for unit in [open, unit(vec![broken])] {
        let bom = of(&[unit]);
        assert_shape(&bom);
        assert_eq!(bom["compositions"][0]["aggregate"], "incomplete");
        assert!(bom["compositions"][1]["dependencies"].as_array().unwrap().contains(&"project".into()));
    }
}

#[test]
fn a_file_that_is_not_understood_makes_the_bill_incomplete() {
    let bom = sbom(&[web()], &["a/mix.exs".to_owned()], "2026-11-20", "1");
    let bom: Value = serde_json::from_str(&bom).unwrap();
    assert_eq!(bom["compositions"][0]["aggregate"], "incomplete");
    assert_eq!(bom["metadata"]["properties"][0]["value"], "a/mix.exs");
}

#[test]
fn what_is_only_asked_for_is_there_too() {
    let open =
        unit(vec![manifest("pom.xml", Manager::Maven, vec![asked("org.x:y", "=1.2", 9), asked("org.x:z", "*", 10)])]);
    let bom = of(&[open]);
    let (y, z) = (component(&bom, "y"), component(&bom, "z"));
    assert_eq!((y["group"].as_str(), y["purl"].as_str()), (Some("org.x"), Some("pkg:maven/org.x/y@1.2")));
    assert_eq!((z["purl"].as_str(), z["version"].as_str()), (Some("pkg:maven/org.x/z"), None));
    assert_eq!(z["properties"][1]["value"], "*");
}

#[test]
fn what_comes_from_elsewhere_is_not_taken_for_the_registry_s() {
    let mut lock = locked("sub/Cargo.lock", Manager::Cargo, &[], &[]);
    let origin = |name: &str, origin| Package { origin, ..Package::new(name, "1.0.0", 1) };
    lock.lock.as_mut().unwrap().packages = vec![
        origin("own", Origin::Workspace),
        origin(
            "git",
            Origin::Git { url: "https://me:pw@git.example/g.git".to_owned(), commit: Some("abc".to_owned()) },
        ),
        origin("path", Origin::Path("../other".to_owned())),
        origin("url", Origin::Url("https://files.example/u.tgz".to_owned())),
    ];
    let bom = of(&[unit(vec![lock])]);
    assert_shape(&bom);
    assert_eq!(bom["components"].as_array().unwrap().len(), 3);
    assert_eq!(component(&bom, "git")["purl"], "pkg:cargo/git@1.0.0?vcs_url=git%2Bhttps://git.example/g.git%40abc");
    assert_eq!(component(&bom, "path")["purl"], Value::Null);
    assert_eq!(component(&bom, "path")["bom-ref"], "path:cargo:path@1.0.0#other");
    assert_eq!(component(&bom, "url")["purl"], "pkg:cargo/url@1.0.0?download_url=https://files.example/u.tgz");
}

/// From the test vectors that Noll's page and the Go library publish.
#[test]
fn foobar_has_the_published_hash() {
    assert_eq!(fnv(b""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
    assert_eq!(fnv(b"a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    assert_eq!(fnv(b"foobar"), 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18);
}
