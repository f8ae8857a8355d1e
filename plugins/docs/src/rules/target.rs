//! What the target of a link means, by itself.

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// Nowhere: nothing is written.
    Empty,
    /// To another site, or to something that is no page.
    Elsewhere,
    /// To something that is filled in later: `{{ url }}`, `<your-page>`.
    Placeholder,
    /// Out of the repository: `../../issues` is a page of GitHub.
    Above,
    /// To the page that it stands on, with other parameters.
    Page,
    /// To a place of the same document.
    Here(String),
    /// To a file or folder.
    Path(Local<'a>),
}

/// A link to a file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local<'a> {
    /// The path in the project; empty for its folder.
    pub path: String,
    /// What stands after `#`, decoded.
    pub place: Option<String>,
    /// What is written after the path, with `?` and `#`.
    pub rest: &'a str,
    /// It begins at the root.
    pub rooted: bool,
    /// It begins with `./`.
    pub dotted: bool,
}

/// Takes the target of a link in a document apart, as GitHub does.
pub fn resolve<'a>(document: &str, target: &'a str) -> Target<'a> {
    let target = target.trim();
    if target.is_empty() {
        return Target::Empty;
    }
    if ["{{", "}}", "${", "{%", "<", ">", "%s", "{", "$("].iter().any(|mark| target.contains(mark)) {
        return Target::Placeholder;
    }
    if target.starts_with("//") || has_scheme(target) {
        return Target::Elsewhere;
    }
    let end = target.find(['?', '#']).unwrap_or(target.len());
    let (path, rest) = target.split_at(end);
    let place = rest.split_once('#').map(|(_, place)| decode(place.split(":~:").next().unwrap_or_default()));
    if path.is_empty() {
        return match place {
            Some(place) if rest.starts_with('#') => Target::Here(place),
            _ => Target::Page,
        };
    }
    let rooted = path.starts_with('/');
    let folder = if rooted { "" } else { document.rsplit_once('/').map_or("", |(folder, _)| folder) };
    // A document outside of the project has a root that nobody knows.
    if rooted && (document.starts_with("../") || document.starts_with('/')) {
        return Target::Above;
    }
    match join(folder, &decode(path)) {
        Some(path) => Target::Path(Local { path, place, rest, rooted, dotted: target.starts_with("./") }),
        None => Target::Above,
    }
}

/// `https:`, `mailto:` and so on; RFC 3986, "scheme".
fn has_scheme(target: &str) -> bool {
    target.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|char: char| char.is_ascii_alphabetic())
            && scheme.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.'))
            // `notes:today.md` is as good a scheme, but `Note.md:12` is a file with a line.
            && !scheme.contains('.')
    })
}

/// A path below a folder; none: it leads out.
pub fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                None | Some(&"..") => return None,
                Some(_) => drop(parts.pop()),
            },
            _ => parts.push(part),
        }
    }
    let root = if folder.starts_with('/') { "/" } else { "" };
    Some(format!("{root}{}", parts.join("/")))
}

/// Without `%20` and the like. What is no text when decoded stays.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digit = |offset: usize| bytes.get(at + offset).and_then(|digit| char::from(*digit).to_digit(16));
        match (byte, digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

/// A path as it is written in a link.
pub fn encode(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for char in path.chars() {
        match char {
            ' ' | '(' | ')' | '<' | '>' | '"' | '\'' | '%' | '#' | '?' | '\\' | '`' => {
                encoded.push_str(&format!("%{:02X}", u32::from(char)));
            }
            _ => encoded.push(char),
        }
    }
    encoded
}

/// The way from a document to a path of the project.
pub fn relative(document: &str, path: &str) -> String {
    let from: Vec<&str> = document.rsplit_once('/').map_or(Vec::new(), |(folder, _)| folder.split('/').collect());
    let to: Vec<&str> = path.split('/').collect();
    let common = from.iter().zip(to.iter().take(to.len() - 1)).take_while(|(one, other)| one == other).count();
    let up = from.len() - common;
    std::iter::repeat_n("..", up).chain(to.into_iter().skip(common)).collect::<Vec<_>>().join("/")
}

/// The lines of `L10`, `L10-L20` or `L10C3-L20C4`: the greatest.
pub fn line(place: &str) -> Option<u32> {
    let one = |part: &str| {
        let digits = part.strip_prefix('L')?;
        digits.split_once('C').map_or(digits, |(line, _)| line).parse::<u32>().ok()
    };
    match place.split_once('-') {
        Some((first, last)) => Some(one(first)?.max(one(last)?)),
        None => one(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(document: &str, target: &str) -> String {
        match resolve(document, target) {
            Target::Path(local) => {
                let place = local.place.map(|place| format!(" at {place}")).unwrap_or_default();
                format!("{}{place}{}", local.path, if local.rooted { " from the root" } else { "" })
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_target_is_resolved_from_the_documents_folder() {
        for (document, target, expected) in [
            ("README.md", "docs/a.md", "docs/a.md"),
            ("docs/a.md", "b.md#Set%20up", "docs/b.md at Set up"),
            ("docs/a.md", "../src/", "src"),
            ("docs/a.md", "./b%20c.md?raw=1", "docs/b c.md"),
            ("docs/x/a.md", "/LICENSE", "LICENSE from the root"),
            ("docs/a.md", "..", ""),
            ("docs/a.md", "../../issues", "Above"),
            ("a.md", "https://x.example/y", "Elsewhere"),
            ("a.md", "mailto:a@b.example", "Elsewhere"),
            ("a.md", "//x.example/y", "Elsewhere"),
            ("a.md", "#top", "Here(\"top\")"),
            ("a.md", "#", "Here(\"\")"),
            ("a.md", "?tab=readme-ov-file#use", "Page"),
            ("a.md", "", "Empty"),
            ("a.md", "{{ site.url }}/x", "Placeholder"),
            ("a.md", "<your-page>", "Placeholder"),
            ("a.md", "100%.md", "100%.md"),
            ("a.md", "%ff.md", "%ff.md"),
            ("../other/a.md", "b.md", "../other/b.md"),
            ("../other/a.md", "../b.md", "../b.md"),
            ("../other/a.md", "../../b.md", "Above"),
            ("../other/a.md", "/b.md", "Above"),
            ("/tmp/x/a.md", "b.md", "/tmp/x/b.md"),
            ("a.md", "src/x.rs:12", "src/x.rs:12"),
        ] {
            assert_eq!(path(document, target), expected, "{document} {target}");
        }
    }

    #[test]
    fn the_way_back_leads_there() {
        for (document, target, expected) in [
            ("README.md", "docs/a.md", "docs/a.md"),
            ("docs/a.md", "docs/b.md", "b.md"),
            ("docs/x/a.md", "docs/y/b.md", "../y/b.md"),
            ("docs/a.md", "LICENSE", "../LICENSE"),
            ("docs/docs/a.md", "docs/a.md", "../a.md"),
            ("docs/a.md", "docs", "../docs"),
        ] {
            assert_eq!(relative(document, target), expected);
            assert_eq!(path(document, expected), target);
        }
        assert_eq!(decode(&encode("a (b) 50%.md")), "a (b) 50%.md");
    }

    #[test]
    fn lines_of_a_file_are_named_as_github_does() {
        let all = ["L10", "L10-L20", "L3C1-L4C9", "Lines", "10", "L", "L1-2"].map(line);
        assert_eq!(all, [Some(10), Some(20), Some(4), None, None, None, None]);
    }
}
