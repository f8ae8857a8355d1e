//! What must make no difference: the case is done again in other ways.
//!
//! Who runs the command for real has other workers, another clock and other chance than the author. What depends on them
//! unawares is found here, and not by the user.

use convoke_runtime::work::Work;
use serde::Deserialize;

use super::case::Case;
use super::session::{Bench, CaseError, Left, Way};
use super::snapshot;
use crate::report::clean;
use crate::report::explain::{ItemWhy, Why};

/// How many workers a case is done by.
const WORKERS: [usize; 3] = [1, 2, 5];

/// So many items are named.
const NAMED: usize = 5;

/// A check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Asked twice, with another clock and other chance, the plan is the same.
    Plan,
    /// One, two or five workers come to the same.
    Workers,
    /// Done from the last item to the first, it comes to the same.
    Order,
    /// With another clock and other chance it comes to the same.
    Chance,
    /// Run again, nothing that is done is done again.
    Reuse,
}

impl Check {
    /// All of them, in the order in which they are done.
    pub const ALL: [Self; 5] = [Self::Plan, Self::Workers, Self::Order, Self::Chance, Self::Reuse];

    /// The name in `[unchecked]`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Workers => "workers",
            Self::Order => "order",
            Self::Chance => "chance",
            Self::Reuse => "reuse",
        }
    }

    /// What it means that it does not hold.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Plan => "the plan is another one when it is asked for again",
            Self::Workers => "another number of workers comes to something else",
            Self::Order => "the items in another order come to something else",
            Self::Chance => "another clock and other random numbers come to something else",
            Self::Reuse => "what is done would be done again",
        }
    }
}

/// A check that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub check: Check,
    /// How, in lines.
    pub how: String,
}

/// Does all checks of a case that are not left out. `base` is what the case came to, `left` what it left.
pub async fn check(bench: &Bench<'_>, case: &Case, base: &str, left: Left, color: bool) -> Vec<Broken> {
    let mut broken = Vec::new();
    for check in Check::ALL.into_iter().filter(|check| !case.unchecked.contains_key(check)) {
        let how = match check {
            Check::Plan => plans(bench, case).await,
            Check::Workers => workers(bench, case, base, color).await,
            Check::Order => done(bench, Way { reversed: true, ..way(case) }, base, color).await,
            Check::Chance => done(bench, Way { other_chance: true, ..way(case) }, base, color).await,
            Check::Reuse => again(bench, case, left.clone()).await,
        };
        match how {
            Ok(None) => {}
            Ok(Some(how)) => broken.push(Broken { check, how }),
            Err(error) => broken.push(Broken { check, how: clean::block(&error.to_string()) }),
        }
    }
    broken
}

/// How a case is done first.
pub fn way(case: &Case) -> Way {
    Way { workers: case.instances, reversed: false, other_chance: false }
}

async fn plans(bench: &Bench<'_>, case: &Case) -> Result<Option<String>, CaseError> {
    let one = bench.plan(way(case)).await?;
    let other = bench.plan(Way { other_chance: true, ..way(case) }).await?;
    Ok(different_plans(&one, &other))
}

/// Where two plans differ first.
fn different_plans(one: &Work, other: &Work) -> Option<String> {
    if one == other {
        return None;
    }
    let pairs = one.items.iter().zip(&other.items);
    if let Some((one, other)) = pairs.into_iter().find(|(one, other)| one != other) {
        let shown = |text: &str| clean::line(&clean::bounded(text, 200));
        return Some(match one.id == other.id {
            true => format!(
                "the item {} is given something else:\n  {}\n  {}",
                shown(&one.id),
                shown(&one.input),
                shown(&other.input)
            ),
            false => format!("where {} was, {} is then", shown(&one.id), shown(&other.id)),
        });
    }
    Some(match one.items.len() == other.items.len() {
        true => "its notes, or how it is put together, differ".to_owned(),
        false => format!("it has {} items, and then {}", one.items.len(), other.items.len()),
    })
}

async fn workers(bench: &Bench<'_>, case: &Case, base: &str, color: bool) -> Result<Option<String>, CaseError> {
    for workers in WORKERS.into_iter().filter(|workers| *workers != case.instances) {
        if let Some(how) = done(bench, Way { workers, ..way(case) }, base, color).await? {
            return Ok(Some(format!("{workers} in place of {}:\n{how}", case.instances)));
        }
    }
    Ok(None)
}

async fn done(bench: &Bench<'_>, way: Way, base: &str, color: bool) -> Result<Option<String>, CaseError> {
    let (ran, _) = bench.run(way).await?;
    let now = snapshot::text(&ran);
    Ok((now != base).then(|| snapshot::difference(base, &now, color)))
}

async fn again(bench: &Bench<'_>, case: &Case, left: Left) -> Result<Option<String>, CaseError> {
    Ok(not_reused(&bench.to_do_again(Way { other_chance: true, ..way(case) }, left).await?))
}

/// The items that should have been used again.
fn not_reused(to_do: &[ItemWhy]) -> Option<String> {
    // What did not end as done, and what needs other items, is never used again. What was done or tried outside can't be
    // looked at: how long that holds is for its plugin to say.
    let is_right = |why| matches!(why, Why::Left | Why::Items | Why::Lifetime);
    let wrong: Vec<&ItemWhy> = to_do.iter().filter(|item| !is_right(item.why)).collect();
    if wrong.is_empty() {
        return None;
    }
    let mut lines: Vec<String> = wrong
        .iter()
        .take(NAMED)
        .map(|item| {
            let why = if item.why == Why::New { "it has another id than before" } else { item.detail.as_str() };
            format!("{}: {}", clean::line(&clean::bounded(&item.item, 200)), clean::line(why))
        })
        .collect();
    if wrong.len() > NAMED {
        lines.push(format!("and {} more", wrong.len() - NAMED));
    }
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use convoke_runtime::work::Item;

    use super::*;

    fn work(items: &[(&str, &str)]) -> Work {
        let item = |(id, input): &(&str, &str)| Item { id: (*id).into(), input: (*input).into(), ..Item::default() };
        Work { items: items.iter().map(item).collect(), ..Work::default() }
    }

    #[test]
    fn plans_differ_in_their_items_their_order_or_their_number() {
        let base = work(&[("a", "1"), ("b", "2")]);
        let how = |other: &Work| different_plans(&base, other);
        assert_eq!(how(&base.clone()), None);
        assert!(how(&work(&[("a", "1"), ("b", "3")])).is_some_and(|how| how.contains("item b is given")));
        assert!(how(&work(&[("b", "2"), ("a", "1")])).is_some_and(|how| how.contains("where a was, b is then")));
        assert!(how(&work(&[("a", "1")])).is_some_and(|how| how.contains("it has 2 items, and then 1")));
    }

    #[test]
    fn what_was_not_done_need_not_be_used_again() {
        let item = |why, detail: &str| ItemWhy::new("a", why, detail);
        let right = [item(Why::Left, "it was left failed"), item(Why::Items, ""), item(Why::Lifetime, "it is over")];
        assert_eq!(not_reused(&right), None);
        let how = not_reused(&[item(Why::Read, "x.md has changed"), item(Why::New, "")]).unwrap();
        assert_eq!(how, "a: x.md has changed\na: it has another id than before");
    }

    #[test]
    fn each_check_has_the_name_by_which_it_is_left_out() {
        for check in Check::ALL {
            let case = super::super::case::tests::case(&format!("[unchecked]\n{} = \"why\"", check.name()));
            assert!(case.unchecked.contains_key(&check));
        }
    }
}
