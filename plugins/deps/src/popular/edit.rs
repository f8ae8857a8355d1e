//! Whether one name is a slip of the finger from another one.

/// The fewest letters and digits of a name in which a single other letter is a slip: of shorter ones too many are honest.
const FEWEST: usize = 5;
/// The same where it is the first one, which people seldom miss and honest names often differ in (`preact`).
const FEWEST_AT_START: usize = 9;

/// Whether one letter more, less or another, or two that are swapped, make one name of the other. A digit is a version and no
/// slip, unless it looks like the letter.
pub(super) fn is_slip(name: &str, known: &str) -> bool {
    let (name, known): (Vec<char>, Vec<char>) = (name.chars().collect(), known.chars().collect());
    let letters = known.iter().filter(|char| char.is_alphanumeric()).count();
    let start = name.iter().zip(&known).take_while(|(one, other)| one == other).count();
    let shorter = name.len().min(known.len());
    let ends = name.iter().rev().zip(known.iter().rev()).take_while(|(one, other)| one == other).count();
    // What is common at the start is not counted again at the end.
    let end = ends.min(shorter - start);
    let between = |chars: &[char]| chars.get(start..chars.len() - end).unwrap_or_default().to_vec();
    let is_long = letters >= if start == 0 { FEWEST_AT_START } else { FEWEST };
    match (between(&name).as_slice(), between(&known).as_slice()) {
        ([one], []) | ([], [one]) => !one.is_ascii_digit() && is_long,
        ([one], [other]) => !one.is_ascii_digit() && !other.is_ascii_digit() && is_long,
        ([a, b], [c, d]) => (a, b) == (d, c) && !(a.is_ascii_digit() && b.is_ascii_digit()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_is_one_and_two_are_none() {
        for (name, expected) in [
            ("express", false),
            ("expresss", true),
            ("expres", true),
            ("exprass", true),
            ("exrpess", true),
            ("xepress", true),
            ("xpress", false),
            ("dexpress", false),
            ("express5", false),
            ("exprecc", false),
            ("sserpxe", false),
            ("", false),
        ] {
            assert_eq!(is_slip(name, "express"), expected, "{name}");
        }
        assert!(is_slip("ebsocket-client", "websocket-client"));
        assert!(!is_slip("joim", "joi") && !is_slip("nuxt", "next") && is_slip("nxet", "next"));
        assert!(!is_slip("base46", "base64"));
    }
}
