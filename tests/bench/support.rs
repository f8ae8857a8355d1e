//! What the benchmarks have in common: why they fail, whether their bounds count, medians.

use std::error::Error;

/// Why a benchmark can't be run.
pub(crate) type Failed = Box<dyn Error + Send + Sync>;

/// Whether the bounds count. `cargo bench` says so; what else runs a benchmark (`cargo test --benches`) only wants to
/// know that it still works.
pub(crate) fn bounds_count() -> bool {
    std::env::args().any(|argument| argument == "--bench") && !std::env::args().any(|argument| argument == "--quick")
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}
