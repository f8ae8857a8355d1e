//! The policy of a run, and how it is swapped while it runs.
//!
//! Four times a second it is looked whether the choice or the policy's file has changed: its length, times and number,
//! then its content. What changed is loaded beside the run and put in force between two decisions. What does not load is
//! refused, once a change, and the policy in force stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use convoke_runtime::event::{Events, Fact};
use convoke_runtime::policy::{BUILT_IN, Mode, Profile, Slot};
use tokio::task::JoinHandle;

use super::load::{self, LoadError, Loaded, load};
use super::named::{Policies, Selected};
use crate::config::{By, PolicyChoice};
use crate::plugin::sha256_hex;

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(250);

/// A file that is younger may change again without its times showing it.
const YOUNG: Duration = Duration::from_secs(2);

/// The policy of a run, from its files to the slot.
pub struct InUse {
    /// Where it is in force.
    pub slot: Arc<Slot>,
    first: Option<(Loaded, String)>,
    look: Look,
    events: Events,
}

/// Looks for changes as long as it lives.
#[derive(Debug)]
pub struct Watching(JoinHandle<()>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl InUse {
    /// Loads the policy that is chosen, for a run in that mode.
    ///
    /// # Errors
    /// It is not there, or does not load.
    pub fn prepare(policies: Policies, choice: PolicyChoice, mode: Mode, events: Events) -> Result<Self, LoadError> {
        let slot = Arc::new(Slot::new(Profile::of(mode), events.clone()));
        let selected = policies.select(&choice)?;
        let mut look = Look { policies, choice, mode, seen: Seen::default(), unsettled: None };
        let first = match &selected.path {
            Some(path) => Some((load(path, mode, &look.policies.place)?, why(&selected, true))),
            None => None,
        };
        look.seen = look.now();
        Ok(Self { slot, first, look, events })
    }

    /// The numbers that a run begins with.
    pub fn profile(&self) -> Profile {
        let first = self.first.as_ref().and_then(|(loaded, _)| loaded.profile.clone());
        first.unwrap_or_else(|| (*self.slot.in_force().profile).clone())
    }

    /// What is said of it before a run, in a line; none: it is the built-in one.
    pub fn said(&self) -> Option<String> {
        self.first.as_ref().map(|(loaded, why)| format!("policy {}: {why}", loaded.name))
    }

    /// Puts it in force, and looks for changes from now on.
    pub async fn start(self) -> Watching {
        let Self { slot, first, look, events } = self;
        if let Some((Loaded { name, profile, foreign }, why)) = first {
            slot.swap(&name, profile, foreign, &why).await;
        }
        Watching(tokio::spawn(watch(slot, look, events)))
    }
}

async fn watch(slot: Arc<Slot>, mut look: Look, events: Events) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        // Files and compilers block.
        let looked = tokio::task::spawn_blocking(move || {
            let change = look.look();
            (look, change)
        });
        let Ok((same, change)) = looked.await else { return };
        look = same;
        match change {
            None => {}
            Some(Ok((Loaded { name, profile, foreign }, why))) => {
                slot.swap(&name, profile, foreign, &why).await;
            }
            Some(Err(error)) => {
                let in_force = slot.in_force().name.clone();
                let message = format!("the changed policy is refused, and {in_force} stays in force: {error}");
                events.tell(Fact::Warned { message }).await;
            }
        }
    }
}

/// What is looked at, and how it was.
struct Look {
    policies: Policies,
    choice: PolicyChoice,
    mode: Mode,
    /// As it was when it was last loaded or refused.
    seen: Seen,
    /// What has changed and may not be whole yet.
    unsettled: Option<Seen>,
}

/// How the files are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    choice: Option<Stamp>,
    selected: Option<Selected>,
    file: Option<Stamp>,
    digest: Option<String>,
}

/// What changes when a file does.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    changed: Option<SystemTime>,
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { length: metadata.len(), changed: metadata.modified().ok(), inode })
    }

    fn is_young(&self) -> bool {
        let age = self.changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
        age.is_none_or(|age| age < YOUNG)
    }
}

impl Look {
    /// How it is now; the content is only read where it may have changed.
    fn now(&self) -> Seen {
        let choice = match self.choice.chosen {
            // What is typed for a run is not changed by a choice.
            Some(_) => None,
            None => Stamp::of(&self.policies.choice_file()),
        };
        // Where it can't be told what is chosen, loading says why.
        let selected = self.policies.select(&self.choice).ok();
        let path = selected.as_ref().and_then(|selected| selected.path.clone());
        let file = path.as_deref().and_then(Stamp::of);
        let is_as_seen = self.seen.selected == selected && self.seen.file == file;
        let digest = match (&path, &file) {
            (Some(_), Some(stamp)) if is_as_seen && !stamp.is_young() => self.seen.digest.clone(),
            (Some(path), Some(_)) => load::read(path).ok().map(|bytes| sha256_hex(&bytes)),
            _ => None,
        };
        Seen { choice, selected, file, digest }
    }

    /// What changed, loaded, and why it is put in force; or why it is refused.
    fn look(&mut self) -> Option<Result<(Loaded, String), LoadError>> {
        let now = self.now();
        // The same content, or the same choice written again, is no change.
        if now.selected == self.seen.selected && now.digest == self.seen.digest && self.is_clear(&now) {
            self.seen = now;
            self.unsettled = None;
            return None;
        }
        // A file that is being written is read when it has stayed the same for a while.
        if self.unsettled.as_ref() != Some(&now) {
            self.unsettled = Some(now);
            return None;
        }
        let is_chosen_anew =
            now.selected.as_ref().map(|one| &one.path) != self.seen.selected.as_ref().map(|one| &one.path);
        self.seen = now;
        self.unsettled = None;
        Some(self.load(is_chosen_anew))
    }

    /// Whether it is known what is chosen, or is as unknown as before.
    fn is_clear(&self, now: &Seen) -> bool {
        let is_there =
            |seen: &Seen| seen.selected.as_ref().is_some_and(|one| one.path.is_none() || seen.file.is_some());
        is_there(now) || (is_there(now) == is_there(&self.seen) && now.choice == self.seen.choice)
    }

    fn load(&self, is_chosen_anew: bool) -> Result<(Loaded, String), LoadError> {
        let selected = self.policies.select(&self.choice)?;
        let why = why(&selected, is_chosen_anew);
        let loaded = match &selected.path {
            Some(path) => load(path, self.mode, &self.policies.place)?,
            None => Loaded { name: BUILT_IN.to_owned(), profile: None, foreign: None },
        };
        Ok((loaded, why))
    }
}

fn why(selected: &Selected, is_chosen_anew: bool) -> String {
    let path = selected.path.as_ref().map_or_else(PathBuf::new, PathBuf::clone);
    match (is_chosen_anew, selected.by) {
        (true, By::Nobody) => "no other is chosen".to_owned(),
        (true, by) => format!("chosen by {}", by.name()),
        (false, _) => format!("{} has changed", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::Place;
    use super::*;
    use crate::audit::Audit;

    struct Desk {
        _folder: tempfile::TempDir,
        look: Look,
    }

    impl Desk {
        fn new(chosen: Option<&str>) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let own = folder.path().join("policies");
            fs::create_dir_all(&own).unwrap();
            let policies = Policies {
                place: Place { own, project: None, kept: folder.path().join("kept"), audit: Audit::off() },
                folder: folder.path().to_owned(),
            };
            let choice =
                PolicyChoice { chosen: chosen.map(|wish| (wish.to_owned(), By::Option)), ..PolicyChoice::default() };
            let mut look = Look { policies, choice, mode: Mode::Balanced, seen: Seen::default(), unsettled: None };
            look.seen = look.now();
            Self { _folder: folder, look }
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.look.policies.place.own.join(name), text).unwrap();
        }

        /// What two looks give: `name rate`, or the refusal.
        fn looks(&mut self) -> Vec<String> {
            let shown = |change: Result<(Loaded, String), LoadError>| match change {
                Ok((Loaded { name, profile, .. }, why)) => {
                    format!("{name} {:?} {why}", profile.and_then(|profile| profile.admit.per_minute).unwrap_or(0))
                }
                Err(error) => format!("refused {error}"),
            };
            (0..4).filter_map(|_| self.look.look()).map(shown).collect()
        }
    }

    fn rate(number: u32) -> String {
        format!("[admit]\nper_minute = {number}\n")
    }

    #[test]
    fn a_choice_a_change_and_the_way_back_are_each_seen_once() {
        let mut desk = Desk::new(None);
        assert_eq!(desk.looks(), [""; 0]);
        desk.write("slow.toml", &rate(6));
        assert_eq!(desk.looks(), [""; 0], "it is not chosen");
        desk.look.policies.choose(Some("slow")).unwrap();
        assert_eq!(desk.looks(), ["slow 6 chosen by convoke policy use"]);
        desk.write("slow.toml", &rate(7));
        let changed = desk.looks();
        assert!(
            changed.len() == 1 && changed[0].starts_with("slow 7") && changed[0].ends_with("has changed"),
            "{changed:?}"
        );
        desk.write("slow.toml", &rate(7));
        desk.look.policies.choose(Some("slow")).unwrap();
        assert_eq!(desk.looks(), [""; 0], "the same again is no change");
        desk.look.policies.choose(Some("built-in")).unwrap();
        assert_eq!(desk.looks(), ["built-in 0 chosen by convoke policy use"]);
    }

    #[test]
    fn what_does_not_load_is_refused_once_and_what_loads_again_is_taken() {
        let mut desk = Desk::new(None);
        desk.write("slow.toml", &rate(6));
        desk.look.policies.choose(Some("slow")).unwrap();
        desk.looks();
        desk.write("slow.toml", &rate(0));
        let refused = desk.looks();
        assert!(refused.len() == 1 && refused[0].contains("admit.per_minute"), "{refused:?}");
        assert_eq!(desk.looks(), [""; 0], "it is said once");
        desk.write("slow.toml", &rate(8));
        assert_eq!(desk.looks().len(), 1);
        fs::remove_file(desk.look.policies.place.own.join("slow.toml")).unwrap();
        let gone = desk.looks();
        assert!(gone.len() == 1 && gone[0].contains("there is no policy slow"), "{gone:?}");
        assert_eq!(desk.looks(), [""; 0]);
        desk.write("slow.toml", &rate(8));
        assert_eq!(desk.looks().len(), 1);
        fs::write(desk.look.policies.choice_file(), "use = ").unwrap();
        assert!(desk.looks()[0].starts_with("refused"));
        fs::write(desk.look.policies.choice_file(), "use = 3").unwrap();
        assert!(desk.looks()[0].starts_with("refused"), "another fault is another change");
        assert_eq!(desk.looks(), [""; 0]);
    }

    #[test]
    fn a_policy_that_was_typed_is_not_swapped_by_a_choice() {
        let mut desk = Desk::new(Some("slow"));
        desk.write("slow.toml", &rate(6));
        assert_eq!(desk.looks().len(), 1);
        desk.look.policies.choose(Some("built-in")).unwrap();
        assert_eq!(desk.looks(), [""; 0]);
        desk.write("slow.toml", &rate(9));
        assert_eq!(desk.looks().len(), 1);
    }

    #[test]
    fn a_file_that_is_being_written_is_not_read_before_it_stays_the_same() {
        let mut desk = Desk::new(Some("slow"));
        desk.write("slow.toml", &rate(6));
        desk.looks();
        desk.write("slow.toml", "[admi");
        assert!(desk.look.look().is_none());
        desk.write("slow.toml", &rate(5));
        assert!(desk.look.look().is_none());
        assert!(matches!(desk.look.look(), Some(Ok(_))));
    }
}
