//! The user's own credentials for a registry, as other tools keep them: the files of docker and of the containers
//! tools (podman, skopeo, oras), and the helper programs that they name.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Reference, SourceError};
use crate::actions::locate::Programs;
use crate::config::files::read_text;
use crate::plugin::printable;

/// The largest file of credentials, and the longest answer of a helper. Bytes.
const LARGEST: u64 = 1 << 20;
/// How long a helper may take: it may ask the user for a password.
const HELPER_TIMEOUT: Duration = Duration::from_secs(60);
/// What a helper need not see.
const NOT_FOR_HELPERS: [&str; 2] = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"];

/// Where the user's credentials are. Each is sent to the registry that it is for, and to no other.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The first that has one for a registry counts.
    files: Vec<PathBuf>,
    programs: Option<Programs>,
}

/// What says who the user is.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    /// A name and a password, or a token in place of it.
    Basic {
        /// The name.
        user: String,
        /// The password.
        secret: String,
    },
    /// A token that tokens are given for.
    Identity(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Credential")
    }
}

impl Credentials {
    /// By the user's environment: `REGISTRY_AUTH_FILE`, else `containers/auth.json` in `XDG_RUNTIME_DIR` and in the
    /// folder for settings; then `config.json` in `DOCKER_CONFIG`, else in `~/.docker`.
    pub fn find(env: impl Fn(&str) -> Option<String>, project: &Path) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = set("HOME");
        let mut files = Vec::new();
        match set("REGISTRY_AUTH_FILE") {
            Some(file) => files.push(file),
            None => {
                let settings = set("XDG_CONFIG_HOME").or_else(|| Some(home.as_ref()?.join(".config")));
                let folders = [set("XDG_RUNTIME_DIR"), settings];
                files.extend(folders.into_iter().flatten().map(|folder| folder.join("containers/auth.json")));
            }
        }
        let docker = set("DOCKER_CONFIG").or_else(|| Some(home?.join(".docker")));
        files.extend(docker.map(|folder| folder.join("config.json")));
        let project = std::fs::canonicalize(project).unwrap_or_else(|_| project.to_owned());
        Self { files, programs: Some(Programs::of(&env, &project)) }
    }

    /// Nobody's.
    pub fn none() -> Self {
        Self::default()
    }

    /// Those for a repository, if the user has some.
    ///
    /// # Errors
    /// [`SourceError::Credentials`] where they can't be read.
    pub(super) async fn of(&self, reference: &Reference) -> Result<Option<Credential>, SourceError> {
        let wrong = |why: String| SourceError::Credentials { host: reference.host().to_owned(), why };
        for path in &self.files {
            let text = match read_text(path, LARGEST) {
                Ok(text) => text,
                Err(error)
                    if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
                {
                    continue;
                }
                Err(error) => return Err(wrong(format!("{}: {error}", path.display()))),
            };
            // The parser's words could hold what stands in the file.
            let file: File = serde_json::from_str(&text)
                .map_err(|error| wrong(format!("{} is damaged in line {}", path.display(), error.line())))?;
            let found = file.find(reference).map_err(|why| wrong(format!("{}: {why}", path.display())))?;
            let credential = match found {
                Found::None => None,
                Found::Here(credential) => Some(credential),
                Found::Helper { name, server } => self.ask(&name, &server).await.map_err(wrong)?,
            };
            if credential.is_some() {
                return Ok(credential);
            }
        }
        Ok(None)
    }

    /// Asks a helper program, by the protocol of `docker-credential-helpers`.
    async fn ask(&self, name: &str, server: &str) -> Result<Option<Credential>, String> {
        let named = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        if !named || name.is_empty() {
            return Err(format!("`{}` is no helper's name", printable(name, 60)));
        }
        let program = format!("docker-credential-{name}");
        let Some(programs) = &self.programs else { return Ok(None) };
        let path = programs.find(&program).map_err(|error| error.to_string())?;
        let (success, output) = tokio::time::timeout(HELPER_TIMEOUT, answer(&path, programs, server))
            .await
            .map_err(|_| format!("{program} did not answer within {} s", HELPER_TIMEOUT.as_secs()))?
            .map_err(|error| format!("{program}: {error}"))?;
        if !success {
            let said = printable(String::from_utf8_lossy(&output).trim(), 200);
            // The words of the protocol for: there are none.
            if said.contains("credentials not found") {
                return Ok(None);
            }
            return Err(format!("{program} failed: {said}"));
        }
        let answer: Answer =
            serde_json::from_slice(&output).map_err(|_| format!("{program} says what is not understood"))?;
        Ok(Some(match answer.username.as_str() {
            "<token>" => Credential::Identity(answer.secret),
            _ => Credential::Basic { user: answer.username, secret: answer.secret },
        }))
    }
}

/// Whether it succeeded, and what it said.
async fn answer(path: &Path, programs: &Programs, server: &str) -> std::io::Result<(bool, Vec<u8>)> {
    let mut command = tokio::process::Command::new(path);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    // It is the user's own and finds what it needs in the environment; only not by a `PATH` that a project brings.
    let own_path = programs.environment().iter().find(|(name, _)| name == "PATH");
    command.env("PATH", own_path.map_or_else(OsString::new, |(_, value)| value.clone()));
    for name in NOT_FOR_HELPERS {
        command.env_remove(name);
    }
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // One that does not read has not asked for it.
        let _ = input.write_all(server.as_bytes()).await;
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(LARGEST).read_to_end(&mut output).await?;
    }
    Ok((child.wait().await?.success(), output))
}

/// A helper's answer.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// A file of credentials, as far as it is of use here.
#[derive(Default, Deserialize)]
struct File {
    #[serde(default)]
    auths: std::collections::BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: std::collections::BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default, rename = "identitytoken")]
    identity: Option<String>,
}

/// What a file has for a registry.
enum Found {
    None,
    Here(Credential),
    /// A program knows it, under that name of the server.
    Helper {
        name: String,
        server: String,
    },
}

impl File {
    fn find(&self, reference: &Reference) -> Result<Found, String> {
        let keys = keys(reference);
        for key in &keys {
            let entry = self.auths.iter().find(|(known, _)| plain(known) == key);
            let known = self.helpers.iter().find(|(known, _)| plain(known) == key);
            if let Some((server, helper)) = known {
                return Ok(Found::Helper { name: helper.clone(), server: server.clone() });
            }
            if let Some((_, entry)) = entry
                && let Some(credential) = entry.credential()?
            {
                return Ok(Found::Here(credential));
            }
        }
        match self.store.as_deref().filter(|store| !store.is_empty()) {
            Some(store) => Ok(Found::Helper { name: store.to_owned(), server: server(reference) }),
            None => Ok(Found::None),
        }
    }
}

impl Entry {
    fn credential(&self) -> Result<Option<Credential>, String> {
        if let Some(token) = self.identity.as_ref().filter(|token| !token.is_empty()) {
            return Ok(Some(Credential::Identity(token.clone())));
        }
        let Some(auth) = self.auth.as_ref().filter(|auth| !auth.is_empty()) else { return Ok(None) };
        let decoded = STANDARD.decode(auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let decoded = decoded.ok_or("an `auth` is not base64")?;
        let (user, secret) = decoded.split_once(':').ok_or("an `auth` has no colon")?;
        // Docker pads with it.
        let secret = secret.trim_end_matches('\0');
        Ok(Some(Credential::Basic { user: user.to_owned(), secret: secret.to_owned() }))
    }
}

/// The names under which a repository's credentials may stand, the most exact first.
fn keys(reference: &Reference) -> Vec<String> {
    let mut keys = Vec::new();
    let mut path = format!("{}/{}", reference.host(), reference.repository());
    loop {
        keys.push(path.clone());
        let Some(slash) = path.rfind('/') else { break };
        path.truncate(slash);
    }
    if reference.host() == "docker.io" {
        keys.push("index.docker.io".to_owned());
    }
    keys
}

/// The name that a store knows a registry by.
fn server(reference: &Reference) -> String {
    if reference.host() == "docker.io" { "https://index.docker.io/v1/".to_owned() } else { reference.host().to_owned() }
}

/// A key without what old tools put around it.
fn plain(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key)
}

impl Credential {
    /// For the header `authorization`; none: it is a token, which only tokens are given for.
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        let Self::Basic { user, secret } = self else { return None };
        sensitive(&format!("Basic {}", STANDARD.encode(format!("{user}:{secret}"))))
    }
}

/// A header's value that no log shows.
pub(super) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(text: &str) -> Reference {
        text.parse().unwrap()
    }

    fn basic(user: &str, secret: &str) -> Credential {
        Credential::Basic { user: user.to_owned(), secret: secret.to_owned() }
    }

    /// What a user with such a file has for a repository.
    async fn of(text: &str, repository: &str) -> Result<Option<Credential>, SourceError> {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".docker")).unwrap();
        std::fs::write(home.path().join(".docker/config.json"), text).unwrap();
        let folder = home.path().to_str().unwrap().to_owned();
        let env = move |name: &str| (name == "HOME").then(|| folder.clone());
        Credentials::find(env, Path::new("/nowhere")).of(&reference(repository)).await
    }

    fn auth(user: &str, secret: &str) -> String {
        STANDARD.encode(format!("{user}:{secret}"))
    }

    #[tokio::test]
    async fn a_registry_gets_its_own_credentials_and_no_others() {
        let file = format!(
            r#"{{"auths":{{"registry.example":{{"auth":"{}"}},"https://index.docker.io/v1/":{{"auth":"{}"}},"empty.io":{{}}}}}}"#,
            auth("me", "a:b"),
            auth("hub", "x")
        );
        assert_eq!(of(&file, "oci://registry.example/acme/deps").await.unwrap(), Some(basic("me", "a:b")));
        assert_eq!(of(&file, "oci://docker.io/acme/deps").await.unwrap(), Some(basic("hub", "x")));
        for other in [
            "oci://registry.example.evil.org/deps",
            "oci://evil.org/registry.example",
            "oci://registry.example:444/deps",
            "oci://empty.io/x",
        ] {
            assert_eq!(of(&file, other).await.unwrap(), None, "{other}");
        }
    }

    #[tokio::test]
    async fn the_most_exact_path_counts() {
        let file = format!(
            r#"{{"auths":{{"h.io":{{"auth":"{}"}},"h.io/acme":{{"auth":"{}"}},"t.io":{{"identitytoken":"long"}}}}}}"#,
            auth("all", "1"),
            auth("acme", "2")
        );
        assert_eq!(of(&file, "oci://h.io/acme/deps").await.unwrap(), Some(basic("acme", "2")));
        assert_eq!(of(&file, "oci://h.io/acmeplus/deps").await.unwrap(), Some(basic("all", "1")));
        assert_eq!(of(&file, "oci://t.io/x").await.unwrap(), Some(Credential::Identity("long".to_owned())));
    }

    #[tokio::test]
    async fn a_damaged_file_is_named_and_no_secret_is_told() {
        let file = format!(r#"{{"auths":{{"h.io":{{"auth":"{}"}}"#, auth("me", "secret"));
        let error = of(&file, "oci://h.io/x").await.unwrap_err().to_string();
        assert!(error.contains("config.json is damaged in line 1"), "{error}");
        for wrong in [r#"{"auths":{"h.io":{"auth":"%%%"}}}"#, r#"{"auths":{"h.io":{"auth":"bm9jb2xvbg=="}}}"#] {
            assert!(of(wrong, "oci://h.io/x").await.is_err(), "{wrong}");
        }
    }

    #[cfg(unix)]
    mod helpers {
        use std::os::unix::fs::PermissionsExt as _;

        use super::*;

        struct User {
            folder: tempfile::TempDir,
        }

        impl User {
            fn new(config: &str, script: &str) -> Self {
                let folder = tempfile::tempdir().unwrap();
                for inner in ["bin", "docker", "project"] {
                    std::fs::create_dir(folder.path().join(inner)).unwrap();
                }
                std::fs::write(folder.path().join("docker/config.json"), config).unwrap();
                let user = Self { folder };
                user.helper("bin", script);
                user
            }

            fn helper(&self, place: &str, script: &str) {
                let path = self.folder.path().join(place).join("docker-credential-test");
                // Written by another process: a file that this one has open for writing can't be run.
                let status = std::process::Command::new("sh")
                    .args(["-c", "printf '%s' \"$1\" > \"$2\"", "sh", &format!("#!/bin/sh\n{script}\n")])
                    .arg(&path)
                    .status()
                    .unwrap();
                assert!(status.success());
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
            }

            async fn of(&self, places: &[&str], repository: &str) -> Result<Option<Credential>, SourceError> {
                let at = |place: &str| self.folder.path().join(place).to_str().unwrap().to_owned();
                let path: Vec<String> =
                    places.iter().map(|place| at(place)).chain(["/bin".into(), "/usr/bin".into()]).collect();
                let (path, docker) = (path.join(":"), at("docker"));
                let env = move |name: &str| match name {
                    "PATH" => Some(path.clone()),
                    "DOCKER_CONFIG" => Some(docker.clone()),
                    "HOME" => Some("/nowhere".to_owned()),
                    _ => None,
                };
                let project = self.folder.path().join("project");
                Credentials::find(env, &project).of(&reference(repository)).await
            }
        }

        const ANSWERS: &str = r#"read server; [ "$1" = get ] && printf '{"ServerURL":"%s","Username":"for-%s","Secret":"s"}' "$server" "$server""#;

        #[tokio::test]
        async fn a_helper_is_asked_for_the_registry_by_its_name() {
            let user = User::new(r#"{"credHelpers":{"h.io":"test"}}"#, ANSWERS);
            assert_eq!(user.of(&["bin"], "oci://h.io/x").await.unwrap(), Some(basic("for-h.io", "s")));
            assert_eq!(user.of(&["bin"], "oci://other.io/x").await.unwrap(), None);
            let user = User::new(r#"{"auths":{"docker.io":{}},"credsStore":"test"}"#, ANSWERS);
            let hub = user.of(&["bin"], "oci://docker.io/a/x").await.unwrap();
            assert_eq!(hub, Some(basic("for-https://index.docker.io/v1/", "s")));
        }

        #[tokio::test]
        async fn a_helper_without_an_entry_is_none_and_one_that_fails_an_error() {
            let config = r#"{"credsStore":"test"}"#;
            let none = User::new(config, "echo credentials not found in native keychain; exit 1");
            assert_eq!(none.of(&["bin"], "oci://h.io/x").await.unwrap(), None);
            for (script, said) in [("echo locked; exit 1", "failed: locked"), ("echo garbage", "not understood")] {
                let error = User::new(config, script).of(&["bin"], "oci://h.io/x").await.unwrap_err().to_string();
                assert!(error.contains(said), "{error}");
            }
            let error = none.of(&[], "oci://h.io/x").await.unwrap_err().to_string();
            assert!(error.contains("no program docker-credential-test"), "{error}");
        }

        #[tokio::test]
        async fn a_projects_helper_is_not_run_nor_one_with_a_path_for_a_name() {
            let user = User::new(r#"{"credsStore":"test"}"#, ANSWERS);
            user.helper("project", "echo planted");
            assert_eq!(user.of(&["project", "bin"], "oci://h.io/x").await.unwrap(), Some(basic("for-h.io", "s")));
            let error = user.of(&["project"], "oci://h.io/x").await.unwrap_err().to_string();
            assert!(error.contains("which the project brings"), "{error}");
            let user = User::new(r#"{"credsStore":"../../bin/sh"}"#, ANSWERS);
            assert!(user.of(&["bin"], "oci://h.io/x").await.unwrap_err().to_string().contains("is no helper's name"));
        }
    }
}
