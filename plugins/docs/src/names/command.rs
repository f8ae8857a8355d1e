//! What the words of a command name: `npm run X`, `make X`, `cargo run --bin X`, `docker compose up X`.

use super::mention::{Name, What};
use super::paths::{self, is_any};
use super::scripts::repository_name;
use super::shell::{Command, Word};

/// The words up to `--`, with options taken apart.
struct Options<'a> {
    words: std::slice::Iter<'a, Word>,
    /// Options that take the next word.
    with_value: &'a [&'a str],
}

enum Part<'a> {
    Option(&'a str, Option<&'a Word>),
    /// `--option=value`
    Joined(&'a str, &'a str),
    Word(&'a Word),
}

impl<'a> Iterator for Options<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let word = self.words.next()?;
        let text = word.text.as_str();
        if text == "--" {
            self.words = [].iter();
            return None;
        }
        if !text.starts_with('-') {
            return Some(Part::Word(word));
        }
        match text.split_once('=') {
            Some((name, value)) if word.plain => Some(Part::Joined(name, value)),
            Some((name, _)) => Some(Part::Option(name, None)),
            None if self.with_value.contains(&text) => Some(Part::Option(text, self.words.next())),
            None => Some(Part::Option(text, None)),
        }
    }
}

fn options<'a>(words: &'a [Word], with_value: &'a [&'a str]) -> Options<'a> {
    Options { words: words.iter(), with_value }
}

/// A word that is a name, and not a place for one.
fn name(what: What, word: &Word) -> Option<Name> {
    let text = word.text.as_str();
    let fits = word.plain
        && !is_any(text)
        && text.starts_with(|char: char| char.is_ascii_alphanumeric() || char == '_')
        && text.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.' | ':' | '/'))
        // `make TARGET`
        && text.chars().any(|char| char.is_ascii_lowercase());
    fits.then(|| Name::new(what, text))
}

fn argument(word: &Word) -> Option<Name> {
    (word.plain && paths::cleaned(&word.text).is_some()).then(|| Name::new(What::Argument, word.text.as_str()))
}

/// All that a command names.
pub(crate) fn names(command: &Command) -> Vec<Name> {
    let mut found: Vec<Name> = command.assigned.iter().filter_map(|name| variable(name)).collect();
    let arguments = command.arguments();
    let program = command.program();
    if command.words.first().is_some_and(|word| !word.plain) {
        return found;
    }
    match program {
        "npm" | "pnpm" | "yarn" | "bun" => found.extend(script(program, arguments)),
        "make" | "gmake" => found.extend(targets(arguments)),
        "just" => {
            let first = arguments.first().filter(|word| !word.text.starts_with('-') && !word.text.contains('='));
            found.extend(first.and_then(|word| name(What::Recipe, word)));
        }
        "cargo" => found.extend(cargo(arguments)),
        "docker" | "podman" => match arguments.first().map(|word| word.text.as_str()) {
            Some("compose") => found.extend(compose(arguments.get(1..).unwrap_or(&[]))),
            Some("build" | "buildx" | "image") => found.extend(valued(arguments, &["-f", "--file"])),
            _ => {}
        },
        "docker-compose" | "podman-compose" => found.extend(compose(arguments)),
        "python" | "python3" | "py" => found.extend(python(arguments)),
        "bash" | "sh" | "zsh" | "source" | "." | "node" | "ts-node" | "tsx" | "ruby" | "perl" | "php" | "Rscript"
        | "lua" | "pwsh" | "deno" => found.extend(file(arguments)),
        "pip" | "pip3" => found.extend(valued(arguments, &["-r", "--requirement", "-c", "--constraint"])),
        "kubectl" => found.extend(valued(arguments, &["-f", "--filename"])),
        "cd" | "pushd" => found.extend(arguments.first().and_then(argument)),
        // What is shown of a file may be the example itself: only one in a folder has to be there.
        "cat" | "less" | "head" | "tail" | "chmod" => {
            let words = options(arguments, &["-n", "-c"]).filter_map(word).filter(|word| word.text.contains('/'));
            found.extend(words.filter_map(argument));
        }
        "go" => {
            let words = options(arguments, &["-o", "-run", "-tags", "-ldflags"]).filter_map(word);
            found.extend(words.filter(|word| word.text.starts_with("./")).filter_map(argument));
        }
        "export" => {
            let set = arguments.iter().filter_map(|word| word.text.split_once('='));
            found.extend(set.filter_map(|(name, _)| variable(name)));
        }
        _ if program.contains('/') => found.extend(command.words.first().and_then(argument)),
        _ => {}
    }
    found.extend(flags(paths::name_of(program), arguments));
    found
}

fn word<'a>(part: Part<'a>) -> Option<&'a Word> {
    match part {
        Part::Word(word) => Some(word),
        _ => None,
    }
}

fn variable(name: &str) -> Option<Name> {
    (name.contains('_') && super::tokens::is_upper(name)).then(|| Name::new(What::Variable, name))
}

/// The flags of a program, in their long form.
fn flags(program: &str, arguments: &[Word]) -> Vec<Name> {
    let flags = options(arguments, &[]).filter_map(|part| match part {
        Part::Option(flag, _) | Part::Joined(flag, _) => flag.strip_prefix("--"),
        Part::Word(_) => None,
    });
    let fits = |flag: &&str| {
        flag.len() > 1
            && flag.starts_with(|char: char| char.is_ascii_lowercase())
            && flag.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-')
            && !matches!(*flag, "foo" | "bar" | "flag" | "option" | "example")
            && !["my-", "your-", "some-"].iter().any(|start| flag.starts_with(start))
    };
    flags.filter(fits).map(|flag| Name::new(What::Flag, flag).of(program)).collect()
}

/// A script of `package.json`. `yarn X` and `bun X` may mean a program of a package, whose names have no colon.
fn script(program: &str, arguments: &[Word]) -> Option<Name> {
    if arguments.iter().any(|word| word.text == "--if-present") {
        return None;
    }
    let with_value = ["--prefix", "-C", "-w", "--workspace", "--filter", "-F", "--cwd", "--dir"];
    let mut words = options(arguments, &with_value).filter_map(word);
    let first = words.next()?;
    match (program, first.text.as_str()) {
        ("npm" | "pnpm", "run" | "run-script") => name(What::Script, words.next()?),
        ("npm", "test" | "t") => Some(Name::new(What::Script, "test")),
        ("npm", _) => None,
        ("yarn" | "bun", "run") => name(What::Script, words.next()?).filter(|name| name.text.contains(':')),
        _ => name(What::Script, first).filter(|name| name.text.contains(':') && !name.text.contains('/')),
    }
}

fn targets(arguments: &[Word]) -> Vec<Name> {
    let with_value = ["-C", "-f", "-I", "-o", "-W", "--directory", "--file"];
    let words = options(arguments, &with_value).filter_map(word);
    // `-j 4`, `NAME=value`
    let words = words.filter(|word| !word.text.contains('=') && !word.text.chars().all(|char| char.is_ascii_digit()));
    words.filter_map(|word| name(What::Target, word)).collect()
}

fn cargo(arguments: &[Word]) -> Vec<Name> {
    let arguments = match arguments.first() {
        Some(word) if word.text.starts_with('+') => arguments.get(1..).unwrap_or(&[]),
        _ => arguments,
    };
    let with_value = [
        "--bin",
        "--example",
        "--test",
        "--bench",
        "-p",
        "--package",
        "--features",
        "-F",
        "--manifest-path",
        "--path",
        "--target",
        "--profile",
        "-j",
        "--jobs",
        "--exclude",
        "--config",
        "--target-dir",
        "--color",
    ];
    let known =
        ["run", "r", "build", "b", "test", "t", "check", "c", "clippy", "bench", "doc", "d", "rustc", "nextest"];
    let subcommand = arguments.first().map_or("", |word| word.text.as_str());
    let mut found = Vec::new();
    for part in options(arguments, &with_value) {
        let (option, value) = match part {
            Part::Option(option, Some(value)) => (option, value.clone()),
            Part::Joined(option, value) => (option, Word { text: value.to_owned(), plain: true }),
            _ => continue,
        };
        if matches!(option, "--manifest-path") || (option == "--path" && subcommand == "install") {
            found.extend(argument(&value));
        }
        if !known.contains(&subcommand) {
            continue;
        }
        let what = match option {
            "--bin" => What::Bin,
            "--example" => What::Example,
            "--test" => What::Test,
            "--bench" => What::Bench,
            "-p" | "--package" => What::Package,
            "--features" | "-F" => {
                let parts = value.text.split([',', ' ']).filter(|part| !part.is_empty());
                // `package/feature` is that package's.
                let own = parts.filter(|part| !part.contains('/'));
                let words = own.map(|part| Word { text: part.to_owned(), plain: value.plain });
                found.extend(words.filter_map(|word| name(What::Feature, &word)));
                continue;
            }
            _ => continue,
        };
        // `-p name@1.2`, `-p path+file:…`
        found.extend(name(what, &value).filter(|name| !name.text.contains([':', '/', '.'])));
    }
    found
}

fn compose(arguments: &[Word]) -> Vec<Name> {
    let with_value = [
        "-f",
        "--file",
        "-p",
        "--project-name",
        "--profile",
        "--env-file",
        "--project-directory",
        "--scale",
        "-t",
        "--timeout",
        "--tail",
        "-n",
        "--since",
        "--until",
        "--build-arg",
        "--wait-timeout",
        "-e",
        "--env",
        "-u",
        "--user",
        "-w",
        "--workdir",
        "-v",
        "--volume",
        "--publish",
        "--name",
        "--entrypoint",
        "--index",
        "-l",
        "--label",
        "--format",
        "--exit-code-from",
        "--attach",
        "--no-attach",
        "--pull",
        "--policy",
        "-m",
        "--memory",
        "--builder",
        "--signal",
    ];
    let mut found = Vec::new();
    let mut subcommand = None;
    for part in options(arguments, &with_value) {
        match (part, subcommand) {
            (Part::Option("-f" | "--file", Some(file)), None) => found.extend(argument(file)),
            (Part::Word(word), None) => subcommand = Some(word.text.as_str()),
            (
                Part::Word(word),
                Some("up" | "build" | "logs" | "restart" | "start" | "stop" | "pull" | "rm" | "kill" | "create"),
            ) => {
                found.extend(name(What::Service, word));
            }
            (Part::Word(word), Some("exec" | "run")) => {
                found.extend(name(What::Service, word));
                break;
            }
            _ => {}
        }
    }
    found
}

fn python(arguments: &[Word]) -> Option<Name> {
    let first = arguments.first()?;
    match first.text.as_str() {
        "-m" => name(What::Module, arguments.get(1)?).filter(|name| !name.text.contains(['/', ':', '-'])),
        text if text.starts_with('-') => None,
        _ => argument(first).filter(|name| name.text.ends_with(".py")),
    }
}

/// The file that an interpreter runs.
fn file(arguments: &[Word]) -> Option<Name> {
    let first = arguments.first()?;
    if first.text == "run" {
        return file(arguments.get(1..)?);
    }
    argument(first).filter(|name| paths::is_kept(paths::name_of(&name.text)))
}

/// The files that options name.
fn valued(arguments: &[Word], names: &[&str]) -> Vec<Name> {
    let values = options(arguments, names).filter_map(|part| match part {
        Part::Option(_, Some(value)) => Some(value.clone()),
        Part::Joined(name, value) if names.contains(&name) => Some(Word { text: value.to_owned(), plain: true }),
        _ => None,
    });
    values.filter_map(|value| argument(&value)).collect()
}

/// The files and folders that a command makes.
pub(crate) fn made(command: &Command) -> Vec<String> {
    let words = || options(command.arguments(), &["-o", "--output", "-O", "-d", "-m"]).filter_map(word);
    let mut made: Vec<String> = command.written.clone();
    match command.program() {
        "mkdir" | "touch" | "tee" | "curl" | "wget" | "unzip" | "tar" | "nano" | "vim" | "vi" | "code"
        | "virtualenv" => {
            made.extend(words().map(|word| word.text.clone()));
        }
        "cp" | "mv" | "ln" | "git" | "rsync" | "scp" => made.extend(words().last().map(|word| word.text.clone())),
        _ => {}
    }
    let outputs = options(command.arguments(), &["-o", "--output", "-O", "--out", "--out-dir", "--outdir", "-d"]);
    made.extend(outputs.filter_map(|part| match part {
        Part::Option(_, Some(value)) => Some(value.text.clone()),
        Part::Joined("--output" | "--out" | "--out-dir" | "--outdir", value) => Some(value.to_owned()),
        _ => None,
    }));
    let starts =
        matches!(command.arguments().first().map(|word| word.text.as_str()), Some("new" | "init" | "create" | "venv"));
    if starts || command.arguments().iter().any(|word| word.text == "venv") {
        made.extend(words().last().map(|word| word.text.clone()));
    }
    if let Some(cloned) = cloned(command) {
        made.push(cloned);
    }
    made.retain(|path| !path.is_empty() && path != "." && path != "/");
    made
}

/// The name of the repository that a command clones.
pub(crate) fn cloned(command: &Command) -> Option<String> {
    let mut words = options(command.arguments(), &["-b", "--branch", "--depth", "-C"]).filter_map(word);
    let first = words.next()?.text.as_str();
    let url = match (command.program(), first) {
        ("git", "clone") => words.next()?,
        ("gh", "repo") if words.next()?.text == "clone" => words.next()?,
        _ => return None,
    };
    Some(repository_name(&url.text)).filter(|name| !name.is_empty())
}

/// Whether a command fetches or configures sources, so that what Make builds afterwards may be theirs.
pub(crate) fn fetches(command: &Command) -> bool {
    matches!(
        command.program(),
        "curl" | "wget" | "tar" | "unzip" | "cmake" | "meson" | "./configure" | "configure" | "autoreconf"
    )
}

/// Whether what follows in a document is about a project that this command begins.
pub(crate) fn begins_a_project(command: &Command) -> bool {
    let first = command.arguments().first().map_or("", |word| word.text.as_str());
    match command.program() {
        "cargo" => matches!(first, "new" | "init" | "generate"),
        "npm" | "pnpm" | "yarn" | "bun" => matches!(first, "create" | "init"),
        "npx" => first.starts_with("create-"),
        "rails" | "mix" | "ng" | "dotnet" | "flutter" => matches!(first, "new" | "phx.new" | "create"),
        "django-admin" => first == "startproject",
        "go" => first == "mod" && command.arguments().get(1).is_some_and(|word| word.text == "init"),
        _ => false,
    }
}

/// Whether what follows in a fence runs on another machine.
pub(crate) fn goes_elsewhere(command: &Command) -> bool {
    let first = command.arguments().first().map_or("", |word| word.text.as_str());
    let inside =
        || command.arguments().iter().any(|word| matches!(word.text.as_str(), "-it" | "-ti" | "--interactive"));
    match command.program() {
        "ssh" => true,
        "vagrant" | "multipass" => matches!(first, "ssh" | "shell"),
        "docker" | "podman" | "kubectl" => matches!(first, "run" | "exec") && inside(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::shell::commands;

    fn of(text: &str) -> String {
        let found: Vec<String> =
            commands(text).iter().flat_map(names).map(|name| format!("{:?} {}", name.what, name.text)).collect();
        found.join(", ")
    }

    #[test]
    fn commands_name_what_they_run() {
        for (text, expected) in [
            ("npm run build", "Script build"),
            ("npm --prefix web run dev -- --port 1", "Script dev, Flag prefix"),
            ("npm test", "Script test"),
            ("npm install lodash", ""),
            ("npm run build --if-present", "Flag if-present"),
            ("yarn lint:fix", "Script lint:fix"),
            ("yarn tsc", ""),
            ("yarn run tsc", ""),
            ("pnpm run tsc", "Script tsc"),
            ("make", ""),
            ("make -j 4 -C sub all-of-it X=1", "Target all-of-it"),
            ("make TARGET", ""),
            ("make s=<name> build", "Target build"),
            ("just deploy prod", "Recipe deploy"),
            ("just --list", "Flag list"),
            ("cargo run --bin tool -- --bin not", "Bin tool, Flag bin"),
            ("cargo test -p core --features 'a1,b1 c1/d1'", "Package core, Feature a1, Feature b1, Flag features"),
            ("cargo +nightly check --example=demo", "Example demo"),
            ("cargo add serde --features derive", "Flag features"),
            ("cargo install --path host", "Argument host, Flag path"),
            ("docker compose -f dev.yml up -d web db", "Argument dev.yml, Service web, Service db"),
            ("docker compose exec -u root web sh", "Service web"),
            ("docker-compose logs --tail 5 web", "Service web, Flag tail"),
            ("docker build -f docker/Dockerfile .", "Argument docker/Dockerfile"),
            ("python -m pkg.tool", "Module pkg.tool"),
            ("python3 run.py", "Argument run.py"),
            ("pip install -r requirements/dev.txt", "Argument requirements/dev.txt"),
            ("A_B=1 ./scripts/run.sh --fast", "Variable A_B, Argument ./scripts/run.sh, Flag fast"),
            ("export A_B=1", "Variable A_B"),
            ("bash -c 'x y.sh'", ""),
            ("go test ./...", ""),
            ("go run ./cmd/it", "Argument ./cmd/it"),
            ("cd ../web", "Argument ../web"),
            ("cat a1.yml", ""),
            ("cat conf/a1.yml", "Argument conf/a1.yml"),
            ("$EDITOR x.py", ""),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }

    #[test]
    fn what_commands_make_and_fetch_is_known() {
        let made = |text: &str| commands(text).iter().flat_map(made).collect::<Vec<_>>();
        assert_eq!(made("mkdir -p a/b c"), ["a/b", "c"]);
        assert_eq!(made("cp .env.sample .env"), [".env"]);
        assert_eq!(made("python -m venv env1"), ["env1"]);
        assert_eq!(made("git clone https://git.example/a/b.git"), ["https://git.example/a/b.git", "b"]);
        let cloned = |text: &str| commands(text).first().and_then(cloned);
        assert_eq!(cloned("git clone --depth 1 git@git.example:a/b.git x").as_deref(), Some("b"));
        assert_eq!(cloned("git pull"), None);
    }
}
