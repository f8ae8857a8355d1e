//! Files that can't be read as text.

use convoke_sdk::Finding;

use super::severity;
use convoke_sdk::text::{line_at, shown};

/// The host would not give the file.
pub fn unreadable(path: &str, why: &str) -> Finding {
    let id = "file-unreadable";
    Finding::new(id, severity(id), format!("the file can't be read: {}", shown(why, 300))).in_file(path)
}

/// The file is larger than an agent may be.
pub fn too_large(path: &str, bytes: u64) -> Finding {
    let id = "file-too-large";
    let message = format!(
        "the file has {bytes} bytes; an agent's instructions are read at every start, and over 1 MiB they are not audited"
    );
    Finding::new(id, severity(id), message).in_file(path)
}

/// The bytes are not UTF-8.
pub fn not_text(path: &str, bytes: &[u8]) -> Finding {
    let id = "file-not-utf8";
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or(""),
    };
    let message = format!("the file is not UTF-8 text: byte {} does not belong to any character", valid.len());
    Finding::new(id, severity(id), message).at(path, line_at(valid, valid.len())).help("save it as UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_no_text_are_findings() {
        let found = not_text("a.md", b"---\nname: caf\xe9\n");
        assert_eq!((found.rule.as_str(), found.line), ("file-not-utf8", Some(2)));
        assert_eq!(too_large("a.md", 2 << 20).rule, "file-too-large");
        let found = unreadable("a.md", "permission \u{1b}[2Jdenied");
        assert_eq!((found.rule.as_str(), found.message.contains('\u{1b}')), ("file-unreadable", false));
    }
}
