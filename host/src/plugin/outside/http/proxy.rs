//! The proxy that the user's environment names for https.
//!
//! A proxy looks names up itself, so what it connects to can't be checked here. A user who has one has no other way out,
//! so it is used; and what can be known is refused before: an address that is not public, a name that this machine
//! resolves to one, and names that mean a machine of one's own network. The proxy itself is never fetched from.

use std::time::Duration;

use reqwest::{ClientBuilder, NoProxy, Url};
use tokio::time::timeout;

use super::error::HttpError;
use crate::plugin::outside::address::{Lookup, OutOfReach, Reach, System};

/// A machine that can't look names up itself may take long to find that out.
const PATIENCE: Duration = Duration::from_secs(3);

/// Last parts of names that are never those of the public Internet.
const INNER: [&str; 8] = ["localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa"];

/// A proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    url: Url,
    host: String,
}

impl Proxy {
    /// What `HTTPS_PROXY` or `https_proxy` names. `env` gives the value of a variable.
    ///
    /// # Errors
    /// In words: it is no URL of a proxy.
    pub fn of_environment(env: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let names = ["HTTPS_PROXY", "https_proxy"];
        let found =
            names.into_iter().find_map(|name| Some((name, env(name).filter(|value| !value.trim().is_empty())?)));
        let Some((name, value)) = found else { return Ok(None) };
        let value = value.trim();
        let value = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
        // What it says is not shown: it may hold a password.
        let wrong = || format!("{name} is not the URL of a proxy, like http://proxy.example.org:3128");
        let url = Url::parse(&value).map_err(|_| wrong())?;
        let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")).ok_or_else(wrong)?.to_owned();
        Ok(Some(Self { url, host }))
    }

    /// A client that goes by it, except to what `NO_PROXY` names.
    pub(super) fn client(&self, reach: Reach) -> ClientBuilder {
        let client = reach.client_by(Beside { proxy: self.host.clone() });
        match reqwest::Proxy::https(self.url.clone()) {
            Ok(proxy) => client.proxy(proxy.no_proxy(NoProxy::from_env())),
            // It was a URL with a host, so this does not happen; then nothing is reached that the proxy would reach.
            Err(_) => client,
        }
    }

    /// Whether a host may be asked for by the proxy.
    pub(super) async fn check(&self, host: &str) -> Result<(), HttpError> {
        self.check_by(&System, host).await
    }

    async fn check_by(&self, lookup: &impl Lookup, host: &str) -> Result<(), HttpError> {
        if host.eq_ignore_ascii_case(&self.host) {
            return Err(HttpError::Proxy { host: host.to_owned() });
        }
        let refused = |addresses| {
            Err(HttpError::OutOfReach(OutOfReach { host: host.to_owned(), addresses, reach: Reach::Public }))
        };
        let is_address = host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok();
        if !is_address {
            let last = host.rsplit('.').next().unwrap_or(host);
            if !host.contains('.') || INNER.contains(&last) {
                return refused(Vec::new());
            }
        }
        // Where this machine finds no address, the proxy may.
        match timeout(PATIENCE, lookup.addresses(host.to_owned())).await {
            Ok(Ok(addresses)) if addresses.iter().any(|address| !Reach::Public.allows(*address)) => refused(addresses),
            _ => Ok(()),
        }
    }
}

/// Looks names up as the system does, and finds the proxy wherever it is.
#[derive(Clone, Debug)]
struct Beside {
    proxy: String,
}

impl Lookup for Beside {
    fn addresses(&self, host: String) -> futures::future::BoxFuture<'static, std::io::Result<Vec<std::net::IpAddr>>> {
        System.addresses(host)
    }

    fn is_exempt(&self, host: &str) -> bool {
        host.eq_ignore_ascii_case(&self.proxy)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures::FutureExt;
    use futures::future::BoxFuture;

    use super::*;

    fn of(name: &str, value: &str) -> Result<Option<Proxy>, String> {
        Proxy::of_environment(|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn the_environment_names_a_proxy_or_none() {
        assert!(of("HTTPS_PROXY", " ").unwrap().is_none());
        assert!(of("HTTP_PROXY", "http://proxy:1").unwrap().is_none(), "nothing is sent by plain HTTP");
        assert_eq!(of("https_proxy", "proxy.example.org:3128").unwrap().unwrap().host, "proxy.example.org");
        assert_eq!(of("HTTPS_PROXY", "http://me:pass@10.0.0.1:3128").unwrap().unwrap().host, "10.0.0.1");
        for wrong in ["http://", "socks5://proxy:1", "http://me:secret@:x"] {
            let told = of("HTTPS_PROXY", wrong).unwrap_err();
            assert!(told.contains("HTTPS_PROXY") && !told.contains("secret"), "{told}");
        }
    }

    #[derive(Clone)]
    struct Fixed(Option<IpAddr>);

    impl Lookup for Fixed {
        fn addresses(&self, _: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
            let found = self.0.ok_or(std::io::ErrorKind::NotFound.into()).map(|address| vec![address]);
            async move { found }.boxed()
        }
    }

    #[tokio::test]
    async fn what_is_known_to_be_inside_is_not_asked_for() {
        let proxy = of("HTTPS_PROXY", "http://proxy.example.org:3128").unwrap().unwrap();
        let check = async |host: &str, address: Option<&str>| {
            proxy
                .check_by(&Fixed(address.map(|address| address.parse().unwrap())), host)
                .await
                .map_err(|error| error.to_string())
        };
        check("api.example.com", Some("93.184.216.34")).await.unwrap();
        check("api.example.com", None).await.unwrap();
        assert!(check("api.example.com", Some("10.0.0.1")).await.unwrap_err().contains("10.0.0.1"));
        assert!(check("proxy.example.org", None).await.unwrap_err().contains("HTTPS_PROXY"));
        for inner in ["metadata", "metadata.google.internal", "printer.local", "db.corp", "localhost"] {
            assert!(check(inner, None).await.is_err(), "{inner}");
        }
    }
}
