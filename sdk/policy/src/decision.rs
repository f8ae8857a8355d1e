//! What is decided.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::facts::Tier;

/// The longest wait that can be decided: a day, in milliseconds.
pub const LONGEST_WAIT_MS: u64 = 24 * 3_600 * 1_000;

/// The most instances that there can be, and the highest limit.
pub const MOST: u32 = 100;

/// The longest reason, in bytes.
pub const LONGEST_REASON: usize = 500;

/// Which of the six decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// How many instances.
    Size,
    /// Which tier.
    Route,
    /// Now, later or never.
    Admit,
    /// What after a failure.
    Recover,
    /// How much at once.
    Adapt,
    /// Whether an answer goes on.
    Watch,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Size, Self::Route, Self::Admit, Self::Recover, Self::Adapt, Self::Watch];

    /// The name in files and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Route => "route",
            Self::Admit => "admit",
            Self::Recover => "recover",
            Self::Adapt => "adapt",
            Self::Watch => "watch",
        }
    }
}

/// How many workers a command gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// 1 to 100. The host lowers it to the limits that the user has set and to the number of items.
    pub instances: u32,
    /// Why, for the user; may be empty.
    #[serde(default)]
    pub reason: String,
}

impl Size {
    /// So many, and why.
    pub fn of(instances: u32, reason: impl Into<String>) -> Self {
        Self { instances, reason: reason.into() }
    }
}

/// Where a question goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTo {
    /// The tier; `auto` means what the built-in policy would choose.
    pub tier: Tier,
    /// Why, for the user; may be empty.
    #[serde(default)]
    pub reason: String,
}

impl RouteTo {
    /// That tier, and why.
    pub fn tier(tier: Tier, reason: impl Into<String>) -> Self {
        Self { tier, reason: reason.into() }
    }
}

/// When a question may line up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "then", rename_all = "kebab-case")]
pub enum Admit {
    /// Now.
    #[default]
    Now,
    /// Decide again after this time. It waits and holds nothing.
    Later {
        /// Milliseconds, 1 to a day.
        wait_ms: u64,
        /// Why, for the user; may be empty.
        #[serde(default)]
        reason: String,
    },
    /// It is not asked: it gets its own fallback, or fails.
    Never {
        /// Why, for the user.
        reason: String,
    },
}

/// What is done after a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "then", rename_all = "kebab-case")]
pub enum Recover {
    /// It is asked again after this time, or later if the server said so.
    Retry {
        /// Milliseconds, up to a day.
        wait_ms: u64,
    },
    /// Another model is asked, if one is left; else it is given up.
    NextModel {
        /// Why, for the user; may be empty.
        #[serde(default)]
        reason: String,
    },
    /// It gets its own fallback, or fails.
    GiveUp {
        /// Why, where that says more than the failure itself; may be empty.
        #[serde(default)]
        reason: String,
    },
    /// Nothing more is sent: the run parks.
    Stop {
        /// Why, for the user.
        reason: String,
    },
}

impl Default for Recover {
    fn default() -> Self {
        Self::GiveUp { reason: String::new() }
    }
}

/// How much may be in flight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapt {
    /// Questions in flight at this account, 1 to 100. The host lowers it to the limits that the user has set.
    pub limit: u32,
    /// Whether it takes effect as in safe mode from now on: nothing is hedged, and failures are tolerated less.
    #[serde(default)]
    pub safe: bool,
    /// Nothing new is sent for so long, in milliseconds; 0: no pause.
    #[serde(default)]
    pub pause_ms: u64,
    /// Whether the breaker opens: too many had no answer in time.
    #[serde(default)]
    pub open_breaker: bool,
    /// Whether the limit is still being searched for by doubling.
    #[serde(default)]
    pub slow_start: bool,
    /// Why, for the user; may be empty where nothing changes.
    #[serde(default)]
    pub reason: String,
}

/// Whether an answer goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "then", rename_all = "kebab-case")]
pub enum Watch {
    /// It does.
    #[default]
    GoOn,
    /// It is ended. What it took so far is paid.
    Kill {
        /// Why, for the user.
        reason: String,
    },
}

/// A decision of any kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "decision", rename_all = "kebab-case")]
pub enum Decision {
    /// How many instances.
    Size(Size),
    /// Which tier.
    Route(RouteTo),
    /// Now, later or never.
    Admit(Admit),
    /// What after a failure.
    Recover(Recover),
    /// How much at once.
    Adapt(Adapt),
    /// Whether an answer goes on.
    Watch(Watch),
}

/// A decision that can't be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonsense {
    /// Which.
    pub kind: Kind,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for Nonsense {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "its decision `{}` makes no sense: {}", self.kind.name(), self.why)
    }
}

impl std::error::Error for Nonsense {}

impl Decision {
    /// Which of the six it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Size(_) => Kind::Size,
            Self::Route(_) => Kind::Route,
            Self::Admit(_) => Kind::Admit,
            Self::Recover(_) => Kind::Recover,
            Self::Adapt(_) => Kind::Adapt,
            Self::Watch(_) => Kind::Watch,
        }
    }

    /// Why, in its own words; empty where it says nothing.
    pub fn reason(&self) -> &str {
        match self {
            Self::Size(Size { reason, .. })
            | Self::Route(RouteTo { reason, .. })
            | Self::Admit(Admit::Later { reason, .. } | Admit::Never { reason })
            | Self::Recover(Recover::NextModel { reason } | Recover::GiveUp { reason } | Recover::Stop { reason })
            | Self::Adapt(Adapt { reason, .. })
            | Self::Watch(Watch::Kill { reason }) => reason,
            Self::Admit(Admit::Now) | Self::Recover(Recover::Retry { .. }) | Self::Watch(Watch::GoOn) => "",
        }
    }

    /// Whether it can be carried out: numbers in their bounds, and no reason longer than 500 bytes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), Nonsense> {
        let refuse = |why: String| Err(Nonsense { kind: self.kind(), why });
        let reason = self.reason();
        if reason.len() > LONGEST_REASON {
            return refuse(format!("a reason of {} bytes; {LONGEST_REASON} are allowed", reason.len()));
        }
        match self {
            Self::Size(Size { instances: number, .. }) | Self::Adapt(Adapt { limit: number, .. })
                if !(1..=MOST).contains(number) =>
            {
                refuse(format!("{number} is not 1 to {MOST}"))
            }
            Self::Admit(Admit::Later { wait_ms, .. }) if !(1..=LONGEST_WAIT_MS).contains(wait_ms) => {
                refuse(format!("a wait of {wait_ms} ms is not 1 ms to a day"))
            }
            Self::Recover(Recover::Retry { wait_ms }) | Self::Adapt(Adapt { pause_ms: wait_ms, .. })
                if *wait_ms > LONGEST_WAIT_MS =>
            {
                refuse(format!("a wait of {wait_ms} ms is longer than a day"))
            }
            _ => Ok(()),
        }
    }
}
