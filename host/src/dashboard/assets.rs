//! The files of the page. They are a part of the program: nothing is read from disk, so no path leads anywhere.
//!
//! How a run is drawn is that of its page on disk ([`crate::page`]); what is here goes around it.

use crate::page::{Asset, SCRIPTS, STYLE};

macro_rules! script {
    ($name:literal) => {
        Asset {
            name: $name,
            media_type: "text/javascript; charset=utf-8",
            text: include_str!(concat!("assets/", $name)),
        }
    };
}

/// The page itself.
pub(super) const INDEX: Asset =
    Asset { name: "index.html", media_type: "text/html; charset=utf-8", text: include_str!("assets/index.html") };

/// What it loads beside what every page of a run has.
const FILES: &[Asset] = &[
    Asset { name: "dashboard.css", media_type: "text/css; charset=utf-8", text: include_str!("assets/dashboard.css") },
    script!("controls.js"),
    script!("dashboard.js"),
    script!("doing.js"),
    script!("dom.js"),
    script!("items.js"),
    script!("live.js"),
    script!("model.js"),
    script!("now.js"),
    script!("past.js"),
    script!("run.js"),
];

/// The file of this name.
pub(super) fn find(name: &str) -> Option<&'static Asset> {
    FILES.iter().chain(SCRIPTS).chain([&STYLE]).find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What would make markup or code of a text, or load something from elsewhere.
    const FORBIDDEN: &[&str] = &[
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "javascript:",
        "srcdoc",
        "https://",
        "http://",
        "@import",
        "url(",
    ];

    #[test]
    fn texts_can_become_texts_only_and_nothing_is_loaded_from_elsewhere() {
        for Asset { name, text, .. } in FILES.iter().chain([&INDEX]) {
            for word in FORBIDDEN {
                assert!(!text.contains(word), "{name} has {word}");
            }
        }
    }

    #[test]
    fn the_page_has_no_code_and_no_style_of_its_own() {
        let page = INDEX.text;
        let is_code = |word: &str| word.starts_with("on") && word.contains('=');
        assert!(
            !page.contains("style=") && !page.contains("<style") && !page.split_whitespace().any(is_code),
            "{page}"
        );
        for script in page.split("<script").skip(1) {
            assert!(script.contains("src=\"assets/"), "{script}");
        }
    }

    #[test]
    fn the_page_loads_what_draws_a_run_in_its_order() {
        let wanted: Vec<String> =
            SCRIPTS.iter().map(|asset| format!("<script src=\"assets/{}\" defer>", asset.name)).collect();
        let places: Vec<Option<usize>> = wanted.iter().map(|script| INDEX.text.find(script)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{wanted:?}");
        assert!(INDEX.text.contains(STYLE.name));
    }

    #[test]
    fn what_a_script_imports_is_there_and_what_is_there_is_loaded() {
        let imports = |asset: &'static Asset| asset.text.lines().filter(|line| line.starts_with("import "));
        let from = |import: &'static str| import.split('"').nth(1).and_then(|path| path.strip_prefix("./"));
        for asset in FILES {
            for import in imports(asset) {
                assert!(from(import).is_some_and(|from| find(from).is_some()), "{}: {import}", asset.name);
            }
            let is_loaded = INDEX.text.contains(&format!("assets/{}", asset.name))
                || FILES.iter().flat_map(imports).any(|import| from(import) == Some(asset.name));
            assert!(is_loaded, "{}", asset.name);
        }
    }
}
