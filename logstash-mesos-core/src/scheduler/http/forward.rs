//! Requests that only the leader can answer, passed on to it.
//!
//! Body and answer stream both ways, trailers included, so that gRPC streams work as well. Each request has a
//! connection of its own: a session of an executor lasts for days and must not hold up others, and no request goes out
//! on a connection whose other end has gone unnoticed.

use super::super::access::{FORWARDED, FORWARDED_FOR, Peer, is_grpc};
use super::super::leader::{Failure, ForwardError, Target, connect};
use super::super::node::{Leading, Node, Responsible};
use super::error;
use crate::election::Leader;
use crate::tls::Stream;
use axum::body::Body;
use axum::extract::Request;
use axum::http::uri::{Authority, PathAndQuery, Scheme};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, Version, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tower::ServiceExt;

/// Has the leader answer, wherever it is. While nobody leads, or the leader cannot be reached, that is waited for a
/// little: mostly another one takes over.
pub(super) async fn forward(node: &Arc<Node>, request: Request) -> Response {
    let grpc = is_grpc(request.uri().path());
    try_forward(node, request).await.unwrap_or_else(|failure| refusal(grpc, &failure))
}

/// As [`forward`], for whoever has another answer when there is none from the leader.
pub(super) async fn try_forward(node: &Arc<Node>, request: Request) -> Result<Response, ForwardError> {
    let result = at_leader(node, request).await;
    let count = if result.is_ok() { &node.forwarded } else { &node.forward_failures };
    count.fetch_add(1, Ordering::Relaxed);
    result
}

async fn at_leader(node: &Arc<Node>, mut request: Request) -> Result<Response, ForwardError> {
    let deadline = Instant::now() + PATIENCE;
    let mut last = ForwardError::NobodyLeads;
    loop {
        let leader = match timeout_at(deadline, node.responsible()).await {
            Ok(Responsible::Here(Leading { router, .. })) => {
                // What the follower's routes made of the path is none of the leader's routes' business.
                let peer = request.extensions_mut().remove::<Peer>();
                request.extensions_mut().clear();
                peer.and_then(|peer| request.extensions_mut().insert(peer));
                let Ok(response) = router.oneshot(request).await;
                return Ok(response);
            }
            Ok(Responsible::There(_)) if request.headers().contains_key(FORWARDED) => {
                return Err(ForwardError::Loop);
            }
            Ok(Responsible::There(leader)) => leader,
            Err(_) => return Err(last),
        };
        match connect(&leader, &node.tls).await {
            // Nothing of the request is used up yet.
            Err(error @ ForwardError::Unreachable { .. }) if Instant::now() < deadline => {
                last = error;
                sleep(RETRY).await;
            }
            Err(error) => return Err(error),
            Ok((stream, target)) => return exchange(node, &leader, stream, target, request).await,
        }
    }
}

async fn exchange(
    node: &Arc<Node>,
    leader: &Leader,
    stream: Stream,
    target: Target,
    request: Request,
) -> Result<Response, ForwardError> {
    let failed = |source: Failure| ForwardError::NoAnswer { url: leader.url.clone(), source };
    let version = request.version();
    let request = outgoing(node, target, request)?;
    let io = TokioIo::new(stream);
    let response = if version == Version::HTTP_2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(KEEP_ALIVE).keep_alive_timeout(KEEP_ALIVE);
        let (mut sender, connection) = builder.handshake(io).await.map_err(|e| failed(e.into()))?;
        tokio::spawn(until_another_leads(node.clone(), leader.id.clone(), connection));
        let response = timeout(ANSWER_LIMIT, sender.send_request(request)).await;
        kept(response.map_err(|e| failed(e.into()))?.map_err(|e| failed(e.into()))?, sender)
    } else {
        let (mut sender, connection) = http1::handshake(io).await.map_err(|e| failed(e.into()))?;
        tokio::spawn(until_another_leads(node.clone(), leader.id.clone(), connection));
        let response = timeout(ANSWER_LIMIT, sender.send_request(request)).await;
        kept(response.map_err(|e| failed(e.into()))?.map_err(|e| failed(e.into()))?, sender)
    };
    Ok(answer(leader, response))
}

/// Drives a connection. One to a scheduler that was deposed is cut, as a frozen one would not say so.
async fn until_another_leads(
    node: Arc<Node>,
    id: String,
    connection: impl Future<Output = hyper::Result<()>>,
) {
    let mut leader = node.leader();
    let another = leader.wait_for(|leader| leader.as_ref().is_some_and(|l| l.id != id));
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            tracing::debug!(%error, "Connection to the leader ended");
        },
        Ok(_) = another => tracing::debug!("Connection to a leader before is cut"),
    }
}

/// The connection lasts as long as the body of the answer.
fn kept(response: axum::http::Response<Incoming>, connection: impl Send + 'static) -> Response {
    response.map(|body| {
        let body = body.map_frame(move |frame| {
            let _lasts = &connection;
            frame
        });
        Body::new(body)
    })
}

fn outgoing(node: &Node, target: Target, request: Request) -> Result<Request, ForwardError> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let path = format!("{}{path}", target.path);
    let http2 = parts.version == Version::HTTP_2;
    let uri = Uri::builder().path_and_query(path.as_str());
    // The Host stays that of the client, so that the leader sees whether a page of another site asks.
    let host = parts.headers.get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let uri = if http2 {
        parts.headers.remove(header::HOST);
        let scheme = if target.is_tls { Scheme::HTTPS } else { Scheme::HTTP };
        uri.scheme(scheme).authority(host.unwrap_or_else(|| target.authority.clone()))
    } else {
        uri
    };
    let unusable = |_| ForwardError::Url { url: format!("http://{}{path}", target.authority) };
    parts.uri = uri.build().map_err(unusable)?;
    parts.version = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
    remove_hop_by_hop(&mut parts.headers);
    parts.headers.remove(header::EXPECT);
    if !http2 && !parts.headers.contains_key(header::HOST) {
        let host = HeaderValue::from_str(target.authority.as_str());
        parts.headers.insert(header::HOST, host.expect("an authority has no other characters"));
    }
    parts.headers.insert(FORWARDED, node.access.forwarded());
    // For the leader's audit log.
    let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip().to_string());
    if let Some(client) = peer.and_then(|peer| HeaderValue::try_from(peer).ok()) {
        parts.headers.insert(FORWARDED_FOR, client);
    }
    Ok(Request::from_parts(parts, body))
}

fn answer(leader: &Leader, mut response: Response) -> Response {
    let headers = response.headers_mut();
    remove_hop_by_hop(headers);
    if let Ok(url) = HeaderValue::from_str(&leader.url) {
        headers.insert(LEADER, url);
    }
    response
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Whoever speaks gRPC says with it that trailers are understood.
    let trailers = headers.get(header::TE).is_some_and(|te| te == "trailers");
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in listed.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

fn refusal(grpc: bool, failure: &ForwardError) -> Response {
    let text = crate::error_chain(failure);
    if grpc {
        return tonic::Status::unavailable(text).into_http();
    }
    let retry = [(header::RETRY_AFTER, "1")];
    (retry, error(StatusCode::SERVICE_UNAVAILABLE, &text)).into_response()
}

/// On every answer that came from the leader through another scheduler.
const LEADER: HeaderName = HeaderName::from_static("x-logstash-mesos-leader");
/// RFC 9110, 7.6.1, and what is as old.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
/// How long a request waits for somebody to lead: most take-overs are shorter.
const PATIENCE: Duration = Duration::from_secs(8);
const RETRY: Duration = Duration::from_millis(200);
/// For the head of an answer; a trial of a configuration may take 10 seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
const KEEP_ALIVE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_one_connection_stays_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Secret"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("host", "client.example"),
            ("authorization", "Bearer t"),
        ] {
            headers.append(name.parse::<HeaderName>().expect("a name"), HeaderValue::from_static(value));
        }
        remove_hop_by_hop(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "host", "te"]);
    }
}
