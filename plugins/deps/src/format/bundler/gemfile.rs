//! `Gemfile`: the part that says what it says without being run. What would have to be run is a fault with its line.

use convoke_sdk::text::shown;

use super::bound;
use super::call::{Arguments, Value, call};
use super::ruby::{Kind, Token, statements};
use crate::format::reading::{Faults, MOST_ENTRIES, is_commit, too_many, unmarked, without_credentials};
use crate::format::registry::is_default;
use crate::model::{Bound, Ecosystem, File, Include, Manager, Manifest, Origin, Requirement, Scope, Texts, beside};

/// Programs of Ruby are read up to this size, in bytes. The longest `Gemfile`s that people write have some ten thousand.
pub(super) const LONGEST: usize = 1 << 20;

/// Reads a `Gemfile`. What it takes from a gemspec beside it is that file's own to say.
pub(super) fn parse(path: &str, text: &str, _: &Texts) -> File {
    let file = File::new(path, Manager::Bundler, "Gemfile");
    if text.len() > LONGEST {
        return file.broken(None, &format!("it is longer than {LONGEST} bytes, which no real Gemfile is"));
    }
    let text = unmarked(text);
    let (statements, unclosed) = statements(text);
    let mut reader = Reader { path, text, ..Reader::default() };
    for statement in &statements {
        reader.statement(statement);
    }
    if let Some(unclosed) = unclosed {
        reader.faults.add(unclosed.line, "the text that begins here is never closed, so nothing after it was read");
    }
    if reader.manifest.requirements.len() > MOST_ENTRIES {
        return too_many(file);
    }
    reader.manifest.requirements.retain(|requirement| !requirement.name.is_empty());
    reader.faults.into(File { manifest: Some(reader.manifest), ..file })
}

/// What a `do … end` or an `if … end` says of the gems in it.
#[derive(Clone, Default)]
struct Block {
    condition: Option<String>,
    groups: Vec<String>,
    optional: bool,
    origin: Option<Origin>,
}

#[derive(Default)]
struct Reader<'a> {
    path: &'a str,
    text: &'a str,
    manifest: Manifest,
    blocks: Vec<Block>,
    /// The source of the whole file, where it is not the usual one.
    source: Option<String>,
    faults: Faults,
}

/// Statements that ask for nothing: what Ruby is needed, what is loaded, what is said.
const HARMLESS: [&str; 9] =
    ["ruby", "require", "require_relative", "puts", "warn", "raise", "abort", "git_source", "private"];

/// Keywords that begin what an `end` ends.
const OPENING: [&str; 11] = ["if", "unless", "case", "while", "until", "for", "begin", "def", "class", "module", "do"];

impl Reader<'_> {
    fn statement(&mut self, statement: &[Token]) {
        let Some(first) = statement.first() else { return };
        match &first.kind {
            Kind::Word(word) if word == "end" => {
                self.blocks.pop();
            }
            Kind::Word(word) if ["else", "elsif", "when", "in", "rescue", "ensure"].contains(&word.as_str()) => {
                let condition = match self.blocks.pop().and_then(|block| block.condition) {
                    Some(before) if word == "else" => format!("else of {before}"),
                    _ => self.written(statement),
                };
                self.blocks.push(Block { condition: Some(condition), ..Block::default() });
            }
            _ if statement.last().is_some_and(|last| last.is("end")) => self.on_one_line(statement),
            Kind::Word(word) if OPENING.contains(&word.as_str()) => {
                let condition = Some(self.written(statement));
                self.blocks.push(Block { condition, ..Block::default() });
            }
            _ => match block_start(statement) {
                Some(head) => {
                    let block = self.block(head);
                    self.blocks.push(block);
                }
                None => self.plain(statement),
            },
        }
    }

    /// `if x then gem "a" end`, or a whole method on one line.
    fn on_one_line(&mut self, statement: &[Token]) {
        let opened = statement.iter().filter(|token| OPENING.iter().any(|word| token.is(word))).count();
        let ended = statement.iter().filter(|token| token.is("end")).count();
        if names_gems(statement) || opened != ended {
            self.unread(statement);
        }
    }

    /// What stands before `do`.
    fn block(&mut self, head: &[Token]) -> Block {
        let (head, modifier) = split_modifier(head);
        let mut block = Block { condition: modifier.map(|modifier| self.written(modifier)), ..Block::default() };
        let Some((name, arguments)) = call(head) else {
            block.condition = Some(self.written(head));
            return block;
        };
        let first = arguments.values.first().cloned().unwrap_or(Value::Other);
        match (name, first) {
            ("group", _) => {
                block.optional = matches!(arguments.option("optional"), Some(Value::Other));
                block.groups = arguments.values.into_iter().flat_map(Value::names).collect();
            }
            ("platform" | "platforms", _) => {
                let names: Vec<_> = arguments.values.into_iter().flat_map(Value::names).collect();
                block.condition = Some(shown(&format!("platforms {}", names.join(", ")), 200));
            }
            ("source", Value::Text(address)) => block.origin = Some(registry(&address)),
            ("path", Value::Text(folder)) => block.origin = Some(Origin::Path(folder)),
            ("git", Value::Text(url)) => block.origin = Some(git(&url, &arguments)),
            ("github", Value::Text(name)) => block.origin = Some(git(&github(&name), &arguments)),
            ("source" | "path" | "git" | "github", _) => self.unread(head),
            _ => block.condition = Some(self.written(head)),
        }
        block
    }

    /// A statement without a block.
    fn plain(&mut self, statement: &[Token]) {
        let (statement, modifier) = split_modifier(statement);
        let condition = modifier.map(|modifier| self.written(modifier));
        let Some(line) = statement.first().map(|first| first.line) else { return };
        let assigned =
            matches!(statement, [_, Token { kind: Kind::Other(sign), .. }, ..] if sign == "=" || sign == "||=");
        if assigned {
            // The `end` of what is assigned is still to come.
            if statement.get(2).is_some_and(|token| OPENING.iter().any(|word| token.is(word))) {
                self.blocks.push(Block { condition: Some(self.written(statement)), ..Block::default() });
            } else if names_gems(statement) {
                self.unread(statement);
            }
            return;
        }
        let Some((name, arguments)) = call(statement) else {
            // A value alone calls nothing.
            if statement.iter().any(|token| matches!(token.kind, Kind::Word(_) | Kind::Symbol(_))) {
                self.unread(statement);
            }
            return;
        };
        match (name, arguments.values.first()) {
            ("gem", Some(Value::Text(gem))) => {
                let gem = gem.clone();
                self.gem(gem, arguments, condition, line);
            }
            ("plugin", Some(Value::Text(gem))) => {
                let gem = gem.clone();
                let before = self.manifest.requirements.len();
                self.gem(gem, arguments, condition, line);
                for requirement in self.manifest.requirements.iter_mut().skip(before) {
                    requirement.scope = Scope::Build;
                }
            }
            ("gem" | "plugin", _) => self.faults.add(line, "the name of this gem is only known when the file runs"),
            ("source", Some(Value::Text(address))) => {
                self.source = (!is_default(Ecosystem::RubyGems, address)).then(|| without_credentials(address));
            }
            ("source", Some(Value::Names(_))) => {}
            ("eval_gemfile", Some(Value::Text(named))) => match beside(self.path, named) {
                Some(path) => self.manifest.includes.push(Include { path, line, constraint: false }),
                None => self.faults.add(line, &format!("{named} lies outside of the project, so it was not read")),
            },
            // The gemspec beside it is a manifest of its own.
            ("gemspec", _) => {}
            (name, _) if HARMLESS.contains(&name) => {}
            _ => self.unread(statement),
        }
    }

    fn gem(&mut self, name: String, arguments: Arguments, condition: Option<String>, line: u32) {
        let mut conditions: Vec<String> = self.blocks.iter().filter_map(|block| block.condition.clone()).collect();
        conditions.extend(condition);
        let mut groups: Vec<String> = self.blocks.iter().flat_map(|block| block.groups.clone()).collect();
        let optional = self.blocks.iter().any(|block| block.optional);
        let mut origin = self.blocks.iter().rev().find_map(|block| block.origin.clone());
        let versions = arguments.values.iter().skip(1);
        let computed = versions.clone().any(|value| matches!(value, Value::Computed | Value::Other));
        let parts: Vec<String> = versions.cloned().flat_map(Value::names).collect();
        for (key, value) in &arguments.options {
            match (key.as_str(), value) {
                ("group" | "groups", value) => groups.extend(value.clone().names()),
                ("platform" | "platforms", value) => {
                    conditions.push(format!("platforms {}", value.clone().names().join(", ")));
                }
                ("install_if", _) => conditions.push("install_if".to_owned()),
                ("path", Value::Text(folder)) => origin = Some(Origin::Path(folder.clone())),
                ("git", Value::Text(url)) => origin = Some(git(url, &arguments)),
                ("github", Value::Text(name)) => origin = Some(git(&github(name), &arguments)),
                ("source", Value::Text(address)) => origin = Some(registry(address)),
                ("git" | "path" | "github" | "source", _) => {
                    self.faults.add(line, &format!("where {name} comes from is only known when the file runs"));
                }
                _ if KNOWN_OPTIONS.contains(&key.as_str()) => {}
                // A source that `git_source` defines.
                (_, Value::Text(value)) => origin = Some(git(&format!("{key}:{value}"), &arguments)),
                _ => self.faults.add(line, &format!("Bundler has no option {key} for a gem")),
            }
        }
        if computed {
            self.faults.add(line, &format!("which version of {name} is asked for is only known when the file runs"));
        }
        let origin = origin.unwrap_or_else(|| Origin::Registry(self.source.clone()));
        let conditions = conditions.join("; ");
        self.manifest.requirements.push(Requirement {
            range: (!parts.is_empty()).then(|| parts.join(", ")),
            bound: bound_of(&parts, computed, &origin),
            origin,
            scope: scope_of(&groups, optional),
            line,
            condition: (!conditions.is_empty()).then(|| shown(&conditions, 300)),
            hashed: false,
            name,
        });
    }

    /// Ruby that would have to be run.
    fn unread(&mut self, statement: &[Token]) {
        let Some(first) = statement.first() else { return };
        let message = format!("this is Ruby that can only be run, and was not: {}", self.written(statement));
        self.faults.add(first.line, &message);
    }

    /// A statement as it is written.
    fn written(&self, statement: &[Token]) -> String {
        let start = statement.first().map_or(0, |first| first.span.start);
        let end = statement.last().map_or(start, |last| last.span.end);
        shown(self.text.get(start..end).unwrap_or_default(), 120)
    }
}

/// Options of a gem that say nothing of where it comes from.
const KNOWN_OPTIONS: [&str; 10] =
    ["require", "branch", "tag", "ref", "glob", "submodules", "name", "force_ruby_platform", "type", "install_if"];

fn bound_of(parts: &[String], computed: bool, origin: &Origin) -> Bound {
    match origin {
        _ if computed => Bound::Unknown,
        Origin::Git { commit: Some(_), .. } | Origin::Path(_) if parts.is_empty() => Bound::Exact,
        _ => bound(parts.iter().map(String::as_str)),
    }
}

/// A gem that only groups for development have is for that; one in no group, or in another one, is needed to run.
fn scope_of(groups: &[String], optional: bool) -> Scope {
    const DEVELOPMENT: [&str; 7] = ["development", "dev", "test", "ci", "lint", "docs", "debug"];
    if !groups.is_empty() && groups.iter().all(|group| DEVELOPMENT.contains(&group.as_str())) {
        Scope::Dev
    } else if optional {
        Scope::Optional
    } else {
        Scope::Normal
    }
}

fn registry(address: &str) -> Origin {
    Origin::Registry((!is_default(Ecosystem::RubyGems, address)).then(|| without_credentials(address)))
}

fn git(url: &str, arguments: &Arguments) -> Origin {
    let commit = match arguments.option("ref") {
        Some(Value::Text(commit)) if is_commit(commit) => Some(commit.clone()),
        _ => None,
    };
    Origin::Git { url: without_credentials(url), commit }
}

/// The repository that `github: "name"` stands for.
fn github(name: &str) -> String {
    if name.contains("://") {
        name.to_owned()
    } else if name.contains('/') {
        format!("https://github.com/{name}.git")
    } else {
        format!("https://github.com/{name}/{name}.git")
    }
}

fn names_gems(statement: &[Token]) -> bool {
    const NAMES: [&str; 4] = ["gem", "gemspec", "eval_gemfile", "plugin"];
    statement.iter().any(|token| match &token.kind {
        Kind::Word(word) | Kind::Symbol(word) => NAMES.contains(&word.as_str()),
        _ => false,
    })
}

/// What stands before `do`, with or without names between bars after it.
fn block_start(statement: &[Token]) -> Option<&[Token]> {
    let at = statement.iter().rposition(|token| token.is("do"))?;
    let (head, after) = statement.split_at(at);
    let names = after.get(1..).unwrap_or_default();
    let barred = matches!(names, [first, .., last] if is_bar(first) && is_bar(last));
    (names.is_empty() || barred).then_some(head)
}

fn is_bar(token: &Token) -> bool {
    matches!(&token.kind, Kind::Other(text) if text == "|")
}

/// A statement, and what stands behind it as a condition: `if x`.
fn split_modifier(statement: &[Token]) -> (&[Token], Option<&[Token]>) {
    let mut depth = 0usize;
    for (at, token) in statement.iter().enumerate().skip(1) {
        match &token.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close(_) => depth = depth.saturating_sub(1),
            Kind::Word(word) if depth == 0 && (word == "if" || word == "unless") => {
                let (statement, modifier) = statement.split_at(at);
                // `x = if y` is a value.
                let value = matches!(statement.last(), Some(Token { kind: Kind::Other(_), .. }));
                return if value { (statement, None) } else { (statement, Some(modifier)) };
            }
            _ => {}
        }
    }
    (statement, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::registry::with_default;

    fn parsed(text: &str) -> File {
        parse("Gemfile", &with_default(Ecosystem::RubyGems, text), &Texts::new())
    }

    fn shown_gems(text: &str) -> Vec<String> {
        let file = parsed(text);
        assert_eq!(file.faults, [], "{text}");
        let gem = |gem: &Requirement| {
            let condition = gem.condition.as_ref().map_or(String::new(), |condition| format!(" [{condition}]"));
            format!("{} {} {:?} {:?}{condition}", gem.line, gem.name, gem.range.as_deref().unwrap_or("-"), gem.scope)
        };
        file.manifest.expect("a manifest").requirements.iter().map(gem).collect()
    }

    fn origins(text: &str) -> Vec<(Origin, Bound)> {
        let file = parsed(text);
        assert_eq!(file.faults, [], "{text}");
        file.manifest.expect("a manifest").requirements.into_iter().map(|gem| (gem.origin, gem.bound)).collect()
    }

    #[test]
    fn gems_have_ranges_groups_and_lines() {
        let text = "# frozen_string_literal: true\nsource \"https://registry.default\"\nruby file: '.ruby-version'\n\ngem \"rails\", \"~> 8.0\"\n\
                    gem('puma', '>= 5', '< 7')\ngem \"pg\", [\">= 1\", \"< 2\"], require: false\ngroup :development, :test do\n  gem \"rspec\"\nend\n\
                    gem \"rubocop\", group: :development\ngem \"x\", :groups => [:test, :production]\ngroup(:extra, optional: true) do\n  gem 'y'\nend\n\
                    gem 'z', platforms: %i[mri windows]\nplugin 'p', '1.0'\n";
        assert_eq!(
            shown_gems(text),
            [
                "5 rails \"~> 8.0\" Normal",
                "6 puma \">= 5, < 7\" Normal",
                "7 pg \">= 1, < 2\" Normal",
                "9 rspec \"-\" Dev",
                "11 rubocop \"-\" Dev",
                "12 x \"-\" Normal",
                "14 y \"-\" Optional",
                "16 z \"-\" Normal [platforms mri, windows]",
                "17 p \"1.0\" Build",
            ]
        );
    }

    #[test]
    fn gems_under_a_condition_are_read_with_it() {
        let text = "gem 'a' if ENV['A']\nif RUBY_VERSION >= '3'\n  gem 'b'\nelse\n  gem 'c'\nend\nplatforms :jruby do\n  gem 'd'\nend\n\
                    install_if -> { true } do\n gem 'e'\nend\nversion = '1'\nx = if y\n 1\nend\ngem 'f'\n";
        assert_eq!(
            shown_gems(text),
            [
                "1 a \"-\" Normal [if ENV['A']]",
                "3 b \"-\" Normal [if RUBY_VERSION >= '3']",
                "5 c \"-\" Normal [else of if RUBY_VERSION >= '3']",
                "8 d \"-\" Normal [platforms jruby]",
                "11 e \"-\" Normal [install_if -> { true }]",
                "17 f \"-\" Normal",
            ]
        );
    }

    #[test]
    fn gems_come_from_where_they_say() {
        let commit = "a".repeat(40);
        let git = |url: &str, commit: Option<&String>| Origin::Git { url: url.to_owned(), commit: commit.cloned() };
        let found = origins(&format!(
            "gem 'a', git: 'https://me:pass@git.example/a.git', ref: '{commit}'\ngem 'b', github: 'x/b', branch: 'main'\ngem 'c', path: '../c'\n\
             gem 'd', '1.0', source: 'https://gems.example'\nsource 'https://gems.example' do\n  gem 'e'\nend\n\
             git 'https://git.example/f.git', tag: 'v1' do\n  gem 'f', '~> 1'\nend\ngit_source(:own) {{ |name| \"https://git.example/#{{name}}\" }}\n\
             gem 'g', own: 'g'\ngem 'h'\npath 'lib' do gem 'i' end\n"
        ).replace("path 'lib' do gem 'i' end\n", "path 'lib' do\ngem 'i'\nend\n"));
        let other = Origin::Registry(Some("https://gems.example".to_owned()));
        assert_eq!(
            found,
            [
                (git("https://git.example/a.git", Some(&commit)), Bound::Exact),
                (git("https://github.com/x/b.git", None), Bound::Open),
                (Origin::Path("../c".to_owned()), Bound::Exact),
                (other.clone(), Bound::Exact),
                (other, Bound::Open),
                (git("https://git.example/f.git", None), Bound::Bounded),
                (git("own:g", None), Bound::Open),
                (Origin::Registry(None), Bound::Open),
                (Origin::Path("lib".to_owned()), Bound::Exact),
            ]
        );
        assert_eq!(
            origins("source 'https://gems.example'\ngem 'a'\n")[0].0,
            Origin::Registry(Some("https://gems.example".to_owned()))
        );
    }

    #[test]
    fn another_gemfile_is_named_and_a_gemspec_speaks_for_itself() {
        let file =
            parse("a/Gemfile", "gemspec\neval_gemfile '../Gemfile.common'\neval_gemfile '/etc/x'\n", &Texts::new());
        let includes = file.manifest.expect("a manifest").includes;
        assert_eq!(includes, [Include { path: "Gemfile.common".to_owned(), line: 2, constraint: false }]);
        assert_eq!(file.faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [Some(3)]);
    }

    #[test]
    fn what_would_have_to_be_run_is_a_fault_with_its_line() {
        let text = "%w[a b].each do |name|\n  gem name\nend\ngem \"x-#{y}\"\ngem 'z', VERSION\n['q'].each { |name| gem name }\nown_gems 'a'\n\
                    instance_eval File.read('more.rb')\nif a then gem 'b' end\nversion = '1'\nputs 'fine'\ngem 'ok'\nlist.each(&method(:gem))\n";
        let file = parsed(text);
        let lines: Vec<_> = file.faults.iter().filter_map(|fault| fault.line).collect();
        assert_eq!(lines, [2, 4, 5, 6, 7, 8, 9, 13]);
        let gems = file.manifest.expect("a manifest").requirements;
        assert_eq!(
            gems.iter().map(|gem| (gem.name.as_str(), gem.bound)).collect::<Vec<_>>(),
            [("z", Bound::Unknown), ("ok", Bound::Open)]
        );
        assert_eq!(parsed("gem 'a'\ngem 'b\n").faults[0].line, Some(2));
    }

    #[test]
    fn no_text_makes_the_reader_panic() {
        let pieces = [
            "gem ", "'a'", "\"", ", ", "do\n", "end\n", "if ", "{", "}", "(", ")", "[", "]", ":x", "y: ", "=>", "\n",
            "é", "group ", "#{", "= ",
        ];
        crate::format::testing::pieces(&pieces, |text| drop(parsed(text)));
        assert!(parsed(&"{".repeat(LONGEST)).manifest.is_some());
        assert!(parsed(&"gem 'a', {".repeat(LONGEST / 16)).manifest.is_some());
    }
}
