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

/// The repository that was cargo's index before: its host, owner and name.
const GIT_INDEX: [&str; 3] = ["github.com", "rust-lang", "crates.io-index"];

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
    let [host, of_index @ ..] = GIT_INDEX;
    HOSTS.iter().any(|(of, labels)| *of == ecosystem && is_host(labels))
        || ecosystem == Ecosystem::CratesIo
            && name.eq_ignore_ascii_case(host)
            && path.trim_matches('/').split('/').eq(of_index)
}

/// The hosts of an ecosystem, for tests of what its files say of them.
#[cfg(test)]
pub(crate) fn hosts(ecosystem: Ecosystem) -> Vec<String> {
    let index = (ecosystem == Ecosystem::CratesIo).then(|| GIT_INDEX.join("/"));
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
        let [host, owner, name] = GIT_INDEX;
        for other in [format!("{host}/{owner}"), format!("{host}/evil/{name}"), format!("{host}/{owner}/{name}/x")] {
            assert!(!is_default(Ecosystem::CratesIo, &other), "{other}");
        }
        assert!(is_default(
            Ecosystem::PyPI,
            &format!("HTTPS://{}:443/simple", hosts(Ecosystem::PyPI)[0].to_uppercase())
        ));
    }
}
