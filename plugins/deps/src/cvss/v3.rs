//! CVSS 3.0 and 3.1: "Common Vulnerability Scoring System: Specification Document", 3.0 part 8.1, 3.1 part 7.1.

use super::METRICS as COUNT;

/// The first metrics make the base score, all of them must be there.
pub(super) const MANDATORY: u32 = 8;

/// The metrics and their values, see `read`. Those after the base metrics change no base score.
pub(super) const METRICS: &str = "\
AV N A L P
AC L H
PR N L H
UI N R
S U C
C H L N
I H L N
A H L N
E X H F P U
RL X U W T O
RC X C R U
CR X H M L
IR X H M L
AR X H M L
MAV X N A L P
MAC X L H
MPR X N L H
MUI X N R
MS X U C
MC X H L N
MI X H L N
MA X H L N";

/// Attack vector, in hundredths, as all that follow.
const VECTOR: [i64; 4] = [85, 62, 55, 20];
/// Attack complexity.
const COMPLEXITY: [i64; 2] = [77, 44];
/// Privileges required, by scope: unchanged, changed.
const PRIVILEGES: [[i64; 3]; 2] = [[85, 62, 27], [85, 68, 50]];
/// User interaction.
const INTERACTION: [i64; 2] = [85, 62];
/// What is left of confidentiality, integrity and availability.
const LEFT: [i64; 3] = [44, 78, 100];

/// The base score in tenths. Whole numbers count 10^-12, and only the power of fifteen is not exact there.
pub(super) fn score(values: &[u8; COUNT], version: &str) -> u8 {
    let [av, ac, pr, ui, scope, c, i, a, ..] = values.map(usize::from);
    // In 10^-6.
    let iss = 1_000_000 - LEFT[c] * LEFT[i] * LEFT[a];
    // 8.22 · AV · AC · PR · UI in 10^-10.
    let exploitability = 822 * VECTOR[av] * COMPLEXITY[ac] * PRIVILEGES[scope][pr] * INTERACTION[ui];
    let (impact, factor) = if scope == 0 {
        (64_200 * iss, 100)
    } else {
        // 7.52 · (ISS - 0.029) - 3.25 · (ISS - 0.02)^15
        let power = (0..15).fold(1_000_000_000_000, |power, _| power * (iss - 20_000) / 1_000_000);
        (75_200 * (iss - 29_000) - power * 325 / 10_000, 108)
    };
    if impact <= 0 {
        return 0;
    }
    let score = (factor * (impact + exploitability)).min(10_000_000_000_000).unsigned_abs();
    // The next tenth. From 3.1 on what is no whole 0.00001 is rounded first (appendix A).
    let tenths = match version {
        "3.0" => score.div_ceil(100_000_000_000),
        _ => ((score + 5_000_000) / 10_000_000).div_ceil(10_000),
    };
    tenths as u8
}
