//! Reaching the scheduler that leads.

use super::port_tls::PortTls;
use crate::election::Leader;
use crate::tls::Stream;
use axum::body::Body;
use axum::http::uri::{Authority, Scheme};
use axum::http::{Method, Request, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use thiserror::Error;
use tokio::time::timeout;

/// Why the leader did not answer.
#[derive(Debug, Error)]
pub(super) enum ForwardError {
    #[error("no scheduler leads at the moment; try again")]
    NobodyLeads,
    #[error("another scheduler passed this on, and this one does not lead either; try again")]
    Loop,
    #[error("the leading scheduler has no URL that can be used: {url}")]
    Url { url: String },
    #[error(
        "the leading scheduler at {url} cannot be reached; should it be gone, another takes over: try again"
    )]
    Unreachable { url: String, source: Failure },
    #[error("the leading scheduler at {url} gave no answer; whether it did what was asked is not known")]
    NoAnswer { url: String, source: Failure },
}

pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Where a leader is.
pub(super) struct Target {
    pub(super) authority: Authority,
    pub(super) is_tls: bool,
    /// Of the URL, without a slash at its end.
    pub(super) path: String,
}

impl Target {
    fn of(leader: &Leader) -> Result<Self, ForwardError> {
        let uri: Option<Uri> = leader.url.parse().ok();
        let is_tls = uri.as_ref().is_some_and(|uri| uri.scheme() == Some(&Scheme::HTTPS));
        let parts = uri.map(Uri::into_parts).and_then(|parts| Some((parts.authority?, parts.path_and_query)));
        let Some((authority, path)) = parts else {
            return Err(ForwardError::Url { url: leader.url.clone() });
        };
        let path = path.map(|p| p.path().trim_end_matches('/').to_owned()).unwrap_or_default();
        Ok(Self { authority, is_tls, path })
    }
}

/// Connects to the leader.
pub(super) async fn connect(leader: &Leader, tls: &PortTls) -> Result<(Stream, Target), ForwardError> {
    let target = Target::of(leader)?;
    let failed = |source| ForwardError::Unreachable { url: leader.url.clone(), source };
    let connector = target.is_tls.then(|| tls.connector()).transpose().map_err(|e| failed(e.into()))?;
    let host = target.authority.host();
    let port = target.authority.port_u16().unwrap_or(if target.is_tls { 443 } else { 80 });
    let address = (host.trim_matches(['[', ']']), port);
    let stream = timeout(CONNECT_LIMIT, Stream::connect(host, address, connector.as_ref())).await;
    let stream = stream.map_err(|e| failed(e.into()))?.map_err(|e| failed(e.into()))?;
    Ok((stream, target))
}

/// Whether a scheduler answers there.
pub(super) async fn answers(leader: &Leader, tls: &PortTls) -> bool {
    let asked = async {
        let (stream, target) = connect(leader, tls).await?;
        let failed =
            |error: hyper::Error| ForwardError::NoAnswer { url: leader.url.clone(), source: error.into() };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(Method::GET)
            .uri(format!("{}/health", target.path))
            .header(header::HOST, target.authority.as_str())
            .body(Body::empty())
            .map_err(|_| ForwardError::Url { url: leader.url.clone() })?;
        let response = sender.send_request(request).await.map_err(failed);
        connection.abort();
        response
    };
    matches!(timeout(PROBE_LIMIT, asked).await, Ok(Ok(response)) if response.status().is_success())
}

const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const PROBE_LIMIT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_behind_a_path_is_asked_there() {
        let leader = |url: &str| Leader { id: "l".to_owned(), url: url.to_owned(), holder: String::new() };
        for (url, authority, path) in [
            ("http://h:1", "h:1", ""),
            ("http://h:1/", "h:1", ""),
            ("http://[::1]:1/a/b/", "[::1]:1", "/a/b"),
        ] {
            let target = Target::of(&leader(url)).expect("is a URL");
            assert_eq!((target.authority.as_str(), target.path.as_str()), (authority, path), "{url}");
        }
        assert!(matches!(Target::of(&leader("")), Err(ForwardError::Url { .. })));
    }
}
