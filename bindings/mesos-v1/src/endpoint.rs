//! Where a master or an agent listens.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Port of a master when none is given.
pub const DEFAULT_MASTER_PORT: u16 = 5050;

/// A host and a port, with the path prefix of a proxy if there is one.
///
/// Written `host:port`, `[ipv6]:port`, `http://host:port/prefix`, or `https://host:port/prefix` where TLS is
/// spoken; `master@` in front is accepted, as Mesos writes it itself. Without a port it is 5050.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
    prefix: String,
    tls: bool,
    announced: Option<String>,
}

/// Why text is not an [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// TLS is asked for, and was left out of this build.
    #[error("`{text}` asks for TLS, which this program was built without")]
    Tls {
        /// What was given.
        text: String,
    },
    /// A redirect leads from TLS to a connection without it.
    #[error("`{text}` leads to a connection without TLS")]
    Downgrade {
        /// What was given.
        text: String,
    },
    /// The text begins with a scheme other than `http` and `https`.
    #[error("`{text}` has an unknown scheme; use http://, https:// or host:port")]
    Scheme {
        /// What was given.
        text: String,
    },
    /// No host, or characters that cannot be in one.
    #[error("`{text}` has no usable host name; write host:port or [ipv6]:port")]
    Host {
        /// What was given.
        text: String,
    },
    /// The port is not a number from 1 to 65535.
    #[error("`{text}` has no usable port; write a number from 1 to 65535 after the host")]
    Port {
        /// What was given.
        text: String,
    },
}

impl Endpoint {
    /// Makes an endpoint from its parts. `host` has no brackets.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] when the host is empty or the port 0.
    pub fn new(host: &str, port: u16) -> Result<Self, EndpointError> {
        let text = format!("{host}:{port}");
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        if host.is_empty() || !host.chars().all(valid) {
            return Err(EndpointError::Host { text });
        }
        if port == 0 {
            return Err(EndpointError::Port { text });
        }
        Ok(Self { host: host.to_owned(), port, prefix: String::new(), tls: false, announced: None })
    }

    /// Reads an endpoint whose port is `default_port` unless it says otherwise.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] names what is wrong with `text`.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, EndpointError> {
        let owned = || text.to_owned();
        let (tls, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some(_) => return Err(EndpointError::Scheme { text: owned() }),
            None => (false, text.strip_prefix("//").unwrap_or(text)),
        };
        if tls && !cfg!(feature = "tls") {
            return Err(EndpointError::Tls { text: owned() });
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let authority = authority.strip_prefix("master@").unwrap_or(authority);
        // The last colon, since an IPv6 address has several; one without brackets has no port.
        let (host, port) = match authority.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => {
                (host, Some(port.strip_prefix(':').ok_or_else(|| EndpointError::Port { text: owned() })?))
            }
            None => match authority.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            None => default_port,
            Some(port) => port.parse().map_err(|_| EndpointError::Port { text: owned() })?,
        };
        let endpoint = Self::new(host, port).map_err(|error| match error {
            EndpointError::Port { .. } => EndpointError::Port { text: owned() },
            _ => EndpointError::Host { text: owned() },
        })?;
        let path = path.split(['?', '#']).next().unwrap_or_default();
        Ok(Self { prefix: path.trim_end_matches('/').to_owned(), tls, ..endpoint })
    }

    /// Says whether TLS is spoken there. For addresses that came without a scheme.
    #[must_use]
    pub fn with_tls(self, tls: bool) -> Self {
        Self { tls, ..self }
    }

    /// Adds the host name that whoever listens there announces, for an endpoint made from an address: its
    /// certificate may be for that name. Nothing is connected to by this name.
    #[must_use]
    pub fn with_announced_name(self, name: &str) -> Self {
        let announced = Some(name.to_owned()).filter(|name| !name.is_empty() && *name != self.host);
        Self { announced, ..self }
    }

    /// Tells whether TLS is spoken there.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Returns the names one of which a certificate has to be for.
    #[cfg(feature = "tls")]
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.announced.as_deref().into_iter().chain([self.host.as_str()])
    }

    /// Returns the host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns `host:port` as it belongs in a `Host` header, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Returns `path` below the prefix of this endpoint.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// Returns where a `Location` leads: its host and port, with the prefix of this endpoint and TLS as here.
    ///
    /// Mesos 1.11 sends `//host:port/master/api/v1/scheduler`, older ones no path or a bare
    /// `host:port`, so only host and port can be relied on (SCH-3).
    ///
    /// # Errors
    ///
    /// [`EndpointError`] when the location cannot be understood, or leads away from TLS.
    pub fn redirected(&self, location: &str) -> Result<Self, EndpointError> {
        let to = Self::parse(location, self.port)?;
        if self.tls && location.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:")) {
            return Err(EndpointError::Downgrade { text: location.to_owned() });
        }
        Ok(Self { prefix: self.prefix.clone(), tls: self.tls || to.tls, ..to })
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Self::parse(text, DEFAULT_MASTER_PORT)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https://" } else { "" };
        write!(f, "{scheme}{}{}", self.authority(), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_understood() {
        for (text, shown) in [
            ("mesos.example", "mesos.example:5050"),
            ("10.0.0.1:5051", "10.0.0.1:5051"),
            ("[::1]:5050", "[::1]:5050"),
            ("[fe80::1%eth0]", "[fe80::1%eth0]:5050"),
            ("http://leader.mesos:80/mesos/", "leader.mesos:80/mesos"),
            ("master@10.0.0.1:5050", "10.0.0.1:5050"),
            ("::1:5050", "[::1]:5050"),
            #[cfg(feature = "tls")]
            ("HTTPS://leader.mesos:5050/mesos/", "https://leader.mesos:5050/mesos"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_right_is_named() {
        for (text, part) in [
            #[cfg(not(feature = "tls"))]
            ("https://m:5050", "TLS"),
            ("zk://m:2181/mesos", "scheme"),
            ("", "host"),
            (":5050", "host"),
            ("a b:5050", "host"),
            ("m:0", "port"),
            ("m:65536", "port"),
            ("m:http", "port"),
            ("[::1]5050", "port"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(text), "{text}: {error}");
        }
    }

    // SCH-3, DET-2: every spelling of Location that masters are known to send.
    #[test]
    fn a_location_gives_host_and_port_only() {
        let from = "http://a:5050/prefix".parse::<Endpoint>().unwrap();
        for location in ["//b:5051/master/api/v1/scheduler", "//b:5051", "b:5051", "http://b:5051/x"] {
            let to = from.redirected(location).unwrap();
            assert_eq!(to.to_string(), "b:5051/prefix", "{location}");
            assert_eq!(to.path("/api/v1/scheduler"), "/prefix/api/v1/scheduler");
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_location_never_leads_away_from_tls() {
        let from = "https://a:5050/prefix".parse::<Endpoint>().unwrap();
        for location in ["//b:5051/master/api/v1/scheduler", "b:5051", "https://b:5051/x"] {
            assert_eq!(from.redirected(location).unwrap().to_string(), "https://b:5051/prefix", "{location}");
        }
        assert!(matches!(from.redirected("HTTP://b:5051/"), Err(EndpointError::Downgrade { .. })));
        let plain = "a:5050".parse::<Endpoint>().unwrap();
        assert!(plain.redirected("https://b:5051/").unwrap().is_tls());
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_certificate_may_be_for_the_announced_name_or_the_address() {
        let endpoint = Endpoint::new("10.0.0.1", 5050).unwrap().with_tls(true);
        assert_eq!(endpoint.names().collect::<Vec<_>>(), ["10.0.0.1"]);
        let endpoint = endpoint.with_announced_name("m1.example");
        assert_eq!(endpoint.names().collect::<Vec<_>>(), ["m1.example", "10.0.0.1"]);
    }
}
