//! The second phase: how many workers, what each is dealt, and what it will probably cost.

use convoke_runtime::allocate::{Segment, crowding_note, deal};
use convoke_runtime::money::Usd;
use convoke_runtime::policy::Decided;
use convoke_runtime::prices::Prices;
use convoke_runtime::route::Route;

use super::assess::Assessed;
use super::size::Sized;

/// Who does what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allocated {
    /// The items of each worker, by their numbers. Cached items are in none.
    pub segments: Vec<Segment>,
    /// What it will probably take.
    pub estimate: Estimate,
    /// What the user should know about the allocation.
    pub notes: Vec<String>,
    /// Who decided how many workers there are; none: there is nothing to do.
    pub decided: Option<Decided>,
}

/// What a run will probably take, as its plugin sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Questions.
    pub questions: u64,
    /// Input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// At list price; none: the price of the model is not known.
    pub usd: Option<Usd>,
    /// Items of which the plugin does not say what they will ask.
    pub unknown: usize,
}

/// Deals what is not cached.
pub fn allocate(assessed: &Assessed, sized: Sized, route: Option<&Route>, prices: &Prices) -> Allocated {
    let work = &assessed.work;
    let to_do: Vec<_> = assessed.to_do().collect();
    let segments = deal(to_do.iter().copied(), sized.workers, work.distribute);
    let mut estimate = Estimate { usd: Some(Usd::ZERO), ..Estimate::default() };
    if let Some(route) = route {
        for (_, item) in &to_do {
            match item.estimate {
                Some(item) => {
                    estimate.questions += u64::from(item.questions);
                    estimate.input_tokens += item.input_tokens;
                    estimate.output_tokens += item.output_tokens;
                }
                None => estimate.unknown += 1,
            }
        }
        // Of two that are compared, the dearer.
        let of_each = route.models().into_iter();
        let of_each = of_each.map(|model| prices.at_most(model, estimate.input_tokens, estimate.output_tokens, false));
        estimate.usd = of_each.collect::<Option<Vec<_>>>().and_then(|usd| usd.into_iter().max());
    }
    let notes = sized.note.into_iter().chain(crowding_note(to_do.len(), segments.len())).collect();
    Allocated { segments, estimate, notes, decided: sized.decided }
}
