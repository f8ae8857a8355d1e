//! The named quotas that requests and programs take from, in common with all processes of the user.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use convoke_runtime::quota::named::{NamedQuotas, Use, UsedUp};
use convoke_runtime::shared::{Shared, SharedLimits};

/// How long is waited for room in a quota, once: as long as a worker may be at an item by itself.
const PATIENCE: Duration = Duration::from_secs(600);

/// Takes what is told of a call: the level, and the words. What is told as a `warn` the user should see.
pub(super) type Told<'a> = &'a (dyn Fn(&'static str, String) + Sync);

/// The named quotas. Clones count together.
#[derive(Clone, Default)]
pub struct Quotas(Arc<Inner>);

#[derive(Default)]
struct Inner {
    named: NamedQuotas,
    shared: OnceLock<Arc<Shared>>,
}

impl fmt::Debug for Quotas {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Quotas").field(&self.0.named).finish()
    }
}

impl Quotas {
    /// These.
    pub fn new(named: NamedQuotas) -> Self {
        Self(Arc::new(Inner { named, shared: OnceLock::new() }))
    }

    /// From now on they are counted there. What was counted before stays uncounted there, so this goes before any use.
    pub fn share(&self, shared: Arc<Shared>) {
        // Whoever was first stays: both are of the same user.
        let _ = self.0.shared.set(shared);
    }

    /// Takes one use from all quotas that match, and waits for room if need be, which is told.
    ///
    /// # Errors
    /// There will be no room for long.
    pub(super) async fn take(&self, to: Use<'_>, told: Told<'_>) -> Result<(), UsedUp> {
        let Inner { named, shared } = &*self.0;
        if named.matching(to).is_empty() {
            return Ok(());
        }
        let shared = shared.get_or_init(|| Shared::local(SharedLimits::default()));
        match named.take_now(shared, to) {
            Err(full) if full.wait <= PATIENCE => {
                told("warn", format!("the quota `{}` is used up: what needs it waits for room", full.quota));
                told("info", full.to_string());
                named.take(shared, to, PATIENCE).await
            }
            taken => taken,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_fifty_first_request_to_github_waits_and_that_is_told() {
        let (quotas, lines, began) = (Quotas::default(), Mutex::new(Vec::new()), Instant::now());
        let told = |level, words: String| lines.lock().unwrap().push(format!("{level}: {words}"));
        for _ in 0..51 {
            quotas.take(Use::Fetch { host: "api.github.com", method: "GET" }, &told).await.unwrap();
        }
        assert_eq!(began.elapsed(), Duration::from_secs(12));
        let lines = lines.into_inner().unwrap();
        assert_eq!(lines[0], "warn: the quota `github_api` is used up: what needs it waits for room");
        assert_eq!(lines[1], "info: the quota `github_api` is used up: there is room in 12 s");
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_quota_names_is_not_counted() {
        let quotas = Quotas::default();
        for _ in 0..1_000 {
            quotas.take(Use::Fetch { host: "example.com", method: "GET" }, &|_, _| panic!("told")).await.unwrap();
        }
    }
}
