//! Examples in JSON, TOML and YAML that don't parse. What is only a part, or has something to be filled in, is not judged.

use convoke_sdk::prelude::*;
use convoke_sdk::text::shown;
use saphyr_parser::Parser;
use serde::de::IgnoredAny;

use super::Found;
use crate::markdown::{Document, Fence};

/// The deepest nesting of YAML that is parsed.
const DEEPEST: usize = 200;

/// Parses the examples of a document.
pub fn check(path: &str, document: &Document) -> Found {
    let mut found = Found::default();
    for fence in &document.fences {
        let result = match fence.language.as_str() {
            "json" | "ndjson" | "jsonl" | "geojson" => json(&fence.text),
            "toml" => toml(&fence.text),
            "yaml" | "yml" => yaml(&fence.text),
            _ => continue,
        };
        match result {
            Ok(Judged::Parses) => found.judged += 1,
            Ok(Judged::Excerpt) => found.skip("examples that are only a part"),
            Err(Broken { line, what }) => {
                found.judged += 1;
                found.findings.push(finding(path, fence, line, &what));
            }
        }
    }
    found
}

fn finding(path: &str, fence: &Fence, line: usize, what: &str) -> Finding {
    let last = fence.text.lines().count().max(1);
    let line = u32::try_from(line.clamp(1, last) - 1).unwrap_or_default() + fence.place.line;
    let name = match fence.language.as_str() {
        "toml" => "TOML",
        "yaml" | "yml" => "YAML",
        _ => "JSON",
    };
    Finding::new("example-broken", Severity::Medium, format!("The example is no {name}: {}", shown(what, 200)))
        .at(path, line)
        .help(format!("Mend it, or name another language than {} where it is only a part", fence.language))
}

enum Judged {
    Parses,
    Excerpt,
}

struct Broken {
    /// Of the example, counted from 1.
    line: usize,
    what: String,
}

/// What stands in an example in place of something else.
fn is_excerpt(text: &str) -> bool {
    const MARKS: [&str; 10] = ["...", "…", "{{", "}}", "{%", "${", "$(", "<%", "[...]", "%s"];
    let has_name = || {
        // `<your-name>`: a name in brackets without blanks.
        text.split('<').skip(1).any(|rest| {
            rest.split_once('>')
                .is_some_and(|(name, _)| !name.is_empty() && name.len() < 60 && !name.contains(['\n', '"', '=']))
        })
    };
    let is_prompt = |line: &str| line.starts_with("$ ") || line.starts_with("# ") && text.lines().count() == 1;
    // A difference between two texts.
    let is_diff = || text.lines().any(|line| line.starts_with("+ ")) && text.lines().any(|line| line.starts_with("- "));
    MARKS.iter().any(|mark| text.contains(mark)) || text.lines().any(is_prompt) || has_name() || is_diff()
}

/// One value of JSON or several after each other: RFC 8259, and lines of it.
fn json(text: &str) -> Result<Judged, Broken> {
    let values = |text: &str| -> Result<usize, serde_json::Error> {
        let mut count = 0;
        for value in serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>() {
            value?;
            count += 1;
        }
        Ok(count)
    };
    let error = match values(text) {
        Ok(count) if count > 0 => return Ok(Judged::Parses),
        Ok(_) => return Ok(Judged::Excerpt),
        Err(error) => error,
    };
    let trimmed = text.trim();
    let is_whole = trimmed.starts_with(['{', '[']) && trimmed.ends_with(['}', ']']);
    if !is_whole || is_excerpt(text) || error.to_string().contains("recursion limit") {
        return Ok(Judged::Excerpt);
    }
    // Comments explain an example.
    let bare = without_comments(text);
    if bare != text && values(&bare).is_ok() {
        return Ok(Judged::Excerpt);
    }
    let what = error.to_string();
    let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what).to_owned();
    Err(Broken { line: error.line(), what })
}

/// JSON without comments that begin with `//`, `#` or stand in `/* */`, outside of its texts.
fn without_comments(text: &str) -> String {
    let mut bare = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_text = false;
    while let Some(char) = rest.chars().next() {
        if in_text && char == '\\' {
            let escaped = rest.chars().take(2).map(char::len_utf8).sum::<usize>();
            let (pair, after) = rest.split_at(escaped);
            bare.push_str(pair);
            rest = after;
            continue;
        }
        in_text ^= char == '"';
        let end = match rest {
            _ if in_text => None,
            rest if rest.starts_with("//") || rest.starts_with('#') => Some(rest.find('\n').unwrap_or(rest.len())),
            rest if rest.starts_with("/*") => Some(rest.find("*/").map_or(rest.len(), |end| end + 2)),
            _ => None,
        };
        match end {
            Some(end) => rest = rest.get(end..).unwrap_or_default(),
            None => {
                bare.push(char);
                rest = rest.get(char.len_utf8()..).unwrap_or_default();
            }
        }
    }
    bare
}

fn toml(text: &str) -> Result<Judged, Broken> {
    let Err(error) = toml::de::DeTable::parse(text) else { return Ok(Judged::Parses) };
    if is_excerpt(text) {
        return Ok(Judged::Excerpt);
    }
    // Two ways to write the same thing, one below the other, are two examples.
    let what = error.message().to_owned();
    if what.contains("duplicate") {
        return Ok(Judged::Excerpt);
    }
    let line = error.span().map_or(1, |span| convoke_sdk::text::line_at(text, span.start) as usize);
    Err(Broken { line, what })
}

fn yaml(text: &str) -> Result<Judged, Broken> {
    let mut depth = 0_usize;
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, _)) => {
                use saphyr_parser::Event;
                match event {
                    Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
                    Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if depth > DEEPEST {
                    return Ok(Judged::Excerpt);
                }
            }
            Err(_) if is_excerpt(text) => return Ok(Judged::Excerpt),
            Err(error) => return Err(Broken { line: error.marker().line(), what: error.info().to_owned() }),
        }
    }
    Ok(Judged::Parses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::markdown::parse;

    fn checked(language: &str, text: &str) -> Vec<u32> {
        let found = check("a.md", &parse(&format!("# A\n\n```{language}\n{text}\n```\n")));
        assert!(found.findings.iter().all(|finding| finding.rule == "example-broken"));
        found.findings.iter().filter_map(|finding| finding.line).collect()
    }

    #[test]
    fn what_does_not_parse_is_a_finding_in_its_line() {
        for (language, text, line) in [
            ("json", "{\n  \"a\": 1,\n  \"b\": \n}", 7),
            ("json", "{\n  \"a\": 1,\n}", 6),
            ("JSON", "{'a': 1}", 4),
            ("json title=x", "[1, 2\n3]", 5),
            ("toml", "a = 1\nb = \n", 5),
            ("toml", "[package\nname = \"x\"", 4),
            ("yaml", "a: 1\nb: [1, 2\nc: 3", 6),
            ("yml", "a: \"b\nc: d", 4),
        ] {
            assert_eq!(checked(language, text), [line], "{text}");
        }
    }

    #[test]
    fn what_parses_and_what_is_only_a_part_is_none() {
        for (language, text) in [
            ("json", "{\"a\": [1, null, \"x\"]}"),
            ("json", "{\"a\": 1}\n{\"a\": 2}"),
            ("json", "\"a\": 1,\n\"b\": 2"),
            ("json", "{\n  \"a\": 1,\n  ...\n}"),
            ("json", "{\n  \"name\": <your name>\n}"),
            ("json", "{\"id\": {{ id }}}"),
            ("json", "{\n  // why\n  \"a\": 1 # so\n}"),
            ("json", "{\"url\": \"https://x.example/#a\", /* b */ \"c\": 1}"),
            ("json", ""),
            ("jsonc", "{\n  // why\n}"),
            ("json5", "{a: 1}"),
            ("toml", "[a]\nb = 1\n\n[[c]]\nd = { e = 1 }"),
            ("toml", "a = 1\n# or\na = 2"),
            ("toml", "[dependencies]\nx = ..."),
            ("yaml", "a:\n  - b: c\n---\nd: 1"),
            ("yaml", "a: {{ b }}\nc: [d"),
            ("yaml", "services:\n  ...\n  web: [1"),
            ("text", "{"),
            ("", "{"),
        ] {
            assert!(checked(language, text).is_empty(), "{text}");
        }
    }

    #[test]
    fn hostile_examples_end() {
        for (language, piece) in
            [("json", "["), ("json", "{\"a\":"), ("toml", "a=["), ("yaml", "["), ("yaml", "- "), ("yaml", "? ")]
        {
            checked(language, &piece.repeat(20_000));
        }
    }
}
