//! Programs that a command runs to look at something: `task.run(&Process::new("git").args(["diff", "--stat"]))`.

use crate::bindings::convoke::plugin::process::{self, Command, Output};
use crate::bindings::convoke::plugin::worker;
use crate::call::utf8;
use crate::{Error, Result};

/// A program with its arguments, to be run by [`Task::run`](crate::Task::run) or [`Call::run`](crate::Call::run).
///
/// It only looks: what changes the world is an [`Action`](crate::Action), which the user sees before it is done. The user
/// grants each program by name and leading subcommand, as `plugin.toml` asks for them:
///
/// ```toml
/// [[capabilities.process]]
/// program = "git"
/// subcommands = ["diff", "log"]
/// ```
///
/// The program is a name in the user's `PATH`, no path, and none that runs others, like `sh` or `env`. There is no shell:
/// arguments arrive as they are. The subcommand comes first, before all options. The program sees a few variables of the
/// user's environment (`PATH`, `HOME`, the language, the time zone) and no credential among them, is started in the project's
/// folder, and may take and print as much as the user's settings allow.
///
/// ```
/// # use convoke_sdk::prelude::*;
/// /// The files that the last commit changed.
/// async fn changed(task: &Task) -> Result<Vec<String>> {
///     let git = Process::new("git").args(["diff", "--name-only", "-z", "HEAD~1", "HEAD"]);
///     let names = task.run(&git).await?.checked()?.text()?;
///     Ok(names.split_terminator('\0').map(str::to_owned).collect())
/// }
/// ```
#[derive(Clone)]
pub struct Process {
    raw: Command,
    lifetime: Option<u64>,
}

impl Process {
    /// A program, by its name.
    pub fn new(program: impl Into<String>) -> Self {
        let (arguments, folder, input) = Default::default();
        Self { raw: Command { program: program.into(), arguments, folder, input, extra: Vec::new() }, lifetime: None }
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.raw.arguments.push(argument.into());
        self
    }

    /// More arguments.
    pub fn args<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.raw.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// A folder of the project where it is started; else the project's own.
    pub fn folder(mut self, folder: impl Into<String>) -> Self {
        self.raw.folder = folder.into();
        self
    }

    /// What it reads on its standard input; else nothing.
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.raw.input = input.into();
        self
    }

    /// For how many seconds its output is good: so long a later run may use the item's result instead of doing the item
    /// again. The shortest of an item counts.
    pub fn lifetime(mut self, seconds: u64) -> Self {
        self.lifetime = Some(seconds);
        self
    }

    /// For how long its output is good.
    pub(crate) fn lifetime_s(&self) -> Option<u64> {
        self.lifetime
    }

    pub(crate) async fn run(&self, task: Option<&worker::Task>) -> Result<Output> {
        process::run(task, self.raw.clone()).await
    }
}

impl Output {
    /// Whether the exit code is 0.
    pub fn is_success(&self) -> bool {
        self.status == 0
    }

    /// The same, where the exit code is 0.
    ///
    /// # Errors
    /// It is another one; with the first line of what it says on stderr.
    pub fn checked(self) -> Result<Self> {
        if self.is_success() {
            return Ok(self);
        }
        let said = String::from_utf8_lossy(&self.stderr);
        let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing of it");
        Err(Error::new(format!("the program ended with code {}: {first}", self.status)))
    }

    /// What it printed.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(self) -> Result<String> {
        utf8("what the program printed", self.stdout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(status: i32, stdout: &[u8], stderr: &str) -> Output {
        Output { status, stdout: stdout.to_vec(), stderr: stderr.as_bytes().to_vec(), extra: Vec::new() }
    }

    #[test]
    fn a_program_is_what_the_host_gets() {
        let process = Process::new("git").arg("diff").args(["--stat", "a b"]).folder("docs").input("so").raw;
        assert_eq!((process.program.as_str(), process.folder.as_str()), ("git", "docs"));
        assert_eq!(
            (process.arguments.as_slice(), process.input.as_slice()),
            (["diff", "--stat", "a b"].map(String::from).as_slice(), b"so".as_slice())
        );
    }

    #[test]
    fn a_code_that_is_not_zero_is_an_answer_until_it_is_checked() {
        assert_eq!(output(0, b"one\n", "").checked().unwrap().text().unwrap(), "one\n");
        let error = output(3, b"", "\nfatal: no\nmore").checked().unwrap_err();
        assert_eq!(error.message, "the program ended with code 3: fatal: no");
        assert!(output(0, b"a\xff", "").text().unwrap_err().message.contains("not UTF-8"));
    }
}
