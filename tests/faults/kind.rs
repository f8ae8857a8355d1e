//! The faults.

use convoke_standin::{Fault, RetryAfter};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    HostKilled,
    HostKilledAtAnswer,
    Terminated,
    Interrupted,
    InterruptedTwice,
    HungUp,
    InstanceKilled,
    RateLimited,
    RateLimitedFor,
    Overloaded,
    ServerError,
    Unauthorized,
    CutStream,
    MalformedStream,
    UnfinishedStream,
    SilentStream,
    OffSchema,
    DiskFull,
    DataReadOnly,
    ClockJump,
    TwoHosts,
    HostKilledInApply,
    HostKilledInAction,
    ProjectReadOnly,
}

impl Kind {
    pub(crate) const ALL: [Self; 24] = [
        Self::HostKilled,
        Self::HostKilledAtAnswer,
        Self::Terminated,
        Self::Interrupted,
        Self::InterruptedTwice,
        Self::HungUp,
        Self::InstanceKilled,
        Self::RateLimited,
        Self::RateLimitedFor,
        Self::Overloaded,
        Self::ServerError,
        Self::Unauthorized,
        Self::CutStream,
        Self::MalformedStream,
        Self::UnfinishedStream,
        Self::SilentStream,
        Self::OffSchema,
        Self::DiskFull,
        Self::DataReadOnly,
        Self::ClockJump,
        Self::TwoHosts,
        Self::HostKilledInApply,
        Self::HostKilledInAction,
        Self::ProjectReadOnly,
    ];

    /// The name that is typed and shown.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HostKilled => "host-killed",
            Self::HostKilledAtAnswer => "host-killed-nth",
            Self::Terminated => "sigterm",
            Self::Interrupted => "sigint",
            Self::InterruptedTwice => "sigint-twice",
            Self::HungUp => "sighup",
            Self::InstanceKilled => "instance-killed",
            Self::RateLimited => "429",
            Self::RateLimitedFor => "429-retry-after",
            Self::Overloaded => "529",
            Self::ServerError => "500",
            Self::Unauthorized => "401",
            Self::CutStream => "stream-cut",
            Self::MalformedStream => "stream-malformed",
            Self::UnfinishedStream => "stream-unfinished",
            Self::SilentStream => "stream-silent",
            Self::OffSchema => "off-schema",
            Self::DiskFull => "disk-full",
            Self::DataReadOnly => "data-read-only",
            Self::ClockJump => "clock-jump",
            Self::TwoHosts => "two-hosts",
            Self::HostKilledInApply => "host-killed-apply",
            Self::HostKilledInAction => "host-killed-act",
            Self::ProjectReadOnly => "project-read-only",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What happens.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::HostKilled => "kill -9 of the host, some time after its start",
            Self::HostKilledAtAnswer => "kill -9 of the host at the n-th answer",
            Self::Terminated => "SIGTERM",
            Self::Interrupted => "SIGINT",
            Self::InterruptedTwice => "SIGINT, and again while it stops",
            Self::HungUp => "SIGHUP",
            Self::InstanceKilled => "kill -9 of a `claude` process",
            Self::RateLimited => "429 that doesn't say when to come back",
            Self::RateLimitedFor => "429 that says so",
            Self::Overloaded => "529",
            Self::ServerError => "500",
            Self::Unauthorized => "401, which is terminal",
            Self::CutStream => "the connection breaks in the middle of an answer",
            Self::MalformedStream => "an event of an answer is not JSON",
            Self::UnfinishedStream => "an answer ends without its last event",
            Self::SilentStream => "nothing more comes of an answer, and the connection stays",
            Self::OffSchema => "an answer doesn't fit its schema",
            Self::DiskFull => "no room for the journal",
            Self::DataReadOnly => "the data folder can't be written",
            Self::ClockJump => "the clock was elsewhere when the journal was written: its rows are moved in time",
            Self::TwoHosts => "two hosts at once in one project",
            Self::HostKilledInApply => "kill -9 of the host while it applies edits",
            Self::HostKilledInAction => "kill -9 of the host while it carries out an action",
            Self::ProjectReadOnly => "the project can't be written while edits are applied",
        }
    }

    /// What the stand-in does, for a fault of its.
    pub(crate) fn on_the_wire(self) -> Option<Fault> {
        Some(match self {
            Self::RateLimited => Fault::RateLimited { retry_after: RetryAfter::Unsaid },
            Self::RateLimitedFor => Fault::RateLimited { retry_after: RetryAfter::Seconds(1) },
            Self::Overloaded => Fault::Overloaded,
            Self::ServerError => Fault::Server,
            Self::Unauthorized => Fault::Unauthorized,
            Self::CutStream => Fault::CutStream { after_events: 3 },
            Self::MalformedStream => Fault::MalformedEvent,
            Self::UnfinishedStream => Fault::NoMessageStop,
            Self::SilentStream => Fault::Silence { mid_stream: true },
            Self::OffSchema => Fault::OffSchema,
            _ => return None,
        })
    }

    /// Whether it happens where edits or actions are carried out.
    pub(crate) fn needs_apply(self) -> bool {
        matches!(self, Self::HostKilledInApply | Self::HostKilledInAction | Self::ProjectReadOnly)
    }

    /// Whether it ends the host without its say.
    pub(crate) fn kills_the_host(self) -> bool {
        matches!(self, Self::HostKilled | Self::HostKilledAtAnswer | Self::HostKilledInApply | Self::HostKilledInAction)
    }

    /// Whether it is a signal that asks the host to stop.
    pub(crate) fn stops_the_host(self) -> bool {
        matches!(self, Self::Terminated | Self::Interrupted | Self::InterruptedTwice | Self::HungUp)
    }

    /// Whether the host can't write what it must.
    pub(crate) fn takes_the_disk(self) -> bool {
        matches!(self, Self::DiskFull | Self::DataReadOnly)
    }

    /// Whether what was under way may be given up: it costs what is in flight.
    pub(crate) fn costs_what_is_in_flight(self) -> bool {
        self.kills_the_host() || self.takes_the_disk() || matches!(self, Self::InterruptedTwice | Self::Unauthorized)
    }
}
