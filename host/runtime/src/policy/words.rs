//! A decision in a few words.

use std::time::Duration;

use convoke_policy::{Adapt, Admit, Decision, Recover, Tier, Watch};

/// What was decided, without its reason: `speed`, `later, after 1.5s`, `kill`.
pub fn words(decision: &Decision) -> String {
    let after = |ms: &u64| format!("{:?}", Duration::from_millis(*ms));
    match decision {
        Decision::Size(size) if size.instances == 1 => "1 instance".to_owned(),
        Decision::Size(size) => format!("{} instances", size.instances),
        Decision::Route(to) => match to.tier {
            Tier::Auto => "auto",
            Tier::Speed => "speed",
            Tier::Comprehensive => "comprehensive",
        }
        .to_owned(),
        Decision::Admit(Admit::Now) => "now".to_owned(),
        Decision::Admit(Admit::Later { wait_ms, .. }) => format!("later, after {}", after(wait_ms)),
        Decision::Admit(Admit::Never { .. }) => "never".to_owned(),
        Decision::Recover(Recover::Retry { wait_ms }) => format!("retry after {}", after(wait_ms)),
        Decision::Recover(Recover::NextModel { .. }) => "next model".to_owned(),
        Decision::Recover(Recover::GiveUp { .. }) => "give up".to_owned(),
        Decision::Recover(Recover::Stop { .. }) => "stop".to_owned(),
        Decision::Adapt(Adapt { limit, safe, pause_ms, .. }) => {
            let safe = if *safe { ", safe" } else { "" };
            let pause = if *pause_ms > 0 { format!(", pause {}", after(pause_ms)) } else { String::new() };
            format!("limit {limit}{safe}{pause}")
        }
        Decision::Watch(Watch::GoOn) => "go on".to_owned(),
        Decision::Watch(Watch::Kill { .. }) => "kill".to_owned(),
    }
}
