//! The name of bytes.

use std::fmt;
use std::str::FromStr;

use crate::plugin::sha256_hex;

/// A sha-256, as registries write it: `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

impl Digest {
    /// That of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha256_hex(bytes))
    }

    /// From its 64 digits; none where they are not that.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let digits = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| Self(hex.to_ascii_lowercase()))
    }

    /// The 64 digits.
    pub fn hex(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "sha256:{}", self.0)
    }
}

impl FromStr for Digest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (algorithm, hex) = text.split_once(':').ok_or("a digest is sha256: and 64 hexadecimal digits")?;
        if algorithm != "sha256" {
            return Err("of digests only sha256 is known");
        }
        Self::from_hex(hex).ok_or("a sha256 digest has 64 hexadecimal digits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let digest = Digest::of(b"");
        assert_eq!(digest.to_string(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(digest.to_string().parse(), Ok(digest.clone()));
        assert_eq!(Digest::from_hex(&digest.hex().to_uppercase()), Some(digest));
        for wrong in ["sha256:e3", "sha512:e3", "e3", "", "sha256:", &format!("sha256:{}", "g".repeat(64))] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }
}
