//! The folders of one process, what it is started with, and what of the user's environment it sees.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{ClaudeConfig, writes};
use crate::backend::Profile;
use crate::warden::SLOT_PREFIX;

/// What passes from the user's environment: where programs, home, proxies and certificates are.
const PASSED: [&str; 22] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CONFIG_DIR",
];

/// What passes by the beginning of its name: keys, and the clouds that models can be had from.
const PASSED_PREFIXES: [&str; 7] =
    ["ANTHROPIC_", "CLAUDE_CODE_USE_", "CLAUDE_CODE_SKIP_", "AWS_", "GOOGLE_", "CLOUD_ML_", "VERTEX_"];

/// It makes the program print what is not its protocol.
const NEVER_PASSED: &str = "ANTHROPIC_LOG";

/// How the program behaves. One owner of retries: it tells of the first failure, with the server's wait, and is
/// interrupted then. Nothing is sent but questions.
const SET: [(&str, &str); 12] = [
    // Each of them would be tried without after a 400: up to five requests more.
    ("CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS", "1"),
    ("TERM", "dumb"),
    ("CLAUDE_CODE_MAX_RETRIES", "1"),
    ("CLAUDE_CODE_RETRY_WATCHDOG", "1"),
    ("CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK", "1"),
    ("CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS", "1"),
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ("DISABLE_TELEMETRY", "1"),
    ("DISABLE_ERROR_REPORTING", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
    // The deadlines are ours: its own are longer than any of them.
    ("API_TIMEOUT_MS", "3600000"),
    ("DISABLE_BUG_COMMAND", "1"),
];

/// The folders of a process: an empty one to work in, one for temporary files, and its own home where it needs no
/// login. They go with it.
#[derive(Debug)]
pub(super) struct Slot {
    folder: TempDir,
}

impl Slot {
    pub(super) fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(SLOT_PREFIX).tempdir()?;
        for name in ["work", "tmp", "home"] {
            fs::create_dir(folder.path().join(name))?;
        }
        Ok(Self { folder })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where the program is started: an empty folder, so that it finds nothing of a project; or the copy of one.
    pub(super) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// The record by which the next host finds what this one left.
    pub(super) fn record(&self, folder: &Path) -> PathBuf {
        let name = self.folder.path().file_name().unwrap_or(OsStr::new("slot"));
        let mut name = name.to_owned();
        name.push(".json");
        folder.join(name)
    }

    /// The program's arguments. The system text and the schema follow on its input, where no other user sees them.
    pub(super) fn arguments(&self, config: &ClaudeConfig, profile: &Profile) -> io::Result<Vec<OsString>> {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut add = |parts: &[&str]| arguments.extend(parts.iter().map(OsString::from));
        add(&["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"]);
        add(&["--include-partial-messages", "--no-session-persistence"]);
        add(&["--setting-sources", "", "--strict-mcp-config", "--model", &profile.model]);
        add(&["--tools", &profile.tools.join(",")]);
        if profile.tools.is_empty() && profile.mcp.is_none() {
            add(&["--permission-mode", "dontAsk"]);
        } else {
            // What is not simply allowed is asked of the host. Files may be changed in the copy, and nowhere else.
            let mode = if writes(profile) { "acceptEdits" } else { "manual" };
            add(&["--permission-mode", mode, "--permission-prompt-tool", "stdio"]);
        }
        if let Some(budget) = config.most_usd {
            add(&["--max-budget-usd", &format!("{}", budget.dollars())]);
        }
        if let Some(mcp) = &profile.mcp {
            let file = self.folder.path().join("mcp.json");
            fs::write(&file, mcp)?;
            arguments.extend(["--mcp-config".into(), file.into()]);
        }
        let reads = !profile.tools.is_empty() && !writes(profile);
        if let Some(project) = config.project.as_ref().filter(|_| reads) {
            arguments.extend(["--add-dir".into(), project.clone().into()]);
        }
        Ok(arguments)
    }

    /// The program's environment.
    pub(super) fn environment(&self, config: &ClaudeConfig, profile: &Profile) -> Vec<(OsString, OsString)> {
        let passes = |name: &str| {
            let listed = PASSED.contains(&name) || PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
            listed && name != NEVER_PASSED
        };
        let mut environment: Vec<(OsString, OsString)> =
            config.env.iter().filter(|(name, _)| name.to_str().is_some_and(passes)).cloned().collect();
        let mut set = |name: &str, value: &OsStr| {
            environment.retain(|(other, _)| other != name);
            environment.push((name.into(), value.to_owned()));
        };
        for (name, value) in SET {
            set(name, value.as_ref());
        }
        set("CLAUDE_CODE_MAX_OUTPUT_TOKENS", profile.max_output_tokens.to_string().as_ref());
        set("TMPDIR", self.folder.path().join("tmp").as_os_str());
        if config.has_key() {
            // A key needs no login: nothing of the user's home is read or written.
            set("HOME", self.folder.path().join("home").as_os_str());
            set("CLAUDE_CONFIG_DIR", self.folder.path().join("home/.claude").as_os_str());
        }
        environment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(env: &[(&str, &str)]) -> ClaudeConfig {
        let env = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
        ClaudeConfig { env, ..ClaudeConfig::new("/bin/claude".into(), "/bin/convoke".into(), "/records".into()) }
    }

    fn value(environment: &[(OsString, OsString)], name: &str) -> Option<String> {
        let found = environment.iter().find(|(other, _)| other == name)?;
        found.1.to_str().map(str::to_owned)
    }

    fn words(arguments: &[OsString]) -> Vec<&str> {
        arguments.iter().filter_map(|argument| argument.to_str()).collect()
    }

    #[test]
    fn nothing_of_the_environment_passes_that_is_not_listed() {
        let slot = Slot::new().unwrap();
        let config = config(&[
            ("PATH", "/usr/bin"),
            ("HOME", "/home/me"),
            ("SECRET_TOKEN", "x"),
            ("NODE_OPTIONS", "--require evil"),
            ("LD_PRELOAD", "evil.so"),
            ("ANTHROPIC_LOG", "debug"),
            ("CLAUDE_CODE_MAX_RETRIES", "10"),
        ]);
        let environment = slot.environment(&config, &Profile { max_output_tokens: 77, ..Profile::default() });
        for gone in ["SECRET_TOKEN", "NODE_OPTIONS", "LD_PRELOAD", "ANTHROPIC_LOG", "CLAUDE_CONFIG_DIR"] {
            assert_eq!(value(&environment, gone), None, "{gone}");
        }
        assert_eq!(value(&environment, "HOME").as_deref(), Some("/home/me"), "the login is there");
        assert_eq!(value(&environment, "CLAUDE_CODE_MAX_RETRIES").as_deref(), Some("1"));
        assert_eq!(value(&environment, "CLAUDE_CODE_MAX_OUTPUT_TOKENS").as_deref(), Some("77"));
    }

    #[test]
    fn with_a_key_the_home_is_the_slots_own() {
        let slot = Slot::new().unwrap();
        let config = config(&[("HOME", "/home/me"), ("ANTHROPIC_API_KEY", "sk"), ("CLAUDE_CONFIG_DIR", "/home/me/c")]);
        let environment = slot.environment(&config, &Profile::default());
        for name in ["HOME", "CLAUDE_CONFIG_DIR", "TMPDIR"] {
            let value = value(&environment, name).unwrap();
            assert!(Path::new(&value).starts_with(slot.path()), "{name} is {value}");
        }
    }

    #[test]
    fn without_tools_there_are_none_and_nothing_of_a_project_is_named() {
        let slot = Slot::new().unwrap();
        let config = ClaudeConfig { project: Some("/project".into()), ..config(&[]) };
        let profile = Profile { model: "m".to_owned(), system: "secret words".to_owned(), ..Profile::default() };
        let arguments = slot.arguments(&config, &profile).unwrap();
        let words = words(&arguments).join("|");
        assert!(words.contains("--setting-sources||--strict-mcp-config"), "{words}");
        assert!(words.contains("--tools||--permission-mode|dontAsk"), "{words}");
        for never in ["/project", "bypassPermissions", "secret words", "--mcp-config"] {
            assert!(!words.contains(never), "{never}: {words}");
        }
    }

    #[test]
    fn a_granted_tool_sees_the_project_and_asks_the_host_for_more() {
        let slot = Slot::new().unwrap();
        let config = ClaudeConfig { project: Some("/project".into()), ..config(&[]) };
        let profile = Profile { tools: vec!["Read".into(), "Grep".into()], ..Profile::default() };
        let arguments = slot.arguments(&config, &profile).unwrap();
        let words = words(&arguments).join("|");
        assert!(words.contains("--tools|Read,Grep|--permission-mode|manual|--permission-prompt-tool|stdio"), "{words}");
        assert!(words.ends_with("--add-dir|/project"), "{words}");
    }

    #[test]
    fn a_tool_that_writes_works_in_its_copy_and_does_not_see_the_project() {
        let slot = Slot::new().unwrap();
        let config = ClaudeConfig { project: Some("/project".into()), ..config(&[]) };
        let profile = Profile { tools: vec!["Read".into(), "Edit".into()], ..Profile::default() };
        let arguments = slot.arguments(&config, &profile).unwrap();
        let words = words(&arguments).join("|");
        assert!(words.contains("--permission-mode|acceptEdits|") && !words.contains("/project"), "{words}");
    }

    #[test]
    fn the_folders_go_with_the_slot() {
        let slot = Slot::new().unwrap();
        let (path, work) = (slot.path().to_owned(), slot.work());
        assert_eq!(fs::read_dir(&work).unwrap().count(), 0);
        assert!(slot.record(Path::new("/records")).to_str().unwrap().starts_with("/records/convoke-"));
        drop(slot);
        assert!(!path.exists());
    }
}
