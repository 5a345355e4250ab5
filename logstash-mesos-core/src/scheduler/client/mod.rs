//! Asks a scheduler that runs, over its REST API.

use super::Answer;
use crate::sink::http_client::{HttpClient, HttpClientError, HttpClientSettings};
use crate::tls::ClientTls;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::time::Duration;
use thiserror::Error;

mod events;

pub use events::{ServerEvent, ServerEvents};

/// Talks to the HTTP port of one scheduler. Any of several will do: they pass on what only the leader knows.
#[derive(Debug)]
pub struct SchedulerClient {
    client: HttpClient,
    url: String,
    authorization: Option<HeaderValue>,
}

/// What a scheduler with `--auth-file` wants to see.
#[derive(Clone)]
pub enum ApiCredentials {
    /// A line `user:password` of that file.
    Basic(String),
    /// What follows `bearer` there.
    Bearer(String),
}

// Without the secret.
impl std::fmt::Debug for ApiCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Basic(_) => "Basic",
            Self::Bearer(_) => "Bearer",
        })
    }
}

/// Why a scheduler could not be asked, or did not answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// It is not the address of a scheduler.
    #[error("`{url}` is no address of a scheduler: write http://HOST:PORT")]
    Url {
        /// As it was given.
        url: String,
    },
    /// Certificates or credentials that cannot be sent.
    #[error(transparent)]
    Client(#[from] HttpClientError),
    /// No scheduler answered at this address.
    #[error("no scheduler answers at {url}")]
    NoAnswer {
        /// What was asked.
        url: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The scheduler answered, and did not do it.
    #[error("{url} answered {status}: {text}")]
    Refused {
        /// What was asked.
        url: String,
        /// The status of HTTP.
        status: u16,
        /// What it said.
        text: String,
    },
    /// The answer is not one of a scheduler.
    #[error("what {url} answered is not the answer of a scheduler")]
    Unreadable {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl SchedulerClient {
    /// Prepares to ask the scheduler at `url`; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ClientError::Url`], and [`ClientError::Client`] for certificates or credentials that cannot be used.
    pub fn new(url: &str, credentials: Option<ApiCredentials>, tls: ClientTls) -> Result<Self, ClientError> {
        let parsed = url.parse::<Uri>().ok();
        let fine = parsed.is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some()
                && uri.query().is_none()
        });
        if !fine {
            return Err(ClientError::Url { url: url.to_owned() });
        }
        let authorization = credentials.map(|credentials| {
            let text = match credentials {
                ApiCredentials::Basic(pair) => format!("Basic {}", STANDARD.encode(pair)),
                ApiCredentials::Bearer(token) => format!("Bearer {token}"),
            };
            let mut value = HeaderValue::try_from(text)
                .map_err(|_| HttpClientError::Header("Authorization".to_owned()))?;
            value.set_sensitive(true);
            Ok::<_, HttpClientError>(value)
        });
        Ok(Self {
            client: HttpClientSettings { tls, ..HttpClientSettings::default() }.client()?,
            url: url.trim_end_matches('/').to_owned(),
            authorization: authorization.transpose()?,
        })
    }

    /// Returns `GET /api/explain` for what `query` names; empty for everything. `parameters` are those of the
    /// API, such as `only=problem`.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; `Refused` with status 404 when nothing has this name.
    ///
    /// # Cancellation safety
    ///
    /// Only reads; may be dropped at any time.
    pub async fn explain(&self, query: &str, parameters: &[(&str, String)]) -> Result<Answer, ClientError> {
        let mut path = format!("/api/explain?q={}", utf8_percent_encode(query, NON_ALPHANUMERIC));
        for (name, value) in parameters {
            path.push_str(&format!("&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        }
        let body = self.get(&path).await?;
        serde_json::from_slice(&body)
            .map_err(|source| ClientError::Unreadable { url: format!("{}{path}", self.url), source })
    }

    /// Returns what is at a path of the API that begins with `/`.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    ///
    /// # Cancellation safety
    ///
    /// Only reads; may be dropped at any time.
    pub async fn get(&self, path: &str) -> Result<Bytes, ClientError> {
        self.send(Method::GET, path, None).await
    }

    /// Puts `body` at a path of the API.
    ///
    /// # Errors
    ///
    /// [`ClientError`]. After `NoAnswer` it may have been done or not.
    ///
    /// # Cancellation safety
    ///
    /// Dropped, it may have been done or not.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Bytes, ClientError> {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// Posts `body` to a path of the API; otherwise as [`put`](Self::put).
    ///
    /// # Errors
    ///
    /// [`ClientError`]. After `NoAnswer` it may have been done or not.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Bytes, ClientError> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Deletes what is at a path of the API; otherwise as [`put`](Self::put).
    ///
    /// # Errors
    ///
    /// [`ClientError`]. After `NoAnswer` it may have been done or not.
    pub async fn delete(&self, path: &str) -> Result<Bytes, ClientError> {
        self.send(Method::DELETE, path, None).await
    }

    /// Listens to a path of the API that sends events for as long as somebody does: `/api/live?q=NAME`, `/api/events`.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    ///
    /// # Cancellation safety
    ///
    /// Only reads; may be dropped at any time.
    pub async fn events(&self, path: &str) -> Result<ServerEvents, ClientError> {
        let url = format!("{}{path}", self.url);
        let response = self.limited(self.request(Method::GET, &url, None)).await?;
        if response.status() == StatusCode::OK {
            return Ok(ServerEvents::new(self.url.clone(), response.into_body()));
        }
        let status = response.status();
        let body = self.limited(self.body(response)).await?;
        Err(refused(url, status, &body))
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Bytes, ClientError> {
        let url = format!("{}{path}", self.url);
        let asking = async {
            let response = self.request(method, &url, body).await?;
            let status = response.status();
            Ok::<_, ClientError>((status, self.body(response).await?))
        };
        let (status, body) = self.limited(asking).await?;
        if status == StatusCode::OK { Ok(body) } else { Err(refused(url, status, &body)) }
    }

    async fn request(
        &self,
        method: Method,
        url: &str,
        body: Option<&Value>,
    ) -> Result<Response<Incoming>, ClientError> {
        let mut request = Request::builder().method(method).uri(url);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let body = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Full::from(body.to_string())
            }
            None => Full::default(),
        };
        let request = request.body(body).map_err(|error| self.no_answer(error))?;
        self.client.request(request).await.map_err(|error| self.no_answer(error))
    }

    async fn body(&self, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| self.no_answer(error))
    }

    async fn limited<T>(
        &self,
        asking: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        tokio::time::timeout(LIMIT, asking).await.map_err(|elapsed| self.no_answer(elapsed))?
    }

    fn no_answer(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
        ClientError::NoAnswer { url: self.url.clone(), source: source.into() }
    }
}

fn refused(url: String, status: StatusCode, body: &[u8]) -> ClientError {
    let said = serde_json::from_slice::<Value>(body).ok();
    let said = said.as_ref().and_then(|said| said.get("error")?.as_str());
    let text = said.map_or_else(|| String::from_utf8_lossy(body).chars().take(300).collect(), str::to_owned);
    ClientError::Refused { url, status: status.as_u16(), text }
}

const LIMIT: Duration = Duration::from_secs(30);
const MAX_BYTES: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_refused_and_secrets_are_not_shown() {
        for wrong in ["", "host:9092", "ftp://h", "http://", "http://h/?x"] {
            let made = SchedulerClient::new(wrong, None, ClientTls::default());
            assert!(matches!(made, Err(ClientError::Url { .. })), "{wrong}");
        }
        let secret = ApiCredentials::Basic("ann:secret".to_owned());
        let shown = format!("{secret:?}");
        let client =
            SchedulerClient::new("https://h:1/service/logstash/", Some(secret), ClientTls::default());
        assert!(!format!("{shown} {:?}", client.expect("is fine")).contains("secret"));
    }
}
