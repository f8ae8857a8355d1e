//! `deps`: what a project depends on, and what is wrong with that.
//!
//! `plan` finds manifests and lockfiles and makes units of them ([`unit::Unit`]): what belongs together. `audit` and `check` have
//! an item for each unit; `list`, `why`, `licenses` and `sbom` have one for all units, for they make one document.

pub mod analyst;
pub mod audit;
pub mod check;
pub mod conclusion;
pub mod cvss;
pub mod digest;
pub mod faults;
pub mod find;
pub mod format;
pub mod glob;
pub mod group;
pub mod licence;
pub mod licenses;
pub mod list;
pub mod model;
pub mod osv;
pub mod plan;
pub mod popular;
pub mod rustsec;
pub mod sbom;
#[cfg(test)]
mod testing;
pub mod unit;
pub mod uses;
pub mod versions;
pub mod whole;
pub mod why;

use convoke_sdk::prelude::*;

use crate::unit::{Planned, Unit};

/// The command.
pub struct Deps;

/// Which subcommand was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Known vulnerabilities.
    Audit,
    /// What is wrong without asking anybody.
    Check,
    /// All packages.
    List,
    /// By which paths a package came.
    Why,
    /// Under which licences.
    Licenses,
    /// A bill of materials.
    Sbom,
}

impl Job {
    /// By its name.
    pub fn named(name: Option<&str>) -> Result<Self> {
        Ok(match name {
            Some("audit") => Self::Audit,
            Some("check") => Self::Check,
            Some("list") => Self::List,
            Some("why") => Self::Why,
            Some("licenses") => Self::Licenses,
            Some("sbom") => Self::Sbom,
            other => return Err(Error::new(format!("there is no subcommand {}", other.unwrap_or("of that name")))),
        })
    }
}

/// What the user typed, beside the paths. What a subcommand doesn't have is none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde", rename_all = "kebab-case", default)]
pub struct Arguments {
    /// A folder of advisories.
    pub advisories: Option<String>,
    /// Where the API of OSV answers.
    pub osv_url: Option<String>,
    /// JSON instead of a table.
    pub as_json: bool,
    /// The package of `why`.
    pub name: Option<String>,
    /// Licences that are fine.
    pub allow: Vec<String>,
    /// Licences that are not.
    pub deny: Vec<String>,
}

/// What an item is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde", rename_all = "kebab-case")]
pub enum Input {
    /// A unit and who is asked about it.
    Audit(audit::Input),
    /// Advisories that can't be read: the file, the line, and why.
    Advisories(Vec<(String, Option<u32>, String)>),
    /// What was found in the units of a manager.
    Analyst {
        /// Which one.
        manager: model::Manager,
        /// Its units' items.
        units: Vec<String>,
    },
    /// One unit.
    Unit(Planned),
    /// All of them.
    Whole {
        /// The units.
        units: Vec<Planned>,
        /// The files that are not understood.
        foreign: Vec<String>,
    },
    /// Files of a manager that is not understood.
    Foreign {
        /// The manager, as people know it.
        manager: String,
        /// Its files.
        files: Vec<String>,
    },
}

impl Command for Deps {
    async fn plan(call: &Call) -> Result<Work> {
        plan::plan(call, Job::named(call.subcommand())?, &call.arguments()?, call.paths()).await
    }

    async fn run(call: &Call, task: &Task) -> Result<Partial> {
        let job = Job::named(call.subcommand())?;
        match task.input()? {
            Input::Audit(input) => Ok(audit::audit(task, &input).await),
            Input::Advisories(broken) => Ok(plan::broken_advisories(&broken)),
            Input::Analyst { manager, units } => analyst::analyse(task, manager, &units).await,
            Input::Unit(planned) => {
                let unit = planned.load(task).await;
                Ok(check::partial(&unit))
            }
            Input::Whole { units: planned, foreign } => {
                let mut units: Vec<Unit> = Vec::with_capacity(planned.len());
                for planned in planned {
                    units.push(planned.load(task).await);
                }
                whole::partial(job, &call.arguments()?, call.today(), &units, &foreign)
            }
            Input::Foreign { manager, files } => Ok(plan::not_understood(&manager, &files)),
        }
    }
}

impl Conclude for Deps {
    async fn conclude(_call: &Call, task: &Task, whole: &Aggregate) -> Result<Partial> {
        conclusion::conclude(task, whole).await
    }
}

convoke_sdk::export!(Deps, with conclusion);
