//! What stands for programs and hosts in a case. Real ones are never run or asked.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::plugin::outside::fakes::{Fakes, Fetched, Ran};
use crate::report::clean;

/// The longest call that is shown, in characters.
const SHOWN: usize = 300;

/// What a program gives.
#[derive(Clone, Debug)]
pub struct Process {
    /// The program.
    pub program: String,
    /// With what its arguments begin.
    pub arguments: Vec<String>,
    /// How often, of all calls; none: always.
    pub times: Option<u32>,
    /// What it gives, or why it can't be run.
    pub given: Result<Ran, String>,
}

/// What a host gives.
#[derive(Clone, Debug)]
pub struct Http {
    /// In capitals.
    pub method: String,
    /// The whole URL; or its beginning, then `*`.
    pub url: String,
    /// How often an item gets it; none: always.
    pub times: Option<u32>,
    /// What it gives, or why there is no answer.
    pub given: Result<Fetched, String>,
}

impl Process {
    fn fits(&self, program: &str, arguments: &[String]) -> bool {
        self.program == program && arguments.starts_with(&self.arguments)
    }
}

impl Http {
    fn fits(&self, method: &str, url: &str) -> bool {
        let is_url = match self.url.strip_suffix('*') {
            Some(beginning) => url.starts_with(beginning),
            None => url == self.url,
        };
        is_url && self.method == method
    }
}

/// A call that a case was made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Called {
    /// By which item; null: for the plan.
    pub item: Option<String>,
    /// What, in a line.
    pub call: String,
    /// Whether there was something for it.
    #[serde(skip)]
    pub is_expected: bool,
}

/// The programs and hosts of one run of a case.
#[derive(Debug, Default)]
pub struct Stage {
    processes: Vec<Process>,
    sites: Vec<Http>,
    so_far: Mutex<SoFar>,
}

#[derive(Debug, Default)]
struct SoFar {
    given: BTreeMap<(&'static str, usize, Option<String>), u32>,
    called: Vec<Called>,
}

impl Stage {
    /// For one run.
    pub fn new(processes: Vec<Process>, sites: Vec<Http>) -> Self {
        Self { processes, sites, so_far: Mutex::default() }
    }

    /// What was called, in an order that does not depend on who was first.
    pub fn called(&self) -> Vec<Called> {
        let mut called = self.so_far().called.clone();
        called.sort();
        called
    }

    fn so_far(&self) -> MutexGuard<'_, SoFar> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first that fits and is not used up for the item.
    fn first<'a, T>(
        &self,
        kind: &'static str,
        item: Option<&str>,
        call: String,
        all: &'a [T],
        fits: impl Fn(&T) -> bool,
        times: impl Fn(&T) -> Option<u32>,
    ) -> Option<&'a T> {
        let mut so_far = self.so_far();
        let found = all.iter().enumerate().find(|(number, one)| {
            if !fits(one) {
                return false;
            }
            let given = so_far.given.entry((kind, *number, item.map(str::to_owned))).or_default();
            let is_left = times(one).is_none_or(|times| *given < times);
            *given += u32::from(is_left);
            is_left
        });
        let call = clean::line(&clean::bounded(&call, SHOWN));
        so_far.called.push(Called { item: item.map(str::to_owned), call, is_expected: found.is_some() });
        found.map(|(_, one)| one)
    }
}

impl Fakes for Stage {
    fn run(&self, item: Option<&str>, program: &str, arguments: &[String]) -> Option<Result<Ran, String>> {
        let words = std::iter::once(program).chain(arguments.iter().map(String::as_str));
        let call = words.collect::<Vec<_>>().join(" ");
        let fits = |one: &Process| one.fits(program, arguments);
        let found = self.first("process", item, call, &self.processes, fits, |one| one.times)?;
        Some(found.given.clone())
    }

    fn fetch(&self, item: Option<&str>, method: &str, url: &str) -> Option<Result<Fetched, String>> {
        let fits = |one: &Http| one.fits(method, url);
        let found = self.first("http", item, format!("{method} {url}"), &self.sites, fits, |one| one.times)?;
        Some(found.given.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(stdout: &str) -> Result<Ran, String> {
        Ok(Ran { status: 0, stdout: stdout.into(), stderr: Vec::new() })
    }

    fn stage() -> Stage {
        let process = |arguments: &[&str], times, stdout: &str| Process {
            program: "git".to_owned(),
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            times,
            given: ran(stdout),
        };
        let site = |url: &str| Http {
            method: "GET".to_owned(),
            url: url.to_owned(),
            times: None,
            given: Ok(Fetched { status: 200, headers: Vec::new(), body: url.into() }),
        };
        let processes = vec![process(&["diff"], Some(1), "once"), process(&["diff"], None, "then")];
        Stage::new(processes, vec![site("https://a.org/x"), site("https://a.org/*")])
    }

    #[test]
    fn the_first_that_fits_is_given_and_so_often_for_each_item() {
        let stage = stage();
        let words = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let run = |item| stage.run(Some(item), "git", &words("diff --stat")).and_then(Result::ok).map(|ran| ran.stdout);
        assert_eq!(
            [run("a"), run("a"), run("b")].map(Option::unwrap),
            [b"once".to_vec(), b"then".to_vec(), b"once".to_vec()]
        );
        assert!(stage.run(None, "git", &words("push")).is_none());
        assert!(stage.run(None, "cargo", &words("diff")).is_none());
        let called = stage.called();
        assert_eq!((called[0].call.as_str(), called[0].is_expected), ("cargo diff", false));
        assert_eq!(called.iter().filter(|one| one.is_expected).count(), 3);
    }

    #[test]
    fn a_url_is_whole_or_a_beginning() {
        let stage = stage();
        let fetch = |method, url| stage.fetch(None, method, url).and_then(Result::ok).map(|found| found.body);
        assert_eq!(fetch("GET", "https://a.org/x"), Some(b"https://a.org/x".to_vec()));
        assert_eq!(fetch("GET", "https://a.org/y"), Some(b"https://a.org/*".to_vec()));
        assert_eq!([fetch("POST", "https://a.org/x"), fetch("GET", "https://b.org/x")], [None, None]);
    }
}
