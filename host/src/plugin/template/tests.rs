use std::collections::BTreeSet;

use super::*;
use crate::plugin::manifest::Manifest;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files below a folder, by their paths in it.
fn below(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap() == "__pycache__" {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found
}

fn text<'a>(files: &'a [(String, String)], path: &str) -> &'a str {
    &files.iter().find(|(name, _)| name == path).unwrap_or_else(|| panic!("no {path}")).1
}

#[test]
fn the_whole_sdk_goes_with_a_project_as_it_is() {
    let rust = files("probe", Language::Rust).unwrap();
    let python = files("probe", Language::Python).unwrap();
    let folders = [
        (&rust, "sdk/src", "sdk/rust/src"),
        (&rust, "sdk/secrets/src", "sdk/secrets/src"),
        (&python, "sdk/python/convoke_sdk", "sdk/convoke_sdk"),
    ];
    for (files, from, to) in folders {
        let there = below(&repository().join(from));
        assert!(!there.is_empty(), "{from}");
        for path in &there {
            let kept = text(files, &format!("{to}/{path}"));
            assert_eq!(kept, fs::read_to_string(repository().join(from).join(path)).unwrap(), "{path}");
        }
        let prefix = format!("{to}/");
        assert_eq!(files.iter().filter(|(path, _)| path.starts_with(&prefix)).count(), there.len(), "{from}");
    }
    let contract = below(&repository().join("wit")).into_iter().filter(|path| path.ends_with(".wit"));
    let contract: Vec<String> = contract.filter(|path| !path.contains('/')).collect();
    assert!(contract.contains(&"types.wit".to_owned()) && contract.contains(&"world.wit".to_owned()));
    for path in contract {
        assert!(text(&rust, &format!("sdk/rust/wit/{path}")).contains("convoke:plugin"), "{path}");
    }
}

#[test]
fn the_workspace_of_the_sdk_has_what_its_packages_inherit() {
    let files = files("probe", Language::Rust).unwrap();
    let whole: toml::Table = text(&files, "sdk/Cargo.toml").parse().unwrap();
    let workspace = &whole["workspace"];
    assert_eq!(workspace["dependencies"]["convoke-secrets"]["path"].as_str(), Some("secrets"));
    for package in ["rust", "secrets"] {
        let package: toml::Table = text(&files, &format!("sdk/{package}/Cargo.toml")).parse().unwrap();
        for (name, value) in package["dependencies"].as_table().unwrap() {
            assert_eq!(value["workspace"].as_bool(), Some(true), "{name}");
            assert!(workspace["dependencies"].get(name).is_some(), "{name}");
        }
    }
}

#[test]
fn a_project_has_its_own_name_everywhere() {
    for language in Language::ALL {
        let files = files("agent-audit", language).unwrap();
        let manifest = Manifest::from_toml("plugin.toml", text(&files, "plugin.toml").as_bytes()).unwrap();
        assert_eq!(manifest.name, "agent-audit");
        for (path, text) in files.iter().filter(|(path, _)| !path.starts_with("sdk/") && !path.starts_with("fixtures/"))
        {
            for old in ["hello", "Hello", "todo-scan", "TodoScan", "{name}", "{description}"] {
                assert!(!text.contains(old), "{path} has {old}");
            }
        }
    }
    assert!(text(&files("agent-audit", Language::Rust).unwrap(), "src/lib.rs").contains("export!(AgentAudit)"));
    assert!(text(&files("agent-audit", Language::Python).unwrap(), "app.py").contains("export(AgentAudit)"));
}

#[test]
fn a_name_that_leads_elsewhere_or_is_taken_is_refused() {
    for name in ["", "../x", "a/b", "/x", "A", "-x", "x-", "a b", "a\u{1b}[2J", ".", "build", &"x".repeat(65)] {
        for language in Language::ALL {
            let error = files(name, language).unwrap_err();
            assert!(matches!(error, NewError::Name { .. }), "{name}: {error}");
            assert!(!error.to_string().contains('\u{1b}'));
        }
    }
    for name in ["match", "std", "serde", "convoke-sdk"] {
        assert!(matches!(files(name, Language::Rust), Err(NewError::Package { .. })), "{name}");
        assert!(files(name, Language::Python).is_ok(), "{name}");
    }
}

#[test]
fn what_is_there_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("there");
    fs::create_dir(&there).unwrap();
    assert!(matches!(create(&there, "probe", Language::Rust), Err(NewError::There(_))));
    assert_eq!(fs::read_dir(&there).unwrap().count(), 0);
    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    assert!(matches!(create(&file, "probe", Language::Rust), Err(NewError::There(_))));
    assert!(matches!(create(&file.join("sub"), "probe", Language::Rust), Err(NewError::Io { .. })));
    #[cfg(unix)]
    {
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
        assert!(matches!(create(&link, "probe", Language::Rust), Err(NewError::There(_))));
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    create(&folder.path().join("deep/er/probe"), "probe", Language::Python).unwrap();
    assert!(folder.path().join("deep/er/probe/app.py").is_file());
    let left: Vec<_> = fs::read_dir(folder.path().join("deep/er")).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing else is left: {left:?}");
}
