//! One requirement of Python: `name[extra] >=1, <2 ; marker` or `name @ address ; marker` (PEP 508), and what its versions
//! bound (PEP 440).

use super::normal_name;
use crate::format::reading::{is_commit, without_credentials};
use crate::model::{Bound, Origin, Requirement, Scope};

/// What a requirement says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Normalised by PEP 503.
    pub name: String,
    /// The versions as written, without brackets around them.
    pub range: Option<String>,
    /// The address after `@`.
    pub address: Option<String>,
    /// The environment marker, as written.
    pub marker: Option<String>,
}

impl Asked {
    /// As a requirement of a manifest.
    pub fn requirement(self, scope: Scope, line: u32) -> Requirement {
        let origin = self.address.as_deref().map_or(Origin::Registry(None), origin_of);
        Requirement {
            bound: bound_with(self.range.as_deref(), &origin),
            name: self.name,
            range: self.range,
            origin,
            scope,
            line,
            condition: self.marker,
            hashed: false,
        }
    }
}

/// What a range and an origin allow together.
pub fn bound_with(range: Option<&str>, origin: &Origin) -> Bound {
    match (origin, range) {
        (Origin::Git { commit: Some(_), .. } | Origin::Url(_), _) | (Origin::Path(_) | Origin::Workspace, None) => {
            Bound::Exact
        }
        (_, Some(range)) => bound(range).unwrap_or(Bound::Unknown),
        (Origin::Git { commit: None, .. } | Origin::Registry(_), None) => Bound::Open,
    }
}

/// Reads a requirement.
///
/// # Errors
/// What is wrong with it, for people.
pub fn parse(text: &str) -> Result<Asked, String> {
    let text = text.trim();
    let end = text.find(|char: char| !(char.is_ascii_alphanumeric() || "-_.".contains(char))).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if !name.starts_with(|char: char| char.is_ascii_alphanumeric())
        || !name.ends_with(|char: char| char.is_ascii_alphanumeric())
    {
        return Err(format!("{text} does not begin with the name of a package"));
    }
    let rest = after_extras(name, rest.trim_start())?;
    let asked = |range: Option<String>, address: Option<String>, marker: Option<String>| Asked {
        name: normal_name(name),
        range,
        address,
        marker,
    };
    if let Some(address) = rest.strip_prefix('@') {
        // A `;` belongs to the address unless a blank stands before it.
        let (address, marker) = address.trim_start().split_once(char::is_whitespace).unwrap_or((address.trim(), ""));
        let marker = marker.trim();
        if address.is_empty() || !(marker.is_empty() || marker.starts_with(';')) {
            return Err(format!("what stands after the @ of {name} is no address"));
        }
        return Ok(asked(None, Some(address.to_owned()), condition(marker.strip_prefix(';'))));
    }
    let (range, marker) = rest.split_once(';').map_or((rest, None), |(range, marker)| (range, Some(marker)));
    let range = range.trim();
    let range = match range.strip_prefix('(') {
        Some(inner) => inner.strip_suffix(')').ok_or_else(|| format!("the bracket of {name} is not closed"))?.trim(),
        None => range,
    };
    if range.is_empty() {
        return Ok(asked(None, None, condition(marker)));
    }
    if bound(range).is_none() {
        return Err(format!("{range} is no range of versions for {name}"));
    }
    Ok(asked(Some(range.to_owned()), None, condition(marker)))
}

fn condition(marker: Option<&str>) -> Option<String> {
    marker.map(str::trim).filter(|marker| !marker.is_empty()).map(str::to_owned)
}

/// What follows the extras.
fn after_extras<'a>(name: &str, rest: &'a str) -> Result<&'a str, String> {
    let Some(inner) = rest.strip_prefix('[') else { return Ok(rest) };
    let (extras, rest) = inner.split_once(']').ok_or_else(|| format!("the extras of {name} are not closed"))?;
    let fits = |char: char| char.is_ascii_alphanumeric() || "-_., ".contains(char);
    if extras.chars().all(fits) { Ok(rest.trim_start()) } else { Err(format!("{extras} are no extras of {name}")) }
}

/// What a set of version specifiers allows (PEP 440). None: it is none.
pub fn bound(range: &str) -> Option<Bound> {
    let mut bound = Bound::Open;
    for clause in range.split(',').map(str::trim).filter(|clause| !clause.is_empty()) {
        let operator = ["===", "~=", "==", "!=", "<=", ">=", "<", ">"].into_iter().find(|op| clause.starts_with(op))?;
        let version = clause.strip_prefix(operator)?.trim();
        let fits = |char: char| char.is_ascii_alphanumeric() || ".*+!-_".contains(char);
        if version.is_empty()
            || !(operator == "===" || version.chars().all(fits))
            || version.contains(char::is_whitespace)
        {
            return None;
        }
        match operator {
            "===" => bound = Bound::Exact,
            "==" if !version.ends_with(".*") && version != "*" => bound = Bound::Exact,
            "==" | "~=" | "<" | "<=" if bound == Bound::Open && version != "*" => bound = Bound::Bounded,
            _ => {}
        }
    }
    Some(bound)
}

/// The version that a range pins, if it pins one.
pub fn pinned(range: &str) -> Option<&str> {
    range.split(',').map(str::trim).find_map(|clause| {
        let version = clause.strip_prefix("===").or_else(|| clause.strip_prefix("=="))?.trim();
        (!version.ends_with(".*") && version != "*").then_some(version)
    })
}

/// The origin that an address stands for: a repository (`git+https://…@revision#egg=name`), a file, an archive.
pub fn origin_of(address: &str) -> Origin {
    let plain = address.split('#').next().unwrap_or_default();
    if let Some(git) = plain.strip_prefix("git+").or_else(|| plain.starts_with("git://").then_some(plain)) {
        let start = git.find("://").map_or(0, |at| at + 3);
        // The user of `ssh://git@host` is no revision: only what follows the host may hold one.
        let path = git.get(start..).and_then(|rest| rest.find('/')).map_or(git.len(), |at| start + at);
        let at = git.get(path..).and_then(|rest| rest.rfind('@')).map(|at| path + at);
        let (url, revision) = match at {
            Some(at) => (git.get(..at).unwrap_or(git), git.get(at + 1..)),
            None => (git, None),
        };
        return self::git(url, revision);
    }
    match plain.strip_prefix("file:") {
        Some(path) => path_of(path.strip_prefix("//").unwrap_or(path)),
        None => Origin::Url(without_credentials(plain)),
    }
}

/// A folder or file, and the project itself where the path leads nowhere else.
pub fn path_of(path: &str) -> Origin {
    match path {
        "." | "./" => Origin::Workspace,
        path => Origin::Path(path.to_owned()),
    }
}

/// A repository. Only a full commit fixes what is in it.
pub fn git(url: &str, revision: Option<&str>) -> Origin {
    let commit = revision.filter(|revision| is_commit(revision)).map(str::to_owned);
    Origin::Git { url: without_credentials(url), commit }
}

/// Name and version in the file name of a wheel (`name-1.0-py3-none-any.whl`) or of a source archive (`name-1.0.tar.gz`).
pub fn archive(file: &str) -> Option<(String, String)> {
    let file = file.split(['#', '?']).next()?.rsplit(['/', '\\']).next()?;
    let (name, version) = match file.strip_suffix(".whl") {
        Some(stem) => {
            let mut parts = stem.split('-');
            let found = (parts.next()?, parts.next()?);
            // Tags of Python, ABI and platform, and at most a build number before them.
            matches!(parts.count(), 3 | 4).then_some(found)?
        }
        None => SOURCES.iter().find_map(|end| file.strip_suffix(end))?.rsplit_once('-')?,
    };
    let fits = !name.is_empty() && version.starts_with(|char: char| char.is_ascii_digit());
    fits.then(|| (normal_name(name), version.replace("%2B", "+")))
}

/// The ends of source archives that pip takes.
const SOURCES: [&str; 7] = [".tar.gz", ".zip", ".tgz", ".tar.bz2", ".tar.xz", ".tar", ".tbz"];

/// Whether a name is that of an archive that pip takes.
pub fn is_archive(file: &str) -> bool {
    file.ends_with(".whl") || SOURCES.iter().any(|end| file.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str, range: Option<&str>, address: Option<&str>, marker: Option<&str>) -> Asked {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Asked { name: name.to_owned(), range: owned(range), address: owned(address), marker: owned(marker) }
    }

    #[test]
    fn a_requirement_has_name_extras_range_and_marker() {
        let cases = [
            ("requests", asked("requests", None, None, None)),
            ("Flask_Login == 1.0", asked("flask-login", Some("== 1.0"), None, None)),
            ("a[x, y]>=1,<2", asked("a", Some(">=1,<2"), None, None)),
            ("a (>=1)", asked("a", Some(">=1"), None, None)),
            ("a>=1;python_version<'3.9'", asked("a", Some(">=1"), None, Some("python_version<'3.9'"))),
            ("a ; os_name == 'nt'", asked("a", None, None, Some("os_name == 'nt'"))),
            (
                "a[x] @ https://files.example/a;b.zip ; extra == 'x'",
                asked("a", None, Some("https://files.example/a;b.zip"), Some("extra == 'x'")),
            ),
            ("a@https://files.example/a.zip", asked("a", None, Some("https://files.example/a.zip"), None)),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).as_ref(), Ok(&expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_requirement_is_refused() {
        for text in
            ["", "-a", "a b", "a[x", "a[$]", "a = 1", "a >= ", "a (>=1", "a @", "a @ x y", "é", "a==1 b", "a-", "==1"]
        {
            assert!(parse(text).is_err(), "{text}: {:?}", parse(text));
        }
    }

    #[test]
    fn bounds_are_those_of_pep_440() {
        for (range, expected) in [
            ("==1.0", Bound::Exact),
            ("===1.0-odd", Bound::Exact),
            ("==1.0,!=2", Bound::Exact),
            ("==1.*", Bound::Bounded),
            ("~=1.4.2", Bound::Bounded),
            (">=1,<2", Bound::Bounded),
            ("<=2", Bound::Bounded),
            (">=1", Bound::Open),
            (">1,!=1.5", Bound::Open),
            ("==*", Bound::Open),
        ] {
            assert_eq!(bound(range), Some(expected), "{range}");
        }
        assert_eq!(bound("1.0"), None);
        assert_eq!(bound("=>1.0"), None);
    }

    #[test]
    fn only_a_full_commit_fixes_a_repository() {
        let commit = "a".repeat(40);
        let git =
            |url: &str, commit: Option<&str>| Origin::Git { url: url.to_owned(), commit: commit.map(str::to_owned) };
        assert_eq!(origin_of("git+https://git.example/x.git@main#egg=x"), git("https://git.example/x.git", None));
        assert_eq!(
            origin_of(&format!("git+ssh://git@git.example/x.git@{commit}")),
            git("ssh://git@git.example/x.git", Some(&commit))
        );
        assert_eq!(origin_of("git+ssh://git@git.example/x.git"), git("ssh://git@git.example/x.git", None));
        assert_eq!(origin_of("file:///opt/x"), Origin::Path("/opt/x".to_owned()));
        assert_eq!(origin_of("git+"), git("", None));
        let bound = |address: &str| bound_with(None, &origin_of(address));
        assert_eq!(bound("git+https://git.example/x@v1"), Bound::Open);
        assert_eq!(bound("https://files.example/x-1.zip"), Bound::Exact);
    }

    #[test]
    fn a_wheel_has_name_and_version_in_its_file_name() {
        let found = |file: &str| archive(file).map(|(name, version)| format!("{name} {version}"));
        assert_eq!(found("https://files.example/My_Pkg-1.0-py3-none-any.whl#sha256=0").as_deref(), Some("my-pkg 1.0"));
        assert_eq!(found("./a-b-2.0.tar.gz").as_deref(), Some("a-b 2.0"));
        assert_eq!(found("main.zip"), None);
        assert_eq!(found("a-main.zip"), None);
        assert_eq!(found("a-1.whl"), None);
    }
}
