//! The picture of a run, and what of it has changed since somebody last looked.
//!
//! The fold of events is that of [`Timeline`]; here is only noted which rows an event touched. So a page gets what is new,
//! however slow it is, and nothing is kept for it meanwhile.

use std::time::Duration;

use convoke_runtime::event::{Event, Fact, Sample};
use convoke_runtime::timeline::Timeline;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// A picture whose rows know when they last changed.
#[derive(Default)]
pub(super) struct Picture {
    timeline: Timeline,
    /// How many events it was made of.
    version: u64,
    /// The latest sample, also where a long run no longer keeps each.
    sample: Option<Sample>,
    workers: Vec<u64>,
    items: Vec<u64>,
    questions: Vec<u64>,
    limits: Vec<u64>,
    marks: Vec<u64>,
    samples: Vec<u64>,
}

impl Picture {
    /// Another event.
    pub(super) fn hear(&mut self, event: &Event) {
        // One that ends is no longer found afterwards.
        let (item, question) = (touched_item(&event.fact), touched_question(&event.fact));
        let before = self.places(item, question);
        self.timeline.hear(event);
        self.version += 1;
        let after = self.places(item, question);
        for (item, question) in [before, after] {
            touch(&mut self.items, item, self.version);
            touch(&mut self.questions, question, self.version);
        }
        for place in self.timeline.turned() {
            touch(&mut self.questions, Some(*place), self.version);
        }
        if let Some(number) = touched_worker(&event.fact) {
            let place = self.timeline.workers.iter().rposition(|worker| worker.worker == number);
            touch(&mut self.workers, place, self.version);
        }
        // An item that ends or is given back changes what its worker holds, whoever that is.
        if let Some(place) = before.0.or(after.0) {
            let worker = self.timeline.items.get(place).and_then(|item| item.worker);
            touch(&mut self.workers, worker, self.version);
        }
        if let Fact::Sampled(sample) = &event.fact {
            self.sample = Some((**sample).clone());
        }
        let timeline = &self.timeline;
        grow(&mut self.workers, timeline.workers.len(), self.version);
        grow(&mut self.items, timeline.items.len(), self.version);
        grow(&mut self.questions, timeline.questions.len(), self.version);
        grow(&mut self.limits, timeline.limits.len(), self.version);
        grow(&mut self.marks, timeline.marks.len(), self.version);
        grow(&mut self.samples, timeline.samples.len(), self.version);
    }

    /// The places of an item and of a question, by their numbers in the stream.
    fn places(&self, item: Option<usize>, question: Option<u64>) -> (Option<usize>, Option<usize>) {
        let item = item.and_then(|item| self.timeline.place_of_item(item));
        (item, question.and_then(|question| self.timeline.place_of_question(question)))
    }

    /// How many events it was made of.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// The whole of it.
    pub(super) fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// What has changed since that version; since 0: all of it.
    pub(super) fn since(&self, version: u64) -> Patch<'_> {
        Patch { picture: self, since: version }
    }
}

fn touch(versions: &mut [u64], place: Option<usize>, version: u64) {
    if let Some(slot) = place.and_then(|place| versions.get_mut(place)) {
        *slot = version;
    }
}

/// New rows are new; fewer rows than before are all new, because some in the middle were left out.
fn grow(versions: &mut Vec<u64>, length: usize, version: u64) {
    if length < versions.len() {
        versions.clear();
    }
    versions.resize(length, version);
}

fn touched_item(fact: &Fact) -> Option<usize> {
    match fact {
        Fact::ItemStarted { item, .. }
        | Fact::ItemProgress { item, .. }
        | Fact::ItemEnded { item, .. }
        | Fact::ItemReturned { item, .. }
        | Fact::ItemReopened { item, .. }
        | Fact::Quarantined { item, .. } => Some(*item),
        _ => None,
    }
}

fn touched_question(fact: &Fact) -> Option<u64> {
    match fact {
        Fact::QuestionQueued { question, .. }
        | Fact::QuestionWaits { question, .. }
        | Fact::QuestionSent { question, .. }
        | Fact::QuestionHedged { question, .. }
        | Fact::QuestionStarted { question, .. }
        | Fact::QuestionProgress { question, .. }
        | Fact::QuestionStalled { question, .. }
        | Fact::QuestionRetried { question, .. } => Some(*question),
        Fact::QuestionSettled(settled) => Some(settled.question),
        _ => None,
    }
}

fn touched_worker(fact: &Fact) -> Option<usize> {
    match fact {
        Fact::WorkerStarted { worker, .. }
        | Fact::WorkerReady { worker, .. }
        | Fact::WorkerEnded { worker, .. }
        | Fact::ItemStarted { worker, .. }
        | Fact::ItemReturned { worker, .. } => Some(*worker),
        Fact::ItemEnded { worker, .. } => *worker,
        _ => None,
    }
}

/// What has changed. As JSON: the members of a timeline that are small, whole; of its lists the rows that are new or other
/// than before, each as `[place, row]`; and of lists that only grow, what follows from a place on.
pub(super) struct Patch<'a> {
    picture: &'a Picture,
    since: u64,
}

impl Serialize for Patch<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (picture, timeline) = (self.picture, &self.picture.timeline);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("full", &(self.since == 0))?;
        map.serialize_entry("version", &picture.version)?;
        map.serialize_entry("now", &micros(timeline.now))?;
        map.serialize_entry("continued", &timeline.continued)?;
        map.serialize_entry("run", &timeline.run)?;
        map.serialize_entry("plan", &timeline.plan)?;
        map.serialize_entry("phases", &timeline.phases)?;
        map.serialize_entry("census", &timeline.census)?;
        map.serialize_entry("totals", &timeline.totals)?;
        map.serialize_entry("level", &timeline.level)?;
        map.serialize_entry("paused", &timeline.paused)?;
        map.serialize_entry("alerts", &timeline.alerts)?;
        map.serialize_entry("ended", &timeline.ended)?;
        map.serialize_entry("sample", &picture.sample)?;
        map.serialize_entry("left_out", &timeline.left_out)?;
        let rows = |versions| self.changed(versions);
        map.serialize_entry(
            "rows",
            &Rows {
                workers: rows(&picture.workers).map(|at| (at, &timeline.workers[at])).collect(),
                items: rows(&picture.items).map(|at| (at, &timeline.items[at])).collect(),
                questions: rows(&picture.questions).map(|at| (at, &timeline.questions[at])).collect(),
            },
        )?;
        map.serialize_entry(
            "tails",
            &Tails {
                limits: self.tail(&picture.limits, &timeline.limits),
                marks: self.tail(&picture.marks, &timeline.marks),
                samples: self.tail(&picture.samples, &timeline.samples),
            },
        )?;
        map.end()
    }
}

#[derive(Serialize)]
struct Rows<'a> {
    workers: Vec<(usize, &'a convoke_runtime::timeline::Worker)>,
    items: Vec<(usize, &'a convoke_runtime::timeline::Item)>,
    questions: Vec<(usize, &'a convoke_runtime::timeline::Question)>,
}

#[derive(Serialize)]
struct Tails<'a> {
    limits: (usize, &'a [convoke_runtime::timeline::Limit]),
    marks: (usize, &'a [convoke_runtime::timeline::Mark]),
    samples: (usize, &'a [convoke_runtime::timeline::Sampled]),
}

impl Patch<'_> {
    fn changed<'b>(&'b self, versions: &'b [u64]) -> impl Iterator<Item = usize> + 'b {
        versions.iter().enumerate().filter(|(_, version)| **version > self.since).map(|(at, _)| at)
    }

    /// From where on it is new, and what is there.
    fn tail<'b, T>(&self, versions: &[u64], rows: &'b [T]) -> (usize, &'b [T]) {
        let from = versions.iter().position(|version| *version > self.since).unwrap_or(rows.len());
        (from, rows.get(from..).unwrap_or_default())
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use convoke_runtime::event::Settled;
    use convoke_runtime::question::Tier;
    use convoke_runtime::work::{Census, Outcome, Status};
    use serde_json::{Value, json};

    use super::*;

    /// What a page does with a patch.
    fn apply(seen: &mut Value, patch: &Value) {
        if patch["full"] == true {
            *seen = json!({});
        }
        for (name, value) in patch.as_object().unwrap() {
            match name.as_str() {
                "rows" => {
                    for (list, rows) in value.as_object().unwrap() {
                        if seen[list].is_null() {
                            seen[list] = json!([]);
                        }
                        let list = seen[list].as_array_mut().unwrap();
                        for row in rows.as_array().unwrap() {
                            let place = usize::try_from(row[0].as_u64().unwrap()).unwrap();
                            list.resize(list.len().max(place + 1), Value::Null);
                            list[place] = row[1].clone();
                        }
                    }
                }
                "tails" => {
                    for (list, tail) in value.as_object().unwrap() {
                        if seen[list].is_null() {
                            seen[list] = json!([]);
                        }
                        let list = seen[list].as_array_mut().unwrap();
                        list.truncate(usize::try_from(tail[0].as_u64().unwrap()).unwrap());
                        list.extend(tail[1].as_array().unwrap().iter().cloned());
                    }
                }
                "full" | "version" => {}
                _ => seen[name] = value.clone(),
            }
        }
    }

    fn facts() -> Vec<Fact> {
        let mut facts = Vec::new();
        for worker in 0..3 {
            facts.push(Fact::WorkerStarted { worker, segment: format!("s{worker}") });
        }
        for item in 0..30 {
            let (worker, question) = (item % 3, item as u64);
            let label = format!("item {item}");
            facts.push(Fact::ItemStarted { worker, item, id: label.clone(), label, group: None, attempt: 1 });
            let role = "reviewer".to_owned();
            // It is never sent, and goes with its item.
            let never_sent = question + 100;
            let tier = Tier::Speed;
            facts.push(Fact::QuestionQueued { question: never_sent, item, role: role.clone(), tier });
            facts.push(Fact::QuestionQueued { question, item, role: role.clone(), tier: Tier::Speed });
            facts.push(Fact::QuestionWaits { question, item, reason: "quota".into(), lasts: None });
            let model = "model".to_owned();
            facts.push(Fact::QuestionSent { question, item, model, backend: "anthropic".into(), attempt: 1 });
            facts.push(Fact::QuestionStarted { question, item, after: Duration::from_millis(3) });
            facts.push(Fact::LimitChanged {
                account: "anthropic".to_owned(),
                limit: item,
                before: 1,
                reason: "grew".to_owned(),
            });
            facts.push(Fact::Sampled(Box::default()));
            let settled = Settled { question, item, by: "model".to_owned(), role, ..Settled::default() };
            facts.push(Fact::QuestionSettled(Box::new(settled)));
            if item == 7 {
                facts.push(Fact::ItemReturned { worker, item, reason: "its worker died".to_owned() });
                continue;
            }
            let (worker, took) = (Some(worker), Duration::from_millis(9));
            let outcome = if item % 10 == 4 { Outcome::Failed("bad luck".to_owned()) } else { Outcome::Done };
            facts.push(Fact::ItemEnded { worker, item, outcome: outcome.clone(), took });
            if item == 14 {
                facts.push(Fact::ItemReopened { item, was: outcome, reason: "requeued by somebody".to_owned() });
            }
            if item == 3 {
                let settled = Settled { question: never_sent, item, by: "cache".to_owned(), ..Settled::default() };
                facts.push(Fact::QuestionSettled(Box::new(settled)));
            }
            facts.push(Fact::Warned { message: "<img src=x onerror=alert(1)>\n".to_owned() });
        }
        let (model, backend) = ("model".to_owned(), "anthropic".into());
        facts.push(Fact::QuestionSent { question: 999, item: 7, model, backend, attempt: 1 });
        facts.push(Fact::WorkerEnded { worker: 1, died: Some("it trapped".to_owned()) });
        facts.push(Fact::Ended { census: Census::default(), status: Status::Degraded });
        facts
    }

    /// Whoever looks after every so many events sees the same as who looks at the whole.
    #[test]
    fn what_changed_adds_up_to_the_whole_however_often_one_looks() {
        for every in [1, 2, 7, 50, 1_000] {
            let (mut picture, mut seen, mut version) = (Picture::default(), json!({}), 0);
            let look = |picture: &Picture, seen: &mut Value, version: &mut u64| {
                apply(seen, &serde_json::to_value(picture.since(*version)).unwrap());
                *version = picture.version();
            };
            for (at, fact) in facts().into_iter().enumerate() {
                picture.hear(&Event { at: Duration::from_millis(at as u64), fact });
                if at % every == 0 {
                    look(&picture, &mut seen, &mut version);
                }
            }
            look(&picture, &mut seen, &mut version);
            let mut whole = serde_json::to_value(picture.timeline()).unwrap();
            // What is left out of the whole is said as null, so that it takes away what was there.
            whole.as_object_mut().unwrap().entry("paused").or_insert(Value::Null);
            whole["sample"] = json!(Sample::default());
            assert_eq!(seen, whole, "looking after every {every}");
        }
    }

    #[test]
    fn samples_that_were_thinned_out_are_told_anew() {
        let (mut picture, mut seen, mut version) = (Picture::default(), json!({}), 0);
        for at in 0..9_000_u64 {
            let sample = Sample { cpu: Some(at as f64), ..Sample::default() };
            picture.hear(&Event { at: Duration::from_secs(at), fact: Fact::Sampled(Box::new(sample)) });
            if at % 100 == 0 {
                apply(&mut seen, &serde_json::to_value(picture.since(version)).unwrap());
                version = picture.version();
            }
        }
        apply(&mut seen, &serde_json::to_value(picture.since(version)).unwrap());
        assert_eq!(seen["samples"], serde_json::to_value(&picture.timeline().samples).unwrap());
        assert!(picture.timeline().samples.len() < 9_000);
    }

    #[test]
    fn who_has_seen_all_gets_no_rows() {
        let mut picture = Picture::default();
        for fact in facts() {
            picture.hear(&Event { at: Duration::ZERO, fact });
        }
        let patch = serde_json::to_value(picture.since(picture.version())).unwrap();
        assert_eq!(patch["rows"], json!({ "workers": [], "items": [], "questions": [] }));
        assert_eq!(patch["tails"]["marks"][1], json!([]));
    }
}
