//! Which hosts are granted, and how each is reached.

use reqwest::Url;

use super::error::HttpError;
use crate::plugin::capabilities::Site;
use crate::plugin::outside::address::{Reach, literal, names_loopback};
use crate::plugin::printable;

/// The port of a grant that names none.
const PORT: u16 = 443;

/// The methods of a grant that names none.
const LOOKING: [&str; 2] = ["GET", "HEAD"];

/// So many hosts are shown in a refusal.
const SHOWN: usize = 5;

/// The hosts that a plugin may fetch from.
#[derive(Clone, Debug, Default)]
pub(super) struct Sites(Vec<Granted>);

#[derive(Clone, Debug)]
struct Granted {
    /// As a URL has it: lower case, in ASCII, addresses in their usual form.
    host: String,
    port: u16,
    is_loopback: bool,
    methods: Vec<String>,
}

impl Sites {
    /// Those of a grant. What names no host grants none.
    pub(super) fn of(sites: &[Site]) -> Self {
        Self(sites.iter().filter_map(Granted::of).collect())
    }

    /// How a request may be sent: where its connection may go.
    pub(super) fn way(&self, url: &Url, method: &str, redirected: Option<&str>) -> Result<Reach, HttpError> {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(HttpError::Scheme { scheme: url.scheme().to_owned() });
        };
        if !matches!(url.scheme(), "https" | "http") {
            return Err(HttpError::Scheme { scheme: url.scheme().to_owned() });
        }
        let host = printable(host, 253);
        if !url.username().is_empty() || url.password().is_some() {
            return Err(HttpError::UserInfo { host });
        }
        let redirected = redirected.map(str::to_owned);
        let mut here = self.0.iter().filter(|granted| granted.host == host && granted.port == port).peekable();
        let Some(first) = here.peek() else {
            let method = method.to_owned();
            return Err(HttpError::Host { site: site(host, port), method, granted: self.shown(), redirected });
        };
        let is_loopback = first.is_loopback;
        let methods: Vec<&str> = here.flat_map(|granted| granted.methods.iter().map(String::as_str)).collect();
        if !methods.iter().any(|granted| granted.eq_ignore_ascii_case(method)) {
            let granted = match methods.as_slice() {
                [only] => format!("{only} is"),
                methods => format!("{} are", methods.join(", ")),
            };
            let (site, method) = (site(host, port), method.to_owned());
            return Err(HttpError::Method { site, method, granted, redirected });
        }
        if url.scheme() == "http" && !is_loopback {
            return Err(HttpError::Plain { host });
        }
        let reach = if is_loopback { Reach::Loopback } else { Reach::Public };
        reach.check(url).map_err(HttpError::OutOfReach)?;
        Ok(reach)
    }

    /// The hosts that are granted, in words.
    fn shown(&self) -> String {
        let mut names: Vec<String> = self.0.iter().map(Granted::name).collect();
        let more = names.len().saturating_sub(SHOWN);
        names.truncate(SHOWN);
        match (names.as_slice(), more) {
            ([], _) => "no host is".to_owned(),
            ([only], 0) => format!("{only} is"),
            (names, 0) => format!("{} are", names.join(", ")),
            (names, more) => format!("{} and {more} more are", names.join(", ")),
        }
    }
}

impl Granted {
    fn of(site: &Site) -> Option<Self> {
        // What a URL takes for something else than a host would be granted as something else than what was shown.
        if site.host.contains(['/', '\\', '@', '?', '#', '*', '%']) || site.host.contains(char::is_whitespace) {
            return None;
        }
        let url = Url::parse(&format!("https://{}/", site.host)).ok()?;
        let host = url.host_str()?.to_owned();
        // An address in disguise was not what was shown and agreed to.
        if literal(&url).is_some()
            && !site.host.eq_ignore_ascii_case(&host)
            && !site.host.starts_with(&format!("{host}:"))
        {
            return None;
        }
        let methods = match site.methods.as_slice() {
            [] => LOOKING.map(str::to_owned).to_vec(),
            methods => methods.iter().map(|method| method.to_ascii_uppercase()).collect(),
        };
        Some(Self { host, port: url.port().unwrap_or(PORT), is_loopback: names_loopback(&url), methods })
    }

    fn name(&self) -> String {
        site(printable(&self.host, 80), self.port)
    }
}

/// A host as a grant names it.
fn site(host: String, port: u16) -> String {
    if port == PORT { host } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(granted: &[(&str, &[&str])]) -> Sites {
        let site = |(host, methods): &(&str, &[&str])| Site {
            host: (*host).to_owned(),
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            optional: false,
        };
        Sites::of(&granted.iter().map(site).collect::<Vec<_>>())
    }

    fn way(sites: &Sites, method: &str, url: &str) -> Result<Reach, String> {
        let url = Url::parse(url).unwrap();
        sites.way(&url, method, None).map_err(|error| error.to_string())
    }

    #[test]
    fn a_granted_host_is_reached_however_it_is_written() {
        let sites =
            sites(&[("api.OSV.dev", &["GET", "post"]), ("bücher.example", &["GET"]), ("a.example:8443", &["GET"])]);
        for url in [
            "https://api.osv.dev/v1",
            "https://API.osv.dev:443/v1",
            "https://xn--bcher-kva.example/",
            "https://BÜCHER.example/",
            "https://a.example:8443/",
        ] {
            assert_eq!(way(&sites, "GET", url), Ok(Reach::Public), "{url}");
        }
        assert_eq!(way(&sites, "POST", "https://api.osv.dev/"), Ok(Reach::Public));
    }

    #[test]
    fn nothing_else_is_reached() {
        let sites = sites(&[("api.osv.dev", &["GET"])]);
        for url in [
            "https://osv.dev/",
            "https://evil.api.osv.dev/",
            "https://api.osv.dev.evil.example/",
            "https://api.osv.dev./",
            "https://api.osv.dev:8443/",
            "https://evil.example/?api.osv.dev",
            "https://evil.example/@api.osv.dev",
            "https://evil.example#api.osv.dev",
            "https://api.osv.dev%2eevil.example/",
            "https://api.osv.dev\\.evil.example/",
            "http://api.osv.dev/",
        ] {
            let told = way(&sites, "GET", url).err().unwrap_or_default();
            // A backslash is a slash: this is a path at the granted host.
            if url.contains('\\') {
                continue;
            }
            assert!(told.contains("is not granted") || told.contains("encryption"), "{url}: {told}");
        }
        let told = way(&sites, "GET", "https://evil.example/").unwrap_err();
        assert_eq!(told, "evil.example is not granted: api.osv.dev is");
    }

    #[test]
    fn a_user_name_is_no_host() {
        let sites = sites(&[("api.osv.dev", &["GET"])]);
        let told = |url| way(&sites, "GET", url).unwrap_err();
        assert!(told("https://api.osv.dev@evil.example/").contains("user name"));
        assert!(told("https://api.osv.dev:443@evil.example/").contains("user name"));
        assert!(told("https://me:secret@api.osv.dev/").contains("user name"));
    }

    #[test]
    fn only_granted_methods_and_schemes_are_used() {
        let sites = sites(&[("api.osv.dev", &["GET"]), ("looking.example", &[])]);
        assert_eq!(
            way(&sites, "DELETE", "https://api.osv.dev/").unwrap_err(),
            "DELETE at api.osv.dev is not granted: GET is"
        );
        assert_eq!(way(&sites, "HEAD", "https://looking.example/"), Ok(Reach::Public));
        assert!(way(&sites, "POST", "https://looking.example/").unwrap_err().contains("GET, HEAD are"));
        for url in ["ftp://api.osv.dev/", "file:///etc/passwd", "data:text/plain,x", "ws://api.osv.dev/"] {
            assert!(way(&sites, "GET", url).unwrap_err().contains("begins with https"), "{url}");
        }
    }

    #[test]
    fn this_machine_is_reached_only_by_its_own_grant_and_its_network_never() {
        let with = sites(&[
            ("localhost:8080", &["GET"]),
            ("127.0.0.1:9", &["GET"]),
            ("[::1]:7", &["GET"]),
            ("169.254.169.254", &["GET"]),
            ("10.0.0.1", &["GET"]),
        ]);
        for url in
            ["http://localhost:8080/", "https://localhost:8080/", "http://127.1:9/", "http://[0:0:0:0:0:0:0:1]:7/"]
        {
            assert_eq!(way(&with, "GET", url), Ok(Reach::Loopback), "{url}");
        }
        for url in ["http://localhost/", "http://localhost:9/", "http://127.0.0.1:8080/", "http://127.0.0.2:9/"] {
            assert!(way(&with, "GET", url).unwrap_err().contains("not granted"), "{url}");
        }
        for url in ["https://169.254.169.254/", "https://10.0.0.1/"] {
            assert!(way(&with, "GET", url).unwrap_err().contains("public Internet"), "{url}");
        }
    }

    #[test]
    fn what_is_no_host_grants_nothing() {
        for host in
            ["", "*.example.com", "*", "a.example/path", "me@a.example", "a.example?x", "a example", "a.example:x"]
                .into_iter()
                .chain(["0x7f.1:8080", "2130706433", "127.1:8080", "①②⑦.0.0.1"])
        {
            assert!(sites(&[(host, &["GET"])]).0.is_empty(), "{host:?}");
        }
    }
}
