//! The tags of a repository, and the versions among them.

use std::collections::HashSet;

use reqwest::header::{HeaderMap, LINK};
use reqwest::{StatusCode, Url};
use semver::{Version, VersionReq};
use serde::Deserialize;

use super::{LARGEST_ANSWER, Registry};
use crate::plugin::source::SourceError;
use crate::plugin::source::web::{Ask, body};

/// How many tags a page should have. Registries may give fewer.
const PAGE: usize = 1_000;
/// More pages are refused: no plugin has so many versions.
const MOST_PAGES: usize = 200;
/// The longest tag that there can be, and how many are kept.
const LONGEST_TAG: usize = 128;
const MOST_TAGS: usize = 100_000;

impl Registry<'_> {
    /// All tags; none: there is no such repository.
    pub(in crate::plugin::source) async fn tags(&self) -> Result<Option<Vec<String>>, SourceError> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let what = format!("the tags of {}", self.reference.bare());
        let garbage = |why: &str| SourceError::Garbage { what: what.clone(), why: why.to_owned() };
        let mut url = self.url(&format!("tags/list?n={PAGE}"))?;
        let (mut tags, mut seen) = (Vec::new(), HashSet::new());
        for _ in 0..MOST_PAGES {
            // A page that leads to itself would have no end.
            if !seen.insert(url.clone()) {
                return Err(garbage("its pages go round in a circle"));
            }
            let response = self.send(Ask::get(url.clone())).await?;
            match response.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND if seen.len() == 1 => return Ok(None),
                _ => return Err(self.refused(response, &what).await),
            }
            let next = next_page(response.headers(), &url);
            let bytes = body(response, &what, LARGEST_ANSWER).await?;
            let page: Page = serde_json::from_slice(&bytes).map_err(|_| garbage("it is no list of tags"))?;
            tags.extend(page.tags.unwrap_or_default().into_iter().filter(|tag| tag.len() <= LONGEST_TAG));
            if tags.len() > MOST_TAGS {
                return Err(garbage("it has too many tags"));
            }
            match next {
                None => return Ok(Some(tags)),
                Some(next) if next.origin() == url.origin() => url = next,
                Some(_) => return Err(garbage("its next page is at another host")),
            }
        }
        Err(garbage("it has too many pages"))
    }
}

/// The page that follows, as RFC 8288 has it: `</v2/x/tags/list?last=a>; rel="next"`.
fn next_page(headers: &HeaderMap, url: &Url) -> Option<Url> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    links.flat_map(|value| value.split(',')).find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters.split(';').any(|one| matches!(one.trim(), r#"rel="next""# | "rel=next"));
        if is_next { url.join(target).ok() } else { None }
    })
}

/// The versions among tags (`1.2.0`, `v1.2.0`) with their tags, the newest first. Others are names that move, as `1.2`.
pub(in crate::plugin::source) fn versions(tags: Vec<String>) -> Vec<(Version, String)> {
    let mut all: Vec<(Version, String)> = tags.into_iter().filter_map(|tag| Some((version(&tag)?, tag))).collect();
    // Of two tags for the same version that without a letter counts.
    all.sort_by(|(one, one_tag), (other, other_tag)| other.cmp(one).then_with(|| one_tag.cmp(other_tag)));
    all.dedup_by(|(later, _), (first, _)| later == first);
    all
}

fn version(tag: &str) -> Option<Version> {
    // A tag can't have a plus; who needs one writes an underscore.
    let text = tag.strip_prefix('v').unwrap_or(tag).replacen('_', "+", 1);
    Version::parse(&text).ok()
}

/// The tag of a version.
pub(in crate::plugin::source) fn tag(version: &Version) -> String {
    version.to_string().replacen('+', "_", 1)
}

/// The newest of these versions that is wanted, with its tag. A prerelease is one only where it is asked for, as cargo
/// has it.
pub fn newest<'a>(versions: &'a [(Version, String)], wanted: &VersionReq) -> Option<&'a (Version, String)> {
    versions.iter().filter(|(version, _)| wanted.matches(version)).max_by(|one, other| one.0.cmp(&other.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tags: &[&str]) -> Vec<(Version, String)> {
        versions(tags.iter().map(|tag| (*tag).to_owned()).collect())
    }

    fn wanted(tags: &[&str], wanted: &str) -> Option<String> {
        let all = of(tags);
        newest(&all, &wanted.parse().unwrap()).map(|(_, tag)| tag.clone())
    }

    #[test]
    fn only_whole_versions_are_versions_and_the_newest_is_first() {
        let tags = ["latest", "1", "1.2", "1.2.0", "v1.10.0", "1.9.0", "sha-1234", "1.10.0-rc.1", "v1.2.0", "1.2.0_7"];
        let shown: Vec<String> = of(&tags).iter().map(|(version, tag)| format!("{version} {tag}")).collect();
        assert_eq!(
            shown,
            ["1.10.0 v1.10.0", "1.10.0-rc.1 1.10.0-rc.1", "1.9.0 1.9.0", "1.2.0+7 1.2.0_7", "1.2.0 1.2.0"]
        );
        assert_eq!(tag(&"1.2.0+7".parse().unwrap()), "1.2.0_7");
    }

    #[test]
    fn the_newest_that_is_wanted_is_taken_and_a_prerelease_only_where_asked() {
        let tags = ["0.2.0", "0.2.7", "0.3.0", "1.0.0-rc.1", "v0.2.9-beta.1"];
        assert_eq!(wanted(&tags, "^0.2").as_deref(), Some("0.2.7"));
        assert_eq!(wanted(&tags, "*").as_deref(), Some("0.3.0"));
        assert_eq!(wanted(&tags, "1.0.0-rc").as_deref(), Some("1.0.0-rc.1"));
        assert_eq!(wanted(&tags, "^1"), None);
        assert_eq!(wanted(&tags, "=0.2.0").as_deref(), Some("0.2.0"));
    }

    #[test]
    fn the_next_page_is_found_however_it_is_written() {
        let url = Url::parse("https://h.io/v2/a/tags/list?n=2").unwrap();
        let next = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.append(LINK, value.parse().unwrap());
            next_page(&headers, &url).map(String::from)
        };
        let expected = Some("https://h.io/v2/a/tags/list?last=b&n=2".to_owned());
        assert_eq!(next(r#"</v2/a/tags/list?last=b&n=2>; rel="next""#), expected);
        assert_eq!(next(r#"<https://h.io/v2/a/tags/list?last=b&n=2>; rel=next; title="x""#), expected);
        assert_eq!(next(r#"</first>; rel="first", </v2/a/tags/list?last=b&n=2>; rel="next""#), expected);
        for none in ["", "</x>", r#"</x>; rel="prev""#, r#"/x; rel="next""#] {
            assert_eq!(next(none), None, "{none}");
        }
    }
}
