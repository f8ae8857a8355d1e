//! How scripts write one dependency: the arguments of `implementation` and its like.

use crate::format::gradle::bound_of;
use crate::format::gradle::catalog::marker;
use crate::format::gradle::token::{Placed, Token};
use crate::format::gradle::values::{Lack, Seen};
use crate::model::{Bound, Origin};

/// What an argument stands for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) range: Option<String>,
    pub(super) bound: Bound,
    pub(super) origin: Origin,
    /// Why the version is not known.
    pub(super) lack: Option<Lack>,
}

/// Functions whose result is asked for as their argument would be.
const WRAPPERS: [&str; 7] =
    ["platform", "enforcedPlatform", "testFixtures", "create", "variantOf", "dependency", "module"];
/// What comes with Gradle, or from the project itself.
const OWN: [&str; 6] = ["gradleApi", "localGroovy", "gradleTestKit", "gradleKotlinDsl", "sourceSets", "kotlinOptions"];

/// What the arguments of a configuration ask for. None: they are code.
pub(super) fn arguments(tokens: &[Placed<'_>], rich: Option<&str>, seen: &Seen) -> Option<Vec<Asked>> {
    if let Some(asked) = by_names(tokens, seen) {
        return Some(vec![asked]);
    }
    let parts = split(tokens);
    if let [first, rest @ ..] = parts.as_slice()
        && let [Placed { token: Token::Text(group, _), .. }] = first
        && !group.contains(':')
    {
        return positional(group, rest, seen).map(|asked| vec![asked]);
    }
    let mut all = Vec::new();
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        all.extend(one(part, seen)?);
    }
    if let (Some(rich), [asked]) = (rich, all.as_mut_slice())
        && asked.range.is_none()
        && asked.origin == Origin::Registry(None)
    {
        asked.range = Some(rich.to_owned());
        asked.bound = bound_of(rich);
    }
    (!tokens.is_empty()).then_some(all)
}

/// A package whose version is a text with values.
fn package(name: String, version: Option<(&str, bool)>, seen: &Seen) -> Asked {
    let (range, bound, lack) = match version.map(|(text, fills)| (text, seen.filled(text, fills))) {
        None => (None, Bound::Unknown, None),
        Some((_, Ok(range))) => {
            let bound = bound_of(&range);
            (Some(range), bound, None)
        }
        Some((text, Err(lack))) => (Some(text.to_owned()), Bound::Unknown, Some(lack)),
    };
    Asked { name, range, bound, origin: Origin::Registry(None), lack }
}

/// `group:artifact:version:classifier@ending`, of which the last three can be missing.
fn written(text: &str, fills: bool, seen: &Seen) -> Option<Asked> {
    // Values are filled in part by part, so that a version that is not known costs no more than itself.
    let text = text.split_once('@').map_or(text, |(text, _)| text);
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b':' if depth == 0 => {
                parts.push(text.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..)?);
    let (group, artifact) = match parts.as_slice() {
        [group, artifact, ..] if parts.len() <= 4 => {
            (seen.filled(group, fills).ok()?, seen.filled(artifact, fills).ok()?)
        }
        // The whole of it can be one value.
        [whole] if fills => return seen.filled(whole, fills).ok().and_then(|text| written(&text, false, seen)),
        _ => return None,
    };
    if group.is_empty() || artifact.is_empty() || text.contains(char::is_whitespace) && !fills {
        return None;
    }
    let version = parts.get(2).filter(|version| !version.is_empty()).map(|version| (*version, fills));
    Some(package(format!("{group}:{artifact}"), version, seen))
}

/// `group: 'g', name: 'a', version: 'v'`, in Kotlin with `=`.
fn by_names(tokens: &[Placed<'_>], seen: &Seen) -> Option<Asked> {
    let value = |key: &str| {
        let at = tokens.windows(2).position(|pair| {
            matches!(pair, [Placed { token: Token::Word(word), .. }, Placed { token: Token::Sign(':' | '='), .. }] if *word == key)
        })?;
        tokens.get(at + 2).map(|placed| &placed.token)
    };
    let text = |token: &Token<'_>| match token {
        Token::Text(text, fills) => seen.filled(text, *fills).ok(),
        Token::Word(name) => seen.value(name).ok().map(str::to_owned),
        _ => None,
    };
    let name = format!("{}:{}", text(value("group")?)?, text(value("name")?)?);
    Some(match value("version") {
        None => package(name, None, seen),
        Some(Token::Text(version, fills)) => package(name, Some((version, *fills)), seen),
        Some(Token::Word(word)) => package(name, Some((&format!("${{{word}}}"), true)), seen),
        Some(_) => Asked { lack: Some(Lack("a version is code".to_owned())), ..package(name, None, seen) },
    })
}

/// `("g", "a", "v")`
fn positional(group: &str, rest: &[&[Placed<'_>]], seen: &Seen) -> Option<Asked> {
    let text = |at: usize| rest.get(at).filter(|part| part.len() == 1).and_then(|part| texts(part).next());
    let (artifact, fills) = text(0)?;
    Some(package(format!("{group}:{}", seen.filled(artifact, fills).ok()?), text(1), seen))
}

/// One argument.
fn one(tokens: &[Placed<'_>], seen: &Seen) -> Option<Vec<Asked>> {
    let tokens = unwrapped(tokens);
    let local = |name: String, origin| Asked { name, range: None, bound: Bound::Exact, origin, lack: None };
    let first_text = || {
        tokens.iter().find_map(|placed| match placed.token {
            Token::Text(text, false) => Some(text),
            _ => None,
        })
    };
    let asked = match &tokens.first()?.token {
        Token::Text(text, fills) if tokens.len() == 1 => written(text, *fills, seen)?,
        Token::Word("project") => local(first_text()?.to_owned(), Origin::Workspace),
        Token::Word("projects") => {
            let words = dotted(tokens.get(2..)?)?;
            local(format!(":{}", words.replace('.', ":")), Origin::Workspace)
        }
        Token::Word("files" | "fileTree") => {
            let path = first_text()?;
            local(path.to_owned(), Origin::Path(path.to_owned()))
        }
        Token::Word("kotlin") => {
            let texts: Vec<(&str, bool)> = texts(tokens).collect();
            let (module, false) = *texts.first()? else { return None };
            package(format!("org.jetbrains.kotlin:kotlin-{module}"), texts.get(1).copied(), seen)
        }
        Token::Word("libs") => return libraries(&dotted(tokens.get(2..)?)?, seen),
        Token::Word(word) if OWN.contains(word) => return Some(Vec::new()),
        Token::Word(_) => {
            let text = seen.value(&dotted(tokens)?).ok()?;
            written(text, false, seen)?
        }
        _ => return None,
    };
    Some(vec![asked])
}

/// Libraries of the catalog. Their versions stand there.
fn libraries(named: &str, seen: &Seen) -> Option<Vec<Asked>> {
    let found = seen.catalog.as_ref()?.libraries(named);
    let asked = found.into_iter().map(|library| Asked {
        name: library.name.clone(),
        range: library.range.clone(),
        bound: Bound::Inherited,
        origin: Origin::Registry(None),
        lack: None,
    });
    let asked: Vec<Asked> = asked.collect();
    (!asked.is_empty()).then_some(asked)
}

/// What a statement of a `plugins` block asks for. None: nothing that has a version.
pub(super) fn plugin(tokens: &[Placed<'_>], seen: &Seen) -> Option<Asked> {
    let at = tokens.iter().position(|placed| placed.token == Token::Word("version"));
    let (before, after) = tokens.split_at_checked(at.unwrap_or(tokens.len()))?;
    let id = match before.first()?.token {
        Token::Word("id") => texts(before).next()?.0.to_owned(),
        Token::Word("kotlin") => format!("org.jetbrains.kotlin.{}", texts(before).next()?.0),
        Token::Word("alias") => {
            let named = dotted(called(before.get(1..)?)?.0)?;
            let plugin = seen.catalog.as_ref()?.plugin(named.strip_prefix("libs.plugins.")?)?;
            let (name, range) = (plugin.name.clone(), plugin.range.clone());
            return Some(Asked { name, range, bound: Bound::Inherited, origin: Origin::Registry(None), lack: None });
        }
        _ => return None,
    };
    // Without a version it is one that Gradle has, or that is asked for elsewhere.
    at?;
    let name = marker(&id);
    Some(match (texts(after).next(), after.get(1).map(|placed| &placed.token)) {
        (Some((version, fills)), _) => package(name, Some((version, fills)), seen),
        (None, Some(Token::Word(word))) => package(name, Some((&format!("${{{word}}}"), true)), seen),
        (None, _) => {
            Asked { lack: Some(Lack("the version of a plugin is code".to_owned())), ..package(name, None, seen) }
        }
    })
}

/// The texts among words, and whether values are filled into them.
fn texts<'a>(tokens: &[Placed<'a>]) -> impl Iterator<Item = (&'a str, bool)> {
    tokens.iter().filter_map(|placed| match placed.token {
        Token::Text(text, fills) => Some((text, fills)),
        _ => None,
    })
}

/// Words with `.` between them, and nothing else but an empty call at the end.
fn dotted(tokens: &[Placed<'_>]) -> Option<String> {
    let mut words = String::new();
    for (at, placed) in tokens.iter().enumerate() {
        match (at % 2, &placed.token) {
            (0, Token::Word(word)) => words.push_str(word),
            (1, Token::Sign('.')) => words.push('.'),
            (1, Token::Sign('(')) if tokens.len() == at + 2 => {
                let end = words.rfind('.')?;
                words.truncate(end);
                return Some(words);
            }
            _ => return None,
        }
    }
    Some(words)
}

/// What stands in the parentheses that words begin with, and what stands behind them. In Groovy they can be missing.
pub(super) fn called<'t, 'a>(tokens: &'t [Placed<'a>]) -> Option<(&'t [Placed<'a>], &'t [Placed<'a>])> {
    let mut depth = 0_usize;
    for (at, placed) in tokens.iter().enumerate() {
        match placed.token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Some((tokens.get(1..at)?, tokens.get(at + 1..)?));
        }
    }
    None
}

/// Without the parentheses around all of it.
pub(super) fn unparenthesised<'t, 'a>(tokens: &'t [Placed<'a>]) -> &'t [Placed<'a>] {
    match tokens {
        [Placed { token: Token::Sign('('), .. }, inside @ .., Placed { token: Token::Sign(')'), .. }] => inside,
        _ => tokens,
    }
}

/// Without `platform(…)` and its like, and without `dependencies.` before it.
fn unwrapped<'t, 'a>(mut tokens: &'t [Placed<'a>]) -> &'t [Placed<'a>] {
    loop {
        tokens = match tokens {
            [Placed { token: Token::Word("dependencies"), .. }, Placed { token: Token::Sign('.'), .. }, rest @ ..] => {
                rest
            }
            [Placed { token: Token::Word(word), .. }, rest @ ..] if WRAPPERS.contains(word) && !rest.is_empty() => {
                unparenthesised(rest)
            }
            _ => return tokens,
        };
    }
}

/// Arguments, parted by the commas between them.
fn split<'t, 'a>(tokens: &'t [Placed<'a>]) -> Vec<&'t [Placed<'a>]> {
    let mut depth = 0_i32;
    tokens
        .split(|placed| {
            match placed.token {
                Token::Sign('(' | '[') => depth += 1,
                Token::Sign(')' | ']') => depth -= 1,
                Token::Sign(',') => return depth == 0,
                _ => {}
            }
            false
        })
        .collect()
}
