//! What was typed.

use crate::kind::Kind;

pub(crate) const HELP: &str = "\
Runs convoke with faults at random points, and checks after each what must always hold.

  cargo test -p convoke --test faults -- [OPTIONS]

  --runs N     how many runs (60)
  --seed N     what everything random is drawn from (1)
  --only N     only the run with this number
  --kind NAME  each run has this fault; `--kinds` lists them
  --jobs N     how many runs at once (2 to 4, as the machine has)
  --json       the table as JSON
";

/// What is to be run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) runs: u64,
    pub(crate) seed: u64,
    pub(crate) only: Option<u64>,
    pub(crate) kind: Option<Kind>,
    pub(crate) jobs: usize,
    pub(crate) json: bool,
}

/// What is to be done.
pub(crate) enum Wish {
    Run(Options),
    Print(String),
}

impl Options {
    /// Reads the arguments. Those of the usual harness are understood, for `cargo test` gives them to every target.
    pub(crate) fn read(arguments: impl IntoIterator<Item = String>) -> Result<Wish, String> {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let mut options = Self { runs: 60, seed: 1, only: None, kind: None, jobs: processors.clamp(2, 4), json: false };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (name, mut value) = match argument.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (argument, None),
            };
            let mut text = || {
                let value = value.take().or_else(|| arguments.next());
                value.ok_or_else(|| format!("{name} needs a value"))
            };
            let number = |text: String| text.parse::<u64>().map_err(|_| format!("`{text}` is not a number"));
            match name.as_str() {
                "--runs" => options.runs = number(text()?)?,
                "--seed" => options.seed = number(text()?)?,
                "--only" => options.only = Some(number(text()?)?),
                "--jobs" => options.jobs = usize::try_from(number(text()?)?.clamp(1, 64)).unwrap_or(1),
                "--kind" => {
                    let name = text()?;
                    let kind = Kind::named(&name).ok_or_else(|| format!("`{name}` is no fault; --kinds lists them"))?;
                    options.kind = Some(kind);
                }
                "--json" => options.json = true,
                "--kinds" => {
                    let lines = Kind::ALL.iter().map(|kind| format!("{:<18} {}\n", kind.name(), kind.what()));
                    return Ok(Wish::Print(lines.collect()));
                }
                "--list" => return Ok(Wish::Print("faults: test\n".to_owned())),
                "-h" | "--help" => return Ok(Wish::Print(HELP.to_owned())),
                "--test-threads" | "--skip" | "--format" | "--color" | "--logfile" => drop(text()?),
                "--nocapture" | "--no-capture" | "--quiet" | "-q" | "--exact" | "--show-output"
                | "--include-ignored" => {}
                filter if !filter.starts_with('-') => {
                    if !"faults".contains(filter) {
                        return Ok(Wish::Print(String::new()));
                    }
                }
                other => return Err(format!("`{other}` is not an option\n\n{HELP}")),
            }
        }
        Ok(Wish::Run(options))
    }
}
