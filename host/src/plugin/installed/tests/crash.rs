//! A process that is killed between any two steps: afterwards there is the old or the new, and it works.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use convoke_runtime::event::Events;

use super::*;
use crate::plugin::project::{Limits, Project};
use crate::plugin::sandbox::{Caps, Invocation, Sandbox};

/// Names the step, the deed, the version and the folder for the process that is killed.
const WHERE: &str = "CONVOKE_TEST_INSTALL_CRASH";

/// Kills this process at a step, as `kill -9` does.
struct DiesAt(Cell<usize>);

impl Steps<Step> for DiesAt {
    fn passed(&self, _: Step) -> io::Result<()> {
        match self.0.get().checked_sub(1) {
            Some(left) => self.0.set(left),
            None => {
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
                unreachable!("nobody survives that");
            }
        }
        Ok(())
    }
}

/// Not a test by itself: the process that [`dies`] is killed in it, at the step that it is told.
#[test]
fn child() {
    let Ok(told) = std::env::var(WHERE) else { return };
    let words: Vec<&str> = told.splitn(4, ' ').collect();
    let [at, deed, version, folder] = words[..] else { panic!("{told}") };
    let world = World::at(Path::new(folder));
    let steps = DiesAt(Cell::new(at.parse().unwrap()));
    if deed == "uninstall" {
        match uninstall(&world.plugins, "one", drop, &steps) {
            // The one before was killed when that was done.
            Ok(_) | Err(InstallError::NotInstalled { .. }) => return,
            Err(error) => panic!("{error}"),
        }
    }
    let looked = world.look("one", version, &steps).unwrap();
    let purpose = match deed {
        "user" => Purpose::User { shadow: false, downgrade: true, update: false },
        _ => Purpose::Project { folder: world.project(), lockfile: locked("one", &looked) },
    };
    world.install_as(&[looked], &purpose, &Yes, &steps).unwrap();
}

/// Has another process do it, and be killed at a step. Returns whether it came to that step.
fn dies(world: &World, deed: &str, version: &str, at: usize) -> bool {
    let told = format!("{at} {deed} {version} {}", world.folder.display());
    let mut child = Command::new(std::env::current_exe().unwrap());
    let child = child.args(["--exact", "plugin::installed::tests::crash::child", "--test-threads=1"]).env(WHERE, told);
    let ended = child.output().unwrap();
    let output = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    assert!(output.contains("running 1 test"), "{output}");
    assert!(ended.status.success() || ended.status.code().is_none(), "{output}");
    !ended.status.success()
}

/// The component loads, and makes a plan.
async fn works(world: &World, digest: &str) {
    let bytes = world.plugins.component("one", digest).unwrap();
    let cache = world.folder.join("cache");
    let engine = Arc::new(Engine::new(64 << 20).unwrap());
    let plugin = engine.load("one", digest, &bytes, Some(&cache)).unwrap();
    let project = Project::open(&world.project(), Vec::new(), Limits::default()).unwrap();
    let sandbox = Sandbox {
        outside: Arc::default(),
        engine,
        plugin,
        project,
        call: Invocation { arguments: r#"{"items":3,"groups":1,"context":0}"#.to_owned(), ..Invocation::default() },
        caps: Caps { memory: 64 << 20, fuel: 10_000_000_000, own_time: Duration::from_secs(60) },
        events: Events::new(),
        fixed: None,
    };
    let planned = sandbox.plan(sandbox.log()).await.unwrap();
    assert_eq!(planned.items.len(), 3);
}

/// What the project's lockfile names: its digest.
fn locked_digest(world: &World) -> Option<String> {
    let lockfile = Lockfile::read(&world.project()).unwrap()?;
    lockfile.plugins.get("one").map(|locked| locked.digest.clone())
}

#[tokio::test]
async fn of_100_kills_each_leaves_the_old_or_the_new_and_it_works() {
    let world = World::new();
    let versions = ["0.1.0", "0.2.0"];
    let (mut kills, mut round) = (0, 0);
    while kills < 100 {
        let (before, now) = (versions[round % 2], versions[(round + 1) % 2]);
        for deed in ["user", "project", "uninstall"] {
            for at in 0.. {
                let old = (world.version("one"), locked_digest(&world));
                let died = dies(&world, deed, now, at);
                kills += usize::from(died);
                let new = (world.version("one"), locked_digest(&world));
                let expected = match deed {
                    "user" => (Some(now.to_owned()), old.1.clone()),
                    "project" => (old.0.clone(), Some(world.look("one", now, &Undisturbed).unwrap().change.digest)),
                    _ => (None, old.1.clone()),
                };
                assert!(new == old || new == expected, "{deed} {before} {now} step {at}: {old:?} {new:?}");
                assert!(died || new == expected, "{deed} {before} {now}: it was done");
                if let Some(digest) = &new.1 {
                    works(&world, digest).await;
                }
                if let Some(digest) = world.plugins.read().unwrap().command("one").map(|now| now.digest.to_owned()) {
                    works(&world, &digest).await;
                }
                if !died {
                    break;
                }
            }
        }
        round += 1;
    }
    world.install("two", "0.1.0").unwrap();
    let digests = world.plugins.read().unwrap().digests().count();
    assert_eq!(world.files().len(), 1 + digests, "what was left lying is gone: {:?}", world.files());
}
