//! A fault of the host itself: a panic. It costs the run its success, and nothing that is written.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use crate::report::clean;

/// The longest message that is shown, in characters.
const LONGEST: usize = 500;

/// Does the work; if it panics, says what it said.
///
/// What the work has left behind half done must not be used after that, but for what has its own invariants behind a lock:
/// the board, whose steps are whole or not at all, and the journal.
///
/// # Errors
/// It panicked: the message.
pub(crate) async fn guarded<T>(work: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| message(panic.as_ref()))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    clean::line(&clean::bounded(said.unwrap_or("it did not say why"), LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_message_and_nothing_else() {
        assert_eq!(guarded(async { 3 }).await, Ok(3));
        let formatted = guarded(async { panic!("number {}\u{1b}[2J", 3) }).await;
        assert!(formatted.is_err_and(|said: String| said.starts_with("number 3") && !said.contains('\u{1b}')));
        assert_eq!(guarded(async { panic!("fixed") }).await.unwrap_err(), "fixed");
        let odd = guarded(async { std::panic::panic_any(3_u8) }).await;
        assert_eq!(odd.unwrap_err(), "it did not say why");
    }
}
