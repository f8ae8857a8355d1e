//! CVSS 2.0: "A Complete Guide to the Common Vulnerability Scoring System", version 2.0, 3.2.1.

use super::METRICS as COUNT;

/// The first metrics make the base score, all of them must be there.
pub(super) const MANDATORY: u32 = 6;

/// The metrics and their values, see `read`. Those after the base metrics change no base score.
pub(super) const METRICS: &str = "\
AV N A L
AC L M H
Au N S M
C C P N
I C P N
A C P N
E U POC F H ND
RL OF TF W U ND
RC UC UR C ND
CDP N L LM MH H ND
TD N L M H ND
CR L M H ND
IR L M H ND
AR L M H ND";

/// Access vector, in thousandths.
const VECTOR: [i64; 3] = [1000, 646, 395];
/// Access complexity, in hundredths.
const COMPLEXITY: [i64; 3] = [71, 61, 35];
/// Authentication, in thousandths.
const AUTHENTICATION: [i64; 3] = [704, 560, 450];
/// What is left of confidentiality, integrity and availability, in thousandths.
const LEFT: [i64; 3] = [340, 725, 1000];

/// The base score in tenths, exact: whole numbers count 10^-15.
pub(super) fn score(values: &[u8; COUNT]) -> u8 {
    let [av, ac, au, c, i, a, ..] = values.map(usize::from);
    let left = LEFT[c] * LEFT[i] * LEFT[a];
    if left == 1_000_000_000 {
        return 0;
    }
    // 10.41 · (1 - left) in 10^-11, and 20 · AV · AC · Au in 10^-8.
    let impact = 1041 * (1_000_000_000 - left);
    let exploitability = 20 * VECTOR[av] * COMPLEXITY[ac] * AUTHENTICATION[au];
    // ((0.6 · impact) + (0.4 · exploitability) - 1.5) · 1.176
    let score = (6 * impact + 4000 * exploitability - 1_500_000_000_000) * 1176;
    let tenth = 100_000_000_000_000;
    ((score + tenth / 2) / tenth).clamp(0, 100) as u8
}
