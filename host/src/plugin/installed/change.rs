//! What an install or an update would change, to be shown before it happens.

use semver::Version;

use super::asks::asks;
use super::index::Held;
use crate::plugin::inspect::Inspected;

/// A component that would come in, beside the one that would go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The command.
    pub name: String,
    /// What is there now.
    pub before: Option<Before>,
    /// The version that comes.
    pub version: Version,
    /// Its digest.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// What it asks for that the one before did not, in words.
    pub added: Vec<String>,
    /// What the one before asked for and it doesn't, in words.
    pub removed: Vec<String>,
    /// What both ask for, in words.
    pub kept: Vec<String>,
}

/// The component that would go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// Its version.
    pub version: Version,
    /// Its digest.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
}

impl Change {
    /// From what is there, by its digest, to what was inspected.
    pub(super) fn between(before: Option<(&str, &Held)>, now: &Inspected, version: &Version) -> Self {
        let had = before.map(|(_, held)| held.asks()).unwrap_or_default();
        let (kept, added): (Vec<String>, Vec<String>) =
            asks(&now.manifest).into_iter().partition(|ask| had.contains(ask));
        Self {
            name: now.manifest.name.clone(),
            removed: had.into_iter().filter(|ask| !kept.contains(ask)).collect(),
            before: before.map(|(digest, held)| Before {
                version: held.version(),
                digest: digest.to_owned(),
                size: held.size,
            }),
            version: version.clone(),
            digest: now.digest.clone(),
            size: now.size,
            added,
            kept,
        }
    }

    /// Whether the same bytes are there already.
    pub fn is_none(&self) -> bool {
        self.before.as_ref().is_some_and(|before| before.digest == self.digest)
    }

    /// The newer version that would go, if it is one.
    pub fn goes_back_from(&self) -> Option<&Version> {
        self.before.as_ref().map(|before| &before.version).filter(|before| **before > self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::manifest::Manifest;

    fn inspected(version: &str, capabilities: &str) -> Inspected {
        let text = format!(
            "manifest_version = 1\nname = \"deps\"\nversion = \"{version}\"\ndescription = \"d\"\nlicense = \"MIT\"\n\
             {capabilities}"
        );
        Inspected {
            digest: version.repeat(13).replace('.', "0").chars().take(64).collect(),
            manifest: Manifest::from_toml("plugin.toml", text.as_bytes()).unwrap(),
            imports: vec!["convoke:plugin/worker@0.1.0".to_owned()],
            exports: Vec::new(),
            concludes: false,
            size: 5,
        }
    }

    #[test]
    fn what_is_asked_for_more_and_no_more_is_told_apart() {
        let diff = "[[capabilities.process]]\nprogram = \"git\"\nsubcommands = [\"diff\", \"log\"]\n";
        let send = "[[capabilities.process]]\nprogram = \"git\"\nsubcommands = [\"log\"]\n\
                    [[capabilities.http]]\nhost = \"api.osv.dev\"\nmethods = [\"GET\"]\n";
        let before = Held::new(&inspected("0.1.0", diff), "here").unwrap();
        let now = inspected("0.2.0", send);
        let change = Change::between(Some(("d", &before)), &now, &Version::new(0, 2, 0));
        assert_eq!(change.added, ["send requests (GET) to api.osv.dev"]);
        assert_eq!(change.removed, ["run `git diff` in the project"]);
        assert_eq!(change.kept, ["ask Claude, as far as your budgets let it", "run `git log` in the project"]);
        assert!(!change.is_none() && change.goes_back_from().is_none());
        let back = Change::between(
            Some(("d", &Held::new(&now, "here").unwrap())),
            &inspected("0.1.0", diff),
            &Version::new(0, 1, 0),
        );
        assert_eq!(back.goes_back_from(), Some(&Version::new(0, 2, 0)));
    }
}
