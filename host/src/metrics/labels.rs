//! Values of labels. Each makes series that a Prometheus keeps, and some are strangers' text: there are only so many, and
//! none is long.

use std::collections::BTreeSet;

use crate::report::clean;

/// The most models. More are counted together.
const MODELS: usize = 20;

/// The most backends, and the most kinds of failure: both come from convoke itself.
const OWN: usize = 64;

/// The longest value, in characters.
const LONGEST: usize = 64;

/// What stands for all that are too many.
pub(super) const OTHER: &str = "other";

/// What stands where there is nothing: no model was asked.
pub(super) const NONE: &str = "none";

/// The values that were used so far.
#[derive(Debug, Default)]
pub(super) struct Labels {
    models: BTreeSet<String>,
    backends: BTreeSet<String>,
    kinds: BTreeSet<String>,
    alerts: BTreeSet<String>,
}

impl Labels {
    pub(super) fn model(&mut self, text: &str) -> String {
        among(&mut self.models, text, MODELS)
    }

    pub(super) fn backend(&mut self, text: &str) -> String {
        among(&mut self.backends, text, OWN)
    }

    /// Of a failure, or how a question ended.
    pub(super) fn kind(&mut self, text: &str) -> String {
        among(&mut self.kinds, text, OWN)
    }

    pub(super) fn alert(&mut self, text: &str) -> String {
        among(&mut self.alerts, text, OWN)
    }
}

/// The text as a value.
pub(super) fn value(text: &str) -> String {
    let line = clean::line(&clean::bounded(text, 4 * LONGEST));
    if line.is_empty() { NONE.to_owned() } else { clean::bounded(&line, LONGEST).into_owned() }
}

fn among(known: &mut BTreeSet<String>, text: &str, most: usize) -> String {
    let value = value(text);
    if !known.contains(&value) {
        if known.len() >= most {
            return OTHER.to_owned();
        }
        known.insert(value.clone());
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_without_number_are_counted_together() {
        let mut labels = Labels::default();
        let all: BTreeSet<String> = (0..1_000).map(|number| labels.model(&format!("model-{number}"))).collect();
        assert_eq!(all.len(), MODELS + 1);
        assert!(all.contains(OTHER));
        assert_eq!(labels.model("model-3"), "model-3", "what was known stays");
    }

    #[test]
    fn a_strangers_name_is_short_and_harmless() {
        let mut labels = Labels::default();
        let shown = labels.model(&format!("a\u{1b}[2J\n\"{}", "x".repeat(10_000)));
        assert!(!shown.contains(['\u{1b}', '\n']) && shown.chars().count() <= LONGEST, "{shown}");
        assert_eq!(labels.backend(""), NONE);
    }
}
