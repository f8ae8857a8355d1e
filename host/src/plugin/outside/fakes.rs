//! What stands in place of programs and hosts, where a plugin is tested: what is granted is checked as ever, and then
//! nothing is run and nothing is sent.

use std::fmt;

use super::{Call, not_granted, wit, wit_http, wit_process};
use crate::plugin::capabilities::Capabilities;
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

/// Whether a grant has a program with what its arguments begin with.
fn may_run(granted: &Capabilities, program: &str, arguments: &[String]) -> bool {
    let begins = |words: &String| {
        let mut given = arguments.iter();
        words.split(' ').all(|word| given.next().is_some_and(|given| given == word))
    };
    let mut programs = granted.process.iter().filter(|one| one.program == program);
    programs.any(|one| one.subcommands.is_empty() || one.subcommands.iter().any(begins))
}

/// Whether a grant has the host of a URL with the method.
fn may_fetch(granted: &Capabilities, method: &str, url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = if scheme == "https" { authority.strip_suffix(":443").unwrap_or(authority) } else { authority };
    granted.http.iter().any(|site| {
        let is_method = match site.methods.as_slice() {
            [] => matches!(method, "GET" | "HEAD"),
            methods => methods.iter().any(|granted| granted == method),
        };
        is_method && site.host.strip_suffix(":443").unwrap_or(&site.host) == host
    })
}

impl Call {
    fn item(&self) -> Option<&str> {
        self.task.as_ref().map(|task| task.item.id.as_str())
    }

    /// What stands in place of a program gives.
    pub(super) fn run_fake(
        &self,
        fakes: &dyn Fakes,
        command: &wit_process::Command,
    ) -> Result<wit_process::Output, wit::Error> {
        let shown = printable(&command.program, 80);
        if !may_run(&self.outside.granted, &command.program, &command.arguments) {
            let hint = "grant it the program, with the subcommand";
            return Err(not_granted(format!("{} may not run {shown}", self.outside.plugin), hint));
        }
        let given = fakes.run(self.item(), &command.program, &command.arguments);
        let Ran { status, stdout, stderr } = self.given(given, &format!("running {shown}"))?;
        Ok(wit_process::Output { status, stdout, stderr, extra: Vec::new() })
    }

    /// What stands in place of a host gives.
    pub(super) fn fetch_fake(
        &self,
        fakes: &dyn Fakes,
        request: &wit_http::Request,
    ) -> Result<wit_http::Response, wit::Error> {
        let shown = printable(&format!("{} {}", request.method, request.url), 300);
        if !may_fetch(&self.outside.granted, &request.method, &request.url) {
            let hint = "grant it the host, with the method";
            return Err(not_granted(format!("{} may not send {shown}", self.outside.plugin), hint));
        }
        let given = fakes.fetch(self.item(), &request.method, &request.url);
        let Fetched { status, headers, body } = self.given(given, &shown)?;
        Ok(wit_http::Response { status, headers, body, extra: Vec::new() })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::capabilities::{Program, Site};

    fn words(words: &str) -> Vec<String> {
        words.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_program_is_granted_with_what_its_arguments_begin_with() {
        let program = |program: &str, subcommands: &[&str]| Program {
            program: program.to_owned(),
            subcommands: subcommands.iter().map(|&one| one.to_owned()).collect(),
        };
        let process = vec![program("git", &["diff", "stash list"]), program("ls", &[])];
        let granted = Capabilities { process, ..Capabilities::default() };
        for (program, arguments) in [("git", "diff --stat"), ("git", "stash list"), ("ls", "-l")] {
            assert!(may_run(&granted, program, &words(arguments)), "{program} {arguments}");
        }
        for (program, arguments) in [("git", "push"), ("git", "stash pop"), ("git", "-c diff"), ("cat", "x")] {
            assert!(!may_run(&granted, program, &words(arguments)), "{program} {arguments}");
        }
    }

    #[test]
    fn a_host_is_granted_with_its_port_and_method() {
        let site = |host: &str, methods: &[&str]| Site {
            host: host.to_owned(),
            methods: methods.iter().map(|&one| one.to_owned()).collect(),
        };
        let http = vec![site("a.org", &[]), site("localhost:8080", &["POST"])];
        let granted = Capabilities { http, ..Capabilities::default() };
        for (method, url) in
            [("GET", "https://a.org/x"), ("HEAD", "https://a.org:443"), ("POST", "http://localhost:8080/?x")]
        {
            assert!(may_fetch(&granted, method, url), "{method} {url}");
        }
        for (method, url) in [
            ("POST", "https://a.org/x"),
            ("GET", "https://a.org:8443/"),
            ("GET", "https://b.org/a.org"),
            ("GET", "https://a.org@b.org/"),
            ("GET", "a.org"),
            ("GET", "http://localhost:8080/"),
        ] {
            assert!(!may_fetch(&granted, method, url), "{method} {url}");
        }
    }
}
