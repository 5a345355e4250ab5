//! `POST /api/try`: what the filters of a configuration make of lines.

use super::{error, read};
use crate::scheduler::trying::{self, TrialError, Tried};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// What to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Trial {
    /// The text of the configuration to be tried.
    input: String,
    /// Lines, as a log has them.
    #[serde(default)]
    lines: Vec<String>,
}

/// Runs the filters of a configuration over lines. Nothing is stored or sent.
#[utoipa::path(post, path = "/api/try", tag = "configurations", request_body = Trial,
    responses(
        (status = 200, body = Tried),
        (status = 422, body = super::configs::Refused, description = "It does not compile."),
    ))]
pub(super) async fn post(State(shared): State<Arc<super::Shared>>, body: Bytes) -> Response {
    let Trial { input, lines } =
        match read(&body, r#"{"input": "filter { … }", "lines": ["a line", "another"]}"#) {
            Ok(trial) => trial,
            Err(refusal) => return *refusal,
        };
    match trying::on_lines(input, lines, shared.ecs()).await {
        Ok(tried) => Json(tried).into_response(),
        Err(TrialError::Refused(complaints)) => super::configs::refused(&complaints),
        Err(why @ TrialError::Late) => error(StatusCode::SERVICE_UNAVAILABLE, &why.to_string()),
        Err(why @ TrialError::Failed(_)) => error(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string()),
    }
}
