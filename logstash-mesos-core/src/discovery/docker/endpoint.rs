//! The address of a Docker daemon.

use std::fmt;
use std::str::FromStr;

use bollard::{API_DEFAULT_VERSION, Docker};

use crate::discovery::DiscoveryError;

/// Where a Docker daemon listens: `unix://PATH`, `tcp://HOST:PORT` or `http://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerEndpoint(Address);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Address {
    Unix(String),
    Http(String),
}

const TIMEOUT_SECS: u64 = 30;

impl DockerEndpoint {
    /// The daemon's usual socket.
    #[must_use]
    pub fn local() -> Self {
        Self(Address::Unix("/var/run/docker.sock".to_owned()))
    }

    /// The port on which the predecessor looked for the daemon of an agent.
    #[must_use]
    pub fn of_agent(hostname: &str) -> Self {
        Self(Address::Http(format!("http://{hostname}:2376")))
    }

    /// Connects, and settles on a version of the API that the daemon has.
    pub(crate) async fn connect(&self) -> Result<Docker, bollard::errors::Error> {
        let docker = match &self.0 {
            Address::Unix(path) => Docker::connect_with_unix(path, TIMEOUT_SECS, API_DEFAULT_VERSION)?,
            Address::Http(url) => Docker::connect_with_http(url, TIMEOUT_SECS, API_DEFAULT_VERSION)?,
        };
        docker.negotiate_version().await
    }
}

impl FromStr for DockerEndpoint {
    type Err = DiscoveryError;

    fn from_str(text: &str) -> Result<Self, DiscoveryError> {
        let wrong =
            |reason: &str| DiscoveryError::Address { address: text.to_owned(), reason: reason.to_owned() };
        if let Some(path) = text.strip_prefix("unix://") {
            return if path.starts_with('/') {
                Ok(Self(Address::Unix(path.to_owned())))
            } else {
                Err(wrong("the path of the socket must be absolute"))
            };
        }
        if text.starts_with('/') {
            return Ok(Self(Address::Unix(text.to_owned())));
        }
        if text.starts_with("https://") {
            return Err(wrong("TLS to the daemon is not supported yet"));
        }
        let Some(rest) = text.strip_prefix("tcp://").or_else(|| text.strip_prefix("http://")) else {
            return Err(wrong("it has no scheme that is known"));
        };
        let rest = rest.trim_end_matches('/');
        let (host, port) = rest.rsplit_once(':').ok_or_else(|| wrong("the port is missing"))?;
        if host.is_empty() || host.contains('/') {
            return Err(wrong("the host is missing"));
        }
        port.parse::<u16>().map_err(|_| wrong("the port is no number from 1 to 65535"))?;
        Ok(Self(Address::Http(format!("http://{rest}"))))
    }
}

impl fmt::Display for DockerEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Address::Unix(path) => write!(f, "unix://{path}"),
            Address::Http(url) => f.write_str(url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_docker_writes_them() {
        for (text, shown) in [
            ("unix:///var/run/docker.sock", "unix:///var/run/docker.sock"),
            ("/run/d.sock", "unix:///run/d.sock"),
            ("tcp://10.0.0.1:2375", "http://10.0.0.1:2375"),
            ("http://agent-1:2376/", "http://agent-1:2376"),
        ] {
            assert_eq!(text.parse::<DockerEndpoint>().unwrap().to_string(), shown);
        }
        for wrong in
            ["", "docker.sock", "unix://relative", "tcp://host", "http://:1", "tcp://h:x", "https://h:1"]
        {
            assert!(wrong.parse::<DockerEndpoint>().is_err(), "{wrong}");
        }
    }
}
