//! git, when it only looks.
//!
//! A repository's own configuration can name programs, and git runs them even for a `git diff`: a file system monitor, the
//! filters and diff drivers that `.gitattributes` chooses, hooks, a pager, aliases. And some of git's options write files,
//! run programs, or read files that are not the repository's. So before git runs for a plugin
//!
//! - the settings of the repository itself that name programs are emptied ([`settings`]): its names are asked of git, which
//!   runs nothing for that, and variables of git's own go before what they say. What can't be done without is then an error;
//! - such options are refused ([`check`]), and those given that switch external differs off ([`habits`]);
//! - git must find a repository whose files are where it was found, and not another one that a file `.git` names.
//!
//! The user's own `~/.gitconfig` counts: it is theirs. What is not kept out: other repositories that an archive's `.git`
//! borrows objects from.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::Refused;
use crate::actions::quote::quote;
use crate::plugin::printable;

/// Options that write files, run programs, or read what is not the repository's. git takes the beginning of a long option
/// for the whole, so that is refused too, unless it is an option itself ([`WHOLE`]).
const LONG: [&str; 20] = [
    "--alternate-refs",
    "--batch-all-objects",
    "--contents",
    "--exec",
    "--exec-path",
    "--ext-diff",
    "--file",
    "--filters",
    "--help",
    "--ignore-revs-file",
    "--ignore-submodules",
    "--no-index",
    "--open-files-in-pager",
    "--output",
    "--output-directory",
    "--pathspec-from-file",
    "--receive-pack",
    "--recurse-submodules",
    "--textconv",
    "--upload-pack",
];

/// Options that others begin with, and that do no harm.
const WHOLE: [&str; 2] = ["--filter", "--text"];

/// Letters that do the same, alone or together with others, by the subcommand.
const SHORT: [(&str, &str); 7] = [
    ("grep", "Of"),
    ("archive", "o"),
    ("format-patch", "o"),
    ("bugreport", "o"),
    ("blame", "S"),
    ("annotate", "S"),
    ("config", "f"),
];

/// What subcommands get that would otherwise run what a repository names.
const HABITS: [(&[&str], &[&str]); 3] = [
    (
        &["diff", "log", "show", "whatchanged", "format-patch", "diff-tree", "diff-index", "diff-files"],
        &["--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty"],
    ),
    (&["status"], &["--ignore-submodules=dirty"]),
    (&["blame", "annotate"], &["--no-textconv"]),
];

/// Settings that hold whatever the repository says.
const FIXED: [(&str, &str); 6] = [
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    // A folder that was committed can look like a repository, with settings of its own.
    ("safe.bareRepository", "explicit"),
    ("submodule.recurse", "false"),
    ("protocol.ext.allow", "never"),
    // By it we see that this git listens to such variables at all.
    (SEEN, "true"),
];

const SEEN: &str = "convoke.seen";

/// The last words of settings that name programs, whatever their section.
const PROGRAMS: [&str; 28] = [
    "alternaterefscommand",
    "askpass",
    "browser",
    "cccmd",
    "clean",
    "cmd",
    "command",
    "defaultkeycommand",
    "difffilter",
    "driver",
    "editor",
    "external",
    "gitproxy",
    "headercmd",
    "helper",
    "packobjectshook",
    "pager",
    "process",
    "program",
    "receivepack",
    "smtpserver",
    "sendmailcmd",
    "smudge",
    "sshcommand",
    "textconv",
    "tocmd",
    "tunnel",
    "vcs",
];

/// The first words of settings that name programs.
const SECTIONS: [&str; 6] = ["alias", "browser", "difftool", "man", "mergetool", "pager"];

/// The most settings of a repository that are emptied.
const MOST: usize = 1_000;

/// The most that git may say of its settings, in bytes, and the longest that it may take.
const MOST_BYTES: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

fn refused(message: String) -> Refused {
    Refused { message, hint: None }
}

/// Checks the arguments of git.
///
/// # Errors
/// The first that is not taken, and why.
pub(super) fn check(arguments: &[String]) -> Result<(), Refused> {
    let Some((subcommand, rest)) = arguments.split_first() else { return Ok(()) };
    let shown = |argument: &str| printable(&quote(argument), 200);
    if subcommand.starts_with('-') {
        let what =
            format!("{} looks like an option, and stands where git's subcommand has to stand", shown(subcommand));
        return Err(refused(what));
    }
    let letters = SHORT.iter().find(|(name, _)| name == subcommand).map_or("", |(_, letters)| *letters);
    for argument in rest {
        // Also behind `--`, which may be the value of an option.
        let name = argument.split_once('=').map_or(argument.as_str(), |(name, _)| name);
        let is_long = name.len() > 2 && name.starts_with("--");
        if is_long && !WHOLE.contains(&name) && LONG.iter().any(|option| option.starts_with(name)) {
            let what = "it can write files, run programs, or read what is not the repository's";
            return Err(refused(format!("git's option {} is not taken: {what}", shown(name))));
        }
        let bundle = argument.strip_prefix('-').filter(|bundle| !bundle.starts_with('-')).unwrap_or_default();
        if bundle.contains(|letter| letters.contains(letter)) {
            let what = format!("one of its letters {letters} runs a program, or reads or writes a file");
            return Err(refused(format!("git {subcommand} {} is not taken: {what}", shown(argument))));
        }
        // Outside of the repository, `git diff` compares any two files.
        let leads_out = Path::new(argument).is_absolute() || argument.split('/').any(|part| part == "..");
        if subcommand == "diff" && leads_out {
            return Err(refused(format!("git diff {} is not taken: it leads out of the project", shown(argument))));
        }
    }
    Ok(())
}

/// The arguments, with those that keep git from running what a repository names.
pub(super) fn habits(arguments: &[String]) -> Vec<String> {
    let mut all = arguments.to_vec();
    let Some(subcommand) = arguments.first() else { return all };
    let habits =
        HABITS.iter().find(|(names, _)| names.contains(&subcommand.as_str())).map_or([].as_slice(), |(_, all)| all);
    all.splice(1..1, habits.iter().map(|habit| (*habit).to_owned()));
    all
}

/// The variables that keep a repository from naming programs: asks git, in that folder, for the names of its settings.
///
/// # Errors
/// There is no repository, it is not what it seems, or git can't be asked.
pub(super) async fn settings(
    git: &Path,
    folder: &Path,
    environment: &[(OsString, OsString)],
) -> Result<Vec<(OsString, OsString)>, Refused> {
    let found = Repository::around(folder)?;
    let fixed: Vec<(String, &str)> = FIXED.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
    let with_fixed = [environment, variables(&fixed).as_slice()].concat();
    let listing = ["config", "--list", "--show-scope", "--name-only", "--includes", "-z"];
    let listed = ask(git, folder, &with_fixed, &listing).await?;
    let emptied = emptied(&listed)?;
    let all: Vec<(String, &str)> =
        fixed.into_iter().chain(emptied.iter().map(|(key, value)| (key.clone(), *value))).collect();
    let variables = variables(&all);
    let says_where = names(&listed).any(|(scope, key)| is_own(scope) && key == b"core.worktree");
    if says_where || !found.is_plain {
        let environment = [environment, variables.as_slice()].concat();
        let top = ask(git, folder, &environment, &["rev-parse", "--show-toplevel"]).await?;
        let top = PathBuf::from(String::from_utf8_lossy(top.trim_ascii_end()).into_owned());
        if fs::canonicalize(&top).ok().as_deref() != Some(&found.top)
            || !(found.is_plain || found.names_us || says_where)
        {
            let what = format!("{} is not the repository of the files around it", found.top.join(".git").display());
            return Err(refused(format!("git is not run: {}", printable(&what, 300))));
        }
    }
    Ok(variables)
}

/// What git finds first, going up from a folder.
struct Repository {
    /// The folder with a `.git` in it, with no link in it.
    top: PathBuf,
    /// It is a folder.
    is_plain: bool,
    /// It is a file that names a repository, and that names this file.
    names_us: bool,
}

impl Repository {
    fn around(folder: &Path) -> Result<Self, Refused> {
        let nearest = folder.ancestors().find(|folder| fs::symlink_metadata(folder.join(".git")).is_ok());
        let Some(top) = nearest else {
            return Err(refused("git is not run: the project is in no repository of git".to_owned()));
        };
        let (top, dot_git) = (top.to_owned(), top.join(".git"));
        let kind = fs::symlink_metadata(&dot_git).map(|found| found.file_type());
        if kind.as_ref().is_ok_and(fs::FileType::is_dir) {
            return Ok(Self { top, is_plain: true, names_us: false });
        }
        // A work tree's repository has the path of this file in its own file `gitdir`.
        let back = |kind: fs::FileType| -> Option<bool> {
            let named = kind.is_file().then(|| small(&dot_git)).flatten()?;
            let named = top.join(named.trim().strip_prefix("gitdir:")?.trim());
            let back = small(&named.join("gitdir"))?;
            Some(fs::canonicalize(named.join(back.trim())).ok()? == fs::canonicalize(&dot_git).ok()?)
        };
        let names_us = kind.ok().and_then(back).unwrap_or(false);
        Ok(Self { top, is_plain: false, names_us })
    }
}

/// The text of a file in which a path stands.
fn small(path: &Path) -> Option<String> {
    let is_small = fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= 8 << 10);
    is_small.then(|| fs::read_to_string(path).ok()).flatten()
}

/// Settings as git takes them from variables: as they are, whatever characters they have.
fn variables(settings: &[(String, &str)]) -> Vec<(OsString, OsString)> {
    let mut all = vec![("GIT_CONFIG_COUNT".into(), settings.len().to_string().into())];
    for (number, (key, value)) in settings.iter().enumerate() {
        all.push((format!("GIT_CONFIG_KEY_{number}").into(), key.into()));
        all.push((format!("GIT_CONFIG_VALUE_{number}").into(), value.into()));
    }
    all
}

/// The scopes and names of a listing.
fn names(listed: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut words = listed.split(|byte| *byte == 0);
    std::iter::from_fn(move || Some((words.next()?, words.next()?)))
}

/// Whether a setting is the repository's own, and not the user's.
fn is_own(scope: &[u8]) -> bool {
    !matches!(scope, b"system" | b"global" | b"command")
}

/// The repository's settings that name programs, and what they are to be instead.
fn emptied(listed: &[u8]) -> Result<Vec<(String, &'static str)>, Refused> {
    if !names(listed).any(|(scope, key)| scope == b"command" && key == SEEN.as_bytes()) {
        let hint = Some("update git: 2.31 is needed at least".to_owned());
        return Err(Refused { message: "this git is too old to be run for a plugin".to_owned(), hint });
    }
    let mut all = Vec::new();
    for (_, key) in names(listed).filter(|(scope, _)| is_own(scope)) {
        let Ok(key) = std::str::from_utf8(key) else {
            return Err(refused("git is not run: a setting of the repository has a name that is not UTF-8".to_owned()));
        };
        let section = key.split('.').next().unwrap_or_default();
        let last = key.rsplit('.').next().unwrap_or_default();
        let instead = match (section, last) {
            // Without it, a filter that does nothing would be an error.
            ("filter", "required") => "false",
            ("protocol", "allow") => "never",
            _ if PROGRAMS.contains(&last) || SECTIONS.contains(&section) => "",
            _ => continue,
        };
        all.push((key.to_owned(), instead));
    }
    all.sort_unstable();
    all.dedup();
    match all.len() {
        ..=MOST => Ok(all),
        many => Err(refused(format!("git is not run: {many} settings of the repository name programs"))),
    }
}

/// Asks git something that runs no other program.
async fn ask(
    git: &Path,
    folder: &Path,
    environment: &[(OsString, OsString)],
    arguments: &[&str],
) -> Result<Vec<u8>, Refused> {
    let mut command = Command::new(git);
    command.args(arguments).current_dir(folder).env_clear().envs(environment.iter().cloned());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let failed = |why: &str| refused(format!("git can't tell its settings: {}", printable(why.trim(), 300)));
    let output = match timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(failed(&error.to_string())),
        Err(_) => return Err(failed("it takes too long")),
    };
    match output {
        Output { status, stdout, .. } if status.success() && stdout.len() <= MOST_BYTES => Ok(stdout),
        Output { status, .. } if status.success() => Err(failed("they are too many")),
        Output { stderr, .. } => {
            Err(failed(String::from_utf8_lossy(&stderr).lines().next().unwrap_or("no reason given")))
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
