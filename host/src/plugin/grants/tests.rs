use super::*;
use crate::plugin::capabilities::Claude;
use crate::plugin::inspect::Inspected;
use crate::plugin::manifest::Manifest;

fn words(all: &[&str]) -> Vec<String> {
    all.iter().map(|word| (*word).to_owned()).collect()
}

fn program(program: &str, subcommands: &[&str]) -> Program {
    Program { program: program.to_owned(), subcommands: words(subcommands), optional: false }
}

fn site(host: &str, methods: &[&str]) -> Site {
    Site { host: host.to_owned(), methods: words(methods), optional: false }
}

fn all() -> Capabilities {
    Capabilities {
        process: vec![program("git", &["diff", "log"])],
        http: vec![site("api.osv.dev", &["GET"])],
        store: true,
        claude: Claude { usd: Some(2.0), tools: words(&["Read"]) },
    }
}

fn inspected(version: &str, digest: char, capabilities: Capabilities) -> Inspected {
    let text = format!(
        "manifest_version = 1\nname = \"deps\"\nversion = \"{version}\"\ndescription = \"Looks\"\nlicense = \"MIT\"\n"
    );
    let manifest = Manifest { capabilities, ..Manifest::from_toml("plugin.toml", text.as_bytes()).unwrap() };
    Inspected {
        digest: digest.to_string().repeat(64),
        manifest,
        imports: Vec::new(),
        exports: Vec::new(),
        concludes: false,
        size: 1,
    }
}

fn case(inspected: &Inspected, origin: Origin) -> Case<'_> {
    Case { plugin: "deps", inspected, origin }
}

/// What comes of a check, and what was asked.
fn checked(
    case: Case<'_>,
    grants: &mut Grants,
    answer: Option<bool>,
) -> (Result<Capabilities, Box<dyn std::error::Error>>, Vec<String>) {
    let mut asked = Vec::new();
    let mut ask = |text: &str| {
        asked.push(text.to_owned());
        answer == Some(true)
    };
    let result = check(case, grants, answer.is_some().then_some(&mut ask as &mut Ask<'_>));
    (result, asked)
}

fn none() -> (tempfile::TempDir, Grants) {
    let folder = tempfile::tempdir().unwrap();
    let grants = Grants::load(&folder.path().join("grants.toml")).unwrap();
    (folder, grants)
}

#[test]
fn wishes_are_said_in_plain_words() {
    let wishes = missing(&all(), None);
    let plain: Vec<String> = wishes.iter().map(plain).collect();
    assert_eq!(
        plain,
        [
            "ask Claude, up to $2 a run",
            "let Claude use its tool Read",
            "run `git diff` and `git log` in the project",
            "send requests (GET) to api.osv.dev",
            "keep up to 16 MiB of its own notes",
        ]
    );
    assert_eq!(words::plain(&Wish::Spend(None)), "ask Claude, as far as your budgets let it");
    assert_eq!(words::plain(&Wish::run("make", "")), "run `make` in the project, with any arguments");
    assert_eq!(words::plain(&Wish::Run(program("a", &["b", "c", "d"]))), "run `a b`, `a c` and `a d` in the project");
    assert_eq!((words::dollars(0.5), words::dollars(10.0)), ("$0.50".to_owned(), "$10".to_owned()));
    assert!(wishes.iter().all(|wish| !worst(wish).is_empty()));
    assert_eq!(
        words::command("./my deps.wasm", &wishes),
        "convoke grants add './my deps.wasm' --tool Read --process 'git diff' --process 'git log' --http GET:api.osv.dev \
         --trust --store"
    );
}

#[test]
fn what_a_stranger_calls_things_does_nothing_to_a_terminal() {
    let bad = "x\u{1b}[2J\u{202e}";
    let wishes = [
        Wish::run(bad, bad),
        Wish::send(bad, bad),
        Wish::Tool(bad.to_owned()),
        Wish::Run(Program { program: bad.to_owned(), subcommands: Vec::new(), optional: false }),
    ];
    for wish in &wishes {
        for text in [plain(wish), worst(wish), words::command(bad, &wishes), refusal(bad, &all(), wish).message] {
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        }
    }
    assert!(plain(&Wish::Tool("x".repeat(10_000))).len() < 1_000);
    let hostile = inspected("0.1.0", 'a', Capabilities { process: vec![program(bad, &[bad])], ..all() });
    let (_folder, mut grants) = none();
    let (result, asked) = checked(Case { plugin: bad, ..case(&hostile, Origin::Typed) }, &mut grants, Some(false));
    assert!(!asked[0].contains(['\u{1b}', '\u{202e}']) && !result.unwrap_err().to_string().contains('\u{1b}'));
}

#[test]
fn a_run_gets_what_is_asked_for_and_granted_and_nothing_else() {
    let given = Capabilities {
        process: vec![program("git", &["log", "push"]), program("make", &[])],
        http: vec![site("API.osv.dev", &["get", "POST"]), site("evil.example", &["GET"])],
        store: false,
        claude: Claude { usd: Some(1.0), tools: words(&["Bash"]) },
    };
    let met = meet(&all(), &given);
    assert_eq!(met.process, [program("git", &["log"])]);
    assert_eq!(met.http, [site("api.osv.dev", &["GET"])]);
    assert_eq!((met.store, met.claude.usd, met.claude.tools.len()), (false, Some(1.0), 0));
    assert_eq!(meet(&Capabilities::default(), &given).process, []);
    assert_eq!(meet(&all(), &Capabilities::default()).process, []);
    let left: Vec<String> = lacking(&all(), &given).iter().map(plain).collect();
    assert_eq!(
        left,
        [
            "ask Claude, up to $2 a run",
            "let Claude use its tool Read",
            "run `git diff` in the project",
            "keep up to 16 MiB of its own notes"
        ]
    );
}

#[test]
fn the_wide_covers_the_narrow_and_never_the_other_way() {
    let met = |asked: &[&str], given: &[&str]| {
        let of = |list: &[&str]| Capabilities { process: vec![program("git", list)], ..Capabilities::default() };
        let (asked, given) = (of(asked), of(given));
        let got = meet(&asked, &given).process;
        (got.first().map(|one| one.subcommands.join(",")), lacking(&asked, &given).len())
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(met(&[], &[]), (some(""), 0));
    assert_eq!(met(&["diff"], &[]), (some("diff"), 0));
    assert_eq!(met(&[], &["diff"]), (some("diff"), 1), "any arguments are more than `diff`");
    assert_eq!(met(&["remote show"], &["remote"]), (some("remote show"), 0));
    assert_eq!(met(&["remote"], &["remote show"]), (some("remote show"), 1));
    assert_eq!(met(&["remote-add"], &["remote"]), (None, 1));
    assert_eq!(met(&["diff"], &["log"]), (None, 1), "an empty list would stand for all");
    let tools = |asked: &str, given: &str| {
        let of = |tool: &str| Capabilities {
            claude: Claude { usd: None, tools: words(&[tool]) },
            ..Capabilities::default()
        };
        meet(&of(asked), &of(given)).claude.tools.join(",")
    };
    assert_eq!(tools("Bash(git log:*)", "Bash"), "Bash(git log:*)");
    assert_eq!(tools("Bash", "Bash(git log:*)"), "Bash(git log:*)");
    assert_eq!(tools("Bash", "Read"), "");
    let hosts = |asked: &str, given: &str| {
        let of = |host: &str| Capabilities { http: vec![site(host, &["GET"])], ..Capabilities::default() };
        meet(&of(asked), &of(given)).http.len()
    };
    assert_eq!(hosts("a.example", "A.EXAMPLE"), 1);
    for other in ["b.a.example", "example", "a.example:8080", "a.example.evil"] {
        assert_eq!((hosts(other, "a.example"), hosts("a.example", other)), (0, 0), "{other}");
    }
}

#[test]
fn where_a_plugin_comes_from_says_what_is_asked() {
    let deps = inspected("0.1.0", 'a', all());
    let plain_one = inspected("0.1.0", 'b', Capabilities::default());
    let asks = |plugin: &Inspected, origin| {
        let (_folder, mut grants) = none();
        checked(case(plugin, origin), &mut grants, Some(false)).1.first().map_or(0, |text| text.lines().count() - 1)
    };
    assert_eq!(asks(&plain_one, Origin::Embedded), 0);
    assert_eq!(asks(&plain_one, Origin::Typed), 0, "it was named by its path");
    assert_eq!(asks(&plain_one, Origin::Installed), 1, "to run is to spend");
    assert_eq!(asks(&deps, Origin::Embedded), 2, "programs and hosts");
    assert_eq!(asks(&deps, Origin::Typed), 4, "all but asking Claude");
    assert_eq!(asks(&deps, Origin::Installed), 5);
}

#[test]
fn it_is_asked_once_and_a_no_is_no() {
    let deps = inspected("0.1.0", 'a', all());
    let deps = case(&deps, Origin::Installed);
    let (_folder, mut grants) = none();
    let (declined, asked) = checked(deps, &mut grants, Some(false));
    assert!(asked[0].starts_with("`deps` (version 0.1.0, sha256 aaaaaaaaaaaa) asks to\n  - ask Claude"), "{asked:?}");
    assert!(declined.unwrap_err().to_string().contains("does not run") && grants.all().is_empty());
    let (granted, _) = checked(deps, &mut grants, Some(true));
    assert_eq!(granted.unwrap(), all());
    let (again, asked) = checked(deps, &mut grants, Some(false));
    assert_eq!((again.unwrap(), asked.len()), (all(), 0));
    let (without_a_terminal, _) = checked(deps, &mut grants, None);
    assert_eq!(without_a_terminal.unwrap(), all());
}

#[test]
fn without_a_terminal_it_is_refused_with_the_command_that_grants() {
    let deps = inspected("0.1.0", 'a', all());
    let (_folder, mut grants) = none();
    let refused = check::<GrantErrorOr>(case(&deps, Origin::Installed), &mut grants, None).unwrap_err();
    let GrantErrorOr::Grant(refused) = refused else { panic!("another error") };
    assert!(refused.to_string().contains("to ask Claude, up to $2 a run; to let Claude use"), "{refused}");
    let hint = refused.hint();
    assert!(hint.contains("convoke grants add deps --tool Read") && hint.contains("--trust"), "{hint}");
}

#[derive(Debug)]
enum GrantErrorOr {
    Grant(GrantError),
    Other,
}

impl From<GrantError> for GrantErrorOr {
    fn from(error: GrantError) -> Self {
        Self::Grant(error)
    }
}

impl From<GrantsError> for GrantErrorOr {
    fn from(_: GrantsError) -> Self {
        Self::Other
    }
}

#[test]
fn a_changed_component_asks_again_and_shows_what_changed() {
    let before = inspected("0.1.0", 'a', all());
    let (_folder, mut grants) = none();
    checked(case(&before, Origin::Installed), &mut grants, Some(true)).0.unwrap();
    let mut more = all();
    more.process = vec![program("git", &["diff", "push"])];
    more.http.clear();
    let after = inspected("0.2.0", 'b', more.clone());
    let (_, asked) = checked(case(&after, Origin::Installed), &mut grants, Some(false));
    let text = &asked[0];
    assert!(text.contains("is another component than the one that you granted on "), "{text}");
    assert!(text.contains("It asks for more:\n  + run `git diff` and `git push` in the project\n"), "{text}");
    assert!(text.contains("  - run `git log` in the project\n  - send requests (GET) to api.osv.dev\n"), "{text}");
    assert!(text.contains("As before it asks to\n    ask Claude, up to $2 a run\n"), "{text}");
    let same_wishes = inspected("0.1.1", 'c', all());
    assert_eq!(
        checked(case(&same_wishes, Origin::Installed), &mut grants, Some(false)).1.len(),
        1,
        "it is another one"
    );
    let dearer = Capabilities { claude: Claude { usd: Some(20.0), ..all().claude }, ..all() };
    let dearer = inspected("0.1.2", 'd', dearer);
    let (_, asked) = checked(case(&dearer, Origin::Installed), &mut grants, Some(false));
    assert!(asked[0].contains("It asks for more:\n  + ask Claude, up to $20 a run\n"), "{asked:?}");
}

#[test]
fn what_is_a_part_of_convoke_asks_again_only_for_more() {
    let before = inspected("0.1.0", 'a', all());
    let (_folder, mut grants) = none();
    checked(case(&before, Origin::Embedded), &mut grants, Some(true)).0.unwrap();
    let same = inspected("0.2.0", 'b', all());
    let (got, asked) = checked(case(&same, Origin::Embedded), &mut grants, None);
    assert_eq!((got.unwrap(), asked.len()), (all(), 0));
    let more = inspected("0.3.0", 'c', Capabilities { http: vec![site("other.example", &["GET"])], ..all() });
    assert!(checked(case(&more, Origin::Embedded), &mut grants, None).0.is_err());
    let stranger = inspected("0.1.0", 'd', all());
    assert!(checked(case(&stranger, Origin::Installed), &mut grants, None).0.is_err(), "of the same name only");
}

#[test]
fn what_was_decided_in_part_stays_decided() {
    let deps = inspected("0.1.0", 'a', all());
    let (_folder, mut grants) = none();
    let mut part = Grant { trust: true, ..Grant::presumed(Origin::Installed, &all()) };
    (part.digest, part.name) = (deps.digest.clone(), "deps".to_owned());
    part.capabilities.process = vec![program("git", &["log"])];
    part.capabilities.claude.usd = Some(0.5);
    grants.allow(part.clone()).unwrap();
    let got = checked(case(&deps, Origin::Installed), &mut grants, None).0.unwrap();
    assert_eq!(
        (got.process, got.http.len(), got.store, got.claude.usd),
        (part.capabilities.process, 0, false, Some(0.5))
    );
    let untrusted = Grant { trust: false, ..grants.all()[0].clone() };
    grants.allow(untrusted).unwrap();
    assert!(checked(case(&deps, Origin::Installed), &mut grants, None).0.is_err(), "it may not run");
    assert!(checked(case(&deps, Origin::Typed), &mut grants, None).0.is_ok(), "named by its path it may");
}

#[test]
fn a_refused_call_names_what_is_missing_and_how_to_grant_it() {
    let not_granted = refusal("./deps.wasm", &all(), &Wish::run("git", "diff"));
    assert_eq!(not_granted.message, "it may not run `git diff`: you have not granted that");
    assert_eq!(not_granted.hint, "`convoke grants add ./deps.wasm --process 'git diff'` grants it");
    let not_asked = refusal("deps", &all(), &Wish::run("git", "push"));
    assert!(
        not_asked.message.ends_with("its manifest does not ask for that") && !not_asked.hint.contains("grants add")
    );
    let host = refusal("deps", &all(), &Wish::send("GET", "api.osv.dev"));
    assert!(host.hint.contains("--http GET:api.osv.dev"), "{}", host.hint);
    assert!(refusal("deps", &all(), &Wish::send("POST", "api.osv.dev")).message.contains("manifest"));
}

#[test]
fn installing_the_same_component_again_asks_nobody() {
    let deps = inspected("0.1.0", 'a', all());
    let granted = decide("deps", &deps, None, Some(&mut |_: &str| true)).unwrap();
    assert_eq!((granted.trust, &granted.capabilities, granted.digest.len()), (true, &all(), 64));
    assert_eq!(decide("deps", &deps, Some(&granted), None), Ok(granted.clone()));
    let changed = inspected("0.2.0", 'b', all());
    let error = decide("deps", &changed, Some(&granted), None).unwrap_err();
    assert!(error.to_string().contains("to this version of it"), "{error}");
}

/// What asks for a host that it can do without, and needs nothing else.
fn at_will() -> Capabilities {
    let site = Site { optional: true, ..site("api.osv.dev", &["GET", "POST"]) };
    Capabilities { http: vec![site], ..Capabilities::default() }
}

#[test]
fn nobody_is_asked_about_a_host_that_a_plugin_can_do_without() {
    let ((_folder, mut grants), inspected) = (none(), inspected("0.1.0", 'e', at_will()));
    for origin in [Origin::Embedded, Origin::Typed] {
        let (result, asked) = checked(case(&inspected, origin), &mut grants, None);
        assert_eq!((result.unwrap().http, asked.len()), (Vec::new(), 0), "{origin:?}");
    }
    // Installed, it asks for what it needs, and a yes to that is not one to the host.
    let (result, asked) = checked(case(&inspected, Origin::Installed), &mut grants, Some(true));
    assert_eq!(result.unwrap().http, Vec::new());
    assert!(asked[0].contains("ask Claude") && !asked[0].contains("api.osv.dev"), "{asked:?}");
}

#[test]
fn nobody_is_asked_about_a_program_that_a_plugin_can_do_without() {
    let git = Program { optional: true, ..program("git", &["log"]) };
    let asked = Capabilities { process: vec![git], ..Capabilities::default() };
    let ((_folder, mut grants), inspected) = (none(), inspected("0.1.0", 'e', asked));
    let (result, asked) = checked(case(&inspected, Origin::Embedded), &mut grants, None);
    assert_eq!((result.unwrap().process, asked.len()), (Vec::new(), 0));
    let mut ask = |text: &str| text.contains("git log");
    let grant = decide_as(case(&inspected, Origin::Embedded), None, Some(&mut ask)).unwrap();
    assert_eq!(grant.capabilities.process, [program("git", &["log"])], "a grant is no wish");
    grants.allow(grant).unwrap();
    let (result, _) = checked(case(&inspected, Origin::Embedded), &mut grants, None);
    assert_eq!(result.unwrap().process, [program("git", &["log"])]);
}

#[test]
fn a_host_at_will_is_granted_by_name_and_then_used() {
    let ((_folder, mut grants), inspected) = (none(), inspected("0.1.0", 'e', at_will()));
    let mut ask = |text: &str| text.contains("send requests (GET, POST) to api.osv.dev");
    let grant = decide_as(case(&inspected, Origin::Embedded), None, Some(&mut ask)).unwrap();
    assert_eq!(grant.capabilities.http, [site("api.osv.dev", &["GET", "POST"])], "a grant is no wish");
    grants.allow(grant).unwrap();
    let (result, _) = checked(case(&inspected, Origin::Embedded), &mut grants, None);
    assert_eq!(result.unwrap().http, [site("api.osv.dev", &["GET", "POST"])]);
}
