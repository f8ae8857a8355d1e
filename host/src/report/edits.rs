//! Proposals to change files: put together where they fit, shown as a conflict where they clash.

use std::collections::BTreeMap;
use std::time::Duration;

use convoke_runtime::work::{self, Change, Replacement};
use sha2::{Digest, Sha256};
use similar::TextDiff;

use super::fingerprint::hex;
use super::{Edit, EditState};

/// The longest diff that a report carries, in bytes.
const LONGEST_DIFF: usize = 256 * 1024;

/// After so long a diff is made more roughly.
const DIFF_TIME: Duration = Duration::from_secs(2);

/// Puts the edits of all items together, file by file: `edits` are given with the ids of their items, in the order of
/// the plan; `read` gives the content of a file as it is now, or none.
///
/// Equal proposals are one. Replacements in different parts of the same text are one edit. Everything else that
/// concerns the same file is a conflict: each proposal is listed with it, none is chosen.
pub fn propose<'a>(
    edits: impl IntoIterator<Item = (&'a str, &'a work::Edit)>,
    read: impl Fn(&str) -> Option<Vec<u8>>,
) -> Vec<Edit> {
    let mut files: BTreeMap<&str, Vec<Edit>> = BTreeMap::new();
    for (item, edit) in edits {
        let path = edit.path.strip_prefix("./").unwrap_or(&edit.path);
        let proposals = files.entry(path).or_default();
        match proposals.iter_mut().find(|known| known.change == edit.change && known.base == edit.base) {
            Some(known) => remember(known, item, &edit.reason),
            None => proposals.push(Edit {
                path: path.to_owned(),
                items: vec![item.to_owned()],
                reasons: if edit.reason.is_empty() { Vec::new() } else { vec![edit.reason.clone()] },
                base: edit.base.clone(),
                change: edit.change.clone(),
                diff: None,
                conflict: None,
                state: EditState::Proposed,
                problem: None,
            }),
        }
    }
    files.into_values().flat_map(|proposals| one_file(proposals, &read)).collect()
}

/// Carries replacements out.
///
/// # Errors
///
/// What is wrong with them: out of range, inside a character, not ascending, overlapping.
pub fn replace(text: &str, replacements: &[Replacement]) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut position = 0;
    for replacement in replacements {
        let range = usize::try_from(replacement.start).ok().zip(usize::try_from(replacement.end).ok());
        let kept = range.and_then(|(start, end)| text.get(position..start).filter(|_| text.get(start..end).is_some()));
        let Some((kept, (_, end))) = kept.zip(range) else {
            return Err(format!(
                "bytes {} to {} can't be replaced: they are out of the file or of order, or inside a character",
                replacement.start, replacement.end
            ));
        };
        out.push_str(kept);
        out.push_str(&replacement.text);
        position = end;
    }
    out.push_str(text.get(position..).unwrap_or_default());
    Ok(out)
}

fn remember(known: &mut Edit, item: &str, reason: &str) {
    if !known.items.iter().any(|known| known == item) {
        known.items.push(item.to_owned());
    }
    if !reason.is_empty() && !known.reasons.iter().any(|known| known == reason) {
        known.reasons.push(reason.to_owned());
    }
}

fn one_file(mut proposals: Vec<Edit>, read: impl Fn(&str) -> Option<Vec<u8>>) -> Vec<Edit> {
    let now = proposals.first().and_then(|edit| read(&edit.path));
    if let Some(clash) = clash(&proposals) {
        for edit in &mut proposals {
            edit.conflict = Some(clash.clone());
        }
    } else if proposals.len() > 1 {
        proposals = joined(proposals);
    }
    for edit in &mut proposals {
        match preview(edit, now.as_deref()) {
            Ok(diff) => edit.diff = diff,
            Err(problem) => {
                edit.conflict.get_or_insert(problem);
            }
        }
        if edit.conflict.is_some() {
            edit.state = EditState::Conflict;
        }
    }
    proposals
}

/// Why these proposals for one file can't all be carried out.
fn clash(proposals: &[Edit]) -> Option<String> {
    let (first, others) = proposals.split_first()?;
    if others.is_empty() {
        return None;
    }
    let both = |other: &Edit| format!("{} and {}", first.items.join(", "), other.items.join(", "));
    for other in others {
        if !matches!((&first.change, &other.change), (Change::Replace(_), Change::Replace(_))) {
            return Some(format!("{} do different things to it", both(other)));
        }
        if first.base != other.base {
            return Some(format!("{} read different versions of it", both(other)));
        }
    }
    let mut all: Vec<(&Replacement, &Edit)> = Vec::new();
    for edit in proposals {
        if let Change::Replace(replacements) = &edit.change {
            all.extend(replacements.iter().map(|replacement| (replacement, edit)));
        }
    }
    all.sort_by_key(|(replacement, _)| (replacement.start, replacement.end));
    all.windows(2).find_map(|pair| {
        let ((one, of_one), (other, of_other)) = (pair[0], pair[1]);
        // Two insertions at one place don't overlap, but nobody knows which comes first.
        let overlap = other.start < one.end || other.start == one.start;
        let different = !std::ptr::eq(of_one, of_other) && one != other;
        (overlap && different).then(|| {
            format!("{} and {} change the same part of it", of_one.items.join(", "), of_other.items.join(", "))
        })
    })
}

/// Replacements that don't clash, as one edit.
fn joined(proposals: Vec<Edit>) -> Vec<Edit> {
    let mut proposals = proposals.into_iter();
    let Some(mut whole) = proposals.next() else { return Vec::new() };
    for edit in proposals {
        for item in &edit.items {
            remember(&mut whole, item, "");
        }
        for reason in &edit.reasons {
            let item = edit.items.first().cloned().unwrap_or_default();
            remember(&mut whole, &item, reason);
        }
        if let (Change::Replace(all), Change::Replace(more)) = (&mut whole.change, edit.change) {
            all.extend(more);
        }
    }
    if let Change::Replace(all) = &mut whole.change {
        all.sort_by_key(|replacement| (replacement.start, replacement.end));
        all.dedup();
    }
    vec![whole]
}

/// The edit as a diff against the file as it is now, or why it can't be carried out.
fn preview(edit: &Edit, now: Option<&[u8]>) -> Result<Option<String>, String> {
    let new = changed(&edit.change, edit.base.as_deref(), now)?;
    let old = if matches!(edit.change, Change::Create(_)) && edit.base.is_none() { None } else { now };
    Ok(unified(&edit.path, old, new.as_deref()))
}

/// What a change makes of a file; none: it is removed. `base` is the sha-256 in hex of what it is made against, none: of
/// no file. `now` is what is there.
///
/// # Errors
/// Why it can't be made: the file is another one by now, or what it says makes no sense.
pub fn changed(change: &Change, base: Option<&str>, now: Option<&[u8]>) -> Result<Option<Vec<u8>>, String> {
    if let (Some(base), Some(now)) = (base, now)
        && !base.eq_ignore_ascii_case(&hex(&Sha256::digest(now)))
    {
        return Err("the file has changed since it was read".to_owned());
    }
    match (change, now) {
        (Change::Create(_), Some(_)) if base.is_none() => Err("the file exists already".to_owned()),
        (Change::Create(_), None) if base.is_some() => Err("the file is not there any more".to_owned()),
        (Change::Create(text), _) => Ok(Some(text.clone().into_bytes())),
        (Change::Replace(_) | Change::Delete, _) if base.is_none() => {
            Err("it doesn't say what content it is made against".to_owned())
        }
        (Change::Replace(_) | Change::Delete, None) => Err("the file is not there, or can't be read".to_owned()),
        (Change::Replace(parts), Some(now)) => replace_bytes(now, parts).map(Some),
        (Change::Delete, Some(_)) => Ok(None),
    }
}

/// Carries replacements out: of text as text, of anything else as bytes.
fn replace_bytes(old: &[u8], replacements: &[Replacement]) -> Result<Vec<u8>, String> {
    if let Ok(text) = std::str::from_utf8(old) {
        return replace(text, replacements).map(String::into_bytes);
    }
    let mut out = Vec::with_capacity(old.len());
    let mut position = 0;
    for Replacement { start, end, text } in replacements {
        let range = usize::try_from(*start).ok().zip(usize::try_from(*end).ok());
        let kept = range.and_then(|(start, end)| old.get(position..start).filter(|_| old.get(start..end).is_some()));
        let Some((kept, (_, end))) = kept.zip(range) else {
            return Err(format!("bytes {start} to {end} can't be replaced: they are out of the file or of order"));
        };
        out.extend_from_slice(kept);
        out.extend_from_slice(text.as_bytes());
        position = end;
    }
    out.extend_from_slice(old.get(position..).unwrap_or_default());
    Ok(out)
}

/// A diff of two contents of a file, none of which is no file. None where it can't be shown: it is no text, or too long to
/// look at.
pub fn unified(path: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> Option<String> {
    let length = |content: Option<&[u8]>| content.map_or(0, <[u8]>::len);
    if length(old).max(length(new)) > 16 * LONGEST_DIFF {
        return None;
    }
    // A path with a line end in it could pass for a part of the diff.
    let path = crate::report::clean::line(path);
    let named = |content: Option<&[u8]>| if content.is_some() { path.as_str() } else { "/dev/null" };
    let (from, to) = (named(old), named(new));
    let old = std::str::from_utf8(old.unwrap_or_default()).ok()?;
    let new = std::str::from_utf8(new.unwrap_or_default()).ok()?;
    let diff = TextDiff::configure().timeout(DIFF_TIME).diff_lines(old, new);
    let text = diff.unified_diff().context_radius(3).header(from, to).to_string();
    (text.len() <= LONGEST_DIFF).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "one\ntwo\nthree\n";

    fn base() -> Option<String> {
        Some(hex(&Sha256::digest(TEXT.as_bytes())))
    }

    fn read(path: &str) -> Option<Vec<u8>> {
        (path == "a.md").then(|| TEXT.into())
    }

    fn edit(path: &str, base: Option<String>, change: Change) -> work::Edit {
        work::Edit { path: path.to_owned(), base, change, reason: "because".to_owned() }
    }

    fn replacing(ranges: &[(u64, u64, &str)]) -> work::Edit {
        let replacements =
            ranges.iter().map(|(start, end, text)| Replacement { start: *start, end: *end, text: (*text).to_owned() });
        edit("a.md", base(), Change::Replace(replacements.collect()))
    }

    fn proposed(edits: &[work::Edit]) -> Vec<Edit> {
        let items: Vec<String> = (1..=edits.len()).map(|number| format!("item-{number}")).collect();
        propose(items.iter().map(String::as_str).zip(edits), read)
    }

    #[test]
    fn edits_of_different_parts_become_one() {
        let edits = proposed(&[replacing(&[(4, 7, "TWO")]), replacing(&[(0, 3, "ONE")])]);
        assert_eq!(edits.len(), 1);
        assert_eq!(edits[0].items, ["item-1", "item-2"]);
        assert_eq!(edits[0].conflict, None);
        let diff = edits[0].diff.as_deref().unwrap();
        assert!(diff.contains("-one\n-two\n+ONE\n+TWO\n three"), "{diff}");
    }

    #[test]
    fn overlapping_edits_are_a_conflict_and_none_is_chosen() {
        let edits = proposed(&[replacing(&[(0, 5, "x")]), replacing(&[(4, 7, "y")])]);
        assert_eq!(edits.len(), 2);
        for edit in &edits {
            assert!(edit.conflict.as_deref().unwrap().contains("item-1 and item-2 change the same part"));
        }
    }

    #[test]
    fn two_insertions_at_one_place_are_a_conflict() {
        let edits = proposed(&[replacing(&[(4, 4, "x")]), replacing(&[(4, 4, "y")])]);
        assert!(edits.iter().all(|edit| edit.conflict.is_some()));
    }

    #[test]
    fn the_same_proposal_twice_is_one() {
        let edits = proposed(&[replacing(&[(0, 3, "x")]), replacing(&[(0, 3, "x")])]);
        assert_eq!((edits.len(), edits[0].items.len()), (1, 2));
        assert_eq!(edits[0].conflict, None);
    }

    #[test]
    fn changing_and_removing_a_file_is_a_conflict() {
        let edits = proposed(&[replacing(&[(0, 3, "x")]), edit("./a.md", base(), Change::Delete)]);
        assert_eq!(edits.len(), 2);
        assert!(edits.iter().all(|edit| edit.conflict.is_some()));
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_a_conflict() {
        let mut stale = replacing(&[(0, 3, "x")]);
        stale.base = Some("00".repeat(32));
        assert_eq!(proposed(&[stale])[0].conflict.as_deref(), Some("the file has changed since it was read"));
        assert_eq!(
            proposed(&[edit("a.md", None, Change::Create("x".to_owned()))])[0].conflict.as_deref(),
            Some("the file exists already")
        );
        assert_eq!(
            proposed(&[edit("gone.md", base(), Change::Delete)])[0].conflict.as_deref(),
            Some("the file is not there, or can't be read")
        );
    }

    #[test]
    fn a_new_and_a_removed_file_have_a_diff() {
        let new = proposed(&[edit("new.md", None, Change::Create("hello\n".to_owned()))]);
        assert_eq!(new[0].diff.as_deref(), Some("--- /dev/null\n+++ new.md\n@@ -0,0 +1 @@\n+hello\n"));
        let gone = proposed(&[edit("a.md", base(), Change::Delete)]);
        assert!(gone[0].diff.as_deref().unwrap().starts_with("--- a.md\n+++ /dev/null\n"));
    }

    #[test]
    fn nonsense_ranges_are_an_error_and_no_panic() {
        let nonsense: &[&[(u64, u64, &str)]] =
            &[&[(5, 3, "")], &[(0, 999, "")], &[(u64::MAX, u64::MAX, "")], &[(4, 5, ""), (1, 2, "")]];
        for ranges in nonsense {
            assert!(proposed(&[replacing(ranges)])[0].conflict.is_some(), "{ranges:?}");
        }
        let bytes = replace_bytes(b"a\xffb", &[Replacement { start: 2, end: 3, text: "c".to_owned() }]);
        assert_eq!(bytes.as_deref(), Ok(b"a\xffc".as_slice()), "what is no text is replaced by its bytes");
        assert!(replace_bytes(b"\xff", &[Replacement { start: 1, end: 9, text: String::new() }]).is_err());
        let inside_a_character = [Replacement { start: 1, end: 2, text: String::new() }];
        assert!(replace("é", &inside_a_character).is_err());
    }
}
