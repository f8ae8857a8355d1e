//! What a plugin can do beside reading the project: what its manifest asks for, what a user grants, and what the host
//! checks have one shape.

use serde::{Deserialize, Serialize};

use super::printable;

/// The interfaces of the contract that are capabilities: whoever imports one of them asks for it.
pub const INTERFACES: [&str; 3] = ["process", "http", "store"];

/// What a plugin may do outside the project.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// Programs that it may run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub process: Vec<Program>,
    /// Hosts that it may send requests to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<Site>,
    /// Whether it has a small store of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub store: bool,
    /// To what its questions are narrowed.
    #[serde(default, skip_serializing_if = "Claude::is_empty")]
    pub claude: Claude,
}

// The dollars are a number: a manifest's and a grant's are checked.
impl Eq for Capabilities {}

/// A program that may be run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// A bare name, found in the user's PATH.
    pub program: String,
    /// With what its arguments must begin: `diff`, `stash list`. None: with anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subcommands: Vec<String>,
    /// The plugin does without where it is not granted: nobody is asked about it before a run. It means nothing in a grant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// A host that requests may be sent to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// An exact name, at will with a port: `api.example.org`, `localhost:8080`. Without a port: that of https.
    pub host: String,
    /// In capitals. None: `GET` and `HEAD`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// The plugin does without where it is not granted: nobody is asked about it before a run. It means nothing in a grant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// To what the questions of a plugin are narrowed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claude {
    /// Dollars a run, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
    /// Tools of Claude that its questions may name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
}

impl Claude {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is wrong with capabilities, and where: `http`, then `1`, then `host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The way to the value.
    pub steps: Vec<Place>,
    /// In words.
    pub message: String,
}

impl std::fmt::Display for Wrong {
    /// `http[1].host: what is wrong`.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, step) in self.steps.iter().enumerate() {
            match step {
                Place::Key(key) if number == 0 => write!(out, "{key}")?,
                Place::Key(key) => write!(out, ".{key}")?,
                Place::Index(index) => write!(out, "[{index}]")?,
            }
        }
        write!(out, ": {}", self.message)
    }
}

/// A step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A key.
    Key(&'static str),
    /// Counted from 0.
    Index(usize),
}

const MOST: usize = 64;
const WORD_BYTES: usize = 100;

impl Capabilities {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The same without what it can do without.
    #[must_use]
    pub fn needed(&self) -> Self {
        let http = self.http.iter().filter(|site| !site.optional).cloned().collect();
        let process = self.process.iter().filter(|program| !program.optional).cloned().collect();
        Self { http, process, ..self.clone() }
    }

    /// The rules that hold in a manifest and in a grant.
    ///
    /// # Errors
    /// The first value that breaks one.
    pub fn check(&self) -> Result<(), Wrong> {
        use Place::{Index, Key};
        let wrong = |steps: &[Place], message: String| Err(Wrong { steps: steps.to_vec(), message });
        for (name, count) in
            [("process", self.process.len()), ("http", self.http.len()), ("claude", self.claude.tools.len())]
        {
            if count > MOST {
                return wrong(&[Key(name)], format!("there are more than {MOST}"));
            }
        }
        for (index, asked) in self.process.iter().enumerate() {
            if !is_program(&asked.program) {
                let message =
                    format!("`{}` is not a program's name: it is looked for in PATH", printable(&asked.program, 80));
                return wrong(&[Key("process"), Index(index), Key("program")], message);
            }
            if asked.subcommands.len() > MOST {
                let message = format!("there are more than {MOST}");
                return wrong(&[Key("process"), Index(index), Key("subcommands")], message);
            }
            for (number, subcommand) in asked.subcommands.iter().enumerate() {
                if !is_subcommand(subcommand) {
                    let message = format!(
                        "`{}` is not a subcommand: words with one space between them, none of which is an option",
                        printable(subcommand, 80)
                    );
                    let steps = [Key("process"), Index(index), Key("subcommands"), Index(number)];
                    return wrong(&steps, message);
                }
            }
        }
        for (index, asked) in self.http.iter().enumerate() {
            if !is_host(&asked.host) {
                let message = format!(
                    "`{}` is not a host: a name in lower case, at will with a port, nothing else",
                    printable(&asked.host, 80)
                );
                return wrong(&[Key("http"), Index(index), Key("host")], message);
            }
            for (number, method) in asked.methods.iter().enumerate() {
                if method.is_empty() || method.len() > 20 || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
                    let message = format!("`{}` is not a method, which is written in capitals", printable(method, 80));
                    return wrong(&[Key("http"), Index(index), Key("methods"), Index(number)], message);
                }
            }
        }
        if self.claude.usd.is_some_and(|usd| !usd.is_finite() || usd < 0.0) {
            return wrong(&[Key("claude"), Key("usd")], "it is not a number of dollars".to_owned());
        }
        for (index, tool) in self.claude.tools.iter().enumerate() {
            if !is_word(tool) {
                let message = format!("`{}` is not the name of a tool", printable(tool, 80));
                return wrong(&[Key("claude"), Key("tools"), Index(index)], message);
            }
        }
        Ok(())
    }
}

fn is_word(word: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b':');
    !word.is_empty() && word.len() <= WORD_BYTES && word.bytes().all(is_allowed)
}

/// A bare name: no path, no option.
fn is_program(name: &str) -> bool {
    is_word(name) && !name.starts_with(['-', '.']) && !name.contains(':')
}

fn is_subcommand(words: &str) -> bool {
    words.split(' ').all(|word| is_word(word) && !word.starts_with('-'))
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    !name.is_empty()
        && name.len() <= 253
        && name.bytes().all(is_allowed)
        && name.split('.').all(|label| !label.is_empty() && label.len() <= 63 && !label.starts_with('-'))
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(program: &str, subcommands: &[&str]) -> Capabilities {
        let subcommands = subcommands.iter().map(|&word| word.to_owned()).collect();
        Capabilities {
            process: vec![Program { program: program.to_owned(), subcommands, optional: false }],
            ..Capabilities::default()
        }
    }

    fn site(host: &str, method: &str) -> Capabilities {
        let methods = vec![method.to_owned()];
        Capabilities { http: vec![Site { host: host.to_owned(), methods, optional: false }], ..Capabilities::default() }
    }

    #[test]
    fn programs_are_bare_names_and_subcommands_are_words() {
        for (name, subcommands) in [("git", &["diff", "stash list"][..]), ("g++", &[]), ("docker-compose", &[])] {
            assert_eq!(program(name, subcommands).check(), Ok(()), "{name}");
        }
        for name in ["", "./git", "/bin/git", "a b", "-x", "..", "C:git", "g\u{1b}it", "sh\n"] {
            assert!(program(name, &[]).check().is_err(), "{name:?}");
        }
        for subcommand in ["", "--exec", "diff --output", "a  b", " diff", "di;ff"] {
            let wrong = program("git", &["log", subcommand]).check().expect_err(subcommand);
            let steps = [Place::Key("process"), Place::Index(0), Place::Key("subcommands"), Place::Index(1)];
            assert_eq!(wrong.steps, steps);
        }
    }

    #[test]
    fn hosts_are_exact_names_and_methods_are_in_capitals() {
        for host in ["api.example.org", "localhost:8080", "127.0.0.1:1"] {
            assert_eq!(site(host, "GET").check(), Ok(()), "{host}");
        }
        for host in [
            "",
            "*.example.org",
            "https://a.org",
            "a.org/x",
            "u@a.org",
            "A.org",
            "a..b",
            "a.org:0",
            "a.org:99999",
            "[::1]:1",
        ] {
            assert!(site(host, "GET").check().is_err(), "{host}");
        }
        for method in ["", "get", "GET X", "G\r\n"] {
            assert!(site("a.org", method).check().is_err(), "{method:?}");
        }
    }

    #[test]
    fn dollars_are_a_number_that_is_not_negative() {
        let dollars =
            |usd| Capabilities { claude: Claude { usd: Some(usd), tools: Vec::new() }, ..Capabilities::default() };
        assert_eq!(dollars(0.5).check(), Ok(()));
        for usd in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(dollars(usd).check().is_err(), "{usd}");
        }
    }
}
