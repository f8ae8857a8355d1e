//! How many workers a command gets: by what is to be done, and by what the machine has left.
//!
//! | what | workers |
//! |---|---|
//! | no items | none |
//! | items dealt by group | one a group, and for items without a group as many as their count asks for |
//! | 3 items or fewer | 1 |
//! | under 10 | one for each `items_per_instance`, up to 3 |
//! | 10 to 50 | the same, 3 to 5 |
//! | over 50 | the same, 5 to 8 |
//!
//! Then never more than the user's limit; and in balanced mode, where the user named no number, at most 8, 5 or 3 by the
//! machine: [`cap_by_machine`]. A number that the user named is lowered only where memory is short: under a tenth of it
//! is free. What can't be measured lowers nothing.

use convoke_policy::{Load, MOST, Mode, Size, SizeFacts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Wrong, not_above, within};
use crate::machine::KEPT_FREE;

/// The numbers of sizing. Those of the sizes themselves are the design's, and fixed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SizeProfile {
    /// Whether the machine's free processors and memory lower a number that the user did not name. Balanced mode only:
    /// safe mode has few anyway, and performance mode was chosen to have many.
    pub by_machine: bool,
    /// Workers when little is free.
    pub busy: u32,
    /// Workers when over half of the processors and over 40 % of the memory are free.
    pub half_free: u32,
    /// Workers when over 70 % of the processors and over 60 % of the memory are free.
    pub free: u32,
}

impl SizeProfile {
    /// Those of a mode.
    pub fn of(mode: Mode) -> Self {
        Self { by_machine: mode == Mode::Balanced, busy: 3, half_free: 5, free: 8 }
    }

    /// Whether the numbers make sense, each and together. `table`: where they stand.
    pub(super) fn check(&self, table: &str) -> Result<(), Wrong> {
        let key = |name: &str| format!("{table}.{name}");
        for (name, value) in [("busy", self.busy), ("half_free", self.half_free), ("free", self.free)] {
            within(&key(name), Some(value), 1, MOST)?;
        }
        not_above(&key("busy"), self.busy, "half_free", self.half_free)?;
        not_above(&key("half_free"), self.half_free, "free", self.free)
    }
}

impl Default for SizeProfile {
    fn default() -> Self {
        Self::of(Mode::Balanced)
    }
}

/// The built-in decision. Of the facts it needs neither the time nor the mode: that is in the profile.
pub fn size(profile: &SizeProfile, facts: &SizeFacts) -> Size {
    let by_items = by_items(facts);
    let wanted = by_items.min(facts.most.max(1));
    let by_machine = if facts.explicit {
        memory_free(&facts.load).filter(|free| *free < KEPT_FREE).map(|_| profile.busy)
    } else {
        profile.by_machine.then(|| cap_by_machine(profile, &facts.load, 0.0)).flatten()
    };
    // At least one: it is the host that knows that nobody is needed for nothing.
    match by_machine {
        Some(most) if most < wanted => Size::of(most.max(1), machine_reason(&facts.load, wanted, most.max(1))),
        _ => Size::of(wanted.max(1), ""),
    }
}

fn by_items(facts: &SizeFacts) -> u32 {
    let (groups, items) = (facts.groups, facts.items);
    let alone = if groups == 0 { items } else { facts.ungrouped.min(items) };
    let workers = groups.saturating_add(by_count(alone, facts.items_per_instance));
    u32::try_from(workers).unwrap_or(u32::MAX)
}

/// How many workers so many items without groups get.
fn by_count(items: u64, items_per_instance: u32) -> u64 {
    let (least, most) = match items {
        0 => return 0,
        1..=3 => return 1,
        4..10 => (1, 3),
        10..=50 => (3, 5),
        _ => (5, 8),
    };
    items.div_ceil(u64::from(items_per_instance.max(1))).clamp(least, most)
}

/// The most workers that the machine has room for: 8 where over 70 % of the processors and over 60 % of the memory are
/// free, 5 from over 50 % and over 40 %, else 3. `margin` is added to each of these shares: who goes up should have more
/// room than who stays. None: neither is known.
pub fn cap_by_machine(profile: &SizeProfile, load: &Load, margin: f64) -> Option<u32> {
    let (cpu, memory) = (known(load.cpu_free), memory_free(load));
    if cpu.is_none() && memory.is_none() {
        return None;
    }
    let over = |least_cpu: f64, least_memory: f64| {
        cpu.is_none_or(|free| free > least_cpu + margin) && memory.is_none_or(|free| free > least_memory + margin)
    };
    Some(if over(0.7, 0.6) {
        profile.free
    } else if over(0.5, 0.4) {
        profile.half_free
    } else {
        profile.busy
    })
}

fn known(share: Option<f64>) -> Option<f64> {
    share.filter(|share| share.is_finite())
}

fn memory_free(load: &Load) -> Option<f64> {
    known(load.memory_free)
}

fn machine_reason(load: &Load, wanted: u32, most: u32) -> String {
    format!("{most} instead of {wanted} workers, because the machine has {}", left(load))
}

/// What the machine has left, in words.
pub(super) fn left(load: &Load) -> String {
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let cpu = known(load.cpu_free).map(|free| format!("{} of its processors", percent(free)));
    let memory = memory_free(load).map(|free| format!("{} of its memory", percent(free)));
    format!("{} free", cpu.into_iter().chain(memory).collect::<Vec<_>>().join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(cpu_free: f64, memory_free: f64) -> Load {
        Load { cpu_free: Some(cpu_free), memory_free: Some(memory_free), ..Load::default() }
    }

    fn facts(items: u64, groups: u64, most: u32) -> SizeFacts {
        SizeFacts { items, groups, most, items_per_instance: 5, ..SizeFacts::default() }
    }

    fn sized(facts: &SizeFacts) -> u32 {
        size(&SizeProfile::default(), facts).instances
    }

    #[test]
    fn fifteen_files_five_a_piece_make_three_instances() {
        assert_eq!(sized(&facts(15, 0, 5)), 3);
    }

    #[test]
    fn twenty_eight_agents_in_eight_categories_make_eight_and_ten_groups_at_most_eight_make_eight() {
        assert_eq!((sized(&facts(28, 8, 8)), sized(&facts(158, 10, 8))), (8, 8));
    }

    #[test]
    fn items_without_a_group_add_what_their_count_asks_for() {
        assert_eq!(sized(&SizeFacts { ungrouped: 15, ..facts(19, 2, 8) }), 2 + 3);
    }

    #[test]
    fn three_tests_make_one_instance_and_sizes_have_their_bounds() {
        assert_eq!([3, 4, 9, 10, 50, 51, 400].map(|items| sized(&facts(items, 0, 100))), [1, 1, 2, 3, 5, 8, 8]);
        assert_eq!(sized(&SizeFacts { items_per_instance: 0, ..facts(9, 0, 100) }), 3);
        assert_eq!(sized(&SizeFacts { items_per_instance: 40, ..facts(51, 0, 100) }), 5);
    }

    #[test]
    fn a_machine_with_head_room_takes_eight_one_without_three() {
        let cap = |cpu, memory| cap_by_machine(&SizeProfile::default(), &load(cpu, memory), 0.0).unwrap();
        assert_eq!(cap(0.71, 0.61), 8);
        assert_eq!([cap(0.70, 0.61), cap(0.71, 0.60), cap(0.51, 0.41)], [5, 5, 5]);
        assert_eq!([cap(0.50, 0.99), cap(0.99, 0.40), cap(0.0, 0.0)], [3, 3, 3]);
    }

    #[test]
    fn what_can_not_be_measured_lowers_nothing() {
        let unknown = [Load::default(), load(f64::NAN, f64::NAN)];
        for load in unknown {
            assert_eq!(sized(&SizeFacts { load, ..facts(51, 0, 100) }), 8);
        }
        let cpu_only = Load { memory_free: None, ..load(0.55, 0.0) };
        assert_eq!(sized(&SizeFacts { load: cpu_only, ..facts(51, 0, 100) }), 5);
    }

    #[test]
    fn a_number_that_the_user_named_is_lowered_only_where_memory_is_short() {
        let named = |cpu, memory| SizeFacts { explicit: true, load: load(cpu, memory), ..facts(200, 20, 16) };
        assert_eq!(sized(&named(0.01, 0.11)), 16);
        let short = size(&SizeProfile::default(), &named(0.99, 0.09));
        assert_eq!(short.instances, 3);
        assert!(short.reason.contains("9 % of its memory"), "{}", short.reason);
    }

    #[test]
    fn only_balanced_mode_looks_at_the_machine() {
        let busy = SizeFacts { load: load(0.1, 0.1), ..facts(51, 0, 10) };
        let sizes = [Mode::Safe, Mode::Balanced, Mode::Performance].map(|mode| size(&SizeProfile::of(mode), &busy));
        assert_eq!(sizes.map(|size| size.instances), [8, 3, 8]);
    }
}
