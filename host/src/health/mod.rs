//! Whether the machine, the files and the service are as a run needs them: what `convoke doctor` says beside the backends.
//!
//! Each judgement is a function of facts that were looked up before. Looking changes nothing, and asks nobody outside.

mod disk;
mod journal;
mod limits;
mod machine;
mod private;
mod service;

use std::path::Path;
use std::time::Duration;

use convoke_runtime::journal::health::{self, Health, Lately};
use convoke_runtime::journal::{Journal, JournalError};
use convoke_runtime::shared::Clock;
use convoke_runtime::shared::clock::boot;
use convoke_runtime::shared::look::look;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::backends::doctor::Check;
use crate::config::{Paths, Settings};

/// So long may it take to look through the journal: some gigabytes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Things that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Section {
    /// What they are: `machine`, `limits`, `disk`, `journal`, `service`, `private`.
    pub name: &'static str,
    /// What was looked at.
    #[schemars(with = "Vec<crate::backends::doctor::CheckLine<'static>>")]
    pub checks: Vec<Check>,
}

/// Looks at all of it.
pub async fn examine(settings: &Settings, paths: &Paths, project: &Path) -> Vec<Section> {
    let path = paths.journal();
    let looked = tokio::task::spawn_blocking(move || health::examine(&path, PATIENCE)).await;
    let health = looked
        .unwrap_or_else(|error| Err(JournalError::Unreachable { path: paths.journal(), detail: error.to_string() }));
    let lately = lately(&health, &paths.journal()).await;
    let shared = look(&paths.limits(), &Clock::system(), &boot());
    vec![
        Section { name: "machine", checks: machine::look().await },
        Section { name: "limits", checks: limits::look(settings) },
        Section { name: "disk", checks: disk::look(paths, project) },
        Section { name: "private", checks: private::look(paths) },
        Section { name: "journal", checks: journal::judge(&health, &paths.journal()) },
        Section { name: "service", checks: service::look(settings, shared, &lately, &paths.instances()) },
    ]
}

/// How questions went in the last day; or why the journal, which is so, can't tell.
async fn lately(health: &Result<Option<Health>, JournalError>, path: &Path) -> Result<Lately, String> {
    match health {
        Ok(None) => return Ok(Lately::default()),
        // One of an older format would be brought to the newest.
        Ok(Some(health)) if health.format < health.newest => {
            return Err(format!("the journal has format {}, and is read in format {}", health.format, health.newest));
        }
        Ok(Some(_)) => {}
        Err(error) => return Err(error.to_string()),
    }
    let asked = async {
        let Some(journal) = Journal::open_to_read(path)? else { return Ok(Lately::default()) };
        let day = Timestamp::now().checked_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN);
        journal.lately(day).await
    };
    asked.await.map_err(|error: JournalError| error.to_string())
}

/// `12.3 GiB`, `512 MiB`.
fn bytes(bytes: u64) -> String {
    const MIB: f64 = (1 << 20) as f64;
    let mib = bytes as f64 / MIB;
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{mib:.0} MiB"),
        _ => format!("{:.1} GiB", mib / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_journal_can_not_tell_is_not_taken_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        assert_eq!(lately(&Ok(None), &path).await, Ok(Lately::default()), "before the first run nothing was asked");
        let old = Health { format: 9, newest: 11, ..Health::default() };
        assert!(lately(&Ok(Some(old)), &path).await.is_err_and(|why| why.contains("format 9")));
        let broken = JournalError::Corrupt { path: path.clone(), detail: "malformed".to_owned() };
        assert!(lately(&Err(broken), &path).await.is_err_and(|why| why.contains("malformed")));
        std::fs::write(&path, "no journal").unwrap();
        let good = Health { format: 11, newest: 11, ..Health::default() };
        assert!(lately(&Ok(Some(good)), &path).await.is_err(), "it is asked, and fails");
    }

    #[test]
    fn sizes_have_the_unit_that_fits() {
        assert_eq!([2_048, 5 << 20, 3 << 30].map(bytes), ["2 KiB", "5 MiB", "3.0 GiB"]);
    }
}
