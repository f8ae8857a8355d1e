//! Files that an editor of Windows wrote say the same as others.

use super::format_of;
use super::testing::windows;
use crate::model::{File, Texts};

fn read(name: &str, text: &str) -> File {
    (format_of(name).expect("a known format").parse)(name, text, &Texts::new())
}

#[test]
fn a_byte_order_mark_and_windows_lines_change_nothing() {
    for (name, text) in [
        ("Cargo.toml", "[package]\nname = \"x\"\n[dependencies]\na = \"1\"\n"),
        ("Cargo.lock", "version = 4\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\n \"a\",\n]\n"),
        ("package.json", "{\n  \"name\": \"x\",\n  \"dependencies\": {\n    \"a\": \"^1\"\n  }\n}\n"),
        (
            "package-lock.json",
            "{\n\"lockfileVersion\": 3,\n\"packages\": {\n\"\": {\"dependencies\": {\"a\": \"1\"}},\n\"node_modules/a\": {\"version\": \"1.0.0\"}\n}}\n",
        ),
        (
            "npm-shrinkwrap.json",
            "{\n\"lockfileVersion\": 1,\n\"requires\": true,\n\"dependencies\": {\n\"a\": {\n\"version\": \"1.0.0\"}}}\n",
        ),
        ("yarn.lock", "# yarn lockfile v1\n\na@1:\n  version \"1.0.0\"\n  dependencies:\n    a \"1\"\n"),
        (
            "yarn.lock",
            "__metadata:\n  version: 8\n\n\"a@npm:1\":\n  version: 1.0.0\n  resolution: \"a@npm:1.0.0\"\n  dependencies:\n    a: \"npm:1\"\n",
        ),
        (
            "pnpm-lock.yaml",
            "lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      a:\n        version: 1.0.0\npackages:\n  a@1.0.0:\n    \
             resolution: {integrity: x}\nsnapshots:\n  a@1.0.0: {}\n",
        ),
        ("pnpm-workspace.yaml", "packages:\n  - a\ncatalog:\n  a: ^1\n"),
    ] {
        let plain = read(name, text);
        assert_eq!(plain.faults, [], "{name}");
        let known = plain.manifest.as_ref().is_some_and(|manifest| !manifest.requirements.is_empty())
            || plain.lock.as_ref().is_some_and(|lock| !lock.packages.is_empty());
        assert!(known, "{name} says something");
        assert_eq!(read(name, &windows(text)), plain, "{name}");
    }
}
