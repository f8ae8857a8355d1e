//! Digests of archives, as lockfiles hold them.

/// A digest of a package's one archive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest {
    /// By which algorithm.
    pub algorithm: Algorithm,
    /// In lower-case hex.
    pub hex: String,
}

/// An algorithm; the later the stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// Broken: it tells apart by mistake, not by malice.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    const ALL: [Self; 4] = [Self::Sha512, Self::Sha384, Self::Sha256, Self::Sha1];

    /// As SPDX and CycloneDX write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        }
    }

    /// As Subresource Integrity writes it.
    const fn token(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// In bytes.
    const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl Digest {
    /// The strongest of an integrity as npm writes it (W3C, Subresource Integrity): `sha512-…`, several apart by blanks.
    pub fn of_integrity(text: &str) -> Option<Self> {
        let of = |algorithm: Algorithm| {
            text.split_ascii_whitespace().find_map(|part| {
                let (token, value) = part.split_once('-')?;
                let bytes =
                    (token == algorithm.token()).then(|| base64(value.split('?').next().unwrap_or_default()))??;
                (bytes.len() == algorithm.length()).then(|| Self { algorithm, hex: hex(&bytes) })
            })
        };
        Algorithm::ALL.into_iter().find_map(of)
    }

    /// One that is written in hex; its length tells the algorithm.
    pub fn of_hex(text: &str) -> Option<Self> {
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.length() * 2 == text.len())?;
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| Self { algorithm, hex: text.to_ascii_lowercase() })
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes of a text in base64 (RFC 4648, 4). None: it is none.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in digits.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_of_an_integrity_counts() {
        // Of the empty text.
        let sha1 = "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=";
        let sha256 = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let found = Digest::of_integrity(&format!("{sha1} {sha256}?x")).unwrap();
        assert_eq!(found.algorithm, Algorithm::Sha256);
        assert_eq!(found.hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(Digest::of_integrity(sha1).unwrap().hex, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    }

    #[test]
    fn what_is_no_digest_is_none() {
        for text in
            ["", "sha512-", "sha512-AAAA", "md5-AAAA", "sha256-é", "sha256", "-", "sha1-2jmj7l5rSw0yVb_vlWAYkK_YBwk="]
        {
            assert_eq!(Digest::of_integrity(text), None, "{text}");
        }
        for text in ["", "abc", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(Digest::of_hex(text), None, "{text}");
        }
    }

    #[test]
    fn hex_tells_its_algorithm_by_its_length() {
        let of = |length: usize| Digest::of_hex(&"A".repeat(length)).map(|digest| digest.algorithm.name());
        assert_eq!([40, 64, 96, 128].map(of), ["SHA-1", "SHA-256", "SHA-384", "SHA-512"].map(Some));
        assert_eq!(Digest::of_hex(&"A".repeat(40)).unwrap().hex, "a".repeat(40));
    }
}
