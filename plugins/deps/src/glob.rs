//! The globs by which a workspace names its members.

/// Whether a folder fits a glob: `*` and `?` within a part of the path, `**` for any parts, and `{a,b}`. In time linear in both
/// for each star.
pub fn fits(glob: &str, folder: &str) -> bool {
    alternatives(glob).iter().any(|glob| {
        let parts = |text: &str| -> Vec<String> {
            text.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
        };
        parts_fit(&parts(glob), &parts(folder))
    })
}

/// A table instead of a recursion, so that no glob takes long.
fn parts_fit(glob: &[String], path: &[String]) -> bool {
    let mut row: Vec<bool> = std::iter::once(true).chain(path.iter().map(|_| false)).collect();
    for wanted in glob {
        let mut next = vec![false; path.len() + 1];
        if wanted == "**" {
            let mut seen = false;
            for (to, from) in next.iter_mut().zip(&row) {
                seen |= *from;
                *to = seen;
            }
        } else {
            for ((to, from), part) in next.iter_mut().skip(1).zip(&row).zip(path) {
                *to = *from && part_fits(wanted.as_bytes(), part.as_bytes());
            }
        }
        row = next;
    }
    row.last().copied().unwrap_or(false)
}

/// The usual walk that goes back to the last star only.
fn part_fits(glob: &[u8], part: &[u8]) -> bool {
    let (mut at, mut from, mut back) = (0, 0, None);
    while from < part.len() {
        match glob.get(at) {
            Some(b'*') => {
                back = Some((at, from));
                at += 1;
            }
            Some(byte) if *byte == b'?' || part.get(from) == Some(byte) => {
                at += 1;
                from += 1;
            }
            _ => match back {
                Some((star, start)) => {
                    back = Some((star, start + 1));
                    at = star + 1;
                    from = start + 1;
                }
                None => return false,
            },
        }
    }
    glob.get(at..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

/// `a/{b,c}` as `a/b` and `a/c`: one pair of braces, which is all that is used.
fn alternatives(glob: &str) -> Vec<String> {
    let Some((before, rest)) = glob.split_once('{') else { return vec![glob.to_owned()] };
    let Some((inside, after)) = rest.split_once('}') else { return vec![glob.to_owned()] };
    inside.split(',').take(100).map(|one| format!("{before}{one}{after}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_named_by_folders_and_globs() {
        for (glob, folder) in [
            ("packages/*", "packages/a"),
            ("./packages/*/", "packages/a"),
            ("**", "a/b/c"),
            ("apps/**", "apps"),
            ("apps/**/x", "apps/a/b/x"),
            ("crates/conv?ke-*", "crates/convoke-sdk"),
            ("{apps,libs}/*", "libs/a"),
            ("a*b*c", "aXbYc"),
        ] {
            assert!(fits(glob, folder), "{glob} {folder}");
        }
        for (glob, folder) in
            [("packages/*", "packages/a/b"), ("packages/*", "packages"), ("a", "b"), ("a*b", "ac"), ("{a", "a")]
        {
            assert!(!fits(glob, folder), "{glob} {folder}");
        }
    }

    #[test]
    fn no_glob_takes_long() {
        let (glob, folder) = ("*a".repeat(200), "a".repeat(20_000));
        assert!(fits(&glob, &folder));
        assert!(!fits(&format!("{glob}b"), &folder));
        assert!(fits(&"**/".repeat(1_000), &"a/".repeat(1_000)));
    }
}
