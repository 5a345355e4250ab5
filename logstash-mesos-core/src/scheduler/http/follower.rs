//! What a scheduler serves that does not lead: the configurations from the store, its own health and numbers, and
//! everything else by way of the leader.

use super::super::access::{GRPC, Wish, is_from_page};
use super::super::leader::answers;
use super::super::node::Node;
use super::configs::{self, Given};
use super::forward::{forward, try_forward};
use super::{error, executor_program, guard, metrics, pages, problem};
use crate::configs::Snapshot;
use crate::error_chain;
use crate::protocol::{Configuration, ConfigurationStatus, ListConfigsRequest, ListConfigsResponse};
use crate::telemetry::{Exposition, table};
use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tonic::codegen::BoxFuture;
use tonic::server::{Grpc, UnaryService};
use tonic_prost::ProstCodec;

/// Everything that is served while another scheduler leads, or none.
pub(super) fn router(node: Arc<Node>) -> Router {
    let mut router = Router::new()
        .route("/health", get(|| async { "alive\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(numbers))
        .route("/executor/{sha256}/logstash-mesos-executor", get(executor))
        .route(&format!("{GRPC}ListConfigs"), post(list_configs));
    for prefix in ["/api", ""] {
        router = router
            .route(&format!("{prefix}/configs"), get(list).fallback(pass_on))
            .route(&format!("{prefix}/configs/{{*name}}"), get(one).fallback(pass_on))
            .route(&format!("{prefix}/host-config"), get(host).fallback(pass_on));
    }
    if node.ui {
        router = router.merge(pages::router());
    }
    let access = Arc::new(node.access.clone());
    router
        .fallback(pass_on)
        .with_state(node.clone())
        .layer(middleware::from_fn_with_state(access, guard::guard))
        .layer(middleware::from_fn_with_state(node, pass_browsers_on))
        .layer(middleware::map_response(problem::shaped))
}

/// Who signed in with a browser is known to the leader alone.
async fn pass_browsers_on(State(node): State<Arc<Node>>, request: Request, next: Next) -> Response {
    if is_from_page(request.headers()) && guard::wish_of(&request) != Wish::Free {
        return forward(&node, request).await;
    }
    next.run(request).await
}

async fn pass_on(State(node): State<Arc<Node>>, request: Request) -> Response {
    forward(&node, request).await
}

async fn list(State(node): State<Arc<Node>>, headers: HeaderMap, Query(query): Query<Given>) -> Response {
    stored(&node, &headers, |snapshot| configs::listed(snapshot, query)).await
}

async fn one(State(node): State<Arc<Node>>, headers: HeaderMap, Path(name): Path<String>) -> Response {
    stored(&node, &headers, |snapshot| configs::one(snapshot, &name)).await
}

async fn host(State(node): State<Arc<Node>>, headers: HeaderMap, Query(query): Query<Given>) -> Response {
    stored(&node, &headers, |snapshot| configs::host(snapshot, query)).await
}

async fn stored(node: &Node, headers: &HeaderMap, answer: impl FnOnce(&Snapshot) -> Response) -> Response {
    match node.stored_configs().await {
        Ok(snapshot) => answer(&configs::shown(&node.access, headers, snapshot)),
        Err(e) => error(StatusCode::SERVICE_UNAVAILABLE, &error_chain(&e)),
    }
}

/// The leader knows more: which files and which executors refuse a configuration. Without one, what is stored.
async fn list_configs(State(node): State<Arc<Node>>, request: Request) -> Response {
    let headers = request.headers().clone();
    if let Ok(response) = try_forward(&node, request).await {
        return response;
    }
    let mut request = Request::new(axum::body::Body::from(EMPTY_MESSAGE));
    *request.headers_mut() = headers;
    let response = Grpc::new(ProstCodec::default()).unary(StoredConfigs(node), request).await;
    response.map(axum::body::Body::new)
}

struct StoredConfigs(Arc<Node>);

impl UnaryService<ListConfigsRequest> for StoredConfigs {
    type Response = ListConfigsResponse;
    type Future = BoxFuture<tonic::Response<ListConfigsResponse>, tonic::Status>;

    fn call(&mut self, request: tonic::Request<ListConfigsRequest>) -> Self::Future {
        let node = self.0.clone();
        let texts = node.access.texts(&request.into_parts().0.into_headers());
        Box::pin(async move {
            let snapshot =
                node.stored_configs().await.map_err(|e| tonic::Status::unavailable(error_chain(&e)))?;
            let entries = snapshot.entries.values().map(|entry| ConfigurationStatus {
                configuration: Some(Configuration::told(entry, texts)),
                error: String::new(),
            });
            Ok(tonic::Response::new(ListConfigsResponse { configurations: entries.collect() }))
        })
    }
}

async fn ready(State(node): State<Arc<Node>>) -> Response {
    let leader = node.leader().borrow().clone();
    let problem = match leader {
        None => "no scheduler leads at the moment".to_owned(),
        Some(leader) if leader.id == node.me.id => "this scheduler is about to lead".to_owned(),
        Some(leader) if answers(&leader, &node.tls).await => {
            return format!("ready, following {}\n", leader.url).into_response();
        }
        Some(leader) => format!("the leading scheduler does not answer at {}", leader.url),
    };
    error(StatusCode::SERVICE_UNAVAILABLE, &problem)
}

/// Another build of the leader has another program, and agents ask whichever scheduler they reach.
async fn executor(
    State(node): State<Arc<Node>>,
    method: Method,
    Path(sha256): Path<String>,
    request: Request,
) -> Response {
    match node.binary.clone().filter(|binary| binary.sha256() == sha256) {
        Some(binary) => executor_program(binary, &method),
        None => forward(&node, request).await,
    }
}

async fn numbers(State(node): State<Arc<Node>>) -> Response {
    let known = node.leader().borrow().is_some();
    let mut out = Exposition::default();
    out.one(&table::LEADER, 0.0);
    out.one(&table::LEADER_KNOWN, f64::from(u8::from(known)));
    out.one(&table::REQUESTS_FORWARDED, node.forwarded.load(Ordering::Relaxed) as f64);
    out.one(&table::REQUESTS_NOT_FORWARDED, node.forward_failures.load(Ordering::Relaxed) as f64);
    metrics::answer(out)
}

/// Of gRPC: not compressed, no bytes.
const EMPTY_MESSAGE: &[u8] = &[0; 5];

#[cfg(test)]
mod tests {
    use super::super::super::access::Access;
    use super::super::super::definition::Program;
    use super::super::front;
    use super::*;
    use crate::configs::{Author, Checked, Configuration, Precondition, Registry};
    use crate::election::{Leader, MemoryElection};
    use crate::protocol::control_client::ControlClient;
    use crate::scheduler::node::Leading;
    use crate::store::{MemoryStore, SharedState};
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    async fn leaderless() -> (Arc<Node>, Router) {
        let store = Arc::new(MemoryStore::default());
        let registry = Registry::load(store.clone(), Arc::new(|_| Checked::default())).await.expect("loads");
        let configuration = Configuration::docker("a", "filter { }");
        registry.put(configuration, Precondition::default(), &Author::part("test")).await.expect("stores");
        let me =
            Leader { id: "me".to_owned(), url: "http://127.0.0.1:9092".to_owned(), holder: "me".to_owned() };
        let state = SharedState { store, election: Arc::new(MemoryElection::default()) };
        let access =
            Access::new("127.0.0.1:9092".parse().expect("an address"), false, None).expect("is fine");
        let program = (Program::Command("/bin/true".to_owned()), None);
        let masters = tokio::sync::watch::channel(vec![]).1;
        let node = Arc::new(Node::new(me, "logstash".to_owned(), state, access, true, program, masters));
        (node.clone(), front(node))
    }

    async fn ask(router: &Router, method: &str, path: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request.body(Body::empty()).expect("is one");
        let Ok(response) = router.clone().oneshot(request).await;
        let retry = response.headers().contains_key("retry-after");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("reads").to_bytes();
        assert_eq!(retry, status == 503 && !path.contains("ready"), "{method} {path}");
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_a_leader_is_answered_by_this_scheduler_once_it_leads() {
        let (node, router) = leaderless().await;
        let store = node.state.store.clone();
        let asked = tokio::spawn(async move { ask(&router, "PUT", "/api/configs/a%2Fb").await });
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert!(!asked.is_finished());
        let named = axum::routing::put(|Path(name): Path<String>| async { name });
        let router = Router::new().route("/api/configs/{*name}", named);
        let checker = Arc::new(|_: &Configuration| Checked::default());
        let registry = Arc::new(Registry::load(store, checker).await.expect("loads"));
        node.lead(Leading { router, registry });
        assert_eq!(asked.await.expect("ends"), (200, "a/b".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_signed_in_with_a_browser_is_known_to_the_leader_alone() {
        let (_, router) = leaderless().await;
        for (path, status) in [("/api/configs", 503), ("/", 200), ("/health", 200)] {
            let request = Request::get(path).header("cookie", "a=b; logstash-mesos-session=x");
            let request = request.body(Body::empty()).expect("is one");
            let Ok(response) = router.clone().oneshot(request).await;
            assert_eq!(response.status().as_u16(), status, "{path}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_leader_the_configurations_are_still_there() {
        let (_, router) = leaderless().await;
        for (method, path, status, part) in [
            ("GET", "/health", 200, "alive"),
            ("GET", "/", 200, "<html"),
            ("GET", "/metrics", 200, "logstash_mesos_leader 0"),
            ("GET", "/ready", 503, "no scheduler leads"),
            ("GET", "/api/configs", 200, "filter { }"),
            ("GET", "/configs?name=a", 200, "filter { }"),
            ("GET", "/api/configs/a", 200, "filter { }"),
            ("GET", "/api/configs/b", 404, "there is no configuration"),
            ("GET", "/api/host-config", 200, "\"input\":\"\""),
            ("GET", "/api/status", 503, "no scheduler leads"),
            ("GET", "/api/explain", 503, "no scheduler leads"),
            ("PUT", "/api/configs/a", 503, "no scheduler leads"),
            ("DELETE", "/configs?name=a", 503, "no scheduler leads"),
        ] {
            let (found, body) = ask(&router, method, path).await;
            assert!(found == status && body.contains(part), "{method} {path}: {found} {body}");
        }
        let mut client = ControlClient::new(router);
        let listed = client.list_configs(ListConfigsRequest {}).await.expect("is answered").into_inner();
        assert_eq!(listed.configurations.len(), 1);
        let refused =
            client.get_status(crate::protocol::GetStatusRequest::default()).await.expect_err("nobody leads");
        assert_eq!(refused.code(), tonic::Code::Unavailable);
    }
}
