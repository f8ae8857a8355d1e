//! Programs and what they printed as they stand in a recording. A replay runs none.

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

/// A call, as a recording knows it.
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
        let Self { status, stdout, stderr, extra: _ } = self;
        // Numbers and texts: they always serialise.
        json!(Written { status: *status, stdout: Content::of(stdout), stderr: Content::of(stderr) })
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
        let output =
            wit_process::Output { status: 3, stdout: b"one\n".to_vec(), stderr: vec![0, 255], extra: Vec::new() };
        let read = wit_process::Output::of_tape(&output.to_tape()).unwrap();
        assert_eq!((read.status, read.stdout, read.stderr), (3, output.stdout, output.stderr));
        assert!(wit_process::Output::of_tape(&json!({"status": 3})).is_err());
    }
}
