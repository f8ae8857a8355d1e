//! `process`: a plugin runs a program to look at something. What changes the world is an action.
//!
//! A call goes through these steps, and the first that says no is the answer:
//!
//! 1. its shape: a name of a program, arguments that can be given to one, not too much of anything;
//! 2. the grant: the program, and the words that its arguments must begin with ([`granted`]);
//! 3. what the program is known to do by habit ([`habits`], and for git [`git`]);
//! 4. the program is found in the user's `PATH` and outside the project, the folder inside the project;
//! 5. the named quotas, then a place among the operations: both wait, and that is not the plugin's own time;
//! 6. the program runs without a shell, under a warden, away from the terminal, with a few variables of the user's and no
//!    credential. It is ended with all that it started when it takes too long, prints too much, or nobody waits for it any
//!    more ([`watched`]).
//!
//! **A program is as safe as the program.** It acts as the user: it reads the user's home, it may use the network, and a
//! subcommand that writes does write. What is granted should only look.

mod git;
mod granted;
mod habits;
mod tape;
mod watched;

use std::ffi::OsString;
use std::path::Path;
use std::time::Instant;

use convoke_runtime::quota::named::Use;
use convoke_runtime::warden::reap;
use serde_json::json;
use wasmtime::component::{Accessor, Resource};

use super::quotas::Told;
use super::{Call, Outside, wit, wit_process};
use crate::actions::locate::Programs;
use crate::actions::process::{Machinery, Start};
use crate::actions::program::{self, check_name};
use crate::actions::quote::quote;
use crate::audit::kind;
use crate::config;
use crate::plugin::convert::Refused;
use crate::plugin::imports::{Host, State, TaskHandle};
use crate::plugin::operations::Kind;
use crate::plugin::printable;

/// The most arguments, and bytes of all together: Linux takes no argument that is longer.
const ARGUMENTS: usize = 1_024;
const ARGUMENT_BYTES: usize = 120 << 10;

/// The longest input, in bytes.
const INPUT_BYTES: usize = 16 << 20;

/// So much of a command line is shown and written down, in characters.
const SHOWN: usize = 300;

/// What passes from the user's environment: where they are, and how they write. No proxies either, whose addresses may
/// hold a password.
const PASSED: [&str; 6] = ["HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"];

/// Nothing is painted.
const SET: [(&str, &str); 2] = [("TERM", "dumb"), ("NO_COLOR", "1")];

/// What runs the programs of a run's plugins.
#[derive(Debug)]
pub struct Processes {
    programs: Programs,
    machinery: Machinery,
    environment: Vec<(OsString, OsString)>,
    limits: config::Process,
}

impl Processes {
    /// By the user's environment. `project` has no link in it. Ends what a host has left that is gone.
    pub fn new(
        env: impl Fn(&str) -> Option<String>,
        project: &Path,
        machinery: Machinery,
        limits: config::Process,
    ) -> Self {
        reap(&machinery.records);
        let passed = PASSED.iter().filter_map(|name| Some((OsString::from(name), OsString::from(env(name)?))));
        let set = SET.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let mut environment: Vec<(OsString, OsString)> = passed.chain(set).collect();
        let programs = Programs::of(env, project);
        environment.push((OsString::from("PATH"), programs.path()));
        Self { programs, machinery, environment, limits }
    }
}

impl wit_process::Host for State {}

impl wit_process::HostWithStore<State> for Host {
    async fn run(
        accessor: &Accessor<State, Self>,
        task: Option<Resource<TaskHandle>>,
        command: wit_process::Command,
    ) -> wasmtime::Result<Result<wit_process::Output, wit::Error>> {
        let call = Call::of(accessor, task.as_ref())?;
        let _waiting = call.own_time.host_call();
        let line = shown(&command);
        if let Some(task) = call.task.as_ref().filter(|task| task.record().ended) {
            let message = format!("{} has ended and runs no more programs", printable(&task.item.id, SHOWN));
            return Ok(Err(Refused::new(message).into()));
        }
        if let Err(error) = call.note(&format!("process: {line}")) {
            return Ok(Err(error));
        }
        if let Some(fakes) = &call.outside.fakes {
            let allowed = check(&call.outside, &command).map_err(wit::Error::from);
            return Ok(allowed.and_then(|()| call.run_fake(&**fakes, &command)));
        }
        let asked = tape::asked(&command, call.item());
        let real = async {
            let began = Instant::now();
            let told = |level, words| call.tell(level, words);
            let log = call.log.clone();
            call.leave_ahead(kind::PROCESS_RUN, &line, json!({"folder": printable(&command.folder, SHOWN)})).await;
            let result = run(&call.outside, &command, &told, move |what| log.line("info", &what)).await;
            let took = began.elapsed().as_millis();
            call.leave(kind::PROCESS_ENDED, &line, || match &result {
                Ok(output) => json!({"exit_code": output.status}),
                Err(why) => json!({"error": why.message}),
            });
            let became = match &result {
                Ok(output) => format!("ran {line} in {took} ms: exit code {}", output.status),
                Err(why) => format!("{line} came to nothing after {took} ms: {}", printable(&why.message, 1_000)),
            };
            told("info", became);
            result.map_err(Into::into)
        };
        Ok(call.outside.tape.through(asked, call.recorder(), real).await)
    }
}

/// A command in one line, whatever a plugin made of it.
fn shown(command: &wit_process::Command) -> String {
    let mut line = printable(&command.program, SHOWN);
    for argument in &command.arguments {
        if line.chars().count() >= SHOWN {
            line.push('…');
            break;
        }
        line.push(' ');
        line.push_str(&printable(&quote(&argument.chars().take(SHOWN).collect::<String>()), SHOWN));
    }
    line
}

async fn run(
    outside: &Outside,
    command: &wit_process::Command,
    told: Told<'_>,
    waits: impl FnOnce(String) + Send + 'static,
) -> Result<wit_process::Output, Refused> {
    let refused = |error: &dyn std::fmt::Display| Refused::new(error.to_string());
    check(outside, command)?;
    let (program, arguments) = (command.program.as_str(), command.arguments.as_slice());
    let is_git = program == "git";
    let Some(processes) = &outside.processes else { return Err(Refused::new("nothing runs programs here")) };
    let folder = program::Program {
        program: program.to_owned(),
        arguments: Vec::new(),
        input: None,
        folder: Some(command.folder.clone()),
        timeout_s: None,
    };
    folder.folder_in(&outside.root).map_err(|error| refused(&error))?;
    let path = processes.programs.find(program).map_err(|error| refused(&error))?;

    outside.quotas.take(Use::Run { program }, told).await.map_err(|error| refused(&error))?;
    let operation = outside.operations.begin(Kind::of_program(Path::new(program)), waits).await;
    let _operation = operation.map_err(|error| refused(&error))?;

    // What is there may be another by now.
    let folder = folder.folder_in(&outside.root).map_err(|error| refused(&error))?;
    let mut environment = processes.environment.clone();
    environment.extend(habits::variables(program));
    let mut arguments = arguments.to_vec();
    if is_git {
        environment.extend(git::settings(&path, &folder, &environment).await?);
        arguments = git::habits(&arguments);
    }
    let start = Start {
        path: &path,
        arguments: &arguments,
        input: Some(command.input.as_slice()).filter(|input| !input.is_empty()),
        folder: &folder,
        environment: &environment,
        timeout: processes.limits.timeout,
        apart: true,
    };
    let output = watched::run(&processes.machinery, &start, processes.limits.max_output_bytes).await;
    output.map_err(|why| Refused { message: format!("{program}: {}", why.message), hint: why.hint })
}

/// Whether it may be run at all: its shape, the grant, and what no grant allows.
fn check(outside: &Outside, command: &wit_process::Command) -> Result<(), Refused> {
    check_shape(command)?;
    let (program, arguments) = (command.program.as_str(), command.arguments.as_slice());
    granted::check(outside, program, arguments)?;
    if let Some(why) = habits::refused_option(program, arguments) {
        return Err(Refused::new(why));
    }
    if program == "git" {
        git::check(arguments)?;
    }
    Ok(())
}

/// What no program gets.
fn check_shape(command: &wit_process::Command) -> Result<(), Refused> {
    check_name(&command.program).map_err(|error| Refused::new(error.to_string()))?;
    let too_much = |what: String, most: usize| Err(Refused::new(format!("{what}: at most {most} are taken")));
    if command.arguments.len() > ARGUMENTS {
        return too_much(format!("{} has {} arguments", command.program, command.arguments.len()), ARGUMENTS);
    }
    let bytes: usize = command.arguments.iter().map(String::len).sum();
    if bytes > ARGUMENT_BYTES {
        return too_much(format!("the arguments of {} have {bytes} bytes", command.program), ARGUMENT_BYTES);
    }
    if command.input.len() > INPUT_BYTES {
        let what = format!("the input of {} has {} bytes", command.program, command.input.len());
        return too_much(what, INPUT_BYTES);
    }
    if command.arguments.iter().chain([&command.folder]).any(|text| text.contains('\0')) {
        return Err(Refused::new(format!("an argument of {} has a character of code 0", command.program)));
    }
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
