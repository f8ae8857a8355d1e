//! Which of Claude's tools a question may use: those that the user grants.
//!
//! Both sides write tools as Claude's permission rules do: `Read`, `Bash(git log:*)`, `mcp__server__tool`.

/// The first tool that is wanted and not granted.
pub fn missing<'a>(granted: &[String], wanted: &'a [String]) -> Option<&'a str> {
    wanted.iter().map(String::as_str).find(|tool| !granted.iter().any(|grant| covers(grant, tool)))
}

/// Whether a grant is enough for a wish. A grant covers itself; a whole tool covers its narrower forms; an MCP server covers its tools. Nothing narrow covers
/// anything wider.
pub fn covers(grant: &str, tool: &str) -> bool {
    let (grant, tool) = (grant.trim(), tool.trim());
    if grant == tool {
        return true;
    }
    let Some(rest) = tool.strip_prefix(grant) else { return false };
    let server = grant.strip_prefix("mcp__").is_some_and(|name| !name.is_empty() && !name.contains("__"));
    !grant.is_empty() && ((server && rest.starts_with("__")) || (rest.starts_with('(') && rest.ends_with(')')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_grant_covers_a_narrower_wish_and_never_the_other_way() {
        for (grant, tool, covered) in [
            ("Read", "Read", true),
            ("Read", " Read ", true),
            ("Bash", "Bash(git log:*)", true),
            ("Bash(git log:*)", "Bash(git log:*)", true),
            ("Bash(git log:*)", "Bash", false),
            ("Bash(git log:*)", "Bash(git push:*)", false),
            ("Bash", "BashOutput", false),
            ("Bash", "Bash(x", false),
            ("mcp__docs", "mcp__docs__search", true),
            ("mcp__docs", "mcp__docs2__search", false),
            ("mcp__docs__search", "mcp__docs__search__all", false),
            ("mcp__", "mcp____x", false),
            ("", "(x)", false),
        ] {
            assert_eq!(covers(grant, tool), covered, "{grant} {tool}");
        }
    }

    #[test]
    fn the_first_that_is_missing_is_named() {
        let tools = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(missing(&tools(&["Read"]), &tools(&["Read", "Bash", "Edit"])), Some("Bash"));
        assert_eq!(missing(&tools(&["Read"]), &tools(&["Read"])), None);
        assert_eq!(missing(&[], &[]), None);
    }
}
