use super::*;
use crate::model::{Bound, Fault, Manager, Script};
use crate::testing::{asked, locked, manifest, unit};

/// What is found: rule, line, severity.
fn rules(unit: &Unit) -> Vec<(String, Option<u32>, Severity)> {
    check(unit).into_iter().map(|finding| (finding.rule, finding.line, finding.severity)).collect()
}

fn named(unit: &Unit, rule: &str) -> Finding {
    let found = check(unit);
    let names: Vec<String> = found.iter().map(|finding| finding.rule.clone()).collect();
    found.into_iter().find(|finding| finding.rule == rule).unwrap_or_else(|| panic!("no {rule} in {names:?}"))
}

fn from(origin: Origin) -> Requirement {
    Requirement { origin, ..asked("a", "", 5) }
}

#[test]
fn the_manifest_of_the_command_names_all_rules() {
    let manifest = include_str!("../../plugin.toml");
    for Rule { id, severity, summary } in RULES.iter().chain(crate::licenses::RULES) {
        let severity = format!("{severity:?}").to_lowercase();
        let severity = severity.rsplit("::").next().unwrap_or_default();
        let entry = format!("[[rule]]\nid = \"{id}\"\nseverity = \"{severity}\"\nsummary = \"{summary}\"\n");
        assert!(manifest.contains(&entry), "plugin.toml has no {entry}");
    }
    assert!(RULES.is_sorted_by_key(|rule| rule.id));
}

#[test]
fn a_project_with_a_lockfile_that_fits_has_no_findings() {
    let lock = locked("Cargo.lock", Manager::Cargo, &[("a", "1.2.0", &[1]), ("b", "0.3.0", &[])], &[0]);
    let unit = unit(vec![manifest("Cargo.toml", Manager::Cargo, vec![asked("a", "1", 7)]), lock]);
    assert_eq!(rules(&unit), []);
}

#[test]
fn open_ranges_matter_more_without_a_lockfile() {
    let asking =
        || manifest("package.json", Manager::Npm, vec![asked("a", "*", 5), asked("b", "^1", 6), asked("c", "", 7)]);
    let open = unit(vec![asking()]);
    let finding = named(&open, "range-open");
    assert_eq!((finding.severity, finding.line), (Severity::Medium, Some(5)));
    assert_eq!(
        finding.message,
        "2 requirements have no upper bound, and no lockfile fixes their versions: a * (line 5) and c (line 7)"
    );
    let lock = locked(
        "package-lock.json",
        Manager::Npm,
        &[("a", "9.0.0", &[]), ("b", "1.0.0", &[]), ("c", "1.0.0", &[])],
        &[0],
    );
    let closed = unit(vec![asking(), lock]);
    assert_eq!(rules(&closed), [("range-open-locked".to_owned(), Some(5), Severity::Low)]);
}

#[test]
fn what_takes_the_lowest_version_does_not_float() {
    let of = |path: &str, manager| unit(vec![manifest(path, manager, vec![asked("a", ">=1.0", 1)])]);
    assert!(!rules(&of("go.mod", Manager::Go)).iter().any(|(rule, ..)| rule.starts_with("range")));
    assert!(!rules(&of("a.csproj", Manager::NuGet)).iter().any(|(rule, ..)| rule.starts_with("range")));
    assert!(rules(&of("package.json", Manager::Npm)).iter().any(|(rule, ..)| rule == "range-open"));
}

#[test]
fn a_missing_lockfile_is_one_finding_by_how_much_its_manager_needs_it() {
    let of = |path: &str, manager| {
        let unit = unit(vec![manifest(path, manager, vec![asked("a", "^1", 3), asked("b", "=2", 4)])]);
        check(&unit).into_iter().map(|finding| (finding.rule, finding.severity)).collect::<Vec<_>>()
    };
    let missing = |severity| vec![("lockfile-missing".to_owned(), severity)];
    assert_eq!(of("package.json", Manager::Npm), missing(Severity::Medium));
    assert_eq!(of("Cargo.toml", Manager::Cargo), missing(Severity::Low));
    assert_eq!(of("pyproject.toml", Manager::Python), missing(Severity::Low));
    assert_eq!(of("a.csproj", Manager::NuGet), missing(Severity::Info));
    assert_eq!(of("pom.xml", Manager::Maven), [("range-unpinned".to_owned(), Severity::Low)]);
    assert_eq!(of("requirements.txt", Manager::Python), [("range-unpinned".to_owned(), Severity::Low)]);
}

#[test]
fn a_lockfile_that_does_not_fit_is_one_finding_at_the_first_line() {
    let asking =
        manifest("Cargo.toml", Manager::Cargo, vec![asked("a", "2", 4), asked("b", "1", 5), asked("c", "1", 6)]);
    let unit =
        unit(vec![asking, locked("Cargo.lock", Manager::Cargo, &[("a", "1.3.0", &[]), ("c", "1.0.0", &[])], &[0])]);
    let finding = named(&unit, "lockfile-stale");
    assert_eq!((finding.line, finding.path.as_deref()), (Some(4), Some("Cargo.toml")));
    assert_eq!(
        finding.message,
        "Cargo.lock doesn't fit 2 requirements: a is asked for as 2, and 1.3.0 is locked and b is not in it"
    );
}

#[test]
fn what_may_be_missing_for_a_reason_is_not_called_stale() {
    let lock = || locked("package-lock.json", Manager::Npm, &[("x", "1.0.0", &[])], &[0]);
    let of = |requirement: Requirement, lock: File| {
        rules(&unit(vec![manifest("package.json", Manager::Npm, vec![requirement]), lock]))
    };
    let optional = Requirement { scope: Scope::Optional, ..asked("a", "^1", 2) };
    let peer = Requirement { scope: Scope::Peer, ..asked("a", "^1", 2) };
    let conditional = Requirement { condition: Some("windows".to_owned()), ..asked("a", "^1", 2) };
    for requirement in [optional, peer, conditional] {
        assert_eq!(of(requirement, lock()), []);
    }
    let mut partly = lock();
    partly.faults.push(Fault::new(Some(9), "not understood", false));
    assert_eq!(of(asked("a", "^1", 2), partly), [], "it may be what could not be read");
    assert_eq!(of(asked("a", "^1", 2), lock())[0].0, "lockfile-stale");
}

#[test]
fn what_builds_a_python_project_is_in_no_lockfile() {
    let of = |manifest: File, lock: &str| {
        let lock = locked(lock, Manager::Python, &[("x", "1.0.0", &[])], &[0]);
        let found = rules(&unit(vec![manifest, lock]));
        found.into_iter().filter(|(rule, ..)| rule == "lockfile-stale").count()
    };
    let project = |scope| {
        manifest("pyproject.toml", Manager::Python, vec![Requirement { scope, ..asked("hatchling", ">=1", 2) }])
    };
    assert_eq!([of(project(Scope::Build), "uv.lock"), of(project(Scope::Dev), "requirements.txt")], [0, 0]);
    assert_eq!([of(project(Scope::Dev), "uv.lock"), of(project(Scope::Normal), "requirements.txt")], [1, 1]);
    let pip = |path| manifest(path, Manager::Python, vec![asked("a", ">=1", 2)]);
    assert_eq!([of(pip("docs.in"), "requirements.txt"), of(pip("requirements.in"), "requirements.txt")], [0, 1]);
}

#[test]
fn what_can_not_be_judged_is_said() {
    let lock = locked("package-lock.json", Manager::Npm, &[("a", "1.0.0", &[])], &[0]);
    let unit = unit(vec![manifest("package.json", Manager::Npm, vec![asked("a", "beta", 2)]), lock]);
    assert_eq!(rules(&unit), [("not-judged".to_owned(), Some(2), Severity::Info)]);
}

#[test]
fn two_lockfiles_of_one_project_are_said() {
    let files = ["package-lock.json", "yarn.lock"].map(|path| locked(path, Manager::Npm, &[("a", "1.0.0", &[])], &[0]));
    assert!(named(&unit(files.to_vec()), "lockfile-several").message.starts_with("package-lock.json and yarn.lock"));
}

#[test]
fn git_without_a_commit_is_worse_than_with_one() {
    let git = |commit: Option<&str>| Origin::Git {
        url: "https://me:secret@git.example/a.git".to_owned(),
        commit: commit.map(str::to_owned),
    };
    let of = |origin| rules(&unit(vec![manifest("Cargo.toml", Manager::Cargo, vec![from(origin)])]));
    assert_eq!(of(git(None)), [("git-unpinned".to_owned(), Some(5), Severity::Medium)]);
    assert_eq!(of(git(Some("abc"))), [("git-dependency".to_owned(), Some(5), Severity::Low)]);
    let mut lock = locked("Cargo.lock", Manager::Cargo, &[("a", "1.0.0", &[])], &[0]);
    lock.lock.as_mut().unwrap().packages[0].origin = git(Some("abc"));
    let unit = unit(vec![manifest("Cargo.toml", Manager::Cargo, vec![from(git(None))]), lock]);
    assert_eq!(rules(&unit), [("git-unpinned".to_owned(), Some(5), Severity::Low)]);
    assert!(check(&unit).iter().all(|finding| !finding.message.contains("secret")));
}

#[test]
fn a_path_matters_only_where_it_leads_out() {
    let of = |path: &str| {
        let asking = manifest("web/package.json", Manager::Npm, vec![from(Origin::Path(path.to_owned()))]);
        rules(&unit(vec![asking]))
    };
    for inside in ["../lib", "./x", "file:../lib", "link:../lib"] {
        assert_eq!(of(inside), [], "{inside}");
    }
    for outside in ["../../lib", "/opt/lib", "file:///opt/lib", "file:../../lib", "~/lib", "C:\\lib"] {
        assert_eq!(of(outside), [("path-outside".to_owned(), Some(5), Severity::Medium)], "{outside}");
    }
}

#[test]
fn an_archive_is_said_and_without_encryption_more_so() {
    let of = |requirement| rules(&unit(vec![manifest("requirements.txt", Manager::Python, vec![requirement])]));
    let archive = || from(Origin::Url("https://files.example/a.whl".to_owned()));
    assert_eq!(of(archive()), [("url-dependency".to_owned(), Some(5), Severity::Medium)]);
    assert_eq!(of(Requirement { hashed: true, ..archive() }), [("url-dependency".to_owned(), Some(5), Severity::Low)]);
    for plain in ["http://files.example/a.whl", "git://git.example/a", "git+http://git.example/a"] {
        assert_eq!(of(from(Origin::Url(plain.to_owned()))), [("url-insecure".to_owned(), Some(5), Severity::High)]);
    }
    let local = Origin::Registry(Some("http://127.0.0.1:8080".to_owned()));
    let local = of(Requirement { range: Some("==1".to_owned()), bound: Bound::Exact, ..from(local) });
    assert_eq!(local, [], "it stays on the machine");
}

#[test]
fn what_dependencies_bring_from_elsewhere_is_one_finding() {
    let mut lock =
        locked("package-lock.json", Manager::Npm, &[("a", "1", &[]), ("b", "1", &[]), ("c", "1", &[])], &[0]);
    for package in &mut lock.lock.as_mut().unwrap().packages {
        package.origin = Origin::Git { url: "https://git.example/a".to_owned(), commit: Some("abc".to_owned()) };
    }
    let unit = unit(vec![manifest("package.json", Manager::Npm, vec![from(Origin::Workspace)]), lock]);
    let finding = named(&unit, "git-dependency");
    assert_eq!(finding.message, "2 packages that dependencies need, from git repositories: b and c");
}

#[test]
fn several_versions_are_one_finding_the_most_first() {
    let lock = locked(
        "Cargo.lock",
        Manager::Cargo,
        &[
            ("a", "1.0.0", &[]),
            ("a", "2.0.0", &[]),
            ("b", "1.0.0", &[]),
            ("b", "2.0.0", &[]),
            ("b", "10.0.0", &[]),
            ("c", "1.0.0", &[]),
            ("c", "1.0.0", &[]),
        ],
        &[0],
    );
    let finding = named(&unit(vec![lock]), "several-versions");
    assert_eq!(
        finding.message,
        "2 packages are there in more than one version: b (1.0.0, 2.0.0, 10.0.0) and a (1.0.0, 2.0.0)"
    );
    assert_eq!(finding.severity, Severity::Info);
}

#[test]
fn a_name_near_a_popular_one_is_found_where_it_is_asked_for() {
    let asking = manifest("requirements.txt", Manager::Python, vec![asked("requets", "=2", 8)]);
    let lock = locked("uv.lock", Manager::Python, &[("requets", "2", &[])], &[0]);
    let finding = named(&unit(vec![lock, asking]), "name-near");
    assert_eq!((finding.path.as_deref(), finding.line), (Some("requirements.txt"), Some(8)));
}

#[test]
fn programs_that_run_at_an_install_are_said() {
    let mut asking = manifest("package.json", Manager::Npm, vec![]);
    asking.manifest.as_mut().unwrap().scripts =
        vec![Script { name: "postinstall".to_owned(), text: "node x.js\u{1b}[2J".to_owned(), line: 12 }];
    let mut lock = locked("package-lock.json", Manager::Npm, &[("a", "1", &[]), ("b", "1", &[])], &[0]);
    lock.lock.as_mut().unwrap().packages[1].install_script = true;
    let unit = unit(vec![asking, lock]);
    assert_eq!(
        rules(&unit),
        [
            ("install-scripts".to_owned(), Some(2), Severity::Low),
            ("install-script".to_owned(), Some(12), Severity::Info)
        ]
    );
    assert!(!named(&unit, "install-script").message.contains('\u{1b}'));
    assert_eq!(named(&unit, "install-scripts").message, "1 package of 2 runs programs when installed: b");
}

#[test]
fn missing_hashes_are_counted() {
    let names: Vec<String> = (0..1_204).map(|n| format!("p{n}")).collect();
    let rows: Vec<(&str, &str, &[usize])> = names.iter().map(|name| (name.as_str(), "1", &[][..])).collect();
    let mut lock = locked("package-lock.json", Manager::Npm, &rows, &[0]);
    for package in lock.lock.as_mut().unwrap().packages.iter_mut().take(312) {
        package.hashed = false;
    }
    let finding = named(&unit(vec![lock.clone()]), "hash-missing");
    assert_eq!(finding.message, "312 of 1,204 packages have no hash: p0, p1, p2 and 309 more");
    lock.lock.as_mut().unwrap().packages.iter_mut().for_each(|package| package.hashed = false);
    let finding = named(&unit(vec![lock]), "hash-missing");
    assert_eq!(
        (finding.message.as_str(), finding.severity),
        ("none of the 1,204 packages here has a hash", Severity::Info)
    );
}

#[test]
fn thirty_thousand_packages_are_checked_in_linear_time() {
    let names: Vec<String> = (0..30_000).map(|n| format!("p{n}")).collect();
    let rows: Vec<(&str, &str, &[usize])> = names.iter().map(|name| (name.as_str(), "1.0.0", &[][..])).collect();
    let asking = names.iter().map(|name| asked(name, "^1", 1)).collect();
    let unit = unit(vec![
        manifest("package.json", Manager::Npm, asking),
        locked("package-lock.json", Manager::Npm, &rows, &[0]),
    ]);
    assert_eq!(rules(&unit), []);
}

#[test]
fn names_are_counted_once_and_cut() {
    let of = |words: &[&str]| some(words.iter().map(|word| (*word).to_owned()));
    assert_eq!(of(&["a"]), "a");
    assert_eq!(of(&["a", "b", "a"]), "a and b");
    assert_eq!(of(&["a", "b", "c"]), "a, b and c");
    assert_eq!(of(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
}
