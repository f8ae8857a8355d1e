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

use convoke_runtime::journal::Journal;
use convoke_runtime::journal::health;
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
    let health = looked.unwrap_or_else(|error| {
        Err(convoke_runtime::journal::JournalError::Unreachable { path: paths.journal(), detail: error.to_string() })
    });
    let lately = match &health {
        // One of an older format would be brought to the newest.
        Ok(Some(health)) if health.format == health.newest => lately(&paths.journal()).await,
        _ => None,
    };
    let shared = look(&paths.limits(), &Clock::system(), &boot());
    vec![
        Section { name: "machine", checks: machine::look().await },
        Section { name: "limits", checks: limits::look(settings) },
        Section { name: "disk", checks: disk::look(paths, project) },
        Section { name: "private", checks: private::look(paths) },
        Section { name: "journal", checks: journal::judge(&health, &paths.journal()) },
        Section { name: "service", checks: service::look(settings, shared, lately.as_ref(), &paths.instances()) },
    ]
}

/// How questions went in the last day. None: the journal can't tell.
async fn lately(path: &Path) -> Option<health::Lately> {
    let journal = Journal::open_to_read(path).ok()??;
    let day = Timestamp::now().checked_sub(SignedDuration::from_hours(24)).ok()?;
    journal.lately(day).await.ok()
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

    #[test]
    fn sizes_have_the_unit_that_fits() {
        assert_eq!([2_048, 5 << 20, 3 << 30].map(bytes), ["2 KiB", "5 MiB", "3.0 GiB"]);
    }
}
