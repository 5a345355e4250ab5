//! The bulk API of Elasticsearch and OpenSearch.
//!
//! Every record of a batch is an action line and, for most actions, a document: the body of a request is
//! the batch as it is. Several requests are on their way at the same time, over connections that stay open.

mod bulk;
mod cluster;
mod hosts;
mod template;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::sync::{OnceCell, Semaphore};

use super::http_client::{HttpClient, HttpClientError, HttpClientSettings, basic, gzip, secret, shared_body};
use super::{Batching, Delivered, LogSink, Pauses, RecordBatch, Rejection, SinkError};
use bulk::{Answer, outcome};
use cluster::Cluster;
pub use hosts::{HostError, Node};
pub use template::{IndexTemplate, TemplateApi};

use crate::error_chain;
use crate::memory::Memory;
use crate::tls::ClientTls;

/// How a cluster is reached.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ElasticsearchSettings {
    /// The nodes, asked in turn, and names whose SRV records name nodes.
    pub nodes: Vec<Node>,
    /// The path of the bulk API below that of a node.
    pub bulk_path: String,
    /// In front of all other paths, behind that of a node; with a slash before it, or empty.
    pub path: String,
    /// Added to the query of every request, encoded.
    pub query: String,
    /// Name and password for basic authentication, unless a node has its own.
    pub basic_auth: Option<(String, String)>,
    /// An API key: `id:key`, or encoded already.
    pub api_key: Option<String>,
    /// Sent with every request.
    pub headers: Vec<(String, String)>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// For how long a node that did not answer is left alone while others do.
    pub resurrect_after: Duration,
    /// Level of gzip, 1 to 9; 0 sends bodies as they are.
    pub compression_level: u32,
    /// How TLS is spoken.
    pub tls: ClientTls,
    /// Status of a single document for which it is refused for good.
    pub reject_codes: Vec<u16>,
    /// Kinds of errors for which a document is dropped.
    pub drop_error_types: Vec<String>,
    /// Kinds of errors that are not logged.
    pub silence: Vec<String>,
    /// Installed before the first document.
    pub template: Option<IndexTemplate>,
    /// How long to wait before a batch is tried again.
    pub pauses: Pauses,
    /// Size of requests and how many are on their way.
    pub batching: Batching,
}

impl Default for ElasticsearchSettings {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            bulk_path: "/_bulk".to_owned(),
            path: String::new(),
            query: String::new(),
            basic_auth: None,
            api_key: None,
            headers: Vec::new(),
            timeout: Duration::from_secs(60),
            resurrect_after: Duration::from_secs(5),
            compression_level: 0,
            tls: ClientTls::default(),
            reject_codes: vec![400, 404],
            drop_error_types: Vec::new(),
            silence: Vec::new(),
            template: None,
            pauses: Pauses::default(),
            batching: Batching { max_bytes: 1 << 20, max_records: 16_384, in_flight: 3 },
        }
    }
}

/// Sends batches to a cluster.
#[derive(Debug)]
pub struct ElasticsearchSink {
    settings: ElasticsearchSettings,
    cluster: Cluster,
    client: HttpClient,
    headers: HeaderMap,
    installed: OnceCell<()>,
    /// Turns at compressing a body.
    compressing: Arc<Semaphore>,
}

/// A request without answer, with an answer that is no success, or one that cannot be read.
enum Failure {
    /// The node was not reached or did not answer.
    Node(String),
    /// It answered with this status.
    Status(StatusCode, String),
}

impl ElasticsearchSink {
    /// Prepares requests; nothing is sent yet. It compresses without regard to others, see [`within`](Self::within).
    ///
    /// # Errors
    ///
    /// [`HttpClientError`] when certificates cannot be used, or a header cannot be sent.
    pub fn new(settings: ElasticsearchSettings) -> Result<Self, HttpClientError> {
        let client = HttpClientSettings {
            tls: settings.tls.clone(),
            connect_timeout: settings.timeout.min(Duration::from_secs(10)),
            ..HttpClientSettings::default()
        };
        let client = client.client()?;
        let headers = headers(&settings)?;
        Ok(Self {
            cluster: Cluster::new(settings.nodes.clone(), settings.resurrect_after),
            settings,
            client,
            headers,
            installed: OnceCell::new(),
            compressing: Memory::default().compressing(),
        })
    }

    /// The same as one of several that share `memory`, and take turns at compressing what they send.
    #[must_use]
    pub fn within(self, memory: &Memory) -> Self {
        Self { compressing: memory.compressing(), ..self }
    }

    /// Sends `batch` as one request, and says what the answer means for each record.
    async fn send(&self, batch: &Arc<RecordBatch>) -> Result<Delivered, SinkError> {
        let mut last = String::new();
        let hosts = self.cluster.hosts().await.map_err(|reason| self.unavailable(reason))?;
        // Every node has its chance before the batch is given back.
        for _ in 0..hosts.len() {
            let node = hosts.next();
            match self.post(hosts.node(node), batch).await {
                Ok(answer) => {
                    hosts.mark(node, true);
                    return outcome(&answer, batch.len(), &self.settings)
                        .map_err(|reason| self.unavailable(reason));
                }
                Err(Failure::Node(reason)) => {
                    hosts.mark(node, false);
                    self.cluster.doubt();
                    last = format!("{}: {reason}", hosts.node(node).shown());
                }
                Err(Failure::Status(status, body)) => {
                    hosts.mark(node, true);
                    return self.refused(batch, status, &body).await;
                }
            }
        }
        Err(self.unavailable(last))
    }

    async fn refused(
        &self,
        batch: &Arc<RecordBatch>,
        status: StatusCode,
        body: &str,
    ) -> Result<Delivered, SinkError> {
        let excerpt: String = body.chars().take(400).collect();
        match status {
            // The disk is full or somebody has locked the index: that may pass.
            StatusCode::FORBIDDEN if bulk::is_block(body) => {
                Err(self.unavailable(format!("status {status}: {excerpt}")))
            }
            // Too large, or one document spoils the request: smaller requests find out which.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::BAD_REQUEST
                if batch.len() > 1 && !is_of_request(body) =>
            {
                self.send_halves(batch, status, &excerpt).await
            }
            // What cannot be read is refused by itself, and the request says nothing else.
            StatusCode::BAD_REQUEST if !is_of_request(body) => {
                let reason = format!("status {status}: {excerpt}");
                Ok(Delivered { rejected: vec![Rejection { record: 0, reason }], ..Delivered::default() })
            }
            StatusCode::PAYLOAD_TOO_LARGE => {
                let reason = format!("status 413: the document has {} bytes: {excerpt}", batch.body.len());
                Ok(Delivered { rejected: vec![Rejection { record: 0, reason }], ..Delivered::default() })
            }
            status
                if status.is_client_error()
                    && !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) =>
            {
                let hint = match status {
                    StatusCode::UNAUTHORIZED => "; check `user` and `password`, or `api_key`",
                    StatusCode::FORBIDDEN => "; the user lacks a privilege",
                    StatusCode::NOT_FOUND => "; check `path` and `bulk_path`",
                    _ => "",
                };
                Err(SinkError::Refused {
                    sink: self.name(),
                    reason: format!("status {status}: {excerpt}{hint}"),
                })
            }
            status => Err(self.unavailable(format!("status {status}: {excerpt}"))),
        }
    }

    async fn send_halves(
        &self,
        batch: &Arc<RecordBatch>,
        status: StatusCode,
        excerpt: &str,
    ) -> Result<Delivered, SinkError> {
        let mut result = Delivered::default();
        let mut refused = Vec::new();
        let half = batch.len() / 2;
        for range in [0..half, half..batch.len()] {
            let wanted: Vec<usize> = range.clone().collect();
            let part = batch.only(&wanted);
            match Box::pin(self.send(&Arc::new(part))).await {
                Ok(delivered) => result.add_part(delivered, range.start),
                Err(SinkError::Refused { reason, .. }) if status == StatusCode::BAD_REQUEST => {
                    refused.push((range, reason));
                }
                Err(_) => result.again.extend(range),
            }
        }
        match &*refused {
            [] => {}
            // The other half got through, so these documents are at fault and not the request as such.
            [(range, reason)] if result.again.is_empty() => {
                let reject = |record| Rejection { record, reason: reason.clone() };
                result.rejected.extend(range.clone().map(reject));
            }
            [(range, _)] => result.again.extend(range.clone()),
            _ => {
                let reason = format!("status {status}: {excerpt}");
                return Err(SinkError::Refused { sink: self.name(), reason });
            }
        }
        result.again.sort_unstable();
        Ok(result)
    }

    async fn post(&self, node: &Node, batch: &Arc<RecordBatch>) -> Result<Answer, Failure> {
        let mut body = shared_body(batch);
        let level = self.settings.compression_level;
        if level > 0 {
            // It is never closed.
            let _turn = self.compressing.acquire().await.ok();
            body = tokio::task::spawn_blocking(move || gzip(&body, level))
                .await
                .map_err(|error| Failure::Node(error_chain(&error)))?;
        }
        let mut request = self.request(node, Method::POST, &node.url(&self.settings), body)?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        if level > 0 {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        self.exchange(request).await
    }

    /// Asks for something small.
    async fn ask(&self, node: &Node, method: Method, path: &str, body: &str) -> Result<(), Failure> {
        let url = format!("{}{path}", node.shown());
        let mut request = self.request(node, method, &url, Bytes::copy_from_slice(body.as_bytes()))?;
        if !body.is_empty() {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        self.exchange(request).await.map(drop)
    }

    fn request(
        &self,
        node: &Node,
        method: Method,
        url: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = url.parse().map_err(|error| Failure::Node(error_chain(&error)))?;
        *request.headers_mut() = self.headers.clone();
        if let Some(authorization) = node.authorization() {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let failed = |error: &dyn std::error::Error| Failure::Node(error_chain(error));
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| failed(&error))?;
            let status = response.status();
            let answer = Answer::read(response.into_body()).await.map_err(|error| failed(&error))?;
            if status.is_success() { Ok(answer) } else { Err(Failure::Status(status, answer.text())) }
        };
        match tokio::time::timeout(self.settings.timeout, exchange).await {
            Ok(result) => result,
            Err(_) => {
                Err(Failure::Node(format!("no answer within {} seconds", self.settings.timeout.as_secs())))
            }
        }
    }

    fn name_of_cluster(&self) -> String {
        format!("elasticsearch {}", self.cluster.shown())
    }

    fn unavailable(&self, reason: String) -> SinkError {
        SinkError::Unavailable { sink: self.name_of_cluster(), reason }
    }
}

#[async_trait]
impl LogSink for ElasticsearchSink {
    fn name(&self) -> String {
        self.name_of_cluster()
    }

    fn pauses(&self) -> Pauses {
        self.settings.pauses
    }

    fn batching(&self) -> Batching {
        self.settings.batching
    }

    fn sends_together(&self) -> bool {
        true
    }

    async fn deliver(&self, batch: &Arc<RecordBatch>) -> Result<Delivered, SinkError> {
        self.install_template().await?;
        self.send(batch).await
    }
}

/// Whether a status 400 is about the settings of the request, which no document can help.
fn is_of_request(body: &str) -> bool {
    body.contains("unrecognized parameter")
}

fn headers(settings: &ElasticsearchSettings) -> Result<HeaderMap, HttpClientError> {
    let mut headers = HeaderMap::new();
    headers
        .insert(USER_AGENT, HeaderValue::from_static(concat!("logstash-mesos/", env!("CARGO_PKG_VERSION"))));
    let authorization = match (&settings.basic_auth, &settings.api_key) {
        (_, Some(key)) if key.contains(':') => {
            Some(format!("ApiKey {}", base64::engine::general_purpose::STANDARD.encode(key)))
        }
        (_, Some(key)) => Some(format!("ApiKey {key}")),
        (Some((user, password)), None) => Some(basic(user, password)),
        (None, None) => None,
    };
    if let Some(authorization) = authorization {
        headers.insert(AUTHORIZATION, secret(&authorization)?);
    }
    headers.extend(header_map(&settings.headers)?);
    Ok(headers)
}

/// Reads a body whole, for [`Answer`].
async fn collect<B>(body: B) -> Result<Bytes, B::Error>
where
    B: http_body_util::BodyExt + hyper::body::Body,
{
    Ok(BodyExt::collect(body).await?.to_bytes())
}

/// These headers as they are sent. `Host` is left out: it follows from the address.
fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, HttpClientError> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let wrong = || HttpClientError::Header(name.clone());
        let name = HeaderName::try_from(name).map_err(|_| wrong())?;
        let value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        if name != HOST {
            map.insert(name, value);
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests;
