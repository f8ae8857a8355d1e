//! A run as a page for a browser: its timeline, its curves, and its report, all in one file that asks nothing of anybody.
//!
//! The scripts and the style are files of their own (`assets/`), which a server can hand out as they are, and which a page
//! on disk has inside of it. The page is drawn in the browser, from JSON: no text of a run is ever markup, neither here
//! nor there, and no script but these runs (a policy in the page names them by their digests).
//!
//! What each script is for stands at its head. `app.js` is what draws all of a run: `new Convoke.App(root)`, then
//! `.set({timeline, report, missing})` with the values of [`Data`], and for a run that goes on `.update(event)` with each
//! event as the stream has it.

mod of_run;
mod picture;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use convoke_runtime::timeline::Timeline;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub(crate) use of_run::{Gathered, gather};
pub use of_run::{PageError, of_run};
pub(crate) use picture::Picture;

use crate::report::clean;

/// A file that the page is made of.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its name.
    pub name: &'static str,
    /// What it is, for who serves it.
    pub media_type: &'static str,
    /// All of it.
    pub text: &'static str,
}

macro_rules! asset {
    ($name:literal, $media_type:literal) => {
        Asset { name: $name, media_type: $media_type, text: include_str!(concat!("assets/", $name)) }
    };
}

/// The style.
pub const STYLE: Asset = asset!("page.css", "text/css; charset=utf-8");

/// The scripts, in the order in which they are run. Each adds to the one global name `Convoke`; none runs anything.
pub const SCRIPTS: &[Asset] = &[
    asset!("base.js", "text/javascript; charset=utf-8"),
    asset!("timeline.js", "text/javascript; charset=utf-8"),
    asset!("rows.js", "text/javascript; charset=utf-8"),
    asset!("scale.js", "text/javascript; charset=utf-8"),
    asset!("gantt.js", "text/javascript; charset=utf-8"),
    asset!("curves.js", "text/javascript; charset=utf-8"),
    asset!("table.js", "text/javascript; charset=utf-8"),
    asset!("summary.js", "text/javascript; charset=utf-8"),
    asset!("findings.js", "text/javascript; charset=utf-8"),
    asset!("proposals.js", "text/javascript; charset=utf-8"),
    asset!("story.js", "text/javascript; charset=utf-8"),
    asset!("app.js", "text/javascript; charset=utf-8"),
];

/// What begins the page on disk, after all others: it reads the data that is in the page.
pub const START: Asset = asset!("start.js", "text/javascript; charset=utf-8");

/// What a page shows. Its JSON is what `app.js` takes.
#[derive(Debug, Serialize)]
pub struct Data<'a> {
    /// The picture.
    pub timeline: &'a Timeline,
    /// The JSON report; null where there is none, as of a run that goes on.
    pub report: Option<&'a Value>,
    /// What the page would show and can't, and why.
    pub missing: &'a [String],
}

/// The page of a run.
///
/// # Errors
/// None that a run can cause; the type is that of the serialiser.
pub fn render(data: &Data<'_>) -> serde_json::Result<String> {
    let json = in_a_script(&serde_json::to_string(data)?);
    let scripts: String = SCRIPTS.iter().chain([&START]).map(|asset| asset.text).collect();
    let title = match &data.timeline.run {
        Some(run) => format!("{} · convoke", run.command),
        None => "convoke".to_owned(),
    };
    let policy = policy(&[&scripts], STYLE.text);
    let mut page = String::with_capacity(json.len() + scripts.len() + STYLE.text.len() + 2_048);
    let (title, style) = (in_markup(&clean::line(&title)), STYLE.text);
    // A string takes all that is written to it.
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"{policy}\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta \
         name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<link rel=\"icon\" \
         href=\"data:,\">\n<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n<div id=\"convoke\"></div>\n\
         <noscript>This page is drawn by its scripts. `convoke report` shows the same run as text.</noscript>\n<script \
         type=\"application/json\" id=\"data\">{json}</script>\n<script>{scripts}</script>\n</body>\n</html>\n"
    );
    Ok(page)
}

/// What a page with these scripts and this style inside of it may do: run them, and nothing else.
fn policy(scripts: &[&str], style: &str) -> String {
    let digest = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())));
    let scripts: Vec<String> = scripts.iter().map(|script| digest(script)).collect();
    format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        scripts.join(" "),
        digest(style)
    )
}

/// JSON that can stand in a script element: the same value, without a character that markup or a script could take for
/// its own.
pub fn in_a_script(json: &str) -> String {
    let mut safe = String::with_capacity(json.len() + json.len() / 64);
    let mut rest = json;
    // The bytes with which such characters begin; what is between them is copied as it is.
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'<' | b'>' | b'&' | 0xe2)) {
        let (plain, from) = rest.split_at(at);
        safe.push_str(plain);
        let mut characters = from.chars();
        match characters.next() {
            Some(character @ ('<' | '>' | '&' | '\u{2028}' | '\u{2029}')) => {
                // A string takes all that is written to it.
                let _ = write!(safe, "\\u{:04x}", u32::from(character));
            }
            other => safe.extend(other),
        }
        rest = characters.as_str();
    }
    safe.push_str(rest);
    safe
}

/// Text that can stand in markup, also in an attribute.
pub fn in_markup(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            character => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests;
