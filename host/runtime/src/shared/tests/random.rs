//! Whatever several processes do.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Take(usize, u64),
    Settle(usize, u64),
    Keep(usize),
    Refund(usize),
    Kill(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0usize..2;
    prop_oneof![
        4 => (which.clone(), 1u64..1_500).prop_map(|(which, amount)| Step::Take(which, amount)),
        2 => (which.clone(), 0u64..1_500).prop_map(|(which, used)| Step::Settle(which, used)),
        1 => which.clone().prop_map(Step::Keep),
        1 => which.clone().prop_map(Step::Refund),
        1 => which.prop_map(Step::Kill),
        3 => (0u64..20_000).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever two processes do, killed ones included: what is spent never goes over burst + rate × time, and what is
    /// left, held and spent adds up.
    #[test]
    fn buckets_never_go_over_and_never_lose_tokens(steps in prop::collection::vec(step(), 1..60)) {
        const SIZE: u64 = 1_000;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let machine = Machine::new();
            let mut processes = [machine.process(SIZE), machine.process(SIZE)];
            let mut open: [Vec<(Taken, u64)>; 2] = [Vec::new(), Vec::new()];
            let (mut spent, mut passed) = (0u64, 0u64);
            // The bucket once more, in parts: thousandths of a token × 60.
            let mut level = SIZE * 60_000;
            for step in steps {
                let mut pay = |used: u64, level: &mut u64| {
                    spent += used;
                    *level -= used * 60_000;
                };
                match step {
                    Step::Take(which, amount) => {
                        let held: u64 = open.iter().flatten().map(|(_, held)| held).sum();
                        let amount = amount.min(SIZE);
                        let room = (amount + held) * 60_000 <= level;
                        match processes[which].take(amount) {
                            Ok(taken) => {
                                assert!(room, "it goes over");
                                open[which].push((taken, amount));
                            }
                            Err(Refused::Wait { .. }) => {
                                assert!(!room, "there was room");
                                processes[which].shared.leave("anthropic a");
                            }
                            Err(Refused::Spent(_)) => panic!("there is no budget"),
                        }
                    }
                    Step::Settle(which, used) if !open[which].is_empty() => {
                        let (taken, held) = open[which].remove(0);
                        processes[which].used(taken, used.min(held));
                        pay(used.min(held), &mut level);
                    }
                    Step::Keep(which) if !open[which].is_empty() => {
                        let (taken, held) = open[which].remove(0);
                        processes[which].end(taken, Spent::Unknown);
                        pay(held, &mut level);
                    }
                    Step::Refund(which) if !open[which].is_empty() => {
                        let (taken, _) = open[which].remove(0);
                        processes[which].end(taken, Spent::Nothing);
                    }
                    Step::Kill(which) => {
                        std::mem::replace(&mut processes[which], machine.process(SIZE)).kill();
                        advance(Duration::from_millis(300)).await;
                        passed += 300;
                        level = (level + 300 * SIZE).min(SIZE * 60_000);
                        for (_, held) in open[which].drain(..) {
                            pay(held, &mut level);
                        }
                    }
                    Step::Pass(millis) => {
                        advance(Duration::from_millis(millis)).await;
                        passed += millis;
                        level = (level + millis * SIZE).min(SIZE * 60_000);
                    }
                    Step::Settle(..) | Step::Keep(..) | Step::Refund(..) => {}
                }
                let held: u64 = open.iter().flatten().map(|(_, held)| held).sum();
                let free = i64::try_from(level / 60_000).unwrap() - i64::try_from(held).unwrap();
                assert_eq!((processes[0].free(), processes[1].free()), (free, free));
                assert!(free >= 0 && spent * 60_000 <= SIZE * (60_000 + passed));
                let in_use = open.iter().flatten().count() as u64;
                assert_eq!(machine.look().unwrap().instances, in_use);
            }
        });
    }
}
