//! Where a process that ships serves its numbers, and says that it is alive.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// An address for `GET /metrics` and `GET /health`: `ADDR:PORT`, or `unix:PATH` for those on the machine, or in the container, alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricsAddress {
    /// A port; which others are let to it is up to the network.
    Tcp(SocketAddr),
    /// A socket in the file system; the umask says who may connect to it.
    Unix(PathBuf),
}

/// A text that is no [`MetricsAddress`].
#[derive(Debug, Error)]
#[error(
    "`{0}` is neither an address with a port, such as 0.0.0.0:9093, nor unix: with an absolute path behind it"
)]
pub struct NoAddress(String);

impl FromStr for MetricsAddress {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let no_address = || NoAddress(text.to_owned());
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err(no_address()),
            None => text.parse().map(Self::Tcp).map_err(|_| no_address()),
        }
    }
}

impl fmt::Display for MetricsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl MetricsAddress {
    /// Asks the process there for `/health`, and waits for the answer, at most five seconds for each step. It blocks.
    ///
    /// # Errors
    ///
    /// When nobody answers there, or something else does.
    pub fn ask_for_health(&self) -> io::Result<()> {
        let answer = match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                ask(stream)
            }
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                ask(stream)
            }
        }?;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        if answer.starts_with("HTTP/1.") && status == "200" {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "what answers is no shipper: {}",
            answer.lines().next().unwrap_or("nothing")
        )))
    }
}

fn ask(mut stream: impl Read + Write) -> io::Result<String> {
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

const PATIENCE: Duration = Duration::from_secs(5);
/// More than the answer has, should somebody else be there.
const MOST_BYTES: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_port_or_a_path() {
        for text in ["0.0.0.0:9093", "[::1]:9093", "unix:/metrics.sock"] {
            assert_eq!(text.parse::<MetricsAddress>().unwrap().to_string(), text);
        }
        for text in ["9093", "localhost:9093", "unix:metrics.sock", "/metrics.sock", ""] {
            assert!(text.parse::<MetricsAddress>().is_err(), "{text}");
        }
    }
}
