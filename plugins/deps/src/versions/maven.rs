//! Maven's versions: "Version Order Specification" of the POM reference.
//!
//! A version is a row of tokens, each of which stands after a dot or a hyphen; from a digit to a letter and back there is
//! a hyphen that isn't written. The specification pads the shorter row with what is nothing. Here the end is a token of its
//! own, which stands in the order where the padding would: so the order is that of rows, and surely a total one.

use super::number::Number;

/// A version: its tokens, with [`Token::End`] as the last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(Vec<Token>);

/// The variants stand in their order: `.qualifier` = `-qualifier` < `-number` < `.number`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Token {
    /// alpha, beta, milestone, rc, snapshot: the place in this list.
    Before(u8),
    End,
    /// `ga`, `final`, `release` with something after it.
    Release,
    /// `sp`.
    Service,
    /// Any other word, by the alphabet.
    Word(String),
    Hyphen(Number),
    Dot(Number),
}

impl Token {
    /// What counts as nothing at the end of a version and before a hyphen.
    fn is_null(&self) -> bool {
        match self {
            Self::Release => true,
            Self::Hyphen(number) | Self::Dot(number) => number.is_zero(),
            _ => false,
        }
    }

    /// `numbered`: a number follows at once.
    fn qualifier(word: &str, numbered: bool) -> Self {
        match word {
            "alpha" => Self::Before(0),
            "beta" => Self::Before(1),
            "milestone" => Self::Before(2),
            "a" if numbered => Self::Before(0),
            "b" if numbered => Self::Before(1),
            "m" if numbered => Self::Before(2),
            "rc" | "cr" => Self::Before(3),
            "snapshot" => Self::Before(4),
            "ga" | "final" | "release" => Self::Release,
            "sp" => Self::Service,
            word => Self::Word(word.to_owned()),
        }
    }
}

/// Reads a version. Maven itself takes any text; what is a property, a range or a request for the newest is none here.
pub(super) fn parse(text: &str) -> Option<Version> {
    let text = text.trim().to_lowercase();
    let asks = matches!(text.as_str(), "" | "latest" | "release");
    if asks || text.contains(|char: char| char.is_whitespace() || "${}[](),".contains(char)) {
        return None;
    }
    let mut row = Row::default();
    let mut start = 0;
    let mut number = false;
    for (at, char) in text.char_indices() {
        match char {
            '.' | '-' => {
                row.push(&text[start..at], false);
                row.hyphen = char == '-';
                start = at + 1;
            }
            _ => {
                let digit = char.is_ascii_digit();
                if at > start && digit != number {
                    row.push(&text[start..at], digit);
                    row.hyphen = true;
                    start = at;
                }
                number = digit;
            }
        }
    }
    row.push(&text[start..], false);
    row.trim();
    row.tokens.push(Token::End);
    Some(Version(row.tokens))
}

#[derive(Default)]
struct Row {
    tokens: Vec<Token>,
    /// Whether a hyphen stands before the next one.
    hyphen: bool,
}

impl Row {
    fn push(&mut self, text: &str, numbered: bool) {
        let number = if text.is_empty() { Some(Number::zero()) } else { Number::new(text) };
        let token = match number {
            Some(number) if self.hyphen => Token::Hyphen(number),
            Some(number) => Token::Dot(number),
            None => Token::qualifier(text, numbered),
        };
        // A word has a hyphen before it, whatever is written there.
        if !matches!(token, Token::Dot(_)) {
            self.trim();
        }
        self.tokens.push(token);
    }

    fn trim(&mut self) {
        while self.tokens.last().is_some_and(Token::is_null) {
            self.tokens.pop();
        }
    }
}
