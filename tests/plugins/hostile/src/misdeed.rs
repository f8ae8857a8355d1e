//! What can go wrong anywhere: in a plan, in an item, in a conclusion.

use std::time::Duration;

/// Does it, if the name is one of these. It then seldom returns.
pub(crate) fn commit(name: &str) {
    match name {
        "panic" => panic!("on purpose"),
        "loop" => spin(),
        // The timer is the plugin's own, not the host's.
        "sleep" => std::thread::sleep(Duration::from_secs(3_600)),
        "memory" => eat(),
        "recursion" => _ = dig(0),
        "exit" => std::process::exit(3),
        "exit-well" => std::process::exit(0),
        "flood" => flood(),
        _ => {}
    }
}

fn spin() {
    let mut count: u64 = 0;
    loop {
        count = std::hint::black_box(count.wrapping_add(1));
    }
}

fn eat() {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    loop {
        eaten.push(vec![1; 1 << 20]);
        std::hint::black_box(&eaten);
    }
}

#[expect(unconditional_recursion, reason = "on purpose")]
fn dig(depth: u64) -> u64 {
    let here = std::hint::black_box([depth; 64]);
    dig(depth + 1) + here[7]
}

/// 20 MB of stderr, and a line that never ends.
#[expect(clippy::print_stderr, reason = "on purpose")]
fn flood() {
    for _ in 0..20_000 {
        eprintln!("\u{1b}[2J{}", "flood ".repeat(166));
    }
    eprint!("{}", "x".repeat(1 << 20));
}
