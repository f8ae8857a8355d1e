//! Documents travel in the `extra` of a partial, so that components that were built before there were any go on running.

use convoke_runtime::work::Document;
use serde::Deserialize;

use super::Refused;
use crate::report::documents::MOST_BYTES;

/// The name in `extra`.
const NAME: &str = "document";

/// The longest name of a document, in bytes: what file systems take.
const LONGEST_NAME: usize = 255;
/// The longest media type, in bytes (RFC 6838, 4.2: two names of 127 each).
const LONGEST_TYPE: usize = 255;

/// As it travels.
#[derive(Deserialize)]
struct Sent {
    name: String,
    media_type: String,
    text: String,
}

/// The documents of a partial. Other names in `extra` are for later versions.
pub(super) fn from_extra(extra: Vec<(String, String)>) -> Result<Vec<Document>, Refused> {
    let mut bytes = 0;
    extra
        .into_iter()
        .filter(|(name, _)| name == NAME)
        .map(|(_, value)| {
            let sent: Sent = serde_json::from_str(&value).map_err(|error| Refused {
                message: format!("a document is not what it should be: {error}"),
                hint: Some("it is a JSON object with the texts name, media_type and text".to_owned()),
            })?;
            bytes += sent.text.len();
            if bytes > MOST_BYTES {
                return Err(Refused {
                    message: format!("the documents of an item have more than {} MiB together", MOST_BYTES >> 20),
                    hint: Some("take a part of the project".to_owned()),
                });
            }
            checked(sent)
        })
        .collect()
}

/// The same, as it travels back to a plugin that asks for the partial.
pub(super) fn to_extra(documents: &[Document]) -> Vec<(String, String)> {
    // Three texts: they always serialise.
    let json = |document| serde_json::to_string(document).unwrap_or_default();
    documents.iter().map(|document| (NAME.to_owned(), json(document))).collect()
}

fn checked(sent: Sent) -> Result<Document, Refused> {
    let Sent { name, media_type, text } = sent;
    let is_plain = !name.is_empty()
        && name.len() <= LONGEST_NAME
        && !name.starts_with(['.', ' '])
        && !name.chars().any(|char| matches!(char, '/' | '\\' | ':') || crate::report::clean::is_unsafe(char));
    if !is_plain {
        return Err(Refused {
            message: format!("a document has the name {:?}", crate::plugin::printable(&name, 80)),
            hint: Some("it is the plain name of a file, without a folder".to_owned()),
        });
    }
    if !is_media_type(&media_type) {
        let message = format!("the document {name} has the media type {:?}", crate::plugin::printable(&media_type, 80));
        return Err(Refused { message, hint: Some("one is `text/plain`".to_owned()) });
    }
    Ok(Document { name, media_type, text })
}

/// `type/subtype`, of the characters of RFC 6838, 4.2; without parameters: the text is UTF-8.
fn is_media_type(text: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|char: char| char.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.len() <= LONGEST_TYPE && text.split_once('/').is_some_and(|(kind, sub)| is_name(kind) && is_name(sub))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(name: &str, media_type: &str, text: &str) -> Vec<(String, String)> {
        let value = serde_json::json!({"name": name, "media_type": media_type, "text": text, "later": 1});
        vec![("later".to_owned(), "not even JSON".to_owned()), (NAME.to_owned(), value.to_string())]
    }

    #[test]
    fn a_document_goes_there_and_back() {
        let documents = from_extra(sent("sbom.cdx.json", "application/vnd.cyclonedx+json", "{}")).unwrap();
        assert_eq!(documents[0].text, "{}");
        assert_eq!(from_extra(to_extra(&documents)).unwrap(), documents);
    }

    #[test]
    fn the_name_leads_nowhere() {
        for name in ["", "..", ".profile", "a/b", "a\\b", "c:d", "a\u{1b}[2J", "a\u{202e}b", &"x".repeat(256)] {
            assert!(from_extra(sent(name, "text/plain", "")).is_err(), "{name}");
        }
        for name in ["a", "dependencies.txt", "größe.md"] {
            assert!(from_extra(sent(name, "text/plain", "")).is_ok(), "{name}");
        }
    }

    #[test]
    fn the_type_is_one() {
        for media_type in ["", "text", "text/", "/plain", "text/plain; charset=utf-8", "text/\u{1b}", "a/b/c"] {
            assert!(from_extra(sent("a", media_type, "")).is_err(), "{media_type}");
        }
    }

    #[test]
    fn too_much_is_refused_and_says_how_much_is_allowed() {
        let half = "x".repeat(MOST_BYTES / 2 + 1);
        let mut two = sent("a", "text/plain", &half);
        assert!(from_extra(two.clone()).is_ok());
        two.extend(sent("b", "text/plain", &half));
        assert!(from_extra(two).unwrap_err().message.contains("16 MiB"));
    }

    #[test]
    fn what_is_no_document_is_said() {
        let broken = vec![(NAME.to_owned(), "{\"name\": 1}".to_owned())];
        assert!(from_extra(broken).unwrap_err().message.contains("not what it should be"));
    }
}
