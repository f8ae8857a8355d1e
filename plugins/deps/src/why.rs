//! `why NAME`: by which paths a package came.

use convoke_sdk::small::{Map, Set};
use std::collections::{BinaryHeap, VecDeque};

use crate::check::satisfies::satisfies;
use crate::check::{counted, number};
use crate::list::{cell, incomplete, scope};
use crate::model::{File, Lock};
use crate::unit::Unit;

/// So many paths are shown of a package, the shortest first.
pub const MOST: usize = 10;

/// The most steps that are tried for one package.
const TRIED: usize = 100_000;

/// So many names are offered for one that is not there.
const OFFERED: usize = 5;

/// What can be told of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// For people.
    pub text: String,
    /// Whether anything needs it.
    pub found: bool,
}

/// By which paths the package of this name came, in each unit; of all its versions. Python's names are compared as its
/// index does, those of the others as they are, and where nothing fits without regard to capitals.
pub fn why(units: &[Unit], foreign: &[String], name: &str) -> Why {
    let exact = told(units, |unit, other| other == normal(unit, name));
    let lower = name.to_lowercase();
    let found = if exact.is_empty() { told(units, |_, other| other.to_lowercase() == lower) } else { exact };
    let text = if found.is_empty() { not_there(units, foreign, name) } else { found.join("\n") };
    Why { text, found: !found.is_empty() }
}

/// As the unit's manager writes it (PEP 503 for Python).
fn normal(unit: &Unit, name: &str) -> String {
    if unit.manager != crate::model::Manager::Python {
        return name.to_owned();
    }
    let mut normal = String::new();
    for part in name.split(['-', '_', '.']).filter(|part| !part.is_empty()) {
        if !normal.is_empty() {
            normal.push('-');
        }
        normal.push_str(&part.to_lowercase());
    }
    normal
}

/// A text for each package of each unit that has this name.
fn told(units: &[Unit], is_it: impl Fn(&Unit, &str) -> bool) -> Vec<String> {
    let mut texts = Vec::new();
    for unit in units {
        let mut is_locked = false;
        for (file, lock) in unit.files.iter().filter_map(|file| Some((file, file.lock.as_ref()?))) {
            let mut graph = None;
            // Copies of one version, by place.
            let mut versions: Map<&str, Vec<usize>> = Map::new();
            for (index, package) in lock.packages.iter().enumerate() {
                if is_it(unit, &package.name) {
                    versions.entry(&package.version).or_default().push(index);
                }
            }
            for places in versions.values() {
                is_locked = true;
                let graph = graph.get_or_insert_with(|| Graph::of(unit, lock));
                texts.push(of_package(unit, file, lock, graph, places));
            }
        }
        if is_locked {
            continue;
        }
        for (file, asked) in unit.requirements().filter(|(_, asked)| is_it(unit, &asked.name)) {
            let range = asked.range.as_deref().map_or_else(String::new, |range| format!(" {}", cell(range)));
            texts.push(format!(
                "{}{range} ({})\n  asked for by {}:{} ({}), and not locked\n",
                cell(&asked.name),
                cell(&unit.id),
                cell(&file.path),
                asked.line,
                scope(asked.scope)
            ));
        }
    }
    texts
}

fn of_package(unit: &Unit, file: &File, lock: &Lock, graph: &Graph, places: &[usize]) -> String {
    let Some(package) = places.first().and_then(|place| lock.packages.get(*place)) else { return String::new() };
    let mut text = format!(
        "{} {} ({}, {}:{})\n",
        cell(&package.name),
        cell(&package.version),
        cell(&unit.id),
        cell(&file.path),
        package.line
    );
    let head = text.len();
    for (asking, asked) in unit.requirements().filter(|(_, asked)| asked.name == package.name) {
        // It asks for another one of the versions that are there.
        if asked.range.as_deref().and_then(|range| satisfies(unit.manager, range, &package.version)) == Some(false) {
            continue;
        }
        let range = asked.range.as_deref().map_or_else(String::new, |range| format!(", as {}", cell(range)));
        text += &format!("  asked for by {}:{}{range}\n", cell(&asking.path), asked.line);
    }
    if !lock.graph {
        let said = if text.len() > head { "what else needs it" } else { "what needs it" };
        return text + &format!("  {said} is not known: {} doesn't say what packages need\n", cell(&file.format));
    }
    let found = graph.paths(lock, places);
    for path in &found.paths {
        if path.len() == 1 {
            if text.len() == head {
                text += "  asked for by the project\n";
            }
            continue;
        }
        let names = path.iter().filter_map(|place| lock.packages.get(*place));
        let names: Vec<String> =
            names.map(|package| format!("{} {}", cell(&package.name), cell(&package.version))).collect();
        text += &format!("  {}\n", names.join(" > "));
    }
    if found.paths.is_empty() {
        text += "  nothing that the project asks for leads to it\n";
    } else if found.more {
        text += &format!("  and more: these are the {} shortest\n", found.paths.len());
    }
    text
}

/// Who needs whom, and what the project asks for.
struct Graph {
    needed_by: Vec<Vec<usize>>,
    is_root: Vec<bool>,
    /// How far it is to the nearest root; none: there is none.
    distance: Vec<Option<usize>>,
}

/// Paths from what the project asks for.
struct Found {
    paths: Vec<Vec<usize>>,
    more: bool,
}

impl Graph {
    fn of(unit: &Unit, lock: &Lock) -> Self {
        let count = lock.packages.len();
        let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); count];
        for (index, package) in lock.packages.iter().enumerate() {
            for need in &package.needs {
                if let Some(by) = needed_by.get_mut(*need) {
                    by.push(index);
                }
            }
        }
        let mut is_root = vec![false; count];
        if lock.direct.is_empty() {
            let asked: Set<&str> = unit.requirements().map(|(_, asked)| asked.name.as_str()).collect();
            for (root, package) in is_root.iter_mut().zip(&lock.packages) {
                *root = asked.contains(package.name.as_str());
            }
        } else {
            for direct in &lock.direct {
                if let Some(root) = is_root.get_mut(*direct) {
                    *root = true;
                }
            }
        }
        let mut distance: Vec<Option<usize>> = is_root.iter().map(|is_root| is_root.then_some(0)).collect();
        let mut next: VecDeque<usize> = (0..count).filter(|index| is_root[*index]).collect();
        while let Some(index) = next.pop_front() {
            let far = distance[index].map(|far| far + 1);
            for need in &lock.packages[index].needs {
                if let Some(open @ None) = distance.get_mut(*need) {
                    *open = far;
                    next.push_back(*need);
                }
            }
        }
        Self { needed_by, is_root, distance }
    }

    /// The shortest paths to any of these places that pass no package twice, at most [`MOST`]: best first, by the length so
    /// far and the way that is left at least, so that each is found before all longer ones.
    fn paths(&self, lock: &Lock, places: &[usize]) -> Found {
        type Way = std::cmp::Reverse<(usize, Vec<usize>)>;
        let mut open: BinaryHeap<Way> = BinaryHeap::new();
        for place in places {
            if let Some(Some(far)) = self.distance.get(*place) {
                open.push(std::cmp::Reverse((*far, vec![*place])));
            }
        }
        let mut seen = Set::new();
        let mut found = Found { paths: Vec::new(), more: false };
        let mut tried = 0;
        while let Some(std::cmp::Reverse((_, way))) = open.pop() {
            tried += 1;
            let Some(&last) = way.last() else { continue };
            if self.is_root[last] {
                let path: Vec<usize> = way.iter().rev().copied().collect();
                // Copies of one version make the same path to a reader.
                let shown: Vec<(&str, &str)> = path
                    .iter()
                    .filter_map(|place| lock.packages.get(*place))
                    .map(|package| (package.name.as_str(), package.version.as_str()))
                    .collect();
                if seen.insert(shown) {
                    if found.paths.len() == MOST {
                        found.more = true;
                        break;
                    }
                    found.paths.push(path);
                }
            }
            if tried >= TRIED || open.len() >= TRIED {
                found.more |= !open.is_empty();
                break;
            }
            for by in &self.needed_by[last] {
                if let Some(far) = self.distance[*by]
                    && !way.contains(by)
                {
                    let longer: Vec<usize> = way.iter().copied().chain([*by]).collect();
                    open.push(std::cmp::Reverse((longer.len() - 1 + far, longer)));
                }
            }
        }
        found
    }
}

/// That nothing has this name; names that are near, and what could not be looked at.
fn not_there(units: &[Unit], foreign: &[String], name: &str) -> String {
    let names: Set<&str> = units
        .iter()
        .flat_map(|unit| {
            let packages = unit.packages().map(|package| package.name.as_str());
            packages.chain(unit.requirements().map(|(_, asked)| asked.name.as_str()))
        })
        .collect();
    let mut text = format!("{} is not among the {} names that are known here\n", cell(name), number(names.len()));
    let near = near(&names, name);
    if !near.is_empty() {
        text += &format!("did you mean {}?\n", near.iter().map(|name| cell(name)).collect::<Vec<_>>().join(", "));
    }
    if let Some(incomplete) = incomplete(units, foreign) {
        text += &format!("{incomplete}\n");
    }
    let open = units.iter().filter(|unit| !unit.has_lock()).count();
    if open > 0 {
        text += &format!(
            "{} of {} no lockfile: what is needed there is not known\n",
            number(open),
            counted(units.len(), "unit has", "units have")
        );
    }
    text
}

/// The nearest names: those with it in them, and those of few edits.
fn near<'a>(names: &Set<&'a str>, name: &str) -> Vec<&'a str> {
    let lower = name.to_lowercase();
    let most = (lower.chars().count() / 3).clamp(1, 3);
    let mut near: Vec<(usize, &str)> = names
        .iter()
        .filter_map(|other| {
            let of_other = other.to_lowercase();
            let edits = distance(&lower, &of_other, most);
            let inside = lower.len() > 2 && (of_other.contains(&lower));
            edits.or_else(|| inside.then_some(most + 1)).map(|edits| (edits, *other))
        })
        .collect();
    convoke_sdk::small::sort(&mut near);
    near.into_iter().take(OFFERED).map(|(_, name)| name).collect()
}

/// How many letters differ (Levenshtein), if at most so many. The longest name is 214 characters in npm: longer ones are
/// not compared.
fn distance(one: &str, other: &str, most: usize) -> Option<usize> {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) > most || one.len().max(other.len()) > 256 {
        return None;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, char) in one.iter().enumerate() {
        let mut before = at;
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
        for place in 0..other.len() {
            let above = row[place + 1];
            let changed = before + usize::from(*char != other[place]);
            row[place + 1] = changed.min(above + 1).min(row[place] + 1);
            before = above;
        }
    }
    row.last().copied().filter(|edits| *edits <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Manager;
    use crate::testing::{asked, locked, manifest, unit};

    #[test]
    fn the_shortest_paths_come_first() {
        let lock = locked(
            "Cargo.lock",
            Manager::Cargo,
            &[("app", "1", &[1, 2]), ("a", "1", &[3]), ("b", "1", &[1]), ("z", "2", &[])],
            &[1, 2],
        );
        let why = why(&[unit(vec![lock])], &[], "z");
        assert!(why.found);
        assert_eq!(why.text, "z 2 (cargo:., Cargo.lock:4)\n  a 1 > z 2\n  b 1 > a 1 > z 2\n");
    }

    #[test]
    fn of_two_versions_each_is_asked_for_by_whom_it_suits() {
        let lock = locked(
            "Cargo.lock",
            Manager::Cargo,
            &[("app", "1.0.0", &[2]), ("z", "2.2.0", &[]), ("z", "3.0.0", &[])],
            &[2],
        );
        let why = why(&[unit(vec![manifest("Cargo.toml", Manager::Cargo, vec![asked("z", "3", 7)]), lock])], &[], "z");
        let of: Vec<&str> = why.text.split("\n\n").collect();
        assert!(!of[0].contains("Cargo.toml:7") && of[0].contains("nothing that the project asks for"), "{}", why.text);
        assert!(of[1].contains("asked for by Cargo.toml:7, as 3"), "{}", why.text);
    }

    #[test]
    fn a_short_path_comes_before_a_long_one_that_the_file_names_first() {
        let lock = locked(
            "Cargo.lock",
            Manager::Cargo,
            &[("a", "1", &[4]), ("b", "1", &[0]), ("c", "1", &[1]), ("d", "1", &[4]), ("z", "1", &[])],
            &[2, 3],
        );
        let text = why(&[unit(vec![lock])], &[], "z").text;
        assert_eq!(text, "z 1 (cargo:., Cargo.lock:5)\n  d 1 > z 1\n  c 1 > b 1 > a 1 > z 1\n");
    }

    #[test]
    fn ten_paths_are_shown_and_more_are_said() {
        let mut packages: Vec<(String, Vec<usize>)> = (0..30).map(|n| (format!("p{n}"), vec![30])).collect();
        packages.push(("z".to_owned(), vec![]));
        let rows: Vec<(&str, &str, &[usize])> =
            packages.iter().map(|(name, needs)| (name.as_str(), "1", needs.as_slice())).collect();
        let roots: Vec<usize> = (0..30).collect();
        let text = why(&[unit(vec![locked("l", Manager::Npm, &rows, &roots)])], &[], "z").text;
        assert_eq!(text.matches(" > z 1").count(), 10);
        assert!(text.ends_with("and more: these are the 10 shortest\n"), "{text}");
    }

    #[test]
    fn a_dense_graph_with_circles_ends() {
        // Forty layers of four, each needing all of the next and one of the one before: 4⁴⁰ paths.
        let layers = 40;
        let needs: Vec<Vec<usize>> = (0..layers * 4)
            .map(|place| {
                let layer = place / 4;
                let next = ((layer + 1) * 4..(layer + 2) * 4).filter(|next| *next < layers * 4);
                next.chain((layer > 0).then(|| (layer - 1) * 4)).collect()
            })
            .collect();
        let names: Vec<String> = (0..layers * 4).map(|place| format!("p{place}")).collect();
        let rows: Vec<(&str, &str, &[usize])> =
            names.iter().zip(&needs).map(|(name, needs)| (name.as_str(), "1", needs.as_slice())).collect();
        let text = why(&[unit(vec![locked("l", Manager::Npm, &rows, &[0])])], &[], "p159").text;
        assert_eq!(text.lines().filter(|line| line.starts_with("  p0 1")).count(), 10, "{text}");
    }

    #[test]
    fn an_unknown_name_is_told_with_its_neighbours_and_with_what_is_not_known() {
        let files = vec![locked("l", Manager::Npm, &[("lodash", "4", &[]), ("lodash.merge", "4", &[])], &[0, 1])];
        let open = unit(vec![manifest("web/package.json", Manager::Npm, vec![asked("react", "^18", 4)])]);
        let why = why(&[unit(files), open], &[], "lodahs");
        assert!(!why.found);
        assert!(why.text.contains("did you mean lodash?"), "{}", why.text);
        assert!(why.text.contains("1 of 2 units have no lockfile"), "{}", why.text);
    }

    #[test]
    fn what_is_only_asked_for_is_told_with_its_line() {
        let unit = unit(vec![manifest("web/package.json", Manager::Npm, vec![asked("react", "^18", 4)])]);
        let text = why(&[unit], &[], "React").text;
        assert_eq!(text, "react ^18 (npm:web)\n  asked for by web/package.json:4 (normal), and not locked\n");
    }

    #[test]
    fn python_names_are_the_same_in_any_writing() {
        let unit = unit(vec![locked("uv.lock", Manager::Python, &[("typing-extensions", "4", &[])], &[0])]);
        assert!(why(std::slice::from_ref(&unit), &[], "Typing_Extensions").found);
        assert!(!why(&[unit], &[], "typing").found);
    }

    #[test]
    fn without_a_graph_it_says_that_it_does_not_know() {
        let mut file = locked("gradle.lockfile", Manager::Gradle, &[("a:b", "1", &[])], &[]);
        file.lock.as_mut().unwrap().graph = false;
        let text = why(&[unit(vec![file])], &[], "a:b").text;
        assert!(text.contains("what needs it is not known"), "{text}");
    }
}
