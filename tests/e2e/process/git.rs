//! git, in a repository that would have it run other programs.

use serde_json::Value;

use super::{User, run, stdout};

#[tokio::test]
async fn a_repository_that_names_programs_is_looked_at_without_them() {
    let user = User::new();
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.args(arguments).current_dir(user.world.project()).env("HOME", user.world.path("home"));
        command
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_AUTHOR_NAME", "a")
            .env("GIT_AUTHOR_EMAIL", "a@example.org");
        command.env("GIT_COMMITTER_NAME", "a").env("GIT_COMMITTER_EMAIL", "a@example.org");
        let output = command.output().expect("git runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    git(&["init", "--quiet"]);
    user.world.write("a.txt", "one\n");
    user.world.write(".gitattributes", "*.txt filter=evil diff=evil\n");
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "one"]);
    user.world.write("a.txt", "two\n");
    let mark = format!("touch {}; cat", user.world.path("home/pwned").display());
    for key in ["filter.evil.clean", "filter.evil.smudge", "diff.evil.command", "diff.evil.textconv", "core.fsmonitor"]
    {
        git(&["config", key, &mark]);
    }
    git(&["config", "alias.standup", &format!("!{mark}")]);
    let lines = ["diff", "log -p", "show --stat", "status --short", "stash list", "standup"];
    let calls: Vec<Value> = lines.iter().map(|line| run("git", &line.split(' ').collect::<Vec<_>>())).collect();
    let results = user.came_of(&calls).await;
    assert!(stdout(&results[0]).contains("+two"), "{:#}", results[0]);
    assert!(stdout(&results[3]).contains(" M a.txt"), "{:#}", results[3]);
    assert!(!user.world.path("home/pwned").exists());
}
