//! An HTTP server that answers as the test says, request by request: for faults no real master shows on
//! demand.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::recordio;

/// Longer than anything a test has to wait for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Server {
    pub(crate) endpoint: Endpoint,
    requests: mpsc::UnboundedReceiver<Received>,
    _tasks: JoinSet<()>,
}

/// A request that waits for its answer.
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Which connection of the server it came on, from 0.
    pub(crate) connection: usize,
    answer: oneshot::Sender<Option<Response<Chunks>>>,
}

/// A body the test writes while it is read.
pub(crate) struct Chunks(mpsc::UnboundedReceiver<Bytes>);

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// The writing end of a stream. The stream ends when it is dropped.
pub(crate) struct Stream(mpsc::UnboundedSender<Bytes>);

impl Stream {
    pub(crate) fn send(&self, event: &impl Message) {
        let mut record = Vec::new();
        recordio::encode(&event.encode_to_vec(), &mut record);
        self.raw(record);
    }

    pub(crate) fn raw(&self, bytes: impl Into<Bytes>) {
        let _ = self.0.send(bytes.into());
    }

    /// Waits until the client has closed the connection.
    pub(crate) async fn closed(&self) {
        timeout(PATIENCE, self.0.closed()).await.expect("client closes its stream");
    }
}

impl Received {
    pub(crate) fn decode<M: Message + Default>(&self) -> M {
        M::decode(self.body.clone()).expect("request is the message expected")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn status(self, status: u16, text: &str) {
        self.status_with(status, &[], text);
    }

    pub(crate) fn status_with(self, status: u16, headers: &[(&'static str, &str)], text: &str) {
        let (chunks, body) = mpsc::unbounded_channel();
        let _ = chunks.send(Bytes::copy_from_slice(text.as_bytes()));
        let mut response = Response::new(Chunks(body));
        *response.status_mut() = StatusCode::from_u16(status).expect("valid status");
        for (name, value) in headers {
            response.headers_mut().insert(*name, value.parse().expect("valid header"));
        }
        let _ = self.answer.send(Some(response));
    }

    /// Answers 200 with `message`.
    pub(crate) fn message(self, message: &impl Message) {
        let stream = self.stream(None);
        stream.raw(message.encode_to_vec());
    }

    pub(crate) fn stream(self, stream_id: Option<&str>) -> Stream {
        let (chunks, body) = mpsc::unbounded_channel();
        let mut response = Response::new(Chunks(body));
        if let Some(stream_id) = stream_id {
            response.headers_mut().insert("Mesos-Stream-Id", stream_id.parse().expect("valid header"));
        }
        let _ = self.answer.send(Some(response));
        Stream(chunks)
    }

    /// Closes the connection without an answer.
    pub(crate) fn hang_up(self) {
        let _ = self.answer.send(None);
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await
    }

    pub(crate) async fn start_at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.expect("loopback port");
        let address = listener.local_addr().expect("bound");
        let endpoint = Endpoint::new(&address.ip().to_string(), address.port()).expect("valid");
        let (sender, requests) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                let sender = sender.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let sender = sender.clone();
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.map_err(|_| "broken request")?.to_bytes();
                        let (answer, answered) = oneshot::channel();
                        let path = parts.uri.path().to_owned();
                        let received = Received { path, headers: parts.headers, body, connection, answer };
                        let _ = sender.send(received);
                        answered.await.ok().flatten().ok_or("hung up")
                    }
                });
                connections.spawn(async move {
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { endpoint, requests, _tasks: tasks }
    }

    pub(crate) async fn next(&mut self) -> Received {
        timeout(PATIENCE, self.requests.recv()).await.expect("a request comes").expect("server lives")
    }

    /// Fails if a request comes within `time`.
    pub(crate) async fn silent_for(&mut self, time: Duration) {
        assert!(timeout(time, self.requests.recv()).await.is_err(), "a request came");
    }
}
