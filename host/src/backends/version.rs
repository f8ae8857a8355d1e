//! Which version a `claude` program has: it is asked, and what it said is remembered for as long as it is the same file.
//!
//! Starting it takes a good part of a second, which a run with nothing left to ask should not wait for.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use semver::Version;
use serde::{Deserialize, Serialize};

use super::claude::ClaudeError;
use crate::config::files::{read_text, write_atomic};
use crate::report::clean;

/// So long may it take to say its version: starting it cold from a slow disk takes seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// So much of what it says is read, in bytes.
const LONGEST: u64 = 4_096;

/// So often a program that is just being written is tried again.
const BUSY_TRIES: u32 = 20;

/// So long it is remembered: what looks the same may be a script that starts another program.
const MEMORY: Duration = Duration::from_secs(24 * 3_600);

/// The file in the cache's folder.
const FILE: &str = "claude-version.json";

/// A file as it was when it was asked. Times in nanoseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    program: PathBuf,
    bytes: u64,
    changed: u64,
    asked: u64,
    version: String,
}

/// The version of a program; remembered in `cache`, if that is given.
///
/// # Errors
///
/// [`ClaudeError::Broken`].
pub(super) fn of(program: &Path, cache: Option<&Path>) -> Result<Version, ClaudeError> {
    let file = cache.map(|folder| folder.join(FILE));
    let now = nanos(SystemTime::now());
    // What can't be looked at or remembered is asked.
    let facts = std::fs::canonicalize(program).and_then(|real| Ok((std::fs::metadata(&real)?, real)));
    let facts = facts.and_then(|(file, real)| Ok((real, file.len(), nanos(file.modified()?)))).ok();
    let known = file.as_deref().and_then(|file| serde_json::from_str::<Seen>(&read_text(file, LONGEST).ok()?).ok());
    if let (Some(known), Some((real, bytes, changed))) = (known, &facts) {
        let same = (&known.program, known.bytes, known.changed) == (real, *bytes, *changed);
        let fresh = now.checked_sub(known.asked).is_some_and(|age| u128::from(age) < MEMORY.as_nanos());
        if same
            && fresh
            && let Ok(version) = Version::parse(&known.version)
        {
            return Ok(version);
        }
    }
    let version = asked(program, PATIENCE)?;
    if let (Some(file), Some((real, bytes, changed))) = (file, facts) {
        let seen = Seen { program: real, bytes, changed, asked: now, version: version.to_string() };
        // Without a cache it only takes longer.
        let _ = serde_json::to_vec(&seen).map(|json| write_atomic(&file, &json, Some(0o600)));
    }
    Ok(version)
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Runs it with `--version`: `2.1.329 (Claude Code)`.
fn asked(program: &Path, patience: Duration) -> Result<Version, ClaudeError> {
    let broken = |problem: String| ClaudeError::Broken { path: program.to_owned(), problem };
    let mut child = start(program).map_err(|error| broken(error.to_string()))?;
    let (sender, receiver) = mpsc::channel();
    let stdout = child.stdout.take();
    std::thread::spawn(move || {
        let mut said = Vec::new();
        // What could be read counts.
        let _ = stdout.map(|stdout| stdout.take(LONGEST).read_to_end(&mut said));
        // Nobody may be waiting any more.
        let _ = sender.send(said);
    });
    let said = receiver.recv_timeout(patience);
    // It has said all that it was asked for, or too much, or nothing in time.
    let _ = child.kill();
    let _ = child.wait();
    let said = said.map_err(|_| broken(format!("it did not tell its version within {} s", patience.as_secs())))?;
    let said = String::from_utf8_lossy(&said);
    let version = said.split_whitespace().next().and_then(|word| Version::parse(word).ok());
    version.ok_or_else(|| match clean::line(&clean::bounded(&said, 80)) {
        said if said.is_empty() => broken("asked for its version, it said nothing".to_owned()),
        said => broken(format!("asked for its version, it said: {said}")),
    })
}

fn start(program: &Path) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // Not in the project, where it might read settings.
    if let Some(folder) = program.parent() {
        command.current_dir(folder);
    }
    let mut tries = 0;
    loop {
        match command.spawn() {
            // It is being updated at this moment.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(25));
            }
            started => return started,
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A program that counts how often it is run.
    fn program(folder: &Path, version: &str) -> PathBuf {
        let path = folder.join("claude");
        fs::write(&path, format!("#!/bin/sh\necho x >> \"$0.runs\"\necho {version}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_same_file_is_asked_once_and_another_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let runs = || fs::read_to_string(folder.path().join("claude.runs")).unwrap().lines().count();
        let path = program(folder.path(), "2.1.329");
        for _ in 0..3 {
            assert_eq!(of(&path, Some(&cache)).unwrap(), Version::new(2, 1, 329));
        }
        assert_eq!(runs(), 1);
        program(folder.path(), "2.1.3290");
        assert_eq!((of(&path, Some(&cache)).unwrap(), runs()), (Version::new(2, 1, 3290), 2));
        of(&path, None).unwrap();
        assert_eq!(runs(), 3, "without a cache it is asked each time");
        let file = cache.join(FILE);
        let mut seen: Seen = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        seen.asked -= u64::try_from(MEMORY.as_nanos()).unwrap();
        fs::write(&file, serde_json::to_vec(&seen).unwrap()).unwrap();
        of(&path, Some(&cache)).unwrap();
        assert_eq!(runs(), 4, "a day later");
        fs::write(&file, "garbage").unwrap();
        assert_eq!((of(&path, Some(&cache)).unwrap(), runs()), (Version::new(2, 1, 3290), 5));
    }

    #[test]
    fn one_that_never_answers_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("claude");
        fs::write(&path, "#!/bin/sh\nexec sleep 600\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let error = asked(&path, Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("within 0 s"), "{error}");
    }
}
