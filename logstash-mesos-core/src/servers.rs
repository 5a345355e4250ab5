//! `SCHEME://[user:password@]host:port,host:port/path`: how services of several servers are named.

use thiserror::Error;

/// The servers of a service, and a path there.
///
/// Credentials end at the last `@`, the path begins at the first `/` after it, as Mesos reads such names.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Servers {
    /// `host:port` of each; an IPv6 address in brackets.
    pub(crate) addresses: Vec<String>,
    /// What stands before the `@`: `user:password`.
    pub(crate) credentials: Option<String>,
    /// Begins with a slash, does not end with one, and is more than that.
    pub(crate) path: String,
}

/// Why text does not name servers and a path. The words never hold the credentials.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ServersError {
    /// The URL begins otherwise.
    #[error("does not begin with {scheme}")]
    Scheme {
        /// The one that is needed.
        scheme: &'static str,
    },
    /// A user without a password, or the other way round.
    #[error("has something before the @ that is not USER:PASSWORD")]
    Credentials,
    /// A server without a name, or with a port that is none.
    #[error("names the server `{server}`, which is not HOST:PORT")]
    Server {
        /// What was given.
        server: String,
    },
    /// No path, or one that is not allowed.
    #[error("needs a path after the servers, such as {scheme}host:{port}/NAME")]
    Path {
        /// How it should begin.
        scheme: &'static str,
        /// The usual port.
        port: u16,
    },
}

impl Servers {
    /// Reads what follows `scheme`, in which a server without a port has `port`.
    pub(crate) fn parse(text: &str, scheme: &'static str, port: u16) -> Result<Self, ServersError> {
        let rest = text.trim().strip_prefix(scheme).ok_or(ServersError::Scheme { scheme })?;
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (Some(credentials), rest),
            None => (None, rest),
        };
        let usable = |text: &str| text.split_once(':').is_some_and(|(u, p)| !u.is_empty() && !p.is_empty());
        if !credentials.is_none_or(usable) {
            return Err(ServersError::Credentials);
        }
        let (addresses, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let addresses = addresses.split(',').map(|s| address(s.trim(), port)).collect::<Result<_, _>>()?;
        let path = path.trim_end_matches('/');
        if !is_path(path) {
            return Err(ServersError::Path { scheme, port });
        }
        Ok(Self { addresses, credentials: credentials.map(str::to_owned), path: path.to_owned() })
    }
}

/// A host and a port; an IPv6 address in brackets.
fn address(text: &str, default_port: u16) -> Result<String, ServersError> {
    let unusable = || ServersError::Server { server: text.to_owned() };
    let (host, port) = match text.strip_prefix('[') {
        Some(inner) => {
            let (host, port) = inner.split_once(']').ok_or_else(unusable)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| unusable())?;
            (format!("[{host}]"), (!port.is_empty()).then(|| port.strip_prefix(':').unwrap_or_default()))
        }
        None => {
            let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
            if host.is_empty()
                || !host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
            {
                return Err(unusable());
            }
            (host.to_owned(), port)
        }
    };
    let port = match port {
        None => default_port,
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(unusable)?,
    };
    Ok(format!("{host}:{port}"))
}

/// What ZooKeeper allows, which is enough for every other; not the root: nobody's own things belong there.
pub(crate) fn is_path(path: &str) -> bool {
    let is_odd = |c: char| c.is_control() || ('\u{e000}'..='\u{f8ff}').contains(&c) || c >= '\u{fff0}';
    path.strip_prefix('/').is_some_and(|rest| {
        // ZooKeeper keeps its own things there.
        let mine = rest.split('/').next() == Some("zookeeper");
        !mine && rest.split('/').all(|name| !matches!(name, "" | "." | "..") && !name.contains(is_odd))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Servers, ServersError> {
        Servers::parse(text, "zk://", 2181)
    }

    #[test]
    fn what_mesos_writes_is_read() {
        for (text, addresses, credentials, path) in [
            ("zk://a:2181/mesos", "a:2181", None, "/mesos"),
            ("zk://a:1,b:2 , c/x/y/", "a:1,b:2,c:2181", None, "/x/y"),
            ("zk://u:p@a/m", "a:2181", Some("u:p"), "/m"),
            ("zk://u:p@ss:/w@a:1/m", "a:1", Some("u:p@ss:/w"), "/m"),
            ("zk://[::1]:2182,[fe80::1]/m", "[::1]:2182,[fe80::1]:2181", None, "/m"),
        ] {
            let servers = parse(text).expect(text);
            assert_eq!(servers.addresses.join(","), addresses);
            assert_eq!((servers.credentials.as_deref(), servers.path.as_str()), (credentials, path));
        }
    }

    #[test]
    fn what_cannot_be_right_is_named_without_the_password() {
        for (text, part) in [
            ("http://a/m", "zk://"),
            ("zk://secret@a:1/m", "USER:PASSWORD"),
            ("zk://:secret@a:1/m", "USER:PASSWORD"),
            ("zk://u:secret@a:1", "path"),
            ("zk://u:secret@a:1/", "path"),
            ("zk://u:secret@a:1//m", "path"),
            ("zk://u:secret@a:1/m/../x", "path"),
            ("zk://u:secret@a:1/zookeeper/x", "path"),
            ("zk://u:secret@a:0/m", "a:0"),
            ("zk://u:secret@a:port/m", "a:port"),
            ("zk://u:secret@a:1,/m", "``"),
            ("zk://u:secret@[a]:1/m", "[a]:1"),
            ("zk://u:secret@[::1]1/m", "[::1]1"),
            ("zk://u:secret@/m", "``"),
        ] {
            let error = parse(text).err().expect(text).to_string();
            assert!(error.contains(part) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
