//! The handshake, by rustls.
//!
//! This crate reads no certificates. Its caller makes a [`rustls::ClientConfig`], which says whom to
//! believe and who we are, and may make another one whenever a connection is opened.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, Error, InvalidMessage};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Tls;

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(super) type Configure = dyn Fn() -> Result<Arc<ClientConfig>, Failure> + Send + Sync;

impl Tls {
    /// Always uses `config`.
    pub fn new(config: Arc<ClientConfig>) -> Self {
        Self::from_fn(move || Ok(Arc::clone(&config)))
    }

    /// Asks `config` at each connection, so that certificates can change in place. An error of it is the
    /// error of the connection.
    pub fn from_fn(config: impl Fn() -> Result<Arc<ClientConfig>, Failure> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(config)))
    }

    /// Agrees on keys with the peer behind `stream`, which has to prove that it is `name`.
    pub(crate) async fn connect(&self, name: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = self.0.as_ref().ok_or_else(|| io::Error::other("nothing was set up for TLS"))?;
        let config = config().map_err(io::Error::other)?;
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(config).connect(name, stream).await
    }
}

/// Whether the peer proved to be somebody, only not the one that was wanted.
pub(crate) fn is_other_name(error: &io::Error) -> bool {
    use CertificateError::{NotValidForName, NotValidForNameContext};
    matches!(inner(error), Some(Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })))
}

/// What a person can do about a handshake that failed.
pub(crate) fn remedy(error: &io::Error) -> &'static str {
    match inner(error) {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "; its certificate was signed by an authority that is not trusted here: name the right one"
        }
        Some(Error::InvalidCertificate(_)) if is_other_name(error) => {
            "; use a name or address that stands in its certificate"
        }
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "; it does not seem to speak TLS: write http:// instead of https://"
        }
        // As a Mesos without TLS does.
        None if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
            "; it hung up: if it does not speak TLS, write http:// instead of https://"
        }
        Some(Error::AlertReceived(_)) => "; it refused us: does it want a client certificate?",
        _ => "",
    }
}

fn inner(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())
}
