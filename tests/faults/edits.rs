//! A project whose files are to be edited, and what became of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::world::{World, mark};

/// Which edits there are, and how each file is before and after.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    wanted: Vec<Wanted>,
    items: Vec<Value>,
    /// The keys of the actions.
    pub(crate) actions: Vec<String>,
}

#[derive(Debug)]
struct Wanted {
    mark: String,
    path: String,
    old: Option<String>,
    new: Option<String>,
}

/// How the files stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The marks of the items whose file is as the edit makes it.
    pub(crate) new: BTreeSet<String>,
    /// Files that are neither as they were nor as they are to be.
    pub(crate) broken: Vec<String>,
    /// What was left beside them.
    pub(crate) left: Vec<String>,
}

impl Edits {
    /// Makes the project: files to be replaced in part, made, rewritten and removed, and actions of some of the items.
    pub(crate) fn make(world: &World, count: usize, actions: usize) -> Self {
        let mut edits = Self::default();
        let mut items = Vec::new();
        for number in 0..count {
            let mark = mark(number);
            let path = format!("files/{}/{mark}.txt", number % 3);
            let old = format!("first line\nold {mark}\n{}last line\n", "more\n".repeat(number * 20));
            let (edit, old, new) = match number % 5 {
                0 => {
                    let path = format!("made/{mark}.txt");
                    (json!({ "change": "create", "path": path, "text": old }), None, Some(old))
                }
                1 => (json!({ "change": "delete", "path": path }), Some(old), None),
                2 => {
                    let new = format!("all of {mark} is new\n");
                    (json!({ "change": "rewrite", "path": path, "text": new }), Some(old), Some(new))
                }
                _ => {
                    let (from, to) = (format!("old {mark}"), format!("new {mark}"));
                    let new = old.replace(&from, &to);
                    (json!({ "change": "replace", "path": path, "from": from, "to": to }), Some(old), Some(new))
                }
            };
            let path = edit["path"].as_str().unwrap_or_default().to_owned();
            if let Some(old) = &old {
                world.write(&format!("project/{path}"), old);
            }
            let mut proposed = Vec::new();
            if number < actions {
                let key = format!("note-{mark}");
                proposed.push(json!({ "kind": "program", "title": format!("Note {mark}"), "key": key,
                    "body": { "program": "note", "arguments": [key] } }));
                edits.actions.push(key);
            }
            items.push(json!({ "id": mark, "ask": format!("Is {mark} well?"), "edits": [edit], "actions": proposed }));
            edits.wanted.push(Wanted { mark, path, old, new });
        }
        edits.items = items;
        world.write("project/none.json", r#"{"items":[]}"#);
        edits.write(world);
        let log = world.path("out");
        let note = format!(
            "#!/bin/sh\necho \"$1\" >> '{log}/begun'\nsleep 0.02\necho \"$1\" >> '{log}/acted'\n",
            log = log.display()
        );
        world.program("bin/note", &note);
        edits
    }

    fn write(&self, world: &World) {
        world.write("project/items.json", json!({ "items": self.items }).to_string());
    }

    /// Changes what is asked for some of the items.
    pub(crate) fn change(&mut self, world: &World, numbers: &[usize], changes: usize) {
        for number in numbers {
            self.items[*number]["ask"] = json!(format!("Is {} well, for the time {changes}?", mark(*number)));
        }
        self.write(world);
    }

    /// Looks at the files.
    pub(crate) fn look(&self, world: &World) -> Standing {
        let mut standing = Standing::default();
        for Wanted { mark, path, old, new } in &self.wanted {
            let now = match fs::read(world.path("project").join(path)) {
                Ok(bytes) => Some(bytes),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(error) => {
                    standing.broken.push(format!("{path}: {error}"));
                    continue;
                }
            };
            let is = |text: &Option<String>| now.as_deref() == text.as_deref().map(str::as_bytes);
            if is(new) {
                standing.new.insert(mark.clone());
            } else if !is(old) {
                standing.broken.push(path.clone());
            }
        }
        leftovers(&world.path("project"), &mut standing.left);
        standing
    }

    /// Whether an apply has begun to change something, beyond what was changed before.
    pub(crate) fn has_begun(&self, world: &World, before: &Standing) -> bool {
        let now = self.look(world);
        !now.left.is_empty() || now.new != before.new
    }
}

/// What an apply writes beside the files.
fn leftovers(folder: &Path, left: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(".convoke") {
            left.push(entry.path().display().to_string());
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            leftovers(&entry.path(), left);
        }
    }
}

/// How often each action was begun.
pub(crate) fn begun(world: &World) -> BTreeMap<String, usize> {
    let mut begun = BTreeMap::new();
    for line in fs::read_to_string(world.path("out/begun")).unwrap_or_default().lines() {
        *begun.entry(line.to_owned()).or_default() += 1;
    }
    begun
}

/// What all edits of the items in a report came to: those that it says are applied, and the others.
pub(crate) fn reported(report: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut applied, mut others) = (BTreeSet::new(), BTreeSet::new());
    for edit in report["edits"].as_array().into_iter().flatten() {
        let Some(mark) = edit["path"].as_str().and_then(crate::world::mark_in) else { continue };
        if edit["state"] == "applied" {
            applied.insert(mark)
        } else {
            others.insert(mark)
        };
    }
    (applied, others)
}
