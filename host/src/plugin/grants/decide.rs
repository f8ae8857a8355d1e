//! The decision: what a plugin asks for is shown in plain words, and the user says yes or no. Silence is no.

use jiff::Timestamp;

use super::cover::{allows, join, meet};
use super::words::{command, plain, short};
use super::{Grant, Grants, Origin, Wish, lacking, missing};
use crate::plugin::capabilities::{Capabilities, Program, Site};
use crate::plugin::inspect::Inspected;
use crate::plugin::printable;

/// Shows a text and asks whether that is granted. Only a plain yes is one.
pub type Ask<'a> = dyn FnMut(&str) -> bool + 'a;

/// The longest that a user's own name for a plugin is shown, in characters.
const LONGEST: usize = 300;

/// Why a plugin does not get what it asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Nobody can be asked.
    #[error("`{plugin}` asks for what you have not granted{}: to {}", of_version(*changed), wishes.join("; to "))]
    NobodyToAsk {
        /// As the user calls it.
        plugin: String,
        /// What it asks for, in plain words.
        wishes: Vec<String>,
        /// Whether another component of its name has a grant.
        changed: bool,
        /// The command that grants it.
        command: String,
    },
    /// The user said no.
    #[error("`{plugin}` was not granted what it asks for, so it does not run")]
    Declined {
        /// As the user calls it.
        plugin: String,
        /// The command that grants it, of which parts can be left out.
        command: String,
    },
}

fn of_version(changed: bool) -> &'static str {
    if changed { " to this version of it" } else { "" }
}

impl GrantError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NobodyToAsk { plugin, command, .. } => {
                let explain = shlex::try_quote(plugin).map_or_else(|_| plugin.clone(), Into::into);
                format!(
                    "here is no terminal to ask on; this grants it: {command}\nwhat each allows at worst: convoke grants \
                     explain {explain}"
                )
            }
            Self::Declined { command, .. } => {
                format!("a part of it can be granted by leaving out the rest: {command}")
            }
        }
    }
}

/// A plugin about which is decided.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// As the user calls it: a name, or the path of its file.
    pub plugin: &'a str,
    /// What it is and asks for.
    pub inspected: &'a Inspected,
    /// Where it comes from.
    pub origin: Origin,
}

impl<'a> Case<'a> {
    /// What it asks for, beside asking Claude.
    pub fn asked(&self) -> &'a Capabilities {
        &self.inspected.manifest.capabilities
    }

    /// What is granted, by where it comes from and by what is stored: for this component, or, where it is a part of
    /// convoke, for the one that was this part before.
    pub fn given(&self, grants: &Grants) -> Grant {
        let presumed = Grant::presumed(self.origin, self.asked());
        match self.stored(grants) {
            Some(stored) => presumed.and(stored),
            None => presumed,
        }
    }

    /// What the user has decided about it.
    pub fn stored<'g>(&self, grants: &'g Grants) -> Option<&'g Grant> {
        let before = || {
            let named = grants.named(&self.inspected.manifest.name).filter(|grant| grant.embedded)?;
            // A new convoke brings new components: they are convoke's own as before, and ask for what is more.
            let given = Grant::presumed(self.origin, self.asked()).and(named);
            missing(&self.asked().needed(), Some(&given)).is_empty().then_some(named)
        };
        grants.of(&self.inspected.digest).or_else(|| (self.origin == Origin::Embedded).then(before).flatten())
    }
}

/// What a plugin gets in a run that is about to begin. Asks where it was not decided yet, and writes down a yes.
///
/// # Errors
/// The user said no, or nobody can be asked; or the grants can't be written.
pub fn check<E: From<GrantError> + From<super::GrantsError>>(
    case: Case<'_>,
    grants: &mut Grants,
    terminal: Option<&mut Ask<'_>>,
) -> Result<Capabilities, E> {
    let given = case.given(grants);
    let is_decided = case.stored(grants).is_some() && given.trust;
    let needed = case.asked().needed();
    if is_decided || missing(&needed, Some(&given)).is_empty() {
        return Ok(meet(case.asked(), &given.capabilities));
    }
    let before = grants.named(&case.inspected.manifest.name).cloned();
    let grant = decide_on(case, &needed, before.as_ref(), terminal).inspect_err(|error| {
        grants.refused(Some(&case.inspected.digest), &case.inspected.manifest.name, &error.to_string());
    })?;
    grants.allow(grant)?;
    Ok(meet(case.asked(), &case.given(grants).capabilities))
}

/// Asks about a component that is to be installed under a name. `before`: what was granted to the component of that name
/// until now. Where that is this very component, and nothing is missing, nobody is asked. A yes is returned, and not
/// written down yet.
///
/// # Errors
/// The user said no, or nobody can be asked.
pub fn decide(
    name: &str,
    inspected: &Inspected,
    before: Option<&Grant>,
    terminal: Option<&mut Ask<'_>>,
) -> Result<Grant, GrantError> {
    let needed = inspected.manifest.capabilities.needed();
    decide_on(Case { plugin: name, inspected, origin: Origin::Installed }, &needed, before, terminal)
}

/// As [`decide`], of a component that comes from anywhere, and of all that it asks for: also what it can do without.
///
/// # Errors
/// As [`decide`].
pub fn decide_as(case: Case<'_>, before: Option<&Grant>, terminal: Option<&mut Ask<'_>>) -> Result<Grant, GrantError> {
    decide_on(case, case.asked(), before, terminal)
}

/// As [`decide_as`], of a part of what it asks for.
fn decide_on(
    case: Case<'_>,
    asked: &Capabilities,
    before: Option<&Grant>,
    terminal: Option<&mut Ask<'_>>,
) -> Result<Grant, GrantError> {
    let manifest = &case.inspected.manifest;
    let same = before.filter(|before| before.digest == case.inspected.digest);
    let given =
        same.map_or_else(|| Grant::presumed(case.origin, asked), |same| Grant::presumed(case.origin, asked).and(same));
    let wishes = missing(asked, Some(&given));
    if let (Some(same), true) = (same, wishes.is_empty()) {
        return Ok(same.clone());
    }
    let plugin = printable(case.plugin, LONGEST);
    let command = command(case.plugin, &wishes);
    let Some(ask) = terminal else {
        let (wishes, changed) = (wishes.iter().map(plain).collect(), before.is_some() && same.is_none());
        return Err(GrantError::NobodyToAsk { plugin, wishes, changed, command });
    };
    if !wishes.is_empty() && !ask(&question(case, before.filter(|_| same.is_none()), &wishes)) {
        return Err(GrantError::Declined { plugin, command });
    }
    let (trust, mut capabilities) = of_wishes(&wishes);
    if let Some(same) = same {
        capabilities.claude.usd = if trust { capabilities.claude.usd } else { same.capabilities.claude.usd };
        capabilities = join(&same.capabilities, &capabilities);
    }
    Ok(Grant {
        digest: case.inspected.digest.clone(),
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        granted: Timestamp::now(),
        embedded: case.origin == Origin::Embedded,
        trust: trust || same.is_some_and(|same| same.trust),
        capabilities,
    })
}

/// What is granted by saying yes to these: whether it may ask Claude, and the rest.
fn of_wishes(wishes: &[Wish]) -> (bool, Capabilities) {
    let (mut trust, mut granted) = (false, Capabilities::default());
    for wish in wishes.iter().cloned() {
        match wish {
            Wish::Spend(usd) => (trust, granted.claude.usd) = (true, usd),
            Wish::Tool(tool) => granted.claude.tools.push(tool),
            Wish::Run(program) => granted.process.push(Program { optional: false, ..program }),
            Wish::Send(site) => granted.http.push(Site { optional: false, ..site }),
            Wish::Store => granted.store = true,
        }
    }
    (trust, granted)
}

/// What is shown before the user answers. `before`: what another component of that name was granted.
fn question(case: Case<'_>, before: Option<&Grant>, wishes: &[Wish]) -> String {
    let manifest = &case.inspected.manifest;
    let plugin = printable(case.plugin, LONGEST);
    let (version, digest) = (printable(&manifest.version, LONGEST), short(&case.inspected.digest));
    let lines = |mark: &str, wishes: &[Wish]| -> String {
        wishes.iter().map(|wish| format!("  {mark} {}\n", plain(wish))).collect()
    };
    let Some(before) = before else {
        return format!("`{plugin}` (version {version}, sha256 {digest}) asks to\n{}", lines("-", wishes));
    };
    let is_new = |wish: &&Wish| !is_within(wish, before);
    let (added, kept): (Vec<&Wish>, Vec<&Wish>) = wishes.iter().partition(is_new);
    let owned = |list: Vec<&Wish>| -> Vec<Wish> { list.into_iter().cloned().collect() };
    let (added, kept) = (owned(added), owned(kept));
    let gone = lacking(&before.capabilities, case.asked());
    let gone: Vec<Wish> = gone.into_iter().filter(|wish| !matches!(wish, Wish::Spend(_))).collect();
    let mut text = format!(
        "`{plugin}` is another component than the one that you granted on {} ({}, sha256 {}): version {version}, sha256 \
         {digest}\n",
        before.granted.strftime("%Y-%m-%d"),
        printable(&before.version, LONGEST),
        short(&before.digest),
    );
    for (title, mark, list) in [
        ("It asks for more:", "+", &added),
        ("It asks no more for this:", "-", &gone),
        ("As before it asks to", " ", &kept),
    ] {
        if !list.is_empty() {
            text += &format!("{title}\n{}", lines(mark, list));
        }
    }
    text
}

/// Whether a wish is granted, as a whole.
pub fn is_within(wish: &Wish, before: &Grant) -> bool {
    match wish {
        Wish::Spend(usd) => {
            let most = before.capabilities.claude.usd;
            before.trust && most.is_none_or(|most| usd.is_some_and(|usd| usd <= most))
        }
        wish => allows(&before.capabilities, wish),
    }
}
