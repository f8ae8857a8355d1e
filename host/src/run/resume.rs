//! A run that goes on: which of its ends still stand.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use convoke_runtime::backend::Backend;
use convoke_runtime::budget::Amount;
use convoke_runtime::journal::{
    Digest, ItemEnd, ItemKey, ItemRecord, ItemRow, ModelRow, Read, ReadSet, Reopening, RunDetail,
};
use convoke_runtime::money::Usd;
use convoke_runtime::work::{Item, Outcome, Partial};
use jiff::{SignedDuration, Timestamp};

use super::assess::Assessed;
use crate::plugin::project::{Project, ProjectError};
use crate::report::cost::ModelCost;
use crate::report::{Report, UsageInfo};

/// A run that goes on.
pub struct Resume {
    /// As it was left.
    pub detail: RunDetail,
    /// What each model took so far.
    pub by_model: Vec<ModelRow>,
    /// Whether what failed or fell back is done again.
    pub failed: bool,
}

/// What of a run that goes on stays as it is.
#[derive(Debug, Default)]
pub struct Kept {
    /// The ends that stand, by the item's number.
    pub ends: HashMap<usize, ItemEnd>,
    /// Why others that had ended are done again, by the item's number.
    pub again: HashMap<usize, String>,
}

impl Resume {
    /// Looks which ends of the run still stand: those of the same item, whose reads are unchanged. What failed or fell
    /// back stands too, unless it is to be done again.
    ///
    /// # Errors
    /// The files can't be looked at.
    pub async fn look(&self, assessed: &mut Assessed, project: &Project) -> Result<(), ProjectError> {
        let rows: HashMap<&str, &ItemRow> = self.detail.items.iter().map(|row| (row.item.id.as_str(), row)).collect();
        let parents: HashSet<&str> = self.detail.items.iter().filter_map(|row| row.item.parent.as_deref()).collect();
        let mut kept = Kept::default();
        for (number, (item, key)) in assessed.work.items.iter().zip(&assessed.keys).enumerate() {
            let Some((row, end)) = rows.get(item.id.as_str()).and_then(|row| Some((*row, row.end.as_ref()?))) else {
                continue;
            };
            let why = match parents.contains(item.id.as_str()) {
                true => Some("it had added items".to_owned()),
                false => self.why_again(row, end, key, project).await?,
            };
            match why {
                None => drop(kept.ends.insert(number, end.clone())),
                Some(why) => drop(kept.again.insert(number, why)),
            }
        }
        kept.without_those_whose_sources_have_gone(&assessed.work.items);
        assessed.reusable.retain(|number, _| !kept.ends.contains_key(number));
        assessed.kept = kept;
        Ok(())
    }

    async fn why_again(
        &self,
        row: &ItemRow,
        end: &ItemEnd,
        key: &ItemKey,
        project: &Project,
    ) -> Result<Option<String>, ProjectError> {
        let went_wrong = matches!(end.outcome, Outcome::Failed(_) | Outcome::Fallback(_));
        if went_wrong && self.failed {
            return Ok(Some("it is to be done again".to_owned()));
        }
        if row.item.key != *key {
            return Ok(Some("its input, or where its questions go, has changed".to_owned()));
        }
        if end.partial.as_ref().is_some_and(|partial| is_over(partial, end.ended)) {
            return Ok(Some("its lifetime is over".to_owned()));
        }
        // What came from outside is as good as it was when the run stopped, and what came from items is looked at after.
        let of_project = |read: &&Read| !matches!(read, Read::Partial { .. } | Read::Outside { .. });
        let reads: ReadSet = end.reads.iter().filter(of_project).cloned().collect();
        Ok(project.still_holds(&reads).await?.first().map(ToString::to_string))
    }

    /// How the journal is told of it.
    pub fn reopening(&self, assessed: &Assessed) -> Reopening {
        let mut kept = Vec::new();
        let mut again = Vec::new();
        for (ordinal, (item, key)) in assessed.work.items.iter().zip(&assessed.keys).enumerate() {
            if assessed.kept.ends.contains_key(&ordinal) {
                kept.push(item.id.clone());
                continue;
            }
            let why = match assessed.reusable.get(&ordinal) {
                Some(earlier) => format!("run {} has done it", earlier.run),
                None => assessed.kept.again.get(&ordinal).cloned().unwrap_or_default(),
            };
            let record =
                ItemRecord { id: item.id.clone(), label: item.label.clone(), key: *key, ordinal, parent: None };
            again.push((record, why));
        }
        Reopening {
            run: self.detail.row.run.id,
            continued: self.detail.row.continued,
            kept,
            again,
            conclusion: assessed.work.conclusion.as_ref().map(|item| item.id.clone()),
        }
    }

    /// How the run has concluded, if over the same whole.
    pub(super) fn concluded(&self, item: &Item, key: &ItemKey) -> Option<&ItemEnd> {
        let row = self.detail.items.iter().find(|row| row.item.id == item.id && row.item.key == *key)?;
        row.end.as_ref().filter(|end| match end.outcome {
            Outcome::Failed(_) | Outcome::Fallback(_) => !self.failed,
            _ => true,
        })
    }

    /// What it has taken so far of its budgets.
    pub fn spent(&self) -> Amount {
        let usage = self.detail.usage;
        Amount {
            usd: usage.usd + self.by_model.iter().map(|model| model.uncertain).sum::<Usd>(),
            requests: u64::from(usage.requests),
            input_tokens: usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens,
            output_tokens: usage.output_tokens,
        }
    }

    /// Adds what the earlier parts of the run took.
    pub(super) fn add_to(&self, report: &mut Report, backends: &[Arc<dyn Backend>]) {
        // What earlier versions have not written is as it would be now.
        let is_notional = |name: &str| backends.iter().any(|one| one.name() == name && one.is_subscription());
        report.run.continued = self.detail.row.continued + 1;
        report.usage.add(UsageInfo::from(self.detail.usage));
        for model in &self.by_model {
            report.cost.add(ModelCost {
                model: model.model.clone(),
                backend: model.backend.clone(),
                notional: model.notional.unwrap_or_else(|| is_notional(&model.backend)),
                usage: UsageInfo::from(model.usage),
                uncertain_usd: model.uncertain.dollars(),
            });
        }
    }
}

impl Kept {
    /// What was given the partial of an item that is done again, or was another one, does not stand.
    fn without_those_whose_sources_have_gone(&mut self, items: &[Item]) {
        loop {
            let sources: HashMap<&str, Option<Digest>> = self
                .ends
                .iter()
                .filter_map(|(number, end)| Some((items.get(*number)?.id.as_str(), digest_of(end.partial.as_ref()))))
                .collect();
            let stands = |end: &ItemEnd| {
                end.reads.iter().all(|read| match read {
                    Read::Partial { item, sha256 } => sources.get(item.as_str()).is_some_and(|now| now == sha256),
                    _ => true,
                })
            };
            let gone: HashSet<usize> =
                self.ends.iter().filter(|(_, end)| !stands(end)).map(|(number, _)| *number).collect();
            if gone.is_empty() {
                return;
            }
            for number in gone {
                self.ends.remove(&number);
                self.again.insert(number, "an item that it depends on is done again".to_owned());
            }
        }
    }
}

/// As an item that reads the partial of another one notes it.
fn digest_of(partial: Option<&Partial>) -> Option<Digest> {
    // Numbers, texts and lists: they always serialise.
    partial.map(|partial| Digest::of(serde_json::to_string(partial).unwrap_or_default().as_bytes()))
}

/// Whether the lifetime that a plugin gave a result is over.
fn is_over(partial: &Partial, ended: Timestamp) -> bool {
    partial.lifetime_s.is_some_and(|seconds| {
        let age = Timestamp::now().duration_since(ended);
        age.is_negative() || age >= SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
    })
}

#[cfg(test)]
mod tests {
    use convoke_runtime::work::Work;

    use super::*;

    fn item(id: &str) -> Item {
        Item { id: id.to_owned(), ..Item::default() }
    }

    fn end(id: &str, reads: impl IntoIterator<Item = Read>) -> ItemEnd {
        ItemEnd {
            item: id.to_owned(),
            outcome: Outcome::Done,
            partial: Some(Partial::default()),
            reads: reads.into_iter().collect(),
            reused: None,
            took: std::time::Duration::ZERO,
            attempts: 1,
            log: String::new(),
            ended: Timestamp::UNIX_EPOCH,
        }
    }

    fn source(id: &str, partial: Option<&Partial>) -> Read {
        Read::Partial { item: id.to_owned(), sha256: digest_of(partial) }
    }

    #[test]
    fn what_came_of_an_item_that_is_done_again_is_done_again_too() {
        let items: Vec<Item> = ["gone", "child", "grandchild", "other", "of-other", "of-another"].map(item).into();
        let same = Some(&Partial::default());
        let other = Partial { lifetime_s: Some(1), ..Partial::default() };
        let ends = [
            (1, end("child", [source("gone", same)])),
            (2, end("grandchild", [source("child", same)])),
            (3, end("other", [])),
            (4, end("of-other", [source("other", same)])),
            (5, end("of-another", [source("other", Some(&other))])),
        ];
        let mut kept = Kept { ends: ends.into(), again: HashMap::new() };
        kept.without_those_whose_sources_have_gone(&items);
        let mut left: Vec<usize> = kept.ends.keys().copied().collect();
        left.sort_unstable();
        assert_eq!(left, [3, 4]);
        assert_eq!(kept.again.len(), 3);
    }

    #[test]
    fn what_the_run_itself_had_ended_is_not_cached() {
        let mut ends: HashMap<usize, ItemEnd> = (0..18).map(|number| (number, end("it", []))).collect();
        for number in [3, 4] {
            ends.insert(number, ItemEnd { outcome: Outcome::Failed("no".to_owned()), ..end("it", []) });
        }
        ends.insert(5, ItemEnd { outcome: Outcome::Cached, ..end("it", []) });
        let assessed = Assessed {
            work: Work::default(),
            keys: Vec::new(),
            reusable: HashMap::new(),
            kept: Kept { ends, again: HashMap::new() },
            why: HashMap::new(),
            explained: Vec::new(),
        };
        assert_eq!(assessed.cached(), 1);
    }

    #[test]
    fn a_lifetime_ends() {
        let now = Timestamp::now();
        let of = |lifetime_s| Partial { lifetime_s, ..Partial::default() };
        assert!(!is_over(&of(None), Timestamp::UNIX_EPOCH));
        assert!(is_over(&of(Some(60)), now - SignedDuration::from_secs(61)));
        assert!(!is_over(&of(Some(60)), now - SignedDuration::from_secs(1)));
        assert!(is_over(&of(Some(60)), now + SignedDuration::from_secs(60)), "from the future");
    }
}
