//! What becomes of actions, without any program: whatever would be started can't be.

use std::sync::Mutex;

use futures::FutureExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

struct Place {
    folder: TempDir,
    journal: Journal,
    operations: Operations,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("project")).unwrap();
        Self { folder, journal: Journal::in_memory().unwrap(), operations: Operations::default() }
    }

    fn project(&self) -> std::path::PathBuf {
        self.folder.path().canonicalize().unwrap().join("project")
    }

    /// Carries them out with this answer to each question, and gives how each stands and what was asked.
    async fn carry_out(&self, actions: &mut [Action], answer: bool) -> Vec<String> {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = asked.clone();
        let mut ask = move |what: String| {
            kept.lock().unwrap().push(what);
            std::future::ready(answer).boxed()
        };
        self.run(Consent::Asked(&mut ask), actions, &Stop::default()).await;
        drop(ask);
        Arc::into_inner(asked).unwrap().into_inner().unwrap()
    }

    async fn run(&self, consent: Consent<'_>, actions: &mut [Action], stop: &Stop) {
        let project = self.project();
        let locks = self.folder.path().join("locks");
        let site = Site {
            journal: &self.journal,
            project: &project,
            run: RunId::new(),
            locks: &locks,
            operations: &self.operations,
            programs: Programs::of(|name| (name == "PATH").then(|| "/usr/bin:/bin".to_owned()), &project),
            machinery: Machinery { warden: "/nowhere/convoke".into(), records: self.folder.path().join("records") },
            audit: crate::audit::Audit::off(),
        };
        let tell: Tell = Arc::new(|_| {});
        carry_out(&site, consent, actions, stop, &tell).await;
    }

    async fn left_started(&self, action: &Action) {
        let program = Program::of(&action.body).unwrap();
        let record = ActionRecord {
            project: self.project().to_string_lossy().into_owned(),
            key: action.key.clone(),
            run: RunId::new(),
            item: action.item.clone(),
            kind: action.kind.clone(),
            title: action.title.clone(),
            body: program.body(),
            at: Timestamp::now(),
        };
        self.journal.start_action(record).await.unwrap();
    }

    async fn end(&self, key: &str, state: Kept) {
        let end = ActionEnd {
            project: self.project().to_string_lossy().into_owned(),
            key: key.to_owned(),
            state,
            exit_code: Some(i32::from(state != Kept::Done)),
            reason: String::new(),
            output: String::new(),
            errors: String::new(),
            at: Timestamp::now(),
        };
        self.journal.end_action(end).await.unwrap();
    }

    async fn kept(&self, key: &str) -> Kept {
        let rows = self.journal.actions(&self.project().to_string_lossy()).await.unwrap();
        rows.into_iter().find(|row| row.action.key == key).unwrap().state
    }
}

fn action(key: &str, body: Value) -> Action {
    Action {
        kind: "git-commit".to_owned(),
        title: "Commit".to_owned(),
        body,
        key: key.to_owned(),
        item: "a".to_owned(),
        state: ActionState::Proposed,
        problem: None,
        exit_code: None,
        output: None,
        errors: None,
    }
}

fn truth() -> Value {
    json!({"program": "true", "arguments": ["--really"]})
}

fn states(actions: &[Action]) -> Vec<ActionState> {
    actions.iter().map(|action| action.state).collect()
}

#[tokio::test]
async fn what_a_host_left_between_its_word_and_the_start_is_unknown_and_not_run() {
    let place = Place::new();
    let mut actions = [action("k", truth()), action("l", truth())];
    place.left_started(&actions[0]).await;
    let asked = place.carry_out(&mut actions, true).await;
    assert_eq!(states(&actions), [ActionState::Unknown, ActionState::Proposed]);
    assert!(actions[0].problem.as_deref().unwrap().contains("convoke actions settle k"), "{:?}", actions[0].problem);
    assert_eq!(place.kept("k").await, Kept::Unknown);
    assert!(asked.is_empty(), "nobody is asked about what is not run: {asked:?}");
    assert!(hindrance(&actions).is_some());
}

#[tokio::test]
async fn what_is_done_is_not_done_again_and_the_next_one_comes() {
    let place = Place::new();
    let mut actions = [action("k", truth()), action("l", truth())];
    place.left_started(&actions[0]).await;
    place.end("k", Kept::Done).await;
    let asked = place.carry_out(&mut actions, true).await;
    assert_eq!(states(&actions), [ActionState::DoneBefore, ActionState::Failed], "the second can't be started");
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(actions[0].problem.as_deref().unwrap().starts_with("done already by run "), "{:?}", actions[0].problem);
}

#[tokio::test]
async fn another_body_under_the_same_key_is_refused_and_both_are_shown() {
    let place = Place::new();
    for (key, state) in [("done", Kept::Done), ("failed", Kept::Failed), ("unknown", Kept::Unknown)] {
        place.left_started(&action(key, truth())).await;
        place.end(key, state).await;
        let mut actions = [action(key, json!({"program": "true", "arguments": ["--not"]}))];
        let asked = place.carry_out(&mut actions, true).await;
        assert_eq!((states(&actions), asked.len()), (vec![ActionState::Refused], 0));
        let problem = actions[0].problem.as_deref().unwrap();
        assert!(problem.contains("true --really") && problem.contains("true --not"), "{problem}");
        assert_eq!(place.kept(key).await, state);
    }
}

#[tokio::test]
async fn what_the_user_declines_stays_proposed_and_hinders_nothing() {
    let place = Place::new();
    let mut actions = [action("k", truth()), action("l", json!({"program": "true", "arguments": ["a b\u{1b}"]}))];
    let asked = place.carry_out(&mut actions, false).await;
    assert_eq!(states(&actions), [ActionState::Declined; 2]);
    assert_eq!(hindrance(&actions), None);
    assert_eq!(place.kept("k").await, Kept::Proposed);
    assert!(asked[0].contains("Action 1 of 2, git-commit: Commit") && asked[0].ends_with("true --really"), "{asked:?}");
    assert!(asked[1].ends_with("true $'a b\\x1b'"), "{asked:?}");
}

#[tokio::test]
async fn the_first_that_can_not_be_carried_out_holds_the_rest_back() {
    let place = Place::new();
    let mut actions = [
        action("a", truth()),
        action("b", json!({"text": "so"})),
        action("c", truth()),
        action("d", json!({"program": "no-such-program"})),
    ];
    place.left_started(&actions[0]).await;
    place.end("a", Kept::Done).await;
    place.carry_out(&mut actions, true).await;
    let expected = [ActionState::DoneBefore, ActionState::Refused, ActionState::Proposed, ActionState::Refused];
    assert_eq!(states(&actions), expected);
    assert_eq!(actions[2].problem.as_deref(), Some("not begun: b before it did not come to a good end"));
    assert_eq!(actions[3].problem.as_deref(), Some("no program no-such-program is in PATH"));
    let said = hindrance(&actions).unwrap();
    assert!(said.starts_with("3 of 4 actions not carried out; the first, b: its body is not a program"), "{said}");
}

#[tokio::test]
async fn with_yes_only_what_is_listed_is_run() {
    let place = Place::new();
    let mut actions = [action("a", truth())];
    let allow = Allow::default();
    place.run(Consent::Listed(&allow), &mut actions, &Stop::default()).await;
    assert_eq!(states(&actions), [ActionState::Refused]);
    assert!(actions[0].problem.as_deref().unwrap().contains("config.toml does not allow"), "{:?}", actions[0].problem);
}

#[tokio::test]
async fn what_could_not_be_started_has_failed_and_may_be_tried_again() {
    let place = Place::new();
    for _ in 0..2 {
        let mut actions = [action("a", truth()), action("b", truth())];
        place.carry_out(&mut actions, true).await;
        assert_eq!(states(&actions), [ActionState::Failed, ActionState::Proposed]);
        assert!(actions[0].problem.as_deref().unwrap().contains("/nowhere/convoke"), "{:?}", actions[0].problem);
        assert_eq!((place.kept("a").await, place.kept("b").await), (Kept::Failed, Kept::Proposed));
    }
}

#[tokio::test]
async fn after_a_stop_nothing_is_begun() {
    let place = Place::new();
    let mut actions = [action("a", truth())];
    let stop = Stop::default();
    stop.soft.cancel();
    let mut ask = |_| std::future::ready(true).boxed();
    place.run(Consent::Asked(&mut ask), &mut actions, &stop).await;
    assert_eq!(actions[0].problem.as_deref(), Some("not begun: you stopped it"));
    assert_eq!(place.kept("a").await, Kept::Proposed);
}

#[test]
fn only_a_programs_own_word_says_that_it_failed() {
    let state = |how| verdict(how).0;
    assert_eq!(state(How::Exited(0)), Kept::Done);
    assert_eq!(state(How::Exited(1)), Kept::Failed);
    assert_eq!(state(How::NotStarted(String::new())), Kept::Failed);
    assert_eq!(state(How::Lost(String::new())), Kept::Unknown);
}
