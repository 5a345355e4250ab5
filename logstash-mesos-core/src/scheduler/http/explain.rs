//! `GET /api/explain`: why something is not shipped.

use super::{error, limit};
use crate::scheduler::explain::{self, LIMIT, Question, Verdict};
use crate::scheduler::shared::Shared;
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;

/// Behind the question mark.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    #[serde(default)]
    q: String,
    #[serde(default)]
    part: String,
    only: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

/// Says how things stand with what `q` names, or with everything.
pub(super) async fn get(State(shared): State<Arc<Shared>>, Query(asked): Query<Parameters>) -> Response {
    let only = match asked.only.as_deref() {
        None => None,
        Some(name) => match Verdict::named(name) {
            Some(verdict) => Some(verdict),
            None => return error(StatusCode::BAD_REQUEST, "only is neither problem, unknown nor ok"),
        },
    };
    let limit = match limit(asked.limit, LIMIT, MOST) {
        Ok(limit) => limit,
        Err(refusal) => return *refusal,
    };
    let query = asked.q.trim().to_owned();
    match explain::answer(
        &shared,
        &Question {
            query,
            part: asked.part.trim().to_lowercase(),
            only,
            limit,
            offset: asked.offset.unwrap_or(0),
        },
    ) {
        Ok(answer) => Json(answer).into_response(),
        Err(not_found) => error(StatusCode::NOT_FOUND, &not_found.0),
    }
}

/// Agents in one answer.
const MOST: usize = 10_000;
