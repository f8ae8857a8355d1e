//! What is told of all units at once: `list`, `why`, `licenses`, `sbom`.

use convoke_sdk::Document;
use convoke_sdk::prelude::*;

use crate::unit::Unit;
use crate::{Arguments, Job, faults, licenses, list, sbom, why};

/// What is reported of the units, beside files that are not understood. `today` is the day of the run, `2026-11-20`.
///
/// # Errors
/// When what was typed makes no sense for the subcommand.
pub fn partial(job: Job, arguments: &Arguments, today: &str, units: &[Unit], foreign: &[String]) -> Result<Partial> {
    let mut partial = units.iter().fold(Partial::done(), |partial, unit| faults::counted(unit, partial));
    partial.findings = units.iter().flat_map(faults::findings).collect();
    let document = match job {
        Job::List if arguments.as_json => {
            Document::new("dependencies.json", "application/json", list::json(units, foreign))
        }
        Job::List => Document::plain("dependencies.txt", list::list(units, foreign)),
        Job::Why => {
            let name = arguments.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| Error::new("which package?").hint("convoke deps why NAME"))?;
            Document::plain("why.txt", why::why(units, foreign, name).text)
        }
        Job::Licenses => {
            let (text, findings) = licenses::licenses(units, foreign, &arguments.allow, &arguments.deny);
            partial.findings.extend(findings);
            Document::plain("licences.txt", text)
        }
        Job::Sbom => {
            Document::new(sbom::NAME, sbom::MEDIA_TYPE, sbom::sbom(units, foreign, today, env!("CARGO_PKG_VERSION")))
        }
        Job::Audit | Job::Check => return Err(Error::new("it has an item for each project, not one for all")),
    };
    Ok(partial.document(&document))
}
