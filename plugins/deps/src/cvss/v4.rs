//! CVSS 4.0: "Common Vulnerability Scoring System version 4.0: Specification Document", part 8, and its reference calculator.

use super::METRICS as COUNT;

/// The first metrics must be there.
pub(super) const MANDATORY: u32 = 11;

/// How many stand between a metric and its modified one.
const MODIFIED: usize = 15;

/// The metrics and their values, see `read`. The index of a value is its level, the distance to the most severe, of base
/// metrics; of the others it is one more, as X comes first. A `/` keeps a place that no vector can name: of the impacts on
/// subsequent systems only the modified ones have a value S. The last six change no score.
pub(super) const METRICS: &str = "\
AV N A L P
AC L H
AT N P
PR N L H
UI N P A
VC H L N
VI H L N
VA H L N
SC / H L N
SI / H L N
SA / H L N
E X A P U
CR X H M L
IR X H M L
AR X H M L
MAV X N A L P
MAC X L H
MAT X N P
MPR X N L H
MUI X N P A
MVC X H L N
MVI X H L N
MVA X H L N
MSC X / H L N
MSI X S H L N
MSA X S H L N
S X P N
AU X Y N
R X A U I
V X D C
RE X L M H
U X Red Amber Green Clear";

/// The scores of the MacroVectors in tenths: a row for each EQ1 (0 to 2), EQ2 (0, 1), and EQ3 with EQ6 (00, 01, 10, 11, 21), in
/// it a place for each EQ4 (0 to 2) and EQ5 (0 to 2).
#[rustfmt::skip]
const SCORES: [[u8; 9]; 30] = [
    [100, 98, 95, 100, 93, 91, 93, 89, 81],
    [99, 95, 92, 96, 87, 81, 90, 80, 68],
    [98, 95, 90, 93, 89, 81, 88, 78, 69],
    [95, 92, 84, 92, 81, 65, 80, 70, 48],
    [92, 82, 72, 79, 69, 50, 69, 55, 27],
    [99, 95, 92, 95, 90, 84, 92, 82, 72],
    [97, 92, 85, 91, 83, 71, 81, 71, 53],
    [95, 92, 85, 92, 80, 70, 84, 71, 50],
    [93, 85, 73, 82, 72, 59, 70, 52, 30],
    [86, 75, 52, 71, 52, 29, 63, 29, 17],
    [98, 94, 91, 94, 86, 77, 87, 74, 63],
    [95, 87, 81, 89, 74, 64, 75, 63, 49],
    [94, 88, 76, 86, 74, 59, 72, 57, 52],
    [89, 77, 67, 76, 58, 50, 57, 52, 25],
    [83, 70, 54, 65, 58, 26, 53, 21, 13],
    [95, 88, 76, 90, 75, 61, 77, 68, 52],
    [90, 76, 70, 77, 62, 53, 66, 59, 30],
    [89, 76, 62, 74, 57, 47, 61, 57, 24],
    [78, 67, 58, 59, 57, 23, 52, 29, 16],
    [71, 59, 30, 58, 26, 15, 23, 13, 6],
    [93, 86, 75, 86, 74, 56, 70, 52, 40],
    [87, 72, 58, 74, 61, 34, 54, 40, 22],
    [85, 74, 62, 72, 55, 46, 53, 34, 19],
    [75, 55, 51, 57, 41, 19, 36, 19, 8],
    [64, 51, 20, 47, 21, 11, 24, 9, 4],
    [88, 73, 60, 73, 59, 41, 54, 45, 20],
    [75, 53, 50, 55, 40, 20, 43, 22, 11],
    [75, 58, 40, 61, 48, 20, 46, 17, 8],
    [55, 45, 21, 51, 18, 9, 18, 7, 2],
    [53, 24, 14, 24, 12, 5, 10, 3, 1],
];

/// The score in tenths of what is named, modified metrics in place of base metrics. What is not defined is the worst.
///
/// The distance to the most severe vector of the same MacroVector is, in each EQ, the sum of the levels less the sum of the
/// levels of a most severe vector: where an EQ has several of these, their sums are equal. All is exact: whole numbers count
/// parts of a tenth.
pub(super) fn score(values: &[u8; COUNT]) -> u8 {
    let [av, ac, at, pr, ui, vc, vi, va, sc, si, sa] = std::array::from_fn(|metric| match values[metric + MODIFIED] {
        0 => i32::from(values[metric]),
        modified => i32::from(modified) - 1,
    });
    let [e, cr, ir, ar] = std::array::from_fn(|metric| i32::from(values[metric + 11].saturating_sub(1)));
    if vc + vi + va == 6 && sc + si + sa == 9 {
        return 0;
    }

    let eq1 = match (av, pr, ui) {
        (0, 0, 0) => 0,
        (3, ..) => 2,
        (0, ..) | (_, 0, _) | (.., 0) => 1,
        _ => 2,
    };
    let eq2 = usize::from(ac + at > 0);
    // Of EQ3 with EQ6 it is the index. Where no impact is high, EQ6 is 1.
    let required = vc + cr == 0 || vi + ir == 0 || va + ar == 0;
    let eq36 = match (vc, vi, va) {
        (0, 0, _) => usize::from(!required),
        (0, ..) | (_, 0, _) | (.., 0) => 2 + usize::from(!required),
        _ => 4,
    };
    let eq4 = match (sc, si, sa) {
        (_, 0, _) | (.., 0) => 0,
        (1, ..) | (_, 1, _) | (.., 1) => 1,
        _ => 2,
    };
    let eq5 = e as usize;
    let of = |eq1: usize, eq2: usize, eq36: usize, eq4: usize, eq5: usize| {
        let there = eq1 < 3 && eq2 < 2 && eq36 < 5 && eq4 < 3 && eq5 < 3;
        there.then(|| i32::from(SCORES[(eq1 * 2 + eq2) * 5 + eq36][eq4 * 3 + eq5]))
    };
    let own = i32::from(SCORES[(eq1 * 2 + eq2) * 5 + eq36][eq4 * 3 + eq5]);
    let lower36 = match eq36 {
        // 00 has two below it, 01 and 10: the higher counts.
        0 => of(eq1, eq2, 1, eq4, eq5).max(of(eq1, eq2, 2, eq4, eq5)),
        1 => of(eq1, eq2, 3, eq4, eq5),
        _ => of(eq1, eq2, eq36 + 1, eq4, eq5),
    };
    // Of each EQ: the score of the MacroVector below, the distance, and the depth of the own MacroVector.
    let parts = [
        (of(eq1 + 1, eq2, eq36, eq4, eq5), av + pr + ui - [0, 1, 3][eq1], [1, 4, 5][eq1]),
        (of(eq1, eq2 + 1, eq36, eq4, eq5), ac + at - [0, 1][eq2], [1, 2][eq2]),
        (lower36, vc + vi + va + cr + ir + ar - [0, 3, 1, 3, 3][eq36], [7, 6, 8, 8, 10][eq36]),
        (of(eq1, eq2, eq36, eq4 + 1, eq5), sc + si + sa - [1, 3, 6][eq4], [6, 5, 4][eq4]),
        (of(eq1, eq2, eq36, eq4, eq5 + 1), 0, 1),
    ];
    // 840 is a multiple of all depths.
    let (mut unit, mut less) = (0, 0);
    for (below, distance, depth) in parts {
        if let Some(below) = below {
            unit += 840;
            less += (own - below) * distance * (840 / depth);
        }
    }
    // Less the mean over the EQs that have something below, rounded half up.
    let unit = unit.max(1);
    ((own * unit - less + unit / 2) / unit).clamp(0, 100) as u8
}
