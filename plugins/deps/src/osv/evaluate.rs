//! Whether one version is affected: the algorithm of "Evaluation" in the OSV schema, and RustSec's ranges.

use std::cmp::Ordering;

use semver::{Comparator, Op, Prerelease, VersionReq};

use super::{Affected, End, Event, Interval, Range};
use crate::model::Ecosystem;
use crate::versions::Version;

/// What an advisory says about one version of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not affected.
    Safe,
    /// It is, and these versions are named as fixed: of each range the next one.
    Affected(Vec<String>),
    /// It can't be judged, and why.
    Unknown(String),
}

impl Verdict {
    /// Of two judgements of the same package: affected outweighs what isn't known, and that outweighs safe.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Affected(mut fixed), Self::Affected(more)) => {
                fixed.extend(more);
                Self::Affected(fixed)
            }
            (affected @ Self::Affected(_), _) | (_, affected @ Self::Affected(_)) => affected,
            (unknown @ Self::Unknown(_), _) | (_, unknown @ Self::Unknown(_)) => unknown,
            (Self::Safe, Self::Safe) => Self::Safe,
        }
    }
}

impl Affected {
    /// Whether a version of this package is affected.
    ///
    /// Commits say nothing about a version: beside a list of versions or a range that can be judged they are passed over,
    /// alone they leave it unknown. So do ranges that can't be read, and an entry that names no versions at all.
    pub fn judge(&self, version: &str) -> Verdict {
        let verdict =
            self.ranges.iter().map(|range| self.judge_range(range, version)).fold(None, |verdict, next| {
                match (verdict, next) {
                    (None, next) => next,
                    (verdict, None) => verdict,
                    (Some(verdict), Some(next)) => Some(Verdict::or(verdict, next)),
                }
            });
        if matches!(verdict, Some(Verdict::Affected(_))) {
            return verdict.unwrap_or(Verdict::Safe);
        }
        match self.listed(version) {
            Some(true) => Verdict::Affected(Vec::new()),
            Some(false) => verdict.unwrap_or(Verdict::Safe),
            None if self.versions.is_empty() => verdict.unwrap_or_else(|| {
                let what =
                    if self.ranges.is_empty() { "names no versions" } else { "names only commits, and no versions" };
                Verdict::Unknown(format!("the advisory {what}"))
            }),
            None => verdict.unwrap_or_else(|| unreadable(version)),
        }
    }

    /// Whether the version is in the list. None: there is no list, or the version can't be compared with what is in it.
    fn listed(&self, version: &str) -> Option<bool> {
        if self.versions.iter().any(|listed| listed == version) {
            return Some(true);
        }
        if self.versions.is_empty() {
            return None;
        }
        let version = Version::parse(self.ecosystem, version)?;
        Some(self.versions.iter().any(|listed| {
            let listed = Version::parse(self.ecosystem, listed);
            listed.is_some_and(|listed| version.order_to(&listed) == Some(Ordering::Equal))
        }))
    }

    /// None: the range says nothing about versions.
    fn judge_range(&self, range: &Range, version: &str) -> Option<Verdict> {
        Some(match range {
            Range::Git => return None,
            Range::Unreadable(why) => Verdict::Unknown(why.clone()),
            Range::Unless { patched, unaffected } => judge_unless(patched, unaffected, version),
            Range::Events { semantic, events } => {
                let own = |text: &str| Version::parse(self.ecosystem, text);
                let rules = Rules::of(events, version, *semantic, self.ecosystem);
                match rules {
                    Rules::Semantic => judge_events(events, version, Version::semantic),
                    Rules::Own => judge_events(events, version, own),
                }
            }
        })
    }
}

/// By which rules the versions of a range are compared.
enum Rules {
    Semantic,
    Own,
}

impl Rules {
    /// A range may say that its versions are semantic where the ecosystem has other rules. That holds if all of them can be
    /// read so, and the one in question too.
    fn of(events: &[Event], version: &str, semantic: bool, ecosystem: Ecosystem) -> Self {
        if matches!(ecosystem, Ecosystem::CratesIo | Ecosystem::Npm | Ecosystem::Go) {
            return Self::Semantic;
        }
        let reads = |text: &str| matches!(text, "0" | "*") || Version::semantic(text).is_some();
        if semantic && reads(version) && events.iter().all(|event| reads(event.version())) {
            Self::Semantic
        } else {
            Self::Own
        }
    }
}

impl Event {
    /// The version at which it happened, as written.
    pub fn version(&self) -> &str {
        match self {
            Self::Introduced(version) | Self::Fixed(version) | Self::LastAffected(version) | Self::Limit(version) => {
                version
            }
        }
    }
}

fn unreadable(version: &str) -> Verdict {
    Verdict::Unknown(format!("`{}` can't be read as a version", super::kept(version)))
}

fn judge_events(events: &[Event], version: &str, parse: impl Fn(&str) -> Option<Version>) -> Verdict {
    let Some(version) = parse(version) else { return unreadable(version) };
    let (mut limits, mut before_limit, mut introduced) = (false, false, false);
    // The last event that the version has passed, and the next fix. The specification sorts the events and goes through them:
    // what counts in the end is the last one that was passed.
    let mut last: Option<(Option<Version>, &Event)> = None;
    let mut fix: Option<(Version, &String)> = None;
    for event in events {
        introduced |= matches!(event, Event::Introduced(_));
        let at = match event {
            Event::Introduced(text) if text.trim() == "0" => None,
            Event::Limit(text) if text.trim() == "*" => {
                (limits, before_limit) = (true, true);
                continue;
            }
            event => match parse(event.version()) {
                Some(at) => Some(at),
                None => {
                    return Verdict::Unknown(format!("`{}` in a range can't be read", super::kept(event.version())));
                }
            },
        };
        let order = at.as_ref().map_or(Some(Ordering::Greater), |at| version.order_to(at));
        let passed = match (event, order) {
            (Event::Limit(_), order) => {
                limits = true;
                before_limit |= order == Some(Ordering::Less);
                false
            }
            (Event::LastAffected(_), order) => order == Some(Ordering::Greater),
            (_, order) => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        };
        if let (Event::Fixed(text), Some(at), false) = (event, &at, passed)
            && fix.as_ref().is_none_or(|(next, _)| at.order(next) == Some(Ordering::Less))
        {
            fix = Some((at.clone(), text));
        }
        if passed && last.as_ref().is_none_or(|last| comes_after((&at, event), (&last.0, last.1))) {
            last = Some((at, event));
        }
    }
    if !introduced {
        return Verdict::Unknown("a range doesn't say where it begins".to_owned());
    }
    if limits && !before_limit {
        return Verdict::Safe;
    }
    match last {
        Some((_, Event::Introduced(_))) => Verdict::Affected(fix.map(|(_, text)| text.clone()).into_iter().collect()),
        _ => Verdict::Safe,
    }
}

/// Whether an event comes after one that is written before it. None is before all versions. At the same version a last
/// affected one comes after the others, for it includes the version; else it is as it is written.
fn comes_after(event: (&Option<Version>, &Event), before: (&Option<Version>, &Event)) -> bool {
    let order = match (event.0, before.0) {
        (Some(at), Some(before)) => at.order(before).unwrap_or(Ordering::Equal),
        (at, before) => at.is_some().cmp(&before.is_some()),
    };
    match order {
        Ordering::Less => false,
        Ordering::Greater => true,
        Ordering::Equal => matches!(event.1, Event::LastAffected(_)) || !matches!(before.1, Event::LastAffected(_)),
    }
}

fn judge_unless(patched: &[Interval], unaffected: &[Interval], version: &str) -> Verdict {
    let Ok(parsed) = semver::Version::parse(version.trim()) else { return unreadable(version) };
    if patched.iter().chain(unaffected).any(|interval| interval.contains(&parsed)) {
        return Verdict::Safe;
    }
    let fixed = patched.iter().filter_map(|interval| match &interval.low {
        End::At(low) if low.cmp_precedence(&parsed).is_gt() => Some(low.to_string()),
        End::Beside(low) if low.cmp_precedence(&parsed).is_ge() => Some(format!(">{low}")),
        _ => None,
    });
    Verdict::Affected(fixed.collect())
}

impl Interval {
    /// All versions.
    pub const ALL: Self = Self { low: End::Open, high: End::Open };

    /// The versions that a requirement of an advisory means. RustSec reads them as ends, and not as cargo would choose: a
    /// pre-release lies between its neighbours, what is missing in `>1` is zero, and `^1.2` ends before the first
    /// pre-release of 2.0.0.
    ///
    /// # Errors
    /// What is no requirement, in the words of the parser.
    pub fn read(requirement: &str) -> Result<Self, String> {
        let requirement: VersionReq = requirement.trim().parse().map_err(|error: semver::Error| error.to_string())?;
        let mut whole = Self::ALL;
        for comparator in &requirement.comparators {
            let part = Self::of(comparator);
            whole.low = whole.low.tighter(part.low, Ordering::Greater);
            whole.high = whole.high.tighter(part.high, Ordering::Less);
        }
        Ok(whole)
    }

    fn of(comparator: &Comparator) -> Self {
        let version = semver::Version {
            major: comparator.major,
            minor: comparator.minor.unwrap_or(0),
            patch: comparator.patch.unwrap_or(0),
            pre: comparator.pre.clone(),
            build: semver::BuildMetadata::EMPTY,
        };
        let next = |major: u64, minor: u64, patch: u64| {
            let mut version = semver::Version::new(major, minor, patch);
            // The lowest pre-release there is. The text is one, so nothing is lost if it weren't.
            version.pre = Prerelease::new("0").unwrap_or(Prerelease::EMPTY);
            End::Beside(version)
        };
        let (major, minor, patch) = (comparator.major, comparator.minor, comparator.patch);
        match comparator.op {
            Op::Greater => Self { low: End::Beside(version), high: End::Open },
            Op::GreaterEq => Self { low: End::At(version), high: End::Open },
            Op::Less => Self { low: End::Open, high: End::Beside(version) },
            Op::LessEq => Self { low: End::Open, high: End::At(version) },
            Op::Exact => Self { low: End::At(version.clone()), high: End::At(version) },
            Op::Tilde | Op::Wildcard => {
                let high = match minor {
                    Some(minor) => next(major, minor.saturating_add(1), 0),
                    None => next(major.saturating_add(1), 0, 0),
                };
                Self { low: End::At(version), high }
            }
            // A caret, and what semver may add one day.
            _ => {
                let high = match (major, minor, patch) {
                    (0, Some(0), Some(patch)) => next(0, 0, patch.saturating_add(1)),
                    (0, Some(minor), _) => next(0, minor.saturating_add(1), 0),
                    (major, ..) => next(major.saturating_add(1), 0, 0),
                };
                Self { low: End::At(version), high }
            }
        }
    }

    /// Whether the version lies in it.
    pub fn contains(&self, version: &semver::Version) -> bool {
        let after = match &self.low {
            End::Open => true,
            End::At(low) => version.cmp_precedence(low).is_ge(),
            End::Beside(low) => version.cmp_precedence(low).is_gt(),
        };
        let before = match &self.high {
            End::Open => true,
            End::At(high) => version.cmp_precedence(high).is_le(),
            End::Beside(high) => version.cmp_precedence(high).is_lt(),
        };
        after && before
    }
}

impl End {
    /// The end that leaves less; `inwards` is the way in which versions are left out.
    fn tighter(self, other: Self, inwards: Ordering) -> Self {
        let (first, second) = match (&self, &other) {
            (Self::Open, _) => return other,
            (_, Self::Open) => return self,
            (Self::At(first) | Self::Beside(first), Self::At(second) | Self::Beside(second)) => (first, second),
        };
        match second.cmp_precedence(first) {
            Ordering::Equal if matches!(other, Self::Beside(_)) => other,
            order if order == inwards => other,
            _ => self,
        }
    }
}
