//! The folder of a recording: written whole or not at all, read with a place for everything that is wrong.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use convoke_runtime::cassette::{Cassette, Text, hex, scrubbed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::about::FORMAT;
use super::{About, RecordingError, VERSION};
use crate::config::files::read_text;
use crate::plugin::outside::taped::TapedCall;
use crate::plugin::printable;
use crate::plugin::project::tape::{Answer, Recorded};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 256 << 20;
/// The most files in one folder.
const MOST_FILES: usize = 200_000;
/// The longest readable part of a file's name.
const SLUG: usize = 60;
/// So many digits of a digest are in a file's name.
const DIGITS: usize = 12;

const RUN: &str = "run.json";
const QUESTIONS: &str = "questions";
const CONTEXTS: &str = "contexts";
const PROJECT: &str = "project";
const FILES: &str = "files";
const STATS: &str = "stats.json";
const LISTINGS: &str = "listings.json";
const SEARCHES: &str = "searches.json";
const CONFIG: &str = "convoke.toml";
const OUTSIDE: &str = "outside.json";

/// All that a recording holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// What was run.
    pub about: About,
    /// What was asked.
    pub cassettes: Vec<Cassette>,
    /// What was read.
    pub project: Recorded,
    /// What programs and hosts said.
    pub outside: Vec<TapedCall>,
    /// The project's configuration.
    pub config: Option<String>,
}

/// Whether a recording may be written there: what is no recording is not replaced.
///
/// # Errors
/// The folder holds something else, or can't be looked at.
pub fn check_place(folder: &Path) -> Result<(), RecordingError> {
    let not_ours = |what: String| RecordingError::NotOurs { folder: folder.to_owned(), what };
    let names = match names(folder) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(not_ours(error.to_string())),
    };
    if names.is_empty() {
        return Ok(());
    }
    if !names.iter().any(|name| name == RUN) {
        return Err(not_ours("it has files, and is no recording".to_owned()));
    }
    let text = read_text(&folder.join(RUN), LARGEST).map_err(|error| not_ours(format!("{RUN}: {error}")))?;
    if !serde_json::from_str::<Head>(&text).is_ok_and(|head| head.format == FORMAT) {
        return Err(not_ours(format!("its {RUN} is not of a recording")));
    }
    let strange = |below: &Path, known: &dyn Fn(&str) -> bool| match self::names(&folder.join(below)) {
        Ok(names) => match names.into_iter().find(|name| !known(name)) {
            Some(name) => {
                let name = printable(&below.join(name).to_string_lossy(), 200);
                Err(not_ours(format!("{name} is not part of a recording")))
            }
            None => Ok(()),
        },
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => Ok(()),
        Err(error) => Err(not_ours(format!("{}: {error}", below.display()))),
    };
    strange(Path::new(""), &|name| [RUN, QUESTIONS, CONTEXTS, PROJECT, OUTSIDE].contains(&name))?;
    strange(Path::new(QUESTIONS), &is_json)?;
    strange(Path::new(CONTEXTS), &is_json)?;
    strange(Path::new(PROJECT), &|name| [FILES, STATS, LISTINGS, SEARCHES, CONFIG].contains(&name))?;
    strange(&Path::new(PROJECT).join(FILES), &is_json)
}

/// Writes a recording. What was recorded there before is replaced, when the new one is whole.
///
/// # Errors
/// As [`check_place`], and what the system says.
pub fn write(folder: &Path, content: &Content) -> Result<(), RecordingError> {
    check_place(folder)?;
    let target = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let failed = |error: io::Error| RecordingError::Unwritable { path: target.clone(), why: error.to_string() };
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(failed)?;
    let work = tempfile::Builder::new().prefix(".convoke-recording-").tempdir_in(parent).map_err(failed)?;
    let (new, old) = (work.path().join("new"), work.path().join("old"));
    put(&new, content).map_err(failed)?;
    match fs::rename(&target, &old) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    if let Err(error) = fs::rename(&new, &target) {
        // The old one goes back; if even that fails, it stays where it is.
        if fs::rename(&old, &target).is_err() && old.exists() {
            let kept = work.keep();
            let why = format!("{error}; what was there is in {}", kept.display());
            return Err(RecordingError::Unwritable { path: target, why });
        }
        return Err(failed(error));
    }
    Ok(())
}

fn put(folder: &Path, content: &Content) -> io::Result<()> {
    for below in ["", QUESTIONS, CONTEXTS, &format!("{PROJECT}/{FILES}")] {
        fs::create_dir_all(folder.join(below))?;
    }
    let mut contexts: BTreeMap<String, &Text> = BTreeMap::new();
    for cassette in &content.cassettes {
        let name = format!("{}-{}.json", slug(&cassette.item), &cassette.request.key().hex()[..DIGITS]);
        let mut cassette = cassette.clone();
        if let Some(context) = &mut cassette.request.context {
            let context_name = format!("{}.json", digest(&context.text()));
            *context = Text::Line(format!("{CONTEXTS}/{context_name}"));
        }
        put_json(&folder.join(QUESTIONS).join(name), &cassette)?;
    }
    for context in content.cassettes.iter().filter_map(|cassette| cassette.request.context.as_ref()) {
        contexts.insert(format!("{}.json", digest(&context.text())), context);
    }
    for (name, context) in contexts {
        put_json(&folder.join(CONTEXTS).join(name), context)?;
    }
    let project = folder.join(PROJECT);
    for file in &content.project.files {
        put_json(&project.join(FILES).join(file_name(&file.asked)), file)?;
    }
    put_json(&project.join(STATS), &content.project.stats)?;
    put_json(&project.join(LISTINGS), &content.project.listings)?;
    put_json(&project.join(SEARCHES), &content.project.searches)?;
    if let Some(config) = &content.config {
        put_bytes(&project.join(CONFIG), scrubbed(config).as_bytes())?;
    }
    if !content.outside.is_empty() {
        put_json(&folder.join(OUTSIDE), &content.outside)?;
    }
    put_json(&folder.join(RUN), &content.about)
}

fn put_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    put_bytes(path, text.as_bytes())
}

fn put_bytes(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Reads a recording.
///
/// # Errors
/// It is none, is of another version, or one of its files is broken: then with the file and the place in it.
pub fn read(folder: &Path) -> Result<Content, RecordingError> {
    let run = folder.join(RUN);
    if !run.exists() {
        return Err(RecordingError::NoRecording { folder: folder.to_owned() });
    }
    let text = text_of(&run)?;
    let head: Head = parse(&run, &text)?;
    if head.format != FORMAT {
        return Err(broken(&run, format!("`format` is not {FORMAT:?}")));
    }
    if head.version != u64::from(VERSION) {
        return Err(RecordingError::Version { path: run, version: head.version });
    }
    let about = parse(&run, &text)?;
    let mut contexts = BTreeMap::new();
    for path in json_files(&folder.join(CONTEXTS))? {
        let context: Text = parse(&path, &text_of(&path)?)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        contexts.insert(format!("{CONTEXTS}/{name}"), context);
    }
    let mut cassettes = Vec::new();
    for path in json_files(&folder.join(QUESTIONS))? {
        let mut cassette: Cassette = parse(&path, &text_of(&path)?)?;
        cassette.check().map_err(|why| broken(&path, why))?;
        if let Some(context) = &mut cassette.request.context {
            let name = context.text();
            let missing = || broken(&path, format!("request.context: there is no {}", printable(&name, 200)));
            *context = contexts.get(&name).cloned().ok_or_else(missing)?;
        }
        cassettes.push(cassette);
    }
    let project = folder.join(PROJECT);
    let mut files = Vec::new();
    for path in json_files(&project.join(FILES))? {
        let file: Answer<String, crate::plugin::project::tape::Content> = parse(&path, &text_of(&path)?)?;
        file.check().map_err(|why| broken(&path, why))?;
        if let Some(content) = &file.found {
            content.bytes().map_err(|why| broken(&path, format!("found: {why}")))?;
        }
        files.push(file);
    }
    let project = Recorded {
        files,
        stats: answers(&project.join(STATS))?,
        listings: answers(&project.join(LISTINGS))?,
        searches: answers(&project.join(SEARCHES))?,
    };
    let outside = folder.join(OUTSIDE);
    let outside = if outside.exists() { parse(&outside, &text_of(&outside)?)? } else { Vec::new() };
    let config = folder.join(PROJECT).join(CONFIG);
    let config = if config.exists() { Some(text_of(&config)?) } else { None };
    Ok(Content { about, cassettes, project, outside, config })
}

/// Where a recording has the project's configuration.
pub(crate) fn config_file(folder: &Path) -> PathBuf {
    folder.join(PROJECT).join(CONFIG)
}

/// What is read before anything else of a recording is understood.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u64,
}

fn answers<Q: DeserializeOwned, T: DeserializeOwned>(path: &Path) -> Result<Vec<Answer<Q, T>>, RecordingError> {
    let answers: Vec<Answer<Q, T>> = parse(path, &text_of(path)?)?;
    for (number, answer) in answers.iter().enumerate() {
        answer.check().map_err(|why| broken(path, format!("[{number}]: {why}")))?;
    }
    Ok(answers)
}

fn text_of(path: &Path) -> Result<String, RecordingError> {
    read_text(path, LARGEST)
        .map_err(|error| RecordingError::Unreadable { path: path.to_owned(), why: error.to_string() })
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, RecordingError> {
    // It says line and column.
    serde_json::from_str(text).map_err(|error| broken(path, printable(&error.to_string(), 400)))
}

fn broken(path: &Path, why: impl Into<String>) -> RecordingError {
    RecordingError::Broken { path: path.to_owned(), why: why.into() }
}

/// The JSON files of a folder, in the order of their names.
fn json_files(folder: &Path) -> Result<Vec<PathBuf>, RecordingError> {
    let unreadable = |why: String| RecordingError::Unreadable { path: folder.to_owned(), why };
    let mut names = match names(folder) {
        Ok(names) => names,
        // Git keeps no empty folders.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    if names.len() > MOST_FILES {
        return Err(unreadable(format!("it has more than {MOST_FILES} files")));
    }
    names.retain(|name| is_json(name));
    names.sort();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(folder)?.take(MOST_FILES + 1);
    names.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned())).collect()
}

fn is_json(name: &str) -> bool {
    Path::new(name).extension() == Some(OsStr::new("json"))
}

fn file_name(path: &str) -> String {
    format!("{}-{}.json", slug(path), digest(path))
}

fn digest(text: &str) -> String {
    let mut digits = hex(&Sha256::digest(text.as_bytes()));
    digits.truncate(DIGITS);
    digits
}

/// What of a name is readable in every file system: the end of it, which tells more.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    let slug = slug[slug.len().saturating_sub(SLUG)..].trim_start_matches('-');
    if slug.is_empty() { "x".to_owned() } else { slug.to_owned() }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
