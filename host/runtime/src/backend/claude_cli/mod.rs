//! The `claude` program: warm processes that answer one question after the other.
//!
//! A process is started with a system text, a schema and tools, and these can't be changed: so processes are kept by
//! [`Profile`]. Between two questions it is told to forget, and used again only when it has said that it did. It trusts
//! nothing of a project: it works in an empty folder, without settings, hooks or servers that it would find by itself.
//! It doesn't repeat requests: its first failure is reported, with the server's wait, and the broker decides.
//!
//! The way of a question: [`slot`] makes folders, arguments and environment, [`process`] starts and ends it under a
//! [`warden`](crate::warden), [`message`] reads its lines, [`instance`] asks, [`failure`] says what went wrong.

mod failure;
mod instance;
mod message;
mod process;
mod scratch;
mod slot;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::TaskTracker;

use self::instance::Claude;
use super::{Backend, Instance, Profile, Request};
use crate::machine::Memory;
use crate::money::Usd;
use crate::question::{Failure, FailureKind};
use crate::warden;

/// How long the end of all processes is waited for. A warden needs a good second.
const LONGEST_END: Duration = Duration::from_secs(5);

/// What a process takes that the others don't share, in bytes: measured, with some to spare.
const INSTANCE_BYTES: u64 = 200 * 1024 * 1024;

/// What the program adds to a request in words of its own, in bytes: some 1 kB was seen without tools, some 50 kB with all
/// of them.
const OWN_BYTES: u64 = 16 * 1024;
const OWN_BYTES_WITH_TOOLS: u64 = 96 * 1024;

/// The tools that change files. They work in a copy of the project, and what they changed becomes edits.
const WRITING_TOOLS: [&str; 4] = ["Edit", "MultiEdit", "NotebookEdit", "Write"];

/// The tools that run what they like, in no copy and under no permission: they are not offered.
const SHELLS: [&str; 4] = ["Bash", "BashOutput", "KillShell", "PowerShell"];

/// Whether a process of that profile needs a copy of the project.
fn writes(profile: &Profile) -> bool {
    profile.tools.iter().any(|tool| WRITING_TOOLS.contains(&tool.as_str()))
}

/// How processes are started, used and ended.
#[derive(Clone, Debug)]
pub struct ClaudeConfig {
    /// The program.
    pub program: PathBuf,
    /// Our own binary, which becomes a warden.
    pub warden: PathBuf,
    /// Where the wardens' records are.
    pub records: PathBuf,
    /// The user's environment. Only what is known to be needed passes.
    pub env: Vec<(OsString, OsString)>,
    /// The project, which the reading tools may read, if they are granted.
    pub project: Option<PathBuf>,
    /// So many questions are asked of one process. It grows with each: by some 100 MiB in 500.
    pub questions: u32,
    /// So old a process becomes.
    pub age: Duration,
    /// The resident memory of the program, in MiB, above which it is not used again.
    pub worn_mib: u64,
    /// The memory of a process and all that it starts, in MiB, above which it is ended at once.
    pub memory_mib: u64,
    /// The CPU time of a process, in seconds. An idle one takes about 1 % of a core.
    pub cpu_s: u64,
    /// The longest time until a new process is ready.
    pub start: Duration,
    /// How often a process that says nothing is looked at, whether it was stopped by a signal: the design's heartbeat.
    pub heartbeat: Duration,
    /// The shortest time between two starts. The design's rate: 10 a second.
    pub between_starts: Duration,
    /// What one question may cost by the program's own count. It looks after a turn of the model, so that a question
    /// may exceed it by one turn.
    pub most_usd: Option<Usd>,
}

impl ClaudeConfig {
    /// With the design's numbers.
    pub fn new(program: PathBuf, warden: PathBuf, records: PathBuf) -> Self {
        Self {
            program,
            warden,
            records,
            env: Vec::new(),
            project: None,
            questions: 200,
            age: Duration::from_secs(30 * 60),
            worn_mib: 512,
            memory_mib: 2_048,
            cpu_s: 900,
            start: Duration::from_secs(20),
            heartbeat: Duration::from_secs(5),
            between_starts: Duration::from_millis(100),
            most_usd: None,
        }
    }

    /// Whether there is a key: then no login is needed, nor read.
    fn has_key(&self) -> bool {
        self.value("ANTHROPIC_API_KEY").is_some() || self.value("ANTHROPIC_AUTH_TOKEN").is_some()
    }

    fn value(&self, name: &str) -> Option<&OsString> {
        self.env.iter().find(|(other, value)| other == name && !value.is_empty()).map(|(_, value)| value)
    }

    /// Whose quota is used, without telling the credential.
    fn account(&self) -> String {
        let names = ["ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"];
        let home = ["CLAUDE_CONFIG_DIR", "HOME"].into_iter().filter(|_| !self.has_key());
        let mut digest = Sha256::new();
        for name in names.into_iter().chain(home) {
            digest.update(self.value(name).map_or(&[][..], |value| value.as_encoded_bytes()));
            digest.update([0]);
        }
        digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The backend `claude-cli`.
#[derive(Debug)]
pub struct ClaudeCli {
    config: Arc<ClaudeConfig>,
    account: String,
    /// The processes that are ending.
    ending: TaskTracker,
    next_start: Mutex<Option<Instant>>,
}

impl ClaudeCli {
    /// Ends what earlier hosts have left, and starts nothing yet.
    pub fn new(config: ClaudeConfig) -> Self {
        warden::reap(&config.records);
        Self {
            account: config.account(),
            config: Arc::new(config),
            ending: TaskTracker::new(),
            next_start: Mutex::default(),
        }
    }

    /// Waits for its turn among the starts.
    async fn turn(&self) {
        let when = {
            let mut next = self.next_start.lock().unwrap_or_else(PoisonError::into_inner);
            let when = next.unwrap_or_else(Instant::now).max(Instant::now());
            *next = Some(when + self.config.between_starts);
            when
        };
        sleep_until(when).await;
    }
}

impl Backend for ClaudeCli {
    fn name(&self) -> &'static str {
        "claude-cli"
    }

    fn starts_processes(&self) -> bool {
        true
    }

    fn account(&self) -> &str {
        &self.account
    }

    fn profile(&self, request: &Request) -> Profile {
        // A server is started for a question that was granted one of its tools, and for no other.
        let wants_servers = request.tools.iter().any(|tool| tool.starts_with("mcp__"));
        Profile { mcp: request.mcp.clone().filter(|_| wants_servers), ..request.profile() }
    }

    fn start<'a>(&'a self, profile: &'a Profile) -> BoxFuture<'a, Result<Box<dyn Instance>, Failure>> {
        async move {
            if let Some(tool) = profile.tools.iter().find(|tool| SHELLS.contains(&tool.as_str())) {
                let message = format!("the tool {tool} runs programs that nothing holds back, so it is not offered");
                return Err(Failure::new(FailureKind::Denied, message));
            }
            self.turn().await;
            let claude = Claude::start(self.config.clone(), profile, self.ending.clone()).await?;
            Ok(Box::new(claude) as Box<dyn Instance>)
        }
        .boxed()
    }

    fn input_bytes(&self, request: &Request) -> u64 {
        let own = if request.tools.is_empty() && request.mcp.is_none() { OWN_BYTES } else { OWN_BYTES_WITH_TOOLS };
        request.text_bytes() + own
    }

    fn is_subscription(&self) -> bool {
        !self.config.has_key()
    }

    fn is_short_of_memory(&self) -> bool {
        Memory::now().is_some_and(|memory| memory.is_short_for(INSTANCE_BYTES))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            self.ending.close();
            // Past it, the wardens go on without us.
            let _ = timeout(LONGEST_END, self.ending.wait()).await;
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Question;
    use crate::route::Route;

    #[test]
    fn the_users_servers_are_started_only_for_questions_with_one_of_their_tools() {
        let config = ClaudeConfig::new("/bin/claude".into(), "/bin/convoke".into(), "/nowhere/records".into());
        let backend = ClaudeCli::new(config);
        let mut route = Route::default();
        route.comprehensive.mcp = Some("{}".to_owned());
        let servers = |tool: &str| {
            let question = Question { tools: vec![tool.to_owned()], ..Question::default() };
            backend.profile(&route.request(&question)).mcp
        };
        assert_eq!((servers("Read"), servers("mcp__tickets__find")), (None, Some("{}".to_owned())));
    }
}
