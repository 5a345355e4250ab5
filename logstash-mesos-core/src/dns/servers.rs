//! Name servers, and how they are asked.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use thiserror::Error;

use super::wire::{Answer, Question};

/// No name server answered in time.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("no name server answered in time")]
pub(crate) struct TimedOut;

/// Name servers and how names are completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Servers {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) search: Vec<String>,
    pub(crate) ndots: usize,
    pub(crate) timeout: Duration,
}

impl Servers {
    /// Those of the system.
    pub(crate) fn of_system(timeout: Duration) -> Self {
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

    /// The records of `name`, asking for its completions one after the other.
    pub(crate) fn look_up(&self, name: &str, kind: RecordType) -> Result<Vec<String>, TimedOut> {
        for candidate in self.candidates(name) {
            match self.ask(&candidate, kind)? {
                Answer::Found(found) => return Ok(found),
                Answer::NoSuchName => {}
                Answer::Refused | Answer::Truncated => return Ok(Vec::new()),
            }
        }
        Ok(Vec::new())
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
pub(crate) fn server_address(text: &str) -> Option<SocketAddr> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
