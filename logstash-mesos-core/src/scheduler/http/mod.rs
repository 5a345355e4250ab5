//! REST, the page, metrics, the executor's program, and gRPC: everything on one port.

mod check;
mod configs;
mod dead_letters;
mod explain;
mod find;
mod follower;
mod forward;
mod guard;
mod metrics;
mod overview;
mod pages;
mod plugins;
mod session;
mod streams;
mod try_out;
mod versions;

use super::binary::ServedBinary;
use super::grpc::ControlService;
use super::listener::{self, Listener};
use super::node::Node;
use super::records::Records;
use super::shared::Shared;
use super::status;
use crate::configs::Author;
use crate::protocol::control_server::ControlServer;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Serves until `stop`, whoever leads.
pub(super) fn serve(node: &Arc<Node>, port: Listener, stop: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(listener::serve(port, node.tls.clone(), front(node.clone()), stop))
}

/// Everything that a scheduler serves, whether it leads or follows.
fn front(node: Arc<Node>) -> Router {
    let following = follower::router(node.clone());
    let by_role = async move |State(node): State<Arc<Node>>, request: Request| {
        let router = node.leading().map_or(following, |leading| leading.router);
        let Ok(response) = router.oneshot(request).await;
        response
    };
    Router::new().fallback(by_role).with_state(node)
}

/// Everything that the leader serves.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    let control = ControlServer::new(ControlService { shared: shared.clone() })
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let mut router = Router::new()
        .route_service("/logstash_mesos.control.v1.Control/{method}", control)
        .route("/api/status", get(get_status))
        .route("/api/rollout/resume", post(resume_rollout))
        .route("/api/explain", get(explain::get))
        .route("/api/overview", get(overview::get))
        .route("/api/events", get(overview::events))
        .route("/api/history", get(overview::history))
        .route("/api/dead-letters", get(dead_letters::get).delete(dead_letters::discard))
        .route("/api/dead-letters/replay", post(dead_letters::replay))
        .route("/api/streams", get(streams::get))
        .route("/api/find", get(find::get))
        .route("/api/plugins", get(plugins::get))
        .route("/api/policy", get(get_policy))
        .route("/api/versions", get(versions::get))
        .route("/api/rollback", post(versions::roll_back))
        .route("/api/check", post(check::post))
        .route("/api/session", get(session::get).post(session::sign_in).delete(session::sign_out))
        .route("/api/try", post(try_out::post))
        .route("/health", get(|| async { "alive\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics::get))
        .route("/executor/{sha256}/logstash-mesos-executor", get(executor));
    // The predecessor's documents have the paths without `/api`.
    for prefix in ["/api", ""] {
        router = router
            .route(
                &format!("{prefix}/configs"),
                get(configs::list)
                    .post(configs::post)
                    .put(configs::put_by_query)
                    .delete(configs::delete_by_query),
            )
            .route(
                &format!("{prefix}/configs/{{*name}}"),
                get(configs::get).put(configs::put).post(configs::put).delete(configs::delete),
            )
            .route(
                &format!("{prefix}/host-config"),
                get(configs::get_host).put(configs::put_host).post(configs::put_host),
            );
    }
    if shared.ui {
        router = router.merge(pages::router());
    }
    let access = Arc::new(shared.access.clone());
    router
        .fallback(not_found)
        .with_state(shared)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(access, guard::guard))
}

async fn get_status(
    State(shared): State<Arc<Shared>>,
    page: Result<Query<status::Page>, QueryRejection>,
) -> Response {
    let page = match page {
        Ok(Query(page)) => page.bounded(),
        Err(rejection) => return error(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    shared.sessions.watch();
    Json(status::json(&shared, &page)).into_response()
}

async fn get_policy(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.policy.borrow().json()).into_response()
}

/// Lets a roll-out go on that has stopped after failures.
async fn resume_rollout(
    State(shared): State<Arc<Shared>>,
    Extension(Author { by, from }): Extension<Author>,
) -> Response {
    let resumed = shared.state().resume_rollout();
    if resumed {
        tracing::info!(target: "audit", %by, from, "Roll-out goes on, as an operator asked");
        shared.sessions.wake.notify_one();
    }
    Json(json!({ "resumed": resumed })).into_response()
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let link = shared.link().clone();
    let problem = if !link.store_error.is_empty() {
        link.store_error
    } else if link.connected {
        return store_ready(&shared).await;
    } else if link.error().is_empty() {
        "no subscription with the master yet".to_owned()
    } else {
        link.trouble()
    };
    error(StatusCode::SERVICE_UNAVAILABLE, &problem)
}

/// Writes are rare, so that the store answers is asked, not remembered.
async fn store_ready(shared: &Shared) -> Response {
    let asked = tokio::time::timeout(STORE_LIMIT, Records::last_claim(&*shared.store)).await;
    match asked {
        Ok(Ok(_)) => "ready\n".into_response(),
        Ok(Err(e)) => error(StatusCode::SERVICE_UNAVAILABLE, &crate::error_chain(&e)),
        Err(_) => error(StatusCode::SERVICE_UNAVAILABLE, "the state store does not answer"),
    }
}

async fn executor(State(shared): State<Arc<Shared>>, method: Method, Path(sha256): Path<String>) -> Response {
    let Some(binary) = shared.binary.clone().filter(|b| b.sha256() == sha256) else {
        return error(StatusCode::NOT_FOUND, "this scheduler serves another executor, or none");
    };
    executor_program(binary, &method)
}

fn executor_program(binary: Arc<ServedBinary>, method: &Method) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        // The cache of the agents' fetcher insists on it.
        (header::CONTENT_LENGTH, binary.bytes().to_string()),
        (header::ETAG, format!("\"{}\"", binary.sha256())),
    ];
    if *method == Method::HEAD {
        return (headers, ()).into_response();
    }
    let chunks = futures_util::stream::try_unfold(0, move |offset| {
        let binary = binary.clone();
        async move {
            let chunk = binary.chunk(offset).await?;
            let next = offset + chunk.len() as u64;
            Ok::<_, std::io::Error>((!chunk.is_empty()).then_some((chunk, next)))
        }
    });
    (headers, Body::from_stream(chunks)).into_response()
}

async fn not_found() -> Response {
    error(StatusCode::NOT_FOUND, "there is nothing at this path; see GET /api/status and /api/configs")
}

/// An answer that says what went wrong.
fn error(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "error": text }))).into_response()
}

/// How many entries one answer has: what was asked for, from 1 to `most`, or `usual`.
fn limit(asked: Option<usize>, usual: usize, most: usize) -> Result<usize, Box<Response>> {
    let limit = asked.unwrap_or(usual);
    if (1..=most).contains(&limit) {
        return Ok(limit);
    }
    Err(Box::new(error(StatusCode::BAD_REQUEST, &format!("limit is not a number from 1 to {most}"))))
}

/// A body in JSON; `example` shows who sends another what is expected.
fn read<T: DeserializeOwned>(body: &[u8], example: &str) -> Result<T, Box<Response>> {
    serde_json::from_slice(body).map_err(|e| {
        let text = format!("the body is not what is expected ({e}); send {example}");
        Box::new(error(StatusCode::BAD_REQUEST, &text))
    })
}

/// More than any configuration may have, so that those too large get a helpful answer.
const MAX_BODY_BYTES: usize = 4 << 20;
const STORE_LIMIT: std::time::Duration = std::time::Duration::from_secs(5);
const MAX_MESSAGE_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests;
