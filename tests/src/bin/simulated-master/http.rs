//! The HTTP side: scheduler API, operator API, and what drives the simulation.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use mesos_v1::proto::master::response::{GetAgents, GetVersion, get_agents};
use mesos_v1::proto::scheduler::{Call, call};
use mesos_v1::proto::{AgentId, AgentInfo, VersionInfo, master};
use prost::Message as _;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::cluster::{Cluster, Fate, Presence};

const PROTOBUF: &str = "application/x-protobuf";
const STREAM_ID: &str = "mesos-stream-id";

type Shared = Arc<Mutex<Cluster>>;

/// A stream of events, or a short answer.
struct Chunks(UnboundedReceiver<Bytes>);

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

/// Serves until the process ends.
pub(crate) async fn serve(cluster: Shared, listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        let cluster = cluster.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(cluster.clone(), request));
            // A client that goes away ends it with an error.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Without an answer the connection ends.
type Answer = Result<Response<Chunks>, Box<dyn std::error::Error + Send + Sync>>;

async fn answer(cluster: Shared, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    Ok(match (&parts.method, parts.uri.path()) {
        (&Method::POST, "/api/v1/scheduler" | "/master/api/v1/scheduler") => match Call::decode(body) {
            Ok(call) => scheduler(&cluster, call, header(STREAM_ID)).ok_or("it broke")?,
            Err(error) => plain(StatusCode::BAD_REQUEST, error.to_string()),
        },
        (&Method::POST, "/api/v1") => operator(&cluster, &body, header(ACCEPT.as_str())),
        (&Method::GET, "/simulation") => plain(StatusCode::OK, lock(&cluster).report().to_string()),
        (&Method::POST, path) if path.starts_with("/simulation/") => {
            let number = parts.uri.query().and_then(|q| q.split_once('=')).and_then(|(_, n)| n.parse().ok());
            let number: usize = number.unwrap_or_default();
            match &path["/simulation/".len()..] {
                "leave" => lock(&cluster).leave(number),
                "join" => lock(&cluster).join(number),
                "part" => lock(&cluster).part(number),
                "lose" => lock(&cluster).lose = number as u64,
                "heal" => lock(&cluster).heal(),
                "failover" => lock(&cluster).fail_over(Duration::from_millis(number as u64)),
                _ => return Ok(plain(StatusCode::NOT_FOUND, String::new())),
            }
            plain(StatusCode::OK, lock(&cluster).report().to_string())
        }
        _ => plain(StatusCode::NOT_FOUND, String::new()),
    })
}

/// `None` for a call that is lost on its way, or whose answer is.
fn scheduler(cluster: &Shared, call: Call, stream_id: Option<&str>) -> Option<Response<Chunks>> {
    let mut cluster = lock(cluster);
    if call.r#type() == call::Type::Subscribe {
        let Some(subscribe) = call.subscribe else {
            return Some(plain(StatusCode::BAD_REQUEST, "Expecting 'subscribe' to be present".to_owned()));
        };
        let (sender, receiver) = unbounded_channel();
        let stream_id = cluster.subscribe(subscribe, sender);
        let mut response = Response::new(Chunks(receiver));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
        let value = HeaderValue::from_str(&stream_id).expect("a UUID is plain text");
        response.headers_mut().insert(STREAM_ID, value);
        return Some(response);
    }
    if !cluster.is_current(stream_id) {
        return Some(plain(StatusCode::BAD_REQUEST, "The stream ID didn't match".to_owned()));
    }
    match cluster.fate() {
        Fate::Lost => return None,
        Fate::Done => cluster.call(call),
        Fate::Unanswered => {
            cluster.call(call);
            return None;
        }
    }
    Some(plain(StatusCode::ACCEPTED, String::new()))
}

/// GET_AGENTS and GET_VERSION, in the form that was asked for.
fn operator(cluster: &Shared, body: &[u8], accept: Option<&str>) -> Response<Chunks> {
    let cluster = lock(cluster);
    let here = cluster.agents.iter().filter(|(_, a)| a.presence == Presence::Here);
    if accept != Some(PROTOBUF) {
        let agents: Vec<_> = here
            .map(|(id, a)| {
                json!({"active": true, "agent_info": {"id": {"value": id}, "hostname": a.hostname}})
            })
            .collect();
        return plain(
            StatusCode::OK,
            json!({"type": "GET_AGENTS", "get_agents": {"agents": agents}}).to_string(),
        );
    }
    let Ok(call) = master::Call::decode(body) else {
        return plain(StatusCode::BAD_REQUEST, "Failed to parse body into Call protobuf".to_owned());
    };
    let mut answer = master::Response::default();
    match call.r#type() {
        master::call::Type::GetAgents => {
            let agents = here.map(|(id, a)| get_agents::Agent {
                agent_info: AgentInfo {
                    id: Some(AgentId { value: id.clone() }),
                    hostname: a.hostname.clone(),
                    ..AgentInfo::default()
                },
                active: true,
                version: "1.11.0".to_owned(),
                ..get_agents::Agent::default()
            });
            answer.get_agents = Some(GetAgents { agents: agents.collect(), recovered_agents: vec![] });
        }
        master::call::Type::GetVersion => {
            let version_info = VersionInfo { version: "1.11.0".to_owned(), ..VersionInfo::default() };
            answer.get_version = Some(GetVersion { version_info });
        }
        _ => return plain(StatusCode::NOT_IMPLEMENTED, String::new()),
    }
    bytes(StatusCode::OK, answer.encode_to_vec().into(), PROTOBUF)
}

fn plain(status: StatusCode, text: String) -> Response<Chunks> {
    bytes(status, text.into(), "application/json")
}

fn bytes(status: StatusCode, body: Bytes, kind: &'static str) -> Response<Chunks> {
    let (sender, receiver) = unbounded_channel();
    if !body.is_empty() {
        // The receiver is right here.
        let _ = sender.send(body);
    }
    let mut response = Response::new(Chunks(receiver));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn lock(cluster: &Shared) -> std::sync::MutexGuard<'_, Cluster> {
    cluster.lock().expect("no thread panics with it")
}
