//! The numbers of a broker, and what a question would take.

use super::*;
use crate::policy::{Clock, Mode};

/// All numbers of a broker. The defaults are the design's for mode `balanced`.
#[derive(Clone)]
pub struct BrokerConfig {
    /// The run, for the ledger.
    pub run: Arc<str>,
    /// Which model answers.
    pub route: Route,
    /// What a secret leads to.
    pub scan: ScanMode,
    /// How many at once, and how fast.
    pub admission: AdmissionConfig,
    /// When to ask again.
    pub retry: RetryConfig,
    /// What makes the jitter of retries.
    pub seed: u64,
    /// The guards on an answer.
    pub watch: WatchConfig,
    /// How many bytes of answers are kept for identical questions.
    pub cache_bytes: usize,
    /// The answers of earlier runs; none: they are neither read nor kept.
    pub responses: Option<Responses>,
    /// What tokens cost.
    pub prices: Prices,
    /// Where questions and what came of them are recorded, if they are.
    pub tape: Option<Arc<Tape>>,
    /// What may be spent. All backends share it.
    pub budget: Arc<Budget>,
    /// What decides; none: the built-in policy.
    pub policy: Option<Arc<Slot>>,
    /// The user's mode, for the policy.
    pub mode: Mode,
    /// What time it is for the policy.
    pub clock: Clock,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            run: Arc::from(""),
            route: Route::default(),
            scan: ScanMode::default(),
            admission: AdmissionConfig::default(),
            retry: RetryConfig::default(),
            seed: 0,
            watch: WatchConfig::default(),
            cache_bytes: 64 * 1024 * 1024,
            responses: None,
            prices: Prices::built_in(),
            tape: None,
            budget: Arc::new(Budget::unlimited()),
            policy: None,
            mode: Mode::default(),
            clock: Clock::default(),
        }
    }
}

/// What a question would take at most.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimate {
    /// The model it would go to.
    pub model: String,
    /// Its input tokens, estimated from its bytes.
    pub input_tokens: u64,
    /// The longest answer it allows, in tokens.
    pub output_tokens: u64,
    /// Its price at most: bounded by its bytes, not estimated; none: the model's price is not known.
    pub usd: Option<Usd>,
    /// All that it takes of a budget at most; no dollars where the price is not known.
    pub most: Amount,
}
