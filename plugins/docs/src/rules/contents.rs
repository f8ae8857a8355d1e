//! A table of contents against the headings: a list of links to places of the same document.

use std::collections::{HashMap, HashSet};

use convoke_sdk::prelude::*;
use convoke_sdk::text::shown;

use super::Found;
use crate::markdown::{Document, Heading};
use crate::slug::{plain, slug};

/// A list of links is a table of contents from so many on.
const FEWEST: usize = 3;
/// Of the headings of a level so many must be listed for the others to be missing, in percent.
const SHARE: usize = 60;
/// The most headings that one finding names.
const MOST_NAMED: usize = 5;
/// Names of the heading above it.
const NAMES: [&str; 8] =
    ["contents", "table-of-contents", "toc", "index", "overview", "on-this-page", "inhalt", "inhaltsverzeichnis"];

/// An entry: the text of the link, the index of the heading that it leads to, its line.
struct Entry<'a> {
    text: &'a str,
    heading: Option<usize>,
    line: u32,
}

/// Compares the tables of contents of a document with its headings.
pub fn check(path: &str, text: &str, document: &Document) -> Found {
    let mut found = Found::default();
    let names: HashMap<String, &Heading> =
        document.headings.iter().rev().map(|heading| (slug(&heading.text), heading)).collect();
    for table in tables(text, document) {
        found.judged += 1;
        found.findings.extend(missing(path, document, &table));
        found.findings.extend(out_of_order(path, document, &table));
        found.findings.extend(table.iter().filter_map(|entry| misnamed(path, document, &names, entry)));
    }
    found
}

/// Runs of lines that are each an entry of a list and a link to a place of the document.
fn tables<'a>(text: &str, document: &'a Document) -> Vec<Vec<Entry<'a>>> {
    let lines: Vec<&str> = text.lines().collect();
    let line_of = |line: u32| lines.get((line as usize).saturating_sub(1)).copied().unwrap_or_default();
    let slugs: HashMap<String, usize> =
        document.headings.iter().enumerate().rev().map(|(index, heading)| (plain(&heading.slug), index)).collect();
    let mut tables: Vec<Vec<Entry>> = Vec::new();
    let mut last = 0;
    for link in &document.links {
        let line = line_of(link.place.line);
        let Some(place) = link.target.strip_prefix('#').filter(|_| !link.image && is_entry(line)) else { continue };
        let heading = slugs.get(&plain(&super::target::decode(place))).copied();
        let entry = Entry { text: &link.text, heading, line: link.place.line };
        let between = (last + 1..link.place.line).all(|between| line_of(between).trim().is_empty());
        match tables.last_mut() {
            Some(table) if between => table.push(entry),
            _ => tables.push(vec![entry]),
        }
        last = link.place.line;
    }
    tables.retain(|table| table.len() >= FEWEST && is_contents(document, table));
    tables
}

/// A line of a list that holds a link and nothing else.
fn is_entry(line: &str) -> bool {
    let line = line.trim();
    let rest = line.trim_start_matches(|char: char| char.is_ascii_digit());
    let marker =
        if rest.len() < line.len() { rest.strip_prefix(['.', ')']) } else { rest.strip_prefix(['-', '*', '+']) };
    marker.is_some_and(|rest| {
        rest.trim_start().starts_with('[') && rest.ends_with(')') && rest.matches("](").count() == 1
    })
}

/// Whether it stands below a heading of such a name, or before all that it lists.
fn is_contents(document: &Document, table: &[Entry]) -> bool {
    let Some(first) = table.first() else { return false };
    // Headings stand in their order.
    let count = document.headings.partition_point(|heading| heading.place.line < first.line);
    let above = count.checked_sub(1).and_then(|index| document.headings.get(index));
    let is_named = above.is_some_and(|heading| NAMES.contains(&slug(&heading.text).trim_matches('-')));
    let is_title = above.is_none_or(|heading| heading.level == 1);
    let is_before = table
        .iter()
        .filter_map(|entry| document.headings.get(entry.heading?))
        .all(|heading| heading.place.line > first.line);
    (is_named || is_title) && is_before
}

/// Headings of a level that is listed, but for them.
fn missing(path: &str, document: &Document, table: &[Entry]) -> Option<Finding> {
    let last = table.last()?.line;
    let after: Vec<(usize, &Heading)> =
        document.headings.iter().enumerate().filter(|(_, heading)| heading.place.line > last).collect();
    let listed: HashSet<usize> = table.iter().filter_map(|entry| entry.heading).collect();
    let mut missing: Vec<&str> = Vec::new();
    // The level that the table is about: the uppermost that it lists.
    let level = listed.iter().filter_map(|index| document.headings.get(*index)).map(|heading| heading.level).min()?;
    let of_level: Vec<usize> =
        after.iter().filter(|(_, heading)| heading.level == level).map(|(index, _)| *index).collect();
    let count = of_level.iter().filter(|index| listed.contains(index)).count();
    if count * 100 >= of_level.len() * SHARE {
        let names = of_level.iter().filter(|index| !listed.contains(index));
        missing.extend(names.filter_map(|index| document.headings.get(*index)).map(|heading| heading.text.as_str()));
    }
    let first = table.first()?;
    if missing.is_empty() {
        return None;
    }
    let named: Vec<String> = missing.iter().take(MOST_NAMED).map(|name| format!("“{}”", shown(name, 80))).collect();
    let more = missing.len().saturating_sub(MOST_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let message = format!("The table of contents doesn't list {}{more}", named.join(", "));
    Some(Finding::new("contents-missing", Severity::Low, message).at(path, first.line))
}

/// The first entry that leads further up than the one before it.
fn out_of_order(path: &str, document: &Document, table: &[Entry]) -> Option<Finding> {
    let known: Vec<(&Entry, &Heading)> =
        table.iter().filter_map(|entry| Some((entry, document.headings.get(entry.heading?)?))).collect();
    let (before, entry) = known.windows(2).find_map(|pair| match pair {
        [(before, first), (entry, second)] if first.place.start > second.place.start => Some((before, entry)),
        _ => None,
    })?;
    let message = format!(
        "The table of contents lists “{}” after “{}”, which comes later",
        shown(entry.text, 80),
        shown(before.text, 80)
    );
    Some(Finding::new("contents-order", Severity::Low, message).at(path, entry.line))
}

/// An entry that is called as another heading than the one to which it leads.
fn misnamed(path: &str, document: &Document, names: &HashMap<String, &Heading>, entry: &Entry) -> Option<Finding> {
    let target = document.headings.get(entry.heading?)?;
    let name = slug(entry.text);
    let other = names.get(&name).filter(|_| !name.is_empty())?;
    if slug(&target.text) == name {
        return None;
    }
    let message = format!(
        "“{}” of the table of contents leads to “{}”, and there is a heading of its name in line {}",
        shown(entry.text, 80),
        shown(&target.text, 80),
        other.place.line
    );
    Some(
        Finding::new("contents-misnamed", Severity::Low, message)
            .at(path, entry.line)
            .help(format!("Link to #{}", other.slug)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::markdown::parse;

    fn checked(text: &str) -> Vec<String> {
        let found = check("a.md", text, &parse(text));
        found.findings.iter().map(|finding| format!("{} {}", finding.line.unwrap_or(0), finding.rule)).collect()
    }

    const BODY: &str = "\n## One\n### Inner\n## Two\n## Three\n## Four\n";

    #[test]
    fn a_table_that_lists_all_in_their_order_is_none() {
        for table in [
            "- [One](#one)\n- [Two](#two)\n- [Three](#three)\n- [Four](#four)\n",
            "1. [One](#one)\n   - [Inner](#inner)\n2. [Two](#two)\n\n3. [3](#three)\n4. [Four](#four)\n",
            "* [The first one](#one)\n* [Two](#Two)\n* [Three](#three)\n* [Four](#four)\n",
        ] {
            assert_eq!(checked(&format!("# T\n\n{table}{BODY}")), Vec::<String>::new(), "{table}");
        }
    }

    #[test]
    fn what_is_no_table_of_contents_is_not_compared() {
        for text in [
            format!("# T\n\nSee [One](#one) and [Two](#two).\n{BODY}"),
            format!("# T\n\n- [One](#one)\n- [Two](#two)\n{BODY}"),
            format!("# T\n\n- [One](#one): first\n- [Two](#two): second\n- [Three](#three): third\n{BODY}"),
            format!("# T\n\n## Intro\n\n- [One](#one)\n- [Two](#two)\n- [Four](#four)\n{BODY}"),
            format!("# T\n{BODY}\n## See also\n\n- [Two](#two)\n- [One](#one)\n- [Inner](#inner)\n"),
            format!("# T\n\n- [A](a.md)\n- [B](b.md)\n- [C](c.md)\n{BODY}"),
        ] {
            assert_eq!(checked(&text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn what_is_missing_out_of_order_or_misnamed_is_said() {
        for (table, expected) in [
            ("- [One](#one)\n- [Two](#two)\n- [Four](#four)\n", "5 contents-missing"),
            ("- [One](#one)\n- [Three](#three)\n- [Two](#two)\n- [Four](#four)\n", "7 contents-order"),
            ("- [One](#one)\n- [Two](#three)\n- [Three](#three)\n- [Four](#four)\n", "6 contents-misnamed"),
        ] {
            let found = checked(&format!("# T\n\n## Contents\n\n{table}{BODY}"));
            assert!(found.iter().any(|found| found == expected), "{table}: {found:?}");
        }
    }
}
