//! A case: the file `tests/NAME.toml`.
//!
//! ```toml
//! about = "comments that say too little"
//! fixture = "fixtures/small"           # a folder below the plugin's, of which the case's project is a copy
//! arguments = ["--only", "TODO"]       # as they are typed; a subcommand too
//! today = "2026-01-31"                 # default: 2026-01-01
//! seed = 7                             # what chance is made from. Default: 0
//!
//! [limits]
//! instances = 2                        # how many workers. Default: 4
//!
//! [[answer]]                           # the first that fits the question; each of these at will
//! role = "code-reviewer"
//! item = "src/*.rs"                    # a glob; `*` stands for slashes too
//! prompt = "too little"                # what the prompt, or what goes before it, contains
//! times = 1                            # so often for an item, then those below. Default: always
//! json = { unclear = [3] }             # one of: text, json, from-schema, fallback, fault
//!
//! [[answer]]
//! fault = "overloaded"                 # or timeout, off-schema, refused, cut
//!
//! [default]
//! answer = "from-schema"               # or fallback, or refuse: the default, an unexpected question fails the case
//!
//! [grants]                             # what the plugin may do. Default: what its manifest asks for
//! process = ["git diff"]
//! http = ["GET api.example.org"]
//! store = true
//! tools = ["Read"]
//!
//! [[process]]                          # what a program gives: the first that fits. Real ones are never run
//! program = "git"
//! arguments = ["diff"]                 # with what its arguments begin
//! stdout = "+ a line"                  # and stderr, status; or fails = "words"
//!
//! [[http]]                             # what a host gives: the first that fits. Real ones are never asked
//! method = "GET"
//! url = "https://api.example.org/*"    # the whole of it; or its beginning, then `*`
//! json = { found = false }             # or body = "text"; and status, headers; or fails = "words"
//!
//! [expect]                             # beside the snapshot, and at will
//! exit = 3
//! status = "degraded"
//! census = { done = 2, fallback = 1 }
//! questions = 3
//! findings = 4
//!
//! [unchecked]                          # a check that is left out, and why
//! order = "the items wait for each other"
//! ```
//!
//! In place of answers, `cassette = "tests/run"` names a recording of `--record`; without a `fixture` the files come from
//! it too. `expect.fails = "words"` is for a call that gives no report: wrong arguments, or no plan.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use jiff::civil::{Date, date};
use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use super::checks::Check;
use super::outside::{Http, Process};
use super::written::{Grants, HttpInFile, ProcessInFile};
use crate::config::ConfigError;
use crate::config::document::{self, Document};
use crate::plugin::capabilities::Capabilities;

/// Where cases lie in a plugin's folder.
pub const FOLDER: &str = "tests";

/// How many workers a case has that does not say it.
const INSTANCES: u32 = 4;

/// The day of a case that does not say it.
const TODAY: Date = date(2026, 1, 1);

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its file's name, without `.toml`.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// What it shows.
    pub about: Option<String>,
    /// The folder that its project is a copy of.
    pub fixture: Option<PathBuf>,
    /// What is typed after the command.
    pub arguments: Vec<String>,
    /// The day of the run; none: the cassette's, or [`TODAY`].
    pub day: Option<Date>,
    /// What chance is made from.
    pub seed: u64,
    /// How many workers.
    pub instances: usize,
    /// Who answers what; the first that fits.
    pub rules: Vec<Rule>,
    /// What the others are answered.
    pub default: Given,
    /// A recording, in place of answers.
    pub cassette: Option<PathBuf>,
    /// What the plugin may do outside its project; none: what its manifest asks for.
    pub grants: Option<Capabilities>,
    /// What programs give.
    pub processes: Vec<Process>,
    /// What hosts give.
    pub sites: Vec<Http>,
    /// What must have come of it, beside the snapshot.
    pub expect: Expect,
    /// The checks that are left out.
    pub unchecked: BTreeMap<Check, String>,
}

impl Case {
    /// The day of the run, where no cassette says it.
    pub fn today(&self) -> Date {
        self.day.unwrap_or(TODAY)
    }

    /// Where its snapshot is kept.
    pub fn snapshot(&self) -> PathBuf {
        self.path.with_extension("snap.json")
    }
}

/// Which questions get which answer.
#[derive(Clone, Debug)]
pub struct Rule {
    role: Option<String>,
    item: Option<GlobMatcher>,
    prompt: Option<String>,
    /// How often an item gets it.
    pub times: Option<u32>,
    /// What it gets.
    pub given: Given,
}

impl Rule {
    /// Whether it is for a question: of an item, to a role, with these texts.
    pub fn fits(&self, item: &str, role: &str, texts: &[&str]) -> bool {
        self.role.as_ref().is_none_or(|wanted| wanted == role)
            && self.item.as_ref().is_none_or(|glob| glob.is_match(item))
            && self.prompt.as_ref().is_none_or(|part| texts.iter().any(|text| text.contains(part)))
    }
}

/// What a question is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// This, as it is.
    Text(String),
    /// What fits its schema; without one, some words.
    Made,
    /// Its own fallback, as where there is no model.
    Fallback,
    /// Nothing: it fails so.
    Fault(Fault),
    /// Nothing: it should not have been asked.
    Refuse,
}

/// How a question can fail in a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The provider has too much to do.
    Overloaded,
    /// No answer came in time.
    Timeout,
    /// The answer does not fit its schema, also when asked again.
    OffSchema,
    /// The model would not answer.
    Refused,
    /// The answer ended in the middle.
    Cut,
}

/// What must have come of a case.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The exit code.
    pub exit: Option<u8>,
    /// How the run stands: `completed`, `degraded`, `failed`.
    pub status: Option<String>,
    /// How many items ended how; only those that are named.
    #[serde(default)]
    pub census: Counts,
    /// How many questions were asked.
    pub questions: Option<u64>,
    /// How many findings there are that are not suppressed.
    pub findings: Option<u64>,
    /// There is no report, and these words say why.
    pub fails: Option<String>,
}

/// How many items ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// They are done.
    pub done: Option<u64>,
    /// A model should have answered one of their questions, and did not.
    pub fallback: Option<u64>,
    /// They failed.
    pub failed: Option<u64>,
    /// They need not be done.
    pub skipped: Option<u64>,
    /// They were not begun.
    pub pending: Option<u64>,
}

/// The file, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[allow(dead_code, reason = "every file may have it; it is looked at before")]
    version: Option<u32>,
    about: Option<String>,
    fixture: Option<Spanned<String>>,
    #[serde(default)]
    arguments: Vec<String>,
    today: Option<Spanned<String>>,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    limits: LimitsInFile,
    #[serde(default)]
    answer: Vec<Spanned<AnswerInFile>>,
    #[serde(default)]
    default: DefaultInFile,
    cassette: Option<Spanned<String>>,
    grants: Option<Spanned<Grants>>,
    #[serde(default)]
    process: Vec<ProcessInFile>,
    #[serde(default)]
    http: Vec<Spanned<HttpInFile>>,
    #[serde(default)]
    expect: Expect,
    #[serde(default)]
    unchecked: BTreeMap<Check, Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsInFile {
    instances: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct AnswerInFile {
    role: Option<String>,
    item: Option<Spanned<String>>,
    prompt: Option<String>,
    times: Option<Spanned<u32>>,
    text: Option<String>,
    json: Option<Value>,
    #[serde(default)]
    from_schema: bool,
    #[serde(default)]
    fallback: bool,
    fault: Option<Fault>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DefaultInFile {
    answer: Option<DefaultAnswer>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DefaultAnswer {
    FromSchema,
    Fallback,
    Refuse,
}

/// Where the cases of a plugin's folder are, in the order of their names.
///
/// # Errors
/// The folder can't be read.
pub fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    named(folder, ".toml")
}

/// The snapshots of a plugin's folder that belong to no case.
///
/// # Errors
/// The folder can't be read.
pub fn stale(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let cases = files(folder)?;
    let mut snapshots = named(folder, ".snap.json")?;
    snapshots.retain(|snapshot| !cases.iter().any(|case| case.with_extension("snap.json") == *snapshot));
    Ok(snapshots)
}

fn named(folder: &Path, ending: &str) -> std::io::Result<Vec<PathBuf>> {
    let tests = folder.join(FOLDER);
    if !tests.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(tests)? {
        let path = entry?.path();
        let fits = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(ending));
        if fits && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The name of the case in a file.
pub fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Reads a case. `folder` is the plugin's.
///
/// # Errors
/// The file can't be read, or says what makes no sense: with the place.
pub fn read(folder: &Path, path: &Path) -> Result<Case, ConfigError> {
    let gone = || ConfigError::Io { path: path.to_owned(), source: std::io::ErrorKind::NotFound.into() };
    parse(folder, path, &document::read(path)?.ok_or_else(gone)?)
}

fn parse(folder: &Path, path: &Path, text: &str) -> Result<Case, ConfigError> {
    let document = Document { path, text };
    let file: File = document.parse(&[])?;
    let fixture = file.fixture.map(|fixture| inside(document, folder, fixture, "fixture")).transpose()?;
    let cassette = file.cassette.map(|cassette| inside(document, folder, cassette, "cassette")).transpose()?;
    let instances = document.within("instances", file.limits.instances, 1..=16)?.unwrap_or(INSTANCES);
    if let (Some(first), Some(_)) = (file.answer.first(), &cassette) {
        return Err(document.at(
            first.span(),
            "there are answers, and a cassette that has them",
            "take out one of the two",
        ));
    }
    let rules = file.answer.into_iter().map(|answer| rule(document, answer)).collect::<Result<_, _>>()?;
    let processes = file.process.into_iter().map(|one| ProcessInFile::read(document, one)).collect::<Result<_, _>>()?;
    let sites = file.http.into_iter().map(|one| HttpInFile::read(document, one)).collect::<Result<_, _>>()?;
    let mut unchecked = BTreeMap::new();
    for (check, why) in file.unchecked {
        if why.get_ref().trim().is_empty() {
            let message = format!("the check `{}` is left out without a reason", check.name());
            return Err(document.at(why.span(), &message, "say why it does not hold for this case"));
        }
        unchecked.insert(check, why.into_inner());
    }
    Ok(Case {
        name: name_of(path),
        path: path.to_owned(),
        about: file.about,
        fixture,
        arguments: file.arguments,
        day: file.today.map(|today| day(document, &today)).transpose()?,
        seed: file.seed,
        instances: instances as usize,
        rules,
        default: match file.default.answer {
            Some(DefaultAnswer::FromSchema) => Given::Made,
            Some(DefaultAnswer::Fallback) => Given::Fallback,
            Some(DefaultAnswer::Refuse) | None => Given::Refuse,
        },
        cassette,
        grants: file.grants.map(|grants| Grants::read(document, grants)).transpose()?,
        processes,
        sites,
        expect: file.expect,
        unchecked,
    })
}

fn rule(document: Document<'_>, answer: Spanned<AnswerInFile>) -> Result<Rule, ConfigError> {
    let span = answer.span();
    let answer = answer.into_inner();
    let given = [
        answer.text.map(Given::Text),
        answer.json.map(|json| Given::Text(json.to_string())),
        answer.from_schema.then_some(Given::Made),
        answer.fallback.then_some(Given::Fallback),
        answer.fault.map(Given::Fault),
    ];
    let mut given = given.into_iter().flatten();
    let (Some(given), None) = (given.next(), given.next()) else {
        let hint = "write one of text = \"…\", json = {…}, from-schema = true, fallback = true, fault = \"…\"";
        return Err(document.at(span, "an answer is one thing", hint));
    };
    Ok(Rule {
        role: answer.role,
        item: answer.item.map(|item| glob(document, &item)).transpose()?,
        prompt: answer.prompt,
        times: document.within("times", answer.times, 1..=1_000_000)?,
        given,
    })
}

fn glob(document: Document<'_>, item: &Spanned<String>) -> Result<GlobMatcher, ConfigError> {
    let glob = GlobBuilder::new(item.get_ref()).literal_separator(false).backslash_escape(true).build();
    let wrong = |error: globset::Error| {
        document.at(item.span(), &format!("item is no glob: {}", error.kind()), "as in \"src/*.rs\"")
    };
    Ok(glob.map_err(wrong)?.compile_matcher())
}

fn day(document: Document<'_>, today: &Spanned<String>) -> Result<Date, ConfigError> {
    today.get_ref().parse().map_err(|_| document.at(today.span(), "today is no day", "as in \"2026-01-31\""))
}

/// A path below the plugin's folder, where something is.
fn inside(document: Document<'_>, folder: &Path, path: Spanned<String>, key: &str) -> Result<PathBuf, ConfigError> {
    let span: Range<usize> = path.span();
    let path = path.into_inner();
    let outside =
        || document.at(span.clone(), &format!("{key} leads out of the plugin's folder"), "name a folder below it");
    let relative = Path::new(&path);
    if path.is_empty() || !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(outside());
    }
    let gone = |error: std::io::Error| {
        let message = format!("{key}: {}: {error}", folder.join(relative).display());
        document.at(span.clone(), &message, "a folder, named from the plugin's folder")
    };
    let (root, found) =
        (fs::canonicalize(folder).map_err(gone)?, fs::canonicalize(folder.join(relative)).map_err(gone)?);
    if !found.starts_with(&root) || found == root {
        return Err(outside());
    }
    if !found.is_dir() {
        return Err(document.at(span.clone(), &format!("{key} is no folder"), "name a folder"));
    }
    Ok(found)
}

#[cfg(test)]
#[path = "case_tests.rs"]
pub(crate) mod tests;
