//! A file by its lines, none of which is kept longer than one may be.

use std::io::{self, BufRead, Read as _};

use super::record::LONGEST_LINE;

/// A part of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// A line, without its line break.
    Whole(&'a [u8]),
    /// What has no line break: the end.
    Torn(&'a [u8]),
    /// A line that is longer than any of ours; its length in bytes.
    TooLong(u64),
}

/// Reads the parts.
pub(super) struct Lines<R> {
    reader: io::Take<R>,
    line: Vec<u8>,
    torn: bool,
}

impl<R: BufRead> Lines<R> {
    /// Of at most so many bytes.
    pub(super) fn new(reader: R, most: u64) -> Self {
        Self { reader: reader.take(most), line: Vec::new(), torn: false }
    }

    /// The next one; none: it is over.
    pub(super) fn next(&mut self) -> io::Result<Option<Part<'_>>> {
        self.line.clear();
        let read = (&mut self.reader).take(LONGEST_LINE as u64 + 1).read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        if self.line.pop_if(|last| *last == b'\n').is_some() {
            return Ok(Some(Part::Whole(&self.line)));
        }
        if read <= LONGEST_LINE {
            self.torn = true;
            return Ok(Some(Part::Torn(&self.line)));
        }
        let mut length = read as u64;
        loop {
            let buffer = self.reader.fill_buf()?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(buffer.len(), |end| end + 1);
            self.torn = buffer.is_empty();
            let is_over = self.torn || end.is_some();
            self.reader.consume(used);
            length += used as u64;
            if is_over {
                return Ok(Some(Part::TooLong(length)));
            }
        }
    }

    /// Whether the last part had no line break.
    pub(super) fn is_torn(&self) -> bool {
        self.torn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_its_lines_and_what_was_cut_off() {
        let long = "x".repeat(LONGEST_LINE + 10);
        let text = format!("one\n\n{long}\ntwo\nthr");
        let mut lines = Lines::new(text.as_bytes(), u64::MAX);
        assert_eq!(lines.next().unwrap(), Some(Part::Whole(b"one")));
        assert_eq!(lines.next().unwrap(), Some(Part::Whole(b"")));
        assert_eq!(lines.next().unwrap(), Some(Part::TooLong(long.len() as u64 + 1)));
        assert_eq!(lines.next().unwrap(), Some(Part::Whole(b"two")));
        assert_eq!(lines.next().unwrap(), Some(Part::Torn(b"thr")));
        assert_eq!(lines.next().unwrap(), None);
        assert!(lines.is_torn());
    }

    #[test]
    fn no_more_is_read_than_was_asked_for() {
        let mut lines = Lines::new(&b"one\ntwo\n"[..], 4);
        assert_eq!(lines.next().unwrap(), Some(Part::Whole(b"one")));
        assert_eq!(lines.next().unwrap(), None);
    }
}
