//! A file of TypeScript, as far as what it exports goes: its declarations with the JSDoc before them, and its imports and exports.
//!
//! Only the outermost level is read. Strings, templates, comments and regular expressions are told apart by the rules of
//! ECMAScript's lexical grammar; where a `/` begins a regular expression is told by what stands before it.

/// A declaration at the outermost level.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) line: u32,
    pub(super) documented: bool,
    pub(super) exported: bool,
}

/// `export { name as alias } from "from"`, `export * from "from"`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Export {
    /// The other file; none for this one.
    pub(super) from: Option<String>,
    /// `*` for all.
    pub(super) name: String,
    pub(super) alias: String,
}

/// What a file says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Module {
    pub(super) declared: Vec<Declared>,
    pub(super) exports: Vec<Export>,
    /// `import { name as alias } from "from"`.
    pub(super) imports: Vec<Export>,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// A comment `/** … */` that says something.
    Doc,
    Word(String),
    Text(String),
    Sign(u8),
}

#[derive(Clone, Debug)]
struct Token {
    kind: Kind,
    line: u32,
    /// It is the first of its line.
    first: bool,
}

/// Takes a file apart.
///
/// # Errors
/// What can't be understood.
pub(super) fn scan(text: &str) -> Result<Module, String> {
    let tokens = outermost(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    let mut reader = Reader { tokens: &tokens, at: 0, found: Module::default() };
    reader.read();
    Ok(reader.found)
}

/// The tokens outside of all brackets, but for the lists of imports and exports. A group in brackets is its two brackets.
fn outermost(text: &str) -> Result<Vec<Token>, String> {
    let bytes = text.as_bytes();
    let mut tokens: Vec<Token> = Vec::new();
    // The open brackets: which one closes, and whether what is within is kept.
    let mut open: Vec<(u8, bool, u32)> = Vec::new();
    let (mut at, mut line, mut first) = (0, 1u32, true);
    // What the last token of all was, also within brackets: for regular expressions.
    let mut value = false;
    while let Some(byte) = bytes.get(at).copied() {
        let kept = open.last().is_none_or(|(_, kept, _)| *kept);
        let start = at;
        match byte {
            b'\n' => {
                line += 1;
                first = true;
                at += 1;
                continue;
            }
            _ if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at = end_of_line(bytes, at);
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                let inner = text.get(at + 2..).unwrap_or("");
                let Some(length) = inner.find("*/") else {
                    return Err(format!("a comment that begins in line {line} has no end"));
                };
                let comment = inner.get(..length).unwrap_or("");
                if open.is_empty() && comment.starts_with('*') && comment.chars().any(char::is_alphanumeric) {
                    tokens.push(Token { kind: Kind::Doc, line, first: true });
                }
                line += newlines(comment);
                at += length + 4;
                continue;
            }
            b'"' | b'\'' => {
                at += 1;
                while let Some(other) = bytes.get(at).copied().filter(|other| *other != b'\n') {
                    at += if other == b'\\' { 2 } else { 1 };
                    if other == byte {
                        break;
                    }
                }
                at = at.min(bytes.len());
                if kept {
                    let inner = text.get(start + 1..at.saturating_sub(1).max(start + 1)).unwrap_or("").to_owned();
                    tokens.push(Token { kind: Kind::Text(inner), line, first });
                }
                value = true;
            }
            b'`' => {
                open.push((b'`', false, line));
                at = template(bytes, at + 1, &mut line, &mut open);
                value = true;
            }
            b'}' if matches!(open.last(), Some((b'$', ..))) => {
                open.pop();
                at = template(bytes, at + 1, &mut line, &mut open);
                value = true;
            }
            b'/' if !value => {
                at = regular(bytes, at + 1);
                value = true;
            }
            b'{' | b'(' | b'[' => {
                let listed = byte == b'{' && open.is_empty() && is_list(&tokens);
                if kept {
                    tokens.push(Token { kind: Kind::Sign(byte), line, first });
                }
                let close = match byte {
                    b'{' => b'}',
                    b'(' => b')',
                    _ => b']',
                };
                open.push((close, listed, line));
                at += 1;
                value = false;
            }
            b'}' | b')' | b']' => {
                match open.pop() {
                    Some((close, ..)) if close == byte => {}
                    _ => return Err(format!("the brackets do not fit in line {line}")),
                }
                if open.last().is_none_or(|(_, kept, _)| *kept) {
                    tokens.push(Token { kind: Kind::Sign(byte), line, first: false });
                }
                at += 1;
                value = true;
            }
            _ if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80 => {
                while bytes
                    .get(at)
                    .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || *byte >= 0x80)
                {
                    at += 1;
                }
                let word = text.get(start..at).unwrap_or("");
                value = !matches!(
                    word,
                    "return"
                        | "typeof"
                        | "case"
                        | "in"
                        | "of"
                        | "delete"
                        | "void"
                        | "throw"
                        | "new"
                        | "else"
                        | "do"
                        | "await"
                        | "yield"
                );
                if kept {
                    tokens.push(Token { kind: Kind::Word(word.to_owned()), line, first });
                }
            }
            _ => {
                at += 1;
                value = false;
                if kept {
                    tokens.push(Token { kind: Kind::Sign(byte), line, first });
                }
            }
        }
        first = false;
    }
    match open.last() {
        None => Ok(tokens),
        Some((_, _, line)) => Err(format!("a bracket of line {line} is never closed")),
    }
}

fn end_of_line(bytes: &[u8], at: usize) -> usize {
    bytes
        .get(at..)
        .and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
        .map_or(bytes.len(), |length| at + length)
}

fn newlines(text: &str) -> u32 {
    u32::try_from(text.matches('\n').count()).unwrap_or(u32::MAX)
}

/// To the end of a template's text: behind its last quote, or into an expression, which is then open.
fn template(bytes: &[u8], mut at: usize, line: &mut u32, open: &mut Vec<(u8, bool, u32)>) -> usize {
    while let Some(byte) = bytes.get(at).copied() {
        match byte {
            b'\\' => {
                *line += u32::from(bytes.get(at + 1) == Some(&b'\n'));
                at += 1;
            }
            b'\n' => *line += 1,
            b'`' => {
                open.pop();
                return at + 1;
            }
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                open.push((b'$', false, *line));
                return at + 2;
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Behind a regular expression; at the end of the line, if it was none.
fn regular(bytes: &[u8], mut at: usize) -> usize {
    let mut class = false;
    while let Some(byte) = bytes.get(at).copied() {
        match byte {
            b'\\' if bytes.get(at + 1) != Some(&b'\n') => at += 1,
            b'\n' => return at,
            b'[' => class = true,
            b']' => class = false,
            b'/' if !class => return at + 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Whether a brace opens the list of an import or an export.
fn is_list(tokens: &[Token]) -> bool {
    let mut words = tokens.iter().rev().filter(|token| token.kind != Kind::Doc);
    let is = |token: Option<&Token>, word: &str| token.is_some_and(|token| token.kind == Kind::Word(word.to_owned()));
    let last = words.next();
    if is(last, "export") || is(last, "import") {
        return true;
    }
    if is(last, "type") {
        let before = words.next();
        return is(before, "export") || is(before, "import");
    }
    // `import Default, {`
    let comma = last.is_some_and(|token| token.kind == Kind::Sign(b','));
    comma && {
        let _ = words.next();
        let before = words.next();
        is(before, "import") || is(before, "type")
    }
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    found: Module,
}

/// Words that may stand before what is declared.
const MODIFIERS: &[&str] = &["export", "default", "declare", "abstract", "async"];

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<&Kind> {
        self.tokens.get(self.at + ahead).map(|token| &token.kind)
    }

    fn word(&self, ahead: usize) -> &str {
        match self.peek(ahead) {
            Some(Kind::Word(word)) => word,
            _ => "",
        }
    }

    fn read(&mut self) {
        let mut documented = false;
        while let Some(token) = self.tokens.get(self.at) {
            match &token.kind {
                Kind::Doc => {
                    documented = true;
                    self.at += 1;
                    continue;
                }
                // A decorator stands between a comment and its class.
                Kind::Sign(b'@') => {
                    self.at += 2;
                    while matches!(self.peek(0), Some(Kind::Sign(b'.' | b'(' | b')')))
                        || self.peek(0).is_some() && matches!(self.before(), Some(Kind::Sign(b'.')))
                    {
                        self.at += 1;
                    }
                    continue;
                }
                Kind::Word(word) if word == "export" || token.first || documented => self.statement(documented),
                _ => self.at += 1,
            }
            documented = false;
        }
    }

    fn before(&self) -> Option<&Kind> {
        self.tokens.get(self.at.checked_sub(1)?).map(|token| &token.kind)
    }

    fn statement(&mut self, documented: bool) {
        let line = self.tokens.get(self.at).map_or(1, |token| token.line);
        let (mut exported, mut default) = (false, false);
        if self.word(0) == "import" {
            self.at += 1;
            self.import();
            return;
        }
        while MODIFIERS.contains(&self.word(0)) {
            exported |= self.word(0) == "export";
            default |= self.word(0) == "default";
            self.at += 1;
        }
        let list = match (self.word(0), self.peek(0)) {
            ("type", _) if exported && matches!(self.peek(1), Some(Kind::Sign(b'{' | b'*'))) => {
                self.at += 1;
                true
            }
            (_, Some(Kind::Sign(b'{' | b'*'))) => exported && !default,
            _ => false,
        };
        if list {
            let exports = self.list();
            self.found.exports.extend(exports);
            return;
        }
        let kind = self.word(0).to_owned();
        let names = match kind.as_str() {
            "function" | "class" | "interface" | "type" | "enum" | "namespace" | "module" | "let" | "var" => 1,
            // `const enum X`
            "const" if self.word(1) == "enum" => 2,
            "const" => 1,
            _ => 0,
        };
        let star = usize::from(kind == "function" && self.peek(1) == Some(&Kind::Sign(b'*')));
        let name = self.word(names + star).to_owned();
        let name = match (names, name.as_str()) {
            (1.., "" | "extends") if default => "default".to_owned(),
            (1.., _) => name,
            _ if default => "default".to_owned(),
            _ => String::new(),
        };
        // `export default x;`
        let ends = |token: Option<&Token>| token.is_none_or(|token| token.first || token.kind == Kind::Sign(b';'));
        if names == 0 && default && !kind.is_empty() && ends(self.tokens.get(self.at + 1)) {
            self.found.exports.push(Export { from: None, name: kind, alias: "default".to_owned() });
            self.at += 1;
            return;
        }
        if !name.is_empty() {
            self.found.declared.push(Declared { name: name.clone(), line, documented, exported });
            if default && name != "default" {
                self.found.exports.push(Export { from: None, name, alias: "default".to_owned() });
            }
        }
        self.at += names.max(1);
    }

    /// `{ a, type b as c } from "x"`, `* from "x"`, `* as n from "x"`.
    fn list(&mut self) -> Vec<Export> {
        let mut listed: Vec<Export> = Vec::new();
        if self.peek(0) == Some(&Kind::Sign(b'*')) {
            self.at += 1;
            let named = self.word(0) == "as";
            self.at += if named { 2 } else { 0 };
            // What is exported under one name is not looked into.
            if !named {
                listed.push(Export { from: None, name: "*".to_owned(), alias: "*".to_owned() });
            }
        } else {
            self.at += 1;
            while let Some(kind) = self.peek(0).filter(|kind| **kind != Kind::Sign(b'}')) {
                if let Kind::Word(name) = kind {
                    let typed = name == "type" && !self.word(1).is_empty() && self.word(1) != "as";
                    let name = if typed { self.word(1).to_owned() } else { name.clone() };
                    self.at += usize::from(typed);
                    let alias = if self.word(1) == "as" { self.word(2).to_owned() } else { name.clone() };
                    self.at += if self.word(1) == "as" { 2 } else { 0 };
                    listed.push(Export { from: None, name, alias });
                }
                self.at += 1;
            }
            self.at += 1;
        }
        if self.word(0) == "from"
            && let Some(Kind::Text(from)) = self.peek(1)
        {
            let from = from.clone();
            for export in &mut listed {
                export.from = Some(from.clone());
            }
            self.at += 2;
        }
        listed
    }

    fn import(&mut self) {
        if self.word(0) == "type" && !matches!(self.word(1), "from") {
            self.at += 1;
        }
        let mut default = None;
        if !self.word(0).is_empty() {
            default = Some(self.word(0).to_owned());
            self.at += 1;
            self.at += usize::from(self.peek(0) == Some(&Kind::Sign(b',')));
        }
        let listed = if matches!(self.peek(0), Some(Kind::Sign(b'{'))) { self.list() } else { Vec::new() };
        let from = listed.first().and_then(|first| first.from.clone()).or_else(|| match (self.word(0), self.peek(1)) {
            ("from", Some(Kind::Text(from))) => Some(from.clone()),
            _ => None,
        });
        self.found.imports.extend(listed);
        if let (Some(alias), Some(from)) = (default, from) {
            self.found.imports.push(Export { from: Some(from), name: "default".to_owned(), alias });
        }
    }
}

#[cfg(test)]
mod tests;
