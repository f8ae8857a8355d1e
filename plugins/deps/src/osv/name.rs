//! What a package is called: ecosystems, names and package URLs.

use crate::model::Ecosystem;

/// The ecosystem of an advisory, by the name that the OSV schema gives it; what stands after a colon (a repository, a
/// release) is passed over. None: it is none of those that are read here.
pub fn ecosystem(name: &str) -> Option<Ecosystem> {
    let name = name.split_once(':').map_or(name, |(name, _)| name).trim();
    [
        ("crates.io", Ecosystem::CratesIo),
        ("npm", Ecosystem::Npm),
        ("PyPI", Ecosystem::PyPI),
        ("Go", Ecosystem::Go),
        ("Maven", Ecosystem::Maven),
        ("NuGet", Ecosystem::NuGet),
        ("RubyGems", Ecosystem::RubyGems),
    ]
    .into_iter()
    .find_map(|(known, ecosystem)| known.eq_ignore_ascii_case(name).then_some(ecosystem))
}

/// The name under which a package is looked up: equal for two names that the registry holds for the same.
///
/// PyPI's are normalised as "Names and normalization" of the Python Packaging User Guide says, NuGet's know no case, and
/// crates.io holds no two names that differ only in case, hyphens and underscores. npm's old names do differ by case
/// (`JSONStream`), and those of Go, Maven and RubyGems are taken as they are.
pub fn key(ecosystem: Ecosystem, name: &str) -> String {
    let name = name.trim();
    match ecosystem {
        Ecosystem::PyPI => {
            let mut key = String::with_capacity(name.len());
            for char in name.chars() {
                match char {
                    '-' | '_' | '.' if key.ends_with('-') => {}
                    '-' | '_' | '.' => key.push('-'),
                    char => key.extend(char.to_lowercase()),
                }
            }
            key
        }
        Ecosystem::NuGet => name.to_lowercase(),
        Ecosystem::CratesIo => name.to_ascii_lowercase().replace('_', "-"),
        Ecosystem::Npm | Ecosystem::Go | Ecosystem::Maven | Ecosystem::RubyGems => name.to_owned(),
    }
}

/// The package that a package URL names: `pkg:type/namespace/name@version?qualifiers#subpath`.
pub fn from_purl(purl: &str) -> Option<(Ecosystem, String)> {
    let rest = purl.strip_prefix("pkg:")?.trim_start_matches('/');
    let rest = rest.split(['?', '#']).next()?;
    let (kind, path) = rest.split_once('/')?;
    // A scope's `@` at the start of a part is no version.
    let path = match path.rfind('@') {
        Some(at) if at > 0 && !path[..at].ends_with('/') => &path[..at],
        _ => path,
    };
    let path = unescape(path.trim_matches('/'))?;
    let ecosystem = match kind.to_ascii_lowercase().as_str() {
        "cargo" => Ecosystem::CratesIo,
        "npm" => Ecosystem::Npm,
        "pypi" => Ecosystem::PyPI,
        "golang" => Ecosystem::Go,
        "maven" => Ecosystem::Maven,
        "nuget" => Ecosystem::NuGet,
        "gem" => Ecosystem::RubyGems,
        _ => return None,
    };
    let name = match ecosystem {
        Ecosystem::Maven => path.rsplit_once('/').map(|(group, artifact)| format!("{group}:{artifact}"))?,
        _ => path,
    };
    (!name.is_empty()).then_some((ecosystem, name))
}

/// `%40` is `@`.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let value = digit()? * 16 + digit()?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ecosystem_may_have_a_suffix() {
        assert_eq!(ecosystem("Maven:https://repo.example/maven"), Some(Ecosystem::Maven));
        assert_eq!(ecosystem("crates.io"), Some(Ecosystem::CratesIo));
        assert_eq!(ecosystem("Debian:12"), None);
        assert_eq!(ecosystem(""), None);
    }

    #[test]
    fn names_are_compared_as_their_registry_does() {
        assert_eq!(key(Ecosystem::PyPI, "Zope._-Interface"), "zope-interface");
        assert_eq!(key(Ecosystem::NuGet, "Newtonsoft.Json"), "newtonsoft.json");
        assert_eq!(key(Ecosystem::CratesIo, "serde_JSON"), "serde-json");
        assert_eq!(key(Ecosystem::Npm, "JSONStream"), "JSONStream");
        assert_eq!(key(Ecosystem::Go, "example.com/Module/v2"), "example.com/Module/v2");
    }

    #[test]
    fn a_package_url_names_a_package() {
        let named = |purl| from_purl(purl).map(|(ecosystem, name)| (ecosystem, name.clone()));
        assert_eq!(named("pkg:npm/%40scope/name@1.0.0?x=y"), Some((Ecosystem::Npm, "@scope/name".to_owned())));
        assert_eq!(named("pkg:npm/@scope/name"), Some((Ecosystem::Npm, "@scope/name".to_owned())));
        assert_eq!(named("pkg:maven/org.example/thing"), Some((Ecosystem::Maven, "org.example:thing".to_owned())));
        assert_eq!(named("pkg:golang/example.com/a/b"), Some((Ecosystem::Go, "example.com/a/b".to_owned())));
        assert_eq!(named("pkg:deb/debian/curl"), None);
        assert_eq!(named("pkg:npm/%4"), None);
        assert_eq!(named("pkg:npm/"), None);
        assert_eq!(named("é"), None);
    }
}
