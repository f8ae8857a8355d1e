//! Programs that run at an install.

use convoke_sdk::Finding;
use convoke_sdk::text::shown;

use super::{counted, finding, locks, manifests, number, same, some, word};
use crate::unit::Unit;

/// The longest script that is shown, in characters.
const LONGEST: usize = 120;

pub(super) fn check(unit: &Unit, found: &mut Vec<Finding>) {
    for (file, manifest) in manifests(unit) {
        for script in &manifest.scripts {
            let (name, text) = (word(&script.name), shown(&script.text, LONGEST));
            let message = format!("{name} runs when this project is installed: {text}");
            let fingerprint = same("install-script", &file.path, &script.name);
            found.push(finding("install-script", &file.path, script.line, message).fingerprint(fingerprint));
        }
    }
    for (file, lock) in locks(unit) {
        let running: Vec<_> = lock.packages.iter().filter(|package| package.install_script).collect();
        let Some(line) = running.iter().map(|package| package.line).min() else { continue };
        let count = counted(running.len(), "package", "packages");
        let names = some(running.iter().map(|package| word(&package.name)));
        let runs = if running.len() == 1 { "runs" } else { "run" };
        let message = format!("{count} of {} {runs} programs when installed: {names}", number(lock.packages.len()));
        found.push(
            finding("install-scripts", &file.path, line, message)
                .help("Install with `--ignore-scripts`, and allow those that need theirs.")
                .fingerprint(same("install-scripts", &file.path, "")),
        );
    }
}
