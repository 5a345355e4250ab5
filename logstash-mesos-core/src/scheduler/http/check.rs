//! A configuration looked over while it is written: nothing is stored.

use super::super::check::look_over;
use super::{error, read};
use crate::configs::{Complaint, Configuration, Kind};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// What to look over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Draft {
    /// What it is to be called.
    #[serde(default)]
    name: String,
    /// `docker`, which it is without a word, or `host`.
    #[serde(default)]
    #[schema(value_type = Kind)]
    kind: String,
    /// The text of the configuration to be checked.
    input: String,
}

/// What the engine has against a configuration.
#[derive(Serialize, ToSchema)]
pub(super) struct Checked {
    /// Errors first, each kind in the order of their places. Empty when all is well.
    diagnostics: Vec<Diagnostic>,
}

/// One thing, at its place.
#[derive(Serialize, ToSchema)]
struct Diagnostic {
    /// `error` or `warning`.
    severity: &'static str,
    #[serde(flatten)]
    complaint: Complaint,
}

/// Says everything that the engine has against a configuration, by line and column. Nothing is stored.
#[utoipa::path(post, path = "/api/check", tag = "configurations", request_body = Draft,
    responses((status = 200, body = Checked)))]
pub(super) async fn post(State(shared): State<Arc<super::Shared>>, body: Bytes) -> Response {
    let draft: Draft = match read(&body, r#"{"input": "filter { … }"}"#) {
        Ok(draft) => draft,
        Err(refusal) => return *refusal,
    };
    let configuration = match draft.kind.as_str() {
        "" | "docker" => Configuration::docker(draft.name, draft.input),
        "host" => Configuration::host(draft.name, draft.input),
        _ => return error(StatusCode::BAD_REQUEST, "kind is neither docker nor host"),
    };
    match look_over(&shared, configuration).await {
        Ok(checked) => {
            let as_error = |complaint| Diagnostic { severity: "error", complaint };
            let as_warning = |complaint| Diagnostic { severity: "warning", complaint };
            let errors = checked.errors.into_iter().map(as_error);
            let diagnostics = errors.chain(checked.warnings.into_iter().map(as_warning)).collect();
            Json(Checked { diagnostics }).into_response()
        }
        Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, &format!("the check ended early: {failed}")),
    }
}
