//! Attacks on the sandbox by a plugin that is made for it. None succeeds.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{KEY, Report, World, attack, quick};

/// What is outside of the project.
const SECRET: &str = "SECRET";

/// Nothing of these may reach a terminal: they set its title, blink, and clear it by one byte.
const ESCAPES: [&str; 6] = ["\u{1b}]", "\u{1b}[5;31", "\u{9b}", "\u{90}", "\u{202e}", "\u{7}"];

/// Runs attacks, and gives the report: all of them were tried, and the sandbox held in each try.
async fn held<'a>(world: &World, attacks: impl IntoIterator<Item = &'a str>) -> Report {
    let call = world.convoke([attack(), "--format", "json"].into_iter().chain(attacks));
    let call = call.env("ANTHROPIC_API_KEY", KEY).env("SECRET_VARIABLE", SECRET);
    let report = call.env("CONVOKE_BACKEND", "offline").run().await.report();
    let messages: Vec<&str> =
        report.list("findings").iter().filter_map(|finding| finding["message"].as_str()).collect();
    let escaped: Vec<_> = messages.iter().filter(|message| !message.starts_with("held: ")).collect();
    assert!(escaped.is_empty(), "{escaped:#?}");
    assert!(!messages.is_empty() && report.status() == "completed", "{:#}", report.json);
    assert!(!report.done.stdout.contains(SECRET) && !report.done.stdout.contains(KEY), "{}", report.done.stdout);
    report
}

fn tries(report: &Report) -> usize {
    report.list("findings").len()
}

#[tokio::test]
async fn there_is_no_environment_no_argument_and_no_input() {
    let report = held(&World::new(), ["environment"]).await;
    assert_eq!(tries(&report), 5, "{:#}", report.json["findings"]);
}

#[tokio::test]
async fn there_are_no_files_behind_wasi() {
    let world = World::new();
    world.write("a.txt", "inside");
    let report = held(&world, ["files"]).await;
    assert_eq!(tries(&report), 29, "{:#}", report.json["findings"]);
    assert_eq!(fs::read_dir(world.project()).expect("a folder").count(), 1, "nothing was made");
    assert!(!Path::new("/tmp/written-by-attack.txt").exists());
}

#[tokio::test]
async fn there_is_no_network_behind_wasi() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let datagrams = UdpSocket::bind(("127.0.0.1", port)).expect("the same port");
    listener.set_nonblocking(true).expect("set");
    datagrams.set_nonblocking(true).expect("set");
    let report = held(&World::new(), [format!("sockets:{port}").as_str()]).await;
    assert_eq!(tries(&report), 7, "{:#}", report.json["findings"]);
    assert!(listener.accept().is_err(), "nobody came");
    assert!(datagrams.recv(&mut [0; 10]).is_err(), "nothing came");
}

#[tokio::test]
async fn no_program_is_started_by_wasi() {
    assert_eq!(tries(&held(&World::new(), ["programs"]).await), 2);
}

/// A world with a secret beside the project, and links to it.
fn with_ways_out() -> World {
    let world = World::new();
    world.write("a.txt", "inside");
    world.write("sub/b.txt", "inside");
    world.write(".git/config", SECRET);
    fs::create_dir(world.path("out")).expect("a folder");
    for name in ["secret", "b.txt"] {
        fs::write(world.path("out").join(name), SECRET).expect("a written file");
    }
    let project = world.project();
    symlink(world.path("out/secret"), project.join("link-absolute")).expect("a link");
    symlink("../out/secret", project.join("link")).expect("a link");
    symlink("../out", project.join("folder")).expect("a link");
    symlink("../../out", project.join("sub/folder")).expect("a link");
    symlink("folder", project.join("twice")).expect("a link");
    symlink("/proc/self/environ", project.join("environ")).expect("a link");
    symlink("/", project.join("root")).expect("a link");
    symlink(".git", project.join("git")).expect("a link");
    world
}

#[tokio::test]
async fn no_path_leads_out_of_the_project() {
    let world = with_ways_out();
    let absolute = world.path("out/secret").display().to_string();
    let paths = [
        "../out/secret",
        "..",
        "sub/../../out/secret",
        "./.././out",
        absolute.as_str(),
        "/etc/passwd",
        "//etc/passwd",
        "/proc/self/environ",
        "link",
        "link-absolute",
        "folder/secret",
        "sub/folder/secret",
        "twice/secret",
        "environ",
        "root/etc/passwd",
        ".git/config",
        "git/config",
        ".GIT/config",
        "a.txt/../../out/secret",
        "..\\out\\secret",
        "%2e%2e/out/secret",
        "~/secret",
        "$HOME",
    ];
    let attacks: Vec<String> = paths.iter().map(|path| format!("path:{path}")).collect();
    let report = held(&world, attacks.iter().map(String::as_str)).await;
    assert_eq!(tries(&report), paths.len() * 5, "{:#}", report.json["findings"]);
}

#[tokio::test]
async fn the_same_attack_on_what_is_inside_is_seen() {
    let world = with_ways_out();
    let done = world.convoke([attack(), "--format", "json", "path:a.txt"]).run().await.report();
    let escaped = done.messages("1-path").iter().filter(|message| message.starts_with("ESCAPED")).count();
    assert!(escaped >= 3, "it reads, and is seen by stat and exists: {:#}", done.json["findings"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_swapped_for_a_link_all_the_time_never_shows_what_is_outside() {
    let world = World::new();
    fs::create_dir(world.path("out")).expect("a folder");
    for number in 1..=400 {
        world.write(&format!("in/{number}"), "inside");
        fs::write(world.path("out").join(number.to_string()), SECRET).expect("a written file");
    }
    let (project, out) = (world.project(), world.path("out"));
    symlink("in", project.join("turn")).expect("a link");
    static STOP: AtomicBool = AtomicBool::new(false);
    let turner = std::thread::spawn(move || {
        let mut turns = 0_u32;
        while !STOP.load(Ordering::Relaxed) {
            let target = if turns.is_multiple_of(2) { out.as_path() } else { Path::new("in") };
            symlink(target, project.join("next")).expect("a link");
            fs::rename(project.join("next"), project.join("turn")).expect("renamed");
            turns += 1;
        }
        turns
    });
    let report = held(&world, ["swapped:turn"]).await;
    STOP.store(true, Ordering::Relaxed);
    assert!(turner.join().expect("it ended") > 0, "it was turned");
    assert_eq!(tries(&report), 1);
}

#[tokio::test]
async fn a_hard_link_is_a_file_of_the_project() {
    // Nobody can tell it from one; who can make it could read it already.
    let world = World::new();
    fs::write(world.path("beside.txt"), "beside").expect("a written file");
    fs::hard_link(world.path("beside.txt"), world.project().join("hard.txt")).expect("a link");
    let report = world.convoke([attack(), "--format", "json", "path:hard.txt"]).run().await.report();
    assert!(report.messages("1-path").iter().any(|message| message.contains("read: 6 bytes")));
}

#[tokio::test]
async fn no_text_of_a_plugin_does_anything_to_a_terminal() {
    let world = World::new();
    for more in [
        &["--format", "human", "-v"][..],
        &["--format", "json", "-v"],
        &["--format", "markdown"],
        &["--format", "sarif"],
        &["--format", "human", "--color", "always"],
        &["--dry-run", "--explain", "--fresh"],
        &["--dry-run", "--format", "json", "--fresh"],
    ] {
        let done = world.convoke([attack(), "escapes"].into_iter().chain(more.iter().copied())).run().await;
        assert!(matches!(done.code, Some(0 | 1)), "{more:?}: {}", done.stderr);
        harmless(&done.stdout, &format!("{more:?}"));
        harmless(&done.stderr, &format!("{more:?}"));
    }
    for arguments in [&["runs", "list"][..], &["runs", "show", "last"], &["runs", "show", "last", "--format", "json"]] {
        let done = world.convoke(arguments.iter().copied()).run().await;
        harmless(&done.stdout, &format!("{arguments:?}"));
        harmless(&done.stderr, &format!("{arguments:?}"));
    }
}

#[tokio::test]
async fn json_has_the_text_itself_and_nothing_that_a_terminal_acts_on() {
    let report = World::new().convoke([attack(), "escapes", "--format", "json"]).run().await.report();
    harmless(&report.done.stdout, "json");
    let message = report.messages("1-escapes")[0];
    assert!(message.contains("\u{1b}]0;pwned\u{7}") && message.contains('\u{202e}'), "{message:?}");
}

#[tokio::test]
async fn also_not_where_the_progress_is_drawn() {
    let (world, standin) = (World::new(), quick().await);
    let number = world.path("number");
    let call = world.convoke([attack(), "escapes", "-v"]).asking(&standin);
    let done = call.on_a_terminal(&number).run().await;
    assert!(matches!(done.code, Some(0 | 1)), "{}", done.stdout);
    assert!(done.stdout.contains("pwned"), "it was shown");
    // The bell of the terminal is not ours either.
    harmless(&done.stdout, "a terminal");
}

#[track_caller]
fn harmless(text: &str, what: &str) {
    for escape in ESCAPES {
        assert!(!text.contains(escape), "{what}: {escape:?} in {text:?}");
    }
    let forged = text.lines().any(|line| line.starts_with("forged"));
    assert!(!forged, "{what}: {text}");
}

#[tokio::test]
async fn a_manifest_with_escapes_is_refused_wherever_it_is_looked_at() {
    let bytes = fs::read(attack()).expect("a component");
    let manifest = |old: &str, new: &str| {
        assert_eq!(old.len(), new.len(), "the section keeps its length");
        let place = bytes.windows(old.len()).position(|window| window == old.as_bytes()).expect("it is there");
        let mut bytes = bytes.clone();
        bytes[place..place + old.len()].copy_from_slice(new.as_bytes());
        bytes
    };
    let world = World::new();
    let path = world.path("home/patched.wasm");
    let file = path.to_str().expect("UTF-8");
    for (old, new) in [
        ("\"Tries to get out of", r#""\u001b]0;x\u0007"#),
        ("\"description\":\"Tries", "\"description\":\"\u{1b}]0;x"),
        ("Each attack that is ty", r"\u202e\u001b[2J\u0007"),
        ("What is tried; some tak", r"\u009b2J\u0090\u001b[5m"),
        ("The sandbox held", r"\u001b]0;x\u0007"),
        ("\"name\":\"attack\",", "\"name\":\"\u{1b}[5mx\","),
        ("\"name\":\"attack\",", "\"name\":\"../../\","),
        ("\"version\":\"0.1.0\"", r#""version":"\n1.0""#),
    ] {
        // What is shorter is filled with blanks, which JSON allows behind a text and a text within.
        let new = format!("{new}{}", " ".repeat(old.len().saturating_sub(new.len())));
        fs::write(&path, manifest(old, &new)).expect("written");
        for arguments in [
            &[file, "environment"][..],
            &[file, "--help"],
            &["grants", "explain", file],
            &["grants", "add", file, "--all"],
        ] {
            let done = world.convoke(arguments.iter().copied()).run().await.exits(2);
            harmless(&done.stdout, new.trim());
            harmless(&done.stderr, new.trim());
        }
    }
}

#[tokio::test]
async fn a_projects_configuration_grants_raises_and_loads_nothing() {
    let world = World::new().config("[budget]\nusd = 1.0\n");
    world.write("evil.so", "no library, which would be said if it was loaded");
    world.write(
        "convoke.toml",
        "mode = \"performance\"\nbackend = \"anthropic\"\n[limits]\ninstances = 99\nread_mib = 1000\nplugin_memory_mib = 4096\n\
         [limits.operations]\nprocess = 90\n[policy]\nuse = \"./evil.so\"\n[tiers.speed]\ntools = [\"Bash\"]\nmodel = \
         \"claude-opus-5-5\"\n[budget]\nusd = 1000000.0\n",
    );
    let call = world.convoke([attack(), "--format", "json", "environment"]).env("CONVOKE_BACKEND", "offline");
    let report = call.run().await.report();
    for (line, what) in [
        (1, "mode performance"),
        (2, "backend offline"),
        (4, "instances"),
        (5, "read_mib"),
        (6, "plugin_memory_mib"),
        (8, "process"),
        (10, "load a library"),
        (12, "[tiers]"),
        (15, "budget.usd"),
    ] {
        let said = report
            .warnings()
            .lines()
            .any(|said| said.contains(&format!("convoke.toml:{line}: ")) && said.contains(what));
        assert!(said, "{line} {what}: {}", report.warnings());
    }
}
