//! How often something is measured.

use crate::support::{Failed, bounds_count};

/// What `--rounds` says; else so many where the bounds count, and two where it is only tried.
pub(crate) fn rounds(counted: usize) -> Result<usize, Failed> {
    let mut words = std::env::args().skip_while(|word| word != "--rounds").skip(1);
    let rounds = match words.next() {
        Some(rounds) => rounds.parse()?,
        None if bounds_count() => counted,
        None => 2,
    };
    if rounds == 0 { Err("rounds must be above 0".into()) } else { Ok(rounds) }
}
