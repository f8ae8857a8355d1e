//! What a dependency of npm, yarn or pnpm can be beside a range: an alias, a folder, a repository, an archive.

use super::super::cargo::is_commit;
use super::super::registry::is_default;
use super::range;
use crate::model::{Bound, Ecosystem, Origin};

/// Where an address without more words means a repository.
const REPOSITORIES: [&str; 3] = ["github.com", "gitlab.com", "bitbucket.org"];

/// The short names of these hosts.
const SHORT: [&str; 4] = ["github:", "gitlab:", "bitbucket:", "gist:"];

/// What stands beside a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Another package's name, where the dependency only calls it so.
    pub name: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
    /// What it allows.
    pub bound: Bound,
    /// The catalog that says the rest; `default` where it has no name.
    pub catalog: Option<String>,
}

impl Spec {
    fn new(origin: Origin, bound: Bound) -> Self {
        Self { name: None, origin, bound, catalog: None }
    }
}

/// Reads what stands beside a name.
pub fn spec(text: &str) -> Spec {
    let text = text.trim();
    let (protocol, rest) = match text.split_once(':') {
        Some((protocol, rest)) if !protocol.is_empty() && protocol.bytes().all(is_scheme) => (protocol, rest),
        _ => ("", text),
    };
    match protocol {
        "npm" => aliased(rest),
        "workspace" => Spec::new(Origin::Workspace, Bound::Inherited),
        "catalog" => {
            let name = if rest.trim().is_empty() { "default" } else { rest.trim() };
            Spec { catalog: Some(name.to_owned()), ..Spec::new(Origin::Registry(None), Bound::Unknown) }
        }
        "file" | "link" | "portal" | "exec" => Spec::new(Origin::Path(rest.to_owned()), Bound::Exact),
        // `patch:NAME@RANGE#FILE`: what is patched, its own sign escaped.
        "patch" => patched(rest),
        "jsr" => Spec { origin: Origin::Registry(Some("jsr".to_owned())), ..aliased(rest) },
        _ if is_repository(text) => repository(text),
        "http" | "https" => Spec::new(Origin::Url(text.to_owned()), Bound::Exact),
        _ if is_path(text) => Spec::new(Origin::Path(text.to_owned()), Bound::Exact),
        _ => Spec::new(Origin::Registry(None), range::bound(text)),
    }
}

fn is_scheme(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)
}

/// `NAME@RANGE`, `NAME`, or only a range, as berry writes it.
fn aliased(text: &str) -> Spec {
    let (name, range) = split(text);
    let Some(range) = range else {
        // A name alone stands for any version; yarn's `npm:^1` has no name.
        let is_name = text.starts_with('@') || range::bound(text) == Bound::Unknown;
        return if is_name {
            Spec { name: Some(name.to_owned()), ..Spec::new(Origin::Registry(None), Bound::Open) }
        } else {
            Spec::new(Origin::Registry(None), range::bound(text))
        };
    };
    Spec { name: Some(name.to_owned()), ..Spec::new(Origin::Registry(None), range::bound(range)) }
}

fn patched(text: &str) -> Spec {
    let inner = text.split_once('#').map_or(text, |(inner, _)| inner);
    let inner = unescaped(inner);
    let (_, range) = split(&inner);
    let range = range.unwrap_or("");
    Spec::new(Origin::Registry(None), range::bound(range.strip_prefix("npm:").unwrap_or(range)))
}

/// Without the escapes that yarn puts into addresses inside of addresses.
pub(super) fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let digits = more.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = more.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A name with its scope, and what stands after the `@`.
pub fn split(text: &str) -> (&str, Option<&str>) {
    let from = usize::from(text.starts_with('@'));
    match text.get(from..).and_then(|rest| rest.find('@')) {
        Some(at) => (text.get(..from + at).unwrap_or(text), text.get(from + at + 1..)),
        None => (text, None),
    }
}

fn is_path(text: &str) -> bool {
    let archive = [".tgz", ".tar.gz", ".tar"].iter().any(|end| text.ends_with(end));
    text == "."
        || text == ".."
        || text.starts_with(['/', '\\'])
        || ["./", "../", "~/"].iter().any(|s| text.starts_with(s))
        || archive
}

fn is_repository(text: &str) -> bool {
    if text.starts_with("git+") || text.starts_with("git:") || text.starts_with("git@") || text.starts_with("ssh:") {
        return true;
    }
    if SHORT.iter().any(|short| text.starts_with(short)) {
        return true;
    }
    let bare = text.split_once('#').map_or(text, |(bare, _)| bare);
    if let Some(rest) = bare.strip_prefix("https://").or_else(|| bare.strip_prefix("http://")) {
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        // `HOST/OWNER/NAME`; an archive has a longer path.
        let short = path.trim_end_matches('/').split('/').count() == 2;
        return bare.ends_with(".git") || (REPOSITORIES.contains(&host) && short);
    }
    // `OWNER/NAME` is a repository of GitHub's.
    let mut parts = bare.split('/');
    let fits = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '@', '~'])
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    matches!((parts.next(), parts.next(), parts.next()), (Some(owner), Some(name), None) if fits(owner) && fits(name))
        && !is_path(bare)
}

fn repository(text: &str) -> Spec {
    let (url, fragment) = text.split_once('#').unwrap_or((text, ""));
    // yarn writes `#commit=…`, `#tag=…`, and puts `&workspace=…` beside it.
    let fragment = fragment.split('&').find(|part| !part.starts_with("workspace=")).unwrap_or("");
    let fragment = fragment.strip_prefix("commit=").unwrap_or(fragment);
    let commit = is_commit(fragment).then(|| fragment.to_owned());
    let bound = match fragment.strip_prefix("semver:").or_else(|| fragment.strip_prefix("semver=")) {
        Some(range) => range::bound(range),
        None if commit.is_some() => Bound::Exact,
        None => Bound::Open,
    };
    Spec::new(Origin::Git { url: url.to_owned(), commit }, bound)
}

/// Where a package of a lockfile was taken from, by its address there.
pub fn resolved(name: &str, address: &str) -> Origin {
    let bare = address.split_once('#').map_or(address, |(bare, _)| bare);
    if let Some(path) = bare.strip_prefix("file:") {
        return Origin::Path(path.to_owned());
    }
    let Some((_, rest)) = bare.split_once("://") else {
        return if is_repository(address) { repository(address).origin } else { Origin::Path(bare.to_owned()) };
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if is_repository(address) {
        return repository(address).origin;
    }
    // GitHub's archive of a commit: `HOST/OWNER/NAME/tar.gz/COMMIT`.
    if let Some((url, commit)) = bare.split_once("/tar.gz/")
        && is_commit(commit)
    {
        return Origin::Git { url: url.to_owned(), commit: Some(commit.to_owned()) };
    }
    if is_default(Ecosystem::Npm, bare) {
        return Origin::Registry(None);
    }
    // Registries answer below `NAME/-/`, GitHub's below `download/NAME/`.
    let at = path.find("/-/").or_else(|| path.starts_with("download/").then_some(0));
    let Some(at) = at else { return Origin::Url(address.to_owned()) };
    let before = path.get(..at).unwrap_or("");
    let escaped = name.replace('/', "%2f");
    let before = before.strip_suffix(name).or_else(|| before.strip_suffix(&*escaped)).unwrap_or(before);
    let scheme = bare.split_once("://").map_or("", |(scheme, _)| scheme);
    Origin::Registry(Some(format!("{scheme}://{host}/{before}").trim_end_matches('/').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn git(url: &str, commit: Option<&str>) -> Origin {
        Origin::Git { url: url.to_owned(), commit: commit.map(str::to_owned) }
    }

    #[test]
    fn what_stands_beside_a_name_is_told_apart() {
        let path = |path: &str| Origin::Path(path.to_owned());
        for (text, origin, bound) in [
            ("^1.2", Origin::Registry(None), Bound::Bounded),
            ("latest", Origin::Registry(None), Bound::Open),
            ("npm:^1", Origin::Registry(None), Bound::Bounded),
            ("npm:x@1.0.0", Origin::Registry(None), Bound::Exact),
            ("workspace:*", Origin::Workspace, Bound::Inherited),
            ("file:../x", path("../x"), Bound::Exact),
            ("link:./x", path("./x"), Bound::Exact),
            ("portal:x", path("x"), Bound::Exact),
            ("./x", path("./x"), Bound::Exact),
            ("x.tgz", path("x.tgz"), Bound::Exact),
            ("/x", path("/x"), Bound::Exact),
            ("patch:x@npm%3A^1.2#./p.patch", Origin::Registry(None), Bound::Bounded),
            ("git+https://git.example/x.git#main", git("git+https://git.example/x.git", None), Bound::Open),
            ("git@git.example:o/x.git", git("git@git.example:o/x.git", None), Bound::Open),
            ("git+ssh://git@git.example/x#semver:^1", git("git+ssh://git@git.example/x", None), Bound::Bounded),
            ("https://git.example/o/x.git", git("https://git.example/o/x.git", None), Bound::Open),
            ("https://github.com/o/x", git("https://github.com/o/x", None), Bound::Open),
            (
                "https://github.com/o/x/archive/v1.zip",
                Origin::Url("https://github.com/o/x/archive/v1.zip".into()),
                Bound::Exact,
            ),
            ("https://files.example/x-1.tgz", Origin::Url("https://files.example/x-1.tgz".into()), Bound::Exact),
            ("owner/name", git("owner/name", None), Bound::Open),
            ("github:owner/name#v1", git("github:owner/name", None), Bound::Open),
            ("what:ever", Origin::Registry(None), Bound::Unknown),
        ] {
            let found = spec(text);
            assert_eq!((found.origin, found.bound), (origin, bound), "{text}");
        }
        assert_eq!(spec(&format!("owner/name#{COMMIT}")).origin, git("owner/name", Some(COMMIT)));
        let berry = spec(&format!("git@git.example:o/x.git#workspace=x&commit={COMMIT}"));
        assert_eq!((berry.origin, berry.bound), (git("git@git.example:o/x.git", Some(COMMIT)), Bound::Exact));
    }

    #[test]
    fn an_alias_says_whose_name_it_is() {
        let name = |text: &str| spec(text).name;
        assert_eq!(name("npm:@s/real@^1").as_deref(), Some("@s/real"));
        assert_eq!(name("npm:real@1").as_deref(), Some("real"));
        assert_eq!(name("npm:@s/real").as_deref(), Some("@s/real"));
        assert_eq!(name("npm:^1.0"), None);
        assert_eq!(name("^1.0"), None);
        assert_eq!(split("@s/real@npm:@t/other@1"), ("@s/real", Some("npm:@t/other@1")));
        assert_eq!(split("@"), ("@", None));
        assert_eq!(unescaped("a%3Ab%2fc%4%zz%C3%A9%"), "a:b/c%4%zzé%");
    }

    #[test]
    fn an_address_of_a_lockfile_tells_the_registry() {
        let registry = |of: Option<&str>| Origin::Registry(of.map(str::to_owned));
        for host in crate::format::registry::hosts(Ecosystem::Npm) {
            assert_eq!(resolved("a", &format!("https://{host}/a/-/a-1.0.0.tgz#00")), registry(None));
        }
        let own = "https://registry.example/npm/@s/a/-/a-1.0.0.tgz";
        assert_eq!(resolved("@s/a", own), registry(Some("https://registry.example/npm")));
        let escaped = "https://registry.example/@s%2fa/-/a-1.0.0.tgz";
        assert_eq!(resolved("@s/a", escaped), registry(Some("https://registry.example")));
        let download = "https://registry.example/download/@s/a/1.0.0/00";
        assert_eq!(resolved("@s/a", download), registry(Some("https://registry.example")));
        assert_eq!(resolved("a", "https://files.example/a.tgz"), Origin::Url("https://files.example/a.tgz".into()));
        assert_eq!(resolved("a", "file:../a.tgz"), Origin::Path("../a.tgz".into()));
        let ssh = format!("git+ssh://git@git.example/o/a.git#{COMMIT}");
        assert_eq!(resolved("a", &ssh), git("git+ssh://git@git.example/o/a.git", Some(COMMIT)));
        let archive = format!("https://code.example/o/a/tar.gz/{COMMIT}");
        assert_eq!(resolved("a", &archive), git("https://code.example/o/a", Some(COMMIT)));
    }

    #[test]
    fn no_text_makes_it_panic() {
        super::super::super::testing::pieces(
            &[
                "npm:", "@", "/", "a", "git+", "#", "https://", ".", "..", "é", ":", "%3A", "^1", "/-/", "patch:", " ",
                "&",
            ],
            |text| {
                spec(text);
                resolved("a", text);
                split(text);
                unescaped(text);
            },
        );
    }
}
