//! Addresses as Java's `InetAddress` reads and writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};

/// `InetAddress.getHostAddress`: IPv6 addresses have all of their eight groups.
pub(super) fn java_address(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => address.segments().map(|group| format!("{group:x}")).join(":"),
    }
}

/// `InetAddress.getByName` of an address. `Err` for what is none, but may be the name of a host.
pub(super) fn parse(text: &str) -> Result<Option<IpAddr>, &str> {
    if let Some(rest) = text.strip_prefix('[') {
        return Ok(rest.strip_suffix(']').and_then(v6));
    }
    if text.starts_with(|first: char| first.is_ascii_hexdigit() || first == ':') {
        if let Some(address) = v4(text) {
            return Ok(Some(IpAddr::V4(address)));
        }
        if text.contains(':') {
            return Ok(v6(text));
        }
    }
    Err(text)
}

/// The address of a host, by the system's resolver. Java prefers version 4.
pub(super) fn resolve(host: &str) -> Option<IpAddr> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if !host.bytes().all(fits) || !host.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let found: Vec<_> = (host, 0).to_socket_addrs().ok()?.map(|address| address.ip()).collect();
    found.iter().find(|address| address.is_ipv4()).or(found.first()).copied()
}

/// Up to four decimal numbers; the last one fills the bytes that are left.
fn v4(text: &str) -> Option<Ipv4Addr> {
    let mut parts: Vec<&str> = text.split('.').collect();
    let last = parts.pop().filter(|_| parts.len() < 4)?;
    let number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u64>().ok().filter(|_| digits)
    };
    let mut bits = 0;
    for (at, part) in parts.iter().enumerate() {
        bits |= number(part).filter(|byte| *byte <= 255)? << (24 - 8 * at);
    }
    let room = 32 - 8 * parts.len();
    let last = number(last).filter(|rest| *rest < 1 << room)?;
    u32::try_from(bits | last).ok().map(Ipv4Addr::from_bits)
}

/// With or without a zone; a mapped address is one of version 4.
fn v6(text: &str) -> Option<IpAddr> {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    let address: Ipv6Addr = address.parse().ok()?;
    Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_java_reads_them() {
        for (text, address) in [
            ("8.8.8.8", "8.8.8.8"),
            ("1.2", "1.0.0.2"),
            ("16909060", "1.2.3.4"),
            ("010.1.1.1", "10.1.1.1"),
            ("::1", "0:0:0:0:0:0:0:1"),
            ("[2607:F0D0:1002:51::4]", "2607:f0d0:1002:51:0:0:0:4"),
            ("fe80::1%eth0", "fe80:0:0:0:0:0:0:1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
        ] {
            assert_eq!(parse(text).unwrap().map(java_address).as_deref(), Some(address), "{text}");
        }
        for none in ["1:2", "[1.2.3.4]", "[::1", "1.2.3.4:80"] {
            assert_eq!(parse(none), Ok(None), "{none}");
        }
        for name in ["-", "N/A", "example.org", "1.2.3.4,5.6.7.8", "256.1.1.1", "1.2.3.4.5", " 8.8.8.8"] {
            assert_eq!(parse(name), Err(name));
        }
    }

    #[test]
    fn only_what_can_be_a_host_is_asked_for() {
        for none in ["-", "N/A", "1.2.3.4,5.6.7.8", " ", "a b"] {
            assert_eq!(resolve(none), None, "{none}");
        }
        assert!(resolve("localhost").unwrap().is_loopback());
    }
}
