//! What rules find in a document without a model.

pub mod contents;
pub mod fences;
pub mod links;
pub mod names;
pub mod target;

use std::collections::BTreeMap;

use convoke_sdk::prelude::*;

use crate::markdown::Place;

/// What rules found in a document.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// How to mend it, where there is one way only.
    pub repairs: Vec<Repair>,
    /// How many things could not be judged, by why.
    pub not_judged: BTreeMap<&'static str, u32>,
    /// How many things were judged.
    pub judged: u32,
}

/// A part of the document, and what should stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// What is replaced.
    pub place: Place,
    /// By what.
    pub text: String,
    /// Why.
    pub reason: String,
}

impl Found {
    /// Adds what another rule found.
    pub fn add(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.repairs.extend(other.repairs);
        for (why, count) in other.not_judged {
            *self.not_judged.entry(why).or_default() += count;
        }
        self.judged += other.judged;
    }

    /// Notes that something can't be judged.
    pub(crate) fn skip(&mut self, why: &'static str) {
        *self.not_judged.entry(why).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules of the manifest, with their severities.
    fn of_the_manifest() -> Vec<(String, String)> {
        let manifest = include_str!("../plugin.toml").parse::<toml::Table>().expect("TOML");
        let text = |rule: &toml::Value, key: &str| rule[key].as_str().expect("a text").to_owned();
        let rules = manifest["rule"].as_array().expect("a list").iter();
        rules.map(|rule| (text(rule, "id"), text(rule, "severity"))).collect()
    }

    #[test]
    fn the_manifest_has_each_rule_once_in_their_order() {
        let rules = of_the_manifest();
        assert!(rules.windows(2).all(|pair| pair[0].0 < pair[1].0), "{rules:?}");
        let sources = [
            include_str!("rules/contents.rs"),
            include_str!("rules/fences.rs"),
            include_str!("rules/links.rs"),
            include_str!("rules/names.rs"),
            include_str!("check.rs"),
            include_str!("history.rs"),
            include_str!("answer.rs"),
            include_str!("public/mod.rs"),
        ];
        for (id, _) in &rules {
            assert!(sources.iter().any(|source| source.contains(&format!("\"{id}\""))), "{id} is found by nothing");
        }
    }

    #[test]
    fn what_is_found_is_in_the_manifest() {
        let mut found = Found::default();
        found.skip("a");
        found.add(Found { judged: 2, not_judged: BTreeMap::from([("a", 1)]), ..Found::default() });
        assert_eq!((found.judged, found.not_judged["a"]), (2, 2));
        let rules = of_the_manifest();
        let path = crate::rules::names::rule(crate::names::What::Path).0;
        for id in ["link-broken", "image-broken", "anchor-broken", "example-broken", "drift", "proposal-unfit", path] {
            assert!(rules.iter().any(|(known, _)| known == id), "{id}");
        }
    }
}
