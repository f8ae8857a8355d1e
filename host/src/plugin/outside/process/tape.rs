//! Programs and what they printed, as they stand in a recording.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{shown, wit_process};
use crate::plugin::outside::taped::{Asked, Taped};
use crate::plugin::project::tape::Content;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    status: i32,
    stdout: Content,
    stderr: Content,
}

/// A program with its arguments, as a recording knows it.
pub(super) fn asked<'a>(command: &wit_process::Command, item: Option<&'a str>) -> Asked<'a> {
    let what = json!({
        "program": command.program,
        "arguments": command.arguments,
        "folder": command.folder,
        "input": Content::of(&command.input),
    });
    Asked { kind: "process", item, what, words: format!("the program {}", shown(command)) }
}

impl Taped for wit_process::Output {
    fn to_tape(&self) -> Value {
        // A number and texts: they always serialise.
        let (stdout, stderr) = (Content::of(&self.stdout), Content::of(&self.stderr));
        json!(Written { status: self.status, stdout, stderr })
    }

    fn of_tape(value: &Value) -> Result<Self, String> {
        let Written { status, stdout, stderr } = Written::deserialize(value).map_err(|error| error.to_string())?;
        Ok(Self { status, stdout: stdout.bytes()?, stderr: stderr.bytes()?, extra: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_printed_is_read_as_it_was_written() {
        let printed = wit_process::Output {
            status: 3,
            stdout: b"one\ntwo\n".to_vec(),
            stderr: vec![0, 159, 146, 150],
            extra: Vec::new(),
        };
        let back = wit_process::Output::of_tape(&printed.to_tape()).unwrap();
        assert_eq!((back.status, back.stdout, back.stderr), (3, printed.stdout, printed.stderr));
        assert!(wit_process::Output::of_tape(&json!({"status": 0})).is_err());
    }
}
