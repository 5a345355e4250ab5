//! REST as clients see it, without a port.

mod configurations;
mod document;
mod executors;
mod rights;
mod standing;

use super::super::access::Access;
use super::super::binary::ServedBinary;
use super::super::check::checker;
use super::super::link::Link;
use super::super::listener;
use super::super::policy_file::Standing;
use super::super::port_tls::{HttpTls, PortTls};
use super::super::sessions::{Sessions, config_set};
use super::super::shared::{Fixed, Shared};
use super::super::state::{Event, Policy, State};
use super::super::status;
use super::router;
use crate::configs::{Author, Configuration, Kind, Precondition, Registry, Source};
use crate::offer::Needs;
use crate::offer::testing::plain_strategy;
use crate::pipeline::compile::HIDDEN;
use crate::pipeline::plugin::EcsCompatibility;
use crate::protocol::control_client::ControlClient;
use crate::protocol::control_server::Control;
use crate::protocol::{
    Applied, ConfigKind, ConfigResult, ExecutorMessage, ExplainRequest, Hello, LiveEvent, Look, RefusedLabel,
    RefusedLabels, SchedulerMessage, Sight, SourceKind, Status, StreamStatus, SubjectKind, TailRequest,
    executor_message, scheduler_message, tail_response,
};
use crate::store::MemoryStore;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use mesos_v1::proto;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

struct Server {
    shared: Arc<Shared>,
    router: Router,
}

impl Server {
    async fn new(bind: &str) -> Self {
        let store = Arc::new(MemoryStore::default());
        let registry =
            Arc::new(Registry::load(store.clone(), checker(EcsCompatibility::V8)).await.expect("loads"));
        let needs = Needs { cpus_milli: 100, mem_megabytes: 64, disk_megabytes: 0 };
        let policy = Policy {
            strategy: Arc::new(plain_strategy(needs)),
            executor_id: "e".into(),
            task_prefix: "logstash".to_owned(),
            launch_parallelism: 1,
            rollout_parallelism: 1,
            rollout_max_failures: 1,
            launch_timeout: Duration::from_secs(1),
            backoff_first: Duration::from_secs(1),
            backoff_longest: Duration::from_secs(1),
            backoff_reset: Duration::from_secs(1),
            stranger_grace: Duration::from_secs(1),
            closed: None,
        };
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), vec![7; 1_000_000]).expect("writes");
        let fixed = Fixed {
            framework_name: "logstash".to_owned(),
            registry,
            sessions: Arc::new(Sessions::new(config_set(&Default::default(), "", &BTreeMap::new()), 1)),
            store,
            binary: Some(Arc::new(ServedBinary::open(file.path()).expect("reads"))),
            access: Access::new(bind.parse().expect("an address"), false, None).expect("is fine"),
            ecs: EcsCompatibility::V8,
            has_page: true,
            url: "http://127.0.0.1:9092".to_owned(),
            tls: PortTls::new(&HttpTls::default()),
        };
        let state = State::new(policy, None, []);
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared::new(fixed, state, Link::default(), Standing::default(), stop));
        Self { router: router(shared.clone()), shared }
    }

    async fn raw(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (StatusCode, Vec<u8>) {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "127.0.0.1:9092");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).expect("is one");
        let response = self.router.clone().oneshot(request).await.expect("never fails");
        let status = response.status();
        (status, response.into_body().collect().await.expect("reads").to_bytes().to_vec())
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let method = method.parse().expect("a method");
        let (status, body) = self.raw(method, path, &[], body).await;
        (status.as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}
