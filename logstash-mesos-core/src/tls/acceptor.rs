//! Connections from clients.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::{ClientAuthentication, ServerTls, Stream, TlsError, pem};

/// Takes connections from clients.
#[derive(Clone)]
pub struct Acceptor {
    tls: TlsAcceptor,
    timeout: Duration,
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Acceptor {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    ///
    /// [`TlsError`] when a file cannot be used, or certificate and key do not belong together.
    pub fn new(settings: &ServerTls) -> Result<Self, TlsError> {
        let setup = |error: rustls::Error| TlsError::Setup(error.to_string());
        let provider = settings.offer.provider()?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&settings.offer.versions()?)
            .map_err(setup)?;
        let builder = if settings.client_authentication == ClientAuthentication::None {
            builder.with_no_client_auth()
        } else {
            let (roots, _) = pem::authorities(&settings.authorities, "")?;
            let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            if settings.client_authentication == ClientAuthentication::Optional {
                verifier = verifier.allow_unauthenticated();
            }
            let verifier = verifier.build().map_err(|error| TlsError::Setup(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        };
        let (chain, key) = pem::identity(&settings.identity)?;
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            let path = settings.identity.key.clone();
            TlsError::File { path, reason: format!("{error}; is it the key of the certificate?") }
        })?;
        config.alpn_protocols = settings.offer.alpn();
        Ok(Self { tls: TlsAcceptor::from(Arc::new(config)), timeout: settings.handshake_timeout })
    }

    /// Agrees on keys with the client behind `stream`.
    ///
    /// # Errors
    ///
    /// When the client does not speak TLS, shows no certificate that is believed, or takes too long.
    ///
    /// # Cancellation safety
    ///
    /// A dropped call closes the connection.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<Stream> {
        let accepted = tokio::time::timeout(self.timeout, self.tls.accept(stream))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long"))?
            .map_err(say_plainly)?;
        Ok(Stream::Tls(Box::new(TlsStream::Server(accepted))))
    }
}

fn say_plainly(error: io::Error) -> io::Error {
    use rustls::{Error, InvalidMessage};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            io::Error::new(error.kind(), "the peer does not speak TLS")
        }
        _ => error,
    }
}
