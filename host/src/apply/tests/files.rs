//! What becomes of a file that is edited.

use super::*;

#[tokio::test]
async fn files_are_made_changed_and_removed_all_together() {
    let world = World::new().await;
    world.write("a.md", "one two three");
    world.write("old/gone.md", "gone");
    let wishes = vec![
        replace("a.md", "one two three", 4..7, "2"),
        create("new/deep/er.md", "new\n"),
        delete("old/gone.md", "gone"),
    ];
    let applied = world.apply(wishes).await.unwrap();
    assert_eq!(applied.files, 3);
    assert_eq!(world.read("a.md"), "one 2 three");
    assert_eq!(world.read("new/deep/er.md"), "new\n");
    let names: Vec<String> = world.all().into_keys().collect();
    assert_eq!(names, ["a.md", "new/", "new/deep/", "new/deep/er.md", "old/"], "and nothing is left beside them");
}

#[tokio::test]
async fn line_ends_marks_and_modes_stay_as_they_are() {
    let world = World::new().await;
    let crlf = "a\r\nb\r\nc";
    let marked = "\u{feff}text";
    world.write("crlf.txt", crlf);
    world.write("bom.txt", marked);
    world.write("run.sh", "#!/bin/sh\nold\n");
    world.set_mode("run.sh", 0o751);
    world.write("mine.key", "old");
    world.set_mode("mine.key", 0o600);
    let wishes = vec![
        replace("crlf.txt", crlf, 3..4, "B"),
        replace("bom.txt", marked, 3..7, "TEXT"),
        replace("run.sh", "#!/bin/sh\nold\n", 10..13, "new"),
        replace("mine.key", "old", 0..3, "new"),
    ];
    world.apply(wishes).await.unwrap();
    assert_eq!(world.read("crlf.txt"), "a\r\nB\r\nc", "no line end comes or goes");
    assert_eq!(world.read("bom.txt"), "\u{feff}TEXT");
    assert_eq!((world.read("run.sh").as_str(), world.mode("run.sh")), ("#!/bin/sh\nnew\n", 0o751));
    assert_eq!(world.mode("mine.key"), 0o600);
}

#[tokio::test]
async fn a_file_that_is_no_text_is_changed_by_its_bytes() {
    let world = World::new().await;
    world.write("b.bin", b"\xff\x00\xfe");
    world.apply(vec![replace("b.bin", b"\xff\x00\xfe", 1..2, "mid")]).await.unwrap();
    assert_eq!(fs::read(world.path("b.bin")).unwrap(), b"\xffmid\xfe");
}

#[tokio::test]
async fn one_file_that_changed_since_hinders_all() {
    let world = World::new().await;
    world.write("a.md", "one");
    world.write("b.md", "other");
    let wishes = || vec![create("c.md", "new"), replace("a.md", "one", 0..1, "O"), replace("b.md", "one", 0..1, "O")];
    assert_eq!(world.refused(wishes()).await, "b.md: the file has changed since it was read");
    world.write("b.md", "one");
    world.apply(wishes()).await.unwrap();
    assert_eq!(world.refused(vec![create("c.md", "new")]).await, "c.md: the file exists already");
    assert!(world.refused(vec![delete("gone.md", "x")]).await.contains("not there"));
}

#[tokio::test]
async fn a_file_that_changes_at_the_last_moment_is_kept_and_the_others_are_put_back() {
    let world = World::new().await;
    for name in ["a.md", "b.md"] {
        world.write(name, "one");
    }
    world.set_mode("a.md", 0o640);
    let (b, before) = (world.path("b.md"), world.all());
    let steps = At::new(5, |step| {
        assert_eq!(step, Step::Placed(0));
        fs::write(&b, "theirs")
    });
    let wishes = ["a.md", "b.md"].map(|name| replace(name, "one", 0..3, "ours")).to_vec();
    let error = carry_out(&world.place, world.request(wishes), &steps).await.unwrap_err();
    assert!(matches!(&error, ApplyError::Undone { path, .. } if path == "b.md"), "{error}");
    assert_eq!(world.read("b.md"), "theirs");
    world.write("b.md", "one");
    assert_eq!(world.all(), before);
    assert_eq!(recover(&world.place).await, [""; 0], "nothing is left to do");
}

#[tokio::test]
async fn a_failure_at_any_step_leaves_all_as_it_was_or_all_done() {
    let mut failed = 0;
    for at in 0.. {
        let world = World::new().await;
        world.write("a.md", "one");
        world.write("b.md", "two");
        let before = world.all();
        let wishes = vec![replace("a.md", "one", 0..3, "1"), delete("b.md", "two"), create("x/y/c.md", "new")];
        let steps = At::new(at, |_| Err(io::Error::from(io::ErrorKind::StorageFull)));
        match carry_out(&world.place, world.request(wishes), &steps).await {
            Err(error) => {
                assert!(error.to_string().contains("no storage space"), "{error}");
                assert_eq!(world.all(), before, "step {at}");
                failed += 1;
            }
            Ok(_) if steps.count() > at => assert_eq!(world.read("a.md"), "1", "the last step of all comes too late"),
            Ok(_) => break,
        }
        assert_eq!(recover(&world.place).await, [""; 0], "step {at}");
    }
    assert_eq!(failed, 12, "checked, prepared, 2 folders, 3 written, committing, 3 placed, synced");
}

#[tokio::test]
async fn what_is_so_already_is_not_touched() {
    let world = World::new().await;
    world.write("a.md", "one");
    let applied = world.apply(vec![replace("a.md", "one", 0..3, "one")]).await.unwrap();
    assert_eq!(applied.files, 0);
    assert_eq!(world.place.journal.applies_of(&world.run).await.unwrap(), []);
}

#[tokio::test]
async fn more_than_can_be_kept_for_the_way_back_is_refused() {
    let world = World::new().await;
    let large = "x".repeat(15 << 20);
    for number in 0..3 {
        world.write(&format!("{number}.txt"), &large);
    }
    let wishes = (0..3).map(|number| replace(&format!("{number}.txt"), &large, 0..1, "y")).collect();
    let error = world.apply(wishes).await.unwrap_err();
    assert_eq!(error.to_string(), "the edits and the way back have 90 MB, and at most 64 MB are kept for one run");
    assert_eq!(world.read("0.txt"), large);
}
