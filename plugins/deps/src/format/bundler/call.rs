//! Calls of Ruby whose arguments are written out.

use super::ruby::{Kind, Token};

/// An argument that is written out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    /// A symbol, or several texts and symbols.
    Names(Vec<String>),
    Other,
    /// Only known when it runs.
    Computed,
}

impl Value {
    /// The text, or the several names.
    pub(super) fn names(self) -> Vec<String> {
        match self {
            Self::Text(name) => vec![name],
            Self::Names(names) => names,
            Self::Other | Self::Computed => Vec::new(),
        }
    }
}

/// The arguments of a call.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) values: Vec<Value>,
    pub(super) options: Vec<(String, Value)>,
}

impl Arguments {
    /// The value of an option.
    pub(super) fn option(&self, name: &str) -> Option<&Value> {
        self.options.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

/// A call, `name arguments` or `name(arguments)`, and nothing else.
pub(super) fn call(statement: &[Token]) -> Option<(&str, Arguments)> {
    let [Token { kind: Kind::Word(name), .. }, rest @ ..] = statement else { return None };
    let inner = match rest {
        [Token { kind: Kind::Open('('), .. }, inner @ .., Token { kind: Kind::Close(')'), .. }] => inner,
        rest => rest,
    };
    arguments(inner).map(|arguments| (name.as_str(), arguments))
}

/// The arguments of a call. None: these are none, but an expression.
pub(super) fn arguments(tokens: &[Token]) -> Option<Arguments> {
    let mut arguments = Arguments::default();
    let mut depth = 0usize;
    let parts = tokens.split(|token| {
        match token.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && token.kind == Kind::Comma
    });
    for part in parts.filter(|part| !part.is_empty()) {
        match part {
            [Token { kind: Kind::Label(key), .. }, value @ ..] => {
                arguments.options.push((key.clone(), value_of(value)))
            }
            [Token { kind: Kind::Symbol(key) | Kind::Text(key), .. }, Token { kind: Kind::Arrow, .. }, value @ ..] => {
                arguments.options.push((key.clone(), value_of(value)));
            }
            // `name.method`, `name = value`: no arguments.
            [Token { kind: Kind::Other(sign), .. }, _, ..]
                if sign != "-" && sign != "->" && sign != "*" && sign != "**" =>
            {
                return None;
            }
            [Token { kind: Kind::Open('{'), .. }, inner @ .., Token { kind: Kind::Close('}'), .. }] => {
                // Options may stand in braces, but not in more than one pair.
                if matches!(inner.first(), Some(Token { kind: Kind::Open(_), .. })) {
                    return None;
                }
                arguments.options.extend(self::arguments(inner)?.options);
            }
            value => arguments.values.push(value_of(value)),
        }
    }
    Some(arguments)
}

fn value_of(tokens: &[Token]) -> Value {
    match tokens {
        [Token { kind: Kind::Symbol(name), .. }] => Value::Names(vec![name.clone()]),
        [Token { kind: Kind::Words(words), .. }] => Value::Names(words.clone()),
        [Token { kind: Kind::Open('['), .. }, inner @ .., Token { kind: Kind::Close(']'), .. }] => {
            let parts = inner.split(|token| token.kind == Kind::Comma).filter(|part| !part.is_empty());
            let names: Option<Vec<&str>> = parts.map(name_of).collect();
            names.map_or(Value::Computed, |names| Value::Names(names.into_iter().map(str::to_owned).collect()))
        }
        [Token { kind: Kind::Word(word), .. }] if ["true", "false", "nil"].contains(&word.as_str()) => Value::Other,
        [] => Value::Other,
        tokens => name_of(tokens).map_or(Value::Computed, |text| Value::Text(text.to_owned())),
    }
}

/// A text or a symbol; `"text".freeze` too, as linters want it.
fn name_of(tokens: &[Token]) -> Option<&str> {
    let (first, rest) = tokens.split_first()?;
    let (Kind::Text(name) | Kind::Symbol(name)) = &first.kind else { return None };
    let plain = match rest {
        [] => true,
        [dot, freeze] => dot.kind == Kind::Other(".".to_owned()) && freeze.is("freeze"),
        _ => false,
    };
    plain.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::super::ruby::statements;
    use super::*;

    #[test]
    fn arguments_are_texts_names_or_only_known_when_it_runs() {
        let (statements, _) =
            statements("gem(\"a\".freeze, ['1', \"2\"], :x, %w[y z], nil, f(1, 2), k: true, :l => 'm', **more)\n");
        let (name, arguments) = call(&statements[0]).expect("a call");
        let names = |names: &[&str]| Value::Names(names.iter().map(|name| (*name).to_owned()).collect());
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(name, "gem");
        assert_eq!(
            arguments.values,
            [
                text("a"),
                names(&["1", "2"]),
                names(&["x"]),
                names(&["y", "z"]),
                Value::Other,
                Value::Computed,
                Value::Computed
            ]
        );
        assert_eq!(arguments.options, [("k".to_owned(), Value::Other), ("l".to_owned(), text("m"))]);
        assert_eq!(arguments.option("l"), Some(&text("m")));
    }

    #[test]
    fn an_expression_is_no_call() {
        for text in ["a.b 'c'\n", "a = 'b'\n", "'a'\n", "a + 1\n"] {
            let (statements, _) = statements(text);
            assert!(call(&statements[0]).is_none(), "{text}");
        }
    }
}
