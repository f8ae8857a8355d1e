//! The words of the code: what a document names and no file of code has in any writing is not there.

use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The most bytes of code that are read, and the largest file. What is left out leaves the words open.
pub(crate) const MOST_BYTES: u64 = 48 << 20;
pub(crate) const LARGEST: u64 = 1 << 20;

/// The words of all files that are no documents.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// Digests of the words, without case, `_` and `-`: 8 bytes a word.
    words: HashSet<u64>,
    /// The beginnings of variables that the code reads from its environment, with how many there are: `SHOP_`.
    prefixes: BTreeMap<String, BTreeSet<String>>,
    /// Beginnings that code puts a name together from: `"SHOP_"`.
    dynamic: BTreeSet<String>,
    /// Not everything was read.
    pub(crate) open: bool,
    /// Libraries that read flags were seen.
    pub(crate) flags: bool,
}

/// Names by which libraries that read a command line are used.
const FLAG_LIBRARIES: &[&str] = &[
    "argparse",
    "bpaf",
    "clap",
    "click",
    "cobra",
    "commander",
    "lexopt",
    "optparse",
    "pflag",
    "structopt",
    "typer",
    "yargs",
];

/// Beginnings of variables that belong to others, whoever reads them.
const FOREIGN: &[&str] = &[
    "ANTHROPIC",
    "AWS",
    "AZURE",
    "BUILDKITE",
    "CARGO",
    "CC",
    "CI",
    "CIRCLE",
    "CLAUDE",
    "CMAKE",
    "COMPOSE",
    "CONDA",
    "CUDA",
    "DATABASE",
    "DB",
    "DEBIAN",
    "DISPLAY",
    "DJANGO",
    "DOCKER",
    "DOTNET",
    "ELASTIC",
    "FLASK",
    "GCP",
    "GH",
    "GIT",
    "GITHUB",
    "GITLAB",
    "GO",
    "GOOGLE",
    "GRADLE",
    "GRAFANA",
    "HF",
    "HTTP",
    "HTTPS",
    "JAVA",
    "JENKINS",
    "JWT",
    "KAFKA",
    "KUBE",
    "KUBERNETES",
    "LC",
    "LD",
    "LLM",
    "MAVEN",
    "MONGO",
    "MYSQL",
    "NEXT",
    "NO",
    "NODE",
    "NPM",
    "NUXT",
    "OPENAI",
    "OTEL",
    "PG",
    "PIP",
    "POETRY",
    "POSTGRES",
    "PROMETHEUS",
    "PYTEST",
    "PYTHON",
    "RAILS",
    "REACT",
    "REDIS",
    "RUBY",
    "RUST",
    "RUSTUP",
    "S3",
    "SLACK",
    "SMTP",
    "SPRING",
    "SSH",
    "SSL",
    "TERM",
    "TF",
    "UV",
    "VERCEL",
    "VIRTUAL",
    "VITE",
    "XDG",
];

/// FNV-1a over the word, in capitals and without `_` and `-`: `dry-run`, `dry_run`, `DRY_RUN` and `dryRun` are the same.
fn digest(word: &[u8]) -> u64 {
    word.iter().filter(|byte| !matches!(byte, b'_' | b'-')).fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
        (digest ^ u64::from(byte.to_ascii_uppercase())).wrapping_mul(0x0100_0000_01b3)
    })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

impl Tokens {
    /// Adds the words of a file.
    pub(crate) fn read(&mut self, path: &str, text: &[u8]) {
        let name = super::paths::name_of(path);
        let sets_variables =
            name.starts_with(".env") || name.contains("Dockerfile") || super::compose::is_compose(name);
        let mut at = 0;
        while at < text.len() {
            if !is_word(text[at]) {
                at += 1;
                continue;
            }
            let start = at;
            // With hyphens inside: a flag in a text.
            let mut part = at;
            let mut hyphen = false;
            loop {
                while at < text.len() && is_word(text[at]) {
                    at += 1;
                }
                self.word(&text[part..at], &text[..part], &text[at..], sets_variables);
                if text.get(at) == Some(&b'-') && text.get(at + 1).copied().is_some_and(is_word) {
                    hyphen = true;
                    at += 1;
                    part = at;
                } else {
                    break;
                }
            }
            if hyphen && at - start <= 80 {
                self.words.insert(digest(&text[start..at]));
            }
        }
    }

    fn word(&mut self, word: &[u8], before: &[u8], after: &[u8], sets_variables: bool) {
        self.words.insert(digest(word));
        if word.len() > 80 {
            return;
        }
        let Ok(text) = std::str::from_utf8(word) else { return };
        self.flags |= FLAG_LIBRARIES.contains(&text);
        let Some((prefix, rest)) = text.split_once('_').filter(|(prefix, _)| is_upper(prefix)) else { return };
        if rest.is_empty() || text.ends_with('_') {
            self.dynamic.insert(prefix.to_owned());
        } else if is_upper(rest)
            && (is_read(before) || sets_variables && is_set(before, after))
            && self.prefixes.len() < 10_000
        {
            self.prefixes.entry(prefix.to_owned()).or_default().insert(rest.to_owned());
        }
    }

    /// Whether a word is there in any writing.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.words.contains(&digest(word.as_bytes()))
    }

    /// Whether a variable would be one of the project's own: its code reads at least two others that begin the same, and
    /// puts none together from that beginning.
    pub(crate) fn owns(&self, variable: &str) -> bool {
        let Some((prefix, _)) = variable.split_once('_') else { return false };
        let others = self.prefixes.get(prefix).map_or(0, BTreeSet::len);
        others >= 2 && prefix.len() >= 3 && !FOREIGN.contains(&prefix) && !self.dynamic.contains(prefix)
    }

    /// The variables of the environment that begin the same.
    pub(crate) fn like(&self, variable: &str) -> Vec<String> {
        let Some((prefix, _)) = variable.split_once('_') else { return Vec::new() };
        self.prefixes.get(prefix).into_iter().flatten().map(|rest| format!("{prefix}_{rest}")).collect()
    }
}

/// Whether all letters are capitals, and there are some.
pub(crate) fn is_upper(text: &str) -> bool {
    text.starts_with(|char: char| char.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Whether what stands before a name reads it from the environment: `env::var("`, `process.env.`, `os.environ["`, `getenv("`.
fn is_read(before: &[u8]) -> bool {
    let tail = before.get(before.len().saturating_sub(24)..).unwrap_or(before);
    let tail = tail.rsplit(|byte| *byte == b'\n').next().unwrap_or(tail);
    tail.windows(3).any(|three| three.eq_ignore_ascii_case(b"env"))
        && tail.last().is_some_and(|byte| matches!(byte, b'"' | b'\'' | b'.' | b'`' | b'{' | b'[' | b'(' | b' '))
}

/// Whether a file of settings sets or uses the name: `NAME=`, `NAME:`, `${NAME`.
fn is_set(before: &[u8], after: &[u8]) -> bool {
    matches!(after.first(), Some(b'=' | b':')) || before.ends_with(b"${") || before.ends_with(b"$")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Tokens {
        let mut tokens = Tokens::default();
        tokens.read("src/lib.rs", text.as_bytes());
        tokens
    }

    #[test]
    fn a_word_is_the_same_in_every_writing() {
        let tokens = of("let dry_run = opts[\"max-items\"]; fooBar");
        for word in ["dry-run", "DRY_RUN", "dryRun", "max-items", "maxItems", "foo-bar", "items"] {
            assert!(tokens.has(word), "{word}");
        }
        assert!(!tokens.has("dry-runs"));
    }

    #[test]
    fn the_projects_own_variables_have_siblings_in_the_code() {
        let tokens = of("env::var(\"SHOP_HOST\"); process.env.SHOP_PORT; const CART_A: u8; const CART_B: u8;");
        assert!(tokens.owns("SHOP_NAME"));
        assert!(!tokens.owns("CART_C"));
        assert!(!tokens.owns("OTHER_X"));
        assert_eq!(tokens.like("SHOP_X"), ["SHOP_HOST", "SHOP_PORT"]);
    }

    #[test]
    fn names_that_code_puts_together_are_nobodys() {
        assert!(!of("env(\"SHOP_A\") env(\"SHOP_B\") concat(\"SHOP_\", x)").owns("SHOP_NAME"));
        assert!(!of("env(\"OTEL_A\") env(\"OTEL_B\")").owns("OTEL_C"));
    }

    #[test]
    fn settings_of_the_environment_count_where_they_are_set() {
        let mut tokens = Tokens::default();
        tokens.read(".env", b"SHOP_A=1\nSHOP_B=2\n");
        assert!(tokens.owns("SHOP_C"));
    }
}
