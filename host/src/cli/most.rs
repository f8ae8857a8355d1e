//! What a run would take at most, and whether its budget will do.

use convoke_runtime::budget::{Amount, BudgetConfig};
use convoke_runtime::money::Usd;

use crate::run::Session;
use crate::run::answers::Prompt;

/// What all questions of a rehearsal take at most, each asked once.
pub(super) struct Most {
    amount: Amount,
    /// A model whose price is not known.
    unpriced: Option<String>,
    /// None: no budget is limited, or nobody would be asked.
    will_do: Option<Result<(), String>>,
}

impl Most {
    pub(super) fn of(session: &Session, prompts: &[Prompt]) -> Self {
        let mut amount = Amount::default();
        for prompt in prompts {
            amount += prompt.estimate.most;
        }
        let unpriced = prompts.iter().find(|prompt| prompt.estimate.usd.is_none());
        let unpriced = unpriced.map(|prompt| prompt.estimate.model.clone());
        let config = session.broker.budget.config();
        let is_asked = session.has_model() && config != BudgetConfig::default();
        let will_do = is_asked.then(|| match &unpriced {
            Some(model) if config.limits_dollars() => Err(format!("the price of {model} is not known")),
            _ => session.broker.budget.can_ever_pay(amount).map_err(|spent| spent.shortage()),
        });
        Self { amount, unpriced, will_do }
    }

    /// Dollars; none where a price is not known.
    pub(super) fn usd(&self) -> Option<Usd> {
        self.unpriced.is_none().then_some(self.amount.usd)
    }

    /// Whether the budget will do; none where there is none.
    pub(super) fn will_do(&self) -> Option<bool> {
        self.will_do.as_ref().map(Result::is_ok)
    }

    /// The same in words.
    pub(super) fn verdict(&self) -> Option<String> {
        Some(match self.will_do.as_ref()? {
            Ok(()) => "The budget will do, unless questions have to be asked again or lead to others.".to_owned(),
            Err(why) => format!("The budget may not do: {why}. The run would then park, and keep what is done."),
        })
    }
}
