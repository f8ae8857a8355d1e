use convoke_runtime::journal::ReadSet;

use super::*;

/// What an item reads with `reads`, checked in a later run after `change`.
async fn changes(
    ground: &Ground,
    reads: impl AsyncFnOnce(&Project, Option<&Recorder>),
    change: impl FnOnce(),
) -> Vec<String> {
    let recorder = Recorder::new();
    let project = ground.open();
    reads(&project, Some(&recorder)).await;
    let set = recorder.read_set();
    assert!(!set.is_empty(), "something was noted");
    let json = serde_json::to_string(&set).unwrap();
    assert_eq!(serde_json::from_str::<ReadSet>(&json).unwrap(), set, "it survives the journal");
    assert_eq!(project.still_holds(&set).await, Ok(vec![]), "in the same run it holds");
    assert_eq!(ground.open().still_holds(&set).await, Ok(vec![]), "unchanged it holds");
    change();
    ground.open().still_holds(&set).await.unwrap().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_file_that_was_read_and_changed() {
    let ground = Ground::new(&[("a.md", "one"), ("b.md", "one")]);
    let read = async |project: &Project, recorder: Option<&Recorder>| {
        project.read(recorder, "./a.md").await.unwrap();
        project.read(recorder, "a.md").await.unwrap();
        assert_eq!(recorder.unwrap().read_set().iter().count(), 1, "noted once");
    };
    assert_eq!(changes(&ground, read, || ground.write("b.md", "two")).await, [""; 0]);
    assert_eq!(changes(&ground, read, || ground.write("a.md", "two")).await, ["a.md has changed"]);
    let gone = || std::fs::remove_file(ground.root().join("a.md")).unwrap();
    assert_eq!(changes(&ground, read, gone).await, ["a.md is gone"]);
}

#[tokio::test]
async fn nothing_where_something_came() {
    let ground = Ground::new(&[]);
    let look = async |project: &Project, recorder: Option<&Recorder>| {
        assert!(project.read(recorder, "a.md").await.is_err());
        assert_eq!(project.exists(recorder, "b.md").await, Ok(None));
        assert_eq!(project.stat(recorder, "c.md").await, Ok(None));
        assert!(project.list(recorder, &under("d")).await.is_err());
    };
    let come = || ["a.md", "b.md", "c.md", "d/x.md"].iter().for_each(|path| ground.write(path, ""));
    let expected = ["a.md is there now", "b.md is there now", "c.md is there now", "d is there now"];
    assert_eq!(changes(&ground, look, come).await, expected);
}

#[tokio::test]
async fn whether_a_file_is_there_does_not_depend_on_its_content_but_its_size_does() {
    let ground = Ground::new(&[("a.md", "one")]);
    let exists = async |project: &Project, recorder: Option<&Recorder>| {
        project.exists(recorder, "a.md").await.unwrap();
    };
    let stat = async |project: &Project, recorder: Option<&Recorder>| {
        project.stat(recorder, "a.md").await.unwrap();
    };
    assert_eq!(changes(&ground, exists, || ground.write("a.md", "longer")).await, [""; 0]);
    assert_eq!(changes(&ground, stat, || ground.write("a.md", "twelve")).await, [""; 0]);
    assert_eq!(changes(&ground, stat, || ground.write("a.md", "no")).await.len(), 1);
    let folder = || {
        std::fs::remove_file(ground.root().join("a.md")).unwrap();
        std::fs::create_dir(ground.root().join("a.md")).unwrap();
    };
    assert_eq!(changes(&ground, exists, folder).await, ["a.md is another kind of thing now"]);
}

#[tokio::test]
async fn a_listing_to_which_a_file_was_added() {
    let ground = Ground::new(&[("a.md", ""), (".gitignore", "")]);
    let list = async |project: &Project, recorder: Option<&Recorder>| {
        project.list(recorder, &globs(&["*.md"], &[])).await.unwrap();
    };
    assert_eq!(changes(&ground, list, || ground.write("b.txt", "")).await, [""; 0]);
    assert_eq!(changes(&ground, list, || ground.write("b.md", "")).await.len(), 1);
    assert_eq!(changes(&ground, list, || ground.write(".gitignore", "b.md")).await.len(), 1);
}

#[tokio::test]
async fn a_search_that_finds_something_else() {
    let ground = Ground::new(&[("a.md", "one\ntwo\n")]);
    let search = async |project: &Project, recorder: Option<&Recorder>| {
        let query = SearchQuery { regex: "two".to_owned(), limit: 9, ..SearchQuery::default() };
        project.search(recorder, &query).await.unwrap();
    };
    assert_eq!(changes(&ground, search, || ground.write("a.md", "1\ntwo\n")).await, [""; 0]);
    assert_eq!(changes(&ground, search, || ground.write("a.md", "1\n1\ntwo\n")).await.len(), 1);
}

#[tokio::test]
async fn a_result_that_rests_on_a_failure_holds_while_the_failure_stands() {
    let ground = Ground::new(&[("folder/x", "")]);
    let fail = async |project: &Project, recorder: Option<&Recorder>| {
        assert!(project.read(recorder, "folder").await.is_err());
        assert!(project.read(recorder, "../outside").await.is_err());
    };
    let mend = || {
        std::fs::remove_dir_all(ground.root().join("folder")).unwrap();
        ground.write("folder", "now a file");
    };
    assert_eq!(changes(&ground, fail, mend).await.len(), 1);
}

#[tokio::test]
async fn a_note_that_is_not_understood_is_a_change() {
    let ground = Ground::new(&[]);
    for query in ["", "{\"later\":1}", "{\"list\":{\"under\":\"\",\"new\":1}}"] {
        let set = ReadSet::from_iter([Read::Listing { query: query.to_owned(), sha256: Digest::of(b"") }]);
        let found = ground.open().still_holds(&set).await.unwrap();
        assert_eq!(found[0].what, Changed::Unknown, "{query}");
    }
}

#[tokio::test]
async fn files_are_read_once_for_many_items() {
    let ground = Ground::new(&[("a.md", "12345")]);
    let recorder = Recorder::new();
    ground.open().read(Some(&recorder), "a.md").await.unwrap();
    let (set, project) = (recorder.read_set(), ground.open());
    for _ in 0..10 {
        assert_eq!(project.still_holds(&set).await, Ok(vec![]));
    }
    assert_eq!(project.counts().bytes_read, 5);
}
