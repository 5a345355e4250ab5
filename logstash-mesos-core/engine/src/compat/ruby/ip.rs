//! Addresses and networks as Ruby's `IPAddr` reads them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All addresses from `first` to `last`; a single address is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    v6: bool,
    first: u128,
    last: u128,
}

impl Network {
    /// Reads `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `fd00::/8`, `[::1]` or a plain address.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, mask) = match text.split_once('/') {
            Some((address, mask)) => (address, Some(mask)),
            None => (text, None),
        };
        let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        // A zone is part of a link-local address and does not matter here.
        let address = address.split_once('%').map_or(address, |(address, _)| address);
        let (v6, bits) = match address.parse().ok()? {
            IpAddr::V4(address) => (false, u128::from(address.to_bits())),
            IpAddr::V6(address) => (true, address.to_bits()),
        };
        let width = if v6 { 128 } else { 32 };
        let prefix = match mask {
            None => width,
            Some(mask) if mask.bytes().all(|byte| byte.is_ascii_digit()) => mask.parse().ok()?,
            Some(mask) => {
                let mask: Ipv4Addr = mask.parse().ok().filter(|_| !v6)?;
                let ones = mask.to_bits().leading_ones();
                (mask.to_bits().count_ones() == ones).then_some(ones)?
            }
        };
        (prefix <= width).then(|| Self::new(v6, bits, width, prefix))
    }

    fn new(v6: bool, bits: u128, width: u32, prefix: u32) -> Self {
        let hosts = if prefix == width { 0 } else { u128::MAX >> (128 - (width - prefix)) };
        Self { v6, first: bits & !hosts, last: bits | hosts }
    }

    /// Whether all of `other` lies in this.
    pub(crate) fn contains(&self, other: &Self) -> bool {
        self.v6 == other.v6 && self.first <= other.first && other.last <= self.last
    }

    /// The first address of the network of `prefix` bits that this lies in, as text.
    pub(crate) fn masked(&self, prefix: u32) -> Option<String> {
        let width = if self.v6 { 128 } else { 32 };
        if prefix > width {
            return None;
        }
        let first = Self::new(self.v6, self.first, width, prefix).first;
        Some(match u32::try_from(first) {
            Ok(bits) if !self.v6 => Ipv4Addr::from_bits(bits).to_string(),
            _ => Ipv6Addr::from_bits(first).to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_addresses() {
        let contains =
            |network, address| Network::parse(network).unwrap().contains(&Network::parse(address).unwrap());
        assert!(contains("10.0.0.0/8", "10.1.2.3"));
        assert!(contains("10.0.0.0/255.0.0.0", "10.1.2.3/32"));
        assert!(contains("0.0.0.0/0", "8.8.8.8"));
        assert!(contains("fd00::/8", "[fd12::1]"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(!contains("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(!contains("10.0.0.0/16", "10.0.0.0/8"));
        for wrong in ["", "10.0.0.256", "10.0.0.0/33", "bad", "10.0.0.0/255.0.255.0", "5"] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Network::parse("10.20.30.40").unwrap().masked(8).as_deref(), Some("10.0.0.0"));
        assert_eq!(Network::parse("::1").unwrap().masked(8).as_deref(), Some("::"));
    }
}
