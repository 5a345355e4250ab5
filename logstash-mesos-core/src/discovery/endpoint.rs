//! The address of a Docker daemon.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

#[cfg(any(test, feature = "docker"))]
use crate::confined;
use crate::discovery::DiscoveryError;

/// Where a Docker daemon listens: `unix://PATH`, `tcp://HOST:PORT` or `http://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerEndpoint {
    address: Address,
    /// Where sockets are looked for that are not at their path.
    host_root: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Unix(String),
    Http(String),
}

impl DockerEndpoint {
    /// The daemon's usual socket.
    #[must_use]
    pub fn local() -> Self {
        Address::Unix("/var/run/docker.sock".to_owned()).into()
    }

    /// The port on which the predecessor looked for the daemon of an agent.
    #[must_use]
    pub fn of_agent(hostname: &str) -> Self {
        Address::Http(format!("http://{hostname}:2376")).into()
    }

    /// The same daemon for a process in a container, to which the machine's root directory is `host_root`: a
    /// socket that is not at its path is the machine's. Links on the way are followed as the machine does.
    #[must_use]
    pub fn seen_from(self, host_root: &Path) -> Self {
        Self { host_root: Some(host_root.to_owned()).filter(|root| root != Path::new("/")), ..self }
    }

    /// Whether there is a socket at the moment; anything else counts as present.
    #[cfg(any(test, feature = "agent"))]
    pub(crate) fn exists(&self) -> bool {
        match &self.address {
            Address::Unix(path) => self.socket(path).exists(),
            Address::Http(_) => true,
        }
    }

    #[cfg(feature = "docker")]
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Looked up at every connection, as a daemon that starts again makes a new socket.
    #[cfg(any(test, feature = "docker"))]
    pub(super) fn socket(&self, path: &str) -> PathBuf {
        let path = PathBuf::from(path);
        match &self.host_root {
            Some(root) if !path.exists() => confined::path_in_root(root, &path)
                .unwrap_or_else(|_| root.join(path.strip_prefix("/").unwrap_or(&path))),
            _ => path,
        }
    }
}

impl From<Address> for DockerEndpoint {
    fn from(address: Address) -> Self {
        Self { address, host_root: None }
    }
}

impl FromStr for DockerEndpoint {
    type Err = DiscoveryError;

    fn from_str(text: &str) -> Result<Self, DiscoveryError> {
        let wrong =
            |reason: &str| DiscoveryError::Address { address: text.to_owned(), reason: reason.to_owned() };
        if let Some(path) = text.strip_prefix("unix://") {
            return if path.starts_with('/') {
                Ok(Address::Unix(path.to_owned()).into())
            } else {
                Err(wrong("the path of the socket must be absolute"))
            };
        }
        if text.starts_with('/') {
            return Ok(Address::Unix(text.to_owned()).into());
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
        Ok(Address::Http(format!("http://{rest}")).into())
    }
}

impl fmt::Display for DockerEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
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

    #[test]
    fn a_socket_is_at_its_path_or_the_machine_s() {
        let machine = tempfile::tempdir().unwrap();
        let root = machine.path();
        std::fs::create_dir_all(root.join("run/podman")).unwrap();
        std::fs::create_dir_all(root.join("var")).unwrap();
        std::os::unix::fs::symlink("/run", root.join("var/run")).unwrap();
        std::os::unix::fs::symlink("/run/podman/p.sock", root.join("run/d.sock")).unwrap();
        let endpoint: DockerEndpoint = "unix:///var/run/d.sock".parse().unwrap();
        let endpoint = endpoint.seen_from(root);
        assert!(!endpoint.exists());
        let _listener = std::os::unix::net::UnixListener::bind(root.join("run/podman/p.sock")).unwrap();
        assert!(endpoint.exists());
        assert_eq!(endpoint.socket("/var/run/d.sock"), root.join("run/podman/p.sock"));
        assert_eq!(endpoint.to_string(), "unix:///var/run/d.sock");
        // What is at its path is taken, wherever the machine is.
        let own = root.join("run/podman/p.sock");
        let endpoint: DockerEndpoint = format!("unix://{}", own.display()).parse().unwrap();
        assert_eq!(endpoint.seen_from(Path::new("/elsewhere")).socket(&own.to_string_lossy()), own);
    }
}
