//! `*.gemspec`: what a gem says of itself and needs, as far as it is written out.

use super::bound;
use super::call::{Value, arguments};
use super::gemfile::LONGEST;
use super::ruby::{Kind, Token, statements};
use crate::format::reading::{Faults, unmarked};
use crate::model::{Bound, File, Manager, Manifest, Origin, Requirement, Scope, Texts};

/// Reads a gemspec: `spec.add_dependency "name", "range"` and what the gem is called.
pub(super) fn parse(path: &str, text: &str, _: &Texts) -> File {
    let file = File::new(path, Manager::Bundler, "gemspec");
    if text.len() > LONGEST {
        return file.broken(None, &format!("it is longer than {LONGEST} bytes, which no real gemspec is"));
    }
    let (statements, unclosed) = statements(unmarked(text));
    let mut manifest = Manifest::default();
    let mut faults = Faults::default();
    for statement in &statements {
        take(statement, &mut manifest, &mut faults);
    }
    if let Some(unclosed) = unclosed {
        faults.add(unclosed.line, "the text that begins here is never closed, so nothing after it was read");
    }
    faults.into(File { manifest: Some(manifest), ..file })
}

fn take(statement: &[Token], manifest: &mut Manifest, faults: &mut Faults) {
    if let [_, dot, Token { kind: Kind::Word(name), .. }, sign, Token { kind: Kind::Text(value), .. }] = statement
        && is_sign(dot, ".")
        && is_sign(sign, "=")
    {
        match name.as_str() {
            "name" => manifest.name = Some(value.clone()),
            "version" => manifest.version = Some(value.clone()),
            "license" => manifest.license = Some(value.clone()),
            _ => {}
        }
        return;
    }
    let found = statement.iter().enumerate().find_map(|(at, token)| match &token.kind {
        Kind::Word(name) | Kind::Symbol(name) => scope(name).map(|scope| (at, token.line, scope)),
        _ => None,
    });
    let Some((at, line, scope)) = found else { return };
    let tail = statement.get(at + 1..).unwrap_or_default();
    let (tail, condition) = match tail.iter().position(|token| token.is("if") || token.is("unless")) {
        Some(at) => (tail.get(..at).unwrap_or_default(), true),
        None => (tail, false),
    };
    let inner = match tail {
        [Token { kind: Kind::Open('('), .. }, inner @ .., Token { kind: Kind::Close(')'), .. }] => inner,
        tail => tail,
    };
    let values = arguments(inner).map(|arguments| arguments.values).unwrap_or_default();
    let [Value::Text(name), ranges @ ..] = values.as_slice() else {
        faults.add(line, "the name of this gem is only known when the file runs");
        return;
    };
    let mut parts = Vec::new();
    let mut computed = false;
    for range in ranges {
        match range {
            Value::Text(part) => parts.push(part.clone()),
            Value::Names(names) => parts.extend(names.iter().cloned()),
            Value::Other | Value::Computed => computed = true,
        }
    }
    if computed {
        faults.add(line, &format!("which version of {name} is asked for is only known when the file runs"));
    }
    manifest.requirements.push(Requirement {
        name: name.clone(),
        range: (!parts.is_empty()).then(|| parts.join(", ")),
        bound: if computed { Bound::Unknown } else { bound(parts.iter().map(String::as_str)) },
        origin: Origin::Registry(None),
        scope,
        line,
        condition: condition.then(|| "under a condition".to_owned()),
        hashed: false,
    });
}

fn is_sign(token: &Token, sign: &str) -> bool {
    matches!(&token.kind, Kind::Other(found) if found == sign)
}

fn scope(method: &str) -> Option<Scope> {
    match method {
        "add_dependency" | "add_runtime_dependency" => Some(Scope::Normal),
        "add_development_dependency" => Some(Scope::Dev),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gem_says_what_it_is_and_needs() {
        let text = "Gem::Specification.new do |spec|\n  spec.name = \"shop\"\n  spec.version = Shop::VERSION\n  spec.license = 'MIT'\n\
                    spec.add_dependency \"rack\", \">= 2\", \"< 4\"\n  spec.add_development_dependency(%q<rspec>.freeze, [\"~> 3.0\".freeze])\n\
                    s.add_runtime_dependency 'x' if RUBY_ENGINE == 'ruby'\n  s.add_dependency name\n  s.add_dependency 'y', VERSION\n  s.files = Dir['*']\nend\n";
        let file = parse("shop.gemspec", text, &Texts::new());
        let lines: Vec<_> = file.faults.iter().filter_map(|fault| fault.line).collect();
        assert_eq!(lines, [8, 9]);
        let manifest = file.manifest.expect("a manifest");
        assert_eq!(
            (manifest.name.as_deref(), manifest.version, manifest.license.as_deref()),
            (Some("shop"), None, Some("MIT"))
        );
        let found: Vec<_> =
            manifest.requirements.iter().map(|gem| (gem.name.as_str(), gem.bound, gem.scope, gem.line)).collect();
        assert_eq!(
            found,
            [
                ("rack", Bound::Bounded, Scope::Normal, 5),
                ("rspec", Bound::Bounded, Scope::Dev, 6),
                ("x", Bound::Open, Scope::Normal, 7),
                ("y", Bound::Unknown, Scope::Normal, 9),
            ]
        );
    }
}
