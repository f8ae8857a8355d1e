use super::*;

#[tokio::test]
async fn files_are_sorted_by_their_whole_path() {
    let ground = Ground::new(&[("b.md", ""), ("a/x.md", "12"), ("a-b/x.md", ""), ("a.md", "")]);
    let project = ground.open();
    assert_eq!(paths(&project, &Query::default()).await, ["a-b/x.md", "a.md", "a/x.md", "b.md"]);
    let listing = project.list(None, &Query::default()).await.unwrap();
    assert_eq!(listing.entries[2], Entry { path: "a/x.md".to_owned(), kind: Kind::File, size: 2 });
}

#[tokio::test]
async fn ignored_hidden_and_git_files_are_left_out() {
    let ground = Ground::new(&[
        (".gitignore", "target/\n*.log\n"),
        ("target/a.md", ""),
        ("a.log", ""),
        ("a.md", ""),
        (".claude/agents/b.md", ""),
        (".git/config", ""),
        ("sub/.gitignore", "!keep.log\n/only-here.md\n"),
        ("sub/keep.log", ""),
        ("sub/only-here.md", ""),
        ("sub/deep/only-here.md", ""),
    ]);
    let project = ground.open();
    assert_eq!(paths(&project, &Query::default()).await, ["a.md", "sub/deep/only-here.md", "sub/keep.log"]);
    let hidden = Query { hidden: true, ..Query::default() };
    let with_hidden =
        [".claude/agents/b.md", ".gitignore", "a.md", "sub/.gitignore", "sub/deep/only-here.md", "sub/keep.log"];
    assert_eq!(paths(&project, &hidden).await, with_hidden);
    let all = paths(&project, &Query { hidden: true, ignored: true, ..Query::default() }).await;
    assert_eq!(all.len(), 9, "{all:?}");
    assert!(!all.iter().any(|path| path.contains(".git/")));
}

#[tokio::test]
async fn rules_above_count_for_a_folder_that_is_listed_alone() {
    let ground = Ground::new(&[
        (".gitignore", "*.log\n/a/x.md\nb/\n"),
        ("a/x.md", ""),
        ("a/y.md", ""),
        ("a/z.log", ""),
        ("b/c.md", ""),
    ]);
    let project = ground.open();
    assert_eq!(paths(&project, &under("a")).await, ["a/y.md"]);
    assert_eq!(paths(&project, &under("b")).await, ["b/c.md"], "who names an ignored folder wants it");
}

#[tokio::test]
async fn what_only_this_machine_ignores_does_not_count() {
    let ground = Ground::new(&[("a.md", ""), ("b.md", ""), (".git/info/exclude", "a.md\n"), (".ignore", "b.md\n")]);
    std::fs::write(ground.top.join(".gitignore"), "*.md\n").unwrap();
    assert_eq!(paths(&ground.open(), &Query::default()).await, ["a.md", "b.md"]);
}

#[tokio::test]
async fn globs_are_those_of_gitignore() {
    let ground = Ground::new(&[("a.md", ""), ("x/a.md", ""), ("x/b.txt", ""), ("x/y/a.md", ""), ("docs/z/c.txt", "")]);
    let project = ground.open();
    for (include, exclude, expected) in [
        (&["*.md"][..], &[][..], &["a.md", "x/a.md", "x/y/a.md"][..]),
        (&["/*.md"], &[], &["a.md"]),
        (&["x/*.md"], &[], &["x/a.md"]),
        (&["x/**/*.md"], &[], &["x/a.md", "x/y/a.md"]),
        (&["docs/"], &[], &["docs/z/c.txt"]),
        (&["docs"], &[], &["docs/z/c.txt"]),
        (&["*.md", "!x/y/*"], &[], &["a.md", "x/a.md"]),
        (&[], &["*.md"], &["docs/z/c.txt", "x/b.txt"]),
        (&["*.md"], &["y/"], &["a.md", "x/a.md"]),
        (&["nothing"], &[], &[]),
    ] {
        assert_eq!(paths(&project, &globs(include, exclude)).await, expected, "{include:?} {exclude:?}");
    }
    let below = Query { under: "x".to_owned(), ..globs(&["/*.md"], &[]) };
    assert_eq!(paths(&project, &below).await, ["x/a.md"], "against the path below `under`");
}

#[tokio::test]
async fn globs_that_mean_nothing_are_errors() {
    let project = Ground::new(&[]).open();
    for bad in ["", "  ", "#x", "a[", "{a", &"x".repeat(2000)] {
        let error = project.list(None, &globs(&[bad], &[])).await.unwrap_err();
        assert!(matches!(error, ProjectError::BadGlob { .. }), "{bad}: {error}");
    }
    let many: Vec<&str> = vec!["a"; 300];
    assert!(matches!(project.list(None, &globs(&[], &many)).await, Err(ProjectError::TooMany { .. })));
}

#[tokio::test]
async fn a_mounted_folder_is_listed_by_the_name_it_was_typed_by() {
    let ground = Ground::new(&[("a.md", "")]);
    std::fs::create_dir_all(ground.top.join("shared/data/sub")).unwrap();
    for (path, text) in [("b.md", "b"), ("sub/c.md", "c"), (".gitignore", "d.md\n"), ("d.md", "")] {
        std::fs::write(ground.top.join("shared/data").join(path), text).unwrap();
    }
    let project = ground.open_with_mounts(&[("../shared/data", "shared/data"), ("../one.md", "shared/data/b.md")]);
    assert_eq!(paths(&project, &under("../shared/data")).await, ["../shared/data/b.md", "../shared/data/sub/c.md"]);
    assert_eq!(paths(&project, &under("../shared/data/sub/")).await, ["../shared/data/sub/c.md"]);
    assert_eq!(text(&project, "../shared/data/sub/c.md").await, "c");
    assert_eq!(paths(&project, &Query::default()).await, ["a.md"]);
    assert_eq!(paths(&project, &under("../one.md")).await, ["../one.md"], "a file is a listing of itself");
    assert_eq!(text(&project, "../one.md").await, "b");
    let query = Query { under: "../one.md".to_owned(), ..globs(&["*.txt"], &[]) };
    assert!(paths(&project, &query).await.is_empty());
}

#[tokio::test]
async fn the_root_of_the_file_system_can_be_mounted() {
    let ground = Ground::new(&[]);
    let project =
        Project::open(&ground.root(), vec![Mount { name: "/".to_owned(), host: "/".into() }], Limits::default())
            .unwrap();
    ground.write("a.md", "here");
    let path = ground.root().join("a.md");
    assert_eq!(text(&project, path.to_str().unwrap()).await, "here");
    let folder = ground.root();
    assert_eq!(paths(&project, &under(folder.to_str().unwrap())).await, [path.to_str().unwrap()]);
}

#[tokio::test]
async fn a_listing_stays_the_same_for_the_whole_run_and_is_made_once() {
    let ground = Ground::new(&[("a.md", "")]);
    let project = ground.open();
    let query = under("");
    let together = futures::future::join_all((0..8).map(|_| paths(&project, &query))).await;
    assert!(together.iter().all(|paths| paths == &["a.md"]));
    assert_eq!(project.counts().from_cache, 7);
    ground.write("b.md", "");
    assert_eq!(paths(&project, &under("./")).await, ["a.md"]);
    assert_eq!(paths(&ground.open(), &under("")).await, ["a.md", "b.md"]);
}

#[tokio::test]
async fn a_listing_of_nothing_or_of_a_pipe_is_an_error() {
    let ground = Ground::new(&[]);
    let project = ground.open();
    assert!(matches!(project.list(None, &under("nothing")).await, Err(ProjectError::Missing { .. })));
    assert!(paths(&project, &under("")).await.is_empty());
}

#[tokio::test]
async fn a_bad_line_in_a_gitignore_is_said_and_the_others_count() {
    let ground = Ground::new(&[(".gitignore", "*.log\na[\n"), ("a.log", ""), ("a.md", "")]);
    ground.write("sub/.gitignore", "*.md\n".repeat(100_000));
    ground.write("sub/b.md", "");
    let listing = ground.open().list(None, &Query::default()).await.unwrap();
    let entries: Vec<&str> = listing.entries.iter().map(|entry| entry.path.as_str()).collect();
    assert!(!entries.contains(&"a.log") && entries.contains(&"sub/b.md"), "{entries:?}");
    let skipped: Vec<&str> = listing.skipped.iter().map(|skipped| skipped.path.as_str()).collect();
    assert!(skipped.contains(&"sub/.gitignore"), "{skipped:?}");
    assert!(listing.skipped.iter().all(|skipped| skipped.why == SkipReason::BadIgnoreFile));
}
