//! `convoke-standin`: the stand-in on its own.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use convoke_standin::{Answers, Config, FaultRule, Latency, Quota, Quotas, Scripted, Standin};

/// A local stand-in for the Messages API. Prints its address, serves until Ctrl-C, then prints what it saw.
#[derive(Debug, Parser)]
#[command(name = "convoke-standin", version)]
struct Options {
    /// Port to listen on, on 127.0.0.1 only; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// What everything random is drawn from
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The only key that is let in; any, without it
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Milliseconds from a request to the end of its answer
    #[arg(long, default_value_t = 0, value_name = "MS")]
    latency: u64,
    /// How far the latency swings to both sides, uniformly: 50%
    #[arg(long, default_value = "0%", value_parser = share)]
    spread: f64,
    /// The share of the latency before the first token
    #[arg(long, default_value = "50%", value_parser = share)]
    first_token: f64,
    /// In how many pieces the text comes after its first token
    #[arg(long, default_value_t = 4)]
    pieces: u32,
    /// Milliseconds for each token after the first, instead of the rest of the latency
    #[arg(long, value_name = "MS")]
    pace: Option<u64>,
    /// Requests a minute; RATE or RATE:BURST
    #[arg(long, value_name = "QUOTA", value_parser = quota)]
    rpm: Option<Quota>,
    /// Input tokens a minute, not counting those read from the prompt cache
    #[arg(long, value_name = "QUOTA", value_parser = quota)]
    itpm: Option<Quota>,
    /// Output tokens a minute
    #[arg(long, value_name = "QUOTA", value_parser = quota)]
    otpm: Option<Quota>,
    /// What `remaining` of tokens is rounded to in the headers
    #[arg(long, default_value_t = 1_000, value_name = "TOKENS")]
    round_tokens: u64,
    /// Shortest prefix, in tokens, that the prompt cache takes
    #[arg(long, default_value_t = 1_024, value_name = "TOKENS")]
    cache_minimum: u64,
    /// The answer to requests whose messages contain a text: TEXT=ANSWER
    #[arg(long, value_name = "TEXT=ANSWER", value_parser = scripted)]
    answer: Vec<Scripted>,
    /// Lists in structured answers may be empty
    #[arg(long)]
    empty_lists: bool,
    /// What goes wrong: WHEN=FAULT, as in 3=429:7, rate:0.1=529, text:lock,times:2=cut:4, time:0-60=500, 50-=limit.
    ///
    /// WHEN is `all` or a list of: a request's number (3, 3-5, 3-), rate:SHARE, text:TEXT, time:FROM-TO (seconds),
    /// times:COUNT. FAULT is one of: 429, 429:SECONDS, 429:date:SECONDS, 529, 500, 401, another status, limit,
    /// redirect:URL, cut:EVENTS, malformed, silence, silence:mid, ping:MS, error:TYPE, empty, no-stop, off-schema,
    /// huge:BYTES, tool, refusal.
    #[arg(long, value_name = "WHEN=FAULT")]
    fault: Vec<FaultRule>,
}

fn share(text: &str) -> Result<f64, String> {
    let read = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse(),
    };
    read.ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "should be between 0% and 100%".to_owned())
}

fn quota(text: &str) -> Result<Quota, String> {
    let (rate, burst) = text.split_once(':').unwrap_or((text, text));
    let read = |text: &str| text.parse::<u64>().map_err(|_| format!("`{text}` is not a whole number"));
    Ok(Quota { per_minute: read(rate)?, burst: read(burst)? })
}

fn scripted(text: &str) -> Result<Scripted, String> {
    let (contains, text) = text.split_once('=').ok_or("should be TEXT=ANSWER")?;
    Ok(Scripted { contains: contains.to_owned(), text: text.to_owned() })
}

impl Options {
    fn config(self) -> Config {
        Config {
            port: self.port,
            seed: self.seed,
            key: self.key,
            latency: Latency {
                base: Duration::from_millis(self.latency),
                spread: self.spread,
                first_token: self.first_token,
                pieces: self.pieces,
                pace: self.pace.map(Duration::from_millis),
            },
            quotas: Quotas {
                requests: self.rpm,
                input_tokens: self.itpm,
                output_tokens: self.otpm,
                round_tokens_to: self.round_tokens,
            },
            answers: Answers {
                scripted: self.answer,
                list_items: if self.empty_lists { 0..=2 } else { Answers::default().list_items },
                ..Answers::default()
            },
            cache_minimum: self.cache_minimum,
            faults: self.fault,
            keep_requests: 0,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve(Options::parse().config()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With stderr gone too, the exit code still tells.
            let _: io::Result<()> = writeln!(io::stderr(), "convoke-standin: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: Config) -> io::Result<()> {
    let standin = Standin::start(config).await?;
    let mut out = io::stdout();
    writeln!(out, "listening on {}", standin.url())?;
    out.flush()?;
    tokio::signal::ctrl_c().await?;
    let stats = standin.stats();
    standin.shutdown().await;
    let summary = serde_json::to_string_pretty(&stats).map_err(io::Error::other)?;
    writeln!(out, "{summary}")
}
