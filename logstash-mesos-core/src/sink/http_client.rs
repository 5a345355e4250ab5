//! The HTTP client of the sinks that need one: connections that stay open, TLS where the address says so.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::HeaderValue;
use http_body_util::Full;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use thiserror::Error;

use super::RecordBatch;
use crate::tls::{ClientTls, TlsError};

/// Sends requests whose bodies are in memory.
pub(crate) type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// How connections are made and kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpClientSettings {
    /// How TLS is spoken.
    pub tls: ClientTls,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// Whether connections are kept for the next request.
    pub keep_alive: bool,
    /// Most idle connections to one server.
    pub most_idle: usize,
}

impl Default for HttpClientSettings {
    fn default() -> Self {
        Self {
            tls: ClientTls::default(),
            connect_timeout: Duration::from_secs(10),
            keep_alive: true,
            most_idle: usize::MAX,
        }
    }
}

/// Why no requests can be sent.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpClientError {
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A header cannot be sent.
    #[error("header `{0}` cannot be sent: its name or value has a character that is not allowed")]
    Header(String),
}

/// No idle connection is kept for longer.
const LONGEST_IDLE: Duration = Duration::from_secs(60);

impl HttpClientSettings {
    /// Prepares connections; none is made yet.
    ///
    /// # Errors
    ///
    /// [`HttpClientError::Tls`] when certificates cannot be used.
    pub(crate) fn client(&self) -> Result<HttpClient, HttpClientError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(60)));
        tcp.set_connect_timeout(Some(self.connect_timeout));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(self.tls.config()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(LONGEST_IDLE)
            .pool_max_idle_per_host(if self.keep_alive { self.most_idle } else { 0 })
            .build(connector))
    }
}

/// The value of `Authorization` for a user.
pub(crate) fn basic(user: &str, password: &str) -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {encoded}")
}

/// A value that is never shown.
pub(super) fn secret(value: &str) -> Result<HeaderValue, HttpClientError> {
    let mut value =
        HeaderValue::from_str(value).map_err(|_| HttpClientError::Header("Authorization".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// `body` in the format of gzip, at a level of 1 to 9.
pub(super) fn gzip(body: &[u8], level: u32) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 6 + 64), Compression::new(level.min(9)));
    // Writing to memory does not fail.
    let _infallible = encoder.write_all(body);
    encoder.finish().map(Bytes::from).unwrap_or_default()
}

/// The bytes of a batch, not copied.
pub(super) fn shared_body(batch: &Arc<RecordBatch>) -> Bytes {
    /// For as long as a connection needs them.
    struct Shared(Arc<RecordBatch>);

    impl AsRef<[u8]> for Shared {
        fn as_ref(&self) -> &[u8] {
            &self.0.body
        }
    }

    Bytes::from_owner(Shared(Arc::clone(batch)))
}
