//! The workspace of an SDK that lies in a project.
//!
//! The SDK's packages are kept as they are in this repository, where versions stand in the workspace. So in a project they
//! get a workspace too: what they need of this one's.

use toml::{Table, Value};

/// Of this repository.
const OURS: &str = include_str!("../../../kept/workspace.toml");

/// The packages of the SDK, by their folders in a project.
const PACKAGES: [(&str, &str); 2] = [("rust", "convoke-sdk"), ("secrets", "convoke-secrets")];

/// The `Cargo.toml` above the SDK's packages.
///
/// # Errors
/// What is kept is not what it should be; in words.
pub(super) fn of_the_sdk() -> Result<String, String> {
    let parse = |text: &str| text.parse::<Table>().map_err(|error| error.message().to_owned());
    let ours = parse(OURS)?;
    let ours = ours.get("workspace").and_then(Value::as_table).ok_or("Cargo.toml has no workspace")?;
    let versions = ours.get("dependencies").and_then(Value::as_table).ok_or("the workspace has no dependencies")?;
    let mut dependencies = Table::new();
    for (folder, _) in PACKAGES {
        let path = format!("{folder}/Cargo.toml");
        let kept = super::RUST_SDK.iter().find(|(name, _)| *name == path).ok_or_else(|| format!("no {path}"))?;
        let package = parse(kept.1)?;
        for name in package.get("dependencies").and_then(Value::as_table).into_iter().flat_map(Table::keys) {
            let mut version = versions.get(name).cloned().ok_or_else(|| format!("no version of {name}"))?;
            if let Some((folder, _)) = PACKAGES.iter().find(|(_, package)| package == name) {
                let table = version.as_table_mut().ok_or_else(|| format!("{name} has no path"))?;
                table.insert("path".to_owned(), (*folder).into());
            }
            dependencies.insert(name.clone(), version);
        }
    }
    let members: Vec<Value> = PACKAGES.iter().map(|(folder, _)| (*folder).into()).collect();
    let mut workspace = Table::new();
    workspace.insert("resolver".to_owned(), "3".into());
    workspace.insert("members".to_owned(), members.into());
    workspace.insert("package".to_owned(), ours.get("package").cloned().ok_or("the workspace has no package")?);
    workspace.insert("dependencies".to_owned(), dependencies.into());
    workspace.insert("lints".to_owned(), Table::new().into());
    let mut whole = Table::new();
    whole.insert("workspace".to_owned(), workspace.into());
    let text = toml::to_string(&whole).map_err(|error| error.to_string())?;
    Ok(format!("# The packages of convoke's SDK, as they are in its repository.\n\n{text}"))
}
