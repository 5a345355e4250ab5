//! A configuration looked over while it is written: nothing is stored.

use super::super::check::checker;
use super::{error, read};
use crate::configs::{Complaint, Configuration};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
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
    /// The text of the configuration to be checked.
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
    let draft: Draft = match read(&body, r#"{"input": "filter { … }"}"#) {
        Ok(draft) => draft,
        Err(refusal) => return *refusal,
    };
    let configuration = match draft.kind.as_str() {
        "" | "docker" => Configuration::docker(draft.name, draft.input),
        "host" => Configuration::host(draft.name, draft.input),
        _ => return error(StatusCode::BAD_REQUEST, "kind is neither docker nor host"),
    };
    let (check, snapshot) = (checker(shared.ecs), shared.registry.snapshot());
    let look = move || {
        let mut checked = check(&configuration);
        checked.warnings.extend(snapshot.meetings(&configuration));
        checked
    };
    // Patterns may take long to compile.
    match tokio::task::spawn_blocking(look).await {
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
