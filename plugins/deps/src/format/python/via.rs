//! The comments in which pip-compile and uv say why a package is there: `# via flask`, or one reason a line.

use super::normal_name;
use super::pep508;
use crate::format::reading::MOST_EDGES;

/// Why a package is in a compiled file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The project asks for it: `-r requirements.in`, `project (pyproject.toml)`.
    Project,
    /// This package needs it, by its normalised name.
    Package(String),
}

/// Reads the comments that follow a package.
#[derive(Default)]
pub(super) struct Comments {
    open: bool,
}

impl Comments {
    /// The reasons that a comment gives; its text begins after the `#`.
    pub(super) fn read(&mut self, comment: &str) -> Vec<Reason> {
        let text = comment.trim();
        let listed = match text.strip_prefix("via") {
            Some("") => {
                self.open = true;
                return Vec::new();
            }
            Some(rest) if rest.starts_with(char::is_whitespace) => {
                self.open = false;
                rest
            }
            // What goes on a list stands deeper than its head.
            _ if self.open && comment.starts_with("  ") && !text.is_empty() => text,
            _ => {
                self.open = false;
                return Vec::new();
            }
        };
        // With more than are ever kept, the file is refused.
        listed.split(',').filter_map(|reason| reason_of(reason.trim())).take(MOST_EDGES + 1).collect()
    }
}

fn reason_of(text: &str) -> Option<Reason> {
    if let Some(option) = text.strip_prefix('-') {
        // A constraint only bounds what something else asks for.
        let asks = option.starts_with('r') || option.starts_with("-requirement");
        return asks.then_some(Reason::Project);
    }
    if text.ends_with(')') && text.contains(" (") {
        return Some(Reason::Project);
    }
    let asked = pep508::parse(text).ok()?;
    (asked.range.is_none() && asked.address.is_none()).then(|| Reason::Package(normal_name(&asked.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(comments: &[&str]) -> Vec<String> {
        let mut reader = Comments::default();
        let shown = |reason| match reason {
            Reason::Project => "the project".to_owned(),
            Reason::Package(name) => name,
        };
        comments.iter().flat_map(|comment| reader.read(comment)).map(shown).collect()
    }

    #[test]
    fn reasons_stand_on_one_line_or_below_each_other() {
        assert_eq!(read(&[" via flask"]), ["flask"]);
        assert_eq!(read(&[" via -r requirements.in, Flask_X"]), ["the project", "flask-x"]);
        assert_eq!(read(&[" via", "   -r a.in", "   -c b.txt", "   uvicorn[standard]"]), ["the project", "uvicorn"]);
        assert_eq!(read(&[" via shop (pyproject.toml)"]), ["the project"]);
    }

    #[test]
    fn other_comments_are_no_reasons_and_end_a_list() {
        assert!(read(&[" viable", " from https://registry.example", "   flask"]).is_empty());
        assert_eq!(read(&[" via", "   flask", " The following are unsafe", "   setuptools"]), ["flask"]);
    }
}
