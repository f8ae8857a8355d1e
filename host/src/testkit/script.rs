//! Who answers the questions of a case.
//!
//! Every question goes through [`Script`], which finds what it is to be answered, and then the way of all questions: route,
//! scan, schema, fallback. At its end stands an instance that says what was found. What a question fails with is how it
//! ends: it is not asked again, and the item is not done again, so that it does not matter what the others do meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use convoke_made::{Chance, Maker, prose};
use convoke_runtime::backend::offline::Offline;
use convoke_runtime::backend::{Answer, Backend, Instance, Listener, Profile, Request};
use convoke_runtime::broker::{Asker, Broker, BrokerConfig, InMemory};
use convoke_runtime::event::Events;
use convoke_runtime::question::{Failure, FailureKind, Question, Reply, StreamEvent, Usage};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::json;

use super::case::{Case, Fault, Given, Rule};
use crate::plugin::sha256_hex;
use crate::report::clean;
use crate::run::answers::Asks;

/// The model that answers in a case, by the name that plugins see.
pub const MODEL: &str = "made-up";

/// So much of a prompt's first line is kept, in characters.
const FIRST_LINE: usize = 120;

/// How many words an answer without a schema has.
const WORDS: usize = 12;

tokio::task_local! {
    /// What the question that is under way is answered.
    static ANSWER: Said;
}

/// What is said to a question.
#[derive(Clone, Debug)]
enum Said {
    Text(String),
    Made(Chance),
    Failed(FailureKind, String),
}

/// A question that a case was asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Asked {
    /// By which item.
    pub item: String,
    /// Who was asked.
    pub role: String,
    /// Which kind of instance.
    pub tier: &'static str,
    /// The beginning of the prompt.
    pub first_line: String,
    /// The sha-256 of all its texts, in hex.
    pub sha256: String,
    /// What it was answered: `text`, `from-schema`, `fallback`, a fault, `cassette`, or `none`.
    pub answer: &'static str,
}

/// A question that no answer was for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unexpected {
    /// By which item.
    pub item: String,
    /// Who was asked.
    pub role: String,
    /// The prompt.
    pub prompt: String,
    /// Why there was no answer.
    pub why: String,
}

/// The answers of one run of a case.
pub struct Script {
    rules: Vec<Rule>,
    default: Given,
    seed: u64,
    /// Whether a recording answers.
    is_taped: bool,
    /// Who answers where there is no model.
    nobody: Broker,
    so_far: Mutex<SoFar>,
}

#[derive(Default)]
struct SoFar {
    /// How often an item was given what a rule gives.
    given: HashMap<(usize, String), u32>,
    /// How many answers were made for an item, by role.
    made: HashMap<(String, String), u64>,
    asked: Vec<Asked>,
    unexpected: Vec<Unexpected>,
}

impl Script {
    /// For one run. Must be used inside of a tokio runtime.
    pub fn new(case: &Case) -> Self {
        let nobody: Vec<Arc<dyn Backend>> = vec![Arc::new(Offline)];
        Self {
            rules: case.rules.clone(),
            default: case.default.clone(),
            seed: case.seed,
            is_taped: case.cassette.is_some(),
            nobody: Broker::new(nobody, Arc::new(InMemory::default()), Events::new(), BrokerConfig::default()),
            so_far: Mutex::default(),
        }
    }

    /// What was asked, in an order that does not depend on who was first.
    pub fn asked(&self) -> Vec<Asked> {
        let mut asked = self.so_far().asked.clone();
        asked.sort();
        asked
    }

    /// The questions that no answer was for, in such an order.
    pub fn unexpected(&self) -> Vec<Unexpected> {
        let mut unexpected = self.so_far().unexpected.clone();
        unexpected.sort();
        unexpected
    }

    fn so_far(&self) -> MutexGuard<'_, SoFar> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a question is answered, and that it was asked.
    fn decide(&self, asker: &Asker, question: &Question, tier: &'static str) -> Given {
        let texts = [question.prompt.as_str(), question.context.as_deref().unwrap_or_default()];
        let mut so_far = self.so_far();
        let given = self.rules.iter().enumerate().find_map(|(number, rule)| {
            if !rule.fits(&asker.item_id, &question.role, &texts) {
                return None;
            }
            let given = so_far.given.entry((number, asker.item_id.to_string())).or_default();
            if rule.times.is_some_and(|times| *given >= times) {
                return None;
            }
            *given += 1;
            Some(rule.given.clone())
        });
        let given = given.unwrap_or_else(|| self.default.clone());
        let answer = if self.is_taped { "cassette" } else { name(&given) };
        so_far.asked.push(asked(asker, question, tier, answer));
        given
    }

    /// What the instance says. The same question of an item is answered the same, whatever others ask.
    fn said(&self, asker: &Asker, question: &Question, given: Given) -> Said {
        match given {
            Given::Text(text) => Said::Text(text),
            Given::Made | Given::Fallback => {
                let key = (asker.item_id.to_string(), question.role.clone());
                let number = {
                    let mut so_far = self.so_far();
                    let made = so_far.made.entry(key).or_default();
                    *made += 1;
                    *made
                };
                let name = format!("{}\n{}\n{number}", asker.item_id, question.role);
                Said::Made(Chance::of(&name, self.seed))
            }
            Given::Fault(fault) => {
                let (kind, words) = failure(fault);
                Said::Failed(kind, format!("{words}: the case says so"))
            }
            Given::Refuse => {
                Said::Failed(FailureKind::NotRecorded, "no answer of the case fits this question".to_owned())
            }
        }
    }
}

impl Asks for Script {
    fn ask<'a>(
        &'a self,
        broker: &'a Broker,
        asker: &'a Asker,
        question: Question,
        listener: &'a mut (dyn FnMut(StreamEvent) + Send),
    ) -> BoxFuture<'a, Result<Reply, Failure>> {
        async move {
            let (tier, _) = broker.tier_of(&asker.command, &question);
            let given = self.decide(asker, &question, tier.name());
            let (role, prompt) = (question.role.clone(), question.prompt.clone());
            let answered = if self.is_taped {
                broker.ask(asker, question, listener).await
            } else if given == Given::Fallback {
                self.nobody.ask(asker, question, listener).await
            } else {
                let said = self.said(asker, &question, given);
                // Of two equal questions each has its own answer: which of them comes first is chance.
                let question = Question { repeatable: false, ..question };
                ANSWER.scope(said, broker.ask(asker, question, listener)).await
            };
            if let Err(Failure { kind: FailureKind::NotRecorded, message: why, .. }) = &answered {
                let unexpected = Unexpected { item: asker.item_id.to_string(), role, prompt, why: why.clone() };
                self.so_far().unexpected.push(unexpected);
            }
            answered
        }
        .boxed()
    }

    fn does_again(&self) -> bool {
        self.is_taped
    }
}

fn asked(asker: &Asker, question: &Question, tier: &'static str, answer: &'static str) -> Asked {
    let Question { role, system, prompt, context, schema, tools, .. } = question;
    let whole = json!({ "system": system, "context": context, "prompt": prompt, "schema": schema, "tools": tools });
    let first = prompt.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Asked {
        item: asker.item_id.to_string(),
        role: role.clone(),
        tier,
        first_line: clean::bounded(first.trim(), FIRST_LINE).into_owned(),
        sha256: sha256_hex(whole.to_string().as_bytes()),
        answer,
    }
}

fn name(given: &Given) -> &'static str {
    match given {
        Given::Text(_) => "text",
        Given::Made => "from-schema",
        Given::Fallback => "fallback",
        Given::Fault(Fault::Overloaded) => "overloaded",
        Given::Fault(Fault::Timeout) => "timeout",
        Given::Fault(Fault::OffSchema) => "off-schema",
        Given::Fault(Fault::Refused) => "refused",
        Given::Fault(Fault::Cut) => "cut",
        Given::Refuse => "none",
    }
}

fn failure(fault: Fault) -> (FailureKind, &'static str) {
    match fault {
        Fault::Overloaded => (FailureKind::Overloaded, "the provider has too much to do"),
        Fault::Timeout => (FailureKind::TimedOut, "no answer came in time"),
        Fault::OffSchema => (FailureKind::OffSchema, "the answer does not fit the question's schema"),
        Fault::Refused => (FailureKind::Refused, "the model would not answer"),
        Fault::Cut => (FailureKind::Cut, "the answer broke off"),
    }
}

/// The instances of a case: they say what [`Script`] has found.
#[derive(Clone, Copy, Debug, Default)]
pub struct MadeUp;

impl Backend for MadeUp {
    fn name(&self) -> &'static str {
        "made-up"
    }

    /// How it fails is how the question ends, and nothing is paid.
    fn replays(&self) -> bool {
        true
    }

    fn account(&self) -> &str {
        "made-up"
    }

    fn start<'a>(&'a self, _: &'a Profile) -> BoxFuture<'a, Result<Box<dyn Instance>, Failure>> {
        let instance: Box<dyn Instance> = Box::new(*self);
        std::future::ready(Ok(instance)).boxed()
    }
}

impl Instance for MadeUp {
    fn ask<'a>(&'a mut self, request: &'a Request, listener: Listener<'a>) -> BoxFuture<'a, Result<Answer, Failure>> {
        let said = ANSWER.try_with(Clone::clone);
        async move {
            let unknown = || Failure::new(FailureKind::NotRecorded, "nobody has said what this question is answered");
            let text = match said.map_err(|_| unknown())? {
                Said::Text(text) => text,
                Said::Made(mut chance) => match &request.schema {
                    Some(schema) => Maker::new(schema, 1..=2, &mut chance).make().to_string(),
                    None => prose(WORDS, &mut chance),
                },
                Said::Failed(kind, message) => return Err(Failure::new(kind, message)),
            };
            listener(StreamEvent::Started);
            listener(StreamEvent::Text(text.clone()));
            let (model, usage) = (MODEL.to_owned(), Usage::default());
            Ok(Answer { text, model, usage, truncated: false, limits: None, edits: Vec::new() })
        }
        .boxed()
    }

    fn survived(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use convoke_runtime::question::AnsweredBy;

    use super::*;
    use crate::testkit::case::tests::case;

    struct Kit {
        script: Script,
        broker: Broker,
    }

    impl Kit {
        fn new(text: &str) -> Self {
            let backends: Vec<Arc<dyn Backend>> = vec![Arc::new(MadeUp)];
            let ledger = Arc::new(InMemory::default());
            let broker = Broker::new(backends, ledger, Events::new(), BrokerConfig::default());
            Self { script: Script::new(&case(text)), broker }
        }

        async fn ask(&self, item: &str, question: Question) -> Result<Reply, Failure> {
            let asker = Asker { command: Arc::from("c"), item: 0, item_id: Arc::from(item), again: false };
            self.script.ask(&self.broker, &asker, question, &mut |_| ()).await
        }

        async fn text(&self, item: &str) -> String {
            self.ask(item, question()).await.unwrap().text
        }
    }

    fn question() -> Question {
        Question {
            role: "reviewer".to_owned(),
            prompt: "\n  How is it?\nSay it.".to_owned(),
            repeatable: true,
            fallback: Some("as always".to_owned()),
            ..Question::default()
        }
    }

    #[tokio::test]
    async fn the_first_that_fits_answers_and_so_often_for_each_item() {
        let kit = Kit::new(
            "[[answer]]\nitem = \"a*\"\ntimes = 1\ntext = \"first\"\n[[answer]]\nitem = \"a*\"\ntext = \"then\"\n\
             [[answer]]\ntext = \"others\"",
        );
        assert_eq!([kit.text("a1").await, kit.text("a1").await, kit.text("a1").await], ["first", "then", "then"]);
        assert_eq!([kit.text("a2").await, kit.text("b").await], ["first", "others"]);
    }

    #[tokio::test]
    async fn what_nobody_expected_fails_and_no_fallback_hides_it() {
        let kit = Kit::new("");
        let failure = kit.ask("a", question()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::NotRecorded);
        let asked = kit.script.asked();
        assert_eq!((asked[0].answer, asked[0].first_line.as_str()), ("none", "How is it?"));
        assert_eq!(kit.script.unexpected()[0].prompt, question().prompt);
    }

    #[tokio::test]
    async fn a_fallback_is_that_of_offline_and_a_fault_uses_it_unasked() {
        let kit = Kit::new("[default]\nanswer = \"fallback\"");
        let reply = kit.ask("a", question()).await.unwrap();
        assert_eq!((reply.text.as_str(), reply.unasked_fallback), ("as always", false));
        assert!(matches!(reply.by, AnsweredBy::Fallback(_)));
        for fault in ["overloaded", "timeout", "off-schema", "refused", "cut"] {
            let kit = Kit::new(&format!("[[answer]]\nfault = \"{fault}\""));
            let reply = kit.ask("a", question()).await.unwrap();
            assert_eq!((reply.text.as_str(), reply.unasked_fallback), ("as always", true), "{fault}");
            assert!(matches!(reply.by, AnsweredBy::Fallback(why) if why.contains("the case says so")), "{fault}");
            assert_eq!(kit.script.asked()[0].answer, fault);
        }
    }

    #[tokio::test]
    async fn what_is_made_fits_the_schema_and_depends_on_nothing_but_who_asks_what() {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"],
            "additionalProperties": false});
        let asking = || Question { schema: Some(schema.clone()), fallback: None, ..question() };
        let kit = Kit::new("[default]\nanswer = \"from-schema\"");
        let one = kit.ask("a", asking()).await.unwrap();
        assert_eq!(one.by, AnsweredBy::Model(MODEL.to_owned()));
        let value: serde_json::Value = serde_json::from_str(&one.text).unwrap();
        assert!(value["n"].is_i64());
        let again = Kit::new("[default]\nanswer = \"from-schema\"");
        again.ask("b", asking()).await.unwrap();
        assert_eq!(again.ask("a", asking()).await.unwrap().text, one.text);
        let other = Kit::new("seed = 1\n[default]\nanswer = \"from-schema\"");
        assert_ne!(other.ask("a", asking()).await.unwrap().text, one.text);
    }

    #[tokio::test]
    async fn an_answer_that_does_not_fit_is_none() {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
        let kit = Kit::new("[[answer]]\ntext = \"not JSON\"");
        let question = Question { schema: Some(schema), fallback: None, ..question() };
        assert_eq!(kit.ask("a", question).await.unwrap_err().kind, FailureKind::OffSchema);
    }

    #[tokio::test]
    async fn what_was_asked_is_in_one_order_whoever_was_first() {
        let (one, other) = (Kit::new("[[answer]]\ntext = \"x\""), Kit::new("[[answer]]\ntext = \"x\""));
        for item in ["a", "b", "c"] {
            one.text(item).await;
        }
        for item in ["c", "a", "b"] {
            other.text(item).await;
        }
        assert_eq!(one.script.asked(), other.script.asked());
    }
}
