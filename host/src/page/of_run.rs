//! The page of a run of the journal.

use convoke_runtime::journal::{Journal, JournalError, RunId};
use convoke_runtime::timeline::Timeline;
use serde_json::Value;
use thiserror::Error;

use super::{Data, render};
use crate::report::kept::{self, KeptError};

/// Why there is no page.
#[derive(Debug, Error)]
pub enum PageError {
    /// The journal can't be read, or does not know the run.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The report that was kept is damaged.
    #[error(transparent)]
    Kept(#[from] KeptError),
    /// The page can't be put together.
    #[error("the page can't be written: {0}")]
    Unwritten(#[from] serde_json::Error),
    /// Nothing is kept of what the run told, and no report.
    #[error("nothing is kept of run {0} that a page could show")]
    Nothing(String),
}

/// The page of a run, of what the journal has of it. `report`: the JSON report where it is newer than the one that is
/// kept. What is written but not committed yet is not in it.
///
/// # Errors
/// The run is not known, or nothing is kept of it; the journal can't be read.
pub async fn of_run(journal: &Journal, run: &RunId, report: Option<&Value>) -> Result<String, PageError> {
    let Gathered { timeline, report, missing } = gather(journal, run, report).await?;
    Ok(render(&Data { timeline: &timeline, report: report.as_ref(), missing: &missing })?)
}

/// The page of a run that has just ended, of the picture that was made of it meanwhile.
///
/// # Errors
/// See [`PageError::Unwritten`].
pub(super) fn of_picture(timeline: &Timeline, report: &Value) -> Result<String, PageError> {
    let missing = missing(timeline, 0, true);
    Ok(render(&Data { timeline, report: Some(report), missing: &missing })?)
}

/// What the journal has of a run, for its page.
pub(crate) struct Gathered {
    /// The picture.
    pub(crate) timeline: Timeline,
    /// The JSON report, if there is one.
    pub(crate) report: Option<Value>,
    /// What a page can't show, in words.
    pub(crate) missing: Vec<String>,
}

/// Gathers it. As [`of_run`].
///
/// # Errors
/// As [`of_run`].
pub(crate) async fn gather(journal: &Journal, run: &RunId, report: Option<&Value>) -> Result<Gathered, PageError> {
    let (streams, unknown) = journal.told(run).await?;
    let report = match report {
        Some(report) => Some(report.clone()),
        None => journal.report(run).await?.map(|kept| kept::published(&kept)).transpose()?,
    };
    let timeline = Timeline::of(&streams);
    if timeline.run.is_none() && report.is_none() {
        return Err(PageError::Nothing(run.to_string()));
    }
    let missing = missing(&timeline, unknown, report.is_some());
    Ok(Gathered { timeline, report, missing })
}

/// What the page can't show, in words.
fn missing(timeline: &Timeline, unknown: usize, has_report: bool) -> Vec<String> {
    let mut missing = Vec::new();
    let mut say = |is_missing: bool, what: String| {
        if is_missing {
            missing.push(what);
        }
    };
    let has_ended = timeline.ended.is_some();
    say(timeline.run.is_none(), "there is no timeline: what the run told is not kept".to_owned());
    say(
        !has_report && has_ended,
        "there is no report: it was not kept, so findings, failures and cost are not shown".to_owned(),
    );
    say(
        !has_report && !has_ended && timeline.run.is_some(),
        "the run has not ended, or was killed: this is what it told so far, and there is no report".to_owned(),
    );
    say(unknown > 0, format!("another version of convoke told {unknown} things that this one does not know"));
    let out = timeline.left_out;
    let left_out =
        |count: u64, what: &str| (count > 0, format!("{count} {what} are counted, and not shown one by one"));
    for (is_missing, what) in [
        left_out(out.questions, "questions"),
        left_out(out.items, "items"),
        left_out(out.workers, "workers, and items in their hands,"),
        left_out(out.marks, "events"),
    ] {
        say(is_missing, what);
    }
    missing
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use convoke_runtime::event::{Event, Fact};
    use jiff::Timestamp;

    use super::*;
    use crate::report::samples;

    fn told(fact: Fact) -> Arc<Event> {
        Arc::new(Event { at: Duration::from_millis(1), fact })
    }

    #[test]
    fn what_a_page_lacks_is_said_on_it() {
        let mut timeline = Timeline::default();
        assert_eq!(missing(&timeline, 0, true), ["there is no timeline: what the run told is not kept"]);
        timeline.hear(&told(crate::page::tests::started()));
        assert!(missing(&timeline, 3, false)[0].starts_with("the run has not ended, or was killed"));
        assert!(missing(&timeline, 3, false)[1].contains("told 3 things"));
        assert_eq!(missing(&timeline, 0, true), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_run_of_which_nothing_is_known_has_no_page() {
        let journal = Journal::in_memory().unwrap();
        let unknown = samples::full().run.id.parse().unwrap();
        let error = of_run(&journal, &unknown, None).await.unwrap_err();
        assert!(matches!(error, PageError::Nothing(_) | PageError::Journal(_)), "{error}");
    }

    #[tokio::test]
    async fn a_page_has_what_the_run_told_and_the_report_that_it_ended_with() {
        let journal = Journal::in_memory().unwrap();
        let run = crate::page::tests::begun(&journal).await;
        journal.record_events(&run, Timestamp::UNIX_EPOCH, &[told(crate::page::tests::started())]).await.unwrap();
        journal.keep_report(&run, kept::written(&samples::full()).unwrap()).await.unwrap();
        journal.flush().await.unwrap();
        let page = of_run(&journal, &run, None).await.unwrap();
        assert!(page.contains("\"report\":{\"schema_version\":1"), "{}", &page[..400]);
        assert!(page.contains("\"command\":\"agent-audit\""));
        assert!(!page.contains("\"beside\""));
    }
}
