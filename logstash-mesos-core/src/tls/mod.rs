//! TLS for everything that listens and everything that connects: settings with PEM files in, streams out.
//!
//! Without the feature `tls` a [`Stream`] is always a plain one, and no [`Acceptor`] or [`Connector`] can be made.

#[cfg(feature = "tls")]
mod acceptor;
mod connect;
#[cfg(feature = "tls")]
mod connector;
#[cfg(not(feature = "tls"))]
mod missing;
mod peer;
#[cfg(feature = "tls")]
mod pem;
#[cfg(feature = "tls")]
mod reload;
mod stream;
#[cfg(feature = "tls")]
mod suites;
#[cfg(feature = "tls")]
mod verify;

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

#[cfg(feature = "tls")]
pub use acceptor::Acceptor;
#[cfg(feature = "tls")]
pub use connector::Connector;
#[cfg(not(feature = "tls"))]
pub use missing::{Acceptor, Connector};
pub use peer::Peer;
#[cfg(feature = "tls")]
pub use reload::{AuthorityFile, FromFiles, Reloaded};
pub use stream::Stream;

/// How connections to servers are secured.
#[derive(Clone, Debug, Default)]
pub struct ClientTls {
    /// Who may sign a server's certificate, files in PEM; the usual authorities when empty. A server's own
    /// certificate may stand here too.
    pub authorities: Vec<PathBuf>,
    /// More of them as text in PEM, for those that come another way than by a file.
    pub authorities_pem: String,
    /// Authorities by the SHA-256 of their certificate: one that a server brings along is believed beside the others.
    pub fingerprints: Vec<[u8; 32]>,
    /// Our own certificate, if servers ask for one.
    pub identity: Option<Identity>,
    /// How servers are looked at.
    pub verification: Verification,
    /// Which versions are spoken, and with which ciphers.
    pub offer: Offer,
}

/// How connections from clients are secured.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// The certificate that the server shows.
    pub identity: Identity,
    /// Whether clients have to show theirs.
    pub client_authentication: ClientAuthentication,
    /// Who may sign a client's certificate, files in PEM; the usual authorities when empty.
    pub authorities: Vec<PathBuf>,
    /// Which versions are spoken, and with which ciphers.
    pub offer: Offer,
    /// A peer that has not agreed on keys by then is sent away.
    pub handshake_timeout: Duration,
}

/// A certificate with its key, files in PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate, and behind it those that lead to its authority.
    pub certificate: PathBuf,
    /// Further certificates on that way.
    pub extra_chain: Vec<PathBuf>,
    /// The key: PKCS#8 (encrypted or not), PKCS#1 or SEC1.
    pub key: PathBuf,
    /// What decrypts the key.
    pub passphrase: Option<String>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("certificate", &self.certificate)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// How much of a server's certificate is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// Who signed it, and the name in it.
    #[default]
    Full,
    /// Who signed it.
    Certificate,
    /// Nothing: whoever answers is believed.
    None,
}

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// They are not asked.
    #[default]
    None,
    /// They may; a bad one is refused.
    Optional,
    /// Clients must show a certificate that can be verified.
    Required,
}

/// What a side is willing to speak. Of versions and ciphers, empty lists stand for all
/// that is known here and safe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// `TLSv1.2` and `TLSv1.3`; `TLSv1.1` is left out, as nothing here speaks it.
    pub protocols: Vec<String>,
    /// Cipher suites by their names in Java or in OpenSSL. Those that are not known here are left out.
    pub cipher_suites: Vec<String>,
    /// What is spoken inside, best first, such as `h2` and `http/1.1` (ALPN); nothing is agreed on when it is empty.
    pub application_protocols: Vec<String>,
}

/// Why connections cannot be prepared.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsError {
    /// A file is not there or not what it should be.
    #[error("cannot use `{path}`: {reason}")]
    File {
        /// The file in PEM.
        path: PathBuf,
        /// What is wrong, and what helps.
        reason: String,
    },
    /// Nothing is left of what a configuration wants to speak.
    #[error("{0}")]
    Offer(String),
    /// TLS itself refuses the settings.
    #[error("cannot prepare TLS: {0}")]
    Setup(String),
}

/// Whether no certificate stands behind an error of a handshake: the peer just went away.
#[must_use]
pub fn only_went_away(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

#[cfg(all(test, feature = "tls"))]
pub(crate) mod testing;
#[cfg(all(test, feature = "tls"))]
mod tests;
