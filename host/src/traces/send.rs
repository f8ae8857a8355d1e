//! Sends what has come about, many at once, and counts what was taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry_otlp::{LogExporter, Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter as _, SdkLogRecord};
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use prost::Message;
use reqwest::Url;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::client::{Client, Last, Refused};
use super::settings::Target;

/// So many go together.
const AT_ONCE: usize = 512;

/// So long is waited until there are so many.
const AT_LATEST: Duration = Duration::from_secs(2);

/// So often the same is sent again while the run goes on.
const AGAIN: u32 = 4;

/// How long is waited before the first time; then twice as long each.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// How long a collector may make us wait.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// So many wait to be sent. What comes beyond that is lost.
const MOST_WAITING: usize = 16_384;

/// How long is waited at the end for what is still to be sent.
const FLUSH: Duration = Duration::from_secs(5);

/// What can be sent.
pub(super) trait Signal: Send + Sync + 'static {
    /// One of many.
    type Item: Send + Sync + 'static;

    /// What they are called.
    const NAME: &'static str;

    /// Posts them. How many of them the collector says that it did not take, although it took the others.
    ///
    /// # Errors
    /// It took none.
    fn post(&self, batch: &[Self::Item]) -> impl Future<Output = Result<u64, Refused>> + Send;
}

/// An exporter to this collector.
fn set<B: WithExportConfig + WithHttpConfig>(builder: B, to: &Target, client: &Client) -> B {
    builder
        .with_http_client(client.clone())
        .with_endpoint(to.endpoint.as_str())
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(to.timeout)
        // Its own way to wait holds up a thread of the run.
        .with_retry_policy(RetryPolicy::disabled())
}

/// Spans of traces.
pub(super) struct Spans {
    exporter: SpanExporter,
    client: Client,
}

impl Spans {
    /// # Errors
    /// Why they can't be sent, in words for the user.
    pub(super) fn new(target: &Target, resource: &Resource) -> Result<Self, String> {
        let client = Client::new(&target.endpoint, target.timeout)?;
        let built = set(SpanExporter::builder().with_http(), target, &client).build();
        let mut exporter = built.map_err(|error| error.to_string())?;
        exporter.set_resource(resource);
        Ok(Self { exporter, client })
    }
}

impl Signal for Spans {
    type Item = SpanData;

    const NAME: &'static str = "spans of traces";

    async fn post(&self, batch: &[SpanData]) -> Result<u64, Refused> {
        let sent = self.exporter.export(batch.to_vec()).await;
        came(sent, self.client.last(), |answer| {
            let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
            answer.partial_success.map_or(0, |partly| partly.rejected_spans)
        })
    }
}

/// Lines of logs.
pub(super) struct Lines {
    exporter: LogExporter,
    client: Client,
    scope: InstrumentationScope,
}

impl Lines {
    /// # Errors
    /// Why they can't be sent, in words for the user.
    pub(super) fn new(target: &Target, resource: &Resource) -> Result<Self, String> {
        let client = Client::new(&target.endpoint, target.timeout)?;
        let built = set(LogExporter::builder().with_http(), target, &client).build();
        let mut exporter = built.map_err(|error| error.to_string())?;
        exporter.set_resource(resource);
        let scope = InstrumentationScope::builder("convoke").with_version(env!("CARGO_PKG_VERSION")).build();
        Ok(Self { exporter, client, scope })
    }
}

impl Signal for Lines {
    type Item = SdkLogRecord;

    const NAME: &'static str = "lines of logs";

    async fn post(&self, batch: &[SdkLogRecord]) -> Result<u64, Refused> {
        let records: Vec<_> = batch.iter().map(|record| (record, &self.scope)).collect();
        let sent = self.exporter.export(LogBatch::new(&records)).await;
        came(sent, self.client.last(), |answer| {
            let answer = ExportLogsServiceResponse::decode(answer).unwrap_or_default();
            answer.partial_success.map_or(0, |partly| partly.rejected_log_records)
        })
    }
}

/// What came of a post.
fn came(sent: OTelSdkResult, last: Last, rejected: impl Fn(&[u8]) -> i64) -> Result<u64, Refused> {
    match (sent, last.refused) {
        (Ok(()), None) => Ok(u64::try_from(rejected(&last.answer)).unwrap_or(0)),
        (_, Some(refused)) => Err(refused),
        // It was not even posted.
        (Err(error), None) => Err(Refused { said: error.to_string(), passes: false, wait: None }),
    }
}

/// How many there were, and how many a collector has.
#[derive(Debug, Default)]
struct Counts {
    made: AtomicU64,
    taken: AtomicU64,
}

/// Where what is to be sent is left.
pub(super) struct Outlet<T> {
    to: mpsc::Sender<T>,
    counts: Arc<Counts>,
}

impl<T> Clone for Outlet<T> {
    fn clone(&self) -> Self {
        Self { to: self.to.clone(), counts: self.counts.clone() }
    }
}

impl<T> Outlet<T> {
    /// Never waits: the run would wait too. Where there is no room it is lost, and counted as such at the end.
    pub(super) fn give(&self, one: T) {
        self.counts.made.fetch_add(1, Ordering::Relaxed);
        let _ = self.to.try_send(one);
    }
}

/// What is on its way.
pub(super) struct Sending {
    task: JoinHandle<Option<String>>,
    counts: Arc<Counts>,
    name: &'static str,
    to: String,
}

impl Sending {
    /// Sends what is given until all outlets are gone. `over`: the runs have ended, and nothing is waited for any more.
    pub(super) fn begin<S: Signal>(signal: S, to: &Url, over: CancellationToken) -> (Outlet<S::Item>, Self) {
        let (outlet, waiting) = mpsc::channel(MOST_WAITING);
        let counts = Arc::new(Counts::default());
        let sender = Sender { signal, counts: counts.clone(), over, trouble: None };
        let task = tokio::spawn(sender.send(waiting));
        let sending = Self { task, counts: counts.clone(), name: S::NAME, to: shown(to) };
        (Outlet { to: outlet, counts }, sending)
    }

    /// Waits for what is still on its way, but not for long. What it returns is said to the user.
    pub(super) async fn end(mut self) -> Option<String> {
        let why = match timeout(FLUSH, &mut self.task).await {
            Ok(why) => why.ok().flatten(),
            Err(_) => {
                self.task.abort();
                Some(format!("not all could be sent within {} s of the end", FLUSH.as_secs()))
            }
        };
        let (made, taken) = (self.counts.made.load(Ordering::Relaxed), self.counts.taken.load(Ordering::Relaxed));
        let lost = made.saturating_sub(taken);
        let why = why.unwrap_or_else(|| "there were more than could wait to be sent".to_owned());
        (lost > 0).then(|| format!("{lost} of {made} {} did not reach {}: {why}", self.name, self.to))
    }
}

struct Sender<S> {
    signal: S,
    counts: Arc<Counts>,
    over: CancellationToken,
    /// Why something was lost, the first time.
    trouble: Option<String>,
}

impl<S: Signal> Sender<S> {
    async fn send(mut self, mut waiting: mpsc::Receiver<S::Item>) -> Option<String> {
        let mut batch = Vec::new();
        while waiting.recv_many(&mut batch, AT_ONCE).await > 0 {
            self.fill(&mut batch, &mut waiting).await;
            self.batch(&batch).await;
            batch.clear();
        }
        self.trouble
    }

    /// Waits for more to send at once.
    async fn fill(&self, batch: &mut Vec<S::Item>, waiting: &mut mpsc::Receiver<S::Item>) {
        let latest = Instant::now() + AT_LATEST;
        while batch.len() < AT_ONCE {
            let room = AT_ONCE - batch.len();
            tokio::select! {
                biased;
                more = waiting.recv_many(batch, room) => if more == 0 { return },
                // Once all is over no more than the rest comes, and that at once.
                () = sleep_until(latest), if !self.over.is_cancelled() => return,
                () = self.over.cancelled(), if !self.over.is_cancelled() => {}
            }
        }
    }

    async fn batch(&mut self, batch: &[S::Item]) {
        let mut wait = FIRST_WAIT;
        for again in 0..=AGAIN {
            let refused = match self.signal.post(batch).await {
                Ok(rejected) => {
                    self.taken(batch.len() as u64, rejected);
                    return;
                }
                Err(refused) => refused,
            };
            // At the end once more is enough: the user waits.
            let last = if self.over.is_cancelled() { 1 } else { AGAIN };
            if !refused.passes || again >= last {
                self.trouble.get_or_insert(refused.said);
                return;
            }
            let asked = refused.wait.unwrap_or_default().min(LONGEST_WAIT);
            tokio::select! {
                () = sleep(wait.max(asked)) => {}
                () = self.over.cancelled(), if !self.over.is_cancelled() => {}
            }
            wait *= 2;
        }
    }

    fn taken(&mut self, count: u64, rejected: u64) {
        let rejected = rejected.min(count);
        if rejected > 0 {
            self.trouble.get_or_insert_with(|| "the collector rejected them".to_owned());
        }
        self.counts.taken.fetch_add(count - rejected, Ordering::Relaxed);
    }
}

/// The collector's address as it may be shown.
fn shown(endpoint: &Url) -> String {
    let mut shown = endpoint.clone();
    // Those of a URL that has a host can be removed.
    let _ = (shown.set_username(""), shown.set_password(None));
    shown.set_query(None);
    shown.to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// What a collector does with a post; none: it hangs.
    type Act = Option<Result<u64, Refused>>;

    /// A collector that does so, and the last again and again.
    #[derive(Clone)]
    struct Scripted {
        script: Arc<Mutex<Vec<Act>>>,
        posts: Arc<AtomicU64>,
    }

    impl Scripted {
        fn new(script: impl IntoIterator<Item = Act>) -> Self {
            let mut script: Vec<_> = script.into_iter().collect();
            script.reverse();
            Self { script: Arc::new(Mutex::new(script)), posts: Arc::default() }
        }

        fn posts(&self) -> u64 {
            self.posts.load(Ordering::Relaxed)
        }
    }

    impl Signal for Scripted {
        type Item = u32;

        const NAME: &'static str = "numbers";

        async fn post(&self, _batch: &[u32]) -> Result<u64, Refused> {
            self.posts.fetch_add(1, Ordering::Relaxed);
            let now = {
                let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
                if script.len() > 1 { script.pop().unwrap() } else { script[0].clone() }
            };
            match now {
                Some(came) => came,
                None => std::future::pending().await,
            }
        }
    }

    fn refused(passes: bool) -> Act {
        Some(Err(Refused { said: "it is busy".to_owned(), passes, wait: Some(Duration::from_secs(3)) }))
    }

    fn url() -> Url {
        Url::parse("http://me:secret@c:4318/v1/traces?key=secret").unwrap()
    }

    /// What is said when so many were given while the run went on for a minute, and how long its end took.
    async fn said(signal: &Scripted, count: u32) -> (Option<String>, Duration) {
        let over = CancellationToken::new();
        let (outlet, sending) = Sending::begin(signal.clone(), &url(), over.clone());
        (0..count).for_each(|number| outlet.give(number));
        sleep(Duration::from_secs(60)).await;
        over.cancel();
        drop(outlet);
        let ended = Instant::now();
        (sending.end().await, ended.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_sent_again_as_late_as_the_collector_says() {
        let signal = Scripted::new([refused(true), refused(true), Some(Ok(0))]);
        assert_eq!(said(&signal, 700).await, (None, Duration::ZERO));
        assert_eq!(signal.posts(), 4, "512 three times, and the rest");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_pass_is_given_up_and_said_without_what_is_secret_in_the_address() {
        let signal = Scripted::new([refused(false), Some(Ok(0))]);
        let (text, _) = said(&signal, 700).await;
        assert_eq!(text.unwrap(), "512 of 700 numbers did not reach http://c:4318/v1/traces: it is busy");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_collector_rejects_is_counted() {
        let (text, _) = said(&Scripted::new([Some(Ok(2)), Some(Ok(0))]), 5).await;
        assert_eq!(text.unwrap(), "2 of 5 numbers did not reach http://c:4318/v1/traces: the collector rejected them");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_is_waited_for_five_seconds_and_holds_nobody_up_before() {
        let (text, took) = said(&Scripted::new([None]), 20_000).await;
        assert_eq!(took, FLUSH);
        assert!(text.unwrap().starts_with("20000 of 20000 numbers did not reach "));
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_once_more_is_enough() {
        let (signal, over) = (Scripted::new([refused(true)]), CancellationToken::new());
        let (outlet, sending) = Sending::begin(signal.clone(), &url(), over.clone());
        over.cancel();
        outlet.give(1);
        drop(outlet);
        assert!(sending.end().await.unwrap().contains("it is busy"));
        assert_eq!(signal.posts(), 2);
    }
}
