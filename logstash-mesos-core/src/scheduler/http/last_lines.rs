//! `GET /api/last-lines`: what a stream has written last, to try a configuration on.
//!
//! It is log data. So it is for those who may write.

use super::{error, limit};
use crate::scheduler::last_lines::{self, LastLinesError};
use crate::scheduler::shared::Shared;
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Behind the question mark.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Parameters {
    /// The agent by its id, as `GET /api/streams` has it.
    agent: String,
    /// One of its streams by its id.
    stream: String,
    /// How many lines at most; 20 if not given.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<usize>,
}

/// The end of a stream.
#[derive(Serialize, ToSchema)]
struct LastLines {
    /// The newest last; bytes that are no text are replaced.
    lines: Vec<String>,
}

/// The last lines of a stream, within its last 256 KiB, read now by the executor that ships it.
#[utoipa::path(get, path = "/api/last-lines", tag = "configurations", params(Parameters), responses((status = 200, body = LastLines)))]
pub(super) async fn get(State(shared): State<Arc<Shared>>, Query(asked): Query<Parameters>) -> Response {
    let limit = match limit(asked.limit, last_lines::LIMIT, last_lines::MOST) {
        Ok(limit) => limit,
        Err(refusal) => return *refusal,
    };
    match last_lines::ask(&shared, &asked.agent, &asked.stream, limit).await {
        Ok(lines) => Json(LastLines { lines }).into_response(),
        Err(why) => {
            let status = match why {
                LastLinesError::NotRead { .. } => StatusCode::NOT_FOUND,
                LastLinesError::NoAnswer(_) => StatusCode::SERVICE_UNAVAILABLE,
                LastLinesError::Failed(_) => StatusCode::BAD_GATEWAY,
            };
            error(status, &why.to_string())
        }
    }
}
