//! Which Mesos a master is that lacks the v1 API, asked in the ways of old.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde::Deserialize;
use tokio::time::timeout;

use super::{OperatorError, broken, read};
use crate::endpoint::Endpoint;
use crate::transport::{Connecting, Connection};

/// Asks one master, which wants no credentials for this: at `/version`, which is there since 0.26, or for its whole
/// state, which begins or ends with its version.
pub(crate) async fn version_of(
    endpoint: &Endpoint,
    connecting: &Connecting,
    limit: Duration,
) -> Result<String, OperatorError> {
    let asking = async {
        match ask(endpoint, "/version", connecting, limit).await {
            Err(OperatorError::NoApi { .. }) => ask(endpoint, "/state.json", connecting, limit).await,
            answer => answer,
        }
    };
    timeout(limit, asking).await.unwrap_or(Err(OperatorError::Timeout { limit }))
}

async fn ask(
    endpoint: &Endpoint,
    path: &str,
    connecting: &Connecting,
    limit: Duration,
) -> Result<String, OperatorError> {
    let request = Request::builder()
        .method(Method::GET)
        .uri(endpoint.path(path))
        .header(http::header::HOST, endpoint.authority())
        .body(Full::new(Bytes::new()))
        .map_err(|error| broken(endpoint, error))?;
    let mut connection = Connection::open(endpoint, connecting).await?;
    let response = connection.send(request, limit).await.map_err(|unanswered| unanswered.error)?;
    if !response.status().is_success() {
        return Err(OperatorError::of("version", endpoint, response.status(), String::new()));
    }
    let body = read(endpoint, response, MAX_STATE_BYTES).await?;
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|error| OperatorError::Decode { endpoint: endpoint.to_string(), source: error.into() })?;
    Ok(answer.version)
}

/// What else is in there is passed over.
#[derive(Deserialize)]
struct Answer {
    version: String,
}

/// The state of a cluster with ten thousands of tasks.
const MAX_STATE_BYTES: usize = 64 << 20;
