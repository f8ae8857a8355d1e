//! Comments in a file that suppress findings in it.
//!
//! ```text
//! <!-- convoke: allow(rule-id, other-rule) reason="why it is right here" until=2027-01-31 -->
//! # convoke: allow(rule-id) reason="…"
//! // convoke: allow-file(rule-id) reason="…"
//! ```
//!
//! `allow` is for the comment's own line and the next line that is not blank; `allow-file` for the whole file. So is an
//! `allow` on a line of its own before anything else in the file, also right below the opening `---` of front matter.
//! A reason must be given. With `until`, that day is the last on which the comment counts.

use jiff::civil::Date;

/// How a comment can begin, and how it then must end.
const COMMENTS: [(&str, &str); 7] =
    [("<!--", "-->"), ("/*", "*/"), ("//", ""), ("#", ""), ("--", ""), (";", ""), ("%", "")];

/// A file with more of them than this is not commented but attacked; the rest are not read.
const MOST: usize = 1_000;

/// A comment that allows something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// The ids of the rules.
    pub rules: Vec<String>,
    /// Why.
    pub reason: String,
    /// The last day on which it counts.
    pub until: Option<Date>,
    /// Where it stands, counted from 1.
    pub line: u32,
    /// The last line it is for, or the whole file.
    pub to: Option<u32>,
}

impl Allow {
    /// Whether it is for a finding of that rule in that line; a finding without a line concerns the whole file.
    pub fn covers(&self, rule: &str, line: Option<u32>) -> bool {
        let here = self.to.is_none_or(|to| line.is_some_and(|line| (self.line..=to).contains(&line)));
        here && self.rules.iter().any(|allowed| allowed == rule)
    }
}

/// A comment that should allow something, but can't be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Where it stands, counted from 1.
    pub line: u32,
    /// What is wrong with it, and how it should look.
    pub message: String,
}

/// The comments of a file, in their order.
pub fn find(text: &str) -> Vec<Result<Allow, Malformed>> {
    if !text.contains("convoke:") {
        return Vec::new();
    }
    let mut found: Vec<Result<Allow, Malformed>> = Vec::new();
    let mut waiting: Vec<usize> = Vec::new();
    let mut at_the_head = true;
    for (number, line) in (1_u32..).zip(text.lines()) {
        let blank = line.trim().is_empty();
        if !blank {
            for index in waiting.drain(..) {
                if let Some(Ok(allow)) = found.get_mut(index) {
                    allow.to = Some(number);
                }
            }
        }
        let comment = if found.len() < MOST { in_line(line) } else { None };
        let alone = comment.as_ref().is_some_and(|comment| comment.alone);
        if let Some(comment) = comment {
            let parsed = comment.parse(number);
            if parsed.is_ok() && !comment.whole_file && !(alone && at_the_head) {
                waiting.push(found.len());
            }
            found.push(parsed);
        }
        at_the_head &= blank || alone || line.trim_end() == "---" || (number == 1 && line.starts_with("#!"));
    }
    for index in waiting {
        if let Some(Ok(allow)) = found.get_mut(index) {
            allow.to = Some(allow.line);
        }
    }
    found
}

/// A comment before it is understood.
struct Raw<'a> {
    /// Nothing stands before it.
    alone: bool,
    whole_file: bool,
    verb: &'a str,
    /// What follows the verb.
    rest: &'a str,
    end: &'static str,
}

fn in_line(line: &str) -> Option<Raw<'_>> {
    line.match_indices("convoke:").find_map(|(at, marker)| {
        let before = line[..at].trim_end();
        let (opener, end) = COMMENTS.into_iter().find(|(opener, _)| before.ends_with(opener))?;
        let rest = line[at + marker.len()..].trim_start();
        let verb = &rest[..rest.find(|next: char| !next.is_ascii_alphabetic() && next != '-').unwrap_or(rest.len())];
        let rest = &rest[verb.len()..];
        // Prose such as `# convoke: allowed or not` is no comment of ours; `alow(` is one with a mistake.
        let meant = matches!(verb, "allow" | "allow-file") || (!verb.is_empty() && rest.starts_with('('));
        let alone =
            before[..before.len() - opener.len()].trim_matches(['#', '/', ';', ' ', '\t', '\u{feff}']).is_empty();
        meant.then_some(Raw { alone, whole_file: verb == "allow-file", verb, rest, end })
    })
}

impl Raw<'_> {
    fn parse(&self, line: u32) -> Result<Allow, Malformed> {
        self.parts().map(|(rules, reason, until)| Allow { rules, reason, until, line, to: None }).map_err(|problem| {
            Malformed {
                line,
                message: format!(
                    "this comment suppresses nothing: {problem}. It should look like `convoke: allow(rule-id) \
                     reason=\"why\" until=2027-01-31`"
                ),
            }
        })
    }

    fn parts(&self) -> Result<(Vec<String>, String, Option<Date>), String> {
        if !matches!(self.verb, "allow" | "allow-file") {
            return Err("only `allow` and `allow-file` are known".to_owned());
        }
        let text = match self.end {
            "" => self.rest,
            end => self.rest.rsplit_once(end).map(|(text, _)| text).ok_or(format!("`{end}` is missing in its line"))?,
        };
        let (rules, text) = text
            .trim_start()
            .strip_prefix('(')
            .and_then(|text| text.split_once(')'))
            .ok_or("the rules in parentheses are missing")?;
        let rules = rules.split(',').map(|rule| a_rule(rule.trim())).collect::<Result<Vec<_>, _>>()?;
        let (mut reason, mut until) = (None, None);
        let mut text = text.trim();
        while !text.is_empty() {
            if let Some(rest) = text.strip_prefix("reason=\"") {
                let (given, rest) = rest.split_once('"').ok_or("the reason's closing quote is missing")?;
                reason = Some(given.trim().to_owned());
                text = rest.trim_start();
            } else if let Some(rest) = text.strip_prefix("until=") {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                let given = rest[..end].trim_matches('"');
                until = Some(given.parse::<Date>().map_err(|_| "the day after `until=` is none like 2027-01-31")?);
                text = rest[end..].trim_start();
            } else {
                return Err("beside `reason=\"…\"` and `until=…` nothing is known".to_owned());
            }
        }
        let reason = reason.filter(|reason| !reason.is_empty()).ok_or("its reason is missing")?;
        Ok((rules, reason, until))
    }
}

fn a_rule(rule: &str) -> Result<String, String> {
    let fits = !rule.is_empty()
        && rule.len() <= 128
        && rule.chars().all(|next| next.is_ascii_alphanumeric() || matches!(next, '-' | '_' | '.' | '/'));
    if fits { Ok(rule.to_owned()) } else { Err("what stands in parentheses are not the ids of rules".to_owned()) }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn allow(text: &str) -> Allow {
        let found = find(text);
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap().unwrap()
    }

    fn problem(text: &str) -> String {
        let found = find(text);
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap().unwrap_err().message
    }

    #[test]
    fn each_kind_of_comment_is_understood() {
        for (open, close) in COMMENTS {
            let allow = allow(&format!(
                "first\n{open} convoke: allow(a-rule, b) reason=\"it is so\" until=2027-01-31 {close}\nx"
            ));
            assert_eq!(allow.rules, ["a-rule", "b"], "{open}");
            assert_eq!(allow.reason, "it is so");
            assert_eq!(allow.until, Some(date(2027, 1, 31)));
            assert_eq!((allow.line, allow.to), (2, Some(3)));
        }
    }

    #[test]
    fn it_is_for_its_line_and_the_next_that_is_not_blank() {
        let allow = allow("one\ntwo # convoke: allow(r) reason=\"x\"\n\nfour\nfive");
        assert_eq!((allow.line, allow.to), (2, Some(4)));
        assert!(allow.covers("r", Some(2)) && allow.covers("r", Some(4)));
        assert!(!allow.covers("r", Some(1)) && !allow.covers("r", Some(5)));
        assert!(!allow.covers("other", Some(2)), "only its own rule");
        assert!(!allow.covers("r", None), "a finding without a line concerns the whole file");
    }

    #[test]
    fn at_the_head_it_is_for_the_whole_file() {
        for text in [
            "<!-- convoke: allow(r) reason=\"x\" -->\n# Title",
            "---\n# convoke: allow(r) reason=\"x\"\nname: a\n---",
            "#!/bin/sh\n\n# convoke: allow(r) reason=\"x\"\n",
        ] {
            let allow = allow(text);
            assert_eq!(allow.to, None, "{text}");
            assert!(allow.covers("r", Some(99)) && allow.covers("r", None));
        }
        assert_eq!(allow("---\nname: a # convoke: allow(r) reason=\"x\"\n---").to, Some(3), "not on a line of its own");
        assert_eq!(allow("text\n// convoke: allow-file(r) reason=\"x\"").to, None);
        assert_eq!(allow("text\n// convoke: allow(r) reason=\"x\"").to, Some(2), "the last line");
    }

    #[test]
    fn a_mistake_is_said_with_its_line() {
        assert!(problem("# convoke: allow(r)").contains("reason is missing"));
        assert!(problem("# convoke: allow(r) reason=\"\"").contains("reason is missing"));
        assert!(problem("# convoke: allow r reason=\"x\"").contains("parentheses are missing"));
        assert!(problem("# convoke: allow() reason=\"x\"").contains("not the ids"));
        assert!(problem("# convoke: allow(*) reason=\"x\"").contains("not the ids"));
        assert!(problem("# convoke: alow(r) reason=\"x\"").contains("only `allow`"));
        assert!(problem("# convoke: allow(r) reason=\"x").contains("quote"));
        assert!(problem("# convoke: allow(r) reason=\"x\" until=tomorrow").contains("until"));
        assert!(problem("# convoke: allow(r) reason=\"x\" for=ever").contains("nothing is known"));
        assert!(problem("<!-- convoke: allow(r) reason=\"x\"\n-->").contains("`-->` is missing"));
        assert_eq!(find("a\nb\n# convoke: allow(r)")[0].as_ref().unwrap_err().line, 3);
    }

    #[test]
    fn prose_is_no_comment_of_ours() {
        for text in ["# convoke: allowed or not", "say `convoke: allow(x)` there", "# see convoke: a tool", "convoke:"]
        {
            assert_eq!(find(text), [], "{text}");
        }
    }

    #[test]
    fn a_flood_of_comments_is_cut() {
        assert_eq!(find(&"x # convoke: allow(r)\n".repeat(100_000)).len(), MOST);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in r#"(?s)(<!--|#|//| |\n|convoke:|allow|\(|\)|reason="|until=|é|.){0,40}"#) {
            find(&text);
        }
    }
}
