//! Why each item is done, or need not be: compared with what earlier runs made of it.

use std::collections::HashMap;

use convoke_runtime::journal::{Earlier, Journal, JournalError, KeyParts, Reusable, RunId, item_key};
use convoke_runtime::work::Item;
use jiff::Timestamp;

use super::Session;
use super::assess::{Assessed, Identity};
use crate::plugin::project::{Project, ProjectError};
use crate::report::explain::{Explain, ItemWhy, Why};

/// Why a result does not stand for an item; none: it does.
///
/// # Errors
/// The files can't be looked at.
pub(super) async fn why_not(result: &Reusable, project: &Project) -> Result<Option<(Why, String)>, ProjectError> {
    // What it got from other items, or had them do, can't be checked by looking at files.
    if result.added > 0 {
        return Ok(Some((Why::Items, "it had other items added, which it needs again".to_owned())));
    }
    if result.reads.depends_on_items() {
        return Ok(Some((Why::Items, "it depends on other items".to_owned())));
    }
    let changes = project.still_holds(&result.reads).await?;
    if !result.is_fresh(Timestamp::now()) {
        return Ok(Some((Why::Lifetime, format!("the lifetime of what run {} did is over", result.run.short()))));
    }
    let Some(first) = changes.first() else { return Ok(None) };
    let more = match changes.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Ok(Some((Why::Read, format!("{first}{more}"))))
}

/// Why an item is to be done that has no result under its key.
fn compared(item: &Item, identity: &Identity, earlier: &Earlier) -> (Why, String) {
    let run = earlier.run.short();
    let key = |plugin_digest, subcommand, arguments, route| {
        item_key(&KeyParts { plugin_digest, subcommand, arguments, item, route })
    };
    let (plugin, subcommand) = (earlier.plugin_digest.as_str(), earlier.subcommand.as_deref());
    if earlier.key == identity.key(item) {
        let became = earlier.outcome.as_deref().unwrap_or("pending");
        return (Why::Left, format!("it was left {became} by run {run}"));
    }
    let route = earlier.route.as_deref().unwrap_or(&identity.route);
    let mut changed = Vec::new();
    if earlier.plugin_digest != identity.plugin_digest {
        let (digest, version) = (plugin.chars().take(12).collect::<String>(), &earlier.plugin_version);
        changed.push((Why::Plugin, format!("the plugin has changed since run {run}, which had {version} ({digest})")));
    }
    if subcommand != identity.subcommand.as_deref() || earlier.arguments != identity.arguments {
        changed.push((Why::Arguments, format!("the arguments are not those of run {run}")));
    }
    if route != identity.route {
        changed.push((Why::Route, format!("its questions go to {}, and went to {route} in run {run}", identity.route)));
    }
    // With all of that as it was, the key is the same, or the item is not.
    if key(plugin, subcommand, &earlier.arguments, route) != earlier.key {
        changed.push(match &earlier.route {
            Some(_) => (Why::Input, format!("what its plugin gives it has changed since run {run}")),
            None => (Why::Input, format!("its input, or where its questions go, has changed since run {run}")),
        });
    }
    let why = changed.first().map_or(Why::Input, |(why, _)| *why);
    let details: Vec<String> = changed.into_iter().map(|(_, detail)| detail).collect();
    (why, details.join("; "))
}

/// With what other runs have done since the plan.
pub(super) fn with_beside(mut explained: Vec<ItemWhy>, done: &HashMap<usize, RunId>) -> Vec<ItemWhy> {
    for (number, run) in done {
        if let Some(item) = explained.get_mut(*number) {
            let detail = format!("run {} had claimed it, and has done it beside this one", run.short());
            *item = ItemWhy::new(&item.item, Why::Beside, &detail);
        }
    }
    explained
}

impl Session {
    /// Why each item of a plan is done, or need not be.
    ///
    /// # Errors
    /// The journal can't be read.
    pub(super) async fn explained(&self, assessed: &Assessed) -> Result<Vec<ItemWhy>, JournalError> {
        let unknown: Vec<usize> = match self.fresh {
            true => Vec::new(),
            false => {
                assessed.to_do().map(|(number, _)| number).filter(|number| !assessed.why.contains_key(number)).collect()
            }
        };
        let ids = unknown.iter().map(|number| assessed.work.items[*number].id.clone()).collect();
        let mut earlier = earlier(&self.journal, &self.identity, &self.command, ids).await?.into_iter();
        let mut explained = Vec::with_capacity(assessed.work.items.len());
        for (number, item) in assessed.work.items.iter().enumerate() {
            let of_journal = if unknown.binary_search(&number).is_ok() { earlier.next().flatten() } else { None };
            let (why, detail) = if let Some(end) = assessed.kept.ends.get(&number) {
                (Why::Kept, format!("it was {} before the run stopped", end.outcome.name()))
            } else if let Some(result) = assessed.reusable.get(&number) {
                (Why::Cached, format!("run {} has done it, and what it read is unchanged", result.run.short()))
            } else if let Some(why) = assessed.kept.again.get(&number) {
                (Why::Again, why.clone())
            } else if self.fresh {
                (Why::Fresh, "all is done again".to_owned())
            } else if let Some(why) = assessed.why.get(&number) {
                why.clone()
            } else if let Some(earlier) = of_journal {
                compared(item, &self.identity, &earlier)
            } else {
                (Why::New, "no earlier run had it".to_owned())
            };
            explained.push(ItemWhy::new(&item.id, why, &detail));
        }
        Ok(explained)
    }

    /// The sums of it, and with `--explain` each item.
    pub fn sums(&self, explained: Vec<ItemWhy>) -> Explain {
        Explain::of(explained, self.explain)
    }
}

async fn earlier(
    journal: &Journal,
    identity: &Identity,
    command: &str,
    ids: Vec<String>,
) -> Result<Vec<Option<Earlier>>, JournalError> {
    match ids.is_empty() {
        true => Ok(Vec::new()),
        false => journal.earlier(&identity.project, command, ids).await,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identity() -> Identity {
        Identity {
            plugin_digest: "ab".repeat(32),
            subcommand: None,
            arguments: json!({"paths": []}),
            route: "anthropic big".to_owned(),
            project: "/project".to_owned(),
        }
    }

    fn why(change: impl FnOnce(&mut Identity, &mut Item, &mut Earlier)) -> (Why, String) {
        let (mut then, mut item) = (identity(), Item { id: "a".to_owned(), ..Item::default() });
        let mut earlier = Earlier {
            run: RunId::new(),
            key: then.key(&item),
            outcome: Some("done".to_owned()),
            plugin_digest: then.plugin_digest.clone(),
            plugin_version: "0.1.0".to_owned(),
            subcommand: None,
            arguments: then.arguments.clone(),
            route: Some(then.route.clone()),
        };
        change(&mut then, &mut item, &mut earlier);
        compared(&item, &then, &earlier)
    }

    #[test]
    fn each_part_of_a_key_is_named() {
        assert_eq!(why(|now, _, _| now.plugin_digest = "cd".repeat(32)).0, Why::Plugin);
        assert_eq!(why(|now, _, _| now.arguments = json!({})).0, Why::Arguments);
        assert_eq!(why(|now, _, _| now.subcommand = Some("deep".to_owned())).0, Why::Arguments);
        assert_eq!(why(|now, _, _| now.route = "offline".to_owned()).0, Why::Route);
        assert_eq!(why(|_, item, _| item.input = "1".to_owned()).0, Why::Input);
        let (first, both) = why(|now, item, _| (now.route, item.input) = ("offline".to_owned(), "1".to_owned()));
        assert!(first == Why::Route && both.contains("what its plugin gives it"), "{both}");
    }

    #[test]
    fn what_was_not_done_was_left() {
        let (first, detail) = why(|_, _, earlier| earlier.outcome = Some("failed".to_owned()));
        assert!(first == Why::Left && detail.starts_with("it was left failed by run "), "{detail}");
        assert!(why(|_, _, earlier| earlier.outcome = None).1.contains("pending"));
    }

    #[test]
    fn where_it_is_not_known_where_questions_went_that_is_not_guessed() {
        let (first, _) = why(|now, _, earlier| (now.route, earlier.route) = ("offline".to_owned(), None));
        assert_eq!(first, Why::Input, "the input, or the route");
    }
}
