//! Package URLs (ECMA-427, and its definitions of types).

use crate::model::Ecosystem;

/// The package URL of a package. A qualifier says that it is not the one of the usual registry.
pub fn purl(ecosystem: Ecosystem, name: &str, version: Option<&str>, qualifier: Option<(&str, String)>) -> String {
    let (kind, lower) = match ecosystem {
        Ecosystem::CratesIo => ("cargo", false),
        Ecosystem::Npm => ("npm", true),
        Ecosystem::PyPI => ("pypi", true),
        Ecosystem::Go => ("golang", true),
        Ecosystem::Maven => ("maven", false),
        Ecosystem::NuGet => ("nuget", false),
        Ecosystem::RubyGems => ("gem", false),
    };
    let name = if lower { name.to_lowercase() } else { name.to_owned() };
    let name = match ecosystem {
        Ecosystem::PyPI => name.replace('_', "-"),
        Ecosystem::Maven => name.replacen(':', "/", 1),
        _ => name,
    };
    let mut url = format!("pkg:{kind}");
    for part in name.split('/').filter(|part| !part.is_empty()) {
        url.push('/');
        encode(&mut url, part, "");
    }
    if let Some(version) = version.filter(|version| !version.is_empty()) {
        url.push('@');
        encode(&mut url, version, ":");
    }
    if let Some((key, value)) = qualifier {
        url.push('?');
        url.push_str(key);
        url.push('=');
        encode(&mut url, &value, ":/");
    }
    url
}

/// The group and the name that CycloneDX has apart: npm's scope, Maven's group.
pub(super) fn group_and_name(ecosystem: Ecosystem, name: &str) -> (Option<String>, String) {
    let parts = match ecosystem {
        Ecosystem::Npm if name.starts_with('@') => name.split_once('/'),
        Ecosystem::Maven => name.split_once(':'),
        _ => None,
    };
    match parts {
        Some((group, name)) if !group.is_empty() && !name.is_empty() => (Some(group.to_owned()), name.to_owned()),
        _ => (None, name.to_owned()),
    }
}

/// All bytes but those that have no meaning of their own in an address (RFC 3986, 2.3), and the ones given.
fn encode(url: &mut String, text: &str, plain: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || plain.as_bytes().contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ecosystem_has_its_own_writing() {
        for (ecosystem, name, version, expected) in [
            (Ecosystem::CratesIo, "serde_json", "1.0.0+build", "pkg:cargo/serde_json@1.0.0%2Bbuild"),
            (Ecosystem::Npm, "@angular/core", "12.3.1", "pkg:npm/%40angular/core@12.3.1"),
            (Ecosystem::Npm, "left-pad", "1.0.0", "pkg:npm/left-pad@1.0.0"),
            (Ecosystem::PyPI, "Typing_Extensions", "4.0", "pkg:pypi/typing-extensions@4.0"),
            (Ecosystem::PyPI, "x", "1!2.0+local", "pkg:pypi/x@1%212.0%2Blocal"),
            (
                Ecosystem::Go,
                "github.com/Masterminds/semver/v3",
                "v3.2.1",
                "pkg:golang/github.com/masterminds/semver/v3@v3.2.1",
            ),
            (Ecosystem::Maven, "org.apache:commons-io", "1.4", "pkg:maven/org.apache/commons-io@1.4"),
            (Ecosystem::NuGet, "Newtonsoft.Json", "13.0.1", "pkg:nuget/Newtonsoft.Json@13.0.1"),
            (Ecosystem::RubyGems, "rails", "7.0.0", "pkg:gem/rails@7.0.0"),
        ] {
            assert_eq!(purl(ecosystem, name, Some(version), None), expected);
        }
    }

    #[test]
    fn a_name_can_not_become_another_part() {
        assert_eq!(purl(Ecosystem::CratesIo, "a@b?c#d", Some("1?x"), None), "pkg:cargo/a%40b%3Fc%23d@1%3Fx");
        assert_eq!(purl(Ecosystem::CratesIo, "ä", None, None), "pkg:cargo/%C3%A4");
    }

    #[test]
    fn what_is_not_of_the_registry_says_so() {
        let qualifier = Some(("vcs_url", "git+https://git.example/a.git@abc".to_owned()));
        assert_eq!(
            purl(Ecosystem::CratesIo, "a", Some("1"), qualifier),
            "pkg:cargo/a@1?vcs_url=git%2Bhttps://git.example/a.git%40abc"
        );
    }
}
