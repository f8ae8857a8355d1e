//! OSV's JSON: the Open Source Vulnerability schema, up to 1.7. Unknown fields are passed over, `null` is nothing.

use super::fields::{list, text, texts};
use super::{Advisory, Affected, Broken, Event, Only, Range, address, kept, name};
use crate::cvss::{self, Rating};
use crate::format::json;
use crate::format::tree::{Node, Value};

/// Reads one advisory.
///
/// # Errors
/// What is no JSON, has no `id`, or has a field of another type than the schema says.
pub fn read(text: &str) -> Result<Advisory, Broken> {
    advisory(&document(text)?)
}

/// Reads a file of one advisory, of a list of them, or an answer of the OSV API (`vulns`). Those that are broken stand
/// beside those that aren't.
///
/// # Errors
/// What is no JSON at all, or none of these.
pub fn read_all(text: &str) -> Result<Vec<Result<Advisory, Broken>>, Broken> {
    let root = document(text)?;
    let several = match &root.value {
        Value::List(nodes) => Some(nodes.as_slice()),
        _ if root.get("id").is_none() => root.get("vulns").map(Node::list),
        _ => None,
    };
    match several {
        Some(nodes) => Ok(nodes.iter().map(advisory).collect()),
        None => Ok(vec![Ok(advisory(&root)?)]),
    }
}

fn document(text: &str) -> Result<Node<'_>, Broken> {
    let document = json::read(text).map_err(|broken| not_osv(Some(broken.line), &broken.message))?;
    Ok(document.root)
}

fn not_osv(line: Option<u32>, message: &str) -> Broken {
    Broken::new(line, &format!("not an advisory of OSV: {message}"))
}

fn advisory(wire: &Node<'_>) -> Result<Advisory, Broken> {
    fields(wire).map_err(|broken| not_osv(broken.line, &broken.message))
}

fn fields(wire: &Node<'_>) -> Result<Advisory, Broken> {
    let Some(id) = text(wire, "id")?.map(kept).filter(|id| !id.is_empty()) else {
        return Err(Broken::new(Some(wire.line), "it has no `id`"));
    };
    let rating = rating(wire)?;
    let details = text(wire, "details")?.unwrap_or_default();
    let first = details.lines().map(|line| line.trim_start_matches('#')).find(|line| !line.trim().is_empty());
    let summary = text(wire, "summary")?.filter(|summary| !summary.trim().is_empty()).or(first).unwrap_or_default();
    let aliases = texts(wire, "aliases")?;
    let affected: Vec<Option<Affected>> = list(wire, "affected")?.iter().map(affected).collect::<Result<_, _>>()?;
    Ok(Advisory {
        aliases: aliases.iter().map(|alias| kept(alias)).filter(|alias| *alias != id).collect(),
        summary: kept(summary),
        severity: rating.map(|rating| rating.severity),
        score: rating.and_then(|rating| rating.score),
        withdrawn: text(wire, "withdrawn")?.is_some(),
        informational: None,
        affected: affected.into_iter().flatten().collect(),
        url: link(list(wire, "references")?),
        id,
    })
}

/// The worst of the vectors; without one, the word that GitHub and others give.
fn rating(wire: &Node<'_>) -> Result<Option<Rating>, Broken> {
    let specific = |key: &str| wire.get("database_specific")?.text_of(key);
    let given: Vec<&str> = list(wire, "severity")?.iter().filter_map(|severity| severity.text_of("score")).collect();
    let worst = |read: fn(&str) -> Option<Rating>| given.iter().map(|score| read(score)).fold(None, cvss::worse);
    Ok(worst(cvss::rate)
        .or_else(|| cvss::rate(specific("cvss")?))
        .or_else(|| worst(cvss::word))
        .or_else(|| cvss::word(specific("severity")?)))
}

fn link(references: &[Node<'_>]) -> Option<String> {
    let of = |kind: Option<&str>| {
        let fits = |link: &&Node<'_>| kind.is_none() || link.text_of("type") == kind;
        references.iter().filter(fits).find_map(|link| address(link.text_of("url")?))
    };
    of(Some("ADVISORY")).or_else(|| of(Some("WEB"))).or_else(|| of(None))
}

/// None: it is of no ecosystem that is read here, or names no package at all.
fn affected(wire: &Node<'_>) -> Result<Option<Affected>, Broken> {
    let Some(package) = wire.get("package") else { return Ok(None) };
    let named = match (text(package, "ecosystem")?, text(package, "name")?) {
        (Some(ecosystem), Some(package)) => name::ecosystem(ecosystem).map(|ecosystem| (ecosystem, package.to_owned())),
        _ => text(package, "purl")?.and_then(name::from_purl),
    };
    let Some((ecosystem, name)) = named else { return Ok(None) };
    Ok(Some(Affected {
        ecosystem,
        name,
        rating: rating(wire)?,
        informational: wire.at(&["database_specific", "informational"]).and_then(Node::text).map(kept),
        versions: texts(wire, "versions")?,
        ranges: list(wire, "ranges")?.iter().map(range).collect::<Result<_, _>>()?,
        only: wire.get("ecosystem_specific").map(only).unwrap_or_default(),
    }))
}

fn range(wire: &Node<'_>) -> Result<Range, Broken> {
    let semantic = match text(wire, "type")? {
        Some("SEMVER") => true,
        Some("ECOSYSTEM") => false,
        Some("GIT") => return Ok(Range::Git),
        Some(other) => return Ok(Range::Unreadable(format!("a range is of the type `{}`", kept(other)))),
        None => return Ok(Range::Unreadable("a range has no type".to_owned())),
    };
    let mut events = Vec::new();
    for event in list(wire, "events")? {
        let before = events.len();
        events.extend(text(event, "introduced")?.map(|version| Event::Introduced(version.to_owned())));
        events.extend(text(event, "fixed")?.map(|version| Event::Fixed(version.to_owned())));
        events.extend(text(event, "last_affected")?.map(|version| Event::LastAffected(version.to_owned())));
        events.extend(text(event, "limit")?.map(|version| Event::Limit(version.to_owned())));
        if events.len() == before {
            return Ok(Range::Unreadable("an event of a range is of no known kind".to_owned()));
        }
    }
    Ok(Range::Events { semantic, events })
}

/// What RustSec (`affects`) and Go (`imports`) say about the part that is affected. No schema holds it to a type.
fn only(specific: &Node<'_>) -> Only {
    let mut only = Only::default();
    let texts = |node: Option<&Node<'_>>| -> Vec<String> {
        node.map(Node::list).unwrap_or_default().iter().filter_map(Node::text).map(kept).collect()
    };
    if let Some(affects) = specific.get("affects") {
        only.functions = texts(affects.get("functions")).into_iter().map(|name| (name, Vec::new())).collect();
        only.arch = texts(affects.get("arch"));
        only.os = texts(affects.get("os"));
    }
    for import in specific.get("imports").map(Node::list).unwrap_or_default() {
        let path = import.text_of("path").map(kept).unwrap_or_default();
        let symbols = texts(import.get("symbols"));
        if symbols.is_empty() && !path.is_empty() {
            only.functions.push((path, Vec::new()));
        } else {
            only.functions.extend(symbols.iter().map(|symbol| (kept(&format!("{path}.{symbol}")), Vec::new())));
        }
    }
    only
}
