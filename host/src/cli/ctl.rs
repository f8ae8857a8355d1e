//! `convoke ctl`: looks at a convoke that is running, and changes it.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::error::CliError;
use crate::report::ExitCode;

pub(super) fn command() -> Command {
    let item = || Arg::new("item").value_name("ITEM").required(true).help("Its id, or a label that it alone has");
    Command::new("ctl")
        .about("Looks at a convoke that is running, and changes it: pause, limit, mode, items")
        .long_about(
            "Looks at a convoke that is running, and changes it.\n\nWhere one is running it is meant; of several one is named \
             by --run. Every change is written down with who made it, and stands in the report of the run.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            Arg::new("run")
                .long("run")
                .value_name("RUN")
                .global(true)
                .help("The id of the run, its last digits (at least 4), its command, or the number of its process"),
        )
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).global(true).help("Answers in JSON"))
        .subcommand(Command::new("status").about("Shows how it stands: items, workers, questions, limits, money"))
        .subcommand(
            Command::new("pause").about("Begins nothing more until it is resumed; what is under way ends").arg(
                Arg::new("now").long("now").action(ArgAction::SetTrue).help(
                    "Breaks off the questions that are under way, and asks them again later; what they took is counted",
                ),
            ),
        )
        .subcommand(Command::new("resume").about("Goes on after a pause"))
        .subcommand(
            Command::new("limit").about("Changes how many work at once").subcommand_required(true).subcommand(
                Command::new("set").about("At most so many workers, and questions in flight").arg(
                    Arg::new("most").value_name("N").required(true).value_parser(value_parser!(u32)).help("1 to 100"),
                ),
            ),
        )
        .subcommand(
            Command::new("mode")
                .about("Changes the mode, as far as that can be in the middle of a run")
                .long_about(
                    "Changes the mode, as far as that can be in the middle of a run: how many at once (unless you named a \
                     number), what policies are told, second tries, and the handling of secrets, which only becomes \
                     stricter. What was planned, the tolerance of errors and the operations at once stay.",
                )
                .arg(
                    Arg::new("mode")
                        .value_name("MODE")
                        .required(true)
                        .value_parser(["safe", "balanced", "performance"])
                        .help("The mode"),
                ),
        )
        .subcommand(
            Command::new("cancel").about("Does not do an item: it is skipped, and the report says by whom").arg(item()),
        )
        .subcommand(
            Command::new("requeue")
                .about("Does an item again that failed, fell back or was skipped, or takes it from its worker")
                .arg(item()),
        )
}

#[cfg(unix)]
pub(super) fn ctl(matches: &ArgMatches) -> Result<ExitCode, CliError> {
    unix::ctl(matches)
}

#[cfg(not(unix))]
pub(super) fn ctl(_: &ArgMatches) -> Result<ExitCode, CliError> {
    Err(CliError::usage("a running convoke can't be changed on this platform: it has no private sockets"))
}

#[cfg(unix)]
mod unix {
    use clap::ArgMatches;
    use convoke_runtime::work::Census;
    use serde_json::json;

    use super::super::error::CliError;
    use super::super::terminal::put;
    use crate::config::Paths;
    use crate::control::client::{Found, Process, Silent, ask, processes};
    use crate::control::protocol::{Answer, Request, RunStatus, Wish, WorkerStatus};
    use crate::progress::clock;
    use crate::report::{ExitCode, clean};
    use crate::run::orders::Called;

    /// The fewest digits by which a run is named.
    const DIGITS: usize = 4;

    /// The longest text of another process on a line, in characters.
    const LONGEST: usize = 120;

    pub(super) fn ctl(matches: &ArgMatches) -> Result<ExitCode, CliError> {
        let paths = Paths::find(|name: &str| std::env::var(name).ok())?;
        let Some((name, inner)) = matches.subcommand() else { return Err(CliError::usage("what is to be done?")) };
        let (wish, run) = (wish(name, inner), inner.get_one::<String>("run").cloned());
        let is_json = inner.get_flag("json");
        let running = processes(&paths.control());
        let meant = meant(&running, run.as_deref())?;
        let text = match (&wish, is_json) {
            (Wish::Status, true) => {
                let silent = |silent: &&Silent| json!({ "pid": silent.pid, "error": silent.why });
                let silent: Vec<_> = meant.silent.iter().map(silent).collect();
                format!("{:#}\n", json!({ "ok": true, "runs": meant.runs().collect::<Vec<_>>(), "silent": silent }))
            }
            (Wish::Status, false) => {
                let silent = meant.silent.iter().map(|silent| format!("{}\n", says_nothing(silent)));
                meant.runs().map(shown).chain(silent).collect::<Vec<_>>().join("\n")
            }
            _ => {
                let [(process, _)] = meant.answering.as_slice() else { return Err(several(&meant)) };
                if !meant.silent.is_empty() {
                    return Err(several(&meant));
                }
                // Where its process was named, all of its runs are meant.
                let is_process = run.as_deref().is_some_and(|run| run == process.pid.to_string());
                let request = Request { wish, run: run.filter(|_| !is_process), client: Some("ctl".to_owned()) };
                let answer = ask(&process.socket, &request).map_err(|error| {
                    CliError::usage(format!("process {} does not answer: {error}", process.pid))
                        .hint(Some("it may have just ended: `convoke runs` shows what came of it"))
                })?;
                if !answer.ok {
                    return refused(&answer, is_json);
                }
                if is_json { format!("{:#}\n", json!(answer)) } else { became(&answer) }
            }
        };
        let text = if is_json { clean::json(text) } else { text };
        put(&text, None)?;
        Ok(ExitCode::Success)
    }

    fn wish(name: &str, matches: &ArgMatches) -> Wish {
        let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
        match name {
            "pause" => Wish::Pause { now: matches.get_flag("now") },
            "resume" => Wish::Resume,
            "limit" => {
                let set = matches.subcommand_matches("set").and_then(|set| set.get_one::<u32>("most"));
                Wish::Limit { set: set.copied().unwrap_or_default() }
            }
            "mode" => Wish::Mode { set: text("mode") },
            "cancel" => Wish::Cancel { item: Called::Name(text("item")) },
            "requeue" => Wish::Requeue { item: Called::Name(text("item")) },
            _ => Wish::Status,
        }
    }

    /// The processes that are meant.
    #[derive(Default)]
    struct Meant<'a> {
        /// With those of their runs that are meant.
        answering: Vec<(&'a Process, Vec<&'a RunStatus>)>,
        /// Those of which nobody knows what they run.
        silent: Vec<&'a Silent>,
    }

    impl<'a> Meant<'a> {
        fn runs(&self) -> impl Iterator<Item = &'a RunStatus> {
            self.answering.iter().flat_map(|(_, runs)| runs.iter().copied())
        }
    }

    /// The processes that are meant, with their runs.
    fn meant<'a>(running: &'a Found, name: Option<&str>) -> Result<Meant<'a>, CliError> {
        let is_it = |pid: u32| name.is_some_and(|name| pid.to_string() == name);
        if let Some(silent) = running.silent.iter().find(|silent| is_it(silent.pid)) {
            return Err(unanswered(&[silent]));
        }
        let is_one = |process: &Process, run: &RunStatus| {
            let Some(name) = name else { return false };
            let is_id = |id: &str| id == name || (name.len() >= DIGITS && id.ends_with(&name.to_ascii_lowercase()));
            run.run.as_deref().is_some_and(is_id) || is_it(process.pid)
        };
        let is_meant =
            |process: &Process, run: &RunStatus| name.is_none_or(|name| run.name == name) || is_one(process, run);
        let mut found = Meant::default();
        for process in &running.answering {
            let runs: Vec<_> = process.status.runs.iter().filter(|run| is_meant(process, run)).collect();
            if !runs.is_empty() {
                found.answering.push((process, runs));
            }
        }
        // A number or an id is of one process only. What is named otherwise may run in these as well.
        let is_sure = found.answering.iter().any(|(process, runs)| runs.iter().any(|run| is_one(process, run)));
        if !is_sure {
            found.silent.extend(&running.silent);
        }
        if !found.answering.is_empty() {
            return Ok(found);
        }
        let Some(name) = name.filter(|_| !running.answering.is_empty()) else {
            return Err(match found.silent.as_slice() {
                [] => CliError::usage("no convoke is running").hint(Some("`convoke runs` shows those that have ended")),
                silent => unanswered(silent),
            });
        };
        let name = clean::line(&clean::bounded(name, LONGEST));
        let who = if found.silent.is_empty() { "no convoke" } else { "no convoke that answers" };
        let answering = running.answering.iter().map(|one| (one, one.status.runs.iter().collect())).collect();
        let hint = listed(&Meant { answering, ..found });
        Err(CliError::usage(format!("{who} is running {name}")).hint(Some(hint)))
    }

    fn unanswered(silent: &[&Silent]) -> CliError {
        let said: Vec<String> = silent.iter().copied().map(says_nothing).collect();
        let numbers: Vec<String> = silent.iter().map(|silent| silent.pid.to_string()).collect();
        let hint = format!("try again; where it is stopped, `kill -CONT {}` has it go on", numbers.join(" "));
        CliError::usage(said.join("; ")).hint(Some(hint))
    }

    fn says_nothing(silent: &Silent) -> String {
        format!("process {} does not answer: {}", silent.pid, cut(&silent.why))
    }

    fn several(meant: &Meant<'_>) -> CliError {
        let count = meant.answering.len() + meant.silent.len();
        CliError::usage(format!("{count} convokes are running: which one?")).hint(Some(listed(meant)))
    }

    fn listed(meant: &Meant<'_>) -> String {
        let line = |process: &Process, run: &RunStatus| {
            let (id, project) = (run.run.as_deref().unwrap_or("not begun"), cut(&run.project));
            format!("--run {id} ({}, process {}, in {project})", cut(&run.name), process.pid)
        };
        let lines = meant.answering.iter().flat_map(|(process, runs)| runs.iter().map(move |run| line(process, run)));
        let silent = meant.silent.iter().copied().map(says_nothing);
        format!("there are: {}", lines.chain(silent).collect::<Vec<_>>().join("; "))
    }

    fn refused(answer: &Answer, is_json: bool) -> Result<ExitCode, CliError> {
        if is_json {
            put(&clean::json(format!("{:#}\n", json!(answer))), None)?;
            return Ok(ExitCode::Usage);
        }
        let error = answer.error.as_deref().unwrap_or("it was refused");
        Err(CliError::usage(clean::line(error)).hint(answer.hint.as_deref().map(clean::line)))
    }

    fn became(answer: &Answer) -> String {
        let several = answer.changed.len() > 1;
        let line = |changed: &crate::control::protocol::Changed| match several {
            true => format!("{}: {}\n", cut(&changed.name), clean::line(&changed.became)),
            false => format!("{}\n", clean::line(&changed.became)),
        };
        answer.changed.iter().map(line).collect()
    }

    /// A run, for people.
    fn shown(run: &RunStatus) -> String {
        let subcommand = run.subcommand.iter().map(|sub| format!(" {}", cut(sub))).collect::<String>();
        let id = run.run.as_deref().unwrap_or("not begun");
        let mut text = format!("{}{subcommand}  {}  process {}\n", cut(&run.command), cut(id), run.pid);
        let mut line = |name: &str, value: String| text += &format!("  {name:<9} {value}\n");
        let stands = match (&run.paused, &run.stopping) {
            (_, Some(why)) => format!("{}, being stopped: {}", run.phase, cut(why)),
            (Some(by), None) => {
                let how = if run.at_once { "paused at once" } else { "paused" };
                format!("{}, {how} by {}", run.phase, cut(by))
            }
            (None, None) => run.phase.clone(),
        };
        line("project", cut(&run.project));
        let long = match run.phase.as_str() {
            "waiting" => String::new(),
            "over" => format!("; it was under way for {}", time(run.for_ms)),
            _ => format!("; under way for {}", time(run.for_ms)),
        };
        line("phase", format!("{}{long}", cut(&stands)));
        line("mode", format!("{}, asks {}", cut(&run.mode), cut(&run.backend)));
        line("items", census(&run.census));
        line("questions", format!("{} in flight, {} waiting", run.in_flight, run.waiting));
        let budget = match (run.budget_usd, run.budget_left_usd) {
            (Some(budget), Some(left)) => format!("; ${left:.4} left of ${budget:.2}"),
            (Some(budget), None) => format!("; the budget is ${budget:.2}"),
            (None, _) => String::new(),
        };
        let uncertain = match run.uncertain_usd > 0.0 {
            true => format!(", at most ${:.4} more", run.uncertain_usd),
            false => String::new(),
        };
        line("spent", format!("${:.4}{uncertain}{budget}", run.usd));
        for account in &run.accounts {
            let names = ["requests", "input tokens", "output tokens"];
            let free =
                names.iter().zip(account.free).filter_map(|(name, free)| Some(format!(", {} {name} free", free?)));
            let free: String = free.collect();
            let breaker = if account.breaker == "closed" { "" } else { ", left alone for now" };
            let (in_flight, limit, waiting) = (account.in_flight, account.limit, account.waiting);
            let said = format!("{in_flight} of {limit} in flight, {waiting} waiting{free}{breaker}");
            line(&cut(&account.account), said);
        }
        text + &run.workers.iter().map(worker).collect::<String>()
    }

    fn worker(worker: &WorkerStatus) -> String {
        let doing = match worker.doing.as_str() {
            "idle" => "idle",
            "working" => "working",
            "queued" => "waiting for its turn",
            "quota" => "waiting for quota",
            "limit" => "waiting for the limit",
            "instance" => "waiting for an instance",
            "breaker" => "waiting until the backend is asked again",
            "pause" => "waiting: paused",
            "context" => "waiting for its shared context",
            "sent" => "asked",
            "streaming" => "being answered",
            "retry" => "waiting for the next try",
            _ => "busy",
        };
        let item = worker.item.as_deref().or(worker.label.as_deref()).map(cut).unwrap_or_default();
        format!("  worker {:<2} {doing} {}  {item}", worker.worker, time(worker.for_ms)).trim_end().to_owned() + "\n"
    }

    fn census(census: &Census) -> String {
        let Census { items, done, cached, fallback, failed, skipped, pending } = *census;
        let parts = [
            (done, "done"),
            (cached, "cached"),
            (fallback, "fallback"),
            (failed, "failed"),
            (skipped, "skipped"),
            (pending, "pending"),
        ];
        let parts: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
        format!("{items}: {}", parts.join(", "))
    }

    fn time(ms: u64) -> String {
        clock(std::time::Duration::from_millis(ms))
    }

    fn cut(text: &str) -> String {
        clean::line(&clean::bounded(text, LONGEST))
    }

    #[cfg(test)]
    mod tests {
        use std::path::PathBuf;

        use super::*;

        fn process(pid: u32, ids: &[&str]) -> Process {
            let run = |id: &&str| RunStatus {
                run: Some((*id).to_owned()),
                name: "audit".to_owned(),
                pid,
                ..RunStatus::default()
            };
            let status = Answer { ok: true, runs: ids.iter().map(run).collect(), ..Answer::default() };
            Process { pid, socket: PathBuf::new(), status }
        }

        fn running(answering: &[Process], silent: &[u32]) -> Found {
            let silent = silent.iter().map(|pid| Silent { pid: *pid, why: "it hung up".to_owned() });
            Found { answering: answering.to_vec(), silent: silent.collect() }
        }

        #[test]
        fn one_that_runs_is_meant_and_of_several_one_is_named() {
            let none = meant(&Found::default(), None).map(|_| ()).unwrap_err();
            assert_eq!((none.message.as_str(), none.code), ("no convoke is running", ExitCode::Usage));
            let both = running(&[process(7, &["run-aaaa", "run-bbbb"]), process(8, &["run-cccc"])], &[]);
            let found = |name| {
                let pids = |meant: Meant<'_>| meant.answering.iter().map(|(one, runs)| (one.pid, runs.len())).collect();
                meant(&both, name).map(pids)
            };
            assert_eq!(found(None).unwrap(), vec![(7, 2), (8, 1)]);
            assert_eq!(found(Some("bbbb")).unwrap(), vec![(7, 1)]);
            assert_eq!(found(Some("8")).unwrap(), vec![(8, 1)]);
            let error = found(Some("dddd")).map(|_: Vec<(u32, usize)>| ()).unwrap_err();
            assert!(error.hint.unwrap().contains("--run run-cccc (audit, process 8"));
            assert!(several(&meant(&both, None).unwrap()).message.starts_with("2 convokes are running"));
        }

        #[test]
        fn one_that_does_not_answer_runs_all_the_same_and_may_be_the_one_that_is_meant() {
            let error = |running: &Found, name| meant(running, name).map(|_| ()).unwrap_err();
            let alone = error(&running(&[], &[9]), None);
            assert_eq!(alone.message, "process 9 does not answer: it hung up");
            assert!(alone.hint.unwrap().contains("kill -CONT 9"));

            let two = running(&[process(7, &["run-aaaa"])], &[9]);
            let silent = |name| meant(&two, name).map(|meant| meant.silent.len()).unwrap();
            assert_eq!((silent(None), silent(Some("audit"))), (1, 1), "both may be meant");
            assert_eq!((silent(Some("run-aaaa")), silent(Some("aaaa")), silent(Some("7"))), (0, 0, 0));
            let which = several(&meant(&two, None).unwrap());
            assert_eq!(which.message, "2 convokes are running: which one?");
            let listed = which.hint.unwrap();
            assert!(listed.contains("--run run-aaaa") && listed.contains("process 9 does not answer"), "{listed}");
            assert_eq!(error(&two, Some("9")).message, "process 9 does not answer: it hung up");
            assert_eq!(error(&two, Some("dddd")).message, "no convoke that answers is running dddd");
        }

        #[test]
        fn what_is_left_of_a_budget_is_said_beside_what_was_spent() {
            let run =
                RunStatus { usd: 0.5, budget_usd: Some(10.0), budget_left_usd: Some(1.5), ..RunStatus::default() };
            assert!(shown(&run).contains("$0.5000; $1.5000 left of $10.00\n"), "{}", shown(&run));
        }

        #[test]
        fn how_long_a_run_is_under_way_is_not_said_of_its_phase() {
            let phase = |phase: &str, paused: Option<&str>| {
                let (phase, paused) = (phase.to_owned(), paused.map(str::to_owned));
                let run = RunStatus { phase, paused, for_ms: 720_000, ..RunStatus::default() };
                shown(&run)
                    .lines()
                    .find_map(|line| line.trim().strip_prefix("phase").map(|rest| rest.trim().to_owned()))
            };
            assert_eq!(phase("aggregate", None).as_deref(), Some("aggregate; under way for 12:00"));
            assert_eq!(phase("execute", Some("ann")).as_deref(), Some("execute, paused by ann; under way for 12:00"));
            assert_eq!(phase("over", None).as_deref(), Some("over; it was under way for 12:00"));
            assert_eq!(phase("waiting", Some("ann")).as_deref(), Some("waiting, paused by ann"));
        }

        #[test]
        fn what_others_say_can_not_move_the_cursor() {
            let evil = "a\u{1b}[2J\nb".to_owned();
            let run = RunStatus {
                command: evil.clone(),
                project: evil.clone(),
                phase: evil.clone(),
                paused: Some(evil.clone()),
                workers: vec![WorkerStatus { item: Some(evil.clone()), ..WorkerStatus::default() }],
                ..RunStatus::default()
            };
            let text = shown(&run);
            assert!(!text.contains('\u{1b}') && text.lines().count() == 8, "{text}");
        }
    }
}
