use convoke_runtime::cache::Cached;
use convoke_runtime::cassette::{Came, Sent};
use convoke_runtime::question::{Question, Usage};
use convoke_runtime::route::Route;
use serde_json::json;

use super::*;
use crate::plugin::manifest::Arguments;
use crate::plugin::outside::taped::{TapedAnswer, TapedCall};
use crate::plugin::project::tape::{Content as FileContent, Stat};
use crate::plugin::project::{Findings, Found, Kind, Listing, Query, SearchQuery};
use crate::recording::PluginVersion;

fn about() -> About {
    let arguments = Arguments { subcommand: None, json: json!({"paths": ["a.md"]}), paths: vec!["a.md".to_owned()] };
    let plugin = PluginVersion { name: "audit".to_owned(), version: "1.0.0".to_owned(), digest: "0".repeat(64) };
    let today = jiff::civil::date(2026, 11, 20);
    let (how, who) = (("balanced", 8), ("anthropic", true));
    About::new("audit", plugin, &arguments, &arguments, None, how, who, &Route::default(), today)
}

fn cassette(item: &str, prompt: &str, context: Option<&str>) -> Cassette {
    let question = Question { prompt: prompt.to_owned(), context: context.map(str::to_owned), ..Question::default() };
    let cached = Cached { text: format!("to {prompt}"), model: "m".to_owned(), edits: Vec::new() };
    Cassette {
        item: item.to_owned(),
        role: "tester".to_owned(),
        request: Sent::of(&Route::default().request(&question)),
        answers: vec![Came::of(Ok(&cached), Usage::default())],
    }
}

fn content() -> Content {
    let file = |path: &str, text: &str| Answer {
        asked: path.to_owned(),
        found: Some(FileContent { text: Some(Text::of(text)), ..FileContent::default() }),
        error: None,
    };
    let binary = FileContent { hex: Some(vec!["00ff".to_owned(), "10".to_owned()]), ..FileContent::default() };
    let query = Query { under: ".".to_owned(), hidden: true, ..Query::default() };
    let found = Found { path: "a.md".to_owned(), line: 3, text: "x".to_owned() };
    let project = Recorded {
        files: vec![file("a.md", "one\ntwo\n"), Answer { asked: "b.bin".to_owned(), found: Some(binary), error: None }],
        stats: vec![
            Answer { asked: "a.md".to_owned(), found: Some(Stat { kind: Some(Kind::File), size: 8 }), error: None },
            Answer { asked: "c.md".to_owned(), found: Some(Stat::default()), error: None },
        ],
        listings: vec![Answer { asked: query.clone(), found: Some(Listing::default()), error: None }],
        searches: vec![Answer {
            asked: SearchQuery { regex: "x".to_owned(), files: query, limit: 5, ..SearchQuery::default() },
            found: Some(Findings { matches: vec![found], ..Findings::default() }),
            error: None,
        }],
    };
    let shared = "a context\nthat two have in common";
    let cassettes =
        vec![cassette(".claude/agents/a.md", "a\nb", Some(shared)), cassette(".claude/agents/b.md", "b", Some(shared))];
    let outside = vec![TapedCall {
        kind: "http".to_owned(),
        item: Some("a.md".to_owned()),
        asked: json!({"url": "https://a.example/"}),
        answers: vec![TapedAnswer::Found(json!({"status": 200}))],
    }];
    Content { about: about(), cassettes, project, outside, config: Some("version = 1\n".to_owned()) }
}

/// All files of a folder with their contents.
fn all(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                files.insert(name, fs::read_to_string(entry.path()).unwrap());
            }
        }
    }
    files
}

#[test]
fn what_is_written_is_read_again_and_written_the_same() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("deep/er/tape");
    write(&folder, &content()).unwrap();
    let back = read(&folder).unwrap();
    assert_eq!(back, content_with_time_of(&back));
    let first = all(&folder);
    write(&folder, &back).unwrap();
    assert_eq!(all(&folder), first);
    assert_eq!(fs::read_dir(folder.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
}

/// The time of recording is not chosen by a test.
fn content_with_time_of(other: &Content) -> Content {
    let content = content();
    Content { about: About { recorded_at: other.about.recorded_at, ..content.about }, ..content }
}

#[test]
fn names_are_readable_a_text_is_a_list_of_lines_and_a_context_is_stored_once() {
    let place = tempfile::tempdir().unwrap();
    write(place.path(), &content()).unwrap();
    let files = all(place.path());
    let names: Vec<&str> = files.keys().map(|name| name.split_at(name.rfind('-').unwrap_or(name.len())).0).collect();
    let expected = [
        "outside.json",
        "project/convoke.toml",
        "project/files/a-md",
        "project/files/b-bin",
        "project/listings.json",
        "project/searches.json",
        "project/stats.json",
        "questions/claude-agents-a-md",
        "questions/claude-agents-b-md",
        "run.json",
    ];
    assert_eq!(names.iter().filter(|name| !name.starts_with("contexts/")).copied().collect::<Vec<_>>(), expected);
    assert_eq!(names.iter().filter(|name| name.starts_with("contexts/")).count(), 1);
    let question = files.iter().find(|(name, _)| name.starts_with("questions/claude-agents-a-md")).unwrap().1;
    assert!(question.contains("\"prompt\": [\n      \"a\",\n      \"b\"\n    ]"), "{question}");
    assert!(!question.contains("in common"), "{question}");
}

#[test]
fn what_is_no_recording_is_not_replaced() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("tape");
    check_place(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    check_place(&folder).unwrap();
    fs::write(folder.join("thesis.txt"), "years of work").unwrap();
    let told = write(&folder, &content()).unwrap_err().to_string();
    assert!(told.contains("is not replaced"), "{told}");
    fs::write(folder.join(RUN), "{}").unwrap();
    assert!(write(&folder, &content()).is_err());
    fs::remove_dir_all(&folder).unwrap();
    write(&folder, &content()).unwrap();
    fs::write(folder.join("questions/thesis.txt"), "years of work").unwrap();
    let told = write(&folder, &content()).unwrap_err().to_string();
    assert!(told.contains("questions/thesis.txt is not part of a recording"), "{told}");
    assert_eq!(fs::read_to_string(folder.join("questions/thesis.txt")).unwrap(), "years of work");
    assert!(check_place(&folder.join(RUN)).is_err(), "a file is no folder");
}

#[test]
fn what_is_broken_is_told_with_its_file_and_place() {
    let place = tempfile::tempdir().unwrap();
    let question =
        |files: &BTreeMap<String, String>| files.keys().find(|name| name.starts_with(QUESTIONS)).unwrap().clone();
    let told = |name: &str, text: &str| {
        fs::remove_dir_all(place.path()).unwrap();
        write(place.path(), &content()).unwrap();
        fs::write(place.path().join(name), text).unwrap();
        read(place.path()).unwrap_err().to_string()
    };
    write(place.path(), &content()).unwrap();
    let files = all(place.path());
    let name = question(&files);
    let broken = told(&name, "{\n  \"item\": 7\n}");
    assert!(broken.contains(&name) && broken.contains("line 2 column"), "{broken}");
    let strange = told(&name, &files[&name].replace("\"role\"", "\"rule\""));
    assert!(strange.contains("unknown field `rule`"), "{strange}");
    let lost = told(&name, &files[&name].replace("contexts/", "contexts/no"));
    assert!(lost.contains("request.context: there is no contexts/no"), "{lost}");
    assert!(told("project/stats.json", "[{\"asked\": \"a\"}]").contains("[0]: it has one of"));
    assert!(told(RUN, "garbage").contains("run.json"));
    let newer = told(RUN, &files[RUN].replace("\"version\": 1,", "\"version\": 2, \"unheard_of\": 1,"));
    assert!(newer.contains("has version 2, and this convoke reads version 1"), "{newer}");
    let bytes = files.keys().find(|name| name.contains("b-bin")).unwrap();
    assert!(told(bytes, &files[bytes].replace("00ff", "00f")).contains("odd number"));
    assert!(read(&place.path().join("nowhere")).unwrap_err().to_string().contains("no run.json"));
}

#[test]
fn a_name_is_cut_at_its_beginning() {
    assert_eq!(slug("../Agents/Über Größe.md"), "agents-ber-gr-e-md");
    assert_eq!(slug(&format!("{}/end.md", "x".repeat(200))).len(), SLUG);
    assert_eq!(slug("…"), "x");
}
