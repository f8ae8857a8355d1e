//! Fields of an advisory, held to the type that its format says: an advisory of which a part is misread must not count as read.

use super::Broken;
use crate::format::tree::{self, Entry, Node, Value};

/// Whether a value says nothing: `null` counts as what is not there.
fn present<'n, 'a>(node: &'n Node<'a>, key: &str) -> Option<&'n Node<'a>> {
    node.get(key).filter(|node| node.value != Value::Null)
}

fn unfit(key: &str, wanted: &str, node: &Node<'_>) -> Broken {
    let fault = tree::unfit(&format!("`{key}`"), wanted, node);
    Broken { line: fault.line, message: fault.message }
}

/// A text. None: it is not there.
pub(crate) fn text<'n>(node: &'n Node<'_>, key: &str) -> Result<Option<&'n str>, Broken> {
    let Some(field) = present(node, key) else { return Ok(None) };
    field.text().map(Some).ok_or_else(|| unfit(key, "text", field))
}

/// A list; empty where it is not there.
pub(crate) fn list<'n, 'a>(node: &'n Node<'a>, key: &str) -> Result<&'n [Node<'a>], Broken> {
    match present(node, key) {
        None => Ok(&[]),
        Some(Node { value: Value::List(nodes), .. }) => Ok(nodes),
        Some(other) => Err(unfit(key, "a list", other)),
    }
}

/// A list of texts; empty where it is not there.
pub(crate) fn texts(node: &Node<'_>, key: &str) -> Result<Vec<String>, Broken> {
    let text = |node: &Node<'_>| node.text().map(str::to_owned).ok_or_else(|| unfit(key, "a list of texts", node));
    list(node, key)?.iter().map(text).collect()
}

/// A table; empty where it is not there.
pub(crate) fn table<'n, 'a>(node: &'n Node<'a>, key: &str) -> Result<&'n [Entry<'a>], Broken> {
    match present(node, key) {
        None => Ok(&[]),
        Some(Node { value: Value::Table(entries), .. }) => Ok(entries),
        Some(other) => Err(unfit(key, "a table", other)),
    }
}
