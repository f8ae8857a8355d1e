//! Where a project seems to use a package: the lines that import it by its name.

use convoke_sdk::{Pattern, Query};

use crate::model::Manager;

/// Folders whose code is not the project's.
const NOT_OURS: &[&str] = &["node_modules/", "vendor/", "target/", ".venv/", "venv/"];

/// What is searched below a folder, by the language's usual import of a package of that name. Packages that are imported under
/// another name are not found by it.
pub fn of(manager: Manager, name: &str, folder: &str) -> Pattern {
    let literal = escaped(name);
    let (regex, globs): (String, &[&str]) = match manager {
        Manager::Cargo => {
            let name = escaped(&name.replace('-', "_"));
            (format!(r"\b{name}::|\buse {name}\b|\bextern crate {name}\b"), &["*.rs"])
        }
        Manager::Npm => (
            format!(r#"(from|require\(|import\(?)\s*['"]{literal}['"/]"#),
            &["*.js", "*.jsx", "*.mjs", "*.cjs", "*.ts", "*.tsx", "*.mts", "*.cts", "*.vue", "*.svelte"],
        ),
        Manager::Python => {
            let name = literal.replace('_', "\\-").replace("\\-", "[_.]");
            (format!(r"(?i)^\s*(import|from)\s+{name}\b"), &["*.py", "*.pyi"])
        }
        Manager::Go => (format!(r#""{literal}["/]"#), &["*.go"]),
        Manager::Maven | Manager::Gradle => {
            let group = escaped(name.split(':').next().unwrap_or(name));
            (format!(r"\bimport\s+(static\s+)?{group}\."), &["*.java", "*.kt", "*.kts", "*.scala", "*.groovy"])
        }
        Manager::NuGet => (format!(r"(?i)\b(using|open|imports)\s+(static\s+)?{literal}\b"), &["*.cs", "*.fs", "*.vb"]),
        Manager::Bundler => {
            let name = literal.replace("\\-", "[-/_]");
            (format!(r#"\brequire\s*\(?\s*['"]{name}['"/]"#), &["*.rb", "*.rake", "Rakefile"])
        }
    };
    Pattern::new(regex, Query::files(globs).except(NOT_OURS).under(folder))
}

/// A text as a regular expression for just that. What the syntax of Rust's `regex` gives a meaning to is escaped.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for char in text.chars().take(200) {
        if r"\.+*?()|[]{}^$#&-~".contains(char) {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_as_it_is_imported() {
        assert_eq!(
            of(Manager::Cargo, "tracing-core", "").regex,
            r"\btracing_core::|\buse tracing_core\b|\bextern crate tracing_core\b"
        );
        assert_eq!(of(Manager::Python, "flask-login", "").regex, r"(?i)^\s*(import|from)\s+flask[_.]login\b");
        assert_eq!(of(Manager::Go, "example.org/a", "").regex, r#""example\.org/a["/]"#);
        assert_eq!(of(Manager::Maven, "org.a:b", "").regex, r"\bimport\s+(static\s+)?org\.a\.");
        assert_eq!(of(Manager::Npm, "(.*", "x").regex, r#"(from|require\(|import\(?)\s*['"]\(\.\*['"/]"#);
        assert_eq!(of(Manager::Npm, "a", "x").files.under, "x");
    }
}
