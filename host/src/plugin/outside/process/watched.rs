//! A program under watch: how long it takes, and how much it prints.

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::{Refused, wit_process};
use crate::actions::process::{Machinery, Start};

/// Runs it, and returns when nothing of it is left.
///
/// # Errors
/// It was not started, took too long, printed too much, or did not end by itself: a part of a sentence.
pub(super) async fn run(
    machinery: &Machinery,
    start: &Start<'_>,
    most_output: u64,
) -> Result<wit_process::Output, Refused> {
    let refused = |why: String, hint: Option<&str>| Refused { message: why, hint: hint.map(str::to_owned) };
    let mut started = machinery.start(start).map_err(|why| refused(format!("it was not started: {why}"), None))?;
    let (stdout, stderr) = started.streams();
    let ended = timeout(start.timeout, async {
        let stdout = whole(stdout, most_output, "its standard output");
        let streams = tokio::try_join!(stdout, whole(stderr, most_output, "stderr"))?;
        Ok::<_, TooMuch>((streams, started.wait().await))
    });
    // What cuts it short must be known before it is ended, which needs it whole.
    let ended = ended.await;
    let ((stdout, stderr), status) = match ended {
        Ok(Ok(ended)) => ended,
        Ok(Err(TooMuch(stream))) => {
            started.end().await;
            let why = format!("it was ended, because it printed more than {most_output} bytes on {stream}");
            return Err(refused(
                why,
                Some("`max_output_bytes` of [process] in config.toml says how much it may print"),
            ));
        }
        Err(_) => {
            started.end().await;
            let why = format!("it was ended after {} s", start.timeout.as_secs());
            return Err(refused(why, Some("`timeout_s` of [process] in config.toml says how long it may take")));
        }
    };
    if let Some(trouble) = started.trouble() {
        return Err(refused(trouble, None));
    }
    match status.map(|status| status.code()) {
        Ok(Some(status)) => Ok(wit_process::Output { status, stdout, stderr, extra: Vec::new() }),
        Ok(None) => Err(refused("what watched over it was killed".to_owned(), None)),
        Err(error) => Err(refused(format!("its end was not seen: {error}"), None)),
    }
}

/// There is more on a stream than may be.
struct TooMuch(&'static str);

async fn whole(stream: Option<impl AsyncRead + Unpin>, most: u64, name: &'static str) -> Result<Vec<u8>, TooMuch> {
    let mut bytes = Vec::new();
    let Some(stream) = stream else { return Ok(bytes) };
    // What breaks off in the middle has ended: how is said by its code.
    let _ = stream.take(most.saturating_add(1)).read_to_end(&mut bytes).await;
    if bytes.len() as u64 > most { Err(TooMuch(name)) } else { Ok(bytes) }
}
