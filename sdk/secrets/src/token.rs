//! Secrets that show what they are: a published prefix, a PEM frame, a URL.

use crate::Secret;
use crate::guess::{bits, contains, is_placeholder, stands_for_a_secret};

/// How a token continues after its prefix.
struct Shape {
    kind: &'static str,
    prefix: &'static str,
    /// Which bytes it is made of.
    of: fn(u8) -> bool,
    /// How many of them: at least, at most.
    length: (usize, usize),
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn word_or_underscore(byte: u8) -> bool {
    word(byte) || byte == b'_'
}

fn word_or_dash(byte: u8) -> bool {
    word(byte) || byte == b'_' || byte == b'-'
}

fn upper_base32(byte: u8) -> bool {
    byte.is_ascii_uppercase() || matches!(byte, b'2'..=b'7')
}

fn lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

const MANY: usize = 512;

/// The tokens whose prefix is their own. Sources: each provider's documentation, and GitHub's list of the patterns that
/// its secret scanning knows. The first that fits counts.
const SHAPES: &[Shape] = &[
    Shape { kind: "anthropic-api-key", prefix: "sk-ant-", of: word_or_dash, length: (20, MANY) },
    Shape { kind: "openai-api-key", prefix: "sk-proj-", of: word_or_dash, length: (40, MANY) },
    Shape { kind: "openai-api-key", prefix: "sk-svcacct-", of: word_or_dash, length: (40, MANY) },
    Shape { kind: "openai-api-key", prefix: "sk-admin-", of: word_or_dash, length: (40, MANY) },
    Shape { kind: "openai-api-key", prefix: "sk-", of: word, length: (48, 48) },
    Shape { kind: "aws-access-key-id", prefix: "AKIA", of: upper_base32, length: (16, 16) },
    Shape { kind: "aws-access-key-id", prefix: "ASIA", of: upper_base32, length: (16, 16) },
    Shape { kind: "github-fine-grained-token", prefix: "github_pat_", of: word_or_underscore, length: (60, 255) },
    Shape { kind: "github-token", prefix: "ghp_", of: word, length: (36, 255) },
    Shape { kind: "github-token", prefix: "gho_", of: word, length: (36, 255) },
    Shape { kind: "github-token", prefix: "ghu_", of: word, length: (36, 255) },
    Shape { kind: "github-token", prefix: "ghs_", of: word, length: (36, 255) },
    Shape { kind: "github-token", prefix: "ghr_", of: word, length: (36, 255) },
    Shape { kind: "gitlab-token", prefix: "glpat-", of: word_or_dash, length: (20, 255) },
    Shape { kind: "gitlab-token", prefix: "gldt-", of: word_or_dash, length: (20, 255) },
    Shape { kind: "gitlab-token", prefix: "glrt-", of: word_or_dash, length: (20, 255) },
    Shape { kind: "gitlab-token", prefix: "glptt-", of: word_or_dash, length: (40, 255) },
    Shape { kind: "slack-token", prefix: "xoxb-", of: word_or_dash, length: (20, 255) },
    Shape { kind: "slack-token", prefix: "xoxp-", of: word_or_dash, length: (20, 255) },
    Shape { kind: "slack-token", prefix: "xoxa-", of: word_or_dash, length: (20, 255) },
    Shape { kind: "slack-token", prefix: "xoxe-", of: word_or_dash, length: (20, 255) },
    Shape { kind: "slack-token", prefix: "xoxr-", of: word_or_dash, length: (20, 255) },
    Shape { kind: "slack-token", prefix: "xoxs-", of: word_or_dash, length: (20, 255) },
    Shape { kind: "slack-token", prefix: "xapp-", of: word_or_dash, length: (30, 255) },
    Shape { kind: "google-api-key", prefix: "AIza", of: word_or_dash, length: (35, 35) },
    Shape { kind: "stripe-live-key", prefix: "sk_live_", of: word, length: (16, 255) },
    Shape { kind: "stripe-live-key", prefix: "rk_live_", of: word, length: (16, 255) },
    Shape { kind: "npm-token", prefix: "npm_", of: word, length: (36, 36) },
    Shape { kind: "pypi-token", prefix: "pypi-AgE", of: word_or_dash, length: (60, MANY) },
    Shape { kind: "twilio-api-key", prefix: "SK", of: lower_hex, length: (32, 32) },
];

/// The token that begins here, where a word begins.
pub(crate) fn known(bytes: &[u8], at: usize) -> Option<Secret> {
    if !begins_word(&bytes[..at]) {
        return None;
    }
    let before = at.checked_sub(1).map(|at| bytes[at]);
    let rest = &bytes[at..];
    let shaped = SHAPES.iter().filter(|shape| rest.starts_with(shape.prefix.as_bytes())).find_map(|shape| {
        let body = run(&rest[shape.prefix.len()..], shape.of, shape.length.1 + 1);
        let ends = !rest.get(shape.prefix.len() + body.len()).is_some_and(|byte| word_or_underscore(*byte));
        (ends && (shape.length.0..=shape.length.1).contains(&body.len()) && !is_placeholder(body))
            .then(|| secret(shape.kind, at, shape.prefix.len() + body.len()))
    });
    shaped.or_else(|| sendgrid(rest, at)).or_else(|| jwt(rest, at, before)).or_else(|| slack_webhook(rest, at))
}

/// Whether a word begins behind this. The letters of an escape that is written out, as in JSON, are no part of it: `\n`,
/// `\u000a`.
fn begins_word(before: &[u8]) -> bool {
    match before {
        [.., b'\\', b'n' | b't' | b'r' | b'b' | b'f'] => true,
        [.., b'\\', b'u', a, b, c, d] if [a, b, c, d].iter().all(|byte| byte.is_ascii_hexdigit()) => true,
        _ => !before.last().is_some_and(|byte| word_or_underscore(*byte)),
    }
}

fn secret(kind: &'static str, at: usize, length: usize) -> Secret {
    Secret { kind, range: at..at + length }
}

/// The bytes at the beginning that fit, at most so many.
fn run(bytes: &[u8], of: fn(u8) -> bool, most: usize) -> &[u8] {
    let end = bytes.iter().take(most).position(|byte| !of(*byte)).unwrap_or(bytes.len().min(most));
    &bytes[..end]
}

fn sendgrid(rest: &[u8], at: usize) -> Option<Secret> {
    let rest = rest.strip_prefix(b"SG.")?;
    let id = run(rest, word_or_dash, 23);
    let key = run(rest.get(id.len()..)?.strip_prefix(b".")?, word_or_dash, 44);
    (id.len() == 22 && key.len() == 43 && !is_placeholder(key)).then(|| secret("sendgrid-api-key", at, 3 + 22 + 1 + 43))
}

/// The signature of the sample token that every tutorial shows.
const SAMPLE_JWT: &[u8] = b"SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";

fn jwt(rest: &[u8], at: usize, before: Option<u8>) -> Option<Secret> {
    // Not after a dash: it would be the middle of a run, and each of a thousand starts would read that run again.
    if !rest.starts_with(b"eyJ") || before == Some(b'-') {
        return None;
    }
    let header = run(rest, word_or_dash, 4096);
    let claims = run(rest.get(header.len()..)?.strip_prefix(b".")?, word_or_dash, 16_384);
    let signature = run(rest.get(header.len() + 1 + claims.len()..)?.strip_prefix(b".")?, word_or_dash, 4096);
    let fits = header.len() >= 12 && claims.len() >= 12 && claims.starts_with(b"eyJ") && signature.len() >= 20;
    (fits && signature != SAMPLE_JWT && !is_placeholder(signature))
        .then(|| secret("json-web-token", at, header.len() + claims.len() + signature.len() + 2))
}

fn slack_webhook(rest: &[u8], at: usize) -> Option<Secret> {
    let prefix = b"hooks.slack.com/services/";
    let path = run(rest.strip_prefix(prefix)?, |byte| word(byte) || byte == b'/', 128);
    let mut parts = path.split(|byte| *byte == b'/');
    let (team, channel, key) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = team.len() >= 8 && channel.len() >= 8 && key.len() >= 20 && parts.next().is_none();
    (fits && !is_placeholder(key)).then(|| secret("slack-webhook", at, prefix.len() + path.len()))
}

/// A private key in PEM, the whole block. One that is cut short counts to where its base64 ends.
pub(crate) fn private_key(bytes: &[u8], at: usize) -> Option<Secret> {
    let rest = bytes[at..].strip_prefix(b"-----BEGIN ")?;
    let label = run(rest, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ', 40);
    if !(label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK")) {
        return None;
    }
    let start = "-----BEGIN ".len() + label.len();
    rest[label.len()..].strip_prefix(b"-----")?;
    let body = &bytes[at + start + 5..];
    // Up to the next dashes: either the end line, or what can't be part of the key. `\n` written out, as in JSON, is.
    let inside = body.windows(5).position(|window| window == b"-----").unwrap_or(body.len());
    let framed = body.get(inside..).is_some_and(|tail| tail.starts_with(b"-----END "));
    let key: usize = body[..inside].iter().filter(|byte| word(**byte) || matches!(byte, b'+' | b'/' | b'=')).count();
    if key < 40 || contains(&body[..inside.min(200)], b"...") {
        return None;
    }
    let end = if framed {
        let tail = &body[inside + 9..];
        let label = run(tail, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ', 40).len();
        inside + 9 + label + if tail[label..].starts_with(b"-----") { 5 } else { 0 }
    } else {
        body[..inside]
            .iter()
            .position(|byte| !(word(*byte) || matches!(byte, b'+' | b'/' | b'=' | b'\n' | b'\r' | b' ' | b'\\')))
            .unwrap_or(inside)
    };
    (end >= 40).then(|| secret("private-key", at, start + 5 + end))
}

/// Passwords that nobody hides: the defaults of local databases and of documentation.
const EVERYBODYS: &[&str] = &[
    "pass",
    "pw",
    "pwd",
    "postgres",
    "root",
    "admin",
    "guest",
    "user",
    "mysql",
    "mongo",
    "redis",
    "rabbitmq",
    "test",
    "otel",
    "dev",
    "local",
    "demo",
    "minio",
    "minioadmin",
];

/// The password in `scheme://user:password@host`. `at` is the colon after the scheme.
pub(crate) fn url_password(bytes: &[u8], at: usize) -> Option<Secret> {
    let rest = bytes[at..].strip_prefix(b"://")?;
    if at == 0 || !word(bytes[at - 1]) {
        return None;
    }
    let authority = run(
        rest,
        |byte| {
            byte.is_ascii_graphic() && !matches!(byte, b'/' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'?' | b'#' | b'|')
        },
        320,
    );
    let host = authority.iter().rposition(|byte| *byte == b'@')?;
    let colon = authority[..host].iter().position(|byte| *byte == b':')?;
    let (user, password) = (&authority[..colon], &authority[colon + 1..host]);
    let everybodys = EVERYBODYS.iter().any(|common| common.as_bytes().eq_ignore_ascii_case(password));
    if password.len() < 4 || password == user || everybodys || stands_for_a_secret(password) || bits(password) < 1.0 {
        return None;
    }
    let start = at + 3 + colon + 1;
    Some(Secret { kind: "url-password", range: start..start + password.len() })
}
