//! One HTTP/1.1 connection, and what Mesos wants in a request.
//!
//! A connection pool would be the wrong tool: the order of calls and the number of connections are part
//! of the protocol (SCH-1).

use std::fmt;
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
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::endpoint::Endpoint;

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
        /// With whom.
        endpoint: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// No connection came about in time.
    #[error("{endpoint} did not accept a connection within {limit:?}")]
    ConnectTimeout {
        /// With whom.
        endpoint: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The connection ended before an answer came. The request may have been carried out.
    #[error(
        "the connection to {endpoint} broke before an answer came (a peer that speaks only TLS does that too)"
    )]
    Broken {
        /// With whom.
        endpoint: String,
        /// What the HTTP library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer came in time. The request may have been carried out (SCH-6).
    #[error("{endpoint} did not answer within {limit:?}")]
    RequestTimeout {
        /// With whom.
        endpoint: String,
        /// How long was waited.
        limit: Duration,
    },
}

/// The `Authorization` header, asked for anew at each request so that a secret can change in place.
#[derive(Clone, Default)]
pub struct Authorization(Option<Arc<dyn Fn() -> Option<String> + Send + Sync>>);

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
        Self(Some(Arc::new(header)))
    }

    /// The header to send now; marked as sensitive.
    pub fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&self.0.as_ref()?()?).ok()?;
        value.set_sensitive(true);
        Some(value)
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
    pub(crate) async fn open(endpoint: &Endpoint, limit: Duration) -> Result<Self, TransportError> {
        let name = endpoint.to_string();
        let connect = TcpStream::connect((endpoint.host(), endpoint.port()));
        let stream = match timeout(limit, connect).await {
            Err(_) => return Err(TransportError::ConnectTimeout { endpoint: name, limit }),
            Ok(Err(source)) => return Err(TransportError::Connect { endpoint: name, source }),
            Ok(Ok(stream)) => stream,
        };
        // Small calls must not wait for more to send. Failure costs only speed.
        let _ = stream.set_nodelay(true);
        match http1::handshake(TokioIo::new(stream)).await {
            Err(error) => Err(TransportError::Broken { endpoint: name, source: error.into() }),
            Ok((sender, connection)) => {
                // Its errors reach whoever waits for an answer.
                let driver = tokio::spawn(async move { drop(connection.await) }).abort_handle();
                Ok(Self { endpoint: name, sender, driver })
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
) -> Result<Endpoint, String> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let Some(location) = location else {
        return Err(format!("{from} redirects without a Location"));
    };
    let to = from.redirected(location).map_err(|error| format!("{from} redirects to nowhere: {error}"))?;
    if visited.contains(&to.authority()) {
        return Err(format!("{from} redirects back to {to}"));
    }
    if visited.len() > max {
        return Err(format!("more than {max} redirects, the last from {from} to {to}"));
    }
    Ok(to)
}
