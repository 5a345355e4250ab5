//! The HTTP side: checks in the order a master makes them, and the event streams.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mesos_v1::proto::{executor, scheduler};
use mesos_v1::recordio;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::Inner;

const PROTOBUF: &str = "application/x-protobuf";
const STREAM_ID: &str = "mesos-stream-id";

/// Path of the executor API, by the name an agent's actor has in a real Mesos.
const EXECUTOR_PATHS: [&str; 2] = ["/slave(1)/api/v1/executor", "/api/v1/executor"];
const SCHEDULER_PATHS: [&str; 2] = ["/api/v1/scheduler", "/master/api/v1/scheduler"];

/// No call is longer.
const MAX_CALL_BYTES: usize = 16 * 1024 * 1024;

/// What goes wrong on purpose.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Answers for the next scheduler requests, in place of the real ones.
    pub(crate) answers: VecDeque<Answer>,
    /// Every request waits for this long first.
    pub(crate) delay: Duration,
    /// The master gives no sign of life.
    pub(crate) no_heartbeats: bool,
}

/// An answer in place of the real one.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "testing"), expect(dead_code, reason = "only tests ask for faults"))]
pub(crate) enum Answer {
    /// This status, with a `Location` if there is one.
    Status { status: StatusCode, location: Option<HeaderValue>, text: String },
    /// The request is carried out, and the connection closed without an answer.
    HangUp,
}

/// A stream of events; also a short text.
#[derive(Debug)]
pub(super) struct Chunks(mpsc::UnboundedReceiver<Bytes>);

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

/// The writing end of an event stream; the stream ends when it is dropped.
#[derive(Debug, Clone)]
pub(super) struct EventSender(mpsc::UnboundedSender<Bytes>);

impl EventSender {
    pub(super) fn new() -> (Self, Chunks) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), Chunks(receiver))
    }

    /// Sends an event. It is lost when the reader has gone, as on any connection.
    pub(super) fn send(&self, event: &impl Message) {
        let mut record = Vec::new();
        recordio::encode(&event.encode_to_vec(), &mut record);
        let _ = self.0.send(record.into());
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// An answer that is not a stream.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }
}

/// What a call that is taken is answered with.
#[derive(Debug)]
pub(super) enum Taken {
    /// Answered with 202: it will be done.
    Accepted,
    /// Answered with 200: it is done.
    Done,
    /// 200 with events, and the id of the stream if it has one.
    Stream { events: Chunks, stream_id: Option<String> },
}

pub(super) async fn serve(inner: Arc<Inner>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = inner.stop.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, most likely; they come back.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (for_service, stop) = (Arc::clone(&inner), inner.stop.clone());
        inner.tasks.spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&for_service), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client that goes away, or a fault that wants to, ends it with an error.
            let _ = stop.run_until_cancelled(connection).await;
        });
    }
}

/// Errors close the connection.
async fn answer(inner: Arc<Inner>, request: Request<Incoming>) -> Result<Response<Chunks>, &'static str> {
    let scheduler = SCHEDULER_PATHS.contains(&request.uri().path());
    let (delay, fault) =
        inner.with_faults(|faults| (faults.delay, if scheduler { faults.answers.pop_front() } else { None }));
    tokio::time::sleep(delay).await;
    if let Some(Answer::Status { status, location, text }) = fault {
        let mut response = plain(status, text);
        if let Some(location) = location {
            response.headers_mut().insert(LOCATION, location);
        }
        return Ok(response);
    }
    if !scheduler && inner.with_state(|state| !state.agent_up) {
        return Err("the agent is down");
    }
    let taken = take(&inner, scheduler, request).await;
    if matches!(fault, Some(Answer::HangUp)) {
        return Err("asked to hang up");
    }
    Ok(match taken {
        Ok(Taken::Accepted) => plain(StatusCode::ACCEPTED, String::new()),
        Ok(Taken::Done) => plain(StatusCode::OK, String::new()),
        Ok(Taken::Stream { events, stream_id }) => {
            let mut response = Response::new(events);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
            if let Some(id) = stream_id.and_then(|id| HeaderValue::from_str(&id).ok()) {
                response.headers_mut().insert(STREAM_ID, id);
            }
            response
        }
        Err(refusal) => {
            tracing::debug!(status = %refusal.status, text = %refusal.text, "Local cluster refused a call");
            plain(refusal.status, refusal.text)
        }
    })
}

fn plain(status: StatusCode, text: String) -> Response<Chunks> {
    let (sender, receiver) = mpsc::unbounded_channel();
    if !text.is_empty() {
        // The receiver is right here.
        let _ = sender.send(text.into());
    }
    let mut response = Response::new(Chunks(receiver));
    *response.status_mut() = status;
    response
}

async fn take(inner: &Arc<Inner>, scheduler: bool, request: Request<Incoming>) -> Result<Taken, Refusal> {
    let (parts, body) = request.into_parts();
    if !scheduler && !EXECUTOR_PATHS.contains(&parts.uri.path()) {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "there is nothing here"));
    }
    if parts.method != Method::POST {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "expecting one of { 'POST' }"));
    }
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    // Compared as a whole, as a real master does (SCH-2).
    if header(CONTENT_TYPE.as_str()) != Some(PROTOBUF) {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("expecting 'Content-Type' of {PROTOBUF}; the local cluster speaks no JSON"),
        ));
    }
    if header(ACCEPT.as_str()) != Some(PROTOBUF) {
        let text = format!("expecting 'Accept' to allow only {PROTOBUF}");
        return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, text));
    }
    let body = Limited::new(body, MAX_CALL_BYTES).collect().await;
    let body = body.map_err(|_| Refusal::bad("failed to read the body"))?.to_bytes();
    let unreadable =
        |error: prost::DecodeError| Refusal::bad(format!("failed to parse body into Call: {error}"));
    if scheduler {
        let call = scheduler::Call::decode(body).map_err(unreadable)?;
        let stream_id = header(STREAM_ID).map(str::to_owned);
        inner.with_state(|state| state.scheduler_call(inner, call, stream_id.as_deref()))
    } else {
        let call = executor::Call::decode(body).map_err(unreadable)?;
        inner.with_state(|state| state.executor_call(&inner.settings, call))
    }
}
