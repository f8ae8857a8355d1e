//! `convoke dashboard`: the runs of this user in the browser, while they go on and afterwards.

use std::io::{self, Write as _};
use std::process::{Command as Process, Stdio};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use convoke_runtime::event::Events;
use tempfile::{Builder, NamedTempFile};

use super::command::in_runtime;
use super::error::CliError;
use super::signals;
use super::terminal::{put, say};
use crate::config::Paths;
use crate::dashboard::{Dashboard, Places};
use crate::report::ExitCode;
use crate::run::execute::Stop;

pub(super) fn command() -> Command {
    Command::new("dashboard")
        .about("Shows the runs of this user in the browser, live and past, and controls them, until Ctrl-C")
        .after_help(
            "It listens on this machine only. The address that it prints has a token in it: who has it may control your \
             runs.",
        )
        .arg(
            Arg::new("port")
                .long("port")
                .value_name("PORT")
                .value_parser(value_parser!(u16))
                .default_value("0")
                .help("The port it listens at; 0: any that is free"),
        )
        .arg(Arg::new("open").long("open").action(ArgAction::SetTrue).help("Opens it in the browser"))
}

pub(super) fn dashboard(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let port = matches.get_one::<u16>("port").copied().unwrap_or_default();
    let paths = Paths::find(|name: &str| std::env::var(name).ok())?;
    let places = Places { sockets: paths.control(), journal: paths.journal() };
    in_runtime(async {
        let dashboard = Dashboard::listen(port, places).await.map_err(|error| {
            let hint = "without --port it takes one that is free";
            CliError::usage(format!("the dashboard can't listen at port {port}: {error}")).hint(Some(hint))
        })?;
        let url = dashboard.url();
        put(&format!("{url}\n"), None)?;
        say("The dashboard is there; Ctrl-C ends it.");
        let opened = matches.get_flag("open").then(|| open(&url));
        if let Some(Err(error)) = &opened {
            say(&format!("warning: no browser could be opened ({error}); the address above does it."));
        }
        let (stop, events) = (Stop::default(), Events::new());
        let under_way = signals::under_way(&stop, &events);
        let served = dashboard.serve(stop.soft.clone()).await;
        drop(under_way);
        drop(opened);
        served.map_err(|error| CliError::nothing(format!("the dashboard has ended: {error}")))?;
        Ok(ExitCode::Success)
    })
}

/// Asks the system to open it: by a file that leads there and that only the user can read, since the arguments of a process
/// can be read by all. The file is removed with what is returned.
fn open(url: &str) -> io::Result<NamedTempFile> {
    let mut file = Builder::new().prefix("convoke-").suffix(".html").tempfile()?;
    // The address is made of digits, letters and what separates them.
    writeln!(file, "<!doctype html><meta http-equiv=\"refresh\" content=\"0;url={url}\"><title>convoke</title>")?;
    file.flush()?;
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut process = Process::new(program);
    process.arg(file.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = process.spawn()?;
    // It ends soon, or is the browser itself: nobody waits for it but this thread.
    std::thread::Builder::new().name("browser".to_owned()).spawn(move || child.wait())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_one() {
        let parsed = |words: &[&str]| command().try_get_matches_from(["dashboard"].iter().chain(words));
        assert!(parsed(&[]).is_ok() && parsed(&["--port", "8080", "--open"]).is_ok());
        assert!(parsed(&["--port", "70000"]).is_err() && parsed(&["--port", "-1"]).is_err());
    }
}
