//! `editing`: proposes the edits and actions that a JSON file of the project tells it to, and hands out its documents.
//!
//! So that tests can say what is proposed, and by which item. The same file gives the same proposals, but for what has
//! been done already: that is not proposed again, so a second run after one that was carried out has nothing to do.

mod spec;

use convoke_sdk::prelude::*;
use convoke_sdk::{Action, Change, Document, Replacement};

use spec::{DocumentSpec, EditSpec, File, ItemSpec};

/// The command.
pub struct Editing;

impl Command for Editing {
    async fn plan(call: &Call) -> Result<Work> {
        let named = call.paths();
        let files = if named.is_empty() { vec!["items.json".to_owned()] } else { named.to_vec() };
        let mut items = Vec::new();
        for path in files {
            let file: File = serde_json::from_str(&call.read_text(&path).await?)
                .map_err(|error| Error::new(format!("{path}: {error}")))?;
            items.extend(file.items.into_iter().map(planned));
        }
        Ok(Work::new(items))
    }

    async fn run(_call: &Call, task: &Task) -> Result<Partial> {
        let item: ItemSpec = task.input()?;
        let mut partial = Partial::done();
        if let Some(prompt) = item.ask {
            let question = Question::new("code-reviewer", prompt).max_output_tokens(200);
            let question = match item.fallback {
                Some(text) => question.fallback_text(text),
                None => question,
            };
            partial = partial.notes(task.ask_text(question).await?.value);
        }
        if let Some(reason) = item.fail {
            return Err(Error::new(reason));
        }
        for edit in item.edits {
            partial.edits.extend(proposed(task, edit).await?);
        }
        partial.actions = item
            .actions
            .into_iter()
            .map(|action| Action {
                kind: action.kind,
                title: action.title,
                body: action.body.to_string(),
                key: action.key,
                extra: Vec::new(),
            })
            .collect();
        for DocumentSpec { name, media_type, text, times } in item.documents {
            partial = partial.document(&Document::new(name, media_type, text.repeat(times.unwrap_or(1))));
        }
        Ok(partial)
    }
}

fn planned(spec: ItemSpec) -> Item {
    let paths = spec.edits.iter().map(|edit| edit.path().to_owned()).collect();
    let item = Item::new(spec.id.clone())
        .input(&spec)
        .weight(spec.weight)
        .writes(spec.writes.clone().unwrap_or(paths))
        .after(spec.after.clone());
    match spec.group {
        Some(group) => item.group(group),
        None => item,
    }
}

/// The edit; none: it has been made already.
async fn proposed(task: &Task, spec: EditSpec) -> Result<Option<Edit>> {
    const REASON: &str = "it was told to";
    Ok(match spec {
        EditSpec::Create { path, text } => {
            let there = task.exists(&path).await?.is_some();
            let same = there && task.read(&path).await? == text.as_bytes();
            (!same).then(|| Edit::create(path, text, REASON))
        }
        EditSpec::Replace { path, from, to } => {
            let old = task.read(&path).await?;
            match place(&old, from.as_bytes()) {
                Some(start) => Some(replaced(path, start, start + from.len(), to)),
                None if place(&old, to.as_bytes()).is_some() => None,
                None => return Err(Error::new(format!("{path} holds neither the old text nor the new one"))),
            }
        }
        EditSpec::Rewrite { path, text } => {
            let old = task.read(&path).await?;
            (old != text.as_bytes()).then(|| replaced(path, 0, old.len(), text))
        }
        EditSpec::Delete { path } => match task.exists(&path).await? {
            Some(_) => {
                // What is deleted is the content that was seen.
                task.read(&path).await?;
                Some(Edit::delete(path, REASON))
            }
            None => None,
        },
        EditSpec::Splice { path, base, parts } => {
            let parts = parts.into_iter().map(|(start, end, text)| Replacement { start, end, text }).collect();
            Some(Edit { path, base, change: Change::Replace(parts), reason: REASON.to_owned(), extra: Vec::new() })
        }
        EditSpec::Remove { path, base } => {
            Some(Edit { path, base, change: Change::Delete, reason: REASON.to_owned(), extra: Vec::new() })
        }
    })
}

/// Bytes, so that a file need not be text.
fn replaced(path: String, start: usize, end: usize, text: String) -> Edit {
    let part = Replacement { start: start as u64, end: end as u64, text };
    let change = Change::Replace(vec![part]);
    Edit { path, base: None, change, reason: "it was told to".to_owned(), extra: Vec::new() }
}

fn place(text: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return Some(0);
    }
    text.windows(part.len()).position(|window| window == part)
}

convoke_sdk::export!(Editing);
