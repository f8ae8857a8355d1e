//! The steps of a call, with a script in the warden's place: what a warden does is tested end to end.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::plugin::capabilities::{Capabilities, Program};

/// Starts the program as a warden would, and nothing more.
const WARDEN: &str = "shift 5; input=$1; program=$2; shift 2; exec \"$program\" \"$@\" < \"$input\"";

struct Place {
    _folder: tempfile::TempDir,
    root: PathBuf,
    outside: Outside,
}

impl Place {
    fn new(limits: config::Process) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        for name in ["project/sub", "bin", "home"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        let place = |name: &str| root.join(name).to_string_lossy().into_owned();
        let path = format!("{}:/usr/bin:/bin", place("bin"));
        let env = |name: &str| match name {
            "PATH" => Some(path.clone()),
            "HOME" => Some(place("home")),
            "LANG" => Some("C.UTF-8".to_owned()),
            "ANTHROPIC_API_KEY" | "GH_TOKEN" | "HTTPS_PROXY" | "LD_PRELOAD" | "GIT_DIR" => Some("secret".to_owned()),
            _ => None,
        };
        let machinery = Machinery { warden: root.join("warden"), records: root.join("records") };
        let processes = Processes::new(env, &root.join("project"), machinery, limits);
        let granted = Program { program: "look".to_owned(), subcommands: vec!["at".to_owned()], optional: false };
        let granted = Capabilities { process: vec![granted], ..Capabilities::default() };
        let outside = Outside {
            plugin: "p".to_owned(),
            asked: granted.clone(),
            granted,
            root: root.join("project"),
            processes: Some(Arc::new(processes)),
            ..Outside::default()
        };
        let place = Self { _folder: folder, root, outside };
        place.script("warden", WARDEN);
        place
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.root.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    async fn run(&self, change: impl FnOnce(&mut wit_process::Command)) -> Result<(i32, String, String), String> {
        let mut command = wit_process::Command {
            program: "look".to_owned(),
            arguments: vec!["at".to_owned()],
            folder: String::new(),
            input: Vec::new(),
            extra: Vec::new(),
        };
        change(&mut command);
        let output = run(&self.outside, &command, &|_, _| {}, |_| {}).await.map_err(|refused| refused.message)?;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ok((output.status, text(output.stdout), text(output.stderr)))
    }
}

fn place() -> Place {
    Place::new(config::Process::default())
}

#[tokio::test]
async fn a_program_gets_its_arguments_input_and_folder_as_they_are() {
    let place = place();
    place.script("bin/look", "printf '<%s>' \"$@\"; cat; pwd; echo oh >&2; exit 3");
    let (status, stdout, stderr) = place
        .run(|command| {
            command.arguments.extend(["$(id)", "; rm -rf x", "*", "", "a\nb"].map(str::to_owned));
            command.input = b"in\n".to_vec();
            command.folder = "sub".to_owned();
        })
        .await
        .unwrap();
    let folder = place.root.join("project/sub");
    assert_eq!(stdout, format!("<at><$(id)><; rm -rf x><*><><a\nb>in\n{}\n", folder.display()));
    assert_eq!((status, stderr.as_str()), (3, "oh\n"));
}

#[tokio::test]
async fn it_sees_a_few_variables_and_no_credential() {
    let place = place();
    place.script("bin/look", "env | cut -d= -f1 | sort");
    let (_, stdout, _) = place.run(|_| {}).await.unwrap();
    let own = ["PWD", "OLDPWD", "SHLVL", "_"];
    let seen: Vec<&str> = stdout.lines().filter(|name| !own.contains(name)).collect();
    assert_eq!(seen, ["HOME", "LANG", "NO_COLOR", "PATH", "TERM"]);
}

#[tokio::test]
async fn what_can_not_be_is_refused_before_anything_runs() {
    let place = place();
    place.script("bin/look", "touch ran");
    std::os::unix::fs::symlink("..", place.root.join("project/out")).unwrap();
    type Change = fn(&mut wit_process::Command);
    let cases: [(&str, Change); 11] = [
        ("may not run", |command| command.program = "sort".to_owned()),
        ("not the name", |command| command.program = "/bin/look".to_owned()),
        ("not the name", |command| command.program = "./look".to_owned()),
        ("may not run", |command| command.arguments = vec!["away".to_owned()]),
        ("looks like an option", |command| command.arguments.insert(0, "-x".to_owned())),
        ("code 0", |command| command.arguments.push("a\0b".to_owned())),
        ("1025 arguments", |command| command.arguments.extend(vec!["x".to_owned(); 1_024])),
        ("bytes", |command| command.arguments.push("x".repeat(ARGUMENT_BYTES))),
        ("leads out", |command| command.folder = "../project".to_owned()),
        ("leads out", |command| command.folder = "out".to_owned()),
        ("code 0", |command| command.folder = "sub\0".to_owned()),
    ];
    for (said, change) in cases {
        let refused = place.run(change).await.unwrap_err();
        assert!(refused.contains(said), "{said}: {refused}");
    }
    assert!(!place.root.join("project/ran").exists());
}

#[tokio::test]
async fn what_prints_too_much_is_ended_and_what_prints_just_as_much_is_not() {
    let place = Place::new(config::Process { max_output_bytes: 1_000, ..config::Process::default() });
    place.script("bin/look", "head -c 1000 /dev/zero; head -c 1000 /dev/zero >&2");
    let (_, stdout, stderr) = place.run(|_| {}).await.unwrap();
    assert_eq!((stdout.len(), stderr.len()), (1_000, 1_000));
    place.script("bin/look", "head -c 1001 /dev/zero");
    let refused = place.run(|_| {}).await.unwrap_err();
    assert_eq!(refused, "look: it was ended, because it printed more than 1000 bytes on its standard output");
    place.script("bin/look", "exec yes >&2");
    assert!(place.run(|_| {}).await.unwrap_err().contains("on stderr"));
}

#[tokio::test]
async fn what_takes_too_long_is_ended() {
    let place = Place::new(config::Process { timeout: Duration::from_secs(1), ..config::Process::default() });
    place.script("bin/look", "exec sleep 1000");
    assert_eq!(place.run(|_| {}).await.unwrap_err(), "look: it was ended after 1 s");
}

#[tokio::test]
async fn a_program_takes_from_the_quota_that_names_it() {
    use convoke_runtime::quota::named::{Match, NamedQuota, NamedQuotas};
    use convoke_runtime::quota::rate::Size;
    let mut place = place();
    place.script("bin/look", "echo ran");
    let mut quotas = NamedQuotas::default();
    quotas.set(NamedQuota {
        name: "looks".into(),
        size: Size { amount: 1, per: Duration::from_secs(100_000) },
        matches: vec![Match { program: Some("look".to_owned()), ..Match::default() }],
    });
    place.outside.quotas = super::super::Quotas::new(quotas);
    assert_eq!(place.run(|_| {}).await.unwrap().1, "ran\n");
    let refused = place.run(|_| {}).await.unwrap_err();
    assert!(refused.contains("the quota `looks` is used up"), "{refused}");
}

#[test]
fn a_long_command_is_shown_by_its_beginning() {
    let command = wit_process::Command {
        program: "git\u{1b}".to_owned(),
        arguments: vec!["a b".to_owned(), "x".repeat(1_000), "last".to_owned()],
        folder: String::new(),
        input: Vec::new(),
        extra: Vec::new(),
    };
    let line = shown(&command);
    assert!(line.starts_with("git\\u{1b} 'a b' xxx") && line.ends_with('…'), "{line}");
    assert!(line.chars().count() <= 2 * SHOWN + 20 && !line.contains('\u{1b}'));
}
