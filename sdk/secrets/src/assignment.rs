//! Secrets that only their name and their randomness give away: `api_key = "…"`.

use crate::Secret;
use crate::guess::{bits, classes, stands_for_a_secret};
use crate::token::known;

/// What a name that holds a secret ends with, letters and digits only, and whether people choose its value themselves.
const NAMES: &[(&str, bool)] = &[
    ("password", true),
    ("passwd", true),
    ("pwd", true),
    ("passphrase", true),
    ("secret", false),
    ("token", false),
    ("apikey", false),
    ("accesskey", false),
    ("secretkey", false),
    ("privatekey", false),
    ("authkey", false),
    ("encryptionkey", false),
    ("signingkey", false),
    ("accountkey", false),
    ("sharedaccesskey", false),
];

/// The longest name and the longest value that are looked at.
const LONGEST: (usize, usize) = (64, 512);

/// The value that is assigned here. `at` is the `=` or the `:`.
pub(crate) fn value(bytes: &[u8], at: usize) -> Option<Secret> {
    let name = name_before(bytes, at)?;
    let (chosen, kind) = kind_of(&name)?;

    let mut start = at + 1;
    while matches!(bytes.get(start), Some(b'=' | b'>')) {
        start += 1;
    }
    start += bytes[start..].iter().take(8).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let quote = bytes.get(start).copied().filter(|byte| matches!(byte, b'"' | b'\'' | b'`'));
    let value = match quote {
        Some(quote) => {
            start += 1;
            let rest = &bytes[start..bytes.len().min(start + LONGEST.1)];
            &rest[..rest.iter().position(|byte| *byte == quote || *byte == b'\n')?]
        }
        None => {
            let rest = &bytes[start..bytes.len().min(start + LONGEST.1)];
            let end = rest.iter().position(|byte| !unquoted(*byte)).unwrap_or(rest.len());
            let padding = rest[end..].iter().take(2).take_while(|byte| **byte == b'=').count();
            let after = rest.get(end + padding);
            // `token = request.headers(…)` and `secret: some.thing` are code and references, not values.
            if !after
                .is_none_or(|byte| matches!(byte, b'\n' | b'\r' | b' ' | b'\t' | b';' | b',' | b'"' | b'\'' | b'`'))
            {
                return None;
            }
            &rest[..end + padding]
        }
    };
    if known(bytes, start).is_some() || !value.is_ascii() || stands_for_a_secret(value) {
        return None;
    }
    let random = match (kind, chosen, quote) {
        ("aws-secret-access-key", ..) => value.len() == 40 && bits(value) > 4.0,
        ("azure-storage-key", ..) => value.len() == 88 && value.ends_with(b"==") && bits(value) > 4.0,
        (_, true, Some(_)) => value.len() >= 10 && classes(value) >= 3 && bits(value) >= 3.0,
        (_, false, Some(_)) => value.len() >= 16 && mixed(value) && bits(value) >= 3.3,
        (_, _, None) => value.len() >= 20 && digit_runs(value) >= 3 && mixed(value) && bits(value) >= 3.6,
    };
    random.then(|| Secret { kind, range: start..start + value.len() })
}

fn unquoted(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'+' | b'/' | b'_' | b'-' | b'!' | b'#' | b'%' | b'^' | b'&' | b'*' | b'~')
}

/// Letters and at least two digits, as random text of this length has.
fn mixed(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_alphabetic) && value.iter().filter(|byte| byte.is_ascii_digit()).count() >= 2
}

/// How often digits begin. Names of things have one number or two (`X509RequestOptions`), random text has many.
fn digit_runs(value: &[u8]) -> usize {
    let begins = |pair: &&[u8]| !pair[0].is_ascii_digit() && pair[1].is_ascii_digit();
    value.windows(2).filter(begins).count() + usize::from(value.first().is_some_and(u8::is_ascii_digit))
}

/// The name before an assignment, in lower case, letters and digits only: `"Client-Secret" :` gives `clientsecret`.
fn name_before(bytes: &[u8], at: usize) -> Option<Vec<u8>> {
    let before = &bytes[at.saturating_sub(LONGEST.0)..at];
    let mut end = before.len();
    while end > 0 && matches!(before[end - 1], b' ' | b'\t' | b':') {
        end -= 1;
    }
    if end > 0 && matches!(before[end - 1], b'"' | b'\'' | b'`' | b']') {
        end -= 1;
        if end > 0 && matches!(before[end - 1], b'"' | b'\'') {
            end -= 1;
        }
    }
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let start = before[..end].iter().rposition(|byte| !part(byte)).map_or(0, |last| last + 1);
    (start < end).then(|| {
        before[start..end].iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect()
    })
}

/// Whether people choose the value of that name, and what a secret of that name is called.
fn kind_of(name: &[u8]) -> Option<(bool, &'static str)> {
    let (_, chosen) = NAMES.iter().find(|(ending, _)| name.ends_with(ending.as_bytes()))?;
    let kind = if name.ends_with(b"secretaccesskey") {
        "aws-secret-access-key"
    } else if name.ends_with(b"accountkey") {
        "azure-storage-key"
    } else {
        "assigned-secret"
    };
    Some((*chosen, kind))
}
