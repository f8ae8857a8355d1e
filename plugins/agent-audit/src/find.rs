//! Which files are agents.

use convoke_sdk::{Entry, Error, Kind, Query, Result};

use crate::agent::{Agent, stem};
use crate::text::kebab;
use convoke_sdk::Project;
use convoke_sdk::text::shown;

/// Where agents are looked for, below the project's folder or each path that the user typed.
pub const PATTERNS: [&str; 4] =
    [".claude/agents/**/*.md", "agents/**/*.md", "plugins/*/agents/**/*.md", "categories/**/*.md"];

/// Names of files that lie beside agents and are none. In any letters, without their ending.
const NO_AGENTS: &[&str] = &[
    "readme",
    "changelog",
    "contributing",
    "license",
    "licence",
    "code_of_conduct",
    "security",
    "claude",
    "agents",
    "gemini",
    "skill",
    "notice",
    "authors",
    "index",
    "todo",
];

/// A file that may be an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The path, as the project names it.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Where it stands.
    pub place: Place,
    /// The agents around it that it may name, where it is only a part of what stands there.
    pub around: Option<Around>,
}

/// A folder whose agents are not audited, but known by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Around {
    /// All that fit the patterns below it.
    Patterns(String),
    /// The Markdown files in it.
    Files(String),
}

impl Around {
    /// What to list.
    pub fn query(&self) -> Query {
        match self {
            Self::Patterns(folder) => Query::files(&PATTERNS).under(folder).hidden(),
            Self::Files(folder) => Query::files(&["/*.md"]).under(folder).hidden(),
        }
    }
}

/// What a file's place says about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// The folder or plugin that it belongs to, for its group.
    pub group: Option<String>,
    /// Two agents of one scope must not have the same name. Plugins have each their own.
    pub scope: String,
    /// It is an agent whatever it says; elsewhere, it needs an agent's front matter.
    pub certain: bool,
}

/// The candidates, sorted by path, each once.
///
/// # Errors
/// When a path that the user typed is not there or is no Markdown file.
pub async fn candidates(project: &impl Project, paths: &[String]) -> Result<Vec<Candidate>> {
    let mut all = Vec::new();
    if paths.is_empty() {
        all = below(project, "").await?;
    }
    for path in paths {
        let base = if matches!(path.as_str(), "." | "./") { "" } else { path.strip_suffix('/').unwrap_or(path) };
        if base.is_empty() {
            all.extend(below(project, "").await?);
            continue;
        }
        match project.stat(base).await? {
            None => return Err(Error::new(format!("there is nothing at {}", shown(path, 300)))),
            // A file that the user typed is an agent, whatever its name.
            Some(entry) if may_be_file(&entry) && base.ends_with(".md") => {
                let (place, around) = place_of(base);
                let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
                all.push(Candidate {
                    path: base.to_owned(),
                    size: entry.size,
                    place: Place { certain: true, ..place },
                    around: Some(around.unwrap_or(Around::Files(folder))),
                });
            }
            Some(entry) if entry.is_file() => {
                return Err(Error::new(format!("{} is not a Markdown file", shown(path, 300)))
                    .hint("agents are Markdown files with YAML front matter"));
            }
            Some(_) => {
                let by_pattern = below(project, base).await?;
                all.extend(if by_pattern.is_empty() { any_markdown(project, base).await? } else { by_pattern });
            }
        }
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all.dedup_by(|b, a| same_file(&a.path, &b.path));
    Ok(all)
}

/// Whether a candidate is an agent, by what it says.
pub fn is_agent(candidate: &Candidate, agent: &Agent) -> bool {
    candidate.place.certain || agent.looks_like_an_agent()
}

fn same_file(a: &str, b: &str) -> bool {
    a.trim_start_matches("./") == b.trim_start_matches("./")
}

/// The files below a folder that fit the patterns.
async fn below(project: &impl Project, base: &str) -> Result<Vec<Candidate>> {
    let found = project.list(&Query::files(&PATTERNS).under(base).hidden()).await?;
    let is_outside = base == ".." || base.starts_with("../") || base.starts_with('/');
    let is_part_of_project = !base.is_empty() && !is_outside;
    Ok(found
        .into_iter()
        .filter(|entry| may_be_file(entry) && !is_no_agent(&entry.path))
        .filter_map(|entry| {
            let place = by_pattern(relative(base, &entry.path), base)?;
            // `.claude` was typed: what lies below says `agents`, the whole path says more.
            let (whole, _) = place_of(&entry.path);
            let place = if whole.certain && !place.certain { whole } else { place };
            let around = is_part_of_project.then(|| Around::Patterns(String::new()));
            Some(Candidate { path: entry.path, size: entry.size, place, around })
        })
        .collect())
}

/// All Markdown files below a folder that the user typed and that fits no pattern: a folder of agents.
async fn any_markdown(project: &impl Project, base: &str) -> Result<Vec<Candidate>> {
    let found = project.list(&Query::files(&["**/*.md"]).under(base).hidden()).await?;
    Ok(found
        .into_iter()
        .filter(|entry| may_be_file(entry) && !is_no_agent(&entry.path))
        .map(|entry| {
            let (mut place, around) = place_of(&entry.path);
            if around.is_none() {
                place.group = relative(base, &entry.path).split_once('/').map(|(folder, _)| group_name(folder));
            }
            Candidate { path: entry.path, size: entry.size, place, around }
        })
        .collect())
}

fn is_no_agent(path: &str) -> bool {
    NO_AGENTS.contains(&stem(path).to_lowercase().as_str())
}

/// A path below a folder, without the folder.
fn relative<'a>(base: &str, path: &'a str) -> &'a str {
    let path = path.strip_prefix("./").unwrap_or(path);
    let base = base.strip_prefix("./").unwrap_or(base);
    path.strip_prefix(base).unwrap_or(path).trim_start_matches('/')
}

/// What the patterns say about a path below a folder.
fn by_pattern(relative: &str, base: &str) -> Option<Place> {
    let parts: Vec<&str> = relative.split('/').collect();
    let (plugin, inner, certain) = match parts.as_slice() {
        [".claude", "agents", inner @ .., _] => (None, inner, true),
        ["plugins", plugin, "agents", inner @ .., _] => (Some(*plugin), inner, true),
        ["agents" | "categories", inner @ .., _] => (None, inner, false),
        _ => return None,
    };
    let group = inner.first().copied().or(plugin).map(group_name);
    Some(Place { group, scope: format!("{}:{}", base.trim_end_matches('/'), plugin.unwrap_or("")), certain })
}

/// What a path says by itself, where the user typed a part of it: the innermost folder that a pattern fits, and what
/// stands around it.
fn place_of(path: &str) -> (Place, Option<Around>) {
    let starts = path.match_indices('/').map(|(at, _)| at + 1).chain([0]);
    let mut best: Option<(usize, Place)> = None;
    for start in starts {
        let (folder, rest) = path.split_at(start);
        let Some(place) = by_pattern(rest, folder) else { continue };
        // `.claude/agents` and `plugins/x/agents` contain `agents`, and say more.
        if best.as_ref().is_none_or(|(at, known)| (place.certain, start) > (known.certain, *at)) {
            best = Some((start, place));
        }
    }
    match best {
        Some((start, place)) => {
            let folder = path.split_at(start).0.trim_end_matches('/').to_owned();
            (place, Some(Around::Patterns(folder)))
        }
        None => (Place::default(), None),
    }
}

/// A file, or a link to one.
fn may_be_file(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::File | Kind::Link)
}

/// A folder's name, as a group: kept as it is where it can be shown, for people know it.
fn group_name(folder: &str) -> String {
    let name = shown(folder, 64);
    if name.is_empty() { kebab(folder) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use convoke_sdk::testing::{Map, now};

    fn found(files: &[&str], paths: &[&str]) -> Vec<(String, Option<String>, bool)> {
        let project = Map::of(files);
        let paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
        let candidates = now(candidates(&project, &paths)).expect("candidates");
        candidates.into_iter().map(|found| (found.path, found.place.group, found.place.certain)).collect()
    }

    fn expect(path: &str, group: Option<&str>, certain: bool) -> (String, Option<String>, bool) {
        (path.to_owned(), group.map(str::to_owned), certain)
    }

    #[test]
    fn agents_are_found_in_the_known_folders() {
        let files = [
            ".claude/agents/a.md",
            ".claude/agents/quality/b.md",
            ".claude/commands/no.md",
            "agents/c.md",
            "agents/README.md",
            "categories/01-core/d.md",
            "docs/agents/no.md",
            "plugins/x/agents/e.md",
            "plugins/x/agents/sub/f.md",
            "plugins/x/skills/no/SKILL.md",
        ];
        assert_eq!(
            found(&files, &[]),
            [
                expect(".claude/agents/a.md", None, true),
                expect(".claude/agents/quality/b.md", Some("quality"), true),
                expect("agents/c.md", None, false),
                expect("categories/01-core/d.md", Some("01-core"), false),
                expect("plugins/x/agents/e.md", Some("x"), true),
                expect("plugins/x/agents/sub/f.md", Some("sub"), true),
            ]
        );
    }

    #[test]
    fn a_typed_folder_is_searched_like_a_project() {
        let files = ["../data/voltagent/categories/01-core/a.md", "../data/voltagent/README.md"];
        assert_eq!(found(&files, &["../data/voltagent"]), [expect(files[0], Some("01-core"), false)]);
        assert_eq!(
            found(&files, &["../data/voltagent/categories/01-core/"]),
            [expect(files[0], Some("01-core"), false)]
        );
    }

    #[test]
    fn a_typed_folder_of_agents_keeps_its_place() {
        let files = ["x/.claude/agents/ops/a.md", "team/b.md", "team/ops/c.md"];
        assert_eq!(found(&files, &["x/.claude"]), [expect(files[0], Some("ops"), true)]);
        assert_eq!(found(&files, &["x/.claude/agents"]), [expect(files[0], Some("ops"), true)]);
        assert_eq!(found(&files, &["team"]), [expect(files[1], None, false), expect(files[2], Some("ops"), false)]);
    }

    #[test]
    fn a_typed_file_is_an_agent() {
        assert_eq!(
            found(&["agents/README.md", "x.md"], &["agents/README.md", "x.md"]),
            [expect("agents/README.md", None, true), expect("x.md", None, true)]
        );
    }

    #[test]
    fn a_file_that_is_typed_twice_is_found_once() {
        assert_eq!(found(&["agents/a.md"], &[".", "agents", "agents/a.md"]).len(), 1);
    }

    #[test]
    fn what_is_not_there_or_no_markdown_is_an_error() {
        let project = Map::of(&["a.txt"]);
        let error = |path: &str| now(candidates(&project, &[path.to_owned()])).expect_err("an error").message;
        assert_eq!(error("nowhere"), "there is nothing at nowhere");
        assert_eq!(error("a.txt"), "a.txt is not a Markdown file");
    }
}
