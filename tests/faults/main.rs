//! Faults at random points, drawn from a seed: whatever happens, what convoke promises must hold. `--help` says how.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is its own harness")]

#[cfg(unix)]
mod asked;
#[cfg(unix)]
mod check;
#[cfg(unix)]
mod drive;
#[cfg(unix)]
mod edits;
#[cfg(unix)]
mod journal;
#[cfg(unix)]
mod kind;
#[cfg(unix)]
mod mounts;
#[cfg(unix)]
mod options;
#[cfg(unix)]
mod scenario;
#[cfg(unix)]
mod table;
#[cfg(unix)]
mod world;

/// Signals, mounts and `/proc` are what it works with.
#[cfg(not(unix))]
fn main() {
    println!("faults: NOT run: it needs a Unix");
}

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    suite::main()
}

#[cfg(unix)]
mod suite {
    use std::process::ExitCode;
    use std::time::Instant;

    use futures::StreamExt;

    use crate::drive::{self, Outcome};
    use crate::kind::Kind;
    use crate::options::{Options, Wish};
    use crate::scenario::Scenario;
    use crate::table::Table;
    use crate::world::World;
    use crate::{mounts, world};

    pub(crate) fn main() -> ExitCode {
        let options = match Options::read(std::env::args().skip(1)) {
            Ok(Wish::Run(options)) => options,
            Ok(Wish::Print(text)) => {
                print!("{text}");
                return ExitCode::SUCCESS;
            }
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::from(2);
            }
        };
        mounts::enter();
        if let Some(program) = &options.convoke {
            drop(world::CONVOKE.set(program.clone()));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        runtime.block_on(all(&options))
    }

    async fn all(options: &Options) -> ExitCode {
        warm().await;
        let started = Instant::now();
        let numbers = match options.only {
            Some(number) => number..number + 1,
            None => 0..options.runs,
        };
        let runs = futures::stream::iter(numbers).map(|number| async move {
            let scenario = Scenario::of(options.seed, number, options.kind);
            let seed = options.seed;
            // A run that panics has failed, and is no reason to end the others.
            let run = tokio::spawn(async move { (drive::run(&scenario, seed).await, scenario) });
            match run.await {
                Ok((outcome, scenario)) => (scenario, outcome),
                Err(error) => {
                    let violations = vec![format!("the run could not be done: {error}")];
                    (Scenario::of(seed, number, options.kind), Outcome { violations, ..Outcome::default() })
                }
            }
        });
        let mut runs = runs.buffer_unordered(options.jobs);
        let mut table = Table::default();
        while let Some((scenario, outcome)) = runs.next().await {
            table.add(&outcome);
            if !outcome.violations.is_empty() {
                tell(options, &scenario, &outcome);
            } else if options.only.is_some() && !options.json {
                println!("run {}: {scenario}\n  met: {:?}", scenario.number, outcome.faults);
            }
        }
        if options.json {
            println!("{}", table.json());
        } else {
            print!("{}", table.text());
            println!("seed {}, {:.1} s", options.seed, started.elapsed().as_secs_f64());
        }
        let never = table
            .never()
            .into_iter()
            .filter(|kind| mounts::can_mount() || !matches!(kind, Kind::DiskFull | Kind::ProjectReadOnly));
        let never: Vec<&str> = never.map(Kind::name).collect();
        if !mounts::can_mount() {
            eprintln!(
                "NOTE: nothing can be mounted here: there was no full disk and no project that can't be written."
            );
        }
        let all_should_be_met = table.runs >= 60 && options.kind.is_none();
        if all_should_be_met && !never.is_empty() {
            eprintln!("never met: {}: the suite does not test what it says", never.join(", "));
        }
        if table.violations > 0 || (all_should_be_met && !never.is_empty()) {
            return ExitCode::FAILURE;
        }
        ExitCode::SUCCESS
    }

    /// One line a run that failed, with how to repeat it.
    fn tell(options: &Options, scenario: &Scenario, outcome: &Outcome) {
        eprintln!("FAILED run {}: {scenario}", scenario.number);
        for violation in outcome.violations.iter().take(8) {
            eprintln!("    {violation}");
        }
        if let Some(more) = outcome.violations.len().checked_sub(8).filter(|more| *more > 0) {
            eprintln!("    and {more} more");
        }
        let kind = options.kind.map(|kind| format!(" --kind {}", kind.name())).unwrap_or_default();
        eprintln!(
            "    again: cargo test -p convoke --test faults -- --seed {} --only {}{kind}",
            options.seed, scenario.number
        );
        if let Some(kept) = &outcome.kept {
            eprintln!("    kept:  {}", kept.display());
        }
    }

    /// Compiles the components once, so that starts take as long as they usually do.
    async fn warm() {
        let world = World::new();
        world::agents(&world, 1);
        world.write("project/items.json", r#"{"items":[]}"#);
        let editing = world::repository().join("tests/prebuilt/editing.wasm").display().to_string();
        for command in ["agent-audit".to_owned(), editing.clone()] {
            let mut host = world.start("warm", &[command, "--dry-run".to_owned()], &[]);
            while host.ended().is_none() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            assert_eq!(host.ended(), Some(world::End::Code(0)), "{}", host.stderr());
        }
    }
}
