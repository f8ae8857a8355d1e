//! What the tests have in common.

/// An agent with which not much is wrong.
pub(crate) fn agent(name: &str, body: &str) -> String {
    format!("---\nname: {name}\ndescription: Use when asked.\ntools: Read\n---\n\n{body}\n")
}
