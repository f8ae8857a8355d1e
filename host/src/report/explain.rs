//! Why each item is done, or need not be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Report, clean};

/// The longest text of a reason, in characters.
const LONGEST: usize = 300;

/// What of the plan was to be done, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explain {
    /// The items that were to be done when the plan was made.
    pub to_do: u64,
    /// Of those, the ones without an earlier result.
    pub new: u64,
    /// Of those, the ones whose result holds no more: something has changed since, or its lifetime is over.
    pub changed: u64,
    /// Of those, the ones that earlier runs began or failed at, and did not do.
    pub left: u64,
    /// Of those, the ones that are done again because that was asked for, or because they depend on other items.
    pub again: u64,
    /// The items that an earlier run had done.
    pub cached: u64,
    /// The items that an earlier part of this run had ended.
    pub kept: u64,
    /// Each item of the plan, with `--explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<ItemWhy>>,
}

/// Why an item is done, or need not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ItemWhy {
    /// The item's id.
    pub item: String,
    /// The kind of the reason.
    pub why: Why,
    /// The reason, in words.
    pub detail: String,
}

/// The kind of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// No earlier run of this command had it.
    New,
    /// What it read has changed: a file, a listing, a search.
    Read,
    /// The plugin has changed.
    Plugin,
    /// The command's arguments have changed.
    Arguments,
    /// Its questions go elsewhere: another backend, model or tier.
    Route,
    /// What its plugin gives it has changed.
    Input,
    /// The lifetime of its result is over.
    Lifetime,
    /// It depends on other items, or had others added.
    Items,
    /// All was to be done again.
    Fresh,
    /// Earlier runs had it, and did not do it.
    Left,
    /// It is done again in the run that goes on.
    Again,
    /// An earlier run has done it, and that still holds.
    Cached,
    /// An earlier part of this run has ended it.
    Kept,
    /// Another run has done it since this one was planned.
    Beside,
}

impl Why {
    /// Whether the item was to be done when the plan was made.
    pub fn is_to_do(self) -> bool {
        !matches!(self, Self::Cached | Self::Kept)
    }

    /// The word in lists.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Kept => "kept",
            Self::Beside => "done beside",
            _ => "to do",
        }
    }
}

impl Explain {
    /// Counts them. With `all`, each of them is kept.
    pub fn of(items: Vec<ItemWhy>, all: bool) -> Self {
        let mut explain = Self::default();
        for item in &items {
            explain.to_do += u64::from(item.why.is_to_do());
            *match item.why {
                Why::New => &mut explain.new,
                Why::Read | Why::Plugin | Why::Arguments | Why::Route | Why::Input | Why::Lifetime => {
                    &mut explain.changed
                }
                Why::Left => &mut explain.left,
                Why::Items | Why::Fresh | Why::Again | Why::Beside => &mut explain.again,
                Why::Cached => &mut explain.cached,
                Why::Kept => &mut explain.kept,
            } += 1;
        }
        Self { items: all.then_some(items), ..explain }
    }

    /// `12 to do: 10 changed, 2 new; 146 cached`.
    pub fn sums(&self) -> String {
        let parts = [(self.changed, "changed"), (self.new, "new"), (self.left, "left"), (self.again, "again")];
        let parts: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
        let mut text = format!("{} to do", self.to_do);
        if !parts.is_empty() {
            text += &format!(": {}", parts.join(", "));
        }
        for (count, name) in [(self.cached, "cached"), (self.kept, "kept")] {
            if count > 0 {
                text += &format!("; {count} {name}");
            }
        }
        text
    }

    /// Whether the sums say more than how many items there are.
    pub fn says_something(&self) -> bool {
        self.new < self.to_do || self.cached + self.kept > 0
    }

    /// A line an item, in the order of the plan; none without `--explain`.
    pub fn lines(&self) -> Vec<String> {
        let line =
            |item: &ItemWhy| format!("{}: {}, {}", clean::line(&item.item), item.why.word(), clean::line(&item.detail));
        self.items.iter().flatten().map(line).collect()
    }
}

impl ItemWhy {
    /// A reason, not longer than is worth reading.
    pub fn new(item: &str, why: Why, detail: &str) -> Self {
        Self { item: item.to_owned(), why, detail: clean::bounded(detail, LONGEST).into_owned() }
    }
}

/// The sums of a report, where they say something.
pub(super) fn sums(report: &Report) -> Option<String> {
    report.explain.as_ref().filter(|explain| explain.says_something()).map(Explain::sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(counts: &[(Why, usize)]) -> Vec<ItemWhy> {
        counts.iter().flat_map(|(why, count)| (0..*count).map(|_| ItemWhy::new("item", *why, "so"))).collect()
    }

    #[test]
    fn sums_say_what_is_to_do_and_why() {
        let explain = Explain::of(items(&[(Why::Read, 9), (Why::Plugin, 1), (Why::New, 2), (Why::Cached, 146)]), false);
        assert_eq!(explain.sums(), "12 to do: 10 changed, 2 new; 146 cached");
        assert!(explain.says_something() && explain.lines().is_empty());
        let fresh = Explain::of(items(&[(Why::Fresh, 3), (Why::Left, 2)]), false);
        assert_eq!(fresh.sums(), "5 to do: 2 left, 3 again");
        let first = Explain::of(items(&[(Why::New, 4)]), false);
        assert!(!first.says_something(), "all is new, which the census says too");
        assert_eq!(Explain::of(items(&[(Why::Kept, 3)]), false).sums(), "0 to do; 3 kept");
    }

    #[test]
    fn each_item_is_said_on_a_line_of_its_own() {
        let hostile = ItemWhy::new("a\u{1b}[2J\nb", Why::Read, &"x".repeat(1_000));
        let explain = Explain::of(vec![hostile, ItemWhy::new("c.md", Why::Cached, "run 1 has done it")], true);
        let lines = explain.lines();
        assert!(lines.iter().all(|line| !line.contains(['\u{1b}', '\n']) && line.len() < 400), "{lines:?}");
        assert_eq!(lines[1], "c.md: cached, run 1 has done it");
    }
}
