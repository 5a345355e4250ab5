//! Connections to servers.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};

use super::verify::Verifier;
use super::{ClientTls, Stream, TlsError, pem};

/// Makes connections to servers.
#[derive(Clone)]
pub struct Connector {
    tls: TlsConnector,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl From<Arc<ClientConfig>> for Connector {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self { tls: TlsConnector::from(config) }
    }
}

impl ClientTls {
    /// The settings as rustls has them.
    ///
    /// # Errors
    ///
    /// [`TlsError`] when a file cannot be used, or certificate and key do not belong together.
    pub fn config(&self) -> Result<ClientConfig, TlsError> {
        let setup = |error: rustls::Error| TlsError::Setup(error.to_string());
        let provider = self.offer.provider()?;
        let verifier = Verifier::new(self, Arc::clone(&provider))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.offer.versions()?)
            .map_err(setup)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = pem::identity(identity)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    let path = identity.key.clone();
                    TlsError::File { path, reason: format!("{error}; is it the key of the certificate?") }
                })?
            }
        };
        config.alpn_protocols = self.offer.alpn();
        Ok(config)
    }
}

impl Connector {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    ///
    /// As [`ClientTls::config`].
    pub fn new(settings: &ClientTls) -> Result<Self, TlsError> {
        Ok(Arc::new(settings.config()?).into())
    }

    /// Agrees on keys with the server `host` behind `stream`.
    ///
    /// # Errors
    ///
    /// When the server does not speak TLS or is not believed.
    ///
    /// # Cancellation safety
    ///
    /// A dropped call closes the connection.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<Stream> {
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let connected = self.tls.connect(name, stream).await?;
        Ok(Stream::Tls(Box::new(TlsStream::Client(connected))))
    }
}
