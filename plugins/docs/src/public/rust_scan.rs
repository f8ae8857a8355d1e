//! A file of Rust, as far as its items go.
//!
//! The text is taken apart by `proc-macro2`, whose lexer works without recursion; the bodies of functions are never looked into.
//! A parser of all of the language would have to be kept from overflowing the stack on what strangers nest.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// An item of a module.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) line: u32,
    pub(super) documented: bool,
    /// `pub`, and not `pub(crate)`.
    pub(super) public: bool,
    pub(super) kind: Kind,
}

/// What an item is, as far as that matters.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A function, a constant, a type alias.
    Plain,
    /// A type that may have methods.
    Type,
    /// A trait, with its items.
    Trait(Vec<Item>),
    /// A module: what is in it, or nothing where it has a file of its own, which `path` may name.
    Module {
        /// What stands in braces.
        inner: Option<Module>,
        /// `#[path = "…"]`
        path: Option<String>,
    },
    /// `macro_rules!` with `#[macro_export]`: it stands at the crate's root wherever it is.
    Macro,
}

/// What stands in a module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Module {
    /// It begins with `//!`.
    pub(super) documented: bool,
    pub(super) items: Vec<Item>,
    /// `pub use`, a name each.
    pub(super) uses: Vec<Use>,
    /// Inherent implementations: the type's name, and its public items.
    pub(super) impls: Vec<(String, Vec<Item>)>,
}

/// Something that is exported again.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Use {
    /// `a`, `b` of `a::b::C`.
    pub(super) path: Vec<String>,
    /// The name; `*` for all.
    pub(super) name: String,
    /// What it is called here.
    pub(super) alias: String,
    /// It has documentation of its own.
    pub(super) documented: bool,
}

/// The deepest modules and lists of `use` that are looked into.
const DEEPEST: usize = 32;

/// Takes a file apart.
///
/// # Errors
/// What is no text of Rust.
pub(super) fn scan(text: &str) -> Result<Module, String> {
    // A byte order mark and a line for the system are no tokens.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let tokens =
        text.parse::<TokenStream>().map_err(|error| format!("it is not Rust, from line {}", error.span().start().line));
    let module = tokens.map(|tokens| module(tokens, DEEPEST));
    // The lexer keeps all texts, to tell places in them.
    proc_macro2::extra::invalidate_current_thread_spans();
    module
}

/// What stands before an item.
#[derive(Default)]
struct Before {
    documented: bool,
    hidden: bool,
    exported: bool,
    public: bool,
    path: Option<String>,
}

struct Cursor {
    tokens: std::iter::Peekable<proc_macro2::token_stream::IntoIter>,
}

impl Cursor {
    fn of(tokens: TokenStream) -> Self {
        Self { tokens: tokens.into_iter().peekable() }
    }

    fn is(&mut self, char: char) -> bool {
        matches!(self.tokens.peek(), Some(TokenTree::Punct(punct)) if punct.as_char() == char)
    }

    fn word(&mut self) -> Option<String> {
        match self.tokens.peek() {
            Some(TokenTree::Ident(ident)) => Some(plain(&ident.to_string())),
            _ => None,
        }
    }

    fn group(&mut self, delimiter: Delimiter) -> Option<Group> {
        match self.tokens.peek() {
            Some(TokenTree::Group(group)) if group.delimiter() == delimiter => {
                let group = group.clone();
                self.tokens.next();
                Some(group)
            }
            _ => None,
        }
    }

    /// Up to the end of an item: the group in braces that ends it, or `;`.
    fn end(&mut self) -> Option<Group> {
        let mut assigned = false;
        for token in self.tokens.by_ref() {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ';' => return None,
                // `const X: T = { … };`
                TokenTree::Punct(punct) if punct.as_char() == '=' => assigned = true,
                // `->`, `=>` and `>=` assign nothing.
                TokenTree::Punct(punct) if punct.as_char() == '>' => assigned = false,
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace && !assigned => return Some(group),
                _ => {}
            }
        }
        None
    }
}

/// `r#type` is `type`.
fn plain(name: &str) -> String {
    name.trim_start_matches("r#").to_owned()
}

fn line_of(token: Option<&TokenTree>) -> u32 {
    token.map_or(1, |token| u32::try_from(token.span().start().line).unwrap_or(u32::MAX))
}

/// Attributes and visibility. Inner attributes are of the module that is read.
fn before(cursor: &mut Cursor, module: &mut Module) -> Before {
    let mut before = Before::default();
    loop {
        if cursor.is('#') {
            cursor.tokens.next();
            let inner = cursor.is('!');
            if inner {
                cursor.tokens.next();
            }
            let Some(group) = cursor.group(Delimiter::Bracket) else { continue };
            attribute(group, inner, &mut before, module);
        } else if cursor.word().as_deref() == Some("pub") {
            cursor.tokens.next();
            before.public = cursor.group(Delimiter::Parenthesis).is_none();
        } else {
            return before;
        }
    }
}

/// So deep an attribute is read.
const DEEPEST_ATTRIBUTE: usize = 8;

/// What an attribute says, without spaces.
fn flat(tokens: TokenStream, depth: usize) -> String {
    let mut text = String::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) if depth > 0 => {
                text.push('(');
                text.push_str(&flat(group.stream(), depth - 1));
                text.push(')');
            }
            TokenTree::Group(_) => {}
            token => text.push_str(&token.to_string()),
        }
    }
    text
}

fn attribute(group: Group, inner: bool, before: &mut Before, module: &mut Module) {
    let text = || flat(group.stream(), DEEPEST_ATTRIBUTE);
    let mut cursor = Cursor::of(group.stream());
    match cursor.word().as_deref() {
        Some("doc") => {
            cursor.tokens.next();
            if cursor.is('=') {
                cursor.tokens.next();
                // `#[doc = include_str!("…")]` is documentation; an empty line is none.
                let written = match cursor.tokens.next() {
                    Some(TokenTree::Literal(literal)) => {
                        let text = literal.to_string();
                        !text.trim_matches(['"', 'r', '#']).trim().is_empty()
                    }
                    token => token.is_some(),
                };
                if inner {
                    module.documented |= written;
                } else {
                    before.documented |= written;
                }
            } else if !inner {
                before.hidden |= text().contains("hidden");
            }
        }
        Some("cfg") if !inner => {
            let text = text();
            before.hidden |= text == "cfg(test)" || text.starts_with("cfg(all(test");
        }
        Some("cfg_attr") if !inner => {
            let text = text();
            before.documented |= text.contains("doc=");
            before.hidden |= text.contains("doc(hidden");
        }
        Some("macro_export") => before.exported = true,
        Some("path") => {
            if let Some(TokenTree::Literal(literal)) = group.stream().into_iter().nth(2) {
                before.path = Some(literal.to_string().trim_matches('"').to_owned());
            }
        }
        _ => {}
    }
}

fn module(tokens: TokenStream, depth: usize) -> Module {
    let mut found = Module::default();
    let mut cursor = Cursor::of(tokens);
    while cursor.tokens.peek().is_some() {
        let before = before(&mut cursor, &mut found);
        item(&mut cursor, before, &mut found, depth);
    }
    found
}

fn item(cursor: &mut Cursor, before: Before, found: &mut Module, depth: usize) {
    // `pub const unsafe extern "C" fn`
    let mut keyword = None;
    let mut constant = false;
    while let Some(word) = cursor.word() {
        match word.as_str() {
            "unsafe" | "async" | "extern" | "default" | "auto" | "safe" => {}
            "const" => constant = true,
            _ => {
                keyword = Some(word);
                break;
            }
        }
        cursor.tokens.next();
        if matches!(cursor.tokens.peek(), Some(TokenTree::Literal(_))) {
            cursor.tokens.next();
        }
    }
    let line = line_of(cursor.tokens.peek());
    let Some(keyword) = keyword else {
        // `extern "C" { … }`, a stray token, a macro's `$`.
        if cursor.group(Delimiter::Brace).is_none() {
            cursor.tokens.next();
        }
        return;
    };
    if constant && keyword != "fn" {
        let name = if keyword == "_" { String::new() } else { keyword };
        let _ = cursor.end();
        push(found, before, name, line, Kind::Plain);
        return;
    }
    cursor.tokens.next();
    match keyword.as_str() {
        "fn" | "static" | "type" => {
            if keyword == "static" && cursor.word().as_deref() == Some("mut") {
                cursor.tokens.next();
            }
            let name = cursor.word().unwrap_or_default();
            let _ = cursor.end();
            push(found, before, name, line, Kind::Plain);
        }
        "struct" | "enum" | "union" => {
            let name = cursor.word().unwrap_or_default();
            let _ = cursor.end();
            push(found, before, name, line, Kind::Type);
        }
        "trait" => {
            let name = cursor.word().unwrap_or_default();
            let inner = cursor.end().filter(|_| depth > 0).map(|group| module(group.stream(), depth - 1));
            let items = inner.map(|inner| inner.items).unwrap_or_default();
            push(found, before, name, line, Kind::Trait(items));
        }
        "mod" => {
            let name = cursor.word().unwrap_or_default();
            let inner = cursor.end().filter(|_| depth > 0).map(|group| module(group.stream(), depth - 1));
            let path = before.path.clone();
            push(found, before, name, line, Kind::Module { inner, path });
        }
        "impl" => implementation(cursor, &before, found, depth),
        "use" => {
            let tree: TokenStream = cursor.tokens.by_ref().take_while(|token| !is_semicolon(token)).collect();
            if before.public && !before.hidden {
                uses(tree, &[], before.documented, &mut found.uses, depth);
            }
        }
        "macro_rules" => {
            cursor.tokens.next();
            let name = cursor.word().unwrap_or_default();
            cursor.tokens.next();
            cursor.tokens.next();
            let public = before.exported;
            push(found, Before { public, ..before }, name, line, Kind::Macro);
        }
        // A macro that makes items: what, nobody knows here.
        _ => {
            while cursor.tokens.next_if(|token| !matches!(token, TokenTree::Group(_)) && !is_semicolon(token)).is_some()
            {
            }
            cursor.tokens.next();
        }
    }
}

fn is_semicolon(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';')
}

fn push(found: &mut Module, before: Before, name: String, line: u32, kind: Kind) {
    if !before.hidden && !name.is_empty() {
        found.items.push(Item { name, line, documented: before.documented, public: before.public, kind });
    }
}

/// `impl<T> a::Type<T> { … }`; of `impl Trait for Type` nothing is documented there.
fn implementation(cursor: &mut Cursor, before: &Before, found: &mut Module, depth: usize) {
    let mut angles = 0i32;
    let mut of = String::new();
    let mut of_trait = false;
    let mut bounds = false;
    for token in cursor.tokens.by_ref() {
        match token {
            TokenTree::Punct(punct) => match punct.as_char() {
                '<' => angles += 1,
                '>' => angles -= 1,
                ';' => return,
                _ => {}
            },
            TokenTree::Ident(ident) if angles == 0 && !bounds => match ident.to_string().as_str() {
                "for" => of_trait = true,
                "where" => bounds = true,
                "const" | "dyn" => {}
                name => of = plain(name),
            },
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                if !of_trait && !before.hidden && depth > 0 {
                    let items = module(group.stream(), depth - 1).items;
                    found.impls.push((of, items.into_iter().filter(|item| item.public).collect()));
                }
                return;
            }
            _ => {}
        }
    }
}

/// `a::{b, c as d, e::*}` as single names.
fn uses(tree: TokenStream, path: &[String], documented: bool, found: &mut Vec<Use>, depth: usize) {
    let begin = path.to_vec();
    let mut path = path.to_vec();
    let mut last: Option<String> = None;
    let mut alias = None;
    let mut cursor = Cursor::of(tree);
    let finish = |last: &mut Option<String>, alias: &mut Option<String>, path: &[String], found: &mut Vec<Use>| {
        let Some(name) = last.take() else { return };
        let (name, path) = match (name.as_str(), path.split_last()) {
            // `a::{self}`
            ("self", Some((name, path))) => (name.clone(), path.to_vec()),
            _ => (name, path.to_vec()),
        };
        let alias = alias.take().unwrap_or_else(|| name.clone());
        found.push(Use { path, name, alias, documented });
    };
    while let Some(token) = cursor.tokens.next() {
        match token {
            TokenTree::Ident(ident) if ident == "as" => {
                alias = cursor.word();
                cursor.tokens.next();
            }
            TokenTree::Ident(ident) => last = Some(plain(&ident.to_string())),
            TokenTree::Punct(punct) => match punct.as_char() {
                ':' => path.extend(last.take()),
                '*' => last = Some("*".to_owned()),
                ',' => {
                    finish(&mut last, &mut alias, &path, found);
                    path.clone_from(&begin);
                }
                _ => {}
            },
            TokenTree::Group(group) if depth > 0 => uses(group.stream(), &path, documented, found, depth - 1),
            _ => {}
        }
    }
    finish(&mut last, &mut alias, &path, found);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let module = scan(text).expect("Rust");
        module
            .items
            .iter()
            .map(|item| {
                let marks = [(item.public, "pub "), (item.documented, "doc ")];
                let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
                format!("{}:{marks}{}", item.line, item.name)
            })
            .collect()
    }

    #[test]
    fn items_have_their_visibility_and_documentation() {
        let text = "//! A\n/// b\npub fn a() { fn no() {} }\npub(crate) struct B;\n#[derive(X)]\npub struct C<T: A> where T: B { x: u8 }\npub const D: &[u8] = &{ [1] };\n/** e */ pub const unsafe extern \"C\" fn e() -> A<B> {}\npub type F = [u8; { 3 }];\nstatic mut G: u8 = 1;\n///\npub enum H { A }\n";
        assert_eq!(
            names(text),
            ["3:pub doc a", "4:B", "6:pub C", "7:pub D", "8:pub doc e", "9:pub F", "10:G", "12:pub H"]
        );
        assert!(scan(text).expect("Rust").documented);
    }

    #[test]
    fn what_is_hidden_or_only_for_tests_is_no_item() {
        let text = "#[doc(hidden)] pub fn a() {}\n#[cfg(test)] pub mod b { }\n#[cfg(all(test, x))] pub fn c() {}\n#[cfg(feature = \"test\")] pub fn d() {}\nconst _: () = { fn e() {} };\n";
        assert_eq!(names(text), ["4:pub d"]);
    }

    #[test]
    fn macros_are_public_where_they_are_exported() {
        assert_eq!(
            names(
                "#[macro_export]\nmacro_rules! a { () => { pub fn no() {} } }\nmacro_rules! b { () => {} }\nx! { pub fn no() {} }\ny!(z);\npub fn c() {}"
            ),
            ["2:pub a", "3:b", "6:pub c"]
        );
    }

    #[test]
    fn methods_belong_to_their_type() {
        let text = "impl<T: A<B>> a::X<T> where T: C { pub fn m(&self) {} fn n() {} /// d\n pub const K: u8 = 1; }\nimpl Y for X<u8> { fn o() {} }\nimpl dyn Z { pub fn p() {} }";
        let module = scan(text).expect("Rust");
        let found: Vec<(&str, Vec<&str>)> = module
            .impls
            .iter()
            .map(|(of, items)| (of.as_str(), items.iter().map(|item| item.name.as_str()).collect()))
            .collect();
        assert_eq!(found, [("X", vec!["m", "K"]), ("Z", vec!["p"])]);
    }

    #[test]
    fn what_is_used_publicly_is_taken_apart() {
        let text = "pub use a::{b, c::{self, D as E}, f::*};\nuse x::y;\npub(crate) use z::w;\npub use g as h;\n";
        let found: Vec<String> = scan(text)
            .expect("Rust")
            .uses
            .iter()
            .map(|used| format!("{}|{}|{}", used.path.join("::"), used.name, used.alias))
            .collect();
        assert_eq!(found, ["a|b|b", "a|c|c", "a::c|D|E", "a::f|*|*", "|g|h"]);
    }

    #[test]
    fn deep_and_broken_text_ends_no_program() {
        let deep = format!("pub fn a() {}{}", "{".repeat(50_000), "}".repeat(50_000));
        assert_eq!(names(&deep), ["1:pub a"]);
        let modules = format!("{}{}", "mod a {".repeat(5_000), "}".repeat(5_000));
        assert_eq!(names(&modules), ["1:a"]);
        for attribute in ["doc", "cfg", "cfg_attr", "path"] {
            let (open, close) = ("(".repeat(50_000), ")".repeat(50_000));
            assert_eq!(names(&format!("#[{attribute}{open}{close}]\npub fn a() {{}}")), ["2:pub a"]);
        }
        let used = format!("pub use {}a{};", "{".repeat(5_000), "}".repeat(5_000));
        assert!(scan(&used).is_ok());
        for broken in ["fn a( {", "\"", "pub fn", "pub", "#", "#[", "impl", "use", "macro_rules", "é'"] {
            let _ = scan(broken);
        }
        assert!(scan("pub fn a() {\n(").is_err());
    }
}
