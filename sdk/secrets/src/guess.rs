//! Is it a secret, or does it stand for one?

/// Words that a value has when it stands for a secret. Lower case.
const STANDS_FOR: &[&str] = &[
    "example",
    "your",
    "changeme",
    "change-me",
    "change_me",
    "placeholder",
    "xxx",
    "dummy",
    "sample",
    "redacted",
    "secret",
    "password",
    "passwd",
    "token",
    "api-key",
    "api_key",
    "apikey",
    "insert",
    "replace",
    "todo",
    "fake",
    "mock",
    "12345",
    "abcdef",
    "deadbeef",
    "foobar",
    "foo-bar",
    "localhost",
    "process.env",
    "os.environ",
    "undefined",
    "123abc",
    "abc123",
    "...",
    "***",
    "test-",
    "test_",
    "-test",
    "_test",
    "-key",
    "_key",
    "key-",
    "key_",
    "default",
    "none",
    "null",
    "here",
];

/// Whether a value stands for a secret: `your-api-key`, `<token>`, `${VAR}`, `xxxx`.
pub(crate) fn stands_for_a_secret(value: &[u8]) -> bool {
    if value.iter().any(|byte| matches!(byte, b'<' | b'>' | b'{' | b'}' | b'(' | b')' | b' ' | b'\\')) {
        return true;
    }
    if matches!(value.first(), Some(b'$' | b'%' | b'/' | b'.' | b'@' | b'&')) {
        return true;
    }
    let lower: Vec<u8> = value.iter().map(u8::to_ascii_lowercase).collect();
    STANDS_FOR.iter().any(|word| contains(&lower, word.as_bytes()))
}

/// As [`stands_for_a_secret`], for a token whose prefix already says what it is: only what can't be by chance.
pub(crate) fn is_placeholder(body: &[u8]) -> bool {
    let lower: Vec<u8> = body.iter().map(u8::to_ascii_lowercase).collect();
    let words: [&[u8]; 9] =
        [b"xxxx", b"example", b"your", b"placeholder", b"redacted", b"12345678", b"abcdefgh", b"....", b"0000000"];
    words.iter().any(|word| contains(&lower, word)) || bits(body) < 2.5
}

/// Shannon entropy, in bits a byte.
pub(crate) fn bits(value: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for byte in value {
        counts[*byte as usize] += 1;
    }
    let total = value.len() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / total)
        .map(|share| -share * share.log2())
        .sum()
}

/// How many of lower case, upper case, digits and other characters it has.
pub(crate) fn classes(value: &[u8]) -> usize {
    let has = |test: fn(&u8) -> bool| usize::from(value.iter().any(test));
    has(u8::is_ascii_lowercase)
        + has(u8::is_ascii_uppercase)
        + has(u8::is_ascii_digit)
        + has(|byte| !byte.is_ascii_alphanumeric())
}

pub(crate) fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
