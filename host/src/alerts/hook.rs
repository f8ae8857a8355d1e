//! Who is told of alerts outside: a webhook, a program, both only from the user's own configuration. One after the other,
//! so that a clear never overtakes its raise.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use tokio::io::{AsyncRead, copy, sink};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::message::Message;
use crate::actions::locate::Programs;
use crate::actions::process::{Machinery, Start};
use crate::config::alerts::Webhook;

/// How long one try may take, and a program.
const TRY: Duration = Duration::from_secs(5);
const PROGRAM: Duration = Duration::from_secs(10);

/// The waits between tries: so many and one more are made.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// So many may wait to be sent. Hysteresis makes them few; more than that would be noise.
const WAITING: usize = 64;

/// How long the end of the process waits for what is still to be sent.
const LAST: Duration = Duration::from_secs(10);

/// Who is told.
#[derive(Debug)]
pub(super) struct Receivers {
    pub(super) webhook: Option<Webhook>,
    pub(super) program: Option<Program>,
}

/// What is run for each alert.
#[derive(Debug)]
pub(super) struct Program {
    /// Its name or whole path, and its arguments.
    pub(super) words: Vec<String>,
    /// Where it is started.
    pub(super) folder: PathBuf,
    pub(super) programs: Programs,
    pub(super) machinery: Machinery,
}

/// Sends alerts in their order. Dropped, what was not sent is lost.
pub(super) struct Hook {
    queue: mpsc::Sender<Message>,
    sending: JoinHandle<Vec<String>>,
    dropped: usize,
}

impl Hook {
    /// None: nobody is told.
    pub(super) fn begin(receivers: Receivers) -> Option<Self> {
        if receivers.webhook.is_none() && receivers.program.is_none() {
            return None;
        }
        let (queue, messages) = mpsc::channel(WAITING);
        Some(Self { queue, sending: tokio::spawn(send(receivers, messages)), dropped: 0 })
    }

    /// Sends it as soon as those before it were.
    pub(super) fn send(&mut self, message: Message) {
        self.dropped += usize::from(self.queue.try_send(message).is_err());
    }

    /// Waits until all were sent, for a while. What it returns was not.
    pub(super) async fn end(self) -> Vec<String> {
        let Self { queue, mut sending, dropped } = self;
        drop(queue);
        let mut said = match timeout(LAST, &mut sending).await {
            Ok(sent) => sent.unwrap_or_default(),
            Err(_) => {
                sending.abort();
                vec![format!("alerts were still to be sent after {} s, and were not", LAST.as_secs())]
            }
        };
        if dropped > 0 {
            said.push(format!("{dropped} alerts were not sent: {WAITING} others waited"));
        }
        said
    }
}

/// Sends what comes. What it returns went wrong: each receiver's last trouble.
async fn send(receivers: Receivers, mut messages: mpsc::Receiver<Message>) -> Vec<String> {
    let Receivers { webhook, program } = receivers;
    let client = webhook.as_ref().map(client);
    let (mut unsent, mut all) = ([0, 0], 0);
    let mut troubles: [Option<String>; 2] = [None, None];
    while let Some(message) = messages.recv().await {
        all += 1;
        let json = message.json();
        if let (Some(webhook), Some(client)) = (&webhook, &client) {
            let sent = match client {
                Ok(client) => post(client, webhook, &json).await,
                Err(why) => Err(why.clone()),
            };
            note(sent, &mut unsent[0], &mut troubles[0]);
        }
        if let Some(program) = &program {
            note(run(program, &json).await, &mut unsent[1], &mut troubles[1]);
        }
    }
    let name = [
        webhook.map(|webhook| format!("to {webhook}")),
        program.and_then(|program| program.words.into_iter().next()).map(|name| format!("to the program {name}")),
    ];
    let told = name.into_iter().zip(troubles).zip(unsent);
    told.filter_map(|((name, trouble), unsent)| {
        Some(format!("{unsent} of {all} alerts did not get {}: {}", name?, trouble?))
    })
    .collect()
}

fn note(sent: Result<(), String>, unsent: &mut usize, trouble: &mut Option<String>) {
    if let Err(why) = sent {
        *unsent += 1;
        *trouble = Some(why);
    }
}

fn client(webhook: &Webhook) -> Result<Client, String> {
    // Who has chosen another provider for the process keeps it.
    let _: Result<(), _> = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .user_agent(concat!("convoke/", env!("CARGO_PKG_VERSION")))
        .timeout(TRY);
    // What is on this machine needs no proxy, and no certificates where it is plain.
    let builder = match (webhook.is_local(), webhook.url().scheme()) {
        (true, "http") => builder.no_proxy().tls_certs_only([]),
        (true, _) => builder.no_proxy(),
        (false, _) => builder.https_only(true),
    };
    builder.build().map_err(|error| format!("there is no way to send them: {}", error.without_url()))
}

/// Tries it a few times, where another try may help.
async fn post(client: &Client, webhook: &Webhook, json: &[u8]) -> Result<(), String> {
    let mut waits = WAITS.into_iter();
    loop {
        let request = client.post(webhook.url().clone()).header(CONTENT_TYPE, "application/json").body(json.to_vec());
        let (why, passes) = match request.send().await {
            Ok(response) if response.status().is_success() => return Ok(()),
            Ok(response) => {
                let status = response.status();
                (format!("it answers {status}"), status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS)
            }
            // The address may hold a secret.
            Err(error) if error.is_timeout() => (format!("it does not answer within {} s", TRY.as_secs()), true),
            Err(error) => (format!("it can't be reached: {}", cause(&error.without_url())), true),
        };
        match waits.next() {
            Some(wait) if passes => sleep(wait).await,
            _ => return Err(why),
        }
    }
}

/// The innermost words of an error.
fn cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Runs the program, and waits for its end. What it prints is dropped.
async fn run(program: &Program, json: &[u8]) -> Result<(), String> {
    let Some((name, arguments)) = program.words.split_first() else { return Ok(()) };
    let path = match Path::new(name) {
        path if path.is_absolute() => path.to_owned(),
        _ => program.programs.find(name).map_err(|error| error.to_string())?,
    };
    let environment: &[(OsString, OsString)] = program.programs.environment();
    let start = Start {
        path: &path,
        arguments,
        input: Some(json),
        folder: &program.folder,
        environment,
        timeout: PROGRAM,
        apart: true,
    };
    let mut started = program.machinery.start(&start).map_err(|why| format!("it was not started: {why}"))?;
    let (output, errors) = started.streams();
    let (output, errors) = (tokio::spawn(drain(output)), tokio::spawn(drain(errors)));
    let ended = tokio::select! {
        ended = started.wait() => match ended.map(|status| status.code()) {
            Ok(Some(0)) => Ok(()),
            Ok(code) => Err(started.trouble().unwrap_or_else(|| match code {
                Some(code) => format!("it ended with code {code}"),
                None => "what watched over it was killed".to_owned(),
            })),
            Err(error) => Err(format!("its end was not seen: {error}")),
        },
        () = sleep(PROGRAM) => Err(format!("it was ended after {} s", PROGRAM.as_secs())),
    };
    if ended.is_err() {
        started.end().await;
    }
    output.abort();
    errors.abort();
    ended
}

async fn drain(stream: Option<impl AsyncRead + Unpin>) {
    if let Some(mut stream) = stream {
        let _ = copy(&mut stream, &mut sink()).await;
    }
}
