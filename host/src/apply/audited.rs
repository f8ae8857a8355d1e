//! What of edits is in the audit log: before a file is touched, and when all of them have ended.

use convoke_runtime::journal::{ApplyFile, ApplyRecord, FileContent};
use serde_json::json;

use crate::audit::{Record, kind};
use crate::plugin::sha256_hex;

/// That they begin, and each file with what it is and what it becomes.
pub(super) fn begins(record: &ApplyRecord) -> Vec<Record> {
    let (begin, file) = match record.undoes {
        Some(_) => (kind::ROLLBACK_BEGIN, kind::ROLLBACK_FILE),
        None => (kind::EDIT_BEGIN, kind::EDIT_FILE),
    };
    let undoes = record.undoes.map(|id| id.to_string());
    let details = json!({"id": record.id.to_string(), "files": record.files.len(), "undoes": undoes});
    let mut records = vec![of_run(record, Record::new(begin, record.project.clone(), details))];
    let digest = |content: &Option<FileContent>| content.as_ref().map(|content| sha256_hex(&content.bytes));
    let one = |ApplyFile { path, old, new, .. }: &ApplyFile| {
        let details = json!({"id": record.id.to_string(), "from": digest(old), "to": digest(new)});
        of_run(record, Record::new(file, path.clone(), details))
    };
    records.extend(record.files.iter().map(one));
    records
}

/// How they have ended: `done`, `undone`, or `stuck` in the middle.
pub(super) fn ended(record: &ApplyRecord, how: &str, why: &str) -> Record {
    let kind = if record.undoes.is_some() { kind::ROLLBACK_ENDED } else { kind::EDIT_ENDED };
    let details = json!({"id": record.id.to_string(), "became": how, "why": why});
    of_run(record, Record::new(kind, record.project.clone(), details))
}

fn of_run(record: &ApplyRecord, of: Record) -> Record {
    of.of_run(Some(record.run.to_string()))
}
