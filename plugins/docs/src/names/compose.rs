//! The services of Compose files.

use super::scripts::Names;

/// Whether a file describes services for Compose.
pub(crate) fn is_compose(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".yml").or_else(|| name.strip_suffix(".yaml")) else { return false };
    ["compose", "docker-compose"]
        .iter()
        .any(|start| stem.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_'])))
}

/// Adds the services of a file, read by its indentation: as almost every one is written. One that is written otherwise, or
/// takes services from elsewhere, leaves the names open.
pub(crate) fn services(services: &mut Names, text: &str) {
    services.any = true;
    let mut indent = None;
    let mut inside = false;
    for line in text.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        let depth = line.len() - line.trim_start().len();
        if depth == 0 {
            inside = bare == "services:" || bare.starts_with("services: #") || bare.starts_with("services: &");
            indent = None;
            // Services in braces, files elsewhere.
            services.open |= bare.starts_with("services: {") || bare.starts_with("include:");
            continue;
        }
        if inside && *indent.get_or_insert(depth) == depth {
            match bare.split_once(':') {
                Some((name, _)) if bare.starts_with("<<") || name.contains('$') => services.open = true,
                Some((name, _)) => services.add(name),
                None => services.open = true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, bool) {
        let mut names = Names::default();
        services(&mut names, text);
        (names.names.into_iter().collect(), names.open)
    }

    #[test]
    fn services_are_one_level_below_their_heading() {
        let text = "x-a: &a\n  b: 1\nservices:\n  # web\n  web:\n    image: x\n    ports:\n      - 1:2\n  \"db\": *a\nvolumes:\n  v:\n";
        assert_eq!(read(text), (vec!["db".to_owned(), "web".to_owned()], false));
    }

    #[test]
    fn services_from_elsewhere_leave_the_names_open() {
        assert!(read("include:\n  - other/file.yml\nservices:\n  web:\n    image: x\n").1);
        assert!(read("services: {web: {image: x}}\n").1);
    }

    #[test]
    fn compose_files_are_known_by_their_names() {
        for (name, is) in [
            ("compose.yaml", true),
            ("docker-compose.dev.yml", true),
            ("compose.agent.yml", true),
            ("composer.yml", false),
            ("compose.json", false),
        ] {
            assert_eq!(is_compose(name), is, "{name}");
        }
    }
}
