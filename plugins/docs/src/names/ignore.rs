//! What `.gitignore` leaves out: a path that documents name and that is made by a build is not missing.
//!
//! The rules of gitignore(5), but that a pattern matches on whichever side it may err: what can't be told is ignored.

/// One line of a `.gitignore`.
#[derive(Debug)]
struct Pattern {
    /// The folder of the file it stands in; empty for the root.
    folder: String,
    parts: Vec<String>,
    /// It stands for names anywhere below.
    anywhere: bool,
    /// `!`: what it fits is kept.
    keeps: bool,
}

/// The patterns of all `.gitignore` files.
#[derive(Debug, Default)]
pub(crate) struct Ignored {
    patterns: Vec<Pattern>,
    /// There are more and longer patterns than anybody writes: then nothing can be told.
    all: bool,
}

/// The most bytes of a pattern, and the most parts of it and of a path that is looked up.
const LONGEST: usize = 512;
const DEEPEST: usize = 64;
/// The most patterns of a repository.
const MOST: usize = 5_000;

impl Ignored {
    /// Adds a file by its path. Files of outer folders come first, as the last pattern that fits decides.
    pub(crate) fn add(&mut self, path: &str, text: &str) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for line in text.lines() {
            let line = line.trim_end();
            let (keeps, line) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if self.patterns.len() >= MOST || line.len() > LONGEST || line.matches('/').count() > DEEPEST {
                self.all = true;
                continue;
            }
            let pattern = line.trim_end_matches('/');
            let anywhere = !pattern.contains('/');
            let parts: Vec<String> =
                pattern.trim_start_matches('/').split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
            if !parts.is_empty() {
                self.patterns.push(Pattern { folder: folder.to_owned(), parts, anywhere, keeps });
            }
        }
    }

    /// Whether a path, or a folder that it is in, is left out.
    pub(crate) fn has(&self, path: &str) -> bool {
        if self.all || path.matches('/').count() > DEEPEST {
            return true;
        }
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.filter_map(|end| path.get(..end)).any(|part| self.has_just(part))
    }

    fn has_just(&self, path: &str) -> bool {
        let decides = self.patterns.iter().rev().find(|pattern| pattern.fits(path));
        decides.is_some_and(|pattern| !pattern.keeps)
    }
}

impl Pattern {
    fn fits(&self, path: &str) -> bool {
        let below = match self.folder.as_str() {
            "" => Some(path),
            folder => path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')),
        };
        let Some(below) = below else { return false };
        let path: Vec<&str> = below.split('/').collect();
        match (self.anywhere, path.last(), self.parts.first()) {
            (true, Some(name), Some(part)) => name_fits(part.as_bytes(), name.as_bytes()),
            _ => parts_fit(&self.parts, &path),
        }
    }
}

fn parts_fit(parts: &[String], path: &[&str]) -> bool {
    // The places in the pattern that may come next, for each name of the path: linear in both, whatever stars there are.
    let mut at = vec![false; parts.len() + 1];
    let open = |at: &mut Vec<bool>| {
        for (index, part) in parts.iter().enumerate() {
            if part == "**" && at.get(index) == Some(&true) {
                at[index + 1] = true;
            }
        }
    };
    at[0] = true;
    open(&mut at);
    for name in path {
        let mut next = vec![false; parts.len() + 1];
        for (index, part) in parts.iter().enumerate().filter(|(index, _)| at[*index]) {
            if part == "**" {
                next[index] = true;
            } else if name_fits(part.as_bytes(), name.as_bytes()) {
                next[index + 1] = true;
            }
        }
        open(&mut next);
        at = next;
    }
    at.last() == Some(&true)
}

/// `*` and `?` within a name; of `[…]` any one character, which is more than it says.
fn name_fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut of, mut star) = (0, 0, None);
    while of < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, of));
                at += 1;
            }
            Some(b'?') => (at, of) = (at + 1, of + 1),
            Some(b'[') => {
                let end = pattern[at..].iter().position(|byte| *byte == b']').unwrap_or(pattern.len() - at - 1);
                (at, of) = (at + end + 1, of + 1);
            }
            Some(b'\\') if pattern.get(at + 1) == name.get(of) => (at, of) = (at + 2, of + 1),
            Some(byte) if *byte == name[of] => (at, of) = (at + 1, of + 1),
            _ => match &mut star {
                Some((after, from)) => {
                    *from += 1;
                    (at, of) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).is_none_or(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(text: &str, path: &str) -> bool {
        let mut all = Ignored::default();
        all.add(".gitignore", text);
        all.has(path)
    }

    #[test]
    fn names_fit_anywhere_and_paths_from_their_folder() {
        for (text, path, is) in [
            ("target", "a/target/b", true),
            ("/target/", "target/x", true),
            ("/target", "a/target", false),
            ("*.log", "a/b.log", true),
            ("*.log", "a/b.logs", false),
            ("a/*/c", "a/b/c/d", true),
            ("a/**/c", "a/c", true),
            ("a/**/c", "a/x/y/c", true),
            ("a/**", "a/x", true),
            ("**/x", "a/b/x", true),
            ("!x.log\n*.log", "x.log", true),
            ("*.log\n!x.log", "x.log", false),
            ("# x\n\n", "x", false),
            ("[Bb]in/", "src/Bin/x", true),
            ("v?.txt", "v1.txt", true),
            (".env.override", ".env.override", true),
        ] {
            assert_eq!(ignored(text, path), is, "{text} {path}");
        }
    }

    #[test]
    fn a_file_in_a_folder_speaks_of_what_is_below() {
        let mut all = Ignored::default();
        all.add("web/.gitignore", "/dist\n");
        assert!(all.has("web/dist/a.js"));
        assert!(!all.has("dist/a.js"));
    }

    #[test]
    fn many_stars_take_no_time() {
        assert!(!ignored(&format!("{}b", "*a".repeat(250)), &"a".repeat(100_000)));
        assert!(!ignored(&format!("{}x", "**/".repeat(60)), &format!("{}b", "a/".repeat(60))));
        assert!(ignored("a/b", &"a/".repeat(2_000)));
        assert!(ignored(&"**/".repeat(2_000), "a"));
        assert!(!ignored("[a", "bc"));
    }
}
