//! The API of OSV: <https://google.github.io/osv.dev/api/>. Packages are asked about in batches, which gives ids; then each advisory
//! is fetched once. What hinders makes packages unknown, never safe.

use convoke_sdk::small::{Map, Set};

use convoke_sdk::prelude::*;
use convoke_sdk::text::shown;
use futures::{FutureExt, StreamExt};

use super::reading::in_order;
use super::subjects::Subject;
use crate::format::json;
use crate::format::tree::{Document, Node, Value};
use crate::model::Ecosystem;
use crate::osv::fields::{list, text};
use crate::osv::{self, Advisory};

/// The most packages of one request.
const BATCH: usize = 1_000;
/// The most pages that are asked for one batch, and advisories that are fetched for one unit.
const MOST_PAGES: usize = 100;
const MOST_ADVISORIES: usize = 10_000;
/// So many advisories are fetched at once.
const AT_ONCE: usize = 5;
/// For how many seconds an answer is good: a day.
const DAY: u64 = 24 * 60 * 60;
/// For how many seconds the text of an advisory is kept; its date of change is a part of its key.
const KEPT: u64 = 30 * DAY;

/// Who is asked.
#[allow(async_fn_in_trait)]
pub trait Osv {
    /// The answer to a batch of queries.
    async fn batch(&self, queries: Vec<u8>) -> Result<Vec<u8>>;
    /// An advisory as it was at that date.
    async fn advisory(&self, id: &str, modified: &str) -> Result<String>;
}

/// The API itself.
pub struct Api<'a> {
    /// In whose name.
    pub task: &'a Task,
    /// Without a slash at its end.
    pub url: &'a str,
}

impl Osv for Api<'_> {
    async fn batch(&self, queries: Vec<u8>) -> Result<Vec<u8>> {
        let request = Fetch::post(format!("{}/v1/querybatch", self.url)).header("content-type", "application/json");
        Ok(self.task.fetch(&request.body(queries).lifetime(DAY)).await?.checked()?.body)
    }

    async fn advisory(&self, id: &str, modified: &str) -> Result<String> {
        let key = format!("osv {id} {modified}");
        let is_key = !modified.is_empty() && key.len() <= 200;
        // Without a store, or with a full one, it is fetched again.
        if is_key && let Ok(Some(text)) = self.task.store_get_json::<String>(&key).await {
            return Ok(text);
        }
        let request = Fetch::get(format!("{}/v1/vulns/{id}", self.url)).lifetime(DAY);
        let text = self.task.fetch(&request).await?.checked()?.text()?;
        if is_key && osv::read(&text).is_ok() {
            let _ = self.task.store_put_json(&key, &text, KEPT).await;
        }
        Ok(text)
    }
}

/// What came of asking.
#[derive(Debug, Default)]
pub struct Answer {
    /// The ids of the advisories of each subject that was asked about, by its place.
    pub ids: Map<usize, Set<String>>,
    /// The advisories that could be fetched.
    pub advisories: Vec<Advisory>,
    /// Why advisories could not be fetched or read, by id.
    pub missing: Map<String, String>,
    /// Why nobody was asked about the rest.
    pub hindered: Option<String>,
}

#[derive(Serialize)]
#[serde(crate = "convoke_sdk::prelude::serde")]
struct Queries<'a> {
    queries: Vec<Query<'a>>,
}

#[derive(Serialize)]
#[serde(crate = "convoke_sdk::prelude::serde")]
struct Query<'a> {
    package: Package<'a>,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    page_token: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(crate = "convoke_sdk::prelude::serde")]
struct Package<'a> {
    name: &'a str,
    ecosystem: Ecosystem,
}

/// What OSV says of one question.
#[derive(Default)]
struct Page<'n> {
    /// The ids of advisories, and when each was changed.
    vulns: Vec<(&'n str, &'n str)>,
    /// What to ask with for those that are left.
    next: Option<&'n str>,
}

/// The answers to a batch. None: it is not what the API promises. A part that is misread would be a hole that nobody sees.
fn pages<'n>(answer: &'n Document<'_>) -> Option<Vec<Page<'n>>> {
    let Value::List(results) = &answer.root.get("results")?.value else { return None };
    let page = |result: &'n Node<'_>| {
        let next = match result.value {
            Value::Null => return Some(Page::default()),
            Value::Table(_) => text(result, "next_page_token").ok()?.filter(|token| !token.is_empty()),
            _ => return None,
        };
        let vuln =
            |vuln: &'n Node<'_>| Some((text(vuln, "id").ok()??, text(vuln, "modified").ok()?.unwrap_or_default()));
        let vulns = list(result, "vulns").ok()?.iter().map(vuln).collect::<Option<_>>()?;
        Some(Page { vulns, next })
    };
    answer.faults.is_empty().then(|| results.iter().map(page).collect())?
}

/// Asks about all subjects.
pub async fn ask(osv: &impl Osv, ecosystem: Ecosystem, subjects: &[Subject]) -> Answer {
    let mut answer = Answer::default();
    let mut ids = Map::new();
    for (number, batch) in subjects.chunks(BATCH).enumerate() {
        if let Err(error) = ask_batch(osv, ecosystem, batch, number * BATCH, &mut answer, &mut ids).await {
            answer.hindered = Some(said(&error));
            break;
        }
    }
    let more = ids.len().saturating_sub(MOST_ADVISORIES);
    let fetch = |(id, modified): (String, String)| {
        let text = async move { (osv.advisory(&id, &modified).await, id) };
        text.boxed_local()
    };
    let read = |text: Result<String>, id: &str| {
        let text = text.map_err(|error| said(&error))?;
        let advisory = osv::read(&text).map_err(|broken| format!("what OSV says of it can't be read: {broken}"))?;
        if advisory.id == id { Ok(advisory) } else { Err("OSV gave another advisory in its place".to_owned()) }
    };
    let left: Vec<String> = ids.keys().skip(MOST_ADVISORIES).cloned().collect();
    let mut fetched = in_order(Box::new(ids.into_iter().take(MOST_ADVISORIES).map(fetch)), AT_ONCE);
    while let Some((text, id)) = fetched.next().await {
        match read(text, &id) {
            Ok(advisory) => answer.advisories.push(advisory),
            Err(why) => drop(answer.missing.insert(id, why)),
        }
    }
    if more > 0 {
        let why = format!("there are more than {MOST_ADVISORIES}");
        answer.missing.extend(left.into_iter().map(|id| (id, why.clone())));
    }
    answer
}

/// One batch with all its pages. What is known when it breaks off is kept: a hole that was told is one.
async fn ask_batch(
    osv: &impl Osv,
    ecosystem: Ecosystem,
    batch: &[Subject],
    first: usize,
    answer: &mut Answer,
    ids: &mut Map<String, String>,
) -> Result<()> {
    let mut open: Vec<(usize, Option<String>)> = (0..batch.len()).map(|place| (place, None)).collect();
    let mut told: Map<usize, Set<String>> = Map::new();
    for _ in 0..MOST_PAGES {
        let queries = open.iter().filter_map(|(place, page)| {
            let Subject { name, version, .. } = batch.get(*place)?;
            let version = asked_version(ecosystem, version);
            Some(Query { package: Package { name, ecosystem }, version, page_token: page.as_deref() })
        });
        let body = serde_json::to_vec(&Queries { queries: queries.collect() })?;
        let bytes = osv.batch(body).await?;
        let document = std::str::from_utf8(&bytes).ok().and_then(|text| json::read(text).ok());
        let results = document.as_ref().and_then(pages).ok_or("OSV's answer is not what its API promises")?;
        if results.len() != open.len() {
            return Err(Error::new(format!("OSV was asked {} questions and answered {}", open.len(), results.len())));
        }
        let mut next = Vec::new();
        for ((place, _), page) in open.into_iter().zip(results) {
            let known = told.entry(place).or_default();
            for (id, modified) in page.vulns {
                if !is_id(id) {
                    return Err(Error::new(format!("OSV named an advisory that has no id: {}", shown(id, 80))));
                }
                ids.insert(id.to_owned(), modified.to_owned());
                known.insert(id.to_owned());
            }
            if let Some(token) = page.next {
                next.push((place, Some(token.to_owned())));
            }
        }
        if next.is_empty() {
            answer.ids.extend(told.into_iter().map(|(place, ids)| (first + place, ids)));
            return Ok(());
        }
        open = next;
    }
    Err(Error::new(format!("OSV's answer has more than {MOST_PAGES} pages")))
}

/// Go's versions have no `v` there.
fn asked_version(ecosystem: Ecosystem, version: &str) -> &str {
    match ecosystem {
        Ecosystem::Go => version.strip_prefix('v').unwrap_or(version),
        _ => version,
    }
}

/// An id goes into an address.
fn is_id(id: &str) -> bool {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.' | ':');
    !id.is_empty() && id.len() <= 100 && id.chars().all(is_plain) && !id.contains("..")
}

fn said(error: &Error) -> String {
    match &error.hint {
        Some(hint) => shown(&format!("{} ({hint})", error.message), 600),
        None => shown(&error.message, 400),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use convoke_sdk::testing::now;
    use serde_json::{Value, json};

    /// Answers batches in this order, and advisories by their ids.
    #[derive(Default)]
    struct Scripted {
        batches: RefCell<Vec<Result<Value>>>,
        asked: RefCell<Vec<Value>>,
    }

    impl Osv for Scripted {
        async fn batch(&self, queries: Vec<u8>) -> Result<Vec<u8>> {
            self.asked.borrow_mut().push(serde_json::from_slice(&queries).unwrap());
            self.batches.borrow_mut().remove(0).map(|answer| answer.to_string().into_bytes())
        }

        async fn advisory(&self, id: &str, _: &str) -> Result<String> {
            match id {
                "GONE" => Err(Error::new("it answered 404")),
                "ODD" => Ok("{".to_owned()),
                id => Ok(json!({ "id": id, "modified": "2026-01-01T00:00:00Z", "affected": [] }).to_string()),
            }
        }
    }

    fn subjects(count: usize) -> Vec<Subject> {
        let subject = |number| Subject {
            name: format!("p{number}"),
            version: "v1.0.0".to_owned(),
            at: ("l".to_owned(), 1),
            place: None,
            more: 0,
            dev: false,
        };
        (0..count).map(subject).collect()
    }

    fn answered(batches: Vec<Result<Value>>, count: usize) -> (Answer, Vec<Value>) {
        let osv = Scripted { batches: RefCell::new(batches), ..Scripted::default() };
        let answer = now(ask(&osv, Ecosystem::Go, &subjects(count)));
        (answer, osv.asked.into_inner())
    }

    fn results(count: usize, ids: &[&str], next: Option<&str>) -> Value {
        let vulns: Vec<Value> = ids.iter().map(|id| json!({ "id": id, "modified": "2026" })).collect();
        let mut results = vec![json!({}); count];
        results[0] = json!({ "vulns": vulns, "next_page_token": next });
        json!({ "results": results })
    }

    #[test]
    fn packages_are_asked_about_a_thousand_at_once() {
        let (answer, asked) =
            answered(vec![Ok(results(1_000, &["A"], None)), Ok(results(1, &["A", "B"], None))], 1_001);
        assert_eq!(asked[0]["queries"].as_array().unwrap().len(), 1_000);
        let expected =
            json!({ "queries": [{ "package": { "name": "p1000", "ecosystem": "Go" }, "version": "1.0.0" }] });
        assert_eq!(asked[1], expected);
        assert_eq!((answer.ids.len(), answer.ids[&1_000].len(), answer.advisories.len()), (1_001, 2, 2));
        assert_eq!((answer.hindered, answer.missing.len()), (None, 0));
    }

    #[test]
    fn further_pages_are_asked_for() {
        let (answer, asked) = answered(vec![Ok(results(2, &["A"], Some("more"))), Ok(results(1, &["B"], None))], 2);
        assert_eq!(asked[1]["queries"][0]["page_token"], "more");
        assert_eq!(asked[1]["queries"].as_array().unwrap().len(), 1);
        assert_eq!(answer.ids[&0].len(), 2);
        let endless = (0..200).map(|_| Ok(results(1, &[], Some("more")))).collect();
        let (answer, asked) = answered(endless, 1);
        assert_eq!((asked.len(), answer.ids.len()), (MOST_PAGES, 0));
        assert!(answer.hindered.unwrap().contains("more than 100 pages"));
    }

    #[test]
    fn whom_nobody_was_asked_about_has_no_answer() {
        for (batch, words) in [
            (Err(Error::new("it may not send").hint("grant it")), "it may not send (grant it)"),
            (Ok(json!("nonsense")), "not what its API promises"),
            (Ok(results(1, &[], None)), "asked 2 questions and answered 1"),
            (Ok(results(2, &["../../x"], None)), "has no id"),
        ] {
            let (answer, _) = answered(vec![batch], 2);
            assert_eq!(answer.ids.len(), 0);
            assert!(answer.hindered.unwrap().contains(words), "{words}");
        }
        let (answer, _) = answered(vec![Ok(results(1_000, &["A"], None)), Err(Error::new("500"))], 1_001);
        assert_eq!((answer.ids.len(), answer.advisories.len()), (1_000, 1));
        assert!(answer.hindered.is_some());
    }

    #[test]
    fn an_answer_of_another_shape_is_none() {
        let whole =
            "{\"results\": [null, {\"vulns\": [{\"id\": \"A\", \"modified\": null}], \"next_page_token\": \"\"}]}";
        let read = |text: &str| {
            let document = json::read(text).unwrap();
            let read = pages(&document)?;
            Some(read.iter().map(|page| format!("{:?} {:?}", page.vulns, page.next)).collect::<Vec<_>>())
        };
        assert_eq!(read(whole).unwrap(), ["[] None", "[(\"A\", \"\")] None"]);
        for (part, other) in [
            ("null", "[]"),
            ("null", "\"A\""),
            ("\"A\"", "1"),
            ("\"A\"", "null"),
            ("\"id\"", "\"name\""),
            ("[{\"id", "[null, {\"id"),
            ("\"next_page_token\": \"\"", "\"next_page_token\": 1"),
            ("\"next_page_token\": \"\"", "\"vulns\": []"),
            ("[{\"id\": \"A\", \"modified\": null}]", "{\"id\": \"A\"}"),
            ("results", "result"),
        ] {
            assert!(whole.contains(part));
            let text = whole.replacen(part, other, 1);
            assert_eq!(read(&text), None, "{text}");
        }
    }

    #[test]
    fn an_advisory_that_can_not_be_fetched_is_missing() {
        let (answer, _) = answered(vec![Ok(results(1, &["A", "GONE", "ODD"], None))], 1);
        assert_eq!(answer.ids[&0].len(), 3);
        assert_eq!(answer.missing.keys().collect::<Vec<_>>(), ["GONE", "ODD"]);
        assert_eq!(answer.missing["GONE"], "it answered 404");
    }
}
