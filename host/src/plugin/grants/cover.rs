//! What covers what: of two lists of powers what is in both, in one of them, or missing in the other.
//!
//! A program without subcommands covers all of its uses, `git remote` covers `git remote show`, a whole tool of Claude
//! covers its narrower forms, no dollars cover all. Hosts are compared whole, without regard to case; no host covers
//! another one.

use std::collections::BTreeSet;

use convoke_runtime::route::tools;

use super::Wish;
use crate::plugin::capabilities::{Capabilities, Claude, Program, Site};

/// What is both asked for and given: what a run gets.
pub fn meet(asked: &Capabilities, given: &Capabilities) -> Capabilities {
    let of_each = |wish: &Program| given.process.iter().filter_map(|grant| narrower_program(wish, grant)).collect();
    let process = asked.process.iter().flat_map(|wish| -> Vec<Program> { of_each(wish) });
    let of_each = |wish: &Site| given.http.iter().filter_map(|grant| narrower_site(wish, grant)).collect();
    let http = asked.http.iter().flat_map(|wish| -> Vec<Site> { of_each(wish) });
    let narrower = |wish: &String| -> Vec<String> {
        let grants = given.claude.tools.iter();
        grants.filter_map(|grant| narrower(wish, grant, tools::covers)).map(str::to_owned).collect()
    };
    Capabilities {
        process: programs(process),
        http: sites(http),
        store: asked.store && given.store,
        claude: Claude {
            usd: [asked.claude.usd, given.claude.usd].into_iter().flatten().min_by(f64::total_cmp),
            tools: texts(asked.claude.tools.iter().flat_map(narrower)),
        },
    }
}

/// What is in any of both. The dollars are those of the second.
pub fn join(one: &Capabilities, other: &Capabilities) -> Capabilities {
    Capabilities {
        process: programs(one.process.iter().chain(&other.process).cloned()),
        http: sites(one.http.iter().chain(&other.http).cloned()),
        store: one.store || other.store,
        claude: Claude {
            usd: other.claude.usd,
            tools: texts(one.claude.tools.iter().chain(&other.claude.tools).cloned()),
        },
    }
}

/// What of the first is missing in the second, in the order in which it is shown. Asking Claude is there only where the
/// second gives fewer dollars.
pub fn lacking(asked: &Capabilities, given: &Capabilities) -> Vec<Wish> {
    let mut wishes = Vec::new();
    let is_paid = match (asked.claude.usd, given.claude.usd) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(asked), Some(given)) => asked <= given,
    };
    if !is_paid {
        wishes.push(Wish::Spend(asked.claude.usd));
    }
    let tools =
        asked.claude.tools.iter().filter(|tool| !given.claude.tools.iter().any(|grant| tools::covers(grant, tool)));
    wishes.extend(texts(tools.cloned()).into_iter().map(Wish::Tool));
    let process = asked.process.iter().filter_map(|wish| lacking_program(wish, &given.process));
    wishes.extend(programs(process).into_iter().map(Wish::Run));
    let http = asked.http.iter().filter_map(|wish| lacking_site(wish, &given.http));
    wishes.extend(sites(http).into_iter().map(Wish::Send));
    if asked.store && !given.store {
        wishes.push(Wish::Store);
    }
    wishes
}

/// Whether a wish is within what is given.
pub(super) fn allows(given: &Capabilities, wish: &Wish) -> bool {
    match wish {
        Wish::Spend(_) => true,
        Wish::Tool(tool) => given.claude.tools.iter().any(|grant| tools::covers(grant, tool)),
        Wish::Run(program) => lacking_program(program, &given.process).is_none(),
        Wish::Send(site) => lacking_site(site, &given.http).is_none(),
        Wish::Store => given.store,
    }
}

/// `remote` covers `remote show`, word by word.
fn covers_words(grant: &str, words: &str) -> bool {
    words.strip_prefix(grant).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

fn same_method(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// The narrower of two, if one covers the other.
fn narrower<'a>(one: &'a str, other: &'a str, covers: impl Fn(&str, &str) -> bool) -> Option<&'a str> {
    if covers(other, one) {
        Some(one)
    } else if covers(one, other) {
        Some(other)
    } else {
        None
    }
}

/// Of two lists in which none stands for all: what is in both. None: nothing.
fn both(one: &[String], other: &[String], covers: impl Fn(&str, &str) -> bool) -> Option<Vec<String>> {
    match (one, other) {
        ([], list) | (list, []) => Some(list.to_vec()),
        (one, other) => {
            let pairs = one.iter().flat_map(|one| other.iter().map(move |other| (one, other)));
            let common = texts(pairs.filter_map(|(one, other)| narrower(one, other, &covers)).map(str::to_owned));
            Some(common).filter(|common| !common.is_empty())
        }
    }
}

fn narrower_program(wish: &Program, grant: &Program) -> Option<Program> {
    if wish.program != grant.program {
        return None;
    }
    let subcommands = both(&wish.subcommands, &grant.subcommands, covers_words)?;
    Some(Program { program: wish.program.clone(), subcommands, optional: false })
}

fn narrower_site(wish: &Site, grant: &Site) -> Option<Site> {
    if !wish.host.eq_ignore_ascii_case(&grant.host) {
        return None;
    }
    let methods = both(&methods(wish), &methods(grant), same_method)?;
    Some(Site { host: wish.host.to_ascii_lowercase(), methods, optional: false })
}

/// What of a list is covered by none of the others. None: all of it is; an empty list: it stands for all, which is not.
fn uncovered<'a>(
    wished: &[String],
    granted: impl Iterator<Item = &'a [String]>,
    covers: impl Fn(&str, &str) -> bool,
) -> Option<Vec<String>> {
    let granted: Vec<&[String]> = granted.collect();
    if granted.iter().any(|list| list.is_empty()) {
        return None;
    }
    if wished.is_empty() {
        return Some(Vec::new());
    }
    let is_covered = |wish: &&String| granted.iter().any(|list| list.iter().any(|grant| covers(grant, wish)));
    let left = texts(wished.iter().filter(|wish| !is_covered(wish)).cloned());
    Some(left).filter(|left| !left.is_empty())
}

fn lacking_program(wish: &Program, given: &[Program]) -> Option<Program> {
    let same = given.iter().filter(|grant| grant.program == wish.program).map(|grant| grant.subcommands.as_slice());
    let subcommands = uncovered(&wish.subcommands, same, covers_words)?;
    Some(Program { program: wish.program.clone(), subcommands, optional: wish.optional })
}

fn lacking_site(wish: &Site, given: &[Site]) -> Option<Site> {
    let same: Vec<Vec<String>> =
        given.iter().filter(|grant| grant.host.eq_ignore_ascii_case(&wish.host)).map(methods).collect();
    let methods = uncovered(&methods(wish), same.iter().map(Vec::as_slice), same_method)?;
    Some(Site { host: wish.host.to_ascii_lowercase(), methods, optional: wish.optional })
}

/// Each once, in their order.
fn texts(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    all.filter(|text| seen.insert(text.clone())).collect()
}

/// The methods that are meant: none are the harmless ones.
pub(super) fn methods(site: &Site) -> Vec<String> {
    match site.methods.as_slice() {
        [] => ["GET", "HEAD"].map(str::to_owned).to_vec(),
        named => named.iter().map(|method| method.to_ascii_uppercase()).collect(),
    }
}

/// Each program once.
fn programs(all: impl Iterator<Item = Program>) -> Vec<Program> {
    let mut merged: Vec<Program> = Vec::new();
    for one in all {
        match merged.iter_mut().find(|known| known.program == one.program) {
            Some(known) => {
                known.optional &= one.optional;
                add(&mut known.subcommands, one.subcommands);
            }
            None => merged.push(one),
        }
    }
    merged
}

/// Each host once, with its methods.
fn sites(all: impl Iterator<Item = Site>) -> Vec<Site> {
    let mut merged: Vec<Site> = Vec::new();
    for one in all {
        let one = Site { methods: methods(&one), ..one };
        match merged.iter_mut().find(|known| known.host.eq_ignore_ascii_case(&one.host)) {
            Some(known) => {
                known.optional &= one.optional;
                add(&mut known.methods, one.methods);
            }
            None => merged.push(one),
        }
    }
    merged
}

/// An empty list stands for all.
fn add(known: &mut Vec<String>, more: Vec<String>) {
    if known.is_empty() || more.is_empty() {
        known.clear();
    } else {
        *known = texts(known.drain(..).chain(more));
    }
}
