//! The numbers that a user can change, each in one place with what it is and where it comes from.
//!
//! "Defaults" is the table of the same name in the design.

use std::time::Duration;

pub use convoke_runtime::budget::BudgetConfig as Budget;
use convoke_runtime::money::Usd;
use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;
use super::document::Document;
use super::operations::{AskedOperations, OperationsTable};
use super::project::Refused;

/// A mebibyte, in bytes.
const MIB: u64 = 1024 * 1024;

/// Changes several limits at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Few at once; a secret stops the run; no tools.
    Safe,
    /// The default.
    #[default]
    Balanced,
    /// Many at once; a secret is only reported.
    Performance,
}

impl Mode {
    /// All of them, each looser than the one before.
    pub const ALL: [Self; 3] = [Self::Safe, Self::Balanced, Self::Performance];

    /// The same, as policies know it.
    pub const fn for_policies(self) -> convoke_runtime::policy::Mode {
        match self {
            Self::Safe => convoke_runtime::policy::Mode::Safe,
            Self::Balanced => convoke_runtime::policy::Mode::Balanced,
            Self::Performance => convoke_runtime::policy::Mode::Performance,
        }
    }

    /// The name in files, options and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Balanced => "balanced",
            Self::Performance => "performance",
        }
    }
}

/// What is done about a secret in what would be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// The run stops.
    Strict,
    /// It is redacted.
    Standard,
    /// It is sent, and reported.
    Basic,
}

/// What may be used at once, and how long and how large things may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Workers of a command at once, at most. Defaults: 3, 8, 10 by mode.
    pub instances: u32,
    /// Whether the machine's free CPU and memory may lower [`instances`](Self::instances) to 5 or 3. Defaults: only in
    /// balanced mode.
    pub adaptive: bool,
    /// Work items a worker is meant for. Defaults: 5.
    pub items_per_instance: u32,
    /// What is done about secrets. Defaults: strict, standard, basic by mode.
    pub scan: Scan,
    /// Whether a question may have tools. Defaults: not in safe mode.
    pub tools: bool,
    /// The share of items that may fail before the rest is done more carefully, 0 to 1. Defaults: 0.01, 0.05, 0.10 by
    /// mode.
    pub tolerance: f64,
    /// For an answer, from sending. Defaults: 120 s.
    pub question_timeout: Duration,
    /// Without a sign on a stream that has begun. Defaults: 30 s.
    pub stall_timeout: Duration,
    /// Of a worker's own time, waits for the host not counted. Defaults: 10 min.
    pub worker_timeout: Duration,
    /// The linear memory of a worker, in bytes. A component from Rust starts with 2 MiB, one from Python with 14;
    /// 512 MiB leaves room for its work, and eight workers still fit into a small machine.
    pub plugin_memory: u64,
    /// The fuel of a worker for one item, about one unit an instruction: 100 billion are about a minute of pure
    /// computing, which no reading of a file needs, and which a loop without end reaches before the worker's timeout.
    pub plugin_fuel: u64,
    /// The largest component, in bytes: 64 MiB. One from Python has 20, those of other interpreters up to 40.
    pub component_bytes: u64,
    /// The largest file that a plugin may read, in bytes: 16 MiB. Sources and lockfiles are smaller, dumps are not.
    pub read_bytes: u64,
    /// What one question may take, at list price: an answer that would take more is ended. Defaults: no such limit, which
    /// is the largest amount there is.
    pub question_usd: Usd,
    /// How deep items may add further items. Defaults: 3.
    pub depth: u32,
    /// How many items an item may add. Defaults: 32.
    pub width: u32,
    /// Operations of a kind at once.
    pub operations: Operations,
    /// Which of them somebody named.
    pub named: Named,
}

/// Which limits somebody named, so that no default, hint or rule takes the place of what was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// [`Limits::instances`]: by the user.
    pub instances: bool,
    /// [`Limits::items_per_instance`]: by the user or the project. It goes before a plugin's hint.
    pub items_per_instance: bool,
}

/// How many operations of a kind may run at once, over all workers of all commands of a process. Defaults: "operations at once".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operations {
    /// Listings of folders.
    pub list: u32,
    /// Searches in files.
    pub search: u32,
    /// Files read.
    pub read: u32,
    /// Files written.
    pub write: u32,
    /// Requests to hosts; more in performance mode.
    pub fetch: u32,
    /// Processes; more in performance mode.
    pub process: u32,
    /// Changes of something in a cloud.
    pub cloud_write: u32,
    /// Open files.
    pub open_files: u32,
}

impl Limits {
    /// What one question may take, if that is limited.
    pub fn most_usd(&self) -> Option<Usd> {
        Some(self.question_usd).filter(|most| *most < Usd::from_pico(u64::MAX))
    }

    /// Those of a mode.
    pub fn of(mode: Mode) -> Self {
        let fast = mode == Mode::Performance;
        let (instances, scan, tolerance) = match mode {
            Mode::Safe => (3, Scan::Strict, 0.01),
            Mode::Balanced => (8, Scan::Standard, 0.05),
            Mode::Performance => (10, Scan::Basic, 0.10),
        };
        Self {
            instances,
            adaptive: mode == Mode::Balanced,
            items_per_instance: 5,
            scan,
            tools: mode != Mode::Safe,
            tolerance,
            question_timeout: Duration::from_secs(120),
            stall_timeout: Duration::from_secs(30),
            worker_timeout: Duration::from_secs(600),
            plugin_memory: 512 * MIB,
            plugin_fuel: 100_000_000_000,
            component_bytes: 64 * MIB,
            read_bytes: 16 * MIB,
            question_usd: Usd::from_pico(u64::MAX),
            depth: 3,
            width: 32,
            operations: Operations {
                list: 16,
                search: 24,
                read: 10,
                write: 3,
                fetch: if fast { 32 } else { 5 },
                process: if fast { 16 } else { 3 },
                cloud_write: 3,
                open_files: 100,
            },
            named: Named::default(),
        }
    }
}

/// How many instances a user can ask for: as many as all processes of the user have together.
const INSTANCES: std::ops::RangeInclusive<u32> = 1..=100;

/// Whether so many instances can be asked for.
///
/// # Errors
///
/// What can be asked for.
pub fn check_instances(instances: u32) -> Result<(), String> {
    if INSTANCES.contains(&instances) {
        Ok(())
    } else {
        Err(format!("instances can be {} to {}", INSTANCES.start(), INSTANCES.end()))
    }
}

/// Lowers a budget to another where that is lower. An unlimited one is lowered by any limit; what would raise is refused.
pub(super) fn lower_budget(budget: &mut Budget, asked: &Budget, refused: &mut Refused<'_>) {
    let mut lower = |limit: &mut Option<u64>, asked: Option<u64>, key: &str| {
        if limit.zip(asked).is_some_and(|(limit, asked)| asked > limit) {
            let key = format!("budget.{key}");
            refused.push(&key, &format!("a project can only lower {key}, so it stays as it is"));
        }
        *limit = limit.iter().copied().chain(asked).min();
    };
    let mut dollars = |limit: &mut Option<Usd>, asked: Option<Usd>, key: &str| {
        let mut pico = limit.map(Usd::pico);
        lower(&mut pico, asked.map(Usd::pico), key);
        *limit = pico.map(Usd::from_pico);
    };
    dollars(&mut budget.usd, asked.usd, "usd");
    dollars(&mut budget.usd_per_day, asked.usd_per_day, "usd_per_day");
    dollars(&mut budget.usd_per_month, asked.usd_per_month, "usd_per_month");
    lower(&mut budget.requests, asked.requests, "requests");
    lower(&mut budget.input_tokens, asked.input_tokens, "input_tokens");
    lower(&mut budget.output_tokens, asked.output_tokens, "output_tokens");
}

/// The dollars of a budget that may be asked for.
const DOLLARS: std::ops::RangeInclusive<f64> = 0.0..=1_000_000.0;

/// A budget in dollars, as it is typed.
///
/// # Errors
///
/// What can be typed.
pub fn dollars(text: &str) -> Result<Usd, String> {
    let dollars = text.trim().trim_start_matches('$').parse::<f64>().ok().filter(|dollars| DOLLARS.contains(dollars));
    let dollars =
        dollars.ok_or_else(|| format!("write dollars, {} to {}, like 2.50", DOLLARS.start(), DOLLARS.end()))?;
    Ok(Usd::from_dollars(dollars))
}

/// `[limits]` as it stands in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsTable {
    instances: Option<Spanned<u32>>,
    items_per_instance: Option<Spanned<u32>>,
    question_timeout_s: Option<Spanned<u64>>,
    stall_timeout_s: Option<Spanned<u64>>,
    worker_timeout_s: Option<Spanned<u64>>,
    plugin_memory_mib: Option<Spanned<u64>>,
    plugin_fuel: Option<Spanned<u64>>,
    read_mib: Option<Spanned<u64>>,
    question_usd: Option<Spanned<f64>>,
    nesting_depth: Option<Spanned<u32>>,
    nesting_width: Option<Spanned<u32>>,
    #[serde(default)]
    operations: OperationsTable,
}

/// `[budget]` as it stands in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BudgetTable {
    usd: Option<Spanned<f64>>,
    usd_per_day: Option<Spanned<f64>>,
    usd_per_month: Option<Spanned<f64>>,
    requests: Option<u64>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

/// What a file asks of the limits; all in range.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AskedLimits {
    instances: Option<u32>,
    items_per_instance: Option<u32>,
    question_timeout: Option<Duration>,
    stall_timeout: Option<Duration>,
    worker_timeout: Option<Duration>,
    plugin_memory: Option<u64>,
    plugin_fuel: Option<u64>,
    read_bytes: Option<u64>,
    question_usd: Option<Usd>,
    depth: Option<u32>,
    width: Option<u32>,
    operations: AskedOperations,
}

impl LimitsTable {
    pub(super) fn check(self, document: Document<'_>) -> Result<AskedLimits, ConfigError> {
        let seconds = |key, value, most| Ok(document.within(key, value, 1..=most)?.map(Duration::from_secs));
        let mebibytes = |key, value, most| Ok(document.within(key, value, 1..=most)?.map(|value| value * MIB));
        Ok(AskedLimits {
            instances: document.within("instances", self.instances, INSTANCES)?,
            items_per_instance: document.within("items_per_instance", self.items_per_instance, 1..=1_000)?,
            question_timeout: seconds("question_timeout_s", self.question_timeout_s, 3_600)?,
            stall_timeout: seconds("stall_timeout_s", self.stall_timeout_s, 3_600)?,
            worker_timeout: seconds("worker_timeout_s", self.worker_timeout_s, 86_400)?,
            // A 32-bit memory has 4 GiB.
            plugin_memory: mebibytes("plugin_memory_mib", self.plugin_memory_mib, 4_096)?,
            plugin_fuel: document.within("plugin_fuel", self.plugin_fuel, 1_000_000..=u64::MAX)?,
            read_bytes: mebibytes("read_mib", self.read_mib, 1_024)?,
            question_usd: document.within("question_usd", self.question_usd, 0.0..=1_000_000.0)?.map(Usd::from_dollars),
            depth: document.within("nesting_depth", self.nesting_depth, 0..=10)?,
            // Each item that adds some waits in a sandbox of its own.
            width: document.within("nesting_width", self.nesting_width, 1..=1_000)?,
            operations: self.operations.check(document)?,
        })
    }
}

impl BudgetTable {
    pub(super) fn check(self, document: Document<'_>) -> Result<Budget, ConfigError> {
        let dollars = |key, value| Ok(document.within(key, value, DOLLARS)?.map(Usd::from_dollars));
        Ok(Budget {
            usd: dollars("usd", self.usd)?,
            usd_per_day: dollars("usd_per_day", self.usd_per_day)?,
            usd_per_month: dollars("usd_per_month", self.usd_per_month)?,
            requests: self.requests,
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
        })
    }
}

impl AskedLimits {
    /// The user's own word: it replaces.
    pub(super) fn replace(&self, limits: &mut Limits) {
        self.each(limits, &mut |_, _| true);
        limits.named.instances |= self.instances.is_some();
        limits.named.items_per_instance |= self.items_per_instance.is_some();
    }

    /// A project's word: it lowers, and what would raise is refused.
    pub(super) fn lower(&self, limits: &mut Limits, refused: &mut Refused<'_>) {
        self.each(limits, &mut |key, raises| {
            if raises {
                let what = format!("a project can only lower {key}, so it stays as it is");
                refused.push(&format!("limits.{key}"), &what);
            }
            !raises
        });
        limits.named.items_per_instance |= self.items_per_instance == Some(limits.items_per_instance);
    }

    /// Sets each limit that `takes` allows, given its key and whether it would be raised.
    fn each(&self, limits: &mut Limits, takes: &mut impl FnMut(&str, bool) -> bool) {
        fn set<T: PartialOrd + Copy>(
            limit: &mut T,
            asked: Option<T>,
            key: &str,
            takes: &mut impl FnMut(&str, bool) -> bool,
        ) {
            if let Some(asked) = asked
                && takes(key, asked > *limit)
            {
                *limit = asked;
            }
        }
        set(&mut limits.instances, self.instances, "instances", takes);
        set(&mut limits.items_per_instance, self.items_per_instance, "items_per_instance", takes);
        set(&mut limits.question_timeout, self.question_timeout, "question_timeout_s", takes);
        set(&mut limits.stall_timeout, self.stall_timeout, "stall_timeout_s", takes);
        set(&mut limits.worker_timeout, self.worker_timeout, "worker_timeout_s", takes);
        set(&mut limits.plugin_memory, self.plugin_memory, "plugin_memory_mib", takes);
        set(&mut limits.plugin_fuel, self.plugin_fuel, "plugin_fuel", takes);
        set(&mut limits.read_bytes, self.read_bytes, "read_mib", takes);
        set(&mut limits.question_usd, self.question_usd, "question_usd", takes);
        set(&mut limits.depth, self.depth, "nesting_depth", takes);
        set(&mut limits.width, self.width, "nesting_width", takes);
        for (limit, asked, key) in self.operations.each(&mut limits.operations) {
            set(limit, asked, key, takes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modes_have_the_numbers_of_the_design() {
        let row = |mode| {
            let limits = Limits::of(mode);
            (limits.instances, limits.scan, limits.tolerance, limits.operations.fetch, limits.operations.process)
        };
        assert_eq!(row(Mode::Safe), (3, Scan::Strict, 0.01, 5, 3));
        assert_eq!(row(Mode::Balanced), (8, Scan::Standard, 0.05, 5, 3));
        assert_eq!(row(Mode::Performance), (10, Scan::Basic, 0.10, 32, 16));
        assert!(!Limits::of(Mode::Safe).tools && Limits::of(Mode::Balanced).tools);
        assert_eq!(Mode::default(), Mode::Balanced);
        assert!(Mode::ALL.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn what_a_question_may_take_is_unlimited_until_it_is_set_and_a_project_can_only_lower_it() {
        let asked = |dollars| AskedLimits { question_usd: Some(Usd::from_dollars(dollars)), ..AskedLimits::default() };
        let lines = Default::default();
        let (mut limits, mut refused) = (Limits::of(Mode::Balanced), Refused::new(&lines));
        asked(2.0).lower(&mut limits, &mut refused);
        asked(3.0).lower(&mut limits, &mut refused);
        assert_eq!((limits.question_usd.dollars(), refused.all.len()), (2.0, 1));
    }

    #[test]
    fn a_budget_is_only_lowered() {
        let mut budget = Budget { requests: Some(10), ..Budget::default() };
        let asked = Budget { requests: Some(20), usd_per_day: Some(Usd::from_pico(5)), ..Budget::default() };
        let lines = Default::default();
        lower_budget(&mut budget, &asked, &mut Refused::new(&lines));
        assert_eq!(budget, Budget { requests: Some(10), usd_per_day: asked.usd_per_day, ..Budget::default() });
    }

    #[test]
    fn a_budget_is_typed_in_dollars() {
        assert_eq!(dollars("2.5"), Ok(Usd::from_dollars(2.5)));
        assert_eq!(dollars(" $0 "), Ok(Usd::ZERO));
        for wrong in ["", "two", "-1", "nan", "inf", "1000001"] {
            assert!(dollars(wrong).unwrap_err().contains("like 2.50"), "{wrong}");
        }
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        for (text, key) in [
            ("instances = 0", "instances"),
            ("instances = 101", "instances"),
            ("plugin_memory_mib = 5000", "plugin_memory_mib"),
            ("question_timeout_s = 0", "question_timeout_s"),
            ("question_usd = -0.5", "question_usd"),
            ("nesting_depth = 11", "nesting_depth"),
            ("nesting_width = 0", "nesting_width"),
            ("operations = { read = 0 }", "read"),
            ("operations = { open_files = 1 }", "open_files"),
        ] {
            let document = Document { path: std::path::Path::new("config.toml"), text };
            let error = document.parse::<LimitsTable>(&[]).unwrap().check(document).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }
}
