//! Traces by OTLP: what happens in a run becomes spans, which go to the collector that the environment names; and, where
//! that is asked for, lines of its log with them.
//!
//! The tree is run, segment, item, question, attempt. Times are those of the events, so that a trace says when something
//! happened and not when it was heard of. A collector that is slow or gone costs spans, which is said once, and never
//! time: only at the end there is a wait for what is still to be sent, and that is bounded.
//!
//! Neither prompts nor answers are in it. Reasons, which can hold words of a plugin or a model, are left out unless
//! `[traces] content` is set; see [`config::traces`](crate::config::traces).

mod client;
mod logs;
mod names;
mod send;
mod settings;
mod span;
mod tree;

use std::time::Duration;

use convoke_runtime::event::{Events, Subscription};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use opentelemetry_sdk::trace::SpanData;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::observe::{Observer, Run, Runs};
use crate::report::Report;
use logs::Records;
use send::{Lines, Outlet, Sending, Spans};
use settings::Settings;
use tree::Tree;

/// How often it is looked what was told.
const EVERY: Duration = Duration::from_millis(100);

/// Makes traces of runs.
pub(crate) struct Traces {
    over: CancellationToken,
    hearing: Vec<JoinHandle<()>>,
    sending: Vec<Sending>,
    said: Vec<String>,
}

impl Traces {
    /// None: no collector is named, and nothing is done.
    pub(crate) fn begin(runs: &Runs<'_>, env: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let Settings { spans, logs, resource, trace, notes: mut said } = Settings::of(&env);
        let over = CancellationToken::new();
        let mut sending = Vec::new();
        let spans =
            spans.map(|to| Spans::new(&to, &resource).map(|signal| Sending::begin(signal, &to.endpoint, over.clone())));
        let spans = kept("traces", spans, &mut sending, &mut said);
        let logs =
            logs.map(|to| Lines::new(&to, &resource).map(|signal| Sending::begin(signal, &to.endpoint, over.clone())));
        let logs = kept("logs", logs, &mut sending, &mut said);
        if sending.is_empty() && said.is_empty() {
            return None;
        }
        let content = runs.runs.first().is_some_and(|run| run.settings.traces.content);
        let hear = |run: &Run<'_>| {
            let outlets = (spans.clone(), logs.clone().map(|outlet| Records::new(outlet, content)));
            let tree = Tree::new(trace.clone(), content);
            // It listens from here on, whenever its task comes to run.
            tokio::spawn(hear((run.events.listen(), run.events.clone()), tree, outlets, over.clone()))
        };
        let hearing = if sending.is_empty() { Vec::new() } else { runs.runs.iter().map(hear).collect() };
        Some(Self { over, hearing, sending, said })
    }
}

/// What has begun, and why something has not.
fn kept<T>(
    what: &str,
    begun: Option<Result<(Outlet<T>, Sending), String>>,
    sending: &mut Vec<Sending>,
    said: &mut Vec<String>,
) -> Option<Outlet<T>> {
    match begun? {
        Ok((outlet, task)) => {
            sending.push(task);
            Some(outlet)
        }
        Err(why) => {
            said.push(format!("no {what} are sent: {why}"));
            None
        }
    }
}

impl Observer for Traces {
    fn ended<'a>(&'a mut self, _reports: &'a [&'a Report]) -> BoxFuture<'a, Vec<String>> {
        async move {
            self.over.cancel();
            for task in self.hearing.drain(..) {
                // A task that failed has no more to tell.
                let _ = task.await;
            }
            Vec::new()
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Vec<String>> {
        async move {
            let mut said = self.said;
            // Where the runs came to no report.
            self.over.cancel();
            let lost = join_all(self.sending.into_iter().map(Sending::end)).await;
            said.extend(lost.into_iter().flatten());
            said
        }
        .boxed()
    }
}

/// Hears a run until it is over, and gives away each span that has ended, and each line.
async fn hear(
    (mut heard, events): (Subscription, Events),
    mut tree: Tree,
    (spans, mut logs): (Option<Outlet<SpanData>>, Option<Records>),
    over: CancellationToken,
) {
    let (mut told, mut ended) = (Vec::new(), Vec::new());
    tree.begins(events.started().into());
    let mut goes_on = true;
    while goes_on {
        goes_on = heard.look(EVERY, &over, &mut told).await;
        for event in told.drain(..) {
            tree.hear(&event, &mut ended);
            if let Some(logs) = &mut logs {
                logs.hear(&event, events.started(), spans.is_some().then_some(&tree));
            }
        }
        give(&mut ended, spans.as_ref());
    }
    tree.end(events.elapsed(), &mut ended);
    give(&mut ended, spans.as_ref());
}

fn give(ended: &mut Vec<SpanData>, spans: Option<&Outlet<SpanData>>) {
    let sampled = ended.drain(..).filter(|span| span.span_context.is_sampled());
    if let Some(spans) = spans {
        sampled.for_each(|span| spans.give(span));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use convoke_runtime::event::{Fact, RunFacts};
    use convoke_runtime::journal::Journal;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::project::Project;
    use crate::config::user::User;
    use crate::config::{Choices, Settings};

    /// A collector that takes all. What was sent to it.
    async fn collector() -> (String, Arc<Mutex<Vec<u8>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let took = Arc::<Mutex<Vec<u8>>>::default();
        let taking = took.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let taking = taking.clone();
                tokio::spawn(async move {
                    let mut part = [0; 65_536];
                    while let Ok(read @ 1..) = stream.read(&mut part).await {
                        taking.lock().unwrap().extend_from_slice(&part[..read]);
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                    }
                });
            }
        });
        (address, took)
    }

    #[tokio::test]
    async fn what_is_told_before_its_task_runs_is_heard() {
        let (address, took) = collector().await;
        let (events, journal, steering) = (Events::new(), Journal::in_memory().unwrap(), Arc::default());
        let run = Run {
            name: "audit",
            command: "audit",
            project: std::path::Path::new("/project"),
            events: &events,
            journal: &journal,
            steering: &steering,
            settings: &Settings::put_together(User::default(), Project::default(), Choices::default()),
        };
        let runs = Runs { runs: vec![run], common: None, paths: None };
        let env = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| address.clone());
        let mut traces = Box::new(Traces::begin(&runs, env).expect("a collector is named"));
        // On this one thread no task has run since.
        events.mention(Fact::RunStarted(Box::new(RunFacts {
            run: "0199a7a2-0f3c-7b1e-8a51-8f3a9c01d2e4".to_owned(),
            command: "the-first-fact".to_owned(),
            subcommand: None,
            plugin: "audit".to_owned(),
            version: "0.1.0".to_owned(),
            project: "/project".to_owned(),
            mode: "balanced".to_owned(),
            backend: "offline".to_owned(),
            instances: 1,
            budget: None,
            started: jiff::Timestamp::UNIX_EPOCH,
            continued: false,
            pid: 7,
        })));
        assert_eq!(traces.ended(&[]).await, Vec::<String>::new());
        traces.close().await;
        let took = took.lock().unwrap();
        assert!(took.windows(14).any(|part| part == b"the-first-fact"), "{}", String::from_utf8_lossy(&took));
    }
}
