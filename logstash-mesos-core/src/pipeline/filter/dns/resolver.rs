//! Hosts files and name servers, asked as Ruby's `Resolv` asks them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::dns::{RecordType, Servers, TimedOut, reverse_name};

/// Hosts files, then name servers.
#[derive(Debug)]
pub(super) struct Resolver {
    pub(super) hosts: Vec<HostsFile>,
    pub(super) servers: Option<Servers>,
}

impl Resolver {
    /// The first address of a name.
    pub(super) fn address(&self, name: &str) -> Result<Option<String>, TimedOut> {
        if is_address(name) {
            return Ok(Some(name.to_owned()));
        }
        if let Some(address) = self.hosts.iter().find_map(|file| file.read().addresses.get(name)) {
            return Ok(Some(address.clone()));
        }
        let Some(servers) = &self.servers else { return Ok(None) };
        // A machine without global IPv6 address can do nothing with one.
        if has_global_v6()
            && let Some(address) = first(servers.look_up(name, RecordType::AAAA))?
        {
            return Ok(Some(address));
        }
        first(servers.look_up(name, RecordType::A))
    }

    /// The first name of an address.
    pub(super) fn name(&self, address: &str) -> Result<Option<String>, TimedOut> {
        if let Some(name) = self.hosts.iter().find_map(|file| file.read().names.get(address)) {
            return Ok(Some(name.clone()));
        }
        match (&self.servers, parse_address(address)) {
            (Some(servers), Some(address)) => first(servers.look_up(&reverse_name(address), RecordType::PTR)),
            _ => Ok(None),
        }
    }
}

fn first(found: Result<Vec<String>, TimedOut>) -> Result<Option<String>, TimedOut> {
    found.map(|found| found.into_iter().next())
}

/// Whether `Resolv` takes the text for an address.
pub(super) fn is_address(text: &str) -> bool {
    parse_address(text).is_some()
}

fn parse_address(text: &str) -> Option<IpAddr> {
    match text.split_once('%') {
        // A zone belongs to link-local addresses only.
        Some((address, zone)) if !zone.is_empty() => {
            address.parse::<Ipv6Addr>().ok().filter(Ipv6Addr::is_unicast_link_local).map(IpAddr::V6)
        }
        Some(_) => None,
        None => text.parse().ok(),
    }
}

/// A file like `/etc/hosts`, read when it is first needed.
#[derive(Debug)]
pub(super) struct HostsFile {
    path: PathBuf,
    hosts: OnceLock<Hosts>,
}

#[derive(Debug, Default)]
struct Hosts {
    addresses: HashMap<String, String>,
    names: HashMap<String, String>,
}

impl HostsFile {
    pub(super) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), hosts: OnceLock::new() }
    }

    fn read(&self) -> &Hosts {
        self.hosts.get_or_init(|| match std::fs::read(&self.path) {
            Ok(bytes) => Hosts::parse(&String::from_utf8_lossy(&bytes)),
            Err(error) => {
                tracing::warn!(%error, path = %self.path.display(), "Hosts file cannot be read, nothing is known from it");
                Hosts::default()
            }
        })
    }
}

impl Hosts {
    fn parse(text: &str) -> Self {
        let mut hosts = Self::default();
        for line in text.lines() {
            let line = line.split_once('#').map_or(line, |(line, _)| line);
            let mut words = line.split_ascii_whitespace();
            let Some(address) = words.next() else { continue };
            for name in words {
                // The last address of a name counts, and the first name of an address.
                hosts.addresses.insert(name.to_owned(), address.to_owned());
                hosts.names.entry(address.to_owned()).or_insert_with(|| name.to_owned());
            }
        }
        hosts
    }
}

/// Whether an interface of this machine has an IPv6 address of the world.
fn has_global_v6() -> bool {
    // Its fields: address, interface, length of the prefix, scope (0 is global), flags, name.
    let table = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    table.lines().any(|line| line.split_ascii_whitespace().nth(3) == Some("00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_files() {
        let hosts = Hosts::parse("# none\n10.0.0.1 a b # c\n\n10.0.0.2\tb\n10.0.0.1 d\n");
        let address = |name: &str| hosts.addresses.get(name).map(String::as_str);
        assert_eq!([address("a"), address("b"), address("c")], [Some("10.0.0.1"), Some("10.0.0.2"), None]);
        assert_eq!(hosts.names.get("10.0.0.1").map(String::as_str), Some("a"));
        assert_eq!(HostsFile::new("/does/not/exist").read().names.len(), 0);
    }

    #[test]
    fn addresses() {
        for address in ["1.2.3.4", "::1", "fe80::1%eth0"] {
            assert!(is_address(address), "{address}");
        }
        for none in ["01.2.3.4", "1.2.3", "a", "::1%eth0", "fe80::1%", ""] {
            assert!(!is_address(none), "{none}");
        }
    }
}
