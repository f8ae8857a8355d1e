//! What a page asks a run to do, and how the run is asked.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;
use tokio::time::timeout;

use super::follow::Line;
use crate::control::protocol::{Request, Wish};

/// So long a run may take to do it.
const PATIENCE: Duration = Duration::from_secs(15);

/// Who asks, for those who read later who it was.
const CLIENT: &str = "dashboard";

/// Why there is no answer.
#[derive(Debug, Error)]
pub(super) enum Failed {
    /// It says nothing for [`PATIENCE`].
    #[error("the run does not answer")]
    Silent,
    /// It is gone, or says what makes no sense.
    #[error("the run can't be asked: {0}")]
    Unreachable(#[from] io::Error),
}

/// A change of a run that goes on.
#[derive(Debug, PartialEq)]
pub(super) struct Control {
    /// The id of the run.
    pub run: String,
    wish: Wish,
}

impl Control {
    /// What a page has posted. What is no change of one run is not passed on.
    ///
    /// # Errors
    /// What it is instead.
    pub(super) fn read(posted: &[u8]) -> Result<Self, String> {
        let request: Request = serde_json::from_slice(posted).map_err(|error| error.to_string())?;
        let run = request.run.ok_or("it names no run")?;
        match request.wish {
            Wish::Status | Wish::Events { .. } => Err("it changes nothing".to_owned()),
            wish => Ok(Self { run, wish }),
        }
    }

    /// Asks the process that listens there; what it answers.
    ///
    /// # Errors
    /// It is gone, says nothing, or says no JSON.
    pub(super) async fn send(self, socket: &Path) -> Result<Value, Failed> {
        let request = Request { wish: self.wish, run: Some(self.run), client: Some(CLIENT.to_owned()) };
        let asked = async {
            let mut line = Line::ask(socket, &request).await?;
            let answer = line.next().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            Ok::<_, io::Error>(serde_json::from_slice(&answer)?)
        };
        Ok(timeout(PATIENCE, asked).await.map_err(|_| Failed::Silent)??)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(posted: &Value) -> Result<Control, String> {
        Control::read(posted.to_string().as_bytes())
    }

    #[test]
    fn a_page_can_ask_one_run_for_these_and_for_nothing_else() {
        for change in [
            json!({"run": "one", "do": "pause", "now": true}),
            json!({"run": "one", "do": "resume"}),
            json!({"run": "one", "do": "limit", "set": 4}),
            json!({"run": "one", "do": "mode", "set": "safe"}),
            json!({"run": "one", "do": "cancel", "item": "a"}),
            json!({"run": "one", "do": "requeue", "item": 7}),
        ] {
            assert_eq!(read(&change).unwrap().run, "one", "{change}");
        }
        for other in [
            json!({"run": "one", "do": "status"}),
            json!({"run": "one", "do": "events", "from": 0}),
            json!({"run": "one", "do": "limit", "set": -1}),
            json!({"run": "one", "do": "limit", "set": "4"}),
            json!({"run": "one"}),
            json!({"do": "resume"}),
            json!(["resume"]),
        ] {
            assert!(read(&other).is_err(), "{other}");
        }
    }
}
