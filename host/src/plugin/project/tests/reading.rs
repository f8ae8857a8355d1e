use super::*;

#[tokio::test]
async fn a_file_has_one_content_for_the_whole_run() {
    let ground = Ground::new(&[("a.md", "one")]);
    let project = ground.open();
    assert_eq!(text(&project, "a.md").await, "one");
    ground.write("a.md", "two");
    assert_eq!(text(&project, "./a.md").await, "one");
    assert_eq!(text(&ground.open(), "a.md").await, "two");
}

#[tokio::test]
async fn a_file_that_changed_after_it_left_the_cache_is_an_error() {
    let ground = Ground::new(&[("a.md", "one"), ("b.md", "large enough to push it out")]);
    let project = ground.open_with(Limits { cache_bytes: 32, ..Limits::default() });
    assert_eq!(text(&project, "a.md").await, "one");
    text(&project, "b.md").await;
    assert_eq!(text(&project, "a.md").await, "one", "unchanged, it is read again");
    text(&project, "b.md").await;
    ground.write("a.md", "two");
    assert!(matches!(project.read(None, "a.md").await, Err(ProjectError::Changed { .. })));
}

#[tokio::test]
async fn readers_at_the_same_time_read_once() {
    let ground = Ground::new(&[("a.md", "12345")]);
    let project = ground.open();
    let all = futures::future::join_all((0..20).map(|_| project.read(None, "a.md"))).await;
    assert!(all.iter().all(|content| content.as_deref() == Ok(&b"12345"[..])));
    let counts = project.counts();
    assert_eq!((counts.reads, counts.bytes_read, counts.from_cache), (20, 5, 19));
}

#[tokio::test]
async fn a_file_of_fifty_megabytes_is_a_clear_error_and_one_at_the_limit_is_read() {
    let ground = Ground::new(&[]);
    let file = std::fs::File::create(ground.root().join("large.bin")).unwrap();
    file.set_len(50 << 20).unwrap();
    ground.write("fits.bin", vec![b'x'; 1000]);
    ground.write("over.bin", vec![b'x'; 1001]);
    let error = ground.open().read(None, "large.bin").await.unwrap_err();
    assert_eq!(error.to_string(), "large.bin has 52428800 bytes, more than the limit of 16777216");
    let project = ground.open_with(Limits { read_bytes: 1000, ..Limits::default() });
    assert_eq!(project.read(None, "fits.bin").await.unwrap().len(), 1000);
    assert!(matches!(project.read(None, "over.bin").await, Err(ProjectError::TooLarge { size: 1001, .. })));
}

#[tokio::test]
async fn stat_says_what_stands_there() {
    let ground = Ground::new(&[("sub/a.md", "123")]);
    let project = ground.open();
    let stat = async |path: &str| project.stat(None, path).await.unwrap();
    let file = Entry { path: "sub/a.md".to_owned(), kind: Kind::File, size: 3 };
    assert_eq!(stat("sub//./a.md").await, Some(file));
    assert_eq!(stat("sub").await.unwrap().kind, Kind::Folder);
    assert_eq!(stat("").await.unwrap(), Entry { path: ".".to_owned(), kind: Kind::Folder, size: 0 });
    assert_eq!(stat("nothing").await, None);
    assert_eq!(stat("sub/a.md/below").await, None);
    assert_eq!(project.exists(None, "sub/a.md").await, Ok(Some(Kind::File)));
    assert_eq!(project.exists(None, "sub/b.md").await, Ok(None));
}

#[tokio::test]
async fn what_is_no_file_is_not_read() {
    let ground = Ground::new(&[("sub/a.md", "")]);
    let project = ground.open();
    assert!(matches!(project.read(None, "sub").await, Err(ProjectError::NotAFile { what: "a folder", .. })));
    assert!(matches!(project.read(None, "").await, Err(ProjectError::NotAFile { .. })));
    assert!(matches!(project.read(None, "sub/b.md").await, Err(ProjectError::Missing { .. })));
    assert!(matches!(project.read(None, "sub/a.md/x").await, Err(ProjectError::Missing { .. })));
    assert_eq!(project.read(None, "sub/a.md").await.unwrap().len(), 0);
}

fn one_at_a_time() -> Operations {
    let counts = crate::config::Limits::of(crate::config::Mode::default()).operations;
    Operations::new(&crate::config::limits::Operations { read: 1, ..counts }, None)
}

#[tokio::test]
async fn no_more_reads_run_at_once_than_allowed() {
    let ground = Ground::new(&[("a.md", "a"), ("b.md", "b")]);
    let project = ground.open_with(Limits::default()).sharing(one_at_a_time());
    let held = project.1.begin(Doing::Read, drop).await.unwrap();
    let mut waiting = Box::pin(project.read(None, "a.md"));
    assert!(futures::poll!(&mut waiting).is_pending());
    drop(held);
    assert_eq!(&waiting.await.unwrap()[..], b"a");
    assert_eq!(project.1.free(Doing::Read), 1);
}

#[tokio::test]
async fn a_reader_that_gives_up_gives_everything_back() {
    let ground = Ground::new(&[("a.md", "a")]);
    let project = ground.open_with(Limits::default()).sharing(one_at_a_time());
    let held = project.1.begin(Doing::Read, drop).await.unwrap();
    let mut waiting = Box::pin(project.read(None, "a.md"));
    assert!(futures::poll!(&mut waiting).is_pending());
    drop(waiting);
    drop(held);
    assert_eq!(text(&project, "a.md").await, "a");
}
