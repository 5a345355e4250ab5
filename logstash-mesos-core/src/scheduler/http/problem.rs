//! Answers that say what went wrong: a sentence, a code for programs, and what to do.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request was not carried out.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// In a sentence.
    error: String,
    /// For programs: one for each status of HTTP.
    code: &'static str,
    /// What to do about it.
    remedy: &'static str,
}

/// An answer that says what went wrong.
pub(super) fn error(status: StatusCode, text: &str) -> Response {
    let (code, remedy) = kind(status);
    (status, Json(Problem { error: text.to_owned(), code, remedy })).into_response()
}

/// Gives what the router itself refuses, such as a method or a query, the form of all others.
pub(super) async fn shaped(response: Response) -> Response {
    let status = response.status();
    let of_ours = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if of_ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, MAX_TEXT).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let text = if text.is_empty() { status.canonical_reason().unwrap_or("refused") } else { text.trim() };
    let mut shaped = error(status, text);
    for name in [header::ALLOW, header::RETRY_AFTER, header::WWW_AUTHENTICATE] {
        if let Some(value) = parts.headers.get(&name) {
            shaped.headers_mut().insert(name, value.clone());
        }
    }
    shaped
}

fn kind(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::BAD_REQUEST => ("invalid_request", "compare the request with GET /api/openapi.json"),
        StatusCode::UNAUTHORIZED => {
            ("unauthorized", "send a user and password, or a token, that --auth-file knows")
        }
        StatusCode::FORBIDDEN => {
            ("forbidden", "ask who runs the scheduler for what the sentence says is missing")
        }
        StatusCode::NOT_FOUND => {
            ("not_found", "look at the spelling; GET /api/find?q= finds by a part of a name")
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            ("method_not_allowed", "use one of the methods in the header Allow")
        }
        StatusCode::CONFLICT => ("managed_elsewhere", "change the file in the directory that manages it"),
        StatusCode::PRECONDITION_FAILED => {
            ("precondition_failed", "read it again, and send its ETag in If-Match")
        }
        StatusCode::PAYLOAD_TOO_LARGE => ("too_large", "send less, or split it"),
        StatusCode::TOO_MANY_REQUESTS => {
            ("too_many_requests", "wait for as many seconds as the header Retry-After says")
        }
        StatusCode::BAD_GATEWAY => ("executor_refused", "see the log of the agent's executor"),
        StatusCode::SERVICE_UNAVAILABLE => ("unavailable", "try again; GET /ready says what is missing"),
        _ => ("internal", "see the log of the scheduler"),
    }
}

/// What the router says is a line.
const MAX_TEXT: usize = 16 << 10;
