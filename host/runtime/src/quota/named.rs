//! Named quotas: what may be asked of services other than a model, by all processes of a user together.
//!
//! Each use of one, a request to a host or a run of a program, counts once, when it begins: what a service counts is
//! requests, whatever becomes of them. The built in ones are those that the services publish or allow a single user;
//! "named quotas" is the table of the design.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::rate::Size;
use crate::shared::Shared;

/// So many uses in so long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedQuota {
    /// `github_api`.
    pub name: Arc<str>,
    /// The uses in a period, and the period.
    pub size: Size,
    /// What counts. One that fits is enough.
    pub matches: Vec<Match>,
}

/// Which uses count: those that fit all that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// The host, `*.example.com` for all below one.
    pub host: Option<String>,
    /// The HTTP methods; empty: all.
    pub methods: Vec<String>,
    /// The program's name, without its folder.
    pub program: Option<String>,
}

/// What is about to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use<'a> {
    /// A request.
    Fetch {
        /// To this host, without a port.
        host: &'a str,
        /// With this method.
        method: &'a str,
    },
    /// A process.
    Run {
        /// Of this program, by its name or its path.
        program: &'a str,
    },
}

/// There is no room now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the quota `{quota}` is used up: there is room in {} s", wait.as_secs_f64().ceil())]
pub struct UsedUp {
    /// Which.
    pub quota: Arc<str>,
    /// How long until there is room, if nobody else takes it.
    pub wait: Duration,
}

/// The named quotas of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedQuotas {
    all: Vec<NamedQuota>,
}

impl Default for NamedQuotas {
    /// Those that are built in: 50 requests in 600 s to GitHub, of Azure's resource manager 12,000 that read and 1,200
    /// that write in 3,600 s, 600 in 60 s to OSV.
    fn default() -> Self {
        let host = |host: &str, methods: &[&str]| Match {
            host: Some(host.to_owned()),
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            program: None,
        };
        let program = |program: &str| Match { program: Some(program.to_owned()), ..Match::default() };
        let quota = |name: &str, amount, seconds, matches| NamedQuota {
            name: Arc::from(name),
            size: Size { amount, per: Duration::from_secs(seconds) },
            matches,
        };
        const AZURE: &str = "management.azure.com";
        Self {
            all: vec![
                quota("github_api", 50, 600, vec![host("api.github.com", &[]), program("gh")]),
                // What `az` does is not to be seen from outside: it counts as both.
                quota("azure_arm_read", 12_000, 3_600, vec![host(AZURE, &["GET", "HEAD"]), program("az")]),
                quota(
                    "azure_arm_write",
                    1_200,
                    3_600,
                    vec![host(AZURE, &["PUT", "POST", "PATCH", "DELETE"]), program("az")],
                ),
                quota("osv_api", 600, 60, vec![host("api.osv.dev", &[])]),
            ],
        }
    }
}

impl NamedQuotas {
    /// All of them.
    pub fn all(&self) -> &[NamedQuota] {
        &self.all
    }

    /// That of a name.
    pub fn get(&self, name: &str) -> Option<&NamedQuota> {
        self.all.iter().find(|quota| *quota.name == *name)
    }

    /// Puts one in the place of that with the same name, or beside the others. Without matches it gets those of the one
    /// that it replaces.
    pub fn set(&mut self, mut quota: NamedQuota) {
        match self.all.iter_mut().find(|known| known.name == quota.name) {
            Some(known) => {
                if quota.matches.is_empty() {
                    quota.matches = std::mem::take(&mut known.matches);
                }
                *known = quota;
            }
            None => self.all.push(quota),
        }
    }

    /// Those that a use takes from.
    pub fn matching(&self, to: Use<'_>) -> Vec<&NamedQuota> {
        self.all.iter().filter(|quota| quota.matches.iter().any(|one| one.fits(to))).collect()
    }

    /// Takes one use from all that match, or from none.
    ///
    /// # Errors
    /// Where there is no room now.
    pub fn take_now(&self, shared: &Shared, to: Use<'_>) -> Result<(), UsedUp> {
        let buckets: Vec<(String, Size)> =
            self.matching(to).into_iter().map(|quota| (key(&quota.name), quota.size)).collect();
        if buckets.is_empty() {
            return Ok(());
        }
        shared.take_each(&buckets).map_err(|(wait, key)| {
            let quota = Arc::from(key.strip_prefix(KEY).unwrap_or(&key));
            UsedUp { quota, wait }
        })
    }

    /// Waits until there is room in all that match, at most so long, and takes one use from each. Nothing is held while
    /// it waits.
    ///
    /// # Errors
    /// Where there will be no room in that time: at once, without waiting for it.
    pub async fn take(&self, shared: &Shared, to: Use<'_>, patience: Duration) -> Result<(), UsedUp> {
        let mut left = patience;
        loop {
            match self.take_now(shared, to) {
                Ok(()) => return Ok(()),
                Err(used_up) if used_up.wait > left => return Err(used_up),
                Err(UsedUp { wait, .. }) => {
                    // The timers' step, so that it comes forward even where others are always quicker.
                    let wait = wait.max(Duration::from_millis(1));
                    left = left.saturating_sub(wait);
                    sleep(wait).await;
                }
            }
        }
    }
}

const KEY: &str = "named/";

/// The name of its bucket, in what is written down.
fn key(name: &str) -> String {
    format!("{KEY}{name}")
}

impl Match {
    fn fits(&self, to: Use<'_>) -> bool {
        match (to, &self.host, &self.program) {
            (Use::Fetch { host, method }, wanted, None) => {
                (wanted.is_some() || !self.methods.is_empty())
                    && wanted.as_deref().is_none_or(|wanted| host_fits(wanted, host))
                    && (self.methods.is_empty() || self.methods.iter().any(|one| one.eq_ignore_ascii_case(method)))
            }
            (Use::Run { program }, None, Some(wanted)) => program_name(program) == wanted.as_str(),
            _ => false,
        }
    }
}

/// `*.example.com` is everything below example.com, not itself; a lone `*` is everything. Case and a last dot don't
/// count.
fn host_fits(wanted: &str, host: &str) -> bool {
    let (wanted, host) = (wanted.trim_end_matches('.'), host.trim_end_matches('.'));
    match wanted.strip_prefix('*') {
        Some("") => true,
        Some(below) => {
            let at = host.len().checked_sub(below.len()).filter(|at| *at > 0);
            at.and_then(|at| host.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(below))
        }
        None => wanted.eq_ignore_ascii_case(host),
    }
}

fn program_name(program: &str) -> &str {
    program.rsplit(['/', '\\']).next().unwrap_or(program)
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, advance};

    use super::*;
    use crate::shared::SharedLimits;

    const GITHUB: Use<'_> = Use::Fetch { host: "API.github.com.", method: "get" };

    fn names(to: Use<'_>) -> Vec<String> {
        NamedQuotas::default().matching(to).into_iter().map(|quota| quota.name.to_string()).collect()
    }

    #[test]
    fn a_use_is_told_by_host_method_or_program() {
        let azure = |method| names(Use::Fetch { host: "management.azure.com", method });
        assert_eq!(names(GITHUB), ["github_api"]);
        assert_eq!((azure("GET"), azure("PATCH")), (vec!["azure_arm_read".into()], vec!["azure_arm_write".into()]));
        assert_eq!(names(Use::Run { program: "/usr/bin/gh" }), ["github_api"]);
        assert_eq!(names(Use::Run { program: "az" }), ["azure_arm_read", "azure_arm_write"]);
        assert!(names(Use::Fetch { host: "notapi.github.com", method: "GET" }).is_empty());
        assert!(names(Use::Run { program: "ghost" }).is_empty());
    }

    #[test]
    fn a_star_is_everything_below_a_host_and_not_itself() {
        for (wanted, host, expected) in [
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.EXAMPLE.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "badexample.com", false),
            ("*.example.com", "ü.example.com", true),
            ("*", "anything", true),
            ("example.com", "example.com", true),
        ] {
            assert_eq!(host_fits(wanted, host), expected, "{wanted} {host}");
        }
    }

    #[test]
    fn the_users_own_replaces_a_built_in_one_and_keeps_what_it_counts() {
        let mut quotas = NamedQuotas::default();
        let size = Size { amount: 2, per: Duration::from_secs(60) };
        quotas.set(NamedQuota { name: "github_api".into(), size, matches: Vec::new() });
        assert_eq!((quotas.matching(GITHUB).len(), quotas.get("github_api").map(|quota| quota.size)), (1, Some(size)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_fifty_first_waits_twelve_seconds_or_is_refused_at_once() {
        let (quotas, shared) = (NamedQuotas::default(), Shared::local(SharedLimits::default()));
        for _ in 0..50 {
            quotas.take_now(&shared, GITHUB).unwrap();
        }
        let wait = Duration::from_secs(12);
        let refused = quotas.take(&shared, GITHUB, Duration::from_secs(11)).await;
        assert_eq!(refused, Err(UsedUp { quota: "github_api".into(), wait }));
        assert_eq!(refused.unwrap_err().to_string(), "the quota `github_api` is used up: there is room in 12 s");
        let began = Instant::now();
        quotas.take(&shared, GITHUB, Duration::from_secs(13)).await.unwrap();
        assert_eq!(began.elapsed(), wait);
    }

    #[tokio::test(start_paused = true)]
    async fn where_one_has_no_room_none_is_taken_from() {
        let (mut quotas, shared) = (NamedQuotas::default(), Shared::local(SharedLimits::default()));
        let one = Match { program: Some("az".to_owned()), ..Match::default() };
        let size = Size { amount: 1, per: Duration::from_secs(10) };
        quotas.set(NamedQuota { name: "mine".into(), size, matches: vec![one] });
        let az = Use::Run { program: "az" };
        quotas.take_now(&shared, az).unwrap();
        for _ in 0..10 {
            assert_eq!(quotas.take_now(&shared, az).unwrap_err().quota, "mine".into());
        }
        let writes = (0..1_300)
            .filter(|_| {
                let to = Use::Fetch { host: "management.azure.com", method: "PUT" };
                quotas.take_now(&shared, to).is_ok()
            })
            .count();
        assert_eq!(writes, 1_199, "one of 1,200 was taken");
        advance(Duration::from_secs(10)).await;
        quotas.take_now(&shared, az).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_quota_names_is_not_counted() {
        let (quotas, shared) = (NamedQuotas::default(), Shared::local(SharedLimits::default()));
        for _ in 0..20_000 {
            quotas.take_now(&shared, Use::Run { program: "ls" }).unwrap();
        }
    }
}
