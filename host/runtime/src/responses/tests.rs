use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::question::Question;
use crate::route::Route;

const AT_ONCE: Duration = Duration::ZERO;
const DAY: i64 = 86_400;

fn now() -> Timestamp {
    at(1_000 * DAY)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn config(folder: &TempDir) -> ResponsesConfig {
    ResponsesConfig {
        file: folder.path().join("cache").join("responses.db"),
        key_file: folder.path().join("data").join("responses.key"),
        most_bytes: 1 << 20,
        max_age: Duration::from_secs(30 * 86_400),
        read: true,
    }
}

fn place() -> (TempDir, ResponsesConfig) {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    (folder, config)
}

fn open(config: &ResponsesConfig) -> Result<Responses, ResponsesError> {
    Responses::open_at(config.clone(), AT_ONCE, now())
}

fn key(prompt: &str) -> Key {
    let request = Route::default().request(&Question { prompt: prompt.to_owned(), ..Question::default() });
    Key::of(&request).at("anthropic", "account")
}

fn cached(text: &str) -> Cached {
    Cached { text: text.to_owned(), model: "claude-haiku-5-5".to_owned(), edits: Vec::new() }
}

impl Responses {
    fn put(&self, prompt: &str, text: &str, now: Timestamp) {
        let (reply, mut told) = oneshot::channel();
        self.0.together(vec![Job::Keep(key(prompt), cached(text), reply)], now);
        assert_eq!(told.try_recv().unwrap(), Ok(Some(())));
    }

    fn find(&self, prompt: &str, now: Timestamp) -> Option<String> {
        let (reply, mut told) = oneshot::channel();
        self.0.together(vec![Job::Recall(key(prompt), reply)], now);
        told.try_recv().unwrap().unwrap().unwrap().map(|cached| cached.text)
    }

    /// Runs SQL in the file.
    fn meddle(&self, sql: &str) {
        self.0.store().connection().execute_batch(sql).unwrap();
    }
}

/// All files of the cache, and the key.
fn bytes_on_disk(folder: &TempDir) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(folder.path().join("cache")).unwrap() {
        bytes.extend(fs::read(entry.unwrap().path()).unwrap());
    }
    bytes
}

#[tokio::test]
async fn an_answer_outlives_the_process_and_only_under_its_key() {
    let (_folder, config) = place();
    assert_eq!(Responses::open(config.clone()).unwrap().keep(key("a"), &cached("yes")).await, None);
    let later = Responses::open(config.clone()).unwrap();
    assert_eq!(later.recall(key("a")).await, Recalled::Hit(cached("yes")));
    assert_eq!(later.recall(key("b")).await, Recalled::Miss { warning: None });
    let elsewhere = Key::of(&Route::default().request(&Question { prompt: "a".to_owned(), ..Question::default() }));
    assert_eq!(later.recall(elsewhere.at("anthropic", "other")).await, Recalled::Miss { warning: None });
    let refreshing = Responses::open(ResponsesConfig { read: false, ..config }).unwrap();
    assert_eq!(refreshing.recall(key("a")).await, Recalled::Miss { warning: None });
}

#[test]
fn the_file_holds_neither_question_nor_answer_nor_what_a_guess_could_be_compared_with() {
    let (folder, config) = place();
    let responses = open(&config).unwrap();
    responses.put("the-question-itself", "the-answer-itself", now());
    let bytes = bytes_on_disk(&folder);
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(!holds(b"the-question-itself") && !holds(b"the-answer-itself") && !holds(b"claude-haiku"));
    assert!(!holds(key("the-question-itself").as_bytes()));
    assert!(holds(&responses.0.secret.name(&key("the-question-itself"))), "the test looks at the right bytes");
    assert_eq!(format!("{:?}", responses.0.secret), "Secret");
}

#[test]
fn the_same_answer_is_encrypted_otherwise_each_time() {
    let (_folder, config) = place();
    let secret = &open(&config).unwrap().0.secret;
    let sealed: std::collections::HashSet<_> = (0..100).map(|_| secret.seal(&[0; 32], 0, b"text").unwrap()).collect();
    assert_eq!(sealed.len(), 100);
}

#[test]
fn an_entry_that_was_changed_moved_or_made_younger_is_a_miss_and_removed() {
    for change in [
        "UPDATE responses SET sealed = zeroblob(length(sealed))",
        "UPDATE responses SET sealed = x''",
        "UPDATE responses SET nonce = zeroblob(24)",
        "UPDATE responses SET nonce = x'01'",
        "UPDATE responses SET created = created + 1",
        "UPDATE responses SET sealed = (SELECT sealed FROM responses ORDER BY rowid LIMIT 1),
             nonce = (SELECT nonce FROM responses ORDER BY rowid LIMIT 1)",
    ] {
        let (_folder, config) = place();
        let responses = open(&config).unwrap();
        responses.put("other", "no", now());
        responses.put("a", "yes", now());
        responses.meddle(change);
        let error = responses.0.recall(&responses.0.store(), &key("a"), now()).unwrap_err();
        assert!(matches!(error, ResponsesError::Tampered { .. }), "{change}: {error}");
        assert_eq!(responses.find("a", now()), None, "{change}");
    }
}

#[tokio::test]
async fn tampering_is_said_once_and_the_rest_is_used_on() {
    let (_folder, config) = place();
    let responses = Responses::open(config).unwrap();
    for prompt in ["a", "b"] {
        responses.keep(key(prompt), &cached("yes")).await;
    }
    responses.meddle("UPDATE responses SET nonce = zeroblob(24)");
    let Recalled::Miss { warning: Some(warning) } = responses.recall(key("a")).await else { panic!("no warning") };
    assert!(warning.contains("not as it was written"), "{warning}");
    assert_eq!(responses.recall(key("b")).await, Recalled::Miss { warning: None });
    assert_eq!(responses.keep(key("c"), &cached("yes")).await, None);
    assert_eq!(responses.recall(key("c")).await, Recalled::Hit(cached("yes")));
}

#[test]
fn what_is_too_old_is_no_answer_and_goes() {
    let (_folder, config) = place();
    let responses = open(&config).unwrap();
    responses.put("a", "yes", now());
    let last_moment = at(1_030 * DAY - 1);
    assert_eq!(responses.find("a", last_moment).as_deref(), Some("yes"), "using it does not make it younger");
    assert_eq!(responses.find("a", at(1_030 * DAY)), None);
    drop(responses);
    assert_eq!(Responses::holdings(&config.file).unwrap().answers, 1);
    drop(Responses::open_at(config.clone(), AT_ONCE, at(1_030 * DAY)).unwrap());
    assert_eq!(Responses::holdings(&config.file).unwrap().answers, 0);
}

#[test]
fn when_there_is_too_much_what_was_not_used_for_longest_goes() {
    let (_folder, config) = place();
    let responses = open(&config).unwrap();
    let text = "x".repeat(10_000);
    for number in 0..60 {
        responses.put(&format!("{number}"), &text, at(1_000 * DAY + number));
    }
    assert!(responses.find("0", at(1_001 * DAY)).is_some(), "used, and so noted");
    for number in 60..120 {
        responses.put(&format!("{number}"), &text, at(1_000 * DAY + number));
        assert!(responses.0.store().bytes().unwrap() <= config.most_bytes, "{number}");
    }
    let later = at(1_001 * DAY);
    assert!(responses.find("0", later).is_some() && responses.find("119", later).is_some());
    assert!(responses.find("1", later).is_none() && responses.find("20", later).is_none());
    let holdings = Responses::holdings(&config.file).unwrap();
    assert!(holdings.answers > 60 && holdings.bytes <= config.most_bytes, "{holdings:?}");
    assert_eq!(holdings.oldest, Some(at(1_000 * DAY)));
}

#[test]
fn an_answer_that_would_push_out_all_others_is_not_kept() {
    let (_folder, config) = place();
    let responses = open(&config).unwrap();
    responses.put("a", "yes", now());
    responses.put("large", &"x".repeat(1 << 19), now());
    assert_eq!((responses.find("large", now()), responses.find("a", now()).as_deref()), (None, Some("yes")));
}

#[test]
fn a_smaller_limit_holds_from_the_next_start_on() {
    let (_folder, mut config) = place();
    let responses = open(&config).unwrap();
    for number in 0..60 {
        responses.put(&format!("{number}"), &"x".repeat(10_000), now());
    }
    drop(responses);
    config.most_bytes = 200_000;
    drop(open(&config).unwrap());
    assert!(fs::metadata(&config.file).unwrap().len() <= 220_000, "the disk has its room back");
}

#[test]
fn two_may_use_it_at_once() {
    let (_folder, config) = place();
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let config = config.clone();
            scope.spawn(move || {
                let responses = Responses::open_at(config, Duration::from_secs(30), now()).unwrap();
                for number in 0..20 {
                    responses.put(&format!("{worker}/{number}"), "yes", now());
                }
            });
        }
    });
    let responses = open(&config).unwrap();
    assert!((0..8).all(|worker| (0..20).all(|number| responses.find(&format!("{worker}/{number}"), now()).is_some())));
}

#[tokio::test]
async fn those_that_come_together_are_all_kept_and_found() {
    let (_folder, config) = place();
    let responses = Responses::open(config.clone()).unwrap();
    let prompts: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    let keep = |prompt: &String| {
        let (responses, key, cached) = (responses.clone(), key(prompt), cached(prompt));
        async move { responses.keep(key, &cached).await }
    };
    let warnings = futures::future::join_all(prompts.iter().map(keep)).await;
    assert_eq!(warnings, vec![None; 50]);
    drop(responses);
    let responses = Responses::open(config).unwrap();
    let found = futures::future::join_all(prompts.iter().map(|prompt| responses.recall(key(prompt)))).await;
    let answers = prompts.iter().map(|prompt| Recalled::Hit(cached(prompt)));
    assert_eq!(found, answers.collect::<Vec<_>>());
}

#[tokio::test]
async fn one_transaction_has_all_that_came_together_or_nothing_and_one_warning() {
    let (_folder, config) = place();
    let responses = open(&config).unwrap();
    responses.put("before", "yes", now());
    responses.meddle("PRAGMA max_page_count = 12");
    let texts = [("a", "yes".to_owned()), ("b", "x".repeat(100_000)), ("c", "yes".to_owned())];
    let (jobs, told): (Vec<_>, Vec<_>) = texts
        .iter()
        .map(|(prompt, text)| {
            let (reply, told) = oneshot::channel();
            (Job::Keep(key(prompt), cached(text), reply), told)
        })
        .unzip();
    responses.0.together(jobs, now());
    let told: Vec<_> = told.into_iter().map(|mut told| told.try_recv().unwrap()).collect();
    let [Err(Some(warning)), Err(None), Err(None)] = &told[..] else { panic!("{told:?}") };
    assert!(warning.contains("Make room"), "{warning}");
    drop(responses);
    let responses = open(&config).unwrap();
    let found = ["before", "a", "b", "c"].map(|prompt| responses.find(prompt, now()).is_some());
    assert_eq!(found, [true, false, false, false]);
}

#[tokio::test]
async fn an_answer_is_kept_though_nobody_waits_for_it_any_more() {
    let (_folder, config) = place();
    let responses = Responses::open(config).unwrap();
    assert!(futures::FutureExt::now_or_never(responses.keep(key("a"), &cached("yes"))).is_none());
    assert_eq!(responses.recall(key("a")).await, Recalled::Hit(cached("yes")));
}

// What is wrong with the files ----------------------------------------------------------------------------------------

#[test]
fn the_key_is_made_once_and_is_its_owners_only() {
    let (_folder, config) = place();
    drop(open(&config).unwrap());
    let key = fs::read_to_string(&config.key_file).unwrap();
    assert!(key.starts_with("convoke-responses-key 1 ") && key.len() == 24 + 64 + 1, "{key}");
    drop(open(&config).unwrap());
    assert_eq!(fs::read_to_string(&config.key_file).unwrap(), key);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for file in [&config.key_file, &config.file] {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        }
        let left: Vec<_> = fs::read_dir(config.key_file.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "no temporary file stays");
    }
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_refused_with_a_hint() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, config) = place();
    drop(open(&config).unwrap());
    for mode in [0o640, 0o604, 0o666] {
        fs::set_permissions(&config.key_file, fs::Permissions::from_mode(mode)).unwrap();
        let error = open(&config).unwrap_err();
        assert!(matches!(error, ResponsesError::KeyIsOpen { .. }), "{error}");
        assert!(error.warning().contains("chmod 600"), "{}", error.warning());
    }
}

#[test]
fn a_key_file_that_is_none_is_refused_and_left() {
    let (_folder, config) = place();
    drop(open(&config).unwrap());
    let real = fs::read_to_string(&config.key_file).unwrap();
    for content in ["", "convoke-responses-key 2 00", &real[..60], &real.replace(char::is_alphanumeric, "g"), "\u{e9}"]
    {
        fs::write(&config.key_file, content).unwrap();
        let error = open(&config).unwrap_err();
        assert!(matches!(error, ResponsesError::NotOurs { .. }), "{content:?}: {error}");
        assert_eq!(fs::read_to_string(&config.key_file).unwrap(), content);
    }
}

#[test]
fn answers_of_another_key_are_not_used_and_not_lost() {
    let (_folder, config) = place();
    open(&config).unwrap().put("a", "yes", now());
    let kept = config.key_file.with_extension("kept");
    fs::rename(&config.key_file, &kept).unwrap();
    let error = open(&config).unwrap_err();
    assert!(matches!(error, ResponsesError::OtherKey { .. }), "{error}");
    assert!(error.warning().contains("cache clear"), "{}", error.warning());
    fs::rename(&kept, &config.key_file).unwrap();
    assert_eq!(open(&config).unwrap().find("a", now()).as_deref(), Some("yes"));
    fs::remove_file(&config.key_file).unwrap();
    assert!(open(&config).is_err());
    Responses::clear(&config.file).unwrap();
    let anew = open(&config).unwrap();
    assert_eq!(anew.find("a", now()), None);
    anew.put("a", "no", now());
    drop(anew);
    assert_eq!(open(&config).unwrap().find("a", now()).as_deref(), Some("no"));
}

#[test]
fn a_newer_file_and_another_programs_are_refused_and_left_as_they_are() {
    let (_folder, config) = place();
    drop(open(&config).unwrap());
    rusqlite::Connection::open(&config.file).unwrap().execute_batch("PRAGMA user_version = 2").unwrap();
    let before = fs::read(&config.file).unwrap();
    for error in [open(&config).unwrap_err(), Responses::clear(&config.file).unwrap_err()] {
        assert!(matches!(error, ResponsesError::Newer { found: 2, known: 1, .. }), "{error}");
    }
    assert_eq!(fs::read(&config.file).unwrap(), before);
    fs::remove_file(&config.file).unwrap();
    rusqlite::Connection::open(&config.file).unwrap().execute_batch("CREATE TABLE bookmarks (url)").unwrap();
    let before = fs::read(&config.file).unwrap();
    for error in [open(&config).unwrap_err(), Responses::clear(&config.file).unwrap_err()] {
        assert!(matches!(error, ResponsesError::NotOurs { .. }), "{error}");
    }
    assert_eq!(fs::read(&config.file).unwrap(), before);
}

#[test]
fn a_broken_file_is_told_and_clearing_begins_anew() {
    let (_folder, config) = place();
    let whole = {
        let responses = open(&config).unwrap();
        for number in 0..50 {
            responses.put(&format!("{number}"), &"x".repeat(1_000), now());
        }
        drop(responses);
        without_log(&config.file);
        fs::read(&config.file).unwrap()
    };
    let garbage = b"this is no database, only a long enough text. ".repeat(99);
    for content in [&whole[..whole.len() / 2], &garbage[..]] {
        fs::write(&config.file, content).unwrap();
        // SQLite may find it out when it opens the file, or later.
        let error = match open(&config) {
            Err(error) => error,
            Ok(responses) => {
                let recall = |n: u8| responses.0.recall(&responses.0.store(), &key(&n.to_string()), now());
                (0..50).find_map(|n| recall(n).err()).unwrap()
            }
        };
        assert!(error.warning().contains("cache clear"), "{}", error.warning());
        Responses::clear(&config.file).unwrap();
        open(&config).unwrap().put("a", "yes", now());
        without_log(&config.file);
    }
}

/// Takes the log that lies beside a file into it: it would make the file whole again.
fn without_log(file: &Path) {
    rusqlite::Connection::open(file).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
}

#[tokio::test]
async fn a_full_disk_is_one_warning() {
    let (_folder, config) = place();
    let responses = Responses::open(config).unwrap();
    responses.meddle("PRAGMA max_page_count = 10");
    let warning = responses.keep(key("a"), &cached(&"x".repeat(100_000))).await.unwrap();
    assert!(warning.contains("the response cache is not used") && warning.contains("Make room"), "{warning}");
    assert_eq!(responses.keep(key("b"), &cached("yes")).await, None);
    assert_eq!(responses.recall(key("b")).await, Recalled::Miss { warning: None });
}

#[tokio::test]
async fn a_locked_file_is_one_warning() {
    let (_folder, config) = place();
    let responses = Responses::open_at(config.clone(), AT_ONCE, Timestamp::now()).unwrap();
    let other = rusqlite::Connection::open(&config.file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; DELETE FROM responses").unwrap();
    let warning = responses.keep(key("a"), &cached("yes")).await.unwrap();
    assert!(warning.contains("another process uses it") || warning.contains("Another process"), "{warning}");
    assert_eq!(responses.keep(key("a"), &cached("yes")).await, None);
}

#[test]
fn what_is_in_the_way_is_named() {
    let (folder, config) = place();
    fs::create_dir_all(&config.file).unwrap();
    let error = open(&config).unwrap_err();
    assert!(error.to_string().contains("responses.db"), "{error}");
    fs::write(folder.path().join("file"), "").unwrap();
    let config = ResponsesConfig { key_file: folder.path().join("file/responses.key"), ..config };
    let error = open(&config).unwrap_err();
    assert!(error.to_string().contains("responses.key"), "{error}");
}

#[test]
fn there_is_nothing_where_there_is_no_file() {
    let (_folder, config) = place();
    assert_eq!(Responses::holdings(&config.file).unwrap(), Holdings::default());
    Responses::clear(&config.file).unwrap();
    assert!(!config.file.exists());
}
