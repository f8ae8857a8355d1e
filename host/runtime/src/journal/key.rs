//! Digests, and the key by which a later run finds an item's result.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::work::Item;

/// A SHA-256, shown and stored in JSON as 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is not a SHA-256 in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256: 64 hexadecimal digits are needed")]
pub struct NotADigest;

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(NotADigest);
        }
        let mut bytes = [0; 32];
        for (byte, place) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[place..place + 2], 16).map_err(|_| NotADigest)?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = NotADigest;
    fn try_from(text: String) -> Result<Self, NotADigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// By this a later run finds an item's result: everything that is known before the item runs and that the result may
/// depend on. What the item then reads is in its [`ReadSet`](super::ReadSet).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey(pub Digest);

/// What a key is made of.
#[derive(Clone, Copy, Debug)]
pub struct KeyParts<'a> {
    /// The digest of the component, in hex: another plugin, or another version of it, gives another result.
    pub plugin_digest: &'a str,
    /// Of the call.
    pub subcommand: Option<&'a str>,
    /// Of the call; the order of an object's members doesn't count.
    pub arguments: &'a Value,
    /// What its plugin is told about the item counts, save for label, weight, estimate and `repeatable`.
    pub item: &'a Item,
    /// Where the item's questions go: the route in the host's words.
    pub route: &'a str,
}

/// The key of an item.
pub fn item_key(parts: &KeyParts<'_>) -> ItemKey {
    // The number is the version of this encoding: raise it with each change, and old results are no longer found.
    let mut text = Encoder(Sha256::new_with_prefix(b"convoke item key 1"));
    text.add(parts.plugin_digest);
    text.add_all(parts.subcommand);
    text.add(&canonical(parts.arguments));
    text.add(parts.route);
    let item = parts.item;
    text.add(&item.id);
    text.add_all(item.group.as_deref());
    // As it is: two texts for one number may be two inputs to a plugin.
    text.add(&item.input);
    text.add_all(item.writes.iter().map(String::as_str));
    text.add_all(item.after.iter().map(String::as_str));
    text.add_all(item.extra.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]));
    ItemKey(Digest(text.0.finalize().into()))
}

/// Each text goes in behind its length and each list behind its count, so that no field can bleed into the next.
struct Encoder(Sha256);

impl Encoder {
    fn add(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
    }

    fn add_all<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) {
        let texts: Vec<_> = texts.into_iter().collect();
        self.0.update((texts.len() as u64).to_le_bytes());
        texts.into_iter().for_each(|text| self.add(text));
    }
}

/// The JSON text with the members of its objects sorted by name, whatever order the map keeps.
fn canonical(value: &Value) -> String {
    let mut text = String::new();
    add_canonical(&mut text, value);
    text
}

fn add_canonical(text: &mut String, value: &Value) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (place, (name, value)) in members.into_iter().enumerate() {
                text.push_str(if place > 0 { "," } else { "" });
                let _ = write!(text, "{}:", Value::String(name.clone()));
                add_canonical(text, value);
            }
            text.push('}');
        }
        Value::Array(values) => {
            text.push('[');
            for (place, value) in values.iter().enumerate() {
                text.push_str(if place > 0 { "," } else { "" });
                add_canonical(text, value);
            }
            text.push(']');
        }
        plain => {
            let _ = write!(text, "{plain}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn base() -> Item {
        Item {
            id: "ab".to_owned(),
            input: "c".to_owned(),
            group: Some("d".to_owned()),
            writes: vec!["e".to_owned(), "f".to_owned()],
            after: vec!["g".to_owned()],
            extra: vec![("h".to_owned(), "i".to_owned())],
            ..Item::default()
        }
    }

    fn key_of(item: &Item) -> ItemKey {
        key_in(item, "digest", Some("audit"), &json!({"deep": true}), "route")
    }

    fn key_in(item: &Item, plugin_digest: &str, subcommand: Option<&str>, arguments: &Value, route: &str) -> ItemKey {
        item_key(&KeyParts { plugin_digest, subcommand, arguments, item, route })
    }

    #[test]
    fn the_same_item_has_the_same_key_in_every_run() {
        assert_eq!(key_of(&base()), key_of(&base()));
        assert_eq!(
            key_of(&base()).0.to_string(),
            "b514d1b2e92726e76fc8e2604c4317be5efff3ab06cc2f2a764adfd3d2991b0b",
            "results of earlier runs must be found: raise the encoding's version if this has to change"
        );
        let other_show = Item { label: "shown".to_owned(), weight: 9, repeatable: true, ..base() };
        assert_eq!(key_of(&other_show), key_of(&base()));
    }

    #[test]
    fn no_field_bleeds_into_another() {
        let text = |text: &str| text.to_owned();
        let items = [
            base(),
            Item { id: text("a"), input: text("bc"), ..base() },
            Item { id: text("abc"), input: text(""), ..base() },
            Item { id: text("d"), group: Some(text("ab")), ..base() },
            Item { group: None, input: text("dc"), ..base() },
            Item { group: None, ..base() },
            Item { group: Some(String::new()), ..base() },
            Item { writes: vec![text("ef")], ..base() },
            Item { writes: vec![text("e")], after: vec![text("f"), text("g")], ..base() },
            Item { writes: vec![text("e"), text("f"), text("g")], after: Vec::new(), ..base() },
            Item { extra: vec![(text("hi"), text(""))], ..base() },
            Item { extra: Vec::new(), ..base() },
        ];
        let mut keys: BTreeSet<_> = items.iter().map(key_of).collect();
        assert_eq!(keys.len(), items.len());
        let item = base();
        for (digest, subcommand, arguments, route) in [
            ("digestaudit", None, json!({"deep": true}), "route"),
            ("digest", Some(""), json!({"deep": true}), "route"),
            ("digest", None, json!({"deep": true}), "route"),
            ("digest", Some("audit"), json!({"deep": "true"}), "route"),
            ("digest", Some("audit"), json!({"deep": true, "more": 1}), "route"),
            ("digest", Some("audit"), json!({"deep": true}), "routeab"),
        ] {
            assert!(keys.insert(key_in(&item, digest, subcommand, &arguments, route)), "{digest} {subcommand:?}");
        }
    }

    #[test]
    fn the_order_of_arguments_does_not_count_but_that_of_a_list_does() {
        let key = |text: &str| {
            let arguments: Value = serde_json::from_str(text).unwrap();
            key_in(&base(), "digest", None, &arguments, "route")
        };
        assert_eq!(key(r#"{"a":{"x":1,"y":[1,2]},"b":"c"}"#), key(r#"{"b":"c","a":{"y":[1,2],"x":1}}"#));
        assert_ne!(key(r#"{"a":[1,2]}"#), key(r#"{"a":[2,1]}"#));
        assert_ne!(key(r#"{"a\":1,\"b":2}"#), key(r#"{"a":1,"b":2}"#), "names are quoted");
    }

    #[test]
    fn a_digest_reads_what_it_shows_and_nothing_else() {
        let digest = Digest::of(b"");
        assert_eq!(digest.to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for wrong in ["", "e3b0", &"g".repeat(64), &"+1".repeat(32), &"ä".repeat(32)] {
            assert_eq!(wrong.parse::<Digest>(), Err(NotADigest), "{wrong}");
        }
    }
}
