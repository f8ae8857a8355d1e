//! What of a writer's answer becomes an edit: only what stands once in the document, and is proved.

use convoke_sdk::prelude::*;
use convoke_sdk::text::{line_at, shown};

use crate::check;
use crate::markdown::Place;
use crate::question::{Code, Drift, Review};
use crate::rules::Repair;
use crate::seen::Seen;

/// The most places of one answer that are looked at.
const MOST: usize = 20;
/// The longest text that is put into a document, in bytes, and the longest message, in characters.
const LONGEST: usize = 8_000;
const LONGEST_MESSAGE: usize = 400;
/// A shorter proof proves nothing. Characters.
const SHORTEST_PROOF: usize = 3;

/// What became of an answer.
#[derive(Debug, Default)]
pub struct Taken {
    /// Drifts, and proposals that don't fit.
    pub findings: Vec<Finding>,
    /// Edits of the document, as it is on disk.
    pub edits: Vec<Edit>,
    /// Proposals that don't fit.
    pub unfit: u32,
}

/// Takes an answer about a document, of which the writer has seen `seen` and that code.
pub fn take(path: &str, original: &str, seen: &Seen, code: &[Code], review: Review, source: &Source) -> Taken {
    let mut taken = Taken::default();
    let mut repairs: Vec<Repair> = Vec::new();
    for drift in review.drifts.into_iter().take(MOST) {
        let reason = shown(&drift.reason, LONGEST_MESSAGE);
        match fit(original, seen, code, &drift, &repairs) {
            Ok((place, proved)) => {
                let proof = format!("{}:{proved}", shown(&drift.path, 200));
                let message = if reason.is_empty() { "The code says something else".to_owned() } else { reason };
                taken.findings.push(
                    Finding::new("drift", Severity::Medium, message.as_str())
                        .at(path, place.line)
                        .by(source.clone())
                        .fingerprint(format!("drift {path} {}", shown(&drift.quote, LONGEST_MESSAGE)))
                        .help(format!("{proof} says “{}”", shown(&drift.proof, 200))),
                );
                repairs.push(Repair { place, text: drift.replacement, reason: format!("{message} ({proof})") });
            }
            Err(why) => {
                taken.unfit += 1;
                let message = format!("A proposal doesn't fit and was left: {why}. It was: {reason}");
                taken
                    .findings
                    .push(Finding::new("proposal-unfit", Severity::Info, message).in_file(path).by(source.clone()));
            }
        }
    }
    taken.edits = check::edits(path, &repairs);
    taken
}

/// Where the drift stands in the file, and the line that proves it; or why it doesn't fit.
fn fit(original: &str, seen: &Seen, code: &[Code], drift: &Drift, taken: &[Repair]) -> Result<(Place, u32), String> {
    if drift.quote.trim().is_empty() {
        return Err("it quotes nothing of the document".to_owned());
    }
    let mut places = seen.text.match_indices(&drift.quote).map(|(at, _)| at);
    let at = match (places.next(), places.next()) {
        (None, _) => return Err("its quote doesn't stand in the document".to_owned()),
        (Some(_), Some(_)) => return Err("its quote stands in the document more than once".to_owned()),
        (Some(at), None) => at,
    };
    let range = at..at + drift.quote.len();
    let range = seen.back(range).ok_or("another edit has changed what it quotes")?;
    if taken.iter().any(|repair| repair.place.start < range.end && range.start < repair.place.end) {
        return Err("another proposal changes the same words".to_owned());
    }
    if drift.replacement == drift.quote {
        return Err("it changes nothing".to_owned());
    }
    if drift.replacement.len() > LONGEST {
        return Err(format!("it would put in more than {LONGEST} bytes"));
    }
    let acts = |char: char| char.is_control() && !matches!(char, '\n' | '\t');
    if drift.replacement.chars().any(acts) || drift.replacement.contains("[redacted:") {
        return Err("it would put in what is no text".to_owned());
    }
    let file = code.iter().find(|file| file.path == drift.path).ok_or("it names a file that it was not given")?;
    let proof = drift.proof.trim();
    if proof.chars().count() < SHORTEST_PROOF {
        return Err("it quotes no code".to_owned());
    }
    let proofs = file.text.match_indices(proof).map(|(at, _)| line_at(&file.text, at)).take(1_000);
    let proved =
        proofs.min_by_key(|line| line.abs_diff(drift.line)).ok_or("the code that it quotes doesn't stand there")?;
    let line = line_at(original, range.start);
    Ok((Place { start: range.start, end: range.end, line }, proved))
}

#[cfg(test)]
mod tests {
    use super::*;
    use convoke_sdk::{Change, Replacement};

    const TEXT: &str = "# Use\n\nIt listens on port 8080.\nRun it. Run it.\n";

    fn drift(quote: &str, replacement: &str) -> Drift {
        Drift {
            quote: quote.to_owned(),
            replacement: replacement.to_owned(),
            reason: "The port is 9090.".to_owned(),
            path: "src/main.rs".to_owned(),
            line: 2,
            proof: "const PORT: u16 = 9090;".to_owned(),
        }
    }

    fn taken_after(drifts: Vec<Drift>, edits: &[Edit]) -> Taken {
        let code = [Code { path: "src/main.rs".to_owned(), text: "//\nconst PORT: u16 = 9090;\n".to_owned() }];
        let seen = Seen::new(TEXT, "a.md", edits);
        take("a.md", TEXT, &seen, &code, Review { drifts }, &Source::Model)
    }

    fn taken(drift: Drift) -> Taken {
        taken_after(vec![drift], &[])
    }

    #[test]
    fn what_is_quoted_once_and_proved_is_an_edit() {
        let taken = taken(drift("port 8080", "port 9090"));
        let [Edit { path, change: Change::Replace(replaced), reason, .. }] = taken.edits.as_slice() else {
            panic!("{taken:?}")
        };
        assert_eq!((path.as_str(), reason.as_str()), ("a.md", "The port is 9090. (src/main.rs:2)"));
        assert_eq!(&TEXT[replaced[0].start as usize..replaced[0].end as usize], "port 8080");
        assert_eq!((taken.findings[0].rule.as_str(), taken.findings[0].line), ("drift", Some(3)));
    }

    #[test]
    fn what_does_not_fit_is_said_and_never_an_edit() {
        let good = || drift("port 8080", "port 9090");
        for (drift, why) in [
            (drift("port 80800", "x"), "doesn't stand in the document"),
            (drift("Run it.", "x"), "more than once"),
            (drift(" ", "x"), "quotes nothing"),
            (drift("port 8080", "port 8080"), "changes nothing"),
            (drift("port 8080", "\u{1b}[31m"), "no text"),
            (drift("port 8080", &"x".repeat(9_000)), "more than 8000 bytes"),
            (Drift { path: "../../etc/passwd".to_owned(), ..good() }, "was not given"),
            (Drift { proof: "const PORT: u16 = 1;".to_owned(), ..good() }, "doesn't stand there"),
            (Drift { proof: " ".to_owned(), ..good() }, "quotes no code"),
        ] {
            let taken = taken(drift);
            assert!(taken.edits.is_empty(), "{why}");
            assert_eq!((taken.findings[0].rule.as_str(), taken.unfit), ("proposal-unfit", 1));
            assert!(taken.findings[0].message.contains(why), "{}", taken.findings[0].message);
        }
    }

    #[test]
    fn of_two_that_change_the_same_words_one_is_taken() {
        let twice = taken_after(vec![drift("port 8080", "port 9090"), drift("on port 8080.", "on port 1.")], &[]);
        assert_eq!((twice.edits.len(), twice.unfit), (1, 1));
        let at = TEXT.find("8080").expect("there") as u64;
        let change = Change::Replace(vec![Replacement { start: at, end: at + 4, text: "9090".to_owned() }]);
        let before = Edit { path: "a.md".to_owned(), base: None, change, reason: String::new(), extra: Vec::new() };
        let after = taken_after(vec![drift("port 9090", "port 1"), drift("port 8080", "port 2")], &[before]);
        assert_eq!((after.edits.len(), after.unfit), (0, 2));
    }

    #[test]
    fn an_endless_answer_is_bounded() {
        let many = taken_after((0..1_000).map(|_| drift("gone", "x")).collect(), &[]);
        assert_eq!(many.findings.len(), MOST);
    }
}
