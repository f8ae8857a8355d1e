//! What somebody probably meant who wrote a name that there is not.

/// The known name that is nearest to a mistyped one, if any is near: at most a third of it is different.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing takes the product of the lengths, and no name is that long.
    if name.len() > LONGEST {
        return None;
    }
    known
        .into_iter()
        .filter(|known| known.len() <= 2 * LONGEST)
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, known)| *distance <= (known.chars().count() / 3).max(1))
        .min()
        .map(|(_, known)| known)
}

/// In bytes.
const LONGEST: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_meant_and_what_is_not_is_not() {
        assert_eq!(nearest("src/lbi.rs", ["src/main.rs", "src/lib.rs"]), Some("src/lib.rs"));
        assert_eq!(nearest("nobody", ["orphan"]), None);
        assert_eq!(nearest(&"x".repeat(1_000), ["x"]), None);
    }
}
