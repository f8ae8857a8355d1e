//! The check of one document by the rules.

use convoke_sdk::prelude::*;
use convoke_sdk::text::{line_at, shown};
use convoke_sdk::{Change, Project, Replacement};

use crate::history;
use crate::markdown::{self, Document};
use crate::plan::{Input, LARGEST, is_inside};
use crate::rules::{Found, Repair, contents, fences, links, names};

/// How far a check came.
pub enum Checked {
    /// The rules have spoken.
    Read(Box<File>),
    /// It can't be read: there is nothing more to do.
    Ended(Box<Partial>),
}

/// A document that the rules have seen.
pub struct File {
    /// Its path.
    pub path: String,
    /// What it says.
    pub text: String,
    /// The same, taken apart.
    pub document: Document,
    /// What the rules found.
    pub found: Found,
    /// Edits of it can be carried out.
    pub editable: bool,
}

/// Reads one document and applies the rules.
pub async fn check(project: &impl Project, path: &str, input: &Input) -> Checked {
    let ended = |rule: &str, message: String, line: Option<u32>| {
        let finding = Finding::new(rule, Severity::Medium, message.clone());
        let finding = match line {
            Some(line) => finding.at(path, line),
            None => finding.in_file(path),
        };
        Checked::Ended(Box::new(Partial::skipped(message).finding(finding)))
    };
    if let Some(bytes) = input.too_large {
        let message = format!("It has {bytes} bytes, and documents of more than {LARGEST} are not looked at");
        return ended("document-too-large", message, None);
    }
    let bytes = match project.read(path).await {
        Ok(bytes) => bytes,
        Err(error) => {
            return ended("document-unreadable", format!("It can't be read: {}", shown(&error.message, 300)), None);
        }
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let line = line_at(&String::from_utf8_lossy(error.as_bytes().get(..at).unwrap_or_default()), at);
            return ended("document-not-utf8", format!("It is not UTF-8 text: line {line}, byte {at}"), Some(line));
        }
    };
    let document = markdown::parse(&text);
    let mut found = Found::default();
    // The rules look at the whole with the first part.
    if input.part.is_none_or(|(part, _)| part == 0) {
        if let Some(other) = input.clashes.first() {
            let message =
                format!("{} has the same name in other letters: some systems keep only one", shown(other, 200));
            found.findings.push(Finding::new("document-case-clash", Severity::Medium, message).in_file(path));
        }
        found.findings.extend(input.older.as_ref().map(|older| history::finding(path, older)));
        found.add(links::check(project, path, &text, &document).await);
        // What was written in the past is not mended.
        if input.kind.is_current() {
            found.add(fences::check(path, &document));
            found.add(contents::check(path, &text, &document));
            found.add(names::found(&document, path, &text, &input.names));
        }
        found.findings.sort_by_key(|finding| finding.line);
    }
    let editable = !input.link && is_inside(path);
    Checked::Read(Box::new(File { path: path.to_owned(), text, document, found, editable }))
}

impl File {
    /// What is reported: what the rules found, and how it is mended.
    pub fn partial(&self) -> Partial {
        let mut partial = Partial::done().metric(Metric::sum("documents", 1.0, "documents")).metric(Metric::sum(
            "judged",
            f64::from(self.found.judged),
            "places",
        ));
        for (why, count) in &self.found.not_judged {
            partial = partial.metric(Metric::sum(format!("not judged: {why}"), f64::from(*count), "places"));
        }
        partial.findings.clone_from(&self.found.findings);
        if self.editable {
            partial.edits = edits(&self.path, &self.found.repairs);
        }
        partial
    }
}

/// An edit for each repair; of two that overlap, the first.
pub fn edits(path: &str, repairs: &[Repair]) -> Vec<Edit> {
    let mut repairs: Vec<&Repair> = repairs.iter().collect();
    repairs.sort_by_key(|repair| (repair.place.start, repair.place.end));
    let mut end = 0;
    let fits = |repair: &&Repair| {
        let fits = repair.place.start >= end;
        end = end.max(repair.place.end);
        fits
    };
    repairs.into_iter().filter(fits).map(|repair| edit(path, repair)).collect()
}

fn edit(path: &str, repair: &Repair) -> Edit {
    let (start, end) = (repair.place.start as u64, repair.place.end as u64);
    Edit {
        path: path.to_owned(),
        base: None,
        change: Change::Replace(vec![Replacement { start, end, text: repair.text.clone() }]),
        reason: repair.reason.clone(),
        extra: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::Kind;
    use convoke_sdk::testing::{Map, now};

    fn partial(bytes: &[u8], input: &Input) -> Partial {
        let mut project = Map::of(&["docs/there.md"]);
        project.files.insert("a.md".to_owned(), bytes.to_vec());
        match now(check(&project, "a.md", input)) {
            Checked::Read(file) => file.partial(),
            Checked::Ended(partial) => *partial,
        }
    }

    fn rules(partial: &Partial) -> Vec<&str> {
        partial.findings.iter().map(|finding| finding.rule.as_str()).collect()
    }

    #[test]
    fn what_can_not_be_looked_at_is_said_and_not_taken_for_well() {
        let input = Input::of(Kind::Guide);
        let broken = partial(b"# A\n\xff", &input);
        assert_eq!(rules(&broken), ["document-not-utf8"]);
        assert!(matches!(&broken.outcome, Outcome::Skipped(why) if why.contains("line 2")));
        let large = partial(b"", &Input { too_large: Some(1 << 30), ..input.clone() });
        assert!(matches!((&large.outcome, rules(&large).as_slice()), (Outcome::Skipped(_), ["document-too-large"])));
        let Checked::Ended(gone) = now(check(&Map::of(&[]), "a.md", &input)) else { panic!("it was read") };
        assert_eq!(rules(&gone), ["document-unreadable"]);
    }

    #[test]
    fn in_a_history_only_links_are_looked_up() {
        let text = b"[x](gone.md)\n\n```json\n{,}\n```\n";
        assert_eq!(rules(&partial(text, &Input::of(Kind::Guide))), ["link-broken", "example-broken"]);
        assert_eq!(rules(&partial(text, &Input::of(Kind::History))), ["link-broken"]);
    }

    #[test]
    fn repairs_are_edits_unless_the_document_is_a_link() {
        let input = Input::of(Kind::Guide);
        let edits = partial(b"[x](there.md)", &input).edits;
        let [Edit { path, base: None, change: Change::Replace(replaced), .. }] = edits.as_slice() else {
            panic!("{edits:?}")
        };
        assert_eq!((path.as_str(), replaced[0].start, replaced[0].end), ("a.md", 4, 12));
        assert_eq!(replaced[0].text, "docs/there.md");
        assert!(partial(b"[x](there.md)", &Input { link: true, ..input }).edits.is_empty());
    }

    #[test]
    fn two_documents_whose_names_differ_in_letters_only_are_said() {
        let input = Input { clashes: vec!["A.md".to_owned()], ..Input::of(Kind::Guide) };
        assert_eq!(rules(&partial(b"", &input)), ["document-case-clash"]);
    }
}
