//! The words of Ruby, as far as a `Gemfile` needs them: enough to know what is written out and what would have to be run.

use std::ops::Range;

/// A word of Ruby.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Counted from 1.
    pub(super) line: u32,
    /// The bytes that it takes in the text.
    pub(super) span: Range<usize>,
}

/// What a word can be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A name or keyword.
    Word(String),
    /// Text that is written out.
    Text(String),
    /// `:name`, and `nil`-free words of `%i[…]`.
    Symbol(String),
    /// `name:` before a value.
    Label(String),
    /// `%w[…]` or `%i[…]`.
    Words(Vec<String>),
    /// `(`, `[` or `{`.
    Open(char),
    /// `)`, `]` or `}`.
    Close(char),
    Comma,
    /// `=>`
    Arrow,
    /// The end of a statement.
    End,
    /// Operators, numbers and variables.
    Other(String),
    /// Text that is only known when it runs.
    Computed,
}

impl Token {
    /// Whether it is this name or keyword.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(found) if found == word)
    }
}

/// Where text is never closed.
pub(super) struct Unclosed {
    pub(super) line: u32,
}

/// The statements of a text: words up to the end of a line, unless that goes on. With them, where the reading had to stop.
pub(super) fn statements(text: &str) -> (Vec<Vec<Token>>, Option<Unclosed>) {
    let mut lexer = Lexer { text, at: 0, line: 1, depth: 0, tokens: Vec::new() };
    let unclosed = lexer.run().err();
    let statements = lexer.tokens.split(|token| token.kind == Kind::End).filter(|statement| !statement.is_empty());
    (statements.map(<[Token]>::to_vec).collect(), unclosed)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    depth: usize,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn run(&mut self) -> Result<(), Unclosed> {
        while let Some(first) = self.rest().chars().next() {
            let start = self.at;
            let line = self.line;
            let begins = start == 0 || self.text.as_bytes().get(start - 1) == Some(&b'\n');
            if begins && self.rest().starts_with("__END__") {
                break;
            }
            if begins && self.rest().starts_with("=begin") {
                let length = self.rest().find("\n=end").map_or(self.rest().len(), |at| at + 5);
                self.skip(length);
                self.skip(self.rest().find('\n').unwrap_or(self.rest().len()));
                continue;
            }
            let kind = match first {
                '\n' => {
                    self.skip(1);
                    if self.goes_on() || self.tokens.last().is_some_and(|token| token.kind == Kind::End) {
                        continue;
                    }
                    Kind::End
                }
                ';' => {
                    self.skip(1);
                    Kind::End
                }
                '\\' if self.rest().starts_with("\\\n") || self.rest().starts_with("\\\r\n") => {
                    self.skip(self.rest().find('\n').map_or(1, |at| at + 1));
                    continue;
                }
                first if first.is_whitespace() => {
                    self.skip(first.len_utf8());
                    continue;
                }
                '#' => {
                    self.skip(self.rest().find('\n').unwrap_or(self.rest().len()));
                    continue;
                }
                first => self.token(first)?,
            };
            // A line that begins with `.method` goes on with the one before.
            if matches!(&kind, Kind::Other(text) if text == "." || text == "&.") {
                while self.tokens.last().is_some_and(|token| token.kind == Kind::End) {
                    self.tokens.pop();
                }
            }
            self.tokens.push(Token { kind, line, span: start..self.at });
        }
        Ok(())
    }

    fn skip(&mut self, length: usize) {
        let skipped = self.rest().get(..length).unwrap_or_default();
        let lines = skipped.bytes().filter(|byte| *byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        // A length that is none of whole characters can't be; one step ends the loop all the same.
        self.at = if skipped.len() == length { self.at + length } else { self.text.len() };
    }

    /// Whether the statement goes on behind the end of the line.
    fn goes_on(&self) -> bool {
        let open = match self.tokens.last().map(|token| &token.kind) {
            Some(Kind::Comma | Kind::Arrow | Kind::Label(_) | Kind::Open(_)) => true,
            // One bar ends the names of a block.
            Some(Kind::Other(text)) => text != "|" && text.starts_with(|char: char| "=+-*/&|<>?.".contains(char)),
            _ => false,
        };
        open || self.depth > 0
    }

    fn token(&mut self, first: char) -> Result<Kind, Unclosed> {
        let rest = self.rest();
        let value_expected = match self.tokens.last().map(|token| &token.kind) {
            None | Some(Kind::End | Kind::Comma | Kind::Arrow | Kind::Open(_) | Kind::Label(_) | Kind::Other(_)) => {
                true
            }
            Some(Kind::Word(word)) => ["if", "unless", "when", "and", "or", "not", "elsif"].contains(&word.as_str()),
            _ => false,
        };
        Ok(match first {
            '\'' | '"' => self.quoted(1, first, first, first == '"')?,
            '`' => {
                self.quoted(1, '`', '`', true)?;
                Kind::Computed
            }
            '/' if value_expected => {
                self.quoted(1, '/', '/', true)?;
                Kind::Computed
            }
            '%' if value_expected || self.spaced() => self.percent()?,
            '(' | '[' | '{' => {
                self.depth += 1;
                self.skip(1);
                Kind::Open(first)
            }
            ')' | ']' | '}' => {
                self.depth = self.depth.saturating_sub(1);
                self.skip(1);
                Kind::Close(first)
            }
            ',' => {
                self.skip(1);
                Kind::Comma
            }
            ':' if rest.starts_with(":\"") || rest.starts_with(":'") => {
                let quote = if rest.starts_with(":\"") { '"' } else { '\'' };
                match self.quoted(2, quote, quote, quote == '"')? {
                    Kind::Text(text) => Kind::Symbol(text),
                    other => other,
                }
            }
            ':' if rest.get(1..).is_some_and(begins_word) => {
                let length = 1 + rest.get(1..).map_or(0, word_length);
                let name = rest.get(1..length).unwrap_or_default().to_owned();
                self.skip(length);
                Kind::Symbol(name)
            }
            _ if rest.starts_with("=>") => {
                self.skip(2);
                Kind::Arrow
            }
            _ if begins_word(rest) => {
                let length = word_length(rest);
                let word = rest.get(..length).unwrap_or_default().to_owned();
                self.skip(length);
                // `a ? b : c` has a blank there, `A::B` two colons.
                if self.rest().starts_with(':') && !self.rest().starts_with("::") {
                    self.skip(1);
                    Kind::Label(word)
                } else {
                    Kind::Word(word)
                }
            }
            _ => {
                let length = match rest.find(|char: char| !"=+-*/&|<>?!.:~^$@%".contains(char)) {
                    Some(0) => rest
                        .find(|char: char| !(char.is_alphanumeric() || char == '_' || char == '.'))
                        .unwrap_or(rest.len()),
                    length => length.unwrap_or(rest.len()),
                };
                let length = if length == 0 { first.len_utf8() } else { length };
                let text = rest.get(..length).unwrap_or_default().to_owned();
                self.skip(length);
                Kind::Other(text)
            }
        })
    }

    /// Whether a blank stands before, and none after: `gem %w[a]` and not `a % b`.
    fn spaced(&self) -> bool {
        let before = self.text.get(..self.at).and_then(|text| text.chars().next_back());
        before.is_none_or(char::is_whitespace) && !self.rest().chars().nth(1).is_some_and(char::is_whitespace)
    }

    /// `%w[a b]`, `%i(a b)`, `%q{text}`, `%(text)`.
    fn percent(&mut self) -> Result<Kind, Unclosed> {
        let mut chars = self.rest().chars().skip(1);
        let letter = chars.next().unwrap_or(' ');
        let (skip, open) = if letter.is_ascii_alphabetic() { (2, chars.next().unwrap_or(' ')) } else { (1, letter) };
        let close = match open {
            '[' => ']',
            '(' => ')',
            '{' => '}',
            '<' => '>',
            '|' | '!' | '/' | '-' | '^' => open,
            _ => {
                self.skip(1);
                return Ok(Kind::Other("%".to_owned()));
            }
        };
        let computes = matches!(letter, 'W' | 'I' | 'Q') || skip == 1;
        Ok(match (self.quoted(skip + 1, open, close, computes)?, letter) {
            (Kind::Text(text), 'w' | 'W' | 'i' | 'I') => {
                Kind::Words(text.split_whitespace().map(str::to_owned).collect())
            }
            (Kind::Text(text), letter) if matches!(letter, 'q' | 'Q') || skip == 1 => Kind::Text(text),
            _ => Kind::Computed,
        })
    }

    /// Text up to its end, from behind `skip` bytes. Brackets of its own kind nest.
    fn quoted(&mut self, skip: usize, open: char, close: char, computes: bool) -> Result<Kind, Unclosed> {
        let line = self.line;
        let rest = self.rest();
        let mut text = String::new();
        let mut chars = rest.char_indices().skip_while(|(at, _)| *at < skip).peekable();
        let (mut depth, mut inner, mut computed) = (0usize, 0usize, false);
        while let Some((at, char)) = chars.next() {
            if char == '\\' {
                if let Some((_, escaped)) = chars.next() {
                    if escaped != '\\' && escaped != close && escaped != open {
                        text.push('\\');
                        computed |= computes;
                    }
                    text.push(escaped);
                }
                continue;
            }
            if computes && char == '#' && chars.peek().is_some_and(|(_, next)| *next == '{') {
                computed = true;
                inner += 1;
                chars.next();
                continue;
            }
            if inner > 0 {
                match char {
                    '{' => inner += 1,
                    '}' => inner -= 1,
                    _ => {}
                }
                continue;
            }
            if char == close && depth == 0 {
                self.skip(at + close.len_utf8());
                // `"name": value` is a label.
                if matches!(close, '"' | '\'')
                    && self.rest().starts_with(':')
                    && !self.rest().starts_with("::")
                    && skip == 1
                    && !computed
                {
                    self.skip(1);
                    return Ok(Kind::Label(text));
                }
                return Ok(if computed { Kind::Computed } else { Kind::Text(text) });
            }
            if open != close && char == open {
                depth += 1;
            } else if char == close {
                depth -= 1;
            }
            text.push(char);
        }
        self.at = self.text.len();
        Err(Unclosed { line })
    }
}

fn begins_word(text: &str) -> bool {
    text.starts_with(|char: char| char.is_alphabetic() || char == '_')
}

/// A name with the `?` or `!` that may end it.
fn word_length(text: &str) -> usize {
    let length = text.find(|char: char| !(char.is_alphanumeric() || char == '_')).unwrap_or(text.len());
    let more = text.get(length..).unwrap_or_default();
    let ends = more.starts_with(['?', '!']) && !more.starts_with("!=") && !more.starts_with("?:");
    if ends { length + 1 } else { length }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let (statements, unclosed) = statements(text);
        assert!(unclosed.is_none(), "{text}");
        let token = |token: &Token| match &token.kind {
            Kind::Word(text) | Kind::Other(text) => text.clone(),
            Kind::Text(text) => format!("'{text}'"),
            Kind::Symbol(text) => format!(":{text}"),
            Kind::Label(text) => format!("{text}:"),
            Kind::Words(words) => format!("%{}", words.join("/")),
            Kind::Open(char) | Kind::Close(char) => char.to_string(),
            Kind::Comma => ",".to_owned(),
            Kind::Arrow => "=>".to_owned(),
            Kind::End => "end".to_owned(),
            Kind::Computed => "?".to_owned(),
        };
        statements.iter().map(|statement| statement.iter().map(token).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn statements_end_with_their_line_unless_it_goes_on() {
        assert_eq!(
            shown(
                "gem 'a', \"~> 1\" # why\ngem(\"b\",\n  require: false)\r\ngem 'c',\n :git => 'x'\ngem 'd' \\\n , '1'; gem 'e'\n"
            ),
            ["gem 'a' , '~> 1'", "gem ( 'b' , require: false )", "gem 'c' , :git => 'x'", "gem 'd' , '1'", "gem 'e'"]
        );
    }

    #[test]
    fn words_symbols_and_labels() {
        assert_eq!(shown("group :test, :\"a b\", %i[x y] do"), ["group :test , :a b , %x/y do"]);
        assert_eq!(shown("gem %q(a), \"k\": %w{1 2}"), ["gem 'a' , k: %1/2"]);
        assert_eq!(shown("x = ENV['A'] ? 1 : 2"), ["x = ENV [ 'A' ] ? 1 : 2"]);
        assert_eq!(shown("File.exist?(A::B)"), ["File . exist? ( A :: B )"]);
    }

    #[test]
    fn what_runs_is_not_taken_for_text() {
        assert_eq!(shown("gem \"a#{b[\"c\"]}\", `uname`, '#{d}'"), ["gem ? , ? , '#{d}'"]);
        assert_eq!(shown("gem 'a' if X =~ /it's/\ngem 'b'"), ["gem 'a' if X =~ ?", "gem 'b'"]);
    }

    #[test]
    fn comments_and_what_follows_the_end_are_left_out() {
        assert_eq!(shown("=begin\ngem 'a'\n=end\ngem 'b'\n__END__\ngem 'c'\n"), ["gem 'b'"]);
    }

    #[test]
    fn text_that_is_never_closed_says_where_it_began() {
        let (read, unclosed) = statements("gem 'a'\ngem 'b\nend\n");
        assert_eq!((read.len(), unclosed.map(|unclosed| unclosed.line)), (2, Some(2)));
    }

    #[test]
    fn no_text_makes_the_reader_panic() {
        let pieces = [
            "'", "\"", "%w[", "%", "]", "#{", "}", ":", "::", "a", "é", "\n", "\\", "/", "=begin", "=>", "?", "1", " ",
            "`",
        ];
        crate::format::testing::pieces(&pieces, |text| drop(statements(text)));
    }
}
