//! `go.sum`: the digests of what was ever downloaded for a module. It says nothing of what is built.

use convoke_sdk::small::Set;

use crate::format::reading::{Faults, numbered};
use crate::model::{File, Manager, Texts};

/// Reads a `go.sum` for what is wrong in it. The digests count for the `go.mod` beside it, which asks for them itself.
pub(super) fn parse(path: &str, text: &str, _: &Texts) -> File {
    let mut faults = Faults::default();
    for (line, text) in numbered(text) {
        if let Err(message) = entry(text) {
            faults.add(line, message);
        }
    }
    faults.into(File::new(path, Manager::Go, "go.sum"))
}

/// The modules, with their versions, of which there is a digest: of the module, or of its `go.mod` where no package of it is
/// built and so nothing else of it is ever fetched.
#[derive(Default)]
pub(super) struct Sums<'a>(Set<(&'a str, &'a str)>);

impl<'a> Sums<'a> {
    pub(super) fn add(&mut self, text: &'a str) {
        self.0.extend(numbered(text).filter_map(|(_, text)| entry(text).ok().flatten()));
    }

    pub(super) fn has(&self, module: &str, version: &str) -> bool {
        self.0.contains(&(module, version))
    }
}

/// Module and version of a line; none in an empty one.
fn entry(line: &str) -> Result<Option<(&str, &str)>, &'static str> {
    let mut words = line.split_whitespace();
    let Some(module) = words.next() else { return Ok(None) };
    let (Some(version), Some(digest), None) = (words.next(), words.next(), words.next()) else {
        return Err("a line of go.sum has three words: module, version and digest");
    };
    let version = version.strip_suffix("/go.mod").unwrap_or(version);
    // Digests of other kinds are skipped by Go too.
    let body = digest.strip_prefix("h1:");
    let fits = body.is_none_or(|body| {
        body.len() == 44
            && body.ends_with('=')
            && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
    });
    if !fits || !digest.contains(':') {
        return Err("this is no digest of Go: h1: and 32 bytes in base64");
    }
    Ok(body.map(|_| (module, version)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "h1:X0krlUVAVmtr2cRoTqR8aDMrDqnB36ht8wpWTiQ3jsA=";

    #[test]
    fn a_digest_of_the_module_or_of_its_go_mod_counts() {
        let text = format!("a v1.0.0 {DIGEST}\r\nb v2.0.0/go.mod {DIGEST}\n\nc v1.0.0 h9:x\n");
        let mut sums = Sums::default();
        sums.add(&text);
        assert!(sums.has("a", "v1.0.0") && sums.has("b", "v2.0.0"));
        assert!(!sums.has("a", "v2.0.0") && !sums.has("c", "v1.0.0"));
        assert_eq!(parse("go.sum", &text, &Texts::new()).faults, []);
    }

    #[test]
    fn malformed_lines_are_faults() {
        let text = format!(
            "a v1.0.0\na v1.0.0 h1:short=\n<<<<<<< HEAD\na v1.0.0 {DIGEST} more\na v1 digest\na v1.0.0 {DIGEST}\n"
        );
        let lines: Vec<_> =
            parse("go.sum", &text, &Texts::new()).faults.iter().filter_map(|fault| fault.line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5]);
    }
}
