//! Which files there are.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::fs::{Dir, DirEntry};
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::ProjectError;
use super::mounts::{Spot, follow, is_git, join};
use super::pins::Digest;
use super::read::load;
use super::{Cancel, Limits};
use crate::plugin::printable;

/// A larger `.gitignore` is not honoured, and that is said. Bytes.
const IGNORE_FILE_BYTES: u64 = 256 << 10;
/// Globs in one query, and the bytes of one.
const GLOBS: usize = 256;
const GLOB_BYTES: usize = 1024;
/// How many skipped names are kept; more are only counted.
const SKIPPED_SHOWN: usize = 100;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A pipe, a socket, a device.
    Other,
}

impl Kind {
    /// The name in the journal.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "folder",
            Self::Link => "link",
            Self::Other => "other",
        }
    }
}

/// A path, and what stands there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// As plugins see it.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Bytes; 0 for what is not a file.
    pub size: u64,
}

/// What to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The folder. Empty or `.`: the project's. A single file is a listing of itself.
    pub under: String,
    /// Globs as in `.gitignore`, against the path below `under`. Empty: all files.
    pub include: Vec<String>,
    /// As `include`; wins over it.
    pub exclude: Vec<String>,
    /// Also names that begin with a dot.
    pub hidden: bool,
    /// Also what `.gitignore` leaves out.
    pub ignored: bool,
}

/// The files that fit a query.
///
/// Files, and the links that lead to a file inside, as [`Kind::Link`]; links to folders are not followed. `.git` is
/// never in it. Of ignore files, only `.gitignore` at or below the project's folder (or the mounted one) counts: not the
/// user's own, `.git/info/exclude`, or those of folders above, so that the same project gives the same listing on every
/// machine. A folder that is itself ignored can be listed by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// Sorted by path, bytewise.
    pub entries: Vec<Entry>,
    /// What should be in it and can't: the first 100, sorted by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// How many were skipped in all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped_count: u64,
}

/// Something that was left out of a result against the asker's wish.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// As plugins see it; what is not UTF-8 is replaced.
    pub path: String,
    /// Why it was left out.
    pub why: SkipReason,
}

/// Why something was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// Paths are text in the contract.
    #[error("its name is not UTF-8")]
    NameNotUtf8,
    /// The operating system refuses.
    #[error("it may not be read")]
    Denied,
    /// It leads to nothing, in a circle, out of the project or to git's own.
    #[error("it is a link that leads nowhere or outside")]
    BadLink,
    /// A pipe, a socket, a device.
    #[error("it is neither a file nor a folder")]
    NotAFile,
    /// It went or changed while it was looked at.
    #[error("it went while it was looked at")]
    Gone,
    /// A `.gitignore` that is too large, unreadable or has a line that doesn't parse; its other lines count.
    #[error("not all its lines are understood")]
    BadIgnoreFile,
    /// Larger than the limit for one read.
    #[error("it is larger than the limit")]
    TooLarge,
}

/// A query whose globs are parsed.
pub(super) struct Matcher {
    include: Option<Gitignore>,
    exclude: Gitignore,
    hidden: bool,
    ignored: bool,
}

impl Query {
    /// The same query with a tidy `under`, so that equal questions are equal texts.
    pub(super) fn tidy(&self) -> Result<Self, ProjectError> {
        Ok(Self { under: super::mounts::normalise(&self.under)?, ..self.clone() })
    }

    /// Parses the globs.
    pub(super) fn matcher(&self) -> Result<Matcher, ProjectError> {
        Ok(Matcher {
            include: if self.include.is_empty() { None } else { Some(globs(&self.include)?) },
            exclude: globs(&self.exclude)?,
            hidden: self.hidden,
            ignored: self.ignored,
        })
    }
}

fn globs(globs: &[String]) -> Result<Gitignore, ProjectError> {
    if globs.len() > GLOBS {
        return Err(ProjectError::TooMany { what: "globs in one query", limit: GLOBS as u64 });
    }
    let mut builder = GitignoreBuilder::new("");
    builder.allow_unclosed_class(false);
    for glob in globs {
        let bad = |why: &str| ProjectError::BadGlob { glob: printable(glob, 80), why: printable(why, 200) };
        if glob.len() > GLOB_BYTES {
            return Err(bad("it is longer than 1024 bytes"));
        }
        // A .gitignore takes these for an empty line or a comment; here they would change the meaning of the list.
        if glob.trim().is_empty() {
            return Err(bad("it is empty"));
        }
        if glob.starts_with('#') {
            return Err(bad("it begins with `#`; write `\\#`"));
        }
        builder.add_line(None, glob).map_err(|error| bad(&error.to_string()))?;
    }
    builder
        .build()
        .map_err(|error| ProjectError::BadGlob { glob: String::new(), why: printable(&error.to_string(), 200) })
}

/// What is left out where it says nothing.
pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What is compared of entries: path, kind and size of each.
pub(super) fn digest_of(entries: &[Entry]) -> Digest {
    let mut hash = Sha256::new();
    for entry in entries {
        // No path contains a NUL.
        hash.update(format!("{}\0{:?}\0{}\0", entry.path, entry.kind, entry.size));
    }
    hash.finalize().into()
}

/// The rules of one `.gitignore`, and of those above it.
struct Rules {
    own: Gitignore,
    /// The folder it lies in, links followed.
    folder: PathBuf,
    above: Option<Arc<Rules>>,
}

/// A folder that is still to be looked into.
struct Folder {
    /// Below the handle, links followed.
    real: PathBuf,
    /// Below `under`; empty for `under` itself.
    below: String,
    depth: u32,
    rules: Option<Arc<Rules>>,
    /// A glob names this folder or one above it, so all in it is included.
    included: bool,
}

/// Walks the folder `under`. Blocks.
///
/// One folder is open at a time, whatever the depth.
pub(super) fn walk(
    under: &Spot<'_>,
    matcher: &Matcher,
    limits: &Limits,
    cancel: &Cancel,
) -> Result<Listing, ProjectError> {
    let (real, metadata) = under.follow()?;
    let mut walk = Walk { under, dir: under.dir(), matcher, limits, cancel, looked_at: 0, listing: Listing::default() };
    if metadata.is_file() {
        walk.single(metadata.len());
    } else if metadata.is_dir() {
        let rules = walk.rules_above(&real);
        let start = Folder { real, below: String::new(), depth: 0, rules, included: matcher.include.is_none() };
        walk.folders(start)?;
    } else {
        return Err(ProjectError::NotAFolder { path: printable(&under.name, 300) });
    }
    let mut listing = walk.listing;
    listing.entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    listing.skipped.sort_unstable();
    Ok(listing)
}

struct Walk<'a> {
    under: &'a Spot<'a>,
    dir: &'a Dir,
    matcher: &'a Matcher,
    limits: &'a Limits,
    cancel: &'a Cancel,
    looked_at: u64,
    listing: Listing,
}

impl Walk<'_> {
    /// `under` is a file: its own name stands for the path below.
    fn single(&mut self, size: u64) {
        let name = self.under.name.rsplit('/').next().unwrap_or_default();
        let included = self.matcher.include.as_ref().is_none_or(|globs| globs.matched(name, false).is_ignore());
        if included && !self.matcher.exclude.matched(name, false).is_ignore() {
            self.listing.entries.push(Entry { path: self.under.name.clone(), kind: Kind::File, size });
        }
    }

    fn folders(&mut self, start: Folder) -> Result<(), ProjectError> {
        let mut open = vec![start];
        while let Some(folder) = open.pop() {
            if folder.depth > self.limits.depth {
                let path = printable(&join(&self.under.name, &folder.below), 300);
                return Err(ProjectError::TooDeep { path, limit: self.limits.depth });
            }
            self.folder(folder, &mut open)?;
        }
        Ok(())
    }

    fn folder(&mut self, mut folder: Folder, open: &mut Vec<Folder>) -> Result<(), ProjectError> {
        let entries = match self.dir.read_dir(&folder.real) {
            Ok(entries) => entries,
            Err(error) if folder.below.is_empty() => return Err(ProjectError::from_io(&self.under.name, &error)),
            Err(error) => {
                self.skip_io(join(&self.under.name, &folder.below), &error);
                return Ok(());
            }
        };
        let mut found = Vec::new();
        let mut has_rules = false;
        for entry in entries {
            self.step()?;
            match entry {
                Ok(entry) => {
                    let name = entry.file_name();
                    has_rules |= name == ".gitignore";
                    found.push((name, entry));
                }
                Err(error) => self.skip_io(join(&self.under.name, &folder.below), &error),
            }
        }
        if has_rules && !self.matcher.ignored {
            folder.rules = self.read_rules(&folder.real, folder.rules.take());
        }
        for (name, entry) in found {
            self.entry(&folder, &name, &entry, open)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        folder: &Folder,
        name: &OsStr,
        entry: &DirEntry,
        open: &mut Vec<Folder>,
    ) -> Result<(), ProjectError> {
        if is_git(name) || (!self.matcher.hidden && name.as_encoded_bytes().starts_with(b".")) {
            return Ok(());
        }
        let below = |name: &str| if folder.below.is_empty() { name.to_owned() } else { join(&folder.below, name) };
        let shown = |name: &str| join(&self.under.name, &below(name));
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) => {
                self.skip_io(shown(&name.to_string_lossy()), &error);
                return Ok(());
            }
        };
        let real = if folder.real == Path::new(".") { PathBuf::from(name) } else { folder.real.join(name) };
        if !self.matcher.ignored && is_ignored(folder.rules.as_deref(), &real, kind.is_dir()) {
            return Ok(());
        }
        let Some(text) = name.to_str() else {
            self.skip(shown(&name.to_string_lossy()), SkipReason::NameNotUtf8);
            return Ok(());
        };
        let (below, path) = (below(text), shown(text));
        if self.matcher.exclude.matched(&below, kind.is_dir()).is_ignore() {
            return Ok(());
        }
        let included = match self.matcher.include.as_ref().map(|globs| globs.matched(&below, kind.is_dir())) {
            Some(Match::Ignore(_)) => true,
            Some(Match::Whitelist(_)) => false,
            Some(Match::None) | None => folder.included,
        };
        if kind.is_dir() {
            let rules = folder.rules.clone();
            open.push(Folder { real, below, depth: folder.depth + 1, rules, included });
        } else if included {
            if kind.is_file() {
                match entry.metadata() {
                    Ok(metadata) => self.add(path, Kind::File, metadata.len())?,
                    Err(error) => self.skip_io(path, &error),
                }
            } else if kind.is_symlink() {
                match follow(self.dir, &real, &path) {
                    Ok((_, target)) if target.is_file() => self.add(path, Kind::Link, 0)?,
                    Ok((_, target)) if target.is_dir() => {}
                    Ok(_) | Err(_) => self.skip(path, SkipReason::BadLink),
                }
            } else {
                self.skip(path, SkipReason::NotAFile);
            }
        }
        Ok(())
    }

    fn add(&mut self, path: String, kind: Kind, size: u64) -> Result<(), ProjectError> {
        if self.listing.entries.len() as u64 >= self.limits.entries {
            return Err(ProjectError::TooMany { what: "files in one listing", limit: self.limits.entries });
        }
        self.listing.entries.push(Entry { path, kind, size });
        Ok(())
    }

    /// Counts what is looked at, fitting or not.
    fn step(&mut self) -> Result<(), ProjectError> {
        self.looked_at += 1;
        if self.looked_at > self.limits.looked_at {
            return Err(ProjectError::TooMany { what: "names looked at in one listing", limit: self.limits.looked_at });
        }
        self.cancel.check()
    }

    fn skip(&mut self, path: String, why: SkipReason) {
        self.listing.skipped_count += 1;
        if self.listing.skipped.len() < SKIPPED_SHOWN {
            self.listing.skipped.push(Skipped { path, why });
        }
    }

    fn skip_io(&mut self, path: String, error: &std::io::Error) {
        let why = match error.kind() {
            std::io::ErrorKind::PermissionDenied => SkipReason::Denied,
            _ => SkipReason::Gone,
        };
        self.skip(path, why);
    }

    /// The rules of the folders above `under`, outermost first.
    fn rules_above(&mut self, real: &Path) -> Option<Arc<Rules>> {
        if self.matcher.ignored || real == Path::new(".") {
            return None;
        }
        let mut above: Vec<&Path> = real.ancestors().skip(1).collect();
        above.reverse();
        above.into_iter().fold(None, |rules, folder| self.read_rules(folder, rules))
    }

    /// The rules of a folder's own `.gitignore`, if it has one, on top of those above.
    fn read_rules(&mut self, folder: &Path, above: Option<Arc<Rules>>) -> Option<Arc<Rules>> {
        let folder = if folder == Path::new(".") { Path::new("") } else { folder };
        let path = folder.join(".gitignore");
        // As git does: a `.gitignore` that is a link is none.
        match self.dir.symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) | Err(_) => return above,
        }
        let shown = path.to_string_lossy().into_owned();
        let Ok(bytes) = load(self.dir, &path, &shown, IGNORE_FILE_BYTES) else {
            self.skip(shown, SkipReason::BadIgnoreFile);
            return above;
        };
        let text = String::from_utf8_lossy(&bytes);
        let mut builder = GitignoreBuilder::new("");
        let mut is_sound = true;
        for line in text.strip_prefix('\u{feff}').unwrap_or(&text).lines() {
            is_sound &= builder.add_line(None, line).is_ok();
        }
        let own = builder.build();
        if !is_sound || own.is_err() {
            self.skip(shown, SkipReason::BadIgnoreFile);
        }
        let Ok(own) = own else { return above };
        Some(Arc::new(Rules { own, folder: folder.to_owned(), above }))
    }
}

/// The nearest `.gitignore` that has something to say decides.
fn is_ignored(rules: Option<&Rules>, real: &Path, is_folder: bool) -> bool {
    let mut next = rules;
    while let Some(rules) = next {
        let below = real.strip_prefix(&rules.folder).unwrap_or(real);
        match rules.own.matched(below, is_folder) {
            Match::Ignore(_) => return true,
            Match::Whitelist(_) => return false,
            Match::None => next = rules.above.as_deref(),
        }
    }
    false
}
