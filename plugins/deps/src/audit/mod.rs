//! `audit`: known vulnerabilities of a unit's packages.
//!
//! What nobody could be asked about is unknown: it is counted, named in a finding, and fails the item, so that the run is
//! degraded. It is never taken for safe.

pub mod advice;
pub mod api;
pub mod findings;
pub mod folder;
mod reading;
pub mod subjects;
#[cfg(test)]
mod tests;

use convoke_sdk::small::{Map, Set};

use convoke_sdk::Project;
use convoke_sdk::prelude::*;

use crate::faults;
use crate::osv::{Advisory, Book, Doubt, Found, Hole};
use crate::unit::{Planned, Unit};
use api::{Answer, Osv};
use findings::Judgement;
use subjects::{Subject, subjects};

/// What an item of `audit` is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde")]
pub struct Input {
    /// The unit.
    pub unit: Planned,
    /// Who is asked.
    pub whom: Whom,
}

/// Who is asked about packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde", rename_all = "kebab-case")]
pub enum Whom {
    /// These advisories of a folder.
    Folder(folder::Named),
    /// The API at this address.
    Api(String),
}

/// What is known of a subject.
#[derive(Clone, Debug)]
pub enum Known {
    /// It was looked up.
    Asked(Found),
    /// It was not, and why.
    Unknown(String),
}

/// Audits one unit.
pub async fn audit(task: &Task, input: &Input) -> Partial {
    let unit = input.unit.load(task).await;
    let asked = subjects(&unit);
    let judged = match &input.whom {
        Whom::Folder(named) => by_folder(task, &unit, named, &asked.asked).await,
        Whom::Api(url) => {
            let url = url.trim_end_matches('/');
            by_api(&api::Api { task, url }, &unit, &asked.asked).await
        }
    };
    partial(&unit, &Judgement { subjects: asked, judged })
}

/// What is reported of a unit.
pub fn partial(unit: &Unit, judgement: &Judgement) -> Partial {
    let mut partial = faults::counted(unit, Partial::done());
    let unknown = judgement.unknown(unit);
    for (name, value, what) in [
        ("packages asked about", judgement.asked(), "packages"),
        ("packages unknown", unknown.packages, "packages"),
        ("packages with holes", judgement.affected(), "packages"),
    ] {
        partial = partial.metric(Metric::sum(name, value as f64, what));
    }
    partial.findings = faults::findings(unit);
    partial.findings.extend(findings::of(unit, judgement));
    partial.findings.extend(findings::not_asked(unit, &unknown));
    match unknown.said() {
        Some(said) => Partial { outcome: Outcome::Failed(said), ..partial },
        None => partial,
    }
}

/// What a folder's advisories say.
pub async fn by_folder(project: &impl Project, unit: &Unit, named: &folder::Named, subjects: &[Subject]) -> Vec<Known> {
    let ecosystem = unit.manager.ecosystem();
    if !named.covered {
        let name = unit.manager.name();
        let why = format!("{} holds no advisories for packages of {name}", named.folder);
        return subjects.iter().map(|_| Known::Unknown(why.clone())).collect();
    }
    let mut book = Book::default();
    let mut unread = Map::new();
    for path in &named.files {
        match project.read_text(path).await {
            Ok(text) => drop(book.read(path, &text)),
            Err(error) => drop(unread.insert(path.as_str(), error.message)),
        }
    }
    if let Some((path, why)) = unread.first_key_value() {
        let why = format!("{} of {} advisories can't be read; {path}: {why}", unread.len(), named.files.len());
        return subjects.iter().map(|_| Known::Unknown(why.clone())).collect();
    }
    subjects.iter().map(|subject| Known::Asked(book.find(ecosystem, &subject.name, &subject.version))).collect()
}

/// What the API says. Its word that a package is affected holds, also where the advisory by itself would not tell.
pub async fn by_api(osv: &impl Osv, unit: &Unit, subjects: &[Subject]) -> Vec<Known> {
    let ecosystem = unit.manager.ecosystem();
    let Answer { ids, advisories, missing, hindered } = api::ask(osv, ecosystem, subjects).await;
    let mut book = Book::default();
    let told: Map<String, Told> = advisories.iter().map(|one| (one.id.clone(), Told::of(one))).collect();
    advisories.into_iter().for_each(|advisory| book.add(advisory));
    let hindered = hindered.unwrap_or_else(|| "OSV gave no answer".to_owned());
    let known = |(place, subject): (usize, &Subject)| {
        let Some(ids) = ids.get(&place) else { return Known::Unknown(hindered.clone()) };
        let mut found = book.find(ecosystem, &subject.name, &subject.version);
        // What an advisory leaves in doubt, OSV has decided.
        found.doubts.clear();
        let named: Set<String> =
            found.holes.iter().flat_map(|hole| hole.ids.iter().chain(&hole.aliases)).cloned().collect();
        for id in ids.iter().filter(|id| !named.contains(*id)) {
            match told.get(id) {
                Some(told) if told.withdrawn => {}
                Some(told) => found.holes.push(told.hole(id)),
                None => {
                    let why = missing.get(id).cloned().unwrap_or_default();
                    found.holes.push(Told::default().hole(id));
                    found.doubts.push(Doubt { id: id.clone(), why });
                }
            }
        }
        Known::Asked(found)
    };
    subjects.iter().enumerate().map(known).collect()
}

/// What an advisory says of itself, for packages that it doesn't name by itself though the database does.
#[derive(Default)]
struct Told {
    withdrawn: bool,
    summary: String,
    severity: Option<Severity>,
    score: Option<f64>,
    url: Option<String>,
}

impl Told {
    fn of(advisory: &Advisory) -> Self {
        Self {
            withdrawn: advisory.withdrawn,
            summary: advisory.summary.clone(),
            severity: advisory.severity,
            score: advisory.score,
            url: advisory.url.clone(),
        }
    }

    fn hole(&self, id: &str) -> Hole {
        Hole {
            ids: vec![id.to_owned()],
            aliases: Vec::new(),
            severity: self.severity,
            score: self.score,
            fixed: Vec::new(),
            summary: self.summary.clone(),
            url: self.url.clone(),
            informational: None,
            functions: Vec::new(),
            arch: Vec::new(),
            os: Vec::new(),
        }
    }
}
