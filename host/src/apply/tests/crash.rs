//! A process that ends between any two steps: after the next start all edits are carried out, or none.

use std::process::Command;

use super::*;

/// Names the folder and the step for the process that ends.
const WHERE: &str = "CONVOKE_TEST_CRASH";

/// How many files are edited at once: changed, removed, made, and made in new folders, in turns.
const EDITS: usize = 40;

fn wishes() -> Vec<Wish> {
    let wish = |number: usize| match number % 4 {
        0 => replace(&format!("change/{number}.md"), format!("old {number}"), 0..3, "new"),
        1 => delete(&format!("remove/{number}.md"), format!("old {number}")),
        2 => create(&format!("change/made-{number}.md"), "made"),
        _ => create(&format!("made/{}/{number}.md", number / 8), "made"),
    };
    (0..EDITS).map(wish).collect()
}

fn fill(world: &World) {
    for number in 0..EDITS {
        match number % 4 {
            0 => world.write(&format!("change/{number}.md"), format!("old {number}")),
            1 => world.write(&format!("remove/{number}.md"), format!("old {number}")),
            _ => {}
        }
    }
    world.set_mode("change/0.md", 0o755);
}

/// Not a test by itself: the process that [`dies`] ends in it, at the step that it is told.
#[tokio::test]
async fn child() {
    let Ok(told) = std::env::var(WHERE) else { return };
    let mut told = told.splitn(3, ' ');
    let mut next = || told.next().unwrap().to_owned();
    let (at, what, folder) = (next().parse().unwrap(), next(), PathBuf::from(next()));
    let place = place(&folder, Journal::open(&folder.join("data/journal.db")).unwrap());
    let steps = At::new(at, |_| std::process::abort());
    let request = match what.as_str() {
        "back" => back(&place.journal, Which::Last(&folder.join("project"))).await.unwrap().1,
        run => request(&folder.join("project"), run.parse().unwrap(), wishes()),
    };
    carry_out(&place, request, &steps).await.unwrap();
}

/// Has another process carry out, and end itself at a step. Returns whether it came to that step.
fn dies(world: &World, what: &str, at: usize) -> bool {
    let told = format!("{at} {what} {}", world.folder.path().display());
    let mut child = Command::new(std::env::current_exe().unwrap());
    let child = child.args(["--exact", "apply::tests::crash::child", "--test-threads=1"]).env(WHERE, told);
    let ended = child.output().unwrap();
    let output = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    assert!(output.contains("running 1 test"), "{output}");
    assert!(ended.status.success() || ended.status.code().is_none(), "{output}");
    !ended.status.success()
}

/// What the next start says; a second one finds nothing.
async fn mended(world: &World) -> String {
    let lines = recover(&world.place).await;
    assert_eq!(recover(&world.place).await, [""; 0]);
    lines.join("\n")
}

/// The project with all edits carried out.
async fn carried_out() -> BTreeMap<String, (u32, Vec<u8>)> {
    let world = World::new().await;
    fill(&world);
    world.apply(wishes()).await.unwrap();
    world.all()
}

#[tokio::test]
async fn of_40_edits_all_or_none_are_carried_out_wherever_the_process_ends() {
    let after = carried_out().await;
    let mut ends = Vec::new();
    for at in 0.. {
        let world = World::new().await;
        fill(&world);
        let before = world.all();
        let died = dies(&world, &world.run.to_string(), at);
        let said = mended(&world).await;
        let now = world.all();
        assert!(now == before || now == after, "step {at}: {said}: {:?}", now.keys());
        ends.push(now == after);
        if !died {
            break;
        }
    }
    let first = ends.iter().position(|all| *all).unwrap();
    assert!(ends[first..].iter().all(|all| *all), "before it begins none, from then on all: {ends:?}");
    // Checked, prepared, 15 folders, 40 written; begun; 40 placed; on the disk; noted; and once without an end.
    let folders = after.keys().filter(|name| name.starts_with("made/") && name.ends_with('/')).count();
    assert_eq!(ends.len(), 2 + folders + EDITS + 1 + EDITS + 2 + 1);
    assert_eq!(first, 2 + folders + EDITS);
}

#[tokio::test]
async fn a_rollback_that_is_cut_off_is_none_or_whole_too() {
    let after = carried_out().await;
    for at in (0..100).step_by(7) {
        let world = World::new().await;
        fill(&world);
        let before = world.all();
        world.apply(wishes()).await.unwrap();
        dies(&world, "back", at);
        let said = mended(&world).await;
        let now = world.all();
        assert!(now == before || now == after, "step {at}: {said}: {:?}", now.keys());
    }
}

/// The number of the step at which so many files have their new content.
fn placed(count: usize) -> usize {
    let folders = 1 + EDITS / 8;
    2 + folders + EDITS + count
}

#[tokio::test]
async fn what_somebody_changed_after_the_crash_is_left_and_said() {
    let world = World::new().await;
    fill(&world);
    assert!(dies(&world, &world.run.to_string(), placed(3)));
    world.write("change/20.md", "theirs");
    world.write("change/0.md", "theirs too");
    let said = mended(&world).await;
    assert!(said.contains("38 files finished now; left as found:"), "{said}");
    assert!(said.contains("change/20.md (it was changed since)"), "{said}");
    assert_eq!((world.read("change/20.md"), world.read("change/0.md")), ("theirs".into(), "theirs too".into()));
    assert_eq!(world.read("change/24.md"), "new 24");
    let beside = world.all().into_keys().filter(|name| name.contains(".tmp")).count();
    assert_eq!(beside, 0);
    let back = world.roll_back(&world.run.short()).await.unwrap();
    assert_eq!(back.files, 38, "what was left is no edit of theirs");
    assert_eq!((world.read("change/20.md"), world.read("change/24.md")), ("theirs".into(), "old 24".into()));
}

#[tokio::test]
async fn a_folder_that_has_become_a_link_after_the_crash_is_left_alone() {
    for at in [placed(0) - 2, placed(3)] {
        let world = World::new().await;
        fill(&world);
        fs::create_dir(world.outside("elsewhere")).unwrap();
        assert!(dies(&world, &world.run.to_string(), at));
        fs::rename(world.path("change"), world.path("away")).unwrap();
        std::os::unix::fs::symlink(world.outside("elsewhere"), world.path("change")).unwrap();
        let said = mended(&world).await;
        let changed = at == placed(3);
        assert_eq!(said.contains("change is a link, and edits go through none"), changed, "{said}");
        assert_eq!(world.path("remove/1.md").exists(), !changed);
        assert_eq!(fs::read_dir(world.outside("elsewhere")).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn what_was_written_beside_and_tidied_away_is_written_again() {
    let after = carried_out().await;
    let world = World::new().await;
    fill(&world);
    assert!(dies(&world, &world.run.to_string(), placed(1)));
    for name in world.all().into_keys().filter(|name| name.contains(".tmp")) {
        fs::remove_file(world.path(&name)).unwrap();
    }
    assert!(mended(&world).await.contains("they are finished now, 40 files"));
    assert_eq!(world.all(), after);
}

#[tokio::test]
async fn while_another_process_carries_out_nothing_is_mended() {
    let world = World::new().await;
    fill(&world);
    assert!(dies(&world, &world.run.to_string(), placed(1)));
    let held = fs::File::open(&world.place.lock).unwrap();
    held.lock().unwrap();
    let now = world.all();
    assert_eq!(recover(&world.place).await, [""; 0]);
    assert_eq!(world.all(), now);
    drop(held);
    assert!(mended(&world).await.contains("finished now"));
}

#[tokio::test]
async fn where_the_project_went_away_it_is_said_once_and_can_be_taken_back_later() {
    let world = World::new().await;
    fill(&world);
    let before = world.all();
    assert!(dies(&world, &world.run.to_string(), placed(5)));
    fs::rename(world.root(), world.outside("moved")).unwrap();
    assert!(mended(&world).await.contains("the project's folder is not there any more"));
    fs::rename(world.outside("moved"), world.root()).unwrap();
    world.roll_back(&world.run.short()).await.unwrap();
    assert_eq!(world.all(), before, "with nothing left beside");
}
