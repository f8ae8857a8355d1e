//! What is written down: which host does which items. Functions of it and of the time; no file here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::EXPIRES;
use crate::journal::ItemKey;

/// Half of an item's key, which tells items apart well enough: as 32 hexadecimal digits in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name([u8; 16]);

impl Name {
    pub(super) fn of(key: &ItemKey) -> Self {
        let mut name = [0; 16];
        name.copy_from_slice(&key.0.as_bytes()[..16]);
        Self(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 32];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        digits.into_iter().try_for_each(|digit| f.write_char(char::from(digit)))
    }
}

fn digit(half: u8) -> u8 {
    if half < 10 { b'0' + half } else { b'a' + half - 10 }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let number = (digits.len() == 32).then(|| u128::from_str_radix(&digits, 16).ok()).flatten();
        Ok(Self(number.ok_or_else(|| D::Error::custom("not the name of an item"))?.to_be_bytes()))
    }
}

/// All of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// In which run of the kernel its times are.
    pub(super) boot: String,
    /// When it was last written, in nanoseconds since the machine booted, like all times in it.
    pub(super) at: u64,
    /// The hosts at work.
    pub(super) holders: BTreeMap<String, Holder>,
}

/// What a host does.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Holder {
    pub(super) pid: u32,
    /// When it last wrote.
    pub(super) seen: u64,
    pub(super) items: BTreeSet<Name>,
    /// It has seen no other host, and does not write down what it does: whatever others would do it may be at.
    pub(super) alone: bool,
}

impl State {
    /// Whether there are other hosts.
    pub(super) fn has_others(&self, me: &str) -> bool {
        self.holders.keys().any(|id| id != me)
    }

    /// The other hosts.
    pub(super) fn others(&self, me: &str) -> Vec<String> {
        self.holders.keys().filter(|id| *id != me).cloned().collect()
    }

    /// Whether another host does an item, or may.
    pub(super) fn is_held_by_others(&self, me: &str, name: Name) -> bool {
        self.holders.iter().any(|(id, holder)| id != me && (holder.alone || holder.items.contains(&name)))
    }

    /// Whether it is written down of a host that it is alone.
    pub(super) fn says_alone(&self, id: &str) -> bool {
        self.holders.get(id).is_some_and(|holder| holder.alone)
    }

    /// Whether a host has not renewed its claims for too long.
    pub(super) fn is_expired(&self, id: &str, now: u64) -> bool {
        let expires = u64::try_from(EXPIRES.as_nanos()).unwrap_or(u64::MAX);
        self.holders.get(id).is_some_and(|holder| now.saturating_sub(holder.seen) > expires)
    }
}
