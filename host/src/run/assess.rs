//! The first phase: what is to be done, and what an earlier run has done already.

use std::collections::{HashMap, HashSet};

use convoke_runtime::journal::{ItemKey, Journal, JournalError, KeyParts, Reusable, item_key};
use convoke_runtime::work::{Item, Outcome, Work};
use serde_json::Value;

use super::explain::why_not;
use super::resume::Kept;
use super::since::Since;
use crate::plugin::project::Project;
use crate::plugin::sandbox::{Died, Sandbox};
use crate::report::explain::{ItemWhy, Why};

/// The plan, and what of it stands already.
pub struct Assessed {
    /// What is to be done, cached items included.
    pub work: Work,
    /// The key of each item, by its number.
    pub keys: Vec<ItemKey>,
    /// Earlier results that still hold, by the item's number.
    pub reusable: HashMap<usize, Reusable>,
    /// What stands of the run itself, where one goes on.
    pub kept: Kept,
    /// Why the newest result of an item does not stand, by the item's number.
    pub why: HashMap<usize, (Why, String)>,
    /// Why each item is done or need not be, in their order.
    pub explained: Vec<ItemWhy>,
}

impl Assessed {
    /// The items that no earlier result stands for, with their numbers.
    pub fn to_do(&self) -> impl Iterator<Item = (usize, &Item)> {
        let stands = |number: &usize| self.reusable.contains_key(number) || self.kept.ends.contains_key(number);
        self.work.items.iter().enumerate().filter(move |(number, _)| !stands(number))
    }

    /// How many items were taken from earlier runs, as the census counts them: of a run that goes on others have ended
    /// too.
    pub fn cached(&self) -> usize {
        let kept = self.kept.ends.values().filter(|end| end.outcome == Outcome::Cached);
        self.reusable.len() + kept.count()
    }
}

/// What an item's key is made of, besides the item.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The digest of the component.
    pub plugin_digest: String,
    /// Of the call.
    pub subcommand: Option<String>,
    /// Of the call, with the paths that were typed.
    pub arguments: Value,
    /// Where questions go.
    pub route: String,
    /// The project's folder.
    pub project: String,
}

impl Identity {
    /// The key by which a later run finds this item's result.
    pub fn key(&self, item: &Item) -> ItemKey {
        item_key(&KeyParts {
            plugin_digest: &self.plugin_digest,
            subcommand: self.subcommand.as_deref(),
            arguments: &self.arguments,
            item,
            route: &self.route,
        })
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum AssessError {
    /// The plugin gave none.
    #[error("`{plugin}` has no plan: {died}")]
    Plan {
        /// The command.
        plugin: String,
        /// Why.
        died: Died,
        /// The last that the plugin wrote to its log and to stderr.
        log: String,
    },
    /// It gave two items of one name, or other nonsense.
    #[error("the plan can't be carried out: {0}")]
    Nonsense(String),
    /// What earlier runs did can't be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The files can't be looked at.
    #[error(transparent)]
    Project(#[from] crate::plugin::project::ProjectError),
}

/// Asks the plugin for its plan, leaves out what has not changed since a revision, and looks up what earlier runs have
/// done. With `fresh`, nothing of that counts.
///
/// # Errors
/// When there is no plan, or the journal can't be read.
pub async fn assess(
    command: &str,
    sandbox: &Sandbox,
    identity: &Identity,
    journal: &Journal,
    since: Option<&Since>,
    fresh: bool,
) -> Result<Assessed, AssessError> {
    let log = sandbox.log();
    let planned = sandbox.plan(log.clone()).await;
    let mut work = planned.map_err(|died| AssessError::Plan { plugin: command.to_owned(), died, log: log.tail() })?;
    if let Some(since) = since {
        let all = work.items.len();
        since.keep(&mut work.items);
        work.notes.push(format!("{} of {all} items have changed since {}", work.items.len(), since.revision));
    }
    check(&work)?;
    let keys: Vec<ItemKey> = work.items.iter().map(|item| identity.key(item)).collect();
    let (reusable, why) = match fresh {
        true => Default::default(),
        false => still_standing(&work, &keys, identity, journal, &sandbox.project).await?,
    };
    Ok(Assessed { work, keys, reusable, kept: Kept::default(), why, explained: Vec::new() })
}

/// Two items of one name could not be told apart in the report or the journal.
fn check(work: &Work) -> Result<(), AssessError> {
    let mut ids = HashSet::new();
    for item in work.items.iter().chain(&work.conclusion) {
        if !ids.insert(&item.id) {
            return Err(AssessError::Nonsense(format!("two items have the id {:?}", item.id)));
        }
    }
    Ok(())
}

/// The results that stand by the item's number, and why those of others do not.
type Standing = (HashMap<usize, Reusable>, HashMap<usize, (Why, String)>);

async fn still_standing(
    work: &Work,
    keys: &[ItemKey],
    identity: &Identity,
    journal: &Journal,
    project: &Project,
) -> Result<Standing, AssessError> {
    let found = journal.reusable_all(keys.to_vec(), &identity.project).await?;
    let (mut standing, mut why) = Standing::default();
    for (index, earlier) in found.into_iter().enumerate().take(work.items.len()) {
        for result in earlier {
            match why_not(&result, project).await? {
                None => {
                    standing.insert(index, result);
                    break;
                }
                // The newest one says it best.
                Some(not) => drop(why.entry(index).or_insert(not)),
            }
        }
    }
    Ok((standing, why))
}
