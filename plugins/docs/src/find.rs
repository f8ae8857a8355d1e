//! Which files are documents, and of which kind.

use convoke_sdk::prelude::*;
use convoke_sdk::text::shown;
use convoke_sdk::{Entry, Project};

/// What is listed: Markdown, and what gives agents their instructions.
pub const PATTERNS: [&str; 4] = ["**/*.md", "**/*.markdown", "**/*.mdc", "**/.cursorrules"];

/// Documents in other languages than Markdown, which are counted and not read.
pub const OTHERS: [&str; 5] = ["**/*.mdx", "**/*.rst", "**/*.adoc", "**/*.asciidoc", "**/*.org"];

/// Folders of other people's files.
const FOREIGN: [&str; 9] = [
    "node_modules",
    "vendor",
    "third_party",
    "third-party",
    ".venv",
    "venv",
    "site-packages",
    "target",
    "bower_components",
];

/// Folders of what tests read, which may be wrong on purpose.
const SAMPLES: [&str; 5] = ["fixtures", "__fixtures__", "testdata", "test-data", "__snapshots__"];

/// What a document is for: a writer has those of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde", rename_all = "kebab-case")]
pub enum Kind {
    /// The first that a reader sees of a folder.
    Readme,
    /// What an agent is told: `CLAUDE.md`, `AGENTS.md` and the like.
    Instructions,
    /// The reference of an interface.
    Api,
    /// How it is built, and why.
    Architecture,
    /// Everything else that is read: guides, rules for contributors.
    Guide,
    /// Changelogs and licences: what they say was true at their time.
    History,
    /// Documentation in source code.
    Code,
}

impl Kind {
    /// The kind of a document, by its path.
    pub fn of(path: &str) -> Self {
        let path = path.to_lowercase();
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
        let under = |names: &[&str]| folder.split('/').any(|part| names.contains(&part));
        if matches!(name, ".cursorrules" | "copilot-instructions.md")
            || name.ends_with(".mdc")
            || matches!(stem, "claude" | "agents" | "agent" | "gemini" | "skill")
            || under(&[".claude", ".cursor", "agents"]) && stem != "readme"
        {
            return Self::Instructions;
        }
        match stem {
            "readme" => return Self::Readme,
            "changelog" | "changes" | "history" | "releases" | "release-notes" | "release_notes" | "news"
            | "license" | "licence" | "copying" | "notice" | "authors" | "contributors" | "maintainers" => {
                return Self::History;
            }
            "architecture" | "design" => return Self::Architecture,
            "api" | "reference" | "openapi" => return Self::Api,
            _ => {}
        }
        if stem.starts_with("license-") || under(&["changelog", "changelogs", "releases", ".changeset"]) {
            Self::History
        } else if under(&["adr", "adrs", "decisions", "architecture", "rfc", "rfcs", "design"]) {
            Self::Architecture
        } else if under(&["api", "reference", "api-reference"]) {
            Self::Api
        } else {
            Self::Guide
        }
    }

    /// The group of its writer. What is history needs none of its own.
    pub const fn group(self) -> &'static str {
        match self {
            Self::Readme => "readme",
            Self::Instructions => "agent instructions",
            Self::Api => "api",
            Self::Architecture => "architecture",
            Self::Guide | Self::History => "guides",
            Self::Code => "code",
        }
    }

    /// Whether what it says should be true today.
    pub const fn is_current(self) -> bool {
        !matches!(self, Self::History)
    }
}

/// Documents, and what was left out.
#[derive(Debug, Default)]
pub struct Documents {
    /// Sorted by path, each once.
    pub found: Vec<Entry>,
    /// Files in folders of other people's files.
    pub foreign: usize,
    /// Files in folders of samples.
    pub samples: usize,
    /// Files in languages that are not understood.
    pub others: Vec<String>,
}

/// Looks for documents in the project or below what the user typed. What is typed is a document, wherever it stands.
///
/// # Errors
/// When there is nothing at a path that was typed, or no document.
pub async fn documents(project: &impl Project, paths: &[String]) -> Result<Documents> {
    let mut documents = Documents::default();
    let whole = [String::new()];
    for path in if paths.is_empty() { &whole } else { paths } {
        let base = if matches!(path.as_str(), "." | "./") { "" } else { path.strip_suffix('/').unwrap_or(path) };
        if base.is_empty() {
            below(project, base, &mut documents).await?;
            continue;
        }
        match project.stat(base).await? {
            None => {
                return Err(Error::new(format!("there is nothing at {}", shown(path, 300)))
                    .hint("name a Markdown file, or a folder of them"));
            }
            Some(entry) if entry.is_file() => documents.found.push(entry),
            Some(_) => below(project, base, &mut documents).await?,
        }
    }
    documents.found.sort_by(|a, b| a.path.cmp(&b.path));
    documents.found.dedup_by(|b, a| a.path.trim_start_matches("./") == b.path.trim_start_matches("./"));
    if documents.found.is_empty() {
        let mut message = "no documents found".to_owned();
        if let Some(note) = documents.left_out() {
            message.push_str(&format!("; {note}"));
        }
        return Err(Error::new(message).hint(format!("looked for {}", PATTERNS.join(", "))));
    }
    Ok(documents)
}

async fn below(project: &impl Project, base: &str, documents: &mut Documents) -> Result<()> {
    let all = project.list(&Query::files(&PATTERNS).under(base).hidden()).await?;
    for entry in all {
        let inside = entry.path.strip_prefix(base).unwrap_or(&entry.path);
        let folders = || inside.rsplit_once('/').map_or("", |(folder, _)| folder).split('/');
        if folders().any(|part| FOREIGN.contains(&part)) {
            documents.foreign += 1;
        } else if folders().any(|part| SAMPLES.contains(&part)) {
            documents.samples += 1;
        } else {
            documents.found.push(entry);
        }
    }
    let others = project.list(&Query::files(&OTHERS).under(base).hidden()).await?;
    documents.others.extend(others.into_iter().map(|entry| entry.path));
    Ok(())
}

impl Documents {
    /// What was left out, in words.
    pub fn left_out(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.foreign > 0 {
            parts.push(format!("{} in folders of other people's files", self.foreign));
        }
        if self.samples > 0 {
            parts.push(format!("{} among the samples of tests", self.samples));
        }
        if let Some(first) = self.others.first() {
            let more = if self.others.len() > 1 { " and more" } else { "" };
            parts.push(format!("{} that are no Markdown ({}{more})", self.others.len(), shown(first, 200)));
        }
        (!parts.is_empty()).then(|| format!("left out: {}; name a path to have it looked at", parts.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use convoke_sdk::testing::{Map, now};

    #[test]
    fn a_path_tells_the_kind() {
        for (path, kind) in [
            ("README.md", Kind::Readme),
            ("src/x/readme.de.md", Kind::Readme),
            ("CLAUDE.md", Kind::Instructions),
            ("a/AGENTS.md", Kind::Instructions),
            (".cursorrules", Kind::Instructions),
            (".cursor/rules/x.mdc", Kind::Instructions),
            (".github/copilot-instructions.md", Kind::Instructions),
            (".claude/agents/reviewer.md", Kind::Instructions),
            ("docs/api/users.md", Kind::Api),
            ("API.md", Kind::Api),
            ("ARCHITECTURE.md", Kind::Architecture),
            ("docs/adr/0001-use-rust.md", Kind::Architecture),
            ("CONTRIBUTING.md", Kind::Guide),
            ("docs/install.md", Kind::Guide),
            ("CHANGELOG.md", Kind::History),
            ("LICENSE.md", Kind::History),
            (".changeset/quick-cats-run.md", Kind::History),
        ] {
            assert_eq!(Kind::of(path), kind, "{path}");
        }
    }

    #[test]
    fn what_others_wrote_and_what_tests_read_is_left_out_and_said() {
        let project = Map::of(&[
            "README.md",
            "docs/a.md",
            "node_modules/x/README.md",
            "tests/fixtures/bad.md",
            "docs/b.rst",
            "src/main.rs",
        ]);
        let documents = now(documents(&project, &[])).expect("documents");
        let paths: Vec<_> = documents.found.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["README.md", "docs/a.md"]);
        assert_eq!(
            documents.left_out().as_deref(),
            Some(
                "left out: 1 in folders of other people's files, 1 among the samples of tests, 1 that are no Markdown \
                 (docs/b.rst); name a path to have it looked at"
            )
        );
        let typed = now(super::documents(&project, &["tests/fixtures".to_owned()])).expect("documents");
        assert_eq!((typed.found.len(), typed.samples), (1, 0));
    }

    #[test]
    fn nothing_is_said_and_not_taken_for_all_well() {
        let message = |paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
            now(documents(&Map::of(&["a.rs", "vendor/x.md"]), &paths)).expect_err("none").message
        };
        assert!(message(&[]).starts_with("no documents found; left out: 1 in folders"));
    }
}
