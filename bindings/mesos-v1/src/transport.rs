//! One HTTP/1.1 connection, and what Mesos wants in a request.
//!
//! A connection pool would be the wrong tool: the order of calls and the number of connections are part
//! of the protocol (SCH-1).

use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::endpoint::{Endpoint, EndpointError};
use crate::tls::Tls;

/// The only encoding we speak. Compared by Mesos as a whole, so nothing may be added to it (SCH-2).
pub(crate) const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// How much of an error's text is kept.
const MAX_ERROR_BODY_BYTES: usize = 16 * 1024;

/// Why there is no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// No connection came about.
    #[error("cannot connect to {endpoint}")]
    Connect {
        /// The server that was spoken to, `host:port`.
        endpoint: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// No connection came about in time.
    #[error("{endpoint} did not accept a connection within {limit:?}")]
    ConnectTimeout {
        /// The server that was spoken to, `host:port`.
        endpoint: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The peer and we did not agree on TLS: it is not believed, does not believe us, or does not speak it.
    #[error("no TLS with {endpoint}{remedy}")]
    Tls {
        /// The server that was spoken to, `host:port`.
        endpoint: String,
        /// What a person can do about it, or nothing.
        remedy: &'static str,
        /// What the TLS library said.
        source: std::io::Error,
    },
    /// The connection ended before an answer came. The request may have been carried out.
    #[error("the connection to {endpoint} broke before an answer came{}", broken_hint(endpoint, &**source))]
    Broken {
        /// The server that was spoken to, `host:port`.
        endpoint: String,
        /// What the HTTP library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer came in time. The request may have been carried out (SCH-6).
    #[error("{endpoint} did not answer within {limit:?}")]
    RequestTimeout {
        /// The server that was spoken to, `host:port`.
        endpoint: String,
        /// How long was waited.
        limit: Duration,
    },
}

/// Why an answer that leads elsewhere cannot be followed (SCH-3).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// The answer does not say where.
    #[error("{from} redirects without a Location")]
    NoLocation {
        /// Who answered, `host:port`.
        from: String,
    },
    /// Where it leads is no endpoint, or one without TLS from one with it.
    #[error("{from} redirects to nowhere: {source}")]
    Location {
        /// Who answered, `host:port`.
        from: String,
        /// What is wrong with the location.
        source: EndpointError,
    },
    /// It leads to somebody who was asked before.
    #[error("{from} redirects back to {to}")]
    Circle {
        /// Who answered, `host:port`.
        from: String,
        /// Where it leads, `host:port`.
        to: String,
    },
    /// It leads on after as many redirects as are followed.
    #[error("more than {max} redirects, the last from {from} to {to}")]
    TooMany {
        /// How many are followed.
        max: usize,
        /// Who answered, `host:port`.
        from: String,
        /// Where it leads, `host:port`.
        to: String,
    },
}

/// To a plain request, a peer that speaks only TLS answers with nonsense or not at all. That it wants our
/// certificate comes only after the handshake, which is fine for us then.
fn broken_hint(endpoint: &str, source: &(dyn std::error::Error + Send + Sync)) -> String {
    if endpoint.starts_with("https://") {
        let wants = crate::scheduler::chain(source).contains("CertificateRequired");
        return if wants { "; it wants a client certificate".to_owned() } else { String::new() };
    }
    format!("; if TLS is spoken there, write https://{endpoint}")
}

/// Where the `Authorization` header comes from. For schemes that [`Authorization`] does not know itself.
pub trait Credentials: Send + Sync {
    /// The header to send now, or none.
    fn header(&self) -> Option<String>;

    /// Gets another header, after a peer refused the one there was, or when there is none yet. Returns when
    /// there is one, or says why not. A caller waits with its request meanwhile.
    fn renew(&self) -> Renewal<'_>;
}

/// What [`Credentials::renew`] returns: a failure is for people to read.
pub type Renewal<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Credentials that need no renewal: they are read anew each time.
struct Read<F>(F);

impl<F: Fn() -> Option<String> + Send + Sync> Credentials for Read<F> {
    fn header(&self) -> Option<String> {
        (self.0)()
    }

    fn renew(&self) -> Renewal<'_> {
        Box::pin(ready(Ok(())))
    }
}

/// The `Authorization` header, asked for anew at each request so that a secret can change in place.
#[derive(Clone, Default)]
pub struct Authorization(Option<Arc<dyn Credentials>>);

impl Authorization {
    /// Sends no credentials.
    pub fn none() -> Self {
        Self::default()
    }

    /// Sends `principal` and `secret` by the Basic scheme.
    pub fn basic(principal: &str, secret: &str) -> Self {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{principal}:{secret}"));
        Self::from_fn(move || Some(format!("Basic {pair}")))
    }

    /// Sends `token` by the Bearer scheme, as executors do.
    pub fn bearer(token: &str) -> Self {
        let header = format!("Bearer {token}");
        Self::from_fn(move || Some(header.clone()))
    }

    /// Sends what `header` returns, or nothing when it returns `None`.
    pub fn from_fn(header: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        Self::new(Read(header))
    }

    /// Sends what `credentials` have.
    pub fn new(credentials: impl Credentials + 'static) -> Self {
        Self(Some(Arc::new(credentials)))
    }

    /// The header to send now; marked as sensitive.
    pub fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&self.0.as_ref()?.header()?).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Returns the header to send now, as soon as there is one.
    ///
    /// # Errors
    ///
    /// Why there is none, for people to read.
    pub(crate) async fn current(&self) -> Result<Option<HeaderValue>, Failure> {
        let header = self.header();
        match &self.0 {
            Some(credentials) if header.is_none() => {
                credentials.renew().await?;
                Ok(self.header())
            }
            _ => Ok(header),
        }
    }

    /// Returns another header than the one that was `refused`, if there is one to try.
    ///
    /// # Errors
    ///
    /// Why there is none, for people to read.
    pub(crate) async fn other_than(
        &self,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, Failure> {
        let Some(credentials) = &self.0 else { return Ok(None) };
        if self.header().as_ref() == refused {
            credentials.renew().await?;
        }
        Ok(self.header().filter(|header| Some(header) != refused))
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Authorization(hidden)" } else { "Authorization(none)" })
    }
}

/// Builds a POST with exactly the headers Mesos looks at. Streams are never compressed, so no
/// Accept-Encoding.
pub(crate) fn post(
    endpoint: &Endpoint,
    path: &str,
    authorization: Option<HeaderValue>,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, http::Error> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(endpoint.path(path))
        .header(HOST, endpoint.authority())
        .header(CONTENT_TYPE, PROTOBUF)
        .header(ACCEPT, PROTOBUF);
    if let Some(value) = authorization {
        request = request.header(AUTHORIZATION, value);
    }
    request.body(Full::new(body))
}

/// How connections come about.
#[derive(Debug, Clone)]
pub(crate) struct Connecting {
    /// How long it may take.
    pub(crate) limit: Duration,
    pub(crate) tls: Tls,
}

async fn tcp(endpoint: &Endpoint) -> Result<TcpStream, TransportError> {
    let stream = TcpStream::connect((endpoint.host(), endpoint.port()))
        .await
        .map_err(|source| TransportError::Connect { endpoint: endpoint.to_string(), source })?;
    // Small calls must not wait for more to send. Failure costs only speed.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// One connection. Closed when dropped, also in the middle of an answer.
#[derive(Debug)]
pub(crate) struct Connection {
    endpoint: String,
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Why a request has no answer, with the request itself if the peer cannot have seen it.
#[derive(Debug)]
pub(crate) struct Unanswered {
    pub(crate) error: TransportError,
    pub(crate) unsent: Option<Box<Request<Full<Bytes>>>>,
}

impl Connection {
    /// Connects within `limit`, and with TLS where the endpoint has it.
    pub(crate) async fn open(endpoint: &Endpoint, how: &Connecting) -> Result<Self, TransportError> {
        let limit = how.limit;
        timeout(limit, Self::connect(endpoint, how))
            .await
            .unwrap_or_else(|_| Err(TransportError::ConnectTimeout { endpoint: endpoint.to_string(), limit }))
    }

    async fn connect(endpoint: &Endpoint, how: &Connecting) -> Result<Self, TransportError> {
        if endpoint.is_tls() {
            return Self::connect_by_tls(endpoint, &how.tls).await;
        }
        Self::over(endpoint, tcp(endpoint).await?).await
    }

    #[cfg(not(feature = "tls"))]
    async fn connect_by_tls(endpoint: &Endpoint, _: &Tls) -> Result<Self, TransportError> {
        let source = std::io::Error::other("this program was built without TLS");
        Err(TransportError::Tls { endpoint: endpoint.to_string(), remedy: "", source })
    }

    #[cfg(feature = "tls")]
    async fn connect_by_tls(endpoint: &Endpoint, tls: &Tls) -> Result<Self, TransportError> {
        let mut names = endpoint.names().peekable();
        loop {
            let name = names.next().unwrap_or(endpoint.host());
            match tls.connect(name, tcp(endpoint).await?).await {
                Ok(stream) => return Self::over(endpoint, stream).await,
                Err(error) if crate::tls::is_other_name(&error) && names.peek().is_some() => {}
                Err(source) => {
                    let remedy = crate::tls::remedy(&source);
                    return Err(TransportError::Tls { endpoint: endpoint.to_string(), remedy, source });
                }
            }
        }
    }

    async fn over(
        endpoint: &Endpoint,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Self, TransportError> {
        let endpoint = endpoint.to_string();
        match http1::handshake(TokioIo::new(stream)).await {
            Err(error) => Err(TransportError::Broken { endpoint, source: error.into() }),
            Ok((sender, connection)) => {
                // Its errors reach whoever waits for an answer.
                let driver = tokio::spawn(async move { drop(connection.await) }).abort_handle();
                Ok(Self { endpoint, sender, driver })
            }
        }
    }

    /// Sends a request and waits at most `limit` for the head of the answer.
    ///
    /// Dropping the future leaves the connection unusable and the outcome unknown.
    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
        limit: Duration,
    ) -> Result<Response<Incoming>, Unanswered> {
        let broken = |source: hyper::Error| TransportError::Broken {
            endpoint: self.endpoint.clone(),
            source: source.into(),
        };
        if let Err(error) = self.sender.ready().await {
            return Err(Unanswered { error: broken(error), unsent: Some(Box::new(request)) });
        }
        match timeout(limit, self.sender.try_send_request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(mut refused)) => {
                let unsent = refused.take_message().map(Box::new);
                Err(Unanswered { error: broken(refused.into_error()), unsent })
            }
            Err(_) => Err(Unanswered {
                error: TransportError::RequestTimeout { endpoint: self.endpoint.clone(), limit },
                unsent: None,
            }),
        }
    }
}

/// Reads the short text of an answer; what cannot be read is left out.
pub(crate) async fn text(response: Response<Incoming>, limit: Duration) -> String {
    let body = Limited::new(response.into_body(), MAX_ERROR_BODY_BYTES).collect();
    match timeout(limit, body).await {
        Ok(Ok(collected)) => String::from_utf8_lossy(&collected.to_bytes()).trim().to_owned(),
        _ => String::new(),
    }
}

/// Returns where an answer leads, if it leads somewhere new and not too far (SCH-3).
pub(crate) fn redirect(
    from: &Endpoint,
    response: &Response<Incoming>,
    visited: &[String],
    max: usize,
) -> Result<Endpoint, RedirectError> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let here = from.to_string();
    let Some(location) = location else {
        return Err(RedirectError::NoLocation { from: here });
    };
    let to = match from.redirected(location) {
        Ok(to) => to,
        Err(source) => return Err(RedirectError::Location { from: here, source }),
    };
    if visited.contains(&to.authority()) {
        return Err(RedirectError::Circle { from: here, to: to.to_string() });
    }
    if visited.len() > max {
        return Err(RedirectError::TooMany { max, from: here, to: to.to_string() });
    }
    Ok(to)
}
