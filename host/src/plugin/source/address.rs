//! Which addresses may be connected to.
//!
//! A name in a registry's answer, or in a project's file, could lead to a machine that only this one can reach: a
//! database, a router, the metadata service of a cloud. So addresses are looked at after names are resolved, and what
//! was looked at is what is connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use crate::plugin::outside::address::{is_loopback, is_public, names_loopback};

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

/// The address that a URL's host is, where it is no name.
pub fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
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

#[cfg(test)]
mod tests {
    use reqwest::Url;

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
        let is = |text: &str| names_loopback(&Url::parse(text).unwrap());
        for text in ["http://localhost:1/", "http://127.0.0.1/", "http://127.1/", "http://0x7f000001/", "http://[::1]/"]
        {
            assert!(is(text), "{text}");
        }
        for text in ["http://localhost.example/", "http://10.0.0.1/", "http://0.0.0.0/", "http://[::]/"] {
            assert!(!is(text), "{text}");
        }
    }
}
