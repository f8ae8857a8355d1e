//! What the user, the terminal or a service manager says while convoke runs.
//!
//! Ctrl-C (SIGINT), SIGTERM and SIGHUP are heard from the first moment on, by a thread of its own: neither a plugin that
//! computes nor a lock that is waited for keeps them from being heard.
//!
//! - While nothing is under way that was paid for (reading the configuration, planning, waiting for a confirmation),
//!   the first ends the process at once.
//! - While a run is under way the first stops dispatch, and what is under way may end, for a bounded time. The second, or
//!   the end of that time, gives it up. The third ends the process at once. Whatever ends it: the journal has what was
//!   done, since each result is committed before anybody hears of it.
//! - While the report of a run is given away the first changes nothing: what it says is the exit code too. The second ends
//!   the process.
//!
//! The exit code is 130 for all three signals: for whoever reads it they say the same, "interrupted, resumable".

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use convoke_runtime::event::{Events, Fact};
use tokio_util::sync::CancellationToken;

use super::terminal::say;
use crate::progress;
use crate::report::ExitCode;
use crate::run::execute::Stop;

/// A signal that asks for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// A service manager, `kill`.
    Terminate,
    /// The terminal is gone.
    HangUp,
}

impl Signal {
    /// How long what is under way may go on. A service manager kills soon after it has asked; who sits at the terminal can
    /// ask again.
    pub(super) fn grace(self) -> Duration {
        match self {
            Self::Interrupt => Duration::from_secs(30),
            Self::Terminate | Self::HangUp => Duration::from_secs(10),
        }
    }
}

/// What is under way.
#[derive(Clone, Default)]
struct Run {
    stop: Stop,
    events: Vec<Events>,
    over: CancellationToken,
}

impl Run {
    /// Says for how long it may still go on.
    fn mention(&self, at_most: Duration) {
        self.events.iter().for_each(|events| events.mention(Fact::Stopping { at_most }));
    }
}

/// What convoke does at this moment.
#[derive(Clone, Default)]
enum Doing {
    /// Nothing that was paid for.
    #[default]
    Nothing,
    /// A run.
    Run(Run),
    /// It gives the report away, and ends with the exit code that stands in it.
    Delivering,
}

type Now = Arc<Mutex<Doing>>;

fn now() -> Now {
    static NOW: std::sync::LazyLock<Now> = std::sync::LazyLock::new(Now::default);
    NOW.clone()
}

fn look(now: &Now) -> MutexGuard<'_, Doing> {
    now.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A run is under way until this is dropped.
#[must_use = "dropped, the next signal ends the process"]
pub(super) struct UnderWay(Now, CancellationToken);

impl Drop for UnderWay {
    fn drop(&mut self) {
        *look(&self.0) = Doing::Nothing;
        self.1.cancel();
    }
}

/// From now on signals stop this run, and it is told so to its listeners.
pub(super) fn under_way(stop: &Stop, events: &Events) -> UnderWay {
    all_under_way(stop, [events])
}

/// The same of several runs that are stopped together: it is told on all of these streams.
pub(super) fn all_under_way<'a>(stop: &Stop, events: impl IntoIterator<Item = &'a Events>) -> UnderWay {
    under(now(), stop, events.into_iter().cloned().collect())
}

fn under(now: Now, stop: &Stop, events: Vec<Events>) -> UnderWay {
    let run = Run { stop: stop.clone(), events, over: CancellationToken::new() };
    let over = run.over.clone();
    *look(&now) = Doing::Run(run);
    UnderWay(now, over)
}

/// From now on the report is given away: the process ends by itself, with the exit code that the report has. One signal
/// changes nothing of that; the next ends the process at once, where nobody takes the report.
pub(super) fn delivering() {
    *look(&now()) = Doing::Delivering;
}

/// Hears signals from now on, until the process ends. Where no thread can be had, signals do what they do to any process.
pub(super) fn listen() {
    let listening = std::thread::Builder::new().name("signals".to_owned()).spawn(|| {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            obey(os::Heard::begin(), &now()).await;
            // The lines of the progress are taken away first, and nobody draws any more.
            progress::alone(|| std::process::exit(ExitCode::Interrupted.code().into()))
        })
    });
    if let Err(error) = listening {
        say(&format!("warning: signals are not heard: {error}"));
    }
}

/// Where signals come from.
trait Hears {
    /// The next one.
    fn next(&mut self) -> impl Future<Output = Signal> + Send;
}

/// Does what signals ask for; returns when the process is to end at once.
async fn obey(mut heard: impl Hears, now: &Now) {
    loop {
        let signal = heard.next().await;
        let run = {
            let mut doing = look(now);
            match &*doing {
                Doing::Run(run) => run.clone(),
                Doing::Delivering => {
                    *doing = Doing::Nothing;
                    continue;
                }
                Doing::Nothing => {
                    drop(doing);
                    say("Interrupted.");
                    return;
                }
            }
        };
        run.mention(signal.grace());
        run.stop.soft.cancel();
        tokio::select! {
            _ = heard.next() => {}
            () = tokio::time::sleep(signal.grace()) => {}
            () = run.over.cancelled() => continue,
        }
        run.mention(Duration::ZERO);
        run.stop.hard.cancel();
        tokio::select! {
            _ = heard.next() => return,
            () = run.over.cancelled() => {}
        }
    }
}

#[cfg(unix)]
mod os {
    use std::future::poll_fn;
    use std::io::IsTerminal;
    use std::task::Poll;

    use rustix::process::{Signal as Number, getpid, kill_process};
    use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

    use super::Signal;
    use crate::progress;

    /// The signals that are heard.
    pub(super) struct Heard {
        asking: Vec<(Signal, Stream)>,
        /// Ctrl-Z: the lines of the progress are taken away before the shell shows its own.
        pausing: Option<Stream>,
    }

    impl Heard {
        pub(super) fn begin() -> Self {
            let ignored = ignored();
            let kinds = [
                (Signal::Interrupt, SignalKind::interrupt()),
                (Signal::Terminate, SignalKind::terminate()),
                (Signal::HangUp, SignalKind::hangup()),
            ];
            let asking = kinds
                .into_iter()
                // `nohup`, and shells for what runs in the background, want them to be ignored.
                .filter(|(_, kind)| !is_in(ignored, kind.as_raw_value()))
                .filter_map(|(which, kind)| Some((which, signal(kind).ok()?)))
                .collect();
            let stop = SignalKind::from_raw(Number::TSTP.as_raw());
            let draws = std::io::stderr().is_terminal() && !is_in(ignored, stop.as_raw_value());
            Self { asking, pausing: if draws { signal(stop).ok() } else { None } }
        }
    }

    impl super::Hears for Heard {
        async fn next(&mut self) -> Signal {
            poll_fn(|context| {
                if let Some(stream) = &mut self.pausing {
                    while let Poll::Ready(Some(())) = stream.poll_recv(context) {
                        // It returns when the shell lets the process go on, and then all is drawn anew. A process that
                        // can't stop itself goes on.
                        progress::alone(|| kill_process(getpid(), Number::STOP).unwrap_or_default());
                    }
                }
                for (which, stream) in &mut self.asking {
                    if let Poll::Ready(Some(())) = stream.poll_recv(context) {
                        return Poll::Ready(*which);
                    }
                }
                Poll::Pending
            })
            .await
        }
    }

    /// The mask of signals that this process was started to ignore; where the system doesn't tell: none.
    fn ignored() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        mask(&status)
    }

    pub(super) fn mask(status: &str) -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    }

    pub(super) fn is_in(mask: u64, number: i32) -> bool {
        u32::try_from(number - 1).is_ok_and(|bit| mask.checked_shr(bit).unwrap_or(0) & 1 == 1)
    }
}

#[cfg(not(unix))]
mod os {
    use super::Signal;

    /// Ctrl-C is all that there is to hear.
    pub(super) struct Heard;

    impl Heard {
        pub(super) fn begin() -> Self {
            Self
        }
    }

    impl super::Hears for Heard {
        async fn next(&mut self) -> Signal {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            Signal::Interrupt
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tokio::time::{Instant, advance};

    use super::*;

    /// Someone who sends signals, and the thread that obeys them.
    struct World {
        now: Now,
        send: mpsc::UnboundedSender<Signal>,
        obeying: tokio::task::JoinHandle<()>,
        stop: Stop,
        events: Events,
    }

    impl Hears for mpsc::UnboundedReceiver<Signal> {
        async fn next(&mut self) -> Signal {
            self.recv().await.unwrap()
        }
    }

    fn world() -> World {
        let (send, heard) = mpsc::unbounded_channel();
        let now = Now::default();
        let obeying = tokio::spawn({
            let now = now.clone();
            async move { obey(heard, &now).await }
        });
        World { now, send, obeying, stop: Stop::default(), events: Events::new() }
    }

    impl World {
        fn begin(&self) -> UnderWay {
            under(self.now.clone(), &self.stop, vec![self.events.clone()])
        }

        async fn hears(&self, signal: Signal) {
            self.send.send(signal).unwrap();
            self.settles().await;
        }

        async fn settles(&self) {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }

        /// Soft, hard, and whether the process ends.
        fn stands(&self) -> (bool, bool, bool) {
            (self.stop.soft.is_cancelled(), self.stop.hard.is_cancelled(), self.obeying.is_finished())
        }
    }

    const ALL: [Signal; 3] = [Signal::Interrupt, Signal::Terminate, Signal::HangUp];

    #[tokio::test(start_paused = true)]
    async fn the_first_lets_end_the_second_gives_up_the_third_ends_the_process() {
        for signal in ALL {
            let world = world();
            let _run = world.begin();
            world.hears(signal).await;
            assert_eq!(world.stands(), (true, false, false), "{signal:?}");
            world.hears(signal).await;
            assert_eq!(world.stands(), (true, true, false), "{signal:?}");
            world.hears(signal).await;
            assert_eq!(world.stands(), (true, true, true), "{signal:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_report_is_given_away_the_first_changes_nothing_and_the_second_ends_the_process() {
        let world = world();
        drop(world.begin());
        *look(&world.now) = Doing::Delivering;
        world.hears(Signal::Interrupt).await;
        assert_eq!(world.stands(), (false, false, false));
        world.hears(Signal::Interrupt).await;
        assert_eq!(world.stands(), (false, false, true));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_has_thirty_seconds_after_ctrl_c_and_ten_after_the_others() {
        for (signal, seconds) in [(Signal::Interrupt, 30), (Signal::Terminate, 10), (Signal::HangUp, 10)] {
            let world = world();
            let mut told = world.events.listen();
            let _run = world.begin();
            world.hears(signal).await;
            let began = Instant::now();
            advance(Duration::from_secs(seconds - 1)).await;
            world.settles().await;
            assert_eq!(world.stands(), (true, false, false), "{signal:?}");
            world.stop.hard.cancelled().await;
            assert_eq!(began.elapsed().as_secs(), seconds, "{signal:?}");
            let mut bounds = Vec::new();
            while let Some(event) = told.try_recv() {
                let Fact::Stopping { at_most } = &event.fact else { panic!("{event:?}") };
                bounds.push(at_most.as_secs());
            }
            assert_eq!(bounds, [seconds, 0]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_runs_each_is_told_that_it_is_stopped() {
        let world = world();
        let streams = [Events::new(), Events::new(), Events::new()];
        let mut told = streams.each_ref().map(Events::listen);
        let _runs = under(world.now.clone(), &world.stop, streams.to_vec());
        world.hears(Signal::Interrupt).await;
        for heard in &mut told {
            assert!(heard.try_recv().is_some_and(|event| matches!(event.fact, Fact::Stopping { .. })));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn before_and_after_a_run_the_first_ends_the_process() {
        for signal in ALL {
            let before = world();
            before.hears(signal).await;
            assert_eq!(before.stands(), (false, false, true), "{signal:?}");
            let after = world();
            drop(after.begin());
            after.hears(signal).await;
            assert_eq!(after.stands(), (false, false, true), "{signal:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_ends_meanwhile_is_not_given_up_and_the_next_signal_ends_the_process() {
        let world = world();
        let run = world.begin();
        world.hears(Signal::Interrupt).await;
        drop(run);
        advance(Duration::from_secs(60)).await;
        world.settles().await;
        assert_eq!(world.stands(), (true, false, false), "the report is being printed");
        world.hears(Signal::Interrupt).await;
        assert_eq!(world.stands(), (true, false, true));
    }

    #[cfg(unix)]
    #[test]
    fn what_the_process_was_started_to_ignore_is_known() {
        let mask = os::mask("Name:\tconvoke\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t1\n");
        assert!(os::is_in(mask, 1) && os::is_in(mask, 13) && !os::is_in(mask, 2) && !os::is_in(mask, 15));
        assert_eq!(os::mask("nothing of it"), 0);
        assert!(!os::is_in(u64::MAX, 0) && !os::is_in(u64::MAX, 65));
    }
}
