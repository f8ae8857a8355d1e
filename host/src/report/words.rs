//! Numbers and counts in words, the same in every report for people.

use convoke_runtime::work::{Census, Severity};

use super::timing::percent;
use super::{Counts, Metric, SuppressedCounts, Timing, UsageInfo};

/// `1 item`, `2 items`, `1,234 items`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(count), if count == 1 { one } else { many })
}

/// `12,345`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `312 ms`, `1.24 s`, `2 min 05 s`, `3 h 07 min`.
pub(crate) fn duration(millis: u64) -> String {
    let seconds = millis / 1_000;
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{seconds}.{:02} s", millis % 1_000 / 10),
        60_000..3_600_000 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// `158 items: 120 done, 38 cached`. Every outcome that occurs is named, so that the parts add up.
pub(crate) fn census(census: &Census) -> String {
    let parts = [
        (census.done, "done"),
        (census.cached, "cached"),
        (census.fallback, "fallback"),
        (census.failed, "failed"),
        (census.skipped, "skipped"),
        (census.pending, "pending"),
    ];
    let items = counted(census.items, "item", "items");
    match listed(&parts) {
        parts if parts.is_empty() => items,
        parts => format!("{items}: {parts}"),
    }
}

/// `3 high, 14 medium`, the worst first; empty without findings.
pub(super) fn findings(counts: Counts) -> String {
    let parts: Vec<(u64, &str)> =
        Severity::ALL.into_iter().rev().map(|severity| (counts.get(severity), severity.name())).collect();
    listed(&parts)
}

/// `7 suppressed (4 by the baseline, 3 by comments)`; none without.
pub(super) fn suppressed(counts: &SuppressedCounts) -> Option<String> {
    let parts = [
        (counts.comment, "by comments"),
        (counts.config, "by convoke.toml"),
        (counts.severity, "switched off"),
        (counts.baseline, "by the baseline"),
    ];
    (counts.total > 0).then(|| format!("{} suppressed ({})", thousands(counts.total), listed(&parts)))
}

/// `4 requests, 12,345 input tokens (and 1,000 read from the cache), 678 output tokens`.
pub(crate) fn usage(usage: &UsageInfo) -> String {
    let written = if usage.cache_read_tokens == 0 { "written to the cache" } else { "written to it" };
    let cached = [(usage.cache_read_tokens, "read from the cache"), (usage.cache_write_tokens, written)];
    let cached = match listed(&cached) {
        parts if parts.is_empty() => String::new(),
        parts => format!(" (and {parts})"),
    };
    format!(
        "{}, {} input tokens{cached}, {} output tokens",
        counted(u64::from(usage.requests), "request", "requests"),
        thousands(usage.input_tokens),
        thousands(usage.output_tokens),
    )
}

/// `2.40 s wall, 3.55 s of work on 2 workers, speed-up 1.48×, 64 % in parallel`.
pub(super) fn timing(timing: &Timing, workers: usize, times: char) -> String {
    let wall = format!("{} wall", duration(timing.wall_ms));
    if workers == 0 {
        return wall;
    }
    let workers = counted(workers as u64, "worker", "workers");
    let time = format!("{wall}, {} of work on {workers}", duration(timing.work_ms));
    // Below one, what was shared out was too little to speak of.
    let time = if timing.speedup < 1.0 { time } else { format!("{time}, speed-up {:.2}{times}", timing.speedup) };
    if timing.parallel_share > 0.0 { format!("{time}, {} in parallel", percent(timing.parallel_share)) } else { time }
}

/// `1,234`, `429.94`: at most two decimals, which is what people read.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    match whole.parse::<u64>() {
        Ok(whole) => format!("{}{rest}", thousands(whole)),
        // Below zero, or larger than any count.
        Err(_) => text.to_owned(),
    }
}

/// `1,234 bytes`, `16`: the value of a metric with its unit, unless that is a word of its name. Nobody counts parts of bytes.
pub(super) fn metric(metric: &Metric) -> String {
    let value = if metric.unit == "bytes" { metric.value.round() } else { metric.value };
    let is_named = metric.unit.is_empty() || metric.name.split_whitespace().any(|word| word == metric.unit);
    if is_named { number(value) } else { format!("{} {}", number(value), metric.unit) }
}

fn listed(parts: &[(u64, &str)]) -> String {
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{} {name}", thousands(*count)))
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use convoke_runtime::work::Reduction;

    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_metric_has_no_parts_of_bytes_and_no_unit_that_its_name_says() {
        let of = |name: &str, value, unit: &str| {
            let (name, unit) = (name.to_owned(), unit.to_owned());
            metric(&Metric { name, value, unit, reduce: Reduction::Sum, values: 1, item: None })
        };
        assert_eq!(of("instructions, mean", 3_767.904, "bytes"), "3,768 bytes");
        assert_eq!(of("findings by rules", 16.0, "findings"), "16");
        assert_eq!(of("read", 1.256, "files"), "1.26 files");
        assert_eq!(of("words", 2.0, ""), "2");
    }

    #[test]
    fn durations_have_the_unit_that_fits() {
        let millis = [0, 999, 1_239, 59_999, 60_000, 125_000, 11_220_000];
        assert_eq!(
            millis.map(duration),
            ["0 ms", "999 ms", "1.23 s", "59.99 s", "1 min 00 s", "2 min 05 s", "3 h 07 min"]
        );
    }

    #[test]
    fn the_cache_is_named_also_where_nothing_was_read_from_it() {
        let used = |read, write| {
            usage(&UsageInfo::from(convoke_runtime::question::Usage {
                cache_read_tokens: read,
                cache_write_tokens: write,
                ..convoke_runtime::question::Usage::default()
            }))
        };
        assert!(used(0, 7).contains("(and 7 written to the cache)"), "{}", used(0, 7));
        assert!(used(5, 7).contains("(and 5 read from the cache, 7 written to it)"), "{}", used(5, 7));
    }

    #[test]
    fn only_what_occurs_is_named() {
        let some = Census { items: 158, done: 120, cached: 38, ..Census::default() };
        assert_eq!(census(&some), "158 items: 120 done, 38 cached");
        assert_eq!(census(&Census::default()), "0 items");
        assert_eq!(findings(Counts { high: 3, info: 1, ..Counts::default() }), "3 high, 1 info");
        assert_eq!(suppressed(&SuppressedCounts::default()), None);
    }

    #[test]
    fn a_number_has_two_decimals_at_most() {
        for (value, text) in [
            (6879.0, "6,879"),
            (429.9375, "429.94"),
            (0.5, "0.5"),
            (0.0, "0"),
            (-12.345, "-12.35"),
            (100.0, "100"),
            (1e300, "1"),
        ] {
            let shown = number(value);
            assert!(if value < 1e20 { shown == text } else { shown.starts_with(text) }, "{shown}");
        }
    }

    #[test]
    fn a_speed_up_is_said_where_there_is_one() {
        let timing = |speedup, parallel_share| {
            timing(&Timing { wall_ms: 72, work_ms: 49, speedup, parallel_share, ..Timing::default() }, 6, 'x')
        };
        assert_eq!(timing(0.68, 0.0), "72 ms wall, 49 ms of work on 6 workers");
        assert_eq!(timing(7.72, 0.934), "72 ms wall, 49 ms of work on 6 workers, speed-up 7.72x, 93 % in parallel");
    }
}
