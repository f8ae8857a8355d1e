//! What a broken link was meant for.

use std::collections::BTreeSet;

use convoke_sdk::Project;
use convoke_sdk::prelude::*;

use crate::rules::target::{Local, encode, relative};
use crate::slug::slug;

/// The longest name that is compared with others, in bytes.
const LONGEST: usize = 200;
/// The most headings with which a broken anchor is compared.
const MOST_HEADINGS: usize = 2_000;
/// Names that many files have: one of them is not the one that was moved.
const COMMON: &[&str] = &[
    "readme.md",
    "index.md",
    "index.html",
    "index.js",
    "index.ts",
    "mod.rs",
    "lib.rs",
    "main.rs",
    "main.py",
    "main.go",
    "__init__.py",
    "package.json",
    "cargo.toml",
    "go.mod",
    "pyproject.toml",
    "dockerfile",
    "makefile",
    "license",
    "license.md",
    "changelog.md",
    "contributing.md",
    "config.yml",
    "config.yaml",
    "config.json",
    "config.toml",
    "tests.rs",
    "pom.xml",
    "build.gradle",
    "claude.md",
    "agents.md",
    "skill.md",
];
/// Files that make a website of documents.
const SITES: &[&str] = &[
    "mkdocs.yml",
    "mkdocs.yaml",
    "docusaurus.config.js",
    "docusaurus.config.ts",
    "docusaurus.config.mjs",
    "_config.yml",
    "book.toml",
    "antora.yml",
    "conf.py",
    "hugo.toml",
    "hugo.yaml",
    ".vitepress",
    "astro.config.mjs",
    "astro.config.ts",
    "docfx.json",
    "mint.json",
    "docs.json",
    "sidebars.js",
    "_sidebar.md",
    ".nojekyll",
];

/// Looks for what was meant. Lists the project's files once, and only when something is missing.
pub(super) struct Moved<'a, P> {
    project: &'a P,
    document: &'a str,
    files: Option<Vec<String>>,
    site: Option<bool>,
}

impl<'a, P: Project> Moved<'a, P> {
    pub(super) fn new(project: &'a P, document: &'a str) -> Self {
        Self { project, document, files: None, site: None }
    }

    /// Whether a generator may make a page of what is not there: it knows links without an ending, and from its own root.
    pub(super) async fn is_of_a_site(&mut self, local: &Local<'_>) -> bool {
        let name = local.path.rsplit('/').next().unwrap_or_default();
        let is_page = !name.contains('.') || name.ends_with(".html") || local.rooted;
        is_page && self.has_site().await
    }

    async fn has_site(&mut self) -> bool {
        if let Some(site) = self.site {
            return site;
        }
        let mut site = false;
        let mut folder = self.document;
        'up: loop {
            folder = folder.rsplit_once('/').map_or("", |(folder, _)| folder);
            for name in SITES {
                let path = if folder.is_empty() { (*name).to_owned() } else { format!("{folder}/{name}") };
                if matches!(self.project.exists(&path).await, Ok(Some(_))) {
                    site = true;
                    break 'up;
                }
            }
            if folder.is_empty() {
                break;
            }
        }
        self.site = Some(site);
        site
    }

    /// The one path that was probably meant, and why.
    pub(super) async fn candidate(&mut self, path: &str) -> Option<(String, &'static str)> {
        if path.starts_with("../") || path.starts_with('/') {
            return None;
        }
        let document = self.document;
        let files = self.files().await;
        let in_other_letters: BTreeSet<&str> = files
            .iter()
            .filter_map(|file| {
                let same = file.get(..path.len()).filter(|same| same.eq_ignore_ascii_case(path))?;
                matches!(file.as_bytes().get(path.len()), None | Some(b'/')).then_some(same)
            })
            .collect();
        if let Some(one) = only(in_other_letters) {
            return Some((one, "Upper and lower case differ"));
        }
        let ended: BTreeSet<&str> =
            files.iter().filter(|file| file.strip_suffix(".md") == Some(path)).map(String::as_str).collect();
        if let Some(one) = only(ended) {
            return Some((one, "The ending is missing"));
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        if COMMON.contains(&name.to_lowercase().as_str()) || !name.contains('.') {
            return None;
        }
        let moved: BTreeSet<&str> = files
            .iter()
            .filter(|file| file.rsplit('/').next() == Some(name) && *file != document)
            .map(String::as_str)
            .collect();
        only(moved).map(|one| (one, "One file has this name"))
    }

    async fn files(&mut self) -> &[String] {
        if self.files.is_none() {
            let listed = self.project.list(&Query::files(&["**/*"]).hidden()).await.unwrap_or_default();
            self.files = Some(listed.into_iter().map(|entry| entry.path).collect());
        }
        self.files.as_deref().unwrap_or_default()
    }

    /// A path as the link would have it.
    pub(super) fn written(&self, local: &Local<'_>, path: &str) -> String {
        let path = if local.rooted { format!("/{path}") } else { relative(self.document, path) };
        let dot = if local.dotted && !path.starts_with("../") { "./" } else { "" };
        format!("{dot}{}{}", encode(&path), local.rest)
    }
}

fn only(found: BTreeSet<&str>) -> Option<String> {
    let mut found = found.into_iter();
    found.next().filter(|_| found.next().is_none()).map(str::to_owned)
}

/// The one slug that is nearly this.
pub(super) fn near(place: &str, slugs: &[String]) -> Option<String> {
    if place.len() > LONGEST || slugs.len() > MOST_HEADINGS {
        return None;
    }
    let meant = slug(place);
    let letters = |text: &str| text.chars().filter(|char| char.is_alphanumeric()).collect::<String>();
    let plain = letters(&meant);
    let far = (plain.chars().count() / 5).clamp(1, 4);
    let fits = |slug: &&str| {
        let other = letters(slug);
        !other.is_empty()
            && slug.len() <= LONGEST
            && (other == plain
                || plain.chars().count() > 3
                    && plain.chars().count().abs_diff(other.chars().count()) <= far
                    && strsim::osa_distance(&plain, &other) <= far)
    };
    only(slugs.iter().map(String::as_str).filter(fits).collect())
}
