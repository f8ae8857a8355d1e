//! Whether a licence is wanted, by the expressions of SPDX.
//!
//! The grammar is that of SPDX 3.0, annex B (<https://spdx.github.io/spdx-spec/v3.0.1/annexes/spdx-license-expressions/>), and with
//! it what older packages write: `MIT/Apache-2.0`, `GPL-2.0+`, names in full. A name that could mean several licences (`BSD`,
//! `GPL`) means none: it is unknown.

use convoke_sdk::text::shown;

/// The longest expression that is read, in bytes.
const LONGEST: usize = 4096;
/// The ids of SPDX's list, one a line.
const LICENCES: &str = include_str!(concat!(env!("OUT_DIR"), "/licences.txt"));
/// The ids of its exceptions.
const EXCEPTIONS: &str = include_str!(concat!(env!("OUT_DIR"), "/exceptions.txt"));
/// The most licences that are named in an answer.
const NAMED: usize = 3;

/// What is thought of a licence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Licence {
    /// It may be used.
    Allowed,
    /// It is not wanted: which part of it.
    Denied(String),
    /// It can't be told, and why.
    Unknown(String),
}

/// What is thought of an expression, where only `allow` may be used (all that is known, where it is empty) and `deny` not.
///
/// Of `OR` one part suffices, of `AND` all count. A licence that is allowed is so with any exception (`WITH`), one that is denied
/// too, unless it is allowed with just that exception. `-or-later` may be used where `-only` is allowed, because the user
/// chooses; where either of them is denied, both are. An entry that ends with `*` stands for all that begin so.
pub fn allowed(expression: &str, allow: &[String], deny: &[String]) -> Licence {
    let lists = Lists {
        allow: allow.iter().map(|one| Entry::of(one)).collect(),
        deny: deny.iter().map(|one| Entry::of(one)).collect(),
    };
    match Expression::read(expression) {
        Ok(expression) => expression.judged(&lists),
        Err(why) => Licence::Unknown(why),
    }
}

/// The expression as SPDX writes it. None: it is none, or names a licence that SPDX doesn't know.
pub fn canonical(expression: &str) -> Option<String> {
    let expression = Expression::read(expression).ok()?;
    let mut written = String::new();
    for part in &expression.0 {
        match part {
            Part::Term(term) if !term.known => return None,
            Part::Term(term) => written += &term.name(),
            Part::Or => written += " OR ",
            Part::And => written += " AND ",
            Part::Open => written.push('('),
            Part::Close => written.push(')'),
        }
    }
    Some(written)
}

/// A licence, with what is added to it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    /// As SPDX writes it, where it knows it, without what says whether later ones are meant.
    base: String,
    /// `-only` and `-or-later` of GNU's licences, `+` of others.
    later: &'static str,
    /// `WITH`
    exception: Option<String>,
    /// Whether it means one licence: SPDX has it, or it is a `LicenseRef`.
    known: bool,
}

impl Term {
    /// A licence by one word.
    fn of(word: &str) -> Self {
        let (plain, plus) = word.strip_suffix('+').map_or((word, false), |plain| (plain, true));
        let listed = LICENCES.lines().find(|name| name.eq_ignore_ascii_case(plain));
        let is_own = ["LicenseRef-", "DocumentRef-"].iter().any(|start| word.starts_with(start));
        let name = listed.unwrap_or(plain);
        let is_gnu = ["GPL-", "LGPL-", "AGPL-", "GFDL-"].iter().any(|start| name.starts_with(start));
        let ends = ["-only", "-or-later"].into_iter().find_map(|end| Some((name.strip_suffix(end)?, end)));
        let (base, later) = match (is_gnu, ends, plus) {
            (true, Some((base, end)), _) => (base, end),
            (true, None, true) => (name, "-or-later"),
            // The older ids meant just that version, and `GPL-2.0-with-…` says it itself.
            (true, None, false) if listed.is_some() && !name.contains("-with-") => (name, "-only"),
            (_, _, plus) => (name, if plus { "+" } else { "" }),
        };
        Self { base: base.to_owned(), later, exception: None, known: listed.is_some() || is_own }
    }

    /// A licence by its name in full. The words that all of them have are left out: `The Apache License, Version 2.0`.
    fn of_name(text: &str) -> Self {
        const NAMES: [(&str, &str); 32] = [
            ("apache 2", "Apache-2.0"),
            ("apache 2 0", "Apache-2.0"),
            ("asl 2 0", "Apache-2.0"),
            ("blueoak model 1 0 0", "BlueOak-1.0.0"),
            ("boost 1 0", "BSL-1.0"),
            ("bsd 2 clause", "BSD-2-Clause"),
            ("bsd 2 clause simplified", "BSD-2-Clause"),
            ("2 clause bsd", "BSD-2-Clause"),
            ("simplified bsd", "BSD-2-Clause"),
            ("freebsd", "BSD-2-Clause"),
            ("bsd 3 clause", "BSD-3-Clause"),
            ("bsd 3 clause new or revised", "BSD-3-Clause"),
            ("3 clause bsd", "BSD-3-Clause"),
            ("new bsd", "BSD-3-Clause"),
            ("revised bsd", "BSD-3-Clause"),
            ("modified bsd", "BSD-3-Clause"),
            ("eclipse distribution 1 0", "BSD-3-Clause"),
            ("edl 1 0", "BSD-3-Clause"),
            ("eclipse public 1 0", "EPL-1.0"),
            ("epl 1 0", "EPL-1.0"),
            ("eclipse public 2 0", "EPL-2.0"),
            ("epl 2 0", "EPL-2.0"),
            ("cc0 1 0 universal", "CC0-1.0"),
            ("cddl 1 0", "CDDL-1.0"),
            ("isc", "ISC"),
            ("mit", "MIT"),
            ("mit mit", "MIT"),
            ("mit 0", "MIT-0"),
            ("mozilla public 2 0", "MPL-2.0"),
            ("mpl 2 0", "MPL-2.0"),
            ("universal permissive 1 0", "UPL-1.0"),
            ("unlicense", "Unlicense"),
        ];
        let lower = text.to_ascii_lowercase();
        let path = lower
            .split_once("://")
            .map(|(_, path)| path.trim_end_matches('/').trim_end_matches(".txt").trim_end_matches(".html"));
        match path.and_then(|path| path.rsplit_once('/')) {
            Some((site, "license-2.0")) if site.ends_with("apache.org/licenses") => return Self::of("Apache-2.0"),
            Some((site, id))
                if site.ends_with("opensource.org/licenses") || site.ends_with("opensource.org/license") =>
            {
                return Self::of(id);
            }
            _ => {}
        }
        let words = lower.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty());
        let words =
            words.filter(|word| !["the", "license", "licence", "licensed", "software", "version", "v"].contains(word));
        let plain = words.map(|word| {
            word.strip_prefix('v').filter(|rest| rest.starts_with(|char: char| char.is_ascii_digit())).unwrap_or(word)
        });
        let name = plain.collect::<Vec<_>>().join(" ");
        // Half an expression is no name.
        let is_whole = text.matches('(').count() == text.matches(')').count();
        match NAMES.iter().find(|(known, _)| is_whole && *known == name) {
            Some((_, id)) => Self::of(id),
            None => Self { base: text.trim().to_owned(), later: "", exception: None, known: false },
        }
    }

    fn name(&self) -> String {
        let with = self.exception.as_deref().map(|exception| format!(" WITH {exception}")).unwrap_or_default();
        format!("{}{}{with}", self.base, self.later)
    }
}

/// An entry of a list.
struct Entry {
    term: Term,
    /// It stands for all that begin so.
    start: Option<String>,
}

impl Entry {
    fn of(text: &str) -> Self {
        let start = text.trim().strip_suffix('*').map(str::to_ascii_lowercase);
        let term = match Expression::read(text).map(|expression| expression.0) {
            Ok(parts) => match parts.as_slice() {
                [Part::Term(term)] => term.clone(),
                _ => Term::of_name(text),
            },
            Err(_) => Term::of_name(text),
        };
        Self { term, start }
    }

    fn is(&self, term: &Term) -> bool {
        match &self.start {
            Some(start) => term.name().to_ascii_lowercase().starts_with(start.as_str()),
            None => self.term.base.eq_ignore_ascii_case(&term.base),
        }
    }

    fn allows(&self, term: &Term) -> bool {
        let fits = self.term.later == term.later || matches!(term.later, "-or-later" | "+");
        let with = self.term.exception.is_none() || self.is_with(term);
        self.is(term) && with && (self.start.is_some() || fits)
    }

    fn denies(&self, term: &Term) -> bool {
        self.is(term) && (self.term.exception.is_none() || self.is_with(term))
    }

    /// Whether both have the same exception.
    fn is_with(&self, term: &Term) -> bool {
        match (&self.term.exception, &term.exception) {
            (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
            _ => false,
        }
    }
}

struct Lists {
    allow: Vec<Entry>,
    deny: Vec<Entry>,
}

impl Lists {
    fn judged(&self, term: &Term) -> Licence {
        let allowing = || self.allow.iter().filter(|entry| entry.allows(term));
        if self.deny.iter().any(|entry| entry.denies(term)) && !allowing().any(|entry| entry.is_with(term)) {
            return Licence::Denied(shown(&term.name(), 100));
        }
        if allowing().next().is_some() {
            return Licence::Allowed;
        }
        match (term.known, self.allow.is_empty()) {
            (false, _) => Licence::Unknown(format!("SPDX has no licence `{}`", shown(&term.name(), 100))),
            (true, true) => Licence::Allowed,
            (true, false) => Licence::Denied(shown(&term.name(), 100)),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Term(Term),
    Or,
    And,
    Open,
    Close,
}

/// An expression, in the order in which it is written. It fits the grammar.
struct Expression(Vec<Part>);

impl Expression {
    fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("no licence is named".to_owned());
        }
        if text.len() > LONGEST {
            return Err(format!("the expression is longer than {LONGEST} bytes"));
        }
        if let Some(parts) = parts(text) {
            return Ok(Self(parts));
        }
        // Names in full, of which a user may choose one.
        let mut parts = Vec::new();
        for name in text.split(" OR ") {
            if !parts.is_empty() {
                parts.push(Part::Or);
            }
            parts.push(Part::Term(Term::of_name(name)));
        }
        Ok(Self(parts))
    }

    /// `AND` binds closer than `OR`.
    fn judged(&self, lists: &Lists) -> Licence {
        let (mut values, mut waiting): (Vec<Licence>, Vec<&Part>) = (Vec::new(), Vec::new());
        let apply = |values: &mut Vec<Licence>, operator: &Part| {
            if let (Some(right), Some(left)) = (values.pop(), values.pop()) {
                values.push(if *operator == Part::Or { either(left, right) } else { both(left, right) });
            }
        };
        for part in &self.0 {
            match part {
                Part::Term(term) => values.push(lists.judged(term)),
                Part::Open => waiting.push(part),
                Part::Close => {
                    while let Some(operator) = waiting.pop().filter(|operator| **operator != Part::Open) {
                        apply(&mut values, operator);
                    }
                }
                Part::Or | Part::And => {
                    let binds =
                        |operator: &&&Part| ***operator == Part::And || (*part == Part::Or && ***operator == Part::Or);
                    while let Some(operator) = waiting.last().filter(binds) {
                        apply(&mut values, operator);
                        waiting.pop();
                    }
                    waiting.push(part);
                }
            }
        }
        while let Some(operator) = waiting.pop() {
            apply(&mut values, operator);
        }
        values.pop().unwrap_or_else(|| Licence::Unknown("no licence is named".to_owned()))
    }
}

fn either(left: Licence, right: Licence) -> Licence {
    match (left, right) {
        (Licence::Allowed, _) | (_, Licence::Allowed) => Licence::Allowed,
        (unknown @ Licence::Unknown(_), _) | (_, unknown @ Licence::Unknown(_)) => unknown,
        (Licence::Denied(left), Licence::Denied(right)) => {
            let is_enough = left.matches(" OR ").count() + 1 >= NAMED;
            Licence::Denied(if is_enough { left } else { format!("{left} OR {right}") })
        }
    }
}

fn both(left: Licence, right: Licence) -> Licence {
    match (left, right) {
        (denied @ Licence::Denied(_), _) | (_, denied @ Licence::Denied(_)) => denied,
        (unknown @ Licence::Unknown(_), _) | (_, unknown @ Licence::Unknown(_)) => unknown,
        (Licence::Allowed, Licence::Allowed) => Licence::Allowed,
    }
}

/// The parts of an expression. None: it doesn't fit the grammar.
fn parts(text: &str) -> Option<Vec<Part>> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let (mut parts, mut depth): (Vec<Part>, usize) = (Vec::new(), 0);
    let mut words = spaced.split_whitespace();
    while let Some(word) = words.next() {
        let is_after_value = matches!(parts.last(), Some(Part::Term(_) | Part::Close));
        let operator = ["AND", "OR", "WITH"].into_iter().find(|operator| word.eq_ignore_ascii_case(operator));
        match (word, operator, is_after_value) {
            ("(", _, false) => {
                depth += 1;
                parts.push(Part::Open);
            }
            (")", _, true) => {
                depth = depth.checked_sub(1)?;
                parts.push(Part::Close);
            }
            (_, Some("AND"), true) => parts.push(Part::And),
            (_, Some("OR"), true) => parts.push(Part::Or),
            (_, Some("WITH"), true) => match parts.last_mut() {
                Some(Part::Term(term)) if term.exception.is_none() => {
                    let word = words.next().filter(|word| is_id(word))?;
                    let found = EXCEPTIONS.lines().find(|name| name.eq_ignore_ascii_case(word));
                    term.known &= found.is_some() || word.starts_with("AdditionRef-");
                    term.exception = Some(found.unwrap_or(word).to_owned());
                }
                _ => return None,
            },
            (word, None, false) if is_id(word.strip_suffix('+').unwrap_or(word)) => {
                parts.push(Part::Term(Term::of(word)))
            }
            _ => return None,
        }
    }
    let is_whole = depth == 0 && matches!(parts.last(), Some(Part::Term(_) | Part::Close));
    is_whole.then_some(parts)
}

fn is_id(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(expression: &str, allow: &[&str], deny: &[&str]) -> Licence {
        let owned = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        allowed(expression, &owned(allow), &owned(deny))
    }

    fn denied(which: &str) -> Licence {
        Licence::Denied(which.to_owned())
    }

    fn is_unknown(licence: &Licence) -> bool {
        matches!(licence, Licence::Unknown(_))
    }

    #[test]
    fn of_or_one_suffices_and_of_and_all_count() {
        assert_eq!(judged("MIT OR GPL-3.0-only", &["MIT"], &[]), Licence::Allowed);
        assert_eq!(judged("MIT AND GPL-3.0-only", &["MIT"], &[]), denied("GPL-3.0-only"));
        assert_eq!(judged("(MIT OR GPL-3.0-only) AND ISC", &["MIT", "ISC"], &[]), Licence::Allowed);
        assert_eq!(
            judged("MIT AND (GPL-3.0-only OR AGPL-3.0-only)", &["MIT"], &[]),
            denied("GPL-3.0-only OR AGPL-3.0-only")
        );
        // AND binds closer: MIT alone suffices.
        assert_eq!(judged("MIT OR ISC AND GPL-3.0-only", &["MIT"], &[]), Licence::Allowed);
        assert_eq!(judged("GPL-3.0-only AND ISC OR MIT", &["MIT"], &[]), Licence::Allowed);
        assert_eq!(judged("GPL-3.0-only AND (ISC OR MIT)", &["MIT"], &[]), denied("GPL-3.0-only"));
    }

    #[test]
    fn what_older_packages_write_is_read() {
        assert_eq!(judged("MIT/Apache-2.0", &["Apache-2.0"], &[]), Licence::Allowed);
        assert_eq!(judged("mit or apache-2.0", &["Apache-2.0"], &[]), Licence::Allowed);
        assert_eq!(judged("The Apache Software License, Version 2.0", &["Apache-2.0"], &[]), Licence::Allowed);
        assert_eq!(judged("Eclipse Public License - v 2.0 OR MIT License", &["MIT"], &[]), Licence::Allowed);
        assert_eq!(judged("https://www.apache.org/licenses/LICENSE-2.0.txt", &["Apache-2.0"], &[]), Licence::Allowed);
        assert_eq!(judged("https://opensource.org/licenses/MIT", &["MIT"], &[]), Licence::Allowed);
        assert_eq!(judged("GPL-2.0", &["GPL-2.0-only"], &[]), Licence::Allowed);
        assert_eq!(judged("GPL-2.0+", &["GPL-2.0-or-later"], &[]), Licence::Allowed);
    }

    #[test]
    fn a_name_that_could_mean_several_is_unknown() {
        for text in [
            "BSD",
            "GPL",
            "LGPL",
            "Apache",
            "BSD License",
            "SEE LICENSE IN LICENSE.md",
            "NOASSERTION",
            "MIT, Apache-2.0",
            "UNLICENSED",
            "GPL v2",
            "Apache License 2.0 (modified)",
        ] {
            for (allow, deny) in [(&["MIT"][..], &[][..]), (&[], &["GPL-3.0-only"]), (&[], &[])] {
                let found = judged(text, allow, deny);
                assert!(is_unknown(&found), "{text}: {found:?}");
            }
        }
        assert_eq!(judged("MIT OR Foo", &["MIT"], &[]), Licence::Allowed, "one suffices");
        assert!(is_unknown(&judged("ISC OR Foo", &["MIT"], &[])), "the other may do");
        assert_eq!(judged("ISC AND Foo", &["MIT"], &[]), denied("ISC"));
        assert!(is_unknown(&judged("MIT AND Foo", &["MIT"], &[])));
        assert_eq!(judged("Foo", &["foo"], &[]), Licence::Allowed, "the user knows it");
        assert_eq!(judged("My Own Terms", &[], &["My Own Terms"]), denied("My Own Terms"));
    }

    #[test]
    fn without_lists_all_that_is_known_is_allowed() {
        assert_eq!(judged("AGPL-3.0-only", &[], &[]), Licence::Allowed);
        assert_eq!(judged("LicenseRef-own", &[], &[]), Licence::Allowed);
        assert_eq!(judged("LicenseRef-own", &["MIT"], &[]), denied("LicenseRef-own"));
        assert_eq!(judged("licenseref-Own OR MIT", &[], &["MIT"]), judged("licenseref-Own", &[], &["MIT"]));
    }

    #[test]
    fn an_exception_belongs_to_its_licence() {
        let with = "GPL-2.0-only WITH Classpath-exception-2.0";
        assert_eq!(judged(with, &["GPL-2.0-only"], &[]), Licence::Allowed);
        assert_eq!(judged(with, &[with], &[]), Licence::Allowed);
        assert_eq!(judged("GPL-2.0-only", &[with], &[]), denied("GPL-2.0-only"));
        assert_eq!(judged(with, &[], &["GPL-2.0-only"]), denied(with));
        assert_eq!(judged(with, &[with], &["GPL-2.0-only"]), Licence::Allowed);
        assert_eq!(
            judged("Apache-2.0 with llvm-exception", &["Apache-2.0 WITH LLVM-exception"], &[]),
            Licence::Allowed
        );
        assert!(is_unknown(&judged("MIT WITH own-exception", &["ISC"], &[])));
    }

    #[test]
    fn later_versions_are_the_users_choice_and_denied_with_their_kin() {
        assert_eq!(judged("GPL-2.0-or-later", &["GPL-2.0-only"], &[]), Licence::Allowed);
        assert_eq!(judged("GPL-2.0-only", &["GPL-2.0-or-later"], &[]), denied("GPL-2.0-only"));
        assert_eq!(judged("GPL-3.0-or-later", &[], &["GPL-3.0-only"]), denied("GPL-3.0-or-later"));
        assert_eq!(judged("GPL-3.0", &[], &["GPL-3.0-or-later"]), denied("GPL-3.0-only"));
        assert_eq!(judged("Apache-2.0+", &["Apache-2.0"], &[]), Licence::Allowed);
        assert_eq!(judged("LGPL-3.0-only", &[], &["GPL-3.0-only"]), Licence::Allowed);
        assert_eq!(judged("LGPL-3.0-only", &[], &["LGPL-*"]), denied("LGPL-3.0-only"));
        assert_eq!(judged("BSD-3-Clause OR GPL-2.0", &["bsd-*"], &[]), Licence::Allowed);
        assert_eq!(judged("MIT", &["MIT"], &["MIT"]), denied("MIT"), "what is denied stays so");
    }

    #[test]
    fn nonsense_is_unknown_and_ends_nothing() {
        for text in
            ["", " ", "()", "(MIT", "MIT)", "OR", "MIT OR", "MIT ISC", "WITH", "MIT WITH", "+", "é", "MIT é", ")("]
        {
            let found = judged(text, &["ISC"], &[]);
            assert!(is_unknown(&found), "{text}: {found:?}");
        }
        let deep = format!("{}MIT{}", "(".repeat(2000), ")".repeat(2000));
        assert_eq!(judged(&deep, &["MIT"], &[]), Licence::Allowed);
        assert!(is_unknown(&judged(&"(".repeat(100_000), &["MIT"], &[])));
    }

    #[test]
    fn an_expression_is_written_as_spdx_does() {
        assert_eq!(canonical("mit/apache-2.0").as_deref(), Some("MIT OR Apache-2.0"));
        assert_eq!(
            canonical("(GPL-2.0+ with classpath-exception-2.0) and ISC").as_deref(),
            Some("(GPL-2.0-or-later WITH Classpath-exception-2.0) AND ISC")
        );
        assert_eq!(canonical("Apache License 2.0").as_deref(), Some("Apache-2.0"));
        assert_eq!(canonical("MIT OR Foo"), None);
        assert_eq!(canonical("GPL-2.0-with-classpath-exception").as_deref(), Some("GPL-2.0-with-classpath-exception"));
    }
}
