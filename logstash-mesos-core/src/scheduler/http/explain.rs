//! `GET /api/explain`: why something is not shipped.

use super::{error, limit};
use crate::scheduler::explain::Answer;
use crate::scheduler::explain::{self, LIMIT, Question, Verdict};
use crate::scheduler::shared::Shared;
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Behind the question mark.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Parameters {
    /// An agent, a container, an image or a path: a whole name, or the beginning or end of an id. Everything if empty.
    #[serde(default)]
    q: String,
    /// Only agents that have this in their names.
    #[serde(default)]
    part: String,
    /// Only agents that stand so.
    #[param(value_type = Option<Verdict>)]
    only: Option<String>,
    /// How many agents at most; 100 if not given.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// Of which so many are left out.
    offset: Option<usize>,
}

/// How things stand with what `q` names, or with everything, step by step, and what to do.
#[utoipa::path(get, path = "/api/explain", tag = "status", params(Parameters), responses((status = 200, body = Answer)))]
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
