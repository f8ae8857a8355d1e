//! Who answers, and what was asked there.

use std::fs;
use std::path::PathBuf;

use convoke_runtime::money::Usd;
use convoke_runtime::prices::Prices;
use convoke_runtime::question::Usage;
use convoke_standin::{Config, FaultRule, Latency, Outcome, Received, Standin, When as At};

use crate::kind::Kind;
use crate::scenario::{Planned, When};
use crate::world::mark_in;

/// Who answers.
pub(crate) enum Answering {
    /// The stand-in, and how many requests were seen before this start.
    Api(Box<Standin>, usize),
    /// The program in place of `claude`, and the folder in which it writes down what it was asked.
    Claude(PathBuf),
}

/// A question that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The mark of its item.
    pub(crate) mark: Option<String>,
    /// It was answered whole and well.
    pub(crate) answered: bool,
    /// The fault that it met.
    pub(crate) fault: Option<Kind>,
    /// What it took at list price, in billionths of a thousandth of a dollar; zero where nobody counts.
    pub(crate) pico: u64,
    /// The same, with the token of output that a stream announces when it begins, and which is not sent where it is cut.
    pub(crate) most_pico: u64,
}

impl Answering {
    /// A stand-in.
    pub(crate) async fn api(latency_ms: u64, seed: u64) -> Self {
        let config = Config { latency: Latency::of(latency_ms, 0.5), seed, ..Config::default() };
        Self::Api(Box::new(Standin::start(config).await.expect("a free port")), 0)
    }

    /// How a host finds it.
    pub(crate) fn environment(&self) -> (&'static str, String) {
        match self {
            Self::Api(standin, _) => ("ANTHROPIC_BASE_URL", standin.url()),
            Self::Claude(folder) => ("CONVOKE_CLAUDE", folder.join("claude").display().to_string()),
        }
    }

    /// A start begins: what is asked from now on is its.
    pub(crate) fn begin(&mut self, faults: &[Planned]) {
        match self {
            Self::Api(standin, before) => {
                *before = standin.requests().len();
                let rule = |fault: &Planned| {
                    let wire = fault.kind.on_the_wire()?;
                    let When::Question(number) = fault.when else { return None };
                    let first = *before as u64 + number;
                    // A rejected key stays rejected; the others pass. Three in a row: more than one question meets it.
                    let last = if fault.kind == Kind::Unauthorized { u64::MAX } else { first + fault.amount % 3 };
                    Some(FaultRule { when: At { nth: Some(first..=last), ..At::default() }, fault: wire })
                };
                standin.set_faults(faults.iter().filter_map(rule).collect());
            }
            Self::Claude(folder) => {
                for file in fs::read_dir(folder).expect("a folder").flatten() {
                    if file.path().extension().is_some() {
                        drop(fs::remove_file(file.path()));
                    }
                }
            }
        }
    }

    /// What was asked in this start.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        match self {
            Self::Api(standin, before) => standin.requests().iter().skip(*before).map(received).collect(),
            Self::Claude(folder) => {
                let mut asked: Vec<Asked> = Vec::new();
                for file in fs::read_dir(folder).expect("a folder").flatten() {
                    if file.path().extension().is_some_and(|kind| kind == "asked") {
                        let text = String::from_utf8_lossy(&fs::read(file.path()).unwrap_or_default()).into_owned();
                        for line in text.lines() {
                            match asked.last_mut() {
                                Some(last) if line == "ANSWERED" => last.answered = true,
                                _ => asked.push(Asked {
                                    mark: mark_in(line),
                                    answered: false,
                                    fault: None,
                                    pico: 0,
                                    most_pico: 0,
                                }),
                            }
                        }
                    }
                }
                asked
            }
        }
    }

    /// How many were answered in this start.
    pub(crate) fn answered(&self) -> u64 {
        self.asked().iter().filter(|asked| asked.answered).count() as u64
    }

    /// Whether nothing is under way any more.
    pub(crate) fn is_quiet(&self) -> bool {
        match self {
            Self::Api(standin, _) => standin.stats().in_flight == 0,
            Self::Claude(_) => true,
        }
    }

    /// The `claude` processes of this start that live.
    pub(crate) fn instances(&self) -> Vec<u32> {
        let Self::Claude(folder) = self else { return Vec::new() };
        let files = fs::read_dir(folder).expect("a folder").flatten();
        let pids =
            files.filter_map(|file| file.path().file_name()?.to_str()?.strip_suffix(".pid")?.parse::<u32>().ok());
        // An id that was given to another process since is not it.
        let program = folder.join("claude").display().to_string();
        let is_it = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&program)
        };
        pids.filter(is_it).collect()
    }
}

fn received(request: &Received) -> Asked {
    let fault = match &request.outcome {
        Outcome::Faulted(fault) => Kind::ALL.into_iter().find(|kind| kind.on_the_wire().as_ref() == Some(fault)),
        _ => None,
    };
    let usage = Usage {
        requests: 1,
        input_tokens: request.tokens.input,
        cache_read_tokens: request.tokens.cache_read,
        cache_write_tokens: request.tokens.cache_write,
        output_tokens: request.tokens.output,
        usd: Usd::ZERO,
    };
    let model = request.body["model"].as_str().unwrap_or_default();
    let price = |usage: &Usage| Prices::built_in().usd(model, usage).map_or(0, Usd::pico);
    let (pico, most) = (price(&usage), Usage { output_tokens: usage.output_tokens.max(1), ..usage });
    let most_pico = if pico > 0 { price(&most) } else { 0 };
    let mark = mark_in(&request.body["messages"].to_string());
    Asked { mark, answered: request.outcome == Outcome::Answered, fault, pico, most_pico }
}
