//! What a run read is written down and served again.

use super::*;
use crate::plugin::project::tape::{Answer, Reads};
use crate::plugin::project::{Recorder, SearchQuery};

fn recording(ground: &Ground) -> (Project, Reads) {
    let reads = Reads::default();
    (Project::recording(&ground.root(), Vec::new(), Limits::default(), reads.clone()).unwrap(), reads)
}

/// A project that is served in an empty folder.
fn served(reads: &Reads) -> (Project, Ground) {
    let elsewhere = Ground::new(&[]);
    let recorded = reads.recorded().unwrap();
    // As it comes from a file.
    fn again<Q, T>(answers: &[Answer<Q, T>]) -> Vec<Answer<Q, T>>
    where
        Answer<Q, T>: serde::Serialize + serde::de::DeserializeOwned,
    {
        answers.iter().map(|one| serde_json::from_str(&serde_json::to_string(one).unwrap()).unwrap()).collect()
    }
    let recorded = crate::plugin::project::tape::Recorded {
        files: again(&recorded.files),
        stats: again(&recorded.stats),
        listings: again(&recorded.listings),
        searches: again(&recorded.searches),
    };
    (Project::replaying(&elsewhere.root(), Limits::default(), Reads::of(recorded)).unwrap(), elsewhere)
}

fn for_lines(regex: &str) -> SearchQuery {
    SearchQuery { regex: regex.to_owned(), files: under("."), limit: 100, ..SearchQuery::default() }
}

#[tokio::test]
async fn what_was_read_is_served_without_the_project_and_the_rest_is_a_miss() {
    let ground = Ground::new(&[]);
    ground.write("src/a.txt", "one\ntwo\n");
    ground.write("src/b.bin", [0_u8, 159, 146, 150]);
    ground.write("src/unread.txt", "x");
    let (project, reads) = recording(&ground);
    let listing = project.list(None, &under("src")).await.unwrap();
    let found = project.search(None, &for_lines("two")).await.unwrap();
    let (a, b) = (project.read(None, "src/a.txt").await.unwrap(), project.read(None, "src/b.bin").await.unwrap());
    let stat = project.stat(None, "src/a.txt").await.unwrap();
    let missing = project.read(None, "gone.txt").await.unwrap_err();
    assert_eq!(project.exists(None, "gone.txt").await, Ok(None));

    let (again, _elsewhere) = served(&reads);
    // By another name of the same path too.
    assert_eq!(again.list(None, &under("./src/")).await.unwrap(), listing);
    assert_eq!(again.search(None, &for_lines("two")).await.unwrap(), found);
    assert_eq!(again.read(None, "src/a.txt").await.unwrap(), a);
    assert_eq!(again.read(None, "src/b.bin").await.unwrap(), b);
    assert_eq!(again.stat(None, "src/a.txt").await.unwrap(), stat);
    assert_eq!(again.exists(None, "gone.txt").await, Ok(None));
    assert_eq!(again.read(None, "gone.txt").await.unwrap_err().to_string(), missing.to_string());

    let recorder = Recorder::new();
    for result in [
        again.read(Some(&recorder), "src/unread.txt").await.map(|_| ()),
        again.stat(Some(&recorder), "src/unread.txt").await.map(|_| ()),
        again.list(Some(&recorder), &under(".")).await.map(|_| ()),
        again.search(Some(&recorder), &for_lines("three")).await.map(|_| ()),
    ] {
        assert!(matches!(result, Err(ProjectError::NotRecorded { .. })), "{result:?}");
    }
    assert_eq!(recorder.missed().unwrap(), "the file src/unread.txt was not recorded");
    assert_eq!(again.take_missed().len(), 4);
    assert!(again.take_missed().is_empty());
}

#[tokio::test]
async fn the_lines_of_a_private_key_are_in_no_answer_of_a_recording() {
    let ground = Ground::new(&[]);
    let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDx7Kf2mQp9Zt4R";
    let key = ["-----BEGIN ", "PRIVATE KEY-----\n", line, "\n", line, "\n-----END ", "PRIVATE KEY-----\n"].concat();
    ground.write("deploy.pem", format!("before\n{key}after\n"));
    let (project, reads) = recording(&ground);
    let found = project.search(None, &for_lines(".")).await.unwrap();
    assert_eq!(found.matches[2].text, line, "the command itself sees what is there");
    project.read(None, "deploy.pem").await.unwrap();
    let recorded = reads.recorded().unwrap();
    let all = format!("{:?}{:?}", recorded.searches, recorded.files);
    assert!(!all.contains("MIIEvQ"), "{all}");
    assert!(all.contains("before") && all.contains("after"), "{all}");
    assert_eq!(reads.redacted(), ["deploy.pem"]);
    let (again, _elsewhere) = served(&reads);
    assert_eq!(again.search(None, &for_lines(".")).await.unwrap().matches.len(), found.matches.len());
}
