//! What is said of a run at its end: its items as the journal has them, and all that the report needs beside.

use std::collections::HashMap;
use std::sync::Arc;

use convoke_runtime::question::FailureKind;
use convoke_runtime::work::{Aggregation, Census, Item, Severity, Work};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::allocate::Allocated;
use super::execute::{Executed, Stop, is_interruption};
use super::shared::Shared;
use super::{Session, aggregate, money, verify};
use crate::config::Mode;
use crate::plugin::manifest::{Manifest, Rule, RuleSeverity};
use crate::report::suppress::Filters;
use crate::report::{Facts, PluginInfo, Report, RuleInfo, RunInfo};

impl Session {
    #[expect(clippy::too_many_arguments, reason = "all that is known at the end of a run")]
    pub(super) async fn aggregate(
        &self,
        shared: &Arc<Shared>,
        work: Work,
        executed: Executed,
        allocated: &Allocated,
        filters: &Filters,
        (began, started): (Instant, Timestamp),
        stop: &Stop,
    ) -> Report {
        let whole = executed.parked.is_none() && !executed.interrupted && !stop.soft.is_cancelled();
        let conclusion = match work.conclusion {
            Some(item) if whole => Some(aggregate::conclude(self, shared, work.aggregate, item, stop).await),
            Some(item) => Some(aggregate::not_concluded(&item)),
            None => None,
        };
        let mut items = aggregate::items(shared);
        items.extend(conclusion);
        // The conclusion asks too; and the user may have stopped a run beside this one.
        let stopped = shared.answers.broker().stopped().borrow().clone().filter(|_| !executed.interrupted);
        let interrupted =
            executed.interrupted || stop.soft.is_cancelled() || stopped.as_ref().is_some_and(is_interruption);
        let lost = verify::by_the_journal(shared, &mut items).await.into_iter().collect();
        let stopped = executed.parked.or(stopped.filter(|_| !interrupted));
        // What can't be written down is no budget that comes back: what is left makes the run degraded.
        let (unwritten, stopped): (Option<_>, Option<_>) = match stopped {
            Some(failure) if failure.kind == FailureKind::Journal => (Some(failure.message), None),
            stopped => (None, stopped),
        };
        let texts: HashMap<String, Vec<u8>> = aggregate::texts(&self.sandbox.project, &items).await;
        let mut warnings = self.settings.warnings.clone();
        // What is wrong with the response cache is a warning too.
        shared.answers.broker().remembered().await;
        warnings.extend(self.events.warned());
        warnings.extend(self.sandbox.take_missed().into_iter().map(|what| format!("{what} was not recorded")));
        let census = Census::of(items.iter().map(|item| &item.outcome));
        warnings.extend(over_tolerance(&census, self.settings.limits.tolerance, self.settings.mode));
        if let Some(why) = unwritten {
            let (is, items) = if census.pending == 1 { ("is", "item") } else { ("are", "items") };
            warnings.push(format!("dispatch has stopped, {} {items} {is} left to do: {why}", census.pending));
        }
        warnings.extend(self.claims.iter().flat_map(|claims| claims.warnings()));
        let left_out = self.sandbox.project.left_out();
        warnings.extend(left_out.iter().map(|skipped| format!("{} was left out: {}", skipped.path, skipped.why)));
        let facts = Facts {
            run: self.run_info(shared, started),
            aggregate: work.aggregate,
            items,
            workers: executed.workers,
            usage: shared.answers.broker().spent(),
            cost: money::cost(shared.answers.broker(), &allocated.estimate, &self.broker.prices),
            wall: began.elapsed(),
            interrupted,
            parked: stopped.map(|failure| failure.message),
            whole_project: self.whole_project,
            rules: self.rules(),
            notes: work.notes.into_iter().chain(allocated.notes.clone()).collect(),
            warnings,
            lost,
            fail_on: self.fail_on(),
            levels: self.events.levels(),
        };
        crate::report::build(facts, filters, |path| texts.get(path).cloned())
    }

    /// The report of a run in which the host itself had a fault: what the journal has of the items, and nothing that could
    /// be at fault. What was not written is pending.
    pub(super) async fn wreck(
        &self,
        shared: &Arc<Shared>,
        conclusion: Option<Item>,
        allocated: &Allocated,
        filters: &Filters,
        (began, started): (Instant, Timestamp),
        said: String,
    ) -> Report {
        let mut items = aggregate::items(shared);
        items.extend(conclusion.as_ref().map(aggregate::not_concluded));
        for item in &mut items {
            (item.partial, item.reads) = (None, Vec::new());
        }
        let mut lost = vec![format!("the host had a fault, and the run ended there: {said}")];
        lost.extend(verify::by_the_journal(shared, &mut items).await);
        shared.answers.broker().remembered().await;
        let facts = Facts {
            run: self.run_info(shared, started),
            aggregate: Aggregation::default(),
            items,
            workers: Vec::new(),
            usage: shared.answers.broker().spent(),
            cost: money::cost(shared.answers.broker(), &allocated.estimate, &self.broker.prices),
            wall: began.elapsed(),
            interrupted: false,
            parked: None,
            whole_project: false,
            rules: self.rules(),
            notes: Vec::new(),
            warnings: self.events.warned(),
            levels: self.events.levels(),
            lost,
            fail_on: self.fail_on(),
        };
        crate::report::build(facts, filters, |_| None)
    }

    /// From which severity on findings fail the run.
    fn fail_on(&self) -> Option<Severity> {
        let settings = &self.settings;
        let by_author = self.plugin.manifest.fail_on(self.identity.subcommand.as_deref()).map(severity);
        fail_on(settings.fail_on.severity(), settings.fail_on_is_named, by_author)
    }

    fn run_info(&self, shared: &Shared, started: Timestamp) -> RunInfo {
        RunInfo {
            id: shared.run.to_string(),
            command: self.command.clone(),
            plugin: PluginInfo {
                name: self.plugin.manifest.name.clone(),
                version: self.plugin.manifest.version.to_string(),
                digest: self.plugin.digest.clone(),
            },
            mode: self.settings.mode.name().to_owned(),
            backend: self.backend_names(),
            started,
            continued: 0,
            arguments: self.arguments(),
        }
    }

    /// The rules of the plugin, for reports.
    pub fn rules(&self) -> Vec<RuleInfo> {
        rules_of(&self.plugin.manifest)
    }

    fn arguments(&self) -> Value {
        self.identity.arguments.clone()
    }
}

/// The rules of a plugin, for reports.
pub fn rules_of(manifest: &Manifest) -> Vec<RuleInfo> {
    let rule = |rule: &Rule| RuleInfo {
        id: rule.id.clone(),
        severity: severity(rule.severity),
        summary: rule.summary.clone(),
    };
    manifest.rules.iter().map(rule).collect()
}

/// As the user says; else the stricter of what the project and the command's author say.
fn fail_on(set: Option<Severity>, is_named: bool, by_author: Option<Severity>) -> Option<Severity> {
    match (set, by_author) {
        _ if is_named => set,
        (Some(set), Some(by_author)) => Some(set.min(by_author)),
        (one, other) => one.or(other),
    }
}

fn severity(severity: RuleSeverity) -> Severity {
    match severity {
        RuleSeverity::Info => Severity::Info,
        RuleSeverity::Low => Severity::Low,
        RuleSeverity::Medium => Severity::Medium,
        RuleSeverity::High => Severity::High,
        RuleSeverity::Critical => Severity::Critical,
    }
}

/// What is said where more has failed than the mode tolerates.
fn over_tolerance(census: &Census, tolerance: f64, mode: Mode) -> Option<String> {
    let failed = census.failed + census.fallback;
    let tried = census.done + failed;
    let (percent, mode) = (tolerance * 100.0, mode.name());
    (failed as f64 > tried as f64 * tolerance)
        .then(|| format!("{failed} of {tried} items failed or fell back: the mode {mode} tolerates {percent:.0} %"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_goes_before_the_author_and_a_project_only_tightens() {
        let (low, high) = (Some(Severity::Low), Some(Severity::High));
        assert_eq!(fail_on(None, false, low), low);
        assert_eq!(fail_on(high, false, low), low);
        assert_eq!(fail_on(low, false, high), low);
        assert_eq!(fail_on(high, false, None), high);
        assert_eq!((fail_on(None, true, low), fail_on(high, true, low)), (None, high));
    }

    #[test]
    fn one_of_twenty_is_tolerated_in_balanced_mode_and_two_are_not() {
        let said = |failed, mode| {
            let census = Census { items: 20, done: 20 - failed, failed, ..Census::default() };
            over_tolerance(&census, crate::config::Limits::of(mode).tolerance, mode)
        };
        assert_eq!(said(1, Mode::Balanced), None);
        let told = "2 of 20 items failed or fell back: the mode balanced tolerates 5 %";
        assert_eq!(said(2, Mode::Balanced).as_deref(), Some(told));
        assert_eq!(said(2, Mode::Performance), None);
        assert!(said(1, Mode::Safe).is_some() && said(0, Mode::Safe).is_none());
    }
}
