//! What the benchmarks have in common: their programs, CPU time, medians.

use std::error::Error;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

/// Why a benchmark can't be run.
pub(crate) type Failed = Box<dyn Error + Send + Sync>;

/// Whether the bounds count. `cargo bench` says so; what else runs a benchmark (`cargo test --benches`) only wants to
/// know that it still works.
pub(crate) fn bounds_count() -> bool {
    std::env::args().any(|argument| argument == "--bench") && !std::env::args().any(|argument| argument == "--quick")
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// The CPU time of this process and of its children that have ended, with all their threads.
///
/// That of the children is known on Linux only, in steps of 10 ms; elsewhere it is missing.
pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0)) + children().unwrap_or_default()
}

#[cfg(target_os = "linux")]
fn children() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may hold anything. `cutime` and `cstime` are the 16th and 17th field.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(13)?.parse::<u64>().ok()? + fields.get(14)?.parse::<u64>().ok()?;
    Some(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

#[cfg(not(target_os = "linux"))]
fn children() -> Option<Duration> {
    None
}

/// Builds the programs that are measured, with the profile of this benchmark. Gives the path of one.
pub(crate) fn program(name: &str) -> Result<PathBuf, Failed> {
    let bench = std::env::current_exe()?;
    let profile = bench.parent().and_then(Path::parent).ok_or("the benchmark is in no target folder")?;
    let target = profile.parent().ok_or("the benchmark is in no target folder")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // Both at once: alone, each would have its dependencies with other features, and all would be compiled again.
    build.args(["build", "--quiet", "--package", "convoke", "--package", "convoke-standin", "--bins"]);
    build.arg("--target-dir").arg(target);
    if profile.ends_with("release") {
        build.arg("--release");
    }
    if !build.status()?.success() {
        return Err("convoke or the stand-in can't be built".into());
    }
    Ok(profile.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}

/// A stand-in in a process of its own, ended when dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) url: Arc<str>,
}

impl Server {
    /// Starts one whose answers take so long, in milliseconds.
    pub(crate) fn start(latency: u64) -> Result<Self, Failed> {
        let mut child = Command::new(program("convoke-standin")?)
            .args(["--latency", &latency.to_string(), "--seed", "1"])
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or("no output")?;
        let mut server = Self { child, url: Arc::from("") };
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        server.url =
            line.trim().strip_prefix("listening on ").ok_or("the stand-in did not say where it listens")?.into();
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _: io::Result<()> = self.child.kill();
        let _: io::Result<_> = self.child.wait();
    }
}

/// `convoke` with folders of its own, on the disk that the build is on: a journal in memory would be too fast.
pub(crate) struct Convoke {
    program: PathBuf,
    home: tempfile::TempDir,
}

impl Convoke {
    /// Builds it.
    pub(crate) fn new() -> Result<Self, Failed> {
        let program = program("convoke")?;
        Ok(Self { program, home: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))? })
    }

    /// Runs a command in an empty project, without what earlier runs have done. Gives its report.
    ///
    /// # Errors
    /// It did not do all that there was to do.
    pub(crate) fn run(&self, url: &str, arguments: &[&str]) -> Result<Value, Failed> {
        let folder = |name: &str| self.home.path().join(name);
        std::fs::create_dir_all(folder("project"))?;
        let mut command = Command::new(&self.program);
        command.args(arguments).args(["--fresh", "--quiet", "--format", "json", "--backend", "anthropic"]);
        command.current_dir(folder("project"));
        for name in std::env::vars_os().map(|(name, _)| name) {
            let foreign =
                name.to_str().is_some_and(|name| name.starts_with("CONVOKE_") || name.starts_with("ANTHROPIC_"));
            if foreign {
                command.env_remove(name);
            }
        }
        command.env("CONVOKE_CONFIG_DIR", folder("config"));
        command.env("CONVOKE_DATA_DIR", folder("data")).env("CONVOKE_CACHE_DIR", folder("cache"));
        command.env("ANTHROPIC_API_KEY", "bench").env("ANTHROPIC_BASE_URL", url);
        let output = command.stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(format!("convoke ended with {}", output.status).into());
        }
        let report: Value = serde_json::from_slice(&output.stdout)?;
        let census = &report["census"];
        if census["items"] == 0 || census["items"] != census["done"] {
            return Err(format!("not all was done: {census}").into());
        }
        Ok(report)
    }
}
