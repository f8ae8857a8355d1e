use super::*;

#[tokio::test]
async fn paths_that_lead_out_are_refused_by_every_operation() {
    let ground = Ground::new(&[("sub/a.md", "")]);
    std::fs::write(ground.top.join("secret"), "secret").unwrap();
    let project = ground.open();
    let absolute = ground.top.join("secret");
    for path in ["../secret", "sub/../../secret", "/etc/passwd", "//etc/passwd", absolute.to_str().unwrap(), ".."] {
        assert!(matches!(project.read(None, path).await, Err(ProjectError::Outside { .. })), "read {path}");
        assert!(matches!(project.stat(None, path).await, Err(ProjectError::Outside { .. })), "stat {path}");
        assert!(matches!(project.exists(None, path).await, Err(ProjectError::Outside { .. })), "exists {path}");
        assert!(matches!(project.list(None, &under(path)).await, Err(ProjectError::Outside { .. })), "list {path}");
        let search = SearchQuery { regex: "x".to_owned(), files: under(path), limit: 1, ..SearchQuery::default() };
        assert!(matches!(project.search(None, &search).await, Err(ProjectError::Outside { .. })), "search {path}");
    }
}

#[tokio::test]
async fn names_that_no_file_can_have_are_refused() {
    let project = Ground::new(&[]).open();
    for path in ["a\0b", "\0", &"long/".repeat(1000)] {
        assert!(matches!(project.read(None, path).await, Err(ProjectError::BadPath { .. })));
        assert!(matches!(project.list(None, &under(path)).await, Err(ProjectError::BadPath { .. })));
    }
    // Longer than a name may be, but not than a path.
    assert!(project.read(None, &"x".repeat(3000)).await.is_err());
}

#[tokio::test]
async fn gits_own_folder_is_never_seen() {
    let ground = Ground::new(&[(".git/config", "x"), ("sub/.git", "gitdir: x"), ("a.md", "x")]);
    let project = ground.open();
    for path in [".git", ".git/config", "sub/.git", ".GIT/config", "./.git/../.git/config"] {
        assert!(matches!(project.read(None, path).await, Err(ProjectError::Git { .. })), "{path}");
        assert!(matches!(project.exists(None, path).await, Err(ProjectError::Git { .. })), "{path}");
    }
    assert!(matches!(project.list(None, &under(".git")).await, Err(ProjectError::Git { .. })));
    let everything = Query { hidden: true, ignored: true, ..Query::default() };
    assert_eq!(paths(&project, &everything).await, ["a.md"]);
}

#[tokio::test]
async fn a_listing_beyond_a_limit_is_an_error_and_not_a_part() {
    let ground = Ground::new(&[]);
    for index in 0..50 {
        ground.write(&format!("many/{index}.md"), "");
    }
    ground.write("1/2/3/4/x.md", "");
    let refused = async |limits| ground.open_with(limits).list(None, &Query::default()).await.unwrap_err();
    let limits = Limits::default();
    assert_eq!(
        ground.open_with(Limits { entries: 51, ..limits }).list(None, &under("")).await.unwrap().entries.len(),
        51
    );
    assert!(matches!(refused(Limits { entries: 50, ..limits }).await, ProjectError::TooMany { limit: 50, .. }));
    assert!(matches!(refused(Limits { looked_at: 50, ..limits }).await, ProjectError::TooMany { .. }));
    let deep = refused(Limits { depth: 3, ..limits }).await;
    assert_eq!(deep.to_string(), "1/2/3/4 lies more than 3 folders deep");
    assert!(ground.open_with(Limits { depth: 4, ..limits }).list(None, &under("")).await.is_ok());
}

#[tokio::test]
async fn a_huge_folder_is_listed_within_the_limits() {
    let ground = Ground::new(&[]);
    std::fs::create_dir(ground.root().join("huge")).unwrap();
    for index in 0..20_000 {
        std::fs::File::create(ground.root().join(format!("huge/{index:05}"))).unwrap();
    }
    let listed = paths(&ground.open(), &Query::default()).await;
    assert_eq!((listed.len(), listed[19_999].as_str()), (20_000, "huge/19999"));
}

#[tokio::test]
async fn work_that_nobody_waits_for_stops() {
    let ground = Ground::new(&[("a.md", "")]);
    let project = ground.open();
    let cancel = Cancel::default();
    drop(CancelOnDrop(cancel.clone()));
    let spot = project.0.mounts.locate("").unwrap();
    let result = list::walk(&spot, &Query::default().matcher().unwrap(), &Limits::default(), &cancel);
    assert_eq!(result, Err(ProjectError::Stopped));
}

#[cfg(unix)]
mod unix {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn links_that_stay_inside_work_and_links_that_lead_out_do_not() {
        let ground = Ground::new(&[("real/a.md", "inside")]);
        std::fs::create_dir(ground.top.join("out")).unwrap();
        std::fs::write(ground.top.join("out/secret.md"), "secret").unwrap();
        ground.link("in.md", "real/a.md");
        ground.link("in-folder", "real");
        ground.link("out.md", "../out/secret.md");
        ground.link("out-absolute.md", ground.top.join("out/secret.md"));
        ground.link("out-folder", ground.top.join("out"));
        ground.link("sub/out.md", "../../out/secret.md");
        ground.link("dangling.md", "nothing");
        let project = ground.open();
        assert_eq!(text(&project, "in.md").await, "inside");
        assert_eq!(text(&project, "in-folder/a.md").await, "inside");
        assert_eq!(paths(&project, &under("in-folder")).await, ["in-folder/a.md"]);
        for path in ["out.md", "out-absolute.md", "out-folder/secret.md", "sub/out.md"] {
            let error = project.read(None, path).await.unwrap_err();
            assert!(matches!(error, ProjectError::Outside { .. }), "{path}: {error}");
        }
        assert!(matches!(project.list(None, &under("out-folder")).await, Err(ProjectError::Outside { .. })));
        assert!(matches!(project.read(None, "dangling.md").await, Err(ProjectError::Missing { .. })));
        for path in ["out.md", "out-folder", "sub/out.md", "dangling.md"] {
            assert_eq!(project.exists(None, path).await, Ok(Some(Kind::Link)), "{path}");
        }
        assert_eq!(project.exists(None, "in.md").await, Ok(Some(Kind::File)));
        assert!(matches!(project.exists(None, "out-folder/secret.md").await, Err(ProjectError::Outside { .. })));
        let listing = project.list(None, &Query::default()).await.unwrap();
        let entries: Vec<(&str, Kind)> =
            listing.entries.iter().map(|entry| (entry.path.as_str(), entry.kind)).collect();
        assert_eq!(entries, [("in.md", Kind::Link), ("real/a.md", Kind::File)]);
        let skipped: Vec<&str> = listing.skipped.iter().map(|skipped| skipped.path.as_str()).collect();
        assert_eq!(skipped, ["dangling.md", "out-absolute.md", "out-folder", "out.md", "sub/out.md"]);
    }

    #[tokio::test]
    async fn links_in_a_circle_are_harmless() {
        let ground = Ground::new(&[("a.md", "")]);
        ground.link("loop", "loop");
        ground.link("one", "two");
        ground.link("two", "one");
        ground.link("sub/up", "..");
        ground.link("here", ".");
        let project = ground.open();
        assert_eq!(paths(&project, &Query::default()).await, ["a.md"]);
        for path in ["loop", "one", "loop/x"] {
            assert!(project.read(None, path).await.is_err(), "{path}");
        }
        assert_eq!(project.exists(None, "loop").await, Ok(Some(Kind::Link)));
        assert_eq!(text(&project, "sub/up/here/sub/up/a.md").await, "");
    }

    #[tokio::test]
    async fn a_link_into_gits_own_folder_is_refused() {
        let ground = Ground::new(&[(".git/config", "secret")]);
        ground.link("config", ".git/config");
        ground.link("git", ".git");
        let project = ground.open();
        for path in ["config", "git/config"] {
            assert!(matches!(project.read(None, path).await, Err(ProjectError::Git { .. })), "{path}");
            assert!(matches!(project.exists(None, path).await, Err(ProjectError::Git { .. })), "{path}");
        }
        assert!(matches!(project.list(None, &under("git")).await, Err(ProjectError::Git { .. })));
        assert!(paths(&project, &Query::default()).await.is_empty());
    }

    #[tokio::test]
    async fn a_file_that_became_a_link_after_the_listing_does_not_lead_out() {
        let ground = Ground::new(&[("sub/a.md", "inside")]);
        std::fs::create_dir(ground.top.join("out")).unwrap();
        std::fs::write(ground.top.join("out/a.md"), "secret").unwrap();
        let project = ground.open();
        assert_eq!(paths(&project, &Query::default()).await, ["sub/a.md"]);
        std::fs::remove_dir_all(ground.root().join("sub")).unwrap();
        ground.link("sub", ground.top.join("out"));
        assert!(matches!(project.read(None, "sub/a.md").await, Err(ProjectError::Outside { .. })));
        assert!(project.list(None, &under("sub")).await.is_err());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_link_that_is_swapped_all_the_time_never_shows_what_is_outside() {
        let ground = Ground::new(&[("in/a.md", "inside")]);
        std::fs::create_dir(ground.top.join("out")).unwrap();
        std::fs::write(ground.top.join("out/a.md"), "secret").unwrap();
        ground.link("turn", "in");
        let (root, out) = (ground.root(), ground.top.join("out"));
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let turner = std::thread::spawn(move || {
            let mut turns = 0_u32;
            while !told.load(Ordering::Relaxed) {
                let target = if turns.is_multiple_of(2) { out.as_path() } else { Path::new("in") };
                std::os::unix::fs::symlink(target, root.join("next")).unwrap();
                std::fs::rename(root.join("next"), root.join("turn")).unwrap();
                turns += 1;
            }
            turns
        });
        for _ in 0..300 {
            // A new project each time: nothing is remembered. How often it succeeds is up to the scheduler.
            if let Ok(content) = ground.open().read(None, "turn/a.md").await {
                assert_eq!(&content[..], b"inside");
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(turner.join().unwrap() > 0, "it was turned");
        for (target, is_inside) in [(Path::new("in"), true), (Path::new("../out"), false)] {
            std::fs::remove_file(ground.root().join("turn")).unwrap();
            ground.link("turn", target);
            assert_eq!(ground.open().read(None, "turn/a.md").await.is_ok(), is_inside, "at rest");
        }
    }

    #[tokio::test]
    async fn pipes_and_sockets_are_refused_without_waiting() {
        let ground = Ground::new(&[]);
        let pipe = ground.root().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let _socket = std::os::unix::net::UnixListener::bind(ground.root().join("socket")).unwrap();
        let project = Project::open(&ground.root(), Vec::new(), Limits::default()).unwrap();
        for path in ["pipe", "socket"] {
            let error = project.read(None, path).await.unwrap_err();
            assert_eq!(error.to_string(), format!("{path} is neither a file nor a folder, not a file"));
            assert_eq!(project.exists(None, path).await, Ok(Some(Kind::Other)));
        }
        let listing = project.list(None, &Query::default()).await.unwrap();
        assert_eq!((listing.entries.len(), listing.skipped_count), (0, 2));
        assert!(matches!(project.list(None, &under("pipe")).await, Err(ProjectError::NotAFolder { .. })));
        let typed = resolve_typed_path(&ground.root(), &ground.root().join("x"), "pipe");
        assert!(typed.is_err());
    }

    #[tokio::test]
    async fn devices_are_not_read() {
        let ground = Ground::new(&[]);
        let mounts = vec![Mount { name: "/dev".to_owned(), host: "/dev".into() }];
        let project = Project::open(&ground.root(), mounts, Limits::default()).unwrap();
        for path in ["/dev/zero", "/dev/null"] {
            assert!(matches!(project.read(None, path).await, Err(ProjectError::NotAFile { .. })), "{path}");
        }
    }

    #[tokio::test]
    async fn names_that_are_not_utf8_are_left_out_and_counted() {
        let ground = Ground::new(&[("a.md", "")]);
        let name = std::ffi::OsStr::from_bytes(b"bad-\xff.md");
        if let Err(error) = std::fs::write(ground.root().join(name), "") {
            println!("NOT TESTED: names that are not UTF-8: this file system refuses them: {error}");
            return;
        }
        let listing = ground.open().list(None, &Query::default()).await.unwrap();
        assert_eq!(listing.entries.len(), 1);
        let skipped = Skipped { path: "bad-\u{fffd}.md".to_owned(), why: SkipReason::NameNotUtf8 };
        assert_eq!((listing.skipped.as_slice(), listing.skipped_count), (&[skipped][..], 1));
    }

    #[tokio::test]
    async fn what_may_not_be_read_is_said() {
        let ground = Ground::new(&[("a.md", "x"), ("closed/b.md", "x"), ("open.md", "x")]);
        if !permissions_count(&ground, "what_may_not_be_read_is_said") {
            return;
        }
        for path in ["a.md", "closed"] {
            std::fs::set_permissions(ground.root().join(path), std::fs::Permissions::from_mode(0o000)).unwrap();
        }
        let project = ground.open();
        assert!(matches!(project.read(None, "a.md").await, Err(ProjectError::Denied { .. })));
        assert!(matches!(project.stat(None, "closed/b.md").await, Err(ProjectError::Denied { .. })));
        assert!(matches!(project.list(None, &under("closed")).await, Err(ProjectError::Denied { .. })));
        let listing = project.list(None, &Query::default()).await.unwrap();
        assert_eq!(listing.skipped, [Skipped { path: "closed".to_owned(), why: SkipReason::Denied }]);
        let search = SearchQuery { regex: "x".to_owned(), limit: 9, ..SearchQuery::default() };
        let findings = project.search(None, &search).await.unwrap();
        assert_eq!((findings.matches.len(), findings.skipped_count), (1, 1));
        std::fs::set_permissions(ground.root().join("closed"), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[tokio::test]
    async fn a_gitignore_that_is_a_link_or_a_folder_is_none() {
        let ground = Ground::new(&[("rules", "*.md\n"), ("a.md", ""), ("sub/.gitignore/x.md", ""), ("sub/b.md", "")]);
        ground.link(".gitignore", "rules");
        assert_eq!(paths(&ground.open(), &globs(&["*.md"], &[])).await, ["a.md", "sub/b.md"]);
    }
}
