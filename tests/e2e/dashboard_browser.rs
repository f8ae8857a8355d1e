//! The dashboard's page in a real browser: what is live is seen, controls work, and no text of a run is ever more than text.
//!
//! These tests run where `CONVOKE_CHROMIUM` and `CONVOKE_PUPPETEER` name a Chromium and the folder of `puppeteer-core`,
//! beside which axe-core lies, and say aloud when they are skipped.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::dashboard::{Dashboard, slow};
use crate::page::Browser;
use crate::support::{World, agent, repository};

/// Longer than a browser takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(240);

/// Where pictures of it are put.
fn pictures() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

#[tokio::test]
async fn the_page_shows_what_is_live_pauses_and_runs_nothing_that_a_text_says() {
    let Some(browser) = Browser::find() else { return };
    // It has to go on until the browser has paused it, also on a busy machine.
    let (world, standin) = (World::with_agents(24), slow(4_000).await);
    let hostile = "<img src=x onerror=window.attacked=1>";
    // Names of files, groups and what they say.
    world.write(
        &format!(".claude/agents/{}/{}.md", "<b>team", hostile.replace('/', "")),
        agent(77).replace("agent-77", hostile),
    );
    world.write(
        ".claude/agents/'\"><script>window.attacked=1<x>.md",
        "no front matter </script><script>alert(1)</script>",
    );
    let dashboard = Dashboard::start(&world).await;
    let run = world.audit(["--instances", "4"]).asking(&standin).start().await;
    let driven = Command::new("node")
        .arg(repository().join("tests/e2e/dashboard/browser.mjs"))
        .arg(&dashboard.url)
        .arg(pictures())
        .env("CONVOKE_CHROMIUM", &browser.chromium)
        .env("CONVOKE_PUPPETEER", &browser.puppeteer)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let driven = timeout(DEADLINE, driven).await.expect("in time").expect("node");
    let said = String::from_utf8_lossy(&driven.stdout).into_owned();
    assert!(driven.status.success(), "{said}\n{}", String::from_utf8_lossy(&driven.stderr));
    let seen: Value = serde_json::from_str(said.lines().last().expect("a line")).expect("JSON");
    assert_eq!(seen["attacks"], 0, "{seen}");
    let report = run.end().await.report();
    assert_eq!(seen["census"]["items"], report.json["census"]["items"], "{seen}");
    dashboard.end().await;
}
