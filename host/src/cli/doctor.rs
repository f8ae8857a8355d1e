//! `convoke doctor`: what there is to ask, whether it works, which one is taken, and whether all else is as a run needs it.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use console::Style;
use convoke_runtime::journal::Journal;
use textwrap::core::display_width;

use super::error::CliError;
use super::options::Color;
use super::prepare::project_folder;
use super::terminal::{Terminal, put};
use crate::backends::doctor::{Check, Diagnosis, Probe, State, examine, probe};
use crate::backends::{Surroundings, variable};
use crate::config::paths::PROJECT_FILE;
use crate::config::{Backend, Choices, Paths, Settings};
use crate::report::{ExitCode, clean};

/// Wider than this it is not shown: lines become hard to read.
const WIDEST: usize = 80;

pub(super) fn command() -> Command {
    Command::new("doctor")
        .about("Looks at what a run needs: backends, machine, limits, disks, journal, service, and what to do about it")
        .arg(super::format_argument())
        .arg(
            Arg::new("backend")
                .long("backend")
                .value_name("BACKEND")
                .value_parser(value_parser!(Backend))
                .help("Look as if this backend was asked for"),
        )
        .arg(
            Arg::new("probe")
                .long("probe")
                .action(ArgAction::SetTrue)
                .help("Ask one real question of a few tokens, and say what it took"),
        )
        .arg(
            Arg::new("online")
                .long("online")
                .action(ArgAction::SetTrue)
                .help("Ask the service whether it knows the key, which costs nothing; else nobody outside is asked"),
        )
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("The same as --format json"))
}

pub(super) fn doctor(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    let env = |name: &str| std::env::var(name).ok();
    let project = project_folder(None)?;
    let paths = Paths::find(env)?;
    let choices = Choices { backend: matches.get_one::<Backend>("backend").copied(), ..Choices::default() };
    let settings = Settings::load(&paths.user_file(), &project.join(PROJECT_FILE), env, choices)?;
    let records = paths.instances();
    // Who asks a question has asked the service.
    let online = matches.get_flag("online") || matches.get_flag("probe");
    let around = Surroundings { env: &variable, project: &project, cache: None, records: &records, most_usd: None };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::nothing(format!("no threads can be started: {error}")))?;
    let mut diagnosis = runtime.block_on(examine(&settings, &paths, around, online));
    if matches.get_flag("probe") {
        let journal = Journal::open(&paths.journal())?;
        let asked = runtime.block_on(probe(&settings, journal, around));
        let asked = asked.unwrap_or_else(|error| Probe {
            answered: false,
            requests: 0,
            by: error.to_string(),
            took_ms: 0,
            usd: convoke_runtime::money::Usd::ZERO,
            input_tokens: 0,
            output_tokens: 0,
        });
        diagnosis = diagnosis.with(asked);
    }
    let is_json = matches.get_one::<String>("format").is_some_and(|format| format == "json");
    let text = if is_json || matches.get_flag("json") {
        let json = serde_json::to_string_pretty(&diagnosis);
        clean::json(json.map_err(|error| CliError::nothing(format!("it can't be written as JSON: {error}")))? + "\n")
    } else {
        let terminal = Terminal::find(Color::Auto);
        Page::new(terminal.width.min(WIDEST), terminal.out_color, terminal.unicode).of(&diagnosis)
    };
    put(&text, None)?;
    Ok(if diagnosis.works { ExitCode::Success } else { ExitCode::Nothing })
}

/// The text for people.
struct Page {
    text: String,
    width: usize,
    color: bool,
    unicode: bool,
}

impl Page {
    fn new(width: usize, color: bool, unicode: bool) -> Self {
        Self { text: String::new(), width, color, unicode }
    }

    fn of(mut self, diagnosis: &Diagnosis) -> String {
        self.text = format!("convoke {}\n", diagnosis.version);
        self.checks("Backends", &diagnosis.backends);
        let choice = &diagnosis.choice;
        self.title("Choice");
        let (backend, why) = if choice.asked == choice.takes {
            (choice.takes.to_owned(), choice.why.clone())
        } else {
            (format!("{} takes {}", choice.asked, choice.takes), choice.why.clone())
        };
        self.wrapped("  ", &format!("{backend}: {why}"));
        for tier in &diagnosis.tiers {
            let model = if tier.backend == Backend::Offline.name() { "no model" } else { tier.model.as_str() };
            self.wrapped(&format!("  {:<13}  ", tier.tier), &format!("{model}, {}", tier.backend));
        }
        self.checks("Files", &diagnosis.files);
        for section in &diagnosis.health {
            self.checks(title_of(section.name), &section.checks);
        }
        if let Some(probe) = &diagnosis.probe {
            self.title("Probe");
            self.wrapped("  ", &told(probe));
        }
        if !diagnosis.notes.is_empty() {
            self.title("Notes");
            for note in &diagnosis.notes {
                self.wrapped("  ", note);
            }
        }
        self.text.push('\n');
        let verdict = match (diagnosis.works, choice.takes == Backend::Offline.name()) {
            (true, false) => self.painted("Questions can be asked.", Style::new().green().bold()),
            (true, true) => {
                self.painted("Commands run, by rules alone: no model is asked.", Style::new().green().bold())
            }
            (false, _) => self.painted("This does not work yet: see above.", Style::new().red().bold()),
        };
        let warned =
            diagnosis.health.iter().flat_map(|section| &section.checks).filter(|check| check.state == State::Warn);
        let warned = match warned.count() {
            0 => String::new(),
            1 => self.painted("\nOne thing above should be looked at.", Style::new().yellow()),
            count => self.painted(&format!("\n{count} things above should be looked at."), Style::new().yellow()),
        };
        self.text + &verdict + &warned + "\n"
    }

    fn title(&mut self, title: &str) {
        let title = self.painted(title, Style::new().bold());
        self.text += &format!("\n{title}\n");
    }

    fn checks(&mut self, title: &str, checks: &[Check]) {
        self.title(title);
        let names = checks.iter().map(|check| display_width(check.name)).max().unwrap_or_default();
        for check in checks {
            let (mark, ascii, style) = match check.state {
                State::Ok => ('✓', '+', Style::new().green()),
                State::Unsure => ('?', '?', Style::new().yellow()),
                State::Warn => ('!', '!', Style::new().yellow().bold()),
                State::Absent => ('–', '-', Style::new().dim()),
                State::Broken => ('✗', 'x', Style::new().red().bold()),
            };
            let mark = if self.unicode { mark } else { ascii };
            let state = self.painted(&format!("{mark} {:<6}", check.state.name()), style);
            let first = format!("  {:<names$}  {state}  ", check.name);
            let used = names + 14;
            self.hanging(&first, used, &check.found);
            if let Some(hint) = &check.hint {
                self.hanging(&" ".repeat(used), used, &format!("hint: {hint}"));
            }
        }
    }

    fn wrapped(&mut self, first: &str, text: &str) {
        self.hanging(first, display_width(first), text);
    }

    /// A text after `first`, which is `used` columns wide; further lines are indented as far.
    fn hanging(&mut self, first: &str, used: usize, text: &str) {
        let text = clean::line(text);
        let options = textwrap::Options::new(self.width.saturating_sub(used).max(30))
            .word_splitter(textwrap::WordSplitter::NoHyphenation)
            .break_words(false);
        for (number, line) in textwrap::wrap(&text, options).iter().enumerate() {
            let before = if number == 0 { first.to_owned() } else { " ".repeat(used) };
            self.text += &format!("{before}{line}\n");
        }
    }

    fn painted(&self, text: &str, style: Style) -> String {
        if self.color { style.force_styling(true).apply_to(text).to_string() } else { text.to_owned() }
    }
}

fn title_of(section: &str) -> &str {
    match section {
        "machine" => "Machine",
        "limits" => "Limits",
        "disk" => "Disk",
        "private" => "Permissions",
        "journal" => "Journal",
        "service" => "Service, as it was seen last",
        other => other,
    }
}

fn told(probe: &Probe) -> String {
    if !probe.answered {
        return format!("no answer after {} ms: {}", probe.took_ms, probe.by);
    }
    if probe.requests == 0 {
        return format!("nothing was sent: {}", probe.by);
    }
    format!(
        "answered by {} in {} ms, with {} input and {} output tokens, {}",
        probe.by, probe.took_ms, probe.input_tokens, probe.output_tokens, probe.usd
    )
}

#[cfg(test)]
mod tests {
    use convoke_runtime::money::Usd;

    use super::*;
    use crate::backends::doctor::{Choice, TierFacts};
    use crate::health::Section;

    fn check(name: &'static str, state: State, found: &str, hint: Option<&str>) -> Check {
        Check { name, state, found: found.to_owned(), hint: hint.map(str::to_owned) }
    }

    fn diagnosis() -> Diagnosis {
        let tier = |tier, model: &str| TierFacts { tier, backend: "anthropic", model: model.to_owned() };
        Diagnosis {
            schema_version: 1,
            version: "0.1.0",
            works: true,
            level: "warn",
            backends: vec![
                check(
                    "anthropic",
                    State::Ok,
                    "ANTHROPIC_API_KEY is set; api.anthropic.com lists 3 models in 120 ms",
                    None,
                ),
                check("claude-cli", State::Absent, "no `claude` is in PATH", Some("install Claude Code")),
            ],
            choice: Choice { asked: "auto", takes: "anthropic", why: "ANTHROPIC_API_KEY is set".to_owned() },
            tiers: vec![tier("speed", "claude-haiku-5-5"), tier("comprehensive", "claude-opus-5-5")],
            files: vec![check("data", State::Broken, "/x: read-only", None)],
            health: vec![Section {
                name: "limits",
                checks: vec![check(
                    "open files",
                    State::Warn,
                    "256 of at most 4,096",
                    Some("`ulimit -n 1024` raises it"),
                )],
            }],
            notes: Vec::new(),
            probe: Some(Probe {
                answered: true,
                requests: 1,
                by: "claude-haiku-5-5 (anthropic)".to_owned(),
                took_ms: 640,
                usd: Usd::from_dollars(0.0001),
                input_tokens: 30,
                output_tokens: 4,
            }),
        }
    }

    #[test]
    fn the_page_is_aligned_and_fits_into_80_columns() {
        let text = Page::new(80, false, true).of(&diagnosis());
        let expected = "convoke 0.1.0

Backends
  anthropic   ✓ ok      ANTHROPIC_API_KEY is set; api.anthropic.com lists 3
                        models in 120 ms
  claude-cli  – absent  no `claude` is in PATH
                        hint: install Claude Code

Choice
  auto takes anthropic: ANTHROPIC_API_KEY is set
  speed          claude-haiku-5-5, anthropic
  comprehensive  claude-opus-5-5, anthropic

Files
  data  ✗ broken  /x: read-only

Limits
  open files  ! warn    256 of at most 4,096
                        hint: `ulimit -n 1024` raises it

Probe
  answered by claude-haiku-5-5 (anthropic) in 640 ms, with 30 input and 4 output
  tokens, $0.00010

Questions can be asked.
One thing above should be looked at.
";
        assert_eq!(text, expected);
        assert!(text.lines().all(|line| display_width(line) <= 80));
    }

    #[test]
    fn text_from_strangers_does_nothing_and_ascii_is_enough() {
        let mut hostile = diagnosis();
        hostile.backends[0].found = "\u{1b}[2Jowned\u{202e}".to_owned();
        hostile.notes.push("\u{1b}]0;x\u{7}".to_owned());
        let text = Page::new(80, false, false).of(&hostile);
        assert!(text.is_ascii() && !text.contains(['\u{1b}', '\u{7}']), "{text:?}");
    }
}
