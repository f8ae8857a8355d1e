//! A user and a project of a run's own, and the hosts started there.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::mounts;
use crate::scenario;

/// A key as a user has it.
const KEY: &str = "sk-ant-api03-faultsKeyThatNobodyMaySee-0123456789";

/// The repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host/ has a parent")
}

/// Where what outlives a run is kept: compiled components, and the folders of runs that failed.
pub(crate) fn kept() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults")
}

/// A user with nothing but a project.
pub(crate) struct World {
    folder: TempDir,
    mounted: Vec<PathBuf>,
}

impl World {
    /// An empty project.
    pub(crate) fn new() -> Self {
        let world =
            Self { folder: tempfile::Builder::new().prefix("faults-").tempdir().expect("a folder"), mounted: vec![] };
        for folder in ["project", "config", "data", "home", "cache", "bin", "out"] {
            fs::create_dir(world.path(folder)).expect("a folder");
        }
        fs::create_dir_all(kept().join("components")).expect("a folder");
        std::os::unix::fs::symlink(kept().join("components"), world.path("cache/components")).expect("a link");
        world
    }

    /// A path of this user.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Its folder.
    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a written file");
    }

    /// Writes a program.
    pub(crate) fn program(&self, path: &str, text: &str) {
        self.write(path, text);
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).expect("executable");
    }

    /// Gives the data folder a disk of its own.
    pub(crate) fn mount_data(&mut self) {
        let data = self.path("data");
        mounts::disk(&data);
        self.mounted.push(data);
    }

    /// Starts convoke in the project.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, name: &str, arguments: &[S], environment: &[(&str, String)]) -> Host {
        let (out, err) = (self.path(&format!("out/{name}.json")), self.path(&format!("out/{name}.txt")));
        let file = |path: &Path| Stdio::from(fs::File::create(path).expect("a file"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut paths = vec![self.path("bin")];
        paths.extend(std::env::split_paths(&path));
        let mut command = Command::new(env!("CARGO_BIN_EXE_convoke"));
        command.args(arguments).current_dir(self.path("project")).env_clear();
        command.env("PATH", std::env::join_paths(paths).expect("paths")).env("LANG", "C.UTF-8");
        command.env("HOME", self.path("home")).env("ANTHROPIC_API_KEY", KEY);
        command.env("CONVOKE_CONFIG_DIR", self.path("config")).env("CONVOKE_DATA_DIR", self.path("data"));
        command.env("CONVOKE_CACHE_DIR", self.path("cache"));
        command.env("GIT_CONFIG_GLOBAL", self.path("home/gitconfig")).env("GIT_CONFIG_SYSTEM", self.path("home/none"));
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&err)).kill_on_drop(true);
        Host { child: command.spawn().expect("convoke starts"), out, err, ended: None }
    }

    /// Keeps what there is, for somebody to look at.
    pub(crate) fn keep(&self, name: &str) -> PathBuf {
        let folder = kept().join(name);
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).expect("a folder");
        let copied = std::process::Command::new("cp").arg("-a").arg(self.folder.path()).arg(&folder).output();
        assert!(copied.expect("cp").status.success(), "it could not be kept");
        folder
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for place in &self.mounted {
            mounts::unmount(place);
        }
    }
}

/// A host that was started.
pub(crate) struct Host {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    ended: Option<End>,
}

/// How a host ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Code(i32),
    Signal(i32),
}

impl Host {
    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<End> {
        if self.ended.is_none() {
            let status = self.child.try_wait().expect("its status")?;
            self.ended = Some(match status.code() {
                Some(code) => End::Code(code),
                None => End::Signal(status.signal().unwrap_or_default()),
            });
        }
        self.ended
    }

    /// Sends it a signal, if it still runs.
    pub(crate) fn signal(&mut self, signal: Signal) -> bool {
        if self.ended().is_some() {
            return false;
        }
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        pid.is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok())
    }

    /// What it has said on standard output.
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap_or_default()).into_owned()
    }

    /// What it has said on standard error.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.err).unwrap_or_default()).into_owned()
    }
}

/// The mark of an item, in its name and in its questions.
pub(crate) fn mark(number: usize) -> String {
    format!("mark-{number:03}")
}

/// The first mark of a text.
pub(crate) fn mark_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("mark-")?;
    let digits = rest.get(..3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some(format!("mark-{digits}"))
}

/// A project of agents, without fault.
pub(crate) fn agents(world: &World, count: usize) {
    for number in 0..count {
        // Each says something else: copies would be found.
        let body: String = (0..60).map(|word| format!("step{} of{} ", number * 1_000 + word, number)).collect();
        let name = mark(number);
        let text = format!(
            "---\nname: {name}\ndescription: Does task {number}. Use when task {number} is to be done.\ntools: Read, Grep\nmodel: sonnet\n---\n\nYou do task {number}, and say when it is done.\n\n{body}\n"
        );
        world.write(&format!("project/.claude/agents/team{}/{name}.md", number % 4), text);
    }
}

/// The program in place of `claude`: it answers after a while, and writes down what it was asked.
pub(crate) fn claude(world: &World, command: scenario::Command, latency_ms: u64) -> PathBuf {
    let structured = match command {
        scenario::Command::Audit => r#","structured_output":{"findings":[]}"#,
        scenario::Command::Editing => "",
    };
    let log = world.path("claude");
    fs::create_dir_all(&log).expect("a folder");
    let text = format!(
        r#"#!/bin/sh
[ "$1" = --version ] && echo '2.1.329 (Claude Code)' && exit
LOG='{log}'
: > "$LOG/$$.pid"
say() {{ printf '%s\n' "$1"; }}
event() {{ say '{{"type":"stream_event","parent_tool_use_id":null,"event":'"$1"'}}'; }}
read -r line
say '{{"type":"control_response","response":{{"subtype":"success","request_id":"initialize","response":{{}}}}}}'
while read -r line; do
    case "$line" in
        *'"/clear"'*)
            say '{{"type":"conversation_reset","trigger":"clear"}}'
            say '{{"type":"result","subtype":"success","is_error":false,"result":"","num_turns":0,"usage":{{"input_tokens":10,"output_tokens":2}}}}' ;;
        *interrupt*)
            say '{{"type":"result","subtype":"error_during_execution","is_error":true,"num_turns":1,"usage":{{}}}}' ;;
        *)
            printf '%s\n' "$line" >> "$LOG/$$.asked"
            say '{{"type":"system","subtype":"init","tools":[],"mcp_servers":[],"permissionMode":"dontAsk"}}'
            event '{{"type":"message_start","message":{{"model":"claude-haiku-5-5","usage":{{"input_tokens":10,"output_tokens":1}}}}}}'
            sleep {seconds}
            event '{{"type":"content_block_start","index":0,"content_block":{{"type":"text","text":""}}}}'
            event '{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"well"}}}}'
            event '{{"type":"message_delta","delta":{{"stop_reason":"end_turn"}},"usage":{{"output_tokens":2}}}}'
            say '{{"type":"result","subtype":"success","is_error":false,"result":"well","num_turns":1{structured},"usage":{{"input_tokens":10,"output_tokens":2}}}}'
            echo ANSWERED >> "$LOG/$$.asked" ;;
    esac
done
"#,
        log = log.display(),
        seconds = latency_ms as f64 / 1_000.0,
    );
    world.program("claude/claude", &text);
    world.path("claude/claude")
}
