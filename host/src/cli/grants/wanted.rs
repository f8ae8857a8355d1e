//! What `convoke grants add` is to grant, as it was typed.

use clap::ArgMatches;
use convoke_runtime::money::Usd;

use crate::cli::error::CliError;
use crate::plugin::capabilities::{Capabilities, Program, Site};
use crate::plugin::grants::words::{command, plain};
use crate::plugin::grants::{Case, Wish, lacking, meet, missing};
use crate::plugin::printable;

/// It, as it was typed.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    all: bool,
    trust: bool,
    usd: Option<f64>,
    rest: Capabilities,
}

impl Wanted {
    /// What the options say; none: there are none.
    pub(super) fn of(matches: &ArgMatches) -> Result<Option<Self>, CliError> {
        let texts = |name: &str| matches.get_many::<String>(name).into_iter().flatten();
        let usd = matches.get_one::<Usd>("usd").map(|usd| usd.dollars());
        let mut rest = Capabilities { store: matches.get_flag("store"), ..Capabilities::default() };
        rest.process = texts("process").map(|text| program(text)).collect::<Result<_, _>>()?;
        rest.http = texts("http").map(|text| site(text)).collect::<Result<_, _>>()?;
        rest.claude.tools = texts("tool").cloned().collect();
        let wanted =
            Self { all: matches.get_flag("all"), trust: matches.get_flag("trust") || usd.is_some(), usd, rest };
        let is_any = wanted.all || wanted.trust || wanted.rest != Capabilities::default();
        Ok(is_any.then_some(wanted))
    }

    /// Whether it may ask Claude, and what else is granted, of what a plugin asks for.
    pub(super) fn of_what_is_asked(self, case: Case<'_>) -> Result<(bool, Capabilities), CliError> {
        let asked = case.asked();
        let mut rest = if self.all { asked.clone() } else { self.rest.clone() };
        // A host without methods: those that are asked for.
        for site in rest.http.iter_mut().filter(|site| site.methods.is_empty()) {
            let same = asked.http.iter().filter(|one| one.host == site.host);
            site.methods = same.flat_map(|one| one.methods.iter().cloned()).collect();
        }
        let mut granted = meet(asked, &rest);
        // What a wide wish holds more than what is asked is no mistake: `git` grants the subcommands that are asked for.
        let unasked = |wish: &&Wish| {
            let mut alone = Capabilities::default();
            match wish {
                Wish::Run(program) => alone.process.push(program.clone()),
                Wish::Send(site) => alone.http.push(site.clone()),
                Wish::Tool(tool) => alone.claude.tools.push(tool.clone()),
                Wish::Store => alone.store = true,
                Wish::Spend(_) => return false,
            }
            let got = meet(asked, &alone);
            got.process.is_empty() && got.http.is_empty() && got.claude.tools.is_empty() && !got.store
        };
        let parts: Vec<Wish> = lacking(&rest, &Capabilities::default()).iter().flat_map(Wish::parts).collect();
        if let Some(wish) = parts.iter().find(unasked) {
            let all = missing(asked, None).iter().map(plain).collect::<Vec<_>>().join("; ");
            let plugin = printable(case.plugin, 300);
            return Err(CliError::usage(format!(
                "`{plugin}` does not ask to {}, and would get nothing by it",
                plain(wish)
            ))
            .hint(Some(format!("it asks to {all}: {}", command(case.plugin, &missing(asked, None))))));
        }
        granted.claude.usd = [self.usd, asked.claude.usd].into_iter().flatten().min_by(f64::total_cmp);
        Ok((self.trust || self.all, granted))
    }

    /// The same for a component that is not here: what was typed holds as it is, and only what it asks for will count.
    pub(super) fn unseen(self) -> Result<(bool, Capabilities), CliError> {
        if self.all {
            return Err(CliError::usage("--all of what? Only its digest is known here")
                .hint(Some("name what is granted, or give the path of the component")));
        }
        let mut granted = self.rest;
        granted.claude.usd = self.usd;
        granted.check().map_err(|wrong| CliError::usage(format!("that can't be granted: {wrong}")))?;
        Ok((self.trust, granted))
    }
}

/// `git`, `git diff`, `git remote show`: a bare name, and the words that the arguments begin with.
fn program(text: &str) -> Result<Program, CliError> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.split_first() {
        Some((program, rest)) if !program.contains(['/', '\\']) && !program.starts_with('-') => {
            let subcommands = if rest.is_empty() { Vec::new() } else { vec![rest.join(" ")] };
            Ok(Program { program: (*program).to_owned(), subcommands, optional: false })
        }
        _ => Err(CliError::usage(format!("`{}` is no program with a subcommand", printable(text, 100)))
            .hint(Some("write a program's name without its folder, and the words that it is called with: 'git diff'"))),
    }
}

/// `api.osv.dev`, `localhost:8080`, `GET,POST:api.osv.dev`.
fn site(text: &str) -> Result<Site, CliError> {
    let is_methods =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b',');
    let (methods, host) = match text.split_once(':') {
        Some((methods, host)) if is_methods(methods) => (methods.split(',').map(str::to_owned).collect(), host),
        _ => (Vec::new(), text),
    };
    if host.is_empty() || host.contains(['/', '@', ' ', '*']) || methods.iter().any(String::is_empty) {
        return Err(CliError::usage(format!("`{}` is no host", printable(text, 100)))
            .hint(Some("write a host like api.osv.dev, with methods before it GET,POST:api.osv.dev")));
    }
    Ok(Site { host: host.to_ascii_lowercase(), methods, optional: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_hosts_are_read_as_they_are_typed() {
        let parts = |text| program(text).map(|one| (one.program, one.subcommands.join("|"))).ok();
        let some = |one: &str, other: &str| Some((one.to_owned(), other.to_owned()));
        assert_eq!(parts("git"), some("git", ""));
        assert_eq!(parts(" git  remote show "), some("git", "remote show"));
        assert_eq!((parts(""), parts("/bin/git log"), parts("--all")), (None, None, None));
        let parts = |text| site(text).map(|one| (one.methods.join(","), one.host)).ok();
        assert_eq!(parts("api.osv.dev"), some("", "api.osv.dev"));
        assert_eq!(parts("GET:Api.osv.dev"), some("GET", "api.osv.dev"));
        assert_eq!(parts("GET,POST:localhost:8080"), some("GET,POST", "localhost:8080"));
        assert_eq!(parts("localhost:8080"), some("", "localhost:8080"));
        for bad in ["", "https://api.osv.dev", "a@b", "GET:", "GET,:x", "*"] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }
}
