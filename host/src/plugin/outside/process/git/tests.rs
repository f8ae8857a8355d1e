use std::process::Command as Plain;

use super::*;

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn what_only_looks_is_taken() {
    for line in [
        "diff",
        "diff --stat HEAD~1..HEAD -- src/a.rs",
        "diff main...feature",
        "log --oneline -n 5 --format=%H",
        "log -SOption",
        "show HEAD:a/b.rs",
        "diff --text",
        "rev-list --filter=blob:none HEAD",
        "grep -n -e pattern",
        "ls-files -o",
    ] {
        assert_eq!(check(&words(line)).map_err(|refused| refused.message), Ok(()), "{line}");
    }
}

#[test]
fn what_writes_runs_or_reads_elsewhere_is_refused() {
    for line in [
        "-c core.pager=x diff",
        "--exec-path=/tmp diff",
        "diff --output=x",
        "diff --outp=x",
        "diff --output x",
        "log --grep -- --output=x",
        "diff --ext-diff",
        "diff --ext",
        "log --textc",
        "diff --no-index a b",
        "diff /etc/passwd /dev/null",
        "diff ../outside.txt a.txt",
        "diff a/../../b c",
        "grep -Oless x",
        "grep -nOless x",
        "grep --open-files-in-pager=x y",
        "grep --no-index x",
        "grep -f /etc/passwd",
        "blame --contents /etc/passwd a.txt",
        "ls-remote --upload-pack=x .",
        "archive -o x HEAD",
        "archive --exec=x --remote=. HEAD",
        "diff --help",
        "status --ignore-submodules=none",
        "log --alternate-refs",
    ] {
        assert!(check(&words(line)).is_err(), "{line}");
    }
}

#[test]
fn external_differs_are_switched_off_behind_the_subcommand() {
    assert_eq!(habits(&words("blame -L 1,2 a")), words("blame --no-textconv -L 1,2 a"));
    assert_eq!(
        habits(&words("diff --stat")),
        words("diff --no-ext-diff --no-textconv --ignore-submodules=dirty --stat")
    );
    assert_eq!(habits(&words("rev-parse HEAD")), words("rev-parse HEAD"));
    assert_eq!(habits(&[]), [] as [String; 0]);
}

/// A repository whose own settings and attributes name a program in every way that a look can meet.
struct Place {
    folder: tempfile::TempDir,
    git: PathBuf,
}

impl Place {
    fn new() -> Self {
        let path = std::env::var_os("PATH").unwrap();
        let git = std::env::split_paths(&path).map(|folder| folder.join("git")).find(|git| git.is_file()).unwrap();
        let place = Self { folder: tempfile::tempdir().unwrap(), git };
        fs::create_dir(place.project()).unwrap();
        place.git(&["init", "--quiet"]);
        place.write("a.txt", "one\n");
        place.write(".gitattributes", "*.txt filter=evil diff=evil\n");
        place.git(&["add", "."]);
        place.git(&["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "one"]);
        place.write("a.txt", "two\n");
        place
    }

    fn project(&self) -> PathBuf {
        fs::canonicalize(self.folder.path()).unwrap().join("project")
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.project().join(path), text).unwrap();
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut all = vec![
            ("PATH".into(), std::env::var_os("PATH").unwrap()),
            ("HOME".into(), self.folder.path().into()),
            ("GIT_CONFIG_NOSYSTEM".into(), "1".into()),
        ];
        all.extend(super::super::habits::variables("git"));
        all
    }

    fn git(&self, arguments: &[&str]) -> (bool, String) {
        self.git_with(&[], arguments)
    }

    fn git_with(&self, settings: &[(OsString, OsString)], arguments: &[&str]) -> (bool, String) {
        let mut command = Plain::new(&self.git);
        command.args(arguments).current_dir(self.project()).env_clear().envs(self.environment());
        let output = command.envs(settings.iter().cloned()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn evil(&self) {
        let mark = |name: &str| format!("touch {}/marks-{name}; cat", self.folder.path().display());
        let set = |key: &str, value: &str| self.git(&["config", key, value]);
        for key in
            ["filter.evil.clean", "filter.evil.smudge", "diff.evil.command", "diff.evil.textconv", "core.fsmonitor"]
        {
            assert!(set(key, &mark(key)).0, "{key}");
        }
        set("filter.evil.required", "true");
        set("diff.external", &mark("external"));
        set("core.pager", &mark("pager"));
        set("alias.standup", &format!("!{}", mark("alias")));
        set("core.sshCommand", &mark("ssh"));
        // A name with what a command line could not carry.
        set("filter.a=b\nc.clean", &mark("odd"));
    }

    fn marks(&self) -> Vec<String> {
        let names = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("marks-")).collect()
    }

    async fn settings(&self) -> Result<Vec<(OsString, OsString)>, String> {
        settings(&self.git, &self.project(), &self.environment()).await.map_err(|refused| refused.message)
    }
}

#[tokio::test]
async fn a_repository_names_programs_in_vain() {
    let place = Place::new();
    place.evil();
    place.git(&["diff"]);
    assert!(!place.marks().is_empty(), "without care they are run");
    for mark in place.marks() {
        fs::remove_file(place.folder.path().join(mark)).unwrap();
    }
    let settings = place.settings().await.unwrap();
    for line in [
        "diff",
        "diff --stat",
        "diff HEAD",
        "log -p",
        "show",
        "status --short",
        "blame a.txt",
        "grep two",
        "diff-files -p",
        "ls-files -m",
        "standup",
        "ls-remote ssh://nowhere.invalid/x",
    ] {
        let arguments = habits(&words(line));
        assert_eq!(check(&arguments[..1]).map_err(|refused| refused.message), Ok(()));
        let (well, said) = place.git_with(&settings, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(place.marks(), [] as [String; 0], "{line}");
        assert!(well || ["standup", "ls-remote"].contains(&line.split(' ').next().unwrap()), "{line}: {said}");
    }
    assert!(place.git_with(&settings, &["diff", "--no-ext-diff", "--no-textconv"]).1.contains("+two"));
}

#[tokio::test]
async fn a_file_that_names_the_repository_of_others_is_not_followed() {
    let (place, private) = (Place::new(), Place::new());
    fs::remove_dir_all(place.project().join(".git")).unwrap();
    assert!(place.settings().await.unwrap_err().contains("no repository"));
    place.write(".git", &format!("gitdir: {}\n", private.project().join(".git").display()));
    assert!(place.git(&["show"]).1.contains("+one"), "git itself follows it");
    assert!(place.settings().await.unwrap_err().contains("not the repository of the files around it"));
    fs::remove_file(place.project().join(".git")).unwrap();
    std::os::unix::fs::symlink(private.project().join(".git"), place.project().join(".git")).unwrap();
    assert!(place.settings().await.is_err());
}

#[tokio::test]
async fn files_that_are_elsewhere_are_not_shown() {
    let place = Place::new();
    assert!(place.settings().await.is_ok());
    place.git(&["config", "core.worktree", "/"]);
    assert!(place.settings().await.unwrap_err().contains("not the repository of the files around it"));
    place.git(&["config", "core.worktree", place.project().to_str().unwrap()]);
    assert!(place.settings().await.is_ok());
}

#[tokio::test]
async fn a_linked_work_tree_is_a_repository_like_others() {
    let place = Place::new();
    let linked = place.folder.path().join("linked");
    assert!(place.git(&["worktree", "add", "--quiet", linked.to_str().unwrap()]).0);
    let linked = fs::canonicalize(linked).unwrap();
    assert!(settings(&place.git, &linked, &place.environment()).await.is_ok());
}

#[test]
fn a_git_that_does_not_listen_is_not_run() {
    let refused = emptied(b"local\0core.bare\0").unwrap_err();
    assert!(refused.message.contains("too old"), "{}", refused.message);
    assert_eq!(
        emptied(b"command\0convoke.seen\0local\0filter.x.clean\0").unwrap(),
        [("filter.x.clean".to_owned(), "")]
    );
    assert_eq!(emptied(b"command\0convoke.seen\0global\0core.pager\0").unwrap(), []);
}
