//! `docs`: whether what a project's documents say is true.
//!
//! `plan` finds the documents; `run` looks at one by [rules], and in `update` asks a writer where it and the code have
//! drifted apart.

pub mod answer;
pub mod check;
pub mod find;
pub mod history;
pub mod markdown;
pub mod names;
pub mod plan;
pub mod public;
pub mod question;
pub mod rules;
pub mod seen;
pub mod slug;

use convoke_sdk::prelude::*;

use crate::check::{Checked, File};
use crate::plan::{Input, Mode};
use crate::seen::Seen;

/// The command.
pub struct Docs;

impl Command for Docs {
    async fn plan(call: &Call) -> Result<Work> {
        let mode = match call.subcommand() {
            Some("update") => Mode::Update,
            _ => Mode::Check,
        };
        plan::plan(call, call.paths(), mode, &history::read(call).await).await
    }

    async fn run(_call: &Call, task: &Task) -> Result<Partial> {
        let input: Input = task.input()?;
        if let Some(library) = &input.library {
            return Ok(public::check(task, library).await.partial(library.language));
        }
        let path = plan::path_of(task.id(), &input);
        match check::check(task, path, &input).await {
            Checked::Ended(partial) => Ok(*partial),
            Checked::Read(file) if input.ask => update(task, &file, &input).await,
            Checked::Read(file) => Ok(file.partial()),
        }
    }
}

/// Asks a writer about a part of a document, and takes what fits of the answer.
async fn update(task: &Task, file: &File, input: &Input) -> Result<Partial> {
    let (part, parts) = input.part.unwrap_or((0, 1));
    let mut partial = file.partial();
    // What was proposed before is what stands there for this writer.
    let mut before = partial.edits.clone();
    for earlier in 0..part {
        before.extend(
            task.result_of(&plan::id(&file.path, earlier)).await?.into_iter().flat_map(|earlier| earlier.edits),
        );
    }
    let seen = Seen::new(&file.text, &file.path, &before);
    let part = question::part_of(&file.text, &file.document, part, parts);
    let range = seen.forward(part.start)..seen.forward(part.end);
    let code = question::code(task, &file.path, &file.document, &part, &input.names.files).await;
    if code.is_empty() {
        // Nothing that is asked could be proved.
        return Ok(partial.metric(Metric::sum("parts without code to compare with", 1.0, "parts")));
    }
    let first_line = convoke_sdk::text::line_at(&seen.text, range.start);
    let asked = seen.text.get(range).unwrap_or_default();
    let question = question::about(&file.path, input.kind, asked, first_line, &code);
    match task.ask(question).await {
        Ok(answer) => {
            let source = answer.source();
            let taken = answer::take(&file.path, &file.text, &seen, &code, answer.value, &source);
            partial.findings.extend(taken.findings);
            partial.edits.extend(taken.edits);
            Ok(partial.metric(Metric::sum("proposals that don't fit", f64::from(taken.unfit), "proposals")))
        }
        // Stopped: the item stays to be done.
        Err(failure) if matches!(failure.kind, FailureKind::Cancelled) => Err(failure.into()),
        // What the rules found is true without the writer, and the item is not done without it.
        Err(failure) => {
            let why = convoke_sdk::text::shown(&failure.message, 400);
            Ok(Partial { outcome: Outcome::Failed(format!("the writer failed: {why}")), ..partial })
        }
    }
}

convoke_sdk::export!(Docs);
