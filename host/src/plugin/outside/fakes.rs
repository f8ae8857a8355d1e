//! What stands in place of programs and hosts, where a plugin is tested: what is granted is checked as ever, and then
//! nothing is run and nothing is sent.

use std::fmt;

use super::{Call, wit, wit_process};
use crate::plugin::printable;

/// What a program gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// The exit code.
    pub status: i32,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

/// What a host gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Stands in place of programs and hosts.
pub trait Fakes: Send + Sync + fmt::Debug {
    /// What a program gives, or why it can't be run; none: nobody has said it. `item`: in whose name, else for the plan.
    fn run(&self, item: Option<&str>, program: &str, arguments: &[String]) -> Option<Result<Ran, String>>;

    /// What a host gives, or why there is no answer; none: nobody has said it.
    fn fetch(&self, item: Option<&str>, method: &str, url: &str) -> Option<Result<Fetched, String>>;
}

impl Call {
    /// What stands in place of a program gives.
    pub(super) fn run_fake(
        &self,
        fakes: &dyn Fakes,
        command: &wit_process::Command,
    ) -> Result<wit_process::Output, wit::Error> {
        let given = fakes.run(self.item(), &command.program, &command.arguments);
        let shown = format!("running {}", printable(&command.program, 80));
        let Ran { status, stdout, stderr } = self.given(given, &shown)?;
        Ok(wit_process::Output { status, stdout, stderr, extra: Vec::new() })
    }

    /// What stands in place of a host gives.
    pub(super) fn fetch_fake(&self, fakes: &dyn Fakes, method: &str, url: &str) -> Result<Fetched, wit::Error> {
        let given = fakes.fetch(self.item(), method, url);
        self.given(given, &printable(&format!("{method} {url}"), 300))
    }

    /// What was said of a call. Where nobody has said anything the item fails, whatever its plugin makes of it.
    fn given<T>(&self, given: Option<Result<T, String>>, shown: &str) -> Result<T, wit::Error> {
        match given {
            Some(given) => given.map_err(|message| wit::Error { message, hint: None }),
            None => {
                let message = format!("nobody has said what {shown} gives");
                if let Some(task) = &self.task {
                    task.recorder.miss(message.clone());
                }
                Err(wit::Error { message, hint: None })
            }
        }
    }
}
