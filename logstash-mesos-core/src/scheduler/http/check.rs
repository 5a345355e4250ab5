//! A configuration looked over while it is written: nothing is stored.

use super::super::check::checker;
use super::error;
use crate::configs::{Complaint, Configuration, Kind, Source};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What to look over.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    /// What it is to be called.
    #[serde(default)]
    name: String,
    /// `docker`, which it is without a word, or `host`.
    #[serde(default)]
    kind: String,
    /// The configuration.
    input: String,
}

#[derive(Serialize)]
struct Diagnostic<'a> {
    severity: &'static str,
    #[serde(flatten)]
    complaint: &'a Complaint,
}

/// Says everything that the engine has against a configuration, by line and column.
pub(super) async fn post(State(shared): State<Arc<super::Shared>>, body: Bytes) -> Response {
    let draft: Draft = match serde_json::from_slice(&body) {
        Ok(draft) => draft,
        Err(e) => {
            let text =
                format!("the body is not what is expected ({e}); send {{\"input\": \"filter {{ … }}\"}}");
            return error(StatusCode::BAD_REQUEST, &text);
        }
    };
    let kind = match draft.kind.as_str() {
        "" | "docker" => Kind::Docker,
        "host" => Kind::Host,
        _ => return error(StatusCode::BAD_REQUEST, "kind is neither docker nor host"),
    };
    let configuration = Configuration {
        name: draft.name,
        kind,
        input: draft.input,
        matches: BTreeMap::new(),
        source: Source::Rest,
    };
    let check = checker(shared.ecs);
    // Patterns may take long to compile.
    match tokio::task::spawn_blocking(move || check(&configuration)).await {
        Ok(checked) => {
            let errors = checked.errors.iter().map(|complaint| Diagnostic { severity: "error", complaint });
            let warnings =
                checked.warnings.iter().map(|complaint| Diagnostic { severity: "warning", complaint });
            let diagnostics: Vec<_> = errors.chain(warnings).collect();
            Json(serde_json::json!({ "diagnostics": diagnostics })).into_response()
        }
        Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, &format!("the check ended early: {failed}")),
    }
}
