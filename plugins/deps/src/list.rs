//! `list`: all packages, as a table or as JSON.

use convoke_sdk::small::{Map, Set};

use convoke_sdk::text::shown;
use serde::Serialize;

use crate::check::{counted, number, some};
use crate::model::{Bound, Origin, Scope};
use crate::unit::Unit;

/// The widest that a column is padded to, in characters; what is longer pushes its own line.
const WIDEST: usize = 44;

/// The longest cell, in characters.
const LONGEST: usize = 200;

/// One package, or something asked for that no lockfile holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// As its registry writes it.
    pub name: String,
    /// The version that is locked; none: only asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What is asked for, where nothing is locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// `cargo`, `npm`.
    pub manager: &'static str,
    /// The unit it belongs to.
    pub unit: String,
    /// Whether the project asks for it itself; none: not known.
    pub direct: Option<bool>,
    /// What it is needed for.
    pub scope: Scope,
    /// Where it comes from, where that is not the manager's registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The file that says so.
    pub path: String,
    /// Where in it, counted from 1.
    pub line: u32,
    /// At how many places of the file it stands in this version: npm has copies of one.
    pub places: usize,
}

/// All packages of all units, each version once a lockfile: by unit, name and version.
pub fn rows(units: &[Unit]) -> Vec<Row> {
    units.iter().flat_map(of_unit).collect()
}

fn of_unit(unit: &Unit) -> Vec<Row> {
    let paths = unit.paths();
    let mut rows: Map<(&str, &str, &str), Row> = Map::new();
    for locked in unit.locked() {
        let package = locked.package;
        if package.origin == Origin::Workspace {
            continue;
        }
        let direct = if paths.is_direct(locked.place) {
            Some(true)
        } else {
            tells_what_is_direct(unit, locked.lock).then_some(false)
        };
        let row = rows.entry((&package.name, &package.version, &locked.file.path)).or_insert_with(|| Row {
            name: package.name.clone(),
            version: Some(package.version.clone()),
            range: None,
            manager: unit.manager.name(),
            unit: unit.id.clone(),
            direct,
            scope: package.scope,
            origin: origin(&package.origin),
            path: locked.file.path.clone(),
            line: package.line,
            places: 0,
        });
        row.places += 1;
        row.direct = row.direct.max(direct);
        row.scope = row.scope.min(package.scope);
        row.line = row.line.min(package.line);
    }
    let names: Set<&str> = unit.packages().map(|package| package.name.as_str()).collect();
    for (file, asked) in unit.requirements() {
        if asked.origin == Origin::Workspace || names.contains(asked.name.as_str()) {
            continue;
        }
        let version = if asked.bound == Bound::Exact { asked.range.as_deref().unwrap_or_default() } else { "" };
        let row = rows.entry((&asked.name, version, &file.path)).or_insert_with(|| Row {
            name: asked.name.clone(),
            version: None,
            range: asked.range.clone(),
            manager: unit.manager.name(),
            unit: unit.id.clone(),
            direct: Some(true),
            scope: asked.scope,
            origin: origin(&asked.origin),
            path: file.path.clone(),
            line: asked.line,
            places: 0,
        });
        row.places += 1;
        row.scope = row.scope.min(asked.scope);
    }
    rows.into_values().collect()
}

/// Whether it is known of every package of a lockfile whether the project asks for it: the lockfile says so, or the
/// manifests do, of which all could be read.
pub fn tells_what_is_direct(unit: &Unit, lock: &crate::model::Lock) -> bool {
    let mut manifests = unit.files.iter().filter(|file| file.manifest.is_some() || file.lock.is_none()).peekable();
    !lock.direct.is_empty() || (manifests.peek().is_some() && manifests.all(|file| file.faults.is_empty()))
}

fn origin(origin: &Origin) -> Option<String> {
    match origin {
        Origin::Registry(None) | Origin::Workspace => None,
        Origin::Registry(Some(url)) | Origin::Url(url) => Some(bare(url)),
        Origin::Git { url, commit: Some(commit) } => Some(format!("{}#{commit}", bare(url))),
        Origin::Git { url, commit: None } => Some(bare(url)),
        Origin::Path(path) => Some(path.clone()),
    }
}

/// An address without what may be a credential.
pub fn bare(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// The table, with a last line that counts.
pub fn list(units: &[Unit], foreign: &[String]) -> String {
    let rows = rows(units);
    let cells = rows.iter().map(|row| {
        let version = match (&row.version, row.range.as_deref().map(str::trim)) {
            (Some(version), _) => cell(version),
            (None, None | Some("")) => "not locked".to_owned(),
            (None, Some(range)) => format!("not locked: {}", cell(range)),
        };
        let direct = match row.direct {
            Some(true) => "direct",
            Some(false) => "transitive",
            None => "unknown",
        };
        let name = match &row.origin {
            Some(origin) => format!("{} ({})", cell(&row.name), cell(origin)),
            None => cell(&row.name),
        };
        let place = format!("{}:{}", cell(&row.path), row.line);
        [name, version, row.manager.to_owned(), direct.to_owned(), scope(row.scope).to_owned(), place]
    });
    let head = ["NAME", "VERSION", "MANAGER", "KIND", "SCOPE", "PLACE"].map(str::to_owned);
    let mut text = table(std::iter::once(head).chain(cells));
    text.push_str(&format!("\n{}\n", sum(units, foreign, &rows)));
    text
}

/// How many there are, and whether they are all.
fn sum(units: &[Unit], foreign: &[String], rows: &[Row]) -> String {
    let locked: usize = rows.iter().filter(|row| row.version.is_some()).count();
    let open = rows.len() - locked;
    let places: usize = rows.iter().filter(|row| row.version.is_some()).map(|row| row.places).sum();
    let mut parts =
        vec![format!("{} in {}", counted(locked, "package", "packages"), counted(units.len(), "unit", "units"))];
    if places > locked {
        parts.push(format!("at {} places", number(places)));
    }
    if open > 0 {
        parts.push(format!("{} asked for and not locked: what they need themselves is not known", number(open)));
    }
    parts.extend(incomplete(units, foreign));
    parts.join("; ")
}

/// That something could not be read or is not understood, so that there may be more.
pub fn incomplete(units: &[Unit], foreign: &[String]) -> Option<String> {
    let files = units.iter().flat_map(|unit| &unit.files).filter(|file| !file.faults.is_empty()).count();
    let mut parts = Vec::new();
    if files > 0 {
        parts.push(format!("{} could not be read in full", counted(files, "file", "files")));
    }
    if !foreign.is_empty() {
        let are = if foreign.len() == 1 { "is" } else { "are" };
        let names = some(foreign.iter().map(|path| cell(path)));
        parts.push(format!("{} {are} not understood ({names})", counted(foreign.len(), "file", "files")));
    }
    (!parts.is_empty()).then(|| format!("not complete: {}", parts.join(", ")))
}

/// The same as JSON, with a version of its shape.
pub fn json(units: &[Unit], foreign: &[String]) -> String {
    #[derive(Serialize)]
    struct List {
        version: u32,
        complete: bool,
        not_understood: Vec<String>,
        packages: Vec<Row>,
    }
    let list = List {
        version: 1,
        complete: incomplete(units, foreign).is_none(),
        not_understood: foreign.to_vec(),
        packages: rows(units),
    };
    // Texts and numbers: they always serialise.
    let mut text = serde_json::to_string_pretty(&list).unwrap_or_default();
    text.push('\n');
    text
}

/// Lines of cells below each other.
pub fn table<const COLUMNS: usize>(rows: impl Iterator<Item = [String; COLUMNS]>) -> String {
    let rows: Vec<[String; COLUMNS]> = rows.collect();
    let mut widths = [0; COLUMNS];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().min(WIDEST).max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(cell.chars().count()) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A text of a file, as it is shown.
pub fn cell(text: &str) -> String {
    shown(text, LONGEST)
}

/// A scope, as it is shown.
pub const fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Normal => "normal",
        Scope::Build => "build",
        Scope::Optional => "optional",
        Scope::Peer => "peer",
        Scope::Dev => "dev",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fault, Manager, Package};
    use crate::testing::{asked, locked, manifest, unit};

    #[test]
    fn a_package_is_listed_with_where_it_stands_and_how_it_came() {
        let mut lock =
            locked("web/package-lock.json", Manager::Npm, &[("a", "1.0.0", &[1]), ("b", "2.0.0", &[])], &[0]);
        lock.lock.as_mut().unwrap().packages[1].scope = Scope::Dev;
        let unit =
            unit(vec![manifest("web/package.json", Manager::Npm, vec![asked("a", "^1", 3), asked("c", "*", 4)]), lock]);
        let text = list(&[unit], &[]);
        assert_eq!(
            text,
            "NAME  VERSION        MANAGER  KIND        SCOPE   PLACE\n\
             a     1.0.0          npm      direct      normal  web/package-lock.json:1\n\
             b     2.0.0          npm      transitive  dev     web/package-lock.json:2\n\
             c     not locked: *  npm      direct      normal  web/package.json:4\n\
             \n\
             2 packages in 1 unit; 1 asked for and not locked: what they need themselves is not known\n"
        );
    }

    #[test]
    fn copies_of_one_version_are_one_line() {
        let unit = unit(vec![locked("l", Manager::Npm, &[("a", "1", &[]), ("a", "1", &[]), ("a", "2", &[])], &[1])]);
        let rows = rows(&[unit]);
        assert_eq!(
            rows.iter().map(|row| (row.version.as_deref().unwrap(), row.places)).collect::<Vec<_>>(),
            [("1", 2), ("2", 1)]
        );
        assert_eq!((rows[0].direct, rows[1].direct), (Some(true), Some(false)));
    }

    #[test]
    fn what_nobody_tells_is_unknown() {
        let bare = unit(vec![locked("gradle.lockfile", Manager::Gradle, &[("a:b", "1", &[])], &[])]);
        assert_eq!(rows(&[bare])[0].direct, None);
        let mut broken = manifest("build.gradle", Manager::Gradle, vec![asked("c:d", "1", 1)]);
        broken.faults.push(Fault::new(Some(9), "code", false));
        let unit = unit(vec![broken, locked("gradle.lockfile", Manager::Gradle, &[("a:b", "1", &[])], &[])]);
        assert_eq!(rows(std::slice::from_ref(&unit))[0].direct, None);
        assert!(list(&[unit], &[]).contains("not complete: 1 file could not be read in full"));
    }

    #[test]
    fn names_from_files_can_do_nothing_and_credentials_are_left_out() {
        let mut lock = locked("l", Manager::Npm, &[("a\u{1b}[2J\nb", "1", &[])], &[0]);
        lock.lock.as_mut().unwrap().packages.push(Package {
            origin: Origin::Url("https://user:secret@registry.example/x.tgz".to_owned()),
            ..Package::new("x", "1", 2)
        });
        let unit = unit(vec![lock]);
        let text = list(std::slice::from_ref(&unit), &[]);
        assert!(!text.contains('\u{1b}') && !text.contains("secret"), "{text}");
        assert!(!json(&[unit], &[]).contains("secret"));
    }

    #[test]
    fn files_that_are_not_understood_are_said() {
        let unit = unit(vec![locked("l", Manager::Cargo, &[("a", "1", &[])], &[0])]);
        let foreign = ["a/mix.exs".to_owned()];
        let text = list(std::slice::from_ref(&unit), &foreign);
        assert!(text.ends_with("1 package in 1 unit; not complete: 1 file is not understood (a/mix.exs)\n"), "{text}");
        let value: serde_json::Value = serde_json::from_str(&json(&[unit], &foreign)).unwrap();
        assert_eq!(
            (value["complete"].as_bool(), value["not_understood"][0].as_str()),
            (Some(false), Some("a/mix.exs"))
        );
    }

    #[test]
    fn the_json_says_the_same() {
        let unit = unit(vec![locked("l", Manager::Cargo, &[("a", "1", &[])], &[0])]);
        let value: serde_json::Value = serde_json::from_str(&json(&[unit], &[])).unwrap();
        assert_eq!(value["packages"][0]["name"], "a");
        assert_eq!((value["version"].as_u64(), value["complete"].as_bool()), (Some(1), Some(true)));
    }
}
