//! `--apply`: after a run, what it proposes is carried out. Edits first, all or none; then actions.

use std::io::{self, IsTerminal as _};

use super::carry_actions;
use super::error::CliError;
use super::options::Options;
use super::terminal::Terminal;
use crate::config::Paths;
use crate::report::Report;
use crate::run::Session;

/// That what is proposed is to be carried out.
#[derive(Clone, Copy, Debug)]
pub(super) struct CarryOut {
    /// Nobody is asked.
    pub(super) yes: bool,
}

impl CarryOut {
    /// As the options say.
    ///
    /// # Errors
    /// Somebody would have to be asked, and nobody can be: said before anything runs.
    pub(super) fn of(options: &Options) -> Result<Option<Self>, CliError> {
        if !options.apply {
            return Ok(None);
        }
        let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
        if !options.yes && !can_ask {
            return Err(CliError::usage("--apply asks before it changes anything, and here is no terminal to ask on")
                .hint(Some("--apply --yes doesn't ask; without --apply the edits are only shown")));
        }
        Ok(Some(Self { yes: options.yes }))
    }

    /// Carries out what the report proposes, and writes into it what has become of it.
    pub(super) async fn after(self, session: &Session, paths: &Paths, report: &mut Report, _: &Terminal) {
        let asked_for = self.yes || !report.edits.is_empty();
        if asked_for && !report.edits.is_empty() {
            let left = "the edits were not carried out: this convoke only shows them";
            report.warnings.push(left.to_owned());
        }
        carry_actions::after(self.yes, session, paths, report).await;
    }
}
