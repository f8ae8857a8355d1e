//! The contract's records, made convenient.

use serde::Serialize;

use crate::bindings::convoke::plugin::project::{Entry, Kind};
use crate::task::json;
use crate::{
    Aggregation, Change, Distribution, Document, Edit, Error, Estimate, Failure, FailureKind, Finding, Item, Metric,
    Outcome, Partial, Pattern, Query, Reduction, Replacement, Severity, Source, Work,
};

impl Item {
    /// An item, named by what it is about: a path, a package. The id must be the same in the next run.
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        Self {
            label: id.clone(),
            id,
            group: None,
            weight: 1,
            input: "null".to_owned(),
            writes: Vec::new(),
            after: Vec::new(),
            repeatable: true,
            estimate: None,
            extra: Vec::new(),
        }
    }

    /// What the terminal shows. Without it, the id.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Items of one group go to one worker.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// The effort, relative to the other items.
    pub fn weight(mut self, weight: u64) -> Self {
        self.weight = weight;
        self
    }

    /// What [`Command::run`](crate::Command::run) needs to know. A later run reuses the result only under the same input.
    pub fn input<T: Serialize>(mut self, input: &T) -> Self {
        self.input = json(input);
        self
    }

    /// The files that it will propose edits for.
    pub fn writes<T: Into<String>>(mut self, paths: impl IntoIterator<Item = T>) -> Self {
        self.writes = paths.into_iter().map(Into::into).collect();
        self
    }

    /// The items that must have ended before.
    pub fn after<T: Into<String>>(mut self, ids: impl IntoIterator<Item = T>) -> Self {
        self.after = ids.into_iter().map(Into::into).collect();
        self
    }

    /// It must not be started again after a crash in its middle.
    pub fn once(mut self) -> Self {
        self.repeatable = false;
        self
    }

    /// What it will probably ask, all questions together.
    pub fn estimate(mut self, questions: u32, input_tokens: u64, output_tokens: u64) -> Self {
        self.estimate = Some(Estimate { questions, input_tokens, output_tokens });
        self
    }
}

impl Work {
    /// Items to be done: dealt by group where they have one, else by weight, and merged into one report.
    pub fn new(items: impl IntoIterator<Item = Item>) -> Self {
        let items: Vec<Item> = items.into_iter().collect();
        let grouped = items.iter().any(|item| item.group.is_some());
        Self {
            distribute: if grouped { Distribution::ByGroup } else { Distribution::ByWeight },
            items,
            aggregate: Aggregation::Merge,
            conclusion: None,
            notes: Vec::new(),
            extra: Vec::new(),
        }
    }

    /// How items are dealt to workers.
    pub fn distribute(mut self, distribution: Distribution) -> Self {
        self.distribute = distribution;
        self
    }

    /// How partials become the report.
    pub fn aggregate(mut self, aggregation: Aggregation) -> Self {
        self.aggregate = aggregation;
        self
    }

    /// The item in whose name [`Conclude::conclude`](crate::Conclude::conclude) runs.
    pub fn conclusion(mut self, item: Item) -> Self {
        self.conclusion = Some(item);
        self
    }

    /// Something the user should know before anything runs: what was left out, and why.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

impl Partial {
    fn ended(outcome: Outcome) -> Self {
        Self {
            outcome,
            findings: Vec::new(),
            metrics: Vec::new(),
            edits: Vec::new(),
            actions: Vec::new(),
            notes: None,
            lifetime_s: None,
            extra: Vec::new(),
        }
    }

    /// The item is done.
    pub fn done() -> Self {
        Self::ended(Outcome::Done)
    }

    /// There was nothing to do for it, and why.
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self::ended(Outcome::Skipped(reason.into()))
    }

    /// It could not be done, and why.
    pub fn failed(error: impl Into<Error>) -> Self {
        let error = error.into();
        Self::ended(Outcome::Failed(match error.hint {
            Some(hint) => format!("{} ({hint})", error.message),
            None => error.message,
        }))
    }

    /// Adds a finding.
    pub fn finding(mut self, finding: Finding) -> Self {
        self.findings.push(finding);
        self
    }

    /// Adds a metric.
    pub fn metric(mut self, metric: Metric) -> Self {
        self.metrics.push(metric);
        self
    }

    /// Proposes an edit.
    pub fn edit(mut self, edit: Edit) -> Self {
        self.edits.push(edit);
        self
    }

    /// Hands out a whole text as it is, beside the findings: a list, a bill of materials. In the form for people it is what
    /// the run writes to standard output.
    pub fn document(mut self, document: &Document) -> Self {
        self.extra.push((Document::NAME.to_owned(), json(document)));
        self
    }

    /// The documents of a partial, such as that of another item.
    pub fn documents(&self) -> impl Iterator<Item = Document> {
        let documents = self.extra.iter().filter(|(name, _)| name == Document::NAME);
        documents.filter_map(|(_, value)| serde_json::from_str(value).ok())
    }

    /// What a reader of the report should know, as Markdown.
    pub fn notes(mut self, markdown: impl Into<String>) -> Self {
        self.notes = Some(markdown.into());
        self
    }
}

impl Finding {
    /// A finding of a rule.
    pub fn new(rule: impl Into<String>, severity: Severity, message: impl Into<String>) -> Self {
        Self {
            rule: rule.into(),
            severity,
            message: message.into(),
            path: None,
            line: None,
            column: None,
            source: Source::Rule,
            fingerprint: None,
            help: None,
            extra: Vec::new(),
        }
    }

    /// Where it stands; lines count from 1.
    pub fn at(mut self, path: impl Into<String>, line: u32) -> Self {
        self.path = Some(path.into());
        self.line = Some(line);
        self
    }

    /// The file it is about, as a whole.
    pub fn in_file(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Who found it.
    pub fn by(mut self, source: Source) -> Self {
        self.source = source;
        self
    }

    /// What to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What makes it the same finding in the next run.
    pub fn fingerprint(mut self, fingerprint: impl Into<String>) -> Self {
        self.fingerprint = Some(fingerprint.into());
        self
    }
}

impl Metric {
    /// A number that adds up over the items.
    pub fn sum(name: impl Into<String>, value: f64, unit: impl Into<String>) -> Self {
        Self { name: name.into(), value, unit: unit.into(), reduce: Reduction::Sum }
    }

    /// A number of which the largest counts.
    pub fn max(name: impl Into<String>, value: f64, unit: impl Into<String>) -> Self {
        Self { reduce: Reduction::Max, ..Self::sum(name, value, unit) }
    }

    /// A number of which the smallest counts.
    pub fn min(name: impl Into<String>, value: f64, unit: impl Into<String>) -> Self {
        Self { reduce: Reduction::Min, ..Self::sum(name, value, unit) }
    }

    /// A number of which the mean counts.
    pub fn mean(name: impl Into<String>, value: f64, unit: impl Into<String>) -> Self {
        Self { reduce: Reduction::Mean, ..Self::sum(name, value, unit) }
    }
}

impl Edit {
    fn proposed(path: impl Into<String>, change: Change, reason: impl Into<String>) -> Self {
        Self { path: path.into(), base: None, change, reason: reason.into(), extra: Vec::new() }
    }

    /// A new file.
    pub fn create(path: impl Into<String>, content: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::proposed(path, Change::Create(content.into()), reason)
    }

    /// Removes a file that the item has read.
    pub fn delete(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::proposed(path, Change::Delete, reason)
    }

    /// A new text for a file that the item has read: `old` is what it read.
    pub fn rewrite(path: impl Into<String>, old: &str, new: &str, reason: impl Into<String>) -> Self {
        Self::proposed(path, Change::Replace(changed_middle(old, new).into_iter().collect()), reason)
    }
}

/// The one stretch of bytes in which two texts differ, cut at characters.
fn changed_middle(old: &str, new: &str) -> Option<Replacement> {
    if old == new {
        return None;
    }
    let start: usize = old.chars().zip(new.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let tail: usize = old[start..]
        .chars()
        .rev()
        .zip(new[start..].chars().rev())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len_utf8())
        .sum();
    Some(Replacement {
        start: start as u64,
        end: (old.len() - tail) as u64,
        text: new[start..new.len() - tail].to_owned(),
    })
}

impl Query {
    /// The files that fit one of the globs.
    pub fn files(globs: &[&str]) -> Self {
        Self {
            under: String::new(),
            include: globs.iter().map(|&glob| glob.to_owned()).collect(),
            exclude: Vec::new(),
            hidden: false,
            ignored: false,
            extra: Vec::new(),
        }
    }

    /// Only below this folder, or a path that the user typed.
    pub fn under(mut self, folder: impl Into<String>) -> Self {
        self.under = folder.into();
        self
    }

    /// Without those that fit one of these globs.
    pub fn except(mut self, globs: &[&str]) -> Self {
        self.exclude = globs.iter().map(|&glob| glob.to_owned()).collect();
        self
    }

    /// Also names that begin with a dot.
    pub fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Also what `.gitignore` leaves out.
    pub fn ignored(mut self) -> Self {
        self.ignored = true;
        self
    }
}

impl Pattern {
    /// The lines of these files in which a regular expression matches, in the syntax of Rust's `regex`; at most 1,000.
    pub fn new(regex: impl Into<String>, files: Query) -> Self {
        Self { regex: regex.into(), ignore_case: false, files, limit: 1_000, extra: Vec::new() }
    }

    /// Upper and lower case are the same.
    pub fn ignore_case(mut self) -> Self {
        self.ignore_case = true;
        self
    }

    /// At most so many matches.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }
}

impl Entry {
    /// Whether it is a file.
    pub fn is_file(&self) -> bool {
        self.kind == Kind::File
    }
}

impl Error {
    /// What happened, to what.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// What to do now.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl From<&str> for Error {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::new(failure.message)
    }
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), extra: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(old: &str, new: &str) -> String {
        changed_middle(old, new).map_or_else(
            || old.to_owned(),
            |change| format!("{}{}{}", &old[..change.start as usize], change.text, &old[change.end as usize..]),
        )
    }

    #[test]
    fn a_rewrite_is_the_middle_that_differs() {
        assert_eq!(
            changed_middle("one two three", "one 2 three").map(|change| (change.start, change.end, change.text)),
            Some((4, 7, "2".to_owned()))
        );
        assert_eq!(changed_middle("same", "same").map(|change| change.text), None);
    }

    #[test]
    fn a_rewrite_gives_the_new_text() {
        for (old, new) in
            [("", "a"), ("a", ""), ("aaa", "aa"), ("ab", "aab"), ("é", "è"), ("xéy", "xêy"), ("日本", "日")]
        {
            assert_eq!(applied(old, new), new);
        }
    }
}
