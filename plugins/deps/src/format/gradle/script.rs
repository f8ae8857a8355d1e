//! Build scripts: the part of them that is plain. What is code is counted and said, never guessed.

use crate::format::gradle::catalog::Catalog;
use crate::format::gradle::notation::{Asked, arguments, called, plugin, unparenthesised};
use crate::format::gradle::scope_of;
use crate::format::gradle::token::{Placed, Token, tokens};
use crate::format::gradle::values::{Lack, Lacks, Seen, Values};
use crate::format::reading::{name_none, unknown_versions};
use crate::model::{Fault, File, Include, Manager, Manifest, Origin, Requirement, Scope, Texts, folder, name_of};

/// The most files around a script whose values are read.
const MOST_AROUND: usize = 8;
/// The most blocks inside each other that are told apart.
const DEEPEST: usize = 500;

/// Reads a script: `build.gradle`, `settings.gradle`, any other, in Groovy or Kotlin.
///
/// Read are the statements of `dependencies` and `plugins` blocks wherever they stand, and the projects that settings include. A
/// library of the catalog has its version there, so here it is inherited.
pub(super) fn parse(path: &str, text: &str, texts: &Texts) -> File {
    let name = name_of(path);
    let mut file = File::new(path, Manager::Gradle, name);
    if name == "gradle.properties" {
        // It is read because a script names values that could stand in it.
        file.manifest = Some(Manifest::default());
        return file;
    }
    let tokens = tokens(text.strip_prefix('\u{feff}').unwrap_or(text), name.ends_with(".kts"));
    let (seen, mut includes) = around(path, &tokens, texts);
    let mut reader = Reader { tokens: &tokens, seen: &seen, found: Found::default() };
    reader.blocks();
    let mut found = reader.found;
    if found.lacks.keys().any(|Lack(why)| why.starts_with("nothing that was read sets")) {
        includes.extend(properties(path, texts).filter(|path| !texts.contains_key(path)));
    }
    for (Lack(why), (line, count)) in &found.lacks {
        let message = format!("{}: {why}", unknown_versions(*count));
        file.faults.push(Fault::new(Some(*line), &message, false));
    }
    if let Some((line, count)) = found.undecided {
        let message = format!("{}: a platform or a constraint decides it, which is not known here", name_none(count));
        file.faults.push(Fault::new(Some(line), &message, false));
    }
    if let Some((line, count)) = found.code {
        let message = format!(
            "{count} statements that ask for packages are code, which only Gradle can run; the first stands here"
        );
        file.faults.push(Fault::new(Some(line), &message, false));
    }
    let own = seen.values.first();
    let is_settings = name.starts_with("settings.gradle");
    if is_settings && texts.contains_key(&in_folder(folder(path), "gradle/libs.versions.toml")) {
        // The catalog belongs to the build whose settings these are.
        found.members.push("gradle".to_owned());
    }
    file.manifest = Some(Manifest {
        name: own
            .filter(|_| is_settings)
            .and_then(|own| own.get("name").or_else(|| own.get("rootProject.name")))
            .map(str::to_owned),
        version: own.filter(|_| name.starts_with("build.gradle")).and_then(|own| own.get("version")).map(str::to_owned),
        requirements: found.requirements,
        members: if is_settings { found.members } else { Vec::new() },
        includes: includes.into_iter().map(|path| Include { path, line: 1, constraint: false }).collect(),
        ..Manifest::default()
    });
    file
}

fn in_folder(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// A folder and those around it, the nearest first.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(folder(path)), |inner| (!inner.is_empty()).then(|| folder(inner)))
}

/// Where values could stand that scripts share.
fn properties<'a>(path: &'a str, texts: &'a Texts) -> impl Iterator<Item = String> + 'a {
    let is_root = |folder: &&str| {
        ["settings.gradle", "settings.gradle.kts"].iter().any(|name| texts.contains_key(&in_folder(folder, name)))
    };
    let own = folder(path);
    std::iter::once(own)
        .chain(folders(path).find(is_root).filter(move |root| *root != own))
        .map(|folder| in_folder(folder, "gradle.properties"))
}

/// What a script sees, and the files that it sees it in.
fn around(path: &str, tokens_of_script: &[Placed<'_>], texts: &Texts) -> (Seen, Vec<String>) {
    let mut seen = Seen { values: vec![Values::of_script(tokens_of_script)], catalog: None };
    let mut paths = Vec::new();
    for place in properties(path, texts) {
        if let Some(text) = texts.get(&place) {
            seen.values.push(Values::of_properties(text));
            paths.push(place);
        }
    }
    for folder in folders(path) {
        for name in ["build.gradle", "build.gradle.kts"] {
            let place = in_folder(folder, name);
            if let Some(text) = texts.get(&place).filter(|_| place != path && paths.len() < MOST_AROUND) {
                seen.values.push(Values::of_script(&tokens(text, name.ends_with(".kts"))));
                paths.push(place);
            }
        }
    }
    let catalogs = folders(path).map(|folder| in_folder(folder, "gradle/libs.versions.toml"));
    if let Some((place, text)) =
        catalogs.filter_map(|place| Some((texts.get(&place)?, place))).map(|(text, place)| (place, text)).next()
    {
        // What is wrong with it is said where it stands.
        seen.catalog = Catalog::read(text).ok();
        paths.push(place);
    }
    (seen, paths)
}

#[derive(Default)]
struct Found {
    requirements: Vec<Requirement>,
    members: Vec<String>,
    lacks: Lacks,
    /// Where the first stands, and how many there are.
    undecided: Option<(u32, usize)>,
    code: Option<(u32, usize)>,
}

fn count(counter: &mut Option<(u32, usize)>, line: u32) {
    counter.get_or_insert((line, 0)).1 += 1;
}

/// A block that is open.
#[derive(Clone, Copy, Default)]
struct Block {
    /// What is asked for in it is for building: `buildscript`.
    build: bool,
    /// It is for tests: a source set of Kotlin.
    test: bool,
    /// Spring's plugin: what is asked for in it is a constraint.
    managed: bool,
}

struct Reader<'t, 'a> {
    tokens: &'t [Placed<'a>],
    seen: &'t Seen,
    found: Found,
}

/// A statement, without the closures in it.
struct Statement<'a> {
    tokens: Vec<Placed<'a>>,
    /// The version that a closure of it names.
    rich: Option<&'a str>,
    /// The place after it.
    end: usize,
}

impl<'a> Reader<'_, 'a> {
    fn token(&self, at: usize) -> Option<&Token<'a>> {
        self.tokens.get(at).map(|placed| &placed.token)
    }

    fn blocks(&mut self) {
        let (mut at, mut start) = (0, 0);
        let mut open: Vec<Block> = Vec::new();
        while let Some(placed) = self.tokens.get(at) {
            match &placed.token {
                Token::Sign('{') => {
                    let outer = open.last().copied().unwrap_or_default();
                    let head = at.checked_sub(1).and_then(|before| self.token(before));
                    let is_asking = match head {
                        Some(Token::Word("dependencies")) => !outer.managed,
                        Some(Token::Word("imports")) => outer.managed,
                        _ => false,
                    };
                    let is_plugins = head == Some(&Token::Word("plugins"));
                    at += 1;
                    if is_asking || is_plugins {
                        at = self.statements(at, outer, is_plugins);
                    } else if open.len() < DEEPEST {
                        let words = self.tokens.get(start..at).unwrap_or_default();
                        let is_test = words.iter().any(|placed| matches!(placed.token, Token::Word(word) if word.to_ascii_lowercase().contains("test")));
                        open.push(Block {
                            build: outer.build || matches!(head, Some(Token::Word("buildscript" | "pluginManagement"))),
                            test: outer.test || is_test,
                            managed: outer.managed || head == Some(&Token::Word("dependencyManagement")),
                        });
                    }
                    start = at;
                    continue;
                }
                Token::Sign('}') => {
                    open.pop();
                    start = at + 1;
                }
                Token::Sign(';') | Token::End => start = at + 1,
                Token::Word("include" | "includeBuild" | "includeFlat") if at == start => {
                    let statement = self.statement(at);
                    self.members(&statement.tokens);
                    at = statement.end;
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// The projects that settings include: `:a:b` lies in the folder `a/b`.
    fn members(&mut self, tokens: &[Placed<'a>]) {
        let texts = tokens.iter().filter_map(|placed| match placed.token {
            Token::Text(text, false) => Some(text.trim_start_matches(':').replace(':', "/")),
            _ => None,
        });
        self.found.members.extend(texts);
    }

    /// The statements of a block that asks for packages, from the place after its `{`; the place after its `}`.
    fn statements(&mut self, mut at: usize, block: Block, is_plugins: bool) -> usize {
        loop {
            match self.token(at) {
                None => return at,
                Some(Token::Sign('}')) => return at + 1,
                Some(Token::End | Token::Sign(';')) => at += 1,
                Some(_) => {
                    let statement = self.statement(at);
                    let line = self.tokens.get(at).map_or(1, |placed| placed.line);
                    // It goes on by at least one word.
                    at = statement.end.max(at + 1);
                    if is_plugins {
                        self.plugin(&statement, line);
                    } else {
                        self.dependency(&statement, line, block);
                    }
                }
            }
        }
    }

    /// A statement ends with its line, unless a parenthesis is open or a comma stands at its end.
    fn statement(&self, mut at: usize) -> Statement<'a> {
        let mut statement = Statement { tokens: Vec::new(), rich: None, end: at };
        let mut depth = 0_usize;
        while let Some(placed) = self.tokens.get(at) {
            match placed.token {
                Token::Sign('(' | '[') => depth += 1,
                Token::Sign(')' | ']') => depth = depth.saturating_sub(1),
                Token::Sign('{') => {
                    let end = self.closed(at);
                    statement.rich = statement.rich.or_else(|| self.rich(at, end));
                    at = end;
                    continue;
                }
                Token::Sign('}') => break,
                Token::Sign(';') if depth == 0 => break,
                Token::End => {
                    let goes_on = statement.tokens.last().is_some_and(|last| last.token == Token::Sign(','));
                    if depth == 0 && !goes_on {
                        break;
                    }
                    at += 1;
                    continue;
                }
                _ => {}
            }
            statement.tokens.push(placed.clone());
            at += 1;
        }
        statement.end = at;
        statement
    }

    /// The place after the `}` that belongs to a `{`.
    fn closed(&self, mut at: usize) -> usize {
        let mut depth = 0_usize;
        while let Some(token) = self.token(at) {
            at += 1;
            match token {
                Token::Sign('{') => depth += 1,
                Token::Sign('}') if depth <= 1 => return at,
                Token::Sign('}') => depth -= 1,
                _ => {}
            }
        }
        at
    }

    /// `version { strictly("1") }` in a closure.
    fn rich(&self, from: usize, to: usize) -> Option<&'a str> {
        let closure = self.tokens.get(from..to)?;
        let ranks = ["strictly", "require", "prefer"];
        ranks.into_iter().find_map(|rank| {
            let at = closure.iter().position(|placed| placed.token == Token::Word(rank))?;
            closure.get(at + 1..at + 3)?.iter().find_map(|placed| match placed.token {
                Token::Text(text, false) => Some(text),
                _ => None,
            })
        })
    }

    fn dependency(&mut self, statement: &Statement<'a>, line: u32, block: Block) {
        const NO_PACKAGES: [&str; 8] =
            ["constraints", "modules", "components", "attributesSchema", "artifactTypes", "def", "val", "var"];
        let (configuration, rest) = match statement.tokens.as_slice() {
            [Placed { token: Token::Word(word), .. }, ..] if NO_PACKAGES.contains(word) => return,
            [Placed { token: Token::Word("add"), .. }, rest @ ..] => match unparenthesised(rest) {
                [Placed { token: Token::Text(name, false), .. }, Placed { token: Token::Sign(','), .. }, rest @ ..] => {
                    (*name, rest)
                }
                _ => return count(&mut self.found.code, line),
            },
            [Placed { token: Token::Word(name) | Token::Text(name, false), .. }, rest @ ..] => (
                *name,
                match called(rest) {
                    // `("a:b:1").because("…")`
                    Some((inside, [] | [Placed { token: Token::Sign('.'), .. }, ..])) => inside,
                    _ => rest,
                },
            ),
            _ => return count(&mut self.found.code, line),
        };
        let Some(all) = arguments(rest, statement.rich, self.seen) else {
            return count(&mut self.found.code, line);
        };
        let scope = match () {
            () if block.build || configuration == "mavenBom" => Scope::Build,
            () if block.test => Scope::Dev,
            () => scope_of(configuration),
        };
        for asked in all {
            self.asked(asked, scope, line);
        }
    }

    fn plugin(&mut self, statement: &Statement<'a>, line: u32) {
        match plugin(&statement.tokens, self.seen) {
            Some(asked) => self.asked(asked, Scope::Build, line),
            None if statement.tokens.first().is_some_and(|first| first.token == Token::Word("alias")) => {
                count(&mut self.found.code, line);
            }
            None => {}
        }
    }

    fn asked(&mut self, asked: Asked, scope: Scope, line: u32) {
        let is_undecided = asked.range.is_none() && asked.origin == Origin::Registry(None);
        match asked.lack {
            Some(lack) => self.found.lacks.entry(lack).or_insert((line, 0)).1 += 1,
            None if is_undecided => count(&mut self.found.undecided, line),
            None => {}
        }
        self.found.requirements.push(Requirement {
            name: asked.name,
            range: asked.range,
            bound: asked.bound,
            origin: asked.origin,
            scope,
            line,
            condition: None,
            hashed: false,
        });
    }
}
