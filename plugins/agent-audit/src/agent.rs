//! One agent definition, as the rules see it.

use crate::front_matter::{self, FrontMatter, Value};
use convoke_sdk::text::shown;

/// An agent definition.
#[derive(Debug)]
pub struct Agent<'a> {
    /// The file's path, as the project names it.
    pub path: &'a str,
    /// The whole file.
    pub text: &'a str,
    /// What stands at its top.
    pub front: FrontMatter,
    /// The instructions below.
    pub body: &'a str,
    /// The line where they begin.
    pub body_line: u32,
}

impl<'a> Agent<'a> {
    /// Reads a file's text.
    pub fn new(path: &'a str, text: &'a str) -> Self {
        let (front, body, body_line) = front_matter::split(text);
        Self { path, text, front, body, body_line }
    }

    /// The file's name without its ending.
    pub fn stem(&self) -> &'a str {
        stem(self.path)
    }

    /// Its name; the file's where it has none.
    pub fn name(&self) -> &str {
        self.front.text("name").unwrap_or_else(|| self.stem())
    }

    /// The body's lines, with their numbers in the file.
    pub fn body_lines(&self) -> impl Iterator<Item = (u32, &'a str)> {
        (self.body_line..).zip(self.body.lines())
    }

    /// The tools it names, each with its line: from a list, or from text with commas. `Bash(git:*, npm:*)` is one.
    /// None: the key is missing or says nothing.
    pub fn tools(&self) -> Option<Vec<(u32, String)>> {
        tools_of(&self.front, "tools")
    }

    /// Whether the front matter has something of an agent's.
    pub fn looks_like_an_agent(&self) -> bool {
        ["name", "description", "tools", "model"].iter().any(|key| self.front.get(key).is_some())
    }
}

/// A file's name without its ending.
pub fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(".md").unwrap_or(name)
}

fn tools_of(front: &FrontMatter, key: &str) -> Option<Vec<(u32, String)>> {
    let field = front.get(key)?;
    match &field.value {
        Value::Nothing => None,
        Value::Mapping => Some(vec![(field.line, "a mapping".to_owned())]),
        Value::Text(text) => {
            // In text that is broken YAML, a list in brackets is still text.
            let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
            Some(split_tools(text).map(|tool| (field.line, tool)).collect())
        }
        Value::List(entries) => Some(
            entries
                .iter()
                .flat_map(|(line, value)| match value {
                    Value::Text(text) => split_tools(text).map(|tool| (*line, tool)).collect(),
                    Value::Nothing => Vec::new(),
                    _ => vec![(*line, "a list or mapping".to_owned())],
                })
                .collect(),
        ),
    }
}

/// The tools of a text, cut at commas that stand in no parentheses.
fn split_tools(text: &str) -> impl Iterator<Item = String> {
    let mut depth = 0usize;
    text.split(move |char| {
        match char {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        char == ',' && depth == 0
    })
    .map(|tool| shown(tool.trim().trim_matches(['"', '\'']), 120))
    .filter(|tool| !tool.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(front: &str) -> Option<Vec<(u32, String)>> {
        Agent::new("a.md", &format!("---\n{front}\n---\n")).tools()
    }

    #[test]
    fn tools_may_be_text_or_a_list() {
        let read_bash = Some(vec![(2, "Read".to_owned()), (2, "Bash(git diff:*, git log:*)".to_owned())]);
        assert_eq!(tools("tools: Read, Bash(git diff:*, git log:*)"), read_bash);
        assert_eq!(tools("tools: [Read, \"Bash(git diff:*, git log:*)\"]"), read_bash);
        assert_eq!(tools("tools:\n- Read\n- Grep"), Some(vec![(3, "Read".to_owned()), (4, "Grep".to_owned())]));
        assert_eq!(tools("tools:"), None);
        assert_eq!(tools("tools: []"), Some(Vec::new()));
        assert_eq!(tools("name: a"), None);
    }

    #[test]
    fn the_stem_is_the_files_name() {
        assert_eq!(stem("a/b/powershell-5.1-expert.md"), "powershell-5.1-expert");
    }
}
