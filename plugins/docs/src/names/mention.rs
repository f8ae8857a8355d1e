//! The names in a document that the repository should have, with their places: from its inline code, its fences of a shell,
//! and its text. What stands for anything, or for something made or fetched on the way, is not among them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::shell::{self, Command};
use super::{command, context, paths, tokens, versions};
use crate::markdown::{Document, Place};

/// What kind of thing a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A file or a folder.
    Path,
    /// What another document is imported by: `@docs/style.md` in agent instructions.
    Import,
    /// A file that a command of a shell reads or runs, from whatever folder it is in then.
    Argument,
    /// A script of `package.json`.
    Script,
    /// A target of Make.
    Target,
    /// A recipe of just.
    Recipe,
    /// A binary of Cargo.
    Bin,
    /// An example of Cargo.
    Example,
    /// A test of Cargo.
    Test,
    /// A benchmark of Cargo.
    Bench,
    /// A feature of Cargo.
    Feature,
    /// A package of Cargo.
    Package,
    /// A service of Compose.
    Service,
    /// A module that `python -m` runs.
    Module,
    /// A variable of the environment.
    Variable,
    /// A flag of a program.
    Flag,
    /// A port of this machine.
    Port,
    /// The least version of a tool.
    Version,
}

/// A name, and what is to be known about it to judge it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Name {
    /// What kind of thing it is.
    pub what: What,
    /// As the document writes it.
    pub text: String,
    /// The program of a flag, the tool of a version; else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub of: String,
    /// The repository that the document has cloned before, by its last part; else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cloned: String,
}

/// A name in its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mention {
    pub(crate) name: Name,
    pub(crate) place: Place,
}

/// What a document mentions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Mentions {
    pub(crate) all: Vec<Mention>,
    /// Names that look like such but can't be judged.
    pub(crate) unjudged: u32,
}

/// Languages of fences that are commands.
const SHELLS: &[&str] =
    &["bash", "console", "sh", "shell", "shell-session", "sh-session", "shellsession", "terminal", "zsh"];

/// Folders of documents that are not about their repository: samples of tests, templates, definitions that are used elsewhere.
const ELSEWHERE: &[&str] = &[
    "__fixtures__",
    "agents",
    "commands",
    "fixtures",
    "prompts",
    "skills",
    "snapshots",
    "template",
    "templates",
    "testdata",
    "third_party",
    "vendor",
    "node_modules",
];

/// The most names that are looked at in one document.
const MOST: usize = 2_000;

/// Where commands of a document make more than so many files, any of its paths may be one of them.
const MOST_MADE: usize = 1_000;

/// Whether a document speaks of the repository it is in.
pub(crate) fn is_about_its_repository(path: &str) -> bool {
    let folder = paths::folder_of(path);
    let history =
        ["changelog", "changes", "history", "news", "releases", "release-notes", "release_notes", "license", "licence"];
    let name = paths::name_of(path).to_lowercase();
    let stem = name.split('.').next().unwrap_or("");
    !history.contains(&stem) && !folder.split('/').any(|part| ELSEWHERE.contains(&part))
}

/// The names in a document at a path.
pub(crate) fn of(document: &Document, path: &str) -> Mentions {
    let mut reader = Reader {
        path,
        document,
        mentions: Mentions::default(),
        made: BTreeSet::new(),
        cloned: String::new(),
        shown: BTreeSet::new(),
        begun: None,
    };
    if is_about_its_repository(path) {
        reader.read();
    }
    reader.mentions
}

struct Reader<'a> {
    path: &'a str,
    document: &'a Document,
    mentions: Mentions,
    /// Files and folders that commands of the document make.
    made: BTreeSet<String>,
    cloned: String,
    /// Kinds of names for which it shows a file that defines them, for its reader to write.
    shown: BTreeSet<What>,
    /// Where the document begins a project of its reader's: what it names in its text from there on is in that.
    begun: Option<usize>,
}

impl Reader<'_> {
    fn read(&mut self) {
        let fences: Vec<(Place, Vec<Command>)> = self
            .document
            .fences
            .iter()
            .filter(|fence| SHELLS.contains(&fence.language.as_str()))
            .map(|fence| (fence.place, shell::commands(&fence.text)))
            .collect();
        for (_, commands) in &fences {
            self.made.extend(commands.iter().flat_map(command::made));
        }
        for code in self.document.codes.iter().filter(|code| code.text.trim().contains(' ')) {
            self.made.extend(shell::commands(code.text.trim()).iter().flat_map(command::made));
        }
        let defined = [What::Service, What::Target, What::Script, What::Recipe, What::Feature];
        self.shown = defined.into_iter().filter(|what| self.shows(*what)).collect();
        let shown = self.document.fences.iter().filter(|fence| {
            SHELLS.contains(&fence.language.as_str()) || matches!(fence.language.as_str(), "" | "text")
        });
        self.begun = shown
            .filter(|fence| shell::commands(&fence.text).iter().any(command::begins_a_project))
            .map(|fence| fence.place.start)
            .min();
        for (place, commands) in &fences {
            if !self.fence(*place, commands) {
                break;
            }
        }
        self.cloned.clear();
        for code in &self.document.codes {
            self.inline(code.text.trim(), code.place);
        }
        self.prose();
    }

    /// The commands of a fence. Whether what comes after it still is about this repository.
    fn fence(&mut self, place: Place, commands: &[Command]) -> bool {
        let fetched = commands.iter().any(command::fetches);
        for command in commands {
            let place = Place { line: place.line.saturating_add(command.line), ..place };
            if command::begins_a_project(command) {
                return false;
            }
            if command::goes_elsewhere(command) {
                break;
            }
            if let Some(cloned) = command::cloned(command) {
                self.cloned = cloned;
            }
            for name in command::names(command) {
                if fetched && name.what == What::Target {
                    self.mentions.unjudged += 1;
                } else {
                    self.push(name, place);
                }
            }
        }
        true
    }

    fn push(&mut self, mut name: Name, place: Place) {
        let too_many = self.made.len() > MOST_MADE;
        let made = matches!(name.what, What::Path | What::Argument) && {
            let path = name.text.trim_start_matches("./").trim_end_matches('/');
            too_many
                || self.made.iter().any(|made| {
                    let made = made.trim_start_matches("./").trim_end_matches('/');
                    path == made
                        || path.strip_prefix(made).is_some_and(|rest| rest.starts_with('/'))
                        || path.strip_suffix(made).is_some_and(|rest| rest.ends_with('/'))
                })
        };
        let begun = self.begun.is_some_and(|begun| place.start > begun);
        if made || begun || self.shown.contains(&name.what) || self.mentions.all.len() >= MOST {
            self.mentions.unjudged += 1;
            return;
        }
        name.cloned = self.cloned.clone();
        // The text of a link is both text and link.
        let again = |mention: &Mention| mention.name == name && mention.place.line == place.line;
        if name.what == What::Port && self.mentions.all.iter().rev().take(50).any(again) {
            return;
        }
        self.mentions.all.push(Mention { name, place });
    }

    /// Whether the document itself shows a file that defines such names.
    fn shows(&self, what: What) -> bool {
        let shows = |languages: &[&str], part: &str| {
            let of = |language: &str| languages.contains(&language);
            self.document.fences.iter().any(|fence| of(&fence.language) && fence.text.contains(part))
        };
        match what {
            What::Service => shows(&["yaml", "yml", ""], "services:"),
            What::Target => shows(&["make", "makefile", ""], ":\n\t"),
            What::Script => shows(&["json", "jsonc", "js", ""], "\"scripts\""),
            What::Recipe => shows(&["just", "justfile", "make", ""], ":\n"),
            What::Feature => shows(&["toml"], "[features]"),
            _ => false,
        }
    }

    fn inline(&mut self, text: &str, place: Place) {
        if text.split_whitespace().nth(1).is_some() {
            let commands = shell::commands(text);
            let names: Vec<Name> = commands.iter().flat_map(command::names).collect();
            let example = context::is_example(self.document, place);
            for name in names {
                // Elsewhere than in a fence it can't be told from where it is run.
                if example || name.what == What::Argument && !name.text.contains('/') {
                    self.mentions.unjudged += 1;
                } else {
                    self.push(name, place);
                }
            }
            return;
        }
        let (variable, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        if variable.contains('_') && tokens::is_upper(variable) {
            if variable.ends_with('_')
                || value.is_some_and(|value| value.contains('='))
                || context::is_example(self.document, place)
            {
                self.mentions.unjudged += 1;
            } else {
                self.push(Name::new(What::Variable, variable), place);
            }
            return;
        }
        let looks_like_one = text.contains('/') || paths::is_kept(text.split(':').next().unwrap_or(""));
        if !looks_like_one {
            return;
        }
        match paths::cleaned(text) {
            Some(path) if path.contains('/') || text.ends_with('/') => {
                if context::is_example(self.document, place) || context::is_made(self.document, place) {
                    self.mentions.unjudged += 1;
                } else {
                    self.push(Name::new(What::Path, text), place);
                }
            }
            _ => self.mentions.unjudged += 1,
        }
    }

    fn prose(&mut self) {
        let instructions =
            ["CLAUDE.md", "CLAUDE.local.md", "AGENTS.md", "GEMINI.md"].contains(&paths::name_of(self.path));
        for text in &self.document.texts {
            let versions = versions::claimed(&text.text);
            if !versions.is_empty() && !context::asks_for_versions(self.document, text) {
                self.mentions.unjudged += 1;
            } else {
                versions.into_iter().for_each(|version| self.push(version, text.place));
            }
            for port in ports(&text.text) {
                self.push(port, text.place);
            }
            if instructions {
                for word in text.text.split_whitespace().filter_map(|word| word.strip_prefix('@')) {
                    let word = word.trim_end_matches(['.', ',', ')', ';', ':']);
                    if paths::is_kept(paths::name_of(word)) && paths::cleaned(word).is_some() {
                        self.push(Name::new(What::Import, word), text.place);
                    }
                }
            }
        }
        for link in &self.document.links {
            for port in ports(&link.target) {
                self.push(port, link.place);
            }
        }
        for code in &self.document.codes {
            for port in ports(&code.text) {
                self.push(port, code.place);
            }
        }
        let shells = self.document.fences.iter().filter(|fence| SHELLS.contains(&fence.language.as_str()));
        for fence in shells {
            for (line, text) in (0u32..).zip(fence.text.lines()) {
                for port in ports(text) {
                    self.push(port, Place { line: fence.place.line.saturating_add(line), ..fence.place });
                }
            }
        }
    }
}

impl Name {
    pub(crate) fn new(what: What, text: impl Into<String>) -> Self {
        Self { what, text: text.into(), of: String::new(), cloned: String::new() }
    }

    pub(crate) fn of(mut self, of: impl Into<String>) -> Self {
        self.of = of.into();
        self
    }
}

/// The ports of this machine in a text: `http://localhost:PORT`.
fn ports(text: &str) -> Vec<Name> {
    let mut found = Vec::new();
    for start in ["http://localhost:", "https://localhost:", "http://127.0.0.1:"] {
        for (at, _) in text.match_indices(start) {
            let rest = text.get(at + start.len()..).unwrap_or("");
            let digits: String = rest.chars().take_while(char::is_ascii_digit).take(6).collect();
            if digits.parse::<u16>().is_ok_and(|port| port > 0) {
                found.push(Name::new(What::Port, digits));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::markdown::parse;

    fn names(path: &str, text: &str) -> Vec<String> {
        let mentions = of(&parse(text), path);
        mentions
            .all
            .iter()
            .map(|mention| format!("{} {:?} {}", mention.place.line, mention.name.what, mention.name.text))
            .collect()
    }

    #[test]
    fn names_stand_in_code_and_in_fences_of_a_shell() {
        let text =
            "See `src/it.rs:3` and `make lint`.\n\n```sh\ncd web\nnpm run dev\n```\n\n```js\nnpm run that\n```\n";
        assert_eq!(names("README.md", text), ["4 Argument web", "5 Script dev", "1 Path src/it.rs:3", "1 Target lint"]);
    }

    #[test]
    fn what_a_document_makes_is_not_missing() {
        for text in [
            "```sh\nmkdir conf/live\ncat conf/live/main.yml\n```",
            "```sh\necho x > conf/main.yml\ncat conf/main.yml\n```",
            "It writes `conf/main.yml`.",
            "`conf/main.yml` will be there.",
            "For example `conf/main.yml`.",
            "Run `cp a1 conf/main.yml`. The file `./conf/main.yml` is next.",
            "Copy [this](a1.yml) to `conf/main.yml`.",
            "The file `path/to/main.yml`.",
        ] {
            assert_eq!(names("README.md", text), [""; 0], "{text}");
        }
        assert_eq!(names("README.md", "The file `conf/main.yml` says so."), ["1 Path conf/main.yml"]);
    }

    #[test]
    fn history_and_samples_are_not_about_their_repository() {
        for path in ["CHANGELOG.md", "a/fixtures/b/README.md", ".claude/agents/a.md", "templates/README.md"] {
            assert_eq!(names(path, "`src/it.rs`"), [""; 0], "{path}");
        }
    }

    #[test]
    fn variables_ports_and_imports_are_names() {
        let text = "Set `SHOP_PORT=1`, see <http://localhost:8123/x> and @docs/style.md, mail a@b.md.\n";
        assert_eq!(names("CLAUDE.md", text), ["1 Variable SHOP_PORT", "1 Port 8123", "1 Import docs/style.md"]);
    }

    #[test]
    fn a_new_project_is_another_one() {
        let text = "```sh\nnpm create vite\nnpm run dev\n```\n\n```sh\nmake all\n```\n";
        assert_eq!(names("README.md", text), [""; 0]);
        let text = "First see `src/one.rs`.\n\n```text\n$ cargo new it\n```\n\nThen edit `src/main.rs`.\n";
        assert_eq!(names("README.md", text), ["1 Path src/one.rs"]);
    }

    #[test]
    fn a_version_is_asked_for_by_the_whole_project() {
        for (text, count) in [
            ("# A\n\nRequires Rust 1.70.\n", 1),
            ("## Requirements\n\n- Node.js 18+\n- Python 3.9 or later\n", 2),
            ("## Parts\n\nThis requires Rust 1.59 due to its assembly.\n", 0),
            ("## Installing\n\nThe `fast` feature requires Rust 1.59.\n", 0),
            ("# A\n\nSafe (on Rust >= 1.63), so.\n", 0),
            ("# A\n\nFor example, if a 1.0 requires\nRust 1.20 or newer\n", 0),
        ] {
            assert_eq!(names("README.md", text).len(), count, "{text}");
        }
    }

    #[test]
    fn a_file_that_the_document_shows_is_for_its_reader_to_write() {
        let text = "```yaml\nservices:\n  web:\n```\n\n```sh\ndocker compose up web\n```\n";
        assert_eq!(names("README.md", text), [""; 0]);
    }
}
