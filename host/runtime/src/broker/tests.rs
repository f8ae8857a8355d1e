mod adapt;
mod decisions;
mod failures;
mod flow;
mod graphs;
mod hedge;
mod keeper;
mod leader;
mod load;
mod money;
mod outage;
mod pause;
mod recover;
mod responses;
mod secrets;
mod simulated;
mod taped;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::backend::scripted::{Act, Scripted};
use crate::event::{AttemptEnd, Subscription};

/// A broker over a scripted backend, and all that can be seen of it.
struct Bench {
    broker: Arc<Broker>,
    backend: Scripted,
    ledger: Arc<InMemory>,
    events: Subscription,
}

impl Bench {
    fn new(script: impl Fn(usize, &Request) -> Act + Send + Sync + 'static) -> Self {
        Self::with(BrokerConfig::default(), script)
    }

    fn with(config: BrokerConfig, script: impl Fn(usize, &Request) -> Act + Send + Sync + 'static) -> Self {
        let backend = Scripted::new(script);
        Self::over(config, backend.clone(), Arc::new(backend))
    }

    fn over(config: BrokerConfig, backend: Scripted, asked: Arc<dyn Backend>) -> Self {
        let (ledger, stream) = (Arc::new(InMemory::default()), Events::new());
        let events = stream.listen();
        let broker = Arc::new(Broker::new(vec![asked], ledger.clone(), stream, config));
        Self { broker, backend, ledger, events }
    }

    async fn ask(&self, question: Question) -> Result<Reply, Failure> {
        let reply = self.broker.ask(&asker("audit"), question, &mut |_| {}).await;
        self.broker.remembered().await;
        reply
    }

    /// The reply, and what a reader of the stream heard.
    async fn read(&self, question: Question) -> (Result<Reply, Failure>, Vec<StreamEvent>) {
        let mut heard = Vec::new();
        let reply = self.broker.ask(&asker("audit"), question, &mut |event| heard.push(event)).await;
        self.broker.remembered().await;
        (reply, heard)
    }

    /// The names of the facts that were told, in order.
    fn facts(&mut self) -> Vec<String> {
        let mut facts = Vec::new();
        while let Some(event) = self.events.try_recv() {
            let fact = serde_json::to_value(&event.fact).unwrap();
            let detail = ["by", "state", "message"].iter().find_map(|key| fact[key].as_str());
            let name = fact["event"].as_str().unwrap();
            // Each question has these, wherever it goes; `decisions` looks at them.
            if name == "decided" {
                continue;
            }
            facts.push(detail.map_or_else(|| name.to_owned(), |detail| format!("{name} {detail}")));
        }
        facts
    }

    /// The attempts that have ended at the question that was settled last, and how. What the attempts at each question took
    /// is what it took.
    fn attempts(&mut self) -> Vec<(u32, String)> {
        let (mut open, mut last): (Vec<AttemptEnd>, _) = (Vec::new(), Vec::new());
        while let Some(event) = self.events.try_recv() {
            match &event.fact {
                Fact::AttemptEnded(end) => open.push((**end).clone()),
                Fact::QuestionSettled(settled) => {
                    let ended: Vec<_> = open.extract_if(.., |end| end.question == settled.question).collect();
                    let (mut usage, mut uncertain) = (Usage::default(), Usd::ZERO);
                    for end in &ended {
                        usage += end.usage;
                        uncertain += end.uncertain;
                    }
                    assert_eq!((usage, uncertain), (settled.usage, settled.uncertain), "{ended:?}");
                    let came_to = |end: AttemptEnd| (end.attempt, end.failed.map_or("answered".into(), Into::into));
                    last = ended.into_iter().map(came_to).collect();
                }
                _ => {}
            }
        }
        assert!(open.is_empty(), "an attempt that ended after its question: {open:?}");
        last
    }

    fn outcomes(&self) -> Vec<String> {
        self.ledger.records().into_iter().map(|record| record.outcome).collect()
    }
}

fn asker(command: &str) -> Asker {
    Asker { command: command.into(), item: 0, item_id: "agents/a.md".into(), again: false }
}

fn question(prompt: &str) -> Question {
    Question {
        role: "code-reviewer".to_owned(),
        prompt: prompt.to_owned(),
        priority: 4,
        repeatable: true,
        ..Question::default()
    }
}

fn with_fallback(prompt: &str) -> Question {
    Question { fallback: Some("by rules".to_owned()), ..question(prompt) }
}

fn with_schema(prompt: &str) -> Question {
    let schema = json!({"type": "object", "properties": {"good": {"type": "boolean"}}, "required": ["good"]});
    Question { schema: Some(schema), ..question(prompt) }
}

fn instances(instances: usize) -> BrokerConfig {
    let admission = AdmissionConfig { instances, ..AdmissionConfig::default() };
    BrokerConfig { admission, ..BrokerConfig::default() }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
