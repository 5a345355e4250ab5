//! Hosts files and name servers, asked as Ruby's `Resolv` asks them.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use thiserror::Error;

use super::wire::{self, Answer, Question};

/// No name server answered in time.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("no name server answered in time")]
pub(super) struct TimedOut;

/// Hosts files, then name servers.
#[derive(Debug)]
pub(super) struct Resolver {
    pub(super) hosts: Vec<HostsFile>,
    pub(super) servers: Option<Servers>,
}

/// Name servers and how names are completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Servers {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) search: Vec<String>,
    pub(super) ndots: usize,
    pub(super) timeout: Duration,
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
            && let Some(address) = servers.look_up(name, RecordType::AAAA)?
        {
            return Ok(Some(address));
        }
        servers.look_up(name, RecordType::A)
    }

    /// The first name of an address.
    pub(super) fn name(&self, address: &str) -> Result<Option<String>, TimedOut> {
        if let Some(name) = self.hosts.iter().find_map(|file| file.read().names.get(address)) {
            return Ok(Some(name.clone()));
        }
        match (&self.servers, parse_address(address)) {
            (Some(servers), Some(address)) => servers.look_up(&wire::reverse_name(address), RecordType::PTR),
            _ => Ok(None),
        }
    }
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

impl Servers {
    /// Those of the system.
    pub(super) fn of_system(timeout: Duration) -> Self {
        let text = std::fs::read_to_string(Path::new("/etc/resolv.conf")).unwrap_or_default();
        Self::parse(&text, timeout)
    }

    /// From the text of a `resolv.conf`.
    fn parse(text: &str, timeout: Duration) -> Self {
        let mut servers = Self { addresses: Vec::new(), search: Vec::new(), ndots: 1, timeout };
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => servers.addresses.extend(words.filter_map(server_address)),
                Some("domain") => servers.search = words.take(1).map(str::to_owned).collect(),
                Some("search") => servers.search = words.map(str::to_owned).collect(),
                Some("options") => {
                    let ndots =
                        words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok()).next_back();
                    servers.ndots = ndots.unwrap_or(servers.ndots);
                }
                _ => {}
            }
        }
        if servers.addresses.is_empty() {
            servers.addresses.push(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
        }
        servers
    }

    /// The first record of `name`, asking for its completions one after the other.
    fn look_up(&self, name: &str, kind: RecordType) -> Result<Option<String>, TimedOut> {
        for candidate in self.candidates(name) {
            match self.ask(&candidate, kind)? {
                Answer::Found(found) => return Ok(found.into_iter().next()),
                Answer::NoSuchName => {}
                Answer::Refused | Answer::Truncated => return Ok(None),
            }
        }
        Ok(None)
    }

    /// What `name` may stand for, in the order in which it is asked for.
    fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(absolute) = name.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let as_it_is = name.to_owned();
        let completed = self.search.iter().map(|domain| format!("{name}.{}", domain.trim_matches('.')));
        if name.matches('.').count() >= self.ndots {
            std::iter::once(as_it_is).chain(completed).collect()
        } else {
            completed.chain(std::iter::once(as_it_is)).collect()
        }
    }

    fn ask(&self, name: &str, kind: RecordType) -> Result<Answer, TimedOut> {
        let [high, low, ..] = *uuid::Uuid::new_v4().as_bytes();
        let Some(question) = Question::new(u16::from_be_bytes([high, low]), name, kind) else {
            return Ok(Answer::Refused);
        };
        for server in &self.addresses {
            let until = Instant::now() + self.timeout;
            match over_udp(*server, &question, until) {
                Ok(Answer::Truncated) => {
                    if let Ok(answer) = over_tcp(*server, &question, self.timeout) {
                        return Ok(answer);
                    }
                }
                Ok(answer) => return Ok(answer),
                Err(error) => tracing::debug!(%server, %error, "Name server gave no answer"),
            }
        }
        Err(TimedOut)
    }
}

const PORT: u16 = 53;

/// The address of a name server, with or without a port.
pub(super) fn server_address(text: &str) -> Option<SocketAddr> {
    text.parse::<IpAddr>().map(|address| SocketAddr::from((address, PORT))).or_else(|_| text.parse()).ok()
}

/// The socket takes datagrams of the server only, so an answer has server, id and question right.
fn over_udp(server: SocketAddr, question: &Question, until: Instant) -> std::io::Result<Answer> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    socket.send(&question.message)?;
    let mut message = vec![0; 65_535];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let len = socket.recv(&mut message)?;
        if let Some(answer) = question.answer(&message[..len]) {
            return Ok(answer);
        }
    }
}

fn over_tcp(server: SocketAddr, question: &Question, timeout: Duration) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&server, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    let len = u16::try_from(question.message.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[len.to_be_bytes().as_slice(), &question.message].concat())?;
    let mut len = [0; 2];
    stream.read_exact(&mut len)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut message)?;
    question.answer(&message).ok_or_else(|| ErrorKind::InvalidData.into())
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
    fn the_systems_configuration() {
        let servers = Servers::parse(
            "nameserver 10.0.0.1 # first\nnameserver ::1\ndomain x.org\nsearch a.org b.org\noptions rotate ndots:2\n",
            Duration::ZERO,
        );
        assert_eq!(servers.addresses, ["10.0.0.1:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
        assert_eq!((servers.search.len(), servers.ndots), (2, 2));
        assert_eq!(servers.candidates("a.b"), ["a.b.a.org", "a.b.b.org", "a.b"]);
        assert_eq!(servers.candidates("a.b.c"), ["a.b.c", "a.b.c.a.org", "a.b.c.b.org"]);
        assert_eq!(servers.candidates("a."), ["a"]);
        assert_eq!(Servers::parse("", Duration::ZERO).addresses, ["127.0.0.1:53".parse().unwrap()]);
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
