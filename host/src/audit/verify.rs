//! Whether the log is as it was written.
//!
//! Each line is compared with its hash, and each with the one before it. That finds what was changed, taken out, moved or
//! put in, as long as somebody did not write all lines anew from there to the end, or add some there: against that only a
//! hash helps that is kept elsewhere ([`Anchor`]). Such are the head beside the files, the reports in the journal, and what
//! a user has kept.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::AuditError;
use super::lines::{Lines, Part};
use super::log::Head;
use super::read::Source;
use super::record::{Line, NOTHING_BEFORE, NoLine, kind};
pub use super::verdict::{Anchor, Said, Verdict, Wrong};
use crate::plugin::sha256_hex;

/// So many problems and notes are kept; the others are counted.
const MOST_SAID: usize = 1_000;

/// So many gaps are remembered, in case that what is missing turns up later.
const MOST_GAPS: usize = 10_000;

/// Looks through a log. Where its oldest files were removed since it was taken up, it is taken up once more.
///
/// # Errors
/// A file can't be read.
pub fn verify(source: &Source, anchors: &[Anchor]) -> Result<Verdict, AuditError> {
    let failed = |(path, error): (PathBuf, io::Error)| AuditError::io(path, &error);
    match look_through(source, anchors) {
        // The lock of who writes is not held meanwhile: it takes longer than they wait. What tells of the removal stands
        // there now.
        Err((_, error)) if error.kind() == io::ErrorKind::NotFound && source.is_whole_log => {
            look_through(&Source::of_folder(&source.folder)?, anchors).map_err(failed)
        }
        looked => looked.map_err(failed),
    }
}

fn look_through(source: &Source, anchors: &[Anchor]) -> Result<Verdict, (PathBuf, io::Error)> {
    let mut check = Check::new(source, anchors);
    for (number, (path, length)) in source.files.iter().enumerate() {
        let failed = |error| (path.clone(), error);
        let mut lines = Lines::new(BufReader::with_capacity(1 << 16, File::open(path).map_err(failed)?), *length);
        let mut place = Place { path, line: 0, is_last_file: number + 1 == source.files.len() };
        while let Some(part) = lines.next().map_err(failed)? {
            place.line += 1;
            match part {
                Part::Whole(bytes) => check.whole(place, bytes),
                Part::Torn(bytes) => check.torn(place, bytes),
                Part::TooLong(length) => {
                    check.wrong(Wrong::Unreadable, place, format!("this is no record: it has {length} bytes"));
                }
            }
        }
    }
    Ok(check.end())
}

/// Whether a hash that is known from elsewhere was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sought {
    /// Not yet.
    Not,
    /// Where it should be.
    Found,
    /// Another one stands in its place, which was said.
    Other,
}

#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a Path,
    line: u64,
    is_last_file: bool,
}

/// A line that is none, until it is known whether the end of a process has cut it off.
struct Fragment<'a> {
    place: Place<'a>,
    bytes: usize,
    sha256: String,
}

/// Records that are not there.
struct Gap {
    from: u64,
    to: u64,
    path: PathBuf,
    line: u64,
}

struct Check<'a> {
    source: &'a Source,
    verdict: Verdict,
    /// The one that has come furthest.
    last: Option<(u64, String)>,
    gaps: Vec<Gap>,
    fragments: Vec<Fragment<'a>>,
    /// What came before the first line, by its own word.
    before: String,
    /// The last hashes of files that the log says it has removed.
    pruned: Vec<String>,
    /// The last of the lines that a rotation has written at the beginning of a file: the file and the line.
    opening: Option<(&'a Path, u64)>,
    anchors: Vec<(Anchor, Sought)>,
    by_hash: HashMap<String, Vec<usize>>,
    by_number: HashMap<u64, Vec<usize>>,
}

impl<'a> Check<'a> {
    fn new(source: &'a Source, anchors: &[Anchor]) -> Self {
        let of_head = |head: &Head| Anchor {
            sequence: Some(head.sequence).filter(|sequence| *sequence > 0),
            hash: head.hash.clone(),
            from: "the head beside it".to_owned(),
        };
        let all = source.head.iter().filter(|head| head.sequence > 0).map(of_head).chain(anchors.iter().cloned());
        let anchors: Vec<(Anchor, Sought)> = all.map(|anchor| (anchor, Sought::Not)).collect();
        let (mut by_hash, mut by_number): (HashMap<_, Vec<usize>>, HashMap<_, Vec<usize>>) = Default::default();
        for (index, (anchor, _)) in anchors.iter().enumerate() {
            by_hash.entry(anchor.hash.clone()).or_default().push(index);
            if let Some(sequence) = anchor.sequence {
                by_number.entry(sequence).or_default().push(index);
            }
        }
        let verdict = Verdict { files: source.files.len(), ..Verdict::default() };
        let (last, gaps, fragments, pruned, opening) = Default::default();
        let before = NOTHING_BEFORE.to_owned();
        Self { source, verdict, last, gaps, fragments, before, pruned, opening, anchors, by_hash, by_number }
    }

    fn wrong(&mut self, wrong: Wrong, place: Place<'_>, message: String) {
        self.wrong_at(wrong, place.path, Some(place.line), message);
    }

    fn wrong_at(&mut self, wrong: Wrong, path: &Path, line: Option<u64>, message: String) {
        if self.verdict.problems.len() < MOST_SAID {
            self.verdict.problems.push(Said { wrong: Some(wrong), file: path.to_owned(), line, message });
        } else {
            self.verdict.more += 1;
        }
    }

    fn note(&mut self, path: &Path, line: Option<u64>, message: String) {
        if self.verdict.notes.len() < MOST_SAID {
            self.verdict.notes.push(Said { wrong: None, file: path.to_owned(), line, message });
        }
    }

    fn torn(&mut self, place: Place<'a>, bytes: &[u8]) {
        if place.is_last_file {
            let message = format!(
                "the last line was cut off after {} bytes, as by the end of the process that wrote it: it is no record",
                bytes.len()
            );
            self.note(place.path, Some(place.line), message);
        } else {
            self.fragments.push(Fragment { place, bytes: bytes.len(), sha256: sha256_hex(bytes) });
        }
    }

    fn whole(&mut self, place: Place<'a>, bytes: &[u8]) {
        let line = match Line::read(bytes) {
            Ok(line) => line,
            Err(NoLine::Newer(version)) => {
                let message = format!("it is of version {version}, which this convoke can't read");
                return self.wrong(Wrong::Unreadable, place, message);
            }
            Err(NoLine::Unreadable) => {
                self.fragments.push(Fragment { place, bytes: bytes.len(), sha256: sha256_hex(bytes) });
                return;
            }
        };
        self.settle_fragments(place, &line);
        self.verdict.records += 1;
        if !line.is_whole(bytes) {
            let message = format!("record {} was changed: its hash is not that of the line", line.seq);
            self.wrong(Wrong::Changed, place, message);
        }
        self.in_its_place(place, &line);
        self.known_of_old(place, &line);
        self.say_what_it_says(place, &line);
    }

    /// A fragment that the log itself tells of was cut off by the end of its process.
    fn settle_fragments(&mut self, place: Place<'_>, line: &Line) {
        if self.fragments.is_empty() {
            return;
        }
        if line.kind == kind::LOG_TORN {
            let is_it = |fragment: &Fragment<'_>| {
                line.detail("sha256") == Some(fragment.sha256.as_str())
                    && line.details.get("bytes").and_then(serde_json::Value::as_u64) == Some(fragment.bytes as u64)
            };
            if let Some(found) = self.fragments.iter().position(is_it) {
                let fragment = self.fragments.remove(found);
                let message = format!(
                    "this line was cut off by the end of the process that wrote it, as record {} in line {} says",
                    line.seq, place.line
                );
                self.note(fragment.place.path, Some(fragment.place.line), message);
            }
        } else if !line.kind.starts_with("log.") {
            self.fragments_are_wrong();
        }
    }

    fn fragments_are_wrong(&mut self) {
        for Fragment { place, bytes, .. } in std::mem::take(&mut self.fragments) {
            let message = format!("this is no record ({bytes} bytes), and no record tells how it came there");
            self.wrong(Wrong::Unreadable, place, message);
        }
    }

    /// Whether it follows the one before.
    fn in_its_place(&mut self, place: Place<'_>, line: &Line) {
        let Some((last, hash)) = &self.last else {
            self.verdict.first = Some(line.seq);
            self.before.clone_from(&line.prev);
            if line.seq == 1 && line.prev != NOTHING_BEFORE {
                let message = "the first record names one before it".to_owned();
                self.wrong(Wrong::Foreign, place, message);
            }
            self.last = Some((line.seq, line.hash.clone()));
            return;
        };
        let (last, expected) = (*last, *last + 1);
        if line.seq == expected {
            if line.prev != *hash {
                let message = format!(
                    "record {} does not follow from record {last} as it stands there: one of the two was put there by \
                     somebody else",
                    line.seq
                );
                self.wrong(Wrong::Foreign, place, message);
            }
        } else if line.seq > expected {
            let (from, to) = (expected, line.seq - 1);
            if self.gaps.len() < MOST_GAPS {
                self.gaps.push(Gap { from, to, path: place.path.to_owned(), line: place.line });
            } else {
                let message = format!("{} missing before it", records(from, to));
                self.wrong(Wrong::Missing, place, message);
            }
        } else {
            self.out_of_place(place, line, last);
            return;
        }
        self.last = Some((line.seq, line.hash.clone()));
    }

    fn out_of_place(&mut self, place: Place<'_>, line: &Line, last: u64) {
        let Some(index) = self.gaps.iter().position(|gap| (gap.from..=gap.to).contains(&line.seq)) else {
            let message =
                format!("record {} stands after record {last}, where its number was before already", line.seq);
            return self.wrong(Wrong::Repeated, place, message);
        };
        let Gap { from, to, path, line: at } = self.gaps.swap_remove(index);
        if from < line.seq {
            self.gaps.push(Gap { from, to: line.seq - 1, path: path.clone(), line: at });
        }
        if line.seq < to {
            self.gaps.push(Gap { from: line.seq + 1, to, path, line: at });
        }
        let message = format!("record {} stands after record {last}: it was moved", line.seq);
        self.wrong(Wrong::Moved, place, message);
    }

    /// Whether a hash that is known from elsewhere is this one, or should be.
    fn known_of_old(&mut self, place: Place<'_>, line: &Line) {
        if let Some(found) = self.by_hash.get(&line.hash) {
            for index in found {
                self.anchors[*index].1 = Sought::Found;
            }
        }
        let Some(found) = self.by_number.get(&line.seq).cloned() else { return };
        for index in found {
            let (anchor, sought) = &mut self.anchors[index];
            if anchor.hash != line.hash && *sought == Sought::Not {
                *sought = Sought::Other;
                let message = format!("record {} had another hash by {}: {}", line.seq, anchor.from, anchor.hash);
                self.wrong(Wrong::Unknown, place, message);
            }
        }
    }

    /// Whether a line is among those that a rotation writes at the beginning of a file.
    fn is_of_a_rotation(&mut self, place: Place<'a>, line: &Line) -> bool {
        let is_of_one = match line.kind.as_str() {
            kind::LOG_ROTATED => place.line == 1,
            kind::LOG_PRUNED => self.opening == Some((place.path, place.line - 1)),
            _ => false,
        };
        if is_of_one {
            self.opening = Some((place.path, place.line));
        }
        is_of_one
    }

    /// Files are only removed by a rotation, when it has said so and the head knows of that. Said elsewhere it is an excuse
    /// for somebody else who has removed them.
    fn removed(&mut self, place: Place<'_>, line: &Line, is_of_a_rotation: bool) {
        if !is_of_a_rotation {
            let message =
                format!("record {} says that {} was removed, where no rotation says so", line.seq, line.subject);
            self.wrong(Wrong::Foreign, place, message);
        } else if self.source.head.as_ref().is_none_or(|head| line.seq <= head.sequence) {
            self.pruned.extend(line.detail("last_hash").map(str::to_owned));
        }
    }

    /// What the log tells of itself.
    fn say_what_it_says(&mut self, place: Place<'a>, line: &Line) {
        let number = |name: &str| line.details.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
        let is_of_a_rotation = self.is_of_a_rotation(place, line);
        match line.kind.as_str() {
            kind::LOG_PRUNED => self.removed(place, line, is_of_a_rotation),
            kind::LOG_HEAD_LOST => {
                let message = "until here nothing tells whether the end was cut off: the head was gone".to_owned();
                self.note(place.path, Some(place.line), message);
            }
            kind::LOG_LOST => {
                let message = format!("up to {} records before this one could not be written", number("at_most"));
                self.note(place.path, Some(place.line), message);
            }
            kind::LOG_TRUNCATED => {
                let message = format!(
                    "when this was written the end of {} was gone, up to record {}: cut off, or lost with the power",
                    line.subject,
                    number("had_sequence")
                );
                self.note(place.path, Some(place.line), message);
            }
            kind::LOG_DAMAGED => {
                let message = format!("when this was written a line of {} could not be read", line.subject);
                self.note(place.path, Some(place.line), message);
            }
            _ => {}
        }
    }

    fn end(mut self) -> Verdict {
        self.fragments_are_wrong();
        let mut gaps = std::mem::take(&mut self.gaps);
        gaps.sort_by_key(|gap| gap.from);
        for Gap { from, to, path, line } in gaps {
            self.wrong_at(Wrong::Missing, &path, Some(line), format!("{} missing before it", records(from, to)));
        }
        let first_path = self.source.files.first().map(|(path, _)| path.clone()).unwrap_or_default();
        if let Some(first) = self.verdict.first.filter(|first| *first > 1) {
            let mut is_anchored = false;
            for (_, sought) in self.anchors.iter_mut().filter(|(anchor, _)| anchor.hash == self.before) {
                (is_anchored, *sought) = (true, Sought::Found);
            }
            let (before, is_whole_log) = (records(1, first - 1), self.source.is_whole_log);
            if self.pruned.contains(&self.before) {
                self.note(&first_path, Some(1), format!("{before} no longer kept, as the log itself says"));
            } else if is_anchored {
                self.note(
                    &first_path,
                    Some(1),
                    format!("{before} not here; the hash that you gave is that of the last"),
                );
            } else if is_whole_log {
                let message = format!("{before} missing, and no rotation says that it removed their files");
                self.wrong_at(Wrong::Missing, &first_path, Some(1), message);
            } else {
                self.note(&first_path, Some(1), format!("{before} in none of the files that were named"));
            }
        }
        self.ask_the_anchors();
        self.compare_with_the_head();
        self.verdict.last = self.last;
        self.verdict
    }

    /// What the head doesn't tell. Who writes holds its lock until it has moved, so only an end in between leaves it behind.
    fn compare_with_the_head(&mut self) {
        let last = self.last.as_ref().map_or(0, |(sequence, _)| *sequence);
        let path = |file: Option<&(PathBuf, u64)>| file.map(|(path, _)| path.clone()).unwrap_or_default();
        match &self.source.head {
            None if self.source.is_whole_log && self.verdict.records > 0 => {
                let message = "the head is not there: nothing beside the journal tells whether the end was cut off";
                self.note(&path(self.source.files.first()), None, message.to_owned());
            }
            Some(head) if head.sequence < last => {
                let message = format!(
                    "{} not known to the head: whoever wrote there ended in the middle of it, or it was not convoke",
                    records(head.sequence + 1, last)
                );
                self.note(&path(self.source.files.last()), None, message);
            }
            _ => {}
        }
    }

    /// What is known from elsewhere and was not found.
    fn ask_the_anchors(&mut self) {
        let path = self.source.files.last().map(|(path, _)| path.clone()).unwrap_or_else(|| self.source.folder.clone());
        let (first, last) = (self.verdict.first.unwrap_or(1), self.last.as_ref().map_or(0, |(sequence, _)| *sequence));
        let mut older = 0_usize;
        let mut missing = Vec::new();
        for (anchor, sought) in &self.anchors {
            match anchor.sequence {
                _ if *sought != Sought::Not => {}
                Some(sequence) if sequence < first => older += 1,
                Some(sequence) if sequence > last => missing.push((sequence, anchor)),
                _ => missing.push((0, anchor)),
            }
        }
        let mut said = Vec::new();
        // Whoever knows of the last one knows of those before.
        if let Some((sequence, anchor)) =
            missing.iter().filter(|(sequence, _)| *sequence > 0).max_by_key(|(sequence, _)| *sequence)
        {
            let message = format!(
                "the end is missing: {} gone at least. Record {sequence} is known from {}, with the hash {}",
                records(last + 1, *sequence),
                anchor.from,
                anchor.hash
            );
            said.push((Wrong::Truncated, message));
        }
        for (_, anchor) in missing.iter().filter(|(sequence, _)| *sequence == 0) {
            let message = format!("no record has the hash {} that is known from {}", anchor.hash, anchor.from);
            said.push((Wrong::Unknown, message));
        }
        for (wrong, message) in said {
            self.wrong_at(wrong, &path, None, message);
        }
        if older > 0 {
            self.note(&path, None, format!("{older} hashes of the journal are older than what is kept here"));
        }
        self.verdict.confirmed = self.anchors.iter().filter(|(_, sought)| *sought == Sought::Found).count();
    }
}

fn records(from: u64, to: u64) -> String {
    if from == to { format!("record {from} is") } else { format!("records {from} to {to} are") }
}
