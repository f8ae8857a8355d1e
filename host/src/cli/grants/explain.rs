//! `convoke grants explain`: what a plugin asks for, what of it is granted by what, and what each allows at worst.

use serde_json::json;

use super::{Found, LONGEST, command_for, find};
use crate::cli::Runnable;
use crate::cli::error::CliError;
use crate::cli::terminal::put;
use crate::plugin::grants::words::{plain, short, worst};
use crate::plugin::grants::{Case, Grant, Grants, Origin, Wish, is_within, missing};
use crate::plugin::printable;
use crate::report::{ExitCode, clean};

/// How a wish stands.
struct Standing {
    wish: Wish,
    /// What grants it; none: nothing.
    by: Option<&'static str>,
}

pub(super) fn explain(
    runnables: &[Runnable],
    grants: &Grants,
    plugin: &str,
    is_json: bool,
) -> Result<ExitCode, CliError> {
    let found = find(runnables, plugin)?;
    let Some(case) = found.case() else {
        return Err(CliError::usage("there is no component with that digest here, so what it asks for is not known")
            .hint(Some("name a command of `convoke list`, or the path of the component")));
    };
    let standings = standings(case, grants);
    let command = command_for(case, &case.given(grants));
    let text = if is_json {
        let list: Vec<_> = standings
            .iter()
            .map(|one| json!({"wish": plain(&one.wish), "granted_by": one.by, "at_worst": worst(&one.wish)}))
            .collect();
        let manifest = &case.inspected.manifest;
        let whole = json!({
            "schema_version": 1,
            "plugin": plugin,
            "name": manifest.name,
            "version": manifest.version,
            "sha256": found.digest,
            "asks": list,
            "grant": command,
        });
        clean::json(format!("{whole:#}\n"))
    } else {
        as_text(&found, case, &standings, command)
    };
    put(&text, None)?;
    Ok(ExitCode::Success)
}

fn standings(case: Case<'_>, grants: &Grants) -> Vec<Standing> {
    let presumed = Grant::presumed(case.origin, case.asked());
    let (stored, given) = (case.stored(grants), case.given(grants));
    let by_origin = match case.origin {
        Origin::Embedded => "a part of convoke",
        Origin::Typed => "named by its path",
        Origin::Installed => "installed",
    };
    let all = missing(case.asked(), None);
    let standing = |wish: Wish| {
        // What was decided goes before what is presumed: it may be less.
        let by = match stored {
            Some(stored) if is_within(&wish, stored) => Some("grants.toml"),
            _ if is_within(&wish, &presumed) && is_within(&wish, &given) => Some(by_origin),
            _ => None,
        };
        Standing { wish, by }
    };
    all.iter().flat_map(Wish::parts).map(standing).collect()
}

fn as_text(found: &Found, case: Case<'_>, standings: &[Standing], command: Option<String>) -> String {
    let manifest = &case.inspected.manifest;
    let mut text = format!(
        "{}: {} {}, sha256 {}\n\n{}\n\nIt reads the project, and nothing else of this machine. It asks to\n",
        printable(&found.plugin, LONGEST),
        manifest.name,
        printable(&manifest.version, LONGEST),
        short(&found.digest),
        printable(&manifest.description, LONGEST),
    );
    for Standing { wish, by } in standings {
        let without = match wish {
            Wish::Send(site) => site.optional,
            Wish::Run(program) => program.optional,
            _ => false,
        };
        let missing = if without { "not granted, it does without" } else { "not granted" };
        let stands = by.map_or_else(|| missing.to_owned(), |by| format!("granted: {by}"));
        text += &format!("  {}  [{stands}]\n      at worst: {}\n", plain(wish), worst(wish));
    }
    if let Some(command) = command {
        text += &format!("\nThis grants what is missing, of which parts can be left out:\n  {command}\n");
    }
    text
}
