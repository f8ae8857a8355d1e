//! Which addresses a plugin, a project or a registry may have the host connect to.
//!
//! A name says nothing of where it leads. So names are resolved here, and the connection goes to an address that was
//! checked: there is no second look-up in between that could give another one. An address that stands in a URL itself is
//! never resolved; [`Reach::check`] is for that.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{ClientBuilder, Url};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The most headers of a response.
const MOST_HEADERS: usize = 200;

/// The most bytes of all headers of a response together, as HTTP/2 counts them.
const MOST_HEADER_BYTES: u32 = 64 << 10;

/// So many addresses of a name are shown.
const SHOWN: usize = 4;

/// Whether an address is one of the public Internet: what everybody reaches, and not what only this machine, its
/// network or its cloud reaches. The rules are IANA's registries of special addresses; an address that wraps another one
/// is as good as that one.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, d] = address.octets();
    let special = match (a, b, c) {
        // This network, private, loopback.
        (0 | 10 | 127, ..) => true,
        // Behind a carrier's translation.
        (100, 64..=127, _) => true,
        // Link-local, and there the clouds' metadata.
        (169, 254, _) => true,
        (172, 16..=31, _) | (192, 168, _) => true,
        // Protocol assignments, documentation, the way to 6to4.
        (192, 0, 0 | 2) | (192, 88, 99) => true,
        // Benchmarks, documentation.
        (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) => true,
        // Multicast, reserved, broadcast.
        (224..=255, ..) => true,
        // What Azure's machines reach their host by, though it looks public.
        (168, 63, 129) => d == 16,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let wrapped = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high, low].map(u16::to_be_bytes);
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // IPv4-mapped.
        [0, 0, 0, 0, 0, 0xffff, high, low] => wrapped(high, low),
        // NAT64, by which a network without IPv4 reaches the public one.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => wrapped(high, low),
        // 6to4.
        [0x2002, high, low, ..] => wrapped(high, low),
        // Protocol assignments, Teredo among them, which hides two addresses.
        [0x2001, 0..=0x01ff, ..] => false,
        // Documentation.
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // ISATAP, which wraps an address in the part of the interface.
        [0x2000..=0x3fff, _, _, _, 0 | 0x0200, 0x5efe, high, low] => wrapped(high, low),
        // Everything else that is assigned: loopback, private, link-local, multicast and metadata are outside of it.
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

/// Whether an address is this machine's own, in whatever form.
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether a URL's host is by itself a name or an address of this machine: `localhost`, 127.0.0.0/8, `[::1]`.
pub fn names_loopback(url: &Url) -> bool {
    match literal(url) {
        Some(address) => is_loopback(address),
        None => url.host_str().is_some_and(|host| host.eq_ignore_ascii_case("localhost")),
    }
}

/// Where connections may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To addresses for which [`is_public`] holds.
    Public,
    /// To this machine, and nowhere else: for who was allowed just that.
    Loopback,
}

impl Reach {
    /// Whether an address is within reach.
    pub fn allows(self, address: IpAddr) -> bool {
        match self {
            Self::Public => is_public(address),
            Self::Loopback => is_loopback(address),
        }
    }

    /// Checks an address that stands in a URL itself: `https://[::1]/`, also where it is written in another way, as
    /// `https://0x7f.1/`. A name passes; it is checked when it is resolved.
    ///
    /// # Errors
    /// The address is out of reach.
    pub fn check(self, url: &Url) -> Result<(), OutOfReach> {
        match literal(url) {
            Some(address) if !self.allows(address) => Err(OutOfReach {
                host: url.host_str().unwrap_or_default().to_owned(),
                addresses: vec![address],
                reach: self,
            }),
            _ => Ok(()),
        }
    }

    /// A client whose connections stay within reach. It follows no redirect, uses no proxy of the environment, sends
    /// nothing of its own accord, and speaks no plain HTTP but to this machine. Whoever uses it calls
    /// [`check`](Self::check) before each request.
    pub fn client(self) -> ClientBuilder {
        self.client_by(System)
    }

    /// As [`client`](Self::client), with another way to look names up.
    pub fn client_by(self, lookup: impl Lookup) -> ClientBuilder {
        ClientBuilder::new()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .https_only(self == Self::Public)
            .connect_timeout(CONNECT_TIMEOUT)
            .http1_max_headers(MOST_HEADERS)
            .http2_max_header_list_size(MOST_HEADER_BYTES)
            .dns_resolver(Resolver { reach: self, lookup })
    }
}

/// The address that stands in a URL in place of a name.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// A host is out of reach: none of its addresses may be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfReach {
    /// The host.
    pub host: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// What would have been within reach.
    pub reach: Reach,
}

impl OutOfReach {
    /// The reason in the chain of another error's causes.
    pub fn among<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            next = error.source();
        }
        None
    }
}

impl fmt::Display for OutOfReach {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = crate::plugin::printable(&self.host, 200);
        let why = match self.reach {
            Reach::Public => "not an address of the public Internet",
            Reach::Loopback => "not an address of this machine",
        };
        let own = |address: &IpAddr| address.to_string() == host.trim_start_matches('[').trim_end_matches(']');
        match self.addresses.as_slice() {
            [] => write!(out, "{host} is no name that leads to {}", why.trim_start_matches("not ")),
            [address] if own(address) => write!(out, "{host} is {why}"),
            addresses => {
                let shown: Vec<String> = addresses.iter().take(SHOWN).map(ToString::to_string).collect();
                write!(out, "{host} leads to {}, which is {why}", shown.join(", "))
            }
        }
    }
}

impl std::error::Error for OutOfReach {}

/// How names become addresses.
pub trait Lookup: Clone + Send + Sync + 'static {
    /// The addresses of a name.
    fn addresses(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;

    /// Whether a name may lead anywhere: that of a proxy, which the user has named.
    fn is_exempt(&self, _host: &str) -> bool {
        false
    }

    /// What is connected to for an address that was checked. A port of 0 is the URL's.
    fn target(&self, address: IpAddr) -> SocketAddr {
        SocketAddr::new(address, 0)
    }
}

/// As the system looks them up: its name servers and its own list of hosts.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Lookup for System {
    fn addresses(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok::<_, io::Error>(found.map(|found| found.ip()).collect())
        }
        .boxed()
    }
}

/// Gives a client only addresses that are within reach.
struct Resolver<L> {
    reach: Reach,
    lookup: L,
}

impl<L: Lookup> Resolve for Resolver<L> {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, lookup, host) = (self.reach, self.lookup.clone(), name.as_str().to_owned());
        async move {
            let addresses = lookup.addresses(host.clone()).await?;
            let within: Vec<SocketAddr> = addresses
                .iter()
                .filter(|address| reach.allows(**address) || lookup.is_exempt(&host))
                .map(|address| lookup.target(*address))
                .collect();
            if within.is_empty() {
                return Err(OutOfReach { host, addresses, reach }.into());
            }
            Ok::<Addrs, Box<dyn std::error::Error + Send + Sync>>(Box::new(within.into_iter()))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().unwrap())
    }

    #[test]
    fn what_everybody_reaches_is_public() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "93.184.216.34",
            "100.63.255.255",
            "100.128.0.1",
            "169.253.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "168.63.129.17",
            "2606:4700:4700::1111",
            "2a00:1450:4001:81b::200e",
            "2001:4860:4860::8888",
            "2001:200::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert!(public(address), "{address}");
        }
    }

    #[test]
    fn what_only_this_machine_its_network_or_its_cloud_reaches_is_not() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "2001:db8::1",
            "2001:2::1",
            "2001:10::1",
            "3fff::1",
            "5f00::1",
            "4000::1",
        ] {
            assert!(!public(address), "{address}");
        }
    }

    #[test]
    fn a_wrapped_address_is_as_good_as_the_one_inside() {
        for wrapped in [
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.1.2.3",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::808:808",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::",
            "2002:c0a8:101::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2a00::5efe:7f00:1",
            "2a00::200:5efe:a9fe:a9fe",
        ] {
            assert!(!public(wrapped), "{wrapped}");
        }
        assert!(public("2a00::5efe:808:808"));
    }

    #[test]
    fn an_address_in_a_url_is_known_however_it_is_written() {
        for url in [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://①②⑦.⓪.⓪.①/",
        ] {
            let url = Url::parse(url).unwrap();
            assert!(Reach::Public.check(&url).is_err(), "{url}");
            assert!(Reach::Loopback.check(&url).is_ok(), "{url}");
            assert!(names_loopback(&url), "{url}");
        }
        for url in
            ["https://169.254.169.254/latest", "https://[fd00:ec2::254]/", "https://0.0.0.0/", "https://10.0.0.1/"]
        {
            let url = Url::parse(url).unwrap();
            assert!(Reach::Public.check(&url).is_err() && Reach::Loopback.check(&url).is_err(), "{url}");
        }
        let name = Url::parse("https://example.com/").unwrap();
        assert!(Reach::Public.check(&name).is_ok() && !names_loopback(&name));
        assert!(names_loopback(&Url::parse("http://LOCALHOST:8080/").unwrap()));
        assert!(!names_loopback(&Url::parse("http://localhost.example.com/").unwrap()));
    }

    #[derive(Clone)]
    struct Fixed(Vec<IpAddr>);

    impl Lookup for Fixed {
        fn addresses(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            let found = self.0.clone();
            async move { Ok(found) }.boxed()
        }
    }

    async fn resolved(reach: Reach, addresses: &[&str]) -> Result<Vec<String>, String> {
        let lookup = Fixed(addresses.iter().map(|address| address.parse().unwrap()).collect());
        let resolver = Resolver { reach, lookup };
        match resolver.resolve("api.example.com".parse().unwrap()).await {
            Ok(found) => Ok(found.map(|found| found.ip().to_string()).collect()),
            Err(error) => Err(OutOfReach::among(&*error).expect("the reason").to_string()),
        }
    }

    #[tokio::test]
    async fn only_what_is_within_reach_is_connected_to() {
        let mixed = ["10.0.0.1", "93.184.216.34", "127.0.0.1", "fd00::1"];
        assert_eq!(resolved(Reach::Public, &mixed).await.unwrap(), ["93.184.216.34"]);
        assert_eq!(resolved(Reach::Loopback, &mixed).await.unwrap(), ["127.0.0.1"]);
        let refused = resolved(Reach::Public, &["169.254.169.254", "fe80::1"]).await.unwrap_err();
        let expected =
            "api.example.com leads to 169.254.169.254, fe80::1, which is not an address of the public Internet";
        assert_eq!(refused, expected);
        assert_eq!(
            resolved(Reach::Public, &[]).await.unwrap_err(),
            "api.example.com is no name that leads to an address of the public Internet"
        );
    }

    #[tokio::test]
    async fn a_client_says_why_it_did_not_connect() {
        let _: Result<(), _> = rustls::crypto::ring::default_provider().install_default();
        let lookup = Fixed(vec!["127.0.0.1".parse().unwrap()]);
        let client = Reach::Public.client_by(lookup).tls_certs_only([]).build().unwrap();
        let error = client.get("https://api.example.com/").send().await.unwrap_err();
        let reason = OutOfReach::among(&error).expect("the reason");
        assert_eq!(reason.addresses, ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert!(client.get("http://api.example.com/").send().await.is_err(), "plain HTTP");
    }
}
