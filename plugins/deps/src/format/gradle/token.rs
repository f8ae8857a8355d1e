//! The words of Groovy and Kotlin, as far as both have them in common.

/// A word of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name or number.
    Word(&'a str),
    /// Text, as it stands between its quotes, and whether values are filled in (`$`).
    Text(&'a str, bool),
    /// Any other character.
    Sign(char),
    /// The end of a line.
    End,
}

/// A word and its line, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed<'a> {
    pub(super) token: Token<'a>,
    pub(super) line: u32,
}

/// The words of a script, without its comments. `kotlin`: there text in single quotes is one character.
pub(super) fn tokens(text: &str, kotlin: bool) -> Vec<Placed<'_>> {
    let mut reader = Reader { text, at: 0, line: 1, kotlin };
    let mut tokens = Vec::new();
    while let Some(placed) = reader.next() {
        tokens.push(placed);
    }
    tokens
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    kotlin: bool,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Goes on by so many bytes.
    fn skip(&mut self, bytes: usize) -> &'a str {
        let (skipped, _) = self.rest().split_at_checked(bytes).unwrap_or((self.rest(), ""));
        self.at += skipped.len();
        let lines = skipped.bytes().filter(|byte| *byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        skipped
    }

    fn next(&mut self) -> Option<Placed<'a>> {
        loop {
            let rest = self.rest();
            let (first, line) = (rest.chars().next()?, self.line);
            let token = match first {
                '\n' => {
                    self.skip(1);
                    Token::End
                }
                _ if first.is_whitespace() || first == '\u{feff}' => {
                    self.skip(first.len_utf8());
                    continue;
                }
                '/' if rest.starts_with("//") => {
                    self.skip(rest.find('\n').unwrap_or(rest.len()));
                    continue;
                }
                '/' if rest.starts_with("/*") => {
                    self.skip(rest.find("*/").map_or(rest.len(), |end| end + 2));
                    continue;
                }
                '"' | '\'' => match self.quoted(first) {
                    Some(token) => token,
                    None => {
                        // The rest of the line can be anything, so none of it is taken for something.
                        self.skip(rest.find('\n').unwrap_or(rest.len()));
                        Token::Sign(first)
                    }
                },
                '`' => {
                    self.skip(1);
                    continue;
                }
                _ if is_word(first) => Token::Word(self.skip(rest.find(|char| !is_word(char)).unwrap_or(rest.len()))),
                _ => {
                    self.skip(first.len_utf8());
                    Token::Sign(first)
                }
            };
            return Some(Placed { token, line });
        }
    }

    /// Text in quotes. None: the quote opens nothing on its line.
    fn quoted(&mut self, quote: char) -> Option<Token<'a>> {
        let rest = self.rest();
        let fills = quote == '"';
        let triple = if fills { "\"\"\"" } else { "'''" };
        if let Some(inside) = rest.strip_prefix(triple)
            && (fills || !self.kotlin)
        {
            let end = inside.find(triple)?;
            self.skip(end + 2 * triple.len());
            let inside = inside.get(..end)?;
            return Some(Token::Text(inside, fills && inside.contains('$')));
        }
        let bytes = rest.as_bytes();
        let (mut end, mut depth, mut dollar) = (1, 0_usize, false);
        loop {
            match *bytes.get(end)? {
                b'\n' => return None,
                b'\\' => end += 1,
                b'$' if fills => {
                    dollar = true;
                    if bytes.get(end + 1) == Some(&b'{') {
                        depth += 1;
                        end += 1;
                    }
                }
                b'{' if depth > 0 => depth += 1,
                b'}' if depth > 0 => depth -= 1,
                byte if byte == quote as u8 && depth == 0 => break,
                _ => {}
            }
            end += 1;
        }
        let inside = rest.get(1..end)?;
        self.skip(end + 1);
        Some(Token::Text(inside, dollar))
    }
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_' || char == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let shown = |placed: &Placed<'_>| match placed.token {
            Token::Word(word) => word.to_owned(),
            Token::Text(text, fills) => format!("{}{text}", if fills { "$:" } else { ":" }),
            Token::Sign(sign) => sign.to_string(),
            Token::End => "|".to_owned(),
        };
        tokens(text, false).iter().map(shown).collect()
    }

    #[test]
    fn comments_are_left_out_and_texts_are_whole() {
        assert_eq!(words("a // 'b'\n/* \" */ c('d//e')"), ["a", "|", "c", "(", ":d//e", ")"]);
        assert_eq!(words("\"x${f(\"y\")}z\" 'a\\'b' \"$v\""), ["$:x${f(\"y\")}z", ":a\\'b", "$:$v"]);
        assert_eq!(words("'''a\nb''' \"\"\"c $d\"\"\""), [":a\nb", "$:c $d"]);
    }

    #[test]
    fn a_quote_that_opens_nothing_does_not_swallow_the_file() {
        assert_eq!(words("x = ~/it's/\n'a'"), ["x", "=", "~", "/", "it", "'", "|", ":a"]);
        assert_eq!(words("\"\"\"never\nb"), ["\"", "|", "b"]);
        assert_eq!(words("é 'é"), ["é", "'"]);
    }

    #[test]
    fn lines_are_counted_through_texts_and_comments() {
        let placed = tokens("/*\n\n*/'''\n'''\nlast", false);
        assert_eq!(placed.last(), Some(&Placed { token: Token::Word("last"), line: 5 }));
    }
}
