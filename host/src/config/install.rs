//! `[install]` of the user's own `config.toml`: where plugins come from, and what getting them may take.
//!
//! A project has no such table: it may not choose where code comes from.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;
use super::document::Document;
use crate::plugin::source::Namespace;

const MIB: u64 = 1024 * 1024;

/// Where plugins come from. The defaults: nowhere but where is typed, 256 MiB, 10 minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    /// Where `name@^0.2` is looked for.
    pub namespace: Option<Namespace>,
    /// Where `acme/name@^0.2` is looked for.
    pub namespaces: BTreeMap<String, Namespace>,
    /// The largest component, in bytes.
    pub most_bytes: u64,
    /// How long getting one may take.
    pub time: Duration,
    /// `private_hosts`: those that may be at private addresses, as hosts of a company's own network are.
    pub listed_hosts: Vec<String>,
}

impl Default for Install {
    fn default() -> Self {
        Self {
            namespace: None,
            namespaces: BTreeMap::new(),
            // A component with an interpreter in it has some 40 MiB.
            most_bytes: 256 * MIB,
            time: Duration::from_secs(600),
            listed_hosts: Vec::new(),
        }
    }
}

impl Install {
    /// The namespace of that name; none: the one without a name.
    pub fn namespace(&self, name: Option<&str>) -> Option<&Namespace> {
        match name {
            None => self.namespace.as_ref(),
            Some(name) => self.namespaces.get(name),
        }
    }

    /// The hosts that may be at private addresses: those that are listed, and those of the namespaces, which the user
    /// has named too.
    pub fn private_hosts(&self) -> Vec<String> {
        let named =
            self.namespace.iter().chain(self.namespaces.values()).map(|namespace| without_port(namespace.host()));
        self.listed_hosts.iter().cloned().chain(named).collect()
    }
}

/// A host without its port, and without the brackets of an IPv6 address.
fn without_port(host: &str) -> String {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address.to_owned(),
        None => host.split(':').next().unwrap_or(host).to_owned(),
    }
}

/// `[install]` as it stands in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InstallTable {
    namespace: Option<Spanned<String>>,
    #[serde(default)]
    namespaces: BTreeMap<String, Spanned<String>>,
    max_component_bytes: Option<Spanned<u64>>,
    timeout_s: Option<Spanned<u64>>,
    #[serde(default)]
    private_hosts: Vec<Spanned<String>>,
}

impl InstallTable {
    pub(super) fn check(self, document: Document<'_>) -> Result<Install, ConfigError> {
        let default = Install::default();
        let namespace = |text: Spanned<String>| -> Result<Namespace, ConfigError> {
            let wrong = |error: crate::plugin::source::SourceError| {
                document.at(text.span(), &error.to_string(), "write a registry and a path: oci://host/path")
            };
            text.get_ref().parse().map_err(wrong)
        };
        let mut namespaces = BTreeMap::new();
        for (name, text) in self.namespaces {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if !name.bytes().all(plain) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
                let hint = "write lower-case letters, digits and -: `acme` is typed in `acme/name@^0.2`";
                return Err(document.at(text.span(), "this namespace's name can't be typed", hint));
            }
            namespaces.insert(name, namespace(text)?);
        }
        let mut hosts = Vec::new();
        for host in self.private_hosts {
            let bare = without_port(host.get_ref().trim());
            if bare != host.get_ref().trim() || bare.is_empty() || bare.contains(['/', '*', '@']) {
                let hint = "write a host's name or address, without scheme and port: \"registry.corp\", \"10.0.0.7\"";
                return Err(document.at(host.span(), "this is no host", hint));
            }
            hosts.push(bare.to_ascii_lowercase());
        }
        let most_bytes = document.within("max_component_bytes", self.max_component_bytes, 1..=4_096 * MIB)?;
        let seconds = document.within("timeout_s", self.timeout_s, 1..=86_400)?;
        Ok(Install {
            namespace: self.namespace.map(namespace).transpose()?,
            namespaces,
            most_bytes: most_bytes.unwrap_or(default.most_bytes),
            time: seconds.map_or(default.time, Duration::from_secs),
            listed_hosts: hosts,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{project, user};
    use super::*;

    fn read(text: &str) -> Result<Install, ConfigError> {
        user::parse(Path::new("config.toml"), text).map(|user| user.install)
    }

    #[test]
    fn what_is_not_said_is_as_ever() {
        assert_eq!(read("").unwrap(), Install::default());
        let text = "[install]\nnamespace = \"oci://registry.example/me\"\nmax_component_bytes = 5\ntimeout_s = 3\n\
                    private_hosts = [\"Registry.corp\"]\n[install.namespaces]\nacme = \"oci://[::1]:5000/acme\"\n";
        let install = read(text).unwrap();
        assert_eq!((install.most_bytes, install.time.as_secs()), (5, 3));
        assert_eq!(install.namespace(None).unwrap().to_string(), "oci://registry.example/me");
        assert_eq!(install.namespace(Some("acme")).unwrap().to_string(), "oci://[::1]:5000/acme");
        assert_eq!(install.namespace(Some("other")), None);
        assert_eq!(install.private_hosts(), ["registry.corp", "registry.example", "::1"]);
    }

    #[test]
    fn nonsense_has_its_place() {
        for wrong in [
            "namespace = \"registry.example/me\"",
            "namespace = \"oci://\"",
            "max_component_bytes = 0",
            "timeout_s = 0",
            "private_hosts = [\"https://x\"]",
            "private_hosts = [\"x:5000\"]",
            "private_hosts = [\"*\"]",
            "registry = \"x\"",
            "namespaces = { \"A B\" = \"oci://h\" }",
            "namespaces = { a = \"h\" }",
        ] {
            let error = read(&format!("[install]\n{wrong}\n")).unwrap_err().to_string();
            assert!(error.contains("config.toml:2:"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_project_can_not_choose_where_code_comes_from() {
        let text = "[install]\nnamespace = \"oci://evil.example\"\n";
        let error = project::parse(Path::new("convoke.toml"), text).unwrap_err();
        let hint = miette::Diagnostic::help(&error).unwrap().to_string();
        assert!(hint.contains("where code comes from"), "{hint}");
    }
}
