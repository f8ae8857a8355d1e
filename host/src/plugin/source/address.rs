//! Which addresses may be connected to.
//!
//! A name in a registry's answer, or in a project's file, could lead to a machine that only this one can reach: a
//! database, a router, the metadata service of a cloud. So addresses are looked at after names are resolved, and what
//! was looked at is what is connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// Whether an address is one of the internet, where anybody could be.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match inner_v4(address) {
            Some(inner) => is_public_v4(inner),
            // All that is given out so far begins with the bits 001.
            None => address.segments()[0] & 0xe000 == 0x2000 && !is_special_v6(address),
        },
    }
}

/// Whether an address is one that nobody means who types a host: of the link, of all, or a cloud's metadata service.
pub fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_forbidden_v4(address),
        IpAddr::V6(address) => match inner_v4(address) {
            Some(inner) => is_forbidden_v4(inner),
            None => {
                address.is_unspecified()
                    || address.is_multicast()
                    || address.segments()[0] & 0xffc0 == 0xfe80
                    // The metadata service of AWS.
                    || address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
            }
        },
    }
}

/// Whether a URL's host says itself that it is this machine.
pub fn is_loopback_host(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    match literal(host) {
        Some(address) => is_loopback(address),
        None => host == "localhost",
    }
}

/// The address that a URL's host is, where it is no name.
pub fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether it is this machine.
pub fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or(address.is_loopback(), |inner| inner.is_loopback()),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    !(is_forbidden_v4(address)
        || address.is_private()
        || address.is_loopback()
        || address.is_documentation()
        || address.is_broadcast()
        || first == 0
        || first >= 240
        // Shared by the customers of a provider.
        || (first == 100 && second & 0xc0 == 64)
        // Protocol assignments, old relays to IPv6, benchmarks.
        || (first == 192 && second == 0 && third == 0)
        || (first == 192 && second == 88 && third == 99)
        || (first == 198 && second & 0xfe == 18))
}

fn is_forbidden_v4(address: Ipv4Addr) -> bool {
    address.is_unspecified()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        // The metadata services of Alibaba, Oracle and Azure.
        || address == Ipv4Addr::new(168, 63, 129, 16)
        || address == Ipv4Addr::new(100, 100, 100, 200)
        || address == Ipv4Addr::new(192, 0, 0, 192)
}

/// The IPv4 address that an IPv6 address leads to: mapped, compatible, NAT64, 6to4.
fn inner_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // Neither none nor this machine, which IPv6 has itself.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] if (high, low) != (0, 0) && address != Ipv6Addr::LOCALHOST => {
            v4(high, low)
        }
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => None,
    }
}

fn is_special_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // Teredo and other protocol assignments, documentation twice.
    (segments[0] == 0x2001 && (segments[1] < 0x200 || segments[1] == 0xdb8))
        || (segments[0] == 0x3fff && segments[1] < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_of_the_internet_are_public() {
        for text in ["1.1.1.1", "140.82.121.3", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1"] {
            assert!(is_public(address(text)), "{text}");
            assert!(!is_forbidden(address(text)), "{text}");
        }
    }

    #[test]
    fn addresses_that_only_some_reach_are_not() {
        for text in [
            "127.0.0.1",
            "127.8.8.8",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.2.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::",
            "2001:0:1234::1",
            "2001:db8::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn what_nobody_means_is_forbidden_whatever_the_user_says() {
        for text in
            ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fd00:ec2::254", "0.0.0.0", "100.100.100.200"]
        {
            assert!(is_forbidden(address(text)), "{text}");
        }
        for text in ["10.0.0.1", "192.168.1.1", "fd12::1", "127.0.0.1"] {
            assert!(!is_forbidden(address(text)), "{text}");
        }
    }

    #[test]
    fn this_machine_is_known_by_its_name_and_its_addresses_however_they_are_written() {
        let is = |text: &str| is_loopback_host(&Url::parse(text).unwrap());
        for text in ["http://localhost:1/", "http://127.0.0.1/", "http://127.1/", "http://0x7f000001/", "http://[::1]/"]
        {
            assert!(is(text), "{text}");
        }
        for text in ["http://localhost.example/", "http://10.0.0.1/", "http://0.0.0.0/", "http://[::]/"] {
            assert!(!is(text), "{text}");
        }
    }
}
