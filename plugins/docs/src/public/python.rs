//! Libraries of Python: modules of packages, read by logical lines.
//!
//! The lines are those of the language's reference (2.1, Lexical analysis): strings, brackets and backslashes join them. What
//! makes up an interface is said by PEP 8 (names with an underscore, `__all__`) and PEP 257 (what a docstring is).

use std::collections::{BTreeMap, BTreeSet};

use convoke_sdk::{Entry, Project, Query};

use super::{Checked, Language, Package, Public, below, folder_of, inside, is_aside, name_of, read};

/// The library beside a manifest, if there is a package.
pub(super) fn library(manifest: &str, files: &[Entry]) -> Option<Package> {
    let folder = folder_of(manifest);
    if is_aside(manifest) {
        return None;
    }
    let paths: BTreeSet<&str> = files.iter().map(|entry| entry.path.as_str()).collect();
    let own = files.iter().filter(|entry| is_module(folder, &entry.path, &paths));
    let (count, bytes) = own.fold((0, 0), |(count, bytes), entry| (count + 1, bytes + entry.size));
    (count > 0).then(|| Package { language: Language::Python, folder: folder.to_owned(), root: String::new(), bytes })
}

/// Whether a file is a public module of a package below a folder, and not of another library in between.
fn is_module(folder: &str, path: &str, paths: &BTreeSet<&str>) -> bool {
    let Some(rest) = inside(folder, path) else { return false };
    let name = name_of(path);
    let private = |part: &str| part.starts_with('_') && part != "__init__.py";
    let test = name.starts_with("test_") || name.ends_with("_test.py") || name == "conftest.py";
    if !name.ends_with(".py") || test || is_aside(rest) || rest.split('/').any(private) {
        return false;
    }
    if !paths.contains(below(folder_of(path), "__init__.py").as_str()) {
        return false;
    }
    let mut between = folder_of(path);
    while between.len() > folder.len() {
        let manifests = ["pyproject.toml", "setup.py", "setup.cfg"];
        if manifests.iter().any(|manifest| paths.contains(below(between, manifest).as_str())) {
            return false;
        }
        between = folder_of(between);
    }
    true
}

pub(super) async fn check(project: &impl Project, package: &Package) -> Checked {
    let mut checked = Checked::default();
    let globs = ["**/*.py", "**/pyproject.toml", "**/setup.cfg"];
    let files = match project.list(&Query::files(&globs).under(package.folder.as_str())).await {
        Ok(files) => files,
        Err(error) => {
            checked.unread(&package.folder, &error.message);
            return checked;
        }
    };
    let paths: BTreeSet<&str> = files.iter().map(|entry| entry.path.as_str()).collect();
    for path in paths.iter().filter(|path| is_module(&package.folder, path, &paths)) {
        match read(project, path).await.and_then(|text| scan(&text)) {
            Ok(items) => checked.add(path, items),
            Err(why) => checked.unread(path, &why),
        }
    }
    checked
}

/// A logical line.
#[derive(Debug, PartialEq)]
struct Line {
    number: u32,
    indent: usize,
    /// Without comments; what strings hold is there, long ones cut.
    text: String,
    /// It begins with a string that can be a docstring, and isn't empty.
    documents: bool,
}

/// The most bytes of a string that are kept.
const KEPT: usize = 120;

/// The logical lines of a text.
fn lines(text: &str) -> Result<Vec<Line>, String> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let (mut at, mut number) = (0, 1u32);
    while at < bytes.len() {
        let mut indent = 0;
        while let Some(byte) = bytes.get(at).filter(|byte| matches!(byte, b' ' | b'\t' | 0x0c)) {
            indent = if *byte == b'\t' { indent / 8 * 8 + 8 } else { indent + 1 };
            at += 1;
        }
        let mut line = Line { number, indent, text: String::new(), documents: false };
        let mut raw: Vec<u8> = Vec::new();
        let mut depth = 0usize;
        while let Some(byte) = bytes.get(at).copied() {
            at += 1;
            match byte {
                b'\n' => {
                    number += 1;
                    if depth == 0 {
                        break;
                    }
                    raw.push(b' ');
                }
                b'#' => {
                    while bytes.get(at).is_some_and(|byte| *byte != b'\n') {
                        at += 1;
                    }
                }
                b'\\' if matches!(bytes.get(at), Some(b'\n' | b'\r')) => {
                    at += if bytes.get(at) == Some(&b'\r') { 2 } else { 1 };
                    number += 1;
                    raw.push(b' ');
                }
                b'"' | b'\'' => {
                    let prefix = raw.iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
                    let formatted =
                        prefix <= 2 && raw[raw.len() - prefix..].iter().any(|byte| matches!(byte, b'f' | b'F' | b't'));
                    let (end, inner, breaks) = string(bytes, at - 1, formatted).ok_or_else(|| {
                        format!("it is not Python: the string that begins in line {number} has no end")
                    })?;
                    let starts = raw[..raw.len() - prefix].iter().all(u8::is_ascii_whitespace)
                        && raw[raw.len() - prefix..].iter().all(|byte| matches!(byte, b'r' | b'R' | b'u' | b'U'));
                    line.documents |= starts && inner.iter().any(|byte| !byte.is_ascii_whitespace());
                    raw.push(b'"');
                    raw.extend(inner.iter().take(KEPT).filter(|byte| !matches!(byte, b'"' | b'\n' | b'\\')));
                    raw.push(b'"');
                    number += breaks;
                    at = end;
                }
                b'(' | b'[' | b'{' => {
                    depth += 1;
                    raw.push(byte);
                }
                b')' | b']' | b'}' => {
                    depth = depth.saturating_sub(1);
                    raw.push(byte);
                }
                b'\r' => {}
                _ => raw.push(byte),
            }
        }
        if depth > 0 {
            return Err(format!("it is not Python: a bracket of line {} is never closed", line.number));
        }
        line.text = String::from_utf8_lossy(&raw).trim().to_owned();
        if !line.text.is_empty() {
            found.push(line);
        }
    }
    Ok(found)
}

/// A string that begins at a quote: where it ends, what is in it, and how many lines it goes over.
fn string(bytes: &[u8], start: usize, formatted: bool) -> Option<(usize, &[u8], u32)> {
    let quote = *bytes.get(start)?;
    let triple = bytes.get(start + 1) == Some(&quote) && bytes.get(start + 2) == Some(&quote);
    let begin = start + if triple { 3 } else { 1 };
    let (mut at, mut breaks, mut braces) = (begin, 0, 0u32);
    while let Some(byte) = bytes.get(at).copied() {
        match byte {
            b'\\' => {
                breaks += u32::from(bytes.get(at + 1) == Some(&b'\n'));
                at += 2;
                continue;
            }
            b'\n' if !triple => return None,
            b'\n' => breaks += 1,
            b'{' | b'}' if formatted && bytes.get(at + 1) == Some(&byte) && braces == 0 => {
                at += 2;
                continue;
            }
            b'{' if formatted => braces += 1,
            b'}' if formatted => braces = braces.saturating_sub(1),
            // Since Python 3.12 an expression may hold the same quotes; before, none that would end the string.
            b'"' | b'\'' if braces > 0 && !(triple && bytes.get(at..at + 3) == Some(&[quote; 3])) => {
                let rest = bytes.get(at + 1..)?;
                let same = rest
                    .iter()
                    .take_while(|other| !matches!(other, b'\n' | b'{' | b'}'))
                    .position(|other| *other == byte);
                match same {
                    Some(length) => at += length + 1,
                    None if byte == quote && !triple => return Some((at + 1, bytes.get(begin..at)?, breaks)),
                    None => {}
                }
            }
            _ if byte == quote && (!triple || bytes.get(at..at + 3) == Some(&[quote; 3])) => {
                let end = at + if triple { 3 } else { 1 };
                return Some((end, bytes.get(begin..at)?, breaks));
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// What lines are inside of.
struct Scope {
    /// Of the line that opens it.
    indent: usize,
    /// What is defined in it can be reached.
    open: bool,
    /// `Class.`
    prefix: String,
    /// The item whose docstring is the first line in it.
    waits: Option<usize>,
}

/// The public items of a module.
fn scan(text: &str) -> Result<Vec<Public>, String> {
    let mut items: Vec<Public> = Vec::new();
    let mut all: Option<BTreeSet<String>> = None;
    let mut all_is_known = true;
    let mut scopes: Vec<Scope> = Vec::new();
    let mut decorated = false;
    for line in lines(text.strip_prefix('\u{feff}').unwrap_or(text))? {
        while scopes.last().is_some_and(|scope| scope.indent >= line.indent) {
            scopes.pop();
        }
        if let Some(item) = scopes.last_mut().and_then(|scope| scope.waits.take()).and_then(|at| items.get_mut(at)) {
            item.documented |= line.documents;
        }
        let (open, prefix) = scopes.last().map_or((true, ""), |scope| (scope.open, scope.prefix.as_str()));
        let prefix = prefix.to_owned();
        if let Some(decorator) = line.text.strip_prefix('@') {
            let name = decorator.split('(').next().unwrap_or("").trim();
            let last = name.rsplit('.').next().unwrap_or("");
            decorated |= matches!(last, "overload" | "setter" | "deleter" | "override");
            continue;
        }
        let skipped = std::mem::take(&mut decorated);
        // Also under a condition.
        if open && prefix.is_empty() && line.text.starts_with("__all__") {
            let rest = line.text.get("__all__".len()..).unwrap_or("");
            match listed(rest) {
                Some(names) => all.get_or_insert_default().extend(names),
                None => all_is_known = false,
            }
            continue;
        }
        let text = line.text.strip_prefix("async ").map_or(line.text.as_str(), str::trim_start);
        let class = text.strip_prefix("class ");
        if let Some(rest) = class.or_else(|| text.strip_prefix("def ")) {
            let name: String =
                rest.trim_start().chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect();
            let public = open && !name.is_empty() && !name.starts_with('_');
            let body = body(rest);
            let mut waits = None;
            if public && !skipped {
                items.push(Public {
                    name: format!("{prefix}{name}"),
                    line: line.number,
                    documented: body.starts_with('"'),
                });
                waits = Some(items.len() - 1).filter(|_| body.is_empty());
            }
            scopes.push(Scope {
                indent: line.indent,
                open: public && class.is_some(),
                prefix: format!("{prefix}{name}."),
                waits,
            });
        } else if text.ends_with(':') {
            let main = text.starts_with("if __name__");
            scopes.push(Scope { indent: line.indent, open: open && !main, prefix, waits: None });
        }
    }
    if let Some(all) = all.filter(|_| all_is_known) {
        items.retain(|item| all.contains(item.name.split('.').next().unwrap_or("")));
    }
    Ok(once(items))
}

/// The names of a list of strings behind `__all__`. None: it is not written out.
fn listed(rest: &str) -> Option<Vec<String>> {
    let rest = rest.trim_start();
    // `__all__: list[str] = […]`
    let rest = if rest.starts_with(':') { rest.split_once('=')?.1 } else { rest };
    let list = [".extend(", ".append(", "+=", "="].iter().find_map(|start| rest.strip_prefix(start)).unwrap_or(rest);
    let mut parts = list.split('"');
    let between = parts.clone().step_by(2);
    let written_out =
        between.flat_map(str::chars).all(|char| char.is_whitespace() || matches!(char, '[' | ']' | '(' | ')' | ','));
    parts.next();
    written_out.then(|| parts.step_by(2).map(str::to_owned).collect())
}

/// What stands behind the colon of a definition, on its line.
fn body(rest: &str) -> &str {
    let mut depth = 0usize;
    let mut quoted = false;
    for (at, char) in rest.char_indices() {
        match char {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => return rest.get(at + 1..).unwrap_or("").trim(),
            _ => {}
        }
    }
    ""
}

/// Items that are defined more than once, under a condition, are one.
fn once(items: Vec<Public>) -> Vec<Public> {
    let mut by_name: BTreeMap<String, Public> = BTreeMap::new();
    for item in items {
        by_name.entry(item.name.clone()).and_modify(|first| first.documented |= item.documented).or_insert(item);
    }
    by_name.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let mut items = scan(text).expect("Python");
        items.sort_by_key(|item| item.line);
        items
            .iter()
            .map(|item| format!("{}:{}{}", item.line, if item.documented { "" } else { "-" }, item.name))
            .collect()
    }

    #[test]
    fn a_docstring_is_the_first_line_of_a_body() {
        let text = "def a():\n    '''Doc.'''\nasync def b(\n    x: int = 1,\n) -> int:\n    # no\n    return 1\ndef c(): \"doc\"\ndef d(): pass\ndef e():\n    r\"\"\"Doc\n    goes on\"\"\"\ndef f():\n    f'no {a}'\ndef g():\n    ''\nclass H:\n    x = 1\n    'late'\n";
        assert_eq!(found(text), ["1:a", "3:-b", "8:c", "9:-d", "10:e", "13:-f", "15:-g", "17:-H"]);
    }

    #[test]
    fn names_with_an_underscore_and_inner_functions_are_private() {
        let text = "class A:\n  '''D'''\n  def m(self):\n    def inner(): pass\n    class X: pass\n  def _p(self): pass\n  def __init__(self): pass\n  class B:\n    def n(self): pass\nclass _C:\n  def o(self): pass\nif x:\n  def q(): pass\nelse:\n  def q(): 'doc'\nif __name__ == '__main__':\n  def no(): pass\n";
        assert_eq!(found(text), ["1:A", "3:-A.m", "8:-A.B", "9:-A.B.n", "13:q"]);
    }

    #[test]
    fn all_says_what_is_public() {
        let text = "__all__ = ['a', \"B\"]\n__all__ += ['c']\ndef a(): pass\nclass B:\n  def m(self): pass\ndef c(): pass\ndef d(): pass\n";
        assert_eq!(found(text), ["3:-a", "4:-B", "5:-B.m", "6:-c"]);
        for open in ["other.__all__ + ['a']", "[n for n in dir() if n[0] != '_']"] {
            assert_eq!(found(&format!("__all__ = {open}\ndef b(): pass\n")), ["2:-b"], "{open}");
        }
        for all in
            ["= 'a', 'check__all__'", ": list[str] = ['a']", "= (\n  'a', # b\n)", "= []\nif x:\n  __all__.append('a')"]
        {
            assert_eq!(found(&format!("__all__ {all}\ndef a(): pass\ndef b(): pass\n")).len(), 1, "{all}");
        }
    }

    #[test]
    fn overloads_and_setters_are_documented_with_the_first() {
        let text = "@overload\ndef a(x: int): ...\n@typing.overload\ndef a(x: str): ...\ndef a(x):\n  '''Doc'''\nclass B:\n  '''D'''\n  @property\n  def p(self):\n    '''Doc'''\n  @p.setter\n  def p(self, v): pass\n";
        assert_eq!(found(text), ["5:a", "7:B", "10:B.p"]);
    }

    #[test]
    fn strings_and_brackets_hide_what_is_in_them() {
        let text = "x = '''\ndef no(): pass\n'''\ny = [\n'(', # )\n]\nz = f\"{d[\"k\"]} {{ '\" + r'\\\\'\nw = 1 \\\n  + 2\ndef a(x=':', y={1: 2}): pass\n";
        assert_eq!(found(text), ["10:-a"]);
    }

    #[test]
    fn what_is_not_python_is_said_with_its_line() {
        assert_eq!(scan("a = 1\nb = '").map_err(|why| why.contains("line 2")), Err(true));
        assert_eq!(scan("a = (\n").map_err(|why| why.contains("line 1")), Err(true));
        let deep = format!("x = {}{}\ndef a(): pass", "(".repeat(100_000), ")".repeat(100_000));
        assert_eq!(found(&deep), ["2:-a"]);
    }

    #[test]
    fn modules_of_packages_are_looked_at() {
        let files = [
            ("pyproject.toml", ""),
            ("src/pkg/__init__.py", ""),
            ("src/pkg/core.py", "def a(): pass\ndef b():\n  'doc'\n"),
            ("src/pkg/_private.py", "def a(): pass"),
            ("src/pkg/test_core.py", "def test_a(): pass"),
            ("tests/__init__.py", ""),
            ("tests/helper.py", "def a(): pass"),
            ("run.py", "def a(): pass"),
            ("other/setup.py", "def a(): pass"),
            ("other/pkg2/__init__.py", "def z(): pass"),
        ];
        assert_eq!(
            super::super::testing::items(&files),
            ["src/pkg/core.py:1 a", "1 of 2", "other/pkg2/__init__.py:1 z", "1 of 1"]
        );
        assert_eq!(super::super::testing::items(&files[1..8]), [""; 0]);
    }
}
