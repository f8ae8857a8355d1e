//! The way back.

use super::*;

async fn edited() -> (World, BTreeMap<String, (u32, Vec<u8>)>, Applied) {
    let world = World::new().await;
    world.write("a.sh", "one two");
    world.set_mode("a.sh", 0o750);
    world.write("gone.md", "gone");
    world.set_mode("gone.md", 0o604);
    world.write("kept/b.md", "b");
    let before = world.all();
    let wishes = vec![
        replace("a.sh", "one two", 0..3, "1"),
        delete("gone.md", "gone"),
        create("new/deep/c.md", "c"),
        create("kept/d.md", "d"),
    ];
    let applied = world.apply(wishes).await.unwrap();
    assert_ne!(world.all(), before);
    (world, before, applied)
}

#[tokio::test]
async fn rolled_back_all_is_as_before_and_again_rolled_back_as_after() {
    let (world, before, applied) = edited().await;
    let after = world.all();
    let back = world.roll_back(&world.run.short()).await.unwrap();
    assert_eq!(world.all(), before, "bytes, modes, removed files and made folders");
    let said = world.roll_back(&world.run.short()).await.unwrap_err();
    assert_eq!(said, format!("the edits of run {} are rolled back already", world.run.short()));
    let again = world.roll_back(&back.id.short()).await.unwrap();
    assert_eq!(world.all(), after);
    world.roll_back(&again.id.to_string()).await.unwrap();
    assert_eq!(world.all(), before);
    world.roll_back(&back.id.to_string()).await.unwrap();
    assert_eq!(world.all(), after);
    world.roll_back(&applied.id.to_string()).await.unwrap();
    assert_eq!(world.all(), before, "what came again can go again");
}

#[tokio::test]
async fn what_was_changed_since_is_not_lost_and_hinders_all() {
    type Change = fn(&World);
    let changes: [(Change, &str); 5] = [
        (|world| world.write("a.sh", "1 two, and more"), "a.sh: it was changed since"),
        (|world| world.set_mode("a.sh", 0o700), "a.sh: its owner or permissions were changed since"),
        (|world| world.write("gone.md", "anew"), "gone.md: it was made anew since"),
        (|world| fs::remove_file(world.path("kept/d.md")).unwrap(), "kept/d.md: it was removed since"),
        (
            |world| {
                fs::remove_file(world.path("kept/d.md")).unwrap();
                std::os::unix::fs::symlink("b.md", world.path("kept/d.md")).unwrap();
            },
            "kept/d.md: it is a link, and edits go through none",
        ),
    ];
    for (change, said) in changes {
        let (world, _, _) = edited().await;
        change(&world);
        let now = world.all();
        assert_eq!(world.roll_back(&world.run.to_string()).await.unwrap_err(), said);
        assert_eq!(world.all(), now);
    }
}

#[tokio::test]
async fn what_has_changed_since_is_shown() {
    let (world, _, _) = edited().await;
    world.write("a.sh", "1 three");
    let (_, request) = back(&world.place.journal, Which::Named(&world.run.short())).await.unwrap();
    let Err(ApplyError::Hindered(problems)) = crate::apply::look(&world.place, &request) else { panic!("it goes") };
    let [(_, Problem::Changed(_, Some(diff)))] = problems.as_slice() else { panic!("{problems:?}") };
    assert!(diff.contains("-1 two") && diff.contains("+1 three"), "{diff}");
}

#[tokio::test]
async fn a_folder_that_was_made_and_holds_something_else_by_now_stays() {
    let (world, _, _) = edited().await;
    world.write("new/theirs.md", "theirs");
    world.roll_back(&world.run.short()).await.unwrap();
    assert_eq!(world.read("new/theirs.md"), "theirs");
    assert!(!world.path("new/deep").exists());
}

#[tokio::test]
async fn the_last_is_the_newest_that_still_stands() {
    let world = World::new().await;
    let last = async || back(&world.place.journal, Which::Last(&world.root())).await;
    assert!(matches!(last().await, Err(BackError::NothingHere { .. })));
    let one = world.apply(vec![create("1.md", "1")]).await.unwrap();
    let two = world.apply(vec![create("2.md", "2")]).await.unwrap();
    for expected in [two.id, one.id] {
        let (row, request) = last().await.unwrap();
        assert_eq!(row.id, expected);
        carry_out(&world.place, request, &Undisturbed).await.unwrap();
    }
    assert!(matches!(last().await, Err(BackError::NothingHere { .. })));
    assert_eq!(world.all(), BTreeMap::new());
}

#[tokio::test]
async fn what_cannot_be_taken_back_says_why() {
    let world = World::new().await;
    let said = async |name: &str| world.roll_back(name).await.unwrap_err();
    let run = world.run.short();
    assert_eq!(said(&run).await, format!("no edits of run {run} were carried out"));
    assert_eq!(said("0123456789ab").await, "the journal knows no run 0123456789ab");
    assert_eq!(said("no-run").await, "the journal knows no run no-run");
    world.apply(vec![create("1.md", "1")]).await.unwrap();
    fs::rename(world.root(), world.outside("moved")).unwrap();
    assert!(said(&run).await.ends_with("is not there any more: it was moved or deleted"));
}
