//! Finds credentials in text, in one pass and without dependencies.
//!
//! convoke scans what it would send with this, and commands what they read. It knows the shapes that providers have
//! published for their tokens, private keys, passwords in URLs, and assignments such as `api_key = "…"` whose value
//! looks random. Values that stand for a secret (`your-api-key`, `xxxx`, `${TOKEN}`, `changeme`) are left alone: a
//! scanner that cries wolf gets switched off.
//!
//! ```
//! let key = format!("ghp_{}", "q7Rw2LmZ9xVt4KbN8sYc1HdJ6gPf3TaEuX5o");
//! let text = format!("curl -H 'Authorization: Bearer {key}'");
//!
//! let found = convoke_secrets::find(&text);
//! assert_eq!(found[0].kind, "github-token");
//! assert_eq!(convoke_secrets::redact(&text), "curl -H 'Authorization: Bearer [redacted: github-token]'");
//! ```

mod assignment;
mod guess;
mod token;

use std::borrow::Cow;
use std::ops::Range;

/// A credential in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// What it is, in kebab case: `aws-access-key-id`.
    pub kind: &'static str,
    /// Where it stands, in bytes of the text. Both ends are at character boundaries.
    pub range: Range<usize>,
}

/// The credentials in a text, ascending and not overlapping. Takes time in proportion to the text's length.
pub fn find(text: &str) -> Vec<Secret> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if !STARTS[byte as usize] {
            at += 1;
            continue;
        }
        let secret = match byte {
            b':' => token::url_password(bytes, at).or_else(|| assignment::value(bytes, at)),
            b'=' => assignment::value(bytes, at),
            b'-' => token::private_key(bytes, at),
            _ => token::known(bytes, at),
        };
        match secret {
            // Every matcher starts and ends at ASCII, so both ends are at character boundaries; a matcher that forgot
            // this would make slices panic, so it is left out rather than trusted.
            Some(secret)
                if secret.range.start >= at
                    && text.is_char_boundary(secret.range.start)
                    && text.is_char_boundary(secret.range.end) =>
            {
                at = secret.range.end.max(at + 1);
                found.push(secret);
            }
            _ => at += 1,
        }
    }
    found
}

/// The text with each credential replaced by `[redacted: its kind]`. Line breaks inside one are kept, so that line
/// numbers still hold.
pub fn redact(text: &str) -> Cow<'_, str> {
    let found = find(text);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    for secret in found {
        clean.push_str(&text[from..secret.range.start]);
        clean.push_str("[redacted: ");
        clean.push_str(secret.kind);
        clean.push(']');
        clean.extend(text[secret.range.clone()].chars().filter(|char| *char == '\n'));
        from = secret.range.end;
    }
    clean.push_str(&text[from..]);
    Cow::Owned(clean)
}

/// The bytes at which something may begin; all others cost one look.
const STARTS: [bool; 256] = {
    let mut starts = [false; 256];
    let bytes = b":=-sgxhASenprk";
    let mut at = 0;
    while at < bytes.len() {
        starts[bytes[at] as usize] = true;
        at += 1;
    }
    starts
};

#[cfg(test)]
mod tests;
