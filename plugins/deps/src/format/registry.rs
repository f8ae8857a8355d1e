//! The registries that managers ask where nothing else is said.

use crate::model::Ecosystem;

/// Their hosts, label by label: what only ends like one of them, or begins so, is another one.
const HOSTS: [(Ecosystem, &[&str]); 5] = [
    (Ecosystem::CratesIo, &["index", "crates", "io"]),
    (Ecosystem::Npm, &["registry", "npmjs", "org"]),
    // Yarn's name for the same.
    (Ecosystem::Npm, &["registry", "yarnpkg", "com"]),
    (Ecosystem::PyPI, &["pypi", "org"]),
    (Ecosystem::RubyGems, &["rubygems", "org"]),
];

/// The repository that was cargo's index before: the labels of its host, its owner, and the parts of its name.
const GIT_INDEX: (&[&str], &str, &[&str]) = (&["github", "com"], "rust-lang", &["crates", "io-index"]);

/// Whether an address leads to the registry that the ecosystem's managers ask where nothing else is said.
pub fn is_default(ecosystem: Ecosystem, address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let name = authority.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default();
    let is_host = |labels: &[&str]| {
        let mut parts = name.split('.');
        labels.iter().all(|label| parts.next().is_some_and(|part| part.eq_ignore_ascii_case(label)))
            && parts.next().is_none()
    };
    let (host, owner, repository) = GIT_INDEX;
    let is_index = || {
        let parts = path.trim_matches('/').split_once('/');
        parts.is_some_and(|(of, name)| of == owner && name.split('.').eq(repository.iter().copied()))
    };
    HOSTS.iter().any(|(of, labels)| *of == ecosystem && is_host(labels))
        || ecosystem == Ecosystem::CratesIo && is_host(host) && is_index()
}

#[cfg(test)]
fn git_index() -> String {
    let (host, owner, name) = GIT_INDEX;
    format!("{}/{owner}/{}", host.join("."), name.join("."))
}

/// The hosts of an ecosystem, for tests of what its files say of them.
#[cfg(test)]
pub(crate) fn hosts(ecosystem: Ecosystem) -> Vec<String> {
    let index = (ecosystem == Ecosystem::CratesIo).then(git_index);
    let hosts = HOSTS.iter().filter(|(of, _)| *of == ecosystem).map(|(_, labels)| labels.join("."));
    index.into_iter().chain(hosts).collect()
}

/// A text in which `registry.default` stands for the host of the ecosystem's registry.
#[cfg(test)]
pub(crate) fn with_default(ecosystem: Ecosystem, text: &str) -> String {
    text.replace("registry.default", &hosts(ecosystem)[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_registry_is_known_however_its_address_is_written() {
        for ecosystem in [Ecosystem::CratesIo, Ecosystem::Npm, Ecosystem::PyPI, Ecosystem::RubyGems] {
            for host in hosts(ecosystem) {
                for address in [format!("https://{host}"), format!("https://me:pass@{host}/"), host.clone()] {
                    assert!(is_default(ecosystem, &address), "{address}");
                }
                for address in [
                    format!("https://evil.example/{host}"),
                    format!("https://{host}.evil.example/"),
                    format!("https://{host}@evil.example/"),
                    format!("https://test.{host}/"),
                    format!("https://x{host}/"),
                ] {
                    assert!(!is_default(ecosystem, &address), "{address}");
                }
                assert!(!is_default(Ecosystem::Go, &host), "of another ecosystem");
            }
        }
        let index = git_index();
        let of_another = index.replace("rust-lang", "evil");
        for other in [index.rsplit_once('/').unwrap().0.to_owned(), of_another, format!("{index}/x")] {
            assert!(!is_default(Ecosystem::CratesIo, &other), "{other}");
        }
        assert!(is_default(
            Ecosystem::PyPI,
            &format!("HTTPS://{}:443/simple", hosts(Ecosystem::PyPI)[0].to_uppercase())
        ));
    }
}
