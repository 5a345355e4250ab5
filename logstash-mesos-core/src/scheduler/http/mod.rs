//! REST, the page, metrics, the executor's program, and gRPC: everything on one port.

mod check;
mod configs;
mod dead_letters;
mod document;
mod explain;
mod find;
mod follower;
mod forward;
mod guard;
mod last_lines;
mod live;
mod metrics;
mod overview;
mod pages;
mod plugins;
mod problem;
mod session;
mod streams;
mod try_out;
mod versions;

use super::binary::ServedBinary;
use super::grpc::ControlService;
use super::grpc_standard;
use super::listener::{self, Listener};
use super::node::Node;
use super::policy_file::PolicyShown;
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
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use problem::error;

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
    // What is for programs and people is in the document of the API.
    let (mut router, document) = OpenApiRouter::with_openapi(document::begin())
        .routes(routes!(get_status))
        .routes(routes!(resume_rollout))
        .routes(routes!(explain::get))
        .routes(routes!(overview::get))
        .routes(routes!(overview::events))
        .routes(routes!(overview::history))
        .routes(routes!(dead_letters::get, dead_letters::discard))
        .routes(routes!(dead_letters::replay))
        .routes(routes!(live::get))
        .routes(routes!(last_lines::get))
        .routes(routes!(streams::get))
        .routes(routes!(find::get))
        .routes(routes!(plugins::get))
        .routes(routes!(get_policy))
        .routes(routes!(session::get, session::sign_in, session::sign_out))
        .routes(routes!(versions::get))
        .routes(routes!(versions::roll_back))
        .routes(routes!(check::post))
        .routes(routes!(try_out::post))
        .routes(routes!(configs::list, configs::put_by_query, configs::delete_by_query))
        .routes(routes!(configs::get_host, configs::put_host))
        .routes(routes!(health))
        .routes(routes!(ready))
        .routes(routes!(metrics::get))
        .split_for_parts();
    let named = || get(configs::get).put(configs::put).post(configs::put).delete(configs::delete);
    router = router
        .route_service("/logstash_mesos.control.v1.Control/{method}", control)
        .route("/executor/{sha256}/logstash-mesos-executor", get(executor))
        .route("/api/configs/{*name}", named())
        // The predecessor's documents have the paths without `/api`.
        .route(
            "/configs",
            get(configs::list)
                .post(configs::put_by_query)
                .put(configs::put_by_query)
                .delete(configs::delete_by_query),
        )
        .route("/configs/{*name}", named())
        .route("/host-config", get(configs::get_host).put(configs::put_host).post(configs::put_host))
        .merge(grpc_standard::router(shared.clone()).expect("what is described is compiled in"))
        .merge(document::router(document, shared.has_page()));
    if shared.has_page() {
        router = router.merge(pages::router());
    }
    let access = Arc::new(shared.access().clone());
    router
        .fallback(not_found)
        .with_state(shared)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(access, guard::guard))
        .layer(middleware::map_response(problem::shaped))
}

/// Whether the process lives.
#[utoipa::path(get, path = "/health", tag = "operation", responses((status = 200, body = String)))]
async fn health() -> &'static str {
    "alive\n"
}

/// The framework, and a page of its agents with what they read.
#[utoipa::path(get, path = "/api/status", tag = "status", params(status::Page),
    responses((status = 200, body = status::StatusAnswer)))]
async fn get_status(
    State(shared): State<Arc<Shared>>,
    page: Result<Query<status::Page>, QueryRejection>,
) -> Response {
    let page = match page {
        Ok(Query(page)) => page.bounded(),
        Err(rejection) => return error(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    shared.sessions().watch();
    Json(status::answer(&shared, &page)).into_response()
}

/// Whether a roll-out went on.
#[derive(Serialize, ToSchema)]
struct Resumed {
    /// False when none had stopped.
    resumed: bool,
}

/// Which configurations may read which containers, as the policy's file says.
#[utoipa::path(get, path = "/api/policy", tag = "configurations", responses((status = 200, body = PolicyShown)))]
async fn get_policy(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.policy().shown()).into_response()
}

/// Lets a roll-out go on that has stopped after failures.
#[utoipa::path(post, path = "/api/rollout/resume", tag = "operation", responses((status = 200, body = Resumed)))]
async fn resume_rollout(
    State(shared): State<Arc<Shared>>,
    Extension(Author { by, from }): Extension<Author>,
) -> Response {
    let resumed = shared.state().resume_rollout();
    if resumed {
        tracing::info!(target: "audit", %by, from, "Roll-out goes on, as an operator asked");
        shared.sessions().wake.notify_one();
    }
    Json(Resumed { resumed }).into_response()
}

/// Whether this scheduler can be of use: it is subscribed and its state can be read. 503 says what is missing.
#[utoipa::path(get, path = "/ready", tag = "operation", responses((status = 200, body = String)))]
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
    let asked = tokio::time::timeout(STORE_LIMIT, Records::last_claim(shared.store())).await;
    match asked {
        Ok(Ok(_)) => "ready\n".into_response(),
        Ok(Err(e)) => error(StatusCode::SERVICE_UNAVAILABLE, &crate::error_chain(&e)),
        Err(_) => error(StatusCode::SERVICE_UNAVAILABLE, "the state store does not answer"),
    }
}

async fn executor(State(shared): State<Arc<Shared>>, method: Method, Path(sha256): Path<String>) -> Response {
    let Some(binary) = shared.binary().filter(|b| b.sha256() == sha256).cloned() else {
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
