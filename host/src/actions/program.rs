//! What an action is: a program with arguments, as it stands in the action's body.
//!
//! ```json
//! { "program": "git",
//!   "arguments": ["commit", "-m", "Mend the guide"],
//!   "input": "what it reads on its standard input",
//!   "folder": "docs",
//!   "timeout_s": 300 }
//! ```
//!
//! Only `program` must be there. The kind and the title are for people; the body counts. What has another shape is
//! refused: nothing is guessed. There is no shell in between, so that every argument arrives as it is.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plugin::printable;

/// How long a program may take that doesn't say, in seconds.
const TIMEOUT_S: u32 = 120;

/// The longest that one may ask for, in seconds.
const LONGEST_S: u32 = 3_600;

/// The most arguments, and bytes of all together: whoever agrees to them has to read them.
const ARGUMENTS: usize = 256;
const ARGUMENT_BYTES: usize = 32 * 1024;

/// The longest input, in bytes.
const INPUT_BYTES: usize = 1024 * 1024;

/// The longest name of a program, and the longest key, in bytes.
const NAME_BYTES: usize = 100;
const KEY_BYTES: usize = 200;

/// What runs other programs by a text or by its arguments: behind it nobody sees what is run.
const STARTERS: [&str; 32] = [
    "sh",
    "bash",
    "rbash",
    "dash",
    "ash",
    "zsh",
    "ksh",
    "mksh",
    "csh",
    "tcsh",
    "fish",
    "nu",
    "pwsh",
    "powershell",
    "cmd",
    "busybox",
    "toybox",
    "env",
    "xargs",
    "sudo",
    "su",
    "doas",
    "pkexec",
    "nohup",
    "setsid",
    "nice",
    "timeout",
    "exec",
    "eval",
    "script",
    "ssh",
    "watch",
];

/// A program with its arguments, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its name; `PATH` says where it is.
    pub program: String,
    /// As it gets them.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// What it reads; none: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Where it is started: a folder below the project's; none: the project's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// How long it may take, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
}

/// Why an action is never carried out: a part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its body is something else.
    #[error("its body is not a program with arguments: {0}")]
    Shape(String),
    /// Its key can't be shown, typed or told from others.
    #[error("its key is {0}")]
    Key(&'static str),
    /// The program is not a name.
    #[error("{program:?} is not the name of a program: it is looked for in PATH, and never taken by a path")]
    NotAName {
        /// As it was given.
        program: String,
    },
    /// It would run something that nobody sees.
    #[error("{program} runs other programs: name the program itself, with its arguments")]
    Starter {
        /// Its name.
        program: String,
    },
    /// Something in it is too much.
    #[error("{what}: at most {most} are taken")]
    TooMuch {
        /// What, and how much there is.
        what: String,
        /// How much there may be.
        most: usize,
    },
    /// An argument or the input can't be given to a program.
    #[error("{0} has a character of code 0, which no program gets")]
    Null(&'static str),
    /// The folder is outside, or is none.
    #[error("its folder {folder:?} {problem}")]
    Folder {
        /// As it was given.
        folder: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The time is none.
    #[error("timeout_s is {0}: it can be 1 to {LONGEST_S}")]
    Timeout(u32),
}

impl Program {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn of(body: &Value) -> Result<Self, Refused> {
        let shape = |error: serde_json::Error| Refused::Shape(printable(&error.to_string(), 200));
        let program = Self::deserialize(body).map_err(shape)?;
        program.check()?;
        Ok(program)
    }

    fn check(&self) -> Result<(), Refused> {
        check_name(&self.program)?;
        if self.arguments.len() > ARGUMENTS {
            let what = format!("it has {} arguments", self.arguments.len());
            return Err(Refused::TooMuch { what, most: ARGUMENTS });
        }
        let bytes: usize = self.arguments.iter().map(String::len).sum();
        if bytes > ARGUMENT_BYTES {
            let what = format!("its arguments have {bytes} bytes");
            return Err(Refused::TooMuch { what, most: ARGUMENT_BYTES });
        }
        let input = self.input.as_deref().unwrap_or_default();
        if input.len() > INPUT_BYTES {
            let what = format!("its input has {} bytes", input.len());
            return Err(Refused::TooMuch { what, most: INPUT_BYTES });
        }
        if self.arguments.iter().any(|argument| argument.contains('\0')) {
            return Err(Refused::Null("an argument"));
        }
        if let Some(seconds) = self.timeout_s.filter(|seconds| !(1..=LONGEST_S).contains(seconds)) {
            return Err(Refused::Timeout(seconds));
        }
        self.relative_folder().map(drop)
    }

    /// The folder below the project's, by its name only.
    fn relative_folder(&self) -> Result<&Path, Refused> {
        let folder = Path::new(self.folder.as_deref().unwrap_or("."));
        let refuse = |problem| Err(Refused::Folder { folder: printable(&folder.to_string_lossy(), 200), problem });
        for part in folder.components() {
            match part {
                Component::CurDir => {}
                Component::Normal(name) if name.eq_ignore_ascii_case(".git") => return refuse("is git's own"),
                Component::Normal(name) if !name.to_string_lossy().contains('\0') => {}
                _ => return refuse("leads out of the project"),
            }
        }
        Ok(folder)
    }

    /// Where it is started, with no link in it.
    ///
    /// # Errors
    /// It is not a folder of the project, or leads out of it by a link.
    pub fn folder_in(&self, project: &Path) -> Result<PathBuf, Refused> {
        let folder = self.relative_folder()?;
        let refuse = |problem| Refused::Folder { folder: printable(&folder.to_string_lossy(), 200), problem };
        let project = project.canonicalize().map_err(|_| refuse("is in a project that is not there"))?;
        let real = project.join(folder).canonicalize().map_err(|_| refuse("is not there"))?;
        match real.strip_prefix(&project) {
            Err(_) => Err(refuse("leads out of the project")),
            Ok(below) if below.iter().any(|name| name.eq_ignore_ascii_case(".git")) => Err(refuse("is git's own")),
            Ok(_) if !real.is_dir() => Err(refuse("is not a folder")),
            Ok(_) => Ok(real),
        }
    }

    /// How long it may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s.unwrap_or(TIMEOUT_S).into())
    }

    /// The body in the one way in which the journal has it.
    pub fn body(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// Reads what [`body`](Self::body) wrote.
    pub fn written(body: &str) -> Option<Self> {
        serde_json::from_str(body).ok()
    }
}

/// Checks the name of a program: no path, nothing that could be taken for an option, and none that runs others.
///
/// # Errors
/// [`Refused::NotAName`] and [`Refused::Starter`].
pub fn check_name(program: &str) -> Result<(), Refused> {
    let name = || printable(program, NAME_BYTES);
    let odd = |character: char| character.is_control() || character.is_whitespace() || "/\\:".contains(character);
    let is_name = !program.is_empty()
        && program.len() <= NAME_BYTES
        && !program.starts_with(['-', '.'])
        && !program.contains(odd);
    if !is_name {
        return Err(Refused::NotAName { program: name() });
    }
    let stem = program.to_ascii_lowercase();
    if STARTERS.contains(&stem.strip_suffix(".exe").unwrap_or(&stem)) {
        return Err(Refused::Starter { program: name() });
    }
    Ok(())
}

/// Checks a key: it is shown and typed, and tells actions apart.
///
/// # Errors
/// See [`Refused::Key`].
pub fn check_key(key: &str) -> Result<(), Refused> {
    let seen = |character: char| !crate::plugin::is_unsafe_to_show(character) && !character.is_whitespace();
    if key.is_empty() {
        Err(Refused::Key("empty"))
    } else if key.len() > KEY_BYTES {
        Err(Refused::Key("longer than 200 bytes"))
    } else if !key.chars().all(seen) || key.starts_with('-') {
        Err(Refused::Key("not a word: it has blanks or control characters, or begins with a hyphen"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_program_needs_only_its_name() {
        let program = Program::of(&json!({"program": "git"})).unwrap();
        assert_eq!((program.arguments.len(), program.timeout()), (0, Duration::from_secs(120)));
        let body = json!({"program": "gh", "arguments": ["pr", "create"], "input": "x", "folder": "a", "timeout_s": 5});
        let program = Program::of(&body).unwrap();
        assert_eq!(Program::written(&program.body()), Some(program.clone()));
        assert_eq!(serde_json::from_str::<Value>(&program.body()).unwrap(), body);
    }

    #[test]
    fn what_has_another_shape_is_refused_and_said() {
        for (body, said) in [
            (json!("git commit"), "not a program"),
            (json!({"text": "so"}), "unknown field `text`"),
            (json!({"program": "git", "args": []}), "unknown field `args`"),
            (json!({"program": "git", "arguments": "commit"}), "not a program"),
            (json!({"program": "git", "arguments": [1]}), "not a program"),
            (json!({"arguments": ["x"]}), "missing field `program`"),
            (json!({"program": ""}), "not the name"),
            (json!({"program": "/bin/git"}), "not the name"),
            (json!({"program": "./git"}), "not the name"),
            (json!({"program": "bin\\git"}), "not the name"),
            (json!({"program": "-git"}), "not the name"),
            (json!({"program": "git commit"}), "not the name"),
            (json!({"program": "g\u{1b}[2Jit"}), "not the name"),
            (json!({"program": "sh", "arguments": ["-c", "x"]}), "runs other programs"),
            (json!({"program": "BASH.exe"}), "runs other programs"),
            (json!({"program": "env", "arguments": ["git"]}), "runs other programs"),
            (json!({"program": "git", "arguments": vec!["x"; 257]}), "257 arguments"),
            (json!({"program": "git", "arguments": ["x".repeat(33_000)]}), "33000 bytes"),
            (json!({"program": "git", "input": "x".repeat(2_000_000)}), "2000000 bytes"),
            (json!({"program": "git", "arguments": ["a\u{0}b"]}), "code 0"),
            (json!({"program": "git", "timeout_s": 0}), "timeout_s is 0"),
            (json!({"program": "git", "timeout_s": 4_000}), "timeout_s is 4000"),
            (json!({"program": "git", "folder": "../x"}), "leads out"),
            (json!({"program": "git", "folder": "/etc"}), "leads out"),
            (json!({"program": "git", "folder": "a/.GIT"}), "git's own"),
        ] {
            let error = Program::of(&body).unwrap_err().to_string();
            assert!(error.contains(said), "{said}: {error}");
            assert!(!error.contains('\u{1b}'), "{error:?}");
        }
    }

    #[test]
    fn a_key_can_be_typed() {
        for key in ["commit-1", "sha256:abc", "übersetzung/de"] {
            assert_eq!(check_key(key), Ok(()), "{key}");
        }
        for key in ["", "a b", "a\nb", "-x", "a\u{202e}b", &"x".repeat(201)] {
            assert!(check_key(key).is_err(), "{key:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_leads_out_by_a_link_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("project");
        std::fs::create_dir_all(project.join("in/side")).unwrap();
        std::fs::create_dir_all(project.join(".git/hooks")).unwrap();
        std::fs::write(project.join("file"), "").unwrap();
        std::os::unix::fs::symlink("..", project.join("out")).unwrap();
        std::os::unix::fs::symlink(".git", project.join("git")).unwrap();
        std::os::unix::fs::symlink("in/side", project.join("short")).unwrap();
        let within = |name: Option<&str>| {
            let body = json!({"program": "git", "folder": name});
            Program::of(&body).unwrap().folder_in(&project)
        };
        let real = project.canonicalize().unwrap();
        assert_eq!(within(None), Ok(real.clone()));
        assert_eq!(within(Some("./in")), Ok(real.join("in")));
        assert_eq!(within(Some("short")), Ok(real.join("in/side")));
        for (name, said) in
            [("out", "leads out"), ("git/hooks", "git's own"), ("file", "not a folder"), ("no", "not there")]
        {
            let error = within(Some(name)).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
