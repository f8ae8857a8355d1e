//! `convoke` as a benchmark runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::built::program;
use crate::support::Failed;

/// The peers ask each question once, and all at once from the beginning: what is measured is what convoke adds to that.
const POLICY: &str = "[adapt]\nnamed_start = 64\n[recover.hedge]\nshare = 0.0\n";

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

    /// Runs a command in an empty project, without what earlier runs have done. Gives its report. `more`
    /// sets what else is wanted; it gets the folder that all of that may be written to.
    ///
    /// # Errors
    /// It did not do all that there was to do.
    pub(crate) fn run(
        &self,
        url: &str,
        arguments: &[&str],
        more: impl FnOnce(&mut Command, &Path),
    ) -> Result<Value, Failed> {
        let folder = |name: &str| self.home.path().join(name);
        std::fs::create_dir_all(folder("project"))?;
        std::fs::write(folder("bench.toml"), POLICY)?;
        let mut command = Command::new(&self.program);
        command.args(arguments).args(["--fresh", "--format", "json", "--backend", "anthropic"]);
        command.arg("--policy").arg(folder("bench.toml")).current_dir(folder("project"));
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
        more(&mut command, self.home.path());
        // With its progress, as somebody sees it who keeps it in a file.
        let progress = std::fs::File::create(folder("progress.txt"))?;
        let output = command.stderr(Stdio::from(progress)).output()?;
        if !output.status.success() {
            let said = std::fs::read_to_string(folder("progress.txt"))?;
            let end: Vec<&str> = said.lines().rev().take(10).collect();
            return Err(format!("convoke ended with {}: {}", output.status, end.join(" / ")).into());
        }
        let report: Value = serde_json::from_slice(&output.stdout)?;
        let census = &report["census"];
        if census["items"] == 0 || census["items"] != census["done"] {
            return Err(format!("not all was done: {census}").into());
        }
        Ok(report)
    }
}
