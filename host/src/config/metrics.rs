//! `[metrics]` of the user's own `config.toml`: where the numbers of runs can be had.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;
use super::document::Document;

/// Where the numbers of runs can be had. The default: nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsSettings {
    /// Where they are served while a command runs.
    pub addr: Option<SocketAddr>,
    /// The file that they are written to at its end.
    pub file: Option<PathBuf>,
}

/// `[metrics]` as it stands in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MetricsTable {
    addr: Option<Spanned<String>>,
    file: Option<Spanned<String>>,
}

impl MetricsTable {
    pub(super) fn check(self, document: Document<'_>) -> Result<MetricsSettings, ConfigError> {
        let addr = |text: Spanned<String>| {
            listen_address(text.get_ref())
                .map_err(|hint| document.at(text.span(), "addr is no address to listen at", hint))
        };
        let file = |text: Spanned<String>| match text.get_ref().trim() {
            "" => Err(document.at(text.span(), "file is empty", "write a path: relative ones are beside this file")),
            path => Ok(document.path.parent().unwrap_or(Path::new("")).join(path)),
        };
        Ok(MetricsSettings { addr: self.addr.map(addr).transpose()?, file: self.file.map(file).transpose()? })
    }
}

/// Where to listen: `127.0.0.1:9464`, `[::1]:0`, `localhost:9464`, or a port alone, which is one of this machine only. No
/// name is looked up: what a name means may change.
///
/// # Errors
/// What can be written.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    let local = IpAddr::from(Ipv4Addr::LOCALHOST);
    let port = |port: &str| port.parse::<u16>().ok();
    let found = match text.rsplit_once(':') {
        Some(("" | "localhost", after)) => port(after).map(|port| SocketAddr::new(local, port)),
        Some(_) => text.parse().ok(),
        None => port(text).map(|port| SocketAddr::new(local, port)),
    };
    found.ok_or_else(|| "write an address and a port, like 127.0.0.1:9464; port 0 takes a free one".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{project, user};
    use super::*;

    fn read(text: &str) -> Result<MetricsSettings, ConfigError> {
        user::parse(Path::new("/home/me/config.toml"), text).map(|user| user.metrics)
    }

    #[test]
    fn a_port_alone_is_of_this_machine_only() {
        let shown = |text: &str| listen_address(text).map(|address| address.to_string());
        for (text, address) in [
            ("9464", "127.0.0.1:9464"),
            (":9464", "127.0.0.1:9464"),
            ("localhost:0", "127.0.0.1:0"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:9464", "[::1]:9464"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(address), "{text}");
        }
        for wrong in ["", "127.0.0.1", "70000", "::1", "example.com:80", "127.0.0.1:x"] {
            assert!(shown(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_is_beside_the_configuration_unless_its_path_is_whole() {
        let both = read("[metrics]\naddr = \"9464\"\nfile = \"last.prom\"\n").unwrap();
        assert_eq!(both.file.as_deref(), Some(Path::new("/home/me/last.prom")));
        assert_eq!(both.addr.map(|addr| addr.port()), Some(9464));
        let whole = read("[metrics]\nfile = \"/var/lib/node/convoke.prom\"\n").unwrap();
        assert_eq!(whole.file.as_deref(), Some(Path::new("/var/lib/node/convoke.prom")));
        for wrong in ["addr = \"example.com:1\"", "file = \" \"", "port = 1", "addr = 9464"] {
            assert!(read(&format!("[metrics]\n{wrong}\n")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_project_has_no_say() {
        let error = project::parse(Path::new("convoke.toml"), "[metrics]\naddr = \"1\"\n").unwrap_err();
        let hint = miette::Diagnostic::help(&error).unwrap().to_string();
        assert!(hint.contains("config.toml"), "{hint}");
    }
}
