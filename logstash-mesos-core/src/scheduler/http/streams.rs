//! `GET /api/streams`: everything that is read, of all agents.

use super::{error, limit};
use crate::scheduler::explain::Verdict;
use crate::scheduler::shared::Shared;
use crate::scheduler::status::Stream;
use crate::scheduler::stream::losses;
use crate::scheduler::stream_list::{Found, LIMIT, MOST, Row};
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
    /// Words that all have to be true, such as `image:nginx`, `path:access`, `agent:`, `configuration:`, `method:`,
    /// `state:problem`, `lag:>1MB`, `lost:>0`, `events:0`; a word alone is looked for in names.
    #[serde(default)]
    q: String,
    /// `name`, `image`, `path`, `method`, `agent`, `events`, `lag_bytes` or `lost`, with `-` in front from the largest down.
    #[serde(default)]
    #[param(pattern = "^-?(name|image|path|method|agent|events|lag_bytes|lost)?$")]
    sort: String,
    /// How many streams at most; 100 if not given.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// Of which so many are left out.
    #[serde(default)]
    offset: usize,
}

/// One page of streams.
#[derive(Debug, Serialize, ToSchema)]
struct StreamPage {
    /// How many there are on all pages.
    total: usize,
    /// On how many agents.
    agents: usize,
    streams: Vec<StreamRow>,
    /// With which `offset` the next ones come; null if these were the last.
    next_offset: Option<usize>,
}

/// A stream and where it is.
#[derive(Debug, Serialize, ToSchema)]
struct StreamRow {
    #[serde(flatten)]
    stream: Stream,
    /// Names it within its executor, for as long as it lives.
    id: String,
    hostname: String,
    /// It is a problem where it is not read, or has lost something.
    state: Verdict,
    /// Bytes, whatever the reason.
    lost_total: u64,
    /// The same with the reasons, in words.
    lost_text: String,
}

fn shown(row: &Row<'_>) -> StreamRow {
    StreamRow {
        stream: Stream::of(row.agent_id.as_str(), row.stream),
        id: row.stream.id.clone(),
        hostname: row.hostname.to_owned(),
        state: row.state(),
        lost_total: row.lost(),
        lost_text: losses(row.stream),
    }
}

/// What is read on all agents, filtered, sorted and paged.
#[utoipa::path(get, path = "/api/streams", tag = "status", params(Parameters), responses((status = 200, body = StreamPage)))]
pub(super) async fn get(State(shared): State<Arc<Shared>>, Query(asked): Query<Parameters>) -> Response {
    let limit = match limit(asked.limit, LIMIT, MOST) {
        Ok(limit) => limit,
        Err(refusal) => return *refusal,
    };
    shared.sessions().watch();
    let state = shared.state();
    let executors = shared.sessions().lock();
    let found = match Found::of(&state, &executors, &asked.q, &asked.sort) {
        Ok(found) => found,
        Err(unknown) => return error(StatusCode::BAD_REQUEST, &unknown.to_string()),
    };
    let (page, next_offset) = found.page(asked.offset, limit);
    let streams = page.map(shown).collect();
    Json(StreamPage { total: found.total(), agents: found.agents(), streams, next_offset }).into_response()
}
