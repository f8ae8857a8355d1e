//! `moody`: items whose results depend on the clock, on chance, or on what else their worker has done.
//!
//! Used by the tests of `convoke test`, whose checks have to find that.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use convoke_sdk::prelude::*;
use convoke_sdk::{Level, log};

/// How many items this worker has begun.
static BEGUN: AtomicU32 = AtomicU32::new(0);

/// The command.
pub struct Moody;

#[derive(Deserialize)]
#[serde(crate = "convoke_sdk::prelude::serde")]
struct Arguments {
    mood: Vec<String>,
    plan: String,
}

impl Command for Moody {
    async fn plan(call: &Call) -> Result<Work> {
        let Arguments { mood, plan } = call.arguments()?;
        let item = |(number, mood): (usize, &String)| {
            let depends = if number == 1 { feeling(&plan) } else { String::new() };
            Item::new(format!("{number}-{mood}")).input(&(mood, depends))
        };
        Ok(Work::new((1..).zip(&mood).map(item)))
    }

    async fn run(_: &Call, task: &Task) -> Result<Partial> {
        let (mood, _): (String, String) = task.input()?;
        let before = BEGUN.fetch_add(1, Ordering::Relaxed);
        let felt = match mood.as_str() {
            "worker" => format!("after {before} others"),
            mood => feeling(mood),
        };
        log(Level::Info, &format!("{mood} is done"));
        Ok(Partial::done().finding(Finding::new("felt", Severity::Info, format!("{}: {felt}", task.id()))))
    }
}

/// What is there now.
fn feeling(mood: &str) -> String {
    match mood {
        "clock" => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            now.map_or(0, |now| now.as_millis()).to_string()
        }
        "chance" => RandomState::new().hash_one("chance").to_string(),
        _ => "as ever".to_owned(),
    }
}

convoke_sdk::export!(Moody);
