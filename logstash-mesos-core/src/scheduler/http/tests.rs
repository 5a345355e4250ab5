//! REST as clients see it, without a port.

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

#[tokio::test]
async fn everything_is_explained_and_what_is_not_there_is_said() {
    let server = Server::new("127.0.0.1:9092").await;
    let offer = |id: &str, host: &str| proto::Offer {
        id: proto::OfferId { value: format!("offer-{id}") },
        agent_id: proto::AgentId { value: id.to_owned() },
        hostname: host.to_owned(),
        ..proto::Offer::default()
    };
    let offers = vec![offer("m-S0", "web-1.example"), offer("m-S1", "web-2.example")];
    // They are held for a moment, as others may come; then it is time.
    let now_ms = super::super::clock::now_ms();
    server.shared.state().apply(Event::Offers(offers), now_ms - 60_000, &mut || 1);
    let (_, held) = server.call("GET", "/api/explain?q=S0", "").await;
    assert_eq!(held["subjects"][0]["state"], "unknown", "{held}");
    server.shared.state().apply(Event::Tick, now_ms, &mut || 1);

    let (status, all) = server.call("GET", "/api/explain", "").await;
    assert_eq!((status, &all["totals"]["agents"], &all["totals"]["problem"]), (200, &json!(2), &json!(2)));
    assert_eq!(
        (&all["subjects"][0]["kind"], &all["subjects"][0]["state"]),
        (&json!("framework"), &json!("problem"))
    );
    let step = &all["subjects"][1]["steps"][0];
    assert_eq!((&all["subjects"][1]["name"], &step["code"]), (&json!("web-1.example"), &json!("too_small")));
    assert_eq!(step["figures"]["wanted_mem_megabytes"], 64.0);
    assert!(step["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{step}");

    let (_, page) = server.call("GET", "/api/explain?limit=1", "").await;
    assert_eq!((page["subjects"].as_array().map(Vec::len), &page["next_offset"]), (Some(2), &json!(1)));
    let (_, page) = server.call("GET", "/api/explain?limit=1&offset=1&only=problem", "").await;
    assert_eq!((&page["subjects"][0]["name"], &page["next_offset"]), (&json!("web-2.example"), &Value::Null));
    for (query, names) in [
        ("m-S1", &["web-2.example"][..]),
        ("S1", &["web-2.example"]),
        ("WEB-1", &["web-1.example"]),
        ("web-1.example", &["web-1.example"]),
        ("m-", &["web-1.example", "web-2.example"]),
    ] {
        let (_, found) = server.call("GET", &format!("/api/explain?q={query}"), "").await;
        let found: Vec<_> =
            found["subjects"].as_array().expect("is there").iter().map(|s| &s["name"]).collect();
        assert_eq!(found, names, "{query}");
    }
    let (status, missing) = server.call("GET", "/api/explain?q=web-3.example", "").await;
    let text = missing["error"].as_str().unwrap_or_default();
    assert_eq!(status, 404);
    assert!(text.contains("close: web-1.example, web-2.example") && text.contains("not listed"), "{text}");
    for wrong in ["only=bad", "limit=0", "limit=x", "what=1"] {
        assert_eq!(server.call("GET", &format!("/api/explain?{wrong}"), "").await.0, 400, "{wrong}");
    }

    let service = super::super::grpc::ControlService { shared: server.shared.clone() };
    let ask = |query: &str, limit| {
        tonic::Request::new(ExplainRequest { query: query.to_owned(), limit, ..Default::default() })
    };
    let answer = service.explain(ask("", 1)).await.expect("answers").into_inner();
    let shown: Vec<_> =
        answer.subjects.iter().map(|subject| (subject.kind(), subject.name.as_str())).collect();
    assert_eq!(shown, [(SubjectKind::Framework, "logstash"), (SubjectKind::Agent, "web-1.example")]);
    assert_eq!((answer.next_offset, answer.totals.map(|t| t.agents)), (Some(1), Some(2)));
    assert_eq!(service.explain(ask("x", 0)).await.map_err(|e| e.code()).err(), Some(tonic::Code::NotFound));
}

#[tokio::test]
async fn configurations_are_created_read_replaced_and_removed() {
    let server = Server::new("127.0.0.1:9092").await;
    let (status, _) =
        server.call("POST", "/api/configs", r#"{"name":"nginx:1.27","input":"filter { }"}"#).await;
    assert_eq!(status, 200);
    let name = "/api/configs/library%2Fnginx";
    let body = r#"{"input":"filter { drop { } }","match":{"label.app":"web"}}"#;
    assert_eq!(server.call("PUT", name, body).await.0, 200);
    let (status, read) = server.call("GET", name, "").await;
    assert_eq!(
        (status, &read["input"], &read["match"]),
        (200, &json!("filter { drop { } }"), &json!({"label.app": "web"}))
    );
    let (_, list) = server.call("GET", "/api/configs", "").await;
    let names: Vec<_> = list.as_array().expect("a list").iter().map(|c| c["name"].clone()).collect();
    assert_eq!(names, ["library/nginx", "nginx:1.27"]);
    let (_, replaced) = server.call("PUT", name, r#"{"input":"filter { drop { } }"}"#).await;
    assert_eq!(replaced.get("match"), None, "a PUT without match clears it");
    assert_eq!(server.call("DELETE", name, "").await.0, 200);
    assert_eq!(server.call("GET", name, "").await.0, 404);
    assert_eq!(server.call("DELETE", name, "").await.0, 404);
    assert_eq!(server.call("PUT", name, r#"{"name":"other","input":""}"#).await.0, 400);
    assert_eq!(server.call("PUT", name, "{").await.0, 400);
    assert_eq!(server.call("POST", "/api/configs", r#"{"name":"x"}"#).await.0, 400);
}

#[tokio::test]
async fn versions_are_told_and_brought_back() {
    let server = Server::new("127.0.0.1:9092").await;
    let put = async |input: &str| {
        let body = json!({"input": input}).to_string();
        let (status, stored) = server.call("PUT", "/api/configs/web", &body).await;
        assert_eq!(status, 200, "{stored}");
        stored["version"].clone()
    };
    let first = put("filter { drop { } }").await;
    let second = put("filter { }").await;
    let (_, told) = server.call("GET", "/api/versions?name=web", "").await;
    assert_eq!((&told["current"]["version"], &told["past"][0]["version"]), (&second, &first));
    assert_eq!(told["past"][0]["ended"], told["current"]["written"]);
    assert_eq!(told["current"]["written"]["by"], "anybody");
    assert!(told["current"]["written"]["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{told}");
    let one = format!("/api/versions?name=web&version={}", first.as_str().expect("a text"));
    assert_eq!(server.call("GET", &one, "").await.1["input"], "filter { drop { } }");

    let back = json!({"name": "web", "version": first}).to_string();
    let (status, stored) = server.call("POST", "/api/rollback", &back).await;
    assert_eq!((status, &stored["input"]), (200, &json!("filter { drop { } }")), "{stored}");
    // Also what was removed comes back.
    server.call("DELETE", "/api/configs/web", "").await;
    let (_, told) = server.call("GET", "/api/versions?name=web", "").await;
    assert_eq!((&told["current"], &told["past"][0]["removed"]), (&Value::Null, &json!(true)));
    assert_eq!(told["past"].as_array().map(Vec::len), Some(3));
    let (status, _) = server.call("POST", "/api/rollback", &back).await;
    assert_eq!((status, server.call("GET", "/api/configs/web", "").await.0), (200, 200));

    for (path, body, expected) in [
        ("/api/rollback", json!({"name": "web", "version": "none"}), 404),
        ("/api/rollback", json!({"name": "web"}), 400),
        ("/api/rollback", json!({}), 400),
    ] {
        let (status, said) = server.call("POST", path, &body.to_string()).await;
        assert!(status == expected && said["error"].is_string(), "{status} {said}");
    }
    assert_eq!(server.call("GET", "/api/versions?name=other", "").await.0, 404);
    assert_eq!(server.call("GET", "/api/versions", "").await.0, 400);
}

#[tokio::test]
async fn the_predecessors_forms_work_too() {
    let server = Server::new("127.0.0.1:9092").await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let (status, _) = server.raw(Method::POST, "/configs", &form, "name=a%3A1&input=filter+%7B+%7D").await;
    assert_eq!(status, 200);
    assert_eq!(server.call("PUT", "/api/configs/whatever?name=b&input=filter%20%7B%20%7D", "").await.0, 200);
    assert_eq!(server.call("GET", "/configs/a%3A1", "").await.1["input"], "filter { }");
    assert_eq!(server.call("GET", "/api/configs?name=b", "").await.1["name"], "b");
    assert_eq!(server.call("DELETE", "/api/configs?name=b", "").await.0, 200);
    assert_eq!(server.call("DELETE", "/api/configs?name=b", "").await.0, 200, "as it was");
    let (status, _) = server.raw(Method::PUT, "/host-config", &form, "input=filter+%7B+%7D").await;
    assert_eq!(status, 200);
    assert_eq!(server.call("GET", "/api/host-config", "").await.1["input"], "filter { }");
    assert_eq!(server.call("PUT", "/api/host-config", r#"{"input":""}"#).await.0, 200);
    assert_eq!(server.call("GET", "/api/host-config", "").await.1, json!({"name": "ui", "input": ""}));
}

#[tokio::test]
async fn a_host_configuration_of_another_name_is_named_in_the_query() {
    let server = Server::new("127.0.0.1:9092").await;
    let path = "/api/host-config?name=sample";
    assert_eq!(server.call("PUT", path, r#"{"input":"filter { }"}"#).await.1["name"], "sample");
    assert_eq!(server.call("GET", path, "").await.1["input"], "filter { }");
    assert_eq!(server.call("GET", "/api/host-config", "").await.1["input"], "");
    assert_eq!(server.call("PUT", path, r#"{"input":""}"#).await.1["removed"], "sample");
    assert_eq!(server.call("GET", path, "").await.0, 404);
}

#[tokio::test]
async fn a_configuration_is_checked_and_not_stored() {
    let server = Server::new("127.0.0.1:9092").await;
    let draft = r#"{"name":"a","kind":"docker","input":"filter {\n  grokk { }\n}"}"#;
    let (status, body) = server.call("POST", "/api/check", draft).await;
    let first = &body["diagnostics"][0];
    assert_eq!(
        (status, &first["severity"], &first["line"], &first["column"]),
        (200, &json!("error"), &json!(2), &json!(3))
    );
    assert!(first["remedy"].as_str().is_some_and(|remedy| remedy.contains("grok")), "{body}");
    let (_, fine) = server.call("POST", "/api/check", r#"{"input":"filter { }"}"#).await;
    assert_eq!(fine["diagnostics"], json!([]));
    for wrong in ["x", r#"{"input":"","kind":"all"}"#, r#"{"text":""}"#] {
        assert_eq!(server.call("POST", "/api/check", wrong).await.0, 400, "{wrong}");
    }
    assert_eq!(server.call("GET", "/api/configs", "").await.1, json!([]));
}

#[tokio::test]
async fn the_event_stream_begins_with_what_one_may_do_and_how_things_stand() {
    for (bind, may_write) in [("127.0.0.1:9092", true), ("0.0.0.0:9092", false)] {
        let server = Server::new(bind).await;
        let request = Request::builder().uri("/api/events").header(header::HOST, "127.0.0.1:9092");
        let request = request.body(Body::empty()).expect("is one");
        let response = server.router.clone().oneshot(request).await.expect("never fails");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        let mut body = response.into_body();
        let mut text = String::new();
        let mut more = async |text: &mut String| {
            let frame = body.frame().await.expect("goes on").expect("reads");
            text.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap_or_default()));
        };
        while text.matches("\n\n").count() < 2 {
            more(&mut text).await;
        }
        assert!(text.contains(&format!("\"may_write\":{may_write}")), "{text}");
        let overview = text.lines().filter_map(|line| line.strip_prefix("data: ")).nth(1).expect("is there");
        let overview: Value = serde_json::from_str(overview).expect("is JSON");
        // There is no master.
        assert_eq!(
            (&overview["problems_total"], &overview["problems"][0]["code"]),
            (&json!(1), &json!("master"))
        );
        server.shared.show("later".into());
        while !text.contains("data: later") {
            more(&mut text).await;
        }
        server.shared.end_lead();
        assert!(body.frame().await.is_none(), "it ends with the lead");
    }
}

#[tokio::test]
async fn what_does_not_compile_is_refused_with_its_place_and_a_remedy() {
    let server = Server::new("127.0.0.1:9092").await;
    let (status, body) =
        server.call("PUT", "/api/configs/a", r#"{"input":"filter {\n  grokk { }\n}"}"#).await;
    assert_eq!((status, &body["line"], &body["column"]), (422, &json!(2), &json!(3)));
    assert!(body["remedy"].as_str().is_some_and(|r| r.contains("grok")), "{body}");
    assert!(body["code"].as_str().is_some_and(|c| c.starts_with('E')), "{body}");
    assert_eq!(server.call("GET", "/api/configs", "").await.1, json!([]));
}

#[tokio::test]
async fn preconditions_directories_and_sizes_have_their_own_answers() {
    let server = Server::new("127.0.0.1:9092").await;
    let put = async |headers: &[(&str, &str)]| {
        server.raw(Method::PUT, "/api/configs/a", headers, r#"{"input":"filter { }"}"#).await.0.as_u16()
    };
    assert_eq!(put(&[("if-none-match", "*")]).await, 200);
    assert_eq!(put(&[("if-none-match", "*")]).await, 412);
    assert_eq!(put(&[("if-match", "\"other\"")]).await, 412);
    let large = json!({"input": "#".repeat(270_000)}).to_string();
    assert_eq!(server.call("PUT", "/api/configs/a", &large).await.0, 413);
    let content = Configuration {
        name: "d".to_owned(),
        kind: Kind::Docker,
        input: "filter { }".to_owned(),
        matches: BTreeMap::new(),
        source: Source::Directory,
    };
    let path = "/c/docker/d.conf".into();
    let found =
        crate::configs::directory::Found { kind: Kind::Docker, name: "d".into(), path, content: Ok(content) };
    server.shared.registry().sync(&[Source::Directory], vec![found]).await.expect("syncs");
    assert_eq!(server.call("PUT", "/api/configs/d", r#"{"input":"filter { }"}"#).await.0, 409);
    assert_eq!(server.call("DELETE", "/api/configs/d", "").await.0, 409);
    assert_eq!(server.call("GET", "/api/configs/d", "").await.1["source"], "directory");
}

#[tokio::test]
async fn who_may_not_write_sees_no_secret() {
    for (bind, sees) in [("127.0.0.1:9092", true), ("0.0.0.0:9092", false)] {
        let server = Server::new(bind).await;
        let secret =
            "output { elasticsearch { hosts => 'http://a:s3cret@h' password => \"s3cret\" user => \"u\" } }";
        for configuration in [Configuration::docker("a", secret), Configuration::host("ui", secret)] {
            server
                .shared
                .registry()
                .put(configuration, Precondition::default(), &Author::part("test"))
                .await
                .expect("stores");
        }
        let version = Configuration::docker("a", secret).version();
        for path in ["/api/configs", "/api/configs/a", "/configs?name=a", "/api/host-config"] {
            let (status, body) = server.call("GET", path, "").await;
            let body = body.to_string();
            assert_eq!(status, 200, "{path}");
            assert_eq!(body.contains("s3cret"), sees, "{bind} {path}: {body}");
            assert!(
                body.contains("elasticsearch") && (sees || body.contains(HIDDEN)),
                "{bind} {path}: {body}"
            );
            assert!(
                path.contains("host") || body.contains(&version),
                "the version is that of the whole: {body}"
            );
        }
        let texts = server.shared.access().texts(&HeaderMap::new());
        let executors = server.shared.sessions().lock();
        let listed = status::configurations(&server.shared, &executors, texts);
        assert_eq!(format!("{listed:?}").contains("s3cret"), sees);
        drop(executors);
        let status = status::cluster(&server.shared, &Default::default());
        assert!(!format!("{status:?}").contains("s3cret"));
    }
}

#[tokio::test]
async fn beyond_loopback_everything_can_be_read_and_nothing_written() {
    let server = Server::new("0.0.0.0:9092").await;
    let (status, body) = server.call("PUT", "/api/configs/a", r#"{"input":"filter { }"}"#).await;
    assert_eq!(status, 403);
    assert!(
        body["error"].as_str().is_some_and(|e| e.contains("--auth-file") && e.contains("--no-auth")),
        "{body}"
    );
    for path in ["/api/status", "/api/configs", "/health", "/metrics", "/"] {
        assert_eq!(server.call("GET", path, "").await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn the_status_says_why_an_agent_has_no_shipper() {
    let server = Server::new("127.0.0.1:9092").await;
    let mut offer = proto::Offer { hostname: "host-1".to_owned(), ..proto::Offer::default() };
    offer.agent_id.value = "S1".to_owned();
    let events = [Event::Subscribed { framework_id: "f".into() }, Event::Offers(vec![offer])];
    for event in events {
        server.shared.state().apply(event, 1_000, &mut || 0);
    }
    // For so long another offer might have come.
    server.shared.state().apply(Event::Tick, 5_000, &mut || 0);
    let (_, status) = server.call("GET", "/api/status", "").await;
    let agent = &status["agents"][0];
    assert_eq!(
        (&agent["agent_id"], &agent["hostname"], &agent["executor"]),
        (&json!("S1"), &json!("host-1"), &Value::Null)
    );
    let reason = agent["declined"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("needs 0.1 cpus, largest offer 0 cpus"), "{reason}");
    assert_eq!(agent["declined"][0]["at"], "1970-01-01T00:00:05.000Z");
    assert_eq!(status["framework"]["id"], "f");
    assert_eq!(server.call("GET", "/ready", "").await.0, 503);
}

#[tokio::test]
async fn the_executors_program_is_served_whole_under_its_hash() {
    let server = Server::new("127.0.0.1:9092").await;
    let path = server.shared.binary().expect("is there").path();
    let (status, body) = server.raw(Method::GET, &path, &[], "").await;
    assert_eq!((status, body), (StatusCode::OK, vec![7; 1_000_000]));
    assert_eq!(server.call("GET", "/executor/other/logstash-mesos-executor", "").await.0, 404);
}

#[tokio::test]
async fn a_configuration_can_be_tried_on_lines() {
    let server = Server::new("127.0.0.1:9092").await;
    let trial = json!({
        "input": "filter { if [message] == \"x\" { drop { } } mutate { add_field => { \"a\" => \"%{message}!\" } } }",
        "lines": ["x", "y"],
    });
    let (status, body) = server.call("POST", "/api/try", &trial.to_string()).await;
    assert_eq!(status, 200, "{body}");
    let events = body["events"].as_array().expect("a list");
    assert_eq!((events.len(), &events[0]["a"]), (1, &json!("y!")));
    // Line by line, after each filter.
    let after: Vec<_> =
        body["lines"][1].as_array().expect("steps").iter().map(|step| &step["after"]).collect();
    assert_eq!(after, ["if … drop", "mutate"]);
    assert_eq!(
        (&body["lines"][0][0]["events"], &body["lines"][1][0]["events"][0]["a"]),
        (&json!([]), &Value::Null)
    );
    assert_eq!(body["lines"][1][1]["events"][0]["a"], "y!");
    assert_eq!(server.call("POST", "/api/try", r#"{"input":"filter {"}"#).await.0, 422);
    assert_eq!(server.call("POST", "/api/try", "x").await.0, 400);
}

#[tokio::test]
async fn an_editor_is_told_every_plugin_with_its_settings() {
    let server = Server::new("127.0.0.1:9092").await;
    let (_, body) = server.call("GET", "/api/plugins", "").await;
    let all = body["plugins"].as_array().expect("a list");
    let find = |kind: &str, name: &str| {
        all.iter().find(|one| one["kind"] == kind && one["name"] == name).expect(name)
    };
    let setting = |plugin: &Value, name: &str| {
        plugin["settings"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|one| one["name"] == name)
            .cloned()
            .unwrap_or_default()
    };
    let grok = find("filter", "grok");
    assert!(grok["doc"].as_str().is_some_and(|doc| doc.len() > 10));
    assert_eq!(
        (&setting(grok, "match")["takes"], &setting(grok, "add_tag")["takes"]),
        (&json!("hash"), &json!("array"))
    );
    assert_eq!(setting(grok, "break_on_match")["choices"], json!(["true", "false"]));
    assert_eq!(setting(grok, "type"), Value::Null, "what is refused is not offered");
    assert_eq!(setting(find("input", "docker"), "codec")["codec"], true);
}

/// An executor that talks to the server over a real port.
struct Peer {
    say: tokio::sync::mpsc::Sender<ExecutorMessage>,
    heard: tonic::Streaming<SchedulerMessage>,
}

impl Peer {
    async fn open(url: &str, token: &str) -> Self {
        let endpoint = tonic::transport::Endpoint::from_shared(url.to_owned()).expect("a URL");
        let mut client = ControlClient::new(endpoint.connect().await.expect("connects"));
        let (say, said) = tokio::sync::mpsc::channel(4);
        let hello = Hello {
            framework_id: "f".to_owned(),
            agent_id: "S1".to_owned(),
            executor_id: "e".to_owned(),
            hostname: "host-1".to_owned(),
            token: token.to_owned(),
            ..Hello::default()
        };
        let first = ExecutorMessage { message: Some(executor_message::Message::Hello(hello)) };
        say.send(first).await.expect("is open");
        let said = tokio_stream::wrappers::ReceiverStream::new(said);
        let heard = client.session(said).await.expect("is served").into_inner();
        Self { say, heard }
    }

    async fn next_look(&mut self) -> Look {
        loop {
            if let scheduler_message::Message::Look(look) = self.next().await {
                return look;
            }
        }
    }

    async fn next(&mut self) -> scheduler_message::Message {
        self.heard.message().await.expect("is open").and_then(|m| m.message).expect("says something")
    }
}

#[tokio::test]
async fn an_executor_is_admitted_by_the_token_that_mesos_brought_and_gets_every_change() {
    let server = Server::new("127.0.0.1:9092").await;
    let address = "127.0.0.1:0".parse().expect("an address");
    let stop = CancellationToken::new();
    let port = listener::Listener::bind(address, Duration::ZERO, &stop).await.expect("binds");
    let url = format!("http://{}", port.address());
    let tls = PortTls::new(&HttpTls::default());
    tokio::spawn(listener::serve(port, tls, server.router.clone(), stop.clone()));
    let shared = &server.shared;

    // A task runs on the agent.
    let resource = |(name, value): (&str, f64)| proto::Resource {
        name: name.to_owned(),
        scalar: Some(proto::value::Scalar { value }),
        ..proto::Resource::default()
    };
    let mut offer = proto::Offer { hostname: "host-1".to_owned(), ..proto::Offer::default() };
    offer.agent_id.value = "S1".to_owned();
    offer.resources = [("cpus", 1.0), ("mem", 100.0)].map(resource).to_vec();
    {
        let mut state = shared.state();
        state.apply(Event::Subscribed { framework_id: "f".into() }, 1, &mut || 0);
        state.apply(Event::Offers(vec![offer]), 1, &mut || 0);
        let task_id = state.tasks().next().expect("is launched").task_id.clone();
        let running = proto::TaskStatus {
            task_id: (&task_id).into(),
            state: proto::TaskState::TaskRunning.into(),
            ..proto::TaskStatus::default()
        };
        state.apply(Event::Update(Box::new(running)), 1, &mut || 0);
        shared.sessions().expect(&"S1".into(), state.tasks());
    }

    // Who was not woken gets nothing but a refusal.
    for token in ["", "guessed"] {
        let refusal = Peer::open(&url, token).await.next().await;
        assert!(matches!(refusal, scheduler_message::Message::Rejected(r) if r.token_invalid), "{token:?}");
    }
    let wakes = shared.sessions().wakes_due(&url, "", 1);
    let [(_, wake)] = &wakes[..] else { panic!("{wakes:?}") };
    assert!(shared.sessions().wakes_due(&url, "", 2).is_empty(), "not at once again");
    let again = shared.sessions().wakes_due(&url, "", 10_000);
    assert_eq!(again[0].1.token, wake.token, "repeated until it is used");

    let mut peer = Peer::open(&url, &wake.token).await;
    assert!(matches!(peer.next().await, scheduler_message::Message::Welcome(_)));
    assert!(
        matches!(peer.next().await, scheduler_message::Message::ConfigSet(set) if set.configurations.is_empty())
    );
    assert!(shared.sessions().wakes_due(&url, "", 1_000_000).is_empty(), "it was used");

    assert_eq!(server.call("PUT", "/api/configs/nginx", r#"{"input":"filter { }"}"#).await.0, 200);
    let set = config_set(&shared.registry().snapshot(), "", &BTreeMap::new());
    shared.sessions().set.send_replace(Arc::new(set));
    let scheduler_message::Message::ConfigSet(set) = peer.next().await else { panic!("no set") };
    assert_eq!(set.configurations[0].name, "nginx");

    // What it says is shown, and its complaint stands beside the configuration.
    let stream = StreamStatus {
        id: "1".to_owned(),
        name: "web".to_owned(),
        container_id: "c0ffee0123".to_owned(),
        configurations: vec!["nginx".to_owned()],
        method: "proc-root".to_owned(),
        path: "/var/log/a".to_owned(),
        source: SourceKind::Path.into(),
        lost: [("truncated".to_owned(), 3)].into(),
        ..StreamStatus::default()
    };
    let reason = "did you mean `codec`?".to_owned();
    let refused = RefusedLabels {
        container_id: "decade0123".to_owned(),
        name: "db".to_owned(),
        labels: vec![RefusedLabel { label: "logstash.mesos/codc".to_owned(), reason }],
        ..RefusedLabels::default()
    };
    let status =
        Status { streams: vec![stream], events_in: 7, refused_labels: vec![refused], ..Status::default() };
    let result = ConfigResult {
        name: "nginx".to_owned(),
        kind: ConfigKind::Docker.into(),
        version: set.configurations[0].version.clone(),
        error: "no such plugin there".to_owned(),
    };
    let applied = Applied { set_version: set.set_version, results: vec![result] };
    for message in [executor_message::Message::Status(status), executor_message::Message::Applied(applied)] {
        peer.say.send(ExecutorMessage { message: Some(message) }).await.expect("is open");
    }
    let shown = async || server.call("GET", "/api/status", "").await.1;
    while shown().await["configurations"][0]["error"].is_null() {
        tokio::task::yield_now().await;
    }
    let status = shown().await;
    assert!(
        status["configurations"][0]["error"].as_str().is_some_and(|e| e.contains("no such plugin there"))
    );
    assert_eq!(status["agents"][0]["executor"]["connected"], true);
    assert_eq!(
        (&status["streams"][0]["path"], &status["streams"][0]["lost"]["truncated"]),
        (&json!("/var/log/a"), &json!(3))
    );

    // It is found, listed and explained.
    let (_, streams) = server.call("GET", "/api/streams?q=lost:%3E2%20name:web&sort=-lost", "").await;
    assert_eq!(
        (&streams["total"], &streams["agents"], &streams["streams"][0]["hostname"]),
        (&json!(1), &json!(1), &json!("host-1"))
    );
    assert_eq!(
        (&streams["streams"][0]["state"], &streams["streams"][0]["lost_text"]),
        (&json!("problem"), &json!("3 (truncated)"))
    );
    assert_eq!(server.call("GET", "/api/streams?q=other", "").await.1["total"], 0);
    for wrong in ["sort=colour", "limit=0", "what=1"] {
        assert_eq!(server.call("GET", &format!("/api/streams?{wrong}"), "").await.0, 400, "{wrong}");
    }
    let (_, found) = server.call("GET", "/api/find?q=WEB", "").await;
    assert_eq!(found["containers"][0]["container_id"], "c0ffee0123");
    assert_eq!(server.call("GET", "/api/find?q=nginx", "").await.1["configurations"][0]["name"], "nginx");
    assert_eq!(server.call("GET", "/api/find?q=hots-1", "").await.1["close"], json!(["host-1"]));
    let (_, way) = server.call("GET", "/api/explain?q=c0ffee", "").await;
    let way = &way["subjects"][0];
    assert_eq!(
        (&way["kind"], &way["name"], &way["state"]),
        (&json!("container"), &json!("web"), &json!("problem"))
    );
    let steps: Vec<_> =
        way["steps"].as_array().expect("a list").iter().map(|s| (&s["code"], &s["state"])).collect();
    let (ok, problem) = (json!("ok"), json!("problem"));
    let codes = ["configurations", "container", "matched", "read"].map(|code| json!(code));
    assert_eq!(steps, [(&codes[0], &problem), (&codes[1], &ok), (&codes[2], &ok), (&codes[3], &problem)]);
    // One of which nothing is read is known by what it says.
    let found = server.call("GET", "/api/find?q=DB", "").await.1;
    assert_eq!(
        (&found["containers"][0]["container_id"], &found["containers"][0]["hostname"], &found["close"]),
        (&json!("decade0123"), &json!("host-1"), &json!([]))
    );
    let (_, way) = server.call("GET", "/api/explain?q=db", "").await;
    let steps = way["subjects"][0]["steps"].as_array().expect("a list");
    let step = steps.iter().find(|step| step["code"] == "labels").expect("it is named");
    assert_eq!(step["state"], problem);
    assert!(
        step["text"]
            .as_str()
            .is_some_and(|text| text.contains("logstash.mesos/codc") && text.contains("codec"))
    );
    let refused = &shown().await["agents"][0]["executor"]["refused_labels"][0];
    assert_eq!(
        (&refused["name"], refused["labels"].as_object().map(|all| all.len())),
        (&json!("db"), Some(1))
    );
    let (_, overview) = server.call("GET", "/api/overview", "").await;
    let kinds: Vec<_> = overview["problems"].as_array().expect("a list").iter().map(|p| &p["kind"]).collect();
    assert_eq!(kinds, ["framework", "configuration", "agent", "stream"], "{overview}");
    assert_eq!(shown().await["configurations"][0]["refused_by"], 1);

    // Events are asked of it while somebody looks, and no longer.
    let endpoint = tonic::transport::Endpoint::from_shared(url.clone()).expect("a URL");
    let mut client = ControlClient::new(endpoint.connect().await.expect("connects"));
    let question = |query: &str| TailRequest { query: query.to_owned(), ..TailRequest::default() };
    assert_eq!(
        client.tail(question("nobody")).await.expect_err("is not there").code(),
        tonic::Code::NotFound
    );
    let mut seen = client.tail(question("web")).await.expect("is there").into_inner();
    let look = peer.next_look().await;
    assert_eq!((look.streams.as_str(), look.end), ("container:c0ffee0123:", false));
    let mut next = async || seen.message().await.expect("goes on").expect("goes on").message;
    let Some(tail_response::Message::Subject(subject)) = next().await else { panic!("no subject") };
    assert_eq!((subject.kind.as_str(), subject.places[0].hostname.as_str()), ("container", "host-1"));
    let sight =
        Sight { look_id: look.look_id, events: vec![LiveEvent::default()], left_out: 3, ..Sight::default() };
    let message = Some(executor_message::Message::Sight(sight));
    peer.say.send(ExecutorMessage { message }).await.expect("is open");
    let Some(tail_response::Message::Events(events)) = next().await else { panic!("no events") };
    assert_eq!((events.hostname.as_str(), events.events.len(), events.left_out), ("host-1", 1, 3));
    drop(seen);
    let ended = peer.next_look().await;
    assert_eq!((ended.look_id, ended.end), (look.look_id, true));

    // A second process with the same token takes the place of the first.
    let mut second = Peer::open(&url, &wake.token).await;
    assert!(matches!(second.next().await, scheduler_message::Message::Welcome(_)));
    // What was on its way before may still come.
    while let Ok(Some(_)) = peer.heard.message().await {}
    stop.cancel();
}

#[tokio::test]
async fn every_operation_of_the_document_is_served() {
    let server = Server::new("127.0.0.1:9092").await;
    let (status, document) = server.call("GET", "/api/openapi.json", "").await;
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")));
    let mut ids = Vec::new();
    for (path, item) in document["paths"].as_object().expect("has paths") {
        for (method, operation) in item.as_object().expect("has methods") {
            ids.push(operation["operationId"].to_string());
            assert!(operation["responses"]["default"].is_object(), "{method} {path}");
            let path = path.replace("{name}", "a%2Fb");
            let request = Request::builder().method(method.to_uppercase().as_str()).uri(&path);
            let request = request.header(header::HOST, "127.0.0.1:9092").body(Body::empty()).expect("is one");
            // The head is enough: one of the answers never ends.
            let response = server.router.clone().oneshot(request).await.expect("never fails");
            assert_ne!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            if response.status() == StatusCode::NOT_FOUND {
                let body = response.into_body().collect().await.expect("reads").to_bytes();
                let body = String::from_utf8_lossy(&body);
                assert!(!body.contains("nothing at this path"), "{method} {path}: {body}");
            }
        }
    }
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert!(all > 20 && ids.len() == all, "{ids:?}");
    // What is referred to is there.
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap_or_default();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}

#[tokio::test]
async fn every_error_has_a_sentence_a_code_and_a_remedy() {
    let server = Server::new("127.0.0.1:9092").await;
    let large = "x".repeat(super::MAX_BODY_BYTES + 1);
    for (method, path, body, status, code) in [
        ("GET", "/api/nothing", "", 404, "not_found"),
        ("GET", "/api/configs/none", "", 404, "not_found"),
        ("PATCH", "/api/configs", "", 405, "method_not_allowed"),
        ("GET", "/api/streams?limit=x", "", 400, "invalid_request"),
        ("GET", "/api/streams?limit=0", "", 400, "invalid_request"),
        ("GET", "/api/explain?what=x", "", 400, "invalid_request"),
        ("GET", "/api/configs/%ff", "", 400, "invalid_request"),
        ("POST", "/api/check", "{", 400, "invalid_request"),
        ("POST", "/api/try", &large, 413, "too_large"),
        ("GET", "/api/dead-letters?agent=none", "", 404, "not_found"),
        ("GET", "/api/dead-letters?ids=x", "", 400, "invalid_request"),
        ("GET", "/api/dead-letters?limit=0", "", 400, "invalid_request"),
        ("GET", "/ready", "", 503, "unavailable"),
    ] {
        let (found, problem) = server.call(method, path, body).await;
        assert_eq!((found, &problem["code"]), (status, &json!(code)), "{method} {path}: {problem}");
        let said = |name: &str| problem[name].as_str().is_some_and(|text| text.len() > 5);
        assert!(said("error") && said("remedy"), "{method} {path}: {problem}");
    }
}

#[tokio::test]
async fn the_page_of_the_document_comes_whole_and_asks_nobody_else() {
    let server = Server::new("127.0.0.1:9092").await;
    let get = async |path: &str| {
        let (status, body) = server.raw(Method::GET, path, &[], "").await;
        assert_eq!(status, StatusCode::OK, "{path}");
        let mut text = String::new();
        let read = std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*body), &mut text);
        read.map_or_else(|_| String::from_utf8(body).expect("is text"), |_| text)
    };
    let page = get("/api/docs/").await;
    let mut files = 0;
    for part in page.split("src=\"").chain(page.split("href=\"")).filter_map(|part| part.strip_prefix("./")) {
        let file = part.split('"').next().unwrap_or_default();
        if !file.ends_with(".png") {
            assert!(get(&format!("/api/docs/{file}")).await.len() > 50, "{file}");
            files += 1;
        }
    }
    assert!(files >= 4, "{page}");
    let starts = get("/api/docs/swagger-initializer.js").await;
    assert!(starts.contains("\"../openapi.json\"") && !starts.contains("https://"), "{starts}");
}

#[tokio::test]
async fn what_is_removed_is_the_version_that_was_read() {
    let server = Server::new("127.0.0.1:9092").await;
    for (path, method, body) in [
        ("/api/configs/a", Method::DELETE, ""),
        ("/api/configs?name=a", Method::DELETE, ""),
        ("/api/host-config", Method::PUT, r#"{"input": ""}"#),
    ] {
        let place = path.replace("?name=a", "/a");
        let (_, stored) = server.call("PUT", &place, r#"{"input": "filter { }"}"#).await;
        let version = format!("\"{}\"", stored["version"].as_str().unwrap_or_default());
        for (expected, status) in [("\"old\"", StatusCode::PRECONDITION_FAILED), (&version, StatusCode::OK)] {
            let (found, said) = server.raw(method.clone(), path, &[("if-match", expected)], body).await;
            assert_eq!(found, status, "{method} {path} {expected}: {}", String::from_utf8_lossy(&said));
        }
    }
}
