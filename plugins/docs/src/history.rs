//! When documents and the code that they name were changed last, as git tells it, where that is granted.

use std::collections::HashMap;

use convoke_sdk::prelude::*;
use convoke_sdk::text::shown;

/// So many commits are looked at: what changed before them is not judged.
const COMMITS: &str = "2000";
/// A document is older than its code when so many commits have changed the code so long after it.
const FEWEST: usize = 3;
const SECONDS: u64 = 90 * 24 * 60 * 60;
/// The most files that are named.
const MOST_NAMED: usize = 3;

/// What git tells.
#[derive(Debug)]
pub enum History {
    /// The commits that changed each file, newest first.
    Known(HashMap<String, Vec<Commit>>),
    /// Why it tells nothing.
    Unknown(String),
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Which it is, counted from the newest.
    pub number: usize,
    /// Seconds since 1970.
    pub time: u64,
    /// Its day, as `2026-11-20`.
    pub day: String,
}

/// A document that is older than its code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde")]
pub struct Older {
    /// The day of its last change.
    pub since: String,
    /// How many commits have changed the code since.
    pub commits: usize,
    /// The files, each with the day of its last change, the newest first.
    pub files: Vec<(String, String)>,
}

/// Asks git. In the plan, so that a document's result doesn't depend on a process.
pub async fn read(call: &Call) -> History {
    let git = Process::new("git").args(["log", "--format=%x00%ct %cs", "--name-only", "--no-renames", "--relative"]);
    let said = match call.run(&git.args(["-n", COMMITS])).await {
        Ok(output) => output.checked().and_then(convoke_sdk::Output::text),
        Err(error) => Err(error),
    };
    match said {
        Ok(text) => History::Known(parse(&text)),
        Err(error) => History::Unknown(shown(&error.message, 200)),
    }
}

fn parse(log: &str) -> HashMap<String, Vec<Commit>> {
    let mut files: HashMap<String, Vec<Commit>> = HashMap::new();
    for (number, commit) in log.split('\0').filter(|commit| !commit.trim().is_empty()).enumerate() {
        let mut lines = commit.lines();
        let Some((time, day)) = lines.next().and_then(|first| first.split_once(' ')) else { continue };
        let Ok(time) = time.parse() else { continue };
        for file in lines.filter(|line| !line.is_empty()) {
            files.entry(file.to_owned()).or_default().push(Commit { number, time, day: day.to_owned() });
        }
    }
    files
}

impl History {
    /// What the user should know, where git tells nothing.
    pub fn note(&self) -> Option<String> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(why) => Some(format!("whether documents are older than their code was not looked at: {why}")),
        }
    }

    /// Whether a document is older than the files that it names.
    pub fn older(&self, document: &str, code: &[String]) -> Option<Older> {
        let Self::Known(known) = self else { return None };
        let written = known.get(document)?.first()?;
        let is_after = |commit: &&Commit| commit.number < written.number && commit.time >= written.time + SECONDS;
        let mut files: Vec<(&Commit, &String)> = Vec::new();
        let mut commits: Vec<usize> = Vec::new();
        for file in code.iter().filter(|file| !file.ends_with(".md")) {
            let after: Vec<&Commit> = known.get(file).into_iter().flatten().filter(is_after).collect();
            files.extend(after.first().map(|newest| (*newest, file)));
            commits.extend(after.iter().map(|commit| commit.number));
        }
        commits.sort_unstable();
        commits.dedup();
        files.sort_by_key(|(newest, file)| (newest.number, *file));
        (commits.len() >= FEWEST).then(|| Older {
            since: written.day.clone(),
            commits: commits.len(),
            files: files
                .into_iter()
                .take(MOST_NAMED)
                .map(|(newest, file)| (file.clone(), newest.day.clone()))
                .collect(),
        })
    }
}

/// The finding about a document that is older than its code: a fact to look at, and no mistake by itself.
pub fn finding(path: &str, older: &Older) -> Finding {
    let files: Vec<String> = older.files.iter().map(|(file, day)| format!("{} on {day}", shown(file, 120))).collect();
    let message = format!(
        "Its last change is of {}; since then {} commits have changed the code that it names: {}",
        older.since,
        older.commits,
        files.join(", ")
    );
    Finding::new("document-older", Severity::Info, message)
        .in_file(path)
        .fingerprint(format!("document-older {path} {}", older.since))
        .help("Read it against the code, and commit what has to change")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    /// A log of commits, newest first: the day on which, and the files.
    fn history(commits: &[(u64, &[&str])]) -> History {
        let one = |(day, files): &(u64, &[&str])| format!("\0{} day {day}\n\n{}\n", day * DAY, files.join("\n"));
        History::Known(parse(&commits.iter().map(one).collect::<String>()))
    }

    fn older(commits: &[(u64, &[&str])]) -> Option<Older> {
        history(commits).older("docs/a.md", &["src/a.rs".to_owned(), "src/b.rs".to_owned(), "docs/c.md".to_owned()])
    }

    #[test]
    fn a_document_is_older_when_three_commits_changed_its_code_a_season_later() {
        let found = older(&[
            (400, &["src/b.rs"]),
            (300, &["src/a.rs", "src/b.rs"]),
            (200, &["src/a.rs", "other"]),
            (100, &["docs/a.md", "src/a.rs"]),
        ])
        .expect("older");
        assert_eq!((found.since.as_str(), found.commits), ("day 100", 3));
        let files: Vec<_> = found.files.iter().map(|(file, day)| format!("{file} {day}")).collect();
        assert_eq!(files, ["src/b.rs day 400", "src/a.rs day 300"]);
    }

    #[test]
    fn a_few_changes_early_ones_and_those_of_other_documents_say_nothing() {
        for commits in [
            &[(400, ["src/a.rs"].as_slice()), (300, &["src/a.rs"]), (100, &["docs/a.md"])][..],
            &[(150, &["src/a.rs"]), (140, &["src/a.rs"]), (130, &["src/a.rs"]), (100, &["docs/a.md"])],
            &[(400, &["docs/c.md"]), (300, &["docs/c.md"]), (200, &["docs/c.md"]), (100, &["docs/a.md"])],
            &[(400, &["docs/a.md"]), (300, &["src/a.rs"]), (200, &["src/a.rs"]), (100, &["src/a.rs"])],
            &[(400, &["src/a.rs"]), (300, &["src/a.rs"]), (200, &["src/a.rs"])],
        ] {
            assert_eq!(older(commits), None, "{commits:?}");
        }
    }

    #[test]
    fn what_git_does_not_tell_is_said() {
        let unknown = History::Unknown("it is not granted".to_owned());
        assert_eq!(unknown.older("docs/a.md", &[]), None);
        assert!(unknown.note().is_some_and(|note| note.ends_with("was not looked at: it is not granted")));
        assert!(matches!(history(&[]), History::Known(known) if known.is_empty()));
        assert!(parse("\0nonsense\n\0\0 \n\0x y\nz").is_empty());
    }
}
