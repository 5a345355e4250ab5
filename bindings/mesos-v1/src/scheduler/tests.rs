use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::*;
use crate::endpoint::EndpointError;
use crate::proto::scheduler::{Call, Event, call, event};
use crate::proto::{OfferId, TaskId, TaskStatus};
use crate::scripted::{PATIENCE, Received, Server, Stream};
use crate::transport::RedirectError;

fn config(masters: Vec<Endpoint>) -> SchedulerConfig {
    let framework = FrameworkInfo {
        user: "nobody".into(),
        name: "test".into(),
        roles: vec!["a".into(), "b".into()],
        ..FrameworkInfo::default()
    };
    SchedulerConfig {
        backoff_first: Duration::from_millis(20),
        backoff_longest: Duration::from_millis(80),
        backoff_refused_first: Duration::from_millis(150),
        backoff_refused: Duration::from_millis(150),
        request_timeout: Duration::from_secs(2),
        random: Random::new(|| 1.0),
        ..SchedulerConfig::new(masters, framework)
    }
}

async fn connect(server: &Server) -> (SchedulerHandle, SchedulerEvents) {
    SchedulerClient::connect(config(vec![server.endpoint.clone()])).unwrap()
}

async fn next(events: &mut SchedulerEvents) -> SchedulerEvent {
    timeout(PATIENCE, events.next()).await.expect("an event comes").expect("client lives")
}

async fn reason(events: &mut SchedulerEvents) -> DisconnectReason {
    match next(events).await {
        SchedulerEvent::Disconnected { reason, .. } => reason,
        other => panic!("expected Disconnected, got {other:?}"),
    }
}

fn subscribed(interval: f64) -> Event {
    Event {
        r#type: Some(event::Type::Subscribed.into()),
        subscribed: Some(event::Subscribed {
            framework_id: FrameworkId { value: "F".into() },
            heartbeat_interval_seconds: Some(interval),
            master_info: None,
        }),
        ..Event::default()
    }
}

fn heartbeat() -> Event {
    Event { r#type: Some(event::Type::Heartbeat.into()), ..Event::default() }
}

fn error(message: &str) -> Event {
    Event {
        r#type: Some(event::Type::Error.into()),
        error: Some(event::Error { message: message.into() }),
        ..Event::default()
    }
}

/// Accepts the next SUBSCRIBE.
async fn accept(server: &mut Server, events: &mut SchedulerEvents, stream_id: &str) -> Stream {
    let request = server.next().await;
    assert_eq!(request.decode::<Call>().r#type(), call::Type::Subscribe);
    let stream = request.stream(Some(stream_id));
    stream.send(&subscribed(15.0));
    assert!(matches!(next(events).await, SchedulerEvent::Subscribed { .. }));
    stream
}

fn kill(task: &str) -> SchedulerCall {
    SchedulerCall::Kill(call::Kill { task_id: TaskId { value: task.into() }, ..call::Kill::default() })
}

fn exact_headers(request: &Received) {
    assert_eq!(request.path, "/api/v1/scheduler");
    assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(request.header("accept"), Some("application/x-protobuf"));
    assert!(request.header("host").is_some() && request.header("content-length").is_some());
    assert_eq!(request.header("accept-encoding"), None);
}

// SCH-1, SCH-2: two connections, calls in order on one of them, headers as Mesos compares them.
#[tokio::test]
async fn calls_go_in_order_over_a_connection_of_their_own() {
    let mut server = Server::start().await;
    let (handle, mut events) = connect(&server).await;
    let request = server.next().await;
    exact_headers(&request);
    assert_eq!(request.header("mesos-stream-id"), None, "forbidden on SUBSCRIBE");
    let call: Call = request.decode();
    assert_eq!((call.framework_id, call.subscribe.unwrap().framework_info.id), (None, None));
    let subscribe_connection = request.connection;
    let stream = request.stream(Some("stream-1"));
    stream.send(&heartbeat()); // as masters before 1.5.1 do
    stream.send(&subscribed(15.0));
    assert_eq!(next(&mut events).await, SchedulerEvent::Heartbeat);
    assert!(matches!(next(&mut events).await, SchedulerEvent::Subscribed { framework_id, stream_id, .. }
        if framework_id.value == "F" && stream_id.as_str() == "stream-1"));

    let calls = tokio::spawn(async move {
        for task in ["1", "2", "3"] {
            let handle = handle.clone();
            handle.call(kill(task)).await.unwrap();
        }
    });
    let mut connections = Vec::new();
    for task in ["1", "2", "3"] {
        let request = server.next().await;
        exact_headers(&request);
        assert_eq!(request.header("mesos-stream-id"), Some("stream-1"));
        let call: Call = request.decode();
        assert_eq!(call.framework_id.as_ref().map(|id| id.value.as_str()), Some("F"));
        assert_eq!(call.kill.unwrap().task_id.value, task);
        connections.push(request.connection);
        request.status(202, "");
    }
    calls.await.unwrap();
    assert!(connections.iter().all(|connection| *connection == connections[0]));
    assert_ne!(connections[0], subscribe_connection);
}

// SCH-3: the Location of Mesos 1.11 has no scheme and another path; ours is kept.
#[tokio::test]
async fn redirects_lead_to_the_leader() {
    let (mut follower, mut leader) = (Server::start().await, Server::start().await);
    let (_handle, mut events) = connect(&follower).await;
    let location = format!("//{}/master/api/v1/scheduler", leader.endpoint.authority());
    follower.next().await.status_with(307, &[("Location", &location)], "");
    let _stream = accept(&mut leader, &mut events, "s").await;
}

// DET-2
#[tokio::test]
async fn redirect_loops_and_chains_are_noticed() {
    let mut servers = Vec::new();
    for _ in 0..5 {
        servers.push(Server::start().await);
    }
    let (_handle, mut events) = connect(&servers[0]).await;
    for (from, to) in [(0, 1), (1, 0)] {
        let location = format!("//{}", servers[to].endpoint.authority());
        servers[from].next().await.status_with(307, &[("Location", &location)], "");
    }
    let redirect = |reason| match reason {
        DisconnectReason::Redirect { source } => source,
        other => panic!("{other}"),
    };
    assert!(matches!(redirect(reason(&mut events).await), RedirectError::Circle { .. }));
    for from in 0..4 {
        let location = format!("//{}", servers[from + 1].endpoint.authority());
        servers[from].next().await.status_with(307, &[("Location", &location)], "");
    }
    assert!(matches!(redirect(reason(&mut events).await), RedirectError::TooMany { max: 3, .. }));
    servers[0].next().await.status_with(307, &[("Location", "ftp://m:5050/")], "");
    let source = redirect(reason(&mut events).await);
    assert!(matches!(source, RedirectError::Location { source: EndpointError::Scheme { .. }, .. }));
    servers[0].next().await.status_with(307, &[], "");
    assert!(matches!(redirect(reason(&mut events).await), RedirectError::NoLocation { .. }));
}

// SCH-3: 503 and 404 mean "not yet", 400 and the like that a person has to act.
#[tokio::test]
async fn refused_subscriptions_are_tried_again() {
    let mut server = Server::start().await;
    let (_handle, mut events) = connect(&server).await;
    for (status, text) in [(503, "No leader elected"), (404, ""), (500, "?")] {
        server.next().await.status(status, text);
        if status == 404 {
            is_not_old(&mut server).await;
        }
        let reason = reason(&mut events).await;
        assert!(
            matches!(&reason, DisconnectReason::NoLeader { text: said } if said.contains(text)),
            "{reason}"
        );
        assert!(!reason.needs_person());
    }
    for (status, text) in [(400, "Failed to validate"), (403, "no value"), (415, "")] {
        server.next().await.status(status, text);
        is_not_old(&mut server).await;
        let SchedulerEvent::Disconnected { reason, retry_in } = next(&mut events).await else { panic!() };
        assert!(
            matches!(&reason, DisconnectReason::Refused { status: said, .. } if *said == status),
            "{reason}"
        );
        assert!(reason.needs_person() && retry_in == Duration::from_millis(150));
    }
    server.next().await.hang_up();
    assert!(matches!(reason(&mut events).await, DisconnectReason::Unreachable { .. }));
    server.next().await.stream(None);
    assert!(
        matches!(reason(&mut events).await, DisconnectReason::StreamEnded { text } if text.contains("Stream-Id"))
    );
    let _stream = accept(&mut server, &mut events, "s").await;
}

async fn is_not_old(server: &mut Server) {
    let request = server.next().await;
    assert_eq!(request.path, "/version");
    request.status(200, r#"{"version":"1.11.0"}"#);
}

// VER-1: libprocess of 0.22 gives what it does not know to the master, which answers 404 without a body. There is no
// /version before 0.26, and the keys of /state.json are sorted.
#[tokio::test]
async fn a_master_of_before_the_api_is_named_with_its_version_until_it_is_upgraded() {
    let mut server = Server::start().await;
    let (_handle, mut events) = connect(&server).await;
    for _ in 0..2 {
        for path in ["/api/v1/scheduler", "/version"] {
            let request = server.next().await;
            assert_eq!(request.path, path);
            request.status(404, "");
        }
        let request = server.next().await;
        assert_eq!(request.path, "/state.json");
        request.status(
            200,
            r#"{"activated_slaves":1,"cluster":"c","frameworks":[{"name":"x","tasks":[{"labels":[{"key":"version",
               "value":"9"}]}]}],"id":"20150505","pid":"master@10.0.0.1:5050","version":"0.22.1"}"#,
        );
        let SchedulerEvent::Disconnected { reason, retry_in } = next(&mut events).await else { panic!() };
        assert!(reason.needs_person() && retry_in == Duration::from_millis(150), "{reason}");
        let said = format!("the master {} is Mesos 0.22.1, which lacks the v1 API", server.endpoint);
        assert_eq!(reason.to_string(), said);
    }
    let _stream = accept(&mut server, &mut events, "s").await;
}

// SCH-3, SEC-1: after 401 the credentials are read once more, and only then is there a complaint.
#[tokio::test]
async fn credentials_are_read_again_after_a_401() {
    let mut server = Server::start().await;
    let reads = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&reads);
    let config = SchedulerConfig {
        authorization: Authorization::from_fn(move || {
            Some(format!("Basic {}", counter.fetch_add(1, Ordering::SeqCst).min(1)))
        }),
        ..config(vec![server.endpoint.clone()])
    };
    let (_handle, mut events) = SchedulerClient::connect(config).unwrap();
    let request = server.next().await;
    assert_eq!(request.header("authorization"), Some("Basic 0"));
    request.status(401, "");
    let request = server.next().await;
    assert_eq!(request.header("authorization"), Some("Basic 1"));
    request.status(401, "bad credentials");
    let reason = reason(&mut events).await;
    assert!(matches!(&reason, DisconnectReason::Unauthorized { text } if text.contains("bad credentials")));
    assert!(reason.needs_person());
}

#[test]
fn basic_credentials_are_encoded_and_hidden() {
    let basic = Authorization::basic("me", "secret");
    assert_eq!(basic.header().unwrap(), "Basic bWU6c2VjcmV0");
    assert!(!format!("{basic:?} {:?}", basic.header()).contains("bWU6"));
}

// SCH-4: silence for five heartbeats ends the stream, and both connections.
#[tokio::test]
async fn silence_ends_the_subscription() {
    let mut server = Server::start().await;
    let (handle, mut events) = connect(&server).await;
    let request = server.next().await;
    let stream = request.stream(Some("s"));
    stream.send(&subscribed(0.05));
    assert!(matches!(next(&mut events).await, SchedulerEvent::Subscribed { .. }));
    let since = Instant::now();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.send(&heartbeat());
        assert_eq!(next(&mut events).await, SchedulerEvent::Heartbeat);
    }
    assert!(matches!(reason(&mut events).await,
        DisconnectReason::Silence { silence } if silence == Duration::from_millis(250)));
    assert!(since.elapsed() >= Duration::from_millis(650), "each heartbeat counts");
    stream.closed().await;
    assert!(matches!(handle.call(kill("1")).await, Err(CallError::NotSubscribed { .. })));
    // The same id, in both places (facts 1.4).
    let call: Call = server.next().await.decode();
    assert_eq!(call.framework_id.unwrap().value, "F");
    assert_eq!(call.subscribe.unwrap().framework_info.id.unwrap().value, "F");
}

#[tokio::test]
async fn a_lost_or_broken_stream_is_replaced() {
    let mut server = Server::start().await;
    let (_handle, mut events) = connect(&server).await;
    drop(accept(&mut server, &mut events, "1").await);
    assert!(matches!(reason(&mut events).await, DisconnectReason::StreamEnded { .. }));
    let stream = accept(&mut server, &mut events, "2").await;
    stream.raw("<html>");
    assert!(
        matches!(reason(&mut events).await, DisconnectReason::StreamEnded { text } if text.contains("0x3c"))
    );
    let stream = accept(&mut server, &mut events, "3").await;
    stream.raw("3\n\u{1}\u{1}\u{1}");
    assert!(
        matches!(reason(&mut events).await, DisconnectReason::StreamEnded { text } if text.contains("not an event"))
    );
    let stream = accept(&mut server, &mut events, "4").await;
    stream.raw("99999999999\n");
    assert!(
        matches!(reason(&mut events).await, DisconnectReason::StreamEnded { text } if text.contains("limit"))
    );
}

// SCH-7: the master's answer to a call shows that it has forgotten us.
#[tokio::test]
async fn a_call_refused_for_its_stream_leads_to_a_new_subscription() {
    let mut server = Server::start().await;
    let (handle, mut events) = connect(&server).await;
    for (status, text) in [
        (400, "The stream ID 'x' included in this request didn't match the stream ID currently associated"),
        (400, "Framework cannot be found"),
        (403, "Framework is not subscribed"),
        (307, ""),
    ] {
        let stream = accept(&mut server, &mut events, "s").await;
        let called = {
            let handle = handle.clone();
            tokio::spawn(async move { handle.call(kill("1")).await })
        };
        server.next().await.status(status, text);
        assert!(matches!(called.await.unwrap(), Err(CallError::SubscriptionLost { .. })), "{text}");
        assert!(matches!(reason(&mut events).await, DisconnectReason::CallRefused { .. }), "{text}");
        stream.closed().await;
    }
}

#[tokio::test]
async fn other_refusals_of_a_call_leave_the_subscription_alone() {
    let mut server = Server::start().await;
    let (handle, mut events) = connect(&server).await;
    let stream = accept(&mut server, &mut events, "s").await;
    for (status, transient) in [(400, false), (403, false), (501, false), (503, true), (404, true)] {
        let handle = handle.clone();
        let called = tokio::spawn(async move { handle.call(kill("1")).await });
        server.next().await.status(status, "no");
        let error = called.await.unwrap().unwrap_err();
        assert_eq!(error.is_transient(), transient, "{error}");
        assert!(!error.outcome_unknown());
    }
    stream.send(&heartbeat());
    assert_eq!(next(&mut events).await, SchedulerEvent::Heartbeat);
}

// SCH-6: what a call did is not known when its answer does not come.
#[tokio::test]
async fn a_call_without_an_answer_has_an_unknown_outcome() {
    let mut server = Server::start().await;
    let config = SchedulerConfig {
        request_timeout: Duration::from_millis(200),
        ..config(vec![server.endpoint.clone()])
    };
    let (handle, mut events) = SchedulerClient::connect(config).unwrap();
    let _stream = accept(&mut server, &mut events, "s").await;
    let error = handle.call(kill("1")).await.unwrap_err();
    assert!(error.outcome_unknown() && error.is_transient(), "{error}");
    let hung = server.next().await;
    let called = {
        let handle = handle.clone();
        tokio::spawn(async move { handle.call(kill("2")).await })
    };
    server.next().await.hang_up();
    assert!(called.await.unwrap().unwrap_err().outcome_unknown());
    drop(hung);
    // The next one has a connection of its own again.
    let called = tokio::spawn(async move { handle.call(kill("3")).await });
    server.next().await.status(202, "");
    called.await.unwrap().unwrap();
}

// SCH-8: a call that names offers goes out on their stream or not at all.
#[tokio::test]
async fn a_call_of_an_earlier_stream_is_not_sent() {
    let mut server = Server::start().await;
    let (handle, mut events) = connect(&server).await;
    drop(accept(&mut server, &mut events, "1").await);
    reason(&mut events).await;
    let _stream = accept(&mut server, &mut events, "2").await;
    let decline = |offer: &str| {
        SchedulerCall::Decline(call::Decline {
            offer_ids: vec![OfferId { value: offer.into() }],
            filters: None,
        })
    };
    let error = handle.call_on(&StreamId("1".into()), decline("old")).await.unwrap_err();
    assert!(matches!(error, CallError::StaleStream { call: "DECLINE" }));
    let called = tokio::spawn(async move { handle.call_on(&StreamId("2".into()), decline("new")).await });
    let request = server.next().await;
    assert_eq!(request.decode::<Call>().decline.unwrap().offer_ids[0].value, "new");
    request.status(202, "");
    called.await.unwrap().unwrap();
}

// Facts 5.1: two instances must not push each other out.
#[tokio::test]
async fn a_final_error_ends_the_client() {
    for (message, kind) in
        [("Framework failed over", ErrorKind::FailedOver), ("Framework has been removed", ErrorKind::Removed)]
    {
        let mut server = Server::start().await;
        let (handle, mut events) = connect(&server).await;
        let stream = accept(&mut server, &mut events, "s").await;
        stream.send(&error(message));
        let told = next(&mut events).await;
        assert!(matches!(told, SchedulerEvent::Error { kind: told, .. } if told == kind));
        assert_eq!(events.next().await, None);
        assert!(matches!(handle.call(kill("1")).await, Err(CallError::NotSubscribed { .. })));
        server.silent_for(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn an_authorization_error_is_tried_again_slowly() {
    let mut server = Server::start().await;
    let (_handle, mut events) = connect(&server).await;
    server.next().await.stream(Some("s")).send(&error("Not authorized to use roles 'a'"));
    assert!(matches!(next(&mut events).await, SchedulerEvent::Error { kind: ErrorKind::NotAuthorized, .. }));
    assert!(matches!(next(&mut events).await, SchedulerEvent::Disconnected { retry_in, .. }
        if retry_in == Duration::from_millis(150)));
    let _stream = accept(&mut server, &mut events, "s").await;
}

#[tokio::test]
async fn every_master_of_the_list_is_tried() {
    let gone = Server::start().await.endpoint;
    let (mut waits, mut leads) = (Server::start().await, Server::start().await);
    let masters = vec![gone, waits.endpoint.clone(), leads.endpoint.clone()];
    let (_handle, mut events) = SchedulerClient::connect(config(masters)).unwrap();
    waits.next().await.status(503, "No leader elected");
    let _stream = accept(&mut leads, &mut events, "s").await;
}

// DET-3: a change seen in ZooKeeper does not wait for silence.
#[tokio::test]
async fn a_new_leader_is_followed_at_once() {
    let (mut old, mut new) = (Server::start().await, Server::start().await);
    let (handle, mut events) = SchedulerClient::connect(config(vec![])).unwrap();
    assert!(matches!(reason(&mut events).await, DisconnectReason::NoLeader { .. }));
    handle.set_masters(vec![old.endpoint.clone()]);
    let mut stream = None;
    while stream.is_none() {
        // Attempts without any master may come in between.
        tokio::select! {
            request = old.next() => {
                let accepted = request.stream(Some("1"));
                accepted.send(&subscribed(15.0));
                stream = Some(accepted);
            }
            _ = next(&mut events) => {}
        }
    }
    while !matches!(next(&mut events).await, SchedulerEvent::Subscribed { .. }) {}
    handle.set_masters(vec![new.endpoint.clone()]);
    assert!(matches!(
        next(&mut events).await,
        SchedulerEvent::Disconnected { reason: DisconnectReason::MasterChanged, retry_in: Duration::ZERO }
    ));
    let _stream = accept(&mut new, &mut events, "2").await;
}

// Facts 6.1: the list of suppressed roles is taken as it is sent, so it must be the current one.
#[tokio::test]
async fn a_new_subscription_repeats_what_was_suppressed() {
    let mut server = Server::start().await;
    let (handle, mut events) = connect(&server).await;
    let suppress =
        |roles: &[&str]| SchedulerCall::Suppress { roles: roles.iter().map(|r| (*r).to_owned()).collect() };
    let revive =
        |roles: &[&str]| SchedulerCall::Revive { roles: roles.iter().map(|r| (*r).to_owned()).collect() };
    for (calls, expected) in [
        (vec![suppress(&[])], vec!["a", "b"]),
        (vec![revive(&["a"])], vec!["b"]),
        (vec![revive(&[]), suppress(&["a"])], vec!["a"]),
    ] {
        let stream = accept(&mut server, &mut events, "s").await;
        for call in calls {
            let handle = handle.clone();
            let called = tokio::spawn(async move { handle.call(call).await });
            server.next().await.status(202, "");
            called.await.unwrap().unwrap();
        }
        drop(stream);
        reason(&mut events).await;
        let request = server.next().await;
        assert_eq!(request.decode::<Call>().subscribe.unwrap().suppressed_roles, expected);
        request.status(503, "");
        reason(&mut events).await;
    }
}

// VER-2: what a later Mesos sends does not disturb.
#[tokio::test]
async fn unknown_events_and_fields_are_passed_over() {
    let mut server = Server::start().await;
    let (_handle, mut events) = connect(&server).await;
    let stream = accept(&mut server, &mut events, "s").await;
    stream.send(&Event { r#type: Some(4711), ..Event::default() });
    assert_eq!(next(&mut events).await, SchedulerEvent::Unknown { number: 4711 });
    stream.send(&Event { r#type: Some(event::Type::Offers.into()), ..Event::default() });
    assert_eq!(next(&mut events).await, SchedulerEvent::Unknown { number: 2 });
    let status = TaskStatus { state: 99, reason: Some(1000), ..TaskStatus::default() };
    stream.send(&Event {
        r#type: Some(event::Type::Update.into()),
        update: Some(event::Update { status: status.clone() }),
        ..Event::default()
    });
    assert_eq!(next(&mut events).await, SchedulerEvent::Update(Box::new(status)));
    // Field 999, a varint.
    stream.raw(&b"5\n\x08\x08\xb8\x3e\x01"[..]);
    assert_eq!(next(&mut events).await, SchedulerEvent::Heartbeat);
}

// HA-5: going away is a failover. Nothing is sent, and both connections close.
#[tokio::test]
async fn dropping_the_events_closes_without_a_word() {
    let mut server = Server::start().await;
    let (handle, mut events) = connect(&server).await;
    let stream = accept(&mut server, &mut events, "s").await;
    drop(events);
    stream.closed().await;
    assert!(handle.call(kill("1")).await.is_err());
    server.silent_for(Duration::from_millis(200)).await;
}

// The same, told by a channel that outlives clients; an empty list tells nothing.
#[tokio::test]
async fn a_leader_that_is_told_elsewhere_is_followed() {
    let (mut old, mut new) = (Server::start().await, Server::start().await);
    let (leader, told) = watch::channel(vec![old.endpoint.clone()]);
    let config = SchedulerConfig { masters_from: Some(told), ..config(vec![]) };
    let (_handle, mut events) = SchedulerClient::connect(config).unwrap();
    let accepted = old.next().await.stream(Some("1"));
    accepted.send(&subscribed(15.0));
    while !matches!(next(&mut events).await, SchedulerEvent::Subscribed { .. }) {}
    leader.send_replace(vec![]);
    accepted.send(&heartbeat());
    assert!(matches!(next(&mut events).await, SchedulerEvent::Heartbeat));
    leader.send_replace(vec![new.endpoint.clone()]);
    assert!(matches!(
        next(&mut events).await,
        SchedulerEvent::Disconnected { reason: DisconnectReason::MasterChanged, retry_in: Duration::ZERO }
    ));
    let _stream = accept(&mut new, &mut events, "2").await;
}
