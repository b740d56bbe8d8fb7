//! Who is behind an address, as far as it tells.

use std::net::{IpAddr, Ipv6Addr};

/// The bits of an IPv6 address that a network has for itself: a host is given 64 more, and may use all of them.
const PREFIX_BITS: u32 = 64;

/// The network of an address: an IPv4 address alone, or all IPv6 addresses that one host may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Network(IpAddr);

impl Network {
    /// The one that this address is of.
    pub(super) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(v4),
            IpAddr::V6(v6) => {
                let prefix = u128::MAX << (u128::BITS - PREFIX_BITS);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & prefix))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_host_are_one_network() {
        let of = |text: &str| Network::of(text.parse().unwrap());
        for (one, other, is_same) in [
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("::1", "127.0.0.1", false),
        ] {
            assert_eq!(of(one) == of(other), is_same, "{one} {other}");
        }
    }
}
