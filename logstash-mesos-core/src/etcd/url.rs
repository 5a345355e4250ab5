//! `etcd://[user:password@]host:port,host:port/prefix?ca=FILE&cert=FILE&key=FILE`.

use crate::servers::{Servers, ServersError};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use thiserror::Error;

/// Servers of etcd, and the prefix of keys there.
///
/// A server without a port has 2379. `?tls=true` speaks TLS and trusts the usual authorities; `ca=FILE` speaks TLS and
/// trusts the authority in the file, and `cert=FILE&key=FILE` show a certificate of our own; files are PEM. Neither
/// `Display` nor `Debug` shows the credentials.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EtcdUrl {
    servers: Servers,
    tls: Option<EtcdTls>,
}

/// How to speak TLS with etcd. Files are PEM, and read when a connection is begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EtcdTls {
    /// Authority to trust in place of the usual ones.
    pub ca: Option<PathBuf>,
    /// Certificate and key to show.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Why text is no [`EtcdUrl`]. The words never hold the credentials.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EtcdUrlError {
    /// What stands before the question mark.
    #[error(transparent)]
    Servers(#[from] ServersError),
    /// A parameter after the question mark that there is not.
    #[error("has the parameter `{name}`; there are tls=true, ca=FILE, cert=FILE and key=FILE")]
    Parameter {
        /// The parameter that does not exist.
        name: String,
    },
    /// A certificate without its key, or the other way round.
    #[error("needs both cert=FILE and key=FILE, or neither")]
    Identity,
}

impl EtcdUrl {
    /// Returns `host:port` of each server, an IPv6 address in brackets.
    pub fn servers(&self) -> &[String] {
        &self.servers.addresses
    }

    /// Returns user and password, if they were given.
    pub fn credentials(&self) -> Option<(&str, &str)> {
        self.servers.credentials.as_deref()?.split_once(':')
    }

    /// Returns the beginning of all keys, which begins with a slash and does not end with one.
    pub fn prefix(&self) -> &str {
        &self.servers.path
    }

    /// Returns how to speak TLS, if it shall be spoken.
    pub fn tls(&self) -> Option<&EtcdTls> {
        self.tls.as_ref()
    }
}

impl FromStr for EtcdUrl {
    type Err = EtcdUrlError;

    fn from_str(text: &str) -> Result<Self, EtcdUrlError> {
        // A password may hold a question mark.
        let after_credentials = text.rfind('@').unwrap_or_default();
        let (servers, query) = match text[after_credentials..].find('?') {
            Some(at) => (&text[..after_credentials + at], &text[after_credentials + at + 1..]),
            None => (text, ""),
        };
        let (mut plain, mut tls) = (true, EtcdTls::default());
        let (mut cert, mut key) = (None, None);
        for (name, value) in
            query.split('&').filter(|p| !p.is_empty()).map(|p| p.split_once('=').unwrap_or((p, "")))
        {
            match (name, value) {
                ("tls", "true") => {}
                ("ca", file) if !file.is_empty() => tls.ca = Some(file.into()),
                ("cert", file) if !file.is_empty() => cert = Some(file.into()),
                ("key", file) if !file.is_empty() => key = Some(file.into()),
                _ => return Err(EtcdUrlError::Parameter { name: name.to_owned() }),
            }
            plain = false;
        }
        tls.identity = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err(EtcdUrlError::Identity),
        };
        let servers = Servers::parse(servers, "etcd://", 2379)?;
        Ok(Self { servers, tls: (!plain).then_some(tls) })
    }
}

impl fmt::Display for EtcdUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "etcd://{}{}", self.servers.addresses.join(","), self.servers.path)
    }
}

impl fmt::Debug for EtcdUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_follows_a_question_mark() {
        let url: EtcdUrl = "etcd://a,b:1/x".parse().expect("can be right");
        assert_eq!((url.servers().join(",").as_str(), url.prefix(), url.tls()), ("a:2379,b:1", "/x", None));
        let url: EtcdUrl = "etcd://u:p?q@a/x?tls=true".parse().expect("can be right");
        assert_eq!((url.credentials(), url.tls()), (Some(("u", "p?q")), Some(&EtcdTls::default())));
        let url: EtcdUrl = "etcd://a/x?ca=/c.pem&cert=c&key=k".parse().expect("can be right");
        let tls = EtcdTls { ca: Some("/c.pem".into()), identity: Some(("c".into(), "k".into())) };
        assert_eq!((url.to_string().as_str(), url.tls()), ("etcd://a:2379/x", Some(&tls)));
    }

    #[test]
    fn what_cannot_be_right_is_named_without_the_password() {
        for (text, part) in [
            ("etcd://u:secret@a", "path"),
            ("etcd://u:secret@a/x?cert=c", "key=FILE"),
            ("etcd://u:secret@a/x?tls=false", "`tls`"),
            ("etcd://u:secret@a/x?ca=", "`ca`"),
            ("etcd://u:secret@a/x?secure", "`secure`"),
        ] {
            let error = text.parse::<EtcdUrl>().expect_err(text).to_string();
            assert!(error.contains(part) && !error.contains("secret@"), "{text}: {error}");
        }
    }
}
