//! Getting components from servers that behave, and from those that don't.

mod login;
mod publishing;
mod pulling;
mod redirects;

use std::time::Duration;

use convoke_standin::registry::Registry;
use wasm_encoder::CustomSection;

use super::*;
use crate::config::Install;
use crate::plugin::inspect::tests::component as bare;
use crate::plugin::manifest;

/// A component's bytes, as far as a registry looks at them.
pub(super) const BYTES: &[u8] = b"\0asm of a component, as far as a registry looks at it";

/// What a user has who has configured nothing.
pub(super) fn access() -> Access {
    let install = Install { most_bytes: 1 << 20, time: Duration::from_secs(60), ..Install::default() };
    Access { credentials: Credentials::none(), ..Access::of(&install, |_| None, Path::new("/nowhere")) }
}

/// A user who is logged in at that host.
pub(super) fn logged_in(host: &str, user: &str, password: &str) -> (tempfile::TempDir, Access) {
    let folder = tempfile::tempdir().unwrap();
    let auth = convoke_standin::registry::basic(user, password).replace("Basic ", "");
    let config = format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#);
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    let env = move |name: &str| (name == "DOCKER_CONFIG").then(|| path.clone());
    let credentials = Credentials::find(env, Path::new("/nowhere"));
    (folder, Access { credentials, ..access() })
}

pub(super) async fn registry() -> Registry {
    Registry::start().await.unwrap()
}

/// Fetches what is typed so.
pub(super) async fn get(source: &str, access: &Access) -> Result<Fetched, SourceError> {
    fetch(&source.parse()?, access).await
}

/// Why that comes to nothing, in words.
pub(super) async fn refused(source: &str, access: &Access) -> String {
    get(source, access).await.expect_err("it must not be fetched").to_string()
}

/// A component of this name and version.
pub(super) fn component(name: &str, version: &str) -> Vec<u8> {
    let json =
        format!(r#"{{"manifest_version":1,"name":"{name}","version":"{version}","description":"d","license":"MIT"}}"#);
    let mut component = bare(&[], &["convoke:plugin/handler@0.1.0"]);
    component.section(&CustomSection { name: manifest::SECTION.into(), data: json.into_bytes().into() });
    component.finish()
}
