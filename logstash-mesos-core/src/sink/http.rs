//! Any HTTP server: a request for each record, or one for all of a batch.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, LOCATION, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use tokio::task::JoinSet;

use super::http_client::{HttpClient, HttpClientError, HttpClientSettings, basic, gzip, secret, shared_body};
use super::{Aside, Batching, Delivered, LogSink, Pauses, RecordBatch, Rejection, SinkError};
use crate::error_chain;

/// How records become requests.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpSettings {
    /// Where requests go, unless the record says; for people, too.
    pub url: String,
    /// `POST` and its siblings.
    pub method: Method,
    /// Sent with every request.
    pub headers: Vec<(String, String)>,
    /// Names of headers whose values a record brings in its route, behind the address, each after a zero byte.
    pub record_headers: Vec<String>,
    /// Whether a batch is one request: the records, which are JSON, become an array.
    pub whole_batches: bool,
    /// Name and password for basic authentication of every request.
    pub basic_auth: Option<(String, String)>,
    /// Whether bodies are compressed.
    pub gzip: bool,
    /// Whether what fails is tried again until it succeeds; otherwise it is refused at once.
    pub retry_failed: bool,
    /// Status that asks to come again.
    pub retryable: Vec<u16>,
    /// Status that is as good as success.
    pub ignorable: Vec<u16>,
    /// How often a request is repeated at once when no answer came.
    pub automatic_retries: u32,
    /// Whether that holds for requests that change something each time, such as `POST`.
    pub retry_non_idempotent: bool,
    /// Whether a request that only asks goes where the server says.
    pub follow_redirects: bool,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// How long the server may be silent.
    pub socket_timeout: Duration,
    /// Most requests at a time.
    pub most_requests: usize,
    /// Most records of a batch.
    pub most_records: usize,
    /// How connections are made and kept.
    pub client: HttpClientSettings,
}

impl HttpSettings {
    /// A request to `url` for each record, with the method `POST`, tried again until it succeeds or is refused.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            method: Method::POST,
            headers: Vec::new(),
            record_headers: Vec::new(),
            whole_batches: false,
            basic_auth: None,
            gzip: false,
            retry_failed: true,
            retryable: vec![429, 500, 502, 503, 504],
            ignorable: Vec::new(),
            automatic_retries: 1,
            retry_non_idempotent: false,
            follow_redirects: true,
            request_timeout: Duration::from_secs(60),
            socket_timeout: Duration::from_secs(10),
            most_requests: 25,
            most_records: 125,
            client: HttpClientSettings::default(),
        }
    }
}

/// Sends each record, or each batch, as an HTTP request.
#[derive(Debug)]
pub struct HttpSink(Arc<Sender>);

#[derive(Debug)]
struct Sender {
    settings: HttpSettings,
    client: HttpClient,
    headers: HeaderMap,
    record_headers: Vec<HeaderName>,
}

/// What became of a request.
enum Sent {
    Taken,
    Again(String),
    Refused {
        reason: String,
        /// What was sent may be why, and not who sent it, or where.
        is_of_content: bool,
    },
}

impl Sent {
    fn refused(reason: String) -> Self {
        Self::Refused { reason, is_of_content: false }
    }
}

/// Most of an answer that is read.
const LONGEST_ANSWER: usize = 1 << 20;
/// Most places a request is sent on to.
const MOST_REDIRECTS: usize = 20;

impl HttpSink {
    /// Prepares requests; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`HttpClientError`] when certificates cannot be used, or a header cannot be sent.
    pub fn new(settings: HttpSettings) -> Result<Self, HttpClientError> {
        let wrong = |name: &str| HttpClientError::Header(name.to_owned());
        let mut headers = HeaderMap::new();
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("logstash-mesos/", env!("CARGO_PKG_VERSION"))),
        );
        if let Some((user, password)) = &settings.basic_auth {
            headers.insert(AUTHORIZATION, secret(&basic(user, password))?);
        }
        for (name, value) in &settings.headers {
            let key = HeaderName::try_from(name).map_err(|_| wrong(name))?;
            headers.insert(key, HeaderValue::try_from(value).map_err(|_| wrong(name))?);
        }
        if settings.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let record_headers = settings
            .record_headers
            .iter()
            .map(|name| HeaderName::try_from(name).map_err(|_| wrong(name)))
            .collect::<Result<_, _>>()?;
        let client = settings.client.client()?;
        Ok(Self(Arc::new(Sender { client, headers, record_headers, settings })))
    }

    /// Sends records as one request. When that is refused, smaller ones find out whose fault it is.
    async fn deliver_together(&self, batch: &Arc<RecordBatch>) -> Vec<(usize, Sent)> {
        let mut outcomes = Vec::new();
        let mut parts: Vec<_> = std::iter::once(0..batch.len()).collect();
        while let Some(part) = parts.pop() {
            let mut body = Vec::with_capacity(batch.body.len() + batch.len() + 2);
            for at in part.clone() {
                body.push(if at == part.start { b'[' } else { b',' });
                body.extend_from_slice(batch.bytes(at));
            }
            body.push(b']');
            match self.0.send(None, body.into()).await {
                Sent::Taken => {}
                Sent::Again(reason) => outcomes.extend(part.map(|at| (at, Sent::Again(reason.clone())))),
                Sent::Refused { is_of_content: true, .. } if part.len() > 1 => {
                    let middle = part.start + part.len() / 2;
                    parts.extend([middle..part.end, part.start..middle]);
                }
                Sent::Refused { reason, is_of_content } => {
                    outcomes
                        .extend(part.map(|at| (at, Sent::Refused { reason: reason.clone(), is_of_content })));
                }
            }
        }
        outcomes
    }

    async fn deliver_each(&self, batch: &Arc<RecordBatch>) -> Vec<(usize, Sent)> {
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut running = JoinSet::new();
        for at in 0..batch.len() {
            if running.len() >= self.0.settings.most_requests.max(1)
                && let Some(Ok(outcome)) = running.join_next().await
            {
                outcomes.push(outcome);
            }
            let (sender, batch) = (Arc::clone(&self.0), Arc::clone(batch));
            running.spawn(async move {
                let body = shared_body(&batch).slice(batch.range(at));
                (at, sender.send(batch.records[at].route.as_deref(), body).await)
            });
        }
        while let Some(done) = running.join_next().await {
            outcomes.extend(done);
        }
        outcomes
    }
}

impl Sender {
    /// Sends one request, several times where that is safe.
    async fn send(&self, route: Option<&str>, body: Bytes) -> Sent {
        let (uri, headers) = match self.head(route) {
            Ok(head) => head,
            Err(reason) => return Sent::refused(reason),
        };
        let body = if self.settings.gzip { gzip(&body, GZIP_LEVEL) } else { body };
        let harmless = !matches!(self.settings.method, Method::POST | Method::PATCH);
        let repeats = harmless || self.settings.retry_non_idempotent;
        let mut tries = if repeats { self.settings.automatic_retries } else { 0 };
        loop {
            let exchange = self.exchange(uri.clone(), headers.clone(), body.clone());
            let failed = match tokio::time::timeout(self.settings.request_timeout, exchange).await {
                Ok(Ok(sent)) => return sent,
                Ok(Err(reason)) => reason,
                Err(_) => {
                    format!("no answer within {} seconds", self.settings.request_timeout.as_secs_f32())
                }
            };
            if tries == 0 {
                let reason = format!("{}: {failed}", shown(&uri));
                return if self.settings.retry_failed { Sent::Again(reason) } else { Sent::refused(reason) };
            }
            tries -= 1;
        }
    }

    /// Where a record goes, and with which headers.
    fn head(&self, route: Option<&str>) -> Result<(Uri, HeaderMap), String> {
        let mut parts = route.unwrap_or(&self.settings.url).split('\0');
        let url = parts.next().unwrap_or_default();
        let uri = absolute(url)?;
        let mut headers = self.headers.clone();
        for (name, value) in self.record_headers.iter().zip(parts) {
            let value = HeaderValue::try_from(value)
                .map_err(|_| format!("the value of header `{name}` cannot be sent: {value:?}"))?;
            headers.insert(name, value);
        }
        Ok((uri, headers))
    }

    async fn exchange(&self, mut uri: Uri, headers: HeaderMap, body: Bytes) -> Result<Sent, String> {
        let mut method = self.settings.method.clone();
        let mut body = if method == Method::HEAD { Bytes::new() } else { body };
        for _ in 0..MOST_REDIRECTS {
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = method.clone();
            *request.uri_mut() = uri.clone();
            *request.headers_mut() = headers.clone();
            let silence = self.settings.socket_timeout + self.settings.client.connect_timeout;
            let response = tokio::time::timeout(silence, self.client.request(request))
                .await
                .map_err(|_| format!("the server is silent for {} seconds", silence.as_secs_f32()))?
                .map_err(|error| error_chain(&error))?;
            let status = response.status();
            let onward = self.onward(&method, status, response.headers(), &uri);
            // Read to its end, the connection serves the next request. What is too long closes it.
            let reading = Limited::new(response.into_body(), LONGEST_ANSWER).collect();
            let answer = match tokio::time::timeout(self.settings.socket_timeout, reading).await {
                Ok(Ok(answer)) => answer.to_bytes(),
                // The status is what counts.
                _ => Bytes::new(),
            };
            let Some((next_method, next)) = onward else { return Ok(self.judge(status, &answer)) };
            if next_method != method {
                body = Bytes::new();
            }
            (method, uri) = (next_method, next);
        }
        Ok(Sent::refused(format!("{}: more than {MOST_REDIRECTS} redirections", shown(&uri))))
    }

    /// Where a redirection leads, if it is to be followed: only requests that ask are repeated as they are.
    fn onward(
        &self,
        method: &Method,
        status: StatusCode,
        headers: &HeaderMap,
        from: &Uri,
    ) -> Option<(Method, Uri)> {
        let asks = matches!(*method, Method::GET | Method::HEAD);
        let method = match status.as_u16() {
            301 | 302 | 307 if asks => method.clone(),
            303 if *method == Method::HEAD => Method::HEAD,
            303 => Method::GET,
            _ => return None,
        };
        let location = headers.get(LOCATION).filter(|_| self.settings.follow_redirects)?.to_str().ok()?;
        let uri = absolute(location).ok().or_else(|| {
            let mut parts = from.clone().into_parts();
            parts.path_and_query = Some(PathAndQuery::try_from(location).ok()?);
            Uri::from_parts(parts).ok()
        })?;
        // Nobody else gets the password.
        let same = uri.authority() == from.authority() && uri.scheme() == from.scheme();
        (same || self.settings.basic_auth.is_none()).then_some((method, uri))
    }

    fn judge(&self, status: StatusCode, answer: &[u8]) -> Sent {
        let code = status.as_u16();
        if status.is_success() || self.settings.ignorable.contains(&code) {
            return Sent::Taken;
        }
        let excerpt: String = String::from_utf8_lossy(answer).chars().take(400).collect();
        let reason = format!("status {code}: {excerpt}");
        if self.settings.retryable.contains(&code) && self.settings.retry_failed {
            Sent::Again(reason)
        } else {
            let is_of_content = status.is_client_error() && ![401, 404, 405, 407].contains(&code);
            Sent::Refused { reason, is_of_content }
        }
    }
}

/// Fast, as `zlib` does it by default elsewhere would cost three times as much.
const GZIP_LEVEL: u32 = 1;

fn absolute(url: &str) -> Result<Uri, String> {
    // What Java does not take either: mostly a field that an event did not have.
    if let Some(wrong) = url.chars().find(|c| "\"<>\\^`{|}".contains(*c)) {
        return Err(format!("`{url}` is no address: it has a `{wrong}`"));
    }
    let uri: Uri = url.parse().map_err(|error| format!("`{url}` is no address: {error}"))?;
    match uri.scheme_str() {
        Some("http" | "https") if uri.host().is_some() => Ok(uri),
        _ => Err(format!("`{url}` is no address of HTTP")),
    }
}

/// An address for people: without what may be secret in it.
fn shown(uri: &Uri) -> String {
    let host = uri.authority().map_or("", |authority| authority.as_str().rsplit('@').next().unwrap_or(""));
    format!("{}://{host}{}", uri.scheme_str().unwrap_or("http"), uri.path())
}

#[async_trait]
impl LogSink for HttpSink {
    fn name(&self) -> String {
        let url = &self.0.settings.url;
        format!("http {}", absolute(url).map_or_else(|_| url.clone(), |uri| shown(&uri)))
    }

    fn batching(&self) -> Batching {
        let settings = &self.0.settings;
        let in_flight = if settings.whole_batches { settings.most_requests.clamp(1, 4) } else { 1 };
        Batching { max_bytes: 1 << 20, max_records: settings.most_records, in_flight }
    }

    fn pauses(&self) -> Pauses {
        Pauses { first: Duration::from_millis(500), longest: Duration::from_secs(60) }
    }

    fn sends_together(&self) -> bool {
        self.0.settings.whole_batches
    }

    async fn deliver(&self, batch: &Arc<RecordBatch>) -> Result<Delivered, SinkError> {
        let outcomes = if self.0.settings.whole_batches {
            self.deliver_together(batch).await
        } else {
            self.deliver_each(batch).await
        };
        let (mut delivered, mut aside) = (Delivered::default(), Aside { busy: true, ..Aside::default() });
        for (record, sent) in outcomes {
            match sent {
                Sent::Taken => {}
                Sent::Again(reason) => {
                    aside.reason = reason;
                    aside.records.push(record);
                }
                Sent::Refused { reason, .. } => delivered.rejected.push(Rejection { record, reason }),
            }
        }
        aside.records.sort_unstable();
        if !batch.is_empty() && aside.records.len() == batch.len() {
            return Err(SinkError::Unavailable { sink: self.name(), reason: aside.reason });
        }
        delivered.aside = Some(aside).filter(|aside| !aside.records.is_empty());
        Ok(delivered)
    }
}
