//! A project, a user and a stand-in of one's own for each test, and the binary run in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use convoke_standin::{Fault, FaultRule, Standin, When};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// Longer than anything here takes, also on a machine with much else to do. What takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(180);

/// A key as a user has it. It must not be seen anywhere.
pub(crate) const KEY: &str = "sk-ant-api03-e2eKeyThatNobodyMaySee-0123456789";

/// The repository.
pub(crate) fn repository() -> &'static Path {
    static ROOT: LazyLock<PathBuf> =
        LazyLock::new(|| Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host/ has a parent").to_owned());
    &ROOT
}

/// The component that does what no plugin should.
pub(crate) fn hostile() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| {
        repository().join("tests/prebuilt/hostile.wasm").to_str().expect("a path in UTF-8").to_owned()
    });
    &PATH
}

/// The component whose items each ask a question.
pub(crate) fn flood() -> &'static str {
    static PATH: LazyLock<String> =
        LazyLock::new(|| repository().join("tests/prebuilt/flood.wasm").to_str().expect("a path in UTF-8").to_owned());
    &PATH
}

/// The component that proposes the edits and actions that a file of the project tells it to.
pub(crate) fn editing() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| {
        repository().join("tests/prebuilt/editing.wasm").to_str().expect("a path in UTF-8").to_owned()
    });
    &PATH
}

/// The component that runs the programs that a file of the project tells it to, granted or not.
pub(crate) fn outside_process() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| {
        repository().join("tests/prebuilt/outside-process.wasm").to_str().expect("a path in UTF-8").to_owned()
    });
    &PATH
}

/// The component that tries to get out of the sandbox.
pub(crate) fn attack() -> &'static str {
    static PATH: LazyLock<String> =
        LazyLock::new(|| repository().join("tests/prebuilt/attack.wasm").to_str().expect("a path in UTF-8").to_owned());
    &PATH
}

/// The component that asks for every capability.
pub(crate) fn asking() -> &'static str {
    static PATH: LazyLock<String> =
        LazyLock::new(|| repository().join("tests/prebuilt/asking.wasm").to_str().expect("a path in UTF-8").to_owned());
    &PATH
}

/// Compiled components, shared by all tests: to compile one for each would take longer than the tests.
fn components() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e-cache").join("components")
}

/// A user with nothing but a project.
pub(crate) struct World {
    folder: TempDir,
}

impl World {
    /// An empty project, and no configuration.
    pub(crate) fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        for folder in ["project", "config", "data", "home", "cache"] {
            fs::create_dir(world.folder.path().join(folder)).expect("a folder");
        }
        fs::create_dir_all(components()).expect("a folder");
        std::os::unix::fs::symlink(components(), world.path("cache/components")).expect("a link");
        world
    }

    /// A project with the example's agents.
    pub(crate) fn with_example() -> Self {
        let world = Self::new();
        copy(&repository().join("examples/agents"), &world.project());
        world
    }

    /// A project with so many agents, all well.
    pub(crate) fn with_agents(count: usize) -> Self {
        let world = Self::new();
        for number in 1..=count {
            world.write(&agent_path(number), agent(number));
        }
        world
    }

    /// The project's folder.
    pub(crate) fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// Any other path of this user.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.project().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a written file");
    }

    /// Writes the user's own `config.toml`.
    pub(crate) fn config(self, text: &str) -> Self {
        fs::write(self.path("config/config.toml"), text).expect("a written file");
        self
    }

    /// All that is kept of this user's runs, as bytes.
    pub(crate) fn kept(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for folder in ["data", "config", "home", "project", "cache"] {
            gather(&self.path(folder), &mut bytes);
        }
        bytes
    }

    /// A call of convoke in the project.
    pub(crate) fn convoke<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Call {
        self.call(Command::new(env!("CARGO_BIN_EXE_convoke")), arguments)
    }

    /// The same, and no file that it writes can become larger than so many bytes: what does not fit fails, as on a full
    /// disk.
    pub(crate) fn audit_within<'a>(&self, bytes: u64, arguments: impl IntoIterator<Item = &'a str>) -> Call {
        let mut command = Command::new("sh");
        // A shell counts in blocks of 512 bytes.
        let limited = "trap '' XFSZ && ulimit -f \"$0\" && exec \"$@\"";
        command.args(["-c", limited, &(bytes / 512).to_string(), env!("CARGO_BIN_EXE_convoke")]);
        self.call(command, ["agent-audit", "--format", "json"].into_iter().chain(arguments))
    }

    fn call<'a>(&self, mut command: Command, arguments: impl IntoIterator<Item = &'a str>) -> Call {
        command.args(arguments).current_dir(self.project()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LANG", "C.UTF-8");
        command.env("HOME", self.path("home"));
        command.env("CONVOKE_CONFIG_DIR", self.path("config")).env("CONVOKE_DATA_DIR", self.path("data"));
        command.env("CONVOKE_CACHE_DIR", self.path("cache"));
        // No git configuration of the machine.
        command.env("GIT_CONFIG_GLOBAL", self.path("home/gitconfig")).env("GIT_CONFIG_SYSTEM", self.path("home/none"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Call { command }
    }

    /// A call of `agent-audit` that reports in JSON.
    pub(crate) fn audit<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Call {
        self.convoke(["agent-audit", "--format", "json"].into_iter().chain(arguments))
    }

    /// Runs the hostile plugin offline, and gives its report.
    pub(crate) async fn hostile<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Report {
        self.convoke([hostile(), "--format", "json"].into_iter().chain(arguments)).run().await.report()
    }
}

/// The path of an agent of [`World::with_agents`].
pub(crate) fn agent_path(number: usize) -> String {
    format!(".claude/agents/team{}/agent-{number}.md", number % 4)
}

/// An agent without fault.
pub(crate) fn agent(number: usize) -> String {
    // Each says something else: copies would be found.
    let body: String = (0..60).map(|word| format!("step{} of{} ", number * 1_000 + word, number)).collect();
    format!(
        "---\nname: agent-{number}\ndescription: Does task {number}. Use when task {number} is to be done.\ntools: Read, Grep\nmodel: sonnet\n---\n\nYou do task {number}, and say when it is done.\n\n{body}\n"
    )
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a kind").is_dir() {
            fs::create_dir_all(&target).expect("a folder");
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

fn gather(folder: &Path, bytes: &mut Vec<u8>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        if entry.file_type().expect("a kind").is_dir() {
            gather(&entry.path(), bytes);
        } else if entry.file_type().expect("a kind").is_file() {
            bytes.extend(fs::read(entry.path()).unwrap_or_default());
        }
    }
}

/// A call that is put together.
pub(crate) struct Call {
    command: Command,
}

impl Call {
    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it in another folder.
    pub(crate) fn within(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Starts it by a shell's script, in which `"$@"` is the call.
    pub(crate) fn through(self, script: &str) -> Self {
        let call = self.command.as_std();
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(call.get_program()).args(call.get_args()).env_clear();
        command.envs(call.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(call.get_current_dir().expect("the project"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Self { command }
    }

    /// On a terminal of its own, of which standard output is what came onto it. The process writes its number to that file.
    pub(crate) fn on_a_terminal(self, number: &Path) -> Self {
        self.with_a_terminal(&format!("echo $$ > '{}'", number.display()))
    }

    /// The same on one of so many rows and columns.
    pub(crate) fn on_a_terminal_of(self, rows: usize, columns: usize) -> Self {
        self.with_a_terminal(&format!("stty rows {rows} columns {columns}"))
    }

    /// On a terminal, after something was done there.
    fn with_a_terminal(self, first: &str) -> Self {
        let call = self.command.as_std();
        let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().expect("UTF-8").replace('\'', r"'\''"));
        let words: Vec<String> = std::iter::once(call.get_program()).chain(call.get_args()).map(quoted).collect();
        let line = format!("{first}; exec {}", words.join(" "));
        let mut command = Command::new("script");
        command.args(["--quiet", "--flush", "--return", "--command", &line, "/dev/null"]).env_clear();
        for (name, value) in call.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.env("TERM", "xterm").env("SHELL", "/bin/sh");
        command.current_dir(call.get_current_dir().expect("a folder"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Self { command }
    }

    /// Asks a stand-in, with [`KEY`].
    pub(crate) fn asking(self, standin: &Standin) -> Self {
        self.env("ANTHROPIC_BASE_URL", standin.url()).env("ANTHROPIC_API_KEY", KEY)
    }

    /// Runs it to its end.
    pub(crate) async fn run(self) -> Done {
        self.start().await.end().await
    }

    /// The same, where a compiler compiles from nothing.
    pub(crate) async fn compile(self) -> Done {
        self.start().await.end_within(Duration::from_secs(900)).await
    }

    /// Starts it.
    pub(crate) async fn start(mut self) -> Running {
        warm().await;
        let mut child = self.command.spawn().expect("convoke starts");
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        Running { stdout: Drained::begin(stdout), stderr: Drained::begin(stderr), child }
    }
}

/// What a stream has brought so far, and its end.
struct Drained {
    so_far: Arc<Mutex<Vec<u8>>>,
    end: JoinHandle<()>,
}

impl Drained {
    fn begin(mut stream: impl AsyncReadExt + Unpin + Send + 'static) -> Self {
        let so_far = Arc::new(Mutex::new(Vec::new()));
        let bytes = so_far.clone();
        let end = tokio::spawn(async move {
            let mut buffer = [0; 8_192];
            loop {
                let count = stream.read(&mut buffer).await.expect("a readable stream");
                if count == 0 {
                    return;
                }
                bytes.lock().expect("nobody panicked").extend(&buffer[..count]);
            }
        });
        Self { so_far, end }
    }

    async fn text(self) -> String {
        timeout(DEADLINE, self.end).await.expect("it stays open").expect("it was read");
        let bytes = std::mem::take(&mut *self.so_far.lock().expect("nobody panicked"));
        String::from_utf8(bytes).expect("UTF-8")
    }
}

/// Compiles the components once, so that tests that start together don't all do it.
async fn warm() {
    static WARM: OnceCell<()> = OnceCell::const_new();
    WARM.get_or_init(|| async {
        let world = World::with_agents(1);
        world.write("items.json", r#"{"items":[]}"#);
        world.write("Cargo.toml", "[package]\nname = \"warm\"\nversion = \"0.1.0\"\n");
        for command in [&["agent-audit"][..], &["deps", "check"], &[hostile()], &[flood()], &[editing()]] {
            let mut call = world.convoke(command.iter().copied().chain(["--dry-run"]));
            let output = timeout(DEADLINE, call.command.output()).await.expect("in time").expect("convoke starts");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    })
    .await;
}

/// A call under way.
pub(crate) struct Running {
    child: Child,
    stdout: Drained,
    stderr: Drained,
}

impl Running {
    /// SIGTERM, as a service manager sends it.
    pub(crate) fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// SIGHUP, as a terminal sends it that is closed.
    pub(crate) fn hang_up(&self) {
        self.signal(rustix::process::Signal::HUP);
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        self.signal(rustix::process::Signal::INT);
    }

    /// `kill -9`.
    pub(crate) fn kill(&self) {
        self.signal(rustix::process::Signal::KILL);
    }

    /// Waits until it has said something on standard error.
    pub(crate) async fn has_said(&self, text: &str) {
        let so_far = self.stderr.so_far.clone();
        until(text, || holds(&so_far.lock().expect("nobody panicked"), text)).await;
    }

    /// What it has said on standard error.
    pub(crate) fn stderr_so_far(&self) -> String {
        String::from_utf8_lossy(&self.stderr.so_far.lock().expect("nobody panicked")).into_owned()
    }

    /// What it has written to standard output.
    pub(crate) fn stdout_so_far(&self) -> String {
        String::from_utf8_lossy(&self.stdout.so_far.lock().expect("nobody panicked")).into_owned()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = self.child.id().expect("it runs");
        let pid = rustix::process::Pid::from_raw(i32::try_from(id).expect("a pid")).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("a signal");
    }

    /// Waits for its end.
    pub(crate) async fn end(self) -> Done {
        self.end_within(DEADLINE).await
    }

    /// The same, for what takes longer than anything else: a compiler.
    pub(crate) async fn end_within(mut self, deadline: Duration) -> Done {
        let status = timeout(deadline, self.child.wait()).await.expect("it hangs").expect("its status");
        Done { code: status.code(), stdout: self.stdout.text().await, stderr: self.stderr.text().await }
    }
}

/// A call that has ended.
#[derive(Debug)]
pub(crate) struct Done {
    /// None: it was killed.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Checks that standard error has a text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not said:\n{}", self.stderr);
        self
    }

    /// Checks that there is no report.
    #[track_caller]
    pub(crate) fn reports_nothing(self) -> Self {
        assert_eq!(self.stdout, "");
        self
    }

    /// The JSON on standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.stdout);
        parsed.unwrap_or_else(|error| panic!("{error}: {}\nstderr:\n{}", self.stdout, self.stderr))
    }

    /// The JSON report on standard output, checked by all that holds of every report.
    #[track_caller]
    pub(crate) fn report(self) -> Report {
        let json = self.json();
        let report = Report { json, done: self };
        report.check();
        report
    }
}

/// A JSON report, and the call that gave it.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) json: Value,
    pub(crate) done: Done,
}

impl Report {
    /// What holds of every report: it fits its schema, the census adds up in the whole and by group, each failed item
    /// is explained, the exit code belongs to the status, and nothing in it moves a terminal's cursor.
    #[track_caller]
    fn check(&self) {
        let errors: Vec<String> =
            SCHEMA.iter_errors(&self.json).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        let sum = |census: &Value| -> u64 {
            let parts = census.as_object().expect("an object").iter().filter(|(name, _)| *name != "items");
            parts.map(|(_, count)| count.as_u64().expect("a count")).sum()
        };
        assert_eq!(sum(&self.json["census"]), self.count("items"), "{}", self.json["census"]);
        let groups = self.list("groups");
        assert!(groups.iter().all(|group| sum(&group["census"]) == group["items"].as_u64().expect("a count")));
        let in_groups: u64 = groups.iter().filter_map(|group| group["items"].as_u64()).sum();
        assert!(groups.is_empty() || in_groups == self.count("items"), "{groups:#?}");
        assert_eq!(self.list("failures").len() as u64, self.count("failed"));
        let expected: &[i32] = match self.status() {
            "completed" => &[0, 1],
            "degraded" => &[3],
            "failed" => &[4],
            "parked" => &[5],
            "interrupted" => &[130],
            other => panic!("the status {other}"),
        };
        let code = self.done.code.expect("an exit code");
        assert!(expected.contains(&code), "{} exits with {code}", self.status());
        assert!(!self.done.stdout.contains(['\u{1b}', '\u{7}', '\u{202e}']));
        assert!(!self.done.stderr.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{}", self.done.stderr);
    }

    /// `completed`, `degraded` and so on.
    pub(crate) fn status(&self) -> &str {
        self.json["status"].as_str().expect("a status")
    }

    /// A part of the census.
    #[track_caller]
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.json["census"][name].as_u64().unwrap_or_else(|| panic!("{name}: {}", self.json["census"]))
    }

    /// The census as `done 3, failed 1`: what is not zero.
    pub(crate) fn census(&self) -> String {
        let parts = ["done", "cached", "fallback", "failed", "skipped", "pending"];
        let shown: Vec<String> = parts
            .into_iter()
            .filter(|name| self.count(name) > 0)
            .map(|name| format!("{name} {}", self.count(name)))
            .collect();
        shown.join(", ")
    }

    /// A list at the top.
    #[track_caller]
    pub(crate) fn list(&self, name: &str) -> &[Value] {
        self.json[name].as_array().unwrap_or_else(|| panic!("{name} is no list"))
    }

    /// Why an item failed, and after how many attempts.
    #[track_caller]
    pub(crate) fn failure(&self, item: &str) -> (&str, u64) {
        let found = self.list("failures").iter().find(|failure| failure["item"] == item);
        let failure = found.unwrap_or_else(|| panic!("{item} did not fail: {:#}", self.json["failures"]));
        (failure["reason"].as_str().expect("a reason"), failure["attempts"].as_u64().expect("a count"))
    }

    /// What an item found, in words.
    pub(crate) fn messages(&self, item: &str) -> Vec<&str> {
        let findings = self.list("findings").iter().filter(|finding| finding["item"] == item);
        findings.filter_map(|finding| finding["message"].as_str()).collect()
    }

    /// `rule path` of all findings that are not suppressed, sorted.
    pub(crate) fn findings(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let open = self.list("findings").iter().filter(|finding| finding["suppressed"].is_null());
        let mut shown: Vec<String> =
            open.map(|finding| format!("{} {}", text(&finding["rule"]), text(&finding["path"]))).collect();
        shown.sort();
        shown
    }

    /// The warnings as one text.
    pub(crate) fn warnings(&self) -> String {
        self.list("warnings").iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// The published schema of the report, as the binary prints it.
static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_convoke"))
        .args(["schema", "report"])
        .output()
        .expect("convoke starts");
    let schema = serde_json::from_slice(&output.stdout).expect("a JSON schema");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("a good schema")
});

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    while !holds() {
        assert!(Instant::now() < deadline, "it never came to this: {what}");
        ticks.tick().await;
    }
}

/// A stand-in that behaves so.
pub(crate) async fn standin(config: convoke_standin::Config) -> Standin {
    Standin::start(config).await.expect("a free port")
}

/// One that answers at once and well.
pub(crate) async fn quick() -> Standin {
    standin(convoke_standin::Config::default()).await
}

/// One at which this goes wrong.
pub(crate) async fn faulty(rules: impl IntoIterator<Item = (When, Fault)>) -> Standin {
    let faults = rules.into_iter().map(|(when, fault)| FaultRule { when, fault }).collect();
    standin(convoke_standin::Config { faults, ..convoke_standin::Config::default() }).await
}

/// Whether bytes hold a text.
pub(crate) fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
