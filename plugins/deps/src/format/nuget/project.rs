//! Projects of .NET (`*.csproj` and others), and the properties that they share (`Directory.Build.props`,
//! `Directory.Packages.props`): what they ask for.

use convoke_sdk::small::Map;

use crate::format::nuget::around::{Around, Lack};
use crate::format::nuget::bound_of;
use crate::format::nuget::sheet::{Act, Item, Kind, Sheet};
use crate::format::reading::{name_none, unknown_versions};
use crate::model::{
    Bound, Fault, File, Include, Manager, Manifest, Origin, Requirement, Scope, Texts, beside, name_of,
};

/// The most versions of a package that are told apart by their conditions.
const MOST_VERSIONS: usize = 8;

/// Reads a project.
///
/// A requirement's range is what NuGet would use: written, overridden or central, with properties filled in; where that is not
/// known it is what is written. Central versions are no requirements: what nobody asks for is not fetched.
pub(super) fn parse(path: &str, text: &str, texts: &Texts) -> File {
    let name = name_of(path);
    let shared = name.ends_with(".props") || name.ends_with(".targets");
    let format = if shared { name } else { name.rsplit_once('.').map_or(name, |(_, ending)| ending) };
    let mut file = File::new(path, Manager::NuGet, format);
    let mut sheet = match Sheet::read(text) {
        Ok(sheet) => sheet,
        Err(fault) => {
            file.faults.push(fault);
            return file;
        }
    };
    let mut around = Around::of(path, &sheet, texts);
    file.faults.append(&mut sheet.faults);
    file.faults.append(&mut around.faults);
    let items = asked(&sheet);
    let is_test = items.iter().any(|item| item.name.eq_ignore_ascii_case("Microsoft.NET.Test.Sdk"))
        || around.properties.get("IsTestProject").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let mut reader = Reader { path, texts, around: &around, is_test, found: Found::default() };
    items.iter().for_each(|item| reader.item(item));
    let mut found = reader.found;
    if let Some((line, count, names)) = found.undecided.take() {
        let why = if around.is_central {
            "Directory.Packages.props has none for them"
        } else {
            "no Directory.Packages.props was found"
        };
        let more = if count > names.len() { ", …" } else { "" };
        let message = format!("{}, and {why}: {}{more}", name_none(count), names.join(", "));
        file.faults.push(Fault::new(Some(line), &message, false));
    }
    for (Lack(why), (line, count)) in found.lacks {
        let message = format!("{}: {why}", unknown_versions(count));
        file.faults.push(Fault::new(Some(line), &message, false));
    }
    let property = |name: &str| around.properties.get(name).filter(|value| !value.is_empty()).map(str::to_owned);
    let stem = name.rsplit_once('.').map(|(stem, _)| stem.to_owned());
    file.manifest = Some(Manifest {
        name: if shared { None } else { property("PackageId").or_else(|| property("AssemblyName")).or(stem) },
        version: if shared { None } else { property("Version").or_else(|| property("VersionPrefix")) },
        license: if shared { None } else { property("PackageLicenseExpression") },
        requirements: found.requirements,
        includes: around.paths.into_iter().map(|path| Include { path, line: 1, constraint: false }).collect(),
        ..Manifest::default()
    });
    file
}

/// What is asked for after additions, changes and removals, in the order of the file.
fn asked(sheet: &Sheet) -> Vec<Item> {
    let (mut items, mut places): (Vec<Option<Item>>, Map<String, Vec<usize>>) = (Vec::new(), Map::new());
    let mut changes: Map<String, &Item> = Map::new();
    for item in sheet.items.iter().filter(|item| item.kind != Kind::Central) {
        let key = format!("{:?} {}", item.kind, item.name.to_ascii_lowercase());
        match (item.act, &item.condition) {
            (Act::Remove, None) => {
                for place in places.remove(&key).unwrap_or_default() {
                    if let Some(item) = items.get_mut(place) {
                        *item = None;
                    }
                }
                changes.remove(&key);
            }
            // It may still be there.
            (Act::Remove, Some(_)) => {}
            (Act::Update, None) if places.contains_key(&key) => {
                changes.insert(key, item);
            }
            // What others include is changed here, or what is included is under a condition.
            (Act::Include | Act::Update, _) => {
                places.entry(key).or_default().push(items.len());
                items.push(Some(item.clone()));
            }
        }
    }
    for (key, change) in changes {
        for place in places.get(&key).into_iter().flatten() {
            let Some(Some(item)) = items.get_mut(*place) else { continue };
            item.version = change.version.clone().or_else(|| item.version.take());
            item.instead = change.instead.clone().or_else(|| item.instead.take());
            item.private |= change.private;
        }
    }
    items.into_iter().flatten().collect()
}

#[derive(Default)]
struct Found {
    requirements: Vec<Requirement>,
    /// Where the first stands, how many there are, and the names of some.
    undecided: Option<(u32, usize, Vec<String>)>,
    lacks: Map<Lack, (u32, usize)>,
}

struct Reader<'a> {
    path: &'a str,
    texts: &'a Texts,
    around: &'a Around,
    is_test: bool,
    found: Found,
}

impl Reader<'_> {
    fn item(&mut self, item: &Item) {
        // Without a value that is not known the name is still the best that there is.
        let name = self.around.properties.filled(&item.name).unwrap_or_else(|_| item.name.clone());
        if item.kind == Kind::Project {
            self.project(item, &name);
            return;
        }
        let own = item.instead.as_ref().or(item.version.as_ref());
        let around = self.around;
        let central = around.central.get(&name.to_ascii_lowercase()).map_or(&[][..], Vec::as_slice);
        match own {
            Some(version) => self.package(item, &name, Some(version), item.condition.clone()),
            None if central.is_empty() => {
                let (_, count, names) = self.found.undecided.get_or_insert((item.line, 0, Vec::new()));
                *count += 1;
                if names.len() < 5 {
                    names.push(name.clone());
                }
                self.package(item, &name, None, item.condition.clone());
            }
            None if central.len() > MOST_VERSIONS => {
                self.lack(Lack(format!("{name} has over {MOST_VERSIONS} central versions")), item.line);
                self.package(item, &name, None, item.condition.clone());
            }
            None => {
                // Several differ by their conditions: each of them may be the one.
                for one in central {
                    let conditions = [item.condition.as_deref(), one.condition.as_deref()];
                    let condition = conditions.into_iter().flatten().collect::<Vec<_>>().join(" and ");
                    self.package(item, &name, one.version.as_ref(), Some(condition).filter(|text| !text.is_empty()));
                }
            }
        }
    }

    fn package(&mut self, item: &Item, name: &str, version: Option<&String>, condition: Option<String>) {
        let (range, bound) = match version.map(|version| self.around.properties.filled(version)) {
            None => (None, Bound::Unknown),
            Some(Ok(range)) => {
                let bound = bound_of(&range);
                (Some(range), bound)
            }
            Some(Err(lack)) => {
                self.lack(lack, item.line);
                (version.cloned(), Bound::Unknown)
            }
        };
        let scope = match item.kind {
            Kind::Sdk | Kind::Tool | Kind::Global => Scope::Build,
            // Analyzers and generators are marked so: they stay with the one who builds.
            _ if item.private => Scope::Build,
            _ if self.is_test => Scope::Dev,
            _ => Scope::Normal,
        };
        self.found.requirements.push(Requirement {
            name: name.to_owned(),
            range,
            bound,
            origin: Origin::Registry(None),
            scope,
            line: item.line,
            condition,
            hashed: false,
        });
    }

    /// Another project of the same house.
    fn project(&mut self, item: &Item, path: &str) {
        let path = path.replace('\\', "/");
        let is_there = beside(self.path, &path).is_some_and(|path| self.texts.contains_key(&path));
        let file = name_of(&path);
        self.found.requirements.push(Requirement {
            name: file.rsplit_once('.').map_or(file, |(stem, _)| stem).to_owned(),
            range: None,
            bound: Bound::Exact,
            origin: if is_there { Origin::Workspace } else { Origin::Path(path.clone()) },
            scope: if self.is_test { Scope::Dev } else { Scope::Normal },
            line: item.line,
            condition: item.condition.clone(),
            hashed: false,
        });
    }

    fn lack(&mut self, lack: Lack, line: u32) {
        self.found.lacks.entry(lack).or_insert((line, 0)).1 += 1;
    }
}
