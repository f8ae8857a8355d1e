//! Terminal escapes in every text of a result. Each would be seen: it sets the terminal's title, or clears it.

use convoke_sdk::{Action, Edit, Finding, Item, Level, Metric, Partial, Result, Severity, Task, log};

/// A text with escapes: of a sequence, of C1, of direction, and a line that looks like another one.
pub(crate) fn text(name: &str) -> String {
    format!(
        "{name} \u{1b}]0;pwned\u{7}\u{1b}[5;31mpwned\u{9b}2J\u{90}x\u{9c}\u{202e}\u{8}\u{7f}\rforged\nforged: {name}\0"
    )
}

/// The item that has them in its names.
pub(crate) fn named(item: Item) -> Item {
    item.label(text("label")).group(text("group"))
}

/// A result that has them everywhere.
pub(crate) fn everywhere(task: &Task) -> Result<Partial> {
    for level in [Level::Debug, Level::Info, Level::Warn, Level::Error] {
        log(level, &text("log"));
    }
    speak();
    task.progress(0.5, &text("progress"));
    let finding = Finding::new("escaped", Severity::High, text("message"))
        .at(text("path"), 1)
        .help(text("help"))
        .fingerprint(text("fingerprint"));
    let action = Action::program(text("key"), text("title"), text("program"), [text("argument")]).kind(text("kind"));
    Ok(Partial { actions: vec![action], ..Partial::done() }
        .finding(finding)
        .metric(Metric::sum(text("metric"), 1.0, text("unit")))
        .edit(Edit::create("new.txt", text("content"), text("reason")))
        .notes(text("notes")))
}

#[allow(clippy::print_stderr, clippy::print_stdout, reason = "on purpose")]
fn speak() {
    eprintln!("{}", text("stderr"));
    println!("{}", text("stdout"));
}
